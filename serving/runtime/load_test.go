package runtime_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"affidavit/serving/runtime"
)

// TestLoadRefuses states for each broken or foreign model what its error says:
// the node, the operator and a remedy where there is a node.
func TestLoadRefuses(t *testing.T) {
	y := []bytesOf{value("Y", elemFloat)}
	x, out := []string{"X"}, []string{"Y"}
	single := func(n bytesOf) []byte { return oneNode(elemFloat, n, y).bytes() }
	tree := func(change func(f *forest)) []byte {
		f := stump("BRANCH_LEQ", 0)
		change(f)
		weights := make([]float32, len(f.leaves))
		return regressor(f, make([]int64, len(f.leaves)), weights).bytes()
	}
	external := oneNode(elemFloat, node("", "Identity", x, out), y, tFloats("w", []int{1}, 1).int(14, 1)).bytes()
	old := oneNode(elemFloat, node("", "Identity", x, out), y)
	old.opset = 6
	cases := []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "the file is empty"},
		{"an archive", []byte("PK\x03\x04 not a model"), "the model has field 10, which this reader does not know"},
		{"a broken tag", []byte{0xff, 0xff}, "not a well-formed ONNX model"},
		{"no graph", bytesOf{}.int(1, 9), "it has no graph"},
		{"half a graph", single(node("", "Identity", x, out))[:40], "it ends in the middle of a field"},
		{"two graphs", bytesOf{}.msg(7, nil).msg(7, nil), "it has two graphs"},
		{"functions", bytesOf{}.msg(25, nil), "it defines functions; inline the functions"},
		{"a field of the future", bytesOf{}.int(99, 1), "the model has field 99"},
		{"an old operator set", old.bytes(), "it needs version 6 of ai.onnx; export it for a version from 7 to 28"},
		{"a foreign operator", single(node("", "Conv", x, out)), `node "the Conv" (Conv): the operator is not in the supported subset; use an operator of the subset`},
		{"a foreign domain", single(node("com.microsoft", "FusedMatMul", x, out)), `node "the FusedMatMul" (com.microsoft.FusedMatMul): the operator is not in`},
		{"a support vector machine", single(node(tabular, "SVMClassifier", x, out)), `(ai.onnx.ml.SVMClassifier)`},
		{"an unknown attribute", single(node("", "Relu", x, out, aInt("axis", 1))), `node "the Relu" (Relu): the attribute "axis" is not supported`},
		{"an attribute twice", single(node("", "Softmax", x, out, aInt("axis", 1), aInt("axis", 0))), `the attribute "axis" appears twice`},
		{"an attribute of another kind", single(node("", "Softmax", x, out, aStr("axis", "1"))), `the attribute "axis" has kind 3`},
		{"a graph in an attribute", single(node("", "If", x, out, bytesOf{}.str(1, "then_branch").msg(6, nil).int(20, 5))), `node "the If" (If): an attribute holds a graph; remove control flow`},
		{"data in another file", external, "keeps its data in another file; save the model with its data inside"},
		{"an undefined input", single(node("", "Relu", []string{"Q"}, out)), `its input "Q" is not defined before it; sort the nodes`},
		{"a value defined twice", single(node("", "Relu", x, []string{"X"})), `the value "X" is defined twice`},
		{"an output that nothing computes", oneNode(elemFloat, node("", "Relu", x, out), []bytesOf{value("Q", elemFloat)}).bytes(), `nothing computes the output "Q"`},
		{"an output of another type", oneNode(elemFloat, node("", "Relu", x, out), []bytesOf{value("Y", elemInt64)}).bytes(), `the output "Y" is declared with element type 7 and computed as float32`},
		{"an input of half precision", oneNode(10, node("", "Relu", x, out), y).bytes(), `the graph input "X" is not a tensor of a known element type`},
		{"an operator on texts", oneNode(elemString, node("", "Relu", x, out), y).bytes(), `its input "X" has element type string; cast it to one of`},
		{"a transform unknown", single(node(tabular, "LinearRegressor", x, out, aFloats("coefficients", 1), aStr("post_transform", "TANH"))), `its post_transform is "TANH"`},
		{"a transform that runtimes read in two ways", single(node(tabular, "LinearRegressor", x, out, aFloats("coefficients", 1), aStr("post_transform", "LOGISTIC"))), "use post_transform NONE and a Sigmoid node"},
		{"coefficients that do not divide", single(node(tabular, "LinearRegressor", x, out, aFloats("coefficients", 1, 2, 3), aInt("targets", 2))), "it has 3 coefficients for 2 targets"},
		{"a tree that is a circle", tree(func(f *forest) { f.modes[1], f.yes[1], f.no[1], f.leaves = "BRANCH_LEQ", 0, 2, f.leaves[1:] }), "tree 0 has no root: its nodes form a circle"},
		{"a tree with a circle aside", tree(func(f *forest) {
			f.add(0, 3, "BRANCH_LEQ", 0, 0, 4, 4, 0)
			f.add(0, 4, "BRANCH_LEQ", 0, 0, 3, 3, 0)
		}), "a branch of a tree cannot be reached from its root"},
		{"two roots", tree(func(f *forest) { f.add(0, 3, "LEAF", 0, 0, 0, 0, 0) }), "tree 0 has two roots"},
		{"a shared branch", tree(func(f *forest) {
			f.add(0, 3, "BRANCH_LEQ", 0, 0, 4, 4, 0)
			f.add(0, 4, "BRANCH_LEQ", 0, 0, 1, 2, 0)
			f.yes[0], f.no[0] = 3, 3
		}), "a node of a tree is reached twice"},
		{"a branch to nowhere", tree(func(f *forest) { f.no[0] = 9 }), "node 0 of tree 0 has a branch to a node that does not exist"},
		{"a node twice", tree(func(f *forest) { f.add(0, 1, "LEAF", 0, 0, 0, 0, 0) }), "node 1 of tree 0 is listed twice"},
		{"a mode unknown", tree(func(f *forest) { f.modes[0] = "BRANCH_MAYBE" }), `node 0 of tree 0 has mode "BRANCH_MAYBE"`},
		{"a feature below zero", tree(func(f *forest) { f.features[0] = -1 }), "node 0 of tree 0 tests feature -1"},
		{"lists of other lengths", tree(func(f *forest) { f.features = f.features[1:] }), "its nodes_* lists have different lengths"},
		{"weights for both of two classes", classifier(stump("BRANCH_LEQ", 0), []int64{0, 1}, []float32{1, 1}, 2).bytes(), "runtimes disagree on two classes with weights for both; write one weight a leaf"},
		{"a base value beside the second class", classifier(stump("BRANCH_LEQ", 0), []int64{1, 1}, []float32{1, 1}, 2, aFloats("base_values", 1, 2)).bytes(), "runtimes disagree on base_values"},
		{"a class out of range", classifier(stump("BRANCH_LEQ", 0), []int64{0, 2}, []float32{1, 1}, 2).bytes(), "a weight belongs to target 2 of 2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := runtime.Load(c.file)
			var le *runtime.LoadError
			if !errors.As(err, &le) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestStoredInput is the form of old exporters: weights are listed as inputs
// too, and are no inputs of the model.
func TestStoredInput(t *testing.T) {
	g := oneNode(elemFloat, node("", "Add", []string{"X", "c"}, []string{"Y"}), []bytesOf{value("Y", elemFloat)}, tFloats("c", []int{1}, 2))
	g.inputs = append(g.inputs, value("c", elemFloat, 1))
	m := load(t, g)
	if names := m.InputNames(); len(names) != 1 || names[0] != "X" {
		t.Errorf("inputs %v", names)
	}
	if s := same(run(t, m, map[string]*runtime.Tensor{"X": floats([]float32{1}, 1)})["Y"], floats([]float32{3}, 1)); s != "" {
		t.Error(s)
	}
}

// TestAnswersAreTheCallers makes sure that neither a later call nor the caller
// can change what a call returned, constants included.
func TestAnswersAreTheCallers(t *testing.T) {
	g := oneNode(elemString, node("", "Identity", []string{"X"}, []string{"Y"}), []bytesOf{value("Y", elemString), value("c", elemFloat)}, tFloats("c", []int{1}, 2))
	m := load(t, g)
	first := run(t, m, map[string]*runtime.Tensor{"X": texts([]string{"a"}, 1)})
	first["c"].F32[0] = 99
	second := run(t, m, map[string]*runtime.Tensor{"X": texts([]string{"b"}, 1)})
	if first["Y"].Str[0] != "a" || second["Y"].Str[0] != "b" || second["c"].F32[0] != 2 {
		t.Errorf("got %v, %v", first["Y"].Str, second["c"].F32)
	}
}

// FuzzLoad looks for panics and hangs: any bytes load or are refused, and what
// loads can be called.
func FuzzLoad(f *testing.F) {
	f.Add(pipeline().bytes())
	f.Add(boosted(2, 2, 3).bytes())
	f.Add(regressor(stump("BRANCH_EQ", 1), []int64{0, 1}, []float32{1, 2}, aInt("n_targets", 2), aStr("aggregate_function", "MIN")).bytes())
	y := []bytesOf{value("Y", elemFloat)}
	for _, op := range []string{"Softmax", "Flatten", "Transpose", "ArgMax", "ReduceSum", "Squeeze", "Cast"} {
		f.Add(oneNode(elemFloat, node("", op, []string{"X"}, []string{"Y"}, aInt("axis", 1)), y).bytes())
	}
	for _, op := range []string{"MatMul", "Gemm", "Add", "Reshape", "Unsqueeze", "Concat"} {
		f.Add(oneNode(elemFloat, node("", op, []string{"X", "c"}, []string{"Y"}), y, tFloats("c", []int{1, 1}, 2)).bytes())
	}
	f.Add(oneNode(elemString, node(tabular, "LabelEncoder", []string{"X"}, []string{"Y"}, aStrs("keys_strings", "a"), aFloats("values_floats", 1)), y).bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := runtime.Load(b)
		if err != nil {
			var le *runtime.LoadError
			if !errors.As(err, &le) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		in := map[string]*runtime.Tensor{}
		for _, io := range m.Inputs() {
			shape, n := []int{2, 3}, 6
			if io.Shape != nil {
				shape, n = nil, 1
				for _, d := range io.Shape {
					if d < 0 {
						d = 2
					}
					if shape, n = append(shape, d), n*d; n > 1000 {
						return
					}
				}
			}
			in[io.Name] = &runtime.Tensor{Type: io.Type, Shape: shape, F32: make([]float32, n), F64: make([]float64, n),
				I64: make([]int64, n), I32: make([]int32, n), Bool: make([]bool, n), Str: make([]string, n)}
		}
		out, err := m.Run(context.Background(), in)
		if err != nil {
			if !errors.Is(err, runtime.ErrInput) {
				t.Fatal(err)
			}
			return
		}
		for _, io := range m.Outputs() {
			if out[io.Name] == nil || out[io.Name].Type != io.Type {
				t.Fatalf("output %q is %v", io.Name, out[io.Name])
			}
		}
	})
}
