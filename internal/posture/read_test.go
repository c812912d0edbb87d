package posture_test

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// noon is where the clock of what is read stands.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// shelf is an organization whose rows a test wrote by hand, to be read.
type shelf struct {
	*dbtest.Database
	reader       posture.Reader
	organization id.ID
	super        *pgx.Conn
	ctx          context.Context
}

func (s *shelf) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := s.super.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

// stock is three clusters: an unowned one with members at every level, one of
// unowned egress with more of them, and an empty one.
func stock(t testing.TB) *shelf {
	t.Helper()
	s := &shelf{Database: dbtest.New(t), organization: id.Organization("acme")}
	s.super = s.Super(t)
	s.ctx = access.With(context.Background(), access.Actor{Subject: "test", AllOrganizations: true, Scopes: []access.Scope{access.View}})
	s.exec(t, `SET session_replication_role = replica`)
	s.exec(t, `INSERT INTO organization VALUES ($1, 'acme', 'acme', $2)`, s.organization, noon)
	s.exec(t, `INSERT INTO organization_window VALUES ($1, $2)`, s.organization, noon)
	s.exec(t, `INSERT INTO evaluation VALUES ($1, $2, $2, 'time', 'test', 0, 0, 0)`, s.organization, noon)
	s.exec(t, `INSERT INTO setting (organization_id, version, from_at, actor, dormant_after_days, proof_grace_days, privilege_window_days, shared_workloads, disabled_rules)
		VALUES ($1, 1, $2, 'test', 45, 7, 90, 3, '{}')`, s.organization, noon)
	for _, key := range []string{"orphaned-sensitive", "orphaned-external", "dormant-external", "llm-egress"} {
		d := defined(t, key)
		s.exec(t, `INSERT INTO cluster_definition VALUES ($1, $2, 1, $3, CASE WHEN $4 = 'llm-egress' THEN $3::timestamptz + interval '1 day' END, $4, 'path', $5, 1, 0)`,
			s.organization, d.Cluster, noon, d.Key, d.Severity)
	}
	s.exec(t, `INSERT INTO cluster_counter SELECT $1, c, l, x, n * l, n, n, 5, 1, l - 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, $2
		FROM (VALUES (1, 1), (5, 2)) AS v(c, n), generate_series(1, 3) l, (VALUES (-1), (4)) AS y(x)`, s.organization, noon)
	s.exec(t, `UPDATE cluster_counter SET paths = 1000 WHERE class = 4`)
	s.exec(t, `INSERT INTO cluster_tally SELECT $1, 1, l, x, d, v, m FROM generate_series(1, 3) l, (VALUES (-1), (4)) AS y(x),
		(VALUES ('sensitive_domain', 'hr', 1), ('sensitive_domain', 'finance', 2), ('first_seen', '2026-02-28', 3), ('first_seen', '2026-01-31', 10), ('first_seen', '2026-01-30', 20),
		        ('exposed_since', '2026-02-20', 1), ('exposed_since', '2026-01-01', 1)) AS z(d, v, m)`, s.organization)
	s.exec(t, `INSERT INTO cluster_member (organization_id, cluster, path_id, from_at, to_at, version, level, class, first_seen, exposed_since, rank, sensitivity, evidence, workload_id, resource_id, ownership_status)
		SELECT $1, c, md5(p)::uuid, $2, CASE WHEN gone THEN $2::timestamptz + interval '1 day' END, 1, l, 0, '2026-01-01', '2026-01-01', 36, 4, 0, md5('w')::uuid, md5('r')::uuid, 'orphaned'
		FROM (VALUES (1, 'a', 1, false), (1, 'b', 2, false), (1, 'c', 3, false), (5, 'a', 2, false), (5, 'd', 1, true)) AS x(c, p, l, gone)`, s.organization, noon)
	for _, part := range []string{"workload", "identity"} {
		s.exec(t, `INSERT INTO cluster_`+part+` (organization_id, cluster, level, class, `+part+`_id, members)
			SELECT $1, c, l, x, md5(n::text)::uuid, 1 FROM (VALUES (1, 1, 0), (1, 2, 7), (5, 3, 0)) AS v(c, l, x), generate_series(1, 5) n`, s.organization)
	}
	return s
}

func (s *shelf) overview(t testing.TB, level posture.Level) []*posture.Cluster {
	t.Helper()
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	clusters, err := s.reader.Overview(s.ctx, snapshot, s.organization, level)
	require.NoError(t, err)
	return clusters
}

func keysOf(clusters []*posture.Cluster) (keys []string) {
	for _, c := range clusters {
		keys = append(keys, c.Key)
	}
	return keys
}

