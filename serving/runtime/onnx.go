package runtime

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Element type numbers of TensorProto.DataType that the subset reads.
const (
	onnxFloat  = 1
	onnxUint8  = 2
	onnxInt32  = 6
	onnxInt64  = 7
	onnxString = 8
	onnxBool   = 9
	onnxDouble = 11
)

// Kinds of attribute, AttributeProto.AttributeType.
const (
	attrFloat   = 1
	attrInt     = 2
	attrString  = 3
	attrTensor  = 4
	attrFloats  = 6
	attrInts    = 7
	attrStrings = 8
)

type protoModel struct {
	opsets map[string]int64
	meta   map[string]string
	graph  *protoGraph
}

type protoGraph struct {
	nodes   []protoNode
	inits   []protoTensor
	inputs  []protoValue
	outputs []protoValue
}

type protoNode struct {
	name, op, domain string
	in, out          []string
	attrs            []protoAttr
}

type protoAttr struct {
	name    string
	kind    int64
	f       float32
	i       int64
	s       string
	t       *protoTensor
	floats  []float32
	ints    []int64
	strings []string
}

// protoTensor keeps bytes of type uint8 in val.I32; elem says what they were.
type protoTensor struct {
	name string
	elem int64
	val  Tensor
}

type protoValue struct {
	name     string
	elem     int64 // 0 when the value is not a tensor
	hasShape bool
	dims     []int // -1 where the size is not fixed
}

func onnxType(elem int64) (Type, bool) {
	switch elem {
	case onnxFloat:
		return Float32, true
	case onnxDouble:
		return Float64, true
	case onnxInt64:
		return Int64, true
	case onnxInt32:
		return Int32, true
	case onnxBool:
		return Bool, true
	case onnxString:
		return String, true
	}
	return 0, false
}

func parseModel(b []byte) (*protoModel, error) {
	const msg = "the model"
	m := &protoModel{opsets: map[string]int64{}, meta: map[string]string{}}
	d := &decoder{items: maxListItems}
	err := walk(msg, b, func(f field) error {
		switch f.num {
		case 1, 2, 3, 4, 5, 6, 26: // IR version, producer, domain, versions, text, device configuration
			return nil
		case 7:
			if m.graph != nil {
				return malformed(msg, "it has two graphs")
			}
			b, err := f.bytes(msg)
			if err != nil {
				return err
			}
			m.graph, err = d.graph(b)
			return err
		case 8:
			return d.opset(m, f)
		case 14:
			return d.metadata(m, f)
		case 20:
			return refuse("export the model for inference", "it carries training information")
		case 25:
			return refuse("inline the functions before export", "it defines functions")
		}
		return f.unknown(msg)
	})
	if err != nil {
		return nil, err
	}
	if m.graph == nil {
		return nil, malformed(msg, "it has no graph")
	}
	return m, nil
}

func (d *decoder) opset(m *protoModel, f field) error {
	const msg = "an operator set"
	b, err := f.bytes(msg)
	if err != nil {
		return err
	}
	domain, version := "", int64(0)
	err = walk(msg, b, func(f field) (err error) {
		switch f.num {
		case 1:
			domain, err = f.name(msg)
		case 2:
			version, err = f.varint(msg)
		default:
			err = f.unknown(msg)
		}
		return err
	})
	if err != nil {
		return err
	}
	if domain == "ai.onnx" {
		domain = ""
	}
	if len(m.opsets) >= maxNames {
		return refuse(remedyReexport, "it imports too many operator sets")
	}
	if old, ok := m.opsets[domain]; ok && old != version {
		return refuse(remedyReexport, "it imports the operator set %q in versions %d and %d", domain, old, version)
	}
	m.opsets[domain] = version
	return nil
}

