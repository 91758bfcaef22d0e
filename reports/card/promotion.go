package card

import (
	"fmt"
	"math"
	"strings"
	"time"

	"affidavit/reports/pdf"
)

// Request is the promotion request that everyone decided on.
type Request struct {
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	When    time.Time `json:"when"`
	Expires time.Time `json:"expires"`
	// The digests bind each decision to exactly this version, policy and evidence (SHA-256, hexadecimal).
	Artefact       string  `json:"artefact"`
	Policy         string  `json:"policy"` // name and version
	PolicyDigest   string  `json:"policyDigest"`
	EvidenceDigest string  `json:"evidenceDigest"`
	Nonce          string  `json:"nonce"`
	Sources        []int64 `json:"sources,omitempty"`
}

// QuorumNeed is one line of what the policy asks for.
type QuorumNeed struct {
	Role    string  `json:"role"`
	Needed  int     `json:"needed"`
	Given   int     `json:"given"`
	Verdict Verdict `json:"verdict"`
	Words   string  `json:"words"`
	Sources []int64 `json:"sources,omitempty"`
}

// Decision is one person's signed decision.
type Decision struct {
	Signer     string    `json:"signer"`
	Role       string    `json:"role"`
	Outcome    string    `json:"outcome"` // approved, conditionally approved, rejected
	Reason     string    `json:"reason"`
	Conditions []string  `json:"conditions,omitempty"`
	When       time.Time `json:"when"`
	// Key is the fingerprint of the signing key.
	Key     string  `json:"key"`
	Sources []int64 `json:"sources,omitempty"`
}

// RefusedAttempt is something that somebody tried and the rules refused.
type RefusedAttempt struct {
	Who     string    `json:"who"`
	Role    string    `json:"role"`
	Tried   string    `json:"tried"`
	Reason  string    `json:"reason"`
	Code    string    `json:"code"` // stable error code
	When    time.Time `json:"when"`
	Sources []int64   `json:"sources,omitempty"`
}

// GateVerdict is the answer of the deployment gate.
type GateVerdict struct {
	Passed  bool      `json:"passed"`
	Words   string    `json:"words"`
	When    time.Time `json:"when"`
	Sources []int64   `json:"sources,omitempty"`
}

// DeploymentEvent is a change of what an endpoint serves.
type DeploymentEvent struct {
	Endpoint string    `json:"endpoint"`
	Action   string    `json:"action"` // deploy, promote, retire
	Role     string    `json:"role"`   // champion, challenger
	Version  string    `json:"version"`
	Weight   float64   `json:"weight"` // share of traffic, 0 to 1
	Loaded   string    `json:"loaded"` // digest that the runtime reported
	When     time.Time `json:"when"`
	Sources  []int64   `json:"sources,omitempty"`
}

// Guardrail is one thing that the canary watches, with its evidence at the end: e-values, so 1 is none.
type Guardrail struct {
	Name string `json:"name"`
	// Events counts both arms, CanaryEvents the challenger's.
	Events       int64   `json:"events"`
	CanaryEvents int64   `json:"canaryEvents"`
	EHarm        float64 `json:"eHarm"`
	ESafe        float64 `json:"eSafe"`
	// RollbackOnly guardrails can roll back, and promotion does not wait for them.
	RollbackOnly bool `json:"rollbackOnly,omitempty"`
	// Harm and Safe trace the evidence: X is the request count, Y the e-value. They may be empty.
	Harm []pdf.Point `json:"harm,omitempty"`
	Safe []pdf.Point `json:"safe,omitempty"`
}

