package demo

import (
	"context"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/rbac/sod"
)

// project is the one that the demo opens.
const project = "lending"

// person is somebody of the demo with a key of their own.
type person struct {
	actor, name, email string
	roles              []string
	signer             keys.Signer
}

// Actors of the demo.
const (
	engineer    = "erin-engineer"
	owner       = "olivia-owner"
	validator   = "victor-validator"
	riskOfficer = "rosa-risk"
	auditor     = "aaron-auditor"
	admin       = "ada-admin"
	trainer     = "trainer" // a service account, owned by the engineer
)

func newPeople() (map[string]*person, error) {
	list := []*person{
		{actor: engineer, name: "Erin Engineer", email: "erin@bank.example", roles: []string{sod.RoleEngineer}},
		{actor: owner, name: "Olivia Owner", email: "olivia@bank.example", roles: []string{sod.RoleModelOwner}},
		{actor: validator, name: "Victor Validator", email: "victor@bank.example", roles: []string{sod.RoleValidator}},
		{actor: riskOfficer, name: "Rosa Risk", email: "rosa@bank.example", roles: []string{sod.RoleRiskOfficer}},
		{actor: auditor, name: "Aaron Auditor", email: "aaron@bank.example", roles: []string{sod.RoleAuditor}},
		{actor: admin, name: "Ada Admin", email: "ada@bank.example"},
		{actor: trainer, roles: []string{sod.RoleMachine}},
	}
	out := map[string]*person{}
	for _, p := range list {
		s, err := keys.Ephemeral()
		if err != nil {
			return nil, err
		}
		p.signer = s
		out[p.actor] = p
	}
	return out, nil
}

func (p *person) enrolment() attest.Enrolment {
	spki := p.signer.PublicKey()
	return attest.Enrolment{Actor: p.actor, Name: p.name, Email: p.email, KeyID: attest.KeyID(spki), PublicKey: spki}
}

// order in which people are enrolled.
var order = []string{engineer, owner, validator, riskOfficer, auditor}

// enrolPeople opens the project, enrols everybody's own key and grants roles;
// all of it signed by the admin.
func (d *demo) enrolPeople(ctx context.Context) error {
	if _, err := d.submit(ctx, admin, lineage.Step{Kind: attest.KindProject}, lineage.Result{
		Predicate: attest.Project{ID: project, Name: "Mortgage lending", Description: "Decisions on mortgage applications"}}); err != nil {
		return err
	}
	for _, actor := range order {
		if err := d.enrol(ctx, d.people[actor]); err != nil {
			return err
		}
	}
	account := attest.ServiceAccount{Account: trainer, Owner: engineer, Purpose: "runs training and evaluation pipelines", Active: true}
	if _, err := d.submit(ctx, admin, lineage.Step{Kind: attest.KindServiceAccount}, lineage.Result{Predicate: account}); err != nil {
		return err
	}
	return d.enrol(ctx, d.people[trainer])
}

func (d *demo) enrol(ctx context.Context, p *person) error {
	event := attest.KeyEvent{Action: attest.ActionEnrol, Enrolment: p.enrolment()}
	if _, err := d.submit(ctx, admin, lineage.Step{Kind: attest.KindKeyEvent}, lineage.Result{Predicate: event}); err != nil {
		return err
	}
	for _, role := range p.roles {
		grant := attest.RoleGrant{Action: attest.ActionGrant, Actor: p.actor, Role: role, Project: project}
		if _, err := d.submit(ctx, admin, lineage.Step{Kind: attest.KindRoleGrant}, lineage.Result{Predicate: grant}); err != nil {
			return err
		}
	}
	return nil
}

// submit is what a person's own tool does: prepare, sign with their key, hand in.
func (d *demo) submit(ctx context.Context, actor string, s lineage.Step, res lineage.Result) (lineage.Receipt, error) {
	s.Actor = actor
	st, err := d.node.Ledger.Prepare(ctx, s, res)
	if err != nil {
		return lineage.Receipt{}, err
	}
	signed, err := attest.Sign(ctx, st, d.people[actor].signer)
	if err != nil {
		return lineage.Receipt{}, err
	}
	return d.node.Ledger.Submit(ctx, signed)
}

// machine runs a step as the trainer's service account, for the engineer.
func (d *demo) machine(ctx context.Context, s lineage.Step, work lineage.Work) (lineage.Receipt, error) {
	s.Actor, s.OnBehalfOf, s.Project = trainer, engineer, project
	return d.node.Ledger.Do(ctx, s, work)
}
