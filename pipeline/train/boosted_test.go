package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func fitBoosted(t testing.TB, names []string, rows [][]float64, labels []float64, cfg BoostedConfig) *BoostedModel {
	t.Helper()
	cfg.Names = names
	m, err := Boosted(context.Background(), rows, labels, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// exactBooster is a plain second implementation for the test below: it tries every threshold between distinct values by
// partitioning the rows anew, recursively and depth first, and adds its leaf weights straight to the margins.
type exactBooster struct {
	rows           [][]float64
	grad, hess     []float64
	margins        []float64
	cfg            BoostedConfig
	leaves, splits int
}

func (e *exactBooster) sums(rows []int) (g, h float64) {
	for _, i := range rows {
		g += e.grad[i]
		h += e.hess[i]
	}
	return g, h
}

func (e *exactBooster) grow(rows []int, depth int) {
	g, h := e.sums(rows)
	bestGain := 1e-9
	var bestLeft, bestRight []int
	if depth < e.cfg.MaxDepth {
		for j := range e.rows[0] {
			for _, at := range rows {
				threshold := e.rows[at][j]
				var left, right []int
				for _, i := range rows {
					if e.rows[i][j] <= threshold {
						left = append(left, i)
					} else {
						right = append(right, i)
					}
				}
				gl, hl := e.sums(left)
				gr, hr := e.sums(right)
				if len(left) < e.cfg.MinLeafRows || len(right) < e.cfg.MinLeafRows || hl < e.cfg.MinChildWeight || hr < e.cfg.MinChildWeight {
					continue
				}
				gain := (gl*gl/(hl+e.cfg.L2) + gr*gr/(hr+e.cfg.L2) - g*g/(h+e.cfg.L2)) / 2
				if gain > bestGain+1e-9 {
					bestGain, bestLeft, bestRight = gain, left, right
				}
			}
		}
	}
	if bestLeft == nil {
		e.leaves++
		for _, i := range rows {
			e.margins[i] -= e.cfg.LearningRate * g / (h + e.cfg.L2)
		}
		return
	}
	e.splits++
	e.grow(bestLeft, depth+1)
	e.grow(bestRight, depth+1)
}

func TestBoostedAgreesWithExactSplits(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 13))
	rows := make([][]float64, 160)
	labels := make([]float64, len(rows))
	for i := range rows {
		rows[i] = []float64{float64(random.IntN(40)) / 8, math.Floor(random.NormFloat64()*8) / 8, float64(random.IntN(2)), random.Float64()}
		rows[i][3] = float64(float32(rows[i][3]))
		z := math.Sin(rows[i][0]) + rows[i][1]*rows[i][2] - .3
		if random.Float64() < sigmoid(2*z) {
			labels[i] = 1
		}
	}
	for _, cfg := range []BoostedConfig{
		{Trees: 12, LearningRate: .3, MaxDepth: 3, MinChildWeight: 1, MinLeafRows: 1, L2: 1},
		{Trees: 8, LearningRate: .5, MaxDepth: 4, MinChildWeight: .5, MinLeafRows: 7, L2: .1},
		{Trees: 20, LearningRate: .1, MaxDepth: 1, MinChildWeight: 3, MinLeafRows: 1, L2: 5},
	} {
		m := fitBoosted(t, []string{"a", "b", "c", "d"}, rows, labels, cfg)
		positives := 0.0
		for _, y := range labels {
			positives += y
		}
		e := exactBooster{rows: rows, cfg: cfg, grad: make([]float64, len(rows)), hess: make([]float64, len(rows)), margins: make([]float64, len(rows))}
		all := make([]int, len(rows))
		for i := range all {
			all[i] = i
			e.margins[i] = math.Log(positives / (float64(len(rows)) - positives))
		}
		for range cfg.Trees {
			for i, z := range e.margins {
				p := 1 / (1 + math.Exp(-z))
				e.grad[i], e.hess[i] = p-labels[i], p*(1-p)
			}
			e.grow(all, 0)
		}
		leaves, splits := 0, 0
		for _, tree := range m.Trees {
			for _, n := range tree.Nodes {
				if n.Feature < 0 {
					leaves++
				} else {
					splits++
				}
			}
		}
		if leaves != e.leaves || splits != e.splits || splits < cfg.Trees {
			t.Errorf("%+v: %d leaves, %d splits; exact search %d, %d", cfg, leaves, splits, e.leaves, e.splits)
		}
		for i, p := range predict(t, m, rows) {
			if want := sigmoid(e.margins[i]); math.Abs(p-want) > 1e-6 {
				t.Errorf("%+v: row %d: %.9f, exact search %.9f", cfg, i, p, want)
				break
			}
		}
	}
}

