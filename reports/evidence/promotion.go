package evidence

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/rbac/sod"
	"affidavit/reports/card"
	"affidavit/reports/pdf"
	"affidavit/serving/gateway"
)

// Refused is an attempt that the ledger refused. A refused statement is not in
// the log, so the caller tells it and the document says where it comes from.
type Refused struct {
	Actor, Role, Tried, Reason, Code string
	When                             time.Time
}

// promotionRecord is the reading that the promotion record is drawn from.
func (f *facts) promotionRecord(refused []Refused, documentName string) (card.PromotionRecord, error) {
	c := card.PromotionRecord{Model: f.model, Version: f.version, Stage: "no stage"}
	if f.request != nil {
		b := f.request.V.Binding
		c.Stage = b.Stage
		c.Request = card.Request{By: f.who(f.request.Actor), Reason: f.request.V.Reason, When: f.request.Stamp, Expires: b.Expires, Artefact: b.Artefact, Policy: words("policy not recorded"),
			PolicyDigest: b.PolicyDigest, EvidenceDigest: b.EvidenceDigest, Nonce: b.RequestNonce, Sources: f.cite(f.request.Entry)}
		if f.policy != nil {
			c.Request.Policy = f.policy.Name + " " + f.policy.Version
			c.Quorum = f.quorum(b.Stage)
		}
	}
	for _, d := range f.decisions {
		c.Decisions = append(c.Decisions, card.Decision{Signer: f.name(d.Actor), Role: words(d.V.Role), Outcome: words(d.V.Outcome), Reason: d.V.Reason,
			Conditions: d.V.Conditions, When: d.Stamp, Key: d.KeyID, Sources: f.cite(d.Entry)})
	}
	f.gate(&c)
	for _, r := range refused {
		tried := r.Tried
		if tried == "" {
			tried = "to decide on " + f.model + " " + f.version
		}
		c.Refused = append(c.Refused, card.RefusedAttempt{Who: f.name(r.Actor), Role: words(r.Role), Tried: tried, Reason: r.Reason + " (not in the log: as the server told it)", Code: r.Code, When: r.When.UTC()})
	}
	for _, d := range f.deployments {
		c.Deployed = append(c.Deployed, card.DeploymentEvent{Endpoint: d.V.Endpoint, Action: d.V.Action, Role: d.V.Role, Version: d.V.Version, Weight: d.V.Weight, Loaded: d.V.Artefact, When: d.Stamp, Sources: f.cite(d.Entry)})
	}
	c.Canary = f.canaryOf()
	c.Life = f.life()
	var err error
	if c.Lineage, c.LineageItems, err = f.lineage(); err != nil {
		return c, err
	}
	bundle := f.registration.Entry
	if f.verdict != nil {
		bundle = f.verdict.Entry
	}
	c.Verify = card.DefaultVerification("pack.zip", "trusted_root.json", "documents/"+documentName, fmt.Sprintf("bundles/%d-%s.sigstore.json", bundle.Index, bundle.Kind),
		"keys/"+bundle.KeyID+".pub", attest.PredicateTypeOf(bundle.Kind), bundle.Statement.Subject[0].Digest["sha256"])
	c.Sources, _ = f.cited()
	return c, nil
}

// quorum sets the policy's needs against the decisions that stand.
func (f *facts) quorum(stage string) []card.QuorumNeed {
	s := f.policy.Stages[stage]
	if s == nil {
		return nil
	}
	var out []card.QuorumNeed
	need := func(role string, count int, text string) {
		q := card.QuorumNeed{Role: words(role), Needed: count, Verdict: card.Waiting, Words: text}
		for _, d := range f.standing() {
			if d.V.Role != role {
				continue
			}
			if d.V.Outcome == attest.OutcomeRejected {
				q.Verdict = card.NotMet
			} else {
				q.Given++
			}
			q.Sources = append(q.Sources, f.cite(d.Entry)...)
		}
		if q.Verdict != card.NotMet && q.Given >= count {
			q.Verdict = card.Met
		}
		q.Sources = append(q.Sources, f.cite(f.policyFrom)...)
		out = append(out, q)
	}
	if s.OwnerAcceptance {
		need(sod.RoleModelOwner, 1, "first-line acceptance by the model's owner, who must not be in its lineage")
	}
	for _, a := range s.Approvals {
		need(a.Role, a.Count, "approval by as many different people, none of whom worked on the version")
	}
	return out
}

