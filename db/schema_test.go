package db_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// column reads one column of a query of the catalog.
func column[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) []T {
	t.Helper()
	rows, err := conn.Query(context.Background(), sql, args...)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return list
}

func exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	_, err := conn.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

// tables of the schema, whatever the migrations made.
func tables(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	return column[string](t, conn, `
		SELECT relname::text FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`)
}

// queueTables of the job queue's own schema, under their whole names.
func queueTables(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	return column[string](t, conn, `SELECT oid::regclass::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p') ORDER BY 1`, db.RiverSchema)
}

func tenantTables(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	list := slices.DeleteFunc(tables(t, conn), func(table string) bool { return db.Untenanted[table] != "" })
	require.GreaterOrEqual(t, len(list), 15, "the catalog query finds the tables")
	return list
}

func codeOf(t testing.TB, err error) string {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	return typed.Code
}

func sqlState(t testing.TB, err error) string {
	t.Helper()
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	return pgErr.Code
}

// TestUntenantedTablesAreThoseOfTheCatalog compares both ways, so that neither
// a forgotten organization_id nor a stale exception passes.
func TestUntenantedTablesAreThoseOfTheCatalog(t *testing.T) {
	t.Parallel()
	super := dbtest.New(t).Super(t)
	without := column[string](t, super, `
		SELECT c.relname::text FROM pg_class c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
		  AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped)`)
	without = append(without, queueTables(t, super)...)
	var named []string
	for table, reason := range db.Untenanted {
		require.NotEmpty(t, reason, "%s needs its reason", table)
		named = append(named, table)
	}
	require.ElementsMatch(t, named, without)
	for _, kind := range []string{"v", "m", "f", "S"} { // a view would pass the policies of its owner, a sequence would tell tenants' numbers
		require.Empty(t, column[string](t, super, `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind::text = $1
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = pg_class.oid AND d.refobjid = 'goose_db_version'::regclass)`, kind))
	}
}

// TestKeysBeginWithTheOrganization is the property that Citus shards by, and
// what makes a reference across organizations impossible.
func TestKeysBeginWithTheOrganization(t *testing.T) {
	t.Parallel()
	super := dbtest.New(t).Super(t)
	for _, table := range tenantTables(t, super) {
		require.Equal(t, []string{"uuid not null"}, column[string](t, super, `
			SELECT format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END
			FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = 'organization_id'`, table), table)
		require.Len(t, column[string](t, super, `SELECT conname::text FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'p'`, table), 1,
			"%s has a primary key", table)

		// Every index, not the unique ones only: a plan that begins elsewhere
		// reads other organizations' rows to throw them away.
		require.Empty(t, column[string](t, super, `
			SELECT i.indexrelid::regclass::text FROM pg_index i
			WHERE i.indrelid = $1::text::regclass
			  AND i.indkey[0] <> (SELECT attnum FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attname = 'organization_id')`, table), table)

		// A foreign key carries the organization on both sides.
		require.Empty(t, column[string](t, super, `
			SELECT k.conname::text FROM pg_constraint k
			WHERE k.conrelid = $1::text::regclass AND k.contype = 'f'
			  AND NOT (k.conkey[1] = (SELECT attnum FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attname = 'organization_id')
			       AND CASE WHEN k.confrelid = 'organization'::regclass THEN cardinality(k.conkey) = 1
			           ELSE k.confkey[1] = (SELECT attnum FROM pg_attribute a WHERE a.attrelid = k.confrelid AND a.attname = 'organization_id') END)`, table), table)
	}
}

// TestWallsOfEveryTenantTable looks for exactly the one policy: a second
// permissive one would open what the first one closes.
func TestWallsOfEveryTenantTable(t *testing.T) {
	t.Parallel()
	super := dbtest.New(t).Super(t)
	for _, table := range tenantTables(t, super) {
		require.Equal(t, []bool{true}, column[bool](t, super, `SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = $1::text::regclass`, table), table)
		require.Equal(t, []string{"PERMISSIVE {public} ALL (organization_id = current_organization()) (organization_id = current_organization())"},
			column[string](t, super, `SELECT concat_ws(' ', permissive, roles::text, cmd, qual, with_check) FROM pg_policies WHERE schemaname = 'public' AND tablename = $1`, table), table)
	}
	require.Equal(t, []string{"SELECT nullif(current_setting('app.organization', true), '')::uuid"},
		column[string](t, super, `SELECT btrim(prosrc, E' \n') FROM pg_proc WHERE proname = 'current_organization'`))
}

