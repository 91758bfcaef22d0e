package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Input is one raw column of the graph and its encoding, as feature.Spec gives it (the fields are the same, so one
// converts into the other).
//
//	numeric   feature = (x − Offset)·Scale; Impute, if set, replaces a missing x
//	mapping   feature = Values[k] for the text Keys[k], else Default; without a Default, NaN
//	one_hot   one feature per key: 1 where the text equals it, else 0
type Input struct {
	Column   string
	Kind     string
	Features []string
	Offset   float32
	Scale    float32
	Impute   *float32
	Keys     []string
	Values   []float32
	Default  *float32
	Known    []string // categories that the model was made for; nil if any text is acceptable
}

// The kinds of Input.
const (
	KindNumeric = "numeric"
	KindMapping = "mapping"
	KindOneHot  = "one_hot"
)

// Graph describes the exported graph around the model.
//
// The graph has one input per raw column, named as the column: float [N,1] for a number (NaN = missing), string [N,1]
// for a category. Its outputs are label, int64 [N] (1 = positive class), and probabilities, float [N,2] (column 1 is the
// positive class). metadata_props holds, besides Metadata: affidavit.algorithm, affidavit.feature_set (digest),
// affidavit.label, affidavit.positive_class, affidavit.negative_class, and as JSON affidavit.features (names in order),
// affidavit.feature_means (logistic) and affidavit.inputs (name, type, and for a category the known values).
// Nodes of a tree ensemble carry the number of training rows that reached them as nodes_hitrates.
type Graph struct {
	Name             string
	FeatureSetDigest string
	Label            string
	PositiveClass    string
	NegativeClass    string
	Inputs           []Input
	Metadata         map[string]string // keys must not begin with "affidavit."
}

// Versions that the exported graphs declare.
const (
	irVersion  = 8
	opsetMain  = 15
	opsetML    = 3
	domainML   = "ai.onnx.ml"
	producer   = "affidavit"
	outLabel   = "label"
	outScores  = "probabilities"
	metaPrefix = "affidavit."
)

// validate compares the inputs with the features that the model was trained on.
func (g *Graph) validate(names []string) error {
	if g.Name == "" {
		return errors.New("onnx: name is empty; give the model a name")
	}
	for _, text := range []string{g.Name, g.FeatureSetDigest, g.Label, g.PositiveClass, g.NegativeClass} {
		if !utf8.ValidString(text) {
			return fmt.Errorf("onnx: %q is not valid UTF-8", text)
		}
	}
	for key, value := range g.Metadata {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return fmt.Errorf("onnx: metadata %q is not valid UTF-8", key)
		}
		if strings.HasPrefix(key, metaPrefix) {
			return fmt.Errorf("onnx: metadata key %q begins with %q, which is reserved", key, metaPrefix)
		}
	}
	if len(g.Inputs) == 0 {
		return errors.New("onnx: inputs is empty")
	}
	seen := make(map[string]bool)
	var features []string
	for _, in := range g.Inputs {
		// A column of an output's name would make the graph ambiguous.
		if in.Column == "" || seen[in.Column] || in.Column == outLabel || in.Column == outScores || strings.HasPrefix(in.Column, "_") {
			return fmt.Errorf("onnx: input %q: the name must be unique, not empty, not %s or %s, and not begin with _", in.Column, outLabel, outScores)
		}
		seen[in.Column] = true
		if err := in.validate(); err != nil {
			return fmt.Errorf("onnx: input %q: %w", in.Column, err)
		}
		features = append(features, in.Features...)
	}
	if !slices.Equal(features, names) {
		return fmt.Errorf("onnx: the inputs make the features %s, the model was trained on %s", clipList(features), clipList(names))
	}
	return nil
}

func (in *Input) validate() error {
	if !finite32(in.Offset) || !finite32(in.Scale) || (in.Impute != nil && !finite32(*in.Impute)) || (in.Default != nil && !finite32(*in.Default)) {
		return errors.New("offset, scale, impute and default must be finite")
	}
	for _, text := range slices.Concat([]string{in.Column}, in.Keys) {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%q is not valid UTF-8", text)
		}
	}
	for _, v := range in.Values {
		if !finite32(v) {
			return errors.New("values must be finite")
		}
	}
	sorted := slices.Sorted(slices.Values(in.Keys))
	if len(slices.Compact(sorted)) != len(in.Keys) {
		return errors.New("keys repeat")
	}
	features := 1
	switch in.Kind {
	case KindNumeric:
	case KindMapping:
		if len(in.Keys) == 0 || len(in.Keys) != len(in.Values) {
			return fmt.Errorf("%d keys for %d values; give one value per key", len(in.Keys), len(in.Values))
		}
	case KindOneHot:
		if features = len(in.Keys); features == 0 {
			return errors.New("keys is empty")
		}
	default:
		return fmt.Errorf("kind %q is unknown; use numeric, mapping or one_hot", in.Kind)
	}
	if len(in.Features) != features {
		return fmt.Errorf("%d feature names for %d features", len(in.Features), features)
	}
	return nil
}

