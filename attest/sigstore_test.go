package attest

import (
	"crypto"
	"encoding/hex"
	"testing"
	"time"

	"affidavit/attest/keys"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// keyed is sigstore-go's trusted material with one public key, whatever the hint.
type keyed struct {
	root.TrustedMaterial
	verifier signature.Verifier
}

type alwaysValid struct{ signature.Verifier }

func (alwaysValid) ValidAtTime(time.Time) bool { return true }

func (k keyed) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return alwaysValid{k.verifier}, nil
}

func sigstoreMaterial(t testing.TB, f *fixture, s *Signed) root.TrustedMaterial {
	t.Helper()
	b, err := f.set.TrustedRoot().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	material, err := root.NewTrustedRootFromJSON(b)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := keys.ParsePublicKey(s.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := signature.LoadVerifier(pub, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return keyed{material, v}
}

// sigstoreVerify asks sigstore-go, offline, with every check that it has.
func sigstoreVerify(t testing.TB, f *fixture, s *Signed, raw []byte, digestHex string) error {
	t.Helper()
	options := []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithSignedTimestamps(1)}
	policy := []verify.PolicyOption{verify.WithKey()}
	if s.Certificate != nil {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
		id, err := verify.NewShortCertificateIdentity("https://idp.bank.example", "", "alice@bank.example", "")
		if err != nil {
			t.Fatal(err)
		}
		policy = []verify.PolicyOption{verify.WithCertificateIdentity(id)}
	}
	v, err := verify.NewVerifier(sigstoreMaterial(t, f, s), options...)
	if err != nil {
		t.Fatal(err)
	}
	b := new(bundle.Bundle)
	if err := b.UnmarshalJSON(raw); err != nil {
		return err
	}
	digest, err := hex.DecodeString(digestHex)
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), policy...))
	return err
}

// TestSigstoreGoAccepts: a verifier that is not ours takes our bundles, by key
// and by certificate, and refuses them for another artefact.
func TestSigstoreGoAccepts(t *testing.T) {
	f := newFixture(t)
	f.fill(t, 4)
	f.add(t, dataStatement(t, "by key"), f.set.Service)
	f.add(t, dataStatement(t, "by certificate"), f.certified(t, "alice@bank.example"))
	f.fill(t, 5)
	for _, index := range []int64{4, 5} {
		s, raw := f.signed[index], f.bundle(t, index)
		if err := sigstoreVerify(t, f, s, raw, digestOf("rows")); err != nil {
			t.Errorf("entry %d: sigstore-go refuses: %v", index, err)
		}
		if err := sigstoreVerify(t, f, s, raw, digestOf("other rows")); err == nil {
			t.Errorf("entry %d: sigstore-go takes it for another artefact", index)
		}
		b, err := ParseBundle(raw)
		if err != nil {
			t.Fatal(err)
		}
		b.Payload[30] ^= 1
		forged, err := MarshalBundle(&b.Signed, b.Proof, b.Timestamp)
		if err != nil {
			t.Fatal(err)
		}
		if err := sigstoreVerify(t, f, s, forged, digestOf("rows")); err == nil {
			t.Errorf("entry %d: sigstore-go takes a forged payload", index)
		}
	}
	// A statement about itself verifies against its predicate's digest.
	st, _, err := ParseStatement(f.signed[0].Payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := sigstoreVerify(t, f, f.signed[0], f.bundle(t, 0), st.Subject[0].Digest["sha256"]); err != nil {
		t.Errorf("statement without artefact: %v", err)
	}
}

// TestLeafBodyIsCanonical compares the log entry, which is written by hand for
// speed, with the canonical form of itself; sigstore-go, in the test above,
// rebuilds it from protobuf.
func TestLeafBodyIsCanonical(t *testing.T) {
	f := newFixture(t)
	f.add(t, dataStatement(t, "by key"), f.set.Service)
	f.add(t, dataStatement(t, "by certificate"), f.certified(t, "alice@bank.example"))
	for i, s := range f.signed {
		body, err := s.LeafBody()
		if err != nil {
			t.Fatal(err)
		}
		want, err := jsoncanonicalizer.Transform(body)
		if err != nil {
			t.Fatal(err)
		}
		if string(body) != string(want) {
			t.Errorf("entry %d: %s\nwant %s", i, body, want)
		}
	}
}
