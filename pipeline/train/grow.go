package train

import (
	"fmt"
	"math"
	"slices"
)

// binned is one feature cut into bins. Bin b holds the values in (thresholds[b−1], thresholds[b]]; the bin after the
// last threshold holds the greater ones, and the bin after that the missing ones.
type binned struct {
	bins       []uint16  // per row
	thresholds []float32 // ascending
	missing    bool
}

// candidates is the number of thresholds worth trying. With missing values, "everything present ≤ +max" is one more:
// then present values go left and missing ones right.
func (b *binned) candidates() int {
	if b.missing {
		return len(b.thresholds) + 1
	}
	return len(b.thresholds)
}

// threshold of candidate k; the extra one is the largest finite number.
func (b *binned) threshold(k int) float32 {
	if k < len(b.thresholds) {
		return b.thresholds[k]
	}
	return math.MaxFloat32
}

func binFeatures(rows [][]float64, names []string, maxBins int) ([]binned, error) {
	features := make([]binned, len(names))
	values := make([]float32, len(rows))
	for j := range features {
		for i, row := range rows {
			values[i] = float32(row[j])
			if math.IsInf(float64(values[i]), 0) {
				return nil, fmt.Errorf("%w: row %d, feature %q: %v does not fit a 32-bit number", ErrInput, i+1, names[j], row[j])
			}
		}
		features[j] = bin(values, maxBins)
	}
	return features, nil
}

func bin(values []float32, maxBins int) binned {
	sorted := make([]float32, 0, len(values))
	for _, v := range values {
		if v == v {
			sorted = append(sorted, v)
		}
	}
	slices.Sort(sorted)
	b := binned{bins: make([]uint16, len(values)), missing: len(sorted) < len(values), thresholds: cuts(sorted, maxBins)}
	for i, v := range values {
		if v != v {
			b.bins[i] = uint16(len(b.thresholds) + 1)
			continue
		}
		k, _ := slices.BinarySearch(b.thresholds, v) // the first threshold ≥ v, or their number
		b.bins[i] = uint16(k)
	}
	return b
}

// cuts returns at most maxBins−1 thresholds between distinct values: all of them if they suffice, else those at which
// the running count first reaches equal shares of the rows.
func cuts(sorted []float32, maxBins int) []float32 {
	distinct := 0
	for i := range sorted {
		if i == 0 || sorted[i] != sorted[i-1] {
			distinct++
		}
	}
	var out []float32
	next := 1
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			continue
		}
		// i values lie at or below the cut; the next-th of maxBins shares ends at or before i.
		if distinct > maxBins {
			if i*maxBins < next*len(sorted) {
				continue
			}
			next = i*maxBins/len(sorted) + 1
			if len(out) == maxBins-1 {
				break
			}
		}
		out = append(out, between(sorted[i-1], sorted[i]))
	}
	return out
}

// between returns a 32-bit number t with low ≤ t < high: the midpoint, unless rounding lifts it to high.
func between(low, high float32) float32 {
	t := float32(float64(low)/2 + float64(high)/2)
	if t >= high || t < low {
		return low
	}
	return t
}

// grower grows one tree after another on the same binned features.
type grower struct {
	cfg        BoostedConfig
	features   []binned
	grad, hess []float64
}

func newGrower(features []binned, rows int, cfg BoostedConfig) *grower {
	return &grower{cfg: cfg, features: features, grad: make([]float64, rows), hess: make([]float64, rows)}
}

// split is the best one found for a leaf; feature −1 means none.
type split struct {
	feature   int
	candidate int // rows with bin ≤ candidate go left
	gain      float64
}

type leaf struct {
	node  int
	depth int
	rows  []int // ascending
	best  split
}

