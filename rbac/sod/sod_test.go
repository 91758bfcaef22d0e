package sod

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
)

func TestMayDecide(t *testing.T) {
	version := ref(attest.ArtefactVersion, "v1")
	tests := []struct {
		name   string
		extra  func(*story) // before the model's entries
		after  func(*story) // after them
		person string
		accept []string
		code   string // "" when the person may decide
		words  string
	}{
		{name: "an independent validator", person: "vera"},
		{name: "whoever owns the trainer's account", person: "anna", code: CodeContributor,
			words: "anna took part in what is decided: version \"v1\" (3bfc269594ef…) was registered by entry 16 (registration), signed by trainer, for which anna answers"},
		{name: "whoever brought the data", person: "carl", code: CodeContributor, words: "used data \"rows\""},
		{name: "the account itself", person: "trainer", code: CodeNotPerson},
		{name: "a stranger", person: "mallory", code: CodeNotPerson},
		{name: "on whose behalf the account acted", person: "vera", code: CodeContributor, words: "on behalf of vera",
			after: func(s *story) { s.last().OnBehalfOf = "vera" }},
		{name: "a second key of the same person", person: "carl", code: CodeContributor,
			after: func(s *story) {
				for i := range s.entries {
					if s.entries[i].Kind == attest.KindDataVersion {
						s.entries[i].KeyID = keyOf("carl second")
					}
				}
			}},
		{name: "the holder of a key lent to another name", person: "rita", code: CodeContributor,
			after: func(s *story) { s.last().KeyID = keyOf("rita") }},
		{name: "the owner at that time, not the owner now", person: "carl", code: CodeContributor, words: "for which carl answers",
			extra: func(s *story) { s.account("root", "loader", "carl") },
			after: func(s *story) {
				s.add("loader", attest.KindEvaluation, attest.TestResult{}, rel(attest.RelEvaluatedForDev, attest.ArtefactVersion, "v1"))
				s.account("root", "loader", "omar")
			}},
		{name: "the new owner of the account did nothing", person: "omar",
			after: func(s *story) { s.account("root", "trainer", "omar") }},
		{name: "an account without an owner", person: "vera", code: CodeUnknown, words: "no person is known to answer for ghost",
			after: func(s *story) {
				s.add("ghost", attest.KindEvaluation, attest.TestResult{}, rel(attest.RelEvaluatedForDev, attest.ArtefactVersion, "v1"))
			}},
		{name: "data that nobody brought", person: "vera", code: CodeUnknown, words: "no entry before it says who made it",
			after: func(s *story) {
				s.add("anna", attest.KindEvaluation, attest.TestResult{}, rel(attest.RelEvaluatedForDev, attest.ArtefactVersion, "v1"), rel(attest.RelUsed, attest.ArtefactData, "found"))
			}},
		{name: "code of another system, accepted by the policy", person: "vera", accept: []string{attest.ArtefactCode},
			after: func(s *story) {
				s.add("anna", attest.KindEvaluation, attest.TestResult{}, rel(attest.RelEvaluatedForDev, attest.ArtefactVersion, "v1"), rel(attest.RelUsed, attest.ArtefactCode, "commit"))
			}},
		{name: "working on unknown data gives it no origin", person: "vera", code: CodeUnknown,
			extra: func(s *story) {
				s.add("carl", attest.KindEvaluation, attest.TestResult{}, rel(attest.RelEvaluatedForDev, attest.ArtefactData, "found"))
			},
			after: func(s *story) {
				s.add("anna", attest.KindEvaluation, attest.TestResult{}, rel(attest.RelEvaluatedForDev, attest.ArtefactVersion, "v1"), rel(attest.RelUsed, attest.ArtefactData, "found"))
			}},
		{name: "judging an earlier version is no contribution", person: "vera",
			after: func(s *story) {
				s.add("vera", attest.KindDecision, attest.Decision{}, rel(attest.RelDecided, attest.ArtefactVersion, "v1"), rel(attest.RelValidated, attest.ArtefactModel, "model.onnx"))
			}},
		{name: "whoever configured the trigger of a retraining", person: "vera", code: CodeContributor,
			words: "which was triggered by entry 18 (retrain-trigger), which acts on trigger \"nightly\" (2a3b62b53ddb…), configured by entry 14 (pipeline-configuration), signed by vera",
			extra: func(s *story) {
				s.add("vera", attest.KindPipeline, attest.PipelineConfiguration{}, rel(attest.RelConfigured, attest.ArtefactTrigger, "nightly"))
			},
			after: func(s *story) {
				s.add("service", attest.KindRetrainTrigger, attest.RetrainTrigger{Trigger: hexOf("nightly")}, rel(attest.RelUsed, attest.ArtefactTrigger, "nightly"))
				s.add("trainer", attest.KindTrainingRun, attest.Provenance{}, rel(attest.RelGenerated, attest.ArtefactVersion, "v1"),
					rel(attest.RelTriggeredBy, attest.ArtefactEntry, fmt.Sprint("pae ", s.last().Index)))
			}},
		{name: "whoever configured it, known from the predicate alone", person: "vera", code: CodeContributor,
			extra: func(s *story) {
				s.add("vera", attest.KindPipeline, attest.PipelineConfiguration{}, rel(attest.RelConfigured, attest.ArtefactPipeline, "nightly"))
			},
			after: func(s *story) {
				s.add("service", attest.KindRetrainTrigger, attest.RetrainTrigger{Trigger: hexOf("nightly")})
				s.add("trainer", attest.KindTrainingRun, attest.Provenance{}, rel(attest.RelGenerated, attest.ArtefactVersion, "v1"),
					rel(attest.RelTriggeredBy, attest.ArtefactEntry, fmt.Sprint("pae ", s.last().Index)))
			}},
		{name: "whoever watched the alert that started it is none", person: "vera",
			after: func(s *story) {
				s.add("vera", attest.KindAlert, attest.Alert{}, rel(attest.RelGenerated, attest.ArtefactWindow, "w"))
				s.add("trainer", attest.KindTrainingRun, attest.Provenance{}, rel(attest.RelGenerated, attest.ArtefactVersion, "v1"),
					rel(attest.RelTriggeredBy, attest.ArtefactEntry, fmt.Sprint("pae ", s.last().Index)))
			}},
		{name: "a trigger that is not in the log", person: "vera", code: CodeUnknown, words: "nobody knows who configured the trigger",
			after: func(s *story) {
				s.add("trainer", attest.KindTrainingRun, attest.Provenance{}, rel(attest.RelGenerated, attest.ArtefactVersion, "v1"),
					rel(attest.RelTriggeredBy, attest.ArtefactEntry, "nowhere"))
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := bank(t)
			if tt.extra != nil {
				tt.extra(s)
			}
			s.model()
			if tt.after != nil {
				tt.after(s)
			}
			v := s.history().MayDecide(tt.person, version, int64(len(s.entries)), tt.accept...)
			switch {
			case tt.code == "" && v != nil:
				t.Fatalf("refused: %s: %s", v.Code, v.Words)
			case tt.code != "" && v == nil:
				t.Fatalf("allowed; want %s", tt.code)
			case v != nil && (v.Code != tt.code || !strings.Contains(v.Words, tt.words)):
				t.Fatalf("got %s: %s\nwant %s: …%s…", v.Code, v.Words, tt.code, tt.words)
			}
		})
	}
}

