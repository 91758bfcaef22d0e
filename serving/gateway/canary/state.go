package canary

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Schema names the layout of State.
const Schema = "affidavit.dev/canary-state/v1"

// maxCount keeps counters from a file within what neither overflows nor loses units as a float.
const maxCount = 1 << 53

// State is the whole test: resumable, attestable, and enough to recompute the verdict.
type State struct {
	Schema         string   `json:"schema"`
	Config         Config   `json:"config"`
	Requests       int64    `json:"requests"` // assigned before the decision
	CanaryRequests int64    `json:"canaryRequests"`
	LateRequests   int64    `json:"lateRequests"` // assigned after it
	Tracks         []Track  `json:"tracks"`       // one per guardrail, in the order of Config
	Decision       Decision `json:"decision"`
}

// Track is one guardrail's evidence. Log terms are nats and belong to the ratios of Config at the same position.
type Track struct {
	Guardrail    string    `json:"guardrail"`
	Events       int64     `json:"events"`
	CanaryEvents int64     `json:"canaryEvents"`
	Repeated     int64     `json:"repeated"`     // later events of an entity, not counted
	Unremembered int64     `json:"unremembered"` // events of new entities once the memory was full, not counted
	Late         int64     `json:"late"`         // events after the decision, not counted
	ExpectedRho  float64   `json:"expectedRho"`  // Σρ over the events: the canary's events if rates are equal
	HarmTerms    []float64 `json:"harmTerms"`    // ln of each product of E_harm
	SafeTerms    []float64 `json:"safeTerms"`    // ln of each product of E_safe
	Stride       int64     `json:"stride"`       // events between two points of Trace
	Trace        []Point   `json:"trace"`
	Entities     []string  `json:"entities"` // truncated hashes, in order of arrival
}

// Point is the evidence after so many requests and events, for charts.
type Point struct {
	Requests     int64   `json:"requests"`
	Events       int64   `json:"events"`
	CanaryEvents int64   `json:"canaryEvents"`
	LogHarm      float64 `json:"logHarm"` // ln E_harm
	LogSafe      float64 `json:"logSafe"` // ln E_safe
}

func newTrack(name string, cfg Config) Track {
	return Track{Guardrail: name, HarmTerms: make([]float64, len(cfg.HarmRatios)), SafeTerms: make([]float64, len(cfg.SafeRatios)),
		Stride: 1, Trace: []Point{{}}, Entities: []string{}}
}

// LogHarm is ln E_harm.
func (t Track) LogHarm() float64 { return logMean(t.HarmTerms) }

// LogSafe is ln E_safe.
func (t Track) LogSafe() float64 { return logMean(t.SafeTerms) }

// Ratio is the point estimate of the canary's event rate over the incumbent's when every event had the same weight rho:
// odds of the canary among events over the odds of assignment. It is for display; the verdict does not use it. Nil until
// both arms have an event.
func (t Track) Ratio() *float64 {
	k, n := float64(t.CanaryEvents), float64(t.Events)
	if k == 0 || k == n {
		return nil
	}
	rho := t.ExpectedRho / n
	r := k / (n - k) * (1 - rho) / rho
	return &r
}

func (t *Track) add(cfg Config, equal float64, canary bool, rho float64, requests int64) {
	t.Events++
	t.ExpectedRho += rho
	if canary {
		t.CanaryEvents++
	}
	for j, r := range cfg.HarmRatios {
		t.HarmTerms[j] += logRatio(r*equal, equal, rho, canary)
	}
	for j, r := range cfg.SafeRatios {
		t.SafeTerms[j] += logRatio(r*equal, cfg.SafeLimit*equal, rho, canary)
	}
	if t.Events%t.Stride == 0 {
		t.mark(requests)
	}
	// The origin and, from then on, every second point survive a halving, so spacing stays even.
	if len(t.Trace) > cfg.MaxTrace {
		kept := t.Trace[:0]
		for i, p := range t.Trace {
			if i%2 == 0 {
				kept = append(kept, p)
			}
		}
		t.Trace, t.Stride = kept, t.Stride*2
	}
}

// mark appends the present point, once.
func (t *Track) mark(requests int64) {
	if t.Trace[len(t.Trace)-1].Events == t.Events {
		return
	}
	t.Trace = append(t.Trace, Point{requests, t.Events, t.CanaryEvents, t.LogHarm(), t.LogSafe()})
}

// logRatio is ln of one event's likelihood ratio of r against base. With d(r) = 1 − ρ + ρr, θ(r)/θ(b) = r·d(b)/(b·d(r))
// and (1−θ(r))/(1−θ(b)) = d(b)/d(r), so nothing cancels.
func logRatio(r, base, rho float64, canary bool) float64 {
	v := math.Log((1 - rho + rho*base) / (1 - rho + rho*r))
	if canary {
		v += math.Log(r / base)
	}
	return v
}

