package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/pipeline/dataset"
	"affidavit/pipeline/evaluate"
	"affidavit/pipeline/feature"
	"affidavit/pipeline/registry"
	"affidavit/pipeline/train"
	"affidavit/serving/runtime"
)

// version is a trained, evaluated and registered model version.
type version struct {
	Number       string
	Algorithm    string
	model        train.Model
	fitted       *feature.Fitted
	onnx         []byte
	artefact     lineage.Ref
	root         lineage.Ref
	report       evaluate.Report
	run          lineage.Receipt
	signature    lineage.Receipt
	evaluation   lineage.Receipt
	registration lineage.Receipt
	request      lineage.Receipt
	verdict      lineage.Receipt
	deployment   lineage.Receipt
}

// recipe is what one run is told.
type recipe struct {
	number    string
	algorithm string
	rows      []int        // of the table, to train on
	trigger   *lineage.Ref // the retrain-trigger that started it
}

// firstModels trains both kinds; both are registered, the better is promoted.
func (d *demo) firstModels(ctx context.Context) error {
	part, _ := d.split.Part(partTrain)
	for i, algorithm := range []string{logistic, boosted} {
		v, err := d.develop(ctx, recipe{number: fmt.Sprint(i + 1), algorithm: algorithm, rows: part.Indices})
		if err != nil {
			return fmt.Errorf("%s: %w", algorithm, err)
		}
		d.versions = append(d.versions, v)
	}
	return nil
}

// The algorithms, by train.Model's word.
const (
	logistic = "logistic_regression"
	boosted  = "gradient_boosted_trees"
)

