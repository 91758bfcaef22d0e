package attest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"affidavit/attest/keys"
	"affidavit/attest/tlog"
)

var fixtureTime = time.Date(2026, 11, 24, 10, 0, 0, 123456000, time.UTC)

// fixture is a small log in memory with its keys.
type fixture struct {
	set    *keys.Set
	log    *tlog.Memory
	signed []*Signed
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	set, err := keys.NewSet("log.bank.example", fixtureTime.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{set: set, log: tlog.NewMemory()}
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func nonceOf(s string) string { return digestOf(s)[:32] }

func fixtureStep(kind, nonce string, relations ...Relation) Step {
	return Step{Kind: kind, Project: "lending", Nonce: nonceOf(nonce), Actor: "alice", Claimed: fixtureTime, Relations: relations}
}

func (f *fixture) add(t testing.TB, st *Statement, s keys.Signer) *Signed {
	t.Helper()
	signed, err := Sign(context.Background(), st, s)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := signed.LeafBody()
	if err != nil {
		t.Fatal(err)
	}
	f.log.Append(tlog.LeafHash(leaf))
	f.signed = append(f.signed, signed)
	return signed
}

// bundle proves entry index in the tree as it is now.
func (f *fixture) bundle(t testing.TB, index int64) []byte {
	t.Helper()
	ctx := context.Background()
	size, root := f.log.Size(), f.log.Root()
	hashes, err := tlog.ProveInclusion(ctx, f.log, size, index)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := f.set.Log.SignCheckpoint(tlog.Checkpoint{Origin: f.set.Log.Origin(), Size: size, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := f.set.TSA.Stamp(f.signed[index].Signature, fixtureTime)
	if err != nil {
		t.Fatal(err)
	}
	b, err := MarshalBundle(f.signed[index], Proof{Index: index, Size: size, Root: root, Hashes: hashes,
		Checkpoint: checkpoint, LogKeyHash: f.set.Log.KeyHash()}, stamp)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fill adds n project statements by the service key.
func (f *fixture) fill(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		f.add(t, mustStatement(t, fixtureStep(KindProject, fmt.Sprint("fill", i)), nil, Project{ID: "lending", Name: "Lending"}), f.set.Service)
	}
}

func mustStatement(t testing.TB, step Step, subjects []Subject, predicate any) *Statement {
	t.Helper()
	st, err := NewStatement(step, subjects, predicate)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// certified returns an ephemeral signer with an identity certificate.
func (f *fixture) certified(t testing.TB, email string) keys.Signer {
	t.Helper()
	s, err := keys.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := keys.ParsePublicKey(s.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	der, err := f.set.CA.Issue(email, "https://idp.bank.example", pub, fixtureTime.Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	out, err := keys.WithCertificate(s, der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *fixture) verifier(t testing.TB) *Verifier {
	t.Helper()
	b, err := f.set.TrustedRoot().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	root, err := keys.ParseTrustedRoot(b)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(root)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// dataStatement is about one artefact.
func dataStatement(t testing.TB, nonce string) *Statement {
	t.Helper()
	digest := digestOf("rows")
	return mustStatement(t,
		fixtureStep(KindDataVersion, nonce, Relation{Type: RelGenerated, Ref: Ref{Kind: ArtefactData, Digest: digest, Name: "rows.csv"}}),
		[]Subject{{Name: "rows.csv", Digest: map[string]string{"sha256": digest}}},
		DataVersion{Name: "rows", Version: "1", MediaType: "text/csv", Digest: digest, RowDigest: digestOf("row digest"), Rows: 3,
			Columns: []Column{{Name: "income", Type: "numeric", Role: "input"}}, Origin: "made up", Licence: "CC0-1.0"})
}
