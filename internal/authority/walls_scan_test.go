package authority_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// glimpse shows a host with these ports open, what nginx and which certificate there
// is. It asked for both.
func glimpse(address, version, certificate string, ports ...int) *surfacetest.Shown {
	s := new(surfacetest.Shown).Add(record.Asset{AssetRef: surfacetest.Host(address), Host: &record.HostDetail{Vendor: "acme"}})
	for _, port := range ports {
		service := surfacetest.Service(address, port)
		s.Port(address, port, record.PortOpen)
		if version != "" {
			s.Add(record.Asset{AssetRef: surfacetest.Technology(service, "nginx"), Parent: service, Confidence: 80,
				Technology: &record.TechnologyDetail{Name: "nginx", Version: version}})
		}
		if certificate != "" {
			s.Presents(service, certificate, certificate[:40])
		}
		s.Asked(record.TechnologyAsset, service).Asked(record.CertificateAsset, service)
	}
	return s
}

// lookout looks for hosts up to an address, and sees none.
func lookout(to string) *surfacetest.Shown {
	return &surfacetest.Shown{Sighting: record.Sighting{Covers: []record.Cover{
		{Of: record.HostAsset, From: netip.MustParseAddr("10.0.0.0"), To: netip.MustParseAddr(to)}}}}
}

// scans is the part of the story that is seen from outside.
func outsideStory() []step {
	const (
		hour, day = time.Hour, 24 * time.Hour
		one       = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		other     = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	)
	nmap, httpx := authority.SyncRequest{Source: "nmap", Scan: true}, authority.SyncRequest{Source: "httpx", Scan: true}
	answering := authority.SyncRequest{Source: "answers", System: "shop"}
	scan := func(name string, wait time.Duration, request authority.SyncRequest, check func(*testing.T, *authority.SyncReport), shown ...*surfacetest.Shown) step {
		s := step{name: name, wait: wait, request: request, outcome: authority.Applied, check: check}
		for _, each := range shown {
			s.facts = append(s.facts, each.Sighting)
		}
		return s
	}
	gone := func(n int) func(*testing.T, *authority.SyncReport) {
		return func(t *testing.T, r *authority.SyncReport) {
			t.Helper()
			require.Equal(t, n, r.Assets.Gone)
		}
	}
	aged := func(t *testing.T, b *bench, organization id.ID) *authority.Evaluation {
		t.Helper()
		evaluation := evaluate(authority.ByRequest)(t, b, organization)
		require.Positive(t, evaluation.Stale)
		return evaluation
	}
	first := glimpse("10.0.0.1", "1.0", one, 80, 443).Probed("10.0.0.0", "10.0.0.1", 1, 1024).Resolves("shop.example.com", "10.0.0.1")
	var many []*surfacetest.Shown
	for i := range 300 {
		many = append(many, glimpse(fmt.Sprintf("10.1.%d.%d", i/200, i%200), "", "", 80))
	}
	again := scan("the same again", hour, nmap, nil, first, new(surfacetest.Shown)) // which is known only when it was compared
	again.outcome = authority.Unchanged
	once := scan("the same once more", hour, nmap, nil, first, new(surfacetest.Shown)) // which its digest says
	once.outcome = authority.Unchanged
	return []step{
		scan("a first scan", hour, nmap, nil, first),
		scan("a second scanner", hour, httpx, nil, glimpse("10.0.0.1", "1.1", one, 443), glimpse("10.0.0.2", "2.0", other, 443)),
		{name: "where workloads answer", wait: hour, request: answering, facts: []record.Fact{
			record.Endpoint{Workload: ref(record.Workload, "checkout"), Kind: record.AddressEndpoint, Value: "10.0.0.1", Port: 80},
			record.Endpoint{Workload: ref(record.Workload, "checkout"), Kind: record.IngressEndpoint, Value: "*.example.com", Port: 80},
			record.Endpoint{Workload: ref(record.Workload, "mailer"), Kind: record.AddressEndpoint, Value: "10.0.0.1", Port: 80},
		}, outcome: authority.Applied},
		again,
		once,
		scan("another certificate and nothing that runs", hour, httpx, gone(2), glimpse("10.0.0.2", "", one, 443)),
		scan("a port is closed", hour, nmap, gone(2), glimpse("10.0.0.1", "1.0", one, 443).Probed("10.0.0.0", "10.0.0.1", 1, 1024).Resolves("shop.example.com", "10.0.0.1")),
		scan("a part", hour, authority.SyncRequest{Source: "nmap", Scan: true, Partial: true}, gone(0), glimpse("10.0.0.9", "", "", 22)),
		scan("whole, and everything back", hour, nmap, gone(0), first),
		scan("a certificate by its other digest", hour, httpx, gone(0), new(surfacetest.Shown).Add(record.Asset{
			AssetRef: surfacetest.Must(surface.Certificate("", one[:40])), Certificate: &record.CertificateDetail{SHA1: one[:40]}})),
		scan("nobody answers", 40*day, nmap, gone(0), lookout("10.0.0.255")),
		{name: "what was not seen", wait: hour, act: aged},
		{name: "what answers elsewhere", wait: hour, request: answering, facts: []record.Fact{
			record.Endpoint{Workload: ref(record.Workload, "checkout"), Kind: record.MappedEndpoint, Value: "10.1.0.1"},
			record.Endpoint{Workload: ref(record.Workload, "mailer"), Kind: record.MappedEndpoint, Value: "10.1.0.1"},
		}, outcome: authority.Applied},
		scan("a fleet", hour, httpx, nil, many...),
		scan("a fleet that is not there", 40*day, httpx, gone(300), new(surfacetest.Shown).Probed("10.1.0.0", "10.1.255.255", 1, 1024)),
		scan("a fleet again", hour, httpx, nil, many...),
		scan("and only hosts", 40*day, httpx, gone(0), lookout("10.1.255.255")),
		{name: "what was not seen of a fleet", wait: hour, act: aged},
	}
}
