package loader

import (
	"context"
	"sync"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// Wait is how long a loader collects keys. The library's own 16 ms would be
// the floor of every level of a nested request.
const Wait = 200 * time.Microsecond

// Scope is what one response reads with, of what is or as of one instant.
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

	Exposures          Loader[exposure.Key, *exposure.Exposure]
	ExposureVersions   Loader[ExposureVersionKey, []*exposure.Version]
	Standings          Loader[exposure.Key, *exposure.Standing]
	ExposureNeighbours Loader[exposure.Key, exposure.Neighbours]
	ExposureLists      Loader[ExposureListKey, exposure.Page]
	ExposureCounts     Loader[ExposureListKey, int]
	Clocks             Loader[struct{}, *exposure.Clock]
	Baselines          Loader[id.ID, []exposure.Baseline]
	Justifications     Loader[id.ID, []exposure.Justified]

	Overviews     Loader[posture.Level, []*posture.Cluster]
	Memberships   Loader[id.ID, []int16]
	ClusterLists  Loader[ClusterListKey, authority.PathPage]
	ClusterCounts Loader[ClusterListKey, int]
	ClusterParts  Loader[ClusterPartKey, posture.PartPage]

	Postures       Loader[Since, *posture.Posture]
	WorkloadRows   Loader[id.ID, *posture.WorkloadExposure]
	Dossiers       Loader[id.ID, *posture.Dossier]
	WorkloadLists  Loader[WorkloadListKey, exposure.Page]
	WorkloadCounts Loader[id.ID, int]

	Explaining
	Judgements
	Changing
	Surface

	mu    sync.Mutex
	lists map[listKey]any
}

type listKey struct {
	field        *ast.Field
	organization id.ID
	under        string
}

