package evaluate

import (
	"math"
	"sort"
)

// clipAt keeps log and logit finite: scores are moved into [clipAt, 1 − clipAt] there, and counted.
const clipAt = 1e-12

// Confusion counts rows at the threshold.
type Confusion struct {
	TP int `json:"tp"`
	FP int `json:"fp"`
	TN int `json:"tn"`
	FN int `json:"fn"`
}

// Discrimination says how well the score separates the classes. AUC has DeLong's interval, the rates Wilson's, Brier and
// log loss (nats) a normal one.
type Discrimination struct {
	AUC              Estimate  `json:"auc"`
	AUCStandardError float64   `json:"aucStandardError"`
	Gini             float64   `json:"gini"` // 2·AUC − 1
	KS               float64   `json:"ks"`   // max |TPR − FPR|
	KSAt             float64   `json:"ksAt"` // the cut where it is reached
	AveragePrecision float64   `json:"averagePrecision"`
	LogLoss          Estimate  `json:"logLoss"`
	Brier            Estimate  `json:"brier"`
	BrierSkill       float64   `json:"brierSkill"` // 1 − Brier / Brier of the base rate
	BaseRate         float64   `json:"baseRate"`
	MeanScore        float64   `json:"meanScore"`
	ClippedScores    int       `json:"clippedScores"`
	Confusion        Confusion `json:"confusion"`
	Accuracy         Estimate  `json:"accuracy"`
	Recall           *Estimate `json:"recall"`      // TP / (TP + FN)
	Specificity      *Estimate `json:"specificity"` // TN / (TN + FP)
	Precision        *Estimate `json:"precision"`   // TP / (TP + FP)
	F1               *float64  `json:"f1"`
	MCC              *float64  `json:"mcc"` // Matthews' correlation
	SelectionRate    Estimate  `json:"selectionRate"`
}

func discriminate(scores []float64, labels []bool, cut, z float64) Discrimination {
	auc, se := AUC(scores, labels)
	d := Discrimination{AUC: wald(auc, se, z), AUCStandardError: se, Gini: 2*auc - 1, AveragePrecision: averagePrecision(scores, labels)}
	d.KS, d.KSAt = kolmogorovSmirnov(scores, labels)
	n := len(scores)
	losses, squares := make([]float64, n), make([]float64, n)
	for i, s := range scores {
		y := indicator(labels[i])
		c := clip(s)
		if c != s {
			d.ClippedScores++
		}
		losses[i] = -math.Log(c)
		if !labels[i] {
			losses[i] = -math.Log1p(-c)
		}
		squares[i] = (s - y) * (s - y)
		d.MeanScore += s
	}
	d.MeanScore /= float64(n)
	d.LogLoss, d.Brier = *meanCI(losses, z), *meanCI(squares, z)
	d.BaseRate = float64(count(labels)) / float64(n)
	d.BrierSkill = 1 - d.Brier.Value/(d.BaseRate*(1-d.BaseRate))
	c := confusion(scores, labels, cut)
	d.Confusion = c
	d.Accuracy = wilson(c.TP+c.TN, n, z)
	d.Recall = wilsonOrNil(c.TP, c.TP+c.FN, z)
	d.Specificity = wilsonOrNil(c.TN, c.TN+c.FP, z)
	d.Precision = wilsonOrNil(c.TP, c.TP+c.FP, z)
	d.F1 = ratio(2*c.TP, 2*c.TP+c.FP+c.FN)
	d.MCC = matthews(c)
	d.SelectionRate = wilson(c.TP+c.FP, n, z)
	return d
}

func matthews(c Confusion) *float64 {
	tp, fp, tn, fn := float64(c.TP), float64(c.FP), float64(c.TN), float64(c.FN)
	d := math.Sqrt(tp+fp) * math.Sqrt(tp+fn) * math.Sqrt(tn+fp) * math.Sqrt(tn+fn)
	if d == 0 {
		return nil
	}
	return ptr((tp*tn - fp*fn) / d)
}

func wilsonOrNil(x, n int, z float64) *Estimate {
	if n == 0 {
		return nil
	}
	e := wilson(x, n, z)
	return &e
}

// wald is value ± z·se, kept inside [0, 1].
func wald(value, se, z float64) Estimate {
	return Estimate{value, math.Max(0, value-z*se), math.Min(1, value+z*se)}
}

func clip(s float64) float64 { return math.Min(1-clipAt, math.Max(clipAt, s)) }

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func confusion(scores []float64, labels []bool, cut float64) Confusion {
	var c Confusion
	for i, s := range scores {
		switch {
		case s >= cut && labels[i]:
			c.TP++
		case s >= cut:
			c.FP++
		case labels[i]:
			c.FN++
		default:
			c.TN++
		}
	}
	return c
}