// Canary is a challenger's trial on simulated requests.
type Canary struct {
	Champion   string  `json:"champion"`
	Challenger string  `json:"challenger"`
	Requests   int64   `json:"requests"`
	Weight     float64 `json:"weight"`
	// Alpha and Beta are the error rates; HarmLimit and SafeLimit the e-values that decide.
	Alpha      float64     `json:"alpha"`
	Beta       float64     `json:"beta"`
	HarmLimit  float64     `json:"harmLimit"`
	SafeLimit  float64     `json:"safeLimit"`
	Verdict    string      `json:"verdict"` // promote, rollback, inconclusive, continue
	Words      string      `json:"words"`
	Guardrails []Guardrail `json:"guardrails"`
	Sources    []int64     `json:"sources,omitempty"`
}

// Event is a line of the version's life.
type Event struct {
	When    time.Time `json:"when"`
	What    string    `json:"what"`
	Who     string    `json:"who"`
	Sources []int64   `json:"sources,omitempty"`
}

// LineageItem is a row of the lineage table: the graph's items as a list.
type LineageItem struct {
	Kind    string  `json:"kind"`
	Item    string  `json:"item"`
	Detail  string  `json:"detail"`
	Digest  string  `json:"digest,omitempty"`
	Sources []int64 `json:"sources,omitempty"`
}

// Command is a command for the reader, one or more lines as typed.
type Command struct {
	What  string   `json:"what"`
	Lines []string `json:"lines"`
}

// PromotionRecord is the input of RenderPromotionRecord.
type PromotionRecord struct {
	Model   string `json:"model"`
	Version string `json:"version"`
	Stage   string `json:"stage"`

	Request    Request           `json:"request"`
	Quorum     []QuorumNeed      `json:"quorum"`
	Decisions  []Decision        `json:"decisions"`
	Conditions []Check           `json:"conditions"`
	Refused    []RefusedAttempt  `json:"refused"`
	Gate       GateVerdict       `json:"gate"`
	Deployed   []DeploymentEvent `json:"deployed"`
	Canary     *Canary           `json:"canary,omitempty"`
	Life       []Event           `json:"life,omitempty"`

	Lineage      *pdf.LineageGraph `json:"lineage,omitempty"`
	LineageItems []LineageItem     `json:"lineageItems"`
	// Verify holds the commands for this document's pack; DefaultVerification gives them for given paths.
	Verify []Command `json:"verify"`

	Sources []pdf.Source `json:"sources"`
}

// RenderPromotionRecord gives the record as a PDF with two reserved signature fields.
func RenderPromotionRecord(in PromotionRecord, meta pdf.Meta) ([]byte, error) {
	if in.Model == "" || in.Version == "" || in.Stage == "" {
		return nil, fmt.Errorf("card: the promotion record needs Model, Version and Stage")
	}
	meta.Kind = orDefault(meta.Kind, "Promotion record")
	meta.Title = orDefault(meta.Title, fmt.Sprintf("%s %s to %s", in.Model, in.Version, in.Stage))
	var b builder
	b.request(in.Request)
	b.h1("Decisions and quorum")
	b.quorum(in.Quorum)
	b.decisions(in.Decisions)
	b.h1("Policy conditions")
	b.checks("Conditions of the policy and how the gate found them", in.Conditions)
	b.refused(in.Refused)
	b.h1("Gate verdict")
	b.add(in.Gate.callout())
	b.h1("Deployment")
	b.deployments(in.Deployed)
	if in.Canary != nil {
		if err := b.canary(*in.Canary); err != nil {
			return nil, err
		}
	}
	if len(in.Life) > 0 {
		b.h1("Life of the version")
		b.life(in.Life)
	}
	if err := b.lineage(in.Lineage, in.LineageItems); err != nil {
		return nil, err
	}
	b.verify(in.Verify)
	d := &pdf.Document{Meta: meta, Body: b.blocks, Sources: in.Sources, Front: []pdf.Block{in.Gate.callout(), in.outcome(), reading(meta)}}
	return finish(d, in, "promotion-record.json")
}

