package sod

import (
	"encoding/json"
	"fmt"
	"time"

	"affidavit/attest"
)

// builder runs over the entries once and adds up the governance.
type builder struct {
	h  *History
	st *state
	// windows maps a key to the moment since which it is compromised. Empty on
	// the first pass.
	windows map[string]time.Time
	// stands holds, on the second pass, the entries that took a right away on
	// the first; taken collects them.
	stands   map[int64]bool
	taken    map[int64]bool
	refusals []Violation
}

func (b *builder) run() error {
	b.taken = map[int64]bool{}
	for pos := range b.h.entries {
		e := &b.h.entries[pos]
		if !Governs(e.Kind) {
			continue
		}
		if err := b.apply(pos, e); err != nil {
			return fmt.Errorf("entry %d (%s): %w", e.Index, e.Kind, err)
		}
	}
	return nil
}

func (b *builder) apply(pos int, e *Entry) error {
	switch e.Kind {
	case attest.KindGenesis:
		return b.genesis(e)
	case attest.KindKeyEvent:
		return b.keyEvent(e)
	case attest.KindServiceAccount:
		return b.account(e)
	case attest.KindRoleGrant:
		return b.roleGrant(e)
	case attest.KindPolicy:
		var p attest.PolicyPublication
		if ok, err := b.decode(e, &p); !ok || err != nil {
			return err
		}
		if b.enables(e, RoleRiskOfficer) {
			b.st.policies = append(b.st.policies, publication{pos, p.Digest, policyKey{e.Project, p.Name}})
		}
	case attest.KindInventory:
		var inv attest.InventoryEntry
		if ok, err := b.decode(e, &inv); !ok || err != nil {
			return err
		}
		if b.enables(e, RoleModelOwner) {
			k := inventoryKey{e.Project, inv.Model}
			b.st.inventory[k] = append(b.st.inventory[k], pos)
		}
	}
	return nil
}

// decode reads a governance predicate. An erased one has no effect: false.
func (b *builder) decode(e *Entry, v any) (bool, error) {
	if len(e.Predicate) == 0 {
		b.refuse(e, CodeErased, "its content was erased, so it has no effect")
		return false, nil
	}
	if err := json.Unmarshal(e.Predicate, v); err != nil {
		return false, fmt.Errorf("predicate does not parse: %w", err)
	}
	return true, nil
}

func (b *builder) refuse(e *Entry, code, words string) {
	b.refusals = append(b.refusals, Violation{Code: code, Person: e.Actor, Entry: e.Index,
		Words: fmt.Sprintf("entry %d (%s) by %s has no effect: %s", e.Index, e.Kind, e.Actor, words)})
}

// held checks the signer's key and role without looking at compromises.
func (b *builder) held(e *Entry, role string) bool {
	if err := b.st.signer(e); err != nil {
		b.refuse(e, CodeKey, err.Error())
		return false
	}
	if !b.st.hasRole(e.Actor, e.Project, role, e.Index) {
		b.refuse(e, CodeRole, fmt.Sprintf("%s did not hold the role %s %s then", e.Actor, role, inProject(e.Project)))
		return false
	}
	return true
}

// enables is the test for entries that give a right.
func (b *builder) enables(e *Entry, role string) bool {
	if !b.held(e, role) {
		return false
	}
	if since, ok := b.windows[e.KeyID]; ok && !e.Stamp.Before(since) {
		b.refuse(e, CodeCompromised, "its key was declared compromised as of "+since.UTC().Format(time.RFC3339))
		return false
	}
	return true
}

// takes is the test for entries that take a right away: those accepted when
// they were logged stand, so that whoever loses a key cannot be locked in.
func (b *builder) takes(e *Entry, role string) bool {
	if b.stands != nil {
		if b.stands[e.Index] {
			b.taken[e.Index] = true
			return true
		}
		b.held(e, role)
		return false
	}
	if !b.held(e, role) {
		return false
	}
	b.taken[e.Index] = true
	return true
}

func (b *builder) genesis(e *Entry) error {
	if e.Index != 0 {
		return fmt.Errorf("genesis must be entry 0")
	}
	var g attest.Genesis
	if ok, err := b.decode(e, &g); !ok || err != nil {
		return err
	}
	if g.Admin.Actor == "" || g.Service.Actor == "" || g.Admin.Actor == g.Service.Actor {
		return fmt.Errorf("admin and service must be two actors")
	}
	s := b.st
	s.genesis, s.service = true, g.Service.Actor
	s.people[g.Admin.Actor] = -1 // like the keys: known to entry 0 itself
	s.emails[g.Admin.Actor] = []address{{-1, g.Admin.Email}}
	for _, en := range []attest.Enrolment{g.Service, g.Admin} {
		// Entry 0 is signed by one of the keys that it enrols.
		s.keys[en.KeyID] = &keyRecord{actor: en.Actor, enrolled: -1, revoked: never}
	}
	s.accounts[g.Service.Actor] = []ownership{{index: -1, owner: g.Admin.Actor, active: true}}
	s.owned[g.Admin.Actor] = []string{g.Service.Actor}
	s.grants[grantKey{g.Admin.Actor, RoleAdmin, ""}] = []change{{0, true}}
	s.grants[grantKey{g.Service.Actor, RoleMachine, ""}] = []change{{0, true}}
	return nil
}

