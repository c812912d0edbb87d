package cli_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const auditPage = `{"data":{"organization":{"list":{"nodes":[
	{"id":"a1","at":"2026-03-01T12:00:00Z","subject":"=ada\u0007","action":"import.nmap","outcome":"done","door":"HTTP","requestId":"r1","properties":[{"name":"result","value":"applied"},{"name":"recordsRead","value":"3"}],"touched":["x","y"]},
	{"id":"a2","at":"2026-03-01T11:00:00Z","subject":"bob","action":"mutation.undoBatch","outcome":"SCOPE_MISSING","door":"GRAPHQL","requestId":null,"properties":[],"touched":[]}],
	"pageInfo":{"hasNextPage":false}}}}}`

func TestAuditList(t *testing.T) {
	t.Parallel()
	var body string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		body = string(content)
		answer(200, auditPage)(w, r)
	})
	for form, want := range map[string]string{
		"table": "AT                    SUBJECT  ACTION              OUTCOME        DOOR     PROPERTIES\n" +
			"2026-03-01T12:00:00Z  =ada     import.nmap         done           http     result=applied recordsRead=3\n" +
			"2026-03-01T11:00:00Z  bob      mutation.undoBatch  SCOPE_MISSING  graphql  \n",
		"csv": "id,at,subject,action,outcome,door,requestId,properties,touched\n" +
			"a1,2026-03-01T12:00:00Z,'=ada\a,import.nmap,done,http,r1,result=applied recordsRead=3,x y\n" +
			"a2,2026-03-01T11:00:00Z,bob,mutation.undoBatch,SCOPE_MISSING,graphql,,,\n",
		"ndjson": `{"id":"a1","at":"2026-03-01T12:00:00Z","subject":"=ada\u0007","action":"import.nmap","outcome":"done","door":"HTTP","requestId":"r1","properties":[{"name":"result","value":"applied"},{"name":"recordsRead","value":"3"}],"touched":["x","y"]}` + "\n" +
			`{"id":"a2","at":"2026-03-01T11:00:00Z","subject":"bob","action":"mutation.undoBatch","outcome":"SCOPE_MISSING","door":"GRAPHQL","requestId":null,"properties":[],"touched":[]}` + "\n",
	} {
		code, stdout, stderr := world{}.run(t.Context(), "audit", "list", "--org", "acme", "-o", form, "--server", server)
		require.Equal(t, 0, code, stderr)
		require.Equal(t, want, stdout, form)
	}
	code, stdout, _ := world{}.run(t.Context(), "audit", "list", "--org", "acme", "-o", "json", "--server", server, "--limit", "2", "--action", "mutation.", "--action", "import.nmap",
		"--subject", "bob", "--outcome", "SCOPE_MISSING", "--since", "2026-03-01T00:00:00Z", "--until", "2026-03-02T00:00:00Z")
	require.Equal(t, 0, code)
	require.True(t, strings.HasPrefix(stdout, `[{"id":"a1"`), stdout)
	for _, part := range []string{`"action":["mutation.","import.nmap"]`, `"subject":["bob"]`, `"outcome":["SCOPE_MISSING"]`, `"since":"2026-03-01T00:00:00Z"`, `"until":"2026-03-02T00:00:00Z"`, `"first":2`, `"slug":"acme"`} {
		require.Contains(t, body, part)
	}
	code, _, stderr := world{}.run(t.Context(), "audit", "list", "--org", "acme", "--server", serve(t, answer(200, `{"data":{"organization":null}}`)))
	require.Equal(t, 4, code)
	require.Contains(t, stderr, "ORGANIZATION_NOT_FOUND")
	code, _, stderr = world{}.run(t.Context(), "audit", "list", "--org", "acme", "--server",
		serve(t, answer(200, `{"data":{"organization":{"list":null}},"errors":[{"message":"no","extensions":{"kind":"denied","code":"SCOPE_MISSING"}}]}`)))
	require.Equal(t, 5, code)
	require.Contains(t, stderr, "SCOPE_MISSING")
}

func TestAuditExport(t *testing.T) {
	t.Parallel()
	var asked string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.String()
		_, _ = io.WriteString(w, "{}\n{}\n")
	})
	code, stdout, stderr := world{}.run(t.Context(), "audit", "export", "--org", "acme", "--since", "2026-03-01T00:00:00Z", "--server", server)
	require.Equal(t, 0, code, stderr)
	require.Equal(t, []string{"{}\n{}\n", "GET /organizations/acme/audit.jsonl?since=2026-03-01T00%3A00%3A00Z"}, []string{stdout, asked})
	for _, args := range [][]string{{}, {"nonsense"}, {"export"}, {"list"}, {"export", "--org", "../healthz"}, {"export", "--org", "a", "--since", "yesterday"}, {"list", "--org", "a", "--limit", "-1"},
		{"list", "--org", "a", "--until", "2026-03-01"}, {"list", "--org", "a", "-o", "xml"}, {"list", "--org", "a", "b"}} {
		code, _, _ := world{}.run(t.Context(), append([]string{"audit"}, args...)...)
		require.Equal(t, 2, code, args)
	}
}

// TestDoctorAudit: what a server lost is a failure, and no server is none.
func TestDoctorAudit(t *testing.T) {
	t.Parallel()
	doctor := func(metrics string) (int, string) {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/metrics" {
				_, _ = io.WriteString(w, metrics)
				return
			}
			answer(200, `{"ready":true}`)(w, r)
		})
		code, stdout, _ := world{}.run(t.Context(), "doctor", "--data-dir", t.TempDir(), "--server", server)
		return code, stdout
	}
	const measure = "# TYPE exposuregraph_audit_failures_total counter\nexposuregraph_audit_failures_total "
	code, stdout := doctor(measure + "0\n")
	require.Equal(t, 0, code, stdout)
	require.Regexp(t, `(?m)^ok +audit log +the server has lost no entry`, stdout)
	code, stdout = doctor(measure + "3\n")
	require.Equal(t, 7, code, stdout)
	require.Regexp(t, `(?m)^failed +audit log +the server could not write 3 entries.*AUDIT_ENTRIES_LOST`, stdout)
	code, stdout = doctor("something else\n")
	require.Equal(t, 0, code)
	require.Regexp(t, `(?m)^skipped +audit log`, stdout)
}
