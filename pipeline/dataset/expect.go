package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Kind names what an expectation checks.
type Kind string

// The kinds of expectation and the fields that each of them reads.
const (
	NotNull              Kind = "not_null"                // column
	InSet                Kind = "in_set"                  // column (categorical), values; missing values pass
	Between              Kind = "between"                 // column (numeric), min and/or max; missing values pass
	UniqueColumns        Kind = "unique_columns"          // columns: no two rows agree in all of them
	RowCountBetween      Kind = "row_count_between"       // min and/or max
	MeanBetween          Kind = "mean_between"            // column (numeric), min and/or max
	CategoryShareAtLeast Kind = "category_share_at_least" // column (categorical), category, min share of all rows
	MissingShareAtMost   Kind = "missing_share_at_most"   // column, max share of all rows
)

// Severity says what a failure means: an error fails the report, a warning does not.
type Severity string

// The severities; an expectation that names none is an error.
const (
	SeverityError Severity = "error"
	SeverityWarn  Severity = "warn"
)

const maxExpectations = 1000

// Expectation is one declared check of a table. Bounds are inclusive.
type Expectation struct {
	Name     string   `json:"name" yaml:"name"` // unique in its list
	Kind     Kind     `json:"kind" yaml:"kind"`
	Column   string   `json:"column,omitempty" yaml:"column,omitempty"`
	Columns  []string `json:"columns,omitempty" yaml:"columns,omitempty"`
	Values   []string `json:"values,omitempty" yaml:"values,omitempty"`
	Category string   `json:"category,omitempty" yaml:"category,omitempty"`
	Min      *float64 `json:"min,omitempty" yaml:"min,omitempty"`
	Max      *float64 `json:"max,omitempty" yaml:"max,omitempty"`
	Severity Severity `json:"severity,omitempty" yaml:"severity,omitempty"`
}

// Suite is a list of expectations as a file declares them.
type Suite struct {
	Expectations []Expectation `json:"expectations" yaml:"expectations"`
}

// ParseSuite reads a suite from YAML or JSON. Unknown and repeated keys are refused.
func ParseSuite(data []byte) (*Suite, error) {
	if len(data) > maxSchemaBytes {
		return nil, fmt.Errorf("expectations: %d bytes exceed the limit of %d", len(data), maxSchemaBytes)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var s Suite
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("expectations: %w", err)
	}
	if err := dec.Decode(new(Suite)); !errors.Is(err, io.EOF) {
		return nil, errors.New("expectations: the file holds more than one document; keep one")
	}
	return &s, s.validateShape()
}

// Digest is the hex SHA-256 of the suite's JSON form.
func (s *Suite) Digest() string { return jsonDigest(s) }

// Check is the outcome of one expectation. Observed and Expected are words for people; neither quotes a cell.
type Check struct {
	Name     string   `json:"name"`
	Kind     Kind     `json:"kind"`
	Passed   bool     `json:"passed"`
	Severity Severity `json:"severity"`
	Observed string   `json:"observed"`
	Expected string   `json:"expected"`
	Failing  int      `json:"failing"`             // rows that break a row-wise expectation
	FirstRow int      `json:"first_row,omitempty"` // the first of them, counted from 1
}

// Report is the outcome of a suite on a table.
type Report struct {
	Passed      bool    `json:"passed"` // no expectation of severity error failed
	Rows        int     `json:"rows"`
	FileDigest  string  `json:"file_digest,omitempty"`
	RowsDigest  string  `json:"rows_digest"`
	SuiteDigest string  `json:"suite_digest"`
	Errors      int     `json:"errors"`
	Warnings    int     `json:"warnings"`
	Checks      []Check `json:"checks"`
	// LabelRates are what is recorded about protected groups; the caller adds them (Table.LabelRates).
	LabelRates []LabelRate `json:"label_rates,omitempty"`
}

// Validate checks the table against every expectation of the suite. The error is about the suite (an unknown column, a
// bound that the kind needs); broken expectations are in the report.
func (t *Table) Validate(s *Suite) (*Report, error) {
	if err := s.validateShape(); err != nil {
		return nil, err
	}
	for _, e := range s.Expectations {
		if err := e.validateColumns(t); err != nil {
			return nil, fmt.Errorf("expectation %q: %w", e.Name, err)
		}
	}
	r := &Report{Passed: true, Rows: t.rows, FileDigest: t.fileDigest, RowsDigest: t.RowsDigest(), SuiteDigest: s.Digest()}
	for _, e := range s.Expectations {
		c := t.check(e)
		c.Name, c.Kind, c.Severity = e.Name, e.Kind, SeverityError
		if e.Severity == SeverityWarn {
			c.Severity = SeverityWarn
		}
		switch {
		case c.Passed:
		case c.Severity == SeverityWarn:
			r.Warnings++
		default:
			r.Errors++
			r.Passed = false
		}
		r.Checks = append(r.Checks, c)
	}
	return r, nil
}

