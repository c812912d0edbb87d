package db_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Whoever sees one of the members of a set sees the set.
func TestVisibleClasses(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	super := database.Super(t)
	acme, rival := id.Organization("acme"), id.Organization("rival")
	exec(t, super, `INSERT INTO organization VALUES ($1, 'acme', 'acme', now()), ($2, 'rival', 'rival', now())`, acme, rival)
	exec(t, super, `INSERT INTO access_class VALUES ($1, 1, 'prod', 'pay', 'gold'), ($1, 2, 'stage', 'pay', 'gold'), ($1, 4, 'prod', 'people', ''), ($1, 5, '', 'people', 'silver')`, acme)
	exec(t, super, `INSERT INTO access_class_set VALUES ($1, 3, '{1, 2}', sha256('1,2')), ($1, 6, '{2, 5}', sha256('2,5')), ($1, 7, '{1, 2, 4, 5}', sha256('1,2,4,5'))`, acme)
	exec(t, super, `INSERT INTO access_class VALUES ($1, 1, 'prod', 'pay', 'gold')`, rival)
	exec(t, super, `INSERT INTO access_class_set VALUES ($1, 8, '{1, 2}', sha256('1,2'))`, rival)
	for _, c := range []struct {
		attributes db.Attributes
		classes    []int
	}{
		{db.Attributes{Environments: []string{"prod"}}, []int{1, 3, 4, 7}},
		{db.Attributes{Environments: []string{"stage"}}, []int{2, 3, 6, 7}},
		{db.Attributes{Owners: []string{"people"}}, []int{4, 5, 6, 7}},
		{db.Attributes{Environments: []string{"prod"}, Owners: []string{"people"}}, []int{4, 7}},
		{db.Attributes{Environments: []string{"stage"}, BusinessTiers: []string{"silver"}}, []int{}}, // one member has this, another one that
		{db.Attributes{Owners: []string{"nobody"}}, []int{}},
		{db.Attributes{Environments: []string{""}}, []int{5, 6, 7}}, // which no token says
		{db.Attributes{}, []int{1, 2, 3, 4, 5, 6, 7}},
	} {
		snapshot := database.Snapshot()
		classes, err := db.VisibleClasses(t.Context(), snapshot.Of(acme), c.attributes)
		snapshot.Close(t.Context())
		require.NoError(t, err)
		require.Equal(t, c.classes, classes, "%v", c.attributes)
	}
}

