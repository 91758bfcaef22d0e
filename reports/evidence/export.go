package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/pack"
	"affidavit/attest/tlog"
	"affidavit/lineage"
	"affidavit/lineage/govern"
)

// maxDocument bounds a document that is copied from the blob store, in bytes.
const maxDocument = 64 << 20

// Params say what to export, who exports and where to.
type Params struct {
	Project string
	// Actor holds the role auditor in Project. Signer signs the export for them:
	// Identity gives one with an identity certificate; an enrolled key serves too.
	Actor  string
	Signer keys.Signer
	Out    io.Writer
	// Progress, if set, is told how many of the bundles are proved.
	Progress func(done, total int)
}

// Exported says what was written.
type Exported struct {
	// Size is N, the checkpoint that all bundles prove to.
	Size     int64
	Root     string // hex
	Manifest string // hex SHA-256 of manifest.json
	Entries  int
	// Receipt is of the export attestation.
	Receipt lineage.Receipt
}

// Identity gives a signer with a fresh key and a certificate of the ledger's CA
// for it, valid for ten minutes. issuer names who authenticated the address.
func Identity(l *lineage.Ledger, email, issuer string) (keys.Signer, error) {
	s, err := keys.Ephemeral()
	if err != nil {
		return nil, err
	}
	pub, err := keys.ParsePublicKey(s.PublicKey())
	if err != nil {
		return nil, err
	}
	leaf, err := l.Keys().CA.Issue(email, issuer, pub, l.Now())
	if err != nil {
		return nil, err
	}
	return keys.WithCertificate(s, leaf)
}

// Export logs the project's state, writes every entry of the project and all
// governance to p.Out as an evidence pack, and logs the attestation that signs
// its manifest. What is written is not verified here: use pack.Verify.
func Export(ctx context.Context, l *lineage.Ledger, p Params) (Exported, error) {
	if p.Project == "" || p.Actor == "" || p.Signer == nil || p.Out == nil {
		return Exported{}, lineage.Errf(lineage.CodeInvalid, "export", "needs project, actor, signer and a writer")
	}
	// One state for the project, one for what stands above projects: grants and keys left out can be contradicted too.
	for _, project := range []string{p.Project, ""} {
		if err := logState(ctx, l, project); err != nil {
			return Exported{}, err
		}
	}
	in, err := collect(ctx, l, p)
	if err != nil {
		return Exported{}, err
	}
	draft, _, digest, err := pack.BuildManifest(ctx, in)
	if err != nil {
		return Exported{}, fmt.Errorf("export: %w", err)
	}
	rec, err := logExport(ctx, l, p, draft)
	if err != nil {
		return Exported{}, err
	}
	consistency, err := consistencyTo(ctx, l, draft.Checkpoint(), rec.Checkpoint)
	if err != nil {
		return Exported{}, err
	}
	if err := draft.Finish(p.Out, rec.Bundle, consistency); err != nil {
		return Exported{}, fmt.Errorf("export: %w", err)
	}
	cp := draft.Checkpoint()
	return Exported{Size: cp.Size, Root: fmt.Sprintf("%x", cp.Root[:]), Manifest: digest, Entries: len(in.Items), Receipt: rec}, nil
}

// logState attests how many entries the project has: a pack that leaves one
// out can be contradicted with it.
func logState(ctx context.Context, l *lineage.Ledger, project string) error {
	_, err := l.Do(ctx, lineage.Step{Kind: attest.KindProjectState, Project: project}, func(ctx context.Context, _ lineage.Run) (lineage.Result, error) {
		var s attest.ProjectState
		err := l.View(ctx, lineage.Scope{All: true}, func(r *lineage.ReadTx) error {
			var err error
			s, err = govern.StateOf(r, project, r.Size())
			return err
		})
		return lineage.Result{Predicate: s}, err
	})
	if err != nil {
		return fmt.Errorf("export: state of project %q: %w", project, err)
	}
	return nil
}

// page is how many entries are read at once.
const page = 1000

