package attest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// example returns a value of a predicate type with every field set, fit for
// its schema.
func example(t reflect.Type, path string) reflect.Value {
	v := reflect.New(t).Elem()
	switch t {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(fixtureTime))
		return v
	case reflect.TypeFor[json.RawMessage]():
		v.Set(reflect.ValueOf(json.RawMessage(`{"k":[1,2.5,"x"]}`)))
		return v
	case reflect.TypeFor[[]byte]():
		v.SetBytes([]byte{1, 2, 3, 255})
		return v
	}
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(example(t.Elem(), path).Addr())
	case reflect.String:
		v.SetString(exampleString(path))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(0.25)
	case reflect.Slice:
		v.Set(reflect.Append(v, example(t.Elem(), path)))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(reflect.ValueOf("key"), example(t.Elem(), path))
	case reflect.Interface:
		v.Set(reflect.ValueOf("anything"))
	case reflect.Struct:
		for i := range t.NumField() {
			v.Field(i).Set(example(t.Field(i).Type, t.Name()+"."+t.Field(i).Name))
		}
	}
	return v
}

func exampleString(path string) string {
	c := constraints[path]
	if values, ok := c["enum"].([]string); ok {
		return values[0]
	}
	switch c["pattern"] {
	case hex64, hex64OrEmpty, "^[0-9a-f]+$":
		return digestOf(path)
	case "^[0-9a-f]{32}$":
		return nonceOf(path)
	}
	return "words"
}

// TestEveryKindRoundTrips makes a statement of every kind, full and with empty
// lists, and reads it back.
func TestEveryKindRoundTrips(t *testing.T) {
	for _, kind := range Kinds() {
		if _, ok := Schema(schemaName(kind)); !ok {
			t.Errorf("%s has no schema", kind)
			continue
		}
		typ := reflect.TypeOf(NewPredicate(kind)).Elem()
		predicate := example(typ, typ.Name()).Interface()
		st, err := NewStatement(fixtureStep(kind, kind), nil, predicate)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		payload, err := st.Payload()
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		got, step, err := ParseStatement(payload)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if step.Kind != kind || got.PredicateType != PredicateTypeOf(kind) {
			t.Errorf("%s: read as %s, %s", kind, step.Kind, got.PredicateType)
		}
		out := NewPredicate(kind)
		if err := StrictUnmarshal(got.Predicate, out, MaxPayload); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if back := reflect.ValueOf(out).Elem().Interface(); !reflect.DeepEqual(back, predicate) {
			t.Errorf("%s: read back as\n%+v\nwant\n%+v", kind, back, predicate)
		}
		if again, err := got.Payload(); err != nil || string(again) != string(payload) {
			t.Errorf("%s: a parsed statement has another payload (%v)", kind, err)
		}
		if !foreign(typ) {
			checkClosed(t, kind, st)
		}
	}
}

