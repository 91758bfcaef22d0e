package monitor

import (
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// labelled draws calibrated scores and their outcomes, the scores then twisted.
func labelled(t *testing.T, r Reference, rng *rand.Rand, n, labels int, twist func(float64) float64) (Window, []float64, []bool) {
	t.Helper()
	c, err := r.Counter()
	if err != nil {
		t.Fatal(err)
	}
	var ss []float64
	var ys []bool
	for i := 0; i < n; i++ {
		p := rng.Float64() * rng.Float64()
		y, s := rng.Float64() < p, twist(p)
		if err := c.Row(time.Time{}, []Value{{Number: s}}); err != nil {
			t.Fatal(err)
		}
		c.Score(s)
		ss, ys = append(ss, s), append(ys, y)
		if i < labels {
			if err := c.Label(s, y); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c.Window(), ss, ys
}

func scoreReference(t *testing.T, b Baseline) Reference {
	rng := rand.New(rand.NewPCG(8, 8))
	rows := [][]Value{}
	for i := 0; i < 5000; i++ {
		rows = append(rows, []Value{{Number: rng.Float64() * rng.Float64()}})
	}
	return reference(t, []Spec{{"score", Numeric}}, rows, Options{Baseline: &b})
}

func same(p float64) float64 { return p }

func TestPerformanceAgainstDefinitions(t *testing.T) {
	r := scoreReference(t, Baseline{Threshold: .4, AUC: .75, Brier: .14, SelectionRate: .23, Slope: 1})
	rng := rand.New(rand.NewPCG(9, 9))
	w, s, y := labelled(t, r, rng, 3000, 3000, same)
	v := assess(t, r, w, 0, Policy{}).Performance
	pairs, wins, brier, right, selected, expBrier, expRight := 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
	for i := range s {
		hit := 0.0
		if y[i] {
			hit = 1
		}
		brier += (s[i] - hit) * (s[i] - hit)
		expBrier += s[i] * (1 - s[i])
		expRight += math.Max(s[i], 1-s[i])
		if s[i] >= .4 {
			selected++
			// Between .4 and .5 selecting is the less likely of the two to be right.
			expRight += s[i] - math.Max(s[i], 1-s[i])
		}
		if (s[i] >= .4) == y[i] {
			right++
		}
		for j := range s {
			if y[i] && !y[j] {
				pairs++
				switch {
				case s[i] > s[j]:
					wins++
				case s[i] == s[j]:
					wins += .5
				}
			}
		}
	}
	near(t, "AUC of the histogram", v.AUC.Value, wins/pairs, .001)
	near(t, "Brier", v.Brier.Value, brier/3000, 1e-6)
	near(t, "accuracy", v.Accuracy.Value, right/3000, 1e-12)
	near(t, "selection rate", v.SelectionRate.Value, selected/3000, 1e-12)
	near(t, "estimated Brier", *v.EstimatedBrier, expBrier/3000, 1e-6)
	near(t, "estimated accuracy", *v.EstimatedAcc, expRight/3000, 1e-6)
	// The scores are the true probabilities, so the label-free estimates hold.
	near(t, "estimated AUC", *v.EstimatedAUC, v.AUC.Value, 3*(v.AUC.High-v.AUC.Low)/4)
	if v.Verdict != Stable || len(v.Reconciled) != 4 {
		t.Errorf("%s, reconciled %+v", v.Verdict, v.Reconciled)
	}
}

// DeLong's error on the histogram covers: over many windows the interval holds the mean about as often as it says.
func TestAUCIntervalCovers(t *testing.T) {
	r := scoreReference(t, Baseline{Threshold: .4, Slope: 1})
	rng := rand.New(rand.NewPCG(10, 10))
	var all []Estimate
	sum := 0.0
	for k := 0; k < 300; k++ {
		w, _, _ := labelled(t, r, rng, 400, 400, same)
		e := *assess(t, r, w, 0, Policy{}).Performance.AUC
		all = append(all, e)
		sum += e.Value / 300
	}
	held := 0
	for _, e := range all {
		if e.Low <= sum && sum <= e.High {
			held++
		}
	}
	if held < 270 || held > 297 {
		t.Errorf("95 %% intervals held %d times in 300", held)
	}
}

func TestBreachAndEstimate(t *testing.T) {
	base := Baseline{Threshold: .4, AUC: .75, Brier: .14, SelectionRate: .23, Slope: 1}
	r := scoreReference(t, base)
	rng := rand.New(rand.NewPCG(11, 11))
	scramble := func(float64) float64 { return rng.Float64() * rng.Float64() }
	w, _, _ := labelled(t, r, rng, 3000, 3000, scramble)
	a := assess(t, r, w, 0, Policy{})
	if a.Drift != Stable || a.Verdict != Retrain || a.Performance.Verdict != Retrain {
		t.Errorf("same inputs, useless scores: drift %s, verdict %s, %q", a.Drift, a.Verdict, a.Reasons)
	}
	for _, g := range a.Performance.Reconciled {
		if g.Metric == "auc" && (g.Held || g.Gap > -.1) {
			t.Errorf("the estimate cannot know that the scores became useless: %+v", g)
		}
	}
	// Few labels: nothing is judged, and the estimate says nothing is wrong.
	w, _, _ = labelled(t, r, rng, 3000, 30, scramble)
	if a = assess(t, r, w, 0, Policy{}); a.Performance.Verdict != Insufficient || a.Performance.Reconciled == nil {
		t.Errorf("30 labels: %+v", a.Performance)
	}
	// Scores all near the base rate: the estimate alone sees the loss of separation, which is a watch, not a breach.
	w, _, _ = labelled(t, r, rng, 3000, 0, func(p float64) float64 { return .25 + .05*p })
	if a = assess(t, r, w, 0, Policy{}); a.Performance.Verdict != Watch {
		t.Errorf("flat scores without labels: %s %q", a.Performance.Verdict, a.Performance.Reasons)
	}
	// A jump of the selection rate is judged without labels when the policy says so.
	w, _, _ = labelled(t, r, rng, 3000, 0, func(p float64) float64 { return math.Min(1, p+.3) })
	if a = assess(t, r, w, 0, Policy{MaxRateShift: .1}); a.Performance.Verdict != Retrain {
		t.Errorf("selection rate %+v: %s", a.Performance.SelectionRate, a.Performance.Verdict)
	}
	c, _ := r.Counter()
	c.Score(math.NaN())
	c.Score(1.2)
	if w = c.Window(); w.Performance.Invalid != 2 || w.Performance.Scored != 0 {
		t.Errorf("%+v", w.Performance)
	}
}

func TestRecalibratedEstimate(t *testing.T) {
	// Scores are overconfident by a factor 2 in log-odds; the baseline knows it, so slope ½ undoes it.
	r := scoreReference(t, Baseline{Threshold: .4, AUC: .75, Brier: .2, Slope: .5})
	rng := rand.New(rand.NewPCG(12, 12))
	w, _, _ := labelled(t, r, rng, 5000, 5000, func(p float64) float64 {
		p = math.Min(1-1e-9, math.Max(1e-9, p))
		return 1 / (1 + math.Exp(-2*(math.Log(p)-math.Log1p(-p))))
	})
	v := assess(t, r, w, 0, Policy{}).Performance
	for _, g := range v.Reconciled {
		if math.Abs(g.Gap) > .02 {
			t.Errorf("%s: off by %.3f", g.Metric, g.Gap)
		}
	}
}

func ages(t *testing.T, file, column, by string) map[string][][]Value {
	t.Helper()
	dir := os.Getenv("AFFIDAVIT_TESTDATA")
	if dir == "" {
		t.Skip("AFFIDAVIT_TESTDATA is not set: it names the folder that holds data/ with the larger public data sets")
	}
	f, err := os.Open(filepath.Join(dir, "data", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for j, name := range all[0] {
		at[name] = j
	}
	out := map[string][][]Value{}
	for _, rec := range all[1:] {
		v, err := strconv.ParseFloat(rec[at[column]], 64)
		if err != nil {
			t.Fatal(err)
		}
		out[rec[at[by]]] = append(out[rec[at[by]]], []Value{{Number: v}})
	}
	return out
}

func TestBankDrift(t *testing.T) {
	years := ages(t, "bank_marketing_full.csv", "age", "contact_year")
	for _, c := range []struct {
		bins     int
		y09, y10 float64
		tol      float64
	}{{10, .0895, .3773, 5e-5}, {20, .129, .591, 5e-4}} {
		r := reference(t, []Spec{{"age", Numeric}}, years["2008"], Options{Bins: c.bins})
		a09 := assess(t, r, window(t, r, years["2009"]), 0, Policy{})
		a10 := assess(t, r, window(t, r, years["2010"]), a09.ConsecutiveAlerts, Policy{})
		near(t, "age 2009", a09.Features[0].PSI, c.y09, c.tol)
		near(t, "age 2010", a10.Features[0].PSI, c.y10, c.tol)
		if a09.Verdict != Alert || a10.Verdict != Retrain {
			t.Errorf("%d bins: %s then %s", c.bins, a09.Verdict, a10.Verdict)
		}
	}
}

// The control: no drift to speak of, though with 70,000 rows any difference is significant.
func TestCensusControl(t *testing.T) {
	was := ages(t, "acs_ma_employment_2015.csv", "agep", "year")["2015"]
	now := ages(t, "acs_ma_employment_2018.csv", "agep", "year")["2018"]
	r := reference(t, []Spec{{"agep", Numeric}}, was, Options{Bins: 10})
	a := assess(t, r, window(t, r, now), 0, Policy{})
	near(t, "age", a.Features[0].PSI, .0031, 5e-5)
	if a.Verdict != Watch {
		t.Errorf("verdict %s, q %v", a.Verdict, a.Features[0].Q)
	}
}
