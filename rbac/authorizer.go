package rbac

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

	"affidavit/rbac/sod"
)

// Membership is a role that an actor holds in a project now; with an empty
// project it holds everywhere (sod.Everywhere).
type Membership struct{ Actor, Role, Project string }

// Source yields the memberships that stand. The answer must be of one moment
// (one statement or one transaction); order and repetition do not matter.
type Source interface {
	Memberships(ctx context.Context) ([]Membership, error)
}

// definition is the casbin model. The comparison of strings comes first
// because it is cheaper than the look-up of a role.
const definition = `
[request_definition]
r = sub, dom, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && r.obj == p.obj && g(r.sub, p.sub, r.dom)
`

// Authorizer answers from the memberships of its last reload. It is safe for
// concurrent use; a reload replaces the whole at once.
type Authorizer struct {
	source Source
	now    atomic.Pointer[casbin.Enforcer]
}

// NewAuthorizer loads the memberships from a source.
func NewAuthorizer(ctx context.Context, source Source) (*Authorizer, error) {
	a := &Authorizer{source: source}
	if err := a.Reload(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Reload reads the memberships again. On an error those of before stay.
func (a *Authorizer) Reload(ctx context.Context) error {
	m, err := model.NewModelFromString(definition)
	if err != nil {
		return fmt.Errorf("authorisation model: %w", err)
	}
	e, err := casbin.NewEnforcer(m, &adapter{ctx, a.source})
	if err != nil {
		return fmt.Errorf("memberships: %w", err)
	}
	a.now.Store(e)
	return nil
}

// Allow returns nil when the actor has the operation in the project, and
// otherwise a *Denied that names the roles needed. An empty project asks for a
// role that is held everywhere.
func (a *Authorizer) Allow(actor, project, operation string) error {
	act, obj := split(operation)
	domains := []string{everywhere}
	if project != "" {
		domains = []string{inProject(project), everywhere}
	}
	e := a.now.Load()
	for _, dom := range domains {
		ok, err := e.Enforce(subject(actor), dom, obj, act)
		if err != nil {
			return fmt.Errorf("authorisation of %s: %w", operation, err)
		}
		if ok {
			return nil
		}
	}
	return &Denied{Actor: actor, Project: project, Operation: operation, Needs: RolesFor(operation)}
}

// casbin treats a subject that has the name of a role as holding it, so the
// names of actors, roles and domains are kept apart by prefixes.
const everywhere = "everywhere"

func subject(actor string) string     { return "actor:" + actor }
func roleName(role string) string     { return "role:" + role }
func inProject(project string) string { return "project:" + project }

// split parts an operation into act and object: submit:decision → submit, decision.
func split(operation string) (act, obj string) {
	act, obj, _ = strings.Cut(operation, ":")
	return act, obj
}

// adapter feeds casbin from the table and a Source. It never writes: a role is
// granted by a logged statement, and nothing else.
type adapter struct {
	ctx    context.Context
	source Source
}

var errReadOnly = errors.New("memberships are read-only here: a role is granted or revoked by a role-grant statement")

func (a *adapter) LoadPolicy(m model.Model) error {
	for _, op := range Operations() {
		act, obj := split(op)
		for _, role := range RolesFor(op) {
			if err := m.AddPolicy("p", "p", []string{roleName(role), obj, act}); err != nil {
				return err
			}
		}
	}
	list, err := a.source.Memberships(a.ctx)
	if err != nil {
		return err
	}
	seen := make(map[Membership]bool, len(list))
	for _, s := range list {
		if seen[s] {
			continue
		}
		seen[s] = true
		dom := inProject(s.Project)
		switch {
		case s.Actor == "" || !sod.IsRole(s.Role):
			return fmt.Errorf("actor %q with role %q: the row is not a membership", s.Actor, s.Role)
		case s.Project == "" && !sod.Everywhere(s.Role):
			return fmt.Errorf("actor %q holds %s without a project: that role is held in a project", s.Actor, s.Role)
		case s.Project == "":
			dom = everywhere
		}
		if err := m.AddPolicy("g", "g", []string{subject(s.Actor), roleName(s.Role), dom}); err != nil {
			return err
		}
	}
	return nil
}

func (a *adapter) SavePolicy(model.Model) error                              { return errReadOnly }
func (a *adapter) AddPolicy(string, string, []string) error                  { return errReadOnly }
func (a *adapter) RemovePolicy(string, string, []string) error               { return errReadOnly }
func (a *adapter) RemoveFilteredPolicy(string, string, int, ...string) error { return errReadOnly }