// Shared is the list that all siblings of a field share: list becomes it for
// the first of them. What it hangs under tells apart siblings of one field that
// cannot share, such as the same fragment on two types.
func Shared[L any](s *Scope, field *ast.Field, organization id.ID, under string, list *L) *L {
	k := listKey{field, organization, under}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lists == nil {
		s.lists = map[listKey]any{}
	}
	if shared, ok := s.lists[k].(*L); ok {
		return shared
	}
	s.lists[k] = list
	return list
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

// ExposureVersionKey is a page of the versions of an exposure.
type ExposureVersionKey struct {
	Exposure exposure.Key
	Window   exposure.VersionWindow
}

// ExposureListKey is a page of the exposures of one path.
type ExposureListKey struct {
	Path id.ID
	List *exposure.List
}

// ClusterListKey is a page of the paths of one cluster.
type ClusterListKey struct {
	Cluster int16
	List    *authority.ClusterList
}

// ClusterPartKey is a page of the workloads or identities of one cluster.
type ClusterPartKey struct {
	Cluster int16
	List    *posture.PartList
}

// Since is when a posture's delta begins: an instant in microseconds, if one was
// asked.
type Since struct {
	Asked bool
	Micro int64
}

// WorkloadListKey is a page of the exposures of one workload.
type WorkloadListKey struct {
	Workload id.ID
	List     *posture.ExposureList
}

// Stores are what a scope reads from.
type Stores struct {
	Paths     *authority.Service
	Exposures *exposure.Reader
	Clusters  *posture.Reader
	Ledger    *book.Book
	Decisions *triage.Reader
	Changes   *change.Reader
	Assets    *asset.Reader
}

func newScope(snapshot *db.Snapshot, stores Stores, wait time.Duration) *Scope {
	s := &Scope{Snapshot: snapshot}
	s.authority(stores.Paths, wait)
	s.exposure(stores.Exposures, wait)
	s.posture(stores.Clusters, stores.Paths, wait)
	s.workloads(stores.Clusters, wait)
	s.explaining(stores.Exposures, wait)
	s.judgements(stores.Ledger, stores.Decisions, wait)
	s.changing(stores, wait)
	s.surface(stores.Assets, wait)
	return s
}

func (s *Scope) authority(paths *authority.Service, wait time.Duration) {
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
	s.PathLists = newLoader(wait, shared(func(k PathListKey) (*authority.PathList, id.ID) { return k.List, k.Parent },
		func(ctx context.Context, organization id.ID, list *authority.PathList, parents []id.ID) (map[id.ID]authority.PathPage, error) {
			return paths.PathsUnder(ctx, snapshot, organization, list, parents)
		}))
	s.PathCounts = newLoader(wait, shared(func(k PathListKey) (*authority.PathList, id.ID) { return k.List, k.Parent },
		func(ctx context.Context, organization id.ID, list *authority.PathList, parents []id.ID) (map[id.ID]int, error) {
			return paths.CountPathsUnder(ctx, snapshot, organization, list, parents)
		}))
}

func (s *Scope) exposure(exposures *exposure.Reader, wait time.Duration) {
	snapshot := s.Snapshot

	s.Exposures = newLoader(wait, func(ctx context.Context, organization id.ID, keys []exposure.Key) (map[exposure.Key]*exposure.Exposure, error) {
		return index(func(x *exposure.Exposure) exposure.Key { return x.Key })(exposures.ExposuresByKeys(ctx, snapshot, organization, keys))
	})
	s.ExposureVersions = newLoader(wait, func(ctx context.Context, organization id.ID, keys []ExposureVersionKey) (map[ExposureVersionKey][]*exposure.Version, error) {
		byWindow := map[exposure.VersionWindow][]exposure.Key{}
		for _, k := range keys {
			byWindow[k.Window] = append(byWindow[k.Window], k.Exposure)
		}
		all := map[ExposureVersionKey][]*exposure.Version{}
		for window, keys := range byWindow {
			rows, err := exposures.VersionsByExposures(ctx, snapshot, organization, window, keys)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				k := ExposureVersionKey{row.Key, window}
				all[k] = append(all[k], row)
			}
		}
		return all, nil
	})
	s.Standings = newLoader(wait, func(ctx context.Context, organization id.ID, keys []exposure.Key) (map[exposure.Key]*exposure.Standing, error) {
		return index(func(x *exposure.Standing) exposure.Key { return x.Key })(exposures.StandingsByExposures(ctx, snapshot, organization, keys))
	})
	s.ExposureNeighbours = newLoader(wait, func(ctx context.Context, organization id.ID, keys []exposure.Key) (map[exposure.Key]exposure.Neighbours, error) {
		return exposures.NeighboursOfExposures(ctx, snapshot, organization, keys)
	})
	s.ExposureLists = newLoader(wait, shared(func(k ExposureListKey) (*exposure.List, id.ID) { return k.List, k.Path },
		func(ctx context.Context, organization id.ID, list *exposure.List, paths []id.ID) (map[id.ID]exposure.Page, error) {
			return exposures.ExposuresUnder(ctx, snapshot, organization, list, paths)
		}))
	s.ExposureCounts = newLoader(wait, shared(func(k ExposureListKey) (*exposure.List, id.ID) { return k.List, k.Path },
		func(ctx context.Context, organization id.ID, list *exposure.List, paths []id.ID) (map[id.ID]int, error) {
			return exposures.CountExposuresUnder(ctx, snapshot, organization, list, paths)
		}))
	s.Baselines = newLoader(wait, func(ctx context.Context, organization id.ID, identities []id.ID) (map[id.ID][]exposure.Baseline, error) {
		return exposures.Baselines(ctx, snapshot, organization, identities)
	})
	s.Justifications = newLoader(wait, func(ctx context.Context, organization id.ID, paths []id.ID) (map[id.ID][]exposure.Justified, error) {
		return exposures.Justifications(ctx, snapshot, organization, paths)
	})
	s.Clocks = newLoader(wait, func(ctx context.Context, organization id.ID, _ []struct{}) (map[struct{}]*exposure.Clock, error) {
		clock, err := exposures.Clock(ctx, snapshot, organization)
		return map[struct{}]*exposure.Clock{{}: clock}, err
	})
}

