package authority

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// Paths lists authority paths.
func (s *Service) Paths(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter PathFilter, order PathOrder, request page.Request) (PathPage, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return PathPage{}, err
	}
	if err := filter.check(); err != nil {
		return PathPage{}, err
	}
	binding := filter.digest("paths", organization, snapshot.Instant()).Text(string(order.Field)).Text(order.direction()).Short()
	p, err := request.Resolve(binding, 2)
	if err != nil {
		return PathPage{}, err
	}
	list := page.Listing{Page: p, Keys: order.keys(), Descending: order.Descending}
	compose := page.Listing.Query
	if len(filter.Statuses) != 1 && order.Field == BySensitivity && !filter.indexed() {
		compose = everyStatus
	}
	query, args, err := compose(list, readQueries.Get("paths_page"), filter.where())
	if err != nil {
		return PathPage{}, err
	}
	rows, err := db.Select[Path](ctx, q, query, args)
	return PathPage{Slice: page.Cut(p, rows), Cursor: func(path *Path) string { return page.Cursor(binding, order.values(path)...) }}, err
}

// CountPaths counts what Paths lists.
func (s *Service) CountPaths(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter PathFilter) (int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return 0, err
	}
	return count(ctx, q, readQueries.Get("count_paths"), filter.where())
}

// PathsByIDs gives those of the paths that exist.
func (s *Service) PathsByIDs(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) ([]*Path, error) {
	return byIDs[Path](ctx, snapshot, organization, "paths_by_ids", ids)
}

// PathsByLineages gives every path of the lineages, removed ones too, the
// oldest first.
func (s *Service) PathsByLineages(ctx context.Context, snapshot *db.Snapshot, organization id.ID, keys []LineageKey) ([]*Path, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	workloads, resources := make([]id.ID, len(keys)), make([]id.ID, len(keys))
	for i, key := range keys {
		workloads[i], resources[i] = key.WorkloadID, key.ResourceID
	}
	return db.Select[Path](ctx, q, readQueries.Get("paths_by_lineages"), pgx.StrictNamedArgs{"workloads": workloads, "resources": resources})
}

// VersionWindow is a page of the versions of each of several paths: the newest
// Limit of those older than Before.
type VersionWindow struct{ Before, Limit int }

// AllVersions is where a VersionWindow begins without a cursor.
const AllVersions = math.MaxInt32

// VersionsByPaths gives the versions of the paths, per path the newest first.
func (s *Service) VersionsByPaths(ctx context.Context, snapshot *db.Snapshot, organization id.ID, window VersionWindow, ids []id.ID) ([]*PathVersion, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	return db.Select[PathVersion](ctx, q, readQueries.Get("versions_by_paths"),
		pgx.StrictNamedArgs{"ids": ids, "before": window.Before, "limit": window.Limit})
}

// Seen says when a workload was last confirmed by a complete sync.
type Seen struct {
	ID id.ID
	At *time.Time
}

// LastSeen says when the sources that assert the workloads last completed a
// sync; see Path.SeenLast.
func (s *Service) LastSeen(ctx context.Context, snapshot *db.Snapshot, organization id.ID, workloads []id.ID) ([]*Seen, error) {
	return byIDs[Seen](ctx, snapshot, organization, "last_seen", workloads)
}

// EntitiesByIDs gives those of the entities that exist.
func (s *Service) EntitiesByIDs(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) ([]*Entity, error) {
	return byIDs[Entity](ctx, snapshot, organization, "entities_by_ids", ids)
}

