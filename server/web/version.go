package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/rbac/policy"
	"affidavit/rbac/sod"
)

type conditionLine struct {
	Status      status
	Name, Words string
	By          []int64
}

type gateBlock struct {
	Policy      string
	PolicyEntry int64
	Entry       int64
	Conditions  []conditionLine
}

type approvalLine struct {
	Status            status
	Who, Role, Reason string
	Entry             int64
}

type requestBlock struct {
	Entry                        int64
	Stage, Who, Reason, Evidence string
	EvidenceCount                int
	Withdrawn                    int64 // entry that took the request back; 0: none
	Expires                      time.Time
}

type checkLine struct {
	Status         status
	Name, Who      string
	Passed, Failed string
	Entry          int64
}

type contributor struct {
	Who, What string
	Entries   []int64
}

type deploymentLine struct {
	Endpoint, Action, Role, Percent string
	Stamp                           time.Time
	Entry                           int64
}

type metricLine struct{ Name, Value string }

type versionBody struct {
	State        banner
	Registration attest.Registration
	Who          string
	Stamp        time.Time
	Entry        int64
	Metrics      []metricLine
	Gate         *gateBlock
	Request      *requestBlock
	Approvals    []approvalLine
	Needed       int // approvals that the policy asks for
	Given        int // of them, how many stand
	Checks       []checkLine
	People       []contributor
	Deployments  []deploymentLine
}

// versionPage is what both views of a version share.
func (s *Site) versionPage(c *gin.Context, current string, fn func(*reader, versionRow, *page) error) (*page, error) {
	project, model, version := c.Param("project"), c.Param("model"), c.Param("version")
	at := versionURL(project, model, version)
	p := &page{Title: model + " " + version, Section: "models", Project: project,
		Crumbs: []link{{"Models", "/models"}, {model, modelURL(project, model)}, {version, ""}},
		Tabs:   []tab{{"Overview", at, current == "overview"}, {"Lineage", at + "/lineage", current == "lineage"}}}
	err := s.view(c, p, func(r *reader) error {
		var row versionRow
		if err := r.First(&row, "project = ? AND model = ? AND version = ?", project, model, version); err != nil {
			return missing(err, "version", "no version "+version+" of "+model+" is registered in project "+project)
		}
		p.LeadDigest = row.Root
		if err := r.versionTags(p, row); err != nil {
			return err
		}
		return fn(r, row, p)
	})
	return p, err
}

func (r *reader) versionTags(p *page, row versionRow) error {
	var inv inventoryRow
	none, err := absent(r.First(&inv, "project = ? AND model = ?", row.Project, row.Model))
	if err != nil {
		return err
	}
	if !none {
		p.Tags = append(p.Tags, tag{"Tier: " + inv.Tier, inv.Tier})
	}
	in, err := r.servingOf(row.Project, row.Model, row.Version)
	for _, s := range in {
		p.Tags = append(p.Tags, tag{Text: words(s.Role) + " at " + s.Endpoint})
	}
	return err
}

func (s *Site) getVersion(c *gin.Context) error {
	body := &versionBody{}
	p, err := s.versionPage(c, "overview", func(r *reader, row versionRow, p *page) error {
		p.Body = body
		return r.fillVersion(body, row)
	})
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "version", p)
}

func (r *reader) fillVersion(b *versionBody, row versionRow) error {
	e, err := r.decode(row.Entry, &b.Registration)
	if err != nil {
		return err
	}
	b.Entry, b.Stamp, b.Who = row.Entry, e.Stamp, r.signer(e)
	for _, name := range sortedKeys(b.Registration.Metrics) {
		b.Metrics = append(b.Metrics, metricLine{name, figure(b.Registration.Metrics[name])})
	}
	for _, fill := range []func(*versionBody, versionRow) error{r.fillGate, r.fillRequest, r.fillChecks, r.fillPeople, r.fillDeployments} {
		if err := fill(b, row); err != nil {
			return err
		}
	}
	b.State = gateState(b.Gate)
	return nil
}

