package sod

import (
	"fmt"
	"sort"
	"strings"

	"affidavit/attest"
)

// Roles. An actor holds roles per project.
const (
	RoleEngineer    = "engineer"
	RoleModelOwner  = "model-owner"
	RoleValidator   = "validator"
	RoleRiskOfficer = "risk-officer"
	RoleAuditor     = "auditor"
	RoleRegulator   = "regulator"
	RoleAdmin       = "admin"
	RoleMachine     = "machine"
)

// Roles returns every role, in the order of the lines of defence.
func Roles() []string {
	return []string{RoleEngineer, RoleModelOwner, RoleValidator, RoleRiskOfficer, RoleAuditor, RoleRegulator, RoleAdmin, RoleMachine}
}

// IsRole reports whether role is one of Roles.
func IsRole(role string) bool {
	for _, r := range Roles() {
		if r == role {
			return true
		}
	}
	return false
}

// Everywhere reports whether a role may be granted with an empty project, and
// then holds in all of them.
func Everywhere(role string) bool {
	return role == RoleAdmin || role == RoleMachine || role == RoleAuditor
}

// Codes of a Violation.
const (
	CodeContributor = "contributor"         // the person worked on what is decided
	CodeUnknown     = "unknown-contributor" // someone upstream cannot be named
	CodeNotPerson   = "not-a-person"        // machines and strangers decide nothing
	CodeGrant       = "grant-refused"
	CodeSelfGrant   = "self-grant"
	CodeConflict    = "conflicting-roles"
	CodeRole        = "role-not-held"
	CodeKey         = "key-not-valid"
	CodeCompromised = "key-compromised"
	CodeAccount     = "account-refused"
	CodeErased      = "erased"
)

// Violation is a broken rule, in words.
type Violation struct {
	Code   string
	Person string
	// Entry is the entry in question: the refused one, or the one by which the
	// person contributed.
	Entry int64
	Words string
	// Path leads from what is decided upstream to Entry.
	Path []Hop
}

// conflicts says for each pair of roles why one person may not hold both in
// one project; "" when they may.
func conflicts(a, b string) string {
	if a == b {
		return ""
	}
	rank := map[string]int{RoleRegulator: 0, RoleAuditor: 1, RoleAdmin: 2, RoleEngineer: 3, RoleModelOwner: 4}
	first, second := a, b
	ra, oka := rank[a]
	rb, okb := rank[b]
	if !oka || (okb && rb < ra) {
		first, second = b, a
	}
	switch first {
	case RoleRegulator:
		return "a regulator stands outside and holds no other role"
	case RoleAuditor:
		return "an auditor changes nothing that is audited"
	case RoleAdmin:
		if second != RoleMachine {
			return "an admin grants roles and keys and has no part in a model's life"
		}
	case RoleEngineer, RoleModelOwner:
		if second == RoleValidator || second == RoleRiskOfficer {
			return "the first line does not judge its own work"
		}
	}
	return ""
}

// StaticConflict returns an error when someone who holds roles in a project
// (or everywhere), themselves or through a service account that they own, may
// not be granted another one there. Unknown roles are refused.
func StaticConflict(held []string, granting string) error {
	if !IsRole(granting) {
		return fmt.Errorf("role %q does not exist; use one of %s", granting, strings.Join(Roles(), ", "))
	}
	sorted := append([]string(nil), held...)
	sort.Strings(sorted)
	for _, have := range sorted {
		if !IsRole(have) {
			return fmt.Errorf("held role %q does not exist", have)
		}
		if why := conflicts(have, granting); why != "" {
			return fmt.Errorf("%s and %s may not be held by one person in one project: %s", have, granting, why)
		}
	}
	return nil
}

// HasRole reports whether an actor held a role in a project for the entry at
// an index: granted before it and not revoked before it.
func (h *History) HasRole(actor, project, role string, at int64) bool {
	return h.state.hasRole(actor, project, role, at)
}

func (s *state) hasRole(actor, project, role string, at int64) bool {
	if on(s.grants[grantKey{actor, role, project}], at) {
		return true
	}
	return project != "" && Everywhere(role) && on(s.grants[grantKey{actor, role, ""}], at)
}

