-- A small world that holds, for the organization that is set. n(name) is an id.
--
-- w1 has no owner (class 1), w2 an unknown one (class 2); both run as i1.
--   p1  w1 i1 r1  restricted, open       in orphaned-sensitive, ran 7 times by its own evidence
--   p2  w2 i1 r2  confidential, known    in unbound-sensitive and unaccountable-sensitive
--   p3  w2 -  r2  confidential, open     in unbound-sensitive, by what p2 carries
--   p4  w1 i2 r3  public, accepted       in nothing
--   p5  w1 i2 r2  removed
--   p6  w2 i2 r1  not effective
-- w3 is removed, w4 runs as i2, which it is not seen to reach anything by, and w5
-- never lived. i1 leads on to i2. The posture was counted from 2026-02-01 on, and
-- p1 came back on 2026-02-10.

INSERT INTO organization_window VALUES (current_organization(), '2026-03-01 12:00+00');

INSERT INTO source (organization_id, id, name, system, format, created_at)
VALUES (current_organization(), n('source'), 'ci', 'prod', 'snapshot', '2026-01-01 00:00+00');

INSERT INTO entity (organization_id, id, kind, system, external_id, name, status, execution_mode, data_domain, sensitivity, class, ownership_status, egress_category,
  version, from_at, first_seen_at, removed_at)
SELECT current_organization(), n(name), kind, 'prod', name, name, status, mode, data_domain, sensitivity, class, ownership, egress, version,
  CASE version WHEN 1 THEN '2026-01-01 00:00+00'::timestamptz ELSE '2026-02-01 00:00+00' END, '2026-01-01 00:00+00',
  CASE WHEN status = 'removed' THEN '2026-02-01 00:00+00'::timestamptz END
FROM (VALUES
  ('w1', 'workload', 'active', 'autonomous', NULL, 0, 1, 'orphaned', 'llm', 1),
  ('w2', 'workload', 'active', NULL, NULL, 0, 2, 'unknown', 'unknown', 1),
  ('w3', 'workload', 'removed', 'human_triggered', NULL, 0, 0, 'degraded', 'unknown', 2),
  ('w4', 'workload', 'active', 'operator_assisted', NULL, 0, 2, 'unknown', 'unknown', 1),
  ('w5', 'workload', 'removed', NULL, NULL, 0, 0, 'unknown', 'unknown', 1),
  ('i1', 'identity', 'active', NULL, NULL, 0, 0, 'unknown', 'unknown', 1),
  ('i2', 'identity', 'active', NULL, NULL, 0, 0, 'unknown', 'unknown', 1),
  ('i3', 'identity', 'removed', NULL, NULL, 0, 0, 'unknown', 'unknown', 2),
  ('r1', 'resource', 'active', NULL, 'finance', 4, 0, 'unknown', 'unknown', 1),
  ('r2', 'resource', 'active', NULL, 'health', 3, 0, 'unknown', 'unknown', 1),
  ('r3', 'resource', 'active', NULL, NULL, 1, 0, 'unknown', 'unknown', 1)
) AS e(name, kind, status, mode, data_domain, sensitivity, class, ownership, egress, version);

INSERT INTO entity_version (organization_id, id, version, from_at, to_at, name, status, sensitivity, class, ownership_status, egress_category)
SELECT current_organization(), n(name), 1, '2026-01-01 00:00+00', '2026-02-01 00:00+00', name, 'active', 0, 0, 'unknown', 'unknown'
FROM (VALUES ('w3'), ('i3')) AS v(name);

INSERT INTO entity_assertion (organization_id, entity_id, source_id, basis, digest, kind, system, external_id, from_at)
SELECT current_organization(), id, n('source'), 1, n(''), kind, system, external_id, '2026-02-01 00:00+00' FROM entity WHERE external_id IN ('w1', 'w2');

INSERT INTO entity_assertion_version (organization_id, entity_id, source_id, basis, digest, kind, system, external_id, from_at, to_at)
SELECT current_organization(), n(name), n('source'), 1, n(''), 'workload', 'prod', name, from_at::timestamptz, to_at::timestamptz
FROM (VALUES ('w1', '2026-01-01 00:00+00', '2026-01-10 00:00+00'), ('w1', '2026-01-20 00:00+00', '2026-02-01 00:00+00'),
  ('w3', '2026-01-01 00:00+00', '2026-02-01 00:00+00')) AS v(name, from_at, to_at);

INSERT INTO coverage (organization_id, source_id, kind, entity_id, system, complete, recorded_at)
VALUES (current_organization(), n('source'), 'ownership', n0(), 'prod', true, '2026-02-01 00:00+00');

INSERT INTO coverage_version (organization_id, source_id, kind, entity_id, system, complete, recorded_at, until)
VALUES (current_organization(), n('source'), 'ownership', n0(), 'prod', false, '2026-01-01 00:00+00', '2026-02-01 00:00+00');

INSERT INTO edge_version (organization_id, kind, from_id, scope, to_id, source_id, actions, effective, protocol, target_system, from_at, to_at)
VALUES (current_organization(), 'runs_as', n('w1'), '', n('i2'), n('source'), '{}', true, '', '', '2026-01-01 00:00+00', '2026-01-10 00:00+00'),
       (current_organization(), 'runs_as', n('w1'), '', n('i1'), n('source'), '{}', true, '', '', '2026-01-01 00:00+00', '2026-01-10 00:00+00');

