package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
)

// TestAuditLogOfAServer knocks at a server as it is started: what was done is in the
// log once, over the API and as lines, and what cannot be written is counted.
func TestAuditLogOfAServer(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c := demoConfig(database)
	a, _ := start(t, c)
	send := func(method, path, token, body string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, a.URL()+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(content)
	}
	type line struct {
		ID, Organization, At, Subject, Action, Outcome, Door string
		Touched                                              []string
	}
	lines := func() (list []line) {
		t.Helper()
		status, body := send(http.MethodGet, "/organizations/demo/audit.jsonl", a.Tokens().Admin, "")
		require.Equal(t, 200, status, body)
		decoder := json.NewDecoder(bytes.NewReader([]byte(body)))
		for decoder.More() {
			var l line
			require.NoError(t, decoder.Decode(&l))
			list = append(list, l)
		}
		return list
	}
	before := len(lines())
	send(http.MethodPost, "/graphql", a.Tokens().Viewer, `{"query":"mutation { evaluateOrganization(input: {organization: \"demo\"}) { userErrors { code } } }"}`)
	send(http.MethodPost, "/imports/nmap?org=demo", a.Tokens().Viewer, "x")
	send(http.MethodPost, "/imports/nmap?org=demo&source=broken", a.Tokens().Admin, "no xml")
	list := lines()
	require.Len(t, list, before+4, "the export before, a mutation and two imports")
	var told []string
	for _, l := range list[before:] {
		require.Equal(t, "demo", l.Organization)
		told = append(told, l.Action+" "+l.Door+" "+l.Outcome)
	}
	require.Equal(t, []string{"export.audit http done", "mutation.evaluateOrganization graphql SCOPE_MISSING", "import.nmap http SCOPE_MISSING"}, told[:3])
	require.Regexp(t, `^import\.nmap http [A-Z_]+$`, told[3])

	// The same list over the API, the other way round; the export between has an entry.
	answer := askWith(t, a, a.Tokens().Admin, `query Log { organization(slug: "demo") { auditLog(first: 100) { nodes { id action } } } }`, "Log", "")
	require.Empty(t, answer.Errors)
	var shown struct {
		AuditLog struct{ Nodes []struct{ ID, Action string } }
	}
	require.NoError(t, json.Unmarshal(answer.Data["organization"], &shown))
	nodes := shown.AuditLog.Nodes
	require.Len(t, nodes, len(list)+1)
	for i, l := range list {
		require.Equal(t, l.ID, nodes[len(nodes)-1-i].ID)
	}

	_, metrics := plain(t, a, "", "/metrics")
	require.Contains(t, string(metrics), "exposuregraph_audit_failures_total 0\n")
	_, err := database.Super(t).Exec(context.Background(), `ALTER TABLE audit_entry RENAME TO audit_entry_away`)
	require.NoError(t, err)
	status, body := send(http.MethodPost, "/graphql", a.Tokens().Admin, `{"query":"mutation { evaluateOrganization(input: {organization: \"demo\"}) { userErrors { code } } }"}`)
	require.Equal(t, 200, status)
	require.NotContains(t, body, "errors\":[{", "what was done is answered: %s", body)
	_, metrics = plain(t, a, "", "/metrics")
	require.Contains(t, string(metrics), "exposuregraph_audit_failures_total 1\n")
}
