package keys

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"sort"
	"time"
)

// The structures of RFC 3161 and RFC 5652 that a token is made of. The library
// that parses tokens also writes them, but with whole seconds and with its own
// reading of the clock as signing time.

var (
	oidSHA256         = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidECDSASHA256    = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidSignedData     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTSTInfo        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCertV2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	sha256Algorithm   = pkix.AlgorithmIdentifier{Algorithm: oidSHA256}
	sha256NullAlgo    = pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}
	ecdsaSHA256Algo   = pkix.AlgorithmIdentifier{Algorithm: oidECDSASHA256}
	generalizedLayout = "20060102150405.999999Z"
)

type pkiStatusInfo struct{ Status int }

type timeStampResp struct {
	Status pkiStatusInfo
	Token  asn1.RawValue
}

type messageImprint struct {
	Algorithm pkix.AlgorithmIdentifier
	Digest    []byte
}

type tstInfo struct {
	Version int
	Policy  asn1.ObjectIdentifier
	Imprint messageImprint
	Serial  *big.Int
	GenTime asn1.RawValue // GeneralizedTime, with a fraction
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue // [0] EXPLICIT
}

type signedData struct {
	Version      int
	DigestAlgos  []pkix.AlgorithmIdentifier `asn1:"set"`
	Content      contentInfo
	Certificates asn1.RawValue // [0] IMPLICIT SET
	SignerInfos  []signerInfo  `asn1:"set"`
}

type signerInfo struct {
	Version     int
	Signer      issuerAndSerial
	DigestAlgo  pkix.AlgorithmIdentifier
	SignedAttrs asn1.RawValue // [0] IMPLICIT SET
	SigAlgo     pkix.AlgorithmIdentifier
	Signature   []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values asn1.RawValue // SET
}

// tokenParts are the bytes that all tokens of one certificate share.
type tokenParts struct {
	contentType attribute
	signingCert attribute
	signer      issuerAndSerial
	certs       asn1.RawValue
}

func newTokenParts(leaf *x509.Certificate) (tokenParts, error) {
	type essCertIDv2 struct{ CertHash []byte }
	type signingCertificateV2 struct{ Certs []essCertIDv2 }
	sum := sha256.Sum256(leaf.Raw)
	ess, err := asn1.Marshal(signingCertificateV2{Certs: []essCertIDv2{{CertHash: sum[:]}}})
	if err != nil {
		return tokenParts{}, fmt.Errorf("timestamp authority: %w", err)
	}
	content, err := asn1.Marshal(oidTSTInfo)
	if err != nil {
		return tokenParts{}, fmt.Errorf("timestamp authority: %w", err)
	}
	return tokenParts{
		contentType: attribute{oidContentType, set(content)},
		signingCert: attribute{oidSigningCertV2, set(ess)},
		signer:      issuerAndSerial{Issuer: asn1.RawValue{FullBytes: leaf.RawIssuer}, Serial: leaf.SerialNumber},
		certs:       asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: leaf.Raw},
	}, nil
}

func set(content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true, Bytes: content}
}

func explicit(content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: content}
}

// StampDigest returns a token over a SHA-256 digest. The caller answers for at
// being inside the certificate's validity.
func (t *TSA) StampDigest(digest [32]byte, at time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	info, err := asn1.Marshal(tstInfo{
		Version: 1, Policy: tsaPolicy,
		Imprint: messageImprint{Algorithm: sha256NullAlgo, Digest: digest[:]},
		Serial:  serial,
		GenTime: asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagGeneralizedTime,
			Bytes: []byte(at.UTC().Truncate(time.Microsecond).Format(generalizedLayout))},
	})
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	attrs, err := t.fixed.attributes(info)
	if err != nil {
		return nil, err
	}
	// What is signed is the attributes as an explicit SET (RFC 5652 section 5.4).
	signed, err := asn1.Marshal(set(attrs))
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	sum := sha256.Sum256(signed)
	sig, err := t.priv.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	octets, err := asn1.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	sd, err := asn1.Marshal(signedData{
		Version: 3, DigestAlgos: []pkix.AlgorithmIdentifier{sha256Algorithm},
		Content:      contentInfo{Type: oidTSTInfo, Content: explicit(octets)},
		Certificates: t.fixed.certs,
		SignerInfos: []signerInfo{{
			Version: 1, Signer: t.fixed.signer, DigestAlgo: sha256Algorithm,
			SignedAttrs: explicit(attrs), SigAlgo: ecdsaSHA256Algo, Signature: sig,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	token, err := asn1.Marshal(contentInfo{Type: oidSignedData, Content: explicit(sd)})
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	return token, nil
}

// attributes returns the signed attributes in DER order, without their SET header.
func (p tokenParts) attributes(content []byte) ([]byte, error) {
	sum := sha256.Sum256(content)
	digest, err := asn1.Marshal(sum[:])
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	var parts [][]byte
	for _, a := range []attribute{p.contentType, p.signingCert, {oidMessageDigest, set(digest)}} {
		b, err := asn1.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("timestamp: %w", err)
		}
		parts = append(parts, b)
	}
	sort.Slice(parts, func(i, j int) bool { return bytes.Compare(parts[i], parts[j]) < 0 })
	return bytes.Join(parts, nil), nil
}
