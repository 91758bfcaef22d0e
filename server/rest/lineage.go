package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/server"
)

// Values of the parameters direction and class.
const (
	DirectionUpstream   = "upstream"
	DirectionDownstream = "downstream"
	ClassContributes    = "contributes"
	ClassAll            = "all"
)

// Lineage is the graph around one node, as of a log size.
type Lineage struct {
	Focus     Node   `json:"focus"`
	Direction string `json:"direction"`
	Class     string `json:"class"`
	Below     int64  `json:"below" doc:"log size that the graph is of"`
	Nodes     []Node `json:"nodes"`
	Edges     []Edge `json:"edges" doc:"each from an entry to an artefact or entry"`
}

// Node is an artefact or an entry.
type Node struct {
	Kind   string     `json:"kind"`
	Digest string     `json:"digest"`
	Label  string     `json:"label,omitempty"`
	Entry  *NodeEntry `json:"entry,omitempty" doc:"set when the node is an entry"`
}

// NodeEntry tells which entry a node is.
type NodeEntry struct {
	Index int64     `json:"index"`
	Kind  string    `json:"kind"`
	Actor string    `json:"actor"`
	Stamp time.Time `json:"stamp"`
}

// Edge is one relation of an entry.
type Edge struct {
	From     string `json:"from" doc:"PAE digest of the entry"`
	ToKind   string `json:"toKind"`
	To       string `json:"to" doc:"digest of the node"`
	Relation string `json:"relation"`
	Index    int64  `json:"index" doc:"index of the entry: the evidence for this edge"`
}

type lineageQuery struct {
	digest, kind, direction, class string
	below, depth                   int64
}

func (a *API) getLineage(c *gin.Context) error {
	sum, err := digest("digest", c.Param("digest"))
	if err != nil {
		return err
	}
	q := newQuery(c, "kind", "direction", "class", "below", "depth")
	in := lineageQuery{digest: sum, kind: c.Query("kind"),
		direction: q.word("direction", DirectionUpstream, DirectionDownstream), class: q.word("class", ClassAll, ClassContributes),
		depth: q.number("depth", 1, 1000, 0)}
	var out Lineage
	err = a.view(c, func(r *lineage.ReadTx) (err error) {
		in.below = q.number("below", 0, r.Size(), r.Size())
		if q.err != nil {
			return q.err
		}
		out, err = readLineage(r, in)
		return err
	})
	if err != nil {
		return err
	}
	return server.WriteJSON(c, http.StatusOK, out)
}

func readLineage(r *lineage.ReadTx, in lineageQuery) (Lineage, error) {
	ref, err := findNode(r, in.digest, in.kind)
	if err != nil {
		return Lineage{}, err
	}
	classes, walk := lineage.AllClasses, r.Upstream
	if in.class == ClassContributes {
		classes = lineage.ContributesOnly
	}
	if in.direction == DirectionDownstream {
		walk = r.Downstream
	}
	g, err := walk(ref, in.below, classes)
	if err != nil {
		return Lineage{}, err
	}
	if in.depth > 0 {
		g = within(g, ref, in.direction, in.depth)
	}
	out := Lineage{Focus: Node{Kind: ref.Kind, Digest: ref.Digest}, Direction: in.direction, Class: in.class, Below: in.below,
		Nodes: []Node{}, Edges: []Edge{}}
	for _, n := range g.Nodes {
		node := Node{Kind: n.Ref.Kind, Digest: n.Ref.Digest, Label: n.Label}
		if n.Entry != nil {
			node.Entry = &NodeEntry{Index: n.Entry.Index, Kind: n.Entry.Kind, Actor: n.Entry.Actor, Stamp: n.Entry.Stamp}
		}
		if n.Ref.Kind == ref.Kind && n.Ref.Digest == ref.Digest {
			out.Focus = node
		}
		out.Nodes = append(out.Nodes, node)
	}
	for _, e := range g.Edges {
		out.Edges = append(out.Edges, Edge{From: e.From.Digest, ToKind: e.To.Kind, To: e.To.Digest, Relation: string(e.Relation), Index: e.Index})
	}
	return out, nil
}

// findNode finds which node of the graph a digest names. One digest may name
// several (a file that is a model and a document): then kind is needed.
func findNode(r *lineage.ReadTx, digest, kind string) (lineage.Ref, error) {
	var kinds []string
	err := r.DB().Table("edges").Distinct("kind").Where("digest = ?", digest).Order("kind").Pluck("kind", &kinds).Error
	switch {
	case err != nil:
		return lineage.Ref{}, fmt.Errorf("find node: %w", err)
	case len(kinds) == 0:
		return lineage.Ref{}, lineage.Errf(lineage.CodeNotFound, "digest", "no entry relates to it").
			WithRemedy("use the SHA-256 of an artefact or of an entry's PAE")
	case kind != "" && !slices.Contains(kinds, kind):
		return lineage.Ref{}, lineage.Errf(lineage.CodeNotFound, "kind", "the digest names %s, not a %s", strings.Join(kinds, " and "), kind)
	case kind == "" && len(kinds) > 1:
		return lineage.Ref{}, lineage.Errf(lineage.CodeInvalid, "kind", "the digest names several kinds of item").
			WithRemedy("add kind=%s", strings.Join(kinds, " or kind="))
	case kind == "":
		kind = kinds[0]
	}
	return lineage.Ref{Kind: kind, Digest: digest}, nil
}

type nodeKey struct{ kind, digest string }

// within keeps what is at most depth entries away from ref. Upstream leads
// from an artefact to the entries that made it and from an entry to what it
// used or judged; downstream is the other way round.
func within(g lineage.Graph, ref lineage.Ref, direction string, depth int64) lineage.Graph {
	next := map[nodeKey][]nodeKey{}
	for _, e := range g.Edges {
		entry, node := nodeKey{e.From.Kind, e.From.Digest}, nodeKey{e.To.Kind, e.To.Digest}
		made := e.Relation.Class() == attest.Output
		if made == (direction == DirectionUpstream) {
			next[node] = append(next[node], entry)
		} else {
			next[entry] = append(next[entry], node)
		}
	}
	start := nodeKey{ref.Kind, ref.Digest}
	dist, queue := map[nodeKey]int64{start: 0}, []nodeKey{start}
	for len(queue) > 0 { // 0-1 breadth first: stepping onto an artefact costs nothing
		v := queue[0]
		queue = queue[1:]
		for _, w := range next[v] {
			cost := dist[v]
			if w.kind == attest.ArtefactEntry {
				cost++
			}
			if old, seen := dist[w]; cost > depth || seen && old <= cost {
				continue
			}
			dist[w] = cost
			if cost == dist[v] {
				queue = append([]nodeKey{w}, queue...)
			} else {
				queue = append(queue, w)
			}
		}
	}
	var out lineage.Graph
	for _, n := range g.Nodes {
		if _, near := dist[nodeKey{n.Ref.Kind, n.Ref.Digest}]; near {
			out.Nodes = append(out.Nodes, n)
		}
	}
	for _, e := range g.Edges {
		_, from := dist[nodeKey{e.From.Kind, e.From.Digest}]
		_, to := dist[nodeKey{e.To.Kind, e.To.Digest}]
		if from && to {
			out.Edges = append(out.Edges, e)
		}
	}
	return out
}