// logMean is ln of the mean of exp(x).
func logMean(x []float64) float64 {
	most := math.Inf(-1)
	for _, v := range x {
		most = math.Max(most, v)
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v - most)
	}
	return most + math.Log(sum/float64(len(x)))
}

// entityHash keeps ids out of the state: 96 bits, and not the same under another guardrail.
func entityHash(guardrail, entity string) string {
	h := sha256.Sum256([]byte(fmt.Sprintf("%d:%s%s", len(guardrail), guardrail, entity)))
	return hex.EncodeToString(h[:12])
}

func (s State) clone() State {
	c := s
	c.Config = s.Config.withDefaults() // copies its slices
	c.Tracks = append([]Track(nil), s.Tracks...)
	for i := range c.Tracks {
		t := &c.Tracks[i]
		t.HarmTerms = append([]float64{}, t.HarmTerms...)
		t.SafeTerms = append([]float64{}, t.SafeTerms...)
		t.Trace = append([]Point{}, t.Trace...)
		t.Entities = append([]string{}, t.Entities...)
	}
	return c
}

// Resume continues a test from its state. A state that no run could have reached is refused, naming the field: shapes,
// counts, and a decision that the evidence does not give.
func Resume(s State) (*Process, error) {
	if s.Schema != Schema {
		return nil, fmt.Errorf("canary: schema: %.60q; this version reads %s", s.Schema, Schema)
	}
	s = s.clone()
	if err := s.Config.validate(); err != nil {
		return nil, err
	}
	if len(s.Tracks) != len(s.Config.Guardrails) {
		return nil, fmt.Errorf("canary: tracks: %d for %d guardrails", len(s.Tracks), len(s.Config.Guardrails))
	}
	if s.Requests > maxCount || s.LateRequests > maxCount {
		return nil, errors.New("canary: requests: more than 2^53")
	}
	if s.Requests < 0 || s.CanaryRequests < 0 || s.CanaryRequests > s.Requests || s.LateRequests < 0 {
		return nil, errors.New("canary: requests: negative, or more canary requests than requests")
	}
	for i, t := range s.Tracks {
		if t.Guardrail != s.Config.Guardrails[i].Name {
			return nil, fmt.Errorf("canary: tracks[%d]: is %.60q, declared is %q", i, t.Guardrail, s.Config.Guardrails[i].Name)
		}
		if err := t.validate(s.Config); err != nil {
			return nil, err
		}
	}
	p := assemble(s)
	was := p.s.Decision
	p.s.Decision = Decision{Verdict: Continue}
	p.judge(was.Verdict == Inconclusive, "")
	if p.s.Decision.Verdict != was.Verdict {
		return nil, fmt.Errorf("canary: decision: state says %.40q, its evidence gives %q", was.Verdict, p.s.Decision.Verdict)
	}
	p.s.Decision = was
	return p, nil
}

func (t Track) validate(cfg Config) error {
	bad := func(field string) error {
		return fmt.Errorf("canary: tracks[%s].%s: not a state of this test", t.Guardrail, field)
	}
	if len(t.HarmTerms) != len(cfg.HarmRatios) {
		return bad("harmTerms")
	}
	if len(t.SafeTerms) != len(cfg.SafeRatios) {
		return bad("safeTerms")
	}
	for _, v := range append(append([]float64{t.ExpectedRho}, t.HarmTerms...), t.SafeTerms...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return bad("harmTerms, safeTerms, expectedRho")
		}
	}
	if t.CanaryEvents < 0 || t.CanaryEvents > t.Events || t.Repeated < 0 || t.Unremembered < 0 || t.Late < 0 {
		return bad("events")
	}
	if t.ExpectedRho < 0 || t.ExpectedRho > float64(t.Events) {
		return bad("expectedRho")
	}
	if t.Events > maxCount || t.Repeated > maxCount || t.Unremembered > maxCount || t.Late > maxCount {
		return bad("events")
	}
	if t.Stride < 1 || t.Stride > maxCount || len(t.Trace) == 0 || len(t.Trace) > cfg.MaxTrace+1 {
		return bad("trace")
	}
	if len(t.Entities) > cfg.MaxEntities || (cfg.Entities && int64(len(t.Entities)) != t.Events) {
		return bad("entities")
	}
	return nil
}

// Parse reads a state from JSON of at most 64 MB and resumes it.
func Parse(data []byte) (*Process, error) {
	if len(data) > 64<<20 {
		return nil, errors.New("canary: state is larger than 64 MB")
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("canary: state: %w", err)
	}
	return Resume(s)
}
