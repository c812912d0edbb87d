package change_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

func by(list []*told, kind change.Kind, asset id.ID) *told {
	i := slices.IndexFunc(list, func(e *told) bool { return e.ChangeType == kind && e.EntityID == asset })
	if i < 0 {
		return nil
	}
	return list[i]
}

// TestAssets: what is told of assets, from what, with which values, and what is not.
func TestAssets(t *testing.T) {
	t.Parallel()
	o := newOutside(newRoom(t))
	seq, feeds := 0, [][]*told{}
	s := o.live(func() {
		list := since(o.drain(), seq)
		seq += len(list)
		feeds = append(feeds, list)
	})
	require.Empty(t, o.recount())
	texts := func(n int) []string { return lines(feeds[n]) }
	nmap, httpx := o.sources["nmap"], o.sources["httpx"]

	first := feeds[0]
	require.Equal(t, "sync_applied: nmap delivered lan: 3 assets added, 2 changed, 1 gone; 0 exposures opened, 0 resolved", texts(0)[0])
	require.Equal(t, map[string]any{"added": 3.0, "changed": 2.0, "gone": 1.0}, first[0].NewValue["assets"])
	require.ElementsMatch(t, []string{
		"asset_discovered: Host 10.0.0.5 discovered",
		"service_discovered: Service tcp/80 http discovered on 10.0.0.5",
		"service_discovered: Service tcp/443 discovered on 10.0.0.5",
		"asset_discovered: Technology nginx 1.24 discovered on 10.0.0.5 tcp/80",
		"asset_discovered: Domain shop.example.com discovered",
		"url_discovered: URL http://10.0.0.5:80/cart?id=1 discovered",
		"path_discovered: Path /cart discovered on http://10.0.0.5:80",
		"certificate_discovered: Certificate CN=shop.example.com discovered",
	}, texts(0)[1:], "and no port that opened: the host is new")
	host, web := by(first, change.AssetDiscovered, s.host), by(first, change.ServiceDiscovered, s.web)
	require.Equal(t, map[string]any{"kind": "service", "value": webValue, "parent": "10.0.0.5", "confidence": 100.0, "plugin": "version-detection",
		"attributes": map[string]any{"name": "http", "guessed": false}}, web.NewValue)
	require.Nil(t, web.OldValue)
	require.Equal(t, map[string]any{"kind": "host", "value": "10.0.0.5", "parent": nil, "confidence": nil, "plugin": nil, "attributes": map[string]any{"reason": "echo-reply"}}, host.NewValue)
	require.Equal(t, map[string]any{"schema": 1.0, "cause": "sync", "source": "nmap", "system": "lan", "plugin": "version-detection", "causedIn": s.host.String()}, web.Metadata)
	for event, cause := range map[*told]*told{
		host: first[0], web: host, by(first, change.AssetDiscovered, s.nginx): web, by(first, change.URLDiscovered, s.page): web, by(first, change.WebPathDiscovered, s.path): web,
		by(first, change.CertificateDiscovered, s.certificate): by(first, change.ServiceDiscovered, s.tls), by(first, change.AssetDiscovered, s.domain): first[0],
	} {
		require.Equal(t, cause.ID, *event.CausedBy, event.Title)
	}
	require.Equal(t, []int{1, 2}, []int{host.Class, web.Class})

	require.ElementsMatch(t, []string{
		"service_discovered: Service tcp/22 ssh discovered on 10.0.0.5", "port_opened: Port tcp/22 opened on 10.0.0.5",
		"service_discovered: Service tcp/8443 discovered on 10.0.0.5", "port_opened: Port tcp/8443 opened on 10.0.0.5",
		"technology_changed: 10.0.0.5 tcp/80 runs NGINX 1.25 instead of nginx 1.24", "port_closed: Port tcp/443 closed on 10.0.0.5",
	}, texts(1)[1:], "and not what the certificate and the technology came to: it follows")
	opened := by(feeds[1], change.PortOpened, s.ssh)
	require.Equal(t, map[string]any{"state": "closed"}, opened.OldValue, "somebody had looked at it")
	require.Equal(t, map[string]any{"state": "open", "name": "ssh", "technology": []any{}}, opened.NewValue)
	require.Equal(t, map[string]any{"state": nil}, by(feeds[1], change.PortOpened, s.other).OldValue, "nobody had")
	changed := by(feeds[1], change.TechnologyChanged, s.web)
	require.Equal(t, map[string]any{"name": "http", "technology": []any{map[string]any{"name": "nginx", "version": "1.24"}}}, changed.OldValue)
	require.Equal(t, map[string]any{"name": "http", "technology": []any{map[string]any{"name": "NGINX", "version": "1.25"}}}, changed.NewValue)
	require.Equal(t, 3, changed.Class, "as of the instant")
	shut := by(feeds[1], change.PortClosed, s.tls)
	require.Equal(t, map[string]any{"state": "open", "name": nil, "technology": []any{}}, shut.OldValue)
	require.Equal(t, map[string]any{"state": "filtered"}, shut.NewValue)
	for _, e := range feeds[1][1:] {
		require.Equal(t, feeds[1][0].ID, *e.CausedBy, e.Title)
	}

	require.Equal(t, []string{"port_opened: Port tcp/443 opened on 10.0.0.5"}, texts(2)[1:], "to know more is no change")
	require.Equal(t, map[string]any{"state": "filtered"}, feeds[2][1].OldValue)
	require.Equal(t, map[string]any{"state": "open", "name": "https", "technology": []any{}}, feeds[2][1].NewValue)
	require.Len(t, feeds[3], 1, "details alone are no event")
	require.Len(t, feeds[4], 1)

	// The evaluation comes 15 days and an hour after nmap saw the host, and an hour
	// after it looked for it.
	gone := feeds[5]
	require.ElementsMatch(t, []string{
		"asset_stale: 10.0.0.5 was not seen for 15 days", "asset_stale: 10.0.0.5 tcp/80 was not seen for 15 days",
		"asset_stale: shop.example.com was not seen for 15 days", "asset_stale: http://10.0.0.5:80/cart?id=1 was not seen for 15 days",
	}, texts(5))
	lost := by(gone, change.AssetStale, s.host)
	seenAt, lookedAt := feeds[2][0].At, feeds[4][0].At
	require.Equal(t, map[string]any{"lastSeenAt": seenAt.UTC().Format(time.RFC3339Nano)}, lost.OldValue)
	require.Equal(t, map[string]any{"unseenSeconds": lost.At.Sub(seenAt).Seconds(), "lookedAt": lookedAt.UTC().Format(time.RFC3339Nano), "lookedBy": "nmap"}, lost.NewValue)
	require.Equal(t, map[string]any{"schema": 1.0, "cause": "evaluation", "evaluation": "time"}, lost.Metadata)
	require.Nil(t, lost.CausedBy)
	require.Equal(t, lost.ID, *by(gone, change.AssetStale, s.web).CausedBy)
	require.Equal(t, by(gone, change.AssetStale, s.web).ID, *by(gone, change.AssetStale, s.page).CausedBy)
	require.Equal(t, "nmap", by(gone, change.AssetStale, s.page).NewValue["lookedBy"], "at what it is on")
	require.Nil(t, by(gone, change.AssetStale, s.domain).NewValue["lookedBy"], "nobody that is known")

	require.ElementsMatch(t, []string{
		"asset_reappeared: 10.0.0.5 was seen again after 15 days", "asset_reappeared: http://10.0.0.5:80/cart?id=1 was seen again after 15 days",
		"port_closed: Port tcp/80 closed on 10.0.0.5",
	}, texts(6)[1:])
	again := by(feeds[6], change.AssetReappeared, s.page)
	require.Equal(t, map[string]any{"lastSeenAt": seenAt.UTC().Format(time.RFC3339Nano)}, again.OldValue)
	require.Equal(t, map[string]any{"goneSeconds": again.At.Sub(seenAt).Seconds()}, again.NewValue)
	require.Equal(t, change.OfURL, again.EntityType)

	require.Equal(t, []string{"file_collected: File report.pdf collected"}, texts(7))
	require.Equal(t, map[string]any{"name": "report.pdf", "size": 1234.0, "mediaType": "application/pdf", "sha256": "content"}, feeds[7][0].NewValue)
	require.Equal(t, "decision", feeds[7][0].Metadata["cause"])

	// Whatever a scan brought says which one, and of which job.
	scans := map[id.ID]bool{}
	for n, list := range feeds {
		for _, e := range list {
			if e.EntityType.IsAsset() {
				require.Equal(t, e.EntityID, *e.AssetID)
				require.Equal(t, e.EntityID, e.SubjectID)
			}
			require.Nil(t, e.Severity)
			require.Nil(t, e.WorkloadID)
			switch n {
			case 5:
				require.Nil(t, e.ScanID)
				require.Nil(t, e.ScanJobID)
			case 3:
				require.Equal(t, httpx, *e.ScanJobID)
			default:
				require.Equal(t, nmap, *e.ScanJobID)
				scans[*e.ScanID] = true
			}
		}
	}
	require.Len(t, scans, 5, "the file came with the last of them")
}

