package graph_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// counted are the numbers of a posture that the test follows, by what postureDiff
// calls them.
var counted = map[string][]any{
	"ACTIVE_PATHS": {"posture", "activePaths"}, "SENSITIVE_PATHS": {"posture", "sensitivePaths"}, "OWNERSHIP_INVALID": {"posture", "ownershipInvalidCount"},
	"IDENTITIES": {"posture", "identityCounts", "total"}, "WORKLOADS": {"posture", "workloadCounts", "total"}, "WORKLOAD_EXPOSURES": {"posture", "workloadExposureCounts", "total"},
	"CRITICAL_WORKLOAD_EXPOSURES": {"posture", "workloadExposureCounts", "critical"},
}

const standing = `{ organization(slug: "acme") { posture { activePaths sensitivePaths ownershipInvalidCount
	identityCounts { total } workloadCounts { total } workloadExposureCounts { total critical } }
	riskClusters(first: 50) { nodes { id key priority pathCount identityCount workloadCount totalExecution30d } } } }`

// TestPostureDiff compares what was answered live at each step with what is said of
// any two of them later, and holds the causes to what was opened and resolved.
func TestPostureDiff(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	var ats []string
	var answers []any
	keep := func() {
		a := b.query(t, viewer, standing, nil)
		require.Empty(t, a.Errors)
		ats, answers = append(ats, b.now().Format(time.RFC3339)), append(answers, a.Data["organization"])
		b.clock.Add(int64(30 * time.Hour))
	}
	b.sync(t, "acme", kiosk("old", "internal", "get")...)
	keep()
	b.sync(t, "acme", kiosk("new", "restricted", "get")...)
	keep()
	b.sync(t, "acme", smallEstate().facts()...)
	keep()
	b.sync(t, "acme", kiosk("new", "internal", "get")...)
	keep()

	diff := func(arguments string) answer {
		return b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { postureDiff(%s) { from to changes { count before after delta }
			causes { kind source { name } evaluation decision times pathsAdded pathsChanged pathsRemoved exposuresOpened exposuresResolved firstAt lastAt }
			opened { type count } resolved { reason count } } } }`, arguments), nil)
	}
	moves := 0
	for i := range ats {
		for j := i + 1; j < len(ats); j++ {
			a := diff(fmt.Sprintf(`from: %q, to: %q`, ats[i], ats[j]))
			require.Empty(t, a.Errors)
			d := at[map[string]any](t, a.Data, "organization", "postureDiff")
			require.Equal(t, []any{ats[i], ats[j]}, []any{d["from"], d["to"]})
			changes := map[string]map[string]any{}
			for _, change := range at[[]any](t, d, "changes") {
				changes[at[string](t, change, "count")] = change.(map[string]any)
				require.Equal(t, at[float64](t, change, "delta"), at[float64](t, change, "after")-at[float64](t, change, "before"))
			}
			for count, path := range counted {
				before, after := at[float64](t, answers[i], path...), at[float64](t, answers[j], path...)
				if before == after {
					require.NotContains(t, changes, count)
					continue
				}
				moves++
				require.Equal(t, []any{before, after}, []any{changes[count]["before"], changes[count]["after"]}, count)
			}
			sum := func(list, field string) (total float64) {
				for _, row := range at[[]any](t, d, list) {
					total += at[float64](t, row, field)
				}
				return total
			}
			require.Equal(t, sum("opened", "count"), sum("causes", "exposuresOpened"))
			require.Equal(t, sum("resolved", "count"), sum("causes", "exposuresResolved"))
			require.Equal(t, float64(j-i), sum("causes", "times"))
			require.Equal(t, "SYNC", at[string](t, d, "causes", 0, "kind"))
			require.NotEmpty(t, at[string](t, d, "causes", 0, "source", "name"))
			if added, ok := changes["NEW_PATHS"]; ok {
				require.Equal(t, 0.0, added["before"])
				require.Equal(t, sum("causes", "pathsAdded"), added["delta"])
			}
		}
	}
	require.Greater(t, moves, 12)

	// What people decide and what is judged anew are causes of their own.
	path := at[string](t, b.query(t, viewer, `{ organization(slug: "acme") { exposures(first: 1, filter: {type: [ORPHANED_PATH]}) { nodes { id version } } } }`, nil).Data, "organization", "exposures", "nodes", 0, "id")
	judged := b.query(t, root, `mutation($input: JudgeExposureInput!) { resolveExposure(input: $input) { userErrors { code } } }`, map[string]any{"input": map[string]any{
		"exposure": path, "expectedVersion": 1, "justification": "Gone.", "idempotencyKey": "once"}})
	require.Empty(t, judged.Errors)
	require.Empty(t, at[[]any](t, judged.Data, "resolveExposure", "userErrors"))
	d := at[map[string]any](t, diff(fmt.Sprintf(`from: %q`, ats[3])).Data, "organization", "postureDiff")
	require.Len(t, d["causes"], 1)
	require.Equal(t, []any{"DECISION", "exposure.resolved", 1.0, 1.0, nil}, []any{at[string](t, d, "causes", 0, "kind"), at[string](t, d, "causes", 0, "decision"),
		at[float64](t, d, "causes", 0, "times"), at[float64](t, d, "causes", 0, "exposuresResolved"), d["causes"].([]any)[0].(map[string]any)["source"]})
	require.Equal(t, "MANUAL", at[string](t, d, "resolved", 0, "reason"))

	for arguments, code := range map[string]string{
		`from: "2020-01-01T00:00:00Z"`: "ASOF_BEFORE_BEGINNING", `from: "2030-01-01T00:00:00Z"`: "INTERVAL_EMPTY",
		fmt.Sprintf(`from: %q, to: %q`, ats[2], ats[1]): "INTERVAL_EMPTY", fmt.Sprintf(`from: %q, to: %q`, ats[1], ats[1]): "INTERVAL_EMPTY",
		`from: "yesterday"`: "BAD_USER_INPUT",
	} {
		require.Equal(t, code, diff(arguments).code(), arguments)
	}
}

// TestHistoryOfClusters: the points of a history are what was answered live at their
// instants, of all clusters in one statement.
func TestHistoryOfClusters(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	var answers []map[string]map[string]any
	const steps = 5
	for i := range steps {
		facts := kiosk([]string{"old", "new"}[i/3], []string{"internal", "restricted"}[i%2], "get")
		if i == 2 {
			facts = smallEstate().facts()
		}
		b.sync(t, "acme", facts...)
		a := b.query(t, viewer, standing, nil)
		require.Empty(t, a.Errors)
		clusters := map[string]map[string]any{}
		for _, node := range at[[]any](t, a.Data, "organization", "riskClusters", "nodes") {
			clusters[at[string](t, node, "key")] = node.(map[string]any)
		}
		answers = append(answers, clusters)
		if i < steps-1 {
			b.clock.Add(int64(30 * time.Hour))
		}
	}
	from := epoch.Format(time.RFC3339)
	history := func(arguments string) answer {
		return b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { riskClusters(first: 50) { nodes { key
			history(%s) { at pathCount identityCount workloadCount totalExecution30d priority delta } } } } }`, arguments), nil)
	}
	b.Statements.Reset()
	a := history(fmt.Sprintf(`from: %q, buckets: %d`, from, steps-1))
	require.Empty(t, a.Errors)
	asked := 0
	for _, statement := range b.Statements.Sent() {
		if statement == "posture.diff.history" {
			asked++
		}
	}
	require.Equal(t, 1, asked)
	grew := 0
	for _, cluster := range at[[]any](t, a.Data, "organization", "riskClusters", "nodes") {
		key := at[string](t, cluster, "key")
		points := at[[]any](t, cluster, "history")
		require.Len(t, points, steps-1)
		for i, point := range points {
			live, before := answers[i+1][key], answers[i][key]
			require.Equal(t, epoch.Add(time.Duration(i+1)*30*time.Hour).Format(time.RFC3339), at[string](t, point, "at"))
			for _, field := range []string{"pathCount", "identityCount", "workloadCount", "totalExecution30d", "priority"} {
				require.Equal(t, live[field], point.(map[string]any)[field], "%s at %d: %s", key, i, field)
			}
			require.Equal(t, live["pathCount"].(float64)-before["pathCount"].(float64), at[float64](t, point, "delta"))
			if at[float64](t, point, "delta") != 0 {
				grew++
			}
		}
	}
	require.Greater(t, grew, 3)
	for arguments, code := range map[string]string{
		fmt.Sprintf(`from: %q, buckets: 0`, from): "BUCKETS", fmt.Sprintf(`from: %q, buckets: 367`, from): "BUCKETS", `from: "2030-01-01T00:00:00Z"`: "INTERVAL_EMPTY",
	} {
		require.Equal(t, code, history(arguments).code(), arguments)
	}
}

