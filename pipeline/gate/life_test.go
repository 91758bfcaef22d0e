package gate_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/lineage/ledgertest"
	"affidavit/pipeline/dataset"
	"affidavit/pipeline/evaluate"
	"affidavit/pipeline/feature"
	"affidavit/pipeline/gate"
	"affidavit/pipeline/registry"
	"affidavit/pipeline/train"
	"affidavit/pipeline/trigger"
)

const (
	erin    = "erin-engineer"
	olivia  = "olivia-owner"
	vera    = "vera-validator"
	rick    = "rick-risk"
	trainer = "trainer"
)

const policyYAML = `name: credit
version: "1"
title: Credit decisions
tiers: [high]
stages:
  production:
    ownerAcceptance: true
    approvals:
      - {role: validator, count: 1}
      - {role: risk-officer, count: 1}
    approvalExpiry: 30d
    prohibited: {attributes: [race], inventory: true}
    evidence:
      - name: data-validation
        kind: data-validation
        about: lineage
        condition: predicate.result != "FAILED"
        words: the data passed validation
        remedy: validate the data
      - name: discrimination
        kind: evaluation
        condition: predicate.details.discrimination.auc.value >= 0.6
        words: the model ranks applicants
        remedy: improve the model
`

// life is a project in which a version was made from nothing, step by step, on
// the real ledger.
type life struct {
	*ledgertest.World
	now      time.Time
	table    *dataset.Table
	data     lineage.Ref
	features lineage.Ref
	def      *feature.Definition
	pipeline lineage.Ref
	trigger  lineage.Ref
	policy   string
	// The version registered last.
	version   string
	artefact  lineage.Ref
	root      lineage.Ref
	run       lineage.Receipt
	signature lineage.Receipt
	eval      lineage.Receipt
	model     *train.LogisticModel
	rows      [][]float64
	labels    []float64
	metrics   map[string]float64
}

// kinds are all of pipeline's, and an alert without rules of its own.
func kinds() []lineage.Kind {
	all := dataset.Kinds()
	for _, more := range [][]lineage.Kind{feature.Kinds(), train.Kinds(), evaluate.Kinds(), registry.Kinds(), gate.Kinds(), trigger.Kinds()} {
		all = append(all, more...)
	}
	return append(all, lineage.Kind{Name: attest.KindAlert,
		Check:   func(context.Context, *lineage.ReadTx, *lineage.Entry) error { return nil },
		Project: func(context.Context, *lineage.WriteTx, *lineage.Entry) error { return nil }})
}

