package evaluate

import (
	"fmt"
	"math"
)

// CaseKind is the kind of expectation of an edge case.
type CaseKind string

// Invariance: the change moves no score by more than Tolerance. Directional: it never moves one against Direction by more
// than Tolerance. MinimumFunctionality: one written-out row scores within [AtLeast, AtMost].
const (
	Invariance           CaseKind = "invariance"
	Directional          CaseKind = "directional"
	MinimumFunctionality CaseKind = "minimum_functionality"
)

// Case is one expectation of a domain expert, declared with the model.
type Case struct {
	Name      string   `json:"name"`
	Kind      CaseKind `json:"kind"`
	Why       string   `json:"why"`
	Changes   []Change `json:"changes"`   // of every row (invariance, directional), or the row itself (minimum functionality)
	Direction int      `json:"direction"` // +1: the score may not fall; -1: may not rise
	Tolerance float64  `json:"tolerance"` // probability
	AtLeast   float64  `json:"atLeast"`
	AtMost    float64  `json:"atMost"`
}

// Change edits one input: exactly one of SetText, SetNumber, Add or Missing.
type Change struct {
	Column    string   `json:"column"`
	SetText   *string  `json:"setText,omitempty"`
	SetNumber *float64 `json:"setNumber,omitempty"`
	Add       *float64 `json:"add,omitempty"` // to a number; a missing one stays missing
	Missing   bool     `json:"missing,omitempty"`
}

// CaseResult is what became of a Case. Worst is the greatest move against the expectation, probability.
type CaseResult struct {
	Name     string   `json:"name"`
	Kind     CaseKind `json:"kind"`
	Rows     int      `json:"rows"`
	Failures int      `json:"failures"`
	Refused  int      `json:"refused"` // rows that the model declined: a failure of minimum functionality, else neither
	Worst    float64  `json:"worst"`
	Score    *float64 `json:"score"` // of the one row of minimum functionality
	Holds    bool     `json:"holds"`
}

func validateCases(cases []Case) error {
	if len(cases) > 1000 {
		return fmt.Errorf("cases: %d; at most 1000", len(cases))
	}
	seen := map[string]bool{}
	for i, c := range cases {
		if c.Name == "" || seen[c.Name] {
			return fmt.Errorf("cases[%d]: name %q is empty or given twice", i, c.Name)
		}
		seen[c.Name] = true
		if len(c.Changes) == 0 {
			return fmt.Errorf("cases[%s].changes: empty; say what changes", c.Name)
		}
		if !(c.Tolerance >= 0 && c.Tolerance <= 1) {
			return fmt.Errorf("cases[%s].tolerance: %v is not in [0, 1]", c.Name, c.Tolerance)
		}
		switch c.Kind {
		case Invariance:
		case Directional:
			if c.Direction != 1 && c.Direction != -1 {
				return fmt.Errorf("cases[%s].direction: %d; use 1 or -1", c.Name, c.Direction)
			}
		case MinimumFunctionality:
			if !(c.AtLeast >= 0 && c.AtLeast <= c.AtMost && c.AtMost <= 1) {
				return fmt.Errorf("cases[%s]: atLeast %v, atMost %v are not a range in [0, 1]", c.Name, c.AtLeast, c.AtMost)
			}
		default:
			return fmt.Errorf("cases[%s].kind: %q; use invariance, directional or minimum_functionality", c.Name, c.Kind)
		}
	}
	return nil
}

func (b bench) cases(cases []Case) ([]CaseResult, error) {
	out := []CaseResult{}
	for _, c := range cases {
		t := b.table.clone()
		if c.Kind == MinimumFunctionality {
			t.Rows = [][]Cell{make([]Cell, len(t.Columns))}
			for j := range t.Columns {
				t.Rows[0][j].Missing = true // an input that the case does not name is missing
			}
		}
		for _, ch := range c.Changes {
			if err := ch.apply(t); err != nil {
				return nil, fmt.Errorf("cases[%s].%w", c.Name, err)
			}
		}
		after, err := b.score(t)
		if err != nil {
			return nil, fmt.Errorf("cases[%s]: the scorer refused: %w", c.Name, err)
		}
		out = append(out, c.verdict(b.base, after))
	}
	return out, nil
}

func (c Case) verdict(base, after []float64) CaseResult {
	r := CaseResult{Name: c.Name, Kind: c.Kind}
	for i, s := range after {
		if math.IsNaN(s) {
			r.Refused++
			continue
		}
		r.Rows++
		against := 0.0
		switch c.Kind {
		case Invariance:
			against = math.Abs(s - base[i])
		case Directional:
			against = float64(c.Direction) * (base[i] - s)
		case MinimumFunctionality:
			against = math.Max(c.AtLeast-s, s-c.AtMost)
			r.Score = ptr(s)
		}
		r.Worst = math.Max(r.Worst, against)
		if against > c.Tolerance {
			r.Failures++
		}
	}
	r.Holds = r.Failures == 0 && r.Rows > 0
	return r
}

func (ch Change) apply(t Table) error {
	col := -1
	for j, c := range t.Columns {
		if c.Name == ch.Column {
			col = j
		}
	}
	if col < 0 {
		return fmt.Errorf("changes: %q is not an input of the model", ch.Column)
	}
	given := 0
	for _, set := range []bool{ch.SetText != nil, ch.SetNumber != nil, ch.Add != nil, ch.Missing} {
		given += int(indicator(set))
	}
	numeric := t.Columns[col].Kind == Numeric
	if given != 1 || (ch.SetText != nil && numeric) || ((ch.SetNumber != nil || ch.Add != nil) && !numeric) {
		return fmt.Errorf("changes[%s]: give exactly one of setText (categorical), setNumber or add (numeric), missing", ch.Column)
	}
	for i := range t.Rows {
		cell := &t.Rows[i][col]
		switch {
		case ch.Missing:
			*cell = Cell{Missing: true}
		case ch.SetText != nil:
			*cell = Cell{Text: *ch.SetText}
		case ch.SetNumber != nil:
			*cell = Cell{Number: *ch.SetNumber}
		case !cell.Missing:
			cell.Number += *ch.Add
		}
	}
	return nil
}
