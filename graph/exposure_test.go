package graph_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func script(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	_, err := conn.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

// crowd fills an organization past every page, by hand: 12 clusters of 120 paths
// each, 12 exposures on every path, a workload, an identity and a resource of its
// own for each of 120 paths.
func (b *bench) crowd(t testing.TB, slug string) {
	t.Helper()
	b.sync(t, slug, record.Entity{Ref: ref(record.Workload, "nothing")}) // the organization and its clock
	super := b.Super(t)
	organization := id.Organization(slug)
	script(t, super, `
		INSERT INTO entity (organization_id, id, kind, system, external_id, name, status, class, sensitivity, ownership_status, egress_category, version, from_at, first_seen_at)
		SELECT $1, md5(k || n)::uuid, k, 'shop', k || n, k || n, 'active', 0, 4, 'orphaned', 'llm', 1, $2, $2
		FROM unnest(ARRAY['workload', 'identity', 'resource']) k, generate_series(1, 120) n`, organization, epoch)
	script(t, super, `
		INSERT INTO authority_path (organization_id, id, lineage_id, workload_id, identity_id, resource_id, status, effective, role_ids, actions, auth_chain_depth,
			composition_hash, class, data_domain, sensitivity, ownership_status, egress_category, version, from_at, sync_version, first_seen_at,
			open_mask, acknowledged_mask, accepted_mask, active_exposure_count, max_exposure_severity)
		SELECT $1, md5('path' || c || ',' || n)::uuid, md5('line' || c || ',' || n)::uuid, md5('workload' || n)::uuid, md5('identity' || n)::uuid, md5('resource' || n)::uuid,
			'active', true, '{}', '{get}', 0, sha256(convert_to(c || ',' || n, 'UTF8')), 0, 'finance', 1 + n % 4, 'orphaned', 'llm', 1, $2, 1, $2, 4095, 4095, 4095, 12, 4
		FROM generate_series(1, 12) c, generate_series(1, 120) n`, organization, epoch)
	script(t, super, `
		INSERT INTO exposure (organization_id, path_id, type, ordinal, workload_id, class, severity, factors, explanation, evidence_digest, effective_from, effective_basis,
			lineage_from, version, version_from, from_at)
		SELECT p.organization_id, p.id, x, 1, p.workload_id, 0, 1 + x % 4, 4, 'exposure ' || x, md5(x::text)::uuid, $2, 'detected', $2, 1, $2, $2
		FROM authority_path p, generate_series(1, 12) x WHERE p.organization_id = $1`, organization, epoch)
	script(t, super, `DELETE FROM cluster_definition WHERE organization_id = $1`, organization)
	for _, d := range posture.Definitions {
		script(t, super, `INSERT INTO cluster_definition (organization_id, cluster, version, from_at, key, grain, severity, all_mask, any_mask) VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8)`,
			organization, d.Cluster, epoch, d.Key, string(d.Grain), d.Severity, d.AllMask(), d.AnyMask())
	}
	script(t, super, `
		INSERT INTO cluster_member (organization_id, cluster, path_id, from_at, version, level, class, first_seen, exposed_since, rank, sensitivity, evidence, executed,
			workload_id, identity_id, resource_id, ownership_status)
		SELECT $1, c, p.id, $2::timestamptz, 1, 1, 0, $2::timestamptz::date, $2::timestamptz::date, 32 + n % 4, p.sensitivity, 0, true, p.workload_id, p.identity_id, p.resource_id, 'orphaned'
		FROM generate_series(1, 12) c CROSS JOIN generate_series(1, 120) n
		JOIN authority_path p ON p.organization_id = $1 AND p.id = md5('path' || c || ',' || n)::uuid`, organization, epoch)
	for _, part := range []string{"workload", "identity"} {
		script(t, super, `INSERT INTO cluster_`+part+` (organization_id, cluster, level, class, `+part+`_id, members)
			SELECT $1, c, 1, 0, md5('`+part+`' || n)::uuid, 1 FROM generate_series(1, 12) c, generate_series(1, 120) n`, organization)
	}
	script(t, super, `INSERT INTO cluster_counter SELECT $1, c, l, -1, 120, 120, 120, 7, 3, 2, 0, 0, 0, 0, 120, 0, 0, 30, 30, 30, 30, $2 FROM generate_series(1, 12) c, generate_series(1, 3) l`,
		organization, epoch)
	script(t, super, `INSERT INTO cluster_tally SELECT $1, c, l, -1, d, v, 5 FROM generate_series(1, 12) c, generate_series(1, 3) l,
		(VALUES ('sensitive_domain', 'finance'), ('first_seen', '2026-02-20'), ('first_seen', '2025-12-01'), ('exposed_since', '2026-02-09')) AS x(d, v)`, organization)
	script(t, super, `ANALYZE`)
}

const firstLook = `query Triage($clusters: Int!, $paths: Int!, $exposures: Int!) {
  organization(slug: "acme") {
    riskClusters(first: $clusters) {
      nodes {
        id key label priority urgency verdict pathCount identityCount workloadCount sensitiveDomains oldestFindingDays newPaths30d
        authorityPaths(first: $paths) {
          totalCount
          nodes {
            id sensitivity
            workload { id name }
            identity { id name }
            destination { id name }
            exposures(first: $exposures) {
              nodes { id type severity status explanation effectiveFrom durationDays lastEvaluatedAt }
            }
          }
          pageInfo { hasNextPage endCursor }
        }
      }
    }
  }
}`

// The view of clusters, their paths and the exposures of these costs the same
// number of statements at any size, and is within the limits.
func TestTriageInConstantStatements(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond) // what a loader would batch by waiting comes apart
	b.crowd(t, "acme")
	b.crowd(t, "rival")
	sent := map[int][]string{}
	for _, paths := range []int{20, 100} {
		b.Statements.Reset()
		a := b.query(t, viewer, firstLook, map[string]any{"clusters": 12, "paths": paths, "exposures": 10})
		require.Empty(t, a.Errors)
		clusters := at[[]any](t, a.Data, "organization", "riskClusters", "nodes")
		require.Len(t, clusters, 12)
		for i := range clusters {
			require.Equal(t, 120.0, at[float64](t, clusters, i, "authorityPaths", "totalCount"))
			require.Len(t, at[[]any](t, clusters, i, "authorityPaths", "nodes"), paths)
			for n := range paths {
				path := at[map[string]any](t, clusters, i, "authorityPaths", "nodes", n)
				require.Len(t, at[[]any](t, path, "exposures", "nodes"), 10)
				require.NotEmpty(t, at[string](t, path, "workload", "name"))
				require.NotEmpty(t, at[string](t, path, "identity", "name"))
				require.NotEmpty(t, at[string](t, path, "destination", "name"))
			}
		}
		sent[paths] = b.Statements.Sent()
	}
	require.ElementsMatch(t, sent[20], sent[100])
	require.LessOrEqual(t, len(sent[100]), 8, sent[100])
}

