package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func hexOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func keyOf(actor string) string { return hexOf("key of " + actor) }

func rel(t attest.RelationType, kind, name string) attest.Relation {
	return attest.Relation{Type: t, Ref: attest.Ref{Kind: kind, Digest: hexOf(name), Name: name}}
}

// world writes a log in which a version of a credit model is made and a
// promotion is asked for. Tests change a step, or add some.
type world struct {
	t        testing.TB
	entries  []sod.Entry
	policy   *Policy
	yaml     string
	binding  attest.Binding
	reg      int64
	request  int64
	evidence []int64
}

func template(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../templates/policies/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (w *world) add(actor, kind string, predicate any, relations ...attest.Relation) int64 {
	w.t.Helper()
	raw, err := json.Marshal(predicate)
	if err != nil {
		w.t.Fatal(err)
	}
	i := int64(len(w.entries))
	w.entries = append(w.entries, sod.Entry{Index: i, PAE: hexOf(fmt.Sprint("pae ", i)), Kind: kind, Project: "lending", Actor: actor,
		KeyID: keyOf(actor), Stamp: epoch.Add(time.Duration(i) * time.Hour), Relations: relations, Predicate: raw})
	return i
}

func (w *world) last() *sod.Entry { return &w.entries[len(w.entries)-1] }

func (w *world) grant(actor, role string) int64 {
	return w.add("root", attest.KindRoleGrant, attest.RoleGrant{Action: attest.ActionGrant, Actor: actor, Role: role, Project: "lending"})
}

func (w *world) enrol(actor, name string) {
	w.add("root", attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionEnrol,
		Enrolment: attest.Enrolment{Actor: actor, Name: name, KeyID: keyOf(actor)}})
	w.last().Project = ""
}

const report = `{"discrimination":{"auc":{"value":0.81,"low":0.78,"high":0.84}},"calibration":{"ece":0.03},
"fairness":{"attributes":[{"attribute":"afam","comparedGroups":2},{"attribute":"single","comparedGroups":2}]},
"robustness":{"perturbations":[{"kind":"noise"}]}}`

// governed writes genesis, people, roles, the policy and the inventory entry.
func governed(t testing.TB, yaml string) *world {
	w := &world{t: t, yaml: yaml}
	var err error
	if w.policy, err = Parse([]byte(yaml)); err != nil {
		t.Fatal(err)
	}
	w.add("root", attest.KindGenesis, attest.Genesis{Service: attest.Enrolment{Actor: "service", KeyID: keyOf("service")},
		Admin: attest.Enrolment{Actor: "root", Name: "Root", KeyID: keyOf("root")}})
	for _, p := range [][2]string{{"anna", sod.RoleEngineer}, {"omar", sod.RoleModelOwner}, {"vera", sod.RoleValidator}, {"rita", sod.RoleRiskOfficer}} {
		w.enrol(p[0], "Person "+p[0])
		w.grant(p[0], p[1])
	}
	// vera has a second key, such as a new hardware token.
	w.add("root", attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionEnrol, Enrolment: attest.Enrolment{Actor: "vera", KeyID: keyOf("vera second")}})
	w.last().Project = ""
	w.add("root", attest.KindServiceAccount, attest.ServiceAccount{Account: "trainer", Owner: "anna", Active: true})
	w.last().Project = ""
	w.enrol("trainer", "")
	w.grant("trainer", sod.RoleMachine)
	w.add("rita", attest.KindPolicy, attest.PolicyPublication{Name: w.policy.Name, Version: w.policy.Version, Digest: w.policy.Digest(), YAML: yaml})
	w.add("omar", attest.KindInventory, attest.InventoryEntry{Model: "credit", RiskTier: "high", Protected: []string{"afam", "single"}})
	return w
}

