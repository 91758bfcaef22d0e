package dataset

import (
	"strings"
	"testing"
)

const suiteYAML = `
expectations:
  - {name: x present, kind: not_null, column: x}
  - {name: s known, kind: in_set, column: s, values: [a, b]}
  - {name: x range, kind: between, column: x, min: 0, max: 5}
  - {name: unique, kind: unique_columns, columns: [x, s]}
  - {name: rows, kind: row_count_between, min: 4, max: 5}
  - {name: mean, kind: mean_between, column: x, min: 2, max: 3}
  - {name: enough b, kind: category_share_at_least, column: s, category: b, min: 0.5, severity: warn}
  - {name: few missing, kind: missing_share_at_most, column: s, max: 0.2, severity: warn}
`

func TestExpectations(t *testing.T) {
	suite, err := ParseSuite([]byte(suiteYAML))
	if err != nil {
		t.Fatal(err)
	}
	good := read(t, "x,s\n1,a\n2,b\n3,b\n4,b\n")
	report, err := good.Validate(suite)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Checks {
		if !c.Passed {
			t.Errorf("good table: %+v", c)
		}
	}
	if !report.Passed || report.RowsDigest != good.RowsDigest() || report.FileDigest != good.FileDigest() {
		t.Errorf("report %+v", report)
	}
	// Each table breaks exactly the named expectations.
	for _, c := range []struct {
		text     string
		broken   string
		passed   bool
		observed string
	}{
		{"x,s\n,a\n2,b\n3,b\n4,b\n", "x present", false, "1 of 4 rows missing"},
		{"x,s\n1,a\n2,b\n3,b\n3,c\n2,b\n", "s known,unique", false, "1 of 5 rows another value"},
		{"x,s\n1,a\n-2,b\n3,b\n6,b\n", "x range", false, "2 of 4 rows outside"},
		{"x,s\n1,a\n3,b\n3,b\n3,b\n", "unique", false, "2 of 4 rows repeated"},
		{"x,s\n1,a\n2,b\n3,b\n", "rows", false, "3 rows"},
		{"x,s\n1,a\n2,b\n1.5,b\n1.8,b\n", "mean", false, "mean 1.575"},
		{"x,s\n1,a\n2,a\n3,a\n4,b\n", "enough b", true, "share 0.25 (1 of 4 rows)"},
		{"x,s\n1,\n2,b\n3,b\n4,b\n", "few missing", true, "missing share 0.25 (1 of 4 rows)"},
	} {
		report, err := read(t, c.text).Validate(suite)
		if err != nil {
			t.Fatal(err)
		}
		var broken []string
		observed := ""
		for _, check := range report.Checks {
			if !check.Passed {
				broken = append(broken, check.Name)
				if observed == "" {
					observed = check.Observed
				}
			}
		}
		if strings.Join(broken, ",") != c.broken || report.Passed != c.passed || observed != c.observed {
			t.Errorf("%q: broken %v passed %v observed %q, want %s %v %q", c.text, broken, report.Passed, observed, c.broken, c.passed, c.observed)
		}
		if report.Passed == (report.Errors > 0) || report.Errors+report.Warnings != len(broken) {
			t.Errorf("%q: %d errors and %d warnings for %v", c.text, report.Errors, report.Warnings, broken)
		}
	}
	report, _ = read(t, "x,s\n1,a\n-2,b\n3,b\n6,b\n").Validate(suite)
	if c := report.Checks[2]; c.Failing != 2 || c.FirstRow != 2 || c.Expected != "every value from 0 to 5" {
		t.Errorf("between: %+v", c)
	}
}

// Two columns must not be glued together: ("ab","c") and ("a","bc") are different rows.
func TestUniqueColumnsDoesNotGlue(t *testing.T) {
	suite := &Suite{Expectations: []Expectation{{Name: "u", Kind: UniqueColumns, Columns: []string{"p", "q"}}}}
	report, err := read(t, "p,q\nab,c\na,bc\n").Validate(suite)
	if err != nil || !report.Passed {
		t.Errorf("%+v %v", report, err)
	}
}

func TestReportDoesNotQuoteCells(t *testing.T) {
	suite := &Suite{Expectations: []Expectation{{Name: "known", Kind: InSet, Column: "s", Values: []string{"a"}}}}
	report, err := read(t, "x,s\n1,secret-person\n").Validate(suite)
	if err != nil || report.Passed {
		t.Fatalf("%+v %v", report, err)
	}
	if c := report.Checks[0]; strings.Contains(c.Observed+c.Expected, "secret") {
		t.Errorf("a cell is quoted: %+v", c)
	}
}

func TestSuiteRefuses(t *testing.T) {
	table := read(t, "x,s\n1,a\n")
	for _, c := range []struct{ item, want string }{
		{"{name: a, kind: nothing}", `kind "nothing" is unknown`},
		{"{name: a, kind: not_null}", "column is missing"},
		{"{name: a, kind: not_null, column: z}", `there is no column "z"`},
		{"{name: a, kind: not_null, column: x, max: 1}", "max does not apply"},
		{"{name: a, kind: between, column: x}", "min and max are both missing"},
		{"{name: a, kind: between, column: s, min: 1}", "is categorical"},
		{"{name: a, kind: between, column: x, min: 2, max: 1}", "min 2 is above max 1"},
		{"{name: a, kind: between, column: x, min: .inf}", "finite"},
		{"{name: a, kind: in_set, column: x, values: [q]}", "is numeric"},
		{"{name: a, kind: in_set, column: s}", "values is missing"},
		{"{name: a, kind: unique_columns, columns: [x, x]}", "listed twice"},
		{"{name: a, kind: category_share_at_least, column: s, min: 0.1}", "category is missing"},
		{"{name: a, kind: row_count_between, min: 1, severity: fatal}", `severity "fatal"`},
		{"{name: a, kind: row_count_between, min: 1, note: x}", "note"},
		{"{kind: row_count_between, min: 1}", "the name is empty"},
	} {
		suite, err := ParseSuite([]byte("expectations:\n  - " + c.item))
		if err == nil {
			_, err = table.Validate(suite)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.item, err, c.want)
		}
	}
	if _, err := ParseSuite([]byte("expectations: []")); err == nil {
		t.Error("an empty suite was accepted")
	}
}
