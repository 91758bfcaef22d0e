package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"affidavit/serving/runtime"
)

// forest is the list form of trees, as the operators' attributes hold it.
type forest struct {
	trees, ids, features, yes, no, missing []int64
	values                                 []float32
	modes                                  []string
	leaves                                 [][2]int64 // tree and node of each leaf
}

func (f *forest) attrs() []bytesOf {
	return []bytesOf{aInts("nodes_treeids", f.trees...), aInts("nodes_nodeids", f.ids...), aInts("nodes_featureids", f.features...),
		aInts("nodes_truenodeids", f.yes...), aInts("nodes_falsenodeids", f.no...), aInts("nodes_missing_value_tracks_true", f.missing...),
		aFloats("nodes_values", f.values...), aStrs("nodes_modes", f.modes...)}
}

func (f *forest) weights(side string, targets []int64, weights []float32) []bytesOf {
	var trees, ids []int64
	for _, l := range f.leaves {
		trees, ids = append(trees, l[0]), append(ids, l[1])
	}
	return []bytesOf{aInts(side+"_treeids", trees...), aInts(side+"_nodeids", ids...), aInts(side+"_ids", targets...), aFloats(side+"_weights", weights...)}
}

func (f *forest) add(tree, id int64, mode string, feature int64, value float32, yes, no, missing int64) {
	f.trees, f.ids, f.modes = append(f.trees, tree), append(f.ids, id), append(f.modes, mode)
	f.features, f.values = append(f.features, feature), append(f.values, value)
	f.yes, f.no, f.missing = append(f.yes, yes), append(f.no, no), append(f.missing, missing)
	if mode == "LEAF" {
		f.leaves = append(f.leaves, [2]int64{tree, id})
	}
}

func stump(mode string, missing int64) *forest {
	f := &forest{}
	f.add(0, 0, mode, 0, 1, 1, 2, missing)
	f.add(0, 1, "LEAF", 0, 0, 0, 0, 0)
	f.add(0, 2, "LEAF", 0, 0, 0, 0, 0)
	return f
}

var branchModes = []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"}

func regressor(f *forest, targets []int64, weights []float32, more ...bytesOf) graph {
	attrs := append(append(f.attrs(), f.weights("target", targets, weights)...), more...)
	return oneNode(elemFloat, node(tabular, "TreeEnsembleRegressor", []string{"X"}, []string{"Y"}, attrs...), []bytesOf{value("Y", elemFloat)})
}

// TestBranchModes compares each mode with its threshold 1 on 0, 1, 2 and NaN;
// the true branch answers 1, the false one 2.
func TestBranchModes(t *testing.T) {
	want := map[string][2][]float32{ // without and with the missing-value track
		"BRANCH_LEQ": {{1, 1, 2, 2}, {1, 1, 2, 1}},
		"BRANCH_LT":  {{1, 2, 2, 2}, {1, 2, 2, 1}},
		"BRANCH_GTE": {{2, 1, 1, 2}, {2, 1, 1, 1}},
		"BRANCH_GT":  {{2, 2, 1, 2}, {2, 2, 1, 1}},
		"BRANCH_EQ":  {{2, 1, 2, 2}, {2, 1, 2, 1}},
		"BRANCH_NEQ": {{1, 2, 1, 1}, {1, 2, 1, 1}},
	}
	for _, mode := range branchModes {
		for missing := range 2 {
			m := load(t, regressor(stump(mode, int64(missing)), []int64{0, 0}, []float32{1, 2}))
			out := run(t, m, map[string]*runtime.Tensor{"X": floats([]float32{0, 1, 2, nan}, 4, 1)})
			if s := same(out["Y"], floats(want[mode][missing], 4, 1)); s != "" {
				t.Errorf("%s, missing %d: %s", mode, missing, s)
			}
		}
	}
}

// grow adds a random tree and returns the number of its root.
func grow(f *forest, r *rand.Rand, tree int64, next *int64, depth, features int) int64 {
	id := *next
	*next++
	if depth == 0 || (id > 0 && r.Float64() < .2) {
		f.add(tree, id, "LEAF", 0, 0, 0, 0, 0)
		return id
	}
	at := len(f.ids)
	f.add(tree, id, branchModes[r.IntN(len(branchModes))], int64(r.IntN(features)), float32(r.IntN(7)-3)/2, 0, 0, int64(r.IntN(2)))
	yes := grow(f, r, tree, next, depth-1, features)
	no := grow(f, r, tree, next, depth-1, features)
	f.yes[at], f.no[at] = yes, no
	return id
}

