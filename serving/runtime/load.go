package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
)

// IO describes one input or output of a model.
type IO struct {
	Name   string
	Type   Type
	Shape  []int    // -1 where the size is free; nil when the model does not say
	Labels []string // of an output that ZipMap named: the key of each column
}

// Model is a compiled graph. It is immutable and safe for concurrent use.
type Model struct {
	digest  string
	meta    map[string]string
	inputs  []IO
	outputs []IO

	slots   int
	consts  []constant
	inSlot  []int
	outSlot []int
	index   map[string]int // input name → position
	steps   []step
	frames  sync.Pool

	textSlots []int // string slots that a call computes
}

type constant struct {
	slot int
	val  Tensor
}

type step struct {
	node, op string
	run      func(*frame) error
}

// Load parses and compiles an ONNX model of at most 128 MiB. Every error is a
// *LoadError. The model does not keep b.
func Load(b []byte) (*Model, error) {
	if len(b) == 0 {
		return nil, refuse("give the bytes of an ONNX file", "the file is empty")
	}
	if len(b) > maxModelBytes {
		return nil, refuse("serve it from an Open Inference server", "the file has %d bytes, more than %d", len(b), maxModelBytes)
	}
	p, err := parseModel(b)
	if err != nil {
		return nil, err
	}
	c := &compiler{m: &Model{meta: p.meta, index: map[string]int{}}, names: map[string]int{}, labels: map[int][]string{}}
	if err := c.compile(p); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	c.m.digest = hex.EncodeToString(sum[:])
	return c.m, nil
}

// Digest is the hex SHA-256 of the bytes that were loaded.
func (m *Model) Digest() string { return m.digest }

// Metadata is a copy of the model's metadata properties.
func (m *Model) Metadata() map[string]string { return maps.Clone(m.meta) }

// Inputs are the tensors that a call must give, in the graph's order: the
// declared inputs that have no stored value.
func (m *Model) Inputs() []IO { return cloneIO(m.inputs) }

// Outputs are the tensors that a call yields, in the graph's order.
func (m *Model) Outputs() []IO { return cloneIO(m.outputs) }

// InputNames are the names of Inputs: everything that can reach the model. A
// condition such as no_prohibited_basis is judged on them, whether or not the
// graph goes on to use each one.
func (m *Model) InputNames() []string {
	names := make([]string, len(m.inputs))
	for i, in := range m.inputs {
		names[i] = in.Name
	}
	return names
}

func cloneIO(list []IO) []IO {
	list = slices.Clone(list)
	for i := range list {
		list[i].Shape = slices.Clone(list[i].Shape)
		list[i].Labels = slices.Clone(list[i].Labels)
	}
	return list
}

// compiler gives each named value a slot, written by exactly one producer.
type compiler struct {
	m      *Model
	names  map[string]int
	types  []Type           // of each slot
	vals   []*Tensor        // of each slot that is constant, else nil
	labels map[int][]string // of each slot that ZipMap wrote
	opset  int64
	ml     int64
}

func (c *compiler) slot(t Type) int {
	c.types = append(c.types, t)
	c.vals = append(c.vals, nil)
	return len(c.types) - 1
}

func (c *compiler) define(name string, t Type) (int, *LoadError) {
	if name == "" {
		return c.slot(t), nil // an output that nobody reads
	}
	if _, ok := c.names[name]; ok {
		return 0, refuse(remedyReexport, "the value %q is defined twice", name)
	}
	s := c.slot(t)
	c.names[name] = s
	return s, nil
}

func (c *compiler) constant(name string, t Tensor) *LoadError {
	s, err := c.define(name, t.Type)
	if err != nil {
		return err
	}
	c.vals[s] = &t
	c.m.consts = append(c.m.consts, constant{s, t})
	return nil
}

func (c *compiler) compile(p *protoModel) error {
	c.opset, c.ml = p.opsets[""], p.opsets["ai.onnx.ml"]
	if c.opset != 0 && (c.opset < 7 || c.opset > 28) {
		return refuse("export it for a version from 7 to 28", "it needs version %d of ai.onnx", c.opset)
	}
	if c.ml < 0 || c.ml > 5 {
		return refuse("export it for a version from 1 to 5", "it needs version %d of ai.onnx.ml", c.ml)
	}
	g := p.graph
	for i := range g.inits {
		if g.inits[i].name == "" {
			return malformed("an initializer", "it has no name")
		}
		if g.inits[i].elem == onnxUint8 {
			return refuse("cast it to int32", "the initializer %q has element type uint8", g.inits[i].name)
		}
		if err := c.constant(g.inits[i].name, g.inits[i].val); err != nil {
			return err
		}
	}
	if err := c.graphInputs(g.inputs); err != nil {
		return err
	}
	for i := range g.nodes {
		if err := c.node(i, &g.nodes[i]); err != nil {
			return err
		}
	}
	if err := c.graphOutputs(g.outputs); err != nil {
		return err
	}
	c.m.slots = len(c.types)
	for s, t := range c.types {
		if t == String && c.vals[s] == nil && !slices.Contains(c.m.inSlot, s) {
			c.m.textSlots = append(c.m.textSlots, s)
		}
	}
	return nil
}

