The rows of an organization, page by page in the order of their keys, so that
no more than a page is held twice. Each page begins behind the last key of the
one before; nothing is counted or joined here.

-- name: plan_by_key
-- A page is read along its key: without statistics, which a table that was just
-- filled has none of, the planner would sort the rest of the table for each.
SELECT set_config(name, value, true)
FROM (VALUES ('plan_cache_mode', 'force_custom_plan'), ('enable_sort', 'off'), ('enable_bitmapscan', 'off')) AS s(name, value);

-- name: window_at
SELECT window_at FROM organization_window WHERE organization_id = @organization;

-- name: said
-- How much each source says, read once and not along a key.
SELECT r.said, r.source_id, r.rows, s.id IS NOT NULL AS known
FROM (
  SELECT 'assertions' AS said, a.source_id, count(*) AS rows FROM entity_assertion a WHERE a.organization_id = @organization GROUP BY a.source_id
  UNION ALL
  SELECT 'edges', e.source_id, count(*) FROM edge e WHERE e.organization_id = @organization GROUP BY e.source_id
  UNION ALL
  SELECT 'egress', e.source_id, count(*) FROM egress e WHERE e.organization_id = @organization GROUP BY e.source_id
  UNION ALL
  SELECT 'evidence', e.source_id, count(*) FROM evidence e WHERE e.organization_id = @organization GROUP BY e.source_id
) r
LEFT JOIN source s ON s.organization_id = @organization AND s.id = r.source_id;

-- name: entities
SELECT id, kind, status, name, class, execution_mode, data_domain, sensitivity, ownership_status, egress_category
FROM entity
WHERE organization_id = @organization AND id > @id
ORDER BY id
LIMIT @rows;

-- name: entity_versions
SELECT id, version, status
FROM entity_version
WHERE organization_id = @organization AND (id, version) > (@id, @version)
ORDER BY id, version
LIMIT @rows;

-- name: edges
SELECT kind, from_id, scope, to_id, source_id
FROM edge
WHERE organization_id = @organization AND kind IN ('runs_as', 'authenticates') AND (kind, from_id, scope, to_id, source_id) > (@kind, @from_id, @scope, @to_id, @source_id)
ORDER BY kind, from_id, scope, to_id, source_id
LIMIT @rows;

-- name: egress
SELECT workload_id, host, source_id, category
FROM egress
WHERE organization_id = @organization AND (workload_id, host, source_id) > (@workload_id, @host, @source_id)
ORDER BY workload_id, host, source_id
LIMIT @rows;

-- name: paths
SELECT id, workload_id, identity_id, resource_id, status, effective, class, data_domain, sensitivity, ownership_status, egress_category,
       execution_30d, execution_basis, open_mask, acknowledged_mask, accepted_mask, active_exposure_count, max_exposure_severity,
       version, from_at, first_seen_at, removed_at
FROM authority_path
WHERE organization_id = @organization AND id > @id
ORDER BY id
LIMIT @rows;

-- name: path_versions
SELECT id, version, from_at, to_at, status, class, last_seen_at
FROM authority_path_version
WHERE organization_id = @organization AND (id, version) > (@id, @version)
ORDER BY id, version
LIMIT @rows;

-- name: evidence
SELECT workload_id, identity_id, resource_id, action, day, related, source_id, basis, count, last_at, recorded_at,
       greatest(first_at, '0001-01-01 00:00+00') AS first_at
FROM evidence
WHERE organization_id = @organization
  AND (workload_id, identity_id, resource_id, action, day, related, source_id)
    > (@workload_id, @identity_id, @resource_id, @action, @day, @related, @source_id)
ORDER BY workload_id, identity_id, resource_id, action, day, related, source_id
LIMIT @rows;

-- name: conditions
SELECT subject_id, rule, ordinal, class, version, version_from, from_at, to_at, resolution_reason
FROM condition
WHERE organization_id = @organization AND (subject_id, rule, ordinal) > (@subject_id, @rule, @ordinal)
ORDER BY subject_id, rule, ordinal
LIMIT @rows;

