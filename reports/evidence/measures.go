package evidence

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"affidavit/attest"
	"affidavit/pipeline/evaluate"
	"affidavit/reports/card"
	"affidavit/reports/pdf"
)

func interval(e evaluate.Estimate) *[2]float64 { return &[2]float64{e.Low, e.High} }

// overall are the headline figures of the last evaluation, with the condition
// of the policy that the gate judged over them where one reads the same figure.
func (f *facts) overall() []card.Measure {
	if f.report == nil {
		return nil
	}
	d, c, src, n := f.report.Discrimination, f.report.Calibration, f.cite(f.reportFrom), int64(f.report.Rows)
	m := func(name string, e *evaluate.Estimate, method string) card.Measure {
		return card.Measure{Name: name, Value: e.Value, Interval: interval(*e), N: n, Method: method, Sources: src}
	}
	out := []card.Measure{m("AUC", &d.AUC, "DeLong"), m("Brier score", &d.Brier, "normal"), m("Log loss (nats)", &d.LogLoss, "normal"),
		{Name: "Average precision", Value: d.AveragePrecision, N: n, Sources: src}, {Name: "Kolmogorov–Smirnov", Value: d.KS, N: n, Sources: src},
		m("Accuracy at the threshold", &d.Accuracy, "Wilson")}
	for _, o := range []struct {
		name, method string
		e            *evaluate.Estimate
	}{{"Recall", "Wilson", d.Recall}, {"Specificity", "Wilson", d.Specificity}, {"Precision", "Wilson", d.Precision},
		{"Calibration slope", "logistic recalibration", c.Slope}, {"Calibration intercept (log-odds)", "logistic recalibration", c.Intercept}} {
		if o.e != nil {
			out = append(out, m(o.name, o.e, o.method))
		}
	}
	out = append(out, m("Observed minus mean score", &c.MeanGap, "normal"), card.Measure{Name: "Expected calibration error", Value: c.ECE, N: n, Sources: src})
	return append(out, card.Measure{Name: "Base rate of the label", Value: d.BaseRate, N: n, Sources: src})
}

func (f *facts) curves() (*card.Curve, *card.Calibration) {
	if f.report == nil {
		return nil, nil
	}
	src := f.cite(f.reportFrom)
	roc := &card.Curve{AUC: f.report.Discrimination.AUC.Value, Sources: src}
	for _, p := range f.report.Curves.ROC {
		roc.Points = append(roc.Points, pdf.Point{X: p.FPR, Y: p.TPR})
	}
	cal := &card.Calibration{Sources: src}
	for _, b := range f.report.Calibration.Bins {
		cal.Bins = append(cal.Bins, card.CalibrationBin{Predicted: b.MeanScore, Observed: b.Observed.Value, Lo: b.Observed.Low, Hi: b.Observed.High, N: int64(b.Rows)})
	}
	if len(cal.Bins) == 0 {
		cal = nil
	}
	return roc, cal
}

func verdictOf(v evaluate.Verdict) card.Verdict {
	switch v {
	case evaluate.Fail:
		return card.NotMet
	case evaluate.Warn:
		return card.Watch
	case evaluate.Pass:
		return card.Met
	case evaluate.Insufficient:
		return card.Insufficient
	}
	return ""
}

// fairness are the tables of the last evaluation, attributes before crossings,
// preceded by the rates in the data themselves.
func (f *facts) fairness() []card.FairnessTable {
	if f.report == nil {
		return nil
	}
	favourable := "predicted positive (" + f.report.Config.PositiveLabel + ")"
	if f.report.Config.Favourable == evaluate.PredictedNegative {
		favourable = "not predicted " + f.report.Config.PositiveLabel
	}
	var out []card.FairnessTable
	for _, list := range [][]evaluate.GroupedTable{f.report.Fairness.Attributes, f.report.Fairness.Intersections} {
		for _, t := range list {
			out = append(out, f.fairnessTable(t, favourable))
		}
	}
	return out
}

