package evaluate

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// twoModels draws outcomes from p; the first model sees p with much noise, the second with little.
func twoModels(rng *rand.Rand, n int) Pair {
	p := Pair{ChampionCut: .5, ChallengerCut: .5}
	noisy := func(m, sd float64) float64 { return sigmoid(m + sd*rng.NormFloat64()) }
	for i := 0; i < n; i++ {
		m := 1.5 * rng.NormFloat64()
		p.Labels = append(p.Labels, rng.Float64() < sigmoid(m))
		p.Champion, p.Challenger = append(p.Champion, noisy(m, 2)), append(p.Challenger, noisy(m, .3))
	}
	return p
}

func TestCompare(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 1))
	p := twoModels(rng, 2000)
	c, err := Compare(p)
	if err != nil {
		t.Fatal(err)
	}
	if c.Standing != Superior || *c.AUCP > 1e-6 || c.BrierDifference.High > 0 || c.LogLossDifference.High > 0 || c.Fixed <= c.Broken || *c.McNemarP > .01 {
		t.Errorf("%+v", c)
	}
	if c.NewlySelected+c.NoLongerSelected != c.Fixed+c.Broken {
		t.Error("changed decisions are fixed or broken")
	}
	near(t, "difference", c.AUCDifference.Value, c.ChallengerAUC.Value-c.ChampionAUC.Value, 1e-12)
	// The paired interval against a row bootstrap.
	var draws []float64
	for b := 0; b < 200; b++ {
		q := Pair{ChampionCut: .5, ChallengerCut: .5}
		for range p.Labels {
			i := rng.IntN(len(p.Labels))
			q.Labels, q.Champion, q.Challenger = append(q.Labels, p.Labels[i]), append(q.Champion, p.Champion[i]), append(q.Challenger, p.Challenger[i])
		}
		a, _ := AUC(q.Challenger, q.Labels)
		b, _ := AUC(q.Champion, q.Labels)
		draws = append(draws, a-b)
	}
	sd := math.Sqrt(covariance(draws, draws))
	near(t, "half width", (c.AUCDifference.High-c.AUCDifference.Low)/2, 1.96*sd, .25*sd*1.96)
	p.Champion, p.Challenger = p.Challenger, p.Champion
	if c, _ = Compare(p); c.Standing != Inferior {
		t.Errorf("swapped: %s", c.Standing)
	}
	p.Champion = p.Challenger
	if c, _ = Compare(p); c.Standing != NonInferior || c.AUCP != nil || c.McNemarP != nil || c.Changed.Value != 0 {
		t.Errorf("the same model: %+v", c)
	}
	few := twoModels(rng, 40)
	few.Challenger = few.Champion[:39]
	if _, err = Compare(few); err == nil || !strings.Contains(err.Error(), "challenger") {
		t.Errorf("lengths: %v", err)
	}
}

func TestMcNemarExact(t *testing.T) {
	// 2·P(X ≤ 2) for 12 fair coins: 2·(1 + 12 + 66)/4096.
	near(t, "2 against 10", *mcNemar(2, 10), 2*79.0/4096, 1e-12)
	near(t, "even", *mcNemar(5, 5), 1, 0)
}

