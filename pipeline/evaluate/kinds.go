package evaluate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/rbac/sod"
)

// Kinds returns this package's rows of the table of Kinds.
func Kinds() []lineage.Kind {
	return []lineage.Kind{{Name: attest.KindEvaluation, Check: checkEvaluation, Project: projectEvaluation}}
}

// Row is a row of evaluations.
type Row struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Kind    string
	Subject string // digest of the model file
	Result  string
}

// TableName implements gorm's Tabler.
func (Row) TableName() string { return "evaluations" }

// trained is the part of runs that an evaluation asks for.
type trained struct{ Entry int64 }

// TableName implements gorm's Tabler.
func (trained) TableName() string { return "runs" }

func checkEvaluation(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.TestResult
	if err := e.Decode(&p); err != nil {
		return err
	}
	model, validated, err := judged(e)
	if err != nil {
		return err
	}
	if len(e.Statement.Subject) != 1 || e.Statement.Subject[0].Digest["sha256"] != model {
		return lineage.Errf(lineage.CodeInvalid, "subject", "must be the model file %s alone", model)
	}
	switch err := r.First(&trained{}, "project = ? AND artefact = ?", e.Project, model); lineage.CodeOf(err) {
	case "":
	case lineage.CodeNotFound:
		return lineage.Errf(lineage.CodeRefused, "subject", "no training run of project %q made model %s", e.Project, model).WithRemedy("log the run first")
	default:
		return err
	}
	if err := checkDetails(e, p); err != nil {
		return err
	}
	for _, ref := range e.Related(attest.RelUsed) {
		if ref.Kind == attest.ArtefactData && !slices.ContainsFunc(p.Configuration, func(d attest.ResourceDescriptor) bool { return d.Digest["sha256"] == ref.Digest }) {
			return lineage.Errf(lineage.CodeRefused, "configuration", "does not list data %s, which the evaluation used", ref.Digest)
		}
	}
	if validated {
		return checkIndependent(r, e, model)
	}
	return nil
}

// judged returns the one model that the entry evaluated, and whether it did so
// as an independent validation.
func judged(e *lineage.Entry) (model string, validated bool, err error) {
	refs := append(e.Related(attest.RelEvaluatedForDev), e.Related(attest.RelValidated)...)
	if len(refs) != 1 || refs[0].Kind != attest.ArtefactModel {
		return "", false, lineage.Errf(lineage.CodeInvalid, "relations", "must say of one model: evaluated-for-development, or validated")
	}
	if !slices.ContainsFunc(e.Related(attest.RelUsed), func(ref lineage.Ref) bool { return ref.Kind == attest.ArtefactData }) {
		return "", false, lineage.Errf(lineage.CodeInvalid, "relations", "name no data").WithRemedy("say on what it was measured: used data")
	}
	return refs[0].Digest, len(e.Related(attest.RelValidated)) == 1, nil
}

// checkDetails holds the headline against the report, and the report against
// the relations.
func checkDetails(e *lineage.Entry, p attest.TestResult) error {
	canonical, err := attest.CanonicalJSON(p.Details)
	if err != nil {
		return lineage.Errf(lineage.CodeInvalid, "details", "%v", err)
	}
	if sum := sha256.Sum256(canonical); !e.Has(attest.RelGenerated, attest.ArtefactReport, hex.EncodeToString(sum[:])) {
		return lineage.Errf(lineage.CodeInvalid, "details", "the relations must say: generated report %x", sum)
	}
	var report Report
	if err := json.Unmarshal(canonical, &report); err != nil || report.Schema != Schema {
		return lineage.Errf(lineage.CodeInvalid, "details", "is not a report of schema %s", Schema)
	}
	t := report.tests()
	if p.Result != t.result() {
		return lineage.Errf(lineage.CodeRefused, "result", "is %s, but by its own rules the report is %s", p.Result, t.result())
	}
	if !slices.Equal(p.PassedTests, t.passed) || !slices.Equal(p.WarnedTests, t.warned) || !slices.Equal(p.FailedTests, t.failed) {
		return lineage.Errf(lineage.CodeRefused, "passedTests", "the tests listed are not those of the report")
	}
	for _, d := range p.Configuration {
		if d.Name == HeadlineMetrics && maps.Equal(d.Annotations, report.headline()) {
			return nil
		}
	}
	return lineage.Errf(lineage.CodeRefused, "configuration", "its %s are missing or not those of the report", HeadlineMetrics)
}

// checkIndependent: whoever validates is a validator and made nothing that the
// model came from. Who did evaluates for development.
func checkIndependent(r *lineage.ReadTx, e *lineage.Entry, model string) error {
	remedy := "say evaluated-for-development, or have an independent validator evaluate"
	ref := lineage.Ref{Kind: attest.ArtefactModel, Digest: model}
	h, err := r.History(e.Project, []lineage.Ref{ref}, e.Index)
	if err != nil {
		return err
	}
	if e.OnBehalfOf != "" || !h.HasRole(e.Actor, e.Project, sod.RoleValidator, e.Index) {
		return lineage.Errf(lineage.CodeForbidden, "relations", "%s does not hold the role validator, or signs for another, and validates nothing", e.Actor).WithRemedy("%s", remedy)
	}
	c, err := h.Contributors(ref, e.Index)
	if err != nil {
		return err
	}
	if v := h.Independent(e.Actor, &c, e.Index); v != nil {
		return lineage.Errf(lineage.CodeForbidden, "relations", "%s", v.Words).WithRemedy("%s", remedy)
	}
	return nil
}

func projectEvaluation(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.TestResult
	if err := e.Decode(&p); err != nil {
		return err
	}
	model, _, err := judged(e)
	if err != nil {
		return err
	}
	return w.Insert(&Row{Entry: e.Index, Project: e.Project, Kind: e.Kind, Subject: model, Result: p.Result})
}
