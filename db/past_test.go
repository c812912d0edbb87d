package db_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

var pastQueries = db.Parse("then", `
-- columns: edge
e.kind, e.scope

-- name: page
SELECT /* columns: edge */
FROM /* page at */ edge e
WHERE e.organization_id = @organization /* where */
/* order */
LIMIT @limit;

-- name: open
SELECT count(*) FROM cluster_member m WHERE m.organization_id = @organization AND /* open */ m.to_at IS NULL;

-- name: written
-- How many there are.
SELECT count(*) FROM edge e WHERE e.organization_id = @organization AND e.effective = @effective;

-- name: written@past
SELECT count(*) FROM /* at */ edge e WHERE e.organization_id = @organization;

-- name: constant
-- timeless
SELECT count(*) FROM organization WHERE id = @organization;

-- name: none
SELECT count(*) FROM edge e WHERE e.organization_id = @organization;

-- name: forgetful
SELECT count(*) FROM /* at */ edge e WHERE e.organization_id = @organization
  AND EXISTS (SELECT FROM entity n WHERE n.organization_id = @organization AND n.id = e.to_id)
  AND EXISTS (SELECT FROM /* bare */ source s WHERE s.organization_id = @organization AND s.id = e.source_id AND s.created_at <= @as_of);
`)

// Marks of time leave the text of the present as it was.
func TestPresentOfMarkedStatements(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"page": "/* then.page */ SELECT e.kind, e.scope\nFROM edge e\nWHERE e.organization_id = @organization /* where */\n/* order */\nLIMIT @limit",
		"open": "/* then.open */ SELECT count(*) FROM cluster_member m WHERE m.organization_id = @organization AND m.to_at IS NULL",
		"written": "/* then.written */ -- How many there are.\n" +
			"SELECT count(*) FROM edge e WHERE e.organization_id = @organization AND e.effective = @effective",
		"constant": "/* then.constant */ SELECT count(*) FROM organization WHERE id = @organization",
	} {
		require.Equal(t, want, pastQueries.Get(name).SQL)
	}
	require.Len(t, pastQueries.All(), 6, "a past is no statement of its own")

	var w db.Where
	w.Plain("EXISTS (SELECT FROM /* at */ entity s WHERE s.organization_id = @organization AND s.id = e.to_id)")
	w.Either("e.scope = 'now'", "e.scope = 'then'")
	query := pastQueries.Get("page").Where(w)
	require.Contains(t, query.SQL, " AND (EXISTS (SELECT FROM entity s WHERE s.organization_id = @organization AND s.id = e.to_id)) AND (e.scope = 'now')\n")
	then, err := query.AsOf()
	require.NoError(t, err)
	require.Equal(t, "then.page@past", then.Name)
	require.NotContains(t, then.SQL, "/* at */")
	require.Contains(t, then.SQL, "entity_version")
	require.Contains(t, then.SQL, "AND (e.scope = 'then')")
}

