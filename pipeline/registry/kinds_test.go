package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
)

const (
	engineer = "erin"
	owner    = "olivia"
	machine  = "trainer"
)

func step(kind string) lineage.Step { return lineage.Step{Kind: kind, Project: ledgertest.Project} }

// taken is a Kind that takes anything, to put down what a version rests on.
func taken(name string) lineage.Kind {
	return lineage.Kind{Name: name,
		Check:   func(context.Context, *lineage.ReadTx, *lineage.Entry) error { return nil },
		Project: func(context.Context, *lineage.WriteTx, *lineage.Entry) error { return nil }}
}

func newWorld(t *testing.T) *ledgertest.World {
	t.Helper()
	w := ledgertest.New(t, append(Kinds(), taken(attest.KindTrainingRun), taken(attest.KindEvaluation)))
	w.Person(engineer, "engineer")
	w.Person(owner, "model-owner")
	w.Account(machine, engineer)
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

func inventory() attest.InventoryEntry {
	return attest.InventoryEntry{Model: "lending", UseCase: "x", IntendedUse: "x", ProhibitedUse: "x", Owner: owner, Developer: engineer,
		Exposure: "high", Purpose: "credit", RiskTier: "high", Protected: []string{"race"}, Limits: []string{}}
}

func inventoryOf(t *testing.T, change func(p *attest.InventoryEntry)) lineage.Result {
	t.Helper()
	p := inventory()
	change(&p)
	res, err := Inventory(p)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestInventory(t *testing.T) {
	w := newWorld(t)
	w.Person("otto", "model-owner")
	kind := attest.KindInventory
	same := func(*attest.InventoryEntry) {}
	refused(t, w, owner, kind, lineage.CodeInvalid, "model", inventoryOf(t, func(p *attest.InventoryEntry) { p.Model = "No Name" }))
	refused(t, w, owner, kind, lineage.CodeRefused, "does not hold the role model-owner", inventoryOf(t, func(p *attest.InventoryEntry) { p.Owner = engineer }))
	refused(t, w, owner, kind, lineage.CodeInvalid, "no person", inventoryOf(t, func(p *attest.InventoryEntry) { p.Developer = machine }))
	refused(t, w, owner, kind, lineage.CodeInvalid, "no person", inventoryOf(t, func(p *attest.InventoryEntry) { p.Developer = "nobody" }))
	bare := inventoryOf(t, same)
	bare.Relations = nil
	refused(t, w, owner, kind, lineage.CodeInvalid, "generated inventory", bare)
	refused(t, w, engineer, kind, lineage.CodeForbidden, "model-owner", inventoryOf(t, same))

	w.Must(w.SubmitAs(owner, step(kind), inventoryOf(t, same)))
	refused(t, w, "otto", kind, lineage.CodeForbidden, "who alone changes", inventoryOf(t, func(p *attest.InventoryEntry) { p.Owner = "otto" }))
	rec := w.Must(w.SubmitAs(owner, step(kind), inventoryOf(t, func(p *attest.InventoryEntry) { p.Owner, p.RiskTier = "otto", "medium" })))
	var row InventoryRow
	w.View(func(r *lineage.ReadTx) error { return r.First(&row, "model = ?", "lending") })
	if want := (InventoryRow{ledgertest.Project, "lending", "medium", "otto", engineer, rec.Index}); row != want {
		t.Errorf("%+v, want %+v", row, want)
	}
	// Whoever gave it away cannot take it back, unless the new owner leaves the role.
	refused(t, w, owner, kind, lineage.CodeForbidden, "who alone changes", inventoryOf(t, same))
	w.Must(w.SubmitAs(ledgertest.Admin, lineage.Step{Kind: attest.KindRoleGrant}, lineage.Result{
		Predicate: attest.RoleGrant{Action: attest.ActionRevoke, Actor: "otto", Role: "model-owner", Project: ledgertest.Project}}))
	w.Must(w.SubmitAs(owner, step(kind), inventoryOf(t, same)))
}

// files are a model's.
func files(version string) map[string][]byte {
	return map[string][]byte{"a-b.txt": []byte("x"), "a/b.txt": []byte("y"), "model.onnx": []byte("model " + version)}
}

// made logs the run that made a version's model.
func made(w *ledgertest.World, version string) attest.EntryRef {
	sum := sha256.Sum256(files(version)["model.onnx"])
	model := lineage.Ref{Kind: attest.ArtefactModel, Digest: hex.EncodeToString(sum[:])}
	var p attest.Provenance
	p.BuildDefinition.BuildType = "x"
	return w.Must(w.DoAs(machine, step(attest.KindTrainingRun), lineage.Result{Predicate: p, Relations: []attest.Relation{{Type: attest.RelGenerated, Ref: model}}})).EntryRef(attest.KindTrainingRun)
}

func TestModelSignature(t *testing.T) {
	w := newWorld(t)
	made(w, "1")
	res, root, err := SignatureResult("lending 1", files("1"), "model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	// The root by hand: a/b before a-b, component by component.
	h := sha256.New()
	for _, name := range []string{"a/b.txt", "a-b.txt", "model.onnx"} {
		sum := sha256.Sum256(files("1")[name])
		h.Write(sum[:])
	}
	if want := hex.EncodeToString(h.Sum(nil)); root.Digest != want {
		t.Errorf("root %s, want %s", root.Digest, want)
	}
	for _, c := range []struct {
		words  string
		change func(p *attest.OMS, res *lineage.Result)
	}{
		{"ordered by path", func(p *attest.OMS, _ *lineage.Result) {
			p.Resources[0], p.Resources[1] = p.Resources[1], p.Resources[0]
		}},
		{"ordered by path", func(p *attest.OMS, _ *lineage.Result) { p.Resources = nil }},
		{"subject", func(p *attest.OMS, _ *lineage.Result) { p.Resources = p.Resources[1:] }},
		{"listed twice", func(p *attest.OMS, _ *lineage.Result) { p.Resources[1].Name = p.Resources[0].Name }},
		{"clean relative path", func(p *attest.OMS, _ *lineage.Result) { p.Resources[0].Name = "../b" }},
		{"SHA-256", func(p *attest.OMS, _ *lineage.Result) { p.Resources[0].Algorithm = "md5" }},
		{"serialization", func(p *attest.OMS, _ *lineage.Result) { p.Serialization.IgnorePaths = []string{"x"} }},
		{"used model", func(_ *attest.OMS, res *lineage.Result) { res.Relations = res.Relations[1:] }},
		{"generated version", func(_ *attest.OMS, res *lineage.Result) { res.Relations[1].Type = attest.RelRegistered }},
		{"alone", func(_ *attest.OMS, res *lineage.Result) { res.Subjects = append(res.Subjects, res.Subjects[0]) }},
	} {
		p, bad := res.Predicate.(attest.OMS), res
		p.Resources, bad.Relations, bad.Subjects = slices.Clone(p.Resources), slices.Clone(res.Relations), slices.Clone(res.Subjects)
		c.change(&p, &bad)
		bad.Predicate = p
		refused(t, w, machine, attest.KindModelSignature, lineage.CodeInvalid, c.words, bad)
	}
	refused(t, w, owner, attest.KindModelSignature, lineage.CodeForbidden, "engineer or machine", res)
	w.Must(w.DoAs(machine, step(attest.KindModelSignature), res))
	for _, bad := range []map[string][]byte{{"model.onnx": nil, "/etc/x": nil}, {"model.onnx": nil, "a/../b": nil}, {}} {
		if _, _, err := SignatureResult("x", bad, "model.onnx"); lineage.CodeOf(err) != lineage.CodeInvalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// signed logs run and signature of a version and returns its registration.
func signed(t *testing.T, w *ledgertest.World, version string) attest.Registration {
	t.Helper()
	run := made(w, version)
	res, root, err := SignatureResult("lending "+version, files(version), "model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	sig := w.Must(w.DoAs(machine, step(attest.KindModelSignature), res)).EntryRef(attest.KindModelSignature)
	artefact := res.Relations[0].Ref
	eval := w.Must(w.DoAs(machine, step(attest.KindEvaluation), lineage.Result{
		Predicate: attest.TestResult{Result: attest.ResultPassed, Configuration: []attest.ResourceDescriptor{{Name: "metrics", Annotations: map[string]any{"auc": .8}}}},
		Relations: []attest.Relation{{Type: attest.RelEvaluatedForDev, Ref: artefact}}})).EntryRef(attest.KindEvaluation)
	return attest.Registration{Model: "lending", Version: version, Root: root.Digest, Artefact: artefact.Digest, Format: FormatONNX, Inputs: []string{"income"},
		Run: run, Signature: sig, Evidence: []attest.EntryRef{eval}, Metrics: map[string]float64{"auc": .8}}
}

func TestRegistration(t *testing.T) {
	w := newWorld(t)
	kind := attest.KindRegistration
	one, two := signed(t, w, "1"), signed(t, w, "2")
	refused(t, w, engineer, kind, lineage.CodeRefused, "not in the inventory", RegistrationResult(one))
	w.Must(w.SubmitAs(owner, step(attest.KindInventory), inventoryOf(t, func(*attest.InventoryEntry) {})))
	for _, c := range []struct {
		code   lineage.Code
		words  string
		change func(p *attest.Registration)
	}{
		{lineage.CodeInvalid, "version", func(p *attest.Registration) { p.Version = "1 beta" }},
		{lineage.CodeInvalid, "inputs", func(p *attest.Registration) { p.Inputs = nil }},
		{lineage.CodeInvalid, "inputs", func(p *attest.Registration) { p.Inputs = []string{"a", "a"} }},
		{lineage.CodeRefused, "about other files", func(p *attest.Registration) { p.Root = two.Root }},
		{lineage.CodeRefused, "did not make model", func(p *attest.Registration) { p.Artefact = two.Artefact }},
		{lineage.CodeRefused, "did not make model", func(p *attest.Registration) { p.Run = two.Run }},
		{lineage.CodeRefused, "about other files", func(p *attest.Registration) { p.Signature = two.Signature }},
		{lineage.CodeRefused, "not what the evaluations cited measured", func(p *attest.Registration) { p.Metrics = map[string]float64{"auc": .9} }},
		{lineage.CodeRefused, "not what the evaluations cited measured", func(p *attest.Registration) { p.Metrics = map[string]float64{"wit": 1} }},
		{lineage.CodeInvalid, "run", func(p *attest.Registration) { p.Run.Index++ }},
		{lineage.CodeInvalid, "run", func(p *attest.Registration) { p.Run = one.Evidence[0] }},
		{lineage.CodeRefused, "does not evaluate", func(p *attest.Registration) { p.Evidence = two.Evidence }},
		{lineage.CodeInvalid, "evidence[0]", func(p *attest.Registration) { p.Evidence = []attest.EntryRef{one.Run} }},
	} {
		p := one
		c.change(&p)
		refused(t, w, engineer, kind, c.code, c.words, RegistrationResult(p))
	}
	for i := range RegistrationResult(one).Relations {
		bad := RegistrationResult(one)
		bad.Relations = slices.Delete(bad.Relations, i, i+1)
		words := "must say"
		if i == 3 {
			words = "subject" // the statement itself wants its subject among the relations
		}
		refused(t, w, engineer, kind, lineage.CodeInvalid, words, bad)
	}
	refused(t, w, owner, kind, lineage.CodeForbidden, "engineer or machine", RegistrationResult(one))

	rec := w.Must(w.SubmitAs(engineer, step(kind), RegistrationResult(one)))
	var row VersionRow
	w.View(func(r *lineage.ReadTx) error { return r.First(&row, "entry = ?", rec.Index) })
	if want := (VersionRow{rec.Index, ledgertest.Project, "lending", "1", one.Root, one.Artefact, one.Run.Index}); row != want {
		t.Errorf("%+v, want %+v", row, want)
	}
	// Neither other files under this version, nor these files under another.
	changed := two
	changed.Version = "1"
	refused(t, w, engineer, kind, lineage.CodeConflict, "never changes", RegistrationResult(changed))
	renamed := one
	renamed.Version = "3"
	refused(t, w, engineer, kind, lineage.CodeConflict, "are version 1 already", RegistrationResult(renamed))
	w.Must(w.SubmitAs(engineer, step(kind), RegistrationResult(two)))
}
