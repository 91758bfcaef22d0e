package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestOMSOrderAndRoot(t *testing.T) {
	files := map[string][32]byte{}
	for _, name := range []string{"a-b", "a/b", "b", "a/a-b", "a/a/z"} {
		files[name] = sha256.Sum256([]byte(name))
	}
	p, root := OMSPredicate(files)
	// "a" is less than "a-b" as a component, though "a-b" is less than "a/b" as text.
	want := []string{"a/a/z", "a/a-b", "a/b", "a-b", "b"}
	h := sha256.New()
	for i, name := range want {
		if p.Resources[i].Name != name {
			t.Fatalf("resource %d is %s, want %s", i, p.Resources[i].Name, name)
		}
		sum := sha256.Sum256([]byte(name))
		h.Write(sum[:])
	}
	if hex.EncodeToString(root[:]) != hex.EncodeToString(h.Sum(nil)) {
		t.Error("the root is not the digest of the digests in order")
	}
}

// TestOMSVectors compares with signatures that the reference implementation made.
func TestOMSVectors(t *testing.T) {
	dir := testdata(t, "vectors/bundles/oms-model-signing")
	for _, name := range []string{"v1.1.0-elliptic-key", "v1.1.0-certificate", "v1.1.0-sigstore"} {
		b, err := os.ReadFile(filepath.Join(dir, name, "model.sig"))
		if err != nil {
			t.Fatal(err)
		}
		var bundle struct {
			Envelope struct {
				Payload []byte `json:"payload"`
			} `json:"dsseEnvelope"`
		}
		if err := json.Unmarshal(b, &bundle); err != nil {
			t.Fatal(err)
		}
		st, _, err := parseInToto(bundle.Envelope.Payload)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if st.PredicateType != TypeOMS {
			t.Fatalf("%s: predicate type %s", name, st.PredicateType)
		}
		if err := validatePredicate(KindModelSignature, st.Predicate); err != nil {
			t.Errorf("%s: our schema refuses it: %v", name, err)
		}
		var p OMS
		if err := StrictUnmarshal(st.Predicate, &p, MaxPayload); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files := map[string][32]byte{}
		for _, r := range p.Resources {
			content, err := os.ReadFile(filepath.Join(dir, name, r.Name))
			if err != nil {
				t.Fatal(err)
			}
			files[r.Name] = sha256.Sum256(content)
		}
		ours, root := OMSPredicate(files)
		if got := hex.EncodeToString(root[:]); got != st.Subject[0].Digest["sha256"] {
			t.Errorf("%s: root %s, the reference has %s", name, got, st.Subject[0].Digest["sha256"])
		}
		for i, r := range ours.Resources {
			if r != p.Resources[i] {
				t.Errorf("%s: resource %d is %+v, the reference has %+v", name, i, r, p.Resources[i])
			}
		}
	}
}

// testdata returns a folder of vectors that others wrote.
func testdata(t *testing.T, path string) string {
	t.Helper()
	base := os.Getenv("AFFIDAVIT_TESTDATA")
	if base == "" {
		t.Skip("set AFFIDAVIT_TESTDATA to a folder with data/ and vectors/ to run this test")
	}
	return filepath.Join(base, path)
}
