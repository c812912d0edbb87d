package asset_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

func entity(kind record.EntityKind, name string) record.Entity {
	return record.Entity{Ref: record.Ref{Kind: kind, SourceID: name}, Basis: record.Manifest, Name: name, Status: record.Active}
}

// running is a workload with a path to restricted data.
func running(name string, images string) []record.Fact {
	w, i := entity(record.Workload, name), entity(record.Identity, name)
	w.ArtifactIdentifier = images
	r, data := entity(record.Role, "reader"), entity(record.Resource, "ledger")
	data.DataDomain, data.Sensitivity = "finance", "restricted"
	return []record.Fact{w, i, r, data, record.Edge{Kind: record.RunsAs, From: w.Ref, To: i.Ref},
		record.Edge{Kind: record.HasRole, From: i.Ref, To: r.Ref, Scope: "*"},
		record.Edge{Kind: record.Grants, From: r.Ref, To: data.Ref, Scope: "*", Actions: []string{"get"}}}
}

func answers(workload string, kind record.EndpointKind, value string, port int) record.Fact {
	return record.Endpoint{Workload: record.Ref{Kind: record.Workload, SourceID: workload}, Kind: kind, Value: value, Port: port}
}

// tell delivers what runs, an hour after what was before.
func (b *bench) tell(t testing.TB, request authority.SyncRequest, facts ...record.Fact) *authority.SyncReport {
	t.Helper()
	b.advance(time.Hour)
	request.Organization, request.System, request.Format, request.CreateOrganization = "acme", "kubernetes", "snapshot", true
	report, err := b.service.Sync(b.ctx, request, func(out record.Emitter) error {
		for i, fact := range facts {
			if err := out.Record(record.Record{Position: record.Position{File: "facts", Line: i + 1}, Fact: fact}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Empty(t, report.Rejections)
	return report
}

// links are the links that stand: workload, basis, detail, and what is there.
func (b *bench) links(t testing.TB) []string {
	t.Helper()
	return rows[string](t, b.super, `SELECT w.external_id || ' ' || l.basis || ' ' || l.detail || ' -> ' || a.kind || ' ' || a.value
		FROM asset_link l JOIN asset a ON a.organization_id = l.organization_id AND a.id = l.asset_id
		JOIN entity w ON w.organization_id = l.organization_id AND w.id = l.workload_id
		WHERE l.organization_id = $1 AND l.to_at IS NULL ORDER BY 1`)
}

// facing is how often a workload faced the outside: until when, and why not any more.
func (b *bench) facing(t testing.TB) []string {
	t.Helper()
	return rows[string](t, b.super, `SELECT CASE WHEN to_at IS NULL THEN 'open' ELSE resolution_reason END
		FROM exposure WHERE organization_id = $1 AND type = 16 ORDER BY from_at`)
}

func TestLinks(t *testing.T) {
	t.Parallel()
	shown := surfacetest.Up("203.0.113.7", 22, 443).Resolves("shop.example.com", "203.0.113.7").Page("https://shop.example.com/cart")
	other := surfacetest.Up("203.0.113.8", 80, 8443)
	far := surfacetest.Up("203.0.113.9", 443)
	for name, c := range map[string]struct {
		said  record.Fact
		links []string
	}{
		"an address": {answers("shop", record.AddressEndpoint, "203.0.113.8", 0), []string{
			"shop address 203.0.113.8 -> host 203.0.113.8", "shop address 203.0.113.8 -> service 203.0.113.8 tcp/80", "shop address 203.0.113.8 -> service 203.0.113.8 tcp/8443"}},
		"an address and a port, by a person": {answers("shop", record.MappedEndpoint, "203.0.113.8", 8443), []string{
			"shop mapping 203.0.113.8 -> host 203.0.113.8", "shop mapping 203.0.113.8 -> service 203.0.113.8 tcp/8443"}},
		"a name, and the web behind it": {answers("shop", record.HostnameEndpoint, "Shop.example.com", 0), []string{
			"shop hostname shop.example.com -> domain shop.example.com", "shop hostname shop.example.com -> host 203.0.113.7",
			"shop hostname shop.example.com -> service 203.0.113.7 tcp/443", "shop hostname shop.example.com -> url https://shop.example.com:443/cart",
			"shop hostname shop.example.com -> url_path https://shop.example.com:443/cart"}},
		"an ingress for any name": {answers("shop", record.IngressEndpoint, "*.example.com", 0), []string{
			"shop ingress *.example.com -> domain shop.example.com", "shop ingress *.example.com -> host 203.0.113.7",
			"shop ingress *.example.com -> service 203.0.113.7 tcp/443", "shop ingress *.example.com -> url https://shop.example.com:443/cart",
			"shop ingress *.example.com -> url_path https://shop.example.com:443/cart"}},
		"a port that is not there":     {answers("shop", record.HostnameEndpoint, "shop.example.com", 8080), []string{"shop hostname shop.example.com -> domain shop.example.com", "shop hostname shop.example.com -> host 203.0.113.7"}},
		"somewhere that nobody looked": {answers("shop", record.IngressEndpoint, "b.a.example.com", 0), []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			facts := append(running("shop", ""), c.said)
			b.tell(t, authority.SyncRequest{}, facts...)
			require.Empty(t, b.links(t))
			b.scan(t, authority.SyncRequest{Source: "s"}, shown.Sighting, other.Sighting, far.Sighting)
			require.Equal(t, c.links, b.links(t), "what is there came later")

			b.tell(t, authority.SyncRequest{}, running("shop", "")...)
			require.Empty(t, b.links(t), "the endpoint is gone")
			b.tell(t, authority.SyncRequest{}, facts...)
			require.Equal(t, c.links, b.links(t), "the endpoint came later")
			before := rows[int](t, b.super, `SELECT count(*) FROM asset_link WHERE organization_id = $1`)
			beside := running("other", "")
			b.tell(t, authority.SyncRequest{}, append([]record.Fact{beside[0], beside[1], beside[4], beside[5]}, facts...)...)
			require.Equal(t, before, rows[int](t, b.super, `SELECT count(*) FROM asset_link WHERE organization_id = $1`), "what stands is not written again")
			b.tell(t, authority.SyncRequest{}, running("other", "")...)
			require.Empty(t, b.links(t), "the workload is gone")
			require.Equal(t, []int{0}, rows[int](t, b.super, `SELECT count(*) FROM asset_link l JOIN sync y ON y.organization_id = l.organization_id AND y.at = l.to_at
				WHERE l.organization_id = $1 HAVING count(*) <> count(l.to_at) UNION ALL SELECT 0 LIMIT 1`), "every interval ends with a delivery")
		})
	}
}

// A report that was collected for an image is one about the workloads that run it.
func TestLinksOfImages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tell(t, authority.SyncRequest{}, running("shop", "")...)
	_, err := b.super.Exec(b.ctx, `INSERT INTO asset (organization_id, id, kind, value, first_seen_at, status, attributes, from_at)
		SELECT o.id, gen_random_uuid(), 'file', repeat('a', 64), now(), 'active', '{"artifact": "shop:2"}', now() FROM organization o`)
	require.NoError(t, err)
	_, err = b.super.Exec(b.ctx, `INSERT INTO file (organization_id, id, sha256, size, media_type, name, artifact, actor, at, recorded_at)
		SELECT a.organization_id, a.id, decode(a.value, 'hex'), 1, 'text/plain', 'sbom', 'shop:2', 'test', '2026-03-01', now() FROM asset a`)
	require.NoError(t, err)
	b.tell(t, authority.SyncRequest{}, running("shop", "proxy:1, shop:2")...)
	require.Equal(t, []string{"shop image shop:2 -> file " + rows[string](t, b.super, `SELECT value FROM asset WHERE organization_id = $1`)[0]}, b.links(t))
	b.tell(t, authority.SyncRequest{}, running("shop", "proxy:1, shop:3")...)
	require.Empty(t, b.links(t))
	require.Empty(t, b.facing(t), "a file is not reached from outside")
}

// What the outside can address reaches sensitive data, until the port is closed or
// nothing leads to it any more.
func TestFacingTheInternet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ingress := append(running("shop", ""), answers("shop", record.IngressEndpoint, "shop.example.com", 0))
	b.tell(t, authority.SyncRequest{}, ingress...)
	require.Empty(t, b.facing(t))
	named := func(ports ...int) record.Sighting {
		return surfacetest.Up("203.0.113.7", ports...).Resolves("shop.example.com", "203.0.113.7").Probed("203.0.113.7", "203.0.113.7", 1, 1000).Sighting
	}
	report := b.scan(t, authority.SyncRequest{Source: "s"}, named(443))
	require.Equal(t, 1, report.Exposures.Opened)
	require.Equal(t, []string{"open"}, b.facing(t))
	require.Equal(t, []string{"shop answers on 203.0.113.7 tcp/443 from outside."}, rows[string](t, b.super, `SELECT explanation FROM condition WHERE organization_id = $1 AND rule = 16`))
	members := func() []int {
		return rows[int](t, b.super, `SELECT count(DISTINCT path_id) FROM cluster_member WHERE organization_id = $1 AND cluster = 13 AND to_at IS NULL`)
	}
	require.Equal(t, []int{1}, members())

	b.scan(t, authority.SyncRequest{Source: "s"}, named())
	require.Equal(t, []string{"asset_gone"}, b.facing(t), "the port is closed")
	require.Equal(t, []int{0}, members())

	b.scan(t, authority.SyncRequest{Source: "s"}, named(443))
	require.Equal(t, []string{"asset_gone", "open"}, b.facing(t), "it is open again")
	b.tell(t, authority.SyncRequest{}, running("shop", "")...)
	require.Equal(t, []string{"asset_gone", "link_removed"}, b.facing(t), "the ingress is gone")
	b.tell(t, authority.SyncRequest{}, ingress...)
	require.Equal(t, []string{"asset_gone", "link_removed", "open"}, b.facing(t))

	b.advance(40 * day)
	b.scan(t, authority.SyncRequest{Source: "s"}, surfacetest.Up("203.0.113.6").Probed("203.0.113.6", "203.0.113.7", 1, 1000).Sighting)
	b.evaluate(t, authority.ByTime)
	require.Equal(t, []string{"asset_gone", "link_removed", "asset_gone"}, b.facing(t), "nobody sees it any more, though somebody looked")
}