INSERT INTO edge (organization_id, kind, from_id, scope, to_id, source_id, actions, effective, protocol, target_system, from_at)
SELECT current_organization(), kind, n(a), '', n(b), n('source'), '{}', true, '', '', '2026-02-01 00:00+00'
FROM (VALUES ('runs_as', 'w1', 'i1'), ('runs_as', 'w2', 'i1'), ('runs_as', 'w3', 'i1'), ('runs_as', 'w4', 'i2'), ('runs_as', 'w4', 'i3'),
  ('authenticates', 'i1', 'i2'), ('authenticates', 'i3', 'i1'), ('owned_by', 'w1', 'i2')) AS e(kind, a, b);

INSERT INTO egress (organization_id, workload_id, host, source_id, category)
SELECT current_organization(), n(workload), category, n('source'), category
FROM (VALUES ('w1', 'llm'), ('w1', 'internal'), ('w3', 'external')) AS e(workload, category);

INSERT INTO authority_path (organization_id, id, lineage_id, workload_id, identity_id, resource_id, status, effective, role_ids, actions, auth_chain_depth,
  composition_hash, class, data_domain, sensitivity, ownership_status, egress_category, execution_30d, execution_basis, version, from_at, sync_version,
  first_seen_at, removed_at, open_mask, acknowledged_mask, accepted_mask, active_exposure_count, max_exposure_severity)
SELECT current_organization(), n(p.name), n('lineage ' || p.name), w.id, n(p.identity), r.id, p.status, p.effective, '{}', '{}', 0,
  '\x00', w.class, r.data_domain, r.sensitivity, w.ownership_status, w.egress_category, p.executions, p.basis, p.version, p.from_at::timestamptz, 1,
  p.first_seen::timestamptz, CASE WHEN p.status = 'removed' THEN p.from_at::timestamptz END, p.open_mask, p.acknowledged_mask, p.accepted_mask, p.count, p.severity
FROM (VALUES
  ('p1', 'w1', 'i1', 'r1', 'active', true, 7, 'path', 3, '2026-02-10 00:00+00', '2026-01-01 00:00+00', 33, 33, 33, 2, 4),
  ('p2', 'w2', 'i1', 'r2', 'active', true, 3, 'workload', 1, '2026-01-02 23:30+00', '2026-01-02 23:30+00', 8, 40, 40, 2, 3),
  ('p3', 'w2', NULL, 'r2', 'active', true, 3, 'workload', 1, '2026-01-03 00:00+00', '2026-01-03 00:00+00', 72, 72, 72, 2, 3),
  ('p4', 'w1', 'i2', 'r3', 'active', true, NULL, NULL, 1, '2026-01-01 00:00+00', '2026-01-01 00:00+00', 0, 0, 1, 0, NULL),
  ('p5', 'w1', 'i2', 'r2', 'removed', true, NULL, NULL, 2, '2026-02-01 00:00+00', '2026-01-01 00:00+00', 0, 0, 0, 0, NULL),
  ('p6', 'w2', 'i2', 'r1', 'active', false, 3, 'workload', 1, '2026-01-01 00:00+00', '2026-01-01 00:00+00', 0, 0, 0, 0, NULL)
) AS p(name, workload, identity, resource, status, effective, executions, basis, version, from_at, first_seen,
       open_mask, acknowledged_mask, accepted_mask, count, severity)
JOIN entity w ON w.id = n(p.workload)
JOIN entity r ON r.id = n(p.resource);

INSERT INTO authority_path_version (organization_id, id, version, from_at, to_at, sync_version, status, effective, role_ids, actions, auth_chain_depth,
  composition_hash, class, sensitivity, ownership_status, egress_category, last_seen_at)
SELECT current_organization(), n(name), version, from_at::timestamptz, to_at::timestamptz, 1, status, true, '{}', '{}', 0, '\x00', 1, 0, 'unknown', 'unknown',
  CASE status WHEN 'removed' THEN from_at::timestamptz END
FROM (VALUES
  ('p1', 1, '2026-01-01 00:00+00', '2026-01-15 00:00+00', 'active'),
  ('p1', 2, '2026-01-15 00:00+00', '2026-02-10 00:00+00', 'removed'),
  ('p5', 1, '2026-01-01 00:00+00', '2026-02-01 00:00+00', 'active')
) AS v(name, version, from_at, to_at, status);

-- The window begins behind 2026-01-30; what is newer than its end counts at once.
INSERT INTO evidence (organization_id, workload_id, identity_id, resource_id, action, day, related, source_id, basis, count, last_at, recorded_at, first_at)
SELECT current_organization(), coalesce(n(workload), n0()), coalesce(n(identity), n0()), coalesce(n(resource), n0()), action, day::date, false, n('source'), basis, count,
  CASE WHEN action = 'get' THEN day::date + interval '8 hours' END, '2026-03-01 12:00+00', '2026-02-20 00:00+00'
FROM (VALUES
  ('w1', 'i1', 'r1', 'get', '2026-02-01', 'path', 4),
  ('w1', 'i1', 'r1', 'list', '2026-02-01', 'path', 1),
  ('w1', NULL, 'r1', 'get', '2026-03-02', 'path', 2),
  ('w1', 'i1', 'r1', 'get', '2026-01-30', 'path', 1000),
  ('w1', 'i1', NULL, '', '2026-01-30', 'workload', 1000),
  (NULL, 'i1', NULL, '', '2026-02-20', 'identity', 100),
  ('w2', NULL, NULL, '', '2026-02-20', 'workload', 3),
  ('w4', 'i2', NULL, '', '2026-02-21', 'workload', 2)
) AS e(workload, identity, resource, action, day, basis, count);

