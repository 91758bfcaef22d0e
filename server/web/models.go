package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/lineage"
)

// serving is one place where a version is in use now.
type serving struct {
	Endpoint, Role, Version string
	Entry                   int64
}

// judged is a status and the entry that says so.
type judged struct {
	Status status
	Entry  int64
}

type modelLine struct {
	Project, Model, URL, UseCase, Tier, Owner string
	Serving                                   []serving
	Verdict, Window                           *judged
	Versions                                  int64
	Entry                                     int64
}

type modelsBody struct{ Models []modelLine }

func modelURL(project, model string) string {
	return "/models/" + url.PathEscape(project) + "/" + url.PathEscape(model)
}

func versionURL(project, model, version string) string {
	return modelURL(project, model) + "/" + url.PathEscape(version)
}

func (s *Site) getModels(c *gin.Context) error {
	p := &page{Title: "What do we run, and who owns it?", Section: "models"}
	body := &modelsBody{}
	p.Body = body
	err := s.view(c, p, func(r *reader) error {
		var rows []inventoryRow
		if err := r.Find(&rows, "project, model", ""); err != nil {
			return err
		}
		for _, row := range rows {
			line, err := r.modelLine(row)
			if err != nil {
				return fmt.Errorf("model %s: %w", row.Model, err)
			}
			body.Models = append(body.Models, line)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "models", p)
}

func (r *reader) modelLine(row inventoryRow) (modelLine, error) {
	line := modelLine{Project: row.Project, Model: row.Model, URL: modelURL(row.Project, row.Model), Tier: row.Tier,
		Owner: r.name(row.Owner), Entry: row.Entry}
	var inv attest.InventoryEntry
	if _, err := r.decode(row.Entry, &inv); err != nil {
		return line, err
	}
	line.UseCase = inv.UseCase
	var err error
	if line.Serving, err = r.servingOf(row.Project, row.Model, ""); err != nil {
		return line, err
	}
	if line.Verdict, err = r.lastVerdict(row.Project, row.Model, ""); err != nil {
		return line, err
	}
	if line.Window, err = r.lastWindow(row.Project, row.Model); err != nil {
		return line, err
	}
	var versions []versionRow
	err = r.Find(&versions, "", "project = ? AND model = ?", row.Project, row.Model)
	line.Versions = int64(len(versions))
	return line, err
}

// servingOf lists where a model, or one version of it, is in use.
func (r *reader) servingOf(project, model, version string) ([]serving, error) {
	var rows []endpointRow
	if err := r.Find(&rows, "endpoint, role", "project = ? AND model = ?", project, model); err != nil {
		return nil, err
	}
	var out []serving
	for _, row := range rows {
		if version == "" || row.Version == version {
			out = append(out, serving{Endpoint: row.Endpoint, Role: row.Role, Version: row.Version, Entry: row.Entry})
		}
	}
	return out, nil
}

// lastVerdict is the newest gate verdict on a model, or on one version of it.
func (r *reader) lastVerdict(project, model, version string) (*judged, error) {
	row, err := r.newestVerdict(project, model, version)
	if row == nil || err != nil {
		return nil, err
	}
	out := &judged{Status: status{"bad", "Not met"}, Entry: row.Entry}
	if row.Passed != 0 {
		out.Status = status{"ok", "Met"}
	}
	return out, nil
}

func (r *reader) newestVerdict(project, model, version string) (*verdictRow, error) {
	cond, args := "request IN (SELECT entry FROM requests WHERE project = ? AND model = ?", []any{project, model}
	if version != "" {
		cond, args = cond+" AND version = ?", append(args, version)
	}
	var rows []verdictRow
	if err := r.Find(&rows, "entry DESC", cond+")", args...); err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

func (r *reader) lastWindow(project, model string) (*judged, error) {
	rows, err := r.windows(project, model)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &judged{Status: windowStatus(rows[0].Status), Entry: rows[0].Entry}, nil
}

func (r *reader) windows(project, model string) ([]windowRow, error) {
	var rows []windowRow
	err := r.Find(&rows, "entry DESC", "project = ? AND model = ?", project, model)
	return rows, err
}

func windowStatus(word string) status {
	switch word {
	case "ok":
		return status{"ok", "Stable"}
	case "watch":
		return status{"warn", "Watch"}
	case "alert":
		return status{"bad", "Alert"}
	}
	return status{"wait", words(word)}
}

type versionLine struct {
	Version, Root, URL string
	Stamp              time.Time
	Metrics            map[string]string
	Verdict            *judged
	Serving            []serving
	Entry              int64
}

type windowLine struct {
	Endpoint, Version        string
	Sequence, Records, Entry int64
	Status                   status
}

type canaryLine struct {
	Endpoint        string
	Status          status
	Requests, Entry int64
	Simulated       bool
}

type documentLine struct {
	Kind, Title, Digest string
	AsOf, Entry         int64
}

type modelBody struct {
	Model       string
	State       banner
	Inventory   attest.InventoryEntry
	Owner       string
	Developer   string
	Entry       int64
	MetricNames []string
	Versions    []versionLine
	Windows     []windowLine
	Canaries    []canaryLine
	Documents   []documentLine
}

func (s *Site) getModel(c *gin.Context) error {
	project, model := c.Param("project"), c.Param("model")
	p := &page{Title: model, Section: "models", Project: project, Crumbs: []link{{"Models", "/models"}, {model, ""}}}
	body := &modelBody{Model: model}
	p.Body = body
	err := s.view(c, p, func(r *reader) error {
		var row inventoryRow
		if err := r.First(&row, "project = ? AND model = ?", project, model); err != nil {
			return missing(err, "model", "the inventory of project "+project+" has no model "+model)
		}
		p.Tags = []tag{{"Tier: " + row.Tier, row.Tier}}
		return r.fillModel(body, row, p)
	})
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "model", p)
}

func missing(err error, field, detail string) error {
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return lineage.Errf(lineage.CodeNotFound, field, "%s", detail)
	}
	return err
}

func (r *reader) fillModel(b *modelBody, row inventoryRow, p *page) error {
	if _, err := r.decode(row.Entry, &b.Inventory); err != nil {
		return err
	}
	b.Entry, b.Owner, b.Developer = row.Entry, r.name(row.Owner), r.name(row.Developer)
	p.Lead = b.Inventory.UseCase
	in, err := r.servingOf(row.Project, row.Model, "")
	if err != nil {
		return err
	}
	b.State = modelState(in)
	for _, fill := range []func(*modelBody, inventoryRow) error{r.fillVersions, r.fillWindows, r.fillCanaries, r.fillDocuments} {
		if err := fill(b, row); err != nil {
			return err
		}
	}
	return nil
}

func modelState(in []serving) banner {
	for _, s := range in {
		if s.Role == attest.ServeChampion {
			return banner{"ok", "In use", fmt.Sprintf("Version %s is champion at endpoint %s since entry #%d.", s.Version, s.Endpoint, s.Entry)}
		}
	}
	return banner{"wait", "Not in use", "No version is champion at an endpoint."}
}

// maxMetrics columns are shown beside each version; the version's page has all.
const maxMetrics = 4

func (r *reader) fillVersions(b *modelBody, row inventoryRow) error {
	var rows []versionRow
	if err := r.Find(&rows, "entry DESC", "project = ? AND model = ?", row.Project, row.Model); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, v := range rows {
		var reg attest.Registration
		e, err := r.decode(v.Entry, &reg)
		if err != nil {
			return err
		}
		line := versionLine{Version: v.Version, Root: v.Root, URL: versionURL(v.Project, v.Model, v.Version), Stamp: e.Stamp,
			Metrics: map[string]string{}, Entry: v.Entry}
		for name, x := range reg.Metrics {
			line.Metrics[name], seen[name] = figure(x), true
		}
		if line.Verdict, err = r.lastVerdict(v.Project, v.Model, v.Version); err != nil {
			return err
		}
		if line.Serving, err = r.servingOf(v.Project, v.Model, v.Version); err != nil {
			return err
		}
		b.Versions = append(b.Versions, line)
	}
	b.MetricNames = headline(sortedKeys(seen))
	return nil
}

// headline keeps the metrics that a reader looks for first.
func headline(names []string) []string {
	weight := func(name string) int {
		for i, word := range []string{"auc", "brier", "slope", "impact", "air"} {
			if strings.Contains(strings.ToLower(name), word) {
				return i
			}
		}
		return len(name) + 100
	}
	slices.SortStableFunc(names, func(a, b string) int { return weight(a) - weight(b) })
	return names[:min(len(names), maxMetrics)]
}

func (r *reader) fillWindows(b *modelBody, row inventoryRow) error {
	rows, err := r.windows(row.Project, row.Model)
	for _, w := range rows[:min(len(rows), 12)] {
		b.Windows = append(b.Windows, windowLine{Endpoint: w.Endpoint, Version: w.Version, Sequence: w.Sequence,
			Records: w.Records, Entry: w.Entry, Status: windowStatus(w.Status)})
	}
	return err
}

func (r *reader) fillCanaries(b *modelBody, row inventoryRow) error {
	var rows []canaryRow
	err := r.Find(&rows, "entry DESC", "champion IN (SELECT entry FROM deployments WHERE project = ? AND model = ?)", row.Project, row.Model)
	for _, v := range rows {
		class := map[string]string{"promote": "ok", "rollback": "bad"}[v.Verdict]
		if class == "" {
			class = "wait"
		}
		b.Canaries = append(b.Canaries, canaryLine{Endpoint: v.Endpoint, Status: status{class, words(v.Verdict)},
			Requests: v.Requests, Entry: v.Entry, Simulated: v.Simulated != 0})
	}
	return err
}

func (r *reader) fillDocuments(b *modelBody, row inventoryRow) error {
	var rows []documentRow
	if err := r.Find(&rows, "entry DESC", "project = ?", row.Project); err != nil {
		return err
	}
	for _, d := range rows {
		var doc attest.Document
		if _, err := r.decode(d.Entry, &doc); err != nil {
			return err
		}
		b.Documents = append(b.Documents, documentLine{Kind: words(doc.Kind), Title: doc.Title, Digest: d.Digest, AsOf: d.AsOf, Entry: d.Entry})
	}
	return nil
}