// TestAssetsOnce: a note that comes again publishes nothing, and told late, or in
// parts of any size, everything is told as it would have been.
func TestAssetsOnce(t *testing.T) {
	t.Parallel()
	atOnce, atTheEnd := newOutside(newRoom(t)), newOutside(newRoom(t))
	atOnce.live(func() { atOnce.drain() })
	atTheEnd.live(func() {})
	want := plain(t, atOnce.drain())
	require.Equal(t, want, plain(t, atTheEnd.drain()))
	const again = `INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at)
		SELECT organization_id, at, 'sync', false, 1000000, now() FROM sync UNION ALL SELECT organization_id, at, 'evaluation', false, 1000000, now() FROM evaluation
		UNION ALL SELECT organization_id, at, 'decision', true, 1000000, now() FROM file`
	atOnce.exec(again)
	require.Equal(t, want, plain(t, atOnce.drain()))

	sorted := slices.Sorted(slices.Values(want)) // what people did overtakes
	for range 4 {
		atTheEnd.exec(`ALTER TABLE exposure_changes DISABLE TRIGGER append_only`)
		atTheEnd.exec(`DELETE FROM exposure_changes`)
		atTheEnd.exec(`DELETE FROM exposure_change_day`)
		atTheEnd.exec(`UPDATE change_head SET seq = 0`)
		atTheEnd.exec(again)
		fresh := change.NewSequencer(atTheEnd.DB, atTheEnd.now, discard)
		for more := true; more; {
			step, err := fresh.Step(atTheEnd.ctx, organization, 1+rand.IntN(5)) //nolint:gosec // a test
			require.NoError(t, err)
			more = step.More
		}
		require.Equal(t, sorted, slices.Sorted(slices.Values(plain(t, atTheEnd.drain()))))
	}
	require.Empty(t, atTheEnd.recount())
}

