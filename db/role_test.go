package db_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
)

// rights are what grants.sql gives to the runtime role, table by table.
var rights = map[string]string{
	"organization": "SELECT INSERT", "token_key": "SELECT", "token_key_secret": "", "access_token": "SELECT", "goose_db_version": "SELECT",

	"entity_assertion": "SELECT INSERT UPDATE DELETE", "edge": "SELECT INSERT UPDATE DELETE",
	"egress": "SELECT INSERT UPDATE DELETE", "coverage": "SELECT INSERT UPDATE DELETE",

	"source": "SELECT INSERT UPDATE", "organization_window": "SELECT INSERT UPDATE", "evidence": "SELECT INSERT UPDATE",
	"entity": "SELECT INSERT UPDATE", "authority_path": "SELECT INSERT UPDATE",

	"sync": "SELECT INSERT", "access_class": "SELECT INSERT", "access_class_set": "SELECT INSERT", "entity_version": "SELECT INSERT", "authority_path_version": "SELECT INSERT",
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

	"change_outbox": "SELECT INSERT UPDATE DELETE", "sync_progress": "SELECT INSERT UPDATE DELETE",
	"change_head": "SELECT INSERT UPDATE", "change_gap": "SELECT INSERT UPDATE", "exposure_change_day": "SELECT INSERT UPDATE",
	"exposure_changes": "SELECT INSERT", "entity_assertion_version": "SELECT INSERT", "edge_version": "SELECT INSERT",
	"coverage_version": "SELECT INSERT", "cluster_tally_version": "SELECT INSERT", "workload_exposure_version": "SELECT INSERT",

	"asset": "SELECT INSERT UPDATE", "asset_sighting": "SELECT INSERT UPDATE", "asset_tie": "SELECT INSERT UPDATE", "asset_cover": "SELECT INSERT UPDATE",
	"endpoint": "SELECT INSERT UPDATE", "asset_link": "SELECT INSERT UPDATE", "asset_version": "SELECT INSERT", "file": "SELECT INSERT",
	"file_upload": "SELECT INSERT DELETE",

	"audit_entry": "SELECT INSERT", "audit_shared_entry": "SELECT INSERT",

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
		`SELECT * FROM token_key_secret`, `DELETE FROM sync`, `UPDATE sync SET actor = ''`, `UPDATE access_class SET owner = ''`, `UPDATE access_class_set SET class = 1`, `DELETE FROM access_class_set`,
		`UPDATE entity_version SET name = ''`, `UPDATE authority_path_version SET version = 1`, `DELETE FROM authority_path_version`,
		`DELETE FROM authority_path`, `DELETE FROM entity`, `DELETE FROM source`, `DELETE FROM evidence`, `UPDATE identity_rotation SET at = now()`,
		`UPDATE path_succession SET at = now()`, `TRUNCATE authority_path`, `UPDATE organization SET name = 'x'`, `DELETE FROM organization`,
		`INSERT INTO token_key VALUES ('x', '', now())`, `CREATE TABLE mine (x int)`,
		`DELETE FROM exposure`, `DELETE FROM condition`, `DELETE FROM cluster_member`, `UPDATE exposure_version SET severity = 1`, `UPDATE evaluation SET at = now()`, `UPDATE posture_snapshot SET paths = 0`, `DELETE FROM workload_exposure`, `COPY token_key_secret TO STDOUT`,
		`DELETE FROM change_gap`, `DELETE FROM exposure_change_day`, `DELETE FROM change_head`, `UPDATE edge_version SET to_at = now()`, `DELETE FROM entity_assertion_version`,
		`SELECT hash FROM access_token`, `SELECT subject FROM access_token`, `UPDATE access_token SET revoked_at = NULL`, `DELETE FROM access_token`, `INSERT INTO access_token (id) VALUES (gen_random_uuid())`,
		`DELETE FROM asset`, `UPDATE asset_version SET status = 'active'`, `DELETE FROM asset_sighting`, `DELETE FROM asset_link`, `UPDATE file SET name = 'x'`, `DELETE FROM file`, `UPDATE file_upload SET name = 'x'`,
		`UPDATE audit_entry SET outcome = 'done'`, `DELETE FROM audit_entry`, `TRUNCATE audit_entry`, `UPDATE audit_shared_entry SET outcome = 'done'`, `DELETE FROM audit_shared_entry`, `TRUNCATE audit_shared_entry`,
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
