The audit log. It is written in transactions of its own and never changed.

-- columns: entry
e.id, e.at, e.subject, e.action, e.outcome, e.door, e.request_id, e.property_names, e.property_values, e.touched

-- name: append
-- Nothing where there is no such organization.
INSERT INTO audit_entry (organization_id, id, at, subject, action, outcome, door, request_id, property_names, property_values, touched)
SELECT @organization, @id, @at, @subject, @action, @outcome, @door, @request_id, @property_names, @property_values, @touched
FROM organization o WHERE o.id = @organization;

-- name: entries_page
SELECT e.organization_id, /* columns: entry */
FROM audit_entry e
WHERE e.organization_id = @organization /* where */
/* order */
LIMIT @limit;

-- name: count_entries
SELECT count(*) FROM audit_entry e WHERE e.organization_id = @organization /* where */;

-- name: entry_by_id
SELECT e.organization_id, /* columns: entry */
FROM audit_entry e
WHERE e.organization_id = @organization AND e.id = @id;

-- name: entries_after
-- The log as it is handed out.
SELECT e.organization_id, /* columns: entry */
FROM audit_entry e
WHERE e.organization_id = @organization AND (e.at, e.id) > (@at, @id) /* where */
ORDER BY e.at, e.id
LIMIT @rows;

-- name: organization
SELECT o.id, o.slug, o.name, o.created_at FROM organization o WHERE o.id = @organization;

-- name: append_shared
INSERT INTO audit_shared_entry (id, at, subject, action, outcome, door, request_id, property_names, property_values, touched)
VALUES (@id, @at, @subject, @action, @outcome, @door, @request_id, @property_names, @property_values, @touched);

-- name: shared_page
SELECT /* columns: entry */
FROM audit_shared_entry e
WHERE true /* where */
/* order */
LIMIT @limit;

-- name: count_shared
SELECT count(*) FROM audit_shared_entry e WHERE true /* where */;

-- name: shared_by_id
SELECT /* columns: entry */ FROM audit_shared_entry e WHERE e.id = @id;
