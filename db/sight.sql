What a caller may see whose token has attribute filters. Such a statement reads each
table that it names through what stands here: all of it, if the table is shared; the
rows that a condition lets pass, of which one is t; or rows that are counted anew.
@visible are the access classes that the caller's attributes come to. /* at */ is as
in past.sql; /* seen */ entity e are the rows of the table that the caller may see.

-- shared: organization, source, sync, evaluation, setting, rule_version, cluster_definition, organization_window, signing_key
-- What is about the organization as a whole. What a sync or a snapshot counted is
-- withheld where it is shown.

-- shared: entity_assertion, coverage, path_succession, scope_baseline, privilege_justification, asset_tie, asset_sighting
-- What is only ever asked of something that is seen already, or leads to something
-- that is read through its own condition.

-- shared: ledger_head, ledger_request, change_head

-- rows: authority_path
-- A path that was removed keeps the class that it had: its workload may have another
-- one since.
t.class = ANY (@visible::integer[])
AND (t.status = 'active'
     OR EXISTS (SELECT FROM /* at */ entity w WHERE w.organization_id = @organization AND w.id = t.workload_id AND w.class = ANY (@visible::integer[])))

-- rows: exposure
-- One that has resolved keeps its class, too.
t.class = ANY (@visible::integer[])
AND (t.to_at IS NULL OR EXISTS (SELECT FROM /* seen */ authority_path p WHERE p.organization_id = @organization AND p.id = t.path_id))

-- rows: entity
-- Workloads have a class; whom they run as and what they reach is seen through them:
-- identities and resources through a path, identities also through a binding, roles
-- through an identity, owners through what they own.
CASE t.kind
  WHEN 'workload' THEN t.class = ANY (@visible::integer[])
  WHEN 'identity' THEN
    EXISTS (SELECT FROM /* seen */ authority_path p WHERE p.organization_id = @organization AND p.identity_id = t.id)
    OR EXISTS (SELECT FROM /* at */ edge b JOIN /* at */ entity w ON w.organization_id = @organization AND w.id = b.from_id AND w.class = ANY (@visible::integer[])
               WHERE b.organization_id = @organization AND b.kind IN ('runs_as', 'authenticates') AND b.to_id = t.id)
  WHEN 'resource' THEN EXISTS (SELECT FROM /* seen */ authority_path p WHERE p.organization_id = @organization AND p.resource_id = t.id)
  WHEN 'role' THEN
    EXISTS (SELECT FROM /* at */ edge h
            WHERE h.organization_id = @organization AND h.kind = 'has_role' AND h.to_id = t.id
              AND (EXISTS (SELECT FROM /* seen */ authority_path p WHERE p.organization_id = @organization AND p.identity_id = h.from_id)
                   OR EXISTS (SELECT FROM /* at */ edge b JOIN /* at */ entity w ON w.organization_id = @organization AND w.id = b.from_id AND w.class = ANY (@visible::integer[])
                              WHERE b.organization_id = @organization AND b.kind IN ('runs_as', 'authenticates') AND b.to_id = h.from_id)))
  WHEN 'owner' THEN
    EXISTS (SELECT FROM /* at */ edge o JOIN /* at */ entity w ON w.organization_id = @organization AND w.id = o.from_id AND w.class = ANY (@visible::integer[])
            WHERE o.organization_id = @organization AND o.kind IN ('owned_by', 'created_by') AND o.to_id = t.id)
END

-- rows: edge
EXISTS (SELECT FROM /* seen */ entity f WHERE f.organization_id = @organization AND f.id = t.from_id)
AND EXISTS (SELECT FROM /* seen */ entity g WHERE g.organization_id = @organization AND g.id = t.to_id)

-- rows: identity_rotation
-- Both identities are shown with it.
EXISTS (SELECT FROM /* seen */ entity f WHERE f.organization_id = @organization AND f.id = t.from_identity)
AND EXISTS (SELECT FROM /* seen */ entity g WHERE g.organization_id = @organization AND g.id = t.to_identity)

-- rows: evidence
-- What a workload did is its own; what only an identity is known to have done, is
-- the identity's.
t.workload_id = '00000000-0000-0000-0000-000000000000'
OR EXISTS (SELECT FROM /* at */ entity w WHERE w.organization_id = @organization AND w.id = t.workload_id AND w.class = ANY (@visible::integer[]))

-- rows: egress
EXISTS (SELECT FROM /* at */ entity w WHERE w.organization_id = @organization AND w.id = t.workload_id AND w.class = ANY (@visible::integer[]))

