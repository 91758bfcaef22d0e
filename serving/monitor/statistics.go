package monitor

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// psiFloor stands for the share of an empty slot, so that its logarithm is finite.
const psiFloor = 1e-4

// PSI is Σ (w − r)·ln(w / r) over the shares of two count vectors of one length; a slot empty in both is left out, one
// empty in either counts as a share of 1e-4.
func PSI(reference, window []int64) float64 {
	n, m := total(reference), total(window)
	if n == 0 || m == 0 {
		return 0
	}
	psi := 0.0
	for k := range reference {
		if reference[k] == 0 && window[k] == 0 {
			continue
		}
		r := math.Max(float64(reference[k])/n, psiFloor)
		w := math.Max(float64(window[k])/m, psiFloor)
		psi += (w - r) * math.Log(w/r)
	}
	return psi
}

// JSDistance is √JSD with logarithms to base 2, in [0, 1].
func JSDistance(reference, window []int64) float64 {
	n, m := total(reference), total(window)
	if n == 0 || m == 0 {
		return 0
	}
	part := func(p, mid float64) float64 {
		if p == 0 {
			return 0
		}
		return p * math.Log2(p/mid) / 2
	}
	d := 0.0
	for k := range reference {
		r, w := float64(reference[k])/n, float64(window[k])/m
		d += part(r, (r+w)/2) + part(w, (r+w)/2)
	}
	return math.Sqrt(math.Min(1, math.Max(0, d)))
}

// leastExpected is the expected count below which a slot is pooled before the chi-square test.
const leastExpected = 5

// ChiSquare tests that two count vectors have one distribution: the statistic, its degrees of freedom and p. Slots whose
// expected count in either sample is below 5 are pooled into one, and that one, if still small, into the smallest other.
// With fewer than two slots left there is nothing to test and p is 1.
func ChiSquare(reference, window []int64) (stat float64, degrees int, p float64) {
	n, m := total(reference), total(window)
	if n == 0 || m == 0 {
		return 0, 0, 1
	}
	var cells [][2]float64
	var pool [2]float64
	small := func(c [2]float64) bool { return (c[0]+c[1])*math.Min(n, m)/(n+m) < leastExpected }
	for k := range reference {
		c := [2]float64{float64(reference[k]), float64(window[k])}
		if small(c) {
			pool[0], pool[1] = pool[0]+c[0], pool[1]+c[1]
		} else {
			cells = append(cells, c)
		}
	}
	switch {
	case pool[0]+pool[1] == 0:
	case !small(pool) || len(cells) == 0:
		cells = append(cells, pool)
	default:
		least := 0
		for k, c := range cells {
			if c[0]+c[1] < cells[least][0]+cells[least][1] {
				least = k
			}
		}
		cells[least][0] += pool[0]
		cells[least][1] += pool[1]
	}
	if len(cells) < 2 {
		return 0, 0, 1
	}
	for _, c := range cells {
		d := math.Sqrt(m/n)*c[0] - math.Sqrt(n/m)*c[1]
		stat += d * d / (c[0] + c[1])
	}
	degrees = len(cells) - 1
	return stat, degrees, distuv.ChiSquared{K: float64(degrees)}.Survival(stat)
}

// KolmogorovSmirnov is the greatest distance of two cumulative shares at the slots' ends, with the asymptotic p-value
// (Stephens 1970). On binned data the distance is at most the unbinned one, so p is conservative.
func KolmogorovSmirnov(reference, window []int64) (d, p float64) {
	n, m := total(reference), total(window)
	if n == 0 || m == 0 {
		return 0, 1
	}
	a, b := 0.0, 0.0
	for k := range reference {
		a += float64(reference[k]) / n
		b += float64(window[k]) / m
		d = math.Max(d, math.Abs(a-b))
	}
	root := math.Sqrt(n * m / (n + m))
	return d, kolmogorov((root + .12 + .11/root) * d)
}

// kolmogorov is 2·Σ (−1)^(k−1)·exp(−2k²λ²); below λ = 0.2 it is 1 to twelve digits, where the series converges slowly.
func kolmogorov(lambda float64) float64 {
	if lambda < .2 {
		return 1
	}
	sum, sign := 0.0, 1.0
	for k := 1.0; k <= 100; k++ {
		term := math.Exp(-2 * k * k * lambda * lambda)
		sum += sign * term
		sign = -sign
		if term < 1e-16 {
			break
		}
	}
	return math.Min(1, math.Max(0, 2*sum))
}

// BenjaminiHochberg turns p-values into q-values: the least false discovery rate at which each would be rejected.
func BenjaminiHochberg(p []float64) []float64 {
	idx := make([]int, len(p))
	for i := range idx {
		idx[i] = i
	}
	sort.SliceStable(idx, func(a, b int) bool { return p[idx[a]] < p[idx[b]] })
	q, least := make([]float64, len(p)), 1.0
	for k := len(idx) - 1; k >= 0; k-- {
		least = math.Min(least, p[idx[k]]*float64(len(p))/float64(k+1))
		q[idx[k]] = least
	}
	return q
}

func total(c []int64) float64 {
	s := int64(0)
	for _, n := range c {
		s += n
	}
	return float64(s)
}