func (g GateVerdict) callout() pdf.Block {
	c := &pdf.Callout{Status: pdf.StatusBad, Title: "The gate is closed", Text: g.Words, Cites: g.Sources}
	if g.Passed {
		c.Status, c.Title = pdf.StatusOK, "The gate is open"
	}
	if len(g.Sources) == 0 {
		c.Status, c.Title, c.Text = pdf.StatusWaiting, "No gate verdict", pdf.NoEvidence
	}
	return c
}

// outcome sums the record up on the first page.
func (in PromotionRecord) outcome() pdf.Block {
	met, waived := 0, 0
	for _, c := range in.Conditions {
		switch c.Verdict {
		case Met:
			met++
		case Waived:
			waived++
		}
	}
	conditions := fmt.Sprintf("%d of %d met", met, len(in.Conditions))
	if waived > 0 {
		conditions += fmt.Sprintf(", %d waived", waived)
	}
	kv := &pdf.KeyValues{Items: []pdf.KeyValue{
		{Key: "Version", Value: in.Model + " " + in.Version, Cites: in.Request.Sources},
		{Key: "Stage asked for", Value: in.Stage, Cites: in.Request.Sources},
		{Key: "Asked by", Value: in.Request.By, Cites: in.Request.Sources},
		{Key: "Policy", Value: in.Request.Policy, Cites: in.Request.Sources},
		{Key: "Conditions", Value: conditions, Cites: in.Gate.Sources},
		{Key: "Decisions", Value: fmt.Sprintf("%d signed, %d attempts refused", len(in.Decisions), len(in.Refused)), Prose: true},
	}}
	if in.Canary != nil {
		_, words := in.Canary.verdict()
		kv.Items = append(kv.Items, pdf.KeyValue{Key: "Canary", Value: fmt.Sprintf("%s; on %s simulated requests", words, whole(in.Canary.Requests)), Cites: in.Canary.Sources})
	}
	return kv
}

func (b *builder) request(r Request) {
	b.h1("Request")
	b.state(Stated{Text: r.Reason, Sources: r.Sources})
	b.add(&pdf.KeyValues{Items: []pdf.KeyValue{
		{Key: "Asked by", Value: r.By, Cites: r.Sources},
		{Key: "Asked at (UTC)", Value: stamp(r.When), Cites: r.Sources},
		{Key: "Ends at (UTC)", Value: stamp(r.Expires), Cites: r.Sources},
		{Key: "Artefact (SHA-256)", Value: r.Artefact, Mono: true, Cites: r.Sources},
		{Key: "Policy", Value: r.Policy, Cites: r.Sources},
		{Key: "Policy (SHA-256)", Value: r.PolicyDigest, Mono: true, Cites: r.Sources},
		{Key: "Evidence set (SHA-256)", Value: r.EvidenceDigest, Mono: true, Cites: r.Sources},
		{Key: "Nonce of the request", Value: r.Nonce, Mono: true, Cites: r.Sources},
	}})
	b.add(&pdf.Prose{Muted: true, Text: "A decision names these digests. If the artefact, the policy or the evidence changes, the decision is void."})
}

func (b *builder) quorum(items []QuorumNeed) {
	t := &pdf.Table{Caption: "Quorum", Columns: []pdf.Column{{Title: "Result", NoWrap: true}, {Title: "Role"}, {Title: "Needed", Align: pdf.Right}, {Title: "Given", Align: pdf.Right}, {Title: "In words"}, {Title: "Evidence", Align: pdf.Right}}}
	for _, q := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{verdictCell(q.Verdict), {Text: q.Role, Bold: true}, {Text: whole(int64(q.Needed))}, {Text: whole(int64(q.Given))}, {Text: q.Words}, evidence(q.Sources)}})
	}
	b.add(t)
}

