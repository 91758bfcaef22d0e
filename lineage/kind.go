package lineage

import (
	"context"
	"encoding/json"
	"sort"
	"time"

	"affidavit/attest"
)

// Ref names an artefact or an entry; packages under pipeline/ and serving/
// exchange Refs, never each other's types.
type Ref = attest.Ref

// Kind is a type of step. The wiring registers all Kinds in one table.
type Kind struct {
	// Name is the attest.Kind constant.
	Name string
	// Global kinds carry no project; their permission is asked in domain "".
	Global bool
	// Either kinds may stand in a project or above all of them.
	Either bool
	// Check judges e against the state before it, which includes earlier
	// steps of the same group. It reads only; an *Error refuses this step alone.
	Check func(ctx context.Context, r *ReadTx, e *Entry) error
	// Project writes the Kind's own tables. It is a pure function of the
	// entry and the projections before it: no clock, no random, no database
	// default. An error fails the group and is this Kind's bug.
	Project func(ctx context.Context, w *WriteTx, e *Entry) error
	// Erasable names the top-level fields of the predicate that an erasure
	// may replace: free text that no projection and no duty depends on.
	Erasable []string
}

// Operation is what rbac is asked for before a step of this Kind.
func (k Kind) Operation() string { return "submit:" + k.Name }

// Kinds is the table, by name.
type Kinds map[string]Kind

// NewKinds builds the table; two rows of one name are a wiring bug.
func NewKinds(rows ...[]Kind) (Kinds, error) {
	t := Kinds{}
	for _, group := range rows {
		for _, k := range group {
			if _, dup := t[k.Name]; dup {
				return nil, Errf(CodeInternal, "kinds", "kind %q is registered twice", k.Name)
			}
			t[k.Name] = k
		}
	}
	return t, nil
}

// Erasable returns the fields that an erasure may replace in entries of a kind,
// by the table that judges; none outside a Check.
func (r *ReadTx) Erasable(kind string) []string { return r.kinds[kind].Erasable }

// Names returns the kinds in order.
func (t Kinds) Names() []string {
	names := make([]string, 0, len(t))
	for n := range t {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Entry is a logged, or about to be logged, step.
type Entry struct {
	Index      int64
	PAE        string // hex SHA-256 of the DSSE PAE
	KeyID      string // hex SHA-256 of the signer's SPKI
	Kind       string
	Project    string
	Actor      string
	OnBehalfOf string
	// Stamp is when the log took it: UTC, whole seconds, never falling.
	Stamp time.Time
	// Step and Statement are what was signed.
	Step      attest.Step
	Statement *attest.Statement
	// Identity is the e-mail address of the certificate that signed, if one did.
	Identity string
	// Erased is set when the payload was erased; predicate is then what the
	// erasure put in its place.
	Erased bool
	// predicate is the statement's, or the redaction's.
	predicate json.RawMessage
}

// Decode reads the predicate (or what an erasure left of it) into v.
func (e *Entry) Decode(v any) error {
	if err := json.Unmarshal(e.predicate, v); err != nil {
		return &Error{Code: CodeInvalid, Field: "predicate", Message: "does not fit kind " + e.Kind, Err: err}
	}
	return nil
}

// Predicate returns the predicate's JSON.
func (e *Entry) Predicate() json.RawMessage { return e.predicate }

// Ref returns the entry as a node of the graph.
func (e *Entry) Ref() Ref { return Ref{Kind: attest.ArtefactEntry, Digest: e.PAE} }

// EntryRef returns the entry as predicates cite it.
func (e *Entry) EntryRef() attest.EntryRef {
	return attest.EntryRef{Index: e.Index, PAE: e.PAE, Kind: e.Kind}
}

// Related returns the relations of a type, in order.
func (e *Entry) Related(t attest.RelationType) []Ref {
	var out []Ref
	for _, r := range e.Step.Relations {
		if r.Type == t {
			out = append(out, r.Ref)
		}
	}
	return out
}

// Has reports whether the entry has the relation to exactly that node.
func (e *Entry) Has(t attest.RelationType, kind, digest string) bool {
	for _, r := range e.Step.Relations {
		if r.Type == t && r.Kind == kind && r.Digest == digest {
			return true
		}
	}
	return false
}
