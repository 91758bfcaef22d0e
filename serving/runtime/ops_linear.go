package runtime

import (
	"fmt"
	"slices"
)

func makeMatMul(b *builder) (func(*frame) error, *LoadError) {
	return makeProduct(b, 2, false, false, 1, 1)
}

func makeGemm(b *builder) (func(*frame) error, *LoadError) {
	return makeProduct(b, 3, b.flag("transA", false), b.flag("transB", false), b.float("alpha", 1), b.float("beta", 1))
}

// makeProduct builds α·op(A)·op(B) + β·C for matrices.
func makeProduct(b *builder, inputs int, transA, transB bool, alpha, beta float32) (func(*frame) error, *LoadError) {
	if err := b.inputs(2, inputs); err != nil {
		return nil, err
	}
	c := -1
	for i, s := range b.in {
		if s < 0 {
			continue
		}
		if err := b.needType(i, Float32, Float64); err != nil {
			return nil, err
		}
		if b.typ(i) != b.typ(0) {
			return nil, refuse("cast them to one type", "its inputs have types %s and %s", b.typ(0), b.typ(i))
		}
		if i == 2 {
			c = s
		}
	}
	y, err := b.output(0, 1, b.typ(0))
	if err != nil {
		return nil, err
	}
	p := product{b.in[0], b.in[1], c, y, transA, transB, float64(alpha), float64(beta)}
	if b.typ(0) == Float32 {
		return func(f *frame) error { return multiply[float32](f, p) }, nil
	}
	return func(f *frame) error { return multiply[float64](f, p) }, nil
}

type product struct {
	a, b, c, y     int // slots; c is -1 when there is none
	transA, transB bool
	alpha, beta    float64
}

func multiply[E float](f *frame, p product) error {
	sa, sb := f.vals[p.a].Shape, f.vals[p.b].Shape
	if len(sa) != 2 || len(sb) != 2 {
		return fmt.Errorf("it multiplies matrices, got shapes %v and %v", sa, sb)
	}
	m, k, k2, n := sa[0], sa[1], sb[0], sb[1]
	rowA, colA, rowB, colB := k, 1, n, 1
	if p.transA {
		m, k, rowA, colA = k, m, 1, k
	}
	if p.transB {
		k2, n, rowB, colB = n, k2, 1, n
	}
	if k != k2 {
		return fmt.Errorf("shapes %v and %v cannot be multiplied", sa, sb)
	}
	a, b := *elems[E](&f.vals[p.a]), *elems[E](&f.vals[p.b])
	dst, err := out[E](f, p.y, m, n)
	if err != nil {
		return err
	}
	var add []E
	rowC, colC := 0, 0
	if p.c >= 0 {
		if add, rowC, colC, err = bias[E](&f.vals[p.c], m, n); err != nil {
			return err
		}
	}
	for i := range m {
		if i%ctxEvery == 0 && f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		for j := range n {
			sum := 0.0
			for t := range k {
				// The conversion forbids a fused multiply-add, which would round differently on other machines.
				sum += float64(float64(a[i*rowA+t*colA]) * float64(b[t*rowB+j*colB]))
			}
			sum *= p.alpha
			if add != nil {
				sum += float64(p.beta * float64(add[i*rowC+j*colC]))
			}
			dst[i*n+j] = E(sum)
		}
	}
	return nil
}

// bias reads C of Gemm, which repeats along dimensions of 1.
func bias[E float](t *Tensor, m, n int) (c []E, row, col int, err error) {
	c = *elems[E](t)
	dm, dn := 1, 1
	switch len(t.Shape) {
	case 0:
	case 1:
		dn = t.Shape[0]
	case 2:
		dm, dn = t.Shape[0], t.Shape[1]
	default:
		dm = -1
	}
	if (dm != 1 && dm != m) || (dn != 1 && dn != n) {
		return nil, 0, 0, fmt.Errorf("the shape %v cannot be added to [%d %d]", t.Shape, m, n)
	}
	if dn != 1 {
		col = 1
	}
	if dm != 1 {
		row = dn
	}
	return c, row, col, nil
}

// linear is X·coefᵀ + intercept with coef [targets × columns].
type linear struct {
	x             int // slot
	targets, cols int
	coef, base    []float64
	read          func(t *Tensor, row, cols int, dst []float64)
}

func (b *builder) linear(targets int) (*linear, *LoadError) {
	if err := b.inputs(1, 1); err != nil {
		return nil, err
	}
	if err := b.needType(0, Float32, Float64, Int64, Int32); err != nil {
		return nil, err
	}
	coef, base := b.floats("coefficients"), b.floats("intercepts")
	if targets < 1 || targets > maxTargets || len(coef) == 0 || len(coef)%targets != 0 {
		return nil, refuse(remedyReexport, "it has %d coefficients for %d targets", len(coef), targets)
	}
	if len(base) != 0 && len(base) != targets {
		return nil, refuse(remedyReexport, "it has %d intercepts for %d targets", len(base), targets)
	}
	l := &linear{x: b.in[0], targets: targets, cols: len(coef) / targets, coef: widen(coef), base: widen(base)}
	if l.base == nil {
		l.base = make([]float64, targets)
	}
	switch b.typ(0) {
	case Float32:
		l.read = readRow[float32]
	case Float64:
		l.read = readRow[float64]
	case Int64:
		l.read = readRow[int64]
	default:
		l.read = readRow[int32]
	}
	return l, nil
}