INSERT INTO condition (organization_id, subject_id, rule, ordinal, rule_version, class, explanation, evidence, evidence_digest, effective_from, effective_basis,
  version, version_from, from_at, to_at, resolution_reason)
SELECT current_organization(), n(subject), rule, ordinal, 1, class, '', '{}', n(''), from_at::timestamptz, 'detected', version, version_from::timestamptz,
  from_at::timestamptz, to_at::timestamptz, reason
FROM (VALUES
  ('w1', 1, 1, 0, 1, '2026-01-01 00:00+00', '2026-01-01 00:00+00', '2026-01-10 00:00+00', 'owner_assigned'),
  ('w1', 1, 2, 1, 3, '2026-02-05 00:00+00', '2026-01-20 00:00+00', NULL, NULL),
  ('w2', 4, 1, 2, 1, '2026-01-02 23:30+00', '2026-01-02 23:30+00', NULL, NULL),
  ('w2', 7, 1, 2, 1, '2026-01-03 00:00+00', '2026-01-03 00:00+00', NULL, NULL),
  ('w4', 8, 1, 2, 1, '2026-01-03 00:00+00', '2026-01-03 00:00+00', NULL, NULL),
  ('w3', 8, 1, 0, 1, '2026-01-01 00:00+00', '2026-01-01 00:00+00', '2026-02-01 00:00+00', 'workload_removed'),
  ('i1', 9, 1, 0, 1, '2026-01-20 00:00+00', '2026-01-20 00:00+00', NULL, NULL)
) AS c(subject, rule, ordinal, class, version, version_from, from_at, to_at, reason);

INSERT INTO condition_version (organization_id, subject_id, rule, ordinal, version, from_at, to_at, rule_version, class, explanation, evidence, evidence_digest)
SELECT current_organization(), n('w1'), 1, 2, version, from_at::timestamptz, to_at::timestamptz, 1, 0, '', '{}', n('')
FROM (VALUES
  (1, '2026-01-20 00:00+00', '2026-02-01 00:00+00'),
  (2, '2026-02-01 00:00+00', '2026-02-05 00:00+00')
) AS v(version, from_at, to_at);

INSERT INTO exposure (organization_id, path_id, type, ordinal, workload_id, class, severity, factors, explanation, evidence_digest, disposition,
  effective_from, effective_basis, lineage_from, version, version_from, from_at, to_at, resolution_reason)
SELECT current_organization(), p.id, x.type, x.ordinal, p.workload_id, CASE WHEN x.to_at IS NULL THEN p.class ELSE 0 END, x.severity, 0, '', n(''), x.disposition,
  x.effective::timestamptz, 'detected', x.effective::timestamptz, x.version, x.version_from::timestamptz, x.from_at::timestamptz, x.to_at::timestamptz, x.reason
FROM (VALUES
  ('p1', 1, 1, 3, 1, '2026-01-01 00:00+00', 1, '2026-01-01 00:00+00', '2026-01-01 00:00+00', '2026-01-10 00:00+00', 'owner_assigned'),
  ('p1', 1, 2, 4, 1, '2026-01-19 23:59+00', 3, '2026-02-05 00:00+00', '2026-01-20 00:00+00', NULL, NULL),
  ('p1', 6, 1, 3, 1, '2026-01-25 00:00+00', 1, '2026-01-25 00:00+00', '2026-01-25 00:00+00', NULL, NULL),
  ('p1', 9, 1, 2, 4, '2026-01-20 00:00+00', 1, '2026-01-20 00:00+00', '2026-01-20 00:00+00', NULL, NULL),
  ('p2', 4, 1, 2, 1, '2026-01-04 00:00+00', 1, '2026-01-04 00:00+00', '2026-01-04 00:00+00', NULL, NULL),
  ('p2', 6, 1, 3, 2, '2026-01-05 00:00+00', 2, '2026-02-01 00:00+00', '2026-01-05 00:00+00', NULL, NULL),
  ('p3', 4, 1, 2, 1, '2026-01-03 00:00+00', 1, '2026-01-03 00:00+00', '2026-01-03 00:00+00', NULL, NULL),
  ('p3', 7, 1, 3, 1, '2026-01-06 00:00+00', 1, '2026-01-06 00:00+00', '2026-01-06 00:00+00', NULL, NULL),
  ('p4', 1, 1, 3, 3, '2026-01-20 00:00+00', 1, '2026-01-20 00:00+00', '2026-01-20 00:00+00', NULL, NULL),
  ('p5', 6, 1, 3, 1, '2026-01-01 00:00+00', 1, '2026-01-01 00:00+00', '2026-01-01 00:00+00', '2026-02-01 00:00+00', 'path_removed')
) AS x(path, type, ordinal, severity, disposition, effective, version, version_from, from_at, to_at, reason)
JOIN authority_path p ON p.id = n(x.path);

