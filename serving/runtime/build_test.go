package runtime_test

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// A small writer of ONNX files, so that the tests hold their models in code.

const tabular = "ai.onnx.ml"

type bytesOf []byte

func (b bytesOf) msg(num int, v []byte) bytesOf {
	b = protowire.AppendTag(b, protowire.Number(num), protowire.BytesType)
	return protowire.AppendBytes(b, v)
}

func (b bytesOf) str(num int, v string) bytesOf { return b.msg(num, []byte(v)) }

func (b bytesOf) int(num int, v int64) bytesOf {
	b = protowire.AppendTag(b, protowire.Number(num), protowire.VarintType)
	return protowire.AppendVarint(b, uint64(v))
}

func (b bytesOf) float(num int, v float32) bytesOf {
	b = protowire.AppendTag(b, protowire.Number(num), protowire.Fixed32Type)
	return protowire.AppendFixed32(b, math.Float32bits(v))
}

func aInt(name string, v int64) bytesOf { return bytesOf{}.str(1, name).int(3, v).int(20, 2) }
func aStr(name, v string) bytesOf       { return bytesOf{}.str(1, name).str(4, v).int(20, 3) }
func aFloat(name string, v float32) bytesOf {
	return bytesOf{}.str(1, name).float(2, v).int(20, 1)
}

func aInts(name string, v ...int64) bytesOf {
	b := bytesOf{}.str(1, name)
	for _, x := range v {
		b = b.int(8, x)
	}
	return b.int(20, 7)
}

func aFloats(name string, v ...float32) bytesOf {
	b := bytesOf{}.str(1, name)
	for _, x := range v {
		b = b.float(7, x)
	}
	return b.int(20, 6)
}

func aStrs(name string, v ...string) bytesOf {
	b := bytesOf{}.str(1, name)
	for _, x := range v {
		b = b.str(9, x)
	}
	return b.int(20, 8)
}

func aTensor(name string, t bytesOf) bytesOf { return bytesOf{}.str(1, name).msg(5, t).int(20, 4) }

func tensorHead(name string, elem int64, dims []int) bytesOf {
	var packed []byte
	for _, d := range dims {
		packed = protowire.AppendVarint(packed, uint64(d))
	}
	return bytesOf{}.msg(1, packed).int(2, elem).str(8, name)
}

func tDoubles(name string, dims []int, v ...float64) bytesOf {
	var raw []byte
	for _, x := range v {
		raw = protowire.AppendFixed64(raw, math.Float64bits(x))
	}
	return tensorHead(name, 11, dims).msg(9, raw)
}

func tFloats(name string, dims []int, v ...float32) bytesOf {
	var raw []byte
	for _, x := range v {
		raw = protowire.AppendFixed32(raw, math.Float32bits(x))
	}
	return tensorHead(name, 1, dims).msg(4, raw)
}

func tInts(name string, v ...int64) bytesOf {
	var packed []byte
	for _, x := range v {
		packed = protowire.AppendVarint(packed, uint64(x))
	}
	return tensorHead(name, 7, []int{len(v)}).msg(7, packed)
}

func tBytes(name string, v ...byte) bytesOf {
	return tensorHead(name, 2, []int{len(v)}).msg(9, v)
}

func node(domain, op string, in, out []string, attrs ...bytesOf) bytesOf {
	b := bytesOf{}
	for _, s := range in {
		b = b.str(1, s)
	}
	for _, s := range out {
		b = b.str(2, s)
	}
	b = b.str(3, "the "+op).str(4, op).str(7, domain)
	for _, a := range attrs {
		b = b.msg(5, a)
	}
	return b
}

// value declares an input or output; a dimension below zero is free, and no
// dims at all leave the shape open.
func value(name string, elem int64, dims ...int) bytesOf {
	typ := bytesOf{}.int(1, elem)
	if dims != nil {
		shape := bytesOf{}
		for _, d := range dims {
			if d < 0 {
				shape = shape.msg(1, bytesOf{}.str(2, "N"))
			} else {
				shape = shape.msg(1, bytesOf{}.int(1, int64(d)))
			}
		}
		typ = typ.msg(2, shape)
	}
	return bytesOf{}.str(1, name).msg(2, bytesOf{}.msg(1, typ))
}

const (
	elemFloat  = 1
	elemInt32  = 6
	elemInt64  = 7
	elemString = 8
	elemBool   = 9
	elemDouble = 11
)

type graph struct {
	nodes, inits, inputs, outputs []bytesOf
	opset, ml                     int64
	meta                          [][2]string
}

func (g graph) bytes() []byte {
	b := bytesOf{}.str(2, "g")
	for _, n := range g.nodes {
		b = b.msg(1, n)
	}
	for _, t := range g.inits {
		b = b.msg(5, t)
	}
	for _, v := range g.inputs {
		b = b.msg(11, v)
	}
	for _, v := range g.outputs {
		b = b.msg(12, v)
	}
	if g.opset == 0 {
		g.opset = 17
	}
	if g.ml == 0 {
		g.ml = 3
	}
	m := bytesOf{}.int(1, 9).str(2, "test").msg(7, b).
		msg(8, bytesOf{}.int(2, g.opset)).
		msg(8, bytesOf{}.str(1, tabular).int(2, g.ml))
	for _, kv := range g.meta {
		m = m.msg(14, bytesOf{}.str(1, kv[0]).str(2, kv[1]))
	}
	return m
}

// oneNode is a graph of one node over X and perhaps constants, with outputs Y
// and perhaps Z.
func oneNode(elem int64, n bytesOf, outs []bytesOf, inits ...bytesOf) graph {
	return graph{nodes: []bytesOf{n}, inits: inits, inputs: []bytesOf{value("X", elem)}, outputs: outs}
}
