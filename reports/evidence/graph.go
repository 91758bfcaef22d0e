package evidence

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/reports/card"
	"affidavit/reports/pdf"
)

// maxDrawn bounds the drawing, in entries; the list beside it holds everything.
const maxDrawn = 45

// lineage is what the version came from and what rests on it: the entries
// upstream, and those that judged, deployed or compared it. Entries are drawn,
// with an edge from the one that made a thing to the one that relates to it.
func (f *facts) lineage() (*pdf.LineageGraph, []card.LineageItem, error) {
	refs := []lineage.Ref{{Kind: attest.ArtefactVersion, Digest: f.registration.V.Root}, {Kind: attest.ArtefactModel, Digest: f.registration.V.Artefact}}
	index, err := f.r.UpstreamEntries(refs, f.size, lineage.AllClasses)
	if err != nil {
		return nil, nil, err
	}
	in := map[int64]*lineage.Entry{}
	for _, i := range index {
		e, err := f.r.Entry(i)
		if lineage.CodeOf(err) == lineage.CodeNotFound {
			continue // of another project, which this reading may not see
		}
		if err != nil {
			return nil, nil, err
		}
		// Who may do what is in the pack's governance; the drawing is of the work.
		if e.Project == f.project {
			in[i] = e
		}
	}
	for _, e := range f.after() {
		in[e.Index] = e
	}
	var ordered []*lineage.Entry
	for i := int64(0); i < f.size; i++ {
		if e := in[i]; e != nil {
			ordered = append(ordered, e)
		}
	}
	items := make([]card.LineageItem, len(ordered))
	for k, e := range ordered {
		items[k] = card.LineageItem{Kind: words(e.Kind), Item: titleOf(e), Detail: f.who(e.Actor), Digest: e.PAE, Sources: f.cite(e)}
	}
	drawn, err := f.drawable(refs, ordered)
	if err != nil || len(drawn) > maxDrawn {
		return nil, items, err
	}
	return f.draw(drawn), items, nil
}

// drawable leaves out what would only fill the page: predictions, and, when
// there is still too much, whatever neither contributes to the version nor
// rests on it.
func (f *facts) drawable(refs []lineage.Ref, ordered []*lineage.Entry) ([]*lineage.Entry, error) {
	drawn := slices.DeleteFunc(slices.Clone(ordered), func(e *lineage.Entry) bool { return e.Kind == attest.KindSegment || e.Kind == attest.KindOutcomes })
	if len(drawn) <= maxDrawn {
		return drawn, nil
	}
	keep, err := f.r.UpstreamEntries(refs, f.size, lineage.ContributesOnly)
	if err != nil {
		return nil, err
	}
	for _, e := range f.after() {
		keep = append(keep, e.Index)
	}
	return slices.DeleteFunc(drawn, func(e *lineage.Entry) bool { return !slices.Contains(keep, e.Index) }), nil
}

// after are the entries that rest on the version.
func (f *facts) after() []*lineage.Entry {
	var out []*lineage.Entry
	if f.request != nil {
		out = append(out, f.request.Entry)
	}
	for _, d := range f.decisions {
		out = append(out, d.Entry)
	}
	if f.verdict != nil {
		out = append(out, f.verdict.Entry)
	}
	for _, d := range f.deployments {
		out = append(out, d.Entry)
	}
	for _, a := range f.alerts {
		out = append(out, a.Entry)
	}
	for _, w := range f.windows {
		out = append(out, w.Entry)
	}
	for _, t := range f.retrains {
		out = append(out, t.Entry)
	}
	if f.canary != nil {
		out = append(out, f.canary.Entry)
	}
	return out
}