func gateState(g *gateBlock) banner {
	if g == nil {
		return banner{"wait", "The gate has not judged this version", "Without a verdict it cannot be deployed."}
	}
	var unmet []string
	for _, c := range g.Conditions {
		if c.Status.Class != "ok" {
			unmet = append(unmet, c.Name)
		}
	}
	if len(unmet) == 0 {
		return banner{"ok", fmt.Sprintf("All %d conditions of the gate are met", len(g.Conditions)), ""}
	}
	return banner{"bad", fmt.Sprintf("%d of %d conditions of the gate are not met", len(unmet), len(g.Conditions)),
		"Not met: " + strings.Join(unmet, ", ") + "."}
}

func (r *reader) fillGate(b *versionBody, row versionRow) error {
	verdict, err := r.newestVerdict(row.Project, row.Model, row.Version)
	if err != nil || verdict == nil {
		return err
	}
	var vsa attest.VSA
	if _, err := r.decode(verdict.Entry, &vsa); err != nil {
		return err
	}
	g := &gateBlock{Policy: vsa.Gate.Binding.PolicyDigest, Entry: verdict.Entry}
	var policy policyRow
	none, err := absent(r.First(&policy, "project = ? AND digest = ?", row.Project, g.Policy))
	if err != nil {
		return err
	}
	if !none {
		g.PolicyEntry = policy.Entry
	}
	for _, c := range vsa.Gate.Conditions {
		line := conditionLine{Status: status{"bad", "Not met"}, Name: c.Name, Words: c.Words, By: indexes(c.By)}
		if c.Met {
			line.Status = status{"ok", "Met"}
		}
		g.Conditions = append(g.Conditions, line)
	}
	b.Gate = g
	return nil
}

func indexes(refs []attest.EntryRef) []int64 {
	out := make([]int64, 0, len(refs))
	for _, ref := range refs {
		out = append(out, ref.Index)
	}
	return out
}

func (r *reader) fillRequest(b *versionBody, row versionRow) error {
	var rows []requestRow
	err := r.Find(&rows, "entry DESC", "project = ? AND model = ? AND version = ?", row.Project, row.Model, row.Version)
	if err != nil || len(rows) == 0 {
		return err
	}
	var req attest.PromotionRequest
	e, err := r.decode(rows[0].Entry, &req)
	if err != nil {
		return err
	}
	b.Request = &requestBlock{Entry: e.Index, Stage: req.Binding.Stage, Who: r.signer(e), Reason: req.Reason,
		Evidence: req.Binding.EvidenceDigest, EvidenceCount: len(req.Evidence), Expires: req.Binding.Expires}
	words, err := r.fillApprovals(b, rows[0].Entry)
	if err != nil {
		return err
	}
	return r.fillQuorum(b, rows[0], words)
}

// fillApprovals lists who decided; it returns the people whose word stands in
// favour, by role.
func (r *reader) fillApprovals(b *versionBody, request int64) (map[string]map[string]bool, error) {
	var rows []decisionRow
	err := r.Find(&rows, "entry", "request = ? OR target = ? OR target IN (SELECT entry FROM decisions WHERE request = ?)", request, request, request)
	if err != nil {
		return nil, err
	}
	withdrawn := map[int64]int64{}
	for _, d := range rows {
		if d.Kind == attest.KindWithdrawal {
			withdrawn[d.Target] = d.Entry
		}
	}
	b.Request.Withdrawn = withdrawn[request]
	favour := map[string]map[string]bool{}
	for _, d := range rows {
		if d.Kind == attest.KindWithdrawal {
			continue
		}
		var word attest.Decision
		if _, err := r.decode(d.Entry, &word); err != nil {
			return nil, err
		}
		line := approvalLine{Status: outcomeStatus(d.Outcome), Who: r.name(d.Actor), Role: words(d.Role) + lineOf(d.Role), Reason: word.Reason, Entry: d.Entry}
		if by, taken := withdrawn[d.Entry]; taken {
			line.Status, line.Reason = status{"warn", "Withdrawn"}, fmt.Sprintf("withdrawn by entry #%d", by)
		} else if d.Outcome == attest.OutcomeApproved || d.Outcome == attest.OutcomeConditional {
			if favour[d.Role] == nil {
				favour[d.Role] = map[string]bool{}
			}
			favour[d.Role][d.Actor] = true
		}
		b.Approvals = append(b.Approvals, line)
	}
	return favour, nil
}

