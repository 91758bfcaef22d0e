package monitor

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s = %.9f, want %.9f ± %g", what, got, want, tol)
	}
}

func TestPSIReferenceValue(t *testing.T) {
	near(t, "PSI", PSI([]int64{40, 30, 30}, []int64{35, 25, 40}), .044561, 5e-7)
	near(t, "PSI is symmetric", PSI([]int64{350, 250, 400}, []int64{4, 3, 3}), .044561, 5e-7)
	near(t, "JS of disjoint", JSDistance([]int64{5, 0}, []int64{0, 9}), 1, 1e-12)
	// By the definition with natural logs: JSD = H(m) − (H(p)+H(q))/2.
	h := func(p ...float64) (s float64) {
		for _, v := range p {
			s -= v * math.Log(v)
		}
		return s
	}
	want := math.Sqrt((h(.375, .275, .35) - (h(.4, .3, .3)+h(.35, .25, .4))/2) / math.Ln2)
	near(t, "JS", JSDistance([]int64{40, 30, 30}, []int64{35, 25, 40}), want, 1e-12)
	if psi := PSI([]int64{10, 0, 0}, []int64{0, 0, 10}); math.IsInf(psi, 0) || psi < 10 {
		t.Errorf("disjoint: %v", psi)
	}
}

func TestTestsOfFit(t *testing.T) {
	// 2×2 table [[30 70] [45 55]]: χ² = N(ad−bc)²/(r₁r₂c₁c₂) = 200·1500²/(100·100·75·125) = 4.8.
	stat, df, p := ChiSquare([]int64{30, 70}, []int64{45, 55})
	near(t, "chi-square", stat, 4.8, 1e-12)
	near(t, "p with one degree", p, math.Erfc(math.Sqrt(4.8/2)), 1e-12)
	if df != 1 {
		t.Errorf("df %d", df)
	}
	if _, df, _ = ChiSquare([]int64{1000, 1000, 1, 2, 1}, []int64{100, 100, 0, 1, 0}); df != 1 {
		t.Errorf("rare slots not pooled: df %d", df)
	}
	if _, _, p = ChiSquare([]int64{1000, 0}, []int64{500, 0}); p != 1 {
		t.Errorf("one slot: p %v", p)
	}
	d, p := KolmogorovSmirnov([]int64{50, 30, 20}, []int64{20, 30, 50})
	near(t, "KS", d, .3, 1e-12)
	near(t, "Kolmogorov 5 % point", kolmogorov(1.358099), .05, 1e-6)
	near(t, "Kolmogorov 1 % point", kolmogorov(1.627624), .01, 1e-6)
	if p > .001 {
		t.Errorf("KS p %v", p)
	}
	// Benjamini and Hochberg's own example of 15 tests: four are rejected at .05.
	ps := []float64{.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .3240, .4262, .5719, .6528, .7590, 1}
	rejected := 0
	for _, q := range BenjaminiHochberg(ps) {
		if q <= .05 {
			rejected++
		}
	}
	if rejected != 4 {
		t.Errorf("%d rejected, published 4", rejected)
	}
}

// normalRows draws f independent standard normals, the first shifted.
func normalRows(rng *rand.Rand, n, f int, shift float64) [][]Value {
	rows := make([][]Value, n)
	for i := range rows {
		rows[i] = make([]Value, f)
		for j := range rows[i] {
			rows[i][j].Number = rng.NormFloat64()
		}
		rows[i][0].Number += shift
	}
	return rows
}

func specs(n int) []Spec {
	out := make([]Spec, n)
	for j := range out {
		out[j] = Spec{string(rune('a' + j)), Numeric}
	}
	return out
}

