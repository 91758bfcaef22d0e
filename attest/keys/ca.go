package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"time"
)

// Object identifiers of Fulcio and RFC 6962.
var (
	oidIssuerRaw = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	oidIssuerV2  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	oidSCTList   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

// identityFor is how long an identity certificate is valid: long enough to
// sign once after logging in.
const identityFor = 10 * time.Minute

// documentFor is how long a document-signing certificate is valid.
const documentFor = 3 * 365 * 24 * time.Hour

// CA issues short-lived identity certificates in Fulcio's form. It is safe
// for concurrent use.
type CA struct {
	chain *Chain // intermediate, root
	priv  crypto.Signer
	ct    *ecdsa.PrivateKey
	ctPub []byte
}

// NewCA makes a root, which is not kept, an intermediate, and the key of the
// certificate transparency log whose timestamps are embedded.
func NewCA(name string, now time.Time) (*CA, error) {
	root, err := newRoot(name+" identity root", now, 1)
	if err != nil {
		return nil, err
	}
	priv, err := newKey()
	if err != nil {
		return nil, err
	}
	t, err := caTemplate(name+" identity intermediate", now, 0)
	if err != nil {
		return nil, err
	}
	intermediate, err := root.sign(t, priv.Public(), priv)
	if err != nil {
		return nil, err
	}
	ct, err := newKey()
	if err != nil {
		return nil, err
	}
	return openCA([][]byte{intermediate.cert.Raw, root.cert.Raw}, priv, ct)
}

func openCA(ders [][]byte, priv crypto.Signer, ct *ecdsa.PrivateKey) (*CA, error) {
	chain, err := ParseCAChain(ders)
	if err != nil {
		return nil, err
	}
	pub, err := p256(chain.Lowest())
	if err != nil {
		return nil, err
	}
	if !pub.Equal(priv.Public()) {
		return nil, errors.New("certificate authority: the certificate is for another key")
	}
	ctPub, err := x509.MarshalPKIXPublicKey(ct.Public())
	if err != nil {
		return nil, fmt.Errorf("certificate transparency key: %w", err)
	}
	return &CA{chain: chain, priv: priv, ct: ct, ctPub: ctPub}, nil
}

// ParseCAChain parses the chain of an identity authority, issuing CA first.
func ParseCAChain(ders [][]byte) (*Chain, error) {
	chain, err := ParseChain(ders)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	for i, cert := range chain.certs {
		if !cert.IsCA {
			return nil, fmt.Errorf("certificate authority: certificate %d may not issue certificates", i)
		}
	}
	return chain, nil
}

// Chain is the DER chain: intermediate, root.
func (c *CA) Chain() [][]byte { return c.chain.DER() }

// CTPublicKey is the SPKI of the key that signs embedded SCTs.
func (c *CA) CTPublicKey() []byte { return append([]byte(nil), c.ctPub...) }

// Issue returns a DER certificate for pub, valid ten minutes from at, that
// says: whoever held pub then was email, as the OIDC issuer said. pub must be
// ECDSA P-256.
func (c *CA) Issue(email, issuer string, pub crypto.PublicKey, at time.Time) ([]byte, error) {
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email || len(email) > 254 {
		return nil, fmt.Errorf("identity certificate: email %q is no plain address", email)
	}
	if u, err := url.Parse(issuer); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || len(issuer) > 500 {
		return nil, fmt.Errorf("identity certificate: issuer %q is no URL", issuer)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("identity certificate: %w", err)
	}
	if _, err := ParsePublicKey(der); err != nil {
		return nil, fmt.Errorf("identity certificate: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	v2, err := asn1.MarshalWithParams(issuer, "utf8")
	if err != nil {
		return nil, fmt.Errorf("identity certificate: %w", err)
	}
	notBefore := at.UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber:   serial,
		NotBefore:      notBefore,
		NotAfter:       notBefore.Add(identityFor),
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses: []string{email},
		ExtraExtensions: []pkix.Extension{
			{Id: oidIssuerRaw, Value: []byte(issuer)},
			{Id: oidIssuerV2, Value: v2},
		},
	}
	// The SCT is over the certificate without the SCT: issue that first, under
	// the same serial, and never hand it out.
	pre, err := (&authority{cert: c.chain.Lowest(), priv: c.priv}).sign(template, pub, nil)
	if err != nil {
		return nil, err
	}
	list, err := c.sctList(pre.cert.RawTBSCertificate, at)
	if err != nil {
		return nil, err
	}
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oidSCTList, Value: list})
	final, err := (&authority{cert: c.chain.Lowest(), priv: c.priv}).sign(template, pub, nil)
	if err != nil {
		return nil, err
	}
	return final.cert.Raw, nil
}

// sctList returns the value of the SCT extension for a certificate to be
// signed, without that extension.
func (c *CA) sctList(tbs []byte, at time.Time) ([]byte, error) {
	millis := uint64(at.UnixMilli())
	sum := sha256.Sum256(sctInput(millis, sha256.Sum256(c.chain.Lowest().RawSubjectPublicKeyInfo), tbs))
	sig, err := c.ct.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("certificate timestamp: %w", err)
	}
	logID := sha256.Sum256(c.ctPub)
	return marshalSCTList(logID, millis, sig)
}

// IssueDocument makes a certificate for signing documents, and returns its
// chain, leaf first. It is valid for three years from at.
func (c *CA) IssueDocument(commonName, email string, pub crypto.PublicKey, at time.Time) ([][]byte, error) {
	if commonName == "" || len(commonName) > 64 {
		return nil, errors.New("document certificate: the common name must have 1 to 64 characters")
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	// id-kp-documentSigning (RFC 9336) and e-mail protection, which PDF readers
	// know; code signing is left out, so it never passes as an identity.
	template := &x509.Certificate{
		SerialNumber:       serial,
		Subject:            pkix.Name{Organization: []string{organisation}, CommonName: commonName},
		NotBefore:          at.Add(-backdate).UTC().Truncate(time.Second),
		NotAfter:           at.Add(documentFor).UTC().Truncate(time.Second),
		KeyUsage:           x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
		ExtKeyUsage:        []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 36}},
	}
	if email != "" {
		template.EmailAddresses = []string{email}
	}
	leaf, err := (&authority{cert: c.chain.Lowest(), priv: c.priv}).sign(template, pub, nil)
	if err != nil {
		return nil, err
	}
	return append([][]byte{leaf.cert.Raw}, c.Chain()...), nil
}