func TestBoostedIsTheSameOnEveryNumberOfThreads(t *testing.T) {
	names, rows, labels := lendingData(t, false)
	cfg := BoostedConfig{Trees: 30, MaxDepth: 5, Subsample: .7, Seed: 99, MaxBins: 64}
	var first []byte
	for _, threads := range []int{1, 2, 4, 1} {
		cfg.Threads = threads
		m := fitBoosted(t, names, rows, labels, cfg)
		data, err := m.ONNX(identityGraph(names))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = data
		} else if !bytes.Equal(first, data) {
			t.Errorf("%d threads: other bytes", threads)
		}
	}
	cfg.Seed++
	m := fitBoosted(t, names, rows, labels, cfg)
	if data, _ := m.ONNX(identityGraph(names)); bytes.Equal(first, data) {
		t.Error("another seed gave the same model: the rows are not subsampled")
	}
}

func TestBoostedOnMortgages(t *testing.T) {
	names, rows, labels := lendingData(t, false)
	trainRows, heldRows := everyThird(rows)
	trainLabels, heldLabels := everyThird(labels)
	var losses []float64
	m, err := Boosted(context.Background(), trainRows, trainLabels, BoostedConfig{Names: names, Trees: 120, LearningRate: .05, MaxDepth: 3, MinLeafRows: 10},
		func(p Progress) {
			if p.Trees != 120 || p.Tree != len(losses)+1 {
				t.Errorf("progress %+v after %d", p, len(losses))
			}
			losses = append(losses, p.Loss)
		})
	if err != nil {
		t.Fatal(err)
	}
	if len(losses) != 120 || !slices.Equal(losses, m.Losses) {
		t.Fatalf("%d reports of progress", len(losses))
	}
	for k := 1; k < len(losses); k++ {
		if losses[k] > losses[k-1] {
			t.Errorf("the loss grew at tree %d: %v → %v", k+1, losses[k-1], losses[k])
		}
	}
	// The last reported loss is the loss of the predictions.
	sum := 0.0
	for i, p := range predict(t, m, trainRows) {
		sum -= math.Log(math.Abs(1 - trainLabels[i] - p))
	}
	if got := sum / float64(len(trainRows)); math.Abs(got-losses[119]) > 1e-9 {
		t.Errorf("loss of the predictions %.9f, reported %.9f", got, losses[119])
	}
	logistic := fitLogistic(t, names, trainRows, trainLabels, 0)
	inSample, linear := auc(predict(t, m, trainRows), trainLabels), auc(predict(t, logistic, trainRows), trainLabels)
	held, heldLinear := auc(predict(t, m, heldRows), heldLabels), auc(predict(t, logistic, heldRows), heldLabels)
	t.Logf("AUC: trees %.4f in sample, %.4f held out; logistic %.4f, %.4f", inSample, held, linear, heldLinear)
	if inSample <= linear {
		t.Errorf("in-sample AUC %.4f does not beat the logistic %.4f", inSample, linear)
	}
	if held < heldLinear-.01 {
		t.Errorf("held-out AUC %.4f is below the logistic %.4f", held, heldLinear)
	}
	importance := m.Importance()
	if len(importance) != len(names) || slices.Max(importance) <= 0 {
		t.Errorf("importance %v", importance)
	}
}

