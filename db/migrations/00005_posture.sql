-- What the whole comes to: workloads as rows, the posture of an organization and
-- its history, and what analysts put on record. docs/model.md explains the tables.

-- +goose Up

-- Workloads as rows --------------------------------------------------------------

CREATE TABLE workload_exposure (
  organization_id   uuid        NOT NULL,
  workload_id       uuid        NOT NULL,
  code              text        COLLATE "C" NOT NULL CHECK (code ~ '^EXP-[0-9a-f]{8,64}$'),
  class             integer     NOT NULL,
  live              boolean     NOT NULL,
  listed            boolean     NOT NULL,
  execution_mode    text        COLLATE "C",
  ownership_status  text        COLLATE "C" NOT NULL,
  egress_category   text        COLLATE "C" NOT NULL,
  egress_categories smallint    NOT NULL CHECK (egress_categories BETWEEN 0 AND 7),
  identity_ids      uuid[]      NOT NULL,
  paths             integer     NOT NULL,
  sensitive_paths   integer     NOT NULL,
  dormant_paths     integer     NOT NULL,
  executed_paths    integer     NOT NULL,
  unwatched_paths   integer     NOT NULL,
  findings          integer     NOT NULL,
  finding_rules     integer     NOT NULL,
  max_severity      smallint    NOT NULL CHECK (max_severity BETWEEN 0 AND 4),
  data_domains      text[]      NOT NULL,
  sensitive_domains text[]      NOT NULL,
  clusters          integer     NOT NULL,
  executions        bigint,
  own_executions    bigint      NOT NULL,
  last_execution_at timestamptz,
  PRIMARY KEY (organization_id, workload_id),
  UNIQUE (organization_id, code),
  CHECK (live OR NOT listed)
);
CREATE INDEX workload_exposure_list ON workload_exposure (organization_id, max_severity, findings, workload_id) WHERE listed;
-- The digest that codes are cut from; internal/id.WorkloadExposure is the same.
-- +goose StatementBegin
CREATE FUNCTION workload_exposure_digest(organization uuid, workload uuid) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT encode(sha256('\x0100000013776f726b6c6f61642d6578706f737572652f31'::bytea
      || '\x0100000010'::bytea || uuid_send(organization)
      || '\x0100000010'::bytea || uuid_send(workload)), 'hex')
$$;
-- +goose StatementEnd
COMMENT ON TABLE workload_exposure IS 'What the paths and findings of a workload come to. The row stays when the workload is removed, so that its code stays its own.';
COMMENT ON COLUMN workload_exposure.code IS 'The id that people use: a prefix of a digest over organization and workload, as long as it has to be to be the only one.';
COMMENT ON COLUMN workload_exposure.live IS 'Whether the workload lives.';
COMMENT ON COLUMN workload_exposure.listed IS 'Whether it is a row of the list: it lives, and has paths or findings.';
COMMENT ON COLUMN workload_exposure.egress_categories IS 'All that was seen: 1 internal, 2 external, 4 to a model.';
COMMENT ON COLUMN workload_exposure.identity_ids IS 'Whom it runs as or authenticates as, the nearest first, then by name.';
COMMENT ON COLUMN workload_exposure.findings IS 'Open conditions of the workload and its identities, and exposures of path grain on its paths that nobody called false.';
COMMENT ON COLUMN workload_exposure.finding_rules IS 'The rules of the findings: bit (rule - 1).';
COMMENT ON COLUMN workload_exposure.max_severity IS 'Of the exposures of its paths; without an effective path, of its own conditions. 0 for none.';
COMMENT ON COLUMN workload_exposure.clusters IS 'The clusters that a path of it is a member of, acknowledged exposures counting: bit (cluster - 1).';
COMMENT ON COLUMN workload_exposure.executions IS 'Distinct evidence of the window that its paths count; null when nothing was observed and nobody watched all of them.';
COMMENT ON COLUMN workload_exposure.own_executions IS 'Those of them that name the workload, and so no other one.';

