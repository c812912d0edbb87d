package authority_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
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

// step is one delivery of the story that the tests of this file tell.
type step struct {
	name    string
	wait    time.Duration // before it
	request authority.SyncRequest
	facts   []record.Fact
	outcome authority.Outcome
	check   func(*testing.T, *authority.SyncReport)
}

func with(kind record.EntityKind, name string, set func(*record.Entity)) record.Entity {
	entity := record.Entity{Ref: ref(kind, name)}
	set(&entity)
	return entity
}

func authenticates(from, to record.Ref) record.Edge {
	return record.Edge{Kind: record.Authenticates, From: from, To: to, Protocol: "oauth2", TargetSystem: "cloud"}
}

func pointer[T any](value T) *T { return &value }

// mainFacts is what the main source of the story says; account is what the
// checkout runs as.
func mainFacts(account string, extra ...record.Fact) []record.Fact {
	day := epoch.Truncate(24*time.Hour).AddDate(0, 0, -3)
	checkout, reports := ref(record.Workload, "checkout"), ref(record.Workload, "reports")
	return append([]record.Fact{
		with(record.Workload, "checkout", func(e *record.Entity) {
			e.Name, e.Environment, e.OwnerTeam, e.BusinessTier, e.ExecutionMode = "Checkout", "production", "shop", "1", record.Autonomous
			e.Labels = map[string]string{"app": "checkout"}
		}),
		workload("reports"), workload("legacy"), workload("bridge"),
		identity("sa-shop"), identity("sa-next"), identity("sa-reports"), identity("sa-cloud"),
		role("reader"), role("writer"), role("cloud"),
		resource("ledger", "restricted"), resource("mail", "internal"), resource("bucket", "confidential"), resource("api", "public"),
		owner("ada"), owner("bob"),
		runsAs("checkout", account), runsAs("reports", "sa-reports"), runsAs("legacy", "sa-reports"),
		hasRole("sa-shop", "reader", "*"), hasRole("sa-next", "reader", "*"), hasRole("sa-next", "writer", "eu"), hasRole("sa-reports", "reader", "*"),
		hasRole("sa-cloud", "cloud", "*"),
		grants("reader", "*", "ledger", "get", "list"), grants("reader", "*", "mail", "get"), grants("writer", "eu", "ledger", "update"),
		grants("cloud", "*", "bucket", "read"),
		authenticates(ref(record.Identity, "sa-shop"), ref(record.Identity, "sa-cloud")),
		authenticates(ref(record.Workload, "bridge"), ref(record.Identity, "sa-cloud")),
		ownedBy("checkout", "ada"), ownedBy("reports", "bob"), declares("reports", "api", "call"), declares("bridge", "api", "call"),
		record.Edge{Kind: record.CreatedBy, From: checkout, To: ref(record.Owner, "ada")},
		record.Egress{Workload: checkout, Host: "llm.example", Category: record.EgressLLM},
		record.Egress{Workload: reports, Host: "files.example", Category: record.EgressExternal},
		record.Evidence{Workload: &checkout, Identity: pointer(ref(record.Identity, "sa-shop")), Resource: pointer(ref(record.Resource, "ledger")), Action: "get", Day: day, Count: 3},
		record.Evidence{Workload: &checkout, Day: day, Count: 7},
		record.Evidence{Identity: pointer(ref(record.Identity, "sa-reports")), Day: day, Count: 11},
		record.Coverage{Kind: record.Binding}, record.Coverage{Kind: record.Roles}, record.Coverage{Kind: record.Ownership, MaxAge: 20 * 24 * time.Hour},
		record.Coverage{Kind: record.Execution, Entity: &reports},
	}, extra...)
}

