-- The outer surface: what scanners see from outside, as assets with a past, where
-- they looked, and which workloads stand behind it. docs/model.md explains the
-- tables, docs/adr why they are made as they are.

-- +goose Up

-- Assets -------------------------------------------------------------------------

-- What never changes stands here alone (kind, value and all that follows from the
-- value); what changes stands here as it is and in asset_version as it was.
CREATE TABLE asset (
  organization_id uuid        NOT NULL REFERENCES organization (id),
  id              uuid        NOT NULL,
  kind            text        COLLATE "C" NOT NULL
                  CHECK (kind IN ('domain', 'host', 'service', 'url', 'url_path', 'certificate', 'technology', 'file')),
  value           text        COLLATE "C" NOT NULL CHECK (value <> '' AND octet_length(value) <= 2400),
  parent_id       uuid,
  root_id         uuid,
  address         inet,
  protocol        text        COLLATE "C" CHECK (protocol IN ('tcp', 'udp', 'sctp', 'ip')),
  port            integer     CHECK (port BETWEEN 0 AND 65535),
  origin          text        COLLATE "C",
  sha1            text        COLLATE "C",
  first_seen_at   timestamptz NOT NULL,
  status          text        COLLATE "C" NOT NULL CHECK (status IN ('active', 'closed', 'stale')),
  state           text        COLLATE "C" CHECK (state IN ('open', 'closed', 'filtered')),
  attributes      jsonb       NOT NULL,
  technology      jsonb,
  confidence      smallint    CHECK (confidence BETWEEN 1 AND 100),
  plugin          text        COLLATE "C",
  class           integer     NOT NULL DEFAULT 0,
  version         integer     NOT NULL DEFAULT 1 CHECK (version > 0),
  from_at         timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  FOREIGN KEY (organization_id, parent_id) REFERENCES asset (organization_id, id),
  CHECK ((kind = 'service') = (protocol IS NOT NULL) AND (protocol IS NULL) = (port IS NULL)),
  CHECK ((kind = 'service') = (state IS NOT NULL))
);
CREATE UNIQUE INDEX asset_value ON asset (organization_id, kind, value); -- a page by kind and value; which asset has this name?
CREATE INDEX asset_discovered ON asset (organization_id, first_seen_at, id); -- what was new at this instant, for the feed; the newest
CREATE INDEX asset_root ON asset (organization_id, root_id, kind) WHERE root_id IS NOT NULL; -- what is on this host?
CREATE INDEX asset_parent ON asset (organization_id, parent_id) WHERE parent_id IS NOT NULL; -- what runs on this service, which pages has it?
CREATE INDEX asset_address ON asset (organization_id, address, port) WHERE port IS NOT NULL; -- which ports are known of these addresses?
CREATE INDEX asset_sha1 ON asset (organization_id, sha1) WHERE sha1 IS NOT NULL; -- is this certificate known by its other digest?
COMMENT ON TABLE asset IS 'What is seen from outside, once for all who see it: neither the scanner nor its source is in the id. Whatever changes has its past in asset_version.';
COMMENT ON COLUMN asset.value IS 'Its normal name, by which two scanners mean one asset: docs/assets.md.';
COMMENT ON COLUMN asset.root_id IS 'The host or domain at the top, of itself its own id; null for certificates and files.';
COMMENT ON COLUMN asset.address IS 'That of the root, if it is a host.';
COMMENT ON COLUMN asset.origin IS 'Of a url and a url path: scheme://host:port.';
COMMENT ON COLUMN asset.sha1 IS 'Of a certificate: its other digest.';
COMMENT ON COLUMN asset.status IS 'active; closed by a delivery that looked and did not see it; stale when somebody looked, but long after it was seen.';
COMMENT ON COLUMN asset.state IS 'Of a service: how its port answered last.';
COMMENT ON COLUMN asset.attributes IS 'Field by field from the sighting that is surest of it, then the newest.';
COMMENT ON COLUMN asset.technology IS 'Of a service and a url: what runs there, from the technologies below it. Null: unknown.';
COMMENT ON COLUMN asset.class IS 'The access class of its workloads if they have one class, else 0.';

