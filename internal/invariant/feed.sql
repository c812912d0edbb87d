What happened, counted from history as sets: every version beside the one before it.
What the sequencer reads instant by instant is read here all at once.

-- name: plan_by_sets
-- Nothing here follows a key.
SELECT set_config(name, 'on', true)
FROM (VALUES ('enable_sort'), ('enable_bitmapscan')) AS s(name);

-- name: head
SELECT coalesce((SELECT h.seq FROM change_head h WHERE h.id = @organization), 0);

-- name: differences
-- Only what happened at the instant of a sync, an evaluation or a decision can be told;
-- and what is still to be told is not missed.
WITH happened AS MATERIALIZED (
  SELECT h.at, h.scan_id, h.scan_job_id, h.decided
  FROM (
    SELECT y.at, y.id AS scan_id, y.source_id AS scan_job_id, false AS decided FROM sync y WHERE y.organization_id = @organization
    UNION ALL
    SELECT v.at, NULL, NULL, false FROM evaluation v WHERE v.organization_id = @organization
    UNION ALL
    SELECT DISTINCT l.at, NULL::uuid, NULL::uuid, true FROM ledger_entry l
    WHERE l.organization_id = @organization AND l.type IS NOT NULL
      AND l.at NOT IN (SELECT y.at FROM sync y WHERE y.organization_id = @organization)
      AND l.at NOT IN (SELECT v.at FROM evaluation v WHERE v.organization_id = @organization)
    UNION ALL
    SELECT f.at, f.sync_id, y.source_id, true FROM file f
    LEFT JOIN sync y ON y.organization_id = @organization AND y.id = f.sync_id
    WHERE f.organization_id = @organization) AS h
  WHERE h.at > coalesce((SELECT c.history_from FROM change_head c WHERE c.id = @organization), '-infinity')
), pending AS MATERIALIZED (
  SELECT b.at FROM change_outbox b WHERE b.organization_id = @organization
  UNION
  SELECT g.at FROM change_gap g WHERE g.organization_id = @organization AND g.filled_at IS NULL
), path_state AS (
  SELECT id, version, from_at, status, effective, composition_hash, sensitivity, class FROM authority_path_version WHERE organization_id = @organization
  UNION ALL
  SELECT id, version, from_at, status, effective, composition_hash, sensitivity, class FROM authority_path WHERE organization_id = @organization
), path_step AS (
  SELECT id, from_at AS at, status, effective, composition_hash, sensitivity, class,
         lag(status) OVER before AS old_status, lag(effective) OVER before AS old_effective,
         lag(composition_hash) OVER before AS old_composition_hash, lag(sensitivity) OVER before AS old_sensitivity
  FROM path_state
  WINDOW before AS (PARTITION BY id ORDER BY version)
), exposure_state AS (
  SELECT path_id, type, ordinal, version, from_at, disposition, class, severity, decided_seq FROM exposure_version WHERE organization_id = @organization
  UNION ALL
  SELECT path_id, type, ordinal, version, version_from, disposition, class, severity,
         CASE WHEN resolution_reason = 'manual' THEN decided_before ELSE decided_seq END
  FROM exposure WHERE organization_id = @organization AND version > 1
), exposure_step AS (
  SELECT path_id, type, ordinal, from_at AS at, disposition, class, severity, decided_seq, lag(disposition) OVER before AS old_disposition
  FROM exposure_state
  WINDOW before AS (PARTITION BY path_id, type, ordinal ORDER BY version)
), asset_state AS (
  SELECT id, version, from_at, status, technology, class FROM asset_version WHERE organization_id = @organization
  UNION ALL
  SELECT id, version, from_at, status, technology, class FROM asset WHERE organization_id = @organization
), asset_step AS (
  SELECT id, from_at AS at, status, technology, class, lag(status) OVER before AS old_status, lag(technology) OVER before AS old_technology
  FROM asset_state
  WINDOW before AS (PARTITION BY id ORDER BY version)
), event AS (
  SELECT CASE y.outcome WHEN 'late' THEN 'sync_late' ELSE 'sync_applied' END AS change_type, 'sync' AS entity_type, y.id AS entity_id, y.id AS subject_id,
         NULL::uuid AS workload_id, NULL::smallint AS exposure_type, NULL::integer AS exposure_ordinal, NULL::bigint AS ledger_seq, -1 AS class,
         NULL::smallint AS severity, y.at, NULL::boolean AS decided
  FROM sync y WHERE y.organization_id = @organization
  UNION ALL
  SELECT 'identity_rotated', 'workload', r.workload_id, r.workload_id, r.workload_id, NULL, NULL, NULL,
         (SELECT s.class FROM (
            SELECT v.class, v.version FROM entity_version v WHERE v.organization_id = @organization AND v.id = r.workload_id AND v.from_at <= r.at
            UNION ALL
            SELECT w.class, w.version FROM entity w WHERE w.organization_id = @organization AND w.id = r.workload_id AND w.from_at <= r.at) AS s
          ORDER BY s.version DESC LIMIT 1), NULL, r.at, NULL
  FROM identity_rotation r WHERE r.organization_id = @organization
  UNION ALL
  SELECT k.change_type, 'authority_path', s.id, p.lineage_id, p.workload_id, NULL, NULL, NULL, s.class, NULL, s.at, NULL
  FROM path_step s
  JOIN authority_path p ON p.organization_id = @organization AND p.id = s.id
  CROSS JOIN LATERAL (VALUES
    ('authority_path_discovered', s.old_status IS NULL),
    ('authority_path_removed', s.old_status = 'active' AND s.status = 'removed'),
    ('authority_path_reappeared', s.old_status = 'removed' AND s.status = 'active'),
    ('authority_path_scope_changed', s.old_status = 'active' AND s.status = 'active' AND (s.old_composition_hash <> s.composition_hash OR s.old_effective <> s.effective)),
    ('authority_path_sensitivity_changed', s.old_status = 'active' AND s.status = 'active' AND s.old_sensitivity <> s.sensitivity)
  ) AS k(change_type, so)
  WHERE k.so
  UNION ALL
  SELECT 'exposure_opened', 'exposure', x.path_id, p.lineage_id, p.workload_id, x.type, x.ordinal, NULL, coalesce(v.class, x.class), coalesce(v.severity, x.severity), x.from_at, NULL
  FROM exposure x
  JOIN authority_path p ON p.organization_id = @organization AND p.id = x.path_id
  LEFT JOIN exposure_version v ON v.organization_id = @organization AND v.path_id = x.path_id AND v.type = x.type AND v.ordinal = x.ordinal AND v.version = 1
  WHERE x.organization_id = @organization
  UNION ALL
  SELECT 'exposure_resolved', 'exposure', x.path_id, p.lineage_id, p.workload_id, x.type, x.ordinal,
         CASE x.resolution_reason WHEN 'manual' THEN x.decided_seq END, x.class, x.severity, x.to_at, NULL
  FROM exposure x
  JOIN authority_path p ON p.organization_id = @organization AND p.id = x.path_id
  WHERE x.organization_id = @organization AND x.to_at IS NOT NULL
  UNION ALL
  SELECT 'exposure_disposition_changed', 'exposure', s.path_id, p.lineage_id, p.workload_id, s.type, s.ordinal, s.decided_seq, s.class, s.severity, s.at, true
  FROM exposure_step s
  JOIN authority_path p ON p.organization_id = @organization AND p.id = s.path_id
  WHERE s.old_disposition <> s.disposition
  UNION ALL
  SELECT k.change_type, CASE WHEN a.kind IN ('domain', 'host', 'technology') THEN 'asset' ELSE a.kind END, s.id, s.id, NULL, NULL, NULL, NULL, s.class, NULL, s.at, NULL
  FROM asset_step s
  JOIN asset a ON a.organization_id = @organization AND a.id = s.id
  LEFT JOIN asset p ON p.organization_id = @organization AND p.id = a.parent_id
  CROSS JOIN LATERAL (VALUES
    (CASE a.kind WHEN 'service' THEN 'service_discovered' WHEN 'url' THEN 'url_discovered' WHEN 'url_path' THEN 'path_discovered'
                 WHEN 'certificate' THEN 'certificate_discovered' WHEN 'file' THEN 'file_collected' ELSE 'asset_discovered' END, s.old_status IS NULL),
    ('port_opened', a.kind = 'service' AND (s.old_status IS NULL AND p.first_seen_at < s.at OR s.old_status = 'closed' AND s.status = 'active')),
    ('port_closed', a.kind = 'service' AND s.old_status IN ('active', 'stale') AND s.status = 'closed'),
    ('asset_stale', s.old_status = 'active' AND s.status = 'stale'),
    ('asset_reappeared', s.old_status = 'stale' AND s.status = 'active'),
    ('technology_changed', s.old_status = 'active' AND s.status = 'active' AND (
      EXISTS (SELECT FROM jsonb_to_recordset(s.old_technology) AS o(name text, version text, service boolean)
              LEFT JOIN jsonb_to_recordset(s.technology) AS n(name text, version text, service boolean)
                ON n.service IS NULL AND lower(n.name COLLATE "C") = lower(o.name COLLATE "C")
              WHERE o.service IS NULL AND (n.name IS NULL OR n.version <> o.version))
      OR EXISTS (SELECT FROM jsonb_to_recordset(s.old_technology) AS o(name text, service boolean)
                 JOIN jsonb_to_recordset(s.technology) AS n(name text, service boolean) ON n.service AND lower(n.name COLLATE "C") <> lower(o.name COLLATE "C")
                 WHERE o.service)))
  ) AS k(change_type, so)
  WHERE k.so
), wanted AS (
  SELECT x.change_type, x.entity_id, x.exposure_type, x.exposure_ordinal, x.at,
         concat_ws(' ', 'entity_type=' || x.entity_type, 'subject=' || x.subject_id, 'workload=' || x.workload_id,
                   'asset=' || CASE WHEN x.entity_type IN ('asset', 'service', 'url', 'url_path', 'certificate', 'file') THEN x.entity_id END, 'sync=' || h.scan_id, 'source=' || h.scan_job_id,
                   'entry=' || x.ledger_seq, 'class=' || x.class, 'severity=' || x.severity) AS say
  FROM event x
  JOIN happened h ON h.at = x.at
  WHERE x.decided IS NULL OR h.decided
), had AS (
  SELECT e.seq, e.change_type, e.entity_id, e.exposure_type, e.exposure_ordinal, e.at,
         concat_ws(' ', 'entity_type=' || e.entity_type, 'subject=' || e.subject_id, 'workload=' || e.workload_id,
                   'asset=' || e.asset_id, 'sync=' || e.scan_id, 'source=' || e.scan_job_id,
                   'entry=' || e.ledger_seq, 'class=' || e.class, 'severity=' || e.severity) AS say
  FROM exposure_changes e
  WHERE e.organization_id = @organization
)
SELECT count(*) OVER () AS total, e.seq, coalesce(x.change_type, e.change_type) AS change_type, coalesce(x.entity_id, e.entity_id) AS entity_id,
       coalesce(x.exposure_type, e.exposure_type) AS exposure_type, coalesce(x.exposure_ordinal, e.exposure_ordinal) AS exposure_ordinal,
       coalesce(x.at, e.at) AS at, x.say IS NOT NULL AS known, coalesce(x.say, '') AS want, coalesce(e.say, '') AS have
