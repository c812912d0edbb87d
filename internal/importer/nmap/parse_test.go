package nmap

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

func values(assets []record.Asset, of func(record.Asset) bool) (all []string) {
	for _, a := range assets {
		if of(a) {
			all = append(all, a.Value)
		}
	}
	return all
}

// showCovers writes covers as "tcp 10.0.0.1-10.0.0.2 22-80 answered".
func showCovers(covers []record.Cover) (all []string) {
	for _, c := range covers {
		text := string(c.Of)
		if c.Subject.Value != "" {
			text += " " + c.Subject.Value
		}
		if c.From.IsValid() {
			text += fmt.Sprintf(" %s-%s", c.From, c.To)
		}
		if c.Protocol != "" {
			text += " " + string(c.Protocol)
			for _, p := range c.Ports {
				text += fmt.Sprintf(" %d-%d", p.First, p.Last)
			}
		}
		if c.Answered {
			text += " answered"
		}
		all = append(all, text)
	}
	return all
}

// truth is what another reader found in a file.
type truth struct {
	Hosts []struct {
		State, Primary string
		Hostnames      []struct{ Name string }
		Ports          []struct {
			Port            int
			Protocol, State string
			Service         struct{ Name, Product, Version, Extrainfo, Tunnel, Method, Conf string }
			CPE             []string
			Cert            *struct{ SHA1, NotBefore, NotAfter, SubjectText, IssuerText string }
		}
	}
	Counts struct {
		HostsListed, HostsUp, OpenPorts, TLSCerts, DistinctCertSha1, ServicesWithProduct int
	}
	Start, Finished time.Time
	OpenPortSet     []string
}

func TestGroundTruth(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(recordtest.SharedData(t, "nmap"), "*.xml"))
	require.NoError(t, err)
	require.Len(t, paths, 15)
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want truth
			require.NoError(t, json.Unmarshal([]byte(surfacetest.Shared(t, "expected", "nmap", name+".json")), &want))
			text := surfacetest.Shared(t, "nmap", name)
			summary, out := surfacetest.Read(t, Parse, "scan.xml", text)
			requireTruth(t, want, summary, out)
			for _, in := range []io.Reader{iotest.HalfReader(strings.NewReader(text)), iotest.OneByteReader(strings.NewReader(text))} {
				var again recordtest.Collector
				_, err := Parse(surfacetest.Named("scan.xml", in), surface.Options{Now: surfacetest.Now}, &again)
				require.NoError(t, err)
				require.Equal(t, out, &again, "however the input comes")
			}
		})
	}
}

// requireTruth compares in lower case: the address of one file was overwritten
// with a word in capitals, which is read as a name.
func requireTruth(t testing.TB, want truth, summary surface.Summary, out *recordtest.Collector) {
	t.Helper()
	require.Empty(t, out.Rejections)
	require.Equal(t, want.Counts.HostsListed, summary.Records)
	require.Len(t, out.Records, want.Counts.HostsListed)
	require.Equal(t, want.Start, summary.StartedAt)
	require.Equal(t, want.Finished, summary.FinishedAt)

	var hosts, services, certificates, technologies, names []string
	for i, host := range want.Hosts {
		sighting := surfacetest.Sightings(out)[i]
		if host.State != "up" {
			require.Empty(t, sighting.Assets)
			continue
		}
		place := strings.ToLower(host.Primary)
		hosts = append(hosts, place)
		require.Equal(t, place, sighting.Assets[0].Value)
		for _, n := range host.Hostnames {
			names = append(names, strings.ToLower(n.Name))
		}
		for _, p := range host.Ports {
			service := fmt.Sprintf("%s %s/%d", place, p.Protocol, p.Port)
			i := slices.IndexFunc(sighting.Assets, func(a record.Asset) bool { return a.Value == service })
			require.GreaterOrEqual(t, i, 0, service)
			got := sighting.Assets[i]
			require.Equal(t, p.State, string(got.State))
			if p.State != "open" {
				require.Nil(t, got.Service)
				continue
			}
			services = append(services, service+" "+p.Service.Name)
			require.Equal(t, p.Service.Name, got.Service.Name)
			require.Equal(t, p.Service.Tunnel, got.Service.Tunnel)
			require.Equal(t, p.Service.Method != "probed", got.Service.Guessed)
			require.Equal(t, p.Service.Conf+"0", fmt.Sprint(got.Confidence))
			require.Equal(t, surface.Banner(p.Service.Product, p.Service.Version, p.Service.Extrainfo), got.Service.Banner)
			if p.Service.Product != "" {
				technologies = append(technologies, service+" "+strings.ToLower(p.Service.Product)+" "+p.Service.Version)
			}
			if p.Cert != nil {
				certificates = append(certificates, strings.Join([]string{service, p.Cert.SHA1, p.Cert.SubjectText, p.Cert.IssuerText, p.Cert.NotBefore, p.Cert.NotAfter}, "|"))
			}
		}
	}
	all := surfacetest.Seen(out)
	require.Len(t, hosts, want.Counts.HostsUp)
	require.Len(t, services, want.Counts.OpenPorts)
	require.Len(t, technologies, want.Counts.ServicesWithProduct)
	require.Len(t, certificates, want.Counts.TLSCerts)
	var open, products, presented []string
	byRef := map[record.AssetRef]*record.CertificateDetail{}
	found := map[string]bool{}
	for _, a := range all.Assets {
		switch {
		case a.State == record.PortOpen:
			open = append(open, a.Value+" "+a.Service.Name)
		case a.Technology != nil:
			products = append(products, a.Parent.Value+" "+strings.ToLower(a.Technology.Name)+" "+a.Technology.Version)
		case a.Certificate != nil:
			byRef[a.AssetRef] = a.Certificate
			require.Equal(t, a.Value, a.Certificate.SHA256)
		case a.Kind == record.DomainAsset:
			found[a.Value] = true
		}
	}
	require.Len(t, byRef, want.Counts.DistinctCertSha1)
	for _, tie := range all.Ties {
		if c := byRef[tie.To]; c != nil {
			presented = append(presented, strings.Join([]string{tie.From.Value, c.SHA1, c.Subject, c.Issuer,
				c.NotBefore.Format("2006-01-02T15:04:05-07:00"), c.NotAfter.Format("2006-01-02T15:04:05-07:00")}, "|"))
		}
	}
	require.Equal(t, services, open)
	require.Equal(t, technologies, products)
	require.Equal(t, certificates, presented)
	for _, name := range names {
		require.True(t, found[name], name)
	}
	var set []string
	for _, service := range want.OpenPortSet {
		set = append(set, strings.ToLower(strings.TrimSpace(service)))
	}
	slices.Sort(open)
	for i := range open {
		open[i] = strings.TrimSpace(open[i])
	}
	slices.Sort(set)
	require.Equal(t, set, open)
}

