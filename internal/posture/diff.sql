What an organization came to at instants, and what moved it between them. Each
counter is looked up at an instant by its key: what it is now, if it has been so
since before then, else the version that was true.

-- columns: come_to
coalesce(c.paths, 0) AS paths, coalesce(c.sensitive_paths, 0) AS sensitive_paths, coalesce(c.dormant_paths, 0) AS dormant_paths,
coalesce(c.executed_paths, 0) AS executed_paths, coalesce(c.unwatched_paths, 0) AS unwatched_paths, coalesce(c.invalid_paths, 0) AS invalid_paths,
coalesce(c.executed_invalid_paths, 0) AS executed_invalid_paths, coalesce(c.executions, 0) AS executions, coalesce(c.workloads, 0) AS workloads,
coalesce(c.autonomous, 0) AS autonomous, coalesce(c.operator_assisted, 0) AS operator_assisted, coalesce(c.human_triggered, 0) AS human_triggered,
coalesce(c.unclassified, 0) AS unclassified, coalesce(c.listed, 0) AS listed, coalesce(c.critical, 0) AS critical,
coalesce(c.high, 0) AS high, coalesce(c.medium, 0) AS medium, coalesce(c.low, 0) AS low

-- columns: added_up
sum(k.paths)::bigint AS paths, sum(k.sensitive_paths)::bigint AS sensitive_paths, sum(k.dormant_paths)::bigint AS dormant_paths,
sum(k.executed_paths)::bigint AS executed_paths, sum(k.unwatched_paths)::bigint AS unwatched_paths, sum(k.invalid_paths)::bigint AS invalid_paths,
sum(k.executed_invalid_paths)::bigint AS executed_invalid_paths, sum(k.executions)::bigint AS executions, sum(k.workloads)::bigint AS workloads,
sum(k.autonomous)::bigint AS autonomous, sum(k.operator_assisted)::bigint AS operator_assisted, sum(k.human_triggered)::bigint AS human_triggered,
sum(k.unclassified)::bigint AS unclassified, sum(k.listed)::bigint AS listed, sum(k.critical)::bigint AS critical,
sum(k.high)::bigint AS high, sum(k.medium)::bigint AS medium, sum(k.low)::bigint AS low

-- columns: identity_counts
count(*) AS identities, count(*) FILTER (WHERE i.executed_paths > 0) AS active_identities, count(*) FILTER (WHERE i.autonomous) AS active_autonomous,
count(*) FILTER (WHERE i.effective_paths > 0 AND i.dormant_paths = i.effective_paths) AS dormant_identities

-- name: sums_at
-- timeless
-- It sees to its instants itself, whatever else is asked as of when.
SELECT k.place, /* columns: come_to */, coalesce(c.identities, 0) AS identities,
       coalesce(c.active_identities, 0) AS active_identities, coalesce(c.active_autonomous, 0) AS active_autonomous,
       coalesce(c.dormant_identities, 0) AS dormant_identities, coalesce(c.paths_added, 0) AS paths_added,
       coalesce(c.paths_removed, 0) AS paths_removed, coalesce(c.paths_orphaned, 0) AS paths_orphaned,
       coalesce(c.paths_invalidated, 0) AS paths_invalidated, coalesce(c.autonomous_gained, 0) AS autonomous_gained
