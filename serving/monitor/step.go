package monitor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"affidavit/attest"
	"affidavit/lineage"
)

// ReportSchema names the layout of WindowReport.
const ReportSchema = "affidavit.dev/window-report/v1"

// WindowReport is what a logged window holds: the counters, so that it can be merged and judged again, and the reading.
type WindowReport struct {
	Schema     string     `json:"schema"`
	Simulated  bool       `json:"simulated"` // the traffic had no real people behind it
	Window     Window     `json:"window"`
	Assessment Assessment `json:"assessment"`
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Watched says which deployment a window is about.
type Watched struct {
	Endpoint   string
	Model      string
	Version    string
	Deployment attest.EntryRef
	// Sources are the segments, and the outcomes, that the window was counted from.
	Sources   []attest.EntryRef
	Simulated bool
}

// Next returns the number that the next window of a version at an endpoint takes, and the alerts in a row before it,
// which Assess wants.
func Next(r *lineage.ReadTx, project, endpoint, model, version string) (sequence int64, priorAlerts int, err error) {
	last, err := lastWindow(r, project, endpoint, model, version)
	if err != nil || last.Sequence == 0 {
		return 1, 0, err
	}
	e, err := r.Entry(last.Entry)
	if err != nil {
		return 0, 0, err
	}
	_, report, err := windowOf(e)
	return last.Sequence + 1, report.Assessment.ConsecutiveAlerts, err
}

// WindowResult makes the result of a monitoring-window step, for Ledger.Do.
func WindowResult(on Watched, sequence int64, w Window, a Assessment) (lineage.Result, error) {
	raw, err := json.Marshal(WindowReport{Schema: ReportSchema, Simulated: on.Simulated, Window: w, Assessment: a})
	if err != nil {
		return lineage.Result{}, fmt.Errorf("window report: %w", err)
	}
	canonical, err := attest.CanonicalJSON(json.RawMessage(raw))
	if err != nil {
		return lineage.Result{}, fmt.Errorf("window report: %w", err)
	}
	p := attest.Window{Endpoint: on.Endpoint, Model: on.Model, Version: on.Version, Sequence: sequence, Count: w.Rows, Digest: sha(canonical), Report: canonical}
	p.Status, p.Retrain = a.Status()
	res := lineage.Result{
		Predicate: p,
		Subjects:  []attest.Subject{{Name: fmt.Sprintf("%s %s window %d", on.Endpoint, on.Version, sequence), Digest: map[string]string{"sha256": p.Digest}}},
		Relations: []attest.Relation{
			{Type: attest.RelGenerated, Ref: attest.Ref{Kind: attest.ArtefactWindow, Digest: p.Digest}},
			{Type: attest.RelMonitored, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: on.Deployment.PAE}},
		},
	}
	res.Relations = append(res.Relations, concerns(on.Sources)...)
	return res, nil
}

func concerns(refs []attest.EntryRef) []attest.Relation {
	var out []attest.Relation
	for _, ref := range refs {
		out = append(out, attest.Relation{Type: attest.RelConcerns, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: ref.PAE}})
	}
	return out
}

// Call is what the windows of a version ask for.
type Call struct {
	Endpoint string
	Model    string
	Version  string
	// Alert says that the newest window is on alert; Retrain that it asks to retrain.
	Alert   bool
	Retrain bool
	Kind    string // AlertDrift or AlertPerformance; "" without alert
	// Windows are those that the call rests on: the run of alerts that ends with the newest window, in order.
	Windows  []attest.EntryRef
	Features []string // that drifted in any of them, in the order of the reference
	Words    string
}

// Decide reads from the log what the windows of a version at an endpoint ask for. It is the newest window's own word:
// retraining after so many alerts in a row as its policy says, or on a breach of performance.
func Decide(r *lineage.ReadTx, project, endpoint, model, version string) (Call, error) {
	c := Call{Endpoint: endpoint, Model: model, Version: version}
	var rows []WindowRow
	if err := r.Find(&rows, "sequence DESC", "project = ? AND endpoint = ? AND model = ? AND version = ?", project, endpoint, model, version); err != nil {
		return c, err
	}
	drifted := map[string]bool{}
	var order []string
	for i, row := range rows {
		e, err := r.Entry(row.Entry)
		if err != nil {
			return c, err
		}
		_, report, err := windowOf(e)
		if err != nil {
			return c, err
		}
		a := report.Assessment
		if i == 0 {
			if row.Status != StatusAlert {
				return c, nil
			}
			c.Alert, c.Retrain, c.Kind = true, row.Retrain == 1, AlertDrift
			if a.Drift != Alert {
				c.Kind = AlertPerformance
			}
			c.Words = strings.Join(a.Reasons, "; ")
			for _, f := range a.Features {
				order = append(order, f.Name)
			}
		} else if a.Drift == Insufficient {
			continue // neither continues nor breaks the run
		} else if c.Kind == AlertPerformance || a.Drift != Alert {
			break
		}
		c.Windows = append(c.Windows, e.EntryRef())
		for _, f := range a.Features {
			drifted[f.Name] = drifted[f.Name] || f.Verdict == Alert
		}
	}
	slices.Reverse(c.Windows)
	for _, name := range order {
		if drifted[name] {
			c.Features = append(c.Features, name)
		}
	}
	return c, nil
}

// AlertResult makes the result of an alert step from a call with Alert set.
func AlertResult(c Call) (lineage.Result, error) {
	if !c.Alert || len(c.Windows) == 0 {
		return lineage.Result{}, lineage.Errf(lineage.CodeRefused, "windows", "no window of %s %s at %q raises an alert", c.Model, c.Version, c.Endpoint)
	}
	return lineage.Result{
		Predicate: attest.Alert{Endpoint: c.Endpoint, Windows: c.Windows, Kind: c.Kind, Features: c.Features, Words: c.Words},
		Relations: concerns(c.Windows),
	}, nil
}
