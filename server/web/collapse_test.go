package web

import (
	"fmt"
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
)

// life is a small graph by hand: data (0) → run (1) → registration (2), which
// a decision (3) judges; four segments (4–7) rest on the registration; code
// that no entry made is used by the run.
func life() lineage.Graph {
	var g lineage.Graph
	ref := func(kind, name string) lineage.Ref { return lineage.Ref{Kind: kind, Digest: name} }
	seen := map[lineage.Ref]bool{}
	node := func(r lineage.Ref, e *lineage.EntryInfo) {
		if !seen[r] {
			seen[r] = true
			g.Nodes = append(g.Nodes, lineage.Node{Ref: r, Entry: e})
		}
	}
	step := func(index int64, kind string, edges ...any) {
		e := ref(attest.ArtefactEntry, fmt.Sprint("e", index))
		node(e, &lineage.EntryInfo{Index: index, Kind: kind})
		for i := 0; i < len(edges); i += 2 {
			to := edges[i+1].(lineage.Ref)
			if to.Kind != attest.ArtefactEntry {
				node(to, nil)
			}
			g.Edges = append(g.Edges, lineage.Edge{From: e, To: to, Relation: edges[i].(attest.RelationType), Index: index})
		}
	}
	data, code, model, version := ref(attest.ArtefactData, "d"), ref(attest.ArtefactCode, "c"), ref(attest.ArtefactModel, "m"), ref(attest.ArtefactVersion, "v")
	step(0, attest.KindDataVersion, attest.RelGenerated, data)
	step(1, attest.KindTrainingRun, attest.RelUsed, data, attest.RelUsed, code, attest.RelGenerated, model)
	step(2, attest.KindRegistration, attest.RelUsed, model, attest.RelRegistered, version)
	step(3, attest.KindDecision, attest.RelDecided, version, attest.RelDecided, ref(attest.ArtefactEntry, "e2"))
	for i := int64(4); i < 8; i++ {
		step(i, attest.KindSegment, attest.RelMonitored, version, attest.RelGenerated, ref(attest.ArtefactSegment, fmt.Sprint("s", i)))
	}
	return g
}

func (s *stepGraph) has(from, to int64, governs bool) bool {
	for _, l := range s.links {
		if s.nodes[l.from].index == from && s.nodes[l.to].index == to && l.governs == governs {
			return true
		}
	}
	return false
}

func TestCollapse(t *testing.T) {
	s := collapse(life())
	if len(s.nodes) != 9 {
		t.Fatalf("%d nodes, want 8 entries and the code", len(s.nodes))
	}
	missing := 0
	for i, n := range s.nodes {
		if n.missing {
			missing++
			if n.kind != attest.ArtefactCode {
				t.Errorf("%s counts as without evidence", n.kind)
			}
		}
		if i > 0 && n.index >= 0 && n.index <= s.nodes[i-1].index {
			t.Error("entries are not in the log's order")
		}
	}
	if missing != 1 {
		t.Errorf("%d items without evidence", missing)
	}
	for _, l := range s.links {
		if l.from >= l.to {
			t.Errorf("link %v does not lead forward", l)
		}
	}
	for _, want := range []struct {
		from, to int64
		governs  bool
	}{{0, 1, false}, {-1, 1, false}, {1, 2, false}, {2, 3, true}, {2, 4, true}} {
		if !s.has(want.from, want.to, want.governs) {
			t.Errorf("no link %v", want)
		}
	}
	if len(s.links) != 8 {
		t.Errorf("%d links", len(s.links))
	}
}

func TestAroundAndGroup(t *testing.T) {
	g := life()
	s := collapse(g)
	focus := s.find(lineage.Ref{Kind: attest.ArtefactVersion, Digest: "v"}, "", g)
	if focus < 0 || s.nodes[focus].index != 2 {
		t.Fatalf("focus %d", focus)
	}
	if at := s.find(lineage.Ref{Kind: attest.ArtefactData, Digest: "nothing"}, "", g); at >= 0 {
		t.Errorf("an unknown artefact is found at %d", at)
	}
	near := s.around(focus, 1)
	if len(near.nodes) != 7 { // the run, the version, the decision, four segments
		t.Fatalf("%d nodes within one step", len(near.nodes))
	}
	all := s.around(focus, 0).group()
	if len(all.nodes) != 6 { // code, data, run, version, decision, segments as one
		t.Fatalf("%d nodes after grouping", len(all.nodes))
	}
	for i, n := range all.nodes {
		switch n.kind {
		case attest.KindSegment:
			if len(n.members) != 4 || n.members[3] != 7 || n.up {
				t.Errorf("segments %+v", n)
			}
		case attest.KindDataVersion:
			if n.dist != 2 || !n.up {
				t.Errorf("data %+v", n)
			}
		case attest.KindRegistration:
			if i != all.focus || n.dist != 0 {
				t.Errorf("focus %+v", n)
			}
		}
	}
}
