What a table held at @as_of. A statement that reads says /* at */ before the name of
the table, and its past has the text of the relation there, with every column that
the statement could name. Parts, each with all the names, are kept apart by UNION ALL: first the rows that are
still as they were, then those that were replaced since. What happened and never
changes is its own past.

-- relation: authority_path
-- What stands in a path's row about its exposures has no version of its own: it is
-- counted, where a statement asks for it, as mask_standing_paths counts it.
SELECT p.organization_id, p.id, p.lineage_id, p.workload_id, p.identity_id, p.resource_id, p.status, p.effective, p.role_ids, p.actions, p.auth_chain_depth,
       p.composition_hash, p.class, p.data_domain, p.sensitivity, p.ownership_status, p.egress_category, p.execution_30d, p.execution_basis, p.version,
       p.from_at, p.sync_version, p.first_seen_at, p.last_seen_at, p.removed_at,
       (SELECT coalesce(bit_or(1 << (x.type - 1)), 0) FROM /* at */ exposure x
        WHERE x.organization_id = @organization AND x.path_id = p.id AND x.to_at IS NULL AND x.disposition <= 2) AS acknowledged_mask,
       (SELECT count(*)::smallint FROM /* at */ exposure x
        WHERE x.organization_id = @organization AND x.path_id = p.id AND x.to_at IS NULL AND x.disposition <= 2) AS active_exposure_count,
       (SELECT max(x.severity) FROM /* at */ exposure x
        WHERE x.organization_id = @organization AND x.path_id = p.id AND x.to_at IS NULL AND x.disposition <= 2) AS max_exposure_severity
FROM authority_path p
WHERE p.organization_id = @organization AND p.from_at <= @as_of
UNION ALL
SELECT p.organization_id, p.id, p.lineage_id, p.workload_id, p.identity_id, p.resource_id, v.status, v.effective, v.role_ids, v.actions, v.auth_chain_depth,
       v.composition_hash, v.class, v.data_domain, v.sensitivity, v.ownership_status, v.egress_category, v.execution_30d, v.execution_basis, v.version,
       v.from_at, v.sync_version, p.first_seen_at, v.last_seen_at, CASE v.status WHEN 'removed' THEN v.from_at END AS removed_at,
       (SELECT coalesce(bit_or(1 << (x.type - 1)), 0) FROM /* at */ exposure x
        WHERE x.organization_id = @organization AND x.path_id = p.id AND x.to_at IS NULL AND x.disposition <= 2) AS acknowledged_mask,
       (SELECT count(*)::smallint FROM /* at */ exposure x
        WHERE x.organization_id = @organization AND x.path_id = p.id AND x.to_at IS NULL AND x.disposition <= 2) AS active_exposure_count,
       (SELECT max(x.severity) FROM /* at */ exposure x
        WHERE x.organization_id = @organization AND x.path_id = p.id AND x.to_at IS NULL AND x.disposition <= 2) AS max_exposure_severity
FROM authority_path_version v
JOIN authority_path p ON p.organization_id = @organization AND p.id = v.id
WHERE v.organization_id = @organization AND v.from_at <= @as_of AND v.to_at > @as_of

-- relation: entity
SELECT e.organization_id, e.id, e.kind, e.system, e.external_id, e.name, e.status, e.environment, e.owner_team, e.business_tier, e.execution_mode,
       e.artifact_identifier, e.source_type, e.data_domain, e.data_domain_stated, e.sensitivity, e.sensitivity_stated, e.owner_type, e.title,
       e.last_active_at, e.created_in_source_at, e.labels, e.class, e.ownership_status, e.egress_category, e.version, e.from_at, e.first_seen_at, e.removed_at
FROM entity e
WHERE e.organization_id = @organization AND e.from_at <= @as_of
UNION ALL
SELECT e.organization_id, e.id, e.kind, e.system, e.external_id, v.name, v.status, v.environment, v.owner_team, v.business_tier, v.execution_mode,
       v.artifact_identifier, v.source_type, v.data_domain, v.data_domain_stated, v.sensitivity, v.sensitivity_stated, v.owner_type, v.title,
       v.last_active_at, v.created_in_source_at, v.labels, v.class, v.ownership_status, v.egress_category, v.version, v.from_at, e.first_seen_at, v.removed_at
FROM entity_version v
JOIN entity e ON e.organization_id = @organization AND e.id = v.id
WHERE v.organization_id = @organization AND v.from_at <= @as_of AND v.to_at > @as_of

