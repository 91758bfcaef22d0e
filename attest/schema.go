package attest

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schemas/*.json
var schemaFiles embed.FS

// schemaName is the schema of a kind: its own, or that of the predicate type
// that others defined.
func schemaName(kind string) string {
	switch PredicateTypeOf(kind) {
	case TypeSLSAProvenance:
		return "slsa-provenance"
	case TypeTestResult:
		return "test-result"
	case TypeVSA:
		return "verification-summary"
	case TypeOMS:
		return "model-signing"
	}
	return kind
}

// Schema returns the JSON Schema (draft 2020-12) of a predicate by name: a
// kind for predicates of ours, or slsa-provenance, test-result,
// verification-summary, model-signing.
func Schema(name string) ([]byte, bool) {
	if strings.ContainsAny(name, "/\\") {
		return nil, false
	}
	b, err := schemaFiles.ReadFile("schemas/" + name + ".v1.json")
	return b, err == nil
}

// SchemaNames lists the names that Schema knows, sorted.
func SchemaNames() []string {
	entries, err := schemaFiles.ReadDir("schemas")
	if err != nil {
		return nil // the directory is embedded
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".v1.json"))
	}
	slices.Sort(names)
	return names
}

// compiledSchemas compiles each embedded schema once, when first needed.
var compiledSchemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	urls := map[string]string{}
	for _, name := range SchemaNames() {
		b, _ := Schema(name)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		urls[name] = "https://affidavit.dev/predicates/" + name + "/v1"
		if err := c.AddResource(urls[name], doc); err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
	}
	out := map[string]*jsonschema.Schema{}
	for name, url := range urls {
		s, err := c.Compile(url)
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		out[name] = s
	}
	return out, nil
})

// validatePredicate checks a predicate against the schema of its kind.
func validatePredicate(kind string, predicate json.RawMessage) error {
	schemas, err := compiledSchemas()
	if err != nil {
		return err
	}
	s, ok := schemas[schemaName(kind)]
	if !ok {
		return fmt.Errorf("predicate: there is no schema for kind %q", kind)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(predicate))
	if err != nil {
		return fmt.Errorf("predicate: %w", err)
	}
	var invalid *jsonschema.ValidationError
	if err := s.Validate(v); errors.As(err, &invalid) {
		return fmt.Errorf("predicate of a %s: %s", kind, firstCause(invalid))
	} else if err != nil {
		return fmt.Errorf("predicate of a %s: %w", kind, err)
	}
	return nil
}

// firstCause names the deepest first failure: its place and what is wrong.
func firstCause(e *jsonschema.ValidationError) string {
	for len(e.Causes) > 0 {
		e = e.Causes[0]
	}
	line := e.Error()
	if i := strings.LastIndexByte(line, '\n'); i >= 0 {
		line = line[i+1:]
	}
	return strings.TrimPrefix(strings.TrimSpace(line), "- ")
}
