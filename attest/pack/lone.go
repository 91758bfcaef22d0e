package pack

import (
	"errors"
	"fmt"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
)

// BundleReport is the outcome of VerifyBundle.
type BundleReport struct {
	Origin        string    `json:"origin"`
	TreeSize      int64     `json:"treeSize"`
	Index         int64     `json:"index"`
	PAE           string    `json:"pae"`
	Kind          string    `json:"kind"` // "" for a statement that is no step of ours
	PredicateType string    `json:"predicateType"`
	Project       string    `json:"project,omitempty"`
	Actor         string    `json:"actor,omitempty"`
	KeyID         string    `json:"keyId"`
	Identity      string    `json:"identity,omitempty"`
	Issuer        string    `json:"issuer,omitempty"`
	Stamped       time.Time `json:"stamped"`
	Subjects      []string  `json:"subjects"` // sha256, in order
	Refusal       *Refusal  `json:"refusal,omitempty"`
	// NotJudged is the sentence that must accompany every outcome.
	NotJudged string `json:"notJudged"`
}

const loneWords = "Verified alone: whether its key was enrolled or revoked then, and whether its actor could do this without " +
	"breaking segregation of duties, is not judged; that takes the evidence pack."

// Exit maps the report to the exit code of the verify command. A lone bundle
// is always verified under a root from outside, so it is never unanchored.
func (r *BundleReport) Exit() int {
	if r.Refusal != nil {
		return ExitRefused
	}
	return ExitVerified
}

// VerifyBundle verifies one Sigstore bundle under trusted_root.json: signature
// or certificate, log entry, inclusion, checkpoint and timestamp. A payload
// that is an in-toto statement but no step of ours is accepted as such. The
// error wraps ErrUnreadable when either input does not parse; what speaks
// against the bundle is in Refusal.
func VerifyBundle(bundle, root []byte) (*BundleReport, error) {
	if root == nil {
		return nil, fmt.Errorf("%w: a lone bundle needs --trusted-root: it names no authority of its own", ErrUnreadable)
	}
	parsed, err := keys.ParseTrustedRoot(root)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrUnreadable, err)
	}
	verifier, err := attest.NewVerifier(parsed)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrUnreadable, err)
	}
	b, err := attest.ParseBundle(bundle)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrUnreadable, err)
	}
	r := &BundleReport{Index: b.Proof.Index, PAE: b.PAEHex(), KeyID: b.KeyID(), Subjects: []string{}, NotJudged: loneWords}
	v, err := verifier.VerifyForeign(b)
	if err == nil {
		r.Origin, r.TreeSize, r.Stamped = v.Checkpoint.Origin, v.Checkpoint.Size, v.Stamped
		r.Identity, r.Issuer, r.PredicateType = v.Identity, v.Issuer, v.Statement.PredicateType
		for _, s := range v.Statement.Subject {
			r.Subjects = append(r.Subjects, s.Digest["sha256"])
		}
		if _, ours := v.Statement.Subject[0].Annotations[attest.StepAnnotation]; ours {
			if v, err = verifier.Verify(b); err == nil {
				r.Kind, r.Project, r.Actor = v.Step.Kind, v.Step.Project, v.Step.Actor
			}
		}
	}
	if err != nil {
		r.Refusal = &Refusal{Code: CodeBundle, Index: r.Index, Words: err.Error()}
		var single *attest.Refusal
		if errors.As(err, &single) {
			r.Refusal.Code = single.Code
		}
	}
	return r, nil
}
