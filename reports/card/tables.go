package card

import (
	"fmt"

	"affidavit/reports/pdf"
)

// evidence is the last cell of a row: the entries that the row rests on.
func evidence(sources []int64) pdf.Cell { return pdf.Cell{Cites: sources, Evidence: true} }

func verdictCell(v Verdict) pdf.Cell {
	return pdf.Cell{Text: sentence(string(v)), Status: v.status()}
}

func (b *builder) measures(caption string, items []Measure) {
	limits := false
	for _, m := range items {
		limits = limits || m.Limit != "" || m.Status != ""
	}
	t := &pdf.Table{Caption: caption, Columns: []pdf.Column{
		{Title: "Measure"}, {Title: "Value", Align: pdf.Right, NoWrap: true}, {Title: "95 % interval", Align: pdf.Right, NoWrap: true}, {Title: "n", Align: pdf.Right, NoWrap: true}, {Title: "Method"},
	}}
	if limits {
		t.Columns = append(t.Columns, pdf.Column{Title: "Limit"}, pdf.Column{Title: "Result", NoWrap: true})
	}
	t.Columns = append(t.Columns, pdf.Column{Title: "Evidence", Align: pdf.Right})
	for _, m := range items {
		cells := []pdf.Cell{{Text: m.Name}, {Text: number(m.Value, m.Digits), Bold: true}, {Text: interval(m.Interval, m.Digits)}, {Text: count(m.N)}, {Text: m.Method}}
		if limits {
			cells = append(cells, pdf.Cell{Text: m.Limit}, verdictCell(m.Status))
		}
		t.Rows = append(t.Rows, pdf.Row{Cells: append(cells, evidence(m.Sources))})
	}
	b.add(t)
}

func (b *builder) checks(caption string, items []Check) {
	t := &pdf.Table{Caption: caption, Columns: []pdf.Column{{Title: "Result", NoWrap: true}, {Title: "Condition"}, {Title: "In words"}, {Title: "Evidence", Align: pdf.Right}}}
	for _, c := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{verdictCell(c.Verdict), {Text: c.Name, Bold: true}, {Text: c.Words}, evidence(c.Sources)}})
	}
	b.add(t)
}

func (b *builder) datasets(items []Dataset) {
	if len(items) == 0 {
		b.state(Stated{})
		return
	}
	for _, d := range items {
		name := d.Name
		if d.Version != "" {
			name += " " + d.Version
		}
		b.add(&pdf.KeyValues{Items: []pdf.KeyValue{
			{Key: "Data version", Value: name, Cites: d.Sources},
			{Key: "Use", Value: d.Use, Cites: d.Sources},
			{Key: "Rows", Value: count(d.Rows), Cites: d.Sources},
			{Key: "SHA-256", Value: d.Digest, Mono: true, Cites: d.Sources},
			{Key: "Origin", Value: d.Origin, Cites: d.Sources},
			{Key: "Licence", Value: d.Licence, Cites: d.Sources},
			{Key: "Motivation", Value: d.Motivation.Text, Cites: d.Motivation.Sources},
			{Key: "Preprocessing", Value: d.Preprocessing.Text, Cites: d.Preprocessing.Sources},
		}})
	}
}

func (b *builder) features(items []Feature) {
	t := &pdf.Table{Caption: "Inputs, and columns carried for evaluation only", Columns: []pdf.Column{{Title: "Column", Mono: true, NoWrap: true}, {Title: "Meaning"}, {Title: "Type"}, {Title: "Role"}, {Title: "Evidence", Align: pdf.Right}}}
	for _, f := range items {
		role := pdf.Cell{Text: f.Role}
		if f.Role != "input" {
			role.Bold = true
		}
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: f.Name}, {Text: f.Meaning}, {Text: f.Type}, role, evidence(f.Sources)}})
	}
	b.add(t)
}

