package pack

import (
	"affidavit/attest"
	"affidavit/rbac/sod"
)

// rolesFor returns the roles of which an actor must hold one to log a kind.
// Kinds of governance are sod's to judge. The table is wide where several
// roles may do a thing, and narrow where a duty is at stake: what a person
// decides, no machine may log, and what the gate says, no person may.
func rolesFor(kind string) []string {
	switch kind {
	case attest.KindAcceptance:
		return []string{sod.RoleModelOwner}
	case attest.KindDecision:
		return []string{sod.RoleValidator, sod.RoleRiskOfficer}
	case attest.KindWithdrawal:
		return []string{sod.RoleEngineer, sod.RoleModelOwner, sod.RoleValidator, sod.RoleRiskOfficer}
	case attest.KindVerdict, attest.KindProjectState, attest.KindAbandoned:
		return []string{sod.RoleMachine}
	case attest.KindPromotionRequest:
		return []string{sod.RoleEngineer, sod.RoleModelOwner, sod.RoleMachine}
	case attest.KindErasure:
		return []string{sod.RoleAdmin, sod.RoleRiskOfficer, sod.RoleMachine}
	case attest.KindExport, attest.KindDocument:
		return []string{sod.RoleMachine, sod.RoleAuditor, sod.RoleEngineer, sod.RoleModelOwner, sod.RoleValidator, sod.RoleRiskOfficer, sod.RoleAdmin}
	case attest.KindEvaluation, attest.KindDataValidation, attest.KindWindow, attest.KindAlert, attest.KindOutcomes:
		return []string{sod.RoleMachine, sod.RoleEngineer, sod.RoleValidator}
	}
	return []string{sod.RoleMachine, sod.RoleEngineer}
}
