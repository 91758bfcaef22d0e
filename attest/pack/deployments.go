package pack

import (
	"fmt"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/rbac/policy"
	"affidavit/rbac/sod"
)

// rejudge judges a promotion request again, as the log stood below an index,
// from the entries alone. What a verdict claims plays no part.
func (c *checker) rejudge(ref attest.EntryRef, below int64, now time.Time) (policy.Verdict, error) {
	rp, request := c.request(ref)
	if request == nil {
		return policy.Verdict{}, fmt.Errorf("the request, entry %d, is not in the pack", ref.Index)
	}
	pol, err := c.policyOf(rp.entry.Project, request.Binding.PolicyDigest, below)
	if err != nil {
		return policy.Verdict{}, err
	}
	in := policy.Input{Request: *request, RequestEntry: rp.entry, History: c.history, Below: below, Now: now}
	found := false
	for _, p := range c.entries {
		switch p.entry.Kind {
		case attest.KindRegistration:
			if v := facts[attest.Registration](p); v != nil && !found && v.Root == request.Binding.Artefact &&
				v.Model == request.Binding.Model && v.Version == request.Binding.Version && p.entry.Project == rp.entry.Project {
				in.Registration, in.RegistrationEntry, found = *v, p.entry, true
			}
		case attest.KindAcceptance, attest.KindDecision, attest.KindWithdrawal:
			if p.entry.Index < below {
				in.Decisions = append(in.Decisions, p.entry)
			}
		}
	}
	if !found {
		return policy.Verdict{}, fmt.Errorf("no entry registers %s version %s with the files that the request names", clip(request.Binding.Model), clip(request.Binding.Version))
	}
	for _, e := range request.Evidence {
		p := c.at(e.Index)
		if p == nil || p.entry.PAE != e.PAE {
			return policy.Verdict{}, fmt.Errorf("evidence entry %d is not in the pack", e.Index)
		}
		full, err := c.reload(p)
		if err != nil {
			return policy.Verdict{}, err
		}
		in.Evidence = append(in.Evidence, full)
	}
	return pol.Judge(in)
}

// unmet joins the words of the conditions that do not hold.
func unmet(v policy.Verdict) string {
	var words []string
	for _, cond := range v.Conditions {
		if !cond.Met {
			words = append(words, cond.Name+": "+cond.Words)
		}
	}
	return strings.Join(words, "; ")
}

// checkVerdicts judges every gate verdict again. One that passed and should
// not have is refused; one that failed and could have passed is not.
func (c *checker) checkVerdicts() {
	mark, n := len(c.report.Refusals), 0
	for _, p := range c.entries {
		v := facts[attest.VSA](p)
		if v == nil {
			continue
		}
		n++
		code, words := c.judgeVerdict(p, v)
		c.report.Judged = append(c.report.Judged, Judged{Index: p.entry.Index, Kind: p.entry.Kind, Model: v.Gate.Binding.Model + " " + v.Gate.Binding.Version,
			Stage: v.Gate.Binding.Stage, Claims: v.VerificationResult, Holds: code == "", Words: words})
		if code != "" {
			c.refuseEntry(code, p, "%s", words)
		}
	}
	c.report.check("verdicts", mark, "%d gate verdicts judged again by their policies: evidence, quorum, duties, expiry", n)
}

func (c *checker) judgeVerdict(p *proven, v *attest.VSA) (Code, string) {
	_, request := c.request(v.Gate.Request)
	switch {
	case request == nil:
		return CodeReference, fmt.Sprintf("the request that it judges, entry %d, is not in the pack", v.Gate.Request.Index)
	case !sameBinding(v.Gate.Binding, request.Binding):
		return CodeVerdict, fmt.Sprintf("it binds another version, stage, policy, evidence or expiry than its request (entry %d)", v.Gate.Request.Index)
	case v.Policy.Digest["sha256"] != request.Binding.PolicyDigest:
		return CodeVerdict, "it names another policy than its request"
	}
	judged, err := c.rejudge(v.Gate.Request, p.entry.Index, p.entry.Stamp)
	passed := err == nil && judged.Passed
	switch {
	case v.VerificationResult == resultPassed && err != nil:
		return CodeVerdict, fmt.Sprintf("it passed, and cannot be judged again: %v", err)
	case v.VerificationResult == resultPassed && !passed:
		return CodeVerdict, "it passed, and should not have: " + unmet(judged)
	case passed && v.VerificationResult != resultPassed:
		return "", "it failed; by the entries of the log alone it could have passed"
	case !passed:
		return "", "it failed, as judged again"
	}
	return "", fmt.Sprintf("it passed, as judged again on %d conditions", len(judged.Conditions))
}

