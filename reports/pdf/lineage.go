package pdf

import (
	"fmt"
	"math"
	"sort"
)

// NodeKind groups lineage nodes by colour.
type NodeKind int

// The kinds, in the order of the legend.
const (
	DataNode NodeKind = iota
	WorkNode
	ModelNode
	PersonNode
)

var (
	nodeColors = [...]Color{DataNode: Series4, WorkNode: Accent, ModelNode: Series2, PersonNode: Series3}
	nodeNames  = [...]string{DataNode: "Data", WorkNode: "Run or check", ModelNode: "Model", PersonNode: "Decision by a person"}
)

// GraphNode is an item of the lineage.
type GraphNode struct {
	ID   string
	Kind NodeKind
	// Caption is the small line, such as "Training run"; Title the name below it.
	Caption, Title string
	// Focus frames the item that the graph is about; Warning adds the sign.
	Focus, Warning bool
	Href           string
}

// GraphEdge leads from what came before to what rests on it.
type GraphEdge struct {
	From, To string
	// Governs marks an edge that does not make its target a product of its source; it is dashed.
	Governs bool
}

// LineageGraph lays items out in layers, from origins to results.
type LineageGraph struct {
	Title, Desc string
	Nodes       []GraphNode
	Edges       []GraphEdge
	// Across runs from left to right, as a wide page wants it; otherwise from top to bottom.
	Across bool
}

const (
	maxGraphNodes = 400
	nodeWidth     = 108.0
	nodeHeight    = 27.0
	legendHeight  = 22.0
)

// vertex is a node, or a bend of an edge that spans several layers (node < 0).
type vertex struct {
	node     int
	rank     int
	pos      float64 // centre across the layers
	up, down []int   // neighbours in the layers before and after
}

func (v *vertex) width(across bool) float64 {
	switch {
	case v.node < 0:
		return 5
	case across:
		return nodeHeight
	}
	return nodeWidth
}

type graphLayout struct {
	g      *LineageGraph
	verts  []vertex
	layers [][]int
	paths  [][]int // of each edge: its vertices from start to end
}

// Draw gives the graph as a display list. It fails on a cycle, which a lineage cannot have, and on unknown ends of edges.
func (g *LineageGraph) Draw() (*Drawing, error) {
	if len(g.Nodes) > maxGraphNodes {
		return nil, fmt.Errorf("pdf: the lineage graph has %d nodes, more than %d: show a part of it", len(g.Nodes), maxGraphNodes)
	}
	l := &graphLayout{g: g}
	if err := l.rank(); err != nil {
		return nil, err
	}
	l.order()
	l.place()
	return l.draw()
}

// rank puts each node one layer after the last of those before it, and moves origins next to their first use.
func (l *graphLayout) rank() error {
	index := map[string]int{}
	for i, n := range l.g.Nodes {
		if _, dup := index[n.ID]; dup {
			return fmt.Errorf("pdf: lineage node %q occurs twice", n.ID)
		}
		index[n.ID] = i
		l.verts = append(l.verts, vertex{node: i})
	}
	count := len(l.verts)
	after, before := make([][]int, count), make([][]int, count)
	waits := make([]int, count)
	for _, e := range l.g.Edges {
		from, ok1 := index[e.From]
		to, ok2 := index[e.To]
		if !ok1 || !ok2 {
			return fmt.Errorf("pdf: lineage edge %q → %q names a node that is not in the graph", e.From, e.To)
		}
		after[from] = append(after[from], to)
		before[to] = append(before[to], from)
		waits[to]++
	}
	var queue []int
	for i := range count {
		if waits[i] == 0 {
			queue = append(queue, i)
		}
	}
	for k := 0; k < len(queue); k++ {
		for _, to := range after[queue[k]] {
			l.verts[to].rank = max(l.verts[to].rank, l.verts[queue[k]].rank+1)
			if waits[to]--; waits[to] == 0 {
				queue = append(queue, to)
			}
		}
	}
	if len(queue) < count {
		return fmt.Errorf("pdf: the lineage graph has a cycle among %d nodes", count-len(queue))
	}
	for k := len(queue) - 1; k >= 0; k-- {
		i := queue[k]
		if len(before[i]) == 0 && len(after[i]) > 0 {
			nearest := math.MaxInt
			for _, to := range after[i] {
				nearest = min(nearest, l.verts[to].rank)
			}
			l.verts[i].rank = nearest - 1
		}
	}
	for _, e := range l.g.Edges {
		l.paths = append(l.paths, l.bend(index[e.From], index[e.To]))
	}
	return nil
}

