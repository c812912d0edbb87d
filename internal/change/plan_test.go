package change_test

import (
	"context"
	"crypto/md5" //nolint:gosec // PostgreSQL makes the same ids of it
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/triage"
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
	args := map[string]string{"subjects": "'{" + strings.Join(subjects, ",") + "}'", "ids": "'{" + strings.Join(ids, ",") + "}'"}
	known := r.keep(change.SequenceQueries.Get("known"), args, change.SequenceQueries.Get("by_key").SQL)
	publish(before, published)
	ran := known.run(args)
	require.LessOrEqual(t, ran.read("exposure_changes"), float64(asked))
	require.InDelta(t, asked/2, ran.Rows, 0, "every second one is there")
}

// TestStagesReadByKey: so are the plans of the stages. What they read of paths, exposures
// and their versions is what they give, however much there is beside it. Blocks are
// counted too: an index that is gone through whole gives no row that one would see.
func TestStagesReadByKey(t *testing.T) {
	t.Parallel()
	const many, few, blocks = 2000, 10, 30 // of a row, through all the indexes of its statement
	r := newRoom(t)
	nothing := map[string]string{"ats": "'{}'", "after_id": "'" + id.Nil.String() + "'", "after_type": "0", "after_ordinal": "0", "limit": "1000",
		"paths": "'{}'", "ids": "'{}'", "behind": "'epoch'", "at": "'epoch'", "cause": "'sync'"}
	stages := map[string]kept{}
	keep := func(queries db.Queries, names ...string) {
		for _, name := range names {
			stages[name] = r.keep(queries.Get(name), nothing, change.SequenceQueries.Get("by_key").SQL)
		}
	}
	keep(change.SequenceQueries, "waiting_urgent", "finish")
	keep(change.ExpandQueries, "scans", "discovered", "changed", "opened", "resolved", "disposed", "beside", "names")

	facts := wide(many)
	all := r.say(facts...)
	var decided []time.Time
	for i := range few {
		decided = append(decided, r.judge(r.path("w1", "i1", fmt.Sprintf("vault-%03d", i)), rule.OrphanedPath, triage.Acknowledge, 1).At)
	}
	rotated := r.say(wideAs("i2", many)...)
	back := r.say(facts...)
	less := r.say(facts[:len(facts)-2*few]...)
	require.Equal(t, []int{many, many, few}, []int{all.Paths.Added, rotated.Paths.Removed, less.Paths.Removed})

	r.exec(`INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at)
		SELECT $1, now() + n * interval '1 s', 'sync', false, 1, now() FROM generate_series(1, $2::int) n`, organization, many)

	list := func(sql string, args ...any) string { return "'{" + strings.Join(r.texts(sql, args...), ",") + "}'" }
	at := func(instants ...time.Time) string {
		return list("SELECT to_json(at)::text FROM unnest($1::timestamptz[]) at", instants)
	}
	one := func(sql string) string { return "'" + r.texts(sql)[0] + "'" }
	middle := one("SELECT id::text FROM authority_path ORDER BY id OFFSET 1000 LIMIT 1")
	paths := "SELECT id::text FROM authority_path ORDER BY id LIMIT " + fmt.Sprint(few)
	resources := "SELECT resource_id::text FROM authority_path ORDER BY id LIMIT " + fmt.Sprint(few)
	then := at(slices.Repeat([]time.Time{back.At}, few)...)
	for _, c := range []struct {
		stage string
		with  map[string]string
		rows  float64
	}{
		{"waiting_urgent", nil, few},
		{"scans", map[string]string{"ats": at(back.At)}, 1},
		{"discovered", map[string]string{"ats": at(all.At), "limit": "20", "after_id": middle}, 20},
		{"changed", map[string]string{"ats": at(rotated.At), "limit": "20", "after_id": middle}, 20},
		{"changed", map[string]string{"ats": at(less.At)}, few},
		{"opened", map[string]string{"ats": at(all.At), "limit": "20", "after_id": middle}, 20},
		{"opened", map[string]string{"ats": at(back.At), "limit": "20", "after_id": middle}, 20},
		{"resolved", map[string]string{"ats": at(less.At)}, 2 * few},
		{"disposed", map[string]string{"ats": at(decided...)}, few},
		{"beside", map[string]string{"paths": list(paths), "ats": then}, few},
		{"names", map[string]string{"ids": list(resources), "ats": then}, few},
		{"finish", map[string]string{"at": "'" + back.At.Format(time.RFC3339Nano) + "'"}, 0},
	} {
		args := maps.Clone(nothing)
		maps.Copy(args, c.with)
		ran := stages[c.stage].run(args)
		require.InDelta(t, c.rows, ran.Rows, 0, c.stage)
		for relation := range ran.relations() {
			require.LessOrEqual(t, ran.read(relation), 2*max(c.rows, 1), "%s reads %s", c.stage, relation)
		}
		require.LessOrEqual(t, ran.Hit+ran.Read, blocks*max(c.rows, 1), "%s goes through %v", c.stage, ran.relations())
	}
}