func (f *facts) fairnessTable(t evaluate.GroupedTable, favourable string) card.FairnessTable {
	src := f.cite(f.reportFrom)
	out := card.FairnessTable{Attribute: t.Attribute, Favourable: favourable, Sources: src, Note: "Rule: " + f.report.Fairness.Rule}
	if len(t.Reasons) > 0 {
		out.Note += ". " + strings.Join(t.Reasons, "; ")
	}
	for _, g := range t.Groups {
		row := card.GroupRate{Group: g.Group, Withheld: g.Withheld, Verdict: verdictOf(g.Verdict)}
		switch {
		case g.Withheld != "" || g.Rows == nil || g.FavourableRate == nil:
			row.Verdict = card.Suppressed
			if row.Withheld == "" {
				row.Withheld = "no rate could be computed"
			}
			out.Groups = append(out.Groups, row)
			continue
		case g.Group == t.Reference:
			row.Verdict, row.Reference, row.Ratio = card.Reference, true, 1
		}
		row.N, row.Rate, row.RateCI = int64(*g.Rows), g.FavourableRate.Value, interval(*g.FavourableRate)
		if g.Selected != nil {
			row.Selected = int64(*g.Selected)
			if f.report.Config.Favourable == evaluate.PredictedNegative {
				row.Selected = row.N - row.Selected
			}
		}
		if g.ImpactRatio != nil && !row.Reference {
			row.Ratio, row.RatioCI = g.ImpactRatio.Value, interval(*g.ImpactRatio)
		}
		if g.TPR != nil {
			row.TPR = &g.TPR.Value
		}
		if g.FPR != nil {
			row.FPR = &g.FPR.Value
		}
		out.Groups = append(out.Groups, row)
	}
	out.Measures = f.disparities(t)
	return out
}

// disparities are the summaries of a table, and the label's rate in each group
// of the evaluation rows and of the data.
func (f *facts) disparities(t evaluate.GroupedTable) []card.Measure {
	src := f.cite(f.reportFrom)
	var out []card.Measure
	add := func(name string, e *evaluate.Estimate, method string) {
		if e != nil {
			out = append(out, card.Measure{Name: name, Value: e.Value, Interval: interval(*e), Method: method, Sources: src})
		}
	}
	add("Impact ratio, least to reference", t.ImpactRatio, "Katz")
	add("Demographic parity difference", t.SelectionDifference, "Newcombe")
	if o := t.EqualizedOdds; o != nil {
		add("Equalised odds difference", &o.Difference, "stratified bootstrap")
		add("Equal opportunity difference", &o.TPRDifference, "stratified bootstrap")
	}
	for _, g := range t.Groups {
		if g.Observed != nil && g.Withheld == "" {
			add("Rate of "+f.report.Config.PositiveLabel+" in the evaluation rows, "+groupName(t.Attribute, g.Group), g.Observed, "Wilson")
		}
	}
	for _, c := range f.checks {
		rep := dataReport(c.V)
		if rep == nil {
			continue
		}
		for _, rate := range rep.LabelRates {
			if rate.Column == t.Attribute {
				out = append(out, card.Measure{Name: "Rate of " + f.report.Config.PositiveLabel + " in the whole data, " + groupName(rate.Column, rate.Group),
					Value: rate.Rate, N: int64(rate.Rows), Digits: 5, Sources: f.cite(c.Entry)})
			}
		}
	}
	return out
}

func groupName(column, group string) string {
	if group == "" {
		group = "not recorded"
	}
	if strings.Contains(group, "=") {
		return group // a crossing names its columns
	}
	return column + " = " + group
}

// dataRates say in one sentence for each protected column how the recorded
// label fell in the data themselves, before any model.
func (f *facts) dataRates() []card.Stated {
	var out []card.Stated
	for _, c := range f.checks {
		rep := dataReport(c.V)
		if rep == nil {
			continue
		}
		var columns []string
		parts := map[string][]string{}
		for _, rate := range rep.LabelRates {
			if parts[rate.Column] == nil {
				columns = append(columns, rate.Column)
			}
			group := groupName(rate.Column, rate.Group)
			parts[rate.Column] = append(parts[rate.Column], fmt.Sprintf("%.5f for %s (%d of %d)", rate.Rate, group, rate.Positive, rate.Rows))
		}
		for _, column := range columns {
			out = append(out, card.Stated{Text: "Rate of the label in the data themselves, as people decided: " + strings.Join(parts[column], ", ") + ".", Sources: f.cite(c.Entry)})
		}
	}
	return out
}

func (f *facts) robustness() []card.RobustnessTest {
	if f.report == nil || f.report.Robustness == nil {
		return nil
	}
	var out []card.RobustnessTest
	for _, p := range f.report.Robustness.Perturbations {
		if p.Status != evaluate.Measured || p.FlipRate == nil {
			continue
		}
		row := card.RobustnessTest{Disturbance: words(p.Name), FlipRate: p.FlipRate.Value, FlipRateCI: interval(*p.FlipRate), Sources: f.cite(f.reportFrom)}
		switch {
		case p.Column != "":
			row.Level = p.Column
		case strings.HasPrefix(p.Name, "noise"):
			row.Level = strconv.FormatFloat(p.Level, 'g', -1, 64) + " σ"
		case p.Level != 0:
			row.Level = strconv.FormatFloat(p.Level*100, 'g', -1, 64) + " % of cells"
		}
		if unscored := p.RefusedRows + p.InvalidRows; unscored > 0 {
			// A rate over the rows that are left says little without their number.
			row.Level = strings.TrimSpace(fmt.Sprintf("%s (%d rows scored, %d refused)", row.Level, p.Scored, unscored))
		}
		if p.AUCLoss != nil {
			row.Loss, row.LossCI = p.AUCLoss.Value, interval(*p.AUCLoss)
		}
		out = append(out, row)
	}
	return out
}

