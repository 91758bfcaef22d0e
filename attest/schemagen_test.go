package attest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite attest/schemas from the Go structs")

const (
	hex64        = "^[0-9a-f]{64}$"
	hex64OrEmpty = "^([0-9a-f]{64})?$"
	base64Form   = "^[A-Za-z0-9+/]*={0,2}$"
)

// constraints adds to a field's schema what its Go type does not say. Keys
// are Type.Field.
var constraints = map[string]map[string]any{
	"EntryRef.Index":             {"minimum": 0},
	"EntryRef.PAE":               {"pattern": hex64OrEmpty},
	"Genesis.Origin":             {"minLength": 3},
	"Enrolment.Actor":            {"minLength": 1},
	"Enrolment.KeyID":            {"pattern": hex64OrEmpty},
	"KeyEvent.Action":            {"enum": []string{ActionEnrol, ActionRevoke}},
	"ServiceAccount.Account":     {"minLength": 1},
	"ServiceAccount.Owner":       {"minLength": 1},
	"RoleGrant.Action":           {"enum": []string{ActionGrant, ActionRevoke}},
	"RoleGrant.Actor":            {"minLength": 1},
	"RoleGrant.Role":             {"minLength": 1},
	"Project.ID":                 {"minLength": 1},
	"PolicyPublication.Name":     {"minLength": 1},
	"PolicyPublication.Digest":   {"pattern": hex64},
	"InventoryEntry.Model":       {"minLength": 1},
	"InventoryEntry.Exposure":    {"enum": []string{"low", "medium", "high"}},
	"InventoryEntry.RiskTier":    {"enum": []string{"high", "medium", "low"}},
	"PipelineConfiguration.Name": {"minLength": 1},
	"PipelineConfiguration.Type": {"enum": []string{"training", "trigger"}},
	"Column.Name":                {"minLength": 1},
	"Column.Type":                {"enum": []string{"numeric", "categorical"}},
	"Column.Role":                {"enum": []string{"input", "label", "protected", "ignored"}},
	"Column.Missing":             {"minimum": 0},
	"DataVersion.Name":           {"minLength": 1},
	"DataVersion.Digest":         {"pattern": hex64},
	"DataVersion.RowDigest":      {"pattern": hex64},
	"DataVersion.Rows":           {"minimum": 0},
	"FeatureSet.Name":            {"minLength": 1},
	"FeatureSet.Digest":          {"pattern": hex64},
	"TestResult.Result":          {"enum": []string{ResultPassed, ResultWarned, ResultFailed}},
	"OMSResource.Name":           {"minLength": 1},
	"OMSResource.Digest":         {"pattern": "^[0-9a-f]+$"},
	"Registration.Model":         {"minLength": 1},
	"Registration.Version":       {"minLength": 1},
	"Registration.Root":          {"pattern": hex64},
	"Registration.Artefact":      {"pattern": hex64},
	"Registration.Format":        {"enum": []string{"onnx"}},
	"Binding.Model":              {"minLength": 1},
	"Binding.Version":            {"minLength": 1},
	"Binding.Artefact":           {"pattern": hex64},
	"Binding.Stage":              {"minLength": 1},
	"Binding.PolicyDigest":       {"pattern": hex64},
	"Binding.EvidenceDigest":     {"pattern": hex64},
	"Binding.RequestNonce":       {"pattern": "^[0-9a-f]{32}$"},
	"Decision.Role":              {"minLength": 1},
	"Decision.Outcome":           {"enum": []string{OutcomeApproved, OutcomeConditional, OutcomeRejected}},
	"VSA.VerificationResult":     {"enum": []string{ResultPassed, ResultFailed}},
	"Condition.Name":             {"minLength": 1},
	"Deployment.Endpoint":        {"minLength": 1},
	"Deployment.Action":          {"enum": []string{"deploy", "promote", "retire"}},
	"Deployment.Role":            {"enum": []string{ServeChampion, ServeChallenger}},
	"Deployment.Weight":          {"minimum": 0, "maximum": 1},
	"Deployment.Root":            {"pattern": hex64OrEmpty},
	"Deployment.Artefact":        {"pattern": hex64OrEmpty},
	"Segment.Endpoint":           {"minLength": 1},
	"Segment.Sequence":           {"minimum": 0},
	"Segment.Count":              {"minimum": 0},
	"Segment.Positive":           {"minimum": 0},
	"Segment.Root":               {"pattern": hex64},
	"Segment.Digest":             {"pattern": hex64},
	"Outcomes.Endpoint":          {"minLength": 1},
	"Outcomes.Count":             {"minimum": 0},
	"Outcomes.Digest":            {"pattern": hex64},
	"Window.Endpoint":            {"minLength": 1},
	"Window.Sequence":            {"minimum": 0},
	"Window.Count":               {"minimum": 0},
	"Window.Status":              {"enum": []string{"ok", "watch", "alert"}},
	"Window.Digest":              {"pattern": hex64},
	"Alert.Endpoint":             {"minLength": 1},
	"Alert.Kind":                 {"enum": []string{"drift", "performance"}},
	"RetrainTrigger.Pipeline":    {"pattern": hex64},
	"RetrainTrigger.Trigger":     {"pattern": hex64},
	"CanaryVerdict.Endpoint":     {"minLength": 1},
	"CanaryVerdict.Verdict":      {"enum": []string{"promote", "rollback", "inconclusive"}},
	"CanaryVerdict.Requests":     {"minimum": 0},
	"Document.Name":              {"minLength": 1},
	"Document.Kind":              {"minLength": 1},
	"Document.Size":              {"minimum": 0},
	"Document.Digest":            {"pattern": hex64},
	"Document.AsOf":              {"minimum": 0},
	"ProjectState.Size":          {"minimum": 0},
	"ProjectState.Count":         {"minimum": 0},
	"ProjectState.Root":          {"pattern": hex64},
	"Export.TreeSize":            {"minimum": 0},
	"Export.Root":                {"pattern": hex64},
	"Export.Manifest":            {"pattern": hex64},
	"Abandoned.Intent":           {"pattern": "^[0-9a-f]{32}$"},
	"Abandoned.Kind":             {"minLength": 1},
	"Abandoned.Reason":           {"enum": []string{"expired", "shutdown", "failed"}},
	"Erasure.Reason":             {"minLength": 1},
	"Erasure.Entries":            {"minItems": 1},
}

