package canary

import (
	"errors"
	"fmt"
	"math"
)

func (c Config) withDefaults() Config {
	if c.Alpha == 0 {
		c.Alpha = .01
	}
	if c.Beta == 0 {
		c.Beta = .05
	}
	if c.HarmRatios == nil {
		c.HarmRatios = []float64{1.5, 2, 3, 5}
	}
	if c.SafeRatios == nil {
		c.SafeRatios = []float64{1, 1.2, 1.4}
	}
	if c.SafeLimit == 0 {
		c.SafeLimit = 2
	}
	if c.MaxEntities == 0 {
		c.MaxEntities = 100000
	}
	if c.MaxTrace == 0 {
		c.MaxTrace = 256
	}
	c.Deadline = c.Deadline.UTC().Round(0)
	c.Guardrails = append([]Guardrail(nil), c.Guardrails...)
	for i := range c.Guardrails {
		if c.Guardrails[i].EqualRatio == 0 {
			c.Guardrails[i].EqualRatio = 1
		}
	}
	c.HarmRatios = append([]float64(nil), c.HarmRatios...)
	c.SafeRatios = append([]float64(nil), c.SafeRatios...)
	return c
}

func (c Config) validate() error {
	if len(c.Guardrails) == 0 || len(c.Guardrails) > 64 {
		return fmt.Errorf("canary: guardrails: %d declared; declare 1 to 64", len(c.Guardrails))
	}
	seen := map[string]bool{}
	for i, g := range c.Guardrails {
		if g.Name == "" || len(g.Name) > 200 || seen[g.Name] {
			return fmt.Errorf("canary: guardrails[%d].name: %.60q is empty, too long or given twice", i, g.Name)
		}
		seen[g.Name] = true
		if !(g.EqualRatio >= 1e-3 && g.EqualRatio <= 1e3) {
			return fmt.Errorf("canary: guardrails[%s].equalRatio: %v is outside 0.001..1000", g.Name, g.EqualRatio)
		}
	}
	if !(c.Alpha >= 1e-12 && c.Alpha < .5) {
		return fmt.Errorf("canary: alpha: %v is outside 1e-12..0.5", c.Alpha)
	}
	if !(c.Beta >= 1e-12 && c.Beta < .5) {
		return fmt.Errorf("canary: beta: %v is outside 1e-12..0.5", c.Beta)
	}
	if !(c.SafeLimit > 1 && c.SafeLimit <= 100) {
		return fmt.Errorf("canary: safeLimit: %v is outside (1, 100]", c.SafeLimit)
	}
	if err := checkRatios("harmRatios", c.HarmRatios, 1, 1000); err != nil {
		return err
	}
	// A mixture over ratios above the limit would not be a supermartingale under the hypothesis it is to reject.
	if err := checkRatios("safeRatios", c.SafeRatios, 1e-3, c.SafeLimit); err != nil {
		return err
	}
	if c.MaxRequests < 0 || (c.MaxRequests == 0 && c.Deadline.IsZero()) {
		return errors.New("canary: maxRequests, deadline: give one of them, so that the test ends")
	}
	if c.MaxEntities < 1 || c.MaxEntities > 10000000 {
		return fmt.Errorf("canary: maxEntities: %d is outside 1..10000000", c.MaxEntities)
	}
	if c.MaxTrace < 16 || c.MaxTrace > 4096 {
		return fmt.Errorf("canary: maxTrace: %d is outside 16..4096", c.MaxTrace)
	}
	return nil
}

// checkRatios wants 1 to 16 ratios above low (harm) or at least low, and below high.
func checkRatios(name string, rs []float64, low, high float64) error {
	if len(rs) == 0 || len(rs) > 16 {
		return fmt.Errorf("canary: %s: %d given; give 1 to 16", name, len(rs))
	}
	for i, r := range rs {
		if !(r > low && r < high) || math.IsInf(r, 0) {
			return fmt.Errorf("canary: %s[%d]: %v is not between %v and %v", name, i, r, low, high)
		}
	}
	return nil
}
