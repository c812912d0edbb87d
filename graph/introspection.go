package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Introspection says who may read the schema by __schema and __type. Callers without
// a token run nothing at all, whatever it is.
type Introspection string

// Who may.
const (
	IntrospectionAuthenticated Introspection = "authenticated" // whoever has a token; the default
	IntrospectionAdmin         Introspection = "admin"         // whose token has the role admin
	IntrospectionNobody        Introspection = "nobody"
)

// Introspections are all there are.
var Introspections = []Introspection{IntrospectionAuthenticated, IntrospectionAdmin, IntrospectionNobody}

// CodeIntrospection refuses to show the schema.
const CodeIntrospection = "INTROSPECTION_DENIED"

func init() { errcode.RegisterErrorType(CodeIntrospection, errcode.KindProtocol) }

// introspection is the extension that keeps to it.
type introspection struct{ allowed Introspection }

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = introspection{}

// ExtensionName is for gqlgen.
func (introspection) ExtensionName() string { return "Introspection" }

// Validate is for gqlgen.
func (introspection) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext opens the schema to those who may read it, and tells the
// others so before anything of their operation runs. It stays shut for them also where
// this finds no field of it.
func (i introspection) MutateOperationContext(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	actor, known := access.From(ctx)
	if known && i.allowed != IntrospectionNobody && (i.allowed != IntrospectionAdmin || actor.Role == access.Admin) {
		operation.DisableIntrospection = false
		return nil
	}
	if !introspects(operation.Operation.SelectionSet, map[string]bool{}) {
		return nil
	}
	advice := "introspection takes the role admin on this server: use a token that has it, or ask its operator for the schema"
	if i.allowed == IntrospectionNobody {
		advice = "introspection is off on this server: ask its operator for the schema"
	}
	err := gqlerror.Errorf("%s", advice)
	err.Extensions = map[string]any{"code": CodeIntrospection, "kind": string(problem.Denied)}
	return err
}

// introspects says whether __schema or __type is selected, each fragment being looked
// at once. __typename tells nothing that the document does not say.
func introspects(set ast.SelectionSet, seen map[string]bool) bool {
	return slices.ContainsFunc(set, func(selection ast.Selection) bool {
		switch s := selection.(type) {
		case *ast.Field:
			return s.Name == "__schema" || s.Name == "__type" || introspects(s.SelectionSet, seen)
		case *ast.InlineFragment:
			return introspects(s.SelectionSet, seen)
		case *ast.FragmentSpread:
			if seen[s.Name] || s.Definition == nil {
				return false
			}
			seen[s.Name] = true
			return introspects(s.Definition.SelectionSet, seen)
		}
		return false
	})
}

// withoutHints are the rules of validation in their forms that suggest no names: a
// misspelt field, argument, type or value would have what is near it told.
func withoutHints() *rules.Rules {
	checked := rules.NewDefaultRules()
	for hinting, quiet := range map[string]core.RuleFunc{
		rules.FieldsOnCorrectTypeRule.Name: rules.FieldsOnCorrectTypeRuleWithoutSuggestions.RuleFunc,
		rules.KnownArgumentNamesRule.Name:  rules.KnownArgumentNamesRuleWithoutSuggestions.RuleFunc,
		rules.KnownTypeNamesRule.Name:      rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc,
		rules.ScalarLeafsRule.Name:         rules.ScalarLeafsRuleWithoutSuggestions.RuleFunc,
		rules.ValuesOfCorrectTypeRule.Name: rules.ValuesOfCorrectTypeRuleWithoutSuggestions.RuleFunc,
	} {
		checked.ReplaceRule(hinting, quiet)
	}
	return checked
}