// robustnessMeasures are the same as measures; where rows were refused, the
// name says how many were scored.
func (f *facts) robustnessMeasures() []card.Measure {
	var out []card.Measure
	for _, r := range f.robustness() {
		name := "Flip rate, " + r.Disturbance
		if r.Level != "" {
			name += " " + r.Level
		}
		m := card.Measure{Name: name, Value: r.FlipRate, Interval: r.FlipRateCI, Method: "Wilson", Sources: r.Sources}
		if !strings.Contains(r.Level, "scored") {
			m.N = int64(f.report.Robustness.Rows)
		}
		out = append(out, m)
	}
	return out
}

// proxies say whether the score or the inputs tell a protected group.
func (f *facts) proxies() []card.Stated {
	if f.report == nil {
		return nil
	}
	var out []card.Stated
	for _, p := range f.report.Proxy {
		text := fmt.Sprintf("Proxy test, %s on %d rows:", groupName(p.Attribute, p.Group), p.Rows)
		if p.Score != nil {
			text += fmt.Sprintf(" the score tells the group with AUC %.3f (%.3f to %.3f)", p.Score.Value, p.Score.Low, p.Score.High)
		}
		if p.Inputs != nil {
			text += fmt.Sprintf(", the inputs together with AUC %.3f (%.3f to %.3f)", p.Inputs.Value, p.Inputs.Low, p.Inputs.High)
		}
		if p.IsProxy {
			text += fmt.Sprintf(": a proxy, above the declared limit of %.2f.", f.report.Config.ProxyLimit)
		} else {
			text += fmt.Sprintf(": not shown to be a proxy at the declared limit of %.2f.", f.report.Config.ProxyLimit)
		}
		out = append(out, card.Stated{Text: text, Sources: f.cite(f.reportFrom)})
	}
	return out
}

// datasets are the data versions that the run or the evaluation used.
func (f *facts) datasets(training bool) []card.Dataset {
	var out []card.Dataset
	for _, d := range f.data {
		var use string
		var src []int64
		if training {
			if f.run == nil || !f.run.Has(attest.RelUsed, attest.ArtefactData, d.V.Digest) {
				continue
			}
			use, src = "training", f.cite(d.Entry, f.run.Entry)
			if n, ok := parameter(f.run.V, "rows"); ok {
				use += ", " + n + " of the rows"
			}
		} else {
			if f.reportFrom == nil || !f.reportFrom.Has(attest.RelUsed, attest.ArtefactData, d.V.Digest) {
				continue
			}
			use, src = fmt.Sprintf("evaluation, %d of the rows", f.report.Rows), f.cite(d.Entry, f.reportFrom)
			if part := f.part(); part != "" {
				use += ", part “" + part + "”"
			}
		}
		set := card.Dataset{Name: d.V.Name, Version: d.V.Version, Rows: d.V.Rows, Digest: d.V.Digest, Origin: d.V.Origin, Licence: d.V.Licence, Use: use, Sources: src}
		if f.features != nil {
			text := fmt.Sprintf("Encoded by feature set %s %s", f.features.V.Name, f.features.V.Version)
			if len(f.features.V.Split) > 0 {
				text += "; the split into development and held-out rows is part of that entry"
			}
			set.Preprocessing = card.Stated{Text: text + ".", Sources: f.cite(f.features.Entry)}
		}
		out = append(out, set)
	}
	return out
}

// part names the rows that the last evaluation took.
func (f *facts) part() string {
	for _, e := range f.evaluations {
		if e.Entry != f.reportFrom {
			continue
		}
		for _, c := range e.V.Configuration {
			if part, ok := c.Annotations["part"].(string); ok {
				return part
			}
		}
	}
	return ""
}

// parameter reads a hyperparameter of a run.
func parameter(p attest.Provenance, name string) (string, bool) {
	h, _ := p.BuildDefinition.ExternalParameters["hyperparameters"].(map[string]any)
	v, ok := h[name]
	return fmt.Sprint(v), ok
}

// algorithm says what the run did, in words.
func algorithm(p attest.Provenance) string {
	ext := p.BuildDefinition.ExternalParameters
	text := words(fmt.Sprint(ext["algorithm"]))
	h, _ := ext["hyperparameters"].(map[string]any)
	keys := make([]string, 0, len(h))
	for k := range h {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		text += fmt.Sprintf(", %s %v", words(k), h[k])
	}
	if seed, ok := ext["seed"]; ok {
		text += fmt.Sprintf(", seed %v", seed)
	}
	return text
}