// The past does not change: what is logged at or after the bound is not seen.
func TestContributorsBelow(t *testing.T) {
	s := bank(t)
	version := s.model()
	at := int64(len(s.entries))
	s.add("vera", attest.KindEvaluation, attest.TestResult{}, rel(attest.RelEvaluatedForDev, attest.ArtefactVersion, "v1"))
	h := s.history()
	if v := h.MayDecide("vera", version, at); v != nil {
		t.Errorf("an entry at the bound was seen: %s", v.Words)
	}
	if v := h.MayDecide("vera", version, at+1); v == nil {
		t.Error("an entry below the bound was not seen")
	}
	c, err := h.Contributors(version, at)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Entries) != 3 || !c.Includes(at-1) || c.Includes(at) || !c.Touches(ref(attest.ArtefactData, "rows")) {
		t.Errorf("upstream = %v", c.Entries)
	}
}

func TestKeyValidity(t *testing.T) {
	s := bank(t)
	before := s.add("vera", attest.KindDecision, attest.Decision{})
	since := s.last().Stamp.Add(time.Second)
	during := s.add("vera", attest.KindDecision, attest.Decision{})
	plain := s.revoke("root", keyOf("vera"), nil)
	after := s.add("vera", attest.KindDecision, attest.Decision{})
	declared := s.revoke("root", keyOf("vera"), &since)
	h := s.history()
	check := func(at int64, actor, want string) {
		t.Helper()
		err := h.KeyValid(keyOf("vera"), actor, at)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("entry %d: %v; want %q", at, err, want)
		}
	}
	check(before, "vera", "")
	check(during, "vera", "declared compromised as of")
	check(after, "vera", fmt.Sprintf("was revoked at entry %d", plain))
	check(before, "rita", "belongs to vera, not to rita")
	check(3, "vera", "was enrolled at entry 3")
	if err := h.KeyHeld(keyOf("vera"), "vera", during); err != nil {
		t.Errorf("what takes rights away must stand: %v", err)
	}
	early, err := h.Before(declared)
	if err != nil {
		t.Fatal(err)
	}
	if err := early.KeyValid(keyOf("vera"), "vera", during); err != nil {
		t.Errorf("before the declaration nobody knew: %v", err)
	}
	if err := h.KeyValid(hexOf("no such key"), "vera", before); err == nil {
		t.Error("a key that nobody enrolled is valid")
	}
}

