package graph_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// endCursor is the one in an answer, wherever it is.
func endCursor(value any) string {
	switch v := value.(type) {
	case map[string]any:
		if cursor, ok := v["endCursor"].(string); ok {
			return cursor
		}
		for _, inner := range v {
			if cursor := endCursor(inner); cursor != "" {
				return cursor
			}
		}
	case []any:
		for _, inner := range v {
			if cursor := endCursor(inner); cursor != "" {
				return cursor
			}
		}
	}
	return ""
}

// TestCursorsAreOfTheirInstant: what a list as of one instant gives as a cursor is none
// in the same list as of another or of now, but for the feed, whose cursors are places.
func TestCursorsAreOfTheirInstant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", smallEstate().facts()...)
	b.drain(t, "acme")
	then, later := b.now().Format(time.RFC3339), b.now().Add(time.Second).Format(time.RFC3339)
	b.clock.Add(int64(time.Hour))
	// The instant stands in the place of the first mark, the cursor in that of the second.
	for _, field := range []string{
		`authorityPaths(first: 1%s%s) { pageInfo { endCursor } }`,
		`authorityPaths(first: 1%s) { nodes { versions(first: 1%s) { pageInfo { endCursor } } } }`,
		`authorityPaths(first: 1%s) { nodes { exposures(first: 1%s) { pageInfo { endCursor } } } }`,
		`authorityPaths(first: 1%s) { nodes { changes(first: 1%s) { pageInfo { endCursor } } } }`,
		`exposures(first: 1%s%s) { pageInfo { endCursor } }`,
		`exposures(first: 1%s) { nodes { versions(first: 1%s) { pageInfo { endCursor } } } }`,
		`riskClusters(first: 1%s%s) { pageInfo { endCursor } }`,
		`riskClusters(first: 1, filter: {nonEmpty: true}%s) { nodes { authorityPaths(first: 1%s) { pageInfo { endCursor } } } }`,
		`riskClusters(first: 1, filter: {nonEmpty: true}%s) { nodes { workloads(first: 1%s) { pageInfo { endCursor } } } }`,
		`postureSnapshots(first: 1%s%s) { pageInfo { endCursor } }`,
		`workloadExposures(first: 1%s%s) { pageInfo { endCursor } }`,
		`workloadExposures(first: 1%s) { nodes { exposures(first: 1%s) { pageInfo { endCursor } } } }`,
		`workloads(first: 1%s%s) { pageInfo { endCursor } }`,
		`workloads(first: 1%s) { nodes { authorityPaths(first: 1%s) { pageInfo { endCursor } } } }`,
		`syncs(first: 1%s%s) { pageInfo { endCursor } }`,
	} {
		ask := func(instant, cursor string) answer {
			if instant != "" {
				instant = fmt.Sprintf(", asOf: %q", instant)
			}
			if cursor != "" {
				cursor = fmt.Sprintf(", after: %q", cursor)
			}
			return b.query(t, viewer, `{ organization(slug: "acme") { `+fmt.Sprintf(field, instant, cursor)+` } }`, nil)
		}
		first := ask(then, "")
		require.Empty(t, first.Errors, field)
		cursor, live := endCursor(first.Data), endCursor(ask("", "").Data)
		require.NotEmpty(t, cursor, field)
		require.NotEmpty(t, live, field)
		require.Empty(t, ask(then, cursor).Errors, field)
		require.Empty(t, ask("", live).Errors, field)
		require.Equal(t, "CURSOR_OF_ANOTHER_LIST", ask(later, cursor).code(), field)
		require.Equal(t, "CURSOR_OF_ANOTHER_LIST", ask("", cursor).code(), field)
		require.Equal(t, "CURSOR_OF_ANOTHER_LIST", ask(then, live).code(), field)
	}
}
