package pdf

import (
	"fmt"
)

const (
	cellPadX = 5.0
	cellPadY = 3.6
)

// gridColumn is the space of a column on the page.
type gridColumn struct{ x, w float64 }

func (t *Table) layout(l *layouter) ([]piece, error) {
	if len(t.Columns) == 0 {
		return nil, fmt.Errorf("pdf: table %q has no columns", t.Caption)
	}
	out, err := t.caption(l)
	if err != nil {
		return nil, err
	}
	if len(t.Rows) == 0 {
		empty, err := (&Statement{Text: t.Empty, Cites: t.Cites}).emptyLayout(l)
		return append(out, empty...), err
	}
	cells, err := t.runs(l)
	if err != nil {
		return nil, err
	}
	grid := t.widths(l, cells)
	table := l.root.child("Table")
	header := t.header(l, table.child("TR"), grid)
	repeated := t.header(l, nil, grid)
	header.keepNext = true
	out = append(out, header)
	for i, row := range t.Rows {
		p := t.row(l, table.child("TR"), row, cells[i], grid)
		if p.h > (bodyBottom-bodyTop)*0.8 {
			return nil, fmt.Errorf("pdf: row %d of table %q is higher than a page: shorten its text or move it out of the table", i+1, t.Caption)
		}
		p.repeat = &repeated
		// Neither the first row nor the last stands alone on its page, and a group heading stays with its first row.
		p.keepNext = row.Group || i == 0 && len(t.Rows) > 1 || i == len(t.Rows)-2
		out = append(out, p)
	}
	out[len(out)-1].h += 3
	if t.Note != "" {
		out[len(out)-1].keepNext = true
		note, err := (&Prose{Text: t.Note, Muted: true}).layout(l)
		if err != nil {
			return nil, err
		}
		note[0].before = 1
		out = append(out, note...)
	}
	return out, nil
}

func (s *Statement) emptyLayout(l *layouter) ([]piece, error) {
	runs, err := l.runs(s.Text, s.Cites, true, run{size: bodySize, color: Muted})
	if err != nil {
		return nil, err
	}
	return l.lines(l.root.child("P"), l.faces.wrap(runs, contentWidth), marginX, bodyLeading, 2), nil
}

func (t *Table) caption(l *layouter) ([]piece, error) {
	if t.Caption == "" {
		return nil, nil
	}
	l.tables++
	cites := t.Cites
	if len(t.Rows) == 0 {
		cites = nil
	}
	runs, err := l.runs(fmt.Sprintf("Table %d. %s", l.tables, t.Caption), cites, true, run{style: bold, size: cellSize + 0.3, color: Ink})
	if err != nil {
		return nil, err
	}
	pieces := l.lines(l.root.child("P"), l.faces.wrap(runs, contentWidth), marginX, cellLeading+0.8, 11)
	for i := range pieces {
		pieces[i].keepNext = true
	}
	return pieces, nil
}

// runs builds the text of every cell.
func (t *Table) runs(l *layouter) ([][][]run, error) {
	out := make([][][]run, len(t.Rows))
	for i, row := range t.Rows {
		if want := len(t.Columns); !row.Group && len(row.Cells) != want || row.Group && len(row.Cells) != 1 {
			return nil, fmt.Errorf("pdf: row %d of table %q has %d cells for %d columns", i+1, t.Caption, len(row.Cells), want)
		}
		out[i] = make([][]run, len(row.Cells))
		for j, cell := range row.Cells {
			base := run{size: cellSize, color: Ink}
			if cell.Bold || row.Group {
				base.style = bold
			}
			if t.Columns[j].Mono && !row.Group {
				base.style, base.size = mono, cellSize-0.7
			}
			runs, err := l.cell(cell, base)
			if err != nil {
				return nil, fmt.Errorf("table %q, row %d: %w", t.Caption, i+1, err)
			}
			out[i][j] = withStatus(runs, cell.Status)
		}
	}
	return out, nil
}

func (l *layouter) cell(cell Cell, base run) ([]run, error) {
	switch {
	case cell.Evidence && cell.Text == "" && len(cell.Cites) == 0:
		return []run{{text: NoEvidence, size: base.size, color: Muted}}, nil
	case cell.Text == "" && len(cell.Cites) > 0:
		return l.citeNumbers(cell.Cites, base.size)
	case cell.Text == "":
		return []run{{text: "–", size: base.size, color: Muted}}, nil
	}
	return l.runs(cell.Text, cell.Cites, true, base)
}

