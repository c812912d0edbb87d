package db_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
)

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