-- rows: asset_link
EXISTS (SELECT FROM /* at */ entity w WHERE w.organization_id = @organization AND w.id = t.workload_id AND w.class = ANY (@visible::integer[]))

-- rows: file
EXISTS (SELECT FROM /* at */ asset a WHERE a.organization_id = @organization AND a.id = t.id AND a.class = ANY (@visible::integer[]))

-- rows: condition
-- That of an identity has no class. It is only ever asked with an exposure or an
-- identity that is seen.
t.class = ANY (@visible::integer[]) OR t.class = 0

-- rows: condition_version
t.class = ANY (@visible::integer[]) OR t.class = 0

-- rows: asset, workload_exposure, cluster_member, cluster_workload, cluster_identity, posture_counter
t.class = ANY (@visible::integer[])

-- rows: authority_path_version, exposure_version, entity_version, workload_exposure_version, asset_version, posture_counter_version, cluster_counter_version
t.class = ANY (@visible::integer[])

-- rows: exposure_changes, exposure_change_day, ledger_entry
-- Each of the class that its subject had when it happened.
t.class = ANY (@visible::integer[])

-- counted: cluster_counter
-- What adds up over classes is added up; identities are in several.
SELECT c.organization_id, c.cluster, c.level, -1 AS class, sum(c.paths)::bigint AS paths,
       (SELECT count(DISTINCT i.identity_id) FROM cluster_identity i
        WHERE i.organization_id = @organization AND i.cluster = c.cluster AND i.level <= c.level AND i.class = ANY (@visible::integer[])) AS identities,
       sum(c.workloads)::bigint AS workloads, sum(c.executions)::bigint AS executions, sum(c.executed)::bigint AS executed,
       sum(c.executed_sensitive)::bigint AS executed_sensitive, sum(c.unwatched)::bigint AS unwatched,
       sum(c.ownership_valid)::bigint AS ownership_valid, sum(c.ownership_degraded)::bigint AS ownership_degraded,
       sum(c.ownership_ambiguous)::bigint AS ownership_ambiguous, sum(c.ownership_orphaned)::bigint AS ownership_orphaned,
       sum(c.ownership_unknown)::bigint AS ownership_unknown,
       sum(c.sensitivity_unknown)::bigint AS sensitivity_unknown, sum(c.sensitivity_public)::bigint AS sensitivity_public,
       sum(c.sensitivity_internal)::bigint AS sensitivity_internal, sum(c.sensitivity_confidential)::bigint AS sensitivity_confidential,
       sum(c.sensitivity_restricted)::bigint AS sensitivity_restricted
FROM cluster_counter c
WHERE c.organization_id = @organization AND c.class = ANY (@visible::integer[])
GROUP BY c.organization_id, c.cluster, c.level

-- counted: cluster_tally
SELECT y.organization_id, y.cluster, y.level, -1 AS class, y.dimension, y.value, sum(y.members)::bigint AS members
FROM /* at */ cluster_tally y
WHERE y.organization_id = @organization AND y.class = ANY (@visible::integer[])
GROUP BY y.organization_id, y.cluster, y.level, y.dimension, y.value

-- counted: identity_posture
SELECT i.organization_id, i.identity_id, -1 AS class, sum(i.paths)::bigint AS paths, sum(i.effective_paths)::bigint AS effective_paths,
       sum(i.dormant_paths)::bigint AS dormant_paths, sum(i.executed_paths)::bigint AS executed_paths, bool_or(i.autonomous) AS autonomous,
       sum(i.executions)::bigint AS executions
FROM identity_posture i
WHERE i.organization_id = @organization AND i.class = ANY (@visible::integer[])
GROUP BY i.organization_id, i.identity_id

-- counted: posture_snapshot
-- When there were some. What they hold is of everything, and is counted anew.
SELECT s.organization_id, s.at, s.sync_id, 0::bigint AS paths, 0::bigint AS dormant_paths, 0::bigint AS executions, 0::bigint AS invalid_paths,
       0::bigint AS executed_invalid_paths, NULL::bigint AS sensitive_paths, NULL::bigint AS workloads, NULL::bigint AS autonomous,
       NULL::bigint AS operator_assisted, NULL::bigint AS human_triggered, NULL::bigint AS unclassified, NULL::bigint AS identities,
       NULL::bigint AS active_identities, NULL::bigint AS active_autonomous, NULL::bigint AS dormant_identities, NULL::bigint AS paths_added,
       NULL::bigint AS paths_removed, NULL::bigint AS paths_orphaned, NULL::bigint AS paths_invalidated, NULL::bigint AS autonomous_gained,
       '{}'::jsonb AS clusters
FROM /* at */ posture_snapshot s
WHERE s.organization_id = @organization
