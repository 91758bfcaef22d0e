package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// Signer signs for one actor with an ECDSA P-256 key. It is safe for
// concurrent use.
type Signer interface {
	// Sign returns the ASN.1 DER ECDSA signature over SHA-256(message).
	Sign(ctx context.Context, message []byte) (sig []byte, err error)
	// PublicKey is the SPKI in DER.
	PublicKey() []byte
	// Certificate is the DER certificate of the key, or nil.
	Certificate() []byte
}

// signer is a Signer over any signer of sigstore's.
type signer struct {
	sig  signature.Signer
	spki []byte
	cert []byte
}

func (s *signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	sig, err := s.sig.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return sig, nil
}

func (s *signer) PublicKey() []byte   { return bytes.Clone(s.spki) }
func (s *signer) Certificate() []byte { return bytes.Clone(s.cert) }

// FromPrivate wraps a P-256 key held in memory.
func FromPrivate(priv *ecdsa.PrivateKey) (Signer, error) {
	if priv == nil || priv.Curve != elliptic.P256() {
		return nil, errors.New("signing key: only ECDSA P-256 keys sign attestations; generate one with `affidavit key generate`")
	}
	sig, err := signature.LoadSignerWithOpts(priv, options.WithHash(crypto.SHA256))
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return fromSigstore(sig)
}

func fromSigstore(sig signature.Signer) (Signer, error) {
	pub, err := sig.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("signing key: read the public key: %w", err)
	}
	if ec, ok := pub.(*ecdsa.PublicKey); !ok || ec.Curve != elliptic.P256() {
		return nil, fmt.Errorf("signing key: it is %T; only ECDSA P-256 keys sign attestations", pub)
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return &signer{sig: sig, spki: spki}, nil
}

// Ephemeral makes a key that lives in memory only.
func Ephemeral() (Signer, error) {
	priv, err := newKey()
	if err != nil {
		return nil, err
	}
	return FromPrivate(priv)
}

// WithCertificate returns s with a DER certificate for its key, as CA.Issue
// returns it.
func WithCertificate(s Signer, leaf []byte) (Signer, error) {
	cert, err := x509.ParseCertificate(leaf)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if !bytes.Equal(cert.RawSubjectPublicKeyInfo, s.PublicKey()) {
		return nil, errors.New("certificate: it is for another key than the signer's")
	}
	return &certified{Signer: s, cert: bytes.Clone(leaf)}, nil
}

type certified struct {
	Signer
	cert []byte
}

func (c *certified) Certificate() []byte { return bytes.Clone(c.cert) }

func newKey() (*ecdsa.PrivateKey, error) {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a P-256 key: %w", err)
	}
	return priv, nil
}

// ParsePublicKey parses the SPKI of an ECDSA P-256 key, DER. Key ids hash these
// bytes, so any encoding but the one of crypto/x509 is refused.
func ParsePublicKey(spki []byte) (*ecdsa.PublicKey, error) {
	if len(spki) > 256 {
		return nil, errors.New("public key: longer than any P-256 key")
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("public key: not an SPKI in DER: %w", err)
	}
	ec, ok := pub.(*ecdsa.PublicKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, fmt.Errorf("public key: it is %T; only ECDSA P-256 keys are accepted", pub)
	}
	if again, err := x509.MarshalPKIXPublicKey(ec); err != nil || !bytes.Equal(again, spki) {
		return nil, errors.New("public key: not in its one canonical encoding")
	}
	return ec, nil
}
