package feature

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Table is what Fit and Transform read. Numeric gives NaN and Text gives "" for a missing value.
// dataset.Table satisfies it.
type Table interface {
	Rows() int
	Columns() []string
	Numeric(column string) ([]float64, bool)
	Text(column string) ([]string, bool)
}

// Column is one input as learned: plain data, from which an exporter builds its graph. Kind is "numeric" (feature =
// (x − Offset)·Scale, in 32-bit arithmetic), "mapping" (feature = Values[k] for the category Keys[k]) or "one_hot" (one
// feature per entry of Keys, 1 where the cell equals it).
type Column struct {
	Column   string    `json:"column"`
	Kind     string    `json:"kind"`
	Features []string  `json:"features"`          // names of the features made from it, in order
	Offset   float32   `json:"offset"`            // numeric
	Scale    float32   `json:"scale"`             // numeric
	Impute   *float32  `json:"impute,omitempty"`  // numeric: replaces a missing value
	Keys     []string  `json:"keys,omitempty"`    // mapping, one_hot
	Values   []float32 `json:"values,omitempty"`  // mapping
	Default  *float32  `json:"default,omitempty"` // mapping: any other category; nil refuses it
	Known    []string  `json:"known,omitempty"`   // one_hot: every declared or learned category, with the dropped one
	Refuses  bool      `json:"refuses,omitempty"` // Transform refuses missing numbers, or categories that are not known
	Mean     float64   `json:"mean"`              // of the present training values (numeric)
	SD       float64   `json:"sd"`                // numeric; divides by n−1
	Min      float64   `json:"min"`               // smallest and largest training value (numeric)
	Max      float64   `json:"max"`
}

// Fitted is a feature set with everything learned that Transform needs.
type Fitted struct {
	Name       string   `json:"name"`
	Version    int      `json:"version"`
	Definition string   `json:"definition"` // digest of the Definition
	Label      Label    `json:"label"`
	Protected  []string `json:"protected,omitempty"`
	Rows       int      `json:"rows"` // training rows
	Columns    []Column `json:"columns"`
}

// Fit learns from training rows. It fails on a column that the definition does not name, that the table lacks, or whose
// type does not suit its encoding, and on a standardised column without spread.
func (d *Definition) Fit(train Table) (*Fitted, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if err := d.checkColumns(train); err != nil {
		return nil, err
	}
	if train.Rows() == 0 {
		return nil, errors.New("feature set: there are no training rows")
	}
	f := &Fitted{Name: d.Name, Version: d.Version, Definition: d.Digest(), Label: d.Label, Protected: d.Protected, Rows: train.Rows()}
	for _, in := range d.Inputs {
		var col Column
		var err error
		if in.Encoding == Standardise || in.Encoding == Identity {
			values, ok := train.Numeric(in.Column)
			if !ok {
				return nil, wrongType(in.Column, in.Encoding, "numeric")
			}
			col, err = fitNumeric(in, values)
		} else {
			values, ok := train.Text(in.Column)
			if !ok {
				return nil, wrongType(in.Column, in.Encoding, "categorical")
			}
			col, err = fitText(in, values)
		}
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", in.Column, err)
		}
		f.Columns = append(f.Columns, col)
	}
	if _, err := f.Labels(train); err != nil {
		return nil, err
	}
	// A mapping that does not cover the training rows is found here, not at the first later row.
	if _, err := f.Transform(train); err != nil {
		return nil, err
	}
	return f, nil
}

func wrongType(column string, e Encoding, want string) error {
	return fmt.Errorf("column %q: encoding %s needs a %s column; declare its type or change the encoding", column, e, want)
}

// checkColumns compares the definition with the table both ways, so that no column's use is left unsaid.
func (d *Definition) checkColumns(t Table) error {
	named := map[string]bool{d.Label.Column: true}
	order := []string{d.Label.Column}
	for _, c := range slices.Concat(d.InputColumns(), d.Protected) {
		named[c] = true
		order = append(order, c)
	}
	for _, e := range d.Excluded {
		named[e.Column] = true
		order = append(order, e.Column)
	}
	present := t.Columns()
	for _, c := range order {
		if !slices.Contains(present, c) {
			return fmt.Errorf("feature set: the data has no column %q; correct the name or remove it", c)
		}
	}
	for _, c := range present {
		if !named[c] {
			return fmt.Errorf("feature set: column %q of the data is not named; list it as input, protected or excluded", c)
		}
	}
	return nil
}

// fitNumeric sums in row order with explicit rounding, so that every processor learns the same bits.
func fitNumeric(in Input, values []float64) (Column, error) {
	col := Column{Column: in.Column, Kind: "numeric", Features: []string{in.Column}, Scale: 1, Min: math.Inf(1), Max: math.Inf(-1)}
	n, sum := 0, 0.0
	for i, v := range values {
		if math.IsNaN(v) {
			if in.Missing == "" || in.Missing == MissingRefuse {
				return col, fmt.Errorf("row %d: missing value; fill it or set missing: mean or keep", i+1)
			}
			continue
		}
		if !finite32(v) {
			return col, fmt.Errorf("row %d: %v does not fit a 32-bit number", i+1, v)
		}
		n++
		sum += v
		col.Min, col.Max = math.Min(col.Min, v), math.Max(col.Max, v)
	}
	if n == 0 {
		return col, errors.New("every training value is missing; exclude the column")
	}
	col.Mean = sum / float64(n)
	squares := 0.0
	for _, v := range values {
		if !math.IsNaN(v) {
			d := v - col.Mean
			squares += float64(d * d)
		}
	}
	if n > 1 {
		col.SD = math.Sqrt(squares / float64(n-1))
	}
	if in.Encoding == Standardise {
		if col.Min == col.Max {
			return col, fmt.Errorf("every training value is %v, so it cannot be standardised; exclude the column", col.Min)
		}
		col.Offset, col.Scale = float32(col.Mean), float32(1/col.SD)
		if !finite32(1/col.SD) || col.Scale == 0 {
			return col, fmt.Errorf("the spread %v is outside 32-bit range; change the unit", col.SD)
		}
	}
	switch in.Missing {
	case MissingMean:
		impute := float32(col.Mean)
		col.Impute = &impute
	case "", MissingRefuse:
		col.Refuses = true
	}
	return col, nil
}

