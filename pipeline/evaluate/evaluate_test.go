package evaluate

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// expand turns confusion counts into rows of one group, scores 0.9 and 0.1.
func expand(in *Input, group string, tn, fp, fn, tp int) {
	add := func(n int, s float64, y bool) {
		for ; n > 0; n-- {
			in.Scores, in.Labels = append(in.Scores, s), append(in.Labels, y)
			in.Attributes[0].Values = append(in.Attributes[0].Values, group)
		}
	}
	add(tn, .1, false)
	add(fp, .9, false)
	add(fn, .1, true)
	add(tp, .9, true)
}

func compas() Input {
	in := Input{Attributes: []Attribute{{Name: "race"}}}
	expand(&in, "Black", 990, 805, 532, 1369)
	expand(&in, "White", 1139, 349, 461, 505)
	return in
}

// The published COMPAS table: every disparity of the design's check line.
func TestCOMPAS(t *testing.T) {
	rep, err := Evaluate(compas(), Config{Favourable: PredictedNegative, Replicates: 500, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	a := rep.Fairness.Attributes[0]
	near(t, "selection Black", a.Groups[0].SelectionRate.Value, .588203, 5e-7)
	near(t, "selection White", a.Groups[1].SelectionRate.Value, .348003, 5e-7)
	near(t, "DPD", a.SelectionDifference.Value, .240200, 5e-7)
	near(t, "DPR", a.SelectionRatio.Value, .591638, 5e-7)
	near(t, "EO difference", a.EqualizedOdds.Difference.Value, .213925, 5e-7)
	near(t, "EO ratio", a.EqualizedOdds.Ratio.Value, .522987, 5e-7)
	near(t, "impact ratio", a.ImpactRatio.Value, .631593, 5e-7)
	if a.Verdict != Fail || a.Reference != "White" || a.Least != "Black" || a.FisherP != nil {
		t.Errorf("verdict %s, reference %s, least %s, fisher %v", a.Verdict, a.Reference, a.Least, a.FisherP)
	}
	// Newcombe's interval by the textbook formula, written out with these numbers: rates 2174/3696 and 854/2454.
	z := 1.959963984540054
	bound := func(x, n, sign float64) float64 {
		return (2*x + z*z + sign*z*math.Sqrt(z*z+4*x*(1-x/n))) / (2 * (n + z*z))
	}
	l1, u1, l2, u2 := bound(2174, 3696, -1), bound(2174, 3696, 1), bound(854, 2454, -1), bound(854, 2454, 1)
	p1, p2 := 2174.0/3696, 854.0/2454
	near(t, "Newcombe low", a.SelectionDifference.Low, p1-p2-math.Sqrt((p1-l1)*(p1-l1)+(u2-p2)*(u2-p2)), 1e-9)
	near(t, "Newcombe high", a.SelectionDifference.High, p1-p2+math.Sqrt((u1-p1)*(u1-p1)+(p2-l2)*(p2-l2)), 1e-9)
	se := math.Sqrt(1.0/1522 - 1.0/3696 + 1.0/1600 - 1.0/2454)
	near(t, "ratio high", a.ImpactRatio.High, a.ImpactRatio.Value*math.Exp(z*se), 1e-9)
	// The bootstrap against the normal approximation. (The maximum of ΔTPR .1974 and ΔFPR .2139 is not normal.)
	fp1, fp2 := 805.0/1795, 349.0/1488
	sd := math.Sqrt(fp1*(1-fp1)/1795 + fp2*(1-fp2)/1488)
	near(t, "FPR difference low", a.EqualizedOdds.FPRDifference.Low, fp1-fp2-z*sd, .006)
	near(t, "FPR difference high", a.EqualizedOdds.FPRDifference.High, fp1-fp2+z*sd, .006)
}

// The example of Fairlearn's user guide, 18 rows in three groups.
func TestFairlearnExample(t *testing.T) {
	yTrue := "011110101000111111"
	yPred := "001011100111100110"
	group := "bbabbcccaacabccbcc"
	in := Input{Attributes: []Attribute{{Name: "group"}}}
	for i := range yTrue {
		in.Labels = append(in.Labels, yTrue[i] == '1')
		in.Scores = append(in.Scores, float64(yPred[i]-'0'))
		in.Attributes[0].Values = append(in.Attributes[0].Values, group[i:i+1])
	}
	rep, err := Evaluate(in, Config{MinGroup: 1, SuppressBelow: 1})
	if err != nil {
		t.Fatal(err)
	}
	a := rep.Fairness.Attributes[0]
	for i, want := range []float64{.75, .5, .5} {
		near(t, "selection", a.Groups[i].SelectionRate.Value, want, 1e-12)
	}
	near(t, "DP difference", a.SelectionDifference.Value, .25, 1e-12)
	near(t, "DP ratio", a.SelectionRatio.Value, 2.0/3, 1e-12)
	near(t, "EO difference", a.EqualizedOdds.Difference.Value, 1, 1e-12)
}

func TestHMDAReport(t *testing.T) {
	in, _ := hmdaModel(t)
	cfg := Config{PositiveLabel: "deny = yes", Favourable: PredictedNegative, Threshold: ThresholdRule{Kind: FixedThreshold, Value: .2}, Replicates: 200, Seed: 1}
	rep, err := Evaluate(in, cfg)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "deny rate", rep.Discrimination.BaseRate, .11975, 5e-6)
	g := rep.Fairness.Attributes[0].Groups
	near(t, "deny afam=no", g[0].Observed.Value, .09260, 5e-6)
	near(t, "deny afam=yes", g[1].Observed.Value, .28319, 5e-6)
	if *g[1].Rows != 339 || *g[1].Labelled != 96 {
		t.Errorf("afam=yes: %d rows, %d denied", *g[1].Rows, *g[1].Labelled)
	}
	// A maximum-likelihood logit with intercept reproduces the total and lies on the diagonal in its own sample.
	near(t, "mean gap", rep.Calibration.MeanGap.Value, 0, 1e-9)
	near(t, "slope", rep.Calibration.Slope.Value, 1, 1e-6)
	near(t, "intercept", rep.Calibration.Intercept.Value, 0, 1e-6)
	near(t, "in the large", rep.Calibration.InTheLarge.Value, 0, 1e-6)
	if !strings.Contains(rep.Fairness.Rule, "p is below 0.05)") || rep.Fairness.Intersections[0].Groups[1].Group != "afam=no × single=yes" {
		t.Errorf("rule %q, group %q", rep.Fairness.Rule, rep.Fairness.Intersections[0].Groups[1].Group)
	}
	if len(rep.Curves.ROC) > 101 || len(rep.Fairness.Intersections) != 1 || len(rep.Fairness.Intersections[0].Groups) != 4 {
		t.Errorf("curve %d points, intersections %d", len(rep.Curves.ROC), len(rep.Fairness.Intersections))
	}
	flips := map[string]Perturbation{}
	for _, p := range rep.Robustness.Perturbations {
		flips[p.Name+p.Column] = p
		if p.Status == Measured && p.Scored+p.RefusedRows+p.InvalidRows != rep.Robustness.Rows {
			t.Errorf("%s: rows do not add up: %+v", p.Name, p)
		}
	}
	if p := flips["protected_flipafam"]; p.Status != Measured || p.Flips == 0 {
		t.Errorf("a model with race as an input must flip when race does: %+v", p)
	}
	if p := flips["nan"]; p.RefusedRows != rep.Robustness.Rows {
		t.Errorf("this scorer answers NaN to NaN, which counts as a refusal: %+v", p)
	}
	for _, p := range rep.Proxy {
		if p.Attribute == "afam" && (p.Group != "yes" || p.Inputs.Value < .95 || !p.IsProxy || p.Strongest[0].Input != "afam=yes") {
			t.Errorf("race is itself an input, so inputs must give it away: %+v", p)
		}
	}
	a, _ := json.Marshal(rep)
	again, _ := Evaluate(in, cfg)
	b, _ := json.Marshal(again)
	if !bytes.Equal(a, b) {
		t.Error("same input and seed, other bytes")
	}
	cfg.Seed = 2
	other, _ := Evaluate(in, cfg)
	if other.Fairness.Attributes[0].EqualizedOdds.Difference == rep.Fairness.Attributes[0].EqualizedOdds.Difference {
		t.Error("another seed gave the very same bootstrap")
	}
	var back Report
	if err := json.Unmarshal(a, &back); err != nil {
		t.Fatal(err)
	}
	if c, _ := json.Marshal(back); !bytes.Equal(a, c) {
		t.Error("the report does not survive its JSON")
	}
}

// AUC and its standard error against the definitions: pair counting, and U-statistic components by double loops.
func TestAUCByPairCounting(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for trial := 0; trial < 20; trial++ {
		n := 20 + rng.IntN(60)
		s, y := make([]float64, n), make([]bool, n)
		for i := range s {
			y[i] = rng.Float64() < .4
			s[i] = math.Round(10*math.Min(1, math.Max(0, .5*rng.Float64()+.3*indicator(y[i])))) / 10 // many ties
		}
		y[0], y[1] = true, false
		var v10, v01 []float64
		kernel := func(a, b float64) float64 {
			if a == b {
				return .5
			}
			return indicator(a > b)
		}
		for i := range s {
			sum, m := 0.0, 0.0
			for j := range s {
				if y[i] != y[j] {
					m++
					if y[i] {
						sum += kernel(s[i], s[j])
					} else {
						sum += kernel(s[j], s[i])
					}
				}
			}
			if y[i] {
				v10 = append(v10, sum/m)
			} else {
				v01 = append(v01, sum/m)
			}
		}
		auc, se := AUC(s, y)
		near(t, "AUC", auc, mean(v10), 1e-12)
		near(t, "SE", se, math.Sqrt(covariance(v10, v10)/float64(len(v10))+covariance(v01, v01)/float64(len(v01))), 1e-12)
	}
}

// Fisher's test against exact rational enumeration.
func TestFisherExact(t *testing.T) {
	choose := func(n, k int) *big.Int { return new(big.Int).Binomial(int64(n), int64(k)) }
	exact := func(a, b, c, d int) float64 {
		n1, n2, k := a+b, c+d, a+c
		weight := func(x int) *big.Int { return new(big.Int).Mul(choose(n1, x), choose(n2, k-x)) }
		sum, obs := new(big.Int), weight(a)
		for x := max(0, k-n2); x <= min(k, n1); x++ {
			if w := weight(x); w.Cmp(obs) <= 0 {
				sum.Add(sum, w)
			}
		}
		f, _ := new(big.Rat).SetFrac(sum, choose(n1+n2, k)).Float64()
		return f
	}
	for _, c := range [][4]int{{3, 1, 1, 3}, {0, 10, 5, 5}, {1, 9, 11, 3}, {12, 0, 7, 3}, {4, 40, 9, 25}, {0, 5, 0, 7}} {
		near(t, "Fisher", fisherExact(c[0], c[1], c[2], c[3]), exact(c[0], c[1], c[2], c[3]), 1e-10)
	}
	near(t, "lady tasting tea", fisherExact(3, 1, 1, 3), 34.0/70, 1e-12)
}

func TestWilsonKnownValues(t *testing.T) {
	z := zOf(.95)
	near(t, "z", z, 1.959963984540054, 1e-12)
	// Newcombe (1998), 81/263 and 0/20: score intervals .2553–.3662 and 0–.1611.
	a, b := wilson(81, 263, z), wilson(0, 20, z)
	near(t, "81/263 low", a.Low, .2553, 5e-5)
	near(t, "81/263 high", a.High, .3662, 5e-5)
	near(t, "0/20 low", b.Low, 0, 0)
	near(t, "0/20 high", b.High, .1611, 5e-5)
	// Newcombe's paper II, case 56/70 − 48/80: .0524 to .3339 by method 10.
	d := newcombe(56, 70, 48, 80, z)
	near(t, "difference low", d.Low, .0524, 5e-5)
	near(t, "difference high", d.High, .3339, 5e-5)
}

func TestMetricsByDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 1))
	n := 400
	s, y := make([]float64, n), make([]bool, n)
	for i := range s {
		s[i] = math.Round(rng.Float64()*50) / 50
		y[i] = rng.Float64() < s[i]
	}
	d := discriminate(s, y, .5, 1.96)
	ks, ap := 0.0, 0.0
	pos := count(y)
	prevTP := 0
	for k := 50; k >= 0; k-- {
		c := confusion(s, y, float64(k)/50)
		ks = math.Max(ks, math.Abs(float64(c.TP)/float64(pos)-float64(c.FP)/float64(n-pos)))
		if c.TP+c.FP > 0 {
			ap += float64(c.TP-prevTP) / float64(pos) * float64(c.TP) / float64(c.TP+c.FP)
		}
		prevTP = c.TP
	}
	near(t, "KS", d.KS, ks, 1e-12)
	near(t, "average precision", d.AveragePrecision, ap, 1e-12)
	c := confusion(s, y, d.KSAt)
	near(t, "KS at its cut", math.Abs(float64(c.TP)/float64(pos)-float64(c.FP)/float64(n-pos)), ks, 1e-12)
	cal := calibrate(s, y, 10, 1.96)
	rows, ece := 0, 0.0
	for _, b := range cal.Bins {
		rows += b.Rows
		ece += float64(b.Rows) / float64(n) * math.Abs(b.Observed.Value-b.MeanScore)
	}
	if rows != n {
		t.Errorf("bins hold %d of %d rows", rows, n)
	}
	near(t, "ECE", cal.ECE, ece, 1e-12)
}

