package attest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"affidavit/attest/keys"
	"affidavit/attest/tlog"
)

func TestPAE(t *testing.T) {
	// The example of the DSSE specification.
	if got := string(PAE("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Errorf("got %q", got)
	}
}

type lyingSigner struct {
	keys.Signer
	other keys.Signer
}

func (l lyingSigner) PublicKey() []byte { return l.other.PublicKey() }

func TestSignChecksItself(t *testing.T) {
	f := newFixture(t)
	other, err := keys.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(context.Background(), dataStatement(t, "x"), lyingSigner{f.set.Service, other}); err == nil {
		t.Error("a signature by another key than told was returned")
	}
}

func TestSubmission(t *testing.T) {
	f := newFixture(t)
	byKey := f.add(t, dataStatement(t, "key"), f.set.Service)
	byCert := f.add(t, dataStatement(t, "cert"), f.certified(t, "alice@bank.example"))
	for name, s := range map[string]*Signed{"key": byKey, "certificate": byCert} {
		got, err := ParseSubmission(MarshalSubmission(s))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.PAEHex() != s.PAEHex() || got.KeyID() != s.KeyID() || string(got.Certificate) != string(s.Certificate) {
			t.Errorf("%s: another envelope comes back", name)
		}
	}
	good := string(MarshalSubmission(byKey))
	b64 := base64.StdEncoding.EncodeToString(byKey.PublicKey)
	asPEM, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: byKey.PublicKey})))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseSubmission([]byte(strings.Replace(good, `"`+b64+`"`, string(asPEM), 1))); err != nil {
		t.Errorf("a key in PEM: %v", err)
	}
	otherKey := base64.StdEncoding.EncodeToString(byCert.PublicKey)
	for name, test := range map[string]struct{ text, code string }{
		"empty":           {"", CodePayload},
		"another key":     {strings.Replace(good, b64, otherKey, 1), CodeSignature},
		"no key":          {strings.Replace(good, b64, "", 1), CodeSignature},
		"key not base64":  {strings.Replace(good, b64, "%%%", 1), CodeSignature},
		"wrong PEM":       {strings.Replace(good, `"`+b64+`"`, strings.ReplaceAll(string(asPEM), "PUBLIC KEY", "CERTIFICATE"), 1), CodeSignature},
		"key and more":    {strings.Replace(good, `"publicKey"`, `"certificate":"AAAA","publicKey"`, 1), CodeSignature},
		"bad certificate": {strings.Replace(good, `"publicKey"`, `"certificate"`, 1), CodeCertificate},
		"payload type":    {strings.Replace(good, "in-toto+json", "in-toto", 1), CodePayload},
		"unknown member":  {strings.Replace(good, `"envelope"`, `"x":1,"envelope"`, 1), CodePayload},
		"no signature":    {strings.Replace(good, base64.StdEncoding.EncodeToString(byKey.Signature), "", 1), CodeSignature},
		"huge":            {`{"x":"` + strings.Repeat("x", MaxSubmission) + `"}`, CodePayload},
	} {
		_, err := ParseSubmission([]byte(test.text))
		var r *Refusal
		if !errors.As(err, &r) || r.Code != test.code {
			t.Errorf("%s: got %v, want a refusal for %s", name, err, test.code)
		}
	}
	e, err := json.Marshal(byKey.envelope())
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEnvelope(e)
	if err != nil || got.PAEHex() != byKey.PAEHex() {
		t.Errorf("envelope: %v", err)
	}
	if err := got.Verify(); err == nil {
		t.Error("an envelope without a key verifies")
	}
}

func TestLeafStaysBelowLimit(t *testing.T) {
	s := &Signed{Payload: []byte("x"), Signature: make([]byte, 72), PublicKey: make([]byte, 91), Certificate: make([]byte, 49_000)}
	if _, err := s.LeafBody(); err == nil {
		t.Error("a leaf of 64 KiB was made")
	}
}