// develop trains, evaluates on held-out rows, signs and registers a version.
func (d *demo) develop(ctx context.Context, r recipe) (*version, error) {
	v := &version{Number: r.number, Algorithm: r.algorithm}
	for _, step := range []func(context.Context, *version, recipe) error{d.train, d.evaluate, d.sign, d.register} {
		if err := step(ctx, v, r); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// train runs at once, or, when a trigger asked for it, as a queued job that a
// worker of the trainer's account leases.
func (d *demo) train(ctx context.Context, v *version, r recipe) error {
	s := lineage.Step{Kind: attest.KindTrainingRun}
	if r.trigger == nil {
		var err error
		v.run, err = d.machine(ctx, s, d.trainingWork(v, r))
		return err
	}
	s.Actor, s.OnBehalfOf, s.Project = trainer, engineer, project
	params, err := json.Marshal(map[string]any{"version": r.number, "trigger": r.trigger.Digest})
	if err != nil {
		return err
	}
	nonce, err := d.node.Ledger.Enqueue(ctx, lineage.Job{Step: s, Handler: trainingJob, Params: params})
	if err != nil {
		return err
	}
	ran, err := d.node.Ledger.WorkQueued(ctx, map[string]lineage.Handler{
		trainingJob: func(ctx context.Context, run lineage.Run, _ json.RawMessage) (lineage.Result, error) {
			return d.trainingWork(v, r)(ctx, run)
		},
	})
	if err == nil && ran != 1 {
		err = fmt.Errorf("%d jobs ran", ran)
	}
	if err != nil {
		return err
	}
	return d.view(ctx, func(r *lineage.ReadTx) error {
		e, err := r.EntryByNonce(nonce)
		if err != nil {
			return err
		}
		v.run = lineage.Receipt{Index: e.Index, PAE: e.PAE, Stamp: e.Stamp}
		return nil
	})
}

// trainingJob names the handler of queued training runs.
const trainingJob = "train-and-evaluate"

func (d *demo) trainingWork(v *version, r recipe) lineage.Work {
	return func(ctx context.Context, run lineage.Run) (lineage.Result, error) {
		began := time.Now()
		params, losses, err := d.fit(ctx, v, r)
		if err != nil {
			return lineage.Result{}, err
		}
		v.artefact = train.ModelRef(digestOf(v.onnx), "model.onnx")
		return train.RunResult(train.RunParams{
			Algorithm: v.Algorithm, Hyperparameters: params, Seed: seed, Data: []lineage.Ref{d.data}, Features: d.features, Pipeline: d.training,
			Trigger: r.trigger, Code: train.BuildInfo(), ModelName: "model.onnx", Artefact: v.onnx, Metrics: losses,
			Byproducts: []train.Byproduct{
				{Name: "features.fitted.json", MediaType: "application/json", Content: v.fitted.JSON()},
				{Name: "train.rows.txt", MediaType: "text/plain", Content: dataset.IndicesText(r.rows)},
			},
			Invocation: run.Nonce, Started: began.UTC(), Finished: time.Now().UTC(),
		})
	}
}

// threshold is where the exported graph says "denied": the decisions that are
// evaluated are the ones that are served.
const threshold = 0.5

// fit trains on the recipe's rows and exports ONNX.
func (d *demo) fit(ctx context.Context, v *version, r recipe) (params map[string]any, metrics map[string]float64, err error) {
	rows, err := d.table.Select(r.rows)
	if err != nil {
		return nil, nil, err
	}
	if v.fitted, err = d.def.Fit(rows); err != nil {
		return nil, nil, err
	}
	x, err := v.fitted.Transform(rows)
	if err != nil {
		return nil, nil, err
	}
	y, err := v.fitted.Labels(rows)
	if err != nil {
		return nil, nil, err
	}
	if params, metrics, err = d.fitModel(ctx, v, x, y); err != nil {
		return nil, nil, err
	}
	params["threshold"], params["rows"] = threshold, len(y)
	g := train.Graph{Name: modelName, FeatureSetDigest: d.features.Digest, Label: "deny", PositiveClass: "yes", NegativeClass: "no"}
	for _, s := range v.fitted.Specs() {
		g.Inputs = append(g.Inputs, train.Input(s))
	}
	v.onnx, err = v.model.ONNX(g)
	return params, metrics, err
}

func (d *demo) fitModel(ctx context.Context, v *version, x [][]float64, y []float64) (map[string]any, map[string]float64, error) {
	if v.Algorithm == logistic {
		m, err := train.Logistic(ctx, x, y, train.LogisticConfig{Names: v.fitted.FeatureNames()})
		if err != nil {
			return nil, nil, err
		}
		v.model = m
		return map[string]any{"l2": 0}, map[string]float64{"log_likelihood": m.LogLikelihood, "aic": m.AIC()}, nil
	}
	const trees = 120
	bar := d.bar(trees, "growing trees")
	defer bar.Finish()
	cfg := train.BoostedConfig{Names: v.fitted.FeatureNames(), Trees: trees, LearningRate: .05, MaxDepth: 3, MinLeafRows: 20, L2: 5, Subsample: .8, Seed: seed}
	m, err := train.Boosted(ctx, x, y, cfg, func(p train.Progress) { bar.Set(p.Tree, p.Trees) })
	if err != nil {
		return nil, nil, err
	}
	v.model = m
	return map[string]any{"trees": trees, "learning_rate": .05, "max_depth": 3, "min_leaf_rows": 20, "l2": 5, "subsample": .8},
		map[string]float64{"log_loss": m.Losses[len(m.Losses)-1]}, nil
}

func truths(y []float64) []bool {
	out := make([]bool, len(y))
	for i, v := range y {
		out[i] = v == 1
	}
	return out
}

// evaluate judges the exported graph, not the trainer's own arithmetic, on
// rows that no model has seen.
func (d *demo) evaluate(ctx context.Context, v *version, _ recipe) error {
	var err error
	s := lineage.Step{Kind: attest.KindEvaluation}
	v.evaluation, err = d.machine(ctx, s, func(ctx context.Context, _ lineage.Run) (lineage.Result, error) {
		part, _ := d.split.Part(partTest)
		var err error
		if v.report, err = d.judge(ctx, v, part.Indices); err != nil {
			return lineage.Result{}, err
		}
		return evaluate.ReportResult(v.report, v.artefact, d.data, partTest, true)
	})
	return err
}

func (d *demo) judge(ctx context.Context, v *version, rows []int) (evaluate.Report, error) {
	held, err := d.table.Select(rows)
	if err != nil {
		return evaluate.Report{}, err
	}
	model, err := runtime.Load(v.onnx)
	if err != nil {
		return evaluate.Report{}, err
	}
	table := cells(held, d.def.InputColumns())
	scorer := scorerOf(ctx, model, table.Columns)
	scores, err := scorer(table.Rows)
	if err != nil {
		return evaluate.Report{}, err
	}
	y, err := v.fitted.Labels(held)
	if err != nil {
		return evaluate.Report{}, err
	}
	in := evaluate.Input{Scores: scores, Labels: truths(y), Table: table, Scorer: scorer}
	for _, name := range d.def.Protected {
		values, _ := held.Text(name)
		in.Attributes = append(in.Attributes, evaluate.Attribute{Name: name, Values: values})
	}
	return evaluate.Evaluate(in, evaluate.Config{PositiveLabel: "deny = yes", Favourable: evaluate.PredictedNegative, Seed: seed,
		Threshold: evaluate.ThresholdRule{Kind: evaluate.FixedThreshold, Value: threshold}})
}

// sign makes the OpenSSF model signature over the version's files.
func (d *demo) sign(ctx context.Context, v *version, _ recipe) error {
	s := lineage.Step{Kind: attest.KindModelSignature}
	var err error
	v.signature, err = d.machine(ctx, s, func(context.Context, lineage.Run) (lineage.Result, error) {
		files := map[string][]byte{"model.onnx": v.onnx, "features.fitted.json": v.fitted.JSON()}
		res, root, err := registry.SignatureResult(modelName+" "+v.Number, files, "model.onnx")
		v.root = root
		return res, err
	})
	return err
}

// register is the engineer's own word; the graph's inputs are read from the artefact.
func (d *demo) register(ctx context.Context, v *version, _ recipe) error {
	model, err := runtime.Load(v.onnx)
	if err != nil {
		return err
	}
	metrics := map[string]float64{}
	for _, m := range v.report.Metrics() {
		metrics[m.Name] = m.Value
	}
	v.registration, err = d.submit(ctx, engineer, stepOf(attest.KindRegistration), registry.RegistrationResult(attest.Registration{
		Model: modelName, Version: v.Number, Root: v.root.Digest, Artefact: v.artefact.Digest, Format: registry.FormatONNX, Inputs: model.InputNames(),
		Run: entryRef(v.run, attest.KindTrainingRun), Signature: entryRef(v.signature, attest.KindModelSignature),
		Evidence: []attest.EntryRef{entryRef(v.evaluation, attest.KindEvaluation)}, Metrics: metrics,
	}))
	return err
}
