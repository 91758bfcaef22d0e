// Package monitor counts what a served model sees and decides whether it drifted. Its state is integer counters over
// bins frozen at the reference's quantiles, so windows merge exactly, in any order, across replicas and days, and a
// window can be attested. It has no clock and no randomness: times and earlier verdicts are parameters.
package monitor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
)

// ReferenceSchema names the layout of Reference.
const ReferenceSchema = "affidavit.dev/drift-reference/v1"

// Kind is how a feature is counted.
type Kind string

// The two kinds.
const (
	Numeric     Kind = "numeric"
	Categorical Kind = "categorical"
)

// Spec names one monitored feature; a model's score may be one of them.
type Spec struct {
	Name string
	Kind Kind
}

// Value is one feature of one row: Number when numeric, Text when categorical, neither when Missing.
type Value struct {
	Number  float64
	Text    string
	Missing bool
}

// Feature holds frozen slots and the reference's counts in them. Numeric slots are: below Least, len(Edges)+1 bins, above
// Greatest, missing, unseen (not a finite number). Bin k holds (Edges[k-1], Edges[k]]. Categorical slots are: one per
// category, missing, unseen.
type Feature struct {
	Name       string    `json:"name"`
	Kind       Kind      `json:"kind"`
	Edges      []float64 `json:"edges"`
	Least      float64   `json:"least"`
	Greatest   float64   `json:"greatest"`
	Categories []string  `json:"categories"` // ascending
	Counts     []int64   `json:"counts"`
}

// Reference is what the model is compared with: frozen, attested by its digest.
type Reference struct {
	Schema   string    `json:"schema"`
	Rows     int64     `json:"rows"`
	Features []Feature `json:"features"`
	Baseline *Baseline `json:"baseline"` // null: performance is counted but not judged
}

// Baseline is the performance at approval. Scores are probabilities of the label; Slope and Intercept recalibrate them
// (logit p = Intercept + Slope·logit score) for the label-free estimate: 1 and 0 leave them as they are.
type Baseline struct {
	Threshold     float64 `json:"threshold"` // selected iff score >= threshold
	AUC           float64 `json:"auc"`
	Brier         float64 `json:"brier"`
	SelectionRate float64 `json:"selectionRate"` // in lending with the label `deny = yes`, the deny rate
	Slope         float64 `json:"slope"`
	Intercept     float64 `json:"intercept"`
}

// Options of NewReference. Zero fields take the defaults.
type Options struct {
	Bins          int // at most so many quantile bins per numeric feature; default 20, 2..200
	MaxCategories int // rarer ones are counted as unseen, here and later; default 100, 1..10000
	Baseline      *Baseline
}

const (
	maxFeatures = 10000
	maxBytes    = 64 << 20
)