FROM wanted x
FULL JOIN had e ON e.change_type = x.change_type AND e.entity_id = x.entity_id AND e.at = x.at
               AND coalesce(e.exposure_type, 0) = coalesce(x.exposure_type, 0) AND coalesce(e.exposure_ordinal, 0) = coalesce(x.exposure_ordinal, 0)
WHERE e.say IS DISTINCT FROM x.say AND (e.say IS NOT NULL OR x.at NOT IN (SELECT at FROM pending))
ORDER BY coalesce(x.at, e.at), coalesce(x.change_type, e.change_type), coalesce(x.entity_id, e.entity_id), coalesce(x.exposure_type, e.exposure_type)
LIMIT @rows;

-- name: causeless
-- What was told again may stand behind what follows from it.
SELECT count(*) OVER () AS total, e.seq, e.change_type, e.caused_by
FROM exposure_changes e
LEFT JOIN exposure_changes c ON c.organization_id = @organization AND c.id = e.caused_by AND c.at = e.at AND c.seq <> e.seq
WHERE e.organization_id = @organization AND e.caused_by IS NOT NULL AND c.id IS NULL
  AND e.at NOT IN (SELECT b.at FROM change_outbox b WHERE b.organization_id = @organization)
  AND e.at NOT IN (SELECT g.at FROM change_gap g WHERE g.organization_id = @organization AND g.filled_at IS NULL)
ORDER BY e.seq
LIMIT @rows;
