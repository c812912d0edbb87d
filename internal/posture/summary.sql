Bringing the rows of workloads and identities, and with them the posture, to the
state that belongs to the paths as they now stand. summary.go explains the order.
The temporary tables desired, path_diff and touched are the change's: see
authority.Assessor.

-- columns: workload_values
class, live, listed, execution_mode, ownership_status, egress_category, egress_categories, identity_ids,
  paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, findings, finding_rules, max_severity,
  data_domains, sensitive_domains, clusters, executions, own_executions, last_execution_at

-- columns: next_workload_values
n.class, n.live, n.listed, n.execution_mode, n.ownership_status, n.egress_category, n.egress_categories, n.identity_ids,
  n.paths, n.sensitive_paths, n.dormant_paths, n.executed_paths, n.unwatched_paths, n.findings, n.finding_rules, n.max_severity,
  n.data_domains, n.sensitive_domains, n.clusters, n.executions, n.own_executions, n.last_execution_at

-- columns: former_workload_values
x.class, x.live, x.listed, x.execution_mode, x.ownership_status, x.egress_category, x.egress_categories, x.identity_ids,
  x.paths, x.sensitive_paths, x.dormant_paths, x.executed_paths, x.unwatched_paths, x.findings, x.finding_rules, x.max_severity,
  x.data_domains, x.sensitive_domains, x.clusters, x.executions, x.own_executions, x.last_execution_at

-- columns: identity_values
paths, effective_paths, dormant_paths, executed_paths, autonomous, executions

-- columns: posture
paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, invalid_paths, executed_invalid_paths, executions,
  workloads, autonomous, operator_assisted, human_triggered, unclassified, listed, critical, high, medium, low,
  identities, active_identities, active_autonomous, dormant_identities,
  paths_added, paths_removed, paths_orphaned, paths_invalidated, autonomous_gained

-- columns: former_posture
c.paths, c.sensitive_paths, c.dormant_paths, c.executed_paths, c.unwatched_paths, c.invalid_paths, c.executed_invalid_paths, c.executions,
  c.workloads, c.autonomous, c.operator_assisted, c.human_triggered, c.unclassified, c.listed, c.critical, c.high, c.medium, c.low,
  c.identities, c.active_identities, c.active_autonomous, c.dormant_identities,
  c.paths_added, c.paths_removed, c.paths_orphaned, c.paths_invalidated, c.autonomous_gained

-- columns: moved_posture
paths = c.paths + d.paths, sensitive_paths = c.sensitive_paths + d.sensitive_paths, dormant_paths = c.dormant_paths + d.dormant_paths,
  executed_paths = c.executed_paths + d.executed_paths, unwatched_paths = c.unwatched_paths + d.unwatched_paths,
  invalid_paths = c.invalid_paths + d.invalid_paths, executed_invalid_paths = c.executed_invalid_paths + d.executed_invalid_paths,
  executions = c.executions + d.executions, workloads = c.workloads + d.workloads, autonomous = c.autonomous + d.autonomous,
  operator_assisted = c.operator_assisted + d.operator_assisted, human_triggered = c.human_triggered + d.human_triggered,
  unclassified = c.unclassified + d.unclassified, listed = c.listed + d.listed, critical = c.critical + d.critical, high = c.high + d.high,
  medium = c.medium + d.medium, low = c.low + d.low, identities = c.identities + d.identities,
  active_identities = c.active_identities + d.active_identities, active_autonomous = c.active_autonomous + d.active_autonomous,
  dormant_identities = c.dormant_identities + d.dormant_identities, paths_added = c.paths_added + d.paths_added,
  paths_removed = c.paths_removed + d.paths_removed, paths_orphaned = c.paths_orphaned + d.paths_orphaned,
  paths_invalidated = c.paths_invalidated + d.paths_invalidated, autonomous_gained = c.autonomous_gained + d.autonomous_gained

-- columns: posture_sums
coalesce(sum(paths), 0), coalesce(sum(sensitive_paths), 0), coalesce(sum(dormant_paths), 0), coalesce(sum(executed_paths), 0),
  coalesce(sum(unwatched_paths), 0), coalesce(sum(invalid_paths), 0), coalesce(sum(executed_invalid_paths), 0), coalesce(sum(executions), 0),
  coalesce(sum(workloads), 0), coalesce(sum(autonomous), 0), coalesce(sum(operator_assisted), 0), coalesce(sum(human_triggered), 0),
  coalesce(sum(unclassified), 0), coalesce(sum(listed), 0), coalesce(sum(critical), 0), coalesce(sum(high), 0), coalesce(sum(medium), 0),
  coalesce(sum(low), 0), coalesce(sum(identities), 0), coalesce(sum(active_identities), 0), coalesce(sum(active_autonomous), 0),
  coalesce(sum(dormant_identities), 0), coalesce(sum(paths_added), 0), coalesce(sum(paths_removed), 0), coalesce(sum(paths_orphaned), 0),
  coalesce(sum(paths_invalidated), 0), coalesce(sum(autonomous_gained), 0)

