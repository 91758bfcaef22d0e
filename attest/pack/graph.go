package pack

import (
	"sort"
	"strconv"

	"affidavit/attest"
)

// GraphEntry is what the lineage graph needs of an entry.
type GraphEntry struct {
	Index      int64
	PAE        string // hex
	Kind       string
	Actor      string
	OnBehalfOf string
	Relations  []attest.Relation
}

// Lineage is lineage.json: a bipartite graph, entries on one side and
// artefacts on the other, derived from the signed relations alone.
type Lineage struct {
	MediaType string        `json:"mediaType"`
	Project   string        `json:"project"`
	TreeSize  int64         `json:"treeSize"`
	Nodes     []LineageNode `json:"nodes"`
	Edges     []LineageEdge `json:"edges"`
}

// LineageNode is an entry ("entry:<index>") or an artefact ("<kind>:<sha256>").
type LineageNode struct {
	ID         string `json:"id"`
	Kind       string `json:"kind"` // the entry's step kind, or the artefact's
	Index      *int64 `json:"index,omitempty"`
	Digest     string `json:"digest"` // PAE digest of an entry
	Name       string `json:"name,omitempty"`
	Actor      string `json:"actor,omitempty"`
	OnBehalfOf string `json:"onBehalfOf,omitempty"`
}

// LineageEdge leads from an entry to what it used, made or judged.
type LineageEdge struct {
	From        string `json:"from"`
	To          string `json:"to"`
	Relation    string `json:"relation"`
	Contributes bool   `json:"contributes"`
}

const lineageMediaType = "application/vnd.affidavit.lineage.v1+json"

// Graph returns lineage.json for the entries of a project below size. The
// bytes depend on the set of entries only: nodes are ordered by entry index,
// then artefacts by id; edges by entry index, then as signed. A relation that
// names an entry outside the set keeps the entry's digest as its node.
func Graph(project string, size int64, entries []GraphEntry) ([]byte, error) {
	sorted := append([]GraphEntry(nil), entries...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Index < sorted[j].Index })
	byPAE := make(map[string]string, len(sorted))
	for _, e := range sorted {
		byPAE[e.PAE] = entryID(e.Index)
	}
	g := Lineage{MediaType: lineageMediaType, Project: project, TreeSize: size, Nodes: []LineageNode{}, Edges: []LineageEdge{}}
	artefacts := map[string]LineageNode{}
	for _, e := range sorted {
		index := e.Index
		g.Nodes = append(g.Nodes, LineageNode{ID: entryID(index), Kind: e.Kind, Index: &index, Digest: e.PAE, Actor: e.Actor, OnBehalfOf: e.OnBehalfOf})
		for _, r := range e.Relations {
			id, isEntry := byPAE[r.Digest]
			if r.Kind != attest.ArtefactEntry || !isEntry {
				id = r.Kind + ":" + r.Digest
				if node, seen := artefacts[id]; !seen || node.Name == "" {
					artefacts[id] = LineageNode{ID: id, Kind: r.Kind, Digest: r.Digest, Name: r.Name}
				}
			}
			g.Edges = append(g.Edges, LineageEdge{From: entryID(index), To: id, Relation: string(r.Type), Contributes: r.Type.Contributes()})
		}
	}
	ids := make([]string, 0, len(artefacts))
	for id := range artefacts {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	for _, id := range ids {
		g.Nodes = append(g.Nodes, artefacts[id])
	}
	return attest.CanonicalJSON(g)
}

func entryID(index int64) string { return "entry:" + strconv.FormatInt(index, 10) }
