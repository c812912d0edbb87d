The limits: what is left of an operation when everything is left out that can be.

-- name: entity_rows
-- What a sync stages, as it lies in the assertions.
SELECT entity_id, basis, digest, kind, system, external_id, name, status, environment, owner_team, business_tier, execution_mode,
       artifact_identifier, source_type, data_domain, data_domain_stated, sensitivity, sensitivity_stated, owner_type, title,
       last_active_at, created_in_source_at, labels, 1 AS file, 1 AS line, 1::bigint AS seq
FROM entity_assertion

-- name: edge_rows
SELECT kind, from_id, scope, to_id, actions, effective, protocol, target_system, 1 AS file, 1 AS line, 1::bigint AS seq
FROM edge

-- name: egress_rows
SELECT workload_id, host, category, 1 AS file, 1 AS line, 1::bigint AS seq
FROM egress

-- name: evidence_rows
SELECT workload_id, identity_id, resource_id, action, day, related, basis, count, last_at, 1 AS file, 1 AS line, 1::bigint AS seq
FROM evidence

-- name: coverage_rows
SELECT kind, entity_id, system, complete, from_at, to_at, max_age, 1 AS file, 1 AS line, 1::bigint AS seq
FROM coverage

-- name: prepare
SET LOCAL work_mem = '256MB';
SET LOCAL enable_nestloop = off

-- name: analyze_rows
ANALYZE limit_entity (entity_id, basis), limit_edge (kind, from_id, scope, to_id), limit_egress (workload_id, host),
  limit_evidence (workload_id, identity_id, resource_id, day)

-- name: materialise_bindings
CREATE TEMPORARY TABLE limit_binding ON COMMIT DROP AS
SELECT e.from_id AS workload_id, e.to_id AS identity_id, CASE e.kind WHEN 'runs_as' THEN 0 ELSE 1 END AS depth
FROM limit_edge e
WHERE e.kind IN ('runs_as', 'authenticates')

-- name: materialise_reach
CREATE TEMPORARY TABLE limit_reach ON COMMIT DROP AS
SELECT r.identity_id, r.resource_id, r.role_ids, r.actions, 
       digest_field(int4send(cardinality(r.role_ids)))
       || (SELECT string_agg(digest_field(uuid_send(x)), ''::bytea ORDER BY n) FROM unnest(r.role_ids) WITH ORDINALITY AS t(x, n))
       || digest_field(int4send(cardinality(r.actions)))
       || (SELECT string_agg(digest_field(convert_to(x, 'UTF8')), ''::bytea ORDER BY n) FROM unnest(r.actions) WITH ORDINALITY AS t(x, n)) AS tail
FROM (
  SELECT h.from_id AS identity_id, g.to_id AS resource_id, array_agg(DISTINCT h.to_id ORDER BY h.to_id) AS role_ids,
         CASE count(*) WHEN 1 THEN min(g.actions) ELSE sorted_distinct(array_concat(g.actions)) END AS actions
  FROM (SELECT DISTINCT identity_id FROM limit_binding) b
  JOIN limit_edge h ON h.kind = 'has_role' AND h.from_id = b.identity_id
  JOIN limit_edge g ON g.kind = 'grants' AND g.from_id = h.to_id AND g.scope = h.scope
  GROUP BY h.from_id, g.to_id
) r

-- name: materialise_paths
CREATE TEMPORARY TABLE limit_path ON COMMIT DROP AS
SELECT authority_path_id($1, b.workload_id, b.identity_id, r.resource_id) AS path_id,
       authority_lineage_id($1, b.workload_id, r.resource_id) AS lineage_id,
       b.workload_id, b.identity_id, r.resource_id, r.role_ids, r.actions, b.depth,
       composition_hash(b.workload_id, b.identity_id, r.resource_id, r.tail) AS composition_hash,
       d.data_domain, d.sensitivity
