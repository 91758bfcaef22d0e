// Package tlog is the Merkle tree of the log: RFC 6962 hashes and proofs over
// any store of hashes, C2SP checkpoints and C2SP tiles. It performs no I/O of
// its own and keeps no state apart from Memory.
package tlog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"

	xtlog "golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 node or leaf hash, 32 bytes.
type Hash = xtlog.Hash

// Reader returns stored hashes by their StoredIndex, one for each index and
// in the same order. A missing index is an error, never a zero hash.
type Reader interface {
	ReadHashes(ctx context.Context, indexes []int64) ([]Hash, error)
}

// MaxSize bounds tree sizes, so that index arithmetic cannot overflow.
const MaxSize = int64(1) << 48

// ErrProof is wrapped by every failed inclusion or consistency check.
var ErrProof = errors.New("proof does not hold")

// LeafHash is SHA-256(0x00 ‖ leaf), RFC 6962 section 2.1.
func LeafHash(leaf []byte) Hash { return xtlog.RecordHash(leaf) }

// StoredCount is the number of stored hashes of a tree of size leaves.
func StoredCount(size int64) int64 { return xtlog.StoredHashCount(size) }

// StoredIndex is the index of the hash of node n at level (0 = leaves).
func StoredIndex(level int, n int64) int64 { return xtlog.StoredHashIndex(level, n) }

// peaks lists the stored indexes of the perfect subtrees that make up a tree
// of size leaves, largest first: one for each set bit of size.
func peaks(size int64) []int64 {
	out := make([]int64, 0, bits.OnesCount64(uint64(size)))
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			out = append(out, StoredIndex(level, size>>level-1))
		}
	}
	return out
}

// emptyRoot is SHA-256 of nothing, the root of a tree without leaves.
func emptyRoot() Hash { return sha256.Sum256(nil) }

// fold hashes peaks, largest first, into the root.
func fold(p []Hash) Hash {
	if len(p) == 0 {
		return emptyRoot()
	}
	h := p[len(p)-1]
	for i := len(p) - 2; i >= 0; i-- {
		h = xtlog.NodeHash(p[i], h)
	}
	return h
}

func read(ctx context.Context, r Reader, indexes []int64) ([]Hash, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	hashes, err := r.ReadHashes(ctx, indexes)
	if err != nil {
		return nil, fmt.Errorf("read stored hashes: %w", err)
	}
	if len(hashes) != len(indexes) {
		return nil, fmt.Errorf("read stored hashes: asked for %d, got %d", len(indexes), len(hashes))
	}
	return hashes, nil
}

func checkSize(size int64) error {
	if size < 0 || size > MaxSize {
		return fmt.Errorf("tree size %d is outside 0..2^48", size)
	}
	return nil
}

// Append computes what must be stored to append leaf hashes to a tree of
// size leaves: the new stored hashes in order, the first with stored index
// StoredCount(size), and the root of the grown tree. It reads r once, for the
// right edge of the old tree only.
func Append(ctx context.Context, r Reader, size int64, leaves []Hash) (stored []Hash, root Hash, err error) {
	if err := checkSize(size + int64(len(leaves))); err != nil || size < 0 {
		return nil, Hash{}, fmt.Errorf("append: tree size %d is outside 0..2^48", size)
	}
	edge, err := read(ctx, r, peaks(size))
	if err != nil {
		return nil, Hash{}, err
	}
	stored = make([]Hash, 0, 2*len(leaves)+64)
	for n, leaf := range leaves {
		stored, edge = grow(stored, edge, size+int64(n), leaf)
	}
	return stored, fold(edge), nil
}

// grow appends to stored the hashes that leaf number n adds, and returns the
// new right edge. Each trailing one bit of n closes a perfect subtree.
func grow(stored, edge []Hash, n int64, leaf Hash) (_, _ []Hash) {
	h := leaf
	stored = append(stored, h)
	for ; n&1 == 1; n >>= 1 {
		h = xtlog.NodeHash(edge[len(edge)-1], h)
		edge = edge[:len(edge)-1]
		stored = append(stored, h)
	}
	return stored, append(edge, h)
}

