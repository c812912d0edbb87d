package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// ledgers are a database with the ledgers of acme, which has three entries and a
// checkpoint, and of rival, which has none.
type ledgers struct {
	*dbtest.Database

	super   *pgx.Conn
	world   world
	keyFile string
	key     *book.Key
	folder  string // of checkpoints
	library *book.Library
}

func newLedgers(t *testing.T) *ledgers {
	t.Helper()
	l := &ledgers{Database: dbtest.New(t), folder: filepath.Join(t.TempDir(), "checkpoints"), keyFile: filepath.Join(t.TempDir(), "ledger.key")}
	l.super = l.Super(t)
	l.world = world{env: map[string]string{"DATABASE_URL": l.RuntimeURL, "EXPOSUREGRAPH_LEDGER_KEY": l.keyFile}}
	for _, slug := range []string{"acme", "rival"} {
		_, err := l.super.Exec(t.Context(), `INSERT INTO organization (id, slug, name, created_at) VALUES ($1, $2, $2, now())`, id.Organization(slug), slug)
		require.NoError(t, err)
	}
	ctx := access.With(t.Context(), access.Actor{Subject: "ann", Scopes: access.Scopes, AllOrganizations: true})
	kept := book.New(func() time.Time { return noon })
	identity := id.Organization("an identity")
	for i := range 3 {
		at := noon.Add(time.Duration(i) * time.Second)
		_, err := l.super.Exec(t.Context(), `INSERT INTO scope_baseline VALUES ($1, $2, $3, 'attested', 'ann', 'Reviewed.')`, id.Organization("acme"), identity, at)
		require.NoError(t, err)
		require.NoError(t, l.Tenant(ctx, id.Organization("acme"), func(tx *db.Tx) error {
			_, err := kept.Append(ctx, tx, book.Draft{Kind: ledger.BaselineAttested, Payload: ledger.Baseline{Note: "Reviewed."}, OccurredAt: at,
				Subject: ledger.Subject{Kind: ledger.SubjectIdentity, ID: &identity}})
			return err
		}))
	}
	var err error
	l.key, _, err = book.MakeKey(l.keyFile)
	require.NoError(t, err)
	c := book.NewCheckpointer(book.CheckpointerConfig{DB: l.DB, Key: l.key, Folder: l.folder, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }})
	_, err = c.Look(ctx, &org.Organization{ID: id.Organization("acme"), Slug: "acme"})
	require.NoError(t, err)
	l.library = &book.Library{DB: l.DB, Book: kept, Key: l.key}
	return l
}

func (l *ledgers) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := l.super.Exec(t.Context(), `SET session_replication_role = replica; `+statement)
	require.NoError(t, err)
}

func (l *ledgers) run(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	got, stdout, stderr := l.world.run(t.Context(), append([]string{"ledger"}, args...)...)
	require.Equal(t, code, got, "%v: %s%s", args, stdout, stderr)
	return stdout, stderr
}

