What changed at given instants (@ats), stage by stage. Each stage reads keys that are
written once: when a path was first seen, when a version or an interval began or
ended. So what a statement finds does not depend on when it runs, and an occurrence
can be expanded in parts: behind the key @after..., no more than @limit.

A step costs what it tells of, and nothing for what else there is. Connections keep plans
that were made when the tables were all but empty: to those any index is as good, and so
is going through all of a table. So each statement goes from its keys to what they name,
one after the other, which LATERAL with LIMIT or OFFSET 0 leaves no choice about. Where
several indexes begin alike, the range is asked for in the order of the one that has it;
by_key has nothing sorted.

-- columns: state
p.lineage_id, p.workload_id, p.identity_id, p.resource_id, n.class, n.status, n.effective, n.role_ids, n.actions, n.sensitivity, n.data_domain

-- columns: asset
a.id, a.kind, a.value, a.protocol, a.port, a.origin, a.parent_id, p.kind AS parent_kind, p.value AS parent,
       n.state, n.attributes, n.technology, n.confidence, n.plugin, n.class

-- name: scans
SELECT y.at, y.id, y.source_id, s.name AS source, s.system, y.version, y.observed_at, y.outcome, y.complete, y.records_read, y.records_rejected,
       y.paths_added, y.paths_changed, y.paths_removed, y.exposures_opened, y.exposures_resolved,
       s.scans, y.assets_added, y.assets_changed, y.assets_gone
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT y.* FROM sync y
  WHERE y.organization_id = @organization AND y.at >= k.at AND y.at <= k.at
  ORDER BY y.at OFFSET 0) y
CROSS JOIN LATERAL (
  SELECT s.* FROM source s WHERE s.organization_id = @organization AND s.id >= y.source_id AND s.id <= y.source_id ORDER BY s.id OFFSET 0) s;

-- name: evaluations
SELECT v.at, v.cause
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT v.at, v.cause FROM evaluation v WHERE v.organization_id = @organization AND v.at = k.at OFFSET 0) v;

-- name: rotated
SELECT k.at, r.workload_id, r.from_identity, r.to_identity, coalesce(v.class, w.class) AS class,
       (SELECT count(*) FROM authority_path p
        CROSS JOIN LATERAL (
          SELECT s.successor_id, s.at FROM path_succession s
          WHERE s.organization_id = @organization AND (s.successor_id, s.at) >= (p.id, k.at)
          ORDER BY s.successor_id, s.at LIMIT 1) s
        WHERE p.organization_id = @organization AND p.workload_id = r.workload_id AND (s.successor_id, s.at) = (p.id, k.at)) AS lineages_kept
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT r.* FROM identity_rotation r
  WHERE r.organization_id = @organization AND (r.at, r.workload_id) > (k.at, @after_id) AND r.at <= k.at
  ORDER BY r.at, r.workload_id LIMIT @limit) r
CROSS JOIN LATERAL (
  SELECT w.* FROM entity w WHERE w.organization_id = @organization AND w.id >= r.workload_id AND w.id <= r.workload_id ORDER BY w.id OFFSET 0) w
LEFT JOIN LATERAL (
  SELECT v.class FROM (
    SELECT v.* FROM entity_version v
    WHERE w.from_at > k.at AND v.organization_id = @organization AND v.id >= w.id AND v.id <= w.id
    ORDER BY v.id, v.version OFFSET 0) v
  WHERE v.from_at <= k.at AND v.to_at > k.at) v ON true;

-- name: discovered
SELECT k.at, p.id, /* columns: state */, s.predecessor_id
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT p.* FROM authority_path p
  WHERE p.organization_id = @organization AND (p.first_seen_at, p.id) > (k.at, @after_id) AND p.first_seen_at <= k.at
  ORDER BY p.first_seen_at, p.id LIMIT @limit) p
