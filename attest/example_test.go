package attest_test

import (
	"context"
	"fmt"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/tlog"
)

// Sign a statement, log it, prove it and verify it, without a database.
func Example() {
	ctx := context.Background()
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	set, err := keys.NewSet("log.bank.example", now)
	if err != nil {
		fmt.Println(err)
		return
	}
	statement, err := attest.NewStatement(attest.Step{
		Kind: attest.KindProject, Project: "lending", Nonce: "00112233445566778899aabbccddeeff",
		Actor: "alice", Claimed: now,
	}, nil, attest.Project{ID: "lending", Name: "Lending"})
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := attest.Sign(ctx, statement, set.Service)
	if err != nil {
		fmt.Println(err)
		return
	}
	leaf, err := signed.LeafBody()
	if err != nil {
		fmt.Println(err)
		return
	}
	tree := tlog.NewMemory()
	tree.Append(tlog.LeafHash(leaf))
	checkpoint, err := set.Log.SignCheckpoint(tlog.Checkpoint{Origin: set.Log.Origin(), Size: tree.Size(), Root: tree.Root()})
	if err != nil {
		fmt.Println(err)
		return
	}
	stamp, err := set.TSA.Stamp(signed.Signature, now)
	if err != nil {
		fmt.Println(err)
		return
	}
	raw, err := attest.MarshalBundle(signed, attest.Proof{Index: 0, Size: 1, Root: tree.Root(), Checkpoint: checkpoint, LogKeyHash: set.Log.KeyHash()}, stamp)
	if err != nil {
		fmt.Println(err)
		return
	}
	bundle, err := attest.ParseBundle(raw)
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := attest.NewVerifier(set.TrustedRoot())
	if err != nil {
		fmt.Println(err)
		return
	}
	verified, err := verifier.Verify(bundle)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(verified.Step.Kind, "by", verified.Step.Actor, "at index", verified.Index, "stamped", verified.Stamped.Format(time.RFC3339))
	// Output: project by alice at index 0 stamped 2026-11-24T10:00:00Z
}
