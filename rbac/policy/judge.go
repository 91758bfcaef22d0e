package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

// Input is what a request is judged on. Every entry must come from a verified
// log; the judge checks how they belong together, not their signatures.
type Input struct {
	Request      attest.PromotionRequest
	RequestEntry sod.Entry
	// Registration is the version that the request names.
	Registration      attest.Registration
	RegistrationEntry sod.Entry
	// Evidence are the entries that the request froze, in its order.
	Evidence []sod.Entry
	// Decisions are the acceptances, decisions and withdrawals about the
	// request below Below; others may be among them. Those that History holds
	// are judged as well, so that none can be left out.
	Decisions []sod.Entry
	// History holds every governing entry below Below (sod.Governs), and what
	// is upstream of the version.
	History *sod.History
	// Below is the log size at which it is judged, Now the stamp of that index.
	Below int64
	Now   time.Time
}

// Verdict is the gate's answer.
type Verdict struct {
	Passed bool
	// Conditions are all that the policy asks, in a fixed order.
	Conditions []attest.Condition
	// Limits are the conditions that the counted approvals set.
	Limits []string
}

// Names of the conditions that every policy implies; those of evidence and
// approvals are "evidence:<name>" and "approvals:<role>".
const (
	CondPolicy       = "policy_in_force"
	CondTier         = "risk_tier"
	CondStage        = "stage_known"
	CondVersion      = "registered_version"
	CondRequest      = "request_valid"
	CondFrozen       = "evidence_frozen"
	CondProhibited   = "no_prohibited_basis"
	CondContributors = "known_contributors"
	CondAcceptance   = "owner_acceptance"
	CondRejection    = "no_rejection"
	CondWithdrawal   = "not_withdrawn"
	CondExpiry       = "not_expired"
)

// clockSlack is how far the requester's clock may run ahead of the log's when
// it sets the expiry of the request.
const clockSlack = 5 * time.Minute

// judge holds one judgement's working state.
type judge struct {
	p        *Policy
	in       Input
	stage    *Stage
	h        *sod.History // as of Below
	upstream sod.Contributors
	out      Verdict
}

// Judge judges a request. The verdict is a pure function of the policy and the
// input. An error means that the input is not what it says, such as a
// predicate that differs from its entry; an unmet condition is no error.
func (p *Policy) Judge(in Input) (Verdict, error) {
	j := &judge{p: p, in: in}
	if err := j.prepare(); err != nil {
		return Verdict{}, err
	}
	j.policyInForce()
	j.tier()
	if j.stage == nil {
		j.add(CondStage, false, nil, fmt.Sprintf("the policy says nothing about stage %q; it covers %s",
			in.Request.Binding.Stage, strings.Join(p.stageNames(), ", ")))
		return j.out, nil
	}
	j.version()
	j.request()
	j.frozen()
	for _, r := range j.stage.Evidence {
		j.evidence(r)
	}
	if j.stage.Prohibited != nil {
		j.prohibited()
	}
	j.contributors()
	if err := j.decisions(); err != nil {
		return Verdict{}, err
	}
	j.expiry()
	j.out.Passed = true
	for _, c := range j.out.Conditions {
		j.out.Passed = j.out.Passed && c.Met
	}
	return j.out, nil
}

