package dbtest

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
)

// EveryReadStatementKnowsItsPast holds the statements of a package that read: each
// has a past that the server takes, and that reads no table as it is now, or is
// one of those without.
func EveryReadStatementKnowsItsPast(t testing.TB, queries db.Queries, without ...string) {
	t.Helper()
	ctx := context.Background()
	conn := New(t).Runtime(t)
	refused := []string{}
	for _, query := range queries.All() {
		then, err := query.AsOf()
		if err != nil {
			refused = append(refused, query.Name)
			continue
		}
		require.Empty(t, query.ReadAsTheyAre(), "%s reads these as they are now", then.Name)
		sql, _, err := pgx.NamedArgs{}.RewriteQuery(ctx, conn, then.SQL, nil)
		require.NoError(t, err, then.Name)
		_, err = conn.Prepare(ctx, "", sql)
		require.NoError(t, err, "%s: %s", then.Name, then.SQL)
	}
	slices.Sort(without)
	require.ElementsMatch(t, without, refused, "statements without a past")
}

// EveryReadStatementCanBeSeen holds the statements of a package that read for callers:
// each has the text of one who sees a part, which the server takes, and so has its
// past.
func EveryReadStatementCanBeSeen(t testing.TB, queries []db.Query) {
	t.Helper()
	ctx := context.Background()
	conn := New(t).Runtime(t)
	require.NotEmpty(t, queries)
	for _, query := range queries {
		for _, past := range []bool{false, true} {
			if past && query.Past == "" {
				continue
			}
			seen, err := query.AsSeen(past)
			require.NoError(t, err)
			sql, _, err := pgx.NamedArgs{}.RewriteQuery(ctx, conn, seen.SQL, nil)
			require.NoError(t, err, seen.Name)
			_, err = conn.Prepare(ctx, "", sql)
			require.NoError(t, err, "%s: %s", seen.Name, seen.SQL)
		}
	}
}
