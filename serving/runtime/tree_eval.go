package runtime

import (
	"fmt"
	"math"
	"slices"
)

// forest is a set of trees laid out for walking: the true branch of a node
// follows it, so only the false branch is stored.
type forest[T float] struct {
	nodes   []treeNode[T]
	roots   []int32
	weights []leafWeight[T]
	sets    [][]T // of the membership tests
	targets int
	cols    int  // least number of columns of the input
	direct  bool // one target, one weight a leaf: the weight is in the leaf's value
	plain   bool // no mode but LEQ, no missing-value track
	agg     aggregate
}

// treeNode of a leaf: next is the first of its weights and feature their number.
// Of a membership test, set is its position in sets.
type treeNode[T float] struct {
	value   T
	feature int32
	next    int32
	mode    mode
	missing bool
}

type leafWeight[T float] struct {
	target int32
	value  T
}

// layOut copies the trees in preorder. Each branch must be reached exactly once,
// which rules out circles; leaves may be shared.
func layOut[T float](r *rawForest, targets int, agg aggregate) (*forest[T], *LoadError) {
	e := &forest[T]{targets: targets, agg: agg, direct: targets == 1, plain: true}
	for i := range r.nodes {
		n := &r.nodes[i]
		if n.mode == modeLeaf {
			e.direct = e.direct && len(n.weights) == 1
			continue
		}
		e.plain = e.plain && n.mode == modeLEQ && !n.missing
		e.cols = max(e.cols, int(n.feature)+1)
	}
	type visit struct{ node, parent int32 } // parent is the laid-out node whose false branch this is
	seen := make([]bool, len(r.nodes))
	var stack []visit
	for _, root := range r.roots {
		e.roots = append(e.roots, int32(len(e.nodes)))
		stack = append(stack[:0], visit{root, -1})
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			n, at := &r.nodes[v.node], int32(len(e.nodes))
			if v.parent >= 0 {
				e.nodes[v.parent].next = at
			}
			// A leaf of one weight may be shared; anything else reached twice could grow without bound.
			if seen[v.node] && (n.mode != modeLeaf || len(n.weights) > 1) {
				return nil, refuse(remedyReexport, "a node of a tree is reached twice")
			}
			seen[v.node] = true
			if n.mode == modeLeaf {
				e.leaf(n)
				continue
			}
			e.nodes = append(e.nodes, treeNode[T]{value: T(n.value), feature: n.feature, mode: n.mode, missing: n.missing})
			if n.mode == modeMember {
				e.member(n)
			}
			stack = append(stack, visit{n.no, at}, visit{n.yes, -1})
		}
	}
	for i := range r.nodes {
		if !seen[i] && r.nodes[i].mode != modeLeaf {
			return nil, refuse(remedyReexport, "a branch of a tree cannot be reached from its root")
		}
	}
	return e, nil
}

func (e *forest[T]) leaf(n *rawNode) {
	node := treeNode[T]{mode: modeLeaf, next: int32(len(e.weights)), feature: int32(len(n.weights))}
	if e.direct {
		node.value = T(n.weights[0].value)
	} else {
		for _, w := range n.weights {
			e.weights = append(e.weights, leafWeight[T]{w.target, T(w.value)})
		}
	}
	e.nodes = append(e.nodes, node)
}

// member stores the set of the node laid out last; its position is the value.
func (e *forest[T]) member(n *rawNode) {
	set := make([]T, len(n.members))
	for i, v := range n.members {
		set[i] = T(v)
	}
	e.nodes[len(e.nodes)-1].value = T(len(e.sets))
	e.sets = append(e.sets, set)
}

// walk is the leaf that row x reaches from root.
func (e *forest[T]) walk(root int32, x []T) *treeNode[T] {
	i := root
	if e.plain {
		for {
			n := &e.nodes[i]
			if n.mode == modeLeaf {
				return n
			}
			if x[n.feature] <= n.value {
				i++
			} else {
				i = n.next
			}
		}
	}
	for {
		n := &e.nodes[i]
		if n.mode == modeLeaf {
			return n
		}
		if e.test(n, x[n.feature]) {
			i++
		} else {
			i = n.next
		}
	}
}

func (e *forest[T]) test(n *treeNode[T], v T) bool {
	if v != v && n.missing {
		return true
	}
	switch n.mode {
	case modeLEQ:
		return v <= n.value
	case modeLT:
		return v < n.value
	case modeGTE:
		return v >= n.value
	case modeGT:
		return v > n.value
	case modeEQ:
		return v == n.value
	case modeNEQ:
		return v != n.value
	}
	return slices.Contains(e.sets[int(n.value)], v)
}

