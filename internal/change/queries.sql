Reading the feed. What is in it never changes: as of an instant it is read by a
condition of the filter.

-- columns: event
e.organization_id, e.seq, e.id, e.change_type, e.entity_type, e.entity_id, e.subject_id, e.workload_id, e.exposure_type, e.exposure_ordinal,
  e.asset_id, e.vulnerability_id, e.scan_id, e.scan_job_id, e.ledger_seq, e.caused_by, e.class, e.title, e.description, e.severity, e.risk_score,
  e.old_value, e.new_value, e.metadata, e.at, e.created_at

-- name: changes_page
-- timeless
SELECT /* columns: event */
FROM exposure_changes e
WHERE e.organization_id = @organization /* where */
/* order */
LIMIT @limit;

-- name: count_changes
-- timeless
SELECT count(*) AS count
FROM exposure_changes e
WHERE e.organization_id = @organization /* where */;

-- name: count_by_day
-- What is narrowed by type and severity alone is counted already.
SELECT coalesce(sum(d.events), 0)::bigint AS count
FROM exposure_change_day d
WHERE d.organization_id = @organization /* where */;

-- name: changes_under
-- timeless
-- The page of each of several histories. A history is short: OFFSET 0 has it read by
-- whose it is and then sorted, where the planner might else read the whole feed in
-- its order, once for each.
SELECT k.place, v.*
FROM unnest(@of_lineages::uuid[], @of_workloads::uuid[], @of_paths::uuid[], @of_types::smallint[], @of_ordinals::integer[])
  WITH ORDINALITY AS k(lineage_id, workload_id, path_id, type, ordinal, place)
CROSS JOIN LATERAL (
  SELECT /* columns: event */
  FROM (
    SELECT e.* FROM exposure_changes e
    WHERE e.organization_id = @organization AND e.subject_id = k.lineage_id AND (k.path_id IS NULL OR e.entity_id = k.path_id)
      AND (k.type IS NULL OR (e.exposure_type = k.type AND e.exposure_ordinal = k.ordinal)) /* where */
    UNION ALL
    SELECT e.* FROM exposure_changes e
    WHERE e.organization_id = @organization AND e.subject_id = k.workload_id /* where */
    OFFSET 0
  ) e
  /* order */
  LIMIT @limit
) v;

-- name: count_changes_under
-- timeless
SELECT k.place, count(*) AS count
FROM unnest(@of_lineages::uuid[], @of_workloads::uuid[], @of_paths::uuid[], @of_types::smallint[], @of_ordinals::integer[])
  WITH ORDINALITY AS k(lineage_id, workload_id, path_id, type, ordinal, place)
CROSS JOIN LATERAL (
  SELECT FROM exposure_changes e
  WHERE e.organization_id = @organization AND e.subject_id = k.lineage_id AND (k.path_id IS NULL OR e.entity_id = k.path_id)
    AND (k.type IS NULL OR (e.exposure_type = k.type AND e.exposure_ordinal = k.ordinal)) /* where */
  UNION ALL
  SELECT FROM exposure_changes e
  WHERE e.organization_id = @organization AND e.subject_id = k.workload_id /* where */
) v
GROUP BY k.place;

-- name: changes_by_keys
-- timeless
SELECT /* columns: event */
FROM unnest(@subjects::uuid[], @ids::uuid[]) AS k(subject_id, id)
JOIN exposure_changes e ON e.organization_id = @organization AND e.subject_id = k.subject_id AND e.id = k.id;

-- name: clock
SELECT greatest((SELECT max(s.at) FROM sync s WHERE s.organization_id = @organization),
  (SELECT max(v.at) FROM evaluation v WHERE v.organization_id = @organization),
  (SELECT max(f.at) FROM file f WHERE f.organization_id = @organization),
  (SELECT h.at FROM ledger_head h WHERE h.organization_id = @organization)) AS at;

-- name: clock@past
SELECT greatest((SELECT max(s.at) FROM /* bare */ sync s WHERE s.organization_id = @organization AND s.at <= @as_of),
  (SELECT max(v.at) FROM /* bare */ evaluation v WHERE v.organization_id = @organization AND v.at <= @as_of),
  (SELECT max(f.at) FROM /* bare */ file f WHERE f.organization_id = @organization AND f.at <= @as_of),
  (SELECT max(l.at) FROM /* bare any */ ledger_entry l WHERE l.organization_id = @organization AND l.at <= @as_of)) AS at;

-- name: summary
SELECT d.day, d.change_type, d.severity, sum(d.events)::bigint AS events
FROM exposure_change_day d
WHERE d.organization_id = @organization AND d.day >= @first AND d.day <= @last
GROUP BY d.day, d.change_type, d.severity;

-- name: summary@past
-- Of the day that the instant lies in, what had happened by then is counted anew.
SELECT n.day, n.change_type, n.severity, sum(n.events)::bigint AS events
FROM (
  SELECT d.day, d.change_type, d.severity, d.events
  FROM exposure_change_day d
  WHERE d.organization_id = @organization AND d.day >= @first AND d.day <= @last AND d.day < (@as_of::timestamptz AT TIME ZONE 'UTC')::date
  UNION ALL
  SELECT (e.at AT TIME ZONE 'UTC')::date, e.change_type, coalesce(e.severity, 0::smallint), 1
  FROM exposure_changes e
  WHERE e.organization_id = @organization AND e.at >= date_trunc('day', @as_of::timestamptz, 'UTC') AND e.at <= @as_of::timestamptz
) n
GROUP BY n.day, n.change_type, n.severity;

-- name: feed
SELECT coalesce((SELECT h.seq FROM change_head h WHERE h.id = @organization), 0) AS seq,
  (SELECT count(*) FROM change_outbox b WHERE b.organization_id = @organization) AS pending,
  (SELECT count(*) FROM change_gap g WHERE g.organization_id = @organization AND g.filled_at IS NULL) AS failures;
