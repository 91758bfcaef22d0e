package pdfsig

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

var (
	oidData               = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTSTInfo            = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCertV2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidTimestampToken     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}
	oidSHA256             = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidECDSAWithSHA256    = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	errTrailing           = errors.New("trailing bytes in the CMS structure")
	errUnsupportedDigests = errors.New("only ECDSA P-256 with SHA-256 is supported")
)

// The structures of RFC 5652, as far as PAdES baseline signatures use them.
type contentInfo struct {
	Raw         asn1.RawContent
	ContentType asn1.ObjectIdentifier
	Content     asn1.RawValue `asn1:"explicit,tag:0"`
}

type encapContentInfo struct {
	Raw         asn1.RawContent
	ContentType asn1.ObjectIdentifier
	Content     asn1.RawValue `asn1:"optional,explicit,tag:0"`
}

type signedData struct {
	Raw              asn1.RawContent
	Version          int
	DigestAlgorithms []pkix.AlgorithmIdentifier `asn1:"set"`
	Encap            encapContentInfo
	Certificates     asn1.RawValue `asn1:"optional,tag:0"`
	CRLs             asn1.RawValue `asn1:"optional,tag:1"`
	SignerInfos      []signerInfo  `asn1:"set"`
}

type signerInfo struct {
	Raw                asn1.RawContent
	Version            int
	SID                issuerAndSerial
	DigestAlgorithm    pkix.AlgorithmIdentifier
	SignedAttrs        asn1.RawValue `asn1:"optional,tag:0"`
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Signature          []byte
	UnsignedAttrs      asn1.RawValue `asn1:"optional,tag:1"`
}

type issuerAndSerial struct {
	Raw    asn1.RawContent
	Issuer asn1.RawValue
	Serial *big.Int
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values asn1.RawValue `asn1:"set"`
}

type essCertIDv2 struct {
	// The hash algorithm is optional in RFC 5035 and defaults to SHA-256.
	HashAlgorithm pkix.AlgorithmIdentifier `asn1:"optional"`
	Hash          []byte
	IssuerSerial  asn1.RawValue `asn1:"optional"`
}

type signingCertificateV2 struct {
	Certs []essCertIDv2
}

type tstInfo struct {
	Version        int
	Policy         asn1.ObjectIdentifier
	MessageImprint struct {
		HashAlgorithm pkix.AlgorithmIdentifier
		Hashed        []byte
	}
	Serial *big.Int
	Time   time.Time `asn1:"generalized"`
}

// parts counts the elements directly inside a DER sequence. encoding/asn1 accepts more elements than a struct has fields, and
// what is not read must not be there.
func parts(raw asn1.RawContent) int {
	var seq asn1.RawValue
	if err := unmarshalAll(raw, &seq); err != nil {
		return -1
	}
	n := 0
	for rest := seq.Bytes; len(rest) > 0; n++ {
		var e asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &e); err != nil {
			return -1
		}
	}
	return n
}

func unmarshalAll(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return errTrailing
	}
	return nil
}

