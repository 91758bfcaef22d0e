// Package pack writes and verifies evidence packs: one zip that carries every
// attestation of a project, what they rest on, and what an outside party needs
// to check them with tools that are not ours.
//
// It reads and writes bytes only: no database, no network, no clock. A pack is
// written in two phases, because the attestation that signs the manifest is
// itself an entry of the log:
//
//	draft, manifest, digest, err := pack.BuildManifest(ctx, input)
//	// log an export attestation about digest: draft.Export(), draft.Subject()
//	err = draft.Finish(w, exportBundle, consistency)
//
// Verify trusts nothing that the pack says about itself. It proves each bundle
// against the log key, compares the bundles with the signed list, replays
// governance from the entries, and judges every decision, verdict and
// deployment again with the pure code of rbac/sod and rbac/policy.
package pack