func TestOverviewInThreeStatements(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	b.crowd(t, "acme")
	b.Statements.Reset()
	a := b.query(t, viewer, `{ organization(slug: "acme") { riskClusters { totalCount nodes {
		id key label description severity priority urgency verdict grain level findingTypes exposureTypes pathCount identityCount workloadCount totalExecution30d
		acknowledgedPathCount acceptedPathCount ownershipBreakdown { valid degraded ambiguous orphaned unknown }
		sensitivityBreakdown { unknown public internal confidential restricted } sensitiveDomains oldestFindingDays newPaths30d } } } }`, nil)
	require.Empty(t, a.Errors)
	require.Len(t, b.Statements.Sent(), 3, b.Statements.Sent())
	require.Equal(t, map[string]any{
		"id": at[string](t, a.Data, "organization", "riskClusters", "nodes", 0, "id"), "key": "orphaned-sensitive", "label": "Unowned Sensitive Access",
		"description": "Paths to sensitive data of workloads that nobody active owns.", "severity": "CRITICAL", "priority": "P0", "urgency": "CRITICAL",
		"verdict": "120 identities accessed sensitive systems 7 times in 30 days; none has an owner.", "grain": "PATH", "level": "ACKNOWLEDGED",
		"findingTypes": []any{"ORPHANED_OWNERSHIP", "REACHABLE_SENSITIVE_DOMAIN"}, "exposureTypes": []any{"ORPHANED_PATH", "SENSITIVE_REACH"},
		"pathCount": 120.0, "identityCount": 120.0, "workloadCount": 120.0, "totalExecution30d": 7.0, "acknowledgedPathCount": 0.0, "acceptedPathCount": 0.0,
		"ownershipBreakdown":   map[string]any{"valid": 0.0, "degraded": 0.0, "ambiguous": 0.0, "orphaned": 120.0, "unknown": 0.0},
		"sensitivityBreakdown": map[string]any{"unknown": 0.0, "public": 30.0, "internal": 30.0, "confidential": 30.0, "restricted": 30.0},
		"sensitiveDomains":     []any{"finance"}, "oldestFindingDays": 20.0, "newPaths30d": 5.0,
	}, at[map[string]any](t, a.Data, "organization", "riskClusters", "nodes", 0))
	var order []string
	for _, node := range at[[]any](t, a.Data, "organization", "riskClusters", "nodes") {
		priority := "without paths"
		if at[map[string]any](t, node)["priority"] != nil {
			priority = at[string](t, node, "priority")
		}
		order = append(order, priority+" "+at[string](t, node, "key"))
	}
	require.True(t, slices.IsSorted(order), order)
	require.Equal(t, "without paths internet-facing-sensitive", order[len(order)-1], "nobody scans here")
}

