package pack

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"unicode"

	"affidavit/attest"
	"affidavit/attest/tlog"
)

const (
	manifestMediaType    = "application/vnd.affidavit.pack.v1+json"
	consistencyMediaType = "application/vnd.affidavit.consistency.v1+json"
)

// QueryProject is the query of a pack that claims every entry of its project.
// Any other query names a part, and completeness is then the exporter's word.
const QueryProject = "project"

// Manifest is manifest.json. The export attestation signs its digest, so it
// lists neither itself nor the export's two files.
type Manifest struct {
	MediaType string `json:"mediaType"`
	Project   string `json:"project"`
	Query     string `json:"query"`
	Origin    string `json:"origin"`
	TreeSize  int64  `json:"treeSize"`
	Root      string `json:"root"` // hex, of the tree of TreeSize
	// Files are ordered by path, Bundles by log index.
	Files   []ManifestFileEntry `json:"files"`
	Bundles []ManifestBundle    `json:"bundles"`
}

// ManifestFileEntry fixes the bytes of one file.
type ManifestFileEntry struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// ManifestBundle says what stock tools must be told to verify one bundle:
// either Key, a path in the pack, or Identity and Issuer.
type ManifestBundle struct {
	Path          string `json:"path"`
	Index         int64  `json:"index"`
	Kind          string `json:"kind"`
	PAE           string `json:"pae"`
	PredicateType string `json:"predicateType"`
	Subject       string `json:"subject"` // sha256 of the first subject
	Key           string `json:"key,omitempty"`
	Identity      string `json:"identity,omitempty"`
	Issuer        string `json:"issuer,omitempty"`
}

// entryRefs is the ordered list that the export attestation signs.
func (m *Manifest) entryRefs() []attest.EntryRef {
	refs := make([]attest.EntryRef, len(m.Bundles))
	for i, b := range m.Bundles {
		refs[i] = attest.EntryRef{Index: b.Index, PAE: b.PAE, Kind: b.Kind}
	}
	return refs
}

// parseManifest reads manifest.json strictly and checks that it is in order,
// names nothing twice and nothing outside the layout.
func parseManifest(b []byte) (*Manifest, error) {
	var m Manifest
	if err := attest.StrictUnmarshal(b, &m, maxManifest); err != nil {
		return nil, err
	}
	switch {
	case m.MediaType != manifestMediaType:
		return nil, fmt.Errorf("mediaType %q, want %q", clip(m.MediaType), manifestMediaType)
	case m.Query == "" || m.Origin == "":
		return nil, errors.New("query and origin must not be empty")
	case m.TreeSize < 1 || !hexDigest.MatchString(m.Root):
		return nil, errors.New("treeSize must be positive and root 64 hex digits")
	}
	if !sort.SliceIsSorted(m.Files, func(i, j int) bool { return m.Files[i].Path < m.Files[j].Path }) {
		return nil, errors.New("files are not in order of their paths")
	}
	listed := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		class, _, err := classify(f.Path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("files: %q: %w", clip(f.Path), err)
		case class == classManifest || class == classExport || class == classConsistency:
			return nil, fmt.Errorf("files: %s cannot be listed in the manifest that it signs", f.Path)
		case listed[f.Path]:
			return nil, fmt.Errorf("files: %s is listed twice", f.Path)
		case !hexDigest.MatchString(f.SHA256) || f.Size < 0:
			return nil, fmt.Errorf("files: %s needs a sha256 of 64 hex digits and a size", f.Path)
		}
		listed[f.Path] = true
	}
	if err := m.checkBundles(listed); err != nil {
		return nil, err
	}
	// One form only: no unknown fields, no second spelling of the same list.
	if canonical, err := attest.CanonicalJSON(m); err != nil || !bytes.Equal(canonical, b) {
		return nil, errors.New("it is not canonical JSON, or it has fields that this version does not know")
	}
	return &m, nil
}

