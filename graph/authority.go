package graph

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
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

func showPath(p *authority.Path) *model.AuthorityPath { return &model.AuthorityPath{Path: *p} }

func (r organizationResolver) AuthorityPaths(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string,
	input *generated.AuthorityPathFilter, orderBy *generated.AuthorityPathOrder, includeRemoved *bool, asOf *time.Time,
) (*model.AuthorityPathConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	organization, scope := o.Organization.ID, loader.From(ctx)
	filter, err := pathFilter(organization, input, includeRemoved)
	if err != nil {
		return nil, err
	}
	list, err := r.paths.Paths(ctx, scope.Snapshot, organization, filter, pathOrder(orderBy), pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	if err := prefetch(ctx, organization, func(p *prefetcher) error {
		return p.paths(list.Rows, p.nodes("AuthorityPath"))
	}); err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, showPath, list.Cursor, func(ctx context.Context) (int, error) {
		return r.paths.CountPaths(ctx, scope.Snapshot, organization, filter)
	}), nil
}

// pathsUnder is a list of paths nested under an entity. Its PathList is one for each
// field of the request, so that the pages of all siblings are read at once.
func (r *Resolver) pathsUnder(ctx context.Context, parent authority.Parent, organization, entity id.ID, request page.Request,
	input *generated.AuthorityPathFilter, orderBy *generated.AuthorityPathOrder, includeRemoved *bool,
) (*model.AuthorityPathConnection, error) {
	list, err := pathList(organization, parent, request, input, orderBy, includeRemoved)
	if err != nil {
		return nil, err
	}
	scope := loader.From(ctx)
	field := graphql.GetFieldContext(ctx).Field.Field
	key := loader.PathListKey{Parent: entity, List: loader.Shared(scope, field, organization, string(parent), list)}
	found, err := scope.PathLists.Load(ctx, organization, key)
	if err != nil {
		return nil, err
	}
	return model.Connect(found.Slice, showPath, found.Cursor, func(ctx context.Context) (int, error) {
		return scope.PathCounts.Load(ctx, organization, key)
	}), nil
}

func pathList(organization id.ID, parent authority.Parent, request page.Request,
	input *generated.AuthorityPathFilter, orderBy *generated.AuthorityPathOrder, includeRemoved *bool,
) (*authority.PathList, error) {
	filter, err := pathFilter(organization, input, includeRemoved)
	return &authority.PathList{Parent: parent, Filter: filter, Order: pathOrder(orderBy), Request: request}, err
}

func pathFilter(organization id.ID, input *generated.AuthorityPathFilter, includeRemoved *bool) (authority.PathFilter, error) {
	if input == nil {
		input = &generated.AuthorityPathFilter{}
	}
	filter := authority.PathFilter{
		Statuses: input.Status, DataDomains: input.DataDomain, Sensitivities: input.Sensitivity, Ownership: input.OwnershipStatus,
		Egress: input.EgressCategory, Effective: input.Effective, Bound: input.Bound, System: deref(input.SourceSystem),
		WorkloadIDs:    openIDs(model.TypeWorkload, organization, input.Workload),
		IdentityIDs:    openIDs(model.TypeIdentity, organization, input.Identity),
		ResourceIDs:    openIDs(model.TypeResource, organization, input.Destination),
		FirstSeenAfter: input.FirstSeenAfter, FirstSeenBefore: input.FirstSeenBefore,
	}
	if filter.Statuses == nil && !deref(includeRemoved) {
		filter.Statuses = []authority.PathStatus{authority.PathActive}
	}
	for _, t := range input.ExposureType {
		filter.Exposures |= t.Bit()
	}
	for _, severity := range input.MaxExposureSeverity {
		filter.MaxSeverities = append(filter.MaxSeverities, int16(severity))
	}
	var err error
	filter.Clusters, err = posture.Numbers(input.Cluster)
	return filter, err
}

func pathOrder(input *generated.AuthorityPathOrder) authority.PathOrder {
	if input == nil {
		return authority.PathOrder{Field: authority.BySensitivity, Descending: true}
	}
	return authority.PathOrder{Field: input.Field, Descending: input.Direction == generated.OrderDirectionDesc}
}

func (r authorityPathResolver) Workload(ctx context.Context, p *model.AuthorityPath) (*model.Workload, error) {
	return workload(ctx, p.OrganizationID, p.WorkloadID)
}

func (r authorityPathResolver) Identity(ctx context.Context, p *model.AuthorityPath) (*model.Identity, error) {
	if p.IdentityID == nil {
		return nil, nil
	}
	return identity(ctx, p.OrganizationID, *p.IdentityID)
}

func (r authorityPathResolver) Destination(ctx context.Context, p *model.AuthorityPath) (*model.Resource, error) {
	return resource(ctx, p.OrganizationID, p.ResourceID)
}

func (r authorityPathResolver) SourceSystem(ctx context.Context, p *model.AuthorityPath) (string, error) {
	w, err := workload(ctx, p.OrganizationID, p.WorkloadID)
	if err != nil || w == nil {
		return "", err
	}
	return w.System, nil
}

func (r authorityPathResolver) ViaRoles(ctx context.Context, p *model.AuthorityPath) ([]string, error) {
	return roleNames(ctx, p.OrganizationID, p.RoleIDs)
}

func (r authorityPathResolver) Roles(ctx context.Context, p *model.AuthorityPath) ([]*model.AccessRole, error) {
	return roles(ctx, p.OrganizationID, p.RoleIDs)
}

