package rbac

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

type fixed struct {
	list []Membership
	err  error
}

func (f *fixed) Memberships(context.Context) ([]Membership, error) { return f.list, f.err }

func authorizer(t testing.TB, list ...Membership) *Authorizer {
	t.Helper()
	a, err := NewAuthorizer(context.Background(), &fixed{list: list})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// kindsInSource reads the Kind constants from the source of package attest, so
// that a new kind without a row in the table fails here.
func kindsInSource(t *testing.T) []string {
	file, err := parser.ParseFile(token.NewFileSet(), "../attest/predicates.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if strings.HasPrefix(name.Name, "Kind") && i < len(spec.Values) {
				lit, ok := spec.Values[i].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s is not a literal", name.Name)
				}
				kind, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, kind)
			}
		}
		return true
	})
	return out
}

func TestEveryKindHasSubmitters(t *testing.T) {
	source := kindsInSource(t)
	if len(source) < 30 {
		t.Fatalf("found only %d kinds", len(source))
	}
	for _, kind := range source {
		if !slices.Contains(Kinds(), kind) {
			t.Errorf("kind %q is missing from Kinds", kind)
		}
		if len(RolesFor(Submit(kind))) == 0 && kind != attest.KindGenesis {
			t.Errorf("nobody may submit %q", kind)
		}
	}
	if len(Kinds()) != len(source) {
		t.Errorf("Kinds has %d, attest %d", len(Kinds()), len(source))
	}
	for _, op := range Operations() {
		order := -1
		for _, r := range RolesFor(op) {
			at := slices.Index(sod.Roles(), r)
			if at <= order {
				t.Errorf("%s: roles out of order or unknown: %v", op, RolesFor(op))
			}
			order = at
		}
	}
}

// TestDuties states what each role may never do, independently of the table.
func TestDuties(t *testing.T) {
	decides := []string{attest.KindAcceptance, attest.KindDecision}
	for _, kind := range Kinds() {
		op := Submit(kind)
		if Permits(sod.RoleMachine, op) && slices.Contains(append(decides, attest.KindWithdrawal, attest.KindPolicy, attest.KindRoleGrant), kind) {
			t.Errorf("a machine may submit %s", kind)
		}
		if Permits(sod.RoleAuditor, op) && kind != attest.KindExport {
			t.Errorf("an auditor changes %s", kind)
		}
		if Permits(sod.RoleRegulator, op) {
			t.Errorf("a regulator submits %s", kind)
		}
		governs := slices.Contains([]string{attest.KindProject, attest.KindKeyEvent, attest.KindServiceAccount, attest.KindRoleGrant, attest.KindErasure}, kind)
		if Permits(sod.RoleAdmin, op) != governs {
			t.Errorf("admin and %s: %v", kind, !governs)
		}
		if Permits(sod.RoleEngineer, op) && slices.Contains(decides, kind) {
			t.Errorf("an engineer may submit %s", kind)
		}
	}
	for _, op := range Operations() {
		if Permits(sod.RoleRegulator, op) && op != OpReadLog && op != OpReadReleased {
			t.Errorf("a regulator may %s", op)
		}
		if Permits(sod.RoleAuditor, op) && (op == OpPredict || op == OpUpload) {
			t.Errorf("an auditor may %s", op)
		}
	}
}