// checkBundles checks the list of bundles against the listed files.
func (m *Manifest) checkBundles(listed map[string]bool) error {
	last := int64(-1)
	for i := range m.Bundles {
		b := &m.Bundles[i]
		index, kind, _, ok := splitBundlePath(b.Path)
		switch {
		case !ok || index != b.Index || kind != b.Kind:
			return fmt.Errorf("bundles: path %q does not say index %d and kind %q", clip(b.Path), b.Index, clip(b.Kind))
		case !listed[b.Path]:
			return fmt.Errorf("bundles: %s is not among files", b.Path)
		case b.Index <= last:
			return fmt.Errorf("bundles: index %d does not rise", b.Index)
		case b.Index >= m.TreeSize:
			return fmt.Errorf("bundles: index %d is beyond the tree of size %d", b.Index, m.TreeSize)
		case !hexDigest.MatchString(b.PAE):
			return fmt.Errorf("bundles: %s: pae must be 64 hex digits", b.Path)
		case (b.Key == "") == (b.Identity == "" || b.Issuer == ""):
			return fmt.Errorf("bundles: %s needs either key, or identity and issuer", b.Path)
		case b.Key != "" && !listed[b.Key]:
			return fmt.Errorf("bundles: %s names key %q, which is not among files", b.Path, clip(b.Key))
		}
		last = b.Index
	}
	return nil
}

// consistencyProof is export.consistency: that the tree of the pack's
// checkpoint is a prefix of the tree in which the export itself was logged.
type consistencyProof struct {
	MediaType string   `json:"mediaType"`
	OldSize   int64    `json:"oldSize"`
	OldRoot   []byte   `json:"oldRoot"` // base64, as in a checkpoint
	NewSize   int64    `json:"newSize"`
	NewRoot   []byte   `json:"newRoot"`
	Hashes    [][]byte `json:"hashes"` // RFC 6962 order
}

// MarshalConsistency returns the bytes of export.consistency: JSON with both
// sizes, both roots and the RFC 6962 consistency proof between them.
func MarshalConsistency(old, new tlog.Checkpoint, proof []tlog.Hash) ([]byte, error) {
	p := consistencyProof{MediaType: consistencyMediaType, OldSize: old.Size, OldRoot: old.Root[:], NewSize: new.Size, NewRoot: new.Root[:], Hashes: [][]byte{}}
	for _, h := range proof {
		p.Hashes = append(p.Hashes, append([]byte(nil), h[:]...))
	}
	return attest.CanonicalJSON(p)
}

// checkConsistency verifies export.consistency between two checkpoints whose
// signatures were checked before.
func checkConsistency(b []byte, old, new tlog.Checkpoint) error {
	var p consistencyProof
	if err := attest.StrictUnmarshal(b, &p, maxSmall); err != nil {
		return err
	}
	if p.MediaType != consistencyMediaType {
		return fmt.Errorf("mediaType %q, want %q", clip(p.MediaType), consistencyMediaType)
	}
	if p.OldSize != old.Size || p.NewSize != new.Size || string(p.OldRoot) != string(old.Root[:]) || string(p.NewRoot) != string(new.Root[:]) {
		return fmt.Errorf("it is about sizes %d and %d, the signed checkpoints are %d and %d, or their roots differ", p.OldSize, p.NewSize, old.Size, new.Size)
	}
	if len(p.Hashes) > 64*2 {
		return fmt.Errorf("%d hashes, more than any tree needs", len(p.Hashes))
	}
	proof := make([]tlog.Hash, len(p.Hashes))
	for i, h := range p.Hashes {
		if len(h) != len(proof[i]) {
			return fmt.Errorf("hash %d has %d bytes", i, len(h))
		}
		copy(proof[i][:], h)
	}
	if new.Size == old.Size {
		if new.Root != old.Root || len(proof) > 0 {
			return errors.New("trees of the same size with different roots")
		}
		return nil
	}
	return tlog.CheckConsistency(proof, new.Size, new.Root, old.Size, old.Root)
}

// clip shortens untrusted text for messages, and replaces control and
// direction characters, which could make a terminal show something else.
func clip(s string) string { return clipTo(s, 80) }

func clipTo(s string, runes int) string {
	out := make([]rune, 0, min(len(s), runes))
	for _, r := range s {
		if len(out) == runes {
			return string(out) + "…"
		}
		if unicode.Is(unicode.C, r) {
			r = '\uFFFD'
		}
		out = append(out, r)
	}
	return string(out)
}
