package gate_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/lineage/ledgertest"
	"affidavit/pipeline/evaluate"
	"affidavit/pipeline/feature"
	"affidavit/pipeline/gate"
)

// refused wants a submission to fail with a code and words, and no row and no
// entry to appear.
func (l *life) refused(code lineage.Code, words string, fn func() error) {
	l.T.Helper()
	err := l.Refused(code, fn)
	if err != nil && !strings.Contains(err.Error(), words) {
		l.T.Errorf("%v\ndoes not say %q", err, words)
	}
}

func (l *life) submits(actor, kind string, res lineage.Result) func() error {
	return func() error {
		_, err := l.SubmitAs(actor, step(kind), res)
		return err
	}
}

func TestRequestRefusals(t *testing.T) {
	l := newLife(t)
	l.prepare()
	l.develop("1", 1, nil)
	later := func(d time.Duration) func(p *attest.PromotionRequest) {
		return func(p *attest.PromotionRequest) { p.Binding.Expires = l.now.Add(d) }
	}
	for _, c := range []struct {
		code   lineage.Code
		words  string
		change func(p *attest.PromotionRequest)
	}{
		{lineage.CodeInvalid, "requestNonce", func(p *attest.PromotionRequest) { p.Binding.RequestNonce = strings.Repeat("ab", 16) }},
		{lineage.CodeRefused, "not registered", func(p *attest.PromotionRequest) { p.Binding.Version = "9" }},
		{lineage.CodeRefused, "has root", func(p *attest.PromotionRequest) { p.Binding.Artefact = l.artefact.Digest }},
		{lineage.CodeInvalid, "concerns policy", func(p *attest.PromotionRequest) { p.Binding.PolicyDigest = l.artefact.Digest }},
		{lineage.CodeRefused, "says nothing about stage", func(p *attest.PromotionRequest) { p.Binding.Stage = "moon" }},
		{lineage.CodeRefused, "in the past", later(-time.Second)},
		{lineage.CodeRefused, "later than the policy allows", later(31 * 24 * time.Hour)},
		{lineage.CodeInvalid, "evidenceDigest", func(p *attest.PromotionRequest) { p.Binding.EvidenceDigest = l.artefact.Digest }},
		{lineage.CodeConflict, "leaves out entry", func(p *attest.PromotionRequest) {
			p.Evidence = p.Evidence[:1]
			p.Binding.EvidenceDigest = attest.EvidenceDigest(p.Evidence)
		}},
		{lineage.CodeInvalid, "log order", func(p *attest.PromotionRequest) {
			p.Evidence[0], p.Evidence[1] = p.Evidence[1], p.Evidence[0]
			p.Binding.EvidenceDigest = attest.EvidenceDigest(p.Evidence)
		}},
		{lineage.CodeInvalid, "is not a", func(p *attest.PromotionRequest) {
			p.Evidence[0].PAE = l.artefact.Digest
			p.Binding.EvidenceDigest = attest.EvidenceDigest(p.Evidence)
		}},
	} {
		l.refused(c.code, c.words, func() error {
			s, res, err := l.requestStep(nil)
			l.check(err)
			p := res.Predicate.(attest.PromotionRequest)
			c.change(&p)
			res.Predicate = p
			_, err = l.SubmitAs(erin, s, res)
			return err
		})
	}
	// The policy is superseded between asking and logging.
	s, res, err := l.requestStep(nil)
	l.check(err)
	next, err := govern.PolicyResult([]byte(strings.Replace(policyYAML, `version: "1"`, `version: "2"`, 1)))
	l.check(err)
	l.as(rick, attest.KindPolicy, next)
	l.refused(lineage.CodeRefused, "superseded", func() error {
		_, err := l.SubmitAs(erin, s, res)
		return err
	})
}