func TestPastOfStatements(t *testing.T) {
	t.Parallel()
	then := func(query db.Query) string {
		query, err := query.AsOf()
		require.NoError(t, err)
		return query.SQL
	}
	require.Contains(t, then(pastQueries.Get("open")), "AND (m.from_at <= @as_of AND (m.to_at IS NULL OR m.to_at > @as_of))")
	require.Equal(t, "/* then.constant@past */ SELECT count(*) FROM organization WHERE id = @organization", then(pastQueries.Get("constant")))
	require.Contains(t, then(pastQueries.Get("written")), "edge_version")

	_, err := pastQueries.Get("none").AsOf()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	require.Equal(t, "ASOF_NOT_KEPT", typed.Code)

	// Each part of a paged relation is cut off by itself.
	merged := then(pastQueries.Get("page").With("order", "ORDER BY e.kind").Merged("ORDER BY e.kind"))
	require.Equal(t, 3, strings.Count(merged, "ORDER BY e.kind"))
	require.Equal(t, 3, strings.Count(merged, "LIMIT @limit"))
	require.Regexp(t, `(?s)FROM \(\(/\* then.page@past \*/ SELECT.* UNION ALL .*\)\) e ORDER BY e.kind LIMIT @limit$`, strings.ReplaceAll(merged, "((/*", "((/*"))

	require.Empty(t, pastQueries.Get("page").ReadAsTheyAre())
	require.Equal(t, []string{"cluster_member"}, pastQueries.Get("open").ReadAsTheyAre())
	require.Equal(t, []string{"entity"}, pastQueries.Get("forgetful").ReadAsTheyAre())
	for name, file := range map[string]string{
		"a past of nothing":    "-- name: a@past\nSELECT 1",
		"two pasts":            "-- name: a\nSELECT count(*) FROM /* at */ edge e\n-- name: a@past\nSELECT 1",
		"an unknown relation":  "-- name: a\nSELECT count(*) FROM /* at */ nowhere e",
		"the same past, twice": "-- name: a\nSELECT 1\n-- name: a@past\nSELECT 1\n-- name: a@past\nSELECT 1",
	} {
		require.Panics(t, func() { db.Parse("made", file) }, name)
	}
}

// leftOut are columns that have no past, and that no statement asks for.
var leftOut = map[string][]string{
	"authority_path":   {"open_mask", "accepted_mask"},
	"entity_assertion": {"digest"},
	"evidence":         {"count", "last_at", "recorded_at", "first_at"},
	"source":           {"content_digest"},
	"exposure":         {"decided_before"},
}

// Every relation gives the columns of its table, in their types, and each of its
// parts is of the organization and of the instant.
func TestRelationsOfThePast(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("past.sql")
	require.NoError(t, err)
	names := regexp.MustCompile(`(?m)^-- relation: (\w+)$`).FindAllStringSubmatch(string(file), -1)
	require.Greater(t, len(names), 15)
	database := dbtest.New(t)
	conn := database.Runtime(t)
	super := database.Super(t)
	ctx := context.Background()
	var statements strings.Builder
	for _, m := range names {
		statements.WriteString("-- name: " + m[1] + "\nSELECT r.* FROM /* at */ " + m[1] + " r WHERE r.organization_id = @organization;\n")
	}
	queries := db.Parse("relation", statements.String())
	dbtest.EveryReadStatementKnowsItsPast(t, queries)
	// A page is read part by part, so each part has the names.
	for _, m := range names {
		query := db.Parse("part", "-- name: page\nSELECT r.* FROM /* page at */ "+m[1]+" r WHERE r.organization_id = @organization /* order */ LIMIT @limit").Get("page")
		columns := column[string](t, super, `SELECT attname::text FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped`, m[1])
		columns = slices.DeleteFunc(columns, func(name string) bool { return slices.Contains(leftOut[m[1]], name) })
		order := "ORDER BY r." + strings.Join(columns, ", r.")
		then, err := query.With("order", order).Merged(order).AsOf()
		require.NoError(t, err)
		sql, _, err := pgx.NamedArgs{}.RewriteQuery(ctx, conn, then.SQL, nil)
		require.NoError(t, err)
		_, err = conn.Prepare(ctx, "", sql)
		require.NoError(t, err, m[1])
	}
	// Every column that a statement could name is there, in its type.
	for _, m := range names {
		then, err := queries.Get(m[1]).AsOf()
		require.NoError(t, err)
		sql, args, err := pgx.NamedArgs{"organization": id.Organization("acme"), "as_of": time.Now()}.RewriteQuery(ctx, conn, then.SQL, nil)
		require.NoError(t, err)
		rows, err := conn.Query(ctx, sql, args...)
		require.NoError(t, err, m[1])
		given := map[string]uint32{}
		for _, field := range rows.FieldDescriptions() {
			given[field.Name] = field.DataTypeOID
		}
		rows.Close()
		require.NoError(t, rows.Err(), m[1])
		for _, name := range column[string](t, super, `SELECT attname::text FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped`, m[1]) {
			kind := column[uint32](t, super, `SELECT atttypid FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2`, m[1], name)[0]
			if oid, there := given[name]; there {
				require.Equal(t, kind, oid, "%s.%s", m[1], name)
			} else {
				require.Contains(t, leftOut[m[1]], name, "%s lacks a column", m[1])
			}
		}
	}
}

