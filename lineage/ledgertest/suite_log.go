package ledgertest

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/tlog"
	"affidavit/lineage"
)

// promise is an acknowledged statement.
type promise struct {
	signed *attest.Signed
	rec    lineage.Receipt
}

// many submits from n goroutines, each times, in turn to the ledgers.
func many(w *World, n, times int, ledgers ...*lineage.Ledger) []promise {
	w.T.Helper()
	var mu sync.Mutex
	var out []promise
	var wg sync.WaitGroup
	for g := range n {
		wg.Go(func() {
			for i := range times {
				signed, err := w.Sign("trainer", FactStep(), FactResult(g*times+i, "", attest.Relation{Type: attest.RelGenerated, Ref: Data(fmt.Sprint(g, i))}))
				if err != nil {
					w.T.Error(err)
					return
				}
				rec, err := ledgers[g%len(ledgers)].Submit(context.Background(), signed)
				if err != nil {
					w.T.Error(err)
					return
				}
				mu.Lock()
				out = append(out, promise{signed, rec})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b promise) int { return int(a.rec.Index - b.rec.Index) })
	return out
}

// keep asserts what the log owes for acknowledged statements: each once,
// byte-identical, at its promised index, without gaps from first on, under
// checkpoints that are all consistent with the head.
func keep(w *World, first int64, list []promise) {
	w.T.Helper()
	verifier, err := attest.NewVerifier(w.Keys.TrustedRoot())
	if err != nil {
		w.T.Fatal(err)
	}
	w.View(func(r *lineage.ReadTx) error {
		if r.Size() != first+int64(len(list)) {
			w.T.Fatalf("the log has %d entries, %d were acknowledged above %d", r.Size(), len(list), first)
		}
		head, err := tlog.Root(r.Context(), r.HashReader(), r.Size())
		if err != nil {
			return err
		}
		var last time.Time
		for i, p := range list {
			if p.rec.Index != first+int64(i) {
				w.T.Fatalf("index %d was promised where %d is next", p.rec.Index, first+int64(i))
			}
			b, err := attest.ParseBundle(p.rec.Bundle)
			if err != nil {
				return err
			}
			v, err := verifier.Verify(b)
			if err != nil {
				return fmt.Errorf("receipt of entry %d: %w", p.rec.Index, err)
			}
			if v.Index != p.rec.Index || !bytes.Equal(b.Payload, p.signed.Payload) || !bytes.Equal(b.Signature, p.signed.Signature) {
				w.T.Errorf("receipt %d is of another statement", p.rec.Index)
			}
			body, _, err := r.Leaf(p.rec.Index)
			if err != nil {
				return err
			}
			if want, _ := p.signed.LeafBody(); !bytes.Equal(body, want) {
				w.T.Errorf("entry %d is not what was submitted", p.rec.Index)
			}
			proof, err := r.Consistency(v.Checkpoint.Size, r.Size())
			if err != nil {
				return err
			}
			if err := tlog.CheckConsistency(proof, r.Size(), head, v.Checkpoint.Size, v.Checkpoint.Root); err != nil {
				w.T.Errorf("checkpoint %d: %v", v.Checkpoint.Size, err)
			}
			if v.Stamped.Before(last) || !v.Stamped.Equal(p.rec.Stamp) {
				w.T.Errorf("entry %d is stamped %s after %s, its receipt says %s", p.rec.Index, v.Stamped, last, p.rec.Stamp)
			}
			last = v.Stamped
		}
		return nil
	})
}

func acknowledged(t *testing.T, open Open) {
	w, _ := world(t, open)
	first := size(w)
	list := many(w, 64, 3, w.L)
	keep(w, first, list)
	w.Reopen()
	keep(w, first, list)
	audited(w)
}

func twoServers(t *testing.T, open Open) {
	w, another := world(t, open)
	cfg := w.Config
	cfg.DB = another()
	second, err := lineage.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	first := size(w)
	list := many(w, 32, 4, w.L, second)
	keep(w, first, list)
	// What one logs, the other judges by at once.
	w.Person("otto-owner", "model-owner")
	signed, err := w.Sign("otto-owner", lineage.Step{Kind: attest.KindEvaluation, Project: Project}, FactResult(1, ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Submit(context.Background(), signed); lineage.CodeOf(err) != lineage.CodeForbidden {
		t.Errorf("a model owner's evaluation: %v", err)
	}
	w.Grant("otto-owner", "engineer")
	if _, err := second.Submit(context.Background(), signed); err != nil {
		t.Errorf("after the grant: %v", err)
	}
	if err := second.Close(context.Background()); err != nil {
		t.Error(err)
	}
	audited(w)
}

func again(t *testing.T, open Open) {
	w, _ := world(t, open)
	signed, err := w.Sign("erin-engineer", FactStep(), FactResult(1, ""))
	if err != nil {
		t.Fatal(err)
	}
	first := w.Must(w.L.Submit(context.Background(), signed))
	w.Must(w.Do(FactStep(), FactResult(2, "")))
	before := w.Rows()
	second := w.Must(w.L.Submit(context.Background(), signed))
	if !second.Duplicate || second.Index != first.Index || !bytes.Equal(first.Bundle, second.Bundle) || first.Checkpoint != second.Checkpoint || !first.Stamp.Equal(second.Stamp) {
		t.Errorf("the second receipt differs from the first")
	}
	for table, n := range w.Rows() {
		if n != before[table] {
			t.Errorf("%s grew", table)
		}
	}
	st, step, err := attest.ParseStatement(signed.Payload)
	if err != nil {
		t.Fatal(err)
	}
	// The same nonce for another statement.
	err = w.Refused(lineage.CodeConflict, func() error {
		_, err := w.L.Submit(context.Background(), w.craft(w.People["erin-engineer"], func(s *attest.Step) { s.Nonce = step.Nonce }))
		return err
	})
	if fieldOf(err) != "nonce" {
		t.Errorf("the field is %q", fieldOf(err))
	}
	// The same statement by another key, and by the same key anew: ECDSA
	// signatures differ, the identity of the entry does not.
	other, err := attest.Sign(context.Background(), st, w.People["vera-validator"])
	if err != nil {
		t.Fatal(err)
	}
	w.Refused(lineage.CodeConflict, func() error { _, err := w.L.Submit(context.Background(), other); return err })
	anew, err := attest.Sign(context.Background(), st, w.People["erin-engineer"])
	if err != nil {
		t.Fatal(err)
	}
	if third := w.Must(w.L.Submit(context.Background(), anew)); third.Index != first.Index || !bytes.Equal(third.Bundle, first.Bundle) {
		t.Error("a new signature over the same statement got another receipt")
	}
}

// together makes the sequencer wait, so that what comes now is one group.
func together(w *World) {
	w.T.Helper()
	w.Config.GroupWindow = 300 * time.Millisecond
	w.Reopen()
}

func culprit(t *testing.T, open Open) {
	for _, do := range []string{"refuse", "error", "break"} {
		t.Run(do, func(t *testing.T) {
			w, _ := world(t, open)
			together(w)
			first := size(w)
			var mu sync.Mutex
			var wg sync.WaitGroup
			var ok []promise
			for i := range 50 {
				what := ""
				if i == 23 {
					what = do
				}
				signed, err := w.Sign("trainer", FactStep(), FactResult(i, what))
				if err != nil {
					t.Fatal(err)
				}
				wg.Go(func() {
					rec, err := w.L.Submit(context.Background(), signed)
					if (err != nil) != (what != "") {
						t.Errorf("step %d (%s): %v", i, what, err)
					}
					if want := map[string]lineage.Code{"refuse": lineage.CodeRefused, "error": lineage.CodeUnavailable, "break": lineage.CodeUnavailable}[what]; lineage.CodeOf(err) != want {
						t.Errorf("step %d (%s): code %s", i, what, lineage.CodeOf(err))
					}
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						ok = append(ok, promise{signed, rec})
					}
				})
			}
			wg.Wait()
			slices.SortFunc(ok, func(a, b promise) int { return int(a.rec.Index - b.rec.Index) })
			keep(w, first, ok)
			audited(w)
		})
	}
}

// cancelled: callers that leave harm nobody. A caller that leaves before its
// group begins leaves no entry; on a machine so slow that the group began
// first, the entry is there, and a second submission gets its receipt.
func cancelled(t *testing.T, open Open) {
	w, _ := world(t, open)
	together(w)
	first := size(w)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ok []promise
	var all []*attest.Signed
	for i := range 30 {
		signed, err := w.Sign("trainer", FactStep(), FactResult(i, ""))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, signed)
	}
	for i, signed := range all {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%3 == 0 {
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			rec, err := w.L.Submit(ctx, signed)
			if i%3 == 0 {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled step %d: %v", i, err)
				}
				return
			}
			if err != nil {
				t.Errorf("step %d: %v", i, err)
				return
			}
			mu.Lock()
			ok = append(ok, promise{signed, rec})
			mu.Unlock()
		})
	}
	wg.Wait()
	// The queue is served in order: once this step is in, all before it are settled.
	fence, err := w.Sign("trainer", FactStep(), FactResult(len(all), ""))
	if err != nil {
		t.Fatal(err)
	}
	ok = append(ok, promise{fence, w.Must(w.L.Submit(context.Background(), fence))})
	dropped := 0
	for i := 0; i < len(all); i += 3 {
		digest := all[i].PAEDigest()
		var there bool
		w.View(func(r *lineage.ReadTx) error {
			_, err := r.EntryByPAE(hex.EncodeToString(digest[:]))
			there = err == nil
			return nil
		})
		if !there {
			dropped++
			continue
		}
		rec, err := w.L.Submit(context.Background(), all[i])
		if err != nil || !rec.Duplicate {
			t.Errorf("the entry of the cancelled step %d gives no first receipt: %v", i, err)
		}
		ok = append(ok, promise{all[i], rec})
	}
	if dropped == 0 {
		t.Error("no step whose caller left was dropped")
	}
	slices.SortFunc(ok, func(a, b promise) int { return int(a.rec.Index - b.rec.Index) })
	keep(w, first, ok)
}

