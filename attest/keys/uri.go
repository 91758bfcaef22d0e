package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrNoProvider is wrapped when no KMS provider serves a key URI.
var ErrNoProvider = errors.New("no KMS provider for this key")

// FromURI opens a signing key held by a key management service, such as
// hashivault://name or awskms:///alias/name. The key must be ECDSA P-256. Only
// builds with the tag cloud hold providers; others refuse.
func FromURI(ctx context.Context, uri string) (Signer, error) {
	scheme, _, ok := strings.Cut(uri, "://")
	if !ok || scheme == "" {
		return nil, fmt.Errorf("key URI: %q has no scheme; expected for example hashivault://name", uri)
	}
	return fromURI(ctx, uri)
}
