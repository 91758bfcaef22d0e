package monitor

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Estimate is a value with its confidence interval.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// PerformanceView is what is known of performance: realised on the labels that came, estimated without labels on every
// score. Only realised figures can be a breach; an estimate beyond a limit is a watch.
type PerformanceView struct {
	Scored         int64     `json:"scored"`
	Invalid        int64     `json:"invalid"`
	Labelled       int64     `json:"labelled"`
	LabelledShare  float64   `json:"labelledShare"` // of the scored
	SelectionRate  *Estimate `json:"selectionRate"` // Wilson; the deny rate when selection is denial
	PositiveRate   *Estimate `json:"positiveRate"`  // of the labels
	AUC            *Estimate `json:"auc"`           // DeLong on the histogram
	Brier          *Estimate `json:"brier"`
	Accuracy       *Estimate `json:"accuracy"`
	EstimatedAUC   *float64  `json:"estimatedAuc"` // confidence-based (CBPE): assumes that recalibrated scores hold
	EstimatedBrier *float64  `json:"estimatedBrier"`
	EstimatedAcc   *float64  `json:"estimatedAccuracy"`
	EstimatedRate  *float64  `json:"estimatedPositiveRate"`
	Reconciled     []Gap     `json:"reconciled"` // once labels suffice: how far the estimate was
	Verdict        Verdict   `json:"verdict"`    // insufficient, stable, watch or retrain (a breach)
	Reasons        []string  `json:"reasons"`
}

// Gap is realised minus estimated; Held says that the estimate lies in the realised interval.
type Gap struct {
	Metric string  `json:"metric"`
	Gap    float64 `json:"gap"`
	Held   bool    `json:"held"`
}

func (r Reference) view(p Performance, policy Policy) PerformanceView {
	z := distuv.UnitNormal.Quantile(.5 + policy.Confidence/2)
	pos, neg := p.TP+p.FN, p.FP+p.TN
	v := PerformanceView{Scored: p.Scored, Invalid: p.Invalid, Labelled: pos + neg, Reconciled: []Gap{}, Verdict: Insufficient, Reasons: []string{}}
	if p.Scored > 0 {
		n := float64(p.Scored)
		v.LabelledShare = float64(v.Labelled) / n
		v.SelectionRate = wilson(p.Selected, p.Scored, z)
		v.EstimatedBrier = share(p.ExpectedBrier, n)
		v.EstimatedAcc = share(p.ExpectedTrue, n)
		v.EstimatedRate = share(p.ExpectedPositive, n)
		v.EstimatedAUC = estimatedAUC(p.All, r.baseline())
	}
	if v.Labelled > 0 {
		v.PositiveRate = wilson(pos, v.Labelled, z)
		v.Accuracy = wilson(p.TP+p.TN, v.Labelled, z)
	}
	if v.Labelled > 1 {
		n := float64(v.Labelled)
		m := float64(p.SquaredError) / million / n
		variance := math.Max(0, float64(p.SquaredErrorSq)/million/n-m*m) / (n - 1)
		v.Brier = &Estimate{m, math.Max(0, m-z*math.Sqrt(variance)), math.Min(1, m+z*math.Sqrt(variance))}
	}
	if pos > 0 && neg > 0 {
		auc, se := binnedAUC(floats(p.Positive), floats(p.Negative))
		v.AUC = &Estimate{auc, math.Max(0, auc-z*se), math.Min(1, auc+z*se)}
	}
	if r.Baseline != nil {
		v.judge(*r.Baseline, policy, pos >= policy.MinLabels && neg >= policy.MinLabels)
	}
	return v
}