// curves shows discrimination and calibration side by side, or the one that there is.
func (b *builder) curves(roc *Curve, cal *Calibration) error {
	const width, height = 236.0, 226.0
	var drawings []*pdf.Drawing
	var cites []int64
	caption := ""
	if roc != nil {
		d, err := (&pdf.LineChart{Title: "ROC curve", Desc: fmt.Sprintf("Area under the curve %s.", number(roc.AUC, 4)), Width: width, Height: height,
			X: pdf.Axis{Label: "False positive rate", Max: 1}, Y: pdf.Axis{Label: "True positive rate", Max: 1},
			Series: []pdf.Series{{Points: roc.Points}}, Diagonal: true}).Draw()
		if err != nil {
			return err
		}
		drawings, cites, caption = append(drawings, d), roc.Sources, fmt.Sprintf("ROC curve, area %s; the diagonal is chance", number(roc.AUC, 4))
	}
	if cal != nil {
		s := pdf.Series{Markers: true}
		for _, bin := range cal.Bins {
			s.Points = append(s.Points, pdf.Point{X: bin.Predicted, Y: bin.Observed})
			s.Intervals = append(s.Intervals, [2]float64{bin.Lo, bin.Hi})
		}
		d, err := (&pdf.LineChart{Title: "Calibration", Desc: fmt.Sprintf("Observed rate against mean prediction in %d bins, with 95 %% intervals.", len(cal.Bins)), Width: width, Height: height,
			X: pdf.Axis{Label: "Mean predicted probability", Max: 1}, Y: pdf.Axis{Label: "Observed rate", Max: 1}, Series: []pdf.Series{s}, Diagonal: true}).Draw()
		if err != nil {
			return err
		}
		drawings = append(drawings, d)
		cites = union(cites, cal.Sources)
		if caption != "" {
			caption += ". "
		}
		caption += "Calibration with 95 % intervals; the diagonal is perfect"
	}
	switch len(drawings) {
	case 0:
		return nil
	case 1:
		b.add(&pdf.Figure{Caption: caption, Drawing: drawings[0], Cites: cites})
	default:
		b.add(&pdf.Figure{Caption: caption, Drawing: pdf.Beside(drawings[0], drawings[1], 15), Cites: cites})
	}
	return nil
}

// union merges two lists of entries without repeats, in the order met.
func union(a, b []int64) []int64 {
	out := append([]int64(nil), a...)
next:
	for _, n := range b {
		for _, have := range out {
			if have == n {
				continue next
			}
		}
		out = append(out, n)
	}
	return out
}

func (b *builder) fairness(tables []FairnessTable) error {
	if len(tables) == 0 {
		b.state(Stated{})
		return nil
	}
	for _, f := range tables {
		b.h2("By " + f.Attribute)
		b.groups(f)
		if len(f.Measures) > 0 {
			b.measures("Differences between groups by "+f.Attribute, f.Measures)
		}
		d, err := ratioChart(f)
		if err != nil {
			return err
		}
		b.add(&pdf.Figure{Caption: fmt.Sprintf("Impact ratio by %s, with 95 %% intervals", f.Attribute), Drawing: d, Cites: f.Sources})
	}
	return nil
}