// verifyCMS checks the detached CMS signature in contents (DER, then zero padding) over the SHA-256 digest of the signed
// bytes, and fills in the certificates, the signature value and the timestamp.
func verifyCMS(info *SignatureInfo, contents, digest []byte) error {
	var ci contentInfo
	rest, err := asn1.Unmarshal(contents, &ci)
	if err != nil {
		return fmt.Errorf("its CMS structure cannot be read: %w", err)
	}
	if len(bytes.Trim(rest, "\x00")) != 0 {
		return errors.New("its /Contents has bytes after the CMS structure")
	}
	var sd signedData
	if !ci.ContentType.Equal(oidSignedData) || parts(ci.Raw) != 2 {
		return errors.New("its /Contents is not CMS SignedData")
	}
	if err := unmarshalAll(ci.Content.Bytes, &sd); err != nil {
		return fmt.Errorf("its CMS SignedData cannot be read: %w", err)
	}
	if !sd.Encap.ContentType.Equal(oidData) || len(sd.Encap.Content.FullBytes) != 0 {
		return errors.New("its CMS SignedData is not detached")
	}
	if sd.Version != 1 || len(sd.DigestAlgorithms) != 1 || !isAlgorithm(sd.DigestAlgorithms[0], oidSHA256) ||
		len(sd.CRLs.FullBytes) != 0 || parts(sd.Raw) != 5 || parts(sd.Encap.Raw) != 1 {
		return errors.New("its CMS SignedData is not of the profile that PAdES baseline signatures of ours have")
	}
	if len(sd.SignerInfos) != 1 {
		return fmt.Errorf("its CMS SignedData has %d signers, not one", len(sd.SignerInfos))
	}
	if info.Certificates, err = x509.ParseCertificates(sd.Certificates.Bytes); err != nil {
		return fmt.Errorf("its certificates cannot be read: %w", err)
	}
	si := sd.SignerInfos[0]
	want := 6
	if len(si.UnsignedAttrs.FullBytes) > 0 {
		want++
	}
	if si.Version != 1 || parts(si.Raw) != want || parts(si.SID.Raw) != 2 {
		return errors.New("its signer information is not of the profile that PAdES baseline signatures of ours have")
	}
	for _, c := range info.Certificates {
		if bytes.Equal(c.RawIssuer, si.SID.Issuer.FullBytes) && c.SerialNumber.Cmp(si.SID.Serial) == 0 {
			info.Signer = c
		}
	}
	if info.Signer == nil {
		return errors.New("the signer's certificate is not among those of the signature")
	}
	if err := checkSigner(si, info.Signer, info.Certificates, digest); err != nil {
		return err
	}
	info.SignatureValue = si.Signature
	return readTimestamp(info, si)
}

// isAlgorithm reports whether a is the algorithm, with absent or NULL parameters.
func isAlgorithm(a pkix.AlgorithmIdentifier, oid asn1.ObjectIdentifier) bool {
	p := a.Parameters.FullBytes
	return a.Algorithm.Equal(oid) && (len(p) == 0 || bytes.Equal(p, asn1.NullBytes))
}

// checkSigner checks the signed attributes and the signature over them.
func checkSigner(si signerInfo, cert *x509.Certificate, all []*x509.Certificate, digest []byte) error {
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() || !isAlgorithm(si.DigestAlgorithm, oidSHA256) || !isAlgorithm(si.SignatureAlgorithm, oidECDSAWithSHA256) {
		return errUnsupportedDigests
	}
	attrs, err := attributes(si.SignedAttrs.Bytes)
	if err != nil {
		return fmt.Errorf("its signed attributes: %w", err)
	}
	var contentType asn1.ObjectIdentifier
	if err := unmarshalAll(attrs[oidContentType.String()], &contentType); err != nil || !contentType.Equal(oidData) {
		return errors.New("its content-type attribute is missing or not id-data")
	}
	var signed []byte
	if err := unmarshalAll(attrs[oidMessageDigest.String()], &signed); err != nil {
		return errors.New("its message-digest attribute is missing")
	}
	if !bytes.Equal(signed, digest) {
		return errors.New("digest mismatch: the document's bytes are not those that were signed")
	}
	var certs signingCertificateV2
	if err := unmarshalAll(attrs[oidSigningCertV2.String()], &certs); err != nil || len(certs.Certs) == 0 {
		return errors.New("its signing-certificate-v2 attribute is missing")
	}
	if err := listed(certs.Certs, cert, all); err != nil {
		return err
	}
	// RFC 5652, 5.4: what is signed is the DER encoding with the tag of SET OF, not the implicit [0] of the structure.
	signedBytes := bytes.Clone(si.SignedAttrs.FullBytes)
	signedBytes[0] = 0x31
	sum := sha256.Sum256(signedBytes)
	if !ecdsa.VerifyASN1(key, sum[:], si.Signature) {
		return errors.New("the signature does not match the signer's key")
	}
	return nil
}

