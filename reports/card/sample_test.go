package card

import (
	"fmt"
	"math"
	"strings"
	"time"

	"affidavit/reports/pdf"
)

var asOf = time.Date(2026, 11, 20, 14, 12, 0, 0, time.UTC)

// hexDigest is a stand-in for a SHA-256: 64 hexadecimal digits that depend on the seed.
func hexDigest(seed int) string {
	var b strings.Builder
	for i := range 64 {
		fmt.Fprintf(&b, "%x", (seed*7+i*i*3+i)%16)
	}
	return b.String()
}

func sampleMeta() pdf.Meta {
	return pdf.Meta{Subtitle: "Probability that an application for a home mortgage is denied", Organisation: "Example Savings Bank", Project: "lending",
		AsOf: asOf, LogOrigin: "affidavit-1a2b3c4d.local", TreeSize: 92, RootHash: hexDigest(99)}
}

var entryKinds = []string{"data version", "validation of data", "feature set", "training run", "evaluation", "registration", "promotion request", "acceptance", "decision", "gate verdict", "deployment", "canary verdict"}

func sampleSources() []pdf.Source {
	signers := []string{"Priya Raman, engineer", "trainer, service account", "Daniel Weiss, model owner", "Tomasz Zieliński, validator", "Renée Okafor, risk officer", "gate, service account"}
	out := make([]pdf.Source, 60)
	for i := range out {
		out[i] = pdf.Source{Index: int64(i), Kind: entryKinds[i%len(entryKinds)], PAEDigest: hexDigest(i), Signer: signers[i%len(signers)], Logged: asOf.Add(time.Duration(i-70) * time.Minute)}
	}
	return out
}

func ci(lo, hi float64) *[2]float64 { return &[2]float64{lo, hi} }

func ptr(v float64) *float64 { return &v }

func said(text string, sources ...int64) Stated { return Stated{Text: text, Sources: sources} }

func sampleROC() *Curve {
	c := &Curve{AUC: 0.8306, Sources: []int64{24}}
	for i := range 101 {
		x := float64(i) / 100
		c.Points = append(c.Points, pdf.Point{X: x, Y: math.Pow(x, 0.2)})
	}
	return c
}

func sampleCalibration() *Calibration {
	c := &Calibration{Sources: []int64{24}}
	for i, obs := range []float64{.021, .049, .071, .118, .139, .22, .31, .52, .78} {
		p := []float64{.02, .04, .07, .1, .15, .21, .33, .55, .81}[i]
		c.Bins = append(c.Bins, CalibrationBin{Predicted: p, Observed: obs, Lo: math.Max(0, obs-0.03-0.1*p), Hi: math.Min(1, obs+0.04+0.1*p), N: int64(90 - i*5)})
	}
	return c
}

func sampleFairness() []FairnessTable {
	return []FairnessTable{
		{Attribute: "race", Favourable: "application not predicted to be denied", Sources: []int64{26}, Note: "Result: not met if the upper end of the interval of the impact ratio is below 0.80, watch if only the ratio is; insufficient data below 30 people, suppressed below 10. The four-fifths rule is an internal rule here.",
			Groups: []GroupRate{
				{Group: "Not African American", N: 614, Selected: 571, Rate: .930, RateCI: ci(.907, .948), Ratio: 1, TPR: ptr(.412), FPR: ptr(.031), Verdict: Reference, Reference: true},
				{Group: "African American", N: 100, Selected: 72, Rate: .720, RateCI: ci(.625, .799), Ratio: .774, RatioCI: ci(.684, .876), TPR: ptr(.571), FPR: ptr(.139), Verdict: Watch},
				{Group: "Recorded as unknown", Verdict: Suppressed, Withheld: "fewer than 10 rows"},
			},
			Measures: []Measure{
				{Name: "Demographic parity difference", Value: .210, Interval: ci(.125, .306), N: 714, Digits: 3, Method: "Newcombe", Sources: []int64{26}},
				{Name: "Equalised odds difference", Value: .159, Interval: ci(.021, .31), N: 714, Digits: 3, Method: "stratified bootstrap", Sources: []int64{26}},
			}},
		{Attribute: "marital status", Favourable: "application not predicted to be denied", Sources: []int64{26}, Groups: []GroupRate{
			{Group: "Married", N: 434, Selected: 399, Rate: .919, RateCI: ci(.890, .941), Ratio: 1, Verdict: Reference, Reference: true},
			{Group: "Single", N: 280, Selected: 244, Rate: .871, RateCI: ci(.827, .906), Ratio: .948, RatioCI: ci(.902, .996), Verdict: Met},
		}},
	}
}

