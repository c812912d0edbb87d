How far deliveries have come. The times are the servers' clocks.

-- columns: row
p.id, p.phase, p.records, p.sync_id, p.code, p.started_at, p.updated_at

-- name: sweep
-- What ended, or was lost, long ago.
DELETE FROM sync_progress p WHERE p.organization_id = @organization AND p.updated_at < @before;

-- name: begin
-- Under an id that is new, or that the same caller gave to a delivery which is over.
INSERT INTO sync_progress (organization_id, id, actor, phase, records, started_at, updated_at)
VALUES (@organization, @id, @actor, @phase, 0, @started_at, @started_at)
ON CONFLICT (organization_id, id) DO UPDATE SET phase = excluded.phase, records = 0, sync_id = NULL, code = NULL,
  started_at = excluded.started_at, updated_at = excluded.updated_at
WHERE sync_progress.actor = excluded.actor AND sync_progress.started_at < excluded.started_at
  AND (sync_progress.phase IN ('done', 'failed') OR sync_progress.updated_at < @lost);

-- name: write
-- Also where the beginning could not be written. Who began anew under the id is left
-- alone.
INSERT INTO sync_progress (organization_id, id, actor, phase, records, sync_id, code, started_at, updated_at)
VALUES (@organization, @id, @actor, @phase, @records, @sync, @code, @started_at, @updated_at)
ON CONFLICT (organization_id, id) DO UPDATE SET phase = excluded.phase, records = excluded.records, sync_id = excluded.sync_id,
  code = excluded.code, updated_at = excluded.updated_at
WHERE sync_progress.actor = excluded.actor AND sync_progress.started_at = excluded.started_at;

-- name: rows
SELECT /* columns: row */
FROM sync_progress p
WHERE p.organization_id = @organization AND p.id = ANY(@ids::uuid[]);

-- name: of_sync
-- A delivery that is a sync already, as its row would say it.
SELECT s.id, 'done' AS phase, s.records_read::bigint AS records, s.id AS sync_id, NULL::text AS code, s.recorded_at AS started_at, s.recorded_at AS updated_at
FROM sync s
WHERE s.organization_id = @organization AND s.id = @sync;
