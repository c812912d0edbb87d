The statements of an evidence pack, in the order in which they run: eight,
however much there is. Each reads one row more than a pack holds, so that what is
too much is found out and never cut.

-- name: head
-- The clock, the thresholds that hold now, and every source with the sync that
-- last told all that it knows.
SELECT o.slug, greatest((SELECT max(y.at) FROM sync y WHERE y.organization_id = @organization),
                        (SELECT max(v.at) FROM evaluation v WHERE v.organization_id = @organization)) AS at,
       w.window_at, coalesce(c.dormant_after_days, @dormant::integer) AS dormant_after_days,
       coalesce(c.privilege_window_days, @privilege::integer) AS privilege_window_days,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'name', s.name, 'system', s.system, 'format', s.format, 'sync', y.id,
                                                     'at', y.at, 'observedAt', y.observed_at)), '[]')
        FROM source s
        LEFT JOIN sync y ON y.organization_id = @organization AND y.source_id = s.id AND y.at = s.last_complete_at AND y.complete AND y.outcome <> 'late'
        WHERE s.organization_id = @organization) AS sources
FROM organization o
LEFT JOIN organization_window w ON w.organization_id = @organization
LEFT JOIN setting c ON c.organization_id = @organization AND c.to_at IS NULL
WHERE o.id = @organization;

-- name: paths
-- Of a workload, or one. The row is the current version.
SELECT p.id, p.lineage_id, p.workload_id, p.identity_id, p.resource_id, p.first_seen_at, p.last_seen_at, p.removed_at,
       p.status, p.effective, p.role_ids, p.actions, p.auth_chain_depth, p.composition_hash, p.data_domain, p.sensitivity,
       p.ownership_status, p.egress_category, p.execution_30d, p.execution_basis, p.version, p.from_at, p.sync_version
FROM authority_path p
WHERE p.organization_id = @organization AND (p.id = @path OR p.workload_id = @workload)
ORDER BY p.id
LIMIT @limit;

-- name: path_versions
SELECT v.id, v.to_at, v.status, v.effective, v.role_ids, v.actions, v.auth_chain_depth, v.composition_hash, v.data_domain, v.sensitivity,
       v.ownership_status, v.egress_category, v.execution_30d, v.execution_basis, v.version, v.from_at, v.sync_version
FROM authority_path_version v
WHERE v.organization_id = @organization AND v.id = ANY (@paths::uuid[])
ORDER BY v.id, v.version
LIMIT @limit;

-- name: exposures
-- Every interval, with what it stands on: of a resolved one as of its last
-- instant, as exposure.StandingsByExposures finds it.
SELECT x.path_id, x.type, x.ordinal, x.severity, x.factors, x.explanation, x.evidence_digest, x.disposition, x.effective_from, x.effective_basis,
       x.lineage_from, x.indeterminate_since, x.version, x.version_from, x.from_at, x.to_at, x.resolution_reason,
       coalesce(h.rule_version, c.rule_version, r.version) AS rule_version, c.subject_id AS condition_subject, c.ordinal AS condition_ordinal,
       coalesce(h.version, c.version) AS condition_version, coalesce(h.evidence, c.evidence) AS evidence,
       CASE WHEN h.version IS NULL THEN c.indeterminate_since ELSE h.indeterminate_since END AS condition_indeterminate_since,
       coalesce(s.version, 0) AS setting_version, s.dormant_after_days, s.proof_grace_days, s.privilege_window_days, s.shared_workloads,
       coalesce(o.actions, p.actions) AS actions, coalesce(o.sensitivity, p.sensitivity) AS sensitivity,
       b.path_id AS before_path, b.ordinal AS before_ordinal, n.path_id AS after_path, n.ordinal AS after_ordinal
