package gate

import (
	"slices"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/rbac/policy"
	"affidavit/rbac/sod"
)

// Results of a verdict.
const (
	ResultPassed = "PASSED"
	ResultFailed = "FAILED"
)

// Judged is what a request was judged on.
type Judged struct {
	Project           string
	Policy            *policy.Policy
	Request           attest.PromotionRequest
	RequestEntry      attest.EntryRef
	Registration      attest.Registration
	RegistrationEntry attest.EntryRef
	// Decisions are the acceptances, decisions and withdrawals about the
	// request, in log order.
	Decisions []attest.EntryRef
}

// Judge judges a request by its policy as the log stood below an index (0: now)
// at a time, from the log alone. An unmet condition is no error.
func Judge(r *lineage.ReadTx, request, below int64, now time.Time) (policy.Verdict, *Judged, error) {
	if below <= 0 || below > r.Size() {
		below = r.Size()
	}
	e, err := r.Entry(request)
	if err != nil {
		return policy.Verdict{}, nil, err
	}
	if e.Kind != attest.KindPromotionRequest || e.Index >= below {
		return policy.Verdict{}, nil, lineage.Errf(lineage.CodeInvalid, "request", "entry %d is no promotion request below %d", request, below)
	}
	j := &Judged{Project: e.Project, RequestEntry: e.EntryRef()}
	if err := e.Decode(&j.Request); err != nil {
		return policy.Verdict{}, nil, err
	}
	in := policy.Input{Request: j.Request, Below: below, Now: now}
	if err := j.load(r, e, &in); err != nil {
		return policy.Verdict{}, nil, err
	}
	v, err := j.Policy.Judge(in)
	if err != nil {
		return policy.Verdict{}, nil, &lineage.Error{Code: lineage.CodeRefused, Field: "request", Message: "cannot be judged", Err: err}
	}
	return v, j, nil
}

// load reads everything that the policy looks at.
func (j *Judged) load(r *lineage.ReadTx, e *lineage.Entry, in *policy.Input) error {
	b := j.Request.Binding
	var err error
	if j.Policy, err = policyOf(r, j.Project, b.PolicyDigest, in.Below); err != nil {
		return err
	}
	var row versionRow
	err = r.First(&row, "project = ? AND model = ? AND version = ? AND root = ?", j.Project, b.Model, b.Version, b.Artefact)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return lineage.Errf(lineage.CodeNotFound, "request", "no version %s %s with these files is registered", b.Model, b.Version)
	}
	if err != nil {
		return err
	}
	reg, err := r.Entry(row.Entry)
	if err != nil {
		return err
	}
	j.RegistrationEntry = reg.EntryRef()
	if err := reg.Decode(&j.Registration); err != nil {
		return err
	}
	in.Registration = j.Registration
	if in.RequestEntry, err = one(r, e.Index); err != nil {
		return err
	}
	if in.RegistrationEntry, err = one(r, reg.Index); err != nil {
		return err
	}
	if in.Evidence, err = list(r, j.Request.Evidence); err != nil {
		return err
	}
	var rows []DecisionRow
	if err := r.Find(&rows, "entry", "request = ? AND entry < ?", e.Index, in.Below); err != nil {
		return err
	}
	for _, d := range rows {
		s, err := one(r, d.Entry)
		if err != nil {
			return err
		}
		in.Decisions = append(in.Decisions, s)
		j.Decisions = append(j.Decisions, s.Ref())
	}
	in.History, err = history(r, j.Project, refs(row), in.Below)
	return err
}

// one loads an entry as the pure judges read it. Of an erased one they read
// what the erasure left: it may replace free text only, which no rule reads.
func one(r *lineage.ReadTx, index int64) (sod.Entry, error) {
	loaded, err := r.SODEntries([]int64{index})
	if err != nil {
		return sod.Entry{}, err
	}
	if len(loaded) != 1 {
		return sod.Entry{}, lineage.Errf(lineage.CodeNotFound, "", "no entry %d", index)
	}
	s := loaded[0]
	if s.Predicate == nil {
		e, err := r.Entry(index)
		if err != nil {
			return sod.Entry{}, err
		}
		s.Predicate = e.Predicate()
	}
	return s, nil
}

