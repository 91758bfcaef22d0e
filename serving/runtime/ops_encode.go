package runtime

import (
	"fmt"
	"math"
	"slices"
)

// mapper replaces each element by its value in a table.
func mapper[K, V element](x, y int, table map[K]V, nan *V, def V) func(*frame) error {
	return func(f *frame) error {
		src := *elems[K](&f.vals[x])
		dst, err := out[V](f, y, f.vals[x].Shape...)
		if err != nil {
			return err
		}
		for i, k := range src {
			v, ok := table[k]
			if !ok {
				v = def
				if nan != nil && k != k {
					v = *nan
				}
			}
			dst[i] = v
		}
		return nil
	}
}

// labelSide is one side of a LabelEncoder in typed form.
func (b *builder) labelSide(side string) (Tensor, *LoadError) {
	var found []Tensor
	if a := b.attr(side+"_strings", attrStrings); a != nil {
		found = append(found, Tensor{Type: String, Str: a.strings})
	}
	if a := b.attr(side+"_int64s", attrInts); a != nil {
		found = append(found, Tensor{Type: Int64, I64: a.ints})
	}
	if a := b.attr(side+"_floats", attrFloats); a != nil {
		found = append(found, Tensor{Type: Float32, F32: a.floats})
	}
	if t := b.tensor(side + "_tensor"); t != nil {
		if t.elem == onnxUint8 || t.elem == onnxBool {
			return Tensor{}, refuse("use int64", "%s_tensor has element type %d", side, t.elem)
		}
		found = append(found, t.val)
	}
	if len(found) != 1 {
		return Tensor{}, refuse(remedyReexport, "it needs exactly one of %s_strings, %s_int64s, %s_floats and %s_tensor", side, side, side, side)
	}
	return found[0], nil
}

func makeLabelEncoder(b *builder) (func(*frame) error, *LoadError) {
	if b.ml == 1 {
		return makeCategories(b, "classes_strings")
	}
	keys, err := b.labelSide("keys")
	if err != nil {
		return nil, err
	}
	vals, err := b.labelSide("values")
	if err != nil {
		return nil, err
	}
	if keys.Len() != vals.Len() {
		return nil, refuse(remedyReexport, "it has %d keys and %d values", keys.Len(), vals.Len())
	}
	if b.ml < 4 && (slices.ContainsFunc(keys.F32, isNaN[float32]) || slices.ContainsFunc(keys.F64, isNaN[float64])) {
		return nil, refuse("export it for version 4 of ai.onnx.ml, which defines it", "runtimes disagree on a key that is NaN")
	}
	// Each default is read, so that one of another type is no surprise.
	def := Tensor{Type: vals.Type, Str: []string{b.str("default_string", "_Unused")},
		I64: []int64{b.int("default_int64", -1)}, F32: []float32{b.float("default_float", float32(math.Copysign(0, -1)))},
		F64: []float64{math.Copysign(0, -1)}, I32: []int32{-1}}
	if t := b.tensor("default_tensor"); t != nil {
		if t.val.Type != vals.Type || t.val.Len() != 1 {
			return nil, refuse(remedyReexport, "default_tensor is not one value of type %s", vals.Type)
		}
		def = t.val
	}
	x, y, err := b.unary(vals.Type, keys.Type)
	if err != nil {
		return nil, err
	}
	switch keys.Type {
	case String:
		return encodeFrom[string](x, y, keys, vals, def), nil
	case Int64:
		return encodeFrom[int64](x, y, keys, vals, def), nil
	case Int32:
		return encodeFrom[int32](x, y, keys, vals, def), nil
	case Float32:
		return encodeFrom[float32](x, y, keys, vals, def), nil
	default:
		return encodeFrom[float64](x, y, keys, vals, def), nil
	}
}

func isNaN[E float](v E) bool { return v != v }

func encodeFrom[K element](x, y int, keys, vals, def Tensor) func(*frame) error {
	switch vals.Type {
	case String:
		return encode[K, string](x, y, keys, vals, def)
	case Int64:
		return encode[K, int64](x, y, keys, vals, def)
	case Int32:
		return encode[K, int32](x, y, keys, vals, def)
	case Float32:
		return encode[K, float32](x, y, keys, vals, def)
	default:
		return encode[K, float64](x, y, keys, vals, def)
	}
}

