package asset_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

const (
	shaA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	shaB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	oneA = "1111111111111111111111111111111111111111"
)

func TestAScanMakesAssets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	web := surfacetest.Service("10.0.0.1", 443)
	first := surfacetest.Up("10.0.0.1", 22, 443).Runs(web, "nginx", "1.24").Presents(web, shaA, oneA).Resolves("shop.example.com", "10.0.0.1").
		Page("https://10.0.0.1:443/login?x=1").Probed("10.0.0.0", "10.0.0.255", 1, 1024)
	report := b.scan(t, authority.SyncRequest{Source: "nmap"}, first.Sighting)
	require.Equal(t, authority.Applied, report.Outcome)
	require.Equal(t, authority.SurfaceCounts{Added: 8}, report.Assets)
	require.Equal(t, []string{
		"certificate " + shaA + " active",
		"domain shop.example.com active",
		"host 10.0.0.1 active",
		"service 10.0.0.1 tcp/22 active open",
		"service 10.0.0.1 tcp/443 active open",
		"technology 10.0.0.1 tcp/443 nginx active",
		"url https://10.0.0.1:443/login?x=1 active",
		"url_path https://10.0.0.1:443/login active",
	}, b.standing(t))
	require.Equal(t, []string{`[{"name": "nginx", "version": "1.24"}, {"name": "http", "service": true}]`},
		rows[string](t, b.super, `SELECT technology::text FROM asset WHERE organization_id = $1 AND value = '10.0.0.1 tcp/443'`))

	report = b.scan(t, authority.SyncRequest{Source: "nmap"}, first.Sighting)
	require.Equal(t, authority.Unchanged, report.Outcome)
	require.Empty(t, rows[int](t, b.super, `SELECT version FROM asset_version WHERE organization_id = $1`))

	second := surfacetest.Up("10.0.0.1", 22).Probed("10.0.0.0", "10.0.0.255", 1, 1024)
	report = b.scan(t, authority.SyncRequest{Source: "nmap"}, second.Sighting)
	require.Equal(t, authority.SurfaceCounts{Gone: 5, Kept: 2}, report.Assets, "the port, what runs there, its pages and its certificate")
	require.Equal(t, []string{
		"certificate " + shaA + " closed",
		"domain shop.example.com active",
		"host 10.0.0.1 active",
		"service 10.0.0.1 tcp/22 active open",
		"service 10.0.0.1 tcp/443 closed closed",
		"technology 10.0.0.1 tcp/443 nginx closed",
		"url https://10.0.0.1:443/login?x=1 closed",
		"url_path https://10.0.0.1:443/login closed",
	}, b.standing(t))
	require.Empty(t, rows[int](t, b.super, `SELECT 1 FROM asset_tie WHERE organization_id = $1 AND kind = 'presents' AND to_at IS NULL`))

	report = b.scan(t, authority.SyncRequest{Source: "nmap"}, first.Sighting)
	require.Equal(t, authority.SurfaceCounts{Changed: 5, Kept: 3}, report.Assets, "and back")
}

func TestARejectionShieldsItsHost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	whole := surfacetest.Up("10.0.0.1", 22, 80).Probed("10.0.0.0", "10.0.0.3", 1, 1024).Sighting
	other := surfacetest.Up("10.0.0.2", 22, 80).Sighting
	b.scan(t, authority.SyncRequest{Source: "nmap"}, other, whole)
	b.advance(day)
	deliver := func(about *record.AssetRef) *authority.SyncReport {
		b.advance(day)
		report, err := b.service.Sync(b.ctx, authority.SyncRequest{Organization: "acme", Source: "nmap", Format: "nmap", Scan: true}, func(out record.Emitter) error {
			rejection := record.Rejection{Position: record.Position{File: "scan", Line: 1}, Code: "PORT_OUT_OF_RANGE", Reason: "70000", Asset: about}
			require.NoError(t, out.Reject(rejection))
			return out.Record(record.Record{Position: record.Position{File: "scan", Line: 2}, Fact: surfacetest.Up("10.0.0.1", 22).Probed("10.0.0.0", "10.0.0.3", 1, 1024).Sighting})
		})
		require.NoError(t, err)
		return report
	}
	report := deliver(nil)
	require.Zero(t, report.Assets.Gone, "it covers nothing")
	doubted := surfacetest.Host("10.0.0.2")
	report = deliver(&doubted)
	require.Equal(t, 1, report.Assets.Gone)
	require.Equal(t, []string{"10.0.0.0 10.0.0.1", "10.0.0.3 10.0.0.3"},
		rows[string](t, b.super, `SELECT host(low) || ' ' || host(high) FROM asset_cover WHERE organization_id = $1 AND to_at IS NULL AND covers = 'service' ORDER BY low`))
	require.Contains(t, b.standing(t), "service 10.0.0.1 tcp/80 closed closed")
	require.Contains(t, b.standing(t), "service 10.0.0.2 tcp/80 active open")
}
