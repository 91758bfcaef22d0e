package keys

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Certificate timestamps, RFC 6962 section 3: version 1, one per certificate,
// SHA-256 with ECDSA, no extensions.

const (
	sctHashSHA256 = 4
	sctSigECDSA   = 3
)

// sctInput is what an SCT for a precertificate signs.
func sctInput(millis uint64, issuerKeyHash [32]byte, tbs []byte) []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(tbs)+64))
	b.AddUint8(0) // version 1
	b.AddUint8(0) // certificate_timestamp
	b.AddUint64(millis)
	b.AddUint16(1) // precert_entry
	b.AddBytes(issuerKeyHash[:])
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(tbs) })
	b.AddUint16(0) // no extensions
	return b.BytesOrPanic()
}

// marshalSCTList returns the extension value: an OCTET STRING holding a list
// of one SCT.
func marshalSCTList(logID [32]byte, millis uint64, sig []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(0)
			b.AddBytes(logID[:])
			b.AddUint64(millis)
			b.AddUint16(0)
			b.AddUint8(sctHashSHA256)
			b.AddUint8(sctSigECDSA)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(sig) })
		})
	})
	list, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("certificate timestamp: %w", err)
	}
	return asn1.Marshal(list)
}

// VerifySCT checks that leaf, issued by issuer, embeds one certificate
// timestamp by the log with the given key. It returns the SCT's time.
func VerifySCT(leaf, issuer *x509.Certificate, logKey *ecdsa.PublicKey) (time.Time, error) {
	if len(leaf.Raw) > maxCertificate {
		return time.Time{}, errors.New("certificate timestamp: the certificate is too long")
	}
	var value []byte
	for _, e := range leaf.Extensions {
		if e.Id.Equal(oidSCTList) {
			value = e.Value
		}
	}
	if value == nil {
		return time.Time{}, errors.New("certificate timestamp: the certificate embeds none")
	}
	logID, millis, sig, err := parseSCTList(value)
	if err != nil {
		return time.Time{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(logKey)
	if err != nil {
		return time.Time{}, fmt.Errorf("certificate timestamp: %w", err)
	}
	if logID != sha256.Sum256(spki) {
		return time.Time{}, errors.New("certificate timestamp: it is from an unknown log")
	}
	tbs, err := withoutSCT(leaf.RawTBSCertificate)
	if err != nil {
		return time.Time{}, err
	}
	sum := sha256.Sum256(sctInput(millis, sha256.Sum256(issuer.RawSubjectPublicKeyInfo), tbs))
	if !ecdsa.VerifyASN1(logKey, sum[:], sig) {
		return time.Time{}, errors.New("certificate timestamp: its signature does not verify")
	}
	return time.UnixMilli(int64(millis)).UTC(), nil
}

func parseSCTList(value []byte) (logID [32]byte, millis uint64, sig []byte, err error) {
	fail := errors.New("certificate timestamp: malformed list")
	var octets []byte
	if rest, err := asn1.Unmarshal(value, &octets); err != nil || len(rest) != 0 {
		return logID, 0, nil, fail
	}
	s := cryptobyte.String(octets)
	var list, sct, ext, sigBytes cryptobyte.String
	var version, hash, alg uint8
	ok := s.ReadUint16LengthPrefixed(&list) && s.Empty() &&
		list.ReadUint16LengthPrefixed(&sct) && list.Empty() &&
		sct.ReadUint8(&version) && sct.CopyBytes(logID[:]) && sct.ReadUint64(&millis) &&
		sct.ReadUint16LengthPrefixed(&ext) && ext.Empty() &&
		sct.ReadUint8(&hash) && sct.ReadUint8(&alg) &&
		sct.ReadUint16LengthPrefixed(&sigBytes) && sct.Empty()
	if !ok || version != 0 || hash != sctHashSHA256 || alg != sctSigECDSA || millis > 1<<52 {
		return logID, 0, nil, fail
	}
	return logID, millis, sigBytes, nil
}

// withoutSCT re-encodes a TBSCertificate without its SCT extension.
func withoutSCT(tbs []byte) ([]byte, error) {
	fail := errors.New("certificate timestamp: malformed certificate")
	extTag := cryptobyteasn1.Tag(3).Constructed().ContextSpecific()
	in := cryptobyte.String(tbs)
	var body cryptobyte.String
	if !in.ReadASN1(&body, cryptobyteasn1.SEQUENCE) || !in.Empty() {
		return nil, fail
	}
	ok := true
	b := cryptobyte.NewBuilder(make([]byte, 0, len(tbs)))
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for !body.Empty() {
			var element cryptobyte.String
			var tag cryptobyteasn1.Tag
			if !body.ReadAnyASN1Element(&element, &tag) {
				ok = false
				return
			}
			if tag != extTag {
				b.AddBytes(element)
				continue
			}
			var wrapped, list cryptobyte.String
			if !element.ReadASN1(&wrapped, extTag) || !wrapped.ReadASN1(&list, cryptobyteasn1.SEQUENCE) || !wrapped.Empty() {
				ok = false
				return
			}
			b.AddASN1(extTag, func(b *cryptobyte.Builder) {
				b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { ok = copyExtensions(b, list) })
			})
		}
	})
	out, err := b.Bytes()
	if err != nil || !ok {
		return nil, fail
	}
	return out, nil
}

func copyExtensions(b *cryptobyte.Builder, list cryptobyte.String) bool {
	for !list.Empty() {
		var raw cryptobyte.String
		if !list.ReadASN1Element(&raw, cryptobyteasn1.SEQUENCE) {
			return false
		}
		inner := raw
		var fields cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !inner.ReadASN1(&fields, cryptobyteasn1.SEQUENCE) || !fields.ReadASN1ObjectIdentifier(&oid) {
			return false
		}
		if !oid.Equal(oidSCTList) {
			b.AddBytes(raw)
		}
	}
	return true
}