func clock(t *testing.T, open Open) {
	var mu sync.Mutex
	now := time.Now()
	set := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	w, _ := world(t, open, WithClock(func() time.Time { mu.Lock(); defer mu.Unlock(); return now }))
	a := w.Must(w.Do(FactStep(), FactResult(1, "")))
	set(-1500 * time.Millisecond)
	b := w.Must(w.Do(FactStep(), FactResult(2, "")))
	if b.Stamp.Before(a.Stamp) {
		t.Errorf("the stamp fell from %s to %s", a.Stamp, b.Stamp)
	}
	set(-2 * time.Second)
	for range 2 {
		err := w.Refused(lineage.CodeUnavailable, func() error { _, err := w.SubmitAs("trainer", FactStep(), FactResult(3, "")); return err })
		if fieldOf(err) != "clock" {
			t.Errorf("the field is %q (%v)", fieldOf(err), err)
		}
	}
	if err := w.L.Ready(context.Background()); fieldOf(err) != "clock" {
		t.Errorf("ready says %v", err)
	}
	set(4 * time.Second)
	if c := w.Must(w.SubmitAs("trainer", FactStep(), FactResult(4, ""))); c.Stamp.Before(b.Stamp) {
		t.Error("the stamp fell")
	}
	if err := w.L.Ready(context.Background()); err != nil {
		t.Error(err)
	}
}

// certified signs with a certificate.
type certified struct {
	keys.Signer
	der []byte
}

func (c certified) Certificate() []byte { return c.der }