func fitText(in Input, values []string) (Column, error) {
	if in.Encoding == Mapping {
		col := Column{Column: in.Column, Kind: "mapping", Features: []string{in.Column}, Scale: 1, Refuses: in.Default == nil}
		for _, key := range sortedKeys(in.Mapping) {
			col.Keys = append(col.Keys, key)
			col.Values = append(col.Values, float32(in.Mapping[key]))
		}
		if in.Default != nil {
			v := float32(*in.Default)
			col.Default = &v
		}
		return col, nil
	}
	col := Column{Column: in.Column, Kind: "one_hot", Scale: 1, Known: in.Categories, Refuses: in.Unseen != UnseenZero}
	if len(col.Known) == 0 {
		seen := make(map[string]bool)
		for i, v := range values {
			if v == "" {
				return col, fmt.Errorf("row %d: missing value; fill it, or declare categories that include \"\"", i+1)
			}
			seen[v] = true
		}
		if len(seen) > maxCategories {
			return col, fmt.Errorf("more than %d categories; group them first", maxCategories)
		}
		for v := range seen {
			col.Known = append(col.Known, v)
		}
		slices.Sort(col.Known)
	}
	col.Keys = col.Known
	if in.DropFirst {
		col.Keys = col.Known[1:]
	}
	if len(col.Keys) == 0 {
		return col, errors.New("a single category makes no feature; exclude the column")
	}
	for _, key := range col.Keys {
		col.Features = append(col.Features, in.Column+"="+key)
	}
	return col, nil
}

// FeatureNames returns the names of the model's features, in the order of Transform's columns.
func (f *Fitted) FeatureNames() []string {
	var names []string
	for _, c := range f.Columns {
		names = append(names, c.Features...)
	}
	return names
}

// JSON is the deterministic JSON form: same training rows and definition, same bytes.
func (f *Fitted) JSON() []byte {
	data, err := json.Marshal(f)
	if err != nil {
		panic("feature: fitted set without a JSON form: " + err.Error()) // holds finite numbers only
	}
	return data
}

// Digest is the hex SHA-256 of JSON.
func (f *Fitted) Digest() string { return jsonDigest(f) }

// ParseFitted reads the form that JSON writes.
func ParseFitted(data []byte) (*Fitted, error) {
	if len(data) > maxDefinitionBytes {
		return nil, fmt.Errorf("fitted feature set: %d bytes exceed the limit of %d", len(data), maxDefinitionBytes)
	}
	var f Fitted
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("fitted feature set: %w", err)
	}
	if string(f.JSON()) != string(data) {
		return nil, errors.New("fitted feature set: the bytes are not in the form that this version writes")
	}
	for _, c := range f.Columns {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("fitted feature set: column %q: %w", c.Column, err)
		}
	}
	return &f, nil
}

func (c *Column) check() error {
	features := 1
	switch c.Kind {
	case "numeric":
		if len(c.Keys)+len(c.Values) > 0 {
			return errors.New("a numeric column has keys")
		}
	case "mapping":
		if len(c.Keys) != len(c.Values) {
			return fmt.Errorf("%d keys for %d values", len(c.Keys), len(c.Values))
		}
	case "one_hot":
		features = len(c.Keys)
	default:
		return fmt.Errorf("kind %q is unknown", c.Kind)
	}
	if len(c.Features) != features {
		return fmt.Errorf("%d feature names for %d features", len(c.Features), features)
	}
	return nil
}

// Spec is what an exporter needs to know of one column: its name and kind as in Column, and the arithmetic to repeat.
// Known lists the categories that Transform accepts (nil for numbers, or when any is accepted). It has the same fields
// as train.Input, so that the wiring converts one into the other.
type Spec struct {
	Column   string
	Kind     string
	Features []string
	Offset   float32
	Scale    float32
	Impute   *float32
	Keys     []string
	Values   []float32
	Default  *float32
	Known    []string
}

// Specs returns the columns as plain data, in order.
func (f *Fitted) Specs() []Spec {
	specs := make([]Spec, len(f.Columns))
	for i, c := range f.Columns {
		s := Spec{Column: c.Column, Kind: c.Kind, Features: c.Features, Offset: c.Offset, Scale: c.Scale, Impute: c.Impute,
			Keys: c.Keys, Values: c.Values, Default: c.Default}
		if c.Refuses && c.Kind == "mapping" {
			s.Known = c.Keys
		} else if c.Refuses && c.Kind == "one_hot" {
			s.Known = c.Known
		}
		specs[i] = s
	}
	return specs
}
