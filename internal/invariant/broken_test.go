package invariant_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/invariant"
)

// TestFindsWhatIsBroken breaks one thing after another, and exactly the check
// of that thing must find it.
func TestFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	s := setup(t)
	cases := []struct{ check, breaks string }{
		{invariant.Sources, `UPDATE evidence SET source_id = n('nobody')`},
		{invariant.Sources, `UPDATE egress SET source_id = n('nobody')`},
		{invariant.Sources, `UPDATE edge SET source_id = n('nobody') WHERE kind = 'runs_as'`},
		{invariant.Sources, `UPDATE entity_assertion SET source_id = n('nobody') WHERE entity_id = n('w1')`},
		{invariant.Paths, `UPDATE authority_path_version SET to_at = to_at - interval '1 s' WHERE id = n('p1') AND version = 1`},
		{invariant.Paths, `UPDATE authority_path_version SET to_at = to_at + interval '1 s' WHERE id = n('p1') AND version = 1`},
		{invariant.Paths, `UPDATE authority_path_version SET to_at = to_at - interval '1 s' WHERE id = n('p1') AND version = 2`},
		{invariant.Paths, `UPDATE authority_path_version SET from_at = from_at + interval '1 s' WHERE id = n('p1') AND version = 1`},
		{invariant.Paths, `UPDATE authority_path_version SET to_at = from_at WHERE id = n('p5')`},
		{invariant.Paths, `DELETE FROM authority_path_version WHERE id = n('p1')`},
		{invariant.Paths, `DELETE FROM authority_path_version WHERE id = n('p1') AND version = 1`},
		{invariant.Paths, `DELETE FROM authority_path_version WHERE id = n('p1') AND version = 2`},
		{invariant.Paths, `UPDATE authority_path_version SET id = n('nobody') WHERE id = n('p1')`},
		{invariant.Paths, `UPDATE authority_path SET first_seen_at = first_seen_at - interval '1 s' WHERE id = n('p4')`},
		{invariant.Paths, `UPDATE authority_path SET from_at = from_at + interval '1 s' WHERE id = n('p1')`},
		{invariant.Paths, `UPDATE authority_path SET removed_at = NULL WHERE id = n('p5')`},
		{invariant.Paths, `UPDATE authority_path SET removed_at = now() WHERE id = n('p4')`},
		{invariant.Paths, `UPDATE authority_path SET identity_id = n('nobody') WHERE id = n('p5')`},
		{invariant.Paths, `UPDATE authority_path SET resource_id = n('nobody') WHERE id = n('p5')`},
		{invariant.Paths, `UPDATE authority_path SET resource_id = n0() WHERE id = n('p5')`},
		{invariant.Paths, `UPDATE authority_path SET resource_id = n('w1') WHERE id = n('p5')`},
		{invariant.Paths, `DELETE FROM authority_path_version WHERE id = n('p5'); DELETE FROM exposure WHERE path_id = n('p5');
			UPDATE authority_path SET version = 1, first_seen_at = from_at, workload_id = n('nobody') WHERE id = n('p5')`},
		{invariant.Paths, `UPDATE authority_path SET class = 9 WHERE id = n('p6')`},
		{invariant.Paths, `UPDATE authority_path SET data_domain = NULL WHERE id = n('p6')`},
		{invariant.Paths, `UPDATE authority_path SET sensitivity = 0 WHERE id = n('p6')`},
		{invariant.Paths, `UPDATE authority_path SET ownership_status = 'valid' WHERE id = n('p6')`},
		{invariant.Paths, `UPDATE authority_path SET egress_category = 'none' WHERE id = n('p6')`},

		{invariant.Execution, `UPDATE authority_path SET execution_30d = 8 WHERE id = n('p1')`},
		{invariant.Execution, `UPDATE authority_path SET execution_30d = NULL WHERE id = n('p1')`},
		{invariant.Execution, `UPDATE authority_path SET execution_basis = 'workload' WHERE id = n('p1')`},
		{invariant.Execution, `UPDATE authority_path SET execution_30d = 0, execution_basis = NULL WHERE id = n('p3')`},
		{invariant.Execution, `UPDATE authority_path SET execution_30d = 1 WHERE id = n('p4')`},
		{invariant.Execution, `UPDATE authority_path SET execution_basis = 'identity' WHERE id = n('p4')`},
		{invariant.Execution, `UPDATE evidence SET basis = 'path' WHERE workload_id = n('w2')`},
		{invariant.Execution, `DELETE FROM evidence WHERE workload_id = n('w2');
			DELETE FROM cluster_definition; DELETE FROM cluster_member; DELETE FROM cluster_identity; DELETE FROM cluster_workload;
			DELETE FROM cluster_evidence; DELETE FROM cluster_counter; DELETE FROM cluster_counter_version; DELETE FROM cluster_tally;
			INSERT INTO cluster_definition (organization_id, cluster, version, from_at, key, grain, severity, all_mask, any_mask)
			VALUES (current_organization(), 5, 1, '2026-01-01 00:00+00', 'orphaned-external', 'path', 3, 1025, 0);` + unsummed},

		{invariant.Conditions, `UPDATE condition_version SET ordinal = 3; UPDATE condition SET ordinal = 3 WHERE ordinal = 2`},
		{invariant.Conditions, `UPDATE condition SET ordinal = 0 WHERE subject_id = n('w2') AND rule = 4`},
		{invariant.Conditions, `UPDATE condition SET to_at = '2026-01-20 00:00:01+00' WHERE subject_id = n('w1') AND ordinal = 1`},
		{invariant.Conditions, `UPDATE condition SET to_at = from_at WHERE subject_id = n('w1') AND ordinal = 1`},
		{invariant.Conditions, `UPDATE condition SET resolution_reason = NULL`},
		{invariant.Conditions, `UPDATE condition SET resolution_reason = '' WHERE subject_id = n('w3')`},
		{invariant.Conditions, `UPDATE condition SET resolution_reason = 'manual' WHERE subject_id = n('w2')`},
		{invariant.Conditions, `UPDATE condition SET to_at = NULL, resolution_reason = NULL WHERE subject_id = n('w1') AND ordinal = 1`},
		{invariant.Conditions, `UPDATE condition SET to_at = NULL, resolution_reason = NULL WHERE subject_id = n('w3')`},
		{invariant.Conditions, `UPDATE condition_version SET to_at = to_at - interval '1 s' WHERE version = 1`},
		{invariant.Conditions, `UPDATE condition_version SET to_at = to_at - interval '1 s' WHERE version = 2`},
		{invariant.Conditions, `UPDATE condition_version SET from_at = from_at + interval '1 s' WHERE version = 1`},
		{invariant.Conditions, `DELETE FROM condition_version`},
		{invariant.Conditions, `UPDATE condition_version SET subject_id = n('nobody')`},
		{invariant.Conditions, `UPDATE condition SET subject_id = n('nobody') WHERE subject_id = n('w3')`},
		{invariant.Conditions, `UPDATE condition SET subject_id = n('i2') WHERE subject_id = n('w3')`},
		{invariant.Conditions, `UPDATE condition SET rule = 6 WHERE subject_id = n('w3')`},
		{invariant.Conditions, `UPDATE condition SET class = 9 WHERE subject_id = n('w2') AND rule = 7`},
		{invariant.Conditions, extraCondition("w2", 2) + `; UPDATE workload_exposure SET findings = 5, finding_rules = finding_rules | 2 WHERE workload_id = n('w2')`},
		{invariant.Conditions, extraCondition("w2", 99)},

		{invariant.Exposures, `UPDATE exposure_version SET ordinal = 3 WHERE ordinal = 2; UPDATE exposure SET ordinal = 3 WHERE ordinal = 2`},
		{invariant.Exposures, `UPDATE exposure SET ordinal = 2 WHERE path_id = n('p3') AND type = 7`},
		{invariant.Exposures, `UPDATE exposure SET to_at = '2026-01-20 00:00:01+00' WHERE path_id = n('p1') AND type = 1 AND ordinal = 1`},
		{invariant.Exposures, `UPDATE exposure SET to_at = from_at WHERE path_id = n('p5')`},
		{invariant.Exposures, `UPDATE exposure SET resolution_reason = NULL WHERE path_id = n('p5')`},
		{invariant.Exposures, `UPDATE exposure SET resolution_reason = 'manual' WHERE path_id = n('p3')`},
		{invariant.Exposures, `UPDATE exposure SET to_at = NULL, resolution_reason = NULL, disposition = 1, severity = 4, effective_from = '2026-01-19 23:59+00', class = 1
			WHERE path_id = n('p1') AND type = 1 AND ordinal = 1`},
		{invariant.Exposures, `UPDATE exposure SET to_at = NULL, resolution_reason = NULL, class = 1 WHERE path_id = n('p5')`},
		{invariant.Exposures, `UPDATE exposure SET path_id = n('nobody') WHERE path_id = n('p5')`},
		{invariant.Exposures, `UPDATE exposure SET workload_id = n('w2') WHERE path_id = n('p5')`},
		{invariant.Exposures, `UPDATE exposure SET class = 9 WHERE path_id = n('p4')`},
		{invariant.Exposures, `UPDATE exposure_version SET to_at = to_at - interval '1 s' WHERE path_id = n('p1') AND version = 1`},
		{invariant.Exposures, `UPDATE exposure_version SET to_at = to_at - interval '1 s' WHERE path_id = n('p1') AND version = 2`},
		{invariant.Exposures, `UPDATE exposure_version SET from_at = from_at + interval '1 s' WHERE path_id = n('p2')`},
		{invariant.Exposures, `DELETE FROM exposure_version WHERE path_id = n('p1') AND version = 1`},
		{invariant.Exposures, `DELETE FROM exposure_version WHERE path_id = n('p2')`},
		{invariant.Exposures, `UPDATE exposure_version SET path_id = n('nobody') WHERE path_id = n('p2')`},
		{invariant.Exposures, extraExposure("p6", 6, 1)},  // not effective
		{invariant.Exposures, extraExposure("p4", 9, 4)},  // no condition of i2; false, so that nothing counts it
		{invariant.Exposures, extraExposure("p4", 2, 4)},  // no condition of w1
		{invariant.Exposures, extraExposure("p3", 9, 4)},  // no identity
		{invariant.Exposures, extraExposure("p3", 31, 4)}, // no rule
		{invariant.Exposures, `DELETE FROM condition WHERE subject_id = n('i1');
			UPDATE workload_exposure SET findings = findings - 1, finding_rules = finding_rules & ~256 WHERE workload_id IN (n('w1'), n('w2'))`},

		{invariant.Masks, `UPDATE authority_path SET open_mask = 1 WHERE id = n('p1')`},
		{invariant.Masks, `UPDATE authority_path SET acknowledged_mask = 33 | 256 WHERE id = n('p1')`},
		{invariant.Masks, `UPDATE authority_path SET accepted_mask = 0 WHERE id = n('p4')`},
		{invariant.Masks, `UPDATE authority_path SET active_exposure_count = 1 WHERE id = n('p4')`},
		{invariant.Masks, `UPDATE authority_path SET max_exposure_severity = 3 WHERE id = n('p4')`},
		{invariant.Masks, `UPDATE authority_path SET max_exposure_severity = NULL WHERE id = n('p1')`},
		{invariant.Masks, `UPDATE authority_path SET open_mask = 32 WHERE id = n('p5')`},
		{invariant.Masks, `UPDATE authority_path SET open_mask = 32 WHERE id = n('p6')`},

		{invariant.Members, `DELETE FROM cluster_member WHERE to_at IS NULL AND cluster = 3 AND path_id = n('p3')`},
		{invariant.Members, `DELETE FROM cluster_member WHERE to_at IS NULL AND cluster = 3`},
		{invariant.Members, `UPDATE cluster_member SET to_at = '2026-02-20 00:00+00' WHERE to_at IS NULL AND cluster = 12`},
		{invariant.Members, `UPDATE cluster_member SET to_at = '2026-01-26 00:00+00' WHERE to_at IS NOT NULL AND cluster = 1`},
		{invariant.Members, `UPDATE cluster_member SET to_at = from_at WHERE to_at IS NOT NULL AND cluster = 1`},
		{invariant.Members, `UPDATE cluster_member SET to_at = NULL WHERE to_at IS NOT NULL AND cluster = 12`},
		{invariant.Members, `UPDATE cluster_member SET level = 1 WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET class = 1 WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET version = 2 WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET rank = 28 WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET first_seen = first_seen + 1 WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET exposed_since = '2026-01-03' WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET sensitivity = 4 WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET ownership_status = 'valid' WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET sensitive_domain = NULL WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET executed = NULL WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET executed = false WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET evidence = 24 WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET workload_id = n('w1') WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET identity_id = n('i1') WHERE path_id = n('p3')`},
		{invariant.Members, `UPDATE cluster_member SET resource_id = n('r1') WHERE path_id = n('p3')`},
		{invariant.Members, extraMember(1, "p4")},
		{invariant.Members, extraMember(5, "p1")},
		{invariant.Members, extraMember(99, "p1")}, // of no cluster
		{invariant.Members, extraMember(1, "nobody")},
		{invariant.Members, `UPDATE cluster_definition SET all_mask = 1 WHERE cluster = 1`},
		{invariant.Members, `UPDATE cluster_definition SET any_mask = 6 WHERE cluster = 12`},
		{invariant.Members, `UPDATE cluster_definition SET grain = 'path' WHERE cluster = 3`},
		{invariant.Members, `UPDATE cluster_definition SET severity = 1 WHERE cluster = 3`},
		{invariant.Members, `UPDATE cluster_definition SET key = 'unbound' WHERE cluster = 3`},

		{invariant.References, `UPDATE cluster_identity SET members = 2 WHERE cluster = 3`},
		{invariant.References, `UPDATE cluster_identity SET level = 1 WHERE cluster = 3`},
		{invariant.References, `UPDATE cluster_identity SET class = 1 WHERE cluster = 3`},
		{invariant.References, `UPDATE cluster_identity SET identity_id = n('i2') WHERE cluster = 3`},
		{invariant.References, `DELETE FROM cluster_identity WHERE cluster = 12`},
		{invariant.References, `INSERT INTO cluster_identity VALUES (current_organization(), 5, 1, 1, n('i1'), 1)`},
		{invariant.References, `INSERT INTO cluster_identity VALUES (current_organization(), 99, 1, 1, n('i1'), 1)`},
		{invariant.References, `UPDATE cluster_workload SET members = 1 WHERE cluster = 3`},
		{invariant.References, `UPDATE cluster_workload SET workload_id = n('w1') WHERE cluster = 3`},
		{invariant.References, `DELETE FROM cluster_workload WHERE cluster = 12`},
		{invariant.References, `INSERT INTO cluster_workload VALUES (current_organization(), 99, 1, 1, n('w1'), 1)`},
		{invariant.References, `UPDATE cluster_evidence SET members = 1 WHERE cluster = 3`},
		{invariant.References, `UPDATE cluster_evidence SET executions = 1005 WHERE executions = 5`},
		{invariant.References, `UPDATE cluster_evidence SET identity_id = n('i1') WHERE cluster = 3`},
		{invariant.References, `DELETE FROM cluster_evidence WHERE cluster = 1 AND identity_id = n0()`},
		{invariant.References, `INSERT INTO cluster_evidence VALUES (current_organization(), 1, 1, 1, n0(), n('i1'), n0(), 1, 100)`},
		{invariant.References, `INSERT INTO cluster_evidence VALUES (current_organization(), 99, 1, 1, n0(), n('i1'), n0(), 1, 100)`},

		{invariant.Counters, `DELETE FROM cluster_counter WHERE cluster = 12 AND level = 3 AND class = -1`},
		{invariant.Counters, `UPDATE cluster_counter SET level = 1 WHERE cluster = 12 AND level = 2 AND class = 2`},
		{invariant.Counters, `UPDATE cluster_counter SET class = 1 WHERE cluster = 12 AND level = 2 AND class = 2`},
		{invariant.Counters, `UPDATE cluster_counter SET cluster = 5 WHERE cluster = 12 AND level = 2 AND class = 2`},
		{invariant.Counters, `UPDATE cluster_counter SET cluster = 99 WHERE cluster = 12 AND level = 2 AND class = 2`},
		{invariant.Counters, `UPDATE cluster_counter SET from_at = from_at + interval '1 s' WHERE cluster = 1`},
		{invariant.Counters, `UPDATE cluster_counter_version SET to_at = to_at - interval '1 s' WHERE from_at = '2026-01-01 00:00+00'`},
		{invariant.Counters, `DELETE FROM cluster_counter_version WHERE from_at > '2026-01-01 00:00+00'`},
		{invariant.Counters, `UPDATE cluster_counter_version SET to_at = from_at WHERE from_at > '2026-01-01 00:00+00'`},
		{invariant.Counters, `UPDATE cluster_counter_version SET class = 7`},
		{invariant.Counters, `UPDATE cluster_counter_version SET cluster = 99`},

		{invariant.Tallies, `UPDATE cluster_tally SET members = members + 1 WHERE cluster = 3 AND level = 3 AND class = -1 AND dimension = 'sensitive_domain'`},
		{invariant.Tallies, `DELETE FROM cluster_tally WHERE cluster = 3 AND dimension = 'first_seen' AND value = '2026-01-03'`},
		{invariant.Tallies, `UPDATE cluster_tally SET value = '2026-01-03' WHERE cluster = 3 AND dimension = 'exposed_since' AND value = '2026-01-06'`},
		{invariant.Tallies, `UPDATE cluster_tally SET level = 1 WHERE cluster = 12 AND level = 2`},
		{invariant.Tallies, `UPDATE cluster_tally SET class = 1 WHERE cluster = 12 AND class = 2`},
		{invariant.Tallies, `UPDATE cluster_tally SET cluster = 99 WHERE cluster = 12`},

		{invariant.Workloads, `UPDATE workload_exposure SET class = 2 WHERE workload_id = n('w1')`},
		{invariant.Workloads, `UPDATE workload_exposure SET live = false, listed = false WHERE workload_id = n('w4')`},
		{invariant.Workloads, `UPDATE workload_exposure SET live = true WHERE workload_id = n('w3')`},
		{invariant.Workloads, `UPDATE workload_exposure SET listed = false WHERE workload_id = n('w4')`},
		{invariant.Workloads, `UPDATE workload_exposure SET execution_mode = NULL WHERE workload_id = n('w1')`},
		{invariant.Workloads, `UPDATE workload_exposure SET ownership_status = 'valid' WHERE workload_id = n('w3')`},
		{invariant.Workloads, `UPDATE workload_exposure SET egress_category = 'none' WHERE workload_id = n('w1')`},
		{invariant.Workloads, `UPDATE workload_exposure SET identity_ids = ARRAY[n('i2'), n('i1')] WHERE workload_id = n('w1')`},
		{invariant.Workloads, `UPDATE workload_exposure SET identity_ids = ARRAY[n('i2'), n('i3')] WHERE workload_id = n('w4')`},
		{invariant.Workloads, `UPDATE workload_exposure SET identity_ids = '{}' WHERE workload_id = n('w4')`},
		{invariant.Workloads, `UPDATE workload_exposure SET data_domains = '{}' WHERE workload_id = n('w1')`},
		{invariant.Workloads, `UPDATE workload_exposure SET sensitive_domains = '{finance}' WHERE workload_id = n('w2')`},
		{invariant.Workloads, `UPDATE workload_exposure SET executions = NULL WHERE workload_id = n('w4')`},
		{invariant.Workloads, `UPDATE workload_exposure SET executions = 0 WHERE workload_id = n('w3')`},
		{invariant.Workloads, `UPDATE workload_exposure SET last_execution_at = NULL WHERE workload_id = n('w2')`},
		{invariant.Workloads, `UPDATE workload_exposure SET last_execution_at = '2026-03-02 00:00+00' WHERE workload_id = n('w1')`},
		{invariant.Workloads, `DELETE FROM workload_exposure WHERE workload_id = n('w3')`},
		{invariant.Workloads, `DELETE FROM workload_exposure`},
		{invariant.Workloads, `UPDATE workload_exposure SET workload_id = n('w5'), code = digits(n('w5'), 8) WHERE workload_id = n('w3')`},
		{invariant.Workloads, `UPDATE workload_exposure SET workload_id = n('i1'), code = digits(n('i1'), 8) WHERE workload_id = n('w3')`},

		{invariant.Codes, `UPDATE workload_exposure SET code = digits(n('w1'), 9) WHERE workload_id = n('w1')`},
		{invariant.Codes, `UPDATE workload_exposure SET code = digits(n('w1'), 7) WHERE workload_id = n('w1')`},
		{invariant.Codes, `UPDATE workload_exposure SET code = digits(n('w1'), 8) WHERE workload_id = n('w3')`},
		{invariant.Codes, `UPDATE workload_exposure SET code = upper(code) || 'F' WHERE workload_id = n('w1')`},
		{invariant.Codes, `UPDATE workload_exposure SET code = digits(n('w1'), 64) || '0' WHERE workload_id = n('w1')`},
		{invariant.Codes, `UPDATE workload_exposure SET code = 'EXP-00000000' WHERE workload_id = n('w4')`},

		{invariant.Identities, `UPDATE identity_posture SET autonomous = NOT autonomous WHERE identity_id = n('i1') AND class = 2`},
		{invariant.Identities, `UPDATE identity_posture SET class = 3 WHERE identity_id = n('i1') AND class = 2`},
		{invariant.Identities, `UPDATE identity_posture SET identity_id = n('i3') WHERE identity_id = n('i1') AND class = -1`},
		{invariant.Identities, `DELETE FROM identity_posture WHERE identity_id = n('i2') AND class = 2`},
		{invariant.Identities, `DELETE FROM identity_posture`},
		{invariant.Identities, `INSERT INTO identity_posture VALUES (current_organization(), n('i3'), -1, 1, 1, 0, 0, false, 0)`},

		{invariant.Posture, `DELETE FROM posture_counter WHERE class = 2`},
		{invariant.Posture, `DELETE FROM posture_counter WHERE class = -1`},
		{invariant.Posture, `UPDATE posture_counter SET class = 3 WHERE class = 2`},
		{invariant.Posture, `UPDATE posture_counter SET from_at = from_at + interval '1 s' WHERE class = -1`},
		{invariant.Posture, `UPDATE posture_counter SET from_at = from_at - interval '1 s' WHERE class = 1`},
		{invariant.Posture, `UPDATE posture_counter SET from_at = from_at + interval '1 s'; UPDATE posture_counter_version SET to_at = to_at + interval '1 s'`},
		{invariant.Posture, `UPDATE posture_counter_version SET to_at = to_at - interval '1 s' WHERE class = -1`},
		{invariant.Posture, `UPDATE posture_counter_version SET to_at = from_at WHERE class = 1`},
		{invariant.Posture, `UPDATE posture_counter_version SET class = 3 WHERE class = 1`},
		{invariant.Posture, `UPDATE posture_counter_version SET from_at = from_at + interval '1 s' WHERE class = -1`},
		{invariant.Posture, `UPDATE posture_counter_version SET paths = paths + 1 WHERE class = -1`},
		{invariant.Posture, `UPDATE posture_counter_version SET paths = paths + 1 WHERE class = 1`},
		{invariant.Posture, `UPDATE posture_counter_version SET paths_added = 1 WHERE class = 1`},
		{invariant.Posture, `UPDATE posture_counter_version SET paths_removed = 0 WHERE class = -1`},
		{invariant.Posture, `UPDATE posture_counter_version SET paths_orphaned = 3 WHERE class = 1`},
		{invariant.Posture, `UPDATE posture_counter_version SET paths_invalidated = 3 WHERE class = -1`},
		{invariant.Posture, `UPDATE posture_counter_version SET autonomous_gained = 2 WHERE class = -1`},
		{invariant.Posture, `UPDATE posture_counter SET paths_orphaned = 3 WHERE class = 1`},
		{invariant.Posture, `UPDATE posture_counter SET paths_removed = 0 WHERE class = 1`},
		{invariant.Posture, `UPDATE posture_counter SET autonomous_gained = 0`},
		{invariant.Posture, `UPDATE posture_counter SET paths_invalidated = 1 WHERE class <> 2`},

		{invariant.Snapshots, `UPDATE posture_snapshot SET at = at + interval '1 s' WHERE sync_id = n('sync 3')`},
		{invariant.Snapshots, `UPDATE posture_snapshot SET sync_id = NULL WHERE sync_id = n('sync 3')`},
		{invariant.Snapshots, `UPDATE posture_snapshot SET sync_id = n('sync 2') WHERE sync_id = n('sync 3')`},
		{invariant.Snapshots, `UPDATE posture_snapshot SET sync_id = n('sync 3') WHERE sync_id IS NULL`},
		{invariant.Snapshots, `UPDATE posture_snapshot SET at = '2026-02-25 00:00+00', sync_id = n('sync 4') WHERE sync_id = n('sync 3')`},
		{invariant.Snapshots, `DELETE FROM posture_snapshot WHERE sync_id IS NULL`},
		{invariant.Snapshots, `DELETE FROM posture_snapshot WHERE sync_id = n('sync 3'); UPDATE posture_snapshot SET clusters = '{"orphaned-sensitive": {"paths": 1, "executions": 7},
			"unbound-sensitive": {"paths": 2, "executions": 3}, "unaccountable-sensitive": {"paths": 1, "executions": 3}}'`},
		{invariant.Snapshots, `UPDATE posture_snapshot SET clusters = clusters - 'unbound-sensitive' WHERE sync_id = n('sync 3')`},
		{invariant.Snapshots, `UPDATE posture_snapshot SET clusters = clusters || '{"other": {"paths": 1, "executions": 0}}' WHERE sync_id = n('sync 3')`},
		{invariant.Snapshots, `UPDATE posture_snapshot SET clusters = jsonb_set(clusters, '{unbound-sensitive,executions}', '4') WHERE sync_id = n('sync 3')`},
		{invariant.Snapshots, `UPDATE posture_snapshot SET clusters = '[]' WHERE sync_id = n('sync 3')`},
		{invariant.Snapshots, `UPDATE posture_counter_version SET sensitive_paths = 9 WHERE class = -1`}, // or the snapshot is right

		{invariant.Past, `UPDATE entity_version SET removed_at = now()`},
		{invariant.Past, `UPDATE entity_version SET to_at = to_at - interval '1 s' WHERE id = n('w3')`},
		{invariant.Past, `UPDATE entity_version SET id = n('nobody') WHERE id = n('i3')`},
		{invariant.Past, `UPDATE authority_path_version SET last_seen_at = NULL`},
		{invariant.Past, `UPDATE exposure SET decided_before = 1 WHERE path_id = n('p4')`},
		{invariant.Past, `UPDATE entity_assertion SET from_at = '-infinity' WHERE entity_id = n('w2')`},
		{invariant.Past, `UPDATE entity_assertion SET from_at = '2026-01-31 00:00+00' WHERE entity_id = n('w1')`},
		{invariant.Past, `UPDATE entity_assertion SET from_at = '2027-01-01 00:00+00' WHERE entity_id = n('w1')`},
		{invariant.Past, `UPDATE entity_assertion_version SET to_at = '2026-01-21 00:00+00' WHERE to_at = '2026-01-10 00:00+00'`},
		{invariant.Past, `UPDATE entity_assertion_version SET to_at = from_at WHERE entity_id = n('w3')`},
		{invariant.Past, `UPDATE edge SET from_at = '-infinity' WHERE from_id = n('w4')`},
		{invariant.Past, `UPDATE edge SET from_at = '2026-01-05 00:00+00' WHERE from_id = n('w1')`},
		{invariant.Past, `UPDATE edge_version SET to_at = '2027-01-01 00:00+00' WHERE to_id = n('i2')`},
		{invariant.Past, `UPDATE edge_version SET to_at = from_at WHERE to_id = n('i2')`},
		{invariant.Past, `UPDATE coverage SET recorded_at = '2026-01-31 00:00+00'`},
		{invariant.Past, `UPDATE coverage_version SET until = recorded_at`},
		{invariant.Past, `UPDATE cluster_tally SET from_at = '-infinity' WHERE cluster = 12`},
		{invariant.Past, `UPDATE cluster_tally SET from_at = '2026-02-02 00:00+00' WHERE cluster = 3`},
		{invariant.Past, `UPDATE cluster_tally_version SET to_at = '2026-02-02 00:00+00' WHERE value = '2026-01-02'`},
		{invariant.Past, `UPDATE cluster_member SET from_at = '2026-02-02 00:00+00' WHERE cluster = 3`},
		{invariant.Past, `UPDATE cluster_member SET from_at = '2027-01-01 00:00+00' WHERE cluster = 3`},
		{invariant.Past, `UPDATE cluster_member SET from_at = '2026-01-25 00:00+00' WHERE cluster = 3 AND path_id = n('p3'); DELETE FROM cluster_tally_version;
			UPDATE cluster_tally SET from_at = '2026-02-05 00:00+00' WHERE cluster = 12`},
		{invariant.Past, `UPDATE workload_exposure SET from_at = '-infinity' WHERE workload_id = n('w2')`},
		{invariant.Past, `UPDATE workload_exposure SET from_at = from_at + interval '1 s' WHERE workload_id = n('w1')`},
		{invariant.Past, `UPDATE workload_exposure SET from_at = from_at - interval '1 s' WHERE workload_id = n('w1')`},
		{invariant.Past, `DELETE FROM workload_exposure_version`},
		{invariant.Past, `UPDATE workload_exposure_version SET paths = 2`},
		{invariant.Past, `UPDATE workload_exposure_version SET listed = false`},
		{invariant.Past, `UPDATE workload_exposure_version SET live = false`},
		{invariant.Past, `UPDATE workload_exposure_version SET to_at = from_at`},
		{invariant.Past, `UPDATE workload_exposure_version SET workload_id = n('nobody')`},
		{invariant.Past, `UPDATE evidence SET first_at = '-infinity' WHERE workload_id = n('w2')`},
		{invariant.Past, `UPDATE evidence SET first_at = recorded_at + interval '1 s' WHERE workload_id = n('w2')`},

		{invariant.Assets, `UPDATE asset_version SET to_at = to_at - interval '1 s' WHERE id = n('80')`},
		{invariant.Assets, `DELETE FROM asset_version WHERE id = n('80')`},
		{invariant.Assets, `UPDATE asset_version SET version = 2 WHERE id = n('443')`},
		{invariant.Assets, `UPDATE asset_version SET id = n('nobody') WHERE id = n('80')`},
		{invariant.Assets, `UPDATE asset SET first_seen_at = first_seen_at - interval '1 s' WHERE id = n('host')`},
		{invariant.Assets, `UPDATE asset SET from_at = from_at + interval '1 s' WHERE id = n('80')`},
		{invariant.Assets, `UPDATE asset SET from_at = '2100-01-01 00:00+00' WHERE id = n('80')`},
		{invariant.Assets, `UPDATE asset SET status = 'closed' WHERE id = n('host')`},
		{invariant.Assets, `UPDATE asset SET status = 'active' WHERE id = n('443')`},
		{invariant.Assets, `UPDATE asset SET state = 'open' WHERE id = n('443')`},
		{invariant.Assets, `UPDATE asset SET state = 'filtered' WHERE id = n('80')`},
		{invariant.Assets, `UPDATE asset SET attributes = '{"os": "Linux"}' WHERE id = n('host')`},
		{invariant.Assets, `UPDATE asset SET attributes = attributes || '{"os": "BSD"}' WHERE id = n('host')`},
		{invariant.Assets, `UPDATE asset SET attributes = attributes || '{"vendor": "none"}' WHERE id = n('host')`},
		{invariant.Assets, `UPDATE asset SET confidence = NULL WHERE id = n('80')`},
		{invariant.Assets, `UPDATE asset SET plugin = NULL WHERE id = n('domain')`},
		{invariant.Assets, `UPDATE asset SET technology = NULL WHERE id = n('80')`},
		{invariant.Assets, `UPDATE asset SET technology = '[{"name": "nginx", "version": "1.24"}, {"name": "http", "service": true}]' WHERE id = n('80')`},
		{invariant.Assets, `UPDATE asset SET technology = '[{"name": "https", "service": true}]' WHERE id = n('443')`},
		{invariant.Assets, `UPDATE asset SET technology = '[{"name": "php"}]' WHERE id = n('page')`},
		{invariant.Assets, `UPDATE asset SET parent_id = NULL WHERE id = n('80')`},
		{invariant.Assets, `UPDATE asset SET parent_id = n('page') WHERE id = n('443')`},
		{invariant.Assets, `UPDATE asset SET parent_id = n('host') WHERE id = n('domain')`},
		{invariant.Assets, `UPDATE asset SET parent_id = n('host') WHERE id = n('certificate')`},
		{invariant.Assets, `UPDATE asset SET root_id = n('domain') WHERE id = n('443')`},
		{invariant.Assets, `UPDATE asset SET root_id = NULL WHERE id = n('host')`},
		{invariant.Assets, `DELETE FROM asset_sighting WHERE asset_id = n('page')`},
		{invariant.Assets, `UPDATE asset_sighting SET to_at = '2026-02-03 00:00+00' WHERE asset_id = n('80') AND to_at IS NOT NULL`},
		{invariant.Assets, `UPDATE asset_sighting SET to_at = NULL WHERE asset_id = n('80')`},
		{invariant.Assets, `UPDATE asset_sighting SET to_at = from_at WHERE asset_id = n('443')`},
		{invariant.Assets, `UPDATE asset_sighting SET stated_at = '2026-02-03 00:00+00' WHERE asset_id = n('nginx') AND to_at IS NULL`},
		{invariant.Assets, `UPDATE asset_sighting SET stated_at = '2026-01-01 00:00+00', confidence = 50 WHERE asset_id = n('host') AND source_id = n('prober') AND to_at IS NULL;
			UPDATE asset_sighting SET stated_at = '2025-12-01 00:00+00' WHERE asset_id = n('host') AND source_id = n('mapper')`},
		{invariant.Assets, `UPDATE asset_sighting SET to_at = '2100-01-01 00:00+00' WHERE asset_id = n('domain') AND source_id = n('mapper')`},
		{invariant.Assets, `INSERT INTO asset_sighting (organization_id, asset_id, source_id, from_at, stated_at, attributes, digest)
			VALUES (current_organization(), n('nobody'), n('mapper'), '2026-01-05 00:00+00', '2026-01-05 00:00+00', '{}', n(''))`},
		{invariant.Assets, `UPDATE asset_tie SET to_at = '2026-02-03 00:00+00' WHERE kind = 'resolves' AND to_at IS NOT NULL`},
		{invariant.Assets, `UPDATE asset_tie SET to_at = from_at WHERE kind = 'presents'`},
		{invariant.Assets, `UPDATE asset_tie SET to_id = n('80') WHERE kind = 'presents'`},
		{invariant.Assets, `UPDATE asset_tie SET to_at = NULL`},

		{invariant.Assets, `DELETE FROM asset_link WHERE asset_id = n('host') AND basis = 'hostname'`},
		{invariant.Assets, `UPDATE asset_link SET to_at = '2026-02-20 00:00+00' WHERE asset_id = n('host') AND basis = 'hostname'`},
		{invariant.Assets, `UPDATE asset_link SET to_at = NULL WHERE asset_id = n('host') AND workload_id = n('w3')`},
		{invariant.Assets, `INSERT INTO asset_link VALUES (current_organization(), n('host'), n('w1'), 'mapping', '10.0.0.1', '2026-02-20 00:00+00', NULL)`},
		{invariant.Assets, `UPDATE asset_link SET detail = '*.com' WHERE asset_id = n('page') AND basis = 'ingress'`},
		{invariant.Assets, `UPDATE asset_link SET detail = 'proxy:1' WHERE basis = 'image'`},
		{invariant.Assets, `UPDATE asset_link SET to_at = '2026-02-03 00:00+00' WHERE asset_id = n('80') AND basis = 'ingress' AND to_at IS NOT NULL`},
		{invariant.Assets, `UPDATE asset_link SET to_at = NULL WHERE asset_id = n('80') AND basis = 'ingress'`},
		{invariant.Assets, `UPDATE asset_link SET to_at = from_at WHERE workload_id = n('w3')`},
		{invariant.Assets, `UPDATE asset_link SET from_at = '2026-01-04 00:00+00' WHERE workload_id = n('w3') AND asset_id = n('22')`},
		{invariant.Assets, `UPDATE asset_link SET from_at = '2100-01-01 00:00+00' WHERE basis = 'image'`},
		{invariant.Assets, `UPDATE asset_link SET asset_id = n('nobody') WHERE workload_id = n('w3') AND asset_id = n('22')`},
		{invariant.Assets, `UPDATE asset_link SET workload_id = n('nobody') WHERE workload_id = n('w3')`},
		{invariant.Assets, `UPDATE entity SET artifact_identifier = 'shop:2' WHERE id = n('w2')`},
		{invariant.Assets, `UPDATE entity SET artifact_identifier = 'proxy:1, shop:21' WHERE id = n('w4')`},
		{invariant.Assets, `UPDATE asset_tie SET to_at = '2026-02-20 00:00+00' WHERE kind = 'resolves' AND to_at IS NULL`},
		{invariant.Assets, `UPDATE endpoint SET to_at = '2026-02-20 00:00+00' WHERE kind = 'hostname'`},
		{invariant.Assets, `UPDATE endpoint SET port = 80 WHERE kind = 'mapping' AND to_at IS NULL`},
		{invariant.Assets, `UPDATE endpoint SET port = 0 WHERE kind = 'mapping' AND to_at IS NULL`},
		{invariant.Assets, `UPDATE endpoint SET port = 0 WHERE kind = 'hostname'`},
		{invariant.Assets, `UPDATE endpoint SET value = '*.com' WHERE kind = 'ingress'`},
		{invariant.Assets, `UPDATE endpoint SET value = 'www.example.com' WHERE kind = 'ingress'`},
		{invariant.Assets, `UPDATE endpoint SET to_at = '2026-01-04 00:00+00' WHERE kind = 'mapping' AND to_at IS NOT NULL`},
		{invariant.Assets, `UPDATE endpoint SET to_at = from_at WHERE kind = 'mapping' AND to_at IS NOT NULL`},
		{invariant.Assets, `UPDATE asset SET class = 2 WHERE id = n('page')`},
		{invariant.Assets, `UPDATE asset SET class = 0 WHERE id = n('22')`},
		{invariant.Assets, `UPDATE asset SET class = 1 WHERE id = n('host')`},
		{invariant.Assets, `UPDATE asset SET class = 1 WHERE id = n('nginx')`},
		{invariant.Assets, `UPDATE asset SET class = 0 WHERE id = n('host')`}, // as before there were sets
		{invariant.Assets, `UPDATE asset SET class = 3 WHERE id = n('page')`},
		{invariant.Assets, `DELETE FROM access_class_set`},
		{invariant.Assets, `UPDATE access_class_set SET members = '{2, 1}'`},
		{invariant.Assets, `UPDATE access_class_set SET members = '{1, 1, 2}'`},
		{invariant.Assets, `UPDATE access_class_set SET members = '{1}'`},
		{invariant.Assets, `UPDATE access_class_set SET class = 2`},
		{invariant.Assets, `UPDATE access_class_set SET digest = sha256('2,1')`},
		{invariant.Assets, `INSERT INTO access_class_set VALUES (current_organization(), 4, '{1, 9}', sha256('1,9'))`},
		{invariant.Assets, `INSERT INTO access_class_set VALUES (current_organization(), 4, '{1, 3}', sha256('1,3'))`}, // a set of sets

		{invariant.Feed, `DELETE FROM change_outbox WHERE cause = 'evaluation'`}, // more in feed_test.go

		{invariant.Ledger, `UPDATE ledger_head SET seq = seq + 1`},
		{invariant.Ledger, `UPDATE ledger_head SET hash = sha256('')`},
		{invariant.Ledger, `DELETE FROM ledger_head`},
		{invariant.Ledger, `INSERT INTO ledger_tile VALUES (current_organization(), 0, sha256(''))`},
		{invariant.Ledger, `UPDATE exposure SET decided_seq = decided_seq + 1 WHERE path_id = n('p4')`},
		{invariant.Ledger, `UPDATE exposure SET decided_seq = NULL WHERE path_id = n('p4')`},
		{invariant.Ledger, `UPDATE exposure_version SET disposition = 2 WHERE path_id = n('p2')`},
		{invariant.Ledger, `INSERT INTO scope_baseline VALUES (current_organization(), n('i1'), '2026-02-11 00:00+00', 'attested', 'eve', 'All good.')`},
		{invariant.Ledger, `INSERT INTO signing_key VALUES (current_organization(), 'key', 'eve', sha256(''), '2026-02-11 00:00+00', NULL, 'eve', NULL)`},
	}
	for _, column := range []string{"egress_categories", "paths", "sensitive_paths", "dormant_paths", "executed_paths", "unwatched_paths", "findings", "finding_rules",
		"max_severity", "clusters", "executions", "own_executions"} {
		cases = append(cases, struct{ check, breaks string }{invariant.Workloads,
			`UPDATE workload_exposure SET ` + column + ` = ` + column + ` + 1 WHERE workload_id = n('w2')`})
	}
	for _, column := range []string{"paths", "effective_paths", "dormant_paths", "executed_paths", "executions"} {
		cases = append(cases, struct{ check, breaks string }{invariant.Identities,
			`UPDATE identity_posture SET ` + column + ` = ` + column + ` + 1 WHERE identity_id = n('i1') AND class = -1`})
	}
	pictured := []string{"paths", "sensitive_paths", "dormant_paths", "invalid_paths", "executed_invalid_paths", "executions", "workloads", "autonomous", "operator_assisted",
		"human_triggered", "unclassified", "identities", "active_identities", "active_autonomous", "dormant_identities",
		"paths_added", "paths_removed", "paths_orphaned", "paths_invalidated", "autonomous_gained"}
	for _, column := range append([]string{"executed_paths", "unwatched_paths", "listed", "critical", "high", "medium", "low"}, pictured...) {
		cases = append(cases, struct{ check, breaks string }{invariant.Posture,
			`UPDATE posture_counter SET ` + column + ` = ` + column + ` + 1 WHERE class = -1`})
		if column != "autonomous_gained" { // how often an identity is gained by one class of several nobody else knows
			cases = append(cases, struct{ check, breaks string }{invariant.Posture,
				`UPDATE posture_counter SET ` + column + ` = ` + column + ` + 1 WHERE class = 2`})
		}
	}
	for _, column := range pictured {
		for _, which := range []string{"sync_id = n('sync 3')", "sync_id = n('sync 2')", "sync_id IS NULL"} {
			cases = append(cases, struct{ check, breaks string }{invariant.Snapshots,
				`UPDATE posture_snapshot SET ` + column + ` = ` + column + ` + 1 WHERE ` + which})
		}
	}
	for _, column := range []string{"paths", "identities", "workloads", "executions", "executed", "executed_sensitive", "unwatched",
		"ownership_valid", "ownership_degraded", "ownership_ambiguous", "ownership_orphaned", "ownership_unknown",
		"sensitivity_unknown", "sensitivity_public", "sensitivity_internal", "sensitivity_confidential", "sensitivity_restricted"} {
		cases = append(cases, struct{ check, breaks string }{invariant.Counters,
			`UPDATE cluster_counter SET ` + column + ` = ` + column + ` + 1 WHERE cluster = 3 AND level = 2 AND class = -1`})
	}
	seen := map[string]bool{}
	for i, test := range cases {
		o := s.organization(t, fmt.Sprintf("case-%d", i))
		s.world(t, o)
		s.exec(t, test.breaks)
		report := s.check(t, o)
		all := found(report)
		if onRecord.MatchString(test.breaks) && test.check != invariant.Ledger {
			delete(all, invariant.Ledger)
		}
		require.Len(t, all, 1, "%s\n%v", test.breaks, all)
		require.NotEmpty(t, all[test.check], "%s\n%v", test.breaks, all)
		require.False(t, report.Holds())
		require.Equal(t, o.Slug, all[test.check][0].Organization)
		seen[test.check] = true
	}
	for _, check := range s.check(t, s.organization(t, "last")).Checks {
		require.True(t, seen[check.Check], "%s was never seen failing", check.Check)
	}
}

// onRecord are the tables of the world that the ledger speaks of, too.
var onRecord = regexp.MustCompile(`\b(exposure|exposure_version|posture_snapshot)\b`)
