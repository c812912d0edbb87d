The statements that read. Markers are as in internal/authority/queries.sql; the
columns of an exposure are those of internal/exposure/queries.sql.

-- columns: workload_exposure
w.organization_id, w.workload_id, w.code, w.class, w.live, w.listed, w.execution_mode, w.ownership_status, w.egress_category, w.egress_categories,
w.identity_ids, w.paths, w.sensitive_paths, w.dormant_paths, w.executed_paths, w.unwatched_paths, w.findings, w.finding_rules, w.max_severity,
w.data_domains, w.sensitive_domains, w.clusters, w.executions, w.own_executions, w.last_execution_at

-- columns: counts
k.paths, k.identities, k.workloads, k.executions, k.executed, k.executed_sensitive, k.unwatched,
k.ownership_valid, k.ownership_degraded, k.ownership_ambiguous, k.ownership_orphaned, k.ownership_unknown,
k.sensitivity_unknown, k.sensitivity_public, k.sensitivity_internal, k.sensitivity_confidential, k.sensitivity_restricted

-- columns: come_to
coalesce(c.paths, 0) AS paths, coalesce(c.workloads, 0) AS workloads, coalesce(c.executions, 0) AS executions,
coalesce(c.executed, 0) AS executed, coalesce(c.executed_sensitive, 0) AS executed_sensitive, coalesce(c.unwatched, 0) AS unwatched,
coalesce(c.ownership_valid, 0) AS ownership_valid, coalesce(c.ownership_degraded, 0) AS ownership_degraded,
coalesce(c.ownership_ambiguous, 0) AS ownership_ambiguous, coalesce(c.ownership_orphaned, 0) AS ownership_orphaned,
coalesce(c.ownership_unknown, 0) AS ownership_unknown,
coalesce(c.sensitivity_unknown, 0) AS sensitivity_unknown, coalesce(c.sensitivity_public, 0) AS sensitivity_public,
coalesce(c.sensitivity_internal, 0) AS sensitivity_internal, coalesce(c.sensitivity_confidential, 0) AS sensitivity_confidential,
coalesce(c.sensitivity_restricted, 0) AS sensitivity_restricted

-- columns: added_up
sum(k.paths)::bigint AS paths, sum(k.workloads)::bigint AS workloads, sum(k.executions)::bigint AS executions,
sum(k.executed)::bigint AS executed, sum(k.executed_sensitive)::bigint AS executed_sensitive, sum(k.unwatched)::bigint AS unwatched,
sum(k.ownership_valid)::bigint AS ownership_valid, sum(k.ownership_degraded)::bigint AS ownership_degraded, sum(k.ownership_ambiguous)::bigint AS ownership_ambiguous,
sum(k.ownership_orphaned)::bigint AS ownership_orphaned, sum(k.ownership_unknown)::bigint AS ownership_unknown, sum(k.sensitivity_unknown)::bigint AS sensitivity_unknown,
sum(k.sensitivity_public)::bigint AS sensitivity_public, sum(k.sensitivity_internal)::bigint AS sensitivity_internal, sum(k.sensitivity_confidential)::bigint AS sensitivity_confidential,
sum(k.sensitivity_restricted)::bigint AS sensitivity_restricted

-- columns: posture
k.class, k.paths, k.sensitive_paths, k.dormant_paths, k.executed_paths, k.unwatched_paths, k.invalid_paths, k.executed_invalid_paths, k.executions,
k.workloads, k.autonomous, k.operator_assisted, k.human_triggered, k.unclassified, k.listed, k.critical, k.high, k.medium, k.low,
k.identities, k.active_identities, k.active_autonomous, k.dormant_identities,
k.paths_added, k.paths_removed, k.paths_orphaned, k.paths_invalidated, k.autonomous_gained

-- columns: snapshot
s.organization_id, s.at, s.sync_id, s.paths, s.dormant_paths, s.executions, s.invalid_paths, s.executed_invalid_paths, s.sensitive_paths,
s.workloads, s.autonomous, s.operator_assisted, s.human_triggered, s.unclassified, s.identities, s.active_identities, s.active_autonomous,
s.dormant_identities, s.paths_added, s.paths_removed, s.paths_orphaned, s.paths_invalidated, s.autonomous_gained, s.clusters

-- columns: exposure
x.organization_id, x.path_id, x.type, x.ordinal, x.workload_id, x.class, x.severity, x.factors, x.explanation, x.evidence_digest, x.disposition, x.decided_seq,
x.effective_from, x.effective_basis, x.lineage_from, x.indeterminate_since, x.version, x.version_from, x.from_at, x.to_at, x.resolution_reason