CREATE TABLE asset_version (
  organization_id uuid        NOT NULL,
  id              uuid        NOT NULL,
  version         integer     NOT NULL,
  from_at         timestamptz NOT NULL,
  to_at           timestamptz NOT NULL,
  status          text        COLLATE "C" NOT NULL,
  state           text        COLLATE "C",
  attributes      jsonb       NOT NULL,
  technology      jsonb,
  confidence      smallint,
  plugin          text        COLLATE "C",
  class           integer     NOT NULL,
  PRIMARY KEY (organization_id, id, version),
  FOREIGN KEY (organization_id, id) REFERENCES asset (organization_id, id),
  CHECK (from_at < to_at)
);
CREATE INDEX asset_version_to ON asset_version (organization_id, to_at, id); -- what changed at this instant, for the feed
COMMENT ON TABLE asset_version IS 'What assets were before, each true in [from_at, to_at).';

-- What scanners saw ----------------------------------------------------------------

CREATE TABLE asset_sighting (
  organization_id uuid        NOT NULL,
  asset_id        uuid        NOT NULL,
  source_id       uuid        NOT NULL,
  from_at         timestamptz NOT NULL,
  to_at           timestamptz,
  stated_at       timestamptz NOT NULL,
  state           text        COLLATE "C",
  attributes      jsonb       NOT NULL,
  digest          uuid        NOT NULL,
  confidence      smallint,
  plugin          text        COLLATE "C",
  PRIMARY KEY (organization_id, asset_id, source_id, from_at),
  FOREIGN KEY (organization_id, asset_id) REFERENCES asset (organization_id, id),
  FOREIGN KEY (organization_id, source_id) REFERENCES source (organization_id, id),
  CHECK (from_at < to_at AND stated_at <= from_at)
);
CREATE UNIQUE INDEX asset_sighting_open ON asset_sighting (organization_id, source_id, asset_id) WHERE to_at IS NULL; -- what does this source see now?
COMMENT ON TABLE asset_sighting IS 'Every delivery of the source in [from_at, to_at) saw the asset, with these details. A delivery that says the same writes nothing; when it was last seen is the source''s last delivery in there.';
COMMENT ON COLUMN asset_sighting.stated_at IS 'Since when the source says these details, also across a gap: a source that comes back does not speak louder for it.';
COMMENT ON COLUMN asset_sighting.digest IS 'Of all that it says, to compare with.';

CREATE TABLE asset_tie (
  organization_id uuid        NOT NULL,
  kind            text        COLLATE "C" NOT NULL CHECK (kind IN ('resolves', 'presents')),
  from_id         uuid        NOT NULL,
  to_id           uuid        NOT NULL,
  source_id       uuid        NOT NULL,
  from_at         timestamptz NOT NULL,
  to_at           timestamptz,
  PRIMARY KEY (organization_id, kind, from_id, to_id, source_id, from_at),
  FOREIGN KEY (organization_id, from_id) REFERENCES asset (organization_id, id),
  FOREIGN KEY (organization_id, to_id) REFERENCES asset (organization_id, id),
  FOREIGN KEY (organization_id, source_id) REFERENCES source (organization_id, id),
  CHECK (from_at < to_at)
);
CREATE UNIQUE INDEX asset_tie_open ON asset_tie (organization_id, source_id, kind, from_id, to_id) WHERE to_at IS NULL; -- which does this source see now?
CREATE INDEX asset_tie_reverse ON asset_tie (organization_id, to_id, kind); -- which services present this certificate, which names has this host?
COMMENT ON TABLE asset_tie IS 'A domain resolves to a host, a service presents a certificate: as a source saw it, in [from_at, to_at).';

