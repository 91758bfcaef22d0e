package card

import (
	"fmt"

	"affidavit/reports/pdf"
)

// Approval is where a version stands, as its decisions say.
type Approval struct {
	// State is one of the governance words: approved, conditionally approved, rejected, withdrawn, waiting.
	State   string  `json:"state"`
	Words   string  `json:"words"`
	Sources []int64 `json:"sources,omitempty"`
}

func (a Approval) status() pdf.Status {
	switch a.State {
	case "approved":
		return pdf.StatusOK
	case "conditionally approved":
		return pdf.StatusWarn
	case "rejected", "withdrawn":
		return pdf.StatusBad
	}
	return pdf.StatusWaiting
}

func (a Approval) callout() pdf.Block {
	return &pdf.Callout{Status: a.status(), Title: sentence(orDefault(a.State, pdf.NoEvidence)), Text: a.Words, Cites: a.Sources}
}

// ModelCard is the input of RenderModelCard. Its sections are those of Mitchell et al., "Model Cards for Model Reporting"
// (2019). Every caveat, including that there is no reject inference, must come from the log through these fields.
type ModelCard struct {
	Model    string   `json:"model"`
	Version  string   `json:"version"`
	Approval Approval `json:"approval"`
	Summary  Stated   `json:"summary"`
	// Details are the facts of section 1: owner, developer, date, type, algorithm, parameters, licence, contact, digests.
	Details []Fact    `json:"details"`
	Inputs  []Feature `json:"inputs"`

	IntendedUse   Stated   `json:"intendedUse"`
	IntendedUsers Stated   `json:"intendedUsers"`
	ProhibitedUse []Stated `json:"prohibitedUse"`

	RelevantFactors   []Stated `json:"relevantFactors"`
	EvaluationFactors []Stated `json:"evaluationFactors"`

	MetricChoice []Stated `json:"metricChoice"`
	Threshold    Stated   `json:"threshold"`
	Uncertainty  Stated   `json:"uncertainty"`

	EvaluationData []Dataset `json:"evaluationData"`
	TrainingData   []Dataset `json:"trainingData"`

	Overall     []Measure       `json:"overall"`
	ROC         *Curve          `json:"roc,omitempty"`
	Calibration *Calibration    `json:"calibration,omitempty"`
	Fairness    []FairnessTable `json:"fairness"`
	Robustness  []Measure       `json:"robustness"`

	Ethical         []Stated `json:"ethical"`
	Caveats         []Stated `json:"caveats"`
	Recommendations []Stated `json:"recommendations"`

	Sources []pdf.Source `json:"sources"`
}

// RenderModelCard gives the card as a PDF with two reserved signature fields. meta.Kind and meta.Title default to the
// document's and the model's name.
func RenderModelCard(in ModelCard, meta pdf.Meta) ([]byte, error) {
	if in.Model == "" || in.Version == "" {
		return nil, fmt.Errorf("card: the model card needs Model and Version")
	}
	meta.Kind = orDefault(meta.Kind, "Model card")
	meta.Title = orDefault(meta.Title, in.Model+" "+in.Version)
	var b builder
	b.h1("Model details")
	if len(in.Details) > 0 {
		b.add(&pdf.KeyValues{Items: facts(in.Details)})
	} else {
		b.state(Stated{})
	}
	b.features(in.Inputs)
	b.h1("Intended use")
	b.under("Primary intended use", in.IntendedUse)
	b.under("Primary intended users", in.IntendedUsers)
	b.under("Prohibited and out-of-scope use", in.ProhibitedUse...)
	b.h1("Factors")
	b.under("Relevant factors", in.RelevantFactors...)
	b.under("Evaluation factors", in.EvaluationFactors...)
	b.h1("Metrics")
	b.under("Measures of performance and why they were chosen", in.MetricChoice...)
	b.under("Decision threshold", in.Threshold)
	b.under("How uncertainty is measured", in.Uncertainty)
	b.h1("Evaluation data")
	b.datasets(in.EvaluationData)
	b.h1("Training data")
	b.datasets(in.TrainingData)
	b.h1("Quantitative analyses")
	b.h2("Overall")
	b.measures("Performance on the evaluation data", in.Overall)
	if err := b.curves(in.ROC, in.Calibration); err != nil {
		return nil, err
	}
	if err := b.fairness(in.Fairness); err != nil {
		return nil, err
	}
	b.h2("Robustness")
	b.measures("Robustness to disturbed inputs", in.Robustness)
	b.h1("Ethical considerations")
	b.list(in.Ethical)
	b.h1("Caveats and recommendations")
	b.under("Caveats", in.Caveats...)
	b.under("Recommendations", in.Recommendations...)
	d := &pdf.Document{Meta: meta, Body: b.blocks, Sources: in.Sources, Front: []pdf.Block{statement(in.Summary), in.Approval.callout(), reading(meta)}}
	return finish(d, in, "model-card.json")
}

// reading explains how to read the citations.
func reading(m pdf.Meta) pdf.Block {
	text := "Each statement names the log entry that it rests on, as in [entry 12]; the last section lists those entries with signer, time and digest. " +
		"Where the log holds nothing, the document says “" + pdf.NoEvidence + "”."
	if m.LogOrigin != "" {
		text += fmt.Sprintf(" It is a reading of log %s at size %d", m.LogOrigin, m.TreeSize)
		if m.RootHash != "" {
			text += ", root hash " + m.RootHash
		}
		text += "."
	}
	return &pdf.Prose{Text: text, Muted: true}
}
