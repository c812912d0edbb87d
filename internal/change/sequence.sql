Numbering what happened. Whoever holds the row of change_head numbers; everybody
else finds it taken and goes on to another organization.

Of each lane, what waits is read behind what was finished last: rows that are deleted
and not yet swept away are not gone through again.

-- columns: waiting
SELECT b.at, b.cause, b.urgent, b.size, b.stage, b.after_id, b.after_type, b.after_ordinal, b.attempts
FROM change_outbox b
WHERE b.organization_id = @organization AND b.at >= @behind::timestamptz

-- name: lock_head
SELECT h.seq FROM change_head h WHERE h.id = @organization FOR UPDATE SKIP LOCKED;

-- name: begin_head
INSERT INTO change_head (id) VALUES (@organization) ON CONFLICT (id) DO NOTHING;

-- name: waiting_urgent
/* columns: waiting */ AND b.urgent
ORDER BY b.at, b.cause
LIMIT @limit;

-- name: waiting_bulk
/* columns: waiting */ AND NOT b.urgent
ORDER BY b.at, b.cause
LIMIT @limit;

-- name: by_key
-- For the whole step: see the head of expand.sql.
SELECT set_config('enable_sort', 'off', true);

-- name: known
-- Each by a step into the one index that has this order: every step of a first sync would
-- else go through all that those before it published.
SELECT e.id
FROM unnest(@subjects::uuid[], @ids::uuid[]) AS k(subject_id, id)
CROSS JOIN LATERAL (
  SELECT e.subject_id, e.id FROM exposure_changes e
  WHERE e.organization_id = @organization AND (e.subject_id, e.id) >= (k.subject_id, k.id)
  ORDER BY e.subject_id, e.id LIMIT 1) e
WHERE e.subject_id = k.subject_id AND e.id = k.id;

-- name: append
-- What comes back is the objects as they are stored, and so as everybody reads them.
INSERT INTO exposure_changes (organization_id, seq, id, change_type, entity_type, entity_id, subject_id, workload_id, asset_id, exposure_type, exposure_ordinal,
  scan_id, scan_job_id, ledger_seq, caused_by, class, title, description, severity, old_value, new_value, metadata, at, created_at)
SELECT @organization, @head::bigint + n.place, n.id, n.change_type, n.entity_type, n.entity_id, n.subject_id, n.workload_id, n.asset_id, n.exposure_type, n.exposure_ordinal,
  n.scan_id, n.scan_job_id, n.ledger_seq, n.caused_by, n.class, n.title, n.description, n.severity, n.old_value::jsonb, n.new_value::jsonb, n.metadata::jsonb, n.at, @created_at
FROM unnest(@ids::uuid[], @change_types::text[], @entity_types::text[], @entity_ids::uuid[], @subject_ids::uuid[], @workload_ids::uuid[], @asset_ids::uuid[],
       @exposure_types::smallint[], @exposure_ordinals::integer[], @scan_ids::uuid[], @scan_job_ids::uuid[], @ledger_seqs::bigint[], @causes::uuid[],
       @classes::integer[], @titles::text[], @descriptions::text[], @severities::smallint[], @old_values::text[], @new_values::text[], @metadata::text[], @ats::timestamptz[])
  WITH ORDINALITY AS n(id, change_type, entity_type, entity_id, subject_id, workload_id, asset_id, exposure_type, exposure_ordinal, scan_id, scan_job_id, ledger_seq,
    caused_by, class, title, description, severity, old_value, new_value, metadata, at, place)
ORDER BY n.place
RETURNING seq, old_value, new_value, metadata;

-- name: tally
INSERT INTO exposure_change_day (organization_id, day, change_type, severity, class, events)
SELECT @organization, n.day, n.change_type, n.severity, n.class, n.events
FROM unnest(@days::date[], @change_types::text[], @severities::smallint[], @classes::integer[], @events::bigint[]) AS n(day, change_type, severity, class, events)
ON CONFLICT (organization_id, day, change_type, severity, class) DO UPDATE SET events = exposure_change_day.events + excluded.events;

-- name: advance
UPDATE change_head SET seq = @seq WHERE id = @organization;

-- name: finish
DELETE FROM change_outbox WHERE organization_id = @organization AND at = @at AND cause = @cause;

-- name: keep
UPDATE change_outbox SET stage = @stage, after_id = @after_id, after_type = @after_type, after_ordinal = @after_ordinal, attempts = 0
WHERE organization_id = @organization AND at = @at AND cause = @cause;

-- name: fail
UPDATE change_outbox SET attempts = attempts + 1
WHERE organization_id = @organization AND at = @at AND cause = @cause
RETURNING attempts;

-- name: give_up
WITH taken AS (
  DELETE FROM change_outbox WHERE organization_id = @organization AND at = @at AND cause = @cause RETURNING at, cause
)
INSERT INTO change_gap (organization_id, at, cause, reason, recorded_at)
SELECT @organization, at, cause, @reason, @recorded_at FROM taken
ON CONFLICT (organization_id, at, cause) DO UPDATE SET reason = excluded.reason, recorded_at = excluded.recorded_at, filled_at = NULL;
