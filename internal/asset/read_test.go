package asset_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestEveryReadStatementKnowsItsPast(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementKnowsItsPast(t, asset.ReadQueries)
}

func TestEveryReadStatementCanBeSeen(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementCanBeSeen(t, asset.ReadQueries.All())
}

// begin is the first day of the shelf.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// onDay is so many days after.
func onDay(n int) time.Time { return begin.Add(time.Duration(n) * 24 * time.Hour) }

const slug = "acme"

var organization = id.Organization(slug)

// shelf is an organization whose rows a test wrote by hand, to be read.
type shelf struct {
	*dbtest.Database
	reader asset.Reader
	super  *pgx.Conn
	ctx    context.Context
}

func (s *shelf) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := s.super.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

// named is the id that SQL gives a thing of this name.
func named(t testing.TB, s *shelf, name string) id.ID {
	t.Helper()
	var found id.ID
	require.NoError(t, s.super.QueryRow(context.Background(), `SELECT md5($1)::uuid`, name).Scan(&found))
	return found
}

// long is the value of a page that no cursor can hold.
var long = "https://shop.example.com:443/?session=" + strings.Repeat("<&>", 700)

// stock is a host that two scanners see, one of which closes what the other saw: on
// the first day nmap sees the host, its name and two services; on the second httpx
// sees what one of them runs; on the fourth the version is another one; on the fifth
// nmap finds the other one closed.
func stock(t testing.TB) *shelf {
	t.Helper()
	s := &shelf{Database: dbtest.New(t)}
	s.super = s.Super(t)
	s.ctx = access.With(context.Background(), access.Actor{Subject: "test", AllOrganizations: true, Scopes: []access.Scope{access.View}})
	s.exec(t, `SET session_replication_role = replica`)
	s.exec(t, `CREATE FUNCTION n(name text) RETURNS uuid LANGUAGE sql IMMUTABLE AS 'SELECT md5(name)::uuid'`)
	s.exec(t, `CREATE FUNCTION day(n integer) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$SELECT '2026-03-01 12:00+00'::timestamptz + n * interval '1 day'$$`)
	s.exec(t, `INSERT INTO organization VALUES ($1, $2, $2, day(0))`, organization, slug)
	s.exec(t, `INSERT INTO source (organization_id, id, name, system, format, created_at, scans)
		VALUES ($1, n('nmap'), 'nmap', 'dmz', 'nmap', day(0), true), ($1, n('httpx'), 'httpx', 'dmz', 'httpx', day(0), true)`, organization)
	s.exec(t, `INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, content_digest, outcome, complete, records_read,
			records_rejected, paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings)
		SELECT $1, n('sync ' || x.day), n(x.source), x.version, day(x.day), day(x.day), day(x.day), 'test', n('d'), x.outcome, true, 0, 0, 0, 0, 0, 0, '[]', '[]'
		FROM (VALUES (1, 'nmap', 0, 'applied'), (2, 'httpx', 1, 'applied'), (3, 'nmap', 2, 'unchanged'), (4, 'httpx', 3, 'applied'),
		             (5, 'nmap', 4, 'applied'), (6, 'nmap', 5, 'late')) AS x(version, source, day, outcome)`, organization)
	s.exec(t, `INSERT INTO asset (organization_id, id, kind, value, parent_id, root_id, address, protocol, port, origin, sha1, first_seen_at, status, state,
			attributes, technology, confidence, plugin, version, from_at)
		SELECT $1, n(x.name), x.kind, coalesce(x.value, x.name), n(x.parent), n(x.root), x.address::inet, x.protocol, x.port, x.origin, x.sha1, day(x.seen), x.status,
			x.state, '{}', x.technology::jsonb, x.confidence, x.plugin, x.version, day(x.began)
		FROM (VALUES
			('host', 'host', '10.0.0.1', NULL, 'host', '10.0.0.1', NULL, NULL::integer, NULL, NULL, 0, 'active', NULL, NULL, NULL::integer, NULL, 1, 0),
			('name', 'domain', 'shop.example.com', NULL, 'name', NULL, NULL, NULL, NULL, NULL, 0, 'active', NULL, NULL, NULL, 'PTR', 1, 0),
			('web', 'service', '10.0.0.1 tcp/80', 'host', 'host', '10.0.0.1', 'tcp', 80, NULL, NULL, 0, 'active', 'open',
				'[{"name": "http", "service": true}, {"name": "nginx", "version": "2"}]', 90, NULL, 3, 3),
			('tls', 'service', '10.0.0.1 tcp/443', 'host', 'host', '10.0.0.1', 'tcp', 443, NULL, NULL, 0, 'closed', 'closed', NULL, NULL, NULL, 2, 4),
			('nginx', 'technology', '10.0.0.1 tcp/80 nginx', 'web', 'host', '10.0.0.1', NULL, NULL, NULL, NULL, 1, 'active', NULL, NULL, NULL, NULL, 2, 3),
			('page', 'url', $2, 'name', 'name', NULL, NULL, NULL, 'https://shop.example.com:443', NULL, 1, 'active', NULL, NULL, NULL, NULL, 1, 1),
			('certificate', 'certificate', repeat('ab', 32), NULL, NULL, NULL, NULL, NULL, NULL, repeat('cd', 20), 0, 'closed', NULL, NULL, NULL, 'ssl-cert', 2, 4),
			('report', 'file', repeat('ef', 32), NULL, NULL, NULL, NULL, NULL, NULL, NULL, 2, 'active', NULL, NULL, NULL, NULL, 1, 2)
		) AS x(name, kind, value, parent, root, address, protocol, port, origin, sha1, seen, status, state, technology, confidence, plugin, version, began)`, organization, long)
	s.exec(t, `INSERT INTO asset_version (organization_id, id, version, from_at, to_at, status, state, attributes, technology, class)
		SELECT $1, n(x.name), x.version, day(x.began), day(x.ended), 'active', x.state, '{}', x.technology::jsonb, 0
		FROM (VALUES ('web', 1, 0, 1, 'open', '[{"name": "http", "service": true}]'),
		             ('web', 2, 1, 3, 'open', '[{"name": "http", "service": true}, {"name": "nginx", "version": "1"}]'),
		             ('tls', 1, 0, 4, 'open', NULL), ('nginx', 1, 1, 3, NULL, NULL), ('certificate', 1, 0, 4, NULL, NULL)) AS x(name, version, began, ended, state, technology)`, organization)
	s.exec(t, `INSERT INTO asset_sighting (organization_id, asset_id, source_id, from_at, to_at, stated_at, state, attributes, digest)
		SELECT $1, n(x.name), n(x.source), day(x.began), day(x.ended), day(x.began), x.state, '{}', n('d')
		FROM (VALUES ('host', 'nmap', 0, NULL::integer, NULL), ('host', 'httpx', 1, NULL, NULL), ('name', 'nmap', 0, NULL, NULL), ('web', 'nmap', 0, NULL, 'open'),
		             ('web', 'httpx', 1, 3, 'open'), ('web', 'httpx', 3, NULL, 'open'), ('tls', 'nmap', 0, 4, 'open'), ('nginx', 'httpx', 1, 3, NULL),
		             ('nginx', 'httpx', 3, NULL, NULL), ('page', 'httpx', 1, NULL, NULL), ('certificate', 'nmap', 0, 4, NULL)) AS x(name, source, began, ended, state)`, organization)
	s.exec(t, `INSERT INTO asset_tie (organization_id, kind, from_id, to_id, source_id, from_at, to_at)
		SELECT $1, x.kind, n(x.beginning), n(x.target), n(x.source), day(x.began), day(x.ended)
		FROM (VALUES ('resolves', 'name', 'host', 'nmap', 0, NULL::integer), ('resolves', 'name', 'host', 'httpx', 1, NULL),
		             ('presents', 'tls', 'certificate', 'nmap', 0, 4)) AS x(kind, beginning, target, source, began, ended)`, organization)
	s.exec(t, `INSERT INTO entity (organization_id, id, kind, system, external_id, name, status, sensitivity, class, ownership_status, egress_category, version, from_at, first_seen_at)
		SELECT $1, n(x), 'workload', 'k8s', x, x, 'active', 0, 0, 'unknown', 'unknown', 1, day(0), day(0) FROM unnest(ARRAY['cart', 'shop']) AS x`, organization)
	s.exec(t, `INSERT INTO asset_link (organization_id, asset_id, workload_id, basis, detail, from_at, to_at)
		SELECT $1, n(x.name), n(x.workload), x.basis, x.detail, day(x.began), day(x.ended)
		FROM (VALUES ('web', 'shop', 'ingress', 'shop.example.com', 0, NULL::integer), ('web', 'shop', 'address', '10.0.0.1', 2, NULL), ('web', 'cart', 'mapping', '10.0.0.1:80', 2, NULL),
		             ('host', 'shop', 'address', '10.0.0.1', 2, NULL), ('tls', 'cart', 'mapping', '10.0.0.1:443', 0, 4)) AS x(name, workload, basis, detail, began, ended)`, organization)
	s.exec(t, `INSERT INTO file (organization_id, id, sha256, size, media_type, name, artifact, actor, at, recorded_at)
		VALUES ($1, n('report'), decode(repeat('ef', 32), 'hex'), 12, 'text/plain', 'report.txt', 'shop:1', 'ann', day(2), day(2))`, organization)
	return s
}

