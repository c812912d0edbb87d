-- What is wrong with the authority (conditions, exposures), what to look at
-- first (clusters and their counters), and the settings by which both are
-- judged. docs/model.md explains the tables.

-- +goose Up

-- What judges ------------------------------------------------------------------

CREATE TABLE rule_version (
  organization_id uuid        NOT NULL REFERENCES organization (id),
  rule            smallint    NOT NULL CHECK (rule > 0),
  version         integer     NOT NULL,
  enabled         boolean     NOT NULL,
  from_at         timestamptz NOT NULL,
  to_at           timestamptz CHECK (from_at < to_at),
  PRIMARY KEY (organization_id, rule, from_at)
);
CREATE UNIQUE INDEX rule_version_current ON rule_version (organization_id, rule) WHERE to_at IS NULL;
COMMENT ON TABLE rule_version IS 'Which version of each rule judged the organization, and when. A rule is code; this says which code.';

CREATE TABLE setting (
  organization_id       uuid        NOT NULL REFERENCES organization (id),
  version               integer     NOT NULL,
  from_at               timestamptz NOT NULL,
  to_at                 timestamptz CHECK (from_at < to_at),
  actor                 text        NOT NULL,
  dormant_after_days    integer     NOT NULL CHECK (dormant_after_days BETWEEN 1 AND 3650),
  proof_grace_days      integer     NOT NULL CHECK (proof_grace_days BETWEEN 0 AND 3650),
  privilege_window_days integer     NOT NULL CHECK (privilege_window_days BETWEEN 1 AND 3650),
  shared_workloads      integer     NOT NULL CHECK (shared_workloads BETWEEN 2 AND 1000000),
  disabled_rules        smallint[]  NOT NULL,
  PRIMARY KEY (organization_id, version)
);
COMMENT ON TABLE setting IS 'The thresholds of an organization, each version true in [from_at, to_at). Without a row the defaults of the program hold.';

CREATE TABLE evaluation (
  organization_id    uuid        NOT NULL REFERENCES organization (id),
  at                 timestamptz NOT NULL,
  recorded_at        timestamptz NOT NULL,
  cause              text        COLLATE "C" NOT NULL CHECK (cause IN ('time', 'settings', 'request')),
  actor              text        NOT NULL,
  paths_changed      integer     NOT NULL,
  exposures_opened   integer     NOT NULL,
  exposures_resolved integer     NOT NULL,
  PRIMARY KEY (organization_id, at)
);
COMMENT ON TABLE evaluation IS 'A judgement of everything that no sync caused. It takes its own place on the clock.';

ALTER TABLE sync
  ADD COLUMN exposures_opened   integer NOT NULL DEFAULT 0,
  ADD COLUMN exposures_resolved integer NOT NULL DEFAULT 0;

CREATE TABLE scope_baseline (
  organization_id uuid        NOT NULL,
  identity_id     uuid        NOT NULL,
  at              timestamptz NOT NULL,
  basis           text        COLLATE "C" NOT NULL CHECK (basis IN ('observed', 'attested')),
  PRIMARY KEY (organization_id, identity_id, at)
);
COMMENT ON TABLE scope_baseline IS 'The instants whose scope an identity is compared with; the latest counts. What it held then is in the versions of its paths.';

-- When an identity last acted, whoever it acted for.
CREATE INDEX evidence_identity ON evidence (organization_id, identity_id, day) WHERE identity_id <> '00000000-0000-0000-0000-000000000000';

-- Conditions and exposures -----------------------------------------------------
-- No foreign keys here: see docs/adr/0002.

