package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

// story is a lawful or fraudulent course of events. unmet lists exactly the
// conditions that fail.
type story struct {
	name  string
	tell  func(t *testing.T) *world
	now   time.Duration // since the last entry; 0: one hour
	unmet []string
}

const (
	validator = "approvals:validator"
	officer   = "approvals:risk-officer"
)

func stories() []story {
	return slices.Concat(peopleStories(), bindingStories(), wordStories(), contentStories(), ruleStories(), cornerStories())
}

// without has everybody decide but one role.
func without(role string) func(t *testing.T) *world {
	return func(t *testing.T) *world {
		w := made(t).ask()
		for _, d := range [][2]string{{"omar", sod.RoleModelOwner}, {"vera", sod.RoleValidator}, {"rita", sod.RoleRiskOfficer}} {
			if d[1] != role {
				w.decide(d[0], d[1], attest.OutcomeApproved)
			}
		}
		return w
	}
}

// moved has the validator decide on another binding than the request's.
func moved(f func(b *attest.Binding)) func(t *testing.T) *world {
	return func(t *testing.T) *world {
		w := without(sod.RoleValidator)(t)
		own := w.binding
		f(&w.binding)
		w.decide("vera", sod.RoleValidator, attest.OutcomeApproved)
		w.binding = own
		return w
	}
}

// peopleStories: who decides.
func peopleStories() []story {
	return []story{
		{name: "approved", tell: func(t *testing.T) *world { return approved(t) }},
		{name: "nothing decided", tell: func(t *testing.T) *world { return made(t).ask() }, unmet: []string{CondAcceptance, validator, officer}},
		{name: "the engineer approves the own model", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := without(sod.RoleValidator)(t)
			w.decide("anna", sod.RoleValidator, attest.OutcomeApproved)
			return w
		}},
		{name: "the validator brought the data", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := approved(t)
			for i := range w.entries {
				if w.entries[i].Kind == attest.KindDataVersion {
					w.entries[i].OnBehalfOf = "vera"
				}
			}
			return w
		}},
		{name: "another key of the same person", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := approved(t)
			for i := range w.entries {
				if w.entries[i].Kind == attest.KindFeatureSet {
					w.entries[i].Actor, w.entries[i].KeyID = "vera", keyOf("vera second")
				}
			}
			return w
		}},
		{name: "owner of the account that trained", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := approved(t)
			for i := range w.entries {
				if w.entries[i].Kind == attest.KindServiceAccount {
					change(t, &w.entries[i], func(a *attest.ServiceAccount) { a.Owner = "vera" })
				}
			}
			return w
		}},
		{name: "role granted after the decision", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := made(t).ask()
			w.enrol("paul", "Person paul")
			w.decide("omar", sod.RoleModelOwner, attest.OutcomeApproved)
			w.decide("paul", sod.RoleValidator, attest.OutcomeApproved)
			w.decide("rita", sod.RoleRiskOfficer, attest.OutcomeApproved)
			w.grant("paul", sod.RoleValidator)
			return w
		}},
		{name: "key revoked before the decision", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := without(sod.RoleValidator)(t)
			w.add("root", attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionRevoke, Enrolment: attest.Enrolment{KeyID: keyOf("vera")}})
			w.last().Project = ""
			w.decide("vera", sod.RoleValidator, attest.OutcomeApproved)
			return w
		}},
		{name: "key revoked after the decision", tell: func(t *testing.T) *world {
			w := approved(t)
			w.add("root", attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionRevoke, Enrolment: attest.Enrolment{KeyID: keyOf("vera")}})
			w.last().Project = ""
			return w
		}},
		{name: "key compromised before the decision, declared after", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := approved(t)
			since := w.entries[w.request].Stamp
			w.add("root", attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionRevoke, Enrolment: attest.Enrolment{KeyID: keyOf("vera")}, CompromisedSince: &since})
			w.last().Project = ""
			return w
		}},
	}
}

