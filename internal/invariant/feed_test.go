package invariant_test

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

//go:embed testdata/outside.sql
var outsideSQL string // what scanners saw of the world

// TestFindsWhatIsWrongInTheFeed breaks a feed that tells everything.
func TestFindsWhatIsWrongInTheFeed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const head = `(SELECT max(seq) FROM exposure_changes)`
	for i, test := range []struct{ breaks, message string }{
		{`DELETE FROM exposure_changes WHERE seq = 3; ` + recounted, "there is a gap before it"},
		{`DELETE FROM exposure_changes WHERE seq = ` + head + `; ` + recounted, "its number is wrong"},
		{`DELETE FROM exposure_changes WHERE seq = ` + head + `; UPDATE change_head SET seq = seq - 1 WHERE id = current_organization(); ` + recounted, "it happened and was not told"},
		{`UPDATE exposure_changes SET seq = seq + 1 WHERE seq = ` + head, "there is a gap before it"},
		{`UPDATE change_head SET seq = seq + 1 WHERE id = current_organization()`, "its number is wrong"},
		{`DELETE FROM change_head WHERE id = current_organization()`, "its number is wrong"},
		{`DELETE FROM exposure_changes; DELETE FROM exposure_change_day; UPDATE change_head SET seq = 0 WHERE id = current_organization()`, "it happened and was not told"},
		{`INSERT INTO change_gap (organization_id, at, cause, reason, recorded_at, filled_at) SELECT organization_id, at, 'sync', '', at, at FROM sync;
			DELETE FROM exposure_changes; DELETE FROM exposure_change_day; UPDATE change_head SET seq = 0 WHERE id = current_organization()`, "it happened and was not told"},
		{`INSERT INTO sync SELECT (jsonb_populate_record(NULL::sync, to_jsonb(y) || jsonb_build_object('id', n('sync 5'), 'version', 5, 'at', '2026-02-26 00:00+00'))).*
			FROM sync y WHERE version = 4`, "it happened and was not told"},
		{wrong(`id = gen_random_uuid()`, `change_type = 'sync_late'`), "its id is wrong"},
		{wrong(`change_type = 'sync_applied'`, `change_type = 'sync_late'`), "its id is wrong"},
		{wrong(`change_type = 'sync_applied'`, `change_type = 'sync_late'`), "it was told and did not happen"},
		{wrong(`change_type = 'authority_path_removed'`, `change_type = 'authority_path_reappeared'`), "it happened and was not told"},
		{wrong(`entity_id = n('p2')`, `change_type = 'authority_path_removed'`), "it was told and did not happen"},
		{wrong(`at = at + interval '1 s'`, `change_type = 'authority_path_reappeared'`), "it happened and was not told"},
		{wrong(`subject_id = n('nobody')`, `change_type = 'authority_path_reappeared'`), "it was told otherwise than it happened"},
		{wrong(`entity_type = 'sync'`, `change_type = 'identity_rotated'`), "it was told otherwise than it happened"},
		{wrong(`workload_id = NULL`, `change_type = 'exposure_opened' AND entity_id = n('p1')`), "it was told otherwise than it happened"},
		{wrong(`exposure_ordinal = 2`, `change_type = 'exposure_opened' AND entity_id = n('p1')`), "it was told and did not happen"},
		{wrong(`exposure_type = NULL, exposure_ordinal = NULL`, `change_type = 'exposure_resolved'`), "it was told and did not happen"},
		{wrong(`class = class + 1`, `change_type = 'identity_rotated'`), "it was told otherwise than it happened"},
		{wrong(`class = 0`, `change_type = 'sync_late'`), "it was told otherwise than it happened"},
		{wrong(`severity = 4`, `change_type = 'exposure_resolved'`), "it was told otherwise than it happened"},
		{wrong(`severity = NULL`, `change_type = 'exposure_opened' AND entity_id = n('p5')`), "it was told otherwise than it happened"},
		{wrong(`severity = 1`, `change_type = 'authority_path_removed'`), "it was told otherwise than it happened"},
		{wrong(`ledger_seq = 1`, `change_type = 'exposure_resolved'`), "it was told otherwise than it happened"},
		{wrong(`scan_id = NULL`, `change_type = 'authority_path_removed'`), "it was told otherwise than it happened"},
		{wrong(`scan_job_id = scan_id`, `change_type = 'sync_applied' AND seq = 1`), "it was told otherwise than it happened"},
		{wrong(`caused_by = gen_random_uuid()`, `change_type = 'exposure_resolved'`), "what it follows from is not there"},
		{wrong(`caused_by = id`, `change_type = 'authority_path_removed'`), "what it follows from is not there"},
		{wrong(`caused_by = (SELECT id FROM exposure_changes WHERE seq = 1)`, `change_type = 'sync_late'`), "what it follows from is not there"},
		{`INSERT INTO exposure_changes SELECT (jsonb_populate_record(NULL::exposure_changes, to_jsonb(e) || jsonb_build_object('seq', ` + head + ` + 1, 'id', gen_random_uuid()))).*
			FROM exposure_changes e WHERE change_type = 'sync_late'; UPDATE change_head SET seq = seq + 1 WHERE id = current_organization(); ` + recounted, "its id is wrong"},
		{`UPDATE exposure_change_day SET events = events + 1 WHERE change_type = 'identity_rotated'`, "its number of events is wrong"},
		{`UPDATE exposure_change_day SET day = day + 1 WHERE change_type = 'identity_rotated'`, "it is not counted"},
		{`UPDATE exposure_change_day SET severity = 4 WHERE change_type = 'exposure_resolved'`, "it is not counted"},
		{`UPDATE exposure_change_day SET class = 7 WHERE change_type = 'identity_rotated'`, "its number of events is wrong"},
		{`DELETE FROM exposure_change_day WHERE change_type = 'sync_late'`, "it is not counted"},
		{`DELETE FROM exposure_change_day`, "it is not counted"},
	} {
		o := s.organization(t, fmt.Sprintf("feed-%d", i))
		s.world(t, o)
		s.tell(t, o)
		s.exec(t, test.breaks)
		all := found(s.check(t, o))
		require.Len(t, all, 1, "%s\n%v", test.breaks, all)
		messages := []string{}
		for _, finding := range all[invariant.Feed] {
			messages = append(messages, finding.Message)
		}
		require.Contains(t, messages, test.message, "%s\n%v", test.breaks, all)
	}
}

