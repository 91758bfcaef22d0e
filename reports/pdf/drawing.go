package pdf

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// Point is a position in points; y grows downwards from the top edge of the drawing.
type Point struct{ X, Y float64 }

// Shape is what an Op draws.
type Shape int

// The shapes: an open line, a closed area, a smooth curve, a circle and a text.
const (
	// Polyline joins Points by straight lines.
	Polyline Shape = iota
	// Polygon closes and fills them.
	Polygon
	// Bezier is one cubic curve: start, two controls, end.
	Bezier
	// Circle has its centre in Points[0] and its radius in Size.
	Circle
	// Label is Text with its baseline start, middle or end, as Anchor says, at Points[0] in Size points.
	Label
)

// Op is one element of a drawing.
type Op struct {
	Shape        Shape
	Points       []Point
	Stroke, Fill Color
	Width        float64
	Dash         []float64
	Text         string
	Size         float64
	Anchor       Align
	Bold         bool
	// Href makes the element a link in SVG; the PDF ignores it.
	Href string
}

// Drawing is a display list: drawn alike into a PDF and as SVG. Width and Height are in points.
type Drawing struct {
	Width, Height float64
	// Title says what the drawing is, Desc what it shows: together its alternative text.
	Title, Desc string
	Ops         []Op
	// Breaks are heights at which a drawing too tall for a page may be cut, in rising order.
	Breaks []float64
}

// Alt is the drawing's alternative text.
func (d *Drawing) Alt() string {
	if d.Desc == "" {
		return d.Title
	}
	return d.Title + ". " + d.Desc
}

// between gives the drawing with only what touches the heights from top to bottom.
func (d *Drawing) between(top, bottom float64) *Drawing {
	out := &Drawing{Width: d.Width, Height: d.Height}
	for _, op := range d.Ops {
		lo, hi := op.Points[0].Y, op.Points[0].Y
		for _, p := range op.Points {
			lo, hi = min(lo, p.Y), max(hi, p.Y)
		}
		// Size is a circle's radius or a text's height; a line has half its width on either side.
		if hi+op.Size+op.Width >= top && lo-op.Size-op.Width <= bottom {
			out.Ops = append(out.Ops, op)
		}
	}
	return out
}

func (d *Drawing) line(stroke Color, width float64, pts ...Point) {
	d.Ops = append(d.Ops, Op{Shape: Polyline, Points: pts, Stroke: stroke, Width: width})
}

func (d *Drawing) rect(fill, stroke Color, x, y, w, h float64) {
	d.Ops = append(d.Ops, Op{Shape: Polygon, Fill: fill, Stroke: stroke, Width: 0.6,
		Points: []Point{{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}}})
}

func (d *Drawing) label(color Color, size float64, anchor Align, x, y float64, text string) {
	d.Ops = append(d.Ops, Op{Shape: Label, Fill: color, Size: size, Anchor: anchor, Points: []Point{{x, y}}, Text: text})
}

// SVG gives the drawing as a standalone element. Colours are presentation attributes with a class beside each, so that a
// page may restyle them; there is no style or event attribute, as a strict content security policy demands.
func (d *Drawing) SVG() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%[1]s" height="%[2]s" role="img" class="drawing">`,
		num(d.Width), num(d.Height))
	b.WriteString("<title>" + escapeXML(d.Title) + "</title>")
	if d.Desc != "" {
		b.WriteString("<desc>" + escapeXML(d.Desc) + "</desc>")
	}
	for _, op := range d.Ops {
		if op.Href != "" {
			b.WriteString(`<a href="` + escapeXML(op.Href) + `">`)
		}
		op.svg(&b)
		if op.Href != "" {
			b.WriteString("</a>")
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (op Op) svg(b *strings.Builder) {
	switch op.Shape {
	case Polyline, Polygon:
		name := "polyline"
		if op.Shape == Polygon {
			name = "polygon"
		}
		pts := make([]string, len(op.Points))
		for i, p := range op.Points {
			pts[i] = num(p.X) + "," + num(p.Y)
		}
		fmt.Fprintf(b, `<%s points="%s"%s/>`, name, strings.Join(pts, " "), op.paint())
	case Bezier:
		p := op.Points
		fmt.Fprintf(b, `<path d="M%s %sC%s %s %s %s %s %s"%s/>`, num(p[0].X), num(p[0].Y), num(p[1].X), num(p[1].Y),
			num(p[2].X), num(p[2].Y), num(p[3].X), num(p[3].Y), op.paint())
	case Circle:
		fmt.Fprintf(b, `<circle cx="%s" cy="%s" r="%s"%s/>`, num(op.Points[0].X), num(op.Points[0].Y), num(op.Size), op.paint())
	case Label:
		anchor := [...]string{Left: "start", Right: "end", Center: "middle"}[op.Anchor]
		weight := ""
		if op.Bold {
			weight = ` font-weight="600"`
		}
		fmt.Fprintf(b, `<text x="%s" y="%s" font-size="%s" text-anchor="%s" font-family="sans-serif"%s%s>%s</text>`, num(op.Points[0].X),
			num(op.Points[0].Y), num(op.Size), anchor, weight, op.paint(), escapeXML(op.Text))
	}
}

// paint gives fill, stroke, dash and class attributes.
func (op Op) paint() string {
	classes := make([]string, 0, 2)
	attr := func(prop string, c Color) string {
		if c == NoColor {
			return ` ` + prop + `="none"`
		}
		classes = append(classes, prop+"-"+colorNames[c])
		r, g, b := c.rgb()
		return fmt.Sprintf(` %s="#%02x%02x%02x"`, prop, r, g, b)
	}
	out := attr("fill", op.Fill)
	if op.Shape != Label {
		out += attr("stroke", op.Stroke)
		if op.Stroke != NoColor {
			out += ` stroke-width="` + num(op.Width) + `"`
		}
		if len(op.Dash) > 0 {
			parts := make([]string, len(op.Dash))
			for i, v := range op.Dash {
				parts[i] = num(v)
			}
			out += ` stroke-dasharray="` + strings.Join(parts, " ") + `"`
		}
	}
	if len(classes) > 0 {
		out += ` class="` + strings.Join(classes, " ") + `"`
	}
	return out
}

// num writes a coordinate with at most two decimals.
func num(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

func escapeXML(s string) string {
	var b strings.Builder
	// EscapeText replaces what XML cannot hold by U+FFFD; writing to a Builder does not fail.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
