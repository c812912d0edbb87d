package benchmark

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/graph/limit"
	"github.com/exposuregraph/exposuregraph/graph/live"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/server"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// warmUp is how many requests go before those that count.
const warmUp = 30

// Operation is one measured query.
type Operation struct {
	Name       string
	Rows       int // in the answer
	Bytes      int // of the answer
	Statements []string
	P50, P99   time.Duration // one connection
	Rate       float64       // requests per second on Options.Connections
	Limit      time.Duration // median of one statement for the same rows; 0: see Alone
	Database   time.Duration // median of the time that one request spends in its statements
	Alone      time.Duration // the sum of the medians of its statements, each sent again by itself
}

// query is an operation before it is measured.
type query struct {
	name      string
	document  string
	variables map[string]any
	rows      int // expected; -1: the world decides
	limit     string
	arguments []any
}

const scalars = `id lineageId status effective actions dataDomain sensitivity authChainDepth compositionHash firstSeenAt updatedAt syncVersion
	currentState { execution30d executionBasis ownershipStatus egressCategory maxSensitivity }`

const listDocument = `query List($first: Int!, $after: String, $filter: AuthorityPathFilter) { organization(slug: "` + organizationSlug + `") {
	authorityPaths(first: $first, after: $after, filter: $filter) { nodes { ` + scalars + ` } pageInfo { hasNextPage endCursor } } } }`

const nestedDocument = `query Nested($first: Int!) { organization(slug: "` + organizationSlug + `") { authorityPaths(first: $first) { nodes { ` + scalars + `
	sourceSystem lastSeenAt viaRoles
	workload { id name sourceId sourceSystem } identity { id name sourceId } destination { id name sourceId dataDomain }
	lineage { id firstSeenAt routes { id identity { sourceId } } }
	roles { id sourceId }
	versions(first: 5) { nodes { version effectiveFrom effectiveTo viaRoles actions } }
} pageInfo { hasNextPage endCursor } } } }`

const workloadsDocument = `query Workloads { organization(slug: "` + organizationSlug + `") { workloads(first: 20) { nodes {
	id sourceId name sourceSystem status environment ownershipStatus egressCategory
	authorityPaths(first: 5) { nodes { id sensitivity actions destination { sourceId } } } } } } }`

const clustersDocument = `query Clusters { organization(slug: "` + organizationSlug + `") { riskClusters { nodes {
	id key label severity priority urgency verdict findingTypes pathCount identityCount workloadCount totalExecution30d
	ownershipBreakdown { valid degraded ambiguous orphaned unknown } sensitivityBreakdown { unknown public internal confidential restricted }
	sensitiveDomains oldestFindingDays newPaths30d } } } }`

const clusterPathsDocument = `query ClusterPaths($first: Int!) { organization(slug: "` + organizationSlug + `") { riskClusters { nodes {
	key priority pathCount
	authorityPaths(first: $first) { nodes { id sensitivity
		currentState { execution30d ownershipStatus activeExposureCount maxExposureSeverity }
		workload { name } identity { name } destination { name }
		exposures(first: 10) { nodes { type severity explanation effectiveFrom } } } } } } } }`

const exposuresDocument = `query Exposures($first: Int!, $filter: ExposureFilter) { organization(slug: "` + organizationSlug + `") {
	exposures(first: $first, filter: $filter) { nodes { id type severity status explanation effectiveFrom } pageInfo { hasNextPage endCursor } } } }`

const overviewDocument = `query Overview { organization(slug: "` + organizationSlug + `") {
	posture { activePaths dormantPaths totalExecutions30d ownershipInvalidCount executedInvalidOwnershipCount
		identityCounts { activeAutonomous dormantAuthority } workloadCounts { autonomous operatorAssisted humanTriggered unclassified }
		delta { newPaths removedPaths newOrphaned newAutonomousIdentities ownershipInvalidations } lastRefresh }
	riskClusters { nodes { key label severity priority urgency verdict pathCount identityCount workloadCount totalExecution30d sensitiveDomains } }
	workloadExposures(first: 50) { nodes { id workload { id name sourceSystem } identities { id name sourceSystem } identityBinding pathCount findingCount
		findingTypes maxSeverity sensitiveDomainCount dataDomains executionCount30d lastExecutionAt ownershipStatus egressCategory executionMode lastEvaluatedAt
	} pageInfo { hasNextPage endCursor } } } }`