// TestDurationsOfPaths: a path counts its own exposures, a lineage those of all its
// paths; both in as many statements for many as for one.
func TestDurationsOfPaths(t *testing.T) {
	t.Parallel()
	b := eventful(t, time.Nanosecond)
	const document = `query($first: Int!) { organization(slug: "acme") { authorityPaths(first: $first, includeRemoved: true) { nodes { id
		durations { type days intervals current since openSince } lineage { durations { type days intervals current since openSince } }
		exposures(first: 50, includeResolved: true, filter: {type: [ORPHANED_PATH]}) { nodes { effectiveFrom resolvedAt durationDays } } } } } }`
	sent := map[int]int{}
	for _, first := range []int{1, 50} {
		b.Statements.Reset()
		a := b.query(t, viewer, document, map[string]any{"first": first})
		require.Empty(t, a.Errors)
		sent[first] = len(b.Statements.Sent())
		if first == 1 {
			continue
		}
		more, longer := 0, 0
		for _, path := range at[[]any](t, a.Data, "organization", "authorityPaths", "nodes") {
			var own, all map[string]any
			for _, d := range at[[]any](t, path, "durations") {
				if at[string](t, d, "type") == "ORPHANED_PATH" {
					own = d.(map[string]any)
				}
			}
			for _, d := range at[[]any](t, path, "lineage", "durations") {
				if at[string](t, d, "type") == "ORPHANED_PATH" {
					all = d.(map[string]any)
				}
			}
			exposures := at[[]any](t, path, "exposures", "nodes")
			require.NotEmpty(t, exposures)
			open := false
			for _, x := range exposures {
				open = open || x.(map[string]any)["resolvedAt"] == nil
				require.LessOrEqual(t, at[float64](t, x, "durationDays"), own["days"])
			}
			require.Equal(t, open, own["current"])
			require.Equal(t, open, own["openSince"] != nil)
			require.GreaterOrEqual(t, all["days"], own["days"])
			if all["days"].(float64) > own["days"].(float64) {
				longer++
			}
			if len(exposures) > 1 {
				more++
			}
		}
		require.Positive(t, longer, "no lineage outlived its path")
		require.Positive(t, more)
	}
	require.LessOrEqual(t, sent[50], sent[1]) // of one path, another of its lineage is read besides
}
