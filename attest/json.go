package attest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
)

// CanonicalJSON is the RFC 8785 form of v's JSON. v must marshal to an object
// or array. Integers of 2^53 and more are refused: RFC 8785 would round them.
func CanonicalJSON(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	return canonical(b)
}

func canonical(b []byte) ([]byte, error) {
	if len(b) == 0 || (b[0] != '{' && b[0] != '[') {
		return nil, errors.New("canonical JSON: only objects and arrays have a canonical form here")
	}
	if err := (&scanner{b: b}).document(nil); err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	out, err := jsoncanonicalizer.Transform(b)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	return out, nil
}

// StrictUnmarshal decodes one JSON value of at most max bytes into v. Beyond
// encoding/json it refuses: object members whose names are equal when case is
// folded, names that match a field of v in folded case only, fields that v's
// structs do not have, nesting deeper than 64, invalid UTF-8, lone surrogates,
// numbers that a double cannot hold, and trailing bytes. The predicates that
// others defined (Provenance, TestResult, VSA, OMS) may carry unknown fields.
func StrictUnmarshal(b []byte, v any, max int) error {
	if len(b) > max {
		return fmt.Errorf("JSON: %d bytes, at most %d are accepted", len(b), max)
	}
	if err := (&scanner{b: b}).document(shapeOf(v)); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	return nil
}
