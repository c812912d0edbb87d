package db_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// capture is a tracer that keeps the statements as they were sent, with their
// arguments, so that a test can explain what the product really runs.
type capture struct {
	mu   sync.Mutex
	sent []statement
}

type statement struct {
	sql  string
	args []any
}

func (c *capture) note(sql string, args []any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(sql, "/* authority.read.") { // a list of both statuses has it twice, further in
		c.sent = append(c.sent, statement{sql, args})
	}
}

func (c *capture) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	c.note(data.SQL, data.Args)
	return ctx
}
func (c *capture) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *capture) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (c *capture) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	c.note(data.SQL, data.Args)
}
func (c *capture) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// plan is a node of EXPLAIN (FORMAT JSON).
type plan struct {
	NodeType string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Cond     string `json:"Index Cond"`
	Filter   string `json:"Filter"`
	Hit      int    `json:"Shared Hit Blocks"`
	Read     int    `json:"Shared Read Blocks"`
	Plans    []plan `json:"Plans"`
}

func (p plan) walk(visit func(plan)) {
	visit(p)
	for _, child := range p.Plans {
		child.walk(visit)
	}
}

// shape is what must not change while a statement grows old.
func (p plan) shape() string {
	children := make([]string, 0, len(p.Plans))
	for _, child := range p.Plans {
		children = append(children, child.shape())
	}
	return fmt.Sprintf("%s[%s %s](%s)", p.NodeType, p.Relation, p.Index, strings.Join(children, ", "))
}

func explained(t testing.TB, conn *pgx.Conn, sql string, args ...any) plan {
	t.Helper()
	texts := column[string](t, conn, sql, args...)
	require.Len(t, texts, 1)
	var result []struct {
		Plan plan `json:"Plan"`
	}
	require.NoError(t, json.Unmarshal([]byte(texts[0]), &result))
	return result[0].Plan
}

// pathBench is two organizations of 12,000 paths each with statistics, and a
// runtime connection on which one of them is set.
func pathBench(t *testing.T) (*authority.Service, *db.DB, *capture, *pgx.Conn, id.ID) {
	t.Helper()
	ctx := context.Background()
	database := dbtest.New(t)
	sync1(t, database.DB, "acme", facts(1))
	sync1(t, database.DB, "rival", facts(1))
	super := database.Super(t)
	// 120 workloads, 1200 identities of 10 paths, 100 destinations in 10 domains. Both
	// organizations use the same ids, so that only the organization tells them apart.
	exec(t, super, `
		INSERT INTO authority_path (organization_id, id, lineage_id, workload_id, identity_id, resource_id, status, effective, role_ids, actions, auth_chain_depth,
			composition_hash, class, data_domain, sensitivity, ownership_status, egress_category, version, from_at, sync_version, first_seen_at, removed_at)
		SELECT o.id, md5('path' || w || ',' || r)::uuid, md5('line' || w || ',' || r)::uuid, md5('w' || w)::uuid, md5('i' || (w * 100 + r) / 10)::uuid, md5('r' || r)::uuid,
			CASE WHEN (w + r) % 10 = 0 THEN 'removed' ELSE 'active' END, true, ARRAY[md5('role' || r)::uuid], '{get,list}', 0,
			sha256(convert_to(w || ',' || r, 'UTF8')), 0, 'domain' || r % 10, (r / 10) % 5, 'unknown', 'unknown', 1, now(), 1, now() - r * interval '1 hour',
			CASE WHEN (w + r) % 10 = 0 THEN now() END
		FROM organization o, generate_series(1, 120) AS w, generate_series(1, 100) AS r
		WHERE o.slug IN ('acme', 'rival')`)
	exec(t, super, `VACUUM ANALYZE authority_path`)

	tracer := &capture{}
	traced, err := db.Open(ctx, database.RuntimeURL, db.Options{MaxConns: 2, Tracer: tracer})
	require.NoError(t, err)
	t.Cleanup(traced.Close)
	runtime := database.Runtime(t)
	organization := id.Organization("acme")
	exec(t, runtime, `SELECT set_config('app.organization', $1, false)`, organization.String())
	return authority.New(traced, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), func() time.Time { return epoch }, slog.New(slog.DiscardHandler)), traced, tracer, runtime, organization
}

func md5ID(t testing.TB, conn *pgx.Conn, text string) id.ID {
	t.Helper()
	return column[id.ID](t, conn, `SELECT md5($1)::uuid`, text)[0]
}