func (b *builder) decisions(items []Decision) {
	t := &pdf.Table{Caption: "Signed decisions", Columns: []pdf.Column{{Title: "Outcome"}, {Title: "Signer"}, {Title: "Role"}, {Title: "Logged (UTC)"}, {Title: "Reason and conditions"}, {Title: "Key", Mono: true, NoWrap: true}, {Title: "Evidence", Align: pdf.Right}}}
	for _, d := range items {
		reason := d.Reason
		for _, c := range d.Conditions {
			reason += " Condition: " + c
		}
		outcome := pdf.Cell{Text: sentence(d.Outcome), Status: Approval{State: d.Outcome}.status()}
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{outcome, {Text: d.Signer, Bold: true}, {Text: d.Role}, {Text: twoLines(d.When)}, {Text: reason}, {Text: short(d.Key)}, evidence(d.Sources)}})
	}
	b.add(t)
}

// twoLines prints a time that may break between date and clock.
func twoLines(t time.Time) string { return strings.Replace(stamp(t), "\u00a0", " ", 1) }

// short abbreviates a digest to its first 12 and last 6 characters.
func short(digest string) string {
	if len(digest) <= 20 {
		return digest
	}
	return digest[:12] + "…" + digest[len(digest)-6:]
}

func (b *builder) refused(items []RefusedAttempt) {
	b.h1("Refused attempts")
	t := &pdf.Table{Caption: "What was tried and refused", Empty: "No refused attempt is recorded.",
		Note:    "A refused statement is not appended to the log. A row cites the entries by which the rule judged it, where there are any.",
		Columns: []pdf.Column{{Title: "Who"}, {Title: "Role"}, {Title: "Tried"}, {Title: "Refused because"}, {Title: "Code", Mono: true}, {Title: "At (UTC)"}, {Title: "Evidence", Align: pdf.Right}}}
	for _, r := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: r.Who, Bold: true}, {Text: r.Role}, {Text: r.Tried}, {Text: r.Reason}, {Text: r.Code}, {Text: twoLines(r.When)}, evidence(r.Sources)}})
	}
	b.add(t)
}

func (b *builder) deployments(items []DeploymentEvent) {
	t := &pdf.Table{Caption: "Deployments", Columns: []pdf.Column{{Title: "At (UTC)"}, {Title: "Endpoint"}, {Title: "Action"}, {Title: "Version"}, {Title: "As"}, {Title: "Traffic", Align: pdf.Right}, {Title: "Digest loaded", Mono: true, NoWrap: true}, {Title: "Evidence", Align: pdf.Right}}}
	for _, d := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: stamp(d.When)}, {Text: d.Endpoint}, {Text: d.Action}, {Text: d.Version, Bold: true}, {Text: d.Role}, {Text: number(d.Weight*100, 1) + "\u00a0%"}, {Text: short(d.Loaded)}, evidence(d.Sources)}})
	}
	b.add(t)
}

// verdict gives the canary's outcome with its sign and in words.
func (c Canary) verdict() (pdf.Status, string) {
	switch c.Verdict {
	case "promote":
		return pdf.StatusOK, "Promote"
	case "rollback":
		return pdf.StatusBad, "Roll back"
	case "inconclusive":
		return pdf.StatusWarn, "Inconclusive: the champion stays"
	case "":
		return pdf.StatusWaiting, "No verdict recorded"
	}
	return pdf.StatusWaiting, sentence(c.Verdict)
}