FROM unnest(@ats::timestamptz[]) WITH ORDINALITY AS k(at, place)
LEFT JOIN LATERAL (
  SELECT
    c.paths, c.sensitive_paths, c.dormant_paths, c.executed_paths, c.unwatched_paths, c.invalid_paths, c.executed_invalid_paths, c.executions,
    c.workloads, c.autonomous, c.operator_assisted, c.human_triggered, c.unclassified, c.listed, c.critical, c.high, c.medium, c.low, c.identities,
    c.active_identities, c.active_autonomous, c.dormant_identities, c.paths_added, c.paths_removed, c.paths_orphaned, c.paths_invalidated,
    c.autonomous_gained
  FROM /* bare */ posture_counter c
  WHERE c.organization_id = @organization AND c.class = @all_classes AND c.from_at <= k.at
  UNION ALL
  SELECT
    v.paths, v.sensitive_paths, v.dormant_paths, v.executed_paths, v.unwatched_paths, v.invalid_paths, v.executed_invalid_paths, v.executions,
    v.workloads, v.autonomous, v.operator_assisted, v.human_triggered, v.unclassified, v.listed, v.critical, v.high, v.medium, v.low, v.identities,
    v.active_identities, v.active_autonomous, v.dormant_identities, v.paths_added, v.paths_removed, v.paths_orphaned, v.paths_invalidated,
    v.autonomous_gained
  FROM posture_counter_version v
  WHERE v.organization_id = @organization AND v.class = @all_classes AND v.from_at <= k.at AND v.to_at > k.at
) c ON true
ORDER BY k.place;

-- name: sums_at@seen
-- What adds up over classes is added up. Identities, of which one may be in several,
-- are summed anew from the paths as they were, as sum_identities sums them; 5 is the
-- type of a dormant path. What has happened so far is not counted by class: it is
-- counted from the rows.
SELECT a.place,
       /* columns: come_to */,
       i.identities, i.active_identities, i.active_autonomous, i.dormant_identities,
       0::bigint AS paths_added, 0::bigint AS paths_removed, 0::bigint AS paths_orphaned, 0::bigint AS paths_invalidated, 0::bigint AS autonomous_gained
FROM unnest(@ats::timestamptz[]) WITH ORDINALITY AS a(at, place)
LEFT JOIN LATERAL (
  SELECT /* columns: added_up */
  FROM (
    SELECT k.paths, k.sensitive_paths, k.dormant_paths, k.executed_paths, k.unwatched_paths, k.invalid_paths, k.executed_invalid_paths, k.executions, k.workloads, k.autonomous, k.operator_assisted, k.human_triggered, k.unclassified, k.listed, k.critical, k.high, k.medium, k.low
    FROM posture_counter k
    WHERE k.organization_id = @organization AND k.class = ANY (@visible::integer[]) AND k.from_at <= a.at
    UNION ALL
    SELECT k.paths, k.sensitive_paths, k.dormant_paths, k.executed_paths, k.unwatched_paths, k.invalid_paths, k.executed_invalid_paths, k.executions, k.workloads, k.autonomous, k.operator_assisted, k.human_triggered, k.unclassified, k.listed, k.critical, k.high, k.medium, k.low
    FROM posture_counter_version k
    WHERE k.organization_id = @organization AND k.class = ANY (@visible::integer[]) AND k.from_at <= a.at AND k.to_at > a.at
  ) k
) c ON true
CROSS JOIN LATERAL (
  SELECT /* columns: identity_counts */
  FROM (
    SELECT p.identity_id, count(*) FILTER (WHERE p.effective) AS effective_paths, count(*) FILTER (WHERE p.execution_30d > 0) AS executed_paths,
           count(*) FILTER (WHERE EXISTS (
             SELECT FROM exposure x
             LEFT JOIN exposure_version v ON x.version_from > a.at AND v.organization_id = @organization AND v.path_id = x.path_id AND v.type = x.type
                                         AND v.ordinal = x.ordinal AND v.from_at <= a.at AND v.to_at > a.at
             WHERE x.organization_id = @organization AND x.path_id = p.id AND x.type = 5 AND x.from_at <= a.at AND (x.to_at IS NULL OR x.to_at > a.at)
               AND coalesce(v.disposition, x.disposition) <= 3)) AS dormant_paths,
           coalesce(bool_or(p.execution_30d > 0 AND w.execution_mode IS NOT DISTINCT FROM 'autonomous'), false) AS autonomous
    FROM (
      SELECT y.id, y.identity_id, y.workload_id, y.effective, y.execution_30d
      FROM authority_path y
      WHERE y.organization_id = @organization AND y.class = ANY (@visible::integer[]) AND y.status = 'active' AND y.identity_id IS NOT NULL AND y.from_at <= a.at
      UNION ALL
      SELECT y.id, y.identity_id, y.workload_id, v.effective, v.execution_30d
      FROM authority_path_version v
      JOIN authority_path y ON y.organization_id = @organization AND y.id = v.id AND y.identity_id IS NOT NULL
      WHERE v.organization_id = @organization AND v.class = ANY (@visible::integer[]) AND v.status = 'active' AND v.from_at <= a.at AND v.to_at > a.at
    ) p
    CROSS JOIN LATERAL (
      SELECT e.execution_mode FROM entity e WHERE e.organization_id = @organization AND e.id = p.workload_id AND e.from_at <= a.at
      UNION ALL
      SELECT e.execution_mode FROM entity_version e
      WHERE e.organization_id = @organization AND e.id = p.workload_id AND e.from_at <= a.at AND e.to_at > a.at
    ) w
    GROUP BY p.identity_id
  ) i
) i
ORDER BY a.place;

