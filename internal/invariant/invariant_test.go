package invariant_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
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
