package pack

import (
	"context"
	"fmt"

	"affidavit/attest"
	"affidavit/rbac"
	"affidavit/rbac/policy"
	"affidavit/rbac/sod"
)

// Actions of a deployment.
const (
	actionPromote = "promote"
	actionRetire  = "retire"
)

const resultPassed = "PASSED"

// judge holds the contents of the pack against the entries, and the entries
// against the rules of the duties.
func (c *checker) judge(context.Context) bool {
	c.checkReferences()
	c.checkPolicies()
	c.checkDocuments()
	c.checkStates()
	c.checkLineage()
	c.checkDecisions()
	c.checkVerdicts()
	c.checkDeployments()
	return true
}

// openQuestions says what stays open, whatever the outcome.
func (c *checker) openQuestions() {
	r := c.report
	if !r.Anchored {
		r.NotProven = append(r.NotProven, "Whose log this is: the pack was verified under the trust root that it brought along.")
	}
	r.NotProven = append(r.NotProven,
		"That the log's operator kept one log only, and that its timestamps are true: log, timestamp and certificate keys are the operator's.")
	if c.manifest != nil && c.manifest.Query != QueryProject {
		r.NotProven = append(r.NotProven, "That the part named by the query is complete: that is the exporter's signed word.")
	}
	if r.Absent > 0 && c.manifest != nil {
		r.NotProven = append(r.NotProven, fmt.Sprintf("What the %d entries of the log that are not in the pack say: they belong to other projects by the exporter's word.", r.Absent))
	}
}

// policyOf returns the parsed policy of a digest, as published in a project
// before an index. Whether it was in force is for policy.Judge.
func (c *checker) policyOf(project, digest string, below int64) (*policy.Policy, error) {
	for _, p := range c.entries {
		v := facts[attest.PolicyPublication](p)
		if v == nil || v.Digest != digest || p.entry.Project != project || p.entry.Index >= below {
			continue
		}
		if parsed := c.policies[digest]; parsed != nil {
			return parsed, nil
		}
		parsed, err := policy.Parse([]byte(v.YAML))
		if err != nil {
			return nil, fmt.Errorf("policy %.12s… of entry %d: %w", digest, p.entry.Index, err)
		}
		c.policies[digest] = parsed
		return parsed, nil
	}
	return nil, fmt.Errorf("policy %.12s… was not published in project %q before it", digest, project)
}

// request returns the promotion request that an entry names.
func (c *checker) request(ref attest.EntryRef) (*proven, *attest.PromotionRequest) {
	p := c.at(ref.Index)
	if v := facts[attest.PromotionRequest](p); v != nil && p.entry.PAE == ref.PAE {
		return p, v
	}
	return nil, nil
}

// checkDecisions judges every decision and acceptance by itself: it binds its
// request, its signer held the role, and was none of the contributors. It
// does not ask whether a verdict used it.
func (c *checker) checkDecisions() {
	mark, n := len(c.report.Refusals), 0
	for _, p := range c.entries {
		d := facts[attest.Decision](p)
		if d == nil {
			continue
		}
		n++
		code, words := c.judgeDecision(p, d)
		c.report.Decisions = append(c.report.Decisions, Decision{
			Index: p.entry.Index, Kind: p.entry.Kind, Actor: p.entry.Actor, Role: d.Role, Outcome: d.Outcome,
			Model: d.Binding.Model, Version: d.Binding.Version, Stage: d.Binding.Stage,
			Logged: p.entry.Stamp, Expires: d.Binding.Expires, Holds: code == "", Contends: words})
		if code != "" {
			c.refuseEntry(code, p, "%s", words)
		}
	}
	c.report.check("decisions", mark, "%d decisions and acceptances: bound to their request, by people who held the role and worked on nothing upstream", n)
}

// judgeDecision returns "" or the code and words of what is wrong.
func (c *checker) judgeDecision(p *proven, d *attest.Decision) (Code, string) {
	e := &p.entry
	rp, request := c.request(d.Request)
	switch {
	case request == nil:
		return CodeReference, fmt.Sprintf("the request that it answers, entry %d, is not in the pack", d.Request.Index)
	case !sameBinding(d.Binding, request.Binding):
		return CodeDecision, fmt.Sprintf("it is about %s version %q for stage %q, its request (entry %d) is about version %q for stage %q, or artefact, policy, evidence, nonce or expiry differ",
			clip(d.Binding.Model), clip(d.Binding.Version), clip(d.Binding.Stage), rp.entry.Index, clip(request.Binding.Version), clip(request.Binding.Stage))
	case !decidedOn(e, d):
		return CodeDecision, "its signed relations name another version or request than the one that it binds"
	case rbac.MayDecideAs(d.Role, e.Kind) != nil:
		return CodeDecision, rbac.MayDecideAs(d.Role, e.Kind).Error()
	case !c.asOf(e.Index).HasRole(e.Actor, e.Project, d.Role, e.Index):
		return CodeRole, fmt.Sprintf("%s did not hold the role %s when deciding; a later grant does not count", clip(e.Actor), clip(d.Role))
	}
	if d.Outcome == attest.OutcomeRejected {
		return "", "" // whoever holds the role may say no, also on own work
	}
	// The waivers of the policy in force: what it accepts without a known maker.
	var accepted []string
	if pol, err := c.policyOf(e.Project, d.Binding.PolicyDigest, e.Index); err != nil {
		return CodePolicy, err.Error()
	} else {
		for _, w := range pol.AcceptUnknown {
			accepted = append(accepted, w.Kind)
		}
	}
	ref := attest.Ref{Kind: attest.ArtefactVersion, Digest: d.Binding.Artefact, Name: d.Binding.Model + " " + d.Binding.Version}
	if v := c.asOf(e.Index).MayDecide(e.Actor, ref, e.Index, accepted...); v != nil {
		return CodeDuty, v.Words
	}
	return "", ""
}

func sameBinding(a, b attest.Binding) bool {
	if !a.Expires.Equal(b.Expires) {
		return false
	}
	a.Expires = b.Expires // equal moments may be written in two ways
	return a == b
}

// decidedOn wants the relations of a decision to name its version or request,
// and no other.
func decidedOn(e *sod.Entry, d *attest.Decision) bool {
	found := false
	for _, r := range e.Relations {
		if r.Type != attest.RelDecided {
			continue
		}
		switch {
		case r.Kind == attest.ArtefactVersion && r.Digest == d.Binding.Artefact, r.Kind == attest.ArtefactEntry && r.Digest == d.Request.PAE:
			found = true
		case r.Kind == attest.ArtefactVersion || r.Kind == attest.ArtefactEntry:
			return false
		}
	}
	return found
}
