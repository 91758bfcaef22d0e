package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/pipeline/gate"
	"affidavit/rbac/sod"
)

const stageName = "production"

// firstPromotion asks for the version that ranks better on held-out rows.
func (d *demo) firstPromotion(ctx context.Context) error {
	best := d.versions[0]
	for _, v := range d.versions[1:] {
		if v.report.Discrimination.AUC.Value > best.report.Discrimination.AUC.Value {
			best = v
		}
	}
	d.life.champion = best
	return d.promote(ctx, best, true)
}

// promote runs request, acceptance, decisions and verdict. With tempt, the
// engineer first tries to approve the own model, which must fail.
func (d *demo) promote(ctx context.Context, v *version, tempt bool) error {
	if err := d.request(ctx, v); err != nil {
		return err
	}
	if tempt {
		if err := d.selfApproval(ctx, v); err != nil {
			return err
		}
	}
	words := []struct{ actor, role, outcome, reason string }{
		{owner, sod.RoleModelOwner, attest.OutcomeApproved, "The version fits the intended use of the inventory entry."},
		{validator, sod.RoleValidator, attest.OutcomeApproved, "Discrimination, calibration, fairness tables and robustness were reviewed against the policy; limits are stated in the card."},
		{riskOfficer, sod.RoleRiskOfficer, attest.OutcomeApproved, "Within appetite for a demonstration on historical data."},
	}
	for _, w := range words {
		if _, err := d.decide(ctx, v, w.actor, w.role, w.outcome, w.reason); err != nil {
			return fmt.Errorf("%s: %w", w.actor, err)
		}
	}
	return d.verdict(ctx, v)
}

func (d *demo) request(ctx context.Context, v *version) error {
	n := make([]byte, 16)
	_, _ = rand.Read(n) // never fails
	s := stepOf(attest.KindPromotionRequest)
	s.Nonce = hex.EncodeToString(n)
	var res lineage.Result
	err := d.view(ctx, func(r *lineage.ReadTx) error {
		var err error
		res, err = gate.Request(r, gate.Ask{Project: project, Model: modelName, Version: v.Number, Stage: stageName, PolicyDigest: d.policy,
			Expires: d.node.Ledger.Now().UTC().Truncate(time.Second).AddDate(0, 0, 90), Reason: "Evaluated on held-out applicants; asks to serve.", Nonce: s.Nonce})
		return err
	})
	if err != nil {
		return err
	}
	v.request, err = d.submit(ctx, engineer, s, res)
	return err
}

func (d *demo) decide(ctx context.Context, v *version, actor, role, outcome, reason string) (lineage.Receipt, error) {
	var kind string
	var res lineage.Result
	err := d.view(ctx, func(r *lineage.ReadTx) error {
		var err error
		kind, res, err = gate.Decide(r, v.request.Index, role, outcome, reason)
		return err
	})
	if err != nil {
		return lineage.Receipt{}, err
	}
	return d.submit(ctx, actor, stepOf(kind), res)
}

// selfApproval tries what must not be: the engineer approves the own model,
// then the admin lends the engineer the validator's role for it. It succeeds
// when the ledger refuses both and nothing changed.
func (d *demo) selfApproval(ctx context.Context, v *version) error {
	err := d.mustRefuse(ctx, engineer, sod.RoleValidator, "approve version "+v.Number, func() error {
		_, err := d.decide(ctx, v, engineer, sod.RoleValidator, attest.OutcomeApproved, "Looks good to me.")
		return err
	})
	if err != nil {
		return err
	}
	return d.mustRefuse(ctx, admin, sod.RoleAdmin, "make the engineer a validator", func() error {
		grant := attest.RoleGrant{Action: attest.ActionGrant, Actor: engineer, Role: sod.RoleValidator, Project: project, Reason: "short of people"}
		_, err := d.submit(ctx, admin, lineage.Step{Kind: attest.KindRoleGrant}, lineage.Result{Predicate: grant})
		return err
	})
}

func (d *demo) mustRefuse(ctx context.Context, actor, role, what string, try func() error) error {
	before, err := d.size(ctx)
	if err != nil {
		return err
	}
	refused := try()
	after, err := d.size(ctx)
	if err != nil {
		return err
	}
	if refused == nil {
		return fmt.Errorf("%s could %s", actor, what)
	}
	if lineage.CodeOf(refused) != lineage.CodeForbidden || after != before {
		return fmt.Errorf("refused, but not as it should be (size %d, then %d): %w", before, after, refused)
	}
	d.refused = append(d.refused, refusal{Actor: actor, Role: role, Tried: what, Reason: refused.Error(), When: d.node.Ledger.Now().UTC()})
	fmt.Fprintf(d.o.Progress, "        refused, as it must be: %v\n", refused)
	return nil
}

func (d *demo) size(ctx context.Context) (n int64, err error) {
	err = d.view(ctx, func(r *lineage.ReadTx) error { n = r.Size(); return nil })
	return n, err
}

func (d *demo) verdict(ctx context.Context, v *version) error {
	var passed bool
	var unmet string
	var err error
	v.verdict, err = d.service(ctx, attest.KindVerdict, func(r *lineage.ReadTx) (lineage.Result, error) {
		res, verdict, err := gate.VerdictResult(r, v.request.Index, d.node.Ledger.Now())
		passed, unmet = verdict.Passed, gate.Unmet(verdict.Conditions)
		return res, err
	})
	if err == nil && !passed {
		err = fmt.Errorf("the gate refused version %s: %s", v.Number, unmet)
	}
	return err
}
