package openinference

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxSkipDepth = 32  // nesting of a value that is skipped
	maxMembers   = 128 // members of an object
)

// scanner reads strict JSON from b; at is the position of the next byte.
type scanner struct {
	b  []byte
	at int
}

func (s *scanner) bad(what string) error {
	return refuse("the request is not valid JSON: %s at byte %d", what, s.at)
}

// peek skips white space and gives the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.b) {
		switch c := s.b[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) want(c byte) error {
	if s.peek() != c {
		return s.bad("expected " + string(rune(c)))
	}
	s.at++
	return nil
}

// null takes the word null if it comes next.
func (s *scanner) null() bool {
	if s.peek() == 'n' && bytes.HasPrefix(s.b[s.at:], []byte("null")) {
		s.at += 4
		return true
	}
	return false
}

// members calls fn for each member of an object with its key; fn reads the
// value and must not keep the key. Keys must differ.
func (s *scanner) members(where string, limit int, fn func(key []byte) error) error {
	if s.peek() != '{' {
		return refuse("%s must be an object", where)
	}
	s.at++
	if s.peek() == '}' {
		s.at++
		return nil
	}
	var buf [8][]byte
	seen := buf[:0]
	for {
		key, err := s.text(where, limit)
		if err != nil {
			return err
		}
		for _, k := range seen {
			if bytes.Equal(k, key) {
				return refuse("%s has the member %q twice", where, key)
			}
		}
		if seen = append(seen, key); len(seen) > maxMembers {
			return refuse("%s has more than %d members", where, maxMembers)
		}
		if err := s.want(':'); err != nil {
			return err
		}
		if err := fn(key); err != nil {
			return err
		}
		if s.peek() == ',' {
			s.at++
			continue
		}
		return s.want('}')
	}
}

// elements calls fn before each element of an array; fn reads it.
func (s *scanner) elements(where string, fn func(i int) error) error {
	if s.peek() != '[' {
		return refuse("%s must be an array", where)
	}
	s.at++
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for i := 0; ; i++ {
		if err := fn(i); err != nil {
			return err
		}
		if s.peek() == ',' {
			s.at++
			continue
		}
		return s.want(']')
	}
}

// text reads a string of at most limit bytes. The result may be a part of the
// body: what keeps it copies it.
func (s *scanner) text(where string, limit int) ([]byte, error) {
	if s.peek() != '"' {
		return nil, refuse("%s: a text is expected at byte %d", where, s.at)
	}
	s.at++
	from := s.at
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case c == '"':
			v := s.b[from:s.at]
			if s.at++; !utf8.Valid(v) {
				return nil, s.bad("a text that is not UTF-8")
			}
			if len(v) > limit {
				return nil, refuse("%s: a text has more than %d bytes", where, limit)
			}
			return v, nil
		case c == '\\':
			return s.escaped(where, from, limit)
		case c < 0x20:
			return nil, s.bad("a control character in a text")
		default:
			s.at++
		}
	}
	return nil, s.bad("a text without end")
}

// escaped reads on from the first escape of a string that began at from.
func (s *scanner) escaped(where string, from, limit int) ([]byte, error) {
	v := bytes.Clone(s.b[from:s.at])
	for s.at < len(s.b) {
		if len(v) > limit {
			return nil, refuse("%s: a text has more than %d bytes", where, limit)
		}
		c := s.b[s.at]
		s.at++
		switch {
		case c == '"':
			if !utf8.Valid(v) {
				return nil, s.bad("a text that is not UTF-8")
			}
			return v, nil
		case c < 0x20:
			return nil, s.bad("a control character in a text")
		case c != '\\':
			v = append(v, c)
			continue
		}
		if s.at >= len(s.b) {
			break
		}
		c = s.b[s.at]
		s.at++
		switch c {
		case '"', '\\', '/':
			v = append(v, c)
		case 'b':
			v = append(v, '\b')
		case 'f':
			v = append(v, '\f')
		case 'n':
			v = append(v, '\n')
		case 'r':
			v = append(v, '\r')
		case 't':
			v = append(v, '\t')
		case 'u':
			r, ok := s.hex()
			if !ok {
				return nil, s.bad("a broken escape")
			}
			if utf16.IsSurrogate(r) {
				if !bytes.HasPrefix(s.b[s.at:], []byte(`\u`)) {
					return nil, s.bad("half a surrogate pair")
				}
				s.at += 2
				low, ok := s.hex()
				if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
					return nil, s.bad("half a surrogate pair")
				}
			}
			v = utf8.AppendRune(v, r)
		default:
			return nil, s.bad("a broken escape")
		}
	}
	return nil, s.bad("a text without end")
}

