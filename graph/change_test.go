package graph_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// drain publishes what happened.
func (b *bench) drain(t testing.TB, slug string) {
	t.Helper()
	_, err := change.NewSequencer(b.DB, b.now, slog.New(slog.DiscardHandler)).Drain(context.Background(), id.Organization(slug))
	require.NoError(t, err)
}

// kiosk is a workload that runs as an identity and reaches a ledger with actions; a
// mailbox as well.
func kiosk(identity, sensitivity string, actions ...string) []record.Fact {
	return []record.Fact{
		record.Entity{Ref: ref(record.Workload, "kiosk"), Name: "Kiosk"}, record.Entity{Ref: ref(record.Identity, identity)},
		record.Entity{Ref: ref(record.Role, "view")}, record.Entity{Ref: ref(record.Resource, "ledger"), Sensitivity: sensitivity},
		record.Entity{Ref: ref(record.Resource, "mail"), Sensitivity: "internal"},
		record.Edge{Kind: record.RunsAs, From: ref(record.Workload, "kiosk"), To: ref(record.Identity, identity)},
		has(identity, "view"), grant("view", "ledger", actions...), grant("view", "mail", "get"), record.Coverage{Kind: record.Ownership},
	}
}

// eventful is an organization in which something of many kinds has happened, told
// to its end.
func eventful(t testing.TB, wait time.Duration) *bench {
	t.Helper()
	b := setupWith(t, wait)
	for _, facts := range [][]record.Fact{
		kiosk("old", "internal", "get"), kiosk("new", "internal", "get"), kiosk("new", "restricted", "get", "update"), kiosk("new", "restricted", "get", "update"),
		{record.Entity{Ref: ref(record.Workload, "idle")}}, kiosk("new", "internal", "get"),
	} {
		b.sync(t, "acme", facts...)
		b.clock.Add(int64(30 * time.Hour))
	}
	b.drain(t, "acme")
	return b
}

const feedOf = `query Feed($first: Int, $after: String, $last: Int, $before: String, $filter: ExposureChangeFilter, $direction: OrderDirection = ASC) {
  organization(slug: "acme") { id exposureChanges(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: {field: SEQ, direction: $direction}) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor } nodes {
      id seq cursor type entityType entityId title description severity riskScore oldValue newValue metadata scanId scanJobId occurredAt createdAt ledgerSeq lineageId
      causedBy { id occurredAt seq } path { id lineageId } exposure { id path { id } } workload { id name } sync { id } source { id }
    } } } }`

func (b *bench) changes(t testing.TB, variables map[string]any) ([]map[string]any, answer) {
	t.Helper()
	if variables["first"] == nil && variables["last"] == nil {
		variables["first"] = 100
	}
	a := b.query(t, viewer, feedOf, variables)
	require.Empty(t, a.Errors)
	var nodes []map[string]any
	for _, node := range at[[]any](t, a.Data, "organization", "exposureChanges", "nodes") {
		nodes = append(nodes, node.(map[string]any))
	}
	return nodes, a
}

