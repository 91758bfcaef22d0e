package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/pipeline/gate"
	"affidavit/serving/gateway"
	"affidavit/serving/gateway/canary"
	"affidavit/serving/gateway/openinference"
)

// plan is what the gateway would deploy, changed by a test.
func (l *life) plan(g *gateway.Gateway, d gateway.Deployment, change func(*attest.Deployment)) lineage.Result {
	l.T.Helper()
	res, err := g.Plan(ctx, d)
	l.check(err)
	p := res.Predicate.(attest.Deployment)
	if change != nil {
		change(&p)
	}
	res.Predicate = p
	return res
}

// TestAdmissionRefusals: each lawful deployment with one thing wrong is refused, by name, and nothing is written.
func TestAdmissionRefusals(t *testing.T) {
	l := newLife(t)
	g := l.open(nil)
	l.develop("1", 1)
	l.develop("2", 2)
	failed := l.verdict(l.request("2"))
	other := l.approve("2")
	verdict := l.approve("1")
	lawful := gateway.Deployment{Endpoint: "loans", Action: gateway.ActionDeploy, Role: attest.ServeChampion, Verdict: verdict.Index}
	zeros := strings.Repeat("0", 64)

	for _, c := range []struct {
		name   string
		code   lineage.Code
		field  string
		change func(*attest.Deployment)
	}{
		{"endpoint", lineage.CodeInvalid, "endpoint", func(d *attest.Deployment) { d.Endpoint = "../admin" }},
		{"weight of a champion", lineage.CodeInvalid, "weight", func(d *attest.Deployment) { d.Weight = .5 }},
		{"challenger without champion", lineage.CodeConflict, "role", func(d *attest.Deployment) { d.Role, d.Weight = attest.ServeChallenger, .1 }},
		{"challenger with all traffic", lineage.CodeInvalid, "weight", func(d *attest.Deployment) { d.Role = attest.ServeChallenger }},
		{"promotion without canary", lineage.CodeRefused, "canary", func(d *attest.Deployment) { d.Action = gateway.ActionPromote }},
		{"verdict of another request", lineage.CodeRefused, "verdict", func(d *attest.Deployment) { d.Verdict = other.EntryRef(attest.KindVerdict) }},
		{"verdict that failed", lineage.CodeRefused, "verdict", func(d *attest.Deployment) { d.Verdict = failed.EntryRef(attest.KindVerdict) }},
		{"no verdict", lineage.CodeInvalid, "verdict", func(d *attest.Deployment) { d.Verdict = d.Request }},
		{"verdict by another digest", lineage.CodeInvalid, "verdict", func(d *attest.Deployment) { d.Verdict.PAE = zeros }},
		{"another version", lineage.CodeRefused, "verdict", func(d *attest.Deployment) { d.Version = "2" }},
		{"another stage", lineage.CodeRefused, "verdict", func(d *attest.Deployment) { d.Stage = "staging" }},
		{"other files", lineage.CodeRefused, "verdict", func(d *attest.Deployment) { d.Root = zeros }},
		{"another artefact", lineage.CodeRefused, "artefact", func(d *attest.Deployment) { d.Artefact = l.blobs["2"] }},
		{"permit of another endpoint", lineage.CodeRefused, "permit", func(d *attest.Deployment) { d.Permit = attest.Permit(verdict.PAE, "cards", d.Role) }},
		{"canary of a first champion", lineage.CodeInvalid, "canary", func(d *attest.Deployment) { r := d.Verdict; d.Canary = &r }},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := l.plan(g, lawful, c.change)
			if c.field == "verdict" && strings.HasPrefix(c.name, "other files") {
				res.Subjects = nil
			}
			err := l.Refused(c.code, func() error { _, err := l.SubmitAs(erin, step(attest.KindDeployment), res); return err })
			var le *lineage.Error
			if le = asError(err); le == nil || le.Field != c.field {
				t.Errorf("%v, want field %s", err, c.field)
			}
		})
	}
	t.Run("relations", func(t *testing.T) {
		res := l.plan(g, lawful, nil)
		res.Relations = res.Relations[:1]
		l.Refused(lineage.CodeInvalid, func() error { _, err := l.SubmitAs(erin, step(attest.KindDeployment), res); return err })
	})
	t.Run("role", func(t *testing.T) {
		l.Refused(lineage.CodeForbidden, func() error {
			_, err := l.SubmitAs(vera, step(attest.KindDeployment), l.plan(g, lawful, nil))
			return err
		})
	})

	// The engineer signs the same plan, and it is served after Sync.
	l.as(erin, attest.KindDeployment, l.plan(g, lawful, nil))
	l.check(g.Sync(ctx))
	if s := g.Status(); len(s) != 1 || s[0].Version != "1" {
		t.Fatalf("%+v", s)
	}
	// The permit is spent: not again after a retirement either, until the gate gives a new verdict.
	again := l.plan(g, lawful, nil)
	l.Refused(lineage.CodeConflict, func() error { _, err := l.SubmitAs(erin, step(attest.KindDeployment), again); return err })
	_, err := g.Deploy(ctx, gateway.Deployment{Endpoint: "loans", Action: gateway.ActionRetire, Role: attest.ServeChampion}, erin)
	l.check(err)
	err = l.Refused(lineage.CodeConflict, func() error { _, err := l.SubmitAs(erin, step(attest.KindDeployment), again); return err })
	if le := asError(err); le == nil || le.Field != "permit" {
		t.Error(err)
	}
	if _, err := g.Infer(ctx, "loans", "", ask(.5, "owner")); lineage.CodeOf(err) != lineage.CodeNotFound {
		t.Errorf("a retired endpoint: %v", err)
	}
	fresh := l.verdict(l.requests["1"])
	_, err = g.Deploy(ctx, gateway.Deployment{Endpoint: "loans", Action: gateway.ActionDeploy, Role: attest.ServeChampion, Verdict: fresh.Index}, erin)
	l.check(err)
	l.audit()
}

