package db_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
)

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
