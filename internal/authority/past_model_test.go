package authority_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// The past needs no model: what the rows of a table were at an instant, its history
// has to say of that instant ever after.

// view is what is shown of a table: as it stands, and as of the instant $2.
type view struct{ name, live, past string }

// kept is a table whose rows begin at from_at, with its former rows beside it.
func kept(table string) view {
	return view{table, fmt.Sprintf(`SELECT to_jsonb(r) FROM %s r WHERE organization_id = $1`, table), fmt.Sprintf(`
		SELECT to_jsonb(r) FROM %[1]s r WHERE organization_id = $1 AND from_at <= $2
		UNION ALL SELECT to_jsonb(v) - 'to_at' FROM %[1]s_version v WHERE organization_id = $1 AND from_at <= $2 AND to_at > $2`, table)}
}

// judged is a table of intervals that have versions. Without is what its history
// does not say, or says elsewhere.
func judged(table, key, without string) view {
	const open = `jsonb_build_object('to_at', NULL, 'resolution_reason', NULL)`
	return view{table, fmt.Sprintf(`SELECT to_jsonb(x) - '%s'::text[] FROM %s x WHERE organization_id = $1`, without, table), fmt.Sprintf(`
		SELECT (to_jsonb(x) || CASE WHEN x.to_at > $2 THEN %[4]s ELSE '{}' END) - '%[3]s'::text[]
		FROM %[1]s x WHERE organization_id = $1 AND version_from <= $2
		UNION ALL
		SELECT (to_jsonb(x) || (to_jsonb(v) - '{from_at,to_at}'::text[]) || %[4]s || jsonb_build_object('version_from', v.from_at)) - '%[3]s'::text[]
		FROM %[1]s_version v JOIN %[1]s x USING (organization_id, %[2]s)
		WHERE organization_id = $1 AND v.from_at <= $2 AND v.to_at > $2`, table, key, without, open)}
}

var views = []view{
	kept("entity_assertion"), kept("edge"), kept("cluster_tally"), kept("workload_exposure"), kept("cluster_counter"), kept("posture_counter"),
	judged("condition", "subject_id, rule, ordinal", "{}"),
	judged("exposure", "path_id, type, ordinal", "{disposition,decided_seq,decided_before}"), // the theatre disposes in place
	{
		"coverage", `SELECT to_jsonb(c) FROM coverage c WHERE organization_id = $1`, `
		SELECT to_jsonb(c) FROM coverage c WHERE organization_id = $1 AND recorded_at <= $2
		UNION ALL SELECT to_jsonb(v) - 'until' FROM coverage_version v WHERE organization_id = $1 AND recorded_at <= $2 AND until > $2`,
	},
	{
		"evidence", `SELECT jsonb_build_array(workload_id, identity_id, resource_id, action, day, related, source_id) FROM evidence WHERE organization_id = $1`, `
		SELECT jsonb_build_array(workload_id, identity_id, resource_id, action, day, related, source_id) FROM evidence WHERE organization_id = $1 AND first_at <= $2`,
	},
	{
		"entity", `SELECT to_jsonb(e) FROM entity e WHERE organization_id = $1`, `
		SELECT to_jsonb(e) FROM entity e WHERE organization_id = $1 AND from_at <= $2
		UNION ALL SELECT to_jsonb(e) || (to_jsonb(v) - 'to_at') FROM entity_version v JOIN entity e USING (organization_id, id)
		WHERE organization_id = $1 AND v.from_at <= $2 AND v.to_at > $2`,
	},
	{ // its masks follow from its exposures
		"authority_path", `SELECT to_jsonb(p) - '` + masks + `'::text[] FROM authority_path p WHERE organization_id = $1`, `
		SELECT to_jsonb(p) - '` + masks + `'::text[] FROM authority_path p WHERE organization_id = $1 AND from_at <= $2
		UNION ALL
		SELECT (to_jsonb(p) || (to_jsonb(v) - 'to_at') || jsonb_build_object('removed_at', CASE v.status WHEN 'removed' THEN v.from_at END)) - '` + masks + `'::text[]
		FROM authority_path_version v JOIN authority_path p USING (organization_id, id)
		WHERE organization_id = $1 AND v.from_at <= $2 AND v.to_at > $2`,
	},
	{
		"cluster_member", `SELECT jsonb_build_array(cluster, path_id, from_at, level, class, version, rank) FROM cluster_member WHERE organization_id = $1 AND to_at IS NULL`, `
		SELECT jsonb_build_array(cluster, path_id, from_at, level, class, version, rank) FROM cluster_member
		WHERE organization_id = $1 AND from_at <= $2 AND (to_at IS NULL OR to_at > $2)`,
	},
	{ // its last syncs say it
		"source", `SELECT jsonb_build_array(id, format, last_sync_id, last_observed_at, last_applied_at, last_complete_at) FROM source WHERE organization_id = $1`, `
		SELECT jsonb_build_array(s.id, y.format, y.id, y.observed_at, y.at, c.at)
		FROM source s
		LEFT JOIN LATERAL (SELECT y.* FROM sync y WHERE y.organization_id = $1 AND y.source_id = s.id AND y.outcome <> 'late' AND y.at <= $2 ORDER BY y.at DESC LIMIT 1) y ON true
		LEFT JOIN LATERAL (SELECT max(y.at) AS at FROM sync y WHERE y.organization_id = $1 AND y.source_id = s.id AND y.outcome <> 'late' AND y.complete AND y.at <= $2) c ON true
		WHERE s.organization_id = $1 AND s.created_at <= $2`,
	},
	{
		"organization_window", `SELECT to_jsonb(window_at) FROM organization_window WHERE organization_id = $1`, `
		SELECT to_jsonb(w.at) FROM (SELECT greatest(
		  (SELECT min(at) FROM sync WHERE organization_id = $1 AND outcome = 'applied' AND at <= $2),
		  (SELECT max(at) FROM evaluation WHERE organization_id = $1 AND cause IN ('time', 'request') AND at <= $2)) AS at) w WHERE w.at IS NOT NULL`,
	},
}

