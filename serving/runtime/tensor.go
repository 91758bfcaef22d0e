package runtime

import (
	"fmt"
	"slices"
)

// Type is the element type of a tensor.
type Type uint8

// The element types of the subset.
const (
	Float32 Type = iota + 1
	Float64
	Int64
	Int32
	Bool
	String
)

// String is the type's name in messages, for example "float32".
func (t Type) String() string {
	switch t {
	case Float32:
		return "float32"
	case Float64:
		return "float64"
	case Int64:
		return "int64"
	case Int32:
		return "int32"
	case Bool:
		return "bool"
	case String:
		return "string"
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Datatype is the type's name in the Open Inference Protocol, for example "FP32".
func (t Type) Datatype() string {
	switch t {
	case Float32:
		return "FP32"
	case Float64:
		return "FP64"
	case Int64:
		return "INT64"
	case Int32:
		return "INT32"
	case Bool:
		return "BOOL"
	case String:
		return "BYTES"
	}
	return ""
}

// Tensor is a dense row-major array. Exactly the slice that Type names holds
// the elements; the product of Shape is their number.
type Tensor struct {
	Type  Type
	Shape []int

	F32  []float32
	F64  []float64
	I64  []int64
	I32  []int32
	Bool []bool
	Str  []string
}

// Floats is a float32 tensor over data; it does not copy.
func Floats(data []float32, shape ...int) *Tensor {
	return &Tensor{Type: Float32, Shape: shape, F32: data}
}

// Doubles is a float64 tensor over data; it does not copy.
func Doubles(data []float64, shape ...int) *Tensor {
	return &Tensor{Type: Float64, Shape: shape, F64: data}
}

// Ints is an int64 tensor over data; it does not copy.
func Ints(data []int64, shape ...int) *Tensor {
	return &Tensor{Type: Int64, Shape: shape, I64: data}
}

// Strings is a string tensor over data; it does not copy.
func Strings(data []string, shape ...int) *Tensor {
	return &Tensor{Type: String, Shape: shape, Str: data}
}

// Len is the number of elements that the typed slice holds.
func (t *Tensor) Len() int {
	switch t.Type {
	case Float32:
		return len(t.F32)
	case Float64:
		return len(t.F64)
	case Int64:
		return len(t.I64)
	case Int32:
		return len(t.I32)
	case Bool:
		return len(t.Bool)
	case String:
		return len(t.Str)
	}
	return 0
}

// Clone copies the tensor; the copy shares nothing with t.
func (t *Tensor) Clone() *Tensor {
	c := &Tensor{Type: t.Type, Shape: slices.Clone(t.Shape)}
	switch t.Type {
	case Float32:
		c.F32 = slices.Clone(t.F32)
	case Float64:
		c.F64 = slices.Clone(t.F64)
	case Int64:
		c.I64 = slices.Clone(t.I64)
	case Int32:
		c.I32 = slices.Clone(t.I32)
	case Bool:
		c.Bool = slices.Clone(t.Bool)
	case String:
		c.Str = slices.Clone(t.Str)
	}
	return c
}

// check states the invariant of Tensor: a known type, no negative dimension,
// and as many elements as the shape says.
func (t *Tensor) check() error {
	if t.Type < Float32 || t.Type > String {
		return fmt.Errorf("unknown element type %d", t.Type)
	}
	n, err := volume(t.Shape)
	if err != nil {
		return err
	}
	if n != t.Len() {
		return fmt.Errorf("shape %v needs %d %s elements, got %d", t.Shape, n, t.Type, t.Len())
	}
	return nil
}

// volume is the product of shape. It is refused when a dimension is negative or
// the product of the others than zero is past maxElements, so that no product of
// some of the dimensions can be.
func volume(shape []int) (int, error) {
	n, empty := 1, false
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		if d == 0 {
			empty = true
			continue
		}
		if n > maxElements/d {
			return 0, fmt.Errorf("shape %v has more than %d elements; send fewer rows", shape, maxElements)
		}
		n *= d
	}
	if empty {
		return 0, nil
	}
	return n, nil
}

type float interface{ float32 | float64 }

type number interface {
	float32 | float64 | int32 | int64
}

type element interface {
	number | bool | string
}

// elems is the slice of t that holds elements of type E.
func elems[E element](t *Tensor) *[]E {
	var p any
	switch any(*new(E)).(type) {
	case float32:
		p = &t.F32
	case float64:
		p = &t.F64
	case int64:
		p = &t.I64
	case int32:
		p = &t.I32
	case bool:
		p = &t.Bool
	default:
		p = &t.Str
	}
	return p.(*[]E)
}

// typeOf is the Type whose elements are E.
func typeOf[E element]() Type {
	switch any(*new(E)).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case int64:
		return Int64
	case int32:
		return Int32
	case bool:
		return Bool
	}
	return String
}

// matrix reads a shape as rows × columns: rank 2 as it is, rank 1 as one row.
func matrix(shape []int) (rows, cols int, err error) {
	switch len(shape) {
	case 1:
		return 1, shape[0], nil
	case 2:
		return shape[0], shape[1], nil
	}
	return 0, 0, fmt.Errorf("needs a matrix [rows, columns], got shape %v", shape)
}
