package change_test

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// What scans of the importers come to in the feed, all the way.

// shown is what a scan shows, put together by a test.
type shown struct{ record.Sighting }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func hostRef(address string) record.AssetRef { return must(surface.Host(address)) }

func serviceRef(address string, port int) record.AssetRef {
	return must(surface.Service(hostRef(address), record.TCP, port))
}

// scanOf looks at the first thousand ports of a host that is up.
func scanOf(address string) *shown {
	at := netip.MustParseAddr(address)
	s := &shown{}
	s.Assets = append(s.Assets, record.Asset{AssetRef: hostRef(address)})
	s.Covers = append(s.Covers, record.Cover{Of: record.HostAsset, From: at, To: at},
		record.Cover{Of: record.ServiceAsset, From: at, To: at, Protocol: record.TCP, Ports: []record.PortRange{{First: 1, Last: 1000}}, Answered: true})
	return s
}

// open shows a port, with the product that answers; asked for what it runs.
func (s *shown) open(address string, port int, name, product, version string) *shown {
	ref := serviceRef(address, port)
	s.Assets = append(s.Assets, record.Asset{AssetRef: ref, Parent: hostRef(address), State: record.PortOpen, Service: &record.ServiceDetail{Name: name}})
	if product != "" {
		s.Assets = append(s.Assets, record.Asset{AssetRef: must(surface.Technology(ref, product)), Parent: ref, Technology: &record.TechnologyDetail{Name: product, Version: version}})
	}
	s.Covers = append(s.Covers, record.Cover{Of: record.TechnologyAsset, Subject: ref})
	return s
}

// certified shows the certificate of a service.
func (s *shown) certified(address string, port int, sha256 string) *shown {
	ref := must(surface.Certificate(sha256, ""))
	s.Assets = append(s.Assets, record.Asset{AssetRef: ref, Certificate: &record.CertificateDetail{SHA256: sha256, Subject: "CN=" + sha256[:4]}})
	s.Ties = append(s.Ties, record.Tie{Kind: record.Presents, From: serviceRef(address, port), To: ref})
	s.Covers = append(s.Covers, record.Cover{Of: record.CertificateAsset, Subject: serviceRef(address, port)})
	return s
}

