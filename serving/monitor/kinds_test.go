package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
)

// watchedWorld is a ledger with this package's Kinds, and deployments and segments without rules of their own.
type watchedWorld struct {
	*ledgertest.World
	ref        Reference
	deployment lineage.Receipt
	segment    lineage.Receipt
	rng        *rand.Rand
}

func free(name string) lineage.Kind {
	return lineage.Kind{Name: name, Check: func(context.Context, *lineage.ReadTx, *lineage.Entry) error { return nil },
		Project: func(context.Context, *lineage.WriteTx, *lineage.Entry) error { return nil }}
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

func newWatched(t testing.TB) *watchedWorld {
	t.Helper()
	w := &watchedWorld{World: ledgertest.New(t, append(Kinds(), free(attest.KindDeployment), free(attest.KindSegment))), rng: rand.New(rand.NewPCG(1, 2))}
	var err error
	w.ref, err = NewReference([]Spec{{"income", Numeric}}, w.rows(2000, 0), Options{Bins: 10})
	if err != nil {
		t.Fatal(err)
	}
	w.deployment = w.Must(w.Do(step(attest.KindDeployment), lineage.Result{Predicate: attest.Deployment{Endpoint: "loans", Action: "deploy", Role: "champion", Weight: 1, Model: "lending", Version: "1"}}))
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	w.segment = w.Must(w.Do(step(attest.KindSegment), lineage.Result{Predicate: attest.Segment{Endpoint: "loans", Deployment: w.deployment.EntryRef(attest.KindDeployment),
		Model: "lending", Version: "1", Sequence: 1, From: now, To: now, Count: 1, Root: zeros, Digest: zeros}}))
	return w
}

func step(kind string) lineage.Step { return lineage.Step{Kind: kind, Project: ledgertest.Project} }

func (w *watchedWorld) rows(n int, shift float64) [][]Value {
	out := make([][]Value, n)
	for i := range out {
		out[i] = []Value{{Number: w.rng.NormFloat64() + shift}}
	}
	return out
}

func (w *watchedWorld) watched() Watched {
	return Watched{Endpoint: "loans", Model: "lending", Version: "1", Deployment: w.deployment.EntryRef(attest.KindDeployment), Sources: []attest.EntryRef{w.segment.EntryRef(attest.KindSegment)}}
}

// result assesses n rows with a shift, as the next window.
func (w *watchedWorld) result(n int, shift float64) lineage.Result {
	w.T.Helper()
	var sequence int64
	var prior int
	w.View(func(r *lineage.ReadTx) (err error) {
		sequence, prior, err = Next(r, ledgertest.Project, "loans", "lending", "1")
		return err
	})
	return w.numbered(n, shift, sequence, prior)
}

func (w *watchedWorld) numbered(n int, shift float64, sequence int64, prior int) lineage.Result {
	w.T.Helper()
	c, err := w.ref.Counter()
	if err != nil {
		w.T.Fatal(err)
	}
	for _, row := range w.rows(n, shift) {
		if err := c.Row(time.Date(2026, 11, 24, 9, int(sequence), 0, 0, time.UTC), row); err != nil {
			w.T.Fatal(err)
		}
	}
	a, err := w.ref.Assess(c.Window(), prior, Policy{})
	if err != nil {
		w.T.Fatal(err)
	}
	res, err := WindowResult(w.watched(), sequence, c.Window(), a)
	if err != nil {
		w.T.Fatal(err)
	}
	return res
}

func (w *watchedWorld) call() (c Call) {
	w.View(func(r *lineage.ReadTx) (err error) {
		c, err = Decide(r, ledgertest.Project, "loans", "lending", "1")
		return err
	})
	return c
}

// TestRetraining: two alert windows in a row ask to retrain; one too small between them does not break the run, a
// stable one does.
func TestRetraining(t *testing.T) {
	w := newWatched(t)
	for i, c := range []struct {
		rows           int
		shift          float64
		status         string
		alert, retrain bool
		windows        int
	}{
		{1000, 0, StatusOK, false, false, 0},
		{1000, 1, StatusAlert, true, false, 1},
		{1000, 0, StatusOK, false, false, 0},
		{1000, 1, StatusAlert, true, false, 1},
		{20, 1, StatusOK, false, false, 0},
		{1000, 1, StatusAlert, true, true, 2},
	} {
		res := w.result(c.rows, c.shift)
		if got := res.Predicate.(attest.Window); got.Status != c.status || got.Retrain != c.retrain || got.Sequence != int64(i+1) {
			t.Fatalf("window %d: %s, retrain %v", got.Sequence, got.Status, got.Retrain)
		}
		w.Must(w.Do(step(attest.KindWindow), res))
		if got := w.call(); got.Alert != c.alert || got.Retrain != c.retrain || len(got.Windows) != c.windows {
			t.Fatalf("after window %d: %+v", i+1, got)
		}
	}
	call := w.call()
	if call.Kind != AlertDrift || fmt.Sprint(call.Features) != "[income]" || !strings.Contains(call.Words, "2 alert windows in a row") || call.Windows[0].Index >= call.Windows[1].Index {
		t.Errorf("%+v", call)
	}
	res, err := AlertResult(call)
	if err != nil {
		t.Fatal(err)
	}
	w.Must(w.Do(step(attest.KindAlert), res))
	rep, err := lineage.Audit(context.Background(), lineage.AuditConfig{DB: w.DB, Kinds: w.Config.Kinds, Root: w.L.TrustedRoot()})
	if err != nil || len(rep.Differences) > 0 {
		t.Errorf("%v %v", rep, err)
	}
}

// TestWindowRefusals: a window that says other than its report, or hides the windows before it, writes nothing.
func TestWindowRefusals(t *testing.T) {
	w := newWatched(t)
	w.Must(w.Do(step(attest.KindWindow), w.result(1000, 1)))
	forged := func(change func(*WindowReport)) lineage.Result {
		res := w.result(1000, 0)
		p := res.Predicate.(attest.Window)
		var report WindowReport
		if err := json.Unmarshal(p.Report, &report); err != nil {
			t.Fatal(err)
		}
		change(&report)
		forged, err := WindowResult(w.watched(), p.Sequence, report.Window, report.Assessment)
		if err != nil {
			t.Fatal(err)
		}
		return forged
	}
	predicate := func(change func(*attest.Window)) lineage.Result {
		res := w.result(1000, 0)
		p := res.Predicate.(attest.Window)
		change(&p)
		res.Predicate = p
		return res
	}
	relations := func(change func([]attest.Relation) []attest.Relation) lineage.Result {
		res := w.result(1000, 0)
		res.Relations, res.Subjects = change(res.Relations), nil
		return res
	}
	for name, c := range map[string]struct {
		res  lineage.Result
		code lineage.Code
	}{
		"number again":       {w.numbered(1000, 0, 1, 0), lineage.CodeConflict},
		"number ahead":       {w.numbered(1000, 0, 3, 1), lineage.CodeConflict},
		"alerts forgotten":   {w.numbered(1000, 1, 2, 0), lineage.CodeRefused},
		"alerts invented":    {w.numbered(1000, 1, 2, 5), lineage.CodeRefused},
		"status":             {predicate(func(p *attest.Window) { p.Status = StatusAlert }), lineage.CodeRefused},
		"retrain":            {predicate(func(p *attest.Window) { p.Retrain = true }), lineage.CodeRefused},
		"count":              {predicate(func(p *attest.Window) { p.Count = 7 }), lineage.CodeRefused},
		"digest":             {predicate(func(p *attest.Window) { p.Digest = zeros }), lineage.CodeInvalid},
		"another version":    {predicate(func(p *attest.Window) { p.Version = "2" }), lineage.CodeConflict},
		"report of no kind":  {predicate(func(p *attest.Window) { p.Report = json.RawMessage(`{}`) }), lineage.CodeInvalid},
		"other window":       {forged(func(r *WindowReport) { r.Window.Counts[0][1]++ }), lineage.CodeRefused},
		"no relation":        {relations(func(r []attest.Relation) []attest.Relation { return r[1:] }), lineage.CodeInvalid},
		"no deployment":      {relations(func(r []attest.Relation) []attest.Relation { return r[:1] }), lineage.CodeInvalid},
		"watches no serving": {relations(func(r []attest.Relation) []attest.Relation { r[1].Digest = w.segment.PAE; return r }), lineage.CodeRefused},
		"rests on no data":   {relations(func(r []attest.Relation) []attest.Relation { r[2].Digest = w.deployment.PAE; return r }), lineage.CodeRefused},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "digest" || name == "another version" {
				c.res.Subjects = nil
			}
			if name == "another version" { // its first window would be number 1
				w.Refused(lineage.CodeConflict, func() error { return w.submit(attest.KindWindow, c.res) })
				return
			}
			w.Refused(c.code, func() error { return w.submit(attest.KindWindow, c.res) })
		})
	}
}