// Aliases with arguments of their own, both spellings of a page, clusters of a
// path and what stands beside them are read ahead, too.
func TestNestedListsOfClusters(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	b.crowd(t, "acme")
	b.Statements.Reset()
	a := b.query(t, viewer, `{ organization(slug: "acme") { riskClusters(first: 3) { edges { node {
		gravest: authorityPaths(first: 2) { nodes { ...beside } }
		restricted: authorityPaths(first: 3, filter: {sensitivity: [RESTRICTED], cluster: ["orphaned_sensitive", "llm-egress"]}, orderBy: {field: SENSITIVITY, direction: ASC}) {
			totalCount edges { node { sensitivity ...beside } } }
		workloads(first: 4) { totalCount nodes { name } pageInfo { hasNextPage } }
		identities(first: 4) { nodes { name } }
	} } } } }
	fragment beside on AuthorityPath {
		currentState { activeExposureCount maxExposureSeverity }
		primaryCluster { key } riskClusters { key authorityPaths(first: 1) { nodes { id } } }
		exposures(first: 1, filter: {type: [LLM_EGRESS]}) { totalCount nodes { path { id destination { name } } evidence { viaRoles sensitivity } explain { settingsVersion windowAt } versions { nodes { version } } } }
	}`, nil)
	require.Empty(t, a.Errors)
	nodes := at[[]any](t, a.Data, "organization", "riskClusters", "edges")
	require.Len(t, nodes, 3)
	require.Equal(t, map[string]any{"activeExposureCount": 12.0, "maxExposureSeverity": "CRITICAL"}, at[map[string]any](t, nodes, 0, "node", "gravest", "nodes", 0, "currentState"))
	require.Equal(t, "orphaned-sensitive", at[string](t, nodes, 0, "node", "gravest", "nodes", 0, "primaryCluster", "key"))
	require.Equal(t, 1.0, at[float64](t, nodes, 0, "node", "gravest", "nodes", 0, "exposures", "totalCount"))
	require.Equal(t, 30.0, at[float64](t, nodes, 0, "node", "restricted", "totalCount"))
	require.Zero(t, at[float64](t, nodes, 1, "node", "restricted", "totalCount"), "no path of this cluster is in those that the filter names")
	require.Equal(t, 120.0, at[float64](t, nodes, 0, "node", "workloads", "totalCount"))
	require.Len(t, at[[]any](t, nodes, 2, "node", "identities", "nodes"), 4)
	counts := map[string]int{}
	for _, name := range b.Statements.Sent() {
		counts[name]++
	}
	for name, count := range counts {
		// Two selections of one field: two aliases, or the lists of two of them.
		require.LessOrEqual(t, count, 3, "%s: %v", name, b.Statements.Sent())
	}
	require.LessOrEqual(t, len(b.Statements.Sent()), 24, b.Statements.Sent())
}

