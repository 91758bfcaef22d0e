package web

import (
	"slices"
	"sort"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
)

// The ledger's graph joins entries to artefacts. People read steps: so an
// artefact becomes the link from the step that made it to each step that used
// or judged it, and only an artefact that no entry made is drawn by itself.

// stepNode is a step, a group of alike steps, or an artefact without evidence.
type stepNode struct {
	ref     attest.Ref
	index   int64 // -1 when there is no entry
	kind    string
	actor   string
	stamp   time.Time
	missing bool
	members []int64 // indexes, when several alike steps are shown as one
	dist    int     // steps away from the focus
	up      bool    // the focus rests on it
}

type stepLink struct {
	from, to int
	governs  bool
}

type stepGraph struct {
	nodes []stepNode
	links []stepLink
	focus int
}

type nodeKey struct{ kind, digest string }

func keyOf(r attest.Ref) nodeKey { return nodeKey{r.Kind, r.Digest} }

// collapse builds the graph of steps. Entries come in index order, and
// artefacts without a maker before them, so every link leads to a higher number.
func collapse(g lineage.Graph) *stepGraph {
	out := &stepGraph{focus: -1}
	entries := map[nodeKey]lineage.Node{}
	for _, n := range g.Nodes {
		if n.Entry != nil {
			entries[keyOf(n.Ref)] = n
		}
	}
	made := makersOf(g)
	number := map[nodeKey]int{}
	for _, n := range g.Nodes {
		if k := keyOf(n.Ref); n.Entry == nil && made[k] == nil {
			if _, done := number[k]; !done && n.Ref.Kind != attest.ArtefactPredicate {
				number[k] = len(out.nodes)
				out.nodes = append(out.nodes, stepNode{ref: n.Ref, index: -1, kind: n.Ref.Kind, missing: true})
			}
		}
	}
	for _, n := range inOrder(entries) {
		number[keyOf(n.Ref)] = len(out.nodes)
		out.nodes = append(out.nodes, stepNode{ref: n.Ref, index: n.Entry.Index, kind: n.Entry.Kind, actor: n.Entry.Actor, stamp: n.Entry.Stamp})
	}
	out.join(g, made, number)
	return out
}

func inOrder(entries map[nodeKey]lineage.Node) []lineage.Node {
	list := make([]lineage.Node, 0, len(entries))
	for _, n := range entries {
		list = append(list, n)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Entry.Index < list[j].Entry.Index })
	return list
}

// makers are the entries that an artefact comes from, ascending.
type makers struct{ generated, registered []int64 }

// before resolves the artefact as seen from the entry at index: the
// registration that gave it its name, else every entry that generated it.
func (m *makers) before(index int64) []int64 {
	if m == nil {
		return nil
	}
	for i := len(m.registered) - 1; i >= 0; i-- {
		if m.registered[i] < index {
			return m.registered[i : i+1]
		}
	}
	n, _ := slices.BinarySearch(m.generated, index)
	return m.generated[:n]
}

// makersOf finds the makers of each artefact; if none generated it, the first
// entry that worked on it stands for its origin.
func makersOf(g lineage.Graph) map[nodeKey]*makers {
	out, worked := map[nodeKey]*makers{}, map[nodeKey][]int64{}
	for _, e := range g.Edges {
		k := keyOf(e.To)
		if e.To.Kind == attest.ArtefactEntry || e.Relation.Class() != attest.Output {
			continue
		}
		if out[k] == nil {
			out[k] = &makers{}
		}
		switch e.Relation {
		case attest.RelGenerated:
			out[k].generated = append(out[k].generated, e.Index)
		case attest.RelRegistered:
			out[k].registered = append(out[k].registered, e.Index)
		default:
			worked[k] = append(worked[k], e.Index)
		}
	}
	for k, m := range out {
		if len(m.generated) == 0 && len(m.registered) == 0 {
			m.generated = []int64{slices.Min(worked[k])}
		}
		m.generated, m.registered = ascending(m.generated), ascending(m.registered)
	}
	return out
}

func ascending(list []int64) []int64 {
	slices.Sort(list)
	return slices.Compact(list)
}

