package pdf

import (
	"errors"
	"fmt"
	"strconv"
)

// Sizes in points. Leading is the distance between baselines.
const (
	bodySize    = 9.0
	bodyLeading = 12.6
	noteSize    = 7.6
	noteLeading = 10.2
	cellSize    = 7.9
	cellLeading = 10.6
	codeSize    = 7.4
	codeLeading = 10.4
	nbsp        = "\u00a0"
)

// piece is a strip of the page that is not divided. Pieces joined by keepNext stay on one page.
type piece struct {
	before, h float64
	keepNext  bool
	draw      func(c *canvas, y float64)
	// repeat is drawn above the piece when it opens a page: a table's header. It counts as an artefact.
	repeat *piece
	// newPage starts a page before the piece.
	newPage bool
	// anchor names the place; outline adds it to the outline and to the contents.
	anchor  string
	outline *outlineItem
}

// outlineItem is a heading with its place, which pagination fills in.
type outlineItem struct {
	level  int
	text   string
	anchor string
}

// layouter turns blocks into pieces.
type layouter struct {
	faces   *faces
	root    *elem
	sources map[int64]bool
	cited   map[int64]bool
	numbers [3]int // of headings
	level   int    // of the last heading
	tables  int
	figures int
}

// runs builds the runs of a statement with its citations.
func (l *layouter) runs(text string, cites Cites, prose bool, base run) ([]run, error) {
	base.text = l.faces.clean(base.style, text)
	none := run{text: NoEvidence, style: regular, size: base.size, color: Muted}
	if text == "" && len(cites) == 0 {
		return []run{none}, nil
	}
	out := make([]run, 0, 2+2*len(cites))
	if text != "" {
		out = append(out, base)
	}
	if len(cites) == 0 {
		if !prose {
			none.text = " [" + NoEvidence + "]"
			none.size = base.size - 0.6
			out = append(out, none)
		}
		return out, nil
	}
	cited, err := l.citation(cites, base.size-0.6)
	if err != nil {
		return nil, err
	}
	return append(out, cited...), nil
}

// citation gives " [entry 3]" or " [entries 3, 5]", each number linked to the list of sources.
func (l *layouter) citation(cites Cites, size float64) ([]run, error) {
	open := " [entry" + nbsp
	if len(cites) > 1 {
		open = " [entries "
	}
	out := []run{{text: open, size: size, color: Muted}}
	numbers, err := l.citeNumbers(cites, size)
	if err != nil {
		return nil, err
	}
	return append(append(out, numbers...), run{text: "]", size: size, color: Muted}), nil
}

func (l *layouter) citeNumbers(cites Cites, size float64) ([]run, error) {
	var out []run
	for i, n := range cites {
		if !l.sources[n] {
			return nil, fmt.Errorf("pdf: a statement cites log entry %d, which is not among the document's sources: add it to Sources", n)
		}
		l.cited[n] = true
		if i > 0 {
			out = append(out, run{text: ", ", size: size, color: Muted})
		}
		out = append(out, run{text: strconv.FormatInt(n, 10), size: size, color: Accent, anchor: sourceAnchor(n)})
	}
	return out, nil
}

func sourceAnchor(n int64) string { return "source-" + strconv.FormatInt(n, 10) }

// lines turns wrapped lines into pieces that avoid a single first or last line on a page.
func (l *layouter) lines(e *elem, lines []line, x, leading, before float64) []piece {
	out := make([]piece, len(lines))
	for i, ln := range lines {
		out[i] = piece{h: leading, draw: func(c *canvas, y float64) { c.line(e, ln, x, y+leading*0.76) }}
		out[i].keepNext = i == 0 && len(lines) > 1 || i == len(lines)-2
	}
	out[0].before = before
	return out
}

