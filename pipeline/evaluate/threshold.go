package evaluate

import (
	"fmt"
	"math"
)

// ThresholdKind names a rule that turns scores into a cut.
type ThresholdKind string

// The rules. Youden maximises TPR − FPR; SelectionRate predicts positive for as many rows as possible without exceeding
// Value as a fraction; LeastCost minimises CostFalsePositive·FP + CostFalseNegative·FN. Ties go to the higher cut.
const (
	FixedThreshold ThresholdKind = "fixed"
	Youden         ThresholdKind = "youden"
	SelectionRate  ThresholdKind = "selection_rate"
	LeastCost      ThresholdKind = "least_cost"
)

// ThresholdRule is declared before the rows are seen.
type ThresholdRule struct {
	Kind              ThresholdKind `json:"kind"`
	Value             float64       `json:"value"` // the cut (fixed) or the fraction selected (selection_rate)
	CostFalsePositive float64       `json:"costFalsePositive"`
	CostFalseNegative float64       `json:"costFalseNegative"`
}

// Threshold is the cut used: predicted positive iff score >= Value.
type Threshold struct {
	Rule     ThresholdRule `json:"rule"`
	Value    float64       `json:"value"`
	ChosenOn string        `json:"chosenOn"` // "declared" or "evaluation rows"
}

const (
	declared   = "declared"
	chosenHere = "evaluation rows"
)

func (r ThresholdRule) validate() error {
	switch r.Kind {
	case FixedThreshold, SelectionRate:
		if math.IsNaN(r.Value) || r.Value < 0 || r.Value > 1 {
			return fmt.Errorf("threshold.value: %v is not in [0, 1]", r.Value)
		}
	case LeastCost:
		if !(r.CostFalsePositive > 0) || !(r.CostFalseNegative > 0) || math.IsInf(r.CostFalsePositive+r.CostFalseNegative, 0) {
			return fmt.Errorf("threshold: least_cost needs finite costFalsePositive and costFalseNegative above 0")
		}
	case Youden:
	default:
		return fmt.Errorf("threshold.kind: %q; use fixed, youden, selection_rate or least_cost", r.Kind)
	}
	return nil
}

// ChooseThreshold applies a rule to development rows and returns the cut, to be passed to Evaluate as fixed. Errors: a
// bad rule, lengths that differ, one class only, or scores outside [0, 1].
func ChooseThreshold(rule ThresholdRule, scores []float64, labels []bool) (float64, error) {
	if err := rule.validate(); err != nil {
		return 0, err
	}
	if err := (Input{Scores: scores, Labels: labels}).validate(); err != nil {
		return 0, err
	}
	t, err := settleThreshold(rule, scores, labels)
	return t.Value, err
}

// settleThreshold walks the distinct scores downwards; the first candidate lies just above the highest score and selects
// nobody.
func settleThreshold(rule ThresholdRule, scores []float64, labels []bool) (Threshold, error) {
	if rule.Kind == FixedThreshold {
		return Threshold{rule, rule.Value, declared}, nil
	}
	steps := rocSteps(scores, labels)
	pos, neg := steps[len(steps)-1].tp, steps[len(steps)-1].fp
	best, bestGain := math.Nextafter(steps[1].cut, math.Inf(1)), math.Inf(-1)
	for i, s := range steps {
		cut := s.cut
		if i == 0 {
			cut = best
		}
		var gain float64
		switch rule.Kind {
		case Youden:
			gain = float64(s.tp)/float64(pos) - float64(s.fp)/float64(neg)
		case SelectionRate:
			gain = float64(s.tp+s.fp) / float64(pos+neg)
			if gain > rule.Value {
				continue
			}
		case LeastCost:
			gain = -(rule.CostFalsePositive*float64(s.fp) + rule.CostFalseNegative*float64(pos-s.tp))
		}
		if gain > bestGain {
			best, bestGain = cut, gain
		}
	}
	return Threshold{rule, best, chosenHere}, nil
}
