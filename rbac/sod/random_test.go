package sod

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"affidavit/attest"
)

var (
	randomPeople   = []string{"root", "anna", "omar", "vera", "rita", "carl"}
	randomAccounts = []string{"service", "trainer", "watcher"}
	randomKinds    = []string{attest.ArtefactData, attest.ArtefactFeatures, attest.ArtefactModel, attest.ArtefactVersion, attest.ArtefactPipeline, attest.ArtefactTrigger}
	randomRels     = []attest.RelationType{attest.RelUsed, attest.RelUsed, attest.RelGenerated, attest.RelTrained, attest.RelEvaluatedForDev,
		attest.RelRegistered, attest.RelRequested, attest.RelDecided, attest.RelTriggeredBy, attest.RelConcerns, attest.RelConfigured}
)

// randomStory mixes lawful and unlawful entries. Indexes equal positions, so
// that the naive judge may index its log by them.
func randomStory(t testing.TB, r *rand.Rand, n int) []Entry {
	s := &story{t: t}
	pick := func(list []string) string { return list[r.Intn(len(list))] }
	actor := func() string {
		if r.Intn(3) == 0 {
			return pick(randomAccounts)
		}
		return pick(randomPeople)
	}
	admin := func() string {
		if r.Intn(3) == 0 {
			return pick(randomPeople)
		}
		return "root"
	}
	s.add("root", attest.KindGenesis, attest.Genesis{Service: attest.Enrolment{Actor: "service", KeyID: keyOf("service")},
		Admin: attest.Enrolment{Actor: "root", Name: "Root", KeyID: keyOf("root")}})
	projects := []string{"lending", "lending", "lending", "cards", ""}
	for len(s.entries) < n {
		switch k := r.Intn(20); {
		case k < 4:
			who, name := actor(), ""
			if slices.Contains(randomPeople, who) || r.Intn(6) == 0 {
				name = "N"
			}
			id := who
			if r.Intn(4) == 0 {
				id += " second"
			}
			s.add(admin(), attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionEnrol, Enrolment: attest.Enrolment{Actor: who, Name: name, KeyID: keyOf(id)}})
			s.last().Project = ""
		case k < 5:
			var since *time.Time
			if r.Intn(2) == 0 {
				at := epoch.Add(time.Duration(r.Intn(len(s.entries)+1)) * time.Minute)
				since = &at
			}
			s.revoke(admin(), keyOf(actor()), since)
		case k < 9:
			action := attest.ActionGrant
			if r.Intn(5) == 0 {
				action = attest.ActionRevoke
			}
			g := attest.RoleGrant{Action: action, Actor: actor(), Role: pick(Roles()), Project: pick(projects)}
			if slices.Contains(randomAccounts, g.Actor) && r.Intn(3) > 0 {
				g.Role = RoleMachine
			}
			if r.Intn(4) == 0 {
				g.Role, g.Project = RoleAdmin, pick(projects[3:])
			}
			s.add(admin(), attest.KindRoleGrant, g)
			if r.Intn(3) > 0 {
				s.last().Project = g.Project
			}
		case k < 11:
			s.add(admin(), attest.KindServiceAccount, attest.ServiceAccount{Account: pick(randomAccounts), Owner: actor(), Active: r.Intn(8) > 0})
			s.last().Project = ""
			if r.Intn(30) == 0 {
				s.last().Predicate = []byte(fmt.Sprintf(`{"account":%q,"owner":"vera","active":true}`, pick(randomPeople)))
			}
		default:
			var rels []attest.Relation
			for range 1 + r.Intn(4) {
				typ := randomRels[r.Intn(len(randomRels))]
				node := attest.Ref{Kind: pick(randomKinds), Digest: hexOf(fmt.Sprint("node ", r.Intn(4)))}
				if r.Intn(6) == 0 || typ == attest.RelTriggeredBy && r.Intn(2) == 0 {
					node = attest.Ref{Kind: attest.ArtefactEntry, Digest: hexOf(fmt.Sprint("pae ", r.Intn(len(s.entries)+2)))}
				}
				rels = append(rels, attest.Relation{Type: typ, Ref: node})
			}
			s.add(actor(), attest.KindTrainingRun, struct{}{}, rels...)
			if r.Intn(5) == 0 {
				s.last().OnBehalfOf = actor()
			}
		}
		if r.Intn(12) == 0 {
			s.last().KeyID = keyOf(actor())
		}
		if r.Intn(20) == 0 { // the same statement signed with another key
			s.last().PAE = s.entries[len(s.entries)-2].PAE
		}
	}
	return s.entries
}

func TestAgreesWithNaiveJudge(t *testing.T) {
	histories := 2000
	if testing.Short() {
		histories = 200
	}
	tally := map[string]int{}
	for seed := range histories {
		r := rand.New(rand.NewSource(int64(seed)))
		log := randomStory(t, r, 15+r.Intn(35))
		h, err := NewHistory(log)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		compareHistory(t, seed, r, log, h, tally)
		if t.Failed() {
			return
		}
	}
	// A comparison that never meets the interesting cases would prove nothing.
	for _, want := range []string{"role", "no role", "key", "no key", "clean", "contributor", "unknown-contributor", "not-a-person"} {
		if tally[want] < histories/10 {
			t.Errorf("only %d cases of %q in %d histories: %v", tally[want], want, histories, tally)
		}
	}
}

