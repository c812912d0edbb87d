package exposure

import (
	"context"
	_ "embed"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

//go:embed queries.sql
var readSQL string

var readQueries = db.Parse("exposure.read", readSQL)

// Reader reads exposures.
type Reader struct{}

// Page is a page of exposures with the cursors of its rows.
type Page struct {
	page.Slice[*Exposure]
	Cursor func(*Exposure) string
}

// Exposures lists exposures.
func (*Reader) Exposures(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter Filter, order Order, request page.Request) (Page, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return Page{}, err
	}
	if err := filter.check(); err != nil {
		return Page{}, err
	}
	if err := order.check(filter); err != nil {
		return Page{}, err
	}
	bound := binding(snapshot.Instant(), "exposures", organization, filter, order).Short()
	p, err := request.Resolve(bound, len(order.keys()))
	if err != nil {
		return Page{}, err
	}
	list := page.Listing{Page: p, Keys: order.keys(), Descending: order.Descending}
	query, args, err := list.Query(filter.parts(readQueries.Get("exposures_page")), filter.where())
	if err != nil {
		return Page{}, err
	}
	rows, err := db.Select[Exposure](ctx, q, query, args)
	return Page{Slice: page.Cut(p, rows), Cursor: func(x *Exposure) string { return page.Cursor(bound, order.values(x)...) }}, err
}

// CountExposures counts what Exposures lists.
func (*Reader) CountExposures(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter Filter) (int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return 0, err
	}
	where := filter.where()
	counts, err := db.Column[int64](ctx, q, readQueries.Get("count_exposures").Where(where), where.Args())
	if err != nil {
		return 0, err
	}
	return int(counts[0]), nil
}

// ExposuresByKeys gives those of the exposures that exist.
func (*Reader) ExposuresByKeys(ctx context.Context, snapshot *db.Snapshot, organization id.ID, keys []Key) ([]*Exposure, error) {
	return byKeys[Exposure](ctx, snapshot, organization, "exposures_by_keys", keys, nil)
}

// List is a list of exposures that many paths of one request share, such as
// `authorityPaths { nodes { exposures(first: 10) } }`: all are read at once.
type List struct {
	Filter  Filter
	Order   Order
	Request page.Request
}

func (l *List) binding(at *time.Time, organization, path id.ID) page.Binding {
	return binding(at, "exposures under", organization, l.Filter, l.Order).ID(path).Short()
}

// ExposuresUnder gives each path its page.
func (*Reader) ExposuresUnder(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *List, paths []id.ID) (map[id.ID]Page, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	if err := list.Filter.check(); err != nil {
		return nil, err
	}
	if err := list.Order.check(list.Filter); err != nil {
		return nil, err
	}
	pages := make(map[id.ID]Page, len(paths))
	err = page.Under(list.Request, paths, func(batch []id.ID) error {
		return under(ctx, q, snapshot.Instant(), organization, list, batch, pages)
	})
	return pages, err
}

func under(ctx context.Context, q db.Querier, at *time.Time, organization id.ID, list *List, paths []id.ID, pages map[id.ID]Page) error {
	p, err := list.Request.Resolve(list.binding(at, organization, paths[0]), len(list.Order.keys()))
	if err != nil {
		return err
	}
	rows := page.Listing{Page: p, Keys: list.Order.keys(), Descending: list.Order.Descending}
	query, args, err := rows.Query(readQueries.Get("exposures_under"), list.Filter.where())
	if err != nil {
		return err
	}
	args["paths"] = paths
	exposures, err := db.Select[Exposure](ctx, q, query, args)
	if err != nil {
		return err
	}
	byPath := map[id.ID][]*Exposure{}
	for _, x := range exposures {
		byPath[x.PathID] = append(byPath[x.PathID], x)
	}
	for _, path := range paths {
		bound := list.binding(at, organization, path)
		pages[path] = Page{
			Slice:  page.Cut(p, byPath[path]),
			Cursor: func(x *Exposure) string { return page.Cursor(bound, list.Order.values(x)...) },
		}
	}
	return nil
}

