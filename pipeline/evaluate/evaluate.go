// Package evaluate measures a binary classifier on rows it has not seen: discrimination, calibration, fairness per
// protected attribute, robustness and the proxy test. It computes only: plain slices in, a Report out, no clock, no
// global randomness, so the same input and the same Config give the same bytes.
//
// Conventions. A score is the model's probability that the label is true, in [0, 1]. A row is predicted positive iff
// score >= threshold. All rates, differences and areas are fractions, never percentages; log loss is in nats. A field
// that cannot be computed (no positives in a group, say) is JSON null, never a made-up number.
package evaluate

import (
	"errors"
	"fmt"
	"math"
	"sort"
)

// Schema names the layout of Report. A change of any field's meaning changes it.
const Schema = "affidavit.dev/evaluation-report/v1"

// Input is one evaluation set. Scores, Labels and every Attribute.Values have the same length; row i is the same row in
// each of them, and in Table.Rows when a Table is given.
type Input struct {
	RowIDs     []string    // optional; when given they must be unique, so that no row is counted twice
	Scores     []float64   // probability that the label is true, [0, 1]
	Labels     []bool      // the observed outcome
	Attributes []Attribute // protected attributes, carried for evaluation only
	Table      *Table      // optional: the model's inputs; needed for robustness and for the inputs' proxy test
	Scorer     Scorer      // optional: the model; needed for robustness
}

// maxGroups bounds the groups of one attribute: beyond it the values are no groups, and crossings explode.
const maxGroups = 64

// Bands turns a numeric attribute, such as age, into groups: with cuts 25 and 60 they are "≤ 25", "> 25 to 60" and "> 60".
// NaN becomes unknown. Cuts must ascend.
func Bands(values, cuts []float64) ([]string, error) {
	if len(cuts) == 0 {
		return nil, errors.New("cuts: empty; give at least one")
	}
	names := make([]string, len(cuts)+1)
	for k, c := range cuts {
		if math.IsNaN(c) || (k > 0 && c <= cuts[k-1]) {
			return nil, fmt.Errorf("cuts[%d]: %v does not ascend", k, c)
		}
		names[k] = fmt.Sprintf("≤ %g", c)
		if k > 0 {
			names[k] = fmt.Sprintf("> %g to %g", cuts[k-1], c)
		}
	}
	names[len(cuts)] = fmt.Sprintf("> %g", cuts[len(cuts)-1])
	out := make([]string, len(values))
	for i, v := range values {
		if !math.IsNaN(v) {
			out[i] = names[sort.SearchFloat64s(cuts, v)]
		}
	}
	return out, nil
}

// Attribute is one protected attribute; an empty value means unknown.
type Attribute struct {
	Name   string
	Values []string
}

// Estimate is a value with the bounds of its confidence interval at Config.Confidence.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Report is the whole evaluation, in the units that the package comment states.
type Report struct {
	Schema         string         `json:"schema"`
	Config         Config         `json:"config"`
	Rows           int            `json:"rows"`
	Positives      int            `json:"positives"` // rows whose label is true
	Threshold      Threshold      `json:"threshold"`
	Discrimination Discrimination `json:"discrimination"`
	Calibration    Calibration    `json:"calibration"`
	Curves         Curves         `json:"curves"`
	Fairness       Fairness       `json:"fairness"`
	Robustness     *Robustness    `json:"robustness"` // null when no Table and Scorer were given
	Proxy          []ProxyResult  `json:"proxy"`
	Caveats        []string       `json:"caveats"`
}