CROSS JOIN LATERAL (
  SELECT p.class, p.status, p.effective, p.role_ids, p.actions, p.sensitivity, p.data_domain WHERE p.version = 1
  UNION ALL
  SELECT v.class, v.status, v.effective, v.role_ids, v.actions, v.sensitivity, v.data_domain FROM (
    SELECT v.* FROM authority_path_version v
    WHERE p.version > 1 AND v.organization_id = @organization AND (v.id, v.version) >= (p.id, 1)
    ORDER BY v.id, v.version LIMIT 1) v
  WHERE (v.id, v.version) = (p.id, 1)) n
LEFT JOIN LATERAL (
  SELECT s.* FROM path_succession s
  WHERE s.organization_id = @organization AND (s.successor_id, s.at) >= (p.id, k.at)
  ORDER BY s.successor_id, s.at LIMIT 1) s ON (s.successor_id, s.at) = (p.id, k.at);

-- name: changed
SELECT k.at, p.id, /* columns: state */, n.composition_hash, s.predecessor_id, u.successor_id,
       o.status AS old_status, o.from_at AS old_from, o.class AS old_class, o.effective AS old_effective, o.role_ids AS old_role_ids, o.actions AS old_actions,
       o.composition_hash AS old_composition_hash, o.sensitivity AS old_sensitivity, o.data_domain AS old_data_domain
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT o.* FROM authority_path_version o
  WHERE o.organization_id = @organization AND (o.to_at, o.id) > (k.at, @after_id) AND o.to_at <= k.at
  ORDER BY o.to_at, o.id LIMIT @limit) o
CROSS JOIN LATERAL (
  SELECT p.* FROM authority_path p WHERE p.organization_id = @organization AND p.id >= o.id AND p.id <= o.id ORDER BY p.id OFFSET 0) p
CROSS JOIN LATERAL (
  SELECT p.class, p.status, p.effective, p.role_ids, p.actions, p.composition_hash, p.sensitivity, p.data_domain WHERE p.version = o.version + 1
  UNION ALL
  SELECT v.class, v.status, v.effective, v.role_ids, v.actions, v.composition_hash, v.sensitivity, v.data_domain FROM (
    SELECT v.* FROM authority_path_version v
    WHERE p.version > o.version + 1 AND v.organization_id = @organization AND (v.id, v.version) >= (p.id, o.version + 1)
    ORDER BY v.id, v.version LIMIT 1) v
  WHERE (v.id, v.version) = (p.id, o.version + 1)) n
LEFT JOIN LATERAL (
  SELECT s.* FROM path_succession s
  WHERE s.organization_id = @organization AND (s.successor_id, s.at) >= (p.id, k.at)
  ORDER BY s.successor_id, s.at LIMIT 1) s ON (s.successor_id, s.at) = (p.id, k.at)
LEFT JOIN LATERAL (
  SELECT u.successor_id FROM (
    SELECT u.successor_id FROM path_succession u
    WHERE u.organization_id = @organization AND u.predecessor_id >= p.id AND u.predecessor_id <= p.id AND u.at = k.at
    ORDER BY u.predecessor_id, u.at OFFSET 0) u
  ORDER BY u.successor_id LIMIT 1) u ON true;

-- name: opened
SELECT k.at, x.path_id, x.type, x.ordinal, p.lineage_id, p.workload_id, p.identity_id, p.resource_id,
       x.effective_from, x.effective_basis, x.lineage_from, v.class, v.severity, v.explanation, v.disposition
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT x.* FROM exposure x
  WHERE x.organization_id = @organization AND (x.from_at, x.path_id, x.type, x.ordinal) > (k.at, @after_id, @after_type, @after_ordinal) AND x.from_at <= k.at
  ORDER BY x.from_at, x.path_id, x.type, x.ordinal LIMIT @limit) x
CROSS JOIN LATERAL (
  SELECT p.* FROM authority_path p WHERE p.organization_id = @organization AND p.id >= x.path_id AND p.id <= x.path_id ORDER BY p.id OFFSET 0) p
