// Package gate decides on promotions: a request freezes the evidence, people
// decide on it, and the gate's verdict says whether the policy is met.
//
// Every rule is asked here, where a decision becomes governed state, and again
// by the offline verifier, which uses the same rbac/sod and rbac/policy.
package gate

import (
	"context"

	"affidavit/attest"
	"affidavit/lineage"
)

// States of a request.
const (
	StateOpen      = "open"
	StateApproved  = "approved"  // a verdict passed, and nothing was taken back since
	StateRejected  = "rejected"  // a rejection stands
	StateWithdrawn = "withdrawn" // final
)

// Kinds returns this package's rows of the table of Kinds.
func Kinds() []lineage.Kind {
	reason := []string{"reason"}
	return []lineage.Kind{
		{Name: attest.KindPromotionRequest, Check: checkRequest, Project: projectRequest, Erasable: reason},
		{Name: attest.KindAcceptance, Check: checkDecision, Project: projectDecision, Erasable: reason},
		{Name: attest.KindDecision, Check: checkDecision, Project: projectDecision, Erasable: reason},
		{Name: attest.KindWithdrawal, Check: checkWithdrawal, Project: projectWithdrawal, Erasable: reason},
		{Name: attest.KindVerdict, Check: checkVerdict, Project: projectVerdict},
	}
}

// RequestRow is a row of requests.
type RequestRow struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	Model    string
	Version  string
	Stage    string
	Root     string
	Policy   string
	Evidence string
	Nonce    string
	Expires  int64 // Unix seconds
}

// TableName implements gorm's Tabler.
func (RequestRow) TableName() string { return "requests" }

// DecisionRow is a row of decisions: an acceptance, a decision, or a
// withdrawal. Target is the entry that a withdrawal takes back, else the request.
type DecisionRow struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Kind    string
	Request int64
	Role    string
	Outcome string
	Actor   string
	Target  int64
}

// TableName implements gorm's Tabler.
func (DecisionRow) TableName() string { return "decisions" }

// VerdictRow is a row of verdicts.
type VerdictRow struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Request int64
	Passed  int64 // 0 or 1
}

// TableName implements gorm's Tabler.
func (VerdictRow) TableName() string { return "verdicts" }

// StateRow is a row of cur_requests. Entry is the last that changed it.
type StateRow struct {
	Request int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	State   string
	Entry   int64
}

// TableName implements gorm's Tabler.
func (StateRow) TableName() string { return "cur_requests" }

// StageRow is a row of cur_stages: the version of which a verdict for the
// stage passed last. What is served is the endpoints' matter, and admission
// judges again.
type StageRow struct {
	Project string `gorm:"primaryKey"`
	Model   string `gorm:"primaryKey"`
	Stage   string `gorm:"primaryKey"`
	Version string
	Root    string
	Entry   int64
}

// TableName implements gorm's Tabler.
func (StageRow) TableName() string { return "cur_stages" }

// versionRow is the part of versions that requests ask for.
type versionRow struct {
	Entry    int64
	Root     string
	Artefact string
}

// TableName implements gorm's Tabler.
func (versionRow) TableName() string { return "versions" }

// setState moves a request, if it moves.
func setState(w *lineage.WriteTx, e *lineage.Entry, request int64, state string) error {
	var row StateRow
	if err := w.First(&row, "request = ?", request); err != nil {
		return err
	}
	if row.State == state {
		return nil
	}
	row.State, row.Entry = state, e.Index
	return w.Save(&row)
}

// said returns the acceptances and decisions on a request that stand: not
// taken back by a withdrawal, in log order.
func said(r *lineage.ReadTx, request int64) ([]DecisionRow, error) {
	var rows []DecisionRow
	if err := r.Find(&rows, "entry", "request = ?", request); err != nil {
		return nil, err
	}
	taken := map[int64]bool{}
	for _, row := range rows {
		if row.Kind == attest.KindWithdrawal {
			taken[row.Target] = true
		}
	}
	var out []DecisionRow
	for _, row := range rows {
		if row.Kind != attest.KindWithdrawal && !taken[row.Entry] {
			out = append(out, row)
		}
	}
	return out, nil
}

func projectRequest(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.PromotionRequest
	if err := e.Decode(&p); err != nil {
		return err
	}
	b := p.Binding
	err := w.Insert(&RequestRow{Entry: e.Index, Project: e.Project, Model: b.Model, Version: b.Version, Stage: b.Stage, Root: b.Artefact,
		Policy: b.PolicyDigest, Evidence: b.EvidenceDigest, Nonce: b.RequestNonce, Expires: b.Expires.Unix()})
	if err != nil {
		return err
	}
	return w.Insert(&StateRow{Request: e.Index, Project: e.Project, State: StateOpen, Entry: e.Index})
}

func projectDecision(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.Decision
	if err := e.Decode(&p); err != nil {
		return err
	}
	err := w.Insert(&DecisionRow{Entry: e.Index, Project: e.Project, Kind: e.Kind, Request: p.Request.Index, Role: p.Role, Outcome: p.Outcome,
		Actor: e.Actor, Target: p.Request.Index})
	if err != nil || p.Outcome != attest.OutcomeRejected {
		return err
	}
	return setState(w, e, p.Request.Index, StateRejected)
}

func projectWithdrawal(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.Withdrawal
	if err := e.Decode(&p); err != nil {
		return err
	}
	request := p.Target.Index
	if p.Target.Kind != attest.KindPromotionRequest {
		var old DecisionRow
		if err := w.First(&old, "entry = ?", p.Target.Index); err != nil {
			return err
		}
		request = old.Request
	}
	err := w.Insert(&DecisionRow{Entry: e.Index, Project: e.Project, Kind: e.Kind, Request: request, Actor: e.Actor, Target: p.Target.Index})
	if err != nil {
		return err
	}
	if request == p.Target.Index {
		return setState(w, e, request, StateWithdrawn)
	}
	return stateAfter(w, e, request)
}

// stateAfter is the state once a word was taken back: what it had brought
// about, an approval or a rejection, falls with it.
func stateAfter(w *lineage.WriteTx, e *lineage.Entry, request int64) error {
	var row StateRow
	if err := w.First(&row, "request = ?", request); err != nil || row.State == StateWithdrawn {
		return err
	}
	left, err := said(w.ReadTx, request)
	if err != nil {
		return err
	}
	state := StateOpen
	for _, d := range left {
		if d.Outcome == attest.OutcomeRejected {
			state = StateRejected
		}
	}
	return setState(w, e, request, state)
}

func projectVerdict(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.VSA
	if err := e.Decode(&p); err != nil {
		return err
	}
	row := VerdictRow{Entry: e.Index, Project: e.Project, Request: p.Gate.Request.Index}
	if p.VerificationResult != ResultPassed {
		return w.Insert(&row)
	}
	row.Passed = 1
	if err := w.Insert(&row); err != nil {
		return err
	}
	if err := setState(w, e, row.Request, StateApproved); err != nil {
		return err
	}
	b := p.Gate.Binding
	return w.Save(&StageRow{Project: e.Project, Model: b.Model, Stage: b.Stage, Version: b.Version, Root: b.Artefact, Entry: e.Index})
}
