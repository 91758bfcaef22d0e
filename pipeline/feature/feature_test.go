package feature

import (
	"encoding/csv"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// memory is a Table for tests. A column is numeric if it is in numbers.
type memory struct {
	order   []string
	numbers map[string][]float64
	texts   map[string][]string
}

func (m memory) Rows() int {
	if v, ok := m.numbers[m.order[0]]; ok {
		return len(v)
	}
	return len(m.texts[m.order[0]])
}
func (m memory) Columns() []string                  { return m.order }
func (m memory) Numeric(c string) ([]float64, bool) { v, ok := m.numbers[c]; return v, ok }
func (m memory) Text(c string) ([]string, bool)     { v, ok := m.texts[c]; return v, ok }

var nan = math.NaN()

func small() memory {
	return memory{
		order:   []string{"ratio", "self", "kind", "race", "late", "deny"},
		numbers: map[string][]float64{"ratio": {1, 2, 3, 6}, "late": {0, 1, 0, 1}},
		texts: map[string][]string{"self": {"no", "yes", "no", "yes"}, "kind": {"b", "a", "c", "b"},
			"race": {"x", "y", "x", "y"}, "deny": {"no", "yes", "no", "yes"}},
	}
}

const smallYAML = `
name: lending
version: 2
label: {column: deny, positive: "yes", negative: "no"}
inputs:
  - {column: ratio, encoding: standardise}
  - {column: self, encoding: mapping, mapping: {"no": 0, "yes": 1}}
  - {column: kind, encoding: one_hot, drop_first: true}
protected: [race]
excluded:
  - {column: late, reason: known only after the decision}
`

func parsed(t *testing.T, text string) *Definition {
	t.Helper()
	d, err := ParseDefinition([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func fitted(t *testing.T, text string, table Table) *Fitted {
	t.Helper()
	f, err := parsed(t, text).Fit(table)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFitAndTransform(t *testing.T) {
	f := fitted(t, smallYAML, small())
	if got := f.FeatureNames(); !slices.Equal(got, []string{"ratio", "self", "kind=b", "kind=c"}) {
		t.Fatalf("features %v", got)
	}
	// ratio: mean 3, variance (4+1+0+9)/3.
	if c := f.Columns[0]; c.Mean != 3 || math.Abs(c.SD-math.Sqrt(14./3)) > 1e-15 || c.Min != 1 || c.Max != 6 {
		t.Errorf("ratio learned as %+v", c)
	}
	later := small()
	later.numbers["ratio"] = []float64{3, 0, .1, 100}
	rows, err := f.Transform(later)
	if err != nil {
		t.Fatal(err)
	}
	sd := math.Sqrt(14. / 3)
	for i, want := range [][]float64{{0, 0, 1, 0}, {-3 / sd, 1, 0, 0}, {-2.9 / sd, 0, 0, 1}, {97 / sd, 1, 1, 0}} {
		for j := range want {
			if math.Abs(rows[i][j]-want[j]) > 1e-5 {
				t.Errorf("row %d: %v, want %v", i, rows[i], want)
				break
			}
			if float64(float32(rows[i][j])) != rows[i][j] {
				t.Errorf("row %d, feature %d: %v is not a 32-bit number", i, j, rows[i][j])
			}
		}
	}
	// The documented arithmetic, step by step, bit for bit.
	d := float32(.1) - f.Columns[0].Offset
	if want := float64(float32(d * f.Columns[0].Scale)); rows[2][0] != want {
		t.Errorf("standardised .1 is %v, 32-bit arithmetic gives %v", rows[2][0], want)
	}
	if y, err := f.Labels(later); err != nil || !slices.Equal(y, []float64{0, 1, 0, 1}) {
		t.Errorf("labels %v %v", y, err)
	}
}

func TestFittedIsDeterministicAndReadsBack(t *testing.T) {
	f := fitted(t, smallYAML, small())
	for range 20 {
		if again := fitted(t, smallYAML, small()); again.Digest() != f.Digest() || string(again.JSON()) != string(f.JSON()) {
			t.Fatal("fitting twice gave another digest")
		}
	}
	other := small()
	other.numbers["ratio"][0] = 1.5
	if fitted(t, smallYAML, other).Digest() == f.Digest() {
		t.Error("other training rows gave the same digest")
	}
	if fitted(t, strings.Replace(smallYAML, "version: 2", "version: 3", 1), small()).Digest() == f.Digest() {
		t.Error("another version of the definition gave the same digest")
	}
	back, err := ParseFitted(f.JSON())
	if err != nil {
		t.Fatal(err)
	}
	want, _ := f.Transform(small())
	got, err := back.Transform(small())
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("row %d: %v after reading back, %v before", i, got[i], want[i])
		}
	}
	for _, bad := range []string{`{}x`, `{"name":"a"}`, strings.Replace(string(f.JSON()), `"kind":"one_hot"`, `"kind":"two_hot"`, 1),
		strings.Replace(string(f.JSON()), `"values":[0,1]`, `"values":[0]`, 1)} {
		if _, err := ParseFitted([]byte(bad)); err == nil {
			t.Errorf("accepted %.60s…", bad)
		}
	}
}

func TestMissingAndUnseen(t *testing.T) {
	table := small()
	table.numbers["ratio"] = []float64{1, nan, 3, 5}
	if _, err := parsed(t, smallYAML).Fit(table); err == nil || !strings.Contains(err.Error(), `column "ratio": row 2: missing value`) {
		t.Errorf("missing number: %v", err)
	}
	mean := fitted(t, strings.Replace(smallYAML, "encoding: standardise", "encoding: standardise, missing: mean", 1), table)
	rows, err := mean.Transform(table)
	if err != nil || rows[1][0] != 0 {
		t.Errorf("the mean standardises to %v: %v", rows, err)
	}
	keep := fitted(t, strings.Replace(smallYAML, "encoding: standardise", "encoding: identity, missing: keep", 1), table)
	if rows, err := keep.Transform(table); err != nil || !math.IsNaN(rows[1][0]) || rows[3][0] != 5 {
		t.Errorf("kept as %v: %v", rows, err)
	}
	// Refusing holds for later rows too.
	strict := fitted(t, smallYAML, small())
	for _, c := range []struct {
		change func(m memory)
		want   string
	}{
		{func(m memory) { m.numbers["ratio"][2] = nan }, `row 3, column "ratio": missing value`},
		{func(m memory) { m.numbers["ratio"][2] = 1e300 }, "does not fit a 32-bit number"},
		{func(m memory) { m.texts["self"][1] = "maybe" }, `row 2, column "self": "maybe" is not in the mapping`},
		{func(m memory) { m.texts["self"][1] = "" }, "a missing value is not in the mapping"},
		{func(m memory) { m.texts["kind"][0] = "z" }, `row 1, column "kind": "z" is not a known category`},
		{func(m memory) { delete(m.numbers, "ratio") }, `column "ratio": the data has no such numeric column`},
		{func(m memory) { delete(m.texts, "kind") }, `column "kind": the data has no such categorical column`},
	} {
		m := small()
		c.change(m)
		if _, err := strict.Transform(m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	lenient := fitted(t, strings.NewReplacer("drop_first: true", "unseen: zero", `"yes": 1}`, `"yes": 1}, default: 0.25`).Replace(smallYAML), small())
	odd := small()
	odd.texts["kind"][0], odd.texts["self"][0] = "z", "maybe"
	rows, err = lenient.Transform(odd)
	if err != nil || !slices.Equal(rows[0][1:], []float64{.25, 0, 0, 0}) {
		t.Errorf("unseen categories become %v: %v", rows, err)
	}
	if specs := lenient.Specs(); specs[1].Known != nil || specs[2].Known != nil || *specs[1].Default != .25 {
		t.Errorf("a lenient column declares known categories: %+v", specs)
	}
	if specs := strict.Specs(); !slices.Equal(specs[1].Known, []string{"no", "yes"}) || !slices.Equal(specs[2].Known, []string{"a", "b", "c"}) || !slices.Equal(specs[2].Keys, []string{"b", "c"}) {
		t.Errorf("specs %+v", specs)
	}
}

func TestProhibited(t *testing.T) {
	for _, c := range []struct{ inputs, protected, want []string }{
		{[]string{"pirat", "lvrat"}, []string{"afam", "single"}, nil},
		{[]string{"pirat", "single", "afam"}, []string{"afam", "single"}, []string{"afam", "single"}},
		{[]string{"AFAM", " single "}, []string{"afam", "Single"}, []string{" single ", "AFAM"}},
		{[]string{"race=white", "race=black", "racecourse"}, []string{"race"}, []string{"race=black", "race=white"}},
		{[]string{"a=b"}, []string{"a=b"}, []string{"a=b"}},
		{[]string{"afam", "afam"}, []string{"afam"}, []string{"afam"}},
	} {
		if got := Prohibited(c.inputs, c.protected); !slices.Equal(got, c.want) {
			t.Errorf("Prohibited(%q, %q) = %q, want %q", c.inputs, c.protected, got, c.want)
		}
	}
	d := parsed(t, smallYAML)
	if got := d.Prohibited(); len(got) != 0 {
		t.Errorf("prohibited %v", got)
	}
	// A protected input is a fact for the gate, not an error here: an analysis may need it.
	d = parsed(t, strings.Replace(smallYAML, "protected", "  - {column: race, encoding: one_hot}\nprotected", 1))
	if got := d.Prohibited(); !slices.Equal(got, []string{"race"}) {
		t.Errorf("prohibited %v, want race", got)
	}
}

func TestDefinitionRefuses(t *testing.T) {
	replace := func(pairs ...string) string {
		out := strings.NewReplacer(pairs...).Replace(smallYAML)
		if out == smallYAML {
			t.Fatalf("nothing to replace in %q", pairs)
		}
		return out
	}
	for _, c := range []struct{ text, want string }{
		{replace("name: lending", "name: ''"), "name is empty"},
		{replace("version: 2", "version: 0"), "count from 1"},
		{replace(`negative: "no"`, `negative: "yes"`), "two different values"},
		{replace("encoding: standardise", "encoding: log"), `encoding "log" is unknown`},
		{replace("column: self", "column: ratio"), `column "ratio" is input and input`},
		{replace("protected: [race]", "protected: [deny]"), `column "deny" is label and protected`},
		{replace("protected: [race]", "protected: [late]"), `column "late" is protected and excluded`},
		{replace("known only after the decision", "' '"), "has no reason"},
		{replace("encoding: standardise", "encoding: standardise, mapping: {a: 1}"), "mapping does not apply"},
		{replace("encoding: standardise", "encoding: standardise, missing: zero"), `missing "zero" is unknown`},
		{replace("drop_first: true", "missing: mean"), "missing does not apply to encoding one_hot"},
		{replace("drop_first: true", "unseen: maybe"), `unseen "maybe" is unknown`},
		{replace("drop_first: true", "categories: [a, a]"), "listed twice"},
		{replace(`mapping: {"no": 0, "yes": 1}`, "default: 1"), "mapping is empty"},
		{replace(`"yes": 1}`, `"yes": .inf}`), "not a finite 32-bit number"},
		{replace(`"yes": 1}`, `"yes": 1e39}`), "not a finite 32-bit number"},
		{replace(`"yes": 1}`, `"yes": 1, "yes": 2}`), "already defined"},
		{replace("version: 2", "version: 2\nowner: me"), "owner"},
		{smallYAML + "---\nname: b\n", "more than one document"},
		{"name: a\nversion: 1\nlabel: {column: y, positive: a, negative: b}", "inputs is empty"},
	} {
		if _, err := ParseDefinition([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestFitRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(m *memory)
		want   string
	}{
		{func(m *memory) { m.order = append(m.order, "extra") }, `column "extra" of the data is not named`},
		{func(m *memory) { m.order = slices.DeleteFunc(m.order, func(s string) bool { return s == "race" }) }, `the data has no column "race"`},
		{func(m *memory) { m.texts["ratio"] = m.texts["kind"]; delete(m.numbers, "ratio") }, `column "ratio": encoding standardise needs a numeric column`},
		{func(m *memory) { m.numbers["kind"] = m.numbers["late"]; delete(m.texts, "kind") }, "encoding one_hot needs a categorical column"},
		{func(m *memory) { m.numbers["ratio"] = []float64{.1, .1, .1, .1} }, "cannot be standardised"},
		{func(m *memory) { m.numbers["ratio"] = []float64{1, 2, 3, math.Inf(1)} }, "does not fit a 32-bit number"},
		{func(m *memory) { m.texts["kind"] = []string{"a", "a", "a", "a"} }, "a single category"},
		{func(m *memory) { m.texts["kind"] = []string{"a", "b", "", "a"} }, "row 3: missing value"},
		{func(m *memory) { m.texts["deny"] = []string{"no", "yes", "perhaps", "no"} }, `row 3, label "deny": "perhaps" is neither "yes" nor "no"`},
		{func(m *memory) { m.texts["deny"] = []string{"no", "yes", "", "no"} }, "a missing value is neither"},
		{func(m *memory) { m.texts["self"][2] = "sometimes" }, `row 3, column "self": "sometimes" is not in the mapping`},
	} {
		m := small()
		c.change(&m)
		if _, err := parsed(t, smallYAML).Fit(m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// The committed lending data through a governed definition: race and marital status carried, never read.
func TestLendingFeatures(t *testing.T) {
	file, err := os.Open("../../examples/lending/hmda_boston_1990.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	table := memory{order: records[0], numbers: make(map[string][]float64), texts: make(map[string][]string)}
	d := &Definition{Name: "lending", Version: 1, Label: Label{"deny", "yes", "no"}, Protected: []string{"afam", "single"}}
	for j, name := range records[0] {
		in := Input{Column: name, Encoding: Standardise}
		for _, r := range records[1:] {
			if v, err := strconv.ParseFloat(r[j], 64); err == nil {
				table.numbers[name] = append(table.numbers[name], v)
			} else {
				table.texts[name] = append(table.texts[name], r[j])
				in = Input{Column: name, Encoding: Mapping, Mapping: map[string]float64{"no": 0, "yes": 1}}
			}
		}
		if name != "deny" && name != "afam" && name != "single" {
			d.Inputs = append(d.Inputs, in)
		}
	}
	f, err := d.Fit(table)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := f.Transform(table)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Prohibited()) != 0 || len(f.FeatureNames()) != 11 || len(rows) != 2380 {
		t.Fatalf("%d features, %d rows, prohibited %v", len(f.FeatureNames()), len(rows), d.Prohibited())
	}
	if math.Abs(f.Columns[0].Mean-.3308136) > 5e-8 {
		t.Errorf("mean pirat %.8f, published .3308136", f.Columns[0].Mean)
	}
	for j, c := range f.Columns {
		sum, squares := 0.0, 0.0
		for _, row := range rows {
			sum += row[j]
			squares += row[j] * row[j]
		}
		if c.Kind == "numeric" && (math.Abs(sum/2380) > 1e-5 || math.Abs(squares/2379-1) > 1e-5) {
			t.Errorf("%s: mean %v, variance %v after standardising", c.Column, sum/2380, squares/2379)
		}
	}
	y, err := f.Labels(table)
	if err != nil {
		t.Fatal(err)
	}
	denied := 0.0
	for _, v := range y {
		denied += v
	}
	if denied != 285 {
		t.Errorf("%v denied, published 285", denied)
	}
}

func FuzzParseDefinition(f *testing.F) {
	f.Add([]byte(smallYAML))
	f.Add([]byte(`{"name":"a","version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDefinition(data)
		if err != nil {
			return
		}
		d.Digest()
		fit, err := d.Fit(small())
		if err != nil {
			return
		}
		if _, err := fit.Transform(small()); err != nil {
			t.Fatalf("the training rows themselves are refused: %v", err)
		}
		if _, err := ParseFitted(fit.JSON()); err != nil {
			t.Fatal(err)
		}
	})
}
