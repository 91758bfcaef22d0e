package evidence

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/rbac/sod"
	"affidavit/reports/card"
	"affidavit/serving/monitor"
)

// validationReport is the reading that the validation report is drawn from.
func (f *facts) validationReport() (card.ValidationReport, error) {
	c := card.ValidationReport{Model: f.model, Version: f.version, Scope: f.scope(), Conclusion: f.conclusion(), Data: append(f.datasets(true), f.datasets(false)...),
		DataChecks: f.dataChecks(), Outcomes: f.overall(), Fairness: f.fairness(), FairnessNotes: append(f.dataRates(), f.proxies()...),
		Robustness: f.robustness(), RobustnessMetric: "AUC", Monitoring: f.monitoring(), Limits: f.limits(), ConceptualSoundness: f.soundness()}
	c.ROC, c.Calibration = f.curves()
	c.Baseline, c.Benchmarks = f.benchmarks()
	for _, d := range f.standing() {
		for _, cond := range d.V.Conditions {
			c.Conditions = append(c.Conditions, card.Stated{Text: cond, Sources: f.cite(d.Entry)})
		}
	}
	if err := f.independence(&c); err != nil {
		return c, err
	}
	c.Sources, _ = f.cited()
	return c, nil
}

func (f *facts) scope() []card.Fact {
	out := []card.Fact{}
	for _, d := range f.decisions {
		if d.V.Role == sod.RoleValidator {
			out = append(out, card.Fact{Name: "Validator", Value: f.who(d.Actor), Sources: f.cite(d.Entry)})
		}
	}
	if f.inventory != nil {
		out = append(out, card.Fact{Name: "Risk tier", Value: f.inventory.V.RiskTier, Sources: f.cite(f.inventory.Entry)},
			card.Fact{Name: "Materiality", Value: "exposure " + f.inventory.V.Exposure + ", purpose " + f.inventory.V.Purpose, Sources: f.cite(f.inventory.Entry)})
	}
	if f.policy != nil {
		out = append(out, card.Fact{Name: "Policy", Value: f.policy.Title + " (" + f.policy.Name + " " + f.policy.Version + ")", Sources: f.cite(f.policyFrom)})
	}
	return append(out, card.Fact{Name: "Artefact (SHA-256)", Value: f.registration.V.Artefact, Mono: true, Sources: f.cite(f.registration.Entry)},
		card.Fact{Name: "Next validation due"})
}

// conclusion is the validator's own word.
func (f *facts) conclusion() card.Approval {
	for _, d := range f.standing() {
		if d.V.Role == sod.RoleValidator {
			return card.Approval{State: words(d.V.Outcome), Words: f.name(d.Actor) + ": " + d.V.Reason, Sources: f.cite(d.Entry)}
		}
	}
	return card.Approval{}
}

// independence asks the same walk that the ledger asks before a decision.
func (f *facts) independence(c *card.ValidationReport) error {
	refs := []attest.Ref{{Kind: attest.ArtefactVersion, Digest: f.registration.V.Root}, {Kind: attest.ArtefactModel, Digest: f.registration.V.Artefact}}
	h, err := f.r.History(f.project, refs, f.size)
	if err != nil {
		return err
	}
	made, err := h.ContributorsOf(f.size, refs...)
	if err != nil {
		return err
	}
	for _, p := range made.People {
		e, err := f.r.Entry(p.Entry.Index)
		if lineage.CodeOf(err) == lineage.CodeNotFound {
			e, err = nil, nil // of another project, which this reading may not see
		}
		if err != nil {
			return err
		}
		c.Contributors = append(c.Contributors, card.Worker{Name: f.name(p.Person), Role: f.roles(p.Person), Line: line(f.roles(p.Person)), Contribution: h.Explain(p), Sources: f.cite(e)})
	}
	check := card.Check{Name: "No validator is a contributor", Verdict: card.Met}
	var faults []string
	for _, d := range f.standing() {
		if d.V.Role != sod.RoleValidator {
			continue
		}
		c.Validators = append(c.Validators, card.Worker{Name: f.name(d.Actor), Role: f.roles(d.Actor), Line: line(f.roles(d.Actor)),
			Contribution: "decided: " + words(d.V.Outcome), Sources: f.cite(d.Entry)})
		check.Sources = append(check.Sources, f.cite(d.Entry)...)
		if v := h.Independent(d.Actor, &made, f.size); v != nil {
			faults = append(faults, v.Words)
		}
	}
	for _, e := range f.evaluations {
		if len(e.Related(attest.RelValidated)) > 0 {
			c.Validators = append(c.Validators, card.Worker{Name: f.name(e.Actor), Role: f.roles(e.Actor), Line: line(f.roles(e.Actor)), Contribution: "evaluated independently: " + strings.ToLower(e.V.Result), Sources: f.cite(e.Entry)})
		}
	}
	switch {
	case len(c.Validators) == 0:
		return nil
	case len(faults) > 0:
		check.Verdict, check.Words = card.NotMet, strings.Join(faults, " ")
	default:
		check.Words = fmt.Sprintf("None of the validators is among those upstream of the version by the signed relations (%s).", f.names(made.People))
	}
	c.Independence = check
	return nil
}

