package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/tlog"
	"affidavit/rbac/policy"
	"affidavit/rbac/sod"
)

// Options says what the reader trusts, from outside the pack.
type Options struct {
	// TrustedRoot is a trusted_root.json held by the reader.
	TrustedRoot []byte
	// LogKeyFingerprint is the hex SHA-256 of the log key's SPKI.
	LogKeyFingerprint string
	// Progress, when set, is called after each file, one call at a time.
	Progress func(done, total int)
}

// checker is one verification.
type checker struct {
	archive    *Archive
	opt        Options
	report     *Report
	unreadable error

	fixed    map[string][]byte // the fixed files that were read
	manifest *Manifest
	digest   string // of manifest.json
	listed   map[string]ManifestFileEntry
	root     *keys.TrustedRoot
	verifier *attest.Verifier
	cp       tlog.Checkpoint
	export   *exported
	entries  []*proven // ordered by index
	broken   int       // bundles that were refused, hence not among entries
	byIndex  map[int64]*proven
	erased   map[int64]string // index → PAE digest, by the erasures at hand
	history  *sod.History
	views    []view                    // histories as of each declared compromise, in log order
	policies map[string]*policy.Policy // parsed, by digest
}

// Verify reads a pack of size bytes and judges everything that it claims,
// offline. The error is for input that cannot be judged: it wraps
// ErrUnreadable, or is ctx's. Whatever speaks against the pack is in the
// report's Refusals; Report.Exit maps the outcome to an exit code. Bundles
// are read one by one, in parallel; what is kept of each is small.
func Verify(ctx context.Context, r io.ReaderAt, size int64, opt Options) (*Report, error) {
	c := &checker{opt: opt, fixed: map[string][]byte{}, byIndex: map[int64]*proven{}, erased: map[int64]string{}, policies: map[string]*policy.Policy{},
		report: &Report{ExportAt: -1, Checks: []Check{}, Refusals: []Refusal{}, Decisions: []Decision{}, Judged: []Judged{}, NotProven: []string{}}}
	archive, err := Open(r, size)
	var own *Refusal
	switch {
	case errors.As(err, &own):
		c.report.add(err)
		c.report.check("archive", 0, "")
		return c.report, nil
	case err != nil:
		return nil, err
	}
	c.archive = archive
	for _, stage := range []func(context.Context) bool{c.readFixed, c.trust, c.readFiles, c.checkExport, c.replay, c.judge} {
		goOn := stage(ctx)
		if err := errors.Join(ctx.Err(), c.unreadable); err != nil {
			return nil, err
		}
		if !goOn {
			break
		}
	}
	c.openQuestions()
	return c.report, nil
}

// readFixed reads the files that every pack has, and the manifest's list.
func (c *checker) readFixed(context.Context) bool {
	mark := len(c.report.Refusals)
	for _, name := range []string{ManifestFile, ExportFile, ConsistencyFile, RootFile, CheckpointFile, LineageFile, VerifyFile} {
		b, err := c.archive.Read(name)
		if err != nil {
			c.report.add(err)
			continue
		}
		c.fixed[name] = b
	}
	c.report.check("archive", mark, "%d files, names and sizes within the layout", len(c.archive.names))
	raw, ok := c.fixed[ManifestFile]
	if !ok {
		return false
	}
	mark = len(c.report.Refusals)
	m, err := parseManifest(raw)
	if err != nil {
		c.report.add(refuse(CodeManifest, ManifestFile, "%v", err))
		c.report.check("manifest", mark, "")
		return false
	}
	sum := sha256.Sum256(raw)
	c.manifest, c.digest = m, hex.EncodeToString(sum[:])
	c.report.Project, c.report.Query, c.report.Origin = m.Project, m.Query, m.Origin
	c.report.TreeSize, c.report.Root = m.TreeSize, m.Root
	c.listed = make(map[string]ManifestFileEntry, len(m.Files))
	for _, f := range m.Files {
		c.listed[f.Path] = f
		if !c.archive.Has(f.Path) {
			c.report.add(refuse(CodeMissingFile, f.Path, "the manifest lists it, the pack does not hold it"))
		}
	}
	bundles := make(map[string]bool, len(m.Bundles))
	for _, b := range m.Bundles {
		bundles[b.Path] = true
	}
	for _, name := range c.archive.names {
		class, _, _ := classify(name)
		_, listed := c.listed[name]
		switch {
		case class == classManifest || class == classExport || class == classConsistency:
		case !listed:
			c.report.add(refuse(CodeUnlistedFile, name, "the manifest does not list it"))
		case (class == classBundle || class == classGovernance) && !bundles[name]:
			c.report.add(refuse(CodeUnlistedFile, name, "the manifest does not list it among the bundles"))
		}
	}
	c.report.check("manifest", mark, "%d files listed, none missing, none unlisted", len(m.Files))
	return true
}