func (g *grower) grow(rows []int) Tree {
	tree := Tree{}
	open := []leaf{g.newLeaf(&tree, rows, 0)}
	for leaves := 1; leaves < g.cfg.MaxLeaves; leaves++ {
		pick := -1
		for k := range open {
			if open[k].best.feature >= 0 && (pick < 0 || open[k].best.gain > open[pick].best.gain) {
				pick = k
			}
		}
		if pick < 0 {
			break
		}
		parent := open[pick]
		f := &g.features[parent.best.feature]
		var left, right []int
		for _, i := range parent.rows {
			if int(f.bins[i]) <= parent.best.candidate {
				left = append(left, i)
			} else {
				right = append(right, i)
			}
		}
		l := g.newLeaf(&tree, left, parent.depth+1)
		r := g.newLeaf(&tree, right, parent.depth+1)
		n := &tree.Nodes[parent.node]
		n.Feature, n.Threshold, n.Gain = parent.best.feature, f.threshold(parent.best.candidate), parent.best.gain
		n.Left, n.Right, n.Weight = l.node, r.node, 0
		open = append(slices.Delete(open, pick, pick+1), l, r)
	}
	return tree
}

// newLeaf appends a leaf node with its weight, and looks for its best split unless it is as deep as allowed.
func (g *grower) newLeaf(tree *Tree, rows []int, depth int) leaf {
	sumG, sumH := 0.0, 0.0
	for _, i := range rows {
		sumG += g.grad[i]
		sumH += g.hess[i]
	}
	weight := 0.0
	if d := sumH + g.cfg.L2; d > 0 {
		weight = -sumG / d * g.cfg.LearningRate
	}
	tree.Nodes = append(tree.Nodes, Node{Feature: -1, Weight: float32(weight), Rows: len(rows)})
	l := leaf{node: len(tree.Nodes) - 1, depth: depth, rows: rows, best: split{feature: -1}}
	if depth == g.cfg.MaxDepth || len(rows) < 2*g.cfg.MinLeafRows {
		return l
	}
	// Each feature is summed by one goroutine, in row order: the number of threads cannot change a bit.
	found := make([]split, len(g.features))
	threads := g.cfg.Threads
	if len(rows)*len(g.features) < 4096 {
		threads = 1 // starting goroutines would take longer than the work
	}
	parallel(len(g.features), threads, func(j int) { found[j] = g.bestSplit(j, rows, sumG, sumH) })
	for _, s := range found {
		if s.feature >= 0 && (l.best.feature < 0 || s.gain > l.best.gain) {
			l.best = s
		}
	}
	return l
}

type cell struct {
	grad, hess float64
	rows       int
}

func (g *grower) bestSplit(feature int, rows []int, sumG, sumH float64) split {
	f := &g.features[feature]
	best := split{feature: -1}
	hist := make([]cell, len(f.thresholds)+2)
	for _, i := range rows {
		c := &hist[f.bins[i]]
		c.grad += g.grad[i]
		c.hess += g.hess[i]
		c.rows++
	}
	parent := score(sumG, sumH, g.cfg.L2)
	var left cell
	for k := range f.candidates() {
		if hist[k].rows == 0 {
			continue // the same division as the threshold before it
		}
		left.grad += hist[k].grad
		left.hess += hist[k].hess
		left.rows += hist[k].rows
		right := cell{grad: sumG - left.grad, hess: sumH - left.hess, rows: len(rows) - left.rows}
		if right.rows < g.cfg.MinLeafRows {
			break
		}
		if left.rows < g.cfg.MinLeafRows || left.hess < g.cfg.MinChildWeight || right.hess < g.cfg.MinChildWeight {
			continue
		}
		gain := 0.5 * (score(left.grad, left.hess, g.cfg.L2) + score(right.grad, right.hess, g.cfg.L2) - parent)
		// A gain within rounding of nothing is not a gain.
		if gain > g.cfg.MinGain+float64(1e-12*(1+parent)) && (best.feature < 0 || gain > best.gain) {
			best = split{feature: feature, candidate: k, gain: gain}
		}
	}
	return best
}

func score(g, h, l2 float64) float64 {
	d := h + l2
	if d <= 0 {
		return 0
	}
	return float64(g*g) / d
}

// route returns the node that training row i reaches, by the bins; the exported thresholds divide the same way.
func (g *grower) route(t *Tree, i int) int {
	n := 0
	for t.Nodes[n].Feature >= 0 {
		node := &t.Nodes[n]
		f := &g.features[node.Feature]
		// A bin lies wholly at or below a threshold or wholly above it.
		if k := int(f.bins[i]); k <= len(f.thresholds) && (k == 0 || f.thresholds[k-1] < node.Threshold) {
			n = node.Left
		} else {
			n = node.Right
		}
	}
	return n
}