func sampleData(use string, rows int64) Dataset {
	return Dataset{Name: "hmda-boston", Version: "1990.1", Rows: rows, Digest: hexDigest(3), Origin: "Federal Reserve Bank of Boston, 1990 (Munnell et al.), as shipped by the R package AER", Licence: "public", Use: use,
		Motivation: said("The only public mortgage data with credit history and outcome for each applicant.", 2), Preprocessing: said("Credit-history classes one-hot encoded; ratios above their 99.5th percentile capped; fitted on the training split only.", 14), Sources: []int64{0, 12}}
}

func sampleModelCard() ModelCard {
	return ModelCard{
		Model: "boston-mortgage-denial", Version: "2.0.0",
		Approval: Approval{State: "conditionally approved", Words: "Usage limit of 500 decisions a month until finding F-2 is closed. The approval ends on 2027-05-20.", Sources: []int64{32}},
		Summary:  said("Gradient-boosted trees that estimate the probability that a mortgage application is denied, to support review of denials.", 29),
		Details: []Fact{
			{Name: "Model owner", Value: "Daniel Weiss", Sources: []int64{5}}, {Name: "Developer", Value: "Priya Raman", Sources: []int64{15}}, {Name: "Risk tier", Value: "high: exposure high, purpose credit decision", Sources: []int64{5}},
			{Name: "Algorithm", Value: "Histogram gradient-boosted trees, 120 trees of depth 3, learning rate 0.08, seed 20260701", Sources: []int64{15}},
			{Name: "Format", Value: "ONNX, ai.onnx.ml opset 3", Sources: []int64{17}}, {Name: "Artefact (SHA-256)", Value: hexDigest(1), Mono: true, Sources: []int64{17}}, {Name: "Signed manifest root", Value: hexDigest(2), Mono: true, Sources: []int64{17, 18}},
			{Name: "Licence", Value: ""}, {Name: "Contact", Value: "model-risk@example-bank.test", Sources: []int64{5}},
		},
		Inputs: []Feature{
			{"pirat", "payments to income", "numeric, fraction", "input", []int64{14}}, {"lvrat", "loan to value", "numeric, fraction", "input", []int64{14}}, {"chist", "consumer credit-history class", "categorical, 1 to 6", "input", []int64{14}},
			{"phist", "public bad credit record", "yes or no", "input", []int64{14}}, {"insurance", "mortgage insurance was denied", "yes or no", "excluded", []int64{14}},
			{"afam", "African American", "yes or no", "protected, evaluation only", []int64{14}}, {"single", "marital status", "yes or no", "protected, evaluation only", []int64{14}}, {"deny", "application was denied", "yes or no", "label", []int64{14}},
		},
		IntendedUse: said("Second look at applications that a loan officer would deny. A person decides; the score alone never denies.", 5), IntendedUsers: said("Loan officers and fair-lending analysts of the bank.", 5),
		ProhibitedUse:   []Stated{said("Denying an application without review by a person.", 5), said("Pricing, limits, or any product other than home mortgages.", 5)},
		RelevantFactors: []Stated{said("Race and marital status of the applicant, carried for evaluation only.", 14)}, EvaluationFactors: []Stated{said("Race, marital status, and the two together where groups are large enough.", 26)},
		MetricChoice: []Stated{said("AUC, because the score orders applications for review.", 24), said("Calibration, because reviewers read the score as a probability.", 24)}, Threshold: said("0.35, chosen on the validation split for the policy's flag rate.", 24), Uncertainty: said("95 % intervals: DeLong for AUC, Newcombe for differences, bootstrap with 2,000 draws and a recorded seed otherwise.", 24),
		EvaluationData: []Dataset{sampleData("held-out split, 30 % of rows, seed 20260701", 714)}, TrainingData: []Dataset{sampleData("training split, 70 % of rows, seed 20260701", 1666)},
		Overall: []Measure{
			{Name: "AUC", Value: .8306, Interval: ci(.7911, .8702), N: 714, Method: "DeLong", Limit: "at least 0.780", Status: Met, Sources: []int64{24}},
			{Name: "Brier score", Value: .0874, Interval: ci(.0741, .1012), N: 714, Method: "bootstrap", Sources: []int64{24}},
			{Name: "Calibration slope", Value: .974, Interval: ci(.81, 1.14), N: 714, Digits: 3, Method: "logistic recalibration", Limit: "0.80 to 1.20", Status: Met, Sources: []int64{24}},
			{Name: "Calibration intercept", Value: -.0412, Interval: ci(-.21, .13), N: 714, Method: "logistic recalibration"},
		},
		ROC: sampleROC(), Calibration: sampleCalibration(), Fairness: sampleFairness(),
		Robustness:      []Measure{{Name: "Flip rate at noise of 0.05 standard deviations", Value: .013, Interval: ci(.006, .024), N: 714, Digits: 3, Method: "Wilson", Limit: "below 0.050", Status: Met, Sources: []int64{27}}},
		Ethical:         []Stated{said("The label is a decision that people took in 1990: a model of it repeats how they decided.", 5), said("Race and marital status are not inputs; gate condition no_prohibited_basis holds the version to that.", 33)},
		Caveats:         []Stated{said("There is no reject inference: nobody observed whether denied applicants would have repaid.", 5), said("The data are from one metropolitan area in one year.", 5)},
		Recommendations: []Stated{said("Search for a less discriminatory alternative before the usage limit is lifted.", 31), {Text: "Review the threshold each quarter."}},
		Sources:         sampleSources(),
	}
}