INSERT INTO exposure_version (organization_id, path_id, type, ordinal, version, from_at, to_at, class, severity, factors, explanation, evidence_digest, disposition)
SELECT current_organization(), n(path), type, ordinal, version, from_at::timestamptz, to_at::timestamptz, 0, 1, 0, '', n(''), 1
FROM (VALUES
  ('p1', 1, 2, 1, '2026-01-20 00:00+00', '2026-02-01 00:00+00'),
  ('p1', 1, 2, 2, '2026-02-01 00:00+00', '2026-02-05 00:00+00'),
  ('p2', 6, 1, 1, '2026-01-05 00:00+00', '2026-02-01 00:00+00')
) AS v(path, type, ordinal, version, from_at, to_at);

INSERT INTO cluster_definition (organization_id, cluster, version, from_at, key, grain, severity, all_mask, any_mask)
SELECT current_organization(), cluster, 1, '2026-01-01 00:00+00', key, grain, severity, all_mask, any_mask
FROM (VALUES
  (1, 'orphaned-sensitive', 'path', 4, 33, 0),
  (3, 'unbound-sensitive', 'workload', 4, 96, 0),
  (5, 'orphaned-external', 'path', 3, 1025, 0),
  (12, 'unaccountable-sensitive', 'path', 2, 32, 14)
) AS d(cluster, key, grain, severity, all_mask, any_mask);

INSERT INTO cluster_member (organization_id, cluster, path_id, from_at, to_at, version, level, class, rank, first_seen, exposed_since, sensitivity,
  ownership_status, sensitive_domain, executed, evidence, workload_id, identity_id, resource_id)
SELECT current_organization(), m.cluster, p.id, m.from_at::timestamptz, m.to_at::timestamptz, 1, m.level, p.class, m.rank, m.first_seen::date, m.exposed_since::date,
  p.sensitivity, p.ownership_status, p.data_domain, true, m.evidence, p.workload_id, p.identity_id, p.resource_id
FROM (VALUES
  (1, 'p1', '2026-01-01 00:00+00', '2026-01-10 00:00+00', 1, 28, '2026-01-01', '2026-01-01', 0),
  (1, 'p1', '2026-01-25 00:00+00', NULL, 1, 36, '2026-01-01', '2026-01-19', 3),
  (3, 'p2', '2026-02-01 00:00+00', NULL, 2, 27, '2026-01-02', '2026-01-05', 8),
  (3, 'p3', '2026-02-01 00:00+00', NULL, 2, 27, '2026-01-03', '2026-01-06', 8),
  (12, 'p2', '2026-01-05 00:00+00', '2026-02-01 00:00+00', 1, 27, '2026-01-02', '2026-01-04', 8),
  (12, 'p2', '2026-02-01 00:00+00', NULL, 2, 27, '2026-01-02', '2026-01-04', 8)
) AS m(cluster, path, from_at, to_at, level, rank, first_seen, exposed_since, evidence)
JOIN authority_path p ON p.id = n(m.path);

INSERT INTO cluster_identity (organization_id, cluster, level, class, identity_id, members)
VALUES (current_organization(), 1, 1, 1, n('i1'), 1), (current_organization(), 3, 2, 2, n('i1'), 1), (current_organization(), 12, 2, 2, n('i1'), 1);

INSERT INTO cluster_workload (organization_id, cluster, level, class, workload_id, members)
VALUES (current_organization(), 1, 1, 1, n('w1'), 1), (current_organization(), 3, 2, 2, n('w2'), 2), (current_organization(), 12, 2, 2, n('w2'), 1);

INSERT INTO cluster_evidence (organization_id, cluster, level, class, workload_id, identity_id, resource_id, members, executions)
VALUES (current_organization(), 1, 1, 1, n('w1'), n('i1'), n('r1'), 1, 5),
       (current_organization(), 1, 1, 1, n('w1'), n0(), n('r1'), 1, 2),
       (current_organization(), 3, 2, 2, n('w2'), n0(), n0(), 2, 3),
       (current_organization(), 12, 2, 2, n('w2'), n0(), n0(), 1, 3);

-- Up to the levels from the member's own on, for its class and for all.
INSERT INTO cluster_counter (organization_id, cluster, level, class, from_at, paths, identities, workloads, executions, executed, executed_sensitive, unwatched,
  ownership_valid, ownership_degraded, ownership_ambiguous, ownership_orphaned, ownership_unknown,
  sensitivity_unknown, sensitivity_public, sensitivity_internal, sensitivity_confidential, sensitivity_restricted)
SELECT current_organization(), c.cluster, level, class, '2026-02-01 00:00+00', paths, 1, 1, executions, paths, paths, 0,
  0, 0, 0, orphaned, paths - orphaned, 0, 0, 0, paths - orphaned, orphaned
FROM (VALUES (1, 1, 1, 1, 7, 1), (3, 2, 2, 2, 3, 0), (12, 2, 2, 1, 3, 0)) AS c(cluster, lowest, of_class, paths, executions, orphaned)
CROSS JOIN generate_series(c.lowest, 3) AS level
CROSS JOIN LATERAL (VALUES (c.of_class), (-1)) AS k(class);

INSERT INTO cluster_counter_version (organization_id, cluster, level, class, from_at, to_at, paths, identities, workloads, executions, executed, executed_sensitive, unwatched,
  ownership_valid, ownership_degraded, ownership_ambiguous, ownership_orphaned, ownership_unknown,
  sensitivity_unknown, sensitivity_public, sensitivity_internal, sensitivity_confidential, sensitivity_restricted)