// names are what the assets are called in the stock.
func (s *shelf) names(t testing.TB, list []*asset.Asset) []string {
	t.Helper()
	texts := make([]string, len(list))
	for i, a := range list {
		for _, name := range []string{"host", "name", "web", "tls", "nginx", "page", "certificate", "report"} {
			if a.ID == named(t, s, name) {
				texts[i] = name
			}
		}
	}
	return texts
}

// reading runs a test on a snapshot, as of an instant if one is given.
func reading[T any](t testing.TB, s *shelf, at *time.Time, read func(*db.Snapshot) (T, error)) T {
	t.Helper()
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	if at != nil {
		snapshot = snapshot.At(*at)
	}
	found, err := read(snapshot)
	require.NoError(t, err)
	return found
}

// list reads a list under a filter, checks that it is counted alike, and names it.
func (s *shelf) list(t testing.TB, at *time.Time, filter asset.Filter) []string {
	t.Helper()
	most := 100
	found := reading(t, s, at, func(snapshot *db.Snapshot) (asset.Page, error) {
		return s.reader.Assets(s.ctx, snapshot, organization, filter, asset.Order{Field: asset.ByValue}, page.Request{First: &most})
	})
	count := reading(t, s, at, func(snapshot *db.Snapshot) (int, error) {
		return s.reader.CountAssets(s.ctx, snapshot, organization, filter)
	})
	require.Equal(t, len(found.Rows), count)
	return s.names(t, found.Rows)
}

