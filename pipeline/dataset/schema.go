package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Type is the kind of value that a column holds.
type Type string

// Role says what a column is for. A protected column is carried for evaluation and is not meant as a model input.
type Role string

// The types and roles that a schema may declare.
const (
	Numeric     Type = "numeric"
	Categorical Type = "categorical"

	RoleInput     Role = "input"
	RoleLabel     Role = "label"
	RoleProtected Role = "protected"
	RoleIgnored   Role = "ignored"
)

const (
	maxSchemaBytes = 1 << 20
	maxNameBytes   = 128
	maxFields      = 4096
	maxCategories  = 10_000
)

// Field declares one column: what it means and which values are allowed.
type Field struct {
	Name        string   `json:"name" yaml:"name"`
	Type        Type     `json:"type" yaml:"type"`
	Role        Role     `json:"role" yaml:"role"`
	Unit        string   `json:"unit,omitempty" yaml:"unit,omitempty"`
	Description string   `json:"description,omitempty" yaml:"description,omitempty"`
	Categories  []string `json:"categories,omitempty" yaml:"categories,omitempty"` // allowed values; empty allows any
	Min         *float64 `json:"min,omitempty" yaml:"min,omitempty"`               // inclusive
	Max         *float64 `json:"max,omitempty" yaml:"max,omitempty"`               // inclusive
	Nullable    bool     `json:"nullable,omitempty" yaml:"nullable,omitempty"`     // an empty cell is allowed
}

// Schema declares the columns of a table in their order.
type Schema struct {
	Fields []Field `json:"fields" yaml:"fields"`
}

// ParseSchema reads a schema from YAML (or JSON, which is a subset of it). Unknown and repeated keys are refused.
func ParseSchema(data []byte) (*Schema, error) {
	if len(data) > maxSchemaBytes {
		return nil, fmt.Errorf("schema: %d bytes exceed the limit of %d", len(data), maxSchemaBytes)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var s Schema
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if err := dec.Decode(new(Schema)); !errors.Is(err, io.EOF) {
		return nil, errors.New("schema: the file holds more than one document; keep one")
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &s, nil
}

// Validate reports the first contradiction in the schema itself, naming field and remedy.
func (s *Schema) Validate() error {
	if s == nil || len(s.Fields) == 0 {
		return errors.New("schema: fields is empty; declare at least one column")
	}
	if len(s.Fields) > maxFields {
		return fmt.Errorf("schema: %d fields exceed the limit of %d", len(s.Fields), maxFields)
	}
	seen := make(map[string]bool, len(s.Fields))
	label := ""
	for i, f := range s.Fields {
		if err := checkName(f.Name); err != nil {
			return fmt.Errorf("schema: fields[%d].name: %w", i, err)
		}
		if seen[f.Name] {
			return fmt.Errorf("schema: column %q is declared twice; keep one", f.Name)
		}
		seen[f.Name] = true
		if err := f.validate(); err != nil {
			return fmt.Errorf("schema: column %q: %w", f.Name, err)
		}
		if f.Role == RoleLabel {
			if label != "" {
				return fmt.Errorf("schema: both %q and %q have the role label; keep one", label, f.Name)
			}
			label = f.Name
		}
	}
	return nil
}

func (f *Field) validate() error {
	switch f.Role {
	case RoleInput, RoleLabel, RoleProtected, RoleIgnored:
	default:
		return fmt.Errorf("role %q is unknown; use input, label, protected or ignored", f.Role)
	}
	switch f.Type {
	case Numeric:
		if len(f.Categories) > 0 {
			return errors.New("categories are set on a numeric column; use min and max, or type categorical")
		}
		for _, bound := range []*float64{f.Min, f.Max} {
			if bound != nil && (math.IsNaN(*bound) || math.IsInf(*bound, 0)) {
				return errors.New("min and max must be finite numbers")
			}
		}
		if f.Min != nil && f.Max != nil && *f.Min > *f.Max {
			return fmt.Errorf("min %s is above max %s", formatNumber(*f.Min), formatNumber(*f.Max))
		}
	case Categorical:
		if f.Min != nil || f.Max != nil {
			return errors.New("min or max is set on a categorical column; use categories, or type numeric")
		}
		if f.Unit != "" {
			return errors.New("unit is set on a categorical column; remove it, or use type numeric")
		}
		return checkCategories(f.Categories)
	default:
		return fmt.Errorf("type %q is unknown; use numeric or categorical", f.Type)
	}
	return nil
}

func checkCategories(categories []string) error {
	if len(categories) > maxCategories {
		return fmt.Errorf("%d categories exceed the limit of %d", len(categories), maxCategories)
	}
	seen := make(map[string]bool, len(categories))
	for _, c := range categories {
		if c == "" {
			return errors.New("categories holds an empty text; set nullable: true instead")
		}
		if err := checkText(c); err != nil {
			return fmt.Errorf("category %q: %w", c, err)
		}
		if seen[c] {
			return fmt.Errorf("category %q is listed twice", c)
		}
		seen[c] = true
	}
	return nil
}

// Field returns the declaration of a column.
func (s *Schema) Field(name string) (Field, bool) {
	for _, f := range s.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// Names returns the columns that have the role, in schema order.
func (s *Schema) Names(role Role) []string {
	var names []string
	for _, f := range s.Fields {
		if f.Role == role {
			names = append(names, f.Name)
		}
	}
	return names
}

// Digest is the hex SHA-256 of the schema's JSON form. The order of fields and categories counts.
func (s *Schema) Digest() string {
	return jsonDigest(s)
}

// jsonDigest hashes a value that consists of structs, slices, texts and finite numbers only, so that encoding cannot fail.
func jsonDigest(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("dataset: value without a JSON form: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func checkName(name string) error {
	if name == "" {
		return errors.New("the name is empty; give the column a name")
	}
	if len(name) > maxNameBytes {
		return fmt.Errorf("the name has %d bytes, more than %d", len(name), maxNameBytes)
	}
	return checkText(name)
}

// checkText refuses what could make a cell read differently from what it holds: broken UTF-8, control characters,
// invisible direction marks, and blanks at either end.
func checkText(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("not valid UTF-8; save the file as UTF-8")
	}
	for _, r := range text {
		switch {
		case unicode.IsControl(r):
			return fmt.Errorf("control character U+%04X; remove it", r)
		case isBidiControl(r):
			return fmt.Errorf("text direction control U+%04X; remove it", r)
		case r == '\u2028' || r == '\u2029' || r == '\ufeff' || r == '\u200b':
			return fmt.Errorf("invisible character U+%04X; remove it", r)
		}
	}
	if text == "" {
		return nil
	}
	first, _ := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	if unicode.IsSpace(first) || unicode.IsSpace(last) {
		return errors.New("blank at the beginning or end; trim it")
	}
	return nil
}

func isBidiControl(r rune) bool {
	return r == '\u061c' || r == '\u200e' || r == '\u200f' ||
		(r >= '\u202a' && r <= '\u202e') || (r >= '\u2066' && r <= '\u2069')
}