// bindingStories: what a decision is bound to.
func bindingStories() []story {
	return []story{
		{name: "approval moved to another version", unmet: []string{validator}, tell: moved(func(b *attest.Binding) { b.Version = "2" })},
		{name: "approval moved to other files", unmet: []string{validator}, tell: moved(func(b *attest.Binding) { b.Artefact = hexOf("v2") })},
		{name: "approval for another stage", unmet: []string{validator}, tell: moved(func(b *attest.Binding) { b.Stage = "staging" })},
		{name: "approval under another policy", unmet: []string{validator}, tell: moved(func(b *attest.Binding) { b.PolicyDigest = hexOf("lax") })},
		{name: "approval of other evidence", unmet: []string{validator}, tell: moved(func(b *attest.Binding) { b.EvidenceDigest = hexOf("other") })},
		{name: "approval with another expiry", unmet: []string{validator}, tell: moved(func(b *attest.Binding) { b.Expires = b.Expires.Add(time.Hour) })},
		{name: "approval of an earlier request replayed", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := made(t).ask()
			w.decide("vera", sod.RoleValidator, attest.OutcomeApproved)
			w.ask()
			w.decide("omar", sod.RoleModelOwner, attest.OutcomeApproved)
			w.decide("rita", sod.RoleRiskOfficer, attest.OutcomeApproved)
			return w
		}},
		{name: "request expired", unmet: []string{CondExpiry, "evidence:data-validation", "evidence:discrimination", "evidence:calibration", "evidence:fairness", "evidence:robustness"},
			tell: func(t *testing.T) *world { return approved(t) }, now: 201 * 24 * time.Hour},
		{name: "evidence logged after the request", unmet: []string{CondFrozen, "evidence:discrimination", "evidence:calibration", "evidence:fairness", "evidence:robustness"}, tell: func(t *testing.T) *world {
			w := made(t)
			w.evidence = w.evidence[:1]
			w.ask()
			late := w.add("trainer", attest.KindEvaluation, attest.TestResult{Details: json.RawMessage(report)}, rel(attest.RelEvaluatedForDev, attest.ArtefactModel, "model.onnx"))
			w.evidence = append(w.evidence, late)
			change(t, &w.entries[w.request], func(r *attest.PromotionRequest) {
				r.Evidence = append(r.Evidence, w.entries[late].Ref())
				r.Binding.EvidenceDigest = attest.EvidenceDigest(r.Evidence)
				w.binding = r.Binding
			})
			w.decide("omar", sod.RoleModelOwner, attest.OutcomeApproved)
			w.decide("vera", sod.RoleValidator, attest.OutcomeApproved)
			w.decide("rita", sod.RoleRiskOfficer, attest.OutcomeApproved)
			return w
		}},
	}
}

