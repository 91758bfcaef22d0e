package policy

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

// word is one person's acceptance, approval or rejection of the request.
type word struct {
	entry     sod.Entry
	decision  attest.Decision
	withdrawn string // why it no longer stands, or ""
}

// slot is one place of the quorum, to be filled by one person.
type slot struct {
	role   string
	filled int // index into words, or -1
}

// decisions judges acceptance, approvals, rejections and withdrawals.
func (j *judge) decisions() error {
	words, withdrawals, err := j.collect()
	if err != nil {
		return err
	}
	requestWithdrawn := j.withdraw(words, withdrawals)

	var slots []slot
	if j.stage.OwnerAcceptance {
		slots = append(slots, slot{sod.RoleModelOwner, -1})
	}
	for _, a := range j.stage.Approvals {
		for range a.Count {
			slots = append(slots, slot{a.Role, -1})
		}
	}
	reasons := map[string][]string{}
	counts := make([]bool, len(words))
	for i, w := range words {
		if w.decision.Outcome == attest.OutcomeRejected {
			continue
		}
		if why := j.discount(w); why != "" {
			reasons[w.decision.Role] = append(reasons[w.decision.Role], fmt.Sprintf("entry %d by %s does not count: %s", w.entry.Index, w.entry.Actor, why))
			continue
		}
		counts[i] = true
	}
	supersede(words, counts, reasons)
	assign(slots, words, counts)
	if j.stage.OwnerAcceptance {
		j.quorum(CondAcceptance, sod.RoleModelOwner, "acceptance by a model owner", slots, words, counts, reasons)
	}
	for _, a := range j.stage.Approvals {
		j.quorum("approvals:"+a.Role, a.Role, "approval by a "+strings.ReplaceAll(a.Role, "-", " "), slots, words, counts, reasons)
	}
	j.rejections(words)
	if requestWithdrawn != nil {
		j.add(CondWithdrawal, false, []attest.EntryRef{requestWithdrawn.Ref()}, fmt.Sprintf(
			"the request was withdrawn by %s at entry %d; make a new one", requestWithdrawn.Actor, requestWithdrawn.Index))
	} else {
		j.add(CondWithdrawal, true, nil, "the request was not withdrawn")
	}
	return nil
}

// collect gathers what was said about the request below the judged size, from
// the input and from the history, once each and in log order.
func (j *judge) collect() (words []word, withdrawals []sod.Entry, err error) {
	kinds := []string{attest.KindAcceptance, attest.KindDecision, attest.KindWithdrawal}
	all := append(j.h.OfKinds(j.in.Below, kinds...), j.in.Decisions...)
	sort.SliceStable(all, func(a, b int) bool { return all[a].Index < all[b].Index })
	last := int64(-1)
	for _, e := range all {
		if e.Index == last || e.Index >= j.in.Below {
			continue
		}
		last = e.Index
		switch e.Kind {
		case attest.KindWithdrawal:
			withdrawals = append(withdrawals, e)
		case attest.KindAcceptance, attest.KindDecision:
			var d attest.Decision
			if err := json.Unmarshal(e.Predicate, &d); err != nil {
				if len(e.Predicate) == 0 {
					continue // erased: it says nothing any more
				}
				return nil, nil, fmt.Errorf("entry %d (%s): predicate does not parse: %w", e.Index, e.Kind, err)
			}
			if d.Request == j.in.RequestEntry.Ref() || d.Binding.RequestNonce == j.in.Request.Binding.RequestNonce {
				words = append(words, word{entry: e, decision: d})
			}
		default:
			return nil, nil, fmt.Errorf("entry %d is a %s, not a decision, acceptance or withdrawal", e.Index, e.Kind)
		}
	}
	return words, withdrawals, nil
}