// Calibrated scores pass the tests about as often as they should; scores pushed outwards are caught.
func TestCalibrationTests(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	rejectedHL, rejectedZ, trials := 0, 0, 200
	for k := 0; k < trials; k++ {
		s, y, over := make([]float64, 800), make([]bool, 800), make([]float64, 800)
		for i := range s {
			s[i] = .02 + .96*rng.Float64()
			y[i] = rng.Float64() < s[i]
			over[i] = sigmoid(2 * (math.Log(s[i]) - math.Log1p(-s[i])))
		}
		if *hosmerLemeshow(s, y, 10).P < .05 {
			rejectedHL++
		}
		if *spiegelhalter(s, y).P < .05 {
			rejectedZ++
		}
		if k == 0 {
			c := calibrate(over, y, 10, zOf(.95))
			if *c.Spiegelhalter.P > 1e-6 || *c.HosmerLemeshow.P > 1e-6 || c.Slope.High > .7 || c.Slope.Low > .5 || c.Slope.High < .5 {
				t.Errorf("overconfident scores (true slope ½) not caught: %+v", c.Slope)
			}
		}
	}
	if rejectedHL > 22 || rejectedZ > 22 || rejectedHL == 0 || rejectedZ == 0 {
		t.Errorf("at level .05, %d and %d of %d calibrated sets rejected", rejectedHL, rejectedZ, trials)
	}
}

