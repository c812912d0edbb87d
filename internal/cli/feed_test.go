package cli_test

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	feeds "github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// TestFeed: an organization whose outbox lost what happened, another that is well,
// and one in which nothing happened.
func TestFeed(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	w := world{env: map[string]string{"DATABASE_URL": database.RuntimeURL}}
	feed := func(code int, args ...string) (stdout, stderr string) {
		t.Helper()
		got, stdout, stderr := w.run(t.Context(), append([]string{"feed"}, args...)...)
		require.Equal(t, code, got, "%v: %s%s", args, stdout, stderr)
		return stdout, stderr
	}
	stdout, stderr := feed(0, "status")
	require.Empty(t, stdout)
	require.Contains(t, stderr, "no organization")
	stdout, _ = feed(0, "status", "-o", "json")
	require.Equal(t, "[]\n", stdout)

	super := database.Super(t)
	exec := func(sql string, args ...any) {
		_, err := super.Exec(t.Context(), sql, args...)
		require.NoError(t, err, sql)
	}
	acme := id.Organization("acme")
	for _, slug := range []string{"acme", "rival", "idle"} {
		exec(`INSERT INTO organization (id, slug, name, created_at) VALUES ($1, $2, $2, $3)`, id.Organization(slug), slug, noon)
	}
	for i, slug := range []string{"acme", "acme", "rival"} {
		exec(`INSERT INTO source (organization_id, id, name, system, format, created_at) VALUES ($1, $1, 'cmdb', 'prod', 'snapshot', $2) ON CONFLICT DO NOTHING`, id.Organization(slug), noon)
		exec(`INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, outcome, complete, content_digest, records_read, records_rejected,
			paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings)
			VALUES ($1, gen_random_uuid(), $1, $2, $3, $3, $3, '', 'unchanged', true, $1, 0, 0, 0, 0, 0, 0, '[]', '[]')`, id.Organization(slug), i+1, noon.Add(time.Duration(i)*time.Second))
	}
	exec(`INSERT INTO change_gap (organization_id, at, cause, reason, recorded_at) VALUES ($1, $2, 'sync', 'no', $2)`, acme, noon)
	exec(`INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at) VALUES ($1, $2, 'sync', false, 1, $3)`, id.Organization("rival"), noon.Add(2*time.Second), noon.Add(-time.Hour))

	stdout, _ = feed(0, "status")
	require.Regexp(t, `(?m)^warning +acme +0 events published +0 notes wait +1 gap, since 2026-03-01T12:00:00Z$`, stdout)
	require.Regexp(t, `(?m)^ok +idle +0 events published +0 notes wait +0 gaps$`, stdout)
	require.Regexp(t, `(?m)^warning +rival +0 events published +1 note waits, since 2026-03-01T11:00:00Z +0 gaps$`, stdout)

	stdout, _ = feed(0, "repair", "--org", "acme")
	require.Contains(t, stdout, "gaps filled: 1 of cause sync; found by the history: 1 of cause sync\n")
	require.Regexp(t, `(?m)^ok +acme +0 events published +2 notes wait, since 2026-03-01T12:00:00Z +0 gaps$`, stdout)
	stdout, _ = feed(0, "repair", "--org", "acme", "-o", "json")
	var done struct {
		Organization  string
		Filled, Found map[string]int
		Status        feeds.Status
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &done))
	require.Equal(t, "acme", done.Organization)
	require.Empty(t, done.Filled)
	require.Empty(t, done.Found)
	require.Equal(t, int64(2), done.Status.Pending)

	head, err := feeds.NewSequencer(database.DB, func() time.Time { return noon }, slog.New(slog.DiscardHandler)).Drain(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, int64(2), head)
	stdout, _ = feed(0, "status", "--org", "acme")
	require.Regexp(t, `^ok +acme +2 events published, the last at 2026-03-01T12:00:00Z +0 notes wait +0 gaps\n$`, stdout)
	stdout, _ = feed(0, "status", "--org", "acme", "-o", "json")
	require.JSONEq(t, `[{"organization": "acme", "head": 2, "publishedAt": "2026-03-01T12:00:00Z", "pending": 0, "pendingSince": null, "gaps": 0, "gapsSince": null}]`, stdout)

	_, stderr = feed(4, "status", "--org", "nobody")
	require.Contains(t, stderr, "ORGANIZATION_NOT_FOUND")
	_, stderr = feed(4, "repair", "--org", "nobody")
	require.Contains(t, stderr, "ORGANIZATION_NOT_FOUND")
	_, stderr = feed(2, "repair")
	require.Contains(t, stderr, "--org SLUG")
	w.env = nil
	for _, command := range []string{"status", "repair"} {
		args := []string{command, "--org", "acme"}
		_, stderr = feed(4, append(args, "--data-dir", filepath.Join(t.TempDir(), "none"))...)
		require.Contains(t, stderr, "DATABASE_MISSING")
		feed(2, append(args, "--owner-database-url", database.OwnerURL)...)
		feed(2, append(args, "-o", "csv")...)
		feed(2, append(args, "extra")...)
		feed(7, append(args, "--database-url", dbtest.Empty(t).RuntimeURL)...)
	}
	feed(2)
}