func TestFeedOfAnOrganization(t *testing.T) {
	t.Parallel()
	b := eventful(t, time.Nanosecond)
	all, a := b.changes(t, map[string]any{})
	require.Equal(t, float64(len(all)), at[float64](t, a.Data, "organization", "exposureChanges", "totalCount"))
	require.Less(t, len(all), 100)
	kinds, types := map[string]int{}, map[string]int{}
	bySeq := map[float64]map[string]any{}
	for i, node := range all {
		require.Equal(t, float64(i+1), node["seq"])
		require.Equal(t, node["cursor"], at[string](t, a.Data, "organization", "exposureChanges", "edges", i, "cursor"))
		bySeq[float64(i+1)] = node
		kinds[at[string](t, node, "type")]++
		types[at[string](t, node, "entityType")]++
		require.Equal(t, "sync", at[string](t, node, "metadata", "cause"))
		require.Equal(t, node["scanId"], at[string](t, node, "sync", "id"))
		require.Equal(t, node["scanJobId"], at[string](t, node, "source", "id"))
		if cause, caused := node["causedBy"].(map[string]any); caused {
			require.Equal(t, node["occurredAt"], cause["occurredAt"])
			require.Equal(t, bySeq[cause["seq"].(float64)]["id"], cause["id"], "what it follows from was published before")
		}

		// What it is about is there under its id; and so is the event itself.
		about := b.query(t, viewer, `query($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on ExposureChange { title } } }`, map[string]any{"ids": []any{node["entityId"], node["id"]}})
		require.Empty(t, about.Errors)
		require.Equal(t, map[string]string{"SYNC": "Sync", "WORKLOAD": "Workload", "AUTHORITY_PATH": "AuthorityPath", "EXPOSURE": "Exposure"}[at[string](t, node, "entityType")],
			at[string](t, about.Data, "nodes", 0, "__typename"))
		require.Equal(t, node["entityId"], at[string](t, about.Data, "nodes", 0, "id"))
		require.Equal(t, node["id"], at[string](t, about.Data, "nodes", 1, "id"))
		require.Equal(t, node["title"], at[string](t, about.Data, "nodes", 1, "title"))

		switch node["entityType"] {
		case "AUTHORITY_PATH", "EXPOSURE":
			require.Equal(t, node["lineageId"], at[string](t, node, "path", "lineageId"))
			require.Equal(t, "Kiosk", at[string](t, node, "workload", "name"))
		case "WORKLOAD":
			require.Equal(t, node["entityId"], at[string](t, node, "workload", "id"))
			require.Nil(t, node["path"])
			require.Nil(t, node["lineageId"])
		}
		if node["entityType"] == "EXPOSURE" {
			require.Equal(t, node["entityId"], at[string](t, node, "exposure", "id"))
			require.Equal(t, at[string](t, node, "path", "id"), at[string](t, node, "exposure", "path", "id"))
			require.NotNil(t, node["severity"])
		} else {
			require.Nil(t, node["exposure"])
			require.Nil(t, node["severity"])
		}
	}
	for _, kind := range []string{"SYNC_APPLIED", "IDENTITY_ROTATED", "AUTHORITY_PATH_DISCOVERED", "AUTHORITY_PATH_REMOVED", "AUTHORITY_PATH_REAPPEARED",
		"AUTHORITY_PATH_SCOPE_CHANGED", "AUTHORITY_PATH_SENSITIVITY_CHANGED", "EXPOSURE_OPENED", "EXPOSURE_RESOLVED"} {
		require.Positive(t, kinds[kind], kind)
	}
	require.Len(t, types, 4)
	require.Nil(t, all[0]["causedBy"], "a sync follows from nothing")

	// One event by its id, of this organization alone.
	one := b.query(t, viewer, `query($id: ID!) { organization(slug: "acme") { exposureChange(id: $id) { seq } } }`, map[string]any{"id": all[4]["id"]})
	require.Equal(t, 5.0, at[float64](t, one.Data, "organization", "exposureChange", "seq"))
	for _, text := range []any{all[4]["entityId"], "bm90aGluZw", ""} {
		none := b.query(t, viewer, `query($id: ID!) { organization(slug: "acme") { exposureChange(id: $id) { seq } } }`, map[string]any{"id": text})
		require.Empty(t, none.Errors)
		require.Nil(t, none.Data["organization"].(map[string]any)["exposureChange"])
	}

	feed := b.query(t, viewer, `{ organization(slug: "acme") { exposureChangeFeed { seq cursor pending failures } } }`, nil)
	require.Equal(t, map[string]any{"seq": float64(len(all)), "cursor": all[len(all)-1]["cursor"], "pending": 0.0, "failures": 0.0}, feed.Data["organization"].(map[string]any)["exposureChangeFeed"])
	summary := b.query(t, viewer, `{ organization(slug: "acme") { exposureChangeSummary(days: 4) { from to days total previousTotal byType { type count previous } bySeverity { severity count previous } byDay { date count bySeverity { severity count } } } } }`, nil)
	require.Empty(t, summary.Errors)
	s := at[map[string]any](t, summary.Data, "organization", "exposureChangeSummary")
	require.Equal(t, []any{"2026-03-08T00:00:00Z", 4.0, "2026-03-05"}, []any{s["to"], s["days"], at[string](t, s, "byDay", 1, "date")}) // the last sync was on the 7th
	require.Equal(t, float64(len(all)), s["total"].(float64)+s["previousTotal"].(float64))
	require.Positive(t, s["previousTotal"])
	require.Equal(t, "SYNC_APPLIED", at[string](t, s, "byType", 0, "type"))
}

