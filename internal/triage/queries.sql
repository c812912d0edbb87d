The statements that read. Markers are as in internal/authority/queries.sql.

-- name: decisions
-- The newest decisions about each exposure. Other entries are about exposures, too:
-- their evidence packs.
SELECT k.path_id, k.type, k.ordinal, d.body
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
CROSS JOIN LATERAL (
  SELECT l.seq, l.body FROM /* at */ ledger_entry l
  WHERE l.organization_id = @organization AND l.subject_id = k.path_id AND l.type = k.type AND l.ordinal = k.ordinal
    AND l.kind = ANY (@kinds::text[])
  ORDER BY l.seq DESC
  LIMIT @limit
) d
ORDER BY k.path_id, k.type, k.ordinal, d.seq DESC;

-- name: current_decisions
-- What the dispositions follow from. One that was inherited follows from the
-- decision about a former interval.
SELECT x.path_id, x.type, x.ordinal, l.body
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
JOIN exposure x ON x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal
JOIN ledger_entry l ON l.organization_id = @organization AND l.seq = x.decided_seq;

-- name: current_decisions@past
SELECT x.path_id, x.type, x.ordinal, l.body
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
CROSS JOIN LATERAL (
  SELECT y.* FROM /* at */ exposure y
  WHERE y.organization_id = @organization AND y.path_id = k.path_id AND y.type = k.type AND y.ordinal = k.ordinal
  OFFSET 0
) x
JOIN /* at */ ledger_entry l ON l.organization_id = @organization AND l.seq = x.decided_seq;

-- name: organization_known
-- timeless
SELECT EXISTS (SELECT FROM organization WHERE id = @organization) AS known;

-- name: request_of_batch
SELECT r.actor, r.refused, r.recorded_at
FROM ledger_request r
WHERE r.organization_id = @organization AND r.batch_id = @batch
ORDER BY r.first_seq, r.recorded_at
LIMIT 1;

-- name: entries_of_batch
SELECT l.body
FROM ledger_entry l
WHERE l.organization_id = @organization AND l.batch_id = @batch
ORDER BY l.seq;

-- name: signing_keys
SELECT k.id, k.subject, k.public_key, k.from_at, k.to_at, k.added_by, k.ended_by
FROM /* at */ signing_key k
WHERE k.organization_id = @organization /* where */
ORDER BY k.subject, k.from_at, k.id;