// story is a life of an organization that goes through every statement of a sync.
func story() []step {
	main := authority.SyncRequest{Source: "main", System: "shop"}
	cmdb := authority.SyncRequest{Source: "cmdb", System: "shop"}
	at := func(request authority.SyncRequest, observed time.Time) authority.SyncRequest {
		request.ObservedAt = observed
		return request
	}
	partial := main
	partial.Partial = true
	inventory := []record.Fact{
		with(record.Workload, "checkout", func(e *record.Entity) { e.Basis, e.Environment, e.OwnerTeam = record.Mapping, "staging", "payments" }),
		with(record.Workload, "mailer", func(e *record.Entity) { e.Environment = "production" }),
		with(record.Owner, "ada", func(e *record.Entity) { e.OwnerType, e.Status = record.Individual, record.Disabled }),
		identity("sa-reports"), resource("ledger", "restricted"), role("reader"),
		runsAs("mailer", "sa-reports"), hasRole("sa-reports", "reader", "*"), grants("reader", "*", "ledger", "get", "watch"),
		ownedBy("checkout", "ada"),
		record.Coverage{Kind: record.EgressObs},
	}
	changed := mainFacts("sa-shop",
		with(record.Workload, "nightly", func(e *record.Entity) { e.BusinessTier = "2" }), runsAs("nightly", "sa-next"),
		grants("reader", "*", "api", "get"), record.Egress{Workload: ref(record.Workload, "legacy"), Host: "intra", Category: record.EgressInternal})
	changed = slices.DeleteFunc(changed, func(f record.Fact) bool {
		egress, isEgress := f.(record.Egress)
		edge, isEdge := f.(record.Edge)
		return isEgress && egress.Host == "files.example" || isEdge && edge.Kind == record.Grants && edge.To.SourceID == "mail"
	})
	for i, f := range changed {
		if e, ok := f.(record.Entity); ok && e.SourceID == "ledger" {
			changed[i] = resource("ledger", "confidential")
		}
		if e, ok := f.(record.Evidence); ok && e.Count == 7 {
			e.Count = 8
			changed[i] = e
		}
	}
	// Its edges stay, so that only the entity's own row says that it is gone.
	gone := mainFacts("sa-shop", workload("nightly"), runsAs("nightly", "sa-next"))
	for i, f := range gone {
		if e, ok := f.(record.Entity); ok && slices.Contains([]string{"legacy", "sa-cloud", "writer", "mail", "api"}, e.SourceID) {
			e.Status = record.Removed
			gone[i] = e
		}
	}
	rotated := mainFacts("sa-next")
	broken := append(mainFacts("sa-next"),
		workload("reports"), grants("reader", "*", "nowhere", "get"), runsAs("legacy", "nobody"),
		record.Egress{Workload: ref(record.Workload, "ghost"), Host: "h", Category: record.EgressExternal})
	bulk := make([]record.Fact, 0, 12_000)
	for i := range 5_100 {
		name := fmt.Sprintf("w%04d", i)
		bulk = append(bulk, workload(name), runsAs(name, "sa-reports"))
	}
	bulk = append(bulk, identity("sa-reports"))
	return []step{
		{name: "first", request: at(main, epoch), facts: mainFacts("sa-shop"), outcome: authority.Applied},
		{name: "a second source", wait: time.Hour, request: cmdb, facts: inventory, outcome: authority.Applied},
		{name: "changed", wait: time.Hour, request: main, facts: changed, outcome: authority.Applied, check: func(t *testing.T, r *authority.SyncReport) {
			require.Positive(t, r.Paths.Changed)
			require.Positive(t, r.Paths.Removed)
			require.Positive(t, r.Paths.Added)
		}},
		{name: "stated as removed", wait: time.Hour, request: main, facts: gone, outcome: authority.Applied, check: func(t *testing.T, r *authority.SyncReport) {
			require.Positive(t, r.Paths.Removed)
		}},
		{name: "rotation", wait: time.Hour, request: main, facts: rotated, outcome: authority.Applied, check: func(t *testing.T, r *authority.SyncReport) {
			require.Equal(t, 1, r.Rotations)
		}},
		{name: "partial", wait: time.Hour, request: partial, facts: []record.Fact{workload("extra"), runsAs("extra", "sa-shop")}, outcome: authority.Applied},
		{name: "rejections", wait: time.Hour, request: main, facts: broken, outcome: authority.Applied, check: func(t *testing.T, r *authority.SyncReport) {
			require.Equal(t, 4, r.Records.Rejected)
		}},
		{name: "a rejection without a subject", wait: time.Hour, request: main, facts: append(rotated, record.Entity{}), outcome: authority.Applied},
		{name: "repeated", request: at(main, epoch), facts: mainFacts("sa-shop"), outcome: authority.Repeated},
		{name: "late", request: at(main, epoch.Add(-time.Hour)), facts: mainFacts("sa-next"), outcome: authority.Late},
		{name: "whole again", wait: time.Hour, request: main, facts: rotated, outcome: authority.Applied},
		{name: "unchanged", wait: time.Hour, request: main, facts: rotated, outcome: authority.Unchanged},
		{name: "expired coverage renewed", wait: 30 * 24 * time.Hour, request: main, facts: rotated, check: func(t *testing.T, r *authority.SyncReport) {
			require.NotEqual(t, authority.Repeated, r.Outcome)
		}},
		{name: "removal", wait: time.Hour, request: main, facts: mainFacts("sa-next")[:1], outcome: authority.Applied, check: func(t *testing.T, r *authority.SyncReport) {
			require.Positive(t, r.Paths.Removed)
			require.Equal(t, "REMOVES_MOST", r.Warnings[0].Code)
		}},
		{name: "revival", wait: time.Hour, request: main, facts: mainFacts("sa-shop"), outcome: authority.Applied},
		{name: "bulk", wait: time.Hour, request: authority.SyncRequest{Source: "fleet", System: "shop"}, facts: bulk, outcome: authority.Applied},
	}
}

