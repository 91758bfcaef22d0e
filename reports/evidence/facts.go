package evidence

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/pipeline/dataset"
	"affidavit/pipeline/evaluate"
	"affidavit/rbac/policy"
	"affidavit/reports/pdf"
)

// of is a logged predicate with the entry that carries it.
type of[T any] struct {
	*lineage.Entry
	V T
}

// person is what the log says of an actor.
type person struct {
	name, email, owner string
	roles              []string
}

// facts is what the log held about one version below a size. Lists are in log
// order; a nil pointer means that nothing is recorded.
type facts struct {
	r                       *lineage.ReadTx
	project, model, version string
	size                    int64
	head                    time.Time // stamp of the last entry below size
	people                  map[string]*person
	sources                 map[int64]pdf.Source
	refs                    map[int64]attest.EntryRef

	registration *of[attest.Registration]
	siblings     []of[attest.Registration] // other versions of the model
	inventory    *of[attest.InventoryEntry]
	run          *of[attest.Provenance]
	signature    *of[attest.OMS]
	data         []of[attest.DataVersion]
	checks       []of[attest.TestResult] // validations of those data
	features     *of[attest.FeatureSet]
	pipelines    []of[attest.PipelineConfiguration] // of the run
	triggers     []of[attest.PipelineConfiguration] // of the project
	evaluations  []of[attest.TestResult]            // of the served file
	report       *evaluate.Report                   // of the last evaluation
	reportFrom   *lineage.Entry
	others       map[string]of[evaluate.Report] // last report by version, of siblings

	request     *of[attest.PromotionRequest]
	policy      *policy.Policy
	policyFrom  *lineage.Entry
	decisions   []of[attest.Decision] // acceptances and decisions on the request
	withdrawals []of[attest.Withdrawal]
	verdict     *of[attest.VSA]

	deployments []of[attest.Deployment]
	segments    []of[attest.Segment]
	outcomes    []of[attest.Outcomes]
	windows     []of[attest.Window]
	alerts      []of[attest.Alert]
	retrains    []of[attest.RetrainTrigger]
	rules       *of[attest.Window] // the last window of the model, of any version: the rules that it is watched by
	// What made the run start, if drift did: windows of an earlier version, the
	// alert over them and the trigger.
	causeWindows []of[attest.Window]
	causeAlerts  []of[attest.Alert]
	causes       []of[attest.RetrainTrigger]
	canary       *of[attest.CanaryVerdict]
}

// gather reads everything about a version below size (0: the head).
func gather(r *lineage.ReadTx, project, model, version string, size int64) (*facts, error) {
	if size <= 0 || size > r.Size() {
		size = r.Size()
	}
	f := &facts{r: r, project: project, model: model, version: version, size: size, people: map[string]*person{},
		sources: map[int64]pdf.Source{}, refs: map[int64]attest.EntryRef{}, others: map[string]of[evaluate.Report]{}}
	last, err := r.Entry(size - 1)
	if err != nil {
		return nil, err
	}
	f.head = last.Stamp
	for _, step := range []func() error{f.gatherPeople, f.gatherVersion, f.gatherMaking, f.gatherPromotion, f.gatherService, f.gatherWatch} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// all reads the entries of a kind, in log order; keep filters.
func all[T any](f *facts, kind string, keep func(e *lineage.Entry, v T) bool) ([]of[T], error) {
	var out []of[T]
	for from := int64(0); from < f.size; {
		entries, err := f.r.Entries(lineage.EntryFilter{Kind: kind, From: from, To: f.size, Limit: page})
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			break
		}
		from = entries[len(entries)-1].Index + 1
		for _, e := range entries {
			if e.Project != "" && e.Project != f.project {
				continue
			}
			var v T
			if err := e.Decode(&v); err != nil {
				return nil, fmt.Errorf("entry %d: %w", e.Index, err)
			}
			if keep == nil || keep(e, v) {
				out = append(out, of[T]{e, v})
			}
		}
	}
	return out, nil
}

func lastOf[T any](list []of[T]) *of[T] {
	if len(list) == 0 {
		return nil
	}
	return &list[len(list)-1]
}

