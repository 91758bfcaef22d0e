package ledgertest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
)

// intentOf reads the row of an intent.
func intentOf(w *World, nonce string) (in lineage.Intent) {
	w.T.Helper()
	w.View(func(r *lineage.ReadTx) error { return r.First(&in, "nonce = ?", nonce) })
	return in
}

// abandonedOf reads the entry that closed an intent.
func abandonedOf(w *World, nonce string) (a attest.Abandoned) {
	w.T.Helper()
	in := intentOf(w, nonce)
	if in.Entry == nil {
		w.T.Fatalf("intent %s is %s without an entry", nonce, in.State)
	}
	w.View(func(r *lineage.ReadTx) error {
		e, err := r.Entry(*in.Entry)
		if err != nil {
			return err
		}
		if e.Kind != attest.KindAbandoned {
			w.T.Errorf("entry %d is a %s", e.Index, e.Kind)
		}
		return e.Decode(&a)
	})
	return a
}

func intents(t *testing.T, open Open) {
	w, _ := world(t, open)
	ctx := context.Background()
	boom := errors.New("the trainer ran out of memory")
	step := FactStep()
	step.Nonce = nonce("fails")
	before := size(w)
	if _, err := w.L.Do(ctx, step, func(context.Context, lineage.Run) (lineage.Result, error) { return lineage.Result{}, boom }); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if a := abandonedOf(w, step.Nonce); a.Reason != lineage.ReasonFailed || a.Error != boom.Error() || a.Intent != step.Nonce || size(w) != before+1 {
		t.Errorf("abandoned says %+v", a)
	}
	if in := intentOf(w, step.Nonce); in.State != lineage.IntentFailed {
		t.Errorf("the intent is %s", in.State)
	}
	// Refused at its index: abandoned with the reason, and nothing of it projected.
	step.Nonce = nonce("refused")
	if _, err := w.Do(step, FactResult(1, "refuse")); lineage.CodeOf(err) != lineage.CodeRefused {
		t.Errorf("got %v", err)
	}
	if a := abandonedOf(w, step.Nonce); !strings.Contains(a.Error, "asks to be refused") {
		t.Errorf("abandoned says %+v", a)
	}
	// A nonce is begun once, sealed once.
	step.Nonce = nonce("once")
	p, err := w.L.Begin(ctx, step)
	if err != nil {
		t.Fatal(err)
	}
	w.Refused(lineage.CodeConflict, func() error { _, err := w.L.Begin(ctx, step); return err })
	rec := w.Must(w.L.Seal(ctx, p, FactResult(1, ""), nil))
	w.Refused(lineage.CodeConflict, func() error { _, err := w.L.Seal(ctx, p, FactResult(2, ""), nil); return err })
	w.Refused(lineage.CodeConflict, func() error { _, err := w.L.Begin(ctx, step); return err })
	if in := intentOf(w, step.Nonce); in.State != lineage.IntentSucceeded || *in.Entry != rec.Index {
		t.Errorf("the intent says %+v", in)
	}
	// A caller that goes away during its work still gets its step sealed.
	gone, cancel := context.WithCancel(ctx)
	w.Must(w.L.Do(gone, FactStep(), func(context.Context, lineage.Run) (lineage.Result, error) { cancel(); return FactResult(3, ""), nil }))
	audited(w)
}

