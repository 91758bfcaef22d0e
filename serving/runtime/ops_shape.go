package runtime

import (
	"fmt"
	"slices"
)

// copyTo copies the elements of slot x to slot y under another shape.
func copyTo(f *frame, x, y int, shape []int) error {
	t := &f.vals[x]
	n, err := volume(shape)
	if err != nil {
		return err
	}
	if n != t.Len() {
		return fmt.Errorf("%d elements do not fit the shape %v", t.Len(), shape)
	}
	switch t.Type {
	case Float32:
		return copyElems[float32](f, x, y, shape)
	case Float64:
		return copyElems[float64](f, x, y, shape)
	case Int64:
		return copyElems[int64](f, x, y, shape)
	case Int32:
		return copyElems[int32](f, x, y, shape)
	case Bool:
		return copyElems[bool](f, x, y, shape)
	}
	return copyElems[string](f, x, y, shape)
}

func copyElems[E element](f *frame, x, y int, shape []int) error {
	dst, err := out[E](f, y, shape...)
	if err != nil {
		return err
	}
	copy(dst, *elems[E](&f.vals[x]))
	return nil
}

// anyType lists all element types, for operators that move elements about.
func anyType() []Type { return []Type{Float32, Float64, Int64, Int32, Bool, String} }

func makeIdentity(b *builder) (func(*frame) error, *LoadError) {
	x, y, err := b.unary(0, anyType()...)
	return func(f *frame) error { return copyTo(f, x, y, f.vals[x].Shape) }, err
}

func makeZipMap(b *builder) (func(*frame) error, *LoadError) {
	x, y, err := b.unary(Float32, Float32)
	if err != nil {
		return nil, err
	}
	keys := slices.Clone(b.strs("classlabels_strings"))
	if keys == nil {
		for _, k := range b.ints("classlabels_int64s") {
			keys = append(keys, fmt.Sprint(k))
		}
	}
	if len(keys) == 0 {
		return nil, refuse(remedyReexport, "it has no class labels")
	}
	b.labels[y] = keys
	return func(f *frame) error {
		rows, cols, err := matrix(f.vals[x].Shape)
		if err != nil {
			return err
		}
		if cols != len(keys) {
			return fmt.Errorf("%d columns for %d labels", cols, len(keys))
		}
		return copyTo(f, x, y, []int{rows, cols})
	}, nil
}

func makeConstant(b *builder) (func(*frame) error, *LoadError) {
	var vals []Tensor
	if t := b.tensor("value"); t != nil {
		if t.elem == onnxUint8 {
			return nil, refuse("use int32", "its value has element type uint8")
		}
		vals = append(vals, t.val)
	}
	if a := b.attr("value_float", attrFloat); a != nil {
		vals = append(vals, Tensor{Type: Float32, F32: []float32{a.f}})
	}
	if a := b.attr("value_floats", attrFloats); a != nil {
		vals = append(vals, Tensor{Type: Float32, F32: a.floats, Shape: []int{len(a.floats)}})
	}
	if a := b.attr("value_int", attrInt); a != nil {
		vals = append(vals, Tensor{Type: Int64, I64: []int64{a.i}})
	}
	if a := b.attr("value_ints", attrInts); a != nil {
		vals = append(vals, Tensor{Type: Int64, I64: a.ints, Shape: []int{len(a.ints)}})
	}
	if a := b.attr("value_string", attrString); a != nil {
		vals = append(vals, Tensor{Type: String, Str: []string{a.s}})
	}
	if a := b.attr("value_strings", attrStrings); a != nil {
		vals = append(vals, Tensor{Type: String, Str: a.strings, Shape: []int{len(a.strings)}})
	}
	if len(vals) != 1 || len(b.n.out) != 1 || b.n.out[0] == "" {
		return nil, refuse(remedyReexport, "it needs one value and one output")
	}
	return nil, b.constant(b.n.out[0], vals[0])
}

// axis resolves a possibly negative axis.
func axis(a int64, rank int) (int, error) {
	if a < 0 {
		a += int64(rank)
	}
	if a < 0 || a >= int64(rank) {
		return 0, fmt.Errorf("the axis is outside a tensor of %d dimensions", rank)
	}
	return int(a), nil
}

