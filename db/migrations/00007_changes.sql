-- What changed: a feed for each organization whose numbers have no gap and come
-- in their order, and the past of what had none yet. docs/model.md explains the
-- tables, docs/adr why the feed is made as it is.

-- +goose Up

-- The feed -----------------------------------------------------------------------

CREATE TABLE change_head (
  id           uuid        PRIMARY KEY REFERENCES organization (id),
  seq          bigint      NOT NULL DEFAULT 0 CHECK (seq >= 0),
  history_from timestamptz
);
COMMENT ON TABLE change_head IS 'The last number of the feed of each organization. Whoever numbers holds the row to the commit: that is the election among replicas. No tenant table, so that one query reads how far many feeds have come.';
COMMENT ON COLUMN change_head.history_from IS 'Since when everything that is shown has a past. Null: from the first thing that happened.';

CREATE TABLE change_outbox (
  organization_id uuid        NOT NULL,
  at              timestamptz NOT NULL,
  cause           text        COLLATE "C" NOT NULL CHECK (cause IN ('sync', 'evaluation', 'decision')),
  urgent          boolean     NOT NULL,
  size            integer     NOT NULL CHECK (size >= 0),
  stage           smallint    NOT NULL DEFAULT 0,
  after_id        uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  after_type      smallint    NOT NULL DEFAULT 0,
  after_ordinal   integer     NOT NULL DEFAULT 0,
  attempts        smallint    NOT NULL DEFAULT 0,
  recorded_at     timestamptz NOT NULL,
  PRIMARY KEY (organization_id, at, cause)
);
CREATE INDEX change_outbox_urgent ON change_outbox (organization_id, at, cause) WHERE urgent;
ALTER TABLE change_outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
COMMENT ON TABLE change_outbox IS 'What happened and is not, or not wholly, in the feed: one row for each transaction that changed something, written by it. What it changed is read from the versions and intervals that it left.';
COMMENT ON COLUMN change_outbox.at IS 'When it happened, on the organization''s clock: with the cause, what happened.';
COMMENT ON COLUMN change_outbox.urgent IS 'Whether a person did it: that is published before everything else.';
COMMENT ON COLUMN change_outbox.size IS 'How many events it gives at most; what is small is expanded together with others.';
COMMENT ON COLUMN change_outbox.stage IS 'How far a large one is expanded: the stage, and the key behind which that goes on.';
COMMENT ON COLUMN change_outbox.attempts IS 'How often expanding it failed.';

