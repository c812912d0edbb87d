The statements that read. A marker such as /* where */ is where the filter of a
list is put; without one the statement is valid as it stands. Statements that
read the same rows share their columns. Marks of time, such as /* at */, say what a
statement reads as of an instant: see db/past.go.

-- columns: path
p.organization_id, p.id, p.lineage_id, p.workload_id, p.identity_id, p.resource_id, p.first_seen_at, p.last_seen_at, p.removed_at,
p.active_exposure_count, p.max_exposure_severity, p.status, p.effective, p.role_ids, p.actions, p.auth_chain_depth, p.composition_hash, p.class, p.data_domain, p.sensitivity,
p.ownership_status, p.egress_category, p.execution_30d, p.execution_basis, p.version, p.from_at, p.sync_version

-- columns: entity
e.organization_id, e.id, e.kind, e.system, e.external_id, e.name, e.status, e.environment, e.owner_team, e.business_tier, e.execution_mode,
e.artifact_identifier, e.source_type, e.data_domain, e.data_domain_stated, e.sensitivity, e.sensitivity_stated, e.owner_type, e.title,
e.last_active_at, e.created_in_source_at, e.labels, e.class, e.ownership_status, e.egress_category, e.version, e.from_at, e.first_seen_at, e.removed_at

-- columns: source
s.organization_id, s.id, s.name, s.system, s.format, s.created_at, s.last_sync_id, s.last_observed_at, s.last_applied_at, s.last_complete_at

-- columns: sync
s.organization_id, s.id, s.source_id, s.version, s.at, s.observed_at, s.recorded_at, s.actor, s.outcome, s.complete, s.records_read,
s.records_rejected, s.paths_added, s.paths_kept, s.paths_changed, s.paths_removed, s.assets_added, s.assets_changed, s.assets_gone,
s.rejections, s.warnings

-- name: paths_page
SELECT /* columns: path */
FROM /* page at */ authority_path p
WHERE p.organization_id = @organization /* where */
/* order */
LIMIT @limit;

-- name: count_paths
SELECT count(*) FROM /* at */ authority_path p WHERE p.organization_id = @organization /* where */;

-- name: paths_by_ids
SELECT /* columns: path */
FROM /* at */ authority_path p
WHERE p.organization_id = @organization AND p.id = ANY (@ids::uuid[]);

-- name: paths_by_lineages
SELECT /* columns: path */
FROM unnest(@workloads::uuid[], @resources::uuid[]) AS k(workload_id, resource_id)
JOIN authority_path p ON p.organization_id = @organization AND p.workload_id = k.workload_id AND p.resource_id = k.resource_id
ORDER BY p.first_seen_at, p.id;

-- name: paths_by_lineages@past
-- OFFSET 0 has each lineage looked up in both parts of the past, which the planner
-- would else read whole.
SELECT /* columns: path */
FROM unnest(@workloads::uuid[], @resources::uuid[]) AS k(workload_id, resource_id)
CROSS JOIN LATERAL (
  SELECT p.* FROM /* at */ authority_path p
  WHERE p.organization_id = @organization AND p.workload_id = k.workload_id AND p.resource_id = k.resource_id
  OFFSET 0
) p
ORDER BY p.first_seen_at, p.id;

-- name: versions_by_paths
-- The newest versions of each path, the current one first.
SELECT v.*
FROM unnest(@ids::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT p.id, NULL::timestamptz AS to_at, p.status, p.effective, p.role_ids, p.actions, p.auth_chain_depth, p.composition_hash, p.class,
         p.data_domain, p.sensitivity, p.ownership_status, p.egress_category, p.execution_30d, p.execution_basis, p.version, p.from_at, p.sync_version
  FROM authority_path p
  WHERE p.organization_id = @organization AND p.id = k.id AND p.version < @before
  UNION ALL
  (SELECT h.id, h.to_at, h.status, h.effective, h.role_ids, h.actions, h.auth_chain_depth, h.composition_hash, h.class,
          h.data_domain, h.sensitivity, h.ownership_status, h.egress_category, h.execution_30d, h.execution_basis, h.version, h.from_at, h.sync_version
   FROM authority_path_version h
   WHERE h.organization_id = @organization AND h.id = k.id AND h.version < @before
   ORDER BY h.version DESC
   LIMIT @limit)
  ORDER BY version DESC
  LIMIT @limit
) v;