func asError(err error) *lineage.Error {
	e, _ := err.(*lineage.Error)
	return e
}

// TestWithdrawn: a quorum that fell stops a deployment, a restart and what was running.
func TestWithdrawn(t *testing.T) {
	l := newLife(t)
	g := l.open(nil)
	l.champion(g)
	l.develop("2", 2)
	second := l.approve("2")
	for _, v := range []string{"1", "2"} {
		l.as(rick, attest.KindWithdrawal, gate.WithdrawalResult(l.said[v].EntryRef(attest.KindDecision), "second thoughts"))
	}
	plan := l.plan(g, gateway.Deployment{Endpoint: "loans", Action: gateway.ActionDeploy, Role: attest.ServeChallenger, Weight: .1, Verdict: second.Index}, nil)
	err := l.Refused(lineage.CodeRefused, func() error { _, err := l.SubmitAs(erin, step(attest.KindDeployment), plan); return err })
	if !strings.Contains(err.Error(), "risk-officer") {
		t.Error(err)
	}
	for _, gw := range []*gateway.Gateway{g, l.open(nil)} {
		if err := gw.Sync(ctx); lineage.CodeOf(err) != lineage.CodeUnavailable || !strings.Contains(err.Error(), "not approved any more") {
			t.Errorf("sync: %v", err)
		}
		if _, err := gw.Infer(ctx, "loans", "", ask(.5, "owner")); lineage.CodeOf(err) != lineage.CodeUnavailable {
			t.Errorf("infer: %v", err)
		}
		if gw.Ready() {
			t.Error("ready")
		}
	}
}

