package canary

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func must(t *testing.T, cfg Config) *Process {
	t.Helper()
	if cfg.MaxRequests == 0 && cfg.Deadline.IsZero() {
		cfg.MaxRequests = math.MaxInt64
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func armOf(canary bool) Arm {
	if canary {
		return Canary
	}
	return Incumbent
}

func observe(t *testing.T, p *Process, guardrail string, y bool, rho float64) Decision {
	t.Helper()
	d, err := p.Observe(guardrail, armOf(y), rho, "")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// E by the definition: plain products, no logarithms.
func slowE(ratios []float64, base float64, ys []bool, rhos []float64) float64 {
	sum := 0.0
	for _, r := range ratios {
		prod := 1.0
		for i, y := range ys {
			a, b := rhos[i]*r/(1-rhos[i]+rhos[i]*r), rhos[i]*base/(1-rhos[i]+rhos[i]*base)
			if y {
				prod *= a / b
			} else {
				prod *= (1 - a) / (1 - b)
			}
		}
		sum += prod
	}
	return sum / float64(len(ratios))
}

func TestAgainstDirectProducts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for trial := 0; trial < 30; trial++ {
		equal := []float64{1, 1.3, .7}[trial%3]
		p := must(t, Config{Alpha: 1e-12, Beta: 1e-12, Guardrails: []Guardrail{{Name: "error", EqualRatio: equal}}})
		var ys []bool
		var rhos []float64
		for i := 0; i < 60; i++ {
			rho := []float64{.01, .05, .2, .5, .9}[rng.IntN(5)]
			y := rng.Float64() < Theta(1.2, rho)
			ys, rhos = append(ys, y), append(rhos, rho)
			observe(t, p, "error", y, rho)
			tr := p.State().Tracks[0]
			harm := slowE([]float64{1.5 * equal, 2 * equal, 3 * equal, 5 * equal}, equal, ys, rhos)
			safe := slowE([]float64{equal, 1.2 * equal, 1.4 * equal}, 2*equal, ys, rhos)
			if math.Abs(math.Exp(tr.LogHarm())/harm-1) > 1e-10 || math.Abs(math.Exp(tr.LogSafe())/safe-1) > 1e-10 {
				t.Fatalf("event %d: E %v %v, by products %v %v", i, math.Exp(tr.LogHarm()), math.Exp(tr.LogSafe()), harm, safe)
			}
		}
	}
}

// The mean of E over all outcomes of a few events is exactly 1 at the null and at most 1 inside it, with weights that
// depend on the past: the property that all else rests on, by enumeration.
func TestExpectationIsOne(t *testing.T) {
	const n = 8
	weight := func(canaryEvents int) float64 { return .1 + .1*float64(canaryEvents%4) } // predictable, not fixed
	for _, c := range []struct {
		ratio      float64
		harm, safe float64 // exact expectation, or -1 for "at most 1"
	}{{1, 1, -2}, {.5, -1, -2}, {2, -2, 1}, {3, -2, -1}} {
		var harm, safe float64
		for bits := 0; bits < 1<<n; bits++ {
			p := must(t, Config{Alpha: 1e-12, Beta: 1e-12, Guardrails: []Guardrail{{Name: "g"}}})
			prob, k := 1.0, 0
			for i := 0; i < n; i++ {
				rho := weight(k)
				y := bits>>i&1 == 1
				if y {
					prob *= Theta(c.ratio, rho)
					k++
				} else {
					prob *= 1 - Theta(c.ratio, rho)
				}
				observe(t, p, "g", y, rho)
			}
			tr := p.State().Tracks[0]
			harm += prob * math.Exp(tr.LogHarm())
			safe += prob * math.Exp(tr.LogSafe())
		}
		check := func(name string, got, want float64) {
			if (want == 1 && math.Abs(got-1) > 1e-12) || (want == -1 && got >= 1) || (want == -2 && got <= 1) {
				t.Errorf("ratio %v: mean of E_%s is %v", c.ratio, name, got)
			}
		}
		check("harm", harm, c.harm)
		check("safe", safe, c.safe)
	}
}

// stream runs requests with event rate base in the incumbent and ratio·base in the canary, and calls each event.
func stream(rng *rand.Rand, requests int, base, ratio, rho float64, event func(request int, canary bool) bool) {
	per := (1-rho)*base + rho*base*ratio
	theta, skip := Theta(ratio, rho), math.Log1p(-per)
	for n := 0; ; {
		n += int(math.Log(1-rng.Float64())/skip) + 1
		if n > requests || !event(n, rng.Float64() < theta) {
			return
		}
	}
}

// Two thousand canaries of 100,000 requests with equal rates: the e-process may roll back in 1 %; a z-test looked at
// every 1,000 requests alarms in a third.
func TestFalseRollbackAndPeeking(t *testing.T) {
	const streams, requests, base, rho = 2000, 100000, .01, .1
	rollbacks, peeked := 0, 0
	rng := rand.New(rand.NewPCG(2026, 11))
	for s := 0; s < streams; s++ {
		p := must(t, Config{Guardrails: []Guardrail{{Name: "error", RollbackOnly: true}}})
		k, n, look, alarmed := 0.0, 0.0, 1000, false
		stream(rng, requests, base, 1, rho, func(request int, canary bool) bool {
			for ; look < request; look += 1000 {
				alarmed = alarmed || (n > 0 && math.Abs(k-n*rho)/math.Sqrt(n*rho*(1-rho)) > 1.96)
			}
			n++
			if canary {
				k++
			}
			observe(t, p, "error", canary, rho)
			return true
		})
		if p.State().Decision.Verdict == Rollback {
			rollbacks++
		}
		if alarmed {
			peeked++
		}
	}
	t.Logf("false rollbacks %.2f %%, peeking z-test %.1f %%", 100*float64(rollbacks)/streams, 100*float64(peeked)/streams)
	if rollbacks > streams/100 || rollbacks == 0 {
		t.Errorf("%d false rollbacks in %d canaries; alpha allows %d, and none at all would mean that nothing is tested", rollbacks, streams, streams/100)
	}
	if peeked < streams/4 {
		t.Errorf("the peeking z-test alarmed only %d times in %d", peeked, streams)
	}
}

// With a base rate of 1 %, a canary three times as bad is rolled back after a median of about 4,100 requests at 10 % of the
// traffic and 2,400 at 20 %; a healthy one is promoted, and a canary at the limit is not.
func TestDetection(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	run := func(ratio, rho float64, requests int) (at []int, verdicts map[Verdict]int) {
		verdicts = map[Verdict]int{}
		for s := 0; s < 600; s++ {
			p := must(t, Config{Guardrails: []Guardrail{{Name: "error"}}})
			end := requests
			stream(rng, requests, .01, ratio, rho, func(request int, canary bool) bool {
				end = request
				return observe(t, p, "error", canary, rho).Verdict == Continue
			})
			at = append(at, end)
			verdicts[p.State().Decision.Verdict]++
		}
		slices.Sort(at)
		return at, verdicts
	}
	at, v := run(3, .1, 100000)
	t.Logf("ratio 3, rho .1: median %d requests, 90 %% by %d, %v", at[300], at[540], v)
	if at[300] < 3300 || at[300] > 4900 || v[Rollback] < 590 {
		t.Errorf("ratio 3, rho .1: median %d requests, %v", at[300], v)
	}
	at, v = run(3, .2, 100000)
	t.Logf("ratio 3, rho .2: median %d requests", at[300])
	if at[300] < 1900 || at[300] > 3000 || v[Rollback] < 590 {
		t.Errorf("ratio 3, rho .2: median %d requests, %v", at[300], v)
	}
	at, v = run(1, .1, 100000)
	t.Logf("ratio 1: median %d requests, %v", at[300], v)
	if v[Promote] < 580 {
		t.Errorf("healthy canaries: %v", v)
	}
	_, v = run(2, .1, 30000)
	if v[Promote] > 30 {
		t.Errorf("canaries at twice the rate promoted %d times in 600; beta allows 30", v[Promote])
	}
}

func TestBonferroniOverGuardrails(t *testing.T) {
	one := must(t, Config{Guardrails: []Guardrail{{Name: "a"}}})
	many := must(t, Config{Guardrails: []Guardrail{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}})
	count := func(p *Process) (n int) {
		for n = 1; ; n++ {
			if d := observe(t, p, "a", true, .5); d.Verdict == Rollback {
				if d.Guardrail != "a" || d.Events != int64(n) || d.Reason == "" {
					t.Errorf("decision %+v", d)
				}
				return n
			}
		}
	}
	// All events in the canary at ρ = ½: E = mean of (2r/(1+r))^n; it must first reach 100, then 400.
	reach := func(bound float64) int {
		for n := 1; ; n++ {
			e := 0.0
			for _, r := range []float64{1.5, 2, 3, 5} {
				e += math.Pow(2*r/(1+r), float64(n)) / 4
			}
			if e >= bound {
				return n
			}
		}
	}
	if a, b := count(one), count(many); a != reach(100) || b != reach(400) || a >= b {
		t.Errorf("rolled back after %d and %d events, want %d and %d", a, b, reach(100), reach(400))
	}
}

func TestPromotionWaitsForEveryGuardrail(t *testing.T) {
	p := must(t, Config{Guardrails: []Guardrail{{Name: "a"}, {Name: "b"}, {Name: "rare", RollbackOnly: true}}})
	for i := 0; i < 400; i++ {
		if d := observe(t, p, "a", i%2 == 0, .5); d.Verdict != Continue {
			t.Fatalf("decided on one guardrail of two: %+v", d)
		}
	}
	last := Continue
	for i := 0; i < 400 && last == Continue; i++ {
		last = observe(t, p, "b", i%2 == 0, .5).Verdict
	}
	if last != Promote {
		t.Errorf("verdict %s", last)
	}
}

func TestDeadlines(t *testing.T) {
	p := must(t, Config{MaxRequests: 10, Guardrails: []Guardrail{{Name: "a"}}})
	for i := 0; i < 12; i++ {
		if err := p.Assign(armOf(i%5 == 0)); err != nil {
			t.Fatal(err)
		}
	}
	s := p.State()
	if s.Decision.Verdict != Inconclusive || s.Requests != 10 || s.CanaryRequests != 2 || s.LateRequests != 2 {
		t.Errorf("%+v", s)
	}
	end := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	p = must(t, Config{Deadline: end, Guardrails: []Guardrail{{Name: "a"}}})
	if d := p.Judge(end.Add(-time.Second)); d.Verdict != Continue {
		t.Errorf("before the deadline: %+v", d)
	}
	if d := p.Judge(end); d.Verdict != Inconclusive {
		t.Errorf("at the deadline: %+v", d)
	}
	// The decision and its evidence are frozen.
	before := p.State()
	for i := 0; i < 100; i++ {
		observe(t, p, "a", true, .5)
	}
	after := p.State()
	if after.Decision != before.Decision || after.Tracks[0].Events != 0 || after.Tracks[0].Late != 100 {
		t.Errorf("a decided test moved: %+v", after.Tracks[0])
	}
}

func TestFirstEventPerEntity(t *testing.T) {
	p := must(t, Config{Entities: true, MaxEntities: 3, Guardrails: []Guardrail{{Name: "a"}, {Name: "b"}}})
	for _, e := range []string{"u1", "u1", "u2", "u1", "u3", "u4", "u2"} {
		if _, err := p.Observe("a", Canary, .5, e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Observe("b", Canary, .5, "u1"); err != nil {
		t.Fatal(err)
	}
	tr := p.State().Tracks
	if tr[0].Events != 3 || tr[0].Repeated != 3 || tr[0].Unremembered != 1 || tr[1].Events != 1 {
		t.Errorf("%+v", tr)
	}
	text, _ := json.Marshal(p.State())
	if strings.Contains(string(text), "u1") || tr[0].Entities[0] == tr[1].Entities[0] {
		t.Error("the state shows an entity, or links it across guardrails")
	}
	if _, err := p.Observe("a", Canary, .5, ""); err == nil {
		t.Error("no entity was accepted")
	}
	// Clustered users: one user of the canary fails 200 times. Counted once, nothing happens.
	q := must(t, Config{Entities: true, Guardrails: []Guardrail{{Name: "a"}}})
	for i := 0; i < 200; i++ {
		if d, _ := q.Observe("a", Canary, .1, "one"); d.Verdict != Continue {
			t.Fatal("one user rolled the canary back")
		}
	}
}

func TestResumeIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	cfg := Config{Alpha: 1e-9, Beta: 1e-9, MaxTrace: 32, MaxRequests: 1 << 40, Guardrails: []Guardrail{{Name: "a"}, {Name: "b", EqualRatio: 1.1}}}
	whole, parts := must(t, cfg), must(t, cfg)
	for i := 0; i < 1000; i++ {
		g, y := []string{"a", "b"}[rng.IntN(2)], rng.Float64() < .12
		_ = whole.Assign(armOf(y))
		_ = parts.Assign(armOf(y))
		observe(t, whole, g, y, .1)
		observe(t, parts, g, y, .1)
		if i%97 == 0 {
			data, err := json.Marshal(parts.State())
			if err != nil {
				t.Fatal(err)
			}
			if parts, err = Parse(data); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, _ := json.Marshal(whole.State())
	b, _ := json.Marshal(parts.State())
	if !bytes.Equal(a, b) {
		t.Error("a resumed test differs from one that never stopped")
	}
	for _, tr := range whole.State().Tracks {
		if len(tr.Trace) > 33 || len(tr.Trace) < 16 || tr.Trace[0].Events != 0 {
			t.Errorf("trace of %d points", len(tr.Trace))
		}
		for i := 1; i < len(tr.Trace); i++ {
			if tr.Trace[i].Events <= tr.Trace[i-1].Events {
				t.Error("trace is not in order")
			}
		}
	}
}

func TestResumeRefuses(t *testing.T) {
	p := must(t, Config{Guardrails: []Guardrail{{Name: "a"}}})
	for i := 0; i < 6; i++ {
		observe(t, p, "a", true, .5)
	}
	for name, change := range map[string]func(*State){
		"schema":    func(s *State) { s.Schema = "x" },
		"events":    func(s *State) { s.Tracks[0].CanaryEvents = 99 },
		"harmTerms": func(s *State) { s.Tracks[0].HarmTerms = nil },
		"decision":  func(s *State) { s.Decision.Verdict = Promote },
		"decision:": func(s *State) { s.Tracks[0].HarmTerms[0] = 50 },
		"guardrail": func(s *State) { s.Config.Guardrails = nil },
		"alpha":     func(s *State) { s.Config.Alpha = 2 },
		"trace":     func(s *State) { s.Tracks[0].Trace = nil },
		"tracks[0]": func(s *State) { s.Tracks[0].Guardrail = "b" },
	} {
		s := p.State()
		change(&s)
		if _, err := Resume(s); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse([]byte(`{"schema":`)); err == nil {
		t.Error("broken JSON was read")
	}
}

func TestRefusesBadCalls(t *testing.T) {
	p := must(t, Config{Guardrails: []Guardrail{{Name: "a"}}})
	for _, rho := range []float64{0, 1, -1, math.NaN(), math.Inf(1)} {
		if _, err := p.Observe("a", Canary, rho, ""); err == nil {
			t.Errorf("rho %v accepted", rho)
		}
	}
	if _, err := p.Observe("z", Canary, .5, ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown guardrail: %v", err)
	}
	if _, err := p.Observe("a", "b", .5, ""); err == nil {
		t.Error("unknown arm accepted")
	}
	if s := p.State(); s.Tracks[0].Events != 0 {
		t.Error("a refused call changed the state")
	}
	one := []Guardrail{{Name: "a"}}
	for want, cfg := range map[string]Config{
		"guardrails":             {MaxRequests: 1},
		"guardrails[1].name":     {MaxRequests: 1, Guardrails: []Guardrail{{Name: "a"}, {Name: "a"}}},
		"equalRatio":             {MaxRequests: 1, Guardrails: []Guardrail{{Name: "a", EqualRatio: -1}}},
		"alpha":                  {MaxRequests: 1, Guardrails: one, Alpha: 1},
		"beta":                   {MaxRequests: 1, Guardrails: one, Beta: -1},
		"harmRatios[0]":          {MaxRequests: 1, Guardrails: one, HarmRatios: []float64{1}},
		"safeRatios[1]":          {MaxRequests: 1, Guardrails: one, SafeRatios: []float64{1, 2}},
		"safeLimit":              {MaxRequests: 1, Guardrails: one, SafeLimit: 1},
		"maxRequests, deadline":  {Guardrails: one},
		"maxTrace":               {MaxRequests: 1, Guardrails: one, MaxTrace: 1},
		"maxEntities":            {MaxRequests: 1, Guardrails: one, MaxEntities: -1},
		"harmRatios: 0 given":    {MaxRequests: 1, Guardrails: one, HarmRatios: []float64{}},
		"safeRatios[0]: NaN is ": {MaxRequests: 1, Guardrails: one, SafeRatios: []float64{math.NaN()}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestConcurrentObservers(t *testing.T) {
	p := must(t, Config{Alpha: 1e-12, Beta: 1e-12, Guardrails: []Guardrail{{Name: "a"}}})
	var wg sync.WaitGroup
	for w := 0; w < 8; w++ {
		wg.Go(func() {
			for i := 0; i < 50; i++ {
				_ = p.Assign(armOf(i%10 == 0))
				if _, err := p.Observe("a", armOf(i%10 == 0), .1, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := p.State()
	if s.Requests != 400 || s.Tracks[0].Events != 400 || s.Tracks[0].CanaryEvents != 40 {
		t.Errorf("%d requests, %d events", s.Requests, s.Tracks[0].Events)
	}
	if r := s.Tracks[0].Ratio(); r == nil || math.Abs(*r-1) > 1e-9 {
		t.Errorf("ratio %v", r)
	}
}

func ExampleProcess() {
	p, err := New(Config{MaxRequests: 20000, Guardrails: []Guardrail{{Name: "error"}, {Name: "denied"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := 0; ; i++ {
		arm := armOf(i%2 == 0) // half the errors come from a canary with a tenth of the traffic
		_ = p.Assign(arm)
		d, err := p.Observe("error", arm, .1, "")
		if err != nil || d.Verdict != Continue {
			fmt.Println(d.Verdict, d.Guardrail, d.Events)
			return
		}
	}
	// Output: rollback error 13
}

func BenchmarkObserve(b *testing.B) {
	p, err := New(Config{Alpha: 1e-12, Beta: 1e-12, MaxRequests: math.MaxInt64, Guardrails: []Guardrail{{Name: "a", RollbackOnly: true}}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := p.Observe("a", armOf(i%10 == 0), .1, ""); err != nil {
			b.Fatal(err)
		}
	}
}