func (f *facts) gate(c *card.PromotionRecord) {
	if f.verdict == nil {
		return
	}
	src := f.cite(f.verdict.Entry)
	met := 0
	for _, cond := range f.verdict.V.Gate.Conditions {
		row := card.Check{Name: cond.Name, Verdict: card.NotMet, Words: cond.Words, Sources: src}
		if cond.Met {
			met++
			row.Verdict = card.Met
		}
		for _, by := range cond.By {
			if e, err := f.r.Entry(by.Index); err == nil && e.PAE == by.PAE && len(row.Sources) < 6 {
				row.Sources = append(slices.Clone(row.Sources), f.cite(e)...)
			}
		}
		c.Conditions = append(c.Conditions, row)
	}
	c.Gate = card.GateVerdict{Passed: f.verdict.V.VerificationResult == "PASSED", When: f.verdict.Stamp, Sources: src,
		Words: fmt.Sprintf("%d of %d conditions are met.", met, len(f.verdict.V.Gate.Conditions))}
}

// canaryOf is the trial in which the version was the challenger.
func (f *facts) canaryOf() *card.Canary {
	if f.canary == nil {
		return nil
	}
	v := f.canary.V
	c := &card.Canary{Challenger: f.version, Requests: v.Requests, Verdict: v.Verdict, Sources: f.cite(f.canary.Entry)}
	if e, err := f.r.Entry(v.Champion.Index); err == nil {
		var d attest.Deployment
		if e.Decode(&d) == nil {
			c.Champion = d.Version
			c.Sources = f.cite(f.canary.Entry, e)
		}
	}
	var rep gateway.CanaryReport
	if json.Unmarshal(v.Report, &rep) != nil || rep.Schema != gateway.CanaryReportSchema {
		return c
	}
	cfg := rep.State.Config
	c.Weight, c.Alpha, c.Beta, c.Words = rep.Weight, cfg.Alpha, cfg.Beta, rep.State.Decision.Reason
	if cfg.Alpha > 0 {
		c.HarmLimit = float64(len(cfg.Guardrails)) / cfg.Alpha
	}
	if cfg.Beta > 0 {
		c.SafeLimit = 1 / cfg.Beta
	}
	rollbackOnly := map[string]bool{}
	for _, g := range cfg.Guardrails {
		rollbackOnly[g.Name] = g.RollbackOnly
	}
	for _, t := range rep.State.Tracks {
		g := card.Guardrail{Name: words(t.Guardrail), Events: t.Events, CanaryEvents: t.CanaryEvents, RollbackOnly: rollbackOnly[t.Guardrail],
			EHarm: eValue(t.LogHarm()), ESafe: eValue(t.LogSafe())}
		for _, p := range t.Trace {
			g.Harm = append(g.Harm, pdf.Point{X: float64(p.Requests), Y: eValue(p.LogHarm)})
			g.Safe = append(g.Safe, pdf.Point{X: float64(p.Requests), Y: eValue(p.LogSafe)})
		}
		c.Guardrails = append(c.Guardrails, g)
	}
	return c
}

// eValue is exp(x) kept inside what JSON and a logarithmic axis can show.
func eValue(x float64) float64 { return math.Exp(min(max(x, -600), 600)) }