func (s *Suite) validateShape() error {
	if s == nil || len(s.Expectations) == 0 {
		return errors.New("expectations: the list is empty; declare at least one")
	}
	if len(s.Expectations) > maxExpectations {
		return fmt.Errorf("expectations: %d exceed the limit of %d", len(s.Expectations), maxExpectations)
	}
	seen := make(map[string]bool)
	for i, e := range s.Expectations {
		if err := checkName(e.Name); err != nil {
			return fmt.Errorf("expectations[%d].name: %w", i, err)
		}
		if seen[e.Name] {
			return fmt.Errorf("expectation %q is declared twice; rename one", e.Name)
		}
		seen[e.Name] = true
		if err := e.validateShape(); err != nil {
			return fmt.Errorf("expectation %q: %w", e.Name, err)
		}
	}
	return nil
}

func (e *Expectation) validateShape() error {
	if e.Severity != "" && e.Severity != SeverityError && e.Severity != SeverityWarn {
		return fmt.Errorf("severity %q is unknown; use error or warn", e.Severity)
	}
	for _, bound := range []*float64{e.Min, e.Max} {
		if bound != nil && (math.IsNaN(*bound) || math.IsInf(*bound, 0)) {
			return errors.New("min and max must be finite numbers")
		}
	}
	if e.Min != nil && e.Max != nil && *e.Min > *e.Max {
		return fmt.Errorf("min %s is above max %s", formatNumber(*e.Min), formatNumber(*e.Max))
	}
	var uses struct{ column, columns, values, category, min, max bool }
	switch e.Kind {
	case NotNull:
		uses.column = true
	case InSet:
		uses.column, uses.values = true, true
	case Between, MeanBetween:
		uses.column, uses.min, uses.max = true, true, true
	case UniqueColumns:
		uses.columns = true
	case RowCountBetween:
		uses.min, uses.max = true, true
	case CategoryShareAtLeast:
		uses.column, uses.category, uses.min = true, true, true
	case MissingShareAtMost:
		uses.column, uses.max = true, true
	default:
		return fmt.Errorf("kind %q is unknown", e.Kind)
	}
	for _, field := range []struct {
		name      string
		used, set bool
	}{
		{"column", uses.column, e.Column != ""},
		{"columns", uses.columns, len(e.Columns) > 0},
		{"values", uses.values, len(e.Values) > 0},
		{"category", uses.category, e.Category != ""},
		{"min", uses.min, e.Min != nil},
		{"max", uses.max, e.Max != nil},
	} {
		if field.set && !field.used {
			return fmt.Errorf("%s does not apply to kind %s; remove it", field.name, e.Kind)
		}
		eitherBound := uses.min && uses.max && (field.name == "min" || field.name == "max")
		if field.used && !field.set && !eitherBound {
			return fmt.Errorf("%s is missing; kind %s needs it", field.name, e.Kind)
		}
	}
	if uses.min && uses.max && e.Min == nil && e.Max == nil {
		return fmt.Errorf("min and max are both missing; kind %s needs at least one", e.Kind)
	}
	return nil
}

func (e *Expectation) validateColumns(t *Table) error {
	columns := e.Columns
	if e.Column != "" {
		columns = []string{e.Column}
	}
	seen := make(map[string]bool)
	for _, name := range columns {
		f, ok := t.schema.Field(name)
		if !ok {
			return fmt.Errorf("there is no column %q", clip(name))
		}
		if seen[name] {
			return fmt.Errorf("column %q is listed twice", name)
		}
		seen[name] = true
		switch e.Kind {
		case Between, MeanBetween:
			if f.Type != Numeric {
				return fmt.Errorf("column %q is categorical; kind %s needs a numeric one", name, e.Kind)
			}
		case InSet, CategoryShareAtLeast:
			if f.Type != Categorical {
				return fmt.Errorf("column %q is numeric; kind %s needs a categorical one", name, e.Kind)
			}
		}
	}
	return nil
}