FROM exposure x
JOIN authority_path p ON p.organization_id = @organization AND p.id = x.path_id
LEFT JOIN LATERAL (
  SELECT a.* FROM condition a
  WHERE a.organization_id = @organization AND a.subject_id = CASE WHEN x.type = ANY (@of_identity::smallint[]) THEN p.identity_id ELSE x.workload_id END
    AND a.rule = x.type AND a.from_at < coalesce(x.to_at, 'infinity')
  ORDER BY a.ordinal DESC
  LIMIT 1
) c ON true
LEFT JOIN LATERAL (
  SELECT a.* FROM condition_version a
  WHERE a.organization_id = @organization AND a.subject_id = c.subject_id AND a.rule = c.rule AND a.ordinal = c.ordinal
    AND c.version_from >= x.to_at AND a.from_at < x.to_at AND a.to_at >= x.to_at
  LIMIT 1
) h ON true
LEFT JOIN LATERAL (
  SELECT a.* FROM authority_path_version a
  WHERE a.organization_id = @organization AND a.id = p.id AND p.from_at >= x.to_at AND a.from_at < x.to_at AND a.to_at >= x.to_at
  LIMIT 1
) o ON true
LEFT JOIN LATERAL (
  SELECT a.version FROM rule_version a
  WHERE a.organization_id = @organization AND a.rule = x.type
    AND (x.to_at IS NULL AND a.to_at IS NULL OR a.from_at < x.to_at AND (a.to_at IS NULL OR a.to_at >= x.to_at))
  ORDER BY a.from_at
  LIMIT 1
) r ON true
LEFT JOIN LATERAL (
  SELECT a.* FROM setting a
  WHERE a.organization_id = @organization
    AND (x.to_at IS NULL AND a.to_at IS NULL OR a.from_at < x.to_at AND (a.to_at IS NULL OR a.to_at >= x.to_at))
  ORDER BY a.version
  LIMIT 1
) s ON true
LEFT JOIN LATERAL (
  SELECT a.path_id, a.ordinal
  FROM path_succession t
  JOIN exposure a ON a.organization_id = @organization AND a.path_id = t.predecessor_id AND a.type = x.type AND a.to_at = t.at
  WHERE t.organization_id = @organization AND t.successor_id = x.path_id AND t.at = x.from_at
  ORDER BY a.path_id
  LIMIT 1
) b ON true
LEFT JOIN LATERAL (
  SELECT a.path_id, a.ordinal
  FROM path_succession t
  JOIN exposure a ON a.organization_id = @organization AND a.path_id = t.successor_id AND a.type = x.type AND a.from_at = t.at
  WHERE t.organization_id = @organization AND t.predecessor_id = x.path_id AND t.at = x.to_at
  ORDER BY a.path_id
  LIMIT 1
) n ON true
WHERE x.organization_id = @organization AND x.path_id = ANY (@paths::uuid[]) AND x.type = ANY (@types::smallint[])
ORDER BY x.path_id, x.type, x.ordinal
LIMIT @limit;

-- name: exposure_versions
SELECT v.path_id, v.type, v.ordinal, v.version, v.from_at, v.to_at, v.severity, v.factors, v.explanation, v.evidence_digest, v.disposition, v.indeterminate_since
FROM exposure_version v
WHERE v.organization_id = @organization AND v.path_id = ANY (@paths::uuid[]) AND v.type = ANY (@types::smallint[])
ORDER BY v.path_id, v.type, v.ordinal, v.version
LIMIT @limit;

-- name: evidence
-- Of whom the paths name. @since is an instant: cast to date alone it would be
-- sent as one, and in the server's own time zone.
SELECT e.workload_id, e.identity_id, e.resource_id, e.action, e.day, e.related, e.source_id, e.basis, e.count, e.last_at
FROM unnest(@workloads::uuid[], @identities::uuid[], @resources::uuid[]) AS k(workload_id, identity_id, resource_id)
JOIN evidence e ON e.organization_id = @organization AND e.workload_id = k.workload_id AND e.identity_id = k.identity_id AND e.resource_id = k.resource_id
WHERE e.day > @since::timestamptz::date
ORDER BY e.workload_id, e.identity_id, e.resource_id, e.day, e.action, e.related, e.source_id
LIMIT @limit;

