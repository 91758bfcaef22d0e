package runtime

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one protobuf field: u holds varint, fixed32 and fixed64 payloads,
// b a length-delimited one.
type field struct {
	num protowire.Number
	typ protowire.Type
	u   uint64
	b   []byte
}

// decoder carries what all nested messages share: the budget of list items.
type decoder struct {
	items int
}

func (d *decoder) spend(n int) error {
	if d.items -= n; d.items < 0 {
		return refuse("split the model", "it holds more than %d numbers and strings", maxListItems)
	}
	return nil
}

// walk calls fn for each field of the message b, which is named in errors.
func walk(message string, b []byte, fn func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed(message, "a field tag is broken")
		}
		b = b[n:]
		f := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			f.u, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			f.u = uint64(v)
		case protowire.Fixed64Type:
			f.u, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.b, n = protowire.ConsumeBytes(b)
		default:
			return malformed(message, "a field has a wire type that ONNX does not use")
		}
		if n < 0 {
			return malformed(message, "it ends in the middle of a field")
		}
		b = b[n:]
		if err := fn(f); err != nil {
			return err
		}
	}
	return nil
}

func malformed(message, what string) error {
	return refuse(remedyReexport, "the file is not a well-formed ONNX model: %s: %s", message, what)
}

func (f field) unknown(message string) error {
	return refuse(remedyReexport, "%s has field %d, which this reader does not know", message, f.num)
}

func (f field) bytes(message string) ([]byte, error) {
	if f.typ != protowire.BytesType {
		return nil, malformed(message, "a field that should be length-delimited is not")
	}
	return f.b, nil
}

// name reads a short UTF-8 string.
func (f field) name(message string) (string, error) {
	return f.text(message, maxNameBytes)
}

func (f field) text(message string, limit int) (string, error) {
	b, err := f.bytes(message)
	if err != nil {
		return "", err
	}
	if len(b) > limit {
		return "", refuse("shorten it", "%s has a text of %d bytes, more than %d", message, len(b), limit)
	}
	if !utf8.Valid(b) {
		return "", malformed(message, "a text is not UTF-8")
	}
	return string(b), nil
}

func (f field) varint(message string) (int64, error) {
	if f.typ != protowire.VarintType {
		return 0, malformed(message, "a field that should be an integer is not")
	}
	return int64(f.u), nil
}

// int64s appends a repeated integer in either encoding, packed or not.
func (d *decoder) int64s(dst []int64, f field, message string) ([]int64, error) {
	if f.typ == protowire.VarintType {
		return append(dst, int64(f.u)), d.spend(1)
	}
	b, err := f.bytes(message)
	if err != nil {
		return nil, err
	}
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, malformed(message, "a packed list of integers is broken")
		}
		if err := d.spend(1); err != nil {
			return nil, err
		}
		dst, b = append(dst, int64(v)), b[n:]
	}
	return dst, nil
}

func (d *decoder) float32s(dst []float32, f field, message string) ([]float32, error) {
	if f.typ == protowire.Fixed32Type {
		return append(dst, math.Float32frombits(uint32(f.u))), d.spend(1)
	}
	b, err := f.bytes(message)
	if err != nil {
		return nil, err
	}
	if len(b)%4 != 0 {
		return nil, malformed(message, "a packed list of floats is broken")
	}
	if err := d.spend(len(b) / 4); err != nil {
		return nil, err
	}
	for ; len(b) > 0; b = b[4:] {
		v, _ := protowire.ConsumeFixed32(b)
		dst = append(dst, math.Float32frombits(v))
	}
	return dst, nil
}

func (d *decoder) float64s(dst []float64, f field, message string) ([]float64, error) {
	if f.typ == protowire.Fixed64Type {
		return append(dst, math.Float64frombits(f.u)), d.spend(1)
	}
	b, err := f.bytes(message)
	if err != nil {
		return nil, err
	}
	if len(b)%8 != 0 {
		return nil, malformed(message, "a packed list of doubles is broken")
	}
	if err := d.spend(len(b) / 8); err != nil {
		return nil, err
	}
	for ; len(b) > 0; b = b[8:] {
		v, _ := protowire.ConsumeFixed64(b)
		dst = append(dst, math.Float64frombits(v))
	}
	return dst, nil
}
