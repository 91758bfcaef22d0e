package dataset

import (
	"cmp"
	"math"
	"slices"
)

// profileCategories bounds how many categories of a column a profile lists, so that an identifier column is not copied.
const profileCategories = 50

// Profile describes a table column by column, without any row.
type Profile struct {
	Rows       int             `json:"rows"`
	FileDigest string          `json:"file_digest,omitempty"`
	RowsDigest string          `json:"rows_digest"`
	Columns    []ColumnProfile `json:"columns"`
}

// ColumnProfile describes one column. Count is the number of present values, Missing the rest.
type ColumnProfile struct {
	Name     string           `json:"name"`
	Type     Type             `json:"type"`
	Role     Role             `json:"role"`
	Unit     string           `json:"unit,omitempty"`
	Count    int              `json:"count"`
	Missing  int              `json:"missing"`
	Distinct int              `json:"distinct"`
	Numbers  *NumberProfile   `json:"numbers,omitempty"` // numeric column with at least one value
	Top      []CategoryCount  `json:"top,omitempty"`     // most frequent first, ties in text order
	Others   *OtherCategories `json:"others,omitempty"`  // what Top leaves out
}

// NumberProfile holds moments and quantiles in the column's unit. SD divides by n−1 and is nil for a single value.
// Quantiles interpolate linearly between order statistics (Hyndman & Fan 1996, type 7).
type NumberProfile struct {
	Mean   float64  `json:"mean"`
	SD     *float64 `json:"sd"`
	Min    float64  `json:"min"`
	Q05    float64  `json:"q05"`
	Q25    float64  `json:"q25"`
	Median float64  `json:"median"`
	Q75    float64  `json:"q75"`
	Q95    float64  `json:"q95"`
	Max    float64  `json:"max"`
}

// CategoryCount is a category and the number of its rows.
type CategoryCount struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// OtherCategories sums the categories that a profile does not list.
type OtherCategories struct {
	Categories int `json:"categories"`
	Count      int `json:"count"`
}

// Profile describes the table.
func (t *Table) Profile() *Profile {
	p := &Profile{Rows: t.rows, FileDigest: t.fileDigest, RowsDigest: t.RowsDigest(), Columns: make([]ColumnProfile, len(t.schema.Fields))}
	for j, f := range t.schema.Fields {
		c := ColumnProfile{Name: f.Name, Type: f.Type, Role: f.Role, Unit: f.Unit}
		if f.Type == Numeric {
			c.describeNumbers(t.numbers[j])
		} else {
			c.describeTexts(t.texts[j])
		}
		c.Missing = t.rows - c.Count
		p.Columns[j] = c
	}
	return p
}

func (c *ColumnProfile) describeNumbers(values []float64) {
	sorted := present(values)
	c.Count = len(sorted)
	if c.Count == 0 {
		return
	}
	slices.Sort(sorted)
	c.Distinct = 1
	for i := 1; i < len(sorted); i++ {
		if sorted[i] != sorted[i-1] {
			c.Distinct++
		}
	}
	n := &NumberProfile{
		Min: sorted[0], Q05: quantile(sorted, .05), Q25: quantile(sorted, .25), Median: quantile(sorted, .5),
		Q75: quantile(sorted, .75), Q95: quantile(sorted, .95), Max: sorted[len(sorted)-1],
	}
	// The moments sum in sorted order, so they do not depend on the order of rows.
	n.Mean = mean(sorted)
	if c.Count > 1 {
		squares := 0.0
		for _, v := range sorted {
			d := v - n.Mean
			squares += float64(d * d)
		}
		sd := math.Sqrt(squares / float64(c.Count-1))
		n.SD = &sd
	}
	c.Numbers = n
}

func (c *ColumnProfile) describeTexts(values []string) {
	counts := make(map[string]int)
	for _, v := range values {
		if v != "" {
			counts[v]++
			c.Count++
		}
	}
	c.Distinct = len(counts)
	all := make([]CategoryCount, 0, len(counts))
	for value, n := range counts {
		all = append(all, CategoryCount{Value: value, Count: n})
	}
	slices.SortFunc(all, func(a, b CategoryCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	if len(all) > profileCategories {
		others := OtherCategories{Categories: len(all) - profileCategories}
		for _, o := range all[profileCategories:] {
			others.Count += o.Count
		}
		c.Others = &others
		all = all[:profileCategories]
	}
	c.Top = all
}

func present(values []float64) []float64 {
	out := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// quantile needs at least one value, sorted.
func quantile(sorted []float64, q float64) float64 {
	h := float64(q * float64(len(sorted)-1))
	low := int(math.Floor(h))
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + float64((h-float64(low))*(sorted[low+1]-sorted[low]))
}
