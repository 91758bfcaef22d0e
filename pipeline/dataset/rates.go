package dataset

import (
	"fmt"
	"slices"
)

// LabelRate is the share of rows of one group whose label has the positive
// value, as recorded: a fact about the data, before any model.
type LabelRate struct {
	Column   string  `json:"column"` // protected column
	Group    string  `json:"group"`  // its value; "" for missing
	Rows     int     `json:"rows"`
	Positive int     `json:"positive"`
	Rate     float64 `json:"rate"` // fraction
}

// LabelRates counts, for each categorical protected column of the schema, the
// rows and positive labels of each of its values; columns in schema order,
// values ascending.
func (t *Table) LabelRates(label, positive string) ([]LabelRate, error) {
	labels, ok := t.Text(label)
	if !ok {
		return nil, fmt.Errorf("label: the table has no categorical column %q", label)
	}
	var out []LabelRate
	for _, column := range t.Schema().Names(RoleProtected) {
		values, ok := t.Text(column)
		if !ok {
			continue // numeric: bands are the evaluation's business
		}
		groups := map[string]*LabelRate{}
		for i, v := range values {
			g := groups[v]
			if g == nil {
				g = &LabelRate{Column: column, Group: v}
				groups[v] = g
			}
			g.Rows++
			if labels[i] == positive {
				g.Positive++
			}
		}
		names := make([]string, 0, len(groups))
		for v := range groups {
			names = append(names, v)
		}
		slices.Sort(names)
		for _, v := range names {
			g := groups[v]
			g.Rate = float64(g.Positive) / float64(g.Rows)
			out = append(out, *g)
		}
	}
	return out, nil
}