func TestThresholdRules(t *testing.T) {
	s := []float64{.9, .8, .8, .6, .4, .3, .2, .1}
	y := []bool{true, true, false, true, false, false, true, false}
	for _, c := range []struct {
		rule ThresholdRule
		want float64
	}{
		{ThresholdRule{Kind: Youden}, .6},
		{ThresholdRule{Kind: SelectionRate, Value: .5}, .6},
		{ThresholdRule{Kind: SelectionRate, Value: .3}, .9}, // .8 is tied and would select 3 of 8
		{ThresholdRule{Kind: LeastCost, CostFalsePositive: 1, CostFalseNegative: 10}, .2},
		{ThresholdRule{Kind: LeastCost, CostFalsePositive: 10, CostFalseNegative: 1}, .9},
	} {
		got, err := ChooseThreshold(c.rule, s, y)
		if err != nil || got != c.want {
			t.Errorf("%+v: %v, %v; want %v", c.rule, got, err, c.want)
		}
	}
	nobody, err := ChooseThreshold(ThresholdRule{Kind: SelectionRate}, s, y)
	if err != nil || nobody <= .9 {
		t.Errorf("selection rate 0 must select nobody: %v %v", nobody, err)
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name                   string
		selA, nA, selB, nB     int
		want                   Verdict
		wantGroupB             Verdict
		wantFisher, wantWarned bool
	}{
		{"clear", 500, 1000, 200, 1000, Fail, Fail, false, true},
		{"point only", 50, 100, 38, 100, Warn, Warn, false, true},
		{"equal", 50, 100, 50, 100, Pass, Pass, false, false},
		{"few", 50, 100, 5, 29, Insufficient, Insufficient, false, true},
		{"withheld", 50, 100, 1, 9, Insufficient, Insufficient, false, true},
		{"small cell", 40, 100, 2, 40, Fail, Fail, true, true},
		{"small cell, not conclusive", 4, 40, 1, 40, Warn, Warn, true, true},
	} {
		in := Input{Attributes: []Attribute{{Name: "g"}}}
		expand(&in, "a", (c.nA-c.selA)/2, c.selA/2, c.nA-c.selA-(c.nA-c.selA)/2, c.selA-c.selA/2)
		expand(&in, "b", (c.nB-c.selB)/2, c.selB/2, c.nB-c.selB-(c.nB-c.selB)/2, c.selB-c.selB/2)
		rep, err := Evaluate(in, Config{Replicates: 100})
		if err != nil {
			t.Fatal(err)
		}
		a := rep.Fairness.Attributes[0]
		if a.Verdict != c.want || a.Groups[1].Verdict != c.wantGroupB || (a.FisherP != nil) != c.wantFisher || (len(a.Reasons) > 0) != c.wantWarned {
			t.Errorf("%s: %s/%s fisher %v reasons %q", c.name, a.Verdict, a.Groups[1].Verdict, a.FisherP, a.Reasons)
		}
	}
}

