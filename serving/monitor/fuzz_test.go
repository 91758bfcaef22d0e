package monitor

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever bytes come in: an error, or a window that is assessed, merged and written again without a panic.
func FuzzParseWindow(f *testing.F) {
	rng := rand.New(rand.NewPCG(6, 6))
	rows := normalRows(rng, 100, 2, 0)
	r, err := NewReference(specs(2), rows, Options{Bins: 4, Baseline: &Baseline{Threshold: .5, AUC: .7, Brier: .2, Slope: 1}})
	if err != nil {
		f.Fatal(err)
	}
	c, _ := r.Counter()
	for i, row := range rows {
		_ = c.Row(time.Unix(int64(i), 0), row)
		c.Score(.5)
		_ = c.Label(.5, i%2 == 0)
	}
	good, _ := json.Marshal(c.Window())
	f.Add(good)
	f.Add([]byte(`{"schema":"affidavit.dev/drift-window/v1","counts":null}`))
	f.Add([]byte(`{"rows":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := ParseWindow(r, data)
		if err != nil {
			return
		}
		a, err := r.Assess(w, 0, Policy{MinRows: 1})
		if err != nil {
			t.Fatalf("parsed but not assessed: %v", err)
		}
		if _, err := json.Marshal(a); err != nil {
			t.Fatalf("an assessment with a value that is no number: %v", err)
		}
		if m, err := Merge(r.NewWindow(), w); err != nil || m.Digest() != w.Digest() {
			t.Fatalf("the empty window is not neutral: %v", err)
		}
	})
}

func FuzzParseReference(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 7))
	r, err := NewReference([]Spec{{"x", Numeric}, {"c", Categorical}}, [][]Value{
		{{Number: 1}, {Text: "a"}}, {{Number: 2}, {Text: "b"}}, {{Number: rng.Float64()}, {Missing: true}}}, Options{})
	if err != nil {
		f.Fatal(err)
	}
	good, _ := json.Marshal(r)
	f.Add(good)
	f.Add([]byte(`{"schema":"affidavit.dev/drift-reference/v1","rows":1,"features":[{"name":"x","kind":"numeric","edges":[1e308],"counts":[]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseReference(data)
		if err != nil {
			return
		}
		c, err := r.Counter()
		if err != nil {
			t.Fatal(err)
		}
		row := make([]Value, len(r.Features))
		for _, v := range []Value{{}, {Number: math.MaxFloat64}, {Number: math.NaN(), Text: "\xff"}, {Missing: true}} {
			for j := range row {
				row[j] = v
			}
			if err := c.Row(time.Time{}, row); err != nil {
				t.Fatal(err)
			}
		}
		c.Score(.25)
		if a, err := r.Assess(c.Window(), 0, Policy{MinRows: 1}); err != nil {
			t.Fatal(err)
		} else if _, err := json.Marshal(a); err != nil {
			t.Fatal(err)
		}
	})
}
