package evidence

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/tlog"
	"affidavit/lineage"
	"affidavit/reports/card"
	"affidavit/reports/pdf"
)

// Kinds of document.
const (
	ModelCard        = "model-card"
	ValidationReport = "validation-report"
	PromotionRecord  = "promotion-record"
)

// Signatory signs a document. Signer may be the key that they sign entries
// with: the certificate is made for the document only.
type Signatory struct {
	Name, Email, Reason string
	Signer              keys.Signer
}

// Request says which document to make.
type Request struct {
	Project, Model, Version string
	Kind                    string // ModelCard, ValidationReport or PromotionRecord
	// Size is the log size to read as of; 0 for the head.
	Size int64
	// Organisation answers for the document and may stay empty.
	Organisation string
	// Refused are attempts to be told in a promotion record.
	Refused []Refused
	// Signers sign in this order; one or two.
	Signers []Signatory
}

// Rendered is a signed document with the predicate that logs it.
type Rendered struct {
	PDF      []byte
	Document attest.Document
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// fileName is unique for a version and kind, and one that a pack may hold.
func (q Request) fileName() string {
	name := strings.Trim(notInNames.ReplaceAllString(q.Model+"-"+q.Version, "-"), "-.")
	if len(name) > 80 {
		name = name[:80]
	}
	return name + "-" + q.Kind + ".pdf"
}

// Render reads the log as of q.Size, draws the document and has it signed:
// PAdES with certificates of the ledger's CA and timestamps of its authority.
// It logs nothing: hand DocumentResult to Ledger.Do, or to a person who submits.
func Render(ctx context.Context, l *lineage.Ledger, q Request) (Rendered, error) {
	if len(q.Signers) < 1 || len(q.Signers) > 2 {
		return Rendered{}, lineage.Errf(lineage.CodeInvalid, "signers", "a document has one or two signers, not %d", len(q.Signers))
	}
	content, doc, err := Draw(ctx, l, q)
	if err != nil {
		return Rendered{}, err
	}
	for _, s := range q.Signers {
		if content, err = sign(ctx, l, content, s); err != nil {
			return Rendered{}, fmt.Errorf("%s, signer %s: %w", doc.Name, s.Name, err)
		}
	}
	sum := sha256.Sum256(content)
	doc.Digest, doc.Size = hex.EncodeToString(sum[:]), int64(len(content))
	return Rendered{PDF: content, Document: doc}, nil
}

// Draw is Render without signatures; the document's size and digest are not filled.
func Draw(ctx context.Context, l *lineage.Ledger, q Request) (content []byte, doc attest.Document, err error) {
	err = l.View(ctx, lineage.Scope{Project: q.Project}, func(r *lineage.ReadTx) error {
		f, err := gather(r, q.Project, q.Model, q.Version, q.Size)
		if err != nil {
			return err
		}
		meta, err := f.meta(q)
		if err != nil {
			return err
		}
		doc = attest.Document{Name: q.fileName(), Kind: q.Kind, MediaType: "application/pdf", AsOf: f.size}
		if content, err = f.render(q, meta, &doc); err != nil {
			return err
		}
		_, doc.Sources = f.cited()
		return nil
	})
	return content, doc, err
}

func (f *facts) meta(q Request) (pdf.Meta, error) {
	m := pdf.Meta{Organisation: q.Organisation, Project: q.Project, AsOf: f.head, TreeSize: f.size}
	g, err := f.r.Genesis()
	if err != nil {
		return m, err
	}
	m.LogOrigin = g.Origin
	root, err := tlog.Root(f.r.Context(), f.r.HashReader(), f.size)
	if err != nil {
		return m, err
	}
	m.RootHash = hex.EncodeToString(root[:])
	if f.inventory != nil {
		m.Subtitle = f.inventory.V.UseCase
	}
	return m, nil
}

func (f *facts) render(q Request, meta pdf.Meta, doc *attest.Document) ([]byte, error) {
	switch q.Kind {
	case ModelCard:
		doc.Title = "Model card of " + q.Model + " " + q.Version
		return card.RenderModelCard(f.modelCard(), meta)
	case ValidationReport:
		doc.Title = "Validation report on " + q.Model + " " + q.Version
		in, err := f.validationReport()
		if err != nil {
			return nil, err
		}
		return card.RenderValidationReport(in, meta)
	case PromotionRecord:
		doc.Title = "Promotion record of " + q.Model + " " + q.Version
		in, err := f.promotionRecord(q.Refused, doc.Name)
		if err != nil {
			return nil, err
		}
		return card.RenderPromotionRecord(in, meta)
	}
	return nil, lineage.Errf(lineage.CodeInvalid, "kind", "%q is not one of %s, %s, %s", q.Kind, ModelCard, ValidationReport, PromotionRecord)
}

func sign(ctx context.Context, l *lineage.Ledger, content []byte, s Signatory) ([]byte, error) {
	if s.Signer == nil {
		return nil, lineage.Errf(lineage.CodeInvalid, "signer", "has no key")
	}
	pub, err := keys.ParsePublicKey(s.Signer.PublicKey())
	if err != nil {
		return nil, err
	}
	now := l.Now()
	ders, err := l.Keys().CA.IssueDocument(s.Name, s.Email, pub, now)
	if err != nil {
		return nil, err
	}
	chain := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
	}
	return pdf.Sign(content, pdf.SignOptions{
		SignMessage: func(message []byte) ([]byte, error) { return s.Signer.Sign(ctx, message) },
		Chain:       chain, Name: s.Name, Reason: s.Reason, When: now,
		Timestamp: func(sig []byte) ([]byte, error) { return l.Keys().TSA.StampToken(sig, now) },
	})
}

// DocumentResult is the step that logs a document, with its bytes as a blob.
func DocumentResult(d Rendered) lineage.Result {
	res := lineage.Result{
		Predicate: d.Document,
		Subjects:  []attest.Subject{{Name: d.Document.Name, Digest: map[string]string{"sha256": d.Document.Digest}}},
		Relations: []attest.Relation{{Type: attest.RelGenerated, Ref: attest.Ref{Kind: attest.ArtefactDocument, Digest: d.Document.Digest, Name: d.Document.Name}}},
		Blobs:     []lineage.Blob{{MediaType: d.Document.MediaType, Content: d.PDF}},
	}
	for _, s := range d.Document.Sources {
		res.Relations = append(res.Relations, attest.Relation{Type: attest.RelConcerns, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: s.PAE, Name: s.Kind}})
	}
	return res
}
