The statements that show what a posture counts. Each gives rows with an id, what
it names, how much of the count it is, and when, if the count is of what happened.

-- columns: seen
v.id, v.version, v.from_at, v.status, v.ownership_status

-- name: page
SELECT r.id, r.kind, r.amount, r.at
FROM (/* rows */) r
WHERE true /* where */
/* order */
LIMIT @limit;

-- name: total
SELECT count(*) AS rows, coalesce(sum(r.amount), 0)::bigint AS amount
FROM (/* rows */) r
WHERE true /* where */;

-- name: paths
SELECT p.id, 'path' AS kind, 1::bigint AS amount, NULL::timestamptz AS at
FROM authority_path p
WHERE p.organization_id = @organization AND p.status = 'active' AND (/* condition */);

-- name: workloads
SELECT w.workload_id AS id, 'workload' AS kind, 1::bigint AS amount, NULL::timestamptz AS at
FROM workload_exposure w
WHERE w.organization_id = @organization AND w.live AND (/* condition */);

-- name: identities
SELECT i.identity_id AS id, 'identity' AS kind, 1::bigint AS amount, NULL::timestamptz AS at
FROM identity_posture i
WHERE i.organization_id = @organization AND i.class = -1 AND (/* condition */);

-- name: executions
-- What a workload did is counted with it; what only an identity is known to have
-- done, with the identity.
SELECT w.workload_id AS id, 'workload' AS kind, w.own_executions AS amount, NULL::timestamptz AS at
FROM workload_exposure w
WHERE w.organization_id = @organization AND w.live AND w.own_executions > 0
UNION ALL
SELECT i.identity_id, 'identity', i.executions, NULL
FROM identity_posture i
WHERE i.organization_id = @organization AND i.class = -1 AND i.executions > 0;

-- name: path_events
-- What became of paths since an instant: each version that began then, beside the
-- one before it.
SELECT n.id, 'path' AS kind, 1::bigint AS amount, n.from_at AS at
FROM (
  SELECT /* columns: seen */ FROM authority_path v WHERE v.organization_id = @organization AND v.from_at > @since
  UNION ALL
  SELECT /* columns: seen */ FROM authority_path_version v WHERE v.organization_id = @organization AND v.from_at > @since
) n
LEFT JOIN authority_path_version o ON o.organization_id = @organization AND o.id = n.id AND o.version = n.version - 1
WHERE /* condition */;

-- name: identity_events
-- When identities came to be counted as active and autonomous: when the first of
-- what they did on behalf of autonomous workloads began, where nothing did before.
WITH changed AS (
  SELECT DISTINCT p.identity_id
  FROM authority_path p
  JOIN entity w ON w.organization_id = @organization AND w.id = p.workload_id
  WHERE p.organization_id = @organization AND p.identity_id IS NOT NULL AND (p.from_at > @since OR w.from_at > @since)
), ran AS (
  SELECT c.identity_id, p.workload_id, tstzrange(s.from_at, s.to_at) AS during
  FROM changed c
  JOIN authority_path p ON p.organization_id = @organization AND p.identity_id = c.identity_id
  CROSS JOIN LATERAL (
    SELECT p.from_at, NULL::timestamptz AS to_at WHERE p.status = 'active' AND p.execution_30d > 0
    UNION ALL
    SELECT v.from_at, v.to_at FROM authority_path_version v
    WHERE v.organization_id = @organization AND v.id = p.id AND v.status = 'active' AND v.execution_30d > 0
  ) s
), alone AS (
  SELECT w.id, range_agg(tstzrange(s.from_at, s.to_at)) AS during
  FROM (SELECT DISTINCT r.workload_id FROM ran r) r
  JOIN entity w ON w.organization_id = @organization AND w.id = r.workload_id
  CROSS JOIN LATERAL (
    SELECT w.from_at, NULL::timestamptz AS to_at WHERE w.execution_mode = 'autonomous'
    UNION ALL
    SELECT v.from_at, v.to_at FROM entity_version v
    WHERE v.organization_id = @organization AND v.id = w.id AND v.execution_mode = 'autonomous'
  ) s
  GROUP BY w.id
), active AS (
  SELECT r.identity_id, unnest(range_agg(x.part)) AS during
  FROM ran r
  JOIN alone a ON a.id = r.workload_id
  CROSS JOIN LATERAL unnest(tstzmultirange(r.during) * a.during) AS x(part)
  GROUP BY r.identity_id
)
SELECT a.identity_id AS id, 'identity' AS kind, 1::bigint AS amount, lower(a.during) AS at
FROM active a
WHERE lower(a.during) > @since;
