package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/serving/gateway/canary"
)

// deploymentEntry returns a cited deployment that put something at an endpoint.
func deploymentEntry(r *lineage.ReadTx, field, project, endpoint string, ref attest.EntryRef) (*lineage.Entry, attest.Deployment, error) {
	var d attest.Deployment
	e, err := r.Cited(field, ref, attest.KindDeployment)
	if err != nil {
		return nil, d, err
	}
	if err := e.Decode(&d); err != nil {
		return nil, d, err
	}
	if e.Project != project || d.Endpoint != endpoint || d.Action == ActionRetire {
		return nil, d, lineage.Errf(lineage.CodeRefused, field, "entry %d puts nothing at endpoint %q of this project", e.Index, endpoint)
	}
	return e, d, nil
}

// nextSequence is one more than the last segment of a deployment; the first is 1.
func nextSequence(r *lineage.ReadTx, project, endpoint string, deployment int64) (int64, error) {
	var last []SegmentRow
	err := r.DB().Where("project = ? AND endpoint = ? AND deployment = ?", project, endpoint, deployment).Order("sequence DESC").Limit(1).Find(&last).Error
	if err != nil || len(last) == 0 {
		return 1, err
	}
	return last[0].Sequence + 1, nil
}

func checkSegment(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var s attest.Segment
	if err := e.Decode(&s); err != nil {
		return err
	}
	if err := checkEndpoint(s.Endpoint); err != nil {
		return err
	}
	_, d, err := deploymentEntry(r, "deployment", e.Project, s.Endpoint, s.Deployment)
	if err != nil {
		return err
	}
	next, err := nextSequence(r, e.Project, s.Endpoint, s.Deployment.Index)
	if err != nil {
		return err
	}
	switch {
	case d.Model != s.Model || d.Version != s.Version:
		return lineage.Errf(lineage.CodeRefused, "version", "entry %d deployed %s %s, not %s %s", s.Deployment.Index, d.Model, d.Version, s.Model, s.Version)
	case s.Sequence != next:
		return lineage.Errf(lineage.CodeConflict, "sequence", "the next segment of entry %d is number %d, not %d", s.Deployment.Index, next, s.Sequence).
			WithRemedy("seal again under the number that is due")
	case s.Count < 1 || s.Positive < 0 || s.Positive > s.Count:
		return lineage.Errf(lineage.CodeInvalid, "count", "%d records with %d positive ones are no segment", s.Count, s.Positive)
	case s.From.After(s.To):
		return lineage.Errf(lineage.CodeInvalid, "from", "it is after to")
	}
	var twin SegmentRow
	switch err := r.First(&twin, "digest = ?", s.Digest); lineage.CodeOf(err) {
	case lineage.CodeNotFound:
	case "":
		return lineage.Errf(lineage.CodeConflict, "digest", "entry %d sealed the same file", twin.Entry)
	default:
		return err
	}
	if err := related(e, attest.RelGenerated, attest.ArtefactSegment, s.Digest, "the file"); err != nil {
		return err
	}
	return related(e, attest.RelMonitored, attest.ArtefactEntry, s.Deployment.PAE, "the deployment")
}

func projectSegment(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var s attest.Segment
	if err := e.Decode(&s); err != nil {
		return err
	}
	return w.Insert(&SegmentRow{Entry: e.Index, Project: e.Project, Endpoint: s.Endpoint, Deployment: s.Deployment.Index, Sequence: s.Sequence,
		Records: s.Count, Root: s.Root, Digest: s.Digest, Simulated: flag(s.Simulated)})
}

// unitMetrics are those that lie between 0 and 1.
func unitMetrics() []string {
	return []string{MetricAUC, MetricBrier, MetricAccuracy, MetricPositiveRate, MetricMeanScore}
}

func checkOutcomes(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var o attest.Outcomes
	if err := e.Decode(&o); err != nil {
		return err
	}
	if err := checkEndpoint(o.Endpoint); err != nil {
		return err
	}
	var predictions int64
	seen := map[int64]bool{}
	for i, ref := range o.Segments {
		field := fmt.Sprintf("segments[%d]", i)
		se, err := r.Cited(field, ref, attest.KindSegment)
		if err != nil {
			return err
		}
		var s attest.Segment
		if err := se.Decode(&s); err != nil {
			return err
		}
		if se.Project != e.Project || s.Endpoint != o.Endpoint || seen[se.Index] {
			return lineage.Errf(lineage.CodeRefused, field, "entry %d is of another endpoint or project, or cited twice", se.Index)
		}
		seen[se.Index] = true
		predictions += s.Count
		if err := related(e, attest.RelConcerns, attest.ArtefactEntry, se.PAE, "the segment"); err != nil {
			return err
		}
	}
	if o.Count < 1 || o.Count > predictions {
		return lineage.Errf(lineage.CodeInvalid, "count", "%d outcomes of %d predictions", o.Count, predictions).WithRemedy("cite the segments that hold the predictions")
	}
	if n, ok := o.Metrics[MetricCount]; ok && n != float64(o.Count) {
		return lineage.Errf(lineage.CodeInvalid, "metrics."+MetricCount, "%v, and the entry counts %d", n, o.Count)
	}
	for _, name := range unitMetrics() {
		if v, ok := o.Metrics[name]; ok && !(v >= 0 && v <= 1) {
			return lineage.Errf(lineage.CodeInvalid, "metrics."+name, "%v is not between 0 and 1", v)
		}
	}
	return related(e, attest.RelGenerated, attest.ArtefactOutcomes, o.Digest, "the file")
}

