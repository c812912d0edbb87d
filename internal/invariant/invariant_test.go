package invariant_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

//go:embed testdata/world.sql
var worldSQL string

// stand is a database in which each case has an organization of its own, with
// the same world. Its connection is the owner's: it may write everything, and
// row level security keeps it to the organization that is set.
type stand struct {
	*dbtest.Database
	owner *pgx.Conn
}

func setup(t *testing.T) stand {
	t.Helper()
	s := stand{Database: dbtest.New(t)}
	var err error
	s.owner, err = pgx.Connect(context.Background(), s.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.owner.Close(context.Background()) })
	// What the schema refuses is looked for, too: it may be on a disk all the same.
	s.exec(t, `
		CREATE FUNCTION n(name text) RETURNS uuid LANGUAGE sql IMMUTABLE AS 'SELECT md5(name)::uuid';
		CREATE FUNCTION n0() RETURNS uuid LANGUAGE sql IMMUTABLE AS $$SELECT '00000000-0000-0000-0000-000000000000'::uuid$$;
		DO $$ DECLARE c record; BEGIN
			FOR c IN SELECT conrelid::regclass AS of, conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace LOOP
				EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.of, c.conname);
			END LOOP;
		END $$;
		DROP INDEX exposure_open; DROP INDEX condition_open; DROP INDEX asset_sighting_open; DROP INDEX asset_tie_open;
		DROP INDEX asset_link_open; DROP INDEX endpoint_open;
		ALTER TABLE asset_version DROP CONSTRAINT asset_version_organization_id_id_fkey;
		ALTER TABLE asset_sighting DROP CONSTRAINT asset_sighting_organization_id_asset_id_fkey;
		ALTER TABLE asset_link DROP CONSTRAINT asset_link_organization_id_asset_id_fkey, DROP CONSTRAINT asset_link_organization_id_workload_id_fkey;
		ALTER TABLE exposure_changes DISABLE TRIGGER append_only;
		ALTER TABLE workload_exposure DROP CONSTRAINT workload_exposure_organization_id_code_key;
		CREATE FUNCTION digits(workload uuid, number integer) RETURNS text LANGUAGE sql AS $$
			SELECT 'EXP-' || left(encode(sha256(digest_field(convert_to('workload-exposure/1', 'UTF8')) || digest_field(uuid_send(current_organization()))
				|| digest_field(uuid_send(workload))), 'hex'), number) $$;`)
	return s
}

func (s stand) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := s.owner.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

// organization makes one, empty, and sets it.
func (s stand) organization(t *testing.T, slug string) *org.Organization {
	t.Helper()
	o := &org.Organization{ID: id.Organization(slug), Slug: slug}
	s.exec(t, `INSERT INTO organization (id, slug, name, created_at) VALUES ($1, $2, $2, '2026-01-01 00:00+00')`, o.ID, slug)
	s.exec(t, `SELECT set_config('app.organization', $1, false)`, o.ID.String())
	return o
}

// world makes the world of the tests, with its ledger.
func (s stand) world(t *testing.T, o *org.Organization) {
	t.Helper()
	s.exec(t, worldSQL)
	s.record(t, o)
}

// words are what entries call dispositions.
var words = map[int16]string{1: "open", 2: "acknowledged", 3: "risk_accepted", 4: "false_positive"}

// record writes what was decided of the world's exposures into the ledger. The first
// entries bring in what was on record before.
func (s stand) record(t *testing.T, o *org.Organization) {
	t.Helper()
	ctx := access.With(context.Background(), access.Actor{Subject: "ann", Role: access.Client, AllOrganizations: true, Scopes: access.Scopes})
	rows, err := s.owner.Query(ctx, `SELECT path_id, type, ordinal, version, disposition FROM exposure WHERE disposition <> 1 ORDER BY path_id, type`)
	require.NoError(t, err)
	exposures, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[decided])
	require.NoError(t, err)
	drafts := make([]book.Draft, len(exposures))
	for i, x := range exposures {
		drafts[i] = x.draft(recorded)
	}
	require.NoError(t, s.Tenant(ctx, o.ID, func(tx *db.Tx) error {
		posted, err := book.New(func() time.Time { return recorded }).Append(ctx, tx, drafts...)
		for i, p := range posted {
			x := exposures[i]
			s.exec(t, `UPDATE exposure SET decided_seq = $4 WHERE path_id = $1 AND type = $2 AND ordinal = $3`, x.PathID, x.Type, x.Ordinal, p.Seq)
		}
		return err
	}))
}

// recorded is when the ledger of the world begins: behind all that happened.
var recorded = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)

