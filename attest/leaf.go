package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"affidavit/attest/keys"
)

// leafField returns the base64 value between a marker and the next quote. The
// result is a claim of the leaf: callers rebuild the leaf from it and compare.
func leafField(leaf []byte, marker string) ([]byte, bool) {
	_, rest, found := bytes.Cut(leaf, []byte(marker))
	text, _, closed := bytes.Cut(rest, []byte(`"`))
	if !found || !closed {
		return nil, false
	}
	v, err := base64.StdEncoding.Strict().DecodeString(string(text))
	return v, err == nil && len(v) > 0
}

const (
	leafDigest      = `"data":{"algorithm":"SHA2_256","digest":"`
	leafSignature   = `"signature":{"content":"`
	leafPublicKey   = `"publicKey":{"rawBytes":"`
	leafCertificate = `"x509Certificate":{"rawBytes":"`
)

// SignedFromLeaf puts an envelope together again from its log entry, as
// LeafBody wrote it, and its payload. It fails unless LeafBody of the result
// is the same entry; the signature itself is not verified.
func SignedFromLeaf(leaf, payload []byte) (*Signed, error) {
	if len(leaf) >= MaxLeaf {
		return nil, refuse(CodeBody, "leaf", "it has %d bytes, it must stay below %d", len(leaf), MaxLeaf)
	}
	s := &Signed{Payload: payload}
	var ok bool
	if s.Signature, ok = leafField(leaf, leafSignature); !ok {
		return nil, refuse(CodeBody, "leaf", "it holds no signature")
	}
	if der, ok := leafField(leaf, leafCertificate); ok {
		_, id, err := keys.ParseIdentity(der)
		if err != nil {
			return nil, refuse(CodeCertificate, "leaf", "%v", err)
		}
		s.Certificate, s.PublicKey = der, id.PublicKey
	} else if s.PublicKey, ok = leafField(leaf, leafPublicKey); !ok {
		return nil, refuse(CodeBody, "leaf", "it holds neither a public key nor a certificate")
	}
	body, err := s.LeafBody()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(body, leaf) {
		return nil, refuse(CodeBody, "leaf", "it is not the log entry of this payload")
	}
	return s, nil
}

// PAEDigestOfLeaf returns the PAE digest, hex, that a log entry commits to.
func PAEDigestOfLeaf(leaf []byte) (string, error) {
	digest, ok := leafField(leaf, leafDigest)
	if !ok || len(digest) != 32 {
		return "", refuse(CodeBody, "leaf", "it holds no SHA-256 digest")
	}
	return hex.EncodeToString(digest), nil
}

// DecodeStatement decodes a payload that ParseStatement accepted before, such
// as one read back from the log. It checks nothing.
func DecodeStatement(payload []byte) (*Statement, Step, error) {
	var in statementJSON
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, Step{}, fmt.Errorf("statement: %w", err)
	}
	if len(in.Subject) == 0 {
		return nil, Step{}, errors.New("statement: it has no subject")
	}
	var step Step
	if err := json.Unmarshal(in.Subject[0].Annotations[StepAnnotation], &step); err != nil {
		return nil, Step{}, fmt.Errorf("statement: step: %w", err)
	}
	st, err := in.statement()
	if err != nil {
		return nil, Step{}, fmt.Errorf("statement: %w", err)
	}
	return st, step, nil
}

// LogKeyHash is the untruncated C2SP hash of an ed25519 log key (SPKI in DER);
// nil when spki is no ed25519 key.
func LogKeyHash(origin string, spki []byte) []byte {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil
	}
	pub, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil
	}
	return keys.LogKeyHash(origin, pub)
}

// Identity is whom a certificate names, and who said so.
type Identity struct {
	Email  string
	Issuer string
}

// VerifyCertificate checks an identity certificate (DER): issued by a CA of
// root for code signing, with a timestamp of its CT log embedded, and valid at
// the given time. A Verifier's method of that name is faster.
func VerifyCertificate(root *keys.TrustedRoot, der []byte, at time.Time) (Identity, error) {
	v, err := NewVerifier(root)
	if err != nil {
		return Identity{}, err
	}
	return v.VerifyCertificate(der, at)
}

// VerifyCertificate is the function of that name for a verifier's own root.
func (v *Verifier) VerifyCertificate(der []byte, at time.Time) (Identity, error) {
	c, err := v.certificate(der)
	if err != nil {
		return Identity{}, refuse(CodeCertificate, "certificate", "%v", err)
	}
	if at.Before(c.id.NotBefore) || at.After(c.id.NotAfter) {
		return Identity{}, refuse(CodeCertificate, "certificate", "valid from %s to %s, but used at %s",
			c.id.NotBefore.UTC().Format(time.RFC3339), c.id.NotAfter.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	return Identity{Email: c.id.Email, Issuer: c.id.Issuer}, nil
}

// CertificateOfLeaf returns the identity certificate (DER) that a log entry
// carries, nil if a bare key signed it.
func CertificateOfLeaf(leaf []byte) ([]byte, error) {
	if len(leaf) >= MaxLeaf {
		return nil, refuse(CodeBody, "leaf", "it has %d bytes, it must stay below %d", len(leaf), MaxLeaf)
	}
	der, _ := leafField(leaf, leafCertificate)
	return der, nil
}

// VerifyLeaf checks the signature of a log entry over the PAE digest that it
// commits to, without the payload (which may have been erased), and returns
// that digest (hex) and the signer's key id.
func VerifyLeaf(leaf []byte) (pae, keyID string, err error) {
	if len(leaf) >= MaxLeaf {
		return "", "", refuse(CodeBody, "leaf", "it has %d bytes, it must stay below %d", len(leaf), MaxLeaf)
	}
	digest, okDigest := leafField(leaf, leafDigest)
	signature, okSig := leafField(leaf, leafSignature)
	spki, okKey := leafField(leaf, leafPublicKey)
	if der, ok := leafField(leaf, leafCertificate); ok {
		_, id, err := keys.ParseIdentity(der)
		if err != nil {
			return "", "", refuse(CodeCertificate, "leaf", "%v", err)
		}
		spki, okKey = id.PublicKey, true
	}
	if !okDigest || !okSig || !okKey || len(digest) != 32 {
		return "", "", refuse(CodeBody, "leaf", "it is no log entry of ours")
	}
	pub, err := keys.ParsePublicKey(spki)
	if err != nil {
		return "", "", refuse(CodeSignature, "leaf", "%v", err)
	}
	if !ecdsa.VerifyASN1(pub, digest, signature) {
		return "", "", refuse(CodeSignature, "leaf", "its signature is not over its digest")
	}
	return hex.EncodeToString(digest), KeyID(spki), nil
}

// SignatureOfLeaf returns the signature that a log entry carries; what the
// log's timestamp is over.
func SignatureOfLeaf(leaf []byte) ([]byte, error) {
	if sig, ok := leafField(leaf, leafSignature); ok && len(leaf) < MaxLeaf {
		return sig, nil
	}
	return nil, refuse(CodeBody, "leaf", "it holds no signature")
}