// scores fills acc [rows × targets] and, unless it is nil, has, which says of
// each score whether a leaf contributed to it. The order of sums is the order of
// the trees for every row, however many rows there are.
func (e *forest[T]) scores(x []T, cols, rows int, acc []T, has []bool) {
	clear(acc)
	clear(has)
	if e.direct && (e.agg == aggSum || e.agg == aggAverage) {
		for _, root := range e.roots {
			for r := range rows {
				acc[r] += e.walk(root, x[r*cols:][:cols]).value
			}
		}
		for r := range has {
			has[r] = true
		}
	} else {
		e.general(x, cols, rows, acc, has)
	}
	if e.agg == aggAverage {
		for i := range acc {
			acc[i] /= T(len(e.roots))
		}
	}
}

func (e *forest[T]) general(x []T, cols, rows int, acc []T, has []bool) {
	for _, root := range e.roots {
		for r := range rows {
			leaf := e.walk(root, x[r*cols:][:cols])
			if e.direct {
				e.add(leaf.value, r, acc, has)
				continue
			}
			for _, w := range e.weights[leaf.next:][:leaf.feature] {
				e.add(w.value, r*e.targets+int(w.target), acc, has)
			}
		}
	}
}

func (e *forest[T]) add(v T, at int, acc []T, has []bool) {
	switch {
	case e.agg == aggSum || e.agg == aggAverage:
		acc[at] += v
	case !has[at] || e.agg == aggMin && v < acc[at] || e.agg == aggMax && v > acc[at]:
		acc[at] = v
	}
	if has != nil {
		has[at] = true
	}
}

// forestRun evaluates a forest block by block.
type forestRun[T float] struct {
	*forest[T]
	x        int // slot of the input
	wide     int // slot for the input as T, when it is of another type
	acc, has int // scratch slots
}

func newForestRun[T float](b *builder, e *forest[T]) *forestRun[T] {
	return &forestRun[T]{e, b.in[0], b.slot(typeOf[T]()), b.slot(typeOf[T]()), b.slot(Bool)}
}

// rows checks the shape of the input and returns its number of rows.
func (e *forestRun[T]) rows(f *frame) (rows int, err error) {
	rows, cols, err := matrix(f.vals[e.x].Shape)
	if err == nil && cols < e.cols {
		err = fmt.Errorf("the trees test column %d and the input has %d columns", e.cols-1, cols)
	}
	return rows, err
}

// each gives fn the scores of every row in turn; has is nil unless wanted.
func (e *forestRun[T]) each(f *frame, wantHas bool, fn func(row int, s []T, has []bool)) error {
	rows, cols, err := matrix(f.vals[e.x].Shape)
	if err != nil {
		return err
	}
	x, err := e.input(f)
	if err != nil {
		return err
	}
	block := min(rows, rowsPerBlock)
	acc, err := out[T](f, e.acc, block, e.targets)
	if err != nil {
		return err
	}
	var has []bool
	if wantHas || e.agg == aggMin || e.agg == aggMax {
		if has, err = out[bool](f, e.has, block, e.targets); err != nil {
			return err
		}
	}
	for at := 0; at < rows; at += block {
		if at > 0 && f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		n := min(block, rows-at)
		hasBlock := has
		if has != nil {
			hasBlock = has[:n*e.targets]
		}
		e.scores(x[at*cols:], cols, n, acc[:n*e.targets], hasBlock)
		for r := range n {
			var h []bool
			if has != nil {
				h = has[r*e.targets:][:e.targets]
			}
			fn(at+r, acc[r*e.targets:][:e.targets], h)
		}
	}
	return nil
}

// input is the matrix in type T.
func (e *forestRun[T]) input(f *frame) ([]T, error) {
	t := &f.vals[e.x]
	if t.Type == typeOf[T]() {
		return *elems[T](t), nil
	}
	dst, err := out[T](f, e.wide, t.Shape...)
	if err != nil {
		return nil, err
	}
	switch t.Type {
	case Int64:
		for i, v := range t.I64 {
			dst[i] = T(v)
		}
	case Int32:
		for i, v := range t.I32 {
			dst[i] = T(v)
		}
	}
	return dst, nil
}

// argmaxHas is the first index of the greatest score among those that a leaf
// contributed to; without any it is 0.
func argmaxHas(s []float64, has []bool) int {
	best, top := 0, math.Inf(-1)
	found := false
	for i, v := range s {
		if has[i] && (!found || v > top) {
			best, top, found = i, v, true
		}
	}
	return best
}