// TestMatrix asks casbin for every role, operation and place, and compares
// with the table and with docs/design/roles.md (UPDATE_GOLDEN=1 rewrites it).
func TestMatrix(t *testing.T) {
	var list []Membership
	for _, r := range sod.Roles() {
		list = append(list, Membership{"a-" + r, r, "lending"})
		if sod.Everywhere(r) {
			list = append(list, Membership{"all-" + r, r, ""})
		}
	}
	a := authorizer(t, append(list, list...)...) // repetition does not matter
	for _, op := range append(Operations(), "submit:nonsense", "submit:", "", "read", "read:projects") {
		for _, r := range sod.Roles() {
			want := Permits(r, op)
			if got := a.Allow("a-"+r, "lending", op) == nil; got != want {
				t.Errorf("%s %s: %v", r, op, got)
			}
			for _, elsewhere := range []string{"cards", "", "lending/../cards", "LENDING", "*"} {
				if a.Allow("a-"+r, elsewhere, op) == nil {
					t.Errorf("%s of lending may %s in %q", r, op, elsewhere)
				}
			}
			for _, project := range []string{"lending", "cards", ""} {
				if got := a.Allow("all-"+r, project, op) == nil; got != (want && sod.Everywhere(r)) {
					t.Errorf("%s everywhere, %s in %q: %v", r, op, project, got)
				}
			}
		}
	}

	const begin, end = "<!-- table: begin -->\n", "<!-- table: end -->"
	const path = "../docs/design/roles.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(text), begin)
	now, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no table markers", path)
	}
	want := matrix()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if now != want {
		t.Errorf("%s differs from the table in code; run with UPDATE_GOLDEN=1 and read the difference", path)
	}
}

// matrix renders the tables of operations and of incompatible roles.
func matrix() string {
	var b strings.Builder
	row := func(first string, cell func(role string) string) {
		b.WriteString("| " + first + " |")
		for _, r := range sod.Roles() {
			b.WriteString(" " + cell(r) + " |")
		}
		b.WriteString("\n")
	}
	header := func(first string) {
		row(first, func(r string) string { return r })
		row("---", func(string) string { return ":-:" })
	}
	header("operation")
	for _, op := range Operations() {
		row("`"+op+"`", func(r string) string {
			if Permits(r, op) {
				return "x"
			}
			return ""
		})
	}
	b.WriteString("\nRoles that one person may not hold together in one project:\n\n")
	header("")
	for _, held := range sod.Roles() {
		row(held, func(r string) string {
			if sod.StaticConflict([]string{held}, r) != nil {
				return "no"
			}
			return ""
		})
	}
	return b.String()
}

func TestDenied(t *testing.T) {
	a := authorizer(t, Membership{"anna", sod.RoleEngineer, "lending"})
	err := a.Allow("anna", "lending", Submit(attest.KindDecision))
	var d *Denied
	if !errors.As(err, &d) || !slices.Equal(d.Needs, []string{sod.RoleValidator, sod.RoleRiskOfficer}) {
		t.Fatalf("got %v", err)
	}
	const want = `anna may not submit:decision in project "lending": it needs the role validator or risk-officer there, which an admin grants`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if got := a.Allow("anna", "", Submit(attest.KindGenesis)).Error(); got != "anna may not submit:genesis above projects: no role has this operation" {
		t.Errorf("got %s", got)
	}
}

// An actor whose id is the name of a role, or looks like one of our prefixes,
// holds nothing by that.
func TestNamesDoNotCollide(t *testing.T) {
	a := authorizer(t, Membership{"anna", sod.RoleEngineer, "lending"}, Membership{"role:admin", sod.RoleEngineer, "lending"})
	for _, actor := range []string{"admin", "role:admin", "actor:anna", "", "validator"} {
		if a.Allow(actor, "lending", Submit(attest.KindRoleGrant)) == nil || a.Allow(actor, "lending", Submit(attest.KindDecision)) == nil {
			t.Errorf("%q is allowed", actor)
		}
	}
}