// TestAssetsAreRead: by the asset, by their causes and in the numbers of a week.
func TestAssetsAreRead(t *testing.T) {
	t.Parallel()
	o := newOutside(newRoom(t))
	s := o.live(func() {})
	all := o.drain()
	events, _ := o.replay(0, 0, change.Filter{Assets: []id.ID{s.page}}, 100)
	kinds := []change.Kind{}
	for _, e := range events {
		kinds = append(kinds, e.ChangeType)
	}
	require.Equal(t, []change.Kind{change.URLDiscovered, change.AssetStale, change.AssetReappeared}, kinds)
	pages := read(t, o.newsroom, func(reader *change.Reader, snapshot *db.Snapshot) (map[change.History]change.Page, error) {
		return reader.Under(o.ctx, snapshot, organization, &change.List{}, []change.History{{LineageID: s.page}})
	})
	require.Len(t, pages[change.History{LineageID: s.page}].Rows, 3)

	replayed, _ := o.replay(0, 0, change.Filter{}, 1000)
	require.Len(t, replayed, len(all))
	caused := 0
	for _, e := range replayed {
		if e.CausedBy == nil {
			continue
		}
		caused++
		causes := read(t, o.newsroom, func(reader *change.Reader, snapshot *db.Snapshot) ([]*change.Event, error) {
			return reader.ByKeys(o.ctx, snapshot, organization, e.Causes())
		})
		require.Len(t, causes, 1, "%s follows from what is found", e.Title)
		require.Equal(t, *e.CausedBy, causes[0].ID)
	}
	require.Greater(t, caused, 15)

	summary := read(t, o.newsroom, func(reader *change.Reader, snapshot *db.Snapshot) (*change.Summary, error) {
		return reader.Summary(o.ctx, snapshot, organization, 30)
	})
	require.EqualValues(t, len(all), summary.Total)
	counts := map[change.Kind]int64{}
	for _, c := range summary.ByType {
		counts[c.Type] = c.Count
	}
	for _, kind := range []change.Kind{change.AssetDiscovered, change.PortOpened, change.AssetStale, change.FileCollected} {
		require.EqualValues(t, len(ofKind(all, kind)), counts[kind], kind)
	}
}

