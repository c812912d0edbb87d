-- name: class
-- The access class of a path, or of a workload.
SELECT p.class FROM authority_path p WHERE p.organization_id = @organization AND p.id = @path
UNION ALL
SELECT e.class FROM entity e WHERE e.organization_id = @organization AND e.id = @workload;
