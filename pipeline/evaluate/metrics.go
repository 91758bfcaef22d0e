package evaluate

// Metric is one headline figure, flat, for registries, gates and tables. Low and High are null without an interval.
type Metric struct {
	Name   string   `json:"name"`
	Unit   string   `json:"unit"` // fraction, nats, log-odds or ratio
	Value  float64  `json:"value"`
	Low    *float64 `json:"low"`
	High   *float64 `json:"high"`
	Better string   `json:"better"` // higher, lower, one or zero: where the ideal lies
}

// Metrics lists the headline figures in a fixed order; those that could not be computed are left out. Fairness figures
// are named fairness.<attribute>.<measure>.
func (r Report) Metrics() []Metric {
	out := []Metric{}
	plain := func(name, unit, better string, v *float64) {
		if v != nil {
			out = append(out, Metric{Name: name, Unit: unit, Value: *v, Better: better})
		}
	}
	with := func(name, unit, better string, e *Estimate) {
		if e != nil {
			out = append(out, Metric{name, unit, e.Value, ptr(e.Low), ptr(e.High), better})
		}
	}
	d, c := r.Discrimination, r.Calibration
	with("auc", "fraction", "higher", &d.AUC)
	plain("gini", "fraction", "higher", &d.Gini)
	plain("ks", "fraction", "higher", &d.KS)
	plain("average_precision", "fraction", "higher", &d.AveragePrecision)
	with("log_loss", "nats", "lower", &d.LogLoss)
	with("brier", "fraction", "lower", &d.Brier)
	with("accuracy", "fraction", "higher", &d.Accuracy)
	with("recall", "fraction", "higher", d.Recall)
	with("specificity", "fraction", "higher", d.Specificity)
	with("precision", "fraction", "higher", d.Precision)
	plain("ece", "fraction", "lower", &c.ECE)
	with("calibration_slope", "ratio", "one", c.Slope)
	with("calibration_intercept", "log-odds", "zero", c.Intercept)
	for _, t := range r.Fairness.all() {
		name := "fairness." + t.Attribute + "."
		with(name+"impact_ratio", "ratio", "one", t.ImpactRatio)
		with(name+"demographic_parity_difference", "fraction", "lower", t.SelectionDifference)
		with(name+"demographic_parity_ratio", "ratio", "one", t.SelectionRatio)
		if t.EqualizedOdds != nil {
			with(name+"equalized_odds_difference", "fraction", "lower", &t.EqualizedOdds.Difference)
			with(name+"equalized_odds_ratio", "ratio", "one", &t.EqualizedOdds.Ratio)
		}
	}
	return out
}