// quiet is the story without its bulk, for tests that need rows and no mass.
func quiet() []step { return story()[:len(story())-1] }

func (b *bench) play(t *testing.T, organization string, s step) *authority.SyncReport {
	t.Helper()
	b.advance(s.wait)
	s.request.Organization = organization
	report := b.sync(t, s.request, s.facts...)
	if s.outcome != "" {
		require.Equal(t, s.outcome, report.Outcome, s.name)
	}
	if s.check != nil {
		s.check(t, report)
	}
	return report
}

// marks gives each row of an organization with its place and its writer, so
// that a row which was only written again, or moved, differs too.
func marks(t testing.TB, super *pgx.Conn, organization id.ID) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for _, table := range tenantTables(t, super) {
		rows[table] = column[string](t, super, `SELECT concat_ws(' ', x.ctid, x.xmin, x) FROM `+table+` x WHERE organization_id = $1 ORDER BY x.ctid`, organization)
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

// shadow makes the rival's rows copies of acme's: the same ids, and everything
// that is no id and bound to no list of words different. A statement that
// forgets its organization then finds twice the rows, with wrong values in half.
// Its times lie before or after acme's own.
func shadow(t testing.TB, super *pgx.Conn, days int) {
	t.Helper()
	exec(t, super, `SET session_replication_role = replica`) // rows come in any order
	exec(t, super, `INSERT INTO organization VALUES ($1, 'rival', 'rival', now()) ON CONFLICT DO NOTHING`, rival)
	for _, table := range tenantTables(t, super) {
		exec(t, super, `DELETE FROM `+table+` WHERE organization_id = $1`, rival)
		type info struct {
			Name, Type  string
			Bound, Key  bool
			Enumeration bool
		}
		rows, err := super.Query(context.Background(), `
			SELECT quote_ident(a.attname) AS name, format_type(a.atttypid, NULL) AS type,
			       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)) AS bound,
			       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)) AS key,
			       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)
			                 AND pg_get_constraintdef(k.oid) LIKE '%ANY (ARRAY[%') AS enumeration
			FROM pg_attribute a WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, table)
		require.NoError(t, err)
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[info])
		require.NoError(t, err)
		var columns, expressions []string
		for _, c := range list {
			columns = append(columns, c.Name)
			expression := c.Name
			switch {
			case c.Name == "organization_id":
				expression = "'" + rival.String() + "'"
			case c.Key || c.Bound || c.Enumeration:
			case c.Type == "text":
				expression = "'foreign ' || coalesce(" + c.Name + ", '')"
			case c.Type == "text[]":
				expression = c.Name + " || 'foreign'::text"
			case c.Type == "integer" || c.Type == "bigint":
				expression = c.Name + " + 1000"
			case c.Type == "smallint":
				expression = "(" + c.Name + " + 1) % 5"
			case c.Type == "boolean":
				expression = "NOT " + c.Name
			case c.Type == "bytea":
				expression = c.Name + ` || '\x42'::bytea`
			case c.Type == "timestamp with time zone":
				expression = fmt.Sprintf("%s + interval '%d days'", c.Name, days)
			case c.Type == "jsonb":
				expression = `CASE jsonb_typeof(` + c.Name + `) WHEN 'array' THEN '[{"code": "FOREIGN"}]' ELSE '{"foreign": "yes"}'::jsonb END`
			case c.Type == "uuid" && strings.HasSuffix(c.Name, "digest"):
				expression = "md5('foreign' || " + c.Name + ")::uuid"
			case c.Type == "uuid" || c.Type == "uuid[]" || c.Type == "interval":
			default:
				require.Failf(t, "a column of a new type", "shadow cannot make %s.%s (%s) differ", table, c.Name, c.Type)
			}
			expressions = append(expressions, expression)
		}
		exec(t, super, `INSERT INTO `+table+` (`+strings.Join(columns, ", ")+`) SELECT `+strings.Join(expressions, ", ")+` FROM `+table+` WHERE organization_id = $1`, acme)
	}
	exec(t, super, `SET session_replication_role = origin`)
}

// crowd fills the rival with what acme never said, about acme's own ids and in
// the name of acme's own sources: everything is tied to everything, watched,
// and known. A copy alone hides what a statement reads as a set.
func crowd(t testing.TB, super *pgx.Conn) {
	t.Helper()
	exec(t, super, `SET session_replication_role = replica`)
	exec(t, super, `CREATE TEMPORARY TABLE known AS SELECT id, kind FROM entity WHERE organization_id = $1`, rival)
	for kind, name := range map[record.EntityKind]string{record.Resource: "nowhere", record.Identity: "nobody", record.Workload: "ghost"} {
		exec(t, super, `INSERT INTO known VALUES ($1, $2)`, id.Entity(acme, string(kind), "shop", name), string(kind))
	}
	for _, statement := range []string{
		`INSERT INTO entity_assertion (organization_id, entity_id, source_id, basis, digest, kind, system, external_id, name)
		 SELECT s.organization_id, k.id, s.id, b, md5('crowd')::uuid, k.kind, 'shop', 'crowd', 'crowd'
		 FROM known k, source s, generate_series(1, 4) b WHERE s.organization_id = $1`,
		`INSERT INTO edge (organization_id, kind, from_id, scope, to_id, source_id, actions, effective, protocol, target_system)
		 SELECT s.organization_id, e.kind, f.id, CASE WHEN e.kind IN ('has_role', 'grants') THEN '*' ELSE '' END, o.id, s.id, '{crowd}', true, 'crowd', 'crowd'
		 FROM (VALUES ('runs_as', 'workload', 'identity'), ('has_role', 'identity', 'role'), ('grants', 'role', 'resource'), ('owned_by', 'workload', 'owner'),
		              ('created_by', 'workload', 'owner'), ('authenticates', 'identity', 'identity'), ('authenticates', 'workload', 'identity'),
		              ('declares', 'workload', 'resource')) AS e(kind, from_kind, to_kind)
		 JOIN known f ON f.kind = e.from_kind JOIN known o ON o.kind = e.to_kind, source s WHERE s.organization_id = $1`,
		`INSERT INTO egress (organization_id, workload_id, host, source_id, category)
		 SELECT s.organization_id, k.id, 'crowd.example', s.id, 'llm' FROM known k, source s WHERE k.kind = 'workload' AND s.organization_id = $1`,
		`INSERT INTO coverage (organization_id, source_id, kind, entity_id, system, complete, recorded_at)
		 SELECT s.organization_id, s.id, c, k.id, 'shop', true, now()
		 FROM unnest(ARRAY['ownership', 'execution', 'egress', 'binding', 'roles']) c, (SELECT id FROM known WHERE kind = 'workload' UNION SELECT '00000000-0000-0000-0000-000000000000') k, source s
		 WHERE s.organization_id = $1`,
		`INSERT INTO evidence (organization_id, workload_id, identity_id, resource_id, action, day, related, source_id, basis, count, recorded_at)
		 SELECT s.organization_id, k.id, '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000', 'crowd', date '2026-03-01', false, s.id, 'workload', 100000, now()
		 FROM known k, source s WHERE k.kind = 'workload' AND s.organization_id = $1`,
		`INSERT INTO path_succession (organization_id, predecessor_id, successor_id, at)
		 SELECT organization_id, predecessor_id, successor_id, at + interval '1 hour' FROM path_succession WHERE organization_id = $1`,
	} {
		exec(t, super, statement+` ON CONFLICT DO NOTHING`, rival)
	}
	exec(t, super, `INSERT INTO access_class SELECT $1, class + 5000, environment, owner, business_tier FROM access_class WHERE organization_id = $2`, rival, acme)
	exec(t, super, `DROP TABLE known`)
	exec(t, super, `SET session_replication_role = origin`)
}

func dropPolicies(t testing.TB, super *pgx.Conn) {
	t.Helper()
	for _, table := range tenantTables(t, super) {
		exec(t, super, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
	}
}

// neverSent are named statements that the story need not send, with reasons.
var neverSent = map[string]string{}

// TestPredicatesAlone plays the story with row level security off beside an
// organization whose rows have the same ids, and compares each step with the
// same step in a database where nobody else is.
func TestPredicatesAlone(t *testing.T) {
	t.Parallel()
	alone := setup(t)
	superAlone := alone.Super(t)
	type moment struct {
		report *authority.SyncReport
		rows   map[string][]string
	}
	var undisturbed []moment
	for _, s := range story() {
		undisturbed = append(undisturbed, moment{alone.play(t, "acme", s), values(t, superAlone, acme)})
	}
	var sent []string
	play := func(t *testing.T, b *bench, super *pgx.Conn, story []step, before func()) {
		t.Helper()
		b.Statements.Reset()
		for i, s := range story {
			before()
			foreign := marks(t, super, rival)
			report := b.play(t, "acme", s)
			require.Equal(t, undisturbed[i].report, report, "%s: the report", s.name)
			sameRows(t, undisturbed[i].rows, values(t, super, acme), s.name)
			sameRows(t, foreign, marks(t, super, rival), s.name+": the rival's rows")
		}
		sent = append(sent, b.Statements.Sent()...)
	}

	// The rival stands where acme stands before each step.
	t.Run("beside the present", func(t *testing.T) {
		b := setup(t)
		super := b.Super(t)
		dropPolicies(t, super)
		play(t, b, super, story(), func() { shadow(t, super, 100) })
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
			require.Positive(t, own[0], "the story leaves %s empty", table)
			require.Equal(t, own, column[int64](t, super, `SELECT count(*) FROM `+table+` WHERE organization_id = $1`, rival), table)
		}
		crowd(t, super)
		exec(t, super, `SET session_replication_role = replica`)
		for _, table := range tenantTables(t, super) {
			exec(t, super, `DELETE FROM `+table+` WHERE organization_id = $1`, acme)
		}
		exec(t, super, `SET session_replication_role = origin`)
		b.clock.Store(epoch.UnixMicro())
		play(t, b, super, quiet(), func() {})
	})
	for _, query := range authority.SyncQueries.All() {
		if neverSent[query.Name] == "" {
			require.Contains(t, sent, query.Name, "the story never sends it: extend the story or name the reason in neverSent")
		} else {
			require.NotContains(t, sent, query.Name, "neverSent names it")
		}
	}
}

// samples are arguments for every statement that reads, drawn from what is there.
func samples(t testing.TB, super *pgx.Conn) map[string]pgx.StrictNamedArgs {
	t.Helper()
	ids := func(sql string) []id.ID {
		list := column[id.ID](t, super, sql, acme)
		require.NotEmpty(t, list, sql)
		return list
	}
	entities := ids(`SELECT id FROM entity WHERE organization_id = $1 ORDER BY 1`)
	of := func(kind string) []id.ID {
		return ids(`SELECT id FROM entity WHERE kind = '` + kind + `' AND organization_id = $1 ORDER BY 1`)
	}
	paths := ids(`SELECT id FROM authority_path WHERE organization_id = $1 ORDER BY 1`)
	kinds := []string{"runs_as", "has_role", "grants", "owned_by", "created_by", "authenticates", "declares"}
	list, byIDs := pgx.StrictNamedArgs{"limit": 1000}, func(ids []id.ID) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"ids": ids} }
	return map[string]pgx.StrictNamedArgs{
		"paths_page": list, "syncs_page": list, "count_paths": {}, "count_syncs": {}, "sources": {},
		"paths_by_ids": byIDs(paths), "successions_by_paths": byIDs(paths), "versions_by_paths": {"ids": paths, "before": 1 << 30, "limit": 50},
		"paths_by_lineages": {
			"workloads": ids(`SELECT workload_id FROM authority_path WHERE organization_id = $1 ORDER BY id`),
			"resources": ids(`SELECT resource_id FROM authority_path WHERE organization_id = $1 ORDER BY id`)},
		"entities_by_ids": byIDs(entities), "last_seen": byIDs(entities), "assertions_by_entities": byIDs(entities),
		"rotations_by_workloads": byIDs(entities), "edges_from": {"kinds": kinds, "ids": entities}, "edges_to": {"kinds": kinds, "ids": entities},
		"entities_page": {"kind": "workload", "limit": 1000}, "count_entities": {"kind": "workload"},
		"sources_by_ids": byIDs(ids(`SELECT id FROM source WHERE organization_id = $1`)),
		"syncs_by_ids":   byIDs(ids(`SELECT id FROM sync WHERE organization_id = $1`)),
		// askService asks both of these for the other parents, too.
		"paths_under": {"parents": of("workload"), "limit": 1000}, "count_paths_under": {"parents": of("workload")},
	}
}

// TestReadPredicatesAlone runs every named statement that reads for acme,
// before and after a rival with the same ids moved in, with row level security
// off; and the service with every condition of its filters.
func TestReadPredicatesAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, s := range quiet() {
		b.play(t, "acme", s)
	}
	super := b.Super(t)
	dropPolicies(t, super)
	arguments := samples(t, super)
	ask := func() map[string]any {
		answers := map[string]any{}
		snapshot := b.Snapshot()
		defer snapshot.Close(b.ctx)
		for _, query := range authority.ReadQueries.All() {
			args, ok := arguments[strings.TrimPrefix(query.Name, "authority.read.")]
			require.True(t, ok, "%s has no sample arguments here", query.Name)
			whole := db.Query{Name: query.Name, SQL: "/* " + query.Name + " */ SELECT to_jsonb(q)::text FROM (" + query.SQL + ") q"}
			rows, err := db.Column[string](b.ctx, snapshot.Of(acme), whole, args)
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, rows, "%s: no answer proves nothing", query.Name)
			slices.Sort(rows) // a statement without its order marker has none
			answers[query.Name] = rows
		}
		b.askService(t, snapshot, answers)
		return answers
	}
	b.Statements.Reset()
	before := ask()
	for _, query := range authority.ReadQueries.All() {
		require.Contains(t, b.Statements.Sent(), query.Name)
	}
	for _, more := range []func(){func() { shadow(t, super, 100) }, func() { shadow(t, super, -100); crowd(t, super) }} {
		more()
		foreign := marks(t, super, rival)
		after := ask()
		require.Len(t, after, len(before))
		for name, want := range before {
			require.Equal(t, want, after[name], name)
		}
		sameRows(t, foreign, marks(t, super, rival), "reading writes nothing")
	}
}

// askService lists through the service, once for each condition that a filter
// can add to a statement.
func (b *bench) askService(t testing.TB, snapshot *db.Snapshot, answers map[string]any) {
	t.Helper()
	first := page.Request{First: pointer(100)}
	note := func(name string, value any, err error) {
		t.Helper()
		require.NoError(t, err, name)
		bytes, err := json.Marshal(value)
		require.NoError(t, err)
		answers["service "+name] = string(bytes)
	}
	orders := map[string]authority.PathOrder{"gravest": {Field: authority.BySensitivity, Descending: true}, "oldest": {Field: authority.ByFirstSeen}}
	workloads := b.idsOf(t, snapshot, record.Workload)
	identities, resources := b.idsOf(t, snapshot, record.Identity), b.idsOf(t, snapshot, record.Resource)
	for name, filter := range map[string]authority.PathFilter{
		"all": {}, "status": {Statuses: []authority.PathStatus{authority.PathActive}}, "domain": {DataDomains: []string{"finance"}},
		"sensitivity": {Sensitivities: []authority.Sensitivity{authority.Restricted, authority.Public}},
		"ownership":   {Ownership: []authority.OwnershipStatus{authority.OwnershipUnknown, authority.OwnershipDegraded, authority.OwnershipOrphaned, authority.OwnershipValid}},
		"egress":      {Egress: []authority.EgressCategory{authority.EgressLLM, authority.EgressExternal}},
		"workload":    {WorkloadIDs: workloads}, "identity": {IdentityIDs: identities}, "resource": {ResourceIDs: resources},
		"effective": {Effective: pointer(true)}, "bound": {Bound: pointer(false)}, "system": {System: "shop"},
		"foreign system": {System: "foreign shop"},
		"seen":           {FirstSeenAfter: pointer(epoch), FirstSeenBefore: pointer(epoch.AddDate(0, 0, 90))},
	} {
		count, err := b.service.CountPaths(b.ctx, snapshot, acme, filter)
		note("count "+name, count, err)
		if name != "foreign system" {
			require.Positive(t, count, name)
		}
		for by, order := range orders {
			got, err := b.service.Paths(b.ctx, snapshot, acme, filter, order, first)
			note("paths "+name+" "+by, got.Rows, err)
			for parent, ids := range map[authority.Parent][]id.ID{authority.UnderWorkload: workloads, authority.UnderIdentity: identities, authority.UnderResource: resources} {
				list := &authority.PathList{Parent: parent, Filter: filter, Order: order, Request: first}
				pages, err := b.service.PathsUnder(b.ctx, snapshot, acme, list, ids)
				rows := make([]any, len(ids))
				for i, id := range ids {
					rows[i] = pages[id].Rows
				}
				note("under "+string(parent)+" "+name+" "+by, rows, err)
				counts, err := b.service.CountPathsUnder(b.ctx, snapshot, acme, list, ids)
				note("count under "+string(parent)+" "+name, counts, err)
			}
		}
	}
	for name, filter := range map[string]authority.EntityFilter{
		"status": {Statuses: []record.Status{record.Active}}, "system": {Systems: []string{"shop"}}, "environment": {Environments: []string{"production", "staging"}},
		"source id": {SourceIDs: []string{"checkout"}}, "prefix": {NamePrefix: "Check"},
	} {
		got, err := b.service.Entities(b.ctx, snapshot, acme, record.Workload, filter, first)
		note("entities "+name, got.Rows, err)
		require.NotEmpty(t, got.Rows, name)
		count, err := b.service.CountEntities(b.ctx, snapshot, acme, record.Workload, filter)
		note("count entities "+name, count, err)
	}
	sources, err := b.service.Sources(b.ctx, snapshot, acme)
	note("sources", sources, err)
	for name, filter := range map[string]authority.SyncFilter{"source": {SourceIDs: []id.ID{sources[0].ID}}, "outcome": {Outcomes: []authority.Outcome{authority.Applied}}} {
		got, err := b.service.Syncs(b.ctx, snapshot, acme, filter, first)
		note("syncs "+name, got.Rows, err)
		require.NotEmpty(t, got.Rows, name)
		count, err := b.service.CountSyncs(b.ctx, snapshot, acme, filter)
		note("count syncs "+name, count, err)
	}
	assertions, err := b.service.AssertionsByEntities(b.ctx, snapshot, acme, workloads)
	note("assertions", assertions, err)
	seen, err := b.service.LastSeen(b.ctx, snapshot, acme, workloads)
	slices.SortFunc(seen, func(x, y *authority.Seen) int { return slices.Compare(x.ID[:], y.ID[:]) })
	note("last seen", seen, err)
}

func (b *bench) idsOf(t testing.TB, snapshot *db.Snapshot, kind record.EntityKind) (ids []id.ID) {
	t.Helper()
	got, err := b.service.Entities(b.ctx, snapshot, acme, kind, authority.EntityFilter{}, page.Request{First: pointer(100)})
	require.NoError(t, err)
	require.NotEmpty(t, got.Rows)
	for _, entity := range got.Rows {
		ids = append(ids, entity.ID)
	}
	return ids
}

// otherSchema are folders whose statements are for tables of their own.
var otherSchema = map[string]string{
	"internal/benchmark/": "measures what PostgreSQL itself can do, beside the product's tables",
}

// TestEveryStatementPrepares holds every named statement of the program against
// the migrated schema, also those that no other test sends. The files are
// searched for, so that a new package is in here without being named.
func TestEveryStatementPrepares(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	files := map[string]string{}
	root := filepath.Join("..", "..")
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "node_modules" || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".sql" {
			return nil
		}
		content, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(content), "\n-- name: ") || strings.HasPrefix(string(content), "-- name: ") {
			relative, _ := filepath.Rel(root, path)
			relative = filepath.ToSlash(relative)
			for folder := range otherSchema {
				if strings.HasPrefix(relative, folder) {
					return nil
				}
			}
			files[relative] = string(content)
		}
		return err
	}))
	for _, known := range []string{"db/queries.sql", "internal/access/queries.sql", "internal/org/queries.sql", "internal/authority/queries.sql", "internal/authority/sync.sql"} {
		require.Contains(t, files, known)
	}
	database := dbtest.New(t)
	for file, content := range files {
		conn := database.Runtime(t)
		tx, err := conn.Begin(ctx) // the temporary tables of a sync live in it
		require.NoError(t, err)
		if file == "internal/authority/sync.sql" {
			for _, script := range []string{"create_stage", "create_work"} {
				_, err := conn.Exec(ctx, authority.SyncQueries.Get(script).SQL)
				require.NoError(t, err)
			}
		}
		for _, query := range db.Parse(file, content).All() {
			if strings.Contains(withoutComments(query.SQL), ";") { // a script takes no arguments and is sent as it stands
				if !strings.Contains(query.SQL, "CREATE TEMPORARY") {
					_, err := conn.Exec(ctx, query.SQL)
					require.NoError(t, err, query.Name)
				}
				continue
			}
			sql, _, err := pgx.NamedArgs{}.RewriteQuery(ctx, conn, query.SQL, nil)
			require.NoError(t, err, query.Name)
			_, err = conn.Prepare(ctx, "", sql)
			require.NoError(t, err, query.Name)
		}
		require.NoError(t, tx.Rollback(ctx))
	}
}

func withoutComments(sql string) string {
	var lines []string
	for line := range strings.Lines(sql) {
		code, _, _ := strings.Cut(line, "--")
		lines = append(lines, code)
	}
	return strings.Join(lines, "\n")
}

// TestEveryTableOfAStatementHasItsPredicate counts. What a statement answers
// cannot prove every predicate: where rows are only counted as there or not, or
// where too much is derived again with the same result, a missing one does not
// show. So each mention of a tenant table must come with its own predicate.
func TestEveryTableOfAStatementHasItsPredicate(t *testing.T) {
	t.Parallel()
	tables := tenantTables(t, dbtest.New(t).Super(t))
	mention := regexp.MustCompile(`\b(FROM|JOIN|UPDATE|USING|INTO)\s+(` + strings.Join(tables, "|") + `)\b(?:\s+([a-z]+)\b)?`)
	comma := regexp.MustCompile(`,\s*(` + strings.Join(tables, "|") + `)\s+[a-z]+\b`)
	insert := regexp.MustCompile(`INSERT INTO (?:` + strings.Join(tables, "|") + `) \(organization_id, [^)]*\)\s+(?:SELECT|VALUES \()\s*@organization\b`)
	mentions := 0
	for _, query := range slices.Concat(authority.SyncQueries.All(), authority.ReadQueries.All()) {
		sql := withoutComments(query.SQL)
		byAlias, inserts := map[string]int{}, 0
		for _, m := range mention.FindAllStringSubmatch(sql, -1) {
			mentions++
			if m[1] == "INTO" {
				inserts++
				continue
			}
			byAlias[m[3]]++
		}
		require.Len(t, insert.FindAllString(sql, -1), inserts, "%s writes the tenant itself", query.Name)
		require.Empty(t, comma.FindAllString(sql, -1), "%s: write a join, so that this test sees it", query.Name)
		for alias, want := range byAlias {
			predicate := regexp.MustCompile(`\b` + alias + `\.organization_id = @organization\b`)
			if alias == "" {
				predicate = regexp.MustCompile(`[^.\w]organization_id = @organization\b`)
			}
			require.Len(t, predicate.FindAllString(sql, -1), want, "%s: predicates of %q", query.Name, alias)
		}
	}
	require.Greater(t, mentions, 100)
}