// Entities lists the entities of a kind, by name.
func (s *Service) Entities(ctx context.Context, snapshot *db.Snapshot, organization id.ID, kind record.EntityKind, filter EntityFilter, request page.Request) (EntityPage, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return EntityPage{}, err
	}
	if err := filter.check(); err != nil {
		return EntityPage{}, err
	}
	binding := filter.digest(string(kind), organization, snapshot.Instant()).Short()
	p, err := request.Resolve(binding, 2)
	if err != nil {
		return EntityPage{}, err
	}
	list := page.Listing{Page: p, Keys: []page.Key{{Column: "e.name", Parse: page.TextKey}, {Column: "e.id", Parse: page.IDKey}}}
	where := filter.where()
	where.Arg("kind", string(kind))
	query, args, err := list.Query(readQueries.Get("entities_page"), where)
	if err != nil {
		return EntityPage{}, err
	}
	rows, err := db.Select[Entity](ctx, q, query, args)
	return EntityPage{Slice: page.Cut(p, rows), Cursor: func(e *Entity) string { return page.Cursor(binding, e.Name, e.ID.String()) }}, err
}

// CountEntities counts what Entities lists.
func (s *Service) CountEntities(ctx context.Context, snapshot *db.Snapshot, organization id.ID, kind record.EntityKind, filter EntityFilter) (int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return 0, err
	}
	where := filter.where()
	where.Arg("kind", string(kind))
	return count(ctx, q, readQueries.Get("count_entities"), where)
}

// EdgesFrom gives the ties of the kinds that begin at the entities.
func (s *Service) EdgesFrom(ctx context.Context, snapshot *db.Snapshot, organization id.ID, kinds []record.EdgeKind, ids []id.ID) ([]*Edge, error) {
	return edges(ctx, snapshot, organization, "edges_from", kinds, ids)
}

// EdgesTo gives the ties of the kinds that end at the entities.
func (s *Service) EdgesTo(ctx context.Context, snapshot *db.Snapshot, organization id.ID, kinds []record.EdgeKind, ids []id.ID) ([]*Edge, error) {
	return edges(ctx, snapshot, organization, "edges_to", kinds, ids)
}

func edges(ctx context.Context, snapshot *db.Snapshot, organization id.ID, query string, kinds []record.EdgeKind, ids []id.ID) ([]*Edge, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	return db.Select[Edge](ctx, q, readQueries.Get(query), pgx.StrictNamedArgs{"kinds": kinds, "ids": ids})
}

// AssertionsByEntities gives what each source says of the entities, the
// strongest voice first.
func (s *Service) AssertionsByEntities(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) ([]*Assertion, error) {
	type row struct {
		EntityID   id.ID
		SourceID   id.ID
		SourceName string
		System     string
		Basis      record.Basis
		Attributes map[string]string
	}
	rows, err := byIDs[row](ctx, snapshot, organization, "assertions_by_entities", ids)
	if err != nil {
		return nil, err
	}
	list := make([]*Assertion, 0, len(rows))
	for _, r := range rows {
		a := &Assertion{EntityID: r.EntityID, SourceID: r.SourceID, SourceName: r.SourceName, System: r.System, Basis: r.Basis}
		for name, value := range r.Attributes {
			a.Attributes = append(a.Attributes, AttributeValue{Name: name, Value: value})
		}
		slices.SortFunc(a.Attributes, func(x, y AttributeValue) int { return strings.Compare(x.Name, y.Name) })
		list = append(list, a)
	}
	return list, nil
}

// Standing is the value of an attribute that counts, and the voice that says so.
type Standing struct {
	AttributeValue
	Voice *Assertion
}

// Standings picks, of each attribute, the value of the strongest voice that
// states it. Voices come strongest first, as AssertionsByEntities gives them.
func Standings(voices []*Assertion) []Standing {
	stated, list := map[string]bool{}, []Standing{}
	for _, voice := range voices {
		for _, attribute := range voice.Attributes {
			if !stated[attribute.Name] {
				stated[attribute.Name] = true
				list = append(list, Standing{attribute, voice})
			}
		}
	}
	return list
}

// RotationsByWorkloads gives the identity rotations of the workloads, the
// newest first.
func (s *Service) RotationsByWorkloads(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) ([]*Rotation, error) {
	return byIDs[Rotation](ctx, snapshot, organization, "rotations_by_workloads", ids)
}

