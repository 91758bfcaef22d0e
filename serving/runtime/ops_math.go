package runtime

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

func makeArithmetic(b *builder) (func(*frame) error, *LoadError) {
	if err := b.inputs(2, 2); err != nil {
		return nil, err
	}
	if err := b.needType(0, Float32, Float64, Int64, Int32); err != nil {
		return nil, err
	}
	if b.typ(0) != b.typ(1) {
		return nil, refuse("cast them to one type", "its inputs have types %s and %s", b.typ(0), b.typ(1))
	}
	y, err := b.output(0, 1, b.typ(0))
	if err != nil {
		return nil, err
	}
	switch op, p, q := b.n.op, b.in[0], b.in[1]; b.typ(0) {
	case Float32:
		return arithmetic[float32](op, p, q, y, false), nil
	case Float64:
		return arithmetic[float64](op, p, q, y, false), nil
	case Int64:
		return arithmetic[int64](op, p, q, y, true), nil
	default:
		return arithmetic[int32](op, p, q, y, true), nil
	}
}

func arithmetic[E number](op string, p, q, y int, whole bool) func(*frame) error {
	var fn func(a, b E) E
	switch op {
	case "Add":
		fn = func(a, b E) E { return a + b }
	case "Sub":
		fn = func(a, b E) E { return a - b }
	case "Mul":
		fn = func(a, b E) E { return a * b }
	default:
		fn = func(a, b E) E { return a / b }
	}
	return func(f *frame) error {
		a, b := *elems[E](&f.vals[p]), *elems[E](&f.vals[q])
		if whole && op == "Div" && slices.Contains(b, 0) {
			return errors.New("whole numbers are divided by zero")
		}
		return broadcast(f, p, q, y, a, b, fn)
	}
}

// broadcast applies fn by NumPy's rules: shapes are aligned at their last
// dimension, and a dimension of 1 repeats.
func broadcast[E number](f *frame, p, q, y int, a, b []E, fn func(a, b E) E) error {
	sa, sb := f.vals[p].Shape, f.vals[q].Shape
	var buf [maxRank]int
	rank := max(len(sa), len(sb))
	shape := buf[:rank]
	var stepA, stepB [maxRank]int // elements to move for one step of each dimension
	na, nb := 1, 1
	for k := 1; k <= rank; k++ {
		da, db := 1, 1
		if k <= len(sa) {
			da = sa[len(sa)-k]
		}
		if k <= len(sb) {
			db = sb[len(sb)-k]
		}
		if da != db && da != 1 && db != 1 {
			return fmt.Errorf("shapes %v and %v cannot be combined", sa, sb)
		}
		if da != 1 {
			stepA[rank-k] = na
		}
		if db != 1 {
			stepB[rank-k] = nb
		}
		na, nb = na*da, nb*db
		shape[rank-k] = da
		if da == 1 {
			shape[rank-k] = db
		}
	}
	dst, err := out[E](f, y, shape...)
	if err != nil {
		return err
	}
	if len(a) == len(dst) && len(b) == len(dst) {
		for i := range dst {
			dst[i] = fn(a[i], b[i])
		}
		return nil
	}
	var at [maxRank]int
	ia, ib := 0, 0
	for i := range dst {
		dst[i] = fn(a[ia], b[ib])
		for k := rank - 1; k >= 0; k-- {
			at[k]++
			ia, ib = ia+stepA[k], ib+stepB[k]
			if at[k] < shape[k] {
				break
			}
			ia, ib = ia-at[k]*stepA[k], ib-at[k]*stepB[k]
			at[k] = 0
		}
	}
	return nil
}

// pointwise builds an operator that maps each element by itself.
func pointwise[E number](x, y int, fn func(E) E) func(*frame) error {
	return func(f *frame) error {
		src := *elems[E](&f.vals[x])
		dst, err := out[E](f, y, f.vals[x].Shape...)
		if err != nil {
			return err
		}
		for i, v := range src {
			dst[i] = fn(v)
		}
		return nil
	}
}

