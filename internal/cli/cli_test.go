package cli_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/cli"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is what a command line runs in.
type world struct {
	env   map[string]string
	stdin string
}

// run gives the exit code and what was printed.
func (w world) run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cli.Run(ctx, cli.Process{
		Args: args, Stdin: strings.NewReader(w.stdin), Stdout: &out, Stderr: &errs, Now: func() time.Time { return noon },
		LookupEnv: func(name string) (string, bool) { value, ok := w.env[name]; return value, ok },
	})
	return code, out.String(), errs.String()
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	config := write(t, filepath.Join(t.TempDir(), "config.yaml"), "lisen: x\n")
	for _, args := range [][]string{
		{"nonsense"},
		{"--nonsense"},
		{"tail"}, {"tail", "--org", "acme", "extra"}, {"tail", "--org", "acme", "--after", "c", "--from-now"}, {"tail", "--org", "acme", "-o", "csv"},
		{"findings", "list"}, {"bundle", "write"}, {"completion", "bash"}, // of later releases
		{"ledger", "verify"}, // of what?
		{"serve", "extra"},
		{"serve", "--demo=perhaps"},
		{"import"}, {"import", "kubernetes"},
		{"import", "kubernetes", "-"}, // no organization
		{"import", "kubernetes", "-", "-", "--org", "acme"},
		{"import", "kubernetes", "-", "--org", "acme", "--observed-at", "yesterday"},
		{"import", "kubernetes", "-", "--org", "acme", "--observed-at", "2026-03-01"},
		{"import", "kubernetes", "-", "--org", "acme", "-o", "csv"},
		{"import", "kubernetes", "-", "--org", "acme", "--server", "localhost"},
		{"query"}, {"query", "a", "b"}, {"query", "-", "--variables", "[1]"}, {"query", "-", "--variables", "{"},
		{"token"}, {"token", "create"}, {"token", "create", "--org", "a", "--all-orgs"}, {"token", "create", "--org", "A!"},
		{"token", "create", "--org", "a", "--ttl", "soon"},
		{"token", "create", "--org", "a", "--attribute", "env"}, {"token", "create", "--org", "a", "--attribute", "colour=red"},
		{"token", "create", "--org", "a", "--attribute", "env=a b"}, {"token", "revoke"}, {"token", "revoke", "a", "b"}, {"token", "list", "x"},
		{"token", "hash-secret", "my-secret"}, {"token", "list", "--database-url", "postgres:///x"}, {"token", "revoke", "a", "--database-url", "postgres:///x"},
		{"token", "create", "--org", "a", "--database-url", "postgres:///x"},
		{"invariant"}, {"invariant", "mend"}, {"migrate"}, {"migrate", "sideways"}, {"migrate", "up", "--database-url", "postgres:///x"}, {"migrate", "down", "--database-url", "postgres:///x"},
		{"version", "-o", "xml"},
		{"version", "--config", "/nowhere.yaml"},
		{"version", "--config", config},
	} {
		code, stdout, stderr := world{}.run(t.Context(), args...)
		require.Equal(t, 2, code, "%v: %s", args, stderr)
		require.Empty(t, stdout, args)
		require.Contains(t, stderr, "exposuregraph: ", args)
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"help"}, {"--help"}, {"import", "--help"}} {
		code, stdout, stderr := world{}.run(t.Context(), args...)
		require.Equal(t, 0, code, args)
		require.Contains(t, stdout, "Usage:", args)
		require.Empty(t, stderr, args)
	}
	code, stdout, _ := world{}.run(t.Context(), "version")
	require.Equal(t, 0, code)
	require.Contains(t, stdout, "exposuregraph ")
	_, stdout, _ = world{}.run(t.Context(), "version", "-o", "json")
	require.Contains(t, stdout, `"commit":`)
}

