package rbac

import (
	"fmt"
	"strings"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

// Operations other than submissions. Submit names those.
const (
	// OpReadLog covers checkpoints, hash tiles and proofs: no content.
	OpReadLog = "read:log"
	// OpReadEntries covers entry tiles, which tell who signed when, in all projects.
	OpReadEntries = "read:entries"
	// OpReadProject covers a project's entries, lineage, versions and documents.
	OpReadProject = "read:project"
	// OpReadGovernance covers grants, keys, accounts and policies.
	OpReadGovernance = "read:governance"
	// OpReadReleased covers evidence packs that were released to outsiders.
	OpReadReleased = "read:released"
	// OpReadOperations covers metrics and the state of jobs.
	OpReadOperations = "read:operations"
	// OpPredict and OpExplain ask a deployed model.
	OpPredict = "predict"
	OpExplain = "explain"
	// OpUpload stores bytes under their digest, before a statement names them.
	OpUpload = "upload"
	// OpExport builds an evidence pack; its statement is Submit("export").
	OpExport = "export"
	// OpAudit replays the log and compares.
	OpAudit = "audit"
)

// Submit names the operation of logging a statement of a kind (attest.Kind…).
func Submit(kind string) string { return "submit:" + kind }

// Kinds returns every kind of attestation, in the order of a model's life.
func Kinds() []string {
	return []string{
		attest.KindGenesis, attest.KindProject, attest.KindKeyEvent, attest.KindServiceAccount, attest.KindRoleGrant, attest.KindErasure,
		attest.KindPolicy, attest.KindInventory, attest.KindPipeline, attest.KindDataVersion, attest.KindDataValidation, attest.KindFeatureSet,
		attest.KindTrainingRun, attest.KindEvaluation, attest.KindModelSignature, attest.KindRegistration,
		attest.KindPromotionRequest, attest.KindAcceptance, attest.KindDecision, attest.KindWithdrawal, attest.KindVerdict,
		attest.KindDeployment, attest.KindSegment, attest.KindOutcomes, attest.KindWindow, attest.KindAlert, attest.KindRetrainTrigger,
		attest.KindCanaryVerdict, attest.KindDocument, attest.KindProjectState, attest.KindExport, attest.KindAbandoned,
	}
}

// Operations returns every operation, in a fixed order.
func Operations() []string {
	var ops []string
	for _, k := range Kinds() {
		ops = append(ops, Submit(k))
	}
	return append(ops, OpReadLog, OpReadEntries, OpReadProject, OpReadGovernance, OpReadReleased, OpReadOperations,
		OpPredict, OpExplain, OpUpload, OpExport, OpAudit)
}

// RolesFor returns the roles that have an operation, in the order of
// sod.Roles; none for an unknown operation.
func RolesFor(operation string) []string {
	if kind, ok := strings.CutPrefix(operation, "submit:"); ok {
		return submitters(kind)
	}
	switch operation {
	case OpReadLog, OpReadReleased:
		return sod.Roles()
	case OpReadProject, OpReadGovernance:
		return []string{sod.RoleEngineer, sod.RoleModelOwner, sod.RoleValidator, sod.RoleRiskOfficer, sod.RoleAuditor, sod.RoleAdmin, sod.RoleMachine}
	case OpReadEntries:
		return []string{sod.RoleAuditor, sod.RoleAdmin}
	case OpReadOperations, OpAudit:
		return []string{sod.RoleAuditor, sod.RoleAdmin, sod.RoleMachine}
	case OpPredict:
		return []string{sod.RoleEngineer, sod.RoleModelOwner, sod.RoleValidator, sod.RoleMachine}
	case OpExplain:
		return []string{sod.RoleEngineer, sod.RoleModelOwner, sod.RoleValidator, sod.RoleRiskOfficer, sod.RoleMachine}
	case OpUpload:
		return []string{sod.RoleEngineer, sod.RoleModelOwner, sod.RoleValidator, sod.RoleRiskOfficer, sod.RoleMachine}
	case OpExport:
		return []string{sod.RoleAuditor}
	}
	return nil
}

func submitters(kind string) []string {
	switch kind {
	case attest.KindGenesis:
		return nil // written once, when the log is opened
	case attest.KindProject, attest.KindKeyEvent, attest.KindServiceAccount, attest.KindRoleGrant, attest.KindErasure:
		return []string{sod.RoleAdmin}
	case attest.KindPolicy:
		return []string{sod.RoleRiskOfficer}
	case attest.KindInventory, attest.KindAcceptance:
		return []string{sod.RoleModelOwner}
	case attest.KindPipeline, attest.KindDataVersion, attest.KindFeatureSet, attest.KindPromotionRequest:
		return []string{sod.RoleEngineer}
	case attest.KindTrainingRun, attest.KindModelSignature, attest.KindRegistration, attest.KindDeployment:
		return []string{sod.RoleEngineer, sod.RoleMachine}
	case attest.KindEvaluation:
		return []string{sod.RoleEngineer, sod.RoleValidator, sod.RoleMachine}
	case attest.KindDecision:
		return []string{sod.RoleValidator, sod.RoleRiskOfficer}
	case attest.KindWithdrawal:
		// An engineer may only withdraw a request of their own.
		return []string{sod.RoleEngineer, sod.RoleModelOwner, sod.RoleValidator, sod.RoleRiskOfficer}
	case attest.KindDocument:
		return []string{sod.RoleValidator, sod.RoleRiskOfficer, sod.RoleMachine}
	case attest.KindDataValidation, attest.KindVerdict, attest.KindSegment, attest.KindOutcomes, attest.KindWindow, attest.KindAlert,
		attest.KindRetrainTrigger, attest.KindCanaryVerdict, attest.KindProjectState, attest.KindAbandoned:
		return []string{sod.RoleMachine}
	case attest.KindExport:
		return []string{sod.RoleAuditor}
	}
	return nil
}

// Permits reports whether a role has an operation.
func Permits(role, operation string) bool {
	for _, r := range RolesFor(operation) {
		if r == role {
			return true
		}
	}
	return false
}

// Denied says that an actor lacks an operation, and which roles have it.
type Denied struct {
	Actor, Project, Operation string
	Needs                     []string
}

// Error names the role that is needed.
func (d *Denied) Error() string {
	where := "above projects"
	if d.Project != "" {
		where = fmt.Sprintf("in project %q", d.Project)
	}
	if len(d.Needs) == 0 {
		return fmt.Sprintf("%s may not %s %s: no role has this operation", d.Actor, d.Operation, where)
	}
	return fmt.Sprintf("%s may not %s %s: it needs the role %s there, which an admin grants", d.Actor, d.Operation, where, strings.Join(d.Needs, " or "))
}

// MaySubmit judges from the log whether an actor could log a statement of a
// kind at an index: nil, or a *Denied. It uses the same table as Authorizer.
func MaySubmit(h *sod.History, actor, project, kind string, at int64) error {
	needs := submitters(kind)
	for _, role := range needs {
		if h.HasRole(actor, project, role, at) {
			return nil
		}
	}
	return &Denied{Actor: actor, Project: project, Operation: Submit(kind), Needs: needs}
}

// MayDecideAs judges the role that a decision or acceptance is given in: the
// actor must hold that very role, and the kind must go with it.
func MayDecideAs(role, kind string) error {
	switch kind {
	case attest.KindAcceptance:
		if role == sod.RoleModelOwner {
			return nil
		}
		return fmt.Errorf("an acceptance is given in the role %s, not %q", sod.RoleModelOwner, role)
	case attest.KindDecision:
		if role == sod.RoleValidator || role == sod.RoleRiskOfficer {
			return nil
		}
		return fmt.Errorf("a decision is given in the role %s or %s, not %q", sod.RoleValidator, sod.RoleRiskOfficer, role)
	}
	return fmt.Errorf("a %s is not given in a role", kind)
}
