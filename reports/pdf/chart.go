package pdf

import (
	"math"
	"sort"
	"strconv"
	"strings"
)

// Axis is one axis of a plot. With Min equal to Max the range is taken from the data.
type Axis struct {
	Label    string
	Min, Max float64
	// Log draws decades; values at or below zero are left out.
	Log bool
	// Percent labels 0.25 as 25 %.
	Percent bool
}

// Series is a line through data points. Markers draws each point, Whisker its interval.
type Series struct {
	Name    string
	Points  []Point
	Markers bool
	// Intervals, if set, holds a lower and an upper value for each point.
	Intervals [][2]float64
	Step      bool
}

// Limit is a horizontal line with a meaning, such as a threshold.
type Limit struct {
	Y     float64
	Label string
	Color Color
}

// LineChart plots series over two axes. Series differ by colour and by dash, and are named at their ends.
type LineChart struct {
	// Title names the chart; Desc states its finding for those who cannot see it.
	Title, Desc string
	X, Y        Axis
	Series      []Series
	Limits      []Limit
	// Diagonal draws y = x: chance in a ROC curve, perfection in a calibration plot.
	Diagonal bool
	// Width and Height in points; 0 means 487 by 210.
	Width, Height float64
}

var (
	seriesColors = [...]Color{Accent, Series2, Series3, Series4}
	seriesDashes = [...][]float64{nil, {5, 2.5}, {1.6, 2}, {7, 2, 1.6, 2}}
)

const (
	chartText = 7.2
	// maxSeriesPoints is how many points of a line are drawn; more cannot be told apart in print.
	maxSeriesPoints = 800
)

// plot maps data to the drawing.
type plot struct {
	d          *Drawing
	x, y       Axis
	left, top  float64
	wide, high float64
}

func (p *plot) at(v Point) Point {
	return Point{p.left + p.x.share(v.X)*p.wide, p.top + p.high - p.y.share(v.Y)*p.high}
}

// share maps a value to 0…1 along the axis, held within it.
func (a Axis) share(v float64) float64 {
	lo, hi := a.Min, a.Max
	if a.Log {
		v, lo, hi = math.Log10(math.Max(v, math.SmallestNonzeroFloat64)), math.Log10(lo), math.Log10(hi)
	}
	return min(1, max(0, (v-lo)/(hi-lo)))
}

// fit widens an axis without a range to the given values.
func (a Axis) fit(values []float64) Axis {
	if a.Min != a.Max {
		return a
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if finite(v) && (!a.Log || v > 0) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	switch {
	case lo > hi:
		lo, hi = 0, 1
		if a.Log {
			lo, hi = 1, 10
		}
	case a.Log:
		lo, hi = math.Pow(10, math.Floor(math.Log10(lo))), math.Pow(10, math.Ceil(math.Log10(hi)))
	default:
		if lo > 0 && lo < hi/2 {
			lo = 0
		}
		step := niceStep(hi - lo)
		lo, hi = math.Floor(lo/step+1e-9)*step, math.Ceil(hi/step-1e-9)*step
	}
	if lo == hi {
		hi = lo + 1
		if a.Log {
			hi = lo * 10
		}
	}
	a.Min, a.Max = lo, hi
	return a
}

// niceStep gives a round distance that divides span into about five.
func niceStep(span float64) float64 {
	if span <= 0 || !finite(span) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(span/5)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if span/(unit*m) <= 5.5 {
			return unit * m
		}
	}
	return unit * 10
}

type tick struct {
	v    float64
	text string
}

func (a Axis) ticks() []tick {
	var out []tick
	if a.Log {
		lo, hi := int(math.Round(math.Log10(a.Min))), int(math.Round(math.Log10(a.Max)))
		every := max(1, (hi-lo+7)/8)
		for e := lo; e <= hi; e += every {
			v := math.Pow(10, float64(e))
			text := thousands(strconv.FormatFloat(v, 'f', -1, 64))
			if e < -3 || e > 4 {
				text = "1e" + strconv.Itoa(e)
			}
			out = append(out, tick{v, text})
		}
		return out
	}
	step := niceStep(a.Max - a.Min)
	decimals := 0
	for d := step; d < 1-1e-9 && decimals < 6; d *= 10 {
		decimals++
	}
	if s := step * math.Pow(10, float64(decimals)); math.Abs(s-math.Round(s)) > 1e-6 {
		decimals++
	}
	for i := math.Ceil(a.Min/step - 1e-9); i*step <= a.Max+step*1e-6; i++ {
		v := i*step + 0 // adding 0 turns a negative zero into zero
		text := strconv.FormatFloat(v, 'f', decimals, 64)
		if a.Percent {
			text = strconv.FormatFloat(v*100, 'f', max(0, decimals-2), 64) + "\u00a0%"
		} else if math.Abs(v) >= 1000 {
			text = thousands(text)
		}
		out = append(out, tick{v, text})
	}
	return out
}

