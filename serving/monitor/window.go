package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// WindowSchema names the layout of Window.
const WindowSchema = "affidavit.dev/drift-window/v1"

// ScoreBins is the number of equal-width bins of the score's histogram on [0, 1].
const ScoreBins = 1000

// Limits on a window from outside: with them no sum of two windows overflows.
const (
	maxRows = 1 << 40
	maxSum  = maxRows * 1000000
)

// million is the unit of the integer sums: one millionth.
const million = 1e6

// Window is what was seen in a span of time: counters only. The zero times mean that no time was given.
type Window struct {
	Schema      string      `json:"schema"`
	Reference   string      `json:"reference"` // digest of the Reference
	From        time.Time   `json:"from,omitzero"`
	To          time.Time   `json:"to,omitzero"` // time of the last row, not after it
	Rows        int64       `json:"rows"`
	Counts      [][]int64   `json:"counts"` // per feature of the reference, per slot
	Performance Performance `json:"performance"`
}

// Performance counts scores, and labels as they come. Sums are integers of millionths, so that merging is exact. A label
// is counted with the score of its own prediction, in the window of that prediction or in one merged into it.
type Performance struct {
	Scored           int64   `json:"scored"`
	Selected         int64   `json:"selected"`         // score >= threshold
	Invalid          int64   `json:"invalid"`          // scores outside [0, 1]: not counted elsewhere
	ExpectedPositive int64   `json:"expectedPositive"` // Σ p over all, p recalibrated, millionths
	ExpectedTrue     int64   `json:"expectedTrue"`     // Σ p over selected + Σ (1−p) over the others, millionths
	ExpectedBrier    int64   `json:"expectedBrier"`    // Σ [p(1−s)² + (1−p)s²], millionths
	TP               int64   `json:"tp"`
	FP               int64   `json:"fp"`
	TN               int64   `json:"tn"`
	FN               int64   `json:"fn"`
	SquaredError     int64   `json:"squaredError"`   // Σ (s−y)², millionths
	SquaredErrorSq   int64   `json:"squaredErrorSq"` // Σ (s−y)⁴, millionths
	All              []int64 `json:"all"`            // histogram of scores, ScoreBins long, or empty for none
	Positive         []int64 `json:"positive"`       // of those with a true label
	Negative         []int64 `json:"negative"`
}

// NewWindow is the neutral element of Merge for this reference.
func (r Reference) NewWindow() Window {
	w := Window{Schema: WindowSchema, Reference: r.Digest(), Counts: make([][]int64, len(r.Features))}
	for j, f := range r.Features {
		w.Counts[j] = make([]int64, f.slots())
	}
	w.Performance.All, w.Performance.Positive, w.Performance.Negative = []int64{}, []int64{}, []int64{}
	return w
}

// Counter adds rows to one window. It is not safe for concurrent use: keep one per goroutine and merge.
type Counter struct {
	ref Reference
	w   Window
}

// Counter starts an empty window.
func (r Reference) Counter() (*Counter, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return &Counter{r, r.NewWindow()}, nil
}

// Row counts one row, one Value per feature in the reference's order. The zero time is not recorded.
func (c *Counter) Row(at time.Time, row []Value) error {
	if len(row) != len(c.ref.Features) {
		return fmt.Errorf("row: %d values for %d features of the reference", len(row), len(c.ref.Features))
	}
	for j, f := range c.ref.Features {
		c.w.Counts[j][f.slot(row[j])]++
	}
	c.w.Rows++
	c.w.extend(at, at)
	return nil
}

// Score counts one prediction, a probability in [0, 1]; any other number is counted as invalid.
func (c *Counter) Score(score float64) {
	p := &c.w.Performance
	if !(score >= 0 && score <= 1) {
		p.Invalid++
		return
	}
	b := c.ref.baseline()
	prob := b.recalibrate(score)
	p.Scored++
	right := 1 - prob
	if score >= b.Threshold {
		p.Selected++
		right = prob
	}
	p.ExpectedPositive += millionths(prob)
	p.ExpectedTrue += millionths(right)
	p.ExpectedBrier += millionths(prob*(1-score)*(1-score) + (1-prob)*score*score)
	p.All = bump(p.All, score)
}

// Label counts an outcome with the score that was served. An error leaves the counters as they were.
func (c *Counter) Label(score float64, label bool) error {
	if !(score >= 0 && score <= 1) {
		return fmt.Errorf("label: score %v is not in [0, 1]; pass the score that was served", score)
	}
	p := &c.w.Performance
	selected, d := score >= c.ref.baseline().Threshold, score
	switch {
	case label && selected:
		p.TP++
	case label:
		p.FN++
	case selected:
		p.FP++
	default:
		p.TN++
	}
	if label {
		d = 1 - score
		p.Positive = bump(p.Positive, score)
	} else {
		p.Negative = bump(p.Negative, score)
	}
	p.SquaredError += millionths(d * d)
	p.SquaredErrorSq += millionths(d * d * d * d)
	return nil
}

// Window is a copy of what was counted so far.
func (c *Counter) Window() Window { return c.w.clone() }

// baseline of a reference without one: the cut at one half, scores as they are.
func (r Reference) baseline() Baseline {
	if r.Baseline != nil {
		return *r.Baseline
	}
	return Baseline{Threshold: .5, Slope: 1}
}

func (b Baseline) recalibrate(score float64) float64 {
	if b.Slope == 1 && b.Intercept == 0 {
		return score
	}
	s := math.Min(1-1e-12, math.Max(1e-12, score))
	return 1 / (1 + math.Exp(-b.Intercept-b.Slope*(math.Log(s)-math.Log1p(-s))))
}

