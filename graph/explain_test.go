package graph_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

const explained = `query Explained($first: Int!) { organization(slug: "acme") {
  exposures(first: $first) { nodes { id explain {
    ruleVersion severityFactors { factor contribution }
    predicates { name holds value { number text at list } threshold { number unit } coverage { kind completeness since until lookedAt } evidenceIds }
  } } }
} }`

const whyNots = `query WhyNots($first: Int!) { organization(slug: "acme") {
  authorityPaths(first: $first) { nodes { id
    whyNot(cluster: "orphaned-sensitive") { member cluster { key authorityPaths(first: 1) { nodes { id } } } terms {
      satisfied exposure { id explain { predicates { name } } } carriers { path { id workload { name } } } missing { reason exposure { id } verdict { outcome predicates { name evidenceIds } } } } }
    unbound: whyNot(cluster: "unbound-sensitive") { member terms { satisfied carrierCount carriers { id } missing { reason } } }
    explainPrimaryCluster { decidedBy ranking { key terms cluster { pathCount } } }
  } }
} }`

func TestExplanationsAreReadAtOnce(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond) // what a loader would batch by waiting comes apart
	b.sync(t, "acme", town(60)...)
	for document, list := range map[string]string{explained: "exposures", whyNots: "authorityPaths"} {
		sent := map[int][]string{}
		for _, first := range []int{5, 100} {
			b.Statements.Reset()
			a := b.query(t, viewer, document, map[string]any{"first": first})
			sent[first] = b.Statements.Sent()
			require.Empty(t, a.Errors)
			require.Len(t, at[[]any](t, a.Data, "organization", list, "nodes"), first)
		}
		require.ElementsMatch(t, sent[5], sent[100], list)
		require.LessOrEqual(t, len(sent[100]), 32, sent[100])
	}
	rows := `{ organization(slug: "acme") { posture { explain(count: ACTIVE_PATHS) { value rows(first: %d) { nodes { node { id ... on AuthorityPath { workload { name } identity { name } } } } } } } } }`
	sent := map[int][]string{}
	for _, first := range []int{5, 100} {
		b.Statements.Reset()
		a := b.query(t, viewer, fmt.Sprintf(rows, first), nil)
		sent[first] = b.Statements.Sent()
		require.Empty(t, a.Errors)
		require.Len(t, at[[]any](t, a.Data, "organization", "posture", "explain", "rows", "nodes"), first)
	}
	require.ElementsMatch(t, sent[5], sent[100])
}

// why asks why the first path of acme is in a cluster, or is not.
func (b *bench) why(t testing.TB, cluster, level string) map[string]any {
	t.Helper()
	a := b.query(t, viewer, `query Why($cluster: String!, $level: ExposureLevel) { organization(slug: "acme") { authorityPaths(first: 1, includeRemoved: true) { nodes {
		whyNot(cluster: $cluster, level: $level) { member memberFrom obstacle level terms { types satisfied carriedByPath bySeverity exposure { type status }
			missing { type reason resolvedAt resolutionReason exposure { status } verdict { rule enabled outcome predicates { name holds coverage { kind completeness } evidenceIds } } } } } } } } }`,
		map[string]any{"cluster": cluster, "level": level})
	require.Empty(t, a.Errors)
	return at[map[string]any](t, a.Data, "organization", "authorityPaths", "nodes", 0, "whyNot")
}

