package graph_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// scanned is a host as a scan shows it: its name, its ports, what they run, and a
// certificate on 443.
type scanned struct {
	address string
	ports   map[int]string // the version of nginx on each open port
	bare    bool           // it was not asked what it runs
}

// sighting is the record of it, with everything below 1024 probed.
func (s scanned) sighting() record.Sighting {
	host := must(surface.Host(s.address))
	name := must(surface.Domain("h" + strings.ReplaceAll(s.address, ".", "-") + ".example.com"))
	seen := record.Sighting{
		Assets: []record.Asset{{AssetRef: host, Host: &record.HostDetail{OS: "Linux"}}, {AssetRef: name, Plugin: "ptr"}},
		Ties:   []record.Tie{{Kind: record.Resolves, From: name, To: host}},
	}
	address := surface.Address(host)
	seen.Covers = append(seen.Covers, record.Cover{Of: record.HostAsset, From: address, To: address.Next()},
		record.Cover{Of: record.ServiceAsset, From: address, To: address, Protocol: record.TCP, Ports: []record.PortRange{{First: 0, Last: 1023}}, Answered: true})
	for _, port := range slices.Sorted(maps.Keys(s.ports)) {
		service := must(surface.Service(host, record.TCP, port))
		seen.Assets = append(seen.Assets, record.Asset{AssetRef: service, Parent: host, State: record.PortOpen, Confidence: 90, Service: &record.ServiceDetail{Name: "http"}})
		if port == 443 {
			certificate := must(surface.Certificate(fmt.Sprintf("%064x", 7), ""))
			seen.Assets = append(seen.Assets, record.Asset{AssetRef: certificate, Plugin: "ssl-cert", Certificate: &record.CertificateDetail{SHA256: certificate.Value, Subject: "CN=shop"}})
			seen.Ties = append(seen.Ties, record.Tie{Kind: record.Presents, From: service, To: certificate})
			seen.Covers = append(seen.Covers, record.Cover{Of: record.CertificateAsset, Subject: service})
		}
		if s.bare {
			continue
		}
		nginx := must(surface.Technology(service, "nginx"))
		seen.Assets = append(seen.Assets, record.Asset{AssetRef: nginx, Parent: service, Technology: &record.TechnologyDetail{Name: "nginx", Version: s.ports[port]}})
		seen.Covers = append(seen.Covers, record.Cover{Of: record.TechnologyAsset, Subject: service})
	}
	return seen
}

// hosts are n of them, alike.
func hosts(n int, version string, ports ...int) []scanned {
	list := make([]scanned, n)
	for i := range list {
		list[i] = scanned{address: fmt.Sprintf("10.0.0.%d", i+1), ports: map[int]string{}}
		for _, port := range ports {
			list[i].ports[port] = version
		}
	}
	return list
}

// scan delivers what a scanner saw.
func (b *bench) scan(t tester, organization, source string, seen ...scanned) {
	t.Helper()
	_, err := b.paths.Sync(access.With(context.Background(), root),
		authority.SyncRequest{Organization: organization, CreateOrganization: true, Format: "nmap", Source: source, System: "dmz", Scan: true},
		func(out record.Emitter) error {
			for i, s := range seen {
				if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: s.sighting()}); err != nil {
					return err
				}
			}
			return nil
		})
	require.NoError(t, err)
}

// told is what the assets of an organization say of themselves, by value.
func (b *bench) told(t testing.TB, selection string) map[string]any {
	t.Helper()
	a := b.query(t, viewer, `{ organization(slug: "acme") { assets(first: 100) { nodes { value `+selection+` } } } }`, nil)
	require.Empty(t, a.Errors)
	all := map[string]any{}
	for _, node := range at[[]any](t, a.Data, "organization", "assets", "nodes") {
		all[at[string](t, node, "value")] = node
	}
	return all
}

