// Package openinference reads and writes the messages of the Open Inference
// Protocol, version 2, over HTTP: JSON and the binary tensor extension. It knows
// nothing of models; the wiring converts its tensors to a runtime's.
//
// A request is strict JSON (no duplicate or case-folded keys, bounded depth)
// with two allowances for what clients really send: null stands for an absent
// optional member, and a floating-point element may be null, NaN, Infinity or
// -Infinity, where null means NaN. In a response NaN and the infinities are
// null, because JSON has no word for them; the binary form is exact.
package openinference

import (
	"encoding/json"
	"fmt"
	"math"
)

// HeaderLength is the HTTP header that says how many bytes of a body are JSON
// when binary tensors follow.
const HeaderLength = "Inference-Header-Content-Length"

// BinaryExtension is the name by which a server announces the binary tensor
// extension in its metadata.
const BinaryExtension = "binary_tensor_data"

// Datatype is an element type as the protocol writes it.
type Datatype string

// The datatypes of the protocol.
const (
	Bool   Datatype = "BOOL"
	Int8   Datatype = "INT8"
	Int16  Datatype = "INT16"
	Int32  Datatype = "INT32"
	Int64  Datatype = "INT64"
	Uint8  Datatype = "UINT8"
	Uint16 Datatype = "UINT16"
	Uint32 Datatype = "UINT32"
	Uint64 Datatype = "UINT64"
	FP16   Datatype = "FP16"
	FP32   Datatype = "FP32"
	FP64   Datatype = "FP64"
	Bytes  Datatype = "BYTES"
)

// size is the number of bytes of an element in binary form; 0 for BYTES, whose
// elements carry their length, and -1 for what is no datatype.
func (d Datatype) size() int {
	switch d {
	case Bool, Int8, Uint8:
		return 1
	case Int16, Uint16, FP16:
		return 2
	case Int32, Uint32, FP32:
		return 4
	case Int64, Uint64, FP64:
		return 8
	case Bytes:
		return 0
	}
	return -1
}

// kind groups the datatypes by the slice of Tensor that holds their elements.
type kind uint8

const (
	kindBool kind = iota
	kindInt
	kindUint
	kindFP32
	kindFP64
	kindBytes
)

func (d Datatype) kind() kind {
	switch d {
	case Bool:
		return kindBool
	case Int8, Int16, Int32, Int64:
		return kindInt
	case Uint8, Uint16, Uint32, Uint64:
		return kindUint
	case FP16, FP32:
		return kindFP32
	case FP64:
		return kindFP64
	}
	return kindBytes
}

// Tensor is a named row-major array. One slice holds the elements: Bool for
// BOOL, Int for the signed and Uint for the unsigned integers, FP32 for FP16 and
// FP32, FP64, Bytes.
type Tensor struct {
	Name       string
	Datatype   Datatype
	Shape      []int64
	Parameters Parameters

	Bool  []bool
	Int   []int64
	Uint  []uint64
	FP32  []float32
	FP64  []float64
	Bytes [][]byte
}

// Len is the number of elements that the tensor holds.
func (t *Tensor) Len() int {
	switch t.Datatype.kind() {
	case kindBool:
		return len(t.Bool)
	case kindInt:
		return len(t.Int)
	case kindUint:
		return len(t.Uint)
	case kindFP32:
		return len(t.FP32)
	case kindFP64:
		return len(t.FP64)
	}
	return len(t.Bytes)
}

// Parameters are named values of type string, bool, int64 or float64.
type Parameters map[string]any

// Flag is a boolean parameter; def when it is absent.
func (p Parameters) Flag(name string, def bool) (bool, error) {
	v, ok := p[name]
	if !ok {
		return def, nil
	}
	b, ok := v.(bool)
	if !ok {
		return def, fmt.Errorf("parameter %q must be true or false", name)
	}
	return b, nil
}

// Request is a parsed inference request.
type Request struct {
	ID           string
	Parameters   Parameters
	Inputs       []Tensor
	Outputs      []Output // the outputs that are wanted; empty means all
	BinaryOutput bool     // outputs that say nothing else are wanted in binary form
}

// Output names one wanted output.
type Output struct {
	Name       string
	Parameters Parameters
	Binary     bool
}

