package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/lineage"
)

type boxView struct {
	X, Y, W, H, TextX, KindY, NameY string
	URL, Class, Over, Clipped       string
	Focus, Missing                  bool
}

type lineView struct {
	Path    string
	Governs bool
}

type graphLine struct {
	Step, Name, Who, Direction string
	From                       []int64
	Stamp                      time.Time
	Index                      int64
	Missing                    bool
	Warning                    status
}

type graphBody struct {
	Nodes         []boxView
	Links         []lineView
	List          []graphLine
	Depths        []tab
	Width, Height string
}

// defaultDepth keeps a first look readable; "all" is one click away.
const defaultDepth = 3

func (s *Site) getVersionLineage(c *gin.Context) error {
	depth, err := depthOf(c)
	if err != nil {
		return err
	}
	body := &graphBody{}
	p, err := s.versionPage(c, "lineage", func(r *reader, row versionRow, p *page) error {
		e, err := r.Entry(row.Entry)
		if err != nil {
			return err
		}
		p.Body = body
		return r.fillGraph(body, attest.Ref{Kind: attest.ArtefactVersion, Digest: row.Root}, e.PAE, depth, c.Request.URL.Path)
	})
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "lineage", p)
}

func (s *Site) getLineage(c *gin.Context) error {
	depth, err := depthOf(c)
	if err != nil {
		return err
	}
	ref := attest.Ref{Kind: c.Param("kind"), Digest: c.Param("digest")}
	p := &page{Title: "Lineage of " + strings.ToLower(words(ref.Kind)) + " " + short(ref.Digest), LeadDigest: ref.Digest, Section: "log"}
	p.Crumbs = []link{{"Log", "/log"}, {"Lineage", ""}}
	body := &graphBody{}
	p.Body = body
	err = s.view(c, p, func(r *reader) error {
		return r.fillGraph(body, ref, "", depth, c.Request.URL.Path)
	})
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "lineage", p)
}

