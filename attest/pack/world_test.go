package pack_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/pack"
	"affidavit/attest/tlog"
	"affidavit/reports/pdf"
)

const (
	project = "credit"
	stage   = "production"
)

var epoch = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

const policyYAML = `name: high-risk
version: "1"
title: High-risk models
tiers: [high]
stages:
  production:
    ownerAcceptance: true
    approvalExpiry: 365d
    approvals:
      - {role: validator, count: 1}
      - {role: risk-officer, count: 1}
    evidence:
      - name: evaluation
        kind: evaluation
        condition: predicate.result == "PASSED"
        words: the evaluation passed
        remedy: evaluate the version again
`

// logged is one entry of the world's log.
type logged struct {
	kind    string
	project string
	signed  *attest.Signed
	stamp   []byte
}

// world is a log with people in it. Nothing checks what they log: tests use
// that to make logs as a server without its checks would.
type world struct {
	t       testing.TB
	set     *keys.Set
	log     *tlog.Memory
	entries []logged
	signers map[string]keys.Signer
	emails  map[string]string
	now     time.Time
	docs    map[string][]byte
	pols    map[string][]byte
	docKey  *ecdsa.PrivateKey
	docCert []*x509.Certificate
	skip    map[int64]bool // entries that the exporter leaves out
	// trainerOwner answers for the trainer's service account; ann if empty.
	trainerOwner string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return worldWithGenesisOf(t, nil)
}

