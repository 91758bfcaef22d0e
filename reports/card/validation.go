package card

import (
	"fmt"

	"affidavit/reports/pdf"
)

// RobustnessTest is one disturbance with how much it changed the decisions.
type RobustnessTest struct {
	Disturbance string `json:"disturbance"`
	Level       string `json:"level"`
	// FlipRate is the share of decisions that changed; Loss the loss of the named metric.
	FlipRate   float64     `json:"flipRate"`
	FlipRateCI *[2]float64 `json:"flipRateCI,omitempty"`
	Loss       float64     `json:"loss"`
	LossCI     *[2]float64 `json:"lossCI,omitempty"`
	Limit      string      `json:"limit"`
	Verdict    Verdict     `json:"verdict"`
	Sources    []int64     `json:"sources,omitempty"`
}

// MonitoringItem is one line of the monitoring plan.
type MonitoringItem struct {
	What      string  `json:"what"`
	Measure   string  `json:"measure"`
	Limit     string  `json:"limit"`
	Frequency string  `json:"frequency"`
	Action    string  `json:"action"`
	Owner     string  `json:"owner"`
	Sources   []int64 `json:"sources,omitempty"`
}

// Comparison sets a measure of the version against that of a benchmark.
type Comparison struct {
	Name     string  `json:"name"`
	Version  Measure `json:"version"`
	Baseline Measure `json:"baseline"`
	// Words says what the difference means.
	Words   string  `json:"words"`
	Sources []int64 `json:"sources,omitempty"`
}

// ValidationReport is the input of RenderValidationReport.
type ValidationReport struct {
	Model    string `json:"model"`
	Version  string `json:"version"`
	Scope    []Fact `json:"scope"` // tier, materiality, validator, policy, dates, digests
	Baseline string `json:"baseline,omitempty"`

	Conclusion Approval `json:"conclusion"`
	Conditions []Stated `json:"conditions"`

	// Contributors worked on the version, Validators judged it; Independence is the verdict that the two do not overlap.
	Contributors []Worker `json:"contributors"`
	Validators   []Worker `json:"validators"`
	Independence Check    `json:"independence"`

	ConceptualSoundness []Topic   `json:"conceptualSoundness"`
	Data                []Dataset `json:"data"`
	DataChecks          []Check   `json:"dataChecks"`

	Outcomes    []Measure    `json:"outcomes"`
	ROC         *Curve       `json:"roc,omitempty"`
	Calibration *Calibration `json:"calibration,omitempty"`
	Benchmarks  []Comparison `json:"benchmarks"`

	Fairness      []FairnessTable  `json:"fairness"`
	FairnessNotes []Stated         `json:"fairnessNotes"`
	Robustness    []RobustnessTest `json:"robustness"`
	// RobustnessMetric names the metric of the losses, such as "AUC".
	RobustnessMetric string           `json:"robustnessMetric"`
	Monitoring       []MonitoringItem `json:"monitoring"`
	Limits           []Stated         `json:"limits"`
	Findings         []Finding        `json:"findings"`

	Sources []pdf.Source `json:"sources"`
}

