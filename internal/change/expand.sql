What changed at given instants (@ats), stage by stage. Each stage reads keys that are
written once: when a path was first seen, when a version or an interval began or
ended. So what a statement finds does not depend on when it runs, and an occurrence
can be expanded in parts: behind the key @after..., no more than @limit.

-- columns: state
p.lineage_id, p.workload_id, p.identity_id, p.resource_id, n.class, n.status, n.effective, n.role_ids, n.actions, n.sensitivity, n.data_domain

-- name: scans
SELECT y.at, y.id, y.source_id, s.name AS source, s.system, y.version, y.observed_at, y.outcome, y.complete, y.records_read, y.records_rejected,
       y.paths_added, y.paths_changed, y.paths_removed, y.exposures_opened, y.exposures_resolved
FROM unnest(@ats::timestamptz[]) AS k(at)
JOIN sync y ON y.organization_id = @organization AND y.at = k.at
JOIN source s ON s.organization_id = @organization AND s.id = y.source_id;

-- name: evaluations
SELECT v.at, v.cause
FROM unnest(@ats::timestamptz[]) AS k(at)
JOIN evaluation v ON v.organization_id = @organization AND v.at = k.at;

-- name: rotated
SELECT k.at, r.workload_id, r.from_identity, r.to_identity, coalesce(v.class, w.class) AS class,
       (SELECT count(*) FROM authority_path p
        JOIN path_succession s ON s.organization_id = @organization AND s.successor_id = p.id AND s.at = k.at
        WHERE p.organization_id = @organization AND p.workload_id = r.workload_id) AS lineages_kept
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT r.* FROM identity_rotation r
  WHERE r.organization_id = @organization AND r.at = k.at AND r.workload_id > @after_id
  ORDER BY r.workload_id LIMIT @limit) r
JOIN entity w ON w.organization_id = @organization AND w.id = r.workload_id
LEFT JOIN LATERAL (
  SELECT v.class FROM entity_version v
  WHERE w.from_at > k.at AND v.organization_id = @organization AND v.id = w.id AND v.from_at <= k.at AND v.to_at > k.at) v ON true;

-- name: discovered
SELECT k.at, p.id, /* columns: state */, s.predecessor_id
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT p.* FROM authority_path p
  WHERE p.organization_id = @organization AND p.first_seen_at = k.at AND p.id > @after_id
  ORDER BY p.id LIMIT @limit) p
CROSS JOIN LATERAL (
  SELECT p.class, p.status, p.effective, p.role_ids, p.actions, p.sensitivity, p.data_domain WHERE p.version = 1
  UNION ALL
  SELECT v.class, v.status, v.effective, v.role_ids, v.actions, v.sensitivity, v.data_domain FROM authority_path_version v
  WHERE p.version > 1 AND v.organization_id = @organization AND v.id = p.id AND v.version = 1) n
LEFT JOIN path_succession s ON s.organization_id = @organization AND s.successor_id = p.id AND s.at = k.at;

-- name: changed
SELECT k.at, p.id, /* columns: state */, n.composition_hash, s.predecessor_id, u.successor_id,
       o.status AS old_status, o.from_at AS old_from, o.class AS old_class, o.effective AS old_effective, o.role_ids AS old_role_ids, o.actions AS old_actions,
       o.composition_hash AS old_composition_hash, o.sensitivity AS old_sensitivity, o.data_domain AS old_data_domain
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT o.* FROM authority_path_version o
  WHERE o.organization_id = @organization AND o.to_at = k.at AND o.id > @after_id
  ORDER BY o.id LIMIT @limit) o
JOIN authority_path p ON p.organization_id = @organization AND p.id = o.id
CROSS JOIN LATERAL (
  SELECT p.class, p.status, p.effective, p.role_ids, p.actions, p.composition_hash, p.sensitivity, p.data_domain WHERE p.version = o.version + 1
  UNION ALL
  SELECT v.class, v.status, v.effective, v.role_ids, v.actions, v.composition_hash, v.sensitivity, v.data_domain FROM authority_path_version v
  WHERE p.version > o.version + 1 AND v.organization_id = @organization AND v.id = p.id AND v.version = o.version + 1) n
LEFT JOIN path_succession s ON s.organization_id = @organization AND s.successor_id = p.id AND s.at = k.at
LEFT JOIN LATERAL (
  SELECT u.successor_id FROM path_succession u
  WHERE u.organization_id = @organization AND u.predecessor_id = p.id AND u.at = k.at ORDER BY u.successor_id LIMIT 1) u ON true;

-- name: opened
SELECT k.at, x.path_id, x.type, x.ordinal, p.lineage_id, p.workload_id, p.identity_id, p.resource_id,
       x.effective_from, x.effective_basis, x.lineage_from, v.class, v.severity, v.explanation, v.disposition
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT x.* FROM exposure x
  WHERE x.organization_id = @organization AND x.from_at = k.at AND (x.path_id, x.type, x.ordinal) > (@after_id, @after_type, @after_ordinal)
  ORDER BY x.path_id, x.type, x.ordinal LIMIT @limit) x
