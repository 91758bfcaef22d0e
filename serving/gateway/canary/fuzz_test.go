package canary

import (
	"encoding/json"
	"testing"
	"time"
)

// Whatever bytes come in: an error, or a test that goes on, ends and is written again without a panic.
func FuzzParse(f *testing.F) {
	p, err := New(Config{MaxRequests: 100, Entities: true, Guardrails: []Guardrail{{Name: "a"}, {Name: "b", RollbackOnly: true}}})
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < 20; i++ {
		_ = p.Assign(armOf(i%3 == 0))
		_, _ = p.Observe("a", armOf(i%3 == 0), .3, string(rune('a'+i)))
	}
	good, _ := json.Marshal(p.State())
	f.Add(good)
	f.Add([]byte(`{"schema":"affidavit.dev/canary-state/v1","tracks":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			return
		}
		for _, g := range p.State().Config.Guardrails {
			if _, err := p.Observe(g.Name, Canary, .5, "someone new"); err != nil {
				t.Fatal(err)
			}
		}
		p.Judge(time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC))
		again, err := json.Marshal(p.State())
		if err != nil {
			t.Fatalf("a state that is not JSON: %v", err)
		}
		if _, err := Parse(again); err != nil {
			t.Fatalf("a state that this code wrote is refused: %v", err)
		}
	})
}
