package train

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func fitLogistic(t testing.TB, names []string, rows [][]float64, labels []float64, l2 float64) *LogisticModel {
	t.Helper()
	m, err := Logistic(context.Background(), rows, labels, LogisticConfig{Names: names, L2: l2})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func predict(t testing.TB, m Model, rows [][]float64) []float64 {
	t.Helper()
	p, err := m.Predict(rows)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Stock & Watson, Introduction to Econometrics, equation 11.10: −4.13 + 5.37 P/I + 1.27 black; to four decimals as R's
// glm gives it on these rows. An analysis of the label, not a governed model: it takes race as an input.
func TestLogisticPublishedMortgageEquation(t *testing.T) {
	_, columns := readColumns(t, lendingCSV)
	names, rows := design(t, columns, []string{"pirat", "afam"})
	m := fitLogistic(t, names, rows, binary(columns["deny"], "yes"), 0)
	for k, pair := range [][2]float64{{m.Intercept, -4.1256}, {m.Coefficients[0], 5.3704}, {m.Coefficients[1], 1.2728}} {
		if math.Abs(pair[0]-pair[1]) > 5.1e-5 {
			t.Errorf("coefficient %d: %.6f, published %.4f", k, pair[0], pair[1])
		}
	}
}

func TestLogisticFullMortgageModel(t *testing.T) {
	names, rows, labels := lendingData(t, true)
	m := fitLogistic(t, names, rows, labels, 0)
	if len(m.Coefficients) != 13 {
		t.Fatalf("%d coefficients", len(m.Coefficients))
	}
	if got := m.AIC(); math.Abs(got-1293.544) > 5.1e-4 {
		t.Errorf("AIC %.4f, R's glm gives 1293.544", got)
	}
	if got := auc(predict(t, m, rows), labels); math.Abs(got-.8306) > .002 {
		t.Errorf("AUC %.5f, R gives .8306", got)
	}
	// At the maximum with an intercept, mean prediction equals the rate of the label.
	sum := 0.0
	for _, p := range predict(t, m, rows) {
		sum += p
	}
	if math.Abs(sum-285) > 1e-6 {
		t.Errorf("expected denials %.8f, observed 285", sum)
	}
}

func TestLogisticGermanCredit(t *testing.T) {
	header, columns := readColumns(t, testDataFile(t, "german_credit.csv"))
	var use []string
	for _, name := range header {
		if name != "credit_risk" {
			use = append(use, name)
		}
	}
	names, rows := design(t, columns, use)
	labels := binary(columns["credit_risk"], "bad")
	// In these data one marital status is exactly "female", so sex adds no information and the coefficients are not
	// unique. R's glm drops such a column silently; here somebody has to say which one.
	if _, err := Logistic(context.Background(), rows, labels, LogisticConfig{Names: names}); !errors.Is(err, ErrNoOptimum) || !strings.Contains(err.Error(), "collinear") {
		t.Errorf("aliased columns: %v", err)
	}
	names, rows = design(t, columns, slices.DeleteFunc(use, func(name string) bool { return name == "sex" }))
	m := fitLogistic(t, names, rows, labels, 0)
	if got := auc(predict(t, m, rows), labels); math.Abs(got-.8338) > .0005 {
		t.Errorf("AUC %.5f, R gives .8338", got)
	}
}

// newton is a plain second implementation: Newton's method on the raw features, solved by Gaussian elimination. It
// returns the coefficients, intercept first, and their standard errors.
func newton(rows [][]float64, labels []float64, l2 float64) (theta, errs []float64) {
	k := len(rows[0]) + 1
	theta = make([]float64, k)
	for iteration := 0; ; iteration++ {
		// [H | g | I], reduced to [I | H⁻¹g | H⁻¹].
		a := make([][]float64, k)
		for r := range a {
			a[r] = make([]float64, 2*k+1)
			a[r][k+1+r] = 1
			if r > 0 {
				a[r][r] = l2
				a[r][k] = -l2 * theta[r]
			}
		}
		for i, row := range rows {
			x := append([]float64{1}, row...)
			z := 0.0
			for j := range x {
				z += x[j] * theta[j]
			}
			p := 1 / (1 + math.Exp(-z))
			for r := range x {
				for c := range x {
					a[r][c] += p * (1 - p) * x[r] * x[c]
				}
				a[r][k] += (labels[i] - p) * x[r]
			}
		}
		for c := range k {
			pivot := c
			for r := c; r < k; r++ {
				if math.Abs(a[r][c]) > math.Abs(a[pivot][c]) {
					pivot = r
				}
			}
			a[c], a[pivot] = a[pivot], a[c]
			for j := len(a[c]) - 1; j >= c; j-- {
				a[c][j] /= a[c][c]
			}
			for r := range a {
				if r != c {
					f := a[r][c]
					for j := c; j < len(a[r]); j++ {
						a[r][j] -= f * a[c][j]
					}
				}
			}
		}
		if iteration == 30 {
			for r := range k {
				errs = append(errs, math.Sqrt(a[r][k+1+r]))
			}
			return theta, errs
		}
		for r := range k {
			theta[r] += a[r][k]
		}
	}
}

func TestLogisticAgreesWithPlainNewton(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	for _, l2 := range []float64{0, .5, 40} {
		rows := make([][]float64, 300)
		labels := make([]float64, 300)
		for i := range rows {
			rows[i] = []float64{random.NormFloat64(), 1000 + 50*random.NormFloat64(), .01 * random.NormFloat64(), float64(random.IntN(2))}
			z := rows[i][0] - .02*(rows[i][1]-1000) + 60*rows[i][2] - .5
			if random.Float64() < sigmoid(z) {
				labels[i] = 1
			}
		}
		m := fitLogistic(t, []string{"a", "b", "c", "d"}, rows, labels, l2)
		want, errs := newton(rows, labels, l2)
		got := append([]float64{m.Intercept}, m.Coefficients...)
		for j := range want {
			if math.Abs(got[j]-want[j]) > 1e-7*(1+math.Abs(want[j])) {
				t.Errorf("l2 %v, coefficient %d: %.10f, plain Newton %.10f", l2, j, got[j], want[j])
			}
			if math.Abs(m.StandardErrors[j]-errs[j]) > 1e-5*errs[j] {
				t.Errorf("l2 %v, standard error %d: %.8f, plain Newton %.8f", l2, j, m.StandardErrors[j], errs[j])
			}
		}
	}
}

func TestLogisticGradientIsTheSlope(t *testing.T) {
	names, rows, labels := lendingData(t, false)
	p := newLogisticProblem(rows, labels, 2)
	theta := make([]float64, len(names)+1)
	for j := range theta {
		theta[j] = .1*float64(j%5) - .2
	}
	grad := make([]float64, len(theta))
	p.gradient(grad, theta)
	const h = 1e-5
	for j := range theta {
		at := theta[j]
		theta[j] = at + h
		up := p.loss(theta)
		theta[j] = at - h
		down := p.loss(theta)
		theta[j] = at
		if slope := (up - down) / (2 * h); math.Abs(slope-grad[j]) > 1e-8 {
			t.Errorf("gradient %d: %v, slope %v", j, grad[j], slope)
		}
	}
}

func TestLogisticRefuses(t *testing.T) {
	ok := [][]float64{{1, 2}, {2, 1}, {3, 3}, {1.5, 4}}
	y := []float64{0, 1, 0, 1}
	names := []string{"a", "b"}
	for _, c := range []struct {
		name   string
		rows   [][]float64
		labels []float64
		cfg    LogisticConfig
		is     error
		want   string
	}{
		{"no rows", nil, nil, LogisticConfig{Names: names}, ErrInput, "0 rows"},
		{"labels short", ok, y[:3], LogisticConfig{Names: names}, ErrInput, "3 labels for 4 rows"},
		{"ragged", [][]float64{{1, 2}, {1}, {3, 3}, {1, 4}}, y, LogisticConfig{Names: names}, ErrInput, "row 2 has 1 features"},
		{"NaN", [][]float64{{1, 2}, {1, math.NaN()}, {3, 3}, {1, 4}}, y, LogisticConfig{Names: names}, ErrInput, `row 2, feature "b" is NaN`},
		{"label 2", ok, []float64{0, 1, 2, 1}, LogisticConfig{Names: names}, ErrInput, "label of row 3 is 2"},
		{"one class", ok, []float64{1, 1, 1, 1}, LogisticConfig{Names: names}, ErrInput, "both classes"},
		{"names", ok, y, LogisticConfig{Names: []string{"a"}}, ErrInput, "names has 1 entries"},
		{"negative l2", ok, y, LogisticConfig{Names: names, L2: -1}, ErrInput, "l2"},
		{"NaN l2", ok, y, LogisticConfig{Names: names, L2: math.NaN()}, ErrInput, "l2"},
		{"constant", [][]float64{{.1, 2}, {.1, 1}, {.1, 3}, {.1, 4}}, y, LogisticConfig{Names: names}, ErrNoOptimum, `feature "a" has the same value`},
		{"collinear", [][]float64{{1, 2}, {2, 4}, {3, 6}, {1.5, 3}, {0, 0}}, []float64{0, 1, 0, 1, 1}, LogisticConfig{Names: names}, ErrNoOptimum, "collinear"},
		{"separable", [][]float64{{1, 2}, {2, 1}, {3, 3}, {4, 2}}, []float64{0, 0, 1, 1}, LogisticConfig{Names: names}, ErrNoOptimum, "separate the classes perfectly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Logistic(context.Background(), c.rows, c.labels, c.cfg)
			if m != nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	// A penalty makes both of the last solvable.
	if _, err := Logistic(context.Background(), [][]float64{{1, 2}, {2, 1}, {3, 3}, {4, 2}}, []float64{0, 0, 1, 1}, LogisticConfig{Names: names, L2: .1}); err != nil {
		t.Errorf("separable with a penalty: %v", err)
	}
	m, err := Logistic(context.Background(), [][]float64{{.1, 2}, {.1, 1}, {.1, 3}, {.1, 4}}, y, LogisticConfig{Names: names, L2: .1})
	if err != nil || m.Coefficients[0] != 0 {
		t.Errorf("constant with a penalty: %+v %v", m, err)
	}
	// Perfect separation of part of the rows only (quasi-separation) has no finite maximum either.
	quasi := [][]float64{{1, 0}, {2, 0}, {3, 0}, {1.5, 0}, {2, 1}, {3, 1}}
	if _, err := Logistic(context.Background(), quasi, []float64{0, 1, 0, 1, 1, 1}, LogisticConfig{Names: names}); !errors.Is(err, ErrNoOptimum) {
		t.Errorf("quasi-separation: %v", err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Logistic(cancelled, ok, y, LogisticConfig{Names: names}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := fitLogistic(t, names, ok, y, 1).Predict([][]float64{{1, 2}, {1}}); err == nil || !strings.Contains(err.Error(), "row 2 has 1 features") {
		t.Errorf("predict with a short row: %v", err)
	}
}
