package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	organisation = "Affidavit"
	authorityFor = 20 * 365 * 24 * time.Hour
	// backdate lets a reader whose clock is a little behind accept new certificates.
	backdate = time.Minute
)

// authority is a certificate with its key, able to sign others.
type authority struct {
	cert *x509.Certificate
	priv crypto.Signer
}

func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("certificate serial: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and of fixed length
	return new(big.Int).SetBytes(b), nil
}

// newRoot makes a self-signed P-256 root.
func newRoot(name string, now time.Time, maxPath int) (*authority, error) {
	priv, err := newKey()
	if err != nil {
		return nil, err
	}
	t, err := caTemplate(name, now, maxPath)
	if err != nil {
		return nil, err
	}
	return (&authority{cert: t, priv: priv}).sign(t, priv.Public(), priv)
}

func caTemplate(name string, now time.Time, maxPath int) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{organisation}, CommonName: name},
		NotBefore:             now.Add(-backdate).UTC().Truncate(time.Second),
		NotAfter:              now.Add(authorityFor).UTC().Truncate(time.Second),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            maxPath,
		MaxPathLenZero:        maxPath == 0,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil
}

// sign issues template for pub and returns it together with priv, pub's key.
func (a *authority) sign(template *x509.Certificate, pub crypto.PublicKey, priv crypto.Signer) (*authority, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, pub, a.priv)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	return &authority{cert: cert, priv: priv}, nil
}

// Chain is a certificate chain, leaf (or lowest CA) first, root last. It is
// immutable and safe for concurrent use.
type Chain struct {
	certs []*x509.Certificate
}

// ParseChain parses at least two DER certificates, lowest first, and checks
// that each is signed by the next, the last by itself.
func ParseChain(ders [][]byte) (*Chain, error) {
	if len(ders) < 2 || len(ders) > 8 {
		return nil, fmt.Errorf("certificate chain: %d certificates, expected 2 to 8, lowest first and root last", len(ders))
	}
	c := &Chain{}
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate chain: certificate %d: %w", i, err)
		}
		c.certs = append(c.certs, cert)
	}
	for i, cert := range c.certs {
		parent := c.certs[min(i+1, len(c.certs)-1)]
		if !bytes.Equal(cert.RawIssuer, parent.RawSubject) {
			return nil, fmt.Errorf("certificate chain: certificate %d was not issued by the next one", i)
		}
		if err := cert.CheckSignatureFrom(parent); err != nil {
			return nil, fmt.Errorf("certificate chain: certificate %d: %w", i, err)
		}
	}
	return c, nil
}

// Lowest is the first certificate.
func (c *Chain) Lowest() *x509.Certificate { return c.certs[0] }

// DER returns the certificates' bytes, in order.
func (c *Chain) DER() [][]byte {
	out := make([][]byte, len(c.certs))
	for i, cert := range c.certs {
		out[i] = bytes.Clone(cert.Raw)
	}
	return out
}

// holds reports whether every certificate of the chain is valid at t.
func (c *Chain) holds(t time.Time) bool {
	for _, cert := range c.certs {
		if t.Before(cert.NotBefore) || t.After(cert.NotAfter) {
			return false
		}
	}
	return true
}

// begin is the first moment at which every certificate of the chain may be valid.
func (c *Chain) begin() time.Time {
	var t time.Time
	for _, cert := range c.certs {
		if cert.NotBefore.After(t) {
			t = cert.NotBefore
		}
	}
	return t
}

// pools returns the root, and everything between the lowest and the root
// (with the lowest itself when it is a CA), for crypto/x509.
func (c *Chain) pools() (roots, intermediates *x509.CertPool) {
	roots, intermediates = x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(c.certs[len(c.certs)-1])
	for _, cert := range c.certs[:len(c.certs)-1] {
		if cert.IsCA {
			intermediates.AddCert(cert)
		}
	}
	return roots, intermediates
}

// verify checks that leaf chains up to the root at time at, for one use.
func (c *Chain) verify(leaf *x509.Certificate, at time.Time, use x509.ExtKeyUsage) error {
	roots, intermediates := c.pools()
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{use},
	})
	return err
}

func p256(cert *x509.Certificate) (*ecdsa.PublicKey, error) {
	pub, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("certificate: its key is not ECDSA")
	}
	return pub, nil
}
