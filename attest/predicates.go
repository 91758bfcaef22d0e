package attest

import (
	"encoding/json"
	"time"
)

// Kind names. Each names a row of the wiring's table of Kinds; several may
// share a predicate type. The predicate type is PredicateBase+<kind>+"/v1"
// unless PredicateTypeOf says otherwise.
const (
	KindGenesis          = "genesis"
	KindProject          = "project"
	KindKeyEvent         = "key-event"
	KindServiceAccount   = "service-account"
	KindRoleGrant        = "role-grant"
	KindPolicy           = "policy"
	KindInventory        = "inventory-entry"
	KindPipeline         = "pipeline-configuration"
	KindDataVersion      = "data-version"
	KindDataValidation   = "data-validation" // test-result
	KindFeatureSet       = "feature-set"
	KindTrainingRun      = "training-run"    // SLSA provenance
	KindEvaluation       = "evaluation"      // test-result
	KindModelSignature   = "model-signature" // OMS
	KindRegistration     = "registration"
	KindPromotionRequest = "promotion-request"
	KindAcceptance       = "acceptance"
	KindDecision         = "decision"
	KindWithdrawal       = "withdrawal"
	KindVerdict          = "gate-verdict" // VSA
	KindDeployment       = "deployment"
	KindSegment          = "prediction-segment"
	KindOutcomes         = "outcomes"
	KindWindow           = "monitoring-window"
	KindAlert            = "alert"
	KindRetrainTrigger   = "retrain-trigger"
	KindCanaryVerdict    = "canary-verdict"
	KindDocument         = "document"
	KindProjectState     = "project-state"
	KindExport           = "export"
	KindAbandoned        = "abandoned"
	KindErasure          = "erasure"
)

// PredicateTypeOf returns the predicate type that statements of a kind carry.
func PredicateTypeOf(kind string) string {
	switch kind {
	case KindTrainingRun:
		return TypeSLSAProvenance
	case KindEvaluation, KindDataValidation:
		return TypeTestResult
	case KindVerdict:
		return TypeVSA
	case KindModelSignature:
		return TypeOMS
	}
	return PredicateBase + kind + "/v1"
}

// EntryRef points at an entry by index and PAE digest (hex).
type EntryRef struct {
	Index int64  `json:"index"`
	PAE   string `json:"pae"`
	Kind  string `json:"kind"`
}

// Genesis is entry 0: whose log it is and who starts with which key.
type Genesis struct {
	Origin string `json:"origin"`
	// LogKey is the SPKI (base64 by encoding/json) of the ed25519 log key.
	LogKey []byte `json:"logKey"`
	// TSAChain and CAChain are DER certificates, leaf first; CTKey an SPKI.
	TSAChain [][]byte `json:"tsaChain"`
	CAChain  [][]byte `json:"caChain"`
	CTKey    []byte   `json:"ctKey"`
	// Service signs what the server itself swears; Admin is the first person.
	Service Enrolment `json:"service"`
	Admin   Enrolment `json:"admin"`
	Version string    `json:"softwareVersion"`
}

// Enrolment ties a public key to an actor.
type Enrolment struct {
	Actor string `json:"actor"`
	// Name and Email describe a person; both empty for a service account.
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	// KeyID is hex SHA-256 of the SPKI; PublicKey the SPKI itself.
	KeyID     string `json:"keyId"`
	PublicKey []byte `json:"publicKey"`
}

// Actions of KeyEvent and RoleGrant.
const (
	ActionEnrol  = "enrol"
	ActionRevoke = "revoke"
	ActionGrant  = "grant"
)

// KeyEvent enrols or revokes a key. A person's first enrolment registers the person.
type KeyEvent struct {
	Action string `json:"action"` // enrol | revoke
	Enrolment
	// CompromisedSince voids, on revoke, entries logged at or after it.
	CompromisedSince *time.Time `json:"compromisedSince,omitempty"`
	Reason           string     `json:"reason,omitempty"`
}

// ServiceAccount is a machine identity and the person who answers for it.
type ServiceAccount struct {
	Account string `json:"account"`
	Owner   string `json:"owner"`
	Purpose string `json:"purpose"`
	Active  bool   `json:"active"`
}

// RoleGrant gives or takes a role in a project.
type RoleGrant struct {
	Action  string `json:"action"` // grant | revoke
	Actor   string `json:"actor"`
	Role    string `json:"role"`
	Project string `json:"project"`
	Reason  string `json:"reason,omitempty"`
}