// listed checks that the signed attribute names the signer's certificate first and then every other one of the signature,
// so that no certificate can be exchanged after signing.
func listed(ids []essCertIDv2, signer *x509.Certificate, all []*x509.Certificate) error {
	names := func(id essCertIDv2, c *x509.Certificate) bool {
		sum := sha256.Sum256(c.Raw)
		return (id.HashAlgorithm.Algorithm == nil || id.HashAlgorithm.Algorithm.Equal(oidSHA256)) && bytes.Equal(id.Hash, sum[:])
	}
	if !names(ids[0], signer) {
		return errors.New("its signing-certificate-v2 attribute names another certificate")
	}
	for _, c := range all {
		if !slices.ContainsFunc(ids, func(id essCertIDv2) bool { return names(id, c) }) {
			return fmt.Errorf("it carries the certificate of %q, which its signing-certificate-v2 attribute does not name", c.Subject)
		}
	}
	if len(ids) != len(all) {
		return errors.New("its signing-certificate-v2 attribute names certificates that it does not carry")
	}
	return nil
}

// attributes maps each attribute's type to the DER of its single value.
func attributes(der []byte) (map[string][]byte, error) {
	out := map[string][]byte{}
	for len(der) > 0 {
		var a attribute
		rest, err := asn1.Unmarshal(der, &a)
		if err != nil {
			return nil, err
		}
		der = rest
		key := a.Type.String()
		if _, dup := out[key]; dup {
			return nil, fmt.Errorf("attribute %s occurs twice", key)
		}
		out[key] = a.Values.Bytes
	}
	return out, nil
}

// readTimestamp finds the timestamp token, if any, and checks that it is about this signature.
func readTimestamp(info *SignatureInfo, si signerInfo) error {
	attrs, err := attributes(si.UnsignedAttrs.Bytes)
	if err != nil {
		return fmt.Errorf("its unsigned attributes: %w", err)
	}
	token, ok := attrs[oidTimestampToken.String()]
	if len(attrs) > 1 || len(attrs) == 1 && !ok {
		return errors.New("it has an unsigned attribute other than a timestamp token")
	}
	if !ok {
		return nil
	}
	var ci contentInfo
	var sd signedData
	if err := unmarshalAll(token, &ci); err != nil || !ci.ContentType.Equal(oidSignedData) {
		return errors.New("its timestamp token cannot be read")
	}
	// The token's own signer is not judged here, so only the content is decoded and a broken rest is the caller's finding.
	if err := unmarshalAll(ci.Content.Bytes, &sd); err != nil || !sd.Encap.ContentType.Equal(oidTSTInfo) {
		return errors.New("its timestamp token is not an RFC 3161 token")
	}
	var content []byte
	if err := unmarshalAll(sd.Encap.Content.Bytes, &content); err != nil {
		return errors.New("its timestamp token has no content")
	}
	var tst tstInfo
	if err := unmarshalTST(content, &tst); err != nil {
		return fmt.Errorf("its timestamp token's content cannot be read: %w", err)
	}
	sum := sha256.Sum256(info.SignatureValue)
	if !tst.MessageImprint.HashAlgorithm.Algorithm.Equal(oidSHA256) || !bytes.Equal(tst.MessageImprint.Hashed, sum[:]) {
		return errors.New("its timestamp token is about another signature")
	}
	info.TimestampToken = token
	info.TimestampTime = tst.Time.UTC()
	return nil
}

// unmarshalTST reads the leading fields of TSTInfo; the optional ones after the time (accuracy, ordering, nonce, …) are skipped.
func unmarshalTST(der []byte, tst *tstInfo) error {
	var seq asn1.RawValue
	if err := unmarshalAll(der, &seq); err != nil {
		return err
	}
	rest := seq.Bytes
	for _, field := range []any{&tst.Version, &tst.Policy, &tst.MessageImprint, &tst.Serial} {
		var err error
		if rest, err = asn1.Unmarshal(rest, field); err != nil {
			return err
		}
	}
	_, err := asn1.UnmarshalWithParams(rest, &tst.Time, "generalized")
	return err
}

// TimestampResponse wraps the timestamp token in a granted RFC 3161 response, the form that verifiers of timestamps take.
// It is nil for a signature without a token.
func (s *SignatureInfo) TimestampResponse() []byte {
	if s.TimestampToken == nil {
		return nil
	}
	granted, err := asn1.Marshal(struct {
		Status struct{ Status int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: s.TimestampToken}})
	if err != nil {
		return nil
	}
	return granted
}
