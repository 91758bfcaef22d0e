package runtime

// treeInput checks the input of a tree operator and whether thresholds or
// weights of type double would be rounded by evaluating in float32.
func (b *builder) treeInput(wide bool) *LoadError {
	if err := b.inputs(1, 1); err != nil {
		return err
	}
	if err := b.needType(0, Float32, Float64, Int64, Int32); err != nil {
		return err
	}
	if wide && b.typ(0) != Float64 {
		return refuse("cast the input to double or store the trees as float", "its trees are stored as double and its input is %s", b.typ(0))
	}
	return nil
}

// baseValues reads base_values: none, or one for each of n scores.
func (b *builder) baseValues(n int) ([]float64, bool, *LoadError) {
	base, wide := b.doubles("base_values")
	if len(base) != 0 && len(base) != n {
		return nil, false, refuse(remedyReexport, "it has %d base_values; none or %d are needed", len(base), n)
	}
	if len(base) == 0 {
		base = make([]float64, n)
	}
	return base, wide, nil
}

func makeTreeRegressor(b *builder) (func(*frame) error, *LoadError) {
	targets := int(min(max(b.int("n_targets", 1), 0), maxTargets+1))
	if targets < 1 || targets > maxTargets {
		return nil, refuse(remedyReexport, "it has %d targets", targets)
	}
	agg, err := b.aggregate()
	if err != nil {
		return nil, err
	}
	r, index, wide, err := b.parseNodes()
	if err != nil {
		return nil, err
	}
	wideW, err := b.parseWeights(r, index, "target", targets)
	if err != nil {
		return nil, err
	}
	base, wideB, err := b.baseValues(targets)
	if err != nil {
		return nil, err
	}
	p, err := b.post()
	if err != nil {
		return nil, err
	}
	if err := b.treeInput(wide || wideW || wideB); err != nil {
		return nil, err
	}
	if b.typ(0) == Float64 {
		return regressor[float64, float32](b, r, targets, agg, p, base)
	}
	return regressor[float32, float32](b, r, targets, agg, p, base)
}

// makeTreeEnsemble is the operator of version 5, whose scores have the type of
// its input.
func makeTreeEnsemble(b *builder) (func(*frame) error, *LoadError) {
	targets := int(min(max(b.int("n_targets", 1), 0), maxTargets+1))
	agg, p := b.int("aggregate_function", int64(aggSum)), b.int("post_transform", int64(postNone))
	if targets < 1 || targets > maxTargets || agg < 0 || agg > int64(aggMax) || p < 0 || p > int64(postProbit) {
		return nil, refuse(remedyReexport, "it has %d targets, aggregate_function %d, post_transform %d", targets, agg, p)
	}
	// The numbers of post_transform are NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO, PROBIT, as in post.
	r, wide, err := b.parseFlat(targets)
	if err != nil {
		return nil, err
	}
	if err := b.treeInput(wide); err != nil {
		return nil, err
	}
	if err := b.needType(0, Float32, Float64); err != nil {
		return nil, err
	}
	base := make([]float64, targets)
	if b.typ(0) == Float64 {
		return regressor[float64, float64](b, r, targets, aggregate(agg), post(p), base)
	}
	return regressor[float32, float32](b, r, targets, aggregate(agg), post(p), base)
}

// regressor evaluates in type T and yields scores of type O.
func regressor[T, O float](b *builder, r *rawForest, targets int, agg aggregate, p post, base []float64) (func(*frame) error, *LoadError) {
	if err := p.single(targets); err != nil {
		return nil, err
	}
	trees, err := layOut[T](r, targets, agg)
	if err != nil {
		return nil, err
	}
	y, err := b.output(0, 1, typeOf[O]())
	if err != nil {
		return nil, err
	}
	e := newForestRun(b, trees)
	return func(f *frame) error {
		rows, err := e.rows(f)
		if err != nil {
			return err
		}
		dst, err := out[O](f, y, rows, targets)
		if err != nil {
			return err
		}
		var buf [8]float64
		scores := append(buf[:0], base...)
		return e.each(f, false, func(row int, s []T, _ []bool) {
			for k, v := range s {
				scores[k] = float64(v + T(base[k]))
			}
			p.apply(scores)
			for k, v := range scores {
				dst[row*targets+k] = O(v)
			}
		})
	}, nil
}

// binaryForm is how the weights of a classifier of two classes are written.
type binaryForm uint8

