The statements of collected files. The bytes are elsewhere, under organization and
digest.

-- name: admit
-- What is asked before the first byte: is there such an organization, and such a scan?
SELECT EXISTS (SELECT FROM organization o WHERE o.id = @organization) AS known,
       @sync::uuid IS NULL OR EXISTS (SELECT FROM sync y WHERE y.organization_id = @organization AND y.id = @sync::uuid) AS scanned;

-- name: file
SELECT f.id, f.sha256, f.size, f.media_type, f.name, f.artifact, f.sync_id, f.actor, f.at, f.recorded_at
FROM file f
WHERE f.organization_id = @organization AND f.id = @id;

-- name: add_upload
INSERT INTO file_upload (organization_id, id, sha256, size, media_type, name, artifact, sync_id, actor, recorded_at)
VALUES (@organization, @id, @sha256, @size, @media_type, @name, @artifact, @sync, @actor, @recorded_at);

-- name: drop_upload
DELETE FROM file_upload u WHERE u.organization_id = @organization AND u.id = @id;

-- name: add_file
INSERT INTO file (organization_id, id, sha256, size, media_type, name, artifact, sync_id, actor, at, recorded_at)
VALUES (@organization, @id, @sha256, @size, @media_type, @name, @artifact, @sync, @actor, @at, @recorded_at);

-- name: uploads
-- They have no place on the organization's clock yet.
SELECT u.id, u.sha256, u.size, u.media_type, u.name, u.artifact, u.sync_id, u.actor, u.recorded_at AS at, u.recorded_at
FROM file_upload u
WHERE u.organization_id = @organization
ORDER BY u.recorded_at, u.id;

-- name: files
SELECT f.sha256, f.size
FROM file f
WHERE f.organization_id = @organization
ORDER BY f.sha256;