func reference(t *testing.T, s []Spec, rows [][]Value, o Options) Reference {
	t.Helper()
	r, err := NewReference(s, rows, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func window(t *testing.T, r Reference, rows [][]Value) Window {
	t.Helper()
	c, err := r.Counter()
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		if err := c.Row(time.Unix(int64(1000+i), 0), row); err != nil {
			t.Fatal(err)
		}
	}
	return c.Window()
}

func assess(t *testing.T, r Reference, w Window, prior int, p Policy) Assessment {
	t.Helper()
	a, err := r.Assess(w, prior, p)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Ten features without drift: windows of 500 to 5,000 rows. A fixed rule on PSI ≥ 0.1 would alarm on most small ones.
func TestNullFalseAlerts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	r := reference(t, specs(10), normalRows(rng, 20000, 10, 0), Options{})
	for _, c := range []struct{ rows, windows int }{{200, 300}, {1000, 150}, {5000, 40}} {
		alerts, fixed := 0, 0
		for k := 0; k < c.windows; k++ {
			a := assess(t, r, window(t, r, normalRows(rng, c.rows, 10, 0)), 0, Policy{})
			if a.Drift == Alert {
				alerts++
			}
			for _, f := range a.Features {
				if f.PSI >= .1 {
					fixed++
					break
				}
			}
		}
		t.Logf("%d rows: %d alerts in %d windows; the fixed rule %d", c.rows, alerts, c.windows, fixed)
		if float64(alerts) > .01*float64(c.windows)+2*math.Sqrt(.01*float64(c.windows)) {
			t.Errorf("%d rows: %d false alerts in %d windows", c.rows, alerts, c.windows)
		}
		if c.rows == 200 && fixed < c.windows/2 {
			t.Errorf("the fixed rule alarmed only %d times in %d; this test shows nothing", fixed, c.windows)
		}
	}
}

// A shift of one of ten features whose population PSI is .2 (for unit normals PSI = shift², less what binning hides).
func TestPSIOfPointTwoIsCaught(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	r := reference(t, specs(10), normalRows(rng, 20000, 10, 0), Options{})
	const windows, shift = 100, .452
	caught, sum := 0, 0.0
	for k := 0; k < windows; k++ {
		a := assess(t, r, window(t, r, normalRows(rng, 5000, 10, shift)), 0, Policy{})
		sum += a.Features[0].PSI - a.Features[0].PSINull
		if a.Features[0].Verdict == Alert && a.Verdict == Alert {
			caught++
		}
	}
	near(t, "mean PSI above its null", sum/windows, .2, .01)
	if caught < windows*99/100 {
		t.Errorf("caught %d of %d", caught, windows)
	}
}

func TestVerdictsOverTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	r := reference(t, specs(3), normalRows(rng, 20000, 3, 0), Options{})
	calm, drifted := window(t, r, normalRows(rng, 3000, 3, 0)), window(t, r, normalRows(rng, 3000, 3, .8))
	slight, tiny := window(t, r, normalRows(rng, 20000, 3, .12)), window(t, r, normalRows(rng, 50, 3, 3))
	prior := 0
	for i, c := range []struct {
		w    Window
		want Verdict
		run  int
	}{{calm, Stable, 0}, {drifted, Alert, 1}, {calm, Stable, 0}, {slight, Watch, 0}, {drifted, Alert, 1}, {tiny, Insufficient, 1}, {drifted, Retrain, 2}, {drifted, Retrain, 3}} {
		a := assess(t, r, c.w, prior, Policy{})
		if a.Verdict != c.want || a.ConsecutiveAlerts != c.run || (c.want == Alert && len(a.Reasons) != 1) {
			t.Errorf("step %d: %s after %d alerts, want %s after %d; %q", i, a.Verdict, a.ConsecutiveAlerts, c.want, c.run, a.Reasons)
		}
		prior = a.ConsecutiveAlerts
	}
}