// life lists what happened to the version, in log order; predictions are
// summed up, one line for all segments.
func (f *facts) life() []card.Event {
	type line struct {
		e    *lineage.Entry
		what string
		also []int64
	}
	var lines []line
	add := func(e *lineage.Entry, format string, args ...any) {
		lines = append(lines, line{e: e, what: fmt.Sprintf(format, args...)})
	}
	for _, d := range f.data {
		add(d.Entry, "Data version %s %s registered, %d rows", d.V.Name, d.V.Version, d.V.Rows)
	}
	for _, c := range f.checks {
		add(c.Entry, "Data validated: %s, %d passed, %d failed", strings.ToLower(c.V.Result), len(c.V.PassedTests), len(c.V.FailedTests))
	}
	if f.features != nil {
		add(f.features.Entry, "Feature set %s %s registered, %d inputs", f.features.V.Name, f.features.V.Version, len(f.features.V.Inputs))
	}
	for _, p := range f.pipelines {
		add(p.Entry, "Pipeline %s configured", p.V.Name)
	}
	for _, w := range f.causeWindows {
		add(w.Entry, "Monitoring window %d of version %s: %s, %d rows", w.V.Sequence, w.V.Version, w.V.Status, w.V.Count)
	}
	for _, a := range f.causeAlerts {
		add(a.Entry, "Alert (%s): %s", a.V.Kind, a.V.Words)
	}
	for _, t := range f.causes {
		add(t.Entry, "Retraining triggered: %s", t.V.Reason)
	}
	if f.run != nil {
		add(f.run.Entry, "Trained: %s", words(fmt.Sprint(f.run.V.BuildDefinition.ExternalParameters["algorithm"])))
	}
	for _, e := range f.evaluations {
		add(e.Entry, "Evaluated: %s", strings.ToLower(e.V.Result))
	}
	if f.signature != nil {
		add(f.signature.Entry, "Files signed, %d of them", len(f.signature.V.Resources))
	}
	add(f.registration.Entry, "Registered as %s %s", f.model, f.version)
	if f.request != nil {
		add(f.request.Entry, "Promotion to %s asked", f.request.V.Binding.Stage)
	}
	for _, d := range f.decisions {
		add(d.Entry, "%s as %s", sentence(words(d.V.Outcome)), words(d.V.Role))
	}
	for _, w := range f.withdrawals {
		add(w.Entry, "Entry %d withdrawn: %s", w.V.Target.Index, w.V.Reason)
	}
	if f.verdict != nil {
		add(f.verdict.Entry, "Gate verdict: %s", strings.ToLower(f.verdict.V.VerificationResult))
	}
	for _, d := range f.deployments {
		add(d.Entry, "Deployment at %s: %s as %s, %.4g %% of the traffic", d.V.Endpoint, d.V.Action, d.V.Role, d.V.Weight*100)
	}
	for _, real := range []bool{true, false} {
		var n, positive int64
		var of []of[attest.Segment]
		for _, s := range f.segments {
			if s.V.Simulated != real {
				n, positive, of = n+s.V.Count, positive+s.V.Positive, append(of, s)
			}
		}
		if len(of) > 0 {
			what := fmt.Sprintf("%d predictions sealed in segments (%d), %d of them positive", n, len(of), positive)
			if !real {
				what += "; simulated requests"
			}
			lines = append(lines, line{e: of[len(of)-1].Entry, what: what, also: citeAll(f, of)})
		}
	}
	for _, o := range f.outcomes {
		add(o.Entry, "Outcomes of %d predictions came in", o.V.Count)
	}
	for _, w := range f.windows {
		add(w.Entry, "Monitoring window %d: %s, %d rows", w.V.Sequence, w.V.Status, w.V.Count)
	}
	for _, a := range f.alerts {
		add(a.Entry, "Alert (%s): %s", a.V.Kind, a.V.Words)
	}
	for _, t := range f.retrains {
		add(t.Entry, "Retraining triggered: %s", t.V.Reason)
	}
	if f.canary != nil {
		add(f.canary.Entry, "Canary on %d requests%s: %s", f.canary.V.Requests, simulated(f.canary.V.Simulated), f.canary.V.Verdict)
	}
	slices.SortStableFunc(lines, func(a, b line) int { return int(a.e.Index - b.e.Index) })
	out := make([]card.Event, len(lines))
	for i, l := range lines {
		out[i] = card.Event{When: l.e.Stamp, What: l.what, Who: f.who(l.e.Actor), Sources: l.also}
		if l.also == nil {
			out[i].Sources = f.cite(l.e)
		}
	}
	return out
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