func projectOutcomes(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var o attest.Outcomes
	if err := e.Decode(&o); err != nil {
		return err
	}
	return w.Insert(&OutcomesRow{Entry: e.Index, Project: e.Project, Endpoint: o.Endpoint, Records: o.Count, Digest: o.Digest})
}

// CanaryReportSchema names the layout of CanaryReport.
const CanaryReportSchema = "affidavit.dev/canary-report/v1"

// CanaryReport is the report of a canary's verdict: the declared test, what was seen, and the evidence.
type CanaryReport struct {
	Schema string `json:"schema"`
	// Weight is the challenger's share of traffic; LatencyMicros the frozen limit of the latency guardrail, 0 for none.
	Weight        float64   `json:"weight"`
	LatencyMicros int64     `json:"latencyMicros"`
	Simulated     bool      `json:"simulated"` // only simulated requests, or only real ones, were counted
	Champion      ArmCounts `json:"champion"`
	Challenger    ArmCounts `json:"challenger"`
	// State holds configuration, guardrails, trace and decision: enough to recompute the verdict.
	State canary.State `json:"state"`
}

// ArmCounts says what an arm did while the canary was undecided.
type ArmCounts struct {
	Requests  int64   `json:"requests"`
	Errors    int64   `json:"errors"`
	Slow      int64   `json:"slow"`
	Positive  int64   `json:"positive"` // requests with an answer of label 1
	MeanScore float64 `json:"meanScore"`
}

// checkCanary resumes the test from its state: a verdict that the evidence does not give is refused.
func checkCanary(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var c attest.CanaryVerdict
	if err := e.Decode(&c); err != nil {
		return err
	}
	if err := checkEndpoint(c.Endpoint); err != nil {
		return err
	}
	for _, arm := range []struct {
		field, role string
		ref         attest.EntryRef
	}{{"champion", attest.ServeChampion, c.Champion}, {"challenger", attest.ServeChallenger, c.Challenger}} {
		de, d, err := deploymentEntry(r, arm.field, e.Project, c.Endpoint, arm.ref)
		if err != nil {
			return err
		}
		standing, err := Occupant(r, e.Project, c.Endpoint, arm.role)
		if err != nil {
			return err
		}
		if d.Role != arm.role || standing.Vacant() || standing.Entry != de.Index {
			return lineage.Errf(lineage.CodeConflict, arm.field, "entry %d is not the %s that stands at endpoint %q", de.Index, arm.role, c.Endpoint)
		}
		if err := related(e, attest.RelComparedWith, attest.ArtefactEntry, de.PAE, "the "+arm.field); err != nil {
			return err
		}
	}
	var report CanaryReport
	if err := json.Unmarshal(c.Report, &report); err != nil || report.Schema != CanaryReportSchema {
		return lineage.Errf(lineage.CodeInvalid, "report", "it is not a report of schema %s", CanaryReportSchema)
	}
	return checkEvidence(r, c, report)
}

func checkEvidence(r *lineage.ReadTx, c attest.CanaryVerdict, report CanaryReport) error {
	p, err := canary.Resume(report.State)
	if err != nil {
		return &lineage.Error{Code: lineage.CodeRefused, Field: "report.state", Message: "no canary could have reached it", Err: err}
	}
	got := string(p.State().Decision.Verdict)
	var arm DeploymentRow
	if err := r.First(&arm, "entry = ?", c.Challenger.Index); err != nil {
		return err
	}
	switch {
	case got != c.Verdict:
		return lineage.Errf(lineage.CodeRefused, "verdict", "it says %q, its evidence gives %q", c.Verdict, got)
	case report.State.Requests != c.Requests:
		return lineage.Errf(lineage.CodeRefused, "requests", "it says %d, its evidence counts %d", c.Requests, report.State.Requests)
	case report.Simulated != c.Simulated:
		return lineage.Errf(lineage.CodeRefused, "simulated", "verdict and report differ")
	case report.Weight != arm.Weight:
		return lineage.Errf(lineage.CodeRefused, "report.weight", "%v, deployed with %v", report.Weight, arm.Weight)
	}
	// Every event was drawn with the weight of the deployment, so ρ summed over the events is a multiple of it.
	for _, t := range report.State.Tracks {
		if math.Abs(t.ExpectedRho-arm.Weight*float64(t.Events)) > 1e-6*float64(t.Events+1) {
			return lineage.Errf(lineage.CodeRefused, "report.state", "guardrail %q was observed with another weight than the deployment's", t.Guardrail)
		}
	}
	return nil
}

func projectCanary(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var c attest.CanaryVerdict
	if err := e.Decode(&c); err != nil {
		return err
	}
	return w.Insert(&CanaryRow{Entry: e.Index, Project: e.Project, Endpoint: c.Endpoint, Champion: c.Champion.Index,
		Challenger: c.Challenger.Index, Verdict: c.Verdict, Requests: c.Requests, Simulated: flag(c.Simulated)})
}
