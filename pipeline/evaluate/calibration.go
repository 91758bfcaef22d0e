package evaluate

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// Calibration says whether scores are probabilities. Rows are not those the model was fitted on, so Hosmer–Lemeshow has
// as many degrees of freedom as groups.
type Calibration struct {
	Bins           []ReliabilityBin `json:"bins"` // equal width on [0, 1]; empty ones left out
	ECE            float64          `json:"ece"`  // Σ n_b/n · |observed − mean score|
	MCE            float64          `json:"mce"`  // the largest of those gaps
	MeanGap        Estimate         `json:"meanGap"`
	Slope          *Estimate        `json:"slope"`          // of logit(score); 1 is ideal, below 1 is overconfident
	Intercept      *Estimate        `json:"intercept"`      // of the same fit, log-odds
	InTheLarge     *Estimate        `json:"inTheLarge"`     // intercept with the slope held at 1, log-odds; 0 is ideal
	HosmerLemeshow TestResult       `json:"hosmerLemeshow"` // on groups of equal size by score
	Spiegelhalter  TestResult       `json:"spiegelhalter"`  // statistic is z, two-sided
}

// ReliabilityBin holds the rows with score in [Low, High), the last bin including 1.
type ReliabilityBin struct {
	Low       float64  `json:"low"`
	High      float64  `json:"high"`
	Rows      int      `json:"rows"`
	MeanScore float64  `json:"meanScore"`
	Observed  Estimate `json:"observed"` // share of true labels, Wilson
}

// TestResult is a test statistic with its p-value; both null when it cannot be computed.
type TestResult struct {
	Statistic *float64 `json:"statistic"`
	Degrees   int      `json:"degrees"` // of freedom; 0 for a normal statistic
	P         *float64 `json:"p"`
}

func calibrate(scores []float64, labels []bool, bins int, z float64) Calibration {
	n := len(scores)
	rows, sums, hits := make([]int, bins), make([]float64, bins), make([]int, bins)
	gaps := make([]float64, n)
	for i, s := range scores {
		b := min(bins-1, int(s*float64(bins)))
		rows[b]++
		sums[b] += s
		hits[b] += int(indicator(labels[i]))
		gaps[i] = indicator(labels[i]) - s
	}
	c := Calibration{Bins: []ReliabilityBin{}, MeanGap: *meanCI(gaps, z)}
	for b := range rows {
		if rows[b] == 0 {
			continue
		}
		r := ReliabilityBin{float64(b) / float64(bins), float64(b+1) / float64(bins), rows[b], sums[b] / float64(rows[b]), wilson(hits[b], rows[b], z)}
		gap := math.Abs(r.Observed.Value - r.MeanScore)
		c.ECE += float64(rows[b]) / float64(n) * gap
		c.MCE = math.Max(c.MCE, gap)
		c.Bins = append(c.Bins, r)
	}
	c.Intercept, c.Slope, c.InTheLarge = recalibration(scores, labels, z)
	c.HosmerLemeshow = hosmerLemeshow(scores, labels, bins)
	c.Spiegelhalter = spiegelhalter(scores, labels)
	return c
}

// recalibration fits logit P(y) = a + b·logit(score) (Cox 1958), and a alone with b = 1. A fit that does not converge
// (separated classes, constant scores) is nil.
func recalibration(scores []float64, labels []bool, z float64) (intercept, slope, large *Estimate) {
	n := len(scores)
	x, ones, offset := make([][]float64, n), make([][]float64, n), make([]float64, n)
	for i, s := range scores {
		l := math.Log(clip(s)) - math.Log1p(-clip(s))
		x[i], ones[i], offset[i] = []float64{1, l}, []float64{1}, l
	}
	if beta, se, err := FitLogistic(x, labels, nil, 0); err == nil {
		intercept = &Estimate{beta[0], beta[0] - z*se[0], beta[0] + z*se[0]}
		slope = &Estimate{beta[1], beta[1] - z*se[1], beta[1] + z*se[1]}
	}
	if beta, se, err := FitLogistic(ones, labels, offset, 0); err == nil {
		large = &Estimate{beta[0], beta[0] - z*se[0], beta[0] + z*se[0]}
	}
	return intercept, slope, large
}

// hosmerLemeshow groups rows by score into g groups of equal size (ties in row order) and sums (O − E)²/(n·p̄·(1 − p̄)).
func hosmerLemeshow(scores []float64, labels []bool, g int) TestResult {
	n := len(scores)
	if n < 2*g {
		return TestResult{Degrees: g}
	}
	idx := indexes(n, func(int) bool { return true })
	sort.SliceStable(idx, func(a, b int) bool { return scores[idx[a]] < scores[idx[b]] })
	stat := 0.0
	for k := 0; k < g; k++ {
		part := idx[k*n/g : (k+1)*n/g]
		o, e, m := 0.0, 0.0, float64(len(part))
		for _, i := range part {
			o += indicator(labels[i])
			e += scores[i]
		}
		v := e * (1 - e/m)
		if v <= 0 {
			if o == e {
				continue
			}
			return TestResult{Degrees: g} // a score of 0 or 1 was contradicted: the statistic is infinite
		}
		stat += (o - e) * (o - e) / v
	}
	return TestResult{ptr(stat), g, ptr(distuv.ChiSquared{K: float64(g)}.Survival(stat))}
}

// spiegelhalter is Spiegelhalter's (1986) z: Σ (y − p)(1 − 2p) / √(Σ (1 − 2p)² p(1 − p)).
func spiegelhalter(scores []float64, labels []bool) TestResult {
	num, v := 0.0, 0.0
	for i, p := range scores {
		num += (indicator(labels[i]) - p) * (1 - 2*p)
		v += (1 - 2*p) * (1 - 2*p) * p * (1 - p)
	}
	if v <= 0 {
		return TestResult{}
	}
	z := num / math.Sqrt(v)
	return TestResult{ptr(z), 0, ptr(math.Erfc(math.Abs(z) / math.Sqrt2))}
}
