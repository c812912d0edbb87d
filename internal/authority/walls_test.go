package authority_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// Two walls stand between organizations: the predicate in every statement and
// row level security. Each is tested here with the other one removed.

var (
	acme  = id.Organization("acme")
	rival = id.Organization("rival")
)

func column[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) []T {
	t.Helper()
	rows, err := conn.Query(context.Background(), sql, args...)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err, sql)
	return list
}

func exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) int64 {
	t.Helper()
	tag, err := conn.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
	return tag.RowsAffected()
}

// tenantTables comes from the catalog, so that a new table is in every test
// here from its first migration on.
func tenantTables(t testing.TB, super *pgx.Conn) []string {
	t.Helper()
	list := column[string](t, super, `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`)
	list = slices.DeleteFunc(list, func(table string) bool { return db.Untenanted[table] != "" })
	require.GreaterOrEqual(t, len(list), 15)
	return list
}

func columnsOf(t testing.TB, super *pgx.Conn, table string) []string {
	t.Helper()
	return column[string](t, super, `SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, table)
}

// marks digests where the rows of an organization stand and who wrote them: a row
// that was written in any way, be it with what it had, stands elsewhere.
func marks(t testing.TB, super *pgx.Conn, organization id.ID) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for _, table := range tenantTables(t, super) {
		rows[table] = column[string](t, super, `SELECT count(*) || ' ' || coalesce(md5(string_agg(concat_ws(' ', x.ctid, x.xmin), E'\n' ORDER BY x.ctid)), '')
			FROM `+table+` x WHERE organization_id = $1`, organization)
	}
	rows["organization"] = column[string](t, super, `SELECT concat_ws(' ', x.ctid, x.xmin, x) FROM organization x WHERE id = $1`, organization)
	return rows
}

// values gives the rows of an organization, wherever and whenever they were
// written.
func values(t testing.TB, super *pgx.Conn, organization id.ID) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for _, table := range tenantTables(t, super) {
		rows[table] = column[string](t, super, `SELECT to_jsonb(x)::text COLLATE "C" FROM `+table+` x WHERE organization_id = $1 ORDER BY 1`, organization)
	}
	return rows
}

// sameRows compares table by table and says where they differ first: the whole
// difference of two databases is no message.
func sameRows(t testing.TB, want, got map[string][]string, message string) {
	t.Helper()
	for table, rows := range want {
		if slices.Equal(rows, got[table]) {
			continue
		}
		for i := range min(len(rows), len(got[table])) {
			require.Equal(t, rows[i], got[table][i], "%s: %s", message, table)
		}
		require.Equal(t, len(rows), len(got[table]), "%s: rows of %s", message, table)
	}
}

// TestRowLevelSecurityAlone sends statements without any predicate, as the
// runtime role. The rights of the role are widened first, in this database
// only, so that it is the policy that refuses and not a missing grant.
func TestRowLevelSecurityAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, s := range quiet() {
		b.play(t, "acme", s)
	}
	b.clock.Store(epoch.UnixMicro())
	for _, s := range quiet() {
		b.play(t, "rival", s)
	}
	super := b.Super(t)
	exec(t, super, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO `+devpg.RuntimeRole)
	tables := tenantTables(t, super)
	for _, organization := range []id.ID{acme, rival} {
		for _, row := range []string{
			`ledger_tile VALUES ($1, 0, sha256('tile'))`, `ledger_checkpoint VALUES ($1, 1, sha256('root'), 'note', 'signer', now())`,
			`ledger_request VALUES ($1, 'test', 'key', sha256('request'), NULL, NULL, NULL, '{}', now())`,
			`signing_key VALUES ($1, 'key', 'test', sha256('key'), now(), NULL, 'test', NULL)`,
			`exposure_changes (organization_id, seq, id, change_type, entity_type, entity_id, subject_id, class, title, metadata, at, created_at)
			 VALUES ($1, 1, $1, 'sync_applied', 'sync', $1, $1, -1, 'title', '{}', now(), now())`,
			`exposure_change_day VALUES ($1, now()::date, 'sync_applied', 0, -1, 1)`, `change_gap VALUES ($1, now(), 'sync', 'reason', now(), NULL)`,
			`sync_progress VALUES ($1, $1, 'test', 'merging', 1, NULL, NULL, now(), now())`,
			`entity_assertion_version SELECT x.*, 'infinity' FROM entity_assertion x WHERE organization_id = $1 LIMIT 1 ON CONFLICT DO NOTHING`,
			`edge_version SELECT x.*, 'infinity' FROM edge x WHERE organization_id = $1 LIMIT 1 ON CONFLICT DO NOTHING`,
			`coverage_version SELECT x.*, 'infinity' FROM coverage x WHERE organization_id = $1 LIMIT 1 ON CONFLICT DO NOTHING`,
			`cluster_tally_version SELECT x.*, 'infinity' FROM cluster_tally x WHERE organization_id = $1 LIMIT 1 ON CONFLICT DO NOTHING`,
			`workload_exposure_version SELECT x.*, 'infinity' FROM workload_exposure x WHERE organization_id = $1 LIMIT 1 ON CONFLICT DO NOTHING`,
			`asset (organization_id, id, kind, value, first_seen_at, status, attributes, from_at) VALUES ($1, $1, 'file', 'a file', now(), 'active', '{}', now())`,
			`asset_version VALUES ($1, $1, 1, now(), 'infinity', 'active', NULL, '{}', NULL, NULL, NULL, 0)`,
			`asset_sighting SELECT $1, $1, s.id, now(), NULL, now(), NULL, '{}', $1, NULL, NULL FROM source s WHERE s.organization_id = $1 LIMIT 1`,
			`asset_tie SELECT $1, 'presents', $1, $1, s.id, now(), NULL FROM source s WHERE s.organization_id = $1 LIMIT 1`,
			`asset_cover SELECT $1, s.id, $1, 'domain', NULL, NULL, NULL, NULL, 'example.com', now(), NULL FROM source s WHERE s.organization_id = $1 LIMIT 1`,
			`endpoint SELECT $1, $1, 'mapping', 'example.com', 0, s.id, now(), NULL FROM source s WHERE s.organization_id = $1 LIMIT 1`,
			`asset_link SELECT $1, $1, e.id, 'mapping', 'example.com', now(), NULL FROM entity e WHERE e.organization_id = $1 AND e.kind = 'workload' LIMIT 1`,
			`file_upload VALUES ($1, $1, sha256('file'), 4, 'text/plain', 'file', NULL, NULL, 'test', now())`,
			`file VALUES ($1, $1, sha256('file'), 4, 'text/plain', 'file', NULL, NULL, 'test', now(), now())`,
			`audit_entry VALUES ($1, $1, now(), 'test', 'import.nmap', 'done', 'http', '', '{}', '{}', '{}')`,
		} { // see elsewhere
			exec(t, super, `INSERT INTO `+row, organization)
		}
	}
	counts := map[string]int64{}
	for _, table := range tables {
		of := func(organization id.ID) int64 {
			return column[int64](t, super, `SELECT count(*) FROM `+table+` WHERE organization_id = $1`, organization)[0]
		}
		counts[table] = of(acme)
		require.Positive(t, of(acme), "the story leaves %s empty: a table without rows proves nothing, so extend the story", table)
		require.Positive(t, of(rival), table)
		// Foreign keys are not what this test is about; they would refuse first.
		exec(t, super, `ALTER TABLE `+table+` DISABLE TRIGGER ALL`)
	}

	roles := map[string]*pgx.Conn{"runtime": b.Runtime(t), "owner": nil}
	owner, err := pgx.Connect(context.Background(), b.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = owner.Close(context.Background()) })
	roles["owner"] = owner // FORCE: it stands before the wall like anybody else

	set := func(conn *pgx.Conn, organization string) {
		exec(t, conn, `SELECT set_config('app.organization', $1, false)`, organization)
	}
	refused := func(conn *pgx.Conn, sql string, args ...any) {
		t.Helper()
		_, err := conn.Exec(context.Background(), sql, args...)
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr, sql)
		require.Equal(t, "42501", pgErr.Code, "%s: %s", sql, pgErr.Message)
		require.Contains(t, pgErr.Message, "row-level security", sql)
	}
	foreign := marks(t, super, rival)
	own := marks(t, super, acme)
	for name, conn := range roles {
		// Never set, set to nothing, and left over from a transaction: the
		// latter reads as the empty text and not as null.
		states := []func(){func() {}, func() { set(conn, "") }, func() {
			tx, err := conn.Begin(context.Background())
			require.NoError(t, err)
			_, err = tx.Exec(context.Background(), `SELECT set_config('app.organization', $1, true)`, acme.String())
			require.NoError(t, err)
			require.NoError(t, tx.Commit(context.Background()))
		}}
		for _, state := range states {
			state()
			for _, table := range tables {
				require.Equal(t, []int64{0}, column[int64](t, conn, `SELECT count(*) FROM `+table), "%s as %s without an organization", table, name)
				require.Zero(t, exec(t, conn, `UPDATE `+table+` SET organization_id = organization_id`))
				require.Zero(t, exec(t, conn, `DELETE FROM `+table))
			}
			refused(conn, `INSERT INTO organization_window VALUES ($1, now())`, acme)
		}
		set(conn, acme.String())
		for _, table := range tables {
			require.Equal(t, []int64{counts[table]}, column[int64](t, conn, `SELECT count(*) FROM `+table), "%s as %s", table, name)
			require.Equal(t, []id.ID{acme}, column[id.ID](t, conn, `SELECT DISTINCT organization_id FROM `+table), "%s as %s", table, name)
			require.Empty(t, column[int](t, conn, `SELECT 1 FROM `+table+` WHERE organization_id = $1`, rival), "%s as %s", table, name)

			columns := strings.Join(columnsOf(t, super, table), ", ")
			refused(conn, `INSERT INTO `+table+` (`+columns+`) SELECT `+strings.Replace(columns, "organization_id", "'"+rival.String()+"'", 1)+` FROM `+table+` LIMIT 1`)
			refused(conn, `UPDATE `+table+` SET organization_id = $1`, rival)
			require.Zero(t, exec(t, conn, `UPDATE `+table+` SET organization_id = $1 WHERE organization_id = $2`, acme, rival), "nothing is drawn over the wall")
			require.Zero(t, exec(t, conn, `DELETE FROM `+table+` WHERE organization_id = $1`, rival))
		}
		sameRows(t, foreign, marks(t, super, rival), "as "+name)
		sameRows(t, own, marks(t, super, acme), "as "+name)
	}
	conn := roles["runtime"]
	for _, table := range tables {
		require.Equal(t, counts[table], exec(t, conn, `UPDATE `+table+` SET organization_id = organization_id`), table)
		require.Equal(t, counts[table], exec(t, conn, `DELETE FROM `+table), table)
	}
	sameRows(t, foreign, marks(t, super, rival), "after everything of the other organization was written and deleted")
	for _, table := range tables {
		require.Empty(t, values(t, super, acme)[table])
	}
}

