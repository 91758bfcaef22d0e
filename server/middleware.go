package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/lineage"
)

const (
	requestIDKey    = "affidavit.request-id"
	requestIDHeader = "X-Request-Id"
)

// policyOfPages is web.md's Content-Security-Policy.
const policyOfPages = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// RequestID returns the id of the request, 32 hex digits.
func RequestID(c *gin.Context) string { return c.GetString(requestIDKey) }

// identify gives the request an id of our own: one from outside could forge
// lines of the log.
func identify(c *gin.Context) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	id := hex.EncodeToString(b[:])
	c.Set(requestIDKey, id)
	c.Header(requestIDHeader, id)
}

// observe logs and counts each request by its route, never by its path or
// payload, and turns a panic into a 500.
func (s *Server) observe(c *gin.Context) {
	started := time.Now()
	identify(c)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log.Error("panic in a handler", "request", RequestID(c), "panic", p, "stack", string(debug.Stack()))
			c.Abort()
			s.fail(c, s.styleOf(c), &lineage.Error{Code: lineage.CodeInternal, Message: "panic"})
		}
		route := c.FullPath()
		if route == "" {
			route = "(none)"
		}
		took := time.Since(started)
		s.metrics.request(route, c.Request.Method, c.Writer.Status(), took)
		s.log.LogAttrs(c.Request.Context(), slog.LevelInfo, "request",
			slog.String("request", RequestID(c)), slog.String("method", methodLabel(c.Request.Method)),
			slog.String("route", route), slog.Int("status", c.Writer.Status()), slog.Duration("took", took),
			slog.Int("bytes", c.Writer.Size()))
	}()
	c.Next()
}

// secure sets the headers of web.md. HTML and JSON are not stored; what may be
// cached for ever (full tiles, assets) says so itself.
func secure(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", policyOfPages)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// checkHost refuses names that are not this machine's own: a page elsewhere
// whose name was pointed at loopback must not read the log through a browser.
func (s *Server) checkHost(c *gin.Context) {
	host := c.Request.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if isLoopbackName(strings.Trim(host, "[]")) {
		return
	}
	c.Abort()
	s.fail(c, WriteProblem, lineage.Errf(CodeMisdirected, "Host", "this server answers to loopback names only").
		WithRemedy("use http://127.0.0.1 or http://localhost"))
}

// checkOrigin refuses a write that a browser sends for another site.
func (s *Server) checkOrigin(c *gin.Context) {
	if err := s.origins.Check(c.Request); err != nil {
		c.Abort()
		s.fail(c, s.styleOf(c), lineage.Errf(lineage.CodeForbidden, "Origin", "a page of another site sent this request"))
	}
}

// limit bounds the body and the time of a request.
func (s *Server) limit(c *gin.Context) {
	r, known := s.routeOf(c)
	if !known {
		return
	}
	if r.MaxBody == 0 && c.Request.ContentLength != 0 && r.Method == http.MethodGet {
		c.Request.Body = http.NoBody
	} else if r.MaxBody > 0 {
		if err := checkMedia(r, c.GetHeader("Content-Type")); err != nil {
			c.Abort()
			s.fail(c, s.styleOf(c), err)
			return
		}
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, r.MaxBody)
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.requestTimeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}

func checkMedia(r Route, header string) error {
	if len(r.Accepts) == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(header)
	if err == nil && slices.Contains(r.Accepts, media) {
		return nil
	}
	return lineage.Errf(CodeMediaType, "Content-Type", "this route takes %s", strings.Join(r.Accepts, " or ")).
		WithRemedy("set Content-Type: %s", r.Accepts[0])
}

// authorise asks for the operation of the matched route (never of the raw
// path); the default is no.
func (s *Server) authorise(c *gin.Context) {
	r, known := s.routeOf(c)
	if !known {
		return
	}
	if err := s.authorizer.Allow(c.Request.Context(), Anonymous, "", r.Operation); err != nil {
		c.Abort()
		s.fail(c, s.styleOf(c), err)
	}
}

// adapt runs a handler and hands its error to the table.
func (s *Server) adapt(r Route) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := r.Handler(c); err != nil {
			s.fail(c, s.styleOf(c), err)
		}
	}
}

// fail writes the problem for err, and keeps what it hides for the operator.
func (s *Server) fail(c *gin.Context, style ErrorStyle, err error) {
	p := ProblemOf(err, RequestID(c))
	if p.Status >= http.StatusInternalServerError {
		s.log.Error("request failed", "request", RequestID(c), "route", c.FullPath(), "error", err.Error())
	}
	if c.Writer.Written() {
		return // the answer is on its way; the client sees it cut short
	}
	if p.Status == http.StatusServiceUnavailable {
		c.Header("Retry-After", "1")
	}
	style(c, p)
}

func (s *Server) styleOf(c *gin.Context) ErrorStyle {
	if r, known := s.routeOf(c); known && r.Errors != nil {
		return r.Errors
	}
	return WriteProblem
}

func (s *Server) routeOf(c *gin.Context) (Route, bool) {
	r, known := s.byName[c.Request.Method+" "+c.FullPath()]
	return r, known
}

func (s *Server) noRoute(c *gin.Context) {
	s.fail(c, s.missing, lineage.Errf(lineage.CodeNotFound, "path", "nothing is served here").
		WithRemedy("GET /openapi.json lists what is"))
}

func (s *Server) noMethod(c *gin.Context) {
	s.fail(c, WriteProblem, lineage.Errf(CodeMethod, "method", "this address does not take it").
		WithRemedy("the Allow header lists what it takes"))
}

// methodLabel keeps invented methods out of logs and metrics.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