CREATE TABLE identity_posture (
  organization_id uuid    NOT NULL,
  identity_id     uuid    NOT NULL,
  class           integer NOT NULL CHECK (class >= -1),
  paths           integer NOT NULL CHECK (paths > 0),
  effective_paths integer NOT NULL,
  dormant_paths   integer NOT NULL,
  executed_paths  integer NOT NULL,
  autonomous      boolean NOT NULL,
  executions      bigint  NOT NULL,
  PRIMARY KEY (organization_id, identity_id, class)
);
COMMENT ON TABLE identity_posture IS 'What the paths through an identity come to, for one access class or, with class -1, for all.';
COMMENT ON COLUMN identity_posture.autonomous IS 'Whether a path that was executed in the window starts at an autonomous workload.';
COMMENT ON COLUMN identity_posture.executions IS 'Distinct evidence of the window that its paths count and that names no workload.';

-- Posture ------------------------------------------------------------------------

CREATE TABLE posture_counter (
  organization_id        uuid        NOT NULL,
  class                  integer     NOT NULL CHECK (class >= -1),
  paths                  bigint      NOT NULL,
  sensitive_paths        bigint      NOT NULL,
  dormant_paths          bigint      NOT NULL,
  executed_paths         bigint      NOT NULL,
  unwatched_paths        bigint      NOT NULL,
  invalid_paths          bigint      NOT NULL,
  executed_invalid_paths bigint      NOT NULL,
  executions             bigint      NOT NULL,
  workloads              bigint      NOT NULL,
  autonomous             bigint      NOT NULL,
  operator_assisted      bigint      NOT NULL,
  human_triggered        bigint      NOT NULL,
  unclassified           bigint      NOT NULL,
  listed                 bigint      NOT NULL,
  critical               bigint      NOT NULL,
  high                   bigint      NOT NULL,
  medium                 bigint      NOT NULL,
  low                    bigint      NOT NULL,
  identities             bigint      NOT NULL,
  active_identities      bigint      NOT NULL,
  active_autonomous      bigint      NOT NULL,
  dormant_identities     bigint      NOT NULL,
  paths_added            bigint      NOT NULL,
  paths_removed          bigint      NOT NULL,
  paths_orphaned         bigint      NOT NULL,
  paths_invalidated      bigint      NOT NULL,
  autonomous_gained      bigint      NOT NULL,
  from_at                timestamptz NOT NULL,
  PRIMARY KEY (organization_id, class)
);
COMMENT ON TABLE posture_counter IS 'What an organization comes to, for one access class or, with class -1, for all. From paths_added on, how often something has happened so far.';
COMMENT ON COLUMN posture_counter.invalid_paths IS 'Paths of workloads whose ownership is orphaned or degraded.';
COMMENT ON COLUMN posture_counter.unclassified IS 'Workloads that an event starts, or of which no source says who starts them.';
COMMENT ON COLUMN posture_counter.listed IS 'Workloads that are rows of the list; critical to low, those of this severity.';
COMMENT ON COLUMN posture_counter.dormant_identities IS 'Identities all of whose effective paths are dormant.';
COMMENT ON COLUMN posture_counter.paths_orphaned IS 'How often a path came to have nobody to answer for it.';
COMMENT ON COLUMN posture_counter.paths_invalidated IS 'How often a path came to have an orphaned or degraded ownership.';
COMMENT ON COLUMN posture_counter.autonomous_gained IS 'How often an identity came to be counted in active_autonomous.';

CREATE TABLE posture_counter_version (LIKE posture_counter);
ALTER TABLE posture_counter_version
  ADD COLUMN to_at timestamptz NOT NULL,
  ADD PRIMARY KEY (organization_id, class, from_at),
  ADD CHECK (from_at < to_at);
COMMENT ON TABLE posture_counter_version IS 'Former values of posture counters, each true in [from_at, to_at).';

