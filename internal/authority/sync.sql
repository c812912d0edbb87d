The statements of a sync, in the order in which they run. Set-based and
diff-first: what does not differ is not written. @organization is the tenant,
@source the feed that speaks, @at the sync's instant on the organization clock.

-- columns: assertion
entity_id, source_id, basis, digest, kind, system, external_id, name, status, environment, owner_team, business_tier,
  execution_mode, artifact_identifier, source_type, data_domain, data_domain_stated, sensitivity, sensitivity_stated,
  owner_type, title, last_active_at, created_in_source_at, labels, from_at

-- columns: former_assertion
a.entity_id, a.source_id, a.basis, a.digest, a.kind, a.system, a.external_id, a.name, a.status, a.environment, a.owner_team, a.business_tier,
  a.execution_mode, a.artifact_identifier, a.source_type, a.data_domain, a.data_domain_stated, a.sensitivity, a.sensitivity_stated,
  a.owner_type, a.title, a.last_active_at, a.created_in_source_at, a.labels, a.from_at

-- name: create_stage
-- A column few is never written. The planner takes a table without statistics for
-- as many rows as fit on its pages, of such wide ones one each, and so looks up by
-- an index what belongs to the rows of a table with few.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_entity (
  entity_id uuid NOT NULL, basis smallint NOT NULL, digest uuid NOT NULL,
  kind text COLLATE "C" NOT NULL, system text COLLATE "C" NOT NULL, external_id text COLLATE "C" NOT NULL,
  name text, status text COLLATE "C", environment text, owner_team text, business_tier text,
  execution_mode text COLLATE "C", artifact_identifier text, source_type text,
  data_domain text COLLATE "C", data_domain_stated text, sensitivity smallint, sensitivity_stated text,
  owner_type text COLLATE "C", title text, last_active_at timestamptz, created_in_source_at timestamptz, labels jsonb,
  file integer NOT NULL, line integer NOT NULL, seq bigint NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS staged_edge (
  kind text COLLATE "C" NOT NULL, from_id uuid NOT NULL, scope text COLLATE "C" NOT NULL, to_id uuid NOT NULL,
  actions text[] NOT NULL, effective boolean NOT NULL, protocol text NOT NULL, target_system text NOT NULL,
  file integer NOT NULL, line integer NOT NULL, seq bigint NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS staged_egress (
  workload_id uuid NOT NULL, host text COLLATE "C" NOT NULL, category text COLLATE "C" NOT NULL,
  file integer NOT NULL, line integer NOT NULL, seq bigint NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS staged_endpoint (
  workload_id uuid NOT NULL, kind text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL, port integer NOT NULL,
  file integer NOT NULL, line integer NOT NULL, seq bigint NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS staged_evidence (
  workload_id uuid NOT NULL, identity_id uuid NOT NULL, resource_id uuid NOT NULL, action text COLLATE "C" NOT NULL,
  day date NOT NULL, related boolean NOT NULL, basis text COLLATE "C" NOT NULL, count bigint NOT NULL, last_at timestamptz,
  file integer NOT NULL, line integer NOT NULL, seq bigint NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS staged_coverage (
  kind text COLLATE "C" NOT NULL, entity_id uuid NOT NULL, system text COLLATE "C" NOT NULL, complete boolean NOT NULL,
  from_at timestamptz, to_at timestamptz, max_age interval,
  file integer NOT NULL, line integer NOT NULL, seq bigint NOT NULL,
  few char(2000)
);
SELECT empty_work_tables('{staged_entity, staged_edge, staged_egress, staged_endpoint, staged_evidence, staged_coverage}');

-- name: create_work
CREATE TEMPORARY TABLE IF NOT EXISTS entity_diff (entity_id uuid NOT NULL, basis smallint NOT NULL, op text NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS edge_diff (kind text COLLATE "C" NOT NULL, from_id uuid NOT NULL, scope text COLLATE "C" NOT NULL, to_id uuid NOT NULL, op text NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS egress_diff (workload_id uuid NOT NULL, host text COLLATE "C" NOT NULL, op text NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS endpoint_diff (
  workload_id uuid NOT NULL, kind text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL, port integer NOT NULL, op text NOT NULL,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS evidence_diff (workload_id uuid NOT NULL, identity_id uuid NOT NULL, resource_id uuid NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS coverage_diff (kind text COLLATE "C" NOT NULL, entity_id uuid NOT NULL, system text COLLATE "C" NOT NULL, op text NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS entity_next (
  entity_id uuid NOT NULL, kind text COLLATE "C" NOT NULL, system text COLLATE "C" NOT NULL, external_id text COLLATE "C" NOT NULL,
  name text, status text COLLATE "C", environment text, owner_team text, business_tier text,
  execution_mode text COLLATE "C", artifact_identifier text, source_type text,
  data_domain text COLLATE "C", data_domain_stated text, sensitivity smallint, sensitivity_stated text,
  owner_type text COLLATE "C", title text, last_active_at timestamptz, created_in_source_at timestamptz, labels jsonb,
  class integer NOT NULL DEFAULT 0,
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS entity_change (entity_id uuid NOT NULL, kind text COLLATE "C" NOT NULL, op text NOT NULL, alive_changed boolean NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS identity_before (workload_id uuid NOT NULL, identity_id uuid NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS touched (reason text NOT NULL, id uuid NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS workload_context (workload_id uuid NOT NULL, ownership_status text COLLATE "C" NOT NULL, egress_category text COLLATE "C" NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS binding (workload_id uuid NOT NULL, identity_id uuid NOT NULL, depth smallint NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS reach (identity_id uuid NOT NULL, resource_id uuid NOT NULL, role_ids uuid[] NOT NULL, actions text[] NOT NULL, effective boolean NOT NULL, tail bytea NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS desired (
  path_id uuid NOT NULL, lineage_id uuid NOT NULL, workload_id uuid NOT NULL, identity_id uuid, resource_id uuid NOT NULL,
  effective boolean NOT NULL, role_ids uuid[] NOT NULL, actions text[] NOT NULL, auth_chain_depth smallint NOT NULL, composition_hash bytea NOT NULL,
  class integer NOT NULL, data_domain text COLLATE "C", sensitivity smallint NOT NULL,
  ownership_status text COLLATE "C" NOT NULL, egress_category text COLLATE "C" NOT NULL, execution_30d bigint, execution_basis text COLLATE "C",
  few char(2000)
);
CREATE TEMPORARY TABLE IF NOT EXISTS path_diff (path_id uuid NOT NULL, op text NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS rotated (workload_id uuid NOT NULL, from_identity uuid NOT NULL, to_identity uuid NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS succeeded (predecessor_id uuid NOT NULL, successor_id uuid NOT NULL, few char(2000));
CREATE TEMPORARY TABLE IF NOT EXISTS path_mask (
  path_id uuid PRIMARY KEY, open_mask integer NOT NULL, acknowledged_mask integer NOT NULL, accepted_mask integer NOT NULL,
  active_exposure_count smallint NOT NULL, max_exposure_severity smallint,
  few char(2000)
);
SELECT empty_work_tables('{entity_diff, edge_diff, egress_diff, endpoint_diff, evidence_diff, coverage_diff, entity_next, entity_change, identity_before,
  touched, workload_context, binding, reach, desired, path_diff, rotated, succeeded, path_mask}');

-- name: clear_stage
-- What another transaction of the session left in the stage.
WITH a AS (DELETE FROM staged_entity), b AS (DELETE FROM staged_edge), c AS (DELETE FROM staged_egress), d AS (DELETE FROM staged_evidence),
     e AS (DELETE FROM staged_coverage), f AS (DELETE FROM staged_endpoint)
SELECT;

-- name: clear_work
-- What another transaction of the session left in the other work tables.
WITH a AS (DELETE FROM entity_diff), b AS (DELETE FROM edge_diff), c AS (DELETE FROM egress_diff), d AS (DELETE FROM evidence_diff),
     e AS (DELETE FROM coverage_diff), f AS (DELETE FROM entity_next), g AS (DELETE FROM entity_change), h AS (DELETE FROM identity_before),
     i AS (DELETE FROM touched), j AS (DELETE FROM workload_context), k AS (DELETE FROM binding), l AS (DELETE FROM reach),
     m AS (DELETE FROM desired), n AS (DELETE FROM path_diff), o AS (DELETE FROM rotated), p AS (DELETE FROM succeeded), q AS (DELETE FROM path_mask),
     r AS (DELETE FROM endpoint_diff)
SELECT;

-- name: analyze_stage
-- Of what is joined on: the statistics of the other columns took half a second of
-- a hundred thousand paths.
ANALYZE staged_entity (entity_id, basis), staged_edge (kind, from_id, scope, to_id), staged_egress (workload_id, host), staged_endpoint,
  staged_evidence (workload_id, identity_id, resource_id, day), staged_coverage;

-- name: plan_anew
-- For what reads all that an organization or one of its sources says: whether that
-- is most of the table shows only when the organization is known.
SET LOCAL plan_cache_mode = force_custom_plan;

-- name: plan_once
SET LOCAL plan_cache_mode = force_generic_plan;

-- name: prefer_hash_joins
-- Nor is remembered what a list of a row's own columns gives, which is never asked again.
SET LOCAL enable_nestloop = off;
SET LOCAL enable_memoize = off;

-- name: work_memory
SET LOCAL work_mem = '256MB';
SET LOCAL plan_cache_mode = force_custom_plan;
SELECT set_config('app.work', '', false);

-- name: begin_work
-- Plans are made once and stay, until there turns out to be more to do than few
-- rows. Ready says that the work tables are here, that the planner knows no
-- statistics of them, and that what was deleted from them takes little room: it
-- cannot be vacuumed away, and goes when a table is cut off.
SELECT s.settings > 0 AND coalesce(current_setting('app.work', true), '') = 'few' AND to_regclass('pg_temp.staged_coverage') IS NOT NULL
   AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind = 'r' AND pg_relation_size(c.oid) > 131072) AS ready
FROM (
  SELECT count(set_config(s.name, s.value, true)) AS settings
  FROM (VALUES ('work_mem', '256MB'), ('plan_cache_mode', 'force_generic_plan')) AS s(name, value)
) s;

-- name: analyze_work
-- Of what was filled while there were few rows of everything. What has just become
-- more is analyzed by itself, column by column.
DO $$
DECLARE
  work text;
BEGIN
  FOR work IN SELECT c.relname FROM pg_class c
              WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind = 'r' AND pg_relation_size(c.oid) BETWEEN 1 AND 131072 LOOP
    EXECUTE 'ANALYZE pg_temp.' || quote_ident(work);
  END LOOP;
END $$;

-- name: begin_decision
-- As lock_judgement, for a person's decision. Idle says that no sync is under way;
-- none begins then before this transaction ends.
--
-- What follows from a decision is a few rows that are looked up one by one, by
-- plans that are made once. Ready says that the work tables are here, and that
-- nothing but small changes has worked in them.
SELECT s.ready, EXISTS (SELECT FROM organization o WHERE o.id = @organization) AS known,
       pg_try_advisory_xact_lock_shared(hashtextextended('sync/' || @organization::uuid::text, 0)) AS idle,
       pg_advisory_xact_lock(hashtextextended('judge/' || @organization::uuid::text, 0))::text AS locked
FROM (
  SELECT coalesce(current_setting('app.work', true), '') = 'few' AND count(set_config(s.name, s.value, true)) > 0 AS ready
  FROM (VALUES ('plan_cache_mode', 'force_generic_plan'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off')) AS s(name, value)
) s;

-- name: forget_work
-- Statistics of a larger change would have the planner expect as much of a small
-- one. What is cut off has none, and no deleted rows. Nor has it what a decision
-- takes over from the change before: until the tables are filled again, the session
-- is not ready.
SELECT set_config('app.work', '', false);
DO $$
DECLARE
  work text;
BEGIN
  FOR work IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind = 'r'
                AND (c.reltuples > 100 OR pg_relation_size(c.oid) > 131072) LOOP
    EXECUTE 'TRUNCATE pg_temp.' || quote_ident(work);
  END LOOP;
END $$;

-- name: keep_work
-- The next small change takes the work tables as they are.
SELECT set_config('app.work', 'few', false);

-- name: release_work
-- What a large change worked in would else stay on disk as long as the session.
SELECT empty_work_tables(array_agg(c.relname::text)) FROM pg_class c WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind = 'r';

-- name: organization_exists
SELECT EXISTS (SELECT FROM organization WHERE id = @organization);

-- name: lock_organization
-- One sync of an organization merges at a time, so that two sources cannot
-- each miss what the other changed.
SELECT pg_advisory_xact_lock(hashtextextended('sync/' || @organization::uuid::text, 0));

-- name: lock_judgement
-- Held from before anything is judged to the commit, and by whoever decides on
-- what was judged: nobody then sees half of the other's work. What a sync merges
-- before it gets here keeps nobody waiting.
SELECT pg_advisory_xact_lock(hashtextextended('judge/' || @organization::uuid::text, 0));

-- name: clock
SELECT greatest(max(s.at), (SELECT max(e.at) FROM evaluation e WHERE e.organization_id = @organization),
                (SELECT h.at FROM ledger_head h WHERE h.organization_id = @organization),
                (SELECT max(f.at) FROM file f WHERE f.organization_id = @organization)) AS at,
       coalesce(max(s.version), 0) AS version
FROM sync s
WHERE s.organization_id = @organization;

-- name: decision_clock
SELECT greatest(j.sync_at, j.evaluation_at,
                (SELECT h.at FROM ledger_head h WHERE h.organization_id = @organization),
                (SELECT max(f.at) FROM file f WHERE f.organization_id = @organization)) AS at,
       (SELECT w.window_at FROM organization_window w WHERE w.organization_id = @organization) AS window_at,
       j.sync_at, j.evaluation_at
FROM (
  SELECT (SELECT max(s.at) FROM sync s WHERE s.organization_id = @organization) AS sync_at,
         (SELECT max(e.at) FROM evaluation e WHERE e.organization_id = @organization) AS evaluation_at
) j;

-- name: source_state
SELECT last_observed_at, last_complete_at, last_applied_at, content_digest, scans,
       EXISTS (SELECT FROM coverage c WHERE c.organization_id = @organization AND c.source_id = s.id
                 AND greatest(c.recorded_at, s.last_complete_at) + c.max_age < w.window_at) AS coverage_expired
FROM source s
LEFT JOIN organization_window w ON w.organization_id = @organization
WHERE s.organization_id = @organization AND s.id = @source;

-- name: add_source
INSERT INTO source (organization_id, id, name, system, format, scans, created_at)
VALUES (@organization, @source, @name, @system, @format, @scans, @at)
ON CONFLICT DO NOTHING;

-- name: surface_disturbed
-- Whether another source's scan, or an evaluation, can have taken away what a source
-- showed in its last delivery.
SELECT EXISTS (SELECT FROM sync y WHERE y.organization_id = @organization AND y.at > @since AND y.outcome = 'applied')
    OR EXISTS (SELECT FROM evaluation e WHERE e.organization_id = @organization AND e.at > @since AND e.assets_stale > 0);

-- name: update_source
UPDATE source
SET last_sync_id = @sync, last_observed_at = @observed_at, last_applied_at = @at, format = @format,
    last_complete_at = CASE WHEN @complete THEN @at ELSE last_complete_at END,
    content_digest = @content_digest
WHERE organization_id = @organization AND id = @source;

-- name: add_sync
-- The source has its format already, but for a late one, which does not speak for it.
INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, outcome, complete, content_digest,
                  format, records_read, records_rejected, paths_added, paths_kept, paths_changed, paths_removed,
                  exposures_opened, exposures_resolved, assets_added, assets_changed, assets_gone, rejections, warnings)
VALUES (@organization, @sync, @source, @version, @at, @observed_at, @recorded_at, @actor, @outcome, @complete, @content_digest,
        (SELECT s.format FROM source s WHERE s.organization_id = @organization AND s.id = @source AND @outcome::text <> 'late'),
        @records_read, @records_rejected, @paths_added, @paths_kept, @paths_changed, @paths_removed,
        @exposures_opened, @exposures_resolved, @assets_added, @assets_changed, @assets_gone, @rejections, @warnings);

-- name: window_at
SELECT window_at FROM organization_window WHERE organization_id = @organization;

-- name: add_window
INSERT INTO organization_window (organization_id, window_at) VALUES (@organization, @at);

-- name: reject_duplicates
-- A record said twice in one delivery: the first stands, the others are
-- rejected, also where they agree, because a source that repeats itself has
-- lost track of what it says.
WITH entity_twice AS (
  DELETE FROM staged_entity s USING (
    SELECT entity_id, basis, min(seq) AS seq FROM staged_entity GROUP BY entity_id, basis HAVING count(*) > 1
  ) first
  WHERE s.entity_id = first.entity_id AND s.basis = first.basis AND s.seq > first.seq
  RETURNING s.kind AS what, s.file, s.line, s.seq, s.entity_id
), edge_twice AS (
  DELETE FROM staged_edge s USING (
    SELECT kind, from_id, scope, to_id, min(seq) AS seq FROM staged_edge GROUP BY kind, from_id, scope, to_id HAVING count(*) > 1
  ) first
  WHERE s.kind = first.kind AND s.from_id = first.from_id AND s.scope = first.scope AND s.to_id = first.to_id AND s.seq > first.seq
  RETURNING s.kind, s.file, s.line, s.seq, s.from_id
), egress_twice AS (
  DELETE FROM staged_egress s USING (
    SELECT workload_id, host, min(seq) AS seq FROM staged_egress GROUP BY workload_id, host HAVING count(*) > 1
  ) first
  WHERE s.workload_id = first.workload_id AND s.host = first.host AND s.seq > first.seq
  RETURNING 'egress'::text, s.file, s.line, s.seq, s.workload_id
), endpoint_twice AS (
  DELETE FROM staged_endpoint s USING (
    SELECT workload_id, kind, value, port, min(seq) AS seq FROM staged_endpoint GROUP BY workload_id, kind, value, port HAVING count(*) > 1
  ) first
  WHERE (s.workload_id, s.kind, s.value, s.port) = (first.workload_id, first.kind, first.value, first.port) AND s.seq > first.seq
  RETURNING 'endpoint'::text, s.file, s.line, s.seq, s.workload_id
), evidence_twice AS (
  DELETE FROM staged_evidence s USING (
    SELECT workload_id, identity_id, resource_id, action, day, related, min(seq) AS seq FROM staged_evidence
    GROUP BY workload_id, identity_id, resource_id, action, day, related HAVING count(*) > 1
  ) first
  WHERE (s.workload_id, s.identity_id, s.resource_id, s.action, s.day, s.related)
      = (first.workload_id, first.identity_id, first.resource_id, first.action, first.day, first.related) AND s.seq > first.seq
  RETURNING 'evidence'::text, s.file, s.line, s.seq, s.workload_id
), coverage_twice AS (
  DELETE FROM staged_coverage s USING (
    SELECT kind, entity_id, min(seq) AS seq FROM staged_coverage GROUP BY kind, entity_id HAVING count(*) > 1
  ) first
  WHERE s.kind = first.kind AND s.entity_id = first.entity_id AND s.seq > first.seq
  RETURNING 'coverage'::text, s.file, s.line, s.seq, s.entity_id
)
SELECT what, file, line, entity_id, false AS from_known FROM (
  TABLE entity_twice UNION ALL TABLE edge_twice UNION ALL TABLE egress_twice UNION ALL TABLE endpoint_twice
  UNION ALL TABLE evidence_twice UNION ALL TABLE coverage_twice
) t ORDER BY seq;

-- name: reject_dangling
-- A reference holds when this delivery names the entity or another voice keeps
-- it alive. In a complete delivery the source's own former word does not count:
-- it is about to be replaced.
WITH referenced AS (
  SELECT from_id AS id FROM staged_edge
  UNION
  SELECT to_id FROM staged_edge
  UNION
  SELECT workload_id FROM staged_egress
  UNION
  SELECT workload_id FROM staged_endpoint
  UNION
  SELECT k.id FROM staged_evidence CROSS JOIN LATERAL (VALUES (workload_id), (identity_id), (resource_id)) AS k(id)
  UNION
  SELECT entity_id FROM staged_coverage
), known AS (
  SELECT entity_id AS id FROM staged_entity
  UNION
  SELECT r.id FROM referenced r
  JOIN entity_assertion a ON a.organization_id = @organization AND a.entity_id = r.id
  WHERE a.source_id <> @source OR NOT @complete::boolean
), edge_dangling AS (
  DELETE FROM staged_edge s
  WHERE NOT EXISTS (SELECT FROM known k WHERE k.id = s.from_id) OR NOT EXISTS (SELECT FROM known k WHERE k.id = s.to_id)
  RETURNING s.kind AS what, s.file, s.line, s.seq, s.from_id AS entity_id,
            EXISTS (SELECT FROM known k WHERE k.id = s.from_id) AS from_known
), egress_dangling AS (
  DELETE FROM staged_egress s WHERE NOT EXISTS (SELECT FROM known k WHERE k.id = s.workload_id)
  RETURNING 'egress'::text, s.file, s.line, s.seq, s.workload_id, false
), endpoint_dangling AS (
  DELETE FROM staged_endpoint s WHERE NOT EXISTS (SELECT FROM known k WHERE k.id = s.workload_id)
  RETURNING 'endpoint'::text, s.file, s.line, s.seq, s.workload_id, false
), evidence_dangling AS (
  DELETE FROM staged_evidence s
  WHERE (s.workload_id <> @nil AND NOT EXISTS (SELECT FROM known k WHERE k.id = s.workload_id))
     OR (s.identity_id <> @nil AND NOT EXISTS (SELECT FROM known k WHERE k.id = s.identity_id))
     OR (s.resource_id <> @nil AND NOT EXISTS (SELECT FROM known k WHERE k.id = s.resource_id))
  RETURNING 'evidence'::text, s.file, s.line, s.seq, s.workload_id, false
), coverage_dangling AS (
  DELETE FROM staged_coverage s WHERE s.entity_id <> @nil AND NOT EXISTS (SELECT FROM known k WHERE k.id = s.entity_id)
  RETURNING 'coverage'::text, s.file, s.line, s.seq, s.entity_id, false
)
SELECT what, file, line, entity_id, from_known FROM (
  TABLE edge_dangling UNION ALL TABLE egress_dangling UNION ALL TABLE endpoint_dangling
  UNION ALL TABLE evidence_dangling UNION ALL TABLE coverage_dangling
) t ORDER BY seq;

-- name: carry_coverage
-- A delivery with a rejected record removes nothing, so the source's former
-- claims still stand; here they join the delivery's own, to be lowered with them.
INSERT INTO staged_coverage (kind, entity_id, system, complete, from_at, to_at, max_age, file, line, seq)
SELECT c.kind, c.entity_id, c.system, c.complete, c.from_at, c.to_at, c.max_age, 0, 0, 0
FROM coverage c
WHERE c.organization_id = @organization AND c.source_id = @source
  AND NOT EXISTS (SELECT FROM staged_coverage s WHERE s.kind = c.kind AND s.entity_id = c.entity_id);

-- name: lower_coverage
-- A rejected record makes what it touched partial: for its entity where that
-- was readable, else for everything the source claims.
UPDATE staged_coverage SET complete = false
WHERE @everything::boolean OR entity_id = ANY (@entities::uuid[]);

-- name: lower_entity_coverage
INSERT INTO staged_coverage (kind, entity_id, system, complete, from_at, to_at, max_age, file, line, seq)
SELECT c.kind, e.id, c.system, false, c.from_at, c.to_at, c.max_age, c.file, c.line, c.seq
FROM unnest(@entities::uuid[]) AS e(id)
CROSS JOIN staged_coverage c
WHERE c.entity_id = @nil
  AND NOT EXISTS (SELECT FROM staged_coverage s WHERE s.kind = c.kind AND s.entity_id = e.id);

-- name: diff_entities
INSERT INTO entity_diff (entity_id, basis, op)
SELECT s.entity_id, s.basis, CASE WHEN a.entity_id IS NULL THEN 'added' ELSE 'changed' END
FROM staged_entity s
LEFT JOIN entity_assertion a ON a.organization_id = @organization AND a.source_id = @source
                            AND a.entity_id = s.entity_id AND a.basis = s.basis
WHERE a.entity_id IS NULL OR a.digest <> s.digest
UNION ALL
SELECT a.entity_id, a.basis, 'gone'
FROM entity_assertion a
WHERE @complete::boolean AND a.organization_id = @organization AND a.source_id = @source
  AND NOT EXISTS (SELECT FROM staged_entity s WHERE s.entity_id = a.entity_id AND s.basis = a.basis);

-- name: diff_edges
INSERT INTO edge_diff (kind, from_id, scope, to_id, op)
SELECT s.kind, s.from_id, s.scope, s.to_id, CASE WHEN e.kind IS NULL THEN 'added' ELSE 'changed' END
FROM staged_edge s
LEFT JOIN edge e ON e.organization_id = @organization AND e.source_id = @source
                AND e.kind = s.kind AND e.from_id = s.from_id AND e.scope = s.scope AND e.to_id = s.to_id
WHERE e.kind IS NULL
   OR e.actions <> s.actions OR e.effective <> s.effective OR e.protocol <> s.protocol OR e.target_system <> s.target_system
UNION ALL
SELECT e.kind, e.from_id, e.scope, e.to_id, 'gone'
FROM edge e
WHERE @complete::boolean AND e.organization_id = @organization AND e.source_id = @source
  AND NOT EXISTS (SELECT FROM staged_edge s WHERE s.kind = e.kind AND s.from_id = e.from_id AND s.scope = e.scope AND s.to_id = e.to_id);

-- name: diff_egress
INSERT INTO egress_diff (workload_id, host, op)
SELECT s.workload_id, s.host, CASE WHEN e.host IS NULL THEN 'added' ELSE 'changed' END
FROM staged_egress s
LEFT JOIN egress e ON e.organization_id = @organization AND e.source_id = @source AND e.workload_id = s.workload_id AND e.host = s.host
WHERE e.host IS NULL OR e.category <> s.category
UNION ALL
SELECT e.workload_id, e.host, 'gone'
FROM egress e
WHERE @complete::boolean AND e.organization_id = @organization AND e.source_id = @source
  AND NOT EXISTS (SELECT FROM staged_egress s WHERE s.workload_id = e.workload_id AND s.host = e.host);

-- name: diff_endpoints
INSERT INTO endpoint_diff (workload_id, kind, value, port, op)
SELECT s.workload_id, s.kind, s.value, s.port, 'added'
FROM staged_endpoint s
WHERE NOT EXISTS (
  SELECT FROM endpoint e
  WHERE e.organization_id = @organization AND e.source_id = @source AND e.to_at IS NULL
    AND e.workload_id = s.workload_id AND e.kind = s.kind AND e.value = s.value AND e.port = s.port)
UNION ALL
SELECT e.workload_id, e.kind, e.value, e.port, 'gone'
FROM endpoint e
WHERE @complete::boolean AND e.organization_id = @organization AND e.source_id = @source AND e.to_at IS NULL
  AND NOT EXISTS (SELECT FROM staged_endpoint s WHERE s.workload_id = e.workload_id AND s.kind = e.kind AND s.value = e.value AND s.port = e.port);

-- name: diff_coverage
INSERT INTO coverage_diff (kind, entity_id, system, op)
SELECT s.kind, s.entity_id, s.system, CASE WHEN c.kind IS NULL THEN 'added' ELSE 'changed' END
FROM staged_coverage s
LEFT JOIN coverage c ON c.organization_id = @organization AND c.source_id = @source AND c.kind = s.kind AND c.entity_id = s.entity_id
WHERE c.kind IS NULL
   OR (c.system, c.complete, c.from_at, c.to_at, c.max_age) IS DISTINCT FROM (s.system, s.complete, s.from_at, s.to_at, s.max_age)
UNION ALL
SELECT c.kind, c.entity_id, c.system, 'gone'
FROM coverage c
WHERE @complete::boolean AND c.organization_id = @organization AND c.source_id = @source
  AND NOT EXISTS (SELECT FROM staged_coverage s WHERE s.kind = c.kind AND s.entity_id = c.entity_id);

-- name: diff_evidence
INSERT INTO evidence_diff (workload_id, identity_id, resource_id)
SELECT DISTINCT s.workload_id, s.identity_id, s.resource_id
FROM staged_evidence s
LEFT JOIN evidence e ON e.organization_id = @organization AND e.source_id = @source
     AND e.workload_id = s.workload_id AND e.identity_id = s.identity_id AND e.resource_id = s.resource_id
     AND e.action = s.action AND e.day = s.day AND e.related = s.related
WHERE e.day IS NULL OR s.count > e.count OR s.last_at > coalesce(e.last_at, '-infinity');

-- name: count_loss
SELECT (SELECT count(DISTINCT d.entity_id) FROM entity_diff d WHERE d.op = 'gone') AS gone,
       (SELECT count(DISTINCT a.entity_id) FROM entity_assertion a WHERE a.organization_id = @organization AND a.source_id = @source) AS before;

-- name: bindings_changed
-- Whether somebody authenticates as another identity than before, or an
-- identity began or ceased to live.
SELECT EXISTS (SELECT FROM edge_diff d WHERE d.kind = 'authenticates')
    OR EXISTS (SELECT FROM entity_change c WHERE c.alive_changed AND c.kind = 'identity') AS changed;

-- name: analyze_diff
ANALYZE entity_diff, edge_diff, egress_diff, endpoint_diff, evidence_diff, coverage_diff;

-- name: keep_assertion_versions
INSERT INTO entity_assertion_version (organization_id, to_at, /* columns: assertion */)
SELECT @organization, @at, /* columns: former_assertion */
FROM entity_diff d
JOIN entity_assertion a ON a.organization_id = @organization AND a.entity_id = d.entity_id AND a.source_id = @source AND a.basis = d.basis
WHERE d.op <> 'added'
ORDER BY a.entity_id, a.basis;

-- name: retract_entities
DELETE FROM entity_assertion a USING entity_diff d
WHERE a.organization_id = @organization AND a.source_id = @source AND d.op <> 'added'
  AND a.entity_id = d.entity_id AND a.basis = d.basis;

-- name: assert_entities
INSERT INTO entity_assertion (organization_id, /* columns: assertion */)
SELECT @organization, s.entity_id, @source, s.basis, s.digest, s.kind, s.system, s.external_id, s.name, s.status,
  s.environment, s.owner_team, s.business_tier, s.execution_mode, s.artifact_identifier, s.source_type, s.data_domain, s.data_domain_stated,
  s.sensitivity, s.sensitivity_stated, s.owner_type, s.title, s.last_active_at, s.created_in_source_at, s.labels, @at
FROM staged_entity s JOIN entity_diff d ON d.entity_id = s.entity_id AND d.basis = s.basis
ORDER BY s.entity_id;

-- name: remember_identities
-- What the workloads ran as before, for rotation.
INSERT INTO identity_before (workload_id, identity_id)
SELECT DISTINCT e.from_id, e.to_id
FROM edge e
WHERE e.organization_id = @organization AND e.kind = 'runs_as'
  AND e.from_id IN (SELECT d.from_id FROM edge_diff d WHERE d.kind = 'runs_as');

-- name: keep_edge_versions
INSERT INTO edge_version (organization_id, kind, from_id, scope, to_id, source_id, actions, effective, protocol, target_system, from_at, to_at)
SELECT @organization, e.kind, e.from_id, e.scope, e.to_id, e.source_id, e.actions, e.effective, e.protocol, e.target_system, e.from_at, @at
FROM edge_diff d
JOIN edge e ON e.organization_id = @organization AND e.kind = d.kind AND e.from_id = d.from_id AND e.scope = d.scope AND e.to_id = d.to_id AND e.source_id = @source
WHERE d.op <> 'added'
ORDER BY e.kind, e.from_id, e.scope, e.to_id;

-- name: retract_edges
DELETE FROM edge e USING edge_diff d
WHERE e.organization_id = @organization AND e.source_id = @source AND d.op <> 'added'
  AND e.kind = d.kind AND e.from_id = d.from_id AND e.scope = d.scope AND e.to_id = d.to_id;

-- name: assert_edges
INSERT INTO edge (organization_id, kind, from_id, scope, to_id, source_id, actions, effective, protocol, target_system, from_at)
SELECT @organization, s.kind, s.from_id, s.scope, s.to_id, @source, s.actions, s.effective, s.protocol, s.target_system, @at
FROM staged_edge s JOIN edge_diff d ON d.kind = s.kind AND d.from_id = s.from_id AND d.scope = s.scope AND d.to_id = s.to_id
ORDER BY s.kind, s.from_id, s.scope, s.to_id;

-- name: retract_egress
DELETE FROM egress e USING egress_diff d
WHERE e.organization_id = @organization AND e.source_id = @source AND d.op <> 'added'
  AND e.workload_id = d.workload_id AND e.host = d.host;

-- name: assert_egress
INSERT INTO egress (organization_id, workload_id, host, source_id, category)
SELECT @organization, s.workload_id, s.host, @source, s.category
FROM staged_egress s JOIN egress_diff d ON d.workload_id = s.workload_id AND d.host = s.host;

-- name: end_endpoints
UPDATE endpoint e SET to_at = @at
FROM endpoint_diff d
WHERE d.op = 'gone' AND e.organization_id = @organization AND e.source_id = @source AND e.to_at IS NULL
  AND e.workload_id = d.workload_id AND e.kind = d.kind AND e.value = d.value AND e.port = d.port;

-- name: add_endpoints
INSERT INTO endpoint (organization_id, workload_id, kind, value, port, source_id, from_at)
SELECT @organization, d.workload_id, d.kind, d.value, d.port, @source, @at
FROM endpoint_diff d
WHERE d.op = 'added'
ORDER BY d.workload_id, d.kind, d.value, d.port;

-- name: keep_coverage_versions
INSERT INTO coverage_version (organization_id, source_id, kind, entity_id, system, complete, from_at, to_at, max_age, recorded_at, until)
SELECT @organization, c.source_id, c.kind, c.entity_id, c.system, c.complete, c.from_at, c.to_at, c.max_age, c.recorded_at, @at
FROM coverage_diff d
JOIN coverage c ON c.organization_id = @organization AND c.source_id = @source AND c.kind = d.kind AND c.entity_id = d.entity_id
WHERE d.op <> 'added'
ORDER BY c.kind, c.entity_id;

-- name: retract_coverage
DELETE FROM coverage c USING coverage_diff d
WHERE c.organization_id = @organization AND c.source_id = @source AND d.op <> 'added'
  AND c.kind = d.kind AND c.entity_id = d.entity_id;

-- name: assert_coverage
INSERT INTO coverage (organization_id, source_id, kind, entity_id, system, complete, from_at, to_at, max_age, recorded_at)
SELECT @organization, @source, s.kind, s.entity_id, s.system, s.complete, s.from_at, s.to_at, s.max_age, @at
FROM staged_coverage s JOIN coverage_diff d ON d.kind = s.kind AND d.entity_id = s.entity_id;

-- name: assert_evidence
-- The count of a day may grow while the day lasts. Nothing observed is taken
-- back, not even by a delivery that saw less of the day. That it was observed at
-- all is known since the first of them.
INSERT INTO evidence (organization_id, workload_id, identity_id, resource_id, action, day, related, source_id, basis, count, last_at, recorded_at, first_at)
SELECT @organization, s.workload_id, s.identity_id, s.resource_id, s.action, s.day, s.related, @source, s.basis, s.count, s.last_at, @at, @at
FROM staged_evidence s
ORDER BY s.workload_id, s.identity_id, s.resource_id, s.action, s.day
ON CONFLICT (organization_id, workload_id, identity_id, resource_id, action, day, related, source_id)
DO UPDATE SET count = greatest(evidence.count, excluded.count), last_at = greatest(evidence.last_at, excluded.last_at), recorded_at = excluded.recorded_at
WHERE excluded.count > evidence.count OR excluded.last_at > coalesce(evidence.last_at, '-infinity');

-- name: derive_entities
-- What all voices together say. One voice is copied; several are merged
-- attribute by attribute: the lowest basis first, then the source's name.
WITH voice AS (
  SELECT a.entity_id, count(*) AS voices
  FROM (SELECT DISTINCT entity_id FROM entity_diff) d
  JOIN entity_assertion a ON a.organization_id = @organization AND a.entity_id = d.entity_id
  GROUP BY a.entity_id
)
INSERT INTO entity_next (entity_id, kind, system, external_id, name, status, environment, owner_team, business_tier, execution_mode,
  artifact_identifier, source_type, data_domain, data_domain_stated, sensitivity, sensitivity_stated, owner_type, title,
  last_active_at, created_in_source_at, labels)
SELECT a.entity_id, a.kind, a.system, a.external_id, coalesce(a.name, a.external_id), coalesce(a.status, 'active'), a.environment, a.owner_team,
  a.business_tier, a.execution_mode, a.artifact_identifier, a.source_type, a.data_domain, a.data_domain_stated, coalesce(a.sensitivity, 0),
  a.sensitivity_stated, a.owner_type, a.title, a.last_active_at, a.created_in_source_at, a.labels
FROM voice v
JOIN entity_assertion a ON a.organization_id = @organization AND a.entity_id = v.entity_id
WHERE v.voices = 1
UNION ALL
SELECT v.entity_id, min(a.kind), min(a.system), min(a.external_id),
  coalesce(first_stated(a.name ORDER BY a.basis, s.name, s.id), min(a.external_id)),
  coalesce(first_stated(a.status ORDER BY a.basis, s.name, s.id), 'active'),
  first_stated(a.environment ORDER BY a.basis, s.name, s.id),
  first_stated(a.owner_team ORDER BY a.basis, s.name, s.id),
  first_stated(a.business_tier ORDER BY a.basis, s.name, s.id),
  first_stated(a.execution_mode ORDER BY a.basis, s.name, s.id),
  first_stated(a.artifact_identifier ORDER BY a.basis, s.name, s.id),
  first_stated(a.source_type ORDER BY a.basis, s.name, s.id),
  first_stated(a.data_domain ORDER BY a.basis, s.name, s.id),
  first_stated(a.data_domain_stated ORDER BY a.basis, s.name, s.id),
  coalesce(first_stated(a.sensitivity ORDER BY a.basis, s.name, s.id), 0),
  first_stated(a.sensitivity_stated ORDER BY a.basis, s.name, s.id),
  first_stated(a.owner_type ORDER BY a.basis, s.name, s.id),
  first_stated(a.title ORDER BY a.basis, s.name, s.id),
  first_stated(a.last_active_at ORDER BY a.basis, s.name, s.id),
  first_stated(a.created_in_source_at ORDER BY a.basis, s.name, s.id),
  first_stated(a.labels ORDER BY a.basis, s.name, s.id)
FROM voice v
JOIN entity_assertion a ON a.organization_id = @organization AND a.entity_id = v.entity_id
JOIN source s ON s.organization_id = @organization AND s.id = a.source_id
WHERE v.voices > 1
GROUP BY v.entity_id;

-- name: add_access_classes
-- Numbered with the sets of classes; only who holds the judgement numbers either.
WITH missing AS (
  SELECT DISTINCT coalesce(n.environment, '') AS environment, coalesce(n.owner_team, '') AS owner, coalesce(n.business_tier, '') AS business_tier
  FROM entity_next n
  WHERE n.kind = 'workload' AND (n.environment IS NOT NULL OR n.owner_team IS NOT NULL OR n.business_tier IS NOT NULL)
  EXCEPT
  SELECT c.environment, c.owner, c.business_tier FROM access_class c WHERE c.organization_id = @organization
)
INSERT INTO access_class (organization_id, class, environment, owner, business_tier)
SELECT @organization,
       coalesce(greatest((SELECT max(c.class) FROM access_class c WHERE c.organization_id = @organization),
                         (SELECT max(s.class) FROM access_class_set s WHERE s.organization_id = @organization)), 0)
         + row_number() OVER (ORDER BY environment, owner, business_tier),
       environment, owner, business_tier
FROM missing;

-- name: classify_entities
UPDATE entity_next n SET class = c.class
FROM access_class c
WHERE c.organization_id = @organization AND n.kind = 'workload'
  AND c.environment = coalesce(n.environment, '') AND c.owner = coalesce(n.owner_team, '') AND c.business_tier = coalesce(n.business_tier, '');

-- name: diff_entity_rows
INSERT INTO entity_change (entity_id, kind, op, alive_changed)
SELECT n.entity_id, n.kind, CASE WHEN e.id IS NULL THEN 'added' ELSE 'changed' END,
       coalesce(e.status = 'removed', true) <> (n.status = 'removed')
FROM entity_next n
LEFT JOIN entity e ON e.organization_id = @organization AND e.id = n.entity_id
WHERE e.id IS NULL
   OR (e.name, e.status, e.environment, e.owner_team, e.business_tier, e.execution_mode, e.artifact_identifier, e.source_type,
       e.data_domain, e.data_domain_stated, e.sensitivity, e.sensitivity_stated, e.owner_type, e.title, e.last_active_at,
       e.created_in_source_at, e.labels, e.class)
      IS DISTINCT FROM
      (n.name, n.status, n.environment, n.owner_team, n.business_tier, n.execution_mode, n.artifact_identifier, n.source_type,
       n.data_domain, n.data_domain_stated, n.sensitivity, n.sensitivity_stated, n.owner_type, n.title, n.last_active_at,
       n.created_in_source_at, n.labels, n.class)
UNION ALL
SELECT e.id, e.kind, 'removed', true
FROM (SELECT DISTINCT d.entity_id FROM entity_diff d WHERE d.op = 'gone') d
JOIN entity e ON e.organization_id = @organization AND e.id = d.entity_id
WHERE e.status <> 'removed' AND NOT EXISTS (SELECT FROM entity_next n WHERE n.entity_id = d.entity_id);

-- name: analyze_entities
ANALYZE entity_next (entity_id, kind), entity_change;

-- name: keep_entity_versions
INSERT INTO entity_version (organization_id, id, version, from_at, to_at, name, status, environment, owner_team, business_tier, execution_mode,
  artifact_identifier, source_type, data_domain, data_domain_stated, sensitivity, sensitivity_stated, owner_type, title, last_active_at,
  created_in_source_at, labels, class, ownership_status, egress_category, removed_at)
SELECT @organization, e.id, e.version, e.from_at, @at, e.name, e.status, e.environment, e.owner_team, e.business_tier, e.execution_mode,
  e.artifact_identifier, e.source_type, e.data_domain, e.data_domain_stated, e.sensitivity, e.sensitivity_stated, e.owner_type, e.title, e.last_active_at,
  e.created_in_source_at, e.labels, e.class, e.ownership_status, e.egress_category, e.removed_at
FROM entity_change c
JOIN entity e ON e.organization_id = @organization AND e.id = c.entity_id
WHERE c.op <> 'added';

-- name: update_entities
UPDATE entity e
SET name = n.name, status = n.status, environment = n.environment, owner_team = n.owner_team, business_tier = n.business_tier,
    execution_mode = n.execution_mode, artifact_identifier = n.artifact_identifier, source_type = n.source_type,
    data_domain = n.data_domain, data_domain_stated = n.data_domain_stated, sensitivity = n.sensitivity, sensitivity_stated = n.sensitivity_stated,
    owner_type = n.owner_type, title = n.title, last_active_at = n.last_active_at, created_in_source_at = n.created_in_source_at,
    labels = n.labels, class = n.class, version = e.version + 1, from_at = @at,
    removed_at = CASE WHEN n.status = 'removed' THEN coalesce(e.removed_at, @at::timestamptz) END
FROM entity_change c JOIN entity_next n ON n.entity_id = c.entity_id
WHERE c.op = 'changed' AND e.organization_id = @organization AND e.id = c.entity_id;

-- name: remove_entities
UPDATE entity e SET status = 'removed', removed_at = @at, version = e.version + 1, from_at = @at
FROM entity_change c
WHERE c.op = 'removed' AND e.organization_id = @organization AND e.id = c.entity_id;

-- name: add_entities
INSERT INTO entity (organization_id, id, kind, system, external_id, name, status, environment, owner_team, business_tier, execution_mode,
  artifact_identifier, source_type, data_domain, data_domain_stated, sensitivity, sensitivity_stated, owner_type, title, last_active_at,
  created_in_source_at, labels, class, ownership_status, egress_category, version, from_at, first_seen_at, removed_at)
SELECT @organization, n.entity_id, n.kind, n.system, n.external_id, n.name, n.status, n.environment, n.owner_team, n.business_tier, n.execution_mode,
  n.artifact_identifier, n.source_type, n.data_domain, n.data_domain_stated, n.sensitivity, n.sensitivity_stated, n.owner_type, n.title, n.last_active_at,
  n.created_in_source_at, n.labels, n.class, 'unknown', 'unknown', 1, @at, @at, CASE WHEN n.status = 'removed' THEN @at::timestamptz END
FROM entity_change c JOIN entity_next n ON n.entity_id = c.entity_id
WHERE c.op = 'added'
ORDER BY n.entity_id;

-- name: analyze_authority
SELECT analyze_authority();

-- name: touch
-- What has to be derived and judged again, and why: "workload" and "identity"
-- for their paths, "context" for the ownership and egress of a workload,
-- "resource" for what a path copies from its resource, "activity" for what is
-- judged of an identity. All paths of what stands here come into desired, so
-- that every path whose exposures may differ is there.
WITH RECURSIVE renewed_role AS (
  SELECT c.entity_id AS id FROM entity_change c WHERE c.alive_changed AND c.kind = 'role'
  UNION
  SELECT e.from_id FROM entity_change c
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'grants' AND e.to_id = c.entity_id
  WHERE c.alive_changed AND c.kind = 'resource'
), seed AS (
  SELECT 'workload' AS reason, d.from_id AS id FROM edge_diff d WHERE d.kind IN ('runs_as', 'declares', 'authenticates')
  UNION
  SELECT 'workload', e.from_id FROM entity_change c
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'declares' AND e.to_id = c.entity_id
  WHERE c.alive_changed AND c.kind = 'resource'
  UNION
  SELECT c.kind, c.entity_id FROM entity_change c WHERE c.alive_changed AND c.kind IN ('workload', 'identity')
  UNION
  SELECT 'identity', d.from_id FROM edge_diff d WHERE d.kind = 'has_role'
  UNION
  SELECT 'identity', e.from_id FROM (SELECT DISTINCT d.from_id, d.scope FROM edge_diff d WHERE d.kind = 'grants') d
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'has_role' AND e.to_id = d.from_id AND e.scope = d.scope
  UNION
  SELECT 'identity', e.from_id FROM renewed_role r
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'has_role' AND e.to_id = r.id
), upstream AS ( -- everything that authenticates as, or runs as, something touched
  SELECT s.id FROM seed s
  UNION
  SELECT e.from_id FROM upstream u
  JOIN edge e ON e.organization_id = @organization AND e.kind IN ('authenticates', 'runs_as') AND e.to_id = u.id
), answerable AS ( -- workloads that began or ceased to live, or whose owners are others or known otherwise
  SELECT c.entity_id AS id FROM entity_change c WHERE c.alive_changed AND c.kind = 'workload'
  UNION
  SELECT d.from_id FROM edge_diff d WHERE d.kind = 'owned_by'
  UNION
  SELECT e.from_id FROM entity_change c
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'owned_by' AND e.to_id = c.entity_id
  WHERE c.kind = 'owner'
  UNION
  SELECT d.entity_id FROM coverage_diff d WHERE d.kind = 'ownership' AND d.entity_id <> @nil
  UNION
  SELECT w.id FROM (SELECT DISTINCT d.system FROM coverage_diff d WHERE d.kind = 'ownership' AND d.entity_id = @nil) d
  JOIN entity w ON w.organization_id = @organization AND w.kind = 'workload' AND w.system = d.system
), impersonated AS ( -- identities that acted, or whom others than before can act as: whose workload that proves to run
  SELECT d.identity_id AS id FROM evidence_diff d WHERE d.workload_id = @nil AND d.identity_id <> @nil
  UNION
  SELECT d.to_id FROM edge_diff d WHERE d.kind IN ('runs_as', 'authenticates')
  UNION
  SELECT e.to_id FROM entity_change c
  JOIN edge e ON e.organization_id = @organization AND e.kind IN ('runs_as', 'authenticates') AND e.from_id = c.entity_id
  WHERE c.alive_changed AND c.kind IN ('workload', 'identity')
), downstream AS ( -- identities that others run as, and those that lie behind them: what they hold depends on who leads to them
  SELECT d.to_id AS id FROM edge_diff d WHERE d.kind IN ('runs_as', 'authenticates')
  UNION
  SELECT c.entity_id FROM entity_change c WHERE c.alive_changed AND c.kind = 'identity'
  UNION
  SELECT e.to_id FROM answerable a -- who else runs as it, and who answers for them
  JOIN edge e ON e.organization_id = @organization AND e.kind IN ('runs_as', 'authenticates') AND e.from_id = a.id
  UNION
  SELECT e.to_id FROM downstream u
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'authenticates' AND e.from_id = u.id
)
INSERT INTO touched (reason, id)
SELECT s.reason, s.id FROM seed s
UNION
-- A change of who authenticates as whom, or of an identity's life, reaches
-- every workload that starts the walk; so does any change above a workload
-- that also declares destinations, whose unbound paths depend on the bound ones.
SELECT 'workload', u.id FROM upstream u
WHERE @bindings_changed::boolean
   OR EXISTS (SELECT FROM edge e WHERE e.organization_id = @organization AND e.kind = 'declares' AND e.from_id = u.id)
UNION
SELECT 'context', c.entity_id FROM entity_change c WHERE c.kind = 'workload'
UNION
SELECT 'context', d.from_id FROM edge_diff d WHERE d.kind = 'owned_by'
UNION
SELECT 'context', e.from_id FROM entity_change c
JOIN edge e ON e.organization_id = @organization AND e.kind = 'owned_by' AND e.to_id = c.entity_id
WHERE c.kind = 'owner'
UNION
SELECT 'context', d.workload_id FROM egress_diff d
UNION
SELECT 'context', d.entity_id FROM coverage_diff d WHERE d.entity_id <> @nil
UNION
SELECT 'context', w.id FROM (SELECT DISTINCT d.system FROM coverage_diff d WHERE d.entity_id = @nil AND d.kind IN ('ownership', 'egress', 'execution', 'binding')) d
JOIN entity w ON w.organization_id = @organization AND w.kind = 'workload' AND w.system = d.system
UNION
SELECT 'context', d.workload_id FROM evidence_diff d WHERE d.workload_id <> @nil
UNION
SELECT 'context', r.from_id FROM impersonated i
JOIN edge r ON r.organization_id = @organization AND r.kind = 'runs_as' AND r.to_id = i.id
WHERE EXISTS (SELECT FROM evidence e WHERE e.organization_id = @organization AND e.workload_id = @nil AND e.identity_id = i.id)
UNION
SELECT 'activity', d.identity_id FROM evidence_diff d WHERE d.identity_id <> @nil
UNION
SELECT 'activity', c.entity_id FROM entity_change c WHERE c.kind = 'identity'
UNION
SELECT 'activity', e.from_id FROM entity_change c
JOIN edge e ON e.organization_id = @organization AND e.kind = 'has_role' AND e.to_id = c.entity_id
WHERE c.kind = 'role'
UNION
SELECT 'activity', u.id FROM downstream u
UNION
SELECT 'activity', d.entity_id FROM coverage_diff d WHERE d.entity_id <> @nil
UNION
SELECT 'activity', i.id FROM (SELECT DISTINCT d.system FROM coverage_diff d WHERE d.entity_id = @nil AND d.kind IN ('execution', 'roles', 'binding')) d
JOIN entity i ON i.organization_id = @organization AND i.kind = 'identity' AND i.system = d.system
UNION
SELECT 'resource', c.entity_id FROM entity_change c WHERE c.kind = 'resource';

-- name: touch_first
-- As touch, where nothing was before: everything that there is.
INSERT INTO touched (reason, id)
SELECT r.reason, c.entity_id
FROM entity_change c
JOIN (VALUES ('workload', 'workload'), ('workload', 'context'), ('identity', 'identity'), ('identity', 'activity'), ('resource', 'resource')) AS r(kind, reason)
  ON r.kind = c.kind;

-- name: touch_expired_context
-- A sync that renews an expired coverage touches all that the coverage speaks about.
INSERT INTO touched (reason, id)
SELECT DISTINCT CASE e.kind WHEN 'workload' THEN 'context' ELSE 'activity' END, e.id
FROM coverage c
JOIN entity e ON e.organization_id = @organization AND e.kind IN ('workload', 'identity')
             AND (e.id = c.entity_id OR (c.entity_id = @nil AND e.system = c.system))
WHERE c.organization_id = @organization AND c.source_id = @source AND c.max_age IS NOT NULL;

-- name: touch_everything
INSERT INTO touched (reason, id)
SELECT CASE e.kind WHEN 'workload' THEN 'context' ELSE 'activity' END, e.id
FROM entity e
WHERE e.organization_id = @organization AND e.kind IN ('workload', 'identity') AND e.status <> 'removed';

-- name: analyze_touched
ANALYZE touched;

-- name: derive_context
INSERT INTO workload_context (workload_id, ownership_status, egress_category)
WITH target AS (
  SELECT w.id, w.system
  FROM (SELECT DISTINCT t.id FROM touched t WHERE t.reason = 'context') t
  JOIN entity w ON w.organization_id = @organization AND w.id = t.id AND w.kind = 'workload' AND w.status <> 'removed'
), particular AS (
  SELECT t.id, c.source_id, c.kind, c.complete AND coalesce(greatest(c.recorded_at, s.last_complete_at) + c.max_age >= @window_at, true) AS complete
  FROM target t
  JOIN coverage c ON c.organization_id = @organization AND c.entity_id = t.id
  JOIN source s ON s.organization_id = @organization AND s.id = c.source_id
), covered AS (
  SELECT k.id, bool_or(k.complete) FILTER (WHERE k.kind = 'ownership') AS ownership, bool_or(k.complete) FILTER (WHERE k.kind = 'egress') AS egress
  FROM (
    SELECT p.id, p.kind, p.complete FROM particular p
    UNION ALL
    SELECT t.id, c.kind, c.complete AND coalesce(greatest(c.recorded_at, s.last_complete_at) + c.max_age >= @window_at, true)
    FROM target t
    JOIN coverage c ON c.organization_id = @organization AND c.entity_id = @nil AND c.system = t.system
    JOIN source s ON s.organization_id = @organization AND s.id = c.source_id
    WHERE NOT EXISTS (SELECT FROM particular p WHERE p.id = t.id AND p.source_id = c.source_id AND p.kind = c.kind)
  ) k
  GROUP BY k.id
), owners AS (
  SELECT o.workload_id,
         count(*) FILTER (WHERE o.status = 'active') AS active,
         count(*) FILTER (WHERE o.status = 'active' AND o.owner_type IS DISTINCT FROM 'group') AS individuals,
         count(*) FILTER (WHERE o.status <> 'active') AS inactive
  FROM (
    SELECT DISTINCT t.id AS workload_id, o.id, o.status, o.owner_type
    FROM target t
    JOIN edge e ON e.organization_id = @organization AND e.kind = 'owned_by' AND e.from_id = t.id
    JOIN entity o ON o.organization_id = @organization AND o.id = e.to_id
  ) o
  GROUP BY o.workload_id
), egresses AS (
  SELECT t.id AS workload_id, bool_or(e.category = 'llm') AS llm, bool_or(e.category = 'external') AS external
  FROM target t
  JOIN egress e ON e.organization_id = @organization AND e.workload_id = t.id
  GROUP BY t.id
)
SELECT t.id,
       CASE WHEN o.individuals > 0 AND o.inactive = 0 THEN 'valid'
            WHEN o.individuals > 0 THEN 'degraded'
            WHEN NOT coalesce(c.ownership, false) THEN 'unknown' -- absence is claimed only by who looked
            WHEN o.active > 0 THEN 'ambiguous'
            ELSE 'orphaned' END,
       CASE WHEN g.llm THEN 'llm'
            WHEN g.external THEN 'external'
            WHEN g.workload_id IS NOT NULL THEN 'internal'
            WHEN coalesce(c.egress, false) THEN 'none'
            ELSE 'unknown' END
FROM target t
LEFT JOIN covered c ON c.id = t.id
LEFT JOIN owners o ON o.workload_id = t.id
LEFT JOIN egresses g ON g.workload_id = t.id;

-- name: keep_context_versions
-- An entity that this sync has already changed keeps its version.
INSERT INTO entity_version (organization_id, id, version, from_at, to_at, name, status, environment, owner_team, business_tier, execution_mode,
  artifact_identifier, source_type, data_domain, data_domain_stated, sensitivity, sensitivity_stated, owner_type, title, last_active_at,
  created_in_source_at, labels, class, ownership_status, egress_category, removed_at)
SELECT @organization, e.id, e.version, e.from_at, @at, e.name, e.status, e.environment, e.owner_team, e.business_tier, e.execution_mode,
  e.artifact_identifier, e.source_type, e.data_domain, e.data_domain_stated, e.sensitivity, e.sensitivity_stated, e.owner_type, e.title, e.last_active_at,
  e.created_in_source_at, e.labels, e.class, e.ownership_status, e.egress_category, e.removed_at
FROM workload_context c
JOIN entity e ON e.organization_id = @organization AND e.id = c.workload_id
WHERE e.from_at < @at AND (e.ownership_status, e.egress_category) <> (c.ownership_status, c.egress_category);

-- name: update_context
UPDATE entity e
SET ownership_status = c.ownership_status, egress_category = c.egress_category,
    version = CASE WHEN e.from_at < @at THEN e.version + 1 ELSE e.version END, from_at = @at
FROM workload_context c
WHERE e.organization_id = @organization AND e.id = c.workload_id
  AND (e.ownership_status, e.egress_category) <> (c.ownership_status, c.egress_category);

-- name: derive_bindings
-- Which identities a touched workload ends up with, and over how many systems.
INSERT INTO binding (workload_id, identity_id, depth)
WITH RECURSIVE upstream AS (
  SELECT t.id FROM touched t WHERE t.reason = 'identity'
  UNION
  SELECT e.from_id FROM upstream u
  JOIN edge e ON e.organization_id = @organization AND e.kind IN ('authenticates', 'runs_as') AND e.to_id = u.id
), walk AS (
  SELECT w.id AS workload_id, e.to_id AS identity_id, CASE e.kind WHEN 'runs_as' THEN 0 ELSE 1 END AS depth
  FROM (SELECT t.id FROM touched t WHERE t.reason = 'workload' UNION SELECT u.id FROM upstream u) s
  JOIN entity w ON w.organization_id = @organization AND w.id = s.id AND w.kind = 'workload' AND w.status <> 'removed'
  JOIN edge e ON e.organization_id = @organization AND e.kind IN ('runs_as', 'authenticates') AND e.from_id = w.id
  JOIN entity i ON i.organization_id = @organization AND i.id = e.to_id AND i.status <> 'removed'
  UNION
  SELECT b.workload_id, e.to_id, b.depth + 1
  FROM walk b
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'authenticates' AND e.from_id = b.identity_id
  JOIN entity i ON i.organization_id = @organization AND i.id = e.to_id AND i.status <> 'removed'
  WHERE b.depth < @max_depth::integer
)
SELECT b.workload_id, b.identity_id, min(b.depth)
FROM walk b
WHERE EXISTS (SELECT FROM touched t WHERE t.reason = 'workload' AND t.id = b.workload_id)
   OR EXISTS (SELECT FROM touched t WHERE t.reason = 'identity' AND t.id = b.identity_id)
GROUP BY b.workload_id, b.identity_id;

-- name: analyze_binding
ANALYZE binding;

-- name: derive_reach
-- What each bound identity reaches: the union of the roles and actions whose
-- scopes agree. All workloads of an identity share it. The tail is
-- composition_tail(role_ids, actions), written out: PostgreSQL plans the inside of
-- the function at every call, which took 0.2 ms of each row.
INSERT INTO reach (identity_id, resource_id, role_ids, actions, effective, tail)
SELECT r.identity_id, r.resource_id, r.role_ids, r.actions, r.effective,
       digest_field(int4send(cardinality(r.role_ids)))
       || (SELECT string_agg(digest_field(uuid_send(x)), ''::bytea ORDER BY n) FROM unnest(r.role_ids) WITH ORDINALITY AS t(x, n))
       || digest_field(int4send(cardinality(r.actions)))
       || (SELECT string_agg(digest_field(convert_to(x, 'UTF8')), ''::bytea ORDER BY n) FROM unnest(r.actions) WITH ORDINALITY AS t(x, n))
FROM (
  SELECT h.from_id AS identity_id, g.to_id AS resource_id,
         array_agg(DISTINCT h.to_id ORDER BY h.to_id) AS role_ids,
         CASE count(*) WHEN 1 THEN min(g.actions) ELSE sorted_distinct(array_concat(g.actions)) END AS actions,
         bool_or(g.effective) AS effective
  FROM (SELECT DISTINCT b.identity_id FROM binding b) b
  JOIN edge h ON h.organization_id = @organization AND h.kind = 'has_role' AND h.from_id = b.identity_id
  JOIN entity ro ON ro.organization_id = @organization AND ro.id = h.to_id AND ro.status <> 'removed'
  JOIN edge g ON g.organization_id = @organization AND g.kind = 'grants' AND g.from_id = h.to_id AND g.scope = h.scope
  JOIN entity re ON re.organization_id = @organization AND re.id = g.to_id AND re.status <> 'removed'
  GROUP BY h.from_id, g.to_id
) r;

-- name: analyze_reach
ANALYZE reach (identity_id, resource_id);

-- name: derive_paths
INSERT INTO desired (path_id, lineage_id, workload_id, identity_id, resource_id, effective, role_ids, actions, auth_chain_depth, composition_hash,
                     class, data_domain, sensitivity, ownership_status, egress_category)
SELECT authority_path_id(@organization, b.workload_id, b.identity_id, r.resource_id),
       authority_lineage_id(@organization, b.workload_id, r.resource_id),
       b.workload_id, b.identity_id, r.resource_id, r.effective, r.role_ids, r.actions, b.depth,
       composition_hash(b.workload_id, b.identity_id, r.resource_id, r.tail),
       w.class, d.data_domain, d.sensitivity, w.ownership_status, w.egress_category
FROM binding b
JOIN reach r ON r.identity_id = b.identity_id
JOIN entity w ON w.organization_id = @organization AND w.id = b.workload_id
JOIN entity d ON d.organization_id = @organization AND d.id = r.resource_id;

-- name: derive_unbound_paths
-- A declared destination that no identity of the workload is known to reach.
INSERT INTO desired (path_id, lineage_id, workload_id, identity_id, resource_id, effective, role_ids, actions, auth_chain_depth, composition_hash,
                     class, data_domain, sensitivity, ownership_status, egress_category)
SELECT authority_path_id(@organization, u.workload_id, NULL, u.resource_id),
       authority_lineage_id(@organization, u.workload_id, u.resource_id),
       u.workload_id, NULL, u.resource_id, true, '{}', u.actions, 0,
       composition_hash(u.workload_id, NULL, u.resource_id,
         digest_field(int4send(0)) || digest_field(int4send(cardinality(u.actions)))
         || coalesce((SELECT string_agg(digest_field(convert_to(x, 'UTF8')), ''::bytea ORDER BY n) FROM unnest(u.actions) WITH ORDINALITY AS t(x, n)), ''::bytea)),
       w.class, d.data_domain, d.sensitivity, w.ownership_status, w.egress_category
FROM (
  SELECT e.from_id AS workload_id, e.to_id AS resource_id, sorted_distinct(array_concat(e.actions)) AS actions
  FROM (SELECT DISTINCT t.id FROM touched t WHERE t.reason = 'workload') t
  JOIN edge e ON e.organization_id = @organization AND e.kind = 'declares' AND e.from_id = t.id
  GROUP BY e.from_id, e.to_id
) u
JOIN entity w ON w.organization_id = @organization AND w.id = u.workload_id AND w.kind = 'workload' AND w.status <> 'removed'
JOIN entity d ON d.organization_id = @organization AND d.id = u.resource_id AND d.status <> 'removed'
WHERE NOT EXISTS (SELECT FROM desired b WHERE b.workload_id = u.workload_id AND b.resource_id = u.resource_id);

-- name: derive_context_paths
-- Paths whose making is untouched, but not what they copy from around them.
WITH around AS (
  SELECT p.id FROM touched t
  JOIN authority_path p ON p.organization_id = @organization AND p.workload_id = t.id
  WHERE t.reason = 'context' AND p.status = 'active'
  UNION
  SELECT p.id FROM touched t
  JOIN authority_path p ON p.organization_id = @organization AND p.resource_id = t.id
  WHERE t.reason = 'resource' AND p.status = 'active'
  UNION
  SELECT p.id FROM touched t
  JOIN authority_path p ON p.organization_id = @organization AND p.identity_id = t.id
  WHERE t.reason = 'activity' AND p.status = 'active'
)
INSERT INTO desired (path_id, lineage_id, workload_id, identity_id, resource_id, effective, role_ids, actions, auth_chain_depth, composition_hash,
                     class, data_domain, sensitivity, ownership_status, egress_category)
SELECT p.id, p.lineage_id, p.workload_id, p.identity_id, p.resource_id, p.effective, p.role_ids, p.actions, p.auth_chain_depth, p.composition_hash,
       w.class, d.data_domain, d.sensitivity, w.ownership_status, w.egress_category
FROM around a
JOIN authority_path p ON p.organization_id = @organization AND p.id = a.id
JOIN entity w ON w.organization_id = @organization AND w.id = p.workload_id
JOIN entity d ON d.organization_id = @organization AND d.id = p.resource_id
WHERE NOT EXISTS (SELECT FROM touched t WHERE t.reason = 'workload' AND t.id = p.workload_id)
  AND NOT EXISTS (SELECT FROM touched t WHERE t.reason = 'identity' AND t.id = p.identity_id);

-- name: execution_known
-- Ordered as an index is: a plan that is made once knows no organization, and would
-- read the table until it comes to a row of this one.
SELECT (SELECT e.workload_id FROM evidence e WHERE e.organization_id = @organization ORDER BY 1 LIMIT 1) IS NOT NULL
    OR EXISTS (SELECT FROM coverage c WHERE c.organization_id = @organization AND c.kind = 'execution') AS known;

-- name: derive_execution
-- The most specific evidence that names the path counts; without any, zero is
-- claimed only where somebody watched the whole window. @window_start is an
-- instant: cast to date alone it would be sent as one, and in the server's own
-- time zone.
WITH counted AS (
  SELECT d.path_id, e.basis, sum(e.count)::bigint AS count
  FROM desired d
  CROSS JOIN LATERAL (VALUES -- whom evidence of the path can name: keys, so that they can be hashed
    (d.workload_id, @nil::uuid, @nil::uuid), (d.workload_id, @nil, d.resource_id),
    (d.workload_id, d.identity_id, @nil), (d.workload_id, d.identity_id, d.resource_id),
    (@nil, d.identity_id, @nil), (@nil, d.identity_id, d.resource_id)
  ) AS k(workload_id, identity_id, resource_id)
  JOIN evidence e ON e.organization_id = @organization AND e.day > @window_start::timestamptz::date
                 AND e.workload_id = k.workload_id AND e.identity_id = k.identity_id AND e.resource_id = k.resource_id
  GROUP BY d.path_id, e.basis
), best AS (
  SELECT DISTINCT ON (c.path_id) c.path_id, c.basis, c.count
  FROM counted c
  ORDER BY c.path_id, array_position(ARRAY['path', 'workload', 'identity'], c.basis)
), target AS (
  SELECT w.id, w.system FROM (SELECT DISTINCT d.workload_id FROM desired d) d
  JOIN entity w ON w.organization_id = @organization AND w.id = d.workload_id
), watching AS (
  SELECT c.source_id, c.entity_id, c.system,
         c.complete AND coalesce(greatest(c.recorded_at, s.last_complete_at) + c.max_age >= @window_at, true)
           AND coalesce(c.from_at <= @window_start, true) AND coalesce(c.to_at >= @window_at::timestamptz - interval '1 day', true) AS complete
  FROM coverage c JOIN source s ON s.organization_id = @organization AND s.id = c.source_id
  WHERE c.organization_id = @organization AND c.kind = 'execution'
), watched AS (
  SELECT t.id FROM target t JOIN watching c ON c.entity_id = t.id WHERE c.complete
  UNION
  SELECT t.id FROM target t JOIN watching c ON c.entity_id = @nil AND c.system = t.system
  WHERE c.complete AND NOT EXISTS (SELECT FROM watching p WHERE p.entity_id = t.id AND p.source_id = c.source_id)
)
UPDATE desired d
SET execution_30d = CASE WHEN b.path_id IS NOT NULL THEN b.count WHEN x.watched THEN 0 END, execution_basis = b.basis
FROM (SELECT d.path_id, EXISTS (SELECT FROM watched w WHERE w.id = d.workload_id) AS watched FROM desired d) x
LEFT JOIN best b ON b.path_id = x.path_id
WHERE d.path_id = x.path_id;

-- name: analyze_desired
ANALYZE desired (path_id, workload_id, identity_id, resource_id, actions);

-- name: diff_paths
WITH scope AS (
  SELECT p.id FROM (SELECT DISTINCT t.id FROM touched t WHERE t.reason = 'workload') t
  JOIN authority_path p ON p.organization_id = @organization AND p.workload_id = t.id WHERE p.status = 'active'
  UNION
  SELECT p.id FROM (SELECT DISTINCT t.id FROM touched t WHERE t.reason = 'identity') t
  JOIN authority_path p ON p.organization_id = @organization AND p.identity_id = t.id WHERE p.status = 'active'
)
INSERT INTO path_diff (path_id, op)
SELECT d.path_id, CASE WHEN p.id IS NULL THEN 'added' WHEN p.status = 'removed' THEN 'revived' ELSE 'changed' END
FROM desired d
LEFT JOIN authority_path p ON p.organization_id = @organization AND p.id = d.path_id
WHERE p.id IS NULL OR p.status = 'removed' OR p.composition_hash <> d.composition_hash
   OR (p.effective, p.auth_chain_depth, p.class, p.data_domain, p.sensitivity, p.ownership_status, p.egress_category, p.execution_30d, p.execution_basis)
      IS DISTINCT FROM
      (d.effective, d.auth_chain_depth, d.class, d.data_domain, d.sensitivity, d.ownership_status, d.egress_category, d.execution_30d, d.execution_basis)
UNION ALL
SELECT s.id, 'removed' FROM scope s WHERE NOT EXISTS (SELECT FROM desired d WHERE d.path_id = s.id);

-- name: analyze_path_diff
ANALYZE path_diff;

-- name: count_path_diff
SELECT count(*) FILTER (WHERE op = 'added') AS added, count(*) FILTER (WHERE op = 'revived') AS revived,
       count(*) FILTER (WHERE op = 'changed') AS changed, count(*) FILTER (WHERE op = 'removed') AS removed
FROM path_diff;

-- name: count_active_paths
SELECT count(*) AS active FROM authority_path WHERE organization_id = @organization AND status = 'active';

-- name: keep_path_versions
INSERT INTO authority_path_version (organization_id, id, version, from_at, to_at, sync_version, status, effective, role_ids, actions, auth_chain_depth,
  composition_hash, class, data_domain, sensitivity, ownership_status, egress_category, execution_30d, execution_basis, last_seen_at)
SELECT @organization, p.id, p.version, p.from_at, @at, p.sync_version, p.status, p.effective, p.role_ids, p.actions, p.auth_chain_depth,
  p.composition_hash, p.class, p.data_domain, p.sensitivity, p.ownership_status, p.egress_category, p.execution_30d, p.execution_basis, p.last_seen_at
FROM path_diff d
JOIN authority_path p ON p.organization_id = @organization AND p.id = d.path_id
WHERE d.op <> 'added'
ORDER BY p.id;

-- name: update_paths
UPDATE authority_path p
SET status = 'active', removed_at = NULL, last_seen_at = NULL, effective = d.effective, role_ids = d.role_ids, actions = d.actions,
    auth_chain_depth = d.auth_chain_depth, composition_hash = d.composition_hash, class = d.class, data_domain = d.data_domain,
    sensitivity = d.sensitivity, ownership_status = d.ownership_status, egress_category = d.egress_category,
    execution_30d = d.execution_30d, execution_basis = d.execution_basis,
    open_mask = m.open_mask, acknowledged_mask = m.acknowledged_mask, accepted_mask = m.accepted_mask,
    active_exposure_count = m.active_exposure_count, max_exposure_severity = m.max_exposure_severity,
    version = p.version + 1, from_at = @at, sync_version = @sync_version
FROM path_diff x JOIN desired d ON d.path_id = x.path_id JOIN path_mask m ON m.path_id = x.path_id
WHERE x.op IN ('changed', 'revived') AND p.organization_id = @organization AND p.id = x.path_id;

-- name: remove_paths
UPDATE authority_path p
SET status = 'removed', removed_at = @at, last_seen_at = greatest(p.from_at, @last_complete_at),
    open_mask = 0, acknowledged_mask = 0, accepted_mask = 0, active_exposure_count = 0, max_exposure_severity = NULL,
    version = p.version + 1, from_at = @at, sync_version = @sync_version
FROM path_diff x
WHERE x.op = 'removed' AND p.organization_id = @organization AND p.id = x.path_id;

-- name: add_paths
INSERT INTO authority_path (organization_id, id, lineage_id, workload_id, identity_id, resource_id, status, effective, role_ids, actions, auth_chain_depth,
  composition_hash, class, data_domain, sensitivity, ownership_status, egress_category, execution_30d, execution_basis,
  open_mask, acknowledged_mask, accepted_mask, active_exposure_count, max_exposure_severity, version, from_at, sync_version, first_seen_at)
SELECT @organization, d.path_id, d.lineage_id, d.workload_id, d.identity_id, d.resource_id, 'active', d.effective, d.role_ids, d.actions, d.auth_chain_depth,
  d.composition_hash, d.class, d.data_domain, d.sensitivity, d.ownership_status, d.egress_category, d.execution_30d, d.execution_basis,
  m.open_mask, m.acknowledged_mask, m.accepted_mask, m.active_exposure_count, m.max_exposure_severity, 1, @at, @sync_version, @at
FROM path_diff x JOIN desired d ON d.path_id = x.path_id JOIN path_mask m ON m.path_id = x.path_id
WHERE x.op = 'added'
ORDER BY d.path_id;

-- name: recall_paths
-- Paths that stand as they stood, for what follows from their exposures alone, in the
-- place of what the change before left in the work tables that decisions read.
WITH a AS (DELETE FROM desired), b AS (DELETE FROM path_mask), c AS (DELETE FROM path_diff)
INSERT INTO desired (path_id, lineage_id, workload_id, identity_id, resource_id, effective, role_ids, actions, auth_chain_depth, composition_hash,
  class, data_domain, sensitivity, ownership_status, egress_category, execution_30d, execution_basis)
SELECT p.id, p.lineage_id, p.workload_id, p.identity_id, p.resource_id, p.effective, p.role_ids, p.actions, p.auth_chain_depth, p.composition_hash,
  p.class, p.data_domain, p.sensitivity, p.ownership_status, p.egress_category, p.execution_30d, p.execution_basis
FROM authority_path p
WHERE p.organization_id = @organization AND p.id = ANY(@paths) AND p.status = 'active';

-- name: update_masks
-- Of paths that are as they were but for their exposures. That is no version of
-- the path: the exposures keep their own history.
UPDATE authority_path p
SET open_mask = m.open_mask, acknowledged_mask = m.acknowledged_mask, accepted_mask = m.accepted_mask,
    active_exposure_count = m.active_exposure_count, max_exposure_severity = m.max_exposure_severity
FROM path_mask m
WHERE p.organization_id = @organization AND p.id = m.path_id
  AND (p.open_mask, p.acknowledged_mask, p.accepted_mask, p.active_exposure_count, p.max_exposure_severity)
      IS DISTINCT FROM (m.open_mask, m.acknowledged_mask, m.accepted_mask, m.active_exposure_count, m.max_exposure_severity);

-- name: find_rotations
INSERT INTO rotated (workload_id, from_identity, to_identity)
WITH now_bound AS (
  SELECT DISTINCT e.from_id AS workload_id, e.to_id AS identity_id FROM edge e
  WHERE e.organization_id = @organization AND e.kind = 'runs_as' AND e.from_id IN (SELECT b.workload_id FROM identity_before b)
), lost AS (
  SELECT workload_id, identity_id FROM identity_before EXCEPT SELECT workload_id, identity_id FROM now_bound
), gained AS (
  SELECT workload_id, identity_id FROM now_bound EXCEPT SELECT workload_id, identity_id FROM identity_before
)
SELECT l.workload_id, l.identity_id, g.identity_id
FROM lost l JOIN gained g ON g.workload_id = l.workload_id
WHERE (SELECT count(*) FROM lost o WHERE o.workload_id = l.workload_id) = 1
  AND (SELECT count(*) FROM gained o WHERE o.workload_id = l.workload_id) = 1;

-- name: find_successions
INSERT INTO succeeded (predecessor_id, successor_id)
SELECT old.id, new.path_id
FROM rotated r
JOIN authority_path old ON old.organization_id = @organization AND old.workload_id = r.workload_id AND old.identity_id = r.from_identity
JOIN path_diff gone ON gone.path_id = old.id AND gone.op = 'removed'
JOIN desired new ON new.workload_id = r.workload_id AND new.identity_id = r.to_identity AND new.resource_id = old.resource_id
JOIN path_diff come ON come.path_id = new.path_id AND come.op IN ('added', 'revived');

-- name: add_rotations
INSERT INTO identity_rotation (organization_id, workload_id, at, from_identity, to_identity, sync_id)
SELECT @organization, r.workload_id, @at, r.from_identity, r.to_identity, @sync FROM rotated r;

-- name: add_successions
INSERT INTO path_succession (organization_id, predecessor_id, successor_id, at)
SELECT @organization, s.predecessor_id, s.successor_id, @at FROM succeeded s;

-- name: move_window
UPDATE organization_window SET window_at = @at WHERE organization_id = @organization;

-- name: add_evaluation
INSERT INTO evaluation (organization_id, at, recorded_at, cause, actor, paths_changed, exposures_opened, exposures_resolved, assets_stale)
VALUES (@organization, @at, @recorded_at, @cause, @actor, @paths_changed, @exposures_opened, @exposures_resolved, @assets_stale);