// fillQuorum adds who is still waited for under the request's policy. Whether
// the quorum is valid (duties, expiry, evidence) is the gate's to judge.
func (r *reader) fillQuorum(b *versionBody, request requestRow, favour map[string]map[string]bool) error {
	var row policyRow
	none, err := absent(r.First(&row, "project = ? AND digest = ?", request.Project, request.Policy))
	if err != nil || none {
		return err
	}
	var published attest.PolicyPublication
	if _, err := r.decode(row.Entry, &published); err != nil {
		return err
	}
	parsed, err := policy.Parse([]byte(published.YAML))
	if err != nil {
		return fmt.Errorf("published policy %s: %w", published.Digest, err)
	}
	stage := parsed.Stages[request.Stage]
	if stage == nil {
		return nil
	}
	needed := stage.Approvals
	if stage.OwnerAcceptance {
		needed = append([]policy.Approval{{Role: sod.RoleModelOwner, Count: 1}}, needed...)
	}
	for _, need := range needed {
		b.Needed += need.Count
		b.Given += min(len(favour[need.Role]), need.Count)
		for range need.Count - len(favour[need.Role]) {
			b.Approvals = append(b.Approvals, approvalLine{Status: status{"wait", "Waiting"}, Who: "Nobody yet", Role: words(need.Role) + lineOf(need.Role),
				Reason: "asked for by policy " + published.Name + " " + published.Version, Entry: row.Entry})
		}
	}
	return nil
}

func outcomeStatus(outcome string) status {
	switch outcome {
	case attest.OutcomeApproved:
		return status{"ok", "Approved"}
	case attest.OutcomeConditional:
		return status{"warn", "Conditionally approved"}
	case attest.OutcomeRejected:
		return status{"bad", "Rejected"}
	}
	return status{"wait", words(outcome)}
}

func lineOf(role string) string {
	switch role {
	case "engineer", "model-owner":
		return ", 1st line"
	case "validator", "risk-officer":
		return ", 2nd line"
	case "auditor":
		return ", 3rd line"
	}
	return ""
}

// fillChecks lists test results about the version's root or its served file.
func (r *reader) fillChecks(b *versionBody, row versionRow) error {
	var rows []evaluationRow
	if err := r.Find(&rows, "entry", "subject = ? OR subject = ?", row.Root, row.Artefact); err != nil {
		return err
	}
	for _, v := range rows {
		var t attest.TestResult
		e, err := r.decode(v.Entry, &t)
		if err != nil {
			return err
		}
		b.Checks = append(b.Checks, checkLine{Status: resultStatus(v.Result), Name: title(e), Who: r.signer(e),
			Passed: listed(t.PassedTests), Failed: listed(append(append([]string{}, t.FailedTests...), t.WarnedTests...)), Entry: v.Entry})
	}
	return nil
}

func resultStatus(result string) status {
	switch result {
	case attest.ResultPassed:
		return status{"ok", "Passed"}
	case attest.ResultWarned:
		return status{"warn", "Warned"}
	case attest.ResultFailed:
		return status{"bad", "Failed"}
	}
	return status{"wait", words(strings.ToLower(result))}
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (r *reader) fillDeployments(b *versionBody, row versionRow) error {
	var rows []deploymentRow
	if err := r.Find(&rows, "entry", "project = ? AND root = ?", row.Project, row.Root); err != nil {
		return err
	}
	for _, d := range rows {
		e, err := r.Entry(d.Entry)
		if err != nil {
			return err
		}
		b.Deployments = append(b.Deployments, deploymentLine{Endpoint: d.Endpoint, Action: d.Action, Role: d.Role,
			Percent: percent(d.Weight), Stamp: e.Stamp, Entry: d.Entry})
	}
	return nil
}