const (
	manyClasses binaryForm = iota // three or more: a score each
	firstOnly                     // all weights belong to class 0: the score of class 1, as converters write it
	secondOnly                    // all weights belong to class 1
)

func makeTreeClassifier(b *builder) (func(*frame) error, *LoadError) {
	names, err := b.classLabels("classlabels_strings", "classlabels_int64s")
	if err != nil {
		return nil, err
	}
	r, index, wide, err := b.parseNodes()
	if err != nil {
		return nil, err
	}
	wideW, err := b.parseWeights(r, index, "class", names.len())
	if err != nil {
		return nil, err
	}
	p, err := b.post()
	if err != nil {
		return nil, err
	}
	form, positive, err := binary(r, names.len(), p)
	if err != nil {
		return nil, err
	}
	scores := names.len()
	if form == firstOnly {
		scores = 1
	}
	base, wideB, err := b.baseValues(scores)
	if err != nil {
		return nil, err
	}
	hasBase := b.has("base_values") || b.has("base_values_as_tensor")
	if form == secondOnly && hasBase {
		return nil, refuse("write the weights for class 0, as converters do", "runtimes disagree on base_values when all weights belong to the second of two classes")
	}
	if err := b.treeInput(wide || wideW || wideB); err != nil {
		return nil, err
	}
	c := classifier{names, scores, form, positive, p, base, hasBase}
	if b.typ(0) == Float64 {
		return treeClassifier[float64](b, r, c)
	}
	return treeClassifier[float32](b, r, c)
}

// binary finds the form of a classifier's weights; positive means that none is
// negative. Forms that runtimes answer in different ways are refused.
func binary(r *rawForest, classes int, p post) (form binaryForm, positive bool, err *LoadError) {
	var used [2]bool
	positive = true
	for i := range r.nodes {
		for _, w := range r.nodes[i].weights {
			positive = positive && !(w.value < 0)
			if w.target < 2 {
				used[w.target] = true
			}
		}
	}
	switch {
	case classes > 2:
		return manyClasses, positive, nil
	case used[0] && used[1]:
		return 0, false, refuse("write one weight a leaf, for class 0, holding the score of the second class, as converters do", "runtimes disagree on two classes with weights for both")
	case used[1]:
		return secondOnly, positive, nil
	}
	if p == postProbit {
		return 0, false, refuse("use post_transform NONE", "PROBIT of a single score is not defined for two classes")
	}
	return firstOnly, positive, nil
}

type classifier struct {
	names    *classNames
	scores   int // per row: 1 or the number of classes
	form     binaryForm
	positive bool
	post     post
	base     []float64
	hasBase  bool
}

func treeClassifier[T float](b *builder, r *rawForest, c classifier) (func(*frame) error, *LoadError) {
	trees, err := layOut[T](r, c.scores, aggSum)
	if err != nil {
		return nil, err
	}
	y, err := b.output(0, 2, c.names.typ())
	if err != nil {
		return nil, err
	}
	z, err := b.output(1, 2, Float32)
	if err != nil {
		return nil, err
	}
	e, classes := newForestRun(b, trees), c.names.len()
	return func(f *frame) error {
		rows, err := e.rows(f)
		if err != nil {
			return err
		}
		label, err := c.names.writer(f, y, rows)
		if err != nil {
			return err
		}
		dst, err := out[float32](f, z, rows, classes)
		if err != nil {
			return err
		}
		var buf [8]float64
		row := append(buf[:0], make([]float64, classes)...)
		return e.each(f, c.form == manyClasses && !c.hasBase, func(i int, s []T, has []bool) {
			for k, v := range s {
				row[k] = float64(v + T(c.base[k]))
			}
			label(i, c.finish(row, has))
			for k, v := range row {
				dst[i*classes+k] = float32(v)
			}
		})
	}, nil
}

// finish turns the scores of a row into what the operator yields and returns
// the position of its label. has says which scores a leaf contributed to; nil
// stands for all of them.
func (c *classifier) finish(row []float64, has []bool) int {
	limit := 0.0
	if c.positive {
		limit = 0.5
	}
	class := 0
	switch c.form {
	case firstOnly:
		if row[0] > limit {
			class = 1
		}
		pair := twoScores(row[0], c.post, c.positive)
		copy(row, pair[:])
		return class
	case secondOnly:
		if row[1] > limit {
			class = 1
		}
	default:
		if has != nil {
			class = argmaxHas(row, has)
		} else {
			class = argmax(row)
		}
	}
	c.post.apply(row)
	return class
}