// TestEvidenceCannotBeChosen: an evaluation that speaks against the version,
// logged before the request, cannot be left out.
func TestEvidenceCannotBeChosen(t *testing.T) {
	l := newLife(t)
	l.prepare()
	l.develop("1", 1, nil)
	s, res, err := l.requestStep(nil)
	l.check(err)
	rep := l.report()
	rep.Config.Seed = 7 // another report
	mine, err := evaluate.ReportResult(rep, l.artefact, l.data, "", false)
	l.check(err)
	l.as(vera, attest.KindEvaluation, mine)
	l.refused(lineage.CodeConflict, "leaves out entry", func() error {
		_, err := l.SubmitAs(erin, s, res)
		return err
	})
	request := l.request()
	l.approve(request) // vera validated, which is no contribution
	if _, passed := l.verdict(request); !passed {
		t.Error("did not pass")
	}
}

func TestDecisionRefusals(t *testing.T) {
	l := newLife(t)
	l.prepare()
	l.develop("1", 1, nil)
	request := l.request()
	change := func(role string, fn func(d *attest.Decision, res *lineage.Result)) (string, lineage.Result) {
		kind, res := l.word(request, role, attest.OutcomeApproved)
		d := res.Predicate.(attest.Decision)
		fn(&d, &res)
		res.Predicate = d
		return kind, res
	}
	for field, fn := range map[string]func(b *attest.Binding){
		"binding.model":          func(b *attest.Binding) { b.Model = "other" },
		"binding.version":        func(b *attest.Binding) { b.Version = "2" },
		"binding.stage":          func(b *attest.Binding) { b.Stage = "staging" },
		"binding.policyDigest":   func(b *attest.Binding) { b.PolicyDigest = l.artefact.Digest },
		"binding.evidenceDigest": func(b *attest.Binding) { b.EvidenceDigest = l.artefact.Digest },
		"binding.requestNonce":   func(b *attest.Binding) { b.RequestNonce = strings.Repeat("ab", 16) },
		"binding.expires":        func(b *attest.Binding) { b.Expires = b.Expires.Add(time.Hour) },
	} {
		kind, res := change("validator", func(d *attest.Decision, _ *lineage.Result) { fn(&d.Binding) })
		l.refused(lineage.CodeRefused, field, l.submits(vera, kind, res))
	}
	_, res := change("model-owner", func(*attest.Decision, *lineage.Result) {})
	l.refused(lineage.CodeForbidden, "a decision is given in the role", l.submits(vera, attest.KindDecision, res))
	_, res = change("risk-officer", func(*attest.Decision, *lineage.Result) {})
	l.refused(lineage.CodeForbidden, "does not hold the role risk-officer", l.submits(vera, attest.KindDecision, res))
	kind, res := change("validator", func(d *attest.Decision, _ *lineage.Result) { d.Outcome = attest.OutcomeConditional })
	l.refused(lineage.CodeInvalid, "names its conditions", l.submits(vera, kind, res))
	kind, res = change("validator", func(_ *attest.Decision, res *lineage.Result) { res.Relations = res.Relations[:2] })
	l.refused(lineage.CodeInvalid, "must say", l.submits(vera, kind, res))
	kind, res = change("validator", func(d *attest.Decision, _ *lineage.Result) { d.Request.Index-- })
	l.refused(lineage.CodeInvalid, "request", l.submits(vera, kind, res))

	// Another model owner is not this model's.
	l.Person("otto-owner", "model-owner")
	_, res = l.word(request, "model-owner", attest.OutcomeApproved)
	l.refused(lineage.CodeForbidden, "owned by "+olivia, l.submits("otto-owner", attest.KindAcceptance, res))

	// Once, in one role.
	l.Grant(vera, "risk-officer")
	l.Must(l.decide(vera, request, "validator", attest.OutcomeApproved))
	l.refused(lineage.CodeConflict, "decided on it already, as validator", func() error {
		_, err := l.decide(vera, request, "risk-officer", attest.OutcomeApproved)
		return err
	})

	// Expired, then withdrawn.
	l.now = l.now.Add(11 * 24 * time.Hour)
	l.refused(lineage.CodeRefused, "expired", func() error {
		_, err := l.decide(rick, request, "risk-officer", attest.OutcomeApproved)
		return err
	})
	l.as(erin, attest.KindWithdrawal, gate.WithdrawalResult(request.EntryRef(attest.KindPromotionRequest), "not now"))
	l.refused(lineage.CodeRefused, "was withdrawn", func() error {
		_, err := l.decide(rick, request, "risk-officer", attest.OutcomeApproved)
		return err
	})
	if l.state(request) != gate.StateWithdrawn {
		t.Error(l.state(request))
	}
	l.audit()
}

