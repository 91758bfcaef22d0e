package pack_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"sort"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/pack"
)

// files unpacks a zip that the tests wrote.
func files(t testing.TB, packed []byte) map[string][]byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	check(t, err)
	out := map[string][]byte{}
	for _, f := range z.File {
		rc, err := f.Open()
		check(t, err)
		out[f.Name], err = io.ReadAll(rc)
		check(t, err)
		check(t, rc.Close())
	}
	return out
}

// member is one file of a zip as a forger writes it.
type member struct {
	name   string
	body   []byte
	header zip.FileHeader
}

func zipOf(t testing.TB, members []member) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, m := range members {
		h := m.header
		h.Name, h.Method = m.name, zip.Deflate
		f, err := z.CreateHeader(&h)
		check(t, err)
		_, err = f.Write(m.body)
		check(t, err)
	}
	check(t, z.Close())
	return out.Bytes()
}

func members(files map[string][]byte) []member {
	var out []member
	for name, body := range files {
		out = append(out, member{name: name, body: body})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

// relist makes the manifest fit the files, as a forger without keys can.
func relist(t testing.TB, files map[string][]byte) {
	t.Helper()
	var m pack.Manifest
	check(t, json.Unmarshal(files[pack.ManifestFile], &m))
	m.Files = m.Files[:0]
	for _, f := range members(files) {
		if f.name == pack.ManifestFile || f.name == pack.ExportFile || f.name == pack.ConsistencyFile {
			continue
		}
		sum := sha256.Sum256(f.body)
		m.Files = append(m.Files, pack.ManifestFileEntry{Path: f.name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(f.body))})
	}
	kept := m.Bundles[:0]
	for _, b := range m.Bundles {
		if files[b.Path] != nil {
			kept = append(kept, b)
		}
	}
	m.Bundles = kept
	b, err := attest.CanonicalJSON(m)
	check(t, err)
	files[pack.ManifestFile] = b
}

// find returns the name of the first bundle of a kind.
func find(t testing.TB, files map[string][]byte, kind string) string {
	t.Helper()
	for _, m := range members(files) {
		if strings.HasSuffix(m.name, "-"+kind+".sigstore.json") {
			return m.name
		}
	}
	t.Fatalf("no bundle of kind %s", kind)
	return ""
}

// edit changes one bundle as JSON.
func edit(t testing.TB, bundle []byte, change func(b, entry, proof map[string]any)) []byte {
	t.Helper()
	var b map[string]any
	check(t, json.Unmarshal(bundle, &b))
	entry := b["verificationMaterial"].(map[string]any)["tlogEntries"].([]any)[0].(map[string]any)
	change(b, entry, entry["inclusionProof"].(map[string]any))
	out, err := json.Marshal(b)
	check(t, err)
	return out
}

// flip changes one byte in the middle of base64 text.
func flip(t testing.TB, text any) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text.(string))
	check(t, err)
	raw[len(raw)/2] ^= 1
	return base64.StdEncoding.EncodeToString(raw)
}

// tampering is one way to cheat, and the reason for which it is refused.
type tampering struct {
	name string
	// forge changes an honest pack; log makes a log that a server without its
	// checks would have made, and exports it. One of them is set.
	forge func(t *testing.T, w *world, packed []byte) []byte
	log   func(w *world) []byte
	opt   func(w *world) pack.Options // nil: the world's trusted root
	code  string
	words string
}

// rewrite is a forgery of files, with the manifest made to fit.
func rewrite(change func(t *testing.T, w *world, f map[string][]byte)) func(*testing.T, *world, []byte) []byte {
	return func(t *testing.T, w *world, packed []byte) []byte {
		f := files(t, packed)
		change(t, w, f)
		relist(t, f)
		return zipOf(t, members(f))
	}
}

// bundleForgery changes the first bundle of a kind.
func bundleForgery(kind string, change func(t *testing.T, w *world, b, entry, proof map[string]any)) func(*testing.T, *world, []byte) []byte {
	return rewrite(func(t *testing.T, w *world, f map[string][]byte) {
		name := find(t, f, kind)
		f[name] = edit(t, f[name], func(b, entry, proof map[string]any) { change(t, w, b, entry, proof) })
	})
}

