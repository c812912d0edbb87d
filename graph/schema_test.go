package graph_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

func schema(t testing.TB) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../schema.graphqls")
	require.NoError(t, err)
	parsed, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphqls", Input: string(text)})
	require.NoError(t, err)
	return parsed
}

// otherTerms are what others call an authority path. The schema has one word.
var otherTerms = regexp.MustCompile(`(?i)execution[ _-]?(path|chain)|auth(entication|orization)?[ _-]?(path|chain)|attack[ _-]?path|blast[ _-]?radius`)

// TestSchemaHasOneTerm reads names and descriptions alike. The one exception is a
// field of the contract: how many systems a workload authenticates through.
func TestSchemaHasOneTerm(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../schema.graphqls")
	require.NoError(t, err)
	for number, line := range strings.Split(string(text), "\n") {
		line = strings.ReplaceAll(line, "authChainDepth", "")
		require.Empty(t, otherTerms.FindString(line), "schema.graphqls:%d", number+1)
	}
	for _, word := range []string{"executionPath", "auth path", "EXECUTION_CHAIN", "authChain", "blast radius"} {
		require.Regexp(t, otherTerms, word, "the test finds what it looks for")
	}
	require.NotRegexp(t, otherTerms, "AuthorityPath, authority path, authorityPaths")
}

// TestSchemaListsArePages: every connection has its edge, its nodes and its count,
// and every list that pages is described.
func TestSchemaListsArePages(t *testing.T) {
	t.Parallel()
	connections := 0
	for name, definition := range schema(t).Types {
		if definition.BuiltIn {
			continue
		}
		require.NotEmpty(t, definition.Description, name)
		for _, value := range definition.EnumValues {
			if strings.HasPrefix(value.Name, "__") {
				continue
			}
			require.NotRegexp(t, `[a-z]`, value.Name, name)
		}
		if !strings.HasSuffix(name, "Connection") {
			continue
		}
		connections++
		for _, field := range []string{"edges", "nodes", "pageInfo", "totalCount"} {
			require.NotNil(t, definition.Fields.ForName(field), "%s.%s", name, field)
		}
	}
	require.GreaterOrEqual(t, connections, 11)
}
