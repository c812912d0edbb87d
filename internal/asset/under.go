package asset

import (
	"context"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// List is a list that many parents of one request share, such as
// `assets { nodes { parts(first: 10) } }`: all are read at once, by value.
type List struct {
	Filter  Filter
	Request page.Request
}

// byValue is the order of every list that hangs under something.
var byValue = Order{Field: ByValue}

// LinkedPage is a page of the assets of a workload.
type LinkedPage struct {
	page.Slice[*LinkedAsset]
	Cursor func(*LinkedAsset) string
}

// WorkloadPage is a page of the workloads behind an asset.
type WorkloadPage struct {
	page.Slice[*LinkedWorkload]
	Cursor func(*LinkedWorkload) string
}

// PartsUnder gives each asset a page of its parts: what has it for a parent.
func (*Reader) PartsUnder(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *List, parents []id.ID) (map[id.ID]Page, error) {
	pages := make(map[id.ID]Page, len(parents))
	err := under(ctx, snapshot, organization, underOf[Asset]{
		name: "parts", query: "parts_under", list: list, parent: func(a *Asset) id.ID { return *a.ParentID },
		keep: func(parent id.ID, slice page.Slice[*Asset], bound page.Binding) {
			pages[parent] = Page{Slice: slice, Cursor: func(a *Asset) string { return byValue.cursor(bound, a) }}
		},
	}, parents)
	return pages, err
}

// OfWorkloads gives each workload a page of the assets that it stands behind.
func (*Reader) OfWorkloads(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *List, workloads []id.ID) (map[id.ID]LinkedPage, error) {
	pages := make(map[id.ID]LinkedPage, len(workloads))
	err := under(ctx, snapshot, organization, underOf[LinkedAsset]{
		name: "assets of a workload", query: "assets_of_workloads", list: list, parent: func(a *LinkedAsset) id.ID { return a.WorkloadID },
		keep: func(workload id.ID, slice page.Slice[*LinkedAsset], bound page.Binding) {
			pages[workload] = LinkedPage{Slice: slice, Cursor: func(a *LinkedAsset) string { return byValue.cursor(bound, &a.Asset) }}
		},
	}, workloads)
	return pages, err
}

// underOf is a list by value under parents.
type underOf[T any] struct {
	name, query string
	list        *List
	parent      func(*T) id.ID
	keep        func(parent id.ID, slice page.Slice[*T], bound page.Binding)
}

func under[T any](ctx context.Context, snapshot *db.Snapshot, organization id.ID, u underOf[T], parents []id.ID) error {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return err
	}
	if err := u.list.Filter.check(); err != nil {
		return err
	}
	bound := func(parent id.ID) page.Binding {
		return byValue.binding(snapshot.Instant(), u.name, organization, u.list.Filter).ID(parent).Short()
	}
	return page.Under(u.list.Request, parents, func(batch []id.ID) error {
		p, err := byValue.resolve(ctx, q, u.list.Request, bound(batch[0]))
		if err != nil {
			return err
		}
		rows, err := pageUnder[T](ctx, q, page.Listing{Page: p, Keys: byValue.keys()}, u.query, u.list.Filter.where(), batch)
		if err != nil {
			return err
		}
		byParent := map[id.ID][]*T{}
		for _, row := range rows {
			byParent[u.parent(row)] = append(byParent[u.parent(row)], row)
		}
		for _, parent := range batch {
			u.keep(parent, page.Cut(p, byParent[parent]), bound(parent))
		}
		return nil
	})
}

func pageUnder[T any](ctx context.Context, q db.Querier, listing page.Listing, name string, where db.Where, parents []id.ID) ([]*T, error) {
	query, args, err := listing.Query(readQueries.Get(name), where)
	if err != nil {
		return nil, err
	}
	args["parents"] = parents
	return db.Select[T](ctx, q, query, args)
}

// workloadKeys is the order of the workloads behind an asset.
var workloadKeys = []page.Key{{Column: "w.name", Parse: page.TextKey}, {Column: "w.id", Parse: page.IDKey}}

// WorkloadsBehind gives each asset a page of the workloads that stand behind it, by name.
func (*Reader) WorkloadsBehind(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *List, assets []id.ID) (map[id.ID]WorkloadPage, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	bound := func(asset id.ID) page.Binding {
		return page.BindingAt(snapshot.Instant(), "workloads of an asset", organization, nil).ID(asset).Short()
	}
	pages := make(map[id.ID]WorkloadPage, len(assets))
	err = page.Under(list.Request, assets, func(batch []id.ID) error {
		p, err := list.Request.Resolve(bound(batch[0]), len(workloadKeys))
		if err != nil {
			return err
		}
		rows, err := pageUnder[LinkedWorkload](ctx, q, page.Listing{Page: p, Keys: workloadKeys}, "workloads_of_assets", db.Where{}, batch)
		if err != nil {
			return err
		}
		byAsset := map[id.ID][]*LinkedWorkload{}
		for _, row := range rows {
			byAsset[row.AssetID] = append(byAsset[row.AssetID], row)
		}
		for _, asset := range batch {
			to := bound(asset)
			pages[asset] = WorkloadPage{Slice: page.Cut(p, byAsset[asset]), Cursor: func(w *LinkedWorkload) string { return page.Cursor(to, w.Name, w.WorkloadID.String()) }}
		}
		return nil
	})
	return pages, err
}

// CountParts counts each asset's parts.
func (*Reader) CountParts(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *List, parents []id.ID) (map[id.ID]int, error) {
	return countUnder(ctx, snapshot, organization, "count_parts_under", list.Filter.where(), parents)
}

// CountOfWorkloads counts each workload's assets.
func (*Reader) CountOfWorkloads(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *List, workloads []id.ID) (map[id.ID]int, error) {
	return countUnder(ctx, snapshot, organization, "count_assets_of_workloads", list.Filter.where(), workloads)
}

// CountWorkloadsBehind counts the workloads behind each asset.
func (*Reader) CountWorkloadsBehind(ctx context.Context, snapshot *db.Snapshot, organization id.ID, assets []id.ID) (map[id.ID]int, error) {
	return countUnder(ctx, snapshot, organization, "count_workloads_of_assets", db.Where{}, assets)
}

func countUnder(ctx context.Context, snapshot *db.Snapshot, organization id.ID, query string, where db.Where, parents []id.ID) (map[id.ID]int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	type row struct {
		Parent id.ID
		Count  int64
	}
	where.Arg("parents", parents)
	rows, err := db.Select[row](ctx, q, readQueries.Get(query).Where(where), where.Args())
	counts := make(map[id.ID]int, len(rows))
	for _, r := range rows {
		counts[r.Parent] = int(r.Count)
	}
	return counts, err
}
