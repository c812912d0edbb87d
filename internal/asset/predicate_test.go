package asset_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// TestReadPredicatesAlone asks every statement that reads, and a list under each
// filter, with row level security off, now and as of before and after everything was
// replaced. An organization that has the same rows under the same ids, and other words
// in them, comes beside it: nothing that is answered may change.
func TestReadPredicatesAlone(t *testing.T) {
	t.Parallel()
	s := stock(t)
	rival := id.Organization("rival")
	tables := rows[string](t, s.super, `SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND $1::uuid IS NOT NULL`)
	for _, table := range tables {
		s.exec(t, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
	}
	replacedAt := onDay(10)
	dbtest.Outdate(t, s.super, organization, replacedAt)

	all := []id.ID{named(t, s, "host"), named(t, s, "name"), named(t, s, "web"), named(t, s, "nginx"), named(t, s, "page"), named(t, s, "certificate"), named(t, s, "report")}
	workloads := []id.ID{named(t, s, "shop"), named(t, s, "cart")}
	samples := map[string]pgx.StrictNamedArgs{
		"assets_page": {"limit": 100}, "count_assets": {}, "place_of_asset": {"id": all[0]}, "assets_by_ids": {"ids": all},
		"asset_by_value": {"kind": "host", "value": "10.0.0.1"}, "parts_under": {"parents": all, "limit": 100}, "count_parts_under": {"parents": all},
		"assets_of_workloads": {"parents": workloads, "limit": 100}, "count_assets_of_workloads": {"parents": workloads},
		"workloads_of_assets": {"parents": all, "limit": 100}, "count_workloads_of_assets": {"parents": all},
		"tied_from": {"kind": "resolves", "ids": all, "limit": 100}, "tied_to": {"kind": "resolves", "ids": all, "limit": 100},
		"last_seen": {"ids": all}, "sightings_by_assets": {"ids": all, "limit": 100}, "versions_by_assets": {"ids": all, "limit": 100},
		"discoveries": {"ids": all}, "files_by_ids": {"ids": all},
	}
	linked := true
	filters := map[string]asset.Filter{
		"all": {}, "workload": {Workloads: workloads}, "source": {Sources: []id.ID{named(t, s, "httpx")}}, "linked": {Linked: &linked}, "technology": {Technology: "nginx"},
	}
	ask := func() map[string]any {
		answers := map[string]any{}
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		for _, query := range asset.ReadQueries.All() {
			args, ok := samples[strings.TrimPrefix(query.Name, "asset.read.")]
			require.True(t, ok, "%s has no sample arguments here", query.Name)
			whole := db.Query{
				Name: query.Name, SQL: "/* " + query.Name + " */ SELECT to_jsonb(q)::text FROM (" + strings.TrimSuffix(strings.TrimSpace(query.SQL), ";") + ") q",
				Past: "SELECT to_jsonb(q)::text FROM (" + strings.TrimSuffix(strings.TrimSpace(query.Past), ";") + ") q",
			}
			for when, of := range map[string]*db.Snapshot{"": snapshot, "@before": snapshot.At(replacedAt.Add(-time.Hour)), "@after": snapshot.At(replacedAt.AddDate(50, 0, 0))} {
				found, err := db.Column[string](s.ctx, of.Of(organization), whole, args)
				require.NoError(t, err, query.Name+when)
				require.NotEmpty(t, found, "%s%s: no answer proves nothing", query.Name, when)
				slices.Sort(found)
				answers[query.Name+when] = found
			}
		}
		for name, filter := range filters {
			found := s.list(t, nil, filter)
			require.NotEmpty(t, found, name)
			answers["list "+name] = found
		}
		return answers
	}
	before := ask()
	s.exec(t, `INSERT INTO organization VALUES ($1, 'rival', 'rival', day(0))`, rival)
	for _, table := range tables {
		s.exec(t, `INSERT INTO `+table+` SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid))).* FROM `+table+` x WHERE organization_id = $2`, rival, organization)
	}
	for _, statement := range []string{
		`UPDATE asset SET plugin = 'foreign', status = 'stale', technology = '[{"name": "foreign"}]', first_seen_at = first_seen_at + interval '1 hour', value = value || 'x'`,
		`UPDATE asset_version SET plugin = 'foreign', state = 'filtered'`, `UPDATE asset_sighting SET plugin = 'foreign', from_at = from_at + interval '1 hour'`,
		`UPDATE asset_tie SET to_at = NULL, from_id = to_id`, `UPDATE asset_link SET detail = 'foreign', to_at = NULL`,
		`UPDATE entity SET name = 'foreign'`, `UPDATE sync SET at = at + interval '1 hour'`, `UPDATE file SET name = 'foreign'`,
	} {
		_, err := s.super.Exec(context.Background(), statement+` WHERE organization_id = $1`, rival)
		require.NoError(t, err, statement)
	}
	require.Equal(t, before, ask())
}