-- columns: subjects
CROSS JOIN LATERAL (VALUES -- whom evidence of a path can name
    (1, n.workload_id, @nil::uuid, n.resource_id), (2, n.workload_id, n.identity_id, n.resource_id), (4, @nil, n.identity_id, n.resource_id),
    (8, n.workload_id, @nil, @nil), (16, n.workload_id, n.identity_id, @nil), (32, @nil, n.identity_id, @nil)
  ) AS k(bit, workload_id, identity_id, resource_id)

-- columns: decided
SELECT x.workload_id, x.code, x.class, x.live, x.live AND (x.paths > 0 OR x.findings + d.findings > 0), x.execution_mode, x.ownership_status, x.egress_category,
       x.egress_categories, x.identity_ids, x.paths, x.sensitive_paths, x.dormant_paths + d.dormant_paths, x.executed_paths, x.unwatched_paths,
       x.findings + d.findings, x.finding_rules & ~(@reach::integer | @privilege::integer) | coalesce(p.finding_rules, 0),
       CASE WHEN p.effective THEN coalesce(p.severity, 0) ELSE x.max_severity END,
       x.data_domains, x.sensitive_domains, coalesce(c.clusters, 0), x.executions, x.own_executions, x.last_execution_at
FROM decided_workload d
JOIN workload_exposure x ON x.organization_id = @organization AND x.workload_id = d.workload_id
CROSS JOIN LATERAL (
  SELECT bit_or(p.accepted_mask & (@reach::integer | @privilege::integer)) AS finding_rules, bool_or(p.effective) AS effective, max(p.max_exposure_severity) AS severity
  FROM authority_path p
  WHERE p.organization_id = @organization AND p.workload_id = d.workload_id AND p.status = 'active'
) p
CROSS JOIN LATERAL (
  SELECT bit_or(1 << (c.cluster - 1)) AS clusters
  FROM cluster_workload c
  WHERE c.organization_id = @organization AND c.cluster = ANY (@clusters::smallint[]) AND c.workload_id = d.workload_id AND c.level <= @level
) c

