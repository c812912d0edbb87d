package asset_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// server is a workload with an environment, if it has one, and where it answers.
type server struct {
	name, environment string
	at                []string
}

// runs delivers what runs by now, and gives the instant.
func (b *bench) runs(t testing.TB, servers ...server) time.Time {
	t.Helper()
	var facts []record.Fact
	for i, s := range servers {
		said := running(s.name, "")
		w, _ := said[0].(record.Entity)
		w.Environment = s.environment
		facts = append(facts, w, said[1], said[4], said[5])
		if i == 0 {
			facts = append(facts, said[2], said[3], said[6])
		}
		for _, address := range s.at {
			facts = append(facts, answers(s.name, record.AddressEndpoint, address, 0))
		}
	}
	return b.tell(t, authority.SyncRequest{}, facts...).At
}

// classes are those of the hosts, with the environments that each stands for.
func (b *bench) classes(t testing.TB) []string {
	t.Helper()
	return rows[string](t, b.super, `SELECT concat_ws(' ', a.value, a.class, (
			SELECT string_agg(c.environment, '+' ORDER BY c.environment) FROM access_class c
			WHERE c.organization_id = $1 AND c.class IN (SELECT unnest(s.members) FROM access_class_set s WHERE s.organization_id = $1 AND s.class = a.class UNION SELECT a.class)))
		FROM asset a WHERE a.organization_id = $1 AND a.kind = 'host' ORDER BY 1`)
}

func (b *bench) sets(t testing.TB) []string {
	t.Helper()
	return rows[string](t, b.super, `SELECT concat_ws(' ', class, members) FROM access_class_set WHERE organization_id = $1 ORDER BY class`)
}

// An asset is of the class of its workloads, or of the one that stands for their classes.
func TestClasses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const one, two, three = "10.0.0.1", "10.0.0.2", "10.0.0.3"
	b.scan(t, authority.SyncRequest{Source: "s"}, surfacetest.Up(one, 80).Sighting, surfacetest.Up(two, 80).Sighting, surfacetest.Up(three, 80).Sighting)
	shop, cart := server{"shop", "production", []string{one}}, server{"cart", "staging", []string{one, two}}
	b.runs(t, shop, cart)
	require.Equal(t, []string{"10.0.0.1 3 production+staging", "10.0.0.2 2 staging", "10.0.0.3 0"}, b.classes(t))

	lab := server{"lab", "test", []string{one}}
	b.runs(t, shop, cart, lab)
	require.Equal(t, []string{"10.0.0.1 5 production+staging+test", "10.0.0.2 2 staging", "10.0.0.3 0"}, b.classes(t))
	require.Equal(t, []string{"3 {1,2}", "5 {1,2,4}"}, b.sets(t), "classes and sets are numbered together")

	shop.at = []string{one, two, three}
	b.runs(t, shop, cart)
	require.Equal(t, []string{"10.0.0.1 3 production+staging", "10.0.0.2 3 production+staging", "10.0.0.3 1 production"}, b.classes(t), "the same set has the same number")
	require.Len(t, b.sets(t), 2)

	versions := func() int {
		return rows[int](t, b.super, `SELECT sum(version)::integer FROM asset WHERE organization_id = $1`)[0]
	}
	before := versions()
	bare := server{"bare", "", []string{one, two, three}}
	b.runs(t, shop, cart, bare)
	require.Equal(t, []string{"10.0.0.1 3 production+staging", "10.0.0.2 3 production+staging", "10.0.0.3 1 production"}, b.classes(t), "who has no attributes adds nothing")
	require.Equal(t, before, versions())

	cart.environment = "production"
	b.runs(t, shop, cart, bare)
	require.Equal(t, []string{"10.0.0.1 1 production", "10.0.0.2 1 production", "10.0.0.3 1 production"}, b.classes(t), "a workload has another class")
	cart.environment = "test"
	b.runs(t, shop, cart, bare)
	require.Equal(t, []string{"10.0.0.1 6 production+test", "10.0.0.2 6 production+test", "10.0.0.3 1 production"}, b.classes(t))
	b.runs(t, cart, bare)
	require.Equal(t, []string{"10.0.0.1 4 test", "10.0.0.2 4 test", "10.0.0.3 0"}, b.classes(t), "a workload is gone")
	b.runs(t, bare)
	require.Equal(t, []string{"10.0.0.1 0", "10.0.0.2 0", "10.0.0.3 0"}, b.classes(t))
	require.Equal(t, []string{"3 {1,2}", "5 {1,2,4}", "6 {1,4}"}, b.sets(t))
}

