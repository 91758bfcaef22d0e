package card

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"affidavit/reports/pdf"
)

// hubMetadata is the YAML head that Hugging Face reads from a model's README (model card metadata, with a model-index as
// Papers with Code defined it).
type hubMetadata struct {
	Language   string     `yaml:"language"`
	License    string     `yaml:"license,omitempty"`
	Library    string     `yaml:"library_name"`
	Pipeline   string     `yaml:"pipeline_tag"`
	Tags       []string   `yaml:"tags"`
	Datasets   []string   `yaml:"datasets,omitempty"`
	ModelIndex []hubModel `yaml:"model-index"`
}

type hubModel struct {
	Name    string      `yaml:"name"`
	Results []hubResult `yaml:"results"`
}

type hubResult struct {
	Task    hubTask     `yaml:"task"`
	Dataset hubDataset  `yaml:"dataset"`
	Metrics []hubMetric `yaml:"metrics"`
}

type hubTask struct {
	Type string `yaml:"type"`
}

type hubDataset struct {
	Name  string `yaml:"name"`
	Type  string `yaml:"type"`
	Split string `yaml:"split,omitempty"`
}

type hubMetric struct {
	Name  string  `yaml:"name"`
	Type  string  `yaml:"type"`
	Value float64 `yaml:"value"`
}

// MarkdownModelCard gives the card as a README with Hugging Face metadata. Citations are the same as in the PDF, and the list
// of sources follows at the end.
func MarkdownModelCard(in ModelCard, meta pdf.Meta) ([]byte, error) {
	if in.Model == "" || in.Version == "" {
		return nil, fmt.Errorf("card: the model card needs Model and Version")
	}
	for _, m := range in.Overall {
		if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
			return nil, fmt.Errorf("card: measure %q is not a finite number", m.Name)
		}
	}
	head, err := yaml.Marshal(in.hub(meta))
	if err != nil {
		return nil, fmt.Errorf("card: metadata: %w", err)
	}
	m := &markdown{cited: map[int64]bool{}}
	m.raw("---\n" + string(head) + "---\n\n")
	m.raw("# " + escape(in.Model+" "+in.Version) + "\n\n")
	m.state(in.Summary)
	m.raw("**" + escape(sentence(orDefault(in.Approval.State, pdf.NoEvidence))) + ".** ")
	m.state(Stated{Text: in.Approval.Words, Sources: in.Approval.Sources})
	m.raw("## Model details\n\n")
	for _, f := range in.Details {
		value := f.Value
		if f.Mono && value != "" {
			value = "\x00" + value // set as code, not escaped
		}
		m.raw("- " + escape(f.Name) + ": " + m.statement(value, f.Sources) + "\n")
	}
	m.raw("\n")
	m.table([]string{"Column", "Meaning", "Type", "Role", "Evidence"}, len(in.Inputs), func(i int) []string {
		f := in.Inputs[i]
		return []string{f.Name, f.Meaning, f.Type, f.Role, m.evidence(f.Sources)}
	})
	m.section("Intended use", part{"Primary intended use", []Stated{in.IntendedUse}}, part{"Primary intended users", []Stated{in.IntendedUsers}}, part{"Prohibited and out-of-scope use", in.ProhibitedUse})
	m.section("Factors", part{"Relevant factors", in.RelevantFactors}, part{"Evaluation factors", in.EvaluationFactors})
	m.section("Metrics", part{"Measures of performance and why they were chosen", in.MetricChoice}, part{"Decision threshold", []Stated{in.Threshold}}, part{"How uncertainty is measured", []Stated{in.Uncertainty}})
	m.datasets("Evaluation data", in.EvaluationData)
	m.datasets("Training data", in.TrainingData)
	m.raw("## Quantitative analyses\n\n")
	m.measures("Overall", in.Overall)
	for _, f := range in.Fairness {
		m.fairness(f)
	}
	m.measures("Robustness", in.Robustness)
	m.section("Ethical considerations", part{"", in.Ethical})
	m.section("Caveats and recommendations", part{"Caveats", in.Caveats}, part{"Recommendations", in.Recommendations})
	return m.finish(in.Sources, meta)
}