-- name: create_summary
CREATE TEMPORARY TABLE IF NOT EXISTS summed_workload (workload_id uuid PRIMARY KEY, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS summed_identity (identity_id uuid PRIMARY KEY, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS decided_workload (workload_id uuid NOT NULL, dormant_paths integer NOT NULL, findings integer NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS workload_next AS
SELECT workload_id, code, /* columns: workload_values */, NULL::text AS digest, NULL::char(2000) AS few FROM workload_exposure WITH NO DATA;
CREATE TEMPORARY TABLE IF NOT EXISTS identity_next AS
SELECT identity_id, class, /* columns: identity_values */, NULL::char(2000) AS few FROM identity_posture WITH NO DATA;
CREATE TEMPORARY TABLE IF NOT EXISTS posture_delta AS
SELECT class, /* columns: posture */, NULL::char(2000) AS few FROM posture_counter WITH NO DATA;
SELECT empty_work_tables('{summed_workload, summed_identity, decided_workload, workload_next, identity_next, posture_delta}');

-- name: find_summed_workloads
-- Those whose own row, paths or conditions may differ, and those that end up with
-- an identity whose name, life or conditions may.
WITH RECURSIVE upstream AS (
  SELECT t.id FROM touched t WHERE t.reason IN ('identity', 'activity')
  UNION
  SELECT e.from_id
  FROM upstream u
  JOIN edge e ON e.organization_id = @organization AND e.kind IN ('runs_as', 'authenticates') AND e.to_id = u.id
), candidate AS (
  SELECT t.id FROM touched t WHERE t.reason IN ('context', 'workload')
  UNION
  SELECT u.id FROM upstream u
  UNION
  SELECT d.workload_id FROM desired d
  UNION
  SELECT p.workload_id
  FROM path_diff x
  JOIN authority_path p ON p.organization_id = @organization AND p.id = x.path_id
  WHERE x.op = 'removed'
)
INSERT INTO summed_workload (workload_id)
SELECT c.id FROM candidate c JOIN entity w ON w.organization_id = @organization AND w.id = c.id WHERE w.kind = 'workload';

-- name: find_first_workloads
-- As find_summed_workloads, where nothing was before: all of them.
INSERT INTO summed_workload (workload_id)
SELECT w.id FROM entity w WHERE w.organization_id = @organization AND w.kind = 'workload'
ORDER BY w.id;

-- name: find_summed_identities
INSERT INTO summed_identity (identity_id)
SELECT d.identity_id FROM desired d WHERE d.identity_id IS NOT NULL
UNION
SELECT p.identity_id
FROM path_diff x
JOIN authority_path p ON p.organization_id = @organization AND p.id = x.path_id
WHERE x.op = 'removed' AND p.identity_id IS NOT NULL;

-- name: weigh_decisions
-- What of the paths of desired, which stand as they stood, differs by their masks:
-- in what the row of a workload can show, which is whether a path is dormant, reaches
-- too far or may do too much, how grave it is, and the clusters that it is in but for
-- what is open alone; in what that of an identity shows, which is whether a path is
-- dormant; and how many members differ, and how many of them by what is proven.
WITH moved AS MATERIALIZED (
  SELECT p.workload_id, p.identity_id,
         (p.accepted_mask # m.accepted_mask) & (@dormant::integer | @reach::integer | @privilege::integer) <> 0
           OR p.max_exposure_severity IS DISTINCT FROM m.max_exposure_severity
           OR p.acknowledged_mask <> m.acknowledged_mask AND EXISTS (SELECT FROM member_delta d WHERE d.workload_id = p.workload_id) AS shows,
         (m.accepted_mask & @dormant::integer <> 0)::integer - (p.accepted_mask & @dormant::integer <> 0)::integer AS dormant_paths,
         (m.accepted_mask & @reach::integer <> 0)::integer - (p.accepted_mask & @reach::integer <> 0)::integer
           + (m.accepted_mask & @privilege::integer <> 0)::integer - (p.accepted_mask & @privilege::integer <> 0)::integer AS findings
  FROM path_mask m
  JOIN authority_path p ON p.organization_id = @organization AND p.id = m.path_id
), workloads AS (
  INSERT INTO decided_workload (workload_id, dormant_paths, findings)
  SELECT workload_id, sum(dormant_paths), sum(findings) FROM moved WHERE shows GROUP BY workload_id
  RETURNING 1
), identities AS (
  INSERT INTO summed_identity (identity_id)
  SELECT DISTINCT identity_id FROM moved WHERE dormant_paths <> 0 AND identity_id IS NOT NULL
  RETURNING 1
)
SELECT (SELECT count(*) FROM workloads) AS workloads, (SELECT count(*) FROM identities) AS identities, d.members, d.proven
FROM (SELECT count(*) AS members, count(*) FILTER (WHERE evidence <> 0) AS proven FROM member_delta) d;

-- name: sum_decided
-- As sum_workloads, where the row stands but for what decisions make of it. What
-- the conditions of a workload and its identities find is nobody's decision.
INSERT INTO workload_next (workload_id, code, /* columns: workload_values */)
/* columns: decided */;

-- name: move_workloads
-- As sum_decided, diff_posture, write_workloads and write_posture, where rows of
-- workloads alone differ, and in nothing but what decisions make of them.
WITH next (workload_id, code, /* columns: workload_values */) AS MATERIALIZED (
/* columns: decided */
), former AS MATERIALIZED (
  SELECT x.class, x.live, x.dormant_paths, x.listed, x.max_severity
  FROM decided_workload d JOIN workload_exposure x ON x.organization_id = @organization AND x.workload_id = d.workload_id
), delta AS MATERIALIZED (
  SELECT k.class, sum(w.sign * w.dormant_paths) AS dormant_paths, sum(CASE WHEN w.listed THEN w.sign ELSE 0 END) AS listed,
         sum(CASE WHEN w.listed AND w.max_severity = 4 THEN w.sign ELSE 0 END) AS critical, sum(CASE WHEN w.listed AND w.max_severity = 3 THEN w.sign ELSE 0 END) AS high,
         sum(CASE WHEN w.listed AND w.max_severity = 2 THEN w.sign ELSE 0 END) AS medium, sum(CASE WHEN w.listed AND w.max_severity = 1 THEN w.sign ELSE 0 END) AS low
  FROM (SELECT 1 AS sign, class, dormant_paths, listed, max_severity FROM next WHERE live
        UNION ALL
        SELECT -1, class, dormant_paths, listed, max_severity FROM former WHERE live) w
  CROSS JOIN LATERAL (VALUES (w.class), (@all_classes::integer)) AS k(class)
  GROUP BY k.class
), moved AS (
  SELECT * FROM delta WHERE (dormant_paths, listed, critical, high, medium, low) <> (0, 0, 0, 0, 0, 0)
), kept AS (
  INSERT INTO posture_counter_version (organization_id, class, from_at, to_at, /* columns: posture */)
  SELECT @organization, c.class, c.from_at, @at, /* columns: former_posture */
  FROM moved d
  JOIN posture_counter c ON c.organization_id = @organization AND c.class = d.class
  WHERE c.class = ANY (ARRAY(SELECT class FROM moved)) AND c.from_at <> @at
), counted AS (
  UPDATE posture_counter c
  SET from_at = @at, dormant_paths = c.dormant_paths + d.dormant_paths, listed = c.listed + d.listed,
      critical = c.critical + d.critical, high = c.high + d.high, medium = c.medium + d.medium, low = c.low + d.low
  FROM moved d
  WHERE c.organization_id = @organization AND c.class = ANY (ARRAY(SELECT class FROM moved)) AND c.class = d.class
), kept_workloads AS (
  INSERT INTO workload_exposure_version (organization_id, workload_id, code, from_at, to_at, /* columns: workload_values */)
  SELECT @organization, x.workload_id, x.code, x.from_at, @at, /* columns: former_workload_values */
  FROM next n
  JOIN workload_exposure x ON x.organization_id = @organization AND x.workload_id = n.workload_id
  WHERE x.from_at <> @at AND (/* columns: former_workload_values */) IS DISTINCT FROM (/* columns: next_workload_values */)
)
UPDATE workload_exposure x
SET from_at = @at, (/* columns: workload_values */) = (/* columns: next_workload_values */)
FROM next n
WHERE x.organization_id = @organization AND x.workload_id = n.workload_id
  AND (/* columns: former_workload_values */) IS DISTINCT FROM (/* columns: next_workload_values */);

-- name: analyze_summed
ANALYZE summed_workload, summed_identity;

-- name: sum_workloads
-- @severities is what each rule weighs on a path that has nothing to add. A
-- workload that was gone when it was first heard of has no row.
WITH RECURSIVE target AS MATERIALIZED (
  SELECT w.id, w.class, w.status <> 'removed' AS live, w.execution_mode, w.ownership_status, w.egress_category
  FROM summed_workload s
  JOIN entity w ON w.organization_id = @organization AND w.id = s.workload_id
), path AS MATERIALIZED ( -- few paths differ in domain and sensitivity, so that the lists are short before they are made distinct
  SELECT p.workload_id, p.data_domain, p.sensitivity >= 3 AS sensitive, count(*) AS paths,
         count(*) FILTER (WHERE p.accepted_mask & @dormant::integer <> 0) AS dormant_paths,
         count(*) FILTER (WHERE p.execution_30d > 0) AS executed_paths, count(*) FILTER (WHERE p.execution_30d IS NULL) AS unwatched_paths,
         count(*) FILTER (WHERE p.accepted_mask & @reach::integer <> 0) + count(*) FILTER (WHERE p.accepted_mask & @privilege::integer <> 0) AS findings,
         bit_or(p.accepted_mask & (@reach::integer | @privilege::integer)) AS finding_rules,
         bool_or(p.effective) AS effective, max(p.max_exposure_severity) AS severity
  FROM summed_workload s
  JOIN authority_path p ON p.organization_id = @organization AND p.workload_id = s.workload_id AND p.status = 'active'
  GROUP BY 1, 2, 3
), sums AS (
  SELECT workload_id, sum(paths) AS paths, sum(paths) FILTER (WHERE sensitive) AS sensitive_paths, sum(dormant_paths) AS dormant_paths,
         sum(executed_paths) AS executed_paths, sum(unwatched_paths) AS unwatched_paths, sum(findings) AS findings, bit_or(finding_rules) AS finding_rules,
         bool_or(effective) AS effective, max(severity) AS severity,
         array_agg(DISTINCT data_domain ORDER BY data_domain) FILTER (WHERE data_domain IS NOT NULL) AS data_domains,
         array_agg(DISTINCT data_domain ORDER BY data_domain) FILTER (WHERE data_domain IS NOT NULL AND sensitive) AS sensitive_domains
  FROM path
  GROUP BY workload_id
), walk AS (
  SELECT t.id AS workload_id, e.to_id AS identity_id, CASE e.kind WHEN 'runs_as' THEN 0 ELSE 1 END AS depth
  FROM target t
  JOIN edge e ON e.organization_id = @organization AND e.kind IN ('runs_as', 'authenticates') AND e.from_id = t.id
  JOIN entity i ON i.organization_id = @organization AND i.id = e.to_id AND i.status <> 'removed'
  WHERE t.live
  UNION
  SELECT b.workload_id, e.to_id, b.depth + 1
  FROM walk b
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'authenticates' AND e.from_id = b.identity_id
  JOIN entity i ON i.organization_id = @organization AND i.id = e.to_id AND i.status <> 'removed'
  WHERE b.depth < @max_depth::integer
), bound AS MATERIALIZED (
  SELECT b.workload_id, b.identity_id, min(b.depth) AS depth FROM walk b GROUP BY b.workload_id, b.identity_id
), named AS (
  SELECT b.workload_id, array_agg(b.identity_id ORDER BY b.depth, i.name, b.identity_id) AS identity_ids
  FROM bound b
  JOIN entity i ON i.organization_id = @organization AND i.id = b.identity_id
  GROUP BY b.workload_id
), finding AS (
  SELECT s.workload_id, count(*) AS findings, bit_or(1 << (c.rule - 1)) AS rules, max((@severities::smallint[])[c.rule]) FILTER (WHERE s.own) AS severity
  FROM (SELECT t.id AS workload_id, t.id AS subject_id, true AS own FROM target t WHERE t.live
        UNION ALL
        SELECT b.workload_id, b.identity_id, false FROM bound b) s
  JOIN condition c ON c.organization_id = @organization AND c.subject_id = s.subject_id AND c.to_at IS NULL
  GROUP BY s.workload_id
), egresses AS (
  SELECT g.workload_id, bit_or(CASE g.category WHEN 'internal' THEN 1 WHEN 'external' THEN 2 ELSE 4 END) AS categories
  FROM target t
  JOIN egress g ON g.organization_id = @organization AND g.workload_id = t.id
  WHERE t.live
  GROUP BY g.workload_id
), clustered AS (
  SELECT c.workload_id, bit_or(1 << (c.cluster - 1)) AS clusters
  FROM target t
  JOIN cluster_workload c ON c.organization_id = @organization AND c.cluster = ANY (@clusters::smallint[]) AND c.workload_id = t.id AND c.level <= @level
  GROUP BY c.workload_id
), counted AS MATERIALIZED ( -- the evidence that a workload counts, each once
  SELECT DISTINCT n.workload_id AS counts_for, k.workload_id, k.identity_id, k.resource_id
  FROM (
    SELECT p.workload_id, p.identity_id, p.resource_id, p.execution_basis
    FROM summed_workload s
    JOIN authority_path p ON p.organization_id = @organization AND p.workload_id = s.workload_id AND p.status = 'active'
    WHERE p.execution_basis IS NOT NULL
  ) n
  /* columns: subjects */
  WHERE CASE n.execution_basis WHEN 'path' THEN 1 | 2 | 4 WHEN 'workload' THEN 8 | 16 WHEN 'identity' THEN 32 END & k.bit <> 0
    AND k.identity_id IS NOT NULL
), run AS (
  SELECT counts_for AS workload_id, sum(executions) AS executions, sum(executions) FILTER (WHERE own) AS own_executions
  FROM (
    SELECT c.counts_for, c.workload_id <> @nil AS own, e.count AS executions
    FROM counted c
    JOIN evidence e ON e.organization_id = @organization AND e.workload_id = c.workload_id AND e.identity_id = c.identity_id AND e.resource_id = c.resource_id
                   AND e.day > @window_start::timestamptz::date
    UNION ALL -- what runs without holding any authority
    SELECT t.id, true, e.count
    FROM target t
    JOIN evidence e ON e.organization_id = @organization AND e.workload_id = t.id AND e.resource_id = @nil AND e.day > @window_start::timestamptz::date
    WHERE t.live AND NOT EXISTS (SELECT FROM sums p WHERE p.workload_id = t.id)
  ) r
  GROUP BY counts_for
), own_evidence AS (
  SELECT e.workload_id, max(coalesce(e.last_at, e.day::timestamp AT TIME ZONE 'UTC')) AS last_at
  FROM target t
  JOIN evidence e ON e.organization_id = @organization AND e.workload_id = t.id
  WHERE t.live
  GROUP BY e.workload_id
), identity_evidence AS (
  SELECT b.workload_id, max(coalesce(e.last_at, e.day::timestamp AT TIME ZONE 'UTC')) AS last_at
  FROM bound b
  JOIN evidence e ON e.organization_id = @organization AND e.workload_id = @nil AND e.identity_id = b.identity_id
  GROUP BY b.workload_id
), summary AS (
  SELECT t.*, coalesce(g.categories, 0) AS egress_categories, coalesce(i.identity_ids, '{}') AS identity_ids,
         coalesce(p.paths, 0) AS paths, coalesce(p.sensitive_paths, 0) AS sensitive_paths, coalesce(p.dormant_paths, 0) AS dormant_paths,
         coalesce(p.executed_paths, 0) AS executed_paths, coalesce(p.unwatched_paths, 0) AS unwatched_paths,
         coalesce(p.findings, 0) + coalesce(f.findings, 0) AS findings, coalesce(p.finding_rules, 0) | coalesce(f.rules, 0) AS finding_rules,
         coalesce(CASE WHEN p.effective THEN p.severity ELSE f.severity END, 0) AS max_severity,
         coalesce(p.data_domains, '{}') AS data_domains, coalesce(p.sensitive_domains, '{}') AS sensitive_domains, coalesce(c.clusters, 0) AS clusters,
         coalesce(r.executions, CASE WHEN p.paths > 0 AND p.unwatched_paths = 0 THEN 0 END) AS executions, coalesce(r.own_executions, 0) AS own_executions,
         coalesce(o.last_at, v.last_at) AS last_execution_at
  FROM target t
  LEFT JOIN sums p ON p.workload_id = t.id
  LEFT JOIN named i ON i.workload_id = t.id
  LEFT JOIN finding f ON f.workload_id = t.id
  LEFT JOIN egresses g ON g.workload_id = t.id
  LEFT JOIN clustered c ON c.workload_id = t.id
  LEFT JOIN run r ON r.workload_id = t.id
  LEFT JOIN own_evidence o ON o.workload_id = t.id
  LEFT JOIN identity_evidence v ON v.workload_id = t.id
)
INSERT INTO workload_next (workload_id, code, /* columns: workload_values */)
SELECT n.id, x.code, n.class, n.live, n.live AND (n.paths > 0 OR n.findings > 0), n.execution_mode, n.ownership_status, n.egress_category,
       n.egress_categories, n.identity_ids, n.paths, n.sensitive_paths, n.dormant_paths, n.executed_paths, n.unwatched_paths, n.findings, n.finding_rules,
       n.max_severity, n.data_domains, n.sensitive_domains, n.clusters, n.executions, n.own_executions, n.last_execution_at
FROM summary n
LEFT JOIN workload_exposure x ON x.organization_id = @organization AND x.workload_id = n.id
WHERE n.live OR x.workload_id IS NOT NULL;

-- name: sum_identities
WITH path AS MATERIALIZED (
  SELECT p.identity_id, p.class, count(*) AS paths, count(*) FILTER (WHERE p.effective) AS effective_paths,
         count(*) FILTER (WHERE p.accepted_mask & @dormant::integer <> 0) AS dormant_paths, count(*) FILTER (WHERE p.execution_30d > 0) AS executed_paths,
         bool_or(p.execution_30d > 0 AND w.execution_mode IS NOT DISTINCT FROM 'autonomous') AS autonomous
  FROM summed_identity s
  JOIN authority_path p ON p.organization_id = @organization AND p.identity_id = s.identity_id AND p.status = 'active'
  JOIN entity w ON w.organization_id = @organization AND w.id = p.workload_id
  GROUP BY p.identity_id, p.class
), sums AS (
  SELECT identity_id, coalesce(class, @all_classes::integer) AS class, sum(paths) AS paths, sum(effective_paths) AS effective_paths, sum(dormant_paths) AS dormant_paths,
         sum(executed_paths) AS executed_paths, bool_or(coalesce(autonomous, false)) AS autonomous
  FROM path
  GROUP BY GROUPING SETS ((identity_id, class), (identity_id))
), counted AS MATERIALIZED ( -- the evidence without a workload that its paths count, each once
  SELECT DISTINCT p.identity_id, p.class, CASE p.execution_basis WHEN 'path' THEN p.resource_id ELSE @nil END AS resource_id
  FROM summed_identity s
  JOIN authority_path p ON p.organization_id = @organization AND p.identity_id = s.identity_id AND p.status = 'active'
  WHERE p.execution_basis IN ('path', 'identity')
), run AS (
  SELECT c.identity_id, c.class, sum(e.count) AS executions
  FROM (SELECT identity_id, class, resource_id FROM counted UNION SELECT identity_id, @all_classes::integer, resource_id FROM counted) c
  JOIN evidence e ON e.organization_id = @organization AND e.workload_id = @nil AND e.identity_id = c.identity_id AND e.resource_id = c.resource_id
                 AND e.day > @window_start::timestamptz::date
  GROUP BY c.identity_id, c.class
)
INSERT INTO identity_next (identity_id, class, /* columns: identity_values */)
SELECT s.identity_id, s.class, s.paths, s.effective_paths, s.dormant_paths, s.executed_paths, s.autonomous, coalesce(r.executions, 0)
FROM sums s
LEFT JOIN run r ON r.identity_id = s.identity_id AND r.class = s.class;

-- name: analyze_next
ANALYZE workload_next (workload_id, code), identity_next (identity_id, class);

-- name: digest_codes
UPDATE workload_next n SET digest = workload_exposure_digest(@organization, n.workload_id) WHERE n.code IS NULL;

-- name: assign_codes
-- Of those that have none yet, each whose first digits nobody has; where several
-- share them, the first.
UPDATE workload_next n
SET code = c.code
FROM (
  SELECT DISTINCT ON (left(w.digest, @digits::integer)) w.workload_id, 'EXP-' || left(w.digest, @digits::integer) AS code
  FROM workload_next w
  WHERE w.code IS NULL
  ORDER BY left(w.digest, @digits::integer), w.workload_id
) c
WHERE n.workload_id = c.workload_id
  AND NOT EXISTS (SELECT FROM workload_exposure x WHERE x.organization_id = @organization AND x.code = c.code);

-- name: diff_posture
-- What was is taken from the rows as they stand, what is from the next ones.
WITH moved AS MATERIALIZED (
  SELECT p.workload_id, count(*) FILTER (WHERE x.op IN ('added', 'revived')) AS added, count(*) FILTER (WHERE x.op = 'removed') AS removed
  FROM path_diff x
  JOIN authority_path p ON p.organization_id = @organization AND p.id = x.path_id
  WHERE x.op <> 'changed'
  GROUP BY p.workload_id
), former AS MATERIALIZED (
  SELECT x.* FROM workload_next n JOIN workload_exposure x ON x.organization_id = @organization AND x.workload_id = n.workload_id
), workload (class, /* columns: posture */) AS (
  SELECT w.class, w.sign * w.paths, w.sign * w.sensitive_paths, w.sign * w.dormant_paths, w.sign * w.executed_paths, w.sign * w.unwatched_paths,
         CASE WHEN w.ownership_status IN ('orphaned', 'degraded') THEN w.sign * w.paths ELSE 0 END,
         CASE WHEN w.ownership_status IN ('orphaned', 'degraded') THEN w.sign * w.executed_paths ELSE 0 END,
         w.sign * w.own_executions, w.sign,
         CASE WHEN w.execution_mode = 'autonomous' THEN w.sign ELSE 0 END, CASE WHEN w.execution_mode = 'operator_assisted' THEN w.sign ELSE 0 END,
         CASE WHEN w.execution_mode = 'human_triggered' THEN w.sign ELSE 0 END,
         CASE WHEN coalesce(w.execution_mode, '') NOT IN ('autonomous', 'operator_assisted', 'human_triggered') THEN w.sign ELSE 0 END,
         CASE WHEN w.listed THEN w.sign ELSE 0 END,
         CASE WHEN w.listed AND w.max_severity = 4 THEN w.sign ELSE 0 END, CASE WHEN w.listed AND w.max_severity = 3 THEN w.sign ELSE 0 END,
         CASE WHEN w.listed AND w.max_severity = 2 THEN w.sign ELSE 0 END, CASE WHEN w.listed AND w.max_severity = 1 THEN w.sign ELSE 0 END,
         0, 0, 0, 0, 0, 0, 0, 0, 0
  FROM (
    SELECT 1 AS sign, class, paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, ownership_status, own_executions, execution_mode, listed, max_severity
    FROM workload_next WHERE live
    UNION ALL
    SELECT -1, class, paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, ownership_status, own_executions, execution_mode, listed, max_severity
    FROM former WHERE live
  ) w
  UNION ALL
  SELECT n.class, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, coalesce(m.added, 0), coalesce(m.removed, 0),
         CASE WHEN n.ownership_status <> 'orphaned' THEN 0
              WHEN x.live AND x.ownership_status = 'orphaned' THEN coalesce(m.added, 0) ELSE n.paths END,
         CASE WHEN n.ownership_status NOT IN ('orphaned', 'degraded') THEN 0
              WHEN x.live AND x.ownership_status IN ('orphaned', 'degraded') THEN coalesce(m.added, 0) ELSE n.paths END, 0
  FROM workload_next n
  LEFT JOIN former x ON x.workload_id = n.workload_id
  LEFT JOIN moved m ON m.workload_id = n.workload_id
), identity (class, /* columns: posture */) AS (
  SELECT i.class, 0, 0, 0, 0, 0, 0, 0, i.sign * i.executions, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
         i.sign, CASE WHEN i.executed_paths > 0 THEN i.sign ELSE 0 END, CASE WHEN i.autonomous THEN i.sign ELSE 0 END,
         CASE WHEN i.effective_paths > 0 AND i.dormant_paths = i.effective_paths THEN i.sign ELSE 0 END, 0, 0, 0, 0,
         CASE WHEN i.sign > 0 AND i.autonomous AND NOT i.was_autonomous THEN 1 ELSE 0 END
  FROM (
    SELECT 1 AS sign, n.class, n.paths, n.effective_paths, n.dormant_paths, n.executed_paths, n.autonomous, n.executions, coalesce(x.autonomous, false) AS was_autonomous
    FROM identity_next n
    LEFT JOIN identity_posture x ON x.organization_id = @organization AND x.identity_id = n.identity_id AND x.class = n.class
    UNION ALL
    SELECT -1, x.class, x.paths, x.effective_paths, x.dormant_paths, x.executed_paths, x.autonomous, x.executions, false
    FROM summed_identity s
    JOIN identity_posture x ON x.organization_id = @organization AND x.identity_id = s.identity_id
  ) i
), total (class, /* columns: posture */) AS (
  SELECT coalesce(class, @all_classes::integer), /* columns: posture_sums */ FROM workload GROUP BY GROUPING SETS ((class), ())
  UNION ALL
  SELECT class, /* columns: posture_sums */ FROM identity GROUP BY class
)
INSERT INTO posture_delta (class, /* columns: posture */)
SELECT class, /* columns: posture */
FROM (SELECT class, /* columns: posture_sums */ FROM total GROUP BY class) d (class, /* columns: posture */)
WHERE (/* columns: posture */) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

-- name: write_workloads
-- A row that has only just come to its values was never seen with them. The parts
-- all see the rows as they were.
WITH kept AS (
  INSERT INTO workload_exposure_version (organization_id, workload_id, code, from_at, to_at, /* columns: workload_values */)
  SELECT @organization, x.workload_id, x.code, x.from_at, @at, /* columns: former_workload_values */
  FROM workload_next n
  JOIN workload_exposure x ON x.organization_id = @organization AND x.workload_id = n.workload_id
  WHERE n.digest IS NULL AND x.from_at <> @at
    AND (/* columns: former_workload_values */) IS DISTINCT FROM (/* columns: next_workload_values */)
  ORDER BY x.workload_id
), changed AS (
  UPDATE workload_exposure x
  SET from_at = @at, (/* columns: workload_values */) = (/* columns: next_workload_values */)
  FROM workload_next n
  WHERE x.organization_id = @organization AND x.workload_id = n.workload_id AND n.digest IS NULL
    AND (/* columns: former_workload_values */) IS DISTINCT FROM (/* columns: next_workload_values */)
)
INSERT INTO workload_exposure (organization_id, workload_id, code, from_at, /* columns: workload_values */)
SELECT @organization, workload_id, code, @at, /* columns: workload_values */
FROM workload_next
WHERE digest IS NOT NULL
ORDER BY workload_id;

-- name: write_identities
WITH gone AS (
  DELETE FROM identity_posture x USING summed_identity s
  WHERE x.organization_id = @organization AND x.identity_id = s.identity_id
    AND NOT EXISTS (SELECT FROM identity_next n WHERE n.identity_id = x.identity_id AND n.class = x.class)
), changed AS (
  UPDATE identity_posture x
  SET (/* columns: identity_values */) = (n.paths, n.effective_paths, n.dormant_paths, n.executed_paths, n.autonomous, n.executions)
  FROM identity_next n
  WHERE x.organization_id = @organization AND x.identity_id = n.identity_id AND x.class = n.class
    AND (x.paths, x.effective_paths, x.dormant_paths, x.executed_paths, x.autonomous, x.executions)
        <> (n.paths, n.effective_paths, n.dormant_paths, n.executed_paths, n.autonomous, n.executions)
)
INSERT INTO identity_posture (organization_id, identity_id, class, /* columns: identity_values */)
SELECT @organization, identity_id, class, /* columns: identity_values */
FROM identity_next n
WHERE NOT EXISTS (SELECT FROM identity_posture x WHERE x.organization_id = @organization AND x.identity_id = n.identity_id AND x.class = n.class)
ORDER BY identity_id, class;

-- name: write_posture
-- A counter that has only just come to its value was never seen with it. The parts
-- all see the counters as they were.
WITH kept AS (
  INSERT INTO posture_counter_version (organization_id, class, from_at, to_at, /* columns: posture */)
  SELECT @organization, c.class, c.from_at, @at, /* columns: former_posture */
  FROM posture_delta d
  JOIN posture_counter c ON c.organization_id = @organization AND c.class = d.class
  WHERE c.from_at <> @at
  ORDER BY c.class
), changed AS (
  UPDATE posture_counter c
  SET from_at = @at, /* columns: moved_posture */
  FROM posture_delta d
  WHERE c.organization_id = @organization AND c.class = d.class
)
INSERT INTO posture_counter (organization_id, class, from_at, /* columns: posture */)
SELECT @organization, d.class, @at, /* columns: posture */
FROM posture_delta d
WHERE NOT EXISTS (SELECT FROM posture_counter c WHERE c.organization_id = @organization AND c.class = d.class)
ORDER BY d.class;

-- name: analyze_posture
SELECT analyze_exposures('posture');

-- name: add_snapshot
INSERT INTO posture_snapshot (organization_id, at, sync_id, paths, dormant_paths, executions, invalid_paths, executed_invalid_paths, sensitive_paths,
  workloads, autonomous, operator_assisted, human_triggered, unclassified, identities, active_identities, active_autonomous, dormant_identities,
  paths_added, paths_removed, paths_orphaned, paths_invalidated, autonomous_gained, clusters)
SELECT @organization, @at, @sync, coalesce(c.paths, 0), coalesce(c.dormant_paths, 0), coalesce(c.executions, 0), coalesce(c.invalid_paths, 0),
       coalesce(c.executed_invalid_paths, 0), coalesce(c.sensitive_paths, 0), coalesce(c.workloads, 0), coalesce(c.autonomous, 0),
       coalesce(c.operator_assisted, 0), coalesce(c.human_triggered, 0), coalesce(c.unclassified, 0), coalesce(c.identities, 0),
       coalesce(c.active_identities, 0), coalesce(c.active_autonomous, 0), coalesce(c.dormant_identities, 0), coalesce(c.paths_added, 0),
       coalesce(c.paths_removed, 0), coalesce(c.paths_orphaned, 0), coalesce(c.paths_invalidated, 0), coalesce(c.autonomous_gained, 0),
       coalesce((SELECT jsonb_object_agg(f.key, jsonb_build_object('paths', k.paths, 'executions', k.executions))
                 FROM cluster_counter k
                 JOIN cluster_definition f ON f.organization_id = @organization AND f.cluster = k.cluster AND f.to_at IS NULL
                 WHERE k.organization_id = @organization AND k.class = @all_classes AND k.level = @level AND k.paths > 0), '{}')
FROM (SELECT) AS one
LEFT JOIN posture_counter c ON c.organization_id = @organization AND c.class = @all_classes
RETURNING to_jsonb(posture_snapshot) - 'organization_id' - 'at';
