package web

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/rbac"
	"affidavit/server"
	"affidavit/templates"
)

const mediaHTML = "text/html; charset=utf-8"

// Ledger is what the pages need of *lineage.Ledger; safe for concurrent use.
type Ledger interface {
	View(context.Context, lineage.Scope, func(*lineage.ReadTx) error) error
	TrustedRoot() *keys.TrustedRoot
	Kinds() lineage.Kinds
}

// Site renders the pages. Safe for concurrent use.
type Site struct {
	ledger   Ledger
	verifier *attest.Verifier
	assets   Assets
	files    map[string]asset
	pages    map[string]*template.Template
}

// New parses the templates and prepares the assets.
func New(ledger Ledger) (*Site, error) {
	s, err := load()
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s.ledger = ledger
	if s.verifier, err = attest.NewVerifier(ledger.TrustedRoot()); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return s, nil
}

func load() (*Site, error) {
	files, err := fs.Sub(templates.FS, "web")
	if err != nil {
		return nil, err
	}
	s := &Site{pages: map[string]*template.Template{}}
	if s.assets, s.files, err = loadAssets(files); err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	base, err := template.New("").Funcs(functions()).ParseFS(files, "shell.html", "parts.html")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"models", "model", "version", "lineage", "log", "entry", "error"} {
		page, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if s.pages[name], err = page.ParseFS(files, name+".html"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Routes is this package's part of the table.
func (s *Site) Routes() []server.Route {
	row := func(path, id, summary, media string, h server.Handler, params ...server.Param) server.Route {
		return server.Route{Method: http.MethodGet, Path: path, Operation: rbac.OpReadProject, Handler: h, Errors: s.Problem,
			Doc: server.Doc{ID: id, Tag: "pages", Summary: summary, Media: media, Params: params, Statuses: []int{http.StatusNotFound}}}
	}
	word := func(name, words string) server.Param {
		return server.Param{Name: name, In: "path", Type: "string", Words: words}
	}
	project, model, version := word("project", "project"), word("model", "model"), word("version", "version of the model")
	depth := server.Param{Name: "depth", In: "query", Type: "string", Words: "how many entries away, or all"}
	logParams := []server.Param{}
	for _, name := range []string{"kind", "project", "actor", "before"} {
		logParams = append(logParams, server.Param{Name: name, In: "query", Type: "string", Words: "only entries with this " + name})
	}
	const html = "text/html"
	rows := []server.Route{
		row("/", "pageHome", "Leads to the models", html, s.getHome),
		row("/models", "pageModels", "The model inventory", html, s.getModels),
		row("/models/:project/:model", "pageModel", "One model", html, s.getModel, project, model),
		row("/models/:project/:model/:version", "pageVersion", "One version: gate, quorum, evidence", html, s.getVersion, project, model, version),
		row("/models/:project/:model/:version/lineage", "pageVersionLineage", "Lineage of a version", html, s.getVersionLineage, project, model, version, depth),
		row("/lineage/:kind/:digest", "pageLineage", "Lineage of any artefact or entry", html, s.getLineage,
			word("kind", "kind of the artefact"), word("digest", "SHA-256 in hex"), depth),
		row("/log", "pageLog", "Entries of the log", html, s.getLog, logParams...),
		row("/log/:index", "pageEntry", "One entry with its proof", html, s.getEntry, word("index", "index of the entry")),
		row("/assets/:name", "asset", "Style, font and icon of the pages", "application/octet-stream", s.getAsset, word("name", "name with hash")),
	}
	rows[0].Operation, rows[len(rows)-1].Operation = server.OpPublic, server.OpPublic // they show nothing of the log
	rows[len(rows)-1].Errors = nil
	return rows
}

type link struct{ Text, URL string }

type tag struct{ Text, Class string }

type tab struct {
	Text, URL string
	Current   bool
}

// status is a word with an icon; the class also chooses the icon.
type status struct{ Class, Word string }

type banner struct{ Class, Head, Text string }

// head is the state of the log that a page read.
type head struct {
	Size  int64
	Last  int64
	Stamp time.Time
}

// page is what the shell shows around a body.
type page struct {
	Title      string
	Lead       string
	LeadDigest string
	Section    string
	Project    string
	Crumbs     []link
	Tags       []tag
	Tabs       []tab
	Head       *head
	Assets     Assets
	Body       any
}

// view reads one state of the log, and tells the page which.
func (s *Site) view(c *gin.Context, p *page, fn func(*reader) error) error {
	return s.ledger.View(c.Request.Context(), lineage.Scope{All: true}, func(r *lineage.ReadTx) error {
		p.Head = &head{Size: r.Size(), Last: r.Size() - 1}
		if r.Size() > 0 {
			last, err := r.Entry(r.Size() - 1)
			if err != nil {
				return err
			}
			p.Head.Stamp = last.Stamp
		}
		return fn(newReader(r))
	})
}

// render runs the template into memory first, so that a failure is a clean 500.
func (s *Site) render(c *gin.Context, code int, name string, p *page) error {
	p.Assets = s.assets
	var b bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&b, "shell", p); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	content := b.Bytes()
	c.Header("Vary", "Accept-Encoding")
	if acceptsGzip(c) {
		zipped, err := compress(content)
		if err != nil {
			return err
		}
		c.Header("Content-Encoding", "gzip")
		content = zipped
	}
	c.Data(code, mediaHTML, content)
	return nil
}

// Problem is the ErrorStyle of pages.
func (s *Site) Problem(c *gin.Context, p server.Problem) {
	body := struct {
		Banner                 banner
		Remedy, Code, Instance string
	}{banner{"bad", p.Title, p.Detail}, p.Remedy, p.Code, p.Instance}
	if err := s.render(c, p.Status, "error", &page{Title: p.Title, Body: body}); err != nil {
		server.WriteProblem(c, p)
	}
}

// Missing is the ErrorStyle for addresses that nothing serves: a page for who
// reads pages, a problem document for everybody else.
func (s *Site) Missing(c *gin.Context, p server.Problem) {
	if strings.Contains(c.GetHeader("Accept"), "text/html") {
		s.Problem(c, p)
		return
	}
	server.WriteProblem(c, p)
}

func (s *Site) getHome(c *gin.Context) error {
	c.Redirect(http.StatusFound, "/models")
	return nil
}
