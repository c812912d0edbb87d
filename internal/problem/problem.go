// Package problem is the one typed error of the product: what went wrong, in
// words for a person and a code for a program, apart from its cause.
package problem

import (
	"errors"
	"fmt"
)

// Kind says what a caller can do about an error. Each kind has one exit code
// on the command line and one status over HTTP.
type Kind string

// The kinds.
const (
	Invalid     Kind = "invalid"     // the input is wrong; sending it again will not help
	NotFound    Kind = "not_found"   // it does not exist, or not for this caller
	Denied      Kind = "denied"      // the caller may not do this
	Unauthentic Kind = "unauthentic" // nobody can tell who the caller is
	Conflict    Kind = "conflict"    // the state has moved on
	Limit       Kind = "limit"       // the request is larger than the server allows
	Unavailable Kind = "unavailable" // a part is down; try again
	Internal    Kind = "internal"    // a fault of ours
)

// Error is a typed error. Message is written for the person who made the
// request: it names what was wrong and what to do.
type Error struct {
	Kind    Kind
	Code    string // stable, in capitals: MANIFEST_NOT_YAML
	Message string
	Field   string // the argument or record field at fault, if one is
	File    string // the file at fault, if one is
	Line    int    // its line, counted from 1
	cause   error
}

// New makes an error of a kind with a code and a message.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error is the message with its position.
func (e *Error) Error() string {
	switch {
	case e.File != "" && e.Line > 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	case e.Line > 0:
		return fmt.Sprintf("line %d: %s", e.Line, e.Message)
	case e.File != "":
		return fmt.Sprintf("%s: %s", e.File, e.Message)
	}
	return e.Message
}

// Unwrap gives the cause, which is for the log and never for the caller.
func (e *Error) Unwrap() error { return e.cause }

// Because attaches the cause.
func (e *Error) Because(cause error) *Error {
	e.cause = cause
	return e
}

// On names the argument or field at fault.
func (e *Error) On(field string) *Error {
	e.Field = field
	return e
}

// At names the position in a file.
func (e *Error) At(file string, line int) *Error {
	e.File, e.Line = file, line
	return e
}

// KindOf is the kind of an error, Internal for one that has none.
func KindOf(err error) Kind {
	var typed *Error
	if errors.As(err, &typed) {
		return typed.Kind
	}
	return Internal
}
