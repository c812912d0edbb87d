package graph_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// town is n workloads of four kinds, in turn: owned and run by themselves; owned by
// nobody, and sending data to a model; started by people; and without a known
// identity. Each has two identities, if any, and two paths through each.
func town(n int) []record.Fact {
	facts := []record.Fact{
		record.Entity{Ref: ref(record.Role, "view")}, grant("view", "ledger", "get"), grant("view", "mail", "get"),
		record.Entity{Ref: ref(record.Resource, "ledger"), Sensitivity: "restricted", DataDomain: "finance"},
		record.Entity{Ref: ref(record.Resource, "mail"), Sensitivity: "internal", DataDomain: "mail"},
		person("ada", ""), record.Coverage{Kind: record.Ownership}, record.Coverage{Kind: record.Binding}, record.Coverage{Kind: record.Roles},
	}
	for i := range n {
		name := fmt.Sprintf("w%03d", i)
		w := ref(record.Workload, name)
		entity := record.Entity{Ref: w, Name: "Workload " + name, ExecutionMode: []record.ExecutionMode{record.Autonomous, record.Triggered, record.HumanTriggered, ""}[i%4]}
		facts = append(facts, entity)
		if i%4 != 1 {
			facts = append(facts, owns(name, "ada"))
		} else {
			facts = append(facts, egress(name, "api.model.example", record.EgressLLM), egress(name, "db.internal", record.EgressInternal))
		}
		if i%4 == 3 {
			continue
		}
		for _, identity := range []string{"a-" + name, "b-" + name} {
			facts = append(facts, record.Entity{Ref: ref(record.Identity, identity), Name: "Identity " + identity}, has(identity, "view"),
				record.Edge{Kind: record.RunsAs, From: w, To: ref(record.Identity, identity)})
		}
		facts = append(facts, record.Evidence{Workload: &w, Day: dayAgo(1 + i%7), Count: 1 + i})
	}
	return facts
}

const overview = `query Overview($rows: Int!) { organization(slug: "acme") {
  posture {
    at activePaths dormantPaths totalExecutions30d ownershipInvalidCount executedInvalidOwnershipCount identityCounts { activeAutonomous dormantAuthority }
    workloadCounts { autonomous operatorAssisted humanTriggered unclassified } delta { newPaths removedPaths newOrphaned newAutonomousIdentities ownershipInvalidations snapshot { at activePaths } }
    lastRefresh refreshes { source { name system } lastRefresh }
  }
  riskClusters(first: 12) { nodes { key label priority urgency verdict pathCount identityCount workloadCount sensitiveDomains } }
  workloadExposures(first: $rows) {
    totalCount truncated pageInfo { hasNextPage endCursor }
    nodes { id workload { id name sourceType } sourceSystem identities { id name sourceSystem } identityBinding pathCount findingCount findingTypes maxSeverity sensitiveDomainCount dataDomains
      executionCount30d lastExecutionAt ownershipStatus egressCategory executionMode lastEvaluatedAt pathSummary { totalPaths sensitivePaths } }
  }
} }`

func TestOverviewIsOneRequest(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond) // what a loader would batch by waiting comes apart
	b.sync(t, "acme", town(80)...)
	b.sync(t, "rival", town(4)...)
	sent := map[int][]string{}
	for _, rows := range []int{5, 50} {
		b.Statements.Reset()
		a := b.query(t, viewer, overview, map[string]any{"rows": rows})
		sent[rows] = b.Statements.Sent()
		require.Empty(t, a.Errors)
		nodes := at[[]any](t, a.Data, "organization", "workloadExposures", "nodes")
		require.Len(t, nodes, rows)
		require.Equal(t, 80.0, at[float64](t, a.Data, "organization", "workloadExposures", "totalCount"))
		require.False(t, at[bool](t, a.Data, "organization", "workloadExposures", "truncated"))
		for i := range nodes {
			name := at[string](t, nodes, i, "workload", "name")
			require.True(t, strings.HasPrefix(name, "Workload "), name)
			if at[string](t, nodes, i, "identityBinding") == "BOUND" {
				require.Equal(t, "Identity a-"+name[9:], at[string](t, nodes, i, "identities", 0, "name"))
			}
		}
	}
	require.ElementsMatch(t, sent[5], sent[50])
	require.LessOrEqual(t, len(sent[50]), 8, sent[50])
}