func (r *newsroom) deliver(service *authority.Service, source string, sightings ...*shown) (*authority.SyncReport, error) {
	return service.Sync(r.ctx, authority.SyncRequest{
		Organization: slug, Format: "nmap", Source: source, System: "lan", CreateOrganization: true, Strict: true, ObservedAt: r.now(), Scan: true,
	}, func(out record.Emitter) error {
		for i, s := range sightings {
			if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: s.Sighting}); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	oldDigest = "aaaa000000000000000000000000000000000000000000000000000000000001"
	newDigest = "bbbb000000000000000000000000000000000000000000000000000000000002"
)

// TestScans: from what scanners show to what everybody is told.
func TestScans(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	seq := 0
	next := func(after time.Duration, source string, sightings ...*shown) []*told {
		t.Helper()
		r.advance(after)
		report, err := r.deliver(r.paths, source, sightings...)
		require.NoError(t, err)
		list := since(r.drain(), seq)
		seq += len(list)
		require.Equal(t, report.SyncID, list[0].EntityID)
		for _, e := range list {
			require.Equal(t, report.SyncID, *e.ScanID, e.Title)
			require.Equal(t, id.Source(organization, source, "lan"), *e.ScanJobID, e.Title)
		}
		require.Empty(t, r.recount())
		return list[1:]
	}
	const host = "10.0.0.5"
	first := func() *shown {
		return scanOf(host).open(host, 22, "ssh", "", "").open(host, 80, "http", "nginx", "1.24").open(host, 443, "https", "", "").certified(host, 443, oldDigest)
	}
	require.ElementsMatch(t, []string{
		"asset_discovered: Host 10.0.0.5 discovered", "service_discovered: Service tcp/22 ssh discovered on 10.0.0.5",
		"service_discovered: Service tcp/80 http discovered on 10.0.0.5", "service_discovered: Service tcp/443 https discovered on 10.0.0.5",
		"asset_discovered: Technology nginx 1.24 discovered on 10.0.0.5 tcp/80", "certificate_discovered: Certificate CN=aaaa discovered",
	}, lines(next(time.Hour, "nmap", first())))
	require.Empty(t, next(time.Hour, "nmap", first()), "the second time it is no news")
	require.Empty(t, next(time.Hour, "masscan", first()), "nor from another scanner")

	// Port 22 is closed, 8443 is out of the range and 143 within it, and both are open.
	second := func() *shown {
		return scanOf(host).open(host, 80, "http", "nginx", "1.25").open(host, 143, "imap", "", "").open(host, 443, "https", "", "").certified(host, 443, newDigest).
			open(host, 8443, "", "", "")
	}
	list := next(time.Hour, "nmap", second())
	require.ElementsMatch(t, []string{
		"port_closed: Port tcp/22 closed on 10.0.0.5", "service_discovered: Service tcp/143 imap discovered on 10.0.0.5", "port_opened: Port tcp/143 opened on 10.0.0.5",
		"service_discovered: Service tcp/8443 discovered on 10.0.0.5", "port_opened: Port tcp/8443 opened on 10.0.0.5",
		"technology_changed: 10.0.0.5 tcp/80 runs nginx 1.25 instead of nginx 1.24", "certificate_discovered: Certificate CN=bbbb discovered",
	}, lines(list))
	opened := ofKind(list, change.PortOpened)
	require.ElementsMatch(t, []any{"closed", nil}, []any{opened[0].OldValue["state"], opened[1].OldValue["state"]})
	require.Equal(t, map[string]any{"state": "open", "name": "ssh", "technology": []any{}}, ofKind(list, change.PortClosed)[0].OldValue)
	require.Equal(t, map[string]any{"name": "http", "technology": []any{map[string]any{"name": "nginx", "version": "1.24"}}}, ofKind(list, change.TechnologyChanged)[0].OldValue)

	list = next(time.Hour, "nmap", second().open(host, 22, "ssh", "", ""))
	require.Equal(t, []string{"port_opened: Port tcp/22 opened on 10.0.0.5"}, lines(list))
	require.Equal(t, map[string]any{"state": "closed"}, list[0].OldValue)

	// The host is looked for in vain, and comes back.
	nobody := scanOf(host)
	nobody.Assets, nobody.Covers = nil, nobody.Covers[:1]
	seen := r.now()
	require.Empty(t, next(time.Hour, "nmap", nobody), "a host that is not seen is not gone")
	r.advance(15 * 24 * time.Hour)
	_, err := r.paths.Reevaluate(r.ctx, organization, authority.ByTime, nil)
	require.NoError(t, err)
	list = since(r.drain(), seq)
	seq += len(list)
	require.Empty(t, r.recount())
	require.Len(t, list, 6, "the host and its five services")
	stale := by(list, change.AssetStale, id.Asset(organization, "host", host))
	require.Equal(t, "10.0.0.5 was not seen for 15 days", stale.Title)
	require.Equal(t, seen.Format(time.RFC3339Nano), stale.OldValue["lastSeenAt"])
	require.Equal(t, "nmap", stale.NewValue["lookedBy"])
	for _, e := range list {
		require.Equal(t, change.AssetStale, e.ChangeType)
		require.Nil(t, e.ScanID)
		require.True(t, e == stale || *e.CausedBy == stale.ID)
	}
	list = next(time.Hour, "nmap", second())
	require.ElementsMatch(t, []string{
		"asset_reappeared: 10.0.0.5 was seen again after 15 days", "asset_reappeared: 10.0.0.5 tcp/80 was seen again after 15 days",
		"asset_reappeared: 10.0.0.5 tcp/143 was seen again after 15 days", "asset_reappeared: 10.0.0.5 tcp/443 was seen again after 15 days",
		"asset_reappeared: 10.0.0.5 tcp/8443 was seen again after 15 days", "port_closed: Port tcp/22 closed on 10.0.0.5",
	}, lines(list))
	filled, err := r.repairer.Audit(r.ctx, organization)
	require.NoError(t, err)
	require.Empty(t, filled)
}

// TestTwoScannersTellOnce: scanners that show the same new assets at once are told as
// one discovery each, of the scan that was first.
func TestTwoScannersTellOnce(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(world()...) // the organization is there
	seq := len(r.drain())
	other := r.service()
	for round := range 6 {
		var sightings []*shown
		for n := range 10 {
			host := fmt.Sprintf("10.0.%d.%d", round, n)
			sightings = append(sightings, scanOf(host).open(host, 22, "ssh", "", "").open(host, 443, "https", "nginx", "1.25"))
		}
		r.advance(time.Hour)
		var group sync.WaitGroup
		barrier := make(chan struct{})
		for i, service := range []*authority.Service{r.paths, other} {
			group.Go(func() {
				<-barrier
				_, err := r.deliver(service, []string{"nmap", "masscan"}[i], sightings...)
				if err != nil {
					t.Error(err)
				}
			})
		}
		close(barrier)
		group.Wait()
		list := since(r.drain(), seq)
		seq += len(list)
		syncs := ofKind(list, change.SyncApplied)
		require.Len(t, syncs, 2)
		found := slices.DeleteFunc(slices.Clone(list), func(e *told) bool { return !e.EntityType.IsAsset() })
		require.Len(t, found, 40, "hosts, services and technologies, each once")
		assets := map[id.ID]bool{}
		for _, e := range found {
			require.Contains(t, []change.Kind{change.AssetDiscovered, change.ServiceDiscovered}, e.ChangeType)
			require.False(t, assets[*e.AssetID])
			assets[*e.AssetID] = true
			require.Equal(t, syncs[0].EntityID, *e.ScanID)
			require.Equal(t, *syncs[0].ScanJobID, *e.ScanJobID)
		}
		require.Empty(t, r.recount())
	}
}