-- name: condition_versions
SELECT subject_id, rule, ordinal, version, from_at, to_at
FROM condition_version
WHERE organization_id = @organization AND (subject_id, rule, ordinal, version) > (@subject_id, @rule, @ordinal, @version)
ORDER BY subject_id, rule, ordinal, version
LIMIT @rows;

-- name: exposures
SELECT path_id, type, ordinal, workload_id, class, severity, disposition, effective_from, version, version_from, from_at, to_at, resolution_reason,
       decided_before
FROM exposure
WHERE organization_id = @organization AND (path_id, type, ordinal) > (@path_id, @type, @ordinal)
ORDER BY path_id, type, ordinal
LIMIT @rows;

-- name: exposure_versions
SELECT path_id, type, ordinal, version, from_at, to_at
FROM exposure_version
WHERE organization_id = @organization AND (path_id, type, ordinal, version) > (@path_id, @type, @ordinal, @version)
ORDER BY path_id, type, ordinal, version
LIMIT @rows;

-- name: definitions
SELECT cluster, version, key, grain, severity, all_mask, any_mask, from_at
FROM cluster_definition
WHERE organization_id = @organization AND to_at IS NULL
ORDER BY cluster;

-- name: clusters
-- Every cluster that any row names, also those that nobody defines.
SELECT cluster FROM cluster_definition WHERE organization_id = @organization
UNION SELECT cluster FROM cluster_member WHERE organization_id = @organization
UNION SELECT cluster FROM cluster_identity WHERE organization_id = @organization
UNION SELECT cluster FROM cluster_workload WHERE organization_id = @organization
UNION SELECT cluster FROM cluster_evidence WHERE organization_id = @organization
UNION SELECT cluster FROM cluster_counter WHERE organization_id = @organization
UNION SELECT cluster FROM cluster_counter_version WHERE organization_id = @organization
UNION SELECT cluster FROM cluster_tally WHERE organization_id = @organization
ORDER BY cluster;

-- name: members
SELECT path_id, from_at, to_at, version, level, class, rank, first_seen, exposed_since, sensitivity, ownership_status, sensitive_domain,
       executed, evidence, workload_id, identity_id, resource_id
FROM cluster_member
WHERE organization_id = @organization AND cluster = @cluster AND (path_id, from_at) > (@path_id, @from_at)
ORDER BY path_id, from_at
LIMIT @rows;

-- name: identities
SELECT identity_id, level, class, members
FROM cluster_identity
WHERE organization_id = @organization AND cluster = @cluster AND (identity_id, level, class) > (@identity_id, @level, @class)
ORDER BY identity_id, level, class
LIMIT @rows;

-- name: workloads
SELECT workload_id, level, class, members
FROM cluster_workload
WHERE organization_id = @organization AND cluster = @cluster AND (workload_id, level, class) > (@workload_id, @level, @class)
ORDER BY workload_id, level, class
LIMIT @rows;

-- name: cluster_evidence
SELECT workload_id, identity_id, resource_id, level, class, members, executions
FROM cluster_evidence
WHERE organization_id = @organization AND cluster = @cluster
  AND (workload_id, identity_id, resource_id, level, class) > (@workload_id, @identity_id, @resource_id, @level, @class)
ORDER BY workload_id, identity_id, resource_id, level, class
LIMIT @rows;

-- name: counters
SELECT level, class, from_at, paths, identities, workloads, executions, executed, executed_sensitive, unwatched,
       ownership_valid, ownership_degraded, ownership_ambiguous, ownership_orphaned, ownership_unknown,
       sensitivity_unknown, sensitivity_public, sensitivity_internal, sensitivity_confidential, sensitivity_restricted
FROM cluster_counter
WHERE organization_id = @organization AND cluster = @cluster AND (level, class) > (@level, @class)
ORDER BY level, class
LIMIT @rows;

-- name: counter_versions
SELECT level, class, from_at, to_at
FROM cluster_counter_version
WHERE organization_id = @organization AND cluster = @cluster AND (level, class, from_at) > (@level, @class, @from_at)
ORDER BY level, class, from_at
LIMIT @rows;

