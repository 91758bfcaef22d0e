package attest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Limits on what is read. Whatever is larger belongs into an artefact that the
// statement names by digest.
const (
	MaxPayload   = 1 << 20
	maxSubjects  = 1024
	maxRelations = 4096
	maxName      = 1024
)

// Subject is an artefact that a statement is about.
type Subject struct {
	Name string `json:"name"`
	// Digest maps algorithm to hex; "sha256" must be there.
	Digest map[string]string `json:"digest"`
	// Annotations of the first subject hold salt and step. A parsed statement
	// keeps the step as json.RawMessage.
	Annotations map[string]any `json:"annotations,omitempty"`
}

// Statement is an in-toto Statement v1.
type Statement struct {
	Type          string          `json:"_type"`
	PredicateType string          `json:"predicateType"`
	Subject       []Subject       `json:"subject"`
	Predicate     json.RawMessage `json:"predicate"`
}

// statementJSON reads a statement without decoding annotations.
type statementJSON struct {
	Type          string          `json:"_type"`
	PredicateType string          `json:"predicateType"`
	Subject       []subjectJSON   `json:"subject"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subjectJSON struct {
	Name        string                     `json:"name"`
	Digest      map[string]string          `json:"digest"`
	Annotations map[string]json.RawMessage `json:"annotations"`
}

// NewStatement makes the statement of a step. It adds a random salt and the
// step to the first subject; without subjects the statement is about its
// predicate. The result passes ParseStatement, or an error says why not: so the
// predicate fits the JSON Schema of step.Kind, and each subject is a node of
// step.Relations.
func NewStatement(step Step, subjects []Subject, predicate any) (*Statement, error) {
	body, err := marshalPredicate(predicate)
	if err != nil {
		return nil, err
	}
	if step.Relations == nil {
		step.Relations = []Relation{}
	}
	step.Claimed = step.Claimed.UTC()
	if len(subjects) == 0 {
		sum := sha256.Sum256(body)
		subjects = []Subject{{Name: ArtefactPredicate, Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}}}
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	st := &Statement{
		Type: StatementType, PredicateType: PredicateTypeOf(step.Kind),
		Subject: append([]Subject(nil), subjects...), Predicate: body,
	}
	annotations := map[string]any{SaltAnnotation: hex.EncodeToString(salt), StepAnnotation: step}
	for name, v := range st.Subject[0].Annotations {
		if _, taken := annotations[name]; taken {
			return nil, fmt.Errorf("statement: annotation %q is set by the statement itself", name)
		}
		annotations[name] = v
	}
	st.Subject[0].Annotations = annotations
	payload, err := st.Payload()
	if err != nil {
		return nil, err
	}
	if _, _, err := ParseStatement(payload); err != nil {
		return nil, err
	}
	return st, nil
}

// marshalPredicate is the canonical JSON of a predicate, with nil slices and
// maps written as empty ones.
func marshalPredicate(predicate any) ([]byte, error) {
	if predicate == nil {
		return nil, errors.New("statement: the predicate is missing")
	}
	if raw, ok := predicate.(json.RawMessage); ok {
		return canonical(raw)
	}
	return CanonicalJSON(filled(reflect.ValueOf(predicate)).Interface())
}

// PredicateDigest is the hex SHA-256 of a predicate's canonical JSON, as
// NewStatement names it when there is no other subject.
func PredicateDigest(predicate any) (string, error) {
	b, err := marshalPredicate(predicate)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// filled copies v with empty in place of nil slices and maps, so that they
// marshal as [] and {}.
func filled(v reflect.Value) reflect.Value {
	if !v.IsValid() || v.Type() == reflect.TypeFor[json.RawMessage]() || v.Type() == reflect.TypeFor[time.Time]() {
		return v
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(filled(v.Elem()))
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(filled(v.Field(i)))
			}
		}
		return out
	case reflect.Slice:
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(filled(v.Index(i)))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return reflect.MakeMap(v.Type())
		}
	}
	return v
}

// Payload is the statement's canonical JSON: the bytes to sign.
func (s *Statement) Payload() ([]byte, error) {
	b, err := CanonicalJSON(s)
	if err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	if len(b) > MaxPayload {
		return nil, fmt.Errorf("statement: %d bytes, at most %d may be signed; store the large part as an artefact and name its digest", len(b), MaxPayload)
	}
	return b, nil
}

// ParseStatement reads a payload of ours strictly and returns the statement
// and its step. It checks all that can be checked without the log: known kind
// and its predicate type, JSON Schema, relations, digests, salt, nonce, limits.
func ParseStatement(payload []byte) (*Statement, Step, error) {
	st, step, err := parseStatement(payload)
	if err != nil {
		return nil, Step{}, fmt.Errorf("statement: %w", err)
	}
	return st, step, nil
}

func parseStatement(payload []byte) (*Statement, Step, error) {
	st, first, err := parseInToto(payload)
	if err != nil {
		return nil, Step{}, err
	}
	var salt string
	if raw, ok := first[SaltAnnotation]; !ok || json.Unmarshal(raw, &salt) != nil || !isHex(salt, 32) {
		return nil, Step{}, fmt.Errorf("subject[0].annotations[%q] must be 32 hex digits", SaltAnnotation)
	}
	raw, ok := first[StepAnnotation]
	if !ok {
		return nil, Step{}, fmt.Errorf("subject[0].annotations[%q] is missing: this is no statement of a step", StepAnnotation)
	}
	var step Step
	if err := StrictUnmarshal(raw, &step, MaxPayload); err != nil {
		return nil, Step{}, fmt.Errorf("step: %w", err)
	}
	if err := step.check(); err != nil {
		return nil, Step{}, fmt.Errorf("step: %w", err)
	}
	if want := PredicateTypeOf(step.Kind); st.PredicateType != want {
		return nil, Step{}, fmt.Errorf("predicateType is %q, but a %s carries %q", st.PredicateType, step.Kind, want)
	}
	if err := st.checkSubjects(step); err != nil {
		return nil, Step{}, err
	}
	if err := validatePredicate(step.Kind, st.Predicate); err != nil {
		return nil, Step{}, err
	}
	return st, step, nil
}

// parseInToto reads any in-toto Statement v1 and returns the annotations of
// its first subject undecoded.
func parseInToto(payload []byte) (*Statement, map[string]json.RawMessage, error) {
	var in statementJSON
	if err := StrictUnmarshal(payload, &in, MaxPayload); err != nil {
		return nil, nil, err
	}
	if in.Type != StatementType {
		return nil, nil, fmt.Errorf("_type is %q, expected %q", in.Type, StatementType)
	}
	if len(in.Subject) == 0 || len(in.Subject) > maxSubjects {
		return nil, nil, fmt.Errorf("subject: %d subjects, expected 1 to %d", len(in.Subject), maxSubjects)
	}
	if len(in.Predicate) == 0 || in.Predicate[0] != '{' {
		return nil, nil, errors.New("predicate must be an object")
	}
	for i, sub := range in.Subject {
		if len(sub.Name) > maxName {
			return nil, nil, fmt.Errorf("subject[%d].name is longer than %d bytes", i, maxName)
		}
	}
	st, err := in.statement()
	if err != nil {
		return nil, nil, err
	}
	return st, in.Subject[0].Annotations, nil
}

// statement decodes the annotations, except the step.
func (in statementJSON) statement() (*Statement, error) {
	st := &Statement{Type: in.Type, PredicateType: in.PredicateType, Predicate: in.Predicate, Subject: make([]Subject, len(in.Subject))}
	for i, s := range in.Subject {
		out := Subject{Name: s.Name, Digest: s.Digest}
		if len(s.Annotations) > 0 {
			out.Annotations = make(map[string]any, len(s.Annotations))
		}
		for name, raw := range s.Annotations {
			if i == 0 && name == StepAnnotation {
				out.Annotations[name] = raw
				continue
			}
			var v any
			if err := json.Unmarshal(raw, &v); err != nil {
				return nil, fmt.Errorf("subject[%d].annotations: %w", i, err)
			}
			out.Annotations[name] = v
		}
		st.Subject[i] = out
	}
	return st, nil
}

// checkSubjects demands of each subject a SHA-256 that is a node of the step,
// except of the subject that stands for the predicate itself.
func (s *Statement) checkSubjects(step Step) error {
	nodes := make(map[string]bool, len(step.Relations))
	for _, r := range step.Relations {
		nodes[r.Digest] = true
	}
	for i, sub := range s.Subject {
		digest := sub.Digest["sha256"]
		if !isHex(digest, 64) {
			return fmt.Errorf("subject[%d].digest.sha256 must be 64 lower-case hex digits", i)
		}
		for alg, v := range sub.Digest {
			if len(v) > 256 || !isHex(v, len(v)) {
				return fmt.Errorf("subject[%d].digest.%.20s must be lower-case hex", i, alg)
			}
		}
		if sub.Name == ArtefactPredicate {
			if err := s.checkPredicateDigest(digest); err != nil {
				return err
			}
			continue
		}
		if !nodes[digest] {
			return fmt.Errorf("subject[%d] (%.80s) is not among the step's relations; add one that names its digest", i, sub.Name)
		}
	}
	return nil
}

func (s *Statement) checkPredicateDigest(want string) error {
	if sum := sha256.Sum256(s.Predicate); hex.EncodeToString(sum[:]) == want {
		return nil // it was signed in canonical form, as ours are
	}
	b, err := canonical(s.Predicate)
	if err != nil {
		return fmt.Errorf("predicate: %w", err)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
		return errors.New(`the digest of subject "predicate" is not the SHA-256 of the predicate's canonical JSON`)
	}
	return nil
}