-- name: overview
-- What each cluster comes to at each level, over all classes.
SELECT d.cluster, l.level::smallint AS level, coalesce(c.identities, 0) AS identities, /* columns: come_to */
FROM cluster_definition d
CROSS JOIN generate_series(1, 3) AS l(level)
LEFT JOIN cluster_counter c ON c.organization_id = @organization AND c.cluster = d.cluster AND c.level = l.level AND c.class = -1
WHERE d.organization_id = @organization AND d.to_at IS NULL
ORDER BY d.cluster, l.level;

-- name: overview@past
-- Of the versions of a counter, the last that began by then: the key leads to it.
SELECT d.cluster, l.level::smallint AS level, coalesce(c.identities, 0) AS identities, /* columns: come_to */
FROM /* bare */ cluster_definition d
CROSS JOIN generate_series(1, 3) AS l(level)
LEFT JOIN LATERAL (
  SELECT /* columns: counts */
  FROM /* bare */ cluster_counter k
  WHERE k.organization_id = @organization AND k.class = -1 AND k.level = l.level AND k.cluster = d.cluster AND k.from_at <= @as_of
  UNION ALL
  SELECT /* columns: counts */
  FROM (
    SELECT v.* FROM cluster_counter_version v
    WHERE v.organization_id = @organization AND v.class = -1 AND v.level = l.level AND v.cluster = d.cluster AND v.from_at <= @as_of
    ORDER BY v.from_at DESC
    LIMIT 1
  ) k
  WHERE k.to_at > @as_of
) c ON true
WHERE d.organization_id = @organization AND /* open */ d.to_at IS NULL
ORDER BY d.cluster, l.level;

-- name: overview@past@seen
-- What adds up over classes is added up; identities, of which one may be in several,
-- are counted among the members.
SELECT d.cluster, l.level::smallint AS level,
       (SELECT count(DISTINCT m.identity_id) FROM cluster_member m
        WHERE m.organization_id = @organization AND m.cluster = d.cluster AND /* open */ m.to_at IS NULL AND m.level <= l.level AND m.class = ANY (@visible::integer[])) AS identities,
       /* columns: come_to */
FROM cluster_definition d
CROSS JOIN generate_series(1, 3) AS l(level)
LEFT JOIN LATERAL (
  SELECT /* columns: added_up */
  FROM (
    SELECT /* columns: counts */
    FROM cluster_counter k
    WHERE k.organization_id = @organization AND k.class = ANY (@visible::integer[]) AND k.level = l.level AND k.cluster = d.cluster AND k.from_at <= @as_of
    UNION ALL
    SELECT /* columns: counts */
    FROM cluster_counter_version k
    WHERE k.organization_id = @organization AND k.class = ANY (@visible::integer[]) AND k.level = l.level AND k.cluster = d.cluster
      AND k.from_at <= @as_of AND k.to_at > @as_of
  ) k
) c ON true
WHERE d.organization_id = @organization AND /* open */ d.to_at IS NULL
ORDER BY d.cluster, l.level;

-- name: tallies
-- What the members of each cluster up to a level come to by their values, beside
-- what holds for the whole organization: one row without a cluster if there is
-- nothing to tally.
SELECT o.at, o.dormant_after_days, t.cluster, t.domains, coalesce(t.new_paths, 0) AS new_paths, t.exposed_since
FROM (
  SELECT greatest((SELECT max(s.at) FROM /* at */ sync s WHERE s.organization_id = @organization),
                  (SELECT max(v.at) FROM /* at */ evaluation v WHERE v.organization_id = @organization)) AS at,
         (SELECT x.dormant_after_days FROM /* at */ setting x WHERE x.organization_id = @organization AND x.to_at IS NULL) AS dormant_after_days,
         (SELECT to_char((w.window_at - interval '30 days') AT TIME ZONE 'UTC', 'YYYY-MM-DD')
          FROM /* at */ organization_window w WHERE w.organization_id = @organization) AS window_from
) o
LEFT JOIN LATERAL (
  SELECT y.cluster,
         array_agg(y.value ORDER BY y.value) FILTER (WHERE y.dimension = 'sensitive_domain') AS domains,
         (sum(y.members) FILTER (WHERE y.dimension = 'first_seen' AND y.value > o.window_from COLLATE "C"))::bigint AS new_paths,
         (min(y.value) FILTER (WHERE y.dimension = 'exposed_since'))::date AS exposed_since
  FROM /* at */ cluster_tally y
  WHERE y.organization_id = @organization AND y.level = @level AND y.class = -1
  GROUP BY y.cluster
) t ON true;