func (h *Heading) layout(l *layouter) ([]piece, error) {
	if h.Level < 1 || h.Level > 3 {
		return nil, fmt.Errorf("pdf: heading %q has level %d: use 1, 2 or 3", h.Text, h.Level)
	}
	if h.Level > l.level+1 {
		return nil, fmt.Errorf("pdf: heading %q of level %d follows one of level %d: levels must not be skipped", h.Text, h.Level, l.level)
	}
	l.level = h.Level
	l.numbers[h.Level-1]++
	number := strconv.Itoa(l.numbers[0])
	for i := 1; i < len(l.numbers); i++ {
		if i >= h.Level {
			l.numbers[i] = 0
		} else {
			number += "." + strconv.Itoa(l.numbers[i])
		}
	}
	size := [...]float64{14.5, 10.8, 9.4}[h.Level-1]
	before := [...]float64{26, 17, 12}[h.Level-1]
	after := [...]float64{8, 4, 2}[h.Level-1]
	text := l.faces.clean(bold, h.Text)
	runs := []run{{text: number + nbsp + nbsp, style: bold, size: size, color: Accent}, {text: text, style: bold, size: size, color: Ink}}
	e := l.root.child("H" + strconv.Itoa(h.Level))
	pieces := l.lines(e, l.faces.wrap(runs, contentWidth), marginX, size*1.25, before)
	for i := range pieces {
		pieces[i].keepNext = true
	}
	anchor := "section-" + number
	pieces[0].anchor = anchor
	pieces[0].outline = &outlineItem{level: h.Level, text: number + "  " + text, anchor: anchor}
	last := &pieces[len(pieces)-1]
	last.h += after
	if h.Level == 1 {
		draw := last.draw
		last.draw = func(c *canvas, y float64) {
			draw(c, y)
			c.mark(nil, func() { c.rule(LineStrong, 0.7, marginX, y+size*1.25+3, marginX+contentWidth, y+size*1.25+3) })
		}
	}
	return pieces, nil
}

func (p *Prose) layout(l *layouter) ([]piece, error) {
	base := run{size: bodySize, color: Ink}
	leading := bodyLeading
	if p.Muted {
		base.size, base.color, leading = noteSize, Muted, noteLeading
	}
	runs, err := l.runs(p.Text, nil, true, base)
	if err != nil {
		return nil, err
	}
	return l.lines(l.root.child("P"), l.faces.wrap(runs, contentWidth), marginX, leading, 6), nil
}

func (s *Statement) layout(l *layouter) ([]piece, error) {
	runs, err := l.runs(s.Text, s.Cites, false, run{size: bodySize, color: Ink})
	if err != nil {
		return nil, err
	}
	return l.lines(l.root.child("P"), l.faces.wrap(runs, contentWidth), marginX, bodyLeading, 6), nil
}

func (b *Bullets) layout(l *layouter) ([]piece, error) {
	if len(b.Items) == 0 {
		return (&Statement{}).layout(l)
	}
	const indent = 12.0
	var out []piece
	list := l.root.child("L")
	for i, item := range b.Items {
		runs, err := l.runs(item.Text, item.Cites, b.Prose, run{size: bodySize, color: Ink})
		if err != nil {
			return nil, err
		}
		li := list.child("LI")
		label, body := li.child("Lbl"), li.child("LBody")
		before := 2.5
		if i == 0 {
			before = 5
		}
		pieces := l.lines(body, l.faces.wrap(runs, contentWidth-indent), marginX+indent, bodyLeading, before)
		draw := pieces[0].draw
		pieces[0].draw = func(c *canvas, y float64) {
			c.mark(label, func() { c.text(marginX+2, y+bodyLeading*0.76, regular, bodySize, Accent, "•") })
			draw(c, y)
		}
		out = append(out, pieces...)
	}
	return out, nil
}

