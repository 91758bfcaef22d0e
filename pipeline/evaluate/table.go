package evaluate

import (
	"fmt"
	"math"
	"sort"
)

// ColumnKind is how a model input is perturbed and encoded.
type ColumnKind string

// The two kinds of input.
const (
	Numeric     ColumnKind = "numeric"
	Categorical ColumnKind = "categorical"
)

// Column is one model input. Protected marks one that is itself a protected attribute: only such a column gets the flip
// test.
type Column struct {
	Name      string
	Kind      ColumnKind
	Protected bool
}

// Cell is one value: Number for a numeric column, Text for a categorical one, neither when Missing.
type Cell struct {
	Number  float64
	Text    string
	Missing bool
}

// Table holds the model's inputs, row i being row i of Input.Scores.
type Table struct {
	Columns []Column
	Rows    [][]Cell
}

// Scorer is the model: one score in [0, 1] per row, in order. A row that the model refuses has NaN as its score. It must
// not keep or change the rows.
type Scorer func(rows [][]Cell) ([]float64, error)

func (t Table) validate(n int) error {
	if len(t.Columns) == 0 {
		return fmt.Errorf("table.columns: empty; name the model's inputs")
	}
	seen := map[string]bool{}
	for i, c := range t.Columns {
		if c.Name == "" || seen[c.Name] {
			return fmt.Errorf("table.columns[%d]: name %q is empty or given twice", i, c.Name)
		}
		seen[c.Name] = true
		if c.Kind != Numeric && c.Kind != Categorical {
			return fmt.Errorf("table.columns[%s]: kind %q; use numeric or categorical", c.Name, c.Kind)
		}
	}
	if len(t.Rows) != n {
		return fmt.Errorf("table.rows: %d for %d scores; give the same rows in the same order", len(t.Rows), n)
	}
	for i, r := range t.Rows {
		if len(r) != len(t.Columns) {
			return fmt.Errorf("table.rows[%d]: %d cells for %d columns", i, len(r), len(t.Columns))
		}
		for j, c := range r {
			if t.Columns[j].Kind == Numeric && !c.Missing && (math.IsNaN(c.Number) || math.IsInf(c.Number, 0)) {
				return fmt.Errorf("table.rows[%d][%s]: %v; mark it missing instead", i, t.Columns[j].Name, c.Number)
			}
		}
	}
	return nil
}

// numberStats are mean, sd (n−1), least and greatest of the present values; ok is false when none is present.
func (t Table) numberStats(col int) (mean, sd, least, greatest float64, ok bool) {
	n, least, greatest := 0.0, math.Inf(1), math.Inf(-1)
	for _, r := range t.Rows {
		if c := r[col]; !c.Missing {
			n++
			mean += c.Number
			least, greatest = math.Min(least, c.Number), math.Max(greatest, c.Number)
		}
	}
	if n == 0 {
		return 0, 0, 0, 0, false
	}
	mean /= n
	for _, r := range t.Rows {
		if c := r[col]; !c.Missing {
			sd += (c.Number - mean) * (c.Number - mean)
		}
	}
	if n > 1 {
		sd = math.Sqrt(sd / (n - 1))
	}
	return mean, sd, least, greatest, true
}

// texts are the distinct present values of a categorical column, sorted.
func (t Table) texts(col int) []string {
	seen := map[string]bool{}
	for _, r := range t.Rows {
		if !r[col].Missing {
			seen[r[col].Text] = true
		}
	}
	out := make([]string, 0, len(seen))
	for s := range seen {
		out = append(out, s)
	}
	sort.Strings(out)
	return out
}

func (t Table) columns(kind ColumnKind) []int {
	return indexes(len(t.Columns), func(i int) bool { return t.Columns[i].Kind == kind })
}

// subset shares the columns and copies the chosen rows, cells included, so that they may be changed.
func (t Table) subset(rows []int) Table {
	out := Table{Columns: t.Columns, Rows: make([][]Cell, len(rows))}
	for k, i := range rows {
		out.Rows[k] = append([]Cell(nil), t.Rows[i]...)
	}
	return out
}

// clone copies every cell.
func (t Table) clone() Table {
	return t.subset(indexes(len(t.Rows), func(int) bool { return true }))
}
