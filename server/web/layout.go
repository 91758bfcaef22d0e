package web

import (
	"math"
	"slices"
	"sort"
)

// Measures of a drawing, in CSS pixels.
const (
	boxW, boxH   = 184.0, 46.0
	gapX, gapY   = 64.0, 14.0
	margin       = 24.0
	dummyH       = 6.0
	orderSweeps  = 12
	alignSweeps  = 8
	maxDrawNodes = 400
	maxDrawLinks = 1200
)

// vertex is a box, or the place where a long edge passes a layer.
type vertex struct {
	layer int
	dummy bool
	in    []int
	out   []int
	x, y  float64 // centre of the left side
}

// drawing is a layered layout: longest path, barycentre with the fewest
// crossings seen, then places by isotonic regression (pool adjacent
// violators). It depends on its input alone.
type drawing struct {
	vertices []vertex
	layers   [][]int
	// chains holds, for each edge of the input, the vertices it runs through.
	chains        [][]int
	width, height float64
}

// layOut places n boxes joined by edges, each from a lower to a higher number.
func layOut(n int, edges [][2]int) *drawing {
	d := &drawing{vertices: make([]vertex, n)}
	d.assignLayers(edges)
	for _, e := range edges {
		d.chain(e[0], e[1])
	}
	for i := range d.vertices {
		v := &d.vertices[i]
		for len(d.layers) <= v.layer {
			d.layers = append(d.layers, nil)
		}
		d.layers[v.layer] = append(d.layers[v.layer], i)
	}
	d.order()
	d.place()
	return d
}

// assignLayers gives each box the longest path from a source, then pulls boxes
// towards what they lead to, so that edges are short.
func (d *drawing) assignLayers(edges [][2]int) {
	next := make([][]int, len(d.vertices))
	for _, e := range edges {
		next[e[0]] = append(next[e[0]], e[1])
	}
	for v := range d.vertices { // numbers are a topological order
		for _, w := range next[v] {
			d.vertices[w].layer = max(d.vertices[w].layer, d.vertices[v].layer+1)
		}
	}
	for v := len(d.vertices) - 1; v >= 0; v-- {
		if len(next[v]) == 0 {
			continue
		}
		nearest := math.MaxInt
		for _, w := range next[v] {
			nearest = min(nearest, d.vertices[w].layer)
		}
		d.vertices[v].layer = nearest - 1
	}
}

func (d *drawing) chain(from, to int) {
	c, last := []int{from}, from
	for layer := d.vertices[from].layer + 1; layer < d.vertices[to].layer; layer++ {
		d.vertices = append(d.vertices, vertex{layer: layer, dummy: true})
		next := len(d.vertices) - 1
		d.link(last, next)
		c, last = append(c, next), next
	}
	d.link(last, to)
	d.chains = append(d.chains, append(c, to))
}

func (d *drawing) link(a, b int) {
	d.vertices[a].out = append(d.vertices[a].out, b)
	d.vertices[b].in = append(d.vertices[b].in, a)
}

// order sorts each layer by the mean place of its neighbours, forwards and
// backwards in turn, and keeps the order with the fewest crossings.
func (d *drawing) order() {
	pos := make([]int, len(d.vertices))
	number := func() {
		for _, l := range d.layers {
			for i, v := range l {
				pos[v] = i
			}
		}
	}
	number()
	best, fewest := d.snapshot(), d.crossings(pos)
	for sweep := range orderSweeps {
		for k := range d.layers {
			l, forwards := k, sweep%2 == 0
			if !forwards {
				l = len(d.layers) - 1 - k
			}
			d.sortLayer(d.layers[l], pos, forwards)
			for i, v := range d.layers[l] {
				pos[v] = i
			}
		}
		if n := d.crossings(pos); n < fewest {
			best, fewest = d.snapshot(), n
		}
	}
	d.layers = best
}