func TestLedgerVerify(t *testing.T) {
	t.Parallel()
	l := newLedgers(t)
	stdout, stderr := l.run(t, 0, "verify", "--org", "acme")
	require.Regexp(t, `^ok +acme +3 entries, 1 checkpoints, 0 kept elsewhere +head [0-9a-f]{64} +root [0-9a-f]{64}\n$`, stdout)
	require.Empty(t, stderr)
	stdout, _ = l.run(t, 0, "verify", "--all", "--checkpoint", l.folder)
	require.Regexp(t, `(?m)^ok +acme +3 entries, 1 checkpoints, 1 kept elsewhere`, stdout)
	require.Regexp(t, `(?m)^skipped +rival +0 entries, 0 checkpoints, 0 kept elsewhere`, stdout)
	stdout, _ = l.run(t, 0, "verify", "--org", "acme", "--checkpoint", filepath.Join(l.folder, "acme", "3.checkpoint"), "--key", l.key.PublicKey(), "-o", "json")
	var reports []book.Report
	require.NoError(t, json.Unmarshal([]byte(stdout), &reports))
	require.Len(t, reports, 1)
	require.Equal(t, 1, reports[0].Kept)
	require.True(t, reports[0].Signatures)

	// Without a key the signatures are nobody's word.
	delete(l.world.env, "EXPOSUREGRAPH_LEDGER_KEY")
	_, stderr = l.run(t, 0, "verify", "--org", "acme")
	require.Contains(t, stderr, "signatures of checkpoints were not looked at")
	other, _, err := book.MakeKey(filepath.Join(t.TempDir(), "other.key"))
	require.NoError(t, err)
	stdout, _ = l.run(t, 1, "verify", "--org", "acme", "--key", other.PublicKey())
	require.Contains(t, stdout, "CHECKPOINT_SIGNATURE")
	l.run(t, 0, "verify", "--org", "acme", "--key", other.PublicKey(), "--key", l.key.PublicKey())

	// What nobody but a checkpoint that left the database can tell.
	l.exec(t, `DELETE FROM ledger_entry WHERE seq = 3; DELETE FROM ledger_checkpoint; DELETE FROM scope_baseline WHERE at > '2026-03-01 12:00:01Z';
		UPDATE ledger_head h SET seq = 2, hash = e.hash, at = e.at FROM ledger_entry e WHERE e.seq = 2`)
	l.run(t, 0, "verify", "--org", "acme")
	stdout, _ = l.run(t, 1, "verify", "--org", "acme", "--checkpoint", l.folder)
	require.Regexp(t, `(?m)^failed +acme +2 entries`, stdout)
	require.Regexp(t, `(?m)^ +entry 2: TRUNCATED: .*3\.checkpoint is of 3 entries$`, stdout)
	l.exec(t, `UPDATE scope_baseline SET note = 'Other.' WHERE at = '2026-03-01 12:00Z'`)
	stdout, _ = l.run(t, 1, "verify", "--all")
	require.Regexp(t, `(?m)^ +entry 1, scope_baseline [0-9a-f-]+ 2026-03-01T12:00:00Z: ROW_MISMATCH: `, stdout)
	stdout, _ = l.run(t, 1, "verify", "--org", "acme", "-o", "json")
	require.NoError(t, json.Unmarshal([]byte(stdout), &reports))
	require.Equal(t, book.Fault{Code: book.RowMismatch, Seq: 1, Row: reports[0].Faults[0].Row, Message: "the row says otherwise than the entry"}, reports[0].Faults[0])

	l.run(t, 4, "verify", "--org", "nobody")
	l.run(t, 2, "verify")
	l.run(t, 2, "verify", "--org", "acme", "--all")
	l.run(t, 2, "verify", "--org", "acme", "--key", "nonsense")
	l.run(t, 2, "verify", "--org", "acme", "-o", "csv")
	l.run(t, 1, "verify", "--org", "acme", "--ledger-key", "/nowhere")
	l.run(t, 1, "verify", "--org", "acme", "--checkpoint", "/nowhere")
	l.run(t, 1, "verify", "--org", "acme", "--checkpoint", t.TempDir())
	l.run(t, 7, "verify", "--all", "--database-url", dbtest.Empty(t).RuntimeURL)
	l.world.env = nil
	l.run(t, 2, "verify", "--all", "--owner-database-url", l.OwnerURL)
	l.run(t, 4, "verify", "--all", "--data-dir", filepath.Join(t.TempDir(), "none"))
}

