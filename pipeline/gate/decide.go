package gate

import (
	"context"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/rbac"
	"affidavit/rbac/sod"
)

// Decide makes the result of a person's word on a request, and says which kind
// of step carries it: an acceptance in the role model-owner, else a decision.
func Decide(r *lineage.ReadTx, request int64, role, outcome, reason string, conditions ...string) (kind string, res lineage.Result, err error) {
	e, err := r.Entry(request)
	if err != nil {
		return "", lineage.Result{}, err
	}
	var p attest.PromotionRequest
	if e.Kind != attest.KindPromotionRequest {
		return "", lineage.Result{}, lineage.Errf(lineage.CodeInvalid, "request", "entry %d is a %s, not a promotion request", request, e.Kind)
	}
	if err := e.Decode(&p); err != nil {
		return "", lineage.Result{}, err
	}
	kind = attest.KindDecision
	if role == sod.RoleModelOwner {
		kind = attest.KindAcceptance
	}
	return kind, lineage.Result{
		Predicate: attest.Decision{Request: e.EntryRef(), Binding: p.Binding, Role: role, Outcome: outcome, Reason: reason, Conditions: conditions},
		Subjects:  subjects(p.Binding),
		Relations: []attest.Relation{
			{Type: attest.RelDecided, Ref: versionRef(p.Binding)},
			{Type: attest.RelDecided, Ref: lineage.Ref{Kind: attest.ArtefactEntry, Digest: e.PAE, Name: e.Kind}},
			{Type: attest.RelConcerns, Ref: lineage.Ref{Kind: attest.ArtefactPolicy, Digest: p.Binding.PolicyDigest}},
		},
	}, nil
}

// WithdrawalResult makes the result of a withdrawal step of a request, an
// acceptance or a decision.
func WithdrawalResult(target attest.EntryRef, reason string) lineage.Result {
	return lineage.Result{Predicate: attest.Withdrawal{Target: target, Reason: reason}, Relations: []attest.Relation{concerns(target)}}
}

// checkDecision is where a decision becomes one: bound to its request, by a
// person who holds the role and worked on nothing upstream, once.
func checkDecision(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.Decision
	if err := e.Decode(&p); err != nil {
		return err
	}
	req, err := r.Cited("request", p.Request, attest.KindPromotionRequest)
	if err != nil {
		return err
	}
	if err := checkBound(e, req, p); err != nil {
		return err
	}
	if err := checkMay(r, e, p); err != nil {
		return err
	}
	if err := checkStands(r, e, p); err != nil {
		return err
	}
	words, err := said(r, req.Index)
	if err != nil {
		return err
	}
	for _, w := range words {
		if w.Actor == e.Actor {
			return lineage.Errf(lineage.CodeConflict, "request", "%s decided on it already, as %s at entry %d (%s)", e.Actor, w.Role, w.Entry, w.Outcome).
				WithRemedy("withdraw that entry first; one person decides once, in one role")
		}
	}
	return nil
}

// checkBound holds predicate and relations against the request.
func checkBound(e, req *lineage.Entry, p attest.Decision) error {
	var asked attest.PromotionRequest
	if err := req.Decode(&asked); err != nil {
		return err
	}
	if req.Project != e.Project {
		return lineage.Errf(lineage.CodeRefused, "request", "entry %d belongs to project %q", req.Index, req.Project)
	}
	if field := differs(p.Binding, asked.Binding); field != "" {
		return lineage.Errf(lineage.CodeRefused, "binding."+field, "is not that of the request (entry %d)", req.Index).WithRemedy("decide on what was asked, or ask for a new request")
	}
	switch p.Outcome {
	case attest.OutcomeApproved, attest.OutcomeRejected:
	case attest.OutcomeConditional:
		if len(p.Conditions) == 0 {
			return lineage.Errf(lineage.CodeInvalid, "conditions", "a conditional approval names its conditions")
		}
	default:
		return lineage.Errf(lineage.CodeInvalid, "outcome", "%q is not one of %s, %s, %s", p.Outcome, attest.OutcomeApproved, attest.OutcomeConditional, attest.OutcomeRejected)
	}
	if !e.Has(attest.RelDecided, attest.ArtefactVersion, p.Binding.Artefact) || !e.Has(attest.RelDecided, attest.ArtefactEntry, req.PAE) ||
		!e.Has(attest.RelConcerns, attest.ArtefactPolicy, p.Binding.PolicyDigest) || len(e.Related(attest.RelDecided)) != 2 {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say: decided version %s, decided entry %s, concerns policy %s, and decide nothing else",
			p.Binding.Artefact, req.PAE, p.Binding.PolicyDigest)
	}
	return nil
}

// differs names the first field in which two bindings differ, "" if in none.
func differs(a, b attest.Binding) string {
	switch {
	case a.Model != b.Model:
		return "model"
	case a.Version != b.Version:
		return "version"
	case a.Artefact != b.Artefact:
		return "artefact"
	case a.Stage != b.Stage:
		return "stage"
	case a.PolicyDigest != b.PolicyDigest:
		return "policyDigest"
	case a.EvidenceDigest != b.EvidenceDigest:
		return "evidenceDigest"
	case a.RequestNonce != b.RequestNonce:
		return "requestNonce"
	case !a.Expires.Equal(b.Expires):
		return "expires"
	}
	return ""
}