// intList reads input i, or before the given version of ai.onnx the attribute.
func (b *builder) intList(i int, attr string, since int64) (func(*frame) []int64, *LoadError) {
	if b.opset < since || i >= len(b.in) || b.in[i] < 0 {
		list := b.ints(attr)
		return func(*frame) []int64 { return list }, nil
	}
	if err := b.needType(i, Int64); err != nil {
		return nil, err
	}
	s := b.in[i]
	return func(f *frame) []int64 { return f.vals[s].I64 }, nil
}

func makeReshape(b *builder) (func(*frame) error, *LoadError) {
	if err := b.inputs(2, 2); err != nil {
		return nil, err
	}
	if err := b.needType(1, Int64); err != nil {
		return nil, err
	}
	keepZero := b.flag("allowzero", false)
	x, s := b.in[0], b.in[1]
	y, err := b.output(0, 1, b.typ(0))
	if err != nil {
		return nil, err
	}
	return func(f *frame) error {
		want, have := f.vals[s].I64, f.vals[x].Shape
		if len(want) > maxRank {
			return fmt.Errorf("the new shape has %d dimensions, more than %d", len(want), maxRank)
		}
		shape, free, rest := make([]int, len(want)), -1, 1
		for i, d := range want {
			switch {
			case d == -1 && free < 0:
				free = i
				continue
			case d == 0 && !keepZero && i < len(have):
				shape[i] = have[i]
			case d < 0 || d > maxElements || (d == 0 && !keepZero):
				return fmt.Errorf("the shape %v cannot be applied to %v", want, have)
			default:
				shape[i] = int(d)
			}
			if shape[i] != 0 && rest > maxElements/shape[i] {
				return fmt.Errorf("the shape %v has more than %d elements", want, maxElements)
			}
			rest *= shape[i]
		}
		if free >= 0 {
			if rest == 0 || f.vals[x].Len()%rest != 0 {
				return fmt.Errorf("the shape %v cannot be applied to %v", want, have)
			}
			shape[free] = f.vals[x].Len() / rest
		}
		return copyTo(f, x, y, shape)
	}, nil
}

func makeFlatten(b *builder) (func(*frame) error, *LoadError) {
	x, y, err := b.unary(0, anyType()...)
	at := b.int("axis", 1)
	return func(f *frame) error {
		shape := f.vals[x].Shape
		a := at
		if a < 0 {
			a += int64(len(shape))
		}
		if a < 0 || a > int64(len(shape)) {
			return fmt.Errorf("axis %d is outside the shape %v", at, shape)
		}
		rows, err := volume(shape[:a])
		if err != nil {
			return err
		}
		cols, err := volume(shape[a:])
		if err != nil {
			return err
		}
		return copyTo(f, x, y, []int{rows, cols})
	}, err
}

func makeSqueeze(b *builder) (func(*frame) error, *LoadError) {
	if err := b.inputs(1, 2); err != nil {
		return nil, err
	}
	axes, err := b.intList(1, "axes", 13)
	if err != nil {
		return nil, err
	}
	given := b.has("axes") || len(b.in) == 2 && b.in[1] >= 0
	x := b.in[0]
	y, err := b.output(0, 1, b.typ(0))
	return func(f *frame) error {
		have := f.vals[x].Shape
		drop := make([]bool, len(have))
		for i, d := range have {
			drop[i] = !given && d == 1
		}
		for _, v := range axes(f) {
			a, err := axis(v, len(have))
			if err != nil {
				return err
			}
			if have[a] != 1 {
				return fmt.Errorf("dimension %d of %v is not 1", a, have)
			}
			drop[a] = true
		}
		var shape []int
		for i, d := range have {
			if !drop[i] {
				shape = append(shape, d)
			}
		}
		return copyTo(f, x, y, shape)
	}, err
}

func makeUnsqueeze(b *builder) (func(*frame) error, *LoadError) {
	if err := b.inputs(1, 2); err != nil {
		return nil, err
	}
	axes, err := b.intList(1, "axes", 13)
	if err != nil {
		return nil, err
	}
	x := b.in[0]
	y, err := b.output(0, 1, b.typ(0))
	return func(f *frame) error {
		have, list := f.vals[x].Shape, axes(f)
		rank := len(have) + len(list)
		if rank > maxRank {
			return fmt.Errorf("the result has %d dimensions, more than %d", rank, maxRank)
		}
		shape := make([]int, rank)
		for _, v := range list {
			a, err := axis(v, rank)
			if err != nil {
				return err
			}
			if shape[a] != 0 {
				return fmt.Errorf("axis %d is given twice", a)
			}
			shape[a] = 1
		}
		next := 0
		for i := range shape {
			if shape[i] == 0 {
				shape[i] = have[next]
				next++
			}
		}
		return copyTo(f, x, y, shape)
	}, err
}

