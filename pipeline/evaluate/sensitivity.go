package evaluate

import (
	"fmt"
	"math"
	"sort"
)

// NearestFlip says how far one numeric input must move, alone, for the decision to change. Distances are in standard
// deviations of the column; the search brackets outwards to 3 and bisects, so a flip inside a bracket that flips back is
// not seen.
type NearestFlip struct {
	Column   string   `json:"column"`
	Rows     int      `json:"rows"`
	Flipped  int      `json:"flipped"`  // rows with a flip within 3 standard deviations
	Within01 int      `json:"within01"` // of them within 0.1
	Median   *float64 `json:"median"`   // over the flipped rows
	Lowest   *float64 `json:"lowest"`
	Note     string   `json:"note"`
}

const (
	flipRows  = 200 // rows searched per column
	flipSteps = 14  // bisections: a bracket of at most 1 sd shrinks below 1e-4
)

var flipReach = [...]float64{0, .1, .25, .5, 1, 1.5, 2, 2.5, 3}

func (b bench) nearestFlips() []NearestFlip {
	rows := newSource(b.seed, "nearest-flip").sample(len(b.table.Rows), min(flipRows, len(b.table.Rows)))
	out := []NearestFlip{}
	for _, c := range b.table.columns(Numeric) {
		_, sd, _, _, ok := b.table.numberStats(c)
		r := NearestFlip{Column: b.table.Columns[c].Name, Rows: len(rows)}
		if !ok || sd == 0 {
			r.Note = "the column is constant or empty"
			out = append(out, r)
			continue
		}
		dist, err := b.flipDistances(rows, c, sd)
		if err != nil {
			r.Note = "refused: " + shorten(err.Error())
			out = append(out, r)
			continue
		}
		sort.Float64s(dist)
		r.Flipped = len(dist)
		r.Within01 = sort.Search(len(dist), func(i int) bool { return dist[i] > .1 })
		if len(dist) > 0 {
			r.Median, r.Lowest = ptr(percentile(dist, .5)), ptr(dist[0])
		}
		out = append(out, r)
	}
	return out
}

type bracket struct{ row, sign, inside, outside float64 }

// flipDistances scores all rows of one reach in a batch; a row leaves the search at its first bracket, either direction.
func (b bench) flipDistances(rows []int, c int, sd float64) ([]float64, error) {
	flips := func(rows []int, delta []float64) ([]bool, error) {
		t := b.table.subset(rows)
		for k := range t.Rows {
			t.Rows[k][c].Number += delta[k] * sd
		}
		s, err := b.score(t)
		if err != nil {
			return nil, err
		}
		f := make([]bool, len(rows))
		for k, i := range rows {
			f[k] = !math.IsNaN(s[k]) && (s[k] >= b.cut) != (b.base[i] >= b.cut)
		}
		return f, nil
	}
	open := []int{}
	for _, i := range rows {
		if !b.table.Rows[i][c].Missing {
			open = append(open, i)
		}
	}
	var found []bracket
	for step := 1; step < len(flipReach) && len(open) > 0; step++ {
		hit := make([]bool, len(open))
		for _, sign := range []float64{1, -1} {
			delta := make([]float64, len(open))
			for k := range delta {
				delta[k] = sign * flipReach[step]
			}
			f, err := flips(open, delta)
			if err != nil {
				return nil, err
			}
			for k := range f {
				if f[k] {
					hit[k] = true
					found = append(found, bracket{float64(open[k]), sign, flipReach[step-1], flipReach[step]})
				}
			}
		}
		rest := []int{}
		for k, i := range open {
			if !hit[k] {
				rest = append(rest, i)
			}
		}
		open = rest
	}
	idx, delta := make([]int, len(found)), make([]float64, len(found))
	for step := 0; step < flipSteps; step++ {
		for k, f := range found {
			idx[k], delta[k] = int(f.row), f.sign*(f.inside+f.outside)/2
		}
		f, err := flips(idx, delta)
		if err != nil {
			return nil, err
		}
		for k := range found {
			if mid := (found[k].inside + found[k].outside) / 2; f[k] {
				found[k].outside = mid
			} else {
				found[k].inside = mid
			}
		}
	}
	best := map[int]float64{}
	for _, f := range found {
		if d, ok := best[int(f.row)]; !ok || f.outside < d {
			best[int(f.row)] = f.outside
		}
	}
	out := make([]float64, 0, len(best))
	for _, d := range best {
		out = append(out, d) // sorted by the caller
	}
	return out, nil
}

// MonotoneResult checks a declared direction by raising the column by 0.1 and by 1 standard deviation in every row.
type MonotoneResult struct {
	Column     string   `json:"column"`
	Direction  int      `json:"direction"`
	Rows       int      `json:"rows"`       // pairs compared
	Violations int      `json:"violations"` // the score moved against the direction by more than 1e-6
	Worst      float64  `json:"worst"`      // greatest move against it, probability
	Holds      bool     `json:"holds"`
	Rate       Estimate `json:"rate"`
}

func (b bench) monotonicity(rules []Monotone) ([]MonotoneResult, error) {
	out := []MonotoneResult{}
	for k, rule := range rules {
		col := -1
		for c, column := range b.table.Columns {
			if column.Name == rule.Column && column.Kind == Numeric {
				col = c
			}
		}
		if col < 0 {
			return nil, fmt.Errorf("monotone[%d]: %q is not a numeric input; name one of the model's numeric columns", k, rule.Column)
		}
		_, sd, _, _, _ := b.table.numberStats(col)
		r := MonotoneResult{Column: rule.Column, Direction: rule.Direction}
		for _, reach := range []float64{.1, 1} {
			t := b.table.clone()
			for i := range t.Rows {
				t.Rows[i][col].Number += reach * sd
			}
			after, err := b.score(t)
			if err != nil {
				return nil, fmt.Errorf("monotone[%s]: the scorer refused raised values: %w", rule.Column, err)
			}
			for i, s := range after {
				if b.table.Rows[i][col].Missing || math.IsNaN(s) {
					continue
				}
				r.Rows++
				if against := float64(rule.Direction) * (b.base[i] - s); against > 1e-6 {
					r.Violations++
					r.Worst = math.Max(r.Worst, against)
				}
			}
		}
		if r.Rows == 0 {
			return nil, fmt.Errorf("monotone[%s]: no row has a value", rule.Column)
		}
		r.Rate, r.Holds = wilson(r.Violations, r.Rows, b.z), r.Violations == 0
		out = append(out, r)
	}
	return out, nil
}
