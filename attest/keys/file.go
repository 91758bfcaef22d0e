package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// maxKeyFile bounds what is read from a key file.
const maxKeyFile = 64 << 10

// ErrPassword is wrapped when a password does not open a key.
var ErrPassword = errors.New("the password does not open this key")

// GenerateFile makes a P-256 key and writes it encrypted to path, mode 0600,
// in the form of `cosign generate-key-pair`. It refuses to overwrite a file.
func GenerateFile(path, password string) (Signer, error) {
	priv, err := newKey()
	if err != nil {
		return nil, err
	}
	b, err := EncryptPEM(priv, []byte(password))
	if err != nil {
		return nil, err
	}
	if err := writeNew(path, b, 0o600); err != nil {
		return nil, err
	}
	return FromPrivate(priv)
}

// LoadFile reads an encrypted key that GenerateFile or cosign wrote.
func LoadFile(path, password string) (Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("key file %s: %d bytes is no key", filepath.Base(path), info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	priv, err := DecryptPEM(b, []byte(password))
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", filepath.Base(path), err)
	}
	return FromPrivate(priv)
}

// EncryptPEM encrypts a private key with scrypt and secretbox into a PEM block
// "ENCRYPTED SIGSTORE PRIVATE KEY".
func EncryptPEM(priv *ecdsa.PrivateKey, password []byte) ([]byte, error) {
	return encryptPEM(priv, password)
}

// DecryptPEM is the inverse of EncryptPEM. A wrong password is ErrPassword.
func DecryptPEM(b, password []byte) (*ecdsa.PrivateKey, error) {
	key, err := decryptPEM(b, password)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it holds a %T; only ECDSA P-256 keys sign attestations", key)
	}
	return ec, nil
}

func encryptPEM(priv crypto.PrivateKey, password []byte) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	der, err := sealBox(plain, password)
	if err != nil {
		return nil, err
	}
	return cryptoutils.PEMEncode(cryptoutils.EncryptedSigstorePrivateKeyPEMType, der), nil
}

func decryptPEM(b, password []byte) (crypto.PrivateKey, error) {
	if len(b) > maxKeyFile {
		return nil, errors.New("too long for a key")
	}
	block, rest := pem.Decode(b)
	if block == nil || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("not one PEM block")
	}
	// Only the form that we write: sigstore's reader would also take plain and
	// legacy-encrypted keys.
	switch block.Type {
	case string(cryptoutils.EncryptedSigstorePrivateKeyPEMType), "ENCRYPTED COSIGN PRIVATE KEY":
	default:
		return nil, fmt.Errorf("PEM block is %q, expected %q", block.Type, cryptoutils.EncryptedSigstorePrivateKeyPEMType)
	}
	plain, err := openBox(block.Bytes, password)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("decrypted, but not a PKCS #8 key: %w", err)
	}
	return key, nil
}

// writeNew creates a file that must not exist, and makes it durable.
func writeNew(path string, b []byte, mode os.FileMode) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already and is not overwritten: %w", filepath.Base(path), os.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("create key file: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("write key file: %w", cerr)
		}
	}()
	if _, err := f.Write(b); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return nil
}
