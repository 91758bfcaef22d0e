// Package pdfsig verifies the PAdES signatures of the PDF documents that Affidavit issues. It needs the standard library
// only, no network and no database, and it refuses what it does not fully understand.
//
// What it proves: the bytes are those that were signed, by the key of the certificate that the signature names, and after
// the first signature nothing was added but further signatures. What it does not prove: whose certificate that is, and
// whether the timestamp's authority is genuine. The caller judges both, with the certificates and tokens returned.
package pdfsig

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"time"
	"unicode/utf16"
)

// SignatureInfo describes one verified signature.
type SignatureInfo struct {
	// Field is the name of the signature field.
	Field string
	// Name, Reason and Location are the signer's claims, covered by the signature; empty where absent.
	Name, Reason, Location string
	// ClaimedTime is the time that the signer claims (/M); zero where absent.
	ClaimedTime time.Time
	// ByteRange holds the two signed ranges as offset and length, in bytes.
	ByteRange [4]int64
	// CoversWholeFile is true for the last signature; an earlier one covers the file up to its own revision.
	CoversWholeFile bool
	// Signer is the certificate whose key made the signature; Certificates are all that the signature carries.
	Signer       *x509.Certificate
	Certificates []*x509.Certificate
	// SignatureValue is the ECDSA signature in ASN.1 DER: what the timestamp token is about.
	SignatureValue []byte
	// TimestampToken is the RFC 3161 token in DER, nil for a signature without one. Its imprint was compared with
	// SignatureValue; its own signature was not judged here.
	TimestampToken []byte
	// TimestampTime is the time in the token, zero without one.
	TimestampTime time.Time
}

