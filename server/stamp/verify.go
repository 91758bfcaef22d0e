package stamp

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
)

// Reason says why an answer was not kept. The values are stable: they stand in
// the server's log.
type Reason string

const (
	ReasonUnreachable Reason = "unreachable" // no connection, or it broke
	ReasonTimeout     Reason = "timeout"     // no whole answer in time
	ReasonRedirect    Reason = "redirect"    // HTTP 3xx; never followed
	ReasonStatus      Reason = "status"      // any other HTTP status but 200
	ReasonMediaType   Reason = "media-type"  // not application/timestamp-reply
	ReasonTooLarge    Reason = "too-large"   // longer than MaxAnswer
	ReasonMalformed   Reason = "malformed"   // no response, or one that refuses, or a bad signature
	ReasonImprint     Reason = "imprint"     // over other bytes than those sent
	ReasonNonce       Reason = "nonce"       // not the answer to this request
	ReasonSigner      Reason = "signer"      // not signed by one certificate for timestamps only
	ReasonChain       Reason = "chain"       // does not lead to a trusted root
)

// Refusal is an answer, or the lack of one, that is not kept.
type Refusal struct {
	Reason Reason
	Err    error
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("external timestamp refused (%s): %v", r.Reason, r.Err)
}

func (r *Refusal) Unwrap() error { return r.Err }

func refuse(reason Reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Err: fmt.Errorf(format, args...)}
}

var (
	oidTSTInfo       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidSigningCert   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidExtKeyUsage   = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// Roots are the certificates an external authority's chain must lead to.
type Roots struct{ pool *x509.CertPool }

// maxRoots bounds the roots file: it names one authority, not a web's worth.
const maxRoots = 64

// ParseRoots reads PEM certificates. Each one is trusted as a root, so each
// must be a CA; intermediates come with the answers.
func ParseRoots(text []byte) (*Roots, error) {
	pool, n := x509.NewCertPool(), 0
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a PEM block %q; only CERTIFICATE belongs there", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", n+1, err)
		}
		if !cert.IsCA {
			return nil, fmt.Errorf("certificate %d (%s) is not a CA: give the root it leads to", n+1, cert.Subject)
		}
		if n++; n > maxRoots {
			return nil, fmt.Errorf("holds more than %d certificates", maxRoots)
		}
		pool.AddCert(cert)
	}
	if n == 0 {
		return nil, errors.New("holds no PEM certificate")
	}
	if len(bytes.TrimSpace(text)) != 0 {
		return nil, errors.New("holds something after the last certificate that is not PEM")
	}
	return &Roots{pool: pool}, nil
}

// Verify checks a kept DER TimeStampResp over SHA-256(message) and returns its
// genTime. The error is a *Refusal.
func (r *Roots) Verify(resp, message []byte) (time.Time, error) {
	return r.verify(resp, message, nil)
}

// verify also compares the nonce unless it is nil. RFC 3161 section 2.4.2 says
// what a requester must check.
func (r *Roots) verify(resp, message []byte, nonce *big.Int) (at time.Time, err error) {
	// The parsers are a library's and the bytes a stranger's: a panic there must
	// not stop the server.
	defer func() {
		if p := recover(); p != nil {
			at, err = time.Time{}, refuse(ReasonMalformed, "the parser gave up: %v", p)
		}
	}()
	if len(resp) > MaxAnswer {
		return time.Time{}, refuse(ReasonTooLarge, "longer than %d bytes", MaxAnswer)
	}
	ts, err := timestamp.ParseResponse(resp)
	if err != nil {
		return time.Time{}, &Refusal{Reason: ReasonMalformed, Err: err}
	}
	sum := sha256.Sum256(message)
	if ts.HashAlgorithm != crypto.SHA256 || !bytes.Equal(ts.HashedMessage, sum[:]) {
		return time.Time{}, refuse(ReasonImprint, "it is over other bytes than the checkpoint")
	}
	if nonce != nil && (ts.Nonce == nil || ts.Nonce.Cmp(nonce) != 0) {
		return time.Time{}, refuse(ReasonNonce, "it does not repeat the request's nonce")
	}
	signer, others, err := signerOf(ts.RawToken)
	if err != nil {
		return time.Time{}, &Refusal{Reason: ReasonSigner, Err: err}
	}
	// The chain is judged at the time it swears to: a stamp outlives its certificate.
	_, err = signer.Verify(x509.VerifyOptions{Roots: r.pool, Intermediates: others, CurrentTime: ts.Time,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}})
	if err != nil {
		return time.Time{}, &Refusal{Reason: ReasonChain, Err: err}
	}
	return ts.Time.UTC(), nil
}

