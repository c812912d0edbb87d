-- What scanners saw of the world from outside, behind all else that happened in it.
--
--   03-03  a host with two services, a page, a certificate and a name
--   03-04  another port; 443 is closed, and 80 runs a newer nginx
--   03-05  443 is open again
--   03-20  nobody answers
--   03-21  the host and its services are stale
--   03-22  the host and 80 are there again, and 443 is closed
--   03-23  a file is collected

INSERT INTO source (organization_id, id, name, system, format, created_at, scans)
VALUES (current_organization(), n('outer scanner'), 'outer nmap', 'lan', 'nmap', '2026-03-03 00:00+00', true);

INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, outcome, complete, content_digest, records_read, records_rejected,
  paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings, assets_added, assets_changed, assets_gone)
SELECT current_organization(), n('scan ' || version), n('outer scanner'), version, at::timestamptz, at::timestamptz, at::timestamptz, '', 'applied', true, n(''), 0, 0, 0, 0, 0, 0, '[]', '[]',
  added, changed, gone
FROM (VALUES (11, '2026-03-03 00:00+00', 8, 0, 0), (12, '2026-03-04 00:00+00', 1, 2, 2), (13, '2026-03-05 00:00+00', 0, 2, 0), (14, '2026-03-20 00:00+00', 0, 0, 0),
  (15, '2026-03-22 00:00+00', 0, 2, 1)) AS x(version, at, added, changed, gone);

INSERT INTO evaluation (organization_id, at, recorded_at, cause, actor, paths_changed, exposures_opened, exposures_resolved, assets_stale)
VALUES (current_organization(), '2026-03-21 00:00+00', '2026-03-21 00:00+00', 'time', '', 0, 0, 0, 4);

INSERT INTO asset (organization_id, id, kind, value, parent_id, root_id, address, protocol, port, origin, first_seen_at, status, state, attributes, technology, class, version, from_at)
SELECT current_organization(), n('outer ' || name), kind, value, n('outer ' || parent), n('outer ' || root), CASE root WHEN 'host' THEN inet '198.51.100.1' END,
  CASE kind WHEN 'service' THEN 'tcp' END, port, CASE WHEN kind IN ('url', 'url_path') THEN 'http://198.51.100.1:80' END, first_seen::timestamptz, status, state,
  attributes::jsonb, technology::jsonb, class, version, from_at::timestamptz
FROM (VALUES
  ('host', 'host', '198.51.100.1', NULL, 'host', NULL::integer, '2026-03-03 00:00+00', 'active', NULL, '{}', NULL, 1, 3, '2026-03-22 00:00+00'),
  ('80', 'service', '198.51.100.1 tcp/80', 'host', 'host', 80, '2026-03-03 00:00+00', 'active', 'open', '{"name": "http", "guessed": false}',
     '[{"name": "http", "service": true}, {"name": "nginx", "version": "1.25"}]', 1, 4, '2026-03-22 00:00+00'),
  ('443', 'service', '198.51.100.1 tcp/443', 'host', 'host', 443, '2026-03-03 00:00+00', 'closed', 'closed', '{}', NULL, 0, 5, '2026-03-22 00:00+00'),
  ('22', 'service', '198.51.100.1 tcp/22', 'host', 'host', 22, '2026-03-04 00:00+00', 'stale', 'open', '{}', NULL, 0, 2, '2026-03-21 00:00+00'),
  ('nginx', 'technology', '198.51.100.1 tcp/80 nginx', '80', 'host', NULL, '2026-03-03 00:00+00', 'active', NULL, '{"name": "nginx", "version": "1.25"}', NULL, 0, 2, '2026-03-04 00:00+00'),
  ('page', 'url', 'http://198.51.100.1:80/?id=1', '80', 'host', NULL, '2026-03-03 00:00+00', 'active', NULL, '{}', NULL, 0, 1, '2026-03-03 00:00+00'),
  ('path', 'url_path', 'http://198.51.100.1:80/', '80', 'host', NULL, '2026-03-03 00:00+00', 'active', NULL, '{}', NULL, 0, 1, '2026-03-03 00:00+00'),
  ('certificate', 'certificate', '0ffee0', NULL, NULL, NULL, '2026-03-03 00:00+00', 'closed', NULL, '{"subject": "CN=shop"}', NULL, 0, 4, '2026-03-22 00:00+00'),
  ('name', 'domain', 'outer.example.com', NULL, 'name', NULL, '2026-03-03 00:00+00', 'active', NULL, '{}', NULL, 0, 1, '2026-03-03 00:00+00'),
  ('file', 'file', encode(sha256('report'), 'hex'), NULL, NULL, NULL, '2026-03-23 00:00+00', 'active', NULL, '{}', NULL, 0, 1, '2026-03-23 00:00+00')
) AS a(name, kind, value, parent, root, port, first_seen, status, state, attributes, technology, class, version, from_at);

