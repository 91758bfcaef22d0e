// Package rbac answers one question: may a role do an operation in a project?
//
// The table of operations is code, in one place, and the same table is read
// three ways: by the Authorizer, which holds current memberships in casbin and
// is asked at the route and by the sequencer; by MaySubmit, which judges an
// entry offline from the log; and by docs/design/roles.md, which a test
// compares with it. What is not in the table is denied.
//
// Who may decide on what is not a matter of roles alone: see rbac/sod for the
// duties that must stay apart and rbac/policy for quorums.
package rbac
