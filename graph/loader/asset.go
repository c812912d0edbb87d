package loader

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Surface are the loaders of assets.
type Surface struct {
	Assets      Loader[id.ID, *asset.Asset]
	AssetSeen   Loader[id.ID, *asset.Seen]
	Discoveries Loader[id.ID, *id.ID] // of assets, the syncs that first saw them
	Files       Loader[id.ID, *asset.Collected]
	Sightings   Loader[AssetMostKey, []*asset.Sighting]
	AssetStates Loader[AssetMostKey, []*asset.Version]
	AssetTies   Loader[AssetTieKey, []*asset.Asset]

	Parts                Loader[AssetListKey, asset.Page]
	PartCounts           Loader[AssetListKey, int]
	WorkloadAssets       Loader[AssetListKey, asset.LinkedPage]
	WorkloadAssetCounts  Loader[AssetListKey, int]
	WorkloadsBehind      Loader[AssetListKey, asset.WorkloadPage]
	WorkloadBehindCounts Loader[id.ID, int]
}

// AssetMostKey is so many of the newest rows of an asset.
type AssetMostKey struct {
	Asset id.ID
	Most  int
}

// AssetTieKey is the other ends of the ties of one kind at an asset.
type AssetTieKey struct {
	Asset id.ID
	Kind  record.TieKind
	To    bool // the ties that lead to it; otherwise those that begin there
}

// AssetListKey is a page of what hangs under an asset or a workload.
type AssetListKey struct {
	Parent id.ID
	List   *asset.List
}

func (k AssetListKey) open() (*asset.List, id.ID) { return k.List, k.Parent }

func (s *Scope) surface(assets *asset.Reader, wait time.Duration) {
	snapshot := s.Snapshot

	s.Assets = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*asset.Asset, error) {
		return index(func(a *asset.Asset) id.ID { return a.ID })(assets.ByIDs(ctx, snapshot, organization, ids))
	})
	s.AssetSeen = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*asset.Seen, error) {
		return index(func(a *asset.Seen) id.ID { return a.ID })(assets.LastSeen(ctx, snapshot, organization, ids))
	})
	s.Discoveries = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*id.ID, error) {
		return assets.Discoveries(ctx, snapshot, organization, ids)
	})
	s.Files = newLoader(wait, func(ctx context.Context, organization id.ID, ids []id.ID) (map[id.ID]*asset.Collected, error) {
		return index(func(f *asset.Collected) id.ID { return f.ID })(assets.Files(ctx, snapshot, organization, ids))
	})
	s.Sightings = newLoader(wait, newest(func(g *asset.Sighting) id.ID { return g.AssetID },
		func(ctx context.Context, organization id.ID, ids []id.ID, most int) ([]*asset.Sighting, error) {
			return assets.Sightings(ctx, snapshot, organization, ids, most)
		}))
	s.AssetStates = newLoader(wait, newest(func(v *asset.Version) id.ID { return v.ID },
		func(ctx context.Context, organization id.ID, ids []id.ID, most int) ([]*asset.Version, error) {
			return assets.Versions(ctx, snapshot, organization, ids, most)
		}))
	s.AssetTies = newLoader(wait, func(ctx context.Context, organization id.ID, keys []AssetTieKey) (map[AssetTieKey][]*asset.Asset, error) {
		return s.tied(ctx, assets, organization, keys)
	})
	s.assetLists(assets, wait)
}

func (s *Scope) assetLists(assets *asset.Reader, wait time.Duration) {
	snapshot := s.Snapshot

	s.Parts = newLoader(wait, shared(AssetListKey.open, func(ctx context.Context, organization id.ID, list *asset.List, parents []id.ID) (map[id.ID]asset.Page, error) {
		return assets.PartsUnder(ctx, snapshot, organization, list, parents)
	}))
	s.PartCounts = newLoader(wait, shared(AssetListKey.open, func(ctx context.Context, organization id.ID, list *asset.List, parents []id.ID) (map[id.ID]int, error) {
		return assets.CountParts(ctx, snapshot, organization, list, parents)
	}))
	s.WorkloadAssets = newLoader(wait, shared(AssetListKey.open, func(ctx context.Context, organization id.ID, list *asset.List, workloads []id.ID) (map[id.ID]asset.LinkedPage, error) {
		return assets.OfWorkloads(ctx, snapshot, organization, list, workloads)
	}))
	s.WorkloadAssetCounts = newLoader(wait, shared(AssetListKey.open, func(ctx context.Context, organization id.ID, list *asset.List, workloads []id.ID) (map[id.ID]int, error) {
		return assets.CountOfWorkloads(ctx, snapshot, organization, list, workloads)
	}))
	s.WorkloadsBehind = newLoader(wait, shared(AssetListKey.open, func(ctx context.Context, organization id.ID, list *asset.List, of []id.ID) (map[id.ID]asset.WorkloadPage, error) {
		return assets.WorkloadsBehind(ctx, snapshot, organization, list, of)
	}))
	s.WorkloadBehindCounts = newLoader(wait, func(ctx context.Context, organization id.ID, of []id.ID) (map[id.ID]int, error) {
		return assets.CountWorkloadsBehind(ctx, snapshot, organization, of)
	})
}

// tied reads ties, one statement for each kind and direction.
func (s *Scope) tied(ctx context.Context, assets *asset.Reader, organization id.ID, keys []AssetTieKey) (map[AssetTieKey][]*asset.Asset, error) {
	wanted := map[AssetTieKey][]id.ID{} // under the key of no asset
	for _, k := range keys {
		which := AssetTieKey{Kind: k.Kind, To: k.To}
		wanted[which] = append(wanted[which], k.Asset)
	}
	all := make(map[AssetTieKey][]*asset.Asset, len(keys))
	for which, ids := range wanted {
		read := assets.TiedFrom
		if which.To {
			read = assets.TiedTo
		}
		ends, err := read(ctx, s.Snapshot, organization, which.Kind, ids)
		if err != nil {
			return nil, err
		}
		for of, list := range ends {
			all[AssetTieKey{Asset: of, Kind: which.Kind, To: which.To}] = list
		}
	}
	return all, nil
}

// newest reads the newest rows of many assets, one statement for each number of them.
func newest[V any](assetOf func(*V) id.ID, read func(context.Context, id.ID, []id.ID, int) ([]*V, error)) fetch[AssetMostKey, []*V] {
	return func(ctx context.Context, organization id.ID, keys []AssetMostKey) (map[AssetMostKey][]*V, error) {
		byMost := map[int][]id.ID{}
		for _, k := range keys {
			byMost[k.Most] = append(byMost[k.Most], k.Asset)
		}
		all := make(map[AssetMostKey][]*V, len(keys))
		for most, ids := range byMost {
			rows, err := read(ctx, organization, ids, most)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				k := AssetMostKey{assetOf(row), most}
				all[k] = append(all[k], row)
			}
		}
		return all, nil
	}
}