// Input finds an input by name; nil when there is none.
func (r *Request) Input(name string) *Tensor {
	for i := range r.Inputs {
		if r.Inputs[i].Name == name {
			return &r.Inputs[i]
		}
	}
	return nil
}

// Wants says whether the named output is asked for, and in binary form.
func (r *Request) Wants(name string) (wanted, binary bool) {
	if len(r.Outputs) == 0 {
		return true, r.BinaryOutput
	}
	for i := range r.Outputs {
		if r.Outputs[i].Name == name {
			return true, r.Outputs[i].Binary
		}
	}
	return false, false
}

// Limits bound what a request may ask for.
type Limits struct {
	BodyBytes    int // the whole body
	Tensors      int // inputs, outputs
	Elements     int // elements of all inputs together
	Rank         int // dimensions of a tensor, and so depth of nested data
	NameBytes    int // a name, the id, a parameter's name or text
	ElementBytes int // an element of BYTES
	Parameters   int // parameters of one object
}

// DefaultLimits suit tabular models.
func DefaultLimits() Limits {
	return Limits{BodyBytes: 16 << 20, Tensors: 2048, Elements: 4 << 20, Rank: 8, NameBytes: 1024, ElementBytes: 1 << 20, Parameters: 64}
}

// Error is a request that is refused; its text is safe to show and never holds
// the values of a tensor.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func refuse(format string, args ...any) error {
	return &Error{fmt.Sprintf(format, args...)}
}

// refuse is an error about the input t.
func (t *Tensor) refuse(format string, args ...any) error {
	return refuse("input %q %s", t.Name, fmt.Sprintf(format, args...))
}

// ErrorBody is the body of an answer with an error status.
func ErrorBody(message string) []byte {
	b, err := json.Marshal(struct {
		Error string `json:"error"`
	}{message})
	if err != nil {
		return []byte(`{"error":"internal error"}`)
	}
	return b
}

// ServerMetadata answers GET /v2.
type ServerMetadata struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

// ModelMetadata answers GET /v2/models/{name}.
type ModelMetadata struct {
	Name     string           `json:"name"`
	Versions []string         `json:"versions,omitempty"`
	Platform string           `json:"platform"`
	Inputs   []TensorMetadata `json:"inputs"`
	Outputs  []TensorMetadata `json:"outputs"`
}

// TensorMetadata describes an input or output; -1 is a free dimension.
type TensorMetadata struct {
	Name     string   `json:"name"`
	Datatype Datatype `json:"datatype"`
	Shape    []int64  `json:"shape"`
}

// ServerLive answers GET /v2/health/live.
type ServerLive struct {
	Live bool `json:"live"`
}

// ServerReady answers GET /v2/health/ready.
type ServerReady struct {
	Ready bool `json:"ready"`
}

// ModelReady answers GET /v2/models/{name}/ready.
type ModelReady struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
}

// volume is the product of a shape, bounded by limit.
func volume(shape []int64, limit int) (int, bool) {
	n, empty := int64(1), false
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if d == 0 {
			empty = true
			continue
		}
		if n > int64(limit)/d {
			return 0, false
		}
		n *= d
	}
	if empty {
		return 0, true
	}
	return int(n), true
}

// halfBits rounds to the nearest half-precision number, ties to even; what is
// too great becomes an infinity.
func halfBits(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	exp, man := int(b>>23&0xff), b&0x7fffff
	if exp == 0xff {
		if man != 0 {
			return sign | 0x7e00
		}
		return sign | 0x7c00
	}
	e := exp - 127 + 15
	if e >= 31 {
		return sign | 0x7c00
	}
	shift := 13
	if e <= 0 { // subnormal: the leading one becomes explicit
		if e < -10 {
			return sign
		}
		man |= 0x800000
		shift += 1 - e
		e = 0
	}
	h := uint32(e)<<10 + man>>shift
	rest, half := man&(1<<shift-1), uint32(1)<<(shift-1)
	if rest > half || rest == half && h&1 == 1 {
		h++ // may carry into the exponent, which is what rounding up means
	}
	return sign | uint16(h)
}

// halfValue is the number that half-precision bits stand for.
func halfValue(h uint16) float32 {
	sign, exp, man := uint32(h&0x8000)<<16, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch {
	case exp == 31:
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	case exp == 0:
		v := float32(man) / (1 << 24)
		if sign != 0 {
			v = -v
		}
		return v
	}
	return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
}
