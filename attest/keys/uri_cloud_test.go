//go:build cloud

package keys

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature/kms/fake"
)

// TestFromURIWithFakeProvider signs through sigstore's KMS registry.
func TestFromURIWithFakeProvider(t *testing.T) {
	priv, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(context.Background(), fake.KmsCtxKey{}, priv)
	s, err := FromURI(ctx, fake.ReferenceScheme+"key")
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign(ctx, []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("message"))
	if !ecdsa.VerifyASN1(&priv.PublicKey, sum[:], sig) {
		t.Error("the signature does not verify")
	}
}
