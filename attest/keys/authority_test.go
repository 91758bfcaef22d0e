package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"sync"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/ctutil"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/google/certificate-transparency-go/x509util"
	"github.com/sigstore/sigstore-go/pkg/root"
)

func newTestTSA(t testing.TB) *TSA {
	t.Helper()
	tsa, err := NewTSA("log.bank.example", testTime)
	if err != nil {
		t.Fatal(err)
	}
	return tsa
}

// TestStampAgainstSigstore lets sigstore-go's timestamp verifier judge stamps.
func TestStampAgainstSigstore(t *testing.T) {
	tsa := newTestTSA(t)
	var certs []*x509.Certificate
	for _, der := range tsa.Chain() {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, cert)
	}
	theirs := root.SigstoreTimestampingAuthority{Leaf: certs[0], Root: certs[1]}
	for _, at := range []time.Time{
		testTime, testTime.Add(time.Microsecond), testTime.Add(120 * time.Millisecond), testTime.Add(123456789),
		testTime.Add(time.Hour).In(time.FixedZone("", 3600)),
	} {
		resp, err := tsa.Stamp([]byte("message"), at)
		if err != nil {
			t.Fatal(err)
		}
		want := at.Truncate(time.Microsecond)
		got, err := theirs.Verify(resp, []byte("message"))
		if err != nil || !got.Time.Equal(want) {
			t.Errorf("%s: sigstore-go: %+v, %v", at, got, err)
		}
		if ours, err := VerifyTimestamp(resp, []byte("message"), tsa.Chain()); err != nil || !ours.Equal(want) {
			t.Errorf("%s: %s, %v", at, ours, err)
		}
		if _, err := theirs.Verify(resp, []byte("other")); err == nil {
			t.Error("sigstore-go takes another message")
		}
	}
}

func TestVerifyTimestampRefuses(t *testing.T) {
	tsa, other := newTestTSA(t), newTestTSA(t)
	good, err := tsa.Stamp([]byte("message"), testTime)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Stamp([]byte("message"), testTime)
	if err != nil {
		t.Fatal(err)
	}
	token, err := tsa.StampToken([]byte("message"), testTime)
	if err != nil {
		t.Fatal(err)
	}
	for name, resp := range map[string][]byte{
		"empty": nil, "noise": []byte("noise"), "other authority": foreign, "token only": token,
		"trailing": append(bytes.Clone(good), 0), "long": make([]byte, maxTimestamp+1),
		// The other authority's stamp dressed in this one's certificate.
		"certificate swapped": bytes.Replace(foreign, other.Chain()[0], tsa.Chain()[0], 1),
	} {
		if _, err := VerifyTimestamp(resp, []byte("message"), tsa.Chain()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := VerifyTimestamp(good, []byte("other"), tsa.Chain()); err == nil {
		t.Error("another message: accepted")
	}
	accepted := 0
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if at, err := tsa.chain.VerifyTimestamp(bad, []byte("message")); err == nil {
			accepted++
			if !at.Equal(testTime) {
				t.Fatalf("byte %d changes the time to %s", i, at)
			}
		}
	}
	// Some bytes are outside every signature (status, algorithm parameters);
	// none of them may change what is believed.
	if accepted > len(good)/20 {
		t.Errorf("%d of %d single-bit changes are accepted", accepted, len(good))
	}
	for _, at := range []time.Time{testTime.Add(-time.Hour), testTime.Add(30 * 365 * 24 * time.Hour)} {
		if _, err := tsa.Stamp([]byte("message"), at); err == nil {
			t.Errorf("it stamps %s, outside its certificate", at)
		}
	}
	if _, err := ParseTSAChain([][]byte{tsa.Chain()[1], tsa.Chain()[1]}); err == nil {
		t.Error("a chain without a timestamping leaf: accepted")
	}
}

func TestStampConcurrently(t *testing.T) {
	tsa := newTestTSA(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			resp, err := tsa.Stamp([]byte("message"), testTime)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := tsa.chain.VerifyTimestamp(resp, []byte("message")); err != nil {
				t.Error(err)
			}
			mu.Lock()
			seen[string(resp)] = true
			mu.Unlock()
		}()
	}
	wg.Wait()
	if len(seen) != 32 {
		t.Errorf("%d distinct stamps of 32: serials repeat", len(seen))
	}
}