// RenderValidationReport gives the report as a PDF with two reserved signature fields.
func RenderValidationReport(in ValidationReport, meta pdf.Meta) ([]byte, error) {
	if in.Model == "" || in.Version == "" {
		return nil, fmt.Errorf("card: the validation report needs Model and Version")
	}
	meta.Kind = orDefault(meta.Kind, "Validation report")
	meta.Title = orDefault(meta.Title, in.Model+" "+in.Version)
	var b builder
	b.h1("Conclusion")
	b.add(in.Conclusion.callout())
	b.under("Conditions of use", in.Conditions...)
	b.h2("Findings")
	b.findings(in.Findings)
	b.h1("Independence")
	b.prose("A validator may not be among the people whose work the version contains. The log tells who that is: the signers of every step upstream of the " +
		"version, those who asked for it or configured it, and the owners of the service accounts that ran it.")
	b.checks("Independence of the validation", []Check{in.Independence})
	b.workers("Who worked on this version", in.Contributors)
	b.workers("Who validated it", in.Validators)
	b.h1("Conceptual soundness")
	if len(in.ConceptualSoundness) == 0 {
		b.state(Stated{})
	}
	for _, t := range in.ConceptualSoundness {
		b.under(t.Title, t.Statements...)
	}
	b.h1("Data")
	b.datasets(in.Data)
	b.checks("Checks of the data", in.DataChecks)
	b.h1("Outcomes analysis")
	b.measures("Performance on data that the version was not trained on", in.Outcomes)
	if err := b.curves(in.ROC, in.Calibration); err != nil {
		return nil, err
	}
	b.benchmarks(in.Benchmarks, in.Baseline)
	b.h1("Fairness")
	if len(in.FairnessNotes) > 0 {
		b.list(in.FairnessNotes)
	}
	if err := b.fairness(in.Fairness); err != nil {
		return nil, err
	}
	b.h1("Robustness")
	b.robustness(in.Robustness, in.RobustnessMetric)
	b.h1("Ongoing monitoring")
	b.monitoring(in.Monitoring)
	b.h1("Limits of the model and of this validation")
	b.list(in.Limits)
	front := []pdf.Block{in.Conclusion.callout()}
	if len(in.Scope) > 0 {
		front = append(front, &pdf.KeyValues{Items: facts(in.Scope)})
	}
	d := &pdf.Document{Meta: meta, Body: b.blocks, Sources: in.Sources, Front: append(front, reading(meta))}
	return finish(d, in, "validation-report.json")
}

func (b *builder) benchmarks(items []Comparison, baseline string) {
	baseline = orDefault(baseline, "baseline")
	t := &pdf.Table{Caption: "Benchmarking against " + baseline, Columns: []pdf.Column{{Title: "Measure"}, {Title: "This version", Align: pdf.Right, NoWrap: true}, {Title: "95 % interval", Align: pdf.Right, NoWrap: true},
		{Title: sentence(baseline), Align: pdf.Right}, {Title: "95 % interval", Align: pdf.Right, NoWrap: true}, {Title: "In words"}, {Title: "Evidence", Align: pdf.Right}}}
	for _, c := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: c.Name}, {Text: number(c.Version.Value, c.Version.Digits), Bold: true}, {Text: interval(c.Version.Interval, c.Version.Digits)},
			{Text: number(c.Baseline.Value, c.Baseline.Digits)}, {Text: interval(c.Baseline.Interval, c.Baseline.Digits)}, {Text: c.Words}, evidence(c.Sources)}})
	}
	b.add(t)
}

func (b *builder) robustness(items []RobustnessTest, metric string) {
	loss := "Loss"
	if metric != "" {
		loss = "Loss of " + metric
	}
	t := &pdf.Table{Caption: "Decisions that change when inputs are disturbed", Columns: []pdf.Column{{Title: "Disturbance"}, {Title: "Level"}, {Title: "Flip rate", Align: pdf.Right, NoWrap: true},
		{Title: "95 % interval", Align: pdf.Right, NoWrap: true}, {Title: loss, Align: pdf.Right}, {Title: "95 % interval", Align: pdf.Right, NoWrap: true}, {Title: "Limit"}, {Title: "Result", NoWrap: true}, {Title: "Evidence", Align: pdf.Right}}}
	for _, r := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: r.Disturbance}, {Text: r.Level}, {Text: number(r.FlipRate, 3), Bold: true}, {Text: interval(r.FlipRateCI, 3)},
			{Text: number(r.Loss, 4)}, {Text: interval(r.LossCI, 4)}, {Text: r.Limit}, verdictCell(r.Verdict), evidence(r.Sources)}})
	}
	b.add(t)
}

func (b *builder) monitoring(items []MonitoringItem) {
	t := &pdf.Table{Caption: "Monitoring plan", Columns: []pdf.Column{{Title: "What is watched"}, {Title: "Measure"}, {Title: "Limit"}, {Title: "How often"}, {Title: "If it is crossed"}, {Title: "Owner"}, {Title: "Evidence", Align: pdf.Right}}}
	for _, m := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: m.What, Bold: true}, {Text: m.Measure}, {Text: m.Limit}, {Text: m.Frequency}, {Text: m.Action}, {Text: m.Owner}, evidence(m.Sources)}})
	}
	b.add(t)
}
