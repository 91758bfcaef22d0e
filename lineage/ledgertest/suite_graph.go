package ledgertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
)

// naive is the lineage graph as plain lists: the reference for the walks.
type naive struct {
	self []lineage.Ref // of each entry, by index
	rels [][]attest.Relation
}

func (n naive) follows(r attest.Relation, classes lineage.ClassSet) bool {
	c := r.Type.Class()
	return c == attest.Input || c == attest.Governs && classes == lineage.AllClasses
}

// makers are the entries below an index that made ref, or are it.
func (n naive) makers(ref lineage.Ref, below int64) (out []int64) {
	for i := range below {
		if n.self[i] == ref || slices.ContainsFunc(n.rels[i], func(r attest.Relation) bool { return r.Type.Class() == attest.Output && r.Ref == ref }) {
			out = append(out, i)
		}
	}
	return out
}

func (n naive) upstream(ref lineage.Ref, below int64, classes lineage.ClassSet) []int64 {
	seen := map[int64]bool{}
	var visit func(ref lineage.Ref, below int64)
	visit = func(ref lineage.Ref, below int64) {
		for _, i := range n.makers(ref, below) {
			if seen[i] {
				continue
			}
			seen[i] = true
			for _, r := range n.rels[i] {
				if n.follows(r, classes) {
					visit(r.Ref, i)
				}
			}
		}
	}
	visit(ref, below)
	return sorted(seen)
}

func (n naive) downstream(ref lineage.Ref, below int64, classes lineage.ClassSet) []int64 {
	seen := map[int64]bool{}
	var visit func(i int64)
	rests := func(ref lineage.Ref, from int64) {
		for j := from; j < below; j++ {
			if slices.ContainsFunc(n.rels[j], func(r attest.Relation) bool { return n.follows(r, classes) && r.Ref == ref }) {
				visit(j)
			}
		}
	}
	visit = func(i int64) {
		if seen[i] {
			return
		}
		seen[i] = true
		rests(n.self[i], i+1)
		for _, r := range n.rels[i] {
			if r.Type.Class() == attest.Output {
				rests(r.Ref, i+1)
			}
		}
	}
	if ref.Kind == attest.ArtefactEntry {
		for _, i := range n.makers(ref, below) {
			visit(i)
		}
	} else {
		rests(ref, 0)
	}
	return sorted(seen)
}

const far = 1 << 30

// distance counts the hops of a shortest way up, by dynamic programming over
// falling indexes; far if there is none.
func (n naive) distance(from, to lineage.Ref, below int64, classes lineage.ClassSet) int {
	memo := map[int64]int{}
	var ofNode func(ref lineage.Ref, below int64) int
	ofEntry := func(i int64) int {
		if n.self[i] == to {
			return 0
		}
		if d, ok := memo[i]; ok {
			return d
		}
		best := far
		for _, r := range n.rels[i] {
			if n.follows(r, classes) {
				best = min(best, 1+ofNode(r.Ref, i))
			}
		}
		memo[i] = best
		return best
	}
	ofNode = func(ref lineage.Ref, below int64) int {
		if ref == to {
			return 0
		}
		best := far
		for _, i := range n.makers(ref, below) {
			d := ofEntry(i)
			if n.self[i] != ref {
				d++
			}
			best = min(best, d)
		}
		return best
	}
	return ofNode(from, below)
}

