Files as assets: what a decision that keeps a file leaves of the outer surface. @at is
its instant on the organization clock.

-- name: add_file_classes
-- The set of the classes of the workloads that are made of the image, if they have
-- several: see add_class_sets of link.sql.
INSERT INTO access_class_set (organization_id, class, members, digest)
SELECT @organization,
       coalesce(greatest((SELECT max(c.class) FROM access_class c WHERE c.organization_id = @organization),
                         (SELECT max(s.class) FROM access_class_set s WHERE s.organization_id = @organization)), 0) + 1,
       m.members, d.digest
FROM (
  SELECT array_agg(DISTINCT w.class ORDER BY w.class) AS members
  FROM entity w
  WHERE w.organization_id = @organization AND w.kind = 'workload' AND w.status <> 'removed' AND w.class > 0
    AND @artifact::text = ANY (string_to_array(w.artifact_identifier, ', '))
) m
CROSS JOIN LATERAL (SELECT sha256(convert_to(array_to_string(m.members, ','), 'UTF8')) AS digest) d
WHERE cardinality(m.members) > 1
  AND NOT EXISTS (SELECT FROM access_class_set s WHERE s.organization_id = @organization AND s.digest = d.digest);

-- name: add_file
-- Of the class of the workloads that are made of the image: see find_classes of link.sql.
INSERT INTO asset (organization_id, id, kind, value, first_seen_at, status, attributes, class, from_at)
SELECT @organization, @asset, 'file', @value, @at, 'active', @attributes::jsonb, coalesce(s.class, m.members[1], 0), @at
FROM (
  SELECT array_agg(DISTINCT w.class ORDER BY w.class) AS members
  FROM entity w
  WHERE w.organization_id = @organization AND w.kind = 'workload' AND w.status <> 'removed' AND w.class > 0
    AND @artifact::text = ANY (string_to_array(w.artifact_identifier, ', '))
) m
LEFT JOIN access_class_set s ON s.organization_id = @organization AND cardinality(m.members) > 1
  AND s.digest = sha256(convert_to(array_to_string(m.members, ','), 'UTF8'));

-- name: add_file_links
INSERT INTO asset_link (organization_id, asset_id, workload_id, basis, detail, from_at)
SELECT @organization, @asset, w.id, 'image', @artifact, @at
FROM entity w
WHERE w.organization_id = @organization AND w.kind = 'workload' AND w.status <> 'removed'
  AND @artifact::text = ANY (string_to_array(w.artifact_identifier, ', '))
ORDER BY w.id;
