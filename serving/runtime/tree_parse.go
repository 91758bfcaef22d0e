package runtime

import "math"

// mode is how a node of a tree compares its feature with its threshold.
type mode uint8

const (
	modeLEQ mode = iota
	modeLT
	modeGTE
	modeGT
	modeEQ
	modeNEQ
	modeMember
	modeLeaf
)

func parseMode(s string) (mode, bool) {
	switch s {
	case "BRANCH_LEQ":
		return modeLEQ, true
	case "BRANCH_LT":
		return modeLT, true
	case "BRANCH_GTE":
		return modeGTE, true
	case "BRANCH_GT":
		return modeGT, true
	case "BRANCH_EQ":
		return modeEQ, true
	case "BRANCH_NEQ":
		return modeNEQ, true
	case "LEAF":
		return modeLeaf, true
	}
	return 0, false
}

// aggregate is how the trees' answers become one score for each target.
type aggregate uint8

const (
	aggAverage aggregate = iota
	aggSum
	aggMin
	aggMax
)

func (b *builder) aggregate() (aggregate, *LoadError) {
	switch s := b.str("aggregate_function", "SUM"); s {
	case "AVERAGE":
		return aggAverage, nil
	case "SUM":
		return aggSum, nil
	case "MIN":
		return aggMin, nil
	case "MAX":
		return aggMax, nil
	default:
		return 0, refuse(remedyReexport, "its aggregate_function is %q", s)
	}
}

// rawForest is a set of trees before it is laid out for evaluation. Children
// are positions in nodes; roots are checked to be proper trees by layOut.
type rawForest struct {
	nodes []rawNode
	roots []int32
}

type rawNode struct {
	mode    mode
	missing bool // a NaN takes the true branch
	feature int32
	value   float64
	yes, no int32
	members []float64
	weights []rawWeight
}

type rawWeight struct {
	target int32
	value  float64
}

// parseNodes reads the nodes_* attributes of the operators of versions 1 to 3.
// index finds a node by its tree and its number in the tree.
func (b *builder) parseNodes() (r *rawForest, index map[[2]int64]int32, wide bool, err *LoadError) {
	trees, ids := b.ints("nodes_treeids"), b.ints("nodes_nodeids")
	features, modes := b.ints("nodes_featureids"), b.strs("nodes_modes")
	yes, no := b.ints("nodes_truenodeids"), b.ints("nodes_falsenodeids")
	values, wide := b.doubles("nodes_values")
	missing := b.ints("nodes_missing_value_tracks_true")
	b.doubles("nodes_hitrates") // says how often a node was visited in training
	n := len(ids)
	if n == 0 || len(trees) != n || len(features) != n || len(modes) != n || len(yes) != n || len(no) != n || len(values) != n {
		return nil, nil, false, refuse(remedyReexport, "its nodes_* lists have different lengths or are empty")
	}
	if len(missing) != 0 && len(missing) != n {
		return nil, nil, false, refuse(remedyReexport, "nodes_missing_value_tracks_true has %d entries for %d nodes", len(missing), n)
	}
	index = make(map[[2]int64]int32, n)
	for i := range n {
		key := [2]int64{trees[i], ids[i]}
		if _, ok := index[key]; ok {
			return nil, nil, false, refuse(remedyReexport, "node %d of tree %d is listed twice", ids[i], trees[i])
		}
		index[key] = int32(i)
	}
	r = &rawForest{nodes: make([]rawNode, n)}
	child := make([]bool, n)
	for i := range n {
		m, ok := parseMode(modes[i])
		if !ok {
			return nil, nil, false, refuse(remedyReexport, "node %d of tree %d has mode %q", ids[i], trees[i], modes[i])
		}
		node := rawNode{mode: m}
		if m != modeLeaf {
			y, ok1 := index[[2]int64{trees[i], yes[i]}]
			f, ok2 := index[[2]int64{trees[i], no[i]}]
			if !ok1 || !ok2 {
				return nil, nil, false, refuse(remedyReexport, "node %d of tree %d has a branch to a node that does not exist", ids[i], trees[i])
			}
			if features[i] < 0 || features[i] > maxFeatures {
				return nil, nil, false, refuse(remedyReexport, "node %d of tree %d tests feature %d", ids[i], trees[i], features[i])
			}
			child[y], child[f] = true, true
			node.yes, node.no, node.feature, node.value = y, f, int32(features[i]), values[i]
			node.missing = len(missing) > 0 && missing[i] != 0
		}
		r.nodes[i] = node
	}
	rootOf := map[int64]bool{}
	for i := range n {
		if child[i] {
			continue
		}
		if rootOf[trees[i]] {
			return nil, nil, false, refuse(remedyReexport, "tree %d has two roots", trees[i])
		}
		rootOf[trees[i]] = true
		r.roots = append(r.roots, int32(i))
	}
	for i := range n {
		if !rootOf[trees[i]] {
			return nil, nil, false, refuse(remedyReexport, "tree %d has no root: its nodes form a circle", trees[i])
		}
	}
	return r, index, wide, nil
}