// TestExpiry: an approval that runs out stops predictions by itself.
func TestExpiry(t *testing.T) {
	l := newLife(t)
	g := l.open(nil)
	l.champion(g)
	if _, err := g.Infer(ctx, "loans", "", ask(.5, "owner")); err != nil {
		t.Fatal(err)
	}
	l.advance(10 * 24 * time.Hour)
	if _, err := g.Infer(ctx, "loans", "", ask(.5, "owner")); lineage.CodeOf(err) != lineage.CodeUnavailable || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}

// TestInputs: what the model was not approved with is refused, and says which input and how to mend it.
func TestInputs(t *testing.T) {
	l := newLife(t)
	g := l.open(nil)
	l.champion(g)
	request := func(change func(*openinference.Request)) *openinference.Request {
		r := ask(.5, "owner")
		change(r)
		return r
	}
	for name, c := range map[string]struct {
		request *openinference.Request
		words   string
	}{
		"unseen category": {ask(.5, "squatter"), "inputs[kind]: row 0 has a category that the model was not made for (known are owner, renter)"},
		"unknown input": {request(func(r *openinference.Request) {
			r.Inputs = append(r.Inputs, openinference.Tensor{Name: "race", Datatype: openinference.Bytes, Shape: []int64{1}, Bytes: [][]byte{[]byte("a")}})
		}), "inputs[race]: the model was not approved with this input (send exactly income, kind)"},
		"missing input": {request(func(r *openinference.Request) { r.Inputs = r.Inputs[:1] }), "inputs[kind]: it is missing"},
		"missing value": {request(func(r *openinference.Request) { r.Inputs[0].FP64[0] = nan() }), "has no score"},
		"infinite":      {request(func(r *openinference.Request) { r.Inputs[0].FP64[0] = 1 / zero() }), "inputs[income]: the value of row 0 is infinite"},
		"too large":     {request(func(r *openinference.Request) { r.Inputs[0].FP64[0] = 1e300 }), "inputs[income]: row 0: the number does not fit 32 bits"},
		"text as number": {request(func(r *openinference.Request) {
			r.Inputs[0] = openinference.Tensor{Name: "income", Datatype: openinference.Bytes, Shape: []int64{1}, Bytes: [][]byte{[]byte("1")}}
		}), "inputs[income]: it has datatype BYTES"},
		"number as text": {request(func(r *openinference.Request) {
			r.Inputs[1] = openinference.Tensor{Name: "kind", Datatype: openinference.Int64, Shape: []int64{1}, Int: []int64{1}}
		}), "inputs[kind]: it has datatype INT64"},
		"rows": {request(func(r *openinference.Request) {
			r.Inputs[1].Shape, r.Inputs[1].Bytes = []int64{2, 1}, [][]byte{[]byte("owner"), []byte("owner")}
		}), "inputs[kind]: 2 rows, and 1 in the inputs before it"},
		"shape":      {request(func(r *openinference.Request) { r.Inputs[0].Shape, r.Inputs[0].FP64 = []int64{1, 2}, []float64{1, 2} }), "inputs[income]: it has shape [1 2]"},
		"no rows":    {request(func(r *openinference.Request) { r.Inputs[0].Shape, r.Inputs[0].FP64 = []int64{0, 1}, nil }), "inputs[income]: it has shape [0 1]"},
		"bad flag":   {request(func(r *openinference.Request) { r.Parameters = openinference.Parameters{"simulated": "yes"} }), "parameters.simulated"},
		"no subject": {request(func(r *openinference.Request) { r.Parameters = openinference.Parameters{"subject": ""} }), "parameters.subject"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := g.Infer(ctx, "loans", "", c.request)
			if lineage.CodeOf(err) != lineage.CodeInvalid || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), "squatter") {
				t.Error("the message repeats what the applicant said")
			}
		})
	}
	if _, err := g.Infer(ctx, "cards", "", ask(.5, "owner")); lineage.CodeOf(err) != lineage.CodeNotFound {
		t.Error(err)
	}
	if _, err := g.Infer(ctx, "loans", "9", ask(.5, "owner")); lineage.CodeOf(err) != lineage.CodeNotFound {
		t.Error(err)
	}
	// None of them was sealed; [N], integers and the name of the model are fine.
	res, err := g.Infer(ctx, "lending", "1", &openinference.Request{ID: "x", Inputs: []openinference.Tensor{
		{Name: "kind", Datatype: openinference.Bytes, Shape: []int64{2}, Bytes: [][]byte{[]byte("owner"), []byte("renter")}},
		{Name: "income", Datatype: openinference.Int64, Shape: []int64{2}, Int: []int64{0, 1}}}})
	l.check(err)
	if res.ID != "x" || len(res.Outputs) != 2 || res.Outputs[0].Len() != 2 {
		t.Errorf("%+v", res)
	}
	l.check(g.Seal(ctx))
	var rows []gateway.SegmentRow
	l.View(func(r *lineage.ReadTx) error { return r.Find(&rows, "", "1 = 1") })
	if len(rows) != 1 || rows[0].Records != 2 {
		t.Errorf("%+v", rows)
	}
	m, err := g.Model(ctx, "loans", "")
	l.check(err)
	if len(m.Inputs) != 2 || m.Inputs[0].Name != "income" || m.Inputs[1].Datatype != openinference.Bytes || m.Versions[0] != "1" {
		t.Errorf("%+v", m)
	}
}

