package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

func (v Verdict) unmet() []string {
	var names []string
	for _, c := range v.Conditions {
		if !c.Met {
			names = append(names, c.Name)
		}
	}
	return names
}

// render writes a verdict; brief leaves out what is met.
func render(v Verdict, brief bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "passed: %v\n", v.Passed)
	for _, c := range v.Conditions {
		if brief && c.Met {
			continue
		}
		mark := "  met "
		if !c.Met {
			mark = "UNMET "
		}
		fmt.Fprintf(&b, "%s%s: %s\n", mark, c.Name, c.Words)
		for _, r := range c.By {
			fmt.Fprintf(&b, "        by entry %d (%s)\n", r.Index, r.Kind)
		}
	}
	for _, l := range v.Limits {
		fmt.Fprintf(&b, "limit: %s\n", l)
	}
	return b.String()
}

func change[T any](t testing.TB, e *sod.Entry, f func(*T)) {
	t.Helper()
	var v T
	if err := json.Unmarshal(e.Predicate, &v); err != nil {
		t.Fatal(err)
	}
	f(&v)
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	e.Predicate = raw
}

func decideAll(w *world) *world {
	w.decide("omar", sod.RoleModelOwner, attest.OutcomeApproved)
	w.decide("vera", sod.RoleValidator, attest.OutcomeApproved)
	w.decide("rita", sod.RoleRiskOfficer, attest.OutcomeApproved)
	return w
}

// TestStories checks exactly which conditions fail, and the words against a
// golden file (UPDATE_GOLDEN=1 rewrites it; read the difference).
func TestStories(t *testing.T) {
	var all strings.Builder
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			w := s.tell(t)
			in := w.input()
			if s.now > 0 {
				in.Now = w.last().Stamp.Add(s.now)
			}
			v, err := w.policy.Judge(in)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{}
			for _, name := range s.unmet {
				want[name] = true
			}
			got := map[string]bool{}
			for _, name := range v.unmet() {
				got[name] = true
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("unmet %v; want %v\n%s", v.unmet(), s.unmet, render(v, false))
			}
			if v.Passed != (len(s.unmet) == 0) {
				t.Errorf("passed = %v", v.Passed)
			}
			again, err := w.policy.Judge(in)
			if err != nil || !reflect.DeepEqual(v, again) {
				t.Errorf("a second judgement differs: %v", err)
			}
			all.WriteString("== " + s.name + "\n" + render(v, s.name != "approved") + "\n")
		})
	}
	path := filepath.Join("testdata", "words.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := all.String(); got != string(want) {
		a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("words differ at line %d:\n got %s\nwant %s", i+1, a[i], append(b, "")[min(i, len(b))])
			}
		}
		t.Fatal("words differ in length")
	}
}
