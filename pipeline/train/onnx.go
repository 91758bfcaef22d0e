package train

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The protocol-buffer messages of ONNX (onnx.proto3), as far as the two graphs need them. Field numbers are those of the
// published format. Fields are written in ascending order and repeated numbers unpacked, as the reference libraries do.

type keyValue struct{ key, value string }

// Element types of TensorProto.
const (
	elemFloat  = 1
	elemInt64  = 7
	elemString = 8
)

// AttributeProto.AttributeType.
const (
	typeFloat   = 1
	typeInt     = 2
	typeString  = 3
	typeFloats  = 6
	typeInts    = 7
	typeStrings = 8
)

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendText(b []byte, field protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

func appendMessage(b []byte, field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), message)
}

func appendFloat(b []byte, field protowire.Number, v float32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(b, field, protowire.Fixed32Type), math.Float32bits(v))
}

// attribute ends an AttributeProto: name = 1, the value in between, type = 20.
func attribute(name string, kind uint64, value func(b []byte) []byte) []byte {
	return appendVarint(value(appendText(nil, 1, name)), 20, kind)
}

func attrFloat(name string, v float32) []byte {
	return attribute(name, typeFloat, func(b []byte) []byte { return appendFloat(b, 2, v) })
}

func attrInt(name string, v int64) []byte {
	return attribute(name, typeInt, func(b []byte) []byte { return appendVarint(b, 3, uint64(v)) })
}

func attrString(name, v string) []byte {
	return attribute(name, typeString, func(b []byte) []byte { return appendText(b, 4, v) })
}

func attrFloats(name string, list []float32) []byte {
	return attribute(name, typeFloats, func(b []byte) []byte {
		for _, v := range list {
			b = appendFloat(b, 7, v)
		}
		return b
	})
}

func attrInts(name string, list []int64) []byte {
	return attribute(name, typeInts, func(b []byte) []byte {
		for _, v := range list {
			b = appendVarint(b, 8, uint64(v))
		}
		return b
	})
}

func attrStrings(name string, list []string) []byte {
	return attribute(name, typeStrings, func(b []byte) []byte {
		for _, v := range list {
			b = appendText(b, 9, v)
		}
		return b
	})
}

// graphBuilder collects the nodes and inputs of a GraphProto.
type graphBuilder struct {
	nodes  [][]byte
	inputs [][]byte
}

// node adds a NodeProto: input = 1, output = 2, name = 3, op_type = 4, attribute = 5, domain = 7.
func (g *graphBuilder) node(op, domain string, inputs, outputs []string, attributes ...[]byte) {
	var b []byte
	for _, name := range inputs {
		b = appendText(b, 1, name)
	}
	for _, name := range outputs {
		b = appendText(b, 2, name)
	}
	b = appendText(b, 3, op+"_"+outputs[0])
	b = appendText(b, 4, op)
	for _, a := range attributes {
		b = appendMessage(b, 5, a)
	}
	if domain != "" {
		b = appendText(b, 7, domain)
	}
	g.nodes = append(g.nodes, b)
}

// lookup adds a LabelEncoder from text to number.
func (g *graphBuilder) lookup(input, output string, keys []string, values []float32, other float32) {
	g.node("LabelEncoder", domainML, []string{input}, []string{output},
		attrFloat("default_float", other), attrStrings("keys_strings", keys), attrFloats("values_floats", values))
}

func (g *graphBuilder) input(name string, elem uint64) {
	g.inputs = append(g.inputs, valueInfo(name, elem, 1))
}

// valueInfo is a ValueInfoProto of shape [N] (width 0) or [N, width]: name = 1, type = 2; in it tensor_type = 1 with
// elem_type = 1 and shape = 2; a dimension is dim_value = 1 or dim_param = 2.
func valueInfo(name string, elem, width uint64) []byte {
	shape := appendMessage(nil, 1, appendText(nil, 2, "N"))
	if width > 0 {
		shape = appendMessage(shape, 1, appendVarint(nil, 1, width))
	}
	tensor := appendMessage(appendVarint(nil, 1, elem), 2, shape)
	return appendMessage(appendText(nil, 1, name), 2, appendMessage(nil, 1, tensor))
}

// model ends the ModelProto: ir_version = 1, producer_name = 2, graph = 7, opset_import = 8, metadata_props = 14.
func (g *graphBuilder) model(spec Graph, metadata []keyValue) []byte {
	var graph []byte // GraphProto: node = 1, name = 2, input = 11, output = 12
	for _, n := range g.nodes {
		graph = appendMessage(graph, 1, n)
	}
	graph = appendText(graph, 2, spec.Name)
	for _, in := range g.inputs {
		graph = appendMessage(graph, 11, in)
	}
	graph = appendMessage(graph, 12, valueInfo(outLabel, elemInt64, 0))
	graph = appendMessage(graph, 12, valueInfo(outScores, elemFloat, 2))

	b := appendVarint(nil, 1, irVersion)
	b = appendText(b, 2, producer)
	b = appendMessage(b, 7, graph)
	b = appendMessage(b, 8, appendVarint(nil, 2, opsetMain)) // the default domain is the empty text
	b = appendMessage(b, 8, appendVarint(appendText(nil, 1, domainML), 2, opsetML))
	for _, kv := range metadata {
		b = appendMessage(b, 14, appendText(appendText(nil, 1, kv.key), 2, kv.value))
	}
	return b
}
