package audience

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// key is what decides how an event is shown: whose it is, who may see what of it,
// and what is asked.
type key [sha256.Size]byte

// keyOf tells how an operation shows the events of an organization. The arguments
// of its field choose events and do not show them: who comes again with a cursor is
// of the same audience.
func keyOf(ctx context.Context, organization id.ID) (k key, err error) {
	operation := graphql.GetOperationContext(ctx)
	actor, _ := access.From(ctx) // without one there is no subscription
	used := usage{of: operation.Variables, values: map[string]any{}, spread: map[string]bool{}}
	used.set(operation.Operation.SelectionSet, true)
	values, err := json.Marshal(used.values)
	if err != nil {
		return k, fmt.Errorf("variables: %w", err)
	}
	return sha256.Sum256(fmt.Appendf(nil, "%s %q %q %q %s", organization, actor.Rights(), operation.RawQuery, operation.OperationName, values)), nil
}

// usage are the variables that decide how something is shown.
type usage struct {
	of     map[string]any
	values map[string]any
	spread map[string]bool // fragments that were gone through
}

// set goes through a selection set. The arguments of a root field are left out.
func (u usage) set(selections ast.SelectionSet, root bool) {
	for _, selection := range selections {
		switch s := selection.(type) {
		case *ast.Field:
			if !root {
				u.arguments(s.Arguments)
			}
			u.directives(s.Directives)
			u.set(s.SelectionSet, false)
		case *ast.InlineFragment:
			u.directives(s.Directives)
			u.set(s.SelectionSet, root)
		case *ast.FragmentSpread:
			u.directives(s.Directives)
			if !u.spread[s.Name] {
				u.spread[s.Name] = true
				u.set(s.Definition.SelectionSet, root)
			}
		}
	}
}

func (u usage) directives(directives ast.DirectiveList) {
	for _, directive := range directives {
		u.arguments(directive.Arguments)
	}
}

func (u usage) arguments(arguments ast.ArgumentList) {
	for _, argument := range arguments {
		u.value(argument.Value)
	}
}

func (u usage) value(value *ast.Value) {
	if value.Kind == ast.Variable {
		u.values[value.Raw] = u.of[value.Raw]
	}
	for _, child := range value.Children {
		u.value(child.Value)
	}
}
