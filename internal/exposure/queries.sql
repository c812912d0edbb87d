The statements that read. Markers are as in internal/authority/queries.sql.

-- columns: exposure
x.organization_id, x.path_id, x.type, x.ordinal, x.workload_id, x.class, x.severity, x.factors, x.explanation, x.evidence_digest, x.disposition, x.decided_seq,
x.effective_from, x.effective_basis, x.lineage_from, x.indeterminate_since, x.version, x.version_from, x.from_at, x.to_at, x.resolution_reason

-- columns: before_it_resolved
y.organization_id, y.path_id, y.type, y.ordinal, y.workload_id, y.class, y.severity, y.factors, y.explanation, y.evidence_digest, y.disposition,
CASE WHEN y.resolution_reason = 'manual' THEN y.decided_before ELSE y.decided_seq END AS decided_seq,
y.effective_from, y.effective_basis, y.lineage_from, y.indeterminate_since, y.version, y.version_from, y.from_at,
NULL::timestamptz AS to_at, NULL::text AS resolution_reason

-- columns: before_it_changed
y.organization_id, y.path_id, y.type, y.ordinal, y.workload_id, v.class, v.severity, v.factors, v.explanation, v.evidence_digest, v.disposition, v.decided_seq,
y.effective_from, y.effective_basis, y.lineage_from, v.indeterminate_since, v.version, v.from_at AS version_from, y.from_at,
NULL::timestamptz AS to_at, NULL::text AS resolution_reason

-- name: exposures_page
SELECT /* columns: exposure */
FROM exposure x
WHERE x.organization_id = @organization /* where */
/* order */
LIMIT @limit;

-- name: exposures_page@past
-- Part by part, each in the order of the list, and none further than a page: what
-- stood then and still does, and as it did; what has resolved since; what has
-- changed since; and what had resolved. OFFSET 0 has what has changed looked up one
-- by one, where the planner would else read every exposure for it. A filter that
-- asks for none of a part puts a condition there that nothing meets.
SELECT /* columns: exposure */
FROM (
  (SELECT /* columns: exposure */
   FROM /* bare */ exposure x
   WHERE x.organization_id = @organization AND x.to_at IS NULL AND x.version_from <= @as_of /* standing */ /* where */
   /* order */
   LIMIT @limit)
  UNION ALL
  (SELECT /* columns: exposure */
   FROM (
     SELECT /* columns: before_it_resolved */
     FROM /* bare */ exposure y
     WHERE y.organization_id = @organization AND y.to_at > @as_of AND y.version_from <= @as_of
   ) x
   WHERE true /* standing */ /* where */
   /* order */
   LIMIT @limit)
  UNION ALL
  (SELECT /* columns: exposure */
   FROM (
     SELECT /* columns: before_it_changed */
     FROM exposure_version v
     CROSS JOIN LATERAL (
       SELECT y.* FROM /* bare any */ exposure y
       WHERE y.organization_id = @organization AND y.path_id = v.path_id AND y.type = v.type AND y.ordinal = v.ordinal
       OFFSET 0
     ) y
     WHERE v.organization_id = @organization AND v.from_at <= @as_of AND v.to_at > @as_of
   ) x
   WHERE true /* standing */ /* where */
   /* order */
   LIMIT @limit)
  UNION ALL
  (SELECT /* columns: exposure */
   FROM /* bare */ exposure x
   WHERE x.organization_id = @organization AND x.to_at <= @as_of /* resolved */ /* where */
   /* order */
   LIMIT @limit)
) x
/* order */
LIMIT @limit;

-- name: count_exposures
SELECT count(*) FROM /* at */ exposure x WHERE x.organization_id = @organization /* where */;

-- name: exposures_by_keys
SELECT /* columns: exposure */
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
JOIN exposure x ON x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal;

-- name: exposures_by_keys@past
-- OFFSET 0 has each exposure looked up in both parts of the past, which the planner
-- would else read whole.
SELECT /* columns: exposure */
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
CROSS JOIN LATERAL (
  SELECT y.* FROM /* at */ exposure y
  WHERE y.organization_id = @organization AND y.path_id = k.path_id AND y.type = k.type AND y.ordinal = k.ordinal
  OFFSET 0
) x;