// TestAccessPathsHaveTheirIndex explains the statements that the service sends
// for the four access paths of S3 (C18), and for lineages.
func TestAccessPathsHaveTheirIndex(t *testing.T) {
	t.Parallel()
	service, database, tracer, runtime, organization := pathBench(t)
	ctx := access.With(context.Background(), root)
	twenty := 20
	first := page.Request{First: &twenty}
	grave := authority.PathOrder{Field: authority.BySensitivity, Descending: true}
	workload, resource, identity := md5ID(t, runtime, "w7"), md5ID(t, runtime, "r9"), md5ID(t, runtime, "i30")

	paths := func(filter authority.PathFilter, order authority.PathOrder, request page.Request) authority.PathPage {
		snapshot := database.Snapshot()
		defer snapshot.Close(ctx)
		got, err := service.Paths(ctx, snapshot, organization, filter, order, request)
		require.NoError(t, err)
		require.NotEmpty(t, got.Rows)
		return got
	}
	under := func(parent authority.Parent, ids ...id.ID) {
		snapshot := database.Snapshot()
		defer snapshot.Close(ctx)
		_, err := service.PathsUnder(ctx, snapshot, organization, &authority.PathList{Parent: parent, Order: grave, Request: first,
			Filter: authority.PathFilter{Statuses: []authority.PathStatus{authority.PathActive}}}, ids)
		require.NoError(t, err)
	}
	active := []authority.PathStatus{authority.PathActive}
	next := func(filter authority.PathFilter, order authority.PathOrder) {
		got := paths(filter, order, first)
		after := got.Cursor(got.Rows[len(got.Rows)-1])
		tracer.sent = nil // the page that is asked about is the second one
		paths(filter, order, page.Request{First: &twenty, After: &after})
	}

	for name, access := range map[string]struct {
		run    func()
		index  []string // the one that must serve it
		sorted bool     // whether the index gives the list's order
		within string   // a condition that must be of the index, not a filter behind it
	}{
		"of a workload":       {func() { paths(authority.PathFilter{Statuses: active, WorkloadIDs: []id.ID{workload}}, grave, first) }, []string{"authority_path_workload"}, false, "workload_id"},
		"through an identity": {func() { paths(authority.PathFilter{Statuses: active, IdentityIDs: []id.ID{identity}}, grave, first) }, []string{"authority_path_identity"}, false, "identity_id"},
		"to a destination":    {func() { paths(authority.PathFilter{Statuses: active, ResourceIDs: []id.ID{resource}}, grave, first) }, []string{"authority_path_resource"}, false, "resource_id"},
		"domain and sensitivity": {func() {
			paths(authority.PathFilter{Statuses: active, DataDomains: []string{"domain3"}, Sensitivities: []authority.Sensitivity{authority.Restricted}}, grave, first)
		}, []string{"authority_path_domain"}, true, "sensitivity"},
		"domain, gravest first": {func() { paths(authority.PathFilter{Statuses: active, DataDomains: []string{"domain3"}}, grave, first) }, []string{"authority_path_domain"}, true, "data_domain"},
		"status and sensitivity": {func() {
			paths(authority.PathFilter{Statuses: active, Sensitivities: []authority.Sensitivity{authority.Confidential}}, grave, first)
		}, []string{"authority_path_status"}, true, "sensitivity"},
		"active, gravest first": {func() { paths(authority.PathFilter{Statuses: active}, grave, first) }, []string{"authority_path_status"}, true, "status"},
		"active, mildest first": {func() {
			paths(authority.PathFilter{Statuses: active}, authority.PathOrder{Field: authority.BySensitivity}, first)
		}, []string{"authority_path_status"}, true, "status"},
		"active, from the end":           {func() { paths(authority.PathFilter{Statuses: active}, grave, page.Request{Last: &twenty}) }, []string{"authority_path_status"}, true, "status"},
		"active, the second page":        {func() { next(authority.PathFilter{Statuses: active}, grave) }, []string{"authority_path_status"}, true, "ROW(sensitivity, id) < ROW("},
		"domain, the second page":        {func() { next(authority.PathFilter{Statuses: active, DataDomains: []string{"domain3"}}, grave) }, []string{"authority_path_domain"}, true, "ROW(sensitivity, id) < ROW("},
		"of both statuses":               {func() { paths(authority.PathFilter{}, grave, first) }, []string{"authority_path_status"}, true, "status"},
		"both statuses, the second page": {func() { next(authority.PathFilter{}, grave) }, []string{"authority_path_status"}, true, "ROW(sensitivity, id) < ROW("},
		"newest first": {func() {
			paths(authority.PathFilter{}, authority.PathOrder{Field: authority.ByFirstSeen, Descending: true}, first)
		}, []string{"authority_path_first_seen"}, true, "organization_id"},
		"newest, the second page": {func() {
			next(authority.PathFilter{Statuses: active}, authority.PathOrder{Field: authority.ByFirstSeen, Descending: true})
		}, []string{"authority_path_first_seen"}, true, "ROW(first_seen_at, id) < ROW("},
		"of a lineage": {func() {
			snapshot := database.Snapshot()
			defer snapshot.Close(ctx)
			_, err := service.PathsByLineages(ctx, snapshot, organization, []authority.LineageKey{{WorkloadID: workload, ResourceID: resource}})
			require.NoError(t, err)
		}, []string{"authority_path_workload"}, false, "resource_id"},
		"by ids": {func() {
			snapshot := database.Snapshot()
			defer snapshot.Close(ctx)
			_, err := service.PathsByIDs(ctx, snapshot, organization, []id.ID{workload, resource})
			require.NoError(t, err)
		}, []string{"authority_path_pkey"}, false, "id = ANY"},
		"under workloads":    {func() { under(authority.UnderWorkload, workload, md5ID(t, runtime, "w8")) }, []string{"authority_path_workload"}, false, "workload_id"},
		"under identities":   {func() { under(authority.UnderIdentity, identity, md5ID(t, runtime, "i40")) }, []string{"authority_path_identity"}, false, "identity_id"},
		"under destinations": {func() { under(authority.UnderResource, resource, md5ID(t, runtime, "r5")) }, []string{"authority_path_resource"}, false, "resource_id"},
	} {
		tracer.sent = nil
		access.run()
		require.Len(t, tracer.sent, 1, name)
		got := explained(t, runtime, "EXPLAIN (FORMAT JSON) "+tracer.sent[0].sql, tracer.sent[0].args...)
		var used []string
		var conditions strings.Builder
		got.walk(func(node plan) {
			require.False(t, node.NodeType == "Seq Scan" && node.Relation == "authority_path", "%s reads every row: %s", name, got.shape())
			if access.sorted {
				require.NotContains(t, node.NodeType, "Sort", "%s: %s", name, got.shape())
			}
			if node.Index != "" {
				require.Contains(t, node.Cond, "organization_id =", "%s: %s", name, got.shape())
				used = append(used, node.Index)
				conditions.WriteString(node.Cond)
			}
		})
		require.Subset(t, access.index, used, "%s: %s", name, got.shape())
		require.NotEmpty(t, used, name)
		require.Contains(t, conditions.String(), access.within, "%s: %s", name, got.shape())
	}
}

