package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth is the deepest nesting of JSON that is read.
const maxDepth = 64

// scanner walks JSON text once, beside the shape of the Go value that it will
// be decoded into. It judges names, nesting and numbers; encoding/json, which
// decodes afterwards, settles the rest of the grammar.
type scanner struct {
	b   []byte
	pos int
}

// shape is what scanner must know of a Go type. A nil shape accepts anything.
type shape struct {
	fields map[string]*shape // exact JSON names, for structs
	folded map[string]string // folded name → exact name
	open   bool              // unknown fields are allowed
	elem   *shape            // of slices and maps
}

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", s.pos, fmt.Sprintf(format, args...))
}

func (s *scanner) document(sh *shape) error {
	if !utf8.Valid(s.b) {
		return errors.New("it is not valid UTF-8")
	}
	if err := s.value(sh, 0); err != nil {
		return err
	}
	if s.space(); s.pos != len(s.b) {
		return s.errorf("bytes follow the JSON value")
	}
	return nil
}

func (s *scanner) space() {
	for s.pos < len(s.b) {
		switch s.b[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) peek() byte {
	s.space()
	if s.pos < len(s.b) {
		return s.b[s.pos]
	}
	return 0
}

func (s *scanner) value(sh *shape, depth int) error {
	c := s.peek()
	if depth >= maxDepth && (c == '{' || c == '[') {
		return s.errorf("nested deeper than %d", maxDepth)
	}
	switch c {
	case '{':
		return s.object(sh, depth)
	case '[':
		return s.array(sh, depth)
	case '"':
		_, err := s.str()
		return err
	case 't', 'f', 'n':
		for _, word := range []string{"true", "false", "null"} {
			if strings.HasPrefix(string(s.b[s.pos:min(len(s.b), s.pos+5)]), word) {
				s.pos += len(word)
				return nil
			}
		}
		return s.errorf("unknown word")
	default:
		if c == '-' || (c >= '0' && c <= '9') {
			return s.number()
		}
		return s.errorf("expected a JSON value")
	}
}

func (s *scanner) object(sh *shape, depth int) error {
	s.pos++ // {
	var seen map[string]struct{}
	for first := true; ; first = false {
		c := s.peek()
		if c == '}' && first {
			s.pos++
			return nil
		}
		if c != '"' {
			return s.errorf("expected a member name")
		}
		key, err := s.str()
		if err != nil {
			return err
		}
		fold := foldName(key)
		if seen == nil {
			seen = make(map[string]struct{}, 8)
		}
		if _, dup := seen[fold]; dup {
			return s.errorf("member %q appears twice, or twice but for case", key)
		}
		seen[fold] = struct{}{}
		child, err := s.field(sh, key, fold)
		if err != nil {
			return err
		}
		if s.peek() != ':' {
			return s.errorf("expected a colon")
		}
		s.pos++
		if err := s.value(child, depth+1); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return nil
		default:
			return s.errorf("expected a comma or the end of the object")
		}
	}
}

func (s *scanner) field(sh *shape, key, fold string) (*shape, error) {
	if sh == nil || sh.fields == nil {
		if sh != nil {
			return sh.elem, nil
		}
		return nil, nil
	}
	if child, ok := sh.fields[key]; ok {
		return child, nil
	}
	if exact, ok := sh.folded[fold]; ok {
		return nil, s.errorf("member %q must be spelled %q", key, exact)
	}
	if !sh.open {
		return nil, s.errorf("unknown member %q", key)
	}
	return nil, nil
}

func (s *scanner) array(sh *shape, depth int) error {
	var elem *shape
	if sh != nil {
		elem = sh.elem
	}
	s.pos++ // [
	for first := true; ; first = false {
		if s.peek() == ']' && first {
			s.pos++
			return nil
		}
		if err := s.value(elem, depth+1); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return nil
		default:
			return s.errorf("expected a comma or the end of the array")
		}
	}
}

// str reads a string literal and returns its value.
func (s *scanner) str() (string, error) {
	start := s.pos
	escaped := false
	for s.pos++; s.pos < len(s.b); s.pos++ {
		switch c := s.b[s.pos]; {
		case c == '"':
			s.pos++
			if !escaped {
				return string(s.b[start+1 : s.pos-1]), nil
			}
			var v string
			if err := json.Unmarshal(s.b[start:s.pos], &v); err != nil {
				return "", s.errorf("malformed string")
			}
			return v, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return "", err
			}
		case c < 0x20:
			return "", s.errorf("control character in a string")
		}
	}
	return "", s.errorf("string without end")
}