// collect proves every entry of the project, and those above projects, to one
// checkpoint, within one reading of the log.
func collect(ctx context.Context, l *lineage.Ledger, p Params) (pack.Input, error) {
	in := pack.Input{Project: p.Project, Query: pack.QueryProject, Policies: map[string][]byte{}, Documents: map[string][]byte{}}
	var err error
	if in.TrustedRoot, err = l.TrustedRoot().Marshal(); err != nil {
		return in, err
	}
	documents := []attest.Document{}
	err = l.View(ctx, lineage.Scope{Project: p.Project}, func(r *lineage.ReadTx) error {
		var err error
		if in.Checkpoint, err = r.Checkpoint(); err != nil {
			return err
		}
		for from := int64(0); from < r.Size(); {
			entries, err := r.Entries(lineage.EntryFilter{From: from, Limit: page})
			if err != nil {
				return err
			}
			if len(entries) == 0 {
				return nil
			}
			from = entries[len(entries)-1].Index + 1
			for _, e := range entries {
				if err := ctx.Err(); err != nil {
					return err
				}
				if e.Erased {
					continue // the erasure entry in the pack accounts for it
				}
				if documents, err = addEntry(r, &in, e, documents); err != nil {
					return err
				}
				if p.Progress != nil {
					p.Progress(int(e.Index)+1, int(r.Size()))
				}
			}
		}
		return nil
	})
	if err != nil {
		return in, err
	}
	return in, addDocuments(ctx, l, &in, documents)
}

func addEntry(r *lineage.ReadTx, in *pack.Input, e *lineage.Entry, documents []attest.Document) ([]attest.Document, error) {
	bundle, err := r.Bundle(e.Index, r.Size())
	if err != nil {
		return nil, fmt.Errorf("export: entry %d: %w", e.Index, err)
	}
	in.Items = append(in.Items, pack.Item{Index: e.Index, PAE: e.PAE, Kind: e.Kind, Bundle: bundle, Governance: pack.GovernanceKind(e.Kind)})
	switch e.Kind {
	case attest.KindPolicy:
		var v attest.PolicyPublication
		if err := e.Decode(&v); err != nil {
			return nil, err
		}
		in.Policies[v.Digest] = []byte(v.YAML)
	case attest.KindDocument:
		var v attest.Document
		if err := e.Decode(&v); err != nil {
			return nil, err
		}
		documents = append(documents, v)
	}
	return documents, nil
}

// addDocuments takes the documents from the blob store. A document keeps the
// name that was attested, so of two with one name the pack holds the later.
func addDocuments(ctx context.Context, l *lineage.Ledger, in *pack.Input, documents []attest.Document) error {
	for _, d := range documents {
		content, err := lineage.ReadBlob(ctx, l.Blobs(), d.Digest, maxDocument)
		if err != nil {
			return fmt.Errorf("export: document %s: %w", d.Name, err)
		}
		in.Documents[d.Name] = content
	}
	return nil
}

func logExport(ctx context.Context, l *lineage.Ledger, p Params, draft *pack.Draft) (lineage.Receipt, error) {
	st, err := l.Prepare(ctx, lineage.Step{Kind: attest.KindExport, Project: p.Project, Actor: p.Actor}, lineage.Result{
		Predicate: draft.Export(), Subjects: []attest.Subject{draft.Subject()}, Relations: []attest.Relation{draft.Relation()},
	})
	if err != nil {
		return lineage.Receipt{}, fmt.Errorf("export: %w", err)
	}
	signed, err := attest.Sign(ctx, st, p.Signer)
	if err != nil {
		return lineage.Receipt{}, fmt.Errorf("export: %w", err)
	}
	rec, err := l.Submit(ctx, signed)
	if err != nil {
		return lineage.Receipt{}, fmt.Errorf("export: %w", err)
	}
	if rec.Bundle == nil {
		return lineage.Receipt{}, errors.New("export: its attestation was erased before it could be written")
	}
	return rec, nil
}

// consistencyTo proves that the pack's tree is a prefix of the export's.
func consistencyTo(ctx context.Context, l *lineage.Ledger, old tlog.Checkpoint, note string) ([]byte, error) {
	now, err := tlog.ParseCheckpoint(note, l.Keys().Log.Verifier())
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	var proof []tlog.Hash
	err = l.View(ctx, lineage.Scope{All: true}, func(r *lineage.ReadTx) error {
		var err error
		proof, err = r.Consistency(old.Size, now.Size)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return pack.MarshalConsistency(old, now, proof)
}