func TestReadOverview(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.Statements.Reset()
	clusters := s.overview(t, posture.Acknowledged)
	require.Len(t, s.Statements.Sent(), 2)
	require.Equal(t, []string{"orphaned-sensitive", "orphaned-external", "dormant-external"}, keysOf(clusters), "critical, high, and those without members last")

	unowned, external, dormant := clusters[0], clusters[1], clusters[2]
	require.Equal(t, posture.Totals{
		Paths: 2, Identities: 1, Workloads: 1, Executions: 5, Executed: 1, ExecutedSensitive: 1, OwnershipValid: 1, OwnershipDegraded: 2, OwnershipAmbiguous: 3,
		OwnershipOrphaned: 4, OwnershipUnknown: 5, SensitivityUnknown: 6, SensitivityPublic: 7, SensitivityInternal: 8, SensitivityConfidential: 9, SensitivityRestricted: 10,
	}, unowned.Totals)
	require.EqualValues(t, 1, unowned.AcknowledgedPaths)
	require.EqualValues(t, 1, unowned.AcceptedPaths)
	require.Equal(t, []string{"finance", "hr"}, unowned.SensitiveDomains)
	require.EqualValues(t, 13, unowned.NewPaths, "days after the one that is 30 days before the window's end")
	require.Equal(t, 59, *unowned.OldestDays)
	require.Equal(t, posture.UrgencyCritical, *unowned.Urgency())
	require.EqualValues(t, 4, external.Paths)
	require.Empty(t, external.SensitiveDomains)
	require.NotNil(t, external.SensitiveDomains)
	require.Nil(t, external.OldestDays)
	require.Zero(t, dormant.Paths)
	require.Nil(t, dormant.Priority())
	require.Equal(t, 45*24*time.Hour, dormant.DormantAfter, "the organization's own threshold")

	open := s.overview(t, posture.Open)
	require.EqualValues(t, 1, open[0].Paths)
	require.Equal(t, posture.UrgencyModerate, *open[0].Urgency(), "nothing executed at this level")

	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	unborn, err := s.reader.Overview(s.ctx, snapshot, id.Organization("unborn"), posture.Open)
	require.NoError(t, err)
	require.Len(t, unborn, len(posture.Definitions), "an organization that was never judged has them all")
	require.Equal(t, rule.Defaults().DormantAfter, unborn[0].DormantAfter)
	require.True(t, slices.IsSorted(keysOf(unborn)), "all of them are empty: by key")
}

func TestReadSelect(t *testing.T) {
	t.Parallel()
	s := stock(t)
	clusters := s.overview(t, posture.Acknowledged)
	pick := func(filter posture.Filter, request page.Request) posture.Page {
		found, err := posture.Select(nil, s.organization, posture.Acknowledged, clusters, filter, request)
		require.NoError(t, err)
		return found
	}
	for name, test := range map[string]struct {
		filter posture.Filter
		want   []string
	}{
		"severity":  {posture.Filter{Severities: []rule.Severity{rule.High}}, []string{"orphaned-external", "dormant-external"}},
		"priority":  {posture.Filter{Priorities: []posture.Priority{posture.P1}}, []string{"orphaned-external"}},
		"key":       {posture.Filter{Numbers: []int16{6, 1}}, []string{"orphaned-sensitive", "dormant-external"}},
		"non-empty": {posture.Filter{NonEmpty: true}, []string{"orphaned-sensitive", "orphaned-external"}},
	} {
		found := pick(test.filter, page.Request{})
		require.Equal(t, test.want, keysOf(found.Rows), name)
		require.Equal(t, len(test.want), found.Total, name)
	}
	one := 1
	first := pick(posture.Filter{}, page.Request{First: &one})
	require.True(t, first.HasNext)
	after := first.Cursor(first.Rows[0])
	require.Equal(t, []string{"orphaned-external"}, keysOf(pick(posture.Filter{}, page.Request{First: &one, After: &after}).Rows))
	require.Equal(t, []string{"dormant-external"}, keysOf(pick(posture.Filter{}, page.Request{Last: &one}).Rows))
	for name, try := range map[string]struct {
		organization id.ID
		level        posture.Level
		filter       posture.Filter
	}{
		"another organization": {id.Organization("rival"), posture.Acknowledged, posture.Filter{}},
		"another level":        {s.organization, posture.Open, posture.Filter{}},
		"another filter":       {s.organization, posture.Acknowledged, posture.Filter{NonEmpty: true}},
	} {
		_, err := posture.Select(nil, try.organization, try.level, clusters, try.filter, page.Request{After: &after})
		require.Equal(t, "CURSOR_OF_ANOTHER_LIST", readCode(t, err), name)
	}
}

func readCode(t testing.TB, err error) string {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	return typed.Code
}