// widths shares the page between the columns: each gets at least its longest word if there is room, and the rest goes
// where text would otherwise wrap; what is left over then is spread by width.
func (t *Table) widths(l *layouter, cells [][][]run) []gridColumn {
	n := len(t.Columns)
	least, most := make([]float64, n), make([]float64, n)
	measure := func(j int, runs []run, whole bool) {
		narrow, wide := l.faces.extent(runs)
		if whole {
			narrow = wide
		}
		least[j] = max(least[j], min(narrow, contentWidth*0.45))
		most[j] = max(most[j], wide)
	}
	for j, c := range t.Columns {
		measure(j, l.headRuns(c), false)
	}
	for i, row := range t.Rows {
		if row.Group {
			continue
		}
		for j := range row.Cells {
			measure(j, cells[i][j], t.Columns[j].NoWrap)
		}
	}
	for j, c := range t.Columns {
		if c.Width > 0 {
			least[j], most[j] = c.Width, c.Width
		}
	}
	room := contentWidth - 2*cellPadX*float64(n)
	width := share(least, most, room)
	grid := make([]gridColumn, n)
	x := marginX
	for j, w := range width {
		grid[j] = gridColumn{x: x + cellPadX, w: w}
		x += w + 2*cellPadX
	}
	return grid
}

// share distributes room over columns that want between least and most points each.
func share(least, most []float64, room float64) []float64 {
	out := make([]float64, len(least))
	var sumLeast, sumMost float64
	for j := range least {
		most[j] = max(most[j], least[j])
		sumLeast += least[j]
		sumMost += most[j]
	}
	switch {
	case sumLeast >= room:
		for j := range out {
			out[j] = least[j] * room / sumLeast
		}
	case sumMost >= room:
		for j := range out {
			out[j] = least[j] + (most[j]-least[j])*(room-sumLeast)/(sumMost-sumLeast)
		}
	default:
		for j := range out {
			out[j] = most[j] + (room-sumMost)*(most[j]+20)/(sumMost+20*float64(len(most)))
		}
	}
	return out
}

func (l *layouter) headRuns(c Column) []run {
	return []run{{text: l.faces.clean(bold, c.Title), style: bold, size: cellSize - 0.5, color: Muted}}
}

// header builds the row of column titles. Without an element it is an artefact, for the repetition on later pages.
func (t *Table) header(l *layouter, tr *elem, grid []gridColumn) piece {
	lines := make([][]line, len(grid))
	cells := make([]*elem, len(grid))
	rows := 1
	for j, c := range t.Columns {
		lines[j] = l.faces.wrap(l.headRuns(c), grid[j].w+0.5)
		rows = max(rows, len(lines[j]))
		if tr != nil {
			cells[j] = tr.child("TH")
			cells[j].scope = "Column"
		}
	}
	h := float64(rows)*cellLeading + 2*cellPadY
	return piece{before: 2, h: h, draw: func(c *canvas, y float64) {
		for j := range grid {
			offset := float64(rows-len(lines[j])) * cellLeading
			t.cell(c, cells[j], lines[j], j, grid[j], y+cellPadY+offset)
		}
		c.mark(nil, func() { c.rule(LineStrong, 0.8, marginX, y+h, marginX+contentWidth, y+h) })
	}}
}

func (t *Table) row(l *layouter, tr *elem, row Row, cells [][]run, grid []gridColumn) piece {
	if row.Group {
		grid = []gridColumn{{x: grid[0].x, w: contentWidth - 2*cellPadX}}
	}
	lines := make([][]line, len(cells))
	owners := make([]*elem, len(cells))
	rows := 1
	for j, runs := range cells {
		lines[j] = l.faces.wrap(runs, grid[j].w+0.5)
		rows = max(rows, len(lines[j]))
		owners[j] = tr.child("TD")
		if row.Group {
			owners[j].colSpan = len(t.Columns)
		}
	}
	h := float64(rows)*cellLeading + 2*cellPadY
	return piece{h: h, draw: func(c *canvas, y float64) {
		c.mark(nil, func() {
			if row.Group {
				c.rect(Background, marginX, y+0.4, contentWidth, h-0.6)
			}
			c.rule(Line, 0.5, marginX, y+h, marginX+contentWidth, y+h)
		})
		for j := range lines {
			t.cell(c, owners[j], lines[j], j, grid[j], y+cellPadY)
		}
	}}
}

// cell draws the lines of a cell, aligned in its column.
func (t *Table) cell(c *canvas, e *elem, lines []line, column int, g gridColumn, y float64) {
	for i, ln := range lines {
		x := g.x
		switch t.Columns[column].Align {
		case Right:
			x += g.w - ln.w
		case Center:
			x += (g.w - ln.w) / 2
		}
		c.line(e, ln, x, y+cellLeading*(float64(i)+0.78))
	}
}