func TestListOfAssets(t *testing.T) {
	t.Parallel()
	s := stock(t)
	yes, no := true, false
	second, third := onDay(1), onDay(2)
	for name, test := range map[string]struct {
		filter asset.Filter
		want   []string
	}{
		"all, by kind and value": {asset.Filter{}, []string{"certificate", "name", "report", "host", "tls", "web", "nginx", "page"}},
		"kinds":                  {asset.Filter{Kinds: []record.AssetKind{record.ServiceAsset, record.HostAsset}}, []string{"host", "tls", "web"}},
		"one kind":               {asset.Filter{Kinds: []record.AssetKind{record.HostAsset}}, []string{"host"}},
		"statuses":               {asset.Filter{Statuses: []asset.Status{asset.StatusClosed, asset.StatusStale}}, []string{"certificate", "tls"}},
		"value":                  {asset.Filter{Value: "10.0.0.1"}, []string{"host"}},
		"prefix":                 {asset.Filter{ValuePrefix: "10.0.0.1"}, []string{"host", "tls", "web", "nginx"}},
		"prefix, no pattern":     {asset.Filter{ValuePrefix: "10%"}, []string{}},
		"on a host":              {asset.Filter{Roots: []id.ID{named(t, s, "host")}}, []string{"host", "tls", "web", "nginx"}},
		"on a name":              {asset.Filter{Roots: []id.ID{named(t, s, "name")}}, []string{"name", "page"}},
		"of a workload":          {asset.Filter{Workloads: []id.ID{named(t, s, "cart")}}, []string{"web"}},
		"of a source":            {asset.Filter{Sources: []id.ID{named(t, s, "httpx")}}, []string{"host", "web", "nginx", "page"}},
		"of a source, before":    {asset.Filter{Sources: []id.ID{named(t, s, "nmap")}, Statuses: []asset.Status{asset.StatusClosed}}, []string{"certificate", "tls"}},
		"ports":                  {asset.Filter{Ports: []int{443, 8443}}, []string{"tls"}},
		"technology":             {asset.Filter{Technology: "NGINX"}, []string{"web"}},
		"linked":                 {asset.Filter{Linked: &yes}, []string{"host", "web"}},
		"not linked":             {asset.Filter{Linked: &no, Kinds: []record.AssetKind{record.ServiceAsset}}, []string{"tls"}},
		"first seen":             {asset.Filter{FirstSeenAfter: &second, FirstSeenBefore: &third}, []string{"nginx", "page"}},
		"nothing":                {asset.Filter{Roots: []id.ID{id.Nil}}, []string{}},
	} {
		require.Equal(t, test.want, s.list(t, nil, test.filter), name)
	}
	too := make([]id.ID, page.MaxValues+1)
	for name, test := range map[string]struct {
		filter asset.Filter
		code   string
	}{
		"too many":     {asset.Filter{Roots: too}, "FILTER_TOO_LARGE"},
		"NUL":          {asset.Filter{Value: "a\x00"}, "BAD_USER_INPUT"},
		"no text":      {asset.Filter{Technology: "\xff"}, "BAD_USER_INPUT"},
		"endless text": {asset.Filter{ValuePrefix: strings.Repeat("a", 2401)}, "BAD_USER_INPUT"},
	} {
		snapshot := s.Snapshot()
		_, err := s.reader.Assets(s.ctx, snapshot, organization, test.filter, asset.Order{Field: asset.ByValue}, page.Request{})
		snapshot.Close(s.ctx)
		var typed *problem.Error
		require.ErrorAs(t, err, &typed, name)
		require.Equal(t, test.code, typed.Code, name)
	}
}