func (s *stepGraph) join(g lineage.Graph, made map[nodeKey]*makers, number map[nodeKey]int) {
	byIndex := map[int64]int{}
	for i, n := range s.nodes {
		if n.index >= 0 {
			byIndex[n.index] = i
		}
	}
	seen := map[[2]int]int{}
	add := func(from, to int, governs bool) {
		if at, done := seen[[2]int{from, to}]; done {
			s.links[at].governs = s.links[at].governs && governs
			return
		}
		seen[[2]int{from, to}] = len(s.links)
		s.links = append(s.links, stepLink{from, to, governs})
	}
	for _, e := range g.Edges {
		to, known := byIndex[e.Index]
		if !known {
			continue
		}
		governs := e.Relation.Class() == attest.Governs
		if e.To.Kind == attest.ArtefactEntry {
			if from, known := number[keyOf(e.To)]; known && from < to {
				add(from, to, governs)
			}
			continue
		}
		if from, bare := number[keyOf(e.To)]; bare {
			add(from, to, governs)
		}
		for _, m := range made[keyOf(e.To)].before(e.Index) {
			if from, known := byIndex[m]; known {
				add(from, to, governs)
			}
		}
	}
	sort.SliceStable(s.links, func(i, j int) bool {
		a, b := s.links[i], s.links[j]
		return a.from < b.from || a.from == b.from && a.to < b.to
	})
}

// around keeps what is within depth steps of the focus, walking only up or
// only down from it; depth 0 keeps all that is reached.
func (s *stepGraph) around(focus, depth int) *stepGraph {
	const far = 1 << 30
	dist, up := make([]int, len(s.nodes)), make([]bool, len(s.nodes))
	for i := range dist {
		dist[i] = far
	}
	dist[focus] = 0
	for _, upward := range []bool{true, false} {
		queue := []int{focus}
		for len(queue) > 0 {
			v := queue[0]
			queue = queue[1:]
			for _, l := range s.links {
				from, to := l.from, l.to
				if upward {
					from, to = to, from
				}
				if from == v && dist[to] == far && (depth == 0 || dist[v] < depth) {
					dist[to], up[to] = dist[v]+1, upward
					queue = append(queue, to)
				}
			}
		}
	}
	return s.keep(func(i int) bool { return dist[i] != far }, func(i int, n *stepNode) { n.dist, n.up = dist[i], up[i] }, focus)
}

func (s *stepGraph) keep(want func(int) bool, change func(int, *stepNode), focus int) *stepGraph {
	out := &stepGraph{focus: -1}
	place := map[int]int{}
	for i, n := range s.nodes {
		if want(i) {
			change(i, &n)
			place[i] = len(out.nodes)
			out.nodes = append(out.nodes, n)
		}
	}
	for _, l := range s.links {
		from, a := place[l.from]
		to, b := place[l.to]
		if a && b {
			out.links = append(out.links, stepLink{from, to, l.governs})
		}
	}
	if at, ok := place[focus]; ok {
		out.focus = at
	}
	return out
}

// group shows steps of one kind with the same neighbours as one item, when
// there are more than three of them: a deployment has many segments.
func (s *stepGraph) group() *stepGraph {
	ends := make([]string, len(s.nodes))
	for _, l := range s.links { // links are sorted, so equal sets give equal text
		ends[l.from] += "o" + figure(float64(l.to)) + ";"
		ends[l.to] += "i" + figure(float64(l.from)) + ";"
	}
	alike := map[string][]int{}
	for i, n := range s.nodes {
		if i != s.focus && !n.missing {
			alike[n.kind+"|"+ends[i]] = append(alike[n.kind+"|"+ends[i]], i)
		}
	}
	drop, members := map[int]bool{}, map[int][]int64{}
	for _, list := range alike {
		if len(list) <= 3 {
			continue
		}
		for k, i := range list {
			members[list[0]] = append(members[list[0]], s.nodes[i].index)
			drop[i] = k > 0
		}
	}
	return s.keep(func(i int) bool { return !drop[i] }, func(i int, n *stepNode) { n.members = members[i] }, s.focus)
}