// withdraw marks words that were taken back, and returns the entry that
// withdrew the request itself, or nil. A withdrawal stands even if its
// signer's key is later declared compromised. One by someone who had no right
// to it does nothing.
func (j *judge) withdraw(words []word, withdrawals []sod.Entry) (request *sod.Entry) {
	for i := range withdrawals {
		e := withdrawals[i]
		var w attest.Withdrawal
		if json.Unmarshal(e.Predicate, &w) != nil || j.h.Held(e) != nil || e.Project != j.in.RequestEntry.Project {
			continue
		}
		has := func(role string) bool { return j.h.HasRole(e.Actor, e.Project, role, e.Index) }
		if w.Target == j.in.RequestEntry.Ref() && e.Index > j.in.RequestEntry.Index && request == nil &&
			(e.Actor == j.in.RequestEntry.Actor || has(sod.RoleModelOwner) || has(sod.RoleValidator) || has(sod.RoleRiskOfficer)) {
			request = &e
		}
		for k := range words {
			t := &words[k]
			own := e.Actor == t.entry.Actor
			if w.Target == t.entry.Ref() && e.Index > t.entry.Index && t.withdrawn == "" &&
				(own || t.decision.Outcome != attest.OutcomeRejected && (has(t.decision.Role) || has(sod.RoleRiskOfficer))) {
				t.withdrawn = fmt.Sprintf("it was withdrawn by %s at entry %d", e.Actor, e.Index)
			}
		}
	}
	return request
}

// discount says why a word does not count towards the quorum, or "".
func (j *judge) discount(w word) string {
	e, d := w.entry, w.decision
	if why := j.unbound(w); why != "" {
		return why
	}
	switch {
	case w.withdrawn != "":
		return w.withdrawn
	case d.Outcome != attest.OutcomeApproved && d.Outcome != attest.OutcomeConditional:
		return fmt.Sprintf("its outcome %q is unknown", d.Outcome)
	case d.Outcome == attest.OutcomeConditional && len(d.Conditions) == 0:
		return "it is conditional but names no condition"
	case e.OnBehalfOf != "":
		return "decisions are signed by the person themselves, not on behalf of " + e.OnBehalfOf
	}
	if err := j.h.Signed(e); err != nil {
		return err.Error()
	}
	if !j.h.HasRole(e.Actor, e.Project, d.Role, e.Index) {
		return fmt.Sprintf("%s did not hold the role %s in project %q then", e.Actor, d.Role, e.Project)
	}
	if v := j.h.Independent(e.Actor, &j.upstream, e.Index); v != nil {
		return v.Words
	}
	if end := e.Stamp.Add(time.Duration(j.stage.ApprovalExpiry)); !end.After(j.in.Now) {
		return "it expired on " + moment(end)
	}
	return ""
}

// supersede leaves only each person's last counting word in a role: who first
// approves outright and then on a condition means the condition.
func supersede(words []word, counts []bool, reasons map[string][]string) {
	last := map[[2]string]int{}
	for i, w := range words {
		if !counts[i] {
			continue
		}
		key := [2]string{w.entry.Actor, w.decision.Role}
		if earlier, ok := last[key]; ok {
			counts[earlier] = false
			reasons[w.decision.Role] = append(reasons[w.decision.Role], fmt.Sprintf("entry %d by %s does not count: entry %d by the same person replaces it",
				words[earlier].entry.Index, w.entry.Actor, w.entry.Index))
		}
		last[key] = i
	}
}

// unbound says why a word is not about this request in its role, or "".
func (j *judge) unbound(w word) string {
	e, d, want := w.entry, w.decision, j.in.Request.Binding
	if d.Request != j.in.RequestEntry.Ref() {
		return fmt.Sprintf("it answers the request of entry %d, not this one", d.Request.Index)
	}
	if e.Index <= j.in.RequestEntry.Index {
		return "it was logged before the request"
	}
	if e.Project != j.in.RequestEntry.Project {
		return fmt.Sprintf("it belongs to project %q", e.Project)
	}
	firstLine, secondLine := d.Role == sod.RoleModelOwner, d.Role == sod.RoleValidator || d.Role == sod.RoleRiskOfficer
	if e.Kind == attest.KindAcceptance && !firstLine || e.Kind == attest.KindDecision && !secondLine {
		return fmt.Sprintf("a %s is not given in the role %q", e.Kind, d.Role)
	}
	for _, part := range []struct{ name, got, want string }{
		{"model", d.Binding.Model, want.Model},
		{"version", d.Binding.Version, want.Version},
		{"artefact", d.Binding.Artefact, want.Artefact},
		{"stage", d.Binding.Stage, want.Stage},
		{"policy", d.Binding.PolicyDigest, want.PolicyDigest},
		{"evidence", d.Binding.EvidenceDigest, want.EvidenceDigest},
		{"request nonce", d.Binding.RequestNonce, want.RequestNonce},
	} {
		if part.got != part.want {
			return fmt.Sprintf("it is bound to %s %s, not %s", part.name, short(part.got), short(part.want))
		}
	}
	if !d.Binding.Expires.Equal(want.Expires) {
		return fmt.Sprintf("it is bound to the expiry %s, not %s", moment(d.Binding.Expires), moment(want.Expires))
	}
	return ""
}

