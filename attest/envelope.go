package attest

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"affidavit/attest/keys"
)

const (
	// MaxLeaf is the size that a log entry's bytes stay below (entry tiles
	// write lengths in 16 bits).
	MaxLeaf = 1 << 16
	// MaxSubmission bounds an envelope or submission, base64 included.
	MaxSubmission = 2 << 20
	maxSignature  = 256
)

// PAE is DSSE's pre-authentication encoding: the bytes that are signed.
func PAE(payloadType string, payload []byte) []byte {
	out := make([]byte, 0, len(payload)+len(payloadType)+32)
	out = append(out, "DSSEv1 "...)
	out = strconv.AppendInt(out, int64(len(payloadType)), 10)
	out = append(out, ' ')
	out = append(out, payloadType...)
	out = append(out, ' ')
	out = strconv.AppendInt(out, int64(len(payload)), 10)
	out = append(out, ' ')
	return append(out, payload...)
}

// Signed is a DSSE envelope of one signature, with the key that made it.
type Signed struct {
	Payload   []byte
	Signature []byte // ASN.1 DER ECDSA over SHA-256(PAE)
	// PublicKey is the SPKI in DER. Certificate is DER, or nil; when it is set
	// PublicKey is its key.
	PublicKey   []byte
	Certificate []byte
}

// Sign signs the canonical bytes of st and checks the result.
func Sign(ctx context.Context, st *Statement, s keys.Signer) (*Signed, error) {
	payload, err := st.Payload()
	if err != nil {
		return nil, err
	}
	sig, err := s.Sign(ctx, PAE(PayloadType, payload))
	if err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	out := &Signed{Payload: payload, Signature: sig, PublicKey: s.PublicKey(), Certificate: s.Certificate()}
	// A remote signer may hold another key than it says.
	if err := out.Verify(); err != nil {
		return nil, err
	}
	return out, nil
}

// PAEDigest is SHA-256 of the PAE: with KeyID, the identity of an entry.
func (s *Signed) PAEDigest() [32]byte { return sha256.Sum256(PAE(PayloadType, s.Payload)) }

// PAEHex is PAEDigest in hex.
func (s *Signed) PAEHex() string {
	sum := s.PAEDigest()
	return hex.EncodeToString(sum[:])
}

// KeyID is the hex SHA-256 of the public key.
func (s *Signed) KeyID() string { return KeyID(s.PublicKey) }

// Verify checks the signature with PublicKey, and that a certificate is for
// that key. Who holds the key is not judged.
func (s *Signed) Verify() error {
	pub, err := keys.ParsePublicKey(s.PublicKey)
	if err != nil {
		return refuse(CodeSignature, "publicKey", "%v", err)
	}
	if s.Certificate != nil {
		_, id, err := keys.ParseIdentity(s.Certificate)
		if err != nil {
			return refuse(CodeCertificate, "certificate", "%v", err)
		}
		if string(id.PublicKey) != string(s.PublicKey) {
			return refuse(CodeCertificate, "certificate", "it is for another key")
		}
	}
	return s.verifyWith(pub, s.PAEDigest())
}

func (s *Signed) verifyWith(pub *ecdsa.PublicKey, digest [32]byte) error {
	if len(s.Payload) == 0 || len(s.Payload) > MaxPayload {
		return refuse(CodePayload, "payload", "it has %d bytes, expected 1 to %d", len(s.Payload), MaxPayload)
	}
	if len(s.Signature) > maxSignature || !ecdsa.VerifyASN1(pub, digest[:], s.Signature) {
		return refuse(CodeSignature, "signature", "it does not verify with the key %s", KeyID(s.PublicKey)[:16])
	}
	return nil
}

// LeafBody is the log entry: one canonical line of kind hashedrekord 0.0.2
// over the PAE digest, signature and key or certificate. It depends on nothing
// else, so verifiers rebuild it.
func (s *Signed) LeafBody() ([]byte, error) { return s.leafBody(s.PAEDigest()) }

func (s *Signed) leafBody(digest [32]byte) ([]byte, error) {
	b64 := base64.StdEncoding
	verifier := `"publicKey":{"rawBytes":"` + b64.EncodeToString(s.PublicKey) + `"}}`
	if s.Certificate != nil {
		verifier = `"x509Certificate":{"rawBytes":"` + b64.EncodeToString(s.Certificate) + `"}}`
	}
	body := `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"` +
		b64.EncodeToString(digest[:]) + `"},"signature":{"content":"` + b64.EncodeToString(s.Signature) +
		`","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256",` + verifier + `}}}}`
	if len(body) >= MaxLeaf {
		return nil, refuse(CodeBody, "canonicalizedBody", "the log entry has %d bytes, it must stay below %d", len(body), MaxLeaf)
	}
	return []byte(body), nil
}

type rawJSON struct {
	RawBytes []byte `json:"rawBytes"`
}