-- name: memberships
-- Of which clusters the paths are members, up to a level. LIMIT has each pair
-- looked up by the key, where the planner would else read all members.
SELECT v.*
FROM unnest(@ids::uuid[]) AS k(path_id)
CROSS JOIN unnest(@clusters::smallint[]) AS c(cluster)
CROSS JOIN LATERAL (
  SELECT m.path_id, m.cluster
  FROM /* bare */ cluster_member m
  WHERE m.organization_id = @organization AND m.cluster = c.cluster AND m.path_id = k.path_id AND /* open */ m.to_at IS NULL AND m.level <= @level
  LIMIT 1
) v
ORDER BY v.path_id, v.cluster;

-- name: workloads_in_clusters
-- The page of each of several clusters.
SELECT v.*
FROM unnest(@clusters::smallint[]) AS k(cluster)
CROSS JOIN LATERAL (
  SELECT DISTINCT c.cluster, c.workload_id AS id
  FROM cluster_workload c
  WHERE c.organization_id = @organization AND c.cluster = k.cluster AND c.level <= @level AND c.workload_id > @after
  ORDER BY c.workload_id
  LIMIT @limit
) v;

-- name: workloads_in_clusters@past
-- Who the members then referred to: the references that are counted have no past.
SELECT v.*
FROM unnest(@clusters::smallint[]) AS k(cluster)
CROSS JOIN LATERAL (
  SELECT DISTINCT m.cluster, m.workload_id AS id
  FROM /* bare */ cluster_member m
  WHERE m.organization_id = @organization AND m.cluster = k.cluster AND /* open */ m.to_at IS NULL AND m.level <= @level AND m.workload_id > @after
  ORDER BY m.workload_id
  LIMIT @limit
) v;

-- name: identities_in_clusters
SELECT v.*
FROM unnest(@clusters::smallint[]) AS k(cluster)
CROSS JOIN LATERAL (
  SELECT DISTINCT c.cluster, c.identity_id AS id
  FROM cluster_identity c
  WHERE c.organization_id = @organization AND c.cluster = k.cluster AND c.level <= @level AND c.identity_id > @after
  ORDER BY c.identity_id
  LIMIT @limit
) v;

-- name: identities_in_clusters@past
SELECT v.*
FROM unnest(@clusters::smallint[]) AS k(cluster)
CROSS JOIN LATERAL (
  SELECT DISTINCT m.cluster, m.identity_id AS id
  FROM /* bare */ cluster_member m
  WHERE m.organization_id = @organization AND m.cluster = k.cluster AND /* open */ m.to_at IS NULL AND m.level <= @level AND m.identity_id > @after
  ORDER BY m.identity_id
  LIMIT @limit
) v;

-- name: workload_exposures_page
SELECT /* columns: workload_exposure */
FROM /* page at */ workload_exposure w
WHERE w.organization_id = @organization AND w.listed /* where */
/* order */
LIMIT @limit;

-- name: count_workload_exposures
SELECT count(*) FROM /* at */ workload_exposure w WHERE w.organization_id = @organization AND w.listed /* where */;

-- name: workload_exposures_by_workloads
SELECT /* columns: workload_exposure */
FROM /* at */ workload_exposure w
WHERE w.organization_id = @organization AND w.workload_id = ANY (@ids::uuid[]);

-- name: workload_exposure_detail
-- The row of a code or of a workload, and what says when it was last judged.
SELECT /* columns: workload_exposure */,
       (SELECT max(s.last_complete_at)
        FROM entity_assertion a JOIN source s ON s.organization_id = @organization AND s.id = a.source_id
        WHERE a.organization_id = @organization AND a.entity_id = w.workload_id) AS last_seen_at,
       greatest((SELECT max(y.at) FROM sync y WHERE y.organization_id = @organization), v.at) AS clock_at, v.judged_at AS evaluated_at
FROM workload_exposure w
CROSS JOIN (
  SELECT max(e.at) AS at, max(e.at) FILTER (WHERE e.cause NOT IN ('attestation', 'justification')) AS judged_at
  FROM evaluation e
  WHERE e.organization_id = @organization
) v
WHERE w.organization_id = @organization AND (w.code = @code OR w.workload_id = @id);