-- name: versions_by_paths@past
SELECT v.*
FROM unnest(@ids::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT p.id, NULL::timestamptz AS to_at, p.status, p.effective, p.role_ids, p.actions, p.auth_chain_depth, p.composition_hash, p.class,
         p.data_domain, p.sensitivity, p.ownership_status, p.egress_category, p.execution_30d, p.execution_basis, p.version, p.from_at, p.sync_version
  FROM /* bare */ authority_path p
  WHERE p.organization_id = @organization AND p.id = k.id AND p.version < @before AND p.from_at <= @as_of
  UNION ALL
  (SELECT h.id, CASE WHEN h.to_at <= @as_of THEN h.to_at END, h.status, h.effective, h.role_ids, h.actions, h.auth_chain_depth, h.composition_hash, h.class,
          h.data_domain, h.sensitivity, h.ownership_status, h.egress_category, h.execution_30d, h.execution_basis, h.version, h.from_at, h.sync_version
   FROM authority_path_version h
   WHERE h.organization_id = @organization AND h.id = k.id AND h.version < @before AND h.from_at <= @as_of
   ORDER BY h.version DESC
   LIMIT @limit)
  ORDER BY version DESC
  LIMIT @limit
) v;

-- name: last_seen
-- When the sources that assert a workload last completed a sync.
SELECT a.entity_id AS id, max(s.last_complete_at) AS at
FROM /* at */ entity_assertion a
JOIN /* at */ source s ON s.organization_id = @organization AND s.id = a.source_id
WHERE a.organization_id = @organization AND a.entity_id = ANY (@ids::uuid[])
GROUP BY a.entity_id;

-- name: entities_by_ids
SELECT /* columns: entity */
FROM /* at */ entity e
WHERE e.organization_id = @organization AND e.id = ANY (@ids::uuid[]);

-- name: entities_page
SELECT /* columns: entity */
FROM /* page at */ entity e
WHERE e.organization_id = @organization AND e.kind = @kind /* where */
/* order */
LIMIT @limit;

-- name: count_entities
SELECT count(*) FROM /* at */ entity e WHERE e.organization_id = @organization AND e.kind = @kind /* where */;

-- name: edges_from
-- Each tie once, however many sources assert it.
SELECT DISTINCT e.kind, e.from_id, e.scope, e.to_id, e.protocol, e.target_system
FROM /* at */ edge e
WHERE e.organization_id = @organization AND e.kind = ANY (@kinds::text[]) AND e.from_id = ANY (@ids::uuid[])
ORDER BY e.kind, e.from_id, e.scope, e.to_id;

-- name: edges_to
SELECT DISTINCT e.kind, e.from_id, e.scope, e.to_id, e.protocol, e.target_system
FROM /* at */ edge e
WHERE e.organization_id = @organization AND e.kind = ANY (@kinds::text[]) AND e.to_id = ANY (@ids::uuid[])
ORDER BY e.kind, e.to_id, e.scope, e.from_id;

