package evaluate

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// zOf is the two-sided normal quantile of a confidence level in (0, 1).
func zOf(confidence float64) float64 { return distuv.UnitNormal.Quantile(0.5 + confidence/2) }

// wilson is Wilson's score interval (1927) for x successes in n > 0 trials, as fractions.
func wilson(x, n int, z float64) Estimate {
	p, m := float64(x)/float64(n), float64(n)
	d := 1 + z*z/m
	mid := (p + z*z/(2*m)) / d
	half := z / d * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return Estimate{p, math.Max(0, math.Min(p, mid-half)), math.Min(1, math.Max(p, mid+half))}
}

// newcombe is the hybrid score interval for p1 − p2 of independent samples (Newcombe 1998, method 10).
func newcombe(x1, n1, x2, n2 int, z float64) Estimate {
	a, b := wilson(x1, n1, z), wilson(x2, n2, z)
	d := a.Value - b.Value
	low := d - math.Hypot(a.Value-a.Low, b.High-b.Value)
	high := d + math.Hypot(a.High-a.Value, b.Value-b.Low)
	return Estimate{d, low, high}
}

// riskRatio is p1 / p2 with the interval from SE(log) = √((1−p1)/x1 + (1−p2)/x2) (Katz 1978). When a count is zero, ½ is
// added to each count and 1 to each total for the interval only. It is nil when p2 is zero: the ratio has no value.
func riskRatio(x1, n1, x2, n2 int, z float64) *Estimate {
	if x2 == 0 {
		return nil
	}
	value := float64(x1) / float64(n1) / (float64(x2) / float64(n2))
	a, na, b, nb := float64(x1), float64(n1), float64(x2), float64(n2)
	if x1 == 0 {
		a, na, b, nb = a+.5, na+1, b+.5, nb+1
	}
	se := math.Sqrt((1-a/na)/a + (1-b/nb)/b)
	centre := a / na / (b / nb)
	low, high := centre*math.Exp(-z*se), centre*math.Exp(z*se)
	return &Estimate{value, math.Min(low, value), math.Max(high, value)}
}

// fisherExact is the two-sided p-value of the table [[a b] [c d]]: the sum of the hypergeometric probabilities not above
// the observed one, with a relative slack of 1e-7 so that equal tables are not lost to rounding.
func fisherExact(a, b, c, d int) float64 {
	n1, k, n := a+b, a+c, a+b+c+d
	lo, hi := max(0, k-(n-n1)), min(k, n1)
	logChoose := func(n, k int) float64 {
		x, _ := math.Lgamma(float64(n + 1))
		y, _ := math.Lgamma(float64(k + 1))
		z, _ := math.Lgamma(float64(n - k + 1))
		return x - y - z
	}
	total := logChoose(n, n1)
	prob := func(x int) float64 { return math.Exp(logChoose(k, x) + logChoose(n-k, n1-x) - total) }
	seen, sum := prob(a)*(1+1e-7), 0.0
	for x := lo; x <= hi; x++ {
		if p := prob(x); p <= seen {
			sum += p
		}
	}
	return math.Min(1, sum)
}

// meanCI is the mean of xs with a normal interval; nil below two values.
func meanCI(xs []float64, z float64) *Estimate {
	if len(xs) < 2 {
		return nil
	}
	n, sum := float64(len(xs)), 0.0
	for _, x := range xs {
		sum += x
	}
	m, ss := sum/n, 0.0
	for _, x := range xs {
		ss += (x - m) * (x - m)
	}
	se := math.Sqrt(ss / (n - 1) / n)
	return &Estimate{m, m - z*se, m + z*se}
}

func ptr(v float64) *float64 { return &v }

// ratio is x / n, nil when n is zero.
func ratio(x, n int) *float64 {
	if n == 0 {
		return nil
	}
	return ptr(float64(x) / float64(n))
}