// TestIndexesWorkBehindRowLevelSecurity: an operator that is not leakproof is
// no index condition behind a policy, so neither type nor operator class of an
// index column may bring one.
func TestIndexesWorkBehindRowLevelSecurity(t *testing.T) {
	t.Parallel()
	super := dbtest.New(t).Super(t)
	require.Empty(t, column[string](t, super, `SELECT typname::text FROM pg_type WHERE typtype = 'e' AND typnamespace = 'public'::regnamespace`), "no native enums")
	type indexed struct {
		Index, Type, Category string
		Leaky                 []string
	}
	rows, err := super.Query(context.Background(), `
		SELECT i.indexrelid::regclass::text AS index, format_type(a.atttypid, NULL) AS type, t.typcategory::text AS category,
		       ARRAY(SELECT p.oid::regprocedure::text FROM pg_amop o JOIN pg_operator op ON op.oid = o.amopopr JOIN pg_proc p ON p.oid = op.oprcode
		             WHERE o.amopfamily = oc.opcfamily AND o.amoplefttype = oc.opcintype AND o.amoprighttype = oc.opcintype AND NOT p.proleakproof) AS leaky
		FROM pg_index i
		JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
		CROSS JOIN LATERAL unnest(i.indclass::oid[]) WITH ORDINALITY AS k(opclass, n)
		JOIN pg_opclass oc ON oc.oid = k.opclass
		JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = k.n
		JOIN pg_type t ON t.oid = a.atttypid`)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[indexed])
	require.NoError(t, err)
	require.Greater(t, len(list), 50)
	for _, column := range list {
		require.NotContains(t, []string{"jsonb", "json", "numeric"}, column.Type, column.Index)
		require.NotEqual(t, "A", column.Category, "%s indexes an array", column.Index)
		require.NotEqual(t, "E", column.Category, "%s indexes an enum", column.Index)
		require.Empty(t, column.Leaky, "%s compares %s", column.Index, column.Type)
	}
	require.Empty(t, column[string](t, super, `SELECT indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		WHERE c.relnamespace = 'public'::regnamespace AND i.indexprs IS NOT NULL`), "an expression in an index may leak")
	// Of a predicate: a column that is a truth itself, whether one is null, and the comparison of identifiers, leak nothing.
	for _, predicate := range column[string](t, super, `SELECT DISTINCT pg_get_expr(i.indpred, i.indrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		WHERE c.relnamespace = 'public'::regnamespace AND i.indpred IS NOT NULL`) {
		require.Regexp(t, `^(\w+|\(\w+ (IS NULL|IS NOT NULL|<> '[0-9a-f-]{36}'::uuid)\))$`, predicate)
	}
}

// rights are what grants.sql gives to the runtime role, table by table.
var rights = map[string]string{
	"organization": "SELECT INSERT", "token_key": "SELECT", "token_key_secret": "", "goose_db_version": "SELECT",

	"entity_assertion": "SELECT INSERT UPDATE DELETE", "edge": "SELECT INSERT UPDATE DELETE",
	"egress": "SELECT INSERT UPDATE DELETE", "coverage": "SELECT INSERT UPDATE DELETE",

	"source": "SELECT INSERT UPDATE", "organization_window": "SELECT INSERT UPDATE", "evidence": "SELECT INSERT UPDATE",
	"entity": "SELECT INSERT UPDATE", "authority_path": "SELECT INSERT UPDATE",

	"sync": "SELECT INSERT", "access_class": "SELECT INSERT", "entity_version": "SELECT INSERT", "authority_path_version": "SELECT INSERT",
	"identity_rotation": "SELECT INSERT", "path_succession": "SELECT INSERT",

	"rule_version": "SELECT INSERT UPDATE", "setting": "SELECT INSERT UPDATE", "condition": "SELECT INSERT UPDATE", "exposure": "SELECT INSERT UPDATE",
	"cluster_definition": "SELECT INSERT UPDATE", "cluster_member": "SELECT INSERT UPDATE",
	"evaluation": "SELECT INSERT", "scope_baseline": "SELECT INSERT", "condition_version": "SELECT INSERT", "exposure_version": "SELECT INSERT",
	"cluster_counter_version": "SELECT INSERT",
	"workload_exposure":       "SELECT INSERT UPDATE", "privilege_justification": "SELECT INSERT UPDATE",
	"posture_counter_version": "SELECT INSERT", "posture_snapshot": "SELECT INSERT",
	"identity_posture": "SELECT INSERT UPDATE DELETE", "posture_counter": "SELECT INSERT UPDATE DELETE",
	"cluster_identity": "SELECT INSERT UPDATE DELETE", "cluster_workload": "SELECT INSERT UPDATE DELETE", "cluster_evidence": "SELECT INSERT UPDATE DELETE",
	"cluster_counter": "SELECT INSERT UPDATE DELETE", "cluster_tally": "SELECT INSERT UPDATE DELETE",

	"ledger_head": "SELECT INSERT UPDATE", "signing_key": "SELECT INSERT UPDATE",
	"ledger_entry": "SELECT INSERT", "ledger_tile": "SELECT INSERT", "ledger_checkpoint": "SELECT INSERT", "ledger_request": "SELECT INSERT",

	"river.river_job": "SELECT INSERT UPDATE DELETE", "river.river_queue": "SELECT INSERT UPDATE DELETE", "river.river_leader": "SELECT INSERT UPDATE DELETE",
	"river.river_migration": "", "river.river_notification": "",
}