func (j *judge) prepare() error {
	in := &j.in
	if in.History == nil {
		return errors.New("history is missing")
	}
	if in.RequestEntry.Kind != attest.KindPromotionRequest {
		return fmt.Errorf("entry %d is a %s, not a promotion request", in.RequestEntry.Index, in.RequestEntry.Kind)
	}
	if in.RegistrationEntry.Kind != attest.KindRegistration {
		return fmt.Errorf("entry %d is a %s, not a registration", in.RegistrationEntry.Index, in.RegistrationEntry.Kind)
	}
	if in.RequestEntry.Index >= in.Below {
		return fmt.Errorf("the request is entry %d, which a log of size %d does not have", in.RequestEntry.Index, in.Below)
	}
	if err := same(in.RequestEntry, in.Request); err != nil {
		return err
	}
	if err := same(in.RegistrationEntry, in.Registration); err != nil {
		return err
	}
	var err error
	if j.h, err = in.History.Before(in.Below); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	j.stage = j.p.Stages[in.Request.Binding.Stage]
	j.upstream, err = j.h.ContributorsOf(in.Below,
		attest.Ref{Kind: attest.ArtefactVersion, Digest: in.Registration.Root, Name: in.Registration.Model + " " + in.Registration.Version},
		attest.Ref{Kind: attest.ArtefactModel, Digest: in.Registration.Artefact})
	if err != nil {
		return fmt.Errorf("registration: root and artefact: %w", err)
	}
	return nil
}

// same checks that a predicate given apart is the one in the entry.
func same[T any](e sod.Entry, given T) error {
	var inside T
	if err := json.Unmarshal(e.Predicate, &inside); err != nil {
		return fmt.Errorf("entry %d (%s): predicate does not parse: %w", e.Index, e.Kind, err)
	}
	a, errA := json.Marshal(inside)
	b, errB := json.Marshal(given)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		return fmt.Errorf("the %s given differs from the one in entry %d", e.Kind, e.Index)
	}
	return nil
}

func (j *judge) add(name string, met bool, by []attest.EntryRef, words string) {
	j.out.Conditions = append(j.out.Conditions, attest.Condition{Name: name, Met: met, By: by, Words: words})
}

func (p *Policy) label() string {
	return fmt.Sprintf("%s %s (%s)", p.Name, p.Version, short(p.digest))
}

