package server_test

import (
	"encoding/json"
	"io/fs"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/rbac/sod"
	"affidavit/templates"
)

type kindMaker = func(string, func(*lineage.WriteTx, *lineage.Entry) error) lineage.Kind

// decoded makes a projection from a function of the predicate.
func decoded[P any](project func(*lineage.WriteTx, *lineage.Entry, P) error) func(*lineage.WriteTx, *lineage.Entry) error {
	return func(w *lineage.WriteTx, e *lineage.Entry) error {
		var p P
		if err := e.Decode(&p); err != nil {
			return err
		}
		return project(w, e, p)
	}
}

func decision(w *lineage.WriteTx, e *lineage.Entry, p attest.Decision) error {
	return table(w, "decisions", e, values{"project": e.Project, "kind": e.Kind, "request": p.Request.Index, "role": p.Role,
		"outcome": p.Outcome, "actor": e.Actor, "target": p.Request.Index})
}

func modelKinds(kind kindMaker) []lineage.Kind {
	return []lineage.Kind{
		kind(attest.KindInventory, decoded(func(w *lineage.WriteTx, e *lineage.Entry, p attest.InventoryEntry) error {
			return table(w, "cur_inventory", e, values{"project": e.Project, "model": p.Model, "tier": p.RiskTier, "owner": p.Owner, "developer": p.Developer})
		})),
		kind(attest.KindEvaluation, decoded(func(w *lineage.WriteTx, e *lineage.Entry, p attest.TestResult) error {
			return table(w, "evaluations", e, values{"project": e.Project, "kind": e.Kind, "subject": p.Configuration[0].Digest["sha256"], "result": p.Result})
		})),
		kind(attest.KindRegistration, decoded(func(w *lineage.WriteTx, e *lineage.Entry, p attest.Registration) error {
			return table(w, "versions", e, values{"project": e.Project, "model": p.Model, "version": p.Version, "root": p.Root, "artefact": p.Artefact, "run_entry": p.Run.Index})
		})),
		kind(attest.KindPromotionRequest, decoded(func(w *lineage.WriteTx, e *lineage.Entry, p attest.PromotionRequest) error {
			return table(w, "requests", e, values{"project": e.Project, "model": p.Binding.Model, "version": p.Binding.Version, "stage": p.Binding.Stage,
				"root": p.Binding.Artefact, "policy": p.Binding.PolicyDigest, "evidence": p.Binding.EvidenceDigest, "nonce": e.Step.Nonce, "expires": p.Binding.Expires.Unix()})
		})),
		kind(attest.KindAcceptance, decoded(decision)),
		kind(attest.KindDecision, decoded(decision)),
		kind(attest.KindWithdrawal, decoded(func(w *lineage.WriteTx, e *lineage.Entry, p attest.Withdrawal) error {
			var request int64
			if err := w.DB().Table("decisions").Where("entry = ?", p.Target.Index).Pluck("request", &request).Error; err != nil {
				return err
			}
			return table(w, "decisions", e, values{"project": e.Project, "kind": e.Kind, "request": request, "role": "", "outcome": "", "actor": e.Actor, "target": p.Target.Index})
		})),
		kind(attest.KindVerdict, decoded(func(w *lineage.WriteTx, e *lineage.Entry, p attest.VSA) error {
			passed := 0
			if p.VerificationResult == "PASSED" {
				passed = 1
			}
			return table(w, "verdicts", e, values{"project": e.Project, "request": p.Gate.Request.Index, "passed": passed})
		})),
		kind(attest.KindDeployment, decoded(func(w *lineage.WriteTx, e *lineage.Entry, p attest.Deployment) error {
			at := values{"project": e.Project, "endpoint": p.Endpoint, "role": p.Role, "weight": p.Weight, "model": p.Model, "version": p.Version, "root": p.Root, "artefact": p.Artefact}
			if err := table(w, "cur_endpoints", e, at); err != nil {
				return err
			}
			at["action"], at["request"], at["verdict"], at["permit"] = p.Action, p.Request.Index, p.Verdict.Index, p.Permit
			return table(w, "deployments", e, at)
		})),
		kind(attest.KindWindow, decoded(func(w *lineage.WriteTx, e *lineage.Entry, p attest.Window) error {
			return table(w, "windows", e, values{"project": e.Project, "endpoint": p.Endpoint, "model": p.Model, "version": p.Version,
				"sequence": p.Sequence, "records": p.Count, "status": p.Status, "retrain": 0})
		})),
	}
}

