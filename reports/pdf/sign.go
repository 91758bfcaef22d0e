package pdf

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"affidavit/attest/pack/pdfsig"
)

// Timestamper asks a timestamp authority about the SHA-256 of sig and returns the RFC 3161 token in DER.
type Timestamper func(sig []byte) (timeStampToken []byte, err error)

// SignOptions says who signs and what the signature claims.
type SignOptions struct {
	// Signer holds the private key, ECDSA on P-256. For keys that hash what they sign, as KMS and attest/keys do, leave it nil
	// and set SignMessage: it returns the ASN.1 DER ECDSA signature over SHA-256(message).
	Signer      crypto.Signer
	SignMessage func(message []byte) ([]byte, error)
	// Chain is the signer's certificate followed by its issuers; all of it is put into the signature.
	Chain []*x509.Certificate
	// Name, Reason and Location are shown by readers. Name defaults to the certificate's common name.
	Name, Reason, Location string
	// When is the claimed time of signing; it must be set.
	When time.Time
	// Timestamp, if set, makes the signature a PAdES B-T.
	Timestamp Timestamper
}

// contentsSize is the room in bytes reserved for the CMS structure: a chain of a few certificates and a timestamp token.
const contentsSize = 16 << 10

// Sign fills the first empty signature field of a document made by Render, as an incremental update: the bytes before it
// stay as they are, so a second person may sign after the first. The result is a PAdES baseline signature (ETSI EN 319
// 142-1): B-B, or B-T with a Timestamper. It uses random bits for the ECDSA nonce, so its bytes differ from run to run.
func Sign(pdf []byte, opts SignOptions) ([]byte, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	in, err := pdfsig.Parse(pdf)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	fields, err := in.SignatureFields(len(in.Revisions) - 1)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	for _, f := range fields {
		if f.Dict["V"] == nil {
			continue
		}
		// Whoever signs second must not vouch for a document whose first signature no longer holds.
		if _, err := pdfsig.Verify(pdf); err != nil {
			return nil, fmt.Errorf("sign: the document carries a signature that does not hold: %w", err)
		}
		break
	}
	return fill(in, fields, opts)
}

// fill signs the first empty field.
func fill(in *pdfsig.File, fields []pdfsig.Field, opts SignOptions) ([]byte, error) {
	var field *pdfsig.Field
	for i := range fields {
		if fields[i].Dict["V"] == nil {
			field = &fields[i]
			break
		}
	}
	if field == nil {
		return nil, fmt.Errorf("sign: all %d reserved signature fields are filled: render the document with more", len(fields))
	}
	out, gap := appendSignature(in, field, opts)
	h := sha256.New()
	h.Write(out[:gap[0]])
	h.Write(out[gap[1]:])
	cms, err := signCMS(h.Sum(nil), opts)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if len(cms) > contentsSize {
		return nil, fmt.Errorf("sign: the signature needs %d bytes, more than the %d reserved: shorten the certificate chain", len(cms), contentsSize)
	}
	hex.Encode(out[gap[0]+1:], cms)
	return out, nil
}

func (o *SignOptions) check() error {
	if (o.Signer == nil) == (o.SignMessage == nil) || len(o.Chain) == 0 {
		return errors.New("sign: Chain and one of Signer and SignMessage must be set")
	}
	if o.When.IsZero() {
		return errors.New("sign: When must be set: the claimed time of signing is not taken from the clock")
	}
	pub, ok := o.Chain[0].PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return errors.New("sign: only ECDSA keys on P-256 are supported")
	}
	if o.Signer != nil && !pub.Equal(o.Signer.Public()) {
		return errors.New("sign: the first certificate of Chain is not that of the signer's key")
	}
	return nil
}

// appendSignature appends the incremental update with an empty signature. It returns the new file and the bounds of the
// /Contents string, angle brackets included.
func appendSignature(in *pdfsig.File, field *pdfsig.Field, opts SignOptions) ([]byte, [2]int) {
	out := bytes.Clone(in.Data)
	if out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	last := in.Revisions[len(in.Revisions)-1]
	size, _ := last.Trailer["Size"].(int64)
	sigNum := int(size)
	for _, r := range in.Revisions {
		for num := range r.Objects {
			sigNum = max(sigNum, num+1)
		}
	}
	name := opts.Name
	if name == "" {
		name = opts.Chain[0].Subject.CommonName
	}
	offsets := map[int]int{sigNum: len(out)}
	out = fmt.Appendf(out, "%d 0 obj\n<</Type /Sig\n/Filter /Adobe.PPKLite\n/SubFilter /ETSI.CAdES.detached\n/ByteRange ", sigNum)
	rangeAt := len(out)
	out = append(out, bytes.Repeat([]byte(" "), len(byteRangeText(0, 0, 0)))...)
	out = append(out, "\n/Contents "...)
	gap := [2]int{len(out), len(out) + 2*contentsSize + 2}
	out = append(out, '<')
	out = append(out, bytes.Repeat([]byte("0"), 2*contentsSize)...)
	out = append(out, ">\n"...)
	for _, claim := range []struct {
		key   pdfsig.Name
		value pdfsig.String
	}{
		{"M", pdfsig.String(pdfsig.FormatTime(opts.When))}, {"Name", pdfsig.EncodeText(printable(name))},
		{"Reason", pdfsig.EncodeText(printable(opts.Reason))}, {"Location", pdfsig.EncodeText(printable(opts.Location))},
	} {
		if len(claim.value) > 0 {
			out = pdfsig.AppendObject(append(pdfsig.AppendObject(out, claim.key), ' '), claim.value)
			out = append(out, '\n')
		}
	}
	out = append(out, ">>\nendobj\n"...)
	filled := pdfsig.Dict{"V": pdfsig.Ref{Num: sigNum}}
	for k, v := range field.Dict {
		if k != "V" {
			filled[k] = v
		}
	}
	offsets[field.Num] = len(out)
	out = fmt.Appendf(out, "%d 0 obj\n", field.Num)
	out = append(pdfsig.AppendObject(out, filled), "\nendobj\n"...)
	trailer := pdfsig.Dict{"Size": int64(sigNum + 1), "Root": last.Trailer["Root"], "Prev": int64(last.Xref)}
	if info, ok := last.Trailer["Info"]; ok {
		trailer["Info"] = info
	}
	if id, ok := last.Trailer["ID"].(pdfsig.Array); ok && len(id) == 2 {
		trailer["ID"] = fileID(out, id[0])
	}
	out = pdfsig.AppendXref(out, offsets, false, trailer)
	copy(out[rangeAt:], byteRangeText(gap[0], gap[1], len(out)-gap[1]))
	return out, gap
}

// byteRangeText has the same length for any file below ten gigabytes.
func byteRangeText(before, after, rest int) string {
	return fmt.Sprintf("[0 %010d %010d %010d]", before, after, rest)
}

// signMessage makes an ASN.1 ECDSA signature over SHA-256(message), and checks it against the signer's certificate.
func (o *SignOptions) signMessage(message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	var sig []byte
	var err error
	if o.Signer != nil {
		sig, err = o.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	} else {
		sig, err = o.SignMessage(message)
	}
	if err != nil {
		return nil, fmt.Errorf("the key refused to sign: %w", err)
	}
	if pub, ok := o.Chain[0].PublicKey.(*ecdsa.PublicKey); !ok || !ecdsa.VerifyASN1(pub, digest[:], sig) {
		return nil, errors.New("the signature is not by the key of the first certificate of Chain")
	}
	return sig, nil
}
