package attest

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

type sample struct {
	Name  string            `json:"name"`
	Count int64             `json:"count"`
	Inner *inner            `json:"inner"`
	List  []inner           `json:"list"`
	Map   map[string]inner  `json:"map"`
	Raw   json.RawMessage   `json:"raw"`
	Words map[string]string `json:"words"`
	Embedded
	Self *sample `json:"self"`
}

// Embedded is exported so that encoding/json promotes its field.
type Embedded struct {
	Extra string `json:"extra"`
}

type inner struct {
	Value float64 `json:"value"`
}

func TestStrictUnmarshal(t *testing.T) {
	for name, text := range map[string]string{
		"all":          `{"name":"a","count":1,"inner":{"value":1.5},"list":[{"value":2}],"map":{"Any":{"value":3}},"raw":{"X":[1]},"words":{"a":"b"},"extra":"e"}`,
		"empty":        `{}`,
		"space":        " \t\r\n{ \"name\" : \"a\" , \"list\" : [ ] } \n",
		"escapes":      `{"name":"\"\\\/\b\f\n\r\té\ud83d\ude00"}`,
		"escaped name": `{"n\u0061me":"a"}`,
		"recursive":    `{"self":{"self":{"extra":"x"}}}`,
		"null":         `{"inner":null,"list":null}`,
		"big double":   `{"raw":1.7976931348623157e308}`,
		"2^53 - 1":     `{"raw":9007199254740991}`,
		"depth 64":     `{"raw":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`,
	} {
		var v sample
		if err := StrictUnmarshal([]byte(text), &v, 1<<16); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"nothing":                 ``,
		"space only":              ` `,
		"twice":                   `{"name":"a","name":"b"}`,
		"twice but for case":      `{"name":"a","Name":"b"}`,
		"twice, escaped":          `{"name":"a","n\u0061me":"b"}`,
		"twice in a map":          `{"words":{"a":"1","A":"2"}}`,
		"twice in raw":            `{"raw":{"a":{"b":1,"b":2}}}`,
		"twice, Kelvin sign":      `{"words":{"k":"1","\u212a":"2"}}`,
		"twice, long s":           `{"words":{"s":"1","ſ":"2"}}`,
		"other case":              `{"Name":"a"}`,
		"other case, nested":      `{"inner":{"VALUE":1}}`,
		"other case, in a list":   `{"list":[{"Value":1}]}`,
		"other case, in a map":    `{"map":{"x":{"Value":1}}}`,
		"other case, embedded":    `{"Extra":"e"}`,
		"unknown":                 `{"surprise":1}`,
		"unknown, recursive":      `{"self":{"self":{"surprise":1}}}`,
		"unknown, nested":         `{"inner":{"surprise":1}}`,
		"trailing value":          `{}{}`,
		"trailing word":           `{} x`,
		"depth 65":                `{"raw":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
		"not UTF-8":               "{\"name\":\"\xff\"}",
		"lone high surrogate":     `{"name":"\ud83d"}`,
		"lone low surrogate":      `{"name":"\ude00"}`,
		"two high surrogates":     `{"name":"\ud83d\ud83d"}`,
		"high surrogate, letter":  `{"name":"\ud83dx0000"}`,
		"surrogate in a name":     `{"words":{"\ud800":"x"}}`,
		"2^53":                    `{"raw":9007199254740992}`,
		"integer beyond 2^53":     `{"raw":9007199254740993123}`,
		"number out of range":     `{"raw":1e999}`,
		"leading zero":            `{"count":01}`,
		"plus":                    `{"count":+1}`,
		"lone minus":              `{"count":-}`,
		"NaN":                     `{"raw":NaN}`,
		"half a word":             `{"raw":tru}`,
		"longer word":             `{"raw":truex}`,
		"control character":       "{\"name\":\"a\nb\"}",
		"string without end":      `{"name":"a`,
		"backslash at end":        `{"name":"\`,
		"short escape":            `{"name":"\u12"}`,
		"bad escape":              `{"name":"\x41"}`,
		"trailing comma":          `{"name":"a",}`,
		"trailing comma in array": `{"list":[{"value":1},]}`,
		"missing colon":           `{"name" "a"}`,
		"missing comma":           `{"name":"a" "count":1}`,
		"name without quotes":     `{name:"a"}`,
		"comment":                 `{"name":"a"/* c */}`,
		"wrong type":              `{"name":1}`,
		"byte order mark":         "\ufeff{}",
	} {
		var v sample
		if err := StrictUnmarshal([]byte(text), &v, 1<<16); err == nil {
			t.Errorf("%s: accepted as %+v", name, v)
		}
	}
	if err := StrictUnmarshal([]byte(`{"name":"aaaa"}`), &sample{}, 10); err == nil {
		t.Error("size limit: accepted")
	}
	// Predicates that others defined may say more than we read; ours may not.
	if err := StrictUnmarshal([]byte(`{"buildDefinition":{"buildType":"x","more":1},"more":{}}`), &Provenance{}, 1000); err != nil {
		t.Errorf("foreign predicate: %v", err)
	}
	if err := StrictUnmarshal([]byte(`{"BuildDefinition":{}}`), &Provenance{}, 1000); err == nil {
		t.Error("foreign predicate in another case: accepted")
	}
	if err := StrictUnmarshal([]byte(`{"id":"x","name":"y","more":1}`), &Project{}, 1000); err == nil {
		t.Error("our predicate with a field more: accepted")
	}
}

func TestCanonicalJSON(t *testing.T) {
	got, err := CanonicalJSON(map[string]any{"b": 1.0, "a": "<\u20ac>", "\u20ac": []any{true, nil, 1e30, 0.002}, "1": math.Copysign(0, -1)})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"1":0,"a":"<€>","b":1,"€":[true,null,1e+30,0.002]}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, v := range map[string]any{
		"scalar": 1, "nil": nil, "channel": make(chan int), "NaN": map[string]any{"a": math.NaN()},
		"rounded integer": map[string]int64{"a": 1<<53 + 1}, "duplicate": json.RawMessage(`{"a":1,"a":2}`),
	} {
		if b, err := CanonicalJSON(v); err == nil {
			t.Errorf("%s: %s", name, b)
		}
	}
}