func TestWhyNotNamesTheGap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deliver(t, unowned())
	w := b.why(t, "orphaned-sensitive", "ACKNOWLEDGED")
	require.Equal(t, true, w["member"])
	require.Equal(t, "OPEN", w["memberFrom"])
	require.Nil(t, w["obstacle"])
	require.Equal(t, "CRITICAL", at[string](t, w, "terms", 0, "bySeverity"))
	require.Equal(t, "ORPHANED_PATH", at[string](t, w, "terms", 0, "exposure", "type"))

	super := b.Super(t)
	for _, c := range []struct {
		disposition     int
		level           string
		member          bool
		reason, expects string
	}{
		{2, "OPEN", false, "ACKNOWLEDGED", "ACKNOWLEDGED"}, {2, "ACKNOWLEDGED", true, "", "ACKNOWLEDGED"},
		{3, "ACKNOWLEDGED", false, "RISK_ACCEPTED", "ACCEPTED"}, {3, "ACCEPTED", true, "", "ACCEPTED"},
		{4, "ACCEPTED", false, "FALSE_POSITIVE", ""},
	} {
		script(t, super, fmt.Sprintf(`UPDATE exposure SET disposition = %d WHERE type = 6`, c.disposition))
		w := b.why(t, "orphaned-sensitive", c.level)
		require.Equal(t, c.member, w["member"], c)
		require.Equal(t, c.level, w["level"])
		if c.expects == "" {
			require.Nil(t, w["memberFrom"])
		} else {
			require.Equal(t, c.expects, w["memberFrom"])
		}
		if !c.member {
			require.Equal(t, "TERM_MISSING", w["obstacle"])
			require.Equal(t, c.reason, at[string](t, w, "terms", 1, "missing", 0, "reason"))
			require.Equal(t, "TRUE", at[string](t, w, "terms", 1, "missing", 0, "verdict", "outcome"), "whatever people say of it")
		}
	}
	script(t, super, `UPDATE exposure SET disposition = 1`)

	owned := unowned()
	owned.owner = record.Active
	b.deliver(t, owned)
	w = b.why(t, "orphaned-sensitive", "ACKNOWLEDGED")
	missing := at[map[string]any](t, w, "terms", 0, "missing", 0)
	require.Equal(t, []any{"RESOLVED", "OWNER_REACTIVATED", "2026-03-02T12:00:00Z"}, []any{missing["reason"], missing["resolutionReason"], missing["resolvedAt"]})
	require.Equal(t, "FALSE", at[string](t, missing, "verdict", "outcome"))
	require.Equal(t, true, at[map[string]any](t, w, "terms", 1)["carriedByPath"])

	owned.revoked = true
	b.deliver(t, owned)
	w = b.why(t, "orphaned-sensitive", "ACKNOWLEDGED")
	require.Equal(t, "PATH_REMOVED", w["obstacle"])
	for n := range 2 {
		missing := at[map[string]any](t, w, "terms", n, "missing", 0)
		require.Equal(t, "PATH_REMOVED", missing["reason"])
		require.Nil(t, missing["verdict"], "what does not stand is not judged")
	}
}

// Nobody looked at who owns what: that nobody does is not known.
func TestWhyNotSaysThatNobodyKnows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	facts := smallEstate()
	delete(facts, string(record.Ownership))
	for _, name := range []string{"ada", "billing owner", "reports owner"} {
		delete(facts, name)
	}
	b.sync(t, "acme", facts.facts()...)
	missing := at[map[string]any](t, b.why(t, "orphaned-sensitive", "ACKNOWLEDGED"), "terms", 0, "missing", 0)
	require.Equal(t, "NO_SUCH_EXPOSURE", missing["reason"])
	require.Nil(t, missing["exposure"])
	verdict := at[map[string]any](t, missing, "verdict")
	require.Equal(t, "ORPHANED_OWNERSHIP", verdict["rule"])
	require.Equal(t, "UNKNOWN", verdict["outcome"])
	require.Equal(t, map[string]any{"kind": "OWNERSHIP", "completeness": "NOT_COLLECTED"}, at[map[string]any](t, verdict, "predicates", 0, "coverage"))
	require.Equal(t, "UNKNOWN", at[string](t, verdict, "predicates", 0, "holds"))

	// An exposure that was found, and that nobody can be sure of any more.
	again := setup(t)
	whole := smallEstate()
	for _, name := range []string{"ada", "billing owner", "reports owner"} {
		delete(whole, name)
	}
	again.sync(t, "acme", whole.facts()...)
	again.clock.Add(int64(24 * time.Hour))
	again.sync(t, "acme", facts.facts()...)
	a := again.query(t, viewer, `{ organization(slug: "acme") { exposures(first: 1, filter: {type: [ORPHANED_PATH]}) { nodes { indeterminateSince explain { predicates { name holds coverage { completeness } } } } } } }`, nil)
	require.Empty(t, a.Errors)
	x := at[map[string]any](t, a.Data, "organization", "exposures", "nodes", 0)
	require.NotNil(t, x["indeterminateSince"])
	for n := range 2 {
		require.Equal(t, "UNKNOWN", at[string](t, x, "explain", "predicates", n, "holds"))
		require.Equal(t, "NOT_COLLECTED", at[string](t, x, "explain", "predicates", n, "coverage", "completeness"), "as it is now")
	}
}

func TestExplanationsStayInTheirOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(4)...)
	b.sync(t, "rival", town(4)...)
	ask := func(document string) map[string]any {
		a := b.query(t, root, document, nil)
		require.Empty(t, a.Errors)
		return a.Data
	}
	rival := ask(`{ organization(slug: "rival") { riskCluster(key: "llm-egress") { id } authorityPaths(first: 1) { nodes { id } } exposures(first: 1) { nodes { id } } } }`)
	cluster := at[string](t, rival, "organization", "riskCluster", "id")
	path := at[string](t, rival, "organization", "authorityPaths", "nodes", 0, "id")
	exposure := at[string](t, rival, "organization", "exposures", "nodes", 0, "id")
	for _, named := range []string{cluster, path, "nothing", ""} {
		found := ask(fmt.Sprintf(`{ organization(slug: "acme") { authorityPaths(first: 1) { nodes { whyNot(cluster: %q) { member } } } } }`, named))
		require.Nil(t, at[map[string]any](t, found, "organization", "authorityPaths", "nodes", 0)["whyNot"], named)
	}
	own := at[string](t, ask(`{ organization(slug: "acme") { riskCluster(key: "llm_egress", level: OPEN) { id } } }`), "organization", "riskCluster", "id")
	found := ask(fmt.Sprintf(`{ organization(slug: "acme") { authorityPaths(first: 1) { nodes { whyNot(cluster: %q) { level cluster { key } } } } } }`, own))
	require.Equal(t, map[string]any{"level": "OPEN", "cluster": map[string]any{"key": "llm-egress"}}, at[map[string]any](t, found, "organization", "authorityPaths", "nodes", 0, "whyNot"))

	a := b.query(t, viewer, fmt.Sprintf(`{ path: node(id: %q) { ... on AuthorityPath { whyNot(cluster: "llm-egress") { member } } }
		exposure: node(id: %q) { ... on Exposure { explain { predicates { name } } } } }`, path, exposure), nil)
	require.Empty(t, a.Errors)
	require.Equal(t, map[string]any{"path": nil, "exposure": nil}, a.Data)
	blind := b.query(t, access.Actor{Subject: "blind", Organizations: []string{"acme"}}, `{ organization(slug: "acme") { posture { explain(count: ACTIVE_PATHS) { value } } } }`, nil)
	require.Equal(t, "SCOPE_MISSING", blind.code())

	// The ids of what an explanation refers to: nodes answer, records do not.
	answer := ask(`{ organization(slug: "acme") { exposures(first: 1, filter: {type: [LLM_EGRESS]}) { nodes { explain { predicates { evidenceIds } } } } } }`)
	ids := at[[]any](t, answer, "organization", "exposures", "nodes", 0, "explain", "predicates", 0, "evidenceIds")
	require.GreaterOrEqual(t, len(ids), 2)
	require.Equal(t, "Workload", at[string](t, ask(fmt.Sprintf(`{ node(id: %q) { __typename } }`, ids[0])), "node", "__typename"))
	require.Nil(t, ask(fmt.Sprintf(`{ node(id: %q) { __typename } }`, ids[1]))["node"])
}

func TestBadArgumentsOfExplanations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", town(8)...)
	b.sync(t, "rival", town(8)...)
	cursor := func(slug, count string) string {
		a := b.query(t, root, fmt.Sprintf(`{ organization(slug: %q) { posture { explain(count: %s) { rows(first: 1) { pageInfo { endCursor } } } } } }`, slug, count), nil)
		require.Empty(t, a.Errors)
		return at[string](t, a.Data, "organization", "posture", "explain", "rows", "pageInfo", "endCursor")
	}
	for name, test := range map[string]struct{ rows, code string }{
		"first zero":             {`rows(first: 0)`, "PAGE_SIZE"},
		"first beyond":           {`rows(first: 101)`, "PAGE_SIZE"},
		"no cursor":              {`rows(after: "x")`, "CURSOR_INVALID"},
		"cursor of a count":      {fmt.Sprintf(`rows(after: %q)`, cursor("acme", "WORKLOADS")), "CURSOR_OF_ANOTHER_LIST"},
		"cursor of organization": {fmt.Sprintf(`rows(after: %q)`, cursor("rival", "ACTIVE_PATHS")), "CURSOR_OF_ANOTHER_LIST"},
	} {
		a := b.query(t, viewer, `{ organization(slug: "acme") { posture { explain(count: ACTIVE_PATHS) { `+test.rows+` { totalCount } } } } }`, nil)
		require.Equal(t, test.code, a.code(), name)
	}
	a := b.query(t, viewer, `{ organization(slug: "acme") { posture { explain(count: HAPPINESS) { value } } } }`, nil)
	require.Equal(t, "GRAPHQL_VALIDATION_FAILED", a.code())

	// A posture without a snapshot to count from counts no events.
	a = b.query(t, viewer, `{ organization(slug: "acme") { posture(since: "2020-01-01T00:00:00Z") { delta { newPaths } explain(count: NEW_PATHS) { value counted since { at } rows { totalCount nodes { at } } } } } }`, nil)
	require.Empty(t, a.Errors)
	require.Equal(t, map[string]any{"value": nil, "counted": 0.0, "since": nil, "rows": map[string]any{"totalCount": 0.0, "nodes": []any{}}}, at[map[string]any](t, a.Data, "organization", "posture", "explain"))
}
