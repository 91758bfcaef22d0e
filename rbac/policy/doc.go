// Package policy reads promotion policies and judges promotion requests by
// them.
//
// A policy is YAML, immutable once published: its digest is the SHA-256 of its
// bytes, and every decision names that digest. For a stage it lists the
// evidence that must be there (kind, age, a condition in CEL over the content),
// the approvals (role and number), and attributes that no model may take as an
// input.
//
// Like rbac/sod the package is pure. Policy.Judge runs in the gate, at the
// admission of a deployment and in the offline verifier, and says of each
// condition in plain words whether it is met, by which entries, or what is
// missing and how to meet it.
package policy