-- name: workload_exposure_detail@past
-- A code is its workload's for good.
SELECT /* columns: workload_exposure */,
       (SELECT max(s.last_complete_at)
        FROM /* at */ entity_assertion a JOIN /* at */ source s ON s.organization_id = @organization AND s.id = a.source_id
        WHERE a.organization_id = @organization AND a.entity_id = w.workload_id) AS last_seen_at,
       greatest((SELECT max(y.at) FROM /* at */ sync y WHERE y.organization_id = @organization), v.at) AS clock_at, v.judged_at AS evaluated_at
FROM /* bare any */ workload_exposure k
CROSS JOIN LATERAL (SELECT w.* FROM /* at */ workload_exposure w WHERE w.organization_id = @organization AND w.workload_id = k.workload_id OFFSET 0) w
CROSS JOIN (
  SELECT max(e.at) AS at, max(e.at) FILTER (WHERE e.cause NOT IN ('attestation', 'justification')) AS judged_at
  FROM /* at */ evaluation e
  WHERE e.organization_id = @organization
) v
WHERE k.organization_id = @organization AND (k.code = @code OR k.workload_id = @id);

-- name: dossiers
-- What is recorded about each workload. Coverage is found as the rules find it, by
-- find_workload_facts and find_identity_facts of internal/exposure: 0 nobody looks,
-- 1 not completely or not for the whole window, 2 too long ago, 3 complete; a
-- source's word on one entity goes before its word on all of the system, of several
-- sources the best counts, and of several identities the worst. What is read of
-- entities never changes.
WITH target AS (
  SELECT w.workload_id AS id, w.identity_ids, n.system, n.first_seen_at
  FROM /* at */ workload_exposure w
  JOIN /* bare any */ entity n ON n.organization_id = @organization AND n.id = w.workload_id
  WHERE w.organization_id = @organization AND w.workload_id = ANY (@ids::uuid[])
), asked AS ( -- of whom what is asked
  SELECT t.id, t.id AS entity_id, t.system, k.kind, t.first_seen_at
  FROM target t CROSS JOIN unnest(ARRAY['ownership', 'binding', 'execution', 'egress']) AS k(kind)
  UNION ALL
  SELECT t.id, i.id, i.system, 'roles', NULL
  FROM target t CROSS JOIN unnest(t.identity_ids) AS k(id)
  JOIN /* bare any */ entity i ON i.organization_id = @organization AND i.id = k.id
), cover AS (
  SELECT a.id, a.kind, min(coalesce(v.state, 0)) AS state
  FROM asked a
  LEFT JOIN LATERAL (
    SELECT max(CASE WHEN NOT c.complete OR (a.kind = 'execution' AND (c.to_at < o.window_at - interval '1 day' OR c.from_at > a.first_seen_at)) THEN 1
                    WHEN greatest(c.recorded_at, s.last_complete_at) + c.max_age < o.window_at THEN 2 ELSE 3 END) AS state
    FROM /* at */ source s
    JOIN /* at */ organization_window o ON o.organization_id = @organization
    CROSS JOIN LATERAL (
      SELECT d.complete, d.from_at, d.to_at, d.max_age, d.recorded_at
      FROM /* at */ coverage d
      WHERE d.organization_id = @organization AND d.source_id = s.id AND d.kind = a.kind
        AND d.entity_id IN (a.entity_id, @nil) AND (d.entity_id = a.entity_id OR d.system = a.system)
      ORDER BY d.entity_id = a.entity_id DESC
      LIMIT 1
    ) c
    WHERE s.organization_id = @organization
  ) v ON true
  GROUP BY a.id, a.kind
)
SELECT t.id AS workload_id,
       (SELECT count(*) FROM /* at */ evidence f WHERE f.organization_id = @organization AND f.workload_id = t.id AND NOT f.related) AS direct_records,
       (SELECT count(*) FROM /* at */ evidence g WHERE g.organization_id = @organization AND g.workload_id = t.id AND g.related)
       + (SELECT count(*) FROM /* at */ evidence h
          WHERE h.organization_id = @organization AND h.identity_id = ANY (t.identity_ids)
            AND h.identity_id <> '00000000-0000-0000-0000-000000000000' AND h.workload_id = @nil) AS related_records,
       (SELECT jsonb_object_agg(c.kind, c.state) FROM cover c WHERE c.id = t.id) AS coverage
FROM target t;

