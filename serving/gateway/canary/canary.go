// Package canary decides, at any time and as often as one likes, whether a canary harms, is safe, or neither: an
// e-process per guardrail (Lindon, Ha, Raman and Zaidi 2022; Howard and Ramdas 2022; Johari et al. 2022).
//
// A guardrail is a kind of event: an error, a latency above a frozen limit, a prediction in a reference bin, later a
// wrong label. For each event only the arm is recorded, y = 1 for the canary. Requests are assigned at random, each with
// its own weight ρ for the canary, so if the two arms have event rates in the ratio r, then
//
//	P(y = 1 | event) = θ(r, ρ) = ρr / (1 − ρ + ρr),
//
// whatever the time of day. With r₀ the ratio of equal rates,
//
//	E_harm = mean_j Π_i [θ(r_j,ρ_i)/θ(r₀,ρ_i)]^y_i · [(1−θ(r_j,ρ_i))/(1−θ(r₀,ρ_i))]^(1−y_i)
//
// over r_j ∈ HarmRatios·r₀ is a non-negative supermartingale while the ratio is at most r₀, so it ever reaches m/α with
// probability at most α/m (Ville), and some of m guardrails with probability at most α. E_safe is the same against
// SafeLimit·r₀ with SafeRatios·r₀, a supermartingale while the ratio is at least that limit.
//
// Products are kept as sums of logarithms (nats), so nothing overflows and the state is exact in JSON.
package canary

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// Config is declared before the first request and never changed: choosing it afterwards would void the error bounds.
// Zero fields take the defaults in their comments.
type Config struct {
	Guardrails  []Guardrail `json:"guardrails"`        // at least one, at most 64, names unique
	Alpha       float64     `json:"alpha"`             // chance of a false rollback over the whole canary; default 0.01
	Beta        float64     `json:"beta"`              // chance of promoting a canary that is not safe; default 0.05
	HarmRatios  []float64   `json:"harmRatios"`        // > 1; default 1.5 2 3 5
	SafeRatios  []float64   `json:"safeRatios"`        // > 0, < SafeLimit; default 1 1.2 1.4
	SafeLimit   float64     `json:"safeLimit"`         // the ratio to be excluded before promotion; default 2
	MaxRequests int64       `json:"maxRequests"`       // deadline in assigned requests; 0 for none
	Deadline    time.Time   `json:"deadline,omitzero"` // deadline in time; zero for none. One of the two is required
	Entities    bool        `json:"entities"`          // count only the first event of an entity, per guardrail (clustered users)
	MaxEntities int         `json:"maxEntities"`       // remembered per guardrail, default 100000; later new entities are not counted
	MaxTrace    int         `json:"maxTrace"`          // points kept per guardrail; default 256, 16..4096
}

// Guardrail is one kind of event.
type Guardrail struct {
	Name string `json:"name"`
	// EqualRatio is r₀, the ratio of event rates that counts as equal: 1 unless the arms differ by design. 0 means 1.
	EqualRatio float64 `json:"equalRatio"`
	// RollbackOnly guardrails can roll back but are not waited for before promotion; for events too rare to prove safe.
	RollbackOnly bool `json:"rollbackOnly"`
}

// Arm is where a request was sent.
type Arm string

// The two arms.
const (
	Incumbent Arm = "incumbent"
	Canary    Arm = "canary"
)

// Verdict is what to do now.
type Verdict string

// Continue until one of the others. Inconclusive keeps the incumbent.
const (
	Continue     Verdict = "continue"
	Rollback     Verdict = "rollback"
	Promote      Verdict = "promote"
	Inconclusive Verdict = "inconclusive"
)

// ErrUnknown is returned for a guardrail that was not declared.
var ErrUnknown = errors.New("canary: guardrail was not declared")

// Decision is the verdict with its grounds. Once it is not Continue it never changes, and the state is frozen with it.
type Decision struct {
	Verdict   Verdict `json:"verdict"`
	Guardrail string  `json:"guardrail"` // that caused a rollback
	Requests  int64   `json:"requests"`  // assigned up to the decision
	Events    int64   `json:"events"`
	Reason    string  `json:"reason"`
}

// Process is one canary's test. It is safe for concurrent use; the order of observations does not change E, apart from
// the last bits of a sum and from which of two verdicts comes first.
type Process struct {
	mu sync.Mutex
	s  State
	by map[string]int
	// seen mirrors s.Tracks[i].Entities for lookup.
	seen []map[string]bool
}

// New starts a test. Errors name the field of Config at fault.
func New(cfg Config) (*Process, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := State{Schema: Schema, Config: cfg, Decision: Decision{Verdict: Continue}}
	for _, g := range cfg.Guardrails {
		s.Tracks = append(s.Tracks, newTrack(g.Name, cfg))
	}
	return assemble(s), nil
}

func assemble(s State) *Process {
	p := &Process{s: s, by: map[string]int{}, seen: make([]map[string]bool, len(s.Tracks))}
	for i := range s.Tracks {
		p.by[s.Tracks[i].Guardrail] = i
		p.seen[i] = map[string]bool{}
		for _, e := range s.Tracks[i].Entities {
			p.seen[i][e] = true
		}
	}
	return p
}

