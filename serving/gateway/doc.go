// Package gateway serves predictions of admitted versions and swears to what it served.
//
// A deployment is an entry of the log. Its Check is the admission: the gate's verdict passed and is about that request
// and version, the quorum still stands at that very index, and its permit was never used. The gateway reads what stands
// at each endpoint from the log's projection, loads the artefact by digest, and judges the approval again whenever it
// loads or synchronises: what is no longer approved does not predict.
//
// Predictions are collected, encrypted under data keys that live outside the database, and sealed as segments: one file,
// one Merkle tree over its ciphertexts, one entry. A prediction that cannot be sealed is not given.
package gateway
