package pdf

import (
	"fmt"
	"math"

	"github.com/go-pdf/fpdf"
)

// Page geometry in points: A4 with room for a running header and footer.
const (
	pageWidth    = 595.28
	pageHeight   = 841.89
	marginX      = 54.0
	contentWidth = pageWidth - 2*marginX
	bodyTop      = 76.0
	bodyBottom   = pageHeight - 66.0
)

var fontFamilies = [styleCount]string{"text", "strong", "code"}

// elem is a node of the structure tree, by which a reader or a screen reader finds headings, tables and alternative texts.
type elem struct {
	tag, alt string
	scope    string // of a TH: Row or Column
	colSpan  int    // of a TD that spans columns
	kids     []kid
}

// kid is a child element, a piece of marked content on a page, or a link annotation.
type kid struct {
	elem *elem
	page int // 1-based
	mcid int
	link int // index in canvas.links plus one
}

func (e *elem) child(tag string) *elem {
	c := &elem{tag: tag}
	e.kids = append(e.kids, kid{elem: c})
	return c
}

// linkArea is a rectangle on a page that leads to an anchor.
type linkArea struct {
	page       int
	x, y, w, h float64
	anchor     string
	label      string
	owner      *elem
}

// canvas draws on the current page, and records what the finisher needs: links and marked content.
type canvas struct {
	f     *fpdf.Fpdf
	page  int
	mcids []int // next marked-content id by page, from index 1
	links []linkArea
	deep  bool // inside marked content
	faces *faces
}

func newCanvas(m Meta) *canvas {
	f := fpdf.NewCustom(&fpdf.InitType{UnitStr: "pt", Size: fpdf.SizeType{Wd: pageWidth, Ht: pageHeight}})
	f.SetCatalogSort(true)
	f.SetCreationDate(m.AsOf)
	f.SetModificationDate(m.AsOf)
	f.SetAutoPageBreak(false, 0)
	f.SetMargins(0, 0, 0)
	f.SetCompression(true)
	for s, data := range [styleCount][]byte{fontRegular, fontBold, fontMono} {
		// fpdf reads the font bytes in place and must not share them with another render.
		f.AddUTF8FontFromBytes(fontFamilies[s], "", append([]byte(nil), data...))
	}
	return &canvas{f: f, mcids: []int{0}}
}

func (c *canvas) addPage() {
	c.f.AddPage()
	c.page++
	c.mcids = append(c.mcids, 0)
}

// mark draws with the content tagged as belonging to e; without e the content is an artefact, such as a rule.
func (c *canvas) mark(e *elem, draw func()) {
	if c.deep {
		draw()
		return
	}
	if e == nil {
		c.f.RawWriteStr("/Artifact BMC\n")
	} else {
		id := c.mcids[c.page]
		c.mcids[c.page]++
		e.kids = append(e.kids, kid{page: c.page, mcid: id})
		c.f.RawWriteStr(fmt.Sprintf("/%s <</MCID %d>> BDC\n", e.tag, id))
	}
	c.deep = true
	draw()
	c.deep = false
	c.f.RawWriteStr("EMC\n")
}

// text sets cleaned text with its baseline at y.
func (c *canvas) text(x, y float64, s style, size float64, color Color, text string) {
	c.f.SetFont(fontFamilies[s], "", size)
	c.f.SetTextColor(color.rgb())
	c.f.Text(x, y, text)
}

// line draws the fragments of a wrapped line with its left edge at x. Runs that touch are set as one string.
func (c *canvas) line(e *elem, l line, x, y float64) {
	for i := 0; i < len(l.frags); {
		j := i + 1
		for j < len(l.frags) && l.frags[j].anchor == l.frags[i].anchor {
			j++
		}
		group := l.frags[i:j]
		anchor := group[0].anchor
		owner := e
		if anchor != "" && e != nil {
			owner = e.child("Link")
		}
		c.mark(owner, func() { c.group(group, x, y) })
		if anchor != "" {
			last := group[len(group)-1]
			label := ""
			for k, fr := range group {
				if k > 0 {
					label += " "
				}
				label += fr.text
			}
			size := group[0].size
			c.links = append(c.links, linkArea{page: c.page, x: x + group[0].x, y: y - size*0.85, w: last.x + last.w - group[0].x,
				h: size * 1.15, anchor: anchor, label: label, owner: owner})
			if owner != nil {
				owner.kids = append(owner.kids, kid{link: len(c.links)})
			}
		}
		i = j
	}
}

func (c *canvas) group(group []frag, x, y float64) {
	for i := 0; i < len(group); {
		fr := group[i]
		if fr.icon != StatusNone {
			c.icon(fr.icon, x+fr.x, y-fr.size*0.82, fr.size)
			i++
			continue
		}
		text := fr.text
		j := i + 1
		for j < len(group) && group[j].style == fr.style && group[j].size == fr.size && group[j].color == fr.color && group[j].icon == StatusNone {
			if group[j].x > group[j-1].x+group[j-1].w+0.01 {
				text += " "
			}
			text += group[j].text
			j++
		}
		c.text(x+fr.x, y, fr.style, fr.size, fr.color, text)
		i = j
	}
}

func (c *canvas) rect(fill Color, x, y, w, h float64) {
	c.f.SetFillColor(fill.rgb())
	c.f.Rect(x, y, w, h, "F")
}

func (c *canvas) rule(color Color, width, x1, y1, x2, y2 float64) {
	c.f.SetDrawColor(color.rgb())
	c.f.SetLineWidth(width)
	c.f.Line(x1, y1, x2, y2)
}