-- name: exposures_under
-- The page of each of several paths. A path has few exposures: OFFSET 0 has them
-- read by the path and then sorted, where the planner would else read the list of
-- the whole organization in its order, once for each path.
SELECT v.*
FROM unnest(@paths::uuid[]) AS k(path_id)
CROSS JOIN LATERAL (
  SELECT /* columns: exposure */
  FROM (
    SELECT x.* FROM /* at */ exposure x
    WHERE x.organization_id = @organization AND x.path_id = k.path_id /* where */
    OFFSET 0
  ) x
  /* order */
  LIMIT @limit
) v;

-- name: count_exposures_under
SELECT x.path_id AS parent, count(*) AS count
FROM exposure x
WHERE x.organization_id = @organization AND x.path_id = ANY (@paths::uuid[]) /* where */
GROUP BY x.path_id;

-- name: count_exposures_under@past
SELECT x.path_id AS parent, count(*) AS count
FROM unnest(@paths::uuid[]) AS k(path_id)
CROSS JOIN LATERAL (
  SELECT x.path_id FROM /* at */ exposure x
  WHERE x.organization_id = @organization AND x.path_id = k.path_id /* where */
  OFFSET 0
) x
GROUP BY x.path_id;

-- name: versions_by_exposures
-- The newest versions of each exposure, the current one first.
SELECT v.*
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
CROSS JOIN LATERAL (
  SELECT x.path_id, x.type, x.ordinal, x.version, x.version_from AS from_at, x.to_at, x.severity, x.factors, x.explanation, x.disposition, x.decided_seq, x.indeterminate_since
  FROM exposure x
  WHERE x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal AND x.version < @before
  UNION ALL
  (SELECT h.path_id, h.type, h.ordinal, h.version, h.from_at, h.to_at, h.severity, h.factors, h.explanation, h.disposition, h.decided_seq, h.indeterminate_since
   FROM exposure_version h
   WHERE h.organization_id = @organization AND h.path_id = k.path_id AND h.type = k.type AND h.ordinal = k.ordinal AND h.version < @before
   ORDER BY h.version DESC
   LIMIT @limit)
  ORDER BY version DESC
  LIMIT @limit
) v;

-- name: versions_by_exposures@past
-- Those that had begun. The newest of them had not ended.
SELECT v.*
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
CROSS JOIN LATERAL (
  SELECT x.path_id, x.type, x.ordinal, x.version, x.version_from AS from_at, CASE WHEN x.to_at <= @as_of THEN x.to_at END AS to_at,
         x.severity, x.factors, x.explanation, x.disposition,
         CASE WHEN x.to_at > @as_of AND x.resolution_reason = 'manual' THEN x.decided_before ELSE x.decided_seq END AS decided_seq, x.indeterminate_since
  FROM /* bare */ exposure x
  WHERE x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal AND x.version < @before
    AND x.version_from <= @as_of
  UNION ALL
  (SELECT h.path_id, h.type, h.ordinal, h.version, h.from_at, CASE WHEN h.to_at <= @as_of THEN h.to_at END, h.severity, h.factors, h.explanation,
          h.disposition, h.decided_seq, h.indeterminate_since
   FROM exposure_version h
   WHERE h.organization_id = @organization AND h.path_id = k.path_id AND h.type = k.type AND h.ordinal = k.ordinal AND h.version < @before
     AND h.from_at <= @as_of
   ORDER BY h.version DESC
   LIMIT @limit)
  ORDER BY version DESC
  LIMIT @limit
) v;