func (s *shelf) thing(t testing.TB, name string) (found id.ID) {
	t.Helper()
	require.NoError(t, s.super.QueryRow(context.Background(), `SELECT md5($1)::uuid`, name).Scan(&found))
	return found
}

func TestReadMembershipsAndParts(t *testing.T) {
	t.Parallel()
	s := stock(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	a, b, c, d := s.thing(t, "a"), s.thing(t, "b"), s.thing(t, "c"), s.thing(t, "d")
	memberships, err := s.reader.Memberships(s.ctx, snapshot, s.organization, []id.ID{a, b, c, d})
	require.NoError(t, err)
	require.Equal(t, map[id.ID][]int16{a: {1, 5}, b: {1}}, memberships, "not those that only accepted risks make, nor those that ended")

	three := 3
	for _, part := range []posture.Part{posture.Workloads, posture.Identities} {
		list := &posture.PartList{Part: part, Level: posture.Acknowledged, Request: page.Request{First: &three}}
		pages, err := s.reader.PartsOf(s.ctx, snapshot, s.organization, list, []int16{1, 5, 6})
		require.NoError(t, err)
		require.Len(t, pages[1].Rows, 3)
		require.True(t, pages[1].HasNext)
		require.Empty(t, pages[5].Rows, "all of them are of a higher level")
		require.Empty(t, pages[6].Rows)
		after := pages[1].Cursor(pages[1].Rows[2])
		list.Request.After = &after
		rest, err := s.reader.PartsOf(s.ctx, snapshot, s.organization, list, []int16{1})
		require.NoError(t, err)
		require.Len(t, rest[1].Rows, 2)
		require.False(t, rest[1].HasNext)
		all := slices.Concat(pages[1].Rows, rest[1].Rows)
		require.True(t, slices.IsSortedFunc(all, func(x, y id.ID) int { return slices.Compare(x[:], y[:]) }), "each once, in order")
		_, err = s.reader.PartsOf(s.ctx, snapshot, s.organization, list, []int16{5})
		require.Equal(t, "CURSOR_OF_ANOTHER_LIST", readCode(t, err))
	}
}

func TestReadNeedsAccess(t *testing.T) {
	t.Parallel()
	s := stock(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	for code, actor := range map[string]access.Actor{
		"ORGANIZATION_NOT_FOUND": {Subject: "stranger", Organizations: []string{"rival"}, Scopes: access.Scopes},
		"SCOPE_MISSING":          {Subject: "blind", Organizations: []string{"acme"}},
	} {
		ctx := access.With(context.Background(), actor)
		_, err := s.reader.Overview(ctx, snapshot, s.organization, posture.Open)
		require.Equal(t, code, readCode(t, err))
		_, err = s.reader.Memberships(ctx, snapshot, s.organization, []id.ID{id.Nil})
		require.Equal(t, code, readCode(t, err))
		_, err = s.reader.PartsOf(ctx, snapshot, s.organization, &posture.PartList{Part: posture.Workloads}, []int16{1})
		require.Equal(t, code, readCode(t, err))
	}
	require.Empty(t, s.Statements.Sent())
}

// tables are all those with rows of organizations.
func (s *shelf) tables(t testing.TB) []string {
	t.Helper()
	rows, err := s.super.Query(context.Background(), `SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return tables
}

// TestReadPredicatesAlone reads everything, as it is and as it was, before and after
// another organization moved in with the same ids, with row level security off.
func TestReadPredicatesAlone(t *testing.T) {
	t.Parallel()
	s := stock(t)
	s.rows(t)
	rival := id.Organization("rival")
	tables := s.tables(t)
	s.exec(t, `SET session_replication_role = replica`)
	for _, table := range tables {
		s.exec(t, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
	}
	replacedAt := noon.Add(2 * time.Hour)
	dbtest.Outdate(t, s.super, s.organization, replacedAt)
	s.exec(t, `UPDATE cluster_member SET identity_id = md5('i1')::uuid`)
	workloads := []id.ID{s.thing(t, "w1"), s.thing(t, "w2"), s.thing(t, "w3")}
	parts := pgx.StrictNamedArgs{"clusters": []int16{1, 5}, "level": 3, "after": id.Nil, "limit": 100}
	samples := map[string]pgx.StrictNamedArgs{
		"overview": {}, "tallies": {"level": 2}, "memberships": {"clusters": []int16{1, 5}, "ids": []id.ID{s.thing(t, "a"), s.thing(t, "d")}, "level": 3},
		"workloads_in_clusters": parts, "identities_in_clusters": parts,
		"workload_exposures_page": {"limit": 100}, "count_workload_exposures": {}, "workload_exposures_by_workloads": {"ids": workloads},
		"workload_exposure_detail": {"code": "EXP-00000001", "id": s.thing(t, "w2")}, "dossiers": {"ids": workloads, "nil": id.Nil},
		"exposures_of_workloads": {"workloads": workloads, "limit": 100}, "count_exposures_of_workloads": {"workloads": workloads},
		"posture": {"since": nil, "back": posture.DeltaBack, "all_classes": posture.AllClasses}, "snapshots_page": {"limit": 100}, "count_snapshots": {},
	}
	ask := func() map[string]any {
		answers := map[string]any{}
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		for _, query := range posture.ReadQueries.All() {
			args, ok := samples[strings.TrimPrefix(query.Name, "posture.read.")]
			require.True(t, ok, "%s has no sample arguments here", query.Name)
			whole := db.Query{Name: query.Name, SQL: "/* " + query.Name + " */ SELECT to_jsonb(q)::text FROM (" + query.SQL + ") q"}
			found, err := db.Column[string](s.ctx, snapshot.Of(s.organization), whole, args)
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, found, "%s: no answer proves nothing", query.Name)
			slices.Sort(found)
			answers[query.Name] = found
			whole.Past = "SELECT to_jsonb(q)::text FROM (" + query.Past + ") q"
			for when, at := range map[string]time.Time{"@before": replacedAt.Add(-time.Hour), "@after": replacedAt.AddDate(50, 0, 0)} {
				found, err := db.Column[string](s.ctx, snapshot.At(at).Of(s.organization), whole, args)
				require.NoError(t, err, query.Name)
				require.NotEmpty(t, found, "%s%s: no past proves nothing", query.Name, when)
				slices.Sort(found)
				answers[query.Name+when] = found
			}
		}
		bytes, err := json.Marshal(s.overview(t, posture.Acknowledged))
		require.NoError(t, err)
		answers["overview"] = string(bytes)
		return answers
	}
	before := ask()
	for _, table := range tables {
		s.exec(t, `INSERT INTO `+table+` SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid))).* FROM `+table+` x WHERE organization_id = $2`, rival, s.organization)
	}
	for _, statement := range []string{
		`UPDATE evaluation SET at = at + interval '1 year'`, `UPDATE setting SET dormant_after_days = 1`, `UPDATE organization_window SET window_at = window_at - interval '1 year'`,
		`UPDATE cluster_counter SET paths = paths + 7`, `UPDATE cluster_tally SET members = members + 7`, `UPDATE cluster_workload SET workload_id = md5(workload_id::text)::uuid`,
		`UPDATE cluster_counter_version SET paths = paths + 7`, `UPDATE cluster_tally_version SET members = members + 7`,
		`UPDATE workload_exposure_version SET paths = paths + 7`, `UPDATE posture_counter_version SET paths = paths + 7`, `UPDATE coverage_version SET complete = NOT complete`,
		`UPDATE exposure_version SET severity = 4`, `UPDATE authority_path_version SET data_domain = 'foreign'`,
		`UPDATE workload_exposure SET paths = paths + 7, identity_ids = identity_ids || md5('i3')::uuid`, `UPDATE posture_counter SET paths = paths + 7`,
		`UPDATE posture_snapshot SET paths = paths + 7, at = at + interval '1 hour'`, `UPDATE entity SET first_seen_at = first_seen_at - interval '1 year'`,
		`UPDATE source SET last_complete_at = last_complete_at + interval '1 year', name = 'rival of ' || name`, `UPDATE coverage SET complete = NOT complete`,
		`UPDATE evidence SET related = NOT related, day = day + 1`, `UPDATE authority_path SET workload_id = md5('w3')::uuid`, `UPDATE exposure SET severity = 4`, `UPDATE sync SET at = at + interval '1 year'`,
	} {
		s.exec(t, statement+` WHERE organization_id = $1`, rival)
	}
	require.Equal(t, before, ask())
}

// TestReadTablesHaveTheirPredicate counts, because an answer cannot prove every
// predicate.
func TestReadTablesHaveTheirPredicate(t *testing.T) {
	t.Parallel()
	mention := regexp.MustCompile(`\b(?:FROM|JOIN)\s+(cluster_[a-z]+|setting|evaluation|sync|organization_window|workload_exposure|posture_[a-z]+|entity|entity_assertion|source|coverage|evidence|authority_path|exposure)\s+([a-z]+)\b`)
	mentions := 0
	for _, query := range posture.ReadQueries.All() {
		for _, m := range mention.FindAllStringSubmatch(query.SQL, -1) {
			mentions++
			require.Contains(t, query.SQL, m[2]+".organization_id = @organization", "%s: %s", query.Name, m[1])
		}
	}
	require.Equal(t, 39, mentions)
}
