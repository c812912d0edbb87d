package authority

import (
	"context"
	"strings"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// Parent is what a nested list of paths hangs under.
type Parent string

// The parents of nested lists.
const (
	UnderWorkload Parent = "workload"
	UnderIdentity Parent = "identity"
	UnderResource Parent = "resource"
)

// PathList is a nested list of paths that many parents of one request share,
// such as `workloads { authorityPaths(first: 5) }`: all are read at once.
type PathList struct {
	Parent  Parent
	Filter  PathFilter
	Order   PathOrder
	Request page.Request
}

func (l *PathList) binding(organization, parent id.ID) page.Binding {
	return l.Filter.digest("paths under "+string(l.Parent), organization).ID(parent).
		Text(string(l.Order.Field)).Text(l.Order.direction()).Short()
}

// PathsUnder gives each parent its page.
func (s *Service) PathsUnder(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *PathList, parents []id.ID) (map[id.ID]PathPage, error) {
	q, err := view(ctx, snapshot, organization)
	if err != nil {
		return nil, err
	}
	if err := list.Filter.check(); err != nil {
		return nil, err
	}
	pages := make(map[id.ID]PathPage, len(parents))
	shared := list.Request.After == nil && list.Request.Before == nil
	for len(parents) > 0 {
		batch := parents
		if !shared { // a cursor belongs to one parent
			batch = parents[:1]
		}
		parents = parents[len(batch):]
		if err := s.pathsUnder(ctx, q, organization, list, batch, pages); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

func (s *Service) pathsUnder(ctx context.Context, q db.Querier, organization id.ID, list *PathList, parents []id.ID, pages map[id.ID]PathPage) error {
	p, err := list.Request.Resolve(list.binding(organization, parents[0]), 2)
	if err != nil {
		return err
	}
	rows := listing{page: p, keys: list.Order.keys(), descending: list.Order.Descending}
	query, args, err := rows.query(list.of(readQueries.Get("paths_under")), list.Filter.where())
	if err != nil {
		return err
	}
	args["parents"] = parents
	paths, err := db.Select[Path](ctx, q, query, args)
	if err != nil {
		return err
	}
	byParent := map[id.ID][]*Path{}
	for _, path := range paths {
		byParent[list.parentOf(path)] = append(byParent[list.parentOf(path)], path)
	}
	for _, parent := range parents {
		binding := list.binding(organization, parent)
		pages[parent] = PathPage{
			Slice:  page.Cut(p, byParent[parent]),
			Cursor: func(path *Path) string { return page.Cursor(binding, list.Order.values(path)...) },
		}
	}
	return nil
}

// of puts the parent's column into a statement that is written for workloads.
func (l *PathList) of(query db.Query) db.Query {
	query.SQL = strings.ReplaceAll(query.SQL, "/* parent */workload_id", string(l.Parent)+"_id")
	return query
}

func (l *PathList) parentOf(path *Path) id.ID {
	switch l.Parent {
	case UnderIdentity:
		return *path.IdentityID
	case UnderResource:
		return path.ResourceID
	}
	return path.WorkloadID
}

// CountPathsUnder counts each parent's list.
func (s *Service) CountPathsUnder(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *PathList, parents []id.ID) (map[id.ID]int, error) {
	q, err := view(ctx, snapshot, organization)
	if err != nil {
		return nil, err
	}
	type row struct {
		Parent id.ID
		Count  int64
	}
	where := list.Filter.where()
	where.Arg("parents", parents)
	rows, err := db.Select[row](ctx, q, list.of(readQueries.Get("count_paths_under")).Where(where), where.Args())
	counts := make(map[id.ID]int, len(rows))
	for _, r := range rows {
		counts[r.Parent] = int(r.Count)
	}
	return counts, err
}
