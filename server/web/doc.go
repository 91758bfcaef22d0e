// Package web is the plain, read-only part of the pages: models, versions with
// their lineage and gate, and the log. Every fact carries the index of the
// entry that it rests on, and the footer says at which size the log was read.
// Pages read the ledger through its View and the predicates of attest; there
// is no script, no inline style and no form that writes.
package web
