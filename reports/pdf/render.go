package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"
)

// maxPages bounds a document, so that a mistaken input cannot fill the disk.
const maxPages = 2000

// placed is a piece with its page (from 1) and the y of its top edge.
type placed struct {
	piece
	page int
	y    float64
}

// place is where an anchor ended up.
type place struct {
	page int
	y    float64
}

// Render lays out and draws the document, and returns the finished PDF. The same document gives the same bytes with the
// same build of the program; store the bytes, because another Go version may compress differently.
func Render(d *Document) ([]byte, error) {
	if d.Meta.Title == "" || d.Meta.Kind == "" {
		return nil, errors.New("pdf: the document needs Meta.Title and Meta.Kind")
	}
	if d.Meta.AsOf.IsZero() {
		return nil, errors.New("pdf: the document needs Meta.AsOf: its dates are those of what it reports, not of the clock")
	}
	f, err := newFaces()
	if err != nil {
		return nil, err
	}
	l := &layouter{faces: f, root: &elem{tag: "Document"}, sources: map[int64]bool{}, cited: map[int64]bool{}}
	for _, s := range d.Sources {
		if l.sources[s.Index] {
			return nil, fmt.Errorf("pdf: source entry %d is listed twice", s.Index)
		}
		l.sources[s.Index] = true
	}
	front, err := l.front(d)
	if err != nil {
		return nil, err
	}
	contents := l.root.child("TOC")
	body, err := l.blocks(d.Body)
	if err != nil {
		return nil, err
	}
	sources, err := l.sourceList(d.Sources)
	if err != nil {
		return nil, err
	}
	body = append(body, sources...)
	if len(f.missing) > 0 {
		note, err := (&Prose{Muted: true, Text: fmt.Sprintf("%d different characters of the logged statements are not in this document's "+
			"fonts and are shown as \ufffd; the entries cited hold them.", len(f.missing))}).layout(l)
		if err != nil {
			return nil, err
		}
		body = append(body, note...)
	}
	var outline []*outlineItem
	for _, p := range body {
		if p.outline != nil {
			outline = append(outline, p.outline)
		}
	}
	pages := map[string]int{}
	toc := l.contents(contents, outline, pages)
	if len(body) > 0 {
		body[0].newPage = true
	}
	all, err := paginate(append(append(front, toc...), body...))
	if err != nil {
		return nil, err
	}
	return draw(d, l, all, outline, pages)
}

func (l *layouter) blocks(blocks []Block) ([]piece, error) {
	var out []piece
	breakNext, afterHeading := false, false
	for _, b := range blocks {
		pieces, err := b.layout(l)
		if err != nil {
			return nil, err
		}
		if len(pieces) == 1 && pieces[0].newPage && pieces[0].draw == nil {
			breakNext = true
			continue
		}
		if breakNext && len(pieces) > 0 {
			pieces[0].newPage = true
			breakNext = false
		}
		_, isHeading := b.(*Heading)
		if isHeading && afterHeading {
			pieces[0].before = 7
		}
		afterHeading = isHeading
		out = append(out, pieces...)
	}
	return out, nil
}

// front builds the title block and what follows it before the contents.
func (l *layouter) front(d *Document) ([]piece, error) {
	title := l.root.child("H1")
	kind := l.faces.wrap([]run{{text: l.faces.clean(bold, d.Meta.Kind), style: bold, size: 10, color: Accent}}, contentWidth)
	head := l.faces.wrap([]run{{text: l.faces.clean(bold, d.Meta.Title), style: bold, size: 21, color: Ink}}, contentWidth)
	out := l.lines(title, kind, marginX, 16, 0)
	out = append(out, l.lines(title, head, marginX, 27, 2)...)
	if d.Meta.Subtitle != "" {
		sub := l.faces.wrap([]run{{text: l.faces.clean(regular, d.Meta.Subtitle), size: 10, color: Muted}}, contentWidth)
		out = append(out, l.lines(l.root.child("P"), sub, marginX, 14, 3)...)
	}
	rest, err := l.blocks(d.Front)
	return append(out, rest...), err
}