CREATE TABLE condition (
  organization_id     uuid        NOT NULL,
  subject_id          uuid        NOT NULL,
  rule                smallint    NOT NULL,
  ordinal             integer     NOT NULL,
  rule_version        integer     NOT NULL,
  class               integer     NOT NULL,
  explanation         text        NOT NULL,
  path_explanation    text,
  evidence            jsonb       NOT NULL,
  evidence_digest     uuid        NOT NULL,
  effective_from      timestamptz NOT NULL,
  effective_basis     text        COLLATE "C" NOT NULL CHECK (effective_basis IN ('detected', 'path_first_seen', 'entity_event')),
  indeterminate_since timestamptz,
  version             integer     NOT NULL,
  version_from        timestamptz NOT NULL,
  from_at             timestamptz NOT NULL,
  to_at               timestamptz CHECK (from_at < to_at),
  resolution_reason   text        COLLATE "C",
  PRIMARY KEY (organization_id, subject_id, rule, ordinal),
  CHECK ((to_at IS NULL) = (resolution_reason IS NULL))
);
CREATE UNIQUE INDEX condition_open ON condition (organization_id, subject_id, rule) WHERE to_at IS NULL;
COMMENT ON TABLE condition IS 'What a rule found true of a workload or an identity, in [from_at, to_at). Rules of path grain have none: there the exposure is the condition.';
COMMENT ON COLUMN condition.path_explanation IS 'The explanation on a path, where it names more than the subject: a text for format(), see internal/exposure/rule.';

CREATE TABLE condition_version (
  organization_id     uuid        NOT NULL,
  subject_id          uuid        NOT NULL,
  rule                smallint    NOT NULL,
  ordinal             integer     NOT NULL,
  version             integer     NOT NULL,
  from_at             timestamptz NOT NULL,
  to_at               timestamptz NOT NULL,
  rule_version        integer     NOT NULL,
  class               integer     NOT NULL,
  explanation         text        NOT NULL,
  path_explanation    text,
  evidence            jsonb       NOT NULL,
  evidence_digest     uuid        NOT NULL,
  indeterminate_since timestamptz,
  PRIMARY KEY (organization_id, subject_id, rule, ordinal, version),
  CHECK (from_at < to_at)
);
COMMENT ON TABLE condition_version IS 'Former versions of conditions, each true in [from_at, to_at). Written on change only.';

CREATE TABLE exposure (
  organization_id     uuid        NOT NULL,
  path_id             uuid        NOT NULL,
  type                smallint    NOT NULL CHECK (type > 0),
  ordinal             integer     NOT NULL CHECK (ordinal > 0),
  workload_id         uuid        NOT NULL,
  class               integer     NOT NULL,
  severity            smallint    NOT NULL CHECK (severity BETWEEN 1 AND 4),
  factors             integer     NOT NULL,
  explanation         text        NOT NULL,
  evidence_digest     uuid        NOT NULL,
  disposition         smallint    NOT NULL DEFAULT 1 CHECK (disposition BETWEEN 1 AND 4),
  effective_from      timestamptz NOT NULL,
  effective_basis     text        COLLATE "C" NOT NULL CHECK (effective_basis IN ('detected', 'path_first_seen', 'entity_event')),
  lineage_from        timestamptz NOT NULL,
  indeterminate_since timestamptz,
  version             integer     NOT NULL,
  version_from        timestamptz NOT NULL,
  from_at             timestamptz NOT NULL,
  to_at               timestamptz CHECK (from_at < to_at),
  resolution_reason   text        COLLATE "C",
  PRIMARY KEY (organization_id, path_id, type, ordinal),
  CHECK ((to_at IS NULL) = (resolution_reason IS NULL))
);
CREATE UNIQUE INDEX exposure_open ON exposure (organization_id, path_id, type) WHERE to_at IS NULL;
CREATE INDEX exposure_list ON exposure (organization_id, severity, from_at, path_id, type, ordinal) WHERE to_at IS NULL;
CREATE INDEX exposure_resolved ON exposure (organization_id, to_at, path_id, type, ordinal) WHERE to_at IS NOT NULL;
COMMENT ON TABLE exposure IS 'A condition on one authority path, in [from_at, to_at). The ordinal counts the intervals of a path and type.';
COMMENT ON COLUMN exposure.type IS 'The number of the rule that opens it.';
COMMENT ON COLUMN exposure.severity IS '1 low, 2 medium, 3 high, 4 critical.';
COMMENT ON COLUMN exposure.factors IS 'What the severity is made of: a bit for each factor of internal/exposure/rule.';
COMMENT ON COLUMN exposure.disposition IS 'What people say of it: 1 open, 2 acknowledged, 3 risk accepted, 4 false positive.';
COMMENT ON COLUMN exposure.lineage_from IS 'Since when the lineage has been exposed in this way, whatever identity lay between.';

