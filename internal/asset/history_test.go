package asset_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// The tiny universe of histories: what is rare among many assets is common here.
var (
	addresses = []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
	portList  = []int{22, 80, 443}
	nameList  = []string{"shop.example.com", "mail.example.com"}
	products  = []string{"nginx", "php"}
	scanners  = []string{"one", "two", "three"}
)

// certificates are known by both digests, by one, or by the other.
var certificates = []record.CertificateDetail{
	{SHA256: shaA, SHA1: oneA}, {SHA256: shaA}, {SHA1: oneA}, {SHA256: shaB},
}

func drawHost(t *rapid.T, address string) record.Sighting {
	d := &surfacetest.Shown{}
	d.Add(record.Asset{AssetRef: surfacetest.Host(address), Host: &record.HostDetail{Vendor: rapid.SampledFrom([]string{"", "acme"}).Draw(t, "vendor")}})
	for _, port := range portList {
		state := rapid.SampledFrom([]record.PortState{"", record.PortOpen, record.PortOpen, record.PortOpen, record.PortClosed, record.PortFiltered, record.PortUnclear}).Draw(t, "state")
		if state == "" {
			continue
		}
		on := surfacetest.Service(address, port)
		d.Add(record.Asset{AssetRef: on, Parent: surfacetest.Host(address), State: state, Confidence: rapid.SampledFrom([]int{0, 30, 100}).Draw(t, "confidence"),
			Service: &record.ServiceDetail{Name: rapid.SampledFrom([]string{"", "http", "https"}).Draw(t, "name"), Guessed: rapid.Bool().Draw(t, "guessed")}})
		for _, product := range products {
			if rapid.Bool().Draw(t, "product") {
				d.Add(record.Asset{AssetRef: surfacetest.Technology(on, product), Parent: on, Confidence: rapid.SampledFrom([]int{0, 90}).Draw(t, "sure"),
					Technology: &record.TechnologyDetail{Name: product, Version: rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "version")}})
			}
		}
		if rapid.Bool().Draw(t, "certificate") {
			detail := rapid.SampledFrom(certificates[:1]).Draw(t, "which")
			if rapid.Bool().Draw(t, "other") {
				detail = certificates[3]
			}
			d.Presents(on, detail.SHA256, detail.SHA1)
		}
		for _, of := range []record.AssetKind{record.CertificateAsset, record.TechnologyAsset} {
			if rapid.Bool().Draw(t, "asked") {
				d.Asked(of, on)
			}
		}
	}
	if rapid.Bool().Draw(t, "page") {
		page, path, origin, err := surface.URL("http://" + address + ":80/a")
		require.NoError(t, err)
		on := surfacetest.Service(address, 80)
		d.Port(address, 80, record.PortOpen)
		d.Add(record.Asset{AssetRef: page, Parent: on, URL: &record.URLDetail{Status: rapid.SampledFrom([]int{0, 200, 404}).Draw(t, "status")}})
		d.Add(record.Asset{AssetRef: path, Parent: on})
		if rapid.Bool().Draw(t, "runs") {
			d.Runs(page, "php", "7")
		}
		d.Asked(record.TechnologyAsset, page)
		d.Asked(record.URLAsset, origin)
	}
	for _, name := range nameList {
		if rapid.Bool().Draw(t, "resolves") {
			d.Resolves(name, address)
		}
	}
	return d.Sighting
}

func drawCovers(t *rapid.T) record.Sighting {
	d := &surfacetest.Shown{}
	for range rapid.IntRange(0, 2).Draw(t, "covers") {
		low := rapid.IntRange(0, 2).Draw(t, "low")
		high := rapid.IntRange(low, 2).Draw(t, "high")
		from, to := netip.MustParseAddr(addresses[low]), netip.MustParseAddr(addresses[high])
		d.Covers = append(d.Covers, record.Cover{Of: record.HostAsset, From: from, To: to})
		if rapid.IntRange(0, 3).Draw(t, "ports") > 0 {
			first := rapid.SampledFrom([]uint16{0, 22, 80}).Draw(t, "first")
			d.Covers = append(d.Covers, record.Cover{Of: record.ServiceAsset, From: from, To: to, Protocol: record.TCP,
				Ports: []record.PortRange{{First: first, Last: rapid.SampledFrom([]uint16{80, 443, 1024}).Draw(t, "last")}}, Answered: rapid.IntRange(0, 3).Draw(t, "answered") > 0})
		}
	}
	if rapid.Bool().Draw(t, "names") {
		d.Asked(record.DomainAsset, surfacetest.Must(surface.Domain("example.com")))
	}
	return d.Sighting
}

