package runtime

import "fmt"

// attr finds an attribute of one kind and notes that it was read. A wrong kind
// is remembered in b.err.
func (b *builder) attr(name string, kind int64) *protoAttr {
	b.used[name] = true
	for i := range b.n.attrs {
		a := &b.n.attrs[i]
		if a.name != name {
			continue
		}
		if a.kind != kind {
			if b.err == nil {
				b.err = refuse(remedyReexport, "the attribute %q has kind %d where kind %d is needed", name, a.kind, kind)
			}
			return nil
		}
		return a
	}
	return nil
}

func (b *builder) has(name string) bool {
	for i := range b.n.attrs {
		if b.n.attrs[i].name == name {
			return true
		}
	}
	return false
}

func (b *builder) int(name string, def int64) int64 {
	if a := b.attr(name, attrInt); a != nil {
		return a.i
	}
	return def
}

func (b *builder) flag(name string, def bool) bool {
	v := int64(0)
	if def {
		v = 1
	}
	v = b.int(name, v)
	if v != 0 && v != 1 && b.err == nil {
		b.err = refuse("use 0 or 1", "the attribute %q is %d", name, v)
	}
	return v != 0
}

func (b *builder) float(name string, def float32) float32 {
	if a := b.attr(name, attrFloat); a != nil {
		return a.f
	}
	return def
}

func (b *builder) str(name, def string) string {
	if a := b.attr(name, attrString); a != nil {
		return a.s
	}
	return def
}

func (b *builder) ints(name string) []int64 {
	if a := b.attr(name, attrInts); a != nil {
		return a.ints
	}
	return nil
}

func (b *builder) floats(name string) []float32 {
	if a := b.attr(name, attrFloats); a != nil {
		return a.floats
	}
	return nil
}

func (b *builder) strs(name string) []string {
	if a := b.attr(name, attrStrings); a != nil {
		return a.strings
	}
	return nil
}

func (b *builder) tensor(name string) *protoTensor {
	if a := b.attr(name, attrTensor); a != nil && a.t != nil {
		return a.t
	}
	return nil
}

// doubles reads a list of numbers that is stored as floats under name or as a
// tensor of float or double under name_as_tensor.
func (b *builder) doubles(name string) (list []float64, wide bool) {
	fs, t := b.floats(name), b.tensor(name+"_as_tensor")
	if t == nil {
		return widen(fs), false
	}
	if len(fs) > 0 && b.err == nil {
		b.err = refuse("keep one of them", "%s and %s_as_tensor are both set", name, name)
	}
	return b.real(name+"_as_tensor", t)
}

// real reads a tensor of float or double; wide says that it was double.
func (b *builder) real(name string, t *protoTensor) (list []float64, wide bool) {
	switch {
	case t == nil:
	case t.val.Type == Float32:
		return widen(t.val.F32), false
	case t.val.Type == Float64:
		return t.val.F64, true
	case b.err == nil:
		b.err = refuse("store it as float or double", "the attribute %q has element type %s", name, t.val.Type)
	}
	return nil, false
}

func widen(fs []float32) []float64 {
	if fs == nil {
		return nil
	}
	out := make([]float64, len(fs))
	for i, f := range fs {
		out[i] = float64(f)
	}
	return out
}

// inputs checks the number of inputs that are present, all up to lo required.
func (b *builder) inputs(lo, hi int) *LoadError {
	if len(b.in) < lo || len(b.in) > hi {
		return refuse(remedyReexport, "it has %d inputs; %d to %d are needed", len(b.in), lo, hi)
	}
	for i := range lo {
		if b.in[i] < 0 {
			return refuse(remedyReexport, "its input %d is left out", i)
		}
	}
	return nil
}

// typ is the element type of input i.
func (b *builder) typ(i int) Type { return b.types[b.in[i]] }

// needType refuses input i unless its type is one of want.
func (b *builder) needType(i int, want ...Type) *LoadError {
	for _, w := range want {
		if b.typ(i) == w {
			return nil
		}
	}
	return refuse(fmt.Sprintf("cast it to one of %v", want), "its input %q has element type %s", b.n.in[i], b.typ(i))
}

// output gives the slot of output i. An output that the node leaves out gets a
// slot that nobody reads; more outputs than max are refused.
func (b *builder) output(i, max int, t Type) (int, *LoadError) {
	if len(b.n.out) == 0 || len(b.n.out) > max {
		return 0, refuse(remedyReexport, "it has %d outputs; 1 to %d are needed", len(b.n.out), max)
	}
	if i >= len(b.n.out) {
		return b.slot(t), nil
	}
	return b.define(b.n.out[i], t)
}

// unary reads the common case of one input of a wanted type and one output;
// a zero type of output means the type of the input.
func (b *builder) unary(out Type, want ...Type) (x, y int, err *LoadError) {
	if err := b.inputs(1, 1); err != nil {
		return 0, 0, err
	}
	if err := b.needType(0, want...); err != nil {
		return 0, 0, err
	}
	if out == 0 {
		out = b.typ(0)
	}
	y, err = b.output(0, 1, out)
	return b.in[0], y, err
}