// TestPagesOfAssets walks every list page by page, from either end.
func TestPagesOfAssets(t *testing.T) {
	t.Parallel()
	s := stock(t)
	then := onDay(3)
	for _, order := range []asset.Order{
		{Field: asset.ByValue}, {Field: asset.ByValue, Descending: true}, {Field: asset.ByFirstSeenAt}, {Field: asset.ByFirstSeenAt, Descending: true},
	} {
		for _, at := range []*time.Time{nil, &then} {
			for _, backward := range []bool{false, true} {
				walk := func(size int) (all []string) {
					request := page.Request{First: &size}
					if backward {
						request = page.Request{Last: &size}
					}
					for {
						found := reading(t, s, at, func(snapshot *db.Snapshot) (asset.Page, error) {
							return s.reader.Assets(s.ctx, snapshot, organization, asset.Filter{}, order, request)
						})
						if backward {
							all = append(s.names(t, found.Rows), all...)
							if !found.HasPrevious {
								return all
							}
							cursor := found.Cursor(found.Rows[0])
							request.Before = &cursor
							continue
						}
						all = append(all, s.names(t, found.Rows)...)
						if !found.HasNext {
							return all
						}
						cursor := found.Cursor(found.Rows[len(found.Rows)-1])
						request.After = &cursor
					}
				}
				whole := walk(100)
				require.Len(t, whole, 8)
				require.Equal(t, whole, walk(1), "%v backward %v", order, backward)
				require.Equal(t, whole, walk(3), "%v backward %v", order, backward)
			}
		}
	}
}