func (b *builder) groups(f FairnessTable) {
	odds := false
	for _, g := range f.Groups {
		odds = odds || g.TPR != nil || g.FPR != nil
	}
	t := &pdf.Table{Caption: fmt.Sprintf("Selection by %s; selected means: %s", f.Attribute, f.Favourable), Cites: f.Sources, Note: f.Note, Columns: []pdf.Column{
		{Title: "Group"}, {Title: "n", Align: pdf.Right, NoWrap: true}, {Title: "Selected", Align: pdf.Right, NoWrap: true}, {Title: "Rate", Align: pdf.Right, NoWrap: true},
		{Title: "95 % interval", Align: pdf.Right, NoWrap: true}, {Title: "Impact ratio", Align: pdf.Right}, {Title: "95 % interval", Align: pdf.Right, NoWrap: true},
	}}
	if odds {
		t.Columns = append(t.Columns, pdf.Column{Title: "TPR", Align: pdf.Right, NoWrap: true}, pdf.Column{Title: "FPR", Align: pdf.Right, NoWrap: true})
	}
	t.Columns = append(t.Columns, pdf.Column{Title: "Result"})
	for _, g := range f.Groups {
		cells := []pdf.Cell{{Text: g.Group}}
		if g.Verdict == Suppressed {
			for len(cells) < len(t.Columns)-1 {
				cells = append(cells, pdf.Cell{})
			}
		} else {
			cells = append(cells, pdf.Cell{Text: whole(g.N)}, pdf.Cell{Text: whole(g.Selected)}, pdf.Cell{Text: number(g.Rate, 3)}, pdf.Cell{Text: interval(g.RateCI, 3)},
				pdf.Cell{Text: number(g.Ratio, 3), Bold: true}, pdf.Cell{Text: interval(g.RatioCI, 3)})
			if odds {
				cells = append(cells, optional(g.TPR), optional(g.FPR))
			}
		}
		t.Rows = append(t.Rows, pdf.Row{Cells: append(cells, verdictCell(g.Verdict))})
	}
	b.add(t)
}

func optional(v *float64) pdf.Cell {
	if v == nil {
		return pdf.Cell{}
	}
	return pdf.Cell{Text: number(*v, 3)}
}

func ratioChart(f FairnessTable) (*pdf.Drawing, error) {
	c := &pdf.BarChart{Title: "Impact ratio by " + f.Attribute, X: pdf.Axis{Label: "Impact ratio to the reference group"}, Reference: 0.8, ReferenceLabel: "four-fifths, 0.80"}
	lowest, lowestGroup := 0.0, ""
	for _, g := range f.Groups {
		bar := pdf.Bar{Label: g.Group, Note: "n = " + whole(g.N), Value: g.Ratio}
		switch {
		case g.Verdict == Suppressed:
			bar.Note, bar.Missing = "", "suppressed: "+orDefault(g.Withheld, "too few people to show")
		case g.Reference:
			bar.Color = pdf.Muted
		}
		if g.RatioCI != nil {
			bar.Lo, bar.Hi = g.RatioCI[0], g.RatioCI[1]
		}
		if bar.Missing == "" && !g.Reference && (lowestGroup == "" || g.Ratio < lowest) {
			lowest, lowestGroup = g.Ratio, g.Group
		}
		c.Bars = append(c.Bars, bar)
	}
	if lowestGroup != "" {
		c.Desc = fmt.Sprintf("The lowest ratio is %s, in group %s.", number(lowest, 3), lowestGroup)
	}
	return c.Draw()
}

func (b *builder) workers(caption string, items []Worker) {
	t := &pdf.Table{Caption: caption, Columns: []pdf.Column{{Title: "Person or account"}, {Title: "Role"}, {Title: "Line", NoWrap: true}, {Title: "Contribution"}, {Title: "Evidence", Align: pdf.Right}}}
	for _, w := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: w.Name, Bold: true}, {Text: w.Role}, {Text: w.Line}, {Text: w.Contribution}, evidence(w.Sources)}})
	}
	b.add(t)
}

func (b *builder) findings(items []Finding) {
	t := &pdf.Table{Caption: "Findings", Empty: "No finding is recorded in the log.", Columns: []pdf.Column{{Title: "Finding", NoWrap: true}, {Title: "Severity"}, {Title: "What"}, {Title: "Owner"}, {Title: "Due", NoWrap: true}, {Title: "State"}, {Title: "Evidence", Align: pdf.Right}}}
	for _, f := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: f.ID, Bold: true}, {Text: f.Severity}, {Text: f.Title}, {Text: f.Owner}, {Text: date(f.Due)}, {Text: f.State}, evidence(f.Sources)}})
	}
	b.add(t)
}
