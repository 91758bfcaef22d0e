// Package rest is the log and its API over HTTP: checkpoint and tiles as C2SP
// tlog-tiles has them, entries with their bundles, submission of statements
// that were signed elsewhere, and the lineage graph.
package rest