// encodeInputs adds the nodes from the raw columns to the [N,D] feature matrix and returns its name.
// Names that begin with "_" are the graph's own.
func (g *Graph) encodeInputs(b *graphBuilder) string {
	var parts []string
	var offsets, scales []float32
	scaled := false
	for i, in := range g.Inputs {
		name := func(k int) string { return fmt.Sprintf("_%d_%d", i, k) }
		switch in.Kind {
		case KindNumeric:
			b.input(in.Column, elemFloat)
			part := in.Column
			if in.Impute != nil {
				part = name(0)
				b.node("Imputer", domainML, []string{in.Column}, []string{part},
					attrFloats("imputed_value_floats", []float32{*in.Impute}), attrFloat("replaced_value_float", float32(math.NaN())))
			}
			parts = append(parts, part)
			offsets, scales = append(offsets, in.Offset), append(scales, in.Scale)
			scaled = scaled || in.Offset != 0 || in.Scale != 1
			continue
		case KindMapping:
			b.input(in.Column, elemString)
			other := float32(math.NaN()) // says "not known", where a number would pass for an answer
			if in.Default != nil {
				other = *in.Default
			}
			b.lookup(in.Column, name(0), in.Keys, in.Values, other)
			parts = append(parts, name(0))
		case KindOneHot:
			b.input(in.Column, elemString)
			for k, key := range in.Keys {
				b.lookup(in.Column, name(k), []string{key}, []float32{1}, 0)
				parts = append(parts, name(k))
			}
		}
		for range in.Features {
			offsets, scales = append(offsets, 0), append(scales, 1)
		}
	}
	b.node("Concat", "", parts, []string{"_raw"}, attrInt("axis", 1))
	if !scaled {
		return "_raw"
	}
	b.node("Scaler", domainML, []string{"_raw"}, []string{"_features"}, attrFloats("offset", offsets), attrFloats("scale", scales))
	return "_features"
}

type inputContract struct {
	Name       string   `json:"name"`
	Type       string   `json:"type"`
	Categories []string `json:"categories,omitempty"`
}

func (g *Graph) metadata(m Model) []keyValue {
	contracts := make([]inputContract, len(g.Inputs))
	for i, in := range g.Inputs {
		contracts[i] = inputContract{Name: in.Column, Type: "categorical", Categories: in.Known}
		if in.Kind == KindNumeric {
			contracts[i].Type = "numeric"
		}
	}
	all := []keyValue{
		{metaPrefix + "algorithm", m.Algorithm()},
		{metaPrefix + "feature_set", g.FeatureSetDigest},
		{metaPrefix + "features", mustJSON(m.FeatureNames())},
		{metaPrefix + "inputs", mustJSON(contracts)},
		{metaPrefix + "label", g.Label},
		{metaPrefix + "negative_class", g.NegativeClass},
		{metaPrefix + "positive_class", g.PositiveClass},
	}
	if lm, ok := m.(*LogisticModel); ok {
		all = append(all, keyValue{metaPrefix + "feature_means", mustJSON(lm.Means)})
	}
	for key, value := range g.Metadata {
		all = append(all, keyValue{key, value})
	}
	slices.SortFunc(all, func(a, b keyValue) int { return strings.Compare(a.key, b.key) })
	return all
}