func drawDelivery(t *rapid.T) told {
	d := told{source: rapid.SampledFrom(scanners).Draw(t, "source"), partial: rapid.IntRange(0, 7).Draw(t, "partial") == 0}
	for _, address := range addresses {
		for range rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(t, "records") {
			d.records = append(d.records, drawHost(t, address))
		}
	}
	if rapid.Bool().Draw(t, "covering") {
		d.records = append(d.records, drawCovers(t))
	}
	switch rapid.IntRange(0, 9).Draw(t, "rejection") {
	case 0:
		d.blind = true
	case 1:
		d.rejected = append(d.rejected, surfacetest.Host(rapid.SampledFrom(addresses).Draw(t, "about")))
	case 2:
		d.rejected = append(d.rejected, surfacetest.Must(surface.Domain("shop.example.com")))
	}
	return d
}

// lookout looks everywhere, and sees nobody.
func lookout(source string) told {
	d := &surfacetest.Shown{}
	d.Covers = append(d.Covers, record.Cover{Of: record.HostAsset, From: netip.MustParseAddr(addresses[0]), To: netip.MustParseAddr(addresses[len(addresses)-1])})
	d.Asked(record.DomainAsset, surfacetest.Must(surface.Domain("example.com")))
	return told{source: source, records: []record.Sighting{d.Sighting}}
}

// send delivers to the server.
func (b *bench) send(d told, observedAt time.Time) (*authority.SyncReport, error) {
	request := authority.SyncRequest{Organization: "acme", CreateOrganization: true, Source: d.source, System: "nmap", Format: "nmap", Scan: true,
		ObservedAt: observedAt, Partial: d.partial}
	return b.service.Sync(b.ctx, request, func(out record.Emitter) error {
		reject := func(about *record.AssetRef) error {
			return out.Reject(record.Rejection{Code: "PORT_OUT_OF_RANGE", Reason: "70000 is no port.", Asset: about})
		}
		if d.blind {
			if err := reject(nil); err != nil {
				return err
			}
		}
		for i := range d.rejected {
			if err := reject(&d.rejected[i]); err != nil {
				return err
			}
		}
		for i, sighting := range d.records {
			if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: sighting}); err != nil {
				return err
			}
		}
		return nil
	})
}

// form brings JSON of the database and of the model to one form.
func form(text string) string {
	if text == "" {
		return ""
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return text
	}
	plain, _ := json.Marshal(value)
	return string(plain)
}

func (c condition) line(ref record.AssetRef, first time.Time) string {
	return fmt.Sprintf("%s %s | %s | %s %s | %s | %s | %d %s | %s-%s", ref.Kind, ref.Value, stampOf(first), c.Status, c.State, form(c.Attributes), form(c.Technology),
		c.Confidence, c.Plugin, stampOf(c.From), stampOf(c.To))
}

func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("0102T150405.000000")
}

