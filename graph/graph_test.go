package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/server/guard"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	root   = access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}
	viewer = access.Actor{Subject: "viewer", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.View}}
)

// tester is a test, or one history of many.
type tester interface {
	require.TestingT
	Helper()
}

// bench is the GraphQL surface over a database of its own.
type bench struct {
	*dbtest.Database
	paths   *authority.Service
	handler http.Handler
	clock   atomic.Int64 // nanoseconds after epoch
}

func setup(t testing.TB) *bench {
	t.Helper()
	// Far above any scheduling delay: the batches of the loaders are whole.
	return setupWith(t, 20*time.Millisecond)
}

// patient is a wait in which every list of a level asks, however busy the machine.
const patient = 100 * time.Millisecond

func setupWith(t testing.TB, wait time.Duration, set ...func(*graph.Config)) *bench {
	t.Helper()
	b := &bench{Database: dbtest.New(t)}
	log := slog.New(slog.DiscardHandler)
	b.paths = authority.New(b.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), b.now, log).
		WithSurface(asset.NewSurface(asset.DefaultThresholds()))
	config := graph.Config{
		DB: b.DB, Organizations: &org.Store{}, Paths: b.paths, Exposures: &exposure.Reader{}, Clusters: &posture.Reader{}, Log: log,
		Triage: triage.New(b.DB, b.paths, b.now), LedgerKey: ledgerKey, LoaderWait: wait,
	}
	for _, set := range set {
		set(&config)
	}
	b.handler = guard.Wrap(guard.Status(graph.NewHandler(config)), guard.Limits{})
	return b
}

// ledgerKey is what the surface says of itself.
const ledgerKey = "test+00000000+key"

func (b *bench) now() time.Time { return epoch.Add(time.Duration(b.clock.Load())) }

func (b *bench) sync(t testing.TB, organization string, facts ...record.Fact) {
	t.Helper()
	_, err := b.paths.Sync(access.With(context.Background(), root),
		authority.SyncRequest{Organization: organization, CreateOrganization: true, Format: "snapshot"},
		func(out record.Emitter) error {
			for i, fact := range facts {
				if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
					return err
				}
			}
			return nil
		})
	require.NoError(t, err)
}

type answer struct {
	Data   map[string]any
	Errors []struct {
		Message    string
		Extensions map[string]any
	}
	Extensions map[string]any
}

func (a answer) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	code, _ := a.Errors[0].Extensions["code"].(string)
	return code
}

func (b *bench) post(t tester, actor access.Actor, body string) (int, answer) {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader([]byte(body)))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	b.handler.ServeHTTP(recorder, request.WithContext(access.With(request.Context(), actor)))
	var a answer
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &a), recorder.Body.String())
	return recorder.Code, a
}

func (b *bench) query(t tester, actor access.Actor, query string, variables map[string]any) answer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	require.NoError(t, err)
	_, a := b.post(t, actor, string(body))
	return a
}

func at[T any](t tester, value any, path ...any) T {
	t.Helper()
	for _, step := range path {
		switch key := step.(type) {
		case string:
			object, ok := value.(map[string]any)
			require.True(t, ok, "%v is no object, wanted %q", value, key)
			value = object[key]
		case int:
			list, ok := value.([]any)
			require.True(t, ok && key < len(list), "%v is no list with %d", value, key)
			value = list[key]
		}
	}
	typed, ok := value.(T)
	require.True(t, ok, "%v is not the expected type", value)
	return typed
}

func ref(kind record.EntityKind, name string) record.Ref {
	return record.Ref{Kind: kind, SourceID: name}
}

// world is n workloads, each with its own identity, resource and role, and two
// roles that all share: 3n paths.
func world(n int) []record.Fact {
	facts := []record.Fact{
		record.Entity{Ref: ref(record.Role, "view")}, record.Entity{Ref: ref(record.Role, "edit")},
		record.Entity{Ref: ref(record.Resource, "ledger"), Sensitivity: "restricted", DataDomain: "finance"},
		record.Entity{Ref: ref(record.Resource, "mail"), Sensitivity: "internal"},
		grant("view", "ledger", "get"), grant("view", "mail", "get"), grant("edit", "ledger", "update"),
	}
	for i := range n {
		w, id, own := fmt.Sprintf("w%03d", i), fmt.Sprintf("id%03d", i), fmt.Sprintf("own%03d", i)
		facts = append(facts,
			record.Entity{Ref: ref(record.Workload, w), Name: "workload " + w}, record.Entity{Ref: ref(record.Identity, id)},
			record.Entity{Ref: ref(record.Role, own)}, record.Entity{Ref: ref(record.Resource, own), Sensitivity: "confidential"},
			record.Edge{Kind: record.RunsAs, From: ref(record.Workload, w), To: ref(record.Identity, id)},
			grant(own, own, "get", "delete"), has(id, own), has(id, "view"), has(id, "edit"))
	}
	return facts
}