// AUC is the area under the ROC curve, P(score⁺ > score⁻) + ½·P(equal), with DeLong's standard error (DeLong, DeLong,
// Clarke-Pearson 1988) by midranks (Sun and Xu 2014). Both classes must be present; with one row in a class its part of
// the variance is taken as zero.
func AUC(scores []float64, labels []bool) (auc, se float64) {
	v := placements(scores, labels)
	return v.auc, math.Sqrt(v.variance())
}

// placement holds DeLong's structural components: per positive row the share of negatives below it, per negative row the
// share of positives above it, in row order.
type placement struct {
	auc      float64
	pos, neg []float64
}

func placements(scores []float64, labels []bool) placement {
	n := len(scores)
	all, own := make([]float64, n), make([]float64, n)
	midranks(scores, indexes(n, func(int) bool { return true }), all)
	midranks(scores, indexes(n, func(i int) bool { return labels[i] }), own)
	midranks(scores, indexes(n, func(i int) bool { return !labels[i] }), own)
	n1 := count(labels)
	n0 := n - n1
	p := placement{pos: make([]float64, 0, n1), neg: make([]float64, 0, n0)}
	for i := range scores {
		if labels[i] {
			p.pos = append(p.pos, (all[i]-own[i])/float64(n0))
		} else {
			p.neg = append(p.neg, 1-(all[i]-own[i])/float64(n1))
		}
	}
	p.auc = mean(p.pos)
	return p
}

func (p placement) variance() float64 {
	return covariance(p.pos, p.pos)/float64(len(p.pos)) + covariance(p.neg, p.neg)/float64(len(p.neg))
}

// aucDifference is AUC(a) − AUC(b) on the same rows, with the standard error that counts their correlation.
func aucDifference(a, b placement) (diff, se float64) {
	cov := covariance(a.pos, b.pos)/float64(len(a.pos)) + covariance(a.neg, b.neg)/float64(len(a.neg))
	return a.auc - b.auc, math.Sqrt(math.Max(0, a.variance()+b.variance()-2*cov))
}

func indexes(n int, keep func(int) bool) []int {
	out := make([]int, 0, n)
	for i := 0; i < n; i++ {
		if keep(i) {
			out = append(out, i)
		}
	}
	return out
}

// midranks writes, for each index, its rank from 1 among idx; ties share the mean rank.
func midranks(x []float64, idx []int, out []float64) {
	sort.SliceStable(idx, func(a, b int) bool { return x[idx[a]] < x[idx[b]] })
	for i := 0; i < len(idx); {
		j := i
		for j < len(idx) && x[idx[j]] == x[idx[i]] {
			j++
		}
		for k := i; k < j; k++ {
			out[idx[k]] = float64(i+j+1) / 2
		}
		i = j
	}
}

func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}

// covariance has n−1 below; it is zero for fewer than two values.
func covariance(x, y []float64) float64 {
	if len(x) < 2 {
		return 0
	}
	mx, my, s := mean(x), mean(y), 0.0
	for i := range x {
		s += (x[i] - mx) * (y[i] - my)
	}
	return s / float64(len(x)-1)
}

// step is the state once every row with score >= cut is selected.
type step struct {
	cut    float64
	tp, fp int
}

// rocSteps has one step per distinct score, from the highest down, after a first step that selects nobody.
func rocSteps(scores []float64, labels []bool) []step {
	idx := indexes(len(scores), func(int) bool { return true })
	sort.SliceStable(idx, func(a, b int) bool { return scores[idx[a]] > scores[idx[b]] })
	out := []step{{cut: math.Nextafter(scores[idx[0]], math.Inf(1))}}
	var tp, fp int
	for k, i := range idx {
		if labels[i] {
			tp++
		} else {
			fp++
		}
		if k+1 == len(idx) || scores[idx[k+1]] != scores[i] {
			out = append(out, step{scores[i], tp, fp})
		}
	}
	return out
}

func kolmogorovSmirnov(scores []float64, labels []bool) (ks, at float64) {
	steps := rocSteps(scores, labels)
	last := steps[len(steps)-1]
	for _, s := range steps {
		if d := math.Abs(float64(s.tp)/float64(last.tp) - float64(s.fp)/float64(last.fp)); d > ks {
			ks, at = d, s.cut
		}
	}
	return ks, at
}

// averagePrecision is Σ (Rₙ − Rₙ₋₁)·Pₙ over the distinct cuts, without interpolation.
func averagePrecision(scores []float64, labels []bool) float64 {
	steps := rocSteps(scores, labels)
	pos := float64(steps[len(steps)-1].tp)
	ap, prev := 0.0, 0
	for _, s := range steps[1:] {
		ap += float64(s.tp-prev) / pos * float64(s.tp) / float64(s.tp+s.fp)
		prev = s.tp
	}
	return ap
}
