//go:build cloud

package keys

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/signature/kms"
)

// fromURI asks sigstore's registry: providers linked into the binary, then a
// plugin program sigstore-kms-<scheme> on the path.
func fromURI(ctx context.Context, uri string) (Signer, error) {
	sv, err := kms.Get(ctx, uri, crypto.SHA256)
	var missing *kms.ProviderNotFoundError
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("key URI %q: %w: link a provider or put its sigstore-kms plugin on the path", uri, ErrNoProvider)
	}
	if err != nil {
		return nil, fmt.Errorf("key URI %q: %w", uri, err)
	}
	return fromSigstore(sv)
}
