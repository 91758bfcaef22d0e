package evaluate

import (
	"context"
	"slices"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
)

const (
	engineer  = "erin"
	validator = "vera"
	machine   = "trainer"
)

// madeRun is what a training run leaves behind, as far as evaluations ask.
type madeRun struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	Artefact string
}

func (madeRun) TableName() string { return "runs" }

// runKind takes any training run and projects the model that it made.
func runKind() lineage.Kind {
	return lineage.Kind{Name: attest.KindTrainingRun,
		Check: func(context.Context, *lineage.ReadTx, *lineage.Entry) error { return nil },
		Project: func(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
			return w.Insert(&madeRun{e.Index, e.Project, e.Related(attest.RelTrained)[0].Digest})
		}}
}

func stepOf(kind string) lineage.Step { return lineage.Step{Kind: kind, Project: ledgertest.Project} }

// evaluated is a world in which a model was trained on data, and its report.
func evaluated(t *testing.T) (w *ledgertest.World, report Report, model, data lineage.Ref) {
	t.Helper()
	w = ledgertest.New(t, append(Kinds(), runKind()))
	w.Person(engineer, "engineer")
	w.Person(validator, "validator")
	w.Account(machine, engineer)
	data = lineage.Ref{Kind: attest.ArtefactData, Digest: strings.Repeat("ab", 32), Name: "rows 1"}
	model = lineage.Ref{Kind: attest.ArtefactModel, Digest: strings.Repeat("cd", 32), Name: "model.onnx"}
	var p attest.Provenance
	p.BuildDefinition.BuildType = "x"
	w.Must(w.DoAs(machine, stepOf(attest.KindTrainingRun), lineage.Result{Predicate: p, Relations: []attest.Relation{
		{Type: attest.RelGenerated, Ref: data}, {Type: attest.RelGenerated, Ref: model}, {Type: attest.RelTrained, Ref: model}}}))

	in := Input{Attributes: []Attribute{{Name: "group"}}}
	for i := range 200 {
		s := float64(i*37%200) / 200
		in.Scores = append(in.Scores, s)
		in.Labels = append(in.Labels, s+float64(i*71%97)/97 > 1)
		in.Attributes[0].Values = append(in.Attributes[0].Values, []string{"a", "b"}[i%2])
	}
	report, err := Evaluate(in, Config{Replicates: 100})
	if err != nil {
		t.Fatal(err)
	}
	return w, report, model, data
}