func (in ModelCard) hub(meta pdf.Meta) hubMetadata {
	h := hubMetadata{Language: orDefault(meta.Language, "en"), Library: "onnx", Pipeline: "tabular-classification",
		Tags: []string{"tabular-classification", "model-card", "affidavit"}}
	for _, f := range in.Details {
		if strings.EqualFold(f.Name, "licence") && f.Value != "" {
			h.License = f.Value
		}
	}
	result := hubResult{Task: hubTask{"tabular-classification"}, Dataset: hubDataset{Name: "not recorded", Type: "not-recorded"}}
	for i, d := range in.EvaluationData {
		if i == 0 {
			result.Dataset = hubDataset{Name: strings.TrimSpace(d.Name + " " + d.Version), Type: d.Name, Split: d.Use}
		}
		h.Datasets = append(h.Datasets, d.Name)
	}
	for _, o := range in.Overall {
		result.Metrics = append(result.Metrics, hubMetric{Name: o.Name, Type: metricType(o.Name), Value: o.Value})
	}
	h.ModelIndex = []hubModel{{Name: in.Model + " " + in.Version, Results: []hubResult{result}}}
	return h
}

// metricType gives the hub's identifier of a metric that it knows, else a plain form of the name.
func metricType(name string) string {
	switch lower := strings.ToLower(name); lower {
	case "auc", "roc auc":
		return "roc_auc"
	case "brier score":
		return "brier_score"
	default:
		return strings.ReplaceAll(lower, " ", "_")
	}
}

// part is a subsection; without a title its statements stand under the section.
type part struct {
	title string
	items []Stated
}

type markdown struct {
	b     strings.Builder
	cited map[int64]bool
}

func (m *markdown) raw(s string) { m.b.WriteString(s) }

// escape keeps text from being read as Markdown or HTML, and on one line.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case strings.ContainsRune("\\`*_{}[]<>#|~&!$", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (m *markdown) cite(sources []int64) string {
	parts := make([]string, len(sources))
	for i, n := range sources {
		m.cited[n] = true
		parts[i] = fmt.Sprintf("[%d](#entry-%[1]d)", n)
	}
	return strings.Join(parts, ", ")
}

func (m *markdown) evidence(sources []int64) string {
	if len(sources) == 0 {
		return "\x00" + pdf.NoEvidence
	}
	return "\x00" + m.cite(sources)
}

func (m *markdown) statement(text string, sources []int64) string {
	switch {
	case text == "" && len(sources) == 0:
		return "*" + pdf.NoEvidence + "*"
	case strings.HasPrefix(text, "\x00"):
		text = "`" + strings.ReplaceAll(text[1:], "`", "") + "`"
	default:
		text = escape(text)
	}
	switch len(sources) {
	case 0:
		return text + " *\\[" + pdf.NoEvidence + "\\]*"
	case 1:
		return text + " \\[entry " + m.cite(sources) + "\\]"
	}
	return text + " \\[entries " + m.cite(sources) + "\\]"
}

func (m *markdown) state(s Stated) { m.raw(m.statement(s.Text, s.Sources) + "\n\n") }

func (m *markdown) section(title string, parts ...part) {
	m.raw("## " + title + "\n\n")
	for _, p := range parts {
		if p.title != "" {
			m.raw("### " + p.title + "\n\n")
		}
		if len(p.items) == 0 {
			m.state(Stated{})
			continue
		}
		for _, s := range p.items {
			m.raw("- " + m.statement(s.Text, s.Sources) + "\n")
		}
		m.raw("\n")
	}
}

