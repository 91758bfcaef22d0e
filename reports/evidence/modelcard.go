package evidence

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"affidavit/attest"
	"affidavit/reports/card"
)

// approval is where the last request for the version stands.
func (f *facts) approval() card.Approval {
	if f.request == nil {
		return card.Approval{}
	}
	for _, w := range f.withdrawals {
		if w.V.Target.PAE == f.request.PAE {
			return card.Approval{State: "withdrawn", Words: w.V.Reason, Sources: f.cite(f.request.Entry, w.Entry)}
		}
	}
	src := f.cite(f.request.Entry)
	var conditions []string
	for _, d := range f.standing() {
		src = append(src, f.cite(d.Entry)...)
		if d.V.Outcome == attest.OutcomeRejected {
			return card.Approval{State: "rejected", Words: f.who(d.Actor) + ": " + d.V.Reason, Sources: f.cite(f.request.Entry, d.Entry)}
		}
		conditions = append(conditions, d.V.Conditions...)
	}
	b := f.request.V.Binding
	if f.verdict == nil {
		return card.Approval{State: "waiting", Words: "The gate has not judged the request for " + b.Stage + ".", Sources: src}
	}
	src = append(src, f.cite(f.verdict.Entry)...)
	if f.verdict.V.VerificationResult != "PASSED" {
		return card.Approval{State: "waiting", Words: "The gate refused the request for " + b.Stage + ".", Sources: src}
	}
	a := card.Approval{State: "approved", Words: fmt.Sprintf("For stage %s, until %s.", b.Stage, b.Expires.UTC().Format("2006-01-02")), Sources: src}
	if len(conditions) > 0 {
		a.State = "conditionally approved"
		a.Words += " Conditions: " + strings.Join(conditions, "; ") + "."
	}
	return a
}

// standing are the decisions that were not withdrawn.
func (f *facts) standing() []of[attest.Decision] {
	gone := map[string]bool{}
	for _, w := range f.withdrawals {
		gone[w.V.Target.PAE] = true
	}
	return slices.DeleteFunc(slices.Clone(f.decisions), func(d of[attest.Decision]) bool { return gone[d.PAE] })
}

// ModelCard is the reading that the model card is drawn from.
func (f *facts) modelCard() card.ModelCard {
	reg := f.registration
	c := card.ModelCard{Model: f.model, Version: f.version, Approval: f.approval(), Details: f.details(), Inputs: f.inputs(),
		EvaluationData: f.datasets(false), TrainingData: f.datasets(true), Overall: f.overall(), Fairness: f.fairness(), Robustness: f.robustnessMeasures()}
	c.ROC, c.Calibration = f.curves()
	c.Summary = card.Stated{Text: fmt.Sprintf("Version %s of %s, registered %s by %s.", f.version, f.model, reg.Stamp.Format("2006-01-02"), f.who(reg.Actor)), Sources: f.cite(reg.Entry)}
	if f.run != nil {
		c.Summary.Text += " Algorithm: " + words(fmt.Sprint(f.run.V.BuildDefinition.ExternalParameters["algorithm"])) + "."
		c.Summary.Sources = f.cite(reg.Entry, f.run.Entry)
	}
	if inv := f.inventory; inv != nil {
		src := f.cite(inv.Entry)
		c.IntendedUse = card.Stated{Text: inv.V.IntendedUse, Sources: src}
		c.IntendedUsers = card.Stated{Text: "Those who work on the use case “" + inv.V.UseCase + "”, for which answers " + f.who(inv.V.Owner) + ".", Sources: src}
		c.ProhibitedUse = []card.Stated{{Text: inv.V.ProhibitedUse, Sources: src}}
		for _, limit := range inv.V.Limits {
			c.Caveats = append(c.Caveats, card.Stated{Text: limit, Sources: src})
		}
		if len(inv.V.Protected) > 0 {
			c.RelevantFactors = []card.Stated{{Text: "Protected attributes of the inventory entry: " + strings.Join(inv.V.Protected, ", ") + ".", Sources: src}}
		}
	}
	f.evaluationWords(&c)
	if f.sameRows() {
		c.Caveats = append(c.Caveats, card.Stated{Text: "The log does not show that the evaluation rows were kept from training.", Sources: f.cite(f.run.Entry, f.reportFrom)})
	}
	c.Ethical = append(f.dataRates(), c.Ethical...)
	c.Ethical = append(c.Ethical, f.proxies()...)
	for _, d := range f.standing() {
		for _, cond := range d.V.Conditions {
			c.Recommendations = append(c.Recommendations, card.Stated{Text: cond, Sources: f.cite(d.Entry)})
		}
	}
	c.Sources, _ = f.cited()
	return c
}