// NewReference freezes the bins at the quantiles of rows (one Value per spec, in order) and counts the rows in them.
func NewReference(specs []Spec, rows [][]Value, o Options) (Reference, error) {
	if o.Bins == 0 {
		o.Bins = 20
	}
	if o.MaxCategories == 0 {
		o.MaxCategories = 100
	}
	if o.Bins < 2 || o.Bins > 200 {
		return Reference{}, fmt.Errorf("bins: %d is outside 2..200", o.Bins)
	}
	if o.MaxCategories < 1 || o.MaxCategories > 10000 {
		return Reference{}, fmt.Errorf("maxCategories: %d is outside 1..10000", o.MaxCategories)
	}
	if len(rows) == 0 {
		return Reference{}, errors.New("rows: empty; a reference needs rows")
	}
	r := Reference{Schema: ReferenceSchema, Rows: int64(len(rows)), Features: []Feature{}, Baseline: o.Baseline}
	for i, row := range rows {
		if len(row) != len(specs) {
			return Reference{}, fmt.Errorf("rows[%d]: %d values for %d features", i, len(row), len(specs))
		}
	}
	for j, s := range specs {
		f := Feature{Name: s.Name, Kind: s.Kind, Edges: []float64{}, Categories: []string{}}
		switch s.Kind {
		case Numeric:
			var present []float64
			for _, row := range rows {
				if v := row[j]; !v.Missing && finite(v.Number) {
					present = append(present, v.Number)
				}
			}
			f.freeze(present, o.Bins)
		case Categorical:
			f.Categories = commonest(rows, j, o.MaxCategories)
		default:
			return Reference{}, fmt.Errorf("features[%s].kind: %q; use numeric or categorical", s.Name, s.Kind)
		}
		f.Counts = make([]int64, f.slots())
		for _, row := range rows {
			f.Counts[f.slot(row[j])]++
		}
		r.Features = append(r.Features, f)
	}
	return r, r.Validate()
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// freeze puts an edge at each inner quantile (type 7). With no more distinct values than bins, each value gets its own
// bin. An edge at the maximum would leave it no bin, so the greatest smaller value takes its place.
func (f *Feature) freeze(present []float64, bins int) {
	if len(present) == 0 {
		return
	}
	sort.Float64s(present)
	f.Least, f.Greatest = present[0], present[len(present)-1]
	distinct := slices.Compact(slices.Clone(present))
	if len(distinct) <= bins {
		f.Edges = distinct[:len(distinct)-1]
		return
	}
	for k := 1; k < bins; k++ {
		h := float64(len(present)-1) * float64(k) / float64(bins)
		i := int(h)
		e := present[i]
		if i+1 < len(present) {
			e += (h - float64(i)) * (present[i+1] - present[i])
		}
		if e >= f.Greatest {
			e = distinct[len(distinct)-2]
		}
		if len(f.Edges) == 0 || e > f.Edges[len(f.Edges)-1] {
			f.Edges = append(f.Edges, e)
		}
	}
}

// commonest keeps the most frequent categories, ties by name, and returns them sorted.
func commonest(rows [][]Value, j, most int) []string {
	n := map[string]int{}
	for _, row := range rows {
		if !row[j].Missing {
			n[row[j].Text]++
		}
	}
	names := make([]string, 0, len(n))
	for s := range n {
		names = append(names, s)
	}
	sort.Slice(names, func(a, b int) bool {
		if n[names[a]] != n[names[b]] {
			return n[names[a]] > n[names[b]]
		}
		return names[a] < names[b]
	})
	if len(names) > most {
		names = names[:most]
	}
	sort.Strings(names)
	return names
}

// present is the number of slots for present values, under and over included.
func (f Feature) present() int {
	if f.Kind == Numeric {
		return len(f.Edges) + 3
	}
	return len(f.Categories)
}

func (f Feature) slots() int { return f.present() + 2 }

// slot never fails: what fits nowhere is unseen.
func (f Feature) slot(v Value) int {
	if v.Missing {
		return f.present()
	}
	if f.Kind == Categorical {
		if k, ok := slices.BinarySearch(f.Categories, v.Text); ok {
			return k
		}
		return f.present() + 1
	}
	switch {
	case !finite(v.Number):
		return f.present() + 1
	case v.Number < f.Least:
		return 0
	case v.Number > f.Greatest:
		return len(f.Edges) + 2
	}
	return 1 + sort.SearchFloat64s(f.Edges, v.Number)
}

// Validate refuses a reference that NewReference could not have made, naming the field.
func (r Reference) Validate() error {
	if r.Schema != ReferenceSchema {
		return fmt.Errorf("reference.schema: %.60q; this version reads %s", r.Schema, ReferenceSchema)
	}
	if r.Rows < 1 || len(r.Features) == 0 || len(r.Features) > maxFeatures {
		return fmt.Errorf("reference: %d rows and %d features; needs rows and 1 to %d features", r.Rows, len(r.Features), maxFeatures)
	}
	seen := map[string]bool{}
	for _, f := range r.Features {
		if f.Name == "" || seen[f.Name] {
			return fmt.Errorf("reference.features: name %.60q is empty or given twice", f.Name)
		}
		seen[f.Name] = true
		if err := f.validate(r.Rows); err != nil {
			return fmt.Errorf("reference.features[%s].%w", f.Name, err)
		}
	}
	if b := r.Baseline; b != nil {
		for _, c := range []struct {
			name string
			v    float64
		}{{"threshold", b.Threshold}, {"auc", b.AUC}, {"brier", b.Brier}, {"selectionRate", b.SelectionRate}} {
			if !(c.v >= 0 && c.v <= 1) {
				return fmt.Errorf("reference.baseline.%s: %v is not in [0, 1]", c.name, c.v)
			}
		}
		if !(b.Slope > 0) || !finite(b.Slope) || !finite(b.Intercept) {
			return fmt.Errorf("reference.baseline: slope %v, intercept %v; use 1 and 0 for no recalibration", b.Slope, b.Intercept)
		}
	}
	return nil
}

func (f Feature) validate(rows int64) error {
	switch f.Kind {
	case Numeric:
		if len(f.Categories) > 0 || !finite(f.Least) || !finite(f.Greatest) || f.Least > f.Greatest {
			return errors.New("least, greatest: not a finite range, or categories given")
		}
		for k, e := range f.Edges {
			if !finite(e) || e < f.Least || e >= f.Greatest || (k > 0 && e <= f.Edges[k-1]) {
				return fmt.Errorf("edges[%d]: %v is not ascending within the range", k, e)
			}
		}
	case Categorical:
		for k := range f.Categories {
			if k > 0 && f.Categories[k] <= f.Categories[k-1] {
				return fmt.Errorf("categories[%d]: not ascending", k)
			}
		}
	default:
		return fmt.Errorf("kind: %.40q; use numeric or categorical", f.Kind)
	}
	return checkCounts(f.Counts, f.slots(), rows)
}

// checkCounts wants one non-negative count per slot, adding up to the rows.
func checkCounts(c []int64, slots int, rows int64) error {
	if len(c) != slots {
		return fmt.Errorf("counts: %d slots, needs %d", len(c), slots)
	}
	left := rows
	for k, n := range c {
		if n < 0 || n > left {
			return fmt.Errorf("counts[%d]: %d is negative or more than the rows left", k, n)
		}
		left -= n
	}
	if left != 0 {
		return fmt.Errorf("counts: add up to %d of %d rows", rows-left, rows)
	}
	return nil
}

// Digest is the hex SHA-256 of the reference's JSON; a window names it, so that windows over other bins never mix.
func (r Reference) Digest() string { return digest(r) }

func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		// Validated values are finite numbers, strings and times: they always marshal.
		panic(fmt.Sprintf("monitor: %v", err))
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// ParseReference reads and validates JSON of at most 64 MB.
func ParseReference(data []byte) (Reference, error) {
	var r Reference
	if len(data) > maxBytes {
		return r, errors.New("reference: larger than 64 MB")
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return Reference{}, fmt.Errorf("reference: %w", err)
	}
	return r, r.Validate()
}
