package authority

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
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

func (l *PathList) binding(at *time.Time, organization, parent id.ID) page.Binding {
	return l.Filter.digest("paths under "+string(l.Parent), organization, at).ID(parent).
		Text(string(l.Order.Field)).Text(l.Order.direction()).Short()
}

// PathsUnder gives each parent its page.
func (s *Service) PathsUnder(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *PathList, parents []id.ID) (map[id.ID]PathPage, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	if err := list.Filter.check(); err != nil {
		return nil, err
	}
	pages := make(map[id.ID]PathPage, len(parents))
	err = page.Under(list.Request, parents, func(batch []id.ID) error {
		return pathsUnder(ctx, q, snapshot.Instant(), organization, list, batch, pages)
	})
	return pages, err
}

func pathsUnder(ctx context.Context, q db.Querier, at *time.Time, organization id.ID, list *PathList, parents []id.ID, pages map[id.ID]PathPage) error {
	p, err := list.Request.Resolve(list.binding(at, organization, parents[0]), 2)
	if err != nil {
		return err
	}
	rows := page.Listing{Page: p, Keys: list.Order.keys(), Descending: list.Order.Descending}
	query, args, err := rows.Query(list.of(readQueries.Get("paths_under")), list.Filter.where())
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
		binding := list.binding(at, organization, parent)
		pages[parent] = PathPage{
			Slice:  page.Cut(p, byParent[parent]),
			Cursor: func(path *Path) string { return page.Cursor(binding, list.Order.values(path)...) },
		}
	}
	return nil
}

// of puts the parent's column into a statement that is written for workloads.
func (l *PathList) of(query db.Query) db.Query {
	for _, text := range []*string{&query.SQL, &query.Past} {
		*text = strings.ReplaceAll(*text, "/* parent */workload_id", string(l.Parent)+"_id")
	}
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
	q, err := access.Reader(ctx, snapshot, organization, access.View)
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

// ClusterList is a nested list of the paths of a risk cluster that many clusters
// of one request share.
type ClusterList struct {
	Level   int16 // up to which members count
	Filter  PathFilter
	Order   PathOrder
	Request page.Request
}

// member is a path as it stands in a cluster.
type member struct {
	Cluster int16
	Rank    int16
	Path
}

func (l *ClusterList) keys() []page.Key {
	if l.Order.Field == ByRank {
		return []page.Key{{Column: "m.rank", Parse: page.SmallKey}, {Column: "m.path_id", Parse: page.IDKey}}
	}
	return l.Order.keys()
}

func (l *ClusterList) values(m *member) []string {
	if l.Order.Field == ByRank {
		return []string{strconv.Itoa(int(m.Rank)), m.ID.String()}
	}
	return l.Order.values(&m.Path)
}

func (l *ClusterList) binding(at *time.Time, organization id.ID, cluster int16) page.Binding {
	return l.Filter.digest("paths in cluster", organization, at).Text(strconv.Itoa(int(cluster))).Text(strconv.Itoa(int(l.Level))).
		Text(string(l.Order.Field)).Text(l.Order.direction()).Short()
}

// PathsInClusters gives each cluster its page.
func (s *Service) PathsInClusters(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *ClusterList, clusters []int16) (map[int16]PathPage, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	if err := list.Filter.check(); err != nil {
		return nil, err
	}
	pages := make(map[int16]PathPage, len(clusters))
	err = page.Under(list.Request, clusters, func(batch []int16) error {
		return pathsInClusters(ctx, q, snapshot.Instant(), organization, list, batch, pages)
	})
	return pages, err
}

func pathsInClusters(ctx context.Context, q db.Querier, at *time.Time, organization id.ID, list *ClusterList, clusters []int16, pages map[int16]PathPage) error {
	p, err := list.Request.Resolve(list.binding(at, organization, clusters[0]), 2)
	if err != nil {
		return err
	}
	statement := "paths_in_clusters"
	if list.Order.Field != ByRank || !list.Filter.Empty() {
		statement = "paths_in_clusters_sorted"
	}
	rows := page.Listing{Page: p, Keys: list.keys(), Descending: list.Order.Descending}
	query, args, err := rows.Query(readQueries.Get(statement), list.Filter.where())
	if err != nil {
		return err
	}
	args["clusters"], args["level"] = clusters, list.Level
	members, err := db.Select[member](ctx, q, query, args)
	if err != nil {
		return err
	}
	byCluster := map[int16][]*Path{}
	cursors := map[int16]map[*Path][]string{}
	for _, m := range members {
		byCluster[m.Cluster] = append(byCluster[m.Cluster], &m.Path)
		if cursors[m.Cluster] == nil {
			cursors[m.Cluster] = map[*Path][]string{}
		}
		cursors[m.Cluster][&m.Path] = list.values(m)
	}
	for _, cluster := range clusters {
		binding := list.binding(at, organization, cluster)
		pages[cluster] = PathPage{
			Slice:  page.Cut(p, byCluster[cluster]),
			Cursor: func(path *Path) string { return page.Cursor(binding, cursors[cluster][path]...) },
		}
	}
	return nil
}

// CountPathsInClusters counts each cluster's list.
func (s *Service) CountPathsInClusters(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *ClusterList, clusters []int16) (map[int16]int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	type row struct {
		Cluster int16
		Count   int64
	}
	where := list.Filter.where()
	where.Arg("clusters", clusters)
	where.Arg("level", list.Level)
	rows, err := db.Select[row](ctx, q, readQueries.Get("count_paths_in_clusters").Where(where), where.Args())
	counts := make(map[int16]int, len(rows))
	for _, r := range rows {
		counts[r.Cluster] = int(r.Count)
	}
	return counts, err
}