// TestCursorsOfAssetsAreBound: a cursor is of its list, filter, order and instant.
func TestCursorsOfAssetsAreBound(t *testing.T) {
	t.Parallel()
	s := stock(t)
	one, then := 1, onDay(3)
	services := asset.Filter{Kinds: []record.AssetKind{record.ServiceAsset, record.HostAsset}}
	order := asset.Order{Field: asset.ByValue}
	ask := func(at *time.Time, filter asset.Filter, order asset.Order, after string) error {
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		if at != nil {
			snapshot = snapshot.At(*at)
		}
		_, err := s.reader.Assets(s.ctx, snapshot, organization, filter, order, page.Request{First: &one, After: &after})
		return err
	}
	first := reading(t, s, nil, func(snapshot *db.Snapshot) (asset.Page, error) {
		return s.reader.Assets(s.ctx, snapshot, organization, services, order, page.Request{First: &one})
	})
	cursor := first.Cursor(first.Rows[0])
	require.NoError(t, ask(nil, services, order, cursor))
	slices.Reverse(services.Kinds)
	require.NoError(t, ask(nil, services, order, cursor), "the same filter in another order")
	for name, err := range map[string]error{
		"another filter":  ask(nil, asset.Filter{}, order, cursor),
		"another order":   ask(nil, services, asset.Order{Field: asset.ByFirstSeenAt}, cursor),
		"turned round":    ask(nil, services, asset.Order{Field: asset.ByValue, Descending: true}, cursor),
		"another instant": ask(&then, services, order, cursor),
	} {
		var typed *problem.Error
		require.ErrorAs(t, err, &typed, name)
		require.Equal(t, "CURSOR_OF_ANOTHER_LIST", typed.Code, name)
	}
	// A list by value names the asset that it goes on behind; of no asset it says so.
	bound := asset.Binding(organization, services)
	var typed *problem.Error
	for _, text := range []string{id.Nil.String(), "no id"} {
		require.ErrorAs(t, ask(nil, services, order, page.Cursor(bound, text)), &typed)
		require.Equal(t, "CURSOR_INVALID", typed.Code)
	}
}

