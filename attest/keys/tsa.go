package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"time"
)

var (
	oidExtKeyUsage  = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidTimestamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	// tsaPolicy is Sigstore's policy for timestamps; RFC 3161 demands one.
	tsaPolicy = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}
)

// TSA is a timestamp authority (RFC 3161) with a P-256 key. It takes the time
// as an argument: the sequencer decides it. It is safe for concurrent use.
type TSA struct {
	chain *Chain
	priv  crypto.Signer
	fixed tokenParts
}

// NewTSA makes a root, which is not kept, and a leaf with the critical
// extended key usage timeStamping. name appears in the subjects.
func NewTSA(name string, now time.Time) (*TSA, error) {
	root, err := newRoot(name+" timestamp root", now, 0)
	if err != nil {
		return nil, err
	}
	priv, err := newKey()
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{oidTimestamping})
	if err != nil {
		return nil, fmt.Errorf("timestamp certificate: %w", err)
	}
	leaf, err := root.sign(&x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{organisation}, CommonName: name + " timestamps"},
		NotBefore:             root.cert.NotBefore,
		NotAfter:              root.cert.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		// crypto/x509 would write the usage as not critical.
		ExtraExtensions: []pkix.Extension{{Id: oidExtKeyUsage, Critical: true, Value: eku}},
	}, priv.Public(), priv)
	if err != nil {
		return nil, err
	}
	return openTSA([][]byte{leaf.cert.Raw, root.cert.Raw}, priv)
}

func openTSA(ders [][]byte, priv crypto.Signer) (*TSA, error) {
	chain, err := ParseTSAChain(ders)
	if err != nil {
		return nil, err
	}
	pub, err := p256(chain.Lowest())
	if err != nil {
		return nil, err
	}
	if !pub.Equal(priv.Public()) {
		return nil, fmt.Errorf("timestamp authority: the certificate is for another key")
	}
	fixed, err := newTokenParts(chain.Lowest())
	if err != nil {
		return nil, err
	}
	return &TSA{chain: chain, priv: priv, fixed: fixed}, nil
}

// ParseTSAChain parses a chain whose lowest certificate may only stamp time.
func ParseTSAChain(ders [][]byte) (*Chain, error) {
	chain, err := ParseChain(ders)
	if err != nil {
		return nil, fmt.Errorf("timestamp authority: %w", err)
	}
	leaf := chain.Lowest()
	critical := false
	for _, e := range leaf.Extensions {
		critical = critical || e.Id.Equal(oidExtKeyUsage) && e.Critical
	}
	if !critical || len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(leaf.UnknownExtKeyUsage) != 0 {
		return nil, fmt.Errorf("timestamp authority: the first certificate must have the critical extended key usage timeStamping and no other")
	}
	if _, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok {
		return nil, fmt.Errorf("timestamp authority: the first certificate's key is not ECDSA")
	}
	if err := chain.verify(leaf, chain.begin(), x509.ExtKeyUsageTimeStamping); err != nil {
		return nil, fmt.Errorf("timestamp authority: %w", err)
	}
	return chain, nil
}

// Chain is the DER chain, leaf first.
func (t *TSA) Chain() [][]byte { return t.chain.DER() }

// Stamp returns a DER TimeStampResp over SHA-256(message) with genTime at, to
// the microsecond.
func (t *TSA) Stamp(message []byte, at time.Time) ([]byte, error) {
	token, err := t.StampToken(message, at)
	if err != nil {
		return nil, err
	}
	resp, err := asn1.Marshal(timeStampResp{Status: pkiStatusInfo{Status: 0}, Token: asn1.RawValue{FullBytes: token}})
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	return resp, nil
}

// StampToken returns only the token, a DER ContentInfo, as PDF signatures
// embed it.
func (t *TSA) StampToken(message []byte, at time.Time) ([]byte, error) {
	if leaf := t.chain.Lowest(); !t.chain.holds(at) {
		return nil, fmt.Errorf("timestamp: %s is outside the authority's certificates (%s to %s)",
			at.UTC().Format(time.RFC3339), leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	return t.StampDigest(sha256.Sum256(message), at)
}