func TestEvaluationStep(t *testing.T) {
	w, report, model, data := evaluated(t)
	res, err := ReportResult(report, model, data, "test", true)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(actor string, code lineage.Code, words string, change func(p *attest.TestResult, res *lineage.Result)) {
		t.Helper()
		p, bad := res.Predicate.(attest.TestResult), res
		bad.Relations, bad.Subjects = slices.Clone(res.Relations), slices.Clone(res.Subjects)
		if change != nil {
			change(&p, &bad)
		}
		bad.Predicate = p
		err := w.Refused(code, func() error {
			_, err := w.SubmitAs(actor, stepOf(attest.KindEvaluation), bad)
			return err
		})
		if err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf("%v\ndoes not say %q", err, words)
		}
	}
	refused(machine, lineage.CodeRefused, "by its own rules", func(p *attest.TestResult, _ *lineage.Result) {
		for _, other := range []string{attest.ResultPassed, attest.ResultFailed} {
			if p.Result != other {
				p.Result = other
				return
			}
		}
	})
	refused(machine, lineage.CodeRefused, "not those of the report", func(p *attest.TestResult, _ *lineage.Result) { p.PassedTests = append(p.PassedTests, "vibes") })
	refused(machine, lineage.CodeInvalid, "generated report", func(p *attest.TestResult, _ *lineage.Result) {
		p.Details = []byte(strings.Replace(string(p.Details), `"rows":200`, `"rows":2000`, 1))
	})
	refused(machine, lineage.CodeRefused, "not those of the report", func(p *attest.TestResult, _ *lineage.Result) {
		p.Configuration = slices.Clone(p.Configuration)
		p.Configuration[2].Annotations = map[string]any{"auc": .999}
	})
	refused(machine, lineage.CodeRefused, "does not list data", func(p *attest.TestResult, _ *lineage.Result) { p.Configuration = p.Configuration[1:] })
	refused(machine, lineage.CodeInvalid, "name no data", func(_ *attest.TestResult, res *lineage.Result) { res.Relations = res.Relations[1:] })
	refused(machine, lineage.CodeInvalid, "of one model", func(_ *attest.TestResult, res *lineage.Result) {
		res.Relations = append(res.Relations, res.Relations[1])
	})
	refused(machine, lineage.CodeInvalid, "subject", func(_ *attest.TestResult, res *lineage.Result) { res.Subjects = nil })
	refused(machine, lineage.CodeRefused, "no training run", func(_ *attest.TestResult, res *lineage.Result) {
		res.Relations[1].Digest = strings.Repeat("ef", 32)
		res.Subjects[0].Digest = map[string]string{"sha256": strings.Repeat("ef", 32)}
	})
	// The makers do not validate.
	validated := func(_ *attest.TestResult, res *lineage.Result) { res.Relations[1].Type = attest.RelValidated }
	refused(machine, lineage.CodeForbidden, "does not hold the role validator", validated)
	refused(engineer, lineage.CodeForbidden, "does not hold the role validator", validated)

	rec := w.Must(w.DoAs(machine, stepOf(attest.KindEvaluation), res))
	var row Row
	w.View(func(r *lineage.ReadTx) error { return r.First(&row, "entry = ?", rec.Index) })
	if want := (Row{rec.Index, ledgertest.Project, attest.KindEvaluation, model.Digest, res.Predicate.(attest.TestResult).Result}); row != want {
		t.Errorf("%+v, want %+v", row, want)
	}
}

// TestValidation: a validator who took part in development no longer validates.
func TestValidation(t *testing.T) {
	w, report, model, data := evaluated(t)
	independent, err := ReportResult(report, model, data, "", false)
	if err != nil {
		t.Fatal(err)
	}
	w.Must(w.SubmitAs(validator, stepOf(attest.KindEvaluation), independent))
	report.Config.Seed = 5
	developing, err := ReportResult(report, model, data, "", true)
	if err != nil {
		t.Fatal(err)
	}
	w.Must(w.SubmitAs(validator, stepOf(attest.KindEvaluation), developing))
	err = w.Refused(lineage.CodeForbidden, func() error {
		_, err := w.SubmitAs(validator, stepOf(attest.KindEvaluation), independent)
		return err
	})
	if !strings.Contains(err.Error(), validator+" took part") {
		t.Error(err)
	}
}

// TestVerdictRules: each declared rule counts, and the worst gives the result.
func TestVerdictRules(t *testing.T) {
	base := Report{Fairness: Fairness{Attributes: []GroupedTable{{Attribute: "race", Verdict: Pass}}}}
	for _, c := range []struct {
		want   string
		change func(r *Report)
	}{
		{attest.ResultPassed, func(*Report) {}},
		{attest.ResultWarned, func(r *Report) { r.Fairness.Attributes = []GroupedTable{{Attribute: "race", Verdict: Insufficient}} }},
		{attest.ResultFailed, func(r *Report) { r.Fairness.Intersections = []GroupedTable{{Attribute: "race × age", Verdict: Fail}} }},
		{attest.ResultFailed, func(r *Report) { r.Robustness = &Robustness{Cases: []CaseResult{{Name: "x"}}} }},
		{attest.ResultPassed, func(r *Report) { r.Robustness = &Robustness{Cases: []CaseResult{{Name: "x", Holds: true}}} }},
		{attest.ResultWarned, func(r *Report) {
			r.Robustness = &Robustness{Monotonicity: []MonotoneResult{{Column: "x", Direction: 1}}}
		}},
		{attest.ResultWarned, func(r *Report) { r.Proxy = []ProxyResult{{Attribute: "race", Group: "a", IsProxy: true}} }},
	} {
		r := base
		c.change(&r)
		tests := r.tests()
		if got := tests.result(); got != c.want {
			t.Errorf("%+v: %s, want %s", tests, got, c.want)
		}
	}
}