CREATE TABLE asset_cover (
  organization_id uuid        NOT NULL,
  source_id       uuid        NOT NULL,
  id              uuid        NOT NULL,
  covers          text        COLLATE "C" NOT NULL
                  CHECK (covers IN ('host', 'service', 'certificate', 'technology', 'domain', 'url')),
  low             inet,
  high            inet,
  protocol        text        COLLATE "C",
  ports           int4multirange,
  subject         text        COLLATE "C",
  from_at         timestamptz NOT NULL,
  to_at           timestamptz,
  PRIMARY KEY (organization_id, source_id, id, from_at),
  FOREIGN KEY (organization_id, source_id) REFERENCES source (organization_id, id),
  CHECK (from_at < to_at),
  CHECK ((covers IN ('host', 'service')) = (low IS NOT NULL AND high IS NOT NULL)),
  CHECK ((low IS NULL) = (subject IS NOT NULL)),
  CHECK ((covers = 'service') = (protocol IS NOT NULL AND ports IS NOT NULL))
);
CREATE UNIQUE INDEX asset_cover_open ON asset_cover (organization_id, source_id, id) WHERE to_at IS NULL; -- where does this source look now?
COMMENT ON TABLE asset_cover IS 'Every delivery of the source in [from_at, to_at) looked there: what lies in it and was not seen was not there.';
COMMENT ON COLUMN asset_cover.id IS 'A digest of what is covered.';
COMMENT ON COLUMN asset_cover.subject IS 'The value of the asset, or the origin of pages, that was asked.';

-- Where the outer surface meets the inner one --------------------------------------

CREATE TABLE endpoint (
  organization_id uuid        NOT NULL,
  workload_id     uuid        NOT NULL,
  kind            text        COLLATE "C" NOT NULL CHECK (kind IN ('mapping', 'ingress', 'hostname', 'address')),
  value           text        COLLATE "C" NOT NULL CHECK (value <> ''),
  port            integer     NOT NULL DEFAULT 0 CHECK (port BETWEEN 0 AND 65535),
  source_id       uuid        NOT NULL,
  from_at         timestamptz NOT NULL,
  to_at           timestamptz,
  PRIMARY KEY (organization_id, workload_id, kind, value, port, source_id, from_at),
  FOREIGN KEY (organization_id, source_id) REFERENCES source (organization_id, id),
  CHECK (from_at < to_at)
);
CREATE UNIQUE INDEX endpoint_open ON endpoint (organization_id, source_id, workload_id, kind, value, port) WHERE to_at IS NULL; -- what does this source say now?
CREATE INDEX endpoint_value ON endpoint (organization_id, value) WHERE to_at IS NULL; -- who answers at this name?
COMMENT ON TABLE endpoint IS 'At which names and addresses a workload says, or somebody says of it, that it answers, in [from_at, to_at). The workload need not be known yet.';
COMMENT ON COLUMN endpoint.port IS '0: whichever.';

CREATE TABLE asset_link (
  organization_id uuid        NOT NULL,
  asset_id        uuid        NOT NULL,
  workload_id     uuid        NOT NULL,
  basis           text        COLLATE "C" NOT NULL CHECK (basis IN ('mapping', 'ingress', 'hostname', 'address', 'image')),
  detail          text        NOT NULL,
  from_at         timestamptz NOT NULL,
  to_at           timestamptz,
  PRIMARY KEY (organization_id, asset_id, workload_id, basis, from_at),
  FOREIGN KEY (organization_id, asset_id) REFERENCES asset (organization_id, id),
  FOREIGN KEY (organization_id, workload_id) REFERENCES entity (organization_id, id),
  CHECK (from_at < to_at)
);
CREATE UNIQUE INDEX asset_link_open ON asset_link (organization_id, asset_id, workload_id, basis) WHERE to_at IS NULL; -- which stand now?
CREATE INDEX asset_link_workload ON asset_link (organization_id, workload_id, asset_id); -- what is seen of this workload from outside?
COMMENT ON TABLE asset_link IS 'Which workload stands behind an asset, and by what that is known, in [from_at, to_at). Derived from endpoints, ties and files.';
COMMENT ON COLUMN asset_link.detail IS 'The name, address or image that says so.';

