The statements that read. Markers are as in internal/authority/queries.sql. What a
source saw, ties and links are intervals: of those that had begun by an instant, one
that ended behind it is open in the relations of db/past.sql.

-- columns: asset
a.organization_id, a.id, a.kind, a.value, a.parent_id, a.root_id, a.first_seen_at, a.status, a.state, a.attributes, a.technology,
a.confidence, a.plugin, a.class, a.version, a.from_at

-- name: assets_page
SELECT /* columns: asset */
FROM /* page at */ asset a
WHERE a.organization_id = @organization /* where */
/* order */
LIMIT @limit;

-- name: count_assets
SELECT count(*) FROM /* at */ asset a WHERE a.organization_id = @organization /* where */;

-- name: place_of_asset
-- Where an asset stands in the list by value: neither column ever changes.
SELECT a.kind, a.value FROM /* bare */ asset a WHERE a.organization_id = @organization AND a.id = @id;

-- name: assets_by_ids
SELECT /* columns: asset */
FROM asset a
WHERE a.organization_id = @organization AND a.id = ANY (@ids::uuid[]);

-- name: assets_by_ids@past
SELECT /* columns: asset */
FROM unnest(@ids::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT b.* FROM /* at */ asset b
  WHERE b.organization_id = @organization AND b.id = k.id
  OFFSET 0
) a;

-- name: asset_by_value
-- A certificate goes by its other digest, too.
SELECT /* columns: asset */
FROM /* at */ asset a
WHERE a.organization_id = @organization AND a.kind = @kind AND a.value = @value
UNION ALL
SELECT /* columns: asset */
FROM /* at */ asset a
WHERE a.organization_id = @organization AND a.kind = 'certificate' AND @kind = 'certificate' AND a.sha1 = @value AND a.value <> @value
LIMIT 1;

-- name: parts_under
-- The page of each of several assets. OFFSET 0 has its parts read by the parent and
-- then sorted, where the planner would else read the list of the whole organization.
SELECT v.*
FROM unnest(@parents::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT /* columns: asset */
  FROM (
    SELECT a.* FROM /* at */ asset a
    WHERE a.organization_id = @organization AND a.parent_id = k.id /* where */
    OFFSET 0
  ) a
  /* order */
  LIMIT @limit
) v;

-- name: count_parts_under
SELECT k.id AS parent, v.count
FROM unnest(@parents::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT count(*) AS count FROM /* at */ asset a
  WHERE a.organization_id = @organization AND a.parent_id = k.id /* where */
) v;

-- name: assets_of_workloads
-- The page of each of several workloads, each asset once with everything that links it.
SELECT v.*
FROM unnest(@parents::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT k.id AS workload_id, l.links, /* columns: asset */
  FROM (
    SELECT l.asset_id, jsonb_agg(jsonb_build_object('basis', l.basis, 'detail', l.detail, 'since', l.from_at) ORDER BY l.basis) AS links
    FROM /* at */ asset_link l
    WHERE l.organization_id = @organization AND l.workload_id = k.id AND l.to_at IS NULL
    GROUP BY l.asset_id
  ) l
  CROSS JOIN LATERAL (
    SELECT b.* FROM /* at */ asset b
    WHERE b.organization_id = @organization AND b.id = l.asset_id
    OFFSET 0
  ) a
  WHERE true /* where */
  /* order */
  LIMIT @limit
) v;

-- name: count_assets_of_workloads
SELECT k.id AS parent, v.count
FROM unnest(@parents::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT count(*) AS count
  FROM (
    SELECT DISTINCT l.asset_id FROM /* at */ asset_link l
    WHERE l.organization_id = @organization AND l.workload_id = k.id AND l.to_at IS NULL
  ) l
  CROSS JOIN LATERAL (
    SELECT b.* FROM /* at */ asset b
    WHERE b.organization_id = @organization AND b.id = l.asset_id
    OFFSET 0
  ) a
  WHERE true /* where */
) v;

