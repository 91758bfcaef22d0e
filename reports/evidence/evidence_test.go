package evidence_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/pack"
	"affidavit/attest/pack/pdfsig"
	"affidavit/examples/lending"
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
	"affidavit/reports/evidence"
	"affidavit/serving/gateway"
	"affidavit/serving/gateway/canary"
	"affidavit/serving/gateway/openinference"
	"affidavit/serving/monitor"
)

const (
	erin    = "erin-engineer"
	olivia  = "olivia-owner"
	vera    = "vera-validator"
	rick    = "rick-risk"
	anna    = "anna-auditor"
	trainer = "trainer"
	model   = "mortgage-denial"
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
    prohibited: {attributes: [afam], inventory: true}
    evidence:
      - name: discrimination
        kind: evaluation
        condition: predicate.details.discrimination.auc.value >= 0.6
        words: the model ranks applicants
        remedy: improve the model
`

// life is a version's history on the real ledger, from the mortgage data of
// the lending example to a gate verdict.
type life struct {
	*ledgertest.World
	now                      time.Time
	table                    *dataset.Table
	def                      *feature.Definition
	data, features, pipeline lineage.Ref
	// Of the version made last.
	request, verdict lineage.Receipt
	report           evaluate.Report
}

func step(kind string) lineage.Step { return lineage.Step{Kind: kind, Project: ledgertest.Project} }

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newLife(t testing.TB) *life {
	t.Helper()
	var kinds []lineage.Kind
	for _, more := range [][]lineage.Kind{dataset.Kinds(), feature.Kinds(), train.Kinds(), evaluate.Kinds(), registry.Kinds(), gate.Kinds(), trigger.Kinds(), gateway.Kinds(), monitor.Kinds()} {
		kinds = append(kinds, more...)
	}
	l := &life{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	l.World = ledgertest.New(t, kinds, ledgertest.WithClock(func() time.Time { return l.now }))
	l.Person(erin, "engineer")
	l.Person(olivia, "model-owner")
	l.Person(vera, "validator")
	l.Person(rick, "risk-officer")
	l.Person(anna, "auditor")
	l.Account(trainer, erin)
	result := must[lineage.Result](t)
	l.Must(l.SubmitAs(rick, step(attest.KindPolicy), result(govern.PolicyResult([]byte(policyYAML)))))
	l.Must(l.SubmitAs(olivia, step(attest.KindInventory), result(registry.Inventory(attest.InventoryEntry{Model: model, UseCase: "Probability that a mortgage application is denied",
		IntendedUse: "Rank applications for a second look by a person.", ProhibitedUse: "Denying an application without review by a person.", Owner: olivia, Developer: erin,
		Exposure: "high", Purpose: "credit decisions", RiskTier: "high", Protected: []string{"afam", "single"}, Limits: []string{"One area and one year."}}))))
	l.prepare()
	return l
}

// prepare logs data, validation, features and pipeline.
func (l *life) prepare() {
	t := l.T
	result := must[lineage.Result](t)
	schema := must[*dataset.Schema](t)(dataset.ParseSchema(lending.Schema))
	l.table = must[*dataset.Table](t)(dataset.ReadCSV(bytes.NewReader(lending.CSV), schema, dataset.DefaultLimits()))
	res := result(dataset.Register(l.table, lending.CSV, "boston-mortgages", "1990", "Federal Reserve Bank of Boston, 1990", "public"))
	l.data = res.Relations[0].Ref
	l.Must(l.SubmitAs(erin, step(attest.KindDataVersion), res))
	checked := must[*dataset.Report](t)(l.table.Validate(must[*dataset.Suite](t)(dataset.ParseSuite(lending.Expectations))))
	checked.LabelRates = must[[]dataset.LabelRate](t)(l.table.LabelRates("deny", "yes"))
	l.Must(l.DoAs(trainer, step(attest.KindDataValidation), result(dataset.ValidationResult(checked, l.data))))
	l.def = must[*feature.Definition](t)(feature.ParseDefinition(lending.Features))
	res = result(feature.Register(l.def, l.data, nil))
	l.features = res.Relations[1].Ref
	l.Must(l.SubmitAs(erin, step(attest.KindFeatureSet), res))
	res, pipeline, err := trigger.PipelineResult("train", trigger.TypeTraining, map[string]any{"algorithm": "logistic_regression"})
	if err != nil {
		t.Fatal(err)
	}
	l.pipeline = pipeline
	l.Must(l.SubmitAs(erin, step(attest.KindPipeline), res))
}

// develop makes a version and takes it through the gate.
func (l *life) develop(version string, l2 float64) {
	t := l.T
	result := must[lineage.Result](t)
	fitted := must[*feature.Fitted](t)(l.def.Fit(l.table))
	x := must[[][]float64](t)(fitted.Transform(l.table))
	y := must[[]float64](t)(fitted.Labels(l.table))
	m := must[*train.LogisticModel](t)(train.Logistic(context.Background(), x, y, train.LogisticConfig{Names: fitted.FeatureNames(), L2: l2}))
	g := train.Graph{Name: model, FeatureSetDigest: l.features.Digest, Label: "deny", PositiveClass: "yes", NegativeClass: "no"}
	for _, s := range fitted.Specs() {
		g.Inputs = append(g.Inputs, train.Input(s))
	}
	onnx := must[[]byte](t)(m.ONNX(g))
	res := result(train.RunResult(train.RunParams{Algorithm: m.Algorithm(), Hyperparameters: map[string]any{"l2": l2, "rows": len(y)}, Seed: 7, Data: []lineage.Ref{l.data}, Features: l.features,
		Pipeline: l.pipeline, Code: train.BuildInfo(), ModelName: "model.onnx", Artefact: onnx, Invocation: "run", Started: l.now, Finished: l.now}))
	artefact := train.ModelRef(res.Subjects[0].Digest["sha256"], "model.onnx")
	s := step(attest.KindTrainingRun)
	s.OnBehalfOf = erin
	run := l.Must(l.DoAs(trainer, s, res))
	res, root, err := registry.SignatureResult(model+" "+version, map[string][]byte{"model.onnx": onnx}, "model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	signature := l.Must(l.DoAs(trainer, step(attest.KindModelSignature), res))

	truth := make([]bool, len(y))
	for i := range y {
		truth[i] = y[i] == 1
	}
	in := evaluate.Input{Scores: must[[]float64](t)(m.Predict(x)), Labels: truth}
	for _, name := range l.def.Protected {
		values, _ := l.table.Text(name)
		in.Attributes = append(in.Attributes, evaluate.Attribute{Name: name, Values: values})
	}
	l.report = must[evaluate.Report](t)(evaluate.Evaluate(in, evaluate.Config{PositiveLabel: "deny = yes", Favourable: evaluate.PredictedNegative, Replicates: 100, Seed: 1}))
	evaluation := l.Must(l.DoAs(trainer, step(attest.KindEvaluation), result(evaluate.ReportResult(l.report, artefact, l.data, "", true))))
	metrics := map[string]float64{}
	for _, v := range l.report.Metrics() {
		metrics[v.Name] = v.Value
	}
	l.Must(l.SubmitAs(erin, step(attest.KindRegistration), registry.RegistrationResult(attest.Registration{Model: model, Version: version, Root: root.Digest, Artefact: artefact.Digest,
		Format: registry.FormatONNX, Inputs: l.def.InputColumns(), Run: run.EntryRef(attest.KindTrainingRun), Signature: signature.EntryRef(attest.KindModelSignature),
		Evidence: []attest.EntryRef{evaluation.EntryRef(attest.KindEvaluation)}, Metrics: metrics})))
	l.promote(version)
}

func (l *life) promote(version string) {
	t := l.T
	s := step(attest.KindPromotionRequest)
	s.Nonce = fmt.Sprintf("%031x%s", 7, version)
	published := must[lineage.Result](t)(govern.PolicyResult([]byte(policyYAML)))
	var res lineage.Result
	l.View(func(r *lineage.ReadTx) (err error) {
		res, err = gate.Request(r, gate.Ask{Project: ledgertest.Project, Model: model, Version: version, Stage: "production",
			PolicyDigest: published.Predicate.(attest.PolicyPublication).Digest, Expires: l.now.Add(10 * 24 * time.Hour), Reason: "ready", Nonce: s.Nonce})
		return err
	})
	l.request = l.Must(l.SubmitAs(erin, s, res))
	for _, d := range []struct{ actor, role, outcome string }{{olivia, "model-owner", attest.OutcomeApproved}, {vera, "validator", attest.OutcomeApproved}, {rick, "risk-officer", attest.OutcomeConditional}} {
		var conditions []string
		if d.outcome == attest.OutcomeConditional {
			conditions = []string{"Review the threshold each quarter"}
		}
		var kind string
		l.View(func(r *lineage.ReadTx) (err error) {
			kind, res, err = gate.Decide(r, l.request.Index, d.role, d.outcome, "Read and tested.", conditions...)
			return err
		})
		l.Must(l.SubmitAs(d.actor, step(kind), res))
	}
	l.View(func(r *lineage.ReadTx) (err error) {
		res, _, err = gate.VerdictResult(r, l.request.Index, l.now)
		return err
	})
	l.verdict = l.Must(l.Do(step(attest.KindVerdict), res))
}

var documentKinds = []string{evidence.ModelCard, evidence.ValidationReport, evidence.PromotionRecord}

// documents renders, signs and logs all three.
func (l *life) documents() map[string]evidence.Rendered { return l.documentsOf("1") }

func (l *life) documentsOf(version string) map[string]evidence.Rendered {
	l.T.Helper()
	out := map[string]evidence.Rendered{}
	for _, kind := range documentKinds {
		d := must[evidence.Rendered](l.T)(evidence.Render(context.Background(), l.L, evidence.Request{Project: ledgertest.Project, Model: model, Version: version, Kind: kind, Organisation: "Example Savings Bank",
			Refused: []evidence.Refused{{Actor: erin, Role: "validator", Tried: "to approve version 1", Reason: "took part in what is decided", Code: "forbidden", When: l.now}},
			Signers: []evidence.Signatory{{Name: "Vera Validator", Email: vera + "@bank.example", Reason: "Validated", Signer: l.People[vera]}, {Name: "Rick Risk", Email: rick + "@bank.example", Reason: "Approved", Signer: l.People[rick]}}}))
		l.Must(l.SubmitAs(vera, step(attest.KindDocument), evidence.DocumentResult(d)))
		out[kind] = d
	}
	return out
}

func TestDocumentsToVerifiedPack(t *testing.T) {
	l := newLife(t)
	l.develop("1", 1)
	docs := l.documents()
	ctx := context.Background()
	signer := must[interface {
		Sign(context.Context, []byte) ([]byte, error)
		PublicKey() []byte
		Certificate() []byte
	}](t)(evidence.Identity(l.L, anna+"@bank.example", "https://idp.bank.example"))
	var zip bytes.Buffer
	calls := 0
	done, err := evidence.Export(ctx, l.L, evidence.Params{Project: ledgertest.Project, Actor: anna, Signer: signer, Out: &zip, Progress: func(int, int) { calls++ }})
	if err != nil {
		t.Fatal(err)
	}
	if done.Receipt.Index < done.Size || int64(calls) != done.Size || int64(done.Entries) != done.Size {
		t.Errorf("export %+v after %d calls", done, calls)
	}
	root := must[[]byte](t)(l.L.TrustedRoot().Marshal())
	rep := must[*pack.Report](t)(pack.Verify(ctx, bytes.NewReader(zip.Bytes()), int64(zip.Len()), pack.Options{TrustedRoot: root}))
	var text bytes.Buffer
	_ = rep.WriteText(&text)
	if rep.Exit() != 0 {
		t.Fatalf("exit %d\n%s", rep.Exit(), text.String())
	}
	t.Log(text.String())
	rep = must[*pack.Report](t)(pack.Verify(ctx, bytes.NewReader(zip.Bytes()), int64(zip.Len()), pack.Options{}))
	if rep.Exit() != 3 {
		t.Errorf("without the trusted root: exit %d, want 3", rep.Exit())
	}
	keep(t, docs, zip.Bytes())
}

func TestDocumentsSayWhatTheLogHolds(t *testing.T) {
	l := newLife(t)
	l.develop("1", 1)
	docs := l.documents()
	auc := fmt.Sprintf("%.4f", l.report.Discrimination.AUC.Value)
	for kind, want := range map[string][]string{
		evidence.ModelCard:        {auc, "0.28319", "0.09260", "Rank applications for a second look", "One area and one year", "no reject inference", "Review the threshold each quarter", "no evidence recorded", "Conditionally approved"},
		evidence.ValidationReport: {auc, "0.28319", "0.09260", vera, "None of the validators is among", "Independence"},
		evidence.PromotionRecord:  {"The gate is open", "no_prohibited_basis", "took part", "Read and tested.", fmt.Sprintf("[entry %d]", l.request.Index), "cosign verify-blob-attestation"},
	} {
		d := docs[kind]
		if infos, err := pdfsig.Verify(d.PDF); err != nil || len(infos) != 2 {
			t.Errorf("%s: %d signatures, %v", kind, len(infos), err)
		}
		if len(d.Document.Sources) == 0 || d.Document.AsOf <= d.Document.Sources[len(d.Document.Sources)-1].Index {
			t.Errorf("%s: as of %d, sources %v", kind, d.Document.AsOf, d.Document.Sources)
		}
		got := pdfText(t, d.PDF)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s does not say %q", kind, w)
			}
		}
		for _, bad := range []string{"NaN", "<nil>", "%!", "0001-01-01"} {
			if strings.Contains(got, bad) {
				t.Errorf("%s contains %q", kind, bad)
			}
		}
	}
}

// TestAsOf: a document of a smaller size is the reading of that size.
func TestAsOf(t *testing.T) {
	l := newLife(t)
	l.develop("1", 1)
	q := evidence.Request{Project: ledgertest.Project, Model: model, Version: "1", Kind: evidence.PromotionRecord, Size: l.verdict.Index}
	draw := func(q evidence.Request) []byte {
		t.Helper()
		b, _, err := evidence.Draw(context.Background(), l.L, q)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	before := draw(q)
	if got := pdfText(t, before); strings.Contains(got, "The gate is open") || !strings.Contains(got, "No gate verdict") {
		t.Error("the reading below the verdict tells of it")
	}
	l.documents() // the log grows
	if !bytes.Equal(before, draw(q)) {
		t.Error("the same size gave another document")
	}
	q.Version = "9"
	if _, _, err := evidence.Draw(context.Background(), l.L, q); lineage.CodeOf(err) != lineage.CodeNotFound {
		t.Errorf("unknown version: %v", err)
	}
	q.Version, q.Kind = "1", "poem"
	if _, _, err := evidence.Draw(context.Background(), l.L, q); lineage.CodeOf(err) != lineage.CodeInvalid {
		t.Errorf("unknown kind: %v", err)
	}
}

// ask is a simulated request of one row of the table.
func (l *life) ask(row int) *openinference.Request {
	r := &openinference.Request{Parameters: openinference.Parameters{gateway.ParamSimulated: true}}
	for _, name := range l.def.InputColumns() {
		in := openinference.Tensor{Name: name, Shape: []int64{1, 1}}
		if values, ok := l.table.Text(name); ok {
			in.Datatype, in.Bytes = openinference.Bytes, [][]byte{[]byte(values[row])}
		} else {
			numbers, _ := l.table.Numeric(name)
			in.Datatype, in.FP64 = openinference.FP64, []float64{numbers[row]}
		}
		r.Inputs = append(r.Inputs, in)
	}
	return r
}

// TestPromotedByCanary: deployment, predictions and canary stand in the record
// of the version that won, and the pack of it all verifies.
func TestPromotedByCanary(t *testing.T) {
	l := newLife(t)
	ctx := context.Background()
	g := must[*gateway.Gateway](t)(gateway.New(ctx, l.L, gateway.Options{Project: ledgertest.Project, Keys: must[*gateway.KeyDir](t)(gateway.OpenKeyDir(t.TempDir(), nil)), Seed: 7}))
	defer g.Close(ctx) //nolint:errcheck // the ledger ends with the test
	deploy := func(d gateway.Deployment) {
		t.Helper()
		d.Endpoint = "mortgage"
		l.Must(g.Deploy(ctx, d, erin))
	}
	l.develop("1", 1)
	deploy(gateway.Deployment{Action: gateway.ActionDeploy, Role: attest.ServeChampion, Verdict: l.verdict.Index})
	l.develop("2", 2)
	deploy(gateway.Deployment{Action: gateway.ActionDeploy, Role: attest.ServeChallenger, Weight: .5, Verdict: l.verdict.Index})
	plan := gateway.CanaryPlan{Endpoint: "mortgage", Simulated: true, Config: canary.Config{Guardrails: []canary.Guardrail{{Name: gateway.GuardPositive}, {Name: gateway.GuardError, RollbackOnly: true}}, MaxRequests: 6000}}
	if err := g.StartCanary(ctx, plan); err != nil {
		t.Fatal(err)
	}
	for i := range 6000 {
		if _, err := g.Infer(ctx, "mortgage", "", l.ask(i*37%l.table.Rows())); err != nil {
			t.Fatal(err)
		}
		if d, err := g.CanaryDecision("mortgage"); err != nil || d.Verdict != canary.Continue {
			break
		}
	}
	rec, decision, err := g.FinishCanary(ctx, "mortgage")
	if err != nil {
		t.Fatal(err)
	}
	if decision.Verdict == canary.Promote {
		ref := rec.EntryRef(attest.KindCanaryVerdict)
		deploy(gateway.Deployment{Action: gateway.ActionPromote, Verdict: l.verdict.Index, Canary: &ref})
	}
	docs := l.documentsOf("2")
	got := pdfText(t, docs[evidence.PromotionRecord].PDF)
	for _, w := range []string{fmt.Sprintf("[entries %d", rec.Index), "Evidence of safety", "simulated requests", "predictions sealed in", "challenger", string(decision.Reason)} {
		if !strings.Contains(got, w) {
			t.Errorf("the record does not say %q", w)
		}
	}
	if got := pdfText(t, docs[evidence.ValidationReport].PDF); !strings.Contains(got, "Benchmarking against version 1") {
		t.Error("the validation report compares with no other version")
	}
	var zip bytes.Buffer
	if _, err := evidence.Export(ctx, l.L, evidence.Params{Project: ledgertest.Project, Actor: anna, Signer: l.People[anna], Out: &zip}); err != nil {
		t.Fatal(err)
	}
	rep := must[*pack.Report](t)(pack.Verify(ctx, bytes.NewReader(zip.Bytes()), int64(zip.Len()), pack.Options{TrustedRoot: must[[]byte](t)(l.L.TrustedRoot().Marshal())}))
	var text bytes.Buffer
	_ = rep.WriteText(&text)
	if rep.Exit() != 0 {
		t.Errorf("exit %d\n%s", rep.Exit(), text.String())
	}
	keep(t, docs, zip.Bytes())
}

// TestExportNeedsAuditor: nobody else's export enters the log.
func TestExportNeedsAuditor(t *testing.T) {
	l := newLife(t)
	var zip bytes.Buffer
	_, err := evidence.Export(context.Background(), l.L, evidence.Params{Project: ledgertest.Project, Actor: erin, Signer: l.People[erin], Out: &zip})
	if lineage.CodeOf(err) != lineage.CodeForbidden || zip.Len() > 0 {
		t.Errorf("%v, %d bytes", err, zip.Len())
	}
}

// pdfText extracts a document's text with poppler's pdftotext.
func pdfText(t *testing.T, data []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("pdftotext is not installed: the Makefile installs it for CI")
		}
		t.Skip("pdftotext is not installed (package poppler-utils): the words of the documents are not checked")
	}
	path := filepath.Join(t.TempDir(), "d.pdf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "-layout", path, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// keep writes documents and pack where AFFIDAVIT_KEEP_PDF says, to be looked at.
func keep(t *testing.T, docs map[string]evidence.Rendered, zip []byte) {
	t.Helper()
	dir := os.Getenv("AFFIDAVIT_KEEP_PDF")
	if dir == "" {
		return
	}
	files := map[string][]byte{"pack.zip": zip}
	for _, d := range docs {
		files[d.Document.Name] = d.PDF
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