// neverSent are named statements that the story need not send, with reasons.
var neverSent = map[string]string{
	"outbox.note_gap": "of an outbox that takes nothing: see the tests beside internal/change",
}

// requireEverything holds the story to having everything in it that is judged and
// counted, because a statement that runs on nothing proves nothing.
func requireEverything(t testing.TB, super *pgx.Conn) {
	t.Helper()
	numbers := func(sql string) []int16 { return column[int16](t, super, sql, acme) }
	var types, numbered []int16
	for _, d := range rule.Definitions {
		types = append(types, int16(d.Type))
	}
	for _, d := range posture.Definitions {
		numbered = append(numbered, d.Cluster)
	}
	require.Equal(t, types, numbers(`SELECT DISTINCT type FROM exposure WHERE organization_id = $1 ORDER BY 1`), "types of exposures")
	require.Equal(t, types, numbers(`SELECT DISTINCT type FROM exposure WHERE organization_id = $1 AND to_at IS NOT NULL ORDER BY 1`), "types of resolved exposures")
	require.Subset(t, numbers(`SELECT DISTINCT cluster FROM cluster_member WHERE organization_id = $1 ORDER BY 1`), numbered, "clusters with members")
	require.Equal(t, []int16{1, 2, 3}, numbers(`SELECT DISTINCT level FROM cluster_member WHERE organization_id = $1 ORDER BY 1`), "levels of members")
	require.Equal(t, []int16{1, 2, 3, 4}, numbers(`SELECT DISTINCT disposition FROM exposure WHERE organization_id = $1 ORDER BY 1`), "dispositions")
	for _, table := range []string{"condition", "condition_version", "exposure_version"} {
		require.Positive(t, column[int64](t, super, `SELECT count(*) FROM `+table+` WHERE organization_id = $1 AND indeterminate_since IS NOT NULL`, acme)[0], "doubts in %s", table)
	}
	require.Equal(t, []string{"identity", "path", "workload"}, column[string](t, super, `SELECT DISTINCT execution_basis FROM authority_path_version
		WHERE organization_id = $1 AND execution_basis IS NOT NULL ORDER BY 1`, acme), "bases of executions")
	require.Equal(t, []int32{1, 2, 4, 8, 16, 32}, column[int32](t, super, `SELECT b FROM unnest('{1, 2, 4, 8, 16, 32}'::integer[]) b
		WHERE EXISTS (SELECT FROM cluster_member m WHERE m.organization_id = $1 AND m.evidence & b <> 0) ORDER BY 1`, acme), "whom the evidence of members names")
	var unseen []string
	for _, seen := range []string{"workload_exposure WHERE NOT live", "workload_exposure WHERE live AND NOT listed", "workload_exposure WHERE listed AND paths = 0",
		"workload_exposure WHERE executions > own_executions", "workload_exposure WHERE executions = 0", "workload_exposure WHERE executions IS NULL AND paths > 0",
		"workload_exposure WHERE clusters > 0", "workload_exposure WHERE dormant_paths > 0", "workload_exposure WHERE last_execution_at IS NOT NULL",
		"workload_exposure WHERE cardinality(identity_ids) > 1", "workload_exposure WHERE egress_categories > 0 AND sensitive_domains <> data_domains",
		"identity_posture WHERE executions > 0", "identity_posture WHERE autonomous", "identity_posture WHERE class > 0",
		"posture_counter_version WHERE class > 0 AND dormant_identities > 0", "posture_counter WHERE class > 0 AND autonomous_gained > 0",
		"posture_counter WHERE class = -1 AND paths_orphaned > 0 AND paths_invalidated > paths_orphaned", "posture_snapshot WHERE sync_id IS NULL AND clusters <> '{}'",
		"privilege_justification WHERE to_at IS NULL", "privilege_justification WHERE to_at IS NOT NULL", "scope_baseline WHERE actor IS NOT NULL"} {
		if len(column[int](t, super, `SELECT 1 FROM `+seen+` AND organization_id = $1 LIMIT 1`, acme)) == 0 {
			unseen = append(unseen, seen)
		}
	}
	require.Empty(t, unseen, "the story leaves out what is summed up")
}