FROM limit_binding b
JOIN limit_reach r ON r.identity_id = b.identity_id
JOIN limit_entity d ON d.entity_id = r.resource_id
UNION ALL
SELECT authority_path_id($1, e.from_id, NULL, e.to_id), authority_lineage_id($1, e.from_id, e.to_id), e.from_id, NULL, e.to_id, '{}', e.actions, 0,
       composition_hash(e.from_id, NULL, e.to_id,
         digest_field(int4send(0)) || digest_field(int4send(cardinality(e.actions)))
         || (SELECT string_agg(digest_field(convert_to(x, 'UTF8')), ''::bytea ORDER BY n) FROM unnest(e.actions) WITH ORDINALITY AS t(x, n))),
       d.data_domain, d.sensitivity
FROM limit_edge e
JOIN limit_entity d ON d.entity_id = e.to_id
WHERE e.kind = 'declares'

-- name: diff_paths
SELECT count(*) FROM limit_path d
LEFT JOIN authority_path p ON p.organization_id = $1 AND p.id = d.path_id
WHERE p.id IS NULL OR p.composition_hash <> d.composition_hash

-- name: diff_entities
SELECT count(*) FROM limit_entity s
FULL JOIN (SELECT * FROM entity_assertion WHERE organization_id = $1) a ON a.entity_id = s.entity_id AND a.basis = s.basis
WHERE a.entity_id IS NULL OR s.entity_id IS NULL OR a.digest <> s.digest

-- name: diff_edges
SELECT count(*) FROM limit_edge s
FULL JOIN (SELECT * FROM edge WHERE organization_id = $1) e ON e.kind = s.kind AND e.from_id = s.from_id AND e.scope = s.scope AND e.to_id = s.to_id
WHERE e.kind IS NULL OR s.kind IS NULL OR e.actions <> s.actions OR e.effective <> s.effective OR e.protocol <> s.protocol OR e.target_system <> s.target_system

-- name: diff_egress
SELECT count(*) FROM limit_egress s
FULL JOIN (SELECT * FROM egress WHERE organization_id = $1) e ON e.workload_id = s.workload_id AND e.host = s.host
WHERE e.host IS NULL OR s.host IS NULL OR e.category <> s.category

-- name: diff_evidence
SELECT count(*) FROM limit_evidence s
LEFT JOIN evidence e ON e.organization_id = $1 AND e.workload_id = s.workload_id AND e.identity_id = s.identity_id AND e.resource_id = s.resource_id
                    AND e.action = s.action AND e.day = s.day AND e.related = s.related
WHERE e.day IS NULL OR e.count <> s.count

-- name: writing_schema
-- An empty table beside each of the product's, with its indexes and checks.
DO $$
DECLARE
  t text;
BEGIN
  CREATE SCHEMA writing;
  FOR t IN SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
           WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' LOOP
    EXECUTE format('CREATE TABLE writing.%I (LIKE public.%I INCLUDING ALL)', t, t);
  END LOOP;
END $$

-- name: writing_tables
SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) AS key
FROM pg_class c
JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(number, place)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
WHERE c.relnamespace = 'writing'::regnamespace AND c.relkind = 'r'
GROUP BY c.relname
ORDER BY c.relname

-- name: list
SELECT p.id, p.lineage_id, p.workload_id, p.identity_id, p.resource_id, p.first_seen_at, p.last_seen_at, p.removed_at, p.status, p.effective, p.role_ids,
       p.actions, p.auth_chain_depth, p.composition_hash, p.class, p.data_domain, p.sensitivity, p.ownership_status, p.egress_category,
       p.execution_30d, p.execution_basis, p.version, p.from_at, p.sync_version
FROM authority_path p
WHERE p.organization_id = $1 AND p.status = 'active' /* where */
ORDER BY p.sensitivity DESC, p.id DESC
LIMIT 20

-- name: gravest_workload
SELECT code FROM workload_exposure WHERE organization_id = $1 AND listed ORDER BY max_severity DESC, findings DESC, workload_id DESC LIMIT 1;

-- name: deep_cursor
SELECT p.sensitivity, p.id FROM authority_path p
WHERE p.organization_id = $1 AND p.status = 'active'
ORDER BY p.sensitivity DESC, p.id DESC
OFFSET 999 LIMIT 1