// contents lists the sections; the page numbers are looked up when it is drawn, after pagination.
func (l *layouter) contents(toc *elem, outline []*outlineItem, pages map[string]int) []piece {
	if len(outline) == 0 {
		return nil
	}
	depth := 2
	if len(outline) > 34 {
		depth = 1
	}
	heading := l.faces.wrap([]run{{text: "Contents", style: bold, size: 10.8, color: Ink}}, contentWidth)
	out := l.lines(toc.child("Caption"), heading, marginX, 17, 18)
	out[0].keepNext = true
	for _, item := range outline {
		if item.level > depth {
			continue
		}
		s, indent, before := bold, 0.0, 2.0
		if item.level > 1 {
			s, indent, before = regular, 14, 0
		}
		text := l.faces.wrap([]run{{text: item.text, style: s, size: cellSize + 0.6, color: Ink, anchor: item.anchor}}, contentWidth-indent-40)
		entry := toc.child("TOCI")
		const leading = 12.4
		out = append(out, piece{before: before, h: leading * float64(len(text)), draw: func(c *canvas, y float64) {
			for i, ln := range text {
				c.line(entry, ln, marginX+indent, y+leading*(float64(i)+0.76))
			}
			number := strconv.Itoa(pages[item.anchor])
			w := l.faces.width(regular, cellSize+0.6, number)
			base := y + leading*(float64(len(text))-0.24)
			c.mark(entry, func() { c.text(marginX+contentWidth-w, base, regular, cellSize+0.6, Muted, number) })
			from := marginX + indent + text[len(text)-1].w + 6
			c.mark(nil, func() {
				if to := marginX + contentWidth - w - 6; to > from {
					c.rule(Line, 0.5, from, base-1, to, base-1)
				}
			})
		}})
	}
	return out
}

// sourceList is the last section: every entry that the document rests on.
func (l *layouter) sourceList(sources []Source) ([]piece, error) {
	out, err := (&Heading{Level: 1, Text: "Sources"}).layout(l)
	if err != nil {
		return nil, err
	}
	intro, err := (&Prose{Text: "Each entry of the log that this document rests on. Signed bytes are named by the SHA-256 digest of " +
		"their DSSE pre-authentication encoding (PAE); the time is that of the log's own timestamp, in UTC."}).layout(l)
	if err != nil {
		return nil, err
	}
	out = append(out, intro...)
	var sorted []Source
	for _, s := range sources {
		if l.cited[s.Index] {
			sorted = append(sorted, s)
		}
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Index < sorted[j].Index })
	t := &Table{Empty: "No log entry is cited.", Columns: []Column{
		{Title: "Entry", Align: Right, NoWrap: true}, {Title: "Kind"}, {Title: "Signer"}, {Title: "Logged (UTC)", NoWrap: true},
		{Title: "SHA-256 of the PAE", Mono: true, Width: 140},
	}}
	for _, s := range sorted {
		t.Rows = append(t.Rows, Row{Cells: []Cell{
			{Text: strconv.FormatInt(s.Index, 10), Bold: true}, {Text: s.Kind}, {Text: s.Signer}, {Text: stamp(s.Logged)}, {Text: halves(s.PAEDigest)},
		}})
	}
	pieces, err := t.layout(l)
	if err != nil {
		return nil, err
	}
	if len(sorted) > 0 {
		for i := range sorted {
			pieces[1+i].anchor = sourceAnchor(sorted[i].Index)
		}
	}
	return append(out, pieces...), nil
}

// halves lets a 64-digit digest break in its middle, so that a column of digests is two even lines.
func halves(digest string) string {
	if len(digest) != 64 {
		return digest
	}
	return digest[:32] + " " + digest[32:]
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02" + nbsp + "15:04:05")
}

