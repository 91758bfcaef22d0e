package govern_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/lineage/ledgertest"
)

const policyText = `name: credit
version: "1"
title: Credit decisions
tiers: [high]
stages:
  production:
    approvals: [{role: risk-officer, count: 1}]
    approvalExpiry: 30d
`

func enrolment(t *testing.T, actor string) attest.Enrolment {
	t.Helper()
	s, err := keys.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	return attest.Enrolment{Actor: actor, Name: actor, Email: actor + "@bank.example", KeyID: attest.KeyID(s.PublicKey()), PublicKey: s.PublicKey()}
}

// TestRefusals: each bad step is refused by its own code and field, and leaves
// no row and no entry.
func TestRefusals(t *testing.T) {
	w := ledgertest.New(t, nil)
	w.Person("erin-engineer", "engineer")
	w.Person("rick-risk", "risk-officer")
	w.Account("trainer", "erin-engineer")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	taken := w.People["erin-engineer"].PublicKey()
	tomorrow := time.Now().UTC().Add(24 * time.Hour).Truncate(time.Second)
	grant := func(actor, role, project string) any {
		return attest.RoleGrant{Action: attest.ActionGrant, Actor: actor, Role: role, Project: project}
	}
	enrol := func(in attest.Enrolment) any { return attest.KeyEvent{Action: attest.ActionEnrol, Enrolment: in} }
	revoke := func(key, actor string, since *time.Time) any {
		return attest.KeyEvent{Action: attest.ActionRevoke, Enrolment: attest.Enrolment{Actor: actor, KeyID: key, PublicKey: taken}, CompromisedSince: since}
	}
	wrongID := enrolment(t, "nora-new")
	wrongID.KeyID = strings.Repeat("0", 64)
	other := enrolment(t, "nora-new")
	other.PublicKey, other.KeyID = spki, attest.KeyID(spki)
	again := enrolment(t, "nora-new")
	again.PublicKey, again.KeyID = taken, attest.KeyID(taken)

	for _, c := range []struct {
		name      string
		actor     string // default: the admin
		kind      string
		predicate any
		code      lineage.Code
		says      string
	}{
		{"project twice", "", attest.KindProject, attest.Project{ID: ledgertest.Project, Name: "x"}, lineage.CodeConflict, "id"},
		{"project with a bad id", "", attest.KindProject, attest.Project{ID: "Bad Id", Name: "x"}, lineage.CodeInvalid, "project id"},
		{"project by an engineer", "erin-engineer", attest.KindProject, attest.Project{ID: "mine", Name: "x"}, lineage.CodeForbidden, "admin"},
		{"key id of another key", "", attest.KindKeyEvent, enrol(wrongID), lineage.CodeInvalid, "keyId"},
		{"key on another curve", "", attest.KindKeyEvent, enrol(other), lineage.CodeInvalid, "P-256"},
		{"key of somebody else", "", attest.KindKeyEvent, enrol(again), lineage.CodeConflict, "keyId"},
		{"enrolment by an engineer", "erin-engineer", attest.KindKeyEvent, enrol(enrolment(t, "erin-engineer")), lineage.CodeForbidden, "admin"},
		{"revocation of an unknown key", "", attest.KindKeyEvent, revoke(strings.Repeat("1", 64), "erin-engineer", nil), lineage.CodeNotFound, "keyId"},
		{"revocation under another name", "", attest.KindKeyEvent, revoke(attest.KeyID(taken), "rick-risk", nil), lineage.CodeNotFound, "keyId"},
		{"compromise in the future", "", attest.KindKeyEvent, revoke(attest.KeyID(taken), "erin-engineer", &tomorrow), lineage.CodeInvalid, "compromisedSince"},
		{"account without an owner", "", attest.KindServiceAccount, attest.ServiceAccount{Account: "robot", Owner: "nobody", Purpose: "x", Active: true}, lineage.CodeInvalid, "owner"},
		{"account owned by an account", "", attest.KindServiceAccount, attest.ServiceAccount{Account: "robot", Owner: "trainer", Purpose: "x", Active: true}, lineage.CodeInvalid, "owner"},
		{"account in a person's name", "", attest.KindServiceAccount, attest.ServiceAccount{Account: "rick-risk", Owner: "erin-engineer", Purpose: "x", Active: true}, lineage.CodeConflict, "account"},
		{"grant to a stranger", "", attest.KindRoleGrant, grant("nobody", "engineer", ledgertest.Project), lineage.CodeInvalid, "actor"},
		{"grant in no project", "", attest.KindRoleGrant, grant("erin-engineer", "engineer", "nowhere"), lineage.CodeNotFound, "project"},
		{"grant twice", "", attest.KindRoleGrant, grant("erin-engineer", "engineer", ledgertest.Project), lineage.CodeConflict, "role"},
		{"engineer and validator in one project", "", attest.KindRoleGrant, grant("erin-engineer", "validator", ledgertest.Project), lineage.CodeForbidden, "role"},
		{"admin to self", "", attest.KindRoleGrant, grant(ledgertest.Admin, "engineer", ledgertest.Project), lineage.CodeForbidden, "role"},
		{"a person as machine", "", attest.KindRoleGrant, grant("rick-risk", "machine", ledgertest.Project), lineage.CodeForbidden, "role"},
		{"a machine as validator", "", attest.KindRoleGrant, grant("trainer", "validator", ledgertest.Project), lineage.CodeForbidden, "role"},
		{"revoking what was not granted", "", attest.KindRoleGrant, attest.RoleGrant{Action: attest.ActionRevoke, Actor: "rick-risk", Role: "engineer", Project: ledgertest.Project}, lineage.CodeConflict, "role"},
		{"erasure of nothing", "", attest.KindErasure, attest.Erasure{Reason: "x", Basis: "y"}, lineage.CodeInvalid, "entries"},
		{"state above projects that is not so", "affidavit", attest.KindProjectState, attest.ProjectState{Size: 1, Count: 9, Root: strings.Repeat("2", 64)}, lineage.CodeRefused, "root"},
	} {
		t.Run(c.name, func(t *testing.T) {
			actor := c.actor
			if actor == "" {
				actor = ledgertest.Admin
			}
			err := w.Refused(c.code, func() error {
				_, err := w.SubmitAs(actor, lineage.Step{Kind: c.kind}, lineage.Result{Predicate: c.predicate})
				return err
			})
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
		})
	}
}