// wordStories: withdrawals, rejections and the quorum.
func wordStories() []story {
	return []story{
		{name: "approval withdrawn", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := approved(t)
			w.add("vera", attest.KindWithdrawal, attest.Withdrawal{Target: w.entries[w.request+2].Ref(), Reason: "found a leak"})
			return w
		}},
		{name: "approval withdrawn by a stranger", tell: func(t *testing.T) *world {
			w := approved(t)
			w.add("anna", attest.KindWithdrawal, attest.Withdrawal{Target: w.entries[w.request+2].Ref()})
			return w
		}},
		{name: "request withdrawn", unmet: []string{CondWithdrawal}, tell: func(t *testing.T) *world {
			w := approved(t)
			w.add("anna", attest.KindWithdrawal, attest.Withdrawal{Target: w.entries[w.request].Ref()})
			return w
		}},
		{name: "rejected", unmet: []string{CondRejection, officer}, tell: func(t *testing.T) *world {
			w := without(sod.RoleRiskOfficer)(t)
			w.decide("rita", sod.RoleRiskOfficer, attest.OutcomeRejected)
			return w
		}},
		{name: "rejected after approval", unmet: []string{CondRejection}, tell: func(t *testing.T) *world {
			w := approved(t)
			w.decide("rita", sod.RoleRiskOfficer, attest.OutcomeRejected)
			return w
		}},
		{name: "rejected by someone without a say", tell: func(t *testing.T) *world {
			w := approved(t)
			w.decide("anna", sod.RoleValidator, attest.OutcomeRejected)
			return w
		}},
		{name: "one person in two roles", unmet: []string{officer}, tell: func(t *testing.T) *world {
			w := without(sod.RoleRiskOfficer)(t)
			w.grant("vera", sod.RoleRiskOfficer)
			w.decide("vera", sod.RoleRiskOfficer, attest.OutcomeApproved)
			return w
		}},
		{name: "two people, one of them in two roles", tell: func(t *testing.T) *world {
			w := without(sod.RoleRiskOfficer)(t)
			w.grant("vera", sod.RoleRiskOfficer)
			w.decide("vera", sod.RoleRiskOfficer, attest.OutcomeApproved)
			w.enrol("paul", "Person paul")
			w.grant("paul", sod.RoleValidator)
			w.decide("paul", sod.RoleValidator, attest.OutcomeApproved)
			return w
		}},
		{name: "a machine accepts for the owner", unmet: []string{CondAcceptance}, tell: func(t *testing.T) *world {
			w := without(sod.RoleModelOwner)(t)
			w.decide("omar", sod.RoleModelOwner, attest.OutcomeApproved)
			w.last().Actor, w.last().KeyID, w.last().OnBehalfOf = "trainer", keyOf("trainer"), "omar"
			return w
		}},
		{name: "the owner gives the validator's approval", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := without(sod.RoleValidator)(t)
			w.decide("omar", sod.RoleValidator, attest.OutcomeApproved)
			return w
		}},
	}
}

// contentStories: the evidence and the inputs.
func contentStories() []story {
	return []story{
		{name: "race is an input", unmet: []string{CondProhibited}, tell: func(t *testing.T) *world { return decideAll(made(t, "pirat", "AFAM=yes").ask()) }},
		{name: "race hidden behind a tensor", unmet: []string{CondProhibited}, tell: func(t *testing.T) *world {
			w := made(t, "pirat", "single")
			change(t, &w.entries[w.reg], func(r *attest.Registration) { r.Inputs = []string{"input"} })
			return decideAll(w.ask())
		}},
		{name: "low discrimination", unmet: []string{"evidence:discrimination"}, tell: func(t *testing.T) *world {
			w := made(t)
			change(t, &w.entries[w.evidence[1]], func(r *attest.TestResult) {
				r.Details = json.RawMessage(strings.Replace(report, "0.81", "0.69", 1))
			})
			return decideAll(w.ask())
		}},
		{name: "evaluation without fairness", unmet: []string{"evidence:fairness"}, tell: func(t *testing.T) *world {
			w := made(t)
			change(t, &w.entries[w.evidence[1]], func(r *attest.TestResult) {
				r.Details = json.RawMessage(strings.Replace(report, `"fairness"`, `"fairnes"`, 1))
			})
			return decideAll(w.ask())
		}},
		{name: "evaluation of another model on the same data", unmet: []string{"evidence:discrimination", "evidence:calibration", "evidence:fairness", "evidence:robustness"}, tell: func(t *testing.T) *world {
			w := made(t)
			w.entries[w.evidence[1]].Relations = []attest.Relation{rel(attest.RelUsed, attest.ArtefactData, "rows"),
				rel(attest.RelEvaluatedForDev, attest.ArtefactModel, "other.onnx"), rel(attest.RelComparedWith, attest.ArtefactModel, "model.onnx")}
			return decideAll(w.ask())
		}},
		{name: "data failed validation", unmet: []string{"evidence:data-validation"}, tell: func(t *testing.T) *world {
			w := made(t)
			change(t, &w.entries[w.evidence[0]], func(r *attest.TestResult) { r.Result = attest.ResultFailed })
			return decideAll(w.ask())
		}},
		{name: "no evidence at all", unmet: []string{"evidence:data-validation", "evidence:discrimination", "evidence:calibration", "evidence:fairness", "evidence:robustness"}, tell: func(t *testing.T) *world {
			w := made(t)
			w.evidence = nil
			return decideAll(w.ask())
		}},
		{name: "evidence swapped", unmet: []string{CondFrozen}, tell: func(t *testing.T) *world {
			w := made(t).ask()
			change(t, &w.entries[w.request], func(r *attest.PromotionRequest) {
				r.Binding.EvidenceDigest = hexOf("other")
				w.binding = r.Binding
			})
			return decideAll(w)
		}},
	}
}

