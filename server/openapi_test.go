package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"affidavit/attest"
	"affidavit/rbac"
	"affidavit/rbac/sod"
	"affidavit/server"
)

// TestEveryRouteIsDecided walks the engine itself, not the table: a route that
// somebody adds beside the table is found.
func TestEveryRouteIsDecided(t *testing.T) {
	w := newWorld(t)
	engine, ok := w.server.Handler().(*gin.Engine)
	if !ok {
		t.Fatal("the handler is no gin engine")
	}
	table := map[string]server.Route{}
	for _, r := range w.server.Routes() {
		table[r.Method+" "+r.Path] = r
	}
	known := append(rbac.Operations(), server.OpPublic, server.OpSubmit)
	writes := 0
	for _, r := range engine.Routes() {
		row, listed := table[r.Method+" "+r.Path]
		if !listed {
			t.Errorf("%s %s is served but not in the table", r.Method, r.Path)
			continue
		}
		if !slices.Contains(known, row.Operation) {
			t.Errorf("%s %s asks for %q, which nobody can hold", r.Method, r.Path, row.Operation)
		}
		if r.Method == http.MethodGet {
			continue
		}
		writes++
		if (len(row.Kinds) > 0) == (row.Exempt != nil) {
			t.Errorf("%s %s maps to kinds %v and exemption %v", r.Method, r.Path, row.Kinds, row.Exempt)
		}
		for _, k := range row.Kinds {
			if !attest.KnownKind(k) || k == attest.KindGenesis {
				t.Errorf("%s %s maps to kind %q", r.Method, r.Path, k)
			}
		}
	}
	if len(engine.Routes()) != len(table) || writes != 3 {
		t.Errorf("%d routes served, %d in the table, %d of them write", len(engine.Routes()), len(table), writes)
	}
}