func makeTranspose(b *builder) (func(*frame) error, *LoadError) {
	x, y, err := b.unary(0, anyType()...)
	if err != nil {
		return nil, err
	}
	perm := b.ints("perm")
	if perm != nil && !slices.Equal(perm, []int64{1, 0}) && !slices.Equal(perm, []int64{0, 1}) {
		return nil, refuse("reshape to two dimensions first", "it permutes %v; only matrices are transposed", perm)
	}
	keep := perm != nil && perm[0] == 0
	return func(f *frame) error {
		if len(f.vals[x].Shape) != 2 {
			return fmt.Errorf("only matrices are transposed, got shape %v", f.vals[x].Shape)
		}
		if keep {
			return copyTo(f, x, y, f.vals[x].Shape)
		}
		switch f.vals[x].Type {
		case Float32:
			return transpose[float32](f, x, y)
		case Float64:
			return transpose[float64](f, x, y)
		case Int64:
			return transpose[int64](f, x, y)
		case Int32:
			return transpose[int32](f, x, y)
		case Bool:
			return transpose[bool](f, x, y)
		}
		return transpose[string](f, x, y)
	}, nil
}

func transpose[E element](f *frame, x, y int) error {
	rows, cols := f.vals[x].Shape[0], f.vals[x].Shape[1]
	src := *elems[E](&f.vals[x])
	dst, err := out[E](f, y, cols, rows)
	if err != nil {
		return err
	}
	for r := range rows {
		for c := range cols {
			dst[c*rows+r] = src[r*cols+c]
		}
	}
	return nil
}

func makeConcat(b *builder) (func(*frame) error, *LoadError) {
	if err := b.inputs(1, maxNames); err != nil {
		return nil, err
	}
	for i := range b.in {
		if b.in[i] < 0 {
			return nil, refuse(remedyReexport, "its input %d is left out", i)
		}
		if b.typ(i) != b.typ(0) {
			return nil, refuse("cast them to one type", "it joins %s %q and %s %q", b.typ(0), b.n.in[0], b.typ(i), b.n.in[i])
		}
	}
	if !b.has("axis") {
		return nil, refuse(remedyReexport, "it has no axis")
	}
	at, in := b.int("axis", 0), b.in
	y, err := b.output(0, 1, b.typ(0))
	if err != nil {
		return nil, err
	}
	switch b.typ(0) {
	case Float32:
		return concat[float32](in, y, at), nil
	case Float64:
		return concat[float64](in, y, at), nil
	case Int64:
		return concat[int64](in, y, at), nil
	case Int32:
		return concat[int32](in, y, at), nil
	case Bool:
		return concat[bool](in, y, at), nil
	}
	return concat[string](in, y, at), nil
}

func concat[E element](in []int, y int, at int64) func(*frame) error {
	return func(f *frame) error {
		first := f.vals[in[0]].Shape
		a, err := axis(at, len(first))
		if err != nil {
			return err
		}
		var buf [maxRank]int
		shape := append(buf[:0], first...)
		shape[a] = 0
		for _, x := range in {
			have := f.vals[x].Shape
			if len(have) != len(first) {
				return fmt.Errorf("shapes %v and %v cannot be joined", first, have)
			}
			for k := range have {
				if k != a && have[k] != first[k] {
					return fmt.Errorf("shapes %v and %v cannot be joined along dimension %d", first, have, a)
				}
			}
			shape[a] += have[a]
		}
		dst, err := out[E](f, y, shape...)
		if err != nil || len(dst) == 0 {
			return err
		}
		inner := 1 // elements behind one index of the axis; bounded by the output's volume
		for _, d := range shape[a+1:] {
			inner *= d
		}
		stride, at := shape[a]*inner, 0
		for _, x := range in {
			src, n := *elems[E](&f.vals[x]), f.vals[x].Shape[a]*inner
			for o := at; len(src) > 0; o += stride {
				copy(dst[o:o+n], src[:n])
				src = src[n:]
			}
			at += n
		}
		return nil
	}
}
