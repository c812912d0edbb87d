package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/graph/limit"
	"github.com/exposuregraph/exposuregraph/graph/persisted"
	"github.com/exposuregraph/exposuregraph/internal/access"
)

// named is a request that names its document, and has its text too unless that is empty.
func named(t *testing.T, hash any, text string) string {
	t.Helper()
	request := map[string]any{"extensions": map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": hash}}}
	if text != "" {
		request["query"] = text
	}
	body, err := json.Marshal(request)
	require.NoError(t, err)
	return string(body)
}

// get asks by an address.
func (b *bench) get(t *testing.T, actor access.Actor, parameters url.Values) (int, answer) {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, "/graphql?"+parameters.Encode(), nil)
	request.Header.Set("GraphQL-Require-Preflight", "1")
	recorder := httptest.NewRecorder()
	b.handler.ServeHTTP(recorder, request.WithContext(access.With(request.Context(), actor)))
	var a answer
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &a), recorder.Body.String())
	return recorder.Code, a
}

// TestPersistedQueries: a document is known by its hash to those with the same rights,
// once it was sent with it.
func TestPersistedQueries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const document = `query Who { viewer { subject } }`
	hash := persisted.ID(document)

	status, got := b.post(t, viewer, named(t, hash, ""))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, persisted.CodeNotFound, got.code())
	require.Equal(t, "PersistedQueryNotFound", got.Errors[0].Message, "clients look for these words")
	status, got = b.post(t, viewer, named(t, hash, document))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "viewer", at[string](t, got.Data, "viewer", "subject"))
	for _, body := range []string{named(t, hash, ""), named(t, strings.ToUpper(hash), ""), fmt.Sprintf(`{"documentId":"sha256:%s"}`, hash),
		fmt.Sprintf(`{"documentId":%q,"extensions":{"persistedQuery":{"sha256Hash":%q}}}`, hash, hash)} {
		status, got = b.post(t, viewer, body)
		require.Equal(t, http.StatusOK, status, body)
		require.Equal(t, "viewer", at[string](t, got.Data, "viewer", "subject"), body)
	}
	for _, parameters := range []url.Values{{"documentId": {hash}}, {"extensions": {fmt.Sprintf(`{"persistedQuery":{"version":1,"sha256Hash":%q}}`, hash)}}} {
		status, got = b.get(t, viewer, parameters)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "viewer", at[string](t, got.Data, "viewer", "subject"))
	}
	_, got = b.post(t, root, named(t, hash, ""))
	require.Equal(t, persisted.CodeNotFound, got.code(), "what others ask is not told")

	_, got = b.get(t, viewer, url.Values{"documentId": {persisted.ID("{ other }")}})
	require.Equal(t, persisted.CodeNotFound, got.code())
}

// TestPersistedQueriesAreNotPoisoned: under a hash is its document or none.
func TestPersistedQueriesAreNotPoisoned(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const document = `query Who { viewer { subject } }`
	hash := persisted.ID(document)
	huge := "#" + strings.Repeat("x", persisted.MaxDocument) + "\n" + document
	for name, row := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"the hash of another":   {named(t, hash, `{ viewer { role } }`), http.StatusBadRequest, persisted.CodeHash},
		"the hash of a space":   {named(t, hash, document+" "), http.StatusBadRequest, persisted.CodeHash},
		"too large to keep":     {named(t, persisted.ID(huge), huge), http.StatusBadRequest, persisted.CodeTooLarge},
		"no hash":               {named(t, "abc", document), http.StatusBadRequest, persisted.CodeInvalid},
		"a number":              {named(t, 7, document), http.StatusBadRequest, persisted.CodeInvalid},
		"another version":       {fmt.Sprintf(`{"extensions":{"persistedQuery":{"version":2,"sha256Hash":%q}}}`, hash), http.StatusBadRequest, persisted.CodeInvalid},
		"no object":             {`{"extensions":{"persistedQuery":"x"}}`, http.StatusBadRequest, persisted.CodeInvalid},
		"two names":             {fmt.Sprintf(`{"documentId":%q,"extensions":{"persistedQuery":{"version":1,"sha256Hash":%q}}}`, persisted.ID("x"), hash), http.StatusBadRequest, persisted.CodeInvalid},
		"an id that is none":    {`{"documentId":"x"}`, http.StatusBadRequest, persisted.CodeInvalid},
		"an id that is no text": {`{"documentId":7,"query":"{ viewer { subject } }"}`, http.StatusBadRequest, "BAD_REQUEST"},
		"not valid":             {named(t, persisted.ID(`{ nothing }`), `{ nothing }`), http.StatusOK, "GRAPHQL_VALIDATION_FAILED"},
	} {
		status, got := b.post(t, viewer, row.body)
		require.Equal(t, row.code, got.code(), name)
		require.Equal(t, row.status, status, name)
		require.Nil(t, got.Data, name)
	}
	for _, unknown := range []string{hash, persisted.ID(huge), persisted.ID(`{ nothing }`)} {
		_, got := b.post(t, viewer, named(t, unknown, ""))
		require.Equal(t, persisted.CodeNotFound, got.code(), "nothing of it was kept")
	}
}

