package lineage

import (
	"errors"
	"fmt"
)

// Code is the stable class of an error; the server maps it to a status.
type Code string

// Codes. Anything that is not an *Error is internal and hidden from callers.
const (
	CodeInvalid         Code = "invalid"         // 400: malformed or impossible input
	CodeUnauthenticated Code = "unauthenticated" // 401: unknown, revoked or wrong key, bad signature
	CodeForbidden       Code = "forbidden"       // 403: role or duty says no
	CodeNotFound        Code = "not-found"       // 404
	CodeConflict        Code = "conflict"        // 409: same nonce with other content, or state moved
	CodeTooLarge        Code = "too-large"       // 413
	CodeRefused         Code = "refused"         // 422: well-formed, but a rule of its Kind is not met
	CodeUnavailable     Code = "unavailable"     // 503: clock, disk or database
	CodeRollback        Code = "rollback"        // start refused: the database is older than its checkpoint
	CodeInternal        Code = "internal"        // 500
)

// Error is the one domain error. Message is safe to show; Field names what is
// wrong and Remedy says what to do about it.
type Error struct {
	Code    Code
	Field   string
	Message string
	Remedy  string
	Err     error
}

func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Remedy != "" {
		s += " (" + e.Remedy + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Errf makes an Error without a remedy.
func Errf(code Code, field, format string, args ...any) *Error {
	return &Error{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}

// WithRemedy returns a copy of e that says what to do.
func (e *Error) WithRemedy(format string, args ...any) *Error {
	c := *e
	c.Remedy = fmt.Sprintf(format, args...)
	return &c
}

// CodeOf returns the code of err, CodeInternal for a foreign error and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
