package evaluate

import (
	"fmt"
	"math"
)

// Favourable says which prediction is the good one for the person. In lending with the label `deny = yes` it is
// PredictedNegative.
type Favourable string

// The two directions of Favourable.
const (
	PredictedPositive Favourable = "predicted_positive"
	PredictedNegative Favourable = "predicted_negative"
)

// Config is everything that is declared before the rows are looked at. Zero fields take the defaults of measures for
// this project (see the field comments); the report repeats the values used.
type Config struct {
	PositiveLabel string        `json:"positiveLabel"` // words for documents, such as "deny = yes"
	Favourable    Favourable    `json:"favourable"`    // default predicted_positive
	Threshold     ThresholdRule `json:"threshold"`     // default fixed at 0.5
	Confidence    float64       `json:"confidence"`    // of every interval; default 0.95
	Bins          int           `json:"bins"`          // calibration bins; default 10, 2..100
	MaxPoints     int           `json:"maxPoints"`     // per curve; default 101, 3..2001
	Seed          uint64        `json:"seed"`          // of bootstrap, perturbations and folds
	Replicates    int           `json:"replicates"`    // bootstrap replicates; default 1000, 100..100000

	MinGroup       int     `json:"minGroup"`       // below it a group's verdict is insufficient; default 30
	SuppressBelow  int     `json:"suppressBelow"`  // below it a group's figures are withheld; default 10
	ImpactLimit    float64 `json:"impactLimit"`    // least acceptable impact ratio; default 0.8
	SmallCell      int     `json:"smallCell"`      // a 2×2 cell below it calls for Fisher's exact test; default 5
	NoIntersection bool    `json:"noIntersection"` // true: do not cross the attributes two by two

	NoiseLevels    []float64 `json:"noiseLevels"`    // in standard deviations; default .01 .05 .1
	MissingLevels  []float64 `json:"missingLevels"`  // fraction of cells blanked; default .01 .05 .2
	RobustnessRows int       `json:"robustnessRows"` // at most so many rows are perturbed, drawn by Seed; default 5000

	ProxyFolds int     `json:"proxyFolds"` // default 5, 2..20
	ProxyLimit float64 `json:"proxyLimit"` // an AUC whose lower bound exceeds it is called a proxy; default 0.7
	ProxyRows  int     `json:"proxyRows"`  // at most so many rows in the inputs' test; default 20000

	Monotone []Monotone `json:"monotone"` // declared monotonicity, checked by moving one input at a time
	Cases    []Case     `json:"cases"`    // edge cases from domain experts
}

// Monotone declares that raising Column never moves the score against Direction (+1 up, -1 down).
type Monotone struct {
	Column    string `json:"column"`
	Direction int    `json:"direction"`
}

func (c Config) withDefaults() Config {
	setS := func(p *Favourable, v Favourable) {
		if *p == "" {
			*p = v
		}
	}
	setF := func(p *float64, v float64) {
		if *p == 0 {
			*p = v
		}
	}
	setI := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	setS(&c.Favourable, PredictedPositive)
	if c.Threshold.Kind == "" {
		c.Threshold = ThresholdRule{Kind: FixedThreshold, Value: 0.5}
	}
	setF(&c.Confidence, 0.95)
	setI(&c.Bins, 10)
	setI(&c.MaxPoints, 101)
	setI(&c.Replicates, 1000)
	setI(&c.MinGroup, 30)
	setI(&c.SuppressBelow, 10)
	setF(&c.ImpactLimit, 0.8)
	setI(&c.SmallCell, 5)
	if c.NoiseLevels == nil {
		c.NoiseLevels = []float64{.01, .05, .1}
	}
	if c.MissingLevels == nil {
		c.MissingLevels = []float64{.01, .05, .2}
	}
	if c.Monotone == nil {
		c.Monotone = []Monotone{}
	}
	if c.Cases == nil {
		c.Cases = []Case{}
	}
	setI(&c.RobustnessRows, 5000)
	setI(&c.ProxyFolds, 5)
	setF(&c.ProxyLimit, 0.7)
	setI(&c.ProxyRows, 20000)
	return c
}

// Validate names the first field out of range. Evaluate calls it after the defaults.
func (c Config) Validate() error {
	if c.Favourable != PredictedPositive && c.Favourable != PredictedNegative {
		return fmt.Errorf("favourable: %q; use %q or %q", c.Favourable, PredictedPositive, PredictedNegative)
	}
	if err := c.Threshold.validate(); err != nil {
		return err
	}
	ints := []struct {
		name      string
		v, lo, hi int
	}{
		{"bins", c.Bins, 2, 100}, {"maxPoints", c.MaxPoints, 3, 2001}, {"replicates", c.Replicates, 100, 100000},
		{"minGroup", c.MinGroup, 1, math.MaxInt32}, {"suppressBelow", c.SuppressBelow, 1, math.MaxInt32},
		{"smallCell", c.SmallCell, 1, 1000}, {"robustnessRows", c.RobustnessRows, 10, 1000000},
		{"proxyFolds", c.ProxyFolds, 2, 20}, {"proxyRows", c.ProxyRows, 10, 1000000},
	}
	for _, f := range ints {
		if f.v < f.lo || f.v > f.hi {
			return fmt.Errorf("%s: %d is outside %d..%d", f.name, f.v, f.lo, f.hi)
		}
	}
	if c.MinGroup < c.SuppressBelow {
		return fmt.Errorf("minGroup: %d is below suppressBelow %d; a group judged must be one that is shown", c.MinGroup, c.SuppressBelow)
	}
	fractions := []struct {
		name string
		v    float64
	}{{"confidence", c.Confidence}, {"impactLimit", c.ImpactLimit}, {"proxyLimit", c.ProxyLimit}}
	for _, f := range fractions {
		if !(f.v > 0 && f.v < 1) {
			return fmt.Errorf("%s: %v is not between 0 and 1", f.name, f.v)
		}
	}
	for i, v := range c.NoiseLevels {
		if !(v > 0 && v <= 10) {
			return fmt.Errorf("noiseLevels[%d]: %v standard deviations is outside (0, 10]", i, v)
		}
	}
	for i, v := range c.MissingLevels {
		if !(v > 0 && v <= 1) {
			return fmt.Errorf("missingLevels[%d]: %v is not a fraction in (0, 1]", i, v)
		}
	}
	for i, m := range c.Monotone {
		if m.Column == "" || (m.Direction != 1 && m.Direction != -1) {
			return fmt.Errorf("monotone[%d]: needs a column and a direction of 1 or -1", i)
		}
	}
	return validateCases(c.Cases)
}