// checkMay asks who decides: the role, then the duties, then for an acceptance
// the inventory's owner. Whoever holds the role may reject, also own work.
func checkMay(r *lineage.ReadTx, e *lineage.Entry, p attest.Decision) error {
	if err := rbac.MayDecideAs(p.Role, e.Kind); err != nil {
		return lineage.Errf(lineage.CodeForbidden, "role", "%v", err)
	}
	row, err := versionOf(r, e.Project, p.Binding.Model, p.Binding.Version)
	if err != nil {
		return err
	}
	h, err := history(r, e.Project, refs(row), e.Index)
	if err != nil {
		return err
	}
	if e.OnBehalfOf != "" || !h.HasRole(e.Actor, e.Project, p.Role, e.Index) {
		return lineage.Errf(lineage.CodeForbidden, "role", "%s does not hold the role %s in project %q, or signs for another", e.Actor, p.Role, e.Project).
			WithRemedy("decisions are signed by the person who holds the role")
	}
	if p.Outcome != attest.OutcomeRejected {
		if err := checkDuties(r, e, p, h, row); err != nil {
			return err
		}
	}
	if e.Kind != attest.KindAcceptance {
		return nil
	}
	inv, at, ok := h.Inventory(e.Project, p.Binding.Model, e.Index)
	if !ok {
		return lineage.Errf(lineage.CodeRefused, "binding.model", "%q has no inventory entry", p.Binding.Model)
	}
	if inv.Owner != e.Actor {
		return lineage.Errf(lineage.CodeForbidden, "role", "%s is owned by %s (entry %d), who alone accepts it, not by %s", inv.Model, inv.Owner, at.Index, e.Actor).
			WithRemedy("ask the owner")
	}
	return nil
}

// checkDuties is segregation of duties: the decider is none of those behind
// anything upstream of the version or of its served file.
func checkDuties(r *lineage.ReadTx, e *lineage.Entry, p attest.Decision, h *sod.History, row versionRow) error {
	nodes := refs(row)
	nodes[0].Name = p.Binding.Model + " " + p.Binding.Version
	c, err := h.ContributorsOf(e.Index, nodes...)
	if err != nil {
		return err
	}
	if v := h.Independent(e.Actor, &c, e.Index); v != nil {
		return lineage.Errf(lineage.CodeForbidden, "actor", "%s", v.Words).WithRemedy("someone who had no part in making this version decides")
	}
	pol, err := policyOf(r, e.Project, p.Binding.PolicyDigest, e.Index)
	if err != nil {
		return err
	}
	var accepted []string
	for _, w := range pol.AcceptUnknown {
		accepted = append(accepted, w.Kind)
	}
	if open := c.Open(accepted...); len(open) > 0 {
		return lineage.Errf(lineage.CodeForbidden, "actor", "nobody can decide while a contributor is unknown: %s", open[0].Words).
			WithRemedy("attest where it came from, or have the policy accept the kind with a reason")
	}
	return nil
}

// checkStands: the request can still be decided on.
func checkStands(r *lineage.ReadTx, e *lineage.Entry, p attest.Decision) error {
	var state StateRow
	if err := r.First(&state, "request = ?", p.Request.Index); err != nil {
		return err
	}
	if state.State == StateWithdrawn {
		return lineage.Errf(lineage.CodeRefused, "request", "was withdrawn by entry %d", state.Entry).WithRemedy("ask for a new request")
	}
	if !p.Binding.Expires.After(e.Stamp) {
		return lineage.Errf(lineage.CodeRefused, "request", "expired on %s", p.Binding.Expires.UTC().Format("2006-01-02 15:04 UTC")).WithRemedy("ask for a new request")
	}
	_, err := checkPolicy(r, e, p.Binding)
	return err
}

// checkWithdrawal: requests are withdrawn by who made them or by those who
// decide, words by who said them; an approval also by its role's other holders
// and by risk officers. A rejection is taken back by its author only.
func checkWithdrawal(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.Withdrawal
	if err := e.Decode(&p); err != nil {
		return err
	}
	switch p.Target.Kind {
	case attest.KindPromotionRequest, attest.KindAcceptance, attest.KindDecision:
	default:
		return lineage.Errf(lineage.CodeInvalid, "target.kind", "a %q is not withdrawn", p.Target.Kind).WithRemedy("name a request, an acceptance or a decision")
	}
	target, err := r.Cited("target", p.Target, p.Target.Kind)
	if err != nil {
		return err
	}
	if target.Project != e.Project {
		return lineage.Errf(lineage.CodeRefused, "target", "entry %d belongs to project %q", target.Index, target.Project)
	}
	if !e.Has(attest.RelConcerns, attest.ArtefactEntry, target.PAE) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say: concerns entry %s", target.PAE)
	}
	var old DecisionRow
	switch err := r.First(&old, "kind = ? AND target = ?", attest.KindWithdrawal, target.Index); lineage.CodeOf(err) {
	case lineage.CodeNotFound:
	case "":
		return lineage.Errf(lineage.CodeConflict, "target", "was withdrawn by entry %d", old.Entry)
	default:
		return err
	}
	if target.Actor == e.Actor {
		return nil
	}
	roles := []string{sod.RoleModelOwner, sod.RoleValidator, sod.RoleRiskOfficer}
	if target.Kind != attest.KindPromotionRequest {
		var d attest.Decision
		if err := target.Decode(&d); err != nil {
			return err
		}
		roles = []string{d.Role, sod.RoleRiskOfficer}
		if d.Outcome == attest.OutcomeRejected {
			roles = nil
		}
	}
	for _, role := range roles {
		if held, err := r.HasRole(e.Actor, e.Project, role); held || err != nil {
			return err
		}
	}
	return lineage.Errf(lineage.CodeForbidden, "target", "entry %d is %s's, and %s may not take it back", target.Index, target.Actor, e.Actor).WithRemedy("ask its author")
}
