package sod

import (
	"encoding/json"
	"sort"
	"time"

	"affidavit/attest"
)

// naive judges the same questions straight from their definitions, recursively
// and by scanning the whole log each time. It shares no code with History
// beyond the types and the vocabulary of relations.
type naive struct {
	log       []Entry
	memo      map[memoKey]bool
	keys      []attest.KeyEvent
	genesises []attest.Genesis
	grants    []attest.RoleGrant
	accounts  []attest.ServiceAccount
}

type memoKey struct {
	i    int64
	late bool
}

func newNaive(log []Entry) *naive {
	n := &naive{log: log, memo: map[memoKey]bool{}}
	for _, e := range log {
		n.keys = append(n.keys, parse[attest.KeyEvent](e, attest.KindKeyEvent))
		n.genesises = append(n.genesises, parse[attest.Genesis](e, attest.KindGenesis))
		n.grants = append(n.grants, parse[attest.RoleGrant](e, attest.KindRoleGrant))
		n.accounts = append(n.accounts, parse[attest.ServiceAccount](e, attest.KindServiceAccount))
	}
	return n
}

func parse[T any](e Entry, kind string) T {
	var v T
	if e.Kind == kind {
		_ = json.Unmarshal(e.Predicate, &v)
	}
	return v
}

func (n *naive) keyEvent(e Entry) attest.KeyEvent        { return n.keys[e.Index] }
func (n *naive) genesis(e Entry) attest.Genesis          { return n.genesises[e.Index] }
func (n *naive) roleGrant(e Entry) attest.RoleGrant      { return n.grants[e.Index] }
func (n *naive) accountOf(e Entry) attest.ServiceAccount { return n.accounts[e.Index] }

// effective: does the governance entry at position i count? late asks with the
// knowledge of compromises declared anywhere in the log.
func (n *naive) effective(i int64, late bool) bool {
	k := memoKey{i, late}
	if v, ok := n.memo[k]; ok {
		return v
	}
	v := n.judge(i, late)
	n.memo[k] = v
	return v
}

func (n *naive) judge(i int64, late bool) bool {
	e := n.log[i]
	takes := false
	var role, project = RoleAdmin, e.Project
	switch e.Kind {
	case attest.KindGenesis:
		return true
	case attest.KindKeyEvent:
		takes = n.keyEvent(e).Action == attest.ActionRevoke
	case attest.KindRoleGrant:
		g := n.roleGrant(e)
		takes = g.Action == attest.ActionRevoke
		if e.Project != "" && e.Project != g.Project {
			return false
		}
		project = g.Project
	}
	if takes && late {
		return n.effective(i, false)
	}
	if !n.held(e.KeyID, e.Actor, i, late) || !n.role(e.Actor, project, role, i, late) {
		return false
	}
	if takes {
		return true
	}
	if late && n.declared(e) {
		return false
	}
	switch e.Kind {
	case attest.KindKeyEvent:
		ev := n.keyEvent(e)
		if _, _, known := n.enrolment(ev.KeyID, i, late); known {
			return false
		}
		return !(n.account(ev.Actor, i, late) && (ev.Name != "" || ev.Email != ""))
	case attest.KindServiceAccount:
		a := n.accountOf(e)
		if a.Owner == "" || a.Owner == a.Account || n.account(a.Owner, i, late) || n.named(a.Account, i, late) {
			return false
		}
		for _, g := range n.grantsOf(a.Account, i, late) {
			if n.clash(a.Owner, g.Role, g.Project, i, late) {
				return false
			}
		}
		return true
	case attest.KindRoleGrant:
		g := n.roleGrant(e)
		if g.Project == "" && g.Role != RoleAdmin && g.Role != RoleMachine && g.Role != RoleAuditor {
			return false
		}
		if n.account(g.Actor, i, late) != (g.Role == RoleMachine) {
			return false
		}
		who := n.behind(g.Actor, i, late)
		return who != n.behind(e.Actor, i, late) && !n.clash(who, g.Role, g.Project, i, late)
	}
	return true
}

