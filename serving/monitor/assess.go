package monitor

import (
	"fmt"
	"math"
)

// AssessmentSchema names the layout of Assessment.
const AssessmentSchema = "affidavit.dev/drift-assessment/v1"

// Verdict of a feature or a window, in rising order. Insufficient: too few rows to say anything.
type Verdict string

// A feature is on watch when its q-value alone is below the limit, on alert when the effect is large as well. A window
// takes the worst of its features; it asks to retrain after enough alert windows in a row or on a performance breach.
const (
	Insufficient Verdict = "insufficient"
	Stable       Verdict = "stable"
	Watch        Verdict = "watch"
	Alert        Verdict = "alert"
	Retrain      Verdict = "retrain"
)

// Policy is declared in advance. Zero fields take the defaults.
type Policy struct {
	PSI         float64 `json:"psi"`         // an effect from here on; default 0.1
	JS          float64 `json:"js"`          // or from this distance on; default 0.1
	Q           float64 `json:"q"`           // false discovery rate over the features; default 0.01
	MinRows     int64   `json:"minRows"`     // below it a window is insufficient; default 200
	Consecutive int     `json:"consecutive"` // alert windows in a row that ask to retrain; default 2

	MinLabels    int64   `json:"minLabels"`    // labels needed, of each class, to judge performance; default 20
	MaxAUCDrop   float64 `json:"maxAucDrop"`   // below the baseline; default 0.05
	MaxBrierRise float64 `json:"maxBrierRise"` // above the baseline; default 0.03
	MaxRateShift float64 `json:"maxRateShift"` // of the selection rate, either way; 0 does not judge it
	Confidence   float64 `json:"confidence"`   // of the intervals that must exclude the limit; default 0.95
}

// FeatureDrift compares one feature. Figures are over the bins (values outside the reference's range in the outermost),
// missing and unseen.
type FeatureDrift struct {
	Name         string   `json:"name"`
	Kind         Kind     `json:"kind"`
	PSI          float64  `json:"psi"`
	PSINull      float64  `json:"psiNull"` // expected without drift: (1/N + 1/M)·(slots − 1)
	JS           float64  `json:"js"`      // distance, base 2, [0, 1]
	ChiSquare    float64  `json:"chiSquare"`
	Degrees      int      `json:"degrees"`
	P            float64  `json:"p"`
	Q            float64  `json:"q"`   // Benjamini–Hochberg over the features
	KS           *float64 `json:"ks"`  // numeric only
	KSP          *float64 `json:"ksP"` // conservative
	MissingShare float64  `json:"missingShare"`
	UnseenShare  float64  `json:"unseenShare"`
	OutsideShare float64  `json:"outsideShare"` // below the least or above the greatest of the reference
	Verdict      Verdict  `json:"verdict"`
}

// Assessment is the reading of one window, enough to attest.
type Assessment struct {
	Schema            string          `json:"schema"`
	Reference         string          `json:"reference"` // digests
	Window            string          `json:"window"`
	Policy            Policy          `json:"policy"`
	Rows              int64           `json:"rows"`
	Features          []FeatureDrift  `json:"features"`
	Performance       PerformanceView `json:"performance"`
	ConsecutiveAlerts int             `json:"consecutiveAlerts"` // this window included; pass it to the next
	Drift             Verdict         `json:"drift"`             // of the features alone
	Verdict           Verdict         `json:"verdict"`
	Reasons           []string        `json:"reasons"`
}

func (p Policy) withDefaults() Policy {
	for _, f := range []struct {
		p *float64
		v float64
	}{{&p.PSI, .1}, {&p.JS, .1}, {&p.Q, .01}, {&p.MaxAUCDrop, .05}, {&p.MaxBrierRise, .03}, {&p.Confidence, .95}} {
		if *f.p == 0 {
			*f.p = f.v
		}
	}
	if p.MinRows == 0 {
		p.MinRows = 200
	}
	if p.Consecutive == 0 {
		p.Consecutive = 2
	}
	if p.MinLabels == 0 {
		p.MinLabels = 20
	}
	return p
}

// Validate names the first field out of range. Assess calls it after the defaults.
func (p Policy) Validate() error {
	for _, f := range []struct {
		name   string
		v, max float64
	}{{"psi", p.PSI, 100}, {"js", p.JS, 1}, {"q", p.Q, .5}, {"maxAucDrop", p.MaxAUCDrop, 1}, {"maxBrierRise", p.MaxBrierRise, 1}} {
		if !(f.v > 0 && f.v <= f.max) {
			return fmt.Errorf("policy.%s: %v is outside (0, %v]", f.name, f.v, f.max)
		}
	}
	if !(p.MaxRateShift >= 0 && p.MaxRateShift <= 1) {
		return fmt.Errorf("policy.maxRateShift: %v is outside [0, 1]", p.MaxRateShift)
	}
	if !(p.Confidence > .5 && p.Confidence < 1) {
		return fmt.Errorf("policy.confidence: %v is outside (0.5, 1)", p.Confidence)
	}
	if p.MinRows < 1 || p.Consecutive < 1 || p.MinLabels < 2 {
		return fmt.Errorf("policy: minRows %d, consecutive %d, minLabels %d; the least are 1, 1 and 2", p.MinRows, p.Consecutive, p.MinLabels)
	}
	return nil
}