// The compromised entry itself may be absent: its time is then bounded from above.
func TestKeyValidityOfAnEntryThatIsNotLoaded(t *testing.T) {
	s := bank(t)
	hidden := s.add("vera", attest.KindDecision, attest.Decision{})
	since := s.last().Stamp
	s.revoke("root", keyOf("vera"), &since)
	s.entries = append(s.entries[:hidden:hidden], s.entries[hidden+1:]...)
	h := s.history()
	if err := h.KeyValid(keyOf("vera"), "vera", hidden); err == nil {
		t.Error("valid although the key was compromised by then")
	}
	if _, unknown := h.Humans(hidden); len(unknown) != 1 {
		t.Errorf("an entry that is not at hand has unknown people, got %v", unknown)
	}
}

func TestCertificate(t *testing.T) {
	s := bank(t)
	s.add("root", attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionEnrol,
		Enrolment: attest.Enrolment{Actor: "paul", Name: "Paul", Email: "paul@bank.example", KeyID: keyOf("paul")}})
	s.last().Project = ""
	enrolled := s.last().Index
	at := s.add("paul", attest.KindDecision, attest.Decision{})
	s.last().KeyID, s.last().Identity = hexOf("ephemeral"), "paul@bank.example"
	h := s.history()
	e, _ := h.Entry(at)
	for _, c := range []struct {
		name string
		e    Entry
		want string
	}{
		{"own address", e, ""},
		{"no certificate", func(e Entry) Entry { e.Identity = ""; return e }(e), "is not enrolled"},
		{"another's name", func(e Entry) Entry { e.Actor = "vera"; return e }(e), "no address of vera"},
		{"another address", func(e Entry) Entry { e.Identity = "mallory@bank.example"; return e }(e), "no address of paul"},
		{"before the enrolment", func(e Entry) Entry { e.Index = enrolled; return e }(e), "no address of paul"},
	} {
		for _, err := range []error{h.Signed(c.e), h.Held(c.e)} {
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s: %v; want %q", c.name, err, c.want)
			}
		}
	}
	if people, unknown := h.Humans(at); len(people) != 1 || people[0] != "paul" || len(unknown) != 0 {
		t.Errorf("people %v, unknown %v", people, unknown)
	}
	// A grant signed with the admin's certificate has effect, with a stranger's none.
	for identity, want := range map[string]bool{"root@bank.example": true, "paul@bank.example": false} {
		s := bank(t)
		change := strings.Replace(string(s.entries[0].Predicate), `"name":"Root"`, `"name":"Root","email":"root@bank.example"`, 1)
		s.entries[0].Predicate = json.RawMessage(change)
		s.grant("root", "carl", RoleModelOwner)
		s.last().KeyID, s.last().Identity = hexOf("ephemeral"), identity
		if got := s.history().HasRole("carl", "lending", RoleModelOwner, int64(len(s.entries))); got != want {
			t.Errorf("grant with the certificate of %s: %v", identity, got)
		}
	}
}

