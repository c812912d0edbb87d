-- Who did or tried what, through which door, and what came of it. docs/audit.md
-- explains the log, docs/adr/0025-the-audit-log.md why it is made as it is.

-- +goose Up

CREATE TABLE audit_entry (
  organization_id uuid        NOT NULL REFERENCES organization (id),
  id              uuid        NOT NULL,
  at              timestamptz NOT NULL,
  subject         text        COLLATE "C" NOT NULL,
  action          text        COLLATE "C" NOT NULL CHECK (action <> ''),
  outcome         text        COLLATE "C" NOT NULL CHECK (outcome <> ''),
  door            text        COLLATE "C" NOT NULL CHECK (door IN ('graphql', 'http', 'cli', 'issuer')),
  request_id      text        NOT NULL,
  property_names  text[]      NOT NULL,
  property_values text[]      NOT NULL,
  touched         text[]      NOT NULL,
  PRIMARY KEY (organization_id, id),
  CHECK (cardinality(property_names) = cardinality(property_values))
);
CREATE UNIQUE INDEX audit_entry_at ON audit_entry (organization_id, at, id); -- the log in its order
CREATE INDEX audit_entry_subject ON audit_entry (organization_id, subject, at, id); -- what did this one do?
COMMENT ON TABLE audit_entry IS 'The audit log of an organization: who of its members did or tried what. What people judge is in the ledger besides.';
COMMENT ON COLUMN audit_entry.id IS 'A UUID of version 7.';
COMMENT ON COLUMN audit_entry.at IS 'When it was known what came of it, by the server''s clock.';
COMMENT ON COLUMN audit_entry.action IS 'Such as mutation.acknowledgeExposure, import.nmap, export.ledger.';
COMMENT ON COLUMN audit_entry.outcome IS 'done, or the code of the error.';
COMMENT ON COLUMN audit_entry.property_names IS 'With property_values, what else is said of it, in its order; bounded in number and bytes, and never what a caller wrote.';
COMMENT ON COLUMN audit_entry.touched IS 'The global ids of what it was about; the first of many.';

CREATE TABLE audit_shared_entry (
  id              uuid        PRIMARY KEY,
  at              timestamptz NOT NULL,
  subject         text        COLLATE "C" NOT NULL,
  action          text        COLLATE "C" NOT NULL CHECK (action <> ''),
  outcome         text        COLLATE "C" NOT NULL CHECK (outcome <> ''),
  door            text        COLLATE "C" NOT NULL CHECK (door IN ('graphql', 'http', 'cli', 'issuer')),
  request_id      text        NOT NULL,
  property_names  text[]      NOT NULL,
  property_values text[]      NOT NULL,
  touched         text[]      NOT NULL,
  CHECK (cardinality(property_names) = cardinality(property_values))
);
CREATE UNIQUE INDEX audit_shared_entry_at ON audit_shared_entry (at, id); -- the log in its order
COMMENT ON TABLE audit_shared_entry IS 'The same of what belongs to no organization: tokens for all of them, and what administrators tried on one that there is not.';

CALL protect('audit_entry');
CALL append_only('audit_entry');
CALL append_only('audit_shared_entry');

-- +goose Down
DROP TABLE audit_entry, audit_shared_entry;
