package lineage

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/attest/tlog"
)

// hashReader reads stored hashes of the tree by index.
type hashReader struct{ r *ReadTx }

// HashReader gives proofs and tiles their hashes.
func (r *ReadTx) HashReader() tlog.Reader { return hashReader{r} }

// ReadHashes implements tlog.Reader; the indexes are few (a proof) or a tile's 256.
func (h hashReader) ReadHashes(ctx context.Context, indexes []int64) ([]tlog.Hash, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	at := make(map[int64]int, len(indexes))
	list := make([]string, len(indexes))
	for i, x := range indexes {
		at[x], list[i] = i, strconv.FormatInt(x, 10)
	}
	rows, err := h.r.q.QueryContext(ctx, "SELECT idx, hash FROM hashes WHERE idx IN ("+strings.Join(list, ",")+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]tlog.Hash, len(indexes))
	seen := 0
	for rows.Next() {
		var idx int64
		var hash []byte
		if err := rows.Scan(&idx, &hash); err != nil {
			return nil, err
		}
		if len(hash) != len(out[0]) {
			return nil, fmt.Errorf("stored hash %d has %d bytes", idx, len(hash))
		}
		copy(out[at[idx]][:], hash)
		seen++
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i, x := range indexes { // a repeated index was filled once
		out[i] = out[at[x]]
	}
	if seen != len(at) {
		return nil, fmt.Errorf("%d of %d stored hashes are missing", len(at)-seen, len(at))
	}
	return out, nil
}

// Checkpoint returns the signed note over the visible log.
func (r *ReadTx) Checkpoint() (string, error) { return r.CheckpointAt(r.size) }

// CheckpointAt returns the signed note of exactly that size.
func (r *ReadTx) CheckpointAt(size int64) (string, error) {
	var note string
	err := r.q.QueryRowContext(r.ctx, r.d.bind("SELECT note FROM checkpoints WHERE size = ?"), size).Scan(&note)
	if errors.Is(err, sql.ErrNoRows) {
		return "", Errf(CodeNotFound, "size", "no checkpoint of size %d was signed", size)
	}
	return note, err
}

// Position is the head as a statement cites it: "not before".
func (r *ReadTx) Position() attest.Position {
	if r.size == 0 {
		return attest.Position{}
	}
	return attest.Position{Size: r.size, Root: fmt.Sprintf("%x", r.root[:])}
}

// firstCheckpoint is the size of the checkpoint under which index was acknowledged.
func (r *ReadTx) firstCheckpoint(index int64) (int64, error) {
	var size sql.NullInt64
	err := r.q.QueryRowContext(r.ctx, r.d.bind("SELECT MIN(size) FROM checkpoints WHERE size > ?"), index).Scan(&size)
	if err == nil && !size.Valid {
		err = Errf(CodeNotFound, "index", "no entry %d", index)
	}
	return size.Int64, err
}

// Leaf returns the bytes that the leaf hash is over, and the timestamp.
func (r *ReadTx) Leaf(index int64) (body, timestamp []byte, err error) {
	err = r.q.QueryRowContext(r.ctx, r.d.bind("SELECT body, timestamp_der FROM leaves WHERE idx = ?"), index).Scan(&body, &timestamp)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, Errf(CodeNotFound, "index", "no entry %d", index)
	}
	return body, timestamp, err
}

// Leaves returns the leaf bytes of width entries from first on: an entry tile.
func (r *ReadTx) Leaves(first int64, width int) ([][]byte, error) {
	rows, err := r.q.QueryContext(r.ctx, r.d.bind("SELECT body FROM leaves WHERE idx >= ? AND idx < ? ORDER BY idx"), first, first+int64(width))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out [][]byte
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, rows.Err()
}

// Bundle returns the Sigstore bundle of an entry, proved to the checkpoint of
// that size; 0 means the one under which it was acknowledged.
func (r *ReadTx) Bundle(index, size int64) ([]byte, error) {
	e, err := r.Entry(index)
	if err != nil {
		return nil, err
	}
	if e.Erased {
		return nil, Errf(CodeNotFound, "index", "the payload of entry %d was erased", index)
	}
	if size == 0 {
		if size, err = r.firstCheckpoint(index); err != nil {
			return nil, err
		}
	}
	note, err := r.CheckpointAt(size)
	if err != nil {
		return nil, err
	}
	body, timestamp, err := r.Leaf(index)
	if err != nil {
		return nil, err
	}
	var payload []byte
	if err := r.q.QueryRowContext(r.ctx, r.d.bind("SELECT payload FROM payloads WHERE idx = ?"), index).Scan(&payload); err != nil {
		return nil, err
	}
	signed, err := attest.SignedFromLeaf(body, payload)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", index, err)
	}
	root, err := tlog.Root(r.ctx, r.HashReader(), size)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ProveInclusion(r.ctx, r.HashReader(), size, index)
	if err != nil {
		return nil, err
	}
	keyHash, err := r.logKeyHash()
	if err != nil {
		return nil, err
	}
	return attest.MarshalBundle(signed, attest.Proof{Index: index, Size: size, Root: root, Hashes: proof, Checkpoint: note, LogKeyHash: keyHash}, timestamp)
}

// logKeyHash comes from genesis, so that a bundle needs no key of this process.
func (r *ReadTx) logKeyHash() ([]byte, error) {
	g, err := r.genesis()
	if err != nil {
		return nil, err
	}
	return attest.LogKeyHash(g.Origin, g.LogKey), nil
}

func (r *ReadTx) genesis() (attest.Genesis, error) {
	var g attest.Genesis
	e, err := (&ReadTx{ctx: r.ctx, d: r.d, q: r.q, g: r.g, size: r.size, scope: Scope{All: true}, pending: r.pending}).Entry(0)
	if err != nil {
		return g, err
	}
	return g, e.Decode(&g)
}

// Genesis returns entry 0's predicate.
func (r *ReadTx) Genesis() (attest.Genesis, error) { return r.genesis() }

// Consistency proves that the log of size old is a prefix of the one of size new.
func (r *ReadTx) Consistency(old, new int64) ([]tlog.Hash, error) {
	if old < 0 || new < old || new > r.size {
		return nil, Errf(CodeInvalid, "old", "sizes must satisfy 0 ≤ old ≤ new ≤ %d", r.size)
	}
	return tlog.ProveConsistency(r.ctx, r.HashReader(), new, old)
}

// PAEDigests returns the PAE digests (32 bytes each) of a project's entries
// below size, in index order.
func (r *ReadTx) PAEDigests(project string, size int64) ([][]byte, error) {
	rows, err := r.q.QueryContext(r.ctx, r.d.bind("SELECT pae FROM entries WHERE project = ? AND idx < ? ORDER BY idx"), project, size)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out [][]byte
	for rows.Next() {
		var pae string
		if err := rows.Scan(&pae); err != nil {
			return nil, err
		}
		d, err := hex.DecodeString(pae)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// FirstAtOrAfter returns the index of the first entry stamped at t or later;
// the current size if there is none.
func (r *ReadTx) FirstAtOrAfter(t time.Time) (int64, error) {
	at := t.Unix()
	if t.Nanosecond() > 0 {
		at++ // stamps are whole seconds
	}
	var idx sql.NullInt64
	err := r.q.QueryRowContext(r.ctx, r.d.bind("SELECT MIN(idx) FROM entries WHERE stamp >= ?"), at).Scan(&idx)
	if err == nil && !idx.Valid {
		idx.Int64 = r.size
	}
	return idx.Int64, err
}