const rowsDocument = `query Rows($first: Int!, $filter: WorkloadExposureFilter) { organization(slug: "` + organizationSlug + `") {
	workloadExposures(first: $first, filter: $filter) { nodes { id pathCount findingCount findingTypes maxSeverity executionCount30d } pageInfo { hasNextPage } } } }`

const detailDocument = `query Detail($id: ID!) { organization(slug: "` + organizationSlug + `") { workloadExposure(id: $id) {
	id workload { id name sourceSystem sourceType environment } identities { id name sourceSystem } identityBinding findingCount findingTypes maxSeverity
	ownershipBreakdown { owners { id name type status role } effectiveStatus }
	workloadMetadata { sourceSystem sourceId artifactIdentifier createdAt lastSyncedAt }
	identityBindings { type protocol targetSystem identity { id name } }
	executionEvidenceSummary { totalDirectRecords totalRelatedRecords lastExecutionAt executionCount30d }
	pathSummary { totalPaths sensitivePaths dormantPaths totalExecution30d }
	authorityPaths(first: 20) { nodes { id sensitivity destination { name } identity { name } currentState { execution30d activeExposureCount maxExposureSeverity } } }
	exposures(first: 20) { nodes { type severity explanation effectiveFrom } } } } }`

const nodeDocument = `query Node($id: ID!) { node(id: $id) { ... on AuthorityPath { id lineageId status actions sensitivity workload { sourceId name } } } }`

const countDocument = `query Count { organization(slug: "` + organizationSlug + `") { authorityPaths(first: 1) { totalCount } } }`

// pagesDeep is how many pages of twenty lie before the deep page.
const pagesDeep = 50

// queries are what is measured. Cursors and ids come from the server itself.
func (c *client) queries(ctx context.Context, s *stand) ([]query, error) {
	var cursor *string
	var node string
	for range pagesDeep {
		page, err := c.page(ctx, map[string]any{"first": 20, "after": cursor})
		if err != nil {
			return nil, err
		}
		cursor, node = &page.PageInfo.EndCursor, page.Nodes[0].ID
	}
	var sensitivity int16
	var last, one id.ID
	if err := s.super.QueryRow(ctx, limits.Get("deep_cursor").SQL, s.organization).Scan(&sensitivity, &last); err != nil {
		return nil, fmt.Errorf("deep cursor: %w", err)
	}
	one = last
	var code string
	if err := s.super.QueryRow(ctx, limits.Get("gravest_workload").SQL, s.organization).Scan(&code); err != nil {
		return nil, fmt.Errorf("gravest workload: %w", err)
	}
	return append(steady(), []query{
		{fmt.Sprintf("list, page %d", pagesDeep+1), listDocument, map[string]any{"first": 20, "after": cursor}, 20,
			listLimit("AND (p.sensitivity, p.id) < ($2, $3)"), []any{sensitivity, last}},
		{"list, by domain and sensitivity", listDocument, filtered(map[string]any{"dataDomain": []string{"finance"}, "sensitivity": []string{"RESTRICTED"}}), 20,
			listLimit("AND p.data_domain = 'finance' AND p.sensitivity = 4"), nil},
		{"list, empty by domain and sensitivity", listDocument, filtered(map[string]any{"dataDomain": []string{"finance"}, "sensitivity": []string{"PUBLIC"}}), 0,
			listLimit("AND p.data_domain = 'finance' AND p.sensitivity = 1"), nil},
		{"list, empty by ownership and egress", listDocument, filtered(map[string]any{"ownershipStatus": []string{"ORPHANED"}, "egressCategory": []string{"LLM"}}), 0,
			listLimit("AND p.ownership_status = 'orphaned' AND p.egress_category = 'llm'"), nil},
		{"clusters × 100 paths × 10 exposures", clusterPathsDocument, map[string]any{"first": 100}, len(posture.Definitions), "", nil},
		{"exposures, critical of one cluster", exposuresDocument, filtered(map[string]any{"severity": []string{"CRITICAL"}, "cluster": []string{"orphaned-sensitive"}}), 20, "", nil},
		{"workloads of one cluster without owner, 20 gravest", rowsDocument,
			filtered(map[string]any{"cluster": []string{"orphaned-sensitive"}, "ownershipStatus": []string{"ORPHANED"}}), 20, "", nil},
		{"workloads, empty by cluster and ownership", rowsDocument,
			filtered(map[string]any{"cluster": []string{"orphaned-sensitive"}, "ownershipStatus": []string{"VALID"}}), 0, "", nil},
		{"workload in all detail", detailDocument, map[string]any{"id": code}, -1, "", nil},
		{"node by id", nodeDocument, map[string]any{"id": node}, -1, limits.Get("node").SQL, []any{one}},
	}...), nil
}