func depthOf(c *gin.Context) (int, error) {
	text := c.Query("depth")
	switch text {
	case "":
		return defaultDepth, nil
	case "all":
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 50 {
		return 0, lineage.Errf(lineage.CodeInvalid, "depth", "not a number from 1 to 50, nor all")
	}
	return n, nil
}

func depthTabs(path string, depth int) []tab {
	var out []tab
	for _, n := range []int{1, 2, 3, 5, 0} {
		text := strconv.Itoa(n)
		if n == 0 {
			text = "all"
		}
		out = append(out, tab{Text: text, URL: path + "?depth=" + text, Current: n == depth})
	}
	return out
}

// fillGraph draws what ref came from and what rests on it. The focus is the
// entry with that PAE digest, or the step that made ref.
func (r *reader) fillGraph(b *graphBody, ref attest.Ref, focusPAE string, depth int, path string) error {
	b.Depths = depthTabs(path, depth)
	up, err := r.Upstream(ref, r.Size(), lineage.AllClasses)
	if err != nil {
		return err
	}
	down, err := r.Downstream(ref, r.Size(), lineage.AllClasses)
	if err != nil {
		return err
	}
	both := lineage.Graph{Nodes: append(up.Nodes, down.Nodes...), Edges: append(up.Edges, down.Edges...)}
	if both.Nodes, err = r.withoutOutside(both); err != nil {
		return err
	}
	all := collapse(both)
	focus := all.find(ref, focusPAE, both)
	if focus < 0 {
		return lineage.Errf(lineage.CodeNotFound, "digest", "no entry relates to this %s", ref.Kind).
			WithRemedy("use the SHA-256 of an artefact or of an entry's PAE")
	}
	g := all.around(focus, depth).group()
	if len(g.nodes) > maxDrawNodes || len(g.links) > maxDrawLinks {
		return lineage.Errf(lineage.CodeTooLarge, "depth", "%d items with %d links are too many for one drawing", len(g.nodes), len(g.links)).WithRemedy("choose a smaller depth")
	}
	return r.draw(b, g)
}

// withoutOutside drops artefacts that an entry made which is not in the graph:
// what else a later step used. What stays without a maker has none at all.
func (r *reader) withoutOutside(g lineage.Graph) ([]lineage.Node, error) {
	inside := map[nodeKey]bool{}
	for _, e := range g.Edges {
		if e.Relation.Class() == attest.Output {
			inside[keyOf(e.To)] = true
		}
	}
	var unknown []string
	for _, n := range g.Nodes {
		if n.Entry == nil && !inside[keyOf(n.Ref)] {
			unknown = append(unknown, n.Ref.Digest)
		}
	}
	made := map[nodeKey]bool{}
	for part := range slices.Chunk(unknown, 500) {
		var rows []struct{ Kind, Digest string }
		if err := r.DB().Table("edges").Distinct("kind", "digest").Where("class = ? AND digest IN ?", int(attest.Output), part).Find(&rows).Error; err != nil {
			return nil, fmt.Errorf("lineage: %w", err)
		}
		for _, row := range rows {
			made[nodeKey{row.Kind, row.Digest}] = true
		}
	}
	return slices.DeleteFunc(g.Nodes, func(n lineage.Node) bool {
		return n.Entry == nil && !inside[keyOf(n.Ref)] && made[keyOf(n.Ref)]
	}), nil
}

func (s *stepGraph) find(ref attest.Ref, pae string, g lineage.Graph) int {
	if ref.Kind == attest.ArtefactEntry {
		pae = ref.Digest
	}
	first := int64(-1)
	for _, e := range g.Edges {
		made := e.Relation == attest.RelGenerated || e.Relation.Class() == attest.Output
		if made && keyOf(e.To) == keyOf(ref) && (first < 0 || e.Index < first) {
			first = e.Index
		}
	}
	fallback := -1
	for i, n := range s.nodes {
		switch {
		case pae != "" && n.ref.Kind == attest.ArtefactEntry && n.ref.Digest == pae:
			return i
		case n.index >= 0 && n.index == first, keyOf(n.ref) == keyOf(ref):
			fallback = i
		}
	}
	return fallback
}

func (r *reader) draw(b *graphBody, g *stepGraph) error {
	edges := make([][2]int, 0, len(g.links))
	for _, l := range g.links {
		edges = append(edges, [2]int{l.from, l.to})
	}
	d := layOut(len(g.nodes), edges)
	b.Width, b.Height = px(d.width), px(d.height)
	for i, l := range g.links {
		b.Links = append(b.Links, lineView{Path: d.path(d.chains[i]), Governs: l.governs})
	}
	for i, n := range g.nodes {
		name, who, err := r.describe(n)
		if err != nil {
			return err
		}
		v := d.vertices[i]
		box := boxView{X: px(v.x), Y: px(v.y - boxH/2), W: px(boxW), H: px(boxH), TextX: px(v.x + 14), KindY: px(v.y - 6), NameY: px(v.y + 12),
			URL: urlOf(n), Class: classOf(n.kind), Over: over(n), Clipped: clip(name, 23), Focus: i == g.focus, Missing: n.missing}
		b.Nodes = append(b.Nodes, box)
		b.List = append(b.List, graphLine{Step: stepWords(n), Name: name, Who: who, Direction: direction(n, i == g.focus),
			From: g.restsOn(i), Stamp: n.stamp, Index: n.index, Missing: n.missing, Warning: status{"warn", "No entry made it"}})
	}
	return nil
}

func (g *stepGraph) restsOn(i int) []int64 {
	var out []int64
	for _, l := range g.links {
		if l.to == i && g.nodes[l.from].index >= 0 {
			out = append(out, g.nodes[l.from].index)
		}
	}
	return out
}

func (r *reader) describe(n stepNode) (name, who string, err error) {
	if n.missing {
		return short(n.ref.Digest), "unknown", nil
	}
	e, err := r.Entry(n.index)
	if err != nil {
		return "", "", err
	}
	name, who = title(e), r.signer(e)
	if len(n.members) > 1 {
		name = fmt.Sprintf("%d of them, to #%d", len(n.members), n.members[len(n.members)-1])
	}
	return name, who, nil
}

func direction(n stepNode, focus bool) string {
	switch {
	case focus:
		return "this item"
	case n.up:
		return fmt.Sprintf("%d before", n.dist)
	}
	return fmt.Sprintf("%d after", n.dist)
}

func stepWords(n stepNode) string { return words(n.kind) }

func over(n stepNode) string {
	if n.missing {
		return words(n.kind) + " · no evidence"
	}
	return clip(words(n.kind), 22) + " · #" + strconv.FormatInt(n.index, 10)
}

func urlOf(n stepNode) string {
	if n.missing {
		return "/lineage/" + n.ref.Kind + "/" + n.ref.Digest
	}
	return "/log/" + strconv.FormatInt(n.index, 10)
}

// classOf colours a kind as the legend says.
func classOf(kind string) string {
	switch kind {
	case attest.KindDataVersion, attest.KindFeatureSet, attest.KindOutcomes, attest.ArtefactData, attest.ArtefactFeatures:
		return "data"
	case attest.KindRegistration, attest.KindModelSignature, attest.KindDeployment, attest.ArtefactModel, attest.ArtefactVersion:
		return "model"
	case attest.KindPromotionRequest, attest.KindAcceptance, attest.KindDecision, attest.KindWithdrawal, attest.KindRoleGrant,
		attest.KindKeyEvent, attest.KindInventory, attest.KindPolicy, attest.KindProject, attest.KindServiceAccount:
		return "person"
	case attest.KindSegment, attest.KindWindow, attest.KindAlert, attest.KindDocument, attest.KindExport, attest.KindProjectState, attest.KindAbandoned:
		return "watch"
	}
	return "run"
}

// px writes a coordinate with one decimal.
func px(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }

// path is a smooth line through the places of a chain, from right side to left side.
func (d *drawing) path(chain []int) string {
	var b strings.Builder
	x, y := d.vertices[chain[0]].x+boxW, d.vertices[chain[0]].y
	fmt.Fprintf(&b, "M%s %s", px(x), px(y))
	for k, v := range chain[1:] {
		at := d.vertices[v]
		mid := (x + at.x) / 2
		fmt.Fprintf(&b, "C%s %s %s %s %s %s", px(mid), px(y), px(mid), px(at.y), px(at.x), px(at.y))
		x, y = at.x, at.y
		if at.dummy && k < len(chain)-2 {
			x += boxW
			fmt.Fprintf(&b, "H%s", px(x))
		}
	}
	return b.String()
}

// fillPeople lists who is behind the steps that contribute to the version:
// the signers, and those for whom an account acted. Duties are judged by the
// gate with more than this (owners of accounts, who configured what).
func (r *reader) fillPeople(b *versionBody, row versionRow) error {
	g, err := r.Upstream(attest.Ref{Kind: attest.ArtefactVersion, Digest: row.Root}, r.Size(), lineage.ContributesOnly)
	if err != nil {
		return err
	}
	at := map[string]int{}
	add := func(who, what string, index int64) {
		i, known := at[who]
		if !known {
			i = len(b.People)
			at[who] = i
			b.People = append(b.People, contributor{Who: who})
		}
		p := &b.People[i]
		if !strings.Contains(", "+p.What+", ", ", "+what+", ") {
			p.What = strings.TrimPrefix(p.What+", "+what, ", ")
		}
		p.Entries = append(p.Entries, index)
	}
	for _, n := range collapse(g).nodes {
		if n.missing {
			add("Unknown", "made "+words(n.kind)+" outside this log", -1)
			continue
		}
		e, err := r.Entry(n.index)
		if err != nil {
			return err
		}
		add(r.name(e.Actor), strings.ToLower(words(n.kind)), n.index)
		if e.OnBehalfOf != "" {
			add(r.name(e.OnBehalfOf), strings.ToLower(words(n.kind)), n.index)
		}
	}
	return nil
}