-- name: exposures_of_workloads
-- The page of each of several workloads. OFFSET 0 has its exposures read by its
-- paths and then sorted, where the planner would else read the list of the whole
-- organization in its order, once for each workload.
SELECT v.*
FROM unnest(@workloads::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT /* columns: exposure */
  FROM (
    SELECT y.*
    FROM authority_path p
    JOIN exposure y ON y.organization_id = @organization AND y.path_id = p.id
    WHERE p.organization_id = @organization AND p.workload_id = k.id AND y.to_at IS NULL AND y.disposition < 4
    OFFSET 0
  ) x
  WHERE true /* where */
  /* order */
  LIMIT @limit
) v;

-- name: count_exposures_of_workloads
SELECT p.workload_id, count(*) AS count
FROM authority_path p
JOIN exposure y ON y.organization_id = @organization AND y.path_id = p.id
WHERE p.organization_id = @organization AND p.workload_id = ANY (@workloads::uuid[]) AND y.to_at IS NULL AND y.disposition < 4
GROUP BY p.workload_id;

-- name: exposures_of_workloads@past
-- Which paths a workload has is read as it is: those that came later had none yet.
SELECT v.*
FROM unnest(@workloads::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT /* columns: exposure */
  FROM (
    SELECT y.*
    FROM /* bare any */ authority_path p
    CROSS JOIN LATERAL (
      SELECT x.* FROM /* at */ exposure x
      WHERE x.organization_id = @organization AND x.path_id = p.id AND x.to_at IS NULL AND x.disposition < 4
      OFFSET 0
    ) y
    WHERE p.organization_id = @organization AND p.workload_id = k.id
    OFFSET 0
  ) x
  WHERE true /* where */
  /* order */
  LIMIT @limit
) v;

-- name: count_exposures_of_workloads@past
SELECT p.workload_id, count(*) AS count
FROM /* bare any */ authority_path p
CROSS JOIN LATERAL (
  SELECT FROM /* at */ exposure x
  WHERE x.organization_id = @organization AND x.path_id = p.id AND x.to_at IS NULL AND x.disposition < 4
  OFFSET 0
) y
WHERE p.organization_id = @organization AND p.workload_id = ANY (@workloads::uuid[])
GROUP BY p.workload_id;

-- name: posture
-- What the organization comes to, over all classes, with the snapshot that it is
-- compared with and its sources: one row, also of an organization that has nothing.
SELECT o.at,
       coalesce(c.paths, 0) AS paths, coalesce(c.sensitive_paths, 0) AS sensitive_paths, coalesce(c.dormant_paths, 0) AS dormant_paths,
       coalesce(c.executed_paths, 0) AS executed_paths, coalesce(c.unwatched_paths, 0) AS unwatched_paths, coalesce(c.invalid_paths, 0) AS invalid_paths,
       coalesce(c.executed_invalid_paths, 0) AS executed_invalid_paths, coalesce(c.executions, 0) AS executions,
       coalesce(c.workloads, 0) AS workloads, coalesce(c.autonomous, 0) AS autonomous, coalesce(c.operator_assisted, 0) AS operator_assisted,
       coalesce(c.human_triggered, 0) AS human_triggered, coalesce(c.unclassified, 0) AS unclassified,
       coalesce(c.listed, 0) AS listed, coalesce(c.critical, 0) AS critical, coalesce(c.high, 0) AS high, coalesce(c.medium, 0) AS medium, coalesce(c.low, 0) AS low,
       coalesce(c.identities, 0) AS identities, coalesce(c.active_identities, 0) AS active_identities, coalesce(c.active_autonomous, 0) AS active_autonomous,
       coalesce(c.dormant_identities, 0) AS dormant_identities,
       coalesce(c.paths_added, 0) AS paths_added, coalesce(c.paths_removed, 0) AS paths_removed, coalesce(c.paths_orphaned, 0) AS paths_orphaned,
       coalesce(c.paths_invalidated, 0) AS paths_invalidated, coalesce(c.autonomous_gained, 0) AS autonomous_gained,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('OrganizationID', f.organization_id, 'ID', f.id, 'Name', f.name, 'System', f.system, 'Format', f.format,
                 'CreatedAt', f.created_at, 'LastSyncID', f.last_sync_id, 'LastObservedAt', f.last_observed_at, 'LastAppliedAt', f.last_applied_at,
                 'LastCompleteAt', f.last_complete_at) ORDER BY f.name, f.system), '[]')
        FROM source f WHERE f.organization_id = @organization) AS sources,
       (SELECT to_jsonb(s) FROM (
          SELECT /* columns: snapshot */
          FROM posture_snapshot s
          WHERE s.organization_id = @organization AND s.at <= coalesce(@since::timestamptz, o.at - @back::interval)
          ORDER BY s.at DESC LIMIT 1
        ) s) AS "from",
       c.class IS NOT NULL OR EXISTS (SELECT FROM posture_snapshot j WHERE j.organization_id = @organization) AS judged
