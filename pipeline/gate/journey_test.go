package gate_test

import (
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
	"affidavit/pipeline/gate"
	"affidavit/pipeline/trigger"
)

// TestJourney takes a version from its data to a verdict that passed, and a
// retrained one after it; then the log replays to the same tables.
func TestJourney(t *testing.T) {
	l := newLife(t)
	l.prepare()
	l.develop("1", 1, nil)
	request := l.request()

	// An early verdict says what is missing, and changes nothing but its row.
	if _, passed := l.verdict(request); passed || l.state(request) != gate.StateOpen {
		t.Fatalf("passed without a decision: %v, state %s", passed, l.state(request))
	}

	// The engineer holds no role that decides.
	l.Refused(lineage.CodeForbidden, func() error {
		_, err := l.decide(erin, request, "validator", attest.OutcomeApproved)
		return err
	})
	l.approve(request)
	verdict, passed := l.verdict(request)
	if !passed || l.state(request) != gate.StateApproved {
		t.Fatalf("passed %v, state %s", passed, l.state(request))
	}
	var stage gate.StageRow
	l.View(func(r *lineage.ReadTx) error {
		if err := gate.Admit(r, request.EntryRef(attest.KindPromotionRequest), verdict.EntryRef(attest.KindVerdict), r.Size(), l.now); err != nil {
			t.Error(err)
		}
		return r.First(&stage, "project = ? AND model = ? AND stage = ?", ledgertest.Project, "lending", "production")
	})
	if stage.Version != "1" || stage.Root != l.root.Digest || stage.Entry != verdict.Index {
		t.Errorf("%+v", stage)
	}

	// Drift: an alert triggers a retraining, whose version takes the stage.
	alert := l.Must(l.Do(step(attest.KindAlert), lineage.Result{Predicate: attest.Alert{Endpoint: "loans", Kind: "drift", Windows: []attest.EntryRef{}, Features: []string{"income"}, Words: "drift"}}))
	again := l.Must(l.Do(step(attest.KindRetrainTrigger), trigger.RetrainResult(alert.EntryRef(attest.KindAlert), l.pipeline, l.trigger, "drift found")))
	by := lineage.Ref{Kind: attest.ArtefactEntry, Digest: again.PAE, Name: attest.KindRetrainTrigger}
	l.develop("2", 2, &by)
	second := l.request()
	l.approve(second)
	if _, passed := l.verdict(second); !passed {
		t.Fatal("the retrained version did not pass")
	}
	l.View(func(r *lineage.ReadTx) error {
		return r.First(&stage, "project = ? AND model = ? AND stage = ?", ledgertest.Project, "lending", "production")
	})
	if stage.Version != "2" {
		t.Errorf("%+v", stage)
	}
	l.audit()
	l.agreesOffline(6, 3)
}

// TestSelfApproval: whoever worked on a version cannot approve it, in whatever
// role they come, and is told by which path.
func TestSelfApproval(t *testing.T) {
	l := newLife(t)
	l.prepare()
	l.develop("1", 1, nil)
	request := l.request()

	l.Grant(erin, "model-owner")
	err := l.Refused(lineage.CodeForbidden, func() error {
		_, err := l.decide(erin, request, "model-owner", attest.OutcomeApproved)
		return err
	})
	for _, part := range []string{erin + " took part in what is decided", "version", "entry", "signed by"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v\ndoes not say %q", err, part)
		}
	}
	// Once an engineer, now a validator elsewhere: the role is gone, the work stays.
	for _, role := range []string{"model-owner", "engineer"} {
		l.Must(l.SubmitAs(ledgertest.Admin, lineage.Step{Kind: attest.KindRoleGrant}, lineage.Result{
			Predicate: attest.RoleGrant{Action: attest.ActionRevoke, Actor: erin, Role: role, Project: ledgertest.Project}}))
	}
	// The trainer answers to erin, so its account goes to somebody else first.
	l.Person("ellis", "engineer")
	l.Must(l.SubmitAs(ledgertest.Admin, lineage.Step{Kind: attest.KindServiceAccount}, lineage.Result{
		Predicate: attest.ServiceAccount{Account: trainer, Owner: "ellis", Purpose: "test", Active: true}}))
	l.Grant(erin, "validator")
	err = l.Refused(lineage.CodeForbidden, func() error {
		_, err := l.decide(erin, request, "validator", attest.OutcomeApproved)
		return err
	})
	if !strings.Contains(err.Error(), "took part in what is decided") {
		t.Error(err)
	}
	// To say no needs no distance.
	l.Must(l.decide(erin, request, "validator", attest.OutcomeRejected))
	if l.state(request) != gate.StateRejected {
		t.Error(l.state(request))
	}
	l.audit()
	l.agreesOffline(1, 0)
}