func TestAccountSwitchedOff(t *testing.T) {
	s := bank(t)
	s.add("root", attest.KindServiceAccount, attest.ServiceAccount{Account: "trainer", Owner: "anna"})
	s.last().Project = ""
	at := s.add("trainer", attest.KindTrainingRun, attest.Provenance{})
	if err := s.history().KeyValid(keyOf("trainer"), "trainer", at); err == nil || !strings.Contains(err.Error(), "switched off") {
		t.Errorf("got %v", err)
	}
}

func TestRoles(t *testing.T) {
	s := bank(t)
	early := s.add("carl", attest.KindDecision, attest.Decision{})
	s.ungrant("root", "carl", RoleEngineer)
	granted := s.grant("root", "carl", RoleValidator)
	late := s.add("carl", attest.KindDecision, attest.Decision{})
	h := s.history()
	for _, c := range []struct {
		actor, project, role string
		at                   int64
		want                 bool
	}{
		{"carl", "lending", RoleValidator, early, false}, // granted after the decision
		{"carl", "lending", RoleValidator, granted, false},
		{"carl", "lending", RoleValidator, late, true},
		{"carl", "lending", RoleEngineer, early, true},
		{"carl", "lending", RoleEngineer, late, false}, // revoked before
		{"carl", "cards", RoleValidator, late, false},
		{"root", "cards", RoleAdmin, late, true}, // from genesis, everywhere
		{"service", "cards", RoleMachine, late, true},
		{"root", "lending", RoleEngineer, late, false},
	} {
		if got := h.HasRole(c.actor, c.project, c.role, c.at); got != c.want {
			t.Errorf("HasRole(%s, %s, %s, %d) = %v", c.actor, c.project, c.role, c.at, got)
		}
	}
}

func TestGrantsWithoutEffect(t *testing.T) {
	tests := []struct {
		name string
		do   func(*story)
		code string
	}{
		{"by someone who is no admin", func(s *story) { s.grant("anna", "carl", RoleModelOwner) }, CodeRole},
		{"an admin to themselves", func(s *story) { s.grant("root", "root", RoleAuditor) }, CodeSelfGrant},
		{"an admin to their own service account", func(s *story) { s.account("root", "cron", "root"); s.grant("root", "cron", RoleMachine) }, CodeSelfGrant},
		{"an engineer made validator", func(s *story) { s.grant("root", "anna", RoleValidator) }, CodeConflict},
		{"a role of people to a machine", func(s *story) { s.grant("root", "trainer", RoleValidator) }, CodeGrant},
		{"the machine role to a person", func(s *story) { s.grant("root", "vera", RoleMachine) }, CodeGrant},
		{"an unknown role", func(s *story) { s.grant("root", "vera", "emperor") }, CodeGrant},
		{"signed with another person's key", func(s *story) { s.grant("root", "carl", RoleModelOwner); s.last().KeyID = keyOf("anna") }, CodeKey},
		{"an auditor through an account that acts", func(s *story) {
			s.enrol("root", "ada")
			s.grant("root", "ada", RoleAuditor)
			s.account("root", "cron", "ada")
			s.grant("root", "cron", RoleMachine)
		}, CodeConflict},
		{"an account that acts, handed to an auditor", func(s *story) {
			s.enrol("root", "ada")
			s.grant("root", "ada", RoleAuditor)
			s.account("root", "trainer", "ada")
			s.entries = s.entries[:len(s.entries)-1]
		}, CodeConflict},
		{"an account owned by an account", func(s *story) { s.account("root", "cron", "trainer") }, CodeAccount},
		{"logged in one project, granted in another", func(s *story) { s.grant("root", "carl", RoleModelOwner); s.last().Project = "cards" }, CodeGrant},
		{"a second admin's grant, their key then declared compromised", func(s *story) {
			s.enrol("root", "eve")
			s.grant("root", "eve", RoleAdmin)
			s.enrol("root", "paul")
			since := s.last().Stamp.Add(time.Second)
			s.grant("eve", "paul", RoleValidator)
			s.revoke("root", keyOf("eve"), &since)
		}, CodeCompromised},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := bank(t)
			tt.do(s)
			h := s.history()
			refused := h.Refusals()
			if len(refused) != 1 || refused[0].Code != tt.code {
				t.Fatalf("refusals = %+v; want one of %s", refused, tt.code)
			}
			e, _ := h.Entry(refused[0].Entry)
			var g attest.RoleGrant
			if e.Kind == attest.KindRoleGrant && json.Unmarshal(e.Predicate, &g) == nil && h.HasRole(g.Actor, "lending", g.Role, int64(len(s.entries))) {
				t.Errorf("%s holds %s all the same", g.Actor, g.Role)
			}
		})
	}
	if refused := bank(t).history().Refusals(); len(refused) != 0 {
		t.Errorf("the lawful beginning is refused: %+v", refused)
	}
}