// Neighbours are the paths that a path took over from and handed over to, when
// its workload last rotated its identity.
type Neighbours struct{ Predecessor, Successor *id.ID }

// NeighboursOfPaths gives the neighbours of those paths that have any.
func (s *Service) NeighboursOfPaths(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) (map[id.ID]Neighbours, error) {
	type succession struct {
		PredecessorID, SuccessorID id.ID
		At                         time.Time
	}
	rows, err := byIDs[succession](ctx, snapshot, organization, "successions_by_paths", ids) // in order of time
	neighbours := make(map[id.ID]Neighbours, len(rows))
	for _, row := range rows {
		before, after := neighbours[row.PredecessorID], neighbours[row.SuccessorID]
		before.Successor, after.Predecessor = &row.SuccessorID, &row.PredecessorID
		neighbours[row.PredecessorID], neighbours[row.SuccessorID] = before, after
	}
	return neighbours, err
}

// Sources lists the feeds of an organization, by name and system.
func (s *Service) Sources(ctx context.Context, snapshot *db.Snapshot, organization id.ID) ([]*Source, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	return db.Select[Source](ctx, q, readQueries.Get("sources"), nil)
}

// SourcesByIDs gives those of the feeds that exist.
func (s *Service) SourcesByIDs(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) ([]*Source, error) {
	return byIDs[Source](ctx, snapshot, organization, "sources_by_ids", ids)
}

// Syncs lists deliveries, the newest first.
func (s *Service) Syncs(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter SyncFilter, request page.Request) (SyncPage, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return SyncPage{}, err
	}
	binding := filter.digest("syncs", organization, snapshot.Instant()).Short()
	p, err := request.Resolve(binding, 1)
	if err != nil {
		return SyncPage{}, err
	}
	list := page.Listing{Page: p, Keys: []page.Key{{Column: "s.version", Parse: page.NumberKey}}, Descending: true}
	query, args, err := list.Query(readQueries.Get("syncs_page"), filter.where())
	if err != nil {
		return SyncPage{}, err
	}
	rows, err := db.Select[SyncRow](ctx, q, query, args)
	return SyncPage{Slice: page.Cut(p, rows), Cursor: func(row *SyncRow) string { return page.Cursor(binding, strconv.FormatInt(row.Version, 10)) }}, err
}

// CountSyncs counts what Syncs lists.
func (s *Service) CountSyncs(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter SyncFilter) (int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return 0, err
	}
	return count(ctx, q, readQueries.Get("count_syncs"), filter.where())
}

// SyncsByIDs gives those of the deliveries that exist.
func (s *Service) SyncsByIDs(ctx context.Context, snapshot *db.Snapshot, organization id.ID, ids []id.ID) ([]*SyncRow, error) {
	return byIDs[SyncRow](ctx, snapshot, organization, "syncs_by_ids", ids)
}

func byIDs[T any](ctx context.Context, snapshot *db.Snapshot, organization id.ID, query string, ids []id.ID) ([]*T, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	return db.Select[T](ctx, q, readQueries.Get(query), pgx.StrictNamedArgs{"ids": ids})
}

func count(ctx context.Context, q db.Querier, query db.Query, where db.Where) (int, error) {
	counts, err := db.Column[int64](ctx, q, query.Where(where), where.Args())
	if err != nil {
		return 0, err
	}
	return int(counts[0]), nil
}

type (
	// PathPage is a page of paths with the cursors of its rows.
	PathPage struct {
		page.Slice[*Path]
		Cursor func(*Path) string
	}
	// EntityPage is a page of entities with the cursors of its rows.
	EntityPage struct {
		page.Slice[*Entity]
		Cursor func(*Entity) string
	}
	// SyncPage is a page of deliveries with the cursors of its rows.
	SyncPage struct {
		page.Slice[*SyncRow]
		Cursor func(*SyncRow) string
	}
)