// XOR: no linear model separates it, depth 2 does.
func TestBoostedLearnsInteractionsAndMissing(t *testing.T) {
	nan := math.NaN()
	var rows [][]float64
	var labels []float64
	for i := range 200 {
		a, b := float64(i%2), float64(i/2%2)
		row := []float64{a, b, float64(i % 7)}
		if a == 1 {
			row[0] = nan // 1 is spelled "missing"
		}
		rows = append(rows, row)
		labels = append(labels, math.Abs(a-b))
	}
	// Perfect balance gives the first split no gain; one odd row breaks the tie.
	rows, labels = append(rows, []float64{0, 1, 0}), append(labels, 1)
	m := fitBoosted(t, []string{"a", "b", "c"}, rows, labels, BoostedConfig{Trees: 60, LearningRate: .5, MaxDepth: 2})
	for i, p := range predict(t, m, rows) {
		if math.Abs(p-labels[i]) > .1 {
			t.Fatalf("row %v: %.3f, label %v", rows[i], p, labels[i])
		}
	}
}

func TestBoostedHonoursItsLimits(t *testing.T) {
	names, rows, labels := lendingData(t, false)
	m := fitBoosted(t, names, rows, labels, BoostedConfig{Trees: 15, MaxDepth: 6, MaxLeaves: 9, MinLeafRows: 25, MaxBins: 16, Subsample: .5, Seed: 4})
	for k, tree := range m.Trees {
		leaves := 0
		depth := make([]int, len(tree.Nodes))
		for id, n := range tree.Nodes {
			if depth[id] > 6 {
				t.Errorf("tree %d is deeper than 6", k)
			}
			if n.Feature < 0 {
				leaves++
				if n.Rows < 25 {
					t.Errorf("tree %d has a leaf of %d rows", k, n.Rows)
				}
				continue
			}
			if n.Left <= id || n.Right <= id || tree.Nodes[n.Left].Rows+tree.Nodes[n.Right].Rows != n.Rows {
				t.Errorf("tree %d, node %d: children %+v", k, id, n)
			}
			depth[n.Left], depth[n.Right] = depth[id]+1, depth[id]+1
		}
		if leaves > 9 || tree.Nodes[0].Rows != 1190 {
			t.Errorf("tree %d: %d leaves on %d rows", k, leaves, tree.Nodes[0].Rows)
		}
	}
}

func TestBins(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, maxBins := range []int{2, 3, 16, 255, 256} {
		for _, distinct := range []int{1, 2, 16, 300, 100_000} {
			values := make([]float32, 2000)
			for i := range values {
				values[i] = float32(random.IntN(distinct)) / 7
				if i%17 == 0 {
					values[i] = float32(math.NaN())
				}
			}
			b := bin(values, maxBins)
			if len(b.thresholds) > maxBins-1 || !slices.IsSorted(b.thresholds) || len(slices.Compact(slices.Clone(b.thresholds))) != len(b.thresholds) {
				t.Fatalf("max %d, distinct %d: %d thresholds", maxBins, distinct, len(b.thresholds))
			}
			if distinct > 1 && distinct <= maxBins && len(b.thresholds) != distinct-1 {
				t.Errorf("max %d: %d thresholds for %d values", maxBins, len(b.thresholds), distinct)
			}
			if distinct > 10*maxBins && len(b.thresholds) != maxBins-1 {
				t.Errorf("max %d: only %d thresholds for %d values", maxBins, len(b.thresholds), distinct)
			}
			for i, v := range values {
				// Bin and comparison must agree at every threshold, NaN counting as greater.
				for k, threshold := range b.thresholds {
					if (v <= threshold) != (int(b.bins[i]) <= k) {
						t.Fatalf("value %v is in bin %d, threshold %d is %v", v, b.bins[i], k, threshold)
					}
				}
			}
		}
	}
	// Neighbouring 32-bit numbers have no midpoint of their own.
	low := float32(1)
	high := math.Nextafter32(low, 2)
	if c := cuts([]float32{low, high}, 256); len(c) != 1 || c[0] < low || c[0] >= high {
		t.Errorf("cut between neighbours: %v", c)
	}
	if c := cuts([]float32{-math.MaxFloat32, math.MaxFloat32}, 256); len(c) != 1 || c[0] != 0 {
		t.Errorf("cut between the extremes: %v", c)
	}
}

