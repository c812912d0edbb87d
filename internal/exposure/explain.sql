The statements that explain. Those that take in a statement of assess.sql ask
what a judgement asks, of what stands now: its work tables are named here as what
they would hold.

-- columns: exposure
x.organization_id, x.path_id, x.type, x.ordinal, x.workload_id, x.class, x.severity, x.factors, x.explanation, x.evidence_digest, x.disposition, x.decided_seq,
x.effective_from, x.effective_basis, x.lineage_from, x.indeterminate_since, x.version, x.version_from, x.from_at, x.to_at, x.resolution_reason

-- columns: standing_paths
p.id AS path_id, p.workload_id, p.identity_id, p.resource_id, p.effective, p.role_ids, p.actions

-- name: grounds
-- Around whom an exposure stands, since when its path was there, and by what
-- settings it was judged: those of now or, of a resolved one, of its last instant.
SELECT x.path_id, x.type, x.ordinal, p.workload_id, p.identity_id, p.resource_id, w.first_seen_at AS workload_seen,
       greatest(p.first_seen_at, (
         SELECT max(v.to_at) FROM authority_path_version v
         WHERE v.organization_id = @organization AND v.id = p.id AND v.status = 'removed' AND v.to_at <= x.from_at)) AS seen_from,
       s.dormant_after_days, s.proof_grace_days, s.privilege_window_days, s.shared_workloads
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[], @settings::integer[]) AS k(path_id, type, ordinal, setting)
JOIN exposure x ON x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal
JOIN authority_path p ON p.organization_id = @organization AND p.id = x.path_id
JOIN entity w ON w.organization_id = @organization AND w.id = p.workload_id
LEFT JOIN setting s ON s.organization_id = @organization AND s.version = k.setting;

-- name: claims
-- What each source claims to have looked at, of an entity and a kind of evidence.
-- Its word on one entity goes before its word on all of the system.
SELECT k.entity_id, k.kind, c.source_id, c.complete, c.from_at, c.to_at, greatest(c.recorded_at, s.last_complete_at) AS looked_at,
       extract(epoch FROM c.max_age)::bigint AS max_age
FROM unnest(@entities::uuid[], @kinds::text[]) AS k(entity_id, kind)
JOIN entity e ON e.organization_id = @organization AND e.id = k.entity_id
CROSS JOIN (SELECT s.id, s.last_complete_at FROM source s WHERE s.organization_id = @organization) s
CROSS JOIN LATERAL (
  SELECT d.source_id, d.complete, d.from_at, d.to_at, d.max_age, d.recorded_at
  FROM coverage d
  WHERE d.organization_id = @organization AND d.source_id = s.id AND d.kind = k.kind AND d.entity_id IN (k.entity_id, @nil)
    AND (d.entity_id = k.entity_id OR d.system = e.system)
  ORDER BY d.entity_id = k.entity_id DESC
  LIMIT 1
) c
ORDER BY k.entity_id, k.kind, c.source_id;

-- name: ties
-- What binds workloads to identities: of each workload or identity that is asked,
-- so many.
SELECT k.id AS subject_id, v.kind, v.from_id, v.to_id
FROM unnest(@workloads::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT DISTINCT e.kind, e.from_id, e.to_id FROM edge e
  WHERE e.organization_id = @organization AND e.kind IN ('runs_as', 'authenticates') AND e.from_id = k.id
  ORDER BY e.kind, e.to_id
  LIMIT @limit
) v
UNION ALL
SELECT k.id, v.kind, v.from_id, v.to_id
FROM unnest(@identities::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT DISTINCT e.kind, e.from_id, e.to_id FROM edge e
  JOIN entity w ON w.organization_id = @organization AND w.id = e.from_id AND w.kind = 'workload' AND w.status <> 'removed'
  WHERE e.organization_id = @organization AND e.kind IN ('runs_as', 'authenticates') AND e.to_id = k.id
  ORDER BY e.kind, e.from_id
  LIMIT @limit
) v;

-- name: acts
-- The latest evidence of each identity, whoever it was that made it act.
SELECT v.*
FROM unnest(@identities::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT e.workload_id, e.identity_id, e.resource_id, e.action, e.day, e.related, e.source_id
  FROM evidence e
  WHERE e.organization_id = @organization AND e.identity_id = k.id AND e.identity_id <> '00000000-0000-0000-0000-000000000000'
  ORDER BY e.day DESC, e.workload_id, e.resource_id, e.action, e.related, e.source_id
  LIMIT 1
) v;

-- name: uses
-- Of each path, the latest evidence in the window of each action that it was seen
-- to use.
SELECT DISTINCT ON (p.id, e.action) p.id AS path_id, e.workload_id, e.identity_id, e.resource_id, e.action, e.day, e.related, e.source_id
FROM unnest(@paths::uuid[]) AS k(id)
JOIN authority_path p ON p.organization_id = @organization AND p.id = k.id
JOIN organization_window o ON o.organization_id = @organization
CROSS JOIN LATERAL (VALUES (p.workload_id, @nil::uuid), (p.workload_id, p.identity_id), (@nil, p.identity_id)) AS n(workload_id, identity_id)
JOIN evidence e ON e.organization_id = @organization AND e.workload_id = n.workload_id AND e.identity_id = n.identity_id
               AND e.resource_id = p.resource_id AND e.basis = 'path' AND e.day > (o.window_at - @window::interval)::date
ORDER BY p.id, e.action, e.day DESC, e.workload_id, e.identity_id, e.related, e.source_id;