// follow is an independent reference: it looks nodes up by tree and number in
// the lists and gives the leaf of row x.
func (f *forest) follow(tree int64, x []float32) [2]int64 {
	id := int64(0)
	for {
		k := -1
		for i := range f.ids {
			if f.trees[i] == tree && f.ids[i] == id {
				k = i
			}
		}
		if f.modes[k] == "LEAF" {
			return [2]int64{tree, id}
		}
		v, c := x[f.features[k]], f.values[k]
		ok := map[string]bool{"BRANCH_LEQ": v <= c, "BRANCH_LT": v < c, "BRANCH_GTE": v >= c, "BRANCH_GT": v > c, "BRANCH_EQ": v == c, "BRANCH_NEQ": v != c}[f.modes[k]]
		if math.IsNaN(float64(v)) && f.missing[k] == 1 {
			ok = true
		}
		if id = f.no[k]; ok {
			id = f.yes[k]
		}
	}
}

func TestForestAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for round := range 40 {
		f, targets, trees, features := &forest{}, 1+round%3, 1+r.IntN(12), 3
		for k := range trees {
			next := int64(0)
			grow(f, r, int64(k), &next, 1+r.IntN(5), features)
		}
		ids, weights := make([]int64, len(f.leaves)), make([]float32, len(f.leaves))
		for i := range f.leaves {
			ids[i], weights[i] = int64(r.IntN(targets)), float32(r.IntN(1000)-500)/256 // sums of these are exact
		}
		base := make([]float32, targets)
		for i := range base {
			base[i] = float32(r.IntN(8)) / 4
		}
		agg := []string{"SUM", "AVERAGE", "MIN", "MAX"}[round%4]
		m := load(t, regressor(f, ids, weights, aInt("n_targets", int64(targets)), aStr("aggregate_function", agg), aFloats("base_values", base...)))
		rows := 1 + r.IntN(150)
		x := make([]float32, rows*features)
		for i := range x {
			if x[i] = float32(r.IntN(9)-4) / 2; r.IntN(8) == 0 {
				x[i] = nan
			}
		}
		want := make([]float32, rows*targets)
		for row := range rows {
			sums, met := make([]float64, targets), make([]bool, targets)
			for k := range trees {
				leaf := f.follow(int64(k), x[row*features:][:features])
				for i, l := range f.leaves {
					if l != leaf {
						continue
					}
					s, w := &sums[ids[i]], float64(weights[i])
					switch {
					case agg == "MIN" && met[ids[i]]:
						*s = min(*s, w)
					case agg == "MAX" && met[ids[i]]:
						*s = max(*s, w)
					case agg == "AVERAGE":
						*s += w / float64(trees)
					default:
						*s += w
					}
					met[ids[i]] = true
				}
			}
			for k, s := range sums {
				want[row*targets+k] = float32(s) + base[k]
			}
		}
		out := run(t, m, map[string]*runtime.Tensor{"X": floats(x, rows, features)})
		if s := same(out["Y"], floats(want, rows, targets)); s != "" {
			t.Fatalf("round %d, %s, %d targets: %s", round, agg, targets, s)
		}
		for row := range min(rows, 5) { // one row alone gives the same bits
			one := run(t, m, map[string]*runtime.Tensor{"X": floats(x[row*features:][:features], 1, features)})
			for k := range targets {
				if a, b := one["Y"].F32[k], out["Y"].F32[row*targets+k]; math.Float32bits(a) != math.Float32bits(b) {
					t.Fatalf("row %d alone gives %v, in a batch %v", row, a, b)
				}
			}
		}
	}
}

func classifier(f *forest, classes []int64, weights []float32, labels int, more ...bytesOf) graph {
	attrs := append(append(f.attrs(), f.weights("class", classes, weights)...), more...)
	names := []string{"no", "yes", "perhaps"}[:labels]
	attrs = append(attrs, aStrs("classlabels_strings", names...))
	return oneNode(elemFloat, node(tabular, "TreeEnsembleClassifier", []string{"X"}, []string{"Y", "Z"}, attrs...), []bytesOf{value("Y", elemString), value("Z", elemFloat)})
}