// bend splits an edge into steps of one layer each.
func (l *graphLayout) bend(from, to int) []int {
	path := []int{from}
	for r := l.verts[from].rank + 1; r < l.verts[to].rank; r++ {
		l.verts = append(l.verts, vertex{node: -1, rank: r})
		path = append(path, len(l.verts)-1)
	}
	path = append(path, to)
	for i := 1; i < len(path); i++ {
		a, b := path[i-1], path[i]
		l.verts[a].down = append(l.verts[a].down, b)
		l.verts[b].up = append(l.verts[b].up, a)
	}
	return path
}

// order sorts each layer by the mean position of its neighbours, alternately from both sides, and keeps the best order seen.
func (l *graphLayout) order() {
	top := 0
	for _, v := range l.verts {
		top = max(top, v.rank)
	}
	l.layers = make([][]int, top+1)
	for i, v := range l.verts {
		l.layers[v.rank] = append(l.layers[v.rank], i)
	}
	at := make([]float64, len(l.verts))
	number := func() {
		for _, layer := range l.layers {
			for k, i := range layer {
				at[i] = float64(k)
			}
		}
	}
	number()
	best, bestCrossings := l.snapshot(), l.crossings(at)
	for sweep := range 16 {
		for k := range l.layers {
			layer := l.layers[k]
			if sweep%2 == 1 {
				layer = l.layers[len(l.layers)-1-k]
			}
			key := make(map[int]float64, len(layer))
			for _, i := range layer {
				near := l.verts[i].up
				if sweep%2 == 1 {
					near = l.verts[i].down
				}
				key[i] = mean(near, at, at[i])
			}
			sort.SliceStable(layer, func(a, b int) bool { return key[layer[a]] < key[layer[b]] })
			for n, i := range layer {
				at[i] = float64(n)
			}
		}
		if c := l.crossings(at); c < bestCrossings {
			best, bestCrossings = l.snapshot(), c
		}
	}
	l.layers = best
}

func (l *graphLayout) snapshot() [][]int {
	out := make([][]int, len(l.layers))
	for i, layer := range l.layers {
		out[i] = append([]int(nil), layer...)
	}
	return out
}

func mean(of []int, at []float64, otherwise float64) float64 {
	if len(of) == 0 {
		return otherwise
	}
	sum := 0.0
	for _, i := range of {
		sum += at[i]
	}
	return sum / float64(len(of))
}

// crossings counts pairs of edge steps that cross.
func (l *graphLayout) crossings(at []float64) int {
	total := 0
	for _, layer := range l.layers {
		var steps [][2]float64
		for _, i := range layer {
			for _, j := range l.verts[i].down {
				steps = append(steps, [2]float64{at[i], at[j]})
			}
		}
		for a := range steps {
			for b := a + 1; b < len(steps); b++ {
				if (steps[a][0]-steps[b][0])*(steps[a][1]-steps[b][1]) < 0 {
					total++
				}
			}
		}
	}
	return total
}