func millionths(x float64) int64 { return int64(math.Round(x * million)) }

func bump(h []int64, score float64) []int64 {
	if len(h) == 0 {
		h = make([]int64, ScoreBins)
	}
	h[min(ScoreBins-1, int(score*ScoreBins))]++
	return h
}

func (w *Window) extend(from, to time.Time) {
	if !from.IsZero() && (w.From.IsZero() || from.Before(w.From)) {
		w.From = from.UTC().Round(0)
	}
	if !to.IsZero() && to.After(w.To) {
		w.To = to.UTC().Round(0)
	}
}

func (w Window) clone() Window {
	c := w
	c.Counts = make([][]int64, len(w.Counts))
	for j := range w.Counts {
		c.Counts[j] = append([]int64{}, w.Counts[j]...)
	}
	p := &c.Performance
	p.All, p.Positive, p.Negative = append([]int64{}, p.All...), append([]int64{}, p.Positive...), append([]int64{}, p.Negative...)
	return c
}

// Merge adds two windows of one reference: associative, commutative, exact.
func Merge(a, b Window) (Window, error) {
	if a.Schema != WindowSchema || b.Schema != WindowSchema {
		return Window{}, fmt.Errorf("window.schema: %.60q and %.60q; this version merges %s", a.Schema, b.Schema, WindowSchema)
	}
	if a.Reference != b.Reference || len(a.Counts) != len(b.Counts) {
		return Window{}, fmt.Errorf("window.reference: %.12s and %.12s; only windows over the same reference merge", a.Reference, b.Reference)
	}
	m := a.clone()
	for j := range m.Counts {
		if len(m.Counts[j]) != len(b.Counts[j]) {
			return Window{}, fmt.Errorf("window.counts[%d]: %d and %d slots", j, len(m.Counts[j]), len(b.Counts[j]))
		}
		addTo(m.Counts[j], b.Counts[j])
	}
	m.Rows += b.Rows
	m.extend(b.From, b.To)
	p, q := &m.Performance, b.Performance
	ints, more := p.ints(), q.ints()
	if m.Rows > maxRows {
		return Window{}, fmt.Errorf("window.rows: %d together; more than 2^40", m.Rows)
	}
	for i := range ints {
		if *ints[i] += *more[i]; *ints[i] > maxSum {
			return Window{}, errors.New("window.performance: a counter beyond any count")
		}
	}
	for i, h := range p.histograms() {
		o := *q.histograms()[i]
		if len(*h) == 0 {
			*h = append([]int64{}, o...)
		} else if len(o) > 0 {
			if len(o) != len(*h) {
				return Window{}, errors.New("window.performance: histograms of other lengths")
			}
			addTo(*h, o)
		}
	}
	return m, nil
}

func addTo(a, b []int64) {
	for k := range a {
		a[k] += b[k]
	}
}

func (p *Performance) ints() []*int64 {
	return []*int64{&p.Scored, &p.Selected, &p.Invalid, &p.ExpectedPositive, &p.ExpectedTrue, &p.ExpectedBrier,
		&p.TP, &p.FP, &p.TN, &p.FN, &p.SquaredError, &p.SquaredErrorSq}
}

func (p *Performance) histograms() []*[]int64 { return []*[]int64{&p.All, &p.Positive, &p.Negative} }

// Digest is the hex SHA-256 of the window's JSON.
func (w Window) Digest() string { return digest(w) }

// check refuses a window that is not of this reference or whose counters contradict each other.
func (w Window) check(r Reference) error {
	if w.Schema != WindowSchema {
		return fmt.Errorf("window.schema: %.60q; this version reads %s", w.Schema, WindowSchema)
	}
	if d := r.Digest(); w.Reference != d {
		return fmt.Errorf("window.reference: counted over %.12s, compared with %.12s; use the reference it was counted over", w.Reference, d)
	}
	if w.Rows > maxRows {
		return fmt.Errorf("window.rows: %d is more than 2^40", w.Rows)
	}
	if w.Rows < 0 || len(w.Counts) != len(r.Features) {
		return fmt.Errorf("window.counts: %d features, the reference has %d", len(w.Counts), len(r.Features))
	}
	for j, f := range r.Features {
		if err := checkCounts(w.Counts[j], f.slots(), w.Rows); err != nil {
			return fmt.Errorf("window.features[%s].%w", f.Name, err)
		}
	}
	p := w.Performance
	for _, n := range p.ints() {
		if *n < 0 || *n > maxSum {
			return errors.New("window.performance: a negative counter, or one beyond any count")
		}
	}
	if p.Selected > p.Scored {
		return errors.New("window.performance.selected: more than scored")
	}
	for _, c := range []struct {
		name string
		h    []int64
		n    int64
	}{{"all", p.All, p.Scored}, {"positive", p.Positive, p.TP + p.FN}, {"negative", p.Negative, p.FP + p.TN}} {
		if len(c.h) == 0 && c.n == 0 {
			continue
		}
		if err := checkCounts(c.h, ScoreBins, c.n); err != nil {
			return fmt.Errorf("window.performance.%s: %w", c.name, err)
		}
	}
	return nil
}

// ParseWindow reads JSON of at most 64 MB and checks it against its reference.
func ParseWindow(r Reference, data []byte) (Window, error) {
	var w Window
	if len(data) > maxBytes {
		return w, errors.New("window: larger than 64 MB")
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return Window{}, fmt.Errorf("window: %w", err)
	}
	return w, w.check(r)
}