func (d *decoder) metadata(m *protoModel, f field) error {
	const msg = "a metadata entry"
	b, err := f.bytes(msg)
	if err != nil {
		return err
	}
	var k, v string
	err = walk(msg, b, func(f field) (err error) {
		switch f.num {
		case 1:
			k, err = f.name(msg)
		case 2:
			v, err = f.text(msg, maxMetaBytes)
		default:
			err = f.unknown(msg)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, ok := m.meta[k]; ok {
		return refuse("keep one of them", "the metadata key %q appears twice", k)
	}
	if len(m.meta) >= maxNames {
		return refuse("keep fewer", "it has more than %d metadata entries", maxNames)
	}
	m.meta[k] = v
	return nil
}

func (d *decoder) graph(b []byte) (*protoGraph, error) {
	const msg = "the graph"
	g := &protoGraph{}
	return g, walk(msg, b, func(f field) error {
		if f.num == 2 || f.num == 10 || f.num == 13 || f.num == 14 || f.num == 16 { // name, text, value info, quantisation notes, metadata
			return nil
		}
		b, err := f.bytes(msg)
		if err != nil {
			return err
		}
		switch f.num {
		case 1:
			if len(g.nodes) >= maxNodes {
				return refuse("serve it from an Open Inference server", "it has more than %d nodes", maxNodes)
			}
			n, err := d.node(b)
			var le *LoadError
			if errors.As(err, &le) {
				return le.at(len(g.nodes), &n)
			}
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			if len(g.inits) >= maxNodes {
				return refuse("serve it from an Open Inference server", "it has more than %d initializers", maxNodes)
			}
			t, err := d.tensor("an initializer", b)
			g.inits = append(g.inits, t)
			return err
		case 11:
			return d.value("a graph input", b, &g.inputs)
		case 12:
			return d.value("a graph output", b, &g.outputs)
		case 15:
			return refuse("store it densely", "it has a sparse initializer")
		}
		return f.unknown(msg)
	})
}

func (d *decoder) node(b []byte) (protoNode, error) {
	const msg = "a node"
	n := protoNode{}
	err := walk(msg, b, func(f field) (err error) {
		switch f.num {
		case 1, 2:
			list := &n.in
			if f.num == 2 {
				list = &n.out
			}
			s, err := f.name(msg)
			if err != nil {
				return err
			}
			if len(*list) >= maxNames {
				return refuse("split the node", "a node has more than %d inputs or outputs", maxNames)
			}
			*list = append(*list, s)
			return nil
		case 3:
			n.name, err = f.name(msg)
		case 4:
			n.op, err = f.name(msg)
		case 5:
			b, err := f.bytes(msg)
			if err != nil {
				return err
			}
			if len(n.attrs) >= maxNames {
				return refuse(remedyReexport, "a node has more than %d attributes", maxNames)
			}
			a, err := d.attr(b)
			n.attrs = append(n.attrs, a)
			return err
		case 6, 9, 10: // text, metadata, device configuration
		case 7:
			n.domain, err = f.name(msg)
		case 8:
			var s string
			if s, err = f.name(msg); err == nil && s != "" {
				err = refuse("inline the functions before export", "a node calls the overload %q", s)
			}
		default:
			err = f.unknown(msg)
		}
		return err
	})
	if n.domain == "ai.onnx" {
		n.domain = ""
	}
	return n, err
}

func (d *decoder) attr(b []byte) (protoAttr, error) {
	const msg = "an attribute"
	a := protoAttr{}
	err := walk(msg, b, func(f field) (err error) {
		switch f.num {
		case 1:
			a.name, err = f.name(msg)
		case 2:
			if f.typ != protowire.Fixed32Type {
				return malformed(msg, "a float is not one")
			}
			a.f = math.Float32frombits(uint32(f.u))
		case 3:
			a.i, err = f.varint(msg)
		case 4:
			a.s, err = f.text(msg, maxMetaBytes)
		case 5:
			var b []byte
			if b, err = f.bytes(msg); err == nil {
				var t protoTensor
				t, err = d.tensor("a tensor attribute", b)
				a.t = &t
			}
		case 7:
			a.floats, err = d.float32s(a.floats, f, msg)
		case 8:
			a.ints, err = d.int64s(a.ints, f, msg)
		case 9:
			if err = d.spend(1); err == nil {
				var s string
				s, err = f.text(msg, maxMetaBytes)
				// Lists of branch modes repeat one word: keep one copy of it.
				if n := len(a.strings); n > 0 && a.strings[n-1] == s {
					s = a.strings[n-1]
				}
				a.strings = append(a.strings, s)
			}
		case 13: // text
		case 20:
			a.kind, err = f.varint(msg)
		case 6, 11:
			err = refuse("remove control flow from the graph", "an attribute holds a graph")
		case 10, 14, 15, 22, 23:
			err = refuse(remedySubset, "an attribute holds a type, a list of tensors or a sparse tensor")
		case 21:
			err = refuse("inline the functions before export", "an attribute refers to a function's attribute")
		default:
			err = f.unknown(msg)
		}
		return err
	})
	return a, err
}

func (d *decoder) tensor(msg string, b []byte) (protoTensor, error) {
	t := protoTensor{}
	var dims, varints []int64
	var raw []byte
	hasRaw := false
	err := walk(msg, b, func(f field) (err error) {
		switch f.num {
		case 1:
			dims, err = d.int64s(dims, f, msg)
		case 2:
			t.elem, err = f.varint(msg)
		case 4:
			t.val.F32, err = d.float32s(t.val.F32, f, msg)
		case 5, 7:
			varints, err = d.int64s(varints, f, msg)
		case 6:
			if err = d.spend(1); err == nil {
				var s string
				s, err = f.text(msg, maxMetaBytes)
				t.val.Str = append(t.val.Str, s)
			}
		case 8:
			t.name, err = f.name(msg)
		case 9:
			raw, err = f.bytes(msg)
			hasRaw = true
		case 10:
			t.val.F64, err = d.float64s(t.val.F64, f, msg)
		case 12, 16: // text, metadata
		case 14:
			var v int64
			if v, err = f.varint(msg); err == nil && v != 0 {
				err = refuse("save the model with its data inside", "tensor %q keeps its data in another file", t.name)
			}
		case 13:
			err = refuse("save the model with its data inside", "tensor %q keeps its data in another file", t.name)
		case 3:
			err = refuse(remedyReexport, "tensor %q is stored in segments", t.name)
		default:
			err = f.unknown(msg)
		}
		return err
	})
	if err != nil {
		return t, err
	}
	return t, d.fill(&t, dims, varints, raw, hasRaw)
}

// fill turns the stored form of a tensor into its typed elements.
func (d *decoder) fill(t *protoTensor, dims, varints []int64, raw []byte, hasRaw bool) error {
	if len(dims) > maxRank {
		return refuse(remedyReexport, "tensor %q has %d dimensions, more than %d", t.name, len(dims), maxRank)
	}
	for _, n := range dims {
		if n < 0 || n > maxElements {
			return refuse(remedyReexport, "tensor %q has a dimension of %d", t.name, n)
		}
		t.val.Shape = append(t.val.Shape, int(n))
	}
	switch t.elem {
	case onnxUint8:
		t.val.Type = Int32
	default:
		typ, ok := onnxType(t.elem)
		if !ok {
			return refuse("cast it to float, double, int32, int64, bool or string", "tensor %q has element type %d", t.name, t.elem)
		}
		t.val.Type = typ
	}
	if hasRaw {
		if len(t.val.F32)+len(t.val.F64)+len(t.val.Str)+len(varints) > 0 {
			return malformed("tensor "+t.name, "it has raw and typed data")
		}
		if err := d.spend(len(raw)); err != nil {
			return err
		}
		return t.fromRaw(raw)
	}
	switch t.val.Type {
	case Int64:
		t.val.I64 = varints
	case Int32, Bool:
		for _, v := range varints {
			if v < math.MinInt32 || v > math.MaxInt32 || (t.elem != onnxInt32 && (v < 0 || v > 255)) {
				return malformed("tensor "+t.name, fmt.Sprintf("the value %d is out of range", v))
			}
			if t.val.Type == Bool {
				t.val.Bool = append(t.val.Bool, v != 0)
			} else {
				t.val.I32 = append(t.val.I32, int32(v))
			}
		}
	}
	if err := t.val.check(); err != nil {
		return malformed("tensor "+t.name, err.Error())
	}
	return nil
}

// fromRaw reads little-endian elements.
func (t *protoTensor) fromRaw(raw []byte) error {
	n, err := volume(t.val.Shape)
	if err != nil {
		return malformed("tensor "+t.name, err.Error())
	}
	size := map[int64]int{onnxFloat: 4, onnxUint8: 1, onnxInt32: 4, onnxInt64: 8, onnxBool: 1, onnxDouble: 8}[t.elem]
	if size == 0 {
		return malformed("tensor "+t.name, "strings are stored as raw data")
	}
	if len(raw) != n*size {
		return malformed("tensor "+t.name, fmt.Sprintf("it needs %d bytes and has %d", n*size, len(raw)))
	}
	for ; len(raw) > 0; raw = raw[size:] {
		var u uint64
		for k := range size {
			u |= uint64(raw[k]) << (8 * k)
		}
		switch t.elem {
		case onnxFloat:
			t.val.F32 = append(t.val.F32, math.Float32frombits(uint32(u)))
		case onnxDouble:
			t.val.F64 = append(t.val.F64, math.Float64frombits(u))
		case onnxInt64:
			t.val.I64 = append(t.val.I64, int64(u))
		case onnxInt32, onnxUint8:
			t.val.I32 = append(t.val.I32, int32(uint32(u)))
		case onnxBool:
			t.val.Bool = append(t.val.Bool, u != 0)
		}
	}
	return nil
}

func (d *decoder) value(msg string, b []byte, list *[]protoValue) error {
	if len(*list) >= maxNames {
		return refuse("serve it from an Open Inference server", "it has more than %d inputs or outputs", maxNames)
	}
	v := protoValue{}
	err := walk(msg, b, func(f field) (err error) {
		switch f.num {
		case 1:
			v.name, err = f.name(msg)
		case 2:
			var b []byte
			if b, err = f.bytes(msg); err == nil {
				err = d.valueType(msg, b, &v)
			}
		case 3, 4: // text, metadata
		default:
			err = f.unknown(msg)
		}
		return err
	})
	*list = append(*list, v)
	return err
}

func (d *decoder) valueType(msg string, b []byte, v *protoValue) error {
	return walk(msg, b, func(f field) error {
		switch f.num {
		case 1:
			b, err := f.bytes(msg)
			if err != nil {
				return err
			}
			return d.tensorType(msg, b, v)
		case 4, 5, 6: // sequence, map, denotation: only ZipMap yields them, and it fixes their type
			return nil
		case 8, 9:
			return refuse(remedySubset, "%s %q is sparse or optional", msg, v.name)
		}
		return f.unknown(msg)
	})
}

func (d *decoder) tensorType(msg string, b []byte, v *protoValue) error {
	return walk(msg, b, func(f field) (err error) {
		switch f.num {
		case 1:
			v.elem, err = f.varint(msg)
			return err
		case 2:
			b, err := f.bytes(msg)
			if err != nil {
				return err
			}
			v.hasShape = true
			return walk(msg, b, func(f field) error {
				if f.num != 1 {
					return f.unknown(msg)
				}
				b, err := f.bytes(msg)
				if err != nil {
					return err
				}
				return d.dim(msg, b, v)
			})
		}
		return f.unknown(msg)
	})
}

func (d *decoder) dim(msg string, b []byte, v *protoValue) error {
	if len(v.dims) >= maxRank {
		return refuse(remedyReexport, "%s %q has more than %d dimensions", msg, v.name, maxRank)
	}
	size := -1
	err := walk(msg, b, func(f field) error {
		switch f.num {
		case 1:
			n, err := f.varint(msg)
			if err != nil {
				return err
			}
			if n > maxElements {
				return refuse(remedyReexport, "%s %q has a dimension of %d", msg, v.name, n)
			}
			if n > 0 { // exporters write 0 or -1 for "any"
				size = int(n)
			}
			return nil
		case 2, 3:
			return nil
		}
		return f.unknown(msg)
	})
	v.dims = append(v.dims, size)
	return err
}