// compare holds what the server keeps against the model.
func (b *bench) compare(t *rapid.T, w *outside) {
	t.Helper()
	type row struct {
		Kind, Value, Status, State, Attributes, Technology, Plugin string
		Confidence                                                 int
		First, From                                                time.Time
		To, Seen                                                   *time.Time
	}
	const state = `status, coalesce(state, ''), attributes::text, coalesce(technology::text, ''), coalesce(plugin, ''), coalesce(confidence, 0)`
	scan := func(sql string) []string {
		lines := []string{}
		found, err := b.super.Query(b.ctx, sql, id.Organization("acme"))
		require.NoError(t, err)
		defer found.Close()
		for found.Next() {
			var r row
			require.NoError(t, found.Scan(&r.Kind, &r.Value, &r.Status, &r.State, &r.Attributes, &r.Technology, &r.Plugin, &r.Confidence, &r.First, &r.From, &r.To))
			c := condition{From: r.From, Status: r.Status, State: r.State, Attributes: r.Attributes, Technology: r.Technology, Plugin: r.Plugin, Confidence: r.Confidence}
			if r.To != nil {
				c.To = *r.To
			}
			lines = append(lines, c.line(record.AssetRef{Kind: record.AssetKind(r.Kind), Value: r.Value}, r.First))
		}
		require.NoError(t, found.Err())
		sort.Strings(lines)
		return lines
	}
	now, past := []string{}, []string{}
	for ref, thing := range w.things {
		now = append(now, thing.now.line(ref, thing.first))
		for _, c := range thing.past {
			past = append(past, c.line(ref, thing.first))
		}
	}
	sort.Strings(now)
	sort.Strings(past)
	require.Equal(t, now, scan(`SELECT kind, value, `+state+`, first_seen_at, from_at, NULL::timestamptz FROM asset WHERE organization_id = $1`))
	require.Equal(t, past, scan(`SELECT a.kind, a.value, v.status, coalesce(v.state, ''), v.attributes::text, coalesce(v.technology::text, ''), coalesce(v.plugin, ''),
		coalesce(v.confidence, 0), a.first_seen_at, v.from_at, v.to_at
		FROM asset_version v JOIN asset a ON a.organization_id = v.organization_id AND a.id = v.id WHERE v.organization_id = $1`))

	sightings, ties, seen := []string{}, []string{}, []string{}
	for ref, thing := range w.things {
		for source, list := range thing.sightings {
			for _, s := range list {
				sightings = append(sightings, fmt.Sprintf("%s %s %s %s-%s since %s %s", source, ref.Kind, ref.Value, stampOf(s.from), stampOf(s.to), stampOf(s.stated), text(s.attributes)))
			}
		}
		seen = append(seen, fmt.Sprintf("%s %s %s", ref.Kind, ref.Value, stampOf(w.lastSeen(thing))))
	}
	for key, list := range w.ties {
		for _, s := range list {
			ties = append(ties, fmt.Sprintf("%s %s %s %s %s-%s", key.source, key.Kind, key.From.Value, key.To.Value, stampOf(s.from), stampOf(s.to)))
		}
	}
	sort.Strings(sightings)
	sort.Strings(ties)
	sort.Strings(seen)
	const moment = `to_char(%s AT TIME ZONE 'UTC', 'MMDD"T"HH24MISS.US')`
	stamps := func(sql string) string {
		return strings.NewReplacer("<from>", fmt.Sprintf(moment, "x.from_at"), "<to>", "coalesce("+fmt.Sprintf(moment, "x.to_at")+", '')",
			"<stated>", fmt.Sprintf(moment, "x.stated_at")).Replace(sql)
	}
	held := rows[string](t, b.super, stamps(`SELECT format('%s %s %s %s-%s since %s ', s.name, a.kind, a.value, <from>, <to>, <stated>) || x.attributes::text
		FROM asset_sighting x JOIN asset a ON a.organization_id = x.organization_id AND a.id = x.asset_id JOIN source s ON s.organization_id = x.organization_id AND s.id = x.source_id
		WHERE x.organization_id = $1`))
	for i, line := range held {
		at := strings.Index(line, "{")
		held[i] = line[:at] + form(line[at:])
	}
	sort.Strings(held)
	require.Equal(t, sightings, held)
	tied := rows[string](t, b.super, stamps(`SELECT format('%s %s %s %s %s-%s', s.name, x.kind, f.value, o.value, <from>, <to>)
		FROM asset_tie x JOIN asset f ON f.organization_id = x.organization_id AND f.id = x.from_id JOIN asset o ON o.organization_id = x.organization_id AND o.id = x.to_id
		JOIN source s ON s.organization_id = x.organization_id AND s.id = x.source_id WHERE x.organization_id = $1`))
	sort.Strings(tied)
	require.Equal(t, ties, tied)
	snapshot := b.Snapshot()
	defer snapshot.Close(b.ctx)
	var ids []id.ID
	refs := map[id.ID]record.AssetRef{}
	for ref := range w.things {
		assetID := id.Asset(id.Organization("acme"), string(ref.Kind), ref.Value)
		ids, refs[assetID] = append(ids, assetID), ref
	}
	last, err := new(asset.Reader).LastSeen(b.ctx, snapshot, id.Organization("acme"), ids)
	require.NoError(t, err)
	read := []string{}
	for _, l := range last {
		read = append(read, fmt.Sprintf("%s %s %s", refs[l.ID].Kind, refs[l.ID].Value, stampOf(l.At)))
	}
	sort.Strings(read)
	require.Equal(t, seen, read)
}