// TestPastOfAssets asks what the shelf held on each day.
func TestPastOfAssets(t *testing.T) {
	t.Parallel()
	s := stock(t)
	ids := func(names ...string) (list []id.ID) {
		for _, name := range names {
			list = append(list, named(t, s, name))
		}
		return list
	}
	said := func(at *time.Time) []string {
		var lines []string
		say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
		say("all: %v", s.list(t, at, asset.Filter{}))
		yes := true
		say("active: %v, linked: %v", s.list(t, at, asset.Filter{Statuses: []asset.Status{asset.StatusActive}}), s.list(t, at, asset.Filter{Linked: &yes}))
		seen := reading(t, s, at, func(snapshot *db.Snapshot) ([]*asset.Seen, error) {
			return s.reader.LastSeen(s.ctx, snapshot, organization, ids("web", "tls", "report"))
		})
		last := map[id.ID]int{}
		for _, x := range seen {
			last[x.ID] = int(x.At.Sub(begin) / (24 * time.Hour))
		}
		say("last seen: web %d, tls %d, report %d", last[named(t, s, "web")], last[named(t, s, "tls")], last[named(t, s, "report")])
		sightings := reading(t, s, at, func(snapshot *db.Snapshot) ([]*asset.Sighting, error) {
			return s.reader.Sightings(s.ctx, snapshot, organization, ids("web"), 10)
		})
		for _, g := range sightings {
			say("sighting: from %d until %d, current %v", int(g.FromAt.Sub(begin)/(24*time.Hour)), int(g.LastSeenAt.Sub(begin)/(24*time.Hour)), g.ToAt == nil)
		}
		versions := reading(t, s, at, func(snapshot *db.Snapshot) ([]*asset.Version, error) {
			return s.reader.Versions(s.ctx, snapshot, organization, ids("web"), 2)
		})
		for _, v := range versions {
			text := ""
			for _, technology := range v.Technology {
				if technology.Version != nil {
					text = " " + *technology.Version
				}
			}
			say("version %d%s, current %v", v.Version, text, v.ToAt == nil)
		}
		for _, of := range []struct {
			name string
			read func(context.Context, *db.Snapshot, id.ID, record.TieKind, []id.ID) (map[id.ID][]*asset.Asset, error)
			kind record.TieKind
		}{
			{"name", s.reader.TiedFrom, record.Resolves}, {"host", s.reader.TiedTo, record.Resolves},
			{"tls", s.reader.TiedFrom, record.Presents}, {"certificate", s.reader.TiedTo, record.Presents},
		} {
			ends := reading(t, s, at, func(snapshot *db.Snapshot) (map[id.ID][]*asset.Asset, error) {
				return of.read(s.ctx, snapshot, organization, of.kind, ids(of.name))
			})
			say("%s: %v", of.name, s.names(t, ends[named(t, s, of.name)]))
		}
		behind := reading(t, s, at, func(snapshot *db.Snapshot) (map[id.ID]asset.WorkloadPage, error) {
			return s.reader.WorkloadsBehind(s.ctx, snapshot, organization, &asset.List{}, ids("web", "tls"))
		})
		for _, name := range []string{"web", "tls"} {
			for _, w := range behind[named(t, s, name)].Rows {
				var bases []string
				for _, link := range w.Links {
					bases = append(bases, string(link.Basis)+" "+link.Detail)
				}
				say("%s behind %s: %s", w.Name, name, strings.Join(bases, ", "))
			}
		}
		of := reading(t, s, at, func(snapshot *db.Snapshot) (map[id.ID]asset.LinkedPage, error) {
			return s.reader.OfWorkloads(s.ctx, snapshot, organization, &asset.List{}, ids("shop"))
		})
		counts := reading(t, s, at, func(snapshot *db.Snapshot) (map[id.ID]int, error) {
			return s.reader.CountOfWorkloads(s.ctx, snapshot, organization, &asset.List{}, ids("shop"))
		})
		say("shop: %d of %d", len(of[named(t, s, "shop")].Rows), counts[named(t, s, "shop")])
		parts := reading(t, s, at, func(snapshot *db.Snapshot) (map[id.ID]asset.Page, error) {
			return s.reader.PartsUnder(s.ctx, snapshot, organization, &asset.List{Filter: asset.Filter{Statuses: []asset.Status{asset.StatusActive}}}, ids("host"))
		})
		say("on the host: %v", s.names(t, parts[named(t, s, "host")].Rows))
		return lines
	}
	third := onDay(1).Add(time.Hour)
	require.Equal(t, []string{
		"all: [certificate name host tls web nginx page]", "active: [certificate name host tls web nginx page], linked: [tls web]",
		"last seen: web 1, tls 0, report 2", "sighting: from 1 until 1, current true", "sighting: from 0 until 0, current true",
		"version 2 1, current true", "version 1, current false",
		"name: [host]", "host: [name]", "tls: [certificate]", "certificate: [tls]",
		"shop behind web: ingress shop.example.com", "cart behind tls: mapping 10.0.0.1:443", "shop: 1 of 1", "on the host: [tls web]",
	}, said(&third))
	fourth := onDay(3)
	require.Equal(t, []string{
		"all: [certificate name report host tls web nginx page]", "active: [certificate name report host tls web nginx page], linked: [host tls web]",
		"last seen: web 3, tls 2, report 2", "sighting: from 3 until 3, current true", "sighting: from 1 until 1, current false", "sighting: from 0 until 2, current true",
		"version 3 2, current true", "version 2 1, current false",
		"name: [host]", "host: [name]", "tls: [certificate]", "certificate: [tls]",
		"cart behind web: mapping 10.0.0.1:80", "shop behind web: address 10.0.0.1, ingress shop.example.com", "cart behind tls: mapping 10.0.0.1:443",
		"shop: 2 of 2", "on the host: [tls web]",
	}, said(&fourth))
	now := []string{
		"all: [certificate name report host tls web nginx page]", "active: [name report host web nginx page], linked: [host web]",
		"last seen: web 4, tls 2, report 2", "sighting: from 3 until 3, current true", "sighting: from 1 until 1, current false", "sighting: from 0 until 4, current true",
		"version 3 2, current true", "version 2 1, current false",
		"name: [host]", "host: [name]", "tls: []", "certificate: []",
		"cart behind web: mapping 10.0.0.1:80", "shop behind web: address 10.0.0.1, ingress shop.example.com", "shop: 2 of 2", "on the host: [web]",
	}
	require.Equal(t, now, said(nil))
	last := onDay(4)
	require.Equal(t, now, said(&last))
}