// TestPrecedence holds: flag beats env beats file beats default.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	var got http.Header
	var query string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got, query = r.Header, r.URL.RawQuery
		answer(200, `{"syncId":"00000000-0000-0000-0000-000000000000"}`)(w, r)
	})
	folder := t.TempDir()
	config := write(t, filepath.Join(folder, "config.yaml"),
		"server: "+server+"\ntoken: of-file\norg: of-file\nsystem: of-file\npartial: true\nlisten: 127.0.0.1:9\nscope: [vuln:view, vuln:audit]\nttl: 5m\n")
	env := map[string]string{"EXPOSUREGRAPH_CONFIG": config, "EXPOSUREGRAPH_ORG": "of-env", "EXPOSUREGRAPH_TOKEN": "of-env", "EXPOSUREGRAPH_SOURCE": ""}
	for name, test := range map[string]struct {
		env   map[string]string
		args  []string
		token string
		query string
	}{
		"flag": {env, []string{"--org", "of-flag", "--token", "of-flag", "--partial=false"}, "of-flag", "create=true&org=of-flag&system=of-file"},
		"env":  {env, nil, "of-env", "create=true&org=of-env&partial=true&system=of-file"},
		"file": {nil, []string{"--config", config}, "of-file", "create=true&org=of-file&partial=true&system=of-file"},
		"a file of the flag beats one of the environment": {map[string]string{"EXPOSUREGRAPH_CONFIG": "/nowhere"},
			[]string{"--config", config}, "of-file", "create=true&org=of-file&partial=true&system=of-file"},
		"default": {nil, []string{"--server", server, "--org", "x"}, "", "create=true&org=x"},
	} {
		code, _, stderr := world{env: test.env, stdin: "x"}.run(t.Context(), append([]string{"import", "auto", "-"}, test.args...)...)
		require.Equal(t, 0, code, "%s: %s", name, stderr)
		want := ""
		if test.token != "" {
			want = "Bearer " + test.token
		}
		require.Equal(t, want, got.Get("Authorization"), name)
		require.Equal(t, test.query, query, name)
	}

	for _, bad := range []map[string]string{{"EXPOSUREGRAPH_PARTIAL": "perhaps"}, {"EXPOSUREGRAPH_CONFIG": "/nowhere"}} {
		code, _, stderr := world{env: bad}.run(t.Context(), "import", "auto", "-", "--org", "x")
		require.Equal(t, 2, code)
		for name := range bad {
			require.Contains(t, stderr, strings.Replace(name, "EXPOSUREGRAPH_CONFIG", "--config", 1), "the message names where the value stands")
		}
	}
	for _, bad := range []string{"- a\n", "org: [a]\n", "org: {a: b}\n", "partial: perhaps\n", "a: b: c\n"} {
		code, _, stderr := world{}.run(t.Context(), "import", "auto", "-", "--config", write(t, filepath.Join(folder, "bad.yaml"), bad))
		require.Equal(t, 2, code, "%q: %s", bad, stderr)
		require.Contains(t, stderr, "bad.yaml")
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	const denied = `{"errors":[{"message":"no","extensions":{"code":"SCOPE_MISSING","kind":"denied"}}],"data":null}`
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		code    int
		stdout  string
		stderr  string
	}{
		"data":             {answer(200, `{"data":{"a":"<1>"}}`), 0, "{\n  \"data\": {\n    \"a\": \"<1>\"\n  }\n}\n", ""},
		"an error":         {answer(200, `{"errors":[{"message":"no","extensions":{"code":"X"}}]}`), 1, `"message": "no"`, "no [X]"},
		"denied":           {answer(200, denied), 5, `"SCOPE_MISSING"`, "no [SCOPE_MISSING]"},
		"denied by code":   {answer(200, `{"errors":[{"message":"no","extensions":{"code":"TOKEN_MISSING"}}]}`), 5, "", ""},
		"not found":        {answer(200, `{"errors":[{"message":"no","extensions":{"code":"X","kind":"not_found"}}]}`), 4, "", ""},
		"a bad document":   {answer(400, `{"errors":[{"message":"no","extensions":{"code":"GRAPHQL_PARSE_FAILED"}}]}`), 1, "GRAPHQL_PARSE_FAILED", ""},
		"a bad token":      {answer(401, `{"error":{"kind":"unauthentic","code":"TOKEN_EXPIRED","message":"it expired"}}`), 5, "", "it expired [TOKEN_EXPIRED]"},
		"no database":      {answer(503, `{"error":{"kind":"unavailable","code":"X","message":"down"}}`), 7, "", "down"},
		"another server":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, 1, "", "is --server right?"},
		"a broken gateway": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad gateway", http.StatusBadGateway) }, 7, "", "502"},
		"a redirect":       {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, 1, "", "302"},
	} {
		code, stdout, stderr := world{stdin: "{a}"}.run(t.Context(), "query", "-", "--server", serve(t, test.handler))
		require.Equal(t, test.code, code, "%s: %s", name, stderr)
		require.Contains(t, stdout, test.stdout, name)
		require.Contains(t, stderr, test.stderr, name)
	}

	var body string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		body = string(content)
		answer(200, `{"data":{}}`)(w, r)
	})
	file := write(t, filepath.Join(t.TempDir(), "q.graphql"), "query A($n: Int) { a(n: $n) }")
	code, _, stderr := world{}.run(t.Context(), "query", file, "--variables", `{"n": 12345678901234567890}`, "--server", server)
	require.Equal(t, 0, code, stderr)
	require.JSONEq(t, `{"query":"query A($n: Int) { a(n: $n) }","variables":{"n":12345678901234567890}}`, body)
	code, _, _ = world{}.run(t.Context(), "query", "/nowhere.graphql", "--server", server)
	require.Equal(t, 1, code)
	code, _, stderr = world{}.run(t.Context(), "query", file, "--server", "http://127.0.0.1:1")
	require.Equal(t, 7, code)
	require.Contains(t, stderr, "exposuregraph serve")
}

