package govern

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"affidavit/attest"
	"affidavit/attest/tlog"
	"affidavit/lineage"
	"affidavit/rbac/policy"
)

// PolicyRow is a row of policies.
type PolicyRow struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Name    string
	Version string
	Digest  string
}

// TableName implements gorm's Tabler.
func (PolicyRow) TableName() string { return "policies" }

func checkPolicy(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.PolicyPublication
	if err := e.Decode(&p); err != nil {
		return err
	}
	parsed, err := policy.Parse([]byte(p.YAML))
	if err != nil {
		return &lineage.Error{Code: lineage.CodeInvalid, Field: "yaml", Message: err.Error()}
	}
	if sum := sha256.Sum256([]byte(p.YAML)); p.Digest != hex.EncodeToString(sum[:]) {
		return lineage.Errf(lineage.CodeInvalid, "digest", "is not the SHA-256 of yaml")
	}
	if parsed.Name != p.Name || parsed.Version != p.Version {
		return lineage.Errf(lineage.CodeInvalid, "name", "the text calls itself %s %s", parsed.Name, parsed.Version)
	}
	if !e.Has(attest.RelGenerated, attest.ArtefactPolicy, p.Digest) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say: generated policy %s", p.Digest)
	}
	if err := unique(r, &PolicyRow{}, "version", "project = ? AND name = ? AND version = ?", e.Project, p.Name, p.Version); err != nil {
		return err
	}
	return unique(r, &PolicyRow{}, "digest", "project = ? AND digest = ?", e.Project, p.Digest)
}

func projectPolicy(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.PolicyPublication
	if err := e.Decode(&p); err != nil {
		return err
	}
	return w.Insert(&PolicyRow{Entry: e.Index, Project: e.Project, Name: p.Name, Version: p.Version, Digest: p.Digest})
}

// PolicyResult publishes a policy text.
func PolicyResult(yaml []byte) (lineage.Result, error) {
	p, err := policy.Parse(yaml)
	if err != nil {
		return lineage.Result{}, &lineage.Error{Code: lineage.CodeInvalid, Field: "yaml", Message: err.Error()}
	}
	ref := attest.Ref{Kind: attest.ArtefactPolicy, Digest: p.Digest(), Name: p.Name + " " + p.Version}
	return lineage.Result{
		Predicate: attest.PolicyPublication{Name: p.Name, Version: p.Version, Digest: p.Digest(), YAML: string(yaml)},
		Subjects:  []attest.Subject{{Name: p.Name + ".yaml", Digest: map[string]string{"sha256": p.Digest()}}},
		Relations: []attest.Relation{{Type: attest.RelGenerated, Ref: ref}},
	}, nil
}

// ErasedRow is a row of erased.
type ErasedRow struct {
	Idx   int64 `gorm:"primaryKey;autoIncrement:false"`
	Entry int64
}

// TableName implements gorm's Tabler.
func (ErasedRow) TableName() string { return "erased" }

// checkErasure admits only redactions that leave every field alone which a
// projection or a duty reads: replay of the redacted log must give the same tables.
func checkErasure(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var x attest.Erasure
	if err := e.Decode(&x); err != nil {
		return err
	}
	if len(x.Entries) == 0 || len(x.Entries) != len(x.Redacted) {
		return lineage.Errf(lineage.CodeInvalid, "redacted", "needs one redacted predicate for each entry")
	}
	seen := map[int64]bool{}
	for i, ref := range x.Entries {
		field := fmt.Sprintf("entries[%d]", i)
		if seen[ref.Index] {
			return lineage.Errf(lineage.CodeInvalid, field, "names entry %d twice", ref.Index)
		}
		seen[ref.Index] = true
		old, err := r.Cited(field, ref, ref.Kind)
		if err != nil {
			return err
		}
		if old.Erased {
			return lineage.Errf(lineage.CodeConflict, field, "was erased before")
		}
		if err := sameButErasable(r, field, old, x.Redacted[i]); err != nil {
			return err
		}
	}
	return nil
}

func sameButErasable(r *lineage.ReadTx, field string, old *lineage.Entry, redacted json.RawMessage) error {
	var was, is map[string]any
	if err := json.Unmarshal(old.Predicate(), &was); err != nil {
		return err
	}
	if err := json.Unmarshal(redacted, &is); err != nil {
		return lineage.Errf(lineage.CodeInvalid, field, "its redacted predicate is no JSON object")
	}
	free := r.Erasable(old.Kind)
	if len(free) == 0 {
		return lineage.Errf(lineage.CodeRefused, field, "nothing in a %s may be erased: state and duties rest on all of it", old.Kind)
	}
	for name, v := range was {
		if slices.Contains(free, name) {
			continue
		}
		if !reflect.DeepEqual(v, is[name]) {
			return lineage.Errf(lineage.CodeRefused, field, "field %q of a %s may not be erased: state or duties rest on it", name, old.Kind).
				WithRemedy("only these may change: %v", free)
		}
	}
	for name := range is {
		if _, had := was[name]; !had {
			return lineage.Errf(lineage.CodeInvalid, field, "the redaction adds field %q", name)
		}
	}
	return nil
}

func projectErasure(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var x attest.Erasure
	if err := e.Decode(&x); err != nil {
		return err
	}
	for _, ref := range x.Entries {
		if err := w.Insert(&ErasedRow{Idx: ref.Index, Entry: e.Index}); err != nil {
			return err
		}
	}
	return nil
}

// AbandonedRow is a row of abandonments.
type AbandonedRow struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Intent  string
	Kind    string
	Reason  string
}

// TableName implements gorm's Tabler.
func (AbandonedRow) TableName() string { return "abandonments" }

