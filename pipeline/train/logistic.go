package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize"
)

// ErrNoOptimum says that the likelihood has no finite, unique maximum, or that it was not reached.
var ErrNoOptimum = errors.New("no optimum")

// LogisticConfig configures Logistic. The zero value, with Names set, is plain maximum likelihood.
type LogisticConfig struct {
	Names         []string `json:"-" yaml:"-"`
	L2            float64  `json:"l2" yaml:"l2"`                         // penalty ½·L2·Σβ²; the intercept is free
	MaxIterations int      `json:"max_iterations" yaml:"max_iterations"` // 0: 500
}

// LogisticModel is P(y=1|x) = 1/(1+e^−(Intercept + x·Coefficients)).
type LogisticModel struct {
	Names        []string  `json:"names"`
	Intercept    float64   `json:"intercept"`
	Coefficients []float64 `json:"coefficients"`
	// StandardErrors are the square roots of the diagonal of the inverse Hessian of the (penalised) negative
	// log-likelihood: intercept first, then one per coefficient.
	StandardErrors []float64 `json:"standard_errors"`
	Means          []float64 `json:"means"` // of the training features: the reference point of linear attributions
	LogLikelihood  float64   `json:"log_likelihood"`
	L2             float64   `json:"l2"`
	Rows           int       `json:"rows"`
	Iterations     int       `json:"iterations"`
}

// AIC is 2·(number of coefficients, intercept included) − 2·log-likelihood.
func (m *LogisticModel) AIC() float64 { return 2*float64(len(m.Coefficients)+1) - 2*m.LogLikelihood }

// Algorithm implements Model.
func (m *LogisticModel) Algorithm() string { return "logistic_regression" }

// FeatureNames implements Model.
func (m *LogisticModel) FeatureNames() []string { return m.Names }

// Predict implements Model; it computes in 64-bit arithmetic, so it differs from the exported 32-bit graph by about 1e-6.
func (m *LogisticModel) Predict(rows [][]float64) ([]float64, error) {
	if err := checkWidth(rows, len(m.Coefficients)); err != nil {
		return nil, err
	}
	out := make([]float64, len(rows))
	for i, row := range rows {
		out[i] = sigmoid(m.Intercept + dot(m.Coefficients, row))
	}
	return out, nil
}

// Logistic fits a logistic regression: LBFGS on standardised features, then Newton steps to the end of 64-bit precision.
// labels holds 0 and 1. It fails with ErrNoOptimum when a feature does not vary, features are collinear, or the classes
// are separable and L2 is 0.
func Logistic(ctx context.Context, rows [][]float64, labels []float64, cfg LogisticConfig) (*LogisticModel, error) {
	width, err := checkData(rows, labels, cfg.Names, false)
	if err != nil {
		return nil, err
	}
	if !(cfg.L2 >= 0) || math.IsInf(cfg.L2, 0) || cfg.MaxIterations < 0 {
		return nil, fmt.Errorf("%w: l2 and max_iterations must not be negative", ErrInput)
	}
	if cfg.MaxIterations == 0 {
		cfg.MaxIterations = 500
	}
	p := newLogisticProblem(rows, labels, cfg.L2)
	for j, sd := range p.sds {
		if sd == 0 {
			return nil, fmt.Errorf("%w: feature %q has the same value in every row; exclude it or set l2 above 0", ErrNoOptimum, cfg.Names[j])
		}
	}
	theta, iterations, err := p.minimise(ctx, cfg)
	if err != nil {
		return nil, err
	}
	theta, inverse, err := p.polish(ctx, theta)
	if err != nil {
		return nil, err
	}
	m := &LogisticModel{
		Names: append([]string(nil), cfg.Names...), Coefficients: make([]float64, width),
		StandardErrors: make([]float64, width+1), Means: p.means, L2: cfg.L2, Rows: len(rows), Iterations: iterations,
	}
	// Back to the scale of the given features: β = γ/s, intercept α = γ₀ − Σ γm/s. Its variance is aᵀVa.
	back := make([]float64, width+1)
	back[0] = 1
	m.Intercept = theta[0]
	for j := range width {
		m.Coefficients[j] = theta[j+1] / p.sds[j]
		m.StandardErrors[j+1] = math.Sqrt(inverse.At(j+1, j+1)) / p.sds[j]
		back[j+1] = -p.means[j] / p.sds[j]
		m.Intercept += float64(theta[j+1] * back[j+1])
	}
	variance := 0.0
	for j := range back {
		for k := range back {
			variance += float64(float64(back[j]*back[k]) * inverse.At(j, k))
		}
	}
	m.StandardErrors[0] = math.Sqrt(variance)
	for i, row := range p.rows {
		m.LogLikelihood -= logLoss(p.margin(theta, row), labels[i])
	}
	return m, nil
}

