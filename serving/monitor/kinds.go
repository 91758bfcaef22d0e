package monitor

import (
	"context"
	"encoding/json"
	"fmt"

	"affidavit/attest"
	"affidavit/lineage"
)

// Statuses of a logged window. Insufficient and stable windows are ok; a window on alert, or one that asks to retrain,
// is an alert.
const (
	StatusOK    = "ok"
	StatusWatch = "watch"
	StatusAlert = "alert"
)

// Kinds of alert.
const (
	AlertDrift       = "drift"
	AlertPerformance = "performance"
)

// Kinds returns this package's rows of the table.
func Kinds() []lineage.Kind {
	return []lineage.Kind{
		{Name: attest.KindWindow, Check: checkWindow, Project: projectWindow},
		{Name: attest.KindAlert, Check: checkAlert, Project: projectAlert, Erasable: []string{"words"}},
	}
}

// WindowRow is a row of windows.
type WindowRow struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	Endpoint string
	Model    string
	Version  string
	Sequence int64
	Records  int64
	Status   string
	Retrain  int64 // 0 or 1
}

// TableName implements gorm's Tabler.
func (WindowRow) TableName() string { return "windows" }

// AlertRow is a row of alerts.
type AlertRow struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	Endpoint string
	Kind     string
}

// TableName implements gorm's Tabler.
func (AlertRow) TableName() string { return "alerts" }

// Status is the term under which an assessment is logged, and whether it asks to retrain.
func (a Assessment) Status() (status string, retrain bool) {
	switch a.Verdict {
	case Retrain:
		return StatusAlert, true
	case Alert:
		return StatusAlert, false
	case Watch:
		return StatusWatch, false
	}
	return StatusOK, false
}

// lastWindow is the newest window of a version at an endpoint; a zero row when there is none.
func lastWindow(r *lineage.ReadTx, project, endpoint, model, version string) (WindowRow, error) {
	var rows []WindowRow
	err := r.DB().Where("project = ? AND endpoint = ? AND model = ? AND version = ?", project, endpoint, model, version).
		Order("sequence DESC").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return WindowRow{}, err
	}
	return rows[0], nil
}

func windowOf(e *lineage.Entry) (attest.Window, WindowReport, error) {
	var p attest.Window
	var report WindowReport
	if err := e.Decode(&p); err != nil {
		return p, report, err
	}
	if err := json.Unmarshal(p.Report, &report); err != nil || report.Schema != ReportSchema {
		return p, report, lineage.Errf(lineage.CodeInvalid, "report", "it is not a report of schema %s", ReportSchema)
	}
	return p, report, nil
}

// checkWindow: numbered without a gap, about a deployment of that version, and saying what its own report says.
func checkWindow(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	p, report, err := windowOf(e)
	if err != nil {
		return err
	}
	last, err := lastWindow(r, e.Project, p.Endpoint, p.Model, p.Version)
	if err != nil {
		return err
	}
	if p.Sequence != last.Sequence+1 {
		return lineage.Errf(lineage.CodeConflict, "sequence", "the next window of %s %s at %q is number %d, not %d", p.Model, p.Version, p.Endpoint, last.Sequence+1, p.Sequence).
			WithRemedy("log it under the number that is due")
	}
	prior := 0
	if last.Sequence > 0 {
		pe, err := r.Entry(last.Entry)
		if err != nil {
			return err
		}
		_, before, err := windowOf(pe)
		if err != nil {
			return err
		}
		prior = before.Assessment.ConsecutiveAlerts
	}
	if err := checkReport(p, report, prior); err != nil {
		return err
	}
	if !e.Has(attest.RelGenerated, attest.ArtefactWindow, p.Digest) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "none says that it generated window %.12s…", p.Digest)
	}
	return checkWatched(r, e, p)
}

func checkReport(p attest.Window, report WindowReport, prior int) error {
	canonical, err := attest.CanonicalJSON(p.Report)
	if err != nil {
		return &lineage.Error{Code: lineage.CodeInvalid, Field: "report", Message: "it has no canonical form", Err: err}
	}
	if sha(canonical) != p.Digest {
		return lineage.Errf(lineage.CodeInvalid, "digest", "it is not that of the report's canonical JSON")
	}
	a, w := report.Assessment, report.Window
	status, retrain := a.Status()
	switch {
	case a.Window != w.Digest() || a.Reference != w.Reference:
		return lineage.Errf(lineage.CodeRefused, "report.assessment", "it judges another window or reference than the report holds")
	case p.Count != w.Rows || a.Rows != w.Rows:
		return lineage.Errf(lineage.CodeRefused, "count", "%d, and the window holds %d rows", p.Count, w.Rows)
	case p.Status != status || p.Retrain != retrain:
		return lineage.Errf(lineage.CodeRefused, "status", "%q (retrain %v), and the assessment gives %q (retrain %v)", p.Status, p.Retrain, status, retrain)
	}
	// What settle says, from what stands in the log.
	want := 0
	switch a.Drift {
	case Alert:
		want = prior + 1
	case Insufficient:
		want = prior
	}
	enough := a.Drift == Alert && want >= a.Policy.Consecutive || a.Performance.Verdict == Retrain
	if a.ConsecutiveAlerts != want || enough != retrain {
		return lineage.Errf(lineage.CodeRefused, "report.assessment", "%d alerts in a row (retrain %v), and with the windows before it there are %d (retrain %v)", a.ConsecutiveAlerts, retrain, want, enough).
			WithRemedy("assess it with the alerts of the window before")
	}
	return nil
}