-- name: assertions_by_entities
SELECT a.entity_id, a.source_id, s.name AS source_name, s.system, a.basis,
       jsonb_strip_nulls(jsonb_build_object('name', a.name, 'status', a.status, 'environment', a.environment, 'ownerTeam', a.owner_team,
         'businessTier', a.business_tier, 'executionMode', a.execution_mode, 'artifactIdentifier', a.artifact_identifier, 'sourceType', a.source_type,
         'dataDomain', a.data_domain_stated, 'sensitivity', a.sensitivity_stated, 'ownerType', a.owner_type, 'title', a.title,
         'lastActiveAt', to_char(a.last_active_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
         'createdInSourceAt', to_char(a.created_in_source_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))) AS attributes
FROM /* at */ entity_assertion a
JOIN /* at */ source s ON s.organization_id = @organization AND s.id = a.source_id
WHERE a.organization_id = @organization AND a.entity_id = ANY (@ids::uuid[])
ORDER BY a.entity_id, a.basis, s.name, s.id;

-- name: rotations_by_workloads
SELECT r.organization_id, r.workload_id, r.at, r.from_identity, r.to_identity
FROM /* at */ identity_rotation r
WHERE r.organization_id = @organization AND r.workload_id = ANY (@ids::uuid[])
ORDER BY r.workload_id, r.at DESC;

-- name: successions_by_paths
SELECT s.predecessor_id, s.successor_id, s.at
FROM /* at */ path_succession s
WHERE s.organization_id = @organization AND s.successor_id = ANY (@ids::uuid[])
UNION
SELECT s.predecessor_id, s.successor_id, s.at
FROM /* at */ path_succession s
WHERE s.organization_id = @organization AND s.predecessor_id = ANY (@ids::uuid[])
ORDER BY at;

-- name: sources
SELECT /* columns: source */
FROM /* at */ source s
WHERE s.organization_id = @organization
ORDER BY s.name, s.system;

-- name: sources_by_ids
SELECT /* columns: source */
FROM /* at */ source s
WHERE s.organization_id = @organization AND s.id = ANY (@ids::uuid[]);

-- name: syncs_page
SELECT /* columns: sync */
FROM /* at */ sync s
WHERE s.organization_id = @organization /* where */
/* order */
LIMIT @limit;

-- name: count_syncs
SELECT count(*) FROM /* at */ sync s WHERE s.organization_id = @organization /* where */;

-- name: syncs_by_ids
SELECT /* columns: sync */
FROM /* at */ sync s
WHERE s.organization_id = @organization AND s.id = ANY (@ids::uuid[]);

-- name: paths_under
-- The page of each of several parents; the parent's column is put in place of
-- the workload's.
SELECT v.*
FROM unnest(@parents::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT /* columns: path */
  FROM authority_path p
  WHERE p.organization_id = @organization AND p./* parent */workload_id = k.id /* where */
  /* order */
  LIMIT @limit
) v;

-- name: paths_under@past
-- Which paths first: what a row says of its exposures is counted for the page alone.
SELECT v.*
FROM unnest(@parents::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT /* columns: path */
  FROM (
    SELECT p.id
    FROM /* at */ authority_path p
    WHERE p.organization_id = @organization AND p./* parent */workload_id = k.id /* where */
    /* order */
    LIMIT @limit
  ) i
  CROSS JOIN LATERAL (
    SELECT p.* FROM /* at */ authority_path p
    WHERE p.organization_id = @organization AND p.id = i.id
    OFFSET 0
  ) p
  /* order */
) v;

-- name: count_paths_under
SELECT p./* parent */workload_id AS parent, count(*) AS count
FROM /* at */ authority_path p
WHERE p.organization_id = @organization AND p./* parent */workload_id = ANY (@parents::uuid[]) /* where */
GROUP BY p./* parent */workload_id;

-- name: paths_in_clusters
-- The page of each of several clusters in the order of their own list, which is
-- read off its index before any path is.
SELECT v.*
FROM unnest(@clusters::smallint[]) AS k(cluster)
CROSS JOIN LATERAL (
  SELECT m.cluster, m.rank, /* columns: path */
  FROM (
    SELECT m.cluster, m.rank, m.path_id
    FROM cluster_member m
    WHERE m.organization_id = @organization AND m.cluster = k.cluster AND m.to_at IS NULL AND m.level <= @level /* where */
    /* order */
    LIMIT @limit
  ) m
  JOIN authority_path p ON p.organization_id = @organization AND p.id = m.path_id
  /* order */
) v;

-- name: paths_in_clusters@past
-- The members that still are, and those that were: each part is read off an index
-- in the order of the list, up to a page.
SELECT v.*
FROM unnest(@clusters::smallint[]) AS k(cluster)
CROSS JOIN LATERAL (
  SELECT m.cluster, m.rank, /* columns: path */
  FROM (
    SELECT m.cluster, m.rank, m.path_id
    FROM (
      (SELECT m.cluster, m.rank, m.path_id
       FROM /* bare */ cluster_member m
       WHERE m.organization_id = @organization AND m.cluster = k.cluster AND m.to_at IS NULL AND m.from_at <= @as_of AND m.level <= @level /* where */
       /* order */
       LIMIT @limit)
      UNION ALL
      (SELECT m.cluster, m.rank, m.path_id
       FROM /* bare */ cluster_member m
       WHERE m.organization_id = @organization AND m.cluster = k.cluster AND m.to_at IS NOT NULL AND m.from_at <= @as_of AND m.to_at > @as_of
         AND m.level <= @level /* where */
       /* order */
       LIMIT @limit)
    ) m
    /* order */
    LIMIT @limit
  ) m
  CROSS JOIN LATERAL (
    SELECT p.* FROM /* at */ authority_path p
    WHERE p.organization_id = @organization AND p.id = m.path_id
    OFFSET 0
  ) p
  /* order */
) v;

-- name: paths_in_clusters_sorted
-- The same under a filter, or in an order that only the paths have.
SELECT v.*
FROM unnest(@clusters::smallint[]) AS k(cluster)
CROSS JOIN LATERAL (
  SELECT m.cluster, m.rank, /* columns: path */
  FROM cluster_member m
  JOIN authority_path p ON p.organization_id = @organization AND p.id = m.path_id
  WHERE m.organization_id = @organization AND m.cluster = k.cluster AND m.to_at IS NULL AND m.level <= @level /* where */
  /* order */
  LIMIT @limit
) v;

-- name: paths_in_clusters_sorted@past
SELECT v.*
FROM unnest(@clusters::smallint[]) AS k(cluster)
CROSS JOIN LATERAL (
  SELECT m.cluster, m.rank, /* columns: path */
  FROM (
    SELECT m.cluster, m.rank, m.path_id
    FROM /* bare */ cluster_member m
    JOIN /* at */ authority_path p ON p.organization_id = @organization AND p.id = m.path_id
    WHERE m.organization_id = @organization AND m.cluster = k.cluster AND /* open */ m.to_at IS NULL AND m.level <= @level /* where */
    /* order */
    LIMIT @limit
  ) m
  CROSS JOIN LATERAL (
    SELECT p.* FROM /* at */ authority_path p
    WHERE p.organization_id = @organization AND p.id = m.path_id
    OFFSET 0
  ) p
  /* order */
) v;

-- name: count_paths_in_clusters
SELECT m.cluster, count(*) AS count
FROM /* bare */ cluster_member m
JOIN /* at */ authority_path p ON p.organization_id = @organization AND p.id = m.path_id
WHERE m.organization_id = @organization AND m.cluster = ANY (@clusters::smallint[]) AND /* open */ m.to_at IS NULL AND m.level <= @level /* where */
GROUP BY m.cluster;

-- name: bounds
-- From when on the history is whole, and how far it has come.
SELECT coalesce(h.history_from, least((SELECT min(s.at) FROM sync s WHERE s.organization_id = @organization),
                                      (SELECT min(v.at) FROM evaluation v WHERE v.organization_id = @organization),
                                      (SELECT l.at FROM ledger_entry l WHERE l.organization_id = @organization ORDER BY l.seq LIMIT 1),
                                      (SELECT min(f.at) FROM file f WHERE f.organization_id = @organization))) AS first,
       greatest((SELECT max(s.at) FROM sync s WHERE s.organization_id = @organization),
                (SELECT max(v.at) FROM evaluation v WHERE v.organization_id = @organization),
                (SELECT l.at FROM ledger_head l WHERE l.organization_id = @organization),
                (SELECT max(f.at) FROM file f WHERE f.organization_id = @organization)) AS clock
FROM (SELECT @organization::uuid AS organization_id) o
LEFT JOIN change_head h ON h.id = o.organization_id;