// Revoking with a key that is later declared compromised stands; otherwise
// whoever stole a key could undo a dismissal by confessing the theft.
func TestRevocationStands(t *testing.T) {
	s := bank(t)
	s.enrol("root", "eve")
	s.grant("root", "eve", RoleAdmin)
	since := epoch
	s.ungrant("eve", "vera", RoleValidator)
	s.revoke("root", keyOf("eve"), &since)
	if s.history().HasRole("vera", "lending", RoleValidator, int64(len(s.entries))) {
		t.Error("the revocation was undone")
	}

	// The same when it is the revoker's own grant that falls.
	s = bank(t)
	s.enrol("root", "boss")
	s.add("root", attest.KindRoleGrant, attest.RoleGrant{Action: attest.ActionGrant, Actor: "boss", Role: RoleAdmin})
	s.last().Project = ""
	s.enrol("root", "eve")
	since = s.last().Stamp.Add(time.Second)
	s.grant("root", "eve", RoleAdmin)
	s.ungrant("eve", "vera", RoleValidator)
	s.revoke("boss", keyOf("root"), &since)
	h, at := s.history(), int64(len(s.entries))
	if h.HasRole("eve", "lending", RoleAdmin, at) {
		t.Error("a grant signed with a compromised key stands")
	}
	if h.HasRole("vera", "lending", RoleValidator, at) {
		t.Error("the revocation was undone with its signer's grant")
	}
}

func TestCheckGrantAgreesWithHistory(t *testing.T) {
	s := bank(t)
	h := s.history()
	at := int64(len(s.entries))
	if v := h.CheckGrant(attest.RoleGrant{Action: attest.ActionGrant, Actor: "carl", Role: RoleModelOwner, Project: "lending"}, "root", at); v != nil {
		t.Errorf("lawful grant refused: %s", v.Words)
	}
	if v := h.CheckGrant(attest.RoleGrant{Action: attest.ActionGrant, Actor: "carl", Role: RoleModelOwner, Project: "lending"}, "anna", at); v == nil || v.Code != CodeRole {
		t.Errorf("grant by an engineer: %+v", v)
	}
	if v := h.CheckGrant(attest.RoleGrant{Action: attest.ActionGrant, Actor: "vera", Role: RoleRiskOfficer}, "root", at); v == nil || v.Code != CodeGrant {
		t.Errorf("grant without a project: %+v", v)
	}
	if v := h.CheckEnrol(attest.KeyEvent{Enrolment: attest.Enrolment{Actor: "new", KeyID: keyOf("vera")}}); v == nil {
		t.Error("a key may be enrolled twice")
	}
}

func TestStaticConflict(t *testing.T) {
	// Each line lists the roles that go with the first one.
	compatible := map[string]string{
		RoleEngineer:    "engineer model-owner machine",
		RoleModelOwner:  "engineer model-owner machine",
		RoleValidator:   "validator risk-officer machine",
		RoleRiskOfficer: "validator risk-officer machine",
		RoleAuditor:     "auditor",
		RoleRegulator:   "regulator",
		RoleAdmin:       "admin machine",
		RoleMachine:     "engineer model-owner validator risk-officer admin machine",
	}
	for _, held := range Roles() {
		for _, granting := range Roles() {
			want := false
			for _, ok := range strings.Fields(compatible[held]) {
				want = want || ok == granting
			}
			if err := StaticConflict([]string{held}, granting); (err == nil) != want {
				t.Errorf("%s + %s: %v", held, granting, err)
			}
		}
	}
	if err := StaticConflict(nil, "emperor"); err == nil {
		t.Error("an unknown role is granted")
	}
}