func zero() float64 { return 0 }
func nan() float64  { return zero() / zero() }

// TestRecordRefusals: segments, outcomes and canary verdicts that say more than happened.
func TestRecordRefusals(t *testing.T) {
	l := newLife(t)
	g := l.open(nil)
	first := l.champion(g)
	res, err := g.Infer(ctx, "loans", "", ask(.5, "owner"))
	l.check(err)
	id := res.Parameters[gateway.ParamPrediction].(string)
	l.check(g.Seal(ctx))
	refs, err := g.Reader().Segments(ctx, "lending", "loans", -1)
	l.check(err)
	segment, err := g.Reader().OpenSegment(ctx, refs[0])
	l.check(err)

	digest := strings.Repeat("ab", 32)
	seg := func(change func(*attest.Segment)) lineage.Result {
		s := segment.Segment
		s.Sequence, s.Digest = 2, digest
		change(&s)
		return lineage.Result{Predicate: s, Subjects: []attest.Subject{{Name: "s", Digest: map[string]string{"sha256": s.Digest}}}, Relations: []attest.Relation{
			{Type: attest.RelGenerated, Ref: attest.Ref{Kind: attest.ArtefactSegment, Digest: s.Digest}},
			{Type: attest.RelMonitored, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: first.PAE}}}}
	}
	out := func(change func(*attest.Outcomes)) lineage.Result {
		o := attest.Outcomes{Endpoint: "loans", Segments: refs, Count: 1, Digest: digest, Metrics: map[string]float64{"auc": .5}}
		change(&o)
		return lineage.Result{Predicate: o, Relations: []attest.Relation{
			{Type: attest.RelGenerated, Ref: attest.Ref{Kind: attest.ArtefactOutcomes, Digest: digest}},
			{Type: attest.RelConcerns, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: refs[0].PAE}}}}
	}
	for name, c := range map[string]struct {
		kind string
		res  lineage.Result
		code lineage.Code
	}{
		"sequence again":    {attest.KindSegment, seg(func(s *attest.Segment) { s.Sequence = 1 }), lineage.CodeConflict},
		"sequence ahead":    {attest.KindSegment, seg(func(s *attest.Segment) { s.Sequence = 3 }), lineage.CodeConflict},
		"same file":         {attest.KindSegment, seg(func(s *attest.Segment) { s.Digest = segment.Digest }), lineage.CodeConflict},
		"other version":     {attest.KindSegment, seg(func(s *attest.Segment) { s.Version = "2" }), lineage.CodeRefused},
		"other endpoint":    {attest.KindSegment, seg(func(s *attest.Segment) { s.Endpoint = "cards" }), lineage.CodeRefused},
		"no deployment":     {attest.KindSegment, seg(func(s *attest.Segment) { s.Deployment = refs[0] }), lineage.CodeInvalid},
		"empty":             {attest.KindSegment, seg(func(s *attest.Segment) { s.Count, s.Positive = 0, 0 }), lineage.CodeInvalid},
		"too many positive": {attest.KindSegment, seg(func(s *attest.Segment) { s.Positive = s.Count + 1 }), lineage.CodeInvalid},
		"backwards":         {attest.KindSegment, seg(func(s *attest.Segment) { s.To = s.From.Add(-time.Second) }), lineage.CodeInvalid},
		"more outcomes":     {attest.KindOutcomes, out(func(o *attest.Outcomes) { o.Count = 2 }), lineage.CodeInvalid},
		"no segment":        {attest.KindOutcomes, out(func(o *attest.Outcomes) { o.Segments = nil }), lineage.CodeInvalid},
		"segment twice":     {attest.KindOutcomes, out(func(o *attest.Outcomes) { o.Segments = append(refs[:1:1], refs[0]) }), lineage.CodeRefused},
		"auc of two":        {attest.KindOutcomes, out(func(o *attest.Outcomes) { o.Metrics["auc"] = 2 }), lineage.CodeInvalid},
		"other count":       {attest.KindOutcomes, out(func(o *attest.Outcomes) { o.Metrics["count"] = 7 }), lineage.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			l.Refused(c.code, func() error { _, err := l.SubmitAs(lineage.DefaultServiceActor, step(c.kind), c.res); return err })
		})
	}

	for name, c := range map[string]struct {
		outcomes []gateway.Outcome
		code     lineage.Code
	}{
		"none":       {nil, lineage.CodeInvalid},
		"unknown id": {[]gateway.Outcome{{PredictionID: id}, {PredictionID: "x"}}, lineage.CodeNotFound},
		"twice":      {[]gateway.Outcome{{PredictionID: id}, {PredictionID: id}}, lineage.CodeInvalid},
		"label":      {[]gateway.Outcome{{PredictionID: id, Label: 2}}, lineage.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			l.Refused(c.code, func() error { _, err := g.RecordOutcomes(ctx, "loans", c.outcomes); return err })
		})
	}
	_, err = g.RecordOutcomes(ctx, "loans", []gateway.Outcome{{PredictionID: id, Label: 1}})
	l.check(err)
	l.Refused(lineage.CodeConflict, func() error {
		_, err := g.RecordOutcomes(ctx, "loans", []gateway.Outcome{{PredictionID: id, Label: 0}})
		return err
	})
}