// ONNX implements Model. Coefficients are rounded to 32 bits.
func (m *LogisticModel) ONNX(g Graph) ([]byte, error) {
	if err := g.validate(m.Names); err != nil {
		return nil, err
	}
	// One row of coefficients per class: the scores are −z and z, whose logistic values are the two probabilities.
	coefficients := make([]float32, 2*len(m.Coefficients))
	for j, c := range m.Coefficients {
		coefficients[j], coefficients[len(m.Coefficients)+j] = float32(-c), float32(c)
	}
	for _, c := range append(slices.Clone(coefficients), float32(m.Intercept)) {
		if !finite32(c) {
			return nil, errors.New("onnx: a coefficient does not fit a 32-bit number; standardise the features")
		}
	}
	b := &graphBuilder{}
	features := g.encodeInputs(b)
	b.node("LinearClassifier", domainML, []string{features}, []string{outLabel, outScores},
		attrInts("classlabels_ints", []int64{0, 1}),
		attrFloats("coefficients", coefficients),
		attrFloats("intercepts", []float32{float32(-m.Intercept), float32(m.Intercept)}),
		attrInt("multi_class", 0),
		attrString("post_transform", "LOGISTIC"))
	return b.model(g, g.metadata(m)), nil
}

// ONNX implements Model. The ensemble has a single score (class 1's margin); LOGISTIC turns it into two probabilities.
func (m *BoostedModel) ONNX(g Graph) ([]byte, error) {
	if err := g.validate(m.Names); err != nil {
		return nil, err
	}
	var a ensembleAttributes
	negative := false
	for k, t := range m.Trees {
		for _, n := range t.Nodes {
			negative = negative || (n.Feature < 0 && n.Weight < 0)
		}
		a.add(k, t)
	}
	base := m.Base
	if !negative {
		// ONNX Runtime reads a single-score ensemble without a negative weight as probabilities, not as margins. A tree
		// that always adds −1, and a base that is 1 higher, say the same and keep it from that.
		a.add(len(m.Trees), Tree{Nodes: []Node{{Feature: -1, Weight: -1, Rows: m.Rows}}})
		base++
	}
	b := &graphBuilder{}
	features := g.encodeInputs(b)
	b.node("TreeEnsembleClassifier", domainML, []string{features}, []string{outLabel, outScores},
		attrFloats("base_values", []float32{base}),
		attrInts("class_ids", a.classIDs),
		attrInts("class_nodeids", a.classNodes),
		attrInts("class_treeids", a.classTrees),
		attrFloats("class_weights", a.weights),
		attrInts("classlabels_int64s", []int64{0, 1}),
		attrInts("nodes_falsenodeids", a.right),
		attrInts("nodes_featureids", a.features),
		attrFloats("nodes_hitrates", a.hits),
		attrInts("nodes_missing_value_tracks_true", a.missing),
		attrStrings("nodes_modes", a.modes),
		attrInts("nodes_nodeids", a.nodes),
		attrInts("nodes_treeids", a.trees),
		attrInts("nodes_truenodeids", a.left),
		attrFloats("nodes_values", a.values),
		attrString("post_transform", "LOGISTIC"))
	return b.model(g, g.metadata(m)), nil
}

// ensembleAttributes are the parallel lists in which ONNX stores trees.
type ensembleAttributes struct {
	trees, nodes, features, left, right, missing []int64
	values, hits                                 []float32
	modes                                        []string
	classTrees, classNodes, classIDs             []int64
	weights                                      []float32
}

func (a *ensembleAttributes) add(tree int, t Tree) {
	for id, n := range t.Nodes {
		a.trees = append(a.trees, int64(tree))
		a.nodes = append(a.nodes, int64(id))
		a.hits = append(a.hits, float32(n.Rows))
		a.missing = append(a.missing, 0)
		if n.Feature >= 0 {
			a.modes = append(a.modes, "BRANCH_LEQ")
			a.features = append(a.features, int64(n.Feature))
			a.values = append(a.values, n.Threshold)
			a.left = append(a.left, int64(n.Left))
			a.right = append(a.right, int64(n.Right))
			continue
		}
		a.modes = append(a.modes, "LEAF")
		a.features = append(a.features, 0)
		a.values = append(a.values, 0)
		a.left = append(a.left, 0)
		a.right = append(a.right, 0)
		a.classTrees = append(a.classTrees, int64(tree))
		a.classNodes = append(a.classNodes, int64(id))
		a.classIDs = append(a.classIDs, 0) // the single score has index 0
		a.weights = append(a.weights, n.Weight)
	}
}

func finite32(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

func clipList(names []string) string {
	if len(names) > 12 {
		return fmt.Sprintf("[%s … and %d more]", strings.Join(names[:12], " "), len(names)-12)
	}
	return fmt.Sprint(names)
}

// mustJSON encodes texts and finite numbers, which cannot fail.
func mustJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("train: value without a JSON form: " + err.Error())
	}
	return string(data)
}