CREATE TABLE posture_snapshot (
  organization_id        uuid        NOT NULL REFERENCES organization (id),
  at                     timestamptz NOT NULL,
  sync_id                uuid,
  paths                  bigint      NOT NULL,
  dormant_paths          bigint      NOT NULL,
  executions             bigint      NOT NULL,
  invalid_paths          bigint      NOT NULL,
  executed_invalid_paths bigint      NOT NULL,
  sensitive_paths        bigint,
  workloads              bigint,
  autonomous             bigint,
  operator_assisted      bigint,
  human_triggered        bigint,
  unclassified           bigint,
  identities             bigint,
  active_identities      bigint,
  active_autonomous      bigint,
  dormant_identities     bigint,
  paths_added            bigint,
  paths_removed          bigint,
  paths_orphaned         bigint,
  paths_invalidated      bigint,
  autonomous_gained      bigint,
  clusters               jsonb       NOT NULL,
  PRIMARY KEY (organization_id, at),
  FOREIGN KEY (organization_id, sync_id) REFERENCES sync (organization_id, id)
);
COMMENT ON TABLE posture_snapshot IS 'What an organization came to when a sync or an evaluation had ended, over all access classes. Null: not measured then.';
COMMENT ON COLUMN posture_snapshot.sync_id IS 'The sync that it follows; null for an evaluation.';
COMMENT ON COLUMN posture_snapshot.clusters IS 'By key of cluster, acknowledged exposures counting: how many paths and executions.';

-- What analysts put on record ------------------------------------------------------

CREATE TABLE privilege_justification (
  organization_id uuid        NOT NULL,
  path_id         uuid        NOT NULL,
  from_at         timestamptz NOT NULL,
  to_at           timestamptz CHECK (from_at < to_at),
  actor           text        NOT NULL,
  justification   text        NOT NULL CHECK (justification <> ''),
  actions         text[]      NOT NULL CHECK (cardinality(actions) > 0),
  withdrawn_by    text,
  PRIMARY KEY (organization_id, path_id, from_at),
  CHECK ((to_at IS NULL) = (withdrawn_by IS NULL))
);
CREATE UNIQUE INDEX privilege_justification_current ON privilege_justification (organization_id, path_id) WHERE to_at IS NULL;
COMMENT ON TABLE privilege_justification IS 'Why a path keeps actions that nobody uses, in [from_at, to_at). It covers the actions it names: one that is gained later needs its own.';

ALTER TABLE scope_baseline
  ADD COLUMN actor text,
  ADD COLUMN note  text;
COMMENT ON COLUMN scope_baseline.actor IS 'Who attested it; null for one that was observed.';

ALTER TABLE evaluation
  DROP CONSTRAINT evaluation_cause_check,
  ADD CONSTRAINT evaluation_cause_check CHECK (cause IN ('time', 'settings', 'request', 'attestation', 'justification'));

CALL protect('workload_exposure');
CALL protect('identity_posture');
CALL protect('posture_counter');
CALL protect('posture_counter_version');
CALL protect('posture_snapshot');
CALL protect('privilege_justification');

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION analyze_exposures(part text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  CASE part
    WHEN 'conditions' THEN ANALYZE (SKIP_LOCKED) public.condition;
    WHEN 'exposures' THEN ANALYZE (SKIP_LOCKED) public.exposure;
    WHEN 'clusters' THEN ANALYZE (SKIP_LOCKED) public.cluster_member, public.cluster_identity, public.cluster_workload, public.cluster_evidence, public.cluster_tally;
    WHEN 'posture' THEN ANALYZE (SKIP_LOCKED) public.workload_exposure, public.identity_posture;
  END CASE;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION analyze_exposures(part text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  CASE part
    WHEN 'conditions' THEN ANALYZE (SKIP_LOCKED) public.condition;
    WHEN 'exposures' THEN ANALYZE (SKIP_LOCKED) public.exposure;
    WHEN 'clusters' THEN ANALYZE (SKIP_LOCKED) public.cluster_member, public.cluster_identity, public.cluster_workload, public.cluster_evidence, public.cluster_tally;
  END CASE;
END
$$;
-- +goose StatementEnd
ALTER TABLE evaluation NO FORCE ROW LEVEL SECURITY; -- else the owner would see no row of it
UPDATE evaluation SET cause = 'request' WHERE cause IN ('attestation', 'justification');
ALTER TABLE evaluation FORCE ROW LEVEL SECURITY;
ALTER TABLE evaluation
  DROP CONSTRAINT evaluation_cause_check,
  ADD CONSTRAINT evaluation_cause_check CHECK (cause IN ('time', 'settings', 'request'));
ALTER TABLE scope_baseline DROP COLUMN actor, DROP COLUMN note;
DROP TABLE privilege_justification, posture_snapshot, posture_counter_version, posture_counter, identity_posture, workload_exposure;
DROP FUNCTION workload_exposure_digest(uuid, uuid);
