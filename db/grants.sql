-- What the runtime role may do, applied after every migration because the
-- name of that role is the installation's choice. %[1]s is the quoted role.
-- Replicas that start together grant one after the other: two that grant on one
-- table at once fail with "tuple concurrently updated". The script is one
-- transaction, which holds the lock.
SELECT pg_advisory_xact_lock(hashtextextended('exposuregraph grants', 0));

GRANT USAGE ON SCHEMA public TO %[1]s;
GRANT SELECT, INSERT ON organization TO %[1]s;
GRANT SELECT ON token_key TO %[1]s;
GRANT SELECT ON goose_db_version TO %[1]s;

-- Facts that are replaced by what a source says next.
GRANT SELECT, INSERT, UPDATE, DELETE ON entity_assertion, edge, egress, coverage TO %[1]s;
-- State that changes and is never deleted.
GRANT SELECT, INSERT, UPDATE ON source, organization_window, evidence, entity, authority_path TO %[1]s;
-- History: written once.
GRANT SELECT, INSERT ON sync, access_class, entity_version, authority_path_version, identity_rotation, path_succession TO %[1]s;

REVOKE ALL ON FUNCTION analyze_authority() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION analyze_authority() TO %[1]s;
