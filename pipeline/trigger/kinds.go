package trigger

import (
	"context"

	"affidavit/attest"
	"affidavit/lineage"
)

// Kinds returns this package's rows of the table of Kinds.
func Kinds() []lineage.Kind {
	return []lineage.Kind{
		{Name: attest.KindPipeline, Check: checkPipeline, Project: projectPipeline},
		{Name: attest.KindRetrainTrigger, Check: checkRetrain, Project: projectRetrain, Erasable: []string{"reason"}},
	}
}

// PipelineRow is a row of pipelines.
type PipelineRow struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Name    string
	Type    string
	Digest  string
}

// TableName implements gorm's Tabler.
func (PipelineRow) TableName() string { return "pipelines" }

// Row is a row of triggers: a retraining that was triggered.
type Row struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	Alert    int64
	Pipeline string
}

// TableName implements gorm's Tabler.
func (Row) TableName() string { return "triggers" }

func checkPipeline(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.PipelineConfiguration
	if err := e.Decode(&p); err != nil {
		return err
	}
	if p.Name == "" || len(p.Name) > 128 {
		return lineage.Errf(lineage.CodeInvalid, "name", "must have 1 to 128 bytes")
	}
	if p.Type != TypeTraining && p.Type != TypeTrigger {
		return lineage.Errf(lineage.CodeInvalid, "type", "%q is neither %s nor %s", p.Type, TypeTraining, TypeTrigger)
	}
	_, digest, err := canonical(p.Config)
	if err != nil {
		return err
	}
	ref := ConfigRef("", p.Type, digest)
	if !e.Has(attest.RelConfigured, ref.Kind, digest) || !e.Has(attest.RelGenerated, ref.Kind, digest) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say: configured and generated %s %s", ref.Kind, digest)
	}
	var old PipelineRow
	err = r.First(&old, "project = ? AND digest = ?", e.Project, digest)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return lineage.Errf(lineage.CodeConflict, "config", "entry %d configured the same as %q", old.Entry, old.Name).WithRemedy("use that configuration")
}

func projectPipeline(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.PipelineConfiguration
	if err := e.Decode(&p); err != nil {
		return err
	}
	_, digest, err := canonical(p.Config)
	if err != nil {
		return err
	}
	return w.Insert(&PipelineRow{Entry: e.Index, Project: e.Project, Name: p.Name, Type: p.Type, Digest: digest})
}

func checkRetrain(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.RetrainTrigger
	if err := e.Decode(&p); err != nil {
		return err
	}
	alert, err := r.Cited("alert", p.Alert, attest.KindAlert)
	if err != nil {
		return err
	}
	if alert.Project != e.Project {
		return lineage.Errf(lineage.CodeRefused, "alert", "entry %d belongs to project %q", alert.Index, alert.Project)
	}
	for _, c := range []struct{ field, typ, digest string }{{"pipeline", TypeTraining, p.Pipeline}, {"trigger", TypeTrigger, p.Trigger}} {
		err := r.First(&PipelineRow{}, "project = ? AND digest = ? AND type = ?", e.Project, c.digest, c.typ)
		if lineage.CodeOf(err) == lineage.CodeNotFound {
			return lineage.Errf(lineage.CodeRefused, c.field, "no %s configuration of project %q has digest %s", c.typ, e.Project, c.digest).WithRemedy("log the configuration first")
		}
		if err != nil {
			return err
		}
		if ref := ConfigRef("", c.typ, c.digest); !e.Has(attest.RelUsed, ref.Kind, ref.Digest) {
			return lineage.Errf(lineage.CodeInvalid, "relations", "must say: used %s %s", ref.Kind, ref.Digest)
		}
	}
	if !e.Has(attest.RelTriggeredBy, attest.ArtefactEntry, p.Alert.PAE) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say: triggered-by entry %s", p.Alert.PAE)
	}
	return nil
}

func projectRetrain(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.RetrainTrigger
	if err := e.Decode(&p); err != nil {
		return err
	}
	return w.Insert(&Row{Entry: e.Index, Project: e.Project, Alert: p.Alert.Index, Pipeline: p.Pipeline})
}