// Project opens a domain of roles.
type Project struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// PolicyPublication carries the policy text itself; Digest is SHA-256 of YAML.
type PolicyPublication struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
	YAML    string `json:"yaml"`
}

// InventoryEntry describes a model of the inventory.
type InventoryEntry struct {
	Model         string   `json:"model"`
	UseCase       string   `json:"useCase"`
	IntendedUse   string   `json:"intendedUse"`
	ProhibitedUse string   `json:"prohibitedUse"`
	Owner         string   `json:"owner"`
	Developer     string   `json:"developer"`
	Exposure      string   `json:"exposure"` // low | medium | high
	Purpose       string   `json:"purpose"`
	RiskTier      string   `json:"riskTier"` // high | medium | low
	Protected     []string `json:"protectedAttributes"`
	Limits        []string `json:"limits"` // known limits and caveats, one sentence each
}

// PipelineConfiguration is what a run or a trigger executes.
type PipelineConfiguration struct {
	Name string `json:"name"`
	// Type is "training" or "trigger".
	Type string `json:"type"`
	// Config is the configuration itself; its canonical JSON is the artefact.
	Config json.RawMessage `json:"config"`
}

// Column describes one column of a data version.
type Column struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // numeric | categorical
	Role    string `json:"role"` // input | label | protected | ignored
	Missing int64  `json:"missing"`
}

// DataVersion registers an immutable file of rows.
type DataVersion struct {
	Name      string          `json:"name"`
	Version   string          `json:"version"`
	MediaType string          `json:"mediaType"`
	Digest    string          `json:"digest"`
	RowDigest string          `json:"rowDigest"`
	Rows      int64           `json:"rows"`
	Columns   []Column        `json:"columns"`
	Origin    string          `json:"origin"`
	Licence   string          `json:"licence"`
	Profile   json.RawMessage `json:"profile,omitempty"`
}

// FeatureSet says which columns a model may see, and how they are encoded.
type FeatureSet struct {
	Name       string            `json:"name"`
	Version    string            `json:"version"`
	Digest     string            `json:"digest"` // of Definition's canonical JSON
	Inputs     []string          `json:"inputs"`
	Label      string            `json:"label"`
	Protected  []string          `json:"protected"`          // evaluation only
	Excluded   map[string]string `json:"excluded,omitempty"` // column → reason
	Definition json.RawMessage   `json:"definition"`
	Split      json.RawMessage   `json:"split,omitempty"` // names, sizes, seed, index digests
}

// ResourceDescriptor is in-toto's.
type ResourceDescriptor struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	MediaType   string            `json:"mediaType,omitempty"`
	Annotations map[string]any    `json:"annotations,omitempty"`
}