func (f *facts) names(people []sod.Contributor) string {
	out := make([]string, len(people))
	for i, p := range people {
		out[i] = f.name(p.Person)
	}
	return strings.Join(out, ", ")
}

func line(roles string) string {
	switch {
	case strings.Contains(roles, "validator"), strings.Contains(roles, "risk officer"):
		return "2nd line"
	case strings.Contains(roles, "engineer"), strings.Contains(roles, "model owner"):
		return "1st line"
	case strings.Contains(roles, "auditor"):
		return "3rd line"
	case strings.Contains(roles, "service account"):
		return "machine"
	}
	return ""
}

// soundness gathers what the log says of purpose, method, inputs and
// alternatives; the validator's reasoning is in their decision.
func (f *facts) soundness() []card.Topic {
	purpose := card.Topic{Title: "Purpose"}
	if f.inventory != nil {
		purpose.Statements = append(purpose.Statements, card.Stated{Text: f.inventory.V.IntendedUse, Sources: f.cite(f.inventory.Entry)})
	}
	method := card.Topic{Title: "Method"}
	if f.run != nil {
		method.Statements = append(method.Statements, card.Stated{Text: algorithm(f.run.V) + ".", Sources: f.cite(f.run.Entry)})
	}
	for _, p := range f.pipelines {
		method.Statements = append(method.Statements, card.Stated{Text: fmt.Sprintf("Pipeline configuration “%s” by %s: %s", p.V.Name, f.name(p.Actor), compact(p.V.Config)), Sources: f.cite(p.Entry)})
	}
	inputs := card.Topic{Title: "Inputs"}
	if f.features != nil {
		fs := f.features.V
		inputs.Statements = append(inputs.Statements, card.Stated{Text: "The model sees " + strings.Join(fs.Inputs, ", ") + ".", Sources: f.cite(f.features.Entry, f.registration.Entry)})
		if len(fs.Protected) > 0 {
			inputs.Statements = append(inputs.Statements, card.Stated{Text: "Carried for evaluation only: " + strings.Join(fs.Protected, ", ") + ".", Sources: f.cite(f.features.Entry)})
		}
	}
	others := card.Topic{Title: "Alternatives considered"}
	for _, s := range f.siblings {
		if rep, ok := f.others[s.V.Version]; ok {
			others.Statements = append(others.Statements, card.Stated{Text: fmt.Sprintf("Version %s, AUC %.4f on %d rows.", s.V.Version, rep.V.Discrimination.AUC.Value, rep.V.Rows), Sources: f.cite(s.Entry, rep.Entry)})
		}
	}
	return []card.Topic{purpose, method, inputs, others}
}

var longDigest = regexp.MustCompile(`\b([0-9a-f]{12})[0-9a-f]{52}\b`)

// compact prints a configuration on one line, shortened.
func compact(raw json.RawMessage) string {
	text := string(raw)
	if b, err := attest.CanonicalJSON(raw); err == nil {
		text = string(b)
	}
	// A digest is one word to the layout; the entry that is cited has it in full.
	text = strings.ReplaceAll(longDigest.ReplaceAllString(text, "$1…"), ",", ", ")
	if r := []rune(text); len(r) > 400 {
		text = string(r[:400]) + "…"
	}
	return text
}

func (f *facts) dataChecks() []card.Check {
	var out []card.Check
	for _, c := range f.checks {
		rep := dataReport(c.V)
		if rep == nil {
			continue
		}
		for _, k := range rep.Checks {
			row := card.Check{Name: words(k.Name), Verdict: card.Met, Words: "observed " + k.Observed + ", expected " + k.Expected, Sources: f.cite(c.Entry)}
			if !k.Passed {
				row.Verdict = card.NotMet
				if k.Severity == "warn" {
					row.Verdict = card.Watch
				}
				if k.Failing > 0 {
					row.Words += fmt.Sprintf("; %d rows, the first is row %d", k.Failing, k.FirstRow)
				}
			}
			out = append(out, row)
		}
		for _, rate := range rep.LabelRates {
			out = append(out, card.Check{Name: "Label rate, " + groupName(rate.Column, rate.Group),
				Words: fmt.Sprintf("%.5f: %d of %d rows", rate.Rate, rate.Positive, rate.Rows), Sources: f.cite(c.Entry)})
		}
	}
	return out
}

