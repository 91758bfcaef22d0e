package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/lineage"
	"affidavit/rbac"
	"affidavit/server"
)

type allow struct{ operations []string }

func (a allow) Allow(_ context.Context, actor, project, operation string) error {
	if actor != server.Anonymous || project != "" {
		return errors.New("asked for somebody else")
	}
	if slices.Contains(a.operations, operation) {
		return nil
	}
	return &rbac.Denied{Actor: actor, Operation: operation}
}

func row(method, path string, h server.Handler) server.Route {
	r := server.Route{Method: method, Path: path, Operation: "test", Handler: h,
		Doc: server.Doc{ID: method + path, Summary: "a test", Answer: map[string]any{}}}
	if method != http.MethodGet {
		r.Exempt, r.MaxBody, r.Accepts = &server.Exemption{Name: "test", Reason: "a test"}, 64, []string{server.MediaJSON}
	}
	return r
}

func build(t *testing.T, log io.Writer, routes ...server.Route) *server.Server {
	t.Helper()
	s, err := server.New(server.Deps{Routes: routes, Authorizer: allow{[]string{"test", server.OpPublic, rbac.OpReadOperations}},
		Logger: slog.New(slog.NewJSONHandler(log, nil)), Version: "1.2.3", RequestTimeout: 200 * time.Millisecond, Grace: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(s *server.Server, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8420"+target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if h := r.Header.Get("X-Test-Host"); h != "" {
		r.Host = h
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func problem(t *testing.T, w *httptest.ResponseRecorder) server.Problem {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != server.MediaProblem {
		t.Fatalf("content type %q: %s", got, w.Body)
	}
	var p server.Problem
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatal(err)
	}
	if p.Status != w.Code || p.Type != server.ProblemBase+p.Code || !strings.HasPrefix(p.Instance, "urn:affidavit:request:") {
		t.Fatalf("inconsistent problem %+v under status %d", p, w.Code)
	}
	return p
}

func TestErrorTable(t *testing.T) {
	cases := map[lineage.Code]int{
		lineage.CodeInvalid: 400, lineage.CodeUnauthenticated: 401, lineage.CodeForbidden: 403, lineage.CodeNotFound: 404,
		lineage.CodeConflict: 409, lineage.CodeTooLarge: 413, lineage.CodeRefused: 422, lineage.CodeUnavailable: 503,
		lineage.CodeInternal: 500, lineage.CodeRollback: 500, "never-heard-of": 500,
	}
	for code, want := range cases {
		secret := "select password from /etc/secret"
		err := &lineage.Error{Code: code, Field: "f", Message: "m", Remedy: "r", Err: errors.New(secret)}
		var log bytes.Buffer
		s := build(t, &log, row(http.MethodGet, "/x", func(*gin.Context) error { return err }))
		w := ask(s, http.MethodGet, "/x", "")
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", code, w.Code, want)
		}
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s: the wrapped error is shown", code)
		}
		p := problem(t, w)
		if want == 500 && (p.Code != "internal" || p.Detail == "m") {
			t.Errorf("%s: an internal error shows its words: %+v", code, p)
		}
		if want < 500 && (p.Code != string(code) || p.Field != "f" || p.Detail != "m" || p.Remedy != "r") {
			t.Errorf("%s: %+v", code, p)
		}
		if want >= 500 && !strings.Contains(log.String(), secret) {
			t.Errorf("%s: the operator's log does not hold the cause", code)
		}
	}
}

func TestForeignErrorIsHidden(t *testing.T) {
	s := build(t, io.Discard, row(http.MethodGet, "/x", func(*gin.Context) error { return errors.New("dsn=postgres://u:p@h") }))
	w := ask(s, http.MethodGet, "/x", "")
	if w.Code != 500 || strings.Contains(w.Body.String(), "postgres") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

func TestPanicIsAProblem(t *testing.T) {
	var log bytes.Buffer
	s := build(t, &log, row(http.MethodGet, "/x", func(*gin.Context) error { panic("boom") }))
	if p := problem(t, ask(s, http.MethodGet, "/x", "")); p.Code != "internal" {
		t.Fatalf("%+v", p)
	}
	if !strings.Contains(log.String(), "boom") {
		t.Fatal("the panic is not in the log")
	}
	if w := ask(s, http.MethodGet, "/healthz", ""); w.Code != 200 {
		t.Fatalf("after a panic: %d", w.Code)
	}
}

func TestEachGateRefuses(t *testing.T) {
	reached := false
	h := func(c *gin.Context) error {
		reached = true
		_, err := server.ReadBody(c)
		return err
	}
	secret := row(http.MethodGet, "/secret", h)
	secret.Operation = "read:secret"
	s := build(t, io.Discard, row(http.MethodPost, "/x", h), secret)
	const js = "application/json"
	for name, c := range map[string]struct {
		w       *httptest.ResponseRecorder
		status  int
		code    string
		reaches bool
	}{
		"other host":      {ask(s, "POST", "/x", "{}", "Content-Type", js, "X-Test-Host", "evil.example"), 421, "misdirected", false},
		"other site":      {ask(s, "POST", "/x", "{}", "Content-Type", js, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), 403, "forbidden", false},
		"no operation":    {ask(s, "GET", "/secret", ""), 403, "forbidden", false},
		"media type":      {ask(s, "POST", "/x", "{}", "Content-Type", "text/plain"), 415, "unsupported-media-type", false},
		"no media type":   {ask(s, "POST", "/x", "{}"), 415, "unsupported-media-type", false},
		"no such path":    {ask(s, "GET", "/secret/", ""), 404, "not-found", false},
		"no such method":  {ask(s, "DELETE", "/x", ""), 405, "method-not-allowed", false},
		"path with dots":  {ask(s, "GET", "/healthz/../secret", ""), 404, "not-found", false},
		"large body":      {ask(s, "POST", "/x", strings.Repeat("x", 65), "Content-Type", js), 413, "too-large", true},
		"empty body":      {ask(s, "POST", "/x", "", "Content-Type", js), 400, "invalid", true},
		"host with port":  {ask(s, "POST", "/x", "", "Content-Type", js, "X-Test-Host", "localhost:99"), 400, "invalid", true},
		"IPv6 loopback":   {ask(s, "POST", "/x", "", "Content-Type", js, "X-Test-Host", "[::1]:99"), 400, "invalid", true},
		"mapped loopback": {ask(s, "POST", "/x", "", "Content-Type", js, "X-Test-Host", "[::ffff:127.0.0.1]"), 400, "invalid", true},
	} {
		if c.w.Code != c.status {
			t.Errorf("%s: status %d, want %d: %s", name, c.w.Code, c.status, c.w.Body)
			continue
		}
		if p := problem(t, c.w); p.Code != c.code {
			t.Errorf("%s: code %s, want %s", name, p.Code, c.code)
		}
	}
	reached = false
	ask(s, "POST", "/x", "{}", "Content-Type", "text/plain")
	ask(s, "GET", "/secret", "")
	if reached {
		t.Error("a handler ran although a gate refused")
	}
}

func TestSlowHandlerMeetsItsDeadline(t *testing.T) {
	s := build(t, io.Discard, row(http.MethodGet, "/x", func(c *gin.Context) error {
		<-c.Request.Context().Done()
		return c.Request.Context().Err()
	}))
	w := ask(s, http.MethodGet, "/x", "")
	if p := problem(t, w); p.Code != "timeout" || w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Fatalf("%+v", p)
	}
}

func TestHeadersAndRequestID(t *testing.T) {
	var log bytes.Buffer
	s := build(t, &log)
	w := ask(s, "GET", "/version?token=s3cret", "", "X-Request-Id", "forged\nline", "Authorization", "Bearer s3cret")
	if w.Code != 200 {
		t.Fatal(w.Code)
	}
	id := w.Header().Get("X-Request-Id")
	if len(id) != 32 || strings.Contains(id, "forged") {
		t.Fatalf("request id %q", id)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	csp := w.Header().Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "trusted-types 'none'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("policy lacks %s", part)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Error("policy allows something unsafe")
	}
	if !strings.Contains(log.String(), id) || strings.Contains(log.String(), "s3cret") {
		t.Errorf("log line: %s", log.String())
	}
}

func TestTableRefusesWhatIsUndecided(t *testing.T) {
	ok := func() server.Route { return row(http.MethodPost, "/x", func(*gin.Context) error { return nil }) }
	for name, change := range map[string]func(*server.Route){
		"no operation":        func(r *server.Route) { r.Operation = "" },
		"no handler":          func(r *server.Route) { r.Handler = nil },
		"no documentation":    func(r *server.Route) { r.Doc.Summary = "" },
		"no kind, no reason":  func(r *server.Route) { r.Exempt = nil },
		"kind and exemption":  func(r *server.Route) { r.Kinds = []string{"export"} },
		"unexplained":         func(r *server.Route) { r.Exempt = &server.Exemption{Name: "x"} },
		"unlimited body":      func(r *server.Route) { r.MaxBody = 0 },
		"a GET that writes":   func(r *server.Route) { r.Method = http.MethodGet },
		"a path that clashes": func(r *server.Route) { r.Method, r.Path, r.Exempt, r.MaxBody = "GET", "/healthz", nil, 0 },
	} {
		r := ok()
		change(&r)
		if _, err := server.New(server.Deps{Routes: []server.Route{r}, Authorizer: allow{}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := server.New(server.Deps{Routes: []server.Route{ok()}, Authorizer: allow{}}); err != nil {
		t.Error(err)
	}
	if _, err := server.New(server.Deps{}); err == nil {
		t.Error("a server without authorizer")
	}
}

func TestCheckLoopback(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:8420", "127.9.9.9:1", "[::1]:8420", "localhost:0", "LOCALHOST:1", "[::ffff:127.0.0.1]:5"} {
		if err := server.CheckLoopback(addr); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, addr := range []string{"0.0.0.0:8420", ":8420", "[::]:8420", "10.0.0.1:80", "192.168.1.1:80", "example.com:80",
		"localhost.evil.example:80", "127.0.0.1", "", "[fe80::1]:80", "2130706433:80"} {
		err := server.CheckLoopback(addr)
		if err == nil {
			t.Errorf("%q accepted", addr)
		}
		var e *lineage.Error
		if !errors.As(err, &e) || e.Remedy == "" || e.Field != "listen" {
			t.Errorf("%q: %v names no field or remedy", addr, err)
		}
	}
}

func TestServeRefusesOtherAddresses(t *testing.T) {
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Skip("cannot listen on every address here")
	}
	s := build(t, io.Discard)
	if err := s.Serve(t.Context(), ln); lineage.CodeOf(err) != lineage.CodeRefused {
		t.Fatal(err)
	}
}

// A shutdown lets the running request finish, says not ready meanwhile, and
// takes no new connection.
func TestGracefulShutdown(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := build(t, io.Discard, row(http.MethodGet, "/slow", func(c *gin.Context) error {
		once.Do(func() { close(entered) })
		<-release
		return server.WriteJSON(c, 200, map[string]any{"done": true})
	}))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + ln.Addr().String() + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-entered
	cancel()
	deadline := time.Now().Add(2 * time.Second)
	for ask(s, "GET", "/readyz", "").Code != 503 {
		if time.Now().After(deadline) {
			t.Fatal("still ready while shutting down")
		}
		time.Sleep(time.Millisecond)
	}
	close(release)
	if got := <-answer; got != `{"done":true}` {
		t.Fatalf("the running request got %q", got)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = conn.Close()
		t.Fatal("the address still answers")
	}
}

func TestMetrics(t *testing.T) {
	m := server.NewMetrics()
	s, err := server.New(server.Deps{Authorizer: allow{[]string{server.OpPublic, rbac.OpReadOperations}}, Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	ask(s, "GET", "/healthz", "")
	ask(s, "GET", "/no/such/"+strings.Repeat("x", 20), "")
	m.Head(42)
	m.Group(3, time.Millisecond)
	m.Sealed("decision", lineage.CodeRefused)
	m.Waiting()(false, lineage.Errf(lineage.CodeConflict, "nonce", "used"))
	got := ask(s, "GET", "/metrics", "").Body.String()
	for _, line := range []string{
		`affidavit_http_requests_total{method="GET",route="/healthz",status="200"} 1`,
		`affidavit_http_requests_total{method="GET",route="(none)",status="404"} 1`,
		`affidavit_log_size 42`, `affidavit_group_entries_count 1`, `affidavit_entries_total{kind="decision",result="refused"} 1`,
		`affidavit_submissions_total{result="conflict"} 1`, `affidavit_queue_length 0`, `go_goroutines `,
	} {
		if !strings.Contains(got, line) {
			t.Errorf("metrics lack %q", line)
		}
	}
	if strings.Contains(got, "xxxxx") {
		t.Error("a path from outside became a label")
	}
}

// Without a log-in nobody exports, audits, uploads or submits for a kind, not
// even if an actor has the name of the anonymous reader.
func TestAccess(t *testing.T) {
	w := newWorld(t)
	w.openProject()
	w.enrol("vera", "Vera Validator", "validator")
	w.enrol(server.Anonymous, "A. Nonymous", "engineer")
	a := server.NewAccess(w.ledger)
	for _, op := range append(rbac.Operations(), server.OpPublic, server.OpSubmit, "invented") {
		err := a.Allow(t.Context(), server.Anonymous, "lending", op)
		open := slices.Contains(server.Open(), op)
		if (err == nil) != open {
			t.Errorf("anonymous, %s: %v", op, err)
		}
		if open && op != server.OpPublic && op != server.OpSubmit && op != rbac.OpPredict && !strings.HasPrefix(op, "read:") {
			t.Errorf("%s is open and no reading", op)
		}
	}
	if err := a.Allow(t.Context(), "vera", "lending", rbac.Submit("decision")); err != nil {
		t.Error(err)
	}
	if err := a.Allow(t.Context(), "vera", "other", rbac.Submit("decision")); lineage.CodeOf(err) != lineage.CodeForbidden {
		t.Error("a role held in one project counts in another")
	}
	if err := server.NewAccess(nil).Allow(t.Context(), "vera", "lending", rbac.OpReadProject); lineage.CodeOf(err) != lineage.CodeUnauthenticated {
		t.Error(err)
	}
}
