// Package dataset reads tables strictly, describes them, checks them against declared expectations and splits them.
//
// Everything here is pure computation: same bytes and same parameters give the same result on every run.
package dataset

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Table is an immutable, column-oriented table. Column j holds float64 (NaN = missing) if its type is numeric and
// text ("" = missing) if it is categorical. Slices that its methods return are shared and must not be modified.
type Table struct {
	schema     *Schema
	rows       int
	index      map[string]int
	numbers    [][]float64 // by column position; nil for categorical columns
	texts      [][]string  // by column position; nil for numeric columns
	fileDigest string
	fileBytes  int64
}

// NewTable builds a table from columns given by name and checks them against the schema.
// It is meant for data that does not come from a CSV file; FileDigest is empty.
func NewTable(schema *Schema, numbers map[string][]float64, texts map[string][]string) (*Table, error) {
	if err := schema.Validate(); err != nil {
		return nil, err
	}
	if given := len(numbers) + len(texts); given != len(schema.Fields) {
		return nil, fmt.Errorf("table: %d columns given, the schema declares %d", given, len(schema.Fields))
	}
	rows := -1
	t := emptyTable(schema)
	for j, f := range schema.Fields {
		var n int
		if f.Type == Numeric {
			values, ok := numbers[f.Name]
			if !ok {
				return nil, fmt.Errorf("table: numeric column %q is missing", f.Name)
			}
			t.numbers[j], n = append([]float64(nil), values...), len(values)
		} else {
			values, ok := texts[f.Name]
			if !ok {
				return nil, fmt.Errorf("table: categorical column %q is missing", f.Name)
			}
			t.texts[j], n = append([]string(nil), values...), len(values)
		}
		if rows >= 0 && n != rows {
			return nil, fmt.Errorf("table: column %q has %d rows, the columns before it %d", f.Name, n, rows)
		}
		rows = n
	}
	t.rows = rows
	for j := range schema.Fields {
		if err := t.checkColumn(j); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func emptyTable(schema *Schema) *Table {
	t := &Table{
		schema:  schema,
		index:   make(map[string]int, len(schema.Fields)),
		numbers: make([][]float64, len(schema.Fields)),
		texts:   make([][]string, len(schema.Fields)),
	}
	for j, f := range schema.Fields {
		t.index[f.Name] = j
	}
	return t
}

// checkColumn applies the column's declaration to every value that did not pass through the CSV reader.
func (t *Table) checkColumn(j int) error {
	f := t.schema.Fields[j]
	allowed := categorySet(f)
	for i := range t.rows {
		var err error
		if f.Type == Numeric {
			if v := t.numbers[j][i]; math.IsInf(v, 0) {
				err = errors.New("infinite number; use a finite one or leave the cell empty")
			} else {
				err = f.checkNumber(v)
			}
		} else if err = checkText(t.texts[j][i]); err == nil {
			err = f.checkCategory(t.texts[j][i], allowed)
		}
		if err != nil {
			return &CellError{Row: i + 1, Column: f.Name, Err: err}
		}
	}
	return nil
}

// Schema returns the table's schema; it must not be modified.
func (t *Table) Schema() *Schema { return t.schema }

// Rows returns the number of rows.
func (t *Table) Rows() int { return t.rows }

// Columns returns the column names in order.
func (t *Table) Columns() []string {
	names := make([]string, len(t.schema.Fields))
	for j, f := range t.schema.Fields {
		names[j] = f.Name
	}
	return names
}

// FileDigest is the hex SHA-256 of the bytes that the table was read from, or "" if it was not read or is a selection.
func (t *Table) FileDigest() string { return t.fileDigest }

// FileBytes is the number of bytes that the table was read from, or 0.
func (t *Table) FileBytes() int64 { return t.fileBytes }

// Numeric returns the values of a numeric column (NaN = missing) and whether there is such a numeric column.
func (t *Table) Numeric(column string) ([]float64, bool) {
	j, ok := t.index[column]
	if !ok || t.schema.Fields[j].Type != Numeric {
		return nil, false
	}
	return t.numbers[j], true
}

// Text returns the values of a categorical column ("" = missing) and whether there is such a categorical column.
func (t *Table) Text(column string) ([]string, bool) {
	j, ok := t.index[column]
	if !ok || t.schema.Fields[j].Type != Categorical {
		return nil, false
	}
	return t.texts[j], true
}

// Binary returns a categorical column as 1 where it equals positive and 0 elsewhere.
// A missing value, or a positive value that never occurs, is an error.
func (t *Table) Binary(column, positive string) ([]float64, error) {
	values, ok := t.Text(column)
	if !ok {
		return nil, fmt.Errorf("column %q: there is no such categorical column", column)
	}
	out := make([]float64, len(values))
	found := false
	for i, v := range values {
		switch v {
		case "":
			return nil, &CellError{Row: i + 1, Column: column, Err: errors.New("missing value; a label must be known")}
		case positive:
			out[i] = 1
			found = true
		}
	}
	if !found {
		return nil, fmt.Errorf("column %q: the positive value %q never occurs", column, positive)
	}
	return out, nil
}

// Select returns the rows at the given zero-based indices, in the given order. An index may repeat (resampling).
func (t *Table) Select(indices []int) (*Table, error) {
	for k, i := range indices {
		if i < 0 || i >= t.rows {
			return nil, fmt.Errorf("select: indices[%d] = %d is outside the table's %d rows", k, i, t.rows)
		}
	}
	out := emptyTable(t.schema)
	out.rows = len(indices)
	for j, f := range t.schema.Fields {
		if f.Type == Numeric {
			col := make([]float64, len(indices))
			for k, i := range indices {
				col[k] = t.numbers[j][i]
			}
			out.numbers[j] = col
			continue
		}
		col := make([]string, len(indices))
		for k, i := range indices {
			col[k] = t.texts[j][i]
		}
		out.texts[j] = col
	}
	return out, nil
}

// Where returns the zero-based indices of the rows whose categorical column holds one of the values, in row order.
func (t *Table) Where(column string, values ...string) ([]int, error) {
	col, ok := t.Text(column)
	if !ok {
		return nil, fmt.Errorf("column %q: there is no such categorical column", column)
	}
	wanted := make(map[string]bool, len(values))
	for _, v := range values {
		wanted[v] = true
	}
	var indices []int
	for i, v := range col {
		if wanted[v] {
			indices = append(indices, i)
		}
	}
	return indices, nil
}

func (f *Field) checkNumber(v float64) error {
	switch {
	case math.IsNaN(v):
		if !f.Nullable {
			return errors.New("missing value; fill it or declare the column nullable")
		}
	case f.Min != nil && v < *f.Min:
		return fmt.Errorf("%s is below the declared min %s", formatNumber(v), formatNumber(*f.Min))
	case f.Max != nil && v > *f.Max:
		return fmt.Errorf("%s is above the declared max %s", formatNumber(v), formatNumber(*f.Max))
	}
	return nil
}

func (f *Field) checkCategory(v string, allowed map[string]bool) error {
	if v == "" {
		if !f.Nullable {
			return errors.New("missing value; fill it or declare the column nullable")
		}
		return nil
	}
	if allowed != nil && !allowed[v] {
		return fmt.Errorf("%q is not among the %d declared categories", clip(v), len(allowed))
	}
	return nil
}

// categorySet returns nil when any value is allowed.
func categorySet(f Field) map[string]bool {
	if len(f.Categories) == 0 {
		return nil
	}
	set := make(map[string]bool, len(f.Categories))
	for _, c := range f.Categories {
		set[c] = true
	}
	return set
}

// formatNumber is the shortest decimal form that parses back to the same float64; negative zero becomes 0.
func formatNumber(v float64) string {
	if v == 0 {
		return "0"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// clip keeps untrusted text in an error message short.
func clip(text string) string {
	const limit = 40
	if len(text) <= limit {
		return text
	}
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit]) + "…"
}