func (n *naive) enrolment(key string, before int64, late bool) (actor string, at int64, ok bool) {
	before = max(before, 1) // genesis speaks for itself
	for i := int64(0); i < before; i++ {
		e := n.log[i]
		switch e.Kind {
		case attest.KindGenesis:
			g := n.genesis(e)
			if g.Admin.KeyID == key {
				return g.Admin.Actor, -1, true
			}
			if g.Service.KeyID == key {
				return g.Service.Actor, -1, true
			}
		case attest.KindKeyEvent:
			if k := n.keyEvent(e); k.Action == attest.ActionEnrol && k.KeyID == key && n.effective(i, late) {
				return k.Actor, i, true
			}
		}
	}
	return "", 0, false
}

func (n *naive) held(key, actor string, at int64, late bool) bool {
	who, since, ok := n.enrolment(key, at, late)
	if !ok || who != actor {
		return false
	}
	for i := int64(0); i < at; i++ {
		if k := n.keyEvent(n.log[i]); n.log[i].Kind == attest.KindKeyEvent && k.Action == attest.ActionRevoke &&
			k.KeyID == key && i > since && n.effective(i, late) {
			return false
		}
	}
	active := true
	for i := int64(0); i < at; i++ {
		if a := n.accountOf(n.log[i]); n.log[i].Kind == attest.KindServiceAccount && a.Account == actor {
			if n.effective(i, late) {
				active = a.Active
			} else if n.orphans(i, late) {
				active = false
			}
		}
	}
	return active
}

// orphans: an account first named by an entry without effect has no owner and
// may not act.
func (n *naive) orphans(i int64, late bool) bool {
	e := n.log[i]
	a := n.accountOf(e)
	if n.account(a.Account, i, late) || n.named(a.Account, i, late) {
		return false
	}
	signed := n.held(e.KeyID, e.Actor, i, late) && n.role(e.Actor, e.Project, RoleAdmin, i, late)
	return !signed || late && n.declared(e)
}

// declared: was the entry's key declared compromised as of before its stamp, by
// an entry that was accepted when it was logged?
func (n *naive) declared(e Entry) bool {
	since, ok := n.compromised(e.KeyID, len(n.log), false)
	return ok && !e.Stamp.Before(since)
}

func (n *naive) compromised(key string, before int, late bool) (time.Time, bool) {
	var out time.Time
	found := false
	for i := 0; i < before; i++ {
		k := n.keyEvent(n.log[i])
		if n.log[i].Kind != attest.KindKeyEvent || k.Action != attest.ActionRevoke || k.KeyID != key || k.CompromisedSince == nil {
			continue
		}
		if _, _, known := n.enrolment(key, int64(i), late); !known || !n.effective(int64(i), late) {
			continue
		}
		if !found || k.CompromisedSince.Before(out) {
			out, found = *k.CompromisedSince, true
		}
	}
	return out, found
}

func (n *naive) valid(key, actor string, at int64) bool {
	if !n.held(key, actor, at, true) {
		return false
	}
	since, ok := n.compromised(key, len(n.log), true)
	return !ok || n.log[at].Stamp.Before(since) || n.revokedBy(key, at)
}

func (n *naive) revokedBy(key string, at int64) bool {
	k := n.keyEvent(n.log[at])
	return n.log[at].Kind == attest.KindKeyEvent && k.Action == attest.ActionRevoke && k.KeyID == key && n.effective(at, true)
}