FROM (
  SELECT greatest((SELECT max(y.at) FROM sync y WHERE y.organization_id = @organization),
                  (SELECT max(v.at) FROM evaluation v WHERE v.organization_id = @organization)) AS at
) o
LEFT JOIN posture_counter c ON c.organization_id = @organization AND c.class = @all_classes;

-- name: posture@past
-- As overview's.
SELECT o.at,
       coalesce(c.paths, 0) AS paths, coalesce(c.sensitive_paths, 0) AS sensitive_paths, coalesce(c.dormant_paths, 0) AS dormant_paths,
       coalesce(c.executed_paths, 0) AS executed_paths, coalesce(c.unwatched_paths, 0) AS unwatched_paths, coalesce(c.invalid_paths, 0) AS invalid_paths,
       coalesce(c.executed_invalid_paths, 0) AS executed_invalid_paths, coalesce(c.executions, 0) AS executions,
       coalesce(c.workloads, 0) AS workloads, coalesce(c.autonomous, 0) AS autonomous, coalesce(c.operator_assisted, 0) AS operator_assisted,
       coalesce(c.human_triggered, 0) AS human_triggered, coalesce(c.unclassified, 0) AS unclassified,
       coalesce(c.listed, 0) AS listed, coalesce(c.critical, 0) AS critical, coalesce(c.high, 0) AS high, coalesce(c.medium, 0) AS medium, coalesce(c.low, 0) AS low,
       coalesce(c.identities, 0) AS identities, coalesce(c.active_identities, 0) AS active_identities, coalesce(c.active_autonomous, 0) AS active_autonomous,
       coalesce(c.dormant_identities, 0) AS dormant_identities,
       coalesce(c.paths_added, 0) AS paths_added, coalesce(c.paths_removed, 0) AS paths_removed, coalesce(c.paths_orphaned, 0) AS paths_orphaned,
       coalesce(c.paths_invalidated, 0) AS paths_invalidated, coalesce(c.autonomous_gained, 0) AS autonomous_gained,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('OrganizationID', f.organization_id, 'ID', f.id, 'Name', f.name, 'System', f.system, 'Format', f.format,
                 'CreatedAt', f.created_at, 'LastSyncID', f.last_sync_id, 'LastObservedAt', f.last_observed_at, 'LastAppliedAt', f.last_applied_at,
                 'LastCompleteAt', f.last_complete_at) ORDER BY f.name, f.system), '[]')
        FROM /* at */ source f WHERE f.organization_id = @organization) AS sources,
       (SELECT to_jsonb(s) FROM (
          SELECT /* columns: snapshot */
          FROM /* at */ posture_snapshot s
          WHERE s.organization_id = @organization AND s.at <= coalesce(@since::timestamptz, o.at - @back::interval)
          ORDER BY s.at DESC LIMIT 1
        ) s) AS "from",
       c.class IS NOT NULL OR EXISTS (SELECT FROM /* at */ posture_snapshot j WHERE j.organization_id = @organization) AS judged
FROM (
  SELECT greatest((SELECT max(y.at) FROM /* at */ sync y WHERE y.organization_id = @organization),
                  (SELECT max(v.at) FROM /* at */ evaluation v WHERE v.organization_id = @organization)) AS at
) o
LEFT JOIN LATERAL (
  SELECT /* columns: posture */
  FROM /* bare */ posture_counter k
  WHERE k.organization_id = @organization AND k.class = @all_classes AND k.from_at <= @as_of
  UNION ALL
  SELECT /* columns: posture */
  FROM (
    SELECT v.* FROM posture_counter_version v
    WHERE v.organization_id = @organization AND v.class = @all_classes AND v.from_at <= @as_of
    ORDER BY v.from_at DESC
    LIMIT 1
  ) k
  WHERE k.to_at > @as_of
) c ON true;

-- name: snapshots_page
SELECT /* columns: snapshot */
FROM /* at */ posture_snapshot s
WHERE s.organization_id = @organization /* where */
/* order */
LIMIT @limit;

-- name: count_snapshots
SELECT count(*) FROM /* at */ posture_snapshot s WHERE s.organization_id = @organization /* where */;