// parseWeights attaches the class_* or target_* lists to the leaves.
func (b *builder) parseWeights(r *rawForest, index map[[2]int64]int32, side string, targets int) (wide bool, err *LoadError) {
	trees, ids, to := b.ints(side+"_treeids"), b.ints(side+"_nodeids"), b.ints(side+"_ids")
	weights, wide := b.doubles(side + "_weights")
	n := len(weights)
	if n == 0 || len(trees) != n || len(ids) != n || len(to) != n {
		return false, refuse(remedyReexport, "its %s_* lists have different lengths or are empty", side)
	}
	for i := range n {
		k, ok := index[[2]int64{trees[i], ids[i]}]
		if !ok || r.nodes[k].mode != modeLeaf {
			return false, refuse(remedyReexport, "a weight belongs to node %d of tree %d, which is not a leaf", ids[i], trees[i])
		}
		if to[i] < 0 || to[i] >= int64(targets) {
			return false, refuse(remedyReexport, "a weight belongs to target %d of %d", to[i], targets)
		}
		r.nodes[k].weights = append(r.nodes[k].weights, rawWeight{int32(to[i]), weights[i]})
	}
	return wide, nil
}

// parseFlat reads the attributes of TreeEnsemble (version 5), where branches and
// leaves are listed apart.
func (b *builder) parseFlat(targets int) (*rawForest, bool, *LoadError) {
	features, modes := b.ints("nodes_featureids"), b.tensor("nodes_modes")
	yes, no := b.ints("nodes_truenodeids"), b.ints("nodes_falsenodeids")
	yesLeaf, noLeaf := b.ints("nodes_trueleafs"), b.ints("nodes_falseleafs")
	missing := b.ints("nodes_missing_value_tracks_true")
	splits, wide := b.real("nodes_splits", b.tensor("nodes_splits"))
	weights, wideLeaf := b.real("leaf_weights", b.tensor("leaf_weights"))
	members, _ := b.real("membership_values", b.tensor("membership_values"))
	b.real("nodes_hitrates", b.tensor("nodes_hitrates"))
	to, roots := b.ints("leaf_targetids"), b.ints("tree_roots")
	n, leaves := len(features), len(weights)
	if n == 0 || modes == nil || len(modes.val.I32) != n || len(yes) != n || len(no) != n || len(yesLeaf) != n || len(noLeaf) != n || len(splits) != n || len(roots) == 0 {
		return nil, false, refuse(remedyReexport, "its nodes_* lists have different lengths or are empty")
	}
	if len(missing) != 0 && len(missing) != n || leaves == 0 || len(to) != leaves {
		return nil, false, refuse(remedyReexport, "its missing-value tracks or leaves have different lengths")
	}
	r := &rawForest{nodes: make([]rawNode, n, n+leaves)}
	for i, w := range weights {
		if to[i] < 0 || to[i] >= int64(targets) {
			return nil, false, refuse(remedyReexport, "leaf %d belongs to target %d of %d", i, to[i], targets)
		}
		r.nodes = append(r.nodes, rawNode{mode: modeLeaf, weights: []rawWeight{{int32(to[i]), w}}})
	}
	child := func(id, leaf int64) (int32, bool) {
		if leaf != 0 {
			return int32(int64(n) + id), id >= 0 && id < int64(leaves)
		}
		return int32(id), id >= 0 && id < int64(n)
	}
	for i := range n {
		m := modes.val.I32[i]
		y, ok1 := child(yes[i], yesLeaf[i])
		f, ok2 := child(no[i], noLeaf[i])
		if m < 0 || m > int32(modeMember) || !ok1 || !ok2 || features[i] < 0 || features[i] > maxFeatures {
			return nil, false, refuse(remedyReexport, "node %d has mode %d, feature %d or a branch that does not exist", i, m, features[i])
		}
		node := rawNode{mode: mode(m), feature: int32(features[i]), value: splits[i], yes: y, no: f}
		node.missing = len(missing) > 0 && missing[i] != 0
		if node.mode == modeMember {
			node.members, members = nextSet(members)
		}
		r.nodes[i] = node
	}
	for _, root := range roots {
		if root < 0 || root >= int64(n) {
			return nil, false, refuse(remedyReexport, "a tree starts at node %d of %d", root, n)
		}
		r.roots = append(r.roots, int32(root))
	}
	return r, wide || wideLeaf, nil
}

// nextSet cuts the list at its first NaN.
func nextSet(list []float64) (set, rest []float64) {
	for i, v := range list {
		if math.IsNaN(v) {
			return list[:i], list[i+1:]
		}
	}
	return list, nil
}
