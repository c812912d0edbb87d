package graph_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/graph/generated"
)

// TestFaultsSuggestNothing: what is misspelt is named as it would be otherwise, but for
// what is near it in the schema.
func TestFaultsSuggestNothing(t *testing.T) {
	t.Parallel()
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	for _, document := range []string{
		`{ organization(slgu: "acme") { id } }`,
		`{ organization(slug: "acme") { ...F } } fragment F on Organizaton { id }`,
		`{ organization(slug: "acme") { exposures(filter: {severity: [HIHG]}) { totalCount } } }`,
		`{ organization(slug: "acme") { exposures(filter: {sevrity: [HIGH]}) { totalCount } } }`,
	} {
		faults := func(list *rules.Rules) string {
			parsed, err := parser.ParseQuery(&ast.Source{Input: document})
			require.NoError(t, err)
			return validator.ValidateWithRules(schema, parsed, list).Error()
		}
		require.Contains(t, faults(rules.NewDefaultRules()), "Did you mean", document)
		discreet := faults(graph.DiscreetRules())
		require.NotEmpty(t, discreet, document)
		require.NotContains(t, discreet, "Did you mean", document)
	}
}
