package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// Handler answers one request; what it returns goes through the error table.
// It must not have written anything when it returns an error.
type Handler func(*gin.Context) error

// ErrorStyle writes a problem in the form that a family of clients expects.
type ErrorStyle func(*gin.Context, Problem)

// Exemption says why a route that is not GET is not an attested step.
type Exemption struct {
	Name   string
	Reason string
}

// Route is one row of the table: what it is, who may, what it writes, and how
// it is documented.
type Route struct {
	Method string
	Path   string // gin's pattern
	// Operation is what the authorizer is asked for.
	Operation string
	// Kinds are the kinds of entries that a route other than GET may append.
	Kinds []string
	// Exempt is set instead of Kinds when such a route appends nothing itself.
	Exempt *Exemption
	// Accepts lists the media types that the body may have; empty accepts any.
	Accepts []string
	// MaxBody limits the body in bytes; 0 means that a body is refused.
	MaxBody int64
	Doc     Doc
	Handler Handler
	// Errors is WriteProblem unless the family of clients wants another form.
	Errors ErrorStyle
}

// Doc is what the OpenAPI document says about a route.
type Doc struct {
	ID      string // operationId
	Tag     string
	Summary string
	Params  []Param
	// Body is a value whose type describes the JSON request; nil for none.
	Body any
	// Answer is a value whose type describes the JSON answer; Media names
	// another form when Answer is nil.
	Answer any
	Media  string
	// Statuses are the error statuses that the route may give besides 500.
	Statuses []int
}

// Param is a parameter in the path or the query.
type Param struct {
	Name  string
	In    string // path | query
	Words string
	Type  string // string | integer
	Enum  []string
}

// checkRoutes refuses a table that leaves anything undecided.
func checkRoutes(routes []Route) error {
	seen, ids := map[string]bool{}, map[string]bool{}
	for _, r := range routes {
		name := r.Method + " " + r.Path
		switch {
		case seen[name]:
			return fmt.Errorf("route %s is declared twice", name)
		case r.Operation == "":
			return fmt.Errorf("route %s names no operation", name)
		case r.Handler == nil:
			return fmt.Errorf("route %s has no handler", name)
		case r.Doc.ID == "" || r.Doc.Summary == "":
			return fmt.Errorf("route %s is not documented", name)
		case ids[r.Doc.ID]:
			return fmt.Errorf("operation id %s is used twice", r.Doc.ID)
		}
		if err := checkWrite(r); err != nil {
			return fmt.Errorf("route %s: %w", name, err)
		}
		seen[name], ids[r.Doc.ID] = true, true
	}
	return nil
}

func checkWrite(r Route) error {
	if r.Method == http.MethodGet {
		if len(r.Kinds) > 0 || r.Exempt != nil || r.MaxBody > 0 {
			return fmt.Errorf("a GET writes nothing and has no body")
		}
		return nil
	}
	switch {
	case len(r.Kinds) == 0 && r.Exempt == nil:
		return fmt.Errorf("it maps to no kind and to no exemption")
	case len(r.Kinds) > 0 && r.Exempt != nil:
		return fmt.Errorf("it maps to kinds and to an exemption")
	case r.Exempt != nil && (r.Exempt.Name == "" || r.Exempt.Reason == ""):
		return fmt.Errorf("an exemption needs a name and a reason")
	case r.MaxBody <= 0:
		return fmt.Errorf("its body has no limit")
	}
	return nil
}

// templated turns gin's pattern into OpenAPI's.
func templated(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, ":") || strings.HasPrefix(p, "*") {
			parts[i] = "{" + p[1:] + "}"
		}
	}
	return strings.Join(parts, "/")
}