// encode builds the table; of equal keys the first one counts, and NaN, which
// equals nothing, is a key too.
func encode[K, V element](x, y int, keys, vals, def Tensor) func(*frame) error {
	table, vs := make(map[K]V, keys.Len()), *elems[V](&vals)
	var nan *V
	for i, k := range *elems[K](&keys) {
		if k != k {
			if nan == nil {
				nan = &vs[i]
			}
			continue
		}
		if _, ok := table[k]; !ok {
			table[k] = vs[i]
		}
	}
	return mapper(x, y, table, nan, (*elems[V](&def))[0])
}

func makeCategoryMapper(b *builder) (func(*frame) error, *LoadError) {
	return makeCategories(b, "cats_strings")
}

// makeCategories maps texts to numbers or back: CategoryMapper by its two lists,
// LabelEncoder of version 1 by the position in its one list.
func makeCategories(b *builder, list string) (func(*frame) error, *LoadError) {
	strs, ints := b.strs(list), b.ints("cats_int64s")
	if list == "classes_strings" {
		for i := range strs {
			ints = append(ints, int64(i))
		}
	}
	if len(strs) == 0 || len(strs) != len(ints) {
		return nil, refuse(remedyReexport, "it has %d texts and %d numbers", len(strs), len(ints))
	}
	defStr, defInt := b.str("default_string", "_Unused"), b.int("default_int64", -1)
	if err := b.inputs(1, 1); err != nil {
		return nil, err
	}
	to := String
	if b.typ(0) == String {
		to = Int64
	}
	x, y, err := b.unary(to, String, Int64)
	if err != nil {
		return nil, err
	}
	forward, back := make(map[string]int64, len(strs)), make(map[int64]string, len(strs))
	for i := range strs {
		forward[strs[i]], back[ints[i]] = ints[i], strs[i]
	}
	if to == Int64 {
		return mapper(x, y, forward, nil, defInt), nil
	}
	return mapper(x, y, back, nil, defStr), nil
}

func makeOneHotEncoder(b *builder) (func(*frame) error, *LoadError) {
	strs, ints := b.strs("cats_strings"), b.ints("cats_int64s")
	zeros := b.flag("zeros", true)
	if (len(strs) == 0) == (len(ints) == 0) {
		return nil, refuse(remedyReexport, "it needs either cats_strings or cats_int64s")
	}
	if len(strs) > 0 {
		x, y, err := b.unary(Float32, String)
		table := positions(strs)
		return oneHot(x, y, len(strs), zeros, func(s string) (int, bool) { i, ok := table[s]; return i, ok }), err
	}
	x, y, err := b.unary(Float32, Int64, Int32, Float32, Float64)
	if err != nil {
		return nil, err
	}
	table := positions(ints)
	switch b.typ(0) {
	case Int64:
		return oneHot(x, y, len(ints), zeros, wholePosition[int64](table)), nil
	case Int32:
		return oneHot(x, y, len(ints), zeros, wholePosition[int32](table)), nil
	case Float32:
		return oneHot(x, y, len(ints), zeros, wholePosition[float32](table)), nil
	default:
		return oneHot(x, y, len(ints), zeros, wholePosition[float64](table)), nil
	}
}

// positions maps each category to its column; of equal ones the last counts.
func positions[K comparable](cats []K) map[K]int {
	table := make(map[K]int, len(cats))
	for i, c := range cats {
		table[c] = i
	}
	return table
}

// wholePosition drops the fraction of a float, as the operator says; NaN and
// what no int64 can hold belong to no category.
func wholePosition[S number](table map[int64]int) func(S) (int, bool) {
	return func(v S) (int, bool) {
		n := toInt64(v)
		if n == math.MinInt64 && float64(v) != math.MinInt64 {
			return 0, false
		}
		i, ok := table[n]
		return i, ok
	}
}

func oneHot[K element](x, y, width int, zeros bool, find func(K) (int, bool)) func(*frame) error {
	return func(f *frame) error {
		have, src := f.vals[x].Shape, *elems[K](&f.vals[x])
		if len(have) >= maxRank {
			return fmt.Errorf("the input has %d dimensions, more than %d", len(have), maxRank-1)
		}
		var buf [maxRank]int
		shape := append(append(buf[:0], have...), width)
		dst, err := out[float32](f, y, shape...)
		if err != nil {
			return err
		}
		clear(dst)
		for i, k := range src {
			c, ok := find(k)
			if ok {
				dst[i*width+c] = 1
			} else if !zeros {
				return fmt.Errorf("the value at position %d is in no category of the encoder", i)
			}
		}
		return nil
	}
}

