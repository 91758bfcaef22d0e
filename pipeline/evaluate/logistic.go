package evaluate

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// FitLogistic fits P(y) = 1/(1 + exp(−offset − x·β)) by Newton's method with an L2 penalty ½·ridge·Σβ² on every column
// but the first, which is taken for the intercept. x has one slice per row, all of one length; offset may be nil. It
// returns β and the standard errors from the inverse information. Errors: shapes that differ, a singular design, or no
// convergence in 100 steps (separated classes without a ridge).
func FitLogistic(x [][]float64, y []bool, offset []float64, ridge float64) (beta, se []float64, err error) {
	if len(x) == 0 || len(x) != len(y) || (offset != nil && len(offset) != len(x)) {
		return nil, nil, fmt.Errorf("logistic: %d rows, %d labels, %d offsets", len(x), len(y), len(offset))
	}
	p := len(x[0])
	for i := range x {
		if len(x[i]) != p || p == 0 {
			return nil, nil, fmt.Errorf("logistic: row %d has %d columns, the first %d", i, len(x[i]), p)
		}
	}
	beta = make([]float64, p)
	loss := penalised(x, y, offset, ridge, beta)
	for iter := 0; iter < 100; iter++ {
		grad, info := score(x, y, offset, ridge, beta)
		var chol mat.Cholesky
		if !chol.Factorize(info) || chol.Cond() > 1e14 {
			return nil, nil, errors.New("logistic: singular design; drop collinear columns or add a ridge")
		}
		var d mat.VecDense
		if err := chol.SolveVecTo(&d, grad); err != nil {
			return nil, nil, fmt.Errorf("logistic: %w", err)
		}
		next, nextLoss, scale := make([]float64, p), math.Inf(1), 1.0
		for half := 0; half < 30 && !(nextLoss <= loss+1e-12*math.Abs(loss)); half++ {
			for j := range next {
				next[j] = beta[j] + scale*d.AtVec(j)
			}
			nextLoss = penalised(x, y, offset, ridge, next)
			scale /= 2
		}
		moved := 0.0
		for j := range next {
			moved = math.Max(moved, math.Abs(next[j]-beta[j])/(1+math.Abs(beta[j])))
		}
		beta, loss = next, nextLoss
		if moved < 1e-10 {
			return finish(x, y, offset, ridge, beta)
		}
	}
	return nil, nil, errors.New("logistic: no convergence in 100 steps; the classes may be separated: add a ridge")
}

func finish(x [][]float64, y []bool, offset []float64, ridge float64, beta []float64) ([]float64, []float64, error) {
	_, info := score(x, y, offset, ridge, beta)
	var chol mat.Cholesky
	var inv mat.SymDense
	if !chol.Factorize(info) || chol.InverseTo(&inv) != nil {
		return nil, nil, errors.New("logistic: singular information at the optimum; the classes may be separated: add a ridge")
	}
	se := make([]float64, len(beta))
	for j := range se {
		se[j] = math.Sqrt(inv.At(j, j))
	}
	return beta, se, nil
}

// score is the gradient of the penalised log-likelihood and the information at beta.
func score(x [][]float64, y []bool, offset []float64, ridge float64, beta []float64) (*mat.VecDense, *mat.SymDense) {
	p := len(beta)
	g, h := make([]float64, p), make([]float64, p*p)
	for i, row := range x {
		pr := sigmoid(linear(row, beta, offset, i))
		r, w := indicator(y[i])-pr, pr*(1-pr)
		for a, va := range row {
			if va == 0 {
				continue
			}
			g[a] += r * va
			for b := a; b < p; b++ {
				h[a*p+b] += w * va * row[b]
			}
		}
	}
	for a := 1; a < p; a++ {
		g[a] -= ridge * beta[a]
		h[a*p+a] += ridge
	}
	return mat.NewVecDense(p, g), mat.NewSymDense(p, h)
}

func penalised(x [][]float64, y []bool, offset []float64, ridge float64, beta []float64) float64 {
	loss := 0.0
	for i, row := range x {
		m := linear(row, beta, offset, i)
		if y[i] {
			m = -m
		}
		loss += math.Max(m, 0) + math.Log1p(math.Exp(-math.Abs(m)))
	}
	for _, b := range beta[1:] {
		loss += ridge * b * b / 2
	}
	return loss
}

func linear(row, beta, offset []float64, i int) float64 {
	m := 0.0
	if offset != nil {
		m = offset[i]
	}
	for j, v := range row {
		m += v * beta[j]
	}
	return m
}

func sigmoid(m float64) float64 { return 1 / (1 + math.Exp(-m)) }
