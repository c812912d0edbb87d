package graph

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func showCluster(c *posture.Cluster) *model.RiskCluster { return &model.RiskCluster{Cluster: c} }

func (r organizationResolver) RiskClusters(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string,
	level *posture.Level, input *generated.RiskClusterFilter, asOf *time.Time,
) (*model.RiskClusterConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	organization, upTo := o.Organization.ID, clusterLevel(level)
	filter, err := clusterFilter(input)
	if err != nil {
		return nil, err
	}
	overview, err := loader.From(ctx).Overviews.Load(ctx, organization, upTo)
	if err != nil {
		return nil, err
	}
	list, err := posture.Select(loader.From(ctx).Snapshot.Instant(), organization, upTo, overview, filter, pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	if err := prefetch(ctx, organization, func(p *prefetcher) error {
		return p.clusters(list.Rows, p.nodes("RiskCluster"))
	}); err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, showCluster, list.Cursor, func(context.Context) (int, error) { return list.Total, nil }), nil
}

func (r organizationResolver) RiskCluster(ctx context.Context, o *model.Organization, key string, level *posture.Level, asOf *time.Time) (*model.RiskCluster, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	d, known := posture.Find(key)
	if !known {
		return nil, nil
	}
	organization := o.Organization.ID
	cluster, err := clusterOf(ctx, organization, d.Cluster, clusterLevel(level))
	if err != nil || cluster == nil {
		return nil, err
	}
	err = prefetch(ctx, organization, func(p *prefetcher) error {
		return p.clusters([]*posture.Cluster{cluster.Cluster}, p.own("RiskCluster"))
	})
	return cluster, err
}

// clusterOf is a cluster of the organization; nil if it has none of this number.
func clusterOf(ctx context.Context, organization id.ID, number int16, level posture.Level) (*model.RiskCluster, error) {
	overview, err := loader.From(ctx).Overviews.Load(ctx, organization, level)
	for _, c := range overview {
		if c.Cluster == number {
			return showCluster(c), err
		}
	}
	return nil, err
}

func clusterLevel(level *posture.Level) posture.Level {
	if level == nil {
		return posture.Acknowledged
	}
	return *level
}

func clusterFilter(input *generated.RiskClusterFilter) (posture.Filter, error) {
	if input == nil {
		return posture.Filter{}, nil
	}
	numbers, err := posture.Numbers(input.Key)
	return posture.Filter{Severities: input.Severity, Priorities: input.Priority, Numbers: numbers, NonEmpty: deref(input.NonEmpty)}, err
}

func (r authorityPathResolver) RiskClusters(ctx context.Context, p *model.AuthorityPath) ([]*model.RiskCluster, error) {
	clusters, err := clustersOf(ctx, p.OrganizationID, p.Path.ID)
	return collect(clusters, showCluster), err
}

func (r authorityPathResolver) PrimaryCluster(ctx context.Context, p *model.AuthorityPath) (*model.RiskCluster, error) {
	clusters, err := clustersOf(ctx, p.OrganizationID, p.Path.ID)
	primary := posture.Primary(clusters)
	if err != nil || primary == nil {
		return nil, err
	}
	return showCluster(primary), nil
}

// clustersOf are the clusters that a path is a member of.
func clustersOf(ctx context.Context, organization, path id.ID) ([]*posture.Cluster, error) {
	numbers, err := loader.From(ctx).Memberships.Load(ctx, organization, path)
	if err != nil || len(numbers) == 0 {
		return nil, err
	}
	overview, err := loader.From(ctx).Overviews.Load(ctx, organization, posture.Acknowledged)
	return slices.DeleteFunc(slices.Clone(overview), func(c *posture.Cluster) bool {
		return !slices.Contains(numbers, c.Cluster)
	}), err
}

func (r riskClusterResolver) AuthorityPaths(ctx context.Context, c *model.RiskCluster, first *int32, after *string, last *int32, before *string,
	input *generated.AuthorityPathFilter, orderBy *generated.AuthorityPathOrder,
) (*model.AuthorityPathConnection, error) {
	list, err := clusterList(c.Cluster, pageRequest(first, after, last, before), input, orderBy)
	if err != nil {
		return nil, err
	}
	scope := loader.From(ctx)
	key := loader.ClusterListKey{Cluster: c.Definition.Cluster,
		List: loader.Shared(scope, graphql.GetFieldContext(ctx).Field.Field, c.OrganizationID, underCluster(c.Cluster), list)}
	found, err := scope.ClusterLists.Load(ctx, c.OrganizationID, key)
	if err != nil {
		return nil, err
	}
	return model.Connect(found.Slice, showPath, found.Cursor, func(ctx context.Context) (int, error) {
		if list.Filter.Empty() {
			return c.PathCount(), nil
		}
		return scope.ClusterCounts.Load(ctx, c.OrganizationID, key)
	}), nil
}

// underCluster tells lists of clusters apart that are read at different levels.
func underCluster(c *posture.Cluster) string { return fmt.Sprintf("cluster up to %d", c.Level) }