// No withheld count may be a published total less published counts.
func TestSuppression(t *testing.T) {
	in := Input{Attributes: []Attribute{{Name: "region"}, {Name: "sex"}}}
	add := func(region, sex string, n int) {
		for i := 0; i < n; i++ {
			in.Scores = append(in.Scores, float64(i%10)/10)
			in.Labels = append(in.Labels, i%3 == 0)
			in.Attributes[0].Values = append(in.Attributes[0].Values, region)
			in.Attributes[1].Values = append(in.Attributes[1].Values, sex)
		}
	}
	add("north", "f", 50)
	add("north", "m", 60)
	add("south", "f", 45)
	add("south", "m", 4)
	add("east", "f", 33)
	add("east", "m", 35)
	add("tiny", "f", 5)
	add("", "f", 3)
	rep, err := Evaluate(in, Config{Replicates: 100})
	if err != nil {
		t.Fatal(err)
	}
	region := rep.Fairness.Attributes[0]
	hidden := func(tb GroupedTable) string {
		var names []string
		for _, g := range tb.Groups {
			if g.Withheld != "" {
				names = append(names, g.Group)
				if g.Rows != nil || g.SelectionRate != nil || g.Labelled != nil || g.ImpactRatio != nil || g.AUC != nil {
					t.Errorf("%s is withheld but has figures", g.Group)
				}
			}
		}
		return strings.Join(names, ", ")
	}
	if got := hidden(region); got != "south, tiny" {
		t.Errorf("withheld regions: %s", got)
	}
	if region.UnknownRows != 3 {
		t.Errorf("unknown rows %d", region.UnknownRows)
	}
	cross := rep.Fairness.Intersections[0]
	for _, line := range [][2]string{{"region", "north"}, {"region", "east"}, {"sex", "f"}, {"sex", "m"}} {
		k, rows := 0, 0
		for _, g := range cross.Groups {
			if (line[0] == "region" && g.Parts[0] == line[1]) || (line[0] == "sex" && g.Parts[1] == line[1]) {
				if g.Withheld != "" {
					k++
					rows += g.n
				}
			}
		}
		if k == 1 || (k > 0 && rows < 10) {
			t.Errorf("%v: %d withheld cells with %d rows can be recovered; withheld: %s", line, k, rows, hidden(cross))
		}
	}
	text, _ := json.Marshal(rep)
	if strings.Contains(string(text), `"group":"tiny","parts":["tiny"],"withheld":""`) {
		t.Error("a group of 5 is published")
	}
}