// checkWatched: it watched exactly one deployment, and rests on segments of that endpoint.
func checkWatched(r *lineage.ReadTx, e *lineage.Entry, p attest.Window) error {
	watched := e.Related(attest.RelMonitored)
	if len(watched) != 1 || watched[0].Kind != attest.ArtefactEntry {
		return lineage.Errf(lineage.CodeInvalid, "relations", "a window monitored exactly one deployment, not %d", len(watched))
	}
	de, err := r.EntryByPAE(watched[0].Digest)
	if err != nil {
		return err
	}
	var d attest.Deployment
	if de.Kind == attest.KindDeployment {
		if err := de.Decode(&d); err != nil {
			return err
		}
	}
	if de.Project != e.Project || d.Endpoint != p.Endpoint || d.Model != p.Model || d.Version != p.Version || d.Action == "retire" {
		return lineage.Errf(lineage.CodeRefused, "relations", "entry %d does not deploy %s %s at endpoint %q", de.Index, p.Model, p.Version, p.Endpoint)
	}
	for _, ref := range e.Related(attest.RelConcerns) {
		se, err := r.EntryByPAE(ref.Digest)
		if err != nil {
			return err
		}
		if err := checkSource(se, e.Project, p); err != nil {
			return err
		}
	}
	return nil
}

// checkSource accepts segments of the same version at the same endpoint, and outcomes of that endpoint.
func checkSource(se *lineage.Entry, project string, p attest.Window) error {
	var s struct {
		Endpoint, Model, Version string
	}
	switch se.Kind {
	case attest.KindSegment:
		if err := se.Decode(&s); err != nil {
			return err
		}
	case attest.KindOutcomes:
		if err := se.Decode(&s); err != nil {
			return err
		}
		s.Model, s.Version = p.Model, p.Version
	}
	if se.Project != project || s.Endpoint != p.Endpoint || s.Model != p.Model || s.Version != p.Version {
		return lineage.Errf(lineage.CodeRefused, "relations", "entry %d holds no predictions or outcomes of %s %s at endpoint %q", se.Index, p.Model, p.Version, p.Endpoint)
	}
	return nil
}

func projectWindow(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.Window
	if err := e.Decode(&p); err != nil {
		return err
	}
	row := WindowRow{Entry: e.Index, Project: e.Project, Endpoint: p.Endpoint, Model: p.Model, Version: p.Version, Sequence: p.Sequence, Records: p.Count, Status: p.Status}
	if p.Retrain {
		row.Retrain = 1
	}
	return w.Insert(&row)
}

// checkAlert: raised by windows that say so, of one endpoint.
func checkAlert(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.Alert
	if err := e.Decode(&p); err != nil {
		return err
	}
	if p.Kind != AlertDrift && p.Kind != AlertPerformance {
		return lineage.Errf(lineage.CodeInvalid, "kind", "%q is neither %s nor %s", p.Kind, AlertDrift, AlertPerformance)
	}
	if len(p.Windows) == 0 {
		return lineage.Errf(lineage.CodeInvalid, "windows", "an alert is raised by windows, and none is cited")
	}
	drifted := map[string]bool{}
	raised := false
	for i, ref := range p.Windows {
		field := fmt.Sprintf("windows[%d]", i)
		we, err := r.Cited(field, ref, attest.KindWindow)
		if err != nil {
			return err
		}
		w, report, err := windowOf(we)
		if err != nil {
			return err
		}
		if we.Project != e.Project || w.Endpoint != p.Endpoint {
			return lineage.Errf(lineage.CodeRefused, field, "entry %d is about another endpoint or project", we.Index)
		}
		if !e.Has(attest.RelConcerns, attest.ArtefactEntry, we.PAE) {
			return lineage.Errf(lineage.CodeInvalid, "relations", "none says that it concerns entry %d", we.Index)
		}
		raised = raised || raises(report.Assessment, p.Kind)
		for _, f := range report.Assessment.Features {
			drifted[f.Name] = drifted[f.Name] || f.Verdict == Alert
		}
	}
	if !raised {
		return lineage.Errf(lineage.CodeRefused, "windows", "none of them raises a %s alert", p.Kind)
	}
	for _, name := range p.Features {
		if !drifted[name] {
			return lineage.Errf(lineage.CodeRefused, "features", "no window says that %.80q drifted", name)
		}
	}
	return nil
}

func raises(a Assessment, kind string) bool {
	if kind == AlertPerformance {
		return a.Performance.Verdict == Retrain
	}
	return a.Drift == Alert
}

func projectAlert(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.Alert
	if err := e.Decode(&p); err != nil {
		return err
	}
	return w.Insert(&AlertRow{Entry: e.Index, Project: e.Project, Endpoint: p.Endpoint, Kind: p.Kind})
}