// envelopeJSON is the DSSE envelope; payload and sig are standard base64.
type envelopeJSON struct {
	Payload     []byte          `json:"payload"`
	PayloadType string          `json:"payloadType"`
	Signatures  []signatureJSON `json:"signatures"`
}

type signatureJSON struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid,omitempty"`
}

func (e envelopeJSON) signed() (*Signed, error) {
	if e.PayloadType != PayloadType {
		return nil, refuse(CodePayload, "payloadType", "it is %.80q, expected %q", e.PayloadType, PayloadType)
	}
	if len(e.Signatures) != 1 {
		return nil, refuse(CodeSignature, "signatures", "there are %d, expected exactly one", len(e.Signatures))
	}
	if len(e.Payload) == 0 || len(e.Payload) > MaxPayload {
		return nil, refuse(CodePayload, "payload", "it has %d bytes, expected 1 to %d", len(e.Payload), MaxPayload)
	}
	if n := len(e.Signatures[0].Sig); n == 0 || n > maxSignature {
		return nil, refuse(CodeSignature, "signatures[0].sig", "it has %d bytes", n)
	}
	return &Signed{Payload: e.Payload, Signature: e.Signatures[0].Sig}, nil
}

func (s *Signed) envelope() envelopeJSON {
	return envelopeJSON{Payload: s.Payload, PayloadType: PayloadType, Signatures: []signatureJSON{{Sig: s.Signature}}}
}

// ParseEnvelope reads a DSSE envelope {payload, payloadType, signatures:
// [{sig, keyid?}]} with one signature. The envelope does not hold the key: set
// PublicKey before Verify, or use ParseSubmission.
func ParseEnvelope(b []byte) (*Signed, error) {
	var e envelopeJSON
	if err := StrictUnmarshal(b, &e, MaxSubmission); err != nil {
		return nil, refuse(CodePayload, "envelope", "%v", err)
	}
	return e.signed()
}

// submissionJSON is the body of POST /api/v1/attestations. Exactly one of
// PublicKey and Certificate is set: base64 DER, or PEM.
type submissionJSON struct {
	Envelope    envelopeJSON `json:"envelope"`
	PublicKey   string       `json:"publicKey,omitempty"`
	Certificate string       `json:"certificate,omitempty"`
}

// MarshalSubmission writes s as {"envelope": {...}, "publicKey": base64 SPKI}
// or, with a certificate, {"envelope": {...}, "certificate": base64 DER}.
func MarshalSubmission(s *Signed) []byte {
	out := submissionJSON{Envelope: s.envelope()}
	if s.Certificate != nil {
		out.Certificate = base64.StdEncoding.EncodeToString(s.Certificate)
	} else {
		out.PublicKey = base64.StdEncoding.EncodeToString(s.PublicKey)
	}
	b, err := json.Marshal(out)
	if err != nil {
		// The structure holds only bytes and strings, which always marshal.
		panic("attest: submission: " + err.Error())
	}
	return b
}

// ParseSubmission reads what MarshalSubmission writes and verifies the
// signature. The statement is not parsed: see ParseStatement.
func ParseSubmission(b []byte) (*Signed, error) {
	var in submissionJSON
	if err := StrictUnmarshal(b, &in, MaxSubmission); err != nil {
		return nil, refuse(CodePayload, "submission", "%v", err)
	}
	s, err := in.Envelope.signed()
	if err != nil {
		return nil, err
	}
	switch {
	case (in.PublicKey == "") == (in.Certificate == ""):
		return nil, refuse(CodeSignature, "publicKey", "give exactly one of publicKey and certificate")
	case in.Certificate != "":
		if s.Certificate, err = decodeDER(in.Certificate, "CERTIFICATE"); err != nil {
			return nil, refuse(CodeCertificate, "certificate", "%v", err)
		}
		_, id, err := keys.ParseIdentity(s.Certificate)
		if err != nil {
			return nil, refuse(CodeCertificate, "certificate", "%v", err)
		}
		s.PublicKey = id.PublicKey
	default:
		if s.PublicKey, err = decodeDER(in.PublicKey, "PUBLIC KEY"); err != nil {
			return nil, refuse(CodeSignature, "publicKey", "%v", err)
		}
	}
	if err := s.Verify(); err != nil {
		return nil, err
	}
	return s, nil
}

// decodeDER reads base64 DER, or one PEM block of the given type.
func decodeDER(text, pemType string) ([]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN") {
		block, rest := pem.Decode([]byte(strings.TrimSpace(text) + "\n"))
		if block == nil || block.Type != pemType || len(strings.TrimSpace(string(rest))) != 0 {
			return nil, fmt.Errorf("expected one PEM block %q", pemType)
		}
		return block.Bytes, nil
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("neither PEM nor standard base64")
	}
	return der, nil
}