-- name: workloads_of_assets
-- The page of each of several assets, each workload once with everything that links it.
SELECT v.*
FROM unnest(@parents::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT k.id AS asset_id, w.id AS workload_id, w.name, l.links
  FROM (
    SELECT l.workload_id, jsonb_agg(jsonb_build_object('basis', l.basis, 'detail', l.detail, 'since', l.from_at) ORDER BY l.basis) AS links
    FROM /* at */ asset_link l
    WHERE l.organization_id = @organization AND l.asset_id = k.id AND l.to_at IS NULL
    GROUP BY l.workload_id
  ) l
  CROSS JOIN LATERAL (
    SELECT e.id, e.name FROM /* at */ entity e
    WHERE e.organization_id = @organization AND e.id = l.workload_id
    OFFSET 0
  ) w
  WHERE true /* where */
  /* order */
  LIMIT @limit
) v;

-- name: count_workloads_of_assets
SELECT l.asset_id AS parent, count(DISTINCT l.workload_id) AS count
FROM /* at */ asset_link l
WHERE l.organization_id = @organization AND l.asset_id = ANY (@parents::uuid[]) AND l.to_at IS NULL
GROUP BY l.asset_id;

-- name: tied_from
-- What each of the assets leads to, whoever saw it, by value.
SELECT v.*
FROM unnest(@ids::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT k.id AS of_id, /* columns: asset */
  FROM (
    SELECT DISTINCT t.to_id FROM /* at */ asset_tie t
    WHERE t.organization_id = @organization AND t.kind = @kind AND t.from_id = k.id AND t.to_at IS NULL
  ) t
  CROSS JOIN LATERAL (
    SELECT b.* FROM /* at */ asset b
    WHERE b.organization_id = @organization AND b.id = t.to_id
    OFFSET 0
  ) a
  ORDER BY a.value
  LIMIT @limit
) v;

-- name: tied_to
-- What leads to each of the assets.
SELECT v.*
FROM unnest(@ids::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT k.id AS of_id, /* columns: asset */
  FROM (
    SELECT DISTINCT t.from_id FROM /* at */ asset_tie t
    WHERE t.organization_id = @organization AND t.kind = @kind AND t.to_id = k.id AND t.to_at IS NULL
  ) t
  CROSS JOIN LATERAL (
    SELECT b.* FROM /* at */ asset b
    WHERE b.organization_id = @organization AND b.id = t.from_id
    OFFSET 0
  ) a
  ORDER BY a.value
  LIMIT @limit
) v;

-- name: last_seen
-- The last delivery of a source that still saw the asset, of the newest sighting of
-- each source. A file was seen when it was collected.
SELECT a.id, coalesce(s.at, a.first_seen_at) AS at
FROM /* bare any */ asset a
CROSS JOIN LATERAL (
  SELECT max(y.at) AS at
  FROM (
    SELECT DISTINCT ON (g.source_id) g.source_id, g.from_at, g.to_at
    FROM /* at */ asset_sighting g
    WHERE g.organization_id = @organization AND g.asset_id = a.id
    ORDER BY g.source_id, g.from_at DESC
  ) g
  CROSS JOIN LATERAL (
    SELECT y.at FROM /* at */ sync y
    WHERE y.organization_id = @organization AND y.source_id = g.source_id AND y.at >= g.from_at AND y.at < coalesce(g.to_at, 'infinity')
      AND y.outcome <> 'late'
    ORDER BY y.at DESC
    LIMIT 1
  ) y
) s
WHERE a.organization_id = @organization AND a.id = ANY (@ids::uuid[]);

-- name: sightings_by_assets
-- The newest sightings of each asset.
SELECT v.*
FROM unnest(@ids::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT g.asset_id, g.source_id, g.from_at, g.to_at, coalesce(y.at, g.from_at) AS last_seen_at, g.state, g.attributes, g.confidence, g.plugin
  FROM /* at */ asset_sighting g
  LEFT JOIN LATERAL (
    SELECT y.at FROM /* at */ sync y
    WHERE y.organization_id = @organization AND y.source_id = g.source_id AND y.at >= g.from_at AND y.at < coalesce(g.to_at, 'infinity')
      AND y.outcome <> 'late'
    ORDER BY y.at DESC
    LIMIT 1
  ) y ON true
  WHERE g.organization_id = @organization AND g.asset_id = k.id
  ORDER BY g.from_at DESC, g.source_id
  LIMIT @limit
) v;

