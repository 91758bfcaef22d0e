package evaluate

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// near fails when got is further than tol from want.
func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s = %.9f, want %.9f ± %g", what, got, want, tol)
	}
}

func readCSV(t *testing.T, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]map[string]string, 0, len(all)-1)
	for _, rec := range all[1:] {
		row := map[string]string{}
		for j, name := range all[0] {
			row[name] = rec[j]
		}
		out = append(out, row)
	}
	return out
}

func hmda(t *testing.T) []map[string]string {
	return readCSV(t, filepath.Join("..", "..", "examples", "lending", "hmda_boston_1990.csv"))
}

// testData is the folder named by AFFIDAVIT_TESTDATA, or skips.
func testData(t *testing.T) string {
	dir := os.Getenv("AFFIDAVIT_TESTDATA")
	if dir == "" {
		t.Skip("AFFIDAVIT_TESTDATA is not set: it names the folder that holds data/ with the larger public data sets")
	}
	return dir
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// hmdaModel fits the full logit (13 columns) and returns its scores, labels, inputs and a scorer of the same model. It
// uses race and marital status as inputs because the published figures do; the protected flip test needs them too.
func hmdaModel(t *testing.T) (Input, []float64) {
	t.Helper()
	rows := hmda(t)
	cols := []string{"pirat", "hirat", "lvrat", "chist", "mhist", "phist", "unemp", "selfemp", "insurance", "condomin", "afam", "single", "hschool"}
	numeric := map[string]bool{"pirat": true, "hirat": true, "lvrat": true, "chist": true, "mhist": true, "unemp": true}
	in := Input{Table: &Table{}, Attributes: []Attribute{{Name: "afam"}, {Name: "single"}}}
	for _, c := range cols {
		kind := Categorical
		if numeric[c] {
			kind = Numeric
		}
		in.Table.Columns = append(in.Table.Columns, Column{Name: c, Kind: kind, Protected: c == "afam" || c == "single"})
	}
	var x [][]float64
	for _, r := range rows {
		cells, xi := []Cell{}, []float64{1}
		for _, c := range cols {
			if numeric[c] {
				cells, xi = append(cells, Cell{Number: number(t, r[c])}), append(xi, number(t, r[c]))
			} else {
				cells, xi = append(cells, Cell{Text: r[c]}), append(xi, indicator(r[c] == "yes"))
			}
		}
		in.Table.Rows, x = append(in.Table.Rows, cells), append(x, xi)
		in.Labels = append(in.Labels, r["deny"] == "yes")
		in.Attributes[0].Values = append(in.Attributes[0].Values, r["afam"])
		in.Attributes[1].Values = append(in.Attributes[1].Values, r["single"])
	}
	beta, _, err := FitLogistic(x, in.Labels, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	in.Scorer = func(rows [][]Cell) ([]float64, error) {
		out := make([]float64, len(rows))
		for i, r := range rows {
			m := beta[0]
			for j, c := range r {
				switch {
				case c.Missing:
				case numeric[cols[j]]:
					m += beta[j+1] * c.Number
				case c.Text == "yes":
					m += beta[j+1]
				}
			}
			out[i] = sigmoid(m)
		}
		return out, nil
	}
	in.Scores, err = in.Scorer(in.Table.Rows)
	if err != nil {
		t.Fatal(err)
	}
	return in, beta
}

// Stock and Watson's regressions on the same rows, recomputed with R's glm.
func TestLogisticMatchesPublishedCoefficients(t *testing.T) {
	var x [][]float64
	var y []bool
	for _, r := range hmda(t) {
		x = append(x, []float64{1, number(t, r["pirat"]), indicator(r["afam"] == "yes")})
		y = append(y, r["deny"] == "yes")
	}
	beta, se, err := FitLogistic(x, y, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for j, want := range []float64{-4.1256, 5.3704, 1.2728} {
		near(t, "coefficient", beta[j], want, 6e-5)
	}
	if se[2] < .14 || se[2] > .16 {
		t.Errorf("standard error of afam %v, published .146", se[2])
	}
	in, full := hmdaModel(t)
	auc, _ := AUC(in.Scores, in.Labels)
	near(t, "full logit AUC", auc, .8306, 6e-5)
	if len(full) != 14 {
		t.Fatalf("%d coefficients", len(full))
	}
	aic := 28.0
	for i, s := range in.Scores {
		p := s
		if !in.Labels[i] {
			p = 1 - s
		}
		aic -= 2 * math.Log(p)
	}
	near(t, "AIC", aic, 1293.544, 6e-4)
}

func TestGermanGoodRates(t *testing.T) {
	rows := readCSV(t, filepath.Join(testData(t), "data", "german_credit.csv"))
	in := Input{Attributes: []Attribute{{Name: "sex"}, {Name: "age"}}}
	for _, r := range rows {
		band := "over 25"
		if number(t, r["age"]) <= 25 {
			band = "25 or younger"
		}
		in.Attributes[0].Values = append(in.Attributes[0].Values, r["sex"])
		in.Attributes[1].Values = append(in.Attributes[1].Values, band)
		in.Labels = append(in.Labels, r["credit_risk"] == "good")
		in.Scores = append(in.Scores, indicator(r["credit_risk"] == "good"))
	}
	rep, err := Evaluate(in, Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[string]float64{{"female": .64839, "male": .72319}, {"over 25": .72840, "25 or younger": .57895}} {
		for _, g := range rep.Fairness.Attributes[i].Groups {
			near(t, g.Group, g.Observed.Value, want[g.Group], 6e-6)
		}
	}
}
