// Package card builds the three documents of record from plain data: the model card (after Mitchell et al., 2019), the
// validation report and the promotion record. The caller fills the inputs from the log; this package invents nothing: a
// statement without log entries is printed with the words "no evidence recorded".
//
// card uses reports/pdf, the one import between siblings under reports/: the documents are what that builder is for.
package card

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"affidavit/reports/pdf"
)

// Stated is a sentence with the indexes of the log entries that it rests on.
type Stated struct {
	Text    string  `json:"text"`
	Sources []int64 `json:"sources,omitempty"`
}

// Fact is a named value.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Mono marks digests and identifiers.
	Mono    bool    `json:"mono,omitempty"`
	Sources []int64 `json:"sources,omitempty"`
}

// Feature is an input of the model, or a column that is carried for evaluation only.
type Feature struct {
	Name    string `json:"name"`
	Meaning string `json:"meaning"`
	Type    string `json:"type"` // numeric, categorical, …
	// Role is input, label, protected (evaluation only) or excluded.
	Role    string  `json:"role"`
	Sources []int64 `json:"sources,omitempty"`
}

// Dataset is a version of data with its use.
type Dataset struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Rows    int64  `json:"rows"`
	Digest  string `json:"digest"` // SHA-256, hexadecimal
	Origin  string `json:"origin"`
	Licence string `json:"licence"`
	// Use says what the rows were for, such as "training split, seed 7".
	Use           string  `json:"use"`
	Motivation    Stated  `json:"motivation"`
	Preprocessing Stated  `json:"preprocessing"`
	Sources       []int64 `json:"sources,omitempty"`
}

// Measure is a number with its uncertainty.
type Measure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Interval is the 95 % confidence interval, nil where none was computed.
	Interval *[2]float64 `json:"interval,omitempty"`
	// N is the number of rows it was computed on, 0 if that does not apply.
	N int64 `json:"n,omitempty"`
	// Digits is the number of decimals to print, 4 if 0; -1 prints a whole number.
	Digits int `json:"digits,omitempty"`
	// Method says how the interval was made, Limit what the policy asks for, both in words.
	Method  string  `json:"method,omitempty"`
	Limit   string  `json:"limit,omitempty"`
	Status  Verdict `json:"status,omitempty"`
	Sources []int64 `json:"sources,omitempty"`
}

// Verdict is the outcome of a check, in one fixed vocabulary.
type Verdict string

// The verdicts. Empty means that none was given.
const (
	Met          Verdict = "met"
	NotMet       Verdict = "not met"
	Watch        Verdict = "watch"
	Waived       Verdict = "waived"
	Waiting      Verdict = "waiting"
	Insufficient Verdict = "insufficient data"
	Suppressed   Verdict = "suppressed"
	Reference    Verdict = "reference group"
)

func (v Verdict) status() pdf.Status {
	switch v {
	case Met:
		return pdf.StatusOK
	case NotMet:
		return pdf.StatusBad
	case Watch, Waived:
		return pdf.StatusWarn
	case Waiting:
		return pdf.StatusWaiting
	}
	return pdf.StatusNone
}

// Curve is a ROC curve: false positive rate against true positive rate, from (0, 0) to (1, 1).
type Curve struct {
	Points  []pdf.Point `json:"points"`
	AUC     float64     `json:"auc"`
	Sources []int64     `json:"sources,omitempty"`
}

// CalibrationBin compares the mean prediction of a bin with the rate observed in it and the interval of that rate.
type CalibrationBin struct {
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
	Lo        float64 `json:"lo"`
	Hi        float64 `json:"hi"`
	N         int64   `json:"n"`
}

// Calibration is a reliability diagram.
type Calibration struct {
	Bins    []CalibrationBin `json:"bins"`
	Sources []int64          `json:"sources,omitempty"`
}

// GroupRate is the favourable outcome in one group. Its ratio is to the reference group.
type GroupRate struct {
	Group     string      `json:"group"`
	N         int64       `json:"n"`
	Selected  int64       `json:"selected"`
	Rate      float64     `json:"rate"`
	RateCI    *[2]float64 `json:"rateCI,omitempty"`
	Ratio     float64     `json:"ratio"`
	RatioCI   *[2]float64 `json:"ratioCI,omitempty"`
	TPR       *float64    `json:"tpr,omitempty"`
	FPR       *float64    `json:"fpr,omitempty"`
	Verdict   Verdict     `json:"verdict"`
	Reference bool        `json:"reference,omitempty"`
	// Withheld says why a suppressed group is not shown; its numbers are neither printed nor drawn.
	Withheld string `json:"withheld,omitempty"`
}

