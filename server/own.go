package server

import (
	"net/http"
	"runtime"

	"github.com/gin-gonic/gin"

	"affidavit/lineage"
	"affidavit/rbac"
)

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status string `json:"status" doc:"ok"`
}

// VersionInfo is the answer of /version.
type VersionInfo struct {
	Software string `json:"software"`
	Version  string `json:"version"`
	Go       string `json:"go"`
}

func (s *Server) ownRoutes() []Route {
	get := func(path, op, id, summary string, h Handler) Route {
		return Route{Method: http.MethodGet, Path: path, Operation: op, Handler: h,
			Doc: Doc{ID: id, Tag: "operation", Summary: summary}}
	}
	health := get("/healthz", OpPublic, "health", "The process runs", s.getHealth)
	health.Doc.Answer = Health{}
	ready := get("/readyz", OpPublic, "ready", "Database, keys and clock allow work", s.getReady)
	ready.Doc.Answer, ready.Doc.Statuses = Health{}, []int{http.StatusServiceUnavailable}
	version := get("/version", OpPublic, "version", "Which software this is", s.getVersion)
	version.Doc.Answer = VersionInfo{}
	metrics := get("/metrics", rbac.OpReadOperations, "metrics", "Prometheus metrics", s.getMetrics)
	metrics.Doc.Media = "text/plain"
	doc := get("/openapi.json", OpPublic, "openapi", "This document", s.getOpenAPI)
	doc.Doc.Answer = map[string]any{}
	return []Route{health, ready, version, metrics, doc}
}

func (s *Server) getHealth(c *gin.Context) error {
	return WriteJSON(c, http.StatusOK, Health{Status: "ok"})
}

func (s *Server) getReady(c *gin.Context) error {
	if s.stopping.Load() {
		return lineage.Errf(lineage.CodeUnavailable, "", "the server is shutting down")
	}
	if err := s.ready(c.Request.Context()); err != nil {
		return err
	}
	return WriteJSON(c, http.StatusOK, Health{Status: "ok"})
}

func (s *Server) getVersion(c *gin.Context) error {
	return WriteJSON(c, http.StatusOK, VersionInfo{Software: "affidavit", Version: s.version, Go: runtime.Version()})
}

func (s *Server) getMetrics(c *gin.Context) error {
	s.metrics.handler.ServeHTTP(c.Writer, c.Request)
	return nil
}

func (s *Server) getOpenAPI(c *gin.Context) error {
	c.Data(http.StatusOK, MediaJSON, s.openapi)
	return nil
}