SELECT current_organization(), 1, 1, -1, from_at::timestamptz, to_at::timestamptz, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM (VALUES ('2026-01-01 00:00+00', '2026-01-10 00:00+00'), ('2026-01-10 00:00+00', '2026-02-01 00:00+00')) AS v(from_at, to_at);

INSERT INTO cluster_tally_version (organization_id, cluster, level, class, dimension, value, members, from_at, to_at)
VALUES (current_organization(), 12, 3, -1, 'first_seen', '2026-01-02', 1, '2026-01-05 00:00+00', '2026-02-01 00:00+00'),
       (current_organization(), 12, 3, -1, 'first_seen', '2026-01-04', 1, '2026-01-05 00:00+00', '2026-01-10 00:00+00');

INSERT INTO cluster_tally (organization_id, cluster, level, class, dimension, value, members, from_at)
SELECT current_organization(), t.cluster, level, class, t.dimension, t.value, t.members, '2026-02-01 00:00+00'
FROM (VALUES
  (1, 1, 1, 'sensitive_domain', 'finance', 1), (1, 1, 1, 'first_seen', '2026-01-01', 1), (1, 1, 1, 'exposed_since', '2026-01-19', 1),
  (3, 2, 2, 'sensitive_domain', 'health', 2), (3, 2, 2, 'first_seen', '2026-01-02', 1), (3, 2, 2, 'first_seen', '2026-01-03', 1),
  (3, 2, 2, 'exposed_since', '2026-01-05', 1), (3, 2, 2, 'exposed_since', '2026-01-06', 1),
  (12, 2, 2, 'sensitive_domain', 'health', 1), (12, 2, 2, 'first_seen', '2026-01-02', 1), (12, 2, 2, 'exposed_since', '2026-01-04', 1)
) AS t(cluster, lowest, of_class, dimension, value, members)
CROSS JOIN generate_series(t.lowest, 3) AS level
CROSS JOIN LATERAL (VALUES (t.of_class), (-1)) AS k(class);

INSERT INTO workload_exposure (organization_id, workload_id, code, class, live, listed, execution_mode, ownership_status, egress_category, egress_categories,
  identity_ids, paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, findings, finding_rules, max_severity, data_domains, sensitive_domains,
  clusters, executions, own_executions, last_execution_at, from_at)
SELECT current_organization(), e.id,
  'EXP-' || left(encode(sha256(digest_field(convert_to('workload-exposure/1', 'UTF8')) || digest_field(uuid_send(current_organization())) || digest_field(uuid_send(e.id))), 'hex'), 8),
  e.class, e.status = 'active', e.status = 'active', e.execution_mode, e.ownership_status, e.egress_category, categories,
  ARRAY(SELECT n(i) FROM unnest(identities) WITH ORDINALITY AS t(i, k) ORDER BY k), paths, sensitive, 0, executed, unwatched, findings, rules, severity, domains, domains,
  clusters, executions, coalesce(executions, 0), last::timestamptz, CASE x.name WHEN 'w1' THEN '2026-02-10 00:00+00'::timestamptz ELSE '2026-02-01 00:00+00' END
FROM (VALUES
  ('w1', 5, '{i1,i2}'::text[], 2, 1, 1, 1, 3, 1 + 32 + 256, 4, '{finance}'::text[], 1, 7, '2026-03-02 08:00+00'),
  ('w2', 0, '{i1,i2}', 3, 3, 3, 0, 4, 8 + 32 + 64 + 256, 3, '{finance,health}', 4 + 2048, 3, '2026-02-20 00:00+00'),
  ('w3', 0, '{}', 0, 0, 0, 0, 0, 0, 0, '{}', 0, NULL, NULL),
  ('w4', 0, '{i2}', 0, 0, 0, 0, 1, 128, 2, '{}', 0, 2, '2026-02-21 00:00+00')
) AS x(name, categories, identities, paths, sensitive, executed, unwatched, findings, rules, severity, domains, clusters, executions, last)
JOIN entity e ON e.id = n(x.name);

-- Before p1 came back.
INSERT INTO workload_exposure_version
SELECT (jsonb_populate_record(NULL::workload_exposure_version,
  to_jsonb(x) || '{"paths": 1, "from_at": "2026-02-01 00:00+00", "to_at": "2026-02-10 00:00+00"}')).*
FROM workload_exposure x WHERE x.workload_id = n('w1');

INSERT INTO identity_posture (organization_id, identity_id, class, paths, effective_paths, dormant_paths, executed_paths, autonomous, executions)
SELECT current_organization(), n(name), class, paths, effective, 0, executed, autonomous, 0
FROM (VALUES ('i1', -1, 2, 2, 2, true), ('i1', 1, 1, 1, 1, true), ('i1', 2, 1, 1, 1, false),
             ('i2', -1, 2, 1, 1, false), ('i2', 1, 1, 1, 0, false), ('i2', 2, 1, 0, 1, false)) AS x(name, class, paths, effective, executed, autonomous);

INSERT INTO posture_counter_version (organization_id, class, from_at, to_at, paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, invalid_paths,
  executed_invalid_paths, executions, workloads, autonomous, operator_assisted, human_triggered, unclassified, listed, critical, high, medium, low,
  identities, active_identities, active_autonomous, dormant_identities, paths_added, paths_removed, paths_orphaned, paths_invalidated, autonomous_gained)
