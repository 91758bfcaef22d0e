package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"affidavit/attest"
	"affidavit/server/rest"
)

func (w *world) lineage(path string) rest.Lineage {
	w.t.Helper()
	code, _, body := w.get("/api/v1/lineage/" + path)
	var g rest.Lineage
	if err := json.Unmarshal(body, &g); code != 200 || err != nil {
		w.t.Fatalf("%s: %d %s", path, code, body)
	}
	return g
}

// entriesOf returns the indexes of the graph's entries, ascending.
func entriesOf(g rest.Lineage) []int64 {
	var out []int64
	for _, n := range g.Nodes {
		if n.Entry != nil {
			out = append(out, n.Entry.Index)
		}
	}
	slices.Sort(out)
	return out
}

func TestLineage(t *testing.T) {
	w := newWorld(t)
	l := live(w)
	data := digestOf("hmda_boston_1990")
	at := func(refs ...attest.EntryRef) []int64 {
		var out []int64
		for _, r := range refs {
			out = append(out, r.Index)
		}
		slices.Sort(out)
		return out
	}
	for name, c := range map[string]struct {
		path string
		want []int64
	}{
		"what a version is made of": {l.root + "?class=contributes", at(l.data, l.run, l.signature, l.registration, l.request)},
		"one entry away":            {l.root + "?class=contributes&depth=1", at(l.signature, l.registration, l.request)},
		"two entries away":          {l.root + "?class=contributes&depth=2", at(l.run, l.signature, l.registration, l.request)},
		"before it was registered":  {l.root + "?class=contributes&below=" + fmt.Sprint(l.registration.Index), at(l.data, l.run, l.signature)},
		"before anything":           {l.root + "?below=1", nil},
		"what the data led to":      {data + "?direction=downstream&class=contributes&depth=1", at(l.run)},
		"what an entry rests on":    {l.run.PAE + "?class=contributes", at(l.data, l.run)},
		"by kind":                   {l.artefact + "?kind=model&class=contributes", at(l.data, l.run)},
	} {
		if got := entriesOf(w.lineage(c.path)); !slices.Equal(got, c.want) {
			t.Errorf("%s: entries %v, want %v", name, got, c.want)
		}
	}
	down := w.lineage(data + "?direction=downstream")
	if got := entriesOf(down); !slices.Contains(got, l.window.Index) || !slices.Contains(got, l.refusal.Index) {
		t.Errorf("downstream of the data: %v", got)
	}
	if down.Direction != rest.DirectionDownstream || down.Class != rest.ClassAll || down.Focus.Kind != attest.ArtefactData || down.Below < 20 {
		t.Errorf("%+v", down)
	}
	up := w.lineage(l.root)
	nodes := map[string]bool{}
	for _, n := range up.Nodes {
		nodes[n.Kind+n.Digest] = true
	}
	for _, e := range up.Edges {
		if !nodes[attest.ArtefactEntry+e.From] || !nodes[e.ToKind+e.To] {
			t.Errorf("edge %+v leads out of the graph", e)
		}
	}
	for path, want := range map[string]int{digestOf("nothing"): 404, l.root + "?kind=data": 404, "abc": 400, l.root[:63] + "G": 400, l.root + "?direction=sideways": 400,
		l.root + "?class=some": 400, l.root + "?depth=0": 400, l.root + "?below=99999": 400, l.root + "?colour=red": 400} {
		if code, _, body := w.get("/api/v1/lineage/" + path); code != want {
			t.Errorf("%s: %d, want %d: %s", path, code, want, body)
		}
	}
}

// TestAmbiguousDigest: one file may be two kinds of item; the reader says which.
func TestAmbiguousDigest(t *testing.T) {
	w := newWorld(t)
	l := live(w)
	p, s, _ := dataVersion("both")
	w.step(attest.KindDataVersion, "emil", p, s, rel(attest.RelGenerated, attest.ArtefactData, p.Digest, ""))
	w.step(attest.KindDataVersion, "emil", p, s, rel(attest.RelGenerated, attest.ArtefactReport, p.Digest, ""), rel(attest.RelUsed, attest.ArtefactModel, l.artefact, ""))
	code, _, body := w.get("/api/v1/lineage/" + p.Digest)
	if code != 400 || !json.Valid(body) {
		t.Fatalf("%d %s", code, body)
	}
	if got := entriesOf(w.lineage(p.Digest + "?kind=data")); len(got) != 1 {
		t.Errorf("as data: %v", got)
	}
	if got := entriesOf(w.lineage(p.Digest + "?kind=report")); len(got) != 3 {
		t.Errorf("as report: %v", got)
	}
}
