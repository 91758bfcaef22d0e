package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

// evidence judges one requirement: any entry of the frozen set may meet it.
func (j *judge) evidence(r *Requirement) {
	name := "evidence:" + r.Name
	var why []string
	for _, e := range j.in.Evidence {
		if e.Kind != r.Kind {
			continue
		}
		if reason := j.unfit(r, e); reason != "" {
			why = append(why, fmt.Sprintf("entry %d by %s: %s", e.Index, e.Actor, reason))
			continue
		}
		j.add(name, true, []attest.EntryRef{e.Ref()}, fmt.Sprintf("%s: met by entry %d (%s) by %s", r.Words, e.Index, e.Kind, e.Actor))
		return
	}
	if len(why) == 0 {
		why = []string{"the request froze no " + r.Kind + " entry"}
	}
	j.add(name, false, nil, fmt.Sprintf("%s: not met; %s. To meet it: %s", r.Words, strings.Join(why, "; "), r.Remedy))
}

// unfit says why an entry does not meet a requirement, or "".
func (j *judge) unfit(r *Requirement, e sod.Entry) string {
	if e.Index >= j.in.RequestEntry.Index {
		return "it was logged after the request"
	}
	if err := j.h.Signed(e); err != nil {
		return err.Error()
	}
	if !j.about(r.About, e) {
		if r.About == AboutLineage {
			return "it is about nothing that this version was made from"
		}
		return "it is not about this version"
	}
	if r.Role != "" && !j.h.HasRole(e.Actor, e.Project, r.Role, e.Index) {
		return fmt.Sprintf("its signer did not hold the role %s then", r.Role)
	}
	if r.Independent {
		people, unknown := j.h.HumansOf(e)
		if len(unknown) > 0 {
			return fmt.Sprintf("no person is known to answer for %s", list(unknown))
		}
		for _, p := range people {
			if c := j.upstream.Find(p); c != nil {
				return fmt.Sprintf("%s worked on the version (%s)", p, j.h.Explain(*c))
			}
		}
	}
	if age := j.in.Now.Sub(e.Stamp); r.MaxAge > 0 && age > time.Duration(r.MaxAge) {
		return fmt.Sprintf("it is %s old, and at most %s are allowed", plural(int(age/(24*time.Hour)), "day"), r.MaxAge.words())
	}
	if r.condition == nil {
		return ""
	}
	met, err := r.condition.holds(e)
	switch {
	case err != nil:
		return "its content cannot be judged: " + err.Error()
	case !met:
		return "its content does not meet the condition " + strings.Join(strings.Fields(r.Condition), " ")
	}
	return ""
}

// about tells whether an entry judges, made or works on the version or its
// served file; with AboutLineage also anything upstream. Merely comparing with
// it, or naming it as context, is not enough.
func (j *judge) about(scope string, e sod.Entry) bool {
	if scope == AboutLineage && j.upstream.Includes(e.Index) {
		return true
	}
	for _, r := range e.Relations {
		switch r.Type {
		case attest.RelComparedWith, attest.RelConcerns, attest.RelSupersedes, attest.RelTriggeredBy:
			continue
		}
		version := r.Kind == attest.ArtefactVersion && r.Digest == j.in.Registration.Root
		served := r.Kind == attest.ArtefactModel && r.Digest == j.in.Registration.Artefact
		if version || served || scope == AboutLineage && j.upstream.Touches(r.Ref) {
			return true
		}
	}
	return false
}

// prohibited compares the model's inputs, as read from the artefact and as the
// feature sets upstream list them, with the prohibited attributes.
func (j *judge) prohibited() {
	attributes, ok := j.prohibitedAttributes()
	if !ok {
		return
	}
	reg := j.in.RegistrationEntry
	by := []attest.EntryRef{reg.Ref()}
	var found []string
	look := func(where string, inputs []string) {
		for _, in := range inputs {
			if a := matchAttribute(in, attributes); a != "" {
				found = append(found, fmt.Sprintf("%s takes %q as an input (%s)", where, in, a))
			}
		}
	}
	look(fmt.Sprintf("the model registered at entry %d", reg.Index), j.in.Registration.Inputs)
	sets := 0
	for _, index := range j.upstream.Entries {
		e, _ := j.h.Entry(index)
		if e.Kind != attest.KindFeatureSet {
			continue
		}
		var fs attest.FeatureSet
		if err := json.Unmarshal(e.Predicate, &fs); err != nil {
			found = append(found, fmt.Sprintf("the feature set of entry %d cannot be read", index))
			continue
		}
		sets++
		by = append(by, e.Ref())
		look(fmt.Sprintf("the feature set of entry %d", index), fs.Inputs)
	}
	names := list(attributes)
	switch {
	case len(found) > 0:
		j.add(CondProhibited, false, by, fmt.Sprintf("prohibited as inputs: %s; but %s. To meet it: train a version without them; they may be carried for evaluation only",
			names, strings.Join(found, "; ")))
	case sets == 0:
		j.add(CondProhibited, false, by, fmt.Sprintf("prohibited as inputs: %s; no feature set is known upstream of this version, so its inputs cannot be shown. To meet it: train from an attested feature set", names))
	default:
		made := "the feature set that it was made from"
		if sets > 1 {
			made = fmt.Sprintf("the %d feature sets that it was made from", sets)
		}
		j.add(CondProhibited, true, by, fmt.Sprintf("none of %s is an input of the model or of %s", names, made))
	}
}

func (j *judge) prohibitedAttributes() ([]string, bool) {
	p := j.stage.Prohibited
	var out []string
	seen := map[string]bool{}
	add := func(names []string) {
		for _, a := range names {
			if k := fold(a); k != "" && !seen[k] {
				seen[k] = true
				out = append(out, a)
			}
		}
	}
	add(p.Attributes)
	if p.Inventory {
		inv, _, ok := j.h.Inventory(j.in.RequestEntry.Project, j.in.Registration.Model, j.in.Below)
		if !ok {
			j.add(CondProhibited, false, nil, "the model has no inventory entry, so its protected attributes are unknown; the model owner records one")
			return nil, false
		}
		add(inv.Protected)
	}
	if len(out) == 0 {
		j.add(CondProhibited, false, nil, "neither the policy nor the inventory entry names a protected attribute; the model owner records them")
		return nil, false
	}
	return out, true
}

func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// matchAttribute returns the attribute that an input is, or is an encoding of
// (one-hot columns such as afam=yes, afam_yes, afam[yes]), or "". It errs on
// the side of refusing: an input of another meaning can be renamed.
func matchAttribute(input string, attributes []string) string {
	in := fold(input)
	for _, a := range attributes {
		rest, ok := strings.CutPrefix(in, fold(a))
		if ok && (rest == "" || strings.ContainsRune("=_:.[|/- ", rune(rest[0]))) {
			return a
		}
	}
	return ""
}