// TestHistoryOfScans plays random scans of three scanners and random waits, and holds
// everything that is kept, and what is told of it, against the model after each.
func TestHistoryOfScans(t *testing.T) {
	t.Parallel()
	shared := setup(t)
	rapid.Check(t, func(t *rapid.T) {
		b := shared
		_, err := b.super.Exec(b.ctx, `SET session_replication_role = replica`)
		require.NoError(t, err)
		for _, table := range rows[string](t, b.super, `SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped
			WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND $1::uuid IS NOT NULL`) {
			_, err := b.super.Exec(b.ctx, `DELETE FROM `+table+` WHERE organization_id = $1`, id.Organization("acme"))
			require.NoError(t, err)
		}
		b.clock.Store(epoch.UnixMicro())
		w, feed := newOutside(), b.listen(t)
		var before []told
		var when []time.Time
		for range rapid.IntRange(3, 12).Draw(t, "steps") {
			switch action := rapid.IntRange(0, 11).Draw(t, "action"); {
			case action < 6 || len(before) == 0:
				b.advance(time.Duration(rapid.IntRange(1, 72).Draw(t, "hours")) * time.Hour)
				d := drawDelivery(t)
				feed.play(t, w, d)
				before, when = append(before, d), append(when, b.now())
			case action == 6: // the same again, later
				b.advance(time.Duration(rapid.IntRange(1, 500).Draw(t, "hours")) * time.Hour)
				d := before[rapid.IntRange(0, len(before)-1).Draw(t, "which")]
				feed.play(t, w, d)
				before, when = append(before, d), append(when, b.now())
			case action == 7: // the very same, or one that comes late
				i := rapid.IntRange(0, len(before)-1).Draw(t, "which")
				report, err := b.send(before[i], when[i])
				require.NoError(t, err)
				require.Contains(t, []authority.Outcome{authority.Repeated, authority.Late}, report.Outcome)
				b.compare(t, w)
				feed.hears(t, w, report.At, report, []string{})
			case action < 10:
				b.advance(time.Duration(rapid.IntRange(1, 40).Draw(t, "days")) * day)
				feed.judge(t, w)
			default: // somebody looks in vain, long after: much is stale, and may come back
				b.advance(time.Duration(rapid.IntRange(15, 40).Draw(t, "days")) * day)
				d := lookout(rapid.SampledFrom(scanners).Draw(t, "source"))
				feed.play(t, w, d)
				before, when = append(before, d), append(when, b.now())
				feed.judge(t, w)
			}
		}
	})
}

// play delivers to the server and to the model, and compares.
func (l *listener) play(t *rapid.T, w *outside, d told) {
	t.Helper()
	report, err := l.send(d, l.now())
	require.NoError(t, err)
	if !slices.Contains([]authority.Outcome{authority.Applied, authority.Unchanged}, report.Outcome) {
		require.Fail(t, "not applied: "+string(report.Outcome))
	}
	at, known := report.At.UTC(), w.standing()
	w.deliver(d, at)
	l.compare(t, w)
	l.hears(t, w, at, report, w.events(known, at))
}

// judge has the server and the model find what is stale by now, and compares.
func (l *listener) judge(t *rapid.T, w *outside) {
	t.Helper()
	evaluation, err := l.service.Reevaluate(l.ctx, id.Organization("acme"), authority.ByTime, nil)
	require.NoError(t, err)
	at, known := evaluation.At.UTC(), w.standing()
	require.Equal(t, w.age(at, asset.DefaultThresholds()), evaluation.Stale)
	l.compare(t, w)
	l.hears(t, w, at, nil, w.events(known, at))
}
