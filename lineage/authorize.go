package lineage

import (
	"context"
	"sync"

	"affidavit/rbac"
)

// authorizer holds casbin over cur_memberships. It reloads when the newest
// membership entry is another than the one it was loaded at, so that a grant
// counts from the very next index, also when another server logged it.
type authorizer struct {
	mu     sync.Mutex
	loaded int64
	inner  *rbac.Authorizer
	source *memberSource
}

func newAuthorizer() *authorizer { return &authorizer{loaded: -2, source: &memberSource{}} }

// memberSource reads through the transaction that is asking.
type memberSource struct{ r *ReadTx }

// Memberships implements rbac.Source.
func (s *memberSource) Memberships(context.Context) ([]rbac.Membership, error) {
	rows, err := s.r.q.QueryContext(s.r.ctx, "SELECT m.actor, m.role, m.project FROM cur_memberships m JOIN cur_actors a ON a.actor = m.actor WHERE m.active = 1 AND a.active = 1")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []rbac.Membership
	for rows.Next() {
		var m rbac.Membership
		if err := rows.Scan(&m.Actor, &m.Role, &m.Project); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// allow asks casbin with the memberships that stand in r.
func (a *authorizer) allow(r *ReadTx, actor, project, operation string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.refresh(r); err != nil {
		return err
	}
	if err := a.inner.Allow(actor, project, operation); err != nil {
		return (&Error{Code: CodeForbidden, Field: "actor", Message: err.Error()}).WithRemedy("ask an admin of the project for the role")
	}
	return nil
}

func (a *authorizer) refresh(r *ReadTx) error {
	// A membership or an account changes by an entry; its index is the version.
	var newest int64
	err := r.q.QueryRowContext(r.ctx, "SELECT MAX(n) FROM (SELECT COALESCE(MAX(entry), -1) AS n FROM cur_memberships UNION ALL SELECT COALESCE(MAX(entry), -1) FROM cur_actors) AS newest").Scan(&newest)
	if err != nil || newest == a.loaded && a.inner != nil {
		return err
	}
	a.source.r = r
	defer func() { a.source.r = nil }()
	if a.inner == nil {
		a.inner, err = rbac.NewAuthorizer(r.ctx, a.source)
	} else {
		err = a.inner.Reload(r.ctx)
	}
	if err != nil {
		a.loaded = -2
		return err
	}
	a.loaded = newest
	return nil
}

// forget drops what was loaded: the group that was read may have rolled back.
func (a *authorizer) forget() {
	a.mu.Lock()
	a.loaded = -2
	a.mu.Unlock()
}

// Allow asks at the route: may actor do operation in project, as things stand.
func (l *Ledger) Allow(ctx context.Context, actor, project, operation string) error {
	return l.View(ctx, Scope{All: true}, func(r *ReadTx) error {
		return l.viewAuth.allow(r, actor, project, operation)
	})
}