-- relation: entity_assertion
SELECT a.organization_id, a.entity_id, a.source_id, a.basis, a.kind, a.system, a.external_id, a.name, a.status, a.environment, a.owner_team,
       a.business_tier, a.execution_mode, a.artifact_identifier, a.source_type, a.data_domain, a.data_domain_stated, a.sensitivity, a.sensitivity_stated,
       a.owner_type, a.title, a.last_active_at, a.created_in_source_at, a.labels, a.from_at
FROM entity_assertion a
WHERE a.organization_id = @organization AND a.from_at <= @as_of
UNION ALL
SELECT v.organization_id, v.entity_id, v.source_id, v.basis, v.kind, v.system, v.external_id, v.name, v.status, v.environment, v.owner_team,
       v.business_tier, v.execution_mode, v.artifact_identifier, v.source_type, v.data_domain, v.data_domain_stated, v.sensitivity, v.sensitivity_stated,
       v.owner_type, v.title, v.last_active_at, v.created_in_source_at, v.labels, v.from_at
FROM entity_assertion_version v
WHERE v.organization_id = @organization AND v.from_at <= @as_of AND v.to_at > @as_of

-- relation: edge
SELECT e.organization_id, e.kind, e.from_id, e.scope, e.to_id, e.source_id, e.actions, e.effective, e.protocol, e.target_system, e.from_at
FROM edge e
WHERE e.organization_id = @organization AND e.from_at <= @as_of
UNION ALL
SELECT v.organization_id, v.kind, v.from_id, v.scope, v.to_id, v.source_id, v.actions, v.effective, v.protocol, v.target_system, v.from_at
FROM edge_version v
WHERE v.organization_id = @organization AND v.from_at <= @as_of AND v.to_at > @as_of

-- relation: coverage
-- from_at and to_at are the window that the claim is about.
SELECT c.organization_id, c.source_id, c.kind, c.entity_id, c.system, c.complete, c.from_at, c.to_at, c.max_age, c.recorded_at
FROM coverage c
WHERE c.organization_id = @organization AND c.recorded_at <= @as_of
UNION ALL
SELECT v.organization_id, v.source_id, v.kind, v.entity_id, v.system, v.complete, v.from_at, v.to_at, v.max_age, v.recorded_at
FROM coverage_version v
WHERE v.organization_id = @organization AND v.recorded_at <= @as_of AND v.until > @as_of

-- relation: evidence
-- How often, and when last, has no past: a count grows in its row.
SELECT f.organization_id, f.workload_id, f.identity_id, f.resource_id, f.action, f.day, f.related, f.source_id, f.basis
FROM evidence f
WHERE f.organization_id = @organization AND f.first_at <= @as_of

-- relation: source
-- What a source last delivered is read off its deliveries.
SELECT s.organization_id, s.id, s.name, s.system, coalesce(y.format, s.format) AS format, s.created_at, y.id AS last_sync_id,
       y.observed_at AS last_observed_at, y.at AS last_applied_at, c.at AS last_complete_at, s.scans
FROM source s
LEFT JOIN LATERAL (
  SELECT z.id, z.format, z.observed_at, z.at FROM sync z
  WHERE z.organization_id = @organization AND z.source_id = s.id AND z.at <= @as_of AND z.outcome <> 'late'
  ORDER BY z.at DESC LIMIT 1
) y ON true
LEFT JOIN LATERAL (
  SELECT z.at FROM sync z
  WHERE z.organization_id = @organization AND z.source_id = s.id AND z.at <= @as_of AND z.outcome <> 'late' AND z.complete
  ORDER BY z.at DESC LIMIT 1
) c ON true
WHERE s.organization_id = @organization AND s.created_at <= @as_of

-- relation: organization_window
-- It begins with the first sync that said something, and moves with an evaluation
-- that is about the time.
SELECT o.organization_id, o.window_at
FROM (
  SELECT @organization::uuid AS organization_id,
         greatest((SELECT min(y.at) FROM sync y WHERE y.organization_id = @organization AND y.at <= @as_of AND y.outcome = 'applied'),
                  (SELECT max(v.at) FROM evaluation v WHERE v.organization_id = @organization AND v.at <= @as_of AND v.cause IN ('time', 'request'))) AS window_at
) o
WHERE o.window_at IS NOT NULL

-- relation: condition
SELECT c.organization_id, c.subject_id, c.rule, c.ordinal, c.rule_version, c.class, c.explanation, c.path_explanation, c.evidence, c.evidence_digest,
       c.effective_from, c.effective_basis, c.indeterminate_since, c.version, c.version_from, c.from_at,
       CASE WHEN c.to_at <= @as_of THEN c.to_at END AS to_at, CASE WHEN c.to_at <= @as_of THEN c.resolution_reason END AS resolution_reason