// TestUnknownContributor: nobody approves what rests on data of which no entry
// says who made it.
func TestUnknownContributor(t *testing.T) {
	l := newLife(t)
	l.prepare()
	foreign := lineage.Ref{Kind: attest.ArtefactData, Digest: strings.Repeat("ab", 32), Name: "foreign"}
	// An entry that worked on it without having made it.
	l.Must(l.Do(step(attest.KindAlert), lineage.Result{
		Predicate: attest.Alert{Endpoint: "loans", Kind: "drift", Windows: []attest.EntryRef{}, Features: []string{"income"}, Words: "x"},
		Relations: []attest.Relation{{Type: attest.RelEvaluatedForDev, Ref: foreign}}}))
	l.data = foreign
	l.develop("1", 1, nil)
	request := l.request()
	l.refused(lineage.CodeForbidden, "nobody can decide while a contributor is unknown", func() error {
		_, err := l.decide(vera, request, "validator", attest.OutcomeApproved)
		return err
	})
	l.Must(l.decide(vera, request, "validator", attest.OutcomeRejected))
	if _, passed := l.verdict(request); passed {
		t.Error("passed")
	}
}

// TestProhibitedBasis: a version that takes a protected attribute as an input
// is registered, decided on, and does not pass.
func TestProhibitedBasis(t *testing.T) {
	l := newLife(t)
	l.prepare()
	l.def.Version, l.def.Inputs = 2, append(l.def.Inputs, feature.Input{Column: "race", Encoding: feature.OneHot, DropFirst: true})
	res, err := feature.Register(l.def, l.data, nil)
	l.check(err)
	l.features = res.Relations[1].Ref
	l.as(erin, attest.KindFeatureSet, res)
	l.develop("1", 1, nil)
	request := l.request()
	l.approve(request)
	var unmet string
	l.View(func(r *lineage.ReadTx) error {
		v, _, err := gate.Judge(r, request.Index, 0, l.now)
		unmet = gate.Unmet(v.Conditions)
		return err
	})
	if !strings.HasPrefix(unmet, "no_prohibited_basis:") || !strings.Contains(unmet, `takes "race" as an input`) {
		t.Error(unmet)
	}
	if _, passed := l.verdict(request); passed {
		t.Error("passed")
	}
}

// TestErasedReason: what an erasure took out of a rejection does not change
// how the log is judged, then or in replay.
func TestErasedReason(t *testing.T) {
	l := newLife(t)
	l.prepare()
	l.develop("1", 1, nil)
	request := l.request()
	no := l.Must(l.decide(vera, request, "validator", attest.OutcomeRejected))
	if _, passed := l.verdict(request); passed {
		t.Fatal("passed")
	}
	erase := func(rec lineage.Receipt) attest.Erasure {
		x := attest.Erasure{Reason: "a name stood in it", Basis: "privacy law"}
		l.View(func(r *lineage.ReadTx) error {
			e, err := r.Entry(rec.Index)
			if err != nil {
				return err
			}
			var p map[string]any
			if err := e.Decode(&p); err != nil {
				return err
			}
			p["reason"] = "(erased)"
			raw, err := attest.CanonicalJSON(p)
			x.Entries, x.Redacted = []attest.EntryRef{e.EntryRef()}, []json.RawMessage{raw}
			return err
		})
		return x
	}
	for _, rec := range []lineage.Receipt{no, request} {
		l.Must(l.SubmitAs(ledgertest.Admin, lineage.Step{Kind: attest.KindErasure}, lineage.Result{Predicate: erase(rec)}))
	}
	if _, passed := l.verdict(request); passed {
		t.Error("passed")
	}
	l.as(vera, attest.KindWithdrawal, gate.WithdrawalResult(no.EntryRef(attest.KindDecision), "settled"))
	l.approve(request)
	if _, passed := l.verdict(request); !passed {
		t.Error("did not pass")
	}
	l.audit()
}

