package gate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/rbac/policy"
)

// clockSlack is how far the requester's clock may run ahead of the log's, as
// in rbac/policy.
const clockSlack = 5 * time.Minute

// Ask is what a promotion request asks for.
type Ask struct {
	Project      string
	Model        string
	Version      string
	Stage        string
	PolicyDigest string
	Expires      time.Time
	Reason       string
	// Nonce is the nonce of the step that will carry the request: 32 hex digits.
	Nonce string
}

// Request makes the result of a promotion-request step: it freezes everything
// that stands in the log about the version and that a policy can ask for.
func Request(r *lineage.ReadTx, a Ask) (lineage.Result, error) {
	row, err := versionOf(r, a.Project, a.Model, a.Version)
	if err != nil {
		return lineage.Result{}, err
	}
	p, err := policyOf(r, a.Project, a.PolicyDigest, r.Size())
	if err != nil {
		return lineage.Result{}, err
	}
	evidence, err := evidenceOf(r, a.Project, row, askedKinds(p, a.Stage), r.Size())
	if err != nil {
		return lineage.Result{}, err
	}
	b := attest.Binding{
		Model: a.Model, Version: a.Version, Artefact: row.Root, Stage: a.Stage, PolicyDigest: a.PolicyDigest,
		EvidenceDigest: attest.EvidenceDigest(evidence), RequestNonce: a.Nonce, Expires: a.Expires.UTC().Truncate(time.Second),
	}
	version := versionRef(b)
	res := lineage.Result{
		Predicate: attest.PromotionRequest{Binding: b, Evidence: evidence, Reason: a.Reason},
		Subjects:  subjects(b),
		Relations: []attest.Relation{
			{Type: attest.RelRequested, Ref: version},
			{Type: attest.RelConcerns, Ref: lineage.Ref{Kind: attest.ArtefactPolicy, Digest: b.PolicyDigest}},
		},
	}
	for _, e := range evidence {
		res.Relations = append(res.Relations, concerns(e))
	}
	return res, nil
}

func versionRef(b attest.Binding) lineage.Ref {
	return lineage.Ref{Kind: attest.ArtefactVersion, Digest: b.Artefact, Name: b.Model + " " + b.Version}
}

func subjects(b attest.Binding) []attest.Subject {
	return []attest.Subject{{Name: b.Model + " " + b.Version, Digest: map[string]string{"sha256": b.Artefact}}}
}

func concerns(e attest.EntryRef) attest.Relation {
	return attest.Relation{Type: attest.RelConcerns, Ref: lineage.Ref{Kind: attest.ArtefactEntry, Digest: e.PAE, Name: e.Kind}}
}

func versionOf(r *lineage.ReadTx, project, model, version string) (versionRow, error) {
	var row versionRow
	err := r.First(&row, "project = ? AND model = ? AND version = ?", project, model, version)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return row, lineage.Errf(lineage.CodeRefused, "version", "%s %s is not registered in project %q", model, version, project).WithRemedy("register the version first")
	}
	return row, err
}

// judging are the kinds whose content can speak against a version. A request
// that left one out would choose its own evidence.
func judging(kind string) bool {
	return kind == attest.KindEvaluation || kind == attest.KindDataValidation
}

// askedKinds are the kinds that a request freezes: those of a version's making
// and judging, and what else the stage asks for.
func askedKinds(p *policy.Policy, stage string) []string {
	kinds := []string{attest.KindDataVersion, attest.KindDataValidation, attest.KindFeatureSet, attest.KindPipeline, attest.KindRetrainTrigger,
		attest.KindTrainingRun, attest.KindEvaluation, attest.KindModelSignature, attest.KindRegistration}
	if s := p.Stages[stage]; s != nil {
		for _, need := range s.Evidence {
			if !slices.Contains(kinds, need.Kind) {
				kinds = append(kinds, need.Kind)
			}
		}
	}
	return kinds
}

// evidenceOf lists, in log order, the entries below an index that are upstream
// of a version, or made or judged it or its served file.
func evidenceOf(r *lineage.ReadTx, project string, row versionRow, kinds []string, below int64) ([]attest.EntryRef, error) {
	idx, err := r.UpstreamEntries(refs(row), below, lineage.ContributesOnly)
	if err != nil {
		return nil, err
	}
	var about []int64
	// As rbac/policy reads "about this version": context and comparisons are not.
	loose := []string{string(attest.RelComparedWith), string(attest.RelConcerns), string(attest.RelSupersedes), string(attest.RelTriggeredBy)}
	err = r.DB().Table("edges").Where("((kind = ? AND digest = ?) OR (kind = ? AND digest = ?)) AND relation NOT IN ? AND idx < ?",
		attest.ArtefactVersion, row.Root, attest.ArtefactModel, row.Artefact, loose, below).Order("idx").Pluck("idx", &about).Error
	if err != nil {
		return nil, err
	}
	idx = append(idx, about...)
	slices.Sort(idx)
	out := []attest.EntryRef{}
	for part := range slices.Chunk(slices.Compact(idx), 500) {
		var some []struct {
			Idx  int64
			Pae  string
			Kind string
		}
		if err := r.DB().Table("entries").Select("idx, pae, kind").Where("idx IN ? AND project = ? AND kind IN ?", part, project, kinds).Order("idx").Scan(&some).Error; err != nil {
			return nil, err
		}
		for _, e := range some {
			out = append(out, attest.EntryRef{Index: e.Idx, PAE: e.Pae, Kind: e.Kind})
		}
	}
	return out, nil
}