func grant(role, resource string, actions ...string) record.Edge {
	return record.Edge{Kind: record.Grants, From: ref(record.Role, role), To: ref(record.Resource, resource), Scope: "*", Actions: actions}
}

func has(identity, role string) record.Edge {
	return record.Edge{Kind: record.HasRole, From: ref(record.Identity, identity), To: ref(record.Role, role), Scope: "*"}
}

const everything = `query Everything($first: Int!, $after: String, $versions: Int = 5) {
  organization(slug: "acme") {
    authorityPaths(first: $first, after: $after) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes {
        id status sensitivity actions viaRoles lastSeenAt compositionHash
        workload { id name sourceId }
        identity { id sourceId }
        destination { id sourceId dataDomain }
        lineage { id firstSeenAt routes { id identity { sourceId } } }
        roles { sourceId }
        versions(first: $versions) { nodes { version effectiveFrom effectiveTo viaRoles actions } }
        currentState { execution30d ownershipStatus egressCategory maxSensitivity }
      }
    }
  }
}`

func TestStatementsDoNotGrowWithRows(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond) // what a loader would batch by waiting comes apart
	b.sync(t, "acme", world(60)...)
	sent := map[int][]string{}
	for _, first := range []int{20, 100} {
		b.Statements.Reset()
		a := b.query(t, viewer, everything, map[string]any{"first": first})
		require.Empty(t, a.Errors)
		require.Len(t, at[[]any](t, a.Data, "organization", "authorityPaths", "nodes"), first)
		require.Equal(t, 180.0, at[float64](t, a.Data, "organization", "authorityPaths", "totalCount"))
		require.Equal(t, []any{"edit", "view"}, at[[]any](t, a.Data, "organization", "authorityPaths", "nodes", 0, "viaRoles"))
		require.Equal(t, []any{"get", "update"}, at[[]any](t, a.Data, "organization", "authorityPaths", "nodes", 0, "actions"))
		sent[first] = b.Statements.Sent()
	}
	require.ElementsMatch(t, sent[20], sent[100])
	require.LessOrEqual(t, len(sent[100]), 8, sent[100])
}