JOIN authority_path p ON p.organization_id = @organization AND p.id = x.path_id
CROSS JOIN LATERAL (
  SELECT x.class, x.severity, x.explanation, x.disposition WHERE x.version = 1
  UNION ALL
  SELECT v.class, v.severity, v.explanation, v.disposition FROM exposure_version v
  WHERE x.version > 1 AND v.organization_id = @organization AND v.path_id = x.path_id AND v.type = x.type AND v.ordinal = x.ordinal AND v.version = 1) v;

-- name: resolved
-- What ended keeps its last version.
SELECT k.at, x.path_id, x.type, x.ordinal, p.lineage_id, p.workload_id, p.identity_id, p.resource_id,
       x.effective_from, x.class, x.severity, x.explanation, x.disposition, x.resolution_reason, x.decided_seq
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT x.* FROM exposure x
  WHERE x.organization_id = @organization AND x.to_at = k.at AND (x.path_id, x.type, x.ordinal) > (@after_id, @after_type, @after_ordinal)
  ORDER BY x.path_id, x.type, x.ordinal LIMIT @limit) x
JOIN authority_path p ON p.organization_id = @organization AND p.id = x.path_id;

-- name: disposed
-- Resolving by hand puts its own decision in place of the one before.
SELECT k.at, o.path_id, o.type, o.ordinal, p.lineage_id, p.workload_id, p.identity_id, p.resource_id,
       n.class, n.severity, n.explanation, n.disposition, n.decided_seq, n.version, o.disposition AS old_disposition, o.version AS old_version,
       l.actor, l.batch_id, l.body
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT o.* FROM exposure_version o
  WHERE o.organization_id = @organization AND o.to_at = k.at AND (o.path_id, o.type, o.ordinal) > (@after_id, @after_type, @after_ordinal)
  ORDER BY o.path_id, o.type, o.ordinal LIMIT @limit) o
JOIN exposure x ON x.organization_id = @organization AND x.path_id = o.path_id AND x.type = o.type AND x.ordinal = o.ordinal
JOIN authority_path p ON p.organization_id = @organization AND p.id = o.path_id
CROSS JOIN LATERAL (
  SELECT x.class, x.severity, x.explanation, x.disposition, x.version,
         CASE x.resolution_reason WHEN 'manual' THEN x.decided_before ELSE x.decided_seq END AS decided_seq
  WHERE x.version = o.version + 1
  UNION ALL
  SELECT v.class, v.severity, v.explanation, v.disposition, v.version, v.decided_seq FROM exposure_version v
  WHERE x.version > o.version + 1 AND v.organization_id = @organization AND v.path_id = o.path_id AND v.type = o.type AND v.ordinal = o.ordinal AND v.version = o.version + 1) n
LEFT JOIN ledger_entry l ON l.organization_id = @organization AND l.seq = n.decided_seq;

-- name: beside
-- What else happened to paths at an instant, for what follows from it.
SELECT k.path_id, k.at, p.lineage_id, p.first_seen_at = k.at AS discovered,
       o.status AS old_status, n.status, coalesce((o.composition_hash, o.effective) IS DISTINCT FROM (n.composition_hash, n.effective), false) AS scope,
       coalesce(o.sensitivity <> n.sensitivity, false) AS sensitivity
FROM unnest(@paths::uuid[], @ats::timestamptz[]) AS k(path_id, at)
JOIN authority_path p ON p.organization_id = @organization AND p.id = k.path_id
LEFT JOIN LATERAL (
  SELECT o.* FROM authority_path_version o WHERE o.organization_id = @organization AND o.to_at = k.at AND o.id = k.path_id) o ON true
LEFT JOIN LATERAL (
  SELECT p.status, p.composition_hash, p.effective, p.sensitivity WHERE p.version = o.version + 1
  UNION ALL
  SELECT v.status, v.composition_hash, v.effective, v.sensitivity FROM authority_path_version v
  WHERE p.version > o.version + 1 AND v.organization_id = @organization AND v.id = p.id AND v.version = o.version + 1) n ON true;

-- name: names
-- What entities were called at an instant.
SELECT k.id, k.at, e.kind, e.external_id, coalesce(v.name, e.name) AS name
FROM unnest(@ids::uuid[], @ats::timestamptz[]) AS k(id, at)
JOIN entity e ON e.organization_id = @organization AND e.id = k.id
LEFT JOIN LATERAL (
  SELECT v.name FROM entity_version v
  WHERE e.from_at > k.at AND v.organization_id = @organization AND v.id = e.id AND v.from_at <= k.at AND v.to_at > k.at) v ON true;
