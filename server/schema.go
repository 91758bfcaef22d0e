package server

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// schemas turns Go types into JSON Schema 2020-12 under components/schemas,
// so that what is documented is what is encoded.
type schemas struct{ byName map[string]any }

// of returns the schema of t; a named struct becomes a component and a $ref.
func (s *schemas) of(t reflect.Type) (any, error) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}, nil
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{}, nil
	case reflect.TypeFor[[]byte]():
		return map[string]any{"type": "string", "contentEncoding": "base64"}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}, nil
	case reflect.Bool:
		return map[string]any{"type": "boolean"}, nil
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32:
		return map[string]any{"type": "integer"}, nil
	case reflect.Float64:
		return map[string]any{"type": "number"}, nil
	case reflect.Interface:
		return map[string]any{}, nil
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice, reflect.Array:
		items, err := s.of(t.Elem())
		return map[string]any{"type": "array", "items": items}, err
	case reflect.Map:
		values, err := s.of(t.Elem())
		return map[string]any{"type": "object", "additionalProperties": values}, err
	case reflect.Struct:
		return s.object(t)
	}
	return nil, fmt.Errorf("no schema for %s", t)
}

func (s *schemas) object(t reflect.Type) (any, error) {
	name := t.Name()
	ref := map[string]any{"$ref": "#/components/schemas/" + name}
	if _, done := s.byName[name]; done {
		return ref, nil
	}
	s.byName[name] = nil // a type that holds itself ends here
	properties, required := map[string]any{}, []string{}
	if err := s.fields(t, properties, &required); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.byName[name] = map[string]any{"type": "object", "properties": properties, "required": required,
		"additionalProperties": false}
	return ref, nil
}

func (s *schemas) fields(t reflect.Type, properties map[string]any, required *[]string) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			if err := s.fields(f.Type, properties, required); err != nil {
				return err
			}
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		schema, err := s.of(f.Type)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if words := f.Tag.Get("doc"); words != "" {
			schema = described(schema, words)
		}
		properties[name] = schema
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
	return nil
}

func described(schema any, words string) any {
	out := map[string]any{"description": words}
	if m, ok := schema.(map[string]any); ok {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}
