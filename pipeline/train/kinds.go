package train

import (
	"context"

	"affidavit/attest"
	"affidavit/lineage"
)

// Kinds returns this package's rows of the table of Kinds.
func Kinds() []lineage.Kind {
	return []lineage.Kind{{Name: attest.KindTrainingRun, Check: checkRun, Project: projectRun}}
}

// RunRow is a row of runs.
type RunRow struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	Artefact string
}

// TableName implements gorm's Tabler.
func (RunRow) TableName() string { return "runs" }

// checkRun wants the provenance and the relations to tell one story: what
// duties walk is what the reader of the provenance sees.
func checkRun(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.Provenance
	if err := e.Decode(&p); err != nil {
		return err
	}
	if p.BuildDefinition.BuildType == "" || p.RunDetails.Builder.ID == "" {
		return lineage.Errf(lineage.CodeInvalid, "buildDefinition", "buildType and builder.id must not be empty")
	}
	if s, f := p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn; s != nil && f != nil && f.Before(*s) {
		return lineage.Errf(lineage.CodeInvalid, "runDetails.metadata", "the run finished before it started")
	}
	artefact, err := modelOf(e)
	if err != nil {
		return err
	}
	if len(e.Statement.Subject) != 1 || e.Statement.Subject[0].Digest["sha256"] != artefact {
		return lineage.Errf(lineage.CodeInvalid, "subject", "must be the model file %s alone", artefact)
	}
	count := map[string]int{}
	for _, ref := range e.Related(attest.RelUsed) {
		count[ref.Kind]++
		if !names(p.BuildDefinition.ResolvedDependencies, ref.Digest) {
			return lineage.Errf(lineage.CodeRefused, "buildDefinition.resolvedDependencies", "does not list %s %s, which the run used", ref.Kind, ref.Digest)
		}
	}
	for _, need := range []string{attest.ArtefactData, attest.ArtefactFeatures, attest.ArtefactPipeline} {
		if count[need] == 0 {
			return lineage.Errf(lineage.CodeInvalid, "relations", "name no %s", need).WithRemedy("a run used data, a feature set and a pipeline configuration: used %s", need)
		}
	}
	return checkTrigger(r, e)
}

// modelOf returns the digest of the one model that the entry made.
func modelOf(e *lineage.Entry) (string, error) {
	artefact := ""
	for _, ref := range e.Related(attest.RelGenerated) {
		if ref.Kind != attest.ArtefactModel {
			continue
		}
		if artefact != "" {
			return "", lineage.Errf(lineage.CodeInvalid, "relations", "generate two models").WithRemedy("log one run for each model")
		}
		artefact = ref.Digest
	}
	if artefact == "" || !e.Has(attest.RelTrained, attest.ArtefactModel, artefact) {
		return "", lineage.Errf(lineage.CodeInvalid, "relations", "must say of one model: generated and trained")
	}
	return artefact, nil
}

// checkTrigger: a triggered run carries the trigger as used too, so that who
// configured it is upstream of what it trains, and runs the pipeline that it names.
func checkTrigger(r *lineage.ReadTx, e *lineage.Entry) error {
	for _, ref := range e.Related(attest.RelTriggeredBy) {
		if ref.Kind != attest.ArtefactEntry {
			return lineage.Errf(lineage.CodeInvalid, "relations", "a run is triggered by an entry, not by a %s", ref.Kind)
		}
		if !e.Has(attest.RelUsed, attest.ArtefactEntry, ref.Digest) {
			return lineage.Errf(lineage.CodeInvalid, "relations", "triggered by entry %s without having used it", ref.Digest).WithRemedy("add: used entry %s", ref.Digest)
		}
		t, err := r.EntryByPAE(ref.Digest)
		if err != nil {
			return err
		}
		if t.Kind != attest.KindRetrainTrigger || t.Project != e.Project {
			return lineage.Errf(lineage.CodeRefused, "relations", "entry %d, which triggered the run, is of kind %s, of project %q", t.Index, t.Kind, t.Project)
		}
		var p attest.RetrainTrigger
		if err := t.Decode(&p); err != nil {
			return err
		}
		if !e.Has(attest.RelUsed, attest.ArtefactPipeline, p.Pipeline) {
			return lineage.Errf(lineage.CodeRefused, "relations", "the trigger (entry %d) starts pipeline %s, which the run did not use", t.Index, p.Pipeline)
		}
	}
	return nil
}

func projectRun(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	artefact, err := modelOf(e)
	if err != nil {
		return err
	}
	return w.Insert(&RunRow{Entry: e.Index, Project: e.Project, Artefact: artefact})
}