// TestAssetsOfScans: two scans, the second of which finds a port closed and another
// version of what runs on the other.
func TestAssetsOfScans(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.scan(t, "acme", "nmap", hosts(1, "1.24", 80, 443)...)
	b.clock.Add(int64(24 * time.Hour))
	b.scan(t, "acme", "nmap", hosts(1, "1.25", 80)...)
	b.drain(t, "acme")
	b.clock.Add(int64(time.Hour))
	const web, tls = "10.0.0.1 tcp/80", "10.0.0.1 tcp/443"

	all := b.told(t, `type status state firstSeenAt lastSeenAt confidence plugin technology { name version } parent { value } host { value } names { value }`)
	require.Len(t, all, 7)
	require.Equal(t, map[string]any{"value": web, "type": "SERVICE", "status": "ACTIVE", "state": "OPEN", "firstSeenAt": "2026-03-01T12:00:00Z", "lastSeenAt": "2026-03-02T12:00:00Z",
		"confidence": 90.0, "plugin": nil, "technology": []any{map[string]any{"name": "nginx", "version": "1.25"}}, "parent": map[string]any{"value": "10.0.0.1"},
		"host": map[string]any{"value": "10.0.0.1"}, "names": []any{}}, all[web])
	require.Equal(t, []any{"CLOSED", "CLOSED", "2026-03-01T12:00:00Z"}, []any{at[string](t, all, tls, "status"), at[string](t, all, tls, "state"), at[string](t, all, tls, "lastSeenAt")})
	require.Equal(t, []any{map[string]any{"value": "h10-0-0-1.example.com"}}, at[[]any](t, all, "10.0.0.1", "names"))
	require.Nil(t, at[map[string]any](t, all, "10.0.0.1")["host"], "a host is on nothing")

	past := b.told(t, `discoveredBy { version source { name } assets { added changed gone } } versions { to status technology { version } } sightings { source { name } current lastSeenAt }
		changes { nodes { type asset { value } causedBy { type } sync { version } entityId } } id`)
	require.Equal(t, map[string]any{"version": 1.0, "source": map[string]any{"name": "nmap"}, "assets": map[string]any{"added": 7.0, "changed": 0.0, "gone": 0.0}}, at[map[string]any](t, past, web, "discoveredBy"))
	require.Equal(t, []any{
		map[string]any{"to": nil, "status": "ACTIVE", "technology": []any{map[string]any{"version": "1.25"}}},
		map[string]any{"to": "2026-03-02T12:00:00Z", "status": "ACTIVE", "technology": []any{map[string]any{"version": "1.24"}}},
	}, at[[]any](t, past, web, "versions"))
	require.Equal(t, []any{map[string]any{"source": map[string]any{"name": "nmap"}, "current": false, "lastSeenAt": "2026-03-01T12:00:00Z"}}, at[[]any](t, past, tls, "sightings"))
	var types []string
	for _, change := range append(at[[]any](t, past, web, "changes", "nodes"), at[[]any](t, past, tls, "changes", "nodes")...) {
		types = append(types, at[string](t, change, "type"))
		require.Equal(t, at[map[string]any](t, past, at[string](t, change, "asset", "value"))["id"], at[string](t, change, "entityId"))
	}
	require.Equal(t, []string{"TECHNOLOGY_CHANGED", "SERVICE_DISCOVERED", "PORT_CLOSED", "SERVICE_DISCOVERED"}, types)

	service := at[string](t, past, web, "id")
	b.scan(t, "rival", "nmap", hosts(1, "1.24", 80)...)
	foreign := b.query(t, root, `{ organization(slug: "rival") { assets(first: 1) { nodes { id } } } }`, nil)
	stranger := at[string](t, foreign.Data, "organization", "assets", "nodes", 0, "id")
	for arguments, want := range map[string]any{
		`id: "` + service + `"`: web, `type: SERVICE, value: "` + web + `"`: web, `type: HOST, value: "` + web + `"`: nil, `id: "` + stranger + `"`: nil,
		`id: "bm90aGluZw"`: nil, `type: DOMAIN, value: ""`: nil,
	} {
		a := b.query(t, viewer, `{ organization(slug: "acme") { asset(`+arguments+`) { value } } }`, nil)
		require.Empty(t, a.Errors, arguments)
		found, _ := at[map[string]any](t, a.Data, "organization")["asset"].(map[string]any)
		require.Equal(t, want, found["value"], arguments)
	}
	for _, arguments := range []string{`type: SERVICE`, `value: "x"`, `id: "` + service + `", type: SERVICE, value: "x"`, `id: "` + service + `", value: "x"`} {
		a := b.query(t, viewer, `{ organization(slug: "acme") { asset(`+arguments+`) { value } } }`, nil)
		require.Equal(t, "ASSET_NOT_NAMED", a.code(), arguments)
	}
	for id, want := range map[string]any{service: map[string]any{"__typename": "Asset", "id": service}, stranger: nil} {
		a := b.query(t, viewer, `query($id: ID!) { node(id: $id) { __typename id } }`, map[string]any{"id": id})
		require.Empty(t, a.Errors)
		require.Equal(t, want, a.Data["node"])
	}
	for arguments, code := range map[string]string{`first: 0`: "PAGE_SIZE", `after: "x"`: "CURSOR_INVALID", `filter: {value: "` + strings.Repeat("a", 2401) + `"}`: "BAD_USER_INPUT"} {
		require.Equal(t, code, b.query(t, viewer, `{ organization(slug: "acme") { assets(`+arguments+`) { totalCount } } }`, nil).code(), arguments)
	}
	require.Equal(t, "PAGE_SIZE", b.query(t, viewer, `{ organization(slug: "acme") { assets(first: 1) { nodes { versions(first: 101) { from } } } } }`, nil).code())
}

