package pack

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/tlog"
	"affidavit/rbac/sod"
)

// Item is one entry of the pack. Bundle is its Sigstore bundle, with an
// inclusion proof in the tree of the pack's checkpoint.
type Item struct {
	Index  int64
	PAE    string // hex
	Kind   string
	Bundle []byte
	// Governance puts the bundle into governance/; the kinds of
	// GovernanceKind always go there.
	Governance bool
}

// Input is what a pack is made of.
type Input struct {
	Project string
	// Query is QueryProject for every entry of the project (and everything
	// above projects), or words that name the part.
	Query string
	// Checkpoint is the signed note of the tree that all bundles prove to.
	Checkpoint string
	// TrustedRoot is trusted_root.json of the log.
	TrustedRoot []byte
	Items       []Item
	// Policies maps the SHA-256 (hex) of a policy to its YAML; Documents maps
	// file names to contents. Both must be attested by one of the items.
	Policies  map[string][]byte
	Documents map[string][]byte
	// Keys maps key ids to SPKIs beyond those that signed an item.
	Keys map[string][]byte
}

// Draft is a pack that waits for its export attestation.
type Draft struct {
	files      map[string][]byte
	manifest   Manifest
	bytes      []byte // manifest.json
	digest     string
	verifier   *attest.Verifier
	checkpoint tlog.Checkpoint
}

// BuildManifest verifies every bundle under the pack's own trusted root,
// generates all files but the export's, and returns the bytes and the hex
// SHA-256 of manifest.json. The caller logs an export attestation about that
// digest and calls Finish. The result depends on the input only.
func BuildManifest(ctx context.Context, in Input) (*Draft, []byte, string, error) {
	root, err := keys.ParseTrustedRoot(in.TrustedRoot)
	if err != nil {
		return nil, nil, "", fmt.Errorf("trusted root: %w", err)
	}
	verifier, err := attest.NewVerifier(root)
	if err != nil {
		return nil, nil, "", fmt.Errorf("trusted root: %w", err)
	}
	cp, err := openCheckpoint(in.Checkpoint, root)
	if err != nil {
		return nil, nil, "", err
	}
	if in.Query == "" {
		return nil, nil, "", errors.New("query must not be empty: name the part, or use QueryProject")
	}
	items := append([]Item(nil), in.Items...)
	sort.Slice(items, func(i, j int) bool { return items[i].Index < items[j].Index })
	d := &Draft{verifier: verifier, checkpoint: cp, files: map[string][]byte{
		RootFile: in.TrustedRoot, CheckpointFile: []byte(in.Checkpoint),
	}}
	d.manifest = Manifest{MediaType: manifestMediaType, Project: in.Project, Query: in.Query, Origin: cp.Origin,
		TreeSize: cp.Size, Root: hex.EncodeToString(cp.Root[:]), Files: []ManifestFileEntry{}, Bundles: []ManifestBundle{}}
	if err := d.addBundles(ctx, items); err != nil {
		return nil, nil, "", err
	}
	if err := d.addFiles(in); err != nil {
		return nil, nil, "", err
	}
	text, err := verifyPage(&d.manifest, d.documentNames())
	if err != nil {
		return nil, nil, "", err
	}
	d.files[VerifyFile] = text
	for _, name := range sortedKeys(d.files) {
		b := d.files[name]
		if _, limit, err := classify(name); err != nil || uint64(len(b)) > limit {
			return nil, nil, "", fmt.Errorf("%s: %d bytes, at most %d: %w", name, len(b), limit, err)
		}
		sum := sha256.Sum256(b)
		d.manifest.Files = append(d.manifest.Files, ManifestFileEntry{Path: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b))})
	}
	if d.bytes, err = attest.CanonicalJSON(d.manifest); err != nil {
		return nil, nil, "", err
	}
	sum := sha256.Sum256(d.bytes)
	d.digest = hex.EncodeToString(sum[:])
	// The export attestation carries the whole list, within one statement.
	export, err := attest.CanonicalJSON(d.Export())
	if err != nil {
		return nil, nil, "", err
	}
	if len(export) > attest.MaxPayload-exportMargin {
		return nil, nil, "", fmt.Errorf("query: its %d entries make an export attestation of %d bytes, at most %d fit into a statement; export the project in parts",
			len(items), len(export), attest.MaxPayload-exportMargin)
	}
	return d, d.bytes, d.digest, nil
}