-- Files ----------------------------------------------------------------------------

CREATE TABLE file_upload (
  organization_id uuid        NOT NULL REFERENCES organization (id),
  id              uuid        NOT NULL,
  sha256          bytea       NOT NULL CHECK (length(sha256) = 32),
  size            bigint      NOT NULL CHECK (size >= 0),
  media_type      text        COLLATE "C" NOT NULL,
  name            text        NOT NULL CHECK (name <> ''),
  artifact        text        COLLATE "C",
  sync_id         uuid,
  actor           text        NOT NULL,
  recorded_at     timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id)
);
COMMENT ON TABLE file_upload IS 'Files that are about to be kept: written before the object store is, gone with the commit that makes them files. Whatever dies in between can be completed or dropped from it.';

CREATE TABLE file (
  organization_id uuid        NOT NULL,
  id              uuid        NOT NULL,
  sha256          bytea       NOT NULL CHECK (length(sha256) = 32),
  size            bigint      NOT NULL CHECK (size >= 0),
  media_type      text        COLLATE "C" NOT NULL,
  name            text        NOT NULL CHECK (name <> ''),
  artifact        text        COLLATE "C",
  sync_id         uuid,
  actor           text        NOT NULL,
  at              timestamptz NOT NULL,
  recorded_at     timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  FOREIGN KEY (organization_id, id) REFERENCES asset (organization_id, id),
  FOREIGN KEY (organization_id, sync_id) REFERENCES sync (organization_id, id)
);
CREATE UNIQUE INDEX file_at ON file (organization_id, at); -- the clock: nothing else happened at that instant
COMMENT ON TABLE file IS 'Files that are in the object store, each once by its content. Nothing in it is ever changed.';
COMMENT ON COLUMN file.id IS 'That of its asset.';
COMMENT ON COLUMN file.media_type IS 'By its content, not by what the sender called it.';
COMMENT ON COLUMN file.name IS 'What its first sender called it: a label, never a path.';
COMMENT ON COLUMN file.artifact IS 'The image that it was collected of.';
COMMENT ON COLUMN file.at IS 'When it was collected, on the organization''s clock.';

-- Deliveries -----------------------------------------------------------------------

ALTER TABLE source ADD COLUMN scans boolean NOT NULL DEFAULT false;
ALTER TABLE sync
  ADD COLUMN assets_added   integer NOT NULL DEFAULT 0,
  ADD COLUMN assets_changed integer NOT NULL DEFAULT 0,
  ADD COLUMN assets_gone    integer NOT NULL DEFAULT 0;
ALTER TABLE evaluation ADD COLUMN assets_stale integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN source.scans IS 'Whether it tells of assets or of authority: it cannot do both, each delivery would take back the other.';
COMMENT ON COLUMN sync.assets_gone IS 'Assets that it closed.';

CALL protect('asset');
CALL protect('asset_version');
CALL protect('asset_sighting');
CALL protect('asset_tie');
CALL protect('asset_cover');
CALL protect('endpoint');
CALL protect('asset_link');
CALL protect('file_upload');
CALL protect('file');
CALL append_only('file');

-- +goose Down
ALTER TABLE evaluation DROP COLUMN assets_stale;
ALTER TABLE sync DROP COLUMN assets_added, DROP COLUMN assets_changed, DROP COLUMN assets_gone;
ALTER TABLE source DROP COLUMN scans;
DROP TABLE file, file_upload, asset_link, endpoint, asset_cover, asset_tie, asset_sighting, asset_version, asset;