const masks = "{open_mask,acknowledged_mask,accepted_mask,active_exposure_count,max_exposure_severity}"

// recollection is what all views showed at an instant.
type recollection struct {
	at    time.Time
	shown map[string][]string
}

// remember takes down what stands.
func (h *theatre) remember(t checker) {
	t.Helper()
	if h.world.clock.IsZero() {
		return
	}
	if n := len(h.memories); n > 0 && h.memories[n-1].at.Equal(h.world.clock) {
		h.memories = h.memories[:n-1]
	}
	h.memories = append(h.memories, recollection{h.world.clock, h.shown(t, func(v view) string { return v.live }, h.organization)})
}

// shown reads the views.
func (h *theatre) shown(t checker, of func(view) string, args ...any) map[string][]string {
	t.Helper()
	parts := make([]string, len(views))
	for i, v := range views {
		parts[i] = fmt.Sprintf(`SELECT '%s', coalesce(array_agg(r.row::text ORDER BY r.row::text), '{}') FROM (%s) r (row)`, v.name, of(v))
	}
	rows, err := h.conn.Query(context.Background(), strings.Join(parts, "\nUNION ALL\n"), args...)
	require.NoError(t, err)
	type shown struct {
		Name string
		Rows []string
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[shown])
	require.NoError(t, err)
	found := map[string][]string{}
	for _, s := range list {
		found[s.Name] = s.Rows
	}
	return found
}

// comparePast holds the history against what was remembered: as of the instant, or
// as of the last one before something else happened.
func (h *theatre) comparePast(t checker, seen *tally) {
	t.Helper()
	for i, m := range h.memories {
		at := m.at
		if i%2 > 0 && i+1 < len(h.memories) {
			at = h.memories[i+1].at.Add(-time.Microsecond)
		}
		past := h.shown(t, func(v view) string { return v.past }, h.organization, at)
		for _, v := range views {
			require.Equal(t, m.shown[v.name], past[v.name], "%s as of %s, as it was at %s", v.name, at, m.at)
		}
	}
	type number struct{ N int }
	for _, table := range former {
		seen.add("former "+table, rowsOf[number](t, h, `SELECT count(*)::int FROM `+table+`_version WHERE organization_id = $1`)[0].N)
	}
	seen.add("member of another rank", rowsOf[number](t, h, `
		SELECT count(*)::int FROM cluster_member a JOIN cluster_member b USING (organization_id, cluster, path_id)
		WHERE organization_id = $1 AND a.to_at = b.from_at AND a.rank <> b.rank AND (a.level, a.class, a.version) = (b.level, b.class, b.version)`)[0].N)
}

// former are the tables that keep their former rows beside them.
var former = []string{"entity_assertion", "edge", "coverage", "cluster_tally", "workload_exposure"}

// ask keeps what the readers of posture, clusters and exposures say now.
func (h *theatre) ask(t checker) {
	t.Helper()
	var clock *time.Time
	require.NoError(t, h.conn.QueryRow(h.ctx, `SELECT greatest((SELECT max(at) FROM sync WHERE organization_id = $1),
		(SELECT max(at) FROM evaluation WHERE organization_id = $1), (SELECT at FROM ledger_head WHERE organization_id = $1))`, h.organization).Scan(&clock))
	if clock != nil {
		require.NoError(t, h.readers.Remember(h.ctx, *clock))
	}
}

// askAgain has them say it again, as of then.
func (h *theatre) askAgain(t checker) {
	t.Helper()
	at, contradictions, err := h.readers.Contradictions(h.ctx)
	require.NoError(t, err)
	require.Empty(t, contradictions, "as of %s", at)
}