// check judges a step by itself.
func (s Step) check() error {
	if !KnownKind(s.Kind) {
		return fmt.Errorf("kind %.40q is unknown", s.Kind)
	}
	if !isHex(s.Nonce, 32) {
		return errors.New("nonce must be 32 lower-case hex digits")
	}
	if s.Actor == "" || len(s.Actor) > maxName || len(s.OnBehalfOf) > maxName || len(s.Project) > maxName {
		return fmt.Errorf("actor must not be empty, and actor, onBehalfOf and project have at most %d bytes", maxName)
	}
	if y := s.Claimed.Year(); y < 2000 || y > 2200 {
		return errors.New("claimed must be the signer's time, in UTC, as 2026-11-24T10:00:00Z")
	}
	if _, offset := s.Claimed.Zone(); offset != 0 {
		return errors.New("claimed must be in UTC")
	}
	switch {
	case s.NotBefore.Size < 0:
		return errors.New("notBefore.size must not be negative")
	case s.NotBefore.Size == 0 && s.NotBefore.Root != "":
		return errors.New("notBefore.root must be empty when its size is 0")
	case s.NotBefore.Size > 0 && !isHex(s.NotBefore.Root, 64):
		return errors.New("notBefore.root must be 64 lower-case hex digits")
	}
	if len(s.Relations) > maxRelations {
		return fmt.Errorf("%d relations, at most %d are accepted", len(s.Relations), maxRelations)
	}
	for i, r := range s.Relations {
		if r.Type.Class() == Unknown {
			return fmt.Errorf("relations[%d].type %.40q is unknown", i, r.Type)
		}
		if !KnownArtefact(r.Kind) {
			return fmt.Errorf("relations[%d].kind %.40q is unknown", i, r.Kind)
		}
		if !isHex(r.Digest, 64) {
			return fmt.Errorf("relations[%d].digest must be 64 lower-case hex digits", i)
		}
		if len(r.Name) > maxName {
			return fmt.Errorf("relations[%d].name is longer than %d bytes", i, maxName)
		}
	}
	return nil
}

// isHex reports whether s is n lower-case hex digits, n > 0.
func isHex(s string, n int) bool {
	if len(s) != n || n == 0 {
		return false
	}
	return len(bytes.Trim([]byte(s), "0123456789abcdef")) == 0
}