const detail = `query Detail($id: ID!, $first: Int!) { organization(slug: "acme") { workloadExposure(id: $id) {
  id live workload { id name } sourceSystem identities { id name } identityBinding pathCount findingCount findingTypes maxSeverity sensitiveDomainCount dataDomains executionCount30d lastExecutionAt
  ownershipStatus egressCategory egressCategories executionMode lastEvaluatedAt
  ownershipBreakdown { owners { id name type status role relationshipType owner { id sourceId } } effectiveStatus }
  workloadMetadata { sourceSystem sourceId artifactIdentifier createdAt lastSyncedAt }
  identityBindings { relationshipType identity { id name } protocol targetSystem }
  executionEvidenceSummary { totalDirectRecords totalRelatedRecords lastExecutionAt executionCount30d }
  pathSummary { totalPaths sensitivePaths dormantPaths totalExecution30d }
  evidenceCompleteness { kind coverage }
  authorityPaths(first: $first) { totalCount nodes { id status sensitivity actions viaRoles lastSeenAt identity { name } destination { name dataDomain } currentState { execution30d maxExposureSeverity } } }
  exposures(first: $first) { totalCount nodes { id type severity status explanation effectiveFrom durationDays lastEvaluatedAt path { id } } }
} } }`

func TestDetailIsOneRequest(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	wide := town(4)
	for i := range 60 { // which the second workload reaches as well
		name := fmt.Sprintf("store%02d", i)
		wide = append(wide, record.Entity{Ref: ref(record.Resource, name), Sensitivity: "restricted"}, grant("deep", name, "get"))
	}
	wide = append(wide, record.Entity{Ref: ref(record.Role, "deep")}, has("a-w001", "deep"), has("b-w001", "deep"))
	b.sync(t, "acme", wide...)
	sent := map[int][]string{}
	workload := b.workloadID(t, "w001")
	for _, first := range []int{1, 100} {
		b.Statements.Reset()
		a := b.query(t, viewer, detail, map[string]any{"id": workload, "first": first})
		sent[first] = b.Statements.Sent()
		require.Empty(t, a.Errors)
		row := at[map[string]any](t, a.Data, "organization", "workloadExposure")
		require.Equal(t, 124.0, row["pathCount"])
		require.Equal(t, 124.0, at[float64](t, row, "authorityPaths", "totalCount"))
		require.Len(t, at[[]any](t, row, "authorityPaths", "nodes"), first)
		require.Equal(t, 124.0*2+122.0, at[float64](t, row, "exposures", "totalCount"), "nobody owns it, it talks to a model, and of two paths the end is harmless")
		require.Len(t, at[[]any](t, row, "exposures", "nodes"), first)
		require.Equal(t, []any{"LLM", "INTERNAL"}, row["egressCategories"])
		require.Equal(t, map[string]any{"effectiveStatus": "ORPHANED", "owners": []any{}}, row["ownershipBreakdown"])
		require.Equal(t, "CRITICAL", at[string](t, row, "exposures", "nodes", 0, "severity"), "the gravest first")
		require.Equal(t, map[string]any{"totalDirectRecords": 1.0, "totalRelatedRecords": 0.0, "lastExecutionAt": "2026-02-27T00:00:00Z", "executionCount30d": 2.0}, row["executionEvidenceSummary"])
		require.Equal(t, row["lastEvaluatedAt"], at[string](t, row, "workloadMetadata", "lastSyncedAt"))
	}
	require.ElementsMatch(t, sent[1], sent[100])
	require.LessOrEqual(t, len(sent[100]), 8, sent[100])
}

