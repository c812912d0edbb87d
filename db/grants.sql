-- What the runtime role may do, applied after every migration because the
-- name of that role is the installation's choice. %[1]s is the quoted role.
-- Replicas that start together grant one after the other: two that grant on one
-- table at once fail with "tuple concurrently updated". The script is one
-- transaction, which holds the lock.
SELECT pg_advisory_xact_lock(hashtextextended('exposuregraph grants', 0));

GRANT USAGE ON SCHEMA public TO %[1]s;
GRANT SELECT, INSERT ON organization TO %[1]s;
GRANT SELECT ON token_key TO %[1]s;
GRANT SELECT (id, expires_at, revoked_at) ON access_token TO %[1]s;
GRANT SELECT ON goose_db_version TO %[1]s;

-- Facts that are replaced by what a source says next.
GRANT SELECT, INSERT, UPDATE, DELETE ON entity_assertion, edge, egress, coverage TO %[1]s;
-- Counts that follow what they count; they begin and end with it.
GRANT SELECT, INSERT, UPDATE, DELETE ON cluster_identity, cluster_workload, cluster_evidence, cluster_counter, cluster_tally, identity_posture, posture_counter TO %[1]s;
-- What is under way.
GRANT SELECT, INSERT, UPDATE, DELETE ON change_outbox, sync_progress TO %[1]s;
GRANT SELECT, INSERT, DELETE ON file_upload TO %[1]s;
-- State that changes and is never deleted.
GRANT SELECT, INSERT, UPDATE ON source, organization_window, evidence, entity, authority_path, rule_version, setting, condition, exposure,
  cluster_definition, cluster_member, workload_exposure, privilege_justification, ledger_head, signing_key,
  change_head, change_gap, exposure_change_day,
  asset, asset_sighting, asset_tie, asset_cover, endpoint, asset_link TO %[1]s;
-- History: written once.
GRANT SELECT, INSERT ON sync, access_class, access_class_set, entity_version, authority_path_version, identity_rotation, path_succession, evaluation,
  scope_baseline, condition_version, exposure_version, cluster_counter_version, posture_counter_version, posture_snapshot,
  ledger_entry, ledger_tile, ledger_checkpoint, ledger_request, exposure_changes,
  entity_assertion_version, edge_version, coverage_version, cluster_tally_version, workload_exposure_version,
  asset_version, file, audit_entry, audit_shared_entry TO %[1]s;

REVOKE ALL ON FUNCTION analyze_authority(), analyze_exposures(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION analyze_authority(), analyze_exposures(text) TO %[1]s;
REVOKE ALL ON FUNCTION pending_feeds() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pending_feeds() TO %[1]s;

-- The job queue, which takes turns by these three tables. Neither the queue's
-- migrations nor its reindexing are the server's.
GRANT USAGE ON SCHEMA river TO %[1]s;
GRANT SELECT, INSERT, UPDATE, DELETE ON river.river_job, river.river_queue, river.river_leader TO %[1]s;
GRANT USAGE ON SEQUENCE river.river_job_id_seq TO %[1]s;
