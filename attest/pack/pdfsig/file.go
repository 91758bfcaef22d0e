package pdfsig

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// MaxSize is the largest file, in bytes, that Parse accepts.
const MaxSize = 64 << 20

// maxRevisions bounds how many incremental updates a file may carry.
const maxRevisions = 32

// Located is an object with the bytes [Start, End) that it occupies in the file.
type Located struct {
	Value      any
	Start, End int
}

// Revision is one body, cross-reference table and trailer: the first is the document, later ones are incremental updates.
type Revision struct {
	// Start and End bound the revision's bytes: End is just after the line end that follows %%EOF.
	Start, End int
	// Xref is the offset of the revision's cross-reference table.
	Xref    int
	Trailer Dict
	// Objects holds what this revision defines, by object number.
	Objects map[int]Located
}

// File is a parsed PDF in the plain layout that Affidavit writes: classic cross-reference tables, no object streams,
// no encryption, and not one byte that is not part of a listed object, a comment or the file's structure.
type File struct {
	Data      []byte
	Revisions []Revision
}

// Parse reads the whole file strictly. The strictness is the defence: readers that repair damaged files can be made to
// show different things for the same signed bytes, and a file in which every byte is accounted for leaves no room for that.
func Parse(data []byte) (*File, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("pdf: the file has %d bytes, more than the limit of %d", len(data), MaxSize)
	}
	if !bytes.HasPrefix(data, []byte("%PDF-")) {
		return nil, errors.New("pdf: the file does not start with %PDF-")
	}
	xref, err := lastXref(data)
	if err != nil {
		return nil, fmt.Errorf("pdf: %w", err)
	}
	var newestFirst []Revision
	var tables []map[int]int
	limit := len(data)
	for {
		if len(newestFirst) == maxRevisions {
			return nil, fmt.Errorf("pdf: more than %d revisions", maxRevisions)
		}
		rev, table, err := parseXref(data[:limit], xref)
		if err != nil {
			return nil, fmt.Errorf("pdf: cross-reference table at byte %d: %w", xref, err)
		}
		if rev.End != limit && !(len(newestFirst) > 0 && rev.End <= limit) {
			return nil, fmt.Errorf("pdf: %d bytes after the last %%%%EOF", limit-rev.End)
		}
		newestFirst = append(newestFirst, rev)
		tables = append(tables, table)
		prev, ok := rev.Trailer["Prev"]
		if !ok {
			break
		}
		n, isInt := prev.(int64)
		if !isInt || n < 0 || n >= int64(xref) {
			return nil, errors.New("pdf: /Prev does not point to an earlier cross-reference table")
		}
		xref, limit = int(n), xref
	}
	f := &File{Data: data}
	start := 0
	for i := len(newestFirst) - 1; i >= 0; i-- {
		rev := newestFirst[i]
		rev.Start = start
		if err := rev.parseBody(data, tables[i]); err != nil {
			return nil, fmt.Errorf("pdf: revision %d: %w", len(f.Revisions)+1, err)
		}
		f.Revisions = append(f.Revisions, rev)
		start = rev.End
	}
	return f, nil
}

// lastXref reads the offset in "startxref n %%EOF" at the very end of the file.
func lastXref(data []byte) (int, error) {
	tail := data[max(0, len(data)-64):]
	at := bytes.LastIndex(tail, []byte("startxref"))
	if at < 0 {
		return 0, errors.New("no startxref at the end of the file")
	}
	p := &parser{data: tail, pos: at + len("startxref")}
	n, err := p.integer()
	if err != nil || n >= len(data) {
		return 0, errors.New("startxref does not point into the file")
	}
	return n, nil
}

// parseXref reads the table at offset xref, its trailer and the end of the revision. The table maps numbers to offsets.
func parseXref(data []byte, xref int) (Revision, map[int]int, error) {
	if xref >= len(data) {
		return Revision{}, nil, errors.New("it lies outside its revision")
	}
	p := &parser{data: data, pos: xref}
	if !bytes.HasPrefix(data[xref:], []byte("xref")) {
		return Revision{}, nil, errors.New("no \"xref\" there: cross-reference streams are not supported")
	}
	p.pos += len("xref")
	table := map[int]int{}
	for p.keyword("trailer") != nil {
		first, err := p.integer()
		if err != nil {
			return Revision{}, nil, err
		}
		count, err := p.integer()
		if err != nil {
			return Revision{}, nil, err
		}
		if count > (len(data)-p.pos)/18 {
			return Revision{}, nil, errors.New("more entries than the file can hold")
		}
		for i := range count {
			offset, err := p.integer()
			if err != nil {
				return Revision{}, nil, err
			}
			if _, err := p.integer(); err != nil {
				return Revision{}, nil, err
			}
			p.space()
			switch kind := p.token(); kind {
			case "n":
				if _, dup := table[first+i]; dup {
					return Revision{}, nil, fmt.Errorf("object %d is listed twice", first+i)
				}
				table[first+i] = offset
			case "f":
			default:
				return Revision{}, nil, fmt.Errorf("entry kind %.5q is neither n nor f", kind)
			}
		}
	}
	v, err := p.object(0)
	if err != nil {
		return Revision{}, nil, err
	}
	trailer, ok := v.(Dict)
	if !ok {
		return Revision{}, nil, errors.New("the trailer is not a dictionary")
	}
	if _, encrypted := trailer["Encrypt"]; encrypted {
		return Revision{}, nil, errors.New("encrypted files are not supported")
	}
	if err := p.keyword("startxref"); err != nil {
		return Revision{}, nil, err
	}
	if n, err := p.integer(); err != nil || n != xref {
		return Revision{}, nil, errors.New("startxref does not point to its own table")
	}
	for p.pos < len(data) && isSpace(data[p.pos]) {
		p.pos++
	}
	if !bytes.HasPrefix(data[p.pos:], []byte("%%EOF")) {
		return Revision{}, nil, errors.New("no %%EOF after startxref")
	}
	p.pos += len("%%EOF")
	for n := 0; n < 2 && p.pos < len(data) && (data[p.pos] == '\r' || data[p.pos] == '\n'); n++ {
		p.pos++
	}
	return Revision{Xref: xref, End: p.pos, Trailer: trailer}, table, nil
}