// evaluationWords are the statements that the evaluation and the gate give.
func (f *facts) evaluationWords(c *card.ModelCard) {
	if f.report != nil {
		rep, src := f.report, f.cite(f.reportFrom)
		var attributes []string
		for _, t := range rep.Fairness.Attributes {
			attributes = append(attributes, t.Attribute)
		}
		if len(attributes) > 0 {
			text := "Evaluated by " + strings.Join(attributes, ", ")
			if len(rep.Fairness.Intersections) > 0 {
				text += ", and by their crossings where groups are large enough"
			}
			c.EvaluationFactors = []card.Stated{{Text: text + ".", Sources: src}}
		}
		c.MetricChoice = []card.Stated{{Text: "Reported: discrimination (AUC), calibration, error rates at the threshold, fairness by group and robustness. The log holds no statement of why these were chosen.", Sources: src}}
		how := "declared before the evaluation"
		if rep.Threshold.ChosenOn != "declared" {
			how = "chosen on the evaluation rows"
		}
		c.Threshold = card.Stated{Text: fmt.Sprintf("%.4g, %s (rule %s).", rep.Threshold.Value, how, words(string(rep.Threshold.Rule.Kind))), Sources: src}
		c.Uncertainty = card.Stated{Text: fmt.Sprintf("%.0f %% intervals: DeLong for AUC, Wilson for rates, Newcombe for differences, Katz for ratios, bootstrap with %d replicates for equalised odds, seed %d.",
			rep.Config.Confidence*100, rep.Config.Replicates, rep.Config.Seed), Sources: src}
		for _, text := range rep.Caveats {
			c.Caveats = append(c.Caveats, card.Stated{Text: text, Sources: src})
		}
	}
	if f.verdict == nil {
		return
	}
	for _, cond := range f.verdict.V.Gate.Conditions {
		if cond.Name == "no_prohibited_basis" {
			c.Ethical = append(c.Ethical, card.Stated{Text: "Gate condition no_prohibited_basis: " + cond.Words, Sources: f.cite(f.verdict.Entry)})
		}
	}
}

func (f *facts) details() []card.Fact {
	reg := f.registration
	var out []card.Fact
	add := func(name, value string, mono bool, src []int64) {
		out = append(out, card.Fact{Name: name, Value: value, Mono: mono, Sources: src})
	}
	if inv := f.inventory; inv != nil {
		src := f.cite(inv.Entry)
		add("Model owner", f.name(inv.V.Owner), false, src)
		add("Developer", f.name(inv.V.Developer), false, src)
		add("Risk tier", fmt.Sprintf("%s: exposure %s, purpose %s", inv.V.RiskTier, inv.V.Exposure, inv.V.Purpose), false, src)
	} else {
		add("Model owner", "", false, nil)
	}
	if f.run != nil {
		src := f.cite(f.run.Entry)
		add("Algorithm", algorithm(f.run.V), false, src)
		if m := f.run.V.RunDetails.Metadata; m.FinishedOn != nil {
			add("Trained", m.FinishedOn.UTC().Format("2006-01-02 15:04:05")+" UTC by "+f.who(f.run.Actor), false, src)
		}
	}
	add("Registered", reg.Stamp.Format("2006-01-02 15:04:05")+" UTC by "+f.who(reg.Actor), false, f.cite(reg.Entry))
	add("Format", reg.V.Format, false, f.cite(reg.Entry))
	add("Artefact (SHA-256)", reg.V.Artefact, true, f.cite(reg.Entry))
	if f.signature != nil {
		add("Signed manifest root", reg.V.Root, true, f.cite(reg.Entry, f.signature.Entry))
		add("Files signed", fmt.Sprint(len(f.signature.V.Resources)), false, f.cite(f.signature.Entry))
	}
	add("Licence of the model", "", false, nil)
	return out
}

// inputs lists inputs, label, protected and excluded columns of the feature set.
func (f *facts) inputs() []card.Feature {
	if f.features == nil {
		return nil
	}
	fs, src := f.features.V, f.cite(f.features.Entry)
	types := map[string]string{}
	for _, d := range f.data {
		for _, col := range d.V.Columns {
			types[col.Name] = col.Type
		}
	}
	var out []card.Feature
	add := func(name, meaning, role string) {
		out = append(out, card.Feature{Name: name, Meaning: meaning, Type: types[name], Role: role, Sources: src})
	}
	for _, name := range fs.Inputs {
		add(name, "", "input")
	}
	for _, name := range fs.Protected {
		add(name, "", "protected, evaluation only")
	}
	excluded := make([]string, 0, len(fs.Excluded))
	for name := range fs.Excluded {
		excluded = append(excluded, name)
	}
	sort.Strings(excluded)
	for _, name := range excluded {
		add(name, fs.Excluded[name], "excluded")
	}
	add(fs.Label, "", "label")
	return out
}
