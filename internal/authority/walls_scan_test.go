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
)

func sure[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// glimpse shows a host with these ports open, and what nginx there is.
func glimpseOf(address, version, certificate string, ports ...int) record.Sighting {
	host := sure(surface.Host(address))
	s := record.Sighting{Assets: []record.Asset{{AssetRef: host, Host: &record.HostDetail{Vendor: "acme"}}}}
	for _, port := range ports {
		service := sure(surface.Service(host, record.TCP, port))
		s.Assets = append(s.Assets, record.Asset{AssetRef: service, Parent: host, State: record.PortOpen, Service: &record.ServiceDetail{Name: "http"}})
		if version != "" {
			s.Assets = append(s.Assets, record.Asset{AssetRef: sure(surface.Technology(service, "nginx")), Parent: service, Confidence: 80,
				Technology: &record.TechnologyDetail{Name: "nginx", Version: version}})
		}
		s.Covers = append(s.Covers, record.Cover{Of: record.TechnologyAsset, Subject: service})
		if certificate != "" {
			ref := sure(surface.Certificate(certificate, ""))
			if port == ports[0] {
				s.Assets = append(s.Assets, record.Asset{AssetRef: ref, Certificate: &record.CertificateDetail{SHA256: certificate, SHA1: certificate[:40]}})
			}
			s.Ties = append(s.Ties, record.Tie{Kind: record.Presents, From: service, To: ref})
		}
		s.Covers = append(s.Covers, record.Cover{Of: record.CertificateAsset, Subject: service})
	}
	return s
}

func resolved(s record.Sighting, name string) record.Sighting {
	domain := sure(surface.Domain(name))
	s.Assets = append(s.Assets, record.Asset{AssetRef: domain})
	s.Ties = append(s.Ties, record.Tie{Kind: record.Resolves, From: domain, To: s.Assets[0].AssetRef})
	return s
}

func probes(s record.Sighting, from, to string) record.Sighting {
	low, high := netip.MustParseAddr(from), netip.MustParseAddr(to)
	s.Covers = append(s.Covers, record.Cover{Of: record.HostAsset, From: low, To: high}, record.Cover{
		Of: record.ServiceAsset, From: low, To: high, Protocol: record.TCP, Ports: []record.PortRange{{First: 1, Last: 1024}}, Answered: true})
	return s
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
	scan := func(name string, wait time.Duration, request authority.SyncRequest, check func(*testing.T, *authority.SyncReport), sightings ...record.Sighting) step {
		s := step{name: name, wait: wait, request: request, outcome: authority.Applied, check: check}
		for _, sighting := range sightings {
			s.facts = append(s.facts, sighting)
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
	first := resolved(probes(glimpseOf("10.0.0.1", "1.0", one, 80, 443), "10.0.0.0", "10.0.0.1"), "shop.example.com")
	var many, none []record.Sighting
	for i := range 300 {
		many = append(many, glimpseOf(fmt.Sprintf("10.1.%d.%d", i/200, i%200), "", "", 80))
	}
	none = append(none, probes(record.Sighting{}, "10.1.0.0", "10.1.255.255"))
	again := scan("the same again", hour, nmap, nil, first, record.Sighting{}) // which is known only when it was compared
	again.outcome = authority.Unchanged
	once := scan("the same once more", hour, nmap, nil, first, record.Sighting{}) // which its digest says
	once.outcome = authority.Unchanged
	return []step{
		scan("a first scan", hour, nmap, nil, first),
		scan("a second scanner", hour, httpx, nil, glimpseOf("10.0.0.1", "1.1", one, 443), glimpseOf("10.0.0.2", "2.0", other, 443)),
		{name: "where workloads answer", wait: hour, request: answering, facts: []record.Fact{
			record.Endpoint{Workload: ref(record.Workload, "checkout"), Kind: record.AddressEndpoint, Value: "10.0.0.1", Port: 80},
			record.Endpoint{Workload: ref(record.Workload, "checkout"), Kind: record.IngressEndpoint, Value: "*.example.com", Port: 80},
		}, outcome: authority.Applied},
		again,
		once,
		scan("another certificate and nothing that runs", hour, httpx, gone(2), glimpseOf("10.0.0.2", "", one, 443)),
		scan("a port is closed", hour, nmap, gone(2), resolved(probes(glimpseOf("10.0.0.1", "1.0", one, 443), "10.0.0.0", "10.0.0.1"), "shop.example.com")),
		scan("a part", hour, authority.SyncRequest{Source: "nmap", Scan: true, Partial: true}, gone(0), glimpseOf("10.0.0.9", "", "", 22)),
		scan("whole, and everything back", hour, nmap, gone(0), first),
		scan("a certificate by its other digest", hour, httpx, gone(0), record.Sighting{Assets: []record.Asset{
			{AssetRef: sure(surface.Certificate("", one[:40])), Certificate: &record.CertificateDetail{SHA1: one[:40]}}}}),
		scan("nobody answers", 40*day, nmap, gone(0), record.Sighting{Covers: []record.Cover{
			{Of: record.HostAsset, From: netip.MustParseAddr("10.0.0.0"), To: netip.MustParseAddr("10.0.0.255")}}}),
		{name: "what was not seen", wait: hour, act: aged},
		{name: "what answers elsewhere", wait: hour, request: answering, facts: []record.Fact{
			record.Endpoint{Workload: ref(record.Workload, "checkout"), Kind: record.MappedEndpoint, Value: "10.1.0.1"},
		}, outcome: authority.Applied},
		scan("a fleet", hour, httpx, nil, many...),
		scan("a fleet that is not there", 40*day, httpx, gone(300), none...),
		scan("a fleet again", hour, httpx, nil, many...),
		scan("and only hosts", 40*day, httpx, gone(0), record.Sighting{Covers: []record.Cover{
			{Of: record.HostAsset, From: netip.MustParseAddr("10.0.0.0"), To: netip.MustParseAddr("10.1.255.255")}}}),
		{name: "what was not seen of a fleet", wait: hour, act: aged},
	}
}