// CountExposuresUnder counts each path's list.
func (*Reader) CountExposuresUnder(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *List, paths []id.ID) (map[id.ID]int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	type row struct {
		Parent id.ID
		Count  int64
	}
	where := list.Filter.where()
	where.Arg("paths", paths)
	rows, err := db.Select[row](ctx, q, readQueries.Get("count_exposures_under").Where(where), where.Args())
	counts := make(map[id.ID]int, len(rows))
	for _, r := range rows {
		counts[r.Parent] = int(r.Count)
	}
	return counts, err
}

// VersionWindow is a page of the versions of each of several exposures: the
// newest Limit of those older than Before.
type VersionWindow struct{ Before, Limit int }

// AllVersions is where a VersionWindow begins without a cursor.
const AllVersions = math.MaxInt32

// VersionsByExposures gives the versions of the exposures, of each the newest
// first.
func (*Reader) VersionsByExposures(ctx context.Context, snapshot *db.Snapshot, organization id.ID, window VersionWindow, keys []Key) ([]*Version, error) {
	return byKeys[Version](ctx, snapshot, organization, "versions_by_exposures", keys,
		pgx.StrictNamedArgs{"before": window.Before, "limit": window.Limit})
}

// StandingsByExposures gives what the exposures stand on.
func (*Reader) StandingsByExposures(ctx context.Context, snapshot *db.Snapshot, organization id.ID, keys []Key) ([]*Standing, error) {
	var ofIdentity []rule.Type
	for _, d := range rule.Definitions {
		if d.Grain == rule.OfIdentity {
			ofIdentity = append(ofIdentity, d.Type)
		}
	}
	return byKeys[Standing](ctx, snapshot, organization, "standings_by_exposures", keys, pgx.StrictNamedArgs{"of_identity": ofIdentity})
}

// NeighboursOfExposures gives the neighbours of those exposures that have any.
func (*Reader) NeighboursOfExposures(ctx context.Context, snapshot *db.Snapshot, organization id.ID, keys []Key) (map[Key]Neighbours, error) {
	type row struct {
		OfPath    id.ID
		OfType    rule.Type
		OfOrdinal int
		Before    bool
		Exposure
	}
	rows, err := byKeys[row](ctx, snapshot, organization, "neighbours_of_exposures", keys, nil)
	neighbours := make(map[Key]Neighbours, len(rows))
	for _, r := range rows {
		of := Key{PathID: r.OfPath, Type: r.OfType, Ordinal: r.OfOrdinal}
		n := neighbours[of]
		if r.Before {
			n.Predecessor = &r.Exposure
		} else {
			n.Successor = &r.Exposure
		}
		neighbours[of] = n
	}
	return neighbours, err
}

// Clock says how far the organization's time has come; nil before its first sync.
func (*Reader) Clock(ctx context.Context, snapshot *db.Snapshot, organization id.ID) (*Clock, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	type row struct{ At, EvaluatedAt *time.Time }
	last, err := db.First[row](ctx, q, readQueries.Get("clock"), nil)
	if err != nil || last.At == nil {
		return nil, err
	}
	return &Clock{At: *last.At, EvaluatedAt: last.EvaluatedAt}, nil
}

// byKeys runs a statement over exposures that are named by their keys.
func byKeys[T any](ctx context.Context, snapshot *db.Snapshot, organization id.ID, query string, keys []Key, args pgx.StrictNamedArgs) ([]*T, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	paths, types, ordinals := make([]id.ID, len(keys)), make([]rule.Type, len(keys)), make([]int, len(keys))
	for i, key := range keys {
		paths[i], types[i], ordinals[i] = key.PathID, key.Type, key.Ordinal
	}
	all := pgx.StrictNamedArgs{"paths": paths, "types": types, "ordinals": ordinals}
	for name, value := range args {
		all[name] = value
	}
	return db.Select[T](ctx, q, readQueries.Get(query), all)
}