// parseBody reads the objects between Start and Xref one after the other, and requires that they are exactly those of the table.
func (r *Revision) parseBody(data []byte, table map[int]int) error {
	p := &parser{data: data[:r.Xref], pos: r.Start}
	r.Objects = make(map[int]Located, len(table))
	for {
		p.space()
		if p.pos >= r.Xref {
			break
		}
		start := p.pos
		num, v, err := p.indirect()
		if err != nil {
			return err
		}
		if at, ok := table[num]; !ok || at != start {
			return fmt.Errorf("object %d at byte %d is not the one that the cross-reference table lists", num, start)
		}
		r.Objects[num] = Located{Value: v, Start: start, End: p.pos}
	}
	if len(r.Objects) != len(table) {
		return errors.New("the cross-reference table lists objects that are not in the revision's body")
	}
	return nil
}

// Object returns the value of object num as a reader of revision rev (counted from 0) sees it, or nil if it has none.
func (f *File) Object(rev, num int) any {
	for i := min(rev, len(f.Revisions)-1); i >= 0; i-- {
		if o, ok := f.Revisions[i].Objects[num]; ok {
			return o.Value
		}
	}
	return nil
}

// Resolve follows v if it is a reference, as seen from revision rev; chains of references end after a few steps.
func (f *File) Resolve(rev int, v any) any {
	for range 8 {
		ref, ok := v.(Ref)
		if !ok {
			return v
		}
		v = f.Object(rev, ref.Num)
	}
	return nil
}

// Field is a signature field of the document's form.
type Field struct {
	Num  int // object number
	Name string
	Dict Dict
}

// SignatureFields lists the form's signature fields as seen from revision rev, in the form's order.
func (f *File) SignatureFields(rev int) ([]Field, error) {
	root, _ := f.Resolve(rev, f.Revisions[rev].Trailer["Root"]).(Dict)
	if root == nil {
		return nil, errors.New("pdf: the trailer names no catalog")
	}
	form, _ := f.Resolve(rev, root["AcroForm"]).(Dict)
	list, _ := f.Resolve(rev, form["Fields"]).(Array)
	var out []Field
	for _, e := range list {
		ref, ok := e.(Ref)
		if !ok {
			return nil, errors.New("pdf: a form field is not an indirect object")
		}
		d, _ := f.Object(rev, ref.Num).(Dict)
		if d["FT"] != Name("Sig") {
			continue
		}
		name, _ := d["T"].(String)
		out = append(out, Field{Num: ref.Num, Name: Text(name), Dict: d})
	}
	return out, nil
}

// Text decodes a PDF text string: UTF-16BE with a byte order mark, otherwise taken as Latin-1.
func Text(s String) string {
	if !bytes.HasPrefix(s, []byte{0xfe, 0xff}) {
		r := make([]rune, len(s))
		for i, c := range s {
			r[i] = rune(c)
		}
		return string(r)
	}
	units := make([]uint16, 0, len(s)/2)
	for i := 2; i+1 < len(s); i += 2 {
		units = append(units, uint16(s[i])<<8|uint16(s[i+1]))
	}
	return decodeUTF16(units)
}

// EncodeText gives the text string that Text decodes: ASCII as it is, anything else as UTF-16BE with a mark.
func EncodeText(s string) String {
	ascii := true
	for i := 0; i < len(s); i++ {
		ascii = ascii && s[i] >= ' ' && s[i] <= '~'
	}
	if ascii {
		return String(s)
	}
	out := String{0xfe, 0xff}
	for _, u := range encodeUTF16(s) {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}

// AppendXref appends a cross-reference table for the given offsets (object number → byte), a trailer and the file's end.
// With withFree it also lists object 0, as the first revision must.
func AppendXref(b []byte, offsets map[int]int, withFree bool, trailer Dict) []byte {
	xref := len(b)
	b = append(b, "xref\n"...)
	nums := sortedKeys(offsets)
	if withFree {
		nums = append([]int{0}, nums...)
	}
	for i := 0; i < len(nums); {
		j := i + 1
		for j < len(nums) && nums[j] == nums[j-1]+1 {
			j++
		}
		b = fmt.Appendf(b, "%d %d\n", nums[i], j-i)
		for _, n := range nums[i:j] {
			if n == 0 {
				b = append(b, "0000000000 65535 f \n"...)
				continue
			}
			b = fmt.Appendf(b, "%010d 00000 n \n", offsets[n])
		}
		i = j
	}
	b = append(b, "trailer\n"...)
	b = AppendObject(b, trailer)
	b = append(b, "\nstartxref\n"...)
	b = strconv.AppendInt(b, int64(xref), 10)
	return append(b, "\n%%EOF\n"...)
}
