package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
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
	"affidavit/serving/gateway"
	"affidavit/serving/gateway/openinference"
)

const (
	erin    = "erin-engineer"
	olivia  = "olivia-owner"
	vera    = "vera-validator"
	rick    = "rick-risk"
	trainer = "trainer"
	stage   = "production"
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
      - name: discrimination
        kind: evaluation
        condition: predicate.details.discrimination.auc.value >= 0.6
        words: the model ranks applicants
        remedy: improve the model
`

// life is a project on the real ledger in which versions are made and approved by the people whose business it is.
type life struct {
	*ledgertest.World
	clockMu  sync.Mutex
	now      time.Time
	keys     *gateway.KeyDir
	store    *faultyBlobs
	table    *dataset.Table
	def      *feature.Definition
	data     lineage.Ref
	features lineage.Ref
	pipeline lineage.Ref
	policy   string
	rows     [][]float64
	labels   []float64
	models   map[string]*train.LogisticModel
	blobs    map[string]string // artefact digest by version
	requests map[string]lineage.Receipt
	said     map[string]lineage.Receipt // the risk officer's decision, by version
}

func allKinds() []lineage.Kind {
	var all []lineage.Kind
	for _, more := range [][]lineage.Kind{dataset.Kinds(), feature.Kinds(), train.Kinds(), evaluate.Kinds(), registry.Kinds(), gate.Kinds(), trigger.Kinds(), gateway.Kinds()} {
		all = append(all, more...)
	}
	return all
}

func (l *life) clock() time.Time {
	l.clockMu.Lock()
	defer l.clockMu.Unlock()
	return l.now
}

func (l *life) advance(d time.Duration) {
	l.clockMu.Lock()
	l.now = l.now.Add(d)
	l.clockMu.Unlock()
}

func newLife(t testing.TB) *life {
	t.Helper()
	l := &life{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), models: map[string]*train.LogisticModel{}, blobs: map[string]string{},
		requests: map[string]lineage.Receipt{}, said: map[string]lineage.Receipt{}}
	l.World = ledgertest.New(t, allKinds(), ledgertest.WithClock(l.clock), func(c *lineage.Config) {
		l.store = &faultyBlobs{Blobs: c.Blobs, instead: map[string][]byte{}}
		c.Blobs = l.store
	})
	var err error
	l.keys, err = gateway.OpenKeyDir(t.TempDir(), nil)
	l.check(err)
	l.Person(erin, "engineer")
	l.Person(olivia, "model-owner")
	l.Person(vera, "validator")
	l.Person(rick, "risk-officer")
	l.Account(trainer, erin)
	res, err := govern.PolicyResult([]byte(policyYAML))
	l.check(err)
	l.policy = res.Predicate.(attest.PolicyPublication).Digest
	l.as(rick, attest.KindPolicy, res)
	res, err = registry.Inventory(attest.InventoryEntry{Model: "lending", UseCase: "consumer lending", IntendedUse: "rank applications", ProhibitedUse: "anything else",
		Owner: olivia, Developer: erin, Exposure: "high", Purpose: "credit", RiskTier: "high", Protected: []string{"race"}, Limits: []string{"Past decisions are not the truth."}})
	l.check(err)
	l.as(olivia, attest.KindInventory, res)
	l.prepare()
	return l
}

func (l *life) check(err error) {
	l.T.Helper()
	if err != nil {
		l.T.Fatal(err)
	}
}

func step(kind string) lineage.Step { return lineage.Step{Kind: kind, Project: ledgertest.Project} }

func (l *life) as(actor, kind string, res lineage.Result) lineage.Receipt {
	l.T.Helper()
	return l.Must(l.SubmitAs(actor, step(kind), res))
}

func rowsCSV() []byte {
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
		if noise := float64(i*71%97)/97 - .5; x+noise*.8 < .4 || kind == "renter" && x+noise < .5 {
			deny = "yes"
		}
		fmt.Fprintf(&b, "%g,%s,%s,%s\n", x, kind, race, deny)
	}
	return []byte(b.String())
}

func (l *life) prepare() {
	l.T.Helper()
	var err error
	l.table, err = dataset.ReadCSV(bytes.NewReader(rowsCSV()), &dataset.Schema{Fields: []dataset.Field{
		{Name: "income", Type: dataset.Numeric, Role: dataset.RoleInput},
		{Name: "kind", Type: dataset.Categorical, Role: dataset.RoleInput},
		{Name: "race", Type: dataset.Categorical, Role: dataset.RoleProtected},
		{Name: "deny", Type: dataset.Categorical, Role: dataset.RoleLabel},
	}}, dataset.Limits{})
	l.check(err)
	res, err := dataset.Register(l.table, rowsCSV(), "applicants", "1", "made up", "CC0-1.0")
	l.check(err)
	l.data = res.Relations[0].Ref
	l.as(erin, attest.KindDataVersion, res)
	l.def, err = feature.ParseDefinition([]byte("{name: applicants, version: 1, label: {column: deny, positive: \"yes\", negative: \"no\"}, inputs: [{column: income, encoding: standardise}, {column: kind, encoding: one_hot, drop_first: true}], protected: [race]}"))
	l.check(err)
	res, err = feature.Register(l.def, l.data, nil)
	l.check(err)
	l.features = res.Relations[1].Ref
	l.as(erin, attest.KindFeatureSet, res)
	res, l.pipeline, err = trigger.PipelineResult("train", trigger.TypeTraining, map[string]any{"algorithm": "logistic_regression"})
	l.check(err)
	l.as(erin, attest.KindPipeline, res)
}

// develop trains, evaluates, signs and registers a version.
func (l *life) develop(version string, l2 float64) {
	l.T.Helper()
	fitted, err := l.def.Fit(l.table)
	l.check(err)
	l.rows, err = fitted.Transform(l.table)
	l.check(err)
	l.labels, err = fitted.Labels(l.table)
	l.check(err)
	m, err := train.Logistic(context.Background(), l.rows, l.labels, train.LogisticConfig{Names: fitted.FeatureNames(), L2: l2})
	l.check(err)
	g := train.Graph{Name: "lending", FeatureSetDigest: l.features.Digest, Label: "deny", PositiveClass: "yes", NegativeClass: "no"}
	for _, s := range fitted.Specs() {
		g.Inputs = append(g.Inputs, train.Input(s))
	}
	onnx, err := m.ONNX(g)
	l.check(err)
	res, err := train.RunResult(train.RunParams{Algorithm: m.Algorithm(), Hyperparameters: map[string]any{"l2": l2}, Seed: math.MaxUint64, Data: []lineage.Ref{l.data},
		Features: l.features, Pipeline: l.pipeline, Code: train.BuildInfo(), ModelName: "model.onnx", Artefact: onnx, Metrics: map[string]float64{"aic": m.AIC()},
		Invocation: "run", Started: l.clock(), Finished: l.clock()})
	l.check(err)
	artefact := lineage.Ref{Kind: attest.ArtefactModel, Digest: res.Subjects[0].Digest["sha256"], Name: "model.onnx"}
	s := step(attest.KindTrainingRun)
	s.OnBehalfOf = erin
	run := l.Must(l.DoAs(trainer, s, res))
	res, root, err := registry.SignatureResult("lending "+version, map[string][]byte{"model.onnx": onnx}, "model.onnx")
	l.check(err)
	signature := l.Must(l.DoAs(trainer, step(attest.KindModelSignature), res))
	scores, err := m.Predict(l.rows)
	l.check(err)
	truth := make([]bool, len(l.labels))
	for i, y := range l.labels {
		truth[i] = y == 1
	}
	race, _ := l.table.Text("race")
	rep, err := evaluate.Evaluate(evaluate.Input{Scores: scores, Labels: truth, Attributes: []evaluate.Attribute{{Name: "race", Values: race}}},
		evaluate.Config{PositiveLabel: "deny = yes", Favourable: evaluate.PredictedNegative, Replicates: 100, Seed: 1})
	l.check(err)
	res, err = evaluate.ReportResult(rep, artefact, l.data, "", true)
	l.check(err)
	eval := l.Must(l.DoAs(trainer, step(attest.KindEvaluation), res))
	l.as(erin, attest.KindRegistration, registry.RegistrationResult(attest.Registration{Model: "lending", Version: version, Root: root.Digest, Artefact: artefact.Digest,
		Format: registry.FormatONNX, Inputs: []string{"income", "kind"}, Run: run.EntryRef(attest.KindTrainingRun), Signature: signature.EntryRef(attest.KindModelSignature),
		Evidence: []attest.EntryRef{eval.EntryRef(attest.KindEvaluation)}, Metrics: map[string]float64{}}))
	l.models[version], l.blobs[version] = m, artefact.Digest
}

// request asks for production.
func (l *life) request(version string) lineage.Receipt {
	l.T.Helper()
	l.advance(time.Second)
	s := step(attest.KindPromotionRequest)
	s.Nonce = fmt.Sprintf("%032x", l.clock().UnixNano())
	var res lineage.Result
	l.View(func(r *lineage.ReadTx) (err error) {
		res, err = gate.Request(r, gate.Ask{Project: ledgertest.Project, Model: "lending", Version: version, Stage: stage, PolicyDigest: l.policy,
			Expires: l.clock().Add(10 * 24 * time.Hour), Reason: "ready", Nonce: s.Nonce})
		return err
	})
	l.requests[version] = l.Must(l.SubmitAs(erin, s, res))
	return l.requests[version]
}

func (l *life) decide(actor, role string, request lineage.Receipt) lineage.Receipt {
	l.T.Helper()
	var kind string
	var res lineage.Result
	l.View(func(r *lineage.ReadTx) (err error) {
		kind, res, err = gate.Decide(r, request.Index, role, attest.OutcomeApproved, "because")
		return err
	})
	return l.as(actor, kind, res)
}

// verdict lets the gate judge a request, whatever comes of it.
func (l *life) verdict(request lineage.Receipt) lineage.Receipt {
	l.T.Helper()
	var res lineage.Result
	l.View(func(r *lineage.ReadTx) (err error) {
		res, _, err = gate.VerdictResult(r, request.Index, l.clock())
		return err
	})
	return l.Must(l.Do(step(attest.KindVerdict), res))
}

// approve takes a developed version to a verdict that passed.
func (l *life) approve(version string) lineage.Receipt {
	l.T.Helper()
	request := l.request(version)
	l.decide(olivia, "model-owner", request)
	l.decide(vera, "validator", request)
	l.said[version] = l.decide(rick, "risk-officer", request)
	return l.verdict(request)
}

// open makes a gateway that is closed before the ledger is.
func (l *life) open(change func(*gateway.Options)) *gateway.Gateway {
	l.T.Helper()
	o := gateway.Options{Project: ledgertest.Project, Keys: l.keys, Clock: l.clock, SegmentEvery: 100, SegmentAge: time.Hour, Seed: 7}
	if change != nil {
		change(&o)
	}
	g, err := gateway.New(context.Background(), l.L, o)
	l.check(err)
	l.T.Cleanup(func() { _ = g.Close(context.Background()) })
	return g
}

// champion deploys version 1 as champion of endpoint "loans".
func (l *life) champion(g *gateway.Gateway) lineage.Receipt {
	l.T.Helper()
	l.develop("1", 1)
	return l.Must(g.Deploy(context.Background(), gateway.Deployment{Endpoint: "loans", Action: gateway.ActionDeploy, Role: attest.ServeChampion, Verdict: l.approve("1").Index}, erin))
}

func (l *life) challenger(g *gateway.Gateway, weight float64) lineage.Receipt {
	l.T.Helper()
	l.develop("2", 2)
	return l.Must(g.Deploy(context.Background(), gateway.Deployment{Endpoint: "loans", Action: gateway.ActionDeploy, Role: attest.ServeChallenger, Weight: weight, Verdict: l.approve("2").Index}, erin))
}

// ask is a request of one row.
func ask(income float64, kind string) *openinference.Request {
	return &openinference.Request{Inputs: []openinference.Tensor{
		{Name: "income", Datatype: openinference.FP64, Shape: []int64{1, 1}, FP64: []float64{income}},
		{Name: "kind", Datatype: openinference.Bytes, Shape: []int64{1, 1}, Bytes: [][]byte{[]byte(kind)}},
	}}
}

func simulated(r *openinference.Request) *openinference.Request {
	r.Parameters = openinference.Parameters{gateway.ParamSimulated: true}
	return r
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

// faultyBlobs gives other bytes for a digest; nil: none, as after a loss.
type faultyBlobs struct {
	lineage.Blobs
	mu      sync.Mutex
	instead map[string][]byte
}

func (b *faultyBlobs) set(digest string, content []byte) {
	b.mu.Lock()
	b.instead[digest] = content
	b.mu.Unlock()
}

func (b *faultyBlobs) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	b.mu.Lock()
	content, changed := b.instead[digest]
	b.mu.Unlock()
	switch {
	case !changed:
		return b.Blobs.Open(ctx, digest)
	case content == nil:
		return nil, lineage.Errf(lineage.CodeNotFound, "digest", "no content %s is stored", digest)
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}
