package lineage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"affidavit/attest"
)

// ClassSet says which relations a walk follows.
type ClassSet int

const (
	// AllClasses follows what contributes and what governs: for reports.
	AllClasses ClassSet = iota
	// ContributesOnly follows what segregation of duties follows.
	ContributesOnly
)

// in lists the classes by which an entry depends on a node, as SQL.
func (c ClassSet) in() string {
	if c == ContributesOnly {
		return "(1)"
	}
	return "(1,3)"
}

// Graph is a part of the lineage graph. It is bipartite: every edge leads from
// an entry to a node, so it cannot have a cycle.
type Graph struct {
	Nodes []Node // entries by index, then artefacts by kind and digest
	Edges []Edge // by index and position
}

// Node is an entry or an artefact.
type Node struct {
	Ref   Ref
	Label string
	Entry *EntryInfo // nil for an artefact
}

// EntryInfo is what a drawing says of an entry.
type EntryInfo struct {
	Index   int64
	Kind    string
	Actor   string
	Project string
	Stamp   time.Time
}

// Edge leads from the entry at Index to a node.
type Edge struct {
	From     Ref
	To       Ref
	Relation attest.RelationType
	Index    int64
}

// Upstream returns everything that ref came from as the log stood below an
// index: the entries that made it, what those used (and, for AllClasses,
// judged), the entries that made that, and so on. An artefact seen from entry
// i resolves to the entries below i that made it.
func (r *ReadTx) Upstream(ref Ref, below int64, classes ClassSet) (Graph, error) {
	idx, err := r.UpstreamEntries([]Ref{ref}, below, classes)
	if err != nil {
		return Graph{}, err
	}
	return r.graphOf(idx, classes)
}

// UpstreamEntries returns the ascending indexes of the entries upstream of any of refs.
func (r *ReadTx) UpstreamEntries(refs []Ref, below int64, classes ClassSet) ([]int64, error) {
	seed, args := r.seeds(refs, "class = 2", below)
	q := `WITH RECURSIVE up(idx) AS (` + seed + `
		UNION SELECT p.idx FROM up JOIN edges u ON u.idx = up.idx AND u.class IN ` + classes.in() + `
			JOIN edges p ON p.digest = u.digest AND p.class = 2 AND p.idx < up.idx AND p.kind = u.kind
	) SELECT idx FROM up ORDER BY idx`
	return r.indexes(q, args...)
}

// Downstream returns everything that rests on ref below an index.
func (r *ReadTx) Downstream(ref Ref, below int64, classes ClassSet) (Graph, error) {
	cond := "class IN " + classes.in()
	if ref.Kind == attest.ArtefactEntry {
		cond = "class = 2" // the entry itself; its outputs follow
	}
	seed, args := r.seeds([]Ref{ref}, cond, below)
	q := `WITH RECURSIVE down(idx) AS (` + seed + `
		UNION SELECT d.idx FROM down JOIN edges o ON o.idx = down.idx AND o.class = 2
			JOIN edges d ON d.digest = o.digest AND d.class IN ` + classes.in() + ` AND d.idx > down.idx AND d.kind = o.kind
		WHERE d.idx < ?
	) SELECT idx FROM down ORDER BY idx`
	idx, err := r.indexes(q, append(args, r.clamp(below))...)
	if err != nil {
		return Graph{}, err
	}
	return r.graphOf(idx, classes)
}

func (r *ReadTx) clamp(below int64) int64 {
	if below <= 0 || below > r.size {
		return r.size
	}
	return below
}

// seeds selects the entries that stand to refs as cond says.
func (r *ReadTx) seeds(refs []Ref, cond string, below int64) (string, []any) {
	var parts []string
	var args []any
	for _, ref := range refs {
		parts = append(parts, "SELECT idx FROM edges WHERE digest = ? AND kind = ? AND "+cond+" AND idx < ?")
		args = append(args, ref.Digest, ref.Kind, r.clamp(below))
	}
	if len(parts) == 0 {
		parts = []string{"SELECT idx FROM edges WHERE 1 = 0"}
	}
	// A compound seed stands in parentheses of its own: the recursive part is
	// the last arm only.
	return "SELECT idx FROM (" + strings.Join(parts, " UNION ") + ") AS seed", args
}