// check needs an expectation that validateShape and validateColumns accept.
func (t *Table) check(e Expectation) Check {
	switch e.Kind {
	case NotNull:
		return t.rowwise("no missing value", "missing", func(i int) bool { return !t.missing(e.Column, i) })
	case InSet:
		col, _ := t.Text(e.Column)
		expected := fmt.Sprintf("one of %d values: %s", len(e.Values), clip(strings.Join(e.Values, ", ")))
		return t.rowwise(expected, "another value", func(i int) bool { return col[i] == "" || slices.Contains(e.Values, col[i]) })
	case Between:
		col, _ := t.Numeric(e.Column)
		return t.rowwise("every value "+e.bounds(), "outside", func(i int) bool { return math.IsNaN(col[i]) || e.within(col[i]) })
	case UniqueColumns:
		seen := make(map[string]bool, t.rows)
		return t.rowwise("no two rows agree in "+strings.Join(e.Columns, ", "), "repeated", func(i int) bool {
			key := t.rowKey(e.Columns, i)
			if seen[key] {
				return false
			}
			seen[key] = true
			return true
		})
	case RowCountBetween:
		return Check{Passed: e.within(float64(t.rows)), Observed: fmt.Sprintf("%d rows", t.rows), Expected: "number of rows " + e.bounds()}
	case MeanBetween:
		col, _ := t.Numeric(e.Column)
		values := present(col)
		if len(values) == 0 {
			return Check{Observed: "no value", Expected: "mean " + e.bounds()}
		}
		slices.Sort(values) // the mean must not depend on the order of rows
		m := mean(values)
		return Check{Passed: e.within(m), Observed: "mean " + formatNumber(m), Expected: "mean " + e.bounds()}
	case CategoryShareAtLeast:
		col, _ := t.Text(e.Column)
		return t.share(e, "share", func(i int) bool { return col[i] == e.Category })
	default: // MissingShareAtMost
		return t.share(e, "missing share", func(i int) bool { return t.missing(e.Column, i) })
	}
}

func (t *Table) rowwise(expected, what string, ok func(i int) bool) Check {
	c := Check{Passed: true, Expected: expected}
	for i := range t.rows {
		if ok(i) {
			continue
		}
		if c.Failing == 0 {
			c.FirstRow = i + 1
		}
		c.Failing++
		c.Passed = false
	}
	c.Observed = fmt.Sprintf("%d of %d rows %s", c.Failing, t.rows, what)
	return c
}

func (t *Table) share(e Expectation, what string, counts func(i int) bool) Check {
	n := 0
	for i := range t.rows {
		if counts(i) {
			n++
		}
	}
	share := 0.0
	if t.rows > 0 {
		share = float64(n) / float64(t.rows)
	}
	return Check{Passed: e.within(share), Observed: fmt.Sprintf("%s %s (%d of %d rows)", what, formatNumber(share), n, t.rows),
		Expected: what + " " + e.bounds()}
}

func (t *Table) missing(column string, i int) bool {
	j := t.index[column]
	if t.schema.Fields[j].Type == Numeric {
		return math.IsNaN(t.numbers[j][i])
	}
	return t.texts[j][i] == ""
}

// rowKey is injective: numbers take 8 bytes, texts carry their length.
func (t *Table) rowKey(columns []string, i int) string {
	var key []byte
	for _, name := range columns {
		j := t.index[name]
		if t.schema.Fields[j].Type == Numeric {
			v := t.numbers[j][i]
			if math.IsNaN(v) {
				v = math.Inf(1) // one bit pattern for missing; tables hold no infinities
			}
			key = binary.BigEndian.AppendUint64(key, math.Float64bits(v+0)) // −0 + 0 is 0
			continue
		}
		key = binary.AppendUvarint(key, uint64(len(t.texts[j][i])))
		key = append(key, t.texts[j][i]...)
	}
	return string(key)
}

func (e *Expectation) within(v float64) bool {
	return (e.Min == nil || v >= *e.Min) && (e.Max == nil || v <= *e.Max)
}

func (e *Expectation) bounds() string {
	switch {
	case e.Max == nil:
		return "at least " + formatNumber(*e.Min)
	case e.Min == nil:
		return "at most " + formatNumber(*e.Max)
	}
	return "from " + formatNumber(*e.Min) + " to " + formatNumber(*e.Max)
}
