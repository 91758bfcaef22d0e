// Package evidence reads the log and makes what leaves it: the three documents
// of record, signed by people, and the evidence pack.
//
// The documents are readings: every value comes from a logged predicate and
// carries the index of its entry; what the log does not hold is printed as
// "no evidence recorded". Export writes the pack in the order that makes it
// verifiable: documents were logged before, then project states, then a
// checkpoint to which every bundle is proved again, then the manifest, and last
// an attestation about the manifest, logged at or beyond that checkpoint.
//
// evidence uses reports/card and reports/pdf, its siblings: it fills the
// documents that they draw.
package evidence