// bundleForgeries change one attestation.
func bundleForgeries() []tampering {
	return []tampering{
		{name: "payload of a decision", code: attest.CodePayload, words: "not the one that was signed",
			forge: bundleForgery(attest.KindDecision, func(t *testing.T, _ *world, b, _, _ map[string]any) {
				env := b["dsseEnvelope"].(map[string]any)
				raw, err := base64.StdEncoding.DecodeString(env["payload"].(string))
				check(t, err)
				env["payload"] = base64.StdEncoding.EncodeToString(bytes.Replace(raw, []byte(`"reason":"sound"`), []byte(`"reason":"fine!"`), 1))
			})},
		{name: "signature of a decision", code: attest.CodeSignature, words: "does not verify",
			forge: bundleForgery(attest.KindDecision, func(t *testing.T, _ *world, b, _, _ map[string]any) {
				sig := b["dsseEnvelope"].(map[string]any)["signatures"].([]any)[0].(map[string]any)
				sig["sig"] = flip(t, sig["sig"])
			})},
		{name: "hash of an inclusion proof", code: attest.CodeProof, words: "",
			forge: bundleForgery(attest.KindDecision, func(t *testing.T, _ *world, _, _, proof map[string]any) {
				hashes := proof["hashes"].([]any)
				hashes[0] = flip(t, hashes[0])
			})},
		{name: "outer log index", code: attest.CodeIndex, words: "logIndex",
			forge: bundleForgery(attest.KindDecision, func(_ *testing.T, _ *world, _, entry, _ map[string]any) { entry["logIndex"] = "1" })},
		{name: "body of the log entry", code: attest.CodeBody, words: "not the log entry",
			forge: bundleForgery(attest.KindDecision, func(t *testing.T, _ *world, _, entry, _ map[string]any) {
				raw, err := base64.StdEncoding.DecodeString(entry["canonicalizedBody"].(string))
				check(t, err)
				i := bytes.Index(raw, []byte(`"content":"`)) + 20
				if raw[i]++; raw[i] > 'y' || raw[i] < 'A' {
					raw[i] = 'B'
				}
				entry["canonicalizedBody"] = base64.StdEncoding.EncodeToString(raw)
			})},
		{name: "checkpoint of a bundle", code: attest.CodeCheckpoint, words: "invalid signature",
			forge: bundleForgery(attest.KindDecision, func(t *testing.T, w *world, _, _, proof map[string]any) {
				cp := proof["checkpoint"].(map[string]any)
				lines := strings.SplitN(cp["envelope"].(string), "\n", 4)
				lines[2] = flip(t, lines[2])
				cp["envelope"] = strings.Join(lines, "\n")
			})},
		{name: "checkpoint of the pack", code: pack.CodeCheckpoint, words: "",
			forge: rewrite(func(_ *testing.T, w *world, f map[string][]byte) {
				_, text := w.checkpoint(w.log.Size() - 3)
				f[pack.CheckpointFile] = []byte(text)
			})},
		{name: "timestamp of another signature", code: attest.CodeTimestamp, words: "",
			forge: bundleForgery(attest.KindDecision, func(t *testing.T, w *world, b, _, _ map[string]any) {
				stamp, err := w.set.TSA.Stamp([]byte("another signature"), epoch)
				check(t, err)
				list := b["verificationMaterial"].(map[string]any)["timestampVerificationData"].(map[string]any)["rfc3161Timestamps"].([]any)
				list[0].(map[string]any)["signedTimestamp"] = base64.StdEncoding.EncodeToString(stamp)
			})},
	}
}