func makeArrayFeatureExtractor(b *builder) (func(*frame) error, *LoadError) {
	if err := b.inputs(2, 2); err != nil {
		return nil, err
	}
	if err := b.needType(0, Float32, Float64, Int64, Int32, String); err != nil {
		return nil, err
	}
	if err := b.needType(1, Int64); err != nil {
		return nil, err
	}
	x, s := b.in[0], b.in[1]
	y, err := b.output(0, 1, b.typ(0))
	if err != nil {
		return nil, err
	}
	switch b.typ(0) {
	case Float32:
		return extract[float32](x, s, y), nil
	case Float64:
		return extract[float64](x, s, y), nil
	case Int64:
		return extract[int64](x, s, y), nil
	case Int32:
		return extract[int32](x, s, y), nil
	}
	return extract[string](x, s, y), nil
}

// extract picks the given positions of the last dimension; a single row becomes
// a matrix of one row.
func extract[E element](x, s, y int) func(*frame) error {
	return func(f *frame) error {
		have, pick, src := f.vals[x].Shape, f.vals[s].I64, *elems[E](&f.vals[x])
		if len(have) == 0 || len(pick) == 0 {
			return fmt.Errorf("it picks %d positions from the shape %v", len(pick), have)
		}
		width := have[len(have)-1]
		for _, p := range pick {
			if p < 0 || p >= int64(width) {
				return fmt.Errorf("position %d is outside %d columns", p, width)
			}
		}
		var buf [maxRank]int
		shape := append(buf[:0], have...)
		shape[len(shape)-1] = len(pick)
		if len(shape) == 1 {
			shape = append(buf[:0], 1, len(pick))
		}
		dst, err := out[E](f, y, shape...)
		if err != nil {
			return err
		}
		for i := range dst {
			dst[i] = src[i/len(pick)*width+int(pick[i%len(pick)])]
		}
		return nil
	}
}

func makeFeatureVectorizer(b *builder) (func(*frame) error, *LoadError) {
	if err := b.inputs(1, maxNames); err != nil {
		return nil, err
	}
	dims := b.ints("inputdimensions")
	if len(dims) != len(b.in) {
		return nil, refuse(remedyReexport, "it has %d inputs and %d inputdimensions", len(b.in), len(dims))
	}
	width := 0
	for i, d := range dims {
		if b.in[i] < 0 || d < 1 || d > maxElements {
			return nil, refuse(remedyReexport, "its input %d is left out or has a dimension of %d", i, d)
		}
		if err := b.needType(i, Float32, Float64, Int64, Int32); err != nil {
			return nil, err
		}
		width += int(d)
	}
	in := b.in
	y, err := b.output(0, 1, Float32)
	return func(f *frame) error {
		rows, _, err := matrix(f.vals[in[0]].Shape)
		if err != nil {
			return err
		}
		dst, err := out[float32](f, y, rows, width)
		if err != nil {
			return err
		}
		clear(dst)
		at := 0
		for i, x := range in {
			t := &f.vals[x]
			n, cols, err := matrix(t.Shape)
			if err != nil {
				return err
			}
			if n != rows {
				return fmt.Errorf("its inputs have %d and %d rows", rows, n)
			}
			// Columns past the dimension are dropped, missing ones stay zero.
			for r := range rows {
				narrow(t, r*cols, dst[r*width+at:][:min(cols, int(dims[i]))])
			}
			at += int(dims[i])
		}
		return nil
	}, err
}

// narrow copies numbers of t from position at as float32.
func narrow(t *Tensor, at int, dst []float32) {
	switch t.Type {
	case Float32:
		copy(dst, t.F32[at:])
	case Float64:
		narrowElems(t.F64[at:], dst)
	case Int64:
		narrowElems(t.I64[at:], dst)
	default:
		narrowElems(t.I32[at:], dst)
	}
}

func narrowElems[S number](src []S, dst []float32) {
	for i := range dst {
		dst[i] = float32(src[i])
	}
}
