package gateway

import (
	"context"

	"affidavit/attest"
	"affidavit/lineage"
)

const resultPassed = "PASSED"

// checkDeployment is the admission of a version at an endpoint.
func checkDeployment(admit admitFunc) func(context.Context, *lineage.ReadTx, *lineage.Entry) error {
	return func(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
		var d attest.Deployment
		if err := e.Decode(&d); err != nil {
			return err
		}
		if err := checkEndpoint(d.Endpoint); err != nil {
			return err
		}
		if d.Action == ActionRetire {
			return checkRetirement(r, e, d)
		}
		if err := checkPlace(r, e, d); err != nil {
			return err
		}
		if err := checkVerdict(r, e, d); err != nil {
			return err
		}
		if err := checkVersion(r, e, d); err != nil {
			return err
		}
		if err := checkPermit(r, d); err != nil {
			return err
		}
		// Last, because it is dear: quorum, revocations and expiry as they stand at this index.
		return admit(r, d.Request, d.Verdict, e.Index, e.Stamp)
	}
}

// Occupant returns what stands in a role at an endpoint; Vacant when nothing does.
func Occupant(r *lineage.ReadTx, project, endpoint, role string) (EndpointRow, error) {
	var row EndpointRow
	err := r.First(&row, "project = ? AND endpoint = ? AND role = ?", project, endpoint, role)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return EndpointRow{Project: project, Endpoint: endpoint, Role: role}, nil
	}
	return row, err
}

// checkPlace: a champion takes all traffic but the challenger's share; a champion is replaced by a promotion only.
func checkPlace(r *lineage.ReadTx, e *lineage.Entry, d attest.Deployment) error {
	champion, err := Occupant(r, e.Project, d.Endpoint, attest.ServeChampion)
	if err != nil {
		return err
	}
	challenger, err := Occupant(r, e.Project, d.Endpoint, attest.ServeChallenger)
	if err != nil {
		return err
	}
	switch {
	case d.Role == attest.ServeChampion && d.Weight != 1:
		return lineage.Errf(lineage.CodeInvalid, "weight", "a champion takes what no challenger takes, so its weight is 1, not %v", d.Weight)
	case d.Role == attest.ServeChallenger && !(d.Weight > 0 && d.Weight < 1):
		return lineage.Errf(lineage.CodeInvalid, "weight", "%v is not strictly between 0 and 1, so no request is assigned at random", d.Weight).
			WithRemedy("give the challenger's share of traffic, such as 0.1")
	case d.Role == attest.ServeChallenger && d.Action != ActionDeploy:
		return lineage.Errf(lineage.CodeInvalid, "role", "a promotion makes a champion")
	case d.Role == attest.ServeChallenger && champion.Vacant():
		return lineage.Errf(lineage.CodeConflict, "role", "endpoint %q has no champion to compare a challenger with", d.Endpoint).WithRemedy("deploy a champion first")
	case d.Role == attest.ServeChallenger && !challenger.Vacant():
		return lineage.Errf(lineage.CodeConflict, "role", "endpoint %q has a challenger already, version %q of entry %d", d.Endpoint, challenger.Version, challenger.Entry).
			WithRemedy("promote or retire it first")
	case d.Role == attest.ServeChallenger && champion.Root == d.Root:
		return lineage.Errf(lineage.CodeConflict, "version", "version %q is the champion of endpoint %q", d.Version, d.Endpoint)
	case d.Role == attest.ServeChampion && d.Action == ActionDeploy && !champion.Vacant():
		return lineage.Errf(lineage.CodeConflict, "role", "endpoint %q has a champion, version %q of entry %d", d.Endpoint, champion.Version, champion.Entry).
			WithRemedy("deploy the new version as challenger, run a canary and promote it, or retire the champion first")
	case d.Action == ActionPromote:
		return checkPromotion(r, e, d, champion, challenger)
	case d.Canary != nil:
		return lineage.Errf(lineage.CodeInvalid, "canary", "only a promotion rests on a canary")
	}
	return nil
}

