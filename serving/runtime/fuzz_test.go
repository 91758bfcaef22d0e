package runtime_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"affidavit/serving/runtime"
)

// fuzzNode builds a node of the k-th operator whose attributes hold the numbers
// of vals.
func fuzzNode(k int, vals []int64) bytesOf {
	at := 0
	next := func() int64 {
		if len(vals) == 0 {
			return 0
		}
		at++
		return vals[at%len(vals)]
	}
	one, two := []string{"X"}, []string{"X", "c"}
	y := []string{"Y"}
	few := func() []float32 { return []float32{float32(next()), float32(next()), nan}[:1+uint(next())%3] }
	whole := func() []int64 { return []int64{next(), next(), next()}[:1+uint(next())%3] }
	nodes := []func() bytesOf{
		func() bytesOf { return node("", "Add", two, y) },
		func() bytesOf { return node("", "Div", []string{"c", "X"}, y) },
		func() bytesOf { return node("", "MatMul", two, y) },
		func() bytesOf {
			return node("", "Gemm", []string{"X", "c", "c"}, y, aInt("transA", next()&1), aInt("transB", next()&1), aFloat("alpha", float32(next())))
		},
		func() bytesOf { return node("", "Concat", []string{"X", "c", "X"}, y, aInt("axis", next())) },
		func() bytesOf { return node("", "Reshape", two, y, aInt("allowzero", next()&1)) },
		func() bytesOf { return node("", "Squeeze", two, y) },
		func() bytesOf { return node("", "Unsqueeze", two, y) },
		func() bytesOf {
			return node("", "ReduceSum", two, y, aInt("keepdims", next()&1), aInt("noop_with_empty_axes", next()&1))
		},
		func() bytesOf { return node("", "Flatten", one, y, aInt("axis", next())) },
		func() bytesOf { return node("", "Softmax", one, y, aInt("axis", next())) },
		func() bytesOf {
			return node("", "ArgMax", one, y, aInt("axis", next()), aInt("keepdims", next()&1), aInt("select_last_index", next()&1))
		},
		func() bytesOf { return node("", "Transpose", one, y) },
		func() bytesOf { return node("", "Cast", one, y, aInt("to", next())) },
		func() bytesOf {
			return node(tabular, "Scaler", one, y, aFloats("offset", few()...), aFloats("scale", few()...))
		},
		func() bytesOf {
			return node(tabular, "Imputer", one, y, aFloats("imputed_value_floats", few()...), aFloat("replaced_value_float", float32(next())))
		},
		func() bytesOf {
			return node(tabular, "Imputer", one, y, aInts("imputed_value_int64s", whole()...), aInt("replaced_value_int64", next()))
		},
		func() bytesOf { return node(tabular, "Normalizer", one, y, aStr("norm", "L2")) },
		func() bytesOf { return node(tabular, "Binarizer", one, y, aFloat("threshold", float32(next()))) },
		func() bytesOf {
			return node(tabular, "OneHotEncoder", one, y, aInts("cats_int64s", whole()...), aInt("zeros", next()&1))
		},
		func() bytesOf { return node(tabular, "ArrayFeatureExtractor", two, y) },
		func() bytesOf { return node(tabular, "FeatureVectorizer", one, y, aInts("inputdimensions", next())) },
		func() bytesOf {
			return node(tabular, "LabelEncoder", one, y, aFloats("keys_floats", 1, 2), aStrs("values_strings", "a", "b"))
		},
		func() bytesOf {
			return node(tabular, "LinearRegressor", one, y, aFloats("coefficients", few()...), aInt("targets", next()))
		},
		func() bytesOf {
			return node(tabular, "LinearClassifier", one, []string{"Y", "Z"}, aFloats("coefficients", few()...), aFloats("intercepts", few()...), aInts("classlabels_ints", whole()...), aStr("post_transform", "SOFTMAX_ZERO"))
		},
		func() bytesOf {
			f := stump(branchModes[uint(next())%6], next()&1)
			f.features[0], f.yes[0], f.no[0] = next(), next(), next()
			return node(tabular, "TreeEnsembleRegressor", one, y, append(append(f.attrs(), f.weights("target", whole(), few())...), aInt("n_targets", next()))...)
		},
		func() bytesOf {
			return node(tabular, "TreeEnsemble", one, y, aInts("nodes_featureids", next(), next()), aTensor("nodes_modes", tBytes("m", byte(next()), byte(next()))), aTensor("nodes_splits", tFloats("s", []int{2}, few()...)),
				aInts("nodes_truenodeids", next(), next()), aInts("nodes_trueleafs", next()&1, next()&1), aInts("nodes_falsenodeids", next(), next()), aInts("nodes_falseleafs", next()&1, next()&1),
				aInts("leaf_targetids", next(), next()), aTensor("leaf_weights", tFloats("w", []int{2}, 1, 2)), aInts("tree_roots", whole()...), aInt("n_targets", next()), aInt("aggregate_function", next()))
		},
	}
	return nodes[k%len(nodes)]()
}