VALUES
  (current_organization(), -1, '2026-02-01 00:00+00', '2026-02-10 00:00+00', 4, 3, 0, 3, 1, 1, 0, 5, 3, 1, 1, 0, 1, 3, 0, 2, 1, 0, 2, 2, 0, 0, 0, 1, 1, 1, 0),
  (current_organization(), 1, '2026-02-01 00:00+00', '2026-02-10 00:00+00', 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0);

INSERT INTO posture_counter (organization_id, class, from_at, paths, sensitive_paths, dormant_paths, executed_paths, unwatched_paths, invalid_paths,
  executed_invalid_paths, executions, workloads, autonomous, operator_assisted, human_triggered, unclassified, listed, critical, high, medium, low,
  identities, active_identities, active_autonomous, dormant_identities, paths_added, paths_removed, paths_orphaned, paths_invalidated, autonomous_gained)
VALUES
  (current_organization(), -1, '2026-02-10 00:00+00', 5, 4, 0, 4, 1, 2, 1, 12, 3, 1, 1, 0, 1, 3, 1, 1, 1, 0, 2, 2, 1, 0, 1, 1, 2, 2, 1),
  (current_organization(), 1, '2026-02-10 00:00+00', 2, 1, 0, 1, 1, 2, 1, 7, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 2, 1, 1, 0, 1, 1, 2, 2, 1),
  (current_organization(), 2, '2026-02-01 00:00+00', 3, 3, 0, 3, 0, 0, 0, 5, 2, 0, 1, 0, 1, 2, 0, 1, 1, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0);

INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, outcome, complete, content_digest, records_read, records_rejected,
  paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings)
SELECT current_organization(), n('sync ' || version), n('source'), version, at::timestamptz, at::timestamptz, at::timestamptz, '', outcome, true, n(''), 0, 0, 0, 0, 0, 0, '[]', '[]'
FROM (VALUES (1, '2026-01-01 00:00+00', 'applied'), (2, '2026-02-01 00:00+00', 'applied'), (3, '2026-02-20 00:00+00', 'unchanged'), (4, '2026-02-25 00:00+00', 'late')) AS x(version, at, outcome);

INSERT INTO evaluation (organization_id, at, recorded_at, cause, actor, paths_changed, exposures_opened, exposures_resolved)
VALUES (current_organization(), '2026-02-10 00:00+00', '2026-02-10 00:00+00', 'time', '', 0, 0, 0);

INSERT INTO posture_snapshot (organization_id, at, sync_id, paths, dormant_paths, executions, invalid_paths, executed_invalid_paths, sensitive_paths, workloads,
  autonomous, operator_assisted, human_triggered, unclassified, identities, active_identities, active_autonomous, dormant_identities,
  paths_added, paths_removed, paths_orphaned, paths_invalidated, autonomous_gained, clusters)
SELECT current_organization(), s.at::timestamptz, n(s.sync), v.paths, v.dormant_paths, v.executions, v.invalid_paths, v.executed_invalid_paths, v.sensitive_paths, v.workloads,
  v.autonomous, v.operator_assisted, v.human_triggered, v.unclassified, v.identities, v.active_identities, v.active_autonomous, v.dormant_identities,
  v.paths_added, v.paths_removed, v.paths_orphaned, v.paths_invalidated, v.autonomous_gained, s.clusters::jsonb
FROM (VALUES
  ('2026-02-01 00:00+00', 'sync 2', '{"orphaned-sensitive": {"paths": 1}, "unbound-sensitive": {"paths": 2}, "unaccountable-sensitive": {"paths": 1}}'),
  ('2026-02-10 00:00+00', NULL, '{"orphaned-sensitive": {"paths": 1, "executions": 7}, "unbound-sensitive": {"paths": 2, "executions": 3},
    "unaccountable-sensitive": {"paths": 1, "executions": 3}}'),
  ('2026-02-20 00:00+00', 'sync 3', '{"orphaned-sensitive": {"paths": 1, "executions": 7}, "unbound-sensitive": {"paths": 2, "executions": 3},
    "unaccountable-sensitive": {"paths": 1, "executions": 3}}')
) AS s(at, sync, clusters)
CROSS JOIN LATERAL (
  SELECT c.* FROM posture_counter c WHERE c.class = -1 AND c.from_at <= s.at::timestamptz
  UNION ALL
  SELECT (jsonb_populate_record(NULL::posture_counter, to_jsonb(v))).* FROM posture_counter_version v WHERE v.class = -1 AND s.at::timestamptz >= v.from_at AND s.at::timestamptz < v.to_at
) AS v;

INSERT INTO identity_rotation (organization_id, workload_id, at, from_identity, to_identity, sync_id)
VALUES (current_organization(), n('w1'), '2026-02-01 00:00+00', n('i2'), n('i1'), n('sync 2'));

-- Nothing has been told yet.
INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at)
SELECT organization_id, at, 'sync', false, 10, at FROM sync UNION ALL SELECT organization_id, at, 'evaluation', false, 10, at FROM evaluation;

INSERT INTO access_class (organization_id, class, environment, owner, business_tier)
VALUES (current_organization(), 1, 'production', 'shop', 'gold'), (current_organization(), 2, 'staging', 'shop', 'gold');
INSERT INTO access_class_set (organization_id, class, members, digest) VALUES (current_organization(), 3, '{1, 2}', sha256('1,2'));

