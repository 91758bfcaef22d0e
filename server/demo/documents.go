package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"affidavit/attest"
	"affidavit/attest/pack"
	"affidavit/lineage"
	"affidavit/reports/evidence"
)

// documents renders the three documents of the version that serves, signed by
// the people who answer for them, and logs each.
func (d *demo) documents(ctx context.Context) error {
	if err := os.MkdirAll(d.path("documents"), 0o755); err != nil {
		return err
	}
	var refused []evidence.Refused
	for _, r := range d.refused {
		refused = append(refused, evidence.Refused{Actor: r.Actor, Role: r.Role, Tried: r.Tried, Reason: r.Reason, Code: string(lineage.CodeForbidden), When: r.When})
	}
	size, err := d.size(ctx)
	if err != nil {
		return err
	}
	jobs := []struct {
		kind, version, actor string
		signers              []string
	}{
		{evidence.ModelCard, d.serving().Number, riskOfficer, []string{riskOfficer}},
		{evidence.ValidationReport, d.serving().Number, validator, []string{validator}},
		{evidence.PromotionRecord, d.life.champion.Number, riskOfficer, []string{validator, riskOfficer}},
		{evidence.PromotionRecord, d.life.challenger.Number, riskOfficer, []string{validator, riskOfficer}},
	}
	for _, j := range jobs {
		q := evidence.Request{Project: project, Model: modelName, Version: j.version, Kind: j.kind, Size: size, Organisation: "Example Bank", Refused: refused}
		for _, s := range j.signers {
			p := d.people[s]
			q.Signers = append(q.Signers, evidence.Signatory{Name: p.name, Email: p.email, Reason: "I answer for this document", Signer: p.signer})
		}
		if err := d.document(ctx, j.actor, q); err != nil {
			return fmt.Errorf("%s of version %s: %w", j.kind, j.version, err)
		}
	}
	return nil
}

func (d *demo) document(ctx context.Context, actor string, q evidence.Request) error {
	r, err := evidence.Render(ctx, d.node.Ledger, q)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("documents", r.Document.Name), r.PDF, 0o644); err != nil {
		return err
	}
	_, err = d.submit(ctx, actor, stepOf(attest.KindDocument), evidence.DocumentResult(r))
	return err
}

// serving is the version that is champion now.
func (d *demo) serving() *version {
	if d.life.canaryVerdict == gatewayPromote {
		return d.life.challenger
	}
	return d.life.champion
}

// export writes the pack, signed by the auditor with an identity certificate,
// and verifies it with nothing but the trusted root that lies beside it.
func (d *demo) export(ctx context.Context) error {
	root, err := d.node.Ledger.TrustedRoot().Marshal()
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("trusted_root.json"), root, 0o644); err != nil {
		return err
	}
	signer, err := evidence.Identity(d.node.Ledger, d.people[auditor].email, "https://idp.bank.example")
	if err != nil {
		return err
	}
	f, err := os.Create(d.path("pack.zip"))
	if err != nil {
		return err
	}
	_, err = evidence.Export(ctx, d.node.Ledger, evidence.Params{Project: project, Actor: auditor, Signer: signer, Out: f})
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return d.verify(ctx, root)
}

func (d *demo) verify(ctx context.Context, root []byte) error {
	content, err := os.ReadFile(d.path("pack.zip"))
	if err != nil {
		return err
	}
	rep, err := pack.Verify(ctx, bytes.NewReader(content), int64(len(content)), pack.Options{TrustedRoot: root})
	if err != nil {
		return err
	}
	if rep.Exit() != pack.ExitVerified {
		var words []string
		for _, r := range rep.Refusals {
			words = append(words, r.Error())
		}
		return fmt.Errorf("the pack does not verify: %s", strings.Join(words, "; "))
	}
	d.packed = rep
	return nil
}