func readRow[E number](t *Tensor, row, cols int, dst []float64) {
	for i, v := range (*elems[E](t))[row*cols:][:cols] {
		dst[i] = float64(v)
	}
}

// each gives fn the scores of every row in turn.
func (l *linear) each(f *frame, rows int, fn func(row int, scores []float64)) error {
	t := &f.vals[l.x]
	work := make([]float64, l.cols+l.targets)
	x, scores := work[:l.cols], work[l.cols:]
	for r := range rows {
		if r%ctxEvery == 0 && f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		l.read(t, r, l.cols, x)
		for k := range scores {
			sum := l.base[k]
			for i, c := range l.coef[k*l.cols:][:l.cols] {
				sum += float64(x[i] * c) // not fused, see multiply
			}
			scores[k] = sum
		}
		fn(r, scores)
	}
	return nil
}

func (l *linear) rows(f *frame) (int, error) {
	rows, cols, err := matrix(f.vals[l.x].Shape)
	if err == nil && cols != l.cols {
		err = fmt.Errorf("%d columns for %d coefficients a target", cols, l.cols)
	}
	return rows, err
}

func makeLinearRegressor(b *builder) (func(*frame) error, *LoadError) {
	l, err := b.linear(int(min(max(b.int("targets", 1), 0), maxTargets+1)))
	if err != nil {
		return nil, err
	}
	post, err := b.post()
	if err != nil {
		return nil, err
	}
	if err := post.single(l.targets); err != nil {
		return nil, err
	}
	y, err := b.output(0, 1, Float32)
	return func(f *frame) error {
		rows, err := l.rows(f)
		if err != nil {
			return err
		}
		dst, err := out[float32](f, y, rows, l.targets)
		if err != nil {
			return err
		}
		return l.each(f, rows, func(r int, scores []float64) {
			post.apply(scores)
			for k, v := range scores {
				dst[r*l.targets+k] = float32(v)
			}
		})
	}, err
}

func makeLinearClassifier(b *builder) (func(*frame) error, *LoadError) {
	names, err := b.classLabels("classlabels_strings", "classlabels_ints")
	if err != nil {
		return nil, err
	}
	classes, targets := names.len(), names.len()
	if base := b.floats("intercepts"); classes == 2 && len(base) == 1 {
		targets = 1
	}
	l, err := b.linear(targets)
	if err != nil {
		return nil, err
	}
	b.int("multi_class", 0) // says how it was trained, not how it is evaluated
	post, err := b.post()
	if err != nil {
		return nil, err
	}
	if targets == 1 && post == postProbit {
		return nil, refuse("write one row of coefficients for each class", "PROBIT of a single score is not defined for two classes")
	}
	y, err := b.output(0, 2, names.typ())
	if err != nil {
		return nil, err
	}
	z, err := b.output(1, 2, Float32)
	return func(f *frame) error {
		rows, err := l.rows(f)
		if err != nil {
			return err
		}
		write, err := names.writer(f, y, rows)
		if err != nil {
			return err
		}
		dst, err := out[float32](f, z, rows, classes)
		if err != nil {
			return err
		}
		var pair [2]float64
		return l.each(f, rows, func(r int, s []float64) {
			class := argmax(s)
			if targets == 1 {
				class = 0
				if s[0] > 0 {
					class = 1
				}
				pair = twoScores(s[0], post, true)
				s = pair[:]
			} else {
				post.apply(s)
			}
			write(r, class)
			for k, v := range s {
				dst[r*classes+k] = float32(v)
			}
		})
	}, err
}

// classNames are the labels of a classifier: texts or numbers.
type classNames struct {
	strs []string
	ints []int64
}

// classLabels reads the labels; at least two, of one kind.
func (b *builder) classLabels(strs, ints string) (*classNames, *LoadError) {
	c := &classNames{slices.Clone(b.strs(strs)), slices.Clone(b.ints(ints))}
	if len(c.strs) > 0 && len(c.ints) > 0 {
		return nil, refuse("keep one of them", "%s and %s are both set", strs, ints)
	}
	if n := c.len(); n < 2 || n > maxTargets {
		return nil, refuse("give two or more labels", "it has %d class labels", n)
	}
	return c, nil
}

func (c *classNames) len() int { return len(c.strs) + len(c.ints) }

func (c *classNames) typ() Type {
	if len(c.strs) > 0 {
		return String
	}
	return Int64
}

// writer sizes slot y for one label a row and returns what sets one.
func (c *classNames) writer(f *frame, y, rows int) (func(row, class int), error) {
	if len(c.strs) > 0 {
		dst, err := out[string](f, y, rows)
		return func(row, class int) { dst[row] = c.strs[class] }, err
	}
	dst, err := out[int64](f, y, rows)
	return func(row, class int) { dst[row] = c.ints[class] }, err
}

// argmax is the first index of the greatest score.
func argmax(s []float64) int {
	best := 0
	for i, v := range s {
		if v > s[best] {
			best = i
		}
	}
	return best
}