// checkClosed: a field more in a predicate of ours is refused.
func checkClosed(t *testing.T, kind string, st *Statement) {
	t.Helper()
	more := *st
	more.Predicate = json.RawMessage(strings.Replace(string(st.Predicate), "{", `{"aSurprise":1,`, 1))
	digest, err := PredicateDigest(more.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	more.Subject = append([]Subject(nil), st.Subject...)
	more.Subject[0].Digest = map[string]string{"sha256": digest}
	payload, err := more.Payload()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ParseStatement(payload); err == nil || !strings.Contains(err.Error(), "aSurprise") {
		t.Errorf("%s: a field more: %v", kind, err)
	}
}

func TestNewStatementFillsNilLists(t *testing.T) {
	st, err := NewStatement(fixtureStep(KindInventory, "x"), nil, InventoryEntry{Model: "m", Exposure: "low", RiskTier: "low"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(st.Predicate), `"limits":[]`) {
		t.Errorf("predicate %s", st.Predicate)
	}
	if _, err := NewStatement(fixtureStep(KindInventory, "x"), nil, &InventoryEntry{Model: "m", Exposure: "low", RiskTier: "low"}); err != nil {
		t.Errorf("a pointer: %v", err)
	}
}

func TestSaltsDiffer(t *testing.T) {
	a, b := dataStatement(t, "same"), dataStatement(t, "same")
	pa, _ := a.Payload()
	pb, _ := b.Payload()
	if string(pa) == string(pb) {
		t.Error("two statements of the same step are equal: the salt is missing")
	}
}

func TestNewStatementRefuses(t *testing.T) {
	good := Project{ID: "lending", Name: "Lending"}
	artefact := []Subject{{Name: "a", Digest: map[string]string{"sha256": digestOf("a")}}}
	edit := func(change func(*Step)) Step {
		s := fixtureStep(KindProject, "x", Relation{Type: RelUsed, Ref: Ref{Kind: ArtefactData, Digest: digestOf("a")}})
		change(&s)
		return s
	}
	same := edit(func(*Step) {})
	for name, try := range map[string]struct {
		step      Step
		subjects  []Subject
		predicate any
		want      string
	}{
		"unknown kind":       {edit(func(s *Step) { s.Kind = "x" }), nil, good, "kind"},
		"no nonce":           {edit(func(s *Step) { s.Nonce = "" }), nil, good, "nonce"},
		"upper-case nonce":   {edit(func(s *Step) { s.Nonce = strings.ToUpper(nonceOf("x")) }), nil, good, "nonce"},
		"no actor":           {edit(func(s *Step) { s.Actor = "" }), nil, good, "actor"},
		"long project":       {edit(func(s *Step) { s.Project = strings.Repeat("p", 2000) }), nil, good, "project"},
		"no time":            {edit(func(s *Step) { s.Claimed = time.Time{} }), nil, good, "claimed"},
		"negative size":      {edit(func(s *Step) { s.NotBefore.Size = -1 }), nil, good, "notBefore"},
		"root of nothing":    {edit(func(s *Step) { s.NotBefore.Root = digestOf("r") }), nil, good, "notBefore"},
		"size without root":  {edit(func(s *Step) { s.NotBefore.Size = 3 }), nil, good, "notBefore"},
		"unknown relation":   {edit(func(s *Step) { s.Relations[0].Type = "liked" }), nil, good, "relations[0].type"},
		"unknown artefact":   {edit(func(s *Step) { s.Relations[0].Kind = "thing" }), nil, good, "relations[0].kind"},
		"short digest":       {edit(func(s *Step) { s.Relations[0].Digest = "abc" }), nil, good, "relations[0].digest"},
		"too many relations": {edit(func(s *Step) { s.Relations = make([]Relation, maxRelations+1) }), nil, good, "relations"},
		"unrelated subject":  {edit(func(s *Step) { s.Relations = nil }), artefact, good, "relations"},
		"subject by SHA-1":   {same, []Subject{{Name: "a", Digest: map[string]string{"sha1": digestOf("a")[:40]}}}, good, "sha256"},
		"upper-case digest":  {same, []Subject{{Name: "a", Digest: map[string]string{"sha256": strings.ToUpper(digestOf("a"))}}}, good, "sha256"},
		"false predicate":    {same, []Subject{{Name: ArtefactPredicate, Digest: map[string]string{"sha256": digestOf("a")}}}, good, "canonical"},
		"own salt":           {same, []Subject{{Name: "a", Digest: artefact[0].Digest, Annotations: map[string]any{SaltAnnotation: "x"}}}, good, "annotation"},
		"too many subjects":  {same, make([]Subject, maxSubjects+1), good, "subject"},
		"no predicate":       {same, nil, nil, "predicate"},
		"wrong predicate":    {same, nil, Decision{}, "predicate"},
		"empty field":        {same, nil, Project{Name: "x"}, "id"},
		"scalar predicate":   {same, nil, json.RawMessage(`1`), "canonical"},
		"huge predicate":     {same, nil, Project{ID: "x", Name: strings.Repeat("x", MaxPayload)}, "bytes"},
	} {
		_, err := NewStatement(try.step, try.subjects, try.predicate)
		if err == nil || !strings.Contains(err.Error(), try.want) {
			t.Errorf("%s: got %v, want an error that names %q", name, err, try.want)
		}
	}
}

func TestParseStatementRefuses(t *testing.T) {
	payload, err := dataStatement(t, "x").Payload()
	if err != nil {
		t.Fatal(err)
	}
	text := string(payload)
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("the payload has no %s", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for name, bad := range map[string]string{
		"statement type":      replace("in-toto.io/Statement/v1", "in-toto.io/Statement/v0.1"),
		"predicate type":      replace("attestation/data-version/v1", "attestation/decision/v1"),
		"kind":                replace(`"kind":"data-version"`, `"kind":"decision"`),
		"no salt":             replace(SaltAnnotation, "affidavit.dev/pepper"),
		"no step":             replace(StepAnnotation, "affidavit.dev/stop"),
		"step with more":      replace(`"actor":`, `"more":1,"actor":`),
		"step in other case":  replace(`"actor":`, `"Actor":`),
		"duplicate":           replace(`"predicateType":`, `"_type":"x","predicateType":`),
		"folded duplicate":    replace(`"predicateType":`, `"Predicate":{},"predicateType":`),
		"predicate a list":    replace(`"predicate":{`, `"predicate":[],"x":{`),
		"time zone":           replace(`10:00:00.123456Z`, `11:00:00.123456+01:00`),
		"enum":                replace(`"type":"numeric"`, `"type":"number"`),
		"number as text":      replace(`"rows":3`, `"rows":"3"`),
		"negative":            replace(`"rows":3`, `"rows":-3`),
		"predicate plus more": replace(`"rows":3`, `"more":1,"rows":3`),
		"trailing":            text + " {}",
		"envelope":            `{"payload":""}`,
		"empty":               "",
	} {
		if _, _, err := ParseStatement([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, _, err := ParseStatement(payload); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	if _, _, err := ParseStatement([]byte(" " + replace(`"rows":3`, `"rows": 3`))); err != nil {
		t.Errorf("a payload in another layout: %v", err)
	}
}

// TestSchemaWords: a refusal names the place.
func TestSchemaWords(t *testing.T) {
	err := validatePredicate(KindDataVersion, json.RawMessage(`{"columns":[{"missing":0,"name":"a","role":"input","type":"text"}],"digest":"`+
		digestOf("d")+`","licence":"","mediaType":"","name":"n","origin":"","rowDigest":"`+digestOf("r")+`","rows":1,"version":"1"}`))
	if err == nil || !strings.Contains(err.Error(), "/columns/0/type") {
		t.Errorf("got %v", err)
	}
	if err := validatePredicate("nonsense", json.RawMessage(`{}`)); err == nil {
		t.Error("an unknown kind: accepted")
	}
	if _, ok := Schema("../schema"); ok {
		t.Error("a schema outside the folder")
	}
	if _, ok := Schema("nonsense"); ok {
		t.Error("a schema of nothing")
	}
}

func FuzzParseStatement(f *testing.F) {
	for _, nonce := range []string{"a", "b"} {
		payload, err := dataStatement(f, nonce).Payload()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{}],"predicate":{}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		st, step, err := ParseStatement(payload)
		if err != nil {
			return
		}
		again, err := st.Payload()
		if err != nil {
			t.Fatalf("no payload: %v", err)
		}
		_, step2, err := ParseStatement(again)
		if err != nil || fmt.Sprint(step) != fmt.Sprint(step2) {
			t.Errorf("reads differently the second time: %v", err)
		}
	})
}