// steady are the queries that need nothing of the world that they are asked in: callers
// who see more or less are compared by them, and servers.
func steady() []query {
	clusters := len(posture.Definitions)
	return []query{
		{"list of 20", listDocument, map[string]any{"first": 20}, 20, listLimit(""), nil},
		{"nested, 20 paths", nestedDocument, map[string]any{"first": 20}, 20, limits.Get("nested").SQL, []any{20}},
		{"nested, 100 paths", nestedDocument, map[string]any{"first": 100}, 100, limits.Get("nested").SQL, []any{100}},
		{"20 workloads with 5 paths each", workloadsDocument, nil, 20, limits.Get("workloads").SQL, nil},
		{"clusters overview", clustersDocument, nil, clusters, "", nil},
		{"clusters × 20 paths × 10 exposures", clusterPathsDocument, map[string]any{"first": 20}, clusters, "", nil},
		{"exposures, 20 gravest", exposuresDocument, map[string]any{"first": 20}, 20, "", nil},
		{"overview: posture, clusters, 50 workloads", overviewDocument, nil, clusters + 50, "", nil},
		{"totalCount", countDocument, nil, -1, limits.Get("count").SQL, nil},
	}
}

func listLimit(where string) string { return limits.Get("list").With("where", where).SQL }

func filtered(fields map[string]any) map[string]any {
	return map[string]any{"first": 20, "filter": fields}
}

// client asks the whole server, over TCP on the loopback.
type client struct {
	http  http.Client
	url   string
	token string
	stop  func() error
}

// serve starts the server as `exposuregraph serve` does.
func (s *stand) serve(ctx context.Context, connections int) (*client, error) {
	return s.serveTo(ctx, connections, organizationSlug)
}

func (s *stand) serveTo(ctx context.Context, connections int, organization string) (*client, error) {
	token, err := s.token(ctx, organization, access.Attributes{})
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	web := server.New(server.Config{
		GraphQL: graph.NewHandler(graph.Config{DB: s.db, Organizations: &org.Store{}, Paths: s.paths, Triage: triage.New(s.db, s.paths, s.now), Log: log,
			Limits: limit.Limits{Budget: 1 << 50}, // one caller asks as much as it can
			Stream: s.stream, Streams: live.New(live.Config{Limits: live.Limits{Subject: 5_000}})}),
		GraphiQL: http.NotFoundHandler(),
		Importer: s.importer, Verifier: access.NewVerifier(access.Stored(s.db), s.now), Logger: log, Now: now, // its deadlines are of the real clock
	})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(ctx, listener) }()
	c := &client{url: "http://" + listener.Addr().String() + "/graphql", token: token}
	c.http.Transport = &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, DisableCompression: true}
	c.stop = func() error {
		c.http.CloseIdleConnections()
		cancel()
		return <-ended
	}
	return c, nil
}

// token is that of somebody who may read what the attributes let through.
func (s *stand) token(ctx context.Context, organization string, attributes access.Attributes) (string, error) {
	key, err := access.EnsureKey(ctx, s.postgres.OwnerURL(""), s.now())
	if err != nil {
		return "", err
	}
	return access.Issue(key, access.Actor{Subject: "bench", Role: access.Client, Organizations: []string{organization},
		Scopes: []access.Scope{access.View}, Attributes: attributes}, 24*time.Hour, s.now())
}

// post sends a request and gives the answer, which must be one without errors.
func (c *client) post(ctx context.Context, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(response.Body)
	err = errors.Join(err, response.Body.Close())
	if err == nil && (response.StatusCode != http.StatusOK || bytes.HasPrefix(answer, []byte(`{"errors"`))) {
		err = fmt.Errorf("status %d: %.500s", response.StatusCode, answer)
	}
	return answer, err
}

type pathPage struct {
	Nodes []struct {
		ID string
	}
	PageInfo struct{ EndCursor string }
}

