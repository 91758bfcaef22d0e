package attest

import "sync"

// cacheLimit bounds a cache; a full one is emptied, so that hostile input
// costs time but not memory.
const cacheLimit = 4096

// cache remembers good results by the SHA-256 of what was checked. Errors are
// not kept.
type cache[V any] struct {
	mu sync.RWMutex
	m  map[[32]byte]V
}

func newCache[V any]() *cache[V] { return &cache[V]{m: map[[32]byte]V{}} }

func (c *cache[V]) get(key [32]byte, make func() (V, error)) (V, error) {
	c.mu.RLock()
	v, ok := c.m[key]
	c.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := make()
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= cacheLimit {
		clear(c.m)
	}
	c.m[key] = v
	return v, nil
}