-- name: versions_by_assets
-- The newest versions of each asset, the current one first. Those that follow one
-- another and differ in their class alone are one: which other workloads an asset leads
-- to is no change of what it is.
SELECT v.*
FROM unnest(@ids::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT r.id, max(r.version) AS version, min(r.from_at) AS from_at, nullif(max(coalesce(r.to_at, 'infinity')), 'infinity') AS to_at,
         r.status, r.state, r.attributes, r.technology
  FROM (
    SELECT u.*, u.version - row_number() OVER (PARTITION BY u.status, u.state, u.attributes, u.technology, u.confidence, u.plugin ORDER BY u.version) AS run
    FROM (
      SELECT a.id, a.version, a.from_at, NULL::timestamptz AS to_at, a.status, a.state, a.attributes, a.technology, a.confidence, a.plugin
      FROM asset a
      WHERE a.organization_id = @organization AND a.id = k.id
      UNION ALL
      SELECT h.id, h.version, h.from_at, h.to_at, h.status, h.state, h.attributes, h.technology, h.confidence, h.plugin
      FROM asset_version h
      WHERE h.organization_id = @organization AND h.id = k.id
    ) u
  ) r
  GROUP BY r.run, r.id, r.status, r.state, r.attributes, r.technology, r.confidence, r.plugin
  ORDER BY version DESC
  LIMIT @limit
) v;

-- name: versions_by_assets@past
-- Those that had begun. The newest of them had not ended.
SELECT v.*
FROM unnest(@ids::uuid[]) AS k(id)
CROSS JOIN LATERAL (
  SELECT r.id, max(r.version) AS version, min(r.from_at) AS from_at, nullif(max(coalesce(r.to_at, 'infinity')), 'infinity') AS to_at,
         r.status, r.state, r.attributes, r.technology
  FROM (
    SELECT u.*, u.version - row_number() OVER (PARTITION BY u.status, u.state, u.attributes, u.technology, u.confidence, u.plugin ORDER BY u.version) AS run
    FROM (
      SELECT a.id, a.version, a.from_at, NULL::timestamptz AS to_at, a.status, a.state, a.attributes, a.technology, a.confidence, a.plugin
      FROM /* bare */ asset a
      WHERE a.organization_id = @organization AND a.id = k.id AND a.from_at <= @as_of
      UNION ALL
      SELECT h.id, h.version, h.from_at, CASE WHEN h.to_at <= @as_of THEN h.to_at END, h.status, h.state, h.attributes, h.technology, h.confidence, h.plugin
      FROM asset_version h
      WHERE h.organization_id = @organization AND h.id = k.id AND h.from_at <= @as_of
    ) u
  ) r
  GROUP BY r.run, r.id, r.status, r.state, r.attributes, r.technology, r.confidence, r.plugin
  ORDER BY version DESC
  LIMIT @limit
) v;

-- name: discoveries
-- The delivery that each asset was first seen in. Nothing else happened at its instant.
SELECT a.id, y.id AS sync_id
FROM /* bare any */ asset a
JOIN /* at */ sync y ON y.organization_id = @organization AND y.at = a.first_seen_at
WHERE a.organization_id = @organization AND a.id = ANY (@ids::uuid[]);

-- name: files_by_ids
SELECT f.id, f.sha256, f.size, f.media_type, f.name, f.artifact, f.sync_id, f.actor, f.at, o.slug AS organization
FROM /* at */ file f
JOIN organization o ON o.id = @organization
WHERE f.organization_id = @organization AND f.id = ANY (@ids::uuid[]);
