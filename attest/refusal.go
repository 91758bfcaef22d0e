package attest

import "fmt"

// Codes of a Refusal: which part of a bundle did not hold.
const (
	CodePayload     = "payload"
	CodeSignature   = "signature"
	CodeCertificate = "certificate"
	CodeBody        = "body"
	CodeIndex       = "index"
	CodeProof       = "proof"
	CodeCheckpoint  = "checkpoint"
	CodeTimestamp   = "timestamp"
	CodeStatement   = "statement"
)

// Refusal says why a bundle, envelope or submission is not believed.
type Refusal struct {
	Code  string // one of the Code constants
	Where string // the field
	Words string // what is wrong, for people
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s refused: %s: %s", r.Code, r.Where, r.Words)
}

func refuse(code, where, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Where: where, Words: fmt.Sprintf(format, args...)}
}