// thousands sets a comma between groups of three digits of a whole number.
func thousands(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	if strings.Contains(s, ".") {
		return sign + s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Draw gives the chart as a display list.
func (c *LineChart) Draw() (*Drawing, error) {
	f, err := newFaces()
	if err != nil {
		return nil, err
	}
	d := &Drawing{Width: c.Width, Height: c.Height, Title: c.Title, Desc: c.Desc}
	if d.Width == 0 {
		d.Width = contentWidth
	}
	if d.Height == 0 {
		d.Height = 210
	}
	var xs, ys []float64
	for _, s := range c.Series {
		for i, p := range s.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
			if i < len(s.Intervals) {
				ys = append(ys, s.Intervals[i][0], s.Intervals[i][1])
			}
		}
	}
	for _, l := range c.Limits {
		ys = append(ys, l.Y)
	}
	endWidth := 0.0
	named := append([]Series(nil), c.Series...)
	for i, s := range named {
		named[i].Name = shorten(f, regular, chartText, s.Name, d.Width*0.25)
		endWidth = max(endWidth, f.width(regular, chartText, named[i].Name))
	}
	if endWidth > 0 {
		endWidth += 18
	}
	p := &plot{d: d, x: c.X.fit(xs), y: c.Y.fit(ys), top: 18}
	p.frame(f, max(10, endWidth))
	if c.Diagonal {
		lo, hi := max(p.x.Min, p.y.Min), min(p.x.Max, p.y.Max)
		d.Ops = append(d.Ops, Op{Shape: Polyline, Points: []Point{p.at(Point{lo, lo}), p.at(Point{hi, hi})}, Stroke: LineStrong, Width: 0.7, Dash: []float64{3, 3}})
	}
	for _, l := range c.Limits {
		at := p.at(Point{p.x.Min, l.Y})
		d.Ops = append(d.Ops, Op{Shape: Polyline, Points: []Point{at, {p.left + p.wide, at.Y}}, Stroke: l.Color, Width: 0.9, Dash: []float64{4, 2}})
		d.label(l.Color, chartText, Left, p.left+4, at.Y-3, l.Label)
	}
	ends := make([]float64, 0, len(c.Series))
	for i := range c.Series {
		ends = append(ends, p.series(&c.Series[i], i))
	}
	p.names(named, ends)
	return d, nil
}

// frame draws axes, grid and labels, and fixes the plot's area. right is the room kept for names at line ends.
func (p *plot) frame(f *faces, right float64) {
	d := p.d
	yTicks, xTicks := p.y.ticks(), p.x.ticks()
	widest := 0.0
	for _, t := range yTicks {
		widest = max(widest, f.width(regular, chartText, t.text))
	}
	p.left = widest + 8
	p.wide = d.Width - p.left - right
	p.high = d.Height - p.top - 28
	d.label(Muted, chartText, Left, 0, 8, p.y.Label)
	for _, t := range yTicks {
		at := p.at(Point{p.x.Min, t.v})
		d.line(Line, 0.5, at, Point{p.left + p.wide, at.Y})
		d.label(Muted, chartText, Right, p.left-4, at.Y+chartText*0.35, t.text)
	}
	for _, t := range xTicks {
		at := p.at(Point{t.v, p.y.Min})
		base := p.top + p.high
		d.line(LineStrong, 0.5, Point{at.X, base}, Point{at.X, base + 3})
		d.label(Muted, chartText, Center, at.X, base+11, t.text)
	}
	d.line(LineStrong, 0.7, Point{p.left, p.top + p.high}, Point{p.left + p.wide, p.top + p.high})
	d.label(Muted, chartText, Center, p.left+p.wide/2, d.Height-3, p.x.Label)
}

// series draws one line and returns the y of its end.
func (p *plot) series(s *Series, i int) float64 {
	color, dash := seriesColors[i%len(seriesColors)], seriesDashes[i%len(seriesDashes)]
	var pts []Point
	for k, v := range s.Points {
		if !finite(v.X) || !finite(v.Y) || p.y.Log && v.Y <= 0 || p.x.Log && v.X <= 0 {
			continue
		}
		at := p.at(v)
		if k < len(s.Intervals) && finite(s.Intervals[k][0]) && finite(s.Intervals[k][1]) {
			lo, hi := p.at(Point{v.X, s.Intervals[k][0]}), p.at(Point{v.X, s.Intervals[k][1]})
			p.d.line(color, 0.8, lo, hi)
			p.d.line(color, 0.8, Point{lo.X - 2.5, lo.Y}, Point{lo.X + 2.5, lo.Y})
			p.d.line(color, 0.8, Point{hi.X - 2.5, hi.Y}, Point{hi.X + 2.5, hi.Y})
		}
		if s.Step && len(pts) > 0 {
			pts = append(pts, Point{at.X, pts[len(pts)-1].Y})
		}
		pts = append(pts, at)
	}
	if len(pts) == 0 {
		return p.top + p.high
	}
	drawn := thin(pts)
	if len(drawn) > 1 {
		p.d.Ops = append(p.d.Ops, Op{Shape: Polyline, Points: drawn, Stroke: color, Width: 1.4, Dash: dash})
	}
	if s.Markers {
		for _, at := range drawn {
			p.d.Ops = append(p.d.Ops, Op{Shape: Circle, Points: []Point{at}, Size: 2.2, Fill: color})
		}
	}
	return pts[len(pts)-1].Y
}

// thin keeps first, lowest, highest and last point of each stretch of a long line, so that no peak is lost.
func thin(pts []Point) []Point {
	if len(pts) <= maxSeriesPoints {
		return pts
	}
	var out []Point
	buckets := maxSeriesPoints / 4
	for b := range buckets {
		part := pts[b*len(pts)/buckets : (b+1)*len(pts)/buckets]
		lo, hi := 0, 0
		for i := range part {
			if part[i].Y < part[lo].Y {
				lo = i
			}
			if part[i].Y > part[hi].Y {
				hi = i
			}
		}
		keep := []int{0, min(lo, hi), max(lo, hi), len(part) - 1}
		last := -1
		for _, i := range keep {
			if i != last {
				out = append(out, part[i])
			}
			last = i
		}
	}
	return out
}

// names writes each series' name beside its end, pushed apart where two ends are close.
func (p *plot) names(series []Series, ends []float64) {
	order := make([]int, len(series))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return ends[order[a]] < ends[order[b]] })
	const gap = chartText + 2.4
	ys := make([]float64, len(series))
	for k, i := range order {
		ys[i] = ends[i]
		if k > 0 {
			ys[i] = max(ys[i], ys[order[k-1]]+gap)
		}
	}
	if n := len(order); n > 0 {
		// If the last label left the plot, the stack moves up by as much.
		over := ys[order[n-1]] - (p.top + p.high)
		for k := n - 1; over > 0 && k >= 0; k-- {
			limit := p.top + p.high - float64(n-1-k)*gap
			ys[order[k]] = min(ys[order[k]], limit)
		}
	}
	for i, s := range series {
		if s.Name == "" {
			continue
		}
		color := seriesColors[i%len(seriesColors)]
		x := p.left + p.wide
		p.d.Ops = append(p.d.Ops, Op{Shape: Polyline, Points: []Point{{x + 2, ys[i]}, {x + 14, ys[i]}}, Stroke: color, Width: 1.4, Dash: seriesDashes[i%len(seriesDashes)]})
		p.d.label(color, chartText, Left, x+17, ys[i]+chartText*0.35, s.Name)
	}
}

