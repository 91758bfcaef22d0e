package pack

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/attest/tlog"
)

func validManifest() *Manifest {
	hex := strings.Repeat("a", 64)
	key := "keys/" + hex + ".pub"
	return &Manifest{MediaType: manifestMediaType, Project: "p", Query: QueryProject, Origin: "log.example", TreeSize: 9, Root: hex,
		Files: []ManifestFileEntry{{Path: "bundles/7-decision.sigstore.json", SHA256: hex, Size: 3}, {Path: "bundles/8-export.sigstore.json", SHA256: hex, Size: 3}, {Path: key, SHA256: hex}},
		Bundles: []ManifestBundle{{Path: "bundles/7-decision.sigstore.json", Index: 7, Kind: "decision", PAE: hex, PredicateType: "x", Subject: hex, Key: key},
			{Path: "bundles/8-export.sigstore.json", Index: 8, Kind: "export", PAE: hex, PredicateType: "x", Subject: hex, Identity: "a@b", Issuer: "https://c"}}}
}

func TestParseManifest(t *testing.T) {
	for _, tc := range []struct {
		words  string // "" when it parses
		change func(m *Manifest)
	}{
		{"", func(*Manifest) {}},
		{"mediaType", func(m *Manifest) { m.MediaType = "text/plain" }},
		{"query and origin", func(m *Manifest) { m.Query = "" }},
		{"treeSize must be positive", func(m *Manifest) { m.TreeSize = 0 }},
		{"root 64 hex digits", func(m *Manifest) { m.Root = strings.ToUpper(m.Root) }},
		{"not in order", func(m *Manifest) { m.Files[0], m.Files[1] = m.Files[1], m.Files[0] }},
		{"listed twice", func(m *Manifest) { m.Files[1].Path = m.Files[0].Path }},
		{"the path leaves the pack", func(m *Manifest) { m.Files[2].Path = "keys/../x" }},
		{"no file of a pack", func(m *Manifest) { m.Files[2].Path = "run.sh" }},
		{"cannot be listed", func(m *Manifest) { m.Files[2].Path = ExportFile }},
		{"needs a sha256", func(m *Manifest) { m.Files[2].SHA256 = "00" }},
		{"needs a sha256", func(m *Manifest) { m.Files[2].Size = -1 }},
		{"does not say index", func(m *Manifest) { m.Bundles[0].Index = 6 }},
		{"does not say index", func(m *Manifest) { m.Bundles[0].Kind = "waiver" }},
		{"not among files", func(m *Manifest) {
			m.Bundles[1].Path, m.Bundles[1].Index = "bundles/88-export.sigstore.json", 88
		}},
		{"does not rise", func(m *Manifest) { m.Bundles[0], m.Bundles[1] = m.Bundles[1], m.Bundles[0] }},
		{"beyond the tree", func(m *Manifest) { m.TreeSize = 8 }},
		{"pae must be", func(m *Manifest) { m.Bundles[0].PAE = "x" }},
		{"either key, or identity and issuer", func(m *Manifest) { m.Bundles[1].Issuer = "" }},
		{"either key, or identity and issuer", func(m *Manifest) { m.Bundles[1].Key = m.Bundles[0].Key }},
		{"names key", func(m *Manifest) { m.Bundles[0].Key = "keys/" + strings.Repeat("b", 64) + ".pub" }},
	} {
		m := validManifest()
		tc.change(m)
		b, err := attest.CanonicalJSON(m)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parseManifest(b)
		if tc.words == "" && err != nil || tc.words != "" && (err == nil || !strings.Contains(err.Error(), tc.words)) {
			t.Errorf("%v, want %q", err, tc.words)
		}
	}
	good, err := attest.CanonicalJSON(validManifest())
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"spaces": append([]byte(" "), good...), "more behind it": append(bytes.Clone(good), '1'), "unknown field": bytes.Replace(good, []byte(`{"bundles"`), []byte(`{"a":1,"bundles"`), 1),
		"duplicate field": bytes.Replace(good, []byte(`"project":"p"`), []byte(`"project":"p","project":"p"`), 1), "nothing": nil,
	} {
		if _, err := parseManifest(b); err == nil {
			t.Errorf("%s: it parses", name)
		}
	}
}

// TestDirectoryLimits: a huge directory is refused while it is read, before
// memory is spent on it.
func TestDirectoryLimits(t *testing.T) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	long := strings.Repeat("n", 60_000) // names and extra fields count too
	for i := range 700 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(long, i), Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Code != CodeArchiveSize {
		t.Errorf("%v, want a refusal for size", err)
	}
	if _, err := Open(bytes.NewReader(nil), maxPack+1); !errors.As(err, &refusal) || refusal.Code != CodeArchiveSize {
		t.Errorf("%v, want a refusal for size", err)
	}
}

func TestConsistencyOfEqualTrees(t *testing.T) {
	a := tlog.Checkpoint{Origin: "log.example", Size: 3, Root: tlog.LeafHash([]byte("a"))}
	b := tlog.Checkpoint{Origin: "log.example", Size: 3, Root: tlog.LeafHash([]byte("b"))}
	for _, tc := range []struct {
		old, new tlog.Checkpoint
		proof    []tlog.Hash
		ok       bool
	}{{a, a, nil, true}, {a, b, nil, false}, {a, a, []tlog.Hash{a.Root}, false}} {
		raw, err := MarshalConsistency(tc.old, tc.new, tc.proof)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkConsistency(raw, tc.old, tc.new); (err == nil) != tc.ok {
			t.Errorf("%v, want ok = %v", err, tc.ok)
		}
	}
}

func TestClip(t *testing.T) {
	if got := clip("a\x1b[31m\u202eb" + strings.Repeat("x", 100)); strings.ContainsAny(got, "\x1b\u202e") || len([]rune(got)) != 81 {
		t.Errorf("%q", got)
	}
}