// table writes rows of cells; a cell that starts with a zero byte is Markdown already.
func (m *markdown) table(head []string, n int, row func(int) []string) {
	if n == 0 {
		m.state(Stated{})
		return
	}
	m.raw("| " + strings.Join(head, " | ") + " |\n|" + strings.Repeat("---|", len(head)) + "\n")
	for i := range n {
		cells := row(i)
		for j, c := range cells {
			if strings.HasPrefix(c, "\x00") {
				cells[j] = c[1:]
			} else {
				cells[j] = escape(c)
			}
		}
		m.raw("| " + strings.Join(cells, " | ") + " |\n")
	}
	m.raw("\n")
}

func (m *markdown) datasets(title string, items []Dataset) {
	m.raw("## " + title + "\n\n")
	if len(items) == 0 {
		m.state(Stated{})
	}
	for _, d := range items {
		for _, f := range []Fact{{Name: "Data version", Value: strings.TrimSpace(d.Name + " " + d.Version)}, {Name: "Use", Value: d.Use}, {Name: "Rows", Value: count(d.Rows)},
			{Name: "SHA-256", Value: "\x00" + d.Digest}, {Name: "Origin", Value: d.Origin}, {Name: "Licence", Value: d.Licence}} {
			if f.Value == "\x00" {
				f.Value = ""
			}
			m.raw("- " + f.Name + ": " + m.statement(f.Value, d.Sources) + "\n")
		}
		m.raw("- Motivation: " + m.statement(d.Motivation.Text, d.Motivation.Sources) + "\n")
		m.raw("- Preprocessing: " + m.statement(d.Preprocessing.Text, d.Preprocessing.Sources) + "\n\n")
	}
}

func (m *markdown) measures(title string, items []Measure) {
	m.raw("### " + title + "\n\n")
	m.table([]string{"Measure", "Value", "95 % interval", "n", "Method", "Limit", "Result", "Evidence"}, len(items), func(i int) []string {
		o := items[i]
		return []string{o.Name, number(o.Value, o.Digits), interval(o.Interval, o.Digits), count(o.N), o.Method, o.Limit, sentence(string(o.Status)), m.evidence(o.Sources)}
	})
}

func (m *markdown) fairness(f FairnessTable) {
	m.raw("### By " + escape(f.Attribute) + "\n\n")
	m.raw("Selected means: " + m.statement(f.Favourable, f.Sources) + "\n\n")
	m.table([]string{"Group", "n", "Selected", "Rate", "95 % interval", "Impact ratio", "95 % interval", "Result"}, len(f.Groups), func(i int) []string {
		g := f.Groups[i]
		if g.Verdict == Suppressed {
			return []string{g.Group, "–", "–", "–", "–", "–", "–", sentence(string(g.Verdict))}
		}
		return []string{g.Group, whole(g.N), whole(g.Selected), number(g.Rate, 3), interval(g.RateCI, 3), number(g.Ratio, 3), interval(g.RatioCI, 3), sentence(string(g.Verdict))}
	})
	if f.Note != "" {
		m.raw(escape(f.Note) + "\n\n")
	}
	if len(f.Measures) > 0 {
		m.measures("Differences between groups by "+escape(f.Attribute), f.Measures)
	}
}

func (m *markdown) finish(sources []pdf.Source, meta pdf.Meta) ([]byte, error) {
	known := map[int64]bool{}
	m.raw("## Sources\n\n")
	for _, s := range sources {
		known[s.Index] = true
		if m.cited[s.Index] {
			n := strconv.FormatInt(s.Index, 10)
			m.raw("- <a id=\"entry-" + n + "\"></a>entry " + n + ": " + escape(s.Kind) + ", signed by " + escape(s.Signer) + ", logged " + stamp(s.Logged) + " UTC, PAE sha256 `" + strings.ReplaceAll(s.PAEDigest, "`", "") + "`\n")
		}
	}
	for n := range m.cited {
		if !known[n] {
			return nil, fmt.Errorf("card: a statement cites log entry %d, which is not among the sources", n)
		}
	}
	if meta.LogOrigin != "" {
		m.raw(fmt.Sprintf("\nA reading of log %s at size %d, as of %s UTC.\n", escape(meta.LogOrigin), meta.TreeSize, stamp(meta.AsOf)))
	}
	return []byte(m.b.String()), nil
}
