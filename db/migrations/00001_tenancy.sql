-- Organizations, the keys that sign tokens, and what row level security needs.

-- +goose Up

-- The organization of the running transaction, for the policies below. It is
-- null outside a tenant transaction, and null equals no organization.
-- +goose StatementBegin
CREATE FUNCTION current_organization() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT nullif(current_setting('app.organization', true), '')::uuid
$$;
-- +goose StatementEnd

-- protect gives a tenant table both halves of its wall: the policy, and FORCE,
-- so that even the owner of the table stands before it.
-- +goose StatementBegin
CREATE PROCEDURE protect(tenant_table regclass)
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
  EXECUTE format('CREATE POLICY organization ON %s USING (organization_id = current_organization())
                  WITH CHECK (organization_id = current_organization())', tenant_table);
END
$$;
-- +goose StatementEnd

CREATE TABLE organization (
  id         uuid        PRIMARY KEY,
  slug       text        COLLATE "C" NOT NULL UNIQUE
             CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name       text        NOT NULL CHECK (name <> ''),
  created_at timestamptz NOT NULL
);
COMMENT ON TABLE organization IS 'The hard boundary. No tenant table: it holds the names that tokens and addresses use.';

CREATE TABLE token_key (
  id         text        COLLATE "C" PRIMARY KEY,
  public_key bytea       NOT NULL,
  created_at timestamptz NOT NULL
);
COMMENT ON TABLE token_key IS 'Public halves of the keys that sign access tokens; the runtime role reads them.';

CREATE TABLE token_key_secret (
  id          text  COLLATE "C" PRIMARY KEY REFERENCES token_key (id),
  private_key bytea NOT NULL
);
COMMENT ON TABLE token_key_secret IS 'Private halves; only the owner role reads them, so the server cannot mint a token by itself.';

-- +goose Down
DROP TABLE token_key_secret;
DROP TABLE token_key;
DROP TABLE organization;
DROP PROCEDURE protect(regclass);
DROP FUNCTION current_organization();
