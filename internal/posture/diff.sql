What an organization came to at instants, and what moved it between them. Each
counter is looked up at an instant by its key: what it is now, if it has been so
since before then, else the version that was true.

-- name: sums_at
SELECT k.place,
       coalesce(c.paths, 0) AS paths, coalesce(c.sensitive_paths, 0) AS sensitive_paths, coalesce(c.dormant_paths, 0) AS dormant_paths,
       coalesce(c.executed_paths, 0) AS executed_paths, coalesce(c.unwatched_paths, 0) AS unwatched_paths,
       coalesce(c.invalid_paths, 0) AS invalid_paths, coalesce(c.executed_invalid_paths, 0) AS executed_invalid_paths,
       coalesce(c.executions, 0) AS executions, coalesce(c.workloads, 0) AS workloads, coalesce(c.autonomous, 0) AS autonomous,
       coalesce(c.operator_assisted, 0) AS operator_assisted, coalesce(c.human_triggered, 0) AS human_triggered,
       coalesce(c.unclassified, 0) AS unclassified, coalesce(c.listed, 0) AS listed, coalesce(c.critical, 0) AS critical,
       coalesce(c.high, 0) AS high, coalesce(c.medium, 0) AS medium, coalesce(c.low, 0) AS low, coalesce(c.identities, 0) AS identities,
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
  FROM posture_counter c
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