// escape steps over an escape sequence and leaves pos on its last byte. A lone
// surrogate is refused: decoders disagree on what it stands for.
func (s *scanner) escape() error {
	s.pos++
	if s.pos >= len(s.b) {
		return s.errorf("string without end")
	}
	if s.b[s.pos] != 'u' {
		return nil
	}
	r, ok := s.hex4(s.pos + 1)
	if !ok {
		return s.errorf("malformed escape")
	}
	s.pos += 4
	switch {
	case r >= 0xDC00 && r < 0xE000:
		return s.errorf("lone surrogate")
	case r >= 0xD800 && r < 0xDC00:
		if s.pos+2 >= len(s.b) || s.b[s.pos+1] != '\\' || s.b[s.pos+2] != 'u' {
			return s.errorf("lone surrogate")
		}
		low, ok := s.hex4(s.pos + 3)
		if !ok || low < 0xDC00 || low >= 0xE000 {
			return s.errorf("lone surrogate")
		}
		s.pos += 6
	}
	return nil
}

func (s *scanner) hex4(at int) (uint64, bool) {
	if at+4 > len(s.b) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(s.b[at:at+4]), 16, 16)
	return v, err == nil
}

func (s *scanner) number() error {
	start := s.pos
	integer := true
	for ; s.pos < len(s.b); s.pos++ {
		c := s.b[s.pos]
		if c == '.' || c == 'e' || c == 'E' || c == '+' {
			integer = false
		} else if c != '-' && (c < '0' || c > '9') {
			break
		}
	}
	if integer && s.pos-start <= 15 {
		return nil
	}
	f, err := strconv.ParseFloat(string(s.b[start:s.pos]), 64)
	if err != nil || math.IsInf(f, 0) {
		return s.errorf("number out of range")
	}
	if integer && math.Abs(f) >= 1<<53 {
		return s.errorf("integer of 2^53 or more; write it as a string")
	}
	return nil
}

// foldName maps names that encoding/json takes for the same field to the same
// string: each rune becomes the smallest of its simple case folding orbit.
func foldName(name string) string {
	plain := true
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= utf8.RuneSelf || (c >= 'a' && c <= 'z') {
			plain = false
			break
		}
	}
	if plain {
		return name
	}
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			if r >= 'a' && r <= 'z' {
				return r - 'a' + 'A'
			}
			return r
		}
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, name)
}

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	// knownShapes holds the types that every bundle is read into; it is never
	// changed. Shapes of other types are made when asked for.
	knownShapes = map[reflect.Type]*shape{
		reflect.TypeFor[bundleJSON]():    newShape(reflect.TypeFor[bundleJSON](), false),
		reflect.TypeFor[statementJSON](): newShape(reflect.TypeFor[statementJSON](), false),
		reflect.TypeFor[Step]():          newShape(reflect.TypeFor[Step](), false),
	}
)

func shapeOf(v any) *shape {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return nil
	}
	if sh, ok := knownShapes[t]; ok {
		return sh
	}
	return newShape(t, false)
}

// newShape describes a type; open allows unknown fields in it and below.
func newShape(t reflect.Type, open bool) *shape { return shapes{}.of(t, open) }

// shapes holds the structs being described, so that recursive types end.
type shapes map[shapeKey]*shape

type shapeKey struct {
	t    reflect.Type
	open bool
}

func foreign(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[Provenance](), reflect.TypeFor[TestResult](), reflect.TypeFor[VSA](), reflect.TypeFor[OMS]():
		return true
	}
	return false
}

func (m shapes) of(t reflect.Type, open bool) *shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return &shape{elem: m.of(t.Elem(), open)}
	case reflect.Struct:
		key := shapeKey{t, open || foreign(t)}
		if sh, ok := m[key]; ok {
			return sh
		}
		sh := &shape{fields: map[string]*shape{}, folded: map[string]string{}, open: key.open}
		m[key] = sh
		m.addFields(sh, t)
		return sh
	}
	return nil
}

func (m shapes) addFields(sh *shape, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		typ := f.Type
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if f.Anonymous && name == "" && typ.Kind() == reflect.Struct {
			m.addFields(sh, typ)
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		sh.fields[name] = m.of(f.Type, sh.open)
		sh.folded[foldName(name)] = name
	}
}