// benchmarks compare with the version registered last before this one, or else
// with the first other one, when both were evaluated on as many rows.
func (f *facts) benchmarks() (string, []card.Comparison) {
	if f.report == nil {
		return "", nil
	}
	var base *of[attest.Registration]
	for i := range f.siblings {
		s := &f.siblings[i]
		if _, ok := f.others[s.V.Version]; ok && (base == nil || s.Index < f.registration.Index) {
			base = s
		}
	}
	if base == nil {
		return "", nil
	}
	other := f.others[base.V.Version]
	src := f.cite(f.reportFrom, other.Entry)
	a, b := f.report.Discrimination, other.V.Discrimination
	rows := "on different rows: not comparable one to one"
	if f.report.Rows == other.V.Rows && f.report.Positives == other.V.Positives {
		rows = "on as many rows"
	}
	compare := func(name string, better float64, v, w card.Measure) card.Comparison {
		v.Name, w.Name = name, name
		text := "the same"
		if diff := (v.Value - w.Value) * better; diff > 0 {
			text = "better"
		} else if diff < 0 {
			text = "worse"
		}
		if v.Interval[0] <= w.Interval[1] && w.Interval[0] <= v.Interval[1] {
			text += "; the intervals overlap"
		}
		return card.Comparison{Name: name, Version: v, Baseline: w, Words: text + "; " + rows, Sources: src}
	}
	return "version " + base.V.Version, []card.Comparison{
		compare("AUC", 1, card.Measure{Value: a.AUC.Value, Interval: interval(a.AUC)}, card.Measure{Value: b.AUC.Value, Interval: interval(b.AUC)}),
		compare("Brier score", -1, card.Measure{Value: a.Brier.Value, Interval: interval(a.Brier)}, card.Measure{Value: b.Brier.Value, Interval: interval(b.Brier)}),
		compare("Log loss (nats)", -1, card.Measure{Value: a.LogLoss.Value, Interval: interval(a.LogLoss)}, card.Measure{Value: b.LogLoss.Value, Interval: interval(b.LogLoss)}),
	}
}

// monitoring is the plan as configured, and the rules that the last window was
// read under.
func (f *facts) monitoring() []card.MonitoringItem {
	var out []card.MonitoringItem
	for _, t := range f.triggers {
		out = append(out, card.MonitoringItem{What: "Retraining trigger “" + t.V.Name + "”", Measure: compact(t.V.Config), Action: "starts the training pipeline", Owner: f.name(t.Actor), Sources: f.cite(t.Entry)})
	}
	w := f.rules
	if w == nil {
		return out
	}
	var rep monitor.WindowReport
	if json.Unmarshal(w.V.Report, &rep) != nil || rep.Schema != monitor.ReportSchema {
		return out
	}
	p, src := rep.Assessment.Policy, f.cite(w.Entry)
	out = append(out, card.MonitoringItem{What: "Input drift", Measure: "population stability index, Jensen–Shannon distance, χ² with false discovery rate", Limit: fmt.Sprintf("PSI %.3g or distance %.3g, with q below %.3g", p.PSI, p.JS, p.Q),
		Frequency: fmt.Sprintf("each window of at least %d rows", p.MinRows), Action: fmt.Sprintf("alert; asks to retrain after %d windows in a row", p.Consecutive), Owner: f.name(w.Actor), Sources: src},
		card.MonitoringItem{What: "Performance on outcomes", Measure: "AUC and Brier score against the baseline", Limit: fmt.Sprintf("AUC lower by %.3g, Brier higher by %.3g", p.MaxAUCDrop, p.MaxBrierRise),
			Frequency: fmt.Sprintf("once %d labels of each class are known", p.MinLabels), Action: "alert", Owner: f.name(w.Actor), Sources: src})
	for _, w := range append(slices.Clone(f.causeWindows), f.windows...) {
		var rep monitor.WindowReport
		if json.Unmarshal(w.V.Report, &rep) != nil {
			continue
		}
		out = append(out, card.MonitoringItem{What: fmt.Sprintf("Window %d of version %s at %s", w.V.Sequence, w.V.Version, w.V.Endpoint), Measure: fmt.Sprintf("%d rows%s, read %s: %s. %s", w.V.Count, simulated(rep.Simulated), w.Stamp.Format("2006-01-02 15:04"), w.V.Status, strings.Join(rep.Assessment.Reasons, "; ")),
			Action: retrain(w.V.Retrain), Owner: f.name(w.Actor), Sources: f.cite(w.Entry)})
	}
	return out
}

func retrain(yes bool) string {
	if yes {
		return "asked to retrain"
	}
	return "none"
}

func simulated(yes bool) string {
	if yes {
		return ", simulated"
	}
	return ""
}

func (f *facts) limits() []card.Stated {
	var out []card.Stated
	if f.sameRows() {
		out = append(out, card.Stated{Text: "The log does not show that the evaluation rows were kept from training: run and evaluation name the same data version, and the evaluation no part of it.", Sources: f.cite(f.run.Entry, f.reportFrom)})
	}
	if f.inventory != nil {
		for _, limit := range f.inventory.V.Limits {
			out = append(out, card.Stated{Text: limit, Sources: f.cite(f.inventory.Entry)})
		}
	}
	if f.report != nil {
		for _, text := range f.report.Caveats {
			out = append(out, card.Stated{Text: text, Sources: f.cite(f.reportFrom)})
		}
	}
	return out
}

// sameRows reports whether the last evaluation may have seen training rows, as
// far as the log tells.
func (f *facts) sameRows() bool {
	if f.run == nil || f.reportFrom == nil || f.part() != "" {
		return false
	}
	for _, d := range f.data {
		if f.run.Has(attest.RelUsed, attest.ArtefactData, d.V.Digest) && f.reportFrom.Has(attest.RelUsed, attest.ArtefactData, d.V.Digest) {
			return true
		}
	}
	return false
}
