package trigger

import (
	"context"
	"slices"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
)

const engineer = "erin"

func step(kind string) lineage.Step { return lineage.Step{Kind: kind, Project: ledgertest.Project} }

func world(t *testing.T) *ledgertest.World {
	t.Helper()
	alert := lineage.Kind{Name: attest.KindAlert,
		Check:   func(context.Context, *lineage.ReadTx, *lineage.Entry) error { return nil },
		Project: func(context.Context, *lineage.WriteTx, *lineage.Entry) error { return nil }}
	w := ledgertest.New(t, append(Kinds(), alert))
	w.Person(engineer, "engineer")
	w.Account("monitor", engineer)
	return w
}

func refused(t *testing.T, w *ledgertest.World, actor, kind string, code lineage.Code, words string, res lineage.Result) {
	t.Helper()
	err := w.Refused(code, func() error {
		_, err := w.SubmitAs(actor, step(kind), res)
		return err
	})
	if err != nil && !strings.Contains(err.Error(), words) {
		t.Errorf("%v\ndoes not say %q", err, words)
	}
}

func TestPipelineConfiguration(t *testing.T) {
	w := world(t)
	res, ref, err := PipelineResult("train", TypeTraining, map[string]any{"l2": 1, "algorithm": "logistic_regression"})
	if err != nil {
		t.Fatal(err)
	}
	change := func(fn func(p *attest.PipelineConfiguration, res *lineage.Result)) lineage.Result {
		p, bad := res.Predicate.(attest.PipelineConfiguration), res
		bad.Relations = slices.Clone(res.Relations)
		fn(&p, &bad)
		bad.Predicate = p
		return bad
	}
	kind := attest.KindPipeline
	refused(t, w, engineer, kind, lineage.CodeInvalid, "name", change(func(p *attest.PipelineConfiguration, _ *lineage.Result) { p.Name = strings.Repeat("x", 200) }))
	// A trigger is another kind of node: what it is called decides what is upstream.
	refused(t, w, engineer, kind, lineage.CodeInvalid, "configured and generated trigger", change(func(p *attest.PipelineConfiguration, _ *lineage.Result) { p.Type = TypeTrigger }))
	refused(t, w, engineer, kind, lineage.CodeInvalid, "configured and generated", change(func(_ *attest.PipelineConfiguration, res *lineage.Result) { res.Relations = res.Relations[1:] }))
	refused(t, w, engineer, kind, lineage.CodeInvalid, "configured and generated", change(func(p *attest.PipelineConfiguration, _ *lineage.Result) { p.Config = []byte(`{"l2":2}`) }))
	refused(t, w, "monitor", kind, lineage.CodeForbidden, "engineer", res)
	rec := w.Must(w.SubmitAs(engineer, step(kind), res))
	var row PipelineRow
	w.View(func(r *lineage.ReadTx) error { return r.First(&row, "entry = ?", rec.Index) })
	if want := (PipelineRow{rec.Index, ledgertest.Project, "train", TypeTraining, ref.Digest}); row != want {
		t.Errorf("%+v, want %+v", row, want)
	}
	// The same configuration, its members in another order.
	again, same, err := PipelineResult("other", TypeTraining, map[string]any{"algorithm": "logistic_regression", "l2": 1})
	if err != nil || same.Digest != ref.Digest {
		t.Fatal(same, err)
	}
	refused(t, w, engineer, kind, lineage.CodeConflict, "configured the same", again)
	if _, _, err := PipelineResult("x", TypeTraining, "text"); lineage.CodeOf(err) != lineage.CodeInvalid {
		t.Errorf("text as configuration: %v", err)
	}
}

func TestRetrainTrigger(t *testing.T) {
	w := world(t)
	training, pipeline, err := PipelineResult("train", TypeTraining, map[string]any{"l2": 1})
	if err != nil {
		t.Fatal(err)
	}
	drift, trig, err := PipelineResult("drift", TypeTrigger, map[string]any{"on": "drift"})
	if err != nil {
		t.Fatal(err)
	}
	w.Must(w.SubmitAs(engineer, step(attest.KindPipeline), training))
	w.Must(w.SubmitAs(engineer, step(attest.KindPipeline), drift))
	alert := w.Must(w.DoAs("monitor", step(attest.KindAlert), lineage.Result{Predicate: attest.Alert{Endpoint: "x", Kind: "drift", Words: "x"}})).EntryRef(attest.KindAlert)
	kind := attest.KindRetrainTrigger
	wrong := alert
	wrong.Index--
	refused(t, w, "monitor", kind, lineage.CodeInvalid, "alert", RetrainResult(wrong, pipeline, trig, "x"))
	refused(t, w, "monitor", kind, lineage.CodeRefused, "no training configuration", RetrainResult(alert, trig, trig, "x"))
	refused(t, w, "monitor", kind, lineage.CodeRefused, "no trigger configuration", RetrainResult(alert, pipeline, pipeline, "x"))
	for i, words := range []string{"triggered-by entry", "used trigger", "used pipeline"} {
		bad := RetrainResult(alert, pipeline, trig, "x")
		bad.Relations = slices.Delete(bad.Relations, i, i+1)
		refused(t, w, "monitor", kind, lineage.CodeInvalid, words, bad)
	}
	refused(t, w, engineer, kind, lineage.CodeForbidden, "machine", RetrainResult(alert, pipeline, trig, "x"))
	rec := w.Must(w.DoAs("monitor", step(kind), RetrainResult(alert, pipeline, trig, "drift")))
	var row Row
	w.View(func(r *lineage.ReadTx) error { return r.First(&row, "entry = ?", rec.Index) })
	if want := (Row{rec.Index, ledgertest.Project, alert.Index, pipeline.Digest}); row != want {
		t.Errorf("%+v, want %+v", row, want)
	}
}
