// Package sod judges segregation of duties from the log alone.
//
// It is pure: ordered entries go in, a verdict comes out. There is no
// database, no clock and no input or output, because the same code must give
// the same answer in the server's sequencer, at the deploy gate and in the
// offline verifier of an evidence pack.
//
// Two questions are asked of every right. Was it given by someone who could
// give it, without uniting duties that must stay apart (the static check)? And
// is the person who decides none of those who worked on what is decided (the
// dynamic check, over the contributing relations of the lineage graph)? People
// are counted, never keys: a service account stands for its owner, and
// whatever cannot be traced to a person counts against the decision.
package sod