-- name: moved_counters
-- The clusters that have moved on since an instant, and what they came to then.
SELECT d.key, coalesce(v.paths, 0) AS paths, coalesce(v.executions, 0) AS executions
FROM cluster_counter c
JOIN cluster_definition d ON d.organization_id = @organization AND d.cluster = c.cluster AND d.to_at IS NULL
LEFT JOIN cluster_counter_version v ON v.organization_id = @organization AND v.class = c.class AND v.level = c.level AND v.cluster = c.cluster
                                   AND v.from_at <= @at AND v.to_at > @at
WHERE c.organization_id = @organization AND c.class = @class AND c.level = @level AND c.from_at > @at
ORDER BY d.key;

-- name: tallies
SELECT level, class, dimension, value, members
FROM cluster_tally
WHERE organization_id = @organization AND cluster = @cluster
  AND (level, class, dimension, value) > (@level, @class, @dimension, @value)
ORDER BY level, class, dimension, value
LIMIT @rows;

-- name: summed
SELECT EXISTS (SELECT FROM posture_snapshot WHERE organization_id = @organization) OR EXISTS (SELECT FROM posture_counter WHERE organization_id = @organization);

-- name: workload_rows
SELECT workload_id, code, class, live, listed, execution_mode, ownership_status, egress_category, egress_categories, identity_ids,
       paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, findings, finding_rules, max_severity,
       data_domains, sensitive_domains, clusters, executions, own_executions, last_execution_at
FROM workload_exposure
WHERE organization_id = @organization AND workload_id > @workload_id
ORDER BY workload_id
LIMIT @rows;

-- name: identity_rows
SELECT identity_id, class, paths, effective_paths, dormant_paths, executed_paths, autonomous, executions
FROM identity_posture
WHERE organization_id = @organization AND (identity_id, class) > (@identity_id, @class)
ORDER BY identity_id, class
LIMIT @rows;

-- name: posture
SELECT class, from_at, paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, invalid_paths, executed_invalid_paths, executions,
       workloads, autonomous, operator_assisted, human_triggered, unclassified, listed, critical, high, medium, low,
       identities, active_identities, active_autonomous, dormant_identities,
       paths_added, paths_removed, paths_orphaned, paths_invalidated, autonomous_gained
FROM posture_counter
WHERE organization_id = @organization AND class > @class
ORDER BY class
LIMIT @rows;

-- name: posture_versions
SELECT class, from_at, to_at, paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, invalid_paths, executed_invalid_paths, executions,
       workloads, autonomous, operator_assisted, human_triggered, unclassified, listed, critical, high, medium, low,
       identities, active_identities, active_autonomous, dormant_identities,
       paths_added, paths_removed, paths_orphaned, paths_invalidated, autonomous_gained
FROM posture_counter_version
WHERE organization_id = @organization AND (class, from_at) > (@class, @from_at)
ORDER BY class, from_at
LIMIT @rows;

-- name: snapshots
SELECT at, sync_id, paths, dormant_paths, executions, invalid_paths, executed_invalid_paths, sensitive_paths,
       workloads, autonomous, operator_assisted, human_triggered, unclassified,
       identities, active_identities, active_autonomous, dormant_identities,
       paths_added, paths_removed, paths_orphaned, paths_invalidated, autonomous_gained, clusters
FROM posture_snapshot
WHERE organization_id = @organization AND at > @at
ORDER BY at
LIMIT @rows;

-- name: syncs
SELECT id, at, outcome
FROM sync
WHERE organization_id = @organization AND id > @id
ORDER BY id
LIMIT @rows;

-- name: evaluations
SELECT at
FROM evaluation
WHERE organization_id = @organization AND at > @at
ORDER BY at
LIMIT @rows;