func TestTreeClassifierOfTwo(t *testing.T) {
	sig := func(x float64) float32 { return float32(1 / (1 + math.Exp(-x))) }
	cases := []struct {
		name    string
		ids     []int64
		weights []float32
		more    []bytesOf
		labels  []string
		scores  []float32
	}{
		{"positive weights, as forests of probabilities", []int64{0, 0}, []float32{.2, .7}, nil, []string{"no", "yes"}, []float32{.8, .2, .3, .7}},
		{"positive weights compare with one half", []int64{0, 0}, []float32{.5, .51}, nil, []string{"no", "yes"}, []float32{.5, .5, .49, .51}},
		{"mixed weights, as boosting", []int64{0, 0}, []float32{-.4, .6}, nil, []string{"no", "yes"}, []float32{.4, -.4, -.6, .6}},
		{"mixed weights with LOGISTIC", []int64{0, 0}, []float32{-.4, .6}, []bytesOf{aStr("post_transform", "LOGISTIC")}, []string{"no", "yes"}, []float32{sig(.4), sig(-.4), sig(-.6), sig(.6)}},
		{"a base value", []int64{0, 0}, []float32{-.4, .6}, []bytesOf{aFloats("base_values", -1), aStr("post_transform", "LOGISTIC")}, []string{"no", "no"}, []float32{sig(1.4), sig(-1.4), sig(.4), sig(-.4)}},
		{"weights of the second class", []int64{1, 1}, []float32{.2, .7}, nil, []string{"no", "yes"}, []float32{0, .2, 0, .7}},
	}
	for _, c := range cases {
		m := load(t, classifier(stump("BRANCH_LEQ", 0), c.ids, c.weights, 2, c.more...))
		out := run(t, m, map[string]*runtime.Tensor{"X": floats([]float32{0, 2}, 2, 1)})
		if s := same(out["Y"], texts(c.labels, 2)); s != "" {
			t.Errorf("%s: label %s", c.name, s)
		}
		if s := same(out["Z"], floats(c.scores, 2, 2)); s != "" {
			t.Errorf("%s: scores %s", c.name, s)
		}
	}
}

func TestTreeClassifierOfThree(t *testing.T) {
	// The label is the best of the scores that a leaf gave; with base values, of all.
	m := load(t, classifier(stump("BRANCH_LEQ", 0), []int64{2, 0}, []float32{-.2, -.7}, 3))
	out := run(t, m, map[string]*runtime.Tensor{"X": floats([]float32{0, 2}, 2, 1)})
	if s := same(out["Y"], texts([]string{"perhaps", "no"}, 2)); s != "" {
		t.Error(s)
	}
	if s := same(out["Z"], floats([]float32{0, 0, -.2, -.7, 0, 0}, 2, 3)); s != "" {
		t.Error(s)
	}
	m = load(t, classifier(stump("BRANCH_LEQ", 0), []int64{2, 0}, []float32{-.2, -.7}, 3, aFloats("base_values", .25, .25, .25)))
	if s := same(run(t, m, map[string]*runtime.Tensor{"X": floats([]float32{0, 2}, 2, 1)})["Y"], texts([]string{"no", "yes"}, 2)); s != "" {
		t.Error(s)
	}
}

// TestDoubleTrees needs double thresholds: 1 + 1e-12 is 1 in float32.
func TestDoubleTrees(t *testing.T) {
	f := stump("BRANCH_LT", 0)
	attrs := append(f.attrs(), f.weights("target", []int64{0, 0}, []float32{1, 2})...)
	attrs[6] = aTensor("nodes_values_as_tensor", tDoubles("v", []int{3}, 1+1e-12, 0, 0))
	g := oneNode(elemDouble, node(tabular, "TreeEnsembleRegressor", []string{"X"}, []string{"Y"}, attrs...), []bytesOf{value("Y", elemFloat)})
	out := run(t, load(t, g), map[string]*runtime.Tensor{"X": runtime.Doubles([]float64{1, 1 + 1e-11}, 2, 1)})
	if s := same(out["Y"], floats([]float32{1, 2}, 2, 1)); s != "" {
		t.Error(s)
	}
	g.inputs[0] = value("X", elemFloat)
	if _, err := runtime.Load(g.bytes()); err == nil || !strings.Contains(err.Error(), "cast the input to double") {
		t.Errorf("double trees over a float32 input give %v", err)
	}
}