-- name: standings_by_exposures
-- What each exposure stands on: the condition of its workload or identity, where
-- its rule has one, and its path. Of a resolved exposure as of its last instant,
-- so that what the condition became afterwards does not explain it.
SELECT x.path_id, x.type, x.ordinal,
       coalesce(h.rule_version, c.rule_version, r.version) AS rule_version,
       coalesce(s.version, 0) AS setting_version,
       CASE WHEN x.to_at IS NULL THEN w.window_at END AS window_at,
       coalesce(h.explanation, c.explanation) AS explanation,
       coalesce(h.evidence, c.evidence) AS evidence,
       CASE WHEN h.version IS NULL THEN c.indeterminate_since ELSE h.indeterminate_since END AS indeterminate_since,
       coalesce(o.actions, p.actions) AS actions,
       coalesce(o.role_ids, p.role_ids) AS role_ids,
       CASE WHEN o.version IS NULL THEN p.data_domain ELSE o.data_domain END AS data_domain,
       coalesce(o.sensitivity, p.sensitivity) AS sensitivity
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
JOIN exposure x ON x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal
JOIN authority_path p ON p.organization_id = @organization AND p.id = x.path_id
LEFT JOIN organization_window w ON w.organization_id = @organization
LEFT JOIN LATERAL (
  SELECT a.* FROM condition a
  WHERE a.organization_id = @organization AND a.subject_id = CASE WHEN x.type = ANY (@of_identity::smallint[]) THEN p.identity_id ELSE x.workload_id END
    AND a.rule = x.type AND a.from_at < coalesce(x.to_at, 'infinity')
  ORDER BY a.ordinal DESC
  LIMIT 1
) c ON true
LEFT JOIN LATERAL (
  SELECT a.* FROM condition_version a
  WHERE a.organization_id = @organization AND a.subject_id = c.subject_id AND a.rule = c.rule AND a.ordinal = c.ordinal
    AND c.version_from >= x.to_at AND a.from_at < x.to_at AND a.to_at >= x.to_at
  LIMIT 1
) h ON true
LEFT JOIN LATERAL (
  SELECT a.* FROM authority_path_version a
  WHERE a.organization_id = @organization AND a.id = p.id AND p.from_at >= x.to_at AND a.from_at < x.to_at AND a.to_at >= x.to_at
  LIMIT 1
) o ON true
LEFT JOIN LATERAL (
  SELECT a.version FROM rule_version a
  WHERE a.organization_id = @organization AND a.rule = x.type
    AND (x.to_at IS NULL AND a.to_at IS NULL OR a.from_at < x.to_at AND (a.to_at IS NULL OR a.to_at >= x.to_at))
  ORDER BY a.from_at
  LIMIT 1
) r ON true
LEFT JOIN LATERAL (
  SELECT a.version FROM setting a
  WHERE a.organization_id = @organization
    AND (x.to_at IS NULL AND a.to_at IS NULL OR a.from_at < x.to_at AND (a.to_at IS NULL OR a.to_at >= x.to_at))
  ORDER BY a.version
  LIMIT 1
) s ON true;

-- name: standings_by_exposures@past
-- Until when an exposure stood, or just behind the instant that is asked about: what
-- it stood on just before is looked up in one way.
SELECT x.path_id, x.type, x.ordinal,
       coalesce(h.rule_version, c.rule_version, r.version) AS rule_version,
       coalesce(s.version, 0) AS setting_version,
       CASE WHEN x.to_at IS NULL THEN w.window_at END AS window_at,
       coalesce(h.explanation, c.explanation) AS explanation,
       coalesce(h.evidence, c.evidence) AS evidence,
       CASE WHEN h.version IS NULL THEN c.indeterminate_since ELSE h.indeterminate_since END AS indeterminate_since,
       coalesce(o.actions, p.actions) AS actions,
       coalesce(o.role_ids, p.role_ids) AS role_ids,
       CASE WHEN o.version IS NULL THEN p.data_domain ELSE o.data_domain END AS data_domain,
       coalesce(o.sensitivity, p.sensitivity) AS sensitivity
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
CROSS JOIN LATERAL (
  SELECT y.*, coalesce(y.to_at, @as_of::timestamptz + interval '1 microsecond') AS until
  FROM /* at */ exposure y
  WHERE y.organization_id = @organization AND y.path_id = k.path_id AND y.type = k.type AND y.ordinal = k.ordinal
  OFFSET 0
) x
JOIN /* bare any */ authority_path p ON p.organization_id = @organization AND p.id = x.path_id
LEFT JOIN /* at */ organization_window w ON w.organization_id = @organization
LEFT JOIN LATERAL (
  SELECT a.* FROM /* bare any */ condition a
  WHERE a.organization_id = @organization AND a.subject_id = CASE WHEN x.type = ANY (@of_identity::smallint[]) THEN p.identity_id ELSE x.workload_id END
    AND a.rule = x.type AND a.from_at < x.until
  ORDER BY a.ordinal DESC
  LIMIT 1
) c ON true
LEFT JOIN LATERAL (
  SELECT a.* FROM /* bare any */ condition_version a
  WHERE a.organization_id = @organization AND a.subject_id = c.subject_id AND a.rule = c.rule AND a.ordinal = c.ordinal
    AND c.version_from >= x.until AND a.from_at < x.until AND a.to_at >= x.until
  LIMIT 1
) h ON true
LEFT JOIN LATERAL (
  SELECT a.* FROM /* bare any */ authority_path_version a
  WHERE a.organization_id = @organization AND a.id = p.id AND p.from_at >= x.until AND a.from_at < x.until AND a.to_at >= x.until
  LIMIT 1
) o ON true
LEFT JOIN LATERAL (
  SELECT a.version FROM /* bare */ rule_version a
  WHERE a.organization_id = @organization AND a.rule = x.type
    AND a.from_at < x.until AND (a.to_at IS NULL OR a.to_at >= x.until)
  ORDER BY a.from_at
  LIMIT 1
) r ON true
LEFT JOIN LATERAL (
  SELECT a.version FROM /* bare */ setting a
  WHERE a.organization_id = @organization
    AND a.from_at < x.until AND (a.to_at IS NULL OR a.to_at >= x.until)
  ORDER BY a.version
  LIMIT 1
) s ON true;

