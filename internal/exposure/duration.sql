How long paths were exposed.

-- name: intervals_by_paths
SELECT x.path_id, x.type, x.effective_from, x.to_at
FROM /* at */ exposure x
WHERE x.organization_id = @organization AND x.path_id = ANY (@paths::uuid[]);