// Root returns the root of the first size leaves.
func Root(ctx context.Context, r Reader, size int64) (Hash, error) {
	if err := checkSize(size); err != nil {
		return Hash{}, err
	}
	p, err := read(ctx, r, peaks(size))
	if err != nil {
		return Hash{}, err
	}
	return fold(p), nil
}

// bind adapts a Reader to x/mod's interface, which has no context.
func bind(ctx context.Context, r Reader) xtlog.HashReader {
	return xtlog.HashReaderFunc(func(indexes []int64) ([]xtlog.Hash, error) {
		return read(ctx, r, indexes)
	})
}

// ProveInclusion returns the audit path of leaf index in the tree of size
// leaves, from the leaf's sibling up (RFC 6962 section 2.1.1).
func ProveInclusion(ctx context.Context, r Reader, size, index int64) ([]Hash, error) {
	if err := checkSize(size); err != nil {
		return nil, err
	}
	if index < 0 || index >= size {
		return nil, fmt.Errorf("no leaf %d in a tree of size %d", index, size)
	}
	proof, err := xtlog.ProveRecord(size, index, bind(ctx, r))
	return proof, err
}

// ProveConsistency returns the proof that the tree of newSize leaves extends
// the tree of oldSize (RFC 6962 section 2.1.2). It is empty when oldSize is 0
// or equals newSize.
func ProveConsistency(ctx context.Context, r Reader, newSize, oldSize int64) ([]Hash, error) {
	if err := checkSize(newSize); err != nil {
		return nil, err
	}
	if oldSize < 0 || oldSize > newSize {
		return nil, fmt.Errorf("no consistency proof from size %d to %d", oldSize, newSize)
	}
	if oldSize == 0 || oldSize == newSize {
		return nil, nil
	}
	proof, err := xtlog.ProveTree(newSize, oldSize, bind(ctx, r))
	return proof, err
}

// CheckInclusion checks that the leaf hash is at index in the tree with the
// given size and root. Errors wrap ErrProof.
func CheckInclusion(proof []Hash, size int64, root Hash, index int64, leaf Hash) error {
	if checkSize(size) != nil || index < 0 || index >= size {
		return fmt.Errorf("%w: no leaf %d in a tree of size %d", ErrProof, index, size)
	}
	if err := xtlog.CheckRecord(proof, size, root, index, leaf); err != nil {
		return fmt.Errorf("%w: leaf %d is not under the root of size %d", ErrProof, index, size)
	}
	return nil
}

// CheckConsistency checks that the tree (newSize, newRoot) extends (oldSize,
// oldRoot). Errors wrap ErrProof.
func CheckConsistency(proof []Hash, newSize int64, newRoot Hash, oldSize int64, oldRoot Hash) error {
	if checkSize(newSize) != nil || oldSize < 0 || oldSize > newSize {
		return fmt.Errorf("%w: sizes %d and %d", ErrProof, oldSize, newSize)
	}
	switch {
	case oldSize == 0:
		if len(proof) != 0 || oldRoot != emptyRoot() {
			return fmt.Errorf("%w: the empty tree has an empty proof and the root of nothing", ErrProof)
		}
		if newSize == 0 && newRoot != emptyRoot() {
			return fmt.Errorf("%w: two roots for the empty tree", ErrProof)
		}
		return nil
	case oldSize == newSize:
		if len(proof) != 0 || oldRoot != newRoot {
			return fmt.Errorf("%w: two roots for size %d", ErrProof, newSize)
		}
		return nil
	}
	if err := xtlog.CheckTree(proof, newSize, newRoot, oldSize, oldRoot); err != nil {
		return fmt.Errorf("%w: size %d does not extend size %d", ErrProof, newSize, oldSize)
	}
	return nil
}

// RootOf is the RFC 6962 root of leaf hashes held in memory; without leaves
// it is SHA-256 of nothing.
func RootOf(leaves []Hash) Hash {
	var edge []Hash
	for n, h := range leaves {
		for i := n; i&1 == 1; i >>= 1 {
			h = xtlog.NodeHash(edge[len(edge)-1], h)
			edge = edge[:len(edge)-1]
		}
		edge = append(edge, h)
	}
	return fold(edge)
}