// place moves vertices towards the mean of their neighbours while they keep their order and their distance.
func (l *graphLayout) place() {
	pos := make([]float64, len(l.verts))
	for _, layer := range l.layers {
		x := 0.0
		for k, i := range layer {
			if k > 0 {
				x += l.gap(layer[k-1], i)
			}
			pos[i] = x
		}
	}
	for sweep := range 24 {
		for k := range l.layers {
			layer := l.layers[k]
			if sweep%2 == 1 {
				layer = l.layers[len(l.layers)-1-k]
			}
			want := make([]float64, len(layer))
			for n, i := range layer {
				near := append(append([]int(nil), l.verts[i].up...), l.verts[i].down...)
				want[n] = mean(near, pos, pos[i])
			}
			l.separate(layer, want, pos)
		}
	}
	low := math.Inf(1)
	for i := range l.verts {
		low = min(low, pos[i]-l.verts[i].width(l.g.Across)/2)
	}
	for i := range l.verts {
		l.verts[i].pos = pos[i] - low
	}
}

// gap is the least distance between the centres of two neighbours.
func (l *graphLayout) gap(a, b int) float64 {
	space := 12.0
	if l.verts[a].node < 0 || l.verts[b].node < 0 {
		space = 6
	}
	return (l.verts[a].width(l.g.Across)+l.verts[b].width(l.g.Across))/2 + space
}

// separate finds the positions nearest to want, in least squares, that keep the gaps: after subtracting the gaps this is
// an isotonic regression, solved by pooling neighbours that are out of order.
func (l *graphLayout) separate(layer []int, want, pos []float64) {
	type block struct {
		sum float64
		n   int
	}
	var blocks []block
	offset := make([]float64, len(layer))
	for k := range layer {
		if k > 0 {
			offset[k] = offset[k-1] + l.gap(layer[k-1], layer[k])
		}
		blocks = append(blocks, block{want[k] - offset[k], 1})
		for len(blocks) > 1 {
			a, b := blocks[len(blocks)-2], blocks[len(blocks)-1]
			if a.sum/float64(a.n) <= b.sum/float64(b.n) {
				break
			}
			blocks = append(blocks[:len(blocks)-2], block{a.sum + b.sum, a.n + b.n})
		}
	}
	k := 0
	for _, b := range blocks {
		for range b.n {
			pos[layer[k]] = b.sum/float64(b.n) + offset[k]
			k++
		}
	}
}

// draw turns positions into a display list.
func (l *graphLayout) draw() (*Drawing, error) {
	f, err := newFaces()
	if err != nil {
		return nil, err
	}
	across := l.g.Across
	depth, pitch := nodeHeight, nodeHeight+22
	if across {
		depth, pitch = nodeWidth, nodeWidth+34
	}
	breadth := 0.0
	for i := range l.verts {
		breadth = max(breadth, l.verts[i].pos+l.verts[i].width(across)/2)
	}
	length := float64(max(0, len(l.layers)-1))*pitch + depth
	d := &Drawing{Width: breadth + 2, Height: length + 2 + legendHeight, Title: l.g.Title, Desc: l.g.Desc}
	if across {
		d.Width, d.Height = length+2, breadth+2+legendHeight
	}
	d.Width = max(d.Width, l.legend(d, f))
	shift := 1.0
	if !across {
		shift = (d.Width - breadth) / 2
	}
	// at gives the point of a vertex at the given distance from the start of its layer.
	at := func(i int, along float64) Point {
		v := &l.verts[i]
		if across {
			return Point{1 + float64(v.rank)*pitch + along, legendHeight + v.pos + 1}
		}
		return Point{v.pos + shift, legendHeight + float64(v.rank)*pitch + along + 1}
	}
	for n, path := range l.paths {
		var dash []float64
		if l.g.Edges[n].Governs {
			dash = []float64{3, 2}
		}
		for k := 1; k < len(path); k++ {
			from, to := at(path[k-1], depth), at(path[k], 0)
			l.step(d, from, to, dash)
			if l.verts[path[k]].node < 0 {
				d.Ops = append(d.Ops, Op{Shape: Polyline, Points: []Point{to, at(path[k], depth)}, Stroke: LineStrong, Width: 0.7, Dash: dash})
			}
		}
	}
	for i := range l.verts {
		if l.verts[i].node >= 0 {
			p := at(i, 0)
			if across {
				p.Y -= nodeHeight / 2
			} else {
				p.X -= nodeWidth / 2
			}
			l.node(d, f, &l.g.Nodes[l.verts[i].node], p)
		}
	}
	if !across {
		for r := 1; r < len(l.layers); r++ {
			d.Breaks = append(d.Breaks, legendHeight+float64(r)*pitch-10)
		}
	}
	return d, nil
}

