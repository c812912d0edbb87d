How a scan becomes its source's word, and what follows for assets. Set-based and
diff-first, as sync.sql. @organization is the tenant, @source who scanned, @at the
delivery's instant on the organization's clock.

-- columns: state
status, state, attributes, technology, confidence, plugin, class

-- columns: is
a.status, a.state, a.attributes, a.technology, a.confidence, a.plugin, a.class

-- columns: next
n.status, n.state, n.attributes, n.technology, n.confidence, n.plugin, n.class

-- name: work_is_here
SELECT to_regclass('pg_temp.asset_next') IS NOT NULL;

-- name: create_work
-- A column few is never written: see create_stage of sync.sql.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_asset (
  asset_id uuid NOT NULL, kind text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL, parent_id uuid, root_id uuid, address inet,
  protocol text COLLATE "C", port integer, origin text COLLATE "C", sha1 text COLLATE "C", state text COLLATE "C", attributes jsonb NOT NULL,
  confidence smallint, plugin text COLLATE "C", seq bigint NOT NULL, few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS staged_tie (kind text COLLATE "C" NOT NULL, from_id uuid NOT NULL, to_id uuid NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS staged_cover (
  covers text COLLATE "C" NOT NULL, low inet, high inet, protocol text COLLATE "C", ports int4multirange, answered boolean NOT NULL,
  subject text COLLATE "C", subject_id uuid, root_id uuid, few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS seen (
  asset_id uuid NOT NULL, kind text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL, parent_id uuid, root_id uuid, address inet,
  protocol text COLLATE "C", port integer, origin text COLLATE "C", sha1 text COLLATE "C", state text COLLATE "C", attributes jsonb NOT NULL,
  confidence smallint, plugin text COLLATE "C", digest uuid NOT NULL, few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS shown (asset_id uuid NOT NULL, state text COLLATE "C" NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS looked (
  id uuid NOT NULL, covers text COLLATE "C" NOT NULL, low inet, high inet, protocol text COLLATE "C", ports int4multirange, answered boolean NOT NULL,
  subject text COLLATE "C", subject_id uuid, few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS sighting_diff (asset_id uuid NOT NULL, op text NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS tie_diff (kind text COLLATE "C" NOT NULL, from_id uuid NOT NULL, to_id uuid NOT NULL, op text NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS cover_diff (id uuid NOT NULL, op text NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS gone (asset_id uuid PRIMARY KEY, status text COLLATE "C" NOT NULL, state text COLLATE "C", few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS old (
  asset_id uuid NOT NULL, kind text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL, parent_id uuid, root_id uuid, address inet,
  protocol text COLLATE "C", port integer, origin text COLLATE "C", state text COLLATE "C", seen_at timestamptz NOT NULL, few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS asset_next (
  asset_id uuid PRIMARY KEY, kind text COLLATE "C" NOT NULL, status text COLLATE "C" NOT NULL, state text COLLATE "C", attributes jsonb NOT NULL,
  technology jsonb, confidence smallint, plugin text COLLATE "C", class integer NOT NULL, few char(2000)
);
SELECT empty_work_tables('{staged_asset, staged_tie, staged_cover, seen, shown, looked, sighting_diff, tie_diff, cover_diff, gone, old,
  asset_next}');

-- name: clear_work
-- What another transaction of the session left in the work tables.
WITH a AS (DELETE FROM staged_asset), b AS (DELETE FROM staged_tie), c AS (DELETE FROM staged_cover), d AS (DELETE FROM seen),
     e AS (DELETE FROM shown), f AS (DELETE FROM looked), g AS (DELETE FROM sighting_diff), h AS (DELETE FROM tie_diff),
     i AS (DELETE FROM cover_diff), j AS (DELETE FROM gone), k AS (DELETE FROM old), l AS (DELETE FROM asset_next)
SELECT;

-- name: plan_anew
SET LOCAL plan_cache_mode = force_custom_plan;

-- name: plan_once
SET LOCAL plan_cache_mode = force_generic_plan;

-- name: analyze_stage
ANALYZE staged_asset (asset_id, kind), staged_tie, staged_cover;

-- name: analyze_seen
ANALYZE seen (asset_id, kind, state), looked, sighting_diff, tie_diff, cover_diff;

-- name: analyze_gone
ANALYZE gone;

-- name: analyze_next
ANALYZE asset_next (asset_id, kind);

-- name: resolve_certificates
-- A certificate that one scanner names by its SHA-1 alone and another by its SHA-256
-- is one asset: the one that is known, or else the one with the better name.
WITH better AS (
  SELECT DISTINCT ON (s.sha1) s.sha1, s.asset_id, s.value
  FROM staged_asset s
  WHERE s.kind = 'certificate' AND s.sha1 IS NOT NULL
  ORDER BY s.sha1, length(s.value) DESC, s.asset_id
), known AS (
  SELECT b.sha1, min(a.id::text)::uuid AS asset_id, min(a.value) AS value
  FROM better b
  JOIN asset a ON a.organization_id = @organization AND a.sha1 = b.sha1 AND a.kind = 'certificate'
  GROUP BY b.sha1
), same AS (
  SELECT DISTINCT s.asset_id AS staged, coalesce(k.asset_id, b.asset_id) AS asset_id, coalesce(k.value, b.value) AS value
  FROM staged_asset s
  JOIN better b ON b.sha1 = s.sha1
  LEFT JOIN known k ON k.sha1 = s.sha1
  WHERE s.kind = 'certificate' AND s.asset_id <> coalesce(k.asset_id, b.asset_id)
    AND NOT EXISTS (SELECT FROM asset o WHERE o.organization_id = @organization AND o.id = s.asset_id)
), ties AS (
  UPDATE staged_tie t SET to_id = same.asset_id FROM same WHERE t.to_id = same.staged
)
UPDATE staged_asset s SET asset_id = same.asset_id, value = same.value FROM same WHERE s.asset_id = same.staged;

-- name: find_seen
-- Each asset once, however many records show it: as the surest of them does, field
-- by field. A port is open if any of them says so.
INSERT INTO seen (asset_id, kind, value, parent_id, root_id, address, protocol, port, origin, sha1, state, attributes, confidence, plugin, digest)
WITH best AS (
  SELECT DISTINCT ON (s.asset_id) s.*
  FROM staged_asset s
  ORDER BY s.asset_id, array_position('{open, unclear, filtered, closed}'::text[], s.state), coalesce(s.confidence, 50) DESC, s.seq
), field AS (
  SELECT DISTINCT ON (s.asset_id, f.key) s.asset_id, f.key, f.value
  FROM (SELECT s.asset_id FROM staged_asset s GROUP BY s.asset_id HAVING count(*) > 1) m
  JOIN staged_asset s USING (asset_id)
  CROSS JOIN LATERAL jsonb_each(s.attributes) f
  ORDER BY s.asset_id, f.key, coalesce(s.confidence, 50) DESC, s.seq
), merged AS (
  SELECT f.asset_id, jsonb_object_agg(f.key, f.value) AS attributes FROM field f GROUP BY f.asset_id
)
SELECT b.asset_id, b.kind, b.value, b.parent_id, b.root_id, b.address, b.protocol, b.port, b.origin, b.sha1, b.state,
       coalesce(m.attributes, b.attributes), b.confidence, b.plugin,
       md5(jsonb_build_array(b.confidence, b.plugin, coalesce(m.attributes, b.attributes))::text)::uuid
FROM best b
LEFT JOIN merged m USING (asset_id);

-- name: find_shown
-- Ports that are shown and not open are no assets: they close what is known.
WITH other AS (
  DELETE FROM seen s WHERE s.state <> 'open' RETURNING s.asset_id, s.state
)
INSERT INTO shown (asset_id, state) SELECT o.asset_id, o.state FROM other o;

-- name: find_looked
-- Where the scan looked, without the hosts that a rejected record was about: they
-- cut ranges in pieces, and what is left of two ranges may be one. A cover of names
-- is in doubt as a whole.
INSERT INTO looked (id, covers, low, high, protocol, ports, answered, subject, subject_id)
WITH whole AS (
  SELECT c.covers, c.low, c.high, c.protocol, c.ports, c.subject, c.subject_id, bool_or(c.answered) AS answered
  FROM staged_cover c
  WHERE (c.root_id = ANY (@roots::uuid[])) IS NOT TRUE
    AND NOT (c.covers = 'domain' AND EXISTS (SELECT FROM unnest(@names::text[]) AS d(name) WHERE right(d.name, length(c.subject) + 1) = '.' || c.subject))
  GROUP BY c.covers, c.low, c.high, c.protocol, c.ports, c.subject, c.subject_id
), piece AS (
  SELECT w.covers, p.low, p.high, w.protocol, w.ports, w.subject, w.subject_id, w.answered
  FROM whole w
  CROSS JOIN LATERAL (
    SELECT CASE WHEN c.before IS NULL THEN w.low ELSE c.before + 1 END AS low, CASE WHEN c.at IS NULL THEN w.high ELSE c.at - 1 END AS high
    FROM (
      SELECT m.at, lag(m.at) OVER (ORDER BY m.at) AS before
      FROM (SELECT d.at FROM unnest(@addresses::inet[]) AS d(at) WHERE d.at BETWEEN w.low AND w.high UNION ALL SELECT NULL) m
    ) c
    WHERE (c.before IS NULL OR c.before < w.high) AND (c.at IS NULL OR c.at > w.low)
  ) p
  WHERE w.low IS NULL OR p.low <= p.high
)
SELECT md5(jsonb_build_array(p.covers, p.low, p.high, p.protocol, p.ports, p.subject, p.subject_id)::text)::uuid,
       p.covers, p.low, p.high, p.protocol, p.ports, bool_or(p.answered), p.subject, p.subject_id
FROM piece p
GROUP BY p.covers, p.low, p.high, p.protocol, p.ports, p.subject, p.subject_id;

-- name: diff_sightings
INSERT INTO sighting_diff (asset_id, op)
SELECT coalesce(s.asset_id, g.asset_id), CASE WHEN g.asset_id IS NULL THEN 'added' WHEN s.asset_id IS NULL THEN 'ended' ELSE 'changed' END
FROM seen s
FULL JOIN (
  SELECT g.asset_id, g.digest FROM asset_sighting g WHERE g.organization_id = @organization AND g.source_id = @source AND g.to_at IS NULL
) g ON g.asset_id = s.asset_id
WHERE s.digest IS DISTINCT FROM g.digest;

-- name: diff_ties
-- A tie lasts until the source looks at its beginning again and does not show it: a
-- name is shown with its hosts, a service is asked for its certificate.
INSERT INTO tie_diff (kind, from_id, to_id, op)
SELECT coalesce(s.kind, t.kind), coalesce(s.from_id, t.from_id), coalesce(s.to_id, t.to_id), CASE WHEN t.kind IS NULL THEN 'added' ELSE 'ended' END
FROM (SELECT DISTINCT s.kind, s.from_id, s.to_id FROM staged_tie s) s
FULL JOIN (
  SELECT t.kind, t.from_id, t.to_id FROM asset_tie t WHERE t.organization_id = @organization AND t.source_id = @source AND t.to_at IS NULL
) t ON t.kind = s.kind AND t.from_id = s.from_id AND t.to_id = s.to_id
WHERE t.kind IS NULL
   OR s.kind IS NULL AND CASE t.kind
        WHEN 'resolves' THEN EXISTS (SELECT FROM staged_tie o WHERE o.kind = 'resolves' AND o.from_id = t.from_id)
        ELSE EXISTS (SELECT FROM looked l WHERE l.covers = 'certificate' AND l.subject_id = t.from_id)
      END;

-- name: diff_covers
INSERT INTO cover_diff (id, op)
SELECT coalesce(l.id, c.id), CASE WHEN c.id IS NULL THEN 'added' ELSE 'ended' END
FROM looked l
FULL JOIN (
  SELECT c.id FROM asset_cover c WHERE c.organization_id = @organization AND c.source_id = @source AND c.to_at IS NULL
) c ON c.id = l.id
WHERE c.id IS NULL OR l.id IS NULL;

-- name: end_sightings
UPDATE asset_sighting g SET to_at = @at
FROM sighting_diff d
WHERE g.organization_id = @organization AND g.source_id = @source AND g.asset_id = d.asset_id AND g.to_at IS NULL AND d.op <> 'added';

-- name: end_ties
UPDATE asset_tie t SET to_at = @at
FROM tie_diff d
WHERE t.organization_id = @organization AND t.source_id = @source AND t.kind = d.kind AND t.from_id = d.from_id AND t.to_id = d.to_id
  AND t.to_at IS NULL AND d.op = 'ended';

-- name: end_covers
UPDATE asset_cover c SET to_at = @at
FROM cover_diff d
WHERE c.organization_id = @organization AND c.source_id = @source AND c.id = d.id AND c.to_at IS NULL AND d.op = 'ended';

-- name: add_assets
-- Nobody else does: this organization has one sync at a time, and this statement
-- sees all that the one before has committed.
INSERT INTO asset (organization_id, id, kind, value, parent_id, root_id, address, protocol, port, origin, sha1, first_seen_at, status, state,
                   attributes, confidence, plugin, from_at)
SELECT @organization, s.asset_id, s.kind, s.value, s.parent_id, s.root_id, s.address, s.protocol, s.port, s.origin, s.sha1, @at, 'active', s.state,
       s.attributes, s.confidence, s.plugin, @at
FROM sighting_diff d
JOIN seen s ON s.asset_id = d.asset_id
WHERE d.op = 'added' AND NOT EXISTS (SELECT FROM asset a WHERE a.organization_id = @organization AND a.id = s.asset_id)
ORDER BY s.asset_id;

-- name: learn_digests
-- Of certificates that were known by one digest, the other.
UPDATE asset a SET sha1 = s.sha1
FROM sighting_diff d
JOIN seen s ON s.asset_id = d.asset_id
WHERE a.organization_id = @organization AND a.id = s.asset_id AND d.op <> 'ended' AND s.kind = 'certificate' AND a.sha1 IS NULL AND s.sha1 IS NOT NULL;

-- name: add_sightings
-- Who says again what he said before a gap does not say it since now.
INSERT INTO asset_sighting (organization_id, asset_id, source_id, from_at, stated_at, state, attributes, digest, confidence, plugin)
SELECT @organization, s.asset_id, @source, @at, coalesce(o.stated_at, @at), s.state, s.attributes, s.digest, s.confidence, s.plugin
FROM sighting_diff d
JOIN seen s ON s.asset_id = d.asset_id
LEFT JOIN LATERAL (
  SELECT g.stated_at, g.digest
  FROM asset_sighting g
  WHERE g.organization_id = @organization AND g.asset_id = d.asset_id AND g.source_id = @source
  ORDER BY g.from_at DESC
  LIMIT 1
) o ON o.digest = s.digest
WHERE d.op <> 'ended'
ORDER BY s.asset_id;

-- name: add_ties
INSERT INTO asset_tie (organization_id, kind, from_id, to_id, source_id, from_at)
SELECT @organization, d.kind, d.from_id, d.to_id, @source, @at
FROM tie_diff d
WHERE d.op = 'added'
ORDER BY d.kind, d.from_id, d.to_id;

-- name: add_covers
INSERT INTO asset_cover (organization_id, source_id, id, covers, low, high, protocol, ports, subject, from_at)
SELECT @organization, @source, l.id, l.covers, l.low, l.high, l.protocol, l.ports, l.subject, @at
FROM cover_diff d
JOIN looked l ON l.id = d.id
WHERE d.op = 'added'
ORDER BY l.id;

-- name: find_closed
-- Ports that were looked at, on hosts that are up, and not shown open; and those that
-- are shown otherwise. Whoever saw them: who looks last knows best.
INSERT INTO gone (asset_id, status, state)
SELECT DISTINCT ON (c.id) c.id, 'closed', c.state
FROM (
  SELECT a.id, 'closed' AS state, 1 AS rank
  FROM looked l
  JOIN asset a ON a.organization_id = @organization AND a.kind = 'service' AND a.port IS NOT NULL AND a.address BETWEEN l.low AND l.high
              AND a.protocol = l.protocol AND l.ports @> a.port
  WHERE l.covers = 'service' AND l.answered AND a.status <> 'closed'
  UNION ALL
  SELECT a.id, s.state, 0
  FROM shown s
  JOIN asset a ON a.organization_id = @organization AND a.id = s.asset_id
  WHERE s.state <> 'unclear' AND a.status <> 'closed'
) c
WHERE NOT EXISTS (SELECT FROM seen s WHERE s.asset_id = c.id)
  AND NOT EXISTS (SELECT FROM shown s WHERE s.asset_id = c.id AND s.state = 'unclear')
ORDER BY c.id, c.rank;

-- name: find_replaced
-- Technologies and certificates that were asked for where this source had shown them,
-- and that neither it nor another shows any more.
INSERT INTO gone (asset_id, status)
SELECT a.id, 'closed'
FROM (
  SELECT c.id
  FROM looked l
  JOIN asset c ON c.organization_id = @organization AND c.parent_id = l.subject_id AND c.kind = 'technology'
  WHERE l.covers = 'technology'
    AND EXISTS (SELECT FROM asset_sighting g WHERE g.organization_id = @organization AND g.asset_id = c.id AND g.source_id = @source)
  UNION
  SELECT d.to_id
  FROM tie_diff d
  WHERE d.op = 'ended' AND d.kind = 'presents'
    AND NOT EXISTS (SELECT FROM asset_tie t WHERE t.organization_id = @organization AND t.to_id = d.to_id AND t.kind = 'presents' AND t.to_at IS NULL)
) x
JOIN asset a ON a.organization_id = @organization AND a.id = x.id AND a.status <> 'closed'
WHERE NOT EXISTS (SELECT FROM asset_sighting g WHERE g.organization_id = @organization AND g.asset_id = a.id AND g.to_at IS NULL)
ON CONFLICT DO NOTHING;

-- name: find_below
-- What hangs on a port that is closed is closed with it: its pages, what it and they
-- run, and a certificate that no other port presents.
INSERT INTO gone (asset_id, status)
WITH RECURSIVE below AS (
  SELECT a.id, a.status
  FROM gone x
  JOIN asset p ON p.organization_id = @organization AND p.id = x.asset_id AND p.kind = 'service'
  JOIN asset a ON a.organization_id = @organization AND a.parent_id = p.id
  UNION
  SELECT a.id, a.status
  FROM below b
  JOIN asset a ON a.organization_id = @organization AND a.parent_id = b.id
)
SELECT b.id, 'closed' FROM below b
WHERE b.status <> 'closed' AND NOT EXISTS (SELECT FROM seen s WHERE s.asset_id = b.id)
UNION
SELECT c.id, 'closed'
FROM gone x
JOIN asset_tie t ON t.organization_id = @organization AND t.kind = 'presents' AND t.from_id = x.asset_id AND t.to_at IS NULL
JOIN asset c ON c.organization_id = @organization AND c.id = t.to_id AND c.status <> 'closed'
WHERE NOT EXISTS (SELECT FROM seen s WHERE s.asset_id = c.id)
  AND NOT EXISTS (
    SELECT FROM asset_tie o
    WHERE o.organization_id = @organization AND o.kind = 'presents' AND o.to_id = c.id AND o.to_at IS NULL
      AND NOT EXISTS (SELECT FROM gone y WHERE y.asset_id = o.from_id)
  )
ON CONFLICT DO NOTHING;

-- name: silence
-- Whoever saw what is gone: it was not there when somebody looked.
UPDATE asset_sighting g SET to_at = @at
FROM gone x
WHERE g.organization_id = @organization AND g.asset_id = x.asset_id AND g.to_at IS NULL;

-- name: end_ties_from_gone
UPDATE asset_tie t SET to_at = @at
FROM gone x
WHERE t.organization_id = @organization AND t.kind IN ('presents', 'resolves') AND t.from_id = x.asset_id AND t.to_at IS NULL;

-- name: end_ties_to_gone
UPDATE asset_tie t SET to_at = @at
FROM gone x
WHERE t.organization_id = @organization AND t.to_id = x.asset_id AND t.to_at IS NULL;

-- name: derive_assets
-- What all sources together say of the assets of the change: field by field what the
-- surest says, and of those who are as sure the one who says it since latest. A
-- source that does not see it now has said what it said.
INSERT INTO asset_next (asset_id, kind, status, state, attributes, technology, confidence, plugin, class)
WITH target AS (
  SELECT d.asset_id FROM sighting_diff d WHERE d.op <> 'ended'
  UNION
  SELECT x.asset_id FROM gone x
), voice AS (
  SELECT DISTINCT ON (g.asset_id, g.source_id) g.asset_id, g.source_id, g.stated_at, g.attributes, g.confidence, g.plugin
  FROM target t
  JOIN asset_sighting g ON g.organization_id = @organization AND g.asset_id = t.asset_id
  ORDER BY g.asset_id, g.source_id, g.from_at DESC
), field AS (
  SELECT DISTINCT ON (v.asset_id, f.key) v.asset_id, f.key, f.value
  FROM voice v
  CROSS JOIN LATERAL jsonb_each(v.attributes) f
  ORDER BY v.asset_id, f.key, coalesce(v.confidence, 50) DESC, v.stated_at DESC, v.source_id
), said AS (
  SELECT f.asset_id, jsonb_object_agg(f.key, f.value) AS attributes FROM field f GROUP BY f.asset_id
), loudest AS (
  SELECT DISTINCT ON (v.asset_id) v.asset_id, v.confidence, v.plugin
  FROM voice v
  ORDER BY v.asset_id, coalesce(v.confidence, 50) DESC, v.stated_at DESC, v.source_id
)
SELECT a.id, a.kind, coalesce(x.status, 'active'), CASE WHEN a.kind = 'service' THEN coalesce(x.state, 'open') END,
       coalesce(f.attributes, '{}'), a.technology, v.confidence, v.plugin, a.class
FROM target t
JOIN asset a ON a.organization_id = @organization AND a.id = t.asset_id
LEFT JOIN gone x ON x.asset_id = a.id
LEFT JOIN said f ON f.asset_id = a.id
LEFT JOIN loudest v ON v.asset_id = a.id;

-- name: derive_subjects
-- Services and pages that run something else now, though nobody says anything else of
-- themselves.
INSERT INTO asset_next (asset_id, kind, status, state, attributes, technology, confidence, plugin, class)
SELECT a.id, a.kind, a.status, a.state, a.attributes, a.technology, a.confidence, a.plugin, a.class
FROM (
  SELECT DISTINCT c.parent_id
  FROM asset_next n
  JOIN asset c ON c.organization_id = @organization AND c.id = n.asset_id
  WHERE n.kind = 'technology'
) p
JOIN asset a ON a.organization_id = @organization AND a.id = p.parent_id
ON CONFLICT DO NOTHING;

-- name: derive_technology
-- What services and pages run: the technologies below them, and a service by its name
-- unless that only repeats its port.
UPDATE asset_next n SET technology = t.list
FROM (
  SELECT n.asset_id, jsonb_agg(i.item ORDER BY i.service, i.item ->> 'name', i.value) FILTER (WHERE i.item IS NOT NULL) AS list
  FROM asset_next n
  LEFT JOIN LATERAL (
    SELECT jsonb_strip_nulls(jsonb_build_object('name', coalesce(m.attributes, c.attributes) ->> 'name',
             'version', coalesce(m.attributes, c.attributes) ->> 'version')) AS item, false AS service, c.value
    FROM asset c
    LEFT JOIN asset_next m ON m.asset_id = c.id
    WHERE c.organization_id = @organization AND c.parent_id = n.asset_id AND c.kind = 'technology' AND coalesce(m.status, c.status) <> 'closed'
    UNION ALL
    SELECT jsonb_build_object('name', n.attributes ->> 'name', 'service', true), true, ''
    WHERE n.kind = 'service' AND n.attributes ? 'name' AND NOT coalesce((n.attributes ->> 'guessed')::boolean, false)
  ) i ON true
  WHERE n.kind IN ('service', 'url')
  GROUP BY n.asset_id
) t
WHERE n.asset_id = t.asset_id;

-- name: count_next
SELECT count(*) FILTER (WHERE a.first_seen_at = @at) AS added,
       count(*) FILTER (WHERE a.first_seen_at < @at AND n.status = 'active') AS changed,
       count(*) FILTER (WHERE a.first_seen_at < @at AND n.status <> 'active') AS gone,
       (SELECT count(*) FROM seen s) - count(s.asset_id) AS kept
FROM asset_next n
JOIN asset a ON a.organization_id = @organization AND a.id = n.asset_id
LEFT JOIN (SELECT s.asset_id FROM seen s) s ON s.asset_id = a.id
WHERE a.first_seen_at = @at OR (/* columns: next */) IS DISTINCT FROM (/* columns: is */);

-- name: keep_versions
INSERT INTO asset_version (organization_id, id, version, from_at, to_at, /* columns: state */)
SELECT @organization, a.id, a.version, a.from_at, @at, /* columns: is */
FROM asset_next n
JOIN asset a ON a.organization_id = @organization AND a.id = n.asset_id
WHERE a.from_at < @at AND (/* columns: next */) IS DISTINCT FROM (/* columns: is */)
ORDER BY a.id;

-- name: update_assets
UPDATE asset a
SET status = n.status, state = n.state, attributes = n.attributes, technology = n.technology, confidence = n.confidence, plugin = n.plugin,
    class = n.class, from_at = @at, version = a.version + CASE WHEN a.from_at < @at THEN 1 ELSE 0 END
FROM asset_next n
WHERE a.organization_id = @organization AND a.id = n.asset_id AND (/* columns: next */) IS DISTINCT FROM (/* columns: is */);