CROSS JOIN LATERAL (
  SELECT x.class, x.severity, x.explanation, x.disposition WHERE x.version = 1
  UNION ALL
  SELECT v.class, v.severity, v.explanation, v.disposition FROM (
    SELECT v.* FROM exposure_version v
    WHERE x.version > 1 AND v.organization_id = @organization AND (v.path_id, v.type, v.ordinal, v.version) >= (x.path_id, x.type, x.ordinal, 1)
    ORDER BY v.path_id, v.type, v.ordinal, v.version LIMIT 1) v
  WHERE (v.path_id, v.type, v.ordinal, v.version) = (x.path_id, x.type, x.ordinal, 1)) v;

-- name: resolved
-- What ended keeps its last version.
SELECT k.at, x.path_id, x.type, x.ordinal, p.lineage_id, p.workload_id, p.identity_id, p.resource_id,
       x.effective_from, x.class, x.severity, x.explanation, x.disposition, x.resolution_reason, x.decided_seq
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT x.* FROM exposure x
  WHERE x.organization_id = @organization AND (x.to_at, x.path_id, x.type, x.ordinal) > (k.at, @after_id, @after_type, @after_ordinal) AND x.to_at <= k.at
  ORDER BY x.to_at, x.path_id, x.type, x.ordinal LIMIT @limit) x
CROSS JOIN LATERAL (
  SELECT p.* FROM authority_path p WHERE p.organization_id = @organization AND p.id >= x.path_id AND p.id <= x.path_id ORDER BY p.id OFFSET 0) p;

-- name: disposed
-- Resolving by hand puts its own decision in place of the one before.
SELECT k.at, o.path_id, o.type, o.ordinal, p.lineage_id, p.workload_id, p.identity_id, p.resource_id,
       n.class, n.severity, n.explanation, n.disposition, n.decided_seq, n.version, o.disposition AS old_disposition, o.version AS old_version,
       l.actor, l.batch_id, l.body
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT o.* FROM exposure_version o
  WHERE o.organization_id = @organization AND (o.to_at, o.path_id, o.type, o.ordinal) > (k.at, @after_id, @after_type, @after_ordinal) AND o.to_at <= k.at
  ORDER BY o.to_at, o.path_id, o.type, o.ordinal LIMIT @limit) o
CROSS JOIN LATERAL (
  SELECT x.* FROM exposure x
  WHERE x.organization_id = @organization AND (x.path_id, x.type, x.ordinal) >= (o.path_id, o.type, o.ordinal)
  ORDER BY x.path_id, x.type, x.ordinal LIMIT 1) x
CROSS JOIN LATERAL (
  SELECT p.* FROM authority_path p WHERE p.organization_id = @organization AND p.id >= o.path_id AND p.id <= o.path_id ORDER BY p.id OFFSET 0) p
CROSS JOIN LATERAL (
  SELECT x.class, x.severity, x.explanation, x.disposition, x.version,
         CASE x.resolution_reason WHEN 'manual' THEN x.decided_before ELSE x.decided_seq END AS decided_seq
  WHERE x.version = o.version + 1
  UNION ALL
  SELECT v.class, v.severity, v.explanation, v.disposition, v.version, v.decided_seq FROM (
    SELECT v.* FROM exposure_version v
    WHERE x.version > o.version + 1 AND v.organization_id = @organization AND (v.path_id, v.type, v.ordinal, v.version) >= (o.path_id, o.type, o.ordinal, o.version + 1)
    ORDER BY v.path_id, v.type, v.ordinal, v.version LIMIT 1) v
  WHERE (v.path_id, v.type, v.ordinal, v.version) = (o.path_id, o.type, o.ordinal, o.version + 1)) n
LEFT JOIN LATERAL (
  SELECT l.actor, l.batch_id, l.body FROM ledger_entry l WHERE l.organization_id = @organization AND l.seq >= n.decided_seq AND l.seq <= n.decided_seq ORDER BY l.seq OFFSET 0) l ON true
WHERE (x.path_id, x.type, x.ordinal) = (o.path_id, o.type, o.ordinal);

