package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
)

// BoostedConfig configures Boosted. A zero field takes the default in brackets.
type BoostedConfig struct {
	Names          []string `json:"-" yaml:"-"`
	Trees          int      `json:"trees" yaml:"trees"`                       // [100]
	LearningRate   float64  `json:"learning_rate" yaml:"learning_rate"`       // [0.1]
	MaxDepth       int      `json:"max_depth" yaml:"max_depth"`               // [3]; splits from root to leaf
	MaxLeaves      int      `json:"max_leaves" yaml:"max_leaves"`             // [2^MaxDepth]; the best splits come first
	MaxBins        int      `json:"max_bins" yaml:"max_bins"`                 // [256]; 2 to 256 per feature
	MinChildWeight float64  `json:"min_child_weight" yaml:"min_child_weight"` // [1]; sum of p·(1−p) in a leaf; negative: none
	MinLeafRows    int      `json:"min_leaf_rows" yaml:"min_leaf_rows"`       // [1]
	MinGain        float64  `json:"min_gain" yaml:"min_gain"`                 // [0]; a split must gain more than this
	L2             float64  `json:"l2" yaml:"l2"`                             // [1]; on leaf weights; negative: none
	Subsample      float64  `json:"subsample" yaml:"subsample"`               // [1]; share of rows per tree, without replacement
	Seed           uint64   `json:"seed" yaml:"seed"`                         // of the subsampling
	Threads        int      `json:"threads" yaml:"threads"`                   // [1]; does not change the result
}

// Progress is reported after each tree.
type Progress struct {
	Tree  int     // trees grown, from 1
	Trees int     // trees to grow
	Loss  float64 // mean log-loss over the training rows
}

// Node is a split or a leaf. A row goes to Left if its 32-bit value of Feature is ≤ Threshold, and to Right if it is
// greater or missing.
type Node struct {
	Feature   int     `json:"feature"` // −1 for a leaf
	Threshold float32 `json:"threshold"`
	Left      int     `json:"left"`
	Right     int     `json:"right"`
	Weight    float32 `json:"weight"` // leaf: what it adds to the margin
	Rows      int     `json:"rows"`   // training rows that reached the node
	Gain      float64 `json:"gain"`   // split: reduction of the penalised loss
}

// Tree is a list of nodes; the root is node 0, children come after their parent.
type Tree struct {
	Nodes []Node `json:"nodes"`
}

// BoostedModel is P(y=1|x) = 1/(1+e^−(Base + sum of one leaf weight per tree)).
type BoostedModel struct {
	Names  []string      `json:"names"`
	Base   float32       `json:"base"` // log-odds of the training labels
	Trees  []Tree        `json:"trees"`
	Config BoostedConfig `json:"config"`
	Rows   int           `json:"rows"`
	Losses []float64     `json:"losses"` // mean training log-loss after each tree
}

// Algorithm implements Model.
func (m *BoostedModel) Algorithm() string { return "gradient_boosted_trees" }

// FeatureNames implements Model.
func (m *BoostedModel) FeatureNames() []string { return m.Names }

// Predict implements Model. Every row takes the same path as in the exported graph; the sum is in 64 bits.
func (m *BoostedModel) Predict(rows [][]float64) ([]float64, error) {
	if err := checkWidth(rows, len(m.Names)); err != nil {
		return nil, err
	}
	out := make([]float64, len(rows))
	for i, row := range rows {
		margin := float64(m.Base)
		for k := range m.Trees {
			margin += float64(m.Trees[k].leaf(row).Weight)
		}
		out[i] = sigmoid(margin)
	}
	return out, nil
}

func (t *Tree) leaf(row []float64) *Node {
	n := &t.Nodes[0]
	for n.Feature >= 0 {
		if float32(row[n.Feature]) <= n.Threshold { // false for NaN
			n = &t.Nodes[n.Left]
		} else {
			n = &t.Nodes[n.Right]
		}
	}
	return n
}

// Importance returns, per feature, the summed gain of the splits on it.
func (m *BoostedModel) Importance() []float64 {
	out := make([]float64, len(m.Names))
	for _, t := range m.Trees {
		for _, n := range t.Nodes {
			if n.Feature >= 0 {
				out[n.Feature] += n.Gain
			}
		}
	}
	return out
}