// exportMargin is room for the rest of the export's statement.
const exportMargin = 8 << 10

// addBundles verifies the items, and adds their bundles, keys and graph.
func (d *Draft) addBundles(ctx context.Context, items []Item) error {
	verified := make([]*proven, len(items))
	bundles := make([]*attest.Bundle, len(items))
	err := inParallel(ctx, len(items), func(i int) error {
		b, err := attest.ParseBundle(items[i].Bundle)
		if err != nil {
			return fmt.Errorf("entry %d (%s): %w", items[i].Index, items[i].Kind, err)
		}
		v, err := d.verifier.Verify(b)
		if err != nil {
			return fmt.Errorf("entry %d (%s): %w", items[i].Index, items[i].Kind, err)
		}
		if v.Index != items[i].Index || v.Step.Kind != items[i].Kind || (items[i].PAE != "" && v.PAE != items[i].PAE) {
			return fmt.Errorf("entry %d (%s): its bundle is entry %d (%s)", items[i].Index, items[i].Kind, v.Index, v.Step.Kind)
		}
		if v.Checkpoint.Size != d.checkpoint.Size || v.Checkpoint.Root != d.checkpoint.Root {
			return fmt.Errorf("entry %d (%s): proved to size %d, the pack's checkpoint is %d; re-prove it", v.Index, v.Step.Kind, v.Checkpoint.Size, d.checkpoint.Size)
		}
		p := newProven(v, b)
		verified[i], bundles[i] = &p, b
		return nil
	})
	if err != nil {
		return err
	}
	graph := make([]GraphEntry, 0, len(items))
	for i, p := range verified {
		if i > 0 && p.entry.Index == verified[i-1].entry.Index {
			return fmt.Errorf("entry %d occurs twice", p.entry.Index)
		}
		name := bundlePath(p.entry.Index, p.entry.Kind, items[i].Governance || GovernanceKind(p.entry.Kind))
		line := ManifestBundle{Path: name, Index: p.entry.Index, Kind: p.entry.Kind, PAE: p.entry.PAE,
			PredicateType: p.predicateType, Subject: p.subject, Identity: p.identity, Issuer: p.issuer}
		if p.identity == "" {
			line.Key = keyPath(p.entry.KeyID)
			d.addKey(p.entry.KeyID, bundles[i].PublicKey)
		}
		d.files[name] = items[i].Bundle
		d.manifest.Bundles = append(d.manifest.Bundles, line)
		graph = append(graph, p.graphEntry())
		for _, key := range enrolled(p) {
			if len(key) > 0 {
				d.addKey(attest.KeyID(key), key) // the exporter may have signed nothing else
			}
		}
	}
	d.files[LineageFile], err = Graph(d.manifest.Project, d.checkpoint.Size, graph)
	return err
}

func (d *Draft) addKey(id string, spki []byte) {
	d.files[keyPath(id)] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
}

// enrolled are the public keys that an entry enrols.
func enrolled(p *proven) [][]byte {
	switch p.entry.Kind {
	case attest.KindGenesis:
		var g attest.Genesis
		if json.Unmarshal(p.entry.Predicate, &g) == nil {
			return [][]byte{g.Service.PublicKey, g.Admin.PublicKey}
		}
	case attest.KindKeyEvent:
		var k attest.KeyEvent
		if json.Unmarshal(p.entry.Predicate, &k) == nil && k.Action == attest.ActionEnrol {
			return [][]byte{k.PublicKey}
		}
	}
	return nil
}

func keyPath(id string) string { return keyDir + id + ".pub" }

// addFiles adds keys, policies and documents under generated names.
func (d *Draft) addFiles(in Input) error {
	for _, id := range sortedKeys(in.Keys) {
		if attest.KeyID(in.Keys[id]) != id {
			return fmt.Errorf("keys: %q is not the id of its key", clip(id))
		}
		d.addKey(id, in.Keys[id])
	}
	for _, digest := range sortedKeys(in.Policies) {
		sum := sha256.Sum256(in.Policies[digest])
		if hex.EncodeToString(sum[:]) != digest {
			return fmt.Errorf("policies: %q is not the SHA-256 of its text", clip(digest))
		}
		d.files[policyDir+digest+".yaml"] = in.Policies[digest]
	}
	for _, name := range sortedKeys(in.Documents) {
		if !documentName.MatchString(documentDir + name) {
			return fmt.Errorf("documents: %q: use letters, digits, dot, dash and underscore, at most 120", clip(name))
		}
		d.files[documentDir+name] = in.Documents[name]
	}
	return nil
}