// Verify checks every signature of the file and returns them in the order of signing. It fails if the file has none, if
// one does not hold, if the last one does not cover the whole file, or if an update after the first signature did
// anything but fill in a signature field.
func Verify(pdf []byte) ([]SignatureInfo, error) {
	f, err := Parse(pdf)
	if err != nil {
		return nil, err
	}
	last := len(f.Revisions) - 1
	fields, err := f.SignatureFields(last)
	if err != nil {
		return nil, err
	}
	var out []SignatureInfo
	firstSigned := -1
	for rev := range f.Revisions {
		for _, field := range fields {
			num, ok := signedIn(f, rev, field)
			if !ok {
				continue
			}
			info, err := verifyOne(f, rev, num)
			if err != nil {
				return nil, fmt.Errorf("pdf: signature field %q: %w", field.Name, err)
			}
			info.Field = field.Name
			info.CoversWholeFile = rev == last
			out = append(out, info)
			if firstSigned < 0 {
				firstSigned = rev
			}
		}
		if firstSigned >= 0 && rev > firstSigned {
			if err := onlySigns(f, rev); err != nil {
				return nil, fmt.Errorf("pdf: changed after it was signed: %w", err)
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("pdf: the document is not signed")
	}
	if !out[len(out)-1].CoversWholeFile {
		return nil, errors.New("pdf: the last signature does not cover the whole file")
	}
	if len(out) > last-firstSigned+1 {
		return nil, errors.New("pdf: two signatures claim the same revision")
	}
	return out, nil
}

// signedIn reports whether revision rev gave the field its value, and the number of the signature dictionary.
func signedIn(f *File, rev int, field Field) (int, bool) {
	located, ok := f.Revisions[rev].Objects[field.Num]
	if !ok {
		return 0, false
	}
	d, _ := located.Value.(Dict)
	ref, ok := d["V"].(Ref)
	return ref.Num, ok
}

// onlySigns checks that revision rev consists of one signature dictionary and the field that names it, and that the field
// differs from what it was by its value alone.
func onlySigns(f *File, rev int) error {
	r := f.Revisions[rev]
	var sigs, fields int
	for num, o := range r.Objects {
		d, _ := o.Value.(Dict)
		before := f.Object(rev-1, num)
		switch {
		case d["Type"] == Name("Sig") && before == nil:
			sigs++
		case d["FT"] == Name("Sig"):
			old, _ := before.(Dict)
			if _, filled := old["V"]; old == nil || filled || !equalBut(old, d, "V") {
				return fmt.Errorf("revision %d rewrites signature field object %d", rev+1, num)
			}
			fields++
		default:
			return fmt.Errorf("revision %d changes or adds object %d", rev+1, num)
		}
	}
	prev := f.Revisions[rev-1].Trailer
	for _, key := range []Name{"Root", "Info"} {
		if !reflect.DeepEqual(prev[key], r.Trailer[key]) {
			return fmt.Errorf("revision %d names another /%s", rev+1, key)
		}
	}
	if sigs != 1 || fields != 1 {
		return fmt.Errorf("revision %d adds %d signatures and fills %d fields, not one each", rev+1, sigs, fields)
	}
	return nil
}

func equalBut(a, b Dict, key Name) bool {
	for k, v := range a {
		if k != key && !reflect.DeepEqual(v, b[k]) {
			return false
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok && k != key {
			return false
		}
	}
	return true
}

// verifyOne checks the signature dictionary num, which revision rev defined.
func verifyOne(f *File, rev, num int) (SignatureInfo, error) {
	r := f.Revisions[rev]
	located, ok := r.Objects[num]
	d, _ := located.Value.(Dict)
	if !ok || d["Type"] != Name("Sig") {
		return SignatureInfo{}, errors.New("its value is not a signature dictionary of the same revision")
	}
	if d["SubFilter"] != Name("ETSI.CAdES.detached") {
		return SignatureInfo{}, fmt.Errorf("its /SubFilter is %v: only ETSI.CAdES.detached is supported", d["SubFilter"])
	}
	info := SignatureInfo{
		Name: text(d["Name"]), Reason: text(d["Reason"]), Location: text(d["Location"]), ClaimedTime: pdfTime(text(d["M"])),
	}
	if err := byteRange(&info, f.Data, r, located, d); err != nil {
		return SignatureInfo{}, err
	}
	br := info.ByteRange
	h := sha256.New()
	h.Write(f.Data[:br[1]])
	h.Write(f.Data[br[2] : br[2]+br[3]])
	contents, _ := d["Contents"].(String)
	if err := verifyCMS(&info, contents, h.Sum(nil)); err != nil {
		return SignatureInfo{}, err
	}
	return info, nil
}

// byteRange checks that the signed ranges are the whole file up to the end of the revision, less the /Contents string.
func byteRange(info *SignatureInfo, data []byte, r Revision, located Located, d Dict) error {
	list, _ := d["ByteRange"].(Array)
	if len(list) != 4 {
		return errors.New("its /ByteRange does not have four numbers")
	}
	for i, e := range list {
		n, ok := e.(int64)
		if !ok || n < 0 || n > int64(len(data)) {
			return errors.New("its /ByteRange has a number outside the file")
		}
		info.ByteRange[i] = n
	}
	br := info.ByteRange
	if br[0] != 0 || br[2]+br[3] != int64(r.End) {
		return errors.New("its /ByteRange does not cover the file up to the end of its revision")
	}
	if br[1] >= br[2] || br[1] < int64(located.Start) || br[2] > int64(located.End) {
		return errors.New("its /ByteRange leaves out more than the signature")
	}
	gap := data[br[1]:br[2]]
	before := bytes.TrimRight(data[located.Start:br[1]], " ")
	if len(gap) < 2 || gap[0] != '<' || gap[len(gap)-1] != '>' || !bytes.HasSuffix(before, []byte("/Contents")) {
		return errors.New("its /ByteRange does not leave out exactly the /Contents string")
	}
	for _, c := range gap[1 : len(gap)-1] {
		if _, ok := hexDigit(c); !ok {
			return errors.New("its /Contents holds something other than hexadecimal digits")
		}
	}
	return nil
}

func text(v any) string {
	s, _ := v.(String)
	return Text(s)
}

// pdfTime reads "D:YYYYMMDDHHmmSSZ" or the same with an offset; the zero time for anything else.
func pdfTime(s string) time.Time {
	for _, layout := range []string{"D:20060102150405Z", "D:20060102150405-07'00'", "D:20060102150405Z00'00'"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func sortedKeys[V any](m map[int]V) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Ints(keys)
	return keys
}

func decodeUTF16(u []uint16) string { return string(utf16.Decode(u)) }

func encodeUTF16(s string) []uint16 { return utf16.Encode([]rune(s)) }

// FormatTime gives the PDF form of t in UTC, as Verify reads it.
func FormatTime(t time.Time) string {
	t = t.UTC()
	return "D:" + strconv.Itoa(t.Year()) + t.Format("0102150405") + "Z"
}
