package demo

import (
	"context"
	"fmt"
	"math/rand/v2"

	"affidavit/attest"
	"affidavit/serving/gateway"
	"affidavit/serving/gateway/canary"
)

// canaryWeight is the challenger's share of traffic, canaryRequests how many
// simulated requests there are at most.
const (
	canaryWeight   = 0.3
	canaryRequests = 20_000
)

// canary compares the arms on requests resampled from held-out rows: new ids,
// marked as simulated, so that no report can take them for people.
func (d *demo) canary(ctx context.Context) error {
	err := d.gateway.StartCanary(ctx, gateway.CanaryPlan{Endpoint: modelName, Simulated: true, Config: canary.Config{
		Guardrails: []canary.Guardrail{
			{Name: gateway.GuardError, RollbackOnly: true},
			{Name: gateway.GuardWrong},
			{Name: gateway.GuardPositive, RollbackOnly: true},
		},
		MaxRequests: canaryRequests,
	}})
	if err != nil {
		return err
	}
	// Nobody whose outcome the challenger learned from is asked about again.
	learned := map[int]bool{}
	for _, row := range d.life.labelled {
		learned[row] = true
	}
	pool := d.held(func(row int) bool { return !learned[row] })
	rng := rand.New(rand.NewPCG(seed, 20_000))
	rows := make([]int, canaryRequests)
	for i := range rows {
		rows[i] = pool[rng.IntN(len(pool))]
	}
	if err := d.simulate(ctx, rows); err != nil {
		return err
	}
	rec, decision, err := d.gateway.FinishCanary(ctx, modelName)
	if err != nil {
		return err
	}
	d.life.canary, d.life.canaryRequests, d.life.canaryVerdict = rec, decision.Requests, string(decision.Verdict)
	fmt.Fprintf(d.o.Progress, "        %s after %d simulated requests: %s\n", decision.Verdict, decision.Requests, decision.Reason)
	return d.follow(ctx, decision)
}

// batch is how many requests are answered before their outcomes are recorded.
const batch = 5_000

func (d *demo) simulate(ctx context.Context, rows []int) error {
	for from := 0; from < len(rows); from += batch {
		part := rows[from:min(from+batch, len(rows))]
		answers, err := d.inferAll(ctx, fmt.Sprintf("simulated to %d", from+len(part)), part, func(int) map[string]any {
			return map[string]any{gateway.ParamSimulated: true}
		})
		if err != nil {
			return err
		}
		outcomes := make([]gateway.Outcome, len(answers))
		for i, a := range answers {
			outcomes[i] = gateway.Outcome{PredictionID: a.id, Label: d.truth(a.row)}
		}
		if _, err := d.gateway.RecordOutcomes(ctx, modelName, outcomes); err != nil {
			return err
		}
	}
	return nil
}

// follow does what the verdict says: the challenger becomes champion, or goes.
func (d *demo) follow(ctx context.Context, decision canary.Decision) error {
	cited := entryRef(d.life.canary, attest.KindCanaryVerdict)
	what := gateway.Deployment{Endpoint: modelName, Action: gateway.ActionRetire, Role: attest.ServeChallenger, Canary: &cited}
	if decision.Verdict == canary.Promote {
		what = gateway.Deployment{Endpoint: modelName, Action: gateway.ActionPromote, Role: attest.ServeChampion, Verdict: d.life.challenger.verdict.Index, Canary: &cited}
	}
	return d.deploy(ctx, d.life.challenger, what)
}