// FairnessTable compares the groups of one attribute, or of an intersection of two.
type FairnessTable struct {
	Attribute string `json:"attribute"`
	// Favourable says which outcome counts as selected, such as "application approved".
	Favourable string      `json:"favourable"`
	Groups     []GroupRate `json:"groups"`
	// Measures are the summaries over the groups: differences, ratios, equalised odds.
	Measures []Measure `json:"measures,omitempty"`
	// Note says which rule the verdicts follow.
	Note    string  `json:"note,omitempty"`
	Sources []int64 `json:"sources,omitempty"`
}

// Check is a condition with its verdict and the reason in words.
type Check struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Words   string  `json:"words"`
	Sources []int64 `json:"sources,omitempty"`
}

// Worker is a person or account with what they did, for the judgement of independence.
type Worker struct {
	Name         string  `json:"name"`
	Role         string  `json:"role"`
	Line         string  `json:"line"` // "1st line", "2nd line", …
	Contribution string  `json:"contribution"`
	Sources      []int64 `json:"sources,omitempty"`
}

// Topic is a subsection of statements.
type Topic struct {
	Title      string   `json:"title"`
	Statements []Stated `json:"statements"`
}

// Finding is a weakness with its owner and due date.
type Finding struct {
	ID       string    `json:"id"`
	Severity string    `json:"severity"`
	Title    string    `json:"title"`
	Owner    string    `json:"owner"`
	Due      time.Time `json:"due"`
	State    string    `json:"state"` // open, remediation, validated, closed, risk-accepted
	Sources  []int64   `json:"sources,omitempty"`
}

// builder collects the body of a document.
type builder struct{ blocks []pdf.Block }

func (b *builder) add(blocks ...pdf.Block) { b.blocks = append(b.blocks, blocks...) }

func (b *builder) h1(text string) { b.add(&pdf.Heading{Level: 1, Text: text}) }

func (b *builder) h2(text string) { b.add(&pdf.Heading{Level: 2, Text: text}) }

func (b *builder) prose(text string) { b.add(&pdf.Prose{Text: text}) }

func (b *builder) state(s Stated) { b.add(statement(s)) }

func statement(s Stated) *pdf.Statement { return &pdf.Statement{Text: s.Text, Cites: s.Sources} }

// list prints statements as bullets, or that there is no evidence.
func (b *builder) list(items []Stated) {
	bullets := &pdf.Bullets{}
	for _, s := range items {
		bullets.Items = append(bullets.Items, *statement(s))
	}
	b.add(bullets)
}

// under prints a subheading with statements.
func (b *builder) under(title string, items ...Stated) {
	b.h2(title)
	if len(items) == 1 {
		b.state(items[0])
		return
	}
	b.list(items)
}

func facts(items []Fact) []pdf.KeyValue {
	out := make([]pdf.KeyValue, len(items))
	for i, f := range items {
		out[i] = pdf.KeyValue{Key: f.Name, Value: f.Value, Cites: f.Sources, Mono: f.Mono}
	}
	return out
}

// finish renders the document with the input attached as JSON, so that its numbers can be read by machines.
func finish(d *pdf.Document, in any, file string) ([]byte, error) {
	data, err := json.MarshalIndent(in, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("card: %s: the input cannot be written as JSON (is a number NaN or infinite?): %w", file, err)
	}
	d.Attachments = append(d.Attachments, pdf.Attachment{Name: file, MIME: "application/json",
		Description: "The content of this document as data", Data: append(data, '\n')})
	d.SignatureFields = 2
	return pdf.Render(d)
}

// number prints v with the given decimals and a true minus sign.
func number(v float64, digits int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "not defined"
	}
	switch {
	case digits == 0:
		digits = 4
	case digits < 0:
		return whole(int64(math.Round(v)))
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return strings.Replace(s, "-", "−", 1)
}

// whole prints an integer with a comma between groups of three digits.
func whole(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func interval(ci *[2]float64, digits int) string {
	if ci == nil {
		return ""
	}
	return number(ci[0], digits) + " to " + number(ci[1], digits)
}

func count(n int64) string {
	if n == 0 {
		return ""
	}
	return whole(n)
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02\u00a015:04:05")
}

// sentence makes a verdict start with a capital letter.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
