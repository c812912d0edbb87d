package yamldoc

import (
	"errors"
	"io"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// ReadPolicy reads a policy table: one document, which read takes apart. The
// name stands in errors.
func ReadPolicy[T any](r io.Reader, name string, read func(root Value) *T) (*T, error) {
	documents := NewReader(r, name, "POLICY", NewBudget(Limits{Document: 1 << 20, Total: 1 << 20, Documents: 2}))
	node, err := documents.Next()
	if errors.Is(err, io.EOF) {
		return nil, problem.New(problem.Invalid, "POLICY_EMPTY", "The policy table is empty.").At(name, 0)
	}
	if err != nil {
		return nil, err
	}
	if next, err := documents.Next(); err == nil {
		return nil, problem.New(problem.Invalid, "POLICY_INVALID", "A policy table is one document; here begins another.").At(name, next.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	fault := Sound(node, nil)
	var policy *T
	if fault == nil {
		root, check := Open(node)
		policy = read(root)
		fault = check.Err()
	}
	if fault != nil {
		return nil, problem.New(problem.Invalid, "POLICY_INVALID", "%s", Sentence(fault.Error())).At(name, fault.Line).Because(fault)
	}
	return policy, nil
}

// Sentence makes a sentence of what a fault says.
func Sentence(text string) string {
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