func TestLedgerVerifyFile(t *testing.T) {
	t.Parallel()
	l := newLedgers(t)
	var file bytes.Buffer
	ctx := access.With(t.Context(), access.Actor{Subject: "ann", Scopes: access.Scopes, AllOrganizations: true})
	require.NoError(t, l.library.Export(ctx, "acme", &file))
	name := write(t, filepath.Join(t.TempDir(), "acme.ndjson"), file.String())
	kept := filepath.Join(l.folder, "acme", "3.checkpoint")

	l.world.env = nil // it takes neither a database nor a server
	stdout, stderr := l.run(t, 0, "verify", name, "--key", l.key.PublicKey(), "--checkpoint", kept)
	require.Regexp(t, `^ok +\S*acme\.ndjson +3 entries, 1 checkpoints, 1 kept elsewhere`, stdout)
	require.Empty(t, stderr)
	l.world.stdin = file.String()
	_, stderr = l.run(t, 0, "verify", "-", "--org", "acme")
	require.Contains(t, stderr, "give --key")
	stdout, _ = l.run(t, 1, "verify", "-", "--org", "rival")
	require.Contains(t, stdout, "FOREIGN_ENTRY")
	l.world.stdin = strings.Join(strings.SplitAfter(file.String(), "\n")[:3], "")
	stdout, _ = l.run(t, 1, "verify", "-", "--checkpoint", kept)
	require.Regexp(t, `(?m)^ +entry 2: TRUNCATED: `, stdout)
	stdout, _ = l.run(t, 1, "verify", "-", "--checkpoint", kept, "-o", "json")
	var report ledger.Report
	require.NoError(t, json.Unmarshal([]byte(stdout), &report))
	require.NotEmpty(t, report.Faults)
	l.run(t, 1, "verify", "/nowhere.ndjson")
	l.run(t, 2, "verify", name, "--all")
	l.run(t, 2, "verify", name, name)
}

func TestLedgerDownloads(t *testing.T) {
	t.Parallel()
	var path, token string
	text := strings.Repeat("x", 100_000) + "\n"
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		path, token = r.URL.Path, r.Header.Get("Authorization")
		_, _ = io.WriteString(w, text)
	})
	for _, test := range []struct {
		path string
		args []string
	}{
		{"/ledgers/acme", []string{"export", "--org", "acme"}},
		{"/ledgers/acme/checkpoint", []string{"checkpoint", "--org", "acme"}},
		{"/ledger-key", []string{"key"}},
	} {
		code, stdout, stderr := world{}.run(t.Context(), append(append([]string{"ledger"}, test.args...), "--server", server, "--token", "t")...)
		require.Equal(t, 0, code, stderr)
		require.Equal(t, text, stdout)
		require.Equal(t, test.path, path)
		require.Equal(t, "Bearer t", token)
	}
	refusing := serve(t, answer(403, `{"error":{"kind":"denied","code":"SCOPE_MISSING","message":"no"}}`))
	code, stdout, stderr := world{}.run(t.Context(), "ledger", "export", "--org", "acme", "--server", refusing)
	require.Equal(t, 5, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "SCOPE_MISSING")
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, text)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	code, _, stderr = world{}.run(t.Context(), "ledger", "export", "--org", "acme", "--server", broken)
	require.Equal(t, 7, code)
	require.Contains(t, stderr, "ANSWER_CUT_OFF")
	for _, args := range [][]string{{}, {"nonsense"}, {"export"}, {"export", "--org", "../healthz"}, {"export", "--org", "a", "b"}, {"checkpoint"}, {"key", "x"}} {
		code, _, _ := world{}.run(t.Context(), append([]string{"ledger"}, args...)...)
		require.Equal(t, 2, code, args)
	}
}

func TestDoctorLedgerKey(t *testing.T) {
	t.Parallel()
	l := newLedgers(t)
	doctor := func(args ...string) (int, string) {
		code, stdout, _ := l.world.run(t.Context(), append([]string{"doctor"}, args...)...)
		return code, stdout
	}
	code, stdout := doctor()
	require.Equal(t, 0, code)
	require.Regexp(t, `(?m)^ok +ledger key +.*ledger\.key, which is checked with exposuregraph\+`, stdout)
	content, err := os.ReadFile(l.keyFile)
	require.NoError(t, err)
	require.NotContains(t, stdout, strings.TrimSpace(string(content)))
	delete(l.world.env, "EXPOSUREGRAPH_LEDGER_KEY")
	code, stdout = doctor()
	require.Equal(t, 0, code, "serving works without")
	require.Regexp(t, `(?m)^warning +ledger key +.*--ledger-key`, stdout)
	code, stdout = doctor("--ledger-key", "/nowhere")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "LEDGER_KEY_UNREADABLE")
	l.world.env = nil
	_, stdout = doctor("--data-dir", t.TempDir())
	require.Regexp(t, `(?m)^skipped +ledger key +there is none yet`, stdout)
}