// wrong tells an event otherwise, and counts it as it is told.
func wrong(set, where string) string {
	return `UPDATE exposure_changes SET ` + set + ` WHERE ` + where + `; ` + recounted
}

// TestFindsWhatIsWrongOfAssets breaks what is told of assets, or their history behind
// it. What other checks find of that is not looked at.
func TestFindsWhatIsWrongOfAssets(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for i, test := range []struct{ breaks, message string }{
		{`SELECT`, ""},
		{wrong(`asset_id = NULL`, `change_type = 'url_discovered'`), "it was told otherwise than it happened"},
		{wrong(`asset_id = entity_id`, `change_type = 'sync_late'`), "it was told otherwise than it happened"},
		{wrong(`entity_type = 'asset'`, `change_type = 'certificate_discovered'`), "it was told otherwise than it happened"},
		{wrong(`class = class + 1`, `change_type = 'technology_changed'`), "it was told otherwise than it happened"},
		{wrong(`scan_id = NULL`, `change_type = 'port_closed'`), "it was told otherwise than it happened"},
		{wrong(`scan_job_id = NULL`, `change_type = 'file_collected'`), "it was told otherwise than it happened"},
		{wrong(`scan_id = n('scan 14')`, `change_type = 'asset_stale'`), "it was told otherwise than it happened"},
		{wrong(`change_type = 'asset_stale'`, `change_type = 'asset_reappeared'`), "it was told and did not happen"},
		{`UPDATE asset_version SET status = 'closed' WHERE id = n('outer 22')`, "it was told and did not happen"},
		{`UPDATE asset SET status = 'active' WHERE id = n('outer 443')`, "it happened and was not told"},
		{`UPDATE asset_version SET technology = '[{"name": "http", "service": true}]' WHERE id = n('outer 80') AND version = 1`, "it was told and did not happen"},
		{`UPDATE asset_version SET technology = '[{"name": "ftp", "service": true}]' WHERE id = n('outer 80') AND version = 1`, ""}, // otherwise changed
		{`UPDATE asset SET first_seen_at = '2026-03-02 00:00+00' WHERE id = n('outer host')`, "it happened and was not told"},
		{`ALTER TABLE file DISABLE TRIGGER append_only; DELETE FROM file`, "it was told and did not happen"},
	} {
		o := s.organization(t, fmt.Sprintf("outside-%d", i))
		s.exec(t, worldSQL)
		s.exec(t, outsideSQL)
		s.tell(t, o)
		s.exec(t, test.breaks)
		messages := []string{}
		for _, finding := range found(s.check(t, o))[invariant.Feed] {
			messages = append(messages, finding.Message)
		}
		if test.message == "" {
			require.Empty(t, messages, test.breaks)
			continue
		}
		require.Contains(t, messages, test.message, test.breaks)
	}
}

// recounted has the days follow the events.
const recounted = `DELETE FROM exposure_change_day; INSERT INTO exposure_change_day (organization_id, day, change_type, severity, class, events)
	SELECT organization_id, (at AT TIME ZONE 'UTC')::date, change_type, coalesce(severity, 0), class, count(*) FROM exposure_changes GROUP BY 1, 2, 3, 4, 5`

