package tlog

import (
	"context"
	"fmt"
	"sync"
)

// Memory is a tree held in memory: a Reader for tests, and for the trees of
// prediction segments. It is safe for concurrent use.
type Memory struct {
	mu     sync.RWMutex
	stored []Hash
	edge   []Hash // peaks, largest first
	size   int64
}

// NewMemory returns an empty tree.
func NewMemory() *Memory { return &Memory{} }

// Append adds a leaf hash.
func (m *Memory) Append(leaf Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored, m.edge = grow(m.stored, m.edge, m.size, leaf)
	m.size++
}

// Size is the number of leaves.
func (m *Memory) Size() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.size
}

// Root is the root over all leaves.
func (m *Memory) Root() Hash {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return fold(m.edge)
}

// ReadHashes implements Reader.
func (m *Memory) ReadHashes(_ context.Context, indexes []int64) ([]Hash, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]Hash, len(indexes))
	for i, index := range indexes {
		if index < 0 || index >= int64(len(m.stored)) {
			return nil, fmt.Errorf("no stored hash %d of %d", index, len(m.stored))
		}
		out[i] = m.stored[index]
	}
	return out, nil
}
