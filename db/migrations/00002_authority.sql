-- What sources say (assertions), what follows from it (entities, authority
-- paths) and what it was before (versions). docs/model.md explains the tables.

-- +goose Up

-- Identifiers ---------------------------------------------------------------
-- The same bytes as internal/id: a digest over a tag and length-prefixed
-- fields, an absent field being one zero byte. Golden vectors hold both sides.

-- +goose StatementBegin
CREATE FUNCTION digest_field(field bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce('\x01'::bytea || int4send(length(field)) || field, '\x00'::bytea)
$$;

CREATE FUNCTION digest_list(fields bytea[]) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT digest_field(int4send(cardinality(fields)))
      || coalesce((SELECT string_agg(digest_field(f), ''::bytea ORDER BY n) FROM unnest(fields) WITH ORDINALITY AS t(f, n)), ''::bytea)
$$;

CREATE FUNCTION short_id(digest bytea) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT encode(substr(digest, 1, 16), 'hex')::uuid
$$;

CREATE FUNCTION authority_path_id(organization uuid, workload uuid, identity uuid, resource uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT short_id(sha256('\x0100000010617574686f726974792d706174682f31'::bytea
      || '\x0100000010'::bytea || uuid_send(organization)
      || '\x0100000010'::bytea || uuid_send(workload)
      || coalesce('\x0100000010'::bytea || uuid_send(identity), '\x00'::bytea)
      || '\x0100000010'::bytea || uuid_send(resource)))
$$;

CREATE FUNCTION authority_lineage_id(organization uuid, workload uuid, resource uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT short_id(sha256('\x0100000013617574686f726974792d6c696e656167652f31'::bytea
      || '\x0100000010'::bytea || uuid_send(organization)
      || '\x0100000010'::bytea || uuid_send(workload)
      || '\x0100000010'::bytea || uuid_send(resource)))
$$;

-- The part of a composition that all workloads of an identity share.
CREATE FUNCTION composition_tail(roles uuid[], actions text[]) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT digest_list(ARRAY(SELECT uuid_send(r) FROM unnest(roles) WITH ORDINALITY AS t(r, n) ORDER BY n))
      || digest_list(ARRAY(SELECT convert_to(a, 'UTF8') FROM unnest(actions) WITH ORDINALITY AS t(a, n) ORDER BY n))
$$;

CREATE FUNCTION composition_hash(workload uuid, identity uuid, resource uuid, tail bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT sha256('\x010000000d636f6d706f736974696f6e2f31'::bytea
      || '\x0100000010'::bytea || uuid_send(workload)
      || coalesce('\x0100000010'::bytea || uuid_send(identity), '\x00'::bytea)
      || '\x0100000010'::bytea || uuid_send(resource) || tail)
$$;

-- The union of several lists, sorted by bytes.
CREATE FUNCTION sorted_distinct(list text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(DISTINCT item COLLATE "C" ORDER BY item COLLATE "C"), '{}') FROM unnest(list) AS item
$$;
-- +goose StatementEnd

CREATE AGGREGATE array_concat(anycompatiblearray) (sfunc = array_cat, stype = anycompatiblearray, initcond = '{}', parallel = safe);

-- The first value that is stated, in the order of the aggregate.
CREATE FUNCTION keep_first(kept anyelement, next anyelement) RETURNS anyelement
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT kept';
CREATE AGGREGATE first_stated(anyelement) (sfunc = keep_first, stype = anyelement, parallel = safe);

-- Sources and syncs ----------------------------------------------------------

CREATE TABLE source (
  organization_id  uuid        NOT NULL REFERENCES organization (id),
  id               uuid        NOT NULL,
  name             text        COLLATE "C" NOT NULL CHECK (name <> ''),
  system           text        COLLATE "C" NOT NULL CHECK (system <> ''),
  format           text        COLLATE "C" NOT NULL,
  created_at       timestamptz NOT NULL,
  last_sync_id     uuid,
  last_observed_at timestamptz,
  last_applied_at  timestamptz,
  last_complete_at timestamptz,
  content_digest   uuid,
  PRIMARY KEY (organization_id, id),
  UNIQUE (organization_id, name, system)
);
COMMENT ON TABLE source IS 'A feed: what one connector says about one system.';
COMMENT ON COLUMN source.last_complete_at IS 'Instant (organization clock) of the last complete sync; what the source still asserts was last seen then.';
COMMENT ON COLUMN source.content_digest IS 'Digest of the last complete sync without a rejection; null after anything else, so that the next sync is compared row by row.';

CREATE TABLE sync (
  organization_id  uuid        NOT NULL,
  id               uuid        NOT NULL,
  source_id        uuid        NOT NULL,
  version          bigint      NOT NULL,
  at               timestamptz NOT NULL,
  observed_at      timestamptz NOT NULL,
  recorded_at      timestamptz NOT NULL,
  actor            text        NOT NULL,
  outcome          text        COLLATE "C" NOT NULL CHECK (outcome IN ('applied', 'unchanged', 'late')),
  complete         boolean     NOT NULL,
  content_digest   uuid        NOT NULL,
  records_read     integer     NOT NULL,
  records_rejected integer     NOT NULL,
  paths_added      integer     NOT NULL,
  paths_kept       integer     NOT NULL,
  paths_changed    integer     NOT NULL,
  paths_removed    integer     NOT NULL,
  rejections       jsonb       NOT NULL,
  warnings         jsonb       NOT NULL,
  PRIMARY KEY (organization_id, id),
  UNIQUE (organization_id, version),
  FOREIGN KEY (organization_id, source_id) REFERENCES source (organization_id, id)
);
CREATE INDEX sync_clock ON sync (organization_id, at);
COMMENT ON TABLE sync IS 'One delivery of a source. The greatest at of an organization is its clock.';

CREATE TABLE organization_window (
  organization_id uuid        PRIMARY KEY REFERENCES organization (id),
  window_at       timestamptz NOT NULL
);
COMMENT ON TABLE organization_window IS 'Where windows and thresholds end; set by the first sync, moved only by re-evaluation.';

-- Access ---------------------------------------------------------------------

CREATE TABLE access_class (
  organization_id uuid    NOT NULL REFERENCES organization (id),
  class           integer NOT NULL CHECK (class > 0),
  environment     text    COLLATE "C" NOT NULL,
  owner           text    COLLATE "C" NOT NULL,
  business_tier   text    COLLATE "C" NOT NULL,
  PRIMARY KEY (organization_id, class),
  UNIQUE (organization_id, environment, owner, business_tier)
);
COMMENT ON TABLE access_class IS 'The distinct attribute combinations of workloads; attribute filters resolve to a set of classes. Class 0 is a workload without attributes.';

-- Assertions -----------------------------------------------------------------
-- entity_assertion and edge have no foreign keys: a sync checks references set
-- by set before it writes, and a key per row would triple its time.

CREATE TABLE entity_assertion (
  organization_id      uuid     NOT NULL,
  entity_id            uuid     NOT NULL,
  source_id            uuid     NOT NULL,
  basis                smallint NOT NULL CHECK (basis BETWEEN 1 AND 4),
  digest               uuid     NOT NULL,
  kind                 text     COLLATE "C" NOT NULL,
  system               text     COLLATE "C" NOT NULL,
  external_id          text     COLLATE "C" NOT NULL,
  name                 text,
  status               text     COLLATE "C",
  environment          text,
  owner_team           text,
  business_tier        text,
  execution_mode       text     COLLATE "C",
  artifact_identifier  text,
  source_type          text,
  data_domain          text     COLLATE "C",
  data_domain_stated   text,
  sensitivity          smallint,
  sensitivity_stated   text,
  owner_type           text     COLLATE "C",
  title                text,
  last_active_at       timestamptz,
  created_in_source_at timestamptz,
  labels               jsonb,
  PRIMARY KEY (organization_id, entity_id, source_id, basis)
);
COMMENT ON TABLE entity_assertion IS 'What one source says of one entity, on one basis. An entity lives while one source asserts it.';

CREATE TABLE edge (
  organization_id uuid    NOT NULL,
  kind            text    COLLATE "C" NOT NULL
                  CHECK (kind IN ('runs_as', 'has_role', 'grants', 'owned_by', 'created_by', 'authenticates', 'declares')),
  from_id         uuid    NOT NULL,
  scope           text    COLLATE "C" NOT NULL,
  to_id           uuid    NOT NULL,
  source_id       uuid    NOT NULL,
  actions         text[]  NOT NULL,
  effective       boolean NOT NULL,
  protocol        text    NOT NULL,
  target_system   text    NOT NULL,
  PRIMARY KEY (organization_id, kind, from_id, scope, to_id, source_id)
);
CREATE INDEX edge_reverse ON edge (organization_id, kind, to_id);
COMMENT ON TABLE edge IS 'What ties two entities, asserted by one source. The row is its own assertion.';

CREATE TABLE egress (
  organization_id uuid NOT NULL,
  workload_id     uuid NOT NULL,
  host            text COLLATE "C" NOT NULL,
  source_id       uuid NOT NULL,
  category        text COLLATE "C" NOT NULL CHECK (category IN ('internal', 'external', 'llm')),
  PRIMARY KEY (organization_id, workload_id, host, source_id),
  FOREIGN KEY (organization_id, source_id) REFERENCES source (organization_id, id)
);
COMMENT ON TABLE egress IS 'The first outbound boundaries of a workload, asserted by one source.';

CREATE TABLE evidence (
  organization_id uuid        NOT NULL,
  workload_id     uuid        NOT NULL,
  identity_id     uuid        NOT NULL,
  resource_id     uuid        NOT NULL,
  action          text        COLLATE "C" NOT NULL,
  day             date        NOT NULL,
  related         boolean     NOT NULL,
  source_id       uuid        NOT NULL,
  basis           text        COLLATE "C" NOT NULL CHECK (basis IN ('path', 'workload', 'identity')),
  count           bigint      NOT NULL CHECK (count > 0),
  last_at         timestamptz,
  recorded_at     timestamptz NOT NULL,
  PRIMARY KEY (organization_id, workload_id, identity_id, resource_id, action, day, related, source_id),
  FOREIGN KEY (organization_id, source_id) REFERENCES source (organization_id, id)
);
COMMENT ON TABLE evidence IS 'Executions counted by day. A subject that is not named is the nil uuid. What was observed stays observed: a later sync does not take it back.';

CREATE TABLE coverage (
  organization_id uuid        NOT NULL,
  source_id       uuid        NOT NULL,
  kind            text        COLLATE "C" NOT NULL
                  CHECK (kind IN ('ownership', 'execution', 'egress', 'binding', 'roles')),
  entity_id       uuid        NOT NULL,
  system          text        COLLATE "C" NOT NULL,
  complete        boolean     NOT NULL,
  from_at         timestamptz,
  to_at           timestamptz,
  max_age         interval,
  recorded_at     timestamptz NOT NULL,
  PRIMARY KEY (organization_id, source_id, kind, entity_id),
  FOREIGN KEY (organization_id, source_id) REFERENCES source (organization_id, id)
);
COMMENT ON TABLE coverage IS 'How completely a source knows a kind of evidence, for one entity or, with the nil uuid, for every entity of a system. Only claims of absence need it.';

-- Entities -------------------------------------------------------------------

CREATE TABLE entity (
  organization_id      uuid        NOT NULL REFERENCES organization (id),
  id                   uuid        NOT NULL,
  kind                 text        COLLATE "C" NOT NULL CHECK (kind IN ('workload', 'identity', 'resource', 'role', 'owner')),
  system               text        COLLATE "C" NOT NULL,
  external_id          text        COLLATE "C" NOT NULL,
  name                 text        COLLATE "C" NOT NULL CHECK (name <> ''),
  status               text        COLLATE "C" NOT NULL CHECK (status IN ('active', 'disabled', 'removed')),
  environment          text,
  owner_team           text,
  business_tier        text,
  execution_mode       text        COLLATE "C",
  artifact_identifier  text,
  source_type          text,
  data_domain          text        COLLATE "C",
  data_domain_stated   text,
  sensitivity          smallint    NOT NULL CHECK (sensitivity BETWEEN 0 AND 4),
  sensitivity_stated   text,
  owner_type           text        COLLATE "C",
  title                text,
  last_active_at       timestamptz,
  created_in_source_at timestamptz,
  labels               jsonb,
  class                integer     NOT NULL,
  ownership_status     text        COLLATE "C" NOT NULL
                       CHECK (ownership_status IN ('valid', 'degraded', 'ambiguous', 'orphaned', 'unknown')),
  egress_category      text        COLLATE "C" NOT NULL
                       CHECK (egress_category IN ('llm', 'external', 'internal', 'none', 'unknown')),
  version              integer     NOT NULL,
  from_at              timestamptz NOT NULL,
  first_seen_at        timestamptz NOT NULL,
  removed_at           timestamptz,
  PRIMARY KEY (organization_id, id),
  CHECK ((status = 'removed') = (removed_at IS NOT NULL))
);
CREATE INDEX entity_list ON entity (organization_id, kind, name, id);
COMMENT ON TABLE entity IS 'What all assertions together say: attribute by attribute the lowest basis wins, then the source name. The row is the current version.';
COMMENT ON COLUMN entity.sensitivity IS '0 unknown, 1 public, 2 internal, 3 confidential, 4 restricted.';

CREATE TABLE entity_version (
  organization_id      uuid        NOT NULL,
  id                   uuid        NOT NULL,
  version              integer     NOT NULL,
  from_at              timestamptz NOT NULL,
  to_at                timestamptz NOT NULL,
  name                 text        COLLATE "C" NOT NULL,
  status               text        COLLATE "C" NOT NULL,
  environment          text,
  owner_team           text,
  business_tier        text,
  execution_mode       text        COLLATE "C",
  artifact_identifier  text,
  source_type          text,
  data_domain          text        COLLATE "C",
  data_domain_stated   text,
  sensitivity          smallint    NOT NULL,
  sensitivity_stated   text,
  owner_type           text        COLLATE "C",
  title                text,
  last_active_at       timestamptz,
  created_in_source_at timestamptz,
  labels               jsonb,
  class                integer     NOT NULL,
  ownership_status     text        COLLATE "C" NOT NULL,
  egress_category      text        COLLATE "C" NOT NULL,
  PRIMARY KEY (organization_id, id, version),
  CHECK (from_at < to_at)
);
COMMENT ON TABLE entity_version IS 'Former versions of entities, each true in [from_at, to_at). Written on change only.';

-- Authority paths ------------------------------------------------------------
-- No foreign keys among paths, versions and links: see docs/adr/0002.

CREATE TABLE authority_path (
  organization_id  uuid        NOT NULL,
  id               uuid        NOT NULL,
  lineage_id       uuid        NOT NULL,
  workload_id      uuid        NOT NULL,
  identity_id      uuid,
  resource_id      uuid        NOT NULL,
  status           text        COLLATE "C" NOT NULL CHECK (status IN ('active', 'removed')),
  effective        boolean     NOT NULL,
  role_ids         uuid[]      NOT NULL,
  actions          text[]      NOT NULL,
  auth_chain_depth smallint    NOT NULL,
  composition_hash bytea       NOT NULL,
  class            integer     NOT NULL,
  data_domain      text        COLLATE "C",
  sensitivity      smallint    NOT NULL,
  ownership_status text        COLLATE "C" NOT NULL,
  egress_category  text        COLLATE "C" NOT NULL,
  execution_30d    bigint,
  execution_basis  text        COLLATE "C" CHECK (execution_basis IN ('path', 'workload', 'identity')),
  version          integer     NOT NULL,
  from_at          timestamptz NOT NULL,
  sync_version     bigint      NOT NULL,
  first_seen_at    timestamptz NOT NULL,
  last_seen_at     timestamptz,
  removed_at       timestamptz,
  PRIMARY KEY (organization_id, id),
  CHECK ((status = 'removed') = (removed_at IS NOT NULL))
);
CREATE INDEX authority_path_workload ON authority_path (organization_id, workload_id, resource_id);
CREATE INDEX authority_path_identity ON authority_path (organization_id, identity_id);
CREATE INDEX authority_path_resource ON authority_path (organization_id, resource_id);
CREATE INDEX authority_path_domain ON authority_path (organization_id, data_domain, sensitivity, id);
CREATE INDEX authority_path_status ON authority_path (organization_id, status, sensitivity, id);
CREATE INDEX authority_path_first_seen ON authority_path (organization_id, first_seen_at, id);
COMMENT ON TABLE authority_path IS 'The standing authority of a workload through one identity, or through none that is known, over one resource. The row is the current version.';
COMMENT ON COLUMN authority_path.last_seen_at IS 'Set on removal; while the path is active it derives from its sources.';
COMMENT ON COLUMN authority_path.execution_30d IS 'Executions in the window by the most specific evidence; null when nothing was observed and nobody looked completely.';

CREATE TABLE authority_path_version (
  organization_id  uuid        NOT NULL,
  id               uuid        NOT NULL,
  version          integer     NOT NULL,
  from_at          timestamptz NOT NULL,
  to_at            timestamptz NOT NULL,
  sync_version     bigint      NOT NULL,
  status           text        COLLATE "C" NOT NULL,
  effective        boolean     NOT NULL,
  role_ids         uuid[]      NOT NULL,
  actions          text[]      NOT NULL,
  auth_chain_depth smallint    NOT NULL,
  composition_hash bytea       NOT NULL,
  class            integer     NOT NULL,
  data_domain      text        COLLATE "C",
  sensitivity      smallint    NOT NULL,
  ownership_status text        COLLATE "C" NOT NULL,
  egress_category  text        COLLATE "C" NOT NULL,
  execution_30d    bigint,
  execution_basis  text        COLLATE "C",
  PRIMARY KEY (organization_id, id, version),
  CHECK (from_at < to_at)
);
COMMENT ON TABLE authority_path_version IS 'Former versions of authority paths, each true in [from_at, to_at). Together with the current row they cover every instant since first_seen_at once.';

CREATE TABLE identity_rotation (
  organization_id uuid        NOT NULL,
  workload_id     uuid        NOT NULL,
  at              timestamptz NOT NULL,
  from_identity   uuid        NOT NULL,
  to_identity     uuid        NOT NULL,
  sync_id         uuid        NOT NULL,
  PRIMARY KEY (organization_id, workload_id, at),
  FOREIGN KEY (organization_id, sync_id) REFERENCES sync (organization_id, id)
);
COMMENT ON TABLE identity_rotation IS 'In one sync a workload lost exactly one identity and gained exactly one.';

CREATE TABLE path_succession (
  organization_id uuid        NOT NULL,
  predecessor_id  uuid        NOT NULL,
  successor_id    uuid        NOT NULL,
  at              timestamptz NOT NULL,
  PRIMARY KEY (organization_id, successor_id, at)
);
CREATE INDEX path_succession_predecessor ON path_succession (organization_id, predecessor_id, at);
COMMENT ON TABLE path_succession IS 'The path that took over from another of the same lineage when its workload rotated its identity.';

CALL protect('source');
CALL protect('sync');
CALL protect('organization_window');
CALL protect('access_class');
CALL protect('entity_assertion');
CALL protect('edge');
CALL protect('egress');
CALL protect('evidence');
CALL protect('coverage');
CALL protect('entity');
CALL protect('entity_version');
CALL protect('authority_path');
CALL protect('authority_path_version');
CALL protect('identity_rotation');
CALL protect('path_succession');

-- The runtime role may not ANALYZE what it does not own, and a large sync joins
-- tables that it has just filled: without fresh statistics the planner takes
-- them for empty and joins them row by row. SKIP_LOCKED: another organization's
-- sync may be doing the same, and one of them is enough.
-- +goose StatementBegin
CREATE FUNCTION analyze_authority() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  ANALYZE (SKIP_LOCKED) public.entity_assertion, public.edge, public.entity, public.authority_path;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION analyze_authority();
DROP TABLE path_succession, identity_rotation, authority_path_version, authority_path, entity_version, entity,
  coverage, evidence, egress, edge, entity_assertion, access_class, organization_window, sync, source;
DROP AGGREGATE first_stated(anyelement);
DROP FUNCTION keep_first(anyelement, anyelement);
DROP AGGREGATE array_concat(anycompatiblearray);
DROP FUNCTION sorted_distinct(text[]);
DROP FUNCTION composition_hash(uuid, uuid, uuid, bytea);
DROP FUNCTION composition_tail(uuid[], text[]);
DROP FUNCTION authority_lineage_id(uuid, uuid, uuid);
DROP FUNCTION authority_path_id(uuid, uuid, uuid, uuid);
DROP FUNCTION short_id(bytea);
DROP FUNCTION digest_list(bytea[]);
DROP FUNCTION digest_field(bytea);
