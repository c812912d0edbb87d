-- name: due
-- Whether the organization was judged as a whole before this instant and not
-- since. Its first sync did so as well; settings leave the window where it is.
SELECT coalesce(greatest(
         (SELECT max(e.recorded_at) FROM evaluation e WHERE e.organization_id = @organization AND e.cause IN ('time', 'request')),
         (SELECT s.recorded_at FROM sync s WHERE s.organization_id = @organization ORDER BY s.version LIMIT 1)) < @instant, false);