// document fetches /openapi.json and a compiler that knows its components.
func document(t *testing.T, w *world) (map[string]any, *jsonschema.Compiler) {
	t.Helper()
	_, header, raw := w.get("/openapi.json")
	if header.Get("Content-Type") != "application/json" {
		t.Fatal(header)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("https://affidavit.test/openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any), c
}

func at(v any, path ...string) any {
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func pointer(parts ...string) string {
	r := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	out := "https://affidavit.test/openapi.json#"
	for _, p := range parts {
		out += "/" + r.Replace(p)
	}
	return out
}

func TestOpenAPIMatchesTheRoutes(t *testing.T) {
	w := newWorld(t)
	doc, compiler := document(t, w)
	if at(doc, "openapi") != "3.1.0" || at(doc, "info", "version") != "1.2.3" || at(doc, "info", "title") == "" {
		t.Errorf("%v %v", at(doc, "openapi"), at(doc, "info"))
	}
	var documented, served []string
	for path, item := range at(doc, "paths").(map[string]any) {
		for method := range item.(map[string]any) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	for _, r := range w.server.Handler().(*gin.Engine).Routes() {
		parts := strings.Split(r.Path, "/")
		var names []string
		for i, p := range parts {
			if p != "" && (p[0] == ':' || p[0] == '*') {
				parts[i] = "{" + p[1:] + "}"
				names = append(names, p[1:])
			}
		}
		path := strings.Join(parts, "/")
		served = append(served, r.Method+" "+path)
		checkOperation(t, doc, path, strings.ToLower(r.Method), names)
	}
	slices.Sort(documented)
	slices.Sort(served)
	if !slices.Equal(documented, served) {
		t.Errorf("documented %v\nserved %v", documented, served)
	}
	for name := range at(doc, "components", "schemas").(map[string]any) {
		if _, err := compiler.Compile(pointer("components", "schemas", name)); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
}

// checkOperation demands what OpenAPI 3.1 requires of an operation: the
// path's parameters declared, an id, described responses with content.
func checkOperation(t *testing.T, doc map[string]any, path, method string, names []string) {
	t.Helper()
	op := at(doc, "paths", path, method)
	if at(op, "operationId") == "" || at(op, "summary") == "" || at(op, "x-operation") == "" {
		t.Errorf("%s %s: %v", method, path, op)
	}
	params, _ := at(op, "parameters").([]any)
	var inPath []string
	for _, p := range params {
		if at(p, "in") == "path" {
			inPath = append(inPath, at(p, "name").(string))
			if at(p, "required") != true {
				t.Errorf("%s: %v is not required", path, at(p, "name"))
			}
		}
		if at(p, "schema", "type") == "" || at(p, "description") == "" {
			t.Errorf("%s: parameter %v", path, p)
		}
	}
	slices.Sort(inPath)
	slices.Sort(names)
	if !slices.Equal(inPath, names) {
		t.Errorf("%s: parameters %v, path has %v", path, inPath, names)
	}
	responses := at(op, "responses").(map[string]any)
	if len(responses) < 2 {
		t.Errorf("%s %s documents no failure", method, path)
	}
	for status, r := range responses {
		content, _ := at(r, "content").(map[string]any)
		if at(r, "description") == "" || len(content) == 0 {
			t.Errorf("%s %s: response %s: %v", method, path, status, r)
		}
		for media := range content {
			if !strings.Contains(media, "/") {
				t.Errorf("%s %s: media type %q", method, path, media)
			}
		}
	}
}

// TestResponsesFitTheirSchemas asks real addresses and validates the answers,
// good and bad, against the document.
func TestResponsesFitTheirSchemas(t *testing.T) {
	w := newWorld(t)
	w.openProject()
	w.enrol("emil", "Emil Engineer", sod.RoleEngineer)
	signed := w.signData("d", "emil", "emil")
	submission := string(attest.MarshalSubmission(signed))
	doc, compiler := document(t, w)
	for _, c := range []struct{ method, path, template, body, schema string }{
		{"POST", "/api/v1/attestations", "/api/v1/attestations", submission, ""},
		{"POST", "/api/v1/attestations", "/api/v1/attestations", "{}", ""},
		{"GET", "/healthz", "/healthz", "", ""},
		{"GET", "/readyz", "/readyz", "", ""},
		{"GET", "/version", "/version", "", ""},
		{"GET", "/api/v1/log/entries", "/api/v1/log/entries", "", ""},
		{"GET", "/api/v1/log/entries?limit=2", "/api/v1/log/entries", "", ""},
		{"GET", "/api/v1/log/entries?limit=x", "/api/v1/log/entries", "", ""},
		{"GET", "/api/v1/log/entries/0", "/api/v1/log/entries/{index}", "", ""},
		{"GET", "/api/v1/log/entries/4", "/api/v1/log/entries/{index}", "", ""},
		{"GET", "/api/v1/log/entries/99", "/api/v1/log/entries/{index}", "", ""},
		{"GET", "/api/v1/log/consistency?old=2", "/api/v1/log/consistency", "", ""},
		{"GET", "/api/v1/lineage/" + digestOf("d"), "/api/v1/lineage/{digest}", "", ""},
		{"GET", "/api/v1/lineage/" + signed.PAEHex() + "?direction=downstream", "/api/v1/lineage/{digest}", "", ""},
		{"GET", "/api/v1/lineage/nothing", "/api/v1/lineage/{digest}", "", ""},
		{"GET", "/trusted_root.json", "/trusted_root.json", "", ""},
		{"GET", "/v2", "/v2", "", ""},
		{"GET", "/v2/health/ready", "/v2/health/ready", "", ""},
		{"GET", "/v2/models/m", "/v2/models/{model}", "", ""},
	} {
		code, header, body := w.do(c.method, c.path, c.body, "Content-Type", "application/json")
		media := strings.Split(header.Get("Content-Type"), ";")[0]
		where := []string{"paths", c.template, strings.ToLower(c.method), "responses", fmt.Sprint(code), "content", media, "schema"}
		if at(doc, where...) == nil {
			t.Errorf("%s %s: %d %s is not documented", c.method, c.path, code, media)
			continue
		}
		schema, err := compiler.Compile(pointer(where...))
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s %s: %v\n%s", c.method, c.path, err, body)
		}
	}
	// The schemas are strict: a member that is not documented does not pass.
	schema, err := compiler.Compile(pointer("components", "schemas", "Receipt"))
	if err != nil {
		t.Fatal(err)
	}
	var receipt map[string]any
	_, _, body := w.do("POST", "/api/v1/attestations", submission, "Content-Type", "application/json")
	if err := json.Unmarshal(body, &receipt); err != nil {
		t.Fatal(err)
	}
	receipt["surprise"] = true
	if schema.Validate(receipt) == nil {
		t.Error("an undocumented member passes")
	}
	body2, err := compiler.Compile(pointer("components", "schemas", "Submission"))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(submission))
	if err != nil {
		t.Fatal(err)
	}
	if err := body2.Validate(value); err != nil {
		t.Errorf("what the client sends does not fit the documented body: %v", err)
	}
}
