package gateway

import (
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/pipeline/gate"
)

// Actions of a deployment.
const (
	ActionDeploy  = "deploy"  // a first champion, or a challenger beside it
	ActionPromote = "promote" // the challenger becomes champion, on a canary's verdict
	ActionRetire  = "retire"  // takes a role off an endpoint; needs no approval
)

// Verdicts of a canary.
const (
	VerdictPromote      = "promote"
	VerdictRollback     = "rollback"
	VerdictInconclusive = "inconclusive"
)

// admitFunc judges a request again, as the log stands below an index: nil, or an error that says what is unmet.
type admitFunc func(r *lineage.ReadTx, request, verdict attest.EntryRef, below int64, now time.Time) error

// Kinds returns this package's rows of the table.
func Kinds() []lineage.Kind { return kinds(gate.Admit) }

func kinds(admit admitFunc) []lineage.Kind {
	return []lineage.Kind{
		{Name: attest.KindDeployment, Check: checkDeployment(admit), Project: projectDeployment},
		{Name: attest.KindSegment, Check: checkSegment, Project: projectSegment},
		{Name: attest.KindOutcomes, Check: checkOutcomes, Project: projectOutcomes},
		{Name: attest.KindCanaryVerdict, Check: checkCanary, Project: projectCanary},
	}
}

// DeploymentRow is a row of deployments.
type DeploymentRow struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	Endpoint string
	Action   string
	Role     string
	Weight   float64
	Model    string
	Version  string
	Root     string
	Artefact string
	Request  int64 // entry; of a retirement, those of the deployment that it ends
	Verdict  int64
	Permit   string // of a retirement, its own PAE digest: it uses none
}

// TableName implements gorm's Tabler.
func (DeploymentRow) TableName() string { return "deployments" }

// EndpointRow is a row of cur_endpoints: what stands in a role at an endpoint. After a retirement the role is vacant:
// model, version, root and artefact are empty and Entry is the one that emptied it.
type EndpointRow struct {
	Project  string `gorm:"primaryKey"`
	Endpoint string `gorm:"primaryKey"`
	Role     string `gorm:"primaryKey"`
	Weight   float64
	Model    string
	Version  string
	Root     string
	Artefact string
	Entry    int64
}

// TableName implements gorm's Tabler.
func (EndpointRow) TableName() string { return "cur_endpoints" }

// Vacant reports whether nothing stands in this role.
func (r EndpointRow) Vacant() bool { return r.Root == "" }

// SegmentRow is a row of segments.
type SegmentRow struct {
	Entry      int64 `gorm:"primaryKey;autoIncrement:false"`
	Project    string
	Endpoint   string
	Deployment int64
	Sequence   int64
	Records    int64
	Root       string
	Digest     string
	Simulated  int64
}

// TableName implements gorm's Tabler.
func (SegmentRow) TableName() string { return "segments" }

// OutcomesRow is a row of outcomes.
type OutcomesRow struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	Endpoint string
	Records  int64
	Digest   string
}

// TableName implements gorm's Tabler.
func (OutcomesRow) TableName() string { return "outcomes" }

// CanaryRow is a row of canaries.
type CanaryRow struct {
	Entry      int64 `gorm:"primaryKey;autoIncrement:false"`
	Project    string
	Endpoint   string
	Champion   int64
	Challenger int64
	Verdict    string
	Requests   int64
	Simulated  int64
}

// TableName implements gorm's Tabler.
func (CanaryRow) TableName() string { return "canaries" }

// versionRow reads what a registration projected; its Kind belongs to the registry.
type versionRow struct {
	Entry    int64
	Project  string
	Model    string
	Version  string
	Root     string
	Artefact string
}

func (versionRow) TableName() string { return "versions" }

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// isEndpoint: the name of an endpoint is a part of an address.
func isEndpoint(s string) bool {
	if len(s) == 0 || len(s) > 64 || s[0] == '-' || s[0] == '.' {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func checkEndpoint(s string) error {
	if !isEndpoint(s) {
		return lineage.Errf(lineage.CodeInvalid, "endpoint", "%.80q is no name of an endpoint", s).
			WithRemedy("use 1–64 letters, digits, hyphens, dots and underscores")
	}
	return nil
}

// related refuses an entry whose signed relations do not say what its predicate says.
func related(e *lineage.Entry, rel attest.RelationType, kind, digest, what string) error {
	if !e.Has(rel, kind, digest) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "the predicate names %s %.12s…, and no relation %q leads to it", what, digest, rel).
			WithRemedy("add the relation %s %s:%s", rel, kind, digest)
	}
	return nil
}
