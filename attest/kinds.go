package attest

import "slices"

// Kinds lists every kind of step, in the order of the constants.
func Kinds() []string {
	return []string{
		KindGenesis, KindProject, KindKeyEvent, KindServiceAccount, KindRoleGrant, KindPolicy, KindInventory,
		KindPipeline, KindDataVersion, KindDataValidation, KindFeatureSet, KindTrainingRun, KindEvaluation,
		KindModelSignature, KindRegistration, KindPromotionRequest, KindAcceptance, KindDecision, KindWithdrawal,
		KindVerdict, KindDeployment, KindSegment, KindOutcomes, KindWindow, KindAlert, KindRetrainTrigger,
		KindCanaryVerdict, KindDocument, KindProjectState, KindExport, KindAbandoned, KindErasure,
	}
}

// KnownKind reports whether kind is one of Kinds.
func KnownKind(kind string) bool { return slices.Contains(Kinds(), kind) }

// KnownArtefact reports whether kind is one of the Artefact constants.
func KnownArtefact(kind string) bool {
	switch kind {
	case ArtefactEntry, ArtefactData, ArtefactFeatures, ArtefactModel, ArtefactVersion, ArtefactPipeline,
		ArtefactTrigger, ArtefactPolicy, ArtefactReport, ArtefactDocument, ArtefactInventory, ArtefactSegment,
		ArtefactOutcomes, ArtefactWindow, ArtefactCode, ArtefactDeployment, ArtefactManifest, ArtefactPredicate:
		return true
	}
	return false
}

// NewPredicate returns a pointer to an empty predicate of the kind, to decode
// Statement.Predicate into; nil for an unknown kind.
func NewPredicate(kind string) any {
	switch kind {
	case KindGenesis:
		return new(Genesis)
	case KindProject:
		return new(Project)
	case KindKeyEvent:
		return new(KeyEvent)
	case KindServiceAccount:
		return new(ServiceAccount)
	case KindRoleGrant:
		return new(RoleGrant)
	case KindPolicy:
		return new(PolicyPublication)
	case KindInventory:
		return new(InventoryEntry)
	case KindPipeline:
		return new(PipelineConfiguration)
	case KindDataVersion:
		return new(DataVersion)
	case KindDataValidation, KindEvaluation:
		return new(TestResult)
	case KindFeatureSet:
		return new(FeatureSet)
	case KindTrainingRun:
		return new(Provenance)
	case KindModelSignature:
		return new(OMS)
	case KindRegistration:
		return new(Registration)
	case KindPromotionRequest:
		return new(PromotionRequest)
	case KindAcceptance, KindDecision:
		return new(Decision)
	case KindWithdrawal:
		return new(Withdrawal)
	case KindVerdict:
		return new(VSA)
	case KindDeployment:
		return new(Deployment)
	}
	return newOperationsPredicate(kind)
}

func newOperationsPredicate(kind string) any {
	switch kind {
	case KindSegment:
		return new(Segment)
	case KindOutcomes:
		return new(Outcomes)
	case KindWindow:
		return new(Window)
	case KindAlert:
		return new(Alert)
	case KindRetrainTrigger:
		return new(RetrainTrigger)
	case KindCanaryVerdict:
		return new(CanaryVerdict)
	case KindDocument:
		return new(Document)
	case KindProjectState:
		return new(ProjectState)
	case KindExport:
		return new(Export)
	case KindAbandoned:
		return new(Abandoned)
	case KindErasure:
		return new(Erasure)
	}
	return nil
}