// pointwiseFloat maps by a function of float64, which float32 is rounded from.
func pointwiseFloat(b *builder, fn func(float64) float64) (func(*frame) error, *LoadError) {
	x, y, err := b.unary(0, Float32, Float64)
	if err != nil {
		return nil, err
	}
	if b.typ(0) == Float32 {
		return pointwise(x, y, func(v float32) float32 { return float32(fn(float64(v))) }), nil
	}
	return pointwise(x, y, fn), nil
}

// logistic is 1/(1+e^−x), written so that e^… never overflows.
func logistic(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

func makeSigmoid(b *builder) (func(*frame) error, *LoadError) { return pointwiseFloat(b, logistic) }

func relu[E number](v E) E {
	if v < 0 {
		return 0
	}
	return v // a NaN stays one
}

func sign[E number](v E) E {
	switch {
	case v < 0:
		return E(0) - 1
	case v > 0:
		return 1
	}
	return v
}

func makeRelu(b *builder) (func(*frame) error, *LoadError) {
	return numeric(b, relu[float32], relu[float64], relu[int64], relu[int32])
}

func makeSign(b *builder) (func(*frame) error, *LoadError) {
	return numeric(b, sign[float32], sign[float64], sign[int64], sign[int32])
}

func numeric(b *builder, f32 func(float32) float32, f64 func(float64) float64, i64 func(int64) int64, i32 func(int32) int32) (func(*frame) error, *LoadError) {
	x, y, err := b.unary(0, Float32, Float64, Int64, Int32)
	if err != nil {
		return nil, err
	}
	switch b.typ(0) {
	case Float32:
		return pointwise(x, y, f32), nil
	case Float64:
		return pointwise(x, y, f64), nil
	case Int64:
		return pointwise(x, y, i64), nil
	default:
		return pointwise(x, y, i32), nil
	}
}

// split reads a shape around an axis as outer × size × inner.
func split(shape []int, at int64) (outer, size, inner, a int, err error) {
	if a, err = axis(at, len(shape)); err != nil {
		return
	}
	outer, size, inner = 1, shape[a], 1
	for _, d := range shape[:a] {
		outer *= d
	}
	for _, d := range shape[a+1:] {
		inner *= d
	}
	return
}

func makeSoftmax(b *builder) (func(*frame) error, *LoadError) {
	x, y, err := b.unary(0, Float32, Float64)
	if err != nil {
		return nil, err
	}
	if b.opset >= 13 {
		at := b.int("axis", -1)
		if b.typ(0) == Float32 {
			return softmax[float32](x, y, at, false), nil
		}
		return softmax[float64](x, y, at, false), nil
	}
	at := b.int("axis", 1) // and everything from the axis on is one row
	if b.typ(0) == Float32 {
		return softmax[float32](x, y, at, true), nil
	}
	return softmax[float64](x, y, at, true), nil
}

func softmax[E float](x, y int, at int64, flat bool) func(*frame) error {
	return func(f *frame) error {
		shape, src := f.vals[x].Shape, *elems[E](&f.vals[x])
		outer, size, inner, _, err := split(shape, at)
		if err != nil {
			return err
		}
		if flat {
			size, inner = size*inner, 1
		}
		dst, err := out[E](f, y, shape...)
		if err != nil || len(dst) == 0 {
			return err
		}
		for o := range outer {
			for i := range inner {
				base := o*size*inner + i
				top := math.Inf(-1)
				for k := range size {
					if v := float64(src[base+k*inner]); v > top {
						top = v
					}
				}
				sum := 0.0
				for k := range size {
					sum += math.Exp(float64(src[base+k*inner]) - top)
				}
				for k := range size {
					dst[base+k*inner] = E(math.Exp(float64(src[base+k*inner])-top) / sum)
				}
			}
		}
		return nil
	}
}

// reduced is shape without its marked dimensions, or with 1 in their place.
func reduced(shape []int, drop []bool, keep bool) []int {
	var list []int
	for i, d := range shape {
		if !drop[i] {
			list = append(list, d)
		} else if keep {
			list = append(list, 1)
		}
	}
	return list
}

func makeArgMax(b *builder) (func(*frame) error, *LoadError) {
	x, y, err := b.unary(Int64, Float32, Float64, Int64, Int32)
	if err != nil {
		return nil, err
	}
	at, keep, last := b.int("axis", 0), b.flag("keepdims", true), b.flag("select_last_index", false)
	switch b.typ(0) {
	case Float32:
		return argMax[float32](x, y, at, keep, last), nil
	case Float64:
		return argMax[float64](x, y, at, keep, last), nil
	case Int64:
		return argMax[int64](x, y, at, keep, last), nil
	default:
		return argMax[int32](x, y, at, keep, last), nil
	}
}

func argMax[E number](x, y int, at int64, keep, last bool) func(*frame) error {
	return func(f *frame) error {
		shape, src := f.vals[x].Shape, *elems[E](&f.vals[x])
		outer, size, inner, a, err := split(shape, at)
		if err != nil {
			return err
		}
		if size == 0 {
			return errors.New("the axis has no elements")
		}
		drop := make([]bool, len(shape))
		drop[a] = true
		dst, err := out[int64](f, y, reduced(shape, drop, keep)...)
		if err != nil {
			return err
		}
		for o := range outer {
			for i := range inner {
				base, best := o*size*inner+i, 0
				for k := 1; k < size; k++ {
					v, top := src[base+k*inner], src[base+best*inner]
					if v > top || last && v == top {
						best = k
					}
				}
				dst[o*inner+i] = int64(best)
			}
		}
		return nil
	}
}

func makeReduceSum(b *builder) (func(*frame) error, *LoadError) {
	if err := b.inputs(1, 2); err != nil {
		return nil, err
	}
	if err := b.needType(0, Float32, Float64, Int64, Int32); err != nil {
		return nil, err
	}
	axes, err := b.intList(1, "axes", 13)
	if err != nil {
		return nil, err
	}
	keep, none := b.flag("keepdims", true), b.flag("noop_with_empty_axes", false)
	x := b.in[0]
	y, err := b.output(0, 1, b.typ(0))
	if err != nil {
		return nil, err
	}
	switch b.typ(0) {
	case Float32:
		return reduceSum[float32, float64](x, y, axes, keep, none), nil
	case Float64:
		return reduceSum[float64, float64](x, y, axes, keep, none), nil
	case Int64:
		return reduceSum[int64, int64](x, y, axes, keep, none), nil
	default:
		return reduceSum[int32, int32](x, y, axes, keep, none), nil
	}
}

// reduceSum adds in type A, in index order.
func reduceSum[E, A number](x, y int, axes func(*frame) []int64, keep, none bool) func(*frame) error {
	return func(f *frame) error {
		shape, list := f.vals[x].Shape, axes(f)
		if len(list) == 0 && none {
			return copyTo(f, x, y, shape)
		}
		drop := make([]bool, len(shape))
		for i := range drop {
			drop[i] = len(list) == 0
		}
		for _, v := range list {
			a, err := axis(v, len(shape))
			if err != nil {
				return err
			}
			drop[a] = true
		}
		dst, err := out[E](f, y, reduced(shape, drop, keep)...)
		if err != nil {
			return err
		}
		sums := make([]A, len(dst))
		var step, at [maxRank]int // of the output for one step of each dimension
		for k, n := len(shape)-1, 1; k >= 0; k-- {
			if !drop[k] {
				step[k] = n
				n *= shape[k]
			}
		}
		o := 0
		for _, v := range *elems[E](&f.vals[x]) {
			sums[o] += A(v)
			for k := len(shape) - 1; k >= 0; k-- {
				at[k]++
				o += step[k]
				if at[k] < shape[k] {
					break
				}
				o -= at[k] * step[k]
				at[k] = 0
			}
		}
		for i, v := range sums {
			dst[i] = E(v)
		}
		return nil
	}
}