func (b *builder) canary(c Canary) error {
	b.h1("Canary")
	status, words := c.verdict()
	b.add(&pdf.Callout{Status: status, Title: words, Text: c.Words, Cites: c.Sources})
	b.state(Stated{Sources: c.Sources, Text: fmt.Sprintf("%s simulated requests were shared between the champion %s and the challenger %s, which received %s %% of them at random. "+
		"They are simulated requests: rows of held-out applicants drawn again under new identifiers, not people who applied.", whole(c.Requests), c.Champion, c.Challenger, number(c.Weight*100, 1))})
	b.prose(fmt.Sprintf("Evidence is an e-value, valid at any time of looking: 1 is none. Any guardrail whose evidence of harm reaches %s rolls the challenger back (error rate %s over all guardrails); "+
		"when every guardrail's evidence of safety reaches %s it may be promoted (error rate %s).", eLimit(c.HarmLimit), number(c.Alpha, 2), eLimit(c.SafeLimit), number(c.Beta, 2)))
	t := &pdf.Table{Caption: "Guardrails at the end, on simulated requests", Cites: c.Sources, Columns: []pdf.Column{{Title: "Guardrail"}, {Title: "Events", Align: pdf.Right}, {Title: "Of the challenger", Align: pdf.Right}, {Title: "Evidence of harm", Align: pdf.Right}, {Title: "Limit", Align: pdf.Right}, {Title: "Evidence of safety", Align: pdf.Right}, {Title: "Limit", Align: pdf.Right}, {Title: "Result"}}}
	for _, g := range c.Guardrails {
		result := pdf.Cell{Text: "Undecided", Status: pdf.StatusWaiting}
		switch {
		case c.HarmLimit > 0 && g.EHarm >= c.HarmLimit:
			result = pdf.Cell{Text: "Harm", Status: pdf.StatusBad}
		case g.RollbackOnly:
			result = pdf.Cell{Text: "No harm; not waited for", Status: pdf.StatusInfo}
		case c.SafeLimit > 0 && g.ESafe >= c.SafeLimit:
			result = pdf.Cell{Text: "Safe", Status: pdf.StatusOK}
		}
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: g.Name, Bold: true}, {Text: whole(g.Events)}, {Text: whole(g.CanaryEvents)}, {Text: eValue(g.EHarm)}, {Text: eLimit(c.HarmLimit)}, {Text: eValue(g.ESafe)}, {Text: eLimit(c.SafeLimit)}, result}})
	}
	b.add(t)
	for _, side := range []struct {
		what  string
		limit pdf.Limit
		of    func(Guardrail) []pdf.Point
	}{
		{"harm", pdf.Limit{Y: c.HarmLimit, Label: "roll back at " + eLimit(c.HarmLimit), Color: pdf.Bad}, func(g Guardrail) []pdf.Point { return g.Harm }},
		{"safety", pdf.Limit{Y: c.SafeLimit, Label: "promote when all reach " + eLimit(c.SafeLimit), Color: pdf.OK}, func(g Guardrail) []pdf.Point { return g.Safe }},
	} {
		if err := b.evidenceChart(c, side.what, side.limit, side.of); err != nil {
			return err
		}
	}
	return nil
}

// Evidence beyond these is drawn at the edge: the decision is at the limits, and a value may fall or rise without bound.
const (
	leastDrawn = 1e-3
	mostDrawn  = 1e6
)

func (b *builder) evidenceChart(c Canary, what string, limit pdf.Limit, of func(Guardrail) []pdf.Point) error {
	chart := &pdf.LineChart{Title: "Evidence of " + what + " during the canary", X: pdf.Axis{Label: "Simulated requests"}, Y: pdf.Axis{Label: "e-value, logarithmic", Log: true}, Limits: []pdf.Limit{limit}, Height: 190}
	highest, edge := 0.0, ""
	for _, g := range c.Guardrails {
		if pts := of(g); len(pts) > 0 {
			drawn := make([]pdf.Point, len(pts))
			for i, p := range pts {
				highest = max(highest, p.Y)
				if p.Y < leastDrawn || p.Y > mostDrawn {
					edge = "; values below 0.001 and above 1,000,000 are drawn at the edge"
				}
				drawn[i] = pdf.Point{X: p.X, Y: min(max(p.Y, leastDrawn), mostDrawn)}
			}
			chart.Series = append(chart.Series, pdf.Series{Name: g.Name, Points: drawn})
		}
	}
	if len(chart.Series) == 0 {
		return nil
	}
	chart.Desc = fmt.Sprintf("The highest value is %s; the limit is %s.", eValue(highest), eLimit(limit.Y))
	d, err := chart.Draw()
	if err != nil {
		return err
	}
	b.add(&pdf.Figure{Caption: fmt.Sprintf("Evidence of %s over %s simulated requests%s", what, whole(c.Requests), edge), Drawing: d, Cites: c.Sources})
	return nil
}

