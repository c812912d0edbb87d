package change_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/change"
)

// TestStepsLookTheFeedUp: the plans of a step are made when an organization is new and
// kept while its first sync is published. Nobody has analyzed the feed by then; what
// they read of it must not grow with it.
func TestStepsLookTheFeedUp(t *testing.T) {
	t.Parallel()
	const published, asked = 2000, 100
	r := newRoom(t)
	subjects, ids := make([]string, asked), make([]string, asked)
	for i := range asked {
		subjects[i], ids[i] = fmt.Sprintf(numbered, 1, i/2), fmt.Sprintf(numbered, 2, i)
	}
	known := r.keep(change.SequenceQueries.Get("known"), map[string]string{
		"organization": "'" + organization.String() + "'",
		"subjects":     "'{" + strings.Join(subjects, ",") + "}'",
		"ids":          "'{" + strings.Join(ids, ",") + "}'",
	})
	require.Zero(t, known.run().read("exposure_changes"))
	r.exec(`INSERT INTO exposure_changes (organization_id, seq, id, change_type, entity_type, entity_id, subject_id, class, title, metadata, at, created_at)
		SELECT $1, n + 1, format('%s-0000-0000-0000-%s', lpad((2 + n % 2)::text, 8, '0'), lpad(n::text, 12, '0'))::uuid, 'exposure_opened', 'exposure', $1,
			format('%s-0000-0000-0000-%s', '00000001', lpad((n / 2)::text, 12, '0'))::uuid, 0, 'title', '{}', now(), now()
		FROM generate_series(0, $2::int - 1) n`, organization, published)
	ran := known.run()
	require.LessOrEqual(t, ran.read("exposure_changes"), float64(asked))
	require.InDelta(t, asked/2, ran.Rows, 0, "every second one is there")
}

// numbered is an id, by its kind and number.
const numbered = "%08d-0000-0000-0000-%012d"

// kept is a statement that is prepared, with a plan that it keeps.
type kept struct {
	t       testing.TB
	conn    *pgx.Conn
	execute string
}

// node is one of EXPLAIN (ANALYZE, FORMAT JSON).
type node struct {
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Filtered float64 `json:"Rows Removed by Filter"`
	Plans    []node  `json:"Plans"`
}

// keep prepares a statement as the role that serves, and has it planned. The arguments
// are SQL.
func (r *newsroom) keep(query db.Query, args map[string]string) kept {
	r.t.Helper()
	names := pgx.NamedArgs{}
	for name := range args {
		names[name] = name
	}
	sql, order, err := names.RewriteQuery(r.ctx, nil, query.SQL, nil)
	require.NoError(r.t, err)
	list := make([]string, len(order))
	for i, name := range order {
		list[i] = args[name.(string)]
	}
	k := kept{r.t, r.Runtime(r.t), "EXECUTE kept(" + strings.Join(list, ", ") + ")"}
	for _, statement := range []string{fmt.Sprintf("SELECT set_config('app.organization', '%s', false)", organization),
		"SET plan_cache_mode = force_generic_plan", "PREPARE kept AS " + sql, k.execute} {
		_, err := k.conn.Exec(r.ctx, statement)
		require.NoError(r.t, err, statement)
	}
	return k
}

// run runs it, and gives its plan.
func (k kept) run() node {
	k.t.Helper()
	var text string
	require.NoError(k.t, k.conn.QueryRow(context.Background(), "EXPLAIN (ANALYZE, FORMAT JSON) "+k.execute).Scan(&text))
	var result []struct{ Plan node }
	require.NoError(k.t, json.Unmarshal([]byte(text), &result))
	return result[0].Plan
}

// read counts the rows of a table that were come by.
func (n node) read(relation string) float64 {
	rows := 0.0
	if n.Relation == relation {
		rows = (n.Rows + n.Filtered) * n.Loops
	}
	for _, child := range n.Plans {
		rows += child.read(relation)
	}
	return rows
}
