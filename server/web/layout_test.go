package web

import (
	"math"
	"math/rand/v2"
	"testing"
)

func randomDAG(rng *rand.Rand, n int) [][2]int {
	var edges [][2]int
	for to := 1; to < n; to++ {
		for range rng.IntN(3) {
			from := rng.IntN(to)
			duplicate := false
			for _, e := range edges {
				duplicate = duplicate || e == [2]int{from, to}
			}
			if !duplicate {
				edges = append(edges, [2]int{from, to})
			}
		}
	}
	return edges
}

func TestLayoutHoldsItsInvariants(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		n := 1 + rng.IntN(40)
		edges := randomDAG(rng, n)
		d := layOut(n, edges)
		if len(d.chains) != len(edges) {
			t.Fatalf("%d chains for %d edges", len(d.chains), len(edges))
		}
		for i, e := range edges {
			c := d.chains[i]
			if c[0] != e[0] || c[len(c)-1] != e[1] {
				t.Fatalf("chain %v of edge %v", c, e)
			}
			for k := range c[1:] {
				if d.vertices[c[k+1]].layer != d.vertices[c[k]].layer+1 {
					t.Fatalf("chain %v jumps a layer", c)
				}
			}
		}
		for _, layer := range d.layers {
			for k := 1; k < len(layer); k++ {
				a, b := layer[k-1], layer[k]
				room := d.vertices[b].y - d.vertices[a].y - d.heightOf(a)/2 - d.heightOf(b)/2
				if room < gapY-1e-6 {
					t.Fatalf("vertices %d and %d overlap: room %f", a, b, room)
				}
			}
		}
		for i, v := range d.vertices {
			top, bottom := v.y-d.heightOf(i)/2, v.y+d.heightOf(i)/2
			if top < 0 || bottom > d.height || v.x < 0 || !v.dummy && v.x+boxW > d.width {
				t.Fatalf("vertex %d leaves the drawing", i)
			}
		}
	}
}

func TestLayoutIsDeterministic(t *testing.T) {
	edges := randomDAG(rand.New(rand.NewPCG(3, 4)), 30)
	a, b := layOut(30, edges), layOut(30, edges)
	for i := range a.vertices {
		if a.vertices[i].x != b.vertices[i].x || a.vertices[i].y != b.vertices[i].y {
			t.Fatal("two runs differ")
		}
	}
}

// TestCrossingsAgainstGeometry counts by testing every pair of segments.
func TestCrossingsAgainstGeometry(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		n := 5 + rng.IntN(20)
		d := layOut(n, randomDAG(rng, n))
		pos := make([]int, len(d.vertices))
		for _, l := range d.layers {
			for i, v := range l {
				pos[v] = i
			}
		}
		type segment struct{ layer, a, b int }
		var all []segment
		for v := range d.vertices {
			for _, w := range d.vertices[v].out {
				all = append(all, segment{d.vertices[v].layer, pos[v], pos[w]})
			}
		}
		want := 0
		for i, s := range all {
			for _, u := range all[i+1:] {
				if s.layer == u.layer && (s.a-u.a)*(s.b-u.b) < 0 {
					want++
				}
			}
		}
		if got := d.crossings(pos); got != want {
			t.Fatalf("%d crossings, geometry says %d", got, want)
		}
	}
}

func TestOrderingRemovesAvoidableCrossings(t *testing.T) {
	// Two interleaved paths, given crossed: 0→3, 1→2, 2→5, 3→4.
	d := layOut(6, [][2]int{{0, 3}, {1, 2}, {2, 5}, {3, 4}})
	pos := make([]int, len(d.vertices))
	for _, l := range d.layers {
		for i, v := range l {
			pos[v] = i
		}
	}
	if n := d.crossings(pos); n != 0 {
		t.Fatalf("%d crossings are left", n)
	}
}

// TestIsotonicAgainstMinMax uses the min-max formula of isotonic regression:
// z_i = max over j ≤ i of min over k ≥ i of mean(x_j..x_k).
func TestIsotonicAgainstMinMax(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		x := make([]float64, 1+rng.IntN(12))
		for i := range x {
			x[i] = math.Round(rng.Float64()*40) / 4
		}
		got := isotonic(x)
		for i := range x {
			want := math.Inf(-1)
			for j := 0; j <= i; j++ {
				least := math.Inf(1)
				for k := i; k < len(x); k++ {
					sum := 0.0
					for _, v := range x[j : k+1] {
						sum += v
					}
					least = min(least, sum/float64(k-j+1))
				}
				want = max(want, least)
			}
			if math.Abs(got[i]-want) > 1e-9 {
				t.Fatalf("x=%v i=%d: %f, want %f", x, i, got[i], want)
			}
		}
	}
}