-- name: excuses
-- What is on record now of why paths keep actions that nobody uses.
SELECT j.path_id, j.from_at, j.actions
FROM privilege_justification j
WHERE j.organization_id = @organization AND j.path_id = ANY (@paths::uuid[]) AND j.to_at IS NULL;

-- name: latest_exposures
-- The last interval of each type on each path.
SELECT DISTINCT ON (x.path_id, x.type) /* columns: exposure */
FROM exposure x
WHERE x.organization_id = @organization AND x.path_id = ANY (@paths::uuid[])
ORDER BY x.path_id, x.type, x.ordinal DESC;

-- name: carriers
-- Which paths of a workload carry an exposure of a type: how many at each level,
-- and the first of them, open ones first and called false last.
SELECT v.*
FROM unnest(@workloads::uuid[], @types::smallint[]) AS k(workload_id, type)
CROSS JOIN LATERAL (
  SELECT /* columns: exposure */,
         count(*) FILTER (WHERE x.disposition = 1) OVER () AS open_paths, count(*) FILTER (WHERE x.disposition <= 2) OVER () AS acknowledged_paths,
         count(*) FILTER (WHERE x.disposition <= 3) OVER () AS accepted_paths
  FROM authority_path p
  JOIN exposure x ON x.organization_id = @organization AND x.path_id = p.id AND x.type = k.type AND x.to_at IS NULL
  WHERE p.organization_id = @organization AND p.workload_id = k.workload_id AND p.status = 'active'
  ORDER BY x.disposition, x.severity DESC, x.path_id
  LIMIT @limit
) v;

-- name: paths_in_question
-- What the rules look at of paths themselves.
SELECT p.id, p.workload_id, p.identity_id, p.resource_id, p.status, p.effective, p.sensitivity, p.actions, o.window_at,
       greatest(p.first_seen_at, (
         SELECT max(v.to_at) FROM authority_path_version v WHERE v.organization_id = @organization AND v.id = p.id AND v.status = 'removed')) AS seen_from,
       EXISTS (
         SELECT FROM evidence e
         WHERE e.organization_id = @organization AND e.workload_id = p.workload_id AND e.identity_id = @nil AND e.resource_id IN (p.resource_id, @nil)
           AND e.day > (o.window_at - @dormant_after::interval)::date) AS route_used
FROM unnest(@paths::uuid[]) AS k(id)
JOIN authority_path p ON p.organization_id = @organization AND p.id = k.id
JOIN organization_window o ON o.organization_id = @organization;

-- name: open_conditions
SELECT c.subject_id, c.rule, c.rule_version, c.evidence, c.indeterminate_since
FROM condition c
WHERE c.organization_id = @organization AND c.subject_id = ANY (@subjects::uuid[]) AND c.to_at IS NULL;

-- name: facts_of_workloads
WITH subject AS (
  SELECT k.id, 'workload' AS kind FROM unnest(@subjects::uuid[]) AS k(id)
), desired AS (
  SELECT /* columns: standing_paths */
  FROM authority_path p
  WHERE p.organization_id = @organization AND p.workload_id = ANY (@subjects::uuid[]) AND p.status = 'active'
), fact (n, id, name, removed, class, first_seen_at, ownership, binding, execution, egress, owner_ids, owner_names, owner_groups, owner_actives,
         owner_last_active, bound, unresolved, unbound, last_executed, host_names, host_categories, asset_names, assets_gone, open) AS (
/* find_workload_facts */
)
SELECT id, name, removed, class, first_seen_at, ownership, binding, execution, egress, owner_ids, owner_names, owner_groups, owner_actives,
       owner_last_active, bound, unresolved, unbound, last_executed, host_names, host_categories, asset_names, assets_gone, NULL::jsonb AS open
FROM fact;

-- name: facts_of_identities
WITH subject AS (
  SELECT k.id, 'identity' AS kind FROM unnest(@subjects::uuid[]) AS k(id)
), desired AS (
  SELECT /* columns: standing_paths */
  FROM authority_path p
  WHERE p.organization_id = @organization AND p.identity_id = ANY (@subjects::uuid[]) AND p.status = 'active'
), growth (identity_id, resource_id, roles_added, actions_added, newly) AS MATERIALIZED (
/* find_growth */
), fact (n, id, name, removed, disabled, first_seen_at, execution, roles, binding, ownership, last_active_at, baseline_at, attested,
         roles_then, roles_now, roles_added, actions_added, newly, workloads, owner_sets, owners, open) AS (
/* find_identity_facts */
)
SELECT f.id, f.name, f.removed, f.disabled, f.first_seen_at, f.execution, f.roles, f.binding, f.ownership, f.last_active_at, f.baseline_at, f.attested,
       f.roles_then, f.roles_now, f.roles_added, f.actions_added, f.newly, f.workloads, f.owner_sets, f.owners, NULL::jsonb AS open,
       ARRAY(SELECT g.resource_id FROM growth g WHERE g.identity_id = f.id) AS grown
FROM fact f;

-- name: facts_of_privileges
-- As if the privilege of each path were in question already.
WITH path_fact AS (
  SELECT /* columns: standing_paths */
  FROM authority_path p
  WHERE p.organization_id = @organization AND p.id = ANY (@paths::uuid[]) AND p.status = 'active' AND p.effective
), desired AS (
  SELECT * FROM path_fact
), exposure (organization_id, path_id, type, to_at) AS (
  SELECT @organization::uuid, f.path_id, @type::smallint, NULL::timestamptz FROM path_fact f
), fact (path_id, granted, used, justified, just_justified, proven, opaque, execution) AS (
/* find_privileges */
)
SELECT path_id, granted, used, justified, proven, opaque, execution FROM fact;