func TestAssetsByName(t *testing.T) {
	t.Parallel()
	s := stock(t)
	for value, want := range map[string]string{strings.Repeat("ab", 32): "certificate", strings.Repeat("cd", 20): "certificate", strings.Repeat("cd", 32): ""} {
		found := reading(t, s, nil, func(snapshot *db.Snapshot) (*asset.Asset, error) {
			return s.reader.ByValue(s.ctx, snapshot, organization, record.CertificateAsset, value)
		})
		require.Equal(t, want != "", found != nil)
	}
	byID := func(names ...string) []*asset.Asset {
		var ids []id.ID
		for _, name := range names {
			ids = append(ids, named(t, s, name))
		}
		return reading(t, s, nil, func(snapshot *db.Snapshot) ([]*asset.Asset, error) {
			return s.reader.ByIDs(s.ctx, snapshot, organization, ids)
		})
	}
	require.Len(t, byID("web", "tls", "nobody"), 2)
	require.Empty(t, byID("nobody"))
	web := byID("web")[0]
	require.Equal(t, record.PortOpen, *web.State)
	require.Equal(t, 90, *web.Confidence)
	two := "2"
	require.Equal(t, []asset.Technology{{Name: "http", Service: true}, {Name: "nginx", Version: &two}}, web.Technology)

	files := reading(t, s, nil, func(snapshot *db.Snapshot) ([]*asset.Collected, error) {
		return s.reader.Files(s.ctx, snapshot, organization, []id.ID{named(t, s, "report"), named(t, s, "web")})
	})
	require.Len(t, files, 1)
	require.Equal(t, []any{"report.txt", int64(12), "ann", slug, "shop:1"}, []any{files[0].Name, files[0].Size, files[0].Actor, files[0].Organization, *files[0].Artifact})
	found := reading(t, s, nil, func(snapshot *db.Snapshot) (map[id.ID]*id.ID, error) {
		return s.reader.Discoveries(s.ctx, snapshot, organization, []id.ID{named(t, s, "nginx"), named(t, s, "host")})
	})
	require.Equal(t, named(t, s, "sync 1"), *found[named(t, s, "nginx")])
	require.Equal(t, named(t, s, "sync 0"), *found[named(t, s, "host")])
}