-- name: assets_discovered
-- A service on what was known before is a port that opened, of which somebody knew
-- that it was not open, or nobody anything.
SELECT k.at, /* columns: asset */, p.first_seen_at AS parent_seen_at, t.from_id AS presented_by,
       CASE WHEN a.kind = 'service' AND p.first_seen_at < k.at THEN EXISTS (
         SELECT FROM asset_cover c
         WHERE c.organization_id = @organization AND c.covers = 'service' AND c.from_at < k.at
           AND a.address BETWEEN c.low AND c.high AND c.protocol = a.protocol AND c.ports @> a.port) END AS looked,
       f.name AS file_name, f.size AS file_size, f.media_type, f.sync_id, y.source_id
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT a.* FROM asset a
  WHERE a.organization_id = @organization AND (a.first_seen_at, a.id) > (k.at, @after_id) AND a.first_seen_at <= k.at
  ORDER BY a.first_seen_at, a.id LIMIT @limit) a
CROSS JOIN LATERAL (
  SELECT a.state, a.attributes, a.technology, a.confidence, a.plugin, a.class WHERE a.version = 1
  UNION ALL
  SELECT v.state, v.attributes, v.technology, v.confidence, v.plugin, v.class FROM (
    SELECT v.* FROM asset_version v
    WHERE a.version > 1 AND v.organization_id = @organization AND (v.id, v.version) >= (a.id, 1)
    ORDER BY v.id, v.version LIMIT 1) v
  WHERE (v.id, v.version) = (a.id, 1)) n
LEFT JOIN LATERAL (
  SELECT p.* FROM asset p WHERE p.organization_id = @organization AND p.id >= a.parent_id AND p.id <= a.parent_id ORDER BY p.id OFFSET 0) p ON true
LEFT JOIN LATERAL (
  SELECT t.from_id FROM asset_tie t
  JOIN asset s ON s.organization_id = @organization AND s.id = t.from_id AND s.first_seen_at = k.at
  WHERE a.kind = 'certificate' AND t.organization_id = @organization AND t.to_id = a.id AND t.kind = 'presents' AND t.from_at = k.at
  ORDER BY t.from_id LIMIT 1) t ON true
LEFT JOIN LATERAL (
  SELECT f.* FROM file f WHERE f.organization_id = @organization AND f.id >= a.id AND f.id <= a.id ORDER BY f.id OFFSET 0) f ON true
LEFT JOIN LATERAL (
  SELECT y.source_id FROM sync y WHERE y.organization_id = @organization AND y.id >= f.sync_id AND y.id <= f.sync_id ORDER BY y.id OFFSET 0) y ON true;

-- name: assets_changed
SELECT k.at, /* columns: asset */, n.status,
       o.status AS old_status, o.state AS old_state, o.attributes AS old_attributes, o.technology AS old_technology,
       o.status = 'active' AND n.status = 'stale' AND EXISTS (
         SELECT FROM asset_version w
         LEFT JOIN asset_version x ON x.organization_id = @organization AND x.id = w.id AND x.version = w.version + 1
         WHERE w.organization_id = @organization AND w.id = a.parent_id AND w.to_at = k.at
           AND w.status = 'active' AND coalesce(x.status, p.status) = 'stale') AS parent_stale
FROM unnest(@ats::timestamptz[]) AS k(at)
CROSS JOIN LATERAL (
  SELECT o.* FROM asset_version o
  WHERE o.organization_id = @organization AND (o.to_at, o.id) > (k.at, @after_id) AND o.to_at <= k.at
  ORDER BY o.to_at, o.id LIMIT @limit) o
CROSS JOIN LATERAL (
  SELECT a.* FROM asset a WHERE a.organization_id = @organization AND a.id >= o.id AND a.id <= o.id ORDER BY a.id OFFSET 0) a