// judge breaches a limit only when the whole interval is beyond it; a point beyond it is a watch.
func (v *PerformanceView) judge(b Baseline, p Policy, enough bool) {
	if enough || (p.MaxRateShift > 0 && v.Scored >= p.MinRows) {
		v.Verdict = Stable
	}
	raise := func(to Verdict, format string, args ...any) {
		if v.Verdict != Retrain {
			v.Verdict = to
		}
		v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
	}
	// beyond is measured against falling values; rising ones are passed negated.
	rule := func(name string, value, worstCase, limit float64, rising bool) {
		if rising {
			value, worstCase, limit = -value, -worstCase, -limit
		}
		switch {
		case worstCase < limit:
			raise(Retrain, "%s %.4f breaches the limit %.4f, and so does its whole interval", name, math.Abs(value), math.Abs(limit))
		case value < limit:
			raise(Watch, "%s %.4f is beyond the limit %.4f, its interval is not", name, math.Abs(value), math.Abs(limit))
		}
	}
	aucLimit, brierLimit := b.AUC-p.MaxAUCDrop, b.Brier+p.MaxBrierRise
	if enough {
		rule("AUC", v.AUC.Value, v.AUC.High, aucLimit, false)
		rule("Brier score", v.Brier.Value, v.Brier.Low, brierLimit, true)
		v.reconcile()
	} else {
		if v.EstimatedAUC != nil && v.Scored >= p.MinRows && *v.EstimatedAUC < aucLimit {
			raise(Watch, "estimated AUC %.4f is below the limit %.4f; labels are awaited", *v.EstimatedAUC, aucLimit)
		}
		if v.EstimatedBrier != nil && v.Scored >= p.MinRows && *v.EstimatedBrier > brierLimit {
			raise(Watch, "estimated Brier score %.4f is above the limit %.4f; labels are awaited", *v.EstimatedBrier, brierLimit)
		}
	}
	if p.MaxRateShift > 0 && v.SelectionRate != nil && v.Scored >= p.MinRows {
		s := *v.SelectionRate
		rule("selection rate", s.Value, s.Low, b.SelectionRate+p.MaxRateShift, true)
		if low := b.SelectionRate - p.MaxRateShift; low > 0 {
			rule("selection rate", s.Value, s.High, low, false)
		}
	}
	if v.Invalid > 0 {
		raise(Watch, "%d scores were outside [0, 1]", v.Invalid)
	}
}

func (v *PerformanceView) reconcile() {
	for _, c := range []struct {
		name string
		real *Estimate
		est  *float64
	}{{"auc", v.AUC, v.EstimatedAUC}, {"brier", v.Brier, v.EstimatedBrier}, {"accuracy", v.Accuracy, v.EstimatedAcc}, {"positiveRate", v.PositiveRate, v.EstimatedRate}} {
		if c.real != nil && c.est != nil {
			v.Reconciled = append(v.Reconciled, Gap{c.name, c.real.Value - *c.est, *c.est >= c.real.Low && *c.est <= c.real.High})
		}
	}
}

func share(sum int64, n float64) *float64 {
	v := float64(sum) / million / n
	return &v
}

// wilson is Wilson's score interval.
func wilson(x, n int64, z float64) *Estimate {
	p, m := float64(x)/float64(n), float64(n)
	d := 1 + z*z/m
	mid, half := (p+z*z/(2*m))/d, z/d*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return &Estimate{p, math.Max(0, math.Min(p, mid-half)), math.Min(1, math.Max(p, mid+half))}
}

func floats(h []int64) []float64 {
	out := make([]float64, len(h))
	for k, n := range h {
		out[k] = float64(n)
	}
	return out
}

// binnedAUC is P(positive in a higher bin) + ½·P(same bin), with DeLong's standard error on the bins as ties. Scores
// that differ by less than a bin's width count as equal, so it is at most half the tied mass from the exact AUC.
func binnedAUC(pos, neg []float64) (auc, se float64) {
	var n1, n0 float64
	for k := range pos {
		n1 += pos[k]
		n0 += neg[k]
	}
	var below, passed, s10, s01 float64
	for k := range pos {
		v10 := (below + neg[k]/2) / n0
		v01 := (n1 - passed - pos[k]/2) / n1
		auc += pos[k] * v10 / n1
		s10 += pos[k] * v10 * v10
		s01 += neg[k] * v01 * v01
		below += neg[k]
		passed += pos[k]
	}
	if n1 > 1 && n0 > 1 {
		se = math.Sqrt(math.Max(0, (s10-n1*auc*auc)/(n1-1)/n1+(s01-n0*auc*auc)/(n0-1)/n0))
	}
	return auc, se
}

// estimatedAUC splits each bin of scores into expected positives and negatives at its middle.
func estimatedAUC(all []int64, b Baseline) *float64 {
	if len(all) == 0 {
		return nil
	}
	pos, neg, mass := make([]float64, len(all)), make([]float64, len(all)), [2]float64{}
	for k, n := range all {
		p := b.recalibrate((float64(k) + .5) / ScoreBins)
		pos[k], neg[k] = p*float64(n), (1-p)*float64(n)
		mass[0], mass[1] = mass[0]+pos[k], mass[1]+neg[k]
	}
	if mass[0] == 0 || mass[1] == 0 {
		return nil
	}
	auc, _ := binnedAUC(pos, neg)
	return &auc
}
