package pdf

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sort"
)

var (
	oidData           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCertV2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidTimestampToken = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}
	oidSHA256         = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidECDSASHA256    = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

// typed is an attribute before encoding: its type and its single value.
type typed struct {
	oid   asn1.ObjectIdentifier
	value any
}

// attribute is one of the CMS attributes, with its values already wrapped in a SET.
type attribute struct {
	Type   asn1.ObjectIdentifier
	Values asn1.RawValue
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

// essIssuerSerial names the issuer by the directoryName choice [4] of GeneralName, explicit because Name is itself a choice.
type essIssuerSerial struct {
	Issuer []asn1.RawValue
	Serial *big.Int
}

// essCertIDv2 leaves out the hash algorithm: SHA-256 is its default and DER omits defaults (RFC 5035).
type essCertIDv2 struct {
	Hash         []byte
	IssuerSerial essIssuerSerial
}

type signingCertificateV2 struct{ Certs []essCertIDv2 }

type signerInfo struct {
	Version            int
	SID                issuerAndSerial
	DigestAlgorithm    pkix.AlgorithmIdentifier
	SignedAttrs        asn1.RawValue
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Signature          []byte
	UnsignedAttrs      asn1.RawValue `asn1:"optional"`
}

type encapContentInfo struct{ ContentType asn1.ObjectIdentifier }

type signedData struct {
	Version          int
	DigestAlgorithms []pkix.AlgorithmIdentifier `asn1:"set"`
	Encap            encapContentInfo
	Certificates     asn1.RawValue
	SignerInfos      []signerInfo `asn1:"set"`
}

type contentInfo struct {
	ContentType asn1.ObjectIdentifier
	Content     signedData `asn1:"explicit,tag:0"`
}

// signCMS builds the detached CAdES structure over the SHA-256 digest of the signed ranges. As PAdES baseline demands, it
// carries no signing-time attribute: the claimed time is the dictionary's /M.
func signCMS(digest []byte, opts SignOptions) ([]byte, error) {
	cert := opts.Chain[0]
	var ess signingCertificateV2
	// RFC 5035 needs the signer's certificate only; naming the whole chain lets nobody exchange an issuer afterwards.
	for _, c := range opts.Chain {
		sum := sha256.Sum256(c.Raw)
		ess.Certs = append(ess.Certs, essCertIDv2{Hash: sum[:], IssuerSerial: essIssuerSerial{
			Issuer: []asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: c.RawIssuer}},
			Serial: c.SerialNumber,
		}})
	}
	signed, err := attributeSet(0x31, typed{oidContentType, oidData}, typed{oidMessageDigest, digest}, typed{oidSigningCertV2, ess})
	if err != nil {
		return nil, err
	}
	sig, err := opts.signMessage(signed)
	if err != nil {
		return nil, err
	}
	sha := pkix.AlgorithmIdentifier{Algorithm: oidSHA256}
	implicit := bytes.Clone(signed)
	implicit[0] = 0xa0
	si := signerInfo{
		Version: 1, SID: issuerAndSerial{Issuer: asn1.RawValue{FullBytes: cert.RawIssuer}, Serial: cert.SerialNumber},
		DigestAlgorithm: sha, SignedAttrs: asn1.RawValue{FullBytes: implicit},
		SignatureAlgorithm: pkix.AlgorithmIdentifier{Algorithm: oidECDSASHA256}, Signature: sig,
	}
	if opts.Timestamp != nil {
		token, err := opts.Timestamp(sig)
		if err != nil {
			return nil, fmt.Errorf("the timestamp authority refused: %w", err)
		}
		var probe asn1.RawValue
		if rest, err := asn1.Unmarshal(token, &probe); err != nil || len(rest) > 0 {
			return nil, errors.New("the timestamp token is not one DER value")
		}
		unsigned, err := attributeSet(0xa1, typed{oidTimestampToken, asn1.RawValue{FullBytes: token}})
		if err != nil {
			return nil, err
		}
		si.UnsignedAttrs = asn1.RawValue{FullBytes: unsigned}
	}
	var certs []byte
	for _, c := range opts.Chain {
		certs = append(certs, c.Raw...)
	}
	return asn1.Marshal(contentInfo{ContentType: oidSignedData, Content: signedData{
		Version: 1, DigestAlgorithms: []pkix.AlgorithmIdentifier{sha}, Encap: encapContentInfo{oidData},
		Certificates: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: certs},
		SignerInfos:  []signerInfo{si},
	}})
}

// attributeSet encodes the attributes in the order of their DER bytes, under the given tag byte.
func attributeSet(tag byte, attrs ...typed) ([]byte, error) {
	encoded := make([][]byte, 0, len(attrs))
	for _, a := range attrs {
		value, err := asn1.Marshal(a.value)
		if err != nil {
			return nil, err
		}
		der, err := asn1.Marshal(attribute{Type: a.oid, Values: asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true, Bytes: value}})
		if err != nil {
			return nil, err
		}
		encoded = append(encoded, der)
	}
	sort.Slice(encoded, func(i, j int) bool { return bytes.Compare(encoded[i], encoded[j]) < 0 })
	set, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Join(encoded, nil)})
	if err != nil {
		return nil, err
	}
	set[0] = tag
	return set, nil
}