func TestEdgeCases(t *testing.T) {
	red, blue, half, minus := "red", "blue", .5, -.1
	in := line(500)
	cases := []Case{
		{Name: "colour is ignored", Kind: Invariance, Changes: []Change{{Column: "colour", SetText: &blue}}},
		{Name: "less x, less score", Kind: Directional, Direction: -1, Changes: []Change{{Column: "x", Add: &minus}}},
		{Name: "less x, more score", Kind: Directional, Direction: 1, Changes: []Change{{Column: "x", Add: &minus}}},
		{Name: "red half", Kind: MinimumFunctionality, AtLeast: .79, AtMost: .81, Changes: []Change{{Column: "x", SetNumber: &half}, {Column: "colour", SetText: &red}}},
		{Name: "blue half", Kind: MinimumFunctionality, AtLeast: .79, AtMost: .81, Changes: []Change{{Column: "x", SetNumber: &half}, {Column: "colour", Missing: true}}},
	}
	rep, err := Evaluate(in, Config{Cases: cases})
	if err != nil {
		t.Fatal(err)
	}
	got := rep.Robustness.Cases
	for i, want := range []bool{false, true, false, true, false} {
		if got[i].Holds != want {
			t.Errorf("%s: %+v", cases[i].Name, got[i])
		}
	}
	near(t, "worst by colour", got[0].Worst, .3, 1e-12)
	near(t, "score of the red half", *got[3].Score, .8, 1e-12)
	for want, c := range map[string]Case{
		"cases[0]":      {Kind: Invariance},
		"changes":       {Name: "c", Kind: Invariance},
		"kind":          {Name: "c", Changes: []Change{{Column: "x"}}},
		"direction":     {Name: "c", Kind: Directional, Changes: []Change{{Column: "x"}}},
		"atLeast":       {Name: "c", Kind: MinimumFunctionality, AtLeast: 2, Changes: []Change{{Column: "x"}}},
		"not an input":  {Name: "c", Kind: Invariance, Changes: []Change{{Column: "y", Missing: true}}},
		"exactly one":   {Name: "c", Kind: Invariance, Changes: []Change{{Column: "x", Missing: true, Add: &half}}},
		"changes[x]: g": {Name: "c", Kind: Invariance, Changes: []Change{{Column: "x", SetText: &red}}},
	} {
		if _, err := Evaluate(in, Config{Cases: []Case{c}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	in.Scorer, in.Table = nil, nil
	if _, err := Evaluate(in, Config{Cases: cases}); err == nil || !strings.Contains(err.Error(), "scorer") {
		t.Errorf("cases without a model: %v", err)
	}
}

func TestBands(t *testing.T) {
	got, err := Bands([]float64{18, 25, 25.5, 60, 61, math.NaN()}, []float64{25, 60})
	if err != nil || strings.Join(got, "|") != "≤ 25|≤ 25|> 25 to 60|> 25 to 60|> 60|" {
		t.Errorf("%q %v", got, err)
	}
	if _, err = Bands(nil, []float64{2, 1}); err == nil {
		t.Error("falling cuts accepted")
	}
	in := Input{Attributes: []Attribute{{Name: "age"}}}
	for i := 0; i < 200; i++ {
		in.Scores, in.Labels = append(in.Scores, .5), append(in.Labels, i%2 == 0)
		in.Attributes[0].Values = append(in.Attributes[0].Values, strings.Repeat("x", i))
	}
	if _, err = Evaluate(in, Config{}); err == nil || !strings.Contains(err.Error(), "attributes[age]") {
		t.Errorf("a number as group: %v", err)
	}
}

// Hostile but valid shapes: constant scores, scores of 0 and 1, one row of a class, nobody selected, one group only.
func TestDegenerateInputs(t *testing.T) {
	many := func(n int, f func(int) (float64, bool)) Input {
		in := Input{Attributes: []Attribute{{Name: "g"}, {Name: "h"}}}
		for i := 0; i < n; i++ {
			s, y := f(i)
			in.Scores, in.Labels = append(in.Scores, s), append(in.Labels, y)
			in.Attributes[0].Values = append(in.Attributes[0].Values, []string{"a", "b", ""}[i%3])
			in.Attributes[1].Values = append(in.Attributes[1].Values, "only")
		}
		return in
	}
	for name, in := range map[string]Input{
		"constant":     many(200, func(i int) (float64, bool) { return .3, i%4 == 0 }),
		"perfect":      many(200, func(i int) (float64, bool) { return indicator(i%2 == 0), i%2 == 0 }),
		"always wrong": many(200, func(i int) (float64, bool) { return indicator(i%2 == 1), i%2 == 0 }),
		"one positive": many(200, func(i int) (float64, bool) { return float64(i) / 200, i == 50 }),
		"two rows":     many(2, func(i int) (float64, bool) { return .5, i == 0 }),
		"nobody":       many(300, func(i int) (float64, bool) { return .01 * float64(i%7), i%5 == 0 }),
	} {
		for _, fav := range []Favourable{PredictedPositive, PredictedNegative} {
			rep, err := Evaluate(in, Config{Favourable: fav, Replicates: 100})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if _, err := json.Marshal(rep); err != nil {
				t.Errorf("%s: a value is not a number: %v", name, err)
			}
			for _, m := range rep.Metrics() {
				if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) || m.Unit == "" || m.Better == "" {
					t.Errorf("%s: %+v", name, m)
				}
			}
			if name == "nobody" && fav == PredictedPositive {
				if a := rep.Fairness.Attributes[0]; a.ImpactRatio != nil || a.Verdict != Insufficient {
					t.Errorf("nobody selected: %+v", a)
				}
			}
		}
	}
}

// Row order must not change what is measured on all rows, and a copy of the input is left as it was.
func TestOrderAndPurity(t *testing.T) {
	in, _ := hmdaModel(t)
	in.Table, in.Scorer = nil, nil
	before, _ := json.Marshal(in.Scores)
	one, err := Evaluate(in, Config{Replicates: 100})
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := json.Marshal(in.Scores); !bytes.Equal(before, after) {
		t.Error("the caller's scores were changed")
	}
	back := Input{Attributes: []Attribute{{Name: "afam"}, {Name: "single"}}}
	for i := len(in.Scores) - 1; i >= 0; i-- {
		back.Scores, back.Labels = append(back.Scores, in.Scores[i]), append(back.Labels, in.Labels[i])
		for k := range back.Attributes {
			back.Attributes[k].Values = append(back.Attributes[k].Values, in.Attributes[k].Values[i])
		}
	}
	two, err := Evaluate(back, Config{Replicates: 100})
	if err != nil {
		t.Fatal(err)
	}
	for k, m := range one.Metrics() {
		near(t, m.Name, two.Metrics()[k].Value, m.Value, 1e-9)
	}
}
