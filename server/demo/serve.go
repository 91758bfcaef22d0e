package demo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/pipeline/trigger"
	"affidavit/serving/gateway"
	"affidavit/serving/monitor"
)

// life is what happened in production.
type life struct {
	champion, challenger *version
	reference            monitor.Reference
	windows              []windowSeen
	alert                lineage.Receipt
	trigger              lineage.Receipt
	labelled             []int // rows whose outcome came while serving
	canary               lineage.Receipt
	canaryRequests       int64
	canaryVerdict        string
}

type windowSeen struct {
	Name    string `json:"name"`
	Rows    int64  `json:"rows"`
	Verdict string `json:"verdict"`
	Entry   int64  `json:"entry"`
}

// driftPolicy: two alert windows in a row ask to retrain.
func driftPolicy() monitor.Policy {
	return monitor.Policy{PSI: .1, JS: .1, Q: .01, MinRows: 200, Consecutive: 2, MinLabels: 20, MaxAUCDrop: .15, MaxBrierRise: .06, Confidence: .95}
}

// firstDeployment puts the approved version behind the gateway and freezes the
// reference that its inputs will be watched against: the training rows.
func (d *demo) firstDeployment(ctx context.Context) error {
	v := d.life.champion
	if err := d.deploy(ctx, v, gateway.Deployment{Endpoint: modelName, Action: gateway.ActionDeploy, Role: attest.ServeChampion, Verdict: v.verdict.Index}); err != nil {
		return err
	}
	part, _ := d.split.Part(partTrain)
	rows, err := d.table.Select(part.Indices)
	if err != nil {
		return err
	}
	table := cells(rows, d.def.InputColumns())
	var specs []monitor.Spec
	for _, c := range table.Columns {
		specs = append(specs, monitor.Spec{Name: c.Name, Kind: monitor.Kind(c.Kind)})
	}
	values := make([][]monitor.Value, len(table.Rows))
	for i, row := range table.Rows {
		for _, c := range row {
			values[i] = append(values[i], monitor.Value(c))
		}
	}
	rep := v.report
	base := &monitor.Baseline{Threshold: threshold, AUC: rep.Discrimination.AUC.Value, Brier: rep.Discrimination.Brier.Value,
		SelectionRate: rep.Discrimination.SelectionRate.Value, Slope: 1}
	d.life.reference, err = monitor.NewReference(specs, values, monitor.Options{Baseline: base})
	if err != nil {
		return err
	}
	return d.window(ctx, "as trained", d.sample(d.held(nil), 260))
}

func (d *demo) deploy(ctx context.Context, v *version, what gateway.Deployment) error {
	var err error
	v.deployment, err = d.gateway.Deploy(ctx, what, engineer)
	return err
}

// held returns rows of the part that no first model was trained or judged on.
// The challenger learns from those among them whose outcome came; the canary
// leaves these out.
func (d *demo) held(keep func(row int) bool) []int {
	part, _ := d.split.Part(partServe)
	var out []int
	for _, row := range part.Indices {
		if keep == nil || keep(row) {
			out = append(out, row)
		}
	}
	return out
}

// sample draws n rows without replacement; what it draws depends on the pool
// and on how many windows there are, so windows differ.
func (d *demo) sample(pool []int, n int) []int {
	rng := rand.New(rand.NewPCG(seed, uint64(len(d.life.windows))))
	pool = slices.Clone(pool)
	rng.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	return pool[:min(n, len(pool))]
}

// window serves rows over HTTP, records their outcomes, counts what was sealed
// and logs the reading.
func (d *demo) window(ctx context.Context, name string, rows []int) error {
	answers, err := d.inferAll(ctx, name, rows, func(int) map[string]any { return map[string]any{} })
	if err != nil {
		return err
	}
	outcomes := make([]gateway.Outcome, len(answers))
	for i, a := range answers {
		outcomes[i] = gateway.Outcome{PredictionID: a.id, Label: d.truth(a.row)}
	}
	before, err := d.size(ctx)
	if err != nil {
		return err
	}
	recorded, err := d.gateway.RecordOutcomes(ctx, modelName, outcomes)
	if err != nil {
		return err
	}
	d.life.labelled = append(d.life.labelled, rows...)
	return d.assess(ctx, name, before, recorded, outcomes)
}

