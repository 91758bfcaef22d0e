//go:build external

package pdf

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestConformance has veraPDF judge what the metadata declares. The validator needs Java, so the test runs where
// AFFIDAVIT_VERAPDF names the directory with its jars, as testdata/verapdf/pom.xml fetches them.
func TestConformance(t *testing.T) {
	jars := os.Getenv("AFFIDAVIT_VERAPDF")
	if jars == "" {
		t.Fatal("AFFIDAVIT_VERAPDF does not name a directory with veraPDF's jars: PDF/A and PDF/UA conformance not judged")
	}
	ca := newTestCA(t)
	plain := must[[]byte](t)(Render(sampleDocument(t)))
	signed := must[[]byte](t)(Sign(plain, ca.signer(t, "Tomasz Zieliński")))
	signed = must[[]byte](t)(Sign(signed, ca.signer(t, "Renée Okafor")))
	broken := []byte(strings.Replace(string(plain), "/GTS_PDFA1", "/GTS_PDFX1", 1))
	judge := func(flavour string, data []byte) (bool, string) {
		cmd := exec.Command("java", "-cp", filepath.Join(jars, "*"), "org.verapdf.apps.GreenfieldCliWrapper", "--format", "text", "-v", "--flavour", flavour, writeTemp(t, data))
		out, _ := cmd.CombinedOutput() // the exit code is not zero for a failed document; the word decides
		return strings.Contains(string(out), "PASS ") && !strings.Contains(string(out), "FAIL "), string(out)
	}
	for _, flavour := range []string{"3a", "ua1"} {
		for name, data := range map[string][]byte{"unsigned": plain, "signed twice": signed} {
			if ok, out := judge(flavour, data); !ok {
				t.Errorf("%s, %s:\n%s", flavour, name, out)
			}
		}
	}
	if ok, _ := judge("3a", broken); ok {
		t.Error("veraPDF passes a document without a PDF/A output intent, so this test proves nothing")
	}
}