func (s *Scope) posture(clusters *posture.Reader, paths *authority.Service, wait time.Duration) {
	snapshot := s.Snapshot

	s.Overviews = newLoader(wait, func(ctx context.Context, organization id.ID, levels []posture.Level) (map[posture.Level][]*posture.Cluster, error) {
		all := make(map[posture.Level][]*posture.Cluster, len(levels))
		for _, level := range levels {
			overview, err := clusters.Overview(ctx, snapshot, organization, level)
			if err != nil {
				return nil, err
			}
			all[level] = overview
		}
		return all, nil
	})
	s.Memberships = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID][]int16, error) {
		return clusters.Memberships(ctx, snapshot, organization, ids)
	})
	s.ClusterLists = newLoader(wait, shared(func(k ClusterListKey) (*authority.ClusterList, int16) { return k.List, k.Cluster },
		func(ctx context.Context, organization id.ID, list *authority.ClusterList, clusters []int16) (map[int16]authority.PathPage, error) {
			return paths.PathsInClusters(ctx, snapshot, organization, list, clusters)
		}))
	s.ClusterCounts = newLoader(wait, shared(func(k ClusterListKey) (*authority.ClusterList, int16) { return k.List, k.Cluster },
		func(ctx context.Context, organization id.ID, list *authority.ClusterList, clusters []int16) (map[int16]int, error) {
			return paths.CountPathsInClusters(ctx, snapshot, organization, list, clusters)
		}))
	s.ClusterParts = newLoader(wait, shared(func(k ClusterPartKey) (*posture.PartList, int16) { return k.List, k.Cluster },
		func(ctx context.Context, organization id.ID, list *posture.PartList, numbers []int16) (map[int16]posture.PartPage, error) {
			return clusters.PartsOf(ctx, snapshot, organization, list, numbers)
		}))
}

func (s *Scope) workloads(rows *posture.Reader, wait time.Duration) {
	snapshot := s.Snapshot

	s.Postures = newLoader(wait, func(ctx context.Context, organization id.ID, keys []Since) (map[Since]*posture.Posture, error) {
		all := make(map[Since]*posture.Posture, len(keys))
		for _, k := range keys {
			var since *time.Time
			if k.Asked {
				at := time.UnixMicro(k.Micro).UTC()
				since = &at
			}
			found, err := rows.Posture(ctx, snapshot, organization, since)
			if err != nil {
				return nil, err
			}
			all[k] = found
		}
		return all, nil
	})
	s.WorkloadRows = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*posture.WorkloadExposure, error) {
		return index(func(w *posture.WorkloadExposure) id.ID { return w.WorkloadID })(rows.WorkloadExposuresByWorkloads(ctx, snapshot, organization, ids))
	})
	s.Dossiers = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*posture.Dossier, error) {
		return index(func(d *posture.Dossier) id.ID { return d.WorkloadID })(rows.Dossiers(ctx, snapshot, organization, ids))
	})
	s.WorkloadLists = newLoader(wait, shared(func(k WorkloadListKey) (*posture.ExposureList, id.ID) { return k.List, k.Workload },
		func(ctx context.Context, organization id.ID, list *posture.ExposureList, workloads []id.ID) (map[id.ID]exposure.Page, error) {
			return rows.ExposuresOf(ctx, snapshot, organization, list, workloads)
		}))
	s.WorkloadCounts = newLoader(wait, func(ctx context.Context, organization id.ID, workloads []id.ID) (map[id.ID]int, error) {
		return rows.CountExposuresOf(ctx, snapshot, organization, workloads)
	})
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

// shared reads the pages of many parents of each list in one statement; open
// takes a key apart.
func shared[K, P comparable, L, V any](open func(K) (*L, P), read func(context.Context, id.ID, *L, []P) (map[P]V, error)) fetch[K, V] {
	return func(ctx context.Context, organization id.ID, keys []K) (map[K]V, error) {
		parents := map[*L][]P{}
		for _, k := range keys {
			list, parent := open(k)
			parents[list] = append(parents[list], parent)
		}
		type place struct {
			list   *L
			parent P
		}
		pages, refused := make(map[*L]map[P]V, len(parents)), map[place]error{}
		for list, wanted := range parents {
			rows, err := read(ctx, organization, list, wanted)
			switch {
			case err == nil:
			case problem.KindOf(err) == problem.Invalid: // a cursor is of the list of one parent
				rows = make(map[P]V, len(wanted))
				for _, parent := range wanted {
					one, err := read(ctx, organization, list, []P{parent})
					rows[parent], refused[place{list, parent}] = one[parent], err
				}
			default: // what is wrong with one list is not wrong with others
				for _, parent := range wanted {
					refused[place{list, parent}] = err
				}
			}
			pages[list] = rows
		}
		all, failed := make(map[K]V, len(keys)), failures[K]{}
		for _, k := range keys {
			list, parent := open(k)
			all[k] = pages[list][parent]
			if err := refused[place{list, parent}]; err != nil {
				failed[k] = err
			}
		}
		if len(failed) > 0 {
			return all, failed
		}
		return all, nil
	}
}
