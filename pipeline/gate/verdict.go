package gate

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/rbac/policy"
)

// VerifierID is who says that a verdict is ours.
const VerifierID = "https://affidavit.dev/gate/v1"

// levelPassed is the verified level of a verdict that passed.
const levelPassed = "AFFIDAVIT_GATE"

// VerdictResult judges a request now and makes the result of a gate-verdict
// step of what came out, passed or not.
func VerdictResult(r *lineage.ReadTx, request int64, now time.Time) (lineage.Result, policy.Verdict, error) {
	v, j, err := Judge(r, request, r.Size(), now)
	if err != nil {
		return lineage.Result{}, v, err
	}
	p := j.summary(v)
	p.Verifier.ID, p.TimeVerified = VerifierID, now.UTC().Truncate(time.Second)
	return lineage.Result{Predicate: p, Subjects: subjects(j.Request.Binding), Relations: j.relations()}, v, nil
}

func (j *Judged) relations() []attest.Relation {
	b := j.Request.Binding
	out := []attest.Relation{
		{Type: attest.RelDecided, Ref: versionRef(b)},
		{Type: attest.RelConcerns, Ref: lineage.Ref{Kind: attest.ArtefactPolicy, Digest: b.PolicyDigest, Name: j.Policy.Name + " " + j.Policy.Version}},
		concerns(j.RequestEntry),
	}
	for _, d := range j.Decisions {
		out = append(out, concerns(d))
	}
	return out
}

// summary is the VSA of a judgement, but for who verified and when.
func (j *Judged) summary(v policy.Verdict) attest.VSA {
	b := j.Request.Binding
	p := attest.VSA{
		ResourceURI:        "affidavit:" + j.Project + "/" + b.Model + "@" + b.Version,
		Policy:             attest.ResourceDescriptor{Name: j.Policy.Name + " " + j.Policy.Version, Digest: map[string]string{"sha256": b.PolicyDigest}},
		VerificationResult: ResultFailed,
		VerifiedLevels:     []string{},
		Gate:               attest.GateDetail{Request: j.RequestEntry, Binding: b, Conditions: v.Conditions},
	}
	if v.Passed {
		p.VerificationResult, p.VerifiedLevels = ResultPassed, []string{levelPassed}
	}
	inputs := append([]attest.EntryRef{j.RequestEntry, j.RegistrationEntry}, j.Request.Evidence...)
	for _, e := range append(inputs, j.Decisions...) {
		p.InputAttestations = append(p.InputAttestations, attest.ResourceDescriptor{Name: e.Kind, URI: fmt.Sprintf("affidavit:entry/%d", e.Index), Digest: map[string]string{"sha256": e.PAE}})
	}
	return p
}

// checkVerdict judges the request again at this very index: a verdict is what
// follows from the log, and its signer has no say in it.
func checkVerdict(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.VSA
	if err := e.Decode(&p); err != nil {
		return err
	}
	req, err := r.Cited("gate.request", p.Gate.Request, attest.KindPromotionRequest)
	if err != nil {
		return err
	}
	if req.Project != e.Project {
		return lineage.Errf(lineage.CodeRefused, "gate.request", "entry %d belongs to project %q", req.Index, req.Project)
	}
	if p.TimeVerified.After(e.Stamp.Add(clockSlack)) || p.TimeVerified.Before(req.Stamp) {
		return lineage.Errf(lineage.CodeInvalid, "timeVerified", "lies in the future, or before the request")
	}
	v, j, err := Judge(r, req.Index, e.Index, e.Stamp)
	if err != nil {
		return err
	}
	want := j.summary(v)
	if p.VerificationResult != want.VerificationResult {
		words := Unmet(v.Conditions)
		if words == "" {
			words = "every condition is met"
		}
		return lineage.Errf(lineage.CodeRefused, "verificationResult", "is %s, but the request is judged %s here: %s", p.VerificationResult, want.VerificationResult, words)
	}
	if err := sameSummary(p, want); err != nil {
		return err
	}
	for _, rel := range j.relations() {
		if !e.Has(rel.Type, rel.Kind, rel.Digest) {
			return lineage.Errf(lineage.CodeInvalid, "relations", "must say: %s %s %s", rel.Type, rel.Kind, rel.Digest)
		}
	}
	return onlyVersion(e, attest.RelDecided, j.Request.Binding.Artefact)
}

// sameSummary compares all that follows from the log. The words of a rejection
// quote its reason, which an erasure may since have replaced.
func sameSummary(p, want attest.VSA) error {
	want.Verifier, want.TimeVerified, want.SlsaVersion = p.Verifier, p.TimeVerified, p.SlsaVersion
	want.Gate.Conditions = append([]attest.Condition(nil), want.Gate.Conditions...)
	for i := range want.Gate.Conditions {
		c := &want.Gate.Conditions[i]
		if c.Name == policy.CondRejection && i < len(p.Gate.Conditions) {
			c.Words = p.Gate.Conditions[i].Words
		}
	}
	a, errA := attest.CanonicalJSON(p)
	b, errB := attest.CanonicalJSON(want)
	if errA != nil || errB != nil {
		return lineage.Errf(lineage.CodeInvalid, "predicate", "has no canonical form")
	}
	if !bytes.Equal(a, b) {
		return lineage.Errf(lineage.CodeConflict, "gate.conditions", "are not what follows from the log at this index").WithRemedy("judge the request again")
	}
	return nil
}