// TestDeliveryOfNothingNew: most deliveries change nothing. They are told without a look
// at what they might have changed, however many at once.
func TestDeliveryOfNothingNew(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	facts := wide(3)
	r.say(facts...)
	r.drain()
	for range 5 {
		r.say(facts...)
	}
	r.Statements.Reset()
	require.Len(t, ofKind(r.drain(), change.SyncApplied), 6)
	looked := slices.DeleteFunc(r.Statements.Sent(), func(sent string) bool { return !strings.Contains(sent, "change.expand.") })
	require.Len(t, looked, 1, "of all of them: %v", looked)
	require.Contains(t, looked[0], "change.expand.scans")
}

// digest is the id of a number, as md5 gives it in SQL.
func digest(kind string, n int) string {
	return fmt.Sprintf("%x", md5.Sum(fmt.Append(nil, kind, n))) //nolint:gosec // no secret
}

// kept is a statement that is prepared, with a plan that it keeps.
type kept struct {
	t     testing.TB
	conn  *pgx.Conn
	order []any // the names of its arguments
}

// node is one of EXPLAIN (ANALYZE, FORMAT JSON).
type node struct {
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Filtered float64 `json:"Rows Removed by Filter"`
	Hit      float64 `json:"Shared Hit Blocks"`
	Read     float64 `json:"Shared Read Blocks"`
	Plans    []node  `json:"Plans"`
}

// keep prepares a statement as the role that serves, and has it planned. The arguments
// are SQL.
func (r *newsroom) keep(query db.Query, args map[string]string, before ...string) kept {
	r.t.Helper()
	names := pgx.NamedArgs{"organization": "organization"}
	for name := range args {
		names[name] = name
	}
	sql, order, err := names.RewriteQuery(r.ctx, nil, query.SQL, nil)
	require.NoError(r.t, err)
	k := kept{r.t, r.Runtime(r.t), order}
	for _, statement := range append([]string{fmt.Sprintf("SELECT set_config('app.organization', '%s', false)", organization),
		"SET plan_cache_mode = force_generic_plan", "BEGIN"}, append(before, "PREPARE kept AS "+sql)...) {
		_, err := k.conn.Exec(r.ctx, statement)
		require.NoError(r.t, err, statement)
	}
	k.run(args)
	return k
}

// list is the arguments in the order of the statement.
func (k kept) list(args map[string]string) string {
	list := make([]string, len(k.order))
	for i, name := range k.order {
		list[i] = args[name.(string)]
		if name == "organization" {
			list[i] = "'" + organization.String() + "'"
		}
	}
	return strings.Join(list, ", ")
}

// run runs it, and gives its plan.
func (k kept) run(args map[string]string) node {
	k.t.Helper()
	var text string
	require.NoError(k.t, k.conn.QueryRow(context.Background(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE kept("+k.list(args)+")").Scan(&text))
	var result []struct{ Plan node }
	require.NoError(k.t, json.Unmarshal([]byte(text), &result))
	return result[0].Plan
}

// relations are the tables that a plan reads.
func (n node) relations() map[string]bool {
	all := map[string]bool{}
	if n.Relation != "" {
		all[n.Relation] = true
	}
	for _, child := range n.Plans {
		maps.Copy(all, child.relations())
	}
	return all
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