func (d *drawing) sortLayer(layer, pos []int, forwards bool) {
	key := make(map[int]float64, len(layer))
	for i, v := range layer {
		near := d.vertices[v].out
		if forwards {
			near = d.vertices[v].in
		}
		key[v] = float64(i)
		if len(near) > 0 {
			sum := 0
			for _, w := range near {
				sum += pos[w]
			}
			key[v] = float64(sum) / float64(len(near))
		}
	}
	sort.SliceStable(layer, func(i, j int) bool { return key[layer[i]] < key[layer[j]] })
}

func (d *drawing) snapshot() [][]int {
	out := make([][]int, len(d.layers))
	for i, l := range d.layers {
		out[i] = slices.Clone(l)
	}
	return out
}

// crossings counts pairs of edges between neighbouring layers that cross.
func (d *drawing) crossings(pos []int) int {
	n := 0
	for _, l := range d.layers {
		var ends []int // in order of the left end, then of the right
		for _, v := range l {
			right := make([]int, 0, len(d.vertices[v].out))
			for _, w := range d.vertices[v].out {
				right = append(right, pos[w])
			}
			slices.Sort(right)
			for _, r := range right {
				for _, earlier := range ends {
					if earlier > r {
						n++
					}
				}
			}
			ends = append(ends, right...)
		}
	}
	return n
}

func (d *drawing) heightOf(v int) float64 {
	if d.vertices[v].dummy {
		return dummyH
	}
	return boxH
}

// place gives every vertex its x by layer and its y near its neighbours'.
func (d *drawing) place() {
	for l, layer := range d.layers {
		y := 0.0
		for _, v := range layer {
			d.vertices[v].x = margin + float64(l)*(boxW+gapX)
			d.vertices[v].y = y + d.heightOf(v)/2
			y += d.heightOf(v) + gapY
		}
	}
	for sweep := range alignSweeps {
		for k := range d.layers {
			l := k
			if sweep%2 == 1 {
				l = len(d.layers) - 1 - k
			}
			d.alignLayer(d.layers[l])
		}
	}
	top, bottom := math.Inf(1), math.Inf(-1)
	for v := range d.vertices {
		top = min(top, d.vertices[v].y-d.heightOf(v)/2)
		bottom = max(bottom, d.vertices[v].y+d.heightOf(v)/2)
	}
	for v := range d.vertices {
		d.vertices[v].y += margin - top
	}
	d.width = 2*margin + float64(len(d.layers))*(boxW+gapX) - gapX
	d.height = bottom - top + 2*margin
}

// alignLayer moves a layer as close to its neighbours' means as the order and
// the gaps allow: with z = y minus the room above, the least-squares answer
// under z nondecreasing is isotonic regression.
func (d *drawing) alignLayer(layer []int) {
	room := make([]float64, len(layer))
	want := make([]float64, len(layer))
	for i, v := range layer {
		if i > 0 {
			room[i] = room[i-1] + d.heightOf(layer[i-1])/2 + gapY + d.heightOf(v)/2
		}
		want[i] = d.wanted(v) - room[i]
	}
	for i, z := range isotonic(want) {
		d.vertices[layer[i]].y = z + room[i]
	}
}

func (d *drawing) wanted(v int) float64 {
	near := append(slices.Clone(d.vertices[v].in), d.vertices[v].out...)
	if len(near) == 0 {
		return d.vertices[v].y
	}
	sum := 0.0
	for _, w := range near {
		sum += d.vertices[w].y
	}
	return sum / float64(len(near))
}

// isotonic returns the nondecreasing sequence closest to x in least squares.
func isotonic(x []float64) []float64 {
	type block struct {
		sum float64
		n   int
	}
	var blocks []block
	for _, v := range x {
		blocks = append(blocks, block{v, 1})
		for len(blocks) > 1 {
			a, b := blocks[len(blocks)-2], blocks[len(blocks)-1]
			if a.sum/float64(a.n) <= b.sum/float64(b.n) {
				break
			}
			blocks = append(blocks[:len(blocks)-2], block{a.sum + b.sum, a.n + b.n})
		}
	}
	out := make([]float64, 0, len(x))
	for _, b := range blocks {
		for range b.n {
			out = append(out, b.sum/float64(b.n))
		}
	}
	return out
}