// Provenance is the SLSA provenance v1 predicate, as far as we fill it.
type Provenance struct {
	BuildDefinition struct {
		BuildType            string               `json:"buildType"`
		ExternalParameters   map[string]any       `json:"externalParameters"`
		InternalParameters   map[string]any       `json:"internalParameters,omitempty"`
		ResolvedDependencies []ResourceDescriptor `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
		Metadata struct {
			InvocationID string     `json:"invocationId"`
			StartedOn    *time.Time `json:"startedOn,omitempty"`
			FinishedOn   *time.Time `json:"finishedOn,omitempty"`
		} `json:"metadata"`
		Byproducts []ResourceDescriptor `json:"byproducts,omitempty"`
	} `json:"runDetails"`
}

// Results of a TestResult.
const (
	ResultPassed = "PASSED"
	ResultWarned = "WARNED"
	ResultFailed = "FAILED"
)

// TestResult is in-toto's test-result v0.1; Details is our extension and
// holds the whole report.
type TestResult struct {
	Result        string               `json:"result"`
	Configuration []ResourceDescriptor `json:"configuration"`
	PassedTests   []string             `json:"passedTests,omitempty"`
	WarnedTests   []string             `json:"warnedTests,omitempty"`
	FailedTests   []string             `json:"failedTests,omitempty"`
	Details       json.RawMessage      `json:"details,omitempty"`
}

// OMS is the predicate of OpenSSF Model Signing v1.0.
type OMS struct {
	Serialization struct {
		Method        string   `json:"method"`
		HashType      string   `json:"hash_type"`
		AllowSymlinks bool     `json:"allow_symlinks"`
		IgnorePaths   []string `json:"ignore_paths"`
	} `json:"serialization"`
	Resources []OMSResource `json:"resources"`
}

// OMSResource is one file of a model.
type OMSResource struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"`
}

// Registration makes a model version: an immutable manifest of files.
type Registration struct {
	Model   string `json:"model"`
	Version string `json:"version"`
	// Root is the OMS root digest of the files; Artefact the served file's.
	Root     string `json:"root"`
	Artefact string `json:"artefact"`
	Format   string `json:"format"` // onnx
	// Inputs are the graph's inputs, read from the artefact itself.
	Inputs    []string   `json:"inputs"`
	Run       EntryRef   `json:"run"`
	Signature EntryRef   `json:"signature"` // the OMS entry
	Evidence  []EntryRef `json:"evidence"`  // evaluations at registration
	// Metrics repeat the headline numbers of the evidence, by name.
	Metrics map[string]float64 `json:"metrics"`
}

// Binding is what a decision is about: change any part and it is void.
type Binding struct {
	Model          string    `json:"model"`
	Version        string    `json:"version"`
	Artefact       string    `json:"artefact"` // the version's OMS root
	Stage          string    `json:"stage"`
	PolicyDigest   string    `json:"policyDigest"`
	EvidenceDigest string    `json:"evidenceDigest"` // EvidenceDigest(request.Evidence)
	RequestNonce   string    `json:"requestNonce"`
	Expires        time.Time `json:"expires"`
}

// PromotionRequest freezes the evidence set and asks for a stage.
type PromotionRequest struct {
	Binding  Binding    `json:"binding"`
	Evidence []EntryRef `json:"evidence"` // ordered by index
	Reason   string     `json:"reason"`
}

// Outcomes of a decision.
const (
	OutcomeApproved    = "approved"
	OutcomeConditional = "conditionally-approved"
	OutcomeRejected    = "rejected"
)

// Decision is one person's word on a request, in one role. Acceptance (first
// line) uses it too, with role "model-owner".
type Decision struct {
	Request    EntryRef `json:"request"`
	Binding    Binding  `json:"binding"`
	Role       string   `json:"role"`
	Outcome    string   `json:"outcome"`
	Reason     string   `json:"reason"`
	Conditions []string `json:"conditions,omitempty"`
}

// Withdrawal takes a decision or request back.
type Withdrawal struct {
	Target EntryRef `json:"target"`
	Reason string   `json:"reason"`
}

// VSA is the SLSA verification summary; Gate is our extension.
type VSA struct {
	Verifier struct {
		ID string `json:"id"`
	} `json:"verifier"`
	TimeVerified       time.Time            `json:"timeVerified"`
	ResourceURI        string               `json:"resourceUri"`
	Policy             ResourceDescriptor   `json:"policy"`
	InputAttestations  []ResourceDescriptor `json:"inputAttestations"`
	VerificationResult string               `json:"verificationResult"` // PASSED | FAILED
	VerifiedLevels     []string             `json:"verifiedLevels"`
	SlsaVersion        string               `json:"slsaVersion,omitempty"`
	Gate               GateDetail           `json:"gate"`
}

// GateDetail lists each condition, in words.
type GateDetail struct {
	Request    EntryRef    `json:"request"`
	Binding    Binding     `json:"binding"`
	Conditions []Condition `json:"conditions"`
}

// Condition is one line of a gate's answer.
type Condition struct {
	Name string `json:"name"`
	Met  bool   `json:"met"`
	// By lists the entries that met it; Words says what is met or missing, and how to meet it.
	By    []EntryRef `json:"by,omitempty"`
	Words string     `json:"words"`
}

// Roles of a deployment at an endpoint.
const (
	ServeChampion   = "champion"
	ServeChallenger = "challenger"
)

// Deployment admits one version at an endpoint, or retires it.
type Deployment struct {
	Endpoint string   `json:"endpoint"`
	Action   string   `json:"action"` // deploy | promote | retire
	Role     string   `json:"role"`   // champion | challenger
	Weight   float64  `json:"weight"` // share of traffic, 0..1
	Model    string   `json:"model"`
	Version  string   `json:"version"`
	Root     string   `json:"root"`
	Artefact string   `json:"artefact"` // digest that the runtime loaded
	Stage    string   `json:"stage"`
	Request  EntryRef `json:"request"`
	Verdict  EntryRef `json:"verdict"`
	// Permit is one-use: the hash of (verdict PAE, endpoint, role).
	Permit string `json:"permit"`
	// Canary is the verdict that a promotion from challenger rests on.
	Canary *EntryRef `json:"canary,omitempty"`
}

// Segment seals predictions: an own Merkle tree over the records.
type Segment struct {
	Endpoint   string    `json:"endpoint"`
	Deployment EntryRef  `json:"deployment"`
	Model      string    `json:"model"`
	Version    string    `json:"version"`
	Sequence   int64     `json:"sequence"`
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Count      int64     `json:"count"`
	Root       string    `json:"root"`   // RFC 6962 root over the (encrypted) records
	Digest     string    `json:"digest"` // SHA-256 of the segment file
	Simulated  bool      `json:"simulated"`
	// Positive counts label 1 among the answers.
	Positive int64 `json:"positive"`
}

// Outcomes are labels that came later.
type Outcomes struct {
	Endpoint string             `json:"endpoint"`
	Segments []EntryRef         `json:"segments"`
	Count    int64              `json:"count"`
	Digest   string             `json:"digest"`
	Metrics  map[string]float64 `json:"metrics"`
}

// Window is one monitoring window's reading.
type Window struct {
	Endpoint string          `json:"endpoint"`
	Model    string          `json:"model"`
	Version  string          `json:"version"`
	Sequence int64           `json:"sequence"`
	Count    int64           `json:"count"`
	Status   string          `json:"status"` // ok | watch | alert
	Retrain  bool            `json:"retrain"`
	Digest   string          `json:"digest"` // of Report's canonical JSON
	Report   json.RawMessage `json:"report"`
}

// Alert is raised by one or more windows.
type Alert struct {
	Endpoint string     `json:"endpoint"`
	Windows  []EntryRef `json:"windows"`
	Kind     string     `json:"kind"` // drift | performance
	Features []string   `json:"features"`
	Words    string     `json:"words"`
}

// RetrainTrigger starts a pipeline because of an alert.
type RetrainTrigger struct {
	Alert    EntryRef `json:"alert"`
	Pipeline string   `json:"pipeline"` // digest of the training configuration
	Trigger  string   `json:"trigger"`  // digest of the trigger configuration
	Reason   string   `json:"reason"`
}

// CanaryVerdict closes a canary.
type CanaryVerdict struct {
	Endpoint   string          `json:"endpoint"`
	Champion   EntryRef        `json:"champion"`   // deployment
	Challenger EntryRef        `json:"challenger"` // deployment
	Verdict    string          `json:"verdict"`    // promote | rollback | inconclusive
	Requests   int64           `json:"requests"`
	Simulated  bool            `json:"simulated"`
	Report     json.RawMessage `json:"report"` // configuration, guardrails, trace
}

// Document is a rendered report and what it rests on.
type Document struct {
	Name      string     `json:"name"` // file name
	Title     string     `json:"title"`
	Kind      string     `json:"documentKind"` // model-card | validation-report | promotion-record
	MediaType string     `json:"mediaType"`
	Size      int64      `json:"size"`
	Digest    string     `json:"digest"`
	AsOf      int64      `json:"asOf"` // log size that was read
	Sources   []EntryRef `json:"sources"`
}

// ProjectState makes a false claim of completeness contradictable.
type ProjectState struct {
	Project string `json:"project"`
	Size    int64  `json:"size"`  // log size that it covers
	Count   int64  `json:"count"` // entries of the project below Size
	Root    string `json:"root"`  // RFC 6962 root over the PAE digests, in index order
}

// Export signs the manifest of an evidence pack.
type Export struct {
	Query    string     `json:"query"`
	Project  string     `json:"project"`
	TreeSize int64      `json:"treeSize"` // N: the checkpoint of the pack
	Root     string     `json:"root"`
	Manifest string     `json:"manifest"` // SHA-256 of manifest.json
	Entries  []EntryRef `json:"entries"`
}

// Abandoned closes an intent whose work never came back.
type Abandoned struct {
	Intent string `json:"intent"` // nonce of the intent
	Kind   string `json:"kind"`
	Reason string `json:"reason"` // expired | shutdown | failed
	Error  string `json:"error,omitempty"`
}

// Erasure deletes payloads under an attested reason. Redacted carries what
// replay projects instead of the erased predicate.
type Erasure struct {
	Reason   string            `json:"reason"`
	Basis    string            `json:"legalBasis"`
	Entries  []EntryRef        `json:"entries"`
	Redacted []json.RawMessage `json:"redacted"` // one for each of Entries
}
