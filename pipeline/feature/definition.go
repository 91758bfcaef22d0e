// Package feature turns columns of a table into model features as a declared, versioned feature set says.
//
// A Definition is what a person writes; Fit learns from training rows what the definition leaves open (means, spreads,
// categories) and gives a Fitted, which transforms any later rows the same way. Protected columns are carried for
// evaluation; Definition.Prohibited names those that are model inputs all the same, for a gate to refuse.
package feature

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Encoding says how a column becomes features.
type Encoding string

// The encodings. Standardise and Identity need a numeric column, Mapping and OneHot a categorical one.
const (
	Standardise Encoding = "standardise" // (x − mean) / sd of the training rows
	Identity    Encoding = "identity"    // x
	Mapping     Encoding = "mapping"     // a declared number per category
	OneHot      Encoding = "one_hot"     // one 0/1 feature per category
)

// MissingPolicy says what an empty numeric cell becomes.
type MissingPolicy string

// The policies for missing numbers.
const (
	MissingRefuse MissingPolicy = "refuse" // Fit and Transform fail (the default)
	MissingMean   MissingPolicy = "mean"   // the mean of the training rows
	MissingKeep   MissingPolicy = "keep"   // NaN, for models that handle it
)

const (
	maxDefinitionBytes = 1 << 20
	maxInputs          = 1024
	maxCategories      = 1000
	maxNameBytes       = 128
)

// Input is one raw column that the model reads.
type Input struct {
	Column     string             `json:"column" yaml:"column"`
	Encoding   Encoding           `json:"encoding" yaml:"encoding"`
	Missing    MissingPolicy      `json:"missing,omitempty" yaml:"missing,omitempty"`
	Mapping    map[string]float64 `json:"mapping,omitempty" yaml:"mapping,omitempty"`       // category → number; "" is a missing cell
	Default    *float64           `json:"default,omitempty" yaml:"default,omitempty"`       // mapping: the number for any other category
	Categories []string           `json:"categories,omitempty" yaml:"categories,omitempty"` // one_hot: learned, in text order, if empty
	DropFirst  bool               `json:"drop_first,omitempty" yaml:"drop_first,omitempty"` // one_hot: the first category has no feature
	Unseen     UnseenPolicy       `json:"unseen,omitempty" yaml:"unseen,omitempty"`         // one_hot
}

// UnseenPolicy says what a category that was not declared or learned becomes under one_hot.
type UnseenPolicy string

// The policies for unseen categories.
const (
	UnseenRefuse UnseenPolicy = "refuse" // Transform fails (the default)
	UnseenZero   UnseenPolicy = "zero"   // all its features are 0
)

// Label is the column that the model learns to predict.
type Label struct {
	Column   string `json:"column" yaml:"column"`
	Positive string `json:"positive" yaml:"positive"` // the value that counts as 1
	Negative string `json:"negative" yaml:"negative"` // the value that counts as 0; any other is refused
}

// Exclusion is a column that the model does not read, and why.
type Exclusion struct {
	Column string `json:"column" yaml:"column"`
	Reason string `json:"reason" yaml:"reason"`
}

// Definition is a feature set: what each column of the data is used for. Every column must be named exactly once, but a
// protected column may be an input too: that is a fact for the gate, which Prohibited reports.
type Definition struct {
	Name      string      `json:"name" yaml:"name"`
	Version   int         `json:"version" yaml:"version"`
	Label     Label       `json:"label" yaml:"label"`
	Inputs    []Input     `json:"inputs" yaml:"inputs"`
	Protected []string    `json:"protected,omitempty" yaml:"protected,omitempty"` // carried for evaluation only
	Excluded  []Exclusion `json:"excluded,omitempty" yaml:"excluded,omitempty"`
}

