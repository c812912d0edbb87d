package db_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// TestFeedAndLedgerCannotChange: the runtime role has no right to, and the owner
// meets the trigger, which asks nobody for rights.
func TestFeedAndLedgerCannotChange(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	database := dbtest.New(t)
	sync1(t, database.DB, "acme", facts(1))
	acme := id.Organization("acme")
	super := database.Super(t)
	exec(t, super, oneChange, acme, 1)
	owner, err := pgx.Connect(ctx, database.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = owner.Close(ctx) })
	for _, role := range []struct {
		conn  *pgx.Conn
		state string
	}{{database.Runtime(t), "42501"}, {owner, "23001"}, {super, "23001"}} {
		exec(t, role.conn, `SELECT set_config('app.organization', $1, false)`, acme.String())
		for _, table := range []string{"exposure_changes", "ledger_entry"} {
			require.Equal(t, []int64{1}, column[int64](t, role.conn, `SELECT count(*) FROM `+table), "there is something to change")
			for _, statement := range []string{`UPDATE ` + table + ` SET seq = seq + 1`, `DELETE FROM ` + table, `TRUNCATE ` + table} {
				_, err := role.conn.Exec(ctx, statement)
				require.Equal(t, role.state, sqlState(t, err), statement)
			}
			require.Equal(t, []int64{1}, column[int64](t, role.conn, `SELECT seq FROM `+table))
		}
	}
}

// oneChange is a row of the feed, which is about nothing.
const oneChange = `INSERT INTO exposure_changes (organization_id, seq, id, change_type, entity_type, entity_id, subject_id, class, title, metadata, at, created_at)
	VALUES ($1, $2, gen_random_uuid(), 'sync_applied', 'sync', $1, $1, -1, 'title', '{}', now(), now())`

// TestPendingFeeds: each organization is asked behind its own policy, and after it
// the transaction belongs to none.
func TestPendingFeeds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	database := dbtest.New(t)
	for _, slug := range []string{"acme", "idle", "rival"} {
		sync1(t, database.DB, slug, facts(1))
	}
	super := database.Super(t)
	exec(t, super, `DELETE FROM change_outbox WHERE organization_id = $1`, id.Organization("idle"))
	runtime := database.Runtime(t)
	tx, err := runtime.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	require.NoError(t, err)
	rows, err := tx.Query(ctx, `SELECT pending_feeds()`)
	require.NoError(t, err)
	pending, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	require.NoError(t, err)
	require.ElementsMatch(t, []id.ID{id.Organization("acme"), id.Organization("rival")}, pending)
	var left int
	require.NoError(t, tx.QueryRow(ctx, `SELECT count(*) FROM change_outbox`).Scan(&left))
	require.Zero(t, left, "it sees nobody's rows any more")
	require.NoError(t, tx.Rollback(ctx))
	require.Equal(t, []bool{true, false}, column[bool](t, super, `
		SELECT has_function_privilege($1, oid, 'EXECUTE') FROM pg_proc WHERE proname = 'pending_feeds'
		UNION ALL SELECT prosecdef FROM pg_proc WHERE proname = 'pending_feeds'`, devpg.RuntimeRole), "with its caller's rights")
	require.Equal(t, []int64{0}, column[int64](t, super, `SELECT count(*) FROM pg_proc p, aclexplode(p.proacl) x WHERE p.proname = 'pending_feeds' AND x.grantee = 0`))
}

// TestHistoryBeginsWithItsMigration: what is there when the migration comes has a
// past from its last instant on.
func TestHistoryBeginsWithItsMigration(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	database := dbtest.New(t)
	sync1(t, database.DB, "acme", facts(2))
	super := database.Super(t)
	exec(t, super, `INSERT INTO organization VALUES ($1, 'idle', 'idle', now())`, id.Organization("idle"))
	m := migrator(t, database.OwnerURL)
	for { // down to just before it
		status, err := m.Status(ctx)
		require.NoError(t, err)
		there := false
		for _, migration := range status {
			there = there || migration.Applied && migration.Version == 7
		}
		if !there {
			break
		}
		_, err = m.Down(ctx)
		require.NoError(t, err)
	}
	exec(t, super, `INSERT INTO evaluation VALUES ($1, '2030-01-01', now(), 'time', 'test', 0, 0, 0)`, id.Organization("acme"))
	_, err := m.Up(ctx, devpg.RuntimeRole)
	require.NoError(t, err)
	type head struct {
		Slug string
		Seq  int64
		From *time.Time `db:"history_from"`
	}
	rows, err := super.Query(ctx, `SELECT o.slug, h.seq, h.history_from FROM change_head h JOIN organization o USING (id) ORDER BY 1`)
	require.NoError(t, err)
	heads, err := pgx.CollectRows(rows, pgx.RowToStructByName[head])
	require.NoError(t, err)
	require.Len(t, heads, 2)
	require.True(t, heads[0].From.Equal(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), heads[0].From)
	require.Nil(t, heads[1].From)
	require.Equal(t, []string{"-infinity"}, column[string](t, super, `SELECT DISTINCT from_at::text FROM edge`), "since before that")
}

// measured is a node of EXPLAIN (ANALYZE, FORMAT JSON).
type measured struct {
	plan
	Rows    float64    `json:"Actual Rows"`
	Loops   float64    `json:"Actual Loops"`
	Removed float64    `json:"Rows Removed by Filter"`
	Plans   []measured `json:"Plans"`
}

