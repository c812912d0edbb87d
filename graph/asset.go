package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func (r organizationResolver) Assets(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string,
	input *generated.AssetFilter, orderBy *generated.AssetOrder, asOf *time.Time,
) (*model.AssetConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	organization, snapshot := o.Organization.ID, loader.From(ctx).Snapshot
	filter := assetFilter(organization, input)
	list, err := r.assets.Assets(ctx, snapshot, organization, filter, assetOrder(orderBy), pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	if err := prefetch(ctx, organization, func(p *prefetcher) error {
		return p.assets(list.Rows, p.nodes("Asset"))
	}); err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, model.NewAsset, list.Cursor, func(ctx context.Context) (int, error) {
		return r.assets.CountAssets(ctx, snapshot, organization, filter)
	}), nil
}

func assetFilter(organization id.ID, input *generated.AssetFilter) asset.Filter {
	if input == nil {
		return asset.Filter{}
	}
	return asset.Filter{
		Kinds: input.Type, Statuses: input.Status, Value: deref(input.Value), ValuePrefix: deref(input.ValuePrefix),
		Roots:     openIDs(model.TypeAsset, organization, input.Host),
		Workloads: openIDs(model.TypeWorkload, organization, input.Workload),
		Sources:   openIDs(model.TypeSource, organization, input.Source),
		Ports:     collect(input.Port, func(port int32) int { return int(port) }), Technology: deref(input.Technology), Linked: input.Linked,
		FirstSeenAfter: input.FirstSeenAfter, FirstSeenBefore: input.FirstSeenBefore,
	}
}

func assetOrder(input *generated.AssetOrder) asset.Order {
	if input == nil {
		return asset.Order{Field: asset.ByValue}
	}
	return asset.Order{Field: input.Field, Descending: input.Direction == generated.OrderDirectionDesc}
}

func (r organizationResolver) Asset(ctx context.Context, o *model.Organization, text *string, kind *record.AssetKind, value *string, asOf *time.Time) (*model.Asset, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	organization, scope := o.Organization.ID, loader.From(ctx)
	named, byValue := text != nil, kind != nil && value != nil
	if named == byValue || (kind == nil) != (value == nil) {
		return nil, problem.New(problem.Invalid, "ASSET_NOT_NAMED", "an asset is named by its id, or by its type and its value; give one of the two").On("id")
	}
	var found *asset.Asset
	var err error
	if named {
		opened, ok := model.ParseID(*text)
		if !ok || opened.Type != model.TypeAsset || opened.Organization != organization {
			return nil, nil
		}
		found, err = scope.Assets.Load(ctx, organization, opened.Parts[0])
	} else {
		found, err = r.assets.ByValue(ctx, scope.Snapshot, organization, *kind, *value)
	}
	if err != nil || found == nil {
		return nil, err
	}
	return model.NewAsset(found), prefetch(ctx, organization, func(p *prefetcher) error {
		return p.assets([]*asset.Asset{found}, p.own("Asset"))
	})
}

// assetOf is the asset that something names, if it names one.
func assetOf(ctx context.Context, organization id.ID, named *id.ID) (*model.Asset, error) {
	if named == nil {
		return nil, nil
	}
	a, err := loader.From(ctx).Assets.Load(ctx, organization, *named)
	if err != nil || a == nil {
		return nil, err
	}
	return model.NewAsset(a), nil
}

func (r assetResolver) LastSeenAt(ctx context.Context, a *model.Asset) (*time.Time, error) {
	seen, err := loader.From(ctx).AssetSeen.Load(ctx, a.OrganizationID, a.Asset.ID)
	if err != nil || seen == nil {
		return nil, err
	}
	return &seen.At, nil
}

func (r assetResolver) Parent(ctx context.Context, a *model.Asset) (*model.Asset, error) {
	return assetOf(ctx, a.OrganizationID, a.ParentID)
}

func (r assetResolver) Host(ctx context.Context, a *model.Asset) (*model.Asset, error) {
	return assetOf(ctx, a.OrganizationID, a.HostID())
}

func (r assetResolver) Parts(ctx context.Context, a *model.Asset, first *int32, after *string, last *int32, before *string,
	input *generated.AssetFilter,
) (*model.AssetConnection, error) {
	scope := loader.From(ctx)
	key := assetListKey(ctx, a.OrganizationID, a.Asset.ID, &asset.List{Filter: assetFilter(a.OrganizationID, input), Request: pageRequest(first, after, last, before)})
	found, err := scope.Parts.Load(ctx, a.OrganizationID, key)
	if err != nil {
		return nil, err
	}
	return model.Connect(found.Slice, model.NewAsset, found.Cursor, func(ctx context.Context) (int, error) {
		return scope.PartCounts.Load(ctx, a.OrganizationID, key)
	}), nil
}

// assetListKey is the list of a field under a parent; its List is one for each field
// of the request, so that the pages of all siblings are read at once.
func assetListKey(ctx context.Context, organization, parent id.ID, list *asset.List) loader.AssetListKey {
	field := graphql.GetFieldContext(ctx).Field.Field
	return loader.AssetListKey{Parent: parent, List: loader.Shared(loader.From(ctx), field, organization, "assets", list)}
}

// assetTies are the fields that follow ties, each with the ties that it follows.
var assetTies = map[string]loader.AssetTieKey{
	"certificates": {Kind: record.Presents},
	"services":     {Kind: record.Presents, To: true},
	"hosts":        {Kind: record.Resolves},
	"names":        {Kind: record.Resolves, To: true},
}

