package evaluate

import (
	"math"
	"sort"
)

// EqualizedOdds compares error rates: Difference = max(ΔTPR, ΔFPR), Ratio = min(TPR ratio, FPR ratio), each over the
// groups with both classes. Intervals are percentiles of a stratified bootstrap: within group and label, the decisions
// are resampled, so group sizes and base rates stay as observed.
type EqualizedOdds struct {
	Difference    Estimate `json:"difference"`
	Ratio         Estimate `json:"ratio"`
	TPRDifference Estimate `json:"tprDifference"` // equal opportunity difference
	FPRDifference Estimate `json:"fprDifference"`
	Groups        []string `json:"groups"`
	Replicates    int      `json:"replicates"`
	Seed          uint64   `json:"seed"`
}

// equalizedOdds draws from the stream of this attribute, so adding an attribute does not move another's interval.
func equalizedOdds(name string, groups []Group, eligible []int, cfg Config) *EqualizedOdds {
	out := EqualizedOdds{Groups: []string{}, Replicates: cfg.Replicates, Seed: cfg.Seed}
	cells := []Confusion{}
	for _, i := range eligible {
		if c := groups[i].c; c.TP+c.FN > 0 && c.FP+c.TN > 0 {
			cells = append(cells, c)
			out.Groups = append(out.Groups, groups[i].Group)
		}
	}
	if len(cells) < 2 {
		return nil
	}
	rng := newSource(cfg.Seed, "equalized-odds:"+name)
	var draws [4][]float64
	again := make([]Confusion, len(cells))
	for b := 0; b < cfg.Replicates; b++ {
		for k, c := range cells {
			pos, neg := c.TP+c.FN, c.FP+c.TN
			again[k].TP = rng.binomial(pos, float64(c.TP)/float64(pos))
			again[k].FP = rng.binomial(neg, float64(c.FP)/float64(neg))
			again[k].FN, again[k].TN = pos-again[k].TP, neg-again[k].FP
		}
		for m, v := range oddsGaps(again) {
			draws[m] = append(draws[m], v)
		}
	}
	points := oddsGaps(cells)
	targets := []*Estimate{&out.Difference, &out.Ratio, &out.TPRDifference, &out.FPRDifference}
	for m, e := range targets {
		sort.Float64s(draws[m])
		tail := (1 - cfg.Confidence) / 2
		*e = Estimate{points[m], percentile(draws[m], tail), percentile(draws[m], 1-tail)}
	}
	return &out
}

// oddsGaps is {difference, ratio, ΔTPR, ΔFPR}. Two rates of zero are equal, so their ratio is 1.
func oddsGaps(cells []Confusion) [4]float64 {
	minT, maxT, minF, maxF := math.Inf(1), 0.0, math.Inf(1), 0.0
	for _, c := range cells {
		t, f := float64(c.TP)/float64(c.TP+c.FN), float64(c.FP)/float64(c.FP+c.TN)
		minT, maxT = math.Min(minT, t), math.Max(maxT, t)
		minF, maxF = math.Min(minF, f), math.Max(maxF, f)
	}
	part := func(lo, hi float64) float64 {
		if hi == 0 {
			return 1
		}
		return lo / hi
	}
	return [4]float64{math.Max(maxT-minT, maxF-minF), math.Min(part(minT, maxT), part(minF, maxF)), maxT - minT, maxF - minF}
}

// percentile interpolates linearly between order statistics (type 7) of ascending x.
func percentile(x []float64, q float64) float64 {
	h := q * float64(len(x)-1)
	i := int(h)
	if i >= len(x)-1 {
		return x[len(x)-1]
	}
	return x[i] + (h-float64(i))*(x[i+1]-x[i])
}