func (d *Draft) documentNames() []string {
	var names []string
	for _, name := range sortedKeys(d.files) {
		if class, _, _ := classify(name); class == classDocument {
			names = append(names, name)
		}
	}
	return names
}

// Export is the predicate that the export attestation must carry.
func (d *Draft) Export() attest.Export {
	return attest.Export{Query: d.manifest.Query, Project: d.manifest.Project, TreeSize: d.manifest.TreeSize,
		Root: d.manifest.Root, Manifest: d.digest, Entries: d.manifest.entryRefs()}
}

// Subject is the one subject of the export attestation.
func (d *Draft) Subject() attest.Subject {
	return attest.Subject{Name: ManifestFile, Digest: map[string]string{"sha256": d.digest}}
}

// Relation is the edge that the export attestation must carry.
func (d *Draft) Relation() attest.Relation {
	return attest.Relation{Type: attest.RelGenerated, Ref: attest.Ref{Kind: attest.ArtefactManifest, Digest: d.digest, Name: ManifestFile}}
}

// Checkpoint is the one that the bundles are proved to.
func (d *Draft) Checkpoint() tlog.Checkpoint { return d.checkpoint }

// Finish checks the export's bundle and the consistency proof
// (MarshalConsistency) and writes the zip: sorted names, fixed times, so the
// same input gives the same bytes.
func (d *Draft) Finish(w io.Writer, exportBundle, consistency []byte) error {
	export, err := verifyExport(d.verifier, exportBundle, &d.manifest, d.digest)
	if err != nil {
		return err
	}
	if err := checkConsistency(consistency, d.checkpoint, export.checkpoint); err != nil {
		return fmt.Errorf("%s: %w", ConsistencyFile, err)
	}
	files := map[string][]byte{ManifestFile: d.bytes, ExportFile: exportBundle, ConsistencyFile: consistency}
	for name, b := range d.files {
		files[name] = b
	}
	z := zip.NewWriter(w)
	for _, name := range sortedKeys(files) {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: zipTime})
		if err != nil {
			return fmt.Errorf("write the pack: %w", err)
		}
		if _, err := f.Write(files[name]); err != nil {
			return fmt.Errorf("write the pack: %w", err)
		}
	}
	return z.Close()
}

// zipTime is the earliest time that a zip can hold.
var zipTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// openCheckpoint checks a signed note against the log keys of root.
func openCheckpoint(text string, root *keys.TrustedRoot) (tlog.Checkpoint, error) {
	var last error = errors.New("the trusted root names no log")
	for _, log := range root.Logs {
		v, err := keys.NewLogVerifier(log.Origin, log.SPKI)
		if err != nil {
			last = err
			continue
		}
		cp, err := tlog.ParseCheckpoint(text, v)
		if err == nil {
			return cp, nil
		}
		last = err
	}
	return tlog.Checkpoint{}, refuse(CodeCheckpoint, CheckpointFile, "%v", last)
}

// proven is what is kept of a verified bundle.
type proven struct {
	entry            sod.Entry
	predicateType    string
	subject          string
	identity, issuer string
	checkpoint       tlog.Checkpoint
	notBefore        attest.Position
	// facts is the predicate of kinds that later checks read, without its
	// bulk; refs are the entries that it names.
	facts any
	refs  []reference
}

func newProven(v *attest.Verified, b *attest.Bundle) proven {
	s := v.Step
	p := proven{predicateType: v.Statement.PredicateType, identity: v.Identity, issuer: v.Issuer, checkpoint: v.Checkpoint, notBefore: s.NotBefore,
		entry: sod.Entry{Index: v.Index, PAE: v.PAE, Kind: s.Kind, Project: s.Project, Actor: s.Actor, OnBehalfOf: s.OnBehalfOf,
			KeyID: v.KeyID, Stamp: v.Stamped, Relations: s.Relations, Predicate: v.Statement.Predicate}}
	if len(v.Statement.Subject) > 0 {
		p.subject = v.Statement.Subject[0].Digest["sha256"]
	}
	return p
}

func (p *proven) graphEntry() GraphEntry {
	e := p.entry
	return GraphEntry{Index: e.Index, PAE: e.PAE, Kind: e.Kind, Actor: e.Actor, OnBehalfOf: e.OnBehalfOf, Relations: e.Relations}
}
