package pack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/attest/pack"
)

// operation is what a life logs around a canary.
type operation struct {
	champion, challenger *version
	window, alert        attest.EntryRef
	first, second        attest.EntryRef // deployments
	canary               attest.EntryRef
}

// admit takes a version to a verdict, without deploying it.
func (w *world) admit(v *version) attest.EntryRef {
	w.ask(v, policyYAML)
	return w.verdict(v, w.decide("olivia", "model-owner", v.request, v.binding), w.decide("vera", "validator", v.request, v.binding),
		w.decide("rick", "risk-officer", v.request, v.binding))
}

func (w *world) deployment(d attest.Deployment) attest.EntryRef {
	return w.add(attest.KindDeployment, project, "affidavit", "ann", subject("lending", d.Root),
		[]attest.Relation{rel(attest.RelDeployed, attest.ArtefactVersion, d.Root, "lending "+d.Version)}, d)
}

func deploymentOf(v *version, verdict attest.EntryRef, action, role string) attest.Deployment {
	return attest.Deployment{Endpoint: "loans", Action: action, Role: role, Weight: 0.5, Model: "lending", Version: v.name, Root: v.root,
		Artefact: v.artefact, Stage: stage, Request: v.request, Verdict: verdict, Permit: attest.Permit(verdict.PAE, "loans", role)}
}

// operate runs champion and challenger up to the canary's verdict.
func (w *world) operate(outcome string) (*operation, attest.EntryRef) {
	o := &operation{champion: w.develop("1"), challenger: w.develop("2")}
	o.first = w.deployment(deploymentOf(o.champion, w.admit(o.champion), "deploy", attest.ServeChampion))
	w.serve(o.champion, o.first)
	digest := digestOf("window")
	o.window = w.add(attest.KindWindow, project, "affidavit", "", subject("window", digest), []attest.Relation{rel(attest.RelMonitored, attest.ArtefactWindow, digest, "window")},
		attest.Window{Endpoint: "loans", Model: "lending", Version: "1", Sequence: 1, Count: 9, Status: "alert", Retrain: true, Digest: digest, Report: json.RawMessage(`{}`)})
	o.alert = w.add(attest.KindAlert, project, "affidavit", "", nil, []attest.Relation{rel(attest.RelConcerns, attest.ArtefactWindow, digest, "window")},
		attest.Alert{Endpoint: "loans", Windows: []attest.EntryRef{o.window}, Kind: "drift", Features: []string{"income"}, Words: "income drifted"})
	w.add(attest.KindRetrainTrigger, project, "affidavit", "", nil, []attest.Relation{rel(attest.RelTriggeredBy, attest.ArtefactEntry, o.alert.PAE, "alert")},
		attest.RetrainTrigger{Alert: o.alert, Pipeline: digestOf("config 2"), Trigger: digestOf("config 2"), Reason: "drift"})
	verdict := w.admit(o.challenger)
	o.second = w.deployment(deploymentOf(o.challenger, verdict, "deploy", attest.ServeChallenger))
	o.canary = w.add(attest.KindCanaryVerdict, project, "affidavit", "", nil, []attest.Relation{rel(attest.RelComparedWith, attest.ArtefactEntry, o.first.PAE, "champion")},
		attest.CanaryVerdict{Endpoint: "loans", Champion: o.first, Challenger: o.second, Verdict: outcome, Requests: 10, Simulated: true, Report: json.RawMessage(`{}`)})
	return o, verdict
}

// promoteOn replaces the champion on the canary's verdict.
func (w *world) promoteOn(o *operation, verdict attest.EntryRef, change func(d *attest.Deployment)) {
	d := deploymentOf(o.challenger, verdict, "promote", attest.ServeChampion)
	d.Canary = &o.canary
	if change != nil {
		change(&d)
	}
	w.deployment(d)
}