// TestRuntimeRole asks the server what the role can do, not the script what it
// grants: a right may also come from PUBLIC, a membership or a column.
func TestRuntimeRole(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	super := database.Super(t)
	require.Equal(t, []string{"f f f f f"}, column[string](t, super, `
		SELECT concat_ws(' ', rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication) FROM pg_roles WHERE rolname = $1`, devpg.RuntimeRole))
	require.Empty(t, column[string](t, super, `SELECT m.roleid::regrole::text FROM pg_auth_members m WHERE m.member = $1::text::regrole`, devpg.RuntimeRole), "member of nothing")
	require.Empty(t, column[string](t, super, `SELECT relname::text FROM pg_class WHERE relowner = $1::text::regrole
		UNION SELECT proname::text FROM pg_proc WHERE proowner = $1::text::regrole`, devpg.RuntimeRole), "owns nothing")
	for _, schema := range []string{"public", db.RiverSchema} {
		require.Equal(t, []bool{false}, column[bool](t, super, `SELECT has_schema_privilege($1, $2, 'CREATE')`, devpg.RuntimeRole, schema))
	}

	got := map[string]string{}
	for _, table := range append(tables(t, super), queueTables(t, super)...) {
		got[table] = strings.Join(column[string](t, super, `
			SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY AS t(p, n)
			WHERE has_table_privilege($1, $2::text::regclass, p)
			   OR (p IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege($1, $2::text::regclass, p)) ORDER BY n`, devpg.RuntimeRole, table), " ")
	}
	require.Equal(t, rights, got)

	// Functions with the owner's rights: these, for this role, and no other.
	require.ElementsMatch(t, []string{"analyze_authority() t f", "analyze_exposures(text) t f"}, column[string](t, super, `
		SELECT concat_ws(' ', p.oid::regprocedure, has_function_privilege($1, p.oid, 'EXECUTE'),
		         p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) x WHERE x.grantee = 0))
		FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef`, devpg.RuntimeRole), "name, executable by the runtime role, executable by PUBLIC")

	// And the same said by trying.
	runtime := database.Runtime(t)
	for _, refused := range []string{
		`SELECT * FROM token_key_secret`, `DELETE FROM sync`, `UPDATE sync SET actor = ''`, `UPDATE access_class SET owner = ''`,
		`UPDATE entity_version SET name = ''`, `UPDATE authority_path_version SET version = 1`, `DELETE FROM authority_path_version`,
		`DELETE FROM authority_path`, `DELETE FROM entity`, `DELETE FROM source`, `DELETE FROM evidence`, `UPDATE identity_rotation SET at = now()`,
		`UPDATE path_succession SET at = now()`, `TRUNCATE authority_path`, `UPDATE organization SET name = 'x'`, `DELETE FROM organization`,
		`INSERT INTO token_key VALUES ('x', '', now())`, `CREATE TABLE mine (x int)`,
		`DELETE FROM exposure`, `DELETE FROM condition`, `DELETE FROM cluster_member`, `UPDATE exposure_version SET severity = 1`, `UPDATE evaluation SET at = now()`, `UPDATE posture_snapshot SET paths = 0`, `DELETE FROM workload_exposure`, `COPY token_key_secret TO STDOUT`,
	} {
		_, err := runtime.Exec(context.Background(), refused)
		require.Equal(t, "42501", sqlState(t, err), refused)
	}
	// FORCE and the policy are the owner's to change, not the runtime role's.
	for _, refused := range []string{`ALTER TABLE edge DISABLE ROW LEVEL SECURITY`, `DROP POLICY organization ON edge`, `SET ROLE ` + devpg.OwnerRole} {
		_, err := runtime.Exec(context.Background(), refused)
		require.Equal(t, "42501", sqlState(t, err), refused)
	}
}

