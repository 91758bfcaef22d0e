package keys

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
)

// maxTimestamp bounds the bytes of a TimeStampResp.
const maxTimestamp = 32 << 10

// VerifyTimestamp checks a DER TimeStampResp over SHA-256(message) against one
// authority's chain (DER, leaf first) and returns its genTime.
func VerifyTimestamp(respDER, message []byte, chain [][]byte) (time.Time, error) {
	c, err := ParseTSAChain(chain)
	if err != nil {
		return time.Time{}, err
	}
	return c.VerifyTimestamp(respDER, message)
}

// VerifyTimestamp is the function of that name for a chain that ParseTSAChain
// has checked already. The response must embed the chain's own leaf, and its
// time must lie within the validity of all certificates.
func (c *Chain) VerifyTimestamp(respDER, message []byte) (time.Time, error) {
	if len(respDER) > maxTimestamp {
		return time.Time{}, fmt.Errorf("timestamp: longer than %d bytes", maxTimestamp)
	}
	// ParseResponse checks the signature against the embedded certificate
	// only; that this is the trusted leaf is checked next.
	ts, err := timestamp.ParseResponse(respDER)
	if err != nil {
		return time.Time{}, fmt.Errorf("timestamp: %w", err)
	}
	if !signedBy(ts, c.Lowest()) {
		return time.Time{}, errors.New("timestamp: it was not made with the certificate of this authority")
	}
	sum := sha256.Sum256(message)
	if ts.HashAlgorithm != crypto.SHA256 || !bytes.Equal(ts.HashedMessage, sum[:]) {
		return time.Time{}, errors.New("timestamp: it is over other bytes")
	}
	if !c.holds(ts.Time) {
		return time.Time{}, fmt.Errorf("timestamp: %s is outside the authority's certificates", ts.Time.UTC().Format(time.RFC3339))
	}
	return ts.Time.UTC(), nil
}

// signedBy reports whether leaf is the one signer of a parsed token. Ours embed
// the leaf; other authorities embed their whole chain, or nothing.
func signedBy(ts *timestamp.Timestamp, leaf *x509.Certificate) bool {
	if len(ts.Certificates) == 1 {
		return bytes.Equal(ts.Certificates[0].Raw, leaf.Raw)
	}
	p7, err := pkcs7.Parse(ts.RawToken)
	if err != nil {
		return false
	}
	if len(p7.Certificates) == 0 {
		// The parser had no certificate to check the signature with.
		p7.Certificates = []*x509.Certificate{leaf}
		if err := p7.Verify(); err != nil {
			return false
		}
	}
	signer := p7.GetOnlySigner()
	return signer != nil && bytes.Equal(signer.Raw, leaf.Raw)
}
