package attest

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"affidavit/attest/keys"
	"affidavit/attest/tlog"
)

// rekorRoot is what is read of a trusted root of Sigstore's, whose other logs
// our strict reader refuses.
type rekorRoot struct {
	Tlogs []logOfRekor `json:"tlogs"`
	TSAs  []struct {
		CertChain struct {
			Certificates []rawJSON `json:"certificates"`
		} `json:"certChain"`
	} `json:"timestampAuthorities"`
}

type logOfRekor struct {
	BaseURL   string `json:"baseUrl"`
	PublicKey struct {
		RawBytes   []byte `json:"rawBytes"`
		KeyDetails string `json:"keyDetails"`
	} `json:"publicKey"`
	LogID struct {
		KeyID []byte `json:"keyId"`
	} `json:"logId"`
}

// TestRekorV2Vectors takes entries of Sigstore's own log apart with our code:
// log entry, key hash, cosigned checkpoint, inclusion proof and timestamp.
func TestRekorV2Vectors(t *testing.T) {
	for _, name := range []string{"rekor2-happy-path", "rekor2-dsse-happy-path"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(testdata(t, "vectors/bundles/conformance"), name)
			var bundle struct {
				bundleJSON
				Message struct {
					Digest struct {
						Digest []byte `json:"digest"`
					} `json:"messageDigest"`
					Signature []byte `json:"signature"`
				} `json:"messageSignature"`
			}
			readJSON(t, filepath.Join(dir, "bundle.sigstore.json"), &bundle)
			s := &Signed{Signature: bundle.Message.Signature, Certificate: bundle.Material.Certificate.RawBytes}
			digest := [32]byte{}
			copy(digest[:], bundle.Message.Digest.Digest)
			if bundle.Message.Signature == nil {
				s.Payload, s.Signature = bundle.Envelope.Payload, bundle.Envelope.Signatures[0].Sig
				digest = s.PAEDigest()
			}
			e := bundle.Material.Entries[0]
			body, err := s.leafBody(digest)
			if err != nil || string(body) != string(e.Body) {
				t.Fatalf("our log entry differs from Rekor's: %v\n%s\n%s", err, body, e.Body)
			}
			var root rekorRoot
			readJSON(t, filepath.Join(dir, "trusted_root.json"), &root)
			origin, spki := findLog(t, root, e.LogID.KeyID)
			v, err := keys.NewLogVerifier(origin, spki)
			if err != nil {
				t.Fatal(err)
			}
			c, err := tlog.ParseCheckpoint(e.Proof.Checkpoint.Envelope, v)
			if err != nil {
				t.Fatal(err)
			}
			var proof []tlog.Hash
			for _, h := range e.Proof.Hashes {
				proof = append(proof, tlog.Hash(h))
			}
			if err := tlog.CheckInclusion(proof, c.Size, c.Root, e.Proof.LogIndex, tlog.LeafHash(body)); err != nil {
				t.Error(err)
			}
			stamped := false
			for _, tsa := range root.TSAs {
				var chain [][]byte
				for _, cert := range tsa.CertChain.Certificates {
					chain = append(chain, cert.RawBytes)
				}
				if _, err := keys.VerifyTimestamp(bundle.Material.Timestamps.RFC3161[0].Signed, s.Signature, chain); err == nil {
					stamped = true
				} else {
					t.Logf("timestamp: %v", err)
				}
			}
			if !stamped {
				t.Error("no authority's timestamp verifies")
			}
		})
	}
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func findLog(t *testing.T, root rekorRoot, keyID []byte) (origin string, spki []byte) {
	t.Helper()
	for _, l := range root.Tlogs {
		if string(l.LogID.KeyID) != string(keyID) {
			continue
		}
		origin = strings.TrimPrefix(l.BaseURL, "https://")
		key, err := x509.ParsePKIXPublicKey(l.PublicKey.RawBytes)
		if err != nil {
			t.Fatal(err)
		}
		if want := keys.LogKeyHash(origin, key.(ed25519.PublicKey)); string(want) != string(keyID) {
			t.Errorf("our key hash of %s differs from Rekor's", origin)
		}
		return origin, l.PublicKey.RawBytes
	}
	t.Fatal("the trusted root does not name the log")
	return "", nil
}

// TestManagedKeyHint: the hint of a bundle without certificate is the one that
// other signers write.
func TestManagedKeyHint(t *testing.T) {
	dir := testdata(t, "vectors/bundles/oms-model-signing")
	var b bundleJSON
	raw, err := os.ReadFile(filepath.Join(dir, "v1.1.0-elliptic-key", "model.sig"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	pemBytes, err := os.ReadFile(filepath.Join(dir, "keys", "signing-key-pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	// The file describes the key in words before the PEM block.
	block, _ := pem.Decode(pemBytes)
	if block == nil {
		t.Fatal("no PEM block")
	}
	if b.Material.PublicKey == nil || b.Material.PublicKey.Hint != keyHint(block.Bytes) {
		t.Errorf("hint %+v, ours %s", b.Material.PublicKey, keyHint(block.Bytes))
	}
}