// Each filter over GraphQL is a loop over the whole feed.
func TestFiltersOfTheFeed(t *testing.T) {
	t.Parallel()
	b := eventful(t, time.Nanosecond)
	all, _ := b.changes(t, map[string]any{})
	of := func(key string) func(map[string]any) any { return func(node map[string]any) any { return node[key] } }
	below := func(key string) func(map[string]any) any {
		return func(node map[string]any) any {
			if object, ok := node[key].(map[string]any); ok {
				return object["id"]
			}
			return nil
		}
	}
	narrowed := 0
	check := func(field string, value any, passes func(map[string]any) bool) {
		var want []any
		for _, node := range all {
			if passes(node) {
				want = append(want, node["seq"])
			}
		}
		found, a := b.changes(t, map[string]any{"filter": map[string]any{field: value}})
		var seqs []any
		for _, node := range found {
			seqs = append(seqs, node["seq"])
		}
		require.Equal(t, want, seqs, "%s: %v", field, value)
		require.Equal(t, float64(len(want)), at[float64](t, a.Data, "organization", "exposureChanges", "totalCount"))
		if len(want) > 0 && len(want) < len(all) {
			narrowed++
		}
	}
	for field, value := range map[string]func(map[string]any) any{
		"type": of("type"), "entityType": of("entityType"), "severity": of("severity"), "scan": of("scanId"), "path": below("path"), "lineage": of("lineageId"),
		"exposure": below("exposure"), "workload": below("workload"),
	} {
		seen := []any{}
		for _, node := range all {
			if v := value(node); v != nil && !slices.Contains(seen, v) {
				seen = append(seen, v)
			}
		}
		require.NotEmpty(t, seen, field)
		for _, wanted := range [][]any{seen[:1], seen[max(0, len(seen)-2):], seen} {
			check(field, wanted, func(node map[string]any) bool { return slices.Contains(wanted, value(node)) })
		}
	}
	moment := at[string](t, all[len(all)/2], "occurredAt")
	check("occurredAfter", moment, func(node map[string]any) bool { return node["occurredAt"].(string) >= moment })
	check("occurredBefore", moment, func(node map[string]any) bool { return node["occurredAt"].(string) < moment })
	require.Greater(t, narrowed, 12)
	for _, field := range []string{"scan", "asset", "path", "lineage", "exposure", "workload"} { // ids of nothing, and of something else
		check(field, []any{"bm90aGluZw", all[0]["id"]}, func(map[string]any) bool { return false })
	}
	check("type", []any{"ASSET_DISCOVERED"}, func(map[string]any) bool { return false })

	// A cursor is a place, whatever list it was seen in.
	place := all[7]["cursor"]
	after, _ := b.changes(t, map[string]any{"after": place, "first": 3})
	require.Equal(t, []any{9.0, 10.0, 11.0}, []any{after[0]["seq"], after[1]["seq"], after[2]["seq"]})
	before, _ := b.changes(t, map[string]any{"after": place, "first": 2, "direction": "DESC"})
	require.Equal(t, []any{7.0, 6.0}, []any{before[0]["seq"], before[1]["seq"]})
	last, _ := b.changes(t, map[string]any{"before": place, "last": 1, "filter": map[string]any{"type": []any{"SYNC_APPLIED"}}})
	require.Equal(t, "SYNC_APPLIED", last[0]["type"])
}

