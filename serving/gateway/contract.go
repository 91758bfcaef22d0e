package gateway

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"affidavit/lineage"
	"affidavit/serving/gateway/openinference"
	"affidavit/serving/runtime"
)

// Names that a model's outputs have, and the key of its metadata that holds the contract of its inputs.
const (
	outLabel      = "label"
	outScores     = "probabilities"
	metaInputs    = "affidavit.inputs"
	maxRows       = 100_000
	maxCategories = 12 // shown in a message
)

// Value is one input of one row as the client sent it: a number, a text, or neither when it is missing.
type Value struct {
	Name   string   `json:"n"`
	Number *float64 `json:"x,omitempty"`
	Text   *string  `json:"t,omitempty"`
}

// contract is what a model accepts, read from the artefact itself.
type contract struct {
	inputs []inputRule
	byName map[string]int
	label  string // name of the output with the class
	score  string // name of the output with the probabilities
}

type inputRule struct {
	runtime.IO
	width      int             // values of a row
	categories map[string]bool // nil: any text
	list       string          // the categories in words
}

// contractOf reads the contract; an error says why predictions of such a model could not be recorded.
func contractOf(m *runtime.Model) (*contract, error) {
	c := &contract{byName: map[string]int{}}
	for _, in := range m.Inputs() {
		rule := inputRule{IO: in, width: 1}
		for _, d := range in.Shape[min(1, len(in.Shape)):] {
			if d < 1 {
				return nil, fmt.Errorf("input %q has shape %v; only the first dimension may be free", in.Name, in.Shape)
			}
			rule.width *= d
		}
		c.byName[in.Name] = len(c.inputs)
		c.inputs = append(c.inputs, rule)
	}
	if text, ok := m.Metadata()[metaInputs]; ok {
		var declared []struct {
			Name       string   `json:"name"`
			Type       string   `json:"type"`
			Categories []string `json:"categories"`
		}
		if err := json.Unmarshal([]byte(text), &declared); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", metaInputs, err)
		}
		for _, d := range declared {
			i, ok := c.byName[d.Name]
			if !ok {
				return nil, fmt.Errorf("metadata %s declares %q, which is no input of the graph", metaInputs, d.Name)
			}
			c.inputs[i].restrict(d.Categories)
		}
	}
	for _, out := range m.Outputs() {
		switch {
		case out.Name == outLabel || c.label == "" && out.Type == runtime.Int64:
			c.label = out.Name
		case out.Name == outScores || c.score == "" && out.Type == runtime.Float32:
			c.score = out.Name
		}
	}
	if c.label == "" || c.score == "" {
		return nil, fmt.Errorf("the model has no outputs %q (int64) and %q (float32), so its predictions cannot be recorded", outLabel, outScores)
	}
	return c, nil
}

func (in *inputRule) restrict(categories []string) {
	if len(categories) == 0 {
		return
	}
	in.categories = make(map[string]bool, len(categories))
	for _, k := range categories {
		in.categories[k] = true
	}
	if in.list = strings.Join(categories[:min(len(categories), maxCategories)], ", "); len(categories) > maxCategories {
		in.list += ", …"
	}
}

