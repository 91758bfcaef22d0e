package attest

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

func TestSignedFromLeaf(t *testing.T) {
	f := newFixture(t)
	f.add(t, dataStatement(t, "key"), f.set.Service)
	f.add(t, dataStatement(t, "certificate"), f.certified(t, "alice@bank.example"))
	for i, s := range f.signed {
		leaf, err := s.LeafBody()
		if err != nil {
			t.Fatal(err)
		}
		got, err := SignedFromLeaf(leaf, s.Payload)
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("entry %d: %+v, %v", i, got, err)
		}
		if digest, err := PAEDigestOfLeaf(leaf); err != nil || digest != s.PAEHex() {
			t.Errorf("entry %d: digest %s, %v", i, digest, err)
		}
		for name, bad := range map[string][]byte{
			"empty": nil, "trailing": append(bytes.Clone(leaf), ' '), "cut": leaf[:len(leaf)-1],
			"digest": bytes.Replace(leaf, []byte(`"digest":"`), []byte(`"digest":"AAAA`), 1),
			"huge":   make([]byte, MaxLeaf),
		} {
			if _, err := SignedFromLeaf(bad, s.Payload); err == nil {
				t.Errorf("entry %d, %s: accepted", i, name)
			}
		}
		if _, err := SignedFromLeaf(leaf, append(bytes.Clone(s.Payload), ' ')); err == nil {
			t.Errorf("entry %d: another payload: accepted", i)
		}
		st, step, err := ParseStatement(s.Payload)
		if err != nil {
			t.Fatal(err)
		}
		st2, step2, err := DecodeStatement(s.Payload)
		if err != nil || !reflect.DeepEqual(st, st2) || !reflect.DeepEqual(step, step2) {
			t.Errorf("entry %d: DecodeStatement reads something else (%v)", i, err)
		}
	}
	for _, bad := range []string{"", "{}", `{"subject":[{}]}`} {
		if _, _, err := DecodeStatement([]byte(bad)); err == nil {
			t.Errorf("%q decodes", bad)
		}
	}
	if _, err := PAEDigestOfLeaf([]byte(`{"data":{"algorithm":"SHA2_256","digest":"AAAA"`)); err == nil {
		t.Error("a short digest")
	}
}

func TestVerifyCertificate(t *testing.T) {
	f, other := newFixture(t), newFixture(t)
	der := f.certified(t, "alice@bank.example").Certificate()
	id, err := VerifyCertificate(f.set.TrustedRoot(), der, fixtureTime)
	if err != nil || id != (Identity{"alice@bank.example", "https://idp.bank.example"}) {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := VerifyCertificate(other.set.TrustedRoot(), der, fixtureTime); err == nil {
		t.Error("another root vouches for it")
	}
	if _, err := VerifyCertificate(f.set.TrustedRoot(), der, fixtureTime.Add(time.Hour)); err == nil {
		t.Error("it is valid for ever")
	}
	if _, err := VerifyCertificate(f.set.TrustedRoot(), nil, fixtureTime); err == nil {
		t.Error("no certificate: accepted")
	}
	if got := LogKeyHash(f.set.Log.Origin(), f.set.Log.SPKI()); !bytes.Equal(got, f.set.Log.KeyHash()) {
		t.Errorf("key hash %x", got)
	}
	if LogKeyHash("log.example", f.set.Service.PublicKey()) != nil {
		t.Error("the hash of a key that is not ed25519")
	}
}
