package pack_test

import (
	"slices"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/pack"
)

// rogueLogs are logs of a server whose checks were removed: every bundle, proof
// and export in them is genuine, only what was logged should not have been.
func rogueLogs() []tampering {
	return slices.Concat(rogueDecisions(), rogueDeployments(), rogueExports())
}

// rogueDecisions are about who decided on what, with which key and role.
func rogueDecisions() []tampering {
	return []tampering{
		{name: "approval moved to another version", code: pack.CodeDecision, words: `about lending version "1" for stage "production", its request`,
			log: func(w *world) []byte {
				w.staff()
				one, two := w.develop("1"), w.develop("2")
				w.decideAll(one)
				w.ask(two, policyYAML)
				a := w.decide("olivia", "model-owner", two.request, two.binding)
				b := w.decide("vera", "validator", two.request, one.binding) // what she signed was version 1
				c := w.decide("rick", "risk-officer", two.request, two.binding)
				w.deploy(two, w.verdict(two, a, b, c))
				return w.export()
			}},
		{name: "approver owns the trainer", code: pack.CodeDuty, words: "signed by trainer, for which vera answers",
			log: func(w *world) []byte {
				w.staffWithTrainerOf("vera")
				v := w.develop("1")
				w.promote(v)
				return w.export()
			}},
		{name: "approver is an engineer of the version", code: pack.CodeDuty, words: "ann took part in what is decided",
			log: func(w *world) []byte {
				// ann develops, and is a validator only: no rule of roles stops her.
				w.staff()
				v := w.develop("1")
				w.add(attest.KindRoleGrant, project, "adam", "", nil, nil, attest.RoleGrant{Action: attest.ActionRevoke, Actor: "ann", Role: "engineer", Project: project})
				w.grant("ann", "validator")
				w.ask(v, policyYAML)
				w.decide("ann", "validator", v.request, v.binding)
				return w.export()
			}},
		{name: "machine decides", code: pack.CodeRole, words: "it needs the role validator or risk-officer there",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				w.ask(v, policyYAML)
				w.decide("trainer", "validator", v.request, v.binding)
				return w.export()
			}},
		{name: "later signature of a revoked key", code: pack.CodeKey, words: "was revoked at entry",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				w.revoke("vera", nil)
				w.promote(v)
				return w.export()
			}},
		{name: "signature of a key of another actor", code: pack.CodeKey, words: "belongs to rick, not to vera",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				w.signers["vera"] = w.signers["rick"]
				w.promote(v)
				return w.export()
			}},
		{name: "certificate of somebody else", code: pack.CodeIdentity, words: "not an address of vera",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				w.signers["vera"] = w.certified("rick@bank.example")
				w.promote(v)
				return w.export()
			}},
		{name: "role granted after the decision", code: pack.CodeRole, words: "a later grant does not count",
			log: func(w *world) []byte {
				w.staff()
				w.enrol("victor")
				v := w.develop("1")
				w.ask(v, policyYAML)
				a := w.decide("olivia", "model-owner", v.request, v.binding)
				b := w.decide("victor", "validator", v.request, v.binding)
				w.grant("victor", "validator")
				c := w.decide("rick", "risk-officer", v.request, v.binding)
				w.deploy(v, w.verdict(v, a, b, c))
				return w.export()
			}},
		{name: "role granted to oneself", code: pack.CodeGovernance, words: "has no effect",
			log: func(w *world) []byte {
				w.staff()
				w.develop("1")
				w.add(attest.KindRoleGrant, project, "ann", "", nil, nil, attest.RoleGrant{Action: attest.ActionGrant, Actor: "ann", Role: "risk-officer", Project: project})
				return w.export()
			}},
	}
}

