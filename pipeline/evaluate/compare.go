package evaluate

import (
	"fmt"
	"math"
)

// ComparisonSchema names the layout of Comparison.
const ComparisonSchema = "affidavit.dev/model-comparison/v1"

// Pair is a champion and a challenger scored on the same rows.
type Pair struct {
	Labels        []bool
	Champion      []float64 // probabilities, [0, 1]
	Challenger    []float64
	ChampionCut   float64 // threshold of each
	ChallengerCut float64
	Confidence    float64 // default 0.95
	Margin        float64 // the AUC that the challenger may lose and still be called non-inferior; default 0.01
}

// Standing is the challenger's place by AUC, from the interval of the difference.
type Standing string

// Superior: the interval is above 0. NonInferior: above −margin. Inferior: below 0. Undecided: none of them. An interval
// within (−margin, 0) is non-inferior.
const (
	Superior    Standing = "superior"
	NonInferior Standing = "non_inferior"
	Inferior    Standing = "inferior"
	Undecided   Standing = "undecided"
)

// Comparison says how the challenger differs. Differences are challenger minus champion.
type Comparison struct {
	Schema            string   `json:"schema"`
	Rows              int      `json:"rows"`
	Confidence        float64  `json:"confidence"`
	Margin            float64  `json:"margin"`
	ChampionAUC       Estimate `json:"championAuc"`
	ChallengerAUC     Estimate `json:"challengerAuc"`
	AUCDifference     Estimate `json:"aucDifference"` // paired DeLong
	AUCP              *float64 `json:"aucP"`          // two-sided; null when the two rank alike
	BrierDifference   Estimate `json:"brierDifference"`
	LogLossDifference Estimate `json:"logLossDifference"` // nats
	Changed           Estimate `json:"changed"`           // share of rows whose decision differs (Wilson)
	NewlySelected     int      `json:"newlySelected"`     // selected by the challenger only
	NoLongerSelected  int      `json:"noLongerSelected"`
	Fixed             int      `json:"fixed"`    // right with the challenger only
	Broken            int      `json:"broken"`   // right with the champion only
	McNemarP          *float64 `json:"mcNemarP"` // exact, two-sided; null when no row is fixed or broken
	Standing          Standing `json:"standing"`
}

// Compare pairs the two models. Errors name the field at fault.
func Compare(p Pair) (Comparison, error) {
	if p.Confidence == 0 {
		p.Confidence = .95
	}
	if p.Margin == 0 {
		p.Margin = .01
	}
	if !(p.Confidence > 0 && p.Confidence < 1) || !(p.Margin > 0 && p.Margin < 1) {
		return Comparison{}, fmt.Errorf("confidence %v, margin %v: both are fractions between 0 and 1", p.Confidence, p.Margin)
	}
	for _, c := range []struct {
		name   string
		scores []float64
		cut    float64
	}{{"champion", p.Champion, p.ChampionCut}, {"challenger", p.Challenger, p.ChallengerCut}} {
		if err := (Input{Scores: c.scores, Labels: p.Labels}).validate(); err != nil {
			return Comparison{}, fmt.Errorf("%s: %w", c.name, err)
		}
		if math.IsNaN(c.cut) || c.cut < 0 {
			return Comparison{}, fmt.Errorf("%sCut: %v is not a threshold", c.name, c.cut)
		}
	}
	z, n := zOf(p.Confidence), len(p.Labels)
	c := Comparison{Schema: ComparisonSchema, Rows: n, Confidence: p.Confidence, Margin: p.Margin}
	old, now := placements(p.Champion, p.Labels), placements(p.Challenger, p.Labels)
	c.ChampionAUC, c.ChallengerAUC = wald(old.auc, math.Sqrt(old.variance()), z), wald(now.auc, math.Sqrt(now.variance()), z)
	d, se := aucDifference(now, old)
	c.AUCDifference = Estimate{d, d - z*se, d + z*se}
	if se > 0 {
		c.AUCP = ptr(math.Erfc(math.Abs(d/se) / math.Sqrt2))
	}
	brier, loss := make([]float64, n), make([]float64, n)
	for i, y := range p.Labels {
		a, b := p.Champion[i], p.Challenger[i]
		brier[i] = (b-indicator(y))*(b-indicator(y)) - (a-indicator(y))*(a-indicator(y))
		loss[i] = surprise(b, y) - surprise(a, y)
		was, is := a >= p.ChampionCut, b >= p.ChallengerCut
		switch {
		case is && !was:
			c.NewlySelected++
		case was && !is:
			c.NoLongerSelected++
		}
		if was != is && is == y {
			c.Fixed++
		} else if was != is {
			c.Broken++
		}
	}
	c.BrierDifference, c.LogLossDifference = *meanCI(brier, z), *meanCI(loss, z)
	c.Changed = wilson(c.NewlySelected+c.NoLongerSelected, n, z)
	c.McNemarP = mcNemar(c.Fixed, c.Broken)
	switch {
	case c.AUCDifference.Low > 0:
		c.Standing = Superior
	case c.AUCDifference.Low > -p.Margin:
		c.Standing = NonInferior
	case c.AUCDifference.High < 0:
		c.Standing = Inferior
	default:
		c.Standing = Undecided
	}
	return c, nil
}

// surprise is −ln of the probability given to the outcome, clipped.
func surprise(s float64, y bool) float64 {
	if y {
		return -math.Log(clip(s))
	}
	return -math.Log1p(-clip(s))
}

// mcNemar is the exact two-sided binomial test that a changed decision is as often better as worse.
func mcNemar(a, b int) *float64 {
	n := a + b
	if n == 0 {
		return nil
	}
	sum, ln2n := 0.0, float64(n)*math.Ln2
	top, _ := math.Lgamma(float64(n + 1))
	for k := 0; k <= min(a, b); k++ {
		x, _ := math.Lgamma(float64(k + 1))
		y, _ := math.Lgamma(float64(n - k + 1))
		sum += math.Exp(top - x - y - ln2n)
	}
	return ptr(math.Min(1, 2*sum))
}