CREATE TABLE exposure_changes (
  organization_id  uuid        NOT NULL,
  seq              bigint      NOT NULL CHECK (seq > 0),
  id               uuid        NOT NULL,
  change_type      text        COLLATE "C" NOT NULL CHECK (change_type ~ '^[a-z_]+$'),
  entity_type      text        COLLATE "C" NOT NULL,
  entity_id        uuid        NOT NULL,
  subject_id       uuid        NOT NULL,
  workload_id      uuid,
  exposure_type    smallint,
  exposure_ordinal integer,
  asset_id         uuid,
  vulnerability_id uuid,
  scan_id          uuid,
  scan_job_id      uuid,
  ledger_seq       bigint,
  caused_by        uuid,
  class            integer     NOT NULL CHECK (class >= -1),
  title            text        NOT NULL CHECK (title <> ''),
  description      text,
  severity         smallint    CHECK (severity BETWEEN 1 AND 4),
  risk_score       integer,
  old_value        jsonb,
  new_value        jsonb,
  metadata         jsonb       NOT NULL,
  at               timestamptz NOT NULL,
  created_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, seq),
  CHECK ((exposure_type IS NULL) = (exposure_ordinal IS NULL))
);
CREATE UNIQUE INDEX exposure_changes_subject ON exposure_changes (organization_id, subject_id, id);
CREATE INDEX exposure_changes_type ON exposure_changes (organization_id, change_type, seq);
CREATE INDEX exposure_changes_severity ON exposure_changes (organization_id, severity, seq) WHERE severity IS NOT NULL;
CREATE INDEX exposure_changes_scan ON exposure_changes (organization_id, scan_id, seq) WHERE scan_id IS NOT NULL;
CREATE INDEX exposure_changes_asset ON exposure_changes (organization_id, asset_id, seq) WHERE asset_id IS NOT NULL;
CREATE INDEX exposure_changes_vulnerability ON exposure_changes (organization_id, vulnerability_id, seq) WHERE vulnerability_id IS NOT NULL;
CREATE INDEX exposure_changes_at ON exposure_changes (organization_id, at, seq);
COMMENT ON TABLE exposure_changes IS 'The feed of an organization: what changed, once, in the order of its publication. Nothing in it is ever changed.';
COMMENT ON COLUMN exposure_changes.seq IS 'Its place in the feed, without a gap.';
COMMENT ON COLUMN exposure_changes.id IS 'Of what happened, not of its publication: a digest over the subject, the entity, the kind and the instant. The same again after a repair, so that nothing is published twice.';
COMMENT ON COLUMN exposure_changes.entity_id IS 'What changed: a path (also of an exposure), a workload, a sync.';
COMMENT ON COLUMN exposure_changes.subject_id IS 'In whose history it stands: the lineage of a path or exposure, else the entity itself.';
COMMENT ON COLUMN exposure_changes.exposure_type IS 'With exposure_ordinal, the exposure of the path that it is about.';
COMMENT ON COLUMN exposure_changes.vulnerability_id IS 'The finding that it is about.';
COMMENT ON COLUMN exposure_changes.scan_id IS 'The sync that it came with; null for an evaluation or a decision.';
COMMENT ON COLUMN exposure_changes.scan_job_id IS 'The source that this sync came from.';
COMMENT ON COLUMN exposure_changes.ledger_seq IS 'The entry of the ledger that says why.';
COMMENT ON COLUMN exposure_changes.caused_by IS 'The id of the event that this one follows from, of the same instant.';
COMMENT ON COLUMN exposure_changes.class IS 'The access class of the workload at that instant; -1 for what is not about one workload.';
COMMENT ON COLUMN exposure_changes.severity IS 'Of the exposure at that instant: 1 low, 2 medium, 3 high, 4 critical.';
COMMENT ON COLUMN exposure_changes.at IS 'When it happened, on the organization''s clock.';
COMMENT ON COLUMN exposure_changes.created_at IS 'When it was published, by the server''s clock.';

CREATE TABLE exposure_change_day (
  organization_id uuid     NOT NULL,
  day             date     NOT NULL,
  change_type     text     COLLATE "C" NOT NULL,
  severity        smallint NOT NULL CHECK (severity BETWEEN 0 AND 4),
  class           integer  NOT NULL CHECK (class >= -1),
  events          bigint   NOT NULL CHECK (events > 0),
  PRIMARY KEY (organization_id, day, change_type, severity, class)
);
COMMENT ON TABLE exposure_change_day IS 'How many events of the feed happened on a day, in UTC. Written together with them.';
COMMENT ON COLUMN exposure_change_day.severity IS 'As in exposure_changes; 0 for none.';

CREATE TABLE change_gap (
  organization_id uuid        NOT NULL,
  at              timestamptz NOT NULL,
  cause           text        COLLATE "C" NOT NULL CHECK (cause IN ('sync', 'evaluation', 'decision')),
  reason          text        NOT NULL CHECK (reason <> ''),
  recorded_at     timestamptz NOT NULL,
  filled_at       timestamptz,
  PRIMARY KEY (organization_id, at, cause)
);
COMMENT ON TABLE change_gap IS 'What happened and could not be noted in the outbox, or not be expanded: noted here, so that the repair need not look for it.';
COMMENT ON COLUMN change_gap.filled_at IS 'When it was given to the outbox again.';

CREATE TABLE sync_progress (
  organization_id uuid        NOT NULL,
  id              uuid        NOT NULL,
  actor           text        NOT NULL,
  phase           text        COLLATE "C" NOT NULL,
  records         bigint      NOT NULL CHECK (records >= 0),
  sync_id         uuid,
  code            text        COLLATE "C",
  started_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id)
);
COMMENT ON TABLE sync_progress IS 'How far deliveries have come that are under way, so that any replica can show it. Swept after a day.';
COMMENT ON COLUMN sync_progress.id IS 'Of the delivery, as its caller named it.';
COMMENT ON COLUMN sync_progress.sync_id IS 'The sync that it became, once it has.';
COMMENT ON COLUMN sync_progress.code IS 'Why it failed.';

