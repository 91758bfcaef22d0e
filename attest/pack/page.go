package pack

import (
	"bytes"
	_ "embed"
	"fmt"
	"text/template"

	"affidavit/attest"
)

//go:embed verify.md.tmpl
var verifyTemplate string

// pageData is what VERIFY.md is filled with.
type pageData struct {
	*Manifest
	Whole     bool
	ByKey     *ManifestBundle // one bundle of each class, nil if there is none
	ByCert    *ManifestBundle
	Model     *ManifestBundle
	Documents []string
}

// verifyPage renders VERIFY.md: how to check this pack with tools that are
// not ours, with commands that name files of this pack.
func verifyPage(m *Manifest, documents []string) ([]byte, error) {
	t, err := template.New(VerifyFile).Parse(verifyTemplate)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", VerifyFile, err)
	}
	d := pageData{Manifest: m, Whole: m.Query == QueryProject, Documents: documents}
	for i := range m.Bundles {
		b := &m.Bundles[i]
		switch {
		case b.Kind == attest.KindModelSignature && b.Key != "":
			d.Model = b // the latest
		case b.Identity != "":
			d.ByCert = b
		case d.ByKey == nil || (b.Kind == attest.KindDecision && d.ByKey.Kind != attest.KindDecision):
			d.ByKey = b // the first decision, or else the first bundle
		}
	}
	var out bytes.Buffer
	if err := t.Execute(&out, d); err != nil {
		return nil, fmt.Errorf("%s: %w", VerifyFile, err)
	}
	return out.Bytes(), nil
}