// Clients keep objects by their ids.
func TestTiesOfOneOwnerHaveIDsOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := record.Edge{Kind: record.CreatedBy, From: ref(record.Workload, "w000"), To: ref(record.Owner, "ada")}
	b.sync(t, "acme", append(town(4), created)...)
	read := func() (ties, owners []string, kinds []any) {
		a := b.query(t, viewer, `{ organization(slug: "acme") { workloadExposures { nodes { ownershipBreakdown { owners { id relationshipType owner { id } } } } } } }`, nil)
		require.Empty(t, a.Errors)
		for _, row := range at[[]any](t, a.Data, "organization", "workloadExposures", "nodes") {
			for _, tie := range at[[]any](t, row, "ownershipBreakdown", "owners") {
				ties, owners = append(ties, at[string](t, tie, "id")), append(owners, at[string](t, tie, "owner", "id"))
				kinds = append(kinds, at[any](t, tie, "relationshipType"))
			}
		}
		return ties, owners, kinds
	}
	ties, owners, kinds := read()
	require.ElementsMatch(t, []any{"OWNED_BY", "OWNED_BY", "OWNED_BY", "CREATED_BY"}, kinds)
	again, _, _ := read()
	require.Equal(t, ties, again)
	slices.Sort(ties)
	require.Len(t, slices.Compact(ties), 4)
	require.Len(t, slices.Compact(owners), 1)
	require.NotContains(t, ties, owners[0])
}

func (b *bench) workloadID(t testing.TB, name string) string {
	t.Helper()
	a := b.query(t, root, `query($name: String!) { organization(slug: "acme") { workload(sourceId: $name, sourceSystem: "snapshot") { id } } }`, map[string]any{"name": name})
	require.Empty(t, a.Errors)
	return at[string](t, a.Data, "organization", "workload", "id")
}

// Lists under the rows are read at once, whichever way one comes to the rows.
func TestListsUnderRowsAreReadAtOnce(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	b.sync(t, "acme", town(60)...)
	row := `id lastEvaluatedAt ownershipBreakdown { owners { name } } identityBindings { identity { name } } executionEvidenceSummary { totalDirectRecords } evidenceCompleteness { kind }
		workloadMetadata { sourceId lastSyncedAt } riskClusters { key } authorityPaths(first: 2) { totalCount nodes { destination { name } exposures(first: 1) { nodes { type } } } }
		exposures(first: 2) { totalCount nodes { type path { id } } }`
	sent := map[string][]string{}
	for _, n := range []string{"4", "40"} {
		b.Statements.Reset()
		a := b.query(t, viewer, `{ organization(slug: "acme") { workloadExposures(first: `+n+`) { nodes { `+row+` } } } }`, nil)
		require.Empty(t, a.Errors)
		sent[n] = b.Statements.Sent()
	}
	require.ElementsMatch(t, sent["4"], sent["40"])
	for _, n := range []string{"4", "40"} {
		b.Statements.Reset()
		a := b.query(t, viewer, `{ organization(slug: "acme") { workloads(first: `+n+`) { nodes { name workloadExposure { `+row+` } } } } }`, nil)
		require.Empty(t, a.Errors)
		require.NotNil(t, at[map[string]any](t, a.Data, "organization", "workloads", "nodes", 3)["workloadExposure"])
		sent[n] = b.Statements.Sent()
	}
	require.ElementsMatch(t, sent["4"], sent["40"])
}