func (f *facts) draw(ordered []*lineage.Entry) *pdf.LineageGraph {
	g := &pdf.LineageGraph{Title: "Lineage of " + f.model + " " + f.version,
		Desc: fmt.Sprintf("%d entries of the log, from the data to what rests on the version; dashed edges judge or watch, and make nobody a contributor.", len(ordered))}
	made := map[string][]*lineage.Entry{} // by node: the entries that made it, or are it
	seen := map[string]bool{}
	for _, e := range ordered {
		id := fmt.Sprintf("%d", e.Index)
		g.Nodes = append(g.Nodes, pdf.GraphNode{ID: id, Kind: nodeKind(e.Kind), Caption: fmt.Sprintf("%s · entry %d", sentence(words(e.Kind)), e.Index), Title: titleOf(e),
			Focus: e.Index == f.registration.Index, Warning: e.Kind == attest.KindAlert})
		for _, rel := range e.Step.Relations {
			governs := rel.Type.Class() == attest.Governs
			for _, from := range made[rel.Kind+":"+rel.Digest] {
				key := fmt.Sprintf("%d>%d", from.Index, e.Index)
				// The request cites every piece of evidence: what reaches it through
				// the registration is not drawn again.
				if seen[key] || governs && e.Kind == attest.KindPromotionRequest && from.Index < f.registration.Index {
					continue
				}
				seen[key] = true
				g.Edges = append(g.Edges, pdf.GraphEdge{From: fmt.Sprintf("%d", from.Index), To: id, Governs: governs})
			}
		}
		made[attest.ArtefactEntry+":"+e.PAE] = append(made[attest.ArtefactEntry+":"+e.PAE], e)
		for _, rel := range e.Step.Relations {
			if rel.Type == attest.RelGenerated || rel.Type == attest.RelRegistered || rel.Type == attest.RelPrepared {
				key := rel.Kind + ":" + rel.Digest
				made[key] = append(made[key], e)
			}
		}
	}
	return g
}

func nodeKind(kind string) pdf.NodeKind {
	switch kind {
	case attest.KindDataVersion, attest.KindFeatureSet, attest.KindSegment, attest.KindOutcomes:
		return pdf.DataNode
	case attest.KindRegistration, attest.KindModelSignature, attest.KindInventory:
		return pdf.ModelNode
	case attest.KindPromotionRequest, attest.KindAcceptance, attest.KindDecision, attest.KindWithdrawal, attest.KindPolicy:
		return pdf.PersonNode
	}
	return pdf.WorkNode
}

// titleOf names an entry by its own words.
func titleOf(e *lineage.Entry) string {
	var v struct {
		Name     string          `json:"name"`
		Version  string          `json:"version"`
		Model    string          `json:"model"`
		Role     string          `json:"role"`
		Outcome  string          `json:"outcome"`
		Result   string          `json:"result"`
		Verified string          `json:"verificationResult"`
		Endpoint string          `json:"endpoint"`
		Action   string          `json:"action"`
		Status   string          `json:"status"`
		Verdict  json.RawMessage `json:"verdict"` // text of a canary, a reference of a deployment
		Binding  *attest.Binding `json:"binding"`
	}
	if e.Decode(&v) != nil {
		return words(e.Kind)
	}
	switch {
	case e.Kind == attest.KindTrainingRun:
		var p attest.Provenance
		if e.Decode(&p) == nil {
			return words(fmt.Sprint(p.BuildDefinition.ExternalParameters["algorithm"]))
		}
	case v.Outcome != "":
		return words(v.Outcome) + " by " + words(v.Role)
	case v.Action != "":
		return v.Action + " " + v.Version + " as " + v.Role
	case v.Status != "":
		return v.Status + " at " + v.Endpoint
	case e.Kind == attest.KindCanaryVerdict:
		return strings.Trim(string(v.Verdict), `"`) + " at " + v.Endpoint
	case v.Binding != nil:
		return v.Binding.Model + " " + v.Binding.Version + " to " + v.Binding.Stage
	case v.Result != "":
		return v.Result
	case v.Verified != "":
		return v.Verified
	case v.Model != "":
		return v.Model + " " + v.Version
	case v.Name != "":
		return v.Name + " " + v.Version
	}
	if len(e.Statement.Subject) > 0 && e.Statement.Subject[0].Name != "predicate" {
		return e.Statement.Subject[0].Name
	}
	return words(e.Kind)
}