// TestClassSetsOnData: assets of several workloads that had no class have one when the
// tables of sets come, from the instant on since which they lead there; and none again,
// like what was told of them, when these go.
func TestClassSetsOnData(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	database := dbtest.New(t)
	sync1(t, database.DB, "acme", facts(4))
	sync1(t, database.DB, "rival", facts(2))
	super, acme := database.Super(t), id.Organization("acme")
	m := migrator(t, database.OwnerURL)
	without := func() {
		applied := func() bool {
			status, err := m.Status(ctx)
			require.NoError(t, err)
			return slices.ContainsFunc(status, func(s db.MigrationStatus) bool { return s.Version == 11 && s.Applied })
		}
		for applied() {
			_, err := m.Down(ctx)
			require.NoError(t, err)
		}
	}
	without()
	exec(t, super, `INSERT INTO access_class VALUES ($1, 1, 'prod', '', ''), ($1, 2, 'stage', '', '')`, acme)
	exec(t, super, `UPDATE entity SET class = right(name, 1)::integer, from_at = $2 WHERE organization_id = $1 AND name IN ('w001', 'w002')`, acme, epoch)
	exec(t, super, `INSERT INTO asset (organization_id, id, kind, value, first_seen_at, status, attributes, class, from_at)
		SELECT $1, md5(a.value)::uuid, 'host', a.value, $2, 'active', '{"os": "Linux"}', a.class, $2
		FROM (VALUES ('both', 0), ('later', 0), ('bare too', 0), ('none', 0), ('one', 1), ('former', 0)) a(value, class)`, acme, epoch)
	exec(t, super, `INSERT INTO asset_link SELECT $1, md5(l.asset)::uuid, w.id, 'address', '', $2::timestamptz + l.since * interval '1 hour', $2::timestamptz + l.until * interval '1 hour'
		FROM (VALUES ('both', 'w001', 0, NULL::integer), ('both', 'w002', 0, NULL), ('later', 'w001', 0, NULL), ('later', 'w002', 5, NULL), ('later', 'w000', 7, NULL),
			('bare too', 'w000', 0, NULL), ('bare too', 'w002', 3, NULL), ('none', 'w000', 0, NULL), ('one', 'w001', 0, NULL),
			('former', 'w001', 0, 4), ('former', 'w002', 0, 4)) l(asset, workload, since, until)
		JOIN entity w ON w.organization_id = $1 AND w.name = l.workload`, acme, epoch)

	_, err := m.Up(ctx, devpg.RuntimeRole)
	require.NoError(t, err)
	require.Equal(t, []string{"3 {1,2}"}, column[string](t, super, `SELECT concat_ws(' ', class, members) FROM access_class_set WHERE digest = sha256('1,2')`))
	hours := func(sql string) []string { return column[string](t, super, sql, acme, epoch) }
	require.Equal(t, []string{"bare too 2 2 3", "both 3 1 0", "former 0 1 0", "later 3 2 5", "none 0 1 0", "one 1 1 0"},
		hours(`SELECT concat_ws(' ', value, class, version, extract(hour FROM from_at - $2::timestamptz)) FROM asset WHERE organization_id = $1 ORDER BY value`))
	require.Equal(t, []string{"bare too 0 1 0-3", "later 0 1 0-5"},
		hours(`SELECT concat_ws(' ', a.value, v.class, v.version, extract(hour FROM v.from_at - $2::timestamptz) || '-' || extract(hour FROM v.to_at - $2::timestamptz))
			FROM asset_version v JOIN asset a ON a.organization_id = $1 AND a.id = v.id AND a.attributes = v.attributes WHERE v.organization_id = $1 ORDER BY a.value`))

	exec(t, super, `UPDATE asset_version SET class = 3 WHERE organization_id = $1 AND id = md5('later')::uuid`, acme)
	exec(t, super, `INSERT INTO exposure_changes (organization_id, seq, id, change_type, entity_type, entity_id, subject_id, class, title, metadata, at, created_at)
		SELECT $1, n, md5('event ' || n)::uuid, 'asset_discovered', 'asset', $1, $1, 2 + n % 2, 'title', '{}', now(), now() FROM generate_series(1, 4) n`, acme)
	exec(t, super, `INSERT INTO exposure_change_day VALUES ($1, '2026-03-01', 'asset_discovered', 0, 2, 2), ($1, '2026-03-01', 'asset_discovered', 0, 3, 2), ($1, '2026-03-01', 'asset_discovered', 0, 0, 5)`, acme)
	without()
	require.Equal(t, []int32{0, 1, 2}, column[int32](t, super, `SELECT class FROM asset UNION SELECT class FROM asset_version ORDER BY 1`), "no class that others could be given")
	require.Equal(t, []string{"0 2", "2 2"}, column[string](t, super, `SELECT class || ' ' || count(*) FROM exposure_changes GROUP BY class ORDER BY 1`))
	require.Equal(t, []string{"0 7", "2 2"}, column[string](t, super, `SELECT class || ' ' || events FROM exposure_change_day ORDER BY 1`))
	_, err = super.Exec(ctx, `DELETE FROM exposure_changes`)
	require.Equal(t, "23001", sqlState(t, err), "the feed is as closed as before")
	_, err = m.Up(ctx, devpg.RuntimeRole)
	require.NoError(t, err)
	require.Equal(t, []int32{3}, column[int32](t, super, `SELECT class FROM asset WHERE value = 'both'`))
}
