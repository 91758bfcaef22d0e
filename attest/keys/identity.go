package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// maxCertificate bounds the bytes of an identity certificate.
const maxCertificate = 16 << 10

// Identity is what a certificate of CA.Issue says.
type Identity struct {
	Email  string
	Issuer string
	// The key that it was said of.
	PublicKey []byte // SPKI in DER
	NotBefore time.Time
	NotAfter  time.Time
}

// ParseIdentity parses an identity certificate without judging who issued it.
func ParseIdentity(der []byte) (*x509.Certificate, Identity, error) {
	if len(der) > maxCertificate {
		return nil, Identity{}, fmt.Errorf("certificate: longer than %d bytes", maxCertificate)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, Identity{}, fmt.Errorf("certificate: %w", err)
	}
	if ec, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || ec.Curve != elliptic.P256() {
		return nil, Identity{}, errors.New("certificate: its key is not ECDSA P-256")
	}
	id := Identity{PublicKey: cert.RawSubjectPublicKeyInfo, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter}
	if len(cert.EmailAddresses) != 1 {
		return nil, Identity{}, errors.New("certificate: it must name exactly one e-mail address")
	}
	id.Email = cert.EmailAddresses[0]
	var raw, v2 string
	for _, e := range cert.Extensions {
		switch {
		case e.Id.Equal(oidIssuerRaw):
			raw = string(e.Value)
		case e.Id.Equal(oidIssuerV2):
			if rest, err := asn1.UnmarshalWithParams(e.Value, &v2, "utf8"); err != nil || len(rest) != 0 {
				return nil, Identity{}, errors.New("certificate: malformed issuer extension")
			}
		}
	}
	if v2 == "" || (raw != "" && raw != v2) {
		return nil, Identity{}, errors.New("certificate: it does not name one OIDC issuer")
	}
	id.Issuer = v2
	return cert, id, nil
}

// VerifyIdentity checks that cert was issued by this chain for code signing,
// was valid at the given time, and embeds a timestamp of the CT log.
func (c *Chain) VerifyIdentity(cert *x509.Certificate, at time.Time, ctKey *ecdsa.PublicKey) error {
	if at.Before(cert.NotBefore) || at.After(cert.NotAfter) {
		return fmt.Errorf("certificate: valid from %s to %s, but used at %s",
			cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	if err := c.verify(cert, at, x509.ExtKeyUsageCodeSigning); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	_, err := VerifySCT(cert, c.Lowest(), ctKey)
	return err
}