func TestPagesAreWholeAndDisjoint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(60)...)
	b.clock.Add(int64(time.Hour))
	b.sync(t, "acme", world(40)...) // sixty paths end
	for _, order := range []string{"SENSITIVITY DESC", "SENSITIVITY ASC", "FIRST_SEEN ASC", "FIRST_SEEN DESC"} {
		var field, direction string
		_, err := fmt.Sscan(order, &field, &direction)
		require.NoError(t, err)
		query := func(arguments string) answer {
			return b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { authorityPaths(%s, includeRemoved: true, orderBy: {field: %s, direction: %s}) {
				nodes { id sensitivity } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`, arguments, field, direction), nil)
		}
		var forward, backward []string
		for after := ""; ; {
			a := query(fmt.Sprintf(`first: 50%s`, after))
			require.Empty(t, a.Errors)
			for _, node := range at[[]any](t, a.Data, "organization", "authorityPaths", "nodes") {
				forward = append(forward, at[string](t, node, "id"))
			}
			if !at[bool](t, a.Data, "organization", "authorityPaths", "pageInfo", "hasNextPage") {
				break
			}
			after = fmt.Sprintf(", after: %q", at[string](t, a.Data, "organization", "authorityPaths", "pageInfo", "endCursor"))
		}
		for before := ""; ; {
			a := query(fmt.Sprintf(`last: 70%s`, before))
			require.Empty(t, a.Errors)
			var ids []string
			for _, node := range at[[]any](t, a.Data, "organization", "authorityPaths", "nodes") {
				ids = append(ids, at[string](t, node, "id"))
			}
			backward = append(ids, backward...)
			if !at[bool](t, a.Data, "organization", "authorityPaths", "pageInfo", "hasPreviousPage") {
				break
			}
			before = fmt.Sprintf(", before: %q", at[string](t, a.Data, "organization", "authorityPaths", "pageInfo", "startCursor"))
		}
		require.Len(t, forward, 180, order)
		require.Equal(t, forward, backward, order)
	}
}

func TestNestedListsAreReadAtOnce(t *testing.T) {
	t.Parallel()
	b := setupWith(t, patient) // these batch by waiting
	b.sync(t, "acme", world(30)...)
	b.Statements.Reset()
	a := b.query(t, viewer, `{ organization(slug: "acme") { workloads(first: 30) { nodes {
		sourceId ownershipStatus owners { name } identityBindings { type identity { sourceId roleBindings { scope role { sourceId } } } }
		attributes { name value basis source { name } }
		authorityPaths(first: 2) { totalCount nodes { destination { sourceId } } pageInfo { hasNextPage } } } } } }`, nil)
	require.Empty(t, a.Errors)
	first := at[map[string]any](t, a.Data, "organization", "workloads", "nodes", 0)
	require.Equal(t, "w000", first["sourceId"])
	require.Equal(t, "UNKNOWN", first["ownershipStatus"])
	require.Equal(t, 3.0, at[float64](t, first, "authorityPaths", "totalCount"))
	require.Len(t, at[[]any](t, first, "authorityPaths", "nodes"), 2)
	require.Equal(t, "ledger", at[string](t, first, "authorityPaths", "nodes", 0, "destination", "sourceId"))
	require.Equal(t, "workload w000", at[string](t, first, "attributes", 0, "value"))
	require.LessOrEqual(t, len(b.Statements.Sent()), 14, b.Statements.Sent())
}

func TestNodesOfEveryType(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(1)...)
	b.sync(t, "rival", world(1)...)
	collect := func(slug string) map[string]string {
		a := b.query(t, root, `query($slug: String!) { organization(slug: $slug) { id
			authorityPaths(first: 1) { nodes { id lineageId workload { id } identity { id } destination { id } roles { id } } }
			sources { id } syncs(first: 1) { nodes { id } } } }`, map[string]any{"slug": slug})
		require.Empty(t, a.Errors)
		path := at[map[string]any](t, a.Data, "organization", "authorityPaths", "nodes", 0)
		return map[string]string{
			"Organization":  at[string](t, a.Data, "organization", "id"),
			"AuthorityPath": at[string](t, path, "id"), "Lineage": at[string](t, path, "lineageId"),
			"Workload": at[string](t, path, "workload", "id"), "Identity": at[string](t, path, "identity", "id"),
			"Resource": at[string](t, path, "destination", "id"), "AccessRole": at[string](t, path, "roles", 0, "id"),
			"Source": at[string](t, a.Data, "organization", "sources", 0, "id"), "Sync": at[string](t, a.Data, "organization", "syncs", "nodes", 0, "id"),
		}
	}
	own, foreign := collect("acme"), collect("rival")
	for kind, id := range own {
		a := b.query(t, viewer, `query($id: ID!) { node(id: $id) { __typename id } }`, map[string]any{"id": id})
		require.Empty(t, a.Errors, kind)
		require.Equal(t, kind, at[string](t, a.Data, "node", "__typename"))
		require.Equal(t, id, at[string](t, a.Data, "node", "id"))

		// What belongs to another organization answers as what does not exist.
		strange := b.query(t, viewer, `query($id: ID!) { node(id: $id) { __typename id } }`, map[string]any{"id": foreign[kind]})
		unknown := b.query(t, viewer, `query($id: ID!) { node(id: $id) { __typename id } }`, map[string]any{"id": "bm90aGluZw"})
		require.Equal(t, unknown, strange, kind)
		require.Nil(t, strange.Data["node"])
	}
	strange := b.query(t, viewer, `{ organization(slug: "rival") { id } }`, nil)
	unknown := b.query(t, viewer, `{ organization(slug: "nobody") { id } }`, nil)
	require.Equal(t, unknown, strange)
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(3)...)
	b.sync(t, "rival", world(3)...)
	cursorOf := func(slug, arguments string) string {
		a := b.query(t, root, fmt.Sprintf(`{ organization(slug: %q) { authorityPaths(%s) { pageInfo { endCursor } } } }`, slug, arguments), nil)
		return at[string](t, a.Data, "organization", "authorityPaths", "pageInfo", "endCursor")
	}
	for name, test := range map[string]struct{ arguments, code string }{
		"first zero":              {`first: 0`, "PAGE_SIZE"},
		"first negative":          {`first: -1`, "PAGE_SIZE"},
		"first beyond":            {`first: 101`, "PAGE_SIZE"},
		"both ends":               {`first: 1, last: 1`, "PAGE_BOTH_ENDS"},
		"no cursor":               {`first: 1, after: "x"`, "CURSOR_INVALID"},
		"cursor of a sort":        {fmt.Sprintf(`first: 1, after: %q`, cursorOf("acme", `first: 1, orderBy: {field: FIRST_SEEN, direction: ASC}`)), "CURSOR_OF_ANOTHER_LIST"},
		"cursor of a filter":      {fmt.Sprintf(`first: 1, after: %q`, cursorOf("acme", `first: 1, filter: {sensitivity: [RESTRICTED]}`)), "CURSOR_OF_ANOTHER_LIST"},
		"cursor of organization":  {fmt.Sprintf(`first: 1, after: %q`, cursorOf("rival", `first: 1`)), "CURSOR_OF_ANOTHER_LIST"},
		"unknown enum":            {`filter: {sensitivity: [HUGE]}`, "GRAPHQL_VALIDATION_FAILED"},
		"number beyond 32 bits":   {`first: 3000000000`, "LIMIT_COST"},
		"an instant that is none": {`filter: {firstSeenAfter: "yesterday"}`, "BAD_USER_INPUT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { authorityPaths(%s) { nodes { id } } } }`, test.arguments), nil)
			require.NotEmpty(t, a.Errors)
			t.Log(a.Errors[0].Message)
			require.Equal(t, test.code, a.code())
		})
	}
}

func TestWithoutActorNothingIsRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader([]byte(`{"query":"{ __schema { types { name } } }"}`)))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	b.handler.ServeHTTP(recorder, request)
	require.Equal(t, http.StatusUnauthorized, recorder.Code)
	require.Contains(t, recorder.Body.String(), "TOKEN_MISSING")

	b.sync(t, "acme", world(1)...)
	nobody := b.query(t, access.Actor{Subject: "nobody"}, `{ organization(slug: "acme") { id } }`, nil)
	require.Nil(t, nobody.Data["organization"])
	blind := b.query(t, access.Actor{Subject: "blind", Organizations: []string{"acme"}}, `{ organization(slug: "acme") { id } }`, nil)
	require.Equal(t, "SCOPE_MISSING", blind.code())
}

// Documents that kill or stall a server without limits are refused, and a
// healthy query beside each of them is answered.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(3)...)
	doubling := "{ ...F0 } "
	for level := range 25 {
		doubling += fmt.Sprintf("fragment F%d on Query { ...F%d ...F%d } ", level, level+1, level+1)
	}
	doubling += "fragment F25 on Query { __typename }"
	for name, test := range map[string]struct {
		document string
		status   int
		code     string
	}{
		"1.4 MB of nesting":        {strings.Repeat("{a", 700_000), http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE"},
		"nesting within the body":  {strings.Repeat("{a", 100_000), http.StatusBadRequest, "LIMIT_TOKENS"},
		"8,000 times one field":    {"{" + strings.Repeat("__typename ", 8000) + "}", http.StatusBadRequest, "LIMIT_TOKENS"},
		"25 levels of doubling":    {doubling, http.StatusBadRequest, "LIMIT_ROOT_FIELDS"},
		"20 MB of variables":       {strings.Repeat(" ", 20<<20), http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE"},
		"deep, one field a level":  {"{ node(id: 1) " + strings.Repeat("{ x ", 40) + strings.Repeat("}", 40) + "}", http.StatusBadRequest, "LIMIT_DEPTH"},
		"a page times a page":      {`{ organization(slug: "acme") { workloads(first: 100) { nodes { authorityPaths(first: 100) { nodes { workload { authorityPaths(first: 100) { nodes { id } } } } } } } } }`, http.StatusBadRequest, "LIMIT_COST"},
		"a name that suggests one": {`{ organizatio(slug: "acme") { id } }`, http.StatusOK, "GRAPHQL_VALIDATION_FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := json.Marshal(map[string]string{"query": test.document})
			require.NoError(t, err)
			healthy := make(chan answer)
			go func() {
				healthy <- b.query(t, viewer, `{ organization(slug: "acme") { authorityPaths(first: 1) { totalCount } } }`, nil)
			}()
			status, a := b.post(t, viewer, string(body))
			require.Equal(t, test.status, status)
			require.Equal(t, test.code, a.code())
			require.NotContains(t, a.Errors[0].Message, "Did you mean")
			require.Equal(t, 9.0, at[float64](t, (<-healthy).Data, "organization", "authorityPaths", "totalCount"))
		})
	}
}

// What one response says comes from one instant, also when a sync commits while
// it is made.
func TestResponseReadsOneSnapshot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", world(2)...)
	ctx := access.With(context.Background(), viewer)
	acme := id.Organization("acme")
	snapshot := b.Snapshot()
	defer snapshot.Close(ctx)
	active := authority.PathFilter{Statuses: []authority.PathStatus{authority.PathActive}}

	before, err := b.paths.CountPaths(ctx, snapshot, acme, active)
	require.NoError(t, err)
	b.sync(t, "acme", world(5)...)
	list, err := b.paths.Paths(ctx, snapshot, acme, active, authority.PathOrder{}, page.Request{})
	require.NoError(t, err)
	require.Len(t, list.Rows, before)

	later := b.Snapshot()
	defer later.Close(ctx)
	after, err := b.paths.CountPaths(ctx, later, acme, active)
	require.NoError(t, err)
	require.Equal(t, 15, after)
}

