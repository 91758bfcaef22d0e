package sod

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"affidavit/attest"
)

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func hexOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func keyOf(actor string) string { return hexOf("key of " + actor) }

func ref(kind, name string) attest.Ref {
	return attest.Ref{Kind: kind, Digest: hexOf(name), Name: name}
}

func rel(t attest.RelationType, kind, name string) attest.Relation {
	return attest.Relation{Type: t, Ref: ref(kind, name)}
}

// story writes a log entry by entry, a minute apart.
type story struct {
	t       testing.TB
	entries []Entry
}

// add appends an entry signed by the actor's own key and returns its index.
func (s *story) add(actor, kind string, predicate any, relations ...attest.Relation) int64 {
	s.t.Helper()
	raw, err := json.Marshal(predicate)
	if err != nil {
		s.t.Fatal(err)
	}
	i := int64(len(s.entries))
	s.entries = append(s.entries, Entry{Index: i, PAE: hexOf(fmt.Sprint("pae ", i)), Kind: kind, Project: "lending", Actor: actor,
		KeyID: keyOf(actor), Stamp: epoch.Add(time.Duration(i) * time.Minute), Relations: relations, Predicate: raw})
	return i
}

func (s *story) last() *Entry { return &s.entries[len(s.entries)-1] }

func (s *story) enrol(by, actor string) int64 {
	i := s.add(by, attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionEnrol,
		Enrolment: attest.Enrolment{Actor: actor, Name: "Person " + actor, KeyID: keyOf(actor)}})
	s.last().Project = ""
	return i
}

func (s *story) revoke(by, keyID string, since *time.Time) int64 {
	i := s.add(by, attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionRevoke,
		Enrolment: attest.Enrolment{KeyID: keyID}, CompromisedSince: since})
	s.last().Project = ""
	return i
}

func (s *story) grant(by, actor, role string) int64 {
	return s.add(by, attest.KindRoleGrant, attest.RoleGrant{Action: attest.ActionGrant, Actor: actor, Role: role, Project: "lending"})
}

func (s *story) ungrant(by, actor, role string) int64 {
	return s.add(by, attest.KindRoleGrant, attest.RoleGrant{Action: attest.ActionRevoke, Actor: actor, Role: role, Project: "lending"})
}

func (s *story) account(by, account, owner string) int64 {
	i := s.add(by, attest.KindServiceAccount, attest.ServiceAccount{Account: account, Owner: owner, Active: true})
	s.last().Project = ""
	s.add(by, attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionEnrol,
		Enrolment: attest.Enrolment{Actor: account, KeyID: keyOf(account)}})
	s.last().Project = ""
	return i
}

func (s *story) history() *History {
	s.t.Helper()
	h, err := NewHistory(s.entries)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// bank opens a log with an admin, the usual people and a trainer's account
// owned by the engineer anna.
func bank(t testing.TB) *story {
	s := &story{t: t}
	s.add("root", attest.KindGenesis, attest.Genesis{Origin: "bank.local",
		Service: attest.Enrolment{Actor: "service", KeyID: keyOf("service")},
		Admin:   attest.Enrolment{Actor: "root", Name: "Root", KeyID: keyOf("root")}})
	for _, p := range []string{"anna", "omar", "vera", "rita", "carl"} {
		s.enrol("root", p)
	}
	s.grant("root", "anna", RoleEngineer)
	s.grant("root", "omar", RoleModelOwner)
	s.grant("root", "vera", RoleValidator)
	s.grant("root", "rita", RoleRiskOfficer)
	s.grant("root", "carl", RoleEngineer)
	s.account("root", "trainer", "anna")
	s.grant("root", "trainer", RoleMachine)
	return s
}

// model logs carl's data and the trainer's run over it, registered by the
// trainer, and returns the version.
func (s *story) model() attest.Ref {
	s.add("carl", attest.KindDataVersion, attest.DataVersion{}, rel(attest.RelGenerated, attest.ArtefactData, "rows"))
	s.add("trainer", attest.KindTrainingRun, attest.Provenance{}, rel(attest.RelUsed, attest.ArtefactData, "rows"),
		rel(attest.RelTrained, attest.ArtefactModel, "model.onnx"))
	s.add("trainer", attest.KindRegistration, attest.Registration{}, rel(attest.RelUsed, attest.ArtefactModel, "model.onnx"),
		rel(attest.RelRegistered, attest.ArtefactVersion, "v1"))
	return ref(attest.ArtefactVersion, "v1")
}