-- name: neighbours_of_exposures
-- The exposure of the same type on the path on the other side of a rotation, which
-- ends where the other begins.
SELECT k.path_id AS of_path, k.type AS of_type, k.ordinal AS of_ordinal, true AS before, /* columns: exposure */
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
JOIN exposure y ON y.organization_id = @organization AND y.path_id = k.path_id AND y.type = k.type AND y.ordinal = k.ordinal
JOIN path_succession s ON s.organization_id = @organization AND s.successor_id = y.path_id AND s.at = y.from_at
JOIN exposure x ON x.organization_id = @organization AND x.path_id = s.predecessor_id AND x.type = y.type AND x.to_at = s.at
UNION ALL
SELECT k.path_id, k.type, k.ordinal, false, /* columns: exposure */
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
JOIN exposure y ON y.organization_id = @organization AND y.path_id = k.path_id AND y.type = k.type AND y.ordinal = k.ordinal
JOIN path_succession s ON s.organization_id = @organization AND s.predecessor_id = y.path_id AND s.at = y.to_at
JOIN exposure x ON x.organization_id = @organization AND x.path_id = s.successor_id AND x.type = y.type AND x.from_at = s.at;

-- name: neighbours_of_exposures@past
SELECT k.path_id AS of_path, k.type AS of_type, k.ordinal AS of_ordinal, n.before, /* columns: exposure */
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
CROSS JOIN LATERAL (
  SELECT z.path_id, z.type, z.from_at, z.to_at FROM /* at */ exposure z
  WHERE z.organization_id = @organization AND z.path_id = k.path_id AND z.type = k.type AND z.ordinal = k.ordinal
  OFFSET 0
) y
CROSS JOIN LATERAL (
  SELECT true AS before, s.predecessor_id AS path_id, s.at FROM /* at */ path_succession s
  WHERE s.organization_id = @organization AND s.successor_id = y.path_id AND s.at = y.from_at
  UNION ALL
  SELECT false, s.successor_id, s.at FROM /* at */ path_succession s
  WHERE s.organization_id = @organization AND s.predecessor_id = y.path_id AND s.at = y.to_at
) n
CROSS JOIN LATERAL (
  SELECT z.* FROM /* at */ exposure z
  WHERE z.organization_id = @organization AND z.path_id = n.path_id AND z.type = y.type
    AND CASE WHEN n.before THEN z.to_at ELSE z.from_at END = n.at
  OFFSET 0
) x;

-- name: baselines
SELECT b.identity_id, b.at, b.basis, b.actor, coalesce(b.note, '') AS note
FROM /* at */ scope_baseline b
WHERE b.organization_id = @organization AND b.identity_id = ANY (@identities::uuid[])
ORDER BY b.identity_id, b.at DESC;

-- name: justifications
SELECT j.path_id, j.from_at, j.to_at, j.actor, j.justification AS text, j.actions, j.withdrawn_by
FROM /* at */ privilege_justification j
WHERE j.organization_id = @organization AND j.path_id = ANY (@paths::uuid[])
ORDER BY j.path_id, j.from_at DESC;

-- name: clock
-- What an analyst put on record had only its own paths judged.
SELECT greatest((SELECT max(s.at) FROM /* at */ sync s WHERE s.organization_id = @organization), e.at) AS at, e.judged_at AS evaluated_at
FROM (
  SELECT max(v.at) AS at, max(v.at) FILTER (WHERE v.cause NOT IN ('attestation', 'justification')) AS judged_at
  FROM /* at */ evaluation v
  WHERE v.organization_id = @organization
) e;

-- name: intervals_by_paths
SELECT x.path_id, x.type, x.effective_from, x.to_at
FROM /* at */ exposure x
WHERE x.organization_id = @organization AND x.path_id = ANY (@paths::uuid[]);