// Assign counts a request sent to an arm. It only feeds the deadline and the reports, never E.
func (p *Process) Assign(arm Arm) error {
	if err := arm.validate(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.s.Decision.Verdict != Continue {
		p.s.LateRequests++
		return nil
	}
	p.s.Requests++
	if arm == Canary {
		p.s.CanaryRequests++
	}
	if p.s.Config.MaxRequests > 0 && p.s.Requests >= p.s.Config.MaxRequests {
		p.judge(true, "request limit reached")
	}
	return nil
}

// Observe records one event of a guardrail in an arm, whose request was assigned to the canary with probability rho in
// (0, 1). The weight must have been fixed before the assignment was drawn. entity is ignored unless Config.Entities is
// set, and then required. It reports the decision after the event. Errors leave the state as it was.
func (p *Process) Observe(guardrail string, arm Arm, rho float64, entity string) (Decision, error) {
	if err := arm.validate(); err != nil {
		return Decision{}, err
	}
	if !(rho > 0 && rho < 1) {
		return Decision{}, fmt.Errorf("canary: rho %v is not strictly between 0 and 1; a request that could go to one arm only carries no evidence, do not observe it", rho)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.by[guardrail]
	if !ok {
		return Decision{}, fmt.Errorf("%w: %q", ErrUnknown, guardrail)
	}
	if p.s.Config.Entities && entity == "" {
		return Decision{}, errors.New("canary: entity: empty, but this test counts the first event of each; pass a stable id")
	}
	t := &p.s.Tracks[i]
	if p.s.Decision.Verdict != Continue {
		t.Late++
		return p.s.Decision, nil
	}
	if p.s.Config.Entities && !p.firstOf(i, entity) {
		return p.s.Decision, nil
	}
	t.add(p.s.Config, p.s.Config.Guardrails[i].EqualRatio, arm == Canary, rho, p.s.Requests)
	p.judge(false, "")
	return p.s.Decision, nil
}

// firstOf reports whether this event is its entity's first. Which events are skipped depends on earlier ones only, so the
// evidence stays valid when the memory is full.
func (p *Process) firstOf(i int, entity string) bool {
	t := &p.s.Tracks[i]
	e := entityHash(t.Guardrail, entity)
	if p.seen[i][e] {
		t.Repeated++
		return false
	}
	if len(t.Entities) >= p.s.Config.MaxEntities {
		t.Unremembered++
		return false
	}
	p.seen[i][e] = true
	t.Entities = append(t.Entities, e)
	return true
}

// Judge gives the decision at a time, which ends the test as inconclusive when it is past Config.Deadline.
func (p *Process) Judge(now time.Time) Decision {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.s.Config.Deadline; p.s.Decision.Verdict == Continue && !d.IsZero() && !now.Before(d) {
		p.judge(true, "deadline passed")
	}
	return p.s.Decision
}

// judge looks for harm first: evidence of both harm and safety is a rollback.
func (p *Process) judge(expired bool, why string) {
	if p.s.Decision.Verdict != Continue {
		return
	}
	d := Decision{Verdict: Continue, Requests: p.s.Requests}
	harm, safe := p.s.Config.harmBound(), p.s.Config.safeBound()
	promotable, waitedFor := true, 0
	for i, t := range p.s.Tracks {
		d.Events += t.Events
		if h := t.LogHarm(); h >= harm && d.Verdict == Continue {
			d.Verdict, d.Guardrail = Rollback, t.Guardrail
			d.Reason = fmt.Sprintf("%s: ln E_harm %.3f reached ln(m/alpha) %.3f", t.Guardrail, h, harm)
		}
		if !p.s.Config.Guardrails[i].RollbackOnly {
			waitedFor++
			promotable = promotable && t.LogSafe() >= safe
		}
	}
	switch {
	case d.Verdict == Rollback:
	case promotable && waitedFor > 0:
		d.Verdict, d.Reason = Promote, fmt.Sprintf("every ln E_safe reached ln(1/beta) %.3f", safe)
	case expired:
		d.Verdict, d.Reason = Inconclusive, why+"; the incumbent stays"
	default:
		return
	}
	p.s.Decision = d
	for i := range p.s.Tracks {
		p.s.Tracks[i].mark(p.s.Requests)
	}
}

// State is a copy, fit for JSON and for Resume.
func (p *Process) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.s.clone()
}

func (a Arm) validate() error {
	if a != Incumbent && a != Canary {
		return fmt.Errorf("canary: arm %q; use %q or %q", a, Incumbent, Canary)
	}
	return nil
}

// Theta is θ(r, ρ), the chance that an event comes from the canary.
func Theta(r, rho float64) float64 { return rho * r / (1 - rho + rho*r) }

func (c Config) harmBound() float64 { return math.Log(float64(len(c.Guardrails)) / c.Alpha) }
func (c Config) safeBound() float64 { return math.Log(1 / c.Beta) }