-- name: history
SELECT (SELECT h.history_from FROM change_head h WHERE h.id = @organization) AS history_from,
       greatest((SELECT max(s.at) FROM sync s WHERE s.organization_id = @organization),
                (SELECT max(e.at) FROM evaluation e WHERE e.organization_id = @organization),
                (SELECT h.at FROM ledger_head h WHERE h.organization_id = @organization),
                (SELECT max(f.at) FROM file f WHERE f.organization_id = @organization)) AS clock;

-- name: entity_lives
SELECT id, from_at, NULL::timestamptz AS to_at, status, removed_at
FROM entity
WHERE organization_id = @organization AND id > @id
ORDER BY id
LIMIT @rows;

-- name: former_entities
-- The versions of an entity are in the order of their instants.
SELECT id, from_at, to_at, status, removed_at
FROM entity_version
WHERE organization_id = @organization AND (id, from_at) > (@id, @from_at)
ORDER BY id, version
LIMIT @rows;

-- name: assertions
-- What was there before its past was kept began at the zero instant: there is no
-- other below all others that the program can read.
SELECT entity_id, source_id, basis, greatest(from_at, '0001-01-01 00:00+00') AS from_at, NULL::timestamptz AS to_at
FROM entity_assertion
WHERE organization_id = @organization AND (entity_id, source_id, basis) > (@entity_id, @source_id, @basis)
ORDER BY entity_id, source_id, basis
LIMIT @rows;

-- name: former_assertions
SELECT entity_id, source_id, basis, greatest(from_at, '0001-01-01 00:00+00') AS from_at, to_at
FROM entity_assertion_version v
WHERE v.organization_id = @organization AND (entity_id, source_id, basis, v.from_at) > (@entity_id, @source_id, @basis, @from_at)
ORDER BY entity_id, source_id, basis, v.from_at
LIMIT @rows;

-- name: edge_lives
SELECT kind, from_id, scope, to_id, source_id, greatest(from_at, '0001-01-01 00:00+00') AS from_at, NULL::timestamptz AS to_at
FROM edge
WHERE organization_id = @organization AND (kind, from_id, scope, to_id, source_id) > (@kind, @from_id, @scope, @to_id, @source_id)
ORDER BY kind, from_id, scope, to_id, source_id
LIMIT @rows;

-- name: former_edges
SELECT kind, from_id, scope, to_id, source_id, greatest(from_at, '0001-01-01 00:00+00') AS from_at, to_at
FROM edge_version v
WHERE v.organization_id = @organization AND (kind, from_id, scope, to_id, source_id, v.from_at) > (@kind, @from_id, @scope, @to_id, @source_id, @from_at)
ORDER BY kind, from_id, scope, to_id, source_id, v.from_at
LIMIT @rows;

-- name: coverages
SELECT source_id, kind, entity_id, recorded_at AS from_at, NULL::timestamptz AS to_at
FROM coverage
WHERE organization_id = @organization AND (source_id, kind, entity_id) > (@source_id, @kind, @entity_id)
ORDER BY source_id, kind, entity_id
LIMIT @rows;

-- name: former_coverages
SELECT source_id, kind, entity_id, recorded_at AS from_at, until AS to_at
FROM coverage_version
WHERE organization_id = @organization AND (source_id, kind, entity_id, recorded_at) > (@source_id, @kind, @entity_id, @from_at)
ORDER BY source_id, kind, entity_id, recorded_at
LIMIT @rows;

-- name: tally_lives
SELECT class, level, cluster, dimension, value, greatest(from_at, '0001-01-01 00:00+00') AS from_at, NULL::timestamptz AS to_at, members
FROM cluster_tally
WHERE organization_id = @organization AND (class, level, cluster, dimension, value) > (@class, @level, @cluster, @dimension, @value)
ORDER BY class, level, cluster, dimension, value
LIMIT @rows;

-- name: former_tallies
SELECT class, level, cluster, dimension, value, greatest(from_at, '0001-01-01 00:00+00') AS from_at, to_at, members
FROM cluster_tally_version v
WHERE v.organization_id = @organization
  AND (class, level, cluster, dimension, value, v.from_at) > (@class, @level, @cluster, @dimension, @value, @from_at)
