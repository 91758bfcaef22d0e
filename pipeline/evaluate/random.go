package evaluate

import (
	"math"
	"math/rand/v2"
)

// source is a seeded stream. Uniforms and normals are derived here from the generator's raw words, because only those
// are fixed for good: a report must have the same bytes under a later toolchain.
type source struct{ pcg *rand.PCG }

// newSource opens the stream of one purpose; two purposes never share draws, so adding one does not move another.
func newSource(seed uint64, purpose string) source {
	h := uint64(14695981039346656037) // FNV-1a
	for i := 0; i < len(purpose); i++ {
		h = (h ^ uint64(purpose[i])) * 1099511628211
	}
	return source{rand.NewPCG(seed, h)}
}

// uniform is in [0, 1), 53 bits.
func (s source) uniform() float64 { return float64(s.pcg.Uint64()>>11) / (1 << 53) }

// below is in [0, n), n > 0. The bias of the multiplication is under n / 2^53.
func (s source) below(n int) int { return int(s.uniform() * float64(n)) }

// normal is a standard normal by Box and Muller.
func (s source) normal() float64 {
	u := 1 - s.uniform() // (0, 1]
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*s.uniform())
}

// binomial counts n uniforms below p: the same law as resampling n rows of which a share p succeed.
func (s source) binomial(n int, p float64) int {
	x := 0
	for i := 0; i < n; i++ {
		if s.uniform() < p {
			x++
		}
	}
	return x
}

// sample is k of 0..n-1 without replacement, ascending.
func (s source) sample(n, k int) []int {
	out := make([]int, 0, k)
	for i := 0; i < n && len(out) < k; i++ {
		if s.uniform()*float64(n-i) < float64(k-len(out)) {
			out = append(out, i)
		}
	}
	return out
}

// permutation is 0..n-1 shuffled (Fisher and Yates).
func (s source) permutation(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := s.below(i + 1)
		p[i], p[j] = p[j], p[i]
	}
	return p
}
