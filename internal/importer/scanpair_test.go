package importer_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
)

// TestNmapPairs delivers two scans of one network, one after the other.
func TestNmapPairs(t *testing.T) {
	t.Parallel()
	type pair struct {
		Older, Newer                                                                                         string
		OlderStart, NewerStart                                                                               time.Time
		HostsNew, HostsGone, PortsOpened, PortsOpenedOnKnownHosts, PortsClosedOnKnownHosts, PortsOfGoneHosts []string
		HostsBoth                                                                                            int
	}
	pairs := readJSON[[]pair](t, "nmap", "_pairs.json")
	require.NotEmpty(t, pairs)
	for _, p := range pairs {
		l := newLookout(t, organizationOfFile(p.Newer))
		scan := func(name string, at time.Time) *authority.SyncReport {
			content, err := os.ReadFile(recordtest.SharedData(t, "nmap", name))
			require.NoError(t, err)
			return l.scans(t, "nmap", "", at, string(content))
		}
		older := scan(p.Older, p.OlderStart)
		after := len(l.feed(t))
		newer := scan(p.Newer, p.NewerStart)
		require.Equal(t, authority.Applied, newer.Outcome)
		of := map[string][]string{}
		for _, e := range l.feed(t)[after:] {
			if e.Asset == nil {
				continue
			}
			require.Equal(t, newer.At, e.At.UTC())
			require.Equal(t, newer.SyncID.String(), *e.Scan)
			require.NotNil(t, e.Job)
			kind := string(e.Kind) + " " + *e.AssetKind
			of[kind] = append(of[kind], *e.Asset)
		}
		require.ElementsMatch(t, p.HostsNew, of["asset_discovered host"])
		require.ElementsMatch(t, p.PortsOpened, of["service_discovered service"], "the ports of hosts that are new are services that were found")
		require.ElementsMatch(t, p.PortsOpenedOnKnownHosts, of["port_opened service"])
		require.ElementsMatch(t, p.PortsClosedOnKnownHosts, of["port_closed service"])
		require.Len(t, l.values(t, "host"), p.HostsBoth+len(p.HostsNew)+len(p.HostsGone), "a host that is down is not gone")
		require.Subset(t, l.values(t, "host"), p.HostsGone)
		require.Subset(t, l.values(t, "service"), p.PortsOfGoneHosts)
		require.Zero(t, newer.Assets.Gone)
		require.True(t, newer.At.After(older.At) && newer.At.Before(p.NewerStart.Add(time.Minute)), "scans of long ago stay there")
	}
}

// TestSyntheticPair holds what a second look at a network does to each port and
// host, and what time does to those that it did not see.
func TestSyntheticPair(t *testing.T) {
	t.Parallel()
	l := newLookout(t, "office")
	l.clock = dawn.Add(365 * day)
	after := 0
	l.scans(t, "nmap", "office", dawn, nmapped("10.0.0.0/29", "1-10000",
		upHost("10.0.0.1", "22 open", "53 open", "80 open", "443 open", "8080 open"), upHost("10.0.0.2", "22 open"), upHost("10.0.0.3", "22 open")))
	require.ElementsMatch(t, []string{
		"asset_discovered 10.0.0.1", "asset_discovered 10.0.0.2", "asset_discovered 10.0.0.3",
		"service_discovered 10.0.0.1 tcp/22", "service_discovered 10.0.0.1 tcp/53", "service_discovered 10.0.0.1 tcp/80", "service_discovered 10.0.0.1 tcp/443",
		"service_discovered 10.0.0.1 tcp/8080", "service_discovered 10.0.0.2 tcp/22", "service_discovered 10.0.0.3 tcp/22",
	}, l.told(t, &after), "no port opened on a host that is new")

	// 53 cannot be told, 80 is not listed, 443 is listed as filtered, 8080 is out of
	// range; one host is down and one is not listed.
	second := nmapped("10.0.0.0/29", "1-1000", upHost("10.0.0.1", "22 open", "25 open", "53 open|filtered", "443 filtered"), downHost("10.0.0.2"))
	report := l.scans(t, "nmap", "office", dawn.Add(day), second)
	require.Equal(t, authority.SurfaceCounts{Added: 1, Gone: 2}, authority.SurfaceCounts{Added: report.Assets.Added, Gone: report.Assets.Gone})
	require.ElementsMatch(t, []string{
		"service_discovered 10.0.0.1 tcp/25", "port_opened 10.0.0.1 tcp/25", "port_closed 10.0.0.1 tcp/80", "port_closed 10.0.0.1 tcp/443",
	}, l.told(t, &after))
	known := l.assets(t)
	require.Equal(t, "closed", *known["service 10.0.0.1 tcp/80"].State)
	require.Equal(t, "filtered", *known["service 10.0.0.1 tcp/443"].State)
	for _, open := range []string{"10.0.0.1 tcp/22", "10.0.0.1 tcp/53", "10.0.0.1 tcp/8080", "10.0.0.2 tcp/22", "10.0.0.3 tcp/22"} {
		require.Equal(t, "active", known["service "+open].Status, open)
		require.Equal(t, "open", *known["service "+open].State, open)
	}

	require.Equal(t, authority.Unchanged, l.scans(t, "nmap", "office", dawn.Add(2*day), second).Outcome)
	require.Empty(t, l.told(t, &after), "the same again is no news")

	// The host that is down and the one that is not listed were looked for.
	require.Zero(t, l.evaluates(t, dawn.Add(14*day-time.Second)).Stale)
	require.Empty(t, l.told(t, &after))
	before := after
	require.Equal(t, 5, l.evaluates(t, dawn.Add(14*day+time.Minute)).Stale)
	stale := map[string]sighted{}
	for _, e := range l.feed(t)[before:] {
		stale[*e.Asset] = e
		require.Nil(t, e.Scan, "no scan did it")
	}
	require.Equal(t, stale["10.0.0.2"].ID, stale["10.0.0.2 tcp/22"].CausedBy, "its host is stale")
	require.Nil(t, stale["10.0.0.1 tcp/53"].CausedBy, "its host is not")
	require.ElementsMatch(t, []string{
		"asset_stale 10.0.0.2", "asset_stale 10.0.0.2 tcp/22", "asset_stale 10.0.0.3", "asset_stale 10.0.0.3 tcp/22", "asset_stale 10.0.0.1 tcp/53",
	}, l.told(t, &after), "nobody looked at 8080 again")
	require.Zero(t, l.evaluates(t, dawn.Add(15*day)).Stale, "once")
	require.Empty(t, l.told(t, &after))

	l.clock = dawn.Add(365 * day)
	l.scans(t, "nmap", "office", dawn.Add(20*day), nmapped("10.0.0.0/29", "1-1000", upHost("10.0.0.1", "22 open", "25 open", "80 open"), upHost("10.0.0.3", "22 open")))
	before = after
	require.ElementsMatch(t, []string{
		"asset_reappeared 10.0.0.3", "asset_reappeared 10.0.0.3 tcp/22", "port_opened 10.0.0.1 tcp/80", "port_closed 10.0.0.1 tcp/53",
	}, l.told(t, &after), "what was stale can be closed")
	for _, e := range l.feed(t)[before:] {
		if e.Kind == "asset_reappeared" {
			require.InDelta(t, (20 * day).Seconds(), e.NewValue["goneSeconds"], 60, "the time since it was seen")
		}
	}
}

