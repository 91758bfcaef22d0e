package stamp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
)

// authority is an RFC 3161 server on loopback. Its certificates come from
// crypto/x509 and its tokens from a library: the built-in authority of keys
// neither repeats a nonce nor has an intermediate.
type authority struct {
	t      *testing.T
	root   *x509.Certificate
	middle *x509.Certificate
	leaf   *x509.Certificate
	key    crypto.Signer
	by     crypto.Signer // the intermediate's key
	asked  atomic.Int64
	server *httptest.Server
	// change alters what is stamped; answer, if set, replaces the whole answer.
	// mu guards both: a handler may still run when a test makes it honest again.
	mu     sync.Mutex
	change func(*timestamp.Timestamp)
	answer func(w http.ResponseWriter, r *http.Request, query *timestamp.Request)
}

type leafKind struct {
	rsa, notCritical, codeSigning, expired bool
}

func newAuthority(t *testing.T, kind leafKind) *authority {
	t.Helper()
	a := &authority{t: t}
	from, to := time.Now().Add(-48*time.Hour), time.Now().Add(48*time.Hour)
	ca := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	rootKey, middleKey := ecKey(t), ecKey(t)
	a.root = issue(t, ca("Test Root", 1), nil, rootKey.Public(), rootKey)
	a.middle = issue(t, ca("Test Intermediate", 2), a.root, middleKey.Public(), rootKey)
	a.key, a.by = ecKey(t), middleKey
	if kind.rsa {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		a.key = k
	}
	usage := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	if kind.codeSigning {
		usage = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
	}
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{usage})
	if err != nil {
		t.Fatal(err)
	}
	if kind.expired {
		to = time.Now().Add(-time.Hour)
	}
	a.leaf = issue(t, &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "Test Stamps"}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: oidExtKeyUsage, Critical: !kind.notCritical, Value: eku}}}, a.middle, a.key.Public(), middleKey)
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.server.Close)
	return a
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issue(t *testing.T, c, parent *x509.Certificate, pub crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	a.asked.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Error(err)
	}
	query, err := timestamp.ParseRequest(body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != queryType ||
		!query.Certificates || query.HashAlgorithm != crypto.SHA256 || query.Nonce == nil || query.Nonce.BitLen() < 32 {
		a.t.Errorf("%s %s: a request RFC 3161 section 3.4 does not describe, or without nonce and certReq: %+v %v", r.Method, r.Header.Get("Content-Type"), query, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	answer := a.answer
	a.mu.Unlock()
	if answer != nil {
		answer(w, r, query)
		return
	}
	reply(w, a.stamp(query))
}

func reply(w http.ResponseWriter, der []byte) {
	w.Header().Set("Content-Type", replyType)
	w.Write(der)
}

// stamp answers query with a token that embeds leaf and intermediate.
func (a *authority) stamp(query *timestamp.Request) []byte {
	ts := &timestamp.Timestamp{HashAlgorithm: query.HashAlgorithm, HashedMessage: query.HashedMessage, Nonce: query.Nonce,
		Time: time.Now().UTC().Truncate(time.Second), Policy: asn1.ObjectIdentifier{1, 2, 3, 4, 1}, AddTSACertificate: true,
		Certificates: []*x509.Certificate{a.middle}}
	a.mu.Lock()
	change := a.change
	a.mu.Unlock()
	if change != nil {
		change(ts)
	}
	der, err := ts.CreateResponseWithOpts(a.leaf, a.key, crypto.SHA256)
	if err != nil {
		a.t.Error(err)
	}
	return der
}

// honest forgets what a test made of it.
func (a *authority) honest() {
	a.mu.Lock()
	a.change, a.answer = nil, nil
	a.mu.Unlock()
}

func (a *authority) rootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
}

func (a *authority) roots() *Roots {
	a.t.Helper()
	r, err := ParseRoots(a.rootPEM())
	if err != nil {
		a.t.Fatal(err)
	}
	return r
}
