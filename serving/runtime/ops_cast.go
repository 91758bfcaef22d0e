package runtime

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

func makeCast(b *builder) (func(*frame) error, *LoadError) {
	to, ok := onnxType(b.int("to", 0))
	if !ok {
		return nil, refuse("cast to float, double, int32, int64, bool or string", "it casts to element type %d", b.int("to", 0))
	}
	b.flag("saturate", true)  // concerns 8-bit floats only
	b.str("round_mode", "up") // the same
	x, y, err := b.unary(to, anyType()...)
	if err != nil {
		return nil, err
	}
	if b.typ(0) == to {
		return func(f *frame) error { return copyTo(f, x, y, f.vals[x].Shape) }, nil
	}
	switch b.typ(0) {
	case Float32:
		return castNumber[float32](to, x, y), nil
	case Float64:
		return castNumber[float64](to, x, y), nil
	case Int64:
		return castNumber[int64](to, x, y), nil
	case Int32:
		return castNumber[int32](to, x, y), nil
	case Bool:
		return castBool(to, x, y), nil
	}
	return castText(to, x, y)
}

// convert builds a cast whose every element can be cast.
func convert[S, D element](x, y int, fn func(S) D) func(*frame) error {
	return func(f *frame) error {
		src := *elems[S](&f.vals[x])
		dst, err := out[D](f, y, f.vals[x].Shape...)
		if err != nil {
			return err
		}
		for i, v := range src {
			dst[i] = fn(v)
		}
		return nil
	}
}

func castNumber[S number](to Type, x, y int) func(*frame) error {
	switch to {
	case Float32:
		return convert(x, y, func(v S) float32 { return float32(v) })
	case Float64:
		return convert(x, y, func(v S) float64 { return float64(v) })
	case Int64:
		return convert(x, y, toInt64[S])
	case Int32:
		return convert(x, y, toInt32[S])
	case Bool:
		return convert(x, y, func(v S) bool { return v != 0 })
	}
	return convert(x, y, toText[S])
}

// toInt64 drops the fraction. What does not fit, NaN included, gives the least
// int64, as on x86; Go leaves it to the machine.
func toInt64[S number](v S) int64 {
	if f := float64(v); isFloat(v) && !(f >= -1<<63 && f < 1<<63) {
		return math.MinInt64
	}
	return int64(v)
}

// toInt32 drops a fraction; a float that does not fit gives the least int32, an
// int64 keeps its low 32 bits.
func toInt32[S number](v S) int32 {
	if f := float64(v); isFloat(v) && !(f > -1<<31-1 && f < 1<<31) {
		return math.MinInt32
	}
	return int32(v)
}

func isFloat[S number](v S) bool {
	switch any(v).(type) {
	case float32, float64:
		return true
	}
	return false
}

// toText writes a float with up to eight significant digits, as ONNX Runtime does.
func toText[S number](v S) string {
	if !isFloat(v) {
		return strconv.FormatInt(int64(v), 10)
	}
	f := float64(v)
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "INF"
	case math.IsInf(f, -1):
		return "-INF"
	}
	return strconv.FormatFloat(f, 'g', 8, 64)
}

func castBool(to Type, x, y int) func(*frame) error {
	switch to {
	case Float32:
		return convert(x, y, func(v bool) float32 { return float32(bit(v)) })
	case Float64:
		return convert(x, y, func(v bool) float64 { return float64(bit(v)) })
	case Int64:
		return convert(x, y, bit)
	case Int32:
		return convert(x, y, func(v bool) int32 { return int32(bit(v)) })
	}
	return convert(x, y, func(v bool) string { return strconv.FormatInt(bit(v), 10) })
}

func bit(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

func castText(to Type, x, y int) (func(*frame) error, *LoadError) {
	switch to {
	case Float32:
		return parse(x, y, func(s string) (float32, error) {
			v, err := parseFloat(s, 32)
			return float32(v), err
		}), nil
	case Float64:
		return parse(x, y, func(s string) (float64, error) { return parseFloat(s, 64) }), nil
	case Int64:
		return parse(x, y, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }), nil
	case Int32:
		return parse(x, y, func(s string) (int32, error) {
			v, err := strconv.ParseInt(s, 10, 32)
			return int32(v), err
		}), nil
	}
	return nil, refuse("use a LabelEncoder", "it casts string to %s", to)
}

// parseFloat reads a decimal number, NaN or an infinity, and nothing around it.
func parseFloat(s string, bits int) (float64, error) {
	if strings.ContainsAny(s, "_xX") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, bits)
}

// parse builds a cast of texts that stops at the first one that is no number.
// The text stays out of the message: it may be personal.
func parse[D number](x, y int, fn func(string) (D, error)) func(*frame) error {
	return func(f *frame) error {
		dst, err := out[D](f, y, f.vals[x].Shape...)
		if err != nil {
			return err
		}
		for i, s := range f.vals[x].Str {
			if dst[i], err = fn(s); err != nil {
				return fmt.Errorf("the text at position %d is not a number of type %s", i, typeOf[D]())
			}
		}
		return nil
	}
}