func (f *facts) gatherPeople() error {
	genesis, err := f.r.Genesis()
	if err != nil {
		return err
	}
	f.people[genesis.Admin.Actor] = &person{name: genesis.Admin.Name, email: genesis.Admin.Email, roles: []string{"admin"}}
	f.people[genesis.Service.Actor] = &person{name: genesis.Service.Actor, owner: genesis.Admin.Actor}
	events, err := all[attest.KeyEvent](f, attest.KindKeyEvent, nil)
	if err != nil {
		return err
	}
	for _, k := range events {
		if k.V.Action == attest.ActionEnrol && f.people[k.V.Actor] == nil {
			f.people[k.V.Actor] = &person{name: k.V.Name, email: k.V.Email}
		}
	}
	accounts, err := all[attest.ServiceAccount](f, attest.KindServiceAccount, nil)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if f.people[a.V.Account] == nil {
			f.people[a.V.Account] = &person{}
		}
		f.people[a.V.Account].owner = a.V.Owner
	}
	grants, err := all[attest.RoleGrant](f, attest.KindRoleGrant, func(_ *lineage.Entry, g attest.RoleGrant) bool { return g.Project == "" || g.Project == f.project })
	if err != nil {
		return err
	}
	for _, g := range grants {
		p := f.people[g.V.Actor]
		if p == nil {
			continue
		}
		p.roles = slices.DeleteFunc(p.roles, func(role string) bool { return role == g.V.Role })
		if g.V.Action == attest.ActionGrant {
			p.roles = append(p.roles, g.V.Role)
		}
	}
	return nil
}

func (f *facts) gatherVersion() error {
	regs, err := all(f, attest.KindRegistration, func(_ *lineage.Entry, v attest.Registration) bool { return v.Model == f.model })
	if err != nil {
		return err
	}
	for i := range regs {
		if regs[i].V.Version == f.version {
			f.registration = &regs[i]
		} else {
			f.siblings = append(f.siblings, regs[i])
		}
	}
	if f.registration == nil {
		return lineage.Errf(lineage.CodeNotFound, "version", "%s %s is not registered in project %q below size %d", f.model, f.version, f.project, f.size)
	}
	inv, err := all(f, attest.KindInventory, func(_ *lineage.Entry, v attest.InventoryEntry) bool { return v.Model == f.model })
	if err != nil {
		return err
	}
	f.inventory = lastOf(inv)
	artefact := f.registration.V.Artefact
	evals, err := all[attest.TestResult](f, attest.KindEvaluation, nil)
	if err != nil {
		return err
	}
	for _, e := range evals {
		var rep evaluate.Report
		parsed := json.Unmarshal(e.V.Details, &rep) == nil && rep.Schema == evaluate.Schema
		if judges(e.Entry, artefact) {
			f.evaluations = append(f.evaluations, e)
			if parsed {
				f.report, f.reportFrom = &rep, e.Entry
			}
			continue
		}
		for _, s := range f.siblings {
			if parsed && judges(e.Entry, s.V.Artefact) {
				f.others[s.V.Version] = of[evaluate.Report]{e.Entry, rep}
			}
		}
	}
	return nil
}

func judges(e *lineage.Entry, artefact string) bool {
	return e.Has(attest.RelEvaluatedForDev, attest.ArtefactModel, artefact) || e.Has(attest.RelValidated, attest.ArtefactModel, artefact)
}

// gatherMaking reads what the run used.
func (f *facts) gatherMaking() error {
	runs, err := all(f, attest.KindTrainingRun, func(e *lineage.Entry, _ attest.Provenance) bool { return e.PAE == f.registration.V.Run.PAE })
	if err != nil {
		return err
	}
	f.run = lastOf(runs)
	sigs, err := all(f, attest.KindModelSignature, func(e *lineage.Entry, _ attest.OMS) bool { return e.PAE == f.registration.V.Signature.PAE })
	if err != nil {
		return err
	}
	f.signature = lastOf(sigs)
	used := map[string]bool{}
	if f.run != nil {
		for _, ref := range f.run.Related(attest.RelUsed) {
			used[ref.Digest] = true
		}
	}
	for _, e := range f.evaluations {
		for _, ref := range e.Related(attest.RelUsed) {
			used[ref.Digest] = used[ref.Digest] || ref.Kind == attest.ArtefactData
		}
	}
	if f.data, err = all(f, attest.KindDataVersion, func(_ *lineage.Entry, v attest.DataVersion) bool { return used[v.Digest] }); err != nil {
		return err
	}
	if f.checks, err = all(f, attest.KindDataValidation, func(e *lineage.Entry, _ attest.TestResult) bool {
		return slices.ContainsFunc(e.Related(attest.RelUsed), func(ref lineage.Ref) bool { return used[ref.Digest] })
	}); err != nil {
		return err
	}
	sets, err := all(f, attest.KindFeatureSet, func(_ *lineage.Entry, v attest.FeatureSet) bool { return used[v.Digest] })
	if err != nil {
		return err
	}
	f.features = lastOf(sets)
	configs, err := all[attest.PipelineConfiguration](f, attest.KindPipeline, nil)
	if err != nil {
		return err
	}
	for _, c := range configs {
		switch {
		case slices.ContainsFunc(c.Related(attest.RelGenerated), func(ref lineage.Ref) bool { return used[ref.Digest] }):
			f.pipelines = append(f.pipelines, c)
		case c.V.Type == "trigger":
			f.triggers = append(f.triggers, c)
		}
	}
	return nil
}