func TestSlots(t *testing.T) {
	rows := [][]Value{}
	for i := 0; i < 1000; i++ {
		flag := Value{Number: 1}
		if i < 20 {
			flag.Number = 0
		}
		capped := Value{Number: math.Min(600, float64(i))} // 40 % at the cap
		colour := Value{Text: []string{"red", "blue", "green"}[i%3]}
		if i%10 == 0 {
			colour = Value{Missing: true}
		}
		rows = append(rows, []Value{{Number: float64(i)}, flag, capped, colour})
	}
	s := []Spec{{"x", Numeric}, {"flag", Numeric}, {"capped", Numeric}, {"colour", Categorical}}
	r := reference(t, s, rows, Options{MaxCategories: 3})
	x, flag, capped, colour := r.Features[0], r.Features[1], r.Features[2], r.Features[3]
	if len(x.Edges) != 19 || len(x.Counts) != 24 || len(flag.Edges) != 1 {
		t.Errorf("x has %d edges, flag %d", len(x.Edges), len(flag.Edges))
	}
	for k := 1; k <= 20; k++ {
		if x.Counts[k] != 50 {
			t.Errorf("bin %d holds %d of 1000", k, x.Counts[k])
		}
	}
	if flag.Counts[1] != 20 || flag.Counts[2] != 980 {
		t.Errorf("a rare flag must keep its own bin: %v", flag.Counts)
	}
	if n := capped.Counts[len(capped.Edges)+1]; n != 400 {
		t.Errorf("the cap shares its bin: %v", capped.Counts)
	}
	for _, c := range []struct {
		f    Feature
		v    Value
		want int
	}{
		{x, Value{Number: -1}, 0}, {x, Value{Number: 0}, 1}, {x, Value{Number: 999}, 20}, {x, Value{Number: 1000}, 21},
		{x, Value{Missing: true}, 22}, {x, Value{Number: math.NaN()}, 23}, {x, Value{Number: math.Inf(-1)}, 23},
		{x, Value{Number: x.Edges[0]}, 1}, {x, Value{Number: math.Nextafter(x.Edges[0], 1e9)}, 2},
		{colour, Value{Text: "blue"}, 0}, {colour, Value{Text: "red"}, 2}, {colour, Value{Missing: true}, 3}, {colour, Value{Text: "pink"}, 4},
	} {
		if got := c.f.slot(c.v); got != c.want {
			t.Errorf("%s %+v in slot %d, want %d", c.f.Name, c.v, got, c.want)
		}
	}
	w := window(t, r, [][]Value{{{Number: 5000}, {Number: 1}, {Missing: true}, {Text: "pink"}}, {{Number: 5}, {Number: 1}, {Number: 3}, {Text: "red"}}})
	a := assess(t, r, w, 0, Policy{MinRows: 1})
	if a.Features[0].OutsideShare != .5 || a.Features[2].MissingShare != .5 || a.Features[3].UnseenShare != .5 {
		t.Errorf("%+v", a.Features)
	}
}

// Splitting rows any way and merging in any order gives the bytes of one window over them all.
func TestMergeIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	r := reference(t, specs(3), normalRows(rng, 500, 3, 0), Options{Baseline: &Baseline{Threshold: .3, AUC: .8, Brier: .1, Slope: .9, Intercept: .1}})
	whole, _ := r.Counter()
	var parts []*Counter
	for k := 0; k < 5; k++ {
		c, _ := r.Counter()
		parts = append(parts, c)
	}
	for i, row := range normalRows(rng, 700, 3, .2) {
		s, k := rng.Float64(), rng.IntN(5)
		for _, c := range []*Counter{whole, parts[k]} {
			if err := c.Row(time.Unix(int64(i), 500), row); err != nil {
				t.Fatal(err)
			}
			c.Score(s)
			if i%3 == 0 {
				_ = c.Label(s, i%2 == 0)
			}
		}
	}
	fold := func(order []int) Window {
		w := r.NewWindow()
		for _, k := range order {
			var err error
			if w, err = Merge(w, parts[k].Window()); err != nil {
				t.Fatal(err)
			}
		}
		return w
	}
	want, _ := json.Marshal(whole.Window())
	for _, order := range [][]int{{0, 1, 2, 3, 4}, {4, 2, 0, 3, 1}} {
		if got, _ := json.Marshal(fold(order)); !bytes.Equal(got, want) {
			t.Errorf("order %v: merged window differs", order)
		}
	}
	ab, _ := Merge(parts[0].Window(), parts[1].Window())
	bc, _ := Merge(parts[1].Window(), parts[2].Window())
	left, _ := Merge(ab, parts[2].Window())
	right, _ := Merge(parts[0].Window(), bc)
	if left.Digest() != right.Digest() {
		t.Error("merging is not associative")
	}
	back, err := ParseWindow(r, want)
	if err != nil || back.Digest() != whole.Window().Digest() {
		t.Errorf("a window does not survive its JSON: %v", err)
	}
	text, _ := json.Marshal(r)
	if again, err := ParseReference(text); err != nil || again.Digest() != r.Digest() {
		t.Errorf("a reference does not survive its JSON: %v", err)
	}
	one, _ := json.Marshal(assess(t, r, left, 1, Policy{}))
	two, _ := json.Marshal(assess(t, r, right, 1, Policy{}))
	if !bytes.Equal(one, two) {
		t.Error("one window, two assessments")
	}
}

