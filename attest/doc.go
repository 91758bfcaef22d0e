// Package attest holds what is sworn: in-toto statements and their typed
// predicates, the vocabulary of relations, the DSSE envelope, the Sigstore
// bundle and a verifier that needs no database, no network and no code of the
// ledger.
//
// A statement of ours is an ordinary in-toto Statement v1. Two annotations on
// its first subject carry what the ledger needs: a random salt, and the step
// (kind, project, nonce, actor, relations). Foreign tools ignore both.
package attest