// outside has an hour go by in which scanners saw n hosts: each with a name, two
// services, what one of them runs, a page, and one certificate for all. One source
// sees half of it. An hour later a file is collected, and half of the services are
// closed.
func (b *bench) outside(t testing.TB, slug string, n int) {
	t.Helper()
	super := b.Super(t)
	begin := b.now().Add(time.Hour)
	values := strings.NewReplacer("$1", "'"+id.Organization(slug).String()+"'::uuid", "$2", "'"+begin.Format(time.RFC3339)+"'::timestamptz", "$3", strconv.Itoa(n))
	exec := func(sql string) {
		t.Helper()
		_, err := super.Exec(context.Background(), values.Replace(sql))
		require.NoError(t, err, sql)
	}
	exec(`INSERT INTO source (organization_id, id, name, system, format, created_at, scans)
		SELECT $1, md5($1::text || x)::uuid, x, 'dmz', 'nmap', $2, true FROM unnest(ARRAY['nmap', 'httpx']) AS x`)
	exec(`INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, content_digest, outcome, complete, records_read,
			records_rejected, paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings, assets_added, assets_gone)
		SELECT $1, md5($1::text || 'sync ' || x.hours)::uuid, md5($1::text || x.source)::uuid, 100 + x.hours, $2 + x.hours * interval '1 hour', $2, $2, 'test', md5('d')::uuid,
			'applied', true, 0, 0, 0, 0, 0, 0, '[]', '[]', x.added, x.gone
		FROM (VALUES ('nmap', 0, 7, 0), ('httpx', 1, 0, 0), ('nmap', 2, 0, 3)) AS x(source, hours, added, gone)`)
	exec(`INSERT INTO asset (organization_id, id, kind, value, parent_id, root_id, address, protocol, port, origin, first_seen_at, status, state, attributes, technology, version, from_at)
		SELECT $1, md5($1::text || x.value)::uuid, x.kind, x.value, md5($1::text || x.parent)::uuid, md5($1::text || x.root)::uuid, x.address, x.protocol, x.port, x.origin, $2,
			CASE WHEN x.gone THEN 'closed' ELSE 'active' END, CASE WHEN x.gone THEN 'closed' WHEN x.kind = 'service' THEN 'open' END, '{"name": "x"}'::jsonb,
			CASE WHEN x.port = 80 THEN '[{"name": "nginx", "version": "1"}, {"name": "http", "service": true}]'::jsonb END,
			CASE WHEN x.gone THEN 2 ELSE 1 END, $2 + CASE WHEN x.gone THEN 2 ELSE 0 END * interval '1 hour'
		FROM generate_series(1, $3) AS i
		CROSS JOIN LATERAL (VALUES
			('host', '10.0.0.' || i, NULL, '10.0.0.' || i, ('10.0.0.' || i)::inet, NULL, NULL::integer, NULL, false),
			('domain', 'h' || i || '.example.com', NULL, 'h' || i || '.example.com', NULL, NULL, NULL, NULL, false),
			('service', '10.0.0.' || i || ' tcp/80', '10.0.0.' || i, '10.0.0.' || i, ('10.0.0.' || i)::inet, 'tcp', 80, NULL, false),
			('service', '10.0.0.' || i || ' tcp/443', '10.0.0.' || i, '10.0.0.' || i, ('10.0.0.' || i)::inet, 'tcp', 443, NULL, i % 2 = 0),
			('technology', '10.0.0.' || i || ' tcp/80 nginx', '10.0.0.' || i || ' tcp/80', '10.0.0.' || i, ('10.0.0.' || i)::inet, NULL, NULL, NULL, false),
			('url', 'http://h' || i || '.example.com:80/', 'h' || i || '.example.com', 'h' || i || '.example.com', NULL, NULL, NULL, 'http://h' || i || '.example.com:80', false)
		) AS x(kind, value, parent, root, address, protocol, port, origin, gone)
		UNION ALL
		SELECT $1, md5($1::text || 'certificate')::uuid, 'certificate', repeat('ab', 32), NULL, NULL, NULL, NULL, NULL, NULL, $2, 'active', NULL, '{}', NULL, 1, $2
		UNION ALL
		SELECT $1, md5($1::text || 'file')::uuid, 'file', repeat('ef', 32), NULL, NULL, NULL, NULL, NULL, NULL, $2 + interval '90 minutes', 'active', NULL, '{}', NULL, 1, $2 + interval '90 minutes'`)
	exec(`INSERT INTO asset_version (organization_id, id, version, from_at, to_at, status, state, attributes, class)
		SELECT organization_id, id, 1, $2, from_at, 'active', 'open', '{}', 0 FROM asset WHERE organization_id = $1 AND version = 2`)
	exec(`INSERT INTO asset_sighting (organization_id, asset_id, source_id, from_at, to_at, stated_at, attributes, digest)
		SELECT organization_id, id, md5($1::text || 'nmap')::uuid, $2, CASE WHEN version = 2 THEN from_at END, $2, attributes, md5('d')::uuid FROM asset WHERE organization_id = $1 AND kind <> 'file'
		UNION ALL
		SELECT organization_id, id, md5($1::text || 'httpx')::uuid, $2 + interval '1 hour', NULL, $2, attributes, md5('d')::uuid FROM asset WHERE organization_id = $1 AND kind IN ('url', 'technology')`)
	exec(`INSERT INTO asset_tie (organization_id, kind, from_id, to_id, source_id, from_at, to_at)
		SELECT $1, 'resolves', md5($1::text || 'h' || i || '.example.com')::uuid, md5($1::text || '10.0.0.' || i)::uuid, md5($1::text || 'nmap')::uuid, $2, NULL::timestamptz FROM generate_series(1, $3) AS i
		UNION ALL
		SELECT $1, 'presents', md5($1::text || '10.0.0.' || i || ' tcp/443')::uuid, md5($1::text || 'certificate')::uuid, md5($1::text || 'nmap')::uuid, $2,
			CASE WHEN i % 2 = 0 THEN $2 + interval '2 hours' END FROM generate_series(1, $3) AS i`)
	exec(`INSERT INTO asset_link (organization_id, asset_id, workload_id, basis, detail, from_at, to_at)
		SELECT a.organization_id, a.id, w.id, x.basis, a.value, $2 + x.hours * interval '1 hour', NULL
		FROM asset a
		JOIN entity w ON w.organization_id = $1 AND w.kind = 'workload' AND w.external_id IN ('w000', 'w001')
		CROSS JOIN (VALUES ('address', 0), ('mapping', 2)) AS x(basis, hours)
		WHERE a.organization_id = $1 AND a.kind IN ('service', 'url')`)
	exec(`INSERT INTO file (organization_id, id, sha256, size, media_type, name, actor, at, recorded_at)
		SELECT organization_id, id, decode(value, 'hex'), 5, 'text/plain', 'report.txt', 'ann', first_seen_at, first_seen_at FROM asset WHERE organization_id = $1 AND kind = 'file'`)
	b.clock.Add(int64(4 * time.Hour))
}