func (kv *KeyValues) layout(l *layouter) ([]piece, error) {
	const gap = 14.0
	keyWidth := 0.0
	for _, item := range kv.Items {
		keyWidth = max(keyWidth, l.faces.width(regular, cellSize+0.3, l.faces.clean(regular, item.Key)))
	}
	keyWidth = min(keyWidth, 150)
	x := marginX + keyWidth + gap
	table := l.root.child("Table")
	var out []piece
	for i, item := range kv.Items {
		base := run{size: cellSize + 0.5, color: Ink}
		if item.Mono {
			base.style, base.size = mono, codeSize
		}
		runs, err := l.runs(item.Value, item.Cites, item.Prose, base)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", item.Key, err)
		}
		runs = withStatus(runs, item.Status)
		key := l.faces.wrap([]run{{text: l.faces.clean(regular, item.Key), size: cellSize + 0.3, color: Muted}}, keyWidth+1)
		value := l.faces.wrap(runs, marginX+contentWidth-x)
		row := table.child("TR")
		th, td := row.child("TH"), row.child("TD")
		th.scope = "Row"
		const leading = cellLeading + 0.6
		p := piece{h: leading*float64(max(len(key), len(value))) + 3.5}
		if i == 0 {
			p.before = 7
		}
		p.draw = func(c *canvas, y float64) {
			for j, ln := range key {
				c.line(th, ln, marginX, y+leading*(float64(j)+0.8))
			}
			for j, ln := range value {
				c.line(td, ln, x, y+leading*(float64(j)+0.8))
			}
		}
		p.keepNext = i == 0 && len(kv.Items) > 1
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, errors.New("pdf: a key-value list is empty")
	}
	return out, nil
}

// withStatus puts the status's icon before the runs and colours the first of them, if it is plain text.
func withStatus(runs []run, s Status) []run {
	if s == StatusNone {
		return runs
	}
	fore, _ := s.look()
	if runs[0].color == Ink {
		runs[0].color = fore
		if runs[0].style == regular && len(runs[0].text) < 40 {
			runs[0].style = bold
		}
	}
	return append([]run{{icon: s, size: runs[0].size}}, runs...)
}

func (co *Callout) layout(l *layouter) ([]piece, error) {
	fore, back := co.Status.look()
	const pad, indent = 8.0, 24.0
	width := contentWidth - indent - pad
	box := l.root.child("Div")
	text, err := l.runs(co.Text, co.Cites, true, run{size: bodySize, color: Ink})
	if err != nil {
		return nil, err
	}
	var rows []line
	var owners []*elem
	add := func(runs []run) {
		e := box.child("P")
		for _, ln := range l.faces.wrap(runs, width) {
			rows = append(rows, ln)
			owners = append(owners, e)
		}
	}
	if co.Title != "" {
		add([]run{{text: l.faces.clean(bold, co.Title), style: bold, size: bodySize + 0.4, color: fore}})
	}
	if co.Text != "" || len(co.Cites) > 0 {
		add(text)
	}
	if len(rows) == 0 {
		return nil, errors.New("pdf: a callout has neither title nor text")
	}
	out := make([]piece, len(rows))
	for i, ln := range rows {
		top, bottom := 0.0, 0.0
		if i == 0 {
			top = pad - 2
		}
		if i == len(rows)-1 {
			bottom = pad - 1
		}
		h := bodyLeading + top + bottom
		out[i] = piece{h: h, keepNext: i < len(rows)-1 && (len(rows) < 20 || i == 0)}
		out[i].draw = func(c *canvas, y float64) {
			c.mark(nil, func() {
				c.rect(back, marginX, y, contentWidth, h+0.3)
				c.rect(fore, marginX, y, 2.5, h+0.3)
				if i == 0 && co.Status != StatusNone {
					c.icon(co.Status, marginX+9, y+top+1.6, 9.5)
				}
			})
			c.line(owners[i], ln, marginX+indent, y+top+bodyLeading*0.76)
		}
	}
	out[0].before = 9
	out[len(out)-1].h += 3
	return out, nil
}

