Files as assets: what a decision that keeps a file leaves of the outer surface. @at is
its instant on the organization clock.

-- name: add_file
-- Of the class of the workloads that are made of the image, if they have one.
INSERT INTO asset (organization_id, id, kind, value, first_seen_at, status, attributes, class, from_at)
SELECT @organization, @asset, 'file', @value, @at, 'active', @attributes::jsonb,
       coalesce((SELECT CASE WHEN min(w.class) = max(w.class) THEN min(w.class) END
                 FROM entity w
                 WHERE w.organization_id = @organization AND w.kind = 'workload' AND w.status <> 'removed'
                   AND @artifact::text = ANY (string_to_array(w.artifact_identifier, ', '))), 0),
       @at;

-- name: add_file_links
INSERT INTO asset_link (organization_id, asset_id, workload_id, basis, detail, from_at)
SELECT @organization, @asset, w.id, 'image', @artifact, @at
FROM entity w
WHERE w.organization_id = @organization AND w.kind = 'workload' AND w.status <> 'removed'
  AND @artifact::text = ANY (string_to_array(w.artifact_identifier, ', '))
ORDER BY w.id;