-- What the outside sees: two scanners look at one host. Its port 80 runs nginx, which
-- was upgraded on 2 February, when 443 was found closed, and its certificate with it.
-- An ingress leads w1 to it, a person mapped w4 to its port 443, and w2 says that the
-- address is its own, as w3 did; of the image that w4 runs a file was collected.
INSERT INTO source (organization_id, id, name, system, format, created_at, scans)
VALUES (current_organization(), n('mapper'), 'nmap', 'dmz', 'nmap', '2026-01-01 00:00+00', true),
  (current_organization(), n('prober'), 'httpx', 'dmz', 'httpx', '2026-01-01 00:00+00', true);

INSERT INTO asset (organization_id, id, kind, value, parent_id, root_id, address, protocol, port, origin, first_seen_at, status, state, attributes, technology, confidence,
  plugin, class, version, from_at)
SELECT current_organization(), n(name), kind, value, n(parent), n(root), address::inet, protocol, port::integer, CASE kind WHEN 'url' THEN rtrim(value, '/') END,
  '2026-01-05 00:00+00', status, state, attributes::jsonb, technology::jsonb, confidence::smallint, plugin,
  CASE WHEN name = 'page' THEN 1 WHEN name = '22' THEN 2 WHEN name IN ('host', 'domain', '80', '443') THEN 3 ELSE 0 END, version, CASE version WHEN 1 THEN '2026-01-05 00:00+00'::timestamptz ELSE '2026-02-02 00:00+00' END
FROM (VALUES
  ('host', 'host', '10.0.0.1', NULL, 'host', '10.0.0.1', NULL, NULL, 'active', NULL, '{"os": "Linux", "mac": "00:00:5e:00:53:01"}', NULL, NULL, NULL, 1),
  ('domain', 'domain', 'www.example.com', NULL, 'domain', NULL, NULL, NULL, 'active', NULL, '{}', NULL, '70', 'ptr', 1),
  ('80', 'service', '10.0.0.1 tcp/80', 'host', 'host', '10.0.0.1', 'tcp', '80', 'active', 'open', '{"name": "http", "guessed": false, "banner": "nginx 1.25"}',
   '[{"name": "nginx", "version": "1.25"}, {"name": "http", "service": true}]', '90', NULL, 2),
  ('443', 'service', '10.0.0.1 tcp/443', 'host', 'host', '10.0.0.1', 'tcp', '443', 'closed', 'closed', '{"name": "https", "guessed": true}', NULL, '30', NULL, 2),
  ('22', 'service', '10.0.0.1 tcp/22', 'host', 'host', '10.0.0.1', 'tcp', '22', 'active', 'open', '{}', NULL, NULL, NULL, 1),
  ('nginx', 'technology', '10.0.0.1 tcp/80 nginx', '80', 'host', '10.0.0.1', NULL, NULL, 'active', NULL, '{"name": "nginx", "version": "1.25"}', NULL, NULL, NULL, 2),
  ('page', 'url', 'http://www.example.com:80/', 'domain', 'domain', NULL, NULL, NULL, 'stale', NULL, '{}', NULL, NULL, NULL, 2),
  ('certificate', 'certificate', repeat('ab', 32), NULL, NULL, NULL, NULL, NULL, 'closed', NULL, '{"subject": "CN=shop"}', NULL, NULL, 'ssl-cert', 2)
) AS a(name, kind, value, parent, root, address, protocol, port, status, state, attributes, technology, confidence, plugin, version);

INSERT INTO asset_version (organization_id, id, version, from_at, to_at, status, state, attributes, class)
SELECT organization_id, id, 1, first_seen_at, from_at, 'active', CASE kind WHEN 'service' THEN 'open' END, attributes, 0
FROM asset
WHERE organization_id = current_organization() AND version = 2;

INSERT INTO asset_sighting (organization_id, asset_id, source_id, from_at, to_at, stated_at, state, attributes, digest, confidence, plugin)
SELECT current_organization(), n(asset), n(source), from_at::timestamptz, to_at::timestamptz, stated_at::timestamptz,
  CASE WHEN asset IN ('80', '443', '22') THEN 'open' END, attributes::jsonb, n(attributes), confidence::smallint, plugin