// tell publishes what waits to be.
func (s stand) tell(t *testing.T, o *org.Organization) {
	t.Helper()
	_, err := change.NewSequencer(s.DB, func() time.Time { return recorded }, slog.New(slog.DiscardHandler)).Drain(context.Background(), o.ID)
	require.NoError(t, err)
}

func (s stand) check(t *testing.T, o *org.Organization) invariant.Report {
	t.Helper()
	ctx := context.Background()
	snapshot := s.Snapshot()
	defer snapshot.Close(ctx)
	report, err := invariant.Check(ctx, snapshot, o, posture.Definitions)
	require.NoError(t, err)
	return report
}

// found lists the findings of a report by check.
func found(report invariant.Report) map[string][]invariant.Finding {
	all := map[string][]invariant.Finding{}
	for _, check := range report.Checks {
		if check.Findings > 0 {
			all[check.Check] = check.First
		}
	}
	return all
}

func TestHolds(t *testing.T) {
	t.Parallel()
	s := setup(t)
	empty := s.check(t, s.organization(t, "empty"))
	require.True(t, empty.Holds())
	for _, check := range empty.Checks {
		require.Zero(t, check.Compared, "%s compared nothing and says so", check.Check)
		require.NotEmpty(t, check.Meaning)
	}
	o := s.organization(t, "acme")
	s.world(t, o)
	require.Empty(t, found(s.check(t, o)), "what waits to be told is not missed")
	s.tell(t, o)
	report := s.check(t, o)
	require.Empty(t, found(report))
	require.True(t, report.Holds())
	compared := map[string]int64{}
	for _, check := range report.Checks {
		compared[check.Check] = check.Compared
	}
	require.Equal(t, map[string]int64{
		invariant.Sources: 2 + 8 + 3 + 8, invariant.Paths: 6 + 3, invariant.Execution: 6 + 5, invariant.Conditions: 7 + 2, invariant.Exposures: 10 + 3, invariant.Masks: 6,
		invariant.Members: 6 + 4, invariant.References: 3 + 3 + 4, invariant.Counters: 14 + 2, invariant.Tallies: 6*3 + 4*5 + 4*3,
		invariant.Workloads: 4, invariant.Codes: 4, invariant.Identities: 6, invariant.Posture: 3 + 2 + 2, invariant.Snapshots: 3,
		invariant.Past: 8 + (11 + 2) + (2 + 3) + (8 + 2) + (1 + 1) + (50 + 2) + (4 + 1) + 2*4*3 + 2*3, invariant.Ledger: (3 + 3) + 3 + 3,
		invariant.Assets: 14 + 5 + 9 + 3 + 6 + (14 + 7) + 1,
		invariant.Feed:   (3 + 1) + 1 + (4 + 1 + 1) + (2 + 1) + 11 + (1 + 1),
	}, compared, "rows, and the things that they stand for")
}

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

// unsummed leaves an organization whose posture nothing has been counted of.
const unsummed = `DELETE FROM workload_exposure; DELETE FROM workload_exposure_version; DELETE FROM identity_posture; DELETE FROM posture_counter; DELETE FROM posture_counter_version; DELETE FROM posture_snapshot`

func extraCondition(subject string, rule int) string {
	return fmt.Sprintf(`INSERT INTO condition (organization_id, subject_id, rule, ordinal, rule_version, class, explanation, evidence, evidence_digest, effective_from,
		effective_basis, version, version_from, from_at)
		VALUES (current_organization(), n('%s'), %d, 1, 1, 2, '', '{}', n(''), '2026-02-01 00:00+00', 'detected', 1, '2026-02-01 00:00+00', '2026-02-01 00:00+00')`, subject, rule)
}

func extraExposure(path string, typ, disposition int) string {
	return fmt.Sprintf(`INSERT INTO exposure (organization_id, path_id, type, ordinal, workload_id, class, severity, factors, explanation, evidence_digest, disposition,
		effective_from, effective_basis, lineage_from, version, version_from, from_at)
		SELECT current_organization(), id, %d, 1, workload_id, class, 3, 0, '', n(''), %d, '2026-02-01 00:00+00', 'detected', '2026-02-01 00:00+00', 1,
			'2026-02-01 00:00+00', '2026-02-01 00:00+00'
		FROM authority_path WHERE id = n('%s')`, typ, disposition, path)
}

func extraMember(cluster int, path string) string {
	return fmt.Sprintf(`INSERT INTO cluster_member (organization_id, cluster, path_id, from_at, version, level, class, rank, first_seen, exposed_since, sensitivity,
		ownership_status, evidence, workload_id, resource_id)
		VALUES (current_organization(), %d, n('%s'), '2026-02-20 00:00+00', 1, 1, 1, 0, '2026-01-01', '2026-01-01', 0, 'unknown', 0, n('w1'), n('r1'))`, cluster, path)
}

