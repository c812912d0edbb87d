package progress_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/progress"
)

// TestProgressPredicatesAlone asks every statement for acme, without and beside a
// rival whose rows have the same ids, with row level security off.
func TestProgressPredicatesAlone(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	h.exec(`SET session_replication_role = replica`)
	for _, table := range []string{"sync_progress", "sync"} {
		h.exec(`ALTER TABLE ` + table + ` DISABLE ROW LEVEL SECURITY`)
	}
	old, ended, open := fresh(), fresh(), fresh()
	settle := func(organization id.ID) {
		h.exec(`DELETE FROM sync_progress WHERE organization_id = $1`, organization)
		for _, row := range []struct {
			id    id.ID
			phase string
			at    time.Time
		}{{old, "done", epoch.Add(-48 * time.Hour)}, {ended, "done", epoch}, {open, "merging", epoch}} {
			h.exec(`INSERT INTO sync_progress VALUES ($1, $2, 'ann', $3, 4, NULL, NULL, $4, $4)`, organization, row.id, row.phase, row.at)
		}
		h.exec(`DELETE FROM sync WHERE organization_id = $1`, organization)
		h.exec(`INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, content_digest, outcome, complete, records_read, records_rejected, paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings)
			SELECT $1, $2, $2, 1, $3, $3, $3, 'importer', $2, 'applied', true, 12, 0, 0, 0, 0, 0, '[]', '[]'`, organization, open, epoch)
	}
	later := epoch.Add(time.Minute)
	samples := map[string]pgx.StrictNamedArgs{
		"progress.sweep": {"before": epoch.Add(-24 * time.Hour)},
		"progress.begin": {"id": ended, "actor": "ann", "phase": "waiting", "started_at": later, "lost": epoch},
		"progress.write": {"id": open, "actor": "ann", "phase": "judging", "records": 9, "sync": nil, "code": nil, "started_at": epoch, "updated_at": later},
		"progress.rows":  {"ids": []id.ID{old, ended, open}}, "progress.of_sync": {"sync": open},
	}
	rows := func(organization id.ID) []string {
		return column[string](t, h.super, `SELECT to_jsonb(p)::text FROM sync_progress p WHERE organization_id = $1 ORDER BY id`, organization)
	}
	type answer struct {
		Touched int64
		Found   []string
		Rows    []string
	}
	ask := func() map[string]answer {
		answers := map[string]answer{}
		for _, query := range progress.Queries.All() {
			settle(acme)
			args, known := samples[query.Name]
			require.True(t, known, "%s has no sample arguments here", query.Name)
			var a answer
			require.NoError(t, h.Tenant(h.ctx, acme, func(tx *db.Tx) (err error) {
				if query.Name == "progress.rows" || query.Name == "progress.of_sync" {
					whole := db.Query{Name: query.Name, SQL: "SELECT to_jsonb(q)::text FROM (" + query.SQL + ") q ORDER BY 1"}
					a.Found, err = db.Column[string](h.ctx, tx, whole, args)
					return err
				}
				a.Touched, err = db.Exec(h.ctx, tx, query, args)
				return err
			}))
			require.True(t, a.Touched > 0 || len(a.Found) > 0, "%s finds nothing: it proves nothing", query.Name)
			a.Rows = rows(acme)
			answers[query.Name] = a
		}
		return answers
	}
	before := ask()
	require.Equal(t, int64(1), before["progress.sweep"].Touched)
	require.Len(t, before["progress.rows"].Found, 3)
	settle(rival)
	foreign := rows(rival)
	require.Equal(t, before, ask())
	require.Equal(t, foreign, rows(rival))
}
