package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"affidavit/attest/keys"
	"affidavit/attest/tlog"

	"golang.org/x/mod/sumdb/note"
)

// Verifier checks bundles against a trust root. It needs no network and is
// safe for concurrent use. It remembers keys, certificates and checkpoints that
// it has checked, since the bundles of one pack share them.
type Verifier struct {
	logs        map[string]trustedLog // by key hash
	tsas        []*keys.Chain
	cas         []*keys.Chain
	ctKeys      []*ecdsa.PublicKey
	validFor    keys.Validity
	publicKeys  *cache[checkedKey]
	identities  *cache[*checkedIdentity]
	checkpoints *cache[tlog.Checkpoint]
}

type trustedLog struct {
	verifier note.Verifier
	validFor keys.Validity
}

// checkedKey is a parsed key and the hint that names it.
type checkedKey struct {
	pub  *ecdsa.PublicKey
	hint string
}

// checkedIdentity is a certificate that chains to a trusted CA and embeds a
// timestamp of a trusted CT log; only the time of use is left to check.
type checkedIdentity struct {
	pub *ecdsa.PublicKey
	id  keys.Identity
}

// Verified is what a good bundle proves.
type Verified struct {
	// Statement and Step are zero when VerifyForeign met another payload.
	Statement *Statement
	Step      Step
	Index     int64
	PAE       string // hex
	KeyID     string
	// Identity and Issuer are set when a certificate was used.
	Identity, Issuer string
	Stamped          time.Time // UTC
	Checkpoint       tlog.Checkpoint
}

// NewVerifier checks root and prepares to verify with it.
func NewVerifier(root *keys.TrustedRoot) (*Verifier, error) {
	if root == nil {
		return nil, errors.New("verifier: the trusted root is missing")
	}
	if err := root.Check(); err != nil {
		return nil, err
	}
	v := &Verifier{
		logs: map[string]trustedLog{}, validFor: root.ValidFor,
		publicKeys: newCache[checkedKey](), identities: newCache[*checkedIdentity](), checkpoints: newCache[tlog.Checkpoint](),
	}
	for _, l := range root.Logs {
		nv, err := keys.NewLogVerifier(l.Origin, l.SPKI)
		if err != nil {
			return nil, fmt.Errorf("verifier: %w", err)
		}
		v.logs[string(l.KeyID)] = trustedLog{nv, l.ValidFor}
	}
	for _, ders := range root.TSAs {
		chain, err := keys.ParseTSAChain(ders)
		if err != nil {
			return nil, fmt.Errorf("verifier: %w", err)
		}
		v.tsas = append(v.tsas, chain)
	}
	for _, ders := range root.CAs {
		chain, err := keys.ParseCAChain(ders)
		if err != nil {
			return nil, fmt.Errorf("verifier: %w", err)
		}
		v.cas = append(v.cas, chain)
	}
	var err error
	if v.ctKeys, err = root.CTPublicKeys(); err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	return v, nil
}

// Verify checks everything that a bundle claims: timestamp, key or
// certificate, signature, log entry, index, inclusion proof, checkpoint and
// statement. It does not judge whether the key was enrolled: that takes the
// log's own entries. Errors are *Refusal.
func (v *Verifier) Verify(b *Bundle) (*Verified, error) {
	out, err := v.evidence(b)
	if err != nil {
		return nil, err
	}
	// Only bytes whose signature held are parsed.
	out.Statement, out.Step, err = ParseStatement(b.Payload)
	if err != nil {
		return nil, refuse(CodeStatement, "payload", "%v", err)
	}
	return out, nil
}

// VerifyForeign is Verify for a payload that need not be a step of ours; it
// must be an in-toto statement.
func (v *Verifier) VerifyForeign(b *Bundle) (*Verified, error) {
	out, err := v.evidence(b)
	if err != nil {
		return nil, err
	}
	if out.Statement, _, err = parseInToto(b.Payload); err != nil {
		return nil, refuse(CodeStatement, "payload", "%v", err)
	}
	return out, nil
}

func (v *Verifier) evidence(b *Bundle) (*Verified, error) {
	digest := b.PAEDigest()
	out := &Verified{Index: b.Proof.Index, PAE: hex.EncodeToString(digest[:]), KeyID: b.KeyID()}
	log, ok := v.logs[string(b.Proof.LogKeyHash)]
	if !ok {
		return nil, refuse(CodeCheckpoint, "logId", "the trusted root names no log with this key")
	}
	pub, id, err := v.key(b)
	if err != nil {
		return nil, err
	}
	if err := b.verifyWith(pub, digest); err != nil {
		return nil, err
	}
	if out.Stamped, err = v.timestamp(b, log); err != nil {
		return nil, err
	}
	if id != nil {
		if out.Stamped.Before(id.NotBefore) || out.Stamped.After(id.NotAfter) {
			return nil, refuse(CodeCertificate, "certificate", "it was not valid when the signature was stamped, %s", out.Stamped.Format(time.RFC3339))
		}
		out.Identity, out.Issuer = id.Email, id.Issuer
	}
	body, err := b.leafBody(digest)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(body, b.Body) {
		return nil, refuse(CodeBody, "canonicalizedBody", "it is not the log entry of this envelope")
	}
	if out.Checkpoint, err = v.inclusion(b, log, body); err != nil {
		return nil, err
	}
	return out, nil
}