CREATE TABLE exposure_version (
  organization_id     uuid        NOT NULL,
  path_id             uuid        NOT NULL,
  type                smallint    NOT NULL,
  ordinal             integer     NOT NULL,
  version             integer     NOT NULL,
  from_at             timestamptz NOT NULL,
  to_at               timestamptz NOT NULL,
  class               integer     NOT NULL,
  severity            smallint    NOT NULL,
  factors             integer     NOT NULL,
  explanation         text        NOT NULL,
  evidence_digest     uuid        NOT NULL,
  disposition         smallint    NOT NULL,
  indeterminate_since timestamptz,
  PRIMARY KEY (organization_id, path_id, type, ordinal, version),
  CHECK (from_at < to_at)
);
COMMENT ON TABLE exposure_version IS 'Former versions of exposures, each true in [from_at, to_at). Written on change only.';

-- What stands in a path's row about its exposures. A mask has bit (type - 1) for
-- each type with an active exposure of this level or below: 1 open, 2 also
-- acknowledged, 3 also accepted.
ALTER TABLE authority_path
  ADD COLUMN open_mask             integer  NOT NULL DEFAULT 0,
  ADD COLUMN acknowledged_mask     integer  NOT NULL DEFAULT 0,
  ADD COLUMN accepted_mask         integer  NOT NULL DEFAULT 0,
  ADD COLUMN active_exposure_count smallint NOT NULL DEFAULT 0,
  ADD COLUMN max_exposure_severity smallint;
COMMENT ON COLUMN authority_path.active_exposure_count IS 'Active exposures that nobody accepted or called false: the bits of acknowledged_mask.';
COMMENT ON COLUMN authority_path.max_exposure_severity IS 'The highest severity among them; null without any.';

-- Clusters ---------------------------------------------------------------------

CREATE TABLE cluster_definition (
  organization_id uuid        NOT NULL REFERENCES organization (id),
  cluster         smallint    NOT NULL CHECK (cluster > 0),
  version         integer     NOT NULL,
  from_at         timestamptz NOT NULL,
  to_at           timestamptz CHECK (from_at < to_at),
  key             text        COLLATE "C" NOT NULL,
  grain           text        COLLATE "C" NOT NULL CHECK (grain IN ('path', 'workload')),
  severity        smallint    NOT NULL CHECK (severity BETWEEN 1 AND 4),
  all_mask        integer     NOT NULL,
  any_mask        integer     NOT NULL,
  PRIMARY KEY (organization_id, cluster, from_at)
);
CREATE UNIQUE INDEX cluster_definition_current ON cluster_definition (organization_id, cluster) WHERE to_at IS NULL;
COMMENT ON TABLE cluster_definition IS 'By which expression the members of a cluster were found, and when: all bits of all_mask and, unless it is 0, one of any_mask.';