// rawObjects are the json.RawMessage fields that may hold anything, null too.
var rawFields = map[string]bool{"DataVersion.Profile": true, "FeatureSet.Split": true, "TestResult.Details": true}

// schemaFor writes the schema of a Go type. Structs of ours are closed.
func schemaFor(t reflect.Type, open bool) map[string]any {
	switch t {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{"type": "object"}
	case reflect.TypeFor[[]byte]():
		return map[string]any{"type": "string", "pattern": base64Form}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaFor(t.Elem(), open)
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Interface:
		return map[string]any{}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaFor(t.Elem(), open)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaFor(t.Elem(), open)}
	case reflect.Struct:
		properties := map[string]any{}
		required := []string{}
		structSchema(t, open, properties, &required)
		slices.Sort(required)
		out := map[string]any{"type": "object", "properties": properties, "required": required}
		if !open {
			out["additionalProperties"] = false
		}
		return out
	}
	panic("no schema for " + t.String())
}

func structSchema(t reflect.Type, open bool, properties map[string]any, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			structSchema(f.Type, open, properties, required)
			continue
		}
		key := t.Name() + "." + f.Name
		s := schemaFor(f.Type, open)
		if rawFields[key] {
			s = map[string]any{}
		}
		for k, v := range constraints[key] {
			s[k] = v
		}
		properties[name] = s
		if !strings.Contains(options, "omitempty") {
			*required = append(*required, name)
		}
	}
}

func schemaDocument(kind string) []byte {
	name := schemaName(kind)
	typ := reflect.TypeOf(NewPredicate(kind)).Elem()
	doc := schemaFor(typ, foreign(typ))
	doc["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	doc["$id"] = "https://affidavit.dev/predicates/" + name + "/v1"
	doc["title"] = "Predicate " + PredicateTypeOf(kind)
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

// TestSchemasFollowStructs keeps the committed schemas equal to the structs.
func TestSchemasFollowStructs(t *testing.T) {
	want := map[string][]byte{}
	for _, kind := range Kinds() {
		want[schemaName(kind)] = schemaDocument(kind)
	}
	if *update {
		old, _ := filepath.Glob("schemas/*.json")
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		for name, b := range want {
			if err := os.WriteFile("schemas/"+name+".v1.json", b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Skip("schemas rewritten; run again without -update")
	}
	for name, b := range want {
		if got, ok := Schema(name); !ok || !bytes.Equal(got, b) {
			t.Errorf("schemas/%s.v1.json does not follow its struct; run go test ./attest -run SchemasFollow -update", name)
		}
	}
	if len(SchemaNames()) != len(want) {
		t.Errorf("schemas holds %d files, %d are known", len(SchemaNames()), len(want))
	}
}

// TestConstraintsNameFields catches a constraint whose field was renamed.
func TestConstraintsNameFields(t *testing.T) {
	fields := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				fields[typ.Name()+"."+typ.Field(i).Name] = true
				if typ != reflect.TypeFor[time.Time]() {
					walk(typ.Field(i).Type)
				}
			}
		}
	}
	for _, kind := range Kinds() {
		walk(reflect.TypeOf(NewPredicate(kind)))
	}
	for key := range constraints {
		if !fields[key] {
			t.Errorf("constraint on %s, which is no field", key)
		}
	}
	for key := range rawFields {
		if !fields[key] {
			t.Errorf("rawFields names %s, which is no field", key)
		}
	}
}