func sweep(t *testing.T, open Open) {
	w, another := world(t, open, func(c *lineage.Config) { c.Lease = time.Hour })
	ctx := context.Background()
	step := FactStep()
	step.Nonce = nonce("lost worker")
	p, err := w.L.Begin(ctx, step)
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.Config
	cfg.DB = another()
	late := 0 * time.Hour
	cfg.Clock = func() time.Time { return time.Now().Add(late) }
	second, err := lineage.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	before := size(w)
	if err := second.Sweep(ctx); err != nil || size(w) != before {
		t.Errorf("a lease that holds was swept: %v", err)
	}
	if err := second.Close(ctx); err != nil {
		t.Error(err)
	}
	late = 2 * time.Hour
	if second, err = lineage.Open(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time finds nothing left
		if err := second.Sweep(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := second.Close(ctx); err != nil {
		t.Error(err)
	}
	if a := abandonedOf(w, step.Nonce); a.Reason != lineage.ReasonExpired || size(w) != before+1 {
		t.Errorf("abandoned says %+v, size %d after %d", a, size(w), before)
	}
	// The clock of this server is behind now, so its late Seal meets the clock
	// first; with the other's clock the lease is what refuses.
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := w.L.Close(short); fieldOf(err) != "clock" {
		t.Errorf("closing with a late clock: %v", err)
	}
	w.Config.Clock = cfg.Clock
	if w.L, err = lineage.Open(ctx, w.Config); err != nil {
		t.Fatal(err)
	}
	w.Refused(lineage.CodeConflict, func() error { _, err := w.L.Seal(ctx, p, FactResult(1, ""), nil); return err })
	audited(w)
}

func queue(t *testing.T, open Open) {
	w, another := world(t, open)
	ctx := context.Background()
	cfg := w.Config
	cfg.DB = another()
	second, err := lineage.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	const jobs = 20
	var nonces []string
	for i := range jobs {
		params, _ := json.Marshal(i)
		n, err := w.L.Enqueue(ctx, lineage.Job{Step: FactStep(), Handler: "fact", Params: params})
		if err != nil {
			t.Fatal(err)
		}
		nonces = append(nonces, n)
	}
	other, err := w.L.Enqueue(ctx, lineage.Job{Step: FactStep(), Handler: "nobody's", Params: json.RawMessage("{}")})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	runs := map[string]int{}
	handlers := map[string]lineage.Handler{"fact": func(_ context.Context, run lineage.Run, params json.RawMessage) (lineage.Result, error) {
		var i int
		if err := json.Unmarshal(params, &i); err != nil {
			return lineage.Result{}, err
		}
		mu.Lock()
		runs[run.Nonce]++
		mu.Unlock()
		if i == 7 {
			return lineage.Result{}, errors.New("job 7 fails")
		}
		return FactResult(i, ""), nil
	}}
	var wg sync.WaitGroup
	ran, errs := make([]int, 2), make([]error, 2)
	for i, l := range []*lineage.Ledger{w.L, second} {
		wg.Go(func() { ran[i], errs[i] = l.WorkQueued(ctx, handlers) })
	}
	wg.Wait()
	if ran[0]+ran[1] != jobs {
		t.Errorf("%v jobs ran, want %d", ran, jobs)
	}
	if err := errors.Join(errs...); err == nil || strings.Count(err.Error(), "job 7 fails") != 1 {
		t.Errorf("the errors are %v", err)
	}
	for i, n := range nonces {
		want := lineage.IntentSucceeded
		if i == 7 {
			want = lineage.IntentFailed
		}
		if in := intentOf(w, n); runs[n] != 1 || in.State != want {
			t.Errorf("job %d ran %d times and is %s", i, runs[n], in.State)
		}
	}
	if in := intentOf(w, other); in.State != lineage.IntentQueued {
		t.Errorf("a job without handler is %s", in.State)
	}
	for field, job := range map[string]lineage.Job{
		"params":  {Step: FactStep(), Handler: "fact", Params: json.RawMessage("{")},
		"handler": {Step: FactStep(), Params: json.RawMessage("{}")},
	} {
		if err := w.Refused(lineage.CodeInvalid, func() error { _, err := w.L.Enqueue(ctx, job); return err }); fieldOf(err) != field {
			t.Errorf("the field is %q, want %q", fieldOf(err), field)
		}
	}
	if err := second.Close(ctx); err != nil {
		t.Error(err)
	}
	audited(w)
}

func shutdown(t *testing.T, open Open) {
	w, _ := world(t, open)
	ctx := context.Background()
	hung := FactStep()
	hung.Nonce = nonce("hung")
	p, err := w.L.Begin(ctx, hung)
	if err != nil {
		t.Fatal(err)
	}
	begun, done := make(chan bool), make(chan error)
	go func() {
		_, err := w.L.Do(ctx, FactStep(), func(context.Context, lineage.Run) (lineage.Result, error) {
			close(begun)
			time.Sleep(50 * time.Millisecond)
			return FactResult(1, ""), nil
		})
		done <- err
	}()
	<-begun
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := w.L.Close(short); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the step under way was not sealed: %v", err)
	}
	if a := abandonedOf(w, hung.Nonce); a.Reason != lineage.ReasonShutdown {
		t.Errorf("abandoned says %+v", a)
	}
	for name, fn := range map[string]func() error{
		"begin":  func() error { _, err := w.L.Begin(ctx, FactStep()); return err },
		"submit": func() error { _, err := w.SubmitAs("trainer", FactStep(), FactResult(1, "")); return err },
		"seal":   func() error { _, err := w.L.Seal(ctx, p, FactResult(1, ""), nil); return err },
		"ready":  func() error { return w.L.Ready(ctx) },
	} {
		if err := w.Refused(lineage.CodeUnavailable, fn); err == nil {
			t.Errorf("%s works after Close", name)
		}
	}
	if err := w.L.Close(ctx); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	w.Reopen()
	w.Must(w.Do(FactStep(), FactResult(2, "")))
	audited(w)
}

// opening: what a start refuses.
func opening(t *testing.T, open Open) {
	file := filepath.Join(t.TempDir(), "checkpoint")
	w, _ := world(t, open, func(c *lineage.Config) { c.CheckpointFile = file })
	ctx := context.Background()
	w.Must(w.Do(FactStep(), FactResult(1, "")))
	w.Reopen()
	w.Close()
	start := func(name string, code lineage.Code, field string, edit func(*lineage.Config)) {
		t.Helper()
		cfg := w.Config
		edit(&cfg)
		w.Refused(code, func() error {
			l, err := lineage.Open(ctx, cfg)
			if err == nil {
				_ = l.Close(ctx)
			}
			if fieldOf(err) != field || !strings.Contains(err.Error(), "(") {
				t.Errorf("%s: %v", name, err)
			}
			return err
		})
	}
	others, err := keys.NewSet("log.affidavit.example", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	start("other keys", lineage.CodeUnavailable, "keys", func(c *lineage.Config) { c.Keys = others; c.CheckpointFile = "" })
	_, _, err = lineage.Init(ctx, w.Config, lineage.InitParams{Admin: attest.Enrolment{Actor: "eve", PublicKey: mustKey(t).PublicKey()}})
	if lineage.CodeOf(err) != lineage.CodeConflict {
		t.Errorf("a second Init: %v", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edited := filepath.Join(t.TempDir(), "edited")
	if err := os.WriteFile(edited, []byte(strings.Replace(string(text), "\n1", "\n9", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	start("edited checkpoint", lineage.CodeRollback, "checkpoint_file", func(c *lineage.Config) { c.CheckpointFile = edited })
	// Another, shorter history under the same keys, then one of the same length.
	db, _ := open(t)
	short := New(t, []lineage.Kind{Fact()}, WithDB(db), func(c *lineage.Config) { c.Keys = w.Keys })
	start("older database", lineage.CodeRollback, "database", func(c *lineage.Config) { c.DB = short.DB })
	for size(short) < size(w) {
		short.Must(short.Do(FactStep(), FactResult(9, "")))
	}
	start("other history", lineage.CodeRollback, "database", func(c *lineage.Config) { c.DB = short.DB })
	// A schema from the future is left alone.
	yes := "1"
	if w.DB.Dialect() == lineage.Postgres {
		yes = "true"
	}
	if _, err := w.DB.SQL().Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, " + yes + ")"); err != nil {
		t.Fatal(err)
	}
	start("newer schema", lineage.CodeUnavailable, "database", func(*lineage.Config) {})
	w.Refused(lineage.CodeUnavailable, func() error { return w.DB.Migrate(ctx) })
	if _, err := w.DB.SQL().Exec("DELETE FROM goose_db_version WHERE version_id = 999"); err != nil {
		t.Fatal(err)
	}
	w.Reopen()
	w.Must(w.Do(FactStep(), FactResult(2, "")))
}