func clusterList(c *posture.Cluster, request page.Request, input *generated.AuthorityPathFilter, orderBy *generated.AuthorityPathOrder) (*authority.ClusterList, error) {
	every := true // members stand anyhow: a default would only narrow what needs no filter
	filter, err := pathFilter(c.OrganizationID, input, &every)
	order := authority.PathOrder{Field: authority.ByRank, Descending: true}
	if orderBy != nil {
		order = pathOrder(orderBy)
	}
	return &authority.ClusterList{Level: int16(c.Level), Filter: filter, Order: order, Request: request}, err
}

func (r riskClusterResolver) Workloads(ctx context.Context, c *model.RiskCluster, first *int32, after *string) (*model.WorkloadConnection, error) {
	return clusterPart(ctx, c, posture.Workloads, pageRequest(first, after, nil, nil), c.WorkloadCount(), model.NewWorkload)
}

func (r riskClusterResolver) Identities(ctx context.Context, c *model.RiskCluster, first *int32, after *string) (*model.IdentityConnection, error) {
	return clusterPart(ctx, c, posture.Identities, pageRequest(first, after, nil, nil), c.IdentityCount(), model.NewIdentity)
}

func clusterPart[T any](ctx context.Context, c *model.RiskCluster, part posture.Part, request page.Request, total int, show func(*authority.Entity) T) (*model.Connection[T], error) {
	scope := loader.From(ctx)
	list := loader.Shared(scope, graphql.GetFieldContext(ctx).Field.Field, c.OrganizationID, underCluster(c.Cluster),
		&posture.PartList{Part: part, Level: c.Level, Request: request})
	found, err := scope.ClusterParts.Load(ctx, c.OrganizationID, loader.ClusterPartKey{Cluster: c.Definition.Cluster, List: list})
	if err != nil {
		return nil, err
	}
	entities, err := scope.Entities.LoadAll(ctx, c.OrganizationID, found.Rows)
	if err != nil {
		return nil, err
	}
	rows := page.Slice[*authority.Entity]{HasNext: found.HasNext, HasPrevious: found.HasPrevious}
	for _, e := range entities {
		if e != nil {
			rows.Rows = append(rows.Rows, e)
		}
	}
	return model.Connect(rows, show, func(e *authority.Entity) string { return found.Cursor(e.ID) },
		func(context.Context) (int, error) { return total, nil }), nil
}

func (r organizationResolver) Posture(ctx context.Context, o *model.Organization, since *time.Time, asOf *time.Time) (*model.Posture, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	key := loader.Since{}
	if since != nil {
		key = loader.Since{Asked: true, Micro: since.UnixMicro()}
	}
	found, err := loader.From(ctx).Postures.Load(ctx, o.Organization.ID, key)
	if err != nil || found == nil {
		return nil, err
	}
	return &model.Posture{Posture: found}, nil
}

func (r postureDeltaResolver) Snapshot(ctx context.Context, d *model.PostureDelta) (*model.PostureSnapshot, error) {
	return r.snapshotThen(ctx, d.OrganizationID, d.Since)
}

// snapshotThen is what a posture is compared with.
func (r *Resolver) snapshotThen(ctx context.Context, organization id.ID, of *posture.Snapshot) (*model.PostureSnapshot, error) {
	counted, err := r.posture.CountSnapshot(ctx, loader.From(ctx).Snapshot, organization, of)
	if err != nil {
		return nil, err
	}
	return showSnapshot(counted), nil
}

func showSnapshot(s *posture.Snapshot) *model.PostureSnapshot {
	return &model.PostureSnapshot{Snapshot: s}
}

func (r organizationResolver) PostureSnapshots(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string,
	input *generated.PostureSnapshotFilter, orderBy *generated.PostureSnapshotOrder, asOf *time.Time,
) (*model.PostureSnapshotConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	organization, scope, filter := o.Organization.ID, loader.From(ctx), posture.SnapshotFilter{}
	if input != nil {
		filter = posture.SnapshotFilter{From: input.From, To: input.To}
	}
	descending := orderBy == nil || orderBy.Direction == generated.OrderDirectionDesc
	list, err := r.posture.Snapshots(ctx, scope.Snapshot, organization, filter, descending, pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	if err := prefetch(ctx, organization, func(p *prefetcher) error { return p.snapshots(list.Rows, p.nodes("PostureSnapshot")) }); err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, showSnapshot, list.Cursor, func(ctx context.Context) (int, error) {
		return r.posture.CountSnapshots(ctx, scope.Snapshot, organization, filter)
	}), nil
}

func (r postureSnapshotResolver) Sync(ctx context.Context, s *model.PostureSnapshot) (*model.Sync, error) {
	if s.SyncID == nil {
		return nil, nil
	}
	found, err := loader.From(ctx).Syncs.Load(ctx, s.OrganizationID, *s.SyncID)
	if err != nil || found == nil {
		return nil, err
	}
	return &model.Sync{SyncRow: *found}, nil
}