FROM condition c
WHERE c.organization_id = @organization AND c.from_at <= @as_of AND c.version_from <= @as_of
UNION ALL
SELECT c.organization_id, c.subject_id, c.rule, c.ordinal, v.rule_version, v.class, v.explanation, v.path_explanation, v.evidence, v.evidence_digest,
       c.effective_from, c.effective_basis, v.indeterminate_since, v.version, v.from_at AS version_from, c.from_at,
       NULL::timestamptz AS to_at, NULL::text AS resolution_reason
FROM condition_version v
JOIN condition c ON c.organization_id = @organization AND c.subject_id = v.subject_id AND c.rule = v.rule AND c.ordinal = v.ordinal
WHERE v.organization_id = @organization AND v.from_at <= @as_of AND v.to_at > @as_of

-- relation: exposure
-- Who resolves by hand overwrites which decision the disposition followed from.
SELECT x.organization_id, x.path_id, x.type, x.ordinal, x.workload_id, x.class, x.severity, x.factors, x.explanation, x.evidence_digest, x.disposition,
       CASE WHEN x.to_at > @as_of AND x.resolution_reason = 'manual' THEN x.decided_before ELSE x.decided_seq END AS decided_seq,
       x.effective_from, x.effective_basis, x.lineage_from, x.indeterminate_since, x.version, x.version_from, x.from_at,
       CASE WHEN x.to_at <= @as_of THEN x.to_at END AS to_at, CASE WHEN x.to_at <= @as_of THEN x.resolution_reason END AS resolution_reason
FROM exposure x
WHERE x.organization_id = @organization AND x.from_at <= @as_of AND x.version_from <= @as_of
UNION ALL
SELECT x.organization_id, x.path_id, x.type, x.ordinal, x.workload_id, v.class, v.severity, v.factors, v.explanation, v.evidence_digest, v.disposition,
       v.decided_seq, x.effective_from, x.effective_basis, x.lineage_from, v.indeterminate_since, v.version, v.from_at AS version_from, x.from_at,
       NULL::timestamptz AS to_at, NULL::text AS resolution_reason
FROM exposure_version v
JOIN exposure x ON x.organization_id = @organization AND x.path_id = v.path_id AND x.type = v.type AND x.ordinal = v.ordinal
WHERE v.organization_id = @organization AND v.from_at <= @as_of AND v.to_at > @as_of

-- relation: workload_exposure
SELECT w.organization_id, w.workload_id, w.code, w.class, w.live, w.listed, w.execution_mode, w.ownership_status, w.egress_category, w.egress_categories,
       w.identity_ids, w.paths, w.sensitive_paths, w.dormant_paths, w.executed_paths, w.unwatched_paths, w.findings, w.finding_rules, w.max_severity,
       w.data_domains, w.sensitive_domains, w.clusters, w.executions, w.own_executions, w.last_execution_at, w.from_at
FROM workload_exposure w
WHERE w.organization_id = @organization AND w.from_at <= @as_of
UNION ALL
SELECT v.organization_id, v.workload_id, v.code, v.class, v.live, v.listed, v.execution_mode, v.ownership_status, v.egress_category, v.egress_categories,
       v.identity_ids, v.paths, v.sensitive_paths, v.dormant_paths, v.executed_paths, v.unwatched_paths, v.findings, v.finding_rules, v.max_severity,
       v.data_domains, v.sensitive_domains, v.clusters, v.executions, v.own_executions, v.last_execution_at, v.from_at
FROM workload_exposure_version v
WHERE v.organization_id = @organization AND v.from_at <= @as_of AND v.to_at > @as_of

-- relation: cluster_tally
SELECT y.organization_id, y.cluster, y.level, y.class, y.dimension, y.value, y.members, y.from_at
FROM cluster_tally y
WHERE y.organization_id = @organization AND y.from_at <= @as_of
UNION ALL
SELECT v.organization_id, v.cluster, v.level, v.class, v.dimension, v.value, v.members, v.from_at
FROM cluster_tally_version v
WHERE v.organization_id = @organization AND v.from_at <= @as_of AND v.to_at > @as_of

-- relation: cluster_definition
SELECT d.organization_id, d.cluster, d.version, d.from_at, CASE WHEN d.to_at <= @as_of THEN d.to_at END AS to_at, d.key, d.grain, d.severity, d.all_mask, d.any_mask
FROM cluster_definition d
WHERE d.organization_id = @organization AND d.from_at <= @as_of

