package evaluate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"affidavit/attest"
	"affidavit/lineage"
)

// tests are the report's declared rules, as test names by outcome.
type tests struct{ passed, warned, failed []string }

func (t *tests) add(name string, outcome Verdict) {
	switch outcome {
	case Fail:
		t.failed = append(t.failed, name)
	case Warn, Insufficient:
		t.warned = append(t.warned, name)
	case Pass:
		t.passed = append(t.passed, name)
	}
}

func (t *tests) holds(name string, ok bool, otherwise Verdict) {
	if ok {
		otherwise = Pass
	}
	t.add(name, otherwise)
}

func (t *tests) result() string {
	switch {
	case len(t.failed) > 0:
		return attest.ResultFailed
	case len(t.warned) > 0:
		return attest.ResultWarned
	}
	return attest.ResultPassed
}

// tests applies the rules that the report was made under: each fairness
// verdict, declared cases (a broken one fails), declared monotonicity (a broken
// one warns), and the proxy test (a proxy warns).
func (r Report) tests() tests {
	var t tests
	for _, a := range r.Fairness.all() {
		t.add("fairness: "+a.Attribute, a.Verdict)
	}
	if r.Robustness != nil {
		for _, c := range r.Robustness.Cases {
			t.holds("case: "+c.Name, c.Holds, Fail)
		}
		for _, m := range r.Robustness.Monotonicity {
			t.holds(fmt.Sprintf("monotone: %s %+d", m.Column, m.Direction), m.Holds, Warn)
		}
	}
	for _, p := range r.Proxy {
		t.holds("proxy: "+p.Attribute+"="+p.Group, !p.IsProxy, Warn)
	}
	return t
}

// HeadlineMetrics names the descriptor of an evaluation's configuration whose
// annotations are the report's metrics by name, for those who read figures
// without knowing the report's form.
const HeadlineMetrics = "metrics"

// headline is Metrics by name.
func (r Report) headline() map[string]any {
	out := map[string]any{}
	for _, m := range r.Metrics() {
		out[m.Name] = m.Value
	}
	return out
}

// ReportResult makes the result of an evaluation step: the whole report as the
// details of a test result about model, measured on data; part names the rows
// taken of it ("test"; "" for all). forDevelopment is set when the model's own
// makers evaluate; without it an independent validator does.
func ReportResult(report Report, model, data lineage.Ref, part string, forDevelopment bool) (lineage.Result, error) {
	details, err := attest.CanonicalJSON(report)
	if err != nil {
		return lineage.Result{}, &lineage.Error{Code: lineage.CodeInvalid, Field: "report", Message: "has no canonical form", Err: err}
	}
	sum := sha256.Sum256(details)
	digest := hex.EncodeToString(sum[:])
	t := report.tests()
	rows := attest.ResourceDescriptor{Name: "data", Digest: map[string]string{"sha256": data.Digest}}
	if part != "" {
		rows.Annotations = map[string]any{"part": part}
	}
	judged := attest.Relation{Type: attest.RelValidated, Ref: model}
	if forDevelopment {
		judged.Type = attest.RelEvaluatedForDev
	}
	return lineage.Result{
		Predicate: attest.TestResult{
			Result: t.result(), PassedTests: t.passed, WarnedTests: t.warned, FailedTests: t.failed, Details: json.RawMessage(details),
			Configuration: []attest.ResourceDescriptor{rows, {Name: "model", Digest: map[string]string{"sha256": model.Digest}},
				{Name: HeadlineMetrics, Digest: map[string]string{"sha256": digest}, Annotations: report.headline()}},
		},
		Subjects: []attest.Subject{{Name: model.Name, Digest: map[string]string{"sha256": model.Digest}}},
		Relations: []attest.Relation{
			{Type: attest.RelUsed, Ref: data},
			judged,
			{Type: attest.RelGenerated, Ref: lineage.Ref{Kind: attest.ArtefactReport, Digest: digest, Name: "evaluation of " + model.Name}},
		},
		Blobs: []lineage.Blob{{MediaType: "application/json", Content: details}},
	}, nil
}
