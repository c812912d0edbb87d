package loader

import (
	"context"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Wait is how long a loader collects keys. The library's own 16 ms would be
// the floor of every level of a nested request.
const Wait = 200 * time.Microsecond

// Scope is what one response reads with.
type Scope struct {
	Snapshot *db.Snapshot

	Entities   Loader[id.ID, *authority.Entity]
	Paths      Loader[id.ID, *authority.Path]
	LastSeen   Loader[id.ID, *time.Time]
	Lineages   Loader[authority.LineageKey, []*authority.Path]
	Versions   Loader[VersionKey, []*authority.PathVersion]
	EdgesFrom  Loader[EdgeKey, []*authority.Edge]
	EdgesTo    Loader[EdgeKey, []*authority.Edge]
	Assertions Loader[id.ID, []*authority.Assertion]
	Rotations  Loader[id.ID, []*authority.Rotation]
	Neighbours Loader[id.ID, authority.Neighbours]
	Sources    Loader[id.ID, *authority.Source]
	Syncs      Loader[id.ID, *authority.SyncRow]
	PathLists  Loader[PathListKey, authority.PathPage]
	PathCounts Loader[PathListKey, int]

	mu    sync.Mutex
	lists map[listKey]*authority.PathList
}

type listKey struct {
	field        *ast.Field
	organization id.ID
	parent       authority.Parent
}

// PathList is the list that all siblings of the field being resolved share;
// build is called for the first of them.
func (s *Scope) PathList(ctx context.Context, organization id.ID, parent authority.Parent, build func() *authority.PathList) *authority.PathList {
	k := listKey{graphql.GetFieldContext(ctx).Field.Field, organization, parent}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lists == nil {
		s.lists = map[listKey]*authority.PathList{}
	}
	if s.lists[k] == nil {
		s.lists[k] = build()
	}
	return s.lists[k]
}

// VersionKey is a page of the versions of a path.
type VersionKey struct {
	Path   id.ID
	Window authority.VersionWindow
}

// EdgeKey is the ties of one kind at an entity.
type EdgeKey struct {
	Kind   record.EdgeKind
	Entity id.ID
}

// PathListKey is a page of the paths of one parent. List is shared by all
// parents of one field of a request.
type PathListKey struct {
	Parent id.ID
	List   *authority.PathList
}

// NewScope makes the scope of a response. Whoever makes it closes its snapshot.
func NewScope(database *db.DB, paths *authority.Service, wait time.Duration) *Scope {
	s := &Scope{Snapshot: database.Snapshot()}
	snapshot := s.Snapshot

	s.Entities = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*authority.Entity, error) {
		return index(func(e *authority.Entity) id.ID { return e.ID })(paths.EntitiesByIDs(ctx, snapshot, organization, ids))
	})
	s.Paths = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*authority.Path, error) {
		return index(func(p *authority.Path) id.ID { return p.ID })(paths.PathsByIDs(ctx, snapshot, organization, ids))
	})
	s.LastSeen = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*time.Time, error) {
		rows, err := paths.LastSeen(ctx, snapshot, organization, ids)
		seen := make(map[id.ID]*time.Time, len(rows))
		for _, row := range rows {
			seen[row.ID] = row.At
		}
		return seen, err
	})
	s.Lineages = newLoader(wait, func(ctx context.Context, organization id.ID, keys []authority.LineageKey) (map[authority.LineageKey][]*authority.Path, error) {
		return group(func(p *authority.Path) authority.LineageKey {
			return authority.LineageKey{WorkloadID: p.WorkloadID, ResourceID: p.ResourceID}
		})(paths.PathsByLineages(ctx, snapshot, organization, keys))
	})
	s.Versions = newLoader(wait, func(ctx context.Context, organization id.ID, keys []VersionKey) (map[VersionKey][]*authority.PathVersion, error) {
		byWindow := map[authority.VersionWindow][]id.ID{}
		for _, k := range keys {
			byWindow[k.Window] = append(byWindow[k.Window], k.Path)
		}
		all := map[VersionKey][]*authority.PathVersion{}
		for window, ids := range byWindow {
			rows, err := paths.VersionsByPaths(ctx, snapshot, organization, window, ids)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				k := VersionKey{row.ID, window}
				all[k] = append(all[k], row)
			}
		}
		return all, nil
	})
	s.EdgesFrom = newLoader(wait, edges(func(ctx context.Context, organization id.ID, kinds []record.EdgeKind, ids []id.ID) ([]*authority.Edge, error) {
		return paths.EdgesFrom(ctx, snapshot, organization, kinds, ids)
	}, func(e *authority.Edge) EdgeKey { return EdgeKey{e.Kind, e.FromID} }))
	s.EdgesTo = newLoader(wait, edges(func(ctx context.Context, organization id.ID, kinds []record.EdgeKind, ids []id.ID) ([]*authority.Edge, error) {
		return paths.EdgesTo(ctx, snapshot, organization, kinds, ids)
	}, func(e *authority.Edge) EdgeKey { return EdgeKey{e.Kind, e.ToID} }))
	s.Assertions = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID][]*authority.Assertion, error) {
		return group(func(a *authority.Assertion) id.ID { return a.EntityID })(paths.AssertionsByEntities(ctx, snapshot, organization, ids))
	})
	s.Rotations = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID][]*authority.Rotation, error) {
		return group(func(r *authority.Rotation) id.ID { return r.WorkloadID })(paths.RotationsByWorkloads(ctx, snapshot, organization, ids))
	})
	s.Neighbours = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]authority.Neighbours, error) {
		return paths.NeighboursOfPaths(ctx, snapshot, organization, ids)
	})
	s.Sources = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*authority.Source, error) {
		return index(func(x *authority.Source) id.ID { return x.ID })(paths.SourcesByIDs(ctx, snapshot, organization, ids))
	})
	s.Syncs = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*authority.SyncRow, error) {
		return index(func(x *authority.SyncRow) id.ID { return x.ID })(paths.SyncsByIDs(ctx, snapshot, organization, ids))
	})
	s.PathLists = newLoader(wait, byList(func(ctx context.Context, organization id.ID, list *authority.PathList, parents []id.ID) (map[id.ID]authority.PathPage, error) {
		return paths.PathsUnder(ctx, snapshot, organization, list, parents)
	}))
	s.PathCounts = newLoader(wait, byList(func(ctx context.Context, organization id.ID, list *authority.PathList, parents []id.ID) (map[id.ID]int, error) {
		return paths.CountPathsUnder(ctx, snapshot, organization, list, parents)
	}))
	return s
}