// checkDeployments judges every admission: it rests on a verdict that passed
// for the same version and stage, the quorum still stood at its own index, and
// its permit was used once.
func (c *checker) checkDeployments() {
	mark, n := len(c.report.Refusals), 0
	permits := map[string]int64{}
	for _, p := range c.entries {
		d := facts[attest.Deployment](p)
		if d == nil || d.Action == actionRetire {
			continue
		}
		n++
		code, words := c.judgeDeployment(p, d)
		line := Judged{Index: p.entry.Index, Kind: p.entry.Kind, Model: d.Model + " " + d.Version, Stage: d.Stage,
			Claims: d.Action + " as " + d.Role + " at " + d.Endpoint, Holds: code == "", Words: words}
		if code != "" {
			c.refuseEntry(code, p, "%s", words)
		} else {
			line.Since = c.since(d)
		}
		c.report.Judged = append(c.report.Judged, line)
		if first, used := permits[d.Permit]; used {
			c.refuseEntry(CodePermit, p, "its permit was used by entry %d already", first)
		} else {
			permits[d.Permit] = p.entry.Index
		}
	}
	c.report.check("deployments", mark, "%d deployments, each on a verdict that holds, a quorum that still stood, and a permit of its own", n)
}

func (c *checker) judgeDeployment(p *proven, d *attest.Deployment) (Code, string) {
	vp := c.at(d.Verdict.Index)
	v := facts[attest.VSA](vp)
	if v == nil || vp.entry.PAE != d.Verdict.PAE || vp.entry.Index >= p.entry.Index {
		return CodeDeployment, fmt.Sprintf("it names entry %d as its gate verdict, and no such verdict lies before it", d.Verdict.Index)
	}
	b := v.Gate.Binding
	switch {
	case v.VerificationResult != resultPassed:
		return CodeDeployment, fmt.Sprintf("its verdict, entry %d, did not pass", vp.entry.Index)
	case v.Gate.Request != d.Request:
		return CodeDeployment, "its verdict judged another request"
	case b.Model != d.Model || b.Version != d.Version || b.Stage != d.Stage || b.Artefact != d.Root:
		return CodeDeployment, fmt.Sprintf("it deploys %s %s for stage %q, its verdict is about %s %s for stage %q, or the files differ",
			clip(d.Model), clip(d.Version), clip(d.Stage), clip(b.Model), clip(b.Version), clip(b.Stage))
	case !c.registered(d):
		return CodeDeployment, "the artefact that the runtime loaded is not the one that was registered"
	case d.Permit != attest.Permit(d.Verdict.PAE, d.Endpoint, d.Role):
		return CodePermit, "its permit is not the one of this verdict, endpoint and role"
	case !namesVersion(&p.entry, d.Root):
		return CodeDeployment, "its signed relations name another version than its predicate"
	}
	judged, err := c.rejudge(d.Request, p.entry.Index, p.entry.Stamp)
	if err != nil {
		return CodeDeployment, fmt.Sprintf("it cannot be judged again: %v", err)
	}
	if !judged.Passed {
		return CodeDeployment, "it was not to be deployed any more: " + unmet(judged)
	}
	if words := c.canary(p, d); words != "" {
		return CodeDeployment, words
	}
	return "", "the quorum stood when it was deployed"
}

// registered reports whether the served file is the one registered with the root.
func (c *checker) registered(d *attest.Deployment) bool {
	for _, p := range c.entries {
		if v := facts[attest.Registration](p); v != nil && v.Root == d.Root && v.Model == d.Model && v.Version == d.Version {
			return v.Artefact == d.Artefact
		}
	}
	return false
}

func namesVersion(e *sod.Entry, root string) bool {
	for _, r := range e.Relations {
		if r.Type == attest.RelDeployed && r.Kind == attest.ArtefactVersion && r.Digest != root {
			return false
		}
	}
	return true
}

// canary: a promotion that rests on a canary rests on one that said so, about
// this very version at this endpoint.
func (c *checker) canary(p *proven, d *attest.Deployment) string {
	if d.Canary == nil {
		return ""
	}
	v := facts[attest.CanaryVerdict](c.at(d.Canary.Index))
	if v == nil {
		return fmt.Sprintf("its canary verdict, entry %d, is not in the pack", d.Canary.Index)
	}
	challenger := facts[attest.Deployment](c.at(v.Challenger.Index))
	switch {
	case d.Action == actionPromote && v.Verdict != "promote":
		return fmt.Sprintf("it promotes on a canary (entry %d) whose verdict was %q", d.Canary.Index, clip(v.Verdict))
	case v.Endpoint != d.Endpoint || challenger == nil:
		return fmt.Sprintf("its canary (entry %d) was at another endpoint, or its challenger is not in the pack", d.Canary.Index)
	case d.Action == actionPromote && (challenger.Version != d.Version || challenger.Root != d.Root):
		return fmt.Sprintf("it promotes version %q on a canary of version %q", clip(d.Version), clip(challenger.Version))
	}
	return ""
}

// since judges a deployment once more at the pack's checkpoint.
func (c *checker) since(d *attest.Deployment) string {
	if len(c.entries) == 0 {
		return ""
	}
	judged, err := c.rejudge(d.Request, c.cp.Size, c.entries[len(c.entries)-1].entry.Stamp)
	switch {
	case err != nil:
		return err.Error()
	case !judged.Passed:
		return unmet(judged)
	}
	return ""
}
