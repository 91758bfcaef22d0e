package pack

import (
	"archive/zip"
	"bytes"
	"errors"
	"testing"

	"affidavit/attest"
	"affidavit/attest/tlog"
)

// seedZip is a small zip in the layout of a pack.
func seedZip(f *testing.F, method uint16) []byte {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range []string{ManifestFile, "bundles/7-decision.sigstore.json", "documents/card.pdf", VerifyFile} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err != nil {
			f.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte(name), 9)); err != nil {
			f.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	return out.Bytes()
}

// FuzzOpen: whatever the bytes, the opener neither panics nor hands out a file
// outside the layout or larger than its class allows, and every error is
// either a refusal or says that the input is unreadable.
func FuzzOpen(f *testing.F) {
	f.Add(seedZip(f, zip.Deflate))
	f.Add(seedZip(f, zip.Store))
	f.Add([]byte("PK\x05\x06" + string(make([]byte, 18))))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Open(bytes.NewReader(b), int64(len(b)))
		var refusal *Refusal
		if err != nil {
			if !errors.As(err, &refusal) && !errors.Is(err, ErrUnreadable) {
				t.Fatalf("unclassified error: %v", err)
			}
			return
		}
		var total uint64
		for _, name := range a.Names() {
			_, limit, err := classify(name)
			if err != nil {
				t.Fatalf("%q is outside the layout", name)
			}
			content, err := a.Read(name)
			if err != nil {
				if !errors.As(err, &refusal) {
					t.Fatalf("unclassified error: %v", err)
				}
				continue
			}
			if total += uint64(len(content)); uint64(len(content)) > limit {
				t.Fatalf("%s has %d bytes", name, len(content))
			}
		}
		if total > ratioFloor*uint64(len(a.Names()))+maxRatio*uint64(len(b)) {
			t.Fatalf("%d bytes unpack to %d", len(b), total)
		}
	})
}

// FuzzManifest: a manifest that parses is in its one canonical form.
func FuzzManifest(f *testing.F) {
	hex := string(bytes.Repeat([]byte("a"), 64))
	m := Manifest{MediaType: manifestMediaType, Project: "p", Query: QueryProject, Origin: "log.example", TreeSize: 9, Root: hex,
		Files: []ManifestFileEntry{{Path: "bundles/7-decision.sigstore.json", SHA256: hex, Size: 3}, {Path: "keys/" + hex + ".pub", SHA256: hex}},
		Bundles: []ManifestBundle{{Path: "bundles/7-decision.sigstore.json", Index: 7, Kind: "decision", PAE: hex, PredicateType: "x", Subject: hex,
			Key: "keys/" + hex + ".pub"}}}
	b, err := attest.CanonicalJSON(m)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := parseManifest(b); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(bytes.Replace(b, []byte(`"index":7`), []byte(`"index":70`), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		again, err := attest.CanonicalJSON(m)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("two spellings of one manifest: %v", err)
		}
		last := int64(-1)
		for _, line := range m.Bundles {
			if line.Index <= last || line.Index >= m.TreeSize {
				t.Fatalf("index %d is out of order or out of the tree", line.Index)
			}
			last = line.Index
		}
	})
}

// FuzzConsistency: only the true proof between two checkpoints is accepted.
func FuzzConsistency(f *testing.F) {
	log := tlog.NewMemory()
	var points []tlog.Checkpoint
	for i := range 13 {
		log.Append(tlog.LeafHash([]byte{byte(i)}))
		points = append(points, tlog.Checkpoint{Origin: "log.example", Size: log.Size(), Root: log.Root()})
	}
	proof, err := tlog.ProveConsistency(f.Context(), log, 13, 6)
	if err != nil {
		f.Fatal(err)
	}
	good, err := MarshalConsistency(points[5], points[12], proof)
	if err != nil {
		f.Fatal(err)
	}
	if err := checkConsistency(good, points[5], points[12]); err != nil {
		f.Fatal(err)
	}
	var want consistencyProof
	if err := attest.StrictUnmarshal(good, &want, maxSmall); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"mediaType":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkConsistency(b, points[5], points[12]) != nil {
			return
		}
		var got consistencyProof
		if err := attest.StrictUnmarshal(b, &got, maxSmall); err != nil {
			t.Fatal(err)
		}
		if len(got.Hashes) != len(want.Hashes) {
			t.Fatal("a proof of another length was accepted")
		}
		for i := range want.Hashes {
			if !bytes.Equal(got.Hashes[i], want.Hashes[i]) {
				t.Fatal("another proof was accepted")
			}
		}
	})
}