func TestWithdrawals(t *testing.T) {
	l := newLife(t)
	l.prepare()
	l.develop("1", 1, nil)
	request := l.request()
	l.approve(request)
	verdict, passed := l.verdict(request)
	if !passed {
		t.Fatal("did not pass")
	}
	admit := func() (err error) {
		l.View(func(r *lineage.ReadTx) error {
			err = gate.Admit(r, request.EntryRef(attest.KindPromotionRequest), verdict.EntryRef(attest.KindVerdict), r.Size(), l.now)
			return nil
		})
		return err
	}
	var rows []gate.DecisionRow
	l.View(func(r *lineage.ReadTx) error { return r.Find(&rows, "entry", "request = ?", request.Index) })
	ref := func(i int) attest.EntryRef {
		var out attest.EntryRef
		l.View(func(r *lineage.ReadTx) error {
			e, err := r.Entry(rows[i].Entry)
			out = e.EntryRef()
			return err
		})
		return out
	}
	owner, validator := ref(0), ref(1)
	// Neither who asked nor another role's holder takes an approval back.
	l.refused(lineage.CodeForbidden, "may not take it back", l.submits(erin, attest.KindWithdrawal, gate.WithdrawalResult(validator, "x")))
	l.refused(lineage.CodeForbidden, "may not take it back", l.submits(olivia, attest.KindWithdrawal, gate.WithdrawalResult(validator, "x")))
	l.refused(lineage.CodeInvalid, "is not withdrawn", l.submits(erin, attest.KindWithdrawal, gate.WithdrawalResult(verdict.EntryRef(attest.KindVerdict), "x")))
	bare := gate.WithdrawalResult(validator, "x")
	bare.Relations = nil
	l.refused(lineage.CodeInvalid, "must say", l.submits(vera, attest.KindWithdrawal, bare))
	if err := admit(); err != nil {
		t.Error(err)
	}

	// A withdrawn approval voids the verdict that rested on it.
	l.as(vera, attest.KindWithdrawal, gate.WithdrawalResult(validator, "second thoughts"))
	l.refused(lineage.CodeConflict, "was withdrawn by entry", l.submits(vera, attest.KindWithdrawal, gate.WithdrawalResult(validator, "x")))
	if err := admit(); lineage.CodeOf(err) != lineage.CodeRefused || !strings.Contains(err.Error(), "approvals:validator") {
		t.Error(err)
	}
	if l.state(request) != gate.StateOpen {
		t.Error(l.state(request))
	}
	// Having taken it back, vera may reject; only she takes that back.
	no := l.Must(l.decide(vera, request, "validator", attest.OutcomeRejected))
	if l.state(request) != gate.StateRejected {
		t.Error(l.state(request))
	}
	l.refused(lineage.CodeForbidden, "may not take it back", l.submits(rick, attest.KindWithdrawal, gate.WithdrawalResult(no.EntryRef(attest.KindDecision), "x")))
	if _, passed := l.verdict(request); passed {
		t.Error("passed over a rejection")
	}
	l.as(vera, attest.KindWithdrawal, gate.WithdrawalResult(no.EntryRef(attest.KindDecision), "settled"))
	l.Must(l.decide(vera, request, "validator", attest.OutcomeApproved))
	if _, passed := l.verdict(request); !passed || l.state(request) != gate.StateApproved {
		t.Error(passed, l.state(request))
	}
	// A risk officer takes the owner's acceptance back.
	l.as(rick, attest.KindWithdrawal, gate.WithdrawalResult(owner, "the owner has left"))
	if l.state(request) != gate.StateOpen {
		t.Error(l.state(request))
	}
	l.audit()
}

