package pdfsig

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// The value types of a PDF object. Null is nil, booleans are bool, integers int64, reals float64.
type (
	// Name is a PDF name without its slash.
	Name string
	// String is a PDF string, decoded from its literal or hexadecimal form.
	String []byte
	// Array is a PDF array.
	Array []any
	// Dict is a PDF dictionary; keys carry no slash.
	Dict map[Name]any
	// Ref is an indirect reference.
	Ref struct{ Num, Gen int }
	// Stream is a stream object: its dictionary and its raw, still filtered, bytes.
	Stream struct {
		Dict Dict
		Raw  []byte
	}
)

// maxDepth bounds the nesting of arrays and dictionaries, so that hostile input cannot exhaust the stack.
const maxDepth = 32

// parser reads PDF syntax from data at pos. It never reads outside data.
type parser struct {
	data []byte
	pos  int
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", p.pos, fmt.Sprintf(format, args...))
}

func isSpace(c byte) bool {
	return c == 0 || c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == ' '
}

func isDelim(c byte) bool { return bytes.IndexByte([]byte("()<>[]{}/%"), c) >= 0 }

// space skips white space and comments.
func (p *parser) space() {
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case isSpace(c):
			p.pos++
		case c == '%':
			for p.pos < len(p.data) && p.data[p.pos] != '\n' && p.data[p.pos] != '\r' {
				p.pos++
			}
		default:
			return
		}
	}
}

// token reads a run of regular characters.
func (p *parser) token() string {
	start := p.pos
	for p.pos < len(p.data) && !isSpace(p.data[p.pos]) && !isDelim(p.data[p.pos]) {
		p.pos++
	}
	return string(p.data[start:p.pos])
}

// keyword consumes the given word, which must end at a delimiter.
func (p *parser) keyword(word string) error {
	p.space()
	start := p.pos
	if got := p.token(); got != word {
		p.pos = start
		return p.errorf("expected %q", word)
	}
	return nil
}

func (p *parser) integer() (int, error) {
	p.space()
	start := p.pos
	t := p.token()
	n, err := strconv.Atoi(t)
	if err != nil || n < 0 || len(t) > 10 {
		p.pos = start
		return 0, p.errorf("expected a whole number")
	}
	return n, nil
}

// object reads one object; depth counts the containers around it.
func (p *parser) object(depth int) (any, error) {
	if depth > maxDepth {
		return nil, p.errorf("nested deeper than %d", maxDepth)
	}
	p.space()
	if p.pos >= len(p.data) {
		return nil, p.errorf("unexpected end of file")
	}
	switch c := p.data[p.pos]; {
	case c == '/':
		return p.name()
	case c == '(':
		return p.literal()
	case c == '[':
		return p.array(depth)
	case bytes.HasPrefix(p.data[p.pos:], []byte("<<")):
		return p.dict(depth)
	case c == '<':
		return p.hex()
	}
	return p.scalar()
}

// scalar reads a number, a reference, or one of true, false and null.
func (p *parser) scalar() (any, error) {
	start := p.pos
	t := p.token()
	switch t {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "null":
		return nil, nil
	}
	if n, err := strconv.ParseInt(t, 10, 64); err == nil {
		after := p.pos
		if gen, err := p.integer(); err == nil && n >= 0 && n <= 1<<31 && gen == 0 {
			if p.keyword("R") == nil {
				return Ref{int(n), gen}, nil
			}
		}
		p.pos = after
		return n, nil
	}
	f, err := strconv.ParseFloat(t, 64)
	// PDF reals have no exponent, no infinity and no hexadecimal form, all of which strconv would take.
	if err != nil || strings.Trim(t, "+-.0123456789") != "" || math.IsInf(f, 0) {
		p.pos = start
		return nil, p.errorf("unknown token %.20q", t)
	}
	return f, nil
}

func (p *parser) name() (any, error) {
	p.pos++
	raw := p.token()
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '#' {
			out = append(out, raw[i])
			continue
		}
		if i+2 >= len(raw) {
			return nil, p.errorf("truncated # escape in a name")
		}
		v, err := strconv.ParseUint(raw[i+1:i+3], 16, 8)
		if err != nil {
			return nil, p.errorf("bad # escape in a name")
		}
		out = append(out, byte(v))
		i += 2
	}
	return Name(out), nil
}

// literal reads a (…) string, with balanced parentheses and backslash escapes.
func (p *parser) literal() (any, error) {
	out := String{}
	level := 1
	for p.pos++; p.pos < len(p.data); p.pos++ {
		switch c := p.data[p.pos]; c {
		case '(':
			level++
			out = append(out, c)
		case ')':
			if level--; level == 0 {
				p.pos++
				return out, nil
			}
			out = append(out, c)
		case '\\':
			p.pos++
			if p.pos >= len(p.data) {
				return nil, p.errorf("unexpected end of a string")
			}
			out = p.escape(out)
		default:
			out = append(out, c)
		}
	}
	return nil, p.errorf("unterminated string")
}

// escape appends the value of the escape whose first character is at pos, and leaves pos at its last one.
func (p *parser) escape(out String) String {
	switch c := p.data[p.pos]; c {
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case '\r':
		if p.pos+1 < len(p.data) && p.data[p.pos+1] == '\n' {
			p.pos++
		}
		return out
	case '\n':
		return out
	default:
		if c < '0' || c > '7' {
			return append(out, c)
		}
		v := 0
		n := 0
		for ; n < 3 && p.pos+n < len(p.data); n++ {
			d := p.data[p.pos+n]
			if d < '0' || d > '7' {
				break
			}
			v = v*8 + int(d-'0')
		}
		p.pos += n - 1
		return append(out, byte(v))
	}
}