func (b *builder) keyEvent(e *Entry) error {
	var k attest.KeyEvent
	if ok, err := b.decode(e, &k); !ok || err != nil {
		return err
	}
	rec := b.st.keys[k.KeyID]
	switch k.Action {
	case attest.ActionEnrol:
		if !b.enables(e, RoleAdmin) {
			return nil
		}
		if v := b.st.checkEnrol(k); v != nil {
			b.refuse(e, v.Code, v.Words)
			return nil
		}
		b.st.keys[k.KeyID] = &keyRecord{actor: k.Actor, enrolled: e.Index, revoked: never}
		if _, known := b.st.people[k.Actor]; !known && (k.Name != "" || k.Email != "") {
			b.st.people[k.Actor] = e.Index
		}
		if k.Email != "" {
			b.st.emails[k.Actor] = append(b.st.emails[k.Actor], address{e.Index, k.Email})
		}
	case attest.ActionRevoke:
		if !b.takes(e, RoleAdmin) {
			return nil
		}
		if rec == nil {
			b.refuse(e, CodeKey, "the key was never enrolled")
			return nil
		}
		if rec.revoked == never {
			rec.revoked = e.Index
		}
		if c := k.CompromisedSince; c != nil && (rec.compromised == nil || c.Before(*rec.compromised)) {
			rec.compromised = c
		}
	default:
		return fmt.Errorf("action %q is neither enrol nor revoke", k.Action)
	}
	return nil
}

func (b *builder) account(e *Entry) error {
	var a attest.ServiceAccount
	if ok, err := b.decode(e, &a); !ok || err != nil {
		return err
	}
	if a.Account == "" {
		return fmt.Errorf("account must not be empty")
	}
	if !b.enables(e, RoleAdmin) {
		// An owner known before stays; an account first named here has none,
		// and so nobody who could answer for what it did.
		_, person := b.st.people[a.Account]
		if len(b.st.accounts[a.Account]) == 0 && !person {
			b.st.accounts[a.Account] = []ownership{{index: e.Index}}
		}
		return nil
	}
	if v := b.st.checkAccount(a, e.Index); v != nil {
		b.refuse(e, v.Code, v.Words)
		return nil
	}
	b.st.accounts[a.Account] = append(b.st.accounts[a.Account], ownership{e.Index, a.Owner, a.Active})
	b.st.owned[a.Owner] = appendOnce(b.st.owned[a.Owner], a.Account)
	return nil
}

func (b *builder) roleGrant(e *Entry) error {
	var g attest.RoleGrant
	if ok, err := b.decode(e, &g); !ok || err != nil {
		return err
	}
	if e.Project != "" && e.Project != g.Project {
		b.refuse(e, CodeGrant, fmt.Sprintf("it was logged in project %q but grants in project %q", e.Project, g.Project))
		return nil
	}
	// Who may grant is asked in the project of the grant.
	asked := *e
	asked.Project = g.Project
	key := grantKey{g.Actor, g.Role, g.Project}
	switch g.Action {
	case attest.ActionGrant:
		if !b.enables(&asked, RoleAdmin) {
			return nil
		}
		if v := b.st.checkGrant(g, e.Actor, e.Index); v != nil {
			b.refuse(e, v.Code, v.Words)
			return nil
		}
		b.st.grants[key] = append(b.st.grants[key], change{e.Index, true})
	case attest.ActionRevoke:
		if b.takes(&asked, RoleAdmin) {
			b.st.grants[key] = append(b.st.grants[key], change{e.Index, false})
		}
	default:
		return fmt.Errorf("action %q is neither grant nor revoke", g.Action)
	}
	return nil
}

// compromises returns, for each key declared compromised, since when.
func (s *state) compromises() map[string]time.Time {
	out := map[string]time.Time{}
	for id, rec := range s.keys {
		if rec.compromised != nil {
			out[id] = *rec.compromised
		}
	}
	return out
}

func appendOnce(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

func inProject(project string) string {
	if project == "" {
		return "above projects"
	}
	return fmt.Sprintf("in project %q", project)
}