func TestRefusals(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	rows := normalRows(rng, 300, 2, 0)
	r, other := reference(t, specs(2), rows, Options{}), reference(t, specs(2), rows[:200], Options{})
	w := window(t, r, rows)
	for want, change := range map[string]func(*Window){
		"window.reference":                func(w *Window) { *w = window(t, other, rows) },
		"add up to 300 of 301":            func(w *Window) { w.Rows++ },
		"counts[0]: -1":                   func(w *Window) { w.Counts[0][0] = -1 },
		"counts: 3 slots":                 func(w *Window) { w.Counts[1] = w.Counts[1][:3] },
		"window.counts: 1 features":       func(w *Window) { w.Counts = w.Counts[:1] },
		"window.performance.selected":     func(w *Window) { w.Performance.Selected = 5 },
		"window.performance.positive":     func(w *Window) { w.Performance.TP = 1 },
		"window.performance: a negative":  func(w *Window) { w.Performance.TN = -1 },
		"window.schema":                   func(w *Window) { w.Schema = "v0" },
		"window.performance.all: counts:": func(w *Window) { w.Performance.All = make([]int64, 7) },
	} {
		bad := w.clone()
		change(&bad)
		if _, err := r.Assess(bad, 0, Policy{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := Merge(w, window(t, other, rows)); err == nil {
		t.Error("windows over two references merged")
	}
	for want, change := range map[string]func(*Reference){
		"edges[1]":  func(r *Reference) { r.Features[0].Edges[1] = r.Features[0].Edges[0] },
		"edges[0]":  func(r *Reference) { r.Features[0].Edges[0] = math.NaN() },
		"name":      func(r *Reference) { r.Features[1].Name = "a" },
		"kind":      func(r *Reference) { r.Features[1].Kind = "text" },
		"rows":      func(r *Reference) { r.Rows = 0 },
		"add up":    func(r *Reference) { r.Rows = 5000 },
		"threshold": func(r *Reference) { r.Baseline = &Baseline{Threshold: 2, Slope: 1} },
		"slope 0":   func(r *Reference) { r.Baseline = &Baseline{} },
	} {
		text, _ := json.Marshal(r)
		bad, _ := ParseReference(text)
		change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for want, p := range map[string]Policy{"psi": {PSI: -1}, "policy.q": {Q: 2}, "minRows": {MinRows: -1}, "confidence": {Confidence: .2}, "maxRateShift": {MaxRateShift: -1}} {
		if _, err := r.Assess(w, 0, p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	c, _ := r.Counter()
	if err := c.Row(time.Time{}, rows[0][:1]); err == nil {
		t.Error("a short row was counted")
	}
	if err := c.Label(math.NaN(), true); err == nil || c.Window().Digest() != r.NewWindow().Digest() {
		t.Error("a refused label changed the window")
	}
	for _, text := range []string{"", "{", "[]", `{"schema":"affidavit.dev/drift-window/v1","counts":[[1],[2]]}`} {
		if _, err := ParseWindow(r, []byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func BenchmarkCounterRow(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	rows := normalRows(rng, 5000, 20, 0)
	r, err := NewReference(specs(20), rows, Options{})
	if err != nil {
		b.Fatal(err)
	}
	c, _ := r.Counter()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := c.Row(time.Time{}, rows[i%len(rows)]); err != nil {
			b.Fatal(err)
		}
	}
}