func TestReload(t *testing.T) {
	ctx := context.Background()
	src := &fixed{list: []Membership{{"anna", sod.RoleEngineer, "lending"}}}
	a, err := NewAuthorizer(ctx, src)
	if err != nil {
		t.Fatal(err)
	}
	op := Submit(attest.KindDataVersion)
	src.list = nil
	if a.Allow("anna", "lending", op) != nil {
		t.Error("memberships changed without a reload")
	}
	for _, bad := range []*fixed{
		{err: errors.New("database is gone")},
		{list: []Membership{{"anna", "emperor", "lending"}}},
		{list: []Membership{{"", sod.RoleEngineer, "lending"}}},
		{list: []Membership{{"anna", sod.RoleEngineer, ""}}},
	} {
		a.source = bad
		if a.Reload(ctx) == nil {
			t.Errorf("loaded %+v", bad)
		}
		if a.Allow("anna", "lending", op) != nil {
			t.Error("a failed reload took the memberships away")
		}
		if _, err := NewAuthorizer(ctx, bad); err == nil {
			t.Errorf("started with %+v", bad)
		}
	}
	a.source = src
	if err := a.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if a.Allow("anna", "lending", op) == nil {
		t.Error("a revoked role still holds")
	}
}

func TestAdapterNeverWrites(t *testing.T) {
	a := authorizer(t, Membership{"anna", sod.RoleEngineer, "lending"})
	e := a.now.Load()
	if ok, err := e.AddGroupingPolicy(subject("anna"), roleName(sod.RoleAdmin), everywhere); ok || err == nil {
		t.Errorf("added: %v %v", ok, err)
	}
	if ok, err := e.RemovePolicy(roleName(sod.RoleAdmin), "role-grant", "submit"); ok || err == nil {
		t.Errorf("removed: %v %v", ok, err)
	}
	if err := e.SavePolicy(); err == nil {
		t.Error("saved")
	}
	if a.Allow("anna", "lending", Submit(attest.KindRoleGrant)) == nil {
		t.Error("the write took effect all the same")
	}
}

func TestConcurrentUse(t *testing.T) {
	a := authorizer(t, Membership{"anna", sod.RoleEngineer, "lending"})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if err := a.Allow("anna", "lending", Submit(attest.KindDataVersion)); err != nil {
					t.Error(err)
				}
				if a.Allow("vera", "lending", Submit(attest.KindDataVersion)) == nil {
					t.Error("vera is allowed")
				}
			}
		})
	}
	for range 5 {
		if err := a.Reload(context.Background()); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestMaySubmit(t *testing.T) {
	h, err := sod.NewHistory([]sod.Entry{{Index: 0, PAE: "00", Kind: attest.KindGenesis, Actor: "root", KeyID: "r",
		Predicate: []byte(`{"service":{"actor":"service","keyId":"s"},"admin":{"actor":"root","name":"Root","keyId":"r"}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := MaySubmit(h, "root", "", attest.KindKeyEvent, 1); err != nil {
		t.Error(err)
	}
	if err := MaySubmit(h, "service", "lending", attest.KindVerdict, 1); err != nil {
		t.Error(err)
	}
	var d *Denied
	if err := MaySubmit(h, "root", "lending", attest.KindDecision, 1); !errors.As(err, &d) || len(d.Needs) != 2 {
		t.Errorf("got %v", err)
	}
	if err := MaySubmit(h, "root", "", attest.KindGenesis, 1); err == nil {
		t.Error("a second genesis")
	}
	for _, c := range []struct {
		role, kind string
		ok         bool
	}{
		{sod.RoleModelOwner, attest.KindAcceptance, true}, {sod.RoleValidator, attest.KindDecision, true}, {sod.RoleRiskOfficer, attest.KindDecision, true},
		{sod.RoleModelOwner, attest.KindDecision, false}, {sod.RoleValidator, attest.KindAcceptance, false}, {sod.RoleAdmin, attest.KindDecision, false},
		{sod.RoleValidator, attest.KindExport, false},
	} {
		if err := MayDecideAs(c.role, c.kind); (err == nil) != c.ok {
			t.Errorf("%s as %s: %v", c.kind, c.role, err)
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	var list []Membership
	for i := range 10_000 {
		list = append(list, Membership{fmt.Sprint("p", i), sod.RoleEngineer, fmt.Sprint("project", i%100)})
	}
	a := authorizer(b, list...)
	for b.Loop() {
		if err := a.Allow("p4242", "project42", Submit(attest.KindPromotionRequest)); err != nil {
			b.Fatal(err)
		}
	}
}