func TestVerdictRefusals(t *testing.T) {
	l := newLife(t)
	l.prepare()
	l.develop("1", 1, nil)
	request := l.request()
	lies := func(code lineage.Code, words string, res lineage.Result) {
		t.Helper()
		l.refused(code, words, l.submits(trainer, attest.KindVerdict, res))
	}
	edit := func(fn func(v *attest.VSA)) lineage.Result {
		res, _ := l.judged(request)
		raw, err := json.Marshal(res.Predicate)
		l.check(err)
		var v attest.VSA
		l.check(json.Unmarshal(raw, &v))
		fn(&v)
		res.Predicate = v
		return res
	}
	lies(lineage.CodeRefused, "approvals:validator", edit(func(v *attest.VSA) {
		v.VerificationResult = gate.ResultPassed
	}))
	l.approve(request)
	lies(lineage.CodeRefused, "every condition is met", edit(func(v *attest.VSA) { v.VerificationResult = gate.ResultFailed }))
	lies(lineage.CodeConflict, "what follows from the log", edit(func(v *attest.VSA) { v.Gate.Conditions[0].Words = "trust me" }))
	lies(lineage.CodeConflict, "what follows from the log", edit(func(v *attest.VSA) { v.InputAttestations = v.InputAttestations[1:] }))
	lies(lineage.CodeConflict, "what follows from the log", edit(func(v *attest.VSA) { v.Gate.Binding.Stage = "moon" }))
	lies(lineage.CodeInvalid, "timeVerified", edit(func(v *attest.VSA) { v.TimeVerified = v.TimeVerified.Add(time.Hour) }))
	lies(lineage.CodeInvalid, "gate.request", edit(func(v *attest.VSA) { v.Gate.Request.Index-- }))
	short := edit(func(*attest.VSA) {})
	short.Relations = short.Relations[:3]
	lies(lineage.CodeInvalid, "must say", short)

	// Judged before the last decision, logged after it.
	stale, passed := l.judged(request)
	if !passed {
		t.Fatal("not ready")
	}
	var d gate.DecisionRow
	var target attest.EntryRef
	l.View(func(r *lineage.ReadTx) error {
		if err := r.First(&d, "actor = ?", rick); err != nil {
			return err
		}
		e, err := r.Entry(d.Entry)
		target = e.EntryRef()
		return err
	})
	l.as(rick, attest.KindWithdrawal, gate.WithdrawalResult(target, "wait"))
	lies(lineage.CodeRefused, "approvals:risk-officer", stale)
	l.audit()
}

// TestAdmit refuses what the verdict does not carry, and what time has undone.
func TestAdmit(t *testing.T) {
	l := newLife(t)
	l.prepare()
	l.develop("1", 1, nil)
	request := l.request()
	failed, _ := l.verdict(request)
	l.approve(request)
	verdict, _ := l.verdict(request)
	other := l.request()
	admit := func(request, verdict lineage.Receipt, at time.Time) error {
		return l.L.View(context.Background(), lineage.Scope{Project: ledgertest.Project}, func(r *lineage.ReadTx) error {
			return gate.Admit(r, request.EntryRef(attest.KindPromotionRequest), verdict.EntryRef(attest.KindVerdict), r.Size(), at)
		})
	}
	for _, c := range []struct {
		request, verdict lineage.Receipt
		at               time.Time
		words            string
	}{
		{request, verdict, l.now, ""},
		{request, failed, l.now, "did not pass"},
		{other, verdict, l.now, "judged another request"},
		{request, request, l.now, "is not a gate-verdict"},
		{request, verdict, l.now.Add(11 * 24 * time.Hour), "expired"},
	} {
		err := admit(c.request, c.verdict, c.at)
		if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("%v, want %q", err, c.words)
		}
	}
	// A later policy of the same name voids what stands under the earlier.
	next, err := govern.PolicyResult([]byte(strings.Replace(policyYAML, `version: "1"`, `version: "2"`, 1)))
	l.check(err)
	l.as(rick, attest.KindPolicy, next)
	if err := admit(request, verdict, l.now); err == nil || !strings.Contains(err.Error(), "superseded") {
		t.Error(err)
	}
}