// TestWholeLife: a champion, an alert, a challenger, a canary, a promotion, a
// retirement, a rejected and a failed request, and an erasure all verify.
func TestWholeLife(t *testing.T) {
	w := newWorld(t)
	w.staff()
	o, verdict := w.operate("promote")
	w.promoteOn(o, verdict, nil)
	retired := deploymentOf(o.champion, verdict, "retire", attest.ServeChampion)
	retired.Permit, retired.Request, retired.Verdict = "", o.champion.request, o.first
	retired.Verdict = w.entryRef(retired.Request.Index + 4) // the champion's verdict
	w.deployment(retired)

	// A contributor may say no to own work, and a gate may say no.
	third := w.develop("3")
	w.ask(third, policyYAML)
	w.add(attest.KindAcceptance, project, "olivia", "", nil, []attest.Relation{rel(attest.RelDecided, attest.ArtefactEntry, third.request.PAE, "request")},
		attest.Decision{Request: third.request, Binding: third.binding, Role: "model-owner", Outcome: attest.OutcomeRejected, Reason: "not yet"})
	w.failedVerdict(third)

	// The window's payload is erased: only its digest stays, in the erasure.
	redacted := []json.RawMessage{json.RawMessage(`{}`)}
	w.add(attest.KindErasure, "", "adam", "", nil, nil, attest.Erasure{Reason: "request", Basis: "GDPR Art. 17", Entries: []attest.EntryRef{o.window}, Redacted: redacted})
	w.skip[o.window.Index] = true

	r := w.verify(w.export())
	if r.Exit() != pack.ExitVerified {
		t.Fatalf("exit %d:\n%s", r.Exit(), refusals(r))
	}
	if len(r.Decisions) != 7 || len(r.Judged) != 6 {
		t.Errorf("%d decisions and %d verdicts and deployments were judged, want 7 and 6", len(r.Decisions), len(r.Judged))
	}
	if r.Absent != 1 {
		t.Errorf("%d entries absent, want the erased one", r.Absent)
	}
}

func (w *world) entryRef(index int64) attest.EntryRef {
	e := w.entries[index]
	return attest.EntryRef{Index: index, PAE: e.signed.PAEHex(), Kind: e.kind}
}

func (w *world) failedVerdict(v *version) attest.EntryRef {
	var vsa attest.VSA
	vsa.Verifier.ID = "https://affidavit.dev/gate/v1"
	vsa.TimeVerified = w.now
	vsa.ResourceURI = "affidavit:credit/lending@" + v.name
	vsa.Policy = attest.ResourceDescriptor{Digest: map[string]string{"sha256": v.binding.PolicyDigest}}
	vsa.InputAttestations, vsa.VerifiedLevels = []attest.ResourceDescriptor{}, []string{}
	vsa.VerificationResult = "FAILED"
	vsa.Gate = attest.GateDetail{Request: v.request, Binding: v.binding, Conditions: []attest.Condition{{Name: "quorum", Words: "nobody agreed"}}}
	return w.add(attest.KindVerdict, project, "affidavit", "", subject("lending", v.root), []attest.Relation{rel(attest.RelConcerns, attest.ArtefactVersion, v.root, "lending "+v.name)}, vsa)
}

// operationRow is a log that a server without its checks would make, and the
// refusal that it meets.
type operationRow struct {
	name, code, words string
	log               func(w *world)
}

// canaryLog is a promotion on a canary with an outcome, after a change.
func canaryLog(outcome string, change func(w *world, o *operation, d *attest.Deployment)) func(w *world) {
	return func(w *world) {
		o, verdict := w.operate(outcome)
		w.promoteOn(o, verdict, func(d *attest.Deployment) {
			if change != nil {
				change(w, o, d)
			}
		})
	}
}

// singleLog is one deployment, after a change.
func singleLog(change func(w *world, v *version, d *attest.Deployment)) func(w *world) {
	return func(w *world) {
		v := w.develop("1")
		d := deploymentOf(v, w.admit(v), "deploy", attest.ServeChampion)
		change(w, v, &d)
		w.deployment(d)
	}
}