// rogueDeployments are about verdicts, deployments and what was predicted.
func rogueDeployments() []tampering {
	return []tampering{
		{name: "verdict without a quorum", code: pack.CodeVerdict, words: "approvals:risk-officer",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				w.ask(v, policyYAML)
				a := w.decide("olivia", "model-owner", v.request, v.binding)
				b := w.decide("vera", "validator", v.request, v.binding)
				w.deploy(v, w.verdict(v, a, b))
				return w.export()
			}},
		{name: "verdict on failed evidence", code: pack.CodeVerdict, words: "evidence:evaluation",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				v.evidence = nil
				w.promote(v)
				return w.export()
			}},
		{name: "deployment without a verdict", code: pack.CodeDeployment, words: "no such verdict lies before it",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				_, _, c := w.decideAll(v)
				w.deploy(v, c)
				return w.export()
			}},
		{name: "deployment of another version than the verdict's", code: pack.CodeDeployment, words: "its verdict is about lending 1",
			log: func(w *world) []byte {
				w.staff()
				one, two := w.develop("1"), w.develop("2")
				a, b, c := w.decideAll(one)
				verdict := w.verdict(one, a, b, c)
				two.request = one.request
				w.deploy(two, verdict)
				return w.export()
			}},
		{name: "deployment after the approval was withdrawn", code: pack.CodeDeployment, words: "it was withdrawn by vera",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				a, b, c := w.decideAll(v)
				verdict := w.verdict(v, a, b, c)
				w.add(attest.KindWithdrawal, project, "vera", "", nil, nil, attest.Withdrawal{Target: b, Reason: "found a leak"})
				w.deploy(v, verdict)
				return w.export()
			}},
		{name: "deployment after the approval expired", code: pack.CodeDeployment, words: "the request expired",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				a, b, c := w.decideAll(v)
				verdict := w.verdict(v, a, b, c)
				w.now = w.now.AddDate(0, 4, 0)
				w.deploy(v, verdict)
				return w.export()
			}},
		{name: "permit used twice", code: pack.CodePermit, words: "was used by entry",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				a, b, c := w.decideAll(v)
				verdict := w.verdict(v, a, b, c)
				w.deploy(v, verdict)
				w.deploy(v, verdict)
				return w.export()
			}},
		{name: "predictions of no deployment", code: pack.CodeReference, words: "must name a deployment",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				w.promote(v)
				w.serve(v, v.registration)
				return w.export()
			}},
		{name: "predictions of another version", code: pack.CodeReference, words: `said to be of model "lending" version "2"`,
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				d := w.promote(v)
				v.name = "2"
				w.serve(v, d)
				return w.export()
			}},
	}
}

