package ledgertest

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
)

func mustKey(t testing.TB) keys.Signer {
	s, err := keys.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// issue gives a fresh key a certificate for an address.
func issue(w *World, email string) keys.Signer {
	s := mustKey(w.T)
	pub, err := x509.ParsePKIXPublicKey(s.PublicKey())
	if err != nil {
		w.T.Fatal(err)
	}
	der, err := w.Keys.CA.Issue(email, "https://id.bank.example", pub, time.Now().Add(-time.Second))
	if err != nil {
		w.T.Fatal(err)
	}
	return certified{s, der}
}

// refusals: each has its own code and field, and leaves log and tables alone.
func refusals(t *testing.T, open Open) {
	w, _ := world(t, open)
	ctx := context.Background()
	erin := w.People["erin-engineer"]
	lost := mustKey(t)
	w.Must(w.Enrol("erin-engineer", lost))
	w.Must(w.SubmitAs(Admin, lineage.Step{Kind: attest.KindKeyEvent}, lineage.Result{Predicate: attest.KeyEvent{
		Action: attest.ActionRevoke, Enrolment: attest.Enrolment{Actor: "erin-engineer", KeyID: attest.KeyID(lost.PublicKey())}, Reason: "lost"}}))
	same := func(*attest.Step) {}
	sign := func(s keys.Signer, edit func(*attest.Step)) func() *attest.Signed {
		return func() *attest.Signed { return w.craft(s, edit) }
	}
	for _, c := range []struct {
		name  string
		code  lineage.Code
		field string
		make  func() *attest.Signed
	}{
		{"unknown key", lineage.CodeUnauthenticated, "publicKey", sign(mustKey(t), same)},
		{"revoked key", lineage.CodeUnauthenticated, "publicKey", sign(lost, same)},
		{"key of another actor", lineage.CodeUnauthenticated, "actor", sign(w.People["vera-validator"], same)},
		{"certificate of another person", lineage.CodeUnauthenticated, "certificate", sign(issue(w, "mallory@bank.example"), same)},
		{"damaged signature", lineage.CodeUnauthenticated, "signature", func() *attest.Signed {
			s := w.craft(erin, same)
			s.Signature[len(s.Signature)-1] ^= 1
			return s
		}},
		{"changed payload", lineage.CodeUnauthenticated, "signature", func() *attest.Signed {
			s := w.craft(erin, same)
			s.Payload = []byte(strings.Replace(string(s.Payload), "erin-engineer", "eren-engineer", 1))
			return s
		}},
		{"no JSON", lineage.CodeInvalid, "payload", func() *attest.Signed {
			s := w.craft(erin, same)
			s.Payload = []byte("{")
			return s
		}},
		{"duplicate key", lineage.CodeInvalid, "payload", func() *attest.Signed {
			s := w.craft(erin, same)
			s.Payload = append([]byte(`{"_type":"x",`), s.Payload[1:]...)
			return s
		}},
		{"a kind this server has not", lineage.CodeInvalid, "kind", sign(erin, func(s *attest.Step) { s.Kind = attest.KindDataValidation })},
		{"second genesis", lineage.CodeConflict, "kind", func() *attest.Signed {
			return genesisAgain(w)
		}},
		{"no project", lineage.CodeInvalid, "project", sign(erin, func(s *attest.Step) { s.Project = "" })},
		{"unknown project", lineage.CodeNotFound, "project", sign(erin, func(s *attest.Step) { s.Project = "elsewhere" })},
		{"missing role", lineage.CodeForbidden, "actor", sign(w.People[Admin], func(s *attest.Step) { s.Actor = Admin })},
		{"a person acting for a person", lineage.CodeInvalid, "onBehalfOf", sign(erin, func(s *attest.Step) { s.OnBehalfOf = "vera-validator" })},
		{"a machine acting for a machine", lineage.CodeInvalid, "onBehalfOf", sign(w.People["trainer"], func(s *attest.Step) { s.Actor, s.OnBehalfOf = "trainer", "trainer" })},
		{"a machine acting for nobody known", lineage.CodeInvalid, "onBehalfOf", sign(w.People["trainer"], func(s *attest.Step) { s.Actor, s.OnBehalfOf = "trainer", "nobody" })},
		{"unknown artefact", lineage.CodeInvalid, "relations[0]", sign(erin, func(s *attest.Step) {
			s.Relations = []attest.Relation{{Type: attest.RelUsed, Ref: Data("never made")}}
		})},
		{"unknown entry judged", lineage.CodeInvalid, "relations[0]", sign(erin, func(s *attest.Step) {
			s.Relations = []attest.Relation{{Type: attest.RelConcerns, Ref: lineage.Ref{Kind: attest.ArtefactEntry, Digest: Data("x").Digest}}}
		})},
		{"not before a foreign root", lineage.CodeInvalid, "notBefore", sign(erin, func(s *attest.Step) { s.NotBefore = attest.Position{Size: 3, Root: Data("x").Digest} })},
		{"not before the future", lineage.CodeInvalid, "notBefore", sign(erin, func(s *attest.Step) { s.NotBefore = attest.Position{Size: 999, Root: Data("x").Digest} })},
	} {
		t.Run(c.name, func(t *testing.T) {
			signed := c.make()
			err := w.Refused(c.code, func() error { _, err := w.L.Submit(ctx, signed); return err })
			if fieldOf(err) != c.field {
				t.Errorf("the field is %q, want %q (%v)", fieldOf(err), c.field, err)
			}
		})
	}
	// The same through the door of steps that are signed here.
	for _, c := range []struct {
		name  string
		code  lineage.Code
		field string
		step  lineage.Step
	}{
		{"kind", lineage.CodeInvalid, "kind", lineage.Step{Kind: "nonsense", Project: Project}},
		{"input", lineage.CodeInvalid, "inputs[0]", lineage.Step{Kind: attest.KindEvaluation, Project: Project, Inputs: []lineage.Ref{Data("never made")}}},
		{"role", lineage.CodeForbidden, "actor", lineage.Step{Kind: attest.KindEvaluation, Project: Project, Actor: Admin}},
	} {
		err := w.Refused(c.code, func() error { _, err := w.Do(c.step, FactResult(1, "")); return err })
		if fieldOf(err) != c.field {
			t.Errorf("%s: the field is %q (%v)", c.name, fieldOf(err), err)
		}
	}
	// What should pass does: a certificate for the right person, a machine for a person.
	w.Must(w.L.Submit(ctx, w.craft(issue(w, "erin-engineer@bank.example"), same)))
	w.Must(w.L.Submit(ctx, w.craft(w.People["trainer"], func(s *attest.Step) { s.Actor, s.OnBehalfOf = "trainer", "erin-engineer" })))
	audited(w)
}

func genesisAgain(w *World) *attest.Signed {
	w.T.Helper()
	var g attest.Genesis
	w.View(func(r *lineage.ReadTx) error { var err error; g, err = r.Genesis(); return err })
	st, err := attest.NewStatement(attest.Step{Kind: attest.KindGenesis, Nonce: nonce("again"), Actor: lineage.DefaultServiceActor, Claimed: time.Now().UTC().Truncate(time.Second)}, nil, g)
	if err != nil {
		w.T.Fatal(err)
	}
	s, err := attest.Sign(context.Background(), st, w.Keys.Service)
	if err != nil {
		w.T.Fatal(err)
	}
	return s
}
