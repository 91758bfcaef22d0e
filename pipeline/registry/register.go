package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"affidavit/attest"
	"affidavit/lineage"
)

// metricsDescriptor is the name under which an evaluation's configuration
// lists its headline figures as annotations.
const metricsDescriptor = "metrics"

// checkRegistration: the version is new, its model is in the inventory, and
// files, signature and run belong together.
func checkRegistration(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.Registration
	if err := e.Decode(&p); err != nil {
		return err
	}
	if err := checkTerms(p); err != nil {
		return err
	}
	for _, need := range []attest.Relation{
		{Type: attest.RelRegistered, Ref: lineage.Ref{Kind: attest.ArtefactVersion, Digest: p.Root}},
		{Type: attest.RelUsed, Ref: lineage.Ref{Kind: attest.ArtefactModel, Digest: p.Artefact}},
		{Type: attest.RelUsed, Ref: lineage.Ref{Kind: attest.ArtefactEntry, Digest: p.Run.PAE}},
		{Type: attest.RelUsed, Ref: lineage.Ref{Kind: attest.ArtefactEntry, Digest: p.Signature.PAE}},
	} {
		if !e.Has(need.Type, need.Kind, need.Digest) {
			return lineage.Errf(lineage.CodeInvalid, "relations", "must say: %s %s %s", need.Type, need.Kind, need.Digest)
		}
	}
	if len(e.Statement.Subject) != 1 || e.Statement.Subject[0].Digest["sha256"] != p.Root {
		return lineage.Errf(lineage.CodeInvalid, "subject", "must be the version's root alone, %s", p.Root)
	}
	err := r.First(&InventoryRow{}, "project = ? AND model = ?", e.Project, p.Model)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return lineage.Errf(lineage.CodeRefused, "model", "%q is not in the inventory of project %q", p.Model, e.Project).WithRemedy("its model owner logs an inventory entry first")
	}
	if err != nil {
		return err
	}
	if err := checkNew(r, e, p); err != nil {
		return err
	}
	if err := checkOrigin(r, e, p); err != nil {
		return err
	}
	return checkEvidence(r, e, p)
}

func checkTerms(p attest.Registration) error {
	if p.Version == "" || len(p.Version) > 64 || strings.ContainsFunc(p.Version, func(c rune) bool { return c <= ' ' || c > '~' || c == '/' }) {
		return lineage.Errf(lineage.CodeInvalid, "version", "%q is no version", p.Version).WithRemedy("use 1–64 printable ASCII characters without blanks and slashes")
	}
	if p.Format != FormatONNX {
		return lineage.Errf(lineage.CodeInvalid, "format", "%q is not supported", p.Format).WithRemedy("export the model as %s", FormatONNX)
	}
	if len(p.Inputs) == 0 {
		return lineage.Errf(lineage.CodeInvalid, "inputs", "is empty").WithRemedy("list the inputs of the model's graph")
	}
	seen := map[string]bool{}
	for _, in := range p.Inputs {
		if in == "" || seen[in] {
			return lineage.Errf(lineage.CodeInvalid, "inputs", "%q is empty or listed twice", in)
		}
		seen[in] = true
	}
	return nil
}

// checkNew: a version never changes, and the same files are one version only.
func checkNew(r *lineage.ReadTx, e *lineage.Entry, p attest.Registration) error {
	var old VersionRow
	err := r.First(&old, "project = ? AND model = ? AND (version = ? OR root = ?)", e.Project, p.Model, p.Version, p.Root)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if old.Version == p.Version {
		return lineage.Errf(lineage.CodeConflict, "version", "%s %s was registered by entry %d; a version never changes", p.Model, p.Version, old.Entry).
			WithRemedy("register another version")
	}
	return lineage.Errf(lineage.CodeConflict, "root", "these files are version %s already (entry %d)", old.Version, old.Entry).WithRemedy("use that version")
}

// checkOrigin: the run cited made the artefact, and the signature cited covers
// exactly the version's files.
func checkOrigin(r *lineage.ReadTx, e *lineage.Entry, p attest.Registration) error {
	run, err := r.Cited("run", p.Run, attest.KindTrainingRun)
	if err != nil {
		return err
	}
	if run.Project != e.Project || !run.Has(attest.RelGenerated, attest.ArtefactModel, p.Artefact) {
		return lineage.Errf(lineage.CodeRefused, "artefact", "the run (entry %d) of project %q did not make model %s", run.Index, run.Project, p.Artefact).
			WithRemedy("cite the run that made it")
	}
	sig, err := r.Cited("signature", p.Signature, attest.KindModelSignature)
	if err != nil {
		return err
	}
	if sig.Project != e.Project || !sig.Has(attest.RelGenerated, attest.ArtefactVersion, p.Root) {
		return lineage.Errf(lineage.CodeRefused, "root", "the model signature (entry %d) of project %q is about other files", sig.Index, sig.Project).
			WithRemedy("cite the signature whose subject is this root")
	}
	if !sig.Has(attest.RelUsed, attest.ArtefactModel, p.Artefact) {
		return lineage.Errf(lineage.CodeRefused, "artefact", "the model signature (entry %d) does not serve model %s", sig.Index, p.Artefact)
	}
	return nil
}

// checkEvidence: the evaluations cited are of this model, and the metrics are
// theirs.
func checkEvidence(r *lineage.ReadTx, e *lineage.Entry, p attest.Registration) error {
	measured := map[string][]any{}
	for i, ref := range p.Evidence {
		field := fmt.Sprintf("evidence[%d]", i)
		ev, err := r.Cited(field, ref, attest.KindEvaluation)
		if err != nil {
			return err
		}
		if ev.Project != e.Project || !ev.Has(attest.RelEvaluatedForDev, attest.ArtefactModel, p.Artefact) && !ev.Has(attest.RelValidated, attest.ArtefactModel, p.Artefact) {
			return lineage.Errf(lineage.CodeRefused, field, "entry %d does not evaluate model %s of this project", ev.Index, p.Artefact)
		}
		if !e.Has(attest.RelConcerns, attest.ArtefactEntry, ref.PAE) {
			return lineage.Errf(lineage.CodeInvalid, "relations", "must say: concerns entry %s", ref.PAE)
		}
		var t attest.TestResult
		if err := ev.Decode(&t); err != nil {
			return err
		}
		for _, d := range t.Configuration {
			if d.Name == metricsDescriptor {
				for name, v := range d.Annotations {
					measured[name] = append(measured[name], v)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Metrics)) {
		if !slices.Contains(measured[name], any(p.Metrics[name])) {
			return lineage.Errf(lineage.CodeRefused, "metrics."+name, "%v is not what the evaluations cited measured", p.Metrics[name]).
				WithRemedy("repeat the figures of the evidence exactly, or leave them out")
		}
	}
	return nil
}
