package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/serving/gateway/canary"
)

// Guardrails that the gateway can observe, by the name that a canary.Config declares.
const (
	GuardError    = "error"       // the arm gave no answer to a request that was assigned to it
	GuardLatency  = "latency"     // the answer took longer than CanaryPlan.Latency
	GuardPositive = "positive"    // the answer held a label 1: in lending, a denial
	GuardWrong    = "wrong-label" // an outcome came that differs from the label given
)

// CanaryPlan is declared before the first request and never changed.
type CanaryPlan struct {
	Endpoint string
	Config   canary.Config
	// Latency is the limit of GuardLatency, which needs one.
	Latency time.Duration
	// Simulated counts simulated requests only; else real ones only. The two are never mixed.
	Simulated bool
}

// maxEntities keeps the state of a test within one statement.
const maxEntities = 5000

// canaryRun observes one canary.
type canaryRun struct {
	plan       CanaryPlan
	champion   attest.EntryRef
	challenger attest.EntryRef
	weight     float64
	process    *canary.Process
	watched    map[string]bool

	since time.Time // predictions before it are not of this canary

	mu      sync.Mutex
	decided bool
	counts  map[canary.Arm]*ArmCounts
	sums    map[canary.Arm]float64 // of scores
	scored  map[canary.Arm]int64
}

// StartCanary begins to compare champion and challenger of an endpoint on the requests that are assigned at random.
func (g *Gateway) StartCanary(_ context.Context, plan CanaryPlan) error {
	ep, err := g.table.Load().find(plan.Endpoint)
	if err != nil {
		return err
	}
	for _, d := range []*served{ep.champion, ep.challenger} {
		if d == nil {
			return lineage.Errf(lineage.CodeConflict, "endpoint", "endpoint %q has not both a champion and a challenger", ep.name).WithRemedy("deploy a challenger first")
		}
		if err := d.usable(g.o.Clock()); err != nil {
			return err
		}
	}
	plan.Endpoint = ep.name
	run, err := newRun(plan, ep, g.o.Clock())
	if err != nil {
		return err
	}
	g.canaryMu.Lock()
	defer g.canaryMu.Unlock()
	if g.canaries[ep.name] != nil {
		return lineage.Errf(lineage.CodeConflict, "endpoint", "a canary runs at endpoint %q already", ep.name).WithRemedy("finish or stop it first")
	}
	g.canaries[ep.name] = run
	return nil
}

func newRun(plan CanaryPlan, ep *endpoint, now time.Time) (*canaryRun, error) {
	known := []string{GuardError, GuardLatency, GuardPositive, GuardWrong}
	run := &canaryRun{plan: plan, since: now, champion: ep.champion.entry, challenger: ep.challenger.entry, weight: ep.challenger.row.Weight, watched: map[string]bool{},
		counts: map[canary.Arm]*ArmCounts{canary.Incumbent: {}, canary.Canary: {}}, sums: map[canary.Arm]float64{}, scored: map[canary.Arm]int64{}}
	for i, guard := range plan.Config.Guardrails {
		if !slices.Contains(known, guard.Name) {
			return nil, lineage.Errf(lineage.CodeInvalid, fmt.Sprintf("guardrails[%d]", i), "%q cannot be observed", clip(guard.Name)).WithRemedy("use some of %v", known)
		}
		run.watched[guard.Name] = true
	}
	if run.watched[GuardLatency] != (plan.Latency > 0) {
		return nil, lineage.Errf(lineage.CodeInvalid, "latency", "the guardrail %q and its limit go together", GuardLatency)
	}
	if plan.Config.Entities && (plan.Config.MaxEntities == 0 || plan.Config.MaxEntities > maxEntities) {
		run.plan.Config.MaxEntities = maxEntities
	}
	var err error
	if run.process, err = canary.New(run.plan.Config); err != nil {
		return nil, &lineage.Error{Code: lineage.CodeInvalid, Field: "config", Message: "no canary can be run with it", Err: err}
	}
	return run, nil
}

// watch is one request of a canary; nil when the request belongs to none.
type watch struct {
	run *canaryRun
	arm canary.Arm
}

func armOf(d *served) canary.Arm {
	if d.row.Role == attest.ServeChallenger {
		return canary.Canary
	}
	return canary.Incumbent
}

// assigned counts the request in the canary of its endpoint, before it is answered. A canary that counts entities leaves
// out requests without a subject.
func (g *Gateway) assigned(ep *endpoint, d *served, c call) *watch {
	if c.rho <= 0 || d == nil {
		return nil
	}
	g.canaryMu.RLock()
	run := g.canaries[ep.name]
	g.canaryMu.RUnlock()
	if run == nil || run.plan.Simulated != c.simulated || ep.challenger.entry != run.challenger || run.plan.Config.Entities && c.subject == "" {
		return nil
	}
	w := &watch{run: run, arm: armOf(d)}
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.decided {
		return nil
	}
	run.counts[w.arm].Requests++
	_ = run.process.Assign(w.arm) // fails for an unknown arm only
	return w
}

// observe records what became of the request.
func (w *watch) observe(c call, predictions []Prediction, took time.Duration, err error) {
	if w == nil {
		return
	}
	run := w.run
	run.mu.Lock()
	defer run.mu.Unlock()
	n := run.counts[w.arm]
	event := func(guard string, count *int64) {
		if !run.decided {
			*count++
		}
		run.event(guard, w.arm, c)
	}
	if err != nil {
		event(GuardError, &n.Errors)
		return
	}
	if run.plan.Latency > 0 && took > run.plan.Latency {
		event(GuardLatency, &n.Slow)
	}
	positive := false
	for _, p := range predictions {
		positive = positive || p.Label == 1
		if !run.decided {
			run.sums[w.arm] += p.Score
			run.scored[w.arm]++
		}
	}
	if positive {
		event(GuardPositive, &n.Positive)
	}
}