func compareHistory(t *testing.T, seed int, r *rand.Rand, log []Entry, h *History, tally map[string]int) {
	t.Helper()
	n := newNaive(log)
	everyone := append(append([]string(nil), randomPeople...), randomAccounts...)
	for range 40 {
		at := int64(r.Intn(len(log)))
		actor, role, project := everyone[r.Intn(len(everyone))], Roles()[r.Intn(8)], []string{"lending", "cards", ""}[r.Intn(3)]
		got, want := h.HasRole(actor, project, role, at), n.role(actor, project, role, at, true)
		if got != want {
			t.Errorf("seed %d: HasRole(%s, %q, %s, %d) = %v, naive %v", seed, actor, project, role, at, got, want)
		}
		tally[map[bool]string{true: "role", false: "no role"}[got]]++
	}
	for i := range log {
		e := log[i]
		got, want := h.KeyValid(e.KeyID, e.Actor, e.Index), n.valid(e.KeyID, e.Actor, e.Index)
		if (got == nil) != want {
			t.Errorf("seed %d: KeyValid(entry %d) = %v, naive %v", seed, i, got, want)
		}
		tally[map[bool]string{true: "key", false: "no key"}[want]]++
		people, unknown := h.Humans(e.Index)
		np, nu := n.humans(e.Index)
		if !slices.Equal(people, sortedSet(np)) || !slices.Equal(unknown, sortedSet(nu)) {
			t.Errorf("seed %d: Humans(%d) = %v, %v; naive %v, %v", seed, i, people, unknown, sortedSet(np), sortedSet(nu))
		}
	}
	for range 12 {
		below := int64(r.Intn(len(log) + 1))
		target := attest.Ref{Kind: randomKinds[r.Intn(len(randomKinds))], Digest: hexOf(fmt.Sprint("node ", r.Intn(4)))}
		if r.Intn(5) == 0 {
			target = attest.Ref{Kind: attest.ArtefactEntry, Digest: log[r.Intn(len(log))].PAE}
		}
		c, err := h.Contributors(target, below)
		if err != nil {
			t.Fatal(err)
		}
		u := n.contributors(target, below)
		var people []string
		for _, p := range c.People {
			people = append(people, p.Person)
			checkPath(t, seed, h, target, below, p)
		}
		if !slices.Equal(people, sortedSet(u.people)) || len(c.Unknown) != len(u.unknown) {
			t.Errorf("seed %d: Contributors(%s, %d) = %v, %d unknown; naive %v, %v", seed, describe(target), below,
				people, len(c.Unknown), sortedSet(u.people), sortedSet(u.unknown))
		}
		person := everyone[r.Intn(len(everyone))]
		want := "clean"
		switch end := int64(len(log)); {
		case !n.named(person, below, true) || n.account(person, end, true):
			want = CodeNotPerson
		case u.people[person]:
			want = CodeContributor
		case len(u.unknown) > 0:
			want = CodeUnknown
		}
		got := "clean"
		if v := h.MayDecide(person, target, below); v != nil {
			got = v.Code
		}
		if got != want {
			t.Errorf("seed %d: MayDecide(%s, %s, %d) = %s, naive %s", seed, person, describe(target), below, got, want)
		}
		tally[got]++
	}
}

// checkPath verifies that an explanation is a real path: each hop's entry
// stands in the named relation to its node, and the hop before used that node.
func checkPath(t *testing.T, seed int, h *History, target attest.Ref, below int64, c Contributor) {
	t.Helper()
	if len(c.Path) == 0 || c.Path[0].Node != target || c.Path[len(c.Path)-1].Entry != c.Entry {
		t.Errorf("seed %d: path of %s does not lead from the target to entry %d: %+v", seed, c.Person, c.Entry.Index, c.Path)
		return
	}
	bound := below
	for i, hop := range c.Path {
		e, ok := h.Entry(hop.Entry.Index)
		if !ok || e.Index >= bound {
			t.Errorf("seed %d: hop %d leads to entry %d, not below %d", seed, i, hop.Entry.Index, bound)
		}
		made := hop.Relation == "" && hop.Node.Kind == attest.ArtefactEntry && e.PAE == hop.Node.Digest
		for _, r := range e.Relations {
			made = made || r.Type == hop.Relation && r.Type.Class() == attest.Output && r.Ref == hop.Node
		}
		if !made {
			t.Errorf("seed %d: entry %d does not stand in relation %q to %s", seed, e.Index, hop.Relation, describe(hop.Node))
		}
		if i+1 < len(c.Path) {
			used := false
			for _, r := range e.Relations {
				used = used || r.Ref == c.Path[i+1].Node && (r.Type == attest.RelUsed || r.Type == attest.RelTriggeredBy)
			}
			if !used {
				t.Errorf("seed %d: entry %d does not use %s", seed, e.Index, describe(c.Path[i+1].Node))
			}
		}
		bound = e.Index
	}
	if people, _ := h.Humans(c.Entry.Index); !slices.Contains(people, c.Person) {
		t.Errorf("seed %d: %s is not behind entry %d", seed, c.Person, c.Entry.Index)
	}
}