func TestDatabaseCommands(t *testing.T) {
	t.Parallel()
	database := dbtest.Empty(t)
	both := world{env: map[string]string{"DATABASE_URL": database.RuntimeURL, "EXPOSUREGRAPH_OWNER_DATABASE_URL": database.OwnerURL}}

	code, _, stderr := both.run(t.Context(), "token", "create", "--org", "acme")
	require.Equal(t, 7, code)
	require.Contains(t, stderr, "migrate up")
	code, stdout, _ := both.run(t.Context(), "migrate", "status")
	require.Equal(t, 0, code)
	require.Contains(t, stdout, "missing")
	code, stdout, _ = both.run(t.Context(), "doctor")
	require.Equal(t, 7, code)
	require.Contains(t, stdout, "SCHEMA_OUTDATED")

	code, stdout, stderr = both.run(t.Context(), "migrate", "up")
	require.Equal(t, 0, code, stderr)
	require.Empty(t, stdout)
	code, stdout, _ = both.run(t.Context(), "migrate", "status", "-o", "json")
	require.Equal(t, 0, code)
	require.Contains(t, stdout, `"applied":true`)
	require.NotContains(t, stdout, `"applied":false`)
	code, stdout, _ = both.run(t.Context(), "doctor", "-o", "json")
	require.Equal(t, 0, code, "no server was named, so none is needed: %s", stdout)
	require.Contains(t, stdout, `{"check":"self-test","status":"ok"`)
	code, stdout, _ = both.run(t.Context(), "doctor", "--server", "http://127.0.0.1:1")
	require.Equal(t, 7, code, "a server that was named must answer")
	require.Contains(t, stdout, "SERVER_UNREACHABLE")
	code, _, _ = both.run(t.Context(), "doctor", "--server", serve(t, answer(200, `{"ready":true}`)))
	require.Equal(t, 0, code)

	code, stdout, stderr = both.run(t.Context(), "token", "create", "--org", "acme", "--org", "demo", "--ttl", "5m")
	require.Equal(t, 0, code, stderr)
	require.Regexp(t, `^[\w-]+\.[\w-]+\.[\w-]+\n$`, stdout, "the token and nothing else")
	for _, test := range []struct{ role, want string }{
		{"client", `"scopes":["vuln:view"]`},
		{"admin", `"scopes":["vuln:view","vuln:investigate","vuln:operate","vuln:audit","vuln:approve"]`},
	} {
		_, stdout, _ = both.run(t.Context(), "token", "create", "--all-orgs", "--role", test.role, "-o", "json")
		require.Contains(t, stdout, test.want)
		require.Contains(t, stdout, `"expiresAt":"2026-03-01T13:00:00Z"`)
		require.Contains(t, stdout, `"organizations":[]`)
	}
	code, _, stderr = both.run(t.Context(), "token", "create", "--org", "acme", "--scope", "vuln:veiw")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "vuln:view", "the message lists the scopes")

	code, _, _ = both.run(t.Context(), "migrate", "down")
	require.Equal(t, 0, code)
	_, stdout, _ = both.run(t.Context(), "migrate", "status")
	require.Contains(t, stdout, "missing")
	code, _, _ = world{}.run(t.Context(), "migrate", "status", "--database-url", "postgres://x@127.0.0.1:1/x")
	require.Equal(t, 7, code)
}