// rogueAdmissions are rows about deployments, canaries and predictions.
func rogueAdmissions() []operationRow {
	return []operationRow{
		{"promotion on a lost canary", pack.CodeDeployment, `whose verdict was "rollback"`, canaryLog("rollback", nil)},
		{"promotion on a canary elsewhere", pack.CodeDeployment, "at another endpoint", canaryLog("promote", func(_ *world, _ *operation, d *attest.Deployment) {
			d.Endpoint = "cards"
			d.Permit = attest.Permit(d.Verdict.PAE, d.Endpoint, d.Role)
		})},
		{"permit of another role", pack.CodePermit, "not the one of this verdict", singleLog(func(_ *world, _ *version, d *attest.Deployment) {
			d.Permit = attest.Permit(d.Verdict.PAE, d.Endpoint, attest.ServeChallenger)
		})},
		{"promotion of what was not in the canary", pack.CodeDeployment, `it promotes version "1" on a canary of version "2"`,
			canaryLog("promote", func(w *world, o *operation, d *attest.Deployment) {
				other := deploymentOf(o.champion, w.entryRef(o.first.Index-1), "promote", attest.ServeChampion)
				other.Canary = d.Canary
				*d = other
			})},
		{"canary that is none", pack.CodeReference, "must name a canary-verdict", canaryLog("promote", func(_ *world, o *operation, d *attest.Deployment) { d.Canary = &o.alert })},
		{"canary of other traffic", pack.CodeReference, "with traffic at", func(w *world) {
			o, _ := w.operate("promote")
			w.add(attest.KindCanaryVerdict, project, "affidavit", "", nil, []attest.Relation{rel(attest.RelComparedWith, attest.ArtefactEntry, o.first.PAE, "champion")},
				attest.CanaryVerdict{Endpoint: "cards", Champion: o.first, Challenger: o.second, Verdict: "promote", Requests: 1, Report: json.RawMessage(`{}`)})
		}},
		{"another file than registered", pack.CodeDeployment, "not the one that was registered", singleLog(func(_ *world, _ *version, d *attest.Deployment) { d.Artefact = digestOf("other") })},
		{"relations that name another version", pack.CodeDeployment, "relations name another version", func(w *world) {
			v := w.develop("1")
			d := deploymentOf(v, w.admit(v), "deploy", attest.ServeChampion)
			other := digestOf("other")
			w.add(attest.KindDeployment, project, "affidavit", "ann", subject("lending", other), []attest.Relation{rel(attest.RelDeployed, attest.ArtefactVersion, other, "")}, d)
		}},
		{"predictions of a retired deployment", pack.CodeReference, "its predictions are said to be of", func(w *world) {
			v := w.develop("1")
			d := deploymentOf(v, w.admit(v), "deploy", attest.ServeChampion)
			w.deployment(d)
			d.Action = "retire"
			w.serve(v, w.deployment(d))
		}},
		{"predictions of a deployment in another project", pack.CodeReference, `of project "other"`, func(w *world) {
			v := w.develop("1")
			d := deploymentOf(v, w.admit(v), "deploy", attest.ServeChampion)
			w.serve(v, w.add(attest.KindDeployment, "other", "affidavit", "ann", subject("lending", v.root),
				[]attest.Relation{rel(attest.RelDeployed, attest.ArtefactVersion, v.root, "")}, d))
		}},
		{"a checkpoint of the future seen", pack.CodeReference, "which did not exist yet", func(w *world) {
			step := attest.Step{Kind: attest.KindAbandoned, Project: project, Nonce: digestOf("future")[:32], Actor: "affidavit", Claimed: w.now,
				NotBefore: attest.Position{Size: w.log.Size() + 1, Root: digestOf("root")}, Relations: nil}
			st, err := attest.NewStatement(step, nil, attest.Abandoned{Intent: digestOf("intent")[:32], Kind: attest.KindEvaluation, Reason: "expired"})
			check(w.t, err)
			signed, err := attest.Sign(context.Background(), st, w.signers["affidavit"])
			check(w.t, err)
			w.append(attest.KindAbandoned, project, signed)
		}},
		{"a certificate for an address that came later", pack.CodeIdentity, "not an address of vera", func(w *world) {
			v := w.develop("1")
			w.ask(v, policyYAML)
			w.signers["vera"] = w.certified("vera@new.example")
			w.decide("vera", "validator", v.request, v.binding)
			e := w.enrolment("vera")
			e.Email = "vera@new.example"
			w.add(attest.KindKeyEvent, "", "adam", "", nil, nil, attest.KeyEvent{Action: attest.ActionEnrol, Enrolment: e})
		}},
		{"work before the role was granted", pack.CodeRole, "needs the role engineer", func(w *world) {
			w.enrol("eric")
			digest := digestOf("early")
			w.add(attest.KindPipeline, project, "eric", "", subject("train", digest), []attest.Relation{rel(attest.RelConfigured, attest.ArtefactPipeline, digest, "train")},
				attest.PipelineConfiguration{Name: "train", Type: "training", Config: json.RawMessage(`{}`)})
			w.grant("eric", "engineer")
		}},
		{"verdict that failed", pack.CodeDeployment, "did not pass", singleLog(func(w *world, v *version, d *attest.Deployment) { d.Verdict = w.failedVerdict(v) })},
		{"verdict on another request", pack.CodeDeployment, "judged another request", singleLog(func(w *world, v *version, d *attest.Deployment) {
			w.ask(v, policyYAML)
			d.Request = v.request
		})},
		{"verdict named under another digest", pack.CodeReference, "another statement than the one logged there",
			singleLog(func(_ *world, _ *version, d *attest.Deployment) { d.Verdict.PAE = digestOf("other") })},
		{"verdict that does not lie before", pack.CodeReference, "does not lie before it",
			singleLog(func(w *world, _ *version, d *attest.Deployment) { d.Verdict.Index = w.log.Size() + 5 })},
	}
}

