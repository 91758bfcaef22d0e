package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
)

const (
	engineer = "erin"
	machine  = "trainer"
)

// taken is a Kind that takes anything, to put down what a run rests on.
func taken(name string) lineage.Kind {
	return lineage.Kind{Name: name,
		Check:   func(context.Context, *lineage.ReadTx, *lineage.Entry) error { return nil },
		Project: func(context.Context, *lineage.WriteTx, *lineage.Entry) error { return nil }}
}

func ref(kind, name string) lineage.Ref {
	sum := sha256.Sum256([]byte(name))
	return lineage.Ref{Kind: kind, Digest: hex.EncodeToString(sum[:]), Name: name}
}

// world holds data, features, a pipeline and a trigger that started it.
func world(t *testing.T) (*ledgertest.World, RunParams) {
	t.Helper()
	w := ledgertest.New(t, append(Kinds(), taken(attest.KindAlert), taken(attest.KindRetrainTrigger)))
	w.Person(engineer, "engineer")
	w.Account(machine, engineer)
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	p := RunParams{Algorithm: "logistic_regression", Hyperparameters: map[string]any{"l2": 0.5}, Seed: math.MaxUint64,
		Data: []lineage.Ref{ref(attest.ArtefactData, "data")}, Features: ref(attest.ArtefactFeatures, "features"), Pipeline: ref(attest.ArtefactPipeline, "pipeline"),
		Code: Code{Module: "affidavit", Version: "v1", Revision: strings.Repeat("ab", 20), Go: "go1.26"}, ModelName: "model.onnx", Artefact: []byte("a model"),
		Metrics: map[string]float64{"auc": .8}, Byproducts: []Byproduct{{"split.txt", "text/plain", []byte("1\n2\n")}},
		Invocation: "run-1", Started: now, Finished: now.Add(time.Minute)}
	made := lineage.Result{Predicate: attest.Alert{Endpoint: "x", Kind: "drift", Words: "x"}}
	for _, r := range []lineage.Ref{p.Data[0], p.Features, p.Pipeline} {
		made.Relations = append(made.Relations, attest.Relation{Type: attest.RelGenerated, Ref: r})
	}
	w.Must(w.DoAs(machine, step(attest.KindAlert), made))
	return w, p
}

func step(kind string) lineage.Step { return lineage.Step{Kind: kind, Project: ledgertest.Project} }

func refused(t *testing.T, w *ledgertest.World, actor string, code lineage.Code, words string, res lineage.Result) {
	t.Helper()
	err := w.Refused(code, func() error {
		_, err := w.SubmitAs(actor, step(attest.KindTrainingRun), res)
		return err
	})
	if err != nil && !strings.Contains(err.Error(), words) {
		t.Errorf("%v\ndoes not say %q", err, words)
	}
}