func TestWorkloadExposureByEitherID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(8)...)
	b.sync(t, "rival", town(8)...)
	ask := func(actor access.Actor, slug, id string) map[string]any {
		a := b.query(t, actor, `query($slug: String!, $id: ID!) { organization(slug: $slug) { workloadExposure(id: $id) {
			id live pathCount findingCount identityBinding identities { name } maxSeverity findingTypes workload { id sourceId status } authorityPaths { totalCount nodes { id } } } } }`,
			map[string]any{"slug": slug, "id": id})
		require.Empty(t, a.Errors)
		row, _ := at[map[string]any](t, a.Data, "organization")["workloadExposure"].(map[string]any)
		return row
	}
	workload := b.workloadID(t, "w003")
	row := ask(viewer, "acme", workload)
	code := at[string](t, row, "id")
	require.Regexp(t, `^EXP-[0-9a-f]{8}$`, code)
	require.Equal(t, row, ask(viewer, "acme", code))
	require.Equal(t, row, ask(viewer, "acme", strings.ToLower(code)))
	require.Equal(t, row, ask(viewer, "acme", strings.ToUpper(code)))
	require.Equal(t, workload, at[string](t, row, "workload", "id"))

	// A workload of which no identity is known has a row without a path.
	require.Equal(t, "UNKNOWN", row["identityBinding"])
	require.Equal(t, []any{}, row["identities"])
	require.Zero(t, row["pathCount"])
	require.Equal(t, map[string]any{"totalCount": 0.0, "nodes": []any{}}, row["authorityPaths"])
	require.Equal(t, []any{"UNKNOWN_IDENTITY_BINDING"}, row["findingTypes"])

	// What is of another organization, or of another type, is as nothing.
	foreign := ask(root, "rival", "")
	require.Nil(t, foreign)
	rivals := b.query(t, root, `{ organization(slug: "rival") { workloadExposures(first: 1) { nodes { id workload { id } identities { id } } } } }`, nil)
	theirs := at[map[string]any](t, rivals.Data, "organization", "workloadExposures", "nodes", 0)
	for _, id := range []string{
		at[string](t, theirs, "id"), at[string](t, theirs, "workload", "id"), "EXP-00000000", "EXP-", "exp", "bm90aGluZw", at[string](t, theirs, "identities", 0, "id"),
	} {
		require.Nil(t, ask(viewer, "acme", id), id)
	}

	// A workload that was removed keeps its id, and comes back with it.
	kept := ask(viewer, "acme", b.workloadID(t, "w004"))
	b.clock.Add(int64(time.Hour))
	b.sync(t, "acme", town(4)...)
	gone := ask(viewer, "acme", at[string](t, kept, "id"))
	require.Equal(t, false, gone["live"])
	require.Equal(t, "REMOVED", at[string](t, gone, "workload", "status"))
	require.Zero(t, gone["pathCount"])
	require.Zero(t, gone["findingCount"])
	require.Nil(t, gone["maxSeverity"])
	b.clock.Add(int64(time.Hour))
	b.sync(t, "acme", town(8)...)
	require.Equal(t, kept, ask(viewer, "acme", at[string](t, kept, "id")))
}

// The filters of S2, one by one and nested, each by the workloads that pass.
func TestWorkloadExposureFilters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(4)...)
	for filter, want := range map[string]string{
		``: "w000 w001 w002 w003", `{}`: "w000 w001 w002 w003",
		`{severity: [CRITICAL]}`: "w001", `{severity: [HIGH, CRITICAL]}`: "w000 w001 w002 w003", `{severity: []}`: "w000 w001 w002 w003",
		`{cluster: ["orphaned-sensitive"]}`: "w001", `{cluster: ["orphaned_sensitive", "drifted-sensitive"]}`: "w001", `{cluster: ["drifted-sensitive"]}`: "",
		`{egressCategory: [LLM]}`: "w001", `{egressCategory: [INTERNAL]}`: "", `{egressCategories: [INTERNAL]}`: "w001", `{egressCategory: [UNKNOWN]}`: "w000 w002 w003",
		`{ownershipStatus: [ORPHANED]}`: "w001", `{ownershipStatus: [VALID]}`: "w000 w002 w003",
		`{executionMode: [AUTONOMOUS]}`: "w000", `{executionMode: [AUTONOMOUS, HUMAN_TRIGGERED]}`: "w000 w002", `{executionModeKnown: false}`: "w003",
		`{or: [{executionMode: [TRIGGERED]}, {executionModeKnown: false}]}`: "w001 w003",
		`{dataDomain: ["mail"]}`: "w000 w001 w002", `{identityBinding: [UNKNOWN]}`: "w003", `{findingType: [UNKNOWN_IDENTITY_BINDING, LLM_EGRESS]}`: "w001 w003",
		`{severity: [HIGH], executionMode: [AUTONOMOUS]}`: "w000", `{severity: [CRITICAL], executionMode: [AUTONOMOUS]}`: "",
		`{and: [{severity: [HIGH]}, {identityBinding: [BOUND]}]}`:                                                                  "w000 w002",
		`{not: {executionMode: [AUTONOMOUS]}}`:                                                                                     "w001 w002 w003",
		`{not: {or: [{ownershipStatus: [ORPHANED]}, {identityBinding: [UNKNOWN]}]}}`:                                               "w000 w002",
		`{severity: [HIGH], or: [{executionMode: [AUTONOMOUS]}, {and: [{identityBinding: [UNKNOWN]}, {not: {severity: [LOW]}}]}]}`: "w000 w003",
	} {
		arguments := ""
		if filter != "" {
			arguments = "(filter: " + filter + ")"
		}
		a := b.query(t, viewer, `{ organization(slug: "acme") { workloadExposures`+arguments+` { totalCount nodes { workload { sourceId } } } } }`, nil)
		require.Empty(t, a.Errors, filter)
		names := []string{}
		for _, node := range at[[]any](t, a.Data, "organization", "workloadExposures", "nodes") {
			names = append(names, at[string](t, node, "workload", "sourceId"))
		}
		slices.Sort(names)
		require.Equal(t, want, strings.Join(names, " "), filter)
		require.InDelta(t, len(names), at[float64](t, a.Data, "organization", "workloadExposures", "totalCount"), 0, filter)
	}
}