func sampleValidation() ValidationReport {
	card := sampleModelCard()
	return ValidationReport{
		Model: card.Model, Version: card.Version, Baseline: "version 1.0.0",
		Scope:        []Fact{{Name: "Validator", Value: "Tomasz Zieliński, 2nd line", Sources: []int64{31}}, {Name: "Risk tier", Value: "high", Sources: []int64{5}}, {Name: "Artefact (SHA-256)", Value: hexDigest(1), Mono: true, Sources: []int64{17}}, {Name: "Next validation due", Value: "2027-11-20", Sources: []int64{31}}},
		Conclusion:   Approval{State: "conditionally approved", Words: "The version is fit for its intended use within the conditions below.", Sources: []int64{31}},
		Conditions:   []Stated{said("No more than 500 decisions a month.", 31), said("Finding F-2 closed before the limit is lifted.", 31)},
		Contributors: []Worker{{"Priya Raman", "engineer", "1st line", "configured the pipeline, registered and asked", []int64{14, 17, 30}}, {"trainer (owner: Priya Raman)", "service account", "machine", "ran the training", []int64{15}}},
		Validators:   []Worker{{"Tomasz Zieliński", "validator", "2nd line", "evaluated on held-out rows, wrote findings, decided", []int64{24, 26, 31}}},
		Independence: Check{Name: "No validator is a contributor", Verdict: Met, Words: "None of the validators is among the 2 people and accounts upstream of the version.", Sources: []int64{31, 33}},
		ConceptualSoundness: []Topic{{"Purpose and theory", []Stated{said("Denial depends on ability to pay and on credit history; trees of depth 3 allow the interactions that underwriters name.", 31)}},
			{"Assumptions", []Stated{said("Applications are independent given the inputs.", 31), said("The 1990 market resembles the market of use: not supported by the data.", 31)}}, {"Alternatives considered", nil}},
		Data: card.EvaluationData, DataChecks: []Check{{"No missing label", Met, "0 of 2,380 rows", []int64{1}}, {"Ratios within 0 and 3", Watch, "4 rows above 3, capped", []int64{1}}},
		Outcomes: card.Overall, ROC: card.ROC, Calibration: card.Calibration,
		Benchmarks: []Comparison{{Name: "AUC", Version: Measure{Value: .8306, Interval: ci(.7911, .8702)}, Baseline: Measure{Value: .8177, Interval: ci(.7765, .8590)}, Words: "better by 0.0129; the intervals overlap", Sources: []int64{24, 20}}},
		Fairness:   card.Fairness, FairnessNotes: []Stated{said("A logistic model recovers race from the inputs with AUC 0.68: a proxy is present, finding F-2.", 28)},
		RobustnessMetric: "AUC", Robustness: []RobustnessTest{{"Noise", "0.01 σ", .003, ci(.001, .010), .0001, ci(-.0004, .0009), "below 0.050", Met, []int64{27}}, {"Noise", "0.10 σ", .031, ci(.020, .046), .0021, ci(.0003, .0044), "below 0.050", Met, []int64{27}},
			{"Missing values", "20 %", .064, ci(.048, .084), .0187, ci(.0102, .0283), "below 0.050", NotMet, []int64{27}}},
		Monitoring: []MonitoringItem{{"Input drift", "PSI and Jensen-Shannon, 20 bins", "PSI 0.1 and q below 0.01", "each 5,000 requests", "alert; retrain after two windows in a row", "Priya Raman", []int64{21}}, {"Performance", "AUC on outcomes", "0.78", "monthly", "finding to the owner", "Daniel Weiss", []int64{21}}},
		Limits:     card.Caveats, Findings: []Finding{{"F-1", "low", "Robustness to 20 % missing values is above its limit", "Priya Raman", asOf.AddDate(0, 2, 0), "open", []int64{31}}, {"F-2", "high", "Inputs act as a proxy for race", "Daniel Weiss", asOf.AddDate(0, 6, 0), "remediation", []int64{31}}},
		Sources: sampleSources(),
	}
}