func badInput(name, format string, args ...any) *lineage.Error {
	return lineage.Errf(lineage.CodeInvalid, "inputs["+clip(name)+"]", format, args...)
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

func (c *contract) names() string {
	names := make([]string, len(c.inputs))
	for i, in := range c.inputs {
		names[i] = in.Name
	}
	return strings.Join(names, ", ")
}

// tensors converts a request. What the model was not approved with is refused: an input that it does not have, a
// category that it was not made for, an infinite number. values are the rows' inputs, for the record.
func (c *contract) tensors(r *openinference.Request) (in map[string]*runtime.Tensor, values [][]Value, err error) {
	for i := range r.Inputs {
		if _, ok := c.byName[r.Inputs[i].Name]; !ok {
			return nil, nil, badInput(r.Inputs[i].Name, "the model was not approved with this input").WithRemedy("send exactly %s", c.names())
		}
	}
	rows := -1
	in = make(map[string]*runtime.Tensor, len(c.inputs))
	for i := range c.inputs {
		rule := &c.inputs[i]
		t := r.Input(rule.Name)
		if t == nil {
			return nil, nil, badInput(rule.Name, "it is missing").WithRemedy("send exactly %s; a missing number is null", c.names())
		}
		n, err := rule.rows(t)
		if err != nil {
			return nil, nil, err
		}
		if rows < 0 {
			rows, values = n, make([][]Value, n)
			for k := range values {
				values[k] = make([]Value, 0, len(c.inputs))
			}
		} else if n != rows {
			return nil, nil, badInput(rule.Name, "%d rows, and %d in the inputs before it", n, rows)
		}
		if in[rule.Name], err = rule.convert(t, n, values); err != nil {
			return nil, nil, err
		}
	}
	return in, values, nil
}

// rows accepts [N] for [N,1].
func (in *inputRule) rows(t *openinference.Tensor) (int, error) {
	ok := len(t.Shape) > 0 && t.Shape[0] > 0
	width := int64(1)
	for _, d := range t.Shape[min(1, len(t.Shape)):] {
		width *= max(d, 0)
	}
	if !ok || width != int64(in.width) || int64(t.Len()) != t.Shape[0]*width {
		return 0, badInput(in.Name, "it has shape %v", t.Shape).WithRemedy("give [rows, %d]", in.width)
	}
	if t.Shape[0] > maxRows {
		return 0, badInput(in.Name, "%d rows in one request", t.Shape[0]).WithRemedy("send at most %d", maxRows)
	}
	return int(t.Shape[0]), nil
}

func (in *inputRule) convert(t *openinference.Tensor, rows int, values [][]Value) (*runtime.Tensor, error) {
	out := &runtime.Tensor{Type: in.Type, Shape: make([]int, max(len(in.Shape), 1))}
	copy(out.Shape, in.Shape)
	out.Shape[0] = rows
	if in.Type == runtime.String {
		return out, in.texts(t, out, values)
	}
	number, err := in.numbers(t)
	if err != nil {
		return nil, err
	}
	for i := range t.Len() {
		v := number(i)
		if math.IsInf(v, 0) {
			return nil, badInput(in.Name, "the value of row %d is infinite", i/in.width)
		}
		if err := in.put(out, v); err != nil {
			return nil, badInput(in.Name, "row %d: %v", i/in.width, err)
		}
		value := Value{Name: in.cell(i)}
		if !math.IsNaN(v) {
			value.Number = &v
		}
		values[i/in.width] = append(values[i/in.width], value)
	}
	return out, nil
}

// cell names one value of a row.
func (in *inputRule) cell(i int) string {
	if in.width == 1 {
		return in.Name
	}
	return fmt.Sprintf("%s[%d]", in.Name, i%in.width)
}

func (in *inputRule) texts(t *openinference.Tensor, out *runtime.Tensor, values [][]Value) error {
	if t.Datatype != openinference.Bytes {
		return badInput(in.Name, "it has datatype %s", t.Datatype).WithRemedy("send text as BYTES")
	}
	out.Str = make([]string, len(t.Bytes))
	for i, b := range t.Bytes {
		s := string(b)
		if in.categories != nil && !in.categories[s] {
			// The value itself is the applicant's and stays out of the message.
			return badInput(in.Name, "row %d has a category that the model was not made for", i/in.width).WithRemedy("known are %s", in.list)
		}
		out.Str[i] = s
		values[i/in.width] = append(values[i/in.width], Value{Name: in.cell(i), Text: &s})
	}
	return nil
}

// numbers reads any numeric datatype.
func (in *inputRule) numbers(t *openinference.Tensor) (func(int) float64, error) {
	switch {
	case t.Bool != nil:
		return func(i int) float64 { return float64(flag(t.Bool[i])) }, nil
	case t.Int != nil:
		return func(i int) float64 { return float64(t.Int[i]) }, nil
	case t.Uint != nil:
		return func(i int) float64 { return float64(t.Uint[i]) }, nil
	case t.FP32 != nil:
		return func(i int) float64 { return float64(t.FP32[i]) }, nil
	case t.FP64 != nil:
		return func(i int) float64 { return t.FP64[i] }, nil
	}
	return nil, badInput(in.Name, "it has datatype %s", t.Datatype).WithRemedy("send numbers as FP64, FP32 or INT64")
}

func (in *inputRule) put(out *runtime.Tensor, v float64) error {
	whole := v == math.Trunc(v) && math.Abs(v) <= 1<<53
	switch in.Type {
	case runtime.Float32:
		if f := float32(v); math.IsInf(float64(f), 0) {
			return fmt.Errorf("the number does not fit 32 bits")
		}
		out.F32 = append(out.F32, float32(v))
	case runtime.Float64:
		out.F64 = append(out.F64, v)
	case runtime.Int64:
		out.I64 = append(out.I64, int64(v))
	case runtime.Int32:
		whole = whole && v >= math.MinInt32 && v <= math.MaxInt32
		out.I32 = append(out.I32, int32(v))
	case runtime.Bool:
		whole = v == 0 || v == 1
		out.Bool = append(out.Bool, v != 0)
	}
	if !whole && in.Type != runtime.Float32 && in.Type != runtime.Float64 {
		return fmt.Errorf("the model takes a whole number of type %s", in.Type)
	}
	return nil
}

// answer reads label and score of each row; a score that is no probability is refused, never given.
func (c *contract) answer(out map[string]*runtime.Tensor, rows int) (labels []int64, scores []float64, err error) {
	l, s := out[c.label], out[c.score]
	if l == nil || s == nil || len(l.I64) != rows || len(s.F32)%rows != 0 || len(s.F32) == 0 {
		return nil, nil, lineage.Errf(lineage.CodeInternal, "", "the model answered %d rows otherwise than its outputs say", rows)
	}
	width := len(s.F32) / rows
	for i := range rows {
		p := float64(s.F32[(i+1)*width-1]) // the positive class comes last
		if !(p >= 0 && p <= 1) {
			return nil, nil, lineage.Errf(lineage.CodeInvalid, "inputs", "row %d has no score: a value is missing and the model has no rule for that", i).
				WithRemedy("send every value")
		}
		scores = append(scores, p)
	}
	return l.I64, scores, nil
}

func (c *contract) metadata(name string, versions []string, m *runtime.Model) openinference.ModelMetadata {
	describe := func(list []runtime.IO) []openinference.TensorMetadata {
		out := make([]openinference.TensorMetadata, len(list))
		for i, io := range list {
			out[i] = openinference.TensorMetadata{Name: io.Name, Datatype: openinference.Datatype(io.Type.Datatype()), Shape: []int64{}}
			for _, d := range io.Shape {
				out[i].Shape = append(out[i].Shape, int64(d))
			}
		}
		return out
	}
	return openinference.ModelMetadata{Name: name, Versions: slices.Clone(versions), Platform: "affidavit_onnx", Inputs: describe(m.Inputs()), Outputs: describe(m.Outputs())}
}

// tensorOf converts an output of the runtime.
func tensorOf(name string, t *runtime.Tensor) openinference.Tensor {
	o := openinference.Tensor{Name: name, Datatype: openinference.Datatype(t.Type.Datatype()), Shape: make([]int64, len(t.Shape)),
		Bool: t.Bool, Int: t.I64, FP32: t.F32, FP64: t.F64}
	for i, d := range t.Shape {
		o.Shape[i] = int64(d)
	}
	for _, v := range t.I32 {
		o.Int = append(o.Int, int64(v))
	}
	for _, s := range t.Str {
		o.Bytes = append(o.Bytes, []byte(s))
	}
	return o
}