// assign fills as many slots as can be filled with distinct people: a maximum
// matching by augmenting paths, in the order of slots and of words.
func assign(slots []slot, words []word, counts []bool) {
	holder := map[string]int{} // person → slot
	var try func(s int, tried map[string]bool) bool
	try = func(s int, tried map[string]bool) bool {
		for i, w := range words {
			person := w.entry.Actor
			if !counts[i] || w.decision.Role != slots[s].role || tried[person] {
				continue
			}
			tried[person] = true
			other, taken := holder[person]
			if !taken || try(other, tried) {
				holder[person] = s
				slots[s].filled = i
				return true
			}
		}
		return false
	}
	for s := range slots {
		try(s, map[string]bool{})
	}
}

// quorum reports the slots of a role.
func (j *judge) quorum(name, role, what string, slots []slot, words []word, counts []bool, reasons map[string][]string) {
	need := 0
	var by []attest.EntryRef
	var who, notes []string
	inSlot := map[string]string{}
	for _, s := range slots {
		if s.filled >= 0 {
			inSlot[words[s.filled].entry.Actor] = s.role
		}
		if s.role != role {
			continue
		}
		need++
		if s.filled < 0 {
			continue
		}
		w := words[s.filled]
		by = append(by, w.entry.Ref())
		text := fmt.Sprintf("%s (entry %d", w.entry.Actor, w.entry.Index)
		if w.decision.Outcome == attest.OutcomeConditional {
			for _, c := range w.decision.Conditions {
				text += fmt.Sprintf(", on condition: %q", c)
				j.out.Limits = append(j.out.Limits, c)
			}
		}
		who = append(who, text+")")
	}
	if len(by) == need {
		j.add(name, true, by, fmt.Sprintf("%s: given by %s", what, list(who)))
		return
	}
	notes = append(notes, fmt.Sprintf("%d of %d given", len(by), need))
	if len(who) > 0 {
		notes[0] += " (" + list(who) + ")"
	}
	for i, w := range words {
		if other := inSlot[w.entry.Actor]; counts[i] && w.decision.Role == role && other != "" && other != role {
			notes = append(notes, fmt.Sprintf("entry %d by %s does not count: %s counts as %s already, and nobody counts twice", w.entry.Index, w.entry.Actor, w.entry.Actor, other))
		}
	}
	notes = append(notes, reasons[role]...)
	j.add(name, false, by, fmt.Sprintf("%s: %s. To meet it: someone who holds the role %s and had no part in making this version decides on the request", what, strings.Join(notes, "; "), role))
}

// rejections: a standing rejection by someone with the role blocks, even if
// the person contributed or their key was later declared compromised.
func (j *judge) rejections(words []word) {
	for _, w := range words {
		e := w.entry
		if w.decision.Outcome != attest.OutcomeRejected || w.withdrawn != "" || j.unbound(w) != "" ||
			j.h.Held(e) != nil || !j.h.HasRole(e.Actor, e.Project, w.decision.Role, e.Index) {
			continue
		}
		j.add(CondRejection, false, []attest.EntryRef{e.Ref()}, fmt.Sprintf(
			"%s rejected the request as %s at entry %d (%q); a new request is needed, or %s withdraws the rejection",
			e.Actor, w.decision.Role, e.Index, clip(w.decision.Reason), e.Actor))
		return
	}
	j.add(CondRejection, true, nil, "nobody with a say rejected the request")
}

func clip(s string) string {
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}