// TestLeavesInPeace holds what is no contradiction.
func TestLeavesInPeace(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for i, change := range []string{
		`UPDATE authority_path SET execution_30d = 0 WHERE id = n('p4'); -- somebody watched
		 UPDATE workload_exposure SET unwatched_paths = 0 WHERE workload_id = n('w1'); UPDATE posture_counter SET unwatched_paths = 0`,
		`INSERT INTO cluster_counter SELECT current_organization(), 5, 1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, now()`,
		`DELETE FROM cluster_definition WHERE cluster = 5`,                                                                     // a cluster of a newer program, before anything was judged by it
		`UPDATE cluster_definition SET version = 9, all_mask = 33 | 1 << 20 WHERE cluster = 5`,                                 // of another program
		`UPDATE cluster_definition SET version = 9 WHERE cluster = 1; UPDATE cluster_member SET version = 9 WHERE cluster = 1`, // likewise, with members
		unsummed, // by an older version of the program
		`UPDATE posture_snapshot SET sensitive_paths = NULL, workloads = NULL, autonomous = NULL, paths_added = NULL, autonomous_gained = NULL`,
		`DELETE FROM posture_snapshot WHERE sync_id = n('sync 2')`, // it was taken by an older version
		`INSERT INTO change_head (id, history_from) VALUES (current_organization(), '2026-03-01 00:00+00'); -- it was there before its past was kept
		 DELETE FROM workload_exposure_version; DELETE FROM cluster_tally_version; DELETE FROM entity_assertion_version; DELETE FROM edge_version;
		 UPDATE workload_exposure SET from_at = '-infinity'; UPDATE cluster_tally SET from_at = '-infinity'; UPDATE edge SET from_at = '-infinity';
		 UPDATE entity_assertion SET from_at = '-infinity'; UPDATE evidence SET first_at = '-infinity'; UPDATE authority_path_version SET last_seen_at = NULL`,
	} {
		o := s.organization(t, fmt.Sprintf("case-%d", i))
		s.exec(t, worldSQL)
		s.exec(t, change)
		s.record(t, o) // who changed it did so before there was a ledger
		require.Empty(t, found(s.check(t, o)), change)
	}

	// Without any definition, what was judged is counted by the program's own.
	o := s.organization(t, "undefined")
	s.world(t, o)
	s.exec(t, `DELETE FROM cluster_definition; DELETE FROM cluster_member; DELETE FROM cluster_tally`)
	all := found(s.check(t, o))
	require.Len(t, all[invariant.Members], 4)
	require.Contains(t, all, invariant.Tallies)
}

// TestTellsSoMuch counts all findings and tells the first.
func TestTellsSoMuch(t *testing.T) {
	t.Parallel()
	s := setup(t)
	o := s.organization(t, "acme")
	s.world(t, o)
	s.exec(t, `DELETE FROM cluster_tally`)
	report := s.check(t, o)
	of := func(name string) *invariant.Result {
		for _, result := range s.check(t, o).Checks {
			if result.Check == name {
				return result
			}
		}
		return nil
	}
	tallies := of(invariant.Tallies)
	require.Equal(t, int64(6*3+4*5+4*3), tallies.Findings)
	require.Len(t, tallies.First, 20)
	require.Equal(t, tallies.First, of(invariant.Tallies).First, "in the same order each time")
	require.Equal(t, invariant.Finding{Organization: "acme", Check: "tallies", Message: "tallies differ", Want: "1", Have: "0",
		Subject: "orphaned-sensitive, level 1, all classes, exposed_since 2026-01-19"}, tallies.First[0])
	text, err := json.Marshal(report)
	require.NoError(t, err)
	require.Contains(t, string(text), `"first":[]`, "lists are never null")

	s.exec(t, `UPDATE cluster_counter SET executed = 5, workloads = 9 WHERE cluster = 3 AND level = 2 AND class = 2`)
	counters := of(invariant.Counters)
	require.Equal(t, "workloads=1 executed=2", counters.First[0].Want)
	require.Equal(t, "workloads=9 executed=5", counters.First[0].Have)
}

// TestOneSnapshot sees one state, whatever is written meanwhile.
func TestOneSnapshot(t *testing.T) {
	t.Parallel()
	s := setup(t)
	o := s.organization(t, "acme")
	s.world(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	snapshot := s.Snapshot()
	defer snapshot.Close(ctx)
	for range 2 {
		report, err := invariant.Check(ctx, snapshot, o, posture.Definitions)
		require.NoError(t, err)
		require.True(t, report.Holds())
		s.exec(t, `UPDATE authority_path SET open_mask = 7`)
	}
	require.False(t, s.check(t, o).Holds())
}