func (s *scanner) hex() (rune, bool) {
	if s.at+4 > len(s.b) {
		return 0, false
	}
	var r rune
	for _, c := range s.b[s.at : s.at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.at += 4
	return r, true
}

// number takes the characters of a number as JSON writes it.
func (s *scanner) number() (text []byte, whole, ok bool) {
	s.peek()
	from, b := s.at, s.b
	digits := func() bool {
		start := s.at
		for s.at < len(b) && b[s.at] >= '0' && b[s.at] <= '9' {
			s.at++
		}
		return s.at > start
	}
	if s.at < len(b) && b[s.at] == '-' {
		s.at++
	}
	first := s.at
	if !digits() || b[first] == '0' && s.at > first+1 {
		s.at = from
		return nil, false, false
	}
	whole = true
	if s.at < len(b) && b[s.at] == '.' {
		s.at++
		if whole = false; !digits() {
			return nil, false, false
		}
	}
	if s.at < len(b) && (b[s.at] == 'e' || b[s.at] == 'E') {
		s.at++
		if s.at < len(b) && (b[s.at] == '+' || b[s.at] == '-') {
			s.at++
		}
		if whole = false; !digits() {
			return nil, false, false
		}
	}
	return b[from:s.at], whole, true
}

// float reads a number, null or NaN (both NaN), Infinity or -Infinity.
func (s *scanner) float(bits int) (float64, bool) {
	switch s.peek() {
	case 'n', 'N', 'I', '-':
		for _, w := range []struct {
			word  string
			value float64
		}{{"null", math.NaN()}, {"NaN", math.NaN()}, {"Infinity", math.Inf(1)}, {"-Infinity", math.Inf(-1)}} {
			if bytes.HasPrefix(s.b[s.at:], []byte(w.word)) {
				s.at += len(w.word)
				return w.value, true
			}
		}
	}
	text, _, ok := s.number()
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(text), bits)
	return v, err == nil
}

func (s *scanner) bool() (v, ok bool) {
	s.peek()
	if bytes.HasPrefix(s.b[s.at:], []byte("true")) {
		s.at += 4
		return true, true
	}
	if bytes.HasPrefix(s.b[s.at:], []byte("false")) {
		s.at += 5
		return false, true
	}
	return false, false
}

// skip passes over one array without reading it; strings are respected.
func (s *scanner) skip(where string) error {
	if s.peek() != '[' {
		return refuse("%s must be an array", where)
	}
	depth := 0
	for s.at < len(s.b) {
		c := s.b[s.at]
		s.at++
		switch c {
		case '[', '{':
			if depth++; depth > maxSkipDepth {
				return refuse("%s is nested too deeply", where)
			}
		case ']', '}':
			if depth--; depth == 0 {
				return nil
			}
		case '"':
			for s.at < len(s.b) && s.b[s.at] != '"' {
				if s.b[s.at] == '\\' {
					s.at++
				}
				s.at++
			}
			s.at++
		}
	}
	return s.bad("an array without end")
}

// end makes sure that nothing but white space follows.
func (s *scanner) end() error {
	if s.peek(); s.at < len(s.b) {
		return s.bad("something after the end")
	}
	return nil
}