// TestPredicatesAlone plays the story with row level security off beside an
// organization whose rows have the same ids, and compares each step with the
// same step in a database where nobody else is.
func TestPredicatesAlone(t *testing.T) {
	t.Parallel()
	type moment struct {
		report any
		rows   map[string][]string
	}
	undisturbed := func(story []step) (moments []moment, super *pgx.Conn) {
		alone := setup(t)
		super = alone.Super(t)
		for _, s := range story {
			moments = append(moments, moment{alone.play(t, "acme", s), values(t, super, acme)})
		}
		return moments, super
	}
	moments, superAlone := undisturbed(story())
	requireEverything(t, superAlone)
	var sent []string
	play := func(t *testing.T, b *bench, super *pgx.Conn, story []step, moments []moment, before func()) {
		t.Helper()
		b.Statements.Reset()
		for i, s := range story {
			before()
			foreign := marks(t, super, rival)
			report := b.play(t, "acme", s)
			require.Equal(t, moments[i].report, report, "%s: the report", s.name)
			sameRows(t, moments[i].rows, values(t, super, acme), s.name)
			sameRows(t, foreign, marks(t, super, rival), s.name+": the rival's rows")
		}
		sent = append(sent, b.Statements.Sent()...)
	}

	// The rival stands where acme stands before each step.
	t.Run("beside the present", func(t *testing.T) {
		b := setup(t)
		super := b.Super(t)
		dropPolicies(t, super)
		play(t, b, super, story(), moments, func() { shadow(t, super, 100) })
	})
	// The rival has already lived the whole story, so that even the first step
	// meets rows under all of its ids, and has more besides.
	t.Run("beside the end", func(t *testing.T) {
		b := setup(t)
		super := b.Super(t)
		dropPolicies(t, super)
		for _, s := range quiet() {
			b.play(t, "acme", s)
		}
		shadow(t, super, -100)
		for _, table := range tenantTables(t, super) {
			own := column[int64](t, super, `SELECT count(*) FROM `+table+` WHERE organization_id = $1`, acme)
			if !elsewhere[table] {
				require.Positive(t, own[0], "the story leaves %s empty", table)
			}
			require.Equal(t, own, column[int64](t, super, `SELECT count(*) FROM `+table+` WHERE organization_id = $1`, rival), table)
		}
		crowd(t, super)
		begin := func() {
			exec(t, super, `SET session_replication_role = replica`)
			for _, table := range tenantTables(t, super) {
				exec(t, super, `DELETE FROM `+table+` WHERE organization_id = $1`, acme)
			}
			exec(t, super, `SET session_replication_role = origin`)
			b.clock.Store(epoch.UnixMicro())
		}
		begin()
		play(t, b, super, quiet(), moments, func() {})
		great, _ := undisturbed(greatBeginning())
		begin()
		play(t, b, super, greatBeginning(), great, func() {})
	})
	sent = slices.Compact(slices.Sorted(slices.Values(sent)))
	var wrong []string
	files := statementFiles(t)
	for file, h := range held {
		if h.by != byStory {
			continue
		}
		for _, query := range db.Parse(h.pkg, files[file]).All() {
			if _, found := slices.BinarySearch(sent, query.Name); found == (neverSent[query.Name] != "") {
				wrong = append(wrong, query.Name)
			}
		}
	}
	require.Empty(t, wrong, "the story never sends them: extend it, or name the reason in neverSent; or it does send what neverSent names")
}