// TestHistoriesUnderThings: the events under a path, a lineage and an exposure are
// those of the feed that are about it.
func TestHistoriesUnderThings(t *testing.T) {
	t.Parallel()
	b := eventful(t, time.Nanosecond)
	all, _ := b.changes(t, map[string]any{})
	slices.Reverse(all) // what happened last comes first; within one instant, what was published last
	expect := func(about func(map[string]any) bool) (seqs []any) {
		for _, node := range all {
			if about(node) {
				seqs = append(seqs, node["seq"])
			}
		}
		return seqs
	}
	seqs := func(connection any) (seqs []any) {
		nodes := at[[]any](t, connection, "nodes")
		for _, node := range nodes {
			seqs = append(seqs, at[float64](t, node, "seq"))
		}
		require.Equal(t, float64(len(nodes)), at[float64](t, connection, "totalCount"))
		return seqs
	}
	a := b.query(t, viewer, `{ organization(slug: "acme") { authorityPaths(includeRemoved: true) { nodes { id workload { id }
		changes(first: 50) { totalCount nodes { seq } } lineage { id changes(first: 50) { totalCount nodes { seq } } }
		exposures(includeResolved: true) { nodes { id changes(first: 50) { totalCount nodes { seq } } } } } } } }`, nil)
	require.Empty(t, a.Errors)
	rotated, exposures := 0, 0
	for _, path := range at[[]any](t, a.Data, "organization", "authorityPaths", "nodes") {
		rotation := func(node map[string]any) bool {
			return node["type"] == "IDENTITY_ROTATED" && node["entityId"] == at[string](t, path, "workload", "id")
		}
		rotated += len(expect(rotation))
		require.Equal(t, expect(func(node map[string]any) bool {
			p, _ := node["path"].(map[string]any)
			return rotation(node) || p["id"] == at[string](t, path, "id")
		}), seqs(at[any](t, path, "changes")))
		require.Equal(t, expect(func(node map[string]any) bool {
			return rotation(node) || node["lineageId"] == at[string](t, path, "lineage", "id")
		}), seqs(at[any](t, path, "lineage", "changes")))
		for _, x := range at[[]any](t, path, "exposures", "nodes") {
			exposures++
			require.Equal(t, expect(func(node map[string]any) bool {
				e, _ := node["exposure"].(map[string]any)
				return e["id"] == at[string](t, x, "id")
			}), seqs(at[any](t, x, "changes")))
		}
	}
	require.Positive(t, rotated)
	require.Greater(t, exposures, 3)

	page := b.query(t, viewer, `query($after: String) { organization(slug: "acme") { authorityPaths(first: 1) { nodes { changes(first: 2, after: $after, filter: {entityType: [AUTHORITY_PATH]}) {
		nodes { seq type } pageInfo { endCursor hasNextPage } } } } } }`, nil)
	require.Empty(t, page.Errors)
	next := b.query(t, viewer, `query($after: String) { organization(slug: "acme") { authorityPaths(first: 1) { nodes { changes(first: 2, after: $after, filter: {entityType: [AUTHORITY_PATH]}) {
		nodes { seq type } } } } } }`, map[string]any{"after": at[string](t, page.Data, "organization", "authorityPaths", "nodes", 0, "changes", "pageInfo", "endCursor")})
	require.Empty(t, next.Errors)
	require.Less(t, at[float64](t, next.Data, "organization", "authorityPaths", "nodes", 0, "changes", "nodes", 0, "seq"),
		at[float64](t, page.Data, "organization", "authorityPaths", "nodes", 0, "changes", "nodes", 1, "seq"))
}

// TestChangesInConstantStatements: what hangs under a page of events, and events
// under a page of paths and exposures, take as many statements for 20 rows as for 100.
func TestChangesInConstantStatements(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond) // what a loader would batch by waiting comes apart
	b.sync(t, "acme", world(40)...)
	b.drain(t, "acme")
	for _, test := range []struct {
		document string
		list     string
		most     int
	}{
		{`query($first: Int!) { organization(slug: "acme") { exposureChanges(first: $first) { totalCount nodes { title lineageId
			causedBy { title sync { version } causedBy { title } } path { destination { name } lineage { firstSeenAt } } exposure { type path { id } workload { name } }
			workload { name } sync { version source { name } } source { name } } } } }`, "exposureChanges", 11},
		{`query($first: Int!) { organization(slug: "acme") { authorityPaths(first: $first) { nodes {
			changes(first: 3) { totalCount nodes { title causedBy { title } workload { name } } } lineage { changes(first: 2) { nodes { title } } }
			exposures(first: 2) { nodes { type changes(first: 1) { totalCount nodes { title } } } } } } } }`, "authorityPaths", 12},
	} {
		sent := map[int][]string{}
		for _, first := range []int{20, 100} {
			b.Statements.Reset()
			a := b.query(t, viewer, test.document, map[string]any{"first": first})
			require.Empty(t, a.Errors)
			require.Len(t, at[[]any](t, a.Data, "organization", test.list, "nodes"), first)
			sent[first] = b.Statements.Sent()
		}
		require.ElementsMatch(t, sent[20], sent[100])
		require.LessOrEqual(t, len(sent[100]), test.most, sent[100])
	}
}

