// Package lineage is the choke point: the only way to write governed state.
//
// A step's type is a Kind. Do, Begin and Seal run a step that this process
// signs; Submit takes a statement that somebody signed elsewhere. Both hand a
// sealed statement to the sequencer, which judges it at its index, appends it
// to the Merkle log, writes its edges and lets its Kind project it, all in one
// transaction. Audit replays the same code over the log and compares.
//
// View is the only read door. See docs/design/ledger.md.
package lineage
