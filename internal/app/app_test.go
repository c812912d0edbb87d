package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func config(database *dbtest.Database) app.Config {
	return app.Config{
		Listen: "127.0.0.1:0", DatabaseURL: database.RuntimeURL, OwnerDatabaseURL: database.OwnerURL,
		Files: app.FilesConfig{Location: filepath.Join(database.Folder, "files")}, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	}
}

// start runs an app until the test stops it.
func start(t *testing.T, config app.Config) (*app.App, func() error) {
	t.Helper()
	a, err := app.New(t.Context(), config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-ended
		require.NoError(t, a.Close())
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return a, stop
}

// reply is what a document is answered with.
type reply struct {
	Data   map[string]json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct{ Code string }
	}
}

func ask(t *testing.T, a *app.App, token, document string, operation ...string) reply {
	t.Helper()
	return askWith(t, a, token, document, strings.Join(operation, ""), "")
}

// askWith asks with variables, as the text of an object, or without.
func askWith(t *testing.T, a *app.App, token, document, operation, variables string) (answer reply) {
	t.Helper()
	asked := map[string]any{"query": document, "operationName": operation}
	if variables != "" {
		asked["variables"] = json.RawMessage(variables)
	}
	body, err := json.Marshal(asked)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+"/graphql", bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &answer), string(content))
	return answer
}

func TestReady(t *testing.T) {
	t.Parallel()
	a, _ := start(t, config(dbtest.New(t)))
	response, err := http.Get(a.URL() + "/readyz")
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"ready":true,"checks":{"database":{"ok":true},"self_test":{"ok":true}}}`, string(body))
	require.Nil(t, a.Tokens())
}

// TestMetrics: what on-call looks at is there from the first moment on, without a
// token.
func TestMetrics(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	a, _ := start(t, config(database))
	super := database.Super(t)
	for _, sql := range []string{
		`INSERT INTO organization VALUES (md5('acme')::uuid, 'acme', 'acme', now())`,
		`INSERT INTO change_head VALUES (md5('acme')::uuid, 12)`,
		`INSERT INTO change_gap (organization_id, at, cause, reason, recorded_at) VALUES (md5('acme')::uuid, now(), 'sync', 'no', now())`,
	} {
		_, err := super.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	response, err := http.Get(a.URL() + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	for name, value := range map[string]string{"change_outbox_failures_total": "0", "changes_published_total": "12", "change_backlog": `\d+`, "change_gaps": `\d+`,
		"subscribers": "0", "subscriptions_cut_total": "0"} {
		require.Regexp(t, `(?m)^exposuregraph_`+name+` `+value+`$`, string(body))
	}
}

func TestWithoutOwner(t *testing.T) {
	t.Parallel()
	migrated := config(dbtest.New(t))
	migrated.OwnerDatabaseURL = ""
	a, stop := start(t, migrated)
	require.NotEmpty(t, a.URL())
	require.NoError(t, stop())

	migrated.Demo = true
	requireRefused(t, migrated, problem.Invalid, "OWNER_ROLE_NEEDED")

	empty := config(dbtest.Empty(t))
	empty.OwnerDatabaseURL = ""
	requireRefused(t, empty, problem.Unavailable, "SCHEMA_OUTDATED")
}

func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := config(database)
	port.Listen = taken.Addr().String()
	requireRefused(t, port, problem.Unavailable, "ADDRESS_TAKEN")
	port.Listen = "nonsense"
	requireRefused(t, port, problem.Unavailable, "ADDRESS_UNUSABLE")

	ownerOnly := config(database)
	ownerOnly.DatabaseURL = ""
	requireRefused(t, ownerOnly, problem.Invalid, "BOTH_ROLES_NEEDED")

	strong := config(database)
	strong.DatabaseURL = database.OwnerURL
	strong.OwnerDatabaseURL = ""
	requireRefused(t, strong, problem.Invalid, "RUNTIME_ROLE_TOO_STRONG")

	nowhere := config(database)
	nowhere.DatabaseURL, nowhere.OwnerDatabaseURL = "postgres://x@127.0.0.1:1/x", ""
	requireRefused(t, nowhere, problem.Unavailable, "DATABASE_UNREACHABLE")
	nowhere.DatabaseURL = "::nonsense"
	a, err := app.New(t.Context(), nowhere)
	require.Error(t, err)
	require.Nil(t, a)
}

func requireRefused(t *testing.T, config app.Config, kind problem.Kind, code string) {
	t.Helper()
	_, err := app.New(t.Context(), config)
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	require.Equal(t, code, typed.Code, "%v", err)
	require.Equal(t, kind, typed.Kind)
}

// TestEmbedded runs a PostgreSQL of the app's own, and kills it.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	folder, err := devpg.TempDir()
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	embedded := app.Config{Listen: "127.0.0.1:0", DataDir: folder, Logger: slog.New(slog.DiscardHandler), Now: time.Now}

	a, err := app.New(t.Context(), embedded)
	require.NoError(t, err)
	requireRefused(t, embedded, problem.Conflict, "DATA_FOLDER_IN_USE")
	attached, err := app.OpenDatabase(t.Context(), app.DatabaseConfig{DataDir: folder, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, attached.CheckSchema(t.Context()))
	require.NoError(t, attached.Close(), "closing what another runs leaves it running")

	ended := make(chan error, 1)
	go func() { ended <- a.Run(t.Context()) }()
	require.NoError(t, stopPostgres(t, attached))
	select {
	case err := <-ended:
		require.Equal(t, problem.Unavailable, problem.KindOf(err))
		require.ErrorContains(t, err, "PostgreSQL")
	case <-time.After(30 * time.Second):
		t.Fatal("the app serves on without its database")
	}
	require.NoError(t, a.Close())
}

// stopPostgres ends the server by its postmaster.pid, beside the data.
func stopPostgres(t *testing.T, database *app.Database) error {
	t.Helper()
	address, err := url.Parse(database.RuntimeURL)
	require.NoError(t, err)
	// The lock of the socket begins with the number of the process.
	content, err := os.ReadFile(address.Query().Get("host") + "/.s.PGSQL.5432.lock")
	require.NoError(t, err)
	pid, _, _ := strings.Cut(string(content), "\n")
	process, err := os.FindProcess(atoi(t, pid))
	require.NoError(t, err)
	return process.Kill()
}

func atoi(t *testing.T, text string) (n int) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &n))
	return n
}