// TestNobodyLooked holds that what nobody looked for again does not grow stale,
// however long ago it was seen.
func TestNobodyLooked(t *testing.T) {
	t.Parallel()
	l := newLookout(t, "office")
	l.scans(t, "nmap", "branch", dawn, nmapped("10.1.0.9", "1-1000", upHost("10.1.0.9", "22 open")))
	l.scans(t, "nmap", "office", dawn.Add(day), nmapped("10.0.0.0/29", "1-1000", upHost("10.0.0.1", "22 open")))
	l.scans(t, "naabu", "ports", dawn.Add(2*day), `{"ip":"10.0.0.1","port":22}`)
	require.Zero(t, l.evaluates(t, dawn.Add(400*day)).Stale)
	for name, a := range l.assets(t) {
		require.Equal(t, "active", a.Status, name)
	}
}

// TestWhatClosesNothing holds that a scan that is not whole takes nothing away.
func TestWhatClosesNothing(t *testing.T) {
	t.Parallel()
	first := nmapped("10.0.0.0/29", "1-1000", upHost("10.0.0.1", "22 open", "80 open"), upHost("10.0.0.2", "22 open", "80 open"))
	second := func(port string) string {
		return nmapped("10.0.0.0/29", "1-1000", upHost("10.0.0.1", "22 open", port), upHost("10.0.0.2", "22 open"))
	}
	for name, test := range map[string]struct {
		text    string
		partial bool
		closed  []string
	}{
		"whole":             {second("25 closed"), false, []string{"port_closed 10.0.0.1 tcp/80", "port_closed 10.0.0.2 tcp/80"}},
		"partial":           {second("25 closed"), true, nil},
		"a rejected port":   {second("70000 open"), false, []string{"port_closed 10.0.0.2 tcp/80"}},
		"unfinished":        {`<nmaprun args="nmap 10.0.0.0/29"><scaninfo protocol="tcp" services="1-1000"/>` + upHost("10.0.0.1", "22 open") + `</nmaprun>`, false, nil},
		"a host of nowhere": {nmapped("10.0.0.0/29", "1-1000", upHost("10.0.0.1", "22 open"), upHost("10.0.0.299", "22 open")), false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLookout(t, "office")
			after := 0
			l.scans(t, "nmap", "", dawn, first)
			l.told(t, &after)
			report, err := l.imports(authority.SyncRequest{Format: "nmap", ObservedAt: dawn.Add(day), Partial: test.partial}, test.text)
			require.NoError(t, err)
			require.Equal(t, authority.Applied, report.Outcome)
			require.ElementsMatch(t, test.closed, l.told(t, &after))
		})
	}
}
