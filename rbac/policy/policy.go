package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

// Limits of a policy's text.
const (
	MaxBytes        = 64 << 10
	maxStages       = 16
	maxRequirements = 64
	maxAttributes   = 256
	maxCondition    = 4096 // bytes of one CEL expression
	maxWords        = 1000 // runes of one text for people
	maxApprovals    = 20   // people of one role
	maxYAMLDepth    = 16
)

// Policy is a parsed policy. It is immutable and safe for concurrent use.
type Policy struct {
	Name    string   `yaml:"name"`
	Version string   `yaml:"version"`
	Title   string   `yaml:"title"`
	Tiers   []string `yaml:"tiers"` // risk tiers it covers: high, medium, low
	// AcceptUnknown waives the rule that the maker of everything upstream is
	// known, for kinds of artefacts kept elsewhere.
	AcceptUnknown []Waiver          `yaml:"acceptUnknown"`
	Stages        map[string]*Stage `yaml:"stages"`

	digest string
}

// Waiver accepts artefacts of a kind without a known maker.
type Waiver struct {
	Kind   string `yaml:"kind"`
	Reason string `yaml:"reason"`
}

// Stage says what a version needs to enter a stage.
type Stage struct {
	Evidence        []*Requirement `yaml:"evidence"`
	OwnerAcceptance bool           `yaml:"ownerAcceptance"`
	Approvals       []Approval     `yaml:"approvals"`
	// ApprovalExpiry bounds how long a decision counts and how far ahead a
	// request may set its own expiry.
	ApprovalExpiry Duration    `yaml:"approvalExpiry"`
	Prohibited     *Prohibited `yaml:"prohibited"`
}

// Requirement asks for one entry of the request's frozen evidence.
type Requirement struct {
	Name string `yaml:"name"`
	// Kind is an attestation kind (attest.Kind…).
	Kind string `yaml:"kind"`
	// About is "version" (default: the entry must judge or have made this very
	// version or its served file) or "lineage" (or anything upstream of it).
	About string `yaml:"about"`
	// Condition is a CEL expression of type bool over predicate, entry and
	// step; empty: the entry's presence is enough.
	Condition string   `yaml:"condition"`
	MaxAge    Duration `yaml:"maxAge"` // 0: any
	// Role, if set, must be held by the signer when the entry was logged.
	Role string `yaml:"role"`
	// Independent asks that nobody behind the entry is a contributor.
	Independent bool `yaml:"independent"`
	// Words say what is asked, Remedy how to meet it.
	Words  string `yaml:"words"`
	Remedy string `yaml:"remedy"`

	condition *condition
}

// Values of Requirement.About.
const (
	AboutVersion = "version"
	AboutLineage = "lineage"
)

// Approval asks for decisions by Count distinct people in a role.
type Approval struct {
	Role  string `yaml:"role"`
	Count int    `yaml:"count"`
}

// Prohibited lists attributes that may not be inputs of the model.
type Prohibited struct {
	Attributes []string `yaml:"attributes"`
	// Inventory adds the protected attributes of the model's inventory entry.
	Inventory bool `yaml:"inventory"`
}

// Duration is written as a whole number of days or hours: 365d, 36h.
type Duration time.Duration

// UnmarshalYAML reads the form that Duration documents.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v := n.Value
	if n.Kind != yaml.ScalarNode || len(v) < 2 {
		return fmt.Errorf("line %d: duration %q: write a whole number of days or hours, like 365d or 36h", n.Line, v)
	}
	unit := map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour}[v[len(v)-1]]
	k, err := strconv.ParseUint(v[:len(v)-1], 10, 31)
	if err != nil || unit == 0 || k == 0 || time.Duration(k) > 100*365*24*time.Hour/unit {
		return fmt.Errorf("line %d: duration %q: write a whole number of days or hours from 1 to 100 years, like 365d or 36h", n.Line, v)
	}
	*d = Duration(time.Duration(k) * unit)
	return nil
}

func (d Duration) words() string {
	day := 24 * time.Hour
	if t := time.Duration(d); t%day == 0 {
		return plural(int(t/day), "day")
	}
	return plural(int(time.Duration(d)/time.Hour), "hour")
}

// Digest is the hex SHA-256 of the YAML bytes.
func (p *Policy) Digest() string { return p.digest }

// Parse reads a policy. It refuses unknown fields, duplicate keys, anchors,
// aliases and tags, more than one document, and conditions that do not
// type-check; the error names the field.
func Parse(text []byte) (*Policy, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("policy has %d bytes; at most %d are allowed", len(text), MaxBytes)
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("policy is empty")
		}
		return nil, fmt.Errorf("policy is not YAML: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("policy must be one YAML document")
	}
	if err := plain(&doc, 0); err != nil {
		return nil, err
	}
	p := &Policy{}
	dec = yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	p.digest = hex.EncodeToString(sum[:])
	return p, nil
}

