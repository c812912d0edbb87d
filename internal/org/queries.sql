-- name: by_slug
SELECT id, slug, name, created_at FROM organization WHERE slug = @slug;

-- name: by_ids
SELECT id, slug, name, created_at FROM organization WHERE id = ANY (@ids::uuid[]) ORDER BY slug;

-- name: every
SELECT id, slug, name, created_at FROM organization ORDER BY slug;

-- name: create
INSERT INTO organization (id, slug, name, created_at)
VALUES (@id, @slug, @name, @now)
ON CONFLICT DO NOTHING;
