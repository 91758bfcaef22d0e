package evaluate

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// line is a model with one numeric and one categorical input: score = clamp(x), +.3 for colour red. It refuses NaN and
// unseen colours row by row, and infinities by an error.
func line(n int) Input {
	in := Input{Table: &Table{Columns: []Column{{Name: "x", Kind: Numeric}, {Name: "colour", Kind: Categorical}}}}
	rng := newSource(11, "line")
	for i := 0; i < n; i++ {
		colour := "blue"
		if rng.uniform() < .3 {
			colour = "red"
		}
		x := rng.uniform()
		in.Table.Rows = append(in.Table.Rows, []Cell{{Number: x}, {Text: colour}})
		in.Labels = append(in.Labels, rng.uniform() < x)
	}
	in.Scorer = func(rows [][]Cell) ([]float64, error) {
		out := make([]float64, len(rows))
		for i, r := range rows {
			switch {
			case math.IsInf(r[0].Number, 0):
				return nil, errors.New("x: infinite")
			case math.IsNaN(r[0].Number) || (!r[1].Missing && r[1].Text != "blue" && r[1].Text != "red"):
				out[i] = math.NaN()
			default:
				out[i] = math.Min(1, math.Max(0, r[0].Number+.3*indicator(r[1].Text == "red")))
			}
		}
		return out, nil
	}
	in.Scores, _ = in.Scorer(in.Table.Rows)
	return in
}

func TestRobustnessOfAKnownModel(t *testing.T) {
	in := line(3000)
	rep, err := Evaluate(in, Config{Monotone: []Monotone{{"x", 1}, {"x", -1}}, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Perturbation{}
	last := -1.0
	for _, p := range rep.Robustness.Perturbations {
		got[p.Name] = p
		if p.Name == "noise" {
			if p.FlipRate.Value < last {
				t.Errorf("more noise, fewer flips: %+v", p)
			}
			last = p.FlipRate.Value
			// x is uniform, so P(flip) under noise of sd s is about density·s·E|N|, density 1 at the cut for both colours.
			want := p.Level / math.Sqrt(12) * math.Sqrt(2/math.Pi)
			if want < p.FlipRate.Low-.01 || want > p.FlipRate.High+.01 {
				t.Errorf("noise %g: flip rate %+v, theory %.4f", p.Level, p.FlipRate, want)
			}
		}
	}
	if p := got["infinite"]; p.Status != Refused || !strings.Contains(p.Note, "infinite") || p.FlipRate != nil {
		t.Errorf("a refused batch: %+v", p)
	}
	for _, name := range []string{"nan", "unseen_category"} {
		if p := got[name]; p.RefusedRows != 3000 || p.Scored != 0 || p.FlipRate != nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if p := got["protected_flip"]; p.Status != NotApplicable || p.Note == "" {
		t.Errorf("no protected input: %+v", p)
	}
	if p := got["out_of_range"]; p.AUCLoss == nil || p.AUCLoss.Low < .2 {
		t.Errorf("replacing x by extremes must destroy the ranking: %+v", p.AUCLoss)
	}
	m := rep.Robustness.Monotonicity
	if !m[0].Holds || m[1].Holds || m[1].Violations == 0 {
		t.Errorf("monotone: %+v", m)
	}
	// The nearest flip of a blue row is |x − .5| / sd exactly; the median is over rows of both colours.
	f := rep.Robustness.NearestFlips[0]
	rows := newSource(3, "nearest-flip").sample(3000, flipRows)
	_, sd, _, _, _ := in.Table.numberStats(0)
	var want []float64
	for _, i := range rows {
		if d := math.Abs(in.Table.Rows[i][0].Number+.3*indicator(in.Table.Rows[i][1].Text == "red")-.5) / sd; d <= 3 {
			want = append(want, d)
		}
	}
	if f.Flipped != len(want) {
		t.Errorf("%d rows flip within 3 sd, want %d", f.Flipped, len(want))
	}
	near(t, "lowest flip", *f.Lowest, least(want), 2e-4)
}

func least(x []float64) float64 {
	m := math.Inf(1)
	for _, v := range x {
		m = math.Min(m, v)
	}
	return m
}

func TestScorerMustBeTheModel(t *testing.T) {
	in := line(50)
	in.Scores[7] = 1 - in.Scores[7]
	if _, err := Evaluate(in, Config{}); err == nil || !strings.Contains(err.Error(), "scores[7]") {
		t.Errorf("another model's scores were accepted: %v", err)
	}
	in = line(50)
	if _, err := Evaluate(in, Config{Monotone: []Monotone{{"colour", 1}}}); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("monotone on text: %v", err)
	}
}

// Inputs that know nothing of the attribute give about ½ and no proxy; the verdict must be able to say no.
func TestProxyOfAnUnrelatedAttribute(t *testing.T) {
	in := line(2000)
	rng := newSource(8, "unrelated")
	a := Attribute{Name: "coin"}
	b := Attribute{Name: "half of x"}
	for i := range in.Scores {
		a.Values = append(a.Values, []string{"h", "t"}[rng.below(2)])
		b.Values = append(b.Values, []string{"low", "high"}[int(indicator(in.Table.Rows[i][0].Number > .5))])
	}
	in.Attributes = []Attribute{a, b}
	rep, err := Evaluate(in, Config{Seed: 5, NoIntersection: true, Replicates: 100})
	if err != nil {
		t.Fatal(err)
	}
	coin, half := rep.Proxy[0], rep.Proxy[1]
	if coin.IsProxy || coin.Inputs.Low > .5 || coin.Score.Low > .5+.02 {
		t.Errorf("a coin was called predictable: %+v %+v", coin.Score, coin.Inputs)
	}
	if !half.IsProxy || half.Inputs.Value < .99 || half.Strongest[0].Input != "x" {
		t.Errorf("a function of x was not found: %+v", half)
	}
}