// tiedTo are the other ends of the ties that the field follows.
func tiedTo(ctx context.Context, a *model.Asset) ([]*model.Asset, error) {
	key := assetTies[graphql.GetFieldContext(ctx).Field.Name]
	key.Asset = a.Asset.ID
	ends, err := loader.From(ctx).AssetTies.Load(ctx, a.OrganizationID, key)
	return collect(ends, model.NewAsset), err
}

func (r assetResolver) Certificates(ctx context.Context, a *model.Asset) ([]*model.Asset, error) {
	return tiedTo(ctx, a)
}

func (r assetResolver) Services(ctx context.Context, a *model.Asset) ([]*model.Asset, error) {
	return tiedTo(ctx, a)
}

func (r assetResolver) Hosts(ctx context.Context, a *model.Asset) ([]*model.Asset, error) {
	return tiedTo(ctx, a)
}

func (r assetResolver) Names(ctx context.Context, a *model.Asset) ([]*model.Asset, error) {
	return tiedTo(ctx, a)
}

func (r assetResolver) DiscoveredBy(ctx context.Context, a *model.Asset) (*model.Sync, error) {
	scope := loader.From(ctx)
	sync, err := scope.Discoveries.Load(ctx, a.OrganizationID, a.Asset.ID)
	if err != nil || sync == nil {
		return nil, err
	}
	s, err := scope.Syncs.Load(ctx, a.OrganizationID, *sync)
	if err != nil || s == nil {
		return nil, err
	}
	return &model.Sync{SyncRow: *s}, nil
}

func (r assetResolver) Sightings(ctx context.Context, a *model.Asset, first *int32) ([]*model.AssetSighting, error) {
	most, err := listSize(first)
	if err != nil {
		return nil, err
	}
	list, err := loader.From(ctx).Sightings.Load(ctx, a.OrganizationID, loader.AssetMostKey{Asset: a.Asset.ID, Most: most})
	return collect(list, func(g *asset.Sighting) *model.AssetSighting {
		return &model.AssetSighting{OrganizationID: a.OrganizationID, Sighting: *g}
	}), err
}

func (r assetSightingResolver) Source(ctx context.Context, s *model.AssetSighting) (*model.Source, error) {
	return source(ctx, s.OrganizationID, s.SourceID)
}

func (r assetResolver) Versions(ctx context.Context, a *model.Asset, first *int32) ([]*model.AssetVersion, error) {
	most, err := listSize(first)
	if err != nil {
		return nil, err
	}
	list, err := loader.From(ctx).AssetStates.Load(ctx, a.OrganizationID, loader.AssetMostKey{Asset: a.Asset.ID, Most: most})
	return collect(list, func(v *asset.Version) *model.AssetVersion { return &model.AssetVersion{Version: *v} }), err
}

func (r assetResolver) File(ctx context.Context, a *model.Asset) (*model.CollectedFile, error) {
	if a.Kind != record.FileAsset {
		return nil, nil
	}
	f, err := loader.From(ctx).Files.Load(ctx, a.OrganizationID, a.Asset.ID)
	if err != nil || f == nil {
		return nil, err
	}
	return &model.CollectedFile{Collected: *f}, nil
}

func (r assetResolver) Changes(ctx context.Context, a *model.Asset, first *int32, after *string, last *int32, before *string,
	input *generated.ExposureChangeFilter,
) (*model.ExposureChangeConnection, error) {
	return changesOf(ctx, a.OrganizationID, historyOfAsset(&a.Asset), pageRequest(first, after, last, before), input)
}

// Where the outer surface meets the inner one.

func (r assetResolver) Workloads(ctx context.Context, a *model.Asset, first *int32, after *string, last *int32, before *string) (*model.AssetWorkloadConnection, error) {
	scope := loader.From(ctx)
	key := assetListKey(ctx, a.OrganizationID, a.Asset.ID, &asset.List{Request: pageRequest(first, after, last, before)})
	found, err := scope.WorkloadsBehind.Load(ctx, a.OrganizationID, key)
	if err != nil {
		return nil, err
	}
	return model.NewAssetWorkloads(a.OrganizationID, found, func(ctx context.Context) (int, error) {
		return scope.WorkloadBehindCounts.Load(ctx, a.OrganizationID, a.Asset.ID)
	}), nil
}

func (r assetWorkloadConnectionResolver) Nodes(ctx context.Context, c *model.AssetWorkloadConnection) ([]*model.Workload, error) {
	ids := collect(c.Edges, func(edge model.AssetWorkloadEdge) id.ID { return edge.WorkloadID })
	return entitiesOf(ctx, c.OrganizationID, ids, model.NewWorkload)
}

func (r assetWorkloadEdgeResolver) Node(ctx context.Context, edge *model.AssetWorkloadEdge) (*model.Workload, error) {
	return workload(ctx, edge.OrganizationID, edge.WorkloadID)
}

func (r workloadResolver) Assets(ctx context.Context, w *model.Workload, first *int32, after *string, last *int32, before *string,
	input *generated.AssetFilter,
) (*model.WorkloadAssetConnection, error) {
	scope := loader.From(ctx)
	key := assetListKey(ctx, w.OrganizationID, w.Entity.ID, &asset.List{Filter: assetFilter(w.OrganizationID, input), Request: pageRequest(first, after, last, before)})
	found, err := scope.WorkloadAssets.Load(ctx, w.OrganizationID, key)
	if err != nil {
		return nil, err
	}
	return model.NewWorkloadAssets(found, func(ctx context.Context) (int, error) {
		return scope.WorkloadAssetCounts.Load(ctx, w.OrganizationID, key)
	}), nil
}