// fileForgeries change files, lists and the root of an honest pack.
func fileForgeries() []tampering {
	return []tampering{
		{name: "swapped file", code: pack.CodeFileDigest, words: "not those that the manifest lists",
			forge: func(t *testing.T, _ *world, packed []byte) []byte {
				f := files(t, packed)
				f[pack.VerifyFile] = []byte("# Nothing to see\n")
				return zipOf(t, members(f))
			}},
		{name: "two bundles exchanged", code: pack.CodeBundle, words: "listed as entry",
			forge: rewrite(func(t *testing.T, _ *world, f map[string][]byte) {
				a, b := find(t, f, attest.KindDecision), find(t, f, attest.KindAcceptance)
				f[a], f[b] = f[b], f[a]
			})},
		{name: "dropped bundle, manifest rewritten", code: pack.CodeDropped, words: "which the pack dropped",
			forge: rewrite(func(t *testing.T, _ *world, f map[string][]byte) { delete(f, find(t, f, attest.KindOutcomes)) })},
		{name: "manifest rewritten", code: pack.CodeManifest, words: "not the manifest that the export signed",
			forge: rewrite(func(_ *testing.T, _ *world, f map[string][]byte) { f[pack.VerifyFile] = []byte("# Trust me\n") })},
		{name: "remade under another log key, with its own root", code: pack.CodeTrustedRoot, words: "it names a key for the log log.bank.example that the trusted one does not",
			forge: func(t *testing.T, _ *world, _ []byte) []byte { return standard(t).export() }},
		{name: "remade under another log key, with the true root put in", code: pack.CodeCheckpoint, words: "not signed by the log",
			forge: func(t *testing.T, w *world, _ []byte) []byte {
				f := files(t, standard(t).export())
				f[pack.RootFile] = w.root()
				relist(t, f)
				return zipOf(t, members(f))
			}},
		{name: "remade under another log key, judged by fingerprint", code: pack.CodeLogKey, words: "fingerprint",
			opt:   func(w *world) pack.Options { return pack.Options{LogKeyFingerprint: w.set.Log.Fingerprint()} },
			forge: func(t *testing.T, _ *world, _ []byte) []byte { return standard(t).export() }},
		{name: "another timestamp authority in the root, judged by fingerprint", code: pack.CodeTrustedRoot, words: "timestamp authority",
			opt: func(w *world) pack.Options { return pack.Options{LogKeyFingerprint: w.set.Log.Fingerprint()} },
			forge: rewrite(func(t *testing.T, w *world, f map[string][]byte) {
				other, err := keys.NewTSA("other", epoch)
				check(t, err)
				root := w.set.TrustedRoot()
				root.TSAs = append(root.TSAs, other.Chain())
				f[pack.RootFile], err = root.Marshal()
				check(t, err)
			})},
		{name: "consistency proof of another log", code: pack.CodeConsistency, words: "not shown to continue",
			forge: func(t *testing.T, w *world, packed []byte) []byte {
				f := files(t, packed)
				f[pack.ConsistencyFile] = files(t, standard(t).export())[pack.ConsistencyFile]
				return zipOf(t, members(f))
			}},
		{name: "edited PDF", code: pack.CodePDF, words: "digest mismatch",
			forge: rewrite(func(t *testing.T, _ *world, f map[string][]byte) {
				b := bytes.Clone(f["documents/model-card.pdf"])
				i := bytes.Index(b, []byte("stream")) + 20
				b[i] ^= 1
				f["documents/model-card.pdf"] = b
			})},
		{name: "PDF exchanged for another", code: pack.CodeDocument, words: "no entry attests",
			forge: rewrite(func(t *testing.T, _ *world, f map[string][]byte) {
				f["documents/model-card.pdf"] = files(t, standard(t).export())["documents/model-card.pdf"]
			})},
		{name: "policy edited", code: pack.CodePolicy, words: "not the text that entry",
			forge: rewrite(func(_ *testing.T, _ *world, f map[string][]byte) {
				name := "policies/" + digestOf(policyYAML) + ".yaml"
				f[name] = bytes.Replace(f[name], []byte("count: 1"), []byte("count: 0"), 1)
			})},
		{name: "key file exchanged", code: pack.CodeKey, words: "not the public key that its name says",
			forge: rewrite(func(t *testing.T, w *world, f map[string][]byte) {
				a := "keys/" + attest.KeyID(w.signers["vera"].PublicKey()) + ".pub"
				f[a] = f["keys/"+attest.KeyID(w.signers["rick"].PublicKey())+".pub"]
			})},
		{name: "lineage edited", code: pack.CodeLineage, words: "not the graph",
			forge: rewrite(func(_ *testing.T, _ *world, f map[string][]byte) {
				f[pack.LineageFile] = bytes.Replace(f[pack.LineageFile], []byte(`"relation":"trained"`), []byte(`"relation":"concerns"`), 1)
			})},
		{name: "extra unlisted file", code: pack.CodeUnlistedFile, words: "does not list it",
			forge: func(t *testing.T, _ *world, packed []byte) []byte {
				f := files(t, packed)
				f["documents/readme.txt"] = []byte("hello")
				return zipOf(t, members(f))
			}},
		{name: "listed file missing", code: pack.CodeMissingFile, words: "does not hold it",
			forge: func(t *testing.T, _ *world, packed []byte) []byte {
				f := files(t, packed)
				delete(f, "documents/model-card.pdf")
				return zipOf(t, members(f))
			}},
	}
}