// signerOf returns the one certificate that signed a token, and the rest as
// intermediates. The signature is checked with the embedded certificates.
func signerOf(token []byte) (*x509.Certificate, *x509.CertPool, error) {
	p7, err := pkcs7.Parse(token)
	if err != nil {
		return nil, nil, err
	}
	if len(p7.Certificates) == 0 {
		return nil, nil, errors.New("it carries no certificate, though the request asks for it")
	}
	if err := p7.Verify(); err != nil {
		return nil, nil, err
	}
	signer := p7.GetOnlySigner()
	if signer == nil {
		return nil, nil, errors.New("it has not exactly one signature")
	}
	var kind asn1.ObjectIdentifier
	if err := p7.UnmarshalSignedAttribute(oidContentType, &kind); err != nil || !kind.Equal(oidTSTInfo) {
		return nil, nil, errors.New("what is signed is not a TSTInfo")
	}
	if err := namesSigner(p7, signer); err != nil {
		return nil, nil, err
	}
	critical := false
	for _, e := range signer.Extensions {
		critical = critical || e.Id.Equal(oidExtKeyUsage) && e.Critical
	}
	if !critical || len(signer.ExtKeyUsage) != 1 || signer.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(signer.UnknownExtKeyUsage) != 0 {
		return nil, nil, errors.New("its certificate must have the critical extended key usage timeStamping and no other")
	}
	others := x509.NewCertPool()
	for _, c := range p7.Certificates {
		if c != signer {
			others.AddCert(c)
		}
	}
	return signer, others, nil
}

// namesSigner checks the signed attribute signingCertificate (RFC 5035): without
// it, another certificate for the same key could be put in.
func namesSigner(p7 *pkcs7.PKCS7, signer *x509.Certificate) error {
	var v2 struct {
		Certs []struct {
			Algorithm struct {
				OID        asn1.ObjectIdentifier
				Parameters asn1.RawValue `asn1:"optional"`
			} `asn1:"optional"`
			Hash   []byte
			Issuer asn1.RawValue `asn1:"optional"`
		}
		Policies asn1.RawValue `asn1:"optional"`
	}
	if err := p7.UnmarshalSignedAttribute(oidSigningCertV2, &v2); err == nil && len(v2.Certs) > 0 {
		hash, err := hashOf(v2.Certs[0].Algorithm.OID)
		if err != nil {
			return err
		}
		return sameCertificate(hash, v2.Certs[0].Hash, signer)
	}
	var v1 struct {
		Certs []struct {
			Hash   []byte
			Issuer asn1.RawValue `asn1:"optional"`
		}
		Policies asn1.RawValue `asn1:"optional"`
	}
	if err := p7.UnmarshalSignedAttribute(oidSigningCert, &v1); err == nil && len(v1.Certs) > 0 {
		return sameCertificate(crypto.SHA1, v1.Certs[0].Hash, signer)
	}
	return errors.New("it does not name its certificate in a signed attribute")
}

func sameCertificate(hash crypto.Hash, want []byte, cert *x509.Certificate) error {
	h := hash.New()
	h.Write(cert.Raw)
	if !bytes.Equal(h.Sum(nil), want) {
		return errors.New("its signed attribute names another certificate")
	}
	return nil
}

// hashOf maps an algorithm of ESSCertIDv2; absent means SHA-256.
func hashOf(oid asn1.ObjectIdentifier) (crypto.Hash, error) {
	switch oid.String() {
	case "", "2.16.840.1.101.3.4.2.1":
		return crypto.SHA256, nil
	case "2.16.840.1.101.3.4.2.2":
		return crypto.SHA384, nil
	case "2.16.840.1.101.3.4.2.3":
		return crypto.SHA512, nil
	}
	return 0, fmt.Errorf("its certificate is named by an unknown hash %s", oid)
}
