package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"affidavit/attest/tlog"
	"affidavit/lineage"
)

// A sealed file is a sequence of records: length (4 bytes, big-endian), then key id (32), nonce (12) and AES-256-GCM
// ciphertext. The Merkle tree's leaves are the records without their length. The additional data of record i is
// the file's purpose, what it belongs to, and i, so that records cannot change places or files.
const (
	recordHead = 32 + 12
	// MaxSegment bounds what is read back: a sealed file in bytes.
	MaxSegment    = 256 << 20
	maxRecord     = 4 << 20
	purposeSealed = "prediction"
	purposeLabels = "outcome"
)

// sealable is one record before encryption; subject "" uses the file's own key.
type sealable struct {
	subject string
	content any
}

type sealedFile struct {
	Content []byte
	Root    tlog.Hash
}

func additional(purpose, of string, i int) []byte {
	return fmt.Appendf(nil, "affidavit %s v1\n%s\n%d", purpose, of, i)
}

// sealFile encrypts records under a fresh key of the file, or under the key of the person that a record is about.
func sealFile(ctx context.Context, keys KeyStore, project, purpose, of string, records []sealable) (sealedFile, error) {
	var out sealedFile
	id, key, err := keys.New(ctx)
	if err != nil {
		return out, err
	}
	leaves := make([]tlog.Hash, 0, len(records))
	for i, r := range records {
		plain, err := json.Marshal(r.content)
		if err != nil {
			return out, fmt.Errorf("record %d: %w", i, err)
		}
		useID, useKey := id, key
		if r.subject != "" {
			if useID, useKey, err = keys.Subject(ctx, project, r.subject); err != nil {
				return out, err
			}
		}
		box, err := aead(useKey)
		if err != nil {
			return out, err
		}
		record := make([]byte, recordHead, recordHead+len(plain)+box.Overhead())
		copy(record, useID[:])
		_, _ = rand.Read(record[32:recordHead]) // never fails
		record = box.Seal(record, record[32:recordHead], plain, additional(purpose, of, i))
		out.Content = append(binary.BigEndian.AppendUint32(out.Content, uint32(len(record))), record...)
		leaves = append(leaves, tlog.LeafHash(record))
	}
	out.Root = tlog.RootOf(leaves)
	return out, nil
}

// splitFile parts a sealed file into its records and computes the root over them.
func splitFile(content []byte) ([][]byte, tlog.Hash, error) {
	var records [][]byte
	var leaves []tlog.Hash
	for len(content) > 0 {
		if len(content) < 4 {
			return nil, tlog.Hash{}, errors.New("a sealed file ends within a length")
		}
		n := int64(binary.BigEndian.Uint32(content))
		content = content[4:]
		if n < recordHead || n > maxRecord || n > int64(len(content)) {
			return nil, tlog.Hash{}, fmt.Errorf("record %d of a sealed file says that it has %d bytes", len(records), n)
		}
		records = append(records, content[:n])
		leaves = append(leaves, tlog.LeafHash(content[:n]))
		content = content[n:]
	}
	return records, tlog.RootOf(leaves), nil
}

// opener decrypts the records of one file.
type opener struct {
	keys   KeyStore
	cached map[KeyID][]byte
}

// open decodes record i into v. shredded says that its key is gone, which an erasure does; no error then.
func (o *opener) open(ctx context.Context, purpose, of string, i int, record []byte, v any) (shredded bool, err error) {
	var id KeyID
	copy(id[:], record)
	key, ok := o.cached[id]
	if !ok {
		key, err = o.keys.Key(ctx, id)
		if err != nil && !errors.Is(err, ErrNoKey) {
			return false, err
		}
		o.cached[id] = key // nil for a key that is gone
	}
	if key == nil {
		return true, nil
	}
	box, err := aead(key)
	if err != nil {
		return false, err
	}
	plain, err := box.Open(nil, record[32:recordHead], record[recordHead:], additional(purpose, of, i))
	if err != nil {
		return true, nil // the file's digest holds, so the key is a later one of the same person
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	if err := d.Decode(v); err != nil {
		return false, &lineage.Error{Code: lineage.CodeInternal, Message: fmt.Sprintf("record %d of a sealed file", i), Err: err}
	}
	return false, nil
}
