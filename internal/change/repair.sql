Giving to the outbox again what was not noted there, or could not be published.

-- name: gaps
SELECT g.at, g.cause FROM change_gap g
WHERE g.organization_id = @organization AND g.filled_at IS NULL AND (g.at, g.cause) > (@at, @cause)
ORDER BY g.at, g.cause
LIMIT @limit;

-- name: refill
-- The size is a large one, so that what is long is expanded in parts.
INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at)
SELECT @organization, k.at, k.cause, false, @size, @recorded_at
FROM unnest(@ats::timestamptz[], @causes::text[]) AS k(at, cause)
ON CONFLICT (organization_id, at, cause) DO NOTHING;

-- name: mark_filled
UPDATE change_gap g SET filled_at = @recorded_at
FROM unnest(@ats::timestamptz[], @causes::text[]) AS k(at, cause)
WHERE g.organization_id = @organization AND g.at = k.at AND g.cause = k.cause;

-- name: missing
-- Of what happened, by the history alone, less is in the feed than there is to tell,
-- and nothing waits to be told. It is counted at every instant as the sequencer would
-- find it there; a sync and an evaluation tell no dispositions.
WITH happened AS (
  SELECT y.at, 'sync' AS cause FROM sync y WHERE y.organization_id = @organization
  UNION ALL
  SELECT v.at, 'evaluation' FROM evaluation v WHERE v.organization_id = @organization
  UNION ALL
  SELECT DISTINCT l.at, 'decision' FROM ledger_entry l
  WHERE l.organization_id = @organization AND l.type IS NOT NULL
    AND NOT EXISTS (SELECT FROM sync y WHERE y.organization_id = @organization AND y.at = l.at)
    AND NOT EXISTS (SELECT FROM evaluation v WHERE v.organization_id = @organization AND v.at = l.at)
  UNION ALL
  SELECT f.at, 'decision' FROM file f WHERE f.organization_id = @organization
), happening AS (
  SELECT y.at, 1 AS events, 0 AS decided FROM sync y WHERE y.organization_id = @organization
  UNION ALL
  SELECT r.at, 1, 0 FROM identity_rotation r WHERE r.organization_id = @organization
  UNION ALL
  SELECT p.first_seen_at, 1, 0 FROM authority_path p WHERE p.organization_id = @organization
  UNION ALL
  SELECT o.to_at, CASE
    WHEN o.status <> coalesce(v.status, p.status) THEN 1
    WHEN o.status = 'active' THEN
      (o.composition_hash <> coalesce(v.composition_hash, p.composition_hash) OR o.effective <> coalesce(v.effective, p.effective))::integer
      + (o.sensitivity <> coalesce(v.sensitivity, p.sensitivity))::integer
    ELSE 0 END, 0
  FROM authority_path_version o
  JOIN authority_path p ON p.organization_id = @organization AND p.id = o.id
  LEFT JOIN authority_path_version v ON v.organization_id = @organization AND v.id = o.id AND v.version = o.version + 1
  WHERE o.organization_id = @organization
  UNION ALL
  SELECT x.from_at, 1, 0 FROM exposure x WHERE x.organization_id = @organization
  UNION ALL
  SELECT x.to_at, 1, 0 FROM exposure x WHERE x.organization_id = @organization AND x.to_at IS NOT NULL
  UNION ALL
  SELECT o.to_at, 0, 1
  FROM exposure_version o
  JOIN exposure x ON x.organization_id = @organization AND x.path_id = o.path_id AND x.type = o.type AND x.ordinal = o.ordinal
  LEFT JOIN exposure_version v ON v.organization_id = @organization AND v.path_id = o.path_id AND v.type = o.type AND v.ordinal = o.ordinal AND v.version = o.version + 1
  WHERE o.organization_id = @organization AND o.disposition <> coalesce(v.disposition, x.disposition)
  UNION ALL
  SELECT a.first_seen_at, 1 + coalesce(a.kind = 'service' AND p.first_seen_at < a.first_seen_at, false)::integer, 0
  FROM asset a
  LEFT JOIN asset p ON p.organization_id = @organization AND p.id = a.parent_id
  WHERE a.organization_id = @organization
  UNION ALL
  SELECT o.to_at, CASE
    WHEN o.status = 'active' AND n.status = 'stale' OR o.status = 'stale' AND n.status = 'active' THEN 1
    WHEN a.kind = 'service' AND (o.status = 'closed') <> (n.status = 'closed') THEN 1
    WHEN o.status = 'active' AND n.status = 'active' THEN (EXISTS (
      SELECT FROM jsonb_array_elements(o.technology) AS t(item)
      WHERE NOT EXISTS (
          SELECT FROM jsonb_array_elements(n.technology) AS u(item)
          WHERE (u.item ? 'service') = (t.item ? 'service') AND lower((u.item ->> 'name') COLLATE "C") = lower((t.item ->> 'name') COLLATE "C")
            AND coalesce(u.item ->> 'version' = t.item ->> 'version', true))
        AND (NOT t.item ? 'service' OR EXISTS (SELECT FROM jsonb_array_elements(n.technology) AS u(item) WHERE u.item ? 'service'))))::integer
    ELSE 0 END, 0
  FROM asset_version o
  JOIN asset a ON a.organization_id = @organization AND a.id = o.id
  LEFT JOIN asset_version v ON v.organization_id = @organization AND v.id = o.id AND v.version = o.version + 1
  CROSS JOIN LATERAL (
    SELECT coalesce(v.status, a.status) AS status, CASE WHEN v.id IS NULL THEN a.technology ELSE v.technology END AS technology) n
  WHERE o.organization_id = @organization
), due AS (
  SELECT g.at, sum(g.events) AS events, sum(g.decided) AS decided FROM happening g GROUP BY g.at
), told AS (
  SELECT e.at, count(*) AS events FROM exposure_changes e WHERE e.organization_id = @organization GROUP BY e.at
)
SELECT h.at, h.cause
FROM happened h
JOIN due d ON d.at = h.at
LEFT JOIN told t ON t.at = h.at
WHERE (h.at, h.cause) > (@at, @cause) AND h.at > coalesce((SELECT c.history_from FROM change_head c WHERE c.id = @organization), '-infinity')
  AND d.events + CASE h.cause WHEN 'decision' THEN d.decided ELSE 0 END > coalesce(t.events, 0)
  AND NOT EXISTS (SELECT FROM change_outbox b WHERE b.organization_id = @organization AND b.at = h.at AND b.cause = h.cause)
  AND NOT EXISTS (SELECT FROM change_gap g WHERE g.organization_id = @organization AND g.at = h.at AND g.cause = h.cause AND g.filled_at IS NULL)
ORDER BY h.at, h.cause
LIMIT @limit;

-- name: status
SELECT coalesce((SELECT h.seq FROM change_head h WHERE h.id = @organization), 0) AS head,
       (SELECT e.created_at FROM exposure_changes e WHERE e.organization_id = @organization ORDER BY e.seq DESC LIMIT 1) AS published_at,
       (SELECT count(*) FROM change_outbox b WHERE b.organization_id = @organization) AS pending,
       (SELECT min(b.recorded_at) FROM change_outbox b WHERE b.organization_id = @organization) AS pending_since,
       (SELECT count(*) FROM change_gap g WHERE g.organization_id = @organization AND g.filled_at IS NULL) AS gaps,
       (SELECT min(g.recorded_at) FROM change_gap g WHERE g.organization_id = @organization AND g.filled_at IS NULL) AS gaps_since;

-- name: backlog
SELECT count(*) FROM change_outbox b WHERE b.organization_id = @organization;

-- name: open_gaps
SELECT count(*) FROM change_gap g WHERE g.organization_id = @organization AND g.filled_at IS NULL;