-- name: sums_now
-- What sums_at says of now, for who sees a part: what adds up over classes is added up,
-- and of identities it is kept what their paths come to.
SELECT /* columns: come_to */,
       i.identities, i.active_identities, i.active_autonomous, i.dormant_identities
FROM (
  SELECT /* columns: added_up */
  FROM posture_counter k
  WHERE k.organization_id = @organization AND k.class <> @all_classes
) c
CROSS JOIN (
  SELECT /* columns: identity_counts */
  FROM identity_posture i
  WHERE i.organization_id = @organization AND i.class = @all_classes
) i;

-- name: beginning
-- When something first happened, and when last.
SELECT least((SELECT min(y.at) FROM sync y WHERE y.organization_id = @organization), (SELECT min(v.at) FROM evaluation v WHERE v.organization_id = @organization)) AS first,
       greatest((SELECT max(y.at) FROM sync y WHERE y.organization_id = @organization), (SELECT max(v.at) FROM evaluation v WHERE v.organization_id = @organization),
         (SELECT h.at FROM ledger_head h WHERE h.organization_id = @organization)) AS last;

-- name: causes
-- What happened in (from, to], by what did it. What people decided of exposures
-- stands in the ledger; each other thing they put on record has an evaluation.
SELECT 1 AS kind, y.source_id, NULL AS word, count(*) AS times, sum(y.paths_added)::bigint AS paths_added, sum(y.paths_changed)::bigint AS paths_changed,
       sum(y.paths_removed)::bigint AS paths_removed, sum(y.exposures_opened)::bigint AS exposures_opened, sum(y.exposures_resolved)::bigint AS exposures_resolved,
       min(y.at) AS first_at, max(y.at) AS last_at
FROM sync y
WHERE y.organization_id = @organization AND y.at > @from_at AND y.at <= @to_at
GROUP BY y.source_id
UNION ALL
SELECT 2, NULL, v.cause, count(*), 0, sum(v.paths_changed)::bigint, 0, sum(v.exposures_opened)::bigint, sum(v.exposures_resolved)::bigint, min(v.at), max(v.at)
FROM evaluation v
WHERE v.organization_id = @organization AND v.at > @from_at AND v.at <= @to_at
GROUP BY v.cause
UNION ALL
SELECT 3, NULL, l.kind, count(*), 0, 0, 0, 0, count(*) FILTER (WHERE l.kind = @resolved), min(l.at), max(l.at)
FROM ledger_entry l
WHERE l.organization_id = @organization AND l.type IS NOT NULL AND l.at > @from_at AND l.at <= @to_at
GROUP BY l.kind
ORDER BY 1, 4 DESC, 11, 2, 3;