// made adds the making of the version up to the request.
func made(t testing.TB, inputs ...string) *world {
	w := governed(t, template(t, "credit-high-risk"))
	if len(inputs) == 0 {
		inputs = []string{"pirat", "lvrat"}
	}
	w.add("anna", attest.KindDataVersion, attest.DataVersion{}, rel(attest.RelGenerated, attest.ArtefactData, "rows"))
	validation := w.add("trainer", attest.KindDataValidation, attest.TestResult{Result: attest.ResultPassed},
		rel(attest.RelUsed, attest.ArtefactData, "rows"), rel(attest.RelGenerated, attest.ArtefactReport, "validation"))
	w.add("anna", attest.KindFeatureSet, attest.FeatureSet{Inputs: inputs, Protected: []string{"afam", "single"}},
		rel(attest.RelUsed, attest.ArtefactData, "rows"), rel(attest.RelGenerated, attest.ArtefactFeatures, "features"))
	w.add("trainer", attest.KindTrainingRun, attest.Provenance{}, rel(attest.RelUsed, attest.ArtefactFeatures, "features"),
		rel(attest.RelUsed, attest.ArtefactCode, "commit"), rel(attest.RelTrained, attest.ArtefactModel, "model.onnx"))
	evaluation := w.add("trainer", attest.KindEvaluation, attest.TestResult{Result: attest.ResultWarned, Details: json.RawMessage(report)},
		rel(attest.RelUsed, attest.ArtefactData, "rows"), rel(attest.RelEvaluatedForDev, attest.ArtefactModel, "model.onnx"))
	w.reg = w.add("trainer", attest.KindRegistration, attest.Registration{Model: "credit", Version: "1", Root: hexOf("v1"), Artefact: hexOf("model.onnx"), Inputs: inputs},
		rel(attest.RelUsed, attest.ArtefactModel, "model.onnx"), rel(attest.RelRegistered, attest.ArtefactVersion, "v1"))
	w.evidence = []int64{validation, evaluation}
	return w
}

// ask adds the request over the evidence at hand.
func (w *world) ask() *world {
	set := make([]attest.EntryRef, len(w.evidence))
	for i, e := range w.evidence {
		set[i] = w.entries[e].Ref()
	}
	w.binding = attest.Binding{Model: "credit", Version: "1", Artefact: hexOf("v1"), Stage: "production", PolicyDigest: w.policy.Digest(),
		EvidenceDigest: attest.EvidenceDigest(set), RequestNonce: hexOf("nonce")[:32], Expires: epoch.Add(200 * 24 * time.Hour)}
	w.request = w.add("anna", attest.KindPromotionRequest, attest.PromotionRequest{Binding: w.binding, Evidence: set, Reason: "better than the last"},
		rel(attest.RelRequested, attest.ArtefactVersion, "v1"))
	return w
}

func (w *world) decide(actor, role, outcome string, conditions ...string) int64 {
	kind := attest.KindDecision
	if role == sod.RoleModelOwner {
		kind = attest.KindAcceptance
	}
	return w.add(actor, kind, attest.Decision{Request: w.entries[w.request].Ref(), Binding: w.binding, Role: role, Outcome: outcome,
		Reason: "reviewed", Conditions: conditions}, rel(attest.RelDecided, attest.ArtefactVersion, "v1"))
}

// approved is the lawful story to its end.
func approved(t testing.TB) *world {
	w := made(t).ask()
	w.decide("omar", sod.RoleModelOwner, attest.OutcomeApproved)
	w.decide("vera", sod.RoleValidator, attest.OutcomeConditional, "limit 500,000 until the backtest")
	w.decide("rita", sod.RoleRiskOfficer, attest.OutcomeApproved)
	return w
}

func (w *world) input() Input {
	w.t.Helper()
	h, err := sod.NewHistory(w.entries)
	if err != nil {
		w.t.Fatal(err)
	}
	in := Input{RequestEntry: w.entries[w.request], RegistrationEntry: w.entries[w.reg], History: h,
		Below: int64(len(w.entries)), Now: w.last().Stamp.Add(time.Hour)}
	if err := json.Unmarshal(in.RequestEntry.Predicate, &in.Request); err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(in.RegistrationEntry.Predicate, &in.Registration); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range in.Request.Evidence {
		if r.Index < int64(len(w.entries)) {
			in.Evidence = append(in.Evidence, w.entries[r.Index])
		}
	}
	for _, e := range w.entries {
		if e.Kind == attest.KindDecision || e.Kind == attest.KindAcceptance || e.Kind == attest.KindWithdrawal {
			in.Decisions = append(in.Decisions, e)
		}
	}
	return in
}

func (w *world) judge() Verdict {
	w.t.Helper()
	v, err := w.policy.Judge(w.input())
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}
