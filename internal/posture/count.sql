-- Bringing members, references, counters and tallies to the state that belongs
-- to the paths that are about to be written. count.go explains the order.

-- columns: measured
level, class, version, rank, first_seen, exposed_since, sensitivity, ownership_status, sensitive_domain, executed, evidence,
  workload_id, identity_id, resource_id

-- columns: subjects
CROSS JOIN LATERAL (VALUES -- whom evidence of a path can name, numbered as in cluster_member.evidence
    (1, n.workload_id, @nil::uuid, n.resource_id), (2, n.workload_id, n.identity_id, n.resource_id), (4, @nil, n.identity_id, n.resource_id),
    (8, n.workload_id, @nil, @nil), (16, n.workload_id, n.identity_id, @nil), (32, @nil, n.identity_id, @nil)
  ) AS k(bit, workload_id, identity_id, resource_id)

-- columns: counts
paths, identities, workloads, executions, executed, executed_sensitive, unwatched,
  ownership_valid, ownership_degraded, ownership_ambiguous, ownership_orphaned, ownership_unknown,
  sensitivity_unknown, sensitivity_public, sensitivity_internal, sensitivity_confidential, sensitivity_restricted

-- columns: sums
coalesce(sum(p.paths), 0), coalesce(sum(p.identities), 0), coalesce(sum(p.workloads), 0), coalesce(sum(p.executions), 0),
  coalesce(sum(p.executed), 0), coalesce(sum(p.executed_sensitive), 0), coalesce(sum(p.unwatched), 0), coalesce(sum(p.ownership_valid), 0),
  coalesce(sum(p.ownership_degraded), 0), coalesce(sum(p.ownership_ambiguous), 0), coalesce(sum(p.ownership_orphaned), 0),
  coalesce(sum(p.ownership_unknown), 0), coalesce(sum(p.sensitivity_unknown), 0), coalesce(sum(p.sensitivity_public), 0),
  coalesce(sum(p.sensitivity_internal), 0), coalesce(sum(p.sensitivity_confidential), 0), coalesce(sum(p.sensitivity_restricted), 0)

-- columns: values
c.paths, c.identities, c.workloads, c.executions, c.executed, c.executed_sensitive, c.unwatched, c.ownership_valid, c.ownership_degraded,
  c.ownership_ambiguous, c.ownership_orphaned, c.ownership_unknown, c.sensitivity_unknown, c.sensitivity_public, c.sensitivity_internal,
  c.sensitivity_confidential, c.sensitivity_restricted

-- columns: additions
paths = c.paths + d.paths, identities = c.identities + d.identities, workloads = c.workloads + d.workloads, executions = c.executions + d.executions,
  executed = c.executed + d.executed, executed_sensitive = c.executed_sensitive + d.executed_sensitive, unwatched = c.unwatched + d.unwatched,
  ownership_valid = c.ownership_valid + d.ownership_valid, ownership_degraded = c.ownership_degraded + d.ownership_degraded,
  ownership_ambiguous = c.ownership_ambiguous + d.ownership_ambiguous, ownership_orphaned = c.ownership_orphaned + d.ownership_orphaned,
  ownership_unknown = c.ownership_unknown + d.ownership_unknown, sensitivity_unknown = c.sensitivity_unknown + d.sensitivity_unknown,
  sensitivity_public = c.sensitivity_public + d.sensitivity_public, sensitivity_internal = c.sensitivity_internal + d.sensitivity_internal,
  sensitivity_confidential = c.sensitivity_confidential + d.sensitivity_confidential,
  sensitivity_restricted = c.sensitivity_restricted + d.sensitivity_restricted

-- name: current_definitions
SELECT cluster, version, key, grain, severity, all_mask, any_mask
FROM cluster_definition
WHERE organization_id = @organization AND to_at IS NULL;

-- name: close_definitions
UPDATE cluster_definition SET to_at = @at
WHERE organization_id = @organization AND cluster = ANY(@clusters) AND to_at IS NULL;

-- name: add_definitions
INSERT INTO cluster_definition (organization_id, cluster, version, from_at, key, grain, severity, all_mask, any_mask)
SELECT @organization, d.cluster, d.version, @at, d.key, d.grain, d.severity, d.all_mask, d.any_mask
FROM unnest(@clusters::smallint[], @versions::integer[], @keys::text[], @grains::text[], @severities::smallint[], @all_masks::integer[], @any_masks::integer[])
  AS d(cluster, version, key, grain, severity, all_mask, any_mask);

-- name: known
-- Ordered as an index is: a plan that is made once knows no organization, and would
-- read the table until it comes to a row of this one.
SELECT (SELECT id FROM authority_path WHERE organization_id = @organization ORDER BY 1 LIMIT 1) IS NOT NULL AS paths,
       (SELECT class FROM posture_counter WHERE organization_id = @organization ORDER BY 1 LIMIT 1) IS NOT NULL AS posture;

