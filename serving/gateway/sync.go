package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/serving/runtime"
)

const maxArtefact = 128 << 20

// table is what is served; it is never changed, only replaced.
type table struct {
	synced    bool
	endpoints map[string]*endpoint
}

// endpoint is one address. The challenger is nil when none is tried.
type endpoint struct {
	name       string
	champion   *served
	challenger *served
}

// served is one deployment. With err it stands at its endpoint and cannot answer.
type served struct {
	entry    attest.EntryRef
	row      EndpointRow
	stage    string
	expires  time.Time // of the approval
	model    *runtime.Model
	rules    *contract
	err      error
	request  attest.EntryRef
	verdict  attest.EntryRef
	endpoint string
}

// Served tells what stands in a role at an endpoint, for status pages and tests.
type Served struct {
	Endpoint   string
	Role       string
	Weight     float64
	Model      string
	Version    string
	Artefact   string
	Deployment attest.EntryRef
	Expires    time.Time
	Err        error // why it does not answer
}

// Sync makes the gateway serve what the log says stands at each endpoint. Artefacts are loaded by digest, approvals are
// judged again as of now: a restart, or a later Sync, does not serve what is no longer approved. The error joins what
// cannot be served; everything else is.
func (g *Gateway) Sync(ctx context.Context) error {
	g.syncMu.Lock()
	defer g.syncMu.Unlock()
	old := g.table.Load()
	var list []*served
	err := g.view(ctx, func(r *lineage.ReadTx) error {
		var rows []EndpointRow
		if err := r.Find(&rows, "endpoint, role", "project = ? AND root <> ''", g.o.Project); err != nil {
			return err
		}
		for _, row := range rows {
			d, err := g.read(r, row)
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	next := &table{synced: true, endpoints: map[string]*endpoint{}}
	for _, d := range list {
		if d.err == nil {
			d.err = g.loadInto(ctx, d, old)
		}
		ep := next.endpoints[d.endpoint]
		if ep == nil {
			ep = &endpoint{name: d.endpoint}
			next.endpoints[d.endpoint] = ep
		}
		if d.row.Role == attest.ServeChallenger {
			ep.challenger = d
		} else {
			ep.champion = d
		}
	}
	g.table.Store(next)
	g.dropCanaries(next)
	for _, p := range next.problems() {
		g.o.Logger.Warn("deployment cannot be served", "error", p)
	}
	return errors.Join(next.problems()...)
}

// read judges one deployment again. What is wrong with it alone is in its err.
func (g *Gateway) read(r *lineage.ReadTx, row EndpointRow) (*served, error) {
	e, err := r.Entry(row.Entry)
	if err != nil {
		return nil, err
	}
	var d attest.Deployment
	if err := e.Decode(&d); err != nil {
		return nil, err
	}
	re, err := r.Cited("request", d.Request, attest.KindPromotionRequest)
	if err != nil {
		return nil, err
	}
	var request attest.PromotionRequest
	if err := re.Decode(&request); err != nil {
		return nil, err
	}
	s := &served{entry: e.EntryRef(), row: row, stage: d.Stage, expires: request.Binding.Expires, request: d.Request, verdict: d.Verdict, endpoint: row.Endpoint}
	if err := g.o.admit(r, d.Request, d.Verdict, r.Size(), g.o.Clock()); err != nil {
		s.err = &lineage.Error{Code: lineage.CodeUnavailable, Field: "endpoint",
			Message: fmt.Sprintf("%s %s at %q is not approved any more", d.Model, d.Version, d.Endpoint), Remedy: "ask for its promotion again, or deploy another version", Err: err}
	}
	return s, nil
}

// loadInto takes the model of a deployment over from the last table, or from the blob store.
func (g *Gateway) loadInto(ctx context.Context, d *served, old *table) error {
	if ep := old.endpoints[d.endpoint]; ep != nil {
		for _, was := range []*served{ep.champion, ep.challenger} {
			if was != nil && was.model != nil && was.model.Digest() == d.row.Artefact {
				d.model, d.rules = was.model, was.rules
				return nil
			}
		}
	}
	var err error
	d.model, d.rules, err = g.load(ctx, d.row.Artefact)
	if err != nil {
		d.model, d.rules = nil, nil
		return &lineage.Error{Code: lineage.CodeUnavailable, Field: "artefact",
			Message: fmt.Sprintf("%s %s at %q cannot be loaded", d.row.Model, d.row.Version, d.endpoint), Err: err}
	}
	return nil
}

// load is the digest gate: only the bytes that were registered are ever compiled.
func (g *Gateway) load(ctx context.Context, digest string) (*runtime.Model, *contract, error) {
	content, err := lineage.ReadBlob(ctx, g.ledger.Blobs(), digest, maxArtefact)
	if err != nil {
		return nil, nil, err
	}
	m, err := runtime.Load(content)
	if err != nil {
		return nil, nil, &lineage.Error{Code: lineage.CodeRefused, Field: "artefact", Message: "the runtime refuses it", Err: err}
	}
	if m.Digest() != digest {
		return nil, nil, lineage.Errf(lineage.CodeRefused, "artefact", "the bytes stored as %.12s… have the digest %.12s…", digest, m.Digest()).
			WithRemedy("restore the artefact from a backup of the blob store")
	}
	rules, err := contractOf(m)
	if err != nil {
		return nil, nil, &lineage.Error{Code: lineage.CodeRefused, Field: "artefact", Message: "it cannot be served", Err: err}
	}
	return m, rules, nil
}

// Status lists what stands at the endpoints, by name and role.
func (g *Gateway) Status() []Served {
	var out []Served
	t := g.table.Load()
	for _, name := range t.names() {
		for _, d := range t.endpoints[name].arms() {
			out = append(out, Served{Endpoint: name, Role: d.row.Role, Weight: d.row.Weight, Model: d.row.Model, Version: d.row.Version,
				Artefact: d.row.Artefact, Deployment: d.entry, Expires: d.expires, Err: d.usable(g.o.Clock())})
		}
	}
	return out
}

func (t *table) names() []string {
	names := make([]string, 0, len(t.endpoints))
	for n := range t.endpoints {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (t *table) problems() []error {
	var out []error
	for _, name := range t.names() {
		for _, d := range t.endpoints[name].arms() {
			if d.err != nil {
				out = append(out, d.err)
			}
		}
	}
	return out
}

// find takes the name of an endpoint, or of a model that stands at one endpoint only.
func (t *table) find(name string) (*endpoint, error) {
	if ep := t.endpoints[name]; ep != nil {
		return ep, nil
	}
	var found *endpoint
	for _, n := range t.names() {
		ep := t.endpoints[n]
		if ep.champion == nil || ep.champion.row.Model != name {
			continue
		}
		if found != nil {
			return nil, lineage.Errf(lineage.CodeConflict, "model", "model %q stands at endpoints %q and %q", clip(name), found.name, n).WithRemedy("ask an endpoint by its name")
		}
		found = ep
	}
	if found == nil {
		return nil, lineage.Errf(lineage.CodeNotFound, "model", "nothing is deployed as %q", clip(name)).WithRemedy("deploy an approved version first")
	}
	return found, nil
}

func (ep *endpoint) arms() []*served {
	var out []*served
	for _, d := range []*served{ep.champion, ep.challenger} {
		if d != nil {
			out = append(out, d)
		}
	}
	return out
}

func (ep *endpoint) versions() []string {
	var out []string
	for _, d := range ep.arms() {
		out = append(out, d.row.Version)
	}
	return out
}

// choose assigns a request to an arm and returns the weight with which the challenger was drawn; 0 when nothing was.
// A challenger that cannot answer takes no traffic.
func (ep *endpoint) choose(version string, now time.Time, draw func() float64) (*served, float64, error) {
	if version != "" {
		for _, d := range ep.arms() {
			if d.row.Version == version {
				return d, 0, nil
			}
		}
		return nil, 0, lineage.Errf(lineage.CodeNotFound, "version", "version %q is not deployed at %q", clip(version), ep.name).WithRemedy("deployed are %v", ep.versions())
	}
	if ep.challenger != nil && ep.champion != nil && ep.challenger.usable(now) == nil {
		rho := ep.challenger.row.Weight
		if draw() < rho {
			return ep.challenger, rho, nil
		}
		return ep.champion, rho, nil
	}
	return ep.champion, 0, nil
}

// usable: what cannot be loaded, or whose approval has run out, gives no prediction.
func (d *served) usable(now time.Time) error {
	if d == nil {
		return lineage.Errf(lineage.CodeUnavailable, "endpoint", "it has no champion")
	}
	if d.err != nil {
		return d.err
	}
	if !d.expires.IsZero() && !now.Before(d.expires) {
		return lineage.Errf(lineage.CodeUnavailable, "endpoint", "the approval of %s %s at %q expired at %s", d.row.Model, d.row.Version, d.endpoint, d.expires.UTC().Format(time.RFC3339)).
			WithRemedy("ask for its promotion again")
	}
	return nil
}