ORDER BY class, level, cluster, dimension, value, v.from_at
LIMIT @rows;

-- name: workload_lives
SELECT workload_id, greatest(from_at, '0001-01-01 00:00+00') AS from_at, NULL::timestamptz AS to_at, live, listed, paths
FROM workload_exposure
WHERE organization_id = @organization AND workload_id > @workload_id
ORDER BY workload_id
LIMIT @rows;

-- name: former_workloads
SELECT workload_id, greatest(from_at, '0001-01-01 00:00+00') AS from_at, to_at, live, listed, paths
FROM workload_exposure_version v
WHERE v.organization_id = @organization AND (workload_id, v.from_at) > (@workload_id, @from_at)
ORDER BY workload_id, v.from_at
LIMIT @rows;

-- name: events
SELECT seq, id, change_type, entity_id, subject_id, exposure_type, exposure_ordinal, class, severity, at
FROM exposure_changes
WHERE organization_id = @organization AND seq > @seq
ORDER BY seq
LIMIT @rows;

-- name: days
SELECT day, change_type, severity, class, events
FROM exposure_change_day
WHERE organization_id = @organization AND (day, change_type, severity, class) > (@day::date, @change_type, @severity, @class)
ORDER BY day, change_type, severity, class
LIMIT @rows;

-- name: assets
-- Texts of jsonb are alike where the values are.
SELECT id, kind, value, parent_id, root_id, first_seen_at, status, state, attributes::text AS attributes, technology, confidence, plugin, class, version,
       from_at
FROM asset
WHERE organization_id = @organization AND id > @id
ORDER BY id
LIMIT @rows;

-- name: access_classes
SELECT class
FROM access_class
WHERE organization_id = @organization AND class > @class
ORDER BY class
LIMIT @rows;

-- name: access_class_sets
SELECT class, members, digest
FROM access_class_set
WHERE organization_id = @organization AND class > @class
ORDER BY class
LIMIT @rows;

-- name: asset_versions
SELECT id, version, from_at, to_at
FROM asset_version
WHERE organization_id = @organization AND (id, version) > (@id, @version)
ORDER BY id, version
LIMIT @rows;

-- name: asset_sightings
SELECT asset_id, source_id, from_at, to_at, stated_at, attributes::text AS attributes, confidence, plugin
FROM asset_sighting
WHERE organization_id = @organization AND (asset_id, source_id, from_at) > (@asset_id, @source_id, @from_at)
ORDER BY asset_id, source_id, from_at
LIMIT @rows;

-- name: asset_ties
SELECT kind, from_id, to_id, source_id, from_at, to_at
FROM asset_tie
WHERE organization_id = @organization AND (kind, from_id, to_id, source_id, from_at) > (@kind, @from_id, @to_id, @source_id, @from_at)
ORDER BY kind, from_id, to_id, source_id, from_at
LIMIT @rows;

-- name: endpoints
SELECT workload_id, kind, value, port, source_id, from_at, to_at
FROM endpoint
WHERE organization_id = @organization AND (workload_id, kind, value, port, source_id, from_at) > (@workload_id, @kind, @value, @port, @source_id, @from_at)
ORDER BY workload_id, kind, value, port, source_id, from_at
LIMIT @rows;

-- name: images
SELECT id, artifact_identifier
FROM entity
WHERE organization_id = @organization AND kind = 'workload' AND artifact_identifier IS NOT NULL AND id > @id
ORDER BY id
LIMIT @rows;

-- name: collected_files
SELECT id, artifact
FROM file
WHERE organization_id = @organization AND artifact IS NOT NULL AND id > @id
ORDER BY id
LIMIT @rows;

-- name: asset_links
SELECT asset_id, workload_id, basis, detail, from_at, to_at
FROM asset_link
WHERE organization_id = @organization AND (asset_id, workload_id, basis, from_at) > (@asset_id, @workload_id, @link_basis, @from_at)
ORDER BY asset_id, workload_id, basis, from_at
LIMIT @rows;
