package evaluate

import (
	"fmt"
	"math"
)

// Robustness says how decisions move when inputs do. A flip is a row whose decision at the threshold changes.
type Robustness struct {
	Rows          int              `json:"rows"`        // perturbed, drawn by Config.Seed when fewer than all
	BaselineGap   float64          `json:"baselineGap"` // greatest |scorer − given score|: the scorer is the model evaluated
	Perturbations []Perturbation   `json:"perturbations"`
	NearestFlips  []NearestFlip    `json:"nearestFlips"`
	Monotonicity  []MonotoneResult `json:"monotonicity"`
	Cases         []CaseResult     `json:"cases"`
}

// Status of a perturbation: measured, not_applicable (with the reason in Note), or refused (the model rejected the batch).
type Status string

// The values of Status.
const (
	Measured      Status = "measured"
	NotApplicable Status = "not_applicable"
	Refused       Status = "refused"
)

// Perturbation is one change made to every row. Rates are over Scored rows; losses are the metric before minus after for
// AUC (paired DeLong) and after minus before for Brier, so that positive is worse; score changes are in probability.
type Perturbation struct {
	Name          string    `json:"name"`
	Level         float64   `json:"level"`  // noise: standard deviations; missing: fraction of cells; else 0
	Column        string    `json:"column"` // only for a change to one named column
	Status        Status    `json:"status"`
	Note          string    `json:"note"`
	Scored        int       `json:"scored"`
	RefusedRows   int       `json:"refusedRows"` // the model declined to score them
	InvalidRows   int       `json:"invalidRows"` // scored outside [0, 1]: a defect
	Flips         int       `json:"flips"`
	FlipRate      *Estimate `json:"flipRate"` // Wilson
	MeanAbsChange *float64  `json:"meanAbsChange"`
	MaxAbsChange  *float64  `json:"maxAbsChange"`
	AUCLoss       *Estimate `json:"aucLoss"`
	BrierLoss     *Estimate `json:"brierLoss"`
}

// agreement is how far the scorer may be from the given scores: float32 runtimes differ in the seventh digit.
const agreement = 1e-4

type bench struct {
	table  Table
	labels []bool
	base   []float64
	scorer Scorer
	cut, z float64
	seed   uint64
}

func robustness(in Input, cut float64, cfg Config) (Robustness, error) {
	n := len(in.Scores)
	rows := newSource(cfg.Seed, "robustness-rows").sample(n, min(n, cfg.RobustnessRows))
	b := bench{table: in.Table.subset(rows), scorer: in.Scorer, cut: cut, z: zOf(cfg.Confidence), seed: cfg.Seed}
	given, labels := pick(in, rows)
	b.labels = labels
	base, err := b.score(b.table)
	if err != nil {
		return Robustness{}, fmt.Errorf("scorer: on the unchanged rows: %w", err)
	}
	r := Robustness{Rows: len(rows), Perturbations: []Perturbation{}, NearestFlips: []NearestFlip{}, Monotonicity: []MonotoneResult{}}
	for i, s := range base {
		gap := math.Abs(s - given[i])
		if !(gap <= agreement) {
			return Robustness{}, fmt.Errorf("scorer: row %d scores %v but scores[%d] is %v; pass the model that gave the scores", rows[i], s, rows[i], given[i])
		}
		r.BaselineGap = math.Max(r.BaselineGap, gap)
	}
	b.base = base
	for _, level := range cfg.NoiseLevels {
		r.Perturbations = append(r.Perturbations, b.noise(level))
	}
	for _, level := range cfg.MissingLevels {
		r.Perturbations = append(r.Perturbations, b.missing(level))
	}
	r.Perturbations = append(r.Perturbations, b.protectedFlips()...)
	r.Perturbations = append(r.Perturbations, b.unseen(), b.corrupt("nan"), b.corrupt("infinite"), b.corrupt("out_of_range"))
	r.NearestFlips = b.nearestFlips()
	if r.Monotonicity, err = b.monotonicity(cfg.Monotone); err != nil {
		return Robustness{}, err
	}
	if r.Cases, err = b.cases(cfg.Cases); err != nil {
		return Robustness{}, err
	}
	return r, nil
}

func (b bench) score(t Table) ([]float64, error) {
	if len(t.Rows) == 0 {
		return []float64{}, nil
	}
	s, err := b.scorer(t.Rows)
	if err != nil {
		return nil, err
	}
	if len(s) != len(t.Rows) {
		return nil, fmt.Errorf("returned %d scores for %d rows", len(s), len(t.Rows))
	}
	return s, nil
}

// compare scores the changed table and fills the measures.
func (b bench) compare(p Perturbation, t Table) Perturbation {
	after, err := b.score(t)
	if err != nil {
		p.Status, p.Note, p.RefusedRows = Refused, shorten(err.Error()), len(t.Rows)
		return p
	}
	p.Status = Measured
	var was, now, losses []float64
	var labels []bool
	sum, most := 0.0, 0.0
	for i, s := range after {
		switch {
		case math.IsNaN(s):
			p.RefusedRows++
			continue
		case s < 0 || s > 1:
			p.InvalidRows++
			continue
		}
		if (s >= b.cut) != (b.base[i] >= b.cut) {
			p.Flips++
		}
		d, y := math.Abs(s-b.base[i]), indicator(b.labels[i])
		sum, most = sum+d, math.Max(most, d)
		was, now, labels = append(was, b.base[i]), append(now, s), append(labels, b.labels[i])
		losses = append(losses, (s-y)*(s-y)-(b.base[i]-y)*(b.base[i]-y))
	}
	p.Scored = len(now)
	if p.Scored == 0 {
		return p
	}
	p.FlipRate = wilsonOrNil(p.Flips, p.Scored, b.z)
	p.MeanAbsChange, p.MaxAbsChange = ptr(sum/float64(p.Scored)), ptr(most)
	p.BrierLoss = meanCI(losses, b.z)
	if pos := count(labels); pos > 0 && pos < len(labels) {
		d, se := aucDifference(placements(was, labels), placements(now, labels))
		p.AUCLoss = &Estimate{d, d - b.z*se, d + b.z*se}
	}
	return p
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}

