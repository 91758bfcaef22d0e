package dataset

import (
	"bytes"
	"math"
	"testing"

	data "affidavit/examples/lending"
)

// The published deny rates by race of the Boston data: 96/339 and 189/2041.
func TestLabelRatesOfTheLendingData(t *testing.T) {
	schema, err := ParseSchema(data.Schema)
	if err != nil {
		t.Fatal(err)
	}
	table, err := ReadCSV(bytes.NewReader(data.CSV), schema, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	rates, err := table.LabelRates("deny", "yes")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		rows, positive int
		rate           float64
	}{"afam no": {2041, 189, .09260}, "afam yes": {339, 96, .28319}}
	for _, r := range rates {
		if w, ok := want[r.Column+" "+r.Group]; ok {
			if r.Rows != w.rows || r.Positive != w.positive || math.Abs(r.Rate-w.rate) > 5e-6 {
				t.Errorf("%+v, want %+v", r, w)
			}
			delete(want, r.Column+" "+r.Group)
		}
	}
	if len(want) > 0 || len(rates) != 4 {
		t.Errorf("missing %v in %+v", want, rates)
	}
	suite, err := ParseSuite(data.Expectations)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := table.Validate(suite)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rep.Checks {
		if !c.Passed {
			t.Errorf("%+v", c)
		}
	}
	if _, err := table.LabelRates("pirat", "yes"); err == nil {
		t.Error("a numeric label was accepted")
	}
}
