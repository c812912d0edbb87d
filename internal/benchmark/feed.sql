What the feed of changes is measured with: transactions that are there to be told.

-- columns: sync
organization_id, id, source_id, version, at, observed_at, recorded_at, actor, outcome, complete, content_digest, records_read, records_rejected,
  paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings

-- columns: values
@organization, @id, @source, @version, @at, @at, @at, 'bench', 'unchanged', true, @id, 0, 0, 0, 0, 0, 0, '[]', '[]'

-- name: source
SELECT s.id FROM source s WHERE s.organization_id = @organization ORDER BY s.id LIMIT 1;

-- name: note
-- A delivery as it leaves itself in the history, and in the outbox.
WITH y AS (INSERT INTO sync (/* columns: sync */) VALUES (/* columns: values */))
INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at) VALUES (@organization, @at, 'sync', false, 1, @at);

-- name: plain
-- The same with its event beside it, numbered by a sequence: what nobody could
-- leave out, and what loses events.
WITH y AS (INSERT INTO sync (/* columns: sync */) VALUES (/* columns: values */))
INSERT INTO bench_change (organization_id, id, title, at) VALUES (@organization, @id, 'bench delivered bench: nothing new', @at);