// grantsOf lists what stands for an actor before an index.
func (n *naive) grantsOf(actor string, before int64, late bool) []attest.RoleGrant {
	standing := map[attest.RoleGrant]bool{}
	for i := int64(0); i < before; i++ {
		e := n.log[i]
		if e.Kind == attest.KindGenesis {
			g := n.genesis(e)
			standing[attest.RoleGrant{Actor: g.Admin.Actor, Role: RoleAdmin}] = true
			standing[attest.RoleGrant{Actor: g.Service.Actor, Role: RoleMachine}] = true
		}
		if e.Kind == attest.KindRoleGrant && n.effective(i, late) {
			g := n.roleGrant(e)
			standing[attest.RoleGrant{Actor: g.Actor, Role: g.Role, Project: g.Project}] = g.Action == attest.ActionGrant
		}
	}
	var out []attest.RoleGrant
	for g, on := range standing {
		if on && g.Actor == actor {
			out = append(out, g)
		}
	}
	return out
}

func (n *naive) role(actor, project, role string, at int64, late bool) bool {
	for _, g := range n.grantsOf(actor, at, late) {
		everywhere := g.Project == "" && (role == RoleAdmin || role == RoleMachine || role == RoleAuditor)
		if g.Role == role && (g.Project == project || everywhere) {
			return true
		}
	}
	return false
}

// account: was the actor a service account before an index?
func (n *naive) account(actor string, before int64, late bool) bool {
	before = max(before, 1) // genesis speaks for itself
	for i := int64(0); i < before; i++ {
		e := n.log[i]
		if e.Kind == attest.KindGenesis && n.genesis(e).Service.Actor == actor {
			return true
		}
		if e.Kind == attest.KindServiceAccount && n.accountOf(e).Account == actor &&
			(n.effective(i, late) || n.orphans(i, late)) {
			return true
		}
	}
	return false
}

// named: was the actor enrolled as a person before an index?
func (n *naive) named(actor string, before int64, late bool) bool {
	before = max(before, 1) // genesis speaks for itself
	for i := int64(0); i < before; i++ {
		e := n.log[i]
		if e.Kind == attest.KindGenesis && n.genesis(e).Admin.Actor == actor {
			return true
		}
		if k := n.keyEvent(e); e.Kind == attest.KindKeyEvent && k.Action == attest.ActionEnrol && k.Actor == actor &&
			(k.Name != "" || k.Email != "") && n.effective(i, late) {
			return true
		}
	}
	return false
}

func (n *naive) ownerAt(actor string, before int64, late bool) string {
	before = max(before, 1) // genesis speaks for itself
	owner := ""
	for i := int64(0); i < before; i++ {
		e := n.log[i]
		if g := n.genesis(e); e.Kind == attest.KindGenesis && g.Service.Actor == actor {
			owner = g.Admin.Actor
		}
		if a := n.accountOf(e); e.Kind == attest.KindServiceAccount && a.Account == actor && n.effective(i, late) {
			owner = a.Owner
		}
	}
	return owner
}

func (n *naive) behind(actor string, before int64, late bool) string {
	if o := n.ownerAt(actor, before, late); o != "" {
		return o
	}
	return actor
}

// clash spells out the pairs that the governance document forbids.
func (n *naive) clash(person, role, project string, at int64, late bool) bool {
	forbidden := func(a, b string) bool {
		first := func(r string) bool { return r == RoleEngineer || r == RoleModelOwner }
		second := func(r string) bool { return r == RoleValidator || r == RoleRiskOfficer }
		switch {
		case a == b:
			return false
		case a == RoleAuditor, b == RoleAuditor, a == RoleRegulator, b == RoleRegulator:
			return true
		case a == RoleAdmin:
			return b != RoleMachine
		case b == RoleAdmin:
			return a != RoleMachine
		}
		return first(a) && second(b) || second(a) && first(b)
	}
	actors := map[string]bool{person: true}
	for i := int64(0); i < at; i++ {
		e := n.log[i]
		switch e.Kind {
		case attest.KindServiceAccount:
			actors[n.accountOf(e).Account] = true
		case attest.KindGenesis:
			actors[n.genesis(e).Service.Actor] = true
		}
	}
	for a := range actors {
		if a != person && n.ownerAt(a, at, late) != person {
			continue
		}
		for _, g := range n.grantsOf(a, at, late) {
			if (project == "" || g.Project == "" || g.Project == project) && forbidden(g.Role, role) {
				return true
			}
		}
	}
	return false
}

