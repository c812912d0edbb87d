Giving to the outbox again what was not noted there, or could not be published.

-- name: gaps
SELECT g.at, g.cause FROM change_gap g
WHERE g.organization_id = @organization AND g.filled_at IS NULL
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
-- What happened, by the history alone, of which nothing is in the feed and nothing
-- waits to be. A decision that was imported behind others left no version.
WITH happened AS (
  SELECT y.at, 'sync' AS cause FROM sync y WHERE y.organization_id = @organization
  UNION ALL
  SELECT v.at, 'evaluation' FROM evaluation v
  WHERE v.organization_id = @organization AND (v.exposures_opened > 0 OR v.exposures_resolved > 0)
  UNION ALL
  SELECT DISTINCT l.at, 'decision' FROM ledger_entry l
  WHERE l.organization_id = @organization AND l.type IS NOT NULL
    AND (EXISTS (SELECT FROM exposure_version x WHERE x.organization_id = @organization AND x.to_at = l.at
                 AND x.path_id = l.subject_id AND x.type = l.type AND x.ordinal = l.ordinal)
         OR EXISTS (SELECT FROM exposure x WHERE x.organization_id = @organization AND x.to_at = l.at
                    AND x.path_id = l.subject_id AND x.type = l.type AND x.ordinal = l.ordinal))
)
SELECT h.at, h.cause FROM happened h
WHERE h.at > coalesce((SELECT c.history_from FROM change_head c WHERE c.id = @organization), '-infinity')
  AND NOT EXISTS (SELECT FROM exposure_changes e WHERE e.organization_id = @organization AND e.at = h.at)
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