// logisticProblem holds standardised rows; theta is the intercept followed by one coefficient per feature.
type logisticProblem struct {
	rows    [][]float64
	labels  []float64
	means   []float64
	sds     []float64
	penalty []float64 // per entry of theta: L2/s², so that the penalty is on the given features' coefficients
}

func newLogisticProblem(rows [][]float64, labels []float64, l2 float64) *logisticProblem {
	width := len(rows[0])
	p := &logisticProblem{
		labels: labels, means: make([]float64, width), sds: make([]float64, width), penalty: make([]float64, width+1),
		rows: make([][]float64, len(rows)),
	}
	n := float64(len(rows))
	for _, row := range rows {
		for j, v := range row {
			p.means[j] += v
		}
	}
	for j := range p.means {
		p.means[j] /= n
	}
	constant := make([]bool, width)
	for j := range constant {
		constant[j] = true
	}
	for _, row := range rows {
		for j, v := range row {
			d := v - p.means[j]
			p.sds[j] += float64(d * d)
			constant[j] = constant[j] && v == rows[0][j]
		}
	}
	for j := range p.sds {
		p.sds[j] = math.Sqrt(p.sds[j] / n)
		if constant[j] {
			// Rounding in the mean must not make a spread of its own. Under a penalty the coefficient is 0 at any scale.
			p.sds[j] = 0
			if l2 == 0 {
				continue
			}
			p.sds[j] = 1
		}
		p.penalty[j+1] = l2 / float64(p.sds[j]*p.sds[j])
	}
	backing := make([]float64, len(rows)*width)
	for i, row := range rows {
		p.rows[i] = backing[i*width : (i+1)*width : (i+1)*width]
		for j, v := range row {
			if !constant[j] {
				p.rows[i][j] = (v - p.means[j]) / p.sds[j]
			}
		}
	}
	return p
}

func (p *logisticProblem) margin(theta, row []float64) float64 { return theta[0] + dot(theta[1:], row) }

// loss is the mean penalised negative log-likelihood; the mean keeps the optimiser's tolerances free of the row count.
func (p *logisticProblem) loss(theta []float64) float64 {
	sum := 0.0
	for i, row := range p.rows {
		sum += logLoss(p.margin(theta, row), p.labels[i])
	}
	for j, t := range theta {
		sum += float64(float64(0.5*p.penalty[j]) * float64(t*t))
	}
	return sum / float64(len(p.rows))
}

func (p *logisticProblem) gradient(grad, theta []float64) {
	for j := range grad {
		grad[j] = float64(p.penalty[j] * theta[j])
	}
	for i, row := range p.rows {
		r := sigmoid(p.margin(theta, row)) - p.labels[i]
		grad[0] += r
		for j, v := range row {
			grad[j+1] += float64(r * v)
		}
	}
	for j := range grad {
		grad[j] /= float64(len(p.rows))
	}
}

// hessian is that of the sum, not of the mean: its inverse is the coefficients' covariance.
func (p *logisticProblem) hessian(theta []float64) *mat.SymDense {
	k := len(theta)
	h := make([]float64, k*k)
	x := make([]float64, k)
	x[0] = 1
	for _, row := range p.rows {
		copy(x[1:], row)
		q := sigmoid(p.margin(theta, row))
		w := float64(q * (1 - q))
		for a := range k {
			wa := float64(w * x[a])
			for b := a; b < k; b++ {
				h[a*k+b] += float64(wa * x[b])
			}
		}
	}
	for a := range k {
		h[a*k+a] += p.penalty[a]
	}
	return mat.NewSymDense(k, h)
}