// checkPromotion: the canary compared exactly what stands at the endpoint now, and said promote.
func checkPromotion(r *lineage.ReadTx, e *lineage.Entry, d attest.Deployment, champion, challenger EndpointRow) error {
	if d.Canary == nil {
		return lineage.Errf(lineage.CodeRefused, "canary", "a challenger becomes champion on a canary's verdict, and none is cited").
			WithRemedy("run a canary at endpoint %q and cite its verdict", d.Endpoint)
	}
	ce, err := r.Cited("canary", *d.Canary, attest.KindCanaryVerdict)
	if err != nil {
		return err
	}
	var c attest.CanaryVerdict
	if err := ce.Decode(&c); err != nil {
		return err
	}
	switch {
	case ce.Project != e.Project || c.Endpoint != d.Endpoint:
		return lineage.Errf(lineage.CodeRefused, "canary", "entry %d is about another endpoint or project", ce.Index)
	case c.Verdict != VerdictPromote:
		return lineage.Errf(lineage.CodeRefused, "canary", "the verdict of entry %d is %q, not promote", ce.Index, c.Verdict).
			WithRemedy("retire the challenger, or run another canary")
	case challenger.Vacant() || challenger.Entry != c.Challenger.Index:
		return lineage.Errf(lineage.CodeConflict, "canary", "the challenger that entry %d compared (entry %d) no longer stands at endpoint %q", ce.Index, c.Challenger.Index, d.Endpoint)
	case champion.Vacant() || champion.Entry != c.Champion.Index:
		return lineage.Errf(lineage.CodeConflict, "canary", "the champion that entry %d compared with (entry %d) no longer stands at endpoint %q", ce.Index, c.Champion.Index, d.Endpoint).
			WithRemedy("run a canary against the present champion")
	case challenger.Model != d.Model || challenger.Version != d.Version || challenger.Root != d.Root:
		return lineage.Errf(lineage.CodeRefused, "version", "the challenger of endpoint %q is %s %s, not %s %s", d.Endpoint, challenger.Model, challenger.Version, d.Model, d.Version)
	}
	return related(e, attest.RelConcerns, attest.ArtefactEntry, d.Canary.PAE, "the canary verdict")
}

func checkVerdict(r *lineage.ReadTx, e *lineage.Entry, d attest.Deployment) error {
	re, err := r.Cited("request", d.Request, attest.KindPromotionRequest)
	if err != nil {
		return err
	}
	ve, err := r.Cited("verdict", d.Verdict, attest.KindVerdict)
	if err != nil {
		return err
	}
	var v attest.VSA
	if err := ve.Decode(&v); err != nil {
		return err
	}
	b := v.Gate.Binding
	switch {
	case ve.Project != e.Project || re.Project != e.Project:
		return lineage.Errf(lineage.CodeRefused, "verdict", "entry %d belongs to another project", ve.Index)
	case v.VerificationResult != resultPassed:
		return lineage.Errf(lineage.CodeRefused, "verdict", "the gate's answer of entry %d is %s", ve.Index, v.VerificationResult).
			WithRemedy("meet the conditions that it names and ask the gate again")
	case v.Gate.Request != d.Request:
		return lineage.Errf(lineage.CodeRefused, "verdict", "entry %d judged the request of entry %d, not of entry %d", ve.Index, v.Gate.Request.Index, d.Request.Index)
	case b.Model != d.Model || b.Version != d.Version || b.Stage != d.Stage || b.Artefact != d.Root:
		return lineage.Errf(lineage.CodeRefused, "verdict", "entry %d passed %s %s (%.12s…) for stage %q, not %s %s (%.12s…) for stage %q",
			ve.Index, b.Model, b.Version, b.Artefact, b.Stage, d.Model, d.Version, d.Root, d.Stage)
	}
	if err := related(e, attest.RelConcerns, attest.ArtefactEntry, d.Verdict.PAE, "the verdict"); err != nil {
		return err
	}
	return related(e, attest.RelConcerns, attest.ArtefactEntry, d.Request.PAE, "the request")
}

// checkVersion: what is served is byte for byte what was registered.
func checkVersion(r *lineage.ReadTx, e *lineage.Entry, d attest.Deployment) error {
	var row versionRow
	err := r.First(&row, "project = ? AND model = ? AND version = ?", e.Project, d.Model, d.Version)
	switch {
	case lineage.CodeOf(err) == lineage.CodeNotFound:
		return lineage.Errf(lineage.CodeRefused, "version", "no version %q of model %q is registered", d.Version, d.Model)
	case err != nil:
		return err
	case row.Root != d.Root:
		return lineage.Errf(lineage.CodeRefused, "root", "%s %s was registered with root %.12s…, not %.12s…", d.Model, d.Version, row.Root, d.Root)
	case row.Artefact != d.Artefact:
		return lineage.Errf(lineage.CodeRefused, "artefact", "the runtime loaded %.12s…, registered is %.12s…", d.Artefact, row.Artefact).
			WithRemedy("load the artefact of the registered version")
	}
	for _, ref := range e.Related(attest.RelDeployed) {
		if ref.Kind == attest.ArtefactVersion && ref.Digest != d.Root {
			return lineage.Errf(lineage.CodeInvalid, "relations", "it deploys version %.12s… by its relations and %.12s… by its predicate", ref.Digest, d.Root)
		}
	}
	return related(e, attest.RelDeployed, attest.ArtefactVersion, d.Root, "the version")
}