func (co *Code) layout(l *layouter) ([]piece, error) {
	if len(co.Lines) == 0 {
		return nil, errors.New("pdf: a code block is empty")
	}
	const pad = 8.0
	e := l.root.child("P")
	var rows []line
	for _, text := range co.Lines {
		// Spaces carry meaning here, and a broken word would not survive copying, so only whole characters are wrapped.
		clean := l.faces.clean(mono, text)
		indent := len(clean) - len(trimLeft(clean))
		wrapped := l.faces.wrap([]run{{text: trimLeft(clean), style: mono, size: codeSize, color: Ink}}, contentWidth-2*pad-float64(indent)*codeSize*0.602)
		for j := range wrapped {
			shift := float64(indent) * codeSize * 0.602
			if j > 0 {
				shift += 2 * codeSize * 0.602
			}
			for k := range wrapped[j].frags {
				wrapped[j].frags[k].x += shift
			}
		}
		rows = append(rows, wrapped...)
	}
	out := make([]piece, len(rows))
	for i, ln := range rows {
		top, bottom := 0.0, 0.0
		if i == 0 {
			top = 6
		}
		if i == len(rows)-1 {
			bottom = 6
		}
		h := codeLeading + top + bottom
		out[i] = piece{h: h, keepNext: i < len(rows)-1 && len(rows) < 30}
		out[i].draw = func(c *canvas, y float64) {
			c.mark(nil, func() { c.rect(Background, marginX, y, contentWidth, h+0.3) })
			c.line(e, ln, marginX+pad, y+top+codeLeading*0.74)
		}
	}
	out[0].before = 8
	out[len(out)-1].h += 3
	return out, nil
}

func trimLeft(s string) string {
	for len(s) > 0 && s[0] == ' ' {
		s = s[1:]
	}
	return s
}

func (*PageBreak) layout(*layouter) ([]piece, error) { return []piece{{newPage: true}}, nil }

func (fg *Figure) layout(l *layouter) ([]piece, error) {
	if fg.Drawing == nil {
		return nil, fmt.Errorf("pdf: figure %q has no drawing", fg.Caption)
	}
	l.figures++
	d := fg.Drawing
	const room = bodyBottom - bodyTop - 60
	scale := min(1, contentWidth/d.Width)
	strips := []float64{d.Height}
	if len(d.Breaks) > 0 && d.Height*scale > room*0.6 {
		strips = append(append([]float64(nil), d.Breaks...), d.Height)
	} else {
		scale = min(scale, room/d.Height)
	}
	e := l.root.child("Figure")
	e.alt = d.Alt()
	caption, err := l.runs(fmt.Sprintf("Figure %d. %s", l.figures, fg.Caption), fg.Cites, false, run{style: bold, size: cellSize + 0.3, color: Ink})
	if err != nil {
		return nil, err
	}
	out := l.lines(l.root.child("P"), l.faces.wrap(caption, contentWidth), marginX, cellLeading+0.8, 10)
	for i := range out {
		out[i].keepNext = true
	}
	x := marginX + (contentWidth-d.Width*scale)/2
	from := 0.0
	for i, to := range strips {
		top, h := from, (to-from)*scale
		p := piece{h: h, keepNext: len(strips) > 1 && (i < 2 || i == len(strips)-2), draw: func(c *canvas, y float64) {
			c.mark(e, func() {
				if len(strips) == 1 {
					c.drawing(d, x, y, scale)
					return
				}
				// Neighbouring strips overlap a little, so that no seam shows where they meet.
				c.clipped(x-2, y-0.3, d.Width*scale+4, h+0.6, func() { c.drawing(d.between(top-1, top+h/scale+1), x, y-top*scale, scale) })
			})
		}}
		if i == 0 {
			p.before = 4
		}
		if i == len(strips)-1 {
			p.h += 8
		}
		out = append(out, p)
		from = to
	}
	return out, nil
}
