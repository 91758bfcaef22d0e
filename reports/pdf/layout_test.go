package pdf

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func testFaces(t *testing.T) *faces {
	t.Helper()
	return must[*faces](t)(newFaces())
}

func TestCleanRemovesWhatMisleads(t *testing.T) {
	f := testFaces(t)
	for in, want := range map[string]string{
		"plain":                        "plain",
		"a\tb\nc":                      "a b c",
		"bell\x07":                     "bell",
		"safe\u202egnp.exe":            "safegnp.exe",
		"zero\u200bwidth\u00adhyphen":  "zerowidthhyphen",
		"Zieliński ≥ 0,8 −1 σ é ✓":     "Zieliński ≥ 0,8 −1 σ é ✓",
		"face \U0001F600":              "face \ufffd",
		"kanji 日":                      "kanji \ufffd",
		"broken \xff":                  "broken \ufffd",
		"isolate\u2066x\u2069 \ufeffy": "isolatex y",
	} {
		if got := f.clean(regular, in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	if len(f.missing) != 2 {
		t.Errorf("%d characters remembered as missing, want 2", len(f.missing))
	}
}

func TestWrapFitsAndLosesNothing(t *testing.T) {
	f := testFaces(t)
	text := "The quick brown fox " + strings.Repeat("9c41e07bd2f3a6518e0d7742bb1fc39e", 4) + " jumps/over-the:lazy dog. " + strings.Repeat("x", 90)
	runs := []run{{text: text, size: 9}, {text: " [entry" + nbsp, size: 8}, {text: "12", size: 8, anchor: "a"}, {text: "]", size: 8}}
	for _, width := range []float64{1, 17, 40, 111.5, 300, 5000} {
		var got strings.Builder
		for _, l := range f.wrap(runs, width) {
			if l.w > width+0.02 && len(l.frags) > 0 && len([]rune(l.frags[0].text)) > 1 {
				t.Errorf("width %g: a line of %g points: %+v", width, l.w, l)
			}
			for _, fr := range l.frags {
				got.WriteString(fr.text)
			}
		}
		if want := strings.ReplaceAll(text, " ", "") + "[entry" + nbsp + "12]"; got.String() != want {
			t.Errorf("width %g: text changed to %q", width, got.String())
		}
	}
}

func TestShareFillsTheRoom(t *testing.T) {
	for _, c := range []struct {
		least, most []float64
		room        float64
	}{
		{[]float64{10, 20}, []float64{30, 60}, 400}, {[]float64{10, 20}, []float64{300, 600}, 400}, {[]float64{300, 300}, []float64{300, 600}, 400},
	} {
		sum := 0.0
		for _, w := range share(c.least, c.most, c.room) {
			sum += w
		}
		if math.Abs(sum-c.room) > 1e-9 {
			t.Errorf("%+v: columns take %g", c, sum)
		}
	}
}

func TestPaginationKeepsTogether(t *testing.T) {
	const room = bodyBottom - bodyTop
	header := piece{h: 20}
	pieces := []piece{{h: room - 50}, {h: 20, keepNext: true, anchor: "heading"}, {h: 40, anchor: "text"}}
	for range 60 {
		pieces = append(pieces, piece{h: 25, repeat: &header})
	}
	out := must[[]placed](t)(paginate(pieces))
	pages := map[string]int{}
	repeats := 0
	for i, p := range out {
		if p.anchor != "" {
			pages[p.anchor] = p.page
		}
		if p.y+p.h > bodyBottom+1e-9 {
			t.Errorf("piece %d ends below the page", i)
		}
		if p.h == header.h && p.anchor == "" {
			repeats++
			if p.y != bodyTop {
				t.Errorf("a repeated header at %g", p.y)
			}
		}
	}
	if pages["heading"] != 2 || pages["text"] != 2 {
		t.Errorf("the heading is on page %d and its text on page %d, want both on 2", pages["heading"], pages["text"])
	}
	if last := out[len(out)-1].page; repeats != last-2 {
		t.Errorf("%d repeated headers on %d pages", repeats, last)
	}
	if _, err := paginate(make([]piece, 10)); err != nil {
		t.Error(err)
	}
}

func TestRenderRefusesBadInput(t *testing.T) {
	for name, change := range map[string]func(d *Document){
		"no title":      func(d *Document) { d.Meta.Title = "" },
		"no date":       func(d *Document) { d.Meta.AsOf = time.Time{} },
		"unknown entry": func(d *Document) { d.Body = append(d.Body, &Statement{Text: "x", Cites: Cites{77}}) },
		"source twice":  func(d *Document) { d.Sources = append(d.Sources, d.Sources[0]) },
		"level skipped": func(d *Document) { d.Body = append(d.Body, &Heading{3, "deep"}) },
		"level 9":       func(d *Document) { d.Body = append(d.Body, &Heading{9, "deep"}) },
		"cells missing": func(d *Document) {
			d.Body = append(d.Body, &Table{Columns: []Column{{}, {}}, Rows: []Row{{Cells: []Cell{{}}}}})
		},
		"no columns": func(d *Document) { d.Body = append(d.Body, &Table{Caption: "x"}) },
		"endless row": func(d *Document) {
			d.Body = append(d.Body, &Table{Columns: []Column{{}}, Rows: []Row{{Cells: []Cell{{Text: strings.Repeat("long ", 9000)}}}}})
		},
		"no drawing":        func(d *Document) { d.Body = append(d.Body, &Figure{}) },
		"empty list":        func(d *Document) { d.Body = append(d.Body, &KeyValues{}) },
		"empty callout":     func(d *Document) { d.Body = append(d.Body, &Callout{}) },
		"attachment's path": func(d *Document) { d.Attachments = []Attachment{{Name: "../x", MIME: "text/plain"}} },
		"same attachment": func(d *Document) {
			d.Attachments = []Attachment{{Name: "x", MIME: "text/plain"}, {Name: "x", MIME: "text/plain"}}
		},
	} {
		d := smallDocument()
		change(d)
		if _, err := Render(d); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSVGIsStrict(t *testing.T) {
	for _, d := range sampleCharts(t) {
		d.Title += ` <script>alert("x")</script>`
		svg := d.SVG()
		dec := xml.NewDecoder(strings.NewReader(svg))
		role, titled := "", false
		for {
			tok, err := dec.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", d.Title, err)
			}
			el, ok := tok.(xml.StartElement)
			if !ok {
				continue
			}
			titled = titled || el.Name.Local == "title"
			for _, a := range el.Attr {
				if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("attribute %s", a.Name.Local)
				}
				if el.Name.Local == "svg" && a.Name.Local == "role" {
					role = a.Value
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s %s=%q", el.Name.Local, a.Name.Local, a.Value)
				}
			}
			if el.Name.Local == "script" {
				t.Error("a title became an element")
			}
		}
		if role != "img" || !titled {
			t.Errorf("role %q, title %v", role, titled)
		}
	}
}

func TestAxisTicks(t *testing.T) {
	for _, c := range []struct {
		axis Axis
		data []float64
		want string
	}{
		{Axis{Max: 1}, nil, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{Axis{}, []float64{0, 19900}, "0 5,000 10,000 15,000 20,000"},
		{Axis{Log: true}, []float64{0.02, 300, -1, 0}, "0.01 0.1 1 10 100 1,000"},
		{Axis{Percent: true}, []float64{0, 0.42}, "0\u00a0% 10\u00a0% 20\u00a0% 30\u00a0% 40\u00a0% 50\u00a0%"},
		{Axis{}, []float64{-0.4, 0.3}, "-0.4 -0.2 0.0 0.2 0.4"},
		{Axis{}, []float64{math.NaN(), math.Inf(1)}, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{Axis{}, []float64{5, 5}, "5.0 5.2 5.4 5.6 5.8 6.0"},
	} {
		var got []string
		for _, tk := range c.axis.fit(c.data).ticks() {
			got = append(got, tk.text)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%+v over %v: %s, want %s", c.axis, c.data, s, c.want)
		}
	}
}

func TestThinKeepsPeaks(t *testing.T) {
	pts := make([]Point, 20000)
	for i := range pts {
		pts[i] = Point{float64(i), math.Sin(float64(i) / 50)}
	}
	pts[12345].Y = 99
	out := thin(pts)
	peak, first, last := false, out[0] == pts[0], out[len(out)-1] == pts[len(pts)-1]
	for i, p := range out {
		peak = peak || p.Y == 99
		if i > 0 && p.X < out[i-1].X {
			t.Fatal("points out of order")
		}
	}
	if len(out) > maxSeriesPoints || !peak || !first || !last {
		t.Errorf("%d points, peak kept %v, ends kept %v %v", len(out), peak, first, last)
	}
}

// TestLongLabelsStayOffTheBars: names come from data, so any length must be drawn within its room.
func TestLongLabelsStayOffTheBars(t *testing.T) {
	f := testFaces(t)
	long := strings.Repeat("a very long name of a group ", 6)
	d := must[*Drawing](t)((&BarChart{Bars: []Bar{{Label: long, Note: "n = 1,234", Value: 0.5}, {Label: "short", Value: 1}}}).Draw())
	start := d.Width
	for _, op := range d.Ops {
		if op.Shape == Polygon {
			start = min(start, op.Points[0].X)
		}
	}
	c := must[*Drawing](t)((&LineChart{Series: []Series{{Name: long, Points: []Point{{0, 0}, {1, 1}}}}}).Draw())
	for i, drawing := range []*Drawing{d, c} {
		for _, op := range drawing.Ops {
			if op.Shape != Label || op.Anchor != Left {
				continue
			}
			end := op.Points[0].X + f.width(regular, op.Size, op.Text)
			if end > drawing.Width || i == 0 && op.Points[0].X < start-1 && end > start {
				t.Errorf("%q reaches from %g to %g", op.Text, op.Points[0].X, end)
			}
		}
	}
}

func TestLineageLayout(t *testing.T) {
	g := sampleGraph()
	for i := range 60 { // a wide and a deep part
		g.Nodes = append(g.Nodes, GraphNode{ID: fmt.Sprint("extra", i), Caption: "Extra", Title: fmt.Sprint(i)})
		from := "m2"
		if i%3 > 0 {
			from = fmt.Sprint("extra", i-1)
		}
		g.Edges = append(g.Edges, GraphEdge{From: from, To: fmt.Sprint("extra", i)})
	}
	for _, across := range []bool{false, true} {
		g.Across = across
		l := &graphLayout{g: g}
		if err := l.rank(); err != nil {
			t.Fatal(err)
		}
		l.order()
		l.place()
		for _, e := range l.paths {
			for k := 1; k < len(e); k++ {
				if l.verts[e[k]].rank != l.verts[e[k-1]].rank+1 {
					t.Fatal("a step of an edge does not lead to the next layer")
				}
			}
		}
		for _, layer := range l.layers {
			for k := 1; k < len(layer); k++ {
				if d := l.verts[layer[k]].pos - l.verts[layer[k-1]].pos; d < l.gap(layer[k-1], layer[k])-1e-6 {
					t.Fatalf("two items of a layer are %g apart", d)
				}
			}
		}
		a, b := must[*Drawing](t)(g.Draw()), must[*Drawing](t)(g.Draw())
		if a.SVG() != b.SVG() {
			t.Error("the layout is not deterministic")
		}
	}
	for name, bad := range map[string]*LineageGraph{
		"cycle":   {Nodes: []GraphNode{{ID: "a"}, {ID: "b"}}, Edges: []GraphEdge{{From: "a", To: "b"}, {From: "b", To: "a"}}},
		"self":    {Nodes: []GraphNode{{ID: "a"}}, Edges: []GraphEdge{{From: "a", To: "a"}}},
		"unknown": {Nodes: []GraphNode{{ID: "a"}}, Edges: []GraphEdge{{From: "a", To: "z"}}},
		"twice":   {Nodes: []GraphNode{{ID: "a"}, {ID: "a"}}},
		"large":   {Nodes: make([]GraphNode, maxGraphNodes+1)},
	} {
		if _, err := bad.Draw(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := (&LineageGraph{}).Draw(); err != nil {
		t.Errorf("an empty graph: %v", err)
	}
}

// TestSeparateIsLeastSquares compares the pooling against a plain projection by small steps.
func TestSeparateIsLeastSquares(t *testing.T) {
	g := &LineageGraph{}
	l := &graphLayout{g: g}
	want := []float64{300, 20, 310, 305, 900}
	layer := make([]int, len(want))
	for i := range want {
		g.Nodes = append(g.Nodes, GraphNode{})
		l.verts = append(l.verts, vertex{node: i})
		layer[i] = i
	}
	pos := make([]float64, len(want))
	l.separate(layer, want, pos)
	// Dykstra's cyclic projections onto the half-spaces x[i+1] − x[i] ≥ gap converge to the same point.
	x := append([]float64(nil), want...)
	correction := make([]float64, len(want)-1)
	for range 20000 {
		for i := range correction {
			gap := l.gap(i, i+1)
			a, b := x[i]+correction[i], x[i+1]-correction[i]
			move := max(0, (gap-(b-a))/2)
			x[i], x[i+1] = a-move, b+move
			correction[i] = move
		}
	}
	for i := range x {
		if math.Abs(x[i]-pos[i]) > 1e-3 {
			t.Errorf("item %d at %g, reference %g", i, pos[i], x[i])
		}
	}
}

// relativeLuminance and the contrast ratio are those of WCAG 2.2.
func relativeLuminance(c Color) float64 {
	r, g, b := c.rgb()
	lin := func(v int) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*lin(r) + 0.7152*lin(g) + 0.0722*lin(b)
}

func TestTextHasContrast(t *testing.T) {
	for _, back := range []Color{Surface, Background, TintOK, TintWarn, TintBad, TintInfo} {
		for _, fore := range []Color{Ink, Muted, Accent, OK, Warn, Bad, Series2, Series3, Series4} {
			hi, lo := relativeLuminance(back), relativeLuminance(fore)
			if ratio := (hi + 0.05) / (lo + 0.05); ratio < 4.5 {
				t.Errorf("%s on %s has a contrast of %.2f", colorNames[fore], colorNames[back], ratio)
			}
		}
	}
}