// A rotation links the path that ended with the one that took over, and both
// directions are read at once.
func TestRotationLinksPaths(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	shop := func(identity string) []record.Fact {
		return []record.Fact{
			record.Entity{Ref: ref(record.Workload, "shop")}, record.Entity{Ref: ref(record.Identity, identity)},
			record.Entity{Ref: ref(record.Role, "view")}, record.Entity{Ref: ref(record.Resource, "ledger")},
			record.Edge{Kind: record.RunsAs, From: ref(record.Workload, "shop"), To: ref(record.Identity, identity)},
			has(identity, "view"), grant("view", "ledger", "get"),
		}
	}
	b.sync(t, "acme", shop("old")...)
	b.clock.Add(int64(time.Hour))
	b.sync(t, "acme", shop("new")...)
	b.Statements.Reset()
	a := b.query(t, viewer, `{ organization(slug: "acme") { authorityPaths(includeRemoved: true, orderBy: {field: FIRST_SEEN, direction: ASC}) { nodes {
		status identity { sourceId } predecessor { identity { sourceId } } successor { identity { sourceId } }
		lineage { firstSeenAt routes { identity { sourceId } } } workload { rotations { from { sourceId } to { sourceId } } } } } } }`, nil)
	require.Empty(t, a.Errors)
	old := at[map[string]any](t, a.Data, "organization", "authorityPaths", "nodes", 0)
	now := at[map[string]any](t, a.Data, "organization", "authorityPaths", "nodes", 1)
	require.Equal(t, "REMOVED", old["status"])
	require.Nil(t, old["predecessor"])
	require.Equal(t, "new", at[string](t, old, "successor", "identity", "sourceId"))
	require.Equal(t, "old", at[string](t, now, "predecessor", "identity", "sourceId"))
	require.Nil(t, now["successor"])
	require.Equal(t, old["lineage"], now["lineage"])
	require.Equal(t, epoch.Format(time.RFC3339), at[string](t, now, "lineage", "firstSeenAt"))
	require.Equal(t, "new", at[string](t, now, "lineage", "routes", 0, "identity", "sourceId"))
	require.Equal(t, "old", at[string](t, now, "workload", "rotations", 0, "from", "sourceId"))
	asked := 0
	for _, statement := range b.Statements.Sent() {
		if statement == "authority.read.successions_by_paths" {
			asked++
		}
	}
	require.Equal(t, 1, asked)
}

// TestDeprecatedToken: the older name of a scope is honoured, and the answer says that
// it will go.
func TestDeprecatedToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := viewer
	old.Deprecated = true
	require.Nil(t, b.query(t, viewer, `{ viewer { subject } }`, nil).Extensions["deprecations"])
	a := b.query(t, old, `{ viewer { scopes } }`, nil)
	require.Equal(t, []any{"vuln:view"}, at[[]any](t, a.Data, "viewer", "scopes"))
	require.Equal(t, "SCOPE_DEPRECATED", at[string](t, a.Extensions["deprecations"], 0, "code"))
	require.Contains(t, at[string](t, a.Extensions["deprecations"], 0, "message"), "vuln:view")
}

// TestCursorOfOneParent: a cursor that belongs to the list of one parent is refused for
// the others alone, whatever is read together.
func TestCursorOfOneParent(t *testing.T) {
	t.Parallel()
	b := setupWith(t, patient)
	b.sync(t, "acme", world(3)...)
	first := b.query(t, root, `{ organization(slug: "acme") { workloads(first: 2) { nodes { authorityPaths(first: 1) { edges { cursor } } } } } }`, nil)
	require.Empty(t, first.Errors)
	cursor := at[string](t, first.Data, "organization", "workloads", "nodes", 0, "authorityPaths", "edges", 0, "cursor")
	for range 5 {
		a := b.query(t, root, `query($after: String) { organization(slug: "acme") { workloads(first: 2) { nodes { authorityPaths(first: 1, after: $after) { nodes { id } } } } } }`,
			map[string]any{"after": cursor})
		require.Len(t, a.Errors, 1, "%+v", a.Errors)
		require.Equal(t, "CURSOR_OF_ANOTHER_LIST", a.code())
	}
}