-- name: create_work
CREATE TEMPORARY TABLE IF NOT EXISTS cluster_term (cluster smallint PRIMARY KEY, version integer NOT NULL, of_workload boolean NOT NULL, all_mask integer NOT NULL, any_mask integer NOT NULL);
CREATE TEMPORARY TABLE IF NOT EXISTS bystander (
  path_id uuid NOT NULL, workload_id uuid NOT NULL, identity_id uuid, resource_id uuid NOT NULL, class integer NOT NULL,
  data_domain text COLLATE "C", sensitivity smallint NOT NULL, ownership_status text COLLATE "C" NOT NULL,
  execution_30d bigint, execution_basis text COLLATE "C", first_seen_at timestamptz NOT NULL,
  open_mask integer NOT NULL, acknowledged_mask integer NOT NULL, accepted_mask integer NOT NULL, max_exposure_severity smallint,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS member_before (
  cluster smallint NOT NULL, path_id uuid NOT NULL, level smallint NOT NULL, class integer NOT NULL, version integer NOT NULL, rank smallint NOT NULL,
  first_seen date NOT NULL, exposed_since date NOT NULL, sensitivity smallint NOT NULL, ownership_status text COLLATE "C" NOT NULL,
  sensitive_domain text COLLATE "C", executed boolean, evidence smallint NOT NULL,
  workload_id uuid NOT NULL, identity_id uuid, resource_id uuid NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS member_delta (LIKE member_before INCLUDING ALL, sign smallint NOT NULL, op text COLLATE "C" NOT NULL);
CREATE TEMPORARY TABLE IF NOT EXISTS member_hit (cluster smallint NOT NULL, path_id uuid NOT NULL, level smallint NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS member_since (cluster smallint NOT NULL, path_id uuid NOT NULL, day date NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS member_subject (path_id uuid NOT NULL, bit smallint NOT NULL, workload_id uuid NOT NULL, identity_id uuid NOT NULL, resource_id uuid NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS evidence_run (workload_id uuid NOT NULL, identity_id uuid NOT NULL, resource_id uuid NOT NULL, executions bigint NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS member_sum (
  cluster smallint NOT NULL, level smallint NOT NULL, class integer NOT NULL, sensitivity smallint NOT NULL, ownership_status text COLLATE "C" NOT NULL,
  sensitive_domain text COLLATE "C", executed boolean, first_seen date NOT NULL, exposed_since date NOT NULL, members bigint NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS reference_delta (
  kind text COLLATE "C" NOT NULL, cluster smallint NOT NULL, id uuid NOT NULL, level smallint NOT NULL, class integer NOT NULL,
  before bigint NOT NULL, after bigint NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS evidence_delta (
  cluster smallint NOT NULL, workload_id uuid NOT NULL, identity_id uuid NOT NULL, resource_id uuid NOT NULL, level smallint NOT NULL, class integer NOT NULL,
  before bigint NOT NULL, after bigint NOT NULL, executions_before bigint, executions_after bigint,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS counter_delta AS
SELECT cluster, level, class, /* columns: counts */, NULL::char(2000) AS few FROM cluster_counter WITH NO DATA;
SELECT empty_work_tables('{cluster_term, bystander, member_before, member_delta, member_hit, member_since, member_subject, evidence_run,
  member_sum, reference_delta, evidence_delta, counter_delta}');

-- name: clear_terms
DELETE FROM cluster_term;

-- name: clear_count
-- What a change before left in the work tables.
WITH a AS (DELETE FROM bystander), b AS (DELETE FROM member_before), c AS (DELETE FROM member_delta), d AS (DELETE FROM member_hit),
     e AS (DELETE FROM member_since), f AS (DELETE FROM member_subject), g AS (DELETE FROM evidence_run), h AS (DELETE FROM member_sum),
     i AS (DELETE FROM reference_delta), j AS (DELETE FROM evidence_delta), k AS (DELETE FROM counter_delta),
     l AS (DELETE FROM decided_workload), m AS (DELETE FROM summed_identity), n AS (DELETE FROM workload_next), o AS (DELETE FROM identity_next),
     p AS (DELETE FROM posture_delta), q AS (DELETE FROM summed_workload)
SELECT;

-- name: prefer_hash_joins
SET LOCAL enable_nestloop = off;

-- name: fill_terms
INSERT INTO cluster_term (cluster, version, of_workload, all_mask, any_mask)
SELECT * FROM unnest(@clusters::smallint[], @versions::integer[], @of_workload::boolean[], @all_masks::integer[], @any_masks::integer[]);

-- name: remember_all_members
INSERT INTO member_before (cluster, path_id, /* columns: measured */)
SELECT cluster, path_id, /* columns: measured */
FROM cluster_member
WHERE organization_id = @organization AND to_at IS NULL;

-- name: remember_members
-- With the bystanders: paths that are not judged now, of workloads whose paths
-- satisfy an expression together with one that is, or did so.
WITH remembered AS MATERIALIZED (
  SELECT m.cluster, m.path_id, /* columns: measured */
  FROM (SELECT path_id FROM desired UNION ALL SELECT path_id FROM path_diff WHERE op = 'removed') c
  JOIN cluster_member m ON m.organization_id = @organization AND m.cluster = ANY(@clusters::smallint[]) AND m.path_id = c.path_id AND m.to_at IS NULL
), affected AS (
  SELECT n.workload_id FROM path_mask m JOIN desired n ON n.path_id = m.path_id WHERE m.accepted_mask & @terms <> 0
  UNION
  SELECT b.workload_id FROM remembered b WHERE b.cluster = ANY(@of_workload::smallint[])
), beside AS (
  INSERT INTO bystander (path_id, workload_id, identity_id, resource_id, class, data_domain, sensitivity, ownership_status,
    execution_30d, execution_basis, first_seen_at, open_mask, acknowledged_mask, accepted_mask, max_exposure_severity)
  SELECT p.id, p.workload_id, p.identity_id, p.resource_id, p.class, p.data_domain, p.sensitivity, p.ownership_status,
    p.execution_30d, p.execution_basis, p.first_seen_at, p.open_mask, p.acknowledged_mask, p.accepted_mask, p.max_exposure_severity
  FROM affected a
  JOIN authority_path p ON p.organization_id = @organization AND p.workload_id = a.workload_id
  WHERE p.status = 'active' AND p.accepted_mask & @terms <> 0
    AND NOT EXISTS (SELECT FROM desired n WHERE n.path_id = p.id)
    AND NOT EXISTS (SELECT FROM path_diff x WHERE x.path_id = p.id AND x.op = 'removed')
  RETURNING path_id
), members AS (
  INSERT INTO member_before (cluster, path_id, /* columns: measured */)
  SELECT cluster, path_id, /* columns: measured */ FROM remembered
  UNION ALL
  SELECT m.cluster, m.path_id, /* columns: measured */
  FROM beside b
  JOIN cluster_member m ON m.organization_id = @organization AND m.cluster = ANY(@of_workload::smallint[]) AND m.path_id = b.path_id AND m.to_at IS NULL
  RETURNING 1
)
SELECT (SELECT count(*) FROM members) AS members, (SELECT count(*) FROM beside) AS bystanders;

-- name: analyze_before
ANALYZE member_before (cluster, path_id);

-- name: hit_members
-- Many paths share a combination of masks, which is judged once. A workload's paths
-- can satisfy an expression together; a path is then a member from the level on at
-- which it carries a term itself.
WITH combination AS (
  SELECT open_mask, acknowledged_mask, accepted_mask FROM path_mask WHERE accepted_mask <> 0 GROUP BY 1, 2, 3
), held AS MATERIALIZED (
  SELECT t.cluster, c.open_mask, c.acknowledged_mask, c.accepted_mask,
         CASE WHEN c.open_mask & t.all_mask = t.all_mask AND (t.any_mask = 0 OR c.open_mask & t.any_mask <> 0) THEN 1
              WHEN c.acknowledged_mask & t.all_mask = t.all_mask AND (t.any_mask = 0 OR c.acknowledged_mask & t.any_mask <> 0) THEN 2
              ELSE 3 END AS level
  FROM combination c
  JOIN cluster_term t ON NOT t.of_workload AND c.accepted_mask & t.all_mask = t.all_mask AND (t.any_mask = 0 OR c.accepted_mask & t.any_mask <> 0)
), carrier AS MATERIALIZED (
  SELECT n.workload_id, m.path_id, m.open_mask, m.acknowledged_mask, m.accepted_mask
  FROM path_mask m JOIN desired n ON n.path_id = m.path_id
  WHERE m.accepted_mask & @terms <> 0
  UNION ALL
  SELECT b.workload_id, b.path_id, b.open_mask, b.acknowledged_mask, b.accepted_mask FROM bystander b
), together AS (
  SELECT workload_id, bit_or(open_mask) AS open_mask, bit_or(acknowledged_mask) AS acknowledged_mask, bit_or(accepted_mask) AS accepted_mask
  FROM carrier GROUP BY workload_id
), held_together AS MATERIALIZED (
  SELECT t.cluster, w.workload_id, t.all_mask | t.any_mask AS terms,
         CASE WHEN w.open_mask & t.all_mask = t.all_mask AND (t.any_mask = 0 OR w.open_mask & t.any_mask <> 0) THEN 1
              WHEN w.acknowledged_mask & t.all_mask = t.all_mask AND (t.any_mask = 0 OR w.acknowledged_mask & t.any_mask <> 0) THEN 2
              ELSE 3 END AS level
  FROM together w
  JOIN cluster_term t ON t.of_workload AND w.accepted_mask & t.all_mask = t.all_mask AND (t.any_mask = 0 OR w.accepted_mask & t.any_mask <> 0)
)
INSERT INTO member_hit (cluster, path_id, level)
SELECT h.cluster, m.path_id, h.level
FROM path_mask m
JOIN held h ON h.open_mask = m.open_mask AND h.acknowledged_mask = m.acknowledged_mask AND h.accepted_mask = m.accepted_mask
UNION ALL
SELECT h.cluster, c.path_id,
       greatest(h.level, CASE WHEN c.open_mask & h.terms <> 0 THEN 1 WHEN c.acknowledged_mask & h.terms <> 0 THEN 2 ELSE 3 END)
FROM carrier c
JOIN held_together h ON h.workload_id = c.workload_id
WHERE c.accepted_mask & h.terms <> 0;

-- name: analyze_hit
ANALYZE member_hit;

-- name: find_parts
-- Since when members are, whom evidence of them can name, and how often each of
-- those ran.
WITH since AS (
  INSERT INTO member_since (cluster, path_id, day)
  SELECT h.cluster, h.path_id, (min(e.effective_from) AT TIME ZONE 'UTC')::date
  FROM member_hit h
  JOIN cluster_term t ON t.cluster = h.cluster
  JOIN exposure e ON e.organization_id = @organization AND e.path_id = h.path_id AND e.to_at IS NULL
                 AND e.disposition <= h.level AND (1 << (e.type - 1)) & (t.all_mask | t.any_mask) <> 0
  GROUP BY h.cluster, h.path_id
), subject AS (
  INSERT INTO member_subject (path_id, bit, workload_id, identity_id, resource_id)
  SELECT n.path_id, k.bit, k.workload_id, k.identity_id, k.resource_id
  FROM (
    SELECT d.path_id, d.workload_id, d.identity_id, d.resource_id, d.execution_basis
    FROM desired d WHERE d.execution_basis IS NOT NULL AND EXISTS (SELECT FROM member_hit h WHERE h.path_id = d.path_id)
    UNION ALL
    SELECT b.path_id, b.workload_id, b.identity_id, b.resource_id, b.execution_basis
    FROM bystander b WHERE b.execution_basis IS NOT NULL AND EXISTS (SELECT FROM member_hit h WHERE h.path_id = b.path_id)
  ) n
  /* columns: subjects */
  WHERE CASE n.execution_basis WHEN 'path' THEN 1 | 2 | 4 WHEN 'workload' THEN 8 | 16 WHEN 'identity' THEN 32 END & k.bit <> 0
    AND k.identity_id IS NOT NULL
  RETURNING workload_id, identity_id, resource_id
)
INSERT INTO evidence_run (workload_id, identity_id, resource_id, executions)
SELECT e.workload_id, e.identity_id, e.resource_id, sum(e.count)
FROM (SELECT DISTINCT workload_id, identity_id, resource_id FROM subject) s
JOIN evidence e ON e.organization_id = @organization AND e.workload_id = s.workload_id AND e.identity_id = s.identity_id AND e.resource_id = s.resource_id
               AND e.day > @window_start::timestamptz::date
GROUP BY 1, 2, 3;

-- name: analyze_parts
ANALYZE member_since (cluster, path_id), member_subject (path_id, workload_id, identity_id, resource_id), evidence_run (workload_id, identity_id, resource_id);

-- name: diff_members
-- What becomes true of members and was not, and what was and ceases to be. A path
-- that stays in its interval only follows: where in the list it stands begins
-- another one, so that the list can be read as it was.
WITH known AS (
  SELECT s.path_id, bit_or(s.bit) AS evidence
  FROM member_subject s
  JOIN evidence_run x ON x.workload_id = s.workload_id AND x.identity_id = s.identity_id AND x.resource_id = s.resource_id
  GROUP BY s.path_id
), next AS (
  SELECT h.cluster, h.path_id, h.level, n.class, t.version, (coalesce(n.max_exposure_severity, 0) * 8 + n.sensitivity)::smallint AS rank,
         (n.first_seen_at AT TIME ZONE 'UTC')::date AS first_seen, s.day AS exposed_since, n.sensitivity, n.ownership_status,
         CASE WHEN n.sensitivity >= 3 THEN n.data_domain END AS sensitive_domain, n.execution_30d > 0 AS executed, coalesce(k.evidence, 0::smallint) AS evidence,
         n.workload_id, n.identity_id, n.resource_id
  FROM member_hit h
  JOIN cluster_term t ON t.cluster = h.cluster
  JOIN (
    SELECT d.path_id, d.workload_id, d.identity_id, d.resource_id, d.class, d.data_domain, d.sensitivity, d.ownership_status, d.execution_30d,
           coalesce(p.first_seen_at, @at) AS first_seen_at, m.max_exposure_severity
    FROM desired d
    JOIN path_mask m ON m.path_id = d.path_id
    LEFT JOIN authority_path p ON p.organization_id = @organization AND p.id = d.path_id
    UNION ALL
    SELECT b.path_id, b.workload_id, b.identity_id, b.resource_id, b.class, b.data_domain, b.sensitivity, b.ownership_status, b.execution_30d,
           b.first_seen_at, b.max_exposure_severity
    FROM bystander b
  ) n ON n.path_id = h.path_id
  LEFT JOIN member_since s ON s.cluster = h.cluster AND s.path_id = h.path_id
  LEFT JOIN known k ON k.path_id = h.path_id
), becomes AS (
  INSERT INTO member_delta (sign, op, cluster, path_id, /* columns: measured */)
  SELECT 1, CASE WHEN (n.level, n.class, n.version, n.rank) = (b.level, b.class, b.version, b.rank) THEN 'follow' ELSE 'open' END, n.*
  FROM next n
  LEFT JOIN member_before b ON b.cluster = n.cluster AND b.path_id = n.path_id
  WHERE b.path_id IS NULL
     OR (n.level, n.class, n.version, n.rank, n.first_seen, n.exposed_since, n.sensitivity, n.ownership_status, n.sensitive_domain, n.executed, n.evidence)
        IS DISTINCT FROM
        (b.level, b.class, b.version, b.rank, b.first_seen, b.exposed_since, b.sensitivity, b.ownership_status, b.sensitive_domain, b.executed, b.evidence)
  RETURNING op, cluster, path_id
)
INSERT INTO member_delta (sign, op, cluster, path_id, /* columns: measured */)
SELECT -1, CASE WHEN d.op = 'follow' THEN 'follow' ELSE 'close' END, b.cluster, b.path_id,
       b.level, b.class, b.version, b.rank, b.first_seen, b.exposed_since, b.sensitivity, b.ownership_status, b.sensitive_domain, b.executed, b.evidence,
       b.workload_id, b.identity_id, b.resource_id
FROM member_before b
LEFT JOIN becomes d ON d.cluster = b.cluster AND d.path_id = b.path_id
LEFT JOIN member_hit h ON h.cluster = b.cluster AND h.path_id = b.path_id
WHERE d.path_id IS NOT NULL OR h.path_id IS NULL;

-- name: analyze_delta
ANALYZE member_delta (cluster, path_id, level, class, workload_id, identity_id, resource_id);

-- name: write_members
-- No row is closed and follows; what is opened is another row. With the sums of what
-- differs.
WITH closed AS (
  UPDATE cluster_member m SET to_at = @at
  FROM member_delta d
  WHERE d.op = 'close' AND m.organization_id = @organization AND m.cluster = d.cluster AND m.path_id = d.path_id AND m.to_at IS NULL
), followed AS (
  UPDATE cluster_member m
  SET first_seen = d.first_seen, exposed_since = d.exposed_since, sensitivity = d.sensitivity, ownership_status = d.ownership_status,
      sensitive_domain = d.sensitive_domain, executed = d.executed, evidence = d.evidence
  FROM member_delta d
  WHERE d.op = 'follow' AND d.sign = 1 AND m.organization_id = @organization AND m.cluster = d.cluster AND m.path_id = d.path_id AND m.to_at IS NULL
), summed AS (
  INSERT INTO member_sum (cluster, level, class, sensitivity, ownership_status, sensitive_domain, executed, first_seen, exposed_since, members)
  SELECT cluster, level, class, sensitivity, ownership_status, sensitive_domain, executed, first_seen, exposed_since, sum(sign)
  FROM member_delta
  GROUP BY cluster, level, class, sensitivity, ownership_status, sensitive_domain, executed, first_seen, exposed_since
  HAVING sum(sign) <> 0
)
INSERT INTO cluster_member (organization_id, cluster, path_id, from_at, /* columns: measured */)
SELECT @organization, cluster, path_id, @at, /* columns: measured */
FROM member_delta
WHERE op = 'open'
ORDER BY cluster, path_id;

-- name: write_references
-- With every row of an identity or workload that the change concerns, because
-- whether it counts anew depends on all of them.
-- No row is removed, changed and added: the parts do not see each other.
WITH change AS MATERIALIZED (
  SELECT 'identity' AS kind, cluster, identity_id AS id, level, class, sum(sign) AS members
  FROM member_delta WHERE identity_id IS NOT NULL
  GROUP BY cluster, identity_id, level, class HAVING sum(sign) <> 0
  UNION ALL
  SELECT 'workload', cluster, workload_id, level, class, sum(sign)
  FROM member_delta
  GROUP BY cluster, workload_id, level, class HAVING sum(sign) <> 0
), concerned AS MATERIALIZED (
  SELECT kind, cluster, id FROM change GROUP BY kind, cluster, id
), delta AS (
  INSERT INTO reference_delta (kind, cluster, id, level, class, before, after)
  SELECT kind, cluster, id, level, class, sum(before), sum(before + change)
  FROM (
    SELECT kind, cluster, id, level, class, 0 AS before, members AS change FROM change
    UNION ALL
    SELECT t.kind, t.cluster, t.id, c.level, c.class, c.members, 0
    FROM concerned t
    JOIN cluster_identity c ON c.organization_id = @organization AND c.cluster = t.cluster AND c.identity_id = t.id
    WHERE t.kind = 'identity'
    UNION ALL
    SELECT t.kind, t.cluster, t.id, c.level, c.class, c.members, 0
    FROM concerned t
    JOIN cluster_workload c ON c.organization_id = @organization AND c.cluster = t.cluster AND c.workload_id = t.id
    WHERE t.kind = 'workload'
  ) r
  GROUP BY kind, cluster, id, level, class
  RETURNING *
), gone_identity AS (
  DELETE FROM cluster_identity c USING delta d
  WHERE d.kind = 'identity' AND d.after = 0 AND d.before > 0
    AND c.organization_id = @organization AND c.cluster = d.cluster AND c.identity_id = d.id AND c.level = d.level AND c.class = d.class
), changed_identity AS (
  UPDATE cluster_identity c SET members = d.after FROM delta d
  WHERE d.kind = 'identity' AND d.after > 0 AND d.before > 0 AND d.after <> d.before
    AND c.organization_id = @organization AND c.cluster = d.cluster AND c.identity_id = d.id AND c.level = d.level AND c.class = d.class
), added_identity AS (
  INSERT INTO cluster_identity (organization_id, cluster, identity_id, level, class, members)
  SELECT @organization, cluster, id, level, class, after FROM delta
  WHERE kind = 'identity' AND before = 0 AND after > 0
  ORDER BY cluster, id, level, class
), gone_workload AS (
  DELETE FROM cluster_workload c USING delta d
  WHERE d.kind = 'workload' AND d.after = 0 AND d.before > 0
    AND c.organization_id = @organization AND c.cluster = d.cluster AND c.workload_id = d.id AND c.level = d.level AND c.class = d.class
), changed_workload AS (
  UPDATE cluster_workload c SET members = d.after FROM delta d
  WHERE d.kind = 'workload' AND d.after > 0 AND d.before > 0 AND d.after <> d.before
    AND c.organization_id = @organization AND c.cluster = d.cluster AND c.workload_id = d.id AND c.level = d.level AND c.class = d.class
)
INSERT INTO cluster_workload (organization_id, cluster, workload_id, level, class, members)
SELECT @organization, cluster, id, level, class, after FROM delta
WHERE kind = 'workload' AND before = 0 AND after > 0
ORDER BY cluster, id, level, class;

-- name: write_evidence
-- With every row of a subject that the change concerns, and of one whose
-- executions are others than they were.
WITH change AS MATERIALIZED (
  SELECT n.cluster, k.workload_id, k.identity_id, k.resource_id, n.level, n.class, sum(n.sign) AS members
  FROM member_delta n
  /* columns: subjects */
  WHERE n.evidence & k.bit <> 0
  GROUP BY n.cluster, k.workload_id, k.identity_id, k.resource_id, n.level, n.class
  HAVING sum(n.sign) <> 0
), concerned AS (
  SELECT cluster, workload_id, identity_id, resource_id FROM change
  UNION
  SELECT c.cluster, c.workload_id, c.identity_id, c.resource_id
  FROM evidence_run x
  JOIN cluster_evidence c ON c.organization_id = @organization AND c.cluster = ANY(@clusters::smallint[])
                         AND c.workload_id = x.workload_id AND c.identity_id = x.identity_id AND c.resource_id = x.resource_id
  WHERE c.executions <> x.executions
), delta AS (
  INSERT INTO evidence_delta (cluster, workload_id, identity_id, resource_id, level, class, before, after, executions_before, executions_after)
  SELECT r.cluster, r.workload_id, r.identity_id, r.resource_id, r.level, r.class, r.before, r.after, r.executions, coalesce(x.executions, r.executions)
  FROM (
    SELECT cluster, workload_id, identity_id, resource_id, level, class, sum(before) AS before, sum(before + change) AS after, max(executions) AS executions
    FROM (
      SELECT cluster, workload_id, identity_id, resource_id, level, class, 0 AS before, members AS change, NULL::bigint AS executions FROM change
      UNION ALL
      SELECT t.cluster, t.workload_id, t.identity_id, t.resource_id, c.level, c.class, c.members, 0, c.executions
      FROM concerned t
      JOIN cluster_evidence c ON c.organization_id = @organization AND c.cluster = t.cluster
                             AND c.workload_id = t.workload_id AND c.identity_id = t.identity_id AND c.resource_id = t.resource_id
    ) a
    GROUP BY cluster, workload_id, identity_id, resource_id, level, class
  ) r
  LEFT JOIN evidence_run x ON x.workload_id = r.workload_id AND x.identity_id = r.identity_id AND x.resource_id = r.resource_id
  RETURNING *
), gone AS (
  DELETE FROM cluster_evidence c USING delta d
  WHERE d.after = 0 AND d.before > 0
    AND c.organization_id = @organization AND c.cluster = d.cluster
    AND c.workload_id = d.workload_id AND c.identity_id = d.identity_id AND c.resource_id = d.resource_id AND c.level = d.level AND c.class = d.class
), changed AS (
  UPDATE cluster_evidence c SET members = d.after, executions = d.executions_after FROM delta d
  WHERE d.after > 0 AND d.before > 0 AND (d.after <> d.before OR d.executions_after <> d.executions_before)
    AND c.organization_id = @organization AND c.cluster = d.cluster
    AND c.workload_id = d.workload_id AND c.identity_id = d.identity_id AND c.resource_id = d.resource_id AND c.level = d.level AND c.class = d.class
)
INSERT INTO cluster_evidence (organization_id, cluster, workload_id, identity_id, resource_id, level, class, members, executions)
SELECT @organization, cluster, workload_id, identity_id, resource_id, level, class, after, executions_after FROM delta
WHERE before = 0 AND after > 0
ORDER BY cluster, workload_id, identity_id, resource_id, level, class;

-- name: diff_counters
-- A thing is counted from the lowest level on at which anything refers to it: it
-- leaves where that was and enters where it is. Levels are summed up last.
WITH thing AS ( -- how many went from which level to which
  SELECT kind, cluster, class, left_level, entered_level, count(*) AS things
  FROM (
    SELECT kind, cluster, coalesce(class, @all_classes) AS class, min(level) FILTER (WHERE before > 0) AS left_level, min(level) FILTER (WHERE after > 0) AS entered_level
    FROM reference_delta
    GROUP BY GROUPING SETS ((kind, cluster, id, class), (kind, cluster, id))
  ) t
  WHERE left_level IS DISTINCT FROM entered_level
  GROUP BY kind, cluster, class, left_level, entered_level
), subject AS (
  SELECT cluster, class, left_level, entered_level, sum(executions_before) AS executions_before, sum(executions_after) AS executions_after
  FROM (
    SELECT cluster, coalesce(class, @all_classes) AS class, min(level) FILTER (WHERE before > 0) AS left_level, min(level) FILTER (WHERE after > 0) AS entered_level,
           max(executions_before) FILTER (WHERE before > 0) AS executions_before, max(executions_after) FILTER (WHERE after > 0) AS executions_after
    FROM evidence_delta
    GROUP BY GROUPING SETS ((cluster, workload_id, identity_id, resource_id, class), (cluster, workload_id, identity_id, resource_id))
  ) t
  GROUP BY cluster, class, left_level, entered_level
), part (cluster, level, class, /* columns: counts */) AS (
  SELECT cluster, level, coalesce(class, @all_classes), sum(members), 0, 0, 0,
         sum(members) FILTER (WHERE executed), sum(members) FILTER (WHERE executed AND sensitivity >= 3), sum(members) FILTER (WHERE executed IS NULL),
         sum(members) FILTER (WHERE ownership_status = 'valid'), sum(members) FILTER (WHERE ownership_status = 'degraded'),
         sum(members) FILTER (WHERE ownership_status = 'ambiguous'), sum(members) FILTER (WHERE ownership_status = 'orphaned'),
         sum(members) FILTER (WHERE ownership_status = 'unknown'),
         sum(members) FILTER (WHERE sensitivity = 0), sum(members) FILTER (WHERE sensitivity = 1), sum(members) FILTER (WHERE sensitivity = 2),
         sum(members) FILTER (WHERE sensitivity = 3), sum(members) FILTER (WHERE sensitivity = 4)
  FROM member_sum
  GROUP BY GROUPING SETS ((cluster, level, class), (cluster, level))
  UNION ALL
  SELECT cluster, v.level, class, 0, sum(v.things) FILTER (WHERE kind = 'identity'), sum(v.things) FILTER (WHERE kind = 'workload'),
         0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
  FROM thing CROSS JOIN LATERAL (VALUES (left_level, -things), (entered_level, things)) AS v(level, things)
  WHERE v.level IS NOT NULL
  GROUP BY cluster, v.level, class
  UNION ALL
  SELECT cluster, v.level, class, 0, 0, 0, sum(v.executions), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
  FROM subject CROSS JOIN LATERAL (VALUES (left_level, -executions_before), (entered_level, executions_after)) AS v(level, executions)
  WHERE v.level IS NOT NULL
  GROUP BY cluster, v.level, class
), total (cluster, level, class, /* columns: counts */) AS (
  SELECT p.cluster, l.level, p.class, /* columns: sums */
  FROM part p JOIN generate_series(1, 3) AS l(level) ON p.level <= l.level
  GROUP BY p.cluster, l.level, p.class
)
INSERT INTO counter_delta (cluster, level, class, /* columns: counts */)
SELECT cluster, level, class, /* columns: counts */
FROM total
WHERE (/* columns: counts */) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

-- name: write_counters
-- A counter that has only just come to its value was never seen with it. The parts
-- all see the counters as they were. They are so few that the planner would go
-- through them all if it did not know how many differ.
WITH kept AS (
  INSERT INTO cluster_counter_version (organization_id, cluster, level, class, from_at, to_at, /* columns: counts */)
  SELECT @organization, c.cluster, c.level, c.class, c.from_at, @at, /* columns: values */
  FROM counter_delta d
  JOIN cluster_counter c ON c.organization_id = @organization AND c.cluster = d.cluster AND c.level = d.level AND c.class = d.class
  WHERE c.from_at <> @at
  ORDER BY c.class, c.level, c.cluster
), changed AS (
  UPDATE cluster_counter c
  SET from_at = @at, /* columns: additions */
  FROM counter_delta d
  WHERE c.organization_id = @organization AND c.cluster = d.cluster AND c.level = d.level AND c.class = d.class
)
INSERT INTO cluster_counter (organization_id, cluster, level, class, from_at, /* columns: counts */)
SELECT @organization, d.cluster, d.level, d.class, @at, /* columns: counts */
FROM counter_delta d
WHERE NOT EXISTS (SELECT FROM cluster_counter c WHERE c.organization_id = @organization AND c.cluster = d.cluster AND c.level = d.level AND c.class = d.class)
ORDER BY d.class, d.level, d.cluster;

-- name: write_tallies
-- A tally that has only just come to its value was never seen with it. The parts
-- all see the tallies as they were.
WITH change AS (
  SELECT cluster, level, class,
         CASE WHEN grouping(first_seen) = 0 THEN 'first_seen' WHEN grouping(exposed_since) = 0 THEN 'exposed_since' ELSE 'sensitive_domain' END AS dimension,
         coalesce(to_char(coalesce(first_seen, exposed_since), 'YYYY-MM-DD'), sensitive_domain) AS value, sum(members) AS members
  FROM member_sum
  GROUP BY GROUPING SETS ((cluster, level, class, first_seen), (cluster, level, class, exposed_since), (cluster, level, class, sensitive_domain))
), total AS (
  SELECT c.cluster, l.level, coalesce(c.class, @all_classes) AS class, c.dimension, c.value, sum(c.members) AS members
  FROM change c JOIN generate_series(1, 3) AS l(level) ON c.level <= l.level
  WHERE c.value IS NOT NULL
  GROUP BY GROUPING SETS ((c.cluster, l.level, c.class, c.dimension, c.value), (c.cluster, l.level, c.dimension, c.value))
  HAVING sum(c.members) <> 0
), delta AS MATERIALIZED (
  SELECT d.cluster, d.level, d.class, d.dimension, d.value, coalesce(t.members, 0) AS before, coalesce(t.members, 0) + d.members AS after
  FROM total d
  LEFT JOIN cluster_tally t ON t.organization_id = @organization AND t.cluster = d.cluster AND t.level = d.level AND t.class = d.class
                           AND t.dimension = d.dimension AND t.value = d.value
), kept AS (
  INSERT INTO cluster_tally_version (organization_id, cluster, level, class, dimension, value, members, from_at, to_at)
  SELECT @organization, c.cluster, c.level, c.class, c.dimension, c.value, c.members, c.from_at, @at
  FROM delta d
  JOIN cluster_tally c ON c.organization_id = @organization AND c.cluster = d.cluster AND c.level = d.level AND c.class = d.class
                      AND c.dimension = d.dimension AND c.value = d.value
  WHERE d.before > 0 AND c.from_at <> @at
  ORDER BY c.class, c.level, c.cluster, c.dimension, c.value
), gone AS (
  DELETE FROM cluster_tally c USING delta d
  WHERE d.after = 0
    AND c.organization_id = @organization AND c.cluster = d.cluster AND c.level = d.level AND c.class = d.class AND c.dimension = d.dimension AND c.value = d.value
), changed AS (
  UPDATE cluster_tally c SET members = d.after, from_at = @at FROM delta d
  WHERE d.after > 0 AND d.before > 0
    AND c.organization_id = @organization AND c.cluster = d.cluster AND c.level = d.level AND c.class = d.class AND c.dimension = d.dimension AND c.value = d.value
)
INSERT INTO cluster_tally (organization_id, cluster, level, class, dimension, value, members, from_at)
SELECT @organization, cluster, level, class, dimension, value, after, @at FROM delta
WHERE before = 0
ORDER BY class, level, cluster, dimension, value;

-- name: analyze_clusters
SELECT analyze_exposures('clusters');