// ruleStories: the policy, the request and the version.
func ruleStories() []story {
	return []story{
		{name: "a model of another tier", unmet: []string{CondTier}, tell: func(t *testing.T) *world {
			w := approved(t)
			w.add("omar", attest.KindInventory, attest.InventoryEntry{Model: "credit", RiskTier: "medium", Protected: []string{"afam"}})
			return w
		}},
		{name: "a policy of the engineer's own", unmet: []string{CondPolicy}, tell: func(t *testing.T) *world {
			w := approved(t)
			for i := range w.entries {
				if w.entries[i].Kind == attest.KindPolicy {
					w.entries[i].Actor, w.entries[i].KeyID = "anna", keyOf("anna")
				}
			}
			return w
		}},
		{name: "policy superseded", unmet: []string{CondPolicy}, tell: func(t *testing.T) *world {
			w := approved(t)
			w.add("rita", attest.KindPolicy, attest.PolicyPublication{Name: w.policy.Name, Version: "2", Digest: hexOf("v2")})
			return w
		}},
		{name: "an unknown stage", unmet: []string{CondStage}, tell: func(t *testing.T) *world {
			w := made(t).ask()
			change(t, &w.entries[w.request], func(r *attest.PromotionRequest) { r.Binding.Stage = "moon" })
			return w
		}},
		{name: "data of unknown origin", unmet: []string{CondContributors}, tell: func(t *testing.T) *world {
			w := made(t)
			w.entries[w.reg].Relations = append(w.entries[w.reg].Relations, rel(attest.RelUsed, attest.ArtefactData, "found"))
			return decideAll(w.ask())
		}},
		{name: "a request by the risk officer", unmet: []string{CondRequest, officer}, tell: func(t *testing.T) *world {
			w := made(t).ask()
			w.last().Actor, w.last().KeyID = "rita", keyOf("rita")
			return decideAll(w)
		}},
		{name: "another version is registered than asked for", unmet: []string{CondVersion}, tell: func(t *testing.T) *world {
			w := made(t)
			change(t, &w.entries[w.reg], func(r *attest.Registration) { r.Version = "7" })
			return decideAll(w.ask())
		}},
		{name: "approvals too old", unmet: []string{CondAcceptance, validator, officer, "evidence:data-validation", "evidence:discrimination", "evidence:calibration", "evidence:fairness", "evidence:robustness", CondExpiry},
			tell: func(t *testing.T) *world { return approved(t) }, now: 400 * 24 * time.Hour},
	}
}