// elsewhere are tables that no sync, evaluation or record writes: the tests beside
// internal/triage, internal/ledger/book, internal/change and internal/audit hold their
// statements.
var elsewhere = map[string]bool{
	"ledger_checkpoint": true, "ledger_request": true, "ledger_tile": true, "signing_key": true,
	"exposure_changes": true, "exposure_change_day": true, "change_gap": true, "sync_progress": true,
	"file": true, "file_upload": true, "audit_entry": true,
}

// held says where the statements of each file are held to their predicates alone:
// played by the story, asked with the samples below, or asked by the test of
// that name beside the file, which asks all of them by what it says there.
var held = map[string]struct{ pkg, by, all string }{
	"internal/authority/sync.sql":    {"authority", byStory, ""},
	"internal/exposure/assess.sql":   {"exposure", byStory, ""},
	"internal/exposure/record.sql":   {"exposure.record", byStory, ""},
	"internal/asset/age.sql":         {"asset.age", byStory, ""},
	"internal/asset/link.sql":        {"asset.link", byStory, ""},
	"internal/asset/merge.sql":       {"asset.merge", byStory, ""},
	"internal/posture/count.sql":     {"posture", byStory, ""},
	"internal/posture/summary.sql":   {"posture", byStory, ""},
	"db/queries.sql":                 {"db", bySamples, ""},
	"internal/authority/queries.sql": {"authority.read", bySamples, ""},
	"internal/invariant/queries.sql": {"invariant", bySamples, ""},
	"internal/schedule/queries.sql":  {"schedule", bySamples, ""},

	"internal/change/outbox/outbox.sql": {"outbox", byStory, ""},

	"internal/change/expand.sql":        {"change.expand", "TestFeedPredicatesAlone", ".ExpandQueries.All()"},
	"internal/change/queries.sql":       {"change.read", "TestFeedPredicatesAlone", ".ReadQueries.All()"},
	"internal/change/repair.sql":        {"change.repair", "TestFeedPredicatesAlone", ".RepairQueries.All()"},
	"internal/change/replay.sql":        {"change.replay", "TestFeedPredicatesAlone", ".ReplayQueries.All()"},
	"internal/change/sequence.sql":      {"change.sequence", "TestFeedPredicatesAlone", ".SequenceQueries.All()"},
	"internal/asset/file.sql":           {"asset.file", "TestFilePredicatesAlone", ".FileQueries.All()"},
	"internal/asset/queries.sql":        {"asset.read", "TestReadPredicatesAlone", ".ReadQueries.All()"},
	"internal/audit/queries.sql":        {"audit", "TestAuditPredicatesAlone", ".Queries.All()"},
	"internal/file/queries.sql":         {"file", "TestFilePredicatesAlone", ".Queries.All()"},
	"internal/evidencepack/queries.sql": {"evidencepack", "TestReadPredicatesAlone", ".ReadQueries.All()"},
	"internal/evidencepack/seal.sql":    {"evidencepack.seal", "TestSealPredicatesAlone", ".SealQueries.All()"},
	"internal/exposure/explain.sql":     {"exposure.explain", "TestExplainPredicatesAlone", ".explained("},
	"internal/exposure/queries.sql":     {"exposure.read", "TestReadPredicatesAlone", ".ReadQueries.All()"},
	"internal/invariant/feed.sql":       {"invariant.feed", "TestFeedPredicatesAlone", ".FeedQueries.All()"},
	"internal/ledger/book/queries.sql":  {"book", "TestReadPredicatesAlone", ".ReadQueries.All()"},
	"internal/posture/counted.sql":      {"posture.counted", "TestCountedPredicatesAlone", ".CountedQueries.All()"},
	"internal/posture/diff.sql":         {"posture.diff", "TestDiffPredicatesAlone", ".DiffQueries.All()"},
	"internal/posture/queries.sql":      {"posture.read", "TestReadPredicatesAlone", ".ReadQueries.All()"},
	"internal/progress/queries.sql":     {"progress", "TestProgressPredicatesAlone", ".Queries.All()"},
	"internal/triage/decide.sql":        {"triage", "TestDecidePredicatesAlone", "play := func(shadowing bool)"},
	"internal/triage/queries.sql":       {"triage.read", "TestReadPredicatesAlone", ".ReadQueries.All()"},
}

const (
	byStory   = "TestPredicatesAlone"
	bySamples = "samples"
)

// TestEveryStatementIsHeld finds statements on tenants' rows that nobody holds to
// their predicates: those of a file that held does not name.
func TestEveryStatementIsHeld(t *testing.T) {
	t.Parallel()
	tables := tenantTables(t, dbtest.New(t).Super(t))
	mention, files := mentioning(tables), statementFiles(t)
	for file, content := range files {
		h, named := held[file]
		require.Equal(t, named, mention.MatchString(withoutComments(content)), "held and what %s is about", file)
		if !named || h.by == byStory || h.by == bySamples {
			continue
		}
		beside, err := filepath.Glob(filepath.Join(root, filepath.Dir(file), "*_test.go"))
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(beside, func(path string) bool {
			source, err := os.ReadFile(path)
			require.NoError(t, err)
			_, body, found := strings.Cut(string(source), "func "+h.by+"(")
			body, _, _ = strings.Cut(body, "\n}\n")
			return found && strings.Contains(body, "DISABLE ROW LEVEL SECURITY") && strings.Contains(body, h.all)
		}), "no %s beside %s asks all of its statements", h.by, file)
	}
	for file := range held {
		require.Contains(t, files, file)
	}
}