// TestFeedRefuses what cannot be answered, each in words of its own.
func TestFeedRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(3)...)
	b.sync(t, "rival", world(5)...)
	b.drain(t, "acme")
	b.drain(t, "rival")
	cursor := func(slug, field string) string {
		a := b.query(t, root, fmt.Sprintf(`{ organization(slug: %q) { %s(first: 1) { pageInfo { endCursor } } } }`, slug, field), nil)
		return at[string](t, a.Data, "organization", field, "pageInfo", "endCursor")
	}
	feed, ids := `exposureChanges(%s) { nodes { id } }`, make([]string, 101)
	for name, test := range map[string]struct{ field, arguments, code string }{
		"no cursor":                {feed, `first: 1, after: "x"`, "CURSOR_INVALID"},
		"an empty cursor":          {feed, `last: 1, before: ""`, "CURSOR_INVALID"},
		"cursor of another feed":   {feed, fmt.Sprintf(`first: 1, after: %q`, cursor("rival", "exposureChanges")), "CURSOR_OF_ANOTHER_FEED"},
		"cursor of another list":   {feed, fmt.Sprintf(`first: 1, after: %q`, cursor("acme", "authorityPaths")), "CURSOR_OF_ANOTHER_FEED"},
		"after the end":            {feed, fmt.Sprintf(`first: 1, after: %q`, change.EncodeCursor(id.Organization("acme"), 10_000)), "CURSOR_BEYOND_HEAD"},
		"before what there is not": {feed, fmt.Sprintf(`last: 1, before: %q`, change.EncodeCursor(id.Organization("acme"), 10_000)), "CURSOR_BEYOND_HEAD"},
		"a negative place":         {feed, fmt.Sprintf(`first: 1, after: %q`, change.EncodeCursor(id.Organization("acme"), -1)), "CURSOR_INVALID"},
		"unknown type":             {feed, `filter: {type: [PATH_EXPLODED]}`, "GRAPHQL_VALIDATION_FAILED"},
		"type in small letters":    {feed, `filter: {type: ["exposure_opened"]}`, "GRAPHQL_VALIDATION_FAILED"},
		"unknown entity":           {feed, `filter: {entityType: [PLANET]}`, "GRAPHQL_VALIDATION_FAILED"},
		"too many ids":             {feed, fmt.Sprintf(`filter: {exposure: [%s]}`, `"`+strings.Join(ids, `","`)+`"`), "FILTER_TOO_LARGE"},
		"page zero":                {feed, `first: 0`, "PAGE_SIZE"},
		"both ends":                {feed, `first: 1, last: 1`, "PAGE_BOTH_ENDS"},
		"no days":                  {`exposureChangeSummary(%s) { total }`, `days: 0`, "DAYS"},
		"more than a year":         {`exposureChangeSummary(%s) { total }`, `days: 367`, "DAYS"},
		"nested: a feed's cursor":  {`authorityPaths(first: 1) { nodes { changes(%s) { nodes { id } } } }`, fmt.Sprintf(`after: %q`, cursor("acme", "exposureChanges")), "CURSOR_OF_ANOTHER_LIST"},
		"nested: too many ids":     {`authorityPaths(first: 1) { nodes { changes(%s) { nodes { id } } } }`, fmt.Sprintf(`filter: {exposure: [%s]}`, `"`+strings.Join(ids, `","`)+`"`), "FILTER_TOO_LARGE"},
	} {
		a := b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { %s } }`, fmt.Sprintf(test.field, test.arguments)), nil)
		require.NotEmpty(t, a.Errors, name)
		require.Equal(t, test.code, a.code(), "%s: %s", name, a.Errors[0].Message)
		require.Len(t, a.Errors, 1, name)
		require.NotContains(t, a.Errors[0].Message, "rival")
	}
	byVariable := b.query(t, viewer, `query($t: [ExposureChangeType!]) { organization(slug: "acme") { exposureChanges(filter: {type: $t}) { nodes { id } } } }`, map[string]any{"t": []string{"PATH_EXPLODED"}})
	require.NotEmpty(t, byVariable.code())

	// What belongs to others is nothing; without the scope nothing is read.
	stranger := b.query(t, viewer, `query($id: ID!) { node(id: $id) { id } organization(slug: "acme") { exposureChange(id: $id) { id } } }`, map[string]any{
		"id": at[string](t, b.query(t, root, `{ organization(slug: "rival") { exposureChanges(first: 1) { nodes { id } } } }`, nil).Data, "organization", "exposureChanges", "nodes", 0, "id")})
	require.Empty(t, stranger.Errors)
	require.Nil(t, stranger.Data["node"])
	require.Nil(t, stranger.Data["organization"].(map[string]any)["exposureChange"])
	blind := viewer
	blind.Scopes = []access.Scope{access.Investigate}
	for _, field := range []string{`exposureChanges { nodes { id } }`, `exposureChangeSummary { total }`, `exposureChangeFeed { seq }`} {
		require.Equal(t, "SCOPE_MISSING", b.query(t, blind, `{ organization(slug: "acme") { `+field+` } }`, nil).code(), field)
	}
}

// TestChangeTypesAreTheRegistry: the words of the schema are those that are stored,
// in capitals and in the same order.
func TestChangeTypesAreTheRegistry(t *testing.T) {
	t.Parallel()
	capitals := func(words []string) string { return strings.ToUpper(strings.Join(words, " ")) }
	var types, entities, kinds, about []string
	for _, value := range schema(t).Types["ExposureChangeType"].EnumValues {
		types = append(types, value.Name)
	}
	for _, value := range schema(t).Types["ExposureChangeEntityType"].EnumValues {
		entities = append(entities, value.Name)
	}
	for _, kind := range slices.Concat(change.Emitted, change.Reserved) {
		kinds = append(kinds, string(kind))
	}
	for _, entity := range change.EntityTypes {
		about = append(about, string(entity))
	}
	require.Equal(t, capitals(types), capitals(kinds))
	require.Equal(t, capitals(entities), capitals(about))
}

// TestChangesAsOf: as of an instant, lists, histories, counts and summaries show what
// had happened by then, and nothing else.
func TestChangesAsOf(t *testing.T) {
	t.Parallel()
	b := eventful(t, time.Nanosecond)
	all, _ := b.changes(t, map[string]any{})
	seen := map[any]bool{}
	for _, node := range all {
		instant := node["occurredAt"]
		if seen[instant] {
			continue
		}
		seen[instant] = true
		var want, path, lineage []any
		a := b.query(t, viewer, `query($at: DateTime, $path: ID!) { organization(slug: "acme") {
			exposureChanges(first: 100, orderBy: {field: SEQ, direction: ASC}, asOf: $at) { totalCount nodes { seq } }
			opened: exposureChanges(first: 100, filter: {type: [EXPOSURE_OPENED]}, asOf: $at) { totalCount nodes { seq } }
			exposureChangeSummary(days: 30, asOf: $at) { to total previousTotal byDay { count } }
			authorityPath(id: $path, asOf: $at) { id lineageId changes(first: 100) { totalCount nodes { seq occurredAt causedBy { seq } } }
				lineage { changes(first: 100) { nodes { seq } } durations { type } } } } }`, map[string]any{"at": instant, "path": all[1]["entityId"]})
		require.Empty(t, a.Errors)
		first := at[map[string]any](t, a.Data, "organization", "authorityPath")
		opened := 0.0
		for _, e := range all {
			if e["occurredAt"].(string) > instant.(string) {
				continue
			}
			want = append(want, e["seq"])
			if e["type"] == "EXPOSURE_OPENED" {
				opened++
			}
			if p, _ := e["path"].(map[string]any); e["type"] == "IDENTITY_ROTATED" || p["id"] == first["id"] {
				path = append([]any{e["seq"]}, path...)
			}
			if e["type"] == "IDENTITY_ROTATED" || e["lineageId"] == first["lineageId"] {
				lineage = append([]any{e["seq"]}, lineage...)
			}
		}
		seqs := func(connection any) (seqs []any) {
			for _, node := range at[[]any](t, connection, "nodes") {
				seqs = append(seqs, at[float64](t, node, "seq"))
			}
			return seqs
		}
		require.Equal(t, want, seqs(at[any](t, a.Data, "organization", "exposureChanges")))
		require.Equal(t, float64(len(want)), at[float64](t, a.Data, "organization", "exposureChanges", "totalCount"))
		require.Equal(t, opened, at[float64](t, a.Data, "organization", "opened", "totalCount"))
		require.Equal(t, float64(len(want)), at[float64](t, a.Data, "organization", "exposureChangeSummary", "total"))
		require.Equal(t, path, seqs(first["changes"]))
		require.Equal(t, float64(len(path)), at[float64](t, first, "changes", "totalCount"))
		require.Equal(t, lineage, seqs(at[any](t, first, "lineage", "changes")))
	}
	require.GreaterOrEqual(t, len(seen), 5)
	for instant, code := range map[string]string{"2020-01-01T00:00:00Z": "ASOF_BEFORE_BEGINNING", "2999-01-01T00:00:00Z": "ASOF_IN_FUTURE"} {
		for _, field := range []string{`exposureChanges(asOf: %q) { nodes { id } }`, `exposureChangeSummary(asOf: %q) { total }`} {
			require.Equal(t, code, b.query(t, viewer, `{ organization(slug: "acme") { `+fmt.Sprintf(field, instant)+` } }`, nil).code(), field)
		}
	}
}