-- What had no past yet -------------------------------------------------------------
-- A row that was there before this migration has -infinity: it has been so since
-- before history_from.

ALTER TABLE sync ADD COLUMN format text COLLATE "C";
COMMENT ON COLUMN sync.format IS 'What the source then said its format is; null for syncs of before this column.';
CREATE INDEX sync_source ON sync (organization_id, source_id, at);

ALTER TABLE entity_assertion ADD COLUMN from_at timestamptz NOT NULL DEFAULT '-infinity';
CREATE TABLE entity_assertion_version (LIKE entity_assertion);
ALTER TABLE entity_assertion_version
  ADD COLUMN to_at timestamptz NOT NULL,
  ADD PRIMARY KEY (organization_id, entity_id, source_id, basis, from_at),
  ADD CHECK (from_at < to_at);
COMMENT ON TABLE entity_assertion_version IS 'What sources said of entities before, each true in [from_at, to_at).';

ALTER TABLE edge ADD COLUMN from_at timestamptz NOT NULL DEFAULT '-infinity';
CREATE TABLE edge_version (LIKE edge);
ALTER TABLE edge_version
  ADD COLUMN to_at timestamptz NOT NULL,
  ADD PRIMARY KEY (organization_id, kind, from_id, scope, to_id, source_id, from_at),
  ADD CHECK (from_at < to_at);
CREATE INDEX edge_version_reverse ON edge_version (organization_id, kind, to_id);
COMMENT ON TABLE edge_version IS 'What tied entities before, each true in [from_at, to_at).';

CREATE TABLE coverage_version (LIKE coverage);
ALTER TABLE coverage_version
  ADD COLUMN until timestamptz NOT NULL,
  ADD PRIMARY KEY (organization_id, source_id, kind, entity_id, recorded_at),
  ADD CHECK (recorded_at < until);
COMMENT ON TABLE coverage_version IS 'What sources claimed to know completely before, each in force in [recorded_at, until); from_at and to_at are the window of the claim itself.';

ALTER TABLE evidence ADD COLUMN first_at timestamptz NOT NULL DEFAULT '-infinity';
COMMENT ON COLUMN evidence.first_at IS 'When the row came to be; recorded_at moves when its count grows.';

ALTER TABLE entity_version ADD COLUMN removed_at timestamptz;
CREATE INDEX entity_version_to ON entity_version (organization_id, to_at, id);
COMMENT ON COLUMN entity_version.removed_at IS 'As in entity; a revival forgets it there.';

ALTER TABLE authority_path_version ADD COLUMN last_seen_at timestamptz;
CREATE INDEX authority_path_version_to ON authority_path_version (organization_id, to_at, id);
COMMENT ON COLUMN authority_path_version.last_seen_at IS 'As in authority_path; a revival forgets it there.';

CREATE INDEX identity_rotation_at ON identity_rotation (organization_id, at, workload_id);

ALTER TABLE exposure ADD COLUMN decided_before bigint;
COMMENT ON COLUMN exposure.decided_before IS 'Of one resolved by hand, what decided_seq was until then.';
CREATE INDEX exposure_from ON exposure (organization_id, from_at, path_id, type, ordinal);
CREATE INDEX exposure_version_to ON exposure_version (organization_id, to_at, path_id, type, ordinal);

CREATE INDEX cluster_member_past ON cluster_member (organization_id, cluster, rank, path_id, from_at) WHERE to_at IS NOT NULL;
COMMENT ON TABLE cluster_member IS 'The paths of a cluster, each in [from_at, to_at). Another level, class, rank or version of the definition begins another interval; everything else follows the path while the interval lasts.';