// literal writes an argument as EXECUTE takes it.
func literal(t testing.TB, value any) string {
	t.Helper()
	switch v := value.(type) {
	case id.ID:
		return "'" + v.String() + "'"
	case string:
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	case authority.PathStatus:
		return "'" + string(v) + "'"
	case int, int64:
		return fmt.Sprint(v)
	}
	require.Failf(t, "no literal", "%T", value)
	return ""
}

// TestListKeepsItsPlan: after five executions PostgreSQL may swap the plan of a
// prepared statement for a generic one, which knows neither the organization
// nor the limit. The list must be read the same way then.
func TestListKeepsItsPlan(t *testing.T) {
	t.Parallel()
	service, database, tracer, runtime, organization := pathBench(t)
	ctx := access.With(context.Background(), root)
	hundred := 100
	order := authority.PathOrder{Field: authority.BySensitivity, Descending: true}
	filter := authority.PathFilter{Statuses: []authority.PathStatus{authority.PathActive}}
	request := page.Request{First: &hundred}
	for range 2 { // the first page and one behind a cursor
		snapshot := database.Snapshot()
		got, err := service.Paths(ctx, snapshot, organization, filter, order, request)
		require.NoError(t, err)
		snapshot.Close(ctx)
		after := got.Cursor(got.Rows[len(got.Rows)-1])
		request = page.Request{First: &hundred, After: &after}
	}
	require.Len(t, tracer.sent, 2)
	for i, sent := range tracer.sent {
		for _, mode := range []string{"auto", "force_generic_plan"} {
			name := fmt.Sprintf("list_%d_%s", i, mode)
			exec(t, runtime, "SET plan_cache_mode = "+mode)
			exec(t, runtime, "PREPARE "+name+" AS "+sent.sql)
			args := make([]string, len(sent.args))
			for n, arg := range sent.args {
				args[n] = literal(t, arg)
			}
			execute := "EXECUTE " + name + "(" + strings.Join(args, ", ") + ")"
			explain := func() plan { return explained(t, runtime, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+execute) }
			explain() // reads the catalog and the pages into memory
			young := explain()
			require.Contains(t, young.shape(), "authority_path_status", name)
			require.NotContains(t, young.shape(), "Sort", name)
			for range 10 {
				exec(t, runtime, execute)
			}
			old := explain()
			require.Equal(t, young.shape(), old.shape(), name)
			require.LessOrEqual(t, old.Hit+old.Read, young.Hit+young.Read, name)
			require.Less(t, old.Hit+old.Read, 400, "%s reads about a page of rows, not the table", name)
		}
	}
}