func TestRejectsBadInput(t *testing.T) {
	good := compas()
	for name, c := range map[string]struct {
		change func(*Input, *Config)
		want   string
	}{
		"nan":           {func(i *Input, _ *Config) { i.Scores[3] = math.NaN() }, "scores[3]"},
		"margin":        {func(i *Input, _ *Config) { i.Scores[0] = 1.5 }, "scores[0]"},
		"length":        {func(i *Input, _ *Config) { i.Labels = i.Labels[1:] }, "labels"},
		"one class":     {func(i *Input, _ *Config) { i.Labels = make([]bool, len(i.Scores)) }, "both classes"},
		"groups":        {func(i *Input, _ *Config) { i.Attributes[0].Values = nil }, "attributes[race]"},
		"ids":           {func(i *Input, _ *Config) { i.RowIDs = make([]string, len(i.Scores)) }, "rowIds[1]"},
		"favourable":    {func(_ *Input, c *Config) { c.Favourable = "no" }, "favourable"},
		"replicates":    {func(_ *Input, c *Config) { c.Replicates = 5 }, "replicates"},
		"rule":          {func(_ *Input, c *Config) { c.Threshold.Kind = "best" }, "threshold.kind"},
		"order":         {func(_ *Input, c *Config) { c.MinGroup = 5 }, "minGroup"},
		"scorer alone":  {func(i *Input, _ *Config) { i.Scorer = func([][]Cell) ([]float64, error) { return nil, nil } }, "table"},
		"empty":         {func(i *Input, _ *Config) { *i = Input{} }, "scores"},
		"missing level": {func(_ *Input, c *Config) { c.MissingLevels = []float64{20} }, "missingLevels[0]"},
	} {
		in := good
		in.Scores = append([]float64{}, good.Scores...)
		in.Attributes = append([]Attribute{}, good.Attributes...)
		var cfg Config
		c.change(&in, &cfg)
		if _, err := Evaluate(in, cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not name %q", name, err, c.want)
		}
	}
}