// step draws one step of an edge as a curve that leaves and arrives along the direction of the graph.
func (l *graphLayout) step(d *Drawing, from, to Point, dash []float64) {
	c1, c2 := Point{from.X, (from.Y + to.Y) / 2}, Point{to.X, (from.Y + to.Y) / 2}
	if l.g.Across {
		c1, c2 = Point{(from.X + to.X) / 2, from.Y}, Point{(from.X + to.X) / 2, to.Y}
	}
	d.Ops = append(d.Ops, Op{Shape: Bezier, Points: []Point{from, c1, c2, to}, Stroke: LineStrong, Width: 0.7, Dash: dash})
}

// legend explains the colours and lines that occur, and returns the width that it takes.
func (l *graphLayout) legend(d *Drawing, f *faces) float64 {
	used := [len(nodeNames)]bool{}
	for _, n := range l.g.Nodes {
		used[n.Kind] = true
	}
	x := 0.0
	for kind, name := range nodeNames {
		if !used[kind] {
			continue
		}
		d.rect(nodeColors[kind], NoColor, x, 1, 7, 7)
		d.label(Muted, chartText, Left, x+10, 7.4, name)
		x += f.width(regular, chartText, name) + 24
	}
	for _, kind := range []struct {
		name    string
		governs bool
		dash    []float64
	}{{"contributes", false, nil}, {"governs", true, []float64{3, 2}}} {
		for _, e := range l.g.Edges {
			if e.Governs == kind.governs {
				d.Ops = append(d.Ops, Op{Shape: Polyline, Points: []Point{{x, 4.6}, {x + 14, 4.6}}, Stroke: LineStrong, Width: 0.9, Dash: kind.dash})
				d.label(Muted, chartText, Left, x+18, 7.4, kind.name)
				x += f.width(regular, chartText, kind.name) + 32
				break
			}
		}
	}
	return x
}

func (l *graphLayout) node(d *Drawing, f *faces, n *GraphNode, at Point) {
	start := len(d.Ops)
	d.rect(Surface, LineStrong, at.X, at.Y, nodeWidth, nodeHeight)
	if n.Focus {
		d.Ops[start].Stroke, d.Ops[start].Width = Accent, 1.6
	}
	d.rect(nodeColors[n.Kind], NoColor, at.X+0.3, at.Y+0.3, 3, nodeHeight-0.6)
	room := nodeWidth - 12
	if n.Warning {
		room -= 12
		d.Ops = append(d.Ops, iconOps(StatusWarn, at.X+nodeWidth-13, at.Y+nodeHeight/2-4.5, 9)...)
	}
	d.label(Muted, 6, Left, at.X+8, at.Y+10, shorten(f, regular, 6, n.Caption, room))
	d.label(Ink, 7.2, Left, at.X+8, at.Y+20.5, shorten(f, bold, 7.2, n.Title, room))
	d.Ops[len(d.Ops)-1].Bold = true
	for i := start; i < len(d.Ops); i++ {
		d.Ops[i].Href = n.Href
	}
}

// shorten cuts text to the room, ending in an ellipsis.
func shorten(f *faces, s style, size float64, text string, room float64) string {
	text = f.clean(s, text)
	if f.width(s, size, text) <= room {
		return text
	}
	runes := []rune(text)
	for len(runes) > 1 && f.width(s, size, string(runes)+"…") > room {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