ALTER TABLE cluster_tally ADD COLUMN from_at timestamptz NOT NULL DEFAULT '-infinity';
CREATE TABLE cluster_tally_version (LIKE cluster_tally);
ALTER TABLE cluster_tally_version
  ADD COLUMN to_at timestamptz NOT NULL,
  ADD PRIMARY KEY (organization_id, class, level, cluster, dimension, value, from_at),
  ADD CHECK (from_at < to_at);
CREATE INDEX cluster_tally_version_to ON cluster_tally_version (organization_id, class, level, to_at);
COMMENT ON TABLE cluster_tally_version IS 'Former values of tallies, each true in [from_at, to_at).';

ALTER TABLE workload_exposure ADD COLUMN from_at timestamptz NOT NULL DEFAULT '-infinity';
CREATE TABLE workload_exposure_version (LIKE workload_exposure);
ALTER TABLE workload_exposure_version
  ADD COLUMN to_at timestamptz NOT NULL,
  ADD PRIMARY KEY (organization_id, workload_id, from_at),
  ADD CHECK (from_at < to_at);
CREATE INDEX workload_exposure_version_to ON workload_exposure_version (organization_id, to_at, workload_id);
COMMENT ON TABLE workload_exposure_version IS 'What the paths and findings of workloads came to before, each true in [from_at, to_at).';

CALL protect('change_outbox');
CALL protect('exposure_changes');
CALL protect('exposure_change_day');
CALL protect('change_gap');
CALL protect('sync_progress');
CALL protect('entity_assertion_version');
CALL protect('edge_version');
CALL protect('coverage_version');
CALL protect('cluster_tally_version');
CALL protect('workload_exposure_version');
CALL append_only('exposure_changes');

-- pending_feeds names the organizations with something in their outbox. It has no
-- rights of its own: it goes through them one by one, each behind its own policy,
-- and gives ids. The organization of the transaction is none after it: it wants a
-- transaction of its own.
-- +goose StatementBegin
CREATE FUNCTION pending_feeds() RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
DECLARE
  o uuid;
BEGIN
  FOR o IN SELECT id FROM organization LOOP
    PERFORM set_config('app.organization', o::text, true);
    IF EXISTS (SELECT FROM change_outbox b WHERE b.organization_id = o) THEN
      RETURN NEXT o;
    END IF;
  END LOOP;
  PERFORM set_config('app.organization', '', true);
END
$$;
-- +goose StatementEnd

-- What happened before has no whole past: that begins with what happens next. Row
-- level security holds for the owner too, so this goes through them one by one.
-- +goose StatementBegin
DO $$
DECLARE
  o uuid;
BEGIN
  FOR o IN SELECT id FROM organization LOOP
    PERFORM set_config('app.organization', o::text, true);
    INSERT INTO change_head (id, history_from)
    SELECT o, greatest((SELECT max(at) FROM sync WHERE organization_id = o),
                       (SELECT max(at) FROM evaluation WHERE organization_id = o),
                       (SELECT h.at FROM ledger_head h WHERE h.organization_id = o));
  END LOOP;
  PERFORM set_config('app.organization', '', true);
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION pending_feeds();
DROP TABLE workload_exposure_version, cluster_tally_version, coverage_version, edge_version, entity_assertion_version,
  sync_progress, change_gap, exposure_change_day, exposure_changes, change_outbox, change_head;
DROP INDEX sync_source, entity_version_to, authority_path_version_to, identity_rotation_at, exposure_from, exposure_version_to, cluster_member_past;
ALTER TABLE workload_exposure DROP COLUMN from_at;
ALTER TABLE cluster_tally DROP COLUMN from_at;
ALTER TABLE exposure DROP COLUMN decided_before;
ALTER TABLE authority_path_version DROP COLUMN last_seen_at;
ALTER TABLE entity_version DROP COLUMN removed_at;
ALTER TABLE evidence DROP COLUMN first_at;
ALTER TABLE edge DROP COLUMN from_at;
ALTER TABLE entity_assertion DROP COLUMN from_at;
ALTER TABLE sync DROP COLUMN format;
COMMENT ON TABLE cluster_member IS 'The paths of a cluster, each in [from_at, to_at). Another level, class or version of the definition begins another interval; everything else follows the path while the interval lasts.';