// TestSharedScans holds what stands in the shared scans besides their hosts.
func TestSharedScans(t *testing.T) {
	t.Parallel()
	read := func(name string) (record.Sighting, *recordtest.Collector) {
		_, out := surfacetest.Read(t, Parse, "scan.xml", surfacetest.Shared(t, "nmap", name))
		return surfacetest.Seen(out), out
	}
	short := func(covers []record.Cover) (all []string) {
		for _, c := range showCovers(covers) {
			if len(c) > 60 {
				c = c[:60]
			}
			all = append(all, c)
		}
		return all
	}
	for _, name := range []string{"libnmap-fullscan.xml", "libnmap-full_sudo6.xml"} {
		all, _ := read(name)
		at := slices.IndexFunc(all.Assets, func(a record.Asset) bool { return a.Certificate != nil })
		require.Equal(t, "90db9821", all.Assets[at].Value[:8])
		require.Equal(t, "438833c094f6afc864c60e4a6f57e9f4d1281411", all.Assets[at].Certificate.SHA1)
		require.Equal(t, 1024, all.Assets[at].Certificate.KeyBits)
		require.Contains(t, showCovers(all.Covers), "host 192.168.1.0-192.168.1.255")
	}
	all, _ := read("defectdojo-nmap_script_vulners.xml") // its command line says another port
	require.Equal(t, []string{"technology 192.168.0.1 tcp/5022", "host 192.168.0.1-192.168.0.1",
		"service 192.168.0.1-192.168.0.1 tcp 5022-5022 answered"}, showCovers(all.Covers))
	all, _ = read("defectdojo-nmap_0port.xml")
	require.Equal(t, []string{"127.0.0.1", "localhost.localdomain"}, values(all.Assets, func(record.Asset) bool { return true }))
	require.Equal(t, []string{"host 127.0.0.1-127.0.0.1", "service 127.0.0.1-127.0.0.1 tcp 1-1 3-4 6-7 9-9 13-13 17-17 "}, short(all.Covers))
	all, out := read("libnmap-test_osclass.xml") // its address was overwritten
	require.Equal(t, []string{"ADDRESS_IS_NAME"}, surfacetest.Said(out))
	require.Empty(t, all.Ties)
	require.Empty(t, all.Covers)
	all, _ = read("scb-local-network-verbose.xml") // it lists five hosts of ten that were up
	for _, c := range showCovers(all.Covers) {
		require.NotEqual(t, "host 192.168.178.0-192.168.178.255", c)
	}
	for _, name := range []string{"libnmap-2_hosts_version.xml", "libnmap-2_tcp_hosts.xml"} {
		all, _ := read(name)
		require.Len(t, values(all.Assets, func(a record.Asset) bool { return a.State == record.PortFiltered }), 1)
	}
	all, _ = read("ullaakut-scan_base.xml") // version 4 did not say how it ended
	require.NotEmpty(t, all.Covers)
	all, _ = read("defectdojo-issue12411.xml") // -Pn, and ports that answered
	require.Contains(t, strings.Join(showCovers(all.Covers), "\n"), "service 172.217.18.238-172.217.18.238 tcp 1-1 ")
}
