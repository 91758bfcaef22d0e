package web

import (
	"sort"
	"strings"

	"affidavit/attest"
	"affidavit/lineage"
)

// Rows as the pages read them; the packages that own the Kinds write them.
type (
	inventoryRow struct {
		Project, Model, Tier, Owner, Developer string
		Entry                                  int64
	}
	versionRow struct {
		Entry                                   int64
		Project, Model, Version, Root, Artefact string
	}
	requestRow struct {
		Entry                                                  int64
		Project, Model, Version, Stage, Root, Policy, Evidence string
		Expires                                                int64
	}
	decisionRow struct {
		Entry, Request, Target     int64
		Kind, Role, Outcome, Actor string
	}
	verdictRow struct {
		Entry, Request, Passed int64
	}
	endpointRow struct {
		Project, Endpoint, Role, Model, Version, Root string
		Weight                                        float64
		Entry                                         int64
	}
	deploymentRow struct {
		Entry                        int64
		Endpoint, Action, Role, Root string
		Weight                       float64
	}
	windowRow struct {
		Entry                            int64
		Endpoint, Model, Version, Status string
		Sequence, Records                int64
	}
	canaryRow struct {
		Entry, Champion, Challenger, Requests, Simulated int64
		Endpoint, Verdict                                string
	}
	documentRow struct {
		Entry, AsOf  int64
		Kind, Digest string
	}
	evaluationRow struct {
		Entry                 int64
		Kind, Subject, Result string
	}
	policyRow struct {
		Entry  int64
		Digest string
	}
)

func (inventoryRow) TableName() string  { return "cur_inventory" }
func (versionRow) TableName() string    { return "versions" }
func (requestRow) TableName() string    { return "requests" }
func (decisionRow) TableName() string   { return "decisions" }
func (verdictRow) TableName() string    { return "verdicts" }
func (endpointRow) TableName() string   { return "cur_endpoints" }
func (deploymentRow) TableName() string { return "deployments" }
func (windowRow) TableName() string     { return "windows" }
func (canaryRow) TableName() string     { return "canaries" }
func (documentRow) TableName() string   { return "documents" }
func (evaluationRow) TableName() string { return "evaluations" }
func (policyRow) TableName() string     { return "policies" }

// reader adds names of people to a ReadTx, looked up once a page.
type reader struct {
	*lineage.ReadTx
	names map[string]string
}

func newReader(r *lineage.ReadTx) *reader { return &reader{ReadTx: r, names: map[string]string{}} }

// name is what a person was enrolled as; an account, or a person whose
// enrolment was erased, is shown by id.
func (r *reader) name(actor string) string {
	if actor == "" {
		return ""
	}
	if name, done := r.names[actor]; done {
		return name
	}
	name, err := r.enrolledName(actor)
	if err != nil || name == "" {
		name = actor
	}
	r.names[actor] = name
	return name
}

func (r *reader) enrolledName(actor string) (string, error) {
	row, err := r.Actor(actor)
	if err != nil {
		return "", err
	}
	e, err := r.Entry(row.Entry)
	if err != nil {
		return "", err
	}
	switch e.Kind {
	case attest.KindGenesis:
		var g attest.Genesis
		err := e.Decode(&g)
		if g.Admin.Actor == actor {
			return g.Admin.Name, err
		}
		return actor + " (this server)", err
	case attest.KindKeyEvent:
		var k attest.KeyEvent
		err := e.Decode(&k)
		return k.Name, err
	}
	return actor + " (service account)", nil
}

// signer names who an entry is by: the person behind an account where there is one.
func (r *reader) signer(e *lineage.Entry) string {
	if e.OnBehalfOf != "" {
		return r.name(e.Actor) + " for " + r.name(e.OnBehalfOf)
	}
	return r.name(e.Actor)
}

// absent turns "not found" into absence; any other error stays.
func absent(err error) (bool, error) {
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return true, nil
	}
	return false, err
}

// decode reads the predicate of the entry at index into v, and returns the entry.
func (r *reader) decode(index int64, v any) (*lineage.Entry, error) {
	e, err := r.Entry(index)
	if err != nil {
		return nil, err
	}
	return e, e.Decode(v)
}

// title names an entry for people: its first named subject, or its kind.
func title(e *lineage.Entry) string {
	if e.Statement != nil {
		for _, s := range e.Statement.Subject {
			if s.Name != "" && s.Name != "predicate" {
				return s.Name
			}
		}
	}
	if name := fromPredicate(e); name != "" {
		return name
	}
	return words(e.Kind)
}

// fromPredicate finds a name in predicates that are about themselves.
func fromPredicate(e *lineage.Entry) string {
	var p struct {
		Name, Version, Model, Account, Actor, Role, ID, Outcome, Endpoint, Origin, Action string
		Binding                                                                           attest.Binding
	}
	if err := e.Decode(&p); err != nil {
		return ""
	}
	join := func(parts ...string) string {
		return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
	}
	switch e.Kind {
	case attest.KindRoleGrant:
		return join(p.Action, p.Role, p.Actor)
	case attest.KindKeyEvent:
		return join(p.Action, p.Actor)
	case attest.KindAcceptance, attest.KindDecision:
		return join(strings.ReplaceAll(p.Outcome, "-", " "), p.Binding.Model, p.Binding.Version)
	case attest.KindPromotionRequest:
		return join(p.Binding.Model, p.Binding.Version, p.Binding.Stage)
	case attest.KindServiceAccount:
		return p.Account
	case attest.KindProject:
		return p.ID
	case attest.KindGenesis:
		return p.Origin
	}
	if p.Model != "" {
		return join(p.Model, p.Version)
	}
	if p.Name != "" {
		return join(p.Name, p.Version)
	}
	return p.Endpoint
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