func (n *naive) humans(i int64) (people, unknown map[string]bool) {
	people, unknown = map[string]bool{}, map[string]bool{}
	e := n.log[i]
	actors := []string{e.Actor}
	if e.OnBehalfOf != "" {
		actors = append(actors, e.OnBehalfOf)
	}
	if holder, _, ok := n.enrolment(e.KeyID, int64(len(n.log)), true); ok {
		actors = append(actors, holder)
	}
	end := int64(len(n.log))
	for _, a := range actors {
		if n.account(a, end, true) {
			o := n.ownerAt(a, i, true)
			if o != "" {
				people[o] = true
			}
			if o == "" || !n.named(o, i, true) || n.account(o, end, true) {
				unknown[a] = true
			}
		} else if n.named(a, i, true) {
			people[a] = true
		} else {
			unknown[a] = true
		}
	}
	return people, unknown
}

// upstream collects the people and the unknown of a node below an index.
type upstream struct {
	n       *naive
	people  map[string]bool
	unknown map[string]bool
	done    map[memoKey]bool
}

func (n *naive) contributors(r attest.Ref, below int64) *upstream {
	u := &upstream{n: n, people: map[string]bool{}, unknown: map[string]bool{}, done: map[memoKey]bool{}}
	u.node(r, below)
	return u
}

func (u *upstream) node(r attest.Ref, below int64) {
	known := false
	for i := int64(0); i < below && i < int64(len(u.n.log)); i++ {
		e := u.n.log[i]
		if r.Kind == attest.ArtefactEntry {
			if e.PAE == r.Digest {
				known = true
				u.entry(i)
			}
			continue
		}
		for _, l := range e.Relations {
			if l.Kind != r.Kind || l.Digest != r.Digest || l.Type.Class() != attest.Output {
				continue
			}
			if l.Type != attest.RelEvaluatedForDev && l.Type != attest.RelRequested {
				known = true
			}
			u.entry(i)
		}
	}
	if !known {
		u.unknown[r.Kind+"/"+r.Digest] = true
	}
}

func (u *upstream) entry(i int64) {
	if u.done[memoKey{i, false}] {
		return
	}
	u.done[memoKey{i, false}] = true
	people, unknown := u.n.humans(i)
	for p := range people {
		u.people[p] = true
	}
	for a := range unknown {
		u.unknown["actor/"+a] = true
	}
	for _, l := range u.n.log[i].Relations {
		if l.Type == attest.RelUsed {
			u.node(l.Ref, i)
		}
		if l.Type == attest.RelTriggeredBy {
			u.trigger(l.Ref, i)
		}
	}
}

func (u *upstream) trigger(r attest.Ref, below int64) {
	switch r.Kind {
	case attest.ArtefactTrigger, attest.ArtefactPipeline:
		u.node(r, below)
		return
	case attest.ArtefactEntry:
	default:
		return
	}
	known := false
	for i := int64(0); i < below; i++ {
		e := u.n.log[i]
		if e.PAE != r.Digest {
			continue
		}
		known = true
		if u.done[memoKey{i, true}] {
			continue
		}
		u.done[memoKey{i, true}] = true
		for _, l := range e.Relations {
			if l.Type == attest.RelTriggeredBy {
				u.trigger(l.Ref, i)
			}
			if l.Type == attest.RelUsed && (l.Kind == attest.ArtefactTrigger || l.Kind == attest.ArtefactPipeline) {
				u.node(l.Ref, i)
			}
		}
	}
	if !known {
		u.unknown[r.Kind+"/"+r.Digest] = true
	}
}

func sortedSet(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