func index[K comparable, V any](keyOf func(V) K) func([]V, error) (map[K]V, error) {
	return func(rows []V, err error) (map[K]V, error) {
		m := make(map[K]V, len(rows))
		for _, row := range rows {
			m[keyOf(row)] = row
		}
		return m, err
	}
}

func group[K comparable, V any](keyOf func(V) K) func([]V, error) (map[K][]V, error) {
	return func(rows []V, err error) (map[K][]V, error) {
		m := make(map[K][]V, len(rows))
		for _, row := range rows {
			m[keyOf(row)] = append(m[keyOf(row)], row)
		}
		return m, err
	}
}

func edges(read func(context.Context, id.ID, []record.EdgeKind, []id.ID) ([]*authority.Edge, error), keyOf func(*authority.Edge) EdgeKey) fetch[EdgeKey, []*authority.Edge] {
	return func(ctx context.Context, organization id.ID, keys []EdgeKey) (map[EdgeKey][]*authority.Edge, error) {
		kinds, ids := map[record.EdgeKind]bool{}, make([]id.ID, 0, len(keys))
		for _, k := range keys {
			kinds[k.Kind] = true
			ids = append(ids, k.Entity)
		}
		list := make([]record.EdgeKind, 0, len(kinds))
		for kind := range kinds {
			list = append(list, kind)
		}
		return group(keyOf)(read(ctx, organization, list, ids))
	}
}

func byList[V any](read func(context.Context, id.ID, *authority.PathList, []id.ID) (map[id.ID]V, error)) fetch[PathListKey, V] {
	return func(ctx context.Context, organization id.ID, keys []PathListKey) (map[PathListKey]V, error) {
		parents := map[*authority.PathList][]id.ID{}
		for _, k := range keys {
			parents[k.List] = append(parents[k.List], k.Parent)
		}
		all := make(map[PathListKey]V, len(keys))
		for list, ids := range parents {
			rows, err := read(ctx, organization, list, ids)
			if err != nil {
				return nil, err
			}
			for parent, row := range rows {
				all[PathListKey{parent, list}] = row
			}
		}
		return all, nil
	}
}

type contextKey struct{}

// With puts the scope of a response into its context.
func With(ctx context.Context, scope *Scope) context.Context {
	return context.WithValue(ctx, contextKey{}, scope)
}

// From is the scope of the response that is being made.
func From(ctx context.Context) *Scope {
	scope, ok := ctx.Value(contextKey{}).(*Scope)
	if !ok {
		panic("no loader scope: the handler makes one for each response")
	}
	return scope
}