// checkRequest: every part of the binding is true when it is logged.
func checkRequest(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.PromotionRequest
	if err := e.Decode(&p); err != nil {
		return err
	}
	b := p.Binding
	if b.RequestNonce != e.Step.Nonce {
		return lineage.Errf(lineage.CodeInvalid, "binding.requestNonce", "is not the step's nonce %s", e.Step.Nonce).WithRemedy("bind the request to the nonce of its own step")
	}
	row, err := versionOf(r, e.Project, b.Model, b.Version)
	if err != nil {
		return err
	}
	if row.Root != b.Artefact {
		return lineage.Errf(lineage.CodeRefused, "binding.artefact", "%s %s has root %s", b.Model, b.Version, row.Root)
	}
	if !e.Has(attest.RelRequested, attest.ArtefactVersion, b.Artefact) || !e.Has(attest.RelConcerns, attest.ArtefactPolicy, b.PolicyDigest) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say: requested version %s, concerns policy %s", b.Artefact, b.PolicyDigest)
	}
	if err := onlyVersion(e, attest.RelRequested, b.Artefact); err != nil {
		return err
	}
	pol, err := checkPolicy(r, e, b)
	if err != nil {
		return err
	}
	stage := pol.Stages[b.Stage]
	if stage == nil {
		return lineage.Errf(lineage.CodeRefused, "binding.stage", "policy %s says nothing about stage %q", pol.Name, b.Stage)
	}
	if !b.Expires.After(e.Stamp) {
		return lineage.Errf(lineage.CodeRefused, "binding.expires", "lies in the past")
	}
	if longest := e.Stamp.Add(time.Duration(stage.ApprovalExpiry) + clockSlack); b.Expires.After(longest) {
		return lineage.Errf(lineage.CodeRefused, "binding.expires", "is later than the policy allows, %s", longest.Format(time.RFC3339))
	}
	return checkFrozen(r, e, p, row, askedKinds(pol, b.Stage))
}

// checkPolicy: the policy bound is published, and no later one has its name.
func checkPolicy(r *lineage.ReadTx, e *lineage.Entry, b attest.Binding) (*policy.Policy, error) {
	pol, err := policyOf(r, e.Project, b.PolicyDigest, e.Index)
	if err != nil {
		return nil, err
	}
	var published []govern.PolicyRow
	if err := r.Find(&published, "entry DESC", "project = ? AND name = ? AND entry < ?", e.Project, pol.Name, e.Index); err != nil {
		return nil, err
	}
	if len(published) > 0 && published[0].Digest != b.PolicyDigest {
		return nil, lineage.Errf(lineage.CodeRefused, "binding.policyDigest", "policy %s %s was superseded by version %s (entry %d)", pol.Name, pol.Version, published[0].Version, published[0].Entry).
			WithRemedy("make the request under the policy in force")
	}
	return pol, nil
}

// checkFrozen: the evidence is what it says, and leaves out nothing that judged
// the version or its data.
func checkFrozen(r *lineage.ReadTx, e *lineage.Entry, p attest.PromotionRequest, row versionRow, kinds []string) error {
	if attest.EvidenceDigest(p.Evidence) != p.Binding.EvidenceDigest {
		return lineage.Errf(lineage.CodeInvalid, "binding.evidenceDigest", "is not that of the evidence listed")
	}
	frozen := map[attest.EntryRef]bool{}
	for i, ref := range p.Evidence {
		field := fmt.Sprintf("evidence[%d]", i)
		if i > 0 && ref.Index <= p.Evidence[i-1].Index {
			return lineage.Errf(lineage.CodeInvalid, field, "is not in log order, each entry once")
		}
		ev, err := r.Cited(field, ref, ref.Kind)
		if err != nil {
			return err
		}
		if ev.Project != e.Project {
			return lineage.Errf(lineage.CodeRefused, field, "entry %d belongs to project %q", ev.Index, ev.Project)
		}
		if !e.Has(attest.RelConcerns, attest.ArtefactEntry, ref.PAE) {
			return lineage.Errf(lineage.CodeInvalid, "relations", "must say: concerns entry %s", ref.PAE)
		}
		frozen[ref] = true
	}
	all, err := evidenceOf(r, e.Project, row, kinds, e.Index)
	if err != nil {
		return err
	}
	for _, ref := range all {
		if judging(ref.Kind) && !frozen[ref] {
			return lineage.Errf(lineage.CodeConflict, "evidence", "leaves out entry %d (%s), which judged the version or its data", ref.Index, ref.Kind).
				WithRemedy("freeze the evidence again and make a new request")
		}
	}
	return nil
}

// onlyVersion refuses a relation of that type to any version but one: what is
// bound and what the graph says must be the same thing.
func onlyVersion(e *lineage.Entry, t attest.RelationType, root string) error {
	for _, ref := range e.Related(t) {
		if ref.Kind == attest.ArtefactVersion && ref.Digest != root {
			return lineage.Errf(lineage.CodeInvalid, "relations", "say %s version %s, the binding is about %s", t, ref.Digest, root)
		}
	}
	return nil
}
