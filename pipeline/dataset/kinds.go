package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"affidavit/attest"
	"affidavit/lineage"
)

// Kinds returns this package's rows of the table of Kinds.
func Kinds() []lineage.Kind {
	return []lineage.Kind{
		{Name: attest.KindDataVersion, Check: checkVersion, Project: projectVersion},
		{Name: attest.KindDataValidation, Check: checkValidation, Project: projectValidation},
	}
}

// VersionRow is a row of data_versions.
type VersionRow struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	Name     string
	Version  string
	Digest   string
	RowCount int64
}

// TableName implements gorm's Tabler.
func (VersionRow) TableName() string { return "data_versions" }

// ValidationRow is a row of evaluations that a data validation wrote.
type ValidationRow struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Kind    string
	Subject string
	Result  string
}

// TableName implements gorm's Tabler.
func (ValidationRow) TableName() string { return "evaluations" }

func checkVersion(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.DataVersion
	if err := e.Decode(&p); err != nil {
		return err
	}
	for _, f := range []struct{ field, value string }{{"name", p.Name}, {"version", p.Version}} {
		if f.value == "" || len(f.value) > maxNameBytes || checkText(f.value) != nil {
			return lineage.Errf(lineage.CodeInvalid, f.field, "%q must be 1 to %d bytes of plain text", clip(f.value), maxNameBytes)
		}
	}
	if p.Rows < 1 {
		return lineage.Errf(lineage.CodeInvalid, "rows", "%d rows; a data version has at least one", p.Rows)
	}
	seen := map[string]bool{}
	for _, c := range p.Columns {
		if c.Name == "" || seen[c.Name] || c.Missing < 0 || c.Missing > p.Rows {
			return lineage.Errf(lineage.CodeInvalid, "columns", "%q is empty, listed twice, or misses more values than there are rows", c.Name)
		}
		seen[c.Name] = true
	}
	if len(p.Columns) == 0 {
		return lineage.Errf(lineage.CodeInvalid, "columns", "is empty").WithRemedy("describe every column of the file")
	}
	if !e.Has(attest.RelGenerated, attest.ArtefactData, p.Digest) || subject(e) != p.Digest {
		return lineage.Errf(lineage.CodeInvalid, "digest", "subject and relations must name the file: generated data %s", p.Digest)
	}
	err := r.First(&VersionRow{}, "project = ? AND name = ? AND version = ?", e.Project, p.Name, p.Version)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return lineage.Errf(lineage.CodeConflict, "version", "%s %s is registered; a data version never changes", p.Name, p.Version).
		WithRemedy("register other bytes under another version")
}

func projectVersion(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.DataVersion
	if err := e.Decode(&p); err != nil {
		return err
	}
	return w.Insert(&VersionRow{Entry: e.Index, Project: e.Project, Name: p.Name, Version: p.Version, Digest: p.Digest, RowCount: p.Rows})
}

func checkValidation(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.TestResult
	if err := e.Decode(&p); err != nil {
		return err
	}
	data := subject(e)
	if !e.Has(attest.RelUsed, attest.ArtefactData, data) || !e.Has(attest.RelPrepared, attest.ArtefactData, data) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say of the subject: used and prepared data %s", data)
	}
	err := r.First(&VersionRow{}, "project = ? AND digest = ?", e.Project, data)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return lineage.Errf(lineage.CodeRefused, "subject", "no data version of project %q has digest %s", e.Project, data).WithRemedy("register the data version first")
	}
	if err != nil {
		return err
	}
	if err := checkDetails(p, data); err != nil {
		return err
	}
	canonical, err := attest.CanonicalJSON(p.Details)
	if err != nil {
		return lineage.Errf(lineage.CodeInvalid, "details", "%v", err)
	}
	if sum := sha256.Sum256(canonical); !e.Has(attest.RelGenerated, attest.ArtefactReport, hex.EncodeToString(sum[:])) {
		return lineage.Errf(lineage.CodeInvalid, "details", "the relations must say: generated report %x", sum)
	}
	return nil
}

// checkDetails holds the result against the tests and the report: whoever
// reads only the headline must not be told something else.
func checkDetails(p attest.TestResult, data string) error {
	want := attest.ResultPassed
	switch {
	case len(p.FailedTests) > 0:
		want = attest.ResultFailed
	case len(p.WarnedTests) > 0:
		want = attest.ResultWarned
	}
	if p.Result != want {
		return lineage.Errf(lineage.CodeRefused, "result", "is %s, but the tests listed make it %s", p.Result, want)
	}
	var report Report
	if err := json.Unmarshal(p.Details, &report); err != nil {
		return lineage.Errf(lineage.CodeInvalid, "details", "is not a validation report: %v", err)
	}
	if report.FileDigest != data {
		return lineage.Errf(lineage.CodeRefused, "details", "the report is about file %q, the statement about data %s", report.FileDigest, data)
	}
	if report.result() != p.Result || len(report.Checks) != len(p.PassedTests)+len(p.WarnedTests)+len(p.FailedTests) {
		return lineage.Errf(lineage.CodeRefused, "result", "is %s over %d tests; the report says otherwise", p.Result, len(p.PassedTests)+len(p.WarnedTests)+len(p.FailedTests))
	}
	errors, warnings := 0, 0
	for _, c := range report.Checks {
		switch {
		case c.Passed:
		case c.Severity == SeverityWarn:
			warnings++
		default:
			errors++
		}
	}
	if errors != report.Errors || warnings != report.Warnings {
		return lineage.Errf(lineage.CodeRefused, "details", "the report counts %d errors and %d warnings, its checks %d and %d", report.Errors, report.Warnings, errors, warnings)
	}
	return nil
}

func projectValidation(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.TestResult
	if err := e.Decode(&p); err != nil {
		return err
	}
	return w.Insert(&ValidationRow{Entry: e.Index, Project: e.Project, Kind: e.Kind, Subject: subject(e), Result: p.Result})
}

// subject is the SHA-256 of the first subject.
func subject(e *lineage.Entry) string {
	if e.Statement == nil || len(e.Statement.Subject) == 0 {
		return ""
	}
	return e.Statement.Subject[0].Digest["sha256"]
}
