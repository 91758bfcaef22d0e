package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/lineage"
)

// Readiness says whether the process can do its work: nil, or why not.
type Readiness func(context.Context) error

// Deps are what the engine needs.
type Deps struct {
	// Routes are the rows of rest, inference, web and whatever else is wired.
	Routes     []Route
	Authorizer Authorizer
	// Ready is asked by /readyz; nil means always.
	Ready   Readiness
	Metrics *Metrics // nil: a new registry
	Logger  *slog.Logger
	// Version is the software's, for /version and /openapi.json.
	Version string
	// RequestTimeout bounds one request; 0 is 60 s.
	RequestTimeout time.Duration
	// Grace is how long a shutdown waits for running requests; 0 is 10 s.
	Grace time.Duration
	// Missing writes the answer for an address that no route has; nil: a problem.
	Missing ErrorStyle
}

// Server serves the table of routes. Safe for concurrent use.
type Server struct {
	engine         *gin.Engine
	routes         []Route
	byName         map[string]Route
	authorizer     Authorizer
	ready          Readiness
	metrics        *Metrics
	log            *slog.Logger
	version        string
	requestTimeout time.Duration
	grace          time.Duration
	missing        ErrorStyle
	origins        *http.CrossOriginProtection
	stopping       atomic.Bool
	openapi        []byte
}

// New builds the engine; it fails when a route leaves anything undecided.
func New(d Deps) (*Server, error) {
	if d.Authorizer == nil {
		return nil, errors.New("server: no authorizer")
	}
	s := &Server{
		authorizer: d.Authorizer, ready: d.Ready, metrics: d.Metrics, log: d.Logger, version: d.Version,
		requestTimeout: d.RequestTimeout, grace: d.Grace, missing: d.Missing,
		byName: map[string]Route{}, origins: http.NewCrossOriginProtection(),
	}
	s.defaults()
	s.routes = append(s.ownRoutes(), d.Routes...)
	if err := checkRoutes(s.routes); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	for _, r := range s.routes {
		s.byName[r.Method+" "+r.Path] = r
	}
	doc, err := openAPI(s.routes, s.version)
	if err != nil {
		return nil, fmt.Errorf("server: openapi: %w", err)
	}
	s.openapi = doc
	return s, s.build()
}

func (s *Server) defaults() {
	if s.ready == nil {
		s.ready = func(context.Context) error { return nil }
	}
	if s.metrics == nil {
		s.metrics = NewMetrics()
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.requestTimeout == 0 {
		s.requestTimeout = time.Minute
	}
	if s.grace == 0 {
		s.grace = 10 * time.Second
	}
	if s.missing == nil {
		s.missing = WriteProblem
	}
}

// build makes gin's engine. gin keeps its mode in a global; release mode only
// silences its own printing, and every server of this process wants that.
func (s *Server) build() (err error) {
	defer func() { // gin panics on patterns that clash
		if p := recover(); p != nil {
			err = fmt.Errorf("server: %v", p)
		}
	}()
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	if err := e.SetTrustedProxies(nil); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	e.Use(s.observe, secure, s.checkHost, s.checkOrigin, s.authorise, s.limit)
	e.NoRoute(s.noRoute)
	e.NoMethod(s.noMethod)
	for _, r := range s.routes {
		e.Handle(r.Method, r.Path, s.adapt(r))
	}
	s.engine = e
	return nil
}

// Handler returns the engine, for tests and for embedding.
func (s *Server) Handler() http.Handler { return s.engine }

// Routes returns the table.
func (s *Server) Routes() []Route { return append([]Route(nil), s.routes...) }

// CheckLoopback refuses a listen address that other machines can reach.
func CheckLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return lineage.Errf(lineage.CodeInvalid, "listen", "%q is not host:port", addr).WithRemedy("for example 127.0.0.1:8420")
	}
	if !isLoopbackName(host) {
		return lineage.Errf(lineage.CodeRefused, "listen", "%q is reachable from other machines, and nobody logs in yet", addr).
			WithRemedy("listen on 127.0.0.1, [::1] or localhost")
	}
	return nil
}

func isLoopbackName(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Serve answers on ln until ctx ends, then lets running requests finish within
// the grace and cuts the rest. It closes ln. The ledger is closed by whoever
// opened it, after Serve returned.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if err := CheckLoopback(ln.Addr().String()); err != nil {
		_ = ln.Close()
		return err
	}
	hs := &http.Server{
		Handler: s.engine, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: s.requestTimeout + 30*time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	if err := hs.Shutdown(bound); err != nil {
		_ = hs.Close()
		return fmt.Errorf("shutdown: requests still ran after %s: %w", s.grace, err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
