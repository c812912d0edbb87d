-- What people judged, in a ledger that cannot be edited unnoticed.
-- docs/formats/ledger.md explains the bytes, docs/model.md the tables.

-- +goose Up

-- append_only keeps what was written as it was written, whoever asks. The grants of
-- the runtime role say the same to that role; this says it to everybody else.
-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE PROCEDURE append_only(ledger_table regclass)
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s
                  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', ledger_table);
END
$$;
-- +goose StatementEnd

-- empty_work_tables empties temporary tables that another transaction of the session
-- left filled. Cutting a table off makes its files anew, which takes longer than
-- deleting a few rows; and most have none.
-- +goose StatementBegin
CREATE FUNCTION empty_work_tables(tables text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  size bigint;
BEGIN
  FOR i IN 1 .. cardinality(tables) LOOP
    size := pg_relation_size(('pg_temp.' || quote_ident(tables[i]))::regclass);
    IF size > 131072 THEN
      EXECUTE 'TRUNCATE pg_temp.' || quote_ident(tables[i]);
    ELSIF size > 0 THEN
      EXECUTE 'DELETE FROM pg_temp.' || quote_ident(tables[i]);
    END IF;
  END LOOP;
END
$$;
-- +goose StatementEnd

CREATE TABLE ledger_entry (
  organization_id uuid        NOT NULL REFERENCES organization (id),
  seq             bigint      NOT NULL CHECK (seq > 0),
  previous_hash   bytea       NOT NULL CHECK (length(previous_hash) = 32),
  hash            bytea       NOT NULL CHECK (length(hash) = 32),
  body            bytea       NOT NULL,
  kind            text        COLLATE "C" NOT NULL,
  class           integer     NOT NULL,
  actor           text        NOT NULL,
  at              timestamptz NOT NULL,
  recorded_at     timestamptz NOT NULL,
  subject_id      uuid,
  type            smallint,
  ordinal         integer,
  batch_id        uuid,
  PRIMARY KEY (organization_id, seq),
  CHECK ((type IS NULL) = (ordinal IS NULL))
);
CREATE INDEX ledger_entry_subject ON ledger_entry (organization_id, subject_id, seq) WHERE subject_id IS NOT NULL;
CREATE INDEX ledger_entry_batch ON ledger_entry (organization_id, batch_id, seq) WHERE batch_id IS NOT NULL;
COMMENT ON TABLE ledger_entry IS 'The ledger of an organization: each entry names the one before it by its hash.';
COMMENT ON COLUMN ledger_entry.hash IS 'SHA-256 over a tag, the previous hash and the body.';
COMMENT ON COLUMN ledger_entry.body IS 'The entry, as canonical JSON. This is what was hashed; the columns behind it repeat what is searched for.';
COMMENT ON COLUMN ledger_entry.actor IS 'Who answers for it: the first of its chain of actors.';
COMMENT ON COLUMN ledger_entry.at IS 'When it happened, on the organization''s clock.';
COMMENT ON COLUMN ledger_entry.recorded_at IS 'When it was written down, by the server''s clock.';
COMMENT ON COLUMN ledger_entry.subject_id IS 'What it is about: the path of an exposure, a path, an identity or a workload. Null: the organization or a key.';
COMMENT ON COLUMN ledger_entry.type IS 'With ordinal, the exposure of the path that it is about.';

CREATE TABLE ledger_head (
  organization_id uuid        NOT NULL REFERENCES organization (id),
  seq             bigint      NOT NULL,
  hash            bytea       NOT NULL CHECK (length(hash) = 32),
  at              timestamptz NOT NULL,
  PRIMARY KEY (organization_id)
);
COMMENT ON TABLE ledger_head IS 'The last entry. Whoever appends holds this row until the commit, so that the sequence has no gap.';
COMMENT ON COLUMN ledger_head.at IS 'The greatest instant of all entries; earlier ones are imported behind it.';

CREATE TABLE ledger_tile (
  organization_id uuid   NOT NULL,
  index           bigint NOT NULL CHECK (index >= 0),
  root            bytea  NOT NULL CHECK (length(root) = 32),
  PRIMARY KEY (organization_id, index)
);
COMMENT ON TABLE ledger_tile IS 'Merkle roots of 256 entries each (RFC 6962), so that a proof does not read them all.';

CREATE TABLE ledger_checkpoint (
  organization_id uuid        NOT NULL,
  size            bigint      NOT NULL CHECK (size > 0),
  root            bytea       NOT NULL CHECK (length(root) = 32),
  note            text        NOT NULL,
  signer          text        NOT NULL,
  recorded_at     timestamptz NOT NULL,
  PRIMARY KEY (organization_id, size)
);
COMMENT ON TABLE ledger_checkpoint IS 'Signed statements of what the ledger was at a size. They prove something where a copy is kept elsewhere.';
COMMENT ON COLUMN ledger_checkpoint.note IS 'The signed note, as exported.';

CREATE TABLE ledger_request (
  organization_id uuid        NOT NULL,
  actor           text        NOT NULL,
  key             text        NOT NULL CHECK (key <> ''),
  digest          bytea       NOT NULL CHECK (length(digest) = 32),
  first_seq       bigint,
  last_seq        bigint,
  batch_id        uuid,
  refused         jsonb       NOT NULL,
  recorded_at     timestamptz NOT NULL,
  PRIMARY KEY (organization_id, actor, key),
  CHECK ((first_seq IS NULL) = (last_seq IS NULL))
);
CREATE INDEX ledger_request_batch ON ledger_request (organization_id, batch_id) WHERE batch_id IS NOT NULL;
COMMENT ON TABLE ledger_request IS 'What a caller asked under a key of its own, so that a request that comes twice is answered twice and done once.';
COMMENT ON COLUMN ledger_request.digest IS 'Of the whole request: the same key with another body is refused.';
COMMENT ON COLUMN ledger_request.first_seq IS 'The entries that it wrote, to last_seq; null for none.';
COMMENT ON COLUMN ledger_request.refused IS 'Of a batch: which exposures it left alone, and why.';

CREATE TABLE signing_key (
  organization_id uuid        NOT NULL REFERENCES organization (id),
  id              text        COLLATE "C" NOT NULL,
  subject         text        NOT NULL,
  public_key      bytea       NOT NULL CHECK (length(public_key) = 32),
  from_at         timestamptz NOT NULL,
  to_at           timestamptz CHECK (from_at < to_at),
  added_by        text        NOT NULL,
  ended_by        text,
  PRIMARY KEY (organization_id, id),
  CHECK ((to_at IS NULL) = (ended_by IS NULL))
);
COMMENT ON TABLE signing_key IS 'Ed25519 keys with which people sign what they decide, each valid in [from_at, to_at).';
COMMENT ON COLUMN signing_key.id IS 'SHA-256 of the public key, in hexadecimal.';
COMMENT ON COLUMN signing_key.subject IS 'Whose key it is: it signs for nobody else.';

-- Which entry of the ledger a disposition, or a resolution by hand, follows from.
ALTER TABLE exposure ADD COLUMN decided_seq bigint;
ALTER TABLE exposure_version ADD COLUMN decided_seq bigint;
COMMENT ON COLUMN exposure.decided_seq IS 'The entry of the ledger that the disposition follows from; of one resolved by hand, that entry. Null: nobody decided anything.';

ALTER TABLE evaluation
  DROP CONSTRAINT evaluation_cause_check,
  ADD CONSTRAINT evaluation_cause_check CHECK (cause IN ('time', 'settings', 'request', 'attestation', 'justification', 'version'));

CALL protect('ledger_entry');
CALL protect('ledger_head');
CALL protect('ledger_tile');
CALL protect('ledger_checkpoint');
CALL protect('ledger_request');
CALL protect('signing_key');
CALL append_only('ledger_entry');
CALL append_only('ledger_tile');
CALL append_only('ledger_checkpoint');
CALL append_only('ledger_request');

-- +goose Down
ALTER TABLE evaluation NO FORCE ROW LEVEL SECURITY; -- else the owner would see no row of it
UPDATE evaluation SET cause = 'request' WHERE cause = 'version';
ALTER TABLE evaluation FORCE ROW LEVEL SECURITY;
ALTER TABLE evaluation
  DROP CONSTRAINT evaluation_cause_check,
  ADD CONSTRAINT evaluation_cause_check CHECK (cause IN ('time', 'settings', 'request', 'attestation', 'justification'));
ALTER TABLE exposure DROP COLUMN decided_seq;
ALTER TABLE exposure_version DROP COLUMN decided_seq;
DROP TABLE signing_key, ledger_request, ledger_checkpoint, ledger_tile, ledger_head, ledger_entry;
DROP PROCEDURE append_only(regclass);
DROP FUNCTION refuse_change();
DROP FUNCTION empty_work_tables(text[]);