func checkAbandoned(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var x attest.Abandoned
	if err := e.Decode(&x); err != nil {
		return err
	}
	if _, err := r.EntryByNonce(x.Intent); lineage.CodeOf(err) != lineage.CodeNotFound {
		if err != nil {
			return err
		}
		return lineage.Errf(lineage.CodeConflict, "intent", "was sealed as an entry")
	}
	return unique(r, &AbandonedRow{}, "intent", "intent = ?", x.Intent)
}

func projectAbandoned(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var x attest.Abandoned
	if err := e.Decode(&x); err != nil {
		return err
	}
	return w.Insert(&AbandonedRow{Entry: e.Index, Project: e.Project, Intent: x.Intent, Kind: x.Kind, Reason: x.Reason})
}

// DocumentRow is a row of documents.
type DocumentRow struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Kind    string
	Digest  string
	AsOf    int64
}

// TableName implements gorm's Tabler.
func (DocumentRow) TableName() string { return "documents" }

func checkDocument(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var d attest.Document
	if err := e.Decode(&d); err != nil {
		return err
	}
	if d.AsOf < 1 || d.AsOf > e.Index {
		return lineage.Errf(lineage.CodeInvalid, "asOf", "must be a log size of at most %d", e.Index)
	}
	if !e.Has(attest.RelGenerated, attest.ArtefactDocument, d.Digest) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say: generated document %s", d.Digest)
	}
	for i, s := range d.Sources {
		if s.Index >= d.AsOf {
			return lineage.Errf(lineage.CodeInvalid, fmt.Sprintf("sources[%d]", i), "entry %d is younger than asOf", s.Index)
		}
		if _, err := r.Cited(fmt.Sprintf("sources[%d]", i), s, s.Kind); err != nil {
			return err
		}
	}
	return nil
}

func projectDocument(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var d attest.Document
	if err := e.Decode(&d); err != nil {
		return err
	}
	return w.Insert(&DocumentRow{Entry: e.Index, Project: e.Project, Kind: d.Kind, Digest: d.Digest, AsOf: d.AsOf})
}

// ProjectStateRow is a row of project_states.
type ProjectStateRow struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Size    int64
	Records int64
	Root    string
}

// TableName implements gorm's Tabler.
func (ProjectStateRow) TableName() string { return "project_states" }

// StateOf counts the entries of a project below size and hashes their PAE
// digests in index order to an RFC 6962 root: each leaf is the 32-byte digest.
func StateOf(r *lineage.ReadTx, project string, size int64) (attest.ProjectState, error) {
	digests, err := r.PAEDigests(project, size)
	if err != nil {
		return attest.ProjectState{}, err
	}
	leaves := make([]tlog.Hash, len(digests))
	for i, d := range digests {
		leaves[i] = tlog.LeafHash(d)
	}
	root := tlog.RootOf(leaves)
	return attest.ProjectState{Project: project, Size: size, Count: int64(len(leaves)), Root: hex.EncodeToString(root[:])}, nil
}

func checkProjectState(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var s attest.ProjectState
	if err := e.Decode(&s); err != nil {
		return err
	}
	if s.Project != e.Project || s.Size < 1 || s.Size > e.Index {
		return lineage.Errf(lineage.CodeInvalid, "size", "must be a log size of at most %d, for this project", e.Index)
	}
	is, err := StateOf(r, s.Project, s.Size)
	if err != nil {
		return err
	}
	if is != s {
		return lineage.Errf(lineage.CodeRefused, "root", "at size %d the project has %d entries with root %s", s.Size, is.Count, is.Root)
	}
	return nil
}

func projectProjectState(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var s attest.ProjectState
	if err := e.Decode(&s); err != nil {
		return err
	}
	return w.Insert(&ProjectStateRow{Entry: e.Index, Project: e.Project, Size: s.Size, Records: s.Count, Root: s.Root})
}

// ExportRow is a row of exports.
type ExportRow struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	TreeSize int64
	Manifest string
}

// TableName implements gorm's Tabler.
func (ExportRow) TableName() string { return "exports" }

func checkExport(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var x attest.Export
	if err := e.Decode(&x); err != nil {
		return err
	}
	if x.Project != e.Project {
		return lineage.Errf(lineage.CodeInvalid, "project", "is not the statement's project %q", e.Project)
	}
	if x.TreeSize < 1 || x.TreeSize > e.Index {
		return lineage.Errf(lineage.CodeInvalid, "treeSize", "must be a log size of at most %d", e.Index)
	}
	root, err := tlog.Root(r.Context(), r.HashReader(), x.TreeSize)
	if err != nil {
		return lineage.Errf(lineage.CodeInvalid, "treeSize", "no root is known for size %d", x.TreeSize)
	}
	if hex.EncodeToString(root[:]) != x.Root {
		return lineage.Errf(lineage.CodeInvalid, "root", "is not that of the first %d entries", x.TreeSize)
	}
	if !e.Has(attest.RelGenerated, attest.ArtefactManifest, x.Manifest) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say: generated manifest %s", x.Manifest)
	}
	for i, c := range x.Entries {
		if c.Index >= x.TreeSize || i > 0 && c.Index <= x.Entries[i-1].Index {
			return lineage.Errf(lineage.CodeInvalid, fmt.Sprintf("entries[%d]", i), "must be ascending and below treeSize")
		}
		if _, err := r.Cited(fmt.Sprintf("entries[%d]", i), c, c.Kind); err != nil {
			return err
		}
	}
	return nil
}

func projectExport(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var x attest.Export
	if err := e.Decode(&x); err != nil {
		return err
	}
	return w.Insert(&ExportRow{Entry: e.Index, Project: e.Project, TreeSize: x.TreeSize, Manifest: x.Manifest})
}