func (c *client) page(ctx context.Context, variables map[string]any) (page pathPage, err error) {
	body, err := json.Marshal(map[string]any{"query": listDocument, "variables": variables})
	if err != nil {
		return page, err
	}
	answer, err := c.post(ctx, body)
	if err != nil {
		return page, err
	}
	var decoded struct {
		Data struct {
			Organization struct{ AuthorityPaths pathPage }
		}
	}
	err = json.Unmarshal(answer, &decoded)
	page = decoded.Data.Organization.AuthorityPaths
	if err == nil && len(page.Nodes) == 0 {
		err = fmt.Errorf("an empty page: %.500s", answer)
	}
	return page, err
}

// rowsOf counts the rows of the answer's lists; without any it is -1.
func rowsOf(answer []byte) (int, error) {
	var decoded struct {
		Data struct {
			Organization map[string]struct{ Nodes []json.RawMessage }
		}
	}
	if err := json.Unmarshal(answer, &decoded); err != nil {
		return 0, err
	}
	rows, lists := 0, 0
	for _, list := range decoded.Data.Organization {
		if list.Nodes != nil {
			rows, lists = rows+len(list.Nodes), lists+1
		}
	}
	if lists == 0 {
		return -1, nil
	}
	return rows, nil
}

// measure runs an operation alone, then on all connections, then its limit.
func (c *client) measure(ctx context.Context, s *stand, q query, options Options) (Operation, error) {
	result := Operation{Name: q.name}
	body, err := json.Marshal(map[string]any{"query": q.document, "variables": q.variables})
	if err != nil {
		return result, err
	}
	s.tracer.start()
	answer, err := c.post(ctx, body)
	for _, one := range s.tracer.stop() {
		result.Statements = append(result.Statements, one.Name)
	}
	if err != nil {
		return result, err
	}
	result.Bytes = len(answer)
	if result.Rows, err = rowsOf(answer); err != nil {
		return result, err
	}
	if result.Rows != q.rows {
		return result, fmt.Errorf("the answer has %d rows, not %d: %.300s", result.Rows, q.rows, answer)
	}

	took, inDatabase := make([]time.Duration, 0, options.Requests), make([]time.Duration, 0, options.Requests)
	var sent []statement
	for i := range warmUp + options.Requests {
		s.tracer.start()
		since := now()
		if _, err := c.post(ctx, body); err != nil {
			return result, err
		}
		elapsed := now().Sub(since)
		sent = s.tracer.stop()
		if i < warmUp {
			continue
		}
		var database time.Duration
		for _, one := range sent {
			database += one.Took
		}
		took, inDatabase = append(took, elapsed), append(inDatabase, database)
	}
	result.P50, result.P99, result.Database = percentile(took, 50), percentile(took, 99), percentile(inDatabase, 50)
	for _, one := range sent {
		alone, err := s.again(ctx, one, options.Requests)
		if err != nil {
			return result, err
		}
		result.Alone += alone
	}
	if result.Rate, err = c.rate(ctx, body, options); err != nil {
		return result, err
	}
	if q.limit != "" {
		result.Limit, err = s.limitOf(ctx, q.limit, options.Requests, q.arguments...)
	}
	return result, err
}

// rate sends a fixed number of requests over all connections.
func (c *client) rate(ctx context.Context, body []byte, options Options) (float64, error) {
	work := make(chan struct{})
	errs := make(chan error, options.Connections)
	var workers sync.WaitGroup
	since := now()
	for range options.Connections {
		workers.Go(func() {
			var failed error
			for range work { // drains the channel also after an error
				if failed == nil {
					_, failed = c.post(ctx, body)
				}
			}
			errs <- failed
		})
	}
	for range options.Load {
		work <- struct{}{}
	}
	close(work)
	workers.Wait()
	close(errs)
	var err error
	for one := range errs {
		err = errors.Join(err, one)
	}
	return float64(options.Load) / now().Sub(since).Seconds(), err
}

// percentile is the value below or at which so many in a hundred lie.
func percentile(took []time.Duration, percent int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[(len(sorted)*percent+99)/100-1]
}

// median is the one in the middle.
func median[T any](list []T, key func(T) time.Duration) T {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b T) int { return int(key(a) - key(b)) })
	return list[len(list)/2]
}