// TestDistinctDocumentsAreBounded: what a caller sends once does not stay for ever.
func TestDistinctDocumentsAreBounded(t *testing.T) {
	t.Parallel()
	b := setupWith(t, patient, func(c *graph.Config) { c.Limits.Budget = 1 << 40 })
	filler := strings.Repeat("x", 30<<10)
	held := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := held()
	// 90 MB of texts; a thousand documents of the largest size would be 64.
	for n := range 3000 {
		document := fmt.Sprintf("{ a%d: __typename } #%s", n, filler)
		status, got := b.post(t, viewer, named(t, persisted.ID(document), document))
		require.Equal(t, http.StatusOK, status)
		require.Empty(t, got.Errors)
	}
	// Other tests run beside this one; 16 MiB of texts and 32 MiB of documents share theirs.
	require.Less(t, held()-before, int64(80<<20))
	_, got := b.post(t, viewer, named(t, persisted.ID("{ a0: __typename } #"+filler), ""))
	require.Equal(t, persisted.CodeNotFound, got.code())
	_, got = b.post(t, viewer, named(t, persisted.ID("{ a2999: __typename } #"+filler), ""))
	require.Empty(t, got.Errors)
}

// TestTrustedDocuments: a server that was given documents runs these, named or not, and
// no other.
func TestTrustedDocuments(t *testing.T) {
	t.Parallel()
	const (
		who   = `query Who { viewer { subject } }`
		asked = `query Role { viewer { role } }`
	)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "who.graphql"), []byte(who), 0o600))
	list, err := json.Marshal(map[string]string{persisted.ID(asked): asked})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "relay.json"), list, 0o600))
	documents, err := graph.LoadDocuments(folder, limit.Limits{})
	require.NoError(t, err)
	b := setupWith(t, patient, func(c *graph.Config) { c.Documents = documents })

	text := func(query string) string {
		body, err := json.Marshal(map[string]string{"query": query})
		require.NoError(t, err)
		return string(body)
	}
	for _, body := range []string{text(who), named(t, persisted.ID(who), ""), named(t, persisted.ID(who), who), fmt.Sprintf(`{"documentId":"sha256:%s"}`, persisted.ID(who)), text(asked), named(t, persisted.ID(asked), "")} {
		status, got := b.post(t, viewer, body)
		require.Equal(t, http.StatusOK, status, body)
		require.Empty(t, got.Errors, body)
	}
	status, got := b.get(t, viewer, url.Values{"documentId": {persisted.ID(who)}})
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, got.Errors)
	status, got = b.get(t, viewer, url.Values{"query": {`{ __typename }`}})
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, persisted.CodeNotTrusted, got.code())

	for name, row := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"another text":           {text(`{ __typename }`), http.StatusForbidden, persisted.CodeNotTrusted},
		"nearly one":             {text(who + " "), http.StatusForbidden, persisted.CodeNotTrusted},
		"a hash of none":         {named(t, persisted.ID(`{ __typename }`), ""), http.StatusForbidden, persisted.CodeNotTrusted},
		"another with its hash":  {named(t, persisted.ID(`{ __typename }`), `{ __typename }`), http.StatusForbidden, persisted.CodeNotTrusted},
		"another under a hash":   {named(t, persisted.ID(who), `{ __typename }`), http.StatusBadRequest, persisted.CodeHash},
		"no document":            {`{"extensions":{}}`, http.StatusForbidden, persisted.CodeNotTrusted},
		"introspection":          {text(`{ __schema { queryType { name } } }`), http.StatusForbidden, persisted.CodeNotTrusted},
		"what is no document":    {text(`{`), http.StatusForbidden, persisted.CodeNotTrusted},
		"what kills the parsers": {text(strings.Repeat("{a", 100_000)), http.StatusForbidden, persisted.CodeNotTrusted},
	} {
		status, got := b.post(t, root, row.body)
		require.Equal(t, row.code, got.code(), name)
		require.Equal(t, row.status, status, name)
		require.Nil(t, got.Data, name)
	}
}

// TestUntrustworthyDocuments: what the server would not run is told when it starts.
func TestUntrustworthyDocuments(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{ organizatio(slug: "acme") { id } }`: `Cannot query field "organizatio" on type "Query". Did you mean`,
		`{ viewer {`:                           "Expected Name",
		`fragment A on Viewer { subject }`:     "never used",
		`# nothing`:                            "no operation",
		"{ viewer { subject " + strings.Repeat("role ", 1000) + "} }": "more than 1000 tokens",
		strings.Repeat("#", persisted.MaxDocument+1):                  "the limit is 65536",
	} {
		path := filepath.Join(t.TempDir(), "wrong.graphql")
		require.NoError(t, os.WriteFile(path, []byte(document), 0o600))
		_, err := graph.LoadDocuments(path, limit.Limits{})
		require.ErrorContains(t, err, path, document)
		require.ErrorContains(t, err, want, document)
	}
}