// Who sees one of the workloads sees the asset, now and then, and not that others come
// and go.
func TestAssetsOfAPart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	shop, cart := server{"shop", "production", []string{"10.0.0.1"}}, server{"cart", "staging", []string{"10.0.0.1"}}
	bare := server{name: "bare", at: []string{"10.0.0.1"}}
	seen := b.scan(t, authority.SyncRequest{Source: "s"}, surfacetest.Up("10.0.0.1").Sighting).At
	alone := b.runs(t, shop, bare)
	shared := b.runs(t, shop, cart)
	left := b.runs(t, cart)
	back := b.runs(t, cart, shop)
	other := b.runs(t, server{"cart", "test", []string{"10.0.0.1"}}, shop)

	organization, reader := id.Organization("acme"), &asset.Reader{}
	ten := 10
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	stamp := func(at time.Time) string { return fmt.Sprint(int(at.Sub(day).Hours()) - 12) } // hours since the epoch
	looks := func(asOf *time.Time, environments ...string) (answer string) {
		actor := access.Actor{Subject: "test", Role: access.Client, AllOrganizations: true, Scopes: access.Scopes, Attributes: access.Attributes{Environment: environments}}
		ctx := access.With(b.ctx, actor)
		snapshot := b.Snapshot()
		defer snapshot.Close(ctx)
		at := snapshot
		if asOf != nil {
			at = snapshot.At(*asOf)
		}
		list, err := reader.Assets(ctx, at, organization, asset.Filter{}, asset.Order{Field: asset.ByValue}, page.Request{First: &ten})
		require.NoError(t, err)
		n, err := reader.CountAssets(ctx, at, organization, asset.Filter{})
		require.NoError(t, err)
		require.Len(t, list.Rows, n)
		if n == 0 {
			return "nothing"
		}
		versions, err := reader.Versions(ctx, at, organization, []id.ID{list.Rows[0].ID}, ten)
		require.NoError(t, err)
		for _, v := range versions {
			answer += stamp(v.FromAt) + "-"
			if v.ToAt != nil {
				answer += stamp(*v.ToAt)
			}
			answer += " "
		}
		workloads, err := reader.CountWorkloadsBehind(ctx, at, organization, []id.ID{list.Rows[0].ID})
		require.NoError(t, err)
		return fmt.Sprint(answer, "of ", workloads[list.Rows[0].ID])
	}
	require.Equal(t, []string{"1", "2", "3", "4", "5", "6"}, []string{stamp(seen), stamp(alone), stamp(shared), stamp(left), stamp(back), stamp(other)})
	for _, c := range []struct {
		asOf                                    *time.Time
		everything, production, staging, nobody string
	}{
		{&seen, "1- of 0", "nothing", "nothing", "nothing"},
		{&alone, "1- of 2", "2- of 1", "nothing", "nothing"},
		{&shared, "1- of 2", "2- of 1", "3- of 1", "nothing"},
		{&left, "1- of 1", "nothing", "3- of 1", "nothing"},
		{&back, "1- of 2", "5- 2-4 of 1", "3- of 1", "nothing"},
		{nil, "1- of 2", "5- 2-4 of 1", "nothing", "nothing"},
	} {
		require.Equal(t, []string{c.everything, c.production, c.staging, c.nobody},
			[]string{looks(c.asOf), looks(c.asOf, "production"), looks(c.asOf, "staging"), looks(c.asOf, "nowhere")}, "%v", c.asOf)
	}
}
