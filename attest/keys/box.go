package keys

import (
	"errors"
	"fmt"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// sealBox encrypts as cosign does: scrypt (N = 2^16, about 0.1 s and 64 MiB)
// and NaCl secretbox, in a JSON object.
func sealBox(plain, password []byte) ([]byte, error) {
	if len(password) == 0 {
		return nil, errors.New("a key file needs a password: set AFFIDAVIT_PASSWORD")
	}
	sealed, err := encrypted.Encrypt(plain, password)
	if err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	return sealed, nil
}

func openBox(sealed, password []byte) ([]byte, error) {
	plain, err := encrypted.Decrypt(sealed, password)
	if err != nil {
		// The library has no typed error for a box that does not open.
		if strings.Contains(err.Error(), "decryption failed") {
			return nil, ErrPassword
		}
		return nil, fmt.Errorf("encrypted key: %w", err)
	}
	return plain, nil
}
