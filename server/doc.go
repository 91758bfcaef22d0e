// Package server is the HTTP engine: middleware, the error table, metrics, the
// OpenAPI document and the table of routes.
//
// Routes come from the packages below it (rest, inference, web) as data, so
// that one table decides authorisation, limits, documentation and metrics, and
// a test can walk it. A handler decodes strictly, calls one verb and encodes;
// whatever it returns as an error goes through the table in errors.go.
//
// Until people log in, every reader is anonymous and the server listens on
// loopback only; a write is authenticated by its statement's signature, which
// the ledger's sequencer judges.
package server
