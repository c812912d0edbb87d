package graph_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// atAnInstant has a document ask its fields of the organization as of $asOf, which may
// be left out.
func atAnInstant(document string, fields ...string) string {
	document = strings.Replace(document, "(", "($asOf: DateTime, ", 1)
	for _, field := range fields {
		if strings.Contains(document, field+"(") {
			document = strings.Replace(document, field+"(", field+"(asOf: $asOf, ", 1)
			continue
		}
		document = strings.Replace(document, field+" {", field+"(asOf: $asOf) {", 1)
	}
	return document
}

// TestPastInConstantStatements: what is asked as of an instant takes the statements
// that it takes now, each as of then, and one more, whatever the number of rows.
func TestPastInConstantStatements(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond) // what a loader would batch by waiting comes apart
	b.sync(t, "acme", town(120)...)
	b.drain(t, "acme")
	workload := b.workloadID(t, "w001")
	for n, action := range []string{"ACKNOWLEDGE", "UNACKNOWLEDGE", "ACKNOWLEDGE"} {
		a := b.many(t, investigator, "judgeExposures", map[string]any{
			"organization": "acme", "action": action, "filter": map[string]any{}, "justification": "all", "idempotencyKey": fmt.Sprint(n)})
		require.Empty(t, a.Errors)
	}
	b.clock.Add(int64(time.Hour))
	instant := b.now()
	b.clock.Add(int64(24 * time.Hour))
	b.sync(t, "acme", append(town(110), grant("view", "ledger", "delete"))...) // of which a part ended and a part changed
	b.drain(t, "acme")

	nodes := func(way ...any) func(answer) int {
		return func(a answer) int {
			return len(at[[]any](t, a.Data, append([]any{"organization"}, append(way, "nodes")...)...))
		}
	}
	for name, test := range map[string]struct {
		document  string
		size      string // the variable that says how many rows
		rows      func(answer) int
		variables map[string]any
		most      int               // rows, where there are fewer
		instead   map[string]string // what is read by another statement then
	}{
		"paths": {atAnInstant(everything, "authorityPaths"), "first", nodes("authorityPaths"), nil, 60, nil},
		"clusters, paths and exposures": {atAnInstant(firstLook, "riskClusters"), "paths", nodes("riskClusters", "nodes", 1, "authorityPaths"),
			map[string]any{"clusters": 12, "exposures": 10}, 60, nil},
		"overview":   {atAnInstant(overview, "posture", "riskClusters", "workloadExposures"), "rows", nodes("workloadExposures"), nil, 60, nil},
		"a workload": {atAnInstant(detail, "workloadExposure"), "first", nodes("workloadExposure", "exposures"), map[string]any{"id": workload}, 10, nil},
		"decisions and versions": {`query($asOf: DateTime, $first: Int!) { organization(slug: "acme") { exposures(first: $first, asOf: $asOf) { nodes {
			id version decision { actor at seq hash } decisions(first: 2) { action } versions(first: 3) { nodes { version decision { hash } } } evidence { viaRoles } } } } }`,
			"first", nodes("exposures"), nil, 60, nil},
		// What is counted day by day has no past.
		"changes": {`query($asOf: DateTime, $first: Int!) { organization(slug: "acme") {
			exposureChanges(first: $first, orderBy: {field: SEQ, direction: ASC}, asOf: $asOf) { totalCount nodes { title
				causedBy { title } path { destination { name } lineage { firstSeenAt } } exposure { type path { id } } workload { name } sync { version } } }
			authorityPaths(first: 5, asOf: $asOf) { nodes { changes(first: 3) { totalCount nodes { title } } } } } }`,
			"first", nodes("exposureChanges"), nil, 60, map[string]string{"change.read.count_by_day": "change.read.count_changes"}},
	} {
		ask := func(size int, asOf any) []string {
			variables := map[string]any{"asOf": asOf, test.size: size}
			maps.Copy(variables, test.variables)
			b.Statements.Reset()
			a := b.query(t, auditor, test.document, variables)
			sent := b.Statements.Sent()
			require.Empty(t, a.Errors, name)
			require.Equal(t, min(size, test.most), test.rows(a), "%s: rows as of %v", name, asOf)
			return sent
		}
		live, then := ask(60, nil), ask(60, instant)
		require.ElementsMatch(t, live, ask(2, nil), "%s: live", name)
		require.ElementsMatch(t, then, ask(2, instant), "%s: then", name)

		// The same statements in their second text, and one more: how far history reaches.
		want := []string{"authority.read.bounds"}
		for _, statement := range live {
			if other := test.instead[statement]; other != "" {
				statement = other
			}
			if statement != "org.by_slug" {
				statement += "@past"
			}
			want = append(want, statement)
		}
		require.ElementsMatch(t, want, then, name)
	}
}