// archives are forgeries of the zip itself.
func archives() []tampering {
	add := func(extra ...member) func(*testing.T, *world, []byte) []byte {
		return func(t *testing.T, _ *world, packed []byte) []byte {
			return zipOf(t, append(members(files(t, packed)), extra...))
		}
	}
	link := member{name: "documents/link.pdf", body: []byte("/etc/passwd")}
	link.header.SetMode(0o777 | 1<<27) // fs.ModeSymlink
	return []tampering{
		{name: "zip bomb", code: pack.CodeBomb, words: "more than 200 times", forge: add(member{name: "documents/zeros.bin", body: make([]byte, 32<<20)})},
		{name: "oversized policy", code: pack.CodeBomb, words: "at most 1048576 are read",
			forge: add(member{name: "policies/" + strings.Repeat("0", 64) + ".yaml", body: make([]byte, 2<<20)})},
		{name: "duplicate name", code: pack.CodeDuplicateName, words: "occurs twice", forge: add(member{name: pack.VerifyFile, body: []byte("other")})},
		{name: "duplicate name in other case", code: pack.CodeDuplicateName, words: "occurs twice",
			forge: add(member{name: "documents/Model-Card.PDF", body: []byte("other")})},
		{name: "path traversal", code: pack.CodeName, words: "leaves the pack", forge: add(member{name: "documents/../../evil", body: []byte("x")})},
		{name: "absolute path", code: pack.CodeName, words: "leaves the pack", forge: add(member{name: "/etc/passwd", body: []byte("x")})},
		{name: "symbolic link", code: pack.CodeName, words: "link", forge: add(link)},
		{name: "directory", code: pack.CodeName, words: "", forge: add(member{name: "documents/"})},
		{name: "name outside the layout", code: pack.CodeName, words: "no file of a pack has such a name", forge: add(member{name: "run.sh", body: []byte("x")})},
		{name: "local header with another name", code: pack.CodeName, words: "local header names another file",
			forge: func(_ *testing.T, _ *world, packed []byte) []byte {
				out := bytes.Clone(packed)
				copy(out[bytes.Index(out, []byte("VERIFY.md")):], "VERIFY.mD") // the first occurrence is the local header's
				return out
			}},
		{name: "two files over the same bytes", code: pack.CodeBomb, words: "overlaps", forge: overlapping},
	}
}

// overlapping hides one file inside the stored data of another: the directory
// entry of the second points into the first, where a local header with the
// right name waits. With many files nested like that, a small zip unpacks to
// an enormous one without any file being large.
func overlapping(t *testing.T, _ *world, packed []byte) []byte {
	const inner = "documents/inner.txt"
	text := []byte("inner")
	local := make([]byte, 30, 64)
	copy(local, "PK\x03\x04\x14\x00")
	local[26] = byte(len(inner))
	quoted := append(append(local, inner...), text...)

	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, m := range append(members(files(t, packed)), member{name: "documents/outer.txt", body: quoted}, member{name: inner, body: text}) {
		f, err := z.CreateHeader(&zip.FileHeader{Name: m.name, Method: zip.Store})
		check(t, err)
		_, err = f.Write(m.body)
		check(t, err)
	}
	check(t, z.Close())
	b := out.Bytes()
	// The name stands in the quoted header, the real one and the directory.
	at := bytes.LastIndex(b, []byte(inner)) - 46
	hidden := bytes.Index(b, quoted)
	if !bytes.Equal(b[at:at+4], []byte("PK\x01\x02")) || hidden < 0 {
		t.Fatal("the directory entry is not where it was expected")
	}
	binary.LittleEndian.PutUint32(b[at+42:], uint32(hidden))
	return b
}

func TestTamper(t *testing.T) {
	honest := standard(t)
	packed := honest.export()
	for _, tc := range slices.Concat(bundleForgeries(), fileForgeries(), archives(), rogueLogs()) {
		t.Run(tc.name, func(t *testing.T) {
			w := honest
			var given []byte
			if tc.log != nil {
				w = newWorld(t)
				given = tc.log(w)
			} else {
				// Each forgery starts from a pack that verifies.
				if r := w.verify(packed); r.Exit() != pack.ExitVerified {
					t.Fatalf("the untouched pack does not verify:\n%s", refusals(r))
				}
				given = tc.forge(t, w, packed)
			}
			opt := pack.Options{TrustedRoot: w.root()}
			if tc.opt != nil {
				opt = tc.opt(w)
			}
			r, err := pack.Verify(context.Background(), bytes.NewReader(given), int64(len(given)), opt)
			check(t, err)
			if r.Exit() != pack.ExitRefused {
				t.Fatalf("exit %d: it was not refused", r.Exit())
			}
			for _, got := range r.Refusals {
				if got.Code == tc.code && strings.Contains(got.Words, tc.words) {
					t.Logf("refused: %s", got.Error())
					return
				}
			}
			t.Errorf("refused for other reasons than %s %q:\n%s", tc.code, tc.words, refusals(r))
		})
	}
}
