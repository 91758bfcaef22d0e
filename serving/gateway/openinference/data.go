package openinference

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
)

// data reads the elements of t from JSON: flat, or nested as the shape is.
func (p *parser) data(t *Tensor, n int) error {
	d := &dataReader{p: p, t: t, want: n, flat: true}
	if err := d.array(0); err != nil {
		return err
	}
	if got := t.Len(); got != n {
		return t.refuse("has shape %v, which needs %d elements, and %d are given", t.Shape, n, got)
	}
	return nil
}

func (t *Tensor) reserve(n int) {
	switch t.Datatype.kind() {
	case kindBool:
		t.Bool = make([]bool, 0, n)
	case kindInt:
		t.Int = make([]int64, 0, n)
	case kindUint:
		t.Uint = make([]uint64, 0, n)
	case kindFP32:
		t.FP32 = make([]float32, 0, n)
	case kindFP64:
		t.FP64 = make([]float64, 0, n)
	case kindBytes:
		t.Bytes = make([][]byte, 0, n)
	}
}

type dataReader struct {
	p    *parser
	t    *Tensor
	want int
	flat bool // no nested array was met
}

// array reads an array at a depth of nesting. A nested one must be as long as
// the dimension at its depth, and elements stand at the last depth only.
func (d *dataReader) array(depth int) error {
	p, rank, length := d.p, len(d.t.Shape), 0
	err := p.scanner.elements("data", func(i int) error {
		length = i + 1
		if p.peek() == '[' {
			if depth+1 >= max(rank, 1) {
				return d.t.refuse("has data nested deeper than its shape %v", d.t.Shape)
			}
			if d.flat && d.t.Len() > 0 {
				return d.t.refuse("mixes flat and nested data")
			}
			d.flat = false
			return d.array(depth + 1)
		}
		if !d.flat && depth+1 != rank {
			return d.t.refuse("has nested data that does not follow its shape %v", d.t.Shape)
		}
		if d.t.Len() >= d.want {
			return d.t.refuse("has shape %v, which needs %d elements, and more are given", d.t.Shape, d.want)
		}
		return d.element()
	})
	if err != nil {
		return err
	}
	if !d.flat && int64(length) != d.t.Shape[depth] {
		return d.t.refuse("has nested data that does not follow its shape %v", d.t.Shape)
	}
	return nil
}

func (d *dataReader) element() error {
	p, t := d.p, d.t
	bits := 8 * t.Datatype.size()
	ok := false
	switch t.Datatype.kind() {
	case kindBool:
		var v bool
		v, ok = p.bool()
		t.Bool = append(t.Bool, v)
	case kindInt:
		text, whole, _ := p.number()
		v, err := strconv.ParseInt(string(text), 10, bits)
		ok = whole && err == nil
		t.Int = append(t.Int, v)
	case kindUint:
		text, whole, _ := p.number()
		v, err := strconv.ParseUint(string(text), 10, bits)
		ok = whole && err == nil
		t.Uint = append(t.Uint, v)
	case kindFP32:
		var v float64
		v, ok = p.float(32)
		f := float32(v)
		if t.Datatype == FP16 {
			f = halfValue(halfBits(f))
			ok = ok && (math.IsInf(v, 0) || !math.IsInf(float64(f), 0))
		}
		t.FP32 = append(t.FP32, f)
	case kindFP64:
		var v float64
		v, ok = p.float(64)
		t.FP64 = append(t.FP64, v)
	case kindBytes:
		v, err := p.text("an element", p.limits.ElementBytes)
		t.Bytes = append(t.Bytes, bytes.Clone(v))
		return err
	}
	if !ok {
		return d.t.refuse("the element at position %d is not of datatype %s", t.Len()-1, t.Datatype)
	}
	return nil
}

// takeBinary reads the elements of t from the binary part of the body.
func (p *parser) takeBinary(t *Tensor, n int, size any) error {
	have, ok := size.(int64)
	if !ok || have < 0 || have > int64(len(p.binary)) {
		return t.refuse("has a binary_data_size that is no number of bytes from 0 to %d, what the body still holds", len(p.binary))
	}
	b := p.binary[:have]
	p.binary = p.binary[have:]
	if t.Datatype == Bytes {
		return p.takeBytes(t, n, b)
	}
	width := t.Datatype.size()
	if len(b) != n*width {
		return t.refuse("has shape %v, which needs %d bytes of %s, and binary_data_size is %d", t.Shape, n*width, t.Datatype, len(b))
	}
	t.reserve(n)
	for ; len(b) > 0; b = b[width:] {
		var u uint64
		for k := range width {
			u |= uint64(b[k]) << (8 * k)
		}
		switch t.Datatype.kind() {
		case kindBool:
			if u > 1 {
				return t.refuse("the element at position %d is neither 0 nor 1", len(t.Bool))
			}
			t.Bool = append(t.Bool, u == 1)
		case kindInt:
			t.Int = append(t.Int, int64(u<<(64-8*width))>>(64-8*width)) // sign-extended
		case kindUint:
			t.Uint = append(t.Uint, u)
		case kindFP32:
			if width == 2 {
				t.FP32 = append(t.FP32, halfValue(uint16(u)))
			} else {
				t.FP32 = append(t.FP32, math.Float32frombits(uint32(u)))
			}
		case kindFP64:
			t.FP64 = append(t.FP64, math.Float64frombits(u))
		}
	}
	return nil
}

// takeBytes reads elements that begin with their length, four bytes long.
func (p *parser) takeBytes(t *Tensor, n int, b []byte) error {
	if n > len(b)/4 {
		return t.refuse("has shape %v, which needs %d elements, and its binary data is too short", t.Shape, n)
	}
	t.reserve(n)
	for range n {
		if len(b) < 4 {
			return t.refuse("its binary data ends at element %d of %d", len(t.Bytes), n)
		}
		size := binary.LittleEndian.Uint32(b)
		b = b[4:]
		if int64(size) > int64(len(b)) || int64(size) > int64(p.limits.ElementBytes) {
			return t.refuse("the element at position %d says that it has %d bytes; %d are left and %d allowed", len(t.Bytes), size, len(b), p.limits.ElementBytes)
		}
		t.Bytes = append(t.Bytes, append(make([]byte, 0, size), b[:size]...))
		b = b[size:]
	}
	if len(b) > 0 {
		return t.refuse("%d bytes of its binary data are left over", len(b))
	}
	return nil
}