// eValue prints evidence, which ranges over many powers of ten.
func eValue(v float64) string {
	switch {
	case v >= 1e6 || v > 0 && v < 1e-3:
		return fmt.Sprintf("%.1e", v)
	case v >= 100:
		return whole(int64(v))
	case v >= 10:
		return number(v, 1)
	}
	return number(v, 3)
}

// eLimit prints a limit of evidence without decimals that say nothing.
func eLimit(v float64) string {
	if v >= 1 && v == math.Trunc(v) && v < 1e6 {
		return whole(int64(v))
	}
	return eValue(v)
}

func (b *builder) life(items []Event) {
	t := &pdf.Table{Caption: "What happened, in the order of the log", Columns: []pdf.Column{{Title: "Logged (UTC)", NoWrap: true}, {Title: "What"}, {Title: "Who"}, {Title: "Evidence", Align: pdf.Right}}}
	for _, e := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: stamp(e.When)}, {Text: e.What}, {Text: e.Who}, evidence(e.Sources)}})
	}
	b.add(t)
}

func (b *builder) lineage(g *pdf.LineageGraph, items []LineageItem) error {
	b.h1("Lineage")
	var cites []int64
	for _, it := range items {
		cites = union(cites, it.Sources)
	}
	if g != nil {
		d, err := g.Draw()
		if err != nil {
			return err
		}
		b.add(&pdf.Figure{Caption: "Where this version came from, and what rests on it; the entries are in the table", Drawing: d, Cites: firstFew(cites)})
	}
	t := &pdf.Table{Caption: "The same lineage as a list", Columns: []pdf.Column{{Title: "Kind"}, {Title: "Item"}, {Title: "Detail"}, {Title: "Digest", Mono: true, NoWrap: true}, {Title: "Evidence", Align: pdf.Right}}}
	for _, it := range items {
		t.Rows = append(t.Rows, pdf.Row{Cells: []pdf.Cell{{Text: it.Kind}, {Text: it.Item, Bold: true}, {Text: it.Detail}, {Text: short(it.Digest)}, evidence(it.Sources)}})
	}
	b.add(t)
	return nil
}

// firstFew keeps a caption's citations readable.
func firstFew(cites []int64) []int64 { return cites[:min(len(cites), 8)] }

func (b *builder) verify(commands []Command) {
	b.h1("How to verify this record")
	b.prose("Nothing below needs the network, this program's server or its database. cosign and pdfsig are not ours; the trusted root must have reached you by another way than the pack.")
	if len(commands) == 0 {
		b.state(Stated{})
	}
	for _, c := range commands {
		b.prose(c.What)
		b.add(&pdf.Code{Lines: c.Lines})
	}
}

// DefaultVerification gives the offline commands for a pack: its path, the trusted root, this document, and one bundle of it
// with the public key, predicate type and artefact digest (hexadecimal SHA-256) that cosign needs.
func DefaultVerification(pack, root, document, bundle, key, predicateType, digest string) []Command {
	return []Command{
		{What: "Every attestation, proof, timestamp and file of the pack, the segregation of duties and the quorum, judged again:",
			Lines: []string{"affidavit verify " + pack + " --trusted-root " + root}},
		{What: "One attestation, with the tool of the Sigstore project:",
			Lines: []string{"cosign verify-blob-attestation --bundle " + bundle + " \\", "  --trusted-root " + root + " --key " + key + " \\",
				"  --use-signed-timestamps --type " + predicateType + " \\", "  --digest " + digest + " --digestAlg sha256"}},
		{What: "The signatures of this document, with the tool of the Poppler project. It reports the certificate as untrusted unless the document authority is in its store; what matters here is “Signature is Valid”:",
			Lines: []string{"pdfsig -nocert " + document}},
	}
}
