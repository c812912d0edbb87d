The statements of what analysts put on record. @at is its instant on the
organization clock.

-- name: identity_status
SELECT e.status FROM entity e WHERE e.organization_id = @organization AND e.id = @identity AND e.kind = 'identity';

-- name: attest_baseline
INSERT INTO scope_baseline (organization_id, identity_id, at, basis, actor, note)
VALUES (@organization, @identity, @at, 'attested', @actor, nullif(@note, ''));

-- name: path_privilege
SELECT p.workload_id, p.identity_id, p.resource_id, p.class, p.status, p.actions, w.window_at
FROM authority_path p
JOIN organization_window w ON w.organization_id = @organization
WHERE p.organization_id = @organization AND p.id = @path;

-- name: used_actions
-- As find_privileges in assess.sql sees them.
SELECT DISTINCT e.action
FROM (VALUES (@workload::uuid, @nil::uuid), (@workload, @identity::uuid), (@nil, @identity)) AS k(workload_id, identity_id)
JOIN evidence e ON e.organization_id = @organization AND e.workload_id = k.workload_id AND e.identity_id = k.identity_id
               AND e.resource_id = @resource AND e.basis = 'path' AND e.day > @privilege_start::timestamptz::date
WHERE e.action <> '';

-- name: end_justification
UPDATE privilege_justification j SET to_at = @at, withdrawn_by = @actor
WHERE j.organization_id = @organization AND j.path_id = @path AND j.to_at IS NULL
RETURNING j.path_id, j.from_at, j.to_at, j.actor, j.justification AS text, j.actions, j.withdrawn_by;

-- name: begin_justification
INSERT INTO privilege_justification (organization_id, path_id, from_at, actor, justification, actions)
VALUES (@organization, @path, @at, @actor, @text, @actions);