// newLife staffs a project and publishes policy and inventory. The clock stands
// until the test moves now.
func newLife(t testing.TB, opts ...ledgertest.Option) *life {
	t.Helper()
	l := &life{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	l.World = ledgertest.New(t, kinds(), append(opts, ledgertest.WithClock(func() time.Time { return l.now }))...)
	l.Person(erin, "engineer")
	l.Person(olivia, "model-owner")
	l.Person(vera, "validator")
	l.Person(rick, "risk-officer")
	l.Account(trainer, erin)
	res, err := govern.PolicyResult([]byte(policyYAML))
	l.check(err)
	l.policy = res.Predicate.(attest.PolicyPublication).Digest
	l.as(rick, attest.KindPolicy, res)
	res, err = registry.Inventory(inventory())
	l.check(err)
	l.as(olivia, attest.KindInventory, res)
	return l
}

func inventory() attest.InventoryEntry {
	return attest.InventoryEntry{Model: "lending", UseCase: "consumer lending", IntendedUse: "rank applications", ProhibitedUse: "anything else",
		Owner: olivia, Developer: erin, Exposure: "high", Purpose: "credit", RiskTier: "high", Protected: []string{"race"}, Limits: []string{"Past decisions are not the truth."}}
}

func (l *life) check(err error) {
	l.T.Helper()
	if err != nil {
		l.T.Fatal(err)
	}
}

func step(kind string) lineage.Step { return lineage.Step{Kind: kind, Project: ledgertest.Project} }

// as submits a result signed by a person.
func (l *life) as(actor, kind string, res lineage.Result) lineage.Receipt {
	l.T.Helper()
	return l.Must(l.SubmitAs(actor, step(kind), res))
}

// csv is 240 made-up applicants; the outcome follows income and kind, with noise.
func csv() []byte {
	var b strings.Builder
	b.WriteString("income,kind,race,deny\n")
	for i := range 240 {
		x := float64(i*37%101) / 100
		kind, race, deny := "owner", "a", "no"
		if i%3 == 0 {
			kind = "renter"
		}
		if i*13%7 < 3 {
			race = "b"
		}
		noise := float64(i*71%97)/97 - .5
		if x+noise*.8 < .4 || kind == "renter" && x+noise < .5 {
			deny = "yes"
		}
		fmt.Fprintf(&b, "%g,%s,%s,%s\n", x, kind, race, deny)
	}
	return []byte(b.String())
}

func schema() *dataset.Schema {
	return &dataset.Schema{Fields: []dataset.Field{
		{Name: "income", Type: dataset.Numeric, Role: dataset.RoleInput},
		{Name: "kind", Type: dataset.Categorical, Role: dataset.RoleInput},
		{Name: "race", Type: dataset.Categorical, Role: dataset.RoleProtected},
		{Name: "deny", Type: dataset.Categorical, Role: dataset.RoleLabel},
	}}
}

// prepare logs data, its validation, features and both configurations.
func (l *life) prepare() {
	l.T.Helper()
	var err error
	l.table, err = dataset.ReadCSV(bytes.NewReader(csv()), schema(), dataset.Limits{})
	l.check(err)
	res, err := dataset.Register(l.table, csv(), "applicants", "1", "made up", "CC0-1.0")
	l.check(err)
	l.data = res.Relations[0].Ref
	l.as(erin, attest.KindDataVersion, res)

	zero, one := 0., 1.
	report, err := l.table.Validate(&dataset.Suite{Expectations: []dataset.Expectation{{Name: "income in range", Kind: dataset.Between, Column: "income", Min: &zero, Max: &one}}})
	l.check(err)
	res, err = dataset.ValidationResult(report, l.data)
	l.check(err)
	l.Must(l.DoAs(trainer, step(attest.KindDataValidation), res))

	l.def, err = feature.ParseDefinition([]byte("{name: applicants, version: 1, label: {column: deny, positive: \"yes\", negative: \"no\"}, inputs: [{column: income, encoding: standardise}, {column: kind, encoding: one_hot, drop_first: true}], protected: [race]}"))
	l.check(err)
	res, err = feature.Register(l.def, l.data, nil)
	l.check(err)
	l.features = res.Relations[1].Ref
	l.as(erin, attest.KindFeatureSet, res)

	res, l.pipeline, err = trigger.PipelineResult("train", trigger.TypeTraining, map[string]any{"algorithm": "logistic_regression", "l2": 1})
	l.check(err)
	l.as(erin, attest.KindPipeline, res)
	res, l.trigger, err = trigger.PipelineResult("drift", trigger.TypeTrigger, map[string]any{"on": "drift"})
	l.check(err)
	l.as(erin, attest.KindPipeline, res)
}

// trainAndLog trains with a penalty and logs the run; by is the retrain
// trigger that started it, if any.
func (l *life) trainAndLog(l2 float64, by *lineage.Ref) {
	l.T.Helper()
	ctx := context.Background()
	fitted, err := l.def.Fit(l.table)
	l.check(err)
	l.rows, err = fitted.Transform(l.table)
	l.check(err)
	l.labels, err = fitted.Labels(l.table)
	l.check(err)
	l.model, err = train.Logistic(ctx, l.rows, l.labels, train.LogisticConfig{Names: fitted.FeatureNames(), L2: l2})
	l.check(err)
	g := train.Graph{Name: "lending", FeatureSetDigest: l.features.Digest, Label: "deny", PositiveClass: "yes", NegativeClass: "no"}
	for _, s := range fitted.Specs() {
		g.Inputs = append(g.Inputs, train.Input(s))
	}
	onnx, err := l.model.ONNX(g)
	l.check(err)
	res, err := train.RunResult(train.RunParams{
		Algorithm: l.model.Algorithm(), Hyperparameters: map[string]any{"l2": l2}, Seed: math.MaxUint64, Data: []lineage.Ref{l.data}, Features: l.features,
		Pipeline: l.pipeline, Trigger: by, Code: train.BuildInfo(), ModelName: "model.onnx", Artefact: onnx, Metrics: map[string]float64{"aic": l.model.AIC()},
		Byproducts: []train.Byproduct{{Name: "features.json", MediaType: "application/json", Content: fitted.JSON()}},
		Invocation: "run", Started: l.now, Finished: l.now,
	})
	l.check(err)
	l.artefact = lineage.Ref{Kind: attest.ArtefactModel, Digest: res.Subjects[0].Digest["sha256"], Name: "model.onnx"}
	s := step(attest.KindTrainingRun)
	s.OnBehalfOf = erin
	l.run = l.Must(l.DoAs(trainer, s, res))
	l.check(l.sign(onnx))
}

func (l *life) sign(onnx []byte) error {
	res, root, err := registry.SignatureResult("lending "+l.version, map[string][]byte{"model.onnx": onnx, "README.md": []byte("lending\n")}, "model.onnx")
	if err != nil {
		return err
	}
	l.root = root
	l.signature, err = l.DoAs(trainer, step(attest.KindModelSignature), res)
	return err
}

// report evaluates the model on all rows.
func (l *life) report() evaluate.Report {
	l.T.Helper()
	scores, err := l.model.Predict(l.rows)
	l.check(err)
	truth := make([]bool, len(l.labels))
	for i, y := range l.labels {
		truth[i] = y == 1
	}
	race, _ := l.table.Text("race")
	rep, err := evaluate.Evaluate(evaluate.Input{Scores: scores, Labels: truth, Attributes: []evaluate.Attribute{{Name: "race", Values: race}}},
		evaluate.Config{PositiveLabel: "deny = yes", Favourable: evaluate.PredictedNegative, Replicates: 100, Seed: 1})
	l.check(err)
	return rep
}

func (l *life) evaluate() {
	l.T.Helper()
	rep := l.report()
	l.metrics = map[string]float64{}
	for _, m := range rep.Metrics() {
		l.metrics[m.Name] = m.Value
	}
	res, err := evaluate.ReportResult(rep, l.artefact, l.data, "", true)
	l.check(err)
	l.eval = l.Must(l.DoAs(trainer, step(attest.KindEvaluation), res))
}

// registration is the predicate of the version made last.
func (l *life) registration() attest.Registration {
	return attest.Registration{Model: "lending", Version: l.version, Root: l.root.Digest, Artefact: l.artefact.Digest, Format: registry.FormatONNX,
		Inputs: l.def.InputColumns(), Run: l.run.EntryRef(attest.KindTrainingRun), Signature: l.signature.EntryRef(attest.KindModelSignature),
		Evidence: []attest.EntryRef{l.eval.EntryRef(attest.KindEvaluation)}, Metrics: l.metrics}
}

// develop makes and registers a version.
func (l *life) develop(version string, l2 float64, by *lineage.Ref) {
	l.T.Helper()
	l.version = version
	l.trainAndLog(l2, by)
	l.evaluate()
	l.as(erin, attest.KindRegistration, registry.RegistrationResult(l.registration()))
}

// requestStep prepares a request for the version made last.
func (l *life) requestStep(change func(*gate.Ask)) (lineage.Step, lineage.Result, error) {
	s := step(attest.KindPromotionRequest)
	s.Nonce = fmt.Sprintf("%032x", l.now.UnixNano()+int64(len(l.version)))
	ask := gate.Ask{Project: ledgertest.Project, Model: "lending", Version: l.version, Stage: "production", PolicyDigest: l.policy,
		Expires: l.now.Add(10 * 24 * time.Hour), Reason: "ready", Nonce: s.Nonce}
	if change != nil {
		change(&ask)
	}
	var res lineage.Result
	err := l.L.View(context.Background(), lineage.Scope{All: true}, func(r *lineage.ReadTx) error {
		var err error
		res, err = gate.Request(r, ask)
		return err
	})
	return s, res, err
}

func (l *life) request() lineage.Receipt {
	l.T.Helper()
	l.now = l.now.Add(time.Second)
	s, res, err := l.requestStep(nil)
	l.check(err)
	return l.Must(l.SubmitAs(erin, s, res))
}

// decide submits a person's word on a request.
func (l *life) decide(actor string, request lineage.Receipt, role, outcome string, conditions ...string) (lineage.Receipt, error) {
	kind, res := l.word(request, role, outcome, conditions...)
	return l.SubmitAs(actor, step(kind), res)
}

func (l *life) word(request lineage.Receipt, role, outcome string, conditions ...string) (kind string, res lineage.Result) {
	l.View(func(r *lineage.ReadTx) error {
		var err error
		kind, res, err = gate.Decide(r, request.Index, role, outcome, "because", conditions...)
		return err
	})
	return kind, res
}

// verdict judges and logs.
func (l *life) verdict(request lineage.Receipt) (lineage.Receipt, bool) {
	l.T.Helper()
	res, passed := l.judged(request)
	return l.Must(l.Do(step(attest.KindVerdict), res)), passed
}

func (l *life) judged(request lineage.Receipt) (res lineage.Result, passed bool) {
	l.View(func(r *lineage.ReadTx) error {
		var err error
		v, _, err := gate.Judge(r, request.Index, 0, l.now)
		if err != nil {
			return err
		}
		passed = v.Passed
		if !passed {
			l.T.Log(gate.Unmet(v.Conditions))
		}
		res, _, err = gate.VerdictResult(r, request.Index, l.now)
		return err
	})
	return res, passed
}

// approve lets everybody with a say approve.
func (l *life) approve(request lineage.Receipt) {
	l.T.Helper()
	l.Must(l.decide(olivia, request, "model-owner", attest.OutcomeApproved))
	l.Must(l.decide(vera, request, "validator", attest.OutcomeApproved))
	l.Must(l.decide(rick, request, "risk-officer", attest.OutcomeConditional, "review the threshold each quarter"))
}

// audit replays the log and compares every table.
func (l *life) audit() {
	l.T.Helper()
	rep, err := lineage.Audit(context.Background(), lineage.AuditConfig{DB: l.DB, Kinds: l.Config.Kinds, Root: l.L.TrustedRoot()})
	l.check(err)
	for _, d := range rep.Differences {
		l.T.Error(d)
	}
}

func (l *life) state(request lineage.Receipt) string {
	var row gate.StateRow
	l.View(func(r *lineage.ReadTx) error { return r.First(&row, "request = ?", request.Index) })
	return row.State
}