FROM (VALUES
  ('host', 'mapper', '2026-01-05 00:00+00', NULL, '2026-01-05 00:00+00', '{"os": "Linux"}', NULL, NULL),
  ('host', 'prober', '2026-01-10 00:00+00', '2026-01-20 00:00+00', '2026-01-10 00:00+00', '{"os": "BSD"}', '40', NULL),
  ('host', 'prober', '2026-02-02 00:00+00', NULL, '2026-01-10 00:00+00', '{"os": "BSD", "mac": "00:00:5e:00:53:01"}', '40', NULL),
  ('domain', 'mapper', '2026-01-05 00:00+00', NULL, '2026-01-05 00:00+00', '{}', '70', 'ptr'),
  ('domain', 'prober', '2026-01-10 00:00+00', NULL, '2026-01-10 00:00+00', '{}', '70', 'ptr'),
  ('80', 'mapper', '2026-01-05 00:00+00', NULL, '2026-01-05 00:00+00', '{"name": "http", "guessed": false}', '90', NULL),
  ('80', 'prober', '2026-01-10 00:00+00', '2026-02-02 00:00+00', '2026-01-10 00:00+00', '{"banner": "nginx 1.24"}', NULL, NULL),
  ('80', 'prober', '2026-02-02 00:00+00', NULL, '2026-02-02 00:00+00', '{"name": "web", "banner": "nginx 1.25"}', NULL, NULL),
  ('443', 'mapper', '2026-01-05 00:00+00', '2026-02-02 00:00+00', '2026-01-05 00:00+00', '{"name": "https", "guessed": true}', '30', NULL),
  ('22', 'mapper', '2026-01-05 00:00+00', NULL, '2026-01-05 00:00+00', '{}', NULL, NULL),
  ('nginx', 'prober', '2026-01-05 00:00+00', '2026-02-02 00:00+00', '2026-01-05 00:00+00', '{"name": "nginx", "version": "1.24"}', NULL, NULL),
  ('nginx', 'prober', '2026-02-02 00:00+00', NULL, '2026-02-02 00:00+00', '{"name": "nginx", "version": "1.25"}', NULL, NULL),
  ('page', 'prober', '2026-01-05 00:00+00', '2026-02-02 00:00+00', '2026-01-05 00:00+00', '{}', NULL, NULL),
  ('certificate', 'mapper', '2026-01-05 00:00+00', '2026-02-02 00:00+00', '2026-01-05 00:00+00', '{"subject": "CN=shop"}', NULL, 'ssl-cert')
) AS g(asset, source, from_at, to_at, stated_at, attributes, confidence, plugin);

INSERT INTO asset_tie (organization_id, kind, from_id, to_id, source_id, from_at, to_at)
SELECT current_organization(), kind, n(beginning), n(target), n('mapper'), from_at::timestamptz, to_at::timestamptz
FROM (VALUES
  ('resolves', 'domain', 'host', '2026-01-05 00:00+00', '2026-01-20 00:00+00'),
  ('resolves', 'domain', 'host', '2026-02-02 00:00+00', NULL),
  ('presents', '443', 'certificate', '2026-01-05 00:00+00', '2026-02-02 00:00+00')
) AS t(kind, beginning, target, from_at, to_at);

INSERT INTO endpoint (organization_id, workload_id, kind, value, port, source_id, from_at, to_at)
SELECT current_organization(), n(workload), kind, value, port, n('source'), from_at::timestamptz, to_at::timestamptz
FROM (VALUES
  ('w1', 'ingress', '*.example.com', 0, '2026-01-01 00:00+00', NULL),
  ('w2', 'address', '10.0.0.1', 0, '2026-01-01 00:00+00', NULL),
  ('w3', 'address', '10.0.0.1', 0, '2026-01-01 00:00+00', NULL),
  ('w4', 'mapping', '10.0.0.1', 443, '2026-01-01 00:00+00', '2026-01-02 00:00+00'),
  ('w4', 'mapping', '10.0.0.1', 443, '2026-01-03 00:00+00', NULL),
  ('w4', 'hostname', 'www.example.com', 8080, '2026-01-01 00:00+00', NULL)
) AS e(workload, kind, value, port, from_at, to_at);

INSERT INTO asset (organization_id, id, kind, value, first_seen_at, status, attributes, class, from_at)
VALUES (current_organization(), n('file'), 'file', encode(sha256('sbom'), 'hex'), '2026-02-27 00:00+00', 'active', '{"artifact": "shop:2"}', 2, '2026-02-27 00:00+00');

INSERT INTO file (organization_id, id, sha256, size, media_type, name, artifact, actor, at, recorded_at)
VALUES (current_organization(), n('file'), sha256('sbom'), 4, 'text/plain', 'sbom.txt', 'shop:2', 'ann', '2026-02-27 00:00+00', '2026-02-27 00:00+00');

UPDATE entity SET artifact_identifier = 'proxy:1, shop:2' WHERE id = n('w4');

INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at)
VALUES (current_organization(), '2026-02-27 00:00+00', 'decision', false, 1, '2026-02-27 00:00+00');

INSERT INTO asset_link (organization_id, asset_id, workload_id, basis, detail, from_at, to_at)
SELECT current_organization(), n(asset), n(workload), basis, detail, from_at::timestamptz, to_at::timestamptz
FROM (VALUES
  ('w1', 'ingress', '*.example.com', '{domain, page}', '2026-01-05 00:00+00', NULL),
  ('w1', 'ingress', '*.example.com', '{host, 80, 443}', '2026-01-05 00:00+00', '2026-01-20 00:00+00'), -- while the name resolves to it
  ('w1', 'ingress', '*.example.com', '{host, 80, 443}', '2026-02-02 00:00+00', NULL),
  ('w2', 'address', '10.0.0.1', '{host, 80, 443, 22}', '2026-01-05 00:00+00', NULL),
  ('w3', 'address', '10.0.0.1', '{host, 80, 443, 22}', '2026-01-05 00:00+00', '2026-02-01 00:00+00'),
  ('w4', 'mapping', '10.0.0.1', '{host, 443}', '2026-01-05 00:00+00', NULL),
  ('w4', 'hostname', 'www.example.com', '{domain}', '2026-01-05 00:00+00', NULL),
  ('w4', 'hostname', 'www.example.com', '{host}', '2026-02-02 00:00+00', NULL),
  ('w4', 'image', 'shop:2', '{file}', '2026-02-27 00:00+00', NULL)
) AS l(workload, basis, detail, assets, from_at, to_at)
CROSS JOIN LATERAL unnest(assets::text[]) AS asset;
