package feature

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Transform gives one row of features per row of the table; FeatureNames names them. The rows share one backing array.
//
// Invariant: every value is what the exported graph computes, in 32-bit arithmetic, then widened. So a tree's threshold
// splits the rows in training exactly as in serving.
func (f *Fitted) Transform(t Table) ([][]float64, error) {
	width := len(f.FeatureNames())
	backing := make([]float64, t.Rows()*width)
	rows := make([][]float64, t.Rows())
	for i := range rows {
		rows[i] = backing[i*width : (i+1)*width : (i+1)*width]
	}
	at := 0
	for k := range f.Columns {
		c := &f.Columns[k]
		row, err := c.transform(t, rows, at)
		if err != nil {
			if row >= 0 {
				return nil, fmt.Errorf("row %d, column %q: %w", row+1, c.Column, err)
			}
			return nil, fmt.Errorf("column %q: %w", c.Column, err)
		}
		at += len(c.Features)
	}
	return rows, nil
}

// transform writes this column's features from position at; on error it returns the offending row, or −1.
func (c *Column) transform(t Table, rows [][]float64, at int) (int, error) {
	if c.Kind == "numeric" {
		values, ok := t.Numeric(c.Column)
		if !ok {
			return -1, errors.New("the data has no such numeric column")
		}
		for i, v := range values {
			x, err := c.number(v)
			if err != nil {
				return i, err
			}
			rows[i][at] = x
		}
		return -1, nil
	}
	values, ok := t.Text(c.Column)
	if !ok {
		return -1, errors.New("the data has no such categorical column")
	}
	for i, v := range values {
		if err := c.text(v, rows[i][at:at+len(c.Features)]); err != nil {
			return i, err
		}
	}
	return -1, nil
}

func (c *Column) number(v float64) (float64, error) {
	x := float32(v)
	switch {
	case math.IsNaN(v):
		if c.Impute != nil {
			x = *c.Impute
		} else if c.Refuses {
			return 0, errors.New("missing value; fill it or set missing: mean or keep")
		}
	case math.IsInf(float64(x), 0):
		return 0, fmt.Errorf("%v does not fit a 32-bit number", v)
	}
	if c.Offset == 0 && c.Scale == 1 {
		return float64(x), nil
	}
	d := x - c.Offset
	return float64(float32(d * c.Scale)), nil
}

func (c *Column) text(v string, out []float64) error {
	k := slices.Index(c.Keys, v)
	if c.Kind == "mapping" {
		switch {
		case k >= 0:
			out[0] = float64(c.Values[k])
		case c.Default != nil:
			out[0] = float64(*c.Default)
		default:
			return fmt.Errorf("%s is not in the mapping; add it or set a default", quote(v))
		}
		return nil
	}
	for j := range out {
		out[j] = 0
	}
	if k >= 0 {
		out[k] = 1
	} else if c.Refuses && !slices.Contains(c.Known, v) {
		return fmt.Errorf("%s is not a known category; declare it or set unseen: zero", quote(v))
	}
	return nil
}

// Labels gives 1 for the positive value of the label column and 0 for the negative; any other value is an error.
func (f *Fitted) Labels(t Table) ([]float64, error) {
	values, ok := t.Text(f.Label.Column)
	if !ok {
		return nil, fmt.Errorf("label: the data has no categorical column %q; a label of numbers (0/1) needs type categorical in the schema", f.Label.Column)
	}
	out := make([]float64, len(values))
	for i, v := range values {
		switch v {
		case f.Label.Positive:
			out[i] = 1
		case f.Label.Negative:
		default:
			return nil, fmt.Errorf("row %d, label %q: %s is neither %q nor %q", i+1, f.Label.Column, quote(v), f.Label.Positive, f.Label.Negative)
		}
	}
	return out, nil
}

func quote(v string) string {
	if v == "" {
		return "a missing value"
	}
	if r := []rune(v); len(r) > 40 {
		v = string(r[:40]) + "…"
	}
	return fmt.Sprintf("%q", v)
}