func TestPagesOfWorkloadExposures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(30)...)
	for _, order := range []string{"", "SEVERITY ASC", "FINDING_COUNT DESC", "PATH_COUNT ASC", "EXECUTION_COUNT DESC", "LAST_EXECUTION DESC", "LAST_EXECUTION ASC"} {
		by := ""
		if field, direction, ok := strings.Cut(order, " "); ok {
			by = fmt.Sprintf(", orderBy: {field: %s, direction: %s}", field, direction)
		}
		var all []string
		var last string
		for after := ""; ; {
			a := b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { workloadExposures(first: 7%s%s) {
				nodes { id maxSeverity findingCount lastExecutionAt executionCount30d workload { id } } pageInfo { hasNextPage endCursor } } } }`, by, after), nil)
			require.Empty(t, a.Errors, order)
			for _, node := range at[[]any](t, a.Data, "organization", "workloadExposures", "nodes") {
				all = append(all, at[string](t, node, "id"))
				if order == "" { // the gravest first, then those with most findings
					key := fmt.Sprintf("%d %02.0f", map[string]int{"CRITICAL": 4, "HIGH": 3, "MEDIUM": 2, "LOW": 1}[at[string](t, node, "maxSeverity")], at[float64](t, node, "findingCount"))
					require.True(t, last == "" || key <= last, "%s after %s", key, last)
					last = key
				}
			}
			if !at[bool](t, a.Data, "organization", "workloadExposures", "pageInfo", "hasNextPage") {
				break
			}
			after = fmt.Sprintf(", after: %q", at[string](t, a.Data, "organization", "workloadExposures", "pageInfo", "endCursor"))
		}
		require.Len(t, all, 30, order)
		slices.Sort(all)
		require.Len(t, slices.Compact(all), 30, order)
	}
}

func TestBadArgumentsOfWorkloadExposures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(8)...)
	b.sync(t, "rival", town(8)...)
	cursorOf := func(slug, list, arguments string) string {
		a := b.query(t, root, fmt.Sprintf(`{ organization(slug: %q) { %s(%s) { pageInfo { endCursor } } } }`, slug, list, arguments), nil)
		require.Empty(t, a.Errors)
		return at[string](t, a.Data, "organization", list, "pageInfo", "endCursor")
	}
	deep := `{severity: [LOW]}`
	for range 4 {
		deep = `{not: ` + deep + `}`
	}
	for name, test := range map[string]struct{ list, code string }{
		"first zero":              {`workloadExposures(first: 0)`, "PAGE_SIZE"},
		"first beyond":            {`workloadExposures(first: 101)`, "PAGE_SIZE"},
		"both ends":               {`workloadExposures(first: 1, last: 1)`, "PAGE_BOTH_ENDS"},
		"unknown cluster":         {`workloadExposures(filter: {cluster: ["nothing"]})`, "UNKNOWN_CLUSTER"},
		"unknown cluster, nested": {`workloadExposures(filter: {not: {or: [{cluster: ["nothing"]}]}})`, "UNKNOWN_CLUSTER"},
		"unknown enum":            {`workloadExposures(filter: {severity: [HUGE]})`, "GRAPHQL_VALIDATION_FAILED"},
		"too deep":                {`workloadExposures(filter: ` + deep + `)`, "FILTER_TOO_DEEP"},
		"too many":                {`workloadExposures(filter: {or: [` + strings.Repeat(`{},`, 40) + `]})`, "FILTER_TOO_LARGE"},
		"no cursor":               {`workloadExposures(after: "x")`, "CURSOR_INVALID"},
		"cursor of a filter":      {fmt.Sprintf(`workloadExposures(after: %q, filter: {severity: [HIGH]})`, cursorOf("acme", "workloadExposures", "first: 1")), "CURSOR_OF_ANOTHER_LIST"},
		"cursor of a sort":        {fmt.Sprintf(`workloadExposures(after: %q, orderBy: {field: PATH_COUNT, direction: DESC})`, cursorOf("acme", "workloadExposures", "first: 1")), "CURSOR_OF_ANOTHER_LIST"},
		"cursor of organization":  {fmt.Sprintf(`workloadExposures(after: %q)`, cursorOf("rival", "workloadExposures", "first: 1")), "CURSOR_OF_ANOTHER_LIST"},
		"snapshots, first zero":   {`postureSnapshots(first: 0)`, "PAGE_SIZE"},
		"snapshots of another":    {fmt.Sprintf(`postureSnapshots(after: %q)`, cursorOf("rival", "postureSnapshots", "first: 1")), "CURSOR_OF_ANOTHER_LIST"},
		"snapshots, backwards":    {`postureSnapshots(filter: {from: "2026-03-02T00:00:00Z", to: "2026-03-01T00:00:00Z"})`, "INTERVAL_EMPTY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			field := strings.SplitN(test.list, "(", 2)[0]
			node := map[string]string{"workloadExposures": "id", "postureSnapshots": "at"}[field]
			a := b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { %s { nodes { %s } } } }`, test.list, node), nil)
			require.NotEmpty(t, a.Errors)
			require.Equal(t, test.code, a.code(), a.Errors[0].Message)
		})
	}
	a := b.query(t, viewer, `{ organization(slug: "acme") { workloadExposures(first: 2) { nodes { id exposures(after: "x") { nodes { id } } } } } }`, nil)
	require.Equal(t, "CURSOR_INVALID", a.code())
	require.Len(t, a.Errors, 2, "once for each of them, and by it")
}