func newTestCA(t testing.TB) *CA {
	t.Helper()
	ca, err := NewCA("log.bank.example", testTime)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestIssue(t *testing.T) {
	ca := newTestCA(t)
	priv, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := ca.Issue("alice@bank.example", "https://idp.bank.example", priv.Public(), testTime)
	if err != nil {
		t.Fatal(err)
	}
	cert, id, err := ParseIdentity(der)
	if err != nil {
		t.Fatal(err)
	}
	if id.Email != "alice@bank.example" || id.Issuer != "https://idp.bank.example" || id.NotAfter.Sub(id.NotBefore) != 10*time.Minute {
		t.Errorf("identity %+v", id)
	}
	chain, err := ParseCAChain(ca.Chain())
	if err != nil {
		t.Fatal(err)
	}
	ctKey, err := ParsePublicKey(ca.CTPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := chain.VerifyIdentity(cert, testTime.Add(5*time.Minute), ctKey); err != nil {
		t.Error(err)
	}
	for name, at := range map[string]time.Time{"early": testTime.Add(-time.Second), "late": testTime.Add(11 * time.Minute)} {
		if err := chain.VerifyIdentity(cert, at, ctKey); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	other := newTestCA(t)
	otherChain, err := ParseCAChain(other.Chain())
	if err != nil {
		t.Fatal(err)
	}
	if err := otherChain.VerifyIdentity(cert, testTime, ctKey); err == nil {
		t.Error("another authority vouches for it")
	}
	otherCT, err := ParsePublicKey(other.CTPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := chain.VerifyIdentity(cert, testTime, otherCT); err == nil {
		t.Error("another certificate log vouches for it")
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Issue("alice@bank.example", "https://idp.bank.example", p384.Public(), testTime); err == nil {
		t.Error("a P-384 key got a certificate")
	}
	for _, email := range []string{"", "alice", "Alice <alice@bank.example>", "a@b@c", strings.Repeat("a", 300) + "@b.c"} {
		if _, err := ca.Issue(email, "https://idp.bank.example", priv.Public(), testTime); err == nil {
			t.Errorf("email %q was accepted", email)
		}
	}
	if _, err := ca.Issue("alice@bank.example", "idp", priv.Public(), testTime); err == nil {
		t.Error("an issuer that is no URL was accepted")
	}
}

// TestSCTAgainstGoogle lets Google's library judge the embedded timestamp.
func TestSCTAgainstGoogle(t *testing.T) {
	ca := newTestCA(t)
	priv, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := ca.Issue("alice@bank.example", "https://idp.bank.example", priv.Public(), testTime)
	if err != nil {
		t.Fatal(err)
	}
	scts, err := x509util.ParseSCTsFromCertificate(der)
	if err != nil || len(scts) != 1 {
		t.Fatalf("%d timestamps, %v", len(scts), err)
	}
	if got := ct.TimestampToTime(scts[0].Timestamp); !got.Equal(testTime) {
		t.Errorf("timestamp %s", got)
	}
	var chain []*ctx509.Certificate
	for _, b := range append([][]byte{der}, ca.Chain()[0]) {
		cert, err := ctx509.ParseCertificate(b)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	if err := ctutil.VerifySCT(ca.ct.Public(), chain, scts[0], true); err != nil {
		t.Errorf("Google's library refuses it: %v", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := VerifySCT(leaf, ca.chain.Lowest(), &ca.ct.PublicKey); err != nil || !at.Equal(testTime) {
		t.Errorf("%s, %v", at, err)
	}
	if _, err := VerifySCT(ca.chain.Lowest(), ca.chain.certs[1], &ca.ct.PublicKey); err == nil {
		t.Error("a certificate without a timestamp: accepted")
	}
}

func TestParseIdentityRefusesOthers(t *testing.T) {
	ca := newTestCA(t)
	priv, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	document, err := ca.IssueDocument("Affidavit reports", "reports@bank.example", priv.Public(), testTime)
	if err != nil {
		t.Fatal(err)
	}
	if len(document) != 3 {
		t.Errorf("document chain of %d", len(document))
	}
	if _, err := ParseChain(document); err != nil {
		t.Errorf("document chain: %v", err)
	}
	for name, der := range map[string][]byte{"document": document[0], "authority": ca.Chain()[0], "noise": {1}, "empty": nil, "long": make([]byte, maxCertificate+1)} {
		if _, _, err := ParseIdentity(der); err == nil {
			t.Errorf("%s passes as an identity", name)
		}
	}
}

func FuzzParseSCTList(f *testing.F) {
	b, _ := marshalSCTList([32]byte{1}, 1, []byte("sig"))
	f.Add(b)
	f.Add([]byte{4, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		logID, millis, sig, err := parseSCTList(value)
		if err != nil {
			return
		}
		again, err := marshalSCTList(logID, millis, sig)
		if err != nil || !bytes.Equal(again, value) {
			t.Errorf("%s re-writes as %s", hex.EncodeToString(value), hex.EncodeToString(again))
		}
	})
}

func BenchmarkStamp(b *testing.B) {
	tsa := newTestTSA(b)
	for b.Loop() {
		if _, err := tsa.Stamp([]byte("message"), testTime); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyTimestamp(b *testing.B) {
	tsa := newTestTSA(b)
	resp, err := tsa.Stamp([]byte("message"), testTime)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := tsa.chain.VerifyTimestamp(resp, []byte("message")); err != nil {
			b.Fatal(err)
		}
	}
}