// TestChangeAccessPaths asks a large feed, as the runtime role behind row level
// security, what S0 asks: each question has its index, and reads what it returns.
func TestChangeAccessPaths(t *testing.T) {
	t.Parallel()
	size := 1_000_000
	if testing.Short() {
		size = 50_000
	}
	database := dbtest.New(t)
	super := database.Super(t)
	acme := id.Organization("acme")
	exec(t, super, `INSERT INTO organization VALUES ($1, 'acme', 'acme', now()), ($2, 'rival', 'rival', now())`, acme, id.Organization("rival"))
	exec(t, super, `ALTER TABLE exposure_changes SET UNLOGGED`) // a crash is not what this is about
	// The indexes are those of the migration; filled at once, they take half the time.
	defined := column[string](t, super, `SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'exposure_changes'::regclass AND NOT indisprimary`)
	require.GreaterOrEqual(t, len(defined), 7)
	for _, index := range column[string](t, super, `SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'exposure_changes'::regclass AND NOT indisprimary`) {
		exec(t, super, `DROP INDEX `+index)
	}
	// Two feeds with the same ids. Seldom kinds and severities, few scans, many subjects.
	exec(t, super, fmt.Sprintf(`
		INSERT INTO exposure_changes (organization_id, seq, id, change_type, entity_type, entity_id, subject_id, workload_id, scan_id, asset_id, vulnerability_id,
			class, title, severity, metadata, at, created_at)
		SELECT o.id, n, md5('event' || n)::uuid, CASE WHEN n %% 500 = 0 THEN 'exposure_resolved' WHEN n %% 3 = 0 THEN 'authority_path_discovered' ELSE 'exposure_opened' END,
			'exposure', md5('path' || n %% 20000)::uuid, md5('lineage' || n %% 20000)::uuid, md5('workload' || n %% 100)::uuid, md5('scan' || n / 1000)::uuid,
			CASE WHEN n %% 4 = 0 THEN md5('asset' || n %% 1000)::uuid END, CASE WHEN n %% 10 = 0 THEN md5('finding' || n %% 5000)::uuid END,
			n %% 7, 'An event of the feed', CASE WHEN n %% 3 = 0 THEN NULL WHEN n %% 1000 = 1 THEN 4 ELSE 1 + n %% 3 END, '{"schema": 1}',
			timestamptz '2026-01-01' + n * interval '10 seconds', now()
		FROM generate_series(1, %d) n, organization o`, size/2))
	for _, index := range defined {
		exec(t, super, index)
	}
	exec(t, super, `ANALYZE exposure_changes`)
	runtime := database.Runtime(t)
	exec(t, runtime, `SELECT set_config('app.organization', $1, false)`, acme.String())

	middle := size / 4
	for name, question := range map[string]struct {
		where, order string
		index        string
		within       string // of the condition of the index
		limit        int
	}{
		"timeline of the organization": {``, `seq DESC`, "exposure_changes_pkey", "organization_id", 50},
		"timeline, a later page":       {fmt.Sprintf(`seq < %d`, middle), `seq DESC`, "exposure_changes_pkey", "seq <", 50},
		"resume behind a cursor":       {fmt.Sprintf(`seq > %d`, middle), `seq`, "exposure_changes_pkey", "seq >", 500},
		"change type":                  {`change_type = 'exposure_resolved'`, `seq DESC`, "exposure_changes_type", "change_type", 50},
		"change type, a later page":    {fmt.Sprintf(`change_type = 'exposure_resolved' AND seq < %d`, middle), `seq DESC`, "exposure_changes_type", "seq <", 50},
		"history of an asset":          {`asset_id = md5('asset8')::uuid`, `seq DESC`, "exposure_changes_asset", "asset_id", 50},
		"history of a vulnerability":   {`vulnerability_id = md5('finding10')::uuid`, `seq DESC`, "exposure_changes_vulnerability", "vulnerability_id", 50},
		"of a scan":                    {`scan_id = md5('scan7')::uuid`, `seq DESC`, "exposure_changes_scan", "scan_id", 50},
		"severity":                     {`severity = 4`, `seq DESC`, "exposure_changes_severity", "severity", 50},
		"history of a lineage":         {`subject_id = md5('lineage77')::uuid`, `at DESC, seq DESC`, "exposure_changes_subject", "subject_id", 50},
		"one event":                    {`subject_id = md5('lineage77')::uuid AND id = md5('event77')::uuid`, `seq`, "exposure_changes_subject", "id", 1},
		"of a time":                    {`at >= '2026-01-02' AND at < '2026-01-03'`, `at DESC, seq DESC`, "exposure_changes_at", "at >=", 50},
	} {
		where := ""
		if question.where != "" {
			where = " AND " + question.where
		}
		sql := fmt.Sprintf(`SELECT * FROM exposure_changes WHERE organization_id = '%s'%s ORDER BY %s LIMIT %d`, acme, where, question.order, question.limit)
		got := explainedRun(t, runtime, sql)
		used := 0
		got.walk(func(node measured) {
			require.NotEqual(t, "Seq Scan", node.NodeType, "%s", name)
			require.Less(t, node.Removed*node.Loops, 2*max(got.Rows, 1), "%s reads what it does not return", name)
			if node.Index == "" {
				return
			}
			used++
			require.Equal(t, question.index, node.Index, name)
			require.Contains(t, node.Cond, "organization_id =", name)
			require.Contains(t, node.Cond, question.within, name)
		})
		require.Equal(t, 1, used, name)
		require.Positive(t, got.Rows, name)
	}
}

func explainedRun(t testing.TB, conn *pgx.Conn, sql string) measured {
	t.Helper()
	texts := column[string](t, conn, "EXPLAIN (ANALYZE, FORMAT JSON) "+sql)
	var result []struct {
		Plan measured `json:"Plan"`
	}
	require.NoError(t, json.NewDecoder(strings.NewReader(texts[0])).Decode(&result))
	return result[0].Plan
}

func (m measured) walk(visit func(measured)) {
	visit(m)
	for _, child := range m.Plans {
		child.walk(visit)
	}
}
