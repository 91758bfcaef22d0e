package gateway

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"affidavit/lineage"
)

// KeyID names a data key. It says nothing about what the key protects.
type KeyID [32]byte

// ErrNoKey: the data key is not there; it was shredded, or the store is another one.
var ErrNoKey = errors.New("data key is not in the key store")

// KeyStore keeps the keys of sealed predictions, outside the database and its backups. A key is durable before it is
// returned. Safe for concurrent use.
type KeyStore interface {
	// New makes a fresh data key of 32 bytes.
	New(ctx context.Context) (KeyID, []byte, error)
	// Subject is the key of one person in one project, made on first use. Shredding it makes all their records unreadable.
	Subject(ctx context.Context, project, subject string) (KeyID, []byte, error)
	// Key returns a key by id; ErrNoKey when it is not there.
	Key(ctx context.Context, id KeyID) ([]byte, error)
	// Shred removes a key for good; ErrNoKey when it is not there. It does not reach backups of the store.
	Shred(ctx context.Context, id KeyID) error
}

const keyBytes = 32

// KeyDir keeps data keys as files, each wrapped under one key-encryption key with AES-256-GCM.
type KeyDir struct {
	dir  string
	wrap cipher.AEAD
	name []byte // keys the names of subjects

	mu sync.Mutex // one maker at a time
}

// OpenKeyDir opens, or makes, a key store in a directory (mode 0700). kek are the 32 bytes of the key-encryption key; nil:
// the file kek.key in the directory holds them, made on first use. Use nil only where that directory is itself protected.
func OpenKeyDir(dir string, kek []byte) (*KeyDir, error) {
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, keyError("cannot make the key store", err)
	}
	if kek == nil {
		var err error
		if kek, err = kekOf(dir); err != nil {
			return nil, err
		}
	}
	if len(kek) != keyBytes {
		return nil, lineage.Errf(lineage.CodeInvalid, "kek", "a key-encryption key has %d bytes, not %d", keyBytes, len(kek))
	}
	wrap, err := aead(derive(kek, "affidavit wrap v1"))
	if err != nil {
		return nil, err
	}
	return &KeyDir{dir: filepath.Join(dir, "data"), wrap: wrap, name: derive(kek, "affidavit subject v1")}, nil
}

func keyError(message string, err error) error {
	return &lineage.Error{Code: lineage.CodeUnavailable, Field: "keys", Message: message, Err: err}
}

// kekOf refuses to make a second key-encryption key beside keys that the first one wrapped.
func kekOf(dir string) ([]byte, error) {
	path := filepath.Join(dir, "kek.key")
	b, err := os.ReadFile(path)
	if err == nil {
		return b, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, keyError("cannot read the key-encryption key", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "data")); err != nil || len(left) > 0 {
		return nil, (&lineage.Error{Code: lineage.CodeUnavailable, Field: "keys", Message: "the key-encryption key is missing, and data keys are wrapped under it", Err: err}).
			WithRemedy("restore kek.key, or give the key itself")
	}
	kek := make([]byte, keyBytes)
	_, _ = rand.Read(kek) // never fails
	return kek, writeDurable(path, kek)
}

func derive(key []byte, purpose string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(purpose))
	return h.Sum(nil)
}

func aead(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	return cipher.NewGCM(block)
}

func (k *KeyDir) path(id KeyID) string { return filepath.Join(k.dir, hex.EncodeToString(id[:])) }

// New implements KeyStore.
func (k *KeyDir) New(context.Context) (KeyID, []byte, error) {
	var id KeyID
	_, _ = rand.Read(id[:])
	key, err := k.make(id)
	return id, key, err
}

// Subject implements KeyStore. The id is a keyed hash: whoever sees a segment cannot guess the person from it.
func (k *KeyDir) Subject(ctx context.Context, project, subject string) (KeyID, []byte, error) {
	var id KeyID
	copy(id[:], derive(k.name, fmt.Sprintf("%d:%s%s", len(project), project, subject)))
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.Key(ctx, id)
	if errors.Is(err, ErrNoKey) {
		key, err = k.make(id)
	}
	return id, key, err
}

func (k *KeyDir) make(id KeyID) ([]byte, error) {
	key, nonce := make([]byte, keyBytes), make([]byte, k.wrap.NonceSize())
	_, _ = rand.Read(key)
	_, _ = rand.Read(nonce)
	return key, writeDurable(k.path(id), k.wrap.Seal(nonce, nonce, key, id[:]))
}

// Key implements KeyStore.
func (k *KeyDir) Key(_ context.Context, id KeyID) ([]byte, error) {
	b, err := os.ReadFile(k.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, keyError("cannot read a data key", err)
	}
	n := k.wrap.NonceSize()
	if len(b) < n {
		return nil, keyError("a data key is damaged", nil)
	}
	key, err := k.wrap.Open(nil, b[:n], b[n:], id[:])
	if err != nil {
		return nil, keyError("a data key does not open under this key-encryption key", err)
	}
	return key, nil
}

// Shred implements KeyStore.
func (k *KeyDir) Shred(_ context.Context, id KeyID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := os.OpenFile(k.path(id), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoKey
	}
	if err != nil {
		return keyError("cannot shred a data key", err)
	}
	// Overwritten first: a file system may keep the blocks of a removed file.
	_, err = f.Write(make([]byte, k.wrap.NonceSize()+keyBytes+k.wrap.Overhead()))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Remove(k.path(id))
	}
	if err == nil {
		err = syncDir(k.dir)
	}
	if err != nil {
		return keyError("cannot shred a data key", err)
	}
	return nil
}

// writeDurable makes a new file that is whole or not there.
func writeDurable(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return keyError("cannot write a key", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return keyError("cannot write a key", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
