package file_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/file"
)

// shadowed are what the statements of this package name.
var shadowed = []string{"file", "file_upload", "sync"}

// shadow gives a rival the same rows under the same ids, with other values.
func (b *bench) shadow() {
	b.t.Helper()
	exec := func(sql string, args ...any) {
		_, err := b.super.Exec(context.Background(), sql, args...)
		require.NoError(b.t, err, sql)
	}
	exec(`SET session_replication_role = replica`)
	for _, table := range shadowed {
		exec(`DELETE FROM `+table+` WHERE organization_id = $1`, rival)
		exec(`INSERT INTO `+table+` SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid))).* FROM `+table+` x WHERE organization_id = $2`, rival, acme)
	}
	exec(`UPDATE file SET name = 'theirs', at = at + interval '1 year', size = size + 1 WHERE organization_id = $1`, rival)
	exec(`UPDATE file_upload SET name = 'theirs', recorded_at = recorded_at - interval '1 year', sha256 = sha256('theirs') WHERE organization_id = $1`, rival)
}

func (b *bench) rows(sql string, args ...any) []string {
	b.t.Helper()
	rows, err := b.super.Query(context.Background(), sql, args...)
	require.NoError(b.t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b.t, err)
	return list
}

// TestFilePredicatesAlone has a file collected, found, examined and settled with row
// level security off, with and without another organization that has the same ids.
func TestFilePredicatesAlone(t *testing.T) {
	t.Parallel()
	play := func(shadowing bool) (outcome []any) {
		b := setup(t)
		scan := b.sync("acme").SyncID
		foreign := func() (marks []string) {
			for _, table := range shadowed {
				marks = append(marks, b.rows(`SELECT to_jsonb(x)::text FROM `+table+` x WHERE organization_id = $1 ORDER BY 1`, rival)...)
			}
			return marks
		}
		move := func() []string {
			if shadowing {
				b.shadow()
			}
			return foreign()
		}
		for _, table := range shadowed {
			_, err := b.super.Exec(b.ctx, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
			require.NoError(t, err)
		}
		b.collect(upload("there already"))
		b.die(upload("stored"), file.Stored)
		b.die(upload("intended"), file.Intended)
		before := move()
		b.Statements.Reset()
		known, created := b.collect(upload("there already"))
		outcome = append(outcome, *known, created)
		_, err := b.Find(b.ctx, acme, digest("stored"))
		outcome = append(outcome, codeOf(t, err))
		require.Equal(t, before, foreign())

		u := upload("new")
		u.Sync = &scan
		b.between = func(step file.Step) { // the rival has the same upload when this one is completed
			if step == file.Stored {
				before = move()
			}
		}
		f, created := b.collect(u)
		outcome = append(outcome, *f, created)
		require.Equal(t, before, foreign(), "what is the rival's stays")
		b.between = nil

		b.advance(file.PendingAge)
		before = move()
		found, err := b.Examine(b.ctx, acme)
		require.NoError(t, err)
		outcome = append(outcome, *found)
		settled, err := b.Settle(b.ctx, acme)
		require.NoError(t, err)
		outcome = append(outcome, settled)
		require.Equal(t, before, foreign(), "what is the rival's stays")
		require.Equal(t, shadowing, len(before) > 1, "it has more than its one sync")
		b.advance(time.Hour)
		sent := b.Statements.Sent()
		for _, query := range file.Queries.All() {
			require.Contains(t, sent, query.Name, "every statement is played")
		}
		return append(outcome, b.rows(`SELECT to_jsonb(x)::text FROM file x WHERE organization_id = $1 ORDER BY 1`, acme), b.count("file_upload"))
	}
	// Instants are the same, because the clock is the test's; the ids of uploads are gone with them.
	require.Equal(t, play(false), play(true))
}
