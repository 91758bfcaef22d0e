package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"affidavit/attest/keys"
	"affidavit/attest/tlog"
)

const (
	bundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// MaxBundle bounds the bytes of a bundle.
	MaxBundle = 3 << 20
)

// Proof is an entry's place in the log.
type Proof struct {
	Index int64 // of the leaf
	Size  int64 // of the tree that Root, Hashes and Checkpoint are about
	Root  tlog.Hash
	// Hashes is the audit path, from the leaf's sibling up.
	Hashes     []tlog.Hash
	Checkpoint string // the signed note
	LogKeyHash []byte // keys.LogKey.KeyHash
}

// Bundle is a parsed Sigstore bundle v0.3: nothing in it has been verified.
type Bundle struct {
	Signed
	Proof     Proof
	Timestamp []byte // DER TimeStampResp over Signature
	Body      []byte // canonicalizedBody: the log entry as the bundle tells it
	// LogIndex is the outer index; Proof.Index the one inside the proof.
	LogIndex int64
	// Hint names the key of a bundle without certificate.
	Hint string
}

type bundleJSON struct {
	MediaType string `json:"mediaType"`
	Material  struct {
		PublicKey   *hintJSON   `json:"publicKey,omitempty"`
		Certificate *rawJSON    `json:"certificate,omitempty"`
		Entries     []entryJSON `json:"tlogEntries"`
		Timestamps  struct {
			RFC3161 []timestampJSON `json:"rfc3161Timestamps"`
		} `json:"timestampVerificationData"`
	} `json:"verificationMaterial"`
	Envelope envelopeJSON `json:"dsseEnvelope"`
}

type hintJSON struct {
	Hint string `json:"hint"`
}

type timestampJSON struct {
	Signed []byte `json:"signedTimestamp"`
}

type entryJSON struct {
	LogIndex int64 `json:"logIndex,string"`
	LogID    struct {
		KeyID []byte `json:"keyId"`
	} `json:"logId"`
	KindVersion struct {
		Kind    string `json:"kind"`
		Version string `json:"version"`
	} `json:"kindVersion"`
	Proof struct {
		LogIndex   int64    `json:"logIndex,string"`
		RootHash   []byte   `json:"rootHash"`
		TreeSize   int64    `json:"treeSize,string"`
		Hashes     [][]byte `json:"hashes"`
		Checkpoint struct {
			Envelope string `json:"envelope"`
		} `json:"checkpoint"`
	} `json:"inclusionProof"`
	Body []byte `json:"canonicalizedBody"`
}

// keyHint is the hex SHA-256 of a public key's PEM, as cosign writes it.
func keyHint(spki []byte) string {
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	return hex.EncodeToString(sum[:])
}

// MarshalBundle writes the Sigstore bundle of an entry. The same inputs give
// the same bytes.
func MarshalBundle(s *Signed, p Proof, timestampResp []byte) ([]byte, error) {
	body, err := s.LeafBody()
	if err != nil {
		return nil, err
	}
	var out bundleJSON
	out.MediaType = bundleMediaType
	if s.Certificate != nil {
		out.Material.Certificate = &rawJSON{RawBytes: s.Certificate}
	} else {
		out.Material.PublicKey = &hintJSON{Hint: keyHint(s.PublicKey)}
	}
	e := entryJSON{LogIndex: p.Index, Body: body}
	e.LogID.KeyID = p.LogKeyHash
	e.KindVersion.Kind, e.KindVersion.Version = "hashedrekord", "0.0.2"
	e.Proof.LogIndex, e.Proof.TreeSize = p.Index, p.Size
	e.Proof.RootHash = p.Root[:]
	e.Proof.Hashes = make([][]byte, len(p.Hashes))
	for i := range p.Hashes {
		e.Proof.Hashes[i] = p.Hashes[i][:]
	}
	e.Proof.Checkpoint.Envelope = p.Checkpoint
	out.Material.Entries = []entryJSON{e}
	out.Material.Timestamps.RFC3161 = []timestampJSON{{Signed: timestampResp}}
	out.Envelope = s.envelope()
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return b, nil
}

// ParseBundle reads a bundle of MarshalBundle's form strictly. Errors are
// *Refusal. The public key of a bundle without certificate is taken from the
// log entry, which Verifier.Verify ties to the signature and the hint.
func ParseBundle(b []byte) (*Bundle, error) {
	var in bundleJSON
	if err := StrictUnmarshal(b, &in, MaxBundle); err != nil {
		return nil, refuse(CodePayload, "bundle", "%v", err)
	}
	if in.MediaType != bundleMediaType {
		return nil, refuse(CodePayload, "mediaType", "it is %.80q, expected %q", in.MediaType, bundleMediaType)
	}
	s, err := in.Envelope.signed()
	if err != nil {
		return nil, err
	}
	if n := len(in.Material.Entries); n != 1 {
		return nil, refuse(CodeProof, "tlogEntries", "there are %d, expected exactly one", n)
	}
	if n := len(in.Material.Timestamps.RFC3161); n != 1 {
		return nil, refuse(CodeTimestamp, "rfc3161Timestamps", "there are %d, expected exactly one", n)
	}
	e := in.Material.Entries[0]
	if e.KindVersion.Kind != "hashedrekord" || e.KindVersion.Version != "0.0.2" {
		return nil, refuse(CodeBody, "kindVersion", "it is %.40q %.40q, expected hashedrekord 0.0.2", e.KindVersion.Kind, e.KindVersion.Version)
	}
	out := &Bundle{Signed: *s, LogIndex: e.LogIndex, Body: e.Body, Timestamp: in.Material.Timestamps.RFC3161[0].Signed}
	out.Proof = Proof{Index: e.Proof.LogIndex, Size: e.Proof.TreeSize, Checkpoint: e.Proof.Checkpoint.Envelope, LogKeyHash: e.LogID.KeyID}
	if len(e.Proof.RootHash) != len(tlog.Hash{}) || len(e.Proof.Hashes) > 64 {
		return nil, refuse(CodeProof, "inclusionProof", "rootHash must have 32 bytes, and hashes at most 64 elements")
	}
	out.Proof.Root = tlog.Hash(e.Proof.RootHash)
	for i, h := range e.Proof.Hashes {
		if len(h) != len(tlog.Hash{}) {
			return nil, refuse(CodeProof, "inclusionProof.hashes", "hash %d has %d bytes, expected 32", i, len(h))
		}
		out.Proof.Hashes = append(out.Proof.Hashes, tlog.Hash(h))
	}
	if err := out.setKey(in); err != nil {
		return nil, err
	}
	return out, nil
}

func (b *Bundle) setKey(in bundleJSON) error {
	switch pub, cert := in.Material.PublicKey, in.Material.Certificate; {
	case (pub == nil) == (cert == nil):
		return refuse(CodeSignature, "verificationMaterial", "it must hold exactly one of publicKey and certificate")
	case cert != nil:
		_, id, err := keys.ParseIdentity(cert.RawBytes)
		if err != nil {
			return refuse(CodeCertificate, "certificate", "%v", err)
		}
		b.Certificate, b.PublicKey = cert.RawBytes, id.PublicKey
	default:
		key, ok := leafField(b.Body, leafPublicKey)
		if !ok {
			return refuse(CodeBody, "canonicalizedBody", "it names no public key, though the bundle has no certificate")
		}
		b.PublicKey, b.Hint = key, pub.Hint
	}
	return nil
}
