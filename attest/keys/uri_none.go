//go:build !cloud

package keys

import (
	"context"
	"fmt"
)

func fromURI(_ context.Context, uri string) (Signer, error) {
	return nil, fmt.Errorf("key URI %q: %w: this binary was built without the tag cloud; use a key file or the cloud build", uri, ErrNoProvider)
}