CROSS JOIN LATERAL (
  SELECT a.status, a.state, a.attributes, a.technology, a.confidence, a.plugin, a.class WHERE a.version = o.version + 1
  UNION ALL
  SELECT v.status, v.state, v.attributes, v.technology, v.confidence, v.plugin, v.class FROM (
    SELECT v.* FROM asset_version v
    WHERE a.version > o.version + 1 AND v.organization_id = @organization AND (v.id, v.version) >= (a.id, o.version + 1)
    ORDER BY v.id, v.version LIMIT 1) v
  WHERE (v.id, v.version) = (a.id, o.version + 1)) n
LEFT JOIN LATERAL (
  SELECT p.* FROM asset p WHERE p.organization_id = @organization AND p.id >= a.parent_id AND p.id <= a.parent_id ORDER BY p.id OFFSET 0) p ON true;

-- name: seen
-- When assets had been seen last before an instant: by the last delivery of a source
-- that saw them. And of those that were lost then, who last looked in vain where they
-- would have been, or where that is on which they were.
WITH asked AS MATERIALIZED (
  SELECT k.id, k.at, k.lost, a.kind, a.value, a.address, a.protocol, a.port, a.origin, a.parent_id, a.root_id,
         (SELECT max((
            SELECT y.at FROM sync y
            WHERE y.organization_id = @organization AND y.source_id = g.source_id AND y.at >= g.from_at
              AND y.at < least(coalesce(g.to_at, k.at), k.at) AND y.outcome <> 'late'
            ORDER BY y.at DESC LIMIT 1))
          FROM asset_sighting g
          WHERE g.organization_id = @organization AND g.asset_id = k.id AND g.from_at < k.at) AS seen_at
  FROM unnest(@ids::uuid[], @ats::timestamptz[], @lost::boolean[]) AS k(id, at, lost)
  JOIN asset a ON a.organization_id = @organization AND a.id = k.id
), cover AS MATERIALIZED (
  SELECT c.* FROM asset_cover c
  WHERE c.organization_id = @organization AND EXISTS (SELECT FROM asked q WHERE q.lost AND c.from_at < q.at)
), place AS ( -- by what is covered there: its own place, or the one that it is on
  SELECT q.id, q.at, q.seen_at, 1 AS distance, c.source_id, c.from_at, c.to_at FROM asked q
  JOIN cover c ON c.covers = 'host' AND q.address BETWEEN c.low AND c.high
  WHERE q.lost AND q.kind = 'host'
  UNION ALL
  SELECT q.id, q.at, q.seen_at, 1, c.source_id, c.from_at, c.to_at FROM asked q
  JOIN cover c ON c.covers = 'service' AND q.address BETWEEN c.low AND c.high AND c.protocol = q.protocol AND c.ports @> q.port
  WHERE q.lost AND q.kind = 'service'
  UNION ALL
  SELECT q.id, q.at, q.seen_at, 1, c.source_id, c.from_at, c.to_at FROM asked q
  JOIN cover c ON c.covers = 'domain' AND (q.value = c.subject OR right(q.value, length(c.subject) + 1) = '.' || c.subject)
  WHERE q.lost AND q.kind = 'domain'
  UNION ALL
  SELECT q.id, q.at, q.seen_at, 1, c.source_id, c.from_at, c.to_at FROM asked q
  JOIN cover c ON c.covers = 'url' AND c.subject = q.origin
  WHERE q.lost AND q.kind IN ('url', 'url_path')
  UNION ALL
  SELECT q.id, q.at, q.seen_at, 1, c.source_id, c.from_at, c.to_at FROM asked q
  JOIN asset p ON p.organization_id = @organization AND p.id = q.parent_id
  JOIN cover c ON c.covers = 'technology' AND c.subject = p.value
  WHERE q.lost AND q.kind = 'technology'
  UNION ALL
  SELECT q.id, q.at, q.seen_at, 1, c.source_id, c.from_at, c.to_at FROM asked q
  JOIN asset_tie t ON t.organization_id = @organization AND t.to_id = q.id AND t.kind = 'presents' AND t.from_at < q.at
  JOIN asset p ON p.organization_id = @organization AND p.id = t.from_id
  JOIN cover c ON c.covers = 'certificate' AND c.subject = p.value
  WHERE q.lost AND q.kind = 'certificate'
  UNION ALL
  SELECT q.id, q.at, q.seen_at, 2, c.source_id, c.from_at, c.to_at FROM asked q
  JOIN asset r ON r.organization_id = @organization AND r.id = q.root_id
  JOIN cover c ON c.covers = 'host' AND r.address BETWEEN c.low AND c.high
               OR c.covers = 'domain' AND r.kind = 'domain' AND (r.value = c.subject OR right(r.value, length(c.subject) + 1) = '.' || c.subject)
  WHERE q.lost AND q.root_id <> q.id
), look AS (
  SELECT DISTINCT ON (h.id, h.at) h.id, h.at, y.at AS looked_at, s.name AS looked_by
  FROM place h
  CROSS JOIN LATERAL (
    SELECT y.at FROM sync y
    WHERE y.organization_id = @organization AND y.source_id = h.source_id AND y.at >= h.from_at
      AND y.at < least(coalesce(h.to_at, h.at), h.at) AND y.outcome <> 'late'
    ORDER BY y.at DESC LIMIT 1) y
  JOIN source s ON s.organization_id = @organization AND s.id = h.source_id
  WHERE y.at > h.seen_at
  ORDER BY h.id, h.at, h.distance, y.at DESC, s.name
)
SELECT q.id, q.at, q.seen_at, l.looked_at, l.looked_by
FROM asked q
LEFT JOIN look l ON l.id = q.id AND l.at = q.at;