// ParseDefinition reads a definition from YAML (or JSON). Unknown and repeated keys are refused.
func ParseDefinition(data []byte) (*Definition, error) {
	if len(data) > maxDefinitionBytes {
		return nil, fmt.Errorf("feature set: %d bytes exceed the limit of %d", len(data), maxDefinitionBytes)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var d Definition
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("feature set: %w", err)
	}
	if err := dec.Decode(new(Definition)); !errors.Is(err, io.EOF) {
		return nil, errors.New("feature set: the file holds more than one document; keep one")
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return &d, nil
}

// Validate reports the first contradiction in the definition, naming field and remedy.
func (d *Definition) Validate() error {
	if err := checkName(d.Name); err != nil {
		return fmt.Errorf("feature set: name: %w", err)
	}
	if d.Version < 1 {
		return fmt.Errorf("feature set: version %d; count from 1", d.Version)
	}
	if len(d.Inputs) == 0 {
		return errors.New("feature set: inputs is empty; name at least one column")
	}
	if len(d.Inputs) > maxInputs {
		return fmt.Errorf("feature set: %d inputs exceed the limit of %d", len(d.Inputs), maxInputs)
	}
	if err := checkName(d.Label.Column); err != nil {
		return fmt.Errorf("feature set: label.column: %w", err)
	}
	if d.Label.Positive == "" || d.Label.Negative == "" || d.Label.Positive == d.Label.Negative {
		return errors.New("feature set: label: positive and negative must be two different values")
	}
	use := map[string]string{d.Label.Column: "label"}
	claim := func(column, as string) error {
		if err := checkName(column); err != nil {
			return fmt.Errorf("feature set: %s: %w", as, err)
		}
		if before, ok := use[column]; ok && (before != "input" || as != "protected") {
			return fmt.Errorf("feature set: column %q is %s and %s; keep one", column, before, as)
		}
		use[column] = as
		return nil
	}
	for i := range d.Inputs {
		in := &d.Inputs[i]
		if err := claim(in.Column, "input"); err != nil {
			return err
		}
		if err := in.validate(); err != nil {
			return fmt.Errorf("feature set: input %q: %w", in.Column, err)
		}
	}
	for _, column := range d.Protected {
		if err := claim(column, "protected"); err != nil {
			return err
		}
	}
	for _, e := range d.Excluded {
		if err := claim(e.Column, "excluded"); err != nil {
			return err
		}
		if strings.TrimSpace(e.Reason) == "" {
			return fmt.Errorf("feature set: excluded column %q has no reason; say why the model must not read it", e.Column)
		}
	}
	return nil
}

func (in *Input) validate() error {
	numeric := in.Encoding == Standardise || in.Encoding == Identity
	if !numeric && in.Encoding != Mapping && in.Encoding != OneHot {
		return fmt.Errorf("encoding %q is unknown; use standardise, identity, mapping or one_hot", in.Encoding)
	}
	switch in.Missing {
	case "", MissingRefuse, MissingMean, MissingKeep:
	default:
		return fmt.Errorf("missing %q is unknown; use refuse, mean or keep", in.Missing)
	}
	switch in.Unseen {
	case "", UnseenRefuse, UnseenZero:
	default:
		return fmt.Errorf("unseen %q is unknown; use refuse or zero", in.Unseen)
	}
	for _, field := range []struct {
		name    string
		set     bool
		applies bool
	}{
		{"missing", in.Missing != "", numeric},
		{"mapping", len(in.Mapping) > 0, in.Encoding == Mapping},
		{"default", in.Default != nil, in.Encoding == Mapping},
		{"categories", len(in.Categories) > 0, in.Encoding == OneHot},
		{"drop_first", in.DropFirst, in.Encoding == OneHot},
		{"unseen", in.Unseen != "", in.Encoding == OneHot},
	} {
		if field.set && !field.applies {
			return fmt.Errorf("%s does not apply to encoding %s; remove it", field.name, in.Encoding)
		}
	}
	if in.Encoding == Mapping && len(in.Mapping) == 0 {
		return errors.New("mapping is empty; give a number for each category, such as {no: 0, yes: 1}")
	}
	if len(in.Mapping) > maxCategories || len(in.Categories) > maxCategories {
		return fmt.Errorf("more than %d categories; group them first", maxCategories)
	}
	for _, key := range sortedKeys(in.Mapping) {
		if !finite32(in.Mapping[key]) {
			return fmt.Errorf("mapping of %q: %v is not a finite 32-bit number", key, in.Mapping[key])
		}
	}
	if in.Default != nil && !finite32(*in.Default) {
		return fmt.Errorf("default: %v is not a finite 32-bit number", *in.Default)
	}
	seen := make(map[string]bool)
	for _, c := range in.Categories {
		if seen[c] {
			return fmt.Errorf("category %q is listed twice", c)
		}
		seen[c] = true
	}
	return nil
}

// InputColumns returns the raw columns that the model reads, in order.
func (d *Definition) InputColumns() []string {
	columns := make([]string, len(d.Inputs))
	for i, in := range d.Inputs {
		columns[i] = in.Column
	}
	return columns
}

// Prohibited returns the protected columns that the definition uses as inputs, sorted; empty is what a gate wants.
func (d *Definition) Prohibited() []string { return Prohibited(d.InputColumns(), d.Protected) }

// Digest is the hex SHA-256 of the definition's JSON form: fields in declared order, mapping keys sorted.
func (d *Definition) Digest() string { return jsonDigest(d) }

// Prohibited returns, sorted and without repetition, the inputs whose column is protected. An input may be a raw column
// or a feature made from one ("race=white"); names are compared without regard to case and outer blanks, so that a
// renamed spelling does not slip through.
func Prohibited(inputs, protected []string) []string {
	banned := make(map[string]bool, len(protected))
	for _, p := range protected {
		banned[fold(p)] = true
	}
	var used []string
	for _, in := range inputs {
		column, _, _ := strings.Cut(in, "=")
		if banned[fold(in)] || banned[fold(column)] {
			used = append(used, in)
		}
	}
	slices.Sort(used)
	return slices.Compact(used)
}

func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty; give one")
	case len(name) > maxNameBytes:
		return fmt.Errorf("the name has %d bytes, more than %d", len(name), maxNameBytes)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("the name holds control characters or broken UTF-8")
	}
	return nil
}

// finite32 also refuses what overflows the 32-bit numbers of the exported graph.
func finite32(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(float64(float32(v)), 0)
}

func sortedKeys(m map[string]float64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// jsonDigest hashes values made of structs, slices, maps, texts and finite numbers, so that encoding cannot fail.
func jsonDigest(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("feature: value without a JSON form: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
