-- Access tokens that were made here. Like the keys that sign them they belong to the
-- installation and not to an organization.

-- +goose Up
CREATE TABLE access_token (
  id                uuid        PRIMARY KEY,
  hash              bytea       NOT NULL UNIQUE CHECK (length(hash) = 32),
  subject           text        NOT NULL CHECK (subject <> ''),
  service_account   text        COLLATE "C" CHECK (service_account <> ''),
  delegates         text[]      NOT NULL,
  role              text        COLLATE "C" NOT NULL,
  scopes            text[]      COLLATE "C" NOT NULL,
  organizations     text[]      COLLATE "C" NOT NULL,
  all_organizations boolean     NOT NULL,
  environment       text[]      COLLATE "C" NOT NULL,
  owner             text[]      COLLATE "C" NOT NULL,
  business_tier     text[]      COLLATE "C" NOT NULL,
  issued_at         timestamptz NOT NULL,
  expires_at        timestamptz NOT NULL CHECK (expires_at > issued_at),
  revoked_at        timestamptz,
  revoked_by        text        CHECK (revoked_by <> ''),
  CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
CREATE INDEX access_token_issued ON access_token (issued_at, id);
CREATE INDEX access_token_revoked ON access_token (expires_at) WHERE revoked_at IS NOT NULL;
COMMENT ON TABLE access_token IS 'Tokens that were made here, without the tokens. The owner role writes and reads it; the runtime role reads which are revoked.';
COMMENT ON COLUMN access_token.id IS 'The claim jti.';
COMMENT ON COLUMN access_token.hash IS 'SHA-256 of the token as its bearer sends it.';
COMMENT ON COLUMN access_token.service_account IS 'Whose credentials it was made for; null if the owner of the installation made it.';
COMMENT ON COLUMN access_token.delegates IS 'Who acts on behalf of the subject: who asked first, then the one before it.';
COMMENT ON COLUMN access_token.environment IS 'The values that its bearer is limited to; empty for no limit. So are owner and business_tier.';

-- +goose Down
DROP TABLE access_token;