// Bar is one bar of a BarChart with its confidence interval; Lo = Hi = 0 means none.
type Bar struct {
	Label string
	// Note follows the label, paler: a count, for example.
	Note   string
	Value  float64
	Lo, Hi float64
	Color  Color
	// Missing says why there is no value, such as "suppressed: n < 10".
	Missing string
}

// BarChart draws horizontal bars with whiskers, one row each, and a reference line.
type BarChart struct {
	Title, Desc string
	X           Axis
	Bars        []Bar
	// Reference draws a vertical line with a label, if ReferenceLabel is set.
	Reference      float64
	ReferenceLabel string
	// Format gives the value's text; nil means three decimals.
	Format func(float64) string
	Width  float64
}

// Draw gives the chart as a display list.
func (c *BarChart) Draw() (*Drawing, error) {
	f, err := newFaces()
	if err != nil {
		return nil, err
	}
	const rowHeight = 17.0
	d := &Drawing{Width: c.Width, Height: 26 + rowHeight*float64(len(c.Bars)) + 28, Title: c.Title, Desc: c.Desc}
	if d.Width == 0 {
		d.Width = contentWidth
	}
	format := c.Format
	if format == nil {
		format = func(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
	}
	labels := 0.0
	values := []float64{0}
	if c.ReferenceLabel != "" {
		values = append(values, c.Reference)
	}
	for _, b := range c.Bars {
		labels = max(labels, f.width(regular, chartText+0.4, f.clean(regular, b.Label))+f.width(regular, chartText, "  "+f.clean(regular, b.Note)))
		if b.Missing == "" {
			values = append(values, b.Value, b.Hi)
		}
	}
	p := &plot{d: d, x: c.X.fit(values), y: Axis{Min: 0, Max: 1}, left: min(labels+10, d.Width*0.4), top: 20}
	p.wide, p.high = d.Width-p.left-44, rowHeight*float64(len(c.Bars))+4
	for _, t := range p.x.ticks() {
		at := p.at(Point{t.v, 0})
		d.line(Line, 0.5, Point{at.X, p.top}, at)
		d.label(Muted, chartText, Center, at.X, at.Y+11, t.text)
	}
	d.label(Muted, chartText, Center, p.left+p.wide/2, d.Height-3, c.X.Label)
	for i, b := range c.Bars {
		p.bar(f, b, p.top+4+rowHeight*float64(i), rowHeight-4, format)
	}
	zero := p.at(Point{max(0, p.x.Min), 0})
	d.line(LineStrong, 0.7, Point{zero.X, p.top}, zero)
	if c.ReferenceLabel != "" {
		at := p.at(Point{c.Reference, 0})
		d.Ops = append(d.Ops, Op{Shape: Polyline, Points: []Point{{at.X, p.top - 4}, at}, Stroke: Warn, Width: 1, Dash: []float64{4, 2}})
		anchor := Left
		if p.x.share(c.Reference) > 0.6 {
			anchor = Right
		}
		d.label(Warn, chartText, anchor, at.X, p.top-8, c.ReferenceLabel)
	}
	return d, nil
}

func (p *plot) bar(f *faces, b Bar, y, h float64, format func(float64) string) {
	d := p.d
	base := y + h/2 + chartText*0.36
	note := f.width(regular, chartText, f.clean(regular, b.Note))
	name := shorten(f, regular, chartText+0.4, b.Label, p.left-10-note)
	d.label(Ink, chartText+0.4, Left, 0, base, name)
	if b.Note != "" {
		d.label(Muted, chartText, Left, f.width(regular, chartText+0.4, name)+4, base, b.Note)
	}
	if b.Missing != "" || !finite(b.Value) {
		d.label(Muted, chartText, Left, p.left+4, base, b.Missing)
		return
	}
	color := b.Color
	if color == NoColor {
		color = Accent
	}
	zero := p.at(Point{max(0, p.x.Min), 0}).X
	end := p.at(Point{b.Value, 0}).X
	d.Ops = append(d.Ops, Op{Shape: Polygon, Fill: color, Points: []Point{{zero, y + 1.5}, {end, y + 1.5}, {end, y + h - 1.5}, {zero, y + h - 1.5}}})
	right := end
	if b.Lo != b.Hi && finite(b.Lo) && finite(b.Hi) {
		lo, hi := p.at(Point{b.Lo, 0}).X, p.at(Point{b.Hi, 0}).X
		mid := y + h/2
		// A pale line under the dark one keeps the whisker visible where it crosses the bar.
		d.line(Surface, 2.6, Point{lo, mid}, Point{min(hi, end), mid})
		d.line(Ink, 1, Point{lo, mid}, Point{hi, mid})
		d.line(Ink, 1, Point{lo, mid - 2.8}, Point{lo, mid + 2.8})
		d.line(Ink, 1, Point{hi, mid - 2.8}, Point{hi, mid + 2.8})
		right = max(right, hi)
	}
	d.label(Ink, chartText+0.2, Left, right+4, base, format(b.Value))
}

// Beside puts two drawings next to each other, top edges aligned, as one drawing.
func Beside(a, b *Drawing, gap float64) *Drawing {
	out := &Drawing{Width: a.Width + gap + b.Width, Height: max(a.Height, b.Height), Title: a.Title + "; " + b.Title,
		Desc: joinNonEmpty(" ", a.Desc, b.Desc), Ops: append([]Op(nil), a.Ops...)}
	for _, op := range b.Ops {
		moved := op
		moved.Points = make([]Point, len(op.Points))
		for i, p := range op.Points {
			moved.Points[i] = Point{p.X + a.Width + gap, p.Y}
		}
		out.Ops = append(out.Ops, moved)
	}
	return out
}