// cornerStories: corner cases.
func cornerStories() []story {
	return []story{
		{name: "a second thought of the validator", tell: func(t *testing.T) *world {
			w := approved(t)
			w.decide("vera", sod.RoleValidator, attest.OutcomeConditional, "revalidate in March")
			return w
		}},
		{name: "a rejection withdrawn by another", unmet: []string{CondRejection}, tell: func(t *testing.T) *world {
			w := approved(t)
			rejection := w.decide("vera", sod.RoleValidator, attest.OutcomeRejected)
			w.add("rita", attest.KindWithdrawal, attest.Withdrawal{Target: w.entries[rejection].Ref()})
			return w
		}},
		{name: "a rejection withdrawn by its author", tell: func(t *testing.T) *world {
			w := approved(t)
			rejection := w.decide("vera", sod.RoleValidator, attest.OutcomeRejected)
			w.add("vera", attest.KindWithdrawal, attest.Withdrawal{Target: w.entries[rejection].Ref()})
			return w
		}},
		{name: "policy published after the request", unmet: []string{CondPolicy}, tell: func(t *testing.T) *world {
			w := approved(t)
			w.add("rita", attest.KindPolicy, attest.PolicyPublication{Name: w.policy.Name, Version: "1", Digest: w.policy.Digest()})
			return w
		}},
		{name: "registered after the request", unmet: []string{CondVersion, CondContributors}, tell: func(t *testing.T) *world {
			w := approved(t)
			e := w.entries[w.reg]
			w.entries[w.reg].Kind, w.entries[w.reg].Relations = attest.KindDocument, nil
			w.reg = w.add(e.Actor, e.Kind, json.RawMessage(e.Predicate), rel(attest.RelUsed, attest.ArtefactModel, "never trained"), rel(attest.RelRegistered, attest.ArtefactVersion, "v1"))
			return w
		}},
		{name: "evidence of another project", unmet: []string{CondFrozen}, tell: func(t *testing.T) *world {
			w := approved(t)
			w.entries[w.evidence[0]].Project = "cards"
			return w
		}},
		{name: "the request expires this very moment", unmet: []string{CondExpiry}, tell: func(t *testing.T) *world {
			w := made(t).ask()
			change(t, &w.entries[w.request], func(r *attest.PromotionRequest) {
				r.Binding.Expires = w.last().Stamp.Add(4 * time.Hour) // three decisions later, an hour on
				w.binding = r.Binding
			})
			return decideAll(w)
		}},
		{name: "a conditional approval without a condition", unmet: []string{validator}, tell: func(t *testing.T) *world {
			w := without(sod.RoleValidator)(t)
			w.decide("vera", sod.RoleValidator, attest.OutcomeConditional)
			return w
		}},
		{name: "evidence upstream by its entry alone", tell: func(t *testing.T) *world {
			w := made(t)
			w.entries[w.evidence[0]].Relations = []attest.Relation{rel(attest.RelGenerated, attest.ArtefactReport, "validation")}
			w.entries[w.reg].Relations = append(w.entries[w.reg].Relations,
				attest.Relation{Type: attest.RelUsed, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: w.entries[w.evidence[0]].PAE}})
			return decideAll(w.ask())
		}},
		{name: "evidence whose content was erased", unmet: []string{"evidence:data-validation"}, tell: func(t *testing.T) *world {
			w := approved(t)
			w.entries[w.evidence[0]].Predicate = nil
			return w
		}},
		{name: "evidence signed with a key declared compromised", unmet: []string{"evidence:discrimination", "evidence:calibration", "evidence:fairness", "evidence:robustness", CondVersion}, tell: func(t *testing.T) *world {
			w := approved(t)
			since := w.entries[w.evidence[1]].Stamp
			w.add("root", attest.KindKeyEvent, attest.KeyEvent{Action: attest.ActionRevoke, Enrolment: attest.Enrolment{KeyID: keyOf("trainer")}, CompromisedSince: &since})
			w.last().Project = ""
			return w
		}},
		{name: "an expiry beyond what the policy allows", unmet: []string{CondExpiry}, tell: func(t *testing.T) *world {
			w := made(t).ask()
			change(t, &w.entries[w.request], func(r *attest.PromotionRequest) {
				r.Binding.Expires = epoch.Add(1000 * 24 * time.Hour)
				w.binding = r.Binding
			})
			return decideAll(w)
		}},
	}
}