// paginate assigns pages. Chains of pieces that keep together move as a whole, unless they would not fit any page.
func paginate(pieces []piece) ([]placed, error) {
	out := make([]placed, 0, len(pieces))
	page, y := 1, bodyTop
	top := true
	advance := func() {
		page++
		y, top = bodyTop, true
	}
	for i := 0; i < len(pieces); {
		end := i
		for end < len(pieces)-1 && pieces[end].keepNext && !pieces[end+1].newPage {
			end++
		}
		if pieces[i].newPage && !top {
			advance()
		}
		height := 0.0
		for _, p := range pieces[i : end+1] {
			height += p.before + p.h
		}
		if y+height > bodyBottom && !top && height <= bodyBottom-bodyTop {
			advance()
		}
		for _, p := range pieces[i : end+1] {
			if y+p.before+p.h > bodyBottom && !top {
				advance()
			}
			if top {
				if p.repeat != nil {
					out = append(out, placed{piece: *p.repeat, page: page, y: y})
					y += p.repeat.h
				}
			} else {
				y += p.before
			}
			out = append(out, placed{piece: p, page: page, y: y})
			y += p.h
			top = false
		}
		i = end + 1
		if page > maxPages {
			return nil, fmt.Errorf("pdf: the document has more than %d pages", maxPages)
		}
	}
	return out, nil
}

// draw makes the pages and hands them to the finisher.
func draw(d *Document, l *layouter, all []placed, outline []*outlineItem, pages map[string]int) ([]byte, error) {
	places := map[string]place{}
	total := 1
	for _, p := range all {
		total = max(total, p.page)
		if p.anchor != "" {
			places[p.anchor] = place{p.page, p.y}
			pages[p.anchor] = p.page
		}
	}
	c := newCanvas(d.Meta)
	c.faces = l.faces
	next := 0
	for page := 1; page <= total; page++ {
		c.addPage()
		c.mark(nil, func() { l.furniture(c, d.Meta, page, total) })
		for ; next < len(all) && all[next].page == page; next++ {
			if p := all[next]; p.draw != nil {
				p.draw(c, p.y)
			}
		}
	}
	var raw bytes.Buffer
	if err := c.f.Output(&raw); err != nil {
		return nil, fmt.Errorf("pdf: drawing: %w", err)
	}
	return finish(raw.Bytes(), d, c, l.root, outline, places)
}

// furniture draws the running header and footer.
func (l *layouter) furniture(c *canvas, m Meta, page, total int) {
	const size = 7.2
	right := marginX + contentWidth
	fit := func(text string, width float64) string {
		text = l.faces.clean(regular, text)
		runes := []rune(text)
		for len(runes) > 1 && l.faces.width(regular, size, text) > width {
			runes = runes[:len(runes)-1]
			text = string(runes) + "…"
		}
		return text
	}
	if page == 1 {
		c.rect(Accent, 0, 0, pageWidth, 6)
		c.text(marginX, 40, bold, 8.4, Ink, "Affidavit")
	} else {
		c.text(marginX, 40, regular, size, Muted, fit(m.Kind+" · "+m.Title, contentWidth*0.7))
		c.rule(Line, 0.5, marginX, 48, right, 48)
	}
	org := fit(joinNonEmpty(" · ", m.Organisation, m.Project), contentWidth*0.5)
	if page > 1 {
		org = fit(m.Project, contentWidth*0.28)
	}
	c.text(right-l.faces.width(regular, size, org), 40, regular, size, Muted, org)
	c.rule(Line, 0.5, marginX, pageHeight-46, right, pageHeight-46)
	head := "As of " + m.AsOf.UTC().Format("2006-01-02 15:04") + " UTC"
	if m.LogOrigin != "" {
		head += fmt.Sprintf(" · a reading of log %s at size %d", m.LogOrigin, m.TreeSize)
	}
	c.text(marginX, pageHeight-34, regular, size, Muted, fit(head, contentWidth*0.8))
	number := fmt.Sprintf("Page %d of %d", page, total)
	c.text(right-l.faces.width(regular, size, number), pageHeight-34, regular, size, Muted, number)
}

func joinNonEmpty(sep string, parts ...string) string {
	out := ""
	for _, p := range parts {
		if p == "" {
			continue
		}
		if out != "" {
			out += sep
		}
		out += p
	}
	return out
}