func list(r *lineage.ReadTx, refs []attest.EntryRef) ([]sod.Entry, error) {
	out := make([]sod.Entry, len(refs))
	for i, ref := range refs {
		s, err := one(r, ref.Index)
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

// policyOf parses the policy that was published in a project below an index.
func policyOf(r *lineage.ReadTx, project, digest string, below int64) (*policy.Policy, error) {
	var row govern.PolicyRow
	err := r.First(&row, "project = ? AND digest = ? AND entry < ?", project, digest, below)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return nil, lineage.Errf(lineage.CodeRefused, "policyDigest", "policy %s is not published in project %q", digest, project).WithRemedy("a risk officer publishes it first")
	}
	if err != nil {
		return nil, err
	}
	e, err := r.Entry(row.Entry)
	if err != nil {
		return nil, err
	}
	var pub attest.PolicyPublication
	if err := e.Decode(&pub); err != nil {
		return nil, err
	}
	p, err := policy.Parse([]byte(pub.YAML))
	if err != nil {
		return nil, &lineage.Error{Code: lineage.CodeInternal, Message: "a published policy does not parse", Err: err}
	}
	return p, nil
}

// refs are the nodes that a decision is about: the version and its served file.
func refs(row versionRow) []lineage.Ref {
	return []lineage.Ref{{Kind: attest.ArtefactVersion, Digest: row.Root}, {Kind: attest.ArtefactModel, Digest: row.Artefact}}
}

// history is what duties on the roots are judged by. It follows what triggered
// an entry as well: the trigger's watchers are no contributors, but who
// configured it is, and the walk must find that entry to say so.
func history(r *lineage.ReadTx, project string, roots []lineage.Ref, below int64) (*sod.History, error) {
	known := map[lineage.Ref]bool{}
	for {
		idx, err := r.UpstreamEntries(roots, below, lineage.ContributesOnly)
		if err != nil {
			return nil, err
		}
		var found []lineage.Ref
		for part := range slices.Chunk(idx, 500) {
			var some []lineage.Ref
			if err := r.DB().Table("edges").Select("kind, digest").Where("idx IN ? AND relation = ?", part, string(attest.RelTriggeredBy)).
				Order("idx, pos").Scan(&some).Error; err != nil {
				return nil, err
			}
			found = append(found, some...)
		}
		grown := false
		for _, ref := range found {
			if !known[ref] {
				known[ref], grown = true, true
				roots = append(roots, ref)
			}
		}
		if !grown {
			return r.History(project, roots, below)
		}
	}
}

// Admit returns nil when a version may be deployed on a request and its
// verdict: the verdict passed, and judged again below an index at a time the
// policy is still met, so that what was withdrawn, revoked, superseded or has
// expired since counts. The caller compares model, version, stage and files
// with the verdict's binding.
func Admit(r *lineage.ReadTx, request, verdict attest.EntryRef, below int64, now time.Time) error {
	req, err := r.Cited("request", request, attest.KindPromotionRequest)
	if err != nil {
		return err
	}
	e, err := r.Cited("verdict", verdict, attest.KindVerdict)
	if err != nil {
		return err
	}
	var p attest.VSA
	if err := e.Decode(&p); err != nil {
		return err
	}
	if e.Project != req.Project || p.Gate.Request != request {
		return lineage.Errf(lineage.CodeRefused, "verdict", "entry %d judged another request than entry %d", e.Index, req.Index)
	}
	if p.VerificationResult != ResultPassed {
		return lineage.Errf(lineage.CodeRefused, "verdict", "the verdict of entry %d did not pass: %s", e.Index, Unmet(p.Gate.Conditions))
	}
	v, _, err := Judge(r, req.Index, below, now)
	if err != nil {
		return err
	}
	if !v.Passed {
		return lineage.Errf(lineage.CodeRefused, "request", "it may not be deployed any more: %s", Unmet(v.Conditions))
	}
	return nil
}

// Unmet joins the words of the conditions that are not met.
func Unmet(conditions []attest.Condition) string {
	var words []string
	for _, c := range conditions {
		if !c.Met {
			words = append(words, c.Name+": "+c.Words)
		}
	}
	return strings.Join(words, "; ")
}