func (w *watchedWorld) submit(kind string, res lineage.Result) error {
	_, err := w.SubmitAs(lineage.DefaultServiceActor, step(kind), res)
	return err
}

// TestAlertRefusals: an alert is what its windows say.
func TestAlertRefusals(t *testing.T) {
	w := newWatched(t)
	calm := w.Must(w.Do(step(attest.KindWindow), w.result(1000, 0)))
	if _, err := AlertResult(w.call()); lineage.CodeOf(err) != lineage.CodeRefused {
		t.Errorf("an alert of a calm window: %v", err)
	}
	w.Must(w.Do(step(attest.KindWindow), w.result(1000, 1)))
	lawful, err := AlertResult(w.call())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*attest.Alert)
		code   lineage.Code
	}{
		"kind":        {func(a *attest.Alert) { a.Kind = "mood" }, lineage.CodeInvalid},
		"performance": {func(a *attest.Alert) { a.Kind = AlertPerformance }, lineage.CodeRefused},
		"no window":   {func(a *attest.Alert) { a.Windows = nil }, lineage.CodeInvalid},
		"no window's": {func(a *attest.Alert) { a.Windows = []attest.EntryRef{w.segment.EntryRef(attest.KindSegment)} }, lineage.CodeInvalid},
		"endpoint":    {func(a *attest.Alert) { a.Endpoint = "cards" }, lineage.CodeRefused},
		"feature":     {func(a *attest.Alert) { a.Features = []string{"age"} }, lineage.CodeRefused},
		"relation":    {func(a *attest.Alert) { a.Windows = append(a.Windows, calm.EntryRef(attest.KindWindow)) }, lineage.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			res := lawful
			p := res.Predicate.(attest.Alert)
			c.change(&p)
			res.Predicate = p
			w.Refused(c.code, func() error { return w.submit(attest.KindAlert, res) })
		})
	}
	w.Must(w.Do(step(attest.KindAlert), lawful))
}