func checkPermit(r *lineage.ReadTx, d attest.Deployment) error {
	if want := attest.Permit(d.Verdict.PAE, d.Endpoint, d.Role); d.Permit != want {
		return lineage.Errf(lineage.CodeRefused, "permit", "it is not the permit of this verdict, endpoint and role").
			WithRemedy("use the hash of verdict, endpoint and role, which is %s", want)
	}
	var used DeploymentRow
	switch err := r.First(&used, "permit = ?", d.Permit); lineage.CodeOf(err) {
	case lineage.CodeNotFound:
		return nil
	case "":
		return lineage.Errf(lineage.CodeConflict, "permit", "entry %d used it; a permit is good for one deployment", used.Entry).
			WithRemedy("ask the gate for a new verdict")
	default:
		return err
	}
}

// checkRetirement: it names what stands in the role now, so that a late one cannot take down a successor.
func checkRetirement(r *lineage.ReadTx, e *lineage.Entry, d attest.Deployment) error {
	row, err := Occupant(r, e.Project, d.Endpoint, d.Role)
	if err != nil {
		return err
	}
	switch {
	case row.Vacant():
		return lineage.Errf(lineage.CodeConflict, "role", "endpoint %q has no %s", d.Endpoint, d.Role)
	case row.Model != d.Model || row.Version != d.Version || row.Root != d.Root || row.Artefact != d.Artefact:
		return lineage.Errf(lineage.CodeConflict, "version", "the %s of endpoint %q is %s %s, not %s %s, or the files differ", d.Role, d.Endpoint, row.Model, row.Version, d.Model, d.Version)
	case d.Weight != 0:
		return lineage.Errf(lineage.CodeInvalid, "weight", "what is retired takes no traffic").WithRemedy("set it to 0")
	case d.Permit != "" || d.Canary != nil && d.Role == attest.ServeChampion:
		return lineage.Errf(lineage.CodeInvalid, "permit", "a retirement uses no permit, and that of a champion rests on no canary")
	}
	if d.Canary != nil {
		ce, err := r.Cited("canary", *d.Canary, attest.KindCanaryVerdict)
		if err != nil {
			return err
		}
		if err := related(e, attest.RelConcerns, attest.ArtefactEntry, ce.PAE, "the canary verdict"); err != nil {
			return err
		}
	}
	if d.Role == attest.ServeChampion {
		challenger, err := Occupant(r, e.Project, d.Endpoint, attest.ServeChallenger)
		if err != nil {
			return err
		}
		if !challenger.Vacant() {
			return lineage.Errf(lineage.CodeConflict, "role", "endpoint %q has a challenger, which cannot stand alone", d.Endpoint).WithRemedy("promote or retire the challenger first")
		}
	}
	standing, err := r.Entry(row.Entry)
	if err != nil {
		return err
	}
	return related(e, attest.RelSupersedes, attest.ArtefactEntry, standing.PAE, "the deployment that it ends")
}

func projectDeployment(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var d attest.Deployment
	if err := e.Decode(&d); err != nil {
		return err
	}
	row := DeploymentRow{Entry: e.Index, Project: e.Project, Endpoint: d.Endpoint, Action: d.Action, Role: d.Role, Weight: d.Weight,
		Model: d.Model, Version: d.Version, Root: d.Root, Artefact: d.Artefact, Request: d.Request.Index, Verdict: d.Verdict.Index, Permit: d.Permit}
	vacant := EndpointRow{Project: e.Project, Endpoint: d.Endpoint, Role: d.Role, Entry: e.Index}
	if d.Action == ActionRetire {
		standing, err := Occupant(w.ReadTx, e.Project, d.Endpoint, d.Role)
		if err != nil {
			return err
		}
		var ended DeploymentRow
		if err := w.First(&ended, "entry = ?", standing.Entry); err != nil {
			return err
		}
		row.Request, row.Verdict, row.Permit = ended.Request, ended.Verdict, e.PAE
		if err := w.Insert(&row); err != nil {
			return err
		}
		return w.Save(&vacant)
	}
	if err := w.Insert(&row); err != nil {
		return err
	}
	if d.Action == ActionPromote {
		vacant.Role = attest.ServeChallenger
		if err := w.Save(&vacant); err != nil {
			return err
		}
	}
	return w.Save(&EndpointRow{Project: e.Project, Endpoint: d.Endpoint, Role: d.Role, Weight: d.Weight, Model: d.Model,
		Version: d.Version, Root: d.Root, Artefact: d.Artefact, Entry: e.Index})
}