// worldWithGenesisOf is a new world whose entry 0 names the log and authorities
// of other; its own if nil.
func worldWithGenesisOf(t testing.TB, other *keys.Set) *world {
	t.Helper()
	set, err := keys.NewSet("log.bank.example", epoch)
	check(t, err)
	if other == nil {
		other = set
	}
	w := &world{t: t, set: set, log: tlog.NewMemory(), signers: map[string]keys.Signer{"affidavit": set.Service}, emails: map[string]string{},
		now: epoch, docs: map[string][]byte{}, pols: map[string][]byte{}, skip: map[int64]bool{}}
	admin := w.enrolment("adam")
	service := attest.Enrolment{Actor: "affidavit", KeyID: attest.KeyID(set.Service.PublicKey()), PublicKey: set.Service.PublicKey()}
	w.add(attest.KindGenesis, "", "affidavit", "", nil, nil, attest.Genesis{Origin: other.Log.Origin(), LogKey: other.Log.SPKI(),
		TSAChain: other.TSA.Chain(), CAChain: other.CA.Chain(), CTKey: other.CA.CTPublicKey(), Service: service, Admin: admin, Version: "test"})
	w.add(attest.KindProject, "", "adam", "", nil, nil, attest.Project{ID: project, Name: "Credit"})
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// enrolment makes a key for a person.
func (w *world) enrolment(actor string) attest.Enrolment {
	s, err := keys.Ephemeral()
	check(w.t, err)
	w.signers[actor] = s
	w.emails[actor] = actor + "@bank.example"
	return attest.Enrolment{Actor: actor, Name: actor, Email: w.emails[actor], KeyID: attest.KeyID(s.PublicKey()), PublicKey: s.PublicKey()}
}

// add signs and logs a statement and returns how predicates name it.
func (w *world) add(kind, proj, actor, onBehalfOf string, subjects []attest.Subject, relations []attest.Relation, predicate any) attest.EntryRef {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	index := w.log.Size()
	nonce := digestOf(fmt.Sprintf("nonce %d %s", index, w.set.Log.Fingerprint()))[:32]
	if r, ok := predicate.(attest.PromotionRequest); ok {
		nonce = r.Binding.RequestNonce
	}
	step := attest.Step{Kind: kind, Project: proj, Nonce: nonce, Actor: actor, OnBehalfOf: onBehalfOf, Claimed: w.now, Relations: relations}
	st, err := attest.NewStatement(step, subjects, predicate)
	check(w.t, err)
	signed, err := attest.Sign(context.Background(), st, w.signers[actor])
	check(w.t, err)
	return w.append(kind, proj, signed)
}

func (w *world) append(kind, proj string, signed *attest.Signed) attest.EntryRef {
	w.t.Helper()
	stamp, err := w.set.TSA.Stamp(signed.Signature, w.now)
	check(w.t, err)
	body, err := signed.LeafBody()
	check(w.t, err)
	index := w.log.Size()
	w.log.Append(tlog.LeafHash(body))
	w.entries = append(w.entries, logged{kind, proj, signed, stamp})
	return attest.EntryRef{Index: index, PAE: signed.PAEHex(), Kind: kind}
}

func rel(t attest.RelationType, kind, digest, name string) attest.Relation {
	return attest.Relation{Type: t, Ref: attest.Ref{Kind: kind, Digest: digest, Name: name}}
}

func subject(name, digest string) []attest.Subject {
	return []attest.Subject{{Name: name, Digest: map[string]string{"sha256": digest}}}
}

func (w *world) enrol(actor string) attest.EntryRef {
	return w.add(attest.KindKeyEvent, "", "adam", "", nil, nil, attest.KeyEvent{Action: attest.ActionEnrol, Enrolment: w.enrolment(actor)})
}

func (w *world) grant(actor, role string) attest.EntryRef {
	return w.add(attest.KindRoleGrant, project, "adam", "", nil, nil, attest.RoleGrant{Action: attest.ActionGrant, Actor: actor, Role: role, Project: project})
}

// staff enrols everybody and gives them their roles.
func (w *world) staff() {
	for _, who := range []struct{ actor, role string }{{"ann", "engineer"}, {"olivia", "model-owner"}, {"vera", "validator"}, {"rick", "risk-officer"}, {"audrey", "auditor"}} {
		w.enrol(who.actor)
		w.grant(who.actor, who.role)
	}
	s, err := keys.Ephemeral()
	check(w.t, err)
	w.signers["trainer"] = s
	owner := w.trainerOwner
	if owner == "" {
		owner = "ann"
	}
	w.add(attest.KindServiceAccount, "", "adam", "", nil, nil, attest.ServiceAccount{Account: "trainer", Owner: owner, Purpose: "trains", Active: true})
	w.add(attest.KindKeyEvent, "", "adam", "", nil, nil, attest.KeyEvent{Action: attest.ActionEnrol,
		Enrolment: attest.Enrolment{Actor: "trainer", KeyID: attest.KeyID(s.PublicKey()), PublicKey: s.PublicKey()}})
	w.grant("trainer", "machine")
	w.policy(policyYAML)
	w.add(attest.KindInventory, project, "olivia", "", nil, nil, attest.InventoryEntry{Model: "lending", UseCase: "consumer lending",
		IntendedUse: "rank applications", ProhibitedUse: "anything else", Owner: "olivia", Developer: "ann", Exposure: "high", Purpose: "credit",
		RiskTier: "high", Protected: []string{"race"}, Limits: []string{"Past decisions are not the truth."}})
}

func (w *world) policy(yaml string) attest.EntryRef {
	digest := digestOf(yaml)
	w.pols[digest] = []byte(yaml)
	return w.add(attest.KindPolicy, project, "rick", "", subject("policy.yaml", digest),
		[]attest.Relation{rel(attest.RelConcerns, attest.ArtefactPolicy, digest, "policy.yaml")},
		attest.PolicyPublication{Name: "high-risk", Version: "1", Digest: digest, YAML: yaml})
}

// version is a registered model version with its evidence.
type version struct {
	name, root, artefact  string
	registration, request attest.EntryRef
	evidence              []attest.EntryRef
	binding               attest.Binding
}

// develop makes data, features, a run, an evaluation and a registration.
func (w *world) develop(name string) *version {
	w.t.Helper()
	t := w.t
	data, features, config := digestOf("data "+name), digestOf("features "+name), digestOf("config "+name)
	file := sha256.Sum256([]byte("model " + name))
	oms, root := attest.OMSPredicate(map[string][32]byte{"model.onnx": file})
	v := &version{name: name, root: hex.EncodeToString(root[:]), artefact: hex.EncodeToString(file[:])}
	w.add(attest.KindDataVersion, project, "ann", "", subject("rows.csv", data), []attest.Relation{rel(attest.RelGenerated, attest.ArtefactData, data, "rows.csv")},
		attest.DataVersion{Name: "rows", Version: name, MediaType: "text/csv", Digest: data, RowDigest: digestOf("rows"), Rows: 3,
			Columns: []attest.Column{{Name: "income", Type: "numeric", Role: "input"}}, Origin: "made up", Licence: "CC0-1.0"})
	w.add(attest.KindFeatureSet, project, "ann", "", subject("features", features),
		[]attest.Relation{rel(attest.RelUsed, attest.ArtefactData, data, "rows.csv"), rel(attest.RelPrepared, attest.ArtefactFeatures, features, "features")},
		attest.FeatureSet{Name: "features", Version: name, Digest: features, Inputs: []string{"income"}, Label: "deny", Protected: []string{"race"}, Definition: json.RawMessage(`{}`)})
	w.add(attest.KindPipeline, project, "ann", "", subject("train", config), []attest.Relation{rel(attest.RelConfigured, attest.ArtefactPipeline, config, "train")},
		attest.PipelineConfiguration{Name: "train", Type: "training", Config: json.RawMessage(`{}`)})
	var prov attest.Provenance
	prov.BuildDefinition.BuildType = "https://affidavit.dev/build/train/v1"
	prov.BuildDefinition.ExternalParameters = map[string]any{"seed": 1}
	prov.BuildDefinition.ResolvedDependencies = []attest.ResourceDescriptor{{Name: "rows.csv", Digest: map[string]string{"sha256": data}}}
	prov.RunDetails.Builder.ID = "https://affidavit.dev/builder/v1"
	run := w.add(attest.KindTrainingRun, project, "trainer", "ann", subject("model.onnx", v.artefact), []attest.Relation{
		rel(attest.RelUsed, attest.ArtefactData, data, "rows.csv"), rel(attest.RelUsed, attest.ArtefactFeatures, features, "features"),
		rel(attest.RelUsed, attest.ArtefactPipeline, config, "train"), rel(attest.RelTrained, attest.ArtefactModel, v.artefact, "model.onnx")}, prov)
	sig := w.add(attest.KindModelSignature, project, "trainer", "", subject("lending", v.root), []attest.Relation{
		rel(attest.RelUsed, attest.ArtefactModel, v.artefact, "model.onnx"), rel(attest.RelGenerated, attest.ArtefactVersion, v.root, "lending "+name)}, oms)
	report := digestOf("report " + name)
	eval := w.add(attest.KindEvaluation, project, "trainer", "", subject("report.json", report), []attest.Relation{
		rel(attest.RelUsed, attest.ArtefactModel, v.artefact, "model.onnx"), rel(attest.RelGenerated, attest.ArtefactReport, report, "report.json"),
		rel(attest.RelEvaluatedForDev, attest.ArtefactVersion, v.root, "lending "+name)},
		attest.TestResult{Result: attest.ResultPassed, Configuration: []attest.ResourceDescriptor{{Name: "rows.csv", Digest: map[string]string{"sha256": data}}}, Details: json.RawMessage(`{"auc":0.83}`)})
	v.evidence = []attest.EntryRef{eval}
	v.registration = w.add(attest.KindRegistration, project, "ann", "", subject("lending", v.root), []attest.Relation{
		rel(attest.RelUsed, attest.ArtefactModel, v.artefact, "model.onnx"), rel(attest.RelRegistered, attest.ArtefactVersion, v.root, "lending "+name)},
		attest.Registration{Model: "lending", Version: name, Root: v.root, Artefact: v.artefact, Format: "onnx", Inputs: []string{"income"},
			Run: run, Signature: sig, Evidence: v.evidence, Metrics: map[string]float64{"auc": 0.83}})
	if t.Failed() {
		t.FailNow()
	}
	return v
}

// ask logs the promotion request of a version.
func (w *world) ask(v *version, policy string) {
	v.binding = attest.Binding{Model: "lending", Version: v.name, Artefact: v.root, Stage: stage, PolicyDigest: digestOf(policy),
		EvidenceDigest: attest.EvidenceDigest(v.evidence), RequestNonce: digestOf("request " + v.name + w.now.String())[:32], Expires: epoch.AddDate(0, 3, 0)}
	v.request = w.add(attest.KindPromotionRequest, project, "ann", "", subject("lending", v.root),
		[]attest.Relation{rel(attest.RelRequested, attest.ArtefactVersion, v.root, "lending "+v.name)},
		attest.PromotionRequest{Binding: v.binding, Evidence: v.evidence, Reason: "ready"})
}

// decide logs an approval of request, bound as binding says.
func (w *world) decide(actor, role string, request attest.EntryRef, binding attest.Binding) attest.EntryRef {
	kind := attest.KindDecision
	if role == "model-owner" {
		kind = attest.KindAcceptance
	}
	return w.add(kind, project, actor, "", subject("lending", binding.Artefact),
		[]attest.Relation{rel(attest.RelDecided, attest.ArtefactVersion, binding.Artefact, "lending "+binding.Version)},
		attest.Decision{Request: request, Binding: binding, Role: role, Outcome: attest.OutcomeApproved, Reason: "sound"})
}

// verdict logs that the gate passed, whether it should have or not.
func (w *world) verdict(v *version, by ...attest.EntryRef) attest.EntryRef {
	var vsa attest.VSA
	vsa.Verifier.ID = "https://affidavit.dev/gate/v1"
	vsa.TimeVerified = w.now
	vsa.ResourceURI = "affidavit:credit/lending@" + v.name
	vsa.Policy = attest.ResourceDescriptor{Digest: map[string]string{"sha256": v.binding.PolicyDigest}}
	vsa.InputAttestations = []attest.ResourceDescriptor{}
	vsa.VerificationResult = "PASSED"
	vsa.VerifiedLevels = []string{"AFFIDAVIT_GATE"}
	vsa.Gate = attest.GateDetail{Request: v.request, Binding: v.binding, Conditions: []attest.Condition{{Name: "quorum", Met: true, By: by, Words: "everybody agreed"}}}
	return w.add(attest.KindVerdict, project, "affidavit", "", subject("lending", v.root),
		[]attest.Relation{rel(attest.RelConcerns, attest.ArtefactVersion, v.root, "lending "+v.name)}, vsa)
}

func (w *world) deploy(v *version, verdict attest.EntryRef) attest.EntryRef {
	return w.add(attest.KindDeployment, project, "affidavit", "ann", subject("lending", v.root),
		[]attest.Relation{rel(attest.RelDeployed, attest.ArtefactVersion, v.root, "lending "+v.name)},
		attest.Deployment{Endpoint: "loans", Action: "deploy", Role: attest.ServeChampion, Weight: 1, Model: "lending", Version: v.name, Root: v.root,
			Artefact: v.artefact, Stage: stage, Request: v.request, Verdict: verdict, Permit: attest.Permit(verdict.PAE, "loans", attest.ServeChampion)})
}

// promote takes a version through request, decisions, verdict and deployment.
func (w *world) promote(v *version) attest.EntryRef {
	w.ask(v, policyYAML)
	a := w.decide("olivia", "model-owner", v.request, v.binding)
	b := w.decide("vera", "validator", v.request, v.binding)
	c := w.decide("rick", "risk-officer", v.request, v.binding)
	return w.deploy(v, w.verdict(v, a, b, c))
}

func (w *world) serve(v *version, deployment attest.EntryRef) {
	segment := digestOf("segment " + v.name)
	s := w.add(attest.KindSegment, project, "affidavit", "", subject("segment", segment),
		[]attest.Relation{rel(attest.RelUsed, attest.ArtefactModel, v.artefact, "model.onnx"), rel(attest.RelGenerated, attest.ArtefactSegment, segment, "segment")},
		attest.Segment{Endpoint: "loans", Deployment: deployment, Model: "lending", Version: v.name, Sequence: 1, From: w.now, To: w.now, Count: 2, Root: digestOf("root"), Digest: segment, Positive: 1})
	labels := digestOf("labels " + v.name)
	w.add(attest.KindOutcomes, project, "affidavit", "ann", subject("outcomes", labels),
		[]attest.Relation{rel(attest.RelUsed, attest.ArtefactSegment, segment, "segment"), rel(attest.RelGenerated, attest.ArtefactOutcomes, labels, "labels")},
		attest.Outcomes{Endpoint: "loans", Segments: []attest.EntryRef{s}, Count: 2, Digest: labels, Metrics: map[string]float64{"auc": 0.8}})
}

// document renders, signs and logs a PDF.
func (w *world) document(name string, sources ...attest.EntryRef) {
	w.t.Helper()
	w.documentBy(name, w.set.CA, w.set.TSA, sources...)
}

func (w *world) documentBy(name string, ca *keys.CA, tsa *keys.TSA, sources ...attest.EntryRef) {
	w.t.Helper()
	doc := &pdf.Document{Meta: pdf.Meta{Kind: "Model card", Title: "Lending", AsOf: w.now}, SignatureFields: 1,
		Body: []pdf.Block{&pdf.Heading{Level: 1, Text: "One"}}}
	raw, err := pdf.Render(doc)
	check(w.t, err)
	if w.docKey == nil {
		w.docKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(w.t, err)
		chain, err := ca.IssueDocument("Model card", "cards@bank.example", w.docKey.Public(), epoch)
		check(w.t, err)
		for _, der := range chain {
			cert, err := x509.ParseCertificate(der)
			check(w.t, err)
			w.docCert = append(w.docCert, cert)
		}
	}
	signed, err := pdf.Sign(raw, pdf.SignOptions{Signer: w.docKey, Chain: w.docCert, Name: "Model card", Reason: "Issued", When: w.now,
		Timestamp: func(sig []byte) ([]byte, error) { return tsa.StampToken(sig, w.now) }})
	check(w.t, err)
	w.docs[name] = signed
	sum := sha256.Sum256(signed)
	digest := hex.EncodeToString(sum[:])
	w.add(attest.KindDocument, project, "affidavit", "", subject(name, digest), []attest.Relation{rel(attest.RelGenerated, attest.ArtefactDocument, digest, name)},
		attest.Document{Name: name, Title: "Lending", Kind: "model-card", MediaType: "application/pdf", Size: int64(len(signed)), Digest: digest, AsOf: w.log.Size(), Sources: sources})
}

// state logs the project-state of a project, over everything that is there.
func (w *world) state(proj string) {
	var paes []string
	for _, e := range w.entries {
		if e.project == proj {
			paes = append(paes, e.signed.PAEHex())
		}
	}
	root, err := pack.StateRoot(paes)
	check(w.t, err)
	w.add(attest.KindProjectState, proj, "affidavit", "", nil, nil, attest.ProjectState{Project: proj, Size: w.log.Size(), Count: int64(len(paes)), Root: hex.EncodeToString(root[:])})
}

// checkpoint signs the tree of a size.
func (w *world) checkpoint(size int64) (tlog.Checkpoint, string) {
	root, err := tlog.Root(context.Background(), w.log, size)
	check(w.t, err)
	c := tlog.Checkpoint{Origin: w.set.Log.Origin(), Size: size, Root: root}
	text, err := w.set.Log.SignCheckpoint(c)
	check(w.t, err)
	return c, text
}

// bundle proves an entry to the tree of a size.
func (w *world) bundle(index, size int64) []byte {
	w.t.Helper()
	c, text := w.checkpoint(size)
	hashes, err := tlog.ProveInclusion(context.Background(), w.log, size, index)
	check(w.t, err)
	e := w.entries[index]
	b, err := attest.MarshalBundle(e.signed, attest.Proof{Index: index, Size: size, Root: c.Root, Hashes: hashes, Checkpoint: text, LogKeyHash: w.set.Log.KeyHash()}, e.stamp)
	check(w.t, err)
	return b
}

func (w *world) root() []byte {
	b, err := w.set.TrustedRoot().Marshal()
	check(w.t, err)
	return b
}

// input is what the exporter puts into a pack of the whole log.
func (w *world) input(query string) pack.Input {
	n := w.log.Size()
	_, text := w.checkpoint(n)
	in := pack.Input{Project: project, Query: query, Checkpoint: text, TrustedRoot: w.root(), Policies: w.pols, Documents: w.docs}
	for i, e := range w.entries {
		if !w.skip[int64(i)] {
			in.Items = append(in.Items, pack.Item{Index: int64(i), PAE: e.signed.PAEHex(), Kind: e.kind, Bundle: w.bundle(int64(i), n)})
		}
	}
	return in
}

// export logs both project-states, the export, and writes the pack.
func (w *world) export() []byte {
	w.t.Helper()
	w.state(project)
	w.state("")
	return w.write(w.input(pack.QueryProject), "audrey")
}

// write builds the manifest, logs the export by actor, and writes the zip.
func (w *world) write(in pack.Input, actor string) []byte {
	w.t.Helper()
	ctx := context.Background()
	draft, _, _, err := pack.BuildManifest(ctx, in)
	check(w.t, err)
	ref := w.add(attest.KindExport, project, actor, "", []attest.Subject{draft.Subject()}, []attest.Relation{draft.Relation()}, draft.Export())
	old := draft.Checkpoint()
	now, _ := w.checkpoint(w.log.Size())
	proof, err := tlog.ProveConsistency(ctx, w.log, now.Size, old.Size)
	check(w.t, err)
	consistency, err := pack.MarshalConsistency(old, now, proof)
	check(w.t, err)
	var out bytes.Buffer
	check(w.t, draft.Finish(&out, w.bundle(ref.Index, now.Size), consistency))
	return out.Bytes()
}

// standard is a whole life of one version.
func standard(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.staff()
	v := w.develop("1")
	w.serve(v, w.promote(v))
	w.document("model-card.pdf", v.registration)
	return w
}

// verify verifies a pack under the world's trusted root.
func (w *world) verify(zip []byte) *pack.Report {
	w.t.Helper()
	r, err := pack.Verify(context.Background(), bytes.NewReader(zip), int64(len(zip)), pack.Options{TrustedRoot: w.root()})
	check(w.t, err)
	return r
}
