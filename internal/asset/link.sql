Which workloads are behind assets. Workloads say where they answer, scans what is
there. A link is what both of them come to: it lasts as long as they do, also when
what is there is closed or was not seen any more. @organization is the tenant, @at
the instant of the change on the organization's clock.

-- name: linkable
-- Whether there is anything to link, and whether the tables to do it in are here. As
-- scalar subqueries, ordered as an index is: see known of assess.sql.
SELECT (SELECT a.id FROM asset a WHERE a.organization_id = @organization ORDER BY 1 LIMIT 1) IS NOT NULL
   AND ((SELECT e.workload_id FROM endpoint e WHERE e.organization_id = @organization ORDER BY 1 LIMIT 1) IS NOT NULL
     OR (SELECT f.id FROM file f WHERE f.organization_id = @organization ORDER BY 1 LIMIT 1) IS NOT NULL) AS linkable,
       to_regclass('pg_temp.asset_class') IS NOT NULL AS here;

-- name: create_links
CREATE TEMPORARY TABLE IF NOT EXISTS linked_workload (workload_id uuid PRIMARY KEY, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS linked_asset (asset_id uuid PRIMARY KEY, root_id uuid NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS link_diff (
  asset_id uuid NOT NULL, workload_id uuid NOT NULL, basis text COLLATE "C" NOT NULL, detail text, ended boolean NOT NULL, few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS asset_members (asset_id uuid NOT NULL, members integer[] NOT NULL, digest bytea, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS asset_class (asset_id uuid NOT NULL, class integer NOT NULL, few char(2000));
SELECT empty_work_tables('{linked_workload, linked_asset, link_diff, asset_members, asset_class}');

-- name: clear_links
-- What another transaction of the session left in the work tables.
WITH a AS (DELETE FROM linked_workload), b AS (DELETE FROM linked_asset), c AS (DELETE FROM link_diff), d AS (DELETE FROM asset_members), e AS (DELETE FROM asset_class)
SELECT;

-- name: find_linked_workloads
-- Workloads that are others than before, or that answer elsewhere.
INSERT INTO linked_workload (workload_id)
SELECT c.entity_id FROM entity_change c WHERE c.kind = 'workload'
UNION
SELECT d.workload_id FROM endpoint_diff d;

-- name: find_linked_assets
-- Assets that are new, and all that is on a host which other names resolve to than
-- before.
INSERT INTO linked_asset (asset_id, root_id)
SELECT a.id, a.root_id
FROM asset a
WHERE a.organization_id = @organization AND a.first_seen_at = @at AND a.root_id IS NOT NULL
UNION
SELECT a.id, a.root_id
FROM (
  SELECT d.to_id FROM tie_diff d WHERE d.kind = 'resolves'
  UNION
  SELECT t.to_id FROM gone x
  JOIN asset_tie t ON t.organization_id = @organization AND t.kind = 'resolves' AND t.from_id = x.asset_id AND t.to_at = @at
  UNION
  SELECT t.to_id FROM gone x
  JOIN asset_tie t ON t.organization_id = @organization AND t.kind = 'resolves' AND t.to_id = x.asset_id AND t.to_at = @at
) h
JOIN asset a ON a.organization_id = @organization AND a.root_id = h.to_id;

-- name: analyze_linked
ANALYZE linked_workload, linked_asset;

-- name: diff_links
-- Of every pair with a workload or an asset in question: what links it by now
-- against what does. A port of -1 is either of those that web servers answer on.
INSERT INTO link_diff (asset_id, workload_id, basis, detail, ended)
WITH root AS (
  SELECT DISTINCT s.root_id AS id FROM linked_asset s
), near AS ( -- hosts in question, and the names that lead there
  SELECT r.id FROM root r
  UNION
  SELECT t.from_id
  FROM root r
  JOIN asset_tie t ON t.organization_id = @organization AND t.kind = 'resolves' AND t.to_id = r.id AND t.to_at IS NULL
), name AS (
  SELECT n.id, a.kind, a.value FROM near n JOIN asset a ON a.organization_id = @organization AND a.id = n.id
), asked AS (
  SELECT e.workload_id, e.kind, e.value, e.port
  FROM linked_workload w JOIN endpoint e ON e.organization_id = @organization AND e.workload_id = w.workload_id AND e.to_at IS NULL
), meeting AS ( -- where a workload says that it answers, and what is there
  SELECT e.workload_id, e.kind, e.value, e.port, r.id AS root_id
  FROM asked e JOIN asset r ON r.organization_id = @organization AND r.kind IN ('domain', 'host') AND r.value = e.value
  UNION
  SELECT e.workload_id, e.kind, e.value, e.port, r.id
  FROM asked e JOIN asset r ON r.organization_id = @organization AND r.kind = 'domain' AND substr(r.value, strpos(r.value, '.')) = substr(e.value, 2)
  WHERE e.value LIKE '*.%'
  UNION
  SELECT e.workload_id, e.kind, e.value, e.port, n.id
  FROM name n JOIN endpoint e ON e.organization_id = @organization AND e.value = n.value AND e.to_at IS NULL
  UNION
  SELECT e.workload_id, e.kind, e.value, e.port, n.id
  FROM name n JOIN endpoint e ON e.organization_id = @organization AND e.value = '*' || substr(n.value, strpos(n.value, '.')) AND e.to_at IS NULL
  WHERE n.kind = 'domain' AND strpos(n.value, '.') > 0
), place AS (
  SELECT m.workload_id, m.kind, m.value, CASE WHEN m.port = 0 AND m.kind = 'ingress' THEN -1 ELSE m.port END AS port, m.root_id FROM meeting m
  UNION
  SELECT m.workload_id, m.kind, m.value, CASE WHEN m.port = 0 AND m.kind IN ('ingress', 'hostname') THEN -1 ELSE m.port END, t.to_id
  FROM meeting m JOIN asset_tie t ON t.organization_id = @organization AND t.kind = 'resolves' AND t.from_id = m.root_id AND t.to_at IS NULL
), desired AS (
  SELECT a.id AS asset_id, p.workload_id, p.kind AS basis, min(p.value COLLATE "C") AS detail
  FROM place p
  JOIN entity w ON w.organization_id = @organization AND w.id = p.workload_id AND w.status <> 'removed'
  JOIN asset a ON a.organization_id = @organization AND a.root_id = p.root_id AND a.kind IN ('domain', 'host', 'service', 'url', 'url_path')
  CROSS JOIN LATERAL (SELECT coalesce(a.port, substring(a.origin FROM ':([0-9]+)$')::integer) AS port) o
  WHERE o.port IS NULL OR p.port = 0 OR o.port = p.port OR p.port = -1 AND o.port IN (80, 443)
  GROUP BY a.id, p.workload_id, p.kind
  UNION ALL
  SELECT DISTINCT a.id, w.id, 'image', i.image
  FROM linked_workload l
  JOIN entity w ON w.organization_id = @organization AND w.id = l.workload_id AND w.status <> 'removed'
  CROSS JOIN LATERAL unnest(string_to_array(w.artifact_identifier, ', ')) AS i(image)
  JOIN asset a ON a.organization_id = @organization AND a.kind = 'file' AND a.attributes ->> 'artifact' = i.image
), wanted AS (
  SELECT d.asset_id, d.workload_id, d.basis, d.detail
  FROM desired d
  WHERE EXISTS (SELECT FROM linked_workload w WHERE w.workload_id = d.workload_id) OR EXISTS (SELECT FROM linked_asset s WHERE s.asset_id = d.asset_id)
), standing AS (
  SELECT l.asset_id, l.workload_id, l.basis, l.detail
  FROM linked_workload w JOIN asset_link l ON l.organization_id = @organization AND l.workload_id = w.workload_id AND l.to_at IS NULL
  UNION
  SELECT l.asset_id, l.workload_id, l.basis, l.detail
  FROM linked_asset s JOIN asset_link l ON l.organization_id = @organization AND l.asset_id = s.asset_id AND l.to_at IS NULL
)
SELECT s.asset_id, s.workload_id, s.basis, NULL, true
FROM standing s
WHERE NOT EXISTS (SELECT FROM wanted d WHERE d.asset_id = s.asset_id AND d.workload_id = s.workload_id AND d.basis = s.basis AND d.detail = s.detail)
UNION ALL
SELECT d.asset_id, d.workload_id, d.basis, d.detail, false
FROM wanted d
WHERE NOT EXISTS (SELECT FROM standing s WHERE s.asset_id = d.asset_id AND s.workload_id = d.workload_id AND s.basis = d.basis AND s.detail = d.detail);

-- name: analyze_link_diff
ANALYZE link_diff;

-- name: end_links
UPDATE asset_link l SET to_at = @at
FROM link_diff d
WHERE d.ended AND l.organization_id = @organization AND l.asset_id = d.asset_id AND l.workload_id = d.workload_id AND l.basis = d.basis AND l.to_at IS NULL;

-- name: add_links
INSERT INTO asset_link (organization_id, asset_id, workload_id, basis, detail, from_at)
SELECT @organization, d.asset_id, d.workload_id, d.basis, d.detail, @at
FROM link_diff d
WHERE NOT d.ended
ORDER BY d.asset_id, d.workload_id, d.basis;

-- name: touch_linked
-- Workloads that are reached by other assets than before.
INSERT INTO touched (reason, id)
SELECT DISTINCT 'context', d.workload_id
FROM link_diff d JOIN asset a ON a.organization_id = @organization AND a.id = d.asset_id AND a.kind IN ('service', 'url');

-- name: touch_reached
-- Workloads of which an asset is there again, or is there no longer.
INSERT INTO touched (reason, id)
SELECT DISTINCT 'context', l.workload_id
FROM asset_version v
JOIN asset a ON a.organization_id = @organization AND a.id = v.id AND a.kind IN ('service', 'url') AND a.status <> v.status
JOIN asset_link l ON l.organization_id = @organization AND l.asset_id = a.id AND l.to_at IS NULL
WHERE v.organization_id = @organization AND v.to_at = @at;

-- name: find_members
-- The classes of the workloads that lead to each asset: see find_classes.
INSERT INTO asset_members (asset_id, members, digest)
SELECT m.asset_id, m.members, CASE WHEN cardinality(m.members) > 1 THEN sha256(convert_to(array_to_string(m.members, ','), 'UTF8')) END
FROM (
  SELECT s.asset_id, coalesce(array_agg(DISTINCT w.class ORDER BY w.class) FILTER (WHERE w.class > 0), '{}') AS members
  FROM (
    SELECT d.asset_id FROM link_diff d
    UNION
    SELECT l.asset_id FROM linked_workload k JOIN asset_link l ON l.organization_id = @organization AND l.workload_id = k.workload_id AND l.to_at IS NULL
  ) s
  LEFT JOIN asset_link l ON l.organization_id = @organization AND l.asset_id = s.asset_id AND l.to_at IS NULL
  LEFT JOIN entity w ON w.organization_id = @organization AND w.id = l.workload_id
  GROUP BY s.asset_id
) m;

-- name: add_class_sets
-- Numbered with the classes: see add_access_classes of sync.sql.
INSERT INTO access_class_set (organization_id, class, members, digest)
SELECT @organization,
       coalesce(greatest((SELECT max(c.class) FROM access_class c WHERE c.organization_id = @organization),
                         (SELECT max(s.class) FROM access_class_set s WHERE s.organization_id = @organization)), 0)
         + row_number() OVER (ORDER BY d.members),
       d.members, d.digest
FROM (
  SELECT DISTINCT m.members, m.digest
  FROM asset_members m
  WHERE m.digest IS NOT NULL AND NOT EXISTS (SELECT FROM access_class_set s WHERE s.organization_id = @organization AND s.digest = m.digest)
) d;

-- name: find_classes
-- An asset is seen by whoever may see one of the workloads that it leads to: it is of
-- their class, or of that which stands for their classes. A workload without one is seen
-- by nobody who sees a part, and adds nothing.
INSERT INTO asset_class (asset_id, class)
SELECT c.asset_id, c.class
FROM (
  SELECT m.asset_id, coalesce(s.class, m.members[1], 0) AS class
  FROM asset_members m
  LEFT JOIN access_class_set s ON s.organization_id = @organization AND s.digest = m.digest
) c
JOIN asset a ON a.organization_id = @organization AND a.id = c.asset_id
WHERE a.class <> c.class;

-- name: keep_class_versions
-- What was read off the scan at this instant has kept the version before it already.
INSERT INTO asset_version (organization_id, id, version, from_at, to_at, status, state, attributes, technology, confidence, plugin, class)
SELECT @organization, a.id, a.version, a.from_at, @at, a.status, a.state, a.attributes, a.technology, a.confidence, a.plugin, a.class
FROM asset_class c JOIN asset a ON a.organization_id = @organization AND a.id = c.asset_id
WHERE a.from_at < @at;

-- name: update_classes
UPDATE asset a
SET class = c.class, version = a.version + (a.from_at < @at)::integer, from_at = @at
FROM asset_class c
WHERE a.organization_id = @organization AND a.id = c.asset_id;
