package pdf

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// testTime is the as-of time of every document in these tests.
var testTime = time.Date(2026, 11, 20, 14, 12, 0, 0, time.UTC)

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func sampleSources(n int) []Source {
	out := make([]Source, n)
	for i := range out {
		out[i] = Source{Index: int64(i), Kind: "evaluation", PAEDigest: strings.Repeat(fmt.Sprintf("%02x", i), 32), Signer: "Tomasz Zieliński, validator", Logged: testTime}
	}
	return out
}

func sampleGraph() *LineageGraph {
	g := &LineageGraph{Title: "Lineage of version 2", Desc: "From two sources to one deployment."}
	add := func(id string, k NodeKind, caption, title string) {
		g.Nodes = append(g.Nodes, GraphNode{ID: id, Kind: k, Caption: caption, Title: title})
	}
	add("src", DataNode, "Source", "HMDA Boston 1990")
	add("val", WorkNode, "Validation · entry 4", "0 failures, 2 warnings")
	add("feat", DataNode, "Feature set", "applicant v1")
	add("train", DataNode, "Split", "train, seed 20260701")
	add("test", DataNode, "Split", "held out")
	add("run1", WorkNode, "Training run", "logistic regression")
	add("run2", WorkNode, "Training run", "gradient-boosted trees")
	add("m1", ModelNode, "Model version", "1.0.0")
	add("m2", ModelNode, "Model version", "2.0.0")
	add("ev1", WorkNode, "Evaluation", "AUC 0.8306")
	add("ev2", WorkNode, "Evaluation", "AUC 0.8412")
	add("dec", PersonNode, "Decision", "R. Okafor approved")
	add("dep", WorkNode, "Deployment", "production")
	g.Nodes[8].Focus, g.Nodes[1].Warning = true, true
	for _, e := range [][2]string{{"src", "val"}, {"src", "feat"}, {"val", "feat"}, {"feat", "train"}, {"feat", "test"}, {"train", "run1"},
		{"train", "run2"}, {"run1", "m1"}, {"run2", "m2"}, {"m1", "ev1"}, {"m2", "ev2"}, {"test", "ev1"}, {"test", "ev2"}, {"ev2", "dec"}, {"ev1", "dec"}, {"dec", "dep"}, {"m2", "dep"}} {
		g.Edges = append(g.Edges, GraphEdge{From: e[0], To: e[1], Governs: e[0] == "dec" || e[1] == "dec"})
	}
	return g
}

func sampleCharts(t *testing.T) []*Drawing {
	t.Helper()
	var roc, eHarm, eSafe, cal []Point
	var ci [][2]float64
	for i := 0; i <= 50; i++ {
		x := float64(i) / 50
		roc = append(roc, Point{x, math.Pow(x, 0.3)})
	}
	for i := 0; i < 3000; i++ {
		x := float64(i)
		eHarm = append(eHarm, Point{x, math.Exp(0.5*math.Sin(x/90) - x/900)})
		eSafe = append(eSafe, Point{x, math.Exp(x/800 + 0.3*math.Sin(x/70))})
	}
	for i := 0; i < 10; i++ {
		x := float64(i)/10 + 0.05
		cal = append(cal, Point{x, x*0.95 + 0.01})
		ci = append(ci, [2]float64{x*0.95 - 0.05, x*0.95 + 0.07})
	}
	draw := must[*Drawing](t)
	r := draw((&LineChart{Title: "ROC curve", Desc: "Area 0.83.", X: Axis{Label: "False positive rate", Max: 1}, Y: Axis{Label: "True positive rate", Max: 1},
		Series: []Series{{Points: roc}}, Diagonal: true, Width: 235, Height: 220}).Draw())
	c := draw((&LineChart{Title: "Calibration", Desc: "Close to the diagonal.", X: Axis{Label: "Predicted probability", Max: 1}, Y: Axis{Label: "Observed rate", Max: 1},
		Series: []Series{{Points: cal, Markers: true, Intervals: ci}}, Diagonal: true, Width: 235, Height: 220}).Draw())
	e := draw((&LineChart{Title: "Canary", Desc: "Neither limit crossed.", X: Axis{Label: "Simulated requests"}, Y: Axis{Label: "Evidence (e-value)", Log: true},
		Series: []Series{{Name: "of harm", Points: eHarm}, {Name: "of safety", Points: eSafe}},
		Limits: []Limit{{Y: 300, Label: "roll back at 300", Color: Bad}, {Y: 20, Label: "promote at 20", Color: OK}}}).Draw())
	b := draw((&BarChart{Title: "Impact ratio", Desc: "Lowest 0.63.", X: Axis{Label: "Impact ratio"}, Reference: 0.8, ReferenceLabel: "four-fifths 0.80",
		Bars: []Bar{{Label: "White", Note: "n = 2,041", Value: 1}, {Label: "Black", Note: "n = 339", Value: 0.79, Lo: 0.74, Hi: 0.85, Color: Series2}, {Label: "Other", Missing: "suppressed: n < 10"}}}).Draw())
	return []*Drawing{Beside(r, c, 17), e, b, draw(sampleGraph().Draw())}
}