// rogueExports are about what the exporter left out, who exported, and documents.
func rogueExports() []tampering {
	return []tampering{
		{name: "revocation left out of the export", code: pack.CodeState, words: "something was left out or added",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				w.skip[w.revoke("vera", nil).Index] = true
				w.promote(v)
				return w.export()
			}},
		{name: "withdrawn grant left out of the export", code: pack.CodeState, words: "something was left out or added",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				w.skip[w.add(attest.KindRoleGrant, project, "adam", "", nil, nil, attest.RoleGrant{Action: attest.ActionRevoke, Actor: "vera", Role: "validator", Project: project}).Index] = true
				w.promote(v)
				return w.export()
			}},
		{name: "entry that others rest on left out", code: pack.CodeReference, words: "lacks",
			log: func(w *world) []byte {
				w.staff()
				v := w.develop("1")
				w.skip[v.evidence[0].Index] = true
				w.promote(v)
				return w.export()
			}},
		{name: "no project-state at all", code: pack.CodeState, words: "nothing bounds what it may have left out",
			log: func(w *world) []byte {
				w.staff()
				w.develop("1")
				return w.write(w.input(pack.QueryProject), "audrey")
			}},
		{name: "genesis left out", code: pack.CodeGenesis, words: "does not carry entry 0",
			log: func(w *world) []byte {
				w.staff()
				w.skip[0] = true
				return w.export()
			}},
		{name: "PDF stamped by another authority", code: pack.CodePDF, words: "not made with the certificate of this authority",
			log: func(w *world) []byte {
				w.staff()
				w.documentBy("report.pdf", w.set.CA, newWorld(w.t).set.TSA)
				return w.export()
			}},
		{name: "PDF signed under another authority", code: pack.CodePDF, words: "not of the log's authority",
			log: func(w *world) []byte {
				w.staff()
				w.documentBy("report.pdf", newWorld(w.t).set.CA, w.set.TSA)
				return w.export()
			}},
		{name: "genesis left out, judged by fingerprint", code: pack.CodeGenesis, words: "does not carry entry 0",
			opt: func(w *world) pack.Options { return pack.Options{LogKeyFingerprint: w.set.Log.Fingerprint()} },
			log: func(w *world) []byte {
				w.staff()
				w.skip[0] = true
				return w.export()
			}},
		{name: "second genesis in place of the first", code: pack.CodeGenesis, words: "another key than the trusted one",
			log: func(w *world) []byte {
				*w = *worldWithGenesisOf(w.t, newWorld(w.t).set)
				w.staff()
				return w.export()
			}},
		{name: "second genesis, judged by fingerprint", code: pack.CodeGenesis, words: "another log key",
			opt: func(w *world) pack.Options { return pack.Options{LogKeyFingerprint: w.set.Log.Fingerprint()} },
			log: func(w *world) []byte {
				*w = *worldWithGenesisOf(w.t, newWorld(w.t).set)
				w.staff()
				return w.export()
			}},
		{name: "export by somebody without the role", code: pack.CodeRole, words: "it needs the role auditor there",
			log: func(w *world) []byte {
				w.staff()
				w.state(project)
				w.state("")
				return w.write(w.input(pack.QueryProject), "ann")
			}},
		{name: "export by a stranger", code: pack.CodeKey, words: "is not enrolled",
			log: func(w *world) []byte {
				w.staff()
				w.develop("1")
				s, err := keys.Ephemeral()
				check(w.t, err)
				w.signers["audrey"] = s
				return w.export()
			}},
	}
}

// staffWithTrainerOf is staff, but another person answers for the trainer.
func (w *world) staffWithTrainerOf(owner string) {
	w.trainerOwner = owner
	w.staff()
}

// revoke revokes the first key of an actor.
func (w *world) revoke(actor string, since *time.Time) attest.EntryRef {
	spki := w.signers[actor].PublicKey()
	return w.add(attest.KindKeyEvent, "", "adam", "", nil, nil, attest.KeyEvent{Action: attest.ActionRevoke,
		Enrolment: attest.Enrolment{Actor: actor, KeyID: attest.KeyID(spki), PublicKey: spki}, CompromisedSince: since, Reason: "lost"})
}

// certified is an ephemeral signer with an identity certificate.
func (w *world) certified(email string) keys.Signer {
	w.t.Helper()
	s, err := keys.Ephemeral()
	check(w.t, err)
	pub, err := keys.ParsePublicKey(s.PublicKey())
	check(w.t, err)
	der, err := w.set.CA.Issue(email, "https://idp.bank.example", pub, w.now)
	check(w.t, err)
	out, err := keys.WithCertificate(s, der)
	check(w.t, err)
	return out
}

func TestRogueFixturesAreOtherwiseHonest(t *testing.T) {
	// The same steps without the cheat verify, so each refusal of a rogue log
	// is about its cheat.
	w := newWorld(t)
	w.staff()
	w.enrol("victor")
	one, two := w.develop("1"), w.develop("2")
	w.promote(one)
	d := w.promote(two)
	w.serve(two, d)
	w.revoke("rick", nil)
	packed := w.export()
	if r := w.verify(packed); r.Exit() != pack.ExitVerified {
		t.Fatalf("exit %d:\n%s", r.Exit(), refusals(r))
	}
}

// decideAll asks for a version and has all three decide on it.
func (w *world) decideAll(v *version) (a, b, c attest.EntryRef) {
	w.ask(v, policyYAML)
	return w.decide("olivia", "model-owner", v.request, v.binding), w.decide("vera", "validator", v.request, v.binding),
		w.decide("rick", "risk-officer", v.request, v.binding)
}