func TestPostureAndItsSeries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ask := func(document string) map[string]any {
		a := b.query(t, viewer, `{ organization(slug: "acme") { `+document+` } }`, nil)
		require.Empty(t, a.Errors)
		return at[map[string]any](t, a.Data, "organization")
	}
	_, err := b.paths.Sync(access.With(context.Background(), root), authority.SyncRequest{Organization: "acme", CreateOrganization: true, Format: "snapshot"},
		func(record.Emitter) error { return nil })
	require.NoError(t, err)
	empty := ask(`posture { activePaths delta { newPaths } lastRefresh workloadExposureCounts { total } } workloadExposures { totalCount nodes { id } }`)
	require.Equal(t, map[string]any{"posture": map[string]any{"activePaths": 0.0, "delta": nil, "lastRefresh": "2026-03-01T12:00:00Z", "workloadExposureCounts": map[string]any{"total": 0.0}},
		"workloadExposures": map[string]any{"totalCount": 0.0, "nodes": []any{}}}, empty)
	b.clock.Add(int64(24 * time.Hour))
	b.sync(t, "acme", town(4)...)
	b.clock.Add(int64(24 * time.Hour))
	b.sync(t, "acme", town(8)...)
	b.clock.Add(int64(24 * time.Hour))
	_, err = b.paths.Reevaluate(access.With(context.Background(), root), id.Organization("acme"), authority.ByRequest, nil)
	require.NoError(t, err)

	now := ask(`young: posture { delta { newPaths } } posture(since: "2026-03-02T12:00:00Z") { at activePaths delta { newPaths removedPaths newOrphaned newAutonomousIdentities ownershipInvalidations
		snapshot { at activePaths sync { version source { name } } workloadCounts { total } identityCounts { total } } } }`)
	require.Equal(t, map[string]any{"young": map[string]any{"delta": nil}, "posture": map[string]any{"at": "2026-03-04T12:00:00Z", "activePaths": 24.0, "delta": map[string]any{
		"newPaths": 12.0, "removedPaths": 0.0, "newOrphaned": 4.0, "newAutonomousIdentities": 2.0, "ownershipInvalidations": 4.0,
		"snapshot": map[string]any{"at": "2026-03-02T12:00:00Z", "activePaths": 12.0, "sync": map[string]any{"version": 2.0, "source": map[string]any{"name": "snapshot"}},
			"workloadCounts": map[string]any{"total": 4.0}, "identityCounts": map[string]any{"total": 6.0}}}}}, now)

	b.Statements.Reset()
	series := ask(`postureSnapshots(orderBy: {field: AT, direction: ASC}) { totalCount nodes { at activePaths sensitivePaths totalExecutions30d ownershipInvalidCount sync { version source { name } } clusters { key pathCount } } }`)
	require.Len(t, b.Statements.Sent(), 5, b.Statements.Sent())
	var shown []string
	for _, s := range at[[]any](t, series, "postureSnapshots", "nodes") {
		version := "-"
		if sync, ok := at[map[string]any](t, s)["sync"].(map[string]any); ok {
			version = fmt.Sprint(sync["version"])
		}
		shown = append(shown, fmt.Sprintf("%s %s %v %v %d", at[string](t, s, "at")[8:10], version, at[float64](t, s, "activePaths"), at[float64](t, s, "ownershipInvalidCount"), len(at[[]any](t, s, "clusters"))))
	}
	require.Equal(t, []string{"01 1 0 0 0", "02 2 12 4 3", "03 3 24 8 3", "04 - 24 8 3"}, shown)
	some := ask(`postureSnapshots(filter: {from: "2026-03-02T12:00:00Z", to: "2026-03-04T12:00:00Z"}) { totalCount nodes { at } }`)
	require.Equal(t, map[string]any{"totalCount": 2.0, "nodes": []any{map[string]any{"at": "2026-03-03T12:00:00Z"}, map[string]any{"at": "2026-03-02T12:00:00Z"}}}, some["postureSnapshots"])

	// Counts and lists agree, and what has no right sees nothing.
	counted := ask(`posture { workloadExposureCounts { critical high medium low none total } activePaths } workloadExposures { totalCount } authorityPaths { totalCount }
		critical: workloadExposures(filter: {severity: [CRITICAL]}) { totalCount } high: workloadExposures(filter: {severity: [HIGH]}) { totalCount }`)
	counts := at[map[string]any](t, counted, "posture", "workloadExposureCounts")
	require.Equal(t, counts["total"], at[float64](t, counted, "workloadExposures", "totalCount"))
	require.Equal(t, counts["critical"], at[float64](t, counted, "critical", "totalCount"))
	require.Equal(t, counts["high"], at[float64](t, counted, "high", "totalCount"))
	require.Equal(t, at[float64](t, counted, "posture", "activePaths"), at[float64](t, counted, "authorityPaths", "totalCount"))
	blind := b.query(t, access.Actor{Subject: "blind", Organizations: []string{"acme"}}, `{ organization(slug: "acme") { posture { at } } }`, nil)
	require.Equal(t, "SCOPE_MISSING", blind.code())
}