func TestTrainingRun(t *testing.T) {
	w, p := world(t)
	w.Person("vera", "validator")
	res, err := RunResult(p)
	if err != nil {
		t.Fatal(err)
	}
	type provenance = attest.Provenance
	for _, c := range []struct {
		code   lineage.Code
		words  string
		change func(p *provenance, res *lineage.Result)
	}{
		{lineage.CodeInvalid, "buildType", func(p *provenance, _ *lineage.Result) { p.BuildDefinition.BuildType = "" }},
		{lineage.CodeInvalid, "before it started", func(p *provenance, _ *lineage.Result) {
			p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn = p.RunDetails.Metadata.FinishedOn, p.RunDetails.Metadata.StartedOn
		}},
		{lineage.CodeRefused, "does not list data", func(p *provenance, _ *lineage.Result) {
			p.BuildDefinition.ResolvedDependencies = p.BuildDefinition.ResolvedDependencies[1:]
		}},
		{lineage.CodeInvalid, "name no data", func(_ *provenance, res *lineage.Result) { res.Relations = res.Relations[1:] }},
		{lineage.CodeInvalid, "name no features", func(_ *provenance, res *lineage.Result) { res.Relations = slices.Delete(res.Relations, 1, 2) }},
		{lineage.CodeInvalid, "name no pipeline", func(_ *provenance, res *lineage.Result) { res.Relations = slices.Delete(res.Relations, 2, 3) }},
		{lineage.CodeInvalid, "generated and trained", func(_ *provenance, res *lineage.Result) { res.Relations = res.Relations[:4] }},
		{lineage.CodeInvalid, "two models", func(_ *provenance, res *lineage.Result) {
			res.Relations = append(res.Relations, attest.Relation{Type: attest.RelGenerated, Ref: ref(attest.ArtefactModel, "other")})
		}},
		{lineage.CodeInvalid, "subject", func(_ *provenance, res *lineage.Result) { res.Subjects = nil }},
		{lineage.CodeInvalid, "no data", func(_ *provenance, res *lineage.Result) {
			res.Relations[0].Ref = ref(attest.ArtefactData, "unheard of")
		}},
	} {
		prov, bad := res.Predicate.(attest.Provenance), res
		bad.Relations = slices.Clone(res.Relations)
		c.change(&prov, &bad)
		bad.Predicate = prov
		refused(t, w, machine, c.code, c.words, bad)
	}
	refused(t, w, "vera", lineage.CodeForbidden, "engineer or machine", res)

	s := step(attest.KindTrainingRun)
	s.OnBehalfOf = engineer
	rec := w.Must(w.DoAs(machine, s, res))
	var row RunRow
	var prov attest.Provenance
	w.View(func(r *lineage.ReadTx) error {
		e, err := r.Entry(rec.Index)
		if err != nil {
			return err
		}
		if err := e.Decode(&prov); err != nil {
			return err
		}
		return r.First(&row, "entry = ?", rec.Index)
	})
	sum := sha256.Sum256(p.Artefact)
	if want := (RunRow{rec.Index, ledgertest.Project, hex.EncodeToString(sum[:])}); row != want {
		t.Errorf("%+v, want %+v", row, want)
	}
	deps := prov.BuildDefinition.ResolvedDependencies
	if prov.BuildDefinition.ExternalParameters["seed"] != "18446744073709551615" || len(deps) != 4 || deps[3].Digest["gitCommit"] != p.Code.Revision {
		t.Errorf("%+v", prov.BuildDefinition)
	}
	for _, d := range append([]string{row.Artefact}, prov.RunDetails.Byproducts[0].Digest["sha256"], prov.RunDetails.Byproducts[1].Digest["sha256"]) {
		if _, err := lineage.ReadBlob(context.Background(), w.L.Blobs(), d, 1<<20); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
	if _, err := RunResult(RunParams{}); lineage.CodeOf(err) != lineage.CodeInvalid {
		t.Errorf("an empty run: %v", err)
	}
	if c := BuildInfo(); c.Module == "" || c.Go == "" {
		t.Errorf("%+v", c)
	}
}

// TestTriggeredRun: who configured a trigger is upstream of what it trains,
// so a run cannot name its trigger without resting on it.
func TestTriggeredRun(t *testing.T) {
	w, p := world(t)
	trigger := func(pipeline string) *lineage.Ref {
		rec := w.Must(w.DoAs(machine, step(attest.KindRetrainTrigger), lineage.Result{Predicate: attest.RetrainTrigger{Pipeline: pipeline, Trigger: pipeline, Reason: "x"}}))
		return &lineage.Ref{Kind: attest.ArtefactEntry, Digest: rec.PAE}
	}
	p.Trigger = trigger(p.Pipeline.Digest)
	good, err := RunResult(p)
	if err != nil {
		t.Fatal(err)
	}
	bad := good
	bad.Relations = slices.DeleteFunc(slices.Clone(good.Relations), func(r attest.Relation) bool { return r.Type == attest.RelUsed && r.Kind == attest.ArtefactEntry })
	refused(t, w, machine, lineage.CodeInvalid, "without having used it", bad)

	p.Trigger = trigger(p.Data[0].Digest)
	bad, _ = RunResult(p)
	refused(t, w, machine, lineage.CodeRefused, "which the run did not use", bad)

	var alert lineage.Ref
	w.View(func(r *lineage.ReadTx) error {
		list, err := r.Entries(lineage.EntryFilter{Kind: attest.KindAlert})
		alert = list[0].Ref()
		return err
	})
	p.Trigger = &alert
	bad, _ = RunResult(p)
	refused(t, w, machine, lineage.CodeRefused, "which triggered the run, is of kind alert", bad)
	w.Must(w.DoAs(machine, step(attest.KindTrainingRun), good))
}