// TestTreeEnsemble5 is a tree of version 5 with a membership test: x[0] ∈ {2, 5}
// answers 10, else x[1] ≤ 0 answers 20, else 30.
func TestTreeEnsemble5(t *testing.T) {
	g := oneNode(elemDouble, node(tabular, "TreeEnsemble", []string{"X"}, []string{"Y"},
		aInts("nodes_featureids", 0, 1), aTensor("nodes_modes", tBytes("m", 6, 0)), aTensor("nodes_splits", tDoubles("s", []int{2}, 0, 0)),
		aInts("nodes_truenodeids", 0, 1), aInts("nodes_trueleafs", 1, 1), aInts("nodes_falsenodeids", 1, 2), aInts("nodes_falseleafs", 0, 1),
		aTensor("membership_values", tDoubles("v", []int{2}, 2, 5)), aInts("leaf_targetids", 0, 0, 0), aTensor("leaf_weights", tDoubles("w", []int{3}, 10, 20, 30)),
		aInts("tree_roots", 0), aInt("n_targets", 1)), []bytesOf{value("Y", elemDouble)})
	g.ml = 5
	out := run(t, load(t, g), map[string]*runtime.Tensor{"X": runtime.Doubles([]float64{5, 9, 3, 0, 4, 1}, 3, 2)})
	if s := same(out["Y"], runtime.Doubles([]float64{10, 20, 30}, 3, 1)); s != "" {
		t.Error(s)
	}
}

func TestNarrowInput(t *testing.T) {
	f := stump("BRANCH_LEQ", 0)
	f.features[0] = 3
	m := load(t, regressor(f, []int64{0, 0}, []float32{1, 2}))
	_, err := m.Run(context.Background(), map[string]*runtime.Tensor{"X": floats([]float32{1, 2}, 1, 2)})
	if !errors.Is(err, runtime.ErrInput) || !strings.Contains(err.Error(), "the trees test column 3 and the input has 2 columns") {
		t.Errorf("got %v", err)
	}
}

// boosted is a model of the size that the built-in trainer writes.
func boosted(trees, depth, features int) graph {
	r := rand.New(rand.NewPCG(1, 2))
	f := &forest{}
	for k := range trees {
		next := int64(0)
		var full func(depth int) int64
		full = func(d int) int64 {
			id := next
			next++
			if d == 0 {
				f.add(int64(k), id, "LEAF", 0, 0, 0, 0, 0)
				return id
			}
			at := len(f.ids)
			f.add(int64(k), id, "BRANCH_LEQ", int64(r.IntN(features)), float32(r.NormFloat64()), 0, 0, 0)
			yes := full(d - 1)
			no := full(d - 1)
			f.yes[at], f.no[at] = yes, no
			return id
		}
		full(depth)
	}
	ids, weights := make([]int64, len(f.leaves)), make([]float32, len(f.leaves))
	for i := range weights {
		weights[i] = float32(r.NormFloat64())
	}
	g := classifier(f, ids, weights, 2, aStr("post_transform", "LOGISTIC"))
	return g
}

func benchmarkTrees(b *testing.B, rows int) {
	m := load(b, boosted(100, 6, 20))
	r := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, rows*20)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	in := map[string]*runtime.Tensor{"X": floats(x, rows, 20)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Run(context.Background(), in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}

func BenchmarkTreesBatch1(b *testing.B)    { benchmarkTrees(b, 1) }
func BenchmarkTreesBatch1000(b *testing.B) { benchmarkTrees(b, 1000) }

func BenchmarkPipelineBatch1(b *testing.B) {
	m := load(b, pipeline())
	in := map[string]*runtime.Tensor{"income": floats([]float32{20}, 1, 1), "purpose": texts([]string{"build"}, 1, 1)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Run(context.Background(), in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadTrees(b *testing.B) {
	raw := boosted(100, 6, 20).bytes()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := runtime.Load(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleLoad() {
	m, err := runtime.Load(pipeline().bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := m.Run(context.Background(), map[string]*runtime.Tensor{
		"income":  runtime.Floats([]float32{20}, 1, 1),
		"purpose": runtime.Strings([]string{"build"}, 1, 1),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.InputNames(), out["label"].I64)
	// Output: [income purpose] [1]
}
