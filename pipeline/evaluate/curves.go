package evaluate

// Curves holds the points of the charts, at most Config.MaxPoints each.
type Curves struct {
	ROC             []ROCPoint    `json:"roc"`
	PrecisionRecall []PRPoint     `json:"precisionRecall"`
	Scores          []ScorePoints `json:"scores"` // 20 equal-width bins of the score
}

// ROCPoint is one vertex of the ROC curve; Cut is the score from which rows are selected.
type ROCPoint struct {
	FPR float64 `json:"fpr"`
	TPR float64 `json:"tpr"`
	Cut float64 `json:"cut"`
}

// PRPoint is one vertex of the precision–recall curve.
type PRPoint struct {
	Recall    float64 `json:"recall"`
	Precision float64 `json:"precision"`
	Cut       float64 `json:"cut"`
}

// ScorePoints counts rows by label whose score is in [Low, High), the last bin including 1.
type ScorePoints struct {
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	Positive int     `json:"positive"`
	Negative int     `json:"negative"`
}

func curves(scores []float64, labels []bool, maxPoints int) Curves {
	steps := rocSteps(scores, labels)
	last := steps[len(steps)-1]
	pos, neg := float64(last.tp), float64(last.fp)
	kept := thin(steps, maxPoints)
	c := Curves{ROC: []ROCPoint{}, PrecisionRecall: []PRPoint{}, Scores: make([]ScorePoints, 20)}
	for _, s := range kept {
		c.ROC = append(c.ROC, ROCPoint{float64(s.fp) / neg, float64(s.tp) / pos, s.cut})
		if s.tp+s.fp > 0 {
			c.PrecisionRecall = append(c.PrecisionRecall, PRPoint{float64(s.tp) / pos, float64(s.tp) / float64(s.tp+s.fp), s.cut})
		}
	}
	for k := range c.Scores {
		c.Scores[k].Low, c.Scores[k].High = float64(k)/20, float64(k+1)/20
	}
	for i, s := range scores {
		k := min(19, int(s*20))
		if labels[i] {
			c.Scores[k].Positive++
		} else {
			c.Scores[k].Negative++
		}
	}
	return c
}

// thin keeps the first and the last step and, between them, the first step past each of evenly spaced marks of
// TPR + FPR: every kept point is a true vertex of the curve.
func thin(steps []step, most int) []step {
	if len(steps) <= most {
		return steps
	}
	last := steps[len(steps)-1]
	along := func(s step) float64 { return float64(s.tp)/float64(last.tp) + float64(s.fp)/float64(last.fp) }
	out := []step{steps[0]}
	for _, s := range steps[1 : len(steps)-1] {
		if len(out) == most-1 {
			break
		}
		if along(s) >= 2*float64(len(out))/float64(most-1) {
			out = append(out, s)
		}
	}
	return append(out, last)
}