-- name: causes@seen
-- A delivery and an evaluation are counted as a whole. What people decided has a class.
SELECT 3 AS kind, NULL::uuid AS source_id, l.kind AS word, count(*) AS times, 0::bigint AS paths_added, 0::bigint AS paths_changed, 0::bigint AS paths_removed,
       0::bigint AS exposures_opened, count(*) FILTER (WHERE l.kind = @resolved) AS exposures_resolved, min(l.at) AS first_at, max(l.at) AS last_at
FROM ledger_entry l
WHERE l.organization_id = @organization AND l.type IS NOT NULL AND l.at > @from_at AND l.at <= @to_at AND l.class = ANY (@visible::integer[])
GROUP BY l.kind
ORDER BY 4 DESC, 11, 3;

-- name: opened_between
SELECT x.type, count(*) AS count
FROM exposure x
WHERE x.organization_id = @organization AND x.from_at > @from_at AND x.from_at <= @to_at
GROUP BY x.type
ORDER BY x.type;

-- name: resolved_between
SELECT x.resolution_reason AS reason, count(*) AS count
FROM exposure x
WHERE x.organization_id = @organization AND x.to_at > @from_at AND x.to_at <= @to_at
GROUP BY x.resolution_reason
ORDER BY x.resolution_reason;

-- name: history
-- timeless
-- It sees to its instants itself, whatever else is asked as of when.
SELECT k.cluster, k.level, t.place, coalesce(c.paths, 0) AS paths, coalesce(c.identities, 0) AS identities, coalesce(c.workloads, 0) AS workloads, coalesce(c.executions, 0) AS executions
FROM unnest(@clusters::smallint[], @levels::smallint[]) AS k(cluster, level)
CROSS JOIN unnest(@ats::timestamptz[]) WITH ORDINALITY AS t(at, place)
LEFT JOIN LATERAL (
  SELECT c.paths, c.identities, c.workloads, c.executions
  FROM /* bare */ cluster_counter c
  WHERE c.organization_id = @organization AND c.class = @all_classes AND c.level = k.level AND c.cluster = k.cluster AND c.from_at <= t.at
  UNION ALL
  SELECT v.paths, v.identities, v.workloads, v.executions
  FROM cluster_counter_version v
  WHERE v.organization_id = @organization AND v.class = @all_classes AND v.level = k.level AND v.cluster = k.cluster AND v.from_at <= t.at AND v.to_at > t.at
) c ON true
ORDER BY k.cluster, k.level, t.place;

-- name: history@seen
-- As overview@past@seen.
SELECT k.cluster, k.level, t.place, coalesce(c.paths, 0) AS paths,
       (SELECT count(DISTINCT m.identity_id) FROM cluster_member m
        WHERE m.organization_id = @organization AND m.cluster = k.cluster AND m.from_at <= t.at AND (m.to_at IS NULL OR m.to_at > t.at) AND m.level <= k.level
          AND m.class = ANY (@visible::integer[])) AS identities,
       coalesce(c.workloads, 0) AS workloads, coalesce(c.executions, 0) AS executions
FROM unnest(@clusters::smallint[], @levels::smallint[]) AS k(cluster, level)
CROSS JOIN unnest(@ats::timestamptz[]) WITH ORDINALITY AS t(at, place)
CROSS JOIN LATERAL (
  SELECT sum(n.paths)::bigint AS paths, sum(n.workloads)::bigint AS workloads, sum(n.executions)::bigint AS executions
  FROM (
    SELECT c.paths, c.workloads, c.executions
    FROM cluster_counter c
    WHERE c.organization_id = @organization AND c.class = ANY (@visible::integer[]) AND c.level = k.level AND c.cluster = k.cluster AND c.from_at <= t.at
    UNION ALL
    SELECT v.paths, v.workloads, v.executions
    FROM cluster_counter_version v
    WHERE v.organization_id = @organization AND v.class = ANY (@visible::integer[]) AND v.level = k.level AND v.cluster = k.cluster AND v.from_at <= t.at AND v.to_at > t.at
  ) n
) c
ORDER BY k.cluster, k.level, t.place;
