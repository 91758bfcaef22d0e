package attest

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"affidavit/attest/keys"
	"affidavit/attest/tlog"
)

func TestBundleRoundTrip(t *testing.T) {
	f := newFixture(t)
	f.fill(t, 5)
	alice := f.certified(t, "alice@bank.example")
	f.add(t, dataStatement(t, "data"), alice)
	f.fill(t, 3)
	v := f.verifier(t)
	for i := range f.log.Size() {
		raw := f.bundle(t, i)
		b, err := ParseBundle(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Verify(b)
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if got.Index != i || got.PAE != f.signed[i].PAEHex() || got.KeyID != f.signed[i].KeyID() {
			t.Errorf("entry %d: verified %d %s %s", i, got.Index, got.PAE, got.KeyID)
		}
		if !got.Stamped.Equal(fixtureTime) {
			t.Errorf("entry %d: stamped %s, want %s", i, got.Stamped, fixtureTime)
		}
		if got.Checkpoint.Size != f.log.Size() || got.Checkpoint.Root != f.log.Root() {
			t.Errorf("entry %d: checkpoint %+v", i, got.Checkpoint)
		}
		again, err := MarshalBundle(&b.Signed, b.Proof, b.Timestamp)
		if err != nil || string(again) != string(raw) {
			t.Errorf("entry %d: the bundle does not marshal to the same bytes (%v)", i, err)
		}
	}
	b, _ := ParseBundle(f.bundle(t, 5))
	got, err := v.Verify(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Identity != "alice@bank.example" || got.Issuer != "https://idp.bank.example" {
		t.Errorf("identity %q, issuer %q", got.Identity, got.Issuer)
	}
	if got.Step.Kind != KindDataVersion || got.Step.Relations[0].Kind != ArtefactData {
		t.Errorf("step %+v", got.Step)
	}
	var d DataVersion
	if err := StrictUnmarshal(got.Statement.Predicate, &d, MaxPayload); err != nil || d.Rows != 3 {
		t.Errorf("predicate %+v, %v", d, err)
	}
}

// TestTampering changes one part of a good bundle at a time.
func TestTampering(t *testing.T) {
	f := newFixture(t)
	f.fill(t, 6)
	f.add(t, dataStatement(t, "data"), f.certified(t, "alice@bank.example"))
	other := newFixture(t)
	other.fill(t, 7)
	v := f.verifier(t)
	good := func(i int64) *Bundle {
		b, err := ParseBundle(f.bundle(t, i))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	foreign, err := ParseBundle(other.bundle(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	flip := func(b []byte, i int) { b[(i+len(b))%len(b)] ^= 1 }
	stamp := func(b *Bundle, at time.Time, message []byte) {
		resp, err := f.set.TSA.Stamp(message, at)
		if err != nil {
			t.Fatal(err)
		}
		b.Timestamp = resp
	}
	checkpoint := func(b *Bundle, c tlog.Checkpoint, k *keys.LogKey) {
		text, err := k.SignCheckpoint(c)
		if err != nil {
			t.Fatal(err)
		}
		b.Proof.Checkpoint = text
	}
	for _, test := range []struct {
		name, code string
		entry      int64
		change     func(b *Bundle)
	}{
		{"payload byte", CodeSignature, 2, func(b *Bundle) { flip(b.Payload, 40) }},
		{"payload appended", CodeSignature, 2, func(b *Bundle) { b.Payload = append(b.Payload, ' ') }},
		{"payload empty", CodePayload, 2, func(b *Bundle) { b.Payload = nil }},
		{"signature byte", CodeSignature, 2, func(b *Bundle) { flip(b.Signature, -3) }},
		{"signature of another entry", CodeSignature, 2, func(b *Bundle) { b.Signature = good(3).Signature }},
		{"key of another signer", CodeSignature, 2, func(b *Bundle) { b.PublicKey = foreign.PublicKey; b.Hint = foreign.Hint }},
		{"key hint", CodeBody, 2, func(b *Bundle) { b.Hint = foreign.Hint }},
		{"body of another entry", CodeBody, 2, func(b *Bundle) { b.Body = good(3).Body }},
		{"body byte", CodeBody, 2, func(b *Bundle) { flip(b.Body, 100) }},
		{"outer index", CodeIndex, 2, func(b *Bundle) { b.LogIndex = 3 }},
		{"inner index", CodeIndex, 2, func(b *Bundle) { b.Proof.Index = 3 }},
		{"both indexes", CodeProof, 2, func(b *Bundle) { b.LogIndex, b.Proof.Index = 3, 3 }},
		{"index beyond the tree", CodeIndex, 2, func(b *Bundle) { b.LogIndex, b.Proof.Index = 7, 7 }},
		{"negative index", CodeIndex, 2, func(b *Bundle) { b.LogIndex, b.Proof.Index = -1, -1 }},
		{"proof hash", CodeProof, 2, func(b *Bundle) { b.Proof.Hashes[1][0] ^= 1 }},
		{"proof hash dropped", CodeProof, 2, func(b *Bundle) { b.Proof.Hashes = b.Proof.Hashes[1:] }},
		{"proof hash added", CodeProof, 2, func(b *Bundle) { b.Proof.Hashes = append(b.Proof.Hashes, tlog.Hash{}) }},
		{"root", CodeCheckpoint, 2, func(b *Bundle) { b.Proof.Root[0] ^= 1 }},
		{"size", CodeCheckpoint, 2, func(b *Bundle) { b.Proof.Size++ }},
		{"checkpoint byte", CodeCheckpoint, 2, func(b *Bundle) {
			c := []byte(b.Proof.Checkpoint)
			flip(c, -6)
			b.Proof.Checkpoint = string(c)
		}},
		{"checkpoint of another log", CodeCheckpoint, 2, func(b *Bundle) { b.Proof.Checkpoint = foreign.Proof.Checkpoint }},
		{"checkpoint by another key of the same name", CodeCheckpoint, 2, func(b *Bundle) {
			checkpoint(b, tlog.Checkpoint{Origin: "log.bank.example", Size: b.Proof.Size, Root: b.Proof.Root}, other.set.Log)
		}},
		{"checkpoint of another size", CodeCheckpoint, 2, func(b *Bundle) {
			checkpoint(b, tlog.Checkpoint{Origin: "log.bank.example", Size: b.Proof.Size + 1, Root: b.Proof.Root}, f.set.Log)
		}},
		{"log id", CodeCheckpoint, 2, func(b *Bundle) { flip(b.Proof.LogKeyHash, 0) }},
		{"timestamp byte", CodeTimestamp, 2, func(b *Bundle) { flip(b.Timestamp, -5) }},
		{"timestamp of another signature", CodeTimestamp, 2, func(b *Bundle) { stamp(b, fixtureTime, []byte("x")) }},
		{"timestamp by another authority", CodeTimestamp, 2, func(b *Bundle) {
			resp, err := other.set.TSA.Stamp(b.Signature, fixtureTime)
			if err != nil {
				t.Fatal(err)
			}
			b.Timestamp = resp
		}},
		{"timestamp missing", CodeTimestamp, 2, func(b *Bundle) { b.Timestamp = nil }},
		{"certificate used too late", CodeCertificate, 6, func(b *Bundle) { stamp(b, fixtureTime.Add(time.Hour), b.Signature) }},
		{"certificate used too early", CodeCertificate, 6, func(b *Bundle) { stamp(b, fixtureTime.Add(-30*time.Minute), b.Signature) }},
		{"certificate by another authority", CodeCertificate, 6, func(b *Bundle) { b.Certificate = other.certified(t, "alice@bank.example").Certificate() }},
		{"certificate removed", CodeBody, 6, func(b *Bundle) { b.Certificate = nil }},
		{"certificate of another key", CodeCertificate, 6, func(b *Bundle) { b.Certificate = f.certified(t, "bob@bank.example").Certificate() }},
		{"whole bundle of another log", CodeCheckpoint, 2, func(b *Bundle) { *b = *foreign }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := good(test.entry)
			if _, err := v.Verify(b); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			test.change(b)
			_, err := v.Verify(b)
			var r *Refusal
			if !errors.As(err, &r) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if r.Code != test.code {
				t.Errorf("refused for %q (%v), want %q", r.Code, err, test.code)
			}
			if r.Where == "" || r.Words == "" {
				t.Errorf("refusal says too little: %+v", r)
			}
		})
	}
}

// A statement that is no step of ours is refused, but only after its evidence
// held, and VerifyForeign takes it.
func TestStatementIsJudgedAfterSignature(t *testing.T) {
	f := newFixture(t)
	st := &Statement{Type: StatementType, PredicateType: "https://example.org/x", Predicate: json.RawMessage(`{"a":1}`),
		Subject: []Subject{{Name: "x", Digest: map[string]string{"sha256": digestOf("x")}}}}
	f.add(t, st, f.set.Service)
	b, err := ParseBundle(f.bundle(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	v := f.verifier(t)
	var r *Refusal
	if _, err := v.Verify(b); !errors.As(err, &r) || r.Code != CodeStatement {
		t.Errorf("a statement without a step: %v", err)
	}
	got, err := v.VerifyForeign(b)
	if err != nil || got.Statement.PredicateType != "https://example.org/x" {
		t.Errorf("foreign: %+v, %v", got, err)
	}
}

func TestParseBundleRefuses(t *testing.T) {
	f := newFixture(t)
	f.fill(t, 3)
	raw := f.bundle(t, 1)
	if _, err := ParseBundle(raw); err != nil {
		t.Fatal(err)
	}
	edit := func(change func(m map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	material := func(m map[string]any) map[string]any { return m["verificationMaterial"].(map[string]any) }
	entry := func(m map[string]any) map[string]any {
		return material(m)["tlogEntries"].([]any)[0].(map[string]any)
	}
	envelope := func(m map[string]any) map[string]any { return m["dsseEnvelope"].(map[string]any) }
	for name, b := range map[string][]byte{
		"empty":          {},
		"not JSON":       []byte("hello"),
		"trailing":       append(append([]byte{}, raw...), '{', '}'),
		"unknown member": edit(func(m map[string]any) { m["extra"] = 1 }),
		"folded member":  edit(func(m map[string]any) { m["MediaType"] = m["mediaType"]; delete(m, "mediaType") }),
		"media type":     edit(func(m map[string]any) { m["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1" }),
		"payload type":   edit(func(m map[string]any) { envelope(m)["payloadType"] = "text/plain" }),
		"no signature":   edit(func(m map[string]any) { envelope(m)["signatures"] = []any{} }),
		"two signatures": edit(func(m map[string]any) {
			s := envelope(m)["signatures"].([]any)
			envelope(m)["signatures"] = append(s, s[0])
		}),
		"no entry": edit(func(m map[string]any) { material(m)["tlogEntries"] = []any{} }),
		"two entries": edit(func(m map[string]any) {
			e := material(m)["tlogEntries"].([]any)
			material(m)["tlogEntries"] = append(e, e[0])
		}),
		"no timestamp":   edit(func(m map[string]any) { delete(material(m), "timestampVerificationData") }),
		"no key":         edit(func(m map[string]any) { delete(material(m), "publicKey") }),
		"entry kind":     edit(func(m map[string]any) { entry(m)["kindVersion"] = map[string]any{"kind": "dsse", "version": "0.0.2"} }),
		"root too short": edit(func(m map[string]any) { entry(m)["inclusionProof"].(map[string]any)["rootHash"] = "AAAA" }),
		"body not JSON":  edit(func(m map[string]any) { entry(m)["canonicalizedBody"] = "AAAA" }),
		"index a number": edit(func(m map[string]any) { entry(m)["logIndex"] = 1 }),
	} {
		got, err := ParseBundle(b)
		var r *Refusal
		if !errors.As(err, &r) || got != nil {
			t.Errorf("%s: got %v, %v", name, got != nil, err)
		}
	}
}

func TestUnknownRootIsRefused(t *testing.T) {
	if _, err := NewVerifier(nil); err == nil {
		t.Error("a verifier without a root")
	}
	f := newFixture(t)
	root := f.set.TrustedRoot()
	root.TSAs[0] = root.TSAs[0][:1]
	if _, err := NewVerifier(root); err == nil {
		t.Error("a timestamp chain without its root")
	}
}
