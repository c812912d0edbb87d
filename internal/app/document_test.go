package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/graph/limit"
	"github.com/exposuregraph/exposuregraph/graph/persisted"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/cli"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

// trustedFile has documents as a compiler of a client writes them.
func trustedFile(t *testing.T, documents ...string) string {
	t.Helper()
	list := map[string]string{}
	for _, document := range documents {
		list[persisted.ID(document)] = document
	}
	content, err := json.Marshal(list)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "persisted.json")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// command runs one of the program against a server.
func command(t *testing.T, a *app.App, token string, args ...string) (code int, out, failed string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Run(t.Context(), cli.Process{Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Now: time.Now,
		LookupEnv: func(name string) (string, bool) {
			value, ok := map[string]string{"EXPOSUREGRAPH_SERVER": a.URL(), "EXPOSUREGRAPH_TOKEN": token}[name]
			return value, ok
		}})
	return code, stdout.String(), stderr.String()
}

// TestTrustedDocuments: a server runs those it was given over every transport, its own
// addresses and commands work, and nothing else does.
func TestTrustedDocuments(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	const who = `query Who { viewer { subject } }`
	settings := config(database)
	settings.GraphQL.TrustedDocuments, settings.GraphQL.OwnDocuments = trustedFile(t, who, framesOf), cli.Documents()
	a, _ := start(t, settings)
	admin := tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	deliver(t, a, admin, time.Now().Add(-time.Hour), "first")

	send := func(accept, body string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+"/graphql", strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+admin)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", accept)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		answered, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(answered)
	}
	other := persisted.ID(`{ __typename }`)
	for _, accept := range []string{"application/json", "application/graphql-response+json", "text/event-stream"} {
		status, body := send(accept, fmt.Sprintf(`{"documentId":"sha256:%s"}`, persisted.ID(who)))
		require.Equal(t, http.StatusOK, status, accept)
		require.Contains(t, body, `"subject":"root"`, accept)
		for _, refused := range []string{`{"query":"{ __typename }"}`, fmt.Sprintf(`{"documentId":%q}`, other),
			fmt.Sprintf(`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":%q}}}`, other)} {
			status, body = send(accept, refused)
			require.Contains(t, body, persisted.CodeNotTrusted, accept)
			require.NotContains(t, body, "Query", accept)
			if accept != "text/event-stream" { // which has begun to answer
				require.Equal(t, http.StatusForbidden, status, accept)
			}
		}
	}

	// A WebSocket: by the text, by the name, and another.
	f := follow(t, a, admin, nil)
	f.next()
	f.say(map[string]any{"type": "subscribe", "id": "2", "payload": map[string]any{"query": `subscription { exposureChanges(organization: "acme") { seq } }`}})
	f.say(map[string]any{"type": "subscribe", "id": "3", "payload": map[string]any{"documentId": persisted.ID(who)}})
	f.say(map[string]any{"type": "subscribe", "id": "4", "payload": map[string]any{"extensions": map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": other}}}})
	heard := map[string]string{}
	for len(heard) < 3 {
		m, err := f.hear()
		require.NoError(t, err)
		if m.ID != "1" && heard[m.ID] == "" {
			heard[m.ID] = m.Type + string(m.Payload)
		}
	}
	require.Contains(t, heard["2"], "error[{")
	require.Contains(t, heard["2"], persisted.CodeNotTrusted)
	require.Contains(t, heard["3"], `"subject":"root"`)
	require.Contains(t, heard["4"], persisted.CodeNotTrusted)

	status, body := plain(t, a, admin, "/api/v1/organizations/acme/changes")
	require.Equal(t, http.StatusOK, status, string(body))
	code, _, failed := command(t, a, admin, "audit", "list", "--org", "acme")
	require.Zero(t, code, failed)
	code, _, failed = command(t, a, admin, "triage", "list", "--org", "acme")
	require.Zero(t, code, failed)
	code, _, failed = command(t, a, admin, "query", write(t, "own.graphql", `{ __typename }`))
	require.NotZero(t, code)
	require.Contains(t, failed, persisted.CodeNotTrusted)
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// TestUntrustworthyDocuments: a server that was given one that it would not run does
// not start.
func TestUntrustworthyDocuments(t *testing.T) {
	t.Parallel()
	path := trustedFile(t, `{ nothing }`)
	_, err := app.New(t.Context(), app.Config{Listen: "127.0.0.1:0", GraphQL: app.GraphQLConfig{TrustedDocuments: path}})
	require.ErrorContains(t, err, path+":1: ")
	require.ErrorContains(t, err, persisted.ID(`{ nothing }`))
	require.ErrorContains(t, err, `Cannot query field "nothing"`)
}

// TestOwnDocuments: what the program itself sends is what its server would run.
func TestOwnDocuments(t *testing.T) {
	t.Parallel()
	own := append(cli.Documents(), server.Documents()...)
	documents, err := graph.LoadDocuments(trustedFile(t, own...), limit.Limits{})
	require.NoError(t, err)
	require.Equal(t, len(own), documents.Len())
}
