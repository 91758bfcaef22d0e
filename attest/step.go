package attest

import "time"

// Names fixed by in-toto, DSSE and this project.
const (
	StatementType  = "https://in-toto.io/Statement/v1"
	PayloadType    = "application/vnd.in-toto+json"
	SaltAnnotation = "affidavit.dev/salt"
	StepAnnotation = "affidavit.dev/step"
	// PredicateBase is the prefix of the predicate types that this project
	// defines: PredicateBase + name + "/v1".
	PredicateBase = "https://affidavit.dev/attestation/"
)

// Predicate types that others defined.
const (
	TypeSLSAProvenance = "https://slsa.dev/provenance/v1"
	TypeTestResult     = "https://in-toto.io/attestation/test-result/v0.1"
	TypeVSA            = "https://slsa.dev/verification_summary/v1"
	TypeOMS            = "https://model_signing/signature/v1.0"
)

// Ref names an artefact, or an entry of the log, by kind and SHA-256.
type Ref struct {
	// Kind is one of the Artefact constants; KindEntry for a log entry.
	Kind string `json:"kind"`
	// Digest is 64 lower-case hex digits: SHA-256 of the artefact's bytes,
	// or of the PAE for an entry.
	Digest string `json:"digest"`
	// Name is for people; it identifies nothing.
	Name string `json:"name,omitempty"`
}

// Kinds of nodes in the lineage graph.
const (
	ArtefactEntry      = "entry"
	ArtefactData       = "data"
	ArtefactFeatures   = "features"
	ArtefactModel      = "model"   // the file that is served
	ArtefactVersion    = "version" // the OMS root of a registered version
	ArtefactPipeline   = "pipeline"
	ArtefactTrigger    = "trigger"
	ArtefactPolicy     = "policy"
	ArtefactReport     = "report" // an evaluation or validation report (JSON)
	ArtefactDocument   = "document"
	ArtefactInventory  = "inventory"
	ArtefactSegment    = "segment" // predictions
	ArtefactOutcomes   = "outcomes"
	ArtefactWindow     = "window" // a monitoring window
	ArtefactCode       = "code"
	ArtefactDeployment = "deployment"
	ArtefactManifest   = "manifest"
	ArtefactPredicate  = "predicate" // a statement without an artefact is about itself
)

// RelationType says how an entry stands to a node.
type RelationType string

// The vocabulary is fixed: a new word changes what segregation of duties
// walks, so it needs an ADR.
const (
	RelUsed            RelationType = "used"
	RelGenerated       RelationType = "generated"
	RelPrepared        RelationType = "prepared"
	RelTrained         RelationType = "trained"
	RelConfigured      RelationType = "configured"
	RelEvaluatedForDev RelationType = "evaluated-for-development"
	RelRegistered      RelationType = "registered"
	RelRequested       RelationType = "requested"
	RelDecided         RelationType = "decided"
	RelValidated       RelationType = "validated"
	RelTriggeredBy     RelationType = "triggered-by"
	RelComparedWith    RelationType = "compared-with"
	RelMonitored       RelationType = "monitored"
	RelDeployed        RelationType = "deployed"
	RelSupersedes      RelationType = "supersedes"
	RelConcerns        RelationType = "concerns"
)

// RelationClass tells what follows from a relation.
type RelationClass int

const (
	// Unknown relations are refused.
	Unknown RelationClass = iota
	// Input: the entry consumed the node. Contributes: whoever made the node
	// is upstream of whatever the entry made.
	Input
	// Output: the entry made the node or worked on it. Contributes: whoever
	// is behind the entry is a contributor to the node.
	Output
	// Governs: the entry judged or watched the node. Reports walk it,
	// segregation of duties does not.
	Governs
)

// Class returns the class of r.
func (r RelationType) Class() RelationClass {
	switch r {
	case RelUsed:
		return Input
	case RelGenerated, RelPrepared, RelTrained, RelConfigured, RelEvaluatedForDev, RelRegistered, RelRequested:
		return Output
	case RelDecided, RelValidated, RelTriggeredBy, RelComparedWith, RelMonitored, RelDeployed, RelSupersedes, RelConcerns:
		return Governs
	}
	return Unknown
}

// Contributes reports whether segregation of duties walks r.
func (r RelationType) Contributes() bool { c := r.Class(); return c == Input || c == Output }

// Relation is one edge of the lineage graph, from the entry that carries it.
type Relation struct {
	Type RelationType `json:"type"`
	Ref
}

// Position is a checkpoint that the signer had seen: "not before".
type Position struct {
	Size int64  `json:"size"`
	Root string `json:"root"` // hex; empty when Size is 0
}

// Step is the part of a statement that the ledger reads. It is signed with
// the rest, in an annotation of the first subject.
type Step struct {
	// Kind is the ledger's name of the step type (the Kind constants).
	Kind string `json:"kind"`
	// Project is the domain of roles; "" only for kinds above projects.
	Project string `json:"project"`
	// Nonce is 32 hex digits, unique in the log.
	Nonce string `json:"nonce"`
	// Actor signs: the id of a person or a service account.
	Actor string `json:"actor"`
	// OnBehalfOf is the person for whom a service account acted.
	OnBehalfOf string `json:"onBehalfOf,omitempty"`
	// Claimed is the signer's own clock, UTC; the log's timestamp bounds it.
	Claimed time.Time `json:"claimed"`
	// NotBefore is the checkpoint that was seen before the work began.
	NotBefore Position `json:"notBefore"`
	// Relations are the edges. Every subject of the statement that is an
	// artefact appears among them.
	Relations []Relation `json:"relations"`
}