-- name: surroundings
-- Everything else that the paths follow from or are judged by, each row as JSON
-- under what it is. Bindings are followed as authority derives them, and no
-- further than to an identity that is gone.
WITH RECURSIVE walk AS (
  SELECT e.kind, e.from_id, e.to_id, CASE e.kind WHEN 'runs_as' THEN 0 ELSE 1 END AS depth, i.id IS NOT NULL AS living
  FROM edge e
  LEFT JOIN entity i ON i.organization_id = @organization AND i.id = e.to_id AND i.status <> 'removed'
  WHERE e.organization_id = @organization AND e.kind IN ('runs_as', 'authenticates') AND e.from_id = ANY (@workloads::uuid[])
  UNION
  SELECT e.kind, e.from_id, e.to_id, w.depth + 1, i.id IS NOT NULL
  FROM walk w
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'authenticates' AND e.from_id = w.to_id
  LEFT JOIN entity i ON i.organization_id = @organization AND i.id = e.to_id AND i.status <> 'removed'
  WHERE w.living AND w.depth < @max_depth::integer
), bound AS (
  SELECT DISTINCT w.kind, w.from_id, w.to_id FROM walk w
), identity AS ( -- of the paths and, in the pack of a workload, of its bindings
  SELECT unnest(@identities::uuid[]) AS id
  UNION
  SELECT b.to_id FROM bound b WHERE @bound::boolean
), subject AS (
  SELECT unnest(@workloads::uuid[]) AS id
  UNION
  SELECT i.id FROM identity i
), held AS ( -- roles in the scopes in which they grant something here
  SELECT h.from_id, h.scope, h.to_id, h.source_id, g.to_id AS resource_id, g.source_id AS granted_by
  FROM edge h
  JOIN edge g ON g.organization_id = @organization AND g.kind = 'grants' AND g.from_id = h.to_id AND g.scope = h.scope AND g.to_id = ANY (@resources::uuid[])
  WHERE h.organization_id = @organization AND h.kind = 'has_role' AND h.from_id = ANY (@identities::uuid[]) AND h.to_id = ANY (@roles::uuid[])
), tie AS (
  SELECT 'runs_as' AS kind, b.from_id, '' AS scope, b.to_id FROM bound b WHERE b.kind = 'runs_as'
  UNION SELECT 'authenticates', b.from_id, '', b.to_id FROM bound b WHERE b.kind = 'authenticates'
  UNION SELECT 'has_role', h.from_id, h.scope, h.to_id FROM held h
  UNION SELECT 'grants', h.to_id, h.scope, h.resource_id FROM held h
), judged AS (
  SELECT c.*
  FROM subject s
  JOIN condition c ON c.organization_id = @organization AND c.subject_id = s.id
  WHERE c.rule = ANY (@types::smallint[])
)
SELECT r.kind, r.row
FROM (
  SELECT 'tie' AS kind, jsonb_build_object('kind', e.kind, 'from', e.from_id, 'to', e.to_id, 'scope', e.scope, 'source', e.source_id, 'actions', e.actions,
           'effective', e.effective, 'protocol', e.protocol, 'targetSystem', e.target_system) AS row
  FROM tie t
  JOIN edge e ON e.organization_id = @organization AND e.kind = t.kind AND e.from_id = t.from_id AND e.to_id = t.to_id
             AND (t.kind IN ('runs_as', 'authenticates') OR e.scope = t.scope)
  UNION ALL
  SELECT 'tie', jsonb_build_object('kind', e.kind, 'from', e.from_id, 'to', e.to_id, 'scope', e.scope, 'source', e.source_id, 'actions', e.actions,
           'effective', e.effective, 'protocol', e.protocol, 'targetSystem', e.target_system)
  FROM edge e
  WHERE e.organization_id = @organization AND e.kind IN ('owned_by', 'declares') AND e.from_id = ANY (@workloads::uuid[])
    AND (e.kind = 'owned_by' OR e.to_id = ANY (@declared::uuid[]))
  UNION ALL
  SELECT 'egress', jsonb_build_object('workload', e.workload_id, 'host', e.host, 'category', e.category, 'source', e.source_id)
  FROM egress e
  WHERE e.organization_id = @organization AND e.workload_id = ANY (@workloads::uuid[])
  UNION ALL
  SELECT 'coverage', jsonb_build_object('kind', c.kind, 'source', c.source_id, 'entity', nullif(c.entity_id, @nil), 'system', c.system, 'complete', c.complete,
           'maxAgeSeconds', extract(epoch FROM c.max_age)::bigint, 'from', c.from_at, 'to', c.to_at, 'recordedAt', c.recorded_at)
  FROM (SELECT s.id FROM subject s UNION ALL SELECT @nil) k
  JOIN coverage c ON c.organization_id = @organization AND c.entity_id = k.id
  WHERE k.id <> @nil OR c.system IN (
    SELECT e.system FROM subject s JOIN entity e ON e.organization_id = @organization AND e.id = s.id)
  UNION ALL
  SELECT 'condition', to_jsonb(c) - 'organization_id' - 'class' - 'path_explanation'
  FROM judged c
  UNION ALL
  SELECT 'condition_version', to_jsonb(v) - 'organization_id' - 'class' - 'path_explanation'
  FROM judged c
  JOIN condition_version v ON v.organization_id = @organization AND v.subject_id = c.subject_id AND v.rule = c.rule AND v.ordinal = c.ordinal
  UNION ALL
  SELECT 'baseline', jsonb_build_object('identity', b.identity_id, 'at', b.at, 'basis', b.basis, 'actor', b.actor, 'note', b.note)
  FROM scope_baseline b
  WHERE b.organization_id = @organization AND b.identity_id IN (SELECT i.id FROM identity i)
  UNION ALL
  SELECT 'justification', jsonb_build_object('path', j.path_id, 'from', j.from_at, 'to', j.to_at, 'actor', j.actor, 'text', j.justification,
           'actions', j.actions, 'withdrawnBy', j.withdrawn_by)
  FROM privilege_justification j
  WHERE j.organization_id = @organization AND j.path_id = ANY (@paths::uuid[])
  UNION ALL
  SELECT 'rotation', jsonb_build_object('workload', o.workload_id, 'at', o.at, 'from', o.from_identity, 'to', o.to_identity)
  FROM identity_rotation o
  WHERE o.organization_id = @organization AND o.workload_id = ANY (@workloads::uuid[])
  UNION ALL
  SELECT 'succession', jsonb_build_object('predecessor', u.predecessor_id, 'successor', u.successor_id, 'at', u.at)
  FROM path_succession u
  WHERE u.organization_id = @organization AND (u.predecessor_id = ANY (@paths::uuid[]) OR u.successor_id = ANY (@paths::uuid[]))
) r
LIMIT @limit;

-- name: entities
-- Whom the pack names, and which sources say that they exist, on what basis.
SELECT e.id, e.kind, e.system, e.external_id, e.name, e.status, e.environment, e.owner_team, e.business_tier, e.execution_mode, e.artifact_identifier,
       e.source_type, e.data_domain, e.data_domain_stated, e.sensitivity, e.sensitivity_stated, e.owner_type, e.title, e.last_active_at,
       e.created_in_source_at, e.first_seen_at, e.removed_at, a.sources, a.bases
FROM entity e
LEFT JOIN LATERAL (
  SELECT array_agg(s.source_id ORDER BY s.basis, s.source_id) AS sources, array_agg(s.basis ORDER BY s.basis, s.source_id) AS bases
  FROM entity_assertion s
  WHERE s.organization_id = @organization AND s.entity_id = e.id
) a ON true
WHERE e.organization_id = @organization AND e.id = ANY (@ids::uuid[])
ORDER BY e.id;