// plain refuses what makes YAML mean something other than it shows.
func plain(n *yaml.Node, depth int) error {
	switch {
	case depth > maxYAMLDepth:
		return fmt.Errorf("line %d: policy is nested deeper than %d", n.Line, maxYAMLDepth)
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return fmt.Errorf("line %d: anchors and aliases are not allowed; write the value out", n.Line)
	case n.Tag == "!!merge" || n.Style&yaml.TaggedStyle != 0:
		return fmt.Errorf("line %d: tags and merge keys are not allowed", n.Line)
	}
	for _, c := range n.Content {
		if err := plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

func checkName(field, s string) error {
	if !nameForm.MatchString(s) {
		return fmt.Errorf("%s %q: use 1 to 64 lower-case letters, digits and hyphens", field, s)
	}
	return nil
}

func checkText(field, s string, required bool) error {
	switch {
	case required && strings.TrimSpace(s) == "":
		return fmt.Errorf("%s must not be empty", field)
	case len([]rune(s)) > maxWords:
		return fmt.Errorf("%s is longer than %d characters", field, maxWords)
	}
	for _, r := range s {
		if r != '\n' && !strconv.IsPrint(r) {
			return fmt.Errorf("%s holds a character that cannot be printed (%U)", field, r)
		}
	}
	return nil
}

func (p *Policy) check() error {
	if err := checkName("name", p.Name); err != nil {
		return err
	}
	if p.Version == "" || len(p.Version) > 32 || checkText("version", p.Version, true) != nil {
		return fmt.Errorf("version %q: use 1 to 32 printable characters", p.Version)
	}
	if err := checkText("title", p.Title, true); err != nil {
		return err
	}
	if len(p.Tiers) == 0 {
		return errors.New("tiers must name at least one of high, medium, low")
	}
	seen := map[string]bool{}
	for _, t := range p.Tiers {
		if (t != "high" && t != "medium" && t != "low") || seen[t] {
			return fmt.Errorf("tiers: %q is not one of high, medium, low, each once", t)
		}
		seen[t] = true
	}
	for i, w := range p.AcceptUnknown {
		field := fmt.Sprintf("acceptUnknown[%d]", i)
		if err := checkName(field+".kind", w.Kind); err != nil {
			return err
		}
		if w.Kind == attest.ArtefactEntry {
			return fmt.Errorf("%s.kind: entries of the log are never waived", field)
		}
		if err := checkText(field+".reason", w.Reason, true); err != nil {
			return err
		}
	}
	if len(p.Stages) == 0 || len(p.Stages) > maxStages {
		return fmt.Errorf("stages must have 1 to %d entries", maxStages)
	}
	names := make([]string, 0, len(p.Stages))
	for name := range p.Stages {
		names = append(names, name)
	}
	sort.Strings(names)
	compiler, err := newCompiler()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := checkName("stage", name); err != nil {
			return err
		}
		if err := p.Stages[name].check("stages."+name, compiler); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stage) check(field string, c *compiler) error {
	if s == nil {
		return fmt.Errorf("%s is empty; list approvals and evidence", field)
	}
	if len(s.Approvals) == 0 {
		return fmt.Errorf("%s.approvals must ask for at least one second-line approval", field)
	}
	seen := map[string]bool{}
	for i, a := range s.Approvals {
		at := fmt.Sprintf("%s.approvals[%d]", field, i)
		if a.Role != sod.RoleValidator && a.Role != sod.RoleRiskOfficer {
			return fmt.Errorf("%s.role %q: only %s and %s give second-line approvals (for the first line set ownerAcceptance)",
				at, a.Role, sod.RoleValidator, sod.RoleRiskOfficer)
		}
		if seen[a.Role] {
			return fmt.Errorf("%s.role %s appears twice; raise its count", at, a.Role)
		}
		seen[a.Role] = true
		if a.Count < 1 || a.Count > maxApprovals {
			return fmt.Errorf("%s.count %d: use 1 to %d", at, a.Count, maxApprovals)
		}
	}
	if s.ApprovalExpiry == 0 {
		return fmt.Errorf("%s.approvalExpiry is missing; write how long an approval counts, like 365d", field)
	}
	if p := s.Prohibited; p != nil {
		if len(p.Attributes) > maxAttributes || len(p.Attributes) == 0 && !p.Inventory {
			return fmt.Errorf("%s.prohibited: list 1 to %d attributes, or set inventory", field, maxAttributes)
		}
		for i, a := range p.Attributes {
			if err := checkText(fmt.Sprintf("%s.prohibited.attributes[%d]", field, i), a, true); err != nil {
				return err
			}
		}
	}
	if len(s.Evidence) > maxRequirements {
		return fmt.Errorf("%s.evidence has more than %d entries", field, maxRequirements)
	}
	seen = map[string]bool{}
	for i, r := range s.Evidence {
		at := fmt.Sprintf("%s.evidence[%d]", field, i)
		if r == nil {
			return fmt.Errorf("%s is empty", at)
		}
		if seen[r.Name] {
			return fmt.Errorf("%s.name %s appears twice", at, r.Name)
		}
		seen[r.Name] = true
		if err := r.check(at, c); err != nil {
			return err
		}
	}
	return nil
}

func (r *Requirement) check(field string, c *compiler) error {
	if err := checkName(field+".name", r.Name); err != nil {
		return err
	}
	if err := checkName(field+".kind", r.Kind); err != nil {
		return err
	}
	if r.About == "" {
		r.About = AboutVersion
	}
	if r.About != AboutVersion && r.About != AboutLineage {
		return fmt.Errorf("%s.about %q: use %s or %s", field, r.About, AboutVersion, AboutLineage)
	}
	if r.Role != "" && !sod.IsRole(r.Role) {
		return fmt.Errorf("%s.role %q does not exist; use one of %s", field, r.Role, strings.Join(sod.Roles(), ", "))
	}
	if err := checkText(field+".words", r.Words, true); err != nil {
		return err
	}
	if err := checkText(field+".remedy", r.Remedy, true); err != nil {
		return err
	}
	if r.Condition == "" {
		return nil
	}
	var err error
	if r.condition, err = c.compile(r.Condition); err != nil {
		return fmt.Errorf("%s.condition: %w", field, err)
	}
	return nil
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}
