package asset

import (
	"context"
	_ "embed"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

//go:embed queries.sql
var readSQL string

var readQueries = db.Parse("asset.read", readSQL)

// Reader reads assets.
type Reader struct{}

// Page is a page of assets with the cursors of its rows.
type Page struct {
	page.Slice[*Asset]
	Cursor func(*Asset) string
}

// Assets lists assets.
func (*Reader) Assets(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter Filter, order Order, request page.Request) (Page, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return Page{}, err
	}
	if err := filter.check(); err != nil {
		return Page{}, err
	}
	bound := order.binding(snapshot.Instant(), "assets", organization, filter).Short()
	p, err := order.resolve(ctx, q, request, bound)
	if err != nil {
		return Page{}, err
	}
	list := page.Listing{Page: p, Keys: order.keys(), Descending: order.Descending}
	query, args, err := list.Query(readQueries.Get("assets_page"), filter.where())
	if err != nil {
		return Page{}, err
	}
	rows, err := db.Select[Asset](ctx, q, query, args)
	return Page{Slice: page.Cut(p, rows), Cursor: func(a *Asset) string { return order.cursor(bound, a) }}, err
}

// CountAssets counts what Assets lists.
func (*Reader) CountAssets(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter Filter) (int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return 0, err
	}
	where := filter.where()
	counts, err := db.Column[int64](ctx, q, readQueries.Get("count_assets").Where(where), where.Args())
	if err != nil {
		return 0, err
	}
	return int(counts[0]), nil
}

// ByIDs gives those of the assets that exist.
func (*Reader) ByIDs(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) ([]*Asset, error) {
	return byIDs[Asset](ctx, snapshot, organization, "assets_by_ids", ids, nil)
}

// ByValue gives the asset of a kind and value; nil if there is none.
func (*Reader) ByValue(ctx context.Context, snapshot *db.Snapshot, organization id.ID, kind record.AssetKind, value string) (*Asset, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	if err := readable("value", value); err != nil {
		return nil, err
	}
	rows, err := db.Select[Asset](ctx, q, readQueries.Get("asset_by_value"), pgx.StrictNamedArgs{"kind": kind, "value": value})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// MaxTied bounds the other ends of the ties of an asset that are given.
const MaxTied = 100

// TiedFrom gives what ties of a kind lead to from each of the assets, by value: the
// hosts of a domain, the certificates of a service. At most MaxTied each.
func (*Reader) TiedFrom(ctx context.Context, snapshot *db.Snapshot, organization id.ID, kind record.TieKind, ids []id.ID) (map[id.ID][]*Asset, error) {
	return tied(ctx, snapshot, organization, "tied_from", kind, ids)
}

// TiedTo gives what ties of a kind come from, likewise: the domains of a host, the
// services of a certificate.
func (*Reader) TiedTo(ctx context.Context, snapshot *db.Snapshot, organization id.ID, kind record.TieKind, ids []id.ID) (map[id.ID][]*Asset, error) {
	return tied(ctx, snapshot, organization, "tied_to", kind, ids)
}

func tied(ctx context.Context, snapshot *db.Snapshot, organization id.ID, query string, kind record.TieKind, ids []id.ID) (map[id.ID][]*Asset, error) {
	type row struct {
		OfID id.ID
		Asset
	}
	rows, err := byIDs[row](ctx, snapshot, organization, query, ids, pgx.StrictNamedArgs{"kind": kind, "limit": MaxTied})
	ends := make(map[id.ID][]*Asset, len(ids))
	for _, r := range rows {
		ends[r.OfID] = append(ends[r.OfID], &r.Asset)
	}
	return ends, err
}

// Seen is when an asset was last seen by anybody.
type Seen struct {
	ID id.ID
	At time.Time
}

// LastSeen gives when each of the assets was last seen: by the last delivery of a
// source that had it in its sightings.
func (*Reader) LastSeen(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) ([]*Seen, error) {
	return byIDs[Seen](ctx, snapshot, organization, "last_seen", ids, nil)
}

// Sightings gives the newest sightings of each of the assets, so many at most.
func (*Reader) Sightings(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID, most int) ([]*Sighting, error) {
	return byIDs[Sighting](ctx, snapshot, organization, "sightings_by_assets", ids, pgx.StrictNamedArgs{"limit": most})
}

// Versions gives the newest versions of each of the assets, so many at most.
func (*Reader) Versions(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID, most int) ([]*Version, error) {
	return byIDs[Version](ctx, snapshot, organization, "versions_by_assets", ids, pgx.StrictNamedArgs{"limit": most})
}

// Discoveries gives the delivery that first saw each of the assets; none for files.
func (*Reader) Discoveries(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) (map[id.ID]*id.ID, error) {
	type row struct{ ID, SyncID id.ID }
	rows, err := byIDs[row](ctx, snapshot, organization, "discoveries", ids, nil)
	syncs := make(map[id.ID]*id.ID, len(rows))
	for _, r := range rows {
		syncs[r.ID] = &r.SyncID
	}
	return syncs, err
}

// Files gives those of the assets that are files.
func (*Reader) Files(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) ([]*Collected, error) {
	return byIDs[Collected](ctx, snapshot, organization, "files_by_ids", ids, nil)
}

func byIDs[T any](ctx context.Context, snapshot *db.Snapshot, organization id.ID, query string, ids []id.ID, args pgx.StrictNamedArgs) ([]*T, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	all := pgx.StrictNamedArgs{"ids": ids}
	maps.Copy(all, args)
	return db.Select[T](ctx, q, readQueries.Get(query), all)
}