func sorted(set map[int64]bool) []int64 {
	out := []int64{}
	for i := range set {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

// grow logs entries with random relations and returns them as plain lists.
func grow(w *World, rng *rand.Rand, count int) naive {
	var n naive
	w.View(func(r *lineage.ReadTx) error {
		list, err := r.Entries(lineage.EntryFilter{Limit: 1000})
		for _, e := range list {
			n.self, n.rels = append(n.self, e.Ref()), append(n.rels, e.Step.Relations)
		}
		return err
	})
	var made []lineage.Ref
	outputs := []attest.RelationType{attest.RelGenerated, attest.RelPrepared, attest.RelTrained}
	judges := []attest.RelationType{attest.RelDecided, attest.RelValidated, attest.RelConcerns, attest.RelSupersedes}
	for i := range count {
		var rels []attest.Relation
		for range rng.IntN(3) {
			switch {
			case rng.IntN(5) == 0:
				rels = append(rels, attest.Relation{Type: attest.RelUsed, Ref: n.self[rng.IntN(len(n.self))]})
			case len(made) > 0:
				rels = append(rels, attest.Relation{Type: attest.RelUsed, Ref: made[max(0, len(made)-1-rng.IntN(8))]})
			}
		}
		for range rng.IntN(3) {
			a := Data(fmt.Sprint("artefact", rng.IntN(count/2))) // some are made more than once
			rels = append(rels, attest.Relation{Type: outputs[rng.IntN(len(outputs))], Ref: a})
			made = append(made, a)
		}
		for range rng.IntN(2) {
			ref := Data(fmt.Sprint("artefact", rng.IntN(count)))
			if rng.IntN(2) == 0 {
				ref = n.self[rng.IntN(len(n.self))]
			}
			rels = append(rels, attest.Relation{Type: judges[rng.IntN(len(judges))], Ref: ref})
		}
		rec := w.Must(w.SubmitAs("trainer", FactStep(), FactResult(i, "", rels...)))
		n.self, n.rels = append(n.self, lineage.Ref{Kind: attest.ArtefactEntry, Digest: rec.PAE}), append(n.rels, rels)
	}
	return n
}

func graph(t *testing.T, open Open) {
	for seed := range uint64(3) {
		w, _ := world(t, open)
		rng := rand.New(rand.NewPCG(seed, 7))
		n := grow(w, rng, 60)
		total := int64(len(n.self))
		w.View(func(r *lineage.ReadTx) error {
			for range 40 {
				ref := Data(fmt.Sprint("artefact", rng.IntN(30)))
				if rng.IntN(3) == 0 {
					ref = n.self[rng.IntN(len(n.self))]
				}
				below := 1 + rng.Int64N(total)
				classes := lineage.ClassSet(rng.IntN(2))
				if err := compareWalks(t, r, n, ref, below, classes); err != nil {
					return err
				}
				to := Data(fmt.Sprint("artefact", rng.IntN(30)))
				if rng.IntN(2) == 0 {
					to = n.self[rng.IntN(len(n.self))]
				}
				if err := comparePath(t, r, n, ref, to, below, classes); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func compareWalks(t *testing.T, r *lineage.ReadTx, n naive, ref lineage.Ref, below int64, classes lineage.ClassSet) error {
	up, err := r.Upstream(ref, below, classes)
	if err != nil {
		return err
	}
	want := n.upstream(ref, below, classes)
	got, err := r.UpstreamEntries([]lineage.Ref{ref}, below, classes)
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) && len(got)+len(want) > 0 {
		t.Errorf("upstream of %v below %d (%d): %v, want %v", ref, below, classes, got, want)
	}
	compareGraph(t, n, up, want, classes)
	down, err := r.Downstream(ref, below, classes)
	if err != nil {
		return err
	}
	compareGraph(t, n, down, n.downstream(ref, below, classes), classes)
	return nil
}

// compareGraph: the edges of exactly these entries, and every node they touch.
func compareGraph(t *testing.T, n naive, g lineage.Graph, entries []int64, classes lineage.ClassSet) {
	t.Helper()
	var want []lineage.Edge
	nodes := map[lineage.Ref]bool{}
	for _, i := range entries {
		nodes[n.self[i]] = true
		for _, r := range n.rels[i] {
			if r.Type.Class() == attest.Output || n.follows(r, classes) {
				r.Ref.Name = ""
				want = append(want, lineage.Edge{From: n.self[i], To: r.Ref, Relation: r.Type, Index: i})
				nodes[r.Ref] = true
			}
		}
	}
	if !slices.Equal(g.Edges, want) && len(g.Edges)+len(want) > 0 {
		t.Errorf("the graph has edges %v, want %v", g.Edges, want)
	}
	for _, x := range g.Nodes {
		if !nodes[x.Ref] {
			t.Errorf("node %v does not belong", x.Ref)
		}
		delete(nodes, x.Ref)
	}
	if len(nodes) > 0 {
		t.Errorf("nodes %v are missing or twice", nodes)
	}
}

func comparePath(t *testing.T, r *lineage.ReadTx, n naive, from, to lineage.Ref, below int64, classes lineage.ClassSet) error {
	path, err := r.Path(from, to, below, classes)
	if err != nil {
		return err
	}
	want := n.distance(from, to, below, classes)
	switch {
	case want >= far && len(path) > 0:
		t.Errorf("a path %v where there is none", path)
	case want < far && len(path) != want+1:
		t.Errorf("from %v to %v below %d: %d nodes, want %d", from, to, below, len(path), want+1)
	case len(path) > 0 && (path[0] != from || path[len(path)-1] != to):
		t.Errorf("the path runs from %v to %v", path[0], path[len(path)-1])
	}
	at := below
	for i := range max(0, len(path)-1) {
		a, b := path[i], path[i+1]
		ai, bi := int64(slices.Index(n.self, a)), int64(slices.Index(n.self, b))
		up := ai >= 0 && slices.ContainsFunc(n.rels[ai], func(x attest.Relation) bool { return x.Ref == b && n.follows(x, classes) })
		made := bi >= 0 && bi < at && slices.Contains(n.makers(a, at), bi)
		if !up && !made {
			t.Errorf("no edge from %v to %v below %d", a, b, at)
		}
		if ai >= 0 {
			at = ai
		}
		if bi >= 0 && bi < at {
			at = bi
		}
	}
	return nil
}