// TestAssetsAreOfTheirOrganization: nobody reads those of another one, and nobody
// reads without the scope.
func TestAssetsAreOfTheirOrganization(t *testing.T) {
	t.Parallel()
	s := stock(t)
	rival := id.Organization("rival")
	s.exec(t, `INSERT INTO organization VALUES ($1, 'rival', 'rival', day(0))`, rival)
	all := []id.ID{named(t, s, "host"), named(t, s, "web"), named(t, s, "report")}
	reads := func(ctx context.Context, organization id.ID) map[string]func(*db.Snapshot) (int, error) {
		return map[string]func(*db.Snapshot) (int, error){
			"list": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.Assets(ctx, x, organization, asset.Filter{}, asset.Order{Field: asset.ByValue}, page.Request{})
				return len(found.Rows), err
			},
			"count": func(x *db.Snapshot) (int, error) {
				return s.reader.CountAssets(ctx, x, organization, asset.Filter{})
			},
			"by ids": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.ByIDs(ctx, x, organization, all)
				return len(found), err
			},
			"by value": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.ByValue(ctx, x, organization, record.HostAsset, "10.0.0.1")
				if found == nil {
					return 0, err
				}
				return 1, err
			},
			"last seen": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.LastSeen(ctx, x, organization, all)
				return len(found), err
			},
			"sightings": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.Sightings(ctx, x, organization, all, 10)
				return len(found), err
			},
			"versions": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.Versions(ctx, x, organization, all, 10)
				return len(found), err
			},
			"discoveries": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.Discoveries(ctx, x, organization, all)
				return len(found), err
			},
			"files": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.Files(ctx, x, organization, all)
				return len(found), err
			},
			"ties": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.TiedTo(ctx, x, organization, record.Resolves, all)
				return len(found), err
			},
			"parts": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.PartsUnder(ctx, x, organization, &asset.List{}, all)
				return len(found[all[0]].Rows), err
			},
			"part counts": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.CountParts(ctx, x, organization, &asset.List{}, all)
				return found[all[0]], err
			},
			"workloads": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.WorkloadsBehind(ctx, x, organization, &asset.List{}, all)
				return len(found[all[0]].Rows), err
			},
			"workload counts": func(x *db.Snapshot) (int, error) {
				found, err := s.reader.CountWorkloadsBehind(ctx, x, organization, all)
				return found[all[0]], err
			},
			"of workloads": func(x *db.Snapshot) (int, error) {
				shop := named(t, s, "shop")
				found, err := s.reader.OfWorkloads(ctx, x, organization, &asset.List{}, []id.ID{shop})
				return len(found[shop].Rows), err
			},
			"counts of workloads": func(x *db.Snapshot) (int, error) {
				shop := named(t, s, "shop")
				found, err := s.reader.CountOfWorkloads(ctx, x, organization, &asset.List{}, []id.ID{shop})
				return found[shop], err
			},
		}
	}
	only := func(slug string, scopes ...access.Scope) context.Context {
		return access.With(context.Background(), access.Actor{Subject: "rival", Organizations: []string{slug}, Scopes: scopes})
	}
	run := func(read func(*db.Snapshot) (int, error)) (int, error) {
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		return read(snapshot)
	}
	for name, read := range reads(s.ctx, organization) {
		rows, err := run(read)
		require.NoError(t, err, name)
		require.NotZero(t, rows, "%s: there is something to be seen", name)
	}
	for name, read := range reads(only("rival", access.View), rival) {
		rows, err := run(read)
		require.NoError(t, err, name)
		require.Zero(t, rows, name)
	}
	for name, read := range reads(only("rival", access.View), organization) {
		_, err := run(read)
		require.Equal(t, problem.NotFound, problem.KindOf(err), name)
	}
	for name, read := range reads(only(slug), organization) {
		_, err := run(read)
		require.Error(t, err, name)
	}
}