// A value equal to the threshold goes left, in training, in prediction and in the exported BRANCH_LEQ.
func TestThresholdBelongsToTheLeft(t *testing.T) {
	low := float32(1)
	high := math.Nextafter32(low, 2) // no number in between, so the threshold is the lower value itself
	var rows [][]float64
	var labels []float64
	for i := range 40 {
		rows = append(rows, []float64{[]float64{float64(low), float64(high)}[i%2]})
		labels = append(labels, float64(i%2))
	}
	m := fitBoosted(t, []string{"a"}, rows, labels, BoostedConfig{Trees: 30, LearningRate: .5})
	if at := m.Trees[0].Nodes[0].Threshold; at != low {
		t.Fatalf("threshold %v, want %v", at, low)
	}
	p := predict(t, m, [][]float64{{float64(low)}, {float64(high)}, {math.NaN()}})
	if p[0] > .1 || p[1] < .9 || p[2] != p[1] {
		t.Errorf("probabilities at, above and without the value: %v", p)
	}
}

func TestSampleRows(t *testing.T) {
	random := rand.NewPCG(8, 9)
	hits := make([]int, 50)
	for range 4000 {
		rows := sampleRows(50, .3, random)
		if len(rows) != 15 || !slices.IsSorted(rows) || len(slices.Compact(slices.Clone(rows))) != 15 {
			t.Fatalf("sample %v", rows)
		}
		for _, i := range rows {
			hits[i]++
		}
	}
	// 4000·0.3 = 1200 each, standard deviation 29: five of them either way.
	for i, n := range hits {
		if n < 1055 || n > 1345 {
			t.Errorf("row %d was drawn %d times, expected about 1200", i, n)
		}
	}
}

func TestBoostedRefuses(t *testing.T) {
	ok, y := [][]float64{{1}, {2}, {3}, {4}}, []float64{0, 1, 0, 1}
	for _, c := range []struct {
		rows   [][]float64
		labels []float64
		cfg    BoostedConfig
		want   string
	}{
		{ok, y, BoostedConfig{Trees: -1}, "trees is -1"},
		{ok, y, BoostedConfig{LearningRate: 2}, "learning_rate is 2"},
		{ok, y, BoostedConfig{LearningRate: math.NaN()}, "learning_rate is NaN"},
		{ok, y, BoostedConfig{MaxDepth: 40}, "max_depth is 40"},
		{ok, y, BoostedConfig{MaxBins: 257}, "max_bins is 257"},
		{ok, y, BoostedConfig{MaxLeaves: 1}, "max_leaves is 1"},
		{ok, y, BoostedConfig{Subsample: 1.5}, "subsample is 1.5"},
		{ok, y, BoostedConfig{Threads: -2}, "threads is -2"},
		{[][]float64{{1}, {math.Inf(1)}, {3}, {4}}, y, BoostedConfig{}, "row 2, feature \"a\" is +Inf"},
		{[][]float64{{1}, {1e300}, {3}, {4}}, y, BoostedConfig{}, "does not fit a 32-bit number"},
		{ok, []float64{0, 0, 0, 0}, BoostedConfig{}, "both classes"},
		{ok, []float64{0, .5, 0, 1}, BoostedConfig{}, "label of row 2 is 0.5"},
	} {
		c.cfg.Names = []string{"a"}
		m, err := Boosted(context.Background(), c.rows, c.labels, c.cfg, nil)
		if m != nil || !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Boosted(ctx, ok, y, BoostedConfig{Names: []string{"a"}, Trees: 10}, func(p Progress) {
		if p.Tree == 3 {
			cancel()
		}
		if p.Tree > 3 {
			t.Error("went on after cancellation")
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func BenchmarkBoosted(b *testing.B) {
	names, rows, labels := lendingData(b, false)
	for b.Loop() {
		fitBoosted(b, names, rows, labels, BoostedConfig{Trees: 100, MaxDepth: 4})
	}
}