-- relation: setting
SELECT s.organization_id, s.version, s.from_at, CASE WHEN s.to_at <= @as_of THEN s.to_at END AS to_at, s.actor, s.dormant_after_days, s.proof_grace_days,
       s.privilege_window_days, s.shared_workloads, s.disabled_rules
FROM setting s
WHERE s.organization_id = @organization AND s.from_at <= @as_of

-- relation: rule_version
SELECT r.organization_id, r.rule, r.version, r.enabled, r.from_at, CASE WHEN r.to_at <= @as_of THEN r.to_at END AS to_at
FROM rule_version r
WHERE r.organization_id = @organization AND r.from_at <= @as_of

-- relation: privilege_justification
SELECT j.organization_id, j.path_id, j.from_at, CASE WHEN j.to_at <= @as_of THEN j.to_at END AS to_at, j.actor, j.justification, j.actions,
       CASE WHEN j.to_at <= @as_of THEN j.withdrawn_by END AS withdrawn_by
FROM privilege_justification j
WHERE j.organization_id = @organization AND j.from_at <= @as_of

-- relation: signing_key
SELECT k.organization_id, k.id, k.subject, k.public_key, k.from_at, CASE WHEN k.to_at <= @as_of THEN k.to_at END AS to_at, k.added_by,
       CASE WHEN k.to_at <= @as_of THEN k.ended_by END AS ended_by
FROM signing_key k
WHERE k.organization_id = @organization AND k.from_at <= @as_of

-- relation: sync
SELECT s.* FROM sync s WHERE s.organization_id = @organization AND s.at <= @as_of

-- relation: evaluation
SELECT v.* FROM evaluation v WHERE v.organization_id = @organization AND v.at <= @as_of

-- relation: identity_rotation
SELECT r.* FROM identity_rotation r WHERE r.organization_id = @organization AND r.at <= @as_of

-- relation: path_succession
SELECT s.* FROM path_succession s WHERE s.organization_id = @organization AND s.at <= @as_of

-- relation: scope_baseline
SELECT b.* FROM scope_baseline b WHERE b.organization_id = @organization AND b.at <= @as_of

-- relation: posture_snapshot
SELECT s.* FROM posture_snapshot s WHERE s.organization_id = @organization AND s.at <= @as_of

-- relation: ledger_entry
SELECT l.* FROM ledger_entry l WHERE l.organization_id = @organization AND l.at <= @as_of

-- relation: asset
SELECT a.organization_id, a.id, a.kind, a.value, a.parent_id, a.root_id, a.address, a.protocol, a.port, a.origin, a.sha1, a.first_seen_at,
       a.status, a.state, a.attributes, a.technology, a.confidence, a.plugin, a.class, a.version, a.from_at
FROM asset a
WHERE a.organization_id = @organization AND a.from_at <= @as_of
UNION ALL
SELECT a.organization_id, a.id, a.kind, a.value, a.parent_id, a.root_id, a.address, a.protocol, a.port, a.origin, a.sha1, a.first_seen_at,
       v.status, v.state, v.attributes, v.technology, v.confidence, v.plugin, v.class, v.version, v.from_at
FROM asset_version v
JOIN asset a ON a.organization_id = @organization AND a.id = v.id
WHERE v.organization_id = @organization AND v.from_at <= @as_of AND v.to_at > @as_of

-- relation: asset_sighting
SELECT g.organization_id, g.asset_id, g.source_id, g.from_at, CASE WHEN g.to_at <= @as_of THEN g.to_at END AS to_at, g.stated_at, g.state, g.attributes,
       g.digest, g.confidence, g.plugin
FROM asset_sighting g
WHERE g.organization_id = @organization AND g.from_at <= @as_of

-- relation: asset_tie
SELECT t.organization_id, t.kind, t.from_id, t.to_id, t.source_id, t.from_at, CASE WHEN t.to_at <= @as_of THEN t.to_at END AS to_at
FROM asset_tie t
WHERE t.organization_id = @organization AND t.from_at <= @as_of

-- relation: asset_link
SELECT l.organization_id, l.asset_id, l.workload_id, l.basis, l.detail, l.from_at, CASE WHEN l.to_at <= @as_of THEN l.to_at END AS to_at
FROM asset_link l
WHERE l.organization_id = @organization AND l.from_at <= @as_of

-- relation: file
SELECT f.* FROM file f WHERE f.organization_id = @organization AND f.at <= @as_of