func on(list []change, at int64) bool {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].index < at {
			return list[i].on
		}
	}
	return false
}

// CheckGrant judges a role grant that would be logged at an index, signed by
// granter: nil, or the rule that it breaks. It does not check the key.
func (h *History) CheckGrant(g attest.RoleGrant, granter string, at int64) *Violation {
	if !h.state.hasRole(granter, g.Project, RoleAdmin, at) {
		return &Violation{Code: CodeRole, Person: granter, Entry: at,
			Words: fmt.Sprintf("%s does not hold the role admin %s", granter, inProject(g.Project))}
	}
	if g.Action == attest.ActionRevoke {
		return nil
	}
	return h.state.checkGrant(g, granter, at)
}

func (s *state) checkGrant(g attest.RoleGrant, granter string, at int64) *Violation {
	bad := func(code, format string, args ...any) *Violation {
		return &Violation{Code: code, Person: g.Actor, Entry: at, Words: fmt.Sprintf(format, args...)}
	}
	switch {
	case !IsRole(g.Role):
		return bad(CodeGrant, "role %q does not exist; use one of %s", g.Role, strings.Join(Roles(), ", "))
	case g.Actor == "":
		return bad(CodeGrant, "actor must not be empty")
	case g.Project == "" && !Everywhere(g.Role):
		return bad(CodeGrant, "the role %s is held in a project; name one", g.Role)
	}
	_, isAccount := s.owner(g.Actor, at)
	if isAccount && g.Role != RoleMachine {
		return bad(CodeGrant, "%s is a service account, which holds only the role machine", g.Actor)
	}
	if !isAccount && g.Role == RoleMachine {
		return bad(CodeGrant, "%s is not a registered service account; register it with its owner first", g.Actor)
	}
	self := s.person(g.Actor, at)
	if self == s.person(granter, at) {
		return bad(CodeSelfGrant, "nobody grants a role to themselves or to a service account of their own; ask another admin")
	}
	if err := s.conflictFor(self, g.Role, g.Project, at); err != nil {
		return bad(CodeConflict, "%s: %v", self, err)
	}
	return nil
}

// conflictFor checks a role against all that a person holds, in the project
// and everywhere, also through accounts. A role granted everywhere is checked
// in every project.
func (s *state) conflictFor(person, role, project string, at int64) error {
	actors := map[string]bool{person: true}
	for _, a := range s.owned[person] {
		if owner, _ := s.owner(a, at); owner == person {
			actors[a] = true
		}
	}
	held := map[string]bool{}
	for k, list := range s.grants {
		if actors[k.actor] && (project == "" || k.project == "" || k.project == project) && on(list, at) {
			held[k.role] = true
		}
	}
	roles := make([]string, 0, len(held))
	for r := range held {
		roles = append(roles, r)
	}
	return StaticConflict(roles, role)
}

// CheckAccount judges a service-account entry that would be logged at an
// index: nil, or the rule that it breaks.
func (h *History) CheckAccount(a attest.ServiceAccount, at int64) *Violation {
	return h.state.checkAccount(a, at)
}

func (s *state) checkAccount(a attest.ServiceAccount, at int64) *Violation {
	bad := func(code, format string, args ...any) *Violation {
		return &Violation{Code: code, Person: a.Owner, Entry: at, Words: fmt.Sprintf(format, args...)}
	}
	_, accountIsPerson := s.people[a.Account]
	_, ownerIsAccount := s.accounts[a.Owner]
	switch {
	case a.Owner == "":
		return bad(CodeAccount, "a service account needs an owner, the person who answers for it")
	case a.Owner == a.Account || ownerIsAccount:
		return bad(CodeAccount, "the owner %s is a service account; name a person", a.Owner)
	case accountIsPerson:
		return bad(CodeAccount, "%s is a person and cannot become a service account", a.Account)
	}
	for k, list := range s.grants {
		if k.actor != a.Account || !on(list, at) {
			continue
		}
		if err := s.conflictFor(a.Owner, k.role, k.project, at); err != nil {
			return bad(CodeConflict, "%s would hold %s through %s: %v", a.Owner, k.role, a.Account, err)
		}
	}
	return nil
}