func (p *logisticProblem) minimise(ctx context.Context, cfg LogisticConfig) ([]float64, int, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	problem := optimize.Problem{Func: p.loss, Grad: p.gradient, Status: func() (optimize.Status, error) {
		return optimize.NotTerminated, ctx.Err()
	}}
	settings := &optimize.Settings{GradientThreshold: 1e-9, MajorIterations: cfg.MaxIterations}
	result, err := optimize.Minimize(problem, make([]float64, len(p.penalty)), settings, &optimize.LBFGS{})
	if ctxErr := ctx.Err(); ctxErr != nil {
		return nil, 0, ctxErr
	}
	// A line search that can no longer improve in 64 bits ends with an error near the optimum; polish judges the point.
	if result == nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrNoOptimum, err)
	}
	return result.X, result.MajorIterations, nil
}

// polish takes Newton steps until the gradient is as small as rounding allows, and returns the inverse Hessian there.
// It fails where the maximum is not finite or not unique.
func (p *logisticProblem) polish(ctx context.Context, theta []float64) ([]float64, *mat.SymDense, error) {
	const (
		steps        = 25
		tolerance    = 1e-10 // on the mean gradient of standardised features
		maxCondition = 1e12
	)
	grad := make([]float64, len(theta))
	for range steps {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		var chol mat.Cholesky
		if !chol.Factorize(p.hessian(theta)) || chol.Cond() > maxCondition {
			return nil, nil, p.explain(theta)
		}
		p.gradient(grad, theta)
		if norm(grad) <= tolerance {
			if p.separates(theta) {
				return nil, nil, p.explain(theta)
			}
			inverse := mat.NewSymDense(len(theta), nil)
			if err := chol.InverseTo(inverse); err != nil {
				return nil, nil, fmt.Errorf("%w: %w", ErrNoOptimum, err)
			}
			return theta, inverse, nil
		}
		for j := range grad {
			grad[j] *= float64(len(p.rows)) // the Hessian is of the sum
		}
		step := mat.NewVecDense(len(theta), nil)
		if err := chol.SolveVecTo(step, mat.NewVecDense(len(grad), grad)); err != nil {
			return nil, nil, p.explain(theta)
		}
		theta = p.shorten(theta, step)
	}
	return nil, nil, fmt.Errorf("%w: not converged; raise max_iterations or set l2", ErrNoOptimum)
}

// shorten halves a Newton step until the loss does not grow beyond rounding.
func (p *logisticProblem) shorten(theta []float64, step *mat.VecDense) []float64 {
	before := p.loss(theta)
	next := make([]float64, len(theta))
	for scale := 1.0; scale > 1e-6; scale /= 2 {
		for j := range theta {
			next[j] = theta[j] - float64(scale*step.AtVec(j))
		}
		if p.loss(next) <= before+float64(1e-13*math.Abs(before)) {
			return next
		}
	}
	return theta
}

// separates reports whether theta puts every positive row above every negative one without a penalty to hold it: then
// the likelihood grows without end.
func (p *logisticProblem) separates(theta []float64) bool {
	lowest, highest := math.Inf(1), math.Inf(-1)
	for i, row := range p.rows {
		if m := p.margin(theta, row); p.labels[i] == 1 {
			lowest = math.Min(lowest, m)
		} else {
			highest = math.Max(highest, m)
		}
	}
	penalised := false
	for _, q := range p.penalty {
		penalised = penalised || q > 0
	}
	return lowest > highest && !penalised
}

func (p *logisticProblem) explain(theta []float64) error {
	if p.separates(theta) {
		return fmt.Errorf("%w: the features separate the classes perfectly; set l2 above 0", ErrNoOptimum)
	}
	return fmt.Errorf("%w: the features are collinear or nearly so, or separate the classes in part; drop one (drop_first for one-hot) or set l2 above 0", ErrNoOptimum)
}

func norm(v []float64) float64 {
	largest := 0.0
	for _, x := range v {
		largest = math.Max(largest, math.Abs(x))
	}
	return largest
}

// dot sums in order and rounds each product, so that no processor fuses multiplication and addition.
func dot(a, b []float64) float64 {
	sum := 0.0
	for j, v := range a {
		sum += float64(v * b[j])
	}
	return sum
}
