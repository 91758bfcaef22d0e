package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/server"
)

// Submission documents the body: an envelope, and the signer's key or certificate.
type Submission struct {
	Envelope    Envelope `json:"envelope"`
	PublicKey   string   `json:"publicKey,omitempty" doc:"SPKI as PEM or base64 DER"`
	Certificate string   `json:"certificate,omitempty" doc:"identity certificate as PEM or base64 DER; instead of publicKey"`
}

// Envelope is DSSE's, with exactly one signature.
type Envelope struct {
	Payload     string      `json:"payload" doc:"base64 of the canonical in-toto statement"`
	PayloadType string      `json:"payloadType" doc:"application/vnd.in-toto+json"`
	Signatures  []Signature `json:"signatures" doc:"exactly one"`
}

// Signature is DSSE's.
type Signature struct {
	Sig   string `json:"sig" doc:"base64 of the ASN.1 DER signature over the DSSE PAE"`
	KeyID string `json:"keyid,omitempty"`
}

// Receipt is the log's promise: the entry is durable at this index.
type Receipt struct {
	Index      int64           `json:"index"`
	PAE        string          `json:"pae"`
	Stamp      time.Time       `json:"stamp"`
	Checkpoint string          `json:"checkpoint" doc:"signed note that the bundle's proof leads to"`
	Bundle     json.RawMessage `json:"bundle" doc:"Sigstore bundle v0.3"`
	Duplicate  bool            `json:"duplicate" doc:"the statement was logged before; this is its first receipt"`
}

func (a *API) postAttestation(c *gin.Context) error {
	done := a.metrics.Waiting()
	receipt, err := a.submit(c)
	done(receipt.Duplicate, err)
	if err != nil {
		return err
	}
	return server.WriteJSON(c, http.StatusOK, Receipt{Index: receipt.Index, PAE: receipt.PAE, Stamp: receipt.Stamp,
		Checkpoint: receipt.Checkpoint, Bundle: receipt.Bundle, Duplicate: receipt.Duplicate})
}

func (a *API) submit(c *gin.Context) (lineage.Receipt, error) {
	if q := newQuery(c); q.err != nil {
		return lineage.Receipt{}, q.err
	}
	body, err := server.ReadBody(c)
	if err != nil {
		return lineage.Receipt{}, err
	}
	signed, err := attest.ParseSubmission(body)
	if err != nil {
		return lineage.Receipt{}, refusal(err)
	}
	return a.ledger.Submit(c.Request.Context(), signed)
}

// refusal turns the parser's refusal into an error of the table. The words
// may be shown: they name what is wrong in what the sender sent.
func refusal(err error) error {
	var r *attest.Refusal
	if !errors.As(err, &r) {
		return err
	}
	switch r.Code {
	case attest.CodeSignature, attest.CodeCertificate:
		return lineage.Errf(lineage.CodeUnauthenticated, r.Where, "%s", r.Words).
			WithRemedy("sign the statement's PAE with an enrolled P-256 key; affidavit submit does")
	}
	return lineage.Errf(lineage.CodeInvalid, r.Where, "%s", r.Words).
		WithRemedy("send one DSSE envelope with publicKey or certificate; affidavit submit makes it")
}
