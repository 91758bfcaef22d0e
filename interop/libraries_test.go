//go:build interop

package interop

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"net/url"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/pack"
)

// keyed is sigstore-go's trusted material with one key, whatever the hint.
type keyed struct {
	root.TrustedMaterial
	verifier signature.Verifier
}

type always struct{ signature.Verifier }

func (always) ValidAtTime(time.Time) bool { return true }

func (k keyed) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return always{k.verifier}, nil
}

// sigstoreGo asks sigstore-go, with every check that it has.
func sigstoreGo(t *testing.T, material *root.TrustedRoot, f bundleFile, key []byte, raw []byte) error {
	t.Helper()
	pub, err := keys.ParsePublicKey(key)
	check(t, err)
	v, err := signature.LoadVerifier(pub, crypto.SHA256)
	check(t, err)
	options := []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithSignedTimestamps(1)}
	who := verify.WithKey()
	if f.Key == "" {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
		id, err := verify.NewShortCertificateIdentity(f.Issuer, "", f.Identity, "")
		check(t, err)
		who = verify.WithCertificateIdentity(id)
	}
	verifier, err := verify.NewVerifier(keyed{material, v}, options...)
	check(t, err)
	b := new(bundle.Bundle)
	if err := b.UnmarshalJSON(raw); err != nil {
		return err
	}
	digest, err := hex.DecodeString(f.Subject)
	check(t, err)
	_, err = verifier.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), who))
	return err
}

// TestSigstoreGo: sigstore-go and our verifier agree on every bundle, and on
// every bundle with its payload, signature, proof, checkpoint or timestamp altered.
func TestSigstoreGo(t *testing.T) {
	e := demo(t)
	material, err := root.NewTrustedRootFromJSON(e.rootBytes)
	check(t, err)
	alterations := []struct {
		name string
		edit func(*attest.Bundle)
	}{
		{"payload", func(b *attest.Bundle) {
			b.Payload = bytes.Replace(b.Payload, []byte("predicate"), []byte("Predicate"), 1)
		}},
		{"signature", func(b *attest.Bundle) { b.Signature[len(b.Signature)-1] ^= 1 }},
		{"proof", func(b *attest.Bundle) { b.Proof.Hashes[0][0] ^= 1 }},
		{"timestamp", func(b *attest.Bundle) { b.Timestamp[len(b.Timestamp)-1] ^= 1 }},
		{"checkpoint", func(b *attest.Bundle) {
			text := []byte(b.Proof.Checkpoint)
			i := bytes.LastIndexByte(bytes.TrimSpace(text), ' ') + 20
			text[i] = map[bool]byte{true: 'B', false: 'A'}[text[i] == 'A']
			b.Proof.Checkpoint = string(text)
		}},
	}
	agreed, refused := 0, 0
	for _, f := range e.bundles {
		b, err := attest.ParseBundle(f.raw)
		check(t, err)
		ours, err := pack.VerifyBundle(f.raw, e.rootBytes)
		if err != nil || ours.Exit() != pack.ExitVerified {
			t.Errorf("%s: we refuse it: %v %v", f.Path, err, ours)
		}
		if err := sigstoreGo(t, material, f, b.PublicKey, f.raw); err != nil {
			t.Errorf("%s: sigstore-go refuses it: %v", f.Path, err)
		}
		agreed++
		for _, a := range alterations {
			raw := alter(t, f.raw, a.edit)
			ours, err := pack.VerifyBundle(raw, e.rootBytes)
			we := err == nil && ours.Exit() == pack.ExitVerified
			they := sigstoreGo(t, material, f, b.PublicKey, raw) == nil
			if we || they {
				t.Errorf("%s with its %s altered: we accept %v, sigstore-go accepts %v", f.Path, a.name, we, they)
			}
			refused++
		}
	}
	t.Logf("agreed on %d bundles accepted and %d altered ones refused", agreed, refused)
}

// TestTessera: the client and fsck of tessera accept the tiles that the demo's server gives.
func TestTessera(t *testing.T) {
	e := demo(t)
	trusted, err := keys.ParseTrustedRoot(e.rootBytes)
	check(t, err)
	verifier, err := keys.NewLogVerifier(trusted.Logs[0].Origin, trusted.Logs[0].SPKI)
	check(t, err)
	at, err := url.Parse(e.base + "/")
	check(t, err)
	fetch, err := client.NewHTTPFetcher(at, nil)
	check(t, err)
	if err := fsck.New(verifier.Name(), verifier, fetch, leafHashes, fsck.Opts{N: 2}).Check(t.Context()); err != nil {
		t.Fatal("fsck:", err)
	}
	cp, _, _, err := client.FetchCheckpoint(t.Context(), fetch.ReadCheckpoint, verifier, verifier.Name())
	check(t, err)
	prover, err := client.NewProofBuilder(t.Context(), cp.Size, fetch.ReadTile)
	check(t, err)
	for _, f := range e.bundles {
		b, err := attest.ParseBundle(f.raw)
		check(t, err)
		index := uint64(b.LogIndex)
		path, err := prover.InclusionProof(t.Context(), index)
		check(t, err)
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, cp.Size, rfc6962.DefaultHasher.HashLeaf(b.Body), path, cp.Hash); err != nil {
			t.Errorf("%s is not in the tree that the server shows: %v", f.Path, err)
		}
	}
	t.Logf("fsck accepts the log of %d entries; all %d bundles of the pack are in it", cp.Size, len(e.bundles))
}

func leafHashes(raw []byte) ([][]byte, error) {
	var eb api.EntryBundle
	if err := eb.UnmarshalText(raw); err != nil {
		return nil, err
	}
	var out [][]byte
	for _, leaf := range eb.Entries {
		out = append(out, rfc6962.DefaultHasher.HashLeaf(leaf))
	}
	return out, nil
}