func (r authorityPathVersionResolver) ViaRoles(ctx context.Context, v *model.AuthorityPathVersion) ([]string, error) {
	return roleNames(ctx, v.OrganizationID, v.RoleIDs)
}

func roleNames(ctx context.Context, organization id.ID, ids []id.ID) ([]string, error) {
	list, err := roles(ctx, organization, ids)
	return collect(list, func(role *model.AccessRole) string { return role.ExternalID }), err
}

func roles(ctx context.Context, organization id.ID, ids []id.ID) ([]*model.AccessRole, error) {
	list, err := entitiesOf(ctx, organization, ids, model.NewAccessRole)
	slices.SortFunc(list, func(a, b *model.AccessRole) int { return strings.Compare(a.ExternalID, b.ExternalID) })
	return list, err
}

func (r authorityPathResolver) LastSeenAt(ctx context.Context, p *model.AuthorityPath) (*time.Time, error) {
	workload, err := loader.From(ctx).LastSeen.Load(ctx, p.OrganizationID, p.WorkloadID)
	if err != nil {
		return nil, err
	}
	seen := p.SeenLast(workload)
	return &seen, nil
}

func (r authorityPathResolver) Versions(ctx context.Context, p *model.AuthorityPath, first *int32, after *string) (*model.AuthorityPathVersionConnection, error) {
	binding := page.BindingAt(loader.From(ctx).Snapshot.Instant(), "versions", p.OrganizationID, nil).ID(p.Path.ID).Short()
	window, asked, err := versionWindow(first, after, binding)
	if err != nil {
		return nil, err
	}
	list, err := loader.From(ctx).Versions.Load(ctx, p.OrganizationID, loader.VersionKey{Path: p.Path.ID, Window: window})
	if err != nil {
		return nil, err
	}
	show := func(v *authority.PathVersion) *model.AuthorityPathVersion {
		return &model.AuthorityPathVersion{PathVersion: *v, OrganizationID: p.OrganizationID}
	}
	cursor := func(v *authority.PathVersion) string { return page.Cursor(binding, strconv.Itoa(v.Version)) }
	return model.Connect(page.Cut(asked, slices.Clone(list)), show, cursor, func(context.Context) (int, error) { return p.Version, nil }), nil
}

// versionWindow is the page of versions that is asked for.
func versionWindow(first *int32, after *string, binding page.Binding) (authority.VersionWindow, page.Page, error) {
	asked, err := pageRequest(first, after, nil, nil).Resolve(binding, 1)
	if err != nil {
		return authority.VersionWindow{}, page.Page{}, err
	}
	window := authority.VersionWindow{Before: authority.AllVersions, Limit: asked.Size + 1}
	if asked.After != nil {
		if before, err := strconv.Atoi(asked.After[0]); err == nil && before < math.MaxInt32 {
			window.Before = before
		}
	}
	return window, asked, nil
}

func (r authorityPathResolver) Predecessor(ctx context.Context, p *model.AuthorityPath) (*model.AuthorityPath, error) {
	return neighbour(ctx, p, func(n authority.Neighbours) *id.ID { return n.Predecessor })
}

func (r authorityPathResolver) Successor(ctx context.Context, p *model.AuthorityPath) (*model.AuthorityPath, error) {
	return neighbour(ctx, p, func(n authority.Neighbours) *id.ID { return n.Successor })
}

func neighbour(ctx context.Context, p *model.AuthorityPath, side func(authority.Neighbours) *id.ID) (*model.AuthorityPath, error) {
	neighbours, err := loader.From(ctx).Neighbours.Load(ctx, p.OrganizationID, p.Path.ID)
	if err != nil || side(neighbours) == nil {
		return nil, err
	}
	found, err := loader.From(ctx).Paths.Load(ctx, p.OrganizationID, *side(neighbours))
	if err != nil || found == nil {
		return nil, err
	}
	return showPath(found), nil
}

func (r lineageResolver) Workload(ctx context.Context, l *model.Lineage) (*model.Workload, error) {
	return workload(ctx, l.OrganizationID, l.WorkloadID)
}

func (r lineageResolver) Destination(ctx context.Context, l *model.Lineage) (*model.Resource, error) {
	return resource(ctx, l.OrganizationID, l.ResourceID)
}

func (r lineageResolver) FirstSeenAt(ctx context.Context, l *model.Lineage) (*time.Time, error) {
	list, err := loader.From(ctx).Lineages.Load(ctx, l.OrganizationID, l.LineageKey)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0].FirstSeenAt, nil // the oldest comes first
}

func (r lineageResolver) Routes(ctx context.Context, l *model.Lineage) ([]*model.AuthorityPath, error) {
	list, err := loader.From(ctx).Lineages.Load(ctx, l.OrganizationID, l.LineageKey)
	active := slices.DeleteFunc(slices.Clone(list), func(p *authority.Path) bool { return p.Status != authority.PathActive })
	return collect(active, showPath), err
}

func (r lineageResolver) Paths(ctx context.Context, l *model.Lineage) ([]*model.AuthorityPath, error) {
	list, err := loader.From(ctx).Lineages.Load(ctx, l.OrganizationID, l.LineageKey)
	return collect(list, showPath), err
}

func (r identityRotationResolver) From(ctx context.Context, rotation *model.IdentityRotation) (*model.Identity, error) {
	return identity(ctx, rotation.OrganizationID, rotation.FromIdentity)
}

func (r identityRotationResolver) To(ctx context.Context, rotation *model.IdentityRotation) (*model.Identity, error) {
	return identity(ctx, rotation.OrganizationID, rotation.ToIdentity)
}
