package server

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
)

// openAPI builds the OpenAPI 3.1 document of the table. Its bytes depend on
// the table and version alone.
func openAPI(routes []Route, version string) ([]byte, error) {
	s := &schemas{byName: map[string]any{}}
	if _, err := s.of(reflect.TypeFor[Problem]()); err != nil {
		return nil, err
	}
	paths := map[string]any{}
	for _, r := range routes {
		operation, err := s.operation(r)
		if err != nil {
			return nil, err
		}
		path := templated(r.Path)
		item, known := paths[path].(map[string]any)
		if !known {
			item = map[string]any{}
			paths[path] = item
		}
		item[strings.ToLower(r.Method)] = operation
	}
	return json.Marshal(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{"title": "Affidavit", "version": version,
			"description": "Provenance-first MLOps governance: a model's life as signed attestations in an append-only log. " +
				"A write is authenticated by the signature of the statement in it.",
			"license": map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"paths":      paths,
		"components": map[string]any{"schemas": s.byName},
	})
}

func (s *schemas) operation(r Route) (map[string]any, error) {
	answer, err := s.content(r.Doc.Answer, r.Doc.Media)
	if err != nil {
		return nil, err
	}
	responses := map[string]any{"200": map[string]any{"description": "done", "content": answer}}
	for _, status := range append([]int{http.StatusInternalServerError}, r.Doc.Statuses...) {
		responses[strconv.Itoa(status)] = map[string]any{"description": http.StatusText(status),
			"content": s.failure(r)}
	}
	out := map[string]any{"operationId": r.Doc.ID, "tags": []string{r.Doc.Tag}, "summary": r.Doc.Summary,
		"responses": responses, "x-operation": r.Operation}
	if params := s.params(r); len(params) > 0 {
		out["parameters"] = params
	}
	if len(r.Kinds) > 0 {
		out["x-kinds"] = r.Kinds
	}
	if r.Exempt != nil {
		out["x-exemption"] = map[string]any{"name": r.Exempt.Name, "reason": r.Exempt.Reason}
	}
	if r.Doc.Body != nil {
		body, err := s.content(r.Doc.Body, "")
		if err != nil {
			return nil, err
		}
		out["requestBody"] = map[string]any{"required": true, "content": body}
	}
	return out, nil
}

// content describes a body: JSON of v's type, or a plain media type.
func (s *schemas) content(v any, media string) (map[string]any, error) {
	if v == nil {
		return map[string]any{media: map[string]any{"schema": map[string]any{}}}, nil
	}
	if media == "" {
		media = MediaJSON
	}
	schema, err := s.of(reflect.TypeOf(v))
	return map[string]any{media: map[string]any{"schema": schema}}, err
}

func (s *schemas) failure(r Route) map[string]any {
	switch {
	case r.Errors == nil:
		return map[string]any{MediaProblem: map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/Problem"}}}
	case r.Doc.Media != "":
		return map[string]any{r.Doc.Media: map[string]any{"schema": map[string]any{}}}
	}
	return map[string]any{MediaJSON: map[string]any{"schema": map[string]any{"type": "object",
		"properties": map[string]any{"error": map[string]any{"type": "string"}}, "required": []string{"error"}}}}
}

func (s *schemas) params(r Route) []any {
	var out []any
	for _, p := range r.Doc.Params {
		schema := map[string]any{"type": p.Type}
		if len(p.Enum) > 0 {
			schema["enum"] = p.Enum
		}
		out = append(out, map[string]any{"name": p.Name, "in": p.In, "required": p.In == "path",
			"description": p.Words, "schema": schema})
	}
	return out
}
