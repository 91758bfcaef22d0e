package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/pipeline/gate"
	"affidavit/server"
	"affidavit/server/inference"
	"affidavit/server/rest"
	"affidavit/server/web"
	"affidavit/serving/gateway/openinference"
)

// world is a server over a real ledger on SQLite, and the people who sign.
type world struct {
	t       *testing.T
	ledger  *lineage.Ledger
	db      *lineage.Database
	keys    *keys.Set
	server  *server.Server
	metrics *server.Metrics
	http    *httptest.Server
	people  map[string]keys.Signer
	nonces  int
}

type noGateway struct{}

func (noGateway) Ready() bool { return false }
func (noGateway) Model(context.Context, string, string) (openinference.ModelMetadata, error) {
	return openinference.ModelMetadata{}, lineage.Errf(lineage.CodeNotFound, "model", "nothing is deployed")
}
func (noGateway) Infer(context.Context, string, string, *openinference.Request) (*openinference.Response, error) {
	return nil, lineage.Errf(lineage.CodeNotFound, "model", "nothing is deployed")
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	set, err := keys.NewSet("log.bank.example", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	db, err := lineage.OpenSQLite(ctx, filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	blobs, err := lineage.OpenLocalBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := lineage.NewKinds(govern.Kinds(), testKinds())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, keys: set, metrics: server.NewMetrics(), people: map[string]keys.Signer{lineage.DefaultServiceActor: set.Service}}
	cfg := lineage.Config{DB: db, Keys: set, Kinds: kinds, Blobs: blobs, Observer: w.metrics, GroupWindow: time.Millisecond}
	admin := w.enrolment("ada", "Ada Admin")
	if w.ledger, _, err = lineage.Init(ctx, cfg, lineage.InitParams{Admin: admin, Version: "1.2.3"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.ledger.Close(context.Background()) })
	w.serve()
	return w
}

func (w *world) serve() {
	w.t.Helper()
	site, err := web.New(w.ledger)
	if err != nil {
		w.t.Fatal(err)
	}
	routes := append(rest.New(w.ledger, w.metrics).Routes(), inference.New(noGateway{}, "1").Routes()...)
	w.server, err = server.New(server.Deps{Routes: append(routes, site.Routes()...), Authorizer: server.NewAccess(w.ledger), Ready: w.ledger.Ready,
		Metrics: w.metrics, Version: "1.2.3", Missing: site.Missing})
	if err != nil {
		w.t.Fatal(err)
	}
	w.http = httptest.NewServer(w.server.Handler())
	w.t.Cleanup(w.http.Close)
}

func (w *world) enrolment(actor, name string) attest.Enrolment {
	w.t.Helper()
	s, err := keys.Ephemeral()
	if err != nil {
		w.t.Fatal(err)
	}
	w.people[actor] = s
	return attest.Enrolment{Actor: actor, Name: name, KeyID: attest.KeyID(s.PublicKey()), PublicKey: s.PublicKey()}
}

func (w *world) nonce() string {
	w.nonces++
	return digestOf(fmt.Sprint("nonce", w.nonces))[:32]
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// sign makes a statement of actor, signed by signer's key (the same, unless a
// test wants another).
func (w *world) sign(kind, project, actor, signer string, predicate any, subjects []attest.Subject, relations ...attest.Relation) *attest.Signed {
	w.t.Helper()
	st, err := attest.NewStatement(attest.Step{Kind: kind, Project: project, Nonce: w.nonce(), Actor: actor,
		Claimed: time.Now().UTC(), Relations: relations}, subjects, predicate)
	if err != nil {
		w.t.Fatal(err)
	}
	signed, err := attest.Sign(w.t.Context(), st, w.people[signer])
	if err != nil {
		w.t.Fatal(err)
	}
	return signed
}

// submit posts a statement that must be accepted.
func (w *world) submit(s *attest.Signed) rest.Receipt {
	w.t.Helper()
	code, _, body := w.post(attest.MarshalSubmission(s))
	if code != 200 {
		w.t.Fatalf("submit: %d %s", code, body)
	}
	var r rest.Receipt
	if err := json.Unmarshal(body, &r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) step(kind, actor string, predicate any, subjects []attest.Subject, relations ...attest.Relation) attest.EntryRef {
	w.t.Helper()
	r := w.submit(w.sign(kind, "lending", actor, actor, predicate, subjects, relations...))
	return attest.EntryRef{Index: r.Index, PAE: r.PAE, Kind: kind}
}

// enrol makes a person with a role in the project.
func (w *world) enrol(actor, name, role string) {
	w.t.Helper()
	w.submit(w.sign(attest.KindKeyEvent, "", "ada", "ada", attest.KeyEvent{Action: attest.ActionEnrol, Enrolment: w.enrolment(actor, name)}, nil))
	if role != "" {
		w.submit(w.sign(attest.KindRoleGrant, "", "ada", "ada", attest.RoleGrant{Action: attest.ActionGrant, Actor: actor, Role: role, Project: "lending"}, nil))
	}
}

func (w *world) openProject() {
	w.t.Helper()
	w.submit(w.sign(attest.KindProject, "", "ada", "ada", attest.Project{ID: "lending", Name: "Lending"}, nil))
}

func (w *world) post(body []byte, header ...string) (int, http.Header, []byte) {
	w.t.Helper()
	return w.do("POST", "/api/v1/attestations", string(body), append([]string{"Content-Type", "application/json"}, header...)...)
}

func (w *world) get(path string) (int, http.Header, []byte) {
	w.t.Helper()
	return w.do("GET", path, "")
}

func (w *world) do(method, path, body string, header ...string) (int, http.Header, []byte) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.http.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b
}

// rows counts every row of every table, so that a test can show that nothing
// at all was written.
func (w *world) rows() map[string]int64 {
	w.t.Helper()
	rows, err := w.db.SQL().QueryContext(w.t.Context(), "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			w.t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil || len(names) < 30 {
		w.t.Fatalf("%d tables, %v", len(names), err)
	}
	_ = rows.Close()
	out := map[string]int64{}
	for _, name := range names {
		var n int64
		if err := w.db.SQL().QueryRowContext(w.t.Context(), "SELECT COUNT(*) FROM "+name).Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		out[name] = n
	}
	return out
}

// testKinds project as little as these tests need: the product's Kinds of the
// pipeline live in packages that the server does not import. Governance is real.
func testKinds() []lineage.Kind {
	nothing := func(context.Context, *lineage.ReadTx, *lineage.Entry) error { return nil }
	erasable := map[string][]string{} // as the product's own Kinds say
	for _, k := range gate.Kinds() {
		erasable[k.Name] = k.Erasable
	}
	kind := func(name string, project func(*lineage.WriteTx, *lineage.Entry) error) lineage.Kind {
		return lineage.Kind{Name: name, Check: nothing, Erasable: erasable[name], Project: func(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
			if project == nil {
				return nil
			}
			return project(w, e)
		}}
	}
	plain := []lineage.Kind{kind(attest.KindDataVersion, nil), kind(attest.KindTrainingRun, nil), kind(attest.KindModelSignature, nil)}
	return append(plain, modelKinds(kind)...)
}

type values map[string]any

// table inserts a row that names its entry.
func table(w *lineage.WriteTx, name string, e *lineage.Entry, r values) error {
	columns := maps.Clone(map[string]any(r)) // gorm writes into the map it is given
	columns["entry"] = e.Index
	return w.DB().Table(name).Create(columns).Error
}

// keepServing leaves the fixture's server up for a person with a browser.
func keepServing(w *world) {
	if wait := os.Getenv("AFFIDAVIT_SHOW_PAGES"); wait != "" {
		d, err := time.ParseDuration(wait)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Logf("pages at %s/models", w.http.URL)
		fmt.Fprintln(os.Stderr, "pages at", w.http.URL)
		time.Sleep(d)
	}
}
