package pack

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// inParallel calls do(0..n-1) on all processors and returns the error of the
// lowest index that failed, so that the answer does not depend on timing.
// After a failure no new index is begun.
func inParallel(ctx context.Context, n int, do func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	var next atomic.Int64
	var failed atomic.Bool
	errs := make(map[int]error)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for ctx.Err() == nil && !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					failed.Store(true)
					mu.Lock()
					errs[i] = err
					mu.Unlock()
				}
			}
		}()
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	lowest := n
	for i := range errs {
		lowest = min(lowest, i)
	}
	return errs[lowest]
}