INSERT INTO asset_version (organization_id, id, version, from_at, to_at, status, state, attributes, technology, class)
SELECT current_organization(), a.id, v.version, v.from_at::timestamptz, v.to_at::timestamptz, v.status, v.state, coalesce(v.attributes::jsonb, a.attributes),
  coalesce(v.technology::jsonb, a.technology), a.class
FROM (VALUES
  ('host', 1, '2026-03-03 00:00+00', '2026-03-21 00:00+00', 'active', NULL, NULL, NULL),
  ('host', 2, '2026-03-21 00:00+00', '2026-03-22 00:00+00', 'stale', NULL, NULL, NULL),
  ('80', 1, '2026-03-03 00:00+00', '2026-03-04 00:00+00', 'active', 'open', NULL, '[{"name": "http", "service": true}, {"name": "nginx", "version": "1.24"}]'),
  ('80', 2, '2026-03-04 00:00+00', '2026-03-21 00:00+00', 'active', 'open', NULL, NULL),
  ('80', 3, '2026-03-21 00:00+00', '2026-03-22 00:00+00', 'stale', 'open', NULL, NULL),
  ('443', 1, '2026-03-03 00:00+00', '2026-03-04 00:00+00', 'active', 'open', NULL, NULL),
  ('443', 2, '2026-03-04 00:00+00', '2026-03-05 00:00+00', 'closed', 'filtered', NULL, NULL),
  ('443', 3, '2026-03-05 00:00+00', '2026-03-21 00:00+00', 'active', 'open', NULL, NULL),
  ('443', 4, '2026-03-21 00:00+00', '2026-03-22 00:00+00', 'stale', 'open', NULL, NULL),
  ('22', 1, '2026-03-04 00:00+00', '2026-03-21 00:00+00', 'active', 'open', NULL, NULL),
  ('nginx', 1, '2026-03-03 00:00+00', '2026-03-04 00:00+00', 'active', NULL, '{"name": "nginx", "version": "1.24"}', NULL),
  ('certificate', 1, '2026-03-03 00:00+00', '2026-03-04 00:00+00', 'active', NULL, NULL, NULL),
  ('certificate', 2, '2026-03-04 00:00+00', '2026-03-05 00:00+00', 'closed', NULL, NULL, NULL),
  ('certificate', 3, '2026-03-05 00:00+00', '2026-03-22 00:00+00', 'active', NULL, NULL, NULL)
) AS v(name, version, from_at, to_at, status, state, attributes, technology)
JOIN asset a ON a.id = n('outer ' || v.name);

INSERT INTO asset_sighting (organization_id, asset_id, source_id, from_at, to_at, stated_at, state, attributes, digest)
SELECT current_organization(), a.id, n('outer scanner'), g.from_at::timestamptz, g.to_at::timestamptz, g.stated_at::timestamptz, CASE a.kind WHEN 'service' THEN 'open' END, x.attributes,
  md5(concat_ws('|', CASE a.kind WHEN 'service' THEN 'open' END, x.attributes::text))::uuid