func (p *Policy) stageNames() []string {
	names := make([]string, 0, len(p.Stages))
	for n := range p.Stages {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func (j *judge) policyInForce() {
	bound := j.in.Request.Binding.PolicyDigest
	if bound != j.p.digest {
		j.add(CondPolicy, false, nil, fmt.Sprintf("the request is bound to policy %s, not to %s; make a new request under the policy in force",
			short(bound), j.p.label()))
		return
	}
	pub, e, ok := j.h.Policy(j.in.RequestEntry.Project, j.p.Name, j.in.Below)
	switch {
	case !ok:
		j.add(CondPolicy, false, nil, fmt.Sprintf("policy %s was never published in project %q by a risk officer with a valid key; a risk officer publishes it",
			j.p.label(), j.in.RequestEntry.Project))
	case pub.Digest != j.p.digest:
		j.add(CondPolicy, false, []attest.EntryRef{e.Ref()}, fmt.Sprintf(
			"policy %s was superseded by version %s (entry %d), which voids what was decided under it; make a new request under the new version",
			j.p.label(), pub.Version, e.Index))
	case e.Index >= j.in.RequestEntry.Index:
		j.add(CondPolicy, false, []attest.EntryRef{e.Ref()}, fmt.Sprintf(
			"policy %s was published at entry %d, after the request at entry %d; make a new request", j.p.label(), e.Index, j.in.RequestEntry.Index))
	default:
		j.add(CondPolicy, true, []attest.EntryRef{e.Ref()}, fmt.Sprintf("the request is bound to policy %s, in force since entry %d, published by %s",
			j.p.label(), e.Index, e.Actor))
	}
}

func (j *judge) tier() {
	model := j.in.Registration.Model
	inv, e, ok := j.h.Inventory(j.in.RequestEntry.Project, model, j.in.Below)
	if !ok {
		j.add(CondTier, false, nil, fmt.Sprintf("model %q has no inventory entry in project %q, so its risk tier is unknown; the model owner records one",
			model, j.in.RequestEntry.Project))
		return
	}
	covered := strings.Join(j.p.Tiers, ", ")
	for _, t := range j.p.Tiers {
		if t == inv.RiskTier {
			j.add(CondTier, true, []attest.EntryRef{e.Ref()}, fmt.Sprintf("the model's risk tier is %s (entry %d), which the policy covers (%s)", t, e.Index, covered))
			return
		}
	}
	j.add(CondTier, false, []attest.EntryRef{e.Ref()}, fmt.Sprintf("the model's risk tier is %q (entry %d), but the policy covers %s; make a request under a policy for that tier",
		inv.RiskTier, e.Index, covered))
}

func (j *judge) version() {
	reg, e, b := j.in.Registration, j.in.RegistrationEntry, j.in.Request.Binding
	var bad []string
	if reg.Model != b.Model || reg.Version != b.Version {
		bad = append(bad, fmt.Sprintf("entry %d registers %s %s, but the request is about %s %s", e.Index, reg.Model, reg.Version, b.Model, b.Version))
	}
	if reg.Root != b.Artefact {
		bad = append(bad, fmt.Sprintf("entry %d registers files with root %s, but the request is about %s", e.Index, short(reg.Root), short(b.Artefact)))
	}
	if e.Index >= j.in.RequestEntry.Index {
		bad = append(bad, fmt.Sprintf("the version was registered at entry %d, after the request at entry %d", e.Index, j.in.RequestEntry.Index))
	}
	if e.Project != j.in.RequestEntry.Project {
		bad = append(bad, fmt.Sprintf("the version belongs to project %q, the request to %q", e.Project, j.in.RequestEntry.Project))
	}
	if !stands(e, attest.RelRegistered, attest.ArtefactVersion, reg.Root) {
		bad = append(bad, fmt.Sprintf("entry %d does not stand in the relation registered to its version", e.Index))
	}
	if err := j.h.Signed(e); err != nil {
		bad = append(bad, err.Error())
	}
	if len(bad) > 0 {
		j.add(CondVersion, false, []attest.EntryRef{e.Ref()}, strings.Join(bad, "; ")+"; make a new request for a registered version")
		return
	}
	j.add(CondVersion, true, []attest.EntryRef{e.Ref()}, fmt.Sprintf("%s %s (%s) was registered at entry %d by %s", reg.Model, reg.Version, short(reg.Root), e.Index, e.Actor))
}

func stands(e sod.Entry, t attest.RelationType, kind, digest string) bool {
	for _, r := range e.Relations {
		if r.Type == t && r.Kind == kind && r.Digest == digest {
			return true
		}
	}
	return false
}

func (j *judge) request() {
	e, b := j.in.RequestEntry, j.in.Request.Binding
	var bad []string
	if err := j.h.Signed(e); err != nil {
		bad = append(bad, err.Error())
	}
	if !j.h.HasRole(e.Actor, e.Project, sod.RoleEngineer, e.Index) {
		bad = append(bad, fmt.Sprintf("%s did not hold the role engineer in project %q then", e.Actor, e.Project))
	}
	if len(b.RequestNonce) < 16 {
		bad = append(bad, "its nonce is missing")
	}
	if len(bad) > 0 {
		j.add(CondRequest, false, []attest.EntryRef{e.Ref()}, strings.Join(bad, "; ")+"; an engineer makes a new request")
		return
	}
	j.add(CondRequest, true, []attest.EntryRef{e.Ref()}, fmt.Sprintf("%s asked for stage %q at entry %d", e.Actor, b.Stage, e.Index))
}

// frozen checks that the evidence at hand is what the request froze and what
// the decisions are bound to.
func (j *judge) frozen() {
	set, req := j.in.Request.Evidence, j.in.RequestEntry
	const remedy = "; make a new request with the evidence that it rests on"
	if got := attest.EvidenceDigest(set); got != j.in.Request.Binding.EvidenceDigest {
		j.add(CondFrozen, false, nil, fmt.Sprintf("the request's evidence has digest %s, but the request is bound to %s%s",
			short(got), short(j.in.Request.Binding.EvidenceDigest), remedy))
		return
	}
	if len(j.in.Evidence) != len(set) {
		j.add(CondFrozen, false, nil, fmt.Sprintf("the request froze %s, of which %d are at hand%s", entries(len(set)), len(j.in.Evidence), remedy))
		return
	}
	for i, e := range j.in.Evidence {
		switch {
		case e.Ref() != set[i]:
			j.add(CondFrozen, false, nil, fmt.Sprintf("evidence %d of the request is entry %d (%s), but entry %d (%s) is at hand%s",
				i+1, set[i].Index, short(set[i].PAE), e.Index, short(e.PAE), remedy))
			return
		case i > 0 && e.Index <= set[i-1].Index:
			j.add(CondFrozen, false, nil, "the request's evidence is not in log order, each entry once"+remedy)
			return
		case e.Index >= req.Index:
			j.add(CondFrozen, false, []attest.EntryRef{e.Ref()}, fmt.Sprintf("evidence entry %d was logged after the request at entry %d%s", e.Index, req.Index, remedy))
			return
		case e.Project != req.Project:
			j.add(CondFrozen, false, []attest.EntryRef{e.Ref()}, fmt.Sprintf("evidence entry %d belongs to project %q%s", e.Index, e.Project, remedy))
			return
		}
	}
	j.add(CondFrozen, true, set, fmt.Sprintf("the request froze %s before it was made (digest %s)", entries(len(set)), short(j.in.Request.Binding.EvidenceDigest)))
}

func entries(n int) string {
	if n == 1 {
		return "1 entry of evidence"
	}
	return fmt.Sprintf("%d entries of evidence", n)
}

func (j *judge) contributors() {
	accepted := make([]string, len(j.p.AcceptUnknown))
	for i, w := range j.p.AcceptUnknown {
		accepted[i] = w.Kind
	}
	open := j.upstream.Open(accepted...)
	if len(open) > 0 {
		words := make([]string, 0, 3)
		for i, u := range open {
			if i == 2 && len(open) > 3 {
				words = append(words, fmt.Sprintf("and %d more", len(open)-2))
				break
			}
			words = append(words, u.Words)
		}
		j.add(CondContributors, false, nil, "nobody can be shown to be independent while contributors are unknown: "+
			strings.Join(words, "; ")+"; attest where it came from, or have the policy accept the kind with a reason")
		return
	}
	names := make([]string, len(j.upstream.People))
	for i, c := range j.upstream.People {
		names[i] = c.Person
	}
	words := fmt.Sprintf("%s worked on this version over %d steps; none of them may decide on it", list(names), len(j.upstream.Entries))
	used := map[string]bool{}
	for _, u := range j.upstream.Unknown {
		used[u.Node.Kind] = true
	}
	for _, w := range j.p.AcceptUnknown {
		if used[w.Kind] {
			words += fmt.Sprintf(" (the policy accepts %s without a known maker: %s)", w.Kind, w.Reason)
		}
	}
	j.add(CondContributors, true, nil, words)
}

func (j *judge) expiry() {
	expires, made := j.in.Request.Binding.Expires, j.in.RequestEntry.Stamp
	longest := time.Duration(j.stage.ApprovalExpiry)
	switch {
	case !expires.After(j.in.Now):
		j.add(CondExpiry, false, nil, fmt.Sprintf("the request expired on %s; make a new one", moment(expires)))
	case expires.After(made.Add(longest + clockSlack)):
		j.add(CondExpiry, false, nil, fmt.Sprintf("the request would expire on %s, but the policy allows %s from the request; make a new one", moment(expires), j.stage.ApprovalExpiry.words()))
	default:
		j.add(CondExpiry, true, nil, "the request and what is decided on it expire on "+moment(expires))
	}
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func list(names []string) string {
	switch len(names) {
	case 0:
		return "nobody"
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12] + "…"
	}
	return digest
}