// TestForeignBundlesAreRefused: bundles of other logs, good and bad, never
// verify against our root, and never panic.
func TestForeignBundlesAreRefused(t *testing.T) {
	v := newFixture(t).verifier(t)
	files, err := filepath.Glob(filepath.Join(testdata(t, "vectors/bundles"), "*", "*", "*.sigstore.json"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(testdata(t, "vectors/bundles"), "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, path := range append(files, more...) {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // a folder
		}
		read++
		parsed, err := ParseBundle(b)
		if err != nil {
			continue
		}
		if _, err := v.VerifyForeign(parsed); err == nil {
			t.Errorf("%s verifies against a log that never saw it", path)
		}
	}
	if read < 20 {
		t.Errorf("only %d files were read", read)
	}
}

func FuzzParseBundle(f *testing.F) {
	fix := newFixture(f)
	fix.fill(f, 3)
	fix.add(f, dataStatement(f, "x"), fix.certified(f, "alice@bank.example"))
	v := fix.verifier(f)
	for i := range fix.log.Size() {
		f.Add(fix.bundle(f, i))
	}
	known := map[string]bool{}
	for _, s := range fix.signed {
		known[s.PAEHex()] = true
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := ParseBundle(b)
		if err != nil {
			return
		}
		// Whatever verifies is one of the envelopes that were logged.
		if got, err := v.Verify(parsed); err == nil && !known[got.PAE] {
			t.Errorf("an envelope that was never logged verifies: %s", got.PAE)
		}
	})
}

func FuzzSubmission(f *testing.F) {
	fix := newFixture(f)
	f.Add(MarshalSubmission(fix.add(f, dataStatement(f, "x"), fix.set.Service)))
	f.Add(MarshalSubmission(fix.add(f, dataStatement(f, "y"), fix.certified(f, "alice@bank.example"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSubmission(b)
		if err != nil {
			return
		}
		again, err := ParseSubmission(MarshalSubmission(s))
		if err != nil || again.PAEHex() != s.PAEHex() || again.KeyID() != s.KeyID() {
			t.Errorf("reads differently the second time: %v", err)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	f := newFixture(b)
	st := dataStatement(b, "x")
	for b.Loop() {
		if _, err := Sign(context.Background(), st, f.set.Service); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewStatement(b *testing.B) {
	for b.Loop() {
		dataStatement(b, "x")
	}
}

func BenchmarkParseStatement(b *testing.B) {
	payload, err := dataStatement(b, "x").Payload()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := ParseStatement(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeafBody(b *testing.B) {
	f := newFixture(b)
	s := f.add(b, dataStatement(b, "x"), f.set.Service)
	for b.Loop() {
		body, err := s.LeafBody()
		if err != nil {
			b.Fatal(err)
		}
		tlog.LeafHash(body)
	}
}

func BenchmarkParseBundle(b *testing.B) {
	f := newFixture(b)
	f.fill(b, 100)
	raw := f.bundle(b, 42)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := ParseBundle(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, certificate := range map[string]bool{"key": false, "certificate": true} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b)
			f.fill(b, 100)
			signer := f.set.Service
			if certificate {
				signer = f.certified(b, "alice@bank.example")
			}
			f.add(b, dataStatement(b, "x"), signer)
			v := f.verifier(b)
			raw := f.bundle(b, 100)
			for b.Loop() {
				parsed, err := ParseBundle(raw)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := v.Verify(parsed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerifyMany reads and verifies the bundles of a pack on all cores.
func BenchmarkVerifyMany(b *testing.B) {
	f := newFixture(b)
	f.fill(b, 512)
	v := f.verifier(b)
	var raw [][]byte
	for i := range f.log.Size() {
		raw = append(raw, f.bundle(b, i))
	}
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			parsed, err := ParseBundle(raw[next.Add(1)%int64(len(raw))])
			if err == nil {
				_, err = v.Verify(parsed)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkSigstoreGoVerify(b *testing.B) {
	f := newFixture(b)
	f.fill(b, 100)
	f.add(b, dataStatement(b, "x"), f.set.Service)
	raw := f.bundle(b, 100)
	for b.Loop() {
		if err := sigstoreVerify(b, f, f.signed[100], raw, digestOf("rows")); err != nil {
			b.Fatal(err)
		}
	}
}