// Evaluate computes the report. Errors name the field at fault and the remedy; nothing is computed from bad input.
func Evaluate(in Input, cfg Config) (Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	if err := in.validate(); err != nil {
		return Report{}, err
	}
	cut, err := settleThreshold(cfg.Threshold, in.Scores, in.Labels)
	if err != nil {
		return Report{}, err
	}
	r := Report{Schema: Schema, Config: cfg, Rows: len(in.Scores), Positives: count(in.Labels), Threshold: cut, Proxy: []ProxyResult{}, Caveats: []string{}}
	z := zOf(cfg.Confidence)
	r.Discrimination = discriminate(in.Scores, in.Labels, cut.Value, z)
	r.Calibration = calibrate(in.Scores, in.Labels, cfg.Bins, z)
	r.Curves = curves(in.Scores, in.Labels, cfg.MaxPoints)
	r.Fairness = fairness(in, cut.Value, cfg)
	if in.Table != nil && in.Scorer != nil {
		rob, err := robustness(in, cut.Value, cfg)
		if err != nil {
			return Report{}, err
		}
		r.Robustness = &rob
	}
	if r.Robustness == nil && len(cfg.Cases)+len(cfg.Monotone) > 0 {
		return Report{}, errors.New("scorer: missing; declared cases and monotonicity need the model and its table")
	}
	if r.Proxy, err = proxies(in, r.Fairness, cfg); err != nil {
		return Report{}, err
	}
	r.Caveats = caveats(r)
	return r, nil
}

func (in Input) validate() error {
	n := len(in.Scores)
	if n == 0 {
		return errors.New("scores: empty; give at least one row per class")
	}
	if len(in.Labels) != n {
		return fmt.Errorf("labels: %d values for %d scores; give one per row", len(in.Labels), n)
	}
	for i, s := range in.Scores {
		if math.IsNaN(s) || s < 0 || s > 1 {
			return fmt.Errorf("scores[%d]: %v is not a probability in [0, 1]; convert margins first", i, s)
		}
	}
	if p := count(in.Labels); p == 0 || p == n {
		return fmt.Errorf("labels: %d of %d are true; both classes are needed", p, n)
	}
	if err := uniqueIDs(in.RowIDs, n); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, a := range in.Attributes {
		if a.Name == "" || seen[a.Name] {
			return fmt.Errorf("attributes: name %q is empty or given twice", a.Name)
		}
		seen[a.Name] = true
		if len(a.Values) != n {
			return fmt.Errorf("attributes[%s]: %d values for %d rows; give one per row, empty for unknown", a.Name, len(a.Values), n)
		}
		distinct := map[string]bool{}
		for _, v := range a.Values {
			distinct[v] = true
		}
		if len(distinct) > maxGroups {
			return fmt.Errorf("attributes[%s]: %d different values; give at most %d groups, for a number by Bands", a.Name, len(distinct), maxGroups)
		}
	}
	if in.Scorer != nil && in.Table == nil {
		return errors.New("table: missing; a scorer needs the rows to perturb")
	}
	if in.Table != nil {
		return in.Table.validate(n)
	}
	return nil
}

func uniqueIDs(ids []string, n int) error {
	if len(ids) == 0 {
		return nil
	}
	if len(ids) != n {
		return fmt.Errorf("rowIds: %d values for %d rows; give one per row or none", len(ids), n)
	}
	seen := make(map[string]int, n)
	for i, id := range ids {
		if j, dup := seen[id]; dup {
			return fmt.Errorf("rowIds[%d]: %q is also row %d; remove the duplicate row", i, id, j)
		}
		seen[id] = i
	}
	return nil
}

// caveats says in words what a reader would otherwise have to infer from the numbers.
func caveats(r Report) []string {
	out := []string{}
	if r.Threshold.ChosenOn == chosenHere {
		out = append(out, "The threshold was chosen on these evaluation rows; figures at the threshold are optimistic. Choose it on development rows and pass it as fixed.")
	}
	if r.Discrimination.ClippedScores > 0 {
		out = append(out, fmt.Sprintf("%d scores were exactly 0 or 1 and were clipped by %g for log loss, slope and intercept.", r.Discrimination.ClippedScores, clipAt))
	}
	for _, a := range r.Fairness.all() {
		if a.ComparedGroups > 2 {
			out = append(out, fmt.Sprintf("%s: with %d groups the intervals are for the observed extreme pair and are not adjusted for having picked it.", a.Attribute, a.ComparedGroups))
		}
	}
	if r.Robustness == nil {
		out = append(out, "Robustness was not measured: no model inputs were given.")
	}
	out = append(out, "The label is a past human decision or outcome on accepted cases as recorded; no reject inference was made.")
	return out
}

func count(b []bool) int {
	n := 0
	for _, v := range b {
		if v {
			n++
		}
	}
	return n
}
