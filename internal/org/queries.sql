-- name: by_slug
SELECT id, slug, name, created_at FROM organization WHERE slug = @slug;

-- name: by_ids
SELECT id, slug, name, created_at FROM organization WHERE id = ANY (@ids::uuid[]) ORDER BY slug;

-- name: every
SELECT id, slug, name, created_at FROM organization ORDER BY slug;

-- name: create
-- The id is the one of the transaction: a slug that belongs to another id
-- violates the unique key instead of passing in silence.
INSERT INTO organization (id, slug, name, created_at)
VALUES (@organization, @slug, @name, @now)
ON CONFLICT (id) DO NOTHING;