// rogueJudgements are rows about verdicts and decisions.
func rogueJudgements() []operationRow {
	return []operationRow{
		{"verdict bound to another expiry", pack.CodeVerdict, "binds another version, stage, policy, evidence or expiry", func(w *world) {
			v := w.develop("1")
			w.admit(v)
			v.binding.Expires = v.binding.Expires.AddDate(1, 0, 0)
			w.verdict(v)
		}},
		{"verdict under another policy", pack.CodeVerdict, "names another policy", func(w *world) {
			v := w.develop("1")
			w.admit(v)
			b := v.binding
			v.binding.PolicyDigest = digestOf("lax")
			w.verdictUnder(v, b)
		}},
		{"verdict on a version never registered", pack.CodeVerdict, "no entry registers", func(w *world) {
			v := w.develop("1")
			v.name = "9"
			w.admit(v)
		}},
		{"policy superseded before the verdict", pack.CodeVerdict, "was superseded", func(w *world) {
			v := w.develop("1")
			w.ask(v, policyYAML)
			a, b, c := w.decide("olivia", "model-owner", v.request, v.binding), w.decide("vera", "validator", v.request, v.binding), w.decide("rick", "risk-officer", v.request, v.binding)
			w.policy(strings.Replace(policyYAML, "count: 1}\n      - {role: risk", "count: 2}\n      - {role: risk", 1))
			w.verdict(v, a, b, c)
		}},
		{"decision under a policy nobody published", pack.CodePolicy, "was not published", func(w *world) {
			v := w.develop("1")
			w.ask(v, "name: lax\n")
			w.decide("vera", "validator", v.request, v.binding)
		}},
		{"decision on behalf of somebody", pack.CodeRole, "only a service account acts for a person", func(w *world) {
			v := w.develop("1")
			w.ask(v, policyYAML)
			w.add(attest.KindDecision, project, "vera", "rick", subject("lending", v.root), []attest.Relation{rel(attest.RelDecided, attest.ArtefactVersion, v.root, "")},
				attest.Decision{Request: v.request, Binding: v.binding, Role: "validator", Outcome: attest.OutcomeApproved, Reason: "so she says"})
		}},
		{"decision whose relations name another version", pack.CodeDecision, "relations name another version", func(w *world) {
			one, two := w.develop("1"), w.develop("2")
			w.ask(two, policyYAML)
			w.add(attest.KindDecision, project, "vera", "", subject("lending", one.root), []attest.Relation{rel(attest.RelDecided, attest.ArtefactVersion, one.root, "")},
				attest.Decision{Request: two.request, Binding: two.binding, Role: "validator", Outcome: attest.OutcomeApproved, Reason: "sound"})
		}},
		{"acceptance in the role of a validator", pack.CodeDecision, "an acceptance is given in the role model-owner", func(w *world) {
			v := w.develop("1")
			w.ask(v, policyYAML)
			w.add(attest.KindAcceptance, project, "olivia", "", subject("lending", v.root), []attest.Relation{rel(attest.RelDecided, attest.ArtefactVersion, v.root, "")},
				attest.Decision{Request: v.request, Binding: v.binding, Role: "validator", Outcome: attest.OutcomeApproved, Reason: "sound"})
		}},
		{"decision on a request that is none", pack.CodeReference, "must name a promotion-request", func(w *world) {
			v := w.develop("1")
			w.ask(v, policyYAML)
			w.decide("vera", "validator", v.registration, v.binding)
		}},
		{"version of unknown origin", pack.CodeDuty, "nobody can decide while a contributor is unknown", func(w *world) {
			v := w.develop("1")
			stray := digestOf("from elsewhere")
			w.add(attest.KindRegistration, project, "ann", "", subject("lending", stray), []attest.Relation{
				rel(attest.RelUsed, attest.ArtefactModel, stray, "model.onnx"), rel(attest.RelRegistered, attest.ArtefactVersion, stray, "lending 5")},
				attest.Registration{Model: "lending", Version: "5", Root: stray, Artefact: stray, Format: "onnx", Inputs: []string{"income"}, Run: v.registration,
					Signature: w.entryRef(v.registration.Index - 2), Evidence: v.evidence, Metrics: map[string]float64{}})
			v.root, v.name = stray, "5"
			w.ask(v, policyYAML)
			w.decide("vera", "validator", v.request, v.binding)
		}},
	}
}

