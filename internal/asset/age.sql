What is stale: assets that were looked for and not seen in a long time. @organization
is the tenant, @at the evaluation's instant on the organization's clock.

-- name: any_active
-- As a scalar subquery, ordered as an index is: see known of count.sql.
SELECT (SELECT a.first_seen_at FROM asset a WHERE a.organization_id = @organization AND a.status = 'active' AND a.kind <> 'file' ORDER BY 1 LIMIT 1) IS NOT NULL;

-- name: find_old
-- Active assets that nobody has seen for as long as their kind may go unseen. A
-- source has last seen what its last delivery in a sighting showed.
INSERT INTO old (asset_id, kind, value, parent_id, root_id, address, protocol, port, origin, state, seen_at)
SELECT l.id, l.kind, l.value, l.parent_id, l.root_id, l.address, l.protocol, l.port, l.origin, l.state, l.seen_at
FROM (
  SELECT a.id, a.kind, a.value, a.parent_id, a.root_id, a.address, a.protocol, a.port, a.origin, a.state, (
    SELECT max((
      SELECT y.at FROM sync y
      WHERE y.organization_id = @organization AND y.source_id = g.source_id AND y.at < coalesce(g.to_at, 'infinity') AND y.outcome <> 'late'
      ORDER BY y.at DESC
      LIMIT 1
    ))
    FROM asset_sighting g
    WHERE g.organization_id = @organization AND g.asset_id = a.id
  ) AS seen_at
  FROM asset a
  WHERE a.organization_id = @organization AND a.status = 'active' AND a.kind <> 'file'
) l
JOIN unnest(@kinds::text[], @seconds::float8[]) AS t(kind, seconds) ON t.kind = l.kind
WHERE l.seen_at + make_interval(secs => t.seconds) <= @at;

-- name: analyze_old
ANALYZE old (asset_id, kind, parent_id, root_id);

-- name: find_stale
-- Those of them that somebody has looked for since, where they would have been.
INSERT INTO gone (asset_id, status, state)
SELECT DISTINCT l.asset_id, 'stale', l.state
FROM (
  SELECT o.asset_id, o.state, o.seen_at, c.source_id, c.from_at, c.to_at
  FROM old o
  JOIN asset_cover c ON c.organization_id = @organization AND c.covers = 'host' AND o.address BETWEEN c.low AND c.high
  WHERE o.kind = 'host'
  UNION ALL
  SELECT o.asset_id, o.state, o.seen_at, c.source_id, c.from_at, c.to_at
  FROM old o
  JOIN asset_cover c ON c.organization_id = @organization AND c.covers = 'service' AND o.address BETWEEN c.low AND c.high
                    AND c.protocol = o.protocol AND c.ports @> o.port
  WHERE o.kind = 'service'
  UNION ALL
  SELECT o.asset_id, o.state, o.seen_at, c.source_id, c.from_at, c.to_at
  FROM old o
  JOIN asset_cover c ON c.organization_id = @organization AND c.covers = 'domain'
                    AND (c.subject = o.value OR right(o.value, length(c.subject) + 1) = '.' || c.subject)
  WHERE o.kind = 'domain'
  UNION ALL
  SELECT o.asset_id, o.state, o.seen_at, c.source_id, c.from_at, c.to_at
  FROM old o
  JOIN asset_cover c ON c.organization_id = @organization AND c.covers = 'url' AND c.subject = o.origin
  WHERE o.kind IN ('url', 'url_path')
  UNION ALL
  SELECT o.asset_id, o.state, o.seen_at, c.source_id, c.from_at, c.to_at
  FROM old o
  JOIN asset p ON p.organization_id = @organization AND p.id = o.parent_id
  JOIN asset_cover c ON c.organization_id = @organization AND c.covers = 'technology' AND c.subject = p.value
  WHERE o.kind = 'technology'
  UNION ALL
  SELECT o.asset_id, o.state, o.seen_at, c.source_id, c.from_at, c.to_at
  FROM old o
  JOIN asset_tie t ON t.organization_id = @organization AND t.to_id = o.asset_id AND t.kind = 'presents'
  JOIN asset p ON p.organization_id = @organization AND p.id = t.from_id
  JOIN asset_cover c ON c.organization_id = @organization AND c.covers = 'certificate' AND c.subject = p.value
  WHERE o.kind = 'certificate'
) l
WHERE EXISTS (
  SELECT FROM sync y
  WHERE y.organization_id = @organization AND y.source_id = l.source_id AND y.outcome <> 'late'
    AND y.at > l.seen_at AND y.at >= l.from_at AND y.at < coalesce(l.to_at, 'infinity')
);

-- name: find_stale_parts
-- What is on a host or below a domain that is stale is not looked for any more.
INSERT INTO gone (asset_id, status, state)
SELECT o.asset_id, 'stale', o.state
FROM old o
JOIN asset r ON r.organization_id = @organization AND r.id = o.root_id
WHERE o.asset_id <> o.root_id AND (r.status = 'stale' OR EXISTS (SELECT FROM gone x WHERE x.asset_id = r.id))
ON CONFLICT DO NOTHING;

-- name: find_stale_certificates
-- Those that a stale service presented, and none that is there.
INSERT INTO gone (asset_id, status)
SELECT o.asset_id, 'stale'
FROM old o
WHERE o.kind = 'certificate'
  AND EXISTS (
    SELECT FROM asset_tie t
    JOIN asset p ON p.organization_id = @organization AND p.id = t.from_id
    WHERE t.organization_id = @organization AND t.to_id = o.asset_id AND t.kind = 'presents'
      AND (p.status = 'stale' OR EXISTS (SELECT FROM gone x WHERE x.asset_id = p.id))
  )
  AND NOT EXISTS (
    SELECT FROM asset_tie t
    WHERE t.organization_id = @organization AND t.to_id = o.asset_id AND t.kind = 'presents' AND t.to_at IS NULL
      AND NOT EXISTS (SELECT FROM gone x WHERE x.asset_id = t.from_id)
  )
ON CONFLICT DO NOTHING;