// TestSelfTest makes each way happen in which the second wall can be missing.
func TestSelfTest(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	selfTest := func(t *testing.T, url string) error {
		t.Helper()
		opened, err := db.Open(ctx, url, db.Options{MaxConns: 1})
		require.NoError(t, err)
		defer opened.Close()
		return opened.SelfTest(ctx)
	}
	t.Run("stands", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, dbtest.New(t).SelfTest(ctx))
	})
	t.Run("role", func(t *testing.T) {
		t.Parallel()
		database := dbtest.New(t)
		require.Equal(t, "RUNTIME_ROLE_TOO_STRONG", codeOf(t, selfTest(t, database.SuperURL)))
		require.Equal(t, "RUNTIME_ROLE_TOO_STRONG", codeOf(t, selfTest(t, database.OwnerURL)))

		// A role that only inherits what is too strong, and one that only bypasses.
		super := database.Super(t)
		for _, role := range []struct{ name, make string }{
			{"selftest_member", `CREATE ROLE selftest_member LOGIN IN ROLE ` + devpg.OwnerRole},
			{"selftest_bypass", `CREATE ROLE selftest_bypass LOGIN BYPASSRLS`},
		} {
			exec(t, super, role.make) // roles belong to the server: the names are this test's alone
			t.Cleanup(func() { _, _ = super.Exec(ctx, "DROP ROLE "+role.name) })
			url := strings.Replace(database.RuntimeURL, "://"+devpg.RuntimeRole+"@", "://"+role.name+"@", 1)
			require.NotEqual(t, database.RuntimeURL, url)
			require.Equal(t, "RUNTIME_ROLE_TOO_STRONG", codeOf(t, selfTest(t, url)), role.name)
		}
	})
	for name, breach := range map[string]struct{ table, statement string }{
		"force":     {"edge", `ALTER TABLE edge NO FORCE ROW LEVEL SECURITY`},
		"enable":    {"sync", `ALTER TABLE sync DISABLE ROW LEVEL SECURITY`},
		"policy":    {"entity", `DROP POLICY organization ON entity`},
		"new table": {"forgotten", `CREATE TABLE forgotten (organization_id uuid, x text)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := dbtest.New(t)
			exec(t, database.Super(t), breach.statement)
			err := database.SelfTest(ctx)
			require.Equal(t, "TABLES_UNPROTECTED", codeOf(t, err))
			require.ErrorContains(t, err, "not forced on "+breach.table+";")
		})
	}
}

// fingerprint is everything that the migrations made, apart from goose's own
// table, whose rows and sequence survive.
func fingerprint(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	return column[string](t, conn, `
		SELECT concat_ws(' ', 'table', c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, obj_description(c.oid)) FROM pg_class c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'goose%'
		UNION ALL
		SELECT concat_ws(' ', 'column', c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, co.collname) FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'goose%'
		LEFT JOIN pg_collation co ON co.oid = a.attcollation WHERE a.attnum > 0
		UNION ALL
		SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
		WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'goose%'
		UNION ALL
		SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid)) FROM pg_index i
		JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'goose%'
		UNION ALL
		SELECT concat_ws(' ', 'function', oid::regprocedure, prokind, provolatile, prosecdef, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL
		SELECT concat_ws(' ', 'policy', polrelid::regclass, polname, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) FROM pg_policy
		UNION ALL
		SELECT concat_ws(' ', 'type', typname) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typname NOT LIKE '%goose%'
		UNION ALL
		SELECT concat_ws(' ', 'schema', nspname) FROM pg_namespace WHERE nspname = 'river'
		UNION ALL
		SELECT concat_ws(' ', 'queue', c.relname, c.relkind, a.attname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace = to_regnamespace('river')
		ORDER BY 1`)
}

func migrator(t testing.TB, url string) *db.Migrator {
	t.Helper()
	m, err := db.NewMigrator(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func applied(t testing.TB, m *db.Migrator) (count, all int) {
	t.Helper()
	status, err := m.Status(context.Background())
	require.NoError(t, err)
	for _, migration := range status {
		if migration.Applied {
			count++
		}
	}
	return count, len(status)
}

func TestMigrationsUpDownUp(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	database := dbtest.Empty(t)
	super := database.Super(t)
	m := migrator(t, database.OwnerURL)
	empty := fingerprint(t, super)
	require.Empty(t, empty)

	up, err := m.Up(ctx, devpg.RuntimeRole)
	require.NoError(t, err)
	_, all := applied(t, m)
	require.Equal(t, all, up)
	require.GreaterOrEqual(t, all, 2)
	whole := fingerprint(t, super)
	require.NoError(t, database.SelfTest(ctx))

	again, err := m.Up(ctx, devpg.RuntimeRole)
	require.NoError(t, err)
	require.Zero(t, again, "there is nothing more to apply")

	for left := all; left > 0; left-- {
		_, err := m.Down(ctx)
		require.NoError(t, err)
		count, _ := applied(t, m)
		require.Equal(t, left-1, count)
	}
	require.Empty(t, fingerprint(t, super), "down takes back all that up made")
	_, err = m.Down(ctx)
	require.Error(t, err, "below zero there is nothing")

	up, err = m.Up(ctx, devpg.RuntimeRole)
	require.NoError(t, err)
	require.Equal(t, all, up)
	require.Equal(t, whole, fingerprint(t, super))
	require.NoError(t, database.SelfTest(ctx))
}

// facts is a small world: n workloads that share an identity and its roles.
func facts(n int) []record.Fact {
	ref := func(kind record.EntityKind, name string) record.Ref {
		return record.Ref{Kind: kind, SourceID: name}
	}
	list := []record.Fact{
		record.Entity{Ref: ref(record.Identity, "sa")}, record.Entity{Ref: ref(record.Role, "reader")},
		record.Entity{Ref: ref(record.Resource, "ledger"), Sensitivity: "restricted", DataDomain: "finance"},
		record.Edge{Kind: record.HasRole, From: ref(record.Identity, "sa"), To: ref(record.Role, "reader"), Scope: "*"},
		record.Edge{Kind: record.Grants, From: ref(record.Role, "reader"), To: ref(record.Resource, "ledger"), Scope: "*", Actions: []string{"get"}},
	}
	for i := range n {
		w := ref(record.Workload, fmt.Sprintf("w%03d", i))
		list = append(list, record.Entity{Ref: w}, record.Edge{Kind: record.RunsAs, From: w, To: ref(record.Identity, "sa")})
	}
	return list
}

var root = access.Actor{Subject: "test", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}

func sync1(t testing.TB, database *db.DB, organization string, list []record.Fact) *authority.SyncReport {
	t.Helper()
	service := authority.New(database, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), func() time.Time { return epoch }, slog.New(slog.DiscardHandler))
	report, err := service.Sync(access.With(context.Background(), root),
		authority.SyncRequest{Organization: organization, CreateOrganization: true, Format: "snapshot"},
		func(out record.Emitter) error {
			for i, fact := range list {
				if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
					return err
				}
			}
			return nil
		})
	require.NoError(t, err)
	return report
}

// TestMigrationsOnData takes all migrations but the first back while there is
// data, and works on after it. A down is destructive; what is below it stays.
func TestMigrationsOnData(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	database := dbtest.New(t)
	require.Equal(t, 3, sync1(t, database.DB, "acme", facts(3)).Paths.Added)
	require.Equal(t, 2, sync1(t, database.DB, "rival", facts(2)).Paths.Added)

	m := migrator(t, database.OwnerURL)
	before, all := applied(t, m)
	require.Equal(t, all, before)
	for range all - 1 {
		_, err := m.Down(ctx)
		require.NoError(t, err)
	}
	count, _ := applied(t, m)
	require.Equal(t, 1, count)
	super := database.Super(t)
	require.Equal(t, []string{"acme", "rival"}, column[string](t, super, `SELECT slug FROM organization ORDER BY 1`))

	up, err := m.Up(ctx, devpg.RuntimeRole)
	require.NoError(t, err)
	require.Equal(t, all-1, up)
	require.NoError(t, database.SelfTest(ctx))
	require.Equal(t, 3, sync1(t, database.DB, "acme", facts(3)).Paths.Added, "the tables serve again, and the grants are there")

	// Up on a schema that is whole and full of data changes nothing.
	up, err = m.Up(ctx, devpg.RuntimeRole)
	require.NoError(t, err)
	require.Zero(t, up)
	require.Equal(t, []int64{3}, column[int64](t, super, `SELECT count(*) FROM authority_path`))
}

// TestRiverIsMigrated fails when the module of the job queue brings a migration
// that none of ours applies.
func TestRiverIsMigrated(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, dbtest.New(t).OwnerURL)
	require.NoError(t, err)
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: db.RiverSchema})
	require.NoError(t, err)
	result, err := migrator.Validate(ctx, nil)
	require.NoError(t, err)
	require.True(t, result.OK, result.Messages)
}

// TestOwnerOfTheSchemas migrates as a role that owns the schemas and not the
// database.
func TestOwnerOfTheSchemas(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	database := dbtest.Empty(t)
	super := database.Super(t)
	exec(t, super, `CREATE ROLE schema_owner LOGIN`) // roles belong to the server: the name is this test's alone
	t.Cleanup(func() { _, _ = super.Exec(ctx, `DROP OWNED BY schema_owner CASCADE; DROP ROLE schema_owner`) })
	exec(t, super, `ALTER SCHEMA public OWNER TO schema_owner`)
	m := migrator(t, strings.Replace(database.OwnerURL, "://"+devpg.OwnerRole+"@", "://schema_owner@", 1))
	_, err := m.Up(ctx, devpg.RuntimeRole)
	require.Equal(t, "SCHEMA_NEEDED", codeOf(t, err))
	exec(t, super, `CREATE SCHEMA river AUTHORIZATION schema_owner`)
	_, err = m.Up(ctx, devpg.RuntimeRole)
	require.NoError(t, err)
	require.NoError(t, database.SelfTest(ctx))
}

// TestReplicasMigrateTogether starts several programs on one empty database,
// and then again on the whole one, where only the grants are left to do.
func TestReplicasMigrateTogether(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	database := dbtest.Empty(t)
	const replicas = 4
	for round := range 8 {
		counts, errs := make([]int, replicas), make([]error, replicas)
		var group sync.WaitGroup
		begin := make(chan struct{})
		for i := range replicas {
			m := migrator(t, database.OwnerURL)
			group.Go(func() {
				<-begin
				counts[i], errs[i] = m.Up(ctx, devpg.RuntimeRole)
			})
		}
		close(begin)
		group.Wait()
		total := 0
		for i := range replicas {
			require.NoError(t, errs[i], "round %d", round)
			total += counts[i]
		}
		_, all := applied(t, migrator(t, database.OwnerURL))
		if round > 0 {
			all = 0
		}
		require.Equal(t, all, total, "each migration ran once")
	}
	require.NoError(t, database.SelfTest(ctx))
}

// capture is a tracer that keeps the statements as they were sent, with their
// arguments, so that a test can explain what the product really runs.
type capture struct {
	mu   sync.Mutex
	sent []statement
}

type statement struct {
	sql  string
	args []any
}

func (c *capture) note(sql string, args []any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(sql, "/* authority.read.") { // a list of both statuses has it twice, further in
		c.sent = append(c.sent, statement{sql, args})
	}
}

func (c *capture) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	c.note(data.SQL, data.Args)
	return ctx
}
func (c *capture) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *capture) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (c *capture) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	c.note(data.SQL, data.Args)
}
func (c *capture) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// plan is a node of EXPLAIN (FORMAT JSON).
type plan struct {
	NodeType string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Cond     string `json:"Index Cond"`
	Filter   string `json:"Filter"`
	Hit      int    `json:"Shared Hit Blocks"`
	Read     int    `json:"Shared Read Blocks"`
	Plans    []plan `json:"Plans"`
}

func (p plan) walk(visit func(plan)) {
	visit(p)
	for _, child := range p.Plans {
		child.walk(visit)
	}
}

// shape is what must not change while a statement grows old.
func (p plan) shape() string {
	children := make([]string, 0, len(p.Plans))
	for _, child := range p.Plans {
		children = append(children, child.shape())
	}
	return fmt.Sprintf("%s[%s %s](%s)", p.NodeType, p.Relation, p.Index, strings.Join(children, ", "))
}

func explained(t testing.TB, conn *pgx.Conn, sql string, args ...any) plan {
	t.Helper()
	texts := column[string](t, conn, sql, args...)
	require.Len(t, texts, 1)
	var result []struct {
		Plan plan `json:"Plan"`
	}
	require.NoError(t, json.Unmarshal([]byte(texts[0]), &result))
	return result[0].Plan
}

// pathBench is two organizations of 12,000 paths each with statistics, and a
// runtime connection on which one of them is set.
func pathBench(t *testing.T) (*authority.Service, *db.DB, *capture, *pgx.Conn, id.ID) {
	t.Helper()
	ctx := context.Background()
	database := dbtest.New(t)
	sync1(t, database.DB, "acme", facts(1))
	sync1(t, database.DB, "rival", facts(1))
	super := database.Super(t)
	// 120 workloads, 1200 identities of 10 paths, 100 destinations in 10 domains. Both
	// organizations use the same ids, so that only the organization tells them apart.
	exec(t, super, `
		INSERT INTO authority_path (organization_id, id, lineage_id, workload_id, identity_id, resource_id, status, effective, role_ids, actions, auth_chain_depth,
			composition_hash, class, data_domain, sensitivity, ownership_status, egress_category, version, from_at, sync_version, first_seen_at, removed_at)
		SELECT o.id, md5('path' || w || ',' || r)::uuid, md5('line' || w || ',' || r)::uuid, md5('w' || w)::uuid, md5('i' || (w * 100 + r) / 10)::uuid, md5('r' || r)::uuid,
			CASE WHEN (w + r) % 10 = 0 THEN 'removed' ELSE 'active' END, true, ARRAY[md5('role' || r)::uuid], '{get,list}', 0,
			sha256(convert_to(w || ',' || r, 'UTF8')), 0, 'domain' || r % 10, (r / 10) % 5, 'unknown', 'unknown', 1, now(), 1, now() - r * interval '1 hour',
			CASE WHEN (w + r) % 10 = 0 THEN now() END
		FROM organization o, generate_series(1, 120) AS w, generate_series(1, 100) AS r
		WHERE o.slug IN ('acme', 'rival')`)
	exec(t, super, `VACUUM ANALYZE authority_path`)

	tracer := &capture{}
	traced, err := db.Open(ctx, database.RuntimeURL, db.Options{MaxConns: 2, Tracer: tracer})
	require.NoError(t, err)
	t.Cleanup(traced.Close)
	runtime := database.Runtime(t)
	organization := id.Organization("acme")
	exec(t, runtime, `SELECT set_config('app.organization', $1, false)`, organization.String())
	return authority.New(traced, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), func() time.Time { return epoch }, slog.New(slog.DiscardHandler)), traced, tracer, runtime, organization
}

func md5ID(t testing.TB, conn *pgx.Conn, text string) id.ID {
	t.Helper()
	return column[id.ID](t, conn, `SELECT md5($1)::uuid`, text)[0]
}

// TestAccessPathsHaveTheirIndex explains the statements that the service sends
// for the four access paths of S3 (C18), and for lineages.
func TestAccessPathsHaveTheirIndex(t *testing.T) {
	t.Parallel()
	service, database, tracer, runtime, organization := pathBench(t)
	ctx := access.With(context.Background(), root)
	twenty := 20
	first := page.Request{First: &twenty}
	grave := authority.PathOrder{Field: authority.BySensitivity, Descending: true}
	workload, resource, identity := md5ID(t, runtime, "w7"), md5ID(t, runtime, "r9"), md5ID(t, runtime, "i30")

	paths := func(filter authority.PathFilter, order authority.PathOrder, request page.Request) authority.PathPage {
		snapshot := database.Snapshot()
		defer snapshot.Close(ctx)
		got, err := service.Paths(ctx, snapshot, organization, filter, order, request)
		require.NoError(t, err)
		require.NotEmpty(t, got.Rows)
		return got
	}
	under := func(parent authority.Parent, ids ...id.ID) {
		snapshot := database.Snapshot()
		defer snapshot.Close(ctx)
		_, err := service.PathsUnder(ctx, snapshot, organization, &authority.PathList{Parent: parent, Order: grave, Request: first,
			Filter: authority.PathFilter{Statuses: []authority.PathStatus{authority.PathActive}}}, ids)
		require.NoError(t, err)
	}
	active := []authority.PathStatus{authority.PathActive}
	next := func(filter authority.PathFilter, order authority.PathOrder) {
		got := paths(filter, order, first)
		after := got.Cursor(got.Rows[len(got.Rows)-1])
		tracer.sent = nil // the page that is asked about is the second one
		paths(filter, order, page.Request{First: &twenty, After: &after})
	}

	for name, access := range map[string]struct {
		run    func()
		index  []string // the one that must serve it
		sorted bool     // whether the index gives the list's order
		within string   // a condition that must be of the index, not a filter behind it
	}{
		"of a workload":       {func() { paths(authority.PathFilter{Statuses: active, WorkloadIDs: []id.ID{workload}}, grave, first) }, []string{"authority_path_workload"}, false, "workload_id"},
		"through an identity": {func() { paths(authority.PathFilter{Statuses: active, IdentityIDs: []id.ID{identity}}, grave, first) }, []string{"authority_path_identity"}, false, "identity_id"},
		"to a destination":    {func() { paths(authority.PathFilter{Statuses: active, ResourceIDs: []id.ID{resource}}, grave, first) }, []string{"authority_path_resource"}, false, "resource_id"},
		"domain and sensitivity": {func() {
			paths(authority.PathFilter{Statuses: active, DataDomains: []string{"domain3"}, Sensitivities: []authority.Sensitivity{authority.Restricted}}, grave, first)
		}, []string{"authority_path_domain"}, true, "sensitivity"},
		"domain, gravest first": {func() { paths(authority.PathFilter{Statuses: active, DataDomains: []string{"domain3"}}, grave, first) }, []string{"authority_path_domain"}, true, "data_domain"},
		"status and sensitivity": {func() {
			paths(authority.PathFilter{Statuses: active, Sensitivities: []authority.Sensitivity{authority.Confidential}}, grave, first)
		}, []string{"authority_path_status"}, true, "sensitivity"},
		"active, gravest first": {func() { paths(authority.PathFilter{Statuses: active}, grave, first) }, []string{"authority_path_status"}, true, "status"},
		"active, mildest first": {func() {
			paths(authority.PathFilter{Statuses: active}, authority.PathOrder{Field: authority.BySensitivity}, first)
		}, []string{"authority_path_status"}, true, "status"},
		"active, from the end":           {func() { paths(authority.PathFilter{Statuses: active}, grave, page.Request{Last: &twenty}) }, []string{"authority_path_status"}, true, "status"},
		"active, the second page":        {func() { next(authority.PathFilter{Statuses: active}, grave) }, []string{"authority_path_status"}, true, "ROW(sensitivity, id) < ROW("},
		"domain, the second page":        {func() { next(authority.PathFilter{Statuses: active, DataDomains: []string{"domain3"}}, grave) }, []string{"authority_path_domain"}, true, "ROW(sensitivity, id) < ROW("},
		"of both statuses":               {func() { paths(authority.PathFilter{}, grave, first) }, []string{"authority_path_status"}, true, "status"},
		"both statuses, the second page": {func() { next(authority.PathFilter{}, grave) }, []string{"authority_path_status"}, true, "ROW(sensitivity, id) < ROW("},
		"newest first": {func() {
			paths(authority.PathFilter{}, authority.PathOrder{Field: authority.ByFirstSeen, Descending: true}, first)
		}, []string{"authority_path_first_seen"}, true, "organization_id"},
		"newest, the second page": {func() {
			next(authority.PathFilter{Statuses: active}, authority.PathOrder{Field: authority.ByFirstSeen, Descending: true})
		}, []string{"authority_path_first_seen"}, true, "ROW(first_seen_at, id) < ROW("},
		"of a lineage": {func() {
			snapshot := database.Snapshot()
			defer snapshot.Close(ctx)
			_, err := service.PathsByLineages(ctx, snapshot, organization, []authority.LineageKey{{WorkloadID: workload, ResourceID: resource}})
			require.NoError(t, err)
		}, []string{"authority_path_workload"}, false, "resource_id"},
		"by ids": {func() {
			snapshot := database.Snapshot()
			defer snapshot.Close(ctx)
			_, err := service.PathsByIDs(ctx, snapshot, organization, []id.ID{workload, resource})
			require.NoError(t, err)
		}, []string{"authority_path_pkey"}, false, "id = ANY"},
		"under workloads":    {func() { under(authority.UnderWorkload, workload, md5ID(t, runtime, "w8")) }, []string{"authority_path_workload"}, false, "workload_id"},
		"under identities":   {func() { under(authority.UnderIdentity, identity, md5ID(t, runtime, "i40")) }, []string{"authority_path_identity"}, false, "identity_id"},
		"under destinations": {func() { under(authority.UnderResource, resource, md5ID(t, runtime, "r5")) }, []string{"authority_path_resource"}, false, "resource_id"},
	} {
		tracer.sent = nil
		access.run()
		require.Len(t, tracer.sent, 1, name)
		got := explained(t, runtime, "EXPLAIN (FORMAT JSON) "+tracer.sent[0].sql, tracer.sent[0].args...)
		var used []string
		var conditions strings.Builder
		got.walk(func(node plan) {
			require.False(t, node.NodeType == "Seq Scan" && node.Relation == "authority_path", "%s reads every row: %s", name, got.shape())
			if access.sorted {
				require.NotContains(t, node.NodeType, "Sort", "%s: %s", name, got.shape())
			}
			if node.Index != "" {
				require.Contains(t, node.Cond, "organization_id =", "%s: %s", name, got.shape())
				used = append(used, node.Index)
				conditions.WriteString(node.Cond)
			}
		})
		require.Subset(t, access.index, used, "%s: %s", name, got.shape())
		require.NotEmpty(t, used, name)
		require.Contains(t, conditions.String(), access.within, "%s: %s", name, got.shape())
	}
}

// literal writes an argument as EXECUTE takes it.
func literal(t testing.TB, value any) string {
	t.Helper()
	switch v := value.(type) {
	case id.ID:
		return "'" + v.String() + "'"
	case string:
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	case authority.PathStatus:
		return "'" + string(v) + "'"
	case int, int64:
		return fmt.Sprint(v)
	}
	require.Failf(t, "no literal", "%T", value)
	return ""
}

// TestListKeepsItsPlan: after five executions PostgreSQL may swap the plan of a
// prepared statement for a generic one, which knows neither the organization
// nor the limit. The list must be read the same way then.
func TestListKeepsItsPlan(t *testing.T) {
	t.Parallel()
	service, database, tracer, runtime, organization := pathBench(t)
	ctx := access.With(context.Background(), root)
	hundred := 100
	order := authority.PathOrder{Field: authority.BySensitivity, Descending: true}
	filter := authority.PathFilter{Statuses: []authority.PathStatus{authority.PathActive}}
	request := page.Request{First: &hundred}
	for range 2 { // the first page and one behind a cursor
		snapshot := database.Snapshot()
		got, err := service.Paths(ctx, snapshot, organization, filter, order, request)
		require.NoError(t, err)
		snapshot.Close(ctx)
		after := got.Cursor(got.Rows[len(got.Rows)-1])
		request = page.Request{First: &hundred, After: &after}
	}
	require.Len(t, tracer.sent, 2)
	for i, sent := range tracer.sent {
		for _, mode := range []string{"auto", "force_generic_plan"} {
			name := fmt.Sprintf("list_%d_%s", i, mode)
			exec(t, runtime, "SET plan_cache_mode = "+mode)
			exec(t, runtime, "PREPARE "+name+" AS "+sent.sql)
			args := make([]string, len(sent.args))
			for n, arg := range sent.args {
				args[n] = literal(t, arg)
			}
			execute := "EXECUTE " + name + "(" + strings.Join(args, ", ") + ")"
			explain := func() plan { return explained(t, runtime, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+execute) }
			explain() // reads the catalog and the pages into memory
			young := explain()
			require.Contains(t, young.shape(), "authority_path_status", name)
			require.NotContains(t, young.shape(), "Sort", name)
			for range 10 {
				exec(t, runtime, execute)
			}
			old := explain()
			require.Equal(t, young.shape(), old.shape(), name)
			require.LessOrEqual(t, old.Hit+old.Read, young.Hit+young.Read, name)
			require.Less(t, old.Hit+old.Read, 400, "%s reads about a page of rows, not the table", name)
		}
	}
}
