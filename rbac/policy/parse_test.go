package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

const minimal = `name: small
version: "1"
title: Small
tiers: [low]
stages:
  production:
    approvals: [{role: validator, count: 1}]
    approvalExpiry: 30d
    evidence:
      - {name: eval, kind: evaluation, words: evaluated, remedy: evaluate it, condition: predicate.n > 1}
`

func TestParseTemplates(t *testing.T) {
	for _, name := range []string{"credit-high-risk", "standard-low-risk"} {
		text := template(t, name)
		p, err := Parse([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sum := sha256.Sum256([]byte(text))
		if p.Name != name || p.Digest() != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: name %s, digest %s", name, p.Name, p.Digest())
		}
	}
}

func TestParseRefuses(t *testing.T) {
	replace := func(old, with string) string {
		if !strings.Contains(minimal, old) {
			t.Fatalf("minimal has no %q", old)
		}
		return strings.Replace(minimal, old, with, 1)
	}
	tests := []struct{ name, text, want string }{
		{"empty", "", "policy is empty"},
		{"not YAML", "a: [", "not YAML"},
		{"a list", "- 1", "cannot unmarshal"},
		{"unknown field", minimal + "owner: me\n", "field owner not found"},
		{"unknown nested field", replace("count: 1", "count: 1, any: true"), "field any not found"},
		{"duplicate key", minimal + "name: other\n", `"name" already`},
		{"duplicate stage", replace("stages:\n", "stages:\n  production: {approvals: []}\n"), `"production" already defined`},
		{"two documents", minimal + "---\nname: x\n", "one YAML document"},
		{"anchor", replace("title: Small", "title: &a Small"), "anchors and aliases"},
		{"alias", replace("version: \"1\"", "version: &v \"1\"") + "x: *v\n", "anchors and aliases"},
		{"tag", replace("title: Small", "title: !!str Small"), "tags and merge keys"},
		{"deep", "name: " + strings.Repeat("[", 30) + strings.Repeat("]", 30), "nested deeper"},
		{"large", minimal + "#" + strings.Repeat("x", MaxBytes), "at most 65536"},
		{"name", replace("name: small", "name: Small One"), "lower-case letters"},
		{"no version", replace("version: \"1\"", "version: \"\""), "version"},
		{"no title", replace("title: Small", "title: \" \""), "title must not be empty"},
		{"invisible title", replace("title: Small", "title: \"a\\u202eb\""), "cannot be printed"},
		{"tier", replace("tiers: [low]", "tiers: [tiny]"), `"tiny" is not one of`},
		{"no tier", replace("tiers: [low]", "tiers: []"), "tiers must name"},
		{"no stages", strings.Split(minimal, "stages:")[0], "stages must have"},
		{"null stage", replace("stages:\n", "stages:\n  staging:\n"), "stages.staging is empty"},
		{"no approvals", replace("approvals: [{role: validator, count: 1}]", "approvals: []"), "at least one second-line approval"},
		{"first line approves", replace("role: validator", "role: engineer"), "set ownerAcceptance"},
		{"twice", replace("[{role: validator, count: 1}]", "[{role: validator, count: 1}, {role: validator, count: 1}]"), "raise its count"},
		{"count", replace("count: 1", "count: 0"), "use 1 to 20"},
		{"no expiry", replace("    approvalExpiry: 30d\n", ""), "approvalExpiry is missing"},
		{"expiry", replace("30d", "a month"), "whole number of days or hours"},
		{"zero expiry", replace("30d", "0d"), "whole number of days or hours"},
		{"huge expiry", replace("30d", "999999999d"), "whole number of days or hours"},
		{"no words", replace("words: evaluated", "words: \"\""), "stages.production.evidence[0].words"},
		{"no remedy", replace("remedy: evaluate it", "remedy: \"\""), "remedy must not be empty"},
		{"about", replace("name: eval,", "name: eval, about: moon,"), "use version or lineage"},
		{"evidence role", replace("name: eval,", "name: eval, role: emperor,"), "does not exist"},
		{"not bool", replace("predicate.n > 1", "predicate.n"), "yields dyn, not bool"},
		{"unknown variable", replace("predicate.n > 1", "predicat.n > 1"), "undeclared reference to 'predicat'"},
		{"unknown function", replace("predicate.n > 1", "now() > 1"), "undeclared reference to 'now'"},
		{"type error", replace("predicate.n > 1", "1 + true"), "no matching overload"},
		{"syntax", replace("predicate.n > 1", "predicate.n >"), "Syntax error"},
		{"long condition", replace("predicate.n > 1", "predicate.n > 1"+strings.Repeat(" || false", 600)), "at most 4096"},
		{"empty prohibition", replace("    approvalExpiry", "    prohibited: {attributes: []}\n    approvalExpiry"), "list 1 to 256"},
		{"waived entry", minimal + "acceptUnknown: [{kind: entry, reason: why}]\n", "never waived"},
		{"waiver without reason", minimal + "acceptUnknown: [{kind: code, reason: \"\"}]\n", "acceptUnknown[0].reason"},
	}
	for _, tt := range tests {
		if _, err := Parse([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	if _, err := Parse([]byte(minimal)); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(template(f, "credit-high-risk")))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? {}\n: <<: {}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		// Whatever parses can be judged by, and never asks for nothing.
		for name, s := range p.Stages {
			if s == nil || len(s.Approvals) == 0 || s.ApprovalExpiry <= 0 {
				t.Fatalf("stage %q asks for nothing", name)
			}
			for _, r := range s.Evidence {
				if r.condition != nil {
					_, _ = r.condition.holds(sod.Entry{Predicate: []byte(`{"result":"PASSED"}`)})
				}
			}
		}
	})
}

func TestConditions(t *testing.T) {
	c, err := newCompiler()
	if err != nil {
		t.Fatal(err)
	}
	entry := sod.Entry{Index: 7, Kind: attest.KindEvaluation, Actor: "trainer", Project: "lending", PAE: hexOf("x"), Stamp: epoch,
		Relations: []attest.Relation{rel(attest.RelUsed, attest.ArtefactData, "rows")}}
	tests := []struct {
		text, predicate string
		met             bool
		err             string
	}{
		{"predicate.n >= 1", `{"n":1}`, true, ""}, // int literal against a JSON number
		{"predicate.n == 1.5", `{"n":1.5}`, true, ""},
		{"predicate.n > 1", `{"n":"two"}`, false, "no such overload"},
		{"predicate.a.b > 1", `{"a":{}}`, false, "no such key: b"},
		{"!has(predicate.a)", `{}`, true, ""},
		{"predicate.a != null", `{"a":null}`, false, ""},
		{"predicate.xs.exists(x, x == 2)", `{"xs":[1,2]}`, true, ""},
		{"entry.index == 7 && step.actor == 'trainer' && step.relations[0].kind == 'data'", `{}`, true, ""},
		{"entry.stamp < timestamp('2027-01-01T00:00:00Z')", `{}`, true, ""},
		{"true", ``, false, "erased"},
		{"true", `[]`, false, "not a JSON object"},
		{"true", `null`, false, "not a JSON object"},
		{"predicate.xs.all(a, predicate.xs.all(b, predicate.xs.all(c, a + b + c >= 0.0)))", `{"xs":[` + strings.Repeat("1,", 199) + `1]}`, false, "cost limit"},
	}
	for _, tt := range tests {
		cond, err := c.compile(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		entry.Predicate = json.RawMessage(tt.predicate)
		began := time.Now()
		met, err := cond.holds(entry)
		if met != tt.met || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s over %.40s: %v, %v; want %v, %q", tt.text, tt.predicate, met, err, tt.met, tt.err)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("%s took %v", tt.text, d)
		}
	}
}

func TestMatchAttribute(t *testing.T) {
	attributes := []string{"afam", " Single "}
	for input, want := range map[string]string{
		"afam": "afam", "AFAM": "afam", " afam ": "afam", "afam=yes": "afam", "afam_yes": "afam", "afam[yes]": "afam", "Single": " Single ",
		"pirat": "", "afamily": "", "singles": "", "x_afam": "", "": "",
	} {
		if got := matchAttribute(input, attributes); got != want {
			t.Errorf("%q: %q; want %q", input, got, want)
		}
	}
}

// TestJudgeRefuses: an input that is not what it says is an error, not a verdict.
func TestJudgeRefuses(t *testing.T) {
	tests := []struct {
		name string
		bad  func(*Input)
		want string
	}{
		{"history", func(in *Input) { in.History = nil }, "history is missing"},
		{"request", func(in *Input) { in.Request.Binding.Version = "9" }, "differs from the one in entry 21"},
		{"registration", func(in *Input) { in.Registration.Inputs = nil }, "differs from the one in entry 20"},
		{"kinds", func(in *Input) { in.RequestEntry, in.RegistrationEntry = in.RegistrationEntry, in.RequestEntry }, "not a promotion request"},
		{"size", func(in *Input) { in.Below = in.RequestEntry.Index }, "does not have"},
		{"decision kind", func(in *Input) { in.Decisions[0].Kind, in.Decisions[0].Index = attest.KindExport, 3 }, "not a decision"},
		{"decision content", func(in *Input) {
			in.Decisions[0].Index, in.Decisions[0].Predicate = 3, json.RawMessage(`[`)
		}, "does not parse"},
	}
	for _, tt := range tests {
		w := approved(t)
		in := w.input()
		tt.bad(&in)
		if _, err := w.policy.Judge(in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}

// What was logged later does not change the verdict of the gate then.
func TestJudgeBelow(t *testing.T) {
	w := approved(t)
	then := int64(len(w.entries))
	w.add("vera", attest.KindWithdrawal, attest.Withdrawal{Target: w.entries[w.request+2].Ref()})
	w.add("rita", attest.KindPolicy, attest.PolicyPublication{Name: w.policy.Name, Version: "2", Digest: hexOf("v2")})
	since := epoch
	w.add("root", attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionRevoke, Enrolment: attest.Enrolment{KeyID: keyOf("omar")}, CompromisedSince: &since})
	w.last().Project = ""
	in := w.input()
	now, err := w.policy.Judge(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{CondPolicy, CondTier, CondProhibited, CondAcceptance, "approvals:validator"}; !slices.Equal(now.unmet(), want) {
		t.Errorf("now unmet: %v; want %v", now.unmet(), want)
	}
	in.Below = then
	if v, err := w.policy.Judge(in); err != nil || !v.Passed {
		t.Errorf("then: %v\n%s", err, render(v, false))
	}
}

// A decision that the caller leaves out is found in the history.
func TestJudgeFindsWhatIsLeftOut(t *testing.T) {
	w := approved(t)
	w.decide("rita", sod.RoleRiskOfficer, attest.OutcomeRejected)
	in := w.input()
	in.Decisions = nil
	v, err := w.policy.Judge(in)
	if err != nil || v.Passed || !slices.Equal(v.unmet(), []string{CondRejection}) {
		t.Errorf("%v\n%s", err, render(v, false))
	}
}

func TestIndependentEvidence(t *testing.T) {
	yaml := strings.Replace(template(t, "credit-high-risk"), "      - name: robustness\n", `      - name: independent
        kind: evaluation
        role: validator
        independent: true
        words: the second line evaluated the version itself
        remedy: a validator evaluates this version
      - name: robustness
`, 1)
	run := func(actor string, relation attest.RelationType) Verdict {
		w := made(t)
		p, err := Parse([]byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		w.policy = p
		w.add("rita", attest.KindPolicy, attest.PolicyPublication{Name: p.Name, Version: p.Version, Digest: p.Digest()})
		w.evidence = append(w.evidence, w.add(actor, attest.KindEvaluation, attest.TestResult{Details: json.RawMessage(report)},
			rel(relation, attest.ArtefactModel, "model.onnx")))
		return decideAll(w.ask()).judge()
	}
	if v := run("vera", attest.RelValidated); !v.Passed {
		t.Errorf("the validator's own evaluation does not count:\n%s", render(v, true))
	}
	if v := run("anna", attest.RelValidated); !slices.Equal(v.unmet(), []string{"evidence:independent"}) {
		t.Errorf("the engineer's counts:\n%s", render(v, true))
	}
	if v := run("vera", attest.RelEvaluatedForDev); !slices.Equal(v.unmet(), []string{"evidence:independent", "approvals:validator"}) {
		t.Errorf("evaluating for development keeps independence:\n%s", render(v, true))
	}
}

// TestAssign compares the matching with all ways to fill the slots.
func TestAssign(t *testing.T) {
	roles := []string{sod.RoleModelOwner, sod.RoleValidator, sod.RoleRiskOfficer}
	r := rand.New(rand.NewSource(1))
	for range 3000 {
		slots := make([]slot, 1+r.Intn(4))
		for i := range slots {
			slots[i] = slot{roles[r.Intn(3)], -1}
		}
		words := make([]word, r.Intn(7))
		counts := make([]bool, len(words))
		for i := range words {
			words[i].entry.Actor = fmt.Sprint("p", r.Intn(4))
			words[i].decision.Role = roles[r.Intn(3)]
			counts[i] = r.Intn(5) > 0
		}
		var best func(s int, used map[string]bool) int
		best = func(s int, used map[string]bool) int {
			if s == len(slots) {
				return 0
			}
			most := best(s+1, used)
			for i, w := range words {
				if p := w.entry.Actor; counts[i] && w.decision.Role == slots[s].role && !used[p] {
					used[p] = true
					most = max(most, 1+best(s+1, used))
					delete(used, p)
				}
			}
			return most
		}
		want := best(0, map[string]bool{})
		assign(slots, words, counts)
		got, people := 0, map[string]bool{}
		for _, s := range slots {
			if s.filled < 0 {
				continue
			}
			got++
			w := words[s.filled]
			if people[w.entry.Actor] || w.decision.Role != s.role || !counts[s.filled] {
				t.Fatalf("bad assignment: %+v over %+v", slots, words)
			}
			people[w.entry.Actor] = true
		}
		if got != want {
			t.Fatalf("filled %d of %d: %+v over %+v", got, want, slots, words)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	w := approved(b)
	in := w.input()
	for b.Loop() {
		if v, err := w.policy.Judge(in); err != nil || !v.Passed {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text := []byte(template(b, "credit-high-risk"))
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
