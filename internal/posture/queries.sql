The statements that read. Markers are as in internal/authority/queries.sql.

-- name: overview
-- What each cluster comes to at each level, over all classes.
SELECT d.cluster, l.level::smallint AS level, coalesce(c.paths, 0) AS paths, coalesce(c.identities, 0) AS identities, coalesce(c.workloads, 0) AS workloads,
       coalesce(c.executions, 0) AS executions, coalesce(c.executed, 0) AS executed, coalesce(c.executed_sensitive, 0) AS executed_sensitive,
       coalesce(c.unwatched, 0) AS unwatched,
       coalesce(c.ownership_valid, 0) AS ownership_valid, coalesce(c.ownership_degraded, 0) AS ownership_degraded,
       coalesce(c.ownership_ambiguous, 0) AS ownership_ambiguous, coalesce(c.ownership_orphaned, 0) AS ownership_orphaned,
       coalesce(c.ownership_unknown, 0) AS ownership_unknown,
       coalesce(c.sensitivity_unknown, 0) AS sensitivity_unknown, coalesce(c.sensitivity_public, 0) AS sensitivity_public,
       coalesce(c.sensitivity_internal, 0) AS sensitivity_internal, coalesce(c.sensitivity_confidential, 0) AS sensitivity_confidential,
       coalesce(c.sensitivity_restricted, 0) AS sensitivity_restricted
FROM cluster_definition d
CROSS JOIN generate_series(1, 3) AS l(level)
LEFT JOIN cluster_counter c ON c.organization_id = @organization AND c.cluster = d.cluster AND c.level = l.level AND c.class = -1
WHERE d.organization_id = @organization AND d.to_at IS NULL
ORDER BY d.cluster, l.level;

-- name: tallies
-- What the members of each cluster up to a level come to by their values, beside
-- what holds for the whole organization: one row without a cluster if there is
-- nothing to tally.
SELECT o.at, o.dormant_after_days, t.cluster, t.domains, coalesce(t.new_paths, 0) AS new_paths, t.exposed_since
FROM (
  SELECT greatest((SELECT max(s.at) FROM sync s WHERE s.organization_id = @organization),
                  (SELECT max(v.at) FROM evaluation v WHERE v.organization_id = @organization)) AS at,
         (SELECT x.dormant_after_days FROM setting x WHERE x.organization_id = @organization AND x.to_at IS NULL) AS dormant_after_days,
         (SELECT to_char((w.window_at - interval '30 days') AT TIME ZONE 'UTC', 'YYYY-MM-DD')
          FROM organization_window w WHERE w.organization_id = @organization) AS window_from
) o
LEFT JOIN LATERAL (
  SELECT y.cluster,
         array_agg(y.value ORDER BY y.value) FILTER (WHERE y.dimension = 'sensitive_domain') AS domains,
         (sum(y.members) FILTER (WHERE y.dimension = 'first_seen' AND y.value > o.window_from COLLATE "C"))::bigint AS new_paths,
         (min(y.value) FILTER (WHERE y.dimension = 'exposed_since'))::date AS exposed_since
  FROM cluster_tally y
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
  FROM cluster_member m
  WHERE m.organization_id = @organization AND m.cluster = c.cluster AND m.path_id = k.path_id AND m.to_at IS NULL AND m.level <= @level
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
