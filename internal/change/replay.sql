Reading the feed in its order.

-- columns: event
SELECT e.organization_id, e.seq, e.id, e.change_type, e.entity_type, e.entity_id, e.subject_id, e.workload_id, e.exposure_type, e.exposure_ordinal,
  e.asset_id, e.vulnerability_id, e.scan_id, e.scan_job_id, e.ledger_seq, e.caused_by, e.class, e.title, e.description, e.severity, e.risk_score,
  e.old_value, e.new_value, e.metadata, e.at, e.created_at
FROM exposure_changes e
WHERE e.organization_id = @organization

-- name: head
-- timeless
SELECT h.seq FROM change_head h WHERE h.id = @organization;

-- name: heads
SELECT h.id, h.seq FROM change_head h WHERE h.id = ANY (@organizations);

-- name: replay
/* columns: event */ AND e.seq > @after AND e.seq <= @up_to /* where */
ORDER BY e.seq
LIMIT @limit;