// sampleDocument has every kind of block.
func sampleDocument(t *testing.T) *Document {
	t.Helper()
	charts := sampleCharts(t)
	d := &Document{
		Meta: Meta{Kind: "Validation report", Title: "boston-mortgage-denial 2.0.0", Subtitle: "Probability that an application for a mortgage is denied",
			Organisation: "Example Bank", Project: "lending", AsOf: testTime, LogOrigin: "affidavit-1a2b3c4d.local", TreeSize: 120, RootHash: strings.Repeat("ab", 32)},
		Front: []Block{
			&KeyValues{Items: []KeyValue{{Key: "Artefact", Value: strings.Repeat("9c41e07b", 8), Mono: true, Cites: Cites{3}}, {Key: "Owner", Value: "Daniel Weiss", Cites: Cites{1, 2}},
				{Key: "Risk tier"}, {Key: "State", Value: "Approved", Status: StatusOK, Cites: Cites{7}}}},
			&Callout{Status: StatusWarn, Title: "Conditionally approved", Text: "Usage limit of 500 decisions a month until the finding F-12 is closed.", Cites: Cites{5}},
		},
		Sources: sampleSources(40), SignatureFields: 2,
		Attachments: []Attachment{{Name: "figures.json", MIME: "application/json", Description: "The figures as data", Data: []byte(`{"auc":0.83}`)}},
	}
	add := func(b ...Block) { d.Body = append(d.Body, b...) }
	add(&Heading{1, "Conceptual soundness"}, &Statement{Text: strings.Repeat("The form of the model suits its purpose. ", 12), Cites: Cites{4, 5, 6}}, &Statement{},
		&Heading{2, "Assumptions"}, &Bullets{Items: []Statement{{Text: "Applicants are independent.", Cites: Cites{4}}, {Text: strings.Repeat("A claim without a source. ", 9)}}},
		&Callout{Status: StatusBad, Title: "Refused", Text: "The engineer may not approve own model."}, &Callout{Status: StatusOK, Title: "Met"}, &Callout{Status: StatusInfo, Text: "Definition."},
		&Figure{Caption: "ROC and calibration", Drawing: charts[0], Cites: Cites{9}}, &Figure{Caption: "Canary", Drawing: charts[1], Cites: Cites{9}}, &Figure{Caption: "Rates", Drawing: charts[2], Cites: Cites{9}})
	table := &Table{Caption: "Selection rates", Cites: Cites{11}, Note: "Intervals at 95 %.", Columns: []Column{{Title: "Group"}, {Title: "n", Align: Right}, {Title: "Rate", Align: Right}, {Title: "95 % interval", Align: Right}, {Title: "Verdict"}, {Title: "Evidence", Align: Right}}}
	table.Rows = append(table.Rows, Row{Group: true, Cells: []Cell{{Text: "Race"}}})
	for i := range 60 {
		table.Rows = append(table.Rows, Row{Cells: []Cell{{Text: fmt.Sprintf("Group %d", i)}, {Text: fmt.Sprint(1000 + i*37)}, {Text: fmt.Sprintf("%.4f", 0.2+float64(i)/100)},
			{Text: "0.1834 to 0.2215"}, {Text: []string{"Met", "Watch", "Not met", "Waiting"}[i%4], Status: []Status{StatusOK, StatusWarn, StatusBad, StatusWaiting}[i%4]}, {Cites: Cites{int64(i % 40), 3}, Evidence: true}}})
	}
	add(&Heading{1, "Outcomes"}, table, &Table{Caption: "Empty", Columns: []Column{{Title: "x"}}}, &Heading{2, "Commands"}, &Heading{3, "To type"}, &Code{Lines: []string{"pdfsig documents/model-card.pdf", "cosign verify-blob-attestation --bundle b.json \\", "    --key keys/engineer.pub --type https://example.org/predicates/evaluation/v1 artefact.onnx"}},
		&Heading{1, "Lineage"}, &Figure{Caption: "Lineage", Drawing: charts[3], Cites: Cites{12}}, &Prose{Text: "日本 \u202egnp.exe \x07 \U0001F600 and a tab\there.", Muted: true})
	return d
}
