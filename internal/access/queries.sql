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


-- name: revoked
-- By the runtime role: all that it reads of the table.
SELECT id::text AS id FROM access_token WHERE revoked_at IS NOT NULL AND expires_at > @now;

-- name: record_token
INSERT INTO access_token (id, hash, subject, service_account, delegates, role, scopes, organizations, all_organizations, environment, owner, business_tier, issued_at, expires_at)
VALUES (@id, @hash, @subject, @service_account, @delegates, @role, @scopes, @organizations, @all_organizations, @environment, @owner, @business_tier, @issued_at, @expires_at);

-- name: tokens
SELECT t.id::text AS id, t.subject, coalesce(t.service_account, '') AS service_account, t.delegates, t.role, t.scopes, t.organizations, t.all_organizations,
       t.environment, t.owner, t.business_tier, t.issued_at, t.expires_at, t.revoked_at, coalesce(t.revoked_by, '') AS revoked_by
FROM access_token t
WHERE (@all OR t.revoked_at IS NULL AND t.expires_at > @now)
  AND (@subject = '' OR t.subject = @subject)
ORDER BY t.issued_at DESC, t.id
LIMIT @limit;

-- name: find_token
-- The lock keeps two that revoke it from both doing so.
SELECT t.id::text AS id, t.subject, coalesce(t.service_account, '') AS service_account, t.delegates, t.role, t.scopes, t.organizations, t.all_organizations,
       t.environment, t.owner, t.business_tier, t.issued_at, t.expires_at, t.revoked_at, coalesce(t.revoked_by, '') AS revoked_by
FROM access_token t
WHERE t.id = @id::uuid OR t.hash = @hash
FOR UPDATE;

-- name: revoke_token
UPDATE access_token SET revoked_at = @now, revoked_by = @by WHERE id = @id::uuid;

-- name: tokens_of_accounts
-- The lock keeps two that revoke them from both doing so.
SELECT t.id::text AS id, t.subject, coalesce(t.service_account, '') AS service_account, t.delegates, t.role, t.scopes, t.organizations, t.all_organizations,
       t.environment, t.owner, t.business_tier, t.issued_at, t.expires_at, t.revoked_at, coalesce(t.revoked_by, '') AS revoked_by
FROM access_token t
WHERE t.service_account = ANY (@accounts) AND t.revoked_at IS NULL AND t.expires_at > @now
ORDER BY t.issued_at, t.id
FOR UPDATE;