// trust settles the trust root and the pack's checkpoint.
func (c *checker) trust(context.Context) bool {
	if c.root = c.anchor(c.opt); c.root == nil {
		return false
	}
	mark := len(c.report.Refusals)
	verifier, err := attest.NewVerifier(c.root)
	if err != nil {
		c.report.add(refuse(CodeTrustedRoot, RootFile, "%v", err))
		c.report.check("checkpoint", mark, "")
		return false
	}
	c.verifier = verifier
	cp, err := openCheckpoint(string(c.fixed[CheckpointFile]), c.root)
	switch {
	case err != nil:
		c.report.add(err)
	case cp.Origin != c.manifest.Origin || cp.Size != c.manifest.TreeSize || hex.EncodeToString(cp.Root[:]) != c.manifest.Root:
		c.report.add(refuse(CodeCheckpoint, CheckpointFile, "it is of size %d, the manifest claims %d, or origin or root differ", cp.Size, c.manifest.TreeSize))
	}
	c.cp = cp
	c.report.check("checkpoint", mark, "%s, size %d, signed by the log", cp.Origin, cp.Size)
	return true // bundles are verified also under a bad checkpoint, to name all that is wrong
}

// readFiles hashes every listed file once, and verifies each bundle on the way.
func (c *checker) readFiles(ctx context.Context) bool {
	type result struct {
		p    *proven
		errs []error
	}
	files := make([]result, len(c.manifest.Files))
	bundles := make(map[string]*ManifestBundle, len(c.manifest.Bundles))
	for i := range c.manifest.Bundles {
		bundles[c.manifest.Bundles[i].Path] = &c.manifest.Bundles[i]
	}
	var mu sync.Mutex
	done := 0
	err := inParallel(ctx, len(files), func(i int) error {
		f := c.manifest.Files[i]
		if c.archive.Has(f.Path) {
			b, err := c.fixed[f.Path], error(nil)
			if b == nil {
				b, err = c.archive.Read(f.Path)
			}
			if err != nil {
				files[i].errs = append(files[i].errs, err)
			} else {
				if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(b)) != f.Size {
					files[i].errs = append(files[i].errs, refuse(CodeFileDigest, f.Path, "its bytes are not those that the manifest lists"))
				}
				if line := bundles[f.Path]; line != nil {
					p, err := c.verifyOne(b, line)
					if err != nil {
						files[i].errs = append(files[i].errs, err)
					}
					files[i].p = p
				}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		done++
		if c.opt.Progress != nil {
			c.opt.Progress(done, len(files))
		}
		return nil
	})
	if err != nil {
		c.unreadable = err
		return false
	}
	mark := len(c.report.Refusals)
	c.report.Files = len(files) + 3 // the manifest and the export's two files
	for _, r := range files {
		for _, err := range r.errs {
			var own *Refusal
			if errors.As(err, &own) && own.Code == CodeFileDigest {
				c.report.add(err)
			}
		}
	}
	c.report.check("files", mark, "SHA-256 of %d files as listed", len(files))
	mark = len(c.report.Refusals)
	for i, r := range files {
		for _, err := range r.errs {
			var own *Refusal
			if errors.As(err, &own) && own.Code == CodeFileDigest {
				continue
			}
			index, _, _, _ := splitBundlePath(c.manifest.Files[i].Path)
			c.report.addBundle(c.manifest.Files[i].Path, index, err)
		}
		if r.p != nil {
			c.byIndex[r.p.entry.Index] = r.p
		}
	}
	sortRefusals(c.report.Refusals[mark:])
	for _, line := range c.manifest.Bundles {
		if p := c.byIndex[line.Index]; p != nil {
			c.entries = append(c.entries, p)
			if v := facts[attest.Erasure](p); v != nil {
				for _, ref := range v.Entries {
					c.erased[ref.Index] = ref.PAE
				}
			}
		}
	}
	c.report.Entries, c.report.Absent = len(c.entries), c.cp.Size-int64(len(c.entries))
	c.broken = len(c.report.Refusals) - mark
	c.report.check("bundles", mark, "%d attestations: signature, log entry, inclusion proof, checkpoint, timestamp and statement of each", len(c.entries))
	return true
}

// verifyOne verifies one bundle and compares it with its line in the manifest.
func (c *checker) verifyOne(raw []byte, line *ManifestBundle) (*proven, error) {
	b, err := attest.ParseBundle(raw)
	if err != nil {
		return nil, err
	}
	v, err := c.verifier.Verify(b)
	if err != nil {
		return nil, sayWhich(b, line, err)
	}
	p := newProven(v, b)
	key := ""
	if p.identity == "" {
		key = keyPath(p.entry.KeyID)
	}
	_, _, governance, _ := splitBundlePath(line.Path)
	switch {
	case p.entry.Index != line.Index || p.entry.Kind != line.Kind || p.entry.PAE != line.PAE:
		return nil, refuse(CodeBundle, line.Path, "it is entry %d (%s), listed as entry %d (%s)", p.entry.Index, clip(p.entry.Kind), line.Index, line.Kind)
	case p.predicateType != line.PredicateType || p.subject != line.Subject || key != line.Key || p.identity != line.Identity || p.issuer != line.Issuer:
		return nil, refuse(CodeBundle, line.Path, "predicate type, subject or signer differ from its line in the manifest")
	case GovernanceKind(p.entry.Kind) && !governance:
		return nil, refuse(CodeBundle, line.Path, "entries of kind %s belong to %s", p.entry.Kind, governanceDir)
	case p.checkpoint.Size != c.cp.Size || p.checkpoint.Root != c.cp.Root:
		return nil, refuse(CodeCheckpoint, line.Path, "it is proved to a tree of size %d, the pack to one of size %d", p.checkpoint.Size, c.cp.Size)
	}
	if err := p.condense(); err != nil {
		return nil, refuse(CodeBundle, line.Path, "%v", err)
	}
	return &p, nil
}

// sayWhich tells an altered statement from an altered signature: a signature
// does not say which of the two changed, the log entry of the PAE digest does.
func sayWhich(b *attest.Bundle, line *ManifestBundle, err error) error {
	var single *attest.Refusal
	if !errors.As(err, &single) || single.Code != attest.CodeSignature {
		return err
	}
	if digest := b.PAEDigest(); !bytes.Contains(b.Body, []byte(base64.StdEncoding.EncodeToString(digest[:]))) {
		return &Refusal{Code: attest.CodePayload, File: line.Path, Index: line.Index,
			Kind: line.Kind, Words: "its statement is not the one that was signed and logged"}
	}
	return err
}

// exported is a verified export attestation.
type exported struct {
	entry      sod.Entry
	identity   string
	predicate  attest.Export
	checkpoint tlog.Checkpoint
}

// verifyExport verifies the attestation that signs the manifest. The error is
// a *Refusal or attest's.
func verifyExport(verifier *attest.Verifier, raw []byte, m *Manifest, digest string) (*exported, error) {
	b, err := attest.ParseBundle(raw)
	if err != nil {
		return nil, err
	}
	v, err := verifier.Verify(b)
	if err != nil {
		return nil, err
	}
	p := newProven(v, b)
	e := &exported{entry: p.entry, identity: p.identity, checkpoint: p.checkpoint}
	if p.entry.Kind != attest.KindExport {
		return nil, refuse(CodeExport, ExportFile, "it is a %s, not an export", clip(p.entry.Kind))
	}
	if err := attest.StrictUnmarshal(p.entry.Predicate, &e.predicate, maxManifest); err != nil {
		return nil, refuse(CodeExport, ExportFile, "%v", err)
	}
	x := &e.predicate
	switch {
	case x.Manifest != digest || p.subject != digest:
		return e, refuse(CodeManifest, ManifestFile, "it is not the manifest that the export signed")
	case x.Project != m.Project || x.Query != m.Query || x.TreeSize != m.TreeSize || x.Root != m.Root:
		return e, refuse(CodeExport, ExportFile, "project, query, tree size or root differ from the manifest")
	case p.entry.Index < m.TreeSize || p.checkpoint.Size <= p.entry.Index:
		return e, refuse(CodeExport, ExportFile, "it is entry %d, not logged after the tree of size %d that it exports", p.entry.Index, m.TreeSize)
	case p.entry.Project != m.Project:
		return e, refuse(CodeExport, ExportFile, "it was logged in project %q", clip(p.entry.Project))
	}
	return e, nil
}

// checkExport verifies who claims that this is the whole answer to the query.
func (c *checker) checkExport(context.Context) bool {
	mark := len(c.report.Refusals)
	e, err := verifyExport(c.verifier, c.fixed[ExportFile], c.manifest, c.digest)
	if err != nil {
		c.report.addBundle(ExportFile, -1, err)
	}
	if e == nil {
		c.report.check("export", mark, "")
		return true
	}
	c.export = e
	c.report.ExportAt, c.report.Exporter = e.entry.Index, e.entry.Actor
	want, got := e.predicate.Entries, c.manifest.entryRefs()
	if words := diffLists(want, got); words != "" {
		c.report.add(refuse(CodeDropped, ManifestFile, "%s", words))
	}
	c.report.check("export", mark, "%s signed the manifest and the list of %d entries, as entry %d", e.entry.Actor, len(want), e.entry.Index)
	mark = len(c.report.Refusals)
	if err := checkConsistency(c.fixed[ConsistencyFile], c.cp, e.checkpoint); err != nil {
		c.report.add(refuse(CodeConsistency, ConsistencyFile, "the log in which the export was logged is not shown to continue the pack's: %v", err))
	}
	c.report.check("consistency", mark, "the log of size %d continues the one of size %d", e.checkpoint.Size, c.cp.Size)
	return true
}

// diffLists says how the bundles differ from the list that was signed.
func diffLists(signed, present []attest.EntryRef) string {
	have := make(map[attest.EntryRef]bool, len(present))
	for _, e := range present {
		have[e] = true
	}
	for _, e := range signed {
		if !have[e] {
			return fmt.Sprintf("the export lists entry %d (%s), which the pack dropped", e.Index, clip(e.Kind))
		}
		delete(have, e)
	}
	for _, e := range present {
		if have[e] {
			return fmt.Sprintf("entry %d (%s) is not in the export's list", e.Index, clip(e.Kind))
		}
	}
	for i := range signed {
		if signed[i] != present[i] {
			return "the export lists the same entries in another order"
		}
	}
	return ""
}

// at returns the entry at an index, or nil.
func (c *checker) at(index int64) *proven { return c.byIndex[index] }

func (c *checker) refuseEntry(code Code, p *proven, format string, args ...any) {
	c.report.Refusals = append(c.report.Refusals, Refusal{Code: code, Index: p.entry.Index, Kind: p.entry.Kind, Words: fmt.Sprintf(format, args...)})
}