func (c BoostedConfig) withDefaults() (BoostedConfig, error) {
	if c.Trees == 0 {
		c.Trees = 100
	}
	if c.LearningRate == 0 {
		c.LearningRate = 0.1
	}
	if c.MaxDepth == 0 {
		c.MaxDepth = 3
	}
	if c.MaxBins == 0 {
		c.MaxBins = 256
	}
	if c.MinChildWeight == 0 {
		c.MinChildWeight = 1
	}
	if c.MinLeafRows == 0 {
		c.MinLeafRows = 1
	}
	if c.L2 == 0 {
		c.L2 = 1
	}
	if c.Subsample == 0 {
		c.Subsample = 1
	}
	if c.Threads == 0 {
		c.Threads = 1
	}
	for _, f := range []struct {
		name     string
		value    float64
		low, top float64
	}{
		{"trees", float64(c.Trees), 1, 10_000},
		{"learning_rate", c.LearningRate, 1e-6, 1},
		{"max_depth", float64(c.MaxDepth), 1, 16},
		{"max_leaves", float64(c.MaxLeaves), 0, 65_536},
		{"max_bins", float64(c.MaxBins), 2, 256},
		{"min_child_weight", c.MinChildWeight, -1, 1e12},
		{"min_leaf_rows", float64(c.MinLeafRows), 1, 1e12},
		{"min_gain", c.MinGain, 0, 1e12},
		{"l2", c.L2, -1, 1e12},
		{"subsample", c.Subsample, 1e-6, 1},
		{"threads", float64(c.Threads), 1, 256},
	} {
		if !(f.value >= f.low && f.value <= f.top) {
			return c, fmt.Errorf("%w: %s is %v; it must be from %v to %v", ErrInput, f.name, f.value, f.low, f.top)
		}
	}
	if c.MaxLeaves == 0 {
		c.MaxLeaves = 1 << c.MaxDepth
	}
	if c.MaxLeaves == 1 {
		return c, fmt.Errorf("%w: max_leaves is 1; it must be at least 2", ErrInput)
	}
	c.MinChildWeight, c.L2 = max(c.MinChildWeight, 0), max(c.L2, 0)
	return c, nil
}

// Boosted grows gradient-boosted trees on the log-loss with second-order leaf weights −G/(H+L2)·LearningRate and gains
// ½·(G_L²/(H_L+L2) + G_R²/(H_R+L2) − G²/(H+L2)) (Chen & Guestrin 2016), on histograms of the features' 32-bit values.
// Leaves grow best first; ties go to the older leaf, the lower feature, the lower threshold. NaN is a missing value.
// progress may be nil; it is called in order, from this goroutine.
func Boosted(ctx context.Context, rows [][]float64, labels []float64, cfg BoostedConfig, progress func(Progress)) (*BoostedModel, error) {
	names := cfg.Names
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if _, err := checkData(rows, labels, names, true); err != nil {
		return nil, err
	}
	features, err := binFeatures(rows, names, cfg.MaxBins)
	if err != nil {
		return nil, err
	}
	positives := 0.0
	for _, y := range labels {
		positives += y
	}
	rate := positives / float64(len(labels))
	m := &BoostedModel{Names: append([]string(nil), names...), Base: float32(math.Log(rate / (1 - rate))), Config: cfg, Rows: len(rows)}
	g := newGrower(features, len(rows), cfg)
	margins := make([]float64, len(rows))
	for i := range margins {
		margins[i] = float64(m.Base)
	}
	random := rand.NewPCG(cfg.Seed, 0x61666669646176) // the stream constant is arbitrary, but part of the format
	for k := range cfg.Trees {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i, z := range margins {
			p := sigmoid(z)
			g.grad[i] = p - labels[i]
			g.hess[i] = float64(p * (1 - p))
		}
		tree := g.grow(sampleRows(len(rows), cfg.Subsample, random))
		m.Trees = append(m.Trees, tree)
		loss := 0.0
		for i := range margins {
			margins[i] += float64(tree.Nodes[g.route(&tree, i)].Weight)
			loss += logLoss(margins[i], labels[i])
		}
		m.Losses = append(m.Losses, loss/float64(len(rows)))
		if progress != nil {
			progress(Progress{Tree: k + 1, Trees: cfg.Trees, Loss: m.Losses[k]})
		}
	}
	return m, nil
}

// sampleRows draws round(share·n) row indices without replacement, ascending (Knuth's algorithm S on whole numbers).
func sampleRows(n int, share float64, random *rand.PCG) []int {
	want := max(1, int(math.Round(share*float64(n))))
	out := make([]int, 0, want)
	for i := 0; i < n && len(out) < want; i++ {
		left := uint64(n - i)
		if want-len(out) == int(left) || random.Uint64()%left < uint64(want-len(out)) {
			out = append(out, i)
		}
	}
	return out
}

// parallel runs f(0…n−1) on up to threads goroutines. Each call must write to its own place only.
func parallel(n, threads int, f func(i int)) {
	if threads <= 1 || n <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range min(threads, n) {
		wg.Go(func() {
			for i := w; i < n; i += threads {
				f(i)
			}
		})
	}
	wg.Wait()
}