func TestNewHistoryRefuses(t *testing.T) {
	ok := func() []Entry { return bank(t).entries }
	tests := []struct {
		name string
		bad  func([]Entry) []Entry
		want string
	}{
		{"order", func(e []Entry) []Entry { e[3].Index = 1; return e }, "must be in log order"},
		{"twice", func(e []Entry) []Entry { return append(e, e[len(e)-1]) }, "must be in log order"},
		{"time", func(e []Entry) []Entry { e[5].Stamp = epoch.Add(-time.Hour); return e }, "never runs backwards"},
		{"relation", func(e []Entry) []Entry {
			e[4].Relations = []attest.Relation{{Type: "blessed"}}
			return e
		}, "not in the vocabulary"},
		{"predicate", func(e []Entry) []Entry { e[4].Predicate = json.RawMessage(`[`); return e }, "does not parse"},
		{"action", func(e []Entry) []Entry { e[4].Predicate = json.RawMessage(`{"action":"lend"}`); return e }, "neither enrol nor revoke"},
		{"genesis", func(e []Entry) []Entry { e[4].Kind = attest.KindGenesis; return e }, "must be entry 0"},
		{"negative", func(e []Entry) []Entry { e[0].Index = -1; return e }, "must not be negative"},
	}
	for _, tt := range tests {
		if _, err := NewHistory(tt.bad(ok())); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	if _, err := bank(t).history().Contributors(attest.Ref{}, 1); err == nil {
		t.Error("an empty ref is accepted")
	}
}

// Without genesis nobody is an admin, so nothing that governs has an effect.
func TestWithoutGenesis(t *testing.T) {
	h, err := NewHistory(bank(t).entries[1:])
	if err != nil {
		t.Fatal(err)
	}
	if h.HasRole("vera", "lending", RoleValidator, 1000) || len(h.Refusals()) == 0 {
		t.Error("roles hold although nobody could grant them")
	}
}

// BenchmarkUpstream walks 200 steps in a chain, each with a diamond behind it.
func BenchmarkUpstream(b *testing.B) {
	s := bank(b)
	s.add("carl", attest.KindDataVersion, attest.DataVersion{}, rel(attest.RelGenerated, attest.ArtefactData, "0"))
	for i := 1; i < 200; i++ {
		rels := []attest.Relation{rel(attest.RelGenerated, attest.ArtefactData, fmt.Sprint(i))}
		for back := 1; back <= 4 && back <= i; back++ {
			rels = append(rels, rel(attest.RelUsed, attest.ArtefactData, fmt.Sprint(i-back)))
		}
		s.add("trainer", attest.KindTrainingRun, attest.Provenance{}, rels...)
	}
	target, below := ref(attest.ArtefactData, "199"), int64(len(s.entries))
	b.Run("history", func(b *testing.B) {
		for b.Loop() {
			if _, err := NewHistory(s.entries); err != nil {
				b.Fatal(err)
			}
		}
	})
	h := s.history()
	b.Run("walk", func(b *testing.B) {
		for b.Loop() {
			if v := h.MayDecide("vera", target, below); v != nil {
				b.Fatal(v.Words)
			}
		}
	})
}

// A chain of 60,000 steps neither overflows a stack nor takes squared time.
func TestDeepHistory(t *testing.T) {
	s := bank(t)
	n := 60_000
	if testing.Short() {
		n = 20_000
	}
	s.add("carl", attest.KindDataVersion, struct{}{}, rel(attest.RelGenerated, attest.ArtefactData, "0"))
	for i := 1; i < n; i++ {
		s.add("trainer", attest.KindTrainingRun, struct{}{}, rel(attest.RelGenerated, attest.ArtefactData, fmt.Sprint(i)),
			rel(attest.RelUsed, attest.ArtefactData, fmt.Sprint(i-1)))
	}
	v := s.history().MayDecide("carl", ref(attest.ArtefactData, fmt.Sprint(n-1)), int64(len(s.entries)))
	if v == nil || len(v.Path) != n {
		t.Fatalf("carl, %d steps upstream, was not found", n)
	}
}