// rogueRecords are rows about project-states, policies and grants.
func rogueRecords() []operationRow {
	return []operationRow{
		{"project-state of another project", pack.CodeState, "was logged in", func(w *world) {
			w.add(attest.KindProjectState, project, "affidavit", "", nil, nil, attest.ProjectState{Project: "other", Size: 1, Root: digestOf("x")})
		}},
		{"project-state of the future", pack.CodeState, "did not exist yet", func(w *world) {
			w.add(attest.KindProjectState, project, "affidavit", "", nil, nil, attest.ProjectState{Project: project, Size: w.log.Size() + 9, Root: digestOf("x")})
		}},
		{"policy published under another digest", pack.CodePolicy, "not that of its text", func(w *world) {
			w.add(attest.KindPolicy, project, "rick", "", nil, nil, attest.PolicyPublication{Name: "lax", Version: "1", Digest: digestOf("other"), YAML: "name: lax\n"})
		}},
		{"published policy left out", pack.CodePolicy, "lacks its text", func(w *world) { w.policy(policyYAML + "\n"); delete(w.pols, digestOf(policyYAML+"\n")) }},
		{"policy nobody published", pack.CodePolicy, "no entry published it", func(w *world) { w.pols[digestOf("name: lax\n")] = []byte("name: lax\n") }},
		{"grant of roles that must stay apart", pack.CodeGovernance, "may not be held by one person", func(w *world) { w.grant("vera", "engineer") }},
	}
}

// TestRogueOperations: what a server without its checks would log. The honest
// form of each is in TestWholeLife.
func TestRogueOperations(t *testing.T) {
	for _, tc := range slices.Concat(rogueAdmissions(), rogueJudgements(), rogueRecords()) {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.staff()
			tc.log(w)
			packed := w.export()
			r, err := pack.Verify(context.Background(), bytes.NewReader(packed), int64(len(packed)), pack.Options{TrustedRoot: w.root()})
			check(t, err)
			for _, got := range r.Refusals {
				if got.Code == tc.code && strings.Contains(got.Words, tc.words) && r.Exit() == pack.ExitRefused {
					return
				}
			}
			t.Errorf("exit %d, want %s %q:\n%s", r.Exit(), tc.code, tc.words, refusals(r))
		})
	}
}

// verdictUnder claims a pass under the policy of v.binding for a request
// that was bound as b.
func (w *world) verdictUnder(v *version, b attest.Binding) attest.EntryRef {
	var vsa attest.VSA
	vsa.Verifier.ID = "https://affidavit.dev/gate/v1"
	vsa.TimeVerified, vsa.ResourceURI, vsa.VerificationResult = w.now, "affidavit:credit/lending@"+v.name, "PASSED"
	vsa.Policy = attest.ResourceDescriptor{Digest: map[string]string{"sha256": v.binding.PolicyDigest}}
	vsa.InputAttestations, vsa.VerifiedLevels = []attest.ResourceDescriptor{}, []string{}
	vsa.Gate = attest.GateDetail{Request: v.request, Binding: b, Conditions: []attest.Condition{{Name: "quorum", Met: true, Words: "everybody agreed"}}}
	return w.add(attest.KindVerdict, project, "affidavit", "", subject("lending", v.root), []attest.Relation{rel(attest.RelConcerns, attest.ArtefactVersion, v.root, "lending "+v.name)}, vsa)
}