// A snapshot of an instant reads pasts, beside the same snapshot of now.
func TestSnapshotAt(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	ctx := context.Background()
	organization := id.Organization("acme")
	super := database.Super(t)
	exec(t, super, `INSERT INTO organization (id, slug, name, created_at) VALUES ($1, 'acme', 'Acme', now())`, organization)
	day := func(n int) time.Time { return epoch.AddDate(0, 0, n) }
	edge := `INSERT INTO edge (organization_id, kind, from_id, scope, to_id, source_id, actions, effective, protocol, target_system, from_at)
		SELECT $1, 'runs_as', $1, $2, $1, $1, '{}', true, '', '', $3`
	exec(t, super, edge, organization, "old", day(0))
	exec(t, super, edge, organization, "new", day(2))
	exec(t, super, `INSERT INTO edge_version (organization_id, kind, from_id, scope, to_id, source_id, actions, effective, protocol, target_system, from_at, to_at)
		SELECT $1, 'runs_as', $1, 'gone', $1, $1, '{}', true, '', '', $2, $3`, organization, day(1), day(2))

	type row struct{ Kind, Scope string }
	page := func(q db.Querier) []string {
		query := pastQueries.Get("page").With("order", "ORDER BY e.scope").Merged("ORDER BY e.scope")
		rows, err := db.Select[row](ctx, q, query, pgx.StrictNamedArgs{"limit": 10})
		require.NoError(t, err)
		scopes := []string{}
		for _, r := range rows {
			scopes = append(scopes, r.Scope)
		}
		return scopes
	}
	snapshot := database.Snapshot()
	defer snapshot.Close(ctx)
	require.Equal(t, []string{"new", "old"}, page(snapshot.Of(organization)))
	for instant, want := range map[time.Time][]string{
		day(-1): {}, day(0): {"old"}, day(1): {"gone", "old"}, day(2).Add(-time.Microsecond): {"gone", "old"},
		day(2): {"new", "old"}, day(3).Add(time.Nanosecond): {"new", "old"},
	} {
		require.Equal(t, want, page(snapshot.At(instant).Of(organization)), instant)
	}
	require.Nil(t, snapshot.Instant())
	require.Equal(t, day(3), *snapshot.At(day(3).Add(time.Nanosecond)).Instant())
	require.Equal(t, []string{"new", "old"}, page(snapshot.Of(organization)), "the present beside it")

	// A past needs no argument that it does not name, but for the organization.
	then := snapshot.At(day(1))
	count, err := db.Column[int64](ctx, then.Of(organization), pastQueries.Get("written"), pgx.StrictNamedArgs{"effective": false})
	require.NoError(t, err)
	require.Equal(t, []int64{2}, count)
	_, err = db.Column[int64](ctx, then.Of(organization), db.Query{Name: "nobody", SQL: "SELECT 1", Past: "SELECT 1"}, nil)
	require.ErrorContains(t, err, "organization")
	_, err = db.Column[int64](ctx, then.Of(organization), pastQueries.Get("none"), nil)
	require.Equal(t, problem.Invalid, problem.KindOf(err))
	_, err = db.Column[int64](ctx, then.Of(organization), db.Query{Name: "made", SQL: "SELECT @organization"}, nil)
	require.Equal(t, problem.Invalid, problem.KindOf(err), "a text without a past refuses, too")
}