func (c *compiler) graphInputs(list []protoValue) error {
	for _, v := range list {
		if s, ok := c.names[v.name]; ok && c.vals[s] != nil {
			continue // a stored value that is also listed as an input, as old exporters do
		}
		t, ok := onnxType(v.elem)
		if !ok {
			return refuse("export it with tensors of float, double, int32, int64, bool or string", "the graph input %q is not a tensor of a known element type", v.name)
		}
		if v.name == "" {
			return malformed("a graph input", "it has no name")
		}
		s, err := c.define(v.name, t)
		if err != nil {
			return err
		}
		c.m.index[v.name] = len(c.m.inputs)
		c.m.inputs = append(c.m.inputs, v.io(t))
		c.m.inSlot = append(c.m.inSlot, s)
	}
	return nil
}

func (v protoValue) io(t Type) IO {
	in := IO{Name: v.name, Type: t}
	if v.hasShape {
		in.Shape = append(make([]int, 0, len(v.dims)), v.dims...)
	}
	return in
}

func (c *compiler) graphOutputs(list []protoValue) error {
	if len(list) == 0 {
		return malformed("the graph", "it has no output")
	}
	seen := map[string]bool{}
	for _, v := range list {
		s, ok := c.names[v.name]
		if !ok {
			return malformed("the graph", fmt.Sprintf("nothing computes the output %q", v.name))
		}
		if seen[v.name] {
			return malformed("the graph", fmt.Sprintf("the output %q is listed twice", v.name))
		}
		seen[v.name] = true
		if t, ok := onnxType(v.elem); v.elem != 0 && (!ok || t != c.types[s]) {
			return refuse(remedyReexport, "the output %q is declared with element type %d and computed as %s", v.name, v.elem, c.types[s])
		}
		out := v.io(c.types[s])
		if keys, ok := c.labels[s]; ok {
			out.Labels, out.Shape = keys, []int{-1, len(keys)}
		}
		c.m.outputs = append(c.m.outputs, out)
		c.m.outSlot = append(c.m.outSlot, s)
	}
	return nil
}

// builder is what an operator's constructor sees of its node.
type builder struct {
	*compiler
	n    *protoNode
	in   []int // slot of each input, -1 when it is left out
	used map[string]bool
	err  *LoadError // the first one met while attributes were read
}

func (c *compiler) node(i int, n *protoNode) error {
	b := &builder{compiler: c, n: n, used: map[string]bool{}}
	err := b.build()
	if err == nil {
		return nil
	}
	return err.at(i, n)
}

// at names the node that the error is about.
func (e *LoadError) at(i int, n *protoNode) *LoadError {
	e.Node, e.Op = n.name, n.op
	if e.Node == "" {
		e.Node = "#" + strconv.Itoa(i)
	}
	if n.domain != "" {
		e.Op = n.domain + "." + n.op
	}
	return e
}

func (b *builder) build() *LoadError {
	seen := map[string]bool{}
	for _, a := range b.n.attrs {
		if seen[a.name] {
			return refuse(remedyReexport, "the attribute %q appears twice", a.name)
		}
		seen[a.name] = true
	}
	for _, name := range b.n.in {
		s := -1
		if name != "" {
			var ok bool
			if s, ok = b.names[name]; !ok {
				return refuse("sort the nodes so that each value is computed before it is used", "its input %q is not defined before it", name)
			}
		}
		b.in = append(b.in, s)
	}
	make, ok := operator(b.n.domain, b.n.op)
	if !ok {
		return refuse(remedySubset, "the operator is not in the supported subset")
	}
	if (b.n.domain == "" && b.opset == 0) || (b.n.domain != "" && b.ml == 0) {
		return refuse(remedyReexport, "the model does not import the operator set %q", b.n.domain)
	}
	run, err := make(b)
	if err == nil {
		err = b.err
	}
	if err != nil {
		return err
	}
	for _, a := range b.n.attrs {
		if !b.used[a.name] {
			return refuse("export the node without it", "the attribute %q is not supported", a.name)
		}
	}
	name := b.n.name
	if name == "" {
		name = b.n.op
	}
	if run != nil {
		b.m.steps = append(b.m.steps, step{name, b.n.op, run})
	}
	return nil
}