// assess reads the sealed segments back, as a monitor on another machine would.
func (d *demo) assess(ctx context.Context, name string, since int64, recorded lineage.Receipt, outcomes []gateway.Outcome) error {
	v := d.life.champion
	labels := map[string]int64{}
	for _, o := range outcomes {
		labels[o.PredictionID] = o.Label
	}
	counter, err := d.life.reference.Counter()
	if err != nil {
		return err
	}
	refs, err := d.gateway.Reader().Segments(ctx, project, modelName, v.deployment.Index)
	if err != nil {
		return err
	}
	sources := []attest.EntryRef{}
	for _, ref := range refs {
		if ref.Index < since {
			continue
		}
		seg, err := d.gateway.Reader().OpenSegment(ctx, ref)
		if err != nil {
			return err
		}
		sources = append(sources, ref)
		for _, p := range seg.Predictions {
			if err := d.count(counter, p, labels); err != nil {
				return err
			}
		}
	}
	sources = append(sources, entryRef(recorded, attest.KindOutcomes))
	w := counter.Window()
	var verdict monitor.Verdict
	rec, err := d.service(ctx, attest.KindWindow, func(r *lineage.ReadTx) (lineage.Result, error) {
		sequence, prior, err := monitor.Next(r, project, modelName, modelName, v.Number)
		if err != nil {
			return lineage.Result{}, err
		}
		a, err := d.life.reference.Assess(w, prior, driftPolicy())
		if err != nil {
			return lineage.Result{}, err
		}
		verdict = a.Verdict
		return monitor.WindowResult(monitor.Watched{Endpoint: modelName, Model: modelName, Version: v.Number,
			Deployment: entryRef(v.deployment, attest.KindDeployment), Sources: sources}, sequence, w, a)
	})
	if err != nil {
		return err
	}
	d.life.windows = append(d.life.windows, windowSeen{Name: name, Rows: w.Rows, Verdict: string(verdict), Entry: rec.Index})
	fmt.Fprintf(d.o.Progress, "        window %q: %d applicants, %s\n", name, w.Rows, verdict)
	return nil
}

func (d *demo) count(c *monitor.Counter, p gateway.Prediction, labels map[string]int64) error {
	byName := map[string]gateway.Value{}
	for _, v := range p.Inputs {
		byName[v.Name] = v
	}
	row := make([]monitor.Value, len(d.life.reference.Features))
	for i, f := range d.life.reference.Features {
		v := byName[f.Name]
		switch {
		case v.Number != nil:
			row[i] = monitor.Value{Number: *v.Number}
		case v.Text != nil:
			row[i] = monitor.Value{Text: *v.Text}
		default:
			row[i] = monitor.Value{Number: math.NaN(), Missing: true}
		}
	}
	if err := c.Row(p.At, row); err != nil {
		return err
	}
	c.Score(p.Score)
	if label, ok := labels[p.ID]; ok {
		return c.Label(p.Score, label == 1)
	}
	return nil
}

// watch lets the mix of applicants change: real held-out rows, chosen for a
// high payment-to-income ratio.
func (d *demo) watch(ctx context.Context) error {
	pirat, _ := d.table.Numeric("pirat")
	strained := d.held(func(row int) bool { return pirat[row] >= .345 })
	for i := range driftPolicy().Consecutive {
		if err := d.window(ctx, fmt.Sprintf("shifted %d", i+1), d.sample(strained, 240)); err != nil {
			return err
		}
	}
	var call monitor.Call
	err := d.view(ctx, func(r *lineage.ReadTx) error {
		var err error
		call, err = monitor.Decide(r, project, modelName, modelName, d.life.champion.Number)
		return err
	})
	if err != nil {
		return err
	}
	if !call.Alert {
		return errors.New("the shifted population was not noticed")
	}
	d.life.alert, err = d.service(ctx, attest.KindAlert, func(*lineage.ReadTx) (lineage.Result, error) { return monitor.AlertResult(call) })
	if err != nil {
		return err
	}
	fmt.Fprintf(d.o.Progress, "        %s\n", call.Words)
	return nil
}

// retrain queues the retraining as a job, which a worker of the trainer runs:
// the challenger learns from the training rows and from those whose outcome came.
func (d *demo) retrain(ctx context.Context) error {
	var err error
	d.life.trigger, err = d.service(ctx, attest.KindRetrainTrigger, func(*lineage.ReadTx) (lineage.Result, error) {
		return trigger.RetrainResult(entryRef(d.life.alert, attest.KindAlert), d.training, d.trigger, "two windows in a row drifted"), nil
	})
	if err != nil {
		return err
	}
	part, _ := d.split.Part(partTrain)
	rows := append(slices.Clone(part.Indices), d.life.labelled...)
	slices.Sort(rows)
	by := lineage.Ref{Kind: attest.ArtefactEntry, Digest: d.life.trigger.PAE, Name: "retrain trigger"}
	v, err := d.develop(ctx, recipe{number: "3", algorithm: d.life.champion.Algorithm, rows: slices.Compact(rows), trigger: &by})
	if err != nil {
		return err
	}
	d.life.challenger = v
	d.versions = append(d.versions, v)
	return nil
}

func (d *demo) secondPromotion(ctx context.Context) error {
	if err := d.promote(ctx, d.life.challenger, false); err != nil {
		return err
	}
	return d.deploy(ctx, d.life.challenger, gateway.Deployment{Endpoint: modelName, Action: gateway.ActionDeploy, Role: attest.ServeChallenger,
		Weight: canaryWeight, Verdict: d.life.challenger.verdict.Index})
}