// gatherPromotion reads the last request for the version and what followed it.
func (f *facts) gatherPromotion() error {
	requests, err := all(f, attest.KindPromotionRequest, func(_ *lineage.Entry, v attest.PromotionRequest) bool {
		return v.Binding.Model == f.model && v.Binding.Version == f.version
	})
	if err != nil {
		return err
	}
	f.request = lastOf(requests)
	if f.request == nil {
		return nil
	}
	pae := f.request.PAE
	for _, kind := range []string{attest.KindAcceptance, attest.KindDecision} {
		some, err := all(f, kind, func(_ *lineage.Entry, v attest.Decision) bool { return v.Request.PAE == pae })
		if err != nil {
			return err
		}
		f.decisions = append(f.decisions, some...)
	}
	slices.SortFunc(f.decisions, func(a, b of[attest.Decision]) int { return int(a.Index - b.Index) })
	targets := map[string]bool{pae: true}
	for _, d := range f.decisions {
		targets[d.PAE] = true
	}
	if f.withdrawals, err = all(f, attest.KindWithdrawal, func(_ *lineage.Entry, v attest.Withdrawal) bool { return targets[v.Target.PAE] }); err != nil {
		return err
	}
	verdicts, err := all(f, attest.KindVerdict, func(_ *lineage.Entry, v attest.VSA) bool { return v.Gate.Request.PAE == pae })
	if err != nil {
		return err
	}
	f.verdict = lastOf(verdicts)
	published, err := all(f, attest.KindPolicy, func(_ *lineage.Entry, v attest.PolicyPublication) bool {
		return v.Digest == f.request.V.Binding.PolicyDigest
	})
	if err != nil {
		return err
	}
	if p := lastOf(published); p != nil {
		f.policyFrom = p.Entry
		if f.policy, err = policy.Parse([]byte(p.V.YAML)); err != nil {
			return fmt.Errorf("entry %d: %w", p.Index, err)
		}
	}
	return nil
}

// gatherService reads what the version did in use.
func (f *facts) gatherService() error {
	var err error
	if f.deployments, err = all(f, attest.KindDeployment, func(_ *lineage.Entry, v attest.Deployment) bool { return v.Model == f.model && v.Version == f.version }); err != nil {
		return err
	}
	mine := map[string]bool{}
	for _, d := range f.deployments {
		mine[d.PAE] = true
	}
	if f.segments, err = all(f, attest.KindSegment, func(_ *lineage.Entry, v attest.Segment) bool { return mine[v.Deployment.PAE] }); err != nil {
		return err
	}
	sealed := map[string]bool{}
	for _, s := range f.segments {
		sealed[s.PAE] = true
	}
	cites := func(refs []attest.EntryRef, in map[string]bool) bool {
		return slices.ContainsFunc(refs, func(ref attest.EntryRef) bool { return in[ref.PAE] })
	}
	if f.outcomes, err = all(f, attest.KindOutcomes, func(_ *lineage.Entry, v attest.Outcomes) bool { return cites(v.Segments, sealed) }); err != nil {
		return err
	}
	canaries, err := all(f, attest.KindCanaryVerdict, func(_ *lineage.Entry, v attest.CanaryVerdict) bool { return mine[v.Challenger.PAE] })
	f.canary = lastOf(canaries)
	return err
}