// TestRevokedKey: after a revocation the key signs nothing more; the person's other key does.
func TestRevokedKey(t *testing.T) {
	w := ledgertest.New(t, nil)
	w.Person("rick-risk", "risk-officer")
	first := w.People["rick-risk"]
	second, err := keys.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	w.Must(w.Enrol("rick-risk", second))
	w.Must(w.SubmitAs(ledgertest.Admin, lineage.Step{Kind: attest.KindKeyEvent}, lineage.Result{Predicate: attest.KeyEvent{Action: attest.ActionRevoke,
		Enrolment: attest.Enrolment{Actor: "rick-risk", KeyID: attest.KeyID(first.PublicKey()), PublicKey: first.PublicKey()}, Reason: "laptop lost"}}))
	res, err := govern.PolicyResult([]byte(policyText))
	if err != nil {
		t.Fatal(err)
	}
	step := lineage.Step{Kind: attest.KindPolicy, Project: ledgertest.Project}
	refused := w.Refused(lineage.CodeUnauthenticated, func() error {
		_, err := w.SubmitAs("rick-risk", step, res)
		return err
	})
	if !strings.Contains(refused.Error(), "revoked by entry") {
		t.Error(refused)
	}
	w.People["rick-risk"] = second
	w.Must(w.SubmitAs("rick-risk", step, res))
	w.Refused(lineage.CodeConflict, func() error {
		_, err := w.SubmitAs("rick-risk", step, res)
		return err
	})
}

