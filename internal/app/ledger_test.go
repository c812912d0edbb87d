package app_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// TestLedgerIsSignedAndHandedOut makes the demo, whose syncs are entries, and
// checks what the server signed and hands out as somebody else would.
func TestLedgerIsSignedAndHandedOut(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c := config(database)
	folder := t.TempDir()
	c.Demo, c.LedgerKey, c.CheckpointDir = true, filepath.Join(folder, "my.key"), filepath.Join(folder, "kept")
	requireRefused(t, c, problem.Invalid, "LEDGER_KEY_UNREADABLE") // one that was named is not made
	_, made, err := book.MakeKey(c.LedgerKey)
	require.NoError(t, err)
	require.True(t, made)
	a, stop := start(t, c)

	get := func(path string) []byte {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+path, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+a.Tokens().Admin)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode, string(content))
		return content
	}
	var kept []byte
	require.Eventually(t, func() bool {
		files, _ := filepath.Glob(filepath.Join(c.CheckpointDir, "demo", "*.checkpoint"))
		if len(files) == 0 {
			return false
		}
		kept, err = os.ReadFile(files[0])
		return err == nil
	}, 20*time.Second, 50*time.Millisecond, "the ledger is signed soon after the start")
	require.Equal(t, string(kept), string(get("/ledgers/demo/checkpoint")))
	verifier, err := note.NewVerifier(strings.TrimSpace(string(get("/ledger-key"))))
	require.NoError(t, err)
	report, err := ledger.VerifyExport(bytes.NewReader(get("/ledgers/demo")), ledger.Expect{
		Organization: id.Organization("demo"), Keys: note.VerifierList(verifier), Kept: []ledger.Kept{{Name: "kept", Note: string(kept)}}})
	require.NoError(t, err)
	require.True(t, report.OK(), "%v", report.Faults)
	require.Positive(t, report.Size)
	require.Equal(t, []int{1, 1}, []int{report.Checkpoints, report.Kept})
	require.NoError(t, stop())

	// And all that the demo did agrees with its ledger.
	pool, err := db.Open(t.Context(), database.RuntimeURL, db.Options{MaxConns: 1})
	require.NoError(t, err)
	defer pool.Close()
	snapshot := pool.Snapshot()
	defer snapshot.Close(t.Context())
	for _, slug := range []string{"demo", "demo-kubernetes"} {
		stored, err := book.New(time.Now).Verify(t.Context(), snapshot, &org.Organization{ID: id.Organization(slug), Slug: slug}, book.Trust{Keys: []note.Verifier{verifier}})
		require.NoError(t, err)
		require.True(t, stored.Holds(), "%v", stored.Faults)
		require.Positive(t, stored.Rows)
	}
}

func TestLedgerKeyFile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		given  string
		config app.DatabaseConfig
		want   string
	}{
		"given":                {"mine.key", app.DatabaseConfig{DataDir: "/data"}, "mine.key"},
		"given with a URL":     {"mine.key", app.DatabaseConfig{URL: "postgres://x"}, "mine.key"},
		"embedded":             {"", app.DatabaseConfig{DataDir: "/data"}, "/data/ledger.key"},
		"a URL, and no key":    {"", app.DatabaseConfig{URL: "postgres://x", DataDir: "/data"}, ""},
		"an owner, and no key": {"", app.DatabaseConfig{OwnerURL: "postgres://x"}, ""},
	} {
		file, err := app.LedgerKeyFile(test.given, test.config)
		require.NoError(t, err, name)
		require.Equal(t, test.want, file, name)
	}
}