func samplePromotion() PromotionRecord {
	r := PromotionRecord{
		Model: "boston-mortgage-denial", Version: "2.0.0", Stage: "production",
		Request: Request{By: "Priya Raman, engineer", Reason: "Drift in payments to income after October; the challenger recovers the loss.", When: asOf.Add(-50 * time.Minute), Expires: asOf.AddDate(0, 0, 14), Artefact: hexDigest(1), Policy: "lending-high 3", PolicyDigest: hexDigest(4), EvidenceDigest: hexDigest(5), Nonce: hexDigest(6)[:32], Sources: []int64{30}},
		Quorum:  []QuorumNeed{{"model owner", 1, 1, Met, "first-line acceptance by someone outside the lineage", []int64{31}}, {"validator", 1, 1, Met, "independent validation", []int64{32}}, {"risk officer", 1, 1, Met, "second-line decision", []int64{34}}},
		Decisions: []Decision{
			{"Daniel Weiss", "model owner", "approved", "The intended use is unchanged.", nil, asOf.Add(-40 * time.Minute), hexDigest(11), []int64{31}},
			{"Tomasz Zieliński", "validator", "conditionally approved", "Sound; F-1 and F-2 remain open.", []string{"no more than 500 decisions a month."}, asOf.Add(-30 * time.Minute), hexDigest(12), []int64{32}},
			{"Renée Okafor", "risk officer", "conditionally approved", "Within appetite under the validator's conditions.", nil, asOf.Add(-20 * time.Minute), hexDigest(13), []int64{34}}},
		Conditions: []Check{{"discrimination", Met, "AUC 0.8306 is at least 0.780", []int64{24}}, {"no_prohibited_basis", Met, "neither afam nor single is an input of the version", []int64{14, 26}}, {"impact_ratio", Waived, "0.774 for African American applicants, upper limit 0.876; waived until 2027-05-20 with review of each denial", []int64{26, 33}}, {"quorum", Met, "3 of 3 decisions by 3 different people, none of whom worked on the version", []int64{31, 32, 34}}},
		Refused:    []RefusedAttempt{{Who: "Priya Raman", Role: "engineer", Tried: "to approve boston-mortgage-denial 2.0.0 for production", Reason: "She configured the pipeline and owns the trainer's account: a contributor may not decide.", Code: "duty_conflict", When: asOf.Add(-45 * time.Minute), Sources: []int64{14, 15}}, {Who: "Daniel Weiss", Role: "model owner", Tried: "to give the second-line decision", Reason: "The role model owner has no permission for it.", Code: "forbidden", When: asOf.Add(-41 * time.Minute)}},
		Gate:       GateVerdict{Passed: true, Words: "All 4 conditions are met or waived, and the quorum is complete.", When: asOf, Sources: []int64{35}},
		Deployed:   []DeploymentEvent{{"mortgage", "deploy", "challenger", "2.0.0", .1, hexDigest(1), asOf, []int64{36}}, {"mortgage", "promote", "champion", "2.0.0", 1, hexDigest(1), asOf.Add(time.Minute), []int64{38}}, {"mortgage", "retire", "champion", "1.0.0", 0, hexDigest(7), asOf.Add(time.Minute), []int64{38}}},
		Life:       []Event{{asOf.Add(-70 * time.Minute), "Data version hmda-boston 1990.1 registered", "Priya Raman", []int64{0}}, {asOf.Add(-50 * time.Minute), "Promotion to production asked", "Priya Raman", []int64{30}}},
		Sources:    sampleSources(),
		Verify:     DefaultVerification("pack.zip", "trusted_root.json", "documents/promotion-record.pdf", "bundles/000035.sigstore.json", "keys/gate.pub", "https://slsa.dev/verification_summary/v1", hexDigest(1)),
	}
	c := &Canary{Champion: "1.0.0", Challenger: "2.0.0", Requests: 20000, Weight: .1, Alpha: .01, Beta: .05, HarmLimit: 300, SafeLimit: 20, Verdict: "promote", Words: "No guardrail shows harm and all three show safety after 17,400 simulated requests.", Sources: []int64{37}}
	for i, name := range []string{"errors", "latency", "flag rate"} {
		g := Guardrail{Name: name, Events: int64(1200 + 300*i), CanaryEvents: int64(118 + 31*i), RollbackOnly: i == 0, EHarm: .02 * float64(i+1), ESafe: 24 + 31*float64(i)}
		for k := range 200 {
			x := float64(k) * 100
			g.Harm = append(g.Harm, pdf.Point{X: x, Y: math.Pow(g.EHarm, x/20000) * math.Exp(.3*math.Sin(x/900+float64(i)))})
			g.Safe = append(g.Safe, pdf.Point{X: x, Y: math.Pow(g.ESafe, x/20000) * math.Exp(.2*math.Sin(x/1100+float64(i)))})
		}
		c.Guardrails = append(c.Guardrails, g)
	}
	r.Canary = c
	r.Lineage, r.LineageItems = sampleLineage()
	return r
}