func (p *parser) hex() (any, error) {
	out := String{}
	var half byte
	digits := 0
	for p.pos++; p.pos < len(p.data); p.pos++ {
		c := p.data[p.pos]
		if c == '>' {
			p.pos++
			if digits%2 == 1 {
				out = append(out, half<<4)
			}
			return out, nil
		}
		if isSpace(c) {
			continue
		}
		v, ok := hexDigit(c)
		if !ok {
			return nil, p.errorf("bad digit in a hexadecimal string")
		}
		if digits%2 == 1 {
			out = append(out, half<<4|v)
		}
		half = v
		digits++
	}
	return nil, p.errorf("unterminated hexadecimal string")
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func (p *parser) array(depth int) (any, error) {
	p.pos++
	out := Array{}
	for {
		p.space()
		if p.pos < len(p.data) && p.data[p.pos] == ']' {
			p.pos++
			return out, nil
		}
		v, err := p.object(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
}

func (p *parser) dict(depth int) (any, error) {
	p.pos += 2
	out := Dict{}
	for {
		p.space()
		if bytes.HasPrefix(p.data[p.pos:], []byte(">>")) {
			p.pos += 2
			return out, nil
		}
		if p.pos >= len(p.data) || p.data[p.pos] != '/' {
			return nil, p.errorf("expected a name in a dictionary")
		}
		k, err := p.name()
		if err != nil {
			return nil, err
		}
		// Readers differ in which of two equal keys they take, so neither is acceptable in signed bytes.
		if _, dup := out[k.(Name)]; dup {
			return nil, p.errorf("key /%s occurs twice in a dictionary", k)
		}
		if out[k.(Name)], err = p.object(depth + 1); err != nil {
			return nil, err
		}
	}
}

// indirect reads "n 0 obj … endobj" and returns its number and value.
func (p *parser) indirect() (int, any, error) {
	num, err := p.integer()
	if err != nil {
		return 0, nil, err
	}
	if gen, err := p.integer(); err != nil || gen != 0 {
		return 0, nil, p.errorf("object %d has a generation other than 0", num)
	}
	if err := p.keyword("obj"); err != nil {
		return 0, nil, err
	}
	v, err := p.object(0)
	if err != nil {
		return 0, nil, fmt.Errorf("object %d: %w", num, err)
	}
	if d, ok := v.(Dict); ok && p.keyword("stream") == nil {
		raw, err := p.streamData(d)
		if err != nil {
			return 0, nil, fmt.Errorf("object %d: %w", num, err)
		}
		v = &Stream{Dict: d, Raw: raw}
	}
	return num, v, p.keyword("endobj")
}

func (p *parser) streamData(d Dict) ([]byte, error) {
	n, ok := d["Length"].(int64)
	if !ok {
		return nil, errors.New("stream /Length must be a direct whole number")
	}
	if p.pos < len(p.data) && p.data[p.pos] == '\r' {
		p.pos++
	}
	if p.pos >= len(p.data) || p.data[p.pos] != '\n' {
		return nil, p.errorf("expected a line end after \"stream\"")
	}
	p.pos++
	if n < 0 || n > int64(len(p.data)-p.pos) {
		return nil, p.errorf("stream /Length %d runs past the end of the file", n)
	}
	raw := p.data[p.pos : p.pos+int(n)]
	p.pos += int(n)
	return raw, p.keyword("endstream")
}

// AppendObject appends the PDF form of v, with dictionary keys sorted so that equal values give equal bytes.
// It panics on a type that is not one of this package's value types, which is a mistake of the caller.
func AppendObject(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		at := len(b)
		b = strconv.AppendFloat(b, v, 'f', -1, 64)
		if !bytes.ContainsRune(b[at:], '.') {
			b = append(b, ".0"...)
		}
		return b
	case Name:
		return appendName(b, v)
	case String:
		return appendString(b, v)
	case Ref:
		return fmt.Appendf(b, "%d %d R", v.Num, v.Gen)
	case Array:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ' ')
			}
			b = AppendObject(b, e)
		}
		return append(b, ']')
	case Dict:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, string(k))
		}
		sort.Strings(keys)
		b = append(b, "<<"...)
		for _, k := range keys {
			b = append(appendName(b, Name(k)), ' ')
			b = append(AppendObject(b, v[Name(k)]), '\n')
		}
		return append(b, ">>"...)
	case *Stream:
		b = append(AppendObject(b, v.Dict), "\nstream\n"...)
		b = append(b, v.Raw...)
		return append(b, "\nendstream"...)
	}
	panic(fmt.Sprintf("pdfsig: no PDF form for %T", v))
}

func appendName(b []byte, n Name) []byte {
	b = append(b, '/')
	for i := 0; i < len(n); i++ {
		if c := n[i]; c <= ' ' || c > '~' || c == '#' || isDelim(c) {
			b = fmt.Appendf(b, "#%02X", c)
		} else {
			b = append(b, c)
		}
	}
	return b
}

func appendString(b []byte, s String) []byte {
	b = append(b, '(')
	for _, c := range s {
		switch {
		case c == '(' || c == ')' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = fmt.Appendf(b, "\\%03o", c)
		default:
			b = append(b, c)
		}
	}
	return append(b, ')')
}