// Assess compares a window with its reference. priorAlerts is ConsecutiveAlerts of the window before, 0 for the first.
func (r Reference) Assess(w Window, priorAlerts int, policy Policy) (Assessment, error) {
	policy = policy.withDefaults()
	if err := policy.Validate(); err != nil {
		return Assessment{}, err
	}
	if err := r.Validate(); err != nil {
		return Assessment{}, err
	}
	if err := w.check(r); err != nil {
		return Assessment{}, err
	}
	if priorAlerts < 0 {
		return Assessment{}, fmt.Errorf("priorAlerts: %d is negative", priorAlerts)
	}
	a := Assessment{Schema: AssessmentSchema, Reference: w.Reference, Window: w.Digest(), Policy: policy, Rows: w.Rows,
		Features: []FeatureDrift{}, Drift: Stable, Reasons: []string{}}
	ps := make([]float64, len(r.Features))
	for j, f := range r.Features {
		d := f.compare(w.Counts[j], r.Rows, w.Rows)
		ps[j] = d.P
		a.Features = append(a.Features, d)
	}
	for j, q := range BenjaminiHochberg(ps) {
		d := &a.Features[j]
		d.Q = q
		d.Verdict = policy.feature(*d, w.Rows)
		switch d.Verdict {
		case Alert:
			a.Drift = Alert
			a.Reasons = append(a.Reasons, fmt.Sprintf("%s: PSI %.3f, JS distance %.3f, q %.2g", d.Name, d.PSI, d.JS, d.Q))
		case Watch:
			if a.Drift == Stable {
				a.Drift = Watch
			}
		}
	}
	if w.Rows < policy.MinRows {
		a.Drift = Insufficient
		a.Reasons = append(a.Reasons, fmt.Sprintf("%d rows, fewer than the %d needed to judge drift", w.Rows, policy.MinRows))
	}
	a.Performance = r.view(w.Performance, policy)
	a.settle(priorAlerts)
	return a, nil
}

func (p Policy) feature(d FeatureDrift, rows int64) Verdict {
	switch {
	case rows < p.MinRows:
		return Insufficient
	case d.Q >= p.Q:
		return Stable
	case d.PSI >= p.PSI || d.JS >= p.JS:
		return Alert
	}
	return Watch
}

// settle joins drift and performance. A window too small to judge neither continues nor breaks a run of alerts.
func (a *Assessment) settle(prior int) {
	a.Verdict = a.Drift
	switch a.Drift {
	case Alert:
		a.ConsecutiveAlerts = prior + 1
		if a.ConsecutiveAlerts >= a.Policy.Consecutive {
			a.Verdict = Retrain
			a.Reasons = append(a.Reasons, fmt.Sprintf("%d alert windows in a row", a.ConsecutiveAlerts))
		}
	case Insufficient:
		a.ConsecutiveAlerts = prior
	}
	a.Reasons = append(a.Reasons, a.Performance.Reasons...)
	switch a.Performance.Verdict {
	case Retrain:
		a.Verdict = Retrain
	case Watch:
		if a.Verdict == Stable || a.Verdict == Insufficient {
			a.Verdict = Watch
		}
	}
}

// fold joins under and over with the outermost bins: a reference has nothing outside its own range, and a slot that is
// always empty there would turn every late extreme into an infinite log-ratio.
func (f Feature) fold(c []int64) []int64 {
	if f.Kind == Categorical {
		return c
	}
	last := len(f.Edges) + 2
	out := append([]int64{}, c[1:last]...)
	out[0] += c[0]
	out[len(out)-1] += c[last]
	return append(out, c[last+1:]...)
}

func (f Feature) compare(counts []int64, refRows, rows int64) FeatureDrift {
	d := FeatureDrift{Name: f.Name, Kind: f.Kind, P: 1, Verdict: Insufficient}
	if rows == 0 {
		return d
	}
	ref, now := f.fold(f.Counts), f.fold(counts)
	used := 0
	for k := range ref {
		if ref[k]+now[k] > 0 {
			used++
		}
	}
	n := float64(rows)
	d.PSI, d.JS = PSI(ref, now), JSDistance(ref, now)
	d.PSINull = (1/n + 1/float64(refRows)) * math.Max(0, float64(used-1))
	d.ChiSquare, d.Degrees, d.P = ChiSquare(ref, now)
	p := f.present()
	d.MissingShare, d.UnseenShare = float64(counts[p])/n, float64(counts[p+1])/n
	if f.Kind == Numeric {
		d.OutsideShare = float64(counts[0]+counts[p-1]) / n
		ks, ksp := KolmogorovSmirnov(f.Counts[:p], counts[:p])
		d.KS, d.KSP = &ks, &ksp
	}
	return d
}
