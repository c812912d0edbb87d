package dbtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// replaced are the tables whose rows have versions, with the columns in which a row and
// its version say since when, and the version until when.
var replaced = []struct{ table, begun, from, to, which string }{
	{"authority_path", "from_at", "from_at", "to_at", "true"}, {"entity", "from_at", "from_at", "to_at", "true"},
	{"entity_assertion", "from_at", "from_at", "to_at", "true"}, {"edge", "from_at", "from_at", "to_at", "true"},
	{"coverage", "recorded_at", "recorded_at", "until", "true"}, {"condition", "version_from", "from_at", "to_at", "x.to_at IS NULL"},
	{"exposure", "version_from", "from_at", "to_at", "x.to_at IS NULL"}, {"workload_exposure", "from_at", "from_at", "to_at", "true"},
	{"cluster_tally", "from_at", "from_at", "to_at", "true"}, {"cluster_counter", "from_at", "from_at", "to_at", "true"},
	{"posture_counter", "from_at", "from_at", "to_at", "true"}, {"asset", "from_at", "from_at", "to_at", "true"},
}

// Outdate has every row of an organization that could have been replaced be replaced at
// an instant, by one that says the same: what is read as of before then is read from the
// versions.
func Outdate(t testing.TB, super *pgx.Conn, organization id.ID, at time.Time) {
	t.Helper()
	var known int
	require.NoError(t, super.QueryRow(context.Background(), `SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname LIKE '%\_version' AND relname NOT IN ('rule_version', 'goose_db_version')`).Scan(&known))
	require.Len(t, replaced, known, "a table of versions is not named here")
	for _, r := range replaced {
		for _, statement := range []string{
			`INSERT INTO ` + r.table + `_version SELECT (jsonb_populate_record(NULL::` + r.table + `_version, to_jsonb(x) || jsonb_build_object('` + r.from + `', x.` + r.begun + `, '` + r.to + `', $2::timestamptz))).*
				FROM ` + r.table + ` x WHERE x.organization_id = $1 AND x.` + r.begun + ` < $2 AND ` + r.which,
			`UPDATE ` + r.table + ` x SET ` + r.begun + ` = $2 WHERE x.organization_id = $1 AND x.` + r.begun + ` < $2 AND ` + r.which,
		} {
			_, err := super.Exec(context.Background(), statement, organization, at)
			require.NoError(t, err, statement)
		}
	}
}
