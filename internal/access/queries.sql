-- name: public_keys
SELECT id, public_key FROM token_key;

-- name: lock_keys
-- This one and those below run as the owner role; the runtime role may not.
-- Two programs that start together must not make two first keys.
SELECT pg_advisory_xact_lock(hashtextextended('exposuregraph token_key', 0));

-- name: newest_key
SELECT k.id, s.private_key
FROM token_key k
JOIN token_key_secret s ON s.id = k.id
ORDER BY k.created_at DESC, k.id
LIMIT 1;

-- name: insert_key
WITH public AS (
  INSERT INTO token_key (id, public_key, created_at) VALUES (@id, @public_key, @now) RETURNING id
)
INSERT INTO token_key_secret (id, private_key) SELECT @id, @private_key FROM public;