-- name: nested
SELECT p.id, p.lineage_id, p.first_seen_at, p.status, p.effective, p.actions, p.auth_chain_depth, p.composition_hash, p.data_domain, p.sensitivity,
       p.ownership_status, p.egress_category, p.execution_30d, p.version, p.from_at, p.sync_version,
       w.external_id, w.name, w.system, i.external_id, i.name, d.external_id, d.name, d.data_domain, seen.at, roles.names, routes.list, versions.list
FROM (
  SELECT * FROM authority_path p
  WHERE p.organization_id = $1 AND p.status = 'active'
  ORDER BY p.sensitivity DESC, p.id DESC
  LIMIT $2
) p
JOIN entity w ON w.organization_id = $1 AND w.id = p.workload_id
JOIN entity d ON d.organization_id = $1 AND d.id = p.resource_id
LEFT JOIN entity i ON i.organization_id = $1 AND i.id = p.identity_id
LEFT JOIN LATERAL (
  SELECT max(s.last_complete_at) AS at FROM entity_assertion a
  JOIN source s ON s.organization_id = $1 AND s.id = a.source_id
  WHERE a.organization_id = $1 AND a.entity_id = p.workload_id
) seen ON true
LEFT JOIN LATERAL (
  SELECT array_agg(r.external_id ORDER BY r.external_id) AS names FROM entity r WHERE r.organization_id = $1 AND r.id = ANY (p.role_ids)
) roles ON true
LEFT JOIN LATERAL (
  SELECT json_agg(json_build_object('id', o.id, 'first', o.first_seen_at, 'identity', oi.external_id)) AS list
  FROM authority_path o
  LEFT JOIN entity oi ON oi.organization_id = $1 AND oi.id = o.identity_id
  WHERE o.organization_id = $1 AND o.workload_id = p.workload_id AND o.resource_id = p.resource_id
) routes ON true
LEFT JOIN LATERAL (
  SELECT json_agg(json_build_object('version', v.version, 'from', v.from_at, 'to', v.to_at, 'actions', v.actions, 'roles', v.role_ids)) AS list
  FROM (SELECT * FROM authority_path_version v WHERE v.organization_id = $1 AND v.id = p.id ORDER BY v.version DESC LIMIT 5) v
) versions ON true
ORDER BY p.sensitivity DESC, p.id DESC

-- name: workloads
SELECT w.id, w.external_id, w.name, w.system, w.status, w.environment, w.ownership_status, w.egress_category, paths.list
FROM (
  SELECT * FROM entity e WHERE e.organization_id = $1 AND e.kind = 'workload' AND e.status IN ('active', 'disabled') ORDER BY e.name, e.id LIMIT 20
) w
LEFT JOIN LATERAL (
  SELECT json_agg(json_build_object('id', p.id, 'sensitivity', p.sensitivity, 'actions', p.actions, 'destination', d.external_id)) AS list
  FROM (
    SELECT * FROM authority_path p
    WHERE p.organization_id = $1 AND p.workload_id = w.id AND p.status = 'active'
    ORDER BY p.sensitivity DESC, p.id DESC LIMIT 5
  ) p
  JOIN entity d ON d.organization_id = $1 AND d.id = p.resource_id
) paths ON true
ORDER BY w.name, w.id

-- name: node
SELECT p.id, p.lineage_id, p.status, p.actions, p.sensitivity, w.external_id, w.name
FROM authority_path p
JOIN entity w ON w.organization_id = $1 AND w.id = p.workload_id
WHERE p.organization_id = $1 AND p.id = $2

-- name: count
SELECT count(*) FROM authority_path p WHERE p.organization_id = $1 AND p.status = 'active';

-- name: open_exposures
-- Not a limit: what there is for people to judge.
SELECT path_id, type, ordinal, version FROM exposure
WHERE organization_id = $1 AND to_at IS NULL AND disposition = 1
ORDER BY path_id, type, ordinal
OFFSET $2 LIMIT $3;

-- name: commit
INSERT INTO ledger_request (organization_id, actor, key, digest, refused, recorded_at)
VALUES (@organization, 'limit', @key, @digest, '{}', @at);
