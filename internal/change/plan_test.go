package change_test

import (
	"context"
	"crypto/md5" //nolint:gosec // PostgreSQL makes the same ids of it
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
// they read of it must not grow with it. Of 180 events the index of subjects is already
// one level higher than others.
func TestStepsLookTheFeedUp(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 180} {
		t.Run(fmt.Sprint(before), func(t *testing.T) {
			t.Parallel()
			lookUp(t, before)
		})
	}
}

// lookUp has a statement planned when so many are published, and more published then.
func lookUp(t *testing.T, before int) {
	t.Helper()
	const published, asked = 2000, 100
	r := newRoom(t)
	publish := func(from, to int) {
		r.exec(`INSERT INTO exposure_changes (organization_id, seq, id, change_type, entity_type, entity_id, subject_id, class, title, metadata, at, created_at)
			SELECT $1, n + 1, md5(CASE WHEN n % 2 = 0 THEN 'event' ELSE 'other' END || n)::uuid, 'exposure_opened', 'exposure', $1,
				md5('subject' || n / 2)::uuid, 0, 'title', '{}', now(), now()
			FROM generate_series($2::int, $3::int - 1) n`, organization, from, to)
	}
	publish(0, before)
	subjects, ids := make([]string, asked), make([]string, asked)
	for i := range asked {
		subjects[i], ids[i] = digest("subject", i/2), digest("event", i)
	}
	known := r.keep(change.SequenceQueries.Get("known"), map[string]string{
		"organization": "'" + organization.String() + "'",
		"subjects":     "'{" + strings.Join(subjects, ",") + "}'",
		"ids":          "'{" + strings.Join(ids, ",") + "}'",
	})
	publish(before, published)
	ran := known.run()
	require.LessOrEqual(t, ran.read("exposure_changes"), float64(asked))
	require.InDelta(t, asked/2, ran.Rows, 0, "every second one is there")
}

// digest is the id of a number, as md5 gives it in SQL.
func digest(kind string, n int) string {
	return fmt.Sprintf("%x", md5.Sum(fmt.Append(nil, kind, n))) //nolint:gosec // no secret
}

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
		"SET plan_cache_mode = force_generic_plan", "BEGIN", change.SequenceQueries.Get("begin_looking_up").SQL, "PREPARE kept AS " + sql, k.execute} {
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