// FuzzOperators drives each operator with shapes, constants and attributes of
// any kind: it answers with well-formed tensors or an ErrInput, and never panics.
func FuzzOperators(f *testing.F) {
	types := []runtime.Type{runtime.Float32, runtime.Float64, runtime.Int64, runtime.Int32}
	for k := range 27 {
		f.Add(byte(k), byte(0), []byte{2, 3}, []byte{3}, []byte{1, 1, 0, 2})
		f.Add(byte(k), byte(2), []byte{2, 1}, []byte{2}, []byte{0, 255, 1})
	}
	f.Fuzz(func(t *testing.T, op, elem byte, dims, cdims, raw []byte) {
		shapeOf := func(b []byte) (shape []int, n int) {
			n = 1
			for _, d := range b[:min(len(b), 5)] {
				shape = append(shape, int(d%5))
				n *= int(d % 5)
			}
			return shape, n
		}
		vals := make([]int64, len(raw))
		for i, b := range raw {
			vals[i] = int64(int8(b))
			if b == 127 {
				vals[i] = math.MaxInt64
			}
		}
		shape, n := shapeOf(dims)
		cshape, cn := shapeOf(cdims)
		number := func(i int) int64 {
			if len(vals) == 0 {
				return 0
			}
			return vals[i%len(vals)]
		}
		x := &runtime.Tensor{Type: types[elem%4], Shape: shape, F32: make([]float32, n), F64: make([]float64, n), I64: make([]int64, n), I32: make([]int32, n)}
		for i := range n {
			v := number(i)
			x.F32[i], x.F64[i], x.I64[i], x.I32[i] = float32(v), float64(v), v, int32(v)
			if v == -128 {
				x.F32[i], x.F64[i] = nan, math.NaN()
			}
		}
		nd := fuzzNode(int(op), vals)
		c := tInts("c")
		if elem%8 < 4 { // a constant of the input's type, or else of int64
			switch x.Type {
			case runtime.Float32:
				list := make([]float32, cn)
				for i := range list {
					list[i] = float32(number(i))
				}
				c = tFloats("c", cshape, list...)
			case runtime.Float64:
				list := make([]float64, cn)
				for i := range list {
					list[i] = float64(number(i))
				}
				c = tDoubles("c", cshape, list...)
			}
		} else {
			list := make([]int64, min(cn, 10))
			for i := range list {
				list[i] = number(i)
			}
			c = tInts("c", list...)
		}
		g := oneNode(elemOf[x.Type], nd, []bytesOf{bytesOf{}.str(1, "Y")}, c)
		if op%2 == 1 {
			g.ml, g.opset = 5, 11
		}
		m, err := runtime.Load(g.bytes())
		if err != nil {
			var le *runtime.LoadError
			if !errors.As(err, &le) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		var first *runtime.Tensor
		for range 2 {
			out, err := m.Run(context.Background(), map[string]*runtime.Tensor{"X": x})
			if err != nil {
				if !errors.Is(err, runtime.ErrInput) {
					t.Fatal(err)
				}
				return
			}
			y, volume := out["Y"], 1
			for _, d := range y.Shape {
				volume *= d
			}
			if volume != y.Len() || y.Type != m.Outputs()[0].Type {
				t.Fatalf("the output has shape %v and %d elements of %v", y.Shape, y.Len(), y.Type)
			}
			if first == nil {
				first = y
			} else if s := same(y, first); s != "" {
				t.Fatal("two calls differ: " + s)
			}
		}
	})
}