// TestPolicyText: what is published is the text, whole and as it calls itself.
func TestPolicyText(t *testing.T) {
	w := ledgertest.New(t, nil)
	w.Person("rick-risk", "risk-officer")
	if _, err := govern.PolicyResult([]byte("name: x\nnonsense: true\n")); lineage.CodeOf(err) != lineage.CodeInvalid {
		t.Errorf("an unknown field was taken: %v", err)
	}
	for name, change := range map[string]func(*attest.PolicyPublication, *lineage.Result){
		"digest":    func(p *attest.PolicyPublication, _ *lineage.Result) { p.YAML += "\n# edited" },
		"itself":    func(p *attest.PolicyPublication, _ *lineage.Result) { p.Version = "2" },
		"relations": func(_ *attest.PolicyPublication, r *lineage.Result) { r.Relations, r.Subjects = nil, nil },
	} {
		res, err := govern.PolicyResult([]byte(policyText))
		if err != nil {
			t.Fatal(err)
		}
		p := res.Predicate.(attest.PolicyPublication)
		change(&p, &res)
		res.Predicate = p
		err = w.Refused(lineage.CodeInvalid, func() error {
			_, err := w.SubmitAs("rick-risk", lineage.Step{Kind: attest.KindPolicy, Project: ledgertest.Project}, res)
			return err
		})
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestErasureLeavesStateAlone: free text goes, what state rests on does not.
func TestErasureLeavesStateAlone(t *testing.T) {
	w := ledgertest.New(t, nil)
	w.Person("erin-engineer")
	var e *lineage.Entry
	w.View(func(r *lineage.ReadTx) error {
		list, err := r.Entries(lineage.EntryFilter{Kind: attest.KindKeyEvent, Newest: true, Limit: 1})
		e = list[0]
		return err
	})
	erase := func(change func(*attest.KeyEvent)) error {
		var k attest.KeyEvent
		if err := e.Decode(&k); err != nil {
			t.Fatal(err)
		}
		change(&k)
		redacted, err := attest.CanonicalJSON(k)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.SubmitAs(ledgertest.Admin, lineage.Step{Kind: attest.KindErasure}, lineage.Result{Predicate: attest.Erasure{Reason: "asked for", Basis: "law",
			Entries: []attest.EntryRef{e.EntryRef()}, Redacted: []json.RawMessage{redacted}}})
		return err
	}
	w.Refused(lineage.CodeRefused, func() error { return erase(func(k *attest.KeyEvent) { k.Actor = "somebody-else" }) })
	// What has no free text cannot be made to vanish by a redaction that changes nothing.
	var first *lineage.Entry
	w.View(func(r *lineage.ReadTx) (err error) { first, err = r.Entry(0); return err })
	w.Refused(lineage.CodeRefused, func() error {
		_, err := w.SubmitAs(ledgertest.Admin, lineage.Step{Kind: attest.KindErasure}, lineage.Result{Predicate: attest.Erasure{Reason: "hide it", Basis: "none",
			Entries: []attest.EntryRef{first.EntryRef()}, Redacted: []json.RawMessage{first.Predicate()}}})
		return err
	})
	if err := erase(func(k *attest.KeyEvent) { k.Name = "erased" }); err != nil {
		t.Fatal(err)
	}
	w.Refused(lineage.CodeConflict, func() error { return erase(func(k *attest.KeyEvent) { k.Name = "erased twice" }) })
	w.View(func(r *lineage.ReadTx) error {
		left, err := r.Entry(e.Index)
		if err != nil {
			return err
		}
		var k attest.KeyEvent
		if err := left.Decode(&k); err != nil {
			return err
		}
		if !left.Erased || k.Name != "erased" || k.Actor != "erin-engineer" {
			t.Errorf("%+v of %+v", k, left)
		}
		return nil
	})
}
