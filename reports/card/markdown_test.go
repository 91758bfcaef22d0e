package card

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"affidavit/reports/pdf"
)

func TestMarkdownCard(t *testing.T) {
	in := sampleModelCard()
	in.Caveats = append(in.Caveats, said("Not <b>HTML</b>, not a | cell\n# nor a heading.", 5))
	out, err := MarkdownModelCard(in, sampleMeta())
	if err != nil {
		t.Fatal(err)
	}
	again, _ := MarkdownModelCard(in, sampleMeta())
	if !bytes.Equal(out, again) {
		t.Error("the same input gave different text")
	}
	parts := strings.SplitN(string(out), "---\n", 3)
	if len(parts) != 3 {
		t.Fatal("no metadata block")
	}
	var head struct {
		Pipeline string `yaml:"pipeline_tag"`
		Index    []struct {
			Results []struct {
				Metrics []struct {
					Type  string
					Value float64
				}
			}
		} `yaml:"model-index"`
	}
	if err := yaml.Unmarshal([]byte(parts[1]), &head); err != nil {
		t.Fatal(err)
	}
	if head.Pipeline != "tabular-classification" || head.Index[0].Results[0].Metrics[0].Type != "roc_auc" || head.Index[0].Results[0].Metrics[0].Value != .8306 {
		t.Errorf("metadata: %+v", head)
	}
	for _, want := range []string{"There is no reject inference", "[entry [5](#entry-5)\\]", "| 0.8306 | 0.7911 to 0.8702 |", "Review the threshold each quarter. *\\[no evidence recorded\\]*",
		"Licence: *no evidence recorded*", `\<b\>HTML\</b\>, not a \| cell \# nor`, `<a id="entry-5"></a>`, "| −0.0412 |"} {
		if !strings.Contains(parts[2], want) {
			t.Errorf("the card does not say %q", want)
		}
	}
	if strings.Contains(parts[2], "\x00") || strings.Contains(parts[2], "entry-59") {
		t.Error("the card has a stray mark or lists an entry that it does not cite")
	}
}

func TestBadCardsAreRefused(t *testing.T) {
	meta := sampleMeta()
	noDate := meta
	noDate.AsOf = time.Time{}
	nan := sampleModelCard()
	nan.Overall[0].Value = math.NaN()
	unknown := sampleModelCard()
	unknown.Summary.Sources = []int64{9999}
	nameless := sampleModelCard()
	nameless.Version = ""
	cyclic := samplePromotion()
	cyclic.Lineage.Edges = append(cyclic.Lineage.Edges, pdf.GraphEdge{From: "can", To: "data"})
	for name, try := range map[string]func() ([]byte, error){
		"NaN":                func() ([]byte, error) { return RenderModelCard(nan, meta) },
		"NaN, Markdown":      func() ([]byte, error) { return MarkdownModelCard(nan, meta) },
		"unknown":            func() ([]byte, error) { return RenderModelCard(unknown, meta) },
		"unknown, Markdown":  func() ([]byte, error) { return MarkdownModelCard(unknown, meta) },
		"nameless":           func() ([]byte, error) { return RenderModelCard(nameless, meta) },
		"nameless, Markdown": func() ([]byte, error) { return MarkdownModelCard(nameless, meta) },
		"no date":            func() ([]byte, error) { return RenderModelCard(sampleModelCard(), noDate) },
		"empty report":       func() ([]byte, error) { return RenderValidationReport(ValidationReport{}, meta) },
		"empty record":       func() ([]byte, error) { return RenderPromotionRecord(PromotionRecord{}, meta) },
		"cyclic lineage":     func() ([]byte, error) { return RenderPromotionRecord(cyclic, meta) },
	} {
		if out, err := try(); err == nil || out != nil {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	}
}

// TestBareInputsRender: what is not known yet must print as such, not fail.
func TestBareInputsRender(t *testing.T) {
	meta := sampleMeta()
	card, err := RenderModelCard(ModelCard{Model: "m", Version: "1"}, meta)
	if err != nil {
		t.Fatal(err)
	}
	report, err := RenderValidationReport(ValidationReport{Model: "m", Version: "1"}, meta)
	if err != nil {
		t.Error(err)
	}
	record, err := RenderPromotionRecord(PromotionRecord{Model: "m", Version: "1", Stage: "production", Canary: &Canary{}}, meta)
	if err != nil {
		t.Error(err)
	}
	keep(t, map[string][]byte{"bare-model-card": card, "bare-validation-report": report, "bare-promotion-record": record})
	if _, err := MarkdownModelCard(ModelCard{Model: "m", Version: "1"}, meta); err != nil {
		t.Error(err)
	}
	if got := strings.Count(text(t, card), pdf.NoEvidence); got < 15 {
		t.Errorf("an empty card says %q %d times, want one for each section", pdf.NoEvidence, got)
	}
}
