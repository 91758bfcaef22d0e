package train

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// identityGraph passes every feature through as a numeric column.
func identityGraph(names []string) Graph {
	g := Graph{Name: "test", FeatureSetDigest: strings.Repeat("ab", 32), Label: "deny", PositiveClass: "yes", NegativeClass: "no"}
	for _, name := range names {
		g.Inputs = append(g.Inputs, Input{Column: name, Kind: KindNumeric, Features: []string{name}, Scale: 1})
	}
	return g
}

// message is a generic reading of a protocol-buffer message: per field number its values in order.
type message map[protowire.Number][]any

func parse(t *testing.T, data []byte) message {
	t.Helper()
	m := make(message)
	last := protowire.Number(0)
	for len(data) > 0 {
		field, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		if field < last {
			t.Errorf("field %d follows field %d", field, last)
		}
		last = field
		data = data[n:]
		var v any
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var bits uint32
			bits, n = protowire.ConsumeFixed32(data)
			v = math.Float32frombits(bits)
		case protowire.BytesType:
			v, n = protowire.ConsumeBytes(data)
		default:
			t.Fatalf("wire type %d", kind)
		}
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		m[field] = append(m[field], v)
		data = data[n:]
	}
	return m
}

func (m message) text(field protowire.Number) string {
	if len(m[field]) == 0 {
		return ""
	}
	return string(m[field][0].([]byte))
}

func (m message) children(t *testing.T, field protowire.Number) (out []message) {
	for _, v := range m[field] {
		out = append(out, parse(t, v.([]byte)))
	}
	return out
}

func TestExportedModelReadsBack(t *testing.T) {
	names := []string{"ratio", "self", "kind=b", "kind=c"}
	rows := [][]float64{{-1, 0, 0, 1}, {0, 1, 1, 0}, {1, 0, 0, 0}, {2, 1, 0, 1}, {.5, 0, 1, 0}, {-.5, 1, 0, 0}, {1.5, 0, 1, 0}, {.1, 1, 0, 1}}
	m := fitLogistic(t, names, rows, []float64{0, 1, 0, 1, 1, 0, 0, 1}, 1)
	impute, other := float32(.3), float32(.5)
	g := Graph{Name: "lending", FeatureSetDigest: "digest", Label: "deny", PositiveClass: "yes", NegativeClass: "no",
		Inputs: []Input{
			{Column: "ratio", Kind: KindNumeric, Features: names[:1], Offset: .25, Scale: 4, Impute: &impute},
			{Column: "self", Kind: KindMapping, Features: names[1:2], Keys: []string{"no", "yes"}, Values: []float32{0, 1}, Default: &other, Known: []string{"no", "yes"}},
			{Column: "kind", Kind: KindOneHot, Features: names[2:], Keys: []string{"b", "c"}, Known: []string{"a", "b", "c"}},
		},
		Metadata: map[string]string{"run": "7", "another": "x"}}
	data, err := m.ONNX(g)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := m.ONNX(g)
	if !bytes.Equal(data, again) {
		t.Error("exporting twice gave other bytes")
	}
	model := parse(t, data)
	if model[1][0] != uint64(8) || model.text(2) != "affidavit" {
		t.Errorf("ir version %v, producer %q", model[1], model.text(2))
	}
	var opsets []string
	for _, o := range model.children(t, 8) {
		opsets = append(opsets, fmt.Sprint(o.text(1), o[2][0]))
	}
	if !slices.Equal(opsets, []string{"15", "ai.onnx.ml3"}) {
		t.Errorf("opsets %v", opsets)
	}
	metadata := make(map[string]string)
	for _, kv := range model.children(t, 14) {
		metadata[kv.text(1)] = kv.text(2)
	}
	for key, want := range map[string]string{
		"affidavit.feature_set": "digest", "affidavit.label": "deny", "affidavit.positive_class": "yes", "affidavit.negative_class": "no",
		"affidavit.algorithm": "logistic_regression", "affidavit.features": `["ratio","self","kind=b","kind=c"]`, "run": "7", "another": "x",
		"affidavit.inputs": `[{"name":"ratio","type":"numeric"},{"name":"self","type":"categorical","categories":["no","yes"]},{"name":"kind","type":"categorical","categories":["a","b","c"]}]`,
	} {
		if metadata[key] != want {
			t.Errorf("metadata %s = %q, want %q", key, metadata[key], want)
		}
	}
	graph := model.children(t, 7)[0]
	var nodes []string
	for _, n := range graph.children(t, 1) {
		var in, out []string
		for _, v := range n[1] {
			in = append(in, string(v.([]byte)))
		}
		for _, v := range n[2] {
			out = append(out, string(v.([]byte)))
		}
		nodes = append(nodes, fmt.Sprintf("%s %v %v", n.text(4), in, out))
	}
	want := []string{"Imputer [ratio] [_0_0]", "LabelEncoder [self] [_1_0]", "LabelEncoder [kind] [_2_0]", "LabelEncoder [kind] [_2_1]",
		"Concat [_0_0 _1_0 _2_0 _2_1] [_raw]", "Scaler [_raw] [_features]", "LinearClassifier [_features] [label probabilities]"}
	if !slices.Equal(nodes, want) {
		t.Errorf("nodes\n%s\nwant\n%s", strings.Join(nodes, "\n"), strings.Join(want, "\n"))
	}
	var inputs []string
	for _, in := range graph.children(t, 11) {
		tensor := in.children(t, 2)[0].children(t, 1)[0]
		inputs = append(inputs, fmt.Sprint(in.text(1), tensor[1][0]))
	}
	if !slices.Equal(inputs, []string{"ratio1", "self8", "kind8"}) {
		t.Errorf("inputs %v", inputs)
	}
}

