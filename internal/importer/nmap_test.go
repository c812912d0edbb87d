package importer_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
)

// scanTruth is what a reader that nobody here wrote found in a file of nmap.
type scanTruth struct {
	Hosts []struct {
		State, Primary string
		Hostnames      []struct{ Name string }
		Ports          []struct {
			Port            int
			Protocol, State string
			Service         struct{ Name, Product, Version, Extrainfo, Tunnel string }
			Cert            *struct{ SHA1, NotBefore, NotAfter, SubjectText, IssuerText string }
		}
	}
	Counts      struct{ HostsListed, HostsUp, OpenPorts, TLSCerts, DistinctCertSha1, ServicesWithProduct int }
	Start       time.Time
	OpenPortSet []string
}

// surfaceOf is what a scan shows: every line that must be there, and nothing else.
func (w scanTruth) surface() (places, names, services, technologies, certificates []string) {
	for _, host := range w.Hosts {
		if host.State != "up" {
			continue
		}
		place := strings.ToLower(host.Primary) // one address was overwritten with a word
		places = append(places, place)
		for _, n := range host.Hostnames {
			names = append(names, strings.ToLower(n.Name))
		}
		for _, p := range host.Ports {
			service := fmt.Sprintf("%s %s/%d", place, p.Protocol, p.Port)
			if p.State == "open" {
				services = append(services, fmt.Sprintf("%s|%s|%s", service, p.Service.Name, p.Service.Tunnel))
			}
			if p.State == "open" && p.Service.Product != "" {
				technologies = append(technologies, fmt.Sprintf("%s|%s|%s", service, p.Service.Product, p.Service.Version))
			}
			if p.Cert != nil {
				certificates = append(certificates, fmt.Sprintf("%s|%s|%s|%s", service, p.Cert.SHA1, p.Cert.SubjectText, p.Cert.IssuerText))
			}
		}
	}
	return places, union(names), services, technologies, certificates
}

// shown is the same of what the database says.
func (l *lookout) shown(t testing.TB) (places, names, services, technologies, certificates []string) {
	t.Helper()
	places = append(l.values(t, "host"), l.texts(t, `SELECT value FROM asset WHERE organization_id = $1 AND kind = 'domain' AND value = 'ip'`)...)
	names = l.texts(t, `SELECT value FROM asset WHERE organization_id = $1 AND kind = 'domain' AND value <> 'ip' ORDER BY value`)
	services = l.texts(t, `
		SELECT concat_ws('|', s.value, coalesce(s.attributes ->> 'name', ''), coalesce(s.attributes ->> 'tunnel', ''))
		FROM asset s
		WHERE s.organization_id = $1 AND s.kind = 'service' AND s.status = 'active' AND s.state = 'open'`)
	technologies = l.texts(t, `
		SELECT concat_ws('|', s.value, t.attributes ->> 'name', coalesce(t.attributes ->> 'version', ''))
		FROM asset t JOIN asset s ON s.organization_id = t.organization_id AND s.id = t.parent_id
		WHERE t.organization_id = $1 AND t.kind = 'technology' AND t.status = 'active'`)
	certificates = l.texts(t, `
		SELECT concat_ws('|', s.value, c.sha1, c.attributes ->> 'subject', c.attributes ->> 'issuer')
		FROM asset_tie p
		JOIN asset s ON s.organization_id = p.organization_id AND s.id = p.from_id
		JOIN asset c ON c.organization_id = p.organization_id AND c.id = p.to_id
		WHERE p.organization_id = $1 AND p.kind = 'presents' AND p.to_at IS NULL AND c.status = 'active'`)
	return places, names, services, technologies, certificates
}

// TestNmapGroundTruth imports every file of nmap into an organization of its own,
// each of them three times. The subtests run one after the other, because they
// count the rows of the whole database.
func TestNmapGroundTruth(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(recordtest.SharedData(t, "nmap"), "*.xml"))
	require.NoError(t, err)
	require.Len(t, paths, 15)
	l := newLookout(t, "")
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			want := readJSON[scanTruth](t, "nmap", name+".json")
			l.organization = organizationOfFile(name)
			run := func(observedAt time.Time) *authority.SyncReport {
				report, err := l.importer.Run(l.ctx, importer.Request{Files: shared(t, "nmap", name),
					SyncRequest: authority.SyncRequest{Organization: l.organization, CreateOrganization: true, ObservedAt: observedAt}})
				require.NoError(t, err)
				require.Equal(t, "nmap", report.Format, "it is detected")
				require.Empty(t, report.Rejections)
				return report
			}
			first := run(want.Start)
			require.Equal(t, authority.Applied, first.Outcome)
			require.Equal(t, authority.RecordCounts{Read: want.Counts.HostsListed, Accepted: want.Counts.HostsListed}, first.Records)
			require.Equal(t, authority.SurfaceCounts{Added: len(l.assets(t))}, first.Assets)
			places, names, services, technologies, certificates := want.surface()
			gotPlaces, gotNames, gotServices, gotTechnologies, gotCertificates := l.shown(t)
			require.ElementsMatch(t, places, gotPlaces)
			require.Equal(t, names, union(gotNames))
			require.ElementsMatch(t, services, gotServices)
			require.ElementsMatch(t, technologies, gotTechnologies)
			require.ElementsMatch(t, certificates, gotCertificates)
			require.Len(t, places, want.Counts.HostsUp)
			require.Len(t, services, want.Counts.OpenPorts)
			require.Len(t, services, len(want.OpenPortSet))
			require.Len(t, certificates, want.Counts.TLSCerts)
			require.Len(t, l.values(t, "certificate"), want.Counts.DistinctCertSha1)
			require.Len(t, l.assets(t), len(places)+len(names)+len(services)+len(technologies)+want.Counts.DistinctCertSha1, "and nothing else")

			before := rowVersions(t, l.super)
			again := run(want.Start)
			require.Equal(t, authority.Repeated, again.Outcome)
			require.Equal(t, first.SyncID, again.SyncID)
			require.Equal(t, before, rowVersions(t, l.super), "the same import twice writes nothing")

			later := run(want.Start.Add(time.Hour))
			require.Equal(t, authority.Unchanged, later.Outcome)
			require.Zero(t, later.Assets.Added+later.Assets.Changed+later.Assets.Gone)
			came, went := written(before, rowVersions(t, l.super))
			require.Equal(t, map[string]int{"sync": 1, "source": 1, "posture_snapshot": 1, "ledger_entry": 1, "ledger_head": 1, "change_outbox": 1}, came,
				"an unchanged scan writes its own rows and no other")
			require.Equal(t, map[string]int{"source": 1, "ledger_head": 1}, went)
		})
	}
}