-- Below exposed_since stands what the counters took from the path, so that what
-- a member once added can be taken back from its own row, whatever became of the
-- path, its exposures and the evidence since. The ids make the row some 50 bytes
-- wider; a path never changes them, but the past is counted without reading a
-- million paths.
CREATE TABLE cluster_member (
  organization_id  uuid        NOT NULL,
  cluster          smallint    NOT NULL,
  level            smallint    NOT NULL CHECK (level BETWEEN 1 AND 3),
  class            integer     NOT NULL,
  path_id          uuid        NOT NULL,
  from_at          timestamptz NOT NULL,
  to_at            timestamptz CHECK (from_at < to_at),
  version          integer     NOT NULL,
  first_seen       date        NOT NULL,
  exposed_since    date        NOT NULL,
  rank             smallint    NOT NULL,
  sensitivity      smallint    NOT NULL,
  evidence         smallint    NOT NULL,
  executed         boolean,
  workload_id      uuid        NOT NULL,
  identity_id      uuid,
  resource_id      uuid        NOT NULL,
  ownership_status text        COLLATE "C" NOT NULL,
  sensitive_domain text        COLLATE "C",
  PRIMARY KEY (organization_id, cluster, path_id, from_at)
);
CREATE INDEX cluster_member_list ON cluster_member (organization_id, cluster, rank, path_id) WHERE to_at IS NULL;
COMMENT ON TABLE cluster_member IS 'The paths of a cluster, each in [from_at, to_at). Another level, class or version of the definition begins another interval; everything else follows the path while the interval lasts.';
COMMENT ON COLUMN cluster_member.level IS 'The smallest at which the expression holds: 1 of open exposures alone, 2 also of acknowledged, 3 also of accepted ones.';
COMMENT ON COLUMN cluster_member.version IS 'Of the definition by which the path was found.';
COMMENT ON COLUMN cluster_member.rank IS 'The order of the list: highest severity of the path''s exposures times 8, plus its sensitivity.';
COMMENT ON COLUMN cluster_member.first_seen IS 'The day, in UTC, on which the path was first seen.';
COMMENT ON COLUMN cluster_member.exposed_since IS 'The day, in UTC, since when the oldest of the exposures that make it a member has been effective.';
COMMENT ON COLUMN cluster_member.evidence IS 'Whom the evidence that it counts names: 1 workload and resource, 2 all three, 4 identity and resource, 8 the workload, 16 workload and identity, 32 the identity.';
COMMENT ON COLUMN cluster_member.executed IS 'Whether it ran in the window; null when nothing was observed and nobody looked completely.';
COMMENT ON COLUMN cluster_member.sensitive_domain IS 'The domain of its resource, where that is confidential or restricted.';

CREATE TABLE cluster_identity (
  organization_id uuid     NOT NULL,
  cluster         smallint NOT NULL,
  level           smallint NOT NULL,
  class           integer  NOT NULL,
  identity_id     uuid     NOT NULL,
  members         bigint   NOT NULL CHECK (members > 0),
  PRIMARY KEY (organization_id, cluster, identity_id, level, class)
);
COMMENT ON TABLE cluster_identity IS 'How many members of a level and class lead through an identity.';

CREATE TABLE cluster_workload (
  organization_id uuid     NOT NULL,
  cluster         smallint NOT NULL,
  level           smallint NOT NULL,
  class           integer  NOT NULL,
  workload_id     uuid     NOT NULL,
  members         bigint   NOT NULL CHECK (members > 0),
  PRIMARY KEY (organization_id, cluster, workload_id, level, class)
);
COMMENT ON TABLE cluster_workload IS 'How many members of a level and class start at a workload.';

CREATE TABLE cluster_evidence (
  organization_id uuid     NOT NULL,
  cluster         smallint NOT NULL,
  level           smallint NOT NULL,
  class           integer  NOT NULL,
  workload_id     uuid     NOT NULL,
  identity_id     uuid     NOT NULL,
  resource_id     uuid     NOT NULL,
  members         bigint   NOT NULL CHECK (members > 0),
  executions      bigint   NOT NULL CHECK (executions > 0),
  PRIMARY KEY (organization_id, cluster, workload_id, identity_id, resource_id, level, class)
);
COMMENT ON TABLE cluster_evidence IS 'The evidence of the window that the members count, by whom it names (the nil uuid: nobody), so that a run is counted once.';

CREATE TABLE cluster_counter (
  organization_id          uuid        NOT NULL,
  cluster                  smallint    NOT NULL,
  level                    smallint    NOT NULL,
  class                    integer     NOT NULL CHECK (class >= -1),
  paths                    bigint      NOT NULL,
  identities               bigint      NOT NULL,
  workloads                bigint      NOT NULL,
  executions               bigint      NOT NULL,
  executed                 bigint      NOT NULL,
  executed_sensitive       bigint      NOT NULL,
  unwatched                bigint      NOT NULL,
  ownership_valid          bigint      NOT NULL,
  ownership_degraded       bigint      NOT NULL,
  ownership_ambiguous      bigint      NOT NULL,
  ownership_orphaned       bigint      NOT NULL,
  ownership_unknown        bigint      NOT NULL,
  sensitivity_unknown      bigint      NOT NULL,
  sensitivity_public       bigint      NOT NULL,
  sensitivity_internal     bigint      NOT NULL,
  sensitivity_confidential bigint      NOT NULL,
  sensitivity_restricted   bigint      NOT NULL,
  from_at                  timestamptz NOT NULL,
  PRIMARY KEY (organization_id, class, level, cluster) -- the whole of an organization lies together
);
COMMENT ON TABLE cluster_counter IS 'What a cluster comes to up to a level, for one access class or, with class -1, for all. Distinct things do not add up over classes, so the whole is kept.';

