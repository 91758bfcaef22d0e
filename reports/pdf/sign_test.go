package pdf

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"affidavit/attest/keys"
	"affidavit/attest/pack/pdfsig"
)

// testCA issues certificates for signers of documents.
type testCA struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	next int64
}

func newTestCA(t *testing.T) *testCA {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test document CA", Organization: []string{"Example Bank"}},
		NotBefore: testTime.AddDate(-1, 0, 0), NotAfter: testTime.AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key))
	return &testCA{key: key, cert: must[*x509.Certificate](t)(x509.ParseCertificate(der)), next: 2}
}

func (ca *testCA) signer(t *testing.T, name string) SignOptions {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(ca.next), Subject: pkix.Name{CommonName: name}, NotBefore: testTime.AddDate(-1, 0, 0),
		NotAfter: testTime.AddDate(5, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
	ca.next++
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), ca.key))
	return SignOptions{Signer: key, Chain: []*x509.Certificate{must[*x509.Certificate](t)(x509.ParseCertificate(der)), ca.cert},
		Reason: "Validation decision", Location: "London (UK)", When: testTime}
}

// tool finds an outside verifier: on a developer's machine a missing one skips the test, in CI it fails it.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed: the Makefile installs it for CI", name)
		}
		t.Skipf("%s is not installed (packages poppler-utils and qpdf): outside verification not run", name)
	}
	return path
}

func writeTemp(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "document.pdf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// smallDocument is quick to render.
func smallDocument() *Document {
	return &Document{Meta: Meta{Kind: "Model card", Title: "Example", AsOf: testTime}, SignatureFields: 2,
		Body: []Block{&Heading{1, "One"}, &Statement{Text: "It is so.", Cites: Cites{0}}}, Sources: sampleSources(1)}
}

func TestSignTwice(t *testing.T) {
	ca := newTestCA(t)
	plain := must[[]byte](t)(Render(smallDocument()))
	first := ca.signer(t, "Tomasz Zieliński")
	once := must[[]byte](t)(Sign(plain, first))
	if !bytes.HasPrefix(once, plain) {
		t.Fatal("signing changed the document's own bytes")
	}
	second := ca.signer(t, "Renée Okafor")
	second.Timestamp = fakeTSA(t, testTime.Add(time.Minute))
	twice := must[[]byte](t)(Sign(once, second))
	keep(t, "signed.pdf", twice)
	infos := must[[]pdfsig.SignatureInfo](t)(pdfsig.Verify(twice))
	if len(infos) != 2 {
		t.Fatalf("%d signatures, want 2", len(infos))
	}
	if infos[0].Name != "Tomasz Zieliński" || infos[1].Signer.Subject.CommonName != "Renée Okafor" || infos[0].CoversWholeFile || !infos[1].CoversWholeFile {
		t.Fatalf("wrong signers: %+v", infos)
	}
	if infos[0].Reason != "Validation decision" || infos[0].Location != "London (UK)" || !infos[0].ClaimedTime.Equal(testTime) {
		t.Fatalf("wrong claims: %+v", infos[0])
	}
	if infos[0].TimestampToken != nil || !infos[1].TimestampTime.Equal(testTime.Add(time.Minute)) {
		t.Fatal("timestamps are not as made")
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for _, s := range infos {
		if _, err := s.Signer.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: testTime, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Error(err)
		}
	}
	if _, err := Sign(twice, ca.signer(t, "Third")); err == nil || !strings.Contains(err.Error(), "fields are filled") {
		t.Errorf("a third signature in two fields: %v", err)
	}
}

func TestEveryFlippedByteIsRefused(t *testing.T) {
	ca := newTestCA(t)
	signed := must[[]byte](t)(Sign(must[[]byte](t)(Render(smallDocument())), ca.signer(t, "Signer")))
	infos := must[[]pdfsig.SignatureInfo](t)(pdfsig.Verify(signed))
	br := infos[0].ByteRange
	check := func(at int64) {
		bad := bytes.Clone(signed)
		bad[at] ^= 1
		if _, err := pdfsig.Verify(bad); err == nil {
			t.Errorf("byte %d flipped, and still accepted: %q", at, bad[max(0, at-60):at+20])
		}
	}
	// A third of the bytes of the update that adds the signature, another third in each run, and a sample of the document.
	// The signature takes some 2,800 digits; what follows up to the closing bracket is padding and must be zeros.
	offset := int64(signed[br[1]+2000]) % 3
	for at := br[1] - 200 + offset; at < br[1]+3000; at += 3 {
		check(at)
	}
	for at := br[2] - 2; at < int64(len(signed)); at++ {
		check(at)
	}
	for at := int64(0); at < br[1]; at += 397 {
		check(at)
	}
}

func TestChangesAfterSigningAreRefused(t *testing.T) {
	ca := newTestCA(t)
	signed := must[[]byte](t)(Sign(must[[]byte](t)(Render(smallDocument())), ca.signer(t, "First")))
	in := must[*pdfsig.File](t)(pdfsig.Parse(signed))
	last := in.Revisions[len(in.Revisions)-1]
	root := last.Trailer["Root"].(pdfsig.Ref)
	update := func(num int, value any) []byte {
		out := bytes.Clone(signed)
		at := len(out)
		out = append(out, []byte(string(pdfsig.AppendObject(nil, int64(num)))+" 0 obj\n")...)
		out = append(pdfsig.AppendObject(out, value), "\nendobj\n"...)
		return pdfsig.AppendXref(out, map[int]int{num: at}, false, pdfsig.Dict{"Size": last.Trailer["Size"], "Root": root, "Info": last.Trailer["Info"], "Prev": int64(last.Xref)})
	}
	catalog := in.Object(1, root.Num).(pdfsig.Dict)
	changed := pdfsig.Dict{}
	for k, v := range catalog {
		changed[k] = v
	}
	changed["Lang"] = pdfsig.String("fr")
	rewritten := update(root.Num, changed)
	if _, err := pdfsig.Verify(rewritten); err == nil {
		t.Error("a catalog rewritten after the signature was accepted")
	}
	if _, err := Sign(rewritten, ca.signer(t, "Second")); err == nil || !strings.Contains(err.Error(), "does not hold") {
		t.Errorf("a second signature on a rewritten document: %v", err)
	}
	// A signer with less scruple makes a file in which both signatures match their bytes, but the first does not cover what is shown.
	parsed := must[*pdfsig.File](t)(pdfsig.Parse(rewritten))
	fields := must[[]pdfsig.Field](t)(parsed.SignatureFields(len(parsed.Revisions) - 1))
	again := must[[]byte](t)(fill(parsed, fields, ca.signer(t, "Second")))
	if _, err := pdfsig.Verify(again); err == nil || !strings.Contains(err.Error(), "changed after it was signed") {
		t.Errorf("a change between two signatures: %v", err)
	}
	if _, err := pdfsig.Verify(append(bytes.Clone(signed), "\n% more\n"...)); err == nil {
		t.Error("bytes after the end were accepted")
	}
	if _, err := pdfsig.Verify(must[[]byte](t)(Render(smallDocument()))); err == nil || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("an unsigned document: %v", err)
	}
}