// A service on a name, whose address nobody knows, opens a port of what was known, too.
func TestPortOfADomain(t *testing.T) {
	t.Parallel()
	o := newOutside(newRoom(t))
	o.scan("subfinder", time.Hour)
	domain := o.see(thing{kind: record.DomainAsset, value: "shop.example.com"})
	o.scan("sslyze", time.Hour)
	o.see(thing{kind: record.ServiceAsset, value: "shop.example.com tcp/443", parent: domain, root: domain, protocol: "tcp", port: 443})
	require.Equal(t, []string{"service_discovered: Service tcp/443 discovered on shop.example.com", "port_opened: Port tcp/443 opened on shop.example.com"},
		lines(o.drain()[3:]))
	require.Empty(t, o.recount())
}

// TestTechnologyThatIsLost: what is gone or replaced is told, what is learnt is not.
func TestTechnologyThatIsLost(t *testing.T) {
	t.Parallel()
	o := newOutside(newRoom(t))
	o.scan("nmap", time.Hour)
	host := o.see(thing{kind: record.HostAsset, value: "10.0.0.5", address: "10.0.0.5"})
	web := o.see(thing{kind: record.ServiceAsset, value: webValue, parent: host, root: host, address: "10.0.0.5", protocol: "tcp", port: 80})
	seq := len(o.drain())
	for i, step := range []struct{ technology, title string }{
		{`[{"name": "http", "service": true}]`, ""},
		{`[{"name": "http", "service": true}, {"name": "nginx"}]`, ""},
		{`[{"name": "http", "service": true}, {"name": "nginx", "version": "1.24"}]`, ""},
		{`[{"name": "HTTP", "service": true}, {"name": "Nginx", "version": "1.24"}]`, ""},
		{`[{"name": "Nginx", "version": "1.24"}]`, ""}, // a scan that only guesses what it speaks
		{`[{"name": "nginx"}]`, ""},
		{`[{"name": "nginx", "version": "1.25"}]`, ""},
		{`[{"name": "nginx", "version": "1.24"}]`, "10.0.0.5 tcp/80 runs nginx 1.24 instead of nginx 1.25"},
		{`[{"name": "Apache httpd"}, {"name": "PHP"}]`, "10.0.0.5 tcp/80 runs Apache httpd, PHP instead of nginx 1.24"},
		{`[{"name": "Apache httpd"}]`, "10.0.0.5 tcp/80 no longer runs PHP"},
		{`[{"name": "Apache httpd"}, {"name": "http", "service": true}]`, ""},
		{`[{"name": "Apache httpd"}, {"name": "https", "service": true}]`, "10.0.0.5 tcp/80 runs https instead of http"},
		{`[]`, "10.0.0.5 tcp/80 no longer runs Apache httpd"},
		{`[{"name": "ssh"}]`, ""},
	} {
		o.scan("nmap", time.Hour)
		o.turn(web, `technology = nullif('`+step.technology+`', '[]')::jsonb`)
		list := since(o.drain(), seq)
		seq += len(list)
		if step.title == "" {
			require.Len(t, list, 1, "%d: %s", i, step.technology)
			continue
		}
		require.Equal(t, []string{"technology_changed: " + step.title}, lines(list[1:]))
	}
	require.Empty(t, o.recount())
	filled, err := o.repairer.Audit(context.Background(), organization)
	require.NoError(t, err)
	require.Empty(t, filled)
}

// Long lists of details are cut, and say how long they are.
func TestLongDetails(t *testing.T) {
	t.Parallel()
	o := newOutside(newRoom(t))
	o.scan("sslyze", time.Hour)
	names := `"a.example.com"`
	for i := range 70 {
		names += fmt.Sprintf(`, "n%d.example.com"`, i)
	}
	o.see(thing{kind: record.CertificateAsset, value: "90db98", attributes: `{"names": [` + names + `], "keyBits": 4096}`})
	attributes := o.drain()[1].NewValue["attributes"].(map[string]any)
	require.Len(t, attributes["names"], 64)
	require.Equal(t, 71.0, attributes["namesTotal"])
	require.Equal(t, 4096.0, attributes["keyBits"])
}
