// Package keys holds what signs and what is trusted: signers for people and
// services, the log's checkpoint key, the built-in timestamp authority and
// certificate authority, and the trust root that names them to verifiers.
//
// People and services sign with ECDSA P-256, the log with ed25519. Private
// keys rest encrypted, in the PEM form that cosign reads and writes.
package keys