func TestListsUnderEntitiesAreReadAhead(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	b.crowd(t, "acme")
	for _, kind := range []string{"workloads", "identities", "resources"} {
		b.Statements.Reset()
		a := b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { %s(first: 50, filter: {sourceSystem: ["shop"]}) { nodes { authorityPaths(first: 5) { totalCount nodes { workload { name } exposures(first: 3) { nodes { type } } } } } } } }`, kind), nil)
		require.Empty(t, a.Errors)
		require.Equal(t, 12.0, at[float64](t, a.Data, "organization", kind, "nodes", 0, "authorityPaths", "totalCount"))
		require.Len(t, b.Statements.Sent(), 6, b.Statements.Sent())
	}
}

// shop is a workload with an identity that reaches a restricted ledger; who owns
// it is said or left out.
func shop(identity string, owners ...string) []record.Fact {
	facts := []record.Fact{
		record.Entity{Ref: ref(record.Workload, "shop"), Name: "Shop"}, record.Entity{Ref: ref(record.Identity, identity)},
		record.Entity{Ref: ref(record.Role, "view")}, record.Entity{Ref: ref(record.Resource, "ledger"), Sensitivity: "restricted", DataDomain: "finance"},
		record.Edge{Kind: record.RunsAs, From: ref(record.Workload, "shop"), To: ref(record.Identity, identity)},
		has(identity, "view"), grant("view", "ledger", "get"),
		record.Coverage{Kind: record.Ownership},
	}
	for _, owner := range owners {
		facts = append(facts, record.Entity{Ref: ref(record.Owner, owner), OwnerType: record.Individual},
			record.Edge{Kind: record.OwnedBy, From: ref(record.Workload, "shop"), To: ref(record.Owner, owner)})
	}
	return facts
}

// An exposure that opens, resolves and opens again keeps its history, and what
// people say of it is in its versions.
func TestExposureTimeline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	step := func(facts []record.Fact) { b.sync(t, "acme", facts...); b.clock.Add(int64(24 * time.Hour)) }
	step(shop("sa"))
	step(shop("sa", "ada"))
	step(shop("sa"))
	super := b.Super(t)
	script(t, super, `INSERT INTO exposure_version (organization_id, path_id, type, ordinal, version, from_at, to_at, class, severity, factors, explanation, evidence_digest, disposition)
		SELECT organization_id, path_id, type, ordinal, version, version_from, version_from + interval '1 hour', class, 3, 4, 'as it was', evidence_digest, disposition
		FROM exposure WHERE type = 1 AND ordinal = 2`)
	script(t, super, `UPDATE exposure SET version = version + 1, version_from = version_from + interval '1 hour', disposition = 2 WHERE type = 1 AND ordinal = 2`)

	a := b.query(t, viewer, `{ organization(slug: "acme") { authorityPaths(first: 1) { nodes { id
		exposures(first: 3, includeResolved: true, filter: {type: [ORPHANED_PATH]}, orderBy: {field: DETECTED_AT, direction: ASC}) { totalCount nodes {
			id type findingType severity factors status disposition ordinal effectiveFrom effectiveFromBasis lineageEffectiveFrom detectedAt lastEvaluatedAt
			indeterminateSince resolvedAt resolutionReason durationDays evidenceDigest workload { name } path { id }
			evidence { completeness { kind coverage } owners { name type active owner { sourceId } } hosts actions viaRoles sensitivity dataDomain }
			explain { rule ruleVersion settingsVersion severity factors text windowAt }
			versions { totalCount nodes { version severity status disposition explanation effectiveFrom effectiveTo } } predecessor { id } successor { id } } }
		active: exposures(filter: {type: [ORPHANED_PATH]}) { nodes { ordinal status } } } } } }`, nil)
	require.Empty(t, a.Errors)
	path := at[map[string]any](t, a.Data, "organization", "authorityPaths", "nodes", 0)
	require.Equal(t, 2.0, at[float64](t, path, "exposures", "totalCount"))
	first, second := at[map[string]any](t, path, "exposures", "nodes", 0), at[map[string]any](t, path, "exposures", "nodes", 1)

	require.Equal(t, "RESOLVED", first["status"])
	require.Equal(t, "OWNER_ASSIGNED", first["resolutionReason"])
	require.Equal(t, epoch.Format(time.RFC3339), first["detectedAt"])
	require.Equal(t, epoch.Add(24*time.Hour).Format(time.RFC3339), first["resolvedAt"])
	require.Equal(t, first["resolvedAt"], first["lastEvaluatedAt"])
	require.Equal(t, 1.0, first["durationDays"])
	require.Equal(t, "ORPHANED_OWNERSHIP", first["findingType"])
	require.Equal(t, "CRITICAL", first["severity"])
	require.Equal(t, []any{"BASE_HIGH", "SENSITIVE"}, first["factors"])
	require.Nil(t, at[map[string]any](t, first, "explain")["windowAt"])
	require.Equal(t, "Shop", at[string](t, first, "workload", "name"))
	require.Equal(t, path["id"], at[string](t, first, "path", "id"))

	require.Equal(t, "ACKNOWLEDGED", second["status"])
	require.Equal(t, 2.0, second["ordinal"])
	require.Nil(t, second["resolvedAt"])
	require.Equal(t, epoch.Add(48*time.Hour).Format(time.RFC3339), second["detectedAt"])
	require.Equal(t, []any{map[string]any{"kind": "OWNERSHIP", "coverage": "COMPLETE"}}, at[[]any](t, second, "evidence", "completeness"))
	require.Equal(t, []any{"view"}, at[[]any](t, second, "evidence", "viaRoles"))
	require.Equal(t, []any{"get"}, at[[]any](t, second, "evidence", "actions"))
	require.Equal(t, "RESTRICTED", at[string](t, second, "evidence", "sensitivity"))
	require.Equal(t, 1.0, at[float64](t, second, "explain", "ruleVersion"))
	require.Zero(t, at[float64](t, second, "explain", "settingsVersion"))
	require.NotEmpty(t, at[string](t, second, "explain", "windowAt"))
	versions := at[[]any](t, second, "versions", "nodes")
	require.Len(t, versions, 2)
	require.Equal(t, "ACKNOWLEDGED", at[string](t, versions, 0, "status"))
	require.Nil(t, at[map[string]any](t, versions, 0)["effectiveTo"])
	require.Equal(t, "ACTIVE", at[string](t, versions, 1, "status"))
	require.Equal(t, "as it was", at[string](t, versions, 1, "explanation"))
	require.Equal(t, at[string](t, versions, 0, "effectiveFrom"), at[string](t, versions, 1, "effectiveTo"))
	require.Equal(t, []any{map[string]any{"ordinal": 2.0, "status": "ACKNOWLEDGED"}}, at[[]any](t, path, "active", "nodes"))

	page := b.query(t, viewer, `query($id: ID!) { node(id: $id) { ... on Exposure { versions(first: 1) { nodes { version } pageInfo { endCursor hasNextPage } } } } }`, map[string]any{"id": second["id"]})
	require.True(t, at[bool](t, page.Data, "node", "versions", "pageInfo", "hasNextPage"))
	next := b.query(t, viewer, `query($id: ID!, $after: String) { node(id: $id) { ... on Exposure { versions(first: 1, after: $after) { nodes { version } pageInfo { hasNextPage } } } } }`,
		map[string]any{"id": second["id"], "after": at[string](t, page.Data, "node", "versions", "pageInfo", "endCursor")})
	require.Equal(t, 1.0, at[float64](t, next.Data, "node", "versions", "nodes", 0, "version"))
	strange := b.query(t, viewer, `query($id: ID!, $after: String) { node(id: $id) { ... on Exposure { versions(first: 1, after: $after) { nodes { version } } } } }`,
		map[string]any{"id": first["id"], "after": at[string](t, page.Data, "node", "versions", "pageInfo", "endCursor")})
	require.Equal(t, "CURSOR_OF_ANOTHER_LIST", strange.code())
}

// What a rule found of the owners is told with the owners themselves.
func TestEvidenceOfOwners(t *testing.T) {
	t.Parallel()
	b := setup(t)
	facts := shop("sa", "ada")
	for i, fact := range facts {
		if e, ok := fact.(record.Entity); ok && e.Kind == record.Owner {
			e.Status = record.Disabled
			facts[i] = e
		}
	}
	b.sync(t, "acme", facts...)
	a := b.query(t, viewer, `{ organization(slug: "acme") { exposures(filter: {type: [ORPHANED_PATH]}) { nodes { evidence { owners { name type active owner { sourceId status } } } } } } }`, nil)
	require.Empty(t, a.Errors)
	require.Equal(t, []any{map[string]any{"name": "ada", "type": "INDIVIDUAL", "active": false, "owner": map[string]any{"sourceId": "ada", "status": "DISABLED"}}},
		at[[]any](t, a.Data, "organization", "exposures", "nodes", 0, "evidence", "owners"))
}

// When the workload rotates its identity, the exposures of the old path hand over
// to those of the new one.
func TestRotationLinksExposures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", shop("old")...)
	b.clock.Add(int64(time.Hour))
	b.sync(t, "acme", shop("new")...)
	a := b.query(t, viewer, `{ organization(slug: "acme") { exposures(filter: {type: [SENSITIVE_REACH], status: [ACTIVE, RESOLVED]}, orderBy: {field: DETECTED_AT, direction: ASC}) { nodes {
		status resolutionReason lineageEffectiveFrom path { identity { sourceId } } predecessor { path { identity { sourceId } } } successor { path { identity { sourceId } } } } } } }`, nil)
	require.Empty(t, a.Errors)
	old, now := at[map[string]any](t, a.Data, "organization", "exposures", "nodes", 0), at[map[string]any](t, a.Data, "organization", "exposures", "nodes", 1)
	require.Equal(t, "ROTATED_TO_SUCCESSOR", old["resolutionReason"])
	require.Nil(t, old["predecessor"])
	require.Equal(t, "new", at[string](t, old, "successor", "path", "identity", "sourceId"))
	require.Equal(t, "old", at[string](t, now, "predecessor", "path", "identity", "sourceId"))
	require.Nil(t, now["successor"])
	require.Equal(t, old["lineageEffectiveFrom"], now["lineageEffectiveFrom"])
}

// Exposures and clusters of another organization answer as those that do not
// exist.
func TestExposuresOfAnotherOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", shop("sa")...)
	b.sync(t, "rival", shop("sa")...)
	collect := func(slug string) map[string]string {
		a := b.query(t, root, `query($slug: String!) { organization(slug: $slug) { exposures(first: 1) { nodes { id path { id } workload { id } } pageInfo { endCursor } } riskClusters(first: 1) { nodes { id } pageInfo { endCursor } } } }`,
			map[string]any{"slug": slug})
		require.Empty(t, a.Errors)
		x := at[map[string]any](t, a.Data, "organization", "exposures", "nodes", 0)
		return map[string]string{
			"Exposure": at[string](t, x, "id"), "RiskCluster": at[string](t, a.Data, "organization", "riskClusters", "nodes", 0, "id"),
			"path": at[string](t, x, "path", "id"), "workload": at[string](t, x, "workload", "id"),
			"exposure cursor": at[string](t, a.Data, "organization", "exposures", "pageInfo", "endCursor"),
			"cluster cursor":  at[string](t, a.Data, "organization", "riskClusters", "pageInfo", "endCursor"),
		}
	}
	own, foreign := collect("acme"), collect("rival")
	for _, kind := range []string{"Exposure", "RiskCluster"} {
		a := b.query(t, viewer, `query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }`, map[string]any{"ids": []string{own[kind], foreign[kind], "bm90aGluZw"}})
		require.Empty(t, a.Errors)
		require.Equal(t, []any{map[string]any{"__typename": kind, "id": own[kind]}, nil, nil}, a.Data["nodes"])
	}
	a := b.query(t, viewer, `query($id: ID!, $path: ID!, $workload: ID!) { organization(slug: "acme") { exposure(id: $id) { id }
		ofPath: exposures(filter: {path: [$path]}) { totalCount } ofWorkload: exposures(filter: {workload: [$workload]}) { totalCount } } }`,
		map[string]any{"id": foreign["Exposure"], "path": foreign["path"], "workload": foreign["workload"]})
	require.Empty(t, a.Errors)
	require.Equal(t, map[string]any{"exposure": nil, "ofPath": map[string]any{"totalCount": 0.0}, "ofWorkload": map[string]any{"totalCount": 0.0}}, a.Data["organization"])
	found := b.query(t, viewer, `query($id: ID!) { organization(slug: "acme") { exposure(id: $id) { id } } }`, map[string]any{"id": own["Exposure"]})
	require.Equal(t, own["Exposure"], at[string](t, found.Data, "organization", "exposure", "id"))

	for list, cursor := range map[string]string{"exposures": foreign["exposure cursor"], "riskClusters": foreign["cluster cursor"]} {
		a := b.query(t, viewer, fmt.Sprintf(`query($after: String) { organization(slug: "acme") { %s(after: $after) { nodes { id } } } }`, list), map[string]any{"after": cursor})
		require.Equal(t, "CURSOR_OF_ANOTHER_LIST", a.code(), list)
	}
}

func TestBadArgumentsOfExposuresAndClusters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.crowd(t, "acme")
	cursorOf := func(list, arguments string) string {
		a := b.query(t, root, fmt.Sprintf(`{ organization(slug: "acme") { %s(%s) { pageInfo { endCursor } } } }`, list, arguments), nil)
		require.Empty(t, a.Errors)
		return at[string](t, a.Data, "organization", list, "pageInfo", "endCursor")
	}
	for name, test := range map[string]struct{ list, code string }{
		"first zero":             {`exposures(first: 0)`, "PAGE_SIZE"},
		"both ends":              {`riskClusters(first: 1, last: 1)`, "PAGE_BOTH_ENDS"},
		"clusters, first beyond": {`riskClusters(first: 101)`, "PAGE_SIZE"},
		"no cursor":              {`exposures(after: "x")`, "CURSOR_INVALID"},
		"cursor of a sort":       {fmt.Sprintf(`exposures(after: %q, orderBy: {field: DETECTED_AT, direction: ASC})`, cursorOf("exposures", "first: 1")), "CURSOR_OF_ANOTHER_LIST"},
		"cursor of a direction":  {fmt.Sprintf(`exposures(after: %q, orderBy: {field: SEVERITY, direction: ASC})`, cursorOf("exposures", "first: 1")), "CURSOR_OF_ANOTHER_LIST"},
		"cursor of a filter":     {fmt.Sprintf(`exposures(after: %q, filter: {severity: [HIGH]})`, cursorOf("exposures", "first: 1")), "CURSOR_OF_ANOTHER_LIST"},
		"cursor of a level":      {fmt.Sprintf(`riskClusters(after: %q, level: OPEN)`, cursorOf("riskClusters", "first: 1")), "CURSOR_OF_ANOTHER_LIST"},
		"cursor of paths":        {fmt.Sprintf(`exposures(after: %q)`, cursorOf("authorityPaths", "first: 1")), "CURSOR_OF_ANOTHER_LIST"},
		"order without status":   {`exposures(orderBy: {field: RESOLVED_AT, direction: DESC})`, "ORDER_NEEDS_STATUS"},
		"order of two statuses":  {`exposures(filter: {status: [RESOLVED, ACTIVE]}, orderBy: {field: RESOLVED_AT, direction: DESC})`, "ORDER_NEEDS_STATUS"},
		"unknown cluster":        {`exposures(filter: {cluster: ["nothing"]})`, "UNKNOWN_CLUSTER"},
		"unknown key":            {`riskClusters(filter: {key: ["nothing"]})`, "UNKNOWN_CLUSTER"},
		"unknown enum":           {`exposures(filter: {severity: [HUGE]})`, "GRAPHQL_VALIDATION_FAILED"},
		"an instant":             {`exposures(filter: {detectedAfter: "yesterday"})`, "BAD_USER_INPUT"},
		"paths, unknown cluster": {`authorityPaths(filter: {cluster: ["nothing"]})`, "UNKNOWN_CLUSTER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { %s { nodes { id } } } }`, test.list), nil)
			require.NotEmpty(t, a.Errors)
			require.Equal(t, test.code, a.code(), a.Errors[0].Message)
		})
	}
	// What is wrong with a nested list is said once for each of them, and by it.
	for arguments, code := range map[string]string{
		`first: 0`: "PAGE_SIZE", `after: "x"`: "CURSOR_INVALID", `filter: {cluster: ["nothing"]}`: "UNKNOWN_CLUSTER", `filter: {firstSeenAfter: "yesterday"}`: "BAD_USER_INPUT",
	} {
		a := b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { riskClusters(first: 2) { nodes { key authorityPaths(%s) { nodes { id } } } } } }`, arguments), nil)
		require.Equal(t, code, a.code())
		require.LessOrEqual(t, len(a.Errors), 2)
	}
	a := b.query(t, viewer, `{ organization(slug: "acme") { none: riskCluster(key: "nothing") { key } alias: riskCluster(key: "dormant_external", level: ACCEPTED) { key level }
		riskClusters(filter: {priority: [P0], severity: [CRITICAL], key: ["unbound_sensitive", "orphaned-sensitive"], nonEmpty: true}) { totalCount nodes { key } } } }`, nil)
	require.Empty(t, a.Errors)
	require.Equal(t, map[string]any{"none": nil, "alias": map[string]any{"key": "dormant-external", "level": "ACCEPTED"},
		"riskClusters": map[string]any{"totalCount": 2.0, "nodes": []any{map[string]any{"key": "orphaned-sensitive"}, map[string]any{"key": "unbound-sensitive"}}}}, a.Data["organization"])
}

// Pages of every list are whole and disjoint, whichever end they are read from.
func TestPagesOfExposuresAndClusters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.crowd(t, "acme")
	script(t, b.Super(t), `UPDATE exposure SET to_at = from_at + n * interval '1 minute', resolution_reason = 'manual'
		FROM (SELECT path_id AS p, row_number() OVER (ORDER BY path_id) % 5 + 1 AS n FROM exposure WHERE type = 3) o WHERE type = 3 AND path_id = p`)
	for _, test := range []struct {
		list, arguments, id string
		size, want          int
	}{
		{"exposures", `filter: {type: [LLM_EGRESS]}`, "id", 100, 1440},
		{"exposures", `filter: {severity: [CRITICAL], type: [UNBOUND_PATH, SENSITIVE_REACH]}, orderBy: {field: DETECTED_AT, direction: ASC}`, "id", 100, 1440},
		{"exposures", `filter: {status: [RESOLVED]}, orderBy: {field: RESOLVED_AT, direction: DESC}`, "id", 100, 1440},
		{"exposures", `filter: {status: [RESOLVED, ACTIVE], type: [AMBIGUOUS_OWNERSHIP]}, orderBy: {field: SEVERITY, direction: ASC}`, "id", 100, 1440},
		{"riskClusters", ``, "key", 5, 13},
	} {
		if test.id == "id" && strings.Contains(test.arguments, "UNBOUND_PATH") {
			test.want = 1440 // 7 % 4 and 6 % 4: only UNBOUND_PATH is critical
		}
		read := func(backward bool) (all []string) {
			for cursor := ""; ; {
				arguments := fmt.Sprintf("first: %d %s", test.size, test.arguments)
				if backward {
					arguments = fmt.Sprintf("last: %d %s", test.size, test.arguments)
				}
				a := b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { %s(%s%s) { nodes { %s } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`,
					test.list, arguments, cursor, test.id), nil)
				require.Empty(t, a.Errors)
				info := at[map[string]any](t, a.Data, "organization", test.list, "pageInfo")
				var ids []string
				for _, node := range at[[]any](t, a.Data, "organization", test.list, "nodes") {
					ids = append(ids, at[string](t, node, test.id))
				}
				if backward {
					all, cursor = append(ids, all...), fmt.Sprintf(", before: %q", info["startCursor"])
				} else {
					all, cursor = append(all, ids...), fmt.Sprintf(", after: %q", info["endCursor"])
				}
				if backward && info["hasPreviousPage"] == false || !backward && info["hasNextPage"] == false {
					return all
				}
			}
		}
		forward := read(false)
		require.Len(t, forward, test.want, test.arguments)
		require.Equal(t, forward, read(true), test.arguments)
		slices.Sort(forward)
		require.Len(t, slices.Compact(forward), test.want, test.arguments)
	}

	// The lists below a cluster.
	for _, field := range []string{
		`authorityPaths(first: 50%s)`, `authorityPaths(first: 50%s, orderBy: {field: FIRST_SEEN, direction: DESC})`, `workloads(first: 50%s)`, `identities(first: 50%s)`,
	} {
		var all []string
		for cursor := ""; ; {
			a := b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { riskCluster(key: "llm-egress") { list: %s { totalCount nodes { id } pageInfo { hasNextPage endCursor } } } } }`, fmt.Sprintf(field, cursor)), nil)
			require.Empty(t, a.Errors)
			list := at[map[string]any](t, a.Data, "organization", "riskCluster", "list")
			require.Equal(t, 120.0, list["totalCount"])
			for _, node := range at[[]any](t, list, "nodes") {
				all = append(all, at[string](t, node, "id"))
			}
			if !at[bool](t, list, "pageInfo", "hasNextPage") {
				break
			}
			cursor = fmt.Sprintf(", after: %q", at[string](t, list, "pageInfo", "endCursor"))
		}
		slices.Sort(all)
		require.Len(t, slices.Compact(all), 120, field)
	}
}

func TestPathsByTheirExposures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme", append(shop("sa"), record.Entity{Ref: ref(record.Resource, "notes"), Sensitivity: "public"}, grant("view", "notes", "get"))...)
	for filter, want := range map[string]float64{
		`{exposureType: [SENSITIVE_REACH]}`: 1, `{exposureType: [ORPHANED_PATH]}`: 2, `{exposureType: [SENSITIVE_REACH, ORPHANED_PATH]}`: 2, `{exposureType: [SHARED_IDENTITY]}`: 0,
		`{maxExposureSeverity: [CRITICAL]}`: 1, `{maxExposureSeverity: [HIGH]}`: 1, `{maxExposureSeverity: [LOW, HIGH, CRITICAL]}`: 2,
		`{cluster: ["orphaned-sensitive"]}`: 1, `{cluster: ["llm-egress"]}`: 0, `{cluster: ["llm-egress", "orphaned_sensitive"]}`: 1,
	} {
		a := b.query(t, viewer, fmt.Sprintf(`{ organization(slug: "acme") { authorityPaths(filter: %s) { totalCount nodes { id } } } }`, filter), nil)
		require.Empty(t, a.Errors)
		require.Equal(t, want, at[float64](t, a.Data, "organization", "authorityPaths", "totalCount"), filter)
		require.Len(t, at[[]any](t, a.Data, "organization", "authorityPaths", "nodes"), int(want), filter)
	}
}

// Every word of the domain has its value in the schema, and no other.
func TestEnumsCoverTheirDomain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	values := func(name string) (list []string) {
		a := b.query(t, viewer, fmt.Sprintf(`{ __type(name: %q) { enumValues { name } } }`, name), nil)
		for _, value := range at[[]any](t, a.Data, "__type", "enumValues") {
			list = append(list, at[string](t, value, "name"))
		}
		return list
	}
	var findings []string
	for _, d := range rule.Definitions {
		findings = append(findings, strings.ToUpper(d.Key))
	}
	require.Equal(t, findings, values("FindingType"))
	require.Len(t, values("ExposureType"), len(rule.Definitions))
	var factors []string
	for _, factor := range rule.Factors(0x7fffffff).List() {
		factors = append(factors, strings.ToUpper(string(factor)))
	}
	require.Equal(t, factors, values("SeverityFactor"))
}