-- name: beside
-- What else happened to paths at an instant, for what follows from it.
SELECT k.path_id, k.at, p.lineage_id, p.first_seen_at = k.at AS discovered,
       o.status AS old_status, n.status, coalesce((o.composition_hash, o.effective) IS DISTINCT FROM (n.composition_hash, n.effective), false) AS scope,
       coalesce(o.sensitivity <> n.sensitivity, false) AS sensitivity
FROM unnest(@paths::uuid[], @ats::timestamptz[]) AS k(path_id, at)
CROSS JOIN LATERAL (
  SELECT p.* FROM authority_path p WHERE p.organization_id = @organization AND p.id >= k.path_id AND p.id <= k.path_id ORDER BY p.id OFFSET 0) p
LEFT JOIN LATERAL (
  SELECT o.* FROM authority_path_version o
  WHERE o.organization_id = @organization AND (o.to_at, o.id) >= (k.at, k.path_id)
  ORDER BY o.to_at, o.id LIMIT 1) o ON (o.to_at, o.id) = (k.at, k.path_id)
LEFT JOIN LATERAL (
  SELECT p.status, p.composition_hash, p.effective, p.sensitivity WHERE p.version = o.version + 1
  UNION ALL
  SELECT v.status, v.composition_hash, v.effective, v.sensitivity FROM (
    SELECT v.* FROM authority_path_version v
    WHERE p.version > o.version + 1 AND v.organization_id = @organization AND (v.id, v.version) >= (p.id, o.version + 1)
    ORDER BY v.id, v.version LIMIT 1) v
  WHERE (v.id, v.version) = (p.id, o.version + 1)) n ON true;

-- name: names
-- What entities were called at an instant.
SELECT k.id, k.at, e.kind, e.external_id, coalesce(v.name, e.name) AS name
FROM unnest(@ids::uuid[], @ats::timestamptz[]) AS k(id, at)
CROSS JOIN LATERAL (
  SELECT e.* FROM entity e WHERE e.organization_id = @organization AND e.id >= k.id AND e.id <= k.id ORDER BY e.id OFFSET 0) e
LEFT JOIN LATERAL (
  SELECT v.name FROM (
    SELECT v.* FROM entity_version v
    WHERE e.from_at > k.at AND v.organization_id = @organization AND v.id >= e.id AND v.id <= e.id
    ORDER BY v.id, v.version OFFSET 0) v
  WHERE v.from_at <= k.at AND v.to_at > k.at) v ON true;
