package card

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"affidavit/attest/pack/pdfsig"
)

// documents renders the three samples.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	var err error
	if out["model-card"], err = RenderModelCard(sampleModelCard(), sampleMeta()); err != nil {
		t.Fatal(err)
	}
	if out["validation-report"], err = RenderValidationReport(sampleValidation(), sampleMeta()); err != nil {
		t.Fatal(err)
	}
	if out["promotion-record"], err = RenderPromotionRecord(samplePromotion(), sampleMeta()); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDocumentsAreDeterministic(t *testing.T) {
	a, b := documents(t), documents(t)
	for name, data := range a {
		if !bytes.Equal(data, b[name]) {
			t.Errorf("%s: the same input gave different bytes", name)
		}
		f, err := pdfsig.Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if fields, err := f.SignatureFields(0); err != nil || len(fields) != 2 {
			t.Errorf("%s: %d signature fields, %v", name, len(fields), err)
		}
	}
	keep(t, a)
}

// keep writes documents where AFFIDAVIT_KEEP_PDF says, to be looked at.
func keep(t *testing.T, docs map[string][]byte) {
	t.Helper()
	dir := os.Getenv("AFFIDAVIT_KEEP_PDF")
	if dir == "" {
		return
	}
	for name, data := range docs {
		if err := os.WriteFile(filepath.Join(dir, name+".pdf"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// text extracts the document's text with poppler's pdftotext.
func text(t *testing.T, data []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("pdftotext is not installed: the Makefile installs it for CI")
		}
		t.Skip("pdftotext is not installed (package poppler-utils): the words of the documents are not checked")
	}
	path := filepath.Join(t.TempDir(), "d.pdf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "-layout", path, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

func TestDocumentsSayWhatTheLogHolds(t *testing.T) {
	docs := documents(t)
	for name, words := range map[string][]string{
		"model-card": {"Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses", "Ethical considerations",
			"Caveats and recommendations", "no reject inference", "Review the threshold each quarter. [no evidence recorded]", "0.8306", "0.7911 to 0.8702", "Suppressed", "[entry 5]"},
		"validation-report": {"Conceptual soundness", "Outcomes analysis", "Independence", "Who worked on this version", "Tomasz Zieliński", "Ongoing monitoring", "Alternatives considered no evidence recorded", "−0.0412"},
		"promotion-record": {"simulated requests", "Refused because", "duty_conflict", "The gate is open", "Waived", "pdfsig -nocert documents/promotion-record.pdf",
			"cosign verify-blob-attestation", "Evidence of harm over 20,000 simulated requests", "Renée Okafor"},
	} {
		got := text(t, docs[name])
		for _, w := range words {
			if !strings.Contains(got, w) {
				t.Errorf("%s does not say %q", name, w)
			}
		}
		for _, bad := range []string{"NaN", "<nil>", "%!", "0001-01-01"} {
			if strings.Contains(got, bad) {
				t.Errorf("%s contains %q", name, bad)
			}
		}
	}
}