const allOfAssets = `query Assets($first: Int!, $after: String, $asOf: DateTime, $order: AssetOrder) { organization(slug: "acme") { assets(first: $first, after: $after, asOf: $asOf, orderBy: $order, filter: {type: [HOST, DOMAIN, SERVICE, TECHNOLOGY, URL]}) {
	totalCount pageInfo { hasNextPage endCursor }
	nodes {
		id type value status state firstSeenAt lastSeenAt confidence plugin attributes technology { name version }
		parent { value } host { value lastSeenAt } parts(first: 2) { totalCount nodes { value lastSeenAt } }
		certificates { value parts { nodes { id } } } services { value host { value } } hosts { value } names { value }
		discoveredBy { version source { name } } sightings(first: 3) { source { name } current lastSeenAt } versions(first: 2) { from to status technology { version } }
		file { name sha256 size url collectedBy }
		workloads(first: 2) { totalCount nodes { name authorityPaths(first: 1) { nodes { id } } assets(first: 2) { totalCount edges { links { since } node { value lastSeenAt } } } } edges { node { id } links { basis detail } } }
		changes(first: 2) { totalCount nodes { title asset { value } } }
	} } } }`

// TestAssetStatementsDoNotGrowWithRows: a larger page of everything takes no statement
// more, now and as of then.
func TestAssetStatementsDoNotGrowWithRows(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond) // what a loader would batch by waiting comes apart
	b.sync(t, "acme", world(3)...)
	b.outside(t, "acme", 30)
	instant := epoch.Add(2*time.Hour + 30*time.Minute)
	for _, asOf := range []any{nil, instant} {
		sent := map[int][]string{}
		for _, first := range []int{50, 100} {
			b.Statements.Reset()
			a := b.query(t, viewer, allOfAssets, map[string]any{"first": first, "asOf": asOf, "order": map[string]any{"field": "FIRST_SEEN_AT", "direction": "ASC"}})
			sent[first] = b.Statements.Sent()
			require.Empty(t, a.Errors)
			require.Len(t, at[[]any](t, a.Data, "organization", "assets", "nodes"), first)
		}
		// A larger page may save one: what is on it already is not looked up.
		few := map[string]int{}
		for _, statement := range sent[50] {
			few[statement]++
		}
		for _, statement := range sent[100] {
			few[statement]--
			require.GreaterOrEqual(t, few[statement], 0, "as of %v: %s", asOf, statement)
		}
		require.LessOrEqual(t, len(sent[50]), 31, sent[50])
	}
}
