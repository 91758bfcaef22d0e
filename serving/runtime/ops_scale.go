package runtime

import (
	"fmt"
	"math"
)

// perColumn repeats a list of one for every column, or checks its length.
func perColumn[E any](list []E, cols int, what string) ([]E, error) {
	if len(list) != 1 && len(list) != cols {
		return nil, fmt.Errorf("%d columns for %d %s", cols, len(list), what)
	}
	return list, nil
}

func makeScaler(b *builder) (func(*frame) error, *LoadError) {
	offset, scale := b.floats("offset"), b.floats("scale")
	if len(offset) == 0 {
		offset = []float32{0}
	}
	if len(scale) == 0 {
		scale = []float32{1}
	}
	x, y, err := b.unary(Float32, Float32, Float64, Int64, Int32)
	if err != nil {
		return nil, err
	}
	switch b.typ(0) {
	case Float32:
		return scaler[float32, float32](x, y, offset, scale), nil
	case Float64:
		return scaler[float64, float64](x, y, offset, scale), nil
	case Int64:
		return scaler[int64, float32](x, y, offset, scale), nil
	default:
		return scaler[int32, float32](x, y, offset, scale), nil
	}
}

// scaler computes (x − offset)·scale in type A.
func scaler[S number, A float](x, y int, offset, scale []float32) func(*frame) error {
	return func(f *frame) error {
		src := *elems[S](&f.vals[x])
		_, cols, err := matrix(f.vals[x].Shape)
		if err != nil {
			return err
		}
		off, err := perColumn(offset, cols, "offsets")
		if err != nil {
			return err
		}
		mul, err := perColumn(scale, cols, "scales")
		if err != nil {
			return err
		}
		dst, err := out[float32](f, y, f.vals[x].Shape...)
		if err != nil {
			return err
		}
		for i, v := range src {
			c := i % cols
			dst[i] = float32((A(v) - A(off[c%len(off)])) * A(mul[c%len(mul)]))
		}
		return nil
	}
}

func makeImputer(b *builder) (func(*frame) error, *LoadError) {
	floats, ints := b.floats("imputed_value_floats"), b.ints("imputed_value_int64s")
	oldFloat, oldInt := b.float("replaced_value_float", 0), b.int("replaced_value_int64", 0)
	x, y, err := b.unary(0, Float32, Float64, Int64, Int32)
	if err != nil {
		return nil, err
	}
	whole := b.typ(0) == Int64 || b.typ(0) == Int32
	if whole && (len(ints) == 0 || len(floats) > 0) || !whole && (len(floats) == 0 || len(ints) > 0) {
		return nil, refuse(remedyReexport, "its values are not of the type of its input, %s", b.typ(0))
	}
	switch b.typ(0) {
	case Float32:
		return impute(x, y, floats, oldFloat), nil
	case Float64:
		return impute(x, y, widen(floats), float64(oldFloat)), nil
	case Int64:
		return impute(x, y, ints, oldInt), nil
	}
	small := make([]int32, len(ints))
	for i, v := range append(ints, oldInt) {
		if v < math.MinInt32 || v > math.MaxInt32 {
			return nil, refuse("cast its input to int64", "its value %d does not fit int32", v)
		}
		if i < len(small) {
			small[i] = int32(v)
		}
	}
	return impute(x, y, small, int32(oldInt)), nil
}

// impute replaces old, which may be NaN, by the column's value.
func impute[E number](x, y int, values []E, old E) func(*frame) error {
	return func(f *frame) error {
		src := *elems[E](&f.vals[x])
		_, cols, err := matrix(f.vals[x].Shape)
		if err != nil {
			return err
		}
		vals, err := perColumn(values, cols, "imputed values")
		if err != nil {
			return err
		}
		dst, err := out[E](f, y, f.vals[x].Shape...)
		if err != nil {
			return err
		}
		for i, v := range src {
			if v == old || (v != v && old != old) {
				v = vals[i%cols%len(vals)]
			}
			dst[i] = v
		}
		return nil
	}
}

func makeNormalizer(b *builder) (func(*frame) error, *LoadError) {
	norm := b.str("norm", "MAX")
	if norm != "MAX" && norm != "L1" && norm != "L2" {
		return nil, refuse("use MAX, L1 or L2", "its norm is %q", norm)
	}
	x, y, err := b.unary(Float32, Float32, Float64, Int64, Int32)
	if err != nil {
		return nil, err
	}
	switch b.typ(0) {
	case Float32:
		return normalizer[float32](x, y, norm), nil
	case Float64:
		return normalizer[float64](x, y, norm), nil
	case Int64:
		return normalizer[int64](x, y, norm), nil
	default:
		return normalizer[int32](x, y, norm), nil
	}
}

// normalizer divides each row by its norm: the greatest element, the sum of
// absolute values, or the Euclidean length. A row with norm 0 stays as it is.
func normalizer[S number](x, y int, norm string) func(*frame) error {
	return func(f *frame) error {
		src := *elems[S](&f.vals[x])
		_, cols, err := matrix(f.vals[x].Shape)
		if err != nil {
			return err
		}
		dst, err := out[float32](f, y, f.vals[x].Shape...)
		if err != nil || cols == 0 {
			return err
		}
		for at := 0; at < len(src); at += cols {
			row := src[at : at+cols]
			var d float64
			switch norm {
			case "MAX":
				d = math.Inf(-1)
				for _, v := range row {
					if float64(v) > d {
						d = float64(v)
					}
				}
			case "L1":
				for _, v := range row {
					d += math.Abs(float64(v))
				}
			case "L2":
				for _, v := range row {
					d += float64(float64(v) * float64(v))
				}
				d = math.Sqrt(d)
			}
			if d == 0 {
				d = 1
			}
			for i, v := range row {
				dst[at+i] = float32(float64(v) / d)
			}
		}
		return nil
	}
}

func makeBinarizer(b *builder) (func(*frame) error, *LoadError) {
	threshold := b.float("threshold", 0)
	x, y, err := b.unary(0, Float32, Float64, Int64, Int32)
	if err != nil {
		return nil, err
	}
	switch b.typ(0) {
	case Float32:
		return binarizer[float32](x, y, float64(threshold)), nil
	case Float64:
		return binarizer[float64](x, y, float64(threshold)), nil
	case Int64:
		return binarizer[int64](x, y, float64(threshold)), nil
	default:
		return binarizer[int32](x, y, float64(threshold)), nil
	}
}

// binarizer yields 1 where an element is above the threshold, else 0. NaN is
// neither and is refused.
func binarizer[E number](x, y int, threshold float64) func(*frame) error {
	return func(f *frame) error {
		src := *elems[E](&f.vals[x])
		dst, err := out[E](f, y, f.vals[x].Shape...)
		if err != nil {
			return err
		}
		for i, v := range src {
			if v != v {
				return fmt.Errorf("the value at position %d is NaN", i)
			}
			dst[i] = E(bit(float64(v) > threshold))
		}
		return nil
	}
}
