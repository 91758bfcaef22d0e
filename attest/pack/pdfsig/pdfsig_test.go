package pdfsig

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// signedTwice is a document of reports/pdf with two signatures, of which the second has a timestamp token.
func signedTwice(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/signed-twice.pdf")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestVerify(t *testing.T) {
	infos, err := Verify(signedTwice(t))
	if err != nil {
		t.Fatal(err)
	}
	when := time.Date(2026, 11, 20, 14, 12, 0, 0, time.UTC)
	if len(infos) != 2 || infos[0].Field != "Signature1" || infos[1].Field != "Signature2" || infos[0].Name != "Tomasz Zieliński" ||
		infos[1].Signer.Subject.CommonName != "Renée Okafor" || len(infos[0].Certificates) != 2 || !infos[0].ClaimedTime.Equal(when) ||
		!infos[1].TimestampTime.Equal(when.Add(time.Minute)) || infos[0].CoversWholeFile || !infos[1].CoversWholeFile {
		t.Errorf("%+v", infos)
	}
}

// TestTampering lists changes that leave the file readable and must be refused for their own reason.
func TestTampering(t *testing.T) {
	good := signedTwice(t)
	f, err := Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) []byte {
		if len(old) != len(new) || !bytes.Contains(good, []byte(old)) {
			t.Fatalf("%q cannot be replaced by %q", old, new)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	flipAfter := func(marker string, offset int) []byte {
		out := bytes.Clone(good)
		out[bytes.LastIndex(out, []byte(marker))+len(marker)+offset] ^= 1
		return out
	}
	firstEnd := f.Revisions[0].End
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"title":               {replace("(Model card: Example)", "(Model card: Sample!)"), "digest mismatch"},
		"reason":              {replace("(Validation decision)", "(Rejection decision!)"), "digest mismatch"},
		"first content byte":  {flipAfter("/Type /Page", 40), ""},
		"sub filter":          {replace("/ETSI.CAdES.detached", "/adbe.pkcs7.detached"), "only ETSI.CAdES.detached"},
		"range":               {bytes.Replace(good, []byte("/ByteRange [0 0"), []byte("/ByteRange [1 0"), 1), "ByteRange"},
		"signatures cut off":  {good[:firstEnd], "not signed"},
		"second cut off":      {good[:f.Revisions[1].End], ""},
		"bytes at the end":    {append(bytes.Clone(good), "x"...), "after the last %%EOF"},
		"truncated":           {good[:len(good)-9], ""},
		"bytes in between":    {append(append(bytes.Clone(good[:firstEnd]), "1 0 obj\nnull\nendobj\n"...), good[firstEnd:]...), ""},
		"padding not zero":    {padding(good), "bytes after the CMS structure"},
		"token":               {flipAfter("/Contents <", 5900), ""},
		"not a PDF":           {[]byte("hello"), "does not start with"},
		"empty":               {nil, "does not start with"},
		"second field's name": {replace("(Signature2)", "(Signature9)"), ""},
	} {
		infos, err := Verify(c.data)
		if name == "second cut off" {
			if err != nil || len(infos) != 1 {
				t.Errorf("%s: a document with the first signature alone is as the first signer left it: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that says %q", name, err, c.want)
		}
	}
}

// padding puts a digit other than zero at the end of the last signature's room.
func padding(good []byte) []byte {
	out := bytes.Clone(good)
	at := bytes.LastIndex(out, []byte("0>\n/M"))
	out[at] = '1'
	return out
}

func TestObjectsRoundTrip(t *testing.T) {
	for in, want := range map[string]any{
		"null": nil, "true": true, "-17": int64(-17), "3.25": 3.25, "/A#20b": Name("A b"), "12 0 R": Ref{12, 0},
		`(a\(b\)\\ \101\n(nested))`: String("a(b)\\ A\n(nested)"), "<48 656C6c6>": String("Hell`"), "[1 2 0 R /x [ ]]": Array{int64(1), Ref{2, 0}, Name("x"), Array{}},
		"<< /A << /B (c) >> /D [ ] % comment\n >>": Dict{"A": Dict{"B": String("c")}, "D": Array{}},
	} {
		p := &parser{data: []byte(in)}
		got, err := p.object(0)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v", in, got, err)
			continue
		}
		p = &parser{data: AppendObject(nil, got)}
		if again, err := p.object(0); err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("%s: written as %s, read as %#v, %v", in, p.data, again, err)
		}
	}
	for _, bad := range []string{"", "(", "<", "<4", "[", "<<", "<</A>>", "<</A 1 /A 2>>", "foo", "<zz>", "/A#", "/A#zz", "(\\", "12 0 obj(", strings.Repeat("[", 99), "<<1 2>>", ">>"} {
		if v, err := (&parser{data: []byte(bad)}).object(0); err == nil && bad != "12 0 obj(" {
			t.Errorf("%q read as %#v", bad, v)
		}
	}
}

func TestText(t *testing.T) {
	for _, s := range []string{"", "plain (x)", "Zieliński", "😀 and é"} {
		if got := Text(EncodeText(s)); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestHostileFilesAreRefused(t *testing.T) {
	build := func(body, table, trailer string) []byte {
		head := "%PDF-1.7\n" + body
		return fmt.Appendf(nil, "%sxref\n%strailer\n%s\nstartxref\n%d\n%%%%EOF\n", head, table, trailer, len(head))
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"many entries":   {build("", "0 99999999\n", "<<>>"), "more entries"},
		"loop":           {build("", "", "<</Prev 9>>"), "Prev"},
		"hidden object":  {build("1 0 obj\nnull\nendobj\n", "0 1\n0000000000 65535 f \n", "<<>>"), "not the one"},
		"missing object": {build("", "1 1\n0000000009 00000 n \n", "<<>>"), "not in the revision's body"},
		"encrypted":      {build("", "", "<</Encrypt 1 0 R>>"), "encrypted"},
		"long stream":    {build("1 0 obj\n<</Length 999>>stream\nx\nendstream\nendobj\n", "1 1\n0000000009 00000 n \n", "<<>>"), "runs past"},
		"no catalog":     {build("", "", "<<>>"), "names no catalog"},
		"too large":      {append([]byte("%PDF-"), make([]byte, MaxSize)...), "more than the limit"},
	} {
		if _, err := Verify(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that says %q", name, err, c.want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(signedTwice(f))
	f.Add([]byte("%PDF-1.7\nxref\n0 1\n0000000000 65535 f \ntrailer\n<</Size 1>>\nstartxref\n9\n%%EOF\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		infos, err := Verify(data)
		if err == nil && len(infos) == 0 {
			t.Error("accepted without a signature")
		}
	})
}

func FuzzObject(f *testing.F) {
	for _, s := range []string{"<</A [1 2 0 R (x) <41>]>>", "(\\053)", "/N#41", "-1.5"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := (&parser{data: data}).object(0)
		if err != nil {
			return
		}
		again, err := (&parser{data: AppendObject(nil, v)}).object(0)
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Errorf("%q: %#v written and read as %#v, %v", data, v, again, err)
		}
	})
}