func (f *facts) gatherWatch() error {
	windows, err := all(f, attest.KindWindow, func(_ *lineage.Entry, v attest.Window) bool { return v.Model == f.model })
	if err != nil {
		return err
	}
	f.rules = lastOf(windows)
	if err := f.gatherCause(windows); err != nil {
		return err
	}
	for _, w := range windows {
		if w.V.Version == f.version {
			f.windows = append(f.windows, w)
		}
	}
	in := map[string]bool{}
	for _, w := range f.windows {
		in[w.PAE] = true
	}
	if f.alerts, err = all(f, attest.KindAlert, func(_ *lineage.Entry, v attest.Alert) bool {
		return slices.ContainsFunc(v.Windows, func(ref attest.EntryRef) bool { return in[ref.PAE] })
	}); err != nil {
		return err
	}
	for _, a := range f.alerts {
		in[a.PAE] = true
	}
	f.retrains, err = all(f, attest.KindRetrainTrigger, func(_ *lineage.Entry, v attest.RetrainTrigger) bool { return in[v.Alert.PAE] })
	return err
}

// gatherCause follows a triggered run back to the windows that alarmed.
func (f *facts) gatherCause(windows []of[attest.Window]) error {
	if f.run == nil {
		return nil
	}
	var err error
	if f.causes, err = all(f, attest.KindRetrainTrigger, func(e *lineage.Entry, _ attest.RetrainTrigger) bool {
		return f.run.Has(attest.RelTriggeredBy, attest.ArtefactEntry, e.PAE)
	}); err != nil {
		return err
	}
	in := map[string]bool{}
	for _, t := range f.causes {
		in[t.V.Alert.PAE] = true
	}
	if f.causeAlerts, err = all(f, attest.KindAlert, func(e *lineage.Entry, _ attest.Alert) bool { return in[e.PAE] }); err != nil {
		return err
	}
	for _, a := range f.causeAlerts {
		for _, ref := range a.V.Windows {
			in[ref.PAE] = true
		}
	}
	for _, w := range windows {
		if in[w.PAE] {
			f.causeWindows = append(f.causeWindows, w)
		}
	}
	return nil
}

// cite records that a statement rests on entries.
func (f *facts) cite(entries ...*lineage.Entry) []int64 {
	var out []int64
	for _, e := range entries {
		if e == nil || slices.Contains(out, e.Index) {
			continue
		}
		out = append(out, e.Index)
		f.refs[e.Index] = e.EntryRef()
		f.sources[e.Index] = pdf.Source{Index: e.Index, Kind: words(e.Kind), PAEDigest: e.PAE, Signer: f.who(e.Actor), Logged: e.Stamp}
	}
	return out
}

// citeAll is cite for a list of one kind, at most eight of them.
func citeAll[T any](f *facts, list []of[T]) []int64 {
	var entries []*lineage.Entry
	for _, v := range list[:min(len(list), 8)] {
		entries = append(entries, v.Entry)
	}
	return f.cite(entries...)
}

// cited lists what the document rests on, in log order.
func (f *facts) cited() ([]pdf.Source, []attest.EntryRef) {
	index := make([]int64, 0, len(f.refs))
	for i := range f.refs {
		index = append(index, i)
	}
	slices.Sort(index)
	sources, refs := make([]pdf.Source, len(index)), make([]attest.EntryRef, len(index))
	for k, i := range index {
		sources[k], refs[k] = f.sources[i], f.refs[i]
	}
	return sources, refs
}

// name is what people call an actor.
func (f *facts) name(actor string) string {
	if p := f.people[actor]; p != nil && p.name != "" {
		return p.name
	}
	return actor
}

// who names an actor with roles, or an account with its owner.
func (f *facts) who(actor string) string {
	p := f.people[actor]
	switch {
	case p == nil:
		return actor
	case p.owner != "":
		return actor + ", service account of " + f.name(p.owner)
	case len(p.roles) > 0:
		return f.name(actor) + ", " + words(strings.Join(p.roles, " and "))
	}
	return f.name(actor)
}

func (f *facts) roles(actor string) string {
	p := f.people[actor]
	if p == nil {
		return ""
	}
	if p.owner != "" {
		return "service account"
	}
	return words(strings.Join(p.roles, ", "))
}

// words prints a fixed term as people write it.
func words(term string) string {
	return strings.ReplaceAll(strings.ReplaceAll(term, "-", " "), "_", " ")
}

// dataReport reads the whole report of a data validation; nil if it has none.
func dataReport(v attest.TestResult) *dataset.Report {
	var rep dataset.Report
	if json.Unmarshal(v.Details, &rep) != nil {
		return nil
	}
	return &rep
}