// TestFeedMayWait: what waits, what is a gap, and what was there before the feed are
// not missed; a part that is told already is held against what happened.
func TestFeedMayWait(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for i, wait := range []string{
		``,
		`INSERT INTO change_gap (organization_id, at, cause, reason, recorded_at) SELECT organization_id, at, cause, '', at FROM change_outbox; DELETE FROM change_outbox`,
		`DELETE FROM change_outbox WHERE at < '2026-02-10 00:00+00'; INSERT INTO change_head (id, history_from) VALUES (current_organization(), '2026-02-01 00:00+00');
		 UPDATE workload_exposure SET from_at = greatest(from_at, '2026-02-01 00:00+00')`,
	} {
		o := s.organization(t, fmt.Sprintf("waits-%d", i))
		s.world(t, o)
		s.exec(t, wait)
		require.Empty(t, found(s.check(t, o)), wait)
		s.tell(t, o)
		require.Empty(t, found(s.check(t, o)), wait)
		// What is told comes once more, and tells the same.
		s.exec(t, `INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at) SELECT DISTINCT organization_id, at, 'sync', false, 10, at FROM exposure_changes`)
		require.Empty(t, found(s.check(t, o)), wait)
		s.exec(t, `UPDATE exposure_changes SET class = 5 WHERE change_type = 'authority_path_reappeared'; `+recounted)
		if i != 1 {
			require.Len(t, found(s.check(t, o))[invariant.Feed], 1, "however much waits")
		}
	}
}

// TestFeedPredicatesAlone asks for acme beside a rival who has the same ids and
// instants, with row level security and without it: the predicates alone keep them
// apart.
func TestFeedPredicatesAlone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	rival, acme := s.organization(t, "rival"), id.Organization("acme")
	s.world(t, rival)
	s.exec(t, outsideSQL)
	s.tell(t, rival)
	// Everything of the rival's that acme lacks would hide something: what waits, what
	// is a gap, when history begins, and a sync at the instant of acme's decision.
	s.exec(t, `INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at) SELECT DISTINCT organization_id, at, 'decision', false, 1, at FROM ledger_entry`)
	s.exec(t, `INSERT INTO change_gap (organization_id, at, cause, reason, recorded_at) SELECT organization_id, at, 'sync', '', at FROM sync`)
	s.exec(t, `UPDATE change_head SET history_from = '2026-12-01 00:00+00' WHERE id = current_organization()`)
	s.exec(t, `INSERT INTO evaluation SELECT organization_id, max(at), max(at), 'time', '', 0, 0, 0 FROM ledger_entry GROUP BY 1`)
	s.exec(t, `INSERT INTO sync SELECT (jsonb_populate_record(NULL::sync, to_jsonb(y) || jsonb_build_object('id', n('sync 5'), 'version', 5, 'at', l.at))).*
		FROM sync y CROSS JOIN (SELECT max(at) AS at FROM ledger_entry) l WHERE version = 4`)
	s.organization(t, "acme")
	s.world(t, &org.Organization{ID: acme, Slug: "acme"})
	s.exec(t, outsideSQL)
	s.exec(t, `UPDATE exposure SET version = 2, version_from = (SELECT max(at) FROM ledger_entry) WHERE path_id = n('p4');
		INSERT INTO exposure_version (organization_id, path_id, type, ordinal, version, from_at, to_at, class, severity, factors, explanation, evidence_digest, disposition)
		SELECT organization_id, path_id, type, ordinal, 1, from_at, version_from, class, severity, factors, explanation, evidence_digest, 1 FROM exposure WHERE path_id = n('p4')`)
	s.tell(t, &org.Organization{ID: acme, Slug: "acme"})
	// Of each kind one is told otherwise, one is not told, and one follows from nothing.
	s.exec(t, `DELETE FROM exposure_changes WHERE seq = 2; UPDATE exposure_changes SET class = 7 WHERE seq > 2; UPDATE exposure_changes SET caused_by = n('nobody') WHERE seq > 4`)

	ask := func() map[string][]string {
		answers := map[string][]string{}
		snapshot := s.Snapshot()
		defer snapshot.Close(context.Background())
		for _, query := range invariant.FeedQueries.All() {
			if query.Name == "invariant.feed.plan_by_sets" { // there is no organization in it
				continue
			}
			args := pgx.StrictNamedArgs{}
			if strings.Contains(query.SQL, "@rows") {
				args["rows"] = 1000
			}
			whole := db.Query{Name: query.Name, SQL: "SELECT to_jsonb(q)::text FROM (" + strings.TrimSuffix(query.SQL, ";") + ") q"}
			rows, err := db.Column[string](context.Background(), snapshot.Of(acme), whole, args)
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, rows, "%s: no answer proves nothing", query.Name)
			answers[query.Name] = rows
		}
		return answers
	}
	before := ask()
	require.Contains(t, strings.Join(before["invariant.feed.differences"], " "), "exposure_disposition_changed")
	rows, err := s.owner.Query(context.Background(), `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relrowsecurity`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, table := range tables {
		s.exec(t, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
	}
	require.Equal(t, before, ask())
}