func (r *ReadTx) indexes(query string, args ...any) ([]int64, error) {
	rows, err := r.q.QueryContext(r.ctx, r.d.bind(query), args...)
	if err != nil {
		return nil, fmt.Errorf("lineage: %w", err)
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var i int64
		if err := rows.Scan(&i); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

// chunk is how many indexes one IN list holds.
const chunk = 500

func inList(idx []int64) string {
	s := make([]string, len(idx))
	for i, x := range idx {
		s[i] = strconv.FormatInt(x, 10)
	}
	return "(" + strings.Join(s, ",") + ")"
}

// graphOf collects the entries, their edges and the nodes these lead to.
// Entries of other projects keep their place but not their names.
func (r *ReadTx) graphOf(idx []int64, classes ClassSet) (Graph, error) {
	g := Graph{Nodes: []Node{}, Edges: []Edge{}}
	byPAE := map[string]int{}
	for part := range slices.Chunk(idx, chunk) {
		if err := r.addEntries(&g, byPAE, "e.idx IN "+inList(part)); err != nil {
			return g, err
		}
	}
	byIndex := make(map[int64]Ref, len(g.Nodes))
	for _, n := range g.Nodes {
		byIndex[n.Entry.Index] = n.Ref
	}
	for part := range slices.Chunk(idx, chunk) {
		if err := r.addEdges(&g, byIndex, part, classes); err != nil {
			return g, err
		}
	}
	return g, r.addTargets(&g, byPAE)
}

func (r *ReadTx) addEntries(g *Graph, byPAE map[string]int, cond string, args ...any) error {
	rows, err := r.q.QueryContext(r.ctx, r.d.bind("SELECT e.idx, e.pae, e.kind, e.actor, e.project, e.stamp FROM entries e WHERE "+cond+" ORDER BY e.idx"), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var in EntryInfo
		var pae string
		var stamp int64
		if err := rows.Scan(&in.Index, &pae, &in.Kind, &in.Actor, &in.Project, &stamp); err != nil {
			return err
		}
		in.Stamp = unix(stamp)
		if !r.visible(in.Project) {
			in.Kind, in.Actor, in.Project = "", "", ""
		}
		byPAE[pae] = len(g.Nodes)
		g.Nodes = append(g.Nodes, Node{Ref: Ref{Kind: attest.ArtefactEntry, Digest: pae}, Label: in.Kind, Entry: &in})
	}
	return rows.Err()
}

func (r *ReadTx) addEdges(g *Graph, byIndex map[int64]Ref, part []int64, classes ClassSet) error {
	rows, err := r.q.QueryContext(r.ctx, "SELECT idx, relation, class, kind, digest FROM edges WHERE pos >= 0 AND idx IN "+inList(part)+" ORDER BY idx, pos")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var e Edge
		var class int
		if err := rows.Scan(&e.Index, &e.Relation, &class, &e.To.Kind, &e.To.Digest); err != nil {
			return err
		}
		if classes == ContributesOnly && attest.RelationClass(class) == attest.Governs {
			continue
		}
		e.From = byIndex[e.Index]
		g.Edges = append(g.Edges, e)
	}
	return rows.Err()
}

// addTargets adds the nodes that edges lead to and that are not there yet.
func (r *ReadTx) addTargets(g *Graph, byPAE map[string]int) error {
	seen := map[Ref]bool{}
	var artefacts []Node
	var missing []string
	for _, e := range g.Edges {
		if seen[e.To] {
			continue
		}
		seen[e.To] = true
		if e.To.Kind != attest.ArtefactEntry {
			artefacts = append(artefacts, Node{Ref: e.To, Label: e.To.Kind})
		} else if _, known := byPAE[e.To.Digest]; !known {
			missing = append(missing, e.To.Digest)
		}
	}
	for part := range slices.Chunk(missing, chunk) {
		args := make([]any, len(part))
		for i, pae := range part {
			args[i] = pae
		}
		if err := r.addEntries(g, byPAE, "e.pae IN ("+strings.TrimSuffix(strings.Repeat("?,", len(part)), ",")+")", args...); err != nil {
			return err
		}
	}
	slices.SortFunc(artefacts, func(a, b Node) int {
		return strings.Compare(a.Ref.Kind+a.Ref.Digest, b.Ref.Kind+b.Ref.Digest)
	})
	g.Nodes = append(g.Nodes, artefacts...)
	return nil
}

// Path returns a shortest way upstream from one node to another, both
// included, or nil if from does not rest on to.
func (r *ReadTx) Path(from, to Ref, below int64, classes ClassSet) ([]Ref, error) {
	g, err := r.Upstream(from, below, classes)
	if err != nil {
		return nil, err
	}
	from.Name, to.Name = "", ""
	return g.path(from, to, r.clamp(below)), nil
}

// seen is a node as it looks from an entry: only what lies below made it.
type seen struct {
	ref   Ref
	below int64
}

// path walks breadth first. The same artefact seen from two entries may have
// come from different ones, so the entry is part of where the walk stands.
func (g Graph) path(from, to Ref, below int64) []Ref {
	makers, needs, entries := map[Ref][]Edge{}, map[Ref][]Edge{}, map[Ref]int64{}
	for _, n := range g.Nodes {
		if n.Entry != nil { // an entry makes itself
			entries[n.Ref] = n.Entry.Index
		}
	}
	for _, e := range g.Edges {
		e.To.Name = ""
		if e.Relation.Class() == attest.Output {
			makers[e.To] = append(makers[e.To], e)
		} else {
			needs[e.From] = append(needs[e.From], e)
		}
	}
	start := seen{from, below}
	came := map[seen]seen{start: start}
	queue := []seen{start}
	if i, ok := entries[from]; ok && i < below {
		queue = []seen{{from, i}, start}
		came[queue[0]] = start
	}
	for ; len(queue) > 0; queue = queue[1:] {
		v := queue[0]
		if v.ref == to {
			path := []Ref{to}
			for ; v != start; v = came[v] {
				if up := came[v].ref; up != path[len(path)-1] {
					path = append(path, up)
				}
			}
			slices.Reverse(path)
			return path
		}
		reach := func(w seen) {
			if _, done := came[w]; !done {
				came[w] = v
				queue = append(queue, w)
			}
		}
		for _, e := range makers[v.ref] {
			if e.Index < v.below {
				reach(seen{e.From, e.Index})
			}
		}
		if v.ref.Kind == attest.ArtefactEntry {
			for _, e := range needs[v.ref] {
				if e.Index != v.below {
					continue
				}
				if i, ok := entries[e.To]; ok && i < e.Index {
					reach(seen{e.To, i})
				}
				reach(seen{e.To, e.Index})
			}
		}
	}
	return nil
}