// A tree that only ever adds to the margin needs the extra tree, else ONNX Runtime would skip the logistic function.
func TestEnsembleAlwaysHasANegativeWeight(t *testing.T) {
	m := &BoostedModel{Names: []string{"a"}, Base: .5, Rows: 10, Trees: []Tree{{Nodes: []Node{
		{Feature: 0, Threshold: 1, Left: 1, Right: 2, Rows: 10}, {Feature: -1, Weight: .25, Rows: 4}, {Feature: -1, Weight: .75, Rows: 6}}}}}
	data, err := m.ONNX(identityGraph(m.Names))
	if err != nil {
		t.Fatal(err)
	}
	graph := parse(t, data).children(t, 7)[0]
	nodes := graph.children(t, 1)
	attributes := make(map[string]message)
	for _, a := range nodes[len(nodes)-1].children(t, 5) {
		attributes[a.text(1)] = a
	}
	if got := attributes["class_weights"][7]; fmt.Sprint(got) != "[0.25 0.75 -1]" {
		t.Errorf("weights %v", got)
	}
	if got := attributes["base_values"][7]; fmt.Sprint(got) != "[1.5]" {
		t.Errorf("base %v", got)
	}
	// 0: a missing value takes the false branch, as Predict does.
	if got := attributes["nodes_missing_value_tracks_true"][8]; fmt.Sprint(got) != "[0 0 0 0]" {
		t.Errorf("missing values %v", got)
	}
	if got := attributes["nodes_hitrates"][7]; fmt.Sprint(got) != "[10 4 6 10]" {
		t.Errorf("hit rates %v", got)
	}
}

func TestScalerOnlyWhereItDoesSomething(t *testing.T) {
	m := &BoostedModel{Names: []string{"a"}, Trees: []Tree{{Nodes: []Node{{Feature: -1, Weight: -1}}}}}
	for _, c := range []struct {
		offset, scale float32
		want          bool
	}{{0, 1, false}, {2, 1, true}, {0, 3, true}} {
		g := identityGraph(m.Names)
		g.Inputs[0].Offset, g.Inputs[0].Scale = c.offset, c.scale
		data, err := m.ONNX(g)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, n := range parse(t, data).children(t, 7)[0].children(t, 1) {
			found = found || n.text(4) == "Scaler"
		}
		if found != c.want {
			t.Errorf("offset %v, scale %v: Scaler %v", c.offset, c.scale, found)
		}
	}
}

func TestExportRefuses(t *testing.T) {
	m := &BoostedModel{Names: []string{"a", "b"}, Trees: []Tree{{Nodes: []Node{{Feature: -1, Weight: -1}}}}}
	for _, c := range []struct {
		change func(g *Graph)
		want   string
	}{
		{func(g *Graph) { g.Name = "" }, "name is empty"},
		{func(g *Graph) { g.Inputs = nil }, "inputs is empty"},
		{func(g *Graph) { g.Inputs = g.Inputs[:1] }, "the inputs make the features [a], the model was trained on [a b]"},
		{func(g *Graph) { slices.Reverse(g.Inputs) }, "the inputs make the features [b a]"},
		{func(g *Graph) { g.Inputs[1].Column = "a" }, `input "a": the name must be unique`},
		{func(g *Graph) { g.Inputs[1].Column = "label" }, "not label or probabilities"},
		{func(g *Graph) { g.Inputs[1].Column = "_raw" }, "not begin with _"},
		{func(g *Graph) { g.Inputs[1].Column = "\xff" }, "UTF-8"},
		{func(g *Graph) { g.Inputs[0].Kind = "text" }, `kind "text" is unknown`},
		{func(g *Graph) { g.Inputs[0].Scale = float32(math.Inf(1)) }, "must be finite"},
		{func(g *Graph) { g.Inputs[0].Kind = KindMapping }, "0 keys for 0 values"},
		{func(g *Graph) {
			g.Inputs[0] = Input{Column: "a", Kind: KindMapping, Features: []string{"a"}, Keys: []string{"x", "x"}, Values: []float32{1, 2}}
		}, "keys repeat"},
		{func(g *Graph) { g.Inputs[0].Features = nil }, "0 feature names for 1"},
		{func(g *Graph) { g.Metadata = map[string]string{"affidavit.label": "x"} }, "reserved"},
	} {
		g := identityGraph(m.Names)
		c.change(&g)
		if data, err := m.ONNX(g); data != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