func sampleLineage() (*pdf.LineageGraph, []LineageItem) {
	g := &pdf.LineageGraph{Title: "Lineage of boston-mortgage-denial 2.0.0", Desc: "From one data version to one endpoint."}
	var items []LineageItem
	for i, n := range []struct {
		id    string
		kind  pdf.NodeKind
		words [2]string
		from  string
	}{
		{"data", pdf.DataNode, [2]string{"Data version", "hmda-boston 1990.1"}, ""}, {"check", pdf.WorkNode, [2]string{"Validation of data", "0 failures, 1 watch"}, "data"},
		{"feat", pdf.DataNode, [2]string{"Feature set", "applicant 1"}, "data check"}, {"cfg", pdf.WorkNode, [2]string{"Pipeline configuration", "by Priya Raman"}, ""},
		{"run1", pdf.WorkNode, [2]string{"Training run", "logistic regression"}, "feat cfg"}, {"run2", pdf.WorkNode, [2]string{"Training run", "boosted trees"}, "feat cfg trig"},
		{"m1", pdf.ModelNode, [2]string{"Model version", "1.0.0"}, "run1"}, {"m2", pdf.ModelNode, [2]string{"Model version", "2.0.0"}, "run2"},
		{"ev2", pdf.WorkNode, [2]string{"Evaluation", "AUC 0.8306"}, "m2 feat"}, {"rob", pdf.WorkNode, [2]string{"Robustness", "one limit crossed"}, "m2"}, {"fair", pdf.WorkNode, [2]string{"Fairness", "lowest ratio 0.774"}, "m2"},
		{"dep1", pdf.WorkNode, [2]string{"Deployment", "mortgage, champion"}, "m1"}, {"mon", pdf.WorkNode, [2]string{"Monitoring window", "drift in pirat"}, "dep1"}, {"trig", pdf.WorkNode, [2]string{"Retrain trigger", "two windows in a row"}, "mon"},
		{"req", pdf.PersonNode, [2]string{"Promotion request", "Priya Raman"}, "m2 ev2"}, {"d1", pdf.PersonNode, [2]string{"Acceptance", "Daniel Weiss"}, "req"}, {"d2", pdf.PersonNode, [2]string{"Decision", "Tomasz Zieliński"}, "req rob fair"}, {"d3", pdf.PersonNode, [2]string{"Decision", "Renée Okafor"}, "req"},
		{"gate", pdf.WorkNode, [2]string{"Gate verdict", "passed"}, "d1 d2 d3"}, {"dep2", pdf.WorkNode, [2]string{"Deployment", "mortgage, challenger"}, "gate m2"}, {"can", pdf.WorkNode, [2]string{"Canary verdict", "promote"}, "dep2"},
	} {
		g.Nodes = append(g.Nodes, pdf.GraphNode{ID: n.id, Kind: n.kind, Caption: n.words[0] + fmt.Sprintf(" · entry %d", i+10), Title: n.words[1], Focus: n.id == "m2", Warning: n.id == "rob" || n.id == "mon"})
		for _, f := range strings.Fields(n.from) {
			g.Edges = append(g.Edges, pdf.GraphEdge{From: f, To: n.id, Governs: n.kind == pdf.PersonNode || n.id == "gate" || n.id == "trig"})
		}
		items = append(items, LineageItem{Kind: n.words[0], Item: n.words[1], Detail: "as attested", Digest: hexDigest(i), Sources: []int64{int64(i + 10)}})
	}
	return g, items
}
