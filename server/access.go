package server

import (
	"context"

	"affidavit/lineage"
	"affidavit/rbac"
)

// Operations that routes name besides rbac's.
const (
	// OpPublic needs no role: health, version, schemas, the style of pages.
	OpPublic = "public"
	// OpSubmit lets a request reach the sequencer, which judges the statement's
	// signature and asks for its signer's permission for its kind.
	OpSubmit = "submit"
)

// Anonymous is the subject of a request until people log in.
const Anonymous = "anonymous"

// Authorizer answers whether an actor has an operation in a project ("" is
// above projects): nil, or an error that says why not. *lineage.Ledger is one:
// casbin over the memberships as they stand. It is asked on every request,
// concurrently.
type Authorizer interface {
	Allow(ctx context.Context, actor, project, operation string) error
}

// Access is the Authorizer of a server that listens on loopback only. Whoever
// is logged in is asked for in members; whoever is not may do what Open lists,
// and nothing else.
type Access struct{ members Authorizer }

// NewAccess wraps members, normally the *lineage.Ledger; nil when nobody can
// log in.
func NewAccess(members Authorizer) *Access { return &Access{members: members} }

// Open lists what a reader on this machine may do without logging in: read,
// predict, and hand in what somebody signed.
func Open() []string {
	return []string{OpPublic, OpSubmit, rbac.OpReadLog, rbac.OpReadEntries, rbac.OpReadProject, rbac.OpReadGovernance,
		rbac.OpReadOperations, rbac.OpPredict}
}

// Allow implements Authorizer.
func (a *Access) Allow(ctx context.Context, actor, project, operation string) error {
	if operation == OpPublic || operation == OpSubmit {
		return nil
	}
	if actor != Anonymous {
		if a.members == nil {
			return lineage.Errf(lineage.CodeUnauthenticated, "", "nobody can log in to this server")
		}
		return a.members.Allow(ctx, actor, project, operation)
	}
	for _, op := range Open() {
		if op == operation {
			return nil
		}
	}
	return &rbac.Denied{Actor: actor, Project: project, Operation: operation, Needs: rbac.RolesFor(operation)}
}
