package gateway_test

import (
	"context"
	"math"
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
	"affidavit/serving/gateway"
	"affidavit/serving/gateway/canary"
	"affidavit/serving/gateway/openinference"
)

var ctx = context.Background()

// TestLife: a champion predicts, its outcomes come, a challenger is tried in a canary and promoted; every prediction is
// sealed, and the log replays to the same tables.
func TestLife(t *testing.T) {
	l := newLife(t)
	g := l.open(nil)
	first := l.champion(g)
	if !g.Ready() {
		t.Fatal("not ready")
	}

	// The answer is the model's, and names the deployment.
	var outcomes []gateway.Outcome
	for i := range 240 {
		income, kind := float64(i*37%101)/100, "owner"
		if i%3 == 0 {
			kind = "renter"
		}
		res, err := g.Infer(ctx, "loans", "", ask(income, kind))
		if err != nil {
			t.Fatal(err)
		}
		want, err := l.models["1"].Predict(l.rows[i : i+1])
		l.check(err)
		if got := float64(scoreOf(res)); math.Abs(got-want[0]) > 1e-5 {
			t.Fatalf("row %d scores %v, the model says %v", i, got, want[0])
		}
		p := res.Parameters
		if p[gateway.ParamDeployment] != first.Index || p[gateway.ParamVersion] != "1" || p[gateway.ParamRole] != attest.ServeChampion {
			t.Fatalf("%v", p)
		}
		outcomes = append(outcomes, gateway.Outcome{PredictionID: p[gateway.ParamPrediction].(string), Label: int64(l.labels[i])})
	}
	rec, err := g.RecordOutcomes(ctx, "loans", outcomes)
	l.check(err)
	l.checkOutcomes(rec)

	second := l.challenger(g, .5)
	plan := gateway.CanaryPlan{Endpoint: "loans", Simulated: true, Config: canary.Config{MaxRequests: 20000,
		Guardrails: []canary.Guardrail{{Name: gateway.GuardPositive}, {Name: gateway.GuardError, RollbackOnly: true}}}}
	l.check(g.StartCanary(ctx, plan))
	l.Refused(lineage.CodeConflict, func() error { _, _, err := g.FinishCanary(ctx, "loans"); return err })
	var n int
	for n = 0; ; n++ {
		d, err := g.CanaryDecision("loans")
		l.check(err)
		if d.Verdict != canary.Continue {
			break
		}
		_, err = g.Infer(ctx, "loans", "", simulated(ask(float64(n*37%101)/100, "owner")))
		l.check(err)
	}
	verdict, decision, err := g.FinishCanary(ctx, "loans")
	l.check(err)
	if decision.Verdict != canary.Promote {
		t.Fatalf("after %d requests: %+v", n, decision)
	}
	ref := verdict.EntryRef(attest.KindCanaryVerdict)
	// The same gate verdict is good for a second role, once.
	promoted, err := g.Deploy(ctx, gateway.Deployment{Endpoint: "loans", Action: gateway.ActionPromote, Verdict: l.verdictOf(second), Canary: &ref}, erin)
	l.check(err)
	status := g.Status()
	if len(status) != 1 || status[0].Version != "2" || status[0].Deployment.Index != promoted.Index || status[0].Err != nil {
		t.Fatalf("%+v", status)
	}
	_, err = g.Infer(ctx, "loans", "", ask(.5, "owner"))
	l.check(err)
	l.check(g.Close(ctx))
	l.checkSegments(first, second, promoted, n)
	l.audit()
	l.agreesOffline(5)
}

func scoreOf(r *openinference.Response) float32 {
	for _, o := range r.Outputs {
		if o.Name == "probabilities" {
			return o.FP32[len(o.FP32)-1]
		}
	}
	return -1
}

func (l *life) verdictOf(deployment lineage.Receipt) int64 {
	var row gateway.DeploymentRow
	l.View(func(r *lineage.ReadTx) error { return r.First(&row, "entry = ?", deployment.Index) })
	return row.Verdict
}

// checkOutcomes computes the AUC over all pairs.
func (l *life) checkOutcomes(rec lineage.Receipt) {
	l.T.Helper()
	scores, err := l.models["1"].Predict(l.rows)
	l.check(err)
	var won, pairs, brier float64
	for i, y := range l.labels {
		s := float64(float32(scores[i]))
		brier += (s - y) * (s - y) / float64(len(scores))
		for j, z := range l.labels {
			if y != 1 || z != 0 {
				continue
			}
			pairs++
			if o := float64(float32(scores[j])); s > o {
				won++
			} else if s == o {
				won += .5
			}
		}
	}
	var o attest.Outcomes
	l.View(func(r *lineage.ReadTx) error {
		e, err := r.Entry(rec.Index)
		if err != nil {
			return err
		}
		return e.Decode(&o)
	})
	if o.Count != 240 || len(o.Segments) != 3 || math.Abs(o.Metrics[gateway.MetricAUC]-won/pairs) > 1e-4 || math.Abs(o.Metrics[gateway.MetricBrier]-brier) > 1e-4 {
		l.T.Errorf("%+v, by pairs AUC %v, Brier %v", o, won/pairs, brier)
	}
}

// checkSegments opens every segment: each prediction given is there once, under its deployment, simulated ones apart.
func (l *life) checkSegments(first, second, promoted lineage.Receipt, n int) {
	l.T.Helper()
	r := gateway.Reader{Ledger: l.L, Keys: l.keys}
	refs, err := r.Segments(ctx, ledgertest.Project, "loans", -1)
	l.check(err)
	seen := map[string]bool{}
	count := map[bool]int{}
	byDeployment := map[int64]int{}
	for _, ref := range refs {
		s, err := r.OpenSegment(ctx, ref)
		l.check(err)
		var positive int64
		for _, p := range s.Predictions {
			if seen[p.ID] || len(p.Inputs) != 2 {
				l.T.Fatalf("%+v", p)
			}
			seen[p.ID] = true
			positive += p.Label
			if s.Simulated && p.Rho != .5 {
				l.T.Fatalf("weight %v", p.Rho)
			}
		}
		if positive != s.Positive || s.Shredded != 0 {
			l.T.Errorf("segment %d: %d positive, sworn are %d", s.Sequence, positive, s.Positive)
		}
		count[s.Simulated] += len(s.Predictions)
		byDeployment[s.Deployment.Index] += len(s.Predictions)
	}
	if count[false] != 241 || count[true] != n || byDeployment[promoted.Index] != 1 {
		l.T.Errorf("%v sealed, %d simulated were asked for; %v", count, n, byDeployment)
	}
	// Each arm was drawn with probability ½: within five standard deviations.
	if k := float64(byDeployment[second.Index]); math.Abs(k-float64(n)/2) > 2.5*math.Sqrt(float64(n)) || byDeployment[first.Index]-240+int(k) != n {
		l.T.Errorf("the challenger got %v of %d", k, n)
	}
}