// icon draws the sign of a status in a square with its top left corner at x, y. Each has its own shape.
func (c *canvas) icon(s Status, x, y, size float64) {
	for _, op := range iconOps(s, x, y, size) {
		c.op(op, 0, 0, 1)
	}
}

func iconOps(s Status, x, y, size float64) []Op {
	fore, _ := s.look()
	at := func(fx, fy float64) Point { return Point{x + fx*size, y + fy*size} }
	stroke := size * 0.12
	switch s {
	case StatusOK:
		return []Op{
			{Shape: Circle, Points: []Point{at(.5, .5)}, Size: size * .46, Fill: fore},
			{Shape: Polyline, Points: []Point{at(.27, .52), at(.44, .69), at(.74, .35)}, Stroke: Surface, Width: stroke},
		}
	case StatusBad:
		return []Op{
			{Shape: Polygon, Points: []Point{at(.3, .03), at(.7, .03), at(.97, .3), at(.97, .7), at(.7, .97), at(.3, .97), at(.03, .7), at(.03, .3)}, Fill: fore},
			{Shape: Polyline, Points: []Point{at(.33, .33), at(.67, .67)}, Stroke: Surface, Width: stroke},
			{Shape: Polyline, Points: []Point{at(.67, .33), at(.33, .67)}, Stroke: Surface, Width: stroke},
		}
	case StatusWarn:
		return []Op{
			{Shape: Polygon, Points: []Point{at(.5, .04), at(1, .95), at(0, .95)}, Fill: fore},
			{Shape: Polyline, Points: []Point{at(.5, .38), at(.5, .66)}, Stroke: Surface, Width: stroke},
			{Shape: Circle, Points: []Point{at(.5, .81)}, Size: stroke * .6, Fill: Surface},
		}
	case StatusInfo:
		return []Op{
			{Shape: Polygon, Points: []Point{at(.05, .05), at(.95, .05), at(.95, .95), at(.05, .95)}, Fill: fore},
			{Shape: Circle, Points: []Point{at(.5, .27)}, Size: stroke * .65, Fill: Surface},
			{Shape: Polyline, Points: []Point{at(.5, .44), at(.5, .78)}, Stroke: Surface, Width: stroke},
		}
	}
	return []Op{
		{Shape: Circle, Points: []Point{at(.5, .5)}, Size: size * .42, Stroke: fore, Width: size * .1},
		{Shape: Polyline, Points: []Point{at(.5, .27), at(.5, .52), at(.68, .62)}, Stroke: fore, Width: size * .1},
	}
}

// drawing draws a display list with its top left corner at x, y.
func (c *canvas) drawing(d *Drawing, x, y, scale float64) {
	for _, op := range d.Ops {
		c.op(op, x, y, scale)
	}
	c.f.SetDashPattern(nil, 0)
}

// clipped draws within a rectangle. The end of clipping restores the graphics state in the file but not in fpdf's memory
// of it, so every setting that fpdf may skip as already made is made anew.
func (c *canvas) clipped(x, y, w, h float64, draw func()) {
	c.f.ClipRect(x, y, w, h, false)
	draw()
	c.f.ClipEnd()
	c.f.SetFillColor(Ink.rgb())
	c.f.SetDrawColor(Ink.rgb())
	c.f.SetLineWidth(0.5)
	c.f.SetFont(fontFamilies[mono], "", 1)
}

func (c *canvas) op(op Op, x, y, scale float64) {
	mode := ""
	if op.Fill != NoColor {
		c.f.SetFillColor(op.Fill.rgb())
		mode += "F"
	}
	if op.Stroke != NoColor {
		c.f.SetDrawColor(op.Stroke.rgb())
		c.f.SetLineWidth(op.Width * scale)
		dash := make([]float64, len(op.Dash))
		for i, v := range op.Dash {
			dash[i] = v * scale
		}
		c.f.SetDashPattern(dash, 0)
		mode += "D"
	}
	pts := make([]fpdf.PointType, len(op.Points))
	for i, p := range op.Points {
		pts[i] = fpdf.PointType{X: x + p.X*scale, Y: y + p.Y*scale}
	}
	switch op.Shape {
	case Polyline:
		if len(pts) < 2 || op.Stroke == NoColor {
			return
		}
		c.f.MoveTo(pts[0].X, pts[0].Y)
		for _, p := range pts[1:] {
			c.f.LineTo(p.X, p.Y)
		}
		c.f.DrawPath("D")
	case Polygon:
		if mode != "" {
			c.f.Polygon(pts, mode)
		}
	case Bezier:
		c.f.CurveBezierCubic(pts[0].X, pts[0].Y, pts[1].X, pts[1].Y, pts[2].X, pts[2].Y, pts[3].X, pts[3].Y, "D")
	case Circle:
		if mode != "" {
			c.f.Circle(pts[0].X, pts[0].Y, op.Size*scale, mode)
		}
	case Label:
		c.label(op, pts[0], scale)
	}
}

func (c *canvas) label(op Op, at fpdf.PointType, scale float64) {
	s := regular
	if op.Bold {
		s = bold
	}
	text := c.faces.clean(s, op.Text)
	switch w := c.faces.width(s, op.Size*scale, text); op.Anchor {
	case Right:
		at.X -= w
	case Center:
		at.X -= w / 2
	}
	c.text(at.X, at.Y, s, op.Size*scale, op.Fill, text)
}

// finite reports whether v can be drawn.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