func (b bench) noise(level float64) Perturbation {
	p := Perturbation{Name: "noise", Level: level}
	cols := b.table.columns(Numeric)
	if len(cols) == 0 {
		p.Status, p.Note = NotApplicable, "no numeric input"
		return p
	}
	rng, t := newSource(b.seed, fmt.Sprintf("noise:%g", level)), b.table.clone()
	for _, c := range cols {
		_, sd, _, _, _ := b.table.numberStats(c)
		for i := range t.Rows {
			if e := rng.normal(); !t.Rows[i][c].Missing {
				t.Rows[i][c].Number += level * sd * e
			}
		}
	}
	return b.compare(p, t)
}

func (b bench) missing(level float64) Perturbation {
	p := Perturbation{Name: "missing", Level: level}
	rng, t := newSource(b.seed, fmt.Sprintf("missing:%g", level)), b.table.clone()
	for i := range t.Rows {
		for c := range t.Rows[i] {
			if rng.uniform() < level {
				t.Rows[i][c] = Cell{Missing: true}
			}
		}
	}
	return b.compare(p, t)
}

// protectedFlips changes each protected input of a row to another value of that column, in turn by sorted value.
func (b bench) protectedFlips() []Perturbation {
	out := []Perturbation{}
	for c, col := range b.table.Columns {
		if !col.Protected {
			continue
		}
		p := Perturbation{Name: "protected_flip", Column: col.Name}
		t := b.table.clone()
		if col.Kind == Categorical {
			values := b.table.texts(c)
			if len(values) < 2 {
				p.Status, p.Note = NotApplicable, "the column has fewer than two values"
				out = append(out, p)
				continue
			}
			next := map[string]string{}
			for k, v := range values {
				next[v] = values[(k+1)%len(values)]
			}
			for i := range t.Rows {
				if !t.Rows[i][c].Missing {
					t.Rows[i][c].Text = next[t.Rows[i][c].Text]
				}
			}
		} else {
			_, _, least, greatest, _ := b.table.numberStats(c)
			for i := range t.Rows {
				if !t.Rows[i][c].Missing {
					t.Rows[i][c].Number = least + greatest - t.Rows[i][c].Number // mirrors; swaps 0 and 1
				}
			}
		}
		out = append(out, b.compare(p, t))
	}
	if len(out) == 0 {
		out = append(out, Perturbation{Name: "protected_flip", Status: NotApplicable, Note: "no protected attribute is an input of the model"})
	}
	return out
}

// unseen gives each row, in one categorical input drawn by the seed, a category that the data does not have.
func (b bench) unseen() Perturbation {
	p := Perturbation{Name: "unseen_category"}
	cols := b.table.columns(Categorical)
	if len(cols) == 0 {
		p.Status, p.Note = NotApplicable, "no categorical input"
		return p
	}
	words := make([]string, len(cols))
	for k, c := range cols {
		words[k] = "unseen"
		for _, v := range b.table.texts(c) {
			if len(v) >= len(words[k]) && v[:len(words[k])] == words[k] {
				words[k] = v + "_" // sorted order: ends longer than every value that it prefixes
			}
		}
	}
	rng, t := newSource(b.seed, "unseen"), b.table.clone()
	for i := range t.Rows {
		k := rng.below(len(cols))
		t.Rows[i][cols[k]] = Cell{Text: words[k]}
	}
	return b.compare(p, t)
}

// corrupt damages, in each row, one numeric input drawn by the seed: NaN, ±infinity, or ten ranges beyond the data.
func (b bench) corrupt(kind string) Perturbation {
	p := Perturbation{Name: kind}
	cols := b.table.columns(Numeric)
	if len(cols) == 0 {
		p.Status, p.Note = NotApplicable, "no numeric input"
		return p
	}
	low, high := make([]float64, len(cols)), make([]float64, len(cols))
	for k, c := range cols {
		_, _, least, greatest, ok := b.table.numberStats(c)
		if !ok {
			least, greatest = 0, 1
		}
		span := math.Max(greatest-least, 1e-9)
		low[k], high[k] = least-10*span, greatest+10*span
	}
	rng, t := newSource(b.seed, kind), b.table.clone()
	for i := range t.Rows {
		k, up := rng.below(len(cols)), rng.uniform() < .5
		v := math.NaN()
		switch {
		case kind == "infinite" && up:
			v = math.Inf(1)
		case kind == "infinite":
			v = math.Inf(-1)
		case kind == "out_of_range" && up:
			v = high[k]
		case kind == "out_of_range":
			v = low[k]
		}
		t.Rows[i][cols[k]] = Cell{Number: v}
	}
	return b.compare(p, t)
}