CREATE TABLE cluster_counter_version (
  organization_id          uuid        NOT NULL,
  cluster                  smallint    NOT NULL,
  level                    smallint    NOT NULL,
  class                    integer     NOT NULL,
  from_at                  timestamptz NOT NULL,
  to_at                    timestamptz NOT NULL,
  paths                    bigint      NOT NULL,
  identities               bigint      NOT NULL,
  workloads                bigint      NOT NULL,
  executions               bigint      NOT NULL,
  executed                 bigint      NOT NULL,
  executed_sensitive       bigint      NOT NULL,
  unwatched                bigint      NOT NULL,
  ownership_valid          bigint      NOT NULL,
  ownership_degraded       bigint      NOT NULL,
  ownership_ambiguous      bigint      NOT NULL,
  ownership_orphaned       bigint      NOT NULL,
  ownership_unknown        bigint      NOT NULL,
  sensitivity_unknown      bigint      NOT NULL,
  sensitivity_public       bigint      NOT NULL,
  sensitivity_internal     bigint      NOT NULL,
  sensitivity_confidential bigint      NOT NULL,
  sensitivity_restricted   bigint      NOT NULL,
  PRIMARY KEY (organization_id, class, level, cluster, from_at),
  CHECK (from_at < to_at)
);
COMMENT ON TABLE cluster_counter_version IS 'Former values of counters, each true in [from_at, to_at).';

CREATE TABLE cluster_tally (
  organization_id uuid     NOT NULL,
  cluster         smallint NOT NULL,
  level           smallint NOT NULL,
  class           integer  NOT NULL CHECK (class >= -1),
  dimension       text     COLLATE "C" NOT NULL CHECK (dimension IN ('sensitive_domain', 'first_seen', 'exposed_since')),
  value           text     COLLATE "C" NOT NULL,
  members         bigint   NOT NULL CHECK (members > 0),
  PRIMARY KEY (organization_id, class, level, cluster, dimension, value)
);
COMMENT ON TABLE cluster_tally IS 'How many members of a cluster up to a level have a value: the domain of a sensitive destination, the day of first sight, the day since when the oldest of their exposures that count here has been effective.';

CALL protect('rule_version');
CALL protect('setting');
CALL protect('evaluation');
CALL protect('scope_baseline');
CALL protect('condition');
CALL protect('condition_version');
CALL protect('exposure');
CALL protect('exposure_version');
CALL protect('cluster_definition');
CALL protect('cluster_member');
CALL protect('cluster_identity');
CALL protect('cluster_workload');
CALL protect('cluster_evidence');
CALL protect('cluster_counter');
CALL protect('cluster_counter_version');
CALL protect('cluster_tally');

-- As analyze_authority, for what a large judgement has just filled, part by part.
-- +goose StatementBegin
CREATE FUNCTION analyze_exposures(part text) RETURNS void
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

-- +goose Down
DROP FUNCTION analyze_exposures(text);
DROP INDEX evidence_identity;
DROP TABLE cluster_tally, cluster_counter_version, cluster_counter, cluster_evidence, cluster_workload, cluster_identity, cluster_member,
  cluster_definition, exposure_version, exposure, condition_version, condition, scope_baseline, evaluation, setting, rule_version;
ALTER TABLE authority_path
  DROP COLUMN open_mask, DROP COLUMN acknowledged_mask, DROP COLUMN accepted_mask,
  DROP COLUMN active_exposure_count, DROP COLUMN max_exposure_severity;
ALTER TABLE sync DROP COLUMN exposures_opened, DROP COLUMN exposures_resolved;
