package pdf

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"affidavit/attest/pack/pdfsig"
)

func TestRenderIsDeterministic(t *testing.T) {
	a := must[[]byte](t)(Render(sampleDocument(t)))
	b := must[[]byte](t)(Render(sampleDocument(t)))
	if !bytes.Equal(a, b) {
		t.Fatal("the same document gave different bytes")
	}
	if _, err := pdfsig.Parse(a); err != nil {
		t.Fatal(err)
	}
	keep(t, "sample.pdf", a)
}

// keep writes a document where AFFIDAVIT_KEEP_PDF says, to be looked at.
func keep(t *testing.T, name string, data []byte) {
	t.Helper()
	if dir := os.Getenv("AFFIDAVIT_KEEP_PDF"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	d := smallDocument()
	for range 200 {
		d.Body = append(d.Body, &Statement{Text: "A sentence that is long enough to wrap once on a page of this width, and then goes on to say a little more.", Cites: Cites{0}})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Render(d); err != nil {
			b.Fatal(err)
		}
	}
}