FROM (VALUES
  ('host', '2026-03-03 00:00+00', '2026-03-20 00:00+00', '2026-03-03 00:00+00', NULL),
  ('host', '2026-03-22 00:00+00', NULL, '2026-03-03 00:00+00', NULL),
  ('80', '2026-03-03 00:00+00', '2026-03-20 00:00+00', '2026-03-03 00:00+00', NULL),
  ('80', '2026-03-22 00:00+00', NULL, '2026-03-03 00:00+00', NULL),
  ('443', '2026-03-03 00:00+00', '2026-03-04 00:00+00', '2026-03-03 00:00+00', NULL),
  ('443', '2026-03-05 00:00+00', '2026-03-20 00:00+00', '2026-03-03 00:00+00', NULL),
  ('22', '2026-03-04 00:00+00', '2026-03-20 00:00+00', '2026-03-04 00:00+00', NULL),
  ('nginx', '2026-03-03 00:00+00', '2026-03-04 00:00+00', '2026-03-03 00:00+00', '{"name": "nginx", "version": "1.24"}'),
  ('nginx', '2026-03-04 00:00+00', '2026-03-20 00:00+00', '2026-03-04 00:00+00', NULL),
  ('nginx', '2026-03-22 00:00+00', NULL, '2026-03-04 00:00+00', NULL),
  ('page', '2026-03-03 00:00+00', '2026-03-20 00:00+00', '2026-03-03 00:00+00', NULL),
  ('path', '2026-03-03 00:00+00', '2026-03-20 00:00+00', '2026-03-03 00:00+00', NULL),
  ('certificate', '2026-03-03 00:00+00', '2026-03-04 00:00+00', '2026-03-03 00:00+00', NULL),
  ('certificate', '2026-03-05 00:00+00', '2026-03-20 00:00+00', '2026-03-03 00:00+00', NULL),
  ('name', '2026-03-03 00:00+00', '2026-03-20 00:00+00', '2026-03-03 00:00+00', NULL)
) AS g(name, from_at, to_at, stated_at, attributes)
JOIN asset a ON a.id = n('outer ' || g.name)
CROSS JOIN LATERAL (SELECT coalesce(g.attributes::jsonb, a.attributes) AS attributes) x;

INSERT INTO asset_tie (organization_id, kind, from_id, to_id, source_id, from_at, to_at)
VALUES (current_organization(), 'presents', n('outer 443'), n('outer certificate'), n('outer scanner'), '2026-03-03 00:00+00', '2026-03-04 00:00+00'),
       (current_organization(), 'presents', n('outer 443'), n('outer certificate'), n('outer scanner'), '2026-03-05 00:00+00', '2026-03-22 00:00+00');

INSERT INTO asset_cover (organization_id, source_id, id, covers, low, high, protocol, ports, from_at)
VALUES (current_organization(), n('outer scanner'), n('hosts'), 'host', '198.51.100.0', '198.51.100.255', NULL, NULL, '2026-03-03 00:00+00'),
       (current_organization(), n('outer scanner'), n('ports'), 'service', '198.51.100.1', '198.51.100.1', 'tcp', '{[1,1000]}', '2026-03-03 00:00+00');

INSERT INTO file (organization_id, id, sha256, size, media_type, name, sync_id, actor, at, recorded_at)
VALUES (current_organization(), n('outer file'), sha256('report'), 6, 'text/plain', 'report.txt', n('scan 15'), 'ann', '2026-03-23 00:00+00', '2026-03-23 00:00+00');

INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at)
SELECT organization_id, at, 'sync', false, 30, at FROM sync WHERE source_id = n('outer scanner')
UNION ALL SELECT organization_id, at, 'evaluation', false, 30, at FROM evaluation WHERE at = '2026-03-21 00:00+00'
UNION ALL SELECT organization_id, at, 'decision', true, 1, at FROM file WHERE id = n('outer file');
