package lineage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// LocalBlobs is a content-addressed store in a directory: write to a
// temporary file, hash, fsync, rename, fsync the directory.
type LocalBlobs struct{ dir string }

// OpenLocalBlobs makes dir if need be.
func OpenLocalBlobs(dir string) (*LocalBlobs, error) {
	if err := os.MkdirAll(filepath.Join(dir, "incoming"), 0o700); err != nil {
		return nil, &Error{Code: CodeUnavailable, Field: "blobs", Message: "cannot make the store", Err: err}
	}
	return &LocalBlobs{dir: dir}, nil
}

func (b *LocalBlobs) path(digest string) string {
	return filepath.Join(b.dir, digest[:2], digest)
}

// Put implements Blobs.
func (b *LocalBlobs) Put(ctx context.Context, content io.Reader) (string, int64, error) {
	unavailable := func(err error) (string, int64, error) {
		return "", 0, &Error{Code: CodeUnavailable, Field: "blobs", Message: "cannot store content", Err: err}
	}
	tmp, err := os.CreateTemp(filepath.Join(b.dir, "incoming"), "blob-*")
	if err != nil {
		return unavailable(err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(tmp, h), content)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return unavailable(err)
	}
	digest := hex.EncodeToString(h.Sum(nil))
	if _, err := os.Stat(b.path(digest)); err == nil {
		return digest, n, nil
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return unavailable(err)
	}
	dir := filepath.Dir(b.path(digest))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unavailable(err)
	}
	if err := os.Rename(tmp.Name(), b.path(digest)); err != nil {
		return unavailable(err)
	}
	for _, d := range []string{dir, b.dir} { // a new prefix directory is an entry of b.dir
		if err := syncDir(d); err != nil {
			return unavailable(err)
		}
	}
	return digest, n, nil
}

// Open implements Blobs; the reader checks the digest as it reaches the end.
func (b *LocalBlobs) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	if !isDigest(digest) {
		return nil, Errf(CodeInvalid, "digest", "%q is no SHA-256 in lower-case hex", digest)
	}
	f, err := os.Open(b.path(digest))
	if errors.Is(err, os.ErrNotExist) {
		return nil, Errf(CodeNotFound, "digest", "no content %s is stored", digest).WithRemedy("restore it from a backup of the blob store")
	}
	if err != nil {
		return nil, &Error{Code: CodeUnavailable, Field: "blobs", Message: "cannot read content", Err: err}
	}
	return &checkedReader{f: f, h: sha256.New(), want: digest}, nil
}

type checkedReader struct {
	f    *os.File
	h    hash.Hash
	want string
}

func (r *checkedReader) Read(p []byte) (int, error) {
	n, err := r.f.Read(p)
	r.h.Write(p[:n])
	if err == io.EOF && hex.EncodeToString(r.h.Sum(nil)) != r.want {
		return n, Errf(CodeUnavailable, "blobs", "content %s is damaged", r.want).WithRemedy("restore it from a backup of the blob store")
	}
	return n, err
}

func (r *checkedReader) Close() error { return r.f.Close() }

// ReadBlob reads a whole blob of at most limit bytes and checks its digest.
func ReadBlob(ctx context.Context, b Blobs, digest string, limit int64) ([]byte, error) {
	r, err := b.Open(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, Errf(CodeTooLarge, "digest", "content %s is larger than %d bytes", digest, limit)
	}
	return content, nil
}

func putBytes(ctx context.Context, b Blobs, content []byte) (string, error) {
	d, _, err := b.Put(ctx, bytes.NewReader(content))
	return d, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func isDigest(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
