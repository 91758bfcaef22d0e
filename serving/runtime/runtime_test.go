package runtime_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"

	"affidavit/serving/runtime"
)

func load(t testing.TB, g graph) *runtime.Model {
	t.Helper()
	m, err := runtime.Load(g.bytes())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func run(t testing.TB, m *runtime.Model, in map[string]*runtime.Tensor) map[string]*runtime.Tensor {
	t.Helper()
	out, err := m.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// same compares two tensors; floats may differ by 1e-6, NaN equals NaN, and the
// sign of zero counts.
func same(a, b *runtime.Tensor) string {
	if a.Type != b.Type || fmt.Sprint(a.Shape) != fmt.Sprint(b.Shape) {
		return fmt.Sprintf("got %v %v, want %v %v", a.Type, a.Shape, b.Type, b.Shape)
	}
	near := func(x, y float64) bool {
		if x == y {
			return math.Signbit(x) == math.Signbit(y)
		}
		return math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= 1e-6*(1+math.Abs(y))
	}
	for i, x := range a.F32 {
		if !near(float64(x), float64(b.F32[i])) {
			return fmt.Sprintf("at %d: got %v, want %v", i, a.F32, b.F32)
		}
	}
	for i, x := range a.F64 {
		if !near(x, b.F64[i]) {
			return fmt.Sprintf("at %d: got %v, want %v", i, a.F64, b.F64)
		}
	}
	rest := func(t *runtime.Tensor) string { return fmt.Sprintf("%v %v %v %q", t.I64, t.I32, t.Bool, t.Str) }
	if rest(a) != rest(b) {
		return "got " + rest(a) + ", want " + rest(b)
	}
	return ""
}

var (
	nan    = float32(math.NaN())
	inf    = float32(math.Inf(1))
	negZ   = float32(math.Copysign(0, -1))
	floats = runtime.Floats
	ints   = runtime.Ints
	texts  = runtime.Strings
)

func ints32(v []int32, shape ...int) *runtime.Tensor {
	return &runtime.Tensor{Type: runtime.Int32, Shape: shape, I32: v}
}

func bools(v []bool, shape ...int) *runtime.Tensor {
	return &runtime.Tensor{Type: runtime.Bool, Shape: shape, Bool: v}
}

var elemOf = map[runtime.Type]int64{runtime.Float32: elemFloat, runtime.Float64: elemDouble, runtime.Int64: elemInt64,
	runtime.Int32: elemInt32, runtime.Bool: elemBool, runtime.String: elemString}

// TestOperators gives each operator an input whose answer is worked out by hand
// from its definition.
func TestOperators(t *testing.T) {
	type F = []float32
	one := []string{"X"}
	two := []string{"X", "c"}
	cases := []struct {
		name       string
		domain, op string
		in         []string
		attrs      []bytesOf
		init       bytesOf
		x, want    *runtime.Tensor
		opset, ml  int64
	}{
		{name: "scale per column", domain: tabular, op: "Scaler", in: one, attrs: []bytesOf{aFloats("offset", 1, 2), aFloats("scale", 2, .5)}, x: floats(F{3, 4, nan, 0}, 2, 2), want: floats(F{4, 1, nan, -1}, 2, 2)},
		{name: "scale whole numbers", domain: tabular, op: "Scaler", in: one, attrs: []bytesOf{aFloats("offset", 1), aFloats("scale", .5)}, x: ints([]int64{3, 5}, 1, 2), want: floats(F{1, 2}, 1, 2)},
		{name: "impute NaN", domain: tabular, op: "Imputer", in: one, attrs: []bytesOf{aFloats("imputed_value_floats", 7, 8), aFloat("replaced_value_float", nan)}, x: floats(F{nan, 1, 2, nan}, 2, 2), want: floats(F{7, 1, 2, 8}, 2, 2)},
		{name: "impute a number", domain: tabular, op: "Imputer", in: one, attrs: []bytesOf{aInts("imputed_value_int64s", 7), aInt("replaced_value_int64", -9)}, x: ints([]int64{-9, 1}, 1, 2), want: ints([]int64{7, 1}, 1, 2)},
		{name: "normalise L1", domain: tabular, op: "Normalizer", in: one, attrs: []bytesOf{aStr("norm", "L1")}, x: floats(F{1, -3, 0, 0}, 2, 2), want: floats(F{.25, -.75, 0, 0}, 2, 2)},
		{name: "normalise L2", domain: tabular, op: "Normalizer", in: one, attrs: []bytesOf{aStr("norm", "L2")}, x: floats(F{3, 4}, 1, 2), want: floats(F{.6, .8}, 1, 2)},
		{name: "normalise by the greatest", domain: tabular, op: "Normalizer", in: one, attrs: []bytesOf{aStr("norm", "MAX")}, x: floats(F{-4, 2}, 1, 2), want: floats(F{-2, 1}, 1, 2)},
		{name: "binarise", domain: tabular, op: "Binarizer", in: one, attrs: []bytesOf{aFloat("threshold", 1)}, x: floats(F{1, 1.5, inf, -inf}, 1, 4), want: floats(F{0, 1, 1, 0}, 1, 4)},
		{name: "one-hot texts, unseen is zero", domain: tabular, op: "OneHotEncoder", in: one, attrs: []bytesOf{aStrs("cats_strings", "a", "b")}, x: texts([]string{"b", "?", "a"}, 3, 1), want: floats(F{0, 1, 0, 0, 1, 0}, 3, 1, 2)},
		{name: "one-hot numbers, NaN and huge are unseen", domain: tabular, op: "OneHotEncoder", in: one, attrs: []bytesOf{aInts("cats_int64s", 0, 3, math.MinInt64)}, x: floats(F{3.9, nan, 1e30, 0}, 4), want: floats(F{0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 4, 3)},
		{name: "pick columns", domain: tabular, op: "ArrayFeatureExtractor", in: two, init: tInts("c", 2, 0), x: floats(F{1, 2, 3, 4, 5, 6}, 2, 3), want: floats(F{3, 1, 6, 4}, 2, 2)},
		{name: "join features, cut and padded", domain: tabular, op: "FeatureVectorizer", in: []string{"X", "X"}, attrs: []bytesOf{aInts("inputdimensions", 1, 3)}, x: floats(F{1, 2, 3, 4}, 2, 2), want: floats(F{1, 1, 2, 0, 3, 3, 4, 0}, 2, 4)},
		{name: "category to number", domain: tabular, op: "CategoryMapper", in: one, attrs: []bytesOf{aStrs("cats_strings", "a", "b"), aInts("cats_int64s", 5, 6)}, x: texts([]string{"b", "z"}, 2), want: ints([]int64{6, -1}, 2)},
		{name: "number to category", domain: tabular, op: "CategoryMapper", in: one, attrs: []bytesOf{aStrs("cats_strings", "a", "b"), aInts("cats_int64s", 5, 6)}, x: ints([]int64{6, 7}, 2), want: texts([]string{"b", "_Unused"}, 2)},
		{name: "encode, first of equal keys", domain: tabular, op: "LabelEncoder", in: one, attrs: []bytesOf{aStrs("keys_strings", "a", "b", "a"), aFloats("values_floats", 1, 2, 3)}, x: texts([]string{"a", "b", "z"}, 3), want: floats(F{1, 2, negZ}, 3)},
		{name: "encode version 1", domain: tabular, op: "LabelEncoder", ml: 1, in: one, attrs: []bytesOf{aStrs("classes_strings", "a", "b"), aInt("default_int64", 9)}, x: texts([]string{"b", "z"}, 2), want: ints([]int64{1, 9}, 2)},
		{name: "encode NaN in version 4", domain: tabular, op: "LabelEncoder", ml: 4, in: one, attrs: []bytesOf{aFloats("keys_floats", nan, 1), aInts("values_int64s", 4, 5)}, x: floats(F{nan, 1, 2}, 3), want: ints([]int64{4, 5, -1}, 3)},
		{name: "cast drops fractions", op: "Cast", in: one, attrs: []bytesOf{aInt("to", elemInt64)}, x: floats(F{1.9, -1.9, nan, inf}, 4), want: ints([]int64{1, -1, math.MinInt64, math.MinInt64}, 4)},
		{name: "cast to int32", op: "Cast", in: one, attrs: []bytesOf{aInt("to", elemInt32)}, x: floats(F{-2147483648, 2147483648, 7.5}, 3), want: ints32([]int32{math.MinInt32, math.MinInt32, 7}, 3)},
		{name: "cast to text", op: "Cast", in: one, attrs: []bytesOf{aInt("to", elemString)}, x: floats(F{1.5, nan, inf, 1e10}, 4), want: texts([]string{"1.5", "NaN", "INF", "1e+10"}, 4)},
		{name: "cast from text", op: "Cast", in: one, attrs: []bytesOf{aInt("to", elemFloat)}, x: texts([]string{"1.5", "-2e3"}, 2), want: floats(F{1.5, -2000}, 2)},
		{name: "cast to bool", op: "Cast", in: one, attrs: []bytesOf{aInt("to", elemBool)}, x: floats(F{0, nan, -1}, 3), want: bools([]bool{false, true, true}, 3)},
		{name: "add a row to every row", op: "Add", in: two, init: tFloats("c", []int{2}, 10, 20), x: floats(F{1, 2, 3, 4}, 2, 2), want: floats(F{11, 22, 13, 24}, 2, 2)},
		{name: "subtract a column from every column", op: "Sub", in: two, init: tFloats("c", []int{2, 1}, 1, 2), x: floats(F{1, 2, 3, 4}, 2, 2), want: floats(F{0, 1, 1, 2}, 2, 2)},
		{name: "divide by zero as IEEE says", op: "Div", in: two, init: tFloats("c", nil, 0), x: floats(F{1, 0, -1}, 3), want: floats(F{inf, nan, -inf}, 3)},
		{name: "multiply outer", op: "Mul", in: two, init: tFloats("c", []int{1, 2}, 2, 3), x: floats(F{1, 5}, 2, 1), want: floats(F{2, 3, 10, 15}, 2, 2)},
		{name: "matrix product", op: "MatMul", in: two, init: tFloats("c", []int{2, 1}, 10, 1), x: floats(F{1, 2, 3, 4}, 2, 2), want: floats(F{12, 34}, 2, 1)},
		{name: "gemm transposed and scaled", op: "Gemm", in: []string{"X", "c"}, attrs: []bytesOf{aInt("transB", 1), aFloat("alpha", .5)}, init: tFloats("c", []int{1, 2}, 10, 1), x: floats(F{1, 2, 3, 4}, 2, 2), want: floats(F{6, 17}, 2, 1)},
		{name: "sigmoid at the ends", op: "Sigmoid", in: one, x: floats(F{0, 1000, -1000, nan}, 4), want: floats(F{.5, 1, 0, nan}, 4)},
		{name: "softmax of great scores", op: "Softmax", in: one, x: floats(F{1000, 1000, 0, 0}, 2, 2), want: floats(F{.5, .5, .5, .5}, 2, 2)},
		{name: "softmax over all, before 13", op: "Softmax", opset: 11, in: one, attrs: []bytesOf{aInt("axis", 0)}, x: floats(F{0, 0, 0, 0}, 2, 2), want: floats(F{.25, .25, .25, .25}, 2, 2)},
		{name: "relu", op: "Relu", in: one, x: floats(F{-1, 2, nan}, 3), want: floats(F{0, 2, nan}, 3)},
		{name: "sign", op: "Sign", in: one, x: ints([]int64{-7, 0, 9}, 3), want: ints([]int64{-1, 0, 1}, 3)},
		{name: "argmax, first of equals", op: "ArgMax", in: one, attrs: []bytesOf{aInt("axis", 1), aInt("keepdims", 0)}, x: floats(F{1, 3, 3, 0, -1, -2}, 2, 3), want: ints([]int64{1, 0}, 2)},
		{name: "argmax, last of equals", op: "ArgMax", in: one, attrs: []bytesOf{aInt("axis", 1), aInt("select_last_index", 1)}, x: floats(F{1, 3, 3}, 1, 3), want: ints([]int64{2}, 1, 1)},
		{name: "reshape with 0 and -1", op: "Reshape", in: two, init: tInts("c", 0, -1), x: ints([]int64{1, 2, 3, 4}, 2, 1, 2), want: ints([]int64{1, 2, 3, 4}, 2, 2)},
		{name: "squeeze", op: "Squeeze", in: two, init: tInts("c", -1), x: ints([]int64{1, 2}, 2, 1), want: ints([]int64{1, 2}, 2)},
		{name: "unsqueeze, before 13", op: "Unsqueeze", opset: 11, in: one, attrs: []bytesOf{aInts("axes", 0, 2)}, x: ints([]int64{1, 2}, 2), want: ints([]int64{1, 2}, 1, 2, 1)},
		{name: "flatten", op: "Flatten", in: one, x: ints([]int64{1, 2, 3, 4}, 2, 1, 2), want: ints([]int64{1, 2, 3, 4}, 2, 2)},
		{name: "transpose", op: "Transpose", in: one, x: texts([]string{"a", "b", "c", "d", "e", "f"}, 2, 3), want: texts([]string{"a", "d", "b", "e", "c", "f"}, 3, 2)},
		{name: "join columns", op: "Concat", in: []string{"X", "X"}, attrs: []bytesOf{aInt("axis", 1)}, x: texts([]string{"a", "b"}, 2, 1), want: texts([]string{"a", "a", "b", "b"}, 2, 2)},
		{name: "sum rows", op: "ReduceSum", in: two, attrs: []bytesOf{aInt("keepdims", 0)}, init: tInts("c", 1), x: ints([]int64{1, 2, 3, 4}, 2, 2), want: ints([]int64{3, 7}, 2)},
		{name: "sum all", op: "ReduceSum", in: one, x: ints([]int64{1, 2, 3, 4}, 2, 2), want: ints([]int64{10}, 1, 1)},
		{name: "identity", op: "Identity", in: one, x: bools([]bool{true, false}, 2), want: bools([]bool{true, false}, 2)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var inits []bytesOf
			if c.init != nil {
				inits = append(inits, c.init)
			}
			g := oneNode(elemOf[c.x.Type], node(c.domain, c.op, c.in, []string{"Y"}, c.attrs...), []bytesOf{value("Y", elemOf[c.want.Type])}, inits...)
			g.opset, g.ml = c.opset, c.ml
			m := load(t, g)
			before := c.x.Clone()
			for range 2 { // the second call reuses the scratch of the first
				if s := same(run(t, m, map[string]*runtime.Tensor{"X": c.x})["Y"], c.want); s != "" {
					t.Error(s)
				}
			}
			if s := same(c.x, before); s != "" {
				t.Error("the input was changed: " + s)
			}
		})
	}
}

func TestLinearClassifier(t *testing.T) {
	sig := func(x float64) float32 { return float32(1 / (1 + math.Exp(-x))) }
	cases := []struct {
		post       string
		coef, base []float32
		labels     []int64
		wantLabel  []int64
		wantProbs  []float32
	}{
		{"LOGISTIC", []float32{1}, []float32{0}, []int64{4, 9}, []int64{4, 9}, []float32{sig(2), sig(-2), sig(-.5), sig(.5)}},
		{"NONE", []float32{1}, []float32{0}, []int64{4, 9}, []int64{4, 9}, []float32{3, -2, .5, .5}},
		{"LOGISTIC", []float32{-1, 1}, []float32{0, 0}, []int64{4, 9}, []int64{4, 9}, []float32{sig(2), sig(-2), sig(-.5), sig(.5)}},
		{"SOFTMAX", []float32{-1, 1, 0}, []float32{0, 0, 1}, []int64{4, 9, 5}, []int64{4, 5}, []float32{
			float32(math.Exp(2) / (math.Exp(2) + math.Exp(-2) + math.E)), float32(math.Exp(-2) / (math.Exp(2) + math.Exp(-2) + math.E)), float32(math.E / (math.Exp(2) + math.Exp(-2) + math.E)),
			float32(math.Exp(-.5) / (math.Exp(-.5) + math.Exp(.5) + math.E)), float32(math.Exp(.5) / (math.Exp(-.5) + math.Exp(.5) + math.E)), float32(math.E / (math.Exp(-.5) + math.Exp(.5) + math.E))}},
	}
	for _, c := range cases {
		m := load(t, oneNode(elemFloat, node(tabular, "LinearClassifier", []string{"X"}, []string{"Y", "Z"}, aFloats("coefficients", c.coef...),
			aFloats("intercepts", c.base...), aInts("classlabels_ints", c.labels...), aStr("post_transform", c.post), aInt("multi_class", 0)),
			[]bytesOf{value("Y", elemInt64, -1), value("Z", elemFloat, -1, len(c.labels))}))
		out := run(t, m, map[string]*runtime.Tensor{"X": floats([]float32{-2, .5}, 2, 1)})
		if s := same(out["Y"], ints(c.wantLabel, 2)); s != "" {
			t.Errorf("%s %v: label %s", c.post, c.coef, s)
		}
		if s := same(out["Z"], floats(c.wantProbs, 2, len(c.labels))); s != "" {
			t.Errorf("%s %v: scores %s", c.post, c.coef, s)
		}
	}
}

// pipeline is what a trainer writes: a numeric and a categorical column, each an
// input of its own, joined and classified.
func pipeline() graph {
	return graph{
		inputs: []bytesOf{value("income", elemFloat, -1, 1), value("purpose", elemString, -1, 1)},
		inits:  []bytesOf{tInts("width", -1, 2)},
		nodes: []bytesOf{
			node(tabular, "Scaler", []string{"income"}, []string{"s"}, aFloats("offset", 10), aFloats("scale", .1)),
			node(tabular, "OneHotEncoder", []string{"purpose"}, []string{"h"}, aStrs("cats_strings", "buy", "build")),
			node("", "Reshape", []string{"h", "width"}, []string{"r"}),
			node("", "Concat", []string{"s", "r"}, []string{"x"}, aInt("axis", 1)),
			node(tabular, "LinearClassifier", []string{"x"}, []string{"label", "p"}, aFloats("coefficients", 1, 2, 3), aFloats("intercepts", -1),
				aInts("classlabels_ints", 0, 1), aStr("post_transform", "LOGISTIC")),
			node(tabular, "ZipMap", []string{"p"}, []string{"probabilities"}, aInts("classlabels_int64s", 0, 1)),
		},
		outputs: []bytesOf{value("label", elemInt64, -1), bytesOf{}.str(1, "probabilities").msg(2, bytesOf{}.msg(4, bytesOf{}))},
		meta:    [][2]string{{"trainer", "tests"}},
	}
}

func TestPipeline(t *testing.T) {
	b := pipeline().bytes()
	m, err := runtime.Load(b)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	if m.Digest() != hex.EncodeToString(sum[:]) {
		t.Error("the digest is not that of the file")
	}
	if got := m.InputNames(); !reflect.DeepEqual(got, []string{"income", "purpose"}) {
		t.Errorf("inputs %v", got)
	}
	if got := m.Metadata(); !reflect.DeepEqual(got, map[string]string{"trainer": "tests"}) {
		t.Errorf("metadata %v", got)
	}
	want := []runtime.IO{{Name: "label", Type: runtime.Int64, Shape: []int{-1}}, {Name: "probabilities", Type: runtime.Float32, Shape: []int{-1, 2}, Labels: []string{"0", "1"}}}
	if got := m.Outputs(); !reflect.DeepEqual(got, want) {
		t.Errorf("outputs %v", got)
	}
	in := map[string]*runtime.Tensor{"income": floats([]float32{20, 0}, 2, 1), "purpose": texts([]string{"build", "rent"}, 2, 1)}
	out := run(t, m, in)
	p := func(x float64) float32 { return float32(1 / (1 + math.Exp(-x))) }
	if s := same(out["probabilities"], floats([]float32{p(-3), p(3), p(2), p(-2)}, 2, 2)); s != "" {
		t.Error(s)
	}
	if s := same(out["label"], ints([]int64{1, 0}, 2)); s != "" {
		t.Error(s)
	}
}

func TestConcurrentRuns(t *testing.T) {
	m := load(t, pipeline())
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			rows := 1 + k%3
			for i := range 300 {
				in := map[string]*runtime.Tensor{"income": floats(make([]float32, rows), rows, 1), "purpose": texts(make([]string, rows), rows, 1)}
				v := float32(10 * (k + i%7))
				for r := range rows {
					in["income"].F32[r] = v
				}
				out, err := m.Run(context.Background(), in)
				if err != nil {
					t.Error(err)
					return
				}
				want := float32(1 / (1 + math.Exp(-(float64(v)-10)/10+1)))
				for r := range rows {
					if math.Abs(float64(out["probabilities"].F32[2*r+1]-want)) > 1e-6 {
						t.Errorf("got %v, want %v", out["probabilities"].F32, want)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestRunRefuses(t *testing.T) {
	m := load(t, pipeline())
	good := func() map[string]*runtime.Tensor {
		return map[string]*runtime.Tensor{"income": floats([]float32{1}, 1, 1), "purpose": texts([]string{"buy"}, 1, 1)}
	}
	cases := []struct {
		name   string
		change func(in map[string]*runtime.Tensor)
		want   string
	}{
		{"a missing input", func(in map[string]*runtime.Tensor) { delete(in, "purpose") }, `input "purpose" is missing`},
		{"an unknown input", func(in map[string]*runtime.Tensor) { in["race"] = texts(nil, 0) }, `no input "race"`},
		{"another type", func(in map[string]*runtime.Tensor) { in["income"] = ints([]int64{1}, 1, 1) }, "has type int64; the model needs float32"},
		{"another rank", func(in map[string]*runtime.Tensor) { in["income"] = floats([]float32{1}, 1) }, "has shape [1]; the model needs [N 1]"},
		{"another width", func(in map[string]*runtime.Tensor) { in["income"] = floats([]float32{1, 2}, 1, 2) }, "has shape [1 2]; the model needs [N 1]"},
		{"other rows", func(in map[string]*runtime.Tensor) { in["income"] = floats([]float32{1, 2}, 2, 1) }, `input "income" has 2 rows and input "purpose" has 1`},
		{"too few elements", func(in map[string]*runtime.Tensor) { in["income"] = floats(nil, 1, 1) }, "needs 1 float32 elements, got 0"},
		{"a negative dimension", func(in map[string]*runtime.Tensor) { in["income"] = floats(nil, -1, 1) }, "negative dimension"},
		{"an untyped tensor", func(in map[string]*runtime.Tensor) { in["income"] = &runtime.Tensor{} }, "has type type(0)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := good()
			c.change(in)
			_, err := m.Run(context.Background(), in)
			if !errors.Is(err, runtime.ErrInput) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.Run(ctx, good()); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call gives %v", err)
	}
}

func TestOperatorRefusesValue(t *testing.T) {
	encoder := load(t, oneNode(elemString, node(tabular, "OneHotEncoder", []string{"X"}, []string{"Y"}, aStrs("cats_strings", "a"), aInt("zeros", 0)), []bytesOf{value("Y", elemFloat)}))
	_, err := encoder.Run(context.Background(), map[string]*runtime.Tensor{"X": texts([]string{"secret"}, 1)})
	if !errors.Is(err, runtime.ErrInput) || !strings.Contains(err.Error(), `"the OneHotEncoder" (OneHotEncoder)`) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	division := load(t, oneNode(elemInt64, node("", "Div", []string{"X", "c"}, []string{"Y"}), []bytesOf{value("Y", elemInt64)}, tInts("c", 0)))
	if _, err := division.Run(context.Background(), map[string]*runtime.Tensor{"X": ints([]int64{1}, 1)}); !errors.Is(err, runtime.ErrInput) {
		t.Errorf("division by zero gives %v", err)
	}
}

// TestTooMuchWork makes sure that a call cannot ask for more memory than the limit.
func TestTooMuchWork(t *testing.T) {
	cats := make([]int64, 5000)
	for i := range cats {
		cats[i] = int64(i)
	}
	m := load(t, oneNode(elemInt64, node(tabular, "OneHotEncoder", []string{"X"}, []string{"Y"}, aInts("cats_int64s", cats...)), []bytesOf{value("Y", elemFloat)}))
	_, err := m.Run(context.Background(), map[string]*runtime.Tensor{"X": ints(make([]int64, 20_000), 20_000)})
	if !errors.Is(err, runtime.ErrInput) || !strings.Contains(err.Error(), "send fewer rows") {
		t.Errorf("got %v", err)
	}
}
