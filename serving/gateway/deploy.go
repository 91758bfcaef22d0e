package gateway

import (
	"context"

	"affidavit/attest"
	"affidavit/lineage"
)

// Deployment asks to put a version into a role, or to take one off.
type Deployment struct {
	Endpoint string
	Action   string  // ActionDeploy, ActionPromote or ActionRetire
	Role     string  // attest.ServeChampion or ServeChallenger; a promotion makes a champion
	Weight   float64 // of a challenger: its share of traffic
	// Verdict is the index of the gate verdict that a deployment or promotion rests on.
	Verdict int64
	// Canary is the entry that a promotion rests on, or that a challenger is retired for.
	Canary *attest.EntryRef
}

// Deploy admits a version at an endpoint, or retires one, signed by the server's account on behalf of a person ("" for
// none), and synchronises. The artefact is loaded first: the entry swears to the digest that the runtime loaded.
func (g *Gateway) Deploy(ctx context.Context, d Deployment, onBehalfOf string) (lineage.Receipt, error) {
	step := lineage.Step{Kind: attest.KindDeployment, Project: g.o.Project, OnBehalfOf: onBehalfOf}
	rec, err := g.ledger.Do(ctx, step, func(ctx context.Context, _ lineage.Run) (lineage.Result, error) { return g.Plan(ctx, d) })
	if err != nil {
		return rec, err
	}
	return rec, g.Sync(ctx)
}

// Plan makes the result of a deployment for somebody who signs it elsewhere; call Sync once it is logged.
func (g *Gateway) Plan(ctx context.Context, d Deployment) (lineage.Result, error) {
	if err := checkEndpoint(d.Endpoint); err != nil {
		return lineage.Result{}, err
	}
	if d.Action == ActionRetire {
		return g.planRetirement(ctx, d)
	}
	var v attest.VSA
	var verdict attest.EntryRef
	var version versionRow
	err := g.view(ctx, func(r *lineage.ReadTx) error {
		e, err := r.Entry(d.Verdict)
		if err != nil {
			return err
		}
		if e.Kind != attest.KindVerdict {
			return lineage.Errf(lineage.CodeInvalid, "verdict", "entry %d is a %s, no gate verdict", e.Index, e.Kind)
		}
		verdict = e.EntryRef()
		if err := e.Decode(&v); err != nil {
			return err
		}
		b := v.Gate.Binding
		if err := r.First(&version, "project = ? AND model = ? AND version = ?", g.o.Project, b.Model, b.Version); err != nil {
			return lineage.Errf(lineage.CodeOf(err), "version", "no version %q of model %q is registered", b.Version, b.Model)
		}
		return nil
	})
	if err != nil {
		return lineage.Result{}, err
	}
	m, _, err := g.load(ctx, version.Artefact)
	if err != nil {
		return lineage.Result{}, err
	}
	b := v.Gate.Binding
	p := attest.Deployment{Endpoint: d.Endpoint, Action: d.Action, Role: d.Role, Weight: d.Weight, Model: b.Model, Version: b.Version, Root: b.Artefact,
		Artefact: m.Digest(), Stage: b.Stage, Request: v.Gate.Request, Verdict: verdict, Canary: d.Canary}
	if d.Action == ActionPromote {
		p.Role = attest.ServeChampion
	}
	if p.Role == attest.ServeChampion {
		p.Weight = 1
	}
	p.Permit = attest.Permit(verdict.PAE, p.Endpoint, p.Role)
	return deploymentResult(p,
		attest.Relation{Type: attest.RelConcerns, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: verdict.PAE}},
		attest.Relation{Type: attest.RelConcerns, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: p.Request.PAE}}), nil
}

func (g *Gateway) planRetirement(ctx context.Context, d Deployment) (lineage.Result, error) {
	var res lineage.Result
	err := g.view(ctx, func(r *lineage.ReadTx) error {
		row, err := Occupant(r, g.o.Project, d.Endpoint, d.Role)
		if err != nil {
			return err
		}
		if row.Vacant() {
			return lineage.Errf(lineage.CodeConflict, "role", "endpoint %q has no %s", d.Endpoint, d.Role)
		}
		e, err := r.Entry(row.Entry)
		if err != nil {
			return err
		}
		var was attest.Deployment
		if err := e.Decode(&was); err != nil {
			return err
		}
		p := attest.Deployment{Endpoint: d.Endpoint, Action: ActionRetire, Role: d.Role, Model: row.Model, Version: row.Version, Root: row.Root,
			Artefact: row.Artefact, Stage: was.Stage, Request: was.Request, Verdict: was.Verdict, Canary: d.Canary}
		res = deploymentResult(p, attest.Relation{Type: attest.RelSupersedes, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: e.PAE}})
		return nil
	})
	return res, err
}

func deploymentResult(p attest.Deployment, relations ...attest.Relation) lineage.Result {
	name := p.Model + " " + p.Version
	res := lineage.Result{Predicate: p, Relations: relations}
	if p.Action != ActionRetire {
		res.Subjects = []attest.Subject{{Name: name, Digest: map[string]string{"sha256": p.Root}}}
		res.Relations = append([]attest.Relation{{Type: attest.RelDeployed, Ref: attest.Ref{Kind: attest.ArtefactVersion, Digest: p.Root, Name: name}}}, res.Relations...)
	}
	if p.Canary != nil {
		res.Relations = append(res.Relations, attest.Relation{Type: attest.RelConcerns, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: p.Canary.PAE}})
	}
	return res
}
