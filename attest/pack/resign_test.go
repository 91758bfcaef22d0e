package pack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/attest/pack"
	"affidavit/attest/tlog"
)

// resign is what a dishonest exporter with the keys does: it changes files,
// manifest and export statement, and signs and logs them again.
func (w *world) resign(f map[string][]byte, proj string, manifest func(m *pack.Manifest), export func(x *attest.Export)) []byte {
	w.t.Helper()
	ctx := context.Background()
	relist(w.t, f)
	var m pack.Manifest
	check(w.t, json.Unmarshal(f[pack.ManifestFile], &m))
	if manifest != nil {
		manifest(&m)
	}
	b, err := attest.CanonicalJSON(m)
	check(w.t, err)
	f[pack.ManifestFile] = b
	sum := sha256.Sum256(b)
	digest := hex.EncodeToString(sum[:])
	x := attest.Export{Query: m.Query, Project: m.Project, TreeSize: m.TreeSize, Root: m.Root, Manifest: digest}
	for _, line := range m.Bundles {
		x.Entries = append(x.Entries, attest.EntryRef{Index: line.Index, PAE: line.PAE, Kind: line.Kind})
	}
	if export != nil {
		export(&x)
	}
	ref := w.add(attest.KindExport, proj, "audrey", "", subject(pack.ManifestFile, digest), []attest.Relation{rel(attest.RelGenerated, attest.ArtefactManifest, digest, "")}, x)
	old, _ := w.checkpoint(m.TreeSize)
	now, _ := w.checkpoint(w.log.Size())
	proof, err := tlog.ProveConsistency(ctx, w.log, now.Size, old.Size)
	check(w.t, err)
	f[pack.ConsistencyFile], err = pack.MarshalConsistency(old, now, proof)
	check(w.t, err)
	f[pack.ExportFile] = w.bundle(ref.Index, now.Size)
	return zipOf(w.t, members(f))
}

// move renames a file, and its line in the manifest.
func move(f map[string][]byte, from, to string) func(m *pack.Manifest) {
	f[to] = f[from]
	delete(f, from)
	return func(m *pack.Manifest) {
		for i := range m.Bundles {
			if m.Bundles[i].Path == from {
				m.Bundles[i].Path = to
			}
		}
	}
}

func TestDishonestExporter(t *testing.T) {
	for _, tc := range []struct {
		name, code, words string
		forge             func(w *world, f map[string][]byte) []byte
	}{
		{"nothing changed", "", "", func(w *world, f map[string][]byte) []byte { return w.resign(f, project, nil, nil) }},
		{"another query signed", pack.CodeExport, "query, tree size or root differ", func(w *world, f map[string][]byte) []byte {
			return w.resign(f, project, nil, func(x *attest.Export) { x.Query = "version lending 1" })
		}},
		{"another root signed", pack.CodeExport, "query, tree size or root differ", func(w *world, f map[string][]byte) []byte {
			return w.resign(f, project, nil, func(x *attest.Export) { x.Root = digestOf("x") })
		}},
		{"logged in another project", pack.CodeExport, "logged in project", func(w *world, f map[string][]byte) []byte { return w.resign(f, "other", nil, nil) }},
		{"an entry more in the signed list", pack.CodeDropped, "which the pack dropped", func(w *world, f map[string][]byte) []byte {
			return w.resign(f, project, nil, func(x *attest.Export) { x.Entries = append(x.Entries, w.entryRef(w.log.Size()-1)) })
		}},
		{"an entry less in the signed list", pack.CodeDropped, "is not in the export's list", func(w *world, f map[string][]byte) []byte {
			return w.resign(f, project, nil, func(x *attest.Export) { x.Entries = x.Entries[:len(x.Entries)-1] })
		}},
		{"signed list in another order", pack.CodeDropped, "in another order", func(w *world, f map[string][]byte) []byte {
			return w.resign(f, project, nil, func(x *attest.Export) { x.Entries[3], x.Entries[4] = x.Entries[4], x.Entries[3] })
		}},
		{"bundle proved to another tree", pack.CodeCheckpoint, "it is proved to a tree of size", func(w *world, f map[string][]byte) []byte {
			f[find(w.t, f, attest.KindDecision)] = w.bundle(26, 30)
			return w.resign(f, project, nil, nil)
		}},
		{"bundle listed as a mere file", pack.CodeUnlistedFile, "among the bundles", func(w *world, f map[string][]byte) []byte {
			return w.resign(f, project, func(m *pack.Manifest) { m.Bundles = m.Bundles[:len(m.Bundles)-1] }, nil)
		}},
		{"grant moved out of governance", pack.CodeBundle, "belong to governance/", func(w *world, f map[string][]byte) []byte {
			name := find(w.t, f, attest.KindRoleGrant)
			b := f[name]
			var m pack.Manifest
			check(w.t, json.Unmarshal(f[pack.ManifestFile], &m))
			to := strings.Replace(name, "governance/", "bundles/", 1)
			for i := range m.Bundles {
				if m.Bundles[i].Path == name {
					m.Bundles[i].Path = to
				}
			}
			delete(f, name)
			f[to] = b
			lines := m.Bundles
			return w.resign(f, project, func(m *pack.Manifest) { m.Bundles = lines }, nil)
		}},
		{"another subject in the manifest", pack.CodeBundle, "predicate type, subject or signer differ", func(w *world, f map[string][]byte) []byte {
			return w.resign(f, project, func(m *pack.Manifest) { m.Bundles[9].Subject = digestOf("x") }, nil)
		}},
		{"another key in the manifest", pack.CodeBundle, "predicate type, subject or signer differ", func(w *world, f map[string][]byte) []byte {
			return w.resign(f, project, func(m *pack.Manifest) { m.Bundles[9].Key = m.Bundles[0].Key }, nil)
		}},
		{"document renamed", pack.CodeDocument, "of that name with these bytes", func(w *world, f map[string][]byte) []byte {
			return w.resign(f, project, move(f, "documents/model-card.pdf", "documents/validation-report.pdf"), nil)
		}},
		{"checkpoint of an earlier size", pack.CodeCheckpoint, "the manifest claims", func(w *world, f map[string][]byte) []byte {
			_, text := w.checkpoint(30)
			f[pack.CheckpointFile] = []byte(text)
			return w.resign(f, project, nil, nil)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := standard(t)
			packed := tc.forge(w, files(t, w.export()))
			r := w.verify(packed)
			if tc.code == "" && r.Exit() == pack.ExitVerified {
				return
			}
			for _, got := range r.Refusals {
				if got.Code == tc.code && strings.Contains(got.Words, tc.words) {
					return
				}
			}
			t.Errorf("exit %d, want %s %q:\n%s", r.Exit(), tc.code, tc.words, refusals(r))
		})
	}
}

// TestZipFlags: an encrypted file and an unknown compression are refused.
func TestZipFlags(t *testing.T) {
	w := standard(t)
	packed := w.export()
	at := bytes.LastIndex(packed, []byte(pack.VerifyFile)) - 46 // its directory entry
	for _, tc := range []struct {
		name, words string
		offset      int
		value       uint16
	}{{"encrypted", "encrypted", 8, 1}, {"bzip2", "compression method 12", 10, 12}} {
		b := bytes.Clone(packed)
		binary.LittleEndian.PutUint16(b[at+tc.offset:], tc.value)
		if r := w.verify(b); r.Exit() != pack.ExitRefused || r.Refusals[0].Code != pack.CodeName || !strings.Contains(r.Refusals[0].Words, tc.words) {
			t.Errorf("%s:\n%s", tc.name, refusals(r))
		}
	}
}