// TestCanaryRefusals: a verdict must follow from its evidence, and a promotion from its verdict.
func TestCanaryRefusals(t *testing.T) {
	l := newLife(t)
	g := l.open(nil)
	first := l.champion(g)
	plan := gateway.CanaryPlan{Endpoint: "loans", Config: canary.Config{MaxRequests: 4, Guardrails: []canary.Guardrail{{Name: gateway.GuardPositive}}}}
	l.Refused(lineage.CodeConflict, func() error { return g.StartCanary(ctx, plan) })
	second := l.challenger(g, .5)
	for name, change := range map[string]func(*gateway.CanaryPlan){
		"unknown guardrail": func(p *gateway.CanaryPlan) { p.Config.Guardrails = []canary.Guardrail{{Name: "mood"}} },
		"no limit":          func(p *gateway.CanaryPlan) { p.Config.Guardrails = []canary.Guardrail{{Name: gateway.GuardLatency}} },
		"no end":            func(p *gateway.CanaryPlan) { p.Config.MaxRequests = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			bad := plan
			change(&bad)
			if err := g.StartCanary(ctx, bad); lineage.CodeOf(err) != lineage.CodeInvalid {
				t.Error(err)
			}
		})
	}
	l.check(g.StartCanary(ctx, plan))
	for range 4 {
		_, err := g.Infer(ctx, "loans", "", ask(.9, "owner"))
		l.check(err)
	}
	_, err := g.Infer(ctx, "loans", "", simulated(ask(.9, "owner"))) // not of this canary
	l.check(err)
	rec, decision, err := g.FinishCanary(ctx, "loans")
	l.check(err)
	if decision.Verdict != canary.Inconclusive || decision.Requests != 4 {
		t.Fatalf("%+v", decision)
	}
	ref := rec.EntryRef(attest.KindCanaryVerdict)
	l.Refused(lineage.CodeRefused, func() error {
		_, err := l.SubmitAs(erin, step(attest.KindDeployment), l.plan(g, gateway.Deployment{Endpoint: "loans", Action: gateway.ActionPromote, Verdict: l.verdictOf(second), Canary: &ref}, nil))
		return err
	})

	// The same evidence under another verdict, other arms or another weight.
	var honest attest.CanaryVerdict
	l.View(func(r *lineage.ReadTx) error {
		e, err := r.Entry(rec.Index)
		if err != nil {
			return err
		}
		return e.Decode(&honest)
	})
	for name, c := range map[string]struct {
		change func(*attest.CanaryVerdict, *gateway.CanaryReport)
		code   lineage.Code
	}{
		"promote": {func(c *attest.CanaryVerdict, _ *gateway.CanaryReport) { c.Verdict = gateway.VerdictPromote }, lineage.CodeRefused},
		"promote by its state": {func(c *attest.CanaryVerdict, r *gateway.CanaryReport) {
			c.Verdict, r.State.Decision.Verdict = gateway.VerdictPromote, canary.Promote
		}, lineage.CodeRefused},
		"requests": {func(c *attest.CanaryVerdict, _ *gateway.CanaryReport) { c.Requests = 20000 }, lineage.CodeRefused},
		"real":     {func(c *attest.CanaryVerdict, _ *gateway.CanaryReport) { c.Simulated = true }, lineage.CodeRefused},
		"weight":   {func(_ *attest.CanaryVerdict, r *gateway.CanaryReport) { r.Weight = .1 }, lineage.CodeRefused},
		"arms": {func(c *attest.CanaryVerdict, _ *gateway.CanaryReport) {
			c.Champion, c.Challenger = c.Challenger, c.Champion
		}, lineage.CodeConflict},
		"schema": {func(_ *attest.CanaryVerdict, r *gateway.CanaryReport) { r.Schema = "mine" }, lineage.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			p := honest
			var report gateway.CanaryReport
			l.check(json.Unmarshal(p.Report, &report))
			c.change(&p, &report)
			p.Report, _ = json.Marshal(report)
			l.Refused(c.code, func() error {
				_, err := l.SubmitAs(lineage.DefaultServiceActor, step(attest.KindCanaryVerdict), lineage.Result{Predicate: p, Relations: []attest.Relation{
					{Type: attest.RelComparedWith, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: first.PAE}},
					{Type: attest.RelComparedWith, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: second.PAE}}}})
				return err
			})
		})
	}

	// The challenger goes; the champion cannot go before it.
	l.Refused(lineage.CodeConflict, func() error {
		_, err := l.SubmitAs(erin, step(attest.KindDeployment), l.plan(g, gateway.Deployment{Endpoint: "loans", Action: gateway.ActionRetire, Role: attest.ServeChampion}, nil))
		return err
	})
	_, err = g.Deploy(ctx, gateway.Deployment{Endpoint: "loans", Action: gateway.ActionRetire, Role: attest.ServeChallenger, Canary: &ref}, erin)
	l.check(err)
	if s := g.Status(); len(s) != 1 || s[0].Role != attest.ServeChampion {
		t.Errorf("%+v", s)
	}
	l.audit()
}