// event tells the test of one event; run.mu is held. Which guardrails and arms there are was checked at the start.
func (run *canaryRun) event(guard string, arm canary.Arm, c call) {
	if !run.watched[guard] {
		return
	}
	if d, err := run.process.Observe(guard, arm, c.rho, c.subject); err == nil && d.Verdict != canary.Continue {
		run.decided = true
	}
}

// outcome feeds a label that came later.
func (g *Gateway) outcome(endpoint string, deployment attest.EntryRef, simulated bool, p Prediction, label int64) {
	g.canaryMu.RLock()
	run := g.canaries[endpoint]
	g.canaryMu.RUnlock()
	if run == nil || run.plan.Simulated != simulated || p.Rho <= 0 || p.Label == label {
		return
	}
	arm := canary.Incumbent
	switch deployment {
	case run.champion:
	case run.challenger:
		arm = canary.Canary
	default:
		return
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	if !p.At.Before(run.since) {
		run.event(GuardWrong, arm, call{rho: p.Rho, subject: p.Subject})
	}
}

// CanaryDecision is how the canary of an endpoint stands now.
func (g *Gateway) CanaryDecision(endpoint string) (canary.Decision, error) {
	run, err := g.running(endpoint)
	if err != nil {
		return canary.Decision{}, err
	}
	return run.judge(g.o.Clock()), nil
}

func (run *canaryRun) judge(now time.Time) canary.Decision {
	run.mu.Lock()
	defer run.mu.Unlock()
	d := run.process.Judge(now)
	run.decided = d.Verdict != canary.Continue
	return d
}

func (g *Gateway) running(endpoint string) (*canaryRun, error) {
	g.canaryMu.RLock()
	defer g.canaryMu.RUnlock()
	run := g.canaries[endpoint]
	if run == nil {
		return nil, lineage.Errf(lineage.CodeNotFound, "endpoint", "no canary runs at endpoint %q", clip(endpoint)).WithRemedy("start one")
	}
	return run, nil
}

// FinishCanary seals what was predicted and logs the verdict. A canary that has neither decided nor reached its deadline
// is refused (CodeConflict). Promotion or retirement is a deployment of its own, which cites the receipt.
func (g *Gateway) FinishCanary(ctx context.Context, endpoint string) (lineage.Receipt, canary.Decision, error) {
	run, err := g.running(endpoint)
	if err != nil {
		return lineage.Receipt{}, canary.Decision{}, err
	}
	decision := run.judge(g.o.Clock())
	if decision.Verdict == canary.Continue {
		return lineage.Receipt{}, decision, lineage.Errf(lineage.CodeConflict, "endpoint", "the canary at endpoint %q is undecided after %d requests", endpoint, run.process.State().Requests).
			WithRemedy("send more requests, or wait for its deadline")
	}
	if err := g.Seal(ctx); err != nil {
		return lineage.Receipt{}, decision, err
	}
	rec, err := g.ledger.Do(ctx, lineage.Step{Kind: attest.KindCanaryVerdict, Project: g.o.Project}, func(context.Context, lineage.Run) (lineage.Result, error) {
		return run.result()
	})
	if err != nil {
		return rec, decision, err
	}
	g.canaryMu.Lock()
	if g.canaries[endpoint] == run {
		delete(g.canaries, endpoint)
	}
	g.canaryMu.Unlock()
	return rec, decision, nil
}

// StopCanary drops a canary without a verdict: nothing can be promoted on it.
func (g *Gateway) StopCanary(endpoint string) {
	g.canaryMu.Lock()
	delete(g.canaries, endpoint)
	g.canaryMu.Unlock()
}

// dropCanaries ends those whose arms no longer stand.
func (g *Gateway) dropCanaries(t *table) {
	g.canaryMu.Lock()
	defer g.canaryMu.Unlock()
	for name, run := range g.canaries {
		ep := t.endpoints[name]
		if ep == nil || ep.champion == nil || ep.challenger == nil || ep.champion.entry != run.champion || ep.challenger.entry != run.challenger {
			delete(g.canaries, name)
		}
	}
}

func (run *canaryRun) result() (lineage.Result, error) {
	run.mu.Lock()
	defer run.mu.Unlock()
	report := CanaryReport{Schema: CanaryReportSchema, Weight: run.weight, LatencyMicros: run.plan.Latency.Microseconds(), Simulated: run.plan.Simulated,
		Champion: run.arm(canary.Incumbent), Challenger: run.arm(canary.Canary), State: run.process.State()}
	raw, err := json.Marshal(report)
	if err != nil {
		return lineage.Result{}, fmt.Errorf("canary report: %w", err)
	}
	return lineage.Result{
		Predicate: attest.CanaryVerdict{Endpoint: run.plan.Endpoint, Champion: run.champion, Challenger: run.challenger,
			Verdict: string(report.State.Decision.Verdict), Requests: report.State.Requests, Simulated: run.plan.Simulated, Report: raw},
		Relations: []attest.Relation{
			{Type: attest.RelComparedWith, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: run.champion.PAE}},
			{Type: attest.RelComparedWith, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: run.challenger.PAE}},
		},
	}, nil
}

func (run *canaryRun) arm(a canary.Arm) ArmCounts {
	n := *run.counts[a]
	if k := run.scored[a]; k > 0 {
		n.MeanScore = run.sums[a] / float64(k)
	}
	return n
}
