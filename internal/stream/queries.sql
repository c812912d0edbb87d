What waits to be numbered.

-- name: pending
-- Of all organizations. It leaves the transaction with none: it wants one of its own.
SELECT f.id FROM pending_feeds() AS f(id);
