The statements of a judgement, in the order in which they run, within the
transaction of a change of authority. The temporary tables desired, path_diff,
touched, succeeded and path_mask are that transaction's: see authority.Assessor.
@at is the judgement's instant on the organization clock, @window_at where
windows and thresholds end.

-- columns: weight
unnest(@rules::smallint[], @traits::smallint[], @severities::smallint[], @factors::integer[], @outcomes::smallint[]) AS v(rule, trait, severity, factors, outcome)

-- name: create_judgement
CREATE TEMPORARY TABLE IF NOT EXISTS subject (id uuid NOT NULL, kind text COLLATE "C" NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS workload_fact (
  n bigint PRIMARY KEY, id uuid NOT NULL, name text NOT NULL, removed boolean NOT NULL, class integer NOT NULL, first_seen_at timestamptz NOT NULL,
  ownership smallint NOT NULL, binding smallint NOT NULL, execution smallint NOT NULL, egress smallint NOT NULL,
  owner_ids uuid[], owner_names text[], owner_groups boolean[], owner_actives boolean[], owner_last_active timestamptz[],
  bound integer NOT NULL, unresolved integer NOT NULL, unbound integer NOT NULL, last_executed date,
  host_names text[], host_categories text[], asset_names text[], assets_gone text[], open jsonb,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS identity_fact (
  n bigint PRIMARY KEY, id uuid NOT NULL, name text NOT NULL, removed boolean NOT NULL, disabled boolean NOT NULL, first_seen_at timestamptz NOT NULL,
  execution smallint NOT NULL, roles smallint NOT NULL, binding smallint NOT NULL, ownership smallint NOT NULL,
  last_active_at timestamptz, baseline_at timestamptz, attested boolean NOT NULL,
  roles_then integer NOT NULL, roles_now integer NOT NULL, roles_added text[], actions_added text[], newly integer NOT NULL,
  workloads integer NOT NULL, owner_sets integer NOT NULL, owners integer NOT NULL, open jsonb,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS growth (
  identity_id uuid NOT NULL, resource_id uuid NOT NULL, roles_added uuid[] NOT NULL, actions_added text[] NOT NULL, newly boolean NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS condition_change (
  op text NOT NULL, subject_id uuid NOT NULL, rule smallint NOT NULL, rule_version integer NOT NULL, class integer NOT NULL,
  explanation text, path_explanation text, evidence jsonb, evidence_digest uuid, effective_from timestamptz, effective_basis text, reason text,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS action_word (actions text[] NOT NULL, words text NOT NULL, writes boolean NOT NULL);
CREATE TEMPORARY TABLE IF NOT EXISTS role_word (role_ids uuid[] NOT NULL, words text NOT NULL);
CREATE TEMPORARY TABLE IF NOT EXISTS privilege (
  path_id uuid NOT NULL, granted text[] NOT NULL, used text[] NOT NULL, justified text[] NOT NULL, just_justified boolean NOT NULL,
  proven boolean NOT NULL, opaque boolean NOT NULL, execution smallint NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS privilege_verdict (
  granted text[] NOT NULL, used text[] NOT NULL, justified text[] NOT NULL, proven boolean NOT NULL, opaque boolean NOT NULL, execution smallint NOT NULL,
  outcome smallint NOT NULL, explanation text NOT NULL, reason text NOT NULL, excused text[] NOT NULL
);
CREATE TEMPORARY TABLE IF NOT EXISTS path_fact (
  path_id uuid NOT NULL, workload_id uuid NOT NULL, identity_id uuid, resource_id uuid NOT NULL, class integer NOT NULL,
  sensitivity smallint NOT NULL, external boolean NOT NULL, writes boolean NOT NULL, composition_hash bytea NOT NULL,
  op text, seen_from timestamptz NOT NULL,
  workload text NOT NULL, identity text NOT NULL, resource text NOT NULL, sensitivity_word text NOT NULL, domain text NOT NULL, actions text NOT NULL, roles text NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS exposure_next (
  path_id uuid NOT NULL, type smallint NOT NULL, firm boolean NOT NULL, doubted boolean NOT NULL, workload_id uuid NOT NULL, class integer NOT NULL,
  severity smallint NOT NULL, factors integer NOT NULL, explanation text NOT NULL, evidence_digest uuid NOT NULL,
  effective_from timestamptz NOT NULL, effective_basis text NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS exposure_diff (
  path_id uuid NOT NULL, type smallint NOT NULL, op text NOT NULL, ordinal integer, severity smallint, disposition smallint, reason text,
  few char(2000)
);
SELECT empty_work_tables('{subject, workload_fact, identity_fact, growth, condition_change,
  action_word, role_word, privilege, privilege_verdict, path_fact, exposure_next, exposure_diff}');

-- name: clear_judgement
-- What another transaction of the session left in the work tables.
WITH a AS (DELETE FROM subject), b AS (DELETE FROM workload_fact), c AS (DELETE FROM identity_fact), d AS (DELETE FROM growth),
     e AS (DELETE FROM condition_change), f AS (DELETE FROM action_word), g AS (DELETE FROM role_word), h AS (DELETE FROM privilege),
     i AS (DELETE FROM privilege_verdict), j AS (DELETE FROM path_fact), k AS (DELETE FROM exposure_next), l AS (DELETE FROM exposure_diff)
SELECT;

-- name: find_subjects
INSERT INTO subject (id, kind)
SELECT e.id, e.kind
FROM (SELECT DISTINCT t.id, t.reason IN ('context', 'workload') AS starts FROM touched t WHERE t.reason IN ('context', 'workload', 'identity', 'activity')) t
JOIN entity e ON e.organization_id = @organization AND e.id = t.id
WHERE e.kind = CASE WHEN t.starts THEN 'workload' ELSE 'identity' END;

-- name: analyze_subjects
ANALYZE subject;

-- name: find_workload_facts
-- Coverage: 0 nobody looks, 1 not completely or not for the whole window, 2 too
-- long ago, 3 complete. A source's word on one entity goes before its word on
-- all of the system; of several sources the best counts.
INSERT INTO workload_fact
WITH target AS (
  SELECT w.id, w.name, w.system, w.status = 'removed' AS removed, w.class, w.first_seen_at
  FROM subject s JOIN entity w ON w.organization_id = @organization AND w.id = s.id
  WHERE s.kind = 'workload'
), claim AS (
  SELECT c.source_id, c.kind, c.entity_id, c.system, c.from_at,
         CASE WHEN NOT c.complete OR (c.kind = 'execution' AND c.to_at < @window_at::timestamptz - interval '1 day') THEN 1
              WHEN greatest(c.recorded_at, s.last_complete_at) + c.max_age < @window_at THEN 2 ELSE 3 END AS state
  FROM coverage c JOIN source s ON s.organization_id = @organization AND s.id = c.source_id
  WHERE c.organization_id = @organization AND c.kind IN ('ownership', 'binding', 'execution', 'egress')
), particular AS (
  SELECT t.id, c.source_id, c.kind, CASE WHEN c.kind = 'execution' AND c.from_at > t.first_seen_at THEN 1 ELSE c.state END AS state
  FROM target t JOIN claim c ON c.entity_id = t.id
), cover AS (
  SELECT k.id, max(k.state) FILTER (WHERE k.kind = 'ownership') AS ownership, max(k.state) FILTER (WHERE k.kind = 'binding') AS binding,
         max(k.state) FILTER (WHERE k.kind = 'execution') AS execution, max(k.state) FILTER (WHERE k.kind = 'egress') AS egress
  FROM (
    SELECT p.id, p.kind, p.state FROM particular p
    UNION ALL
    SELECT t.id, c.kind, CASE WHEN c.kind = 'execution' AND c.from_at > t.first_seen_at THEN 1 ELSE c.state END
    FROM target t JOIN claim c ON c.entity_id = @nil AND c.system = t.system
    WHERE NOT EXISTS (SELECT FROM particular p WHERE p.id = t.id AND p.source_id = c.source_id AND p.kind = c.kind)
  ) k
  GROUP BY k.id
), owner AS (
  SELECT o.workload_id, array_agg(o.id ORDER BY o.name, o.id) AS ids, array_agg(o.name ORDER BY o.name, o.id) AS names,
         array_agg(o.is_group ORDER BY o.name, o.id) AS groups, array_agg(o.is_active ORDER BY o.name, o.id) AS actives,
         array_agg(o.last_active_at ORDER BY o.name, o.id) AS last_active
  FROM (
    SELECT DISTINCT t.id AS workload_id, o.id, o.name, o.owner_type IS NOT DISTINCT FROM 'group' AS is_group, o.status = 'active' AS is_active, o.last_active_at
    FROM target t
    JOIN edge e ON e.organization_id = @organization AND e.kind = 'owned_by' AND e.from_id = t.id
    JOIN entity o ON o.organization_id = @organization AND o.id = e.to_id
  ) o
  GROUP BY o.workload_id
), bound AS (
  SELECT t.id, count(DISTINCT e.to_id) FILTER (WHERE i.id IS NOT NULL) AS living, count(DISTINCT e.to_id) FILTER (WHERE i.id IS NULL) AS gone
  FROM target t
  JOIN edge e ON e.organization_id = @organization AND e.kind IN ('runs_as', 'authenticates') AND e.from_id = t.id
  LEFT JOIN entity i ON i.organization_id = @organization AND i.id = e.to_id AND i.status <> 'removed'
  GROUP BY t.id
), unbound AS (
  SELECT d.workload_id, count(*) AS paths FROM desired d WHERE d.identity_id IS NULL AND d.effective GROUP BY d.workload_id
), dedicated AS ( -- identities that the workload runs as, and that nobody else is known to act as
  SELECT DISTINCT t.id AS workload_id, i.id AS identity_id, (t.first_seen_at AT TIME ZONE 'UTC')::date AS since
  FROM target t
  JOIN edge r ON r.organization_id = @organization AND r.kind = 'runs_as' AND r.from_id = t.id
  JOIN entity i ON i.organization_id = @organization AND i.id = r.to_id AND i.status <> 'removed'
  WHERE NOT t.removed
    AND EXISTS (SELECT FROM evidence e WHERE e.organization_id = @organization AND e.workload_id = @nil)
    AND NOT EXISTS (
      SELECT FROM edge o
      JOIN entity a ON a.organization_id = @organization AND a.id = o.from_id AND a.status <> 'removed'
      WHERE o.organization_id = @organization AND o.kind IN ('runs_as', 'authenticates') AND o.to_id = r.to_id AND o.from_id <> r.from_id)
), executed AS ( -- before the workload was seen, somebody else may have been the one
  SELECT x.id, max(x.day) AS day
  FROM (
    SELECT t.id, e.day FROM target t
    JOIN evidence e ON e.organization_id = @organization AND e.workload_id = t.id
    UNION ALL
    SELECT d.workload_id, e.day FROM dedicated d
    JOIN evidence e ON e.organization_id = @organization AND e.workload_id = @nil AND e.identity_id = d.identity_id AND e.day >= d.since
                   AND NOT e.related -- somebody who acted in its name is not the workload
  ) x
  GROUP BY x.id
), host AS (
  SELECT h.workload_id, array_agg(h.host ORDER BY h.host, h.category) AS names, array_agg(h.category ORDER BY h.host, h.category) AS categories
  FROM (
    SELECT DISTINCT t.id AS workload_id, e.host, e.category
    FROM target t JOIN egress e ON e.organization_id = @organization AND e.workload_id = t.id
  ) h
  GROUP BY h.workload_id
), facing AS ( -- a link lasts, also to what is closed by now, unless what is gone took with it the name that led there
  SELECT t.id, array_agg(DISTINCT a.value ORDER BY a.value) FILTER (WHERE a.status = 'active' AND l.to_at IS NULL) AS names,
         array_agg(DISTINCT a.value ORDER BY a.value) FILTER (WHERE a.status <> 'active') AS gone
  FROM target t
  JOIN asset_link l ON l.organization_id = @organization AND l.workload_id = t.id
  JOIN asset a ON a.organization_id = @organization AND a.id = l.asset_id AND a.kind IN ('service', 'url')
              AND (l.to_at IS NULL OR l.to_at = a.from_at)
  GROUP BY t.id
)
SELECT row_number() OVER (ORDER BY t.id), t.id, t.name, t.removed, t.class, t.first_seen_at,
       coalesce(c.ownership, 0), coalesce(c.binding, 0), coalesce(c.execution, 0), coalesce(c.egress, 0),
       o.ids, o.names, o.groups, o.actives, o.last_active,
       coalesce(b.living, 0), coalesce(b.gone, 0), coalesce(u.paths, 0), x.day, h.names, h.categories, f.names, f.gone, NULL
FROM target t
LEFT JOIN cover c ON c.id = t.id
LEFT JOIN owner o ON o.workload_id = t.id
LEFT JOIN bound b ON b.id = t.id
LEFT JOIN unbound u ON u.workload_id = t.id
LEFT JOIN executed x ON x.id = t.id
LEFT JOIN host h ON h.workload_id = t.id
LEFT JOIN facing f ON f.id = t.id;

-- name: known
-- What of an organization can be left out, because there is none of it yet.
-- Ordered as an index is: a plan that is made once knows no organization, and would
-- read the table until it comes to a row of this one.
SELECT (SELECT c.subject_id FROM condition c WHERE c.organization_id = @organization ORDER BY 1 LIMIT 1) IS NOT NULL AS conditions,
       (SELECT x.path_id FROM exposure x WHERE x.organization_id = @organization ORDER BY 1 LIMIT 1) IS NOT NULL AS exposures,
       (SELECT b.identity_id FROM scope_baseline b WHERE b.organization_id = @organization ORDER BY 1 LIMIT 1) IS NOT NULL AS baselines,
       (SELECT e.workload_id FROM evidence e WHERE e.organization_id = @organization AND e.basis = 'path' ORDER BY 1 LIMIT 1) IS NOT NULL AS proofs;

-- name: recall_workload_conditions
UPDATE workload_fact f SET open = c.open
FROM (
  SELECT c.subject_id, jsonb_agg(jsonb_build_object('rule', c.rule, 'ruleVersion', c.rule_version, 'class', c.class, 'explanation', c.explanation,
           'pathExplanation', c.path_explanation, 'evidence', c.evidence, 'digest', c.evidence_digest, 'doubted', c.indeterminate_since IS NOT NULL)) AS open
  FROM subject s JOIN condition c ON c.organization_id = @organization AND c.subject_id = s.id AND c.to_at IS NULL
  WHERE s.kind = 'workload'
  GROUP BY c.subject_id
) c
WHERE f.id = c.subject_id;

-- name: recall_identity_conditions
UPDATE identity_fact f SET open = c.open
FROM (
  SELECT c.subject_id, jsonb_agg(jsonb_build_object('rule', c.rule, 'ruleVersion', c.rule_version, 'class', c.class, 'explanation', c.explanation,
           'pathExplanation', c.path_explanation, 'evidence', c.evidence, 'digest', c.evidence_digest, 'doubted', c.indeterminate_since IS NOT NULL)) AS open
  FROM subject s JOIN condition c ON c.organization_id = @organization AND c.subject_id = s.id AND c.to_at IS NULL
  WHERE s.kind = 'identity'
  GROUP BY c.subject_id
) c
WHERE f.id = c.subject_id;

-- name: workload_facts
SELECT id, name, removed, class, first_seen_at, ownership, binding, execution, egress, owner_ids, owner_names, owner_groups, owner_actives,
       owner_last_active, bound, unresolved, unbound, last_executed, host_names, host_categories, asset_names, assets_gone, open
FROM workload_fact
WHERE n > @after::bigint AND n <= @after::bigint + @size::bigint
ORDER BY n;

-- name: find_growth
-- What identities reach now and did not at their baseline. The versions of the
-- paths remember the baseline; every path of an identity says the same of a
-- resource, so that one of them is enough. A role that the identity held already
-- is not added where it leads to something new: the destination is. Also of
-- identities that are not judged now, some of whose paths are.
INSERT INTO growth (identity_id, resource_id, roles_added, actions_added, newly)
WITH baseline AS (
  SELECT DISTINCT ON (b.identity_id) b.identity_id, b.at
  FROM (SELECT DISTINCT d.identity_id FROM desired d) d JOIN scope_baseline b ON b.organization_id = @organization AND b.identity_id = d.identity_id
  ORDER BY b.identity_id, b.at DESC
), present AS (
  SELECT DISTINCT ON (d.identity_id, d.resource_id) d.identity_id, d.resource_id, d.role_ids, d.actions
  FROM baseline b JOIN desired d ON d.identity_id = b.identity_id
  WHERE d.effective
), past AS (
  SELECT DISTINCT ON (s.identity_id, s.resource_id) s.identity_id, s.resource_id, s.role_ids, s.actions
  FROM (
    SELECT p.identity_id, p.resource_id, p.role_ids, p.actions
    FROM baseline b JOIN authority_path p ON p.organization_id = @organization AND p.identity_id = b.identity_id
    WHERE p.from_at <= b.at AND p.status = 'active' AND p.effective
    UNION ALL
    SELECT p.identity_id, p.resource_id, v.role_ids, v.actions
    FROM baseline b JOIN authority_path p ON p.organization_id = @organization AND p.identity_id = b.identity_id
    JOIN authority_path_version v ON v.organization_id = @organization AND v.id = p.id AND v.from_at <= b.at AND v.to_at > b.at
    WHERE v.status = 'active' AND v.effective
  ) s
), held AS (
  SELECT p.identity_id, array_agg(DISTINCT r) AS role_ids FROM past p CROSS JOIN unnest(p.role_ids) AS r GROUP BY p.identity_id
)
SELECT n.identity_id, n.resource_id,
       ARRAY(SELECT r FROM unnest(n.role_ids) AS r EXCEPT SELECT r FROM unnest(h.role_ids) AS r ORDER BY 1),
       ARRAY(SELECT a COLLATE "C" FROM unnest(n.actions) AS a EXCEPT SELECT a COLLATE "C" FROM unnest(p.actions) AS a ORDER BY 1),
       p.identity_id IS NULL
FROM present n
LEFT JOIN past p ON p.identity_id = n.identity_id AND p.resource_id = n.resource_id
LEFT JOIN held h ON h.identity_id = n.identity_id
WHERE p.identity_id IS NULL OR NOT n.actions <@ p.actions OR NOT n.role_ids <@ h.role_ids;

-- name: find_identity_facts
INSERT INTO identity_fact
WITH target AS (
  SELECT i.id, i.name, i.system, i.status, i.first_seen_at, i.last_active_at
  FROM subject s JOIN entity i ON i.organization_id = @organization AND i.id = s.id
  WHERE s.kind = 'identity'
), claim AS (
  SELECT c.source_id, c.kind, c.entity_id, c.system,
         CASE WHEN NOT c.complete OR (c.kind = 'execution' AND (c.from_at > @dormant_before OR c.to_at < @window_at::timestamptz - interval '1 day')) THEN 1
              WHEN greatest(c.recorded_at, s.last_complete_at) + c.max_age < @window_at THEN 2 ELSE 3 END AS state
  FROM coverage c JOIN source s ON s.organization_id = @organization AND s.id = c.source_id
  WHERE c.organization_id = @organization AND c.kind IN ('execution', 'roles', 'binding', 'ownership')
), bound AS (
  SELECT DISTINCT t.id AS identity_id, w.id AS workload_id, w.system
  FROM target t
  JOIN edge e ON e.organization_id = @organization AND e.kind IN ('runs_as', 'authenticates') AND e.to_id = t.id
  JOIN entity w ON w.organization_id = @organization AND w.id = e.from_id AND w.kind = 'workload' AND w.status <> 'removed'
), covered AS ( -- what is asked of whom
  SELECT t.id, t.system FROM target t
  UNION
  SELECT b.workload_id, b.system FROM bound b
), particular AS (
  SELECT k.id, c.source_id, c.kind, c.state FROM covered k JOIN claim c ON c.entity_id = k.id
), cover AS (
  SELECT k.id, max(k.state) FILTER (WHERE k.kind = 'execution') AS execution, max(k.state) FILTER (WHERE k.kind = 'roles') AS roles,
         max(k.state) FILTER (WHERE k.kind = 'binding') AS binding, max(k.state) FILTER (WHERE k.kind = 'ownership') AS ownership
  FROM (
    SELECT p.id, p.kind, p.state FROM particular p
    UNION ALL
    SELECT k.id, c.kind, c.state
    FROM covered k JOIN claim c ON c.entity_id = @nil AND c.system = k.system
    WHERE NOT EXISTS (SELECT FROM particular p WHERE p.id = k.id AND p.source_id = c.source_id AND p.kind = c.kind)
  ) k
  GROUP BY k.id
), acted AS (
  SELECT t.id, max(coalesce(e.last_at, e.day::timestamp AT TIME ZONE 'UTC')) AS at
  FROM target t
  JOIN evidence e ON e.organization_id = @organization AND e.identity_id = t.id AND e.identity_id <> '00000000-0000-0000-0000-000000000000'
  GROUP BY t.id
), owner AS (
  SELECT DISTINCT b.workload_id, o.id AS owner_id
  FROM (SELECT DISTINCT b.workload_id FROM bound b) b
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'owned_by' AND e.from_id = b.workload_id
  JOIN entity o ON o.organization_id = @organization AND o.id = e.to_id AND o.status = 'active'
), owner_set AS (
  SELECT o.workload_id, array_agg(o.owner_id ORDER BY o.owner_id) AS ids FROM owner o GROUP BY o.workload_id
), shared AS (
  SELECT b.identity_id, count(*) AS workloads, count(DISTINCT coalesce(o.ids, '{}')) AS owner_sets, min(coalesce(c.ownership, 0)) AS ownership
  FROM bound b
  LEFT JOIN owner_set o ON o.workload_id = b.workload_id
  LEFT JOIN cover c ON c.id = b.workload_id
  GROUP BY b.identity_id
), answering AS (
  SELECT b.identity_id, count(DISTINCT o.owner_id) AS owners FROM bound b JOIN owner o ON o.workload_id = b.workload_id GROUP BY b.identity_id
), baseline AS (
  SELECT DISTINCT ON (b.identity_id) b.identity_id, b.at, b.basis
  FROM target t JOIN scope_baseline b ON b.organization_id = @organization AND b.identity_id = t.id
  ORDER BY b.identity_id, b.at DESC
), grown AS (
  SELECT g.identity_id, count(*) FILTER (WHERE g.newly) AS newly FROM growth g GROUP BY g.identity_id
), grown_role AS (
  SELECT g.identity_id, array_agg(DISTINCT r.name ORDER BY r.name) AS names
  FROM growth g CROSS JOIN unnest(g.roles_added) AS a(id)
  JOIN entity r ON r.organization_id = @organization AND r.id = a.id
  GROUP BY g.identity_id
), grown_action AS (
  SELECT g.identity_id, array_agg(DISTINCT a.action COLLATE "C" ORDER BY a.action COLLATE "C") AS actions
  FROM growth g CROSS JOIN unnest(g.actions_added) AS a(action)
  GROUP BY g.identity_id
), role_now AS (
  SELECT d.identity_id, count(DISTINCT r) AS roles
  FROM grown g JOIN desired d ON d.identity_id = g.identity_id CROSS JOIN unnest(d.role_ids) AS r
  WHERE d.effective
  GROUP BY d.identity_id
), role_then AS (
  SELECT s.identity_id, count(DISTINCT r) AS roles
  FROM (
    SELECT p.identity_id, p.role_ids
    FROM grown g JOIN baseline b ON b.identity_id = g.identity_id
    JOIN authority_path p ON p.organization_id = @organization AND p.identity_id = b.identity_id
    WHERE p.from_at <= b.at AND p.status = 'active' AND p.effective
    UNION ALL
    SELECT p.identity_id, v.role_ids
    FROM grown g JOIN baseline b ON b.identity_id = g.identity_id
    JOIN authority_path p ON p.organization_id = @organization AND p.identity_id = b.identity_id
    JOIN authority_path_version v ON v.organization_id = @organization AND v.id = p.id AND v.from_at <= b.at AND v.to_at > b.at
    WHERE v.status = 'active' AND v.effective
  ) s CROSS JOIN unnest(s.role_ids) AS r
  GROUP BY s.identity_id
)
SELECT row_number() OVER (ORDER BY t.id), t.id, t.name, t.status = 'removed', t.status = 'disabled', t.first_seen_at,
       coalesce(c.execution, 0), coalesce(c.roles, 0), coalesce(c.binding, 0), coalesce(s.ownership, 0),
       greatest(t.last_active_at, a.at), b.at, coalesce(b.basis = 'attested', false),
       coalesce(rt.roles, 0), coalesce(rn.roles, 0), gr.names, ga.actions, coalesce(g.newly, 0),
       coalesce(s.workloads, 0), coalesce(s.owner_sets, 0), coalesce(w.owners, 0), NULL
FROM target t
LEFT JOIN cover c ON c.id = t.id
LEFT JOIN acted a ON a.id = t.id
LEFT JOIN shared s ON s.identity_id = t.id
LEFT JOIN answering w ON w.identity_id = t.id
LEFT JOIN baseline b ON b.identity_id = t.id
LEFT JOIN grown g ON g.identity_id = t.id
LEFT JOIN grown_role gr ON gr.identity_id = t.id
LEFT JOIN grown_action ga ON ga.identity_id = t.id
LEFT JOIN role_now rn ON rn.identity_id = t.id
LEFT JOIN role_then rt ON rt.identity_id = t.id;

-- name: identity_facts
SELECT id, name, removed, disabled, first_seen_at, execution, roles, binding, ownership, last_active_at, baseline_at, attested,
       roles_then, roles_now, roles_added, actions_added, newly, workloads, owner_sets, owners, open
FROM identity_fact
WHERE n > @after::bigint AND n <= @after::bigint + @size::bigint
ORDER BY n;

-- name: add_baselines
-- The first complete look at what an identity holds.
INSERT INTO scope_baseline (organization_id, identity_id, at, basis)
SELECT @organization, f.id, @at, 'observed'
FROM identity_fact f
WHERE f.roles = 3 AND f.baseline_at IS NULL AND NOT f.removed
  AND EXISTS (SELECT FROM desired d WHERE d.identity_id = f.id AND d.effective)
ORDER BY f.id;

-- name: analyze_condition_changes
ANALYZE condition_change (op, subject_id, rule);

-- name: keep_condition_versions
INSERT INTO condition_version (organization_id, subject_id, rule, ordinal, version, from_at, to_at, rule_version, class, explanation, path_explanation,
  evidence, evidence_digest, indeterminate_since)
SELECT @organization, c.subject_id, c.rule, c.ordinal, c.version, c.version_from, @at, c.rule_version, c.class, c.explanation, c.path_explanation,
  c.evidence, c.evidence_digest, c.indeterminate_since
FROM condition_change x
JOIN condition c ON c.organization_id = @organization AND c.subject_id = x.subject_id AND c.rule = x.rule AND c.to_at IS NULL
WHERE x.op IN ('update', 'doubt');

-- name: update_conditions
UPDATE condition c
SET rule_version = x.rule_version, class = x.class, explanation = x.explanation, path_explanation = x.path_explanation, evidence = x.evidence,
    evidence_digest = x.evidence_digest, indeterminate_since = NULL, version = c.version + 1, version_from = @at
FROM condition_change x
WHERE x.op = 'update' AND c.organization_id = @organization AND c.subject_id = x.subject_id AND c.rule = x.rule AND c.to_at IS NULL;

-- name: doubt_conditions
-- What can no longer be told stays open, and says since when it is not known.
UPDATE condition c
SET indeterminate_since = coalesce(c.indeterminate_since, @at), class = x.class, version = c.version + 1, version_from = @at
FROM condition_change x
WHERE x.op = 'doubt' AND c.organization_id = @organization AND c.subject_id = x.subject_id AND c.rule = x.rule AND c.to_at IS NULL;

-- name: close_conditions
UPDATE condition c SET to_at = @at, resolution_reason = x.reason
FROM condition_change x
WHERE x.op = 'close' AND c.organization_id = @organization AND c.subject_id = x.subject_id AND c.rule = x.rule AND c.to_at IS NULL;

-- name: open_conditions
INSERT INTO condition (organization_id, subject_id, rule, ordinal, rule_version, class, explanation, path_explanation, evidence, evidence_digest,
  effective_from, effective_basis, version, version_from, from_at)
SELECT @organization, x.subject_id, x.rule, coalesce(p.ordinal, 0) + 1, x.rule_version, x.class, x.explanation, x.path_explanation, x.evidence, x.evidence_digest,
  coalesce(x.effective_from, @at::timestamptz), x.effective_basis, 1, @at, @at
FROM condition_change x
LEFT JOIN (
  SELECT c.subject_id, c.rule, max(c.ordinal) AS ordinal
  FROM (SELECT DISTINCT x.subject_id FROM condition_change x WHERE x.op = 'open') s
  JOIN condition c ON c.organization_id = @organization AND c.subject_id = s.subject_id
  GROUP BY c.subject_id, c.rule
) p ON p.subject_id = x.subject_id AND p.rule = x.rule
WHERE x.op = 'open'
ORDER BY x.subject_id, x.rule;

-- name: analyze_conditions
SELECT analyze_exposures('conditions');

-- name: analyze_exposures
SELECT analyze_exposures('exposures');

-- name: distinct_actions
SELECT DISTINCT d.actions FROM desired d
UNION
SELECT g.actions_added FROM growth g;

-- name: distinct_roles
SELECT DISTINCT d.role_ids FROM desired d WHERE d.effective;

-- name: role_names
SELECT r.id, e.name
FROM (SELECT DISTINCT unnest(d.role_ids) AS id FROM desired d WHERE d.effective) r
JOIN entity e ON e.organization_id = @organization AND e.id = r.id;

-- name: analyze_words
ANALYZE action_word, role_word;

-- name: find_path_facts
-- A path that was removed and came back is seen from its return on.
INSERT INTO path_fact
WITH returned AS (
  SELECT v.id, max(v.to_at) AS at
  FROM desired d JOIN authority_path_version v ON v.organization_id = @organization AND v.id = d.path_id
  WHERE v.status = 'removed'
  GROUP BY v.id
)
SELECT d.path_id, d.workload_id, d.identity_id, d.resource_id, d.class, d.sensitivity, d.egress_category IN ('external', 'llm'), a.writes, d.composition_hash,
       x.op, CASE WHEN x.op IN ('added', 'revived') THEN @at::timestamptz ELSE coalesce(b.at, p.first_seen_at) END,
       w.name, coalesce(i.name, 'an unknown identity'), r.name,
       (ARRAY['unknown', 'public', 'internal', 'confidential', 'restricted'])[d.sensitivity + 1],
       coalesce(d.data_domain, 'an unnamed domain'), a.words, o.words
FROM desired d
LEFT JOIN path_diff x ON x.path_id = d.path_id
LEFT JOIN authority_path p ON p.organization_id = @organization AND p.id = d.path_id
LEFT JOIN returned b ON b.id = d.path_id
JOIN entity w ON w.organization_id = @organization AND w.id = d.workload_id
LEFT JOIN entity i ON i.organization_id = @organization AND i.id = d.identity_id
JOIN entity r ON r.organization_id = @organization AND r.id = d.resource_id
JOIN action_word a ON a.actions = d.actions
JOIN role_word o ON o.role_ids = d.role_ids
WHERE d.effective;

-- name: analyze_path_facts
ANALYZE path_fact (path_id, workload_id, identity_id, resource_id);

-- name: find_privileges
-- Paths that evidence names, or whose privilege is in question already.
INSERT INTO privilege (path_id, granted, used, justified, just_justified, proven, opaque, execution)
WITH seen AS (
  SELECT f.path_id, coalesce(array_agg(DISTINCT e.action COLLATE "C" ORDER BY e.action COLLATE "C") FILTER (WHERE e.action <> ''), '{}') AS used,
         bool_or(e.action = '') AS opaque
  FROM path_fact f
  CROSS JOIN LATERAL (VALUES (f.workload_id, @nil::uuid), (f.workload_id, f.identity_id), (@nil, f.identity_id)) AS k(workload_id, identity_id)
  JOIN evidence e ON e.organization_id = @organization AND e.workload_id = k.workload_id AND e.identity_id = k.identity_id
                 AND e.resource_id = f.resource_id AND e.basis = 'path' AND e.day > @privilege_start::timestamptz::date
  GROUP BY f.path_id
), doubtful AS (
  SELECT f.path_id, f.workload_id FROM path_fact f JOIN seen s ON s.path_id = f.path_id
  UNION
  SELECT f.path_id, f.workload_id FROM path_fact f
  JOIN exposure x ON x.organization_id = @organization AND x.path_id = f.path_id AND x.type = @type AND x.to_at IS NULL
), claim AS (
  SELECT c.source_id, c.entity_id, c.system,
         CASE WHEN NOT c.complete OR c.from_at > @privilege_start OR c.to_at < @window_at::timestamptz - interval '1 day' THEN 1
              WHEN greatest(c.recorded_at, s.last_complete_at) + c.max_age < @window_at THEN 2 ELSE 3 END AS state
  FROM coverage c JOIN source s ON s.organization_id = @organization AND s.id = c.source_id
  WHERE c.organization_id = @organization AND c.kind = 'execution'
), target AS (
  SELECT w.id, w.system FROM (SELECT DISTINCT d.workload_id FROM doubtful d) d
  JOIN entity w ON w.organization_id = @organization AND w.id = d.workload_id
), cover AS (
  SELECT k.id, max(k.state) AS state
  FROM (
    SELECT t.id, c.state FROM target t JOIN claim c ON c.entity_id = t.id
    UNION ALL
    SELECT t.id, c.state FROM target t JOIN claim c ON c.entity_id = @nil AND c.system = t.system
    WHERE NOT EXISTS (SELECT FROM claim p WHERE p.entity_id = t.id AND p.source_id = c.source_id)
  ) k
  GROUP BY k.id
)
SELECT d.path_id, p.actions, coalesce(s.used, '{}'),
       ARRAY(SELECT a COLLATE "C" FROM unnest(p.actions) AS a WHERE a = ANY (j.actions) ORDER BY 1), coalesce(j.from_at = @at, false),
       s.path_id IS NOT NULL, coalesce(s.opaque, false), coalesce(c.state, 0)
FROM doubtful d
JOIN desired p ON p.path_id = d.path_id
LEFT JOIN seen s ON s.path_id = d.path_id
LEFT JOIN cover c ON c.id = d.workload_id
LEFT JOIN privilege_justification j ON j.organization_id = @organization AND j.path_id = d.path_id AND j.to_at IS NULL;

-- name: distinct_privileges
SELECT DISTINCT granted, used, justified, proven, opaque, execution FROM privilege;

-- name: fan_out_workloads
INSERT INTO exposure_next
WITH hit AS MATERIALIZED ( -- before the weights: their join is on what is worked out here
  SELECT f.path_id, f.workload_id, f.class, f.seen_from, c.rule, c.indeterminate_since IS NULL AS firm, c.evidence_digest, c.effective_from, c.effective_basis,
         f.sensitivity + CASE WHEN f.external THEN 5 ELSE 0 END AS trait,
         CASE WHEN c.path_explanation IS NULL THEN c.explanation
              ELSE format(c.path_explanation, f.resource, f.sensitivity_word, f.domain, f.actions, f.roles, f.workload, f.identity) END AS explanation
  FROM path_fact f
  JOIN condition c ON c.organization_id = @organization AND c.subject_id = f.workload_id AND c.to_at IS NULL
  WHERE c.rule <> @unbound OR f.identity_id IS NULL
)
SELECT h.path_id, h.rule, h.firm, false, h.workload_id, h.class, v.severity, v.factors, h.explanation, h.evidence_digest,
       greatest(h.effective_from, h.seen_from), CASE WHEN h.effective_from < h.seen_from THEN 'path_first_seen' ELSE h.effective_basis END
FROM hit h
JOIN /* columns: weight */ ON v.rule = h.rule AND v.trait = h.trait;

-- name: fan_out_identities
-- A dormant identity says nothing of a route that its workload was seen to use,
-- nor of a path younger than the threshold. A drift is one of the paths that
-- lead to what was added; one that is in doubt keeps the exposures that it has,
-- because nobody can say what was taken back.
INSERT INTO exposure_next
WITH used AS MATERIALIZED (
  SELECT DISTINCT e.workload_id, e.resource_id
  FROM (SELECT DISTINCT f.workload_id FROM path_fact f) f
  JOIN evidence e ON e.organization_id = @organization AND e.workload_id = f.workload_id AND e.identity_id = @nil AND e.day > @dormant_before::timestamptz::date
), hit AS MATERIALIZED ( -- before the weights: their join is on what is worked out here
  SELECT f.path_id, f.workload_id, f.class, f.seen_from, c.rule, c.indeterminate_since IS NULL AS firm, c.evidence_digest, c.effective_from, c.effective_basis,
         f.sensitivity + CASE WHEN f.external THEN 5 ELSE 0 END
           + CASE WHEN c.rule = @drift AND a.writes THEN 10 ELSE 0 END + CASE WHEN c.rule = @drift AND g.newly THEN 20 ELSE 0 END AS trait,
         CASE WHEN c.path_explanation IS NULL THEN c.explanation
              ELSE format(c.path_explanation, f.resource, f.sensitivity_word, f.domain, f.actions, f.roles, f.workload, f.identity) END AS explanation
  FROM path_fact f
  JOIN condition c ON c.organization_id = @organization AND c.subject_id = f.identity_id AND c.to_at IS NULL
  LEFT JOIN growth g ON g.identity_id = f.identity_id AND g.resource_id = f.resource_id
  LEFT JOIN action_word a ON a.actions = g.actions_added
  LEFT JOIN used anywhere ON anywhere.workload_id = f.workload_id AND anywhere.resource_id = @nil
  LEFT JOIN used here ON here.workload_id = f.workload_id AND here.resource_id = f.resource_id
  WHERE (c.rule <> @drift OR g.identity_id IS NOT NULL)
    AND (c.rule <> @dormant OR (f.seen_from <= @dormant_before AND anywhere.workload_id IS NULL AND here.workload_id IS NULL))
)
SELECT h.path_id, h.rule, h.firm, false, h.workload_id, h.class, v.severity, v.factors, h.explanation, h.evidence_digest,
       greatest(h.effective_from, h.seen_from), CASE WHEN h.effective_from < h.seen_from THEN 'path_first_seen' ELSE h.effective_basis END
FROM hit h
JOIN /* columns: weight */ ON v.rule = h.rule AND v.trait = h.trait
UNION ALL
SELECT f.path_id, x.type, false, false, f.workload_id, f.class, x.severity, x.factors, x.explanation, x.evidence_digest, x.effective_from, x.effective_basis
FROM path_fact f
JOIN condition c ON c.organization_id = @organization AND c.subject_id = f.identity_id AND c.rule = @drift AND c.to_at IS NULL
JOIN exposure x ON x.organization_id = @organization AND x.path_id = f.path_id AND x.type = c.rule AND x.to_at IS NULL
WHERE c.indeterminate_since IS NOT NULL
  AND NOT EXISTS (SELECT FROM growth g WHERE g.identity_id = f.identity_id AND g.resource_id = f.resource_id);

-- name: fan_out_reach
INSERT INTO exposure_next
SELECT f.path_id, @type, v.outcome = 1, v.outcome = 2, f.workload_id, f.class, v.severity, v.factors,
       format(@explanation, f.resource, f.sensitivity_word, f.domain, f.actions, f.roles, f.workload, f.identity),
       short_id(sha256(f.composition_hash || int2send(f.sensitivity))), @at, CASE f.op WHEN 'added' THEN 'path_first_seen' ELSE 'detected' END
FROM path_fact f
JOIN /* columns: weight */ ON v.rule = @type AND v.trait = f.sensitivity + CASE WHEN f.external THEN 5 ELSE 0 END + CASE WHEN f.writes THEN 10 ELSE 0 END
WHERE v.outcome <> 0;

-- name: fan_out_privileges
INSERT INTO exposure_next
SELECT f.path_id, @type, r.outcome = 1, r.outcome = 2, f.workload_id, f.class, v.severity, v.factors,
       format(r.explanation, f.resource, f.sensitivity_word, f.domain, f.actions, f.roles, f.workload, f.identity),
       short_id(sha256(f.composition_hash || convert_to(array_to_string(p.used, ' '), 'UTF8')
         || CASE WHEN r.excused = '{}' THEN '' ELSE '\x00' || convert_to(array_to_string(r.excused, ' '), 'UTF8') END)), @at, 'detected'
FROM privilege p
JOIN privilege_verdict r ON r.granted = p.granted AND r.used = p.used AND r.justified = p.justified AND r.proven = p.proven AND r.opaque = p.opaque AND r.execution = p.execution
JOIN path_fact f ON f.path_id = p.path_id
JOIN /* columns: weight */ ON v.rule = @type AND v.trait = f.sensitivity + CASE WHEN f.external THEN 5 ELSE 0 END + CASE WHEN f.writes THEN 10 ELSE 0 END
WHERE r.outcome <> 0;

-- name: analyze_exposure_next
ANALYZE exposure_next (path_id, type);

-- name: diff_exposures
-- What is not firm opens nothing: it keeps what is open. What is doubted keeps
-- its words, too, because they cannot be found anew.
INSERT INTO exposure_diff (path_id, type, op, ordinal, severity, disposition)
WITH affected AS (
  SELECT d.path_id FROM desired d
  UNION ALL
  SELECT x.path_id FROM path_diff x WHERE x.op = 'removed'
), standing AS (
  SELECT x.path_id, x.type, x.ordinal, x.severity, x.factors, x.explanation, x.evidence_digest, x.class, x.disposition, x.indeterminate_since
  FROM affected a JOIN exposure x ON x.organization_id = @organization AND x.path_id = a.path_id AND x.to_at IS NULL
)
SELECT coalesce(s.path_id, n.path_id), coalesce(s.type, n.type),
       CASE WHEN s.path_id IS NULL THEN 'open'
            WHEN n.path_id IS NULL THEN 'close'
            WHEN n.doubted THEN CASE WHEN s.indeterminate_since IS NULL OR s.class <> n.class THEN 'doubt' ELSE 'same' END
            WHEN (s.severity, s.factors, s.explanation, s.evidence_digest, s.class) <> (n.severity, n.factors, n.explanation, n.evidence_digest, n.class)
              OR s.indeterminate_since IS NOT NULL THEN 'change'
            ELSE 'same' END,
       s.ordinal, CASE WHEN s.path_id IS NULL OR NOT n.doubted THEN n.severity ELSE s.severity END, s.disposition
FROM standing s
FULL JOIN exposure_next n ON n.path_id = s.path_id AND n.type = s.type
WHERE s.path_id IS NOT NULL OR n.firm;

-- name: analyze_exposure_diff
ANALYZE exposure_diff (path_id, type, op);

-- name: count_exposure_diff
SELECT count(*) FILTER (WHERE op = 'open') AS opened, count(*) FILTER (WHERE op = 'close') AS closed,
       count(*) FILTER (WHERE op IN ('change', 'doubt')) AS changed
FROM exposure_diff;

-- name: keep_exposure_versions
INSERT INTO exposure_version (organization_id, path_id, type, ordinal, version, from_at, to_at, class, severity, factors, explanation, evidence_digest,
  disposition, decided_seq, indeterminate_since)
SELECT @organization, x.path_id, x.type, x.ordinal, x.version, x.version_from, @at, x.class, x.severity, x.factors, x.explanation, x.evidence_digest,
  x.disposition, x.decided_seq, x.indeterminate_since
FROM exposure_diff d
JOIN exposure x ON x.organization_id = @organization AND x.path_id = d.path_id AND x.type = d.type AND x.ordinal = d.ordinal
WHERE d.op IN ('change', 'doubt');

-- name: change_exposures
UPDATE exposure x
SET class = n.class, severity = n.severity, factors = n.factors, explanation = n.explanation, evidence_digest = n.evidence_digest,
    indeterminate_since = NULL, version = x.version + 1, version_from = @at
FROM exposure_diff d JOIN exposure_next n ON n.path_id = d.path_id AND n.type = d.type
WHERE d.op = 'change' AND x.organization_id = @organization AND x.path_id = d.path_id AND x.type = d.type AND x.ordinal = d.ordinal;

-- name: doubt_exposures
UPDATE exposure x SET indeterminate_since = coalesce(x.indeterminate_since, @at), class = n.class, version = x.version + 1, version_from = @at
FROM exposure_diff d JOIN exposure_next n ON n.path_id = d.path_id AND n.type = d.type
WHERE d.op = 'doubt' AND x.organization_id = @organization AND x.path_id = d.path_id AND x.type = d.type AND x.ordinal = d.ordinal;

-- name: close_exposures
UPDATE exposure x
SET to_at = @at, resolution_reason = r.reason
FROM (
  SELECT d.path_id, d.type, d.ordinal,
         CASE WHEN g.path_id IS NOT NULL THEN
                CASE WHEN EXISTS (SELECT FROM succeeded u WHERE u.predecessor_id = d.path_id) THEN 'rotated_to_successor'
                     WHEN w.status = 'removed' THEN 'workload_removed'
                     ELSE 'path_removed' END
              WHEN NOT p.effective THEN 'path_ineffective'
              WHEN d.type = ANY (@retired::smallint[]) THEN 'rule_retired'
              WHEN d.type = @reach THEN CASE WHEN @reach_changed::boolean THEN 'rule_changed' ELSE 'sensitivity_reclassified' END
              WHEN d.type = @privilege THEN
                CASE WHEN @privilege_changed::boolean THEN 'rule_changed'
                     WHEN @resettled::boolean THEN 'settings_changed'
                     WHEN v.reason <> '' AND (v.reason <> @justified OR q.just_justified) THEN v.reason -- what an older one covers was in no question
                     WHEN NOT o.actions <@ p.actions THEN 'privilege_reduced'
                     ELSE 'privilege_exercised' END
              ELSE coalesce(c.reason,
                CASE WHEN @resettled::boolean THEN 'settings_changed' WHEN d.type = @dormant THEN 'activity_resumed' ELSE 'scope_reduced' END) END AS reason
  FROM exposure_diff d
  LEFT JOIN path_diff g ON g.path_id = d.path_id AND g.op = 'removed'
  LEFT JOIN desired p ON p.path_id = d.path_id
  JOIN authority_path o ON o.organization_id = @organization AND o.id = d.path_id
  JOIN entity w ON w.organization_id = @organization AND w.id = o.workload_id
  LEFT JOIN condition_change c ON c.op = 'close' AND c.rule = d.type AND c.subject_id IN (o.workload_id, o.identity_id)
  LEFT JOIN privilege q ON q.path_id = d.path_id AND d.type = @privilege
  LEFT JOIN privilege_verdict v ON v.granted = q.granted AND v.used = q.used AND v.justified = q.justified AND v.proven = q.proven AND v.opaque = q.opaque AND v.execution = q.execution
  WHERE d.op = 'close'
) r
WHERE x.organization_id = @organization AND x.path_id = r.path_id AND x.type = r.type AND x.ordinal = r.ordinal;

-- name: open_exposures
-- A false positive is inherited where the evidence is the same as when a person
-- said so, with the entry of the ledger that says it. Evidence that changed while
-- it was marked was nobody's judgement. What a path took over from its predecessor has lasted as long there.
INSERT INTO exposure (organization_id, path_id, type, ordinal, workload_id, class, severity, factors, explanation, evidence_digest, disposition, decided_seq,
  effective_from, effective_basis, lineage_from, version, version_from, from_at)
SELECT @organization, n.path_id, n.type, coalesce(l.ordinal, 0) + 1, n.workload_id, n.class, n.severity, n.factors, n.explanation, n.evidence_digest,
  CASE WHEN l.disposition = 4 AND l.evidence_digest = n.evidence_digest THEN 4 ELSE 1 END,
  CASE WHEN l.disposition = 4 AND l.evidence_digest = n.evidence_digest THEN l.decided_seq END,
  n.effective_from, n.effective_basis, least(n.effective_from, b.lineage_from), 1, @at, @at
FROM exposure_diff d
JOIN exposure_next n ON n.path_id = d.path_id AND n.type = d.type
LEFT JOIN (
  SELECT DISTINCT ON (x.path_id, x.type) x.path_id, x.type, x.ordinal, x.disposition, x.decided_seq,
         coalesce((SELECT v.evidence_digest FROM exposure_version v
                   WHERE x.disposition = 4 AND v.organization_id = @organization AND v.path_id = x.path_id AND v.type = x.type AND v.ordinal = x.ordinal
                     AND v.decided_seq = x.decided_seq
                   ORDER BY v.version LIMIT 1), x.evidence_digest) AS evidence_digest
  FROM exposure_diff d JOIN exposure x ON x.organization_id = @organization AND x.path_id = d.path_id AND x.type = d.type
  WHERE d.op = 'open'
  ORDER BY x.path_id, x.type, x.ordinal DESC
) l ON l.path_id = d.path_id AND l.type = d.type
LEFT JOIN (
  SELECT s.successor_id, x.type, min(x.lineage_from) AS lineage_from
  FROM succeeded s JOIN exposure x ON x.organization_id = @organization AND x.path_id = s.predecessor_id AND x.to_at = @at
  GROUP BY s.successor_id, x.type
) b ON b.successor_id = d.path_id AND b.type = d.type
WHERE d.op = 'open'
ORDER BY n.path_id, n.type;

-- name: open_all_exposures
-- As open_exposures, where nothing has been open before.
INSERT INTO exposure (organization_id, path_id, type, ordinal, workload_id, class, severity, factors, explanation, evidence_digest,
  effective_from, effective_basis, lineage_from, version, version_from, from_at)
SELECT @organization, n.path_id, n.type, 1, n.workload_id, n.class, n.severity, n.factors, n.explanation, n.evidence_digest,
  n.effective_from, n.effective_basis, n.effective_from, 1, @at, @at
FROM exposure_next n
WHERE n.firm
ORDER BY n.path_id, n.type;

-- name: inherit_dispositions
UPDATE exposure_diff d SET disposition = x.disposition
FROM exposure x
WHERE d.op = 'open' AND x.organization_id = @organization AND x.path_id = d.path_id AND x.type = d.type AND x.to_at IS NULL AND x.disposition <> 1;

-- name: mask_paths
-- In the order of their key, as everything that is much.
INSERT INTO path_mask (path_id, open_mask, acknowledged_mask, accepted_mask, active_exposure_count, max_exposure_severity)
SELECT d.path_id, coalesce(m.open_mask, 0), coalesce(m.acknowledged_mask, 0), coalesce(m.accepted_mask, 0), coalesce(m.active, 0), m.severity
FROM desired d
LEFT JOIN (
  SELECT x.path_id,
         bit_or(1 << (x.type - 1)) FILTER (WHERE coalesce(x.disposition, 1) = 1) AS open_mask,
         bit_or(1 << (x.type - 1)) FILTER (WHERE coalesce(x.disposition, 1) <= 2) AS acknowledged_mask,
         bit_or(1 << (x.type - 1)) FILTER (WHERE coalesce(x.disposition, 1) <= 3) AS accepted_mask,
         count(*) FILTER (WHERE coalesce(x.disposition, 1) <= 2) AS active,
         max(x.severity) FILTER (WHERE coalesce(x.disposition, 1) <= 2) AS severity
  FROM exposure_diff x
  WHERE x.op <> 'close'
  GROUP BY x.path_id
) m ON m.path_id = d.path_id
ORDER BY d.path_id;

-- name: mask_first_paths
-- As mask_paths, where nothing has been open before.
INSERT INTO path_mask (path_id, open_mask, acknowledged_mask, accepted_mask, active_exposure_count, max_exposure_severity)
SELECT d.path_id, coalesce(m.mask, 0), coalesce(m.mask, 0), coalesce(m.mask, 0), coalesce(m.active, 0), m.severity
FROM desired d
LEFT JOIN (
  SELECT n.path_id, bit_or(1 << (n.type - 1)) AS mask, count(*) AS active, max(n.severity) AS severity
  FROM exposure_next n
  WHERE n.firm
  GROUP BY n.path_id
) m ON m.path_id = d.path_id
ORDER BY d.path_id;

-- name: mask_standing_paths
-- As mask_paths, by the exposures that are open.
INSERT INTO path_mask (path_id, open_mask, acknowledged_mask, accepted_mask, active_exposure_count, max_exposure_severity)
SELECT d.path_id, coalesce(m.open_mask, 0), coalesce(m.acknowledged_mask, 0), coalesce(m.accepted_mask, 0), coalesce(m.active, 0), m.severity
FROM desired d
LEFT JOIN (
  SELECT x.path_id,
         bit_or(1 << (x.type - 1)) FILTER (WHERE x.disposition = 1) AS open_mask,
         bit_or(1 << (x.type - 1)) FILTER (WHERE x.disposition <= 2) AS acknowledged_mask,
         bit_or(1 << (x.type - 1)) FILTER (WHERE x.disposition <= 3) AS accepted_mask,
         count(*) FILTER (WHERE x.disposition <= 2) AS active,
         max(x.severity) FILTER (WHERE x.disposition <= 2) AS severity
  FROM desired d JOIN exposure x ON x.organization_id = @organization AND x.path_id = d.path_id AND x.to_at IS NULL
  GROUP BY x.path_id
) m ON m.path_id = d.path_id;

-- name: analyze_path_masks
ANALYZE path_mask;

-- name: setting_current
SELECT s.version, s.dormant_after_days, s.proof_grace_days, s.privilege_window_days, s.shared_workloads, s.disabled_rules
FROM /* at */ setting s
WHERE s.organization_id = @organization AND s.to_at IS NULL;

-- name: rules_changed
SELECT rule FROM rule_version WHERE organization_id = @organization AND to_at = @at;

-- name: rule_versions_current
SELECT rule, version, enabled FROM rule_version WHERE organization_id = @organization AND to_at IS NULL;

-- name: end_rule_version
UPDATE rule_version SET to_at = @at WHERE organization_id = @organization AND rule = @rule AND to_at IS NULL;

-- name: begin_rule_version
INSERT INTO rule_version (organization_id, rule, version, enabled, from_at) VALUES (@organization, @rule, @version, @enabled, @at);

-- name: end_setting
UPDATE setting SET to_at = @at WHERE organization_id = @organization AND to_at IS NULL;

-- name: begin_setting
INSERT INTO setting (organization_id, version, from_at, actor, dormant_after_days, proof_grace_days, privilege_window_days, shared_workloads, disabled_rules)
VALUES (@organization, @version, @at, @actor, @dormant_after_days, @proof_grace_days, @privilege_window_days, @shared_workloads, @disabled_rules);
