package graph_test

import (
	"encoding/json"
	"net/http"
	"testing"

	gqlgen "github.com/99designs/gqlgen/graphql/introspection"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph"
)

// asked is a request with the document and its variables.
func asked(t *testing.T, document string, variables map[string]any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	require.NoError(t, err)
	return string(body)
}

// TestIntrospection: the schema is for whom the setting says, __typename for everybody.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	documents := map[string]string{
		"the query of GraphiQL":  gqlgen.Query,
		"a type":                 `{ __type(name: "Query") { name } }`,
		"under another name":     `{ viewer { subject } harmless: __schema { queryType { name } } }`,
		"in a fragment":          `{ ...A } fragment A on Query { ...B } fragment B on Query { ... on Query { __schema { queryType { name } } } }`,
		"left out by a variable": `query($no: Boolean = false) { __schema @include(if: $no) { queryType { name } } }`,
	}
	for setting, readers := range map[graph.Introspection]struct{ admin, client bool }{
		"":                               {true, true},
		graph.IntrospectionAuthenticated: {true, true},
		graph.IntrospectionAdmin:         {true, false},
		graph.IntrospectionNobody:        {false, false},
	} {
		t.Run(string(setting), func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, patient, func(c *graph.Config) { c.Introspection = setting })
			for name, document := range documents {
				body := asked(t, document, nil)
				status, got := b.post(t, root, body)
				requireShown(t, readers.admin, status, got, name)
				status, got = b.post(t, viewer, body)
				requireShown(t, readers.client, status, got, name)
			}
			status, got := b.post(t, viewer, asked(t, `{ __typename viewer { __typename } }`, nil))
			require.Equal(t, http.StatusOK, status)
			require.Empty(t, got.Errors)
			require.Equal(t, "Query", got.Data["__typename"])

			// Of several operations only the one that runs counts.
			both := `{"query":"query Tell { __schema { queryType { name } } } query Work { viewer { subject } }","operationName":"Work"}`
			status, got = b.post(t, viewer, both)
			require.Equal(t, http.StatusOK, status)
			require.Empty(t, got.Errors)
		})
	}
}

func requireShown(t *testing.T, shown bool, status int, got answer, name string) {
	t.Helper()
	if shown {
		require.Equal(t, http.StatusOK, status, name)
		require.Empty(t, got.Errors, name)
		return
	}
	require.Equal(t, http.StatusForbidden, status, name)
	require.Nil(t, got.Data, name)
	require.Len(t, got.Errors, 1, name)
	require.Equal(t, graph.CodeIntrospection, got.code(), name)
	require.Equal(t, "denied", got.Errors[0].Extensions["kind"], name)
	require.Contains(t, got.Errors[0].Message, "ask its operator", name)
}

// TestNothingIsSuggested: who misspells a name is not told the names that are near it.
func TestNothingIsSuggested(t *testing.T) {
	t.Parallel()
	b := setup(t)
	variables := map[string]any{"order": map[string]any{"fild": "FIRST_SEE"}}
	for name, row := range map[string]struct{ document, near string }{
		"a field":                    {`{ organizatio(slug: "acme") { id } }`, "organization\""},
		"a field of a type":          {`{ organization(slug: "acme") { clustrs } }`, "lusters"},
		"an argument":                {`{ organization(slg: "acme") { id } }`, `"slug"?`},
		"an argument of a directive": {`{ viewer @include(iff: true) { subject } }`, `"if"?`},
		"a type":                     {`query($o: AuthorityPathOrdr) { viewer { subject } }`, "AuthorityPathOrder"},
		"a type in a fragment":       {`{ node(id: "x") { ... on AuthorityPth { id } } }`, "AuthorityPath"},
		"a value":                    {`{ organization(slug: "acme") { authorityPaths(first: 1, filter: {sensitivity: [RSTRICTED]}) { totalCount } } }`, "RESTRICTED"},
		"a value in quotes":          {`{ organization(slug: "acme") { authorityPaths(first: 1, filter: {sensitivity: ["RESTRICTED"]}) { totalCount } } }`, "value \"RESTRICTED\"?"},
		"a field of an input":        {`{ organization(slug: "acme") { authorityPaths(first: 1, orderBy: {fiel: FIRST_SEEN}) { totalCount } } }`, `"field"?`},
		"a leaf with fields":         {`{ viewer { subject { x } } }`, "Did you"},
		"no fields":                  {`{ viewer }`, "{ ... }"},
		"a field in a variable":      {`query($order: AuthorityPathOrder) { organization(slug: "acme") { authorityPaths(first: 1, orderBy: $order) { totalCount } } }`, "field\""},
	} {
		status, got := b.post(t, viewer, asked(t, row.document, variables))
		require.Less(t, status, http.StatusInternalServerError, name)
		require.NotEmpty(t, got.Errors, name)
		for _, err := range got.Errors {
			t.Log(name+":", err.Message)
			require.NotContains(t, err.Message, "Did you mean", name)
			require.NotContains(t, err.Message, row.near, name)
		}
	}
}
