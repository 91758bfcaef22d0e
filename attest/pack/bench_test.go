package pack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/attest/pack"
)

// watch logs monitoring windows whose reports have size bytes.
func (w *world) watch(n, size int) {
	report := json.RawMessage(`{"words":"` + strings.Repeat("x", size) + `"}`)
	for i := range n {
		digest := digestOf(fmt.Sprint("window ", w.log.Size()))
		w.add(attest.KindWindow, project, "affidavit", "", subject("window", digest), []attest.Relation{rel(attest.RelMonitored, attest.ArtefactWindow, digest, "window")},
			attest.Window{Endpoint: "loans", Model: "lending", Version: "1", Sequence: int64(i), Count: 100, Status: "ok", Digest: digest, Report: report})
	}
}

// peak verifies a pack and returns the most live heap seen, in bytes.
func peak(t testing.TB, w *world, packed []byte) uint64 {
	t.Helper()
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most := live(), uint64(0)
	r, err := pack.Verify(context.Background(), bytes.NewReader(packed), int64(len(packed)), pack.Options{TrustedRoot: w.root(),
		Progress: func(done, total int) {
			if done%200 == 0 || done == total {
				most = max(most, live())
			}
		}})
	check(t, err)
	if r.Exit() != pack.ExitVerified {
		t.Fatalf("exit %d:\n%s", r.Exit(), refusals(r))
	}
	return most - min(most, before)
}

// TestMemoryFlat: what is held of a pack does not grow with what its
// attestations carry.
func TestMemoryFlat(t *testing.T) {
	held := func(size int) uint64 {
		w := standard(t)
		w.watch(150, size)
		return peak(t, w, w.export())
	}
	small, large := held(10), held(100_000) // 15 MB of reports
	if large > small+4<<20 {
		t.Errorf("%d bytes are held with large reports, %d with small ones", large, small)
	}
}

// BenchmarkVerify: go test -bench Verify ./attest/pack gives the time for each
// entry, and the live heap for a pack of that size.
func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{500, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := standard(b)
			w.watch(n, 1000)
			packed := w.export()
			held := peak(b, w, packed)
			b.ResetTimer()
			for range b.N {
				if r := w.verify(packed); r.Exit() != pack.ExitVerified {
					b.Fatal(refusals(r))
				}
			}
			b.ReportMetric(float64(held)/float64(n), "heap-B/entry")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/entry")
		})
	}
}