func TestSignRefusesBadOptions(t *testing.T) {
	ca := newTestCA(t)
	plain := must[[]byte](t)(Render(smallDocument()))
	good := ca.signer(t, "Signer")
	rsaKey := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	for name, mutate := range map[string]func(o *SignOptions){
		"no key":            func(o *SignOptions) { o.Signer = nil },
		"no chain":          func(o *SignOptions) { o.Chain = nil },
		"no time":           func(o *SignOptions) { o.When = time.Time{} },
		"RSA":               func(o *SignOptions) { o.Signer = rsaKey },
		"other certificate": func(o *SignOptions) { o.Chain = []*x509.Certificate{ca.cert} },
		"two keys":          func(o *SignOptions) { o.SignMessage = func([]byte) ([]byte, error) { return nil, nil } },
		"lying key": func(o *SignOptions) {
			o.Signer, o.SignMessage = nil, func([]byte) ([]byte, error) { return []byte{1}, nil }
		},
		"refusing key": func(o *SignOptions) { o.Signer = refusing{o.Signer} },
		"refusing TSA": func(o *SignOptions) { o.Timestamp = func([]byte) ([]byte, error) { return nil, errors.New("busy") } },
		"broken TSA":   func(o *SignOptions) { o.Timestamp = func([]byte) ([]byte, error) { return []byte("x"), nil } },
	} {
		o := good
		mutate(&o)
		if _, err := Sign(plain, o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Sign([]byte("not a pdf"), good); err == nil {
		t.Error("something that is not a PDF was signed")
	}
}

type refusing struct{ crypto.Signer }

func (refusing) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("locked")
}

func TestOutsideVerifiersAgree(t *testing.T) {
	pdfsigTool, qpdf := tool(t, "pdfsig"), tool(t, "qpdf")
	ca := newTestCA(t)
	signed := must[[]byte](t)(Sign(must[[]byte](t)(Render(sampleDocument(t))), ca.signer(t, "Tomasz")))
	signed = must[[]byte](t)(Sign(signed, ca.signer(t, "Renée")))
	path := writeTemp(t, signed)
	if out, err := exec.Command(qpdf, "--check", path).CombinedOutput(); err != nil {
		t.Errorf("qpdf --check: %v\n%s", err, out)
	}
	out, err := exec.Command(pdfsigTool, "-nocert", path).CombinedOutput()
	if err != nil || strings.Count(string(out), "Signature is Valid.") != 2 || !strings.Contains(string(out), "ETSI.CAdES.detached") ||
		!strings.Contains(string(out), "Total document signed") {
		t.Errorf("pdfsig: %v\n%s", err, out)
	}
	signed[1000] ^= 1
	out, _ = exec.Command(pdfsigTool, "-nocert", writeTemp(t, signed)).CombinedOutput()
	if strings.Contains(string(out), "Signature is Valid.") {
		t.Errorf("pdfsig accepts a changed file, so this test proves nothing:\n%s", out)
	}
}

// TestBuiltInAuthorities signs with the project's own keys, document certificates and timestamp authority.
func TestBuiltInAuthorities(t *testing.T) {
	ca := must[*keys.CA](t)(keys.NewCA("test", testTime))
	tsa := must[*keys.TSA](t)(keys.NewTSA("test", testTime))
	signer := must[keys.Signer](t)(keys.Ephemeral())
	pub := must[*ecdsa.PublicKey](t)(keys.ParsePublicKey(signer.PublicKey()))
	var chain []*x509.Certificate
	for _, der := range must[[][]byte](t)(ca.IssueDocument("Renée Okafor", "renee@example.test", pub, testTime)) {
		chain = append(chain, must[*x509.Certificate](t)(x509.ParseCertificate(der)))
	}
	at := testTime.Add(time.Minute)
	signed := must[[]byte](t)(Sign(must[[]byte](t)(Render(smallDocument())), SignOptions{Chain: chain, When: testTime,
		SignMessage: func(m []byte) ([]byte, error) { return signer.Sign(t.Context(), m) },
		Timestamp:   func(sig []byte) ([]byte, error) { return tsa.StampToken(sig, at) }}))
	infos := must[[]pdfsig.SignatureInfo](t)(pdfsig.Verify(signed))
	if len(infos) != 1 || infos[0].Name != "Renée Okafor" || !infos[0].TimestampTime.Equal(at) {
		t.Fatalf("%+v", infos)
	}
	got, err := keys.VerifyTimestamp(infos[0].TimestampResponse(), infos[0].SignatureValue, tsa.Chain())
	if err != nil || !got.Equal(at) {
		t.Errorf("the timestamp of the signature: %v, %v", got, err)
	}
	out, err := exec.Command(tool(t, "pdfsig"), "-nocert", writeTemp(t, signed)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Signature is Valid.") {
		t.Errorf("pdfsig: %v\n%s", err, out)
	}
}

// fakeTSA makes tokens that have the shape of RFC 3161 but no signer: enough for the imprint, which is what is checked.
func fakeTSA(t *testing.T, at time.Time) Timestamper {
	t.Helper()
	return func(sig []byte) ([]byte, error) {
		sum := sha256.Sum256(sig)
		type imprint struct {
			Algorithm pkix.AlgorithmIdentifier
			Hashed    []byte
		}
		tst := must[[]byte](t)(asn1.Marshal(struct {
			Version int
			Policy  asn1.ObjectIdentifier
			Imprint imprint
			Serial  *big.Int
			Time    time.Time `asn1:"generalized"`
		}{1, asn1.ObjectIdentifier{1, 2, 3}, imprint{pkix.AlgorithmIdentifier{Algorithm: oidSHA256}, sum[:]}, big.NewInt(7), at}))
		type encap struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"explicit,tag:0"`
		}
		type data struct {
			Version int
			Digests []pkix.AlgorithmIdentifier `asn1:"set"`
			Encap   encap
			Signers []int `asn1:"set"`
		}
		return asn1.Marshal(struct {
			Type    asn1.ObjectIdentifier
			Content data `asn1:"explicit,tag:0"`
		}{oidSignedData, data{Version: 3, Encap: encap{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}, tst}}})
	}
}