// key returns the signer's key, and the identity when there is a certificate.
func (v *Verifier) key(b *Bundle) (*ecdsa.PublicKey, *keys.Identity, error) {
	if b.Certificate == nil {
		k, err := v.publicKeys.get(sha256.Sum256(b.PublicKey), func() (checkedKey, error) {
			pub, err := keys.ParsePublicKey(b.PublicKey)
			return checkedKey{pub, keyHint(b.PublicKey)}, err
		})
		if err != nil {
			return nil, nil, refuse(CodeSignature, "publicKey", "%v", err)
		}
		if b.Hint != k.hint {
			return nil, nil, refuse(CodeBody, "publicKey.hint", "it does not name the key of the log entry")
		}
		return k.pub, nil, nil
	}
	c, err := v.certificate(b.Certificate)
	if err != nil {
		return nil, nil, refuse(CodeCertificate, "certificate", "%v", err)
	}
	if !bytes.Equal(c.id.PublicKey, b.PublicKey) {
		return nil, nil, refuse(CodeCertificate, "certificate", "it is for another key")
	}
	return c.pub, &c.id, nil
}

// certificate checks all of a certificate but the time of its use.
func (v *Verifier) certificate(der []byte) (*checkedIdentity, error) {
	return v.identities.get(sha256.Sum256(der), func() (*checkedIdentity, error) { return v.identity(der) })
}

func (v *Verifier) identity(der []byte) (*checkedIdentity, error) {
	cert, id, err := keys.ParseIdentity(der)
	if err != nil {
		return nil, err
	}
	last := errors.New("the trusted root names no certificate authority and certificate log")
	for _, ca := range v.cas {
		for _, ct := range v.ctKeys {
			if last = v.identityBy(cert, ca, ct); last == nil {
				return &checkedIdentity{pub: cert.PublicKey.(*ecdsa.PublicKey), id: id}, nil
			}
		}
	}
	return nil, last
}

func (v *Verifier) identityBy(cert *x509.Certificate, ca *keys.Chain, ct *ecdsa.PublicKey) error {
	if !v.validFor.Holds(cert.NotBefore) {
		return errors.New("it was issued outside the time for which the authority is trusted")
	}
	return ca.VerifyIdentity(cert, cert.NotBefore, ct)
}

func (v *Verifier) timestamp(b *Bundle, log trustedLog) (time.Time, error) {
	last := errors.New("the trusted root names no timestamp authority")
	for _, tsa := range v.tsas {
		at, err := tsa.VerifyTimestamp(b.Timestamp, b.Signature)
		if err != nil {
			last = err
			continue
		}
		if !v.validFor.Holds(at) || !log.validFor.Holds(at) {
			return time.Time{}, refuse(CodeTimestamp, "signedTimestamp", "%s is outside the time for which log and authority are trusted", at.Format(time.RFC3339))
		}
		return at, nil
	}
	return time.Time{}, refuse(CodeTimestamp, "signedTimestamp", "%v", last)
}

func (v *Verifier) inclusion(b *Bundle, log trustedLog, body []byte) (tlog.Checkpoint, error) {
	p := b.Proof
	if b.LogIndex != p.Index {
		return tlog.Checkpoint{}, refuse(CodeIndex, "logIndex", "the entry says %d, its proof %d", b.LogIndex, p.Index)
	}
	if p.Index < 0 || p.Index >= p.Size {
		return tlog.Checkpoint{}, refuse(CodeIndex, "logIndex", "%d is not below the tree size %d", p.Index, p.Size)
	}
	// The key hash is part of the name: a root may trust two keys of one origin.
	c, err := v.checkpoints.get(sha256.Sum256(append([]byte(p.Checkpoint), p.LogKeyHash...)), func() (tlog.Checkpoint, error) {
		return tlog.ParseCheckpoint(p.Checkpoint, log.verifier)
	})
	if err != nil {
		return tlog.Checkpoint{}, refuse(CodeCheckpoint, "checkpoint", "%v", err)
	}
	if c.Origin != log.verifier.Name() || c.Size != p.Size || c.Root != p.Root {
		return tlog.Checkpoint{}, refuse(CodeCheckpoint, "checkpoint", "it signs another log, size or root than the proof is about")
	}
	if err := tlog.CheckInclusion(p.Hashes, p.Size, p.Root, p.Index, tlog.LeafHash(body)); err != nil {
		return tlog.Checkpoint{}, refuse(CodeProof, "inclusionProof", "%v", err)
	}
	return c, nil
}
