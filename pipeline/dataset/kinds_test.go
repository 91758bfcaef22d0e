package dataset

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
)

const (
	engineer = "erin"
	machine  = "trainer"
)

func step(kind string) lineage.Step { return lineage.Step{Kind: kind, Project: ledgertest.Project} }

// refused submits a changed copy of a result, which must fail with a code and
// words and leave every table as it was.
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

// world registers the lending table.
func world(t *testing.T) (*ledgertest.World, *Table, lineage.Result) {
	t.Helper()
	w := ledgertest.New(t, Kinds())
	w.Person(engineer, "engineer")
	w.Account(machine, engineer)
	content, err := os.ReadFile(lendingCSV)
	if err != nil {
		t.Fatal(err)
	}
	table := lending(t)
	res, err := Register(table, content, "lending", "1990", "Boston Fed", "public domain")
	if err != nil {
		t.Fatal(err)
	}
	return w, table, res
}

func TestDataVersion(t *testing.T) {
	w, table, res := world(t)
	for _, c := range []struct {
		code   lineage.Code
		words  string
		change func(p *attest.DataVersion, res *lineage.Result)
	}{
		{lineage.CodeInvalid, "name", func(p *attest.DataVersion, _ *lineage.Result) { p.Name = " padded" }},
		{lineage.CodeInvalid, "rows", func(p *attest.DataVersion, _ *lineage.Result) { p.Rows = 0 }},
		{lineage.CodeInvalid, "columns", func(p *attest.DataVersion, _ *lineage.Result) { p.Columns = append(p.Columns, p.Columns[0]) }},
		{lineage.CodeInvalid, "columns", func(p *attest.DataVersion, _ *lineage.Result) { p.Columns = nil }},
		{lineage.CodeInvalid, "digest", func(p *attest.DataVersion, _ *lineage.Result) { p.Digest = p.RowDigest }},
		{lineage.CodeInvalid, "generated data", func(_ *attest.DataVersion, res *lineage.Result) { res.Relations[0].Type = attest.RelPrepared }},
	} {
		p, bad := res.Predicate.(attest.DataVersion), res
		p.Columns = slices.Clone(p.Columns)
		bad.Relations = slices.Clone(res.Relations)
		c.change(&p, &bad)
		bad.Predicate = p
		refused(t, w, engineer, attest.KindDataVersion, c.code, c.words, bad)
	}
	refused(t, w, machine, attest.KindDataVersion, lineage.CodeForbidden, "engineer", res)

	rec := w.Must(w.SubmitAs(engineer, step(attest.KindDataVersion), res))
	var row VersionRow
	w.View(func(r *lineage.ReadTx) error { return r.First(&row, "entry = ?", rec.Index) })
	if want := (VersionRow{rec.Index, ledgertest.Project, "lending", "1990", table.FileDigest(), 2380}); row != want {
		t.Errorf("%+v, want %+v", row, want)
	}
	if kept, err := lineage.ReadBlob(context.Background(), w.L.Blobs(), row.Digest, 1<<20); err != nil || int64(len(kept)) != table.FileBytes() {
		t.Errorf("%d bytes kept: %v", len(kept), err)
	}
	refused(t, w, engineer, attest.KindDataVersion, lineage.CodeConflict, "never changes", res)
	if _, err := Register(table, []byte("other"), "lending", "2", "x", "x"); lineage.CodeOf(err) != lineage.CodeInvalid {
		t.Errorf("registered bytes that the table was not read from: %v", err)
	}
}

func TestDataValidation(t *testing.T) {
	w, table, data := world(t)
	low, high := 0., 1.
	report, err := table.Validate(&Suite{Expectations: []Expectation{
		{Name: "no gaps", Kind: NotNull, Column: "deny"},
		{Name: "small ratio", Kind: Between, Column: "pirat", Min: &low, Max: &high, Severity: SeverityWarn},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ref := data.Relations[0].Ref
	res, err := ValidationResult(report, ref)
	if err != nil {
		t.Fatal(err)
	}
	// Three applicants of the Boston data owe more than they earn.
	if p := res.Predicate.(attest.TestResult); p.Result != attest.ResultWarned || len(p.WarnedTests) != 1 || len(p.PassedTests) != 1 {
		t.Fatalf("%+v", p)
	}
	refused(t, w, machine, attest.KindDataValidation, lineage.CodeInvalid, "no data", res) // nothing made it yet
	w.Must(w.SubmitAs(engineer, step(attest.KindDataVersion), data))
	for _, c := range []struct {
		code   lineage.Code
		words  string
		change func(p *attest.TestResult, res *lineage.Result)
	}{
		{lineage.CodeRefused, "the tests listed make it", func(p *attest.TestResult, _ *lineage.Result) { p.Result = attest.ResultPassed }},
		{lineage.CodeRefused, "the report says otherwise", func(p *attest.TestResult, _ *lineage.Result) { p.Result, p.WarnedTests = attest.ResultPassed, nil }},
		{lineage.CodeRefused, "about file", func(p *attest.TestResult, _ *lineage.Result) { p.Details = []byte(`{"passed":true}`) }},
		{lineage.CodeInvalid, "generated report", func(p *attest.TestResult, _ *lineage.Result) {
			p.Details = []byte(strings.Replace(string(p.Details), "no gaps", "new gaps", 1))
		}},
		{lineage.CodeInvalid, "used and prepared", func(_ *attest.TestResult, res *lineage.Result) { res.Relations = res.Relations[1:] }},
		{lineage.CodeRefused, "its checks", func(p *attest.TestResult, _ *lineage.Result) {
			p.Details = []byte(strings.Replace(string(p.Details), `"warnings":1`, `"warnings":7`, 1))
		}},
	} {
		p, bad := res.Predicate.(attest.TestResult), res
		bad.Relations = slices.Clone(res.Relations)
		c.change(&p, &bad)
		bad.Predicate = p
		refused(t, w, machine, attest.KindDataValidation, c.code, c.words, bad)
	}
	refused(t, w, engineer, attest.KindDataValidation, lineage.CodeForbidden, "machine", res)
	rec := w.Must(w.DoAs(machine, step(attest.KindDataValidation), res))
	var row ValidationRow
	w.View(func(r *lineage.ReadTx) error { return r.First(&row, "entry = ?", rec.Index) })
	if want := (ValidationRow{rec.Index, ledgertest.Project, attest.KindDataValidation, table.FileDigest(), attest.ResultWarned}); row != want {
		t.Errorf("%+v, want %+v", row, want)
	}
	report.FileDigest = strings.Repeat("ab", 32)
	if _, err := ValidationResult(report, ref); err == nil {
		t.Error("a report on other bytes was taken")
	}
}