func rel(t attest.RelationType, kind, digest, name string) attest.Relation {
	return attest.Relation{Type: t, Ref: attest.Ref{Kind: kind, Digest: digest, Name: name}}
}

func subject(name, digest string) []attest.Subject {
	return []attest.Subject{{Name: name, Digest: map[string]string{"sha256": digest}}}
}

// life is what the pages are about, by entry.
type life struct {
	inventory, data, run, signature, registration, check, policy, request, acceptance, validation, refusal, verdict, deployment, window attest.EntryRef
	root, artefact                                                                                                                      string
}

// live runs one version through the whole life, signed by those who would.
func live(w *world) life {
	w.openProject()
	for _, p := range [][3]string{{"emil", "Emil Engineer", sod.RoleEngineer}, {"olivia", "Olivia Owner", sod.RoleModelOwner},
		{"vera", "Vera Validator", sod.RoleValidator}, {"rita", "Rita Risk <b>", sod.RoleRiskOfficer}} {
		w.enrol(p[0], p[1], p[2])
	}
	l := life{root: digestOf("root"), artefact: digestOf("model file")}
	report := digestOf("report")
	l.inventory = w.step(attest.KindInventory, "olivia", attest.InventoryEntry{Model: "mortgage-denial", UseCase: "Second look at mortgage applications",
		IntendedUse: "Second look at applications that would be denied.", ProhibitedUse: "Automatic denial.", Owner: "olivia", Developer: "emil", Exposure: "high",
		Purpose: "credit decision support", RiskTier: "high", Protected: []string{"race"}, Limits: []string{"Boston, 1990."}}, nil)
	p, s, r := dataVersion("hmda_boston_1990")
	l.data = w.step(attest.KindDataVersion, "emil", p, s, r)
	var run attest.Provenance
	run.BuildDefinition.BuildType = "https://affidavit.dev/build/train/v1"
	run.RunDetails.Builder.ID = "https://affidavit.dev/builder/test"
	l.run = w.step(attest.KindTrainingRun, "emil", run, subject("model.onnx", l.artefact), rel(attest.RelUsed, attest.ArtefactData, p.Digest, p.Name),
		rel(attest.RelGenerated, attest.ArtefactModel, l.artefact, "model.onnx"))
	w.signModel(&l)
	l.registration = w.step(attest.KindRegistration, "emil", attest.Registration{Model: "mortgage-denial", Version: "2", Root: l.root, Artefact: l.artefact, Format: "onnx",
		Inputs: []string{"pirat", "hirat"}, Run: l.run, Signature: l.signature, Metrics: map[string]float64{"auc": 0.8306, "brier": 0.079}},
		subject("mortgage-denial 2", l.root), rel(attest.RelUsed, attest.ArtefactModel, l.artefact, ""), rel(attest.RelRegistered, attest.ArtefactVersion, l.root, "mortgage-denial 2"))
	l.check = w.step(attest.KindEvaluation, "vera", attest.TestResult{Result: attest.ResultPassed, PassedTests: []string{"auc", "calibration"},
		Configuration: []attest.ResourceDescriptor{{Name: "mortgage-denial 2", Digest: map[string]string{"sha256": l.root}}}}, subject("report.json", report),
		rel(attest.RelValidated, attest.ArtefactVersion, l.root, ""), rel(attest.RelGenerated, attest.ArtefactReport, report, "report.json"))
	yaml, err := fs.ReadFile(templates.FS, "policies/credit-high-risk.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	published, err := govern.PolicyResult(yaml)
	if err != nil {
		w.t.Fatal(err)
	}
	l.policy = w.step(attest.KindPolicy, "rita", published.Predicate, published.Subjects, published.Relations...)
	w.promote(&l, published.Relations[0].Digest)
	return l
}

func (w *world) signModel(l *life) {
	var oms attest.OMS
	oms.Serialization.Method, oms.Serialization.HashType, oms.Serialization.IgnorePaths = "files", "sha256", []string{}
	oms.Resources = []attest.OMSResource{{Name: "model.onnx", Algorithm: "sha256", Digest: l.artefact}}
	l.signature = w.step(attest.KindModelSignature, "emil", oms, subject("mortgage-denial", l.root), rel(attest.RelUsed, attest.ArtefactModel, l.artefact, ""),
		rel(attest.RelGenerated, attest.ArtefactVersion, l.root, "mortgage-denial 2"))
}

// promote asks, decides, judges, deploys and watches.
func (w *world) promote(l *life, policy string) {
	binding := attest.Binding{Model: "mortgage-denial", Version: "2", Artefact: l.root, Stage: "production", PolicyDigest: policy,
		EvidenceDigest: attest.EvidenceDigest([]attest.EntryRef{l.check}), RequestNonce: digestOf("request")[:32], Expires: time.Date(2027, 5, 31, 0, 0, 0, 0, time.UTC)}
	version := rel(attest.RelDecided, attest.ArtefactVersion, l.root, "")
	l.request = w.step(attest.KindPromotionRequest, "emil", attest.PromotionRequest{Binding: binding, Evidence: []attest.EntryRef{l.check}, Reason: "better than the champion"},
		nil, rel(attest.RelRequested, attest.ArtefactVersion, l.root, ""))
	word := func(role, outcome, reason string) attest.Decision {
		return attest.Decision{Request: l.request, Binding: binding, Role: role, Outcome: outcome, Reason: reason}
	}
	about := rel(attest.RelDecided, attest.ArtefactEntry, l.request.PAE, "")
	l.acceptance = w.step(attest.KindAcceptance, "olivia", word("model-owner", attest.OutcomeApproved, "fit for the intended use"), nil, version, about)
	l.validation = w.step(attest.KindDecision, "vera", word("validator", attest.OutcomeConditional, "watch calibration"), nil, version, about)
	l.refusal = w.step(attest.KindDecision, "rita", word("risk-officer", attest.OutcomeRejected, "<script>alert(1)</script>"), nil, version, about)
	w.step(attest.KindWithdrawal, "rita", attest.Withdrawal{Target: l.refusal, Reason: "decided too early"}, nil, rel(attest.RelSupersedes, attest.ArtefactEntry, l.refusal.PAE, ""))
	var vsa attest.VSA
	vsa.Verifier.ID, vsa.TimeVerified, vsa.ResourceURI, vsa.VerificationResult = "https://affidavit.dev/gate", time.Now().UTC(), "pkg:test", "FAILED"
	vsa.Policy.Digest = map[string]string{"sha256": policy}
	vsa.Gate = attest.GateDetail{Request: l.request, Binding: binding, Conditions: []attest.Condition{
		{Name: "discrimination", Met: true, By: []attest.EntryRef{l.check}, Words: "AUC 0.8306 is at least 0.75"},
		{Name: "risk officer", Met: false, Words: "no risk officer approves; ask one to decide"}}}
	l.verdict = w.step(attest.KindVerdict, lineage.DefaultServiceActor, vsa, nil, rel(attest.RelDecided, attest.ArtefactVersion, l.root, ""), rel(attest.RelConcerns, attest.ArtefactEntry, l.validation.PAE, ""))
	l.deployment = w.step(attest.KindDeployment, lineage.DefaultServiceActor, attest.Deployment{Endpoint: "lending", Action: "deploy", Role: attest.ServeChampion, Weight: 0.95, Model: "mortgage-denial",
		Version: "2", Root: l.root, Artefact: l.artefact, Stage: "production", Request: l.request, Verdict: l.verdict, Permit: digestOf("permit")}, nil,
		rel(attest.RelDeployed, attest.ArtefactVersion, l.root, ""), rel(attest.RelConcerns, attest.ArtefactEntry, l.verdict.PAE, ""))
	l.window = w.step(attest.KindWindow, lineage.DefaultServiceActor, attest.Window{Endpoint: "lending", Model: "mortgage-denial", Version: "2", Sequence: 1, Count: 2500, Status: "alert",
		Digest: digestOf("window"), Report: json.RawMessage(`{}`)}, nil, rel(attest.RelMonitored, attest.ArtefactVersion, l.root, ""))
}
