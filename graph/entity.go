package graph

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

func workload(ctx context.Context, organization, entityID id.ID) (*model.Workload, error) {
	return entityOf(ctx, organization, entityID, model.NewWorkload)
}

func identity(ctx context.Context, organization, entityID id.ID) (*model.Identity, error) {
	return entityOf(ctx, organization, entityID, model.NewIdentity)
}

func resource(ctx context.Context, organization, entityID id.ID) (*model.Resource, error) {
	return entityOf(ctx, organization, entityID, model.NewResource)
}

func entityOf[T any](ctx context.Context, organization, entityID id.ID, show func(*authority.Entity) *T) (*T, error) {
	e, err := loader.From(ctx).Entities.Load(ctx, organization, entityID)
	if err != nil || e == nil {
		return nil, err
	}
	return show(e), nil
}

func entitiesOf[T any](ctx context.Context, organization id.ID, ids []id.ID, show func(*authority.Entity) *T) ([]*T, error) {
	rows, err := loader.From(ctx).Entities.LoadAll(ctx, organization, ids)
	if err != nil {
		return nil, err
	}
	list := make([]*T, 0, len(rows))
	for _, row := range rows {
		if row != nil {
			list = append(list, show(row))
		}
	}
	return list, nil
}

func (r workloadResolver) LastSyncedAt(ctx context.Context, w *model.Workload) (*time.Time, error) {
	return loader.From(ctx).LastSeen.Load(ctx, w.OrganizationID, w.Entity.ID)
}

func (r workloadResolver) Owners(ctx context.Context, w *model.Workload) ([]*model.Owner, error) {
	ids, err := endsOf(ctx, &w.Entity, record.OwnedBy)
	if err != nil {
		return nil, err
	}
	return entitiesOf(ctx, w.OrganizationID, ids, model.NewOwner)
}

// endsOf are the entities that an entity is tied to, each once.
func endsOf(ctx context.Context, e *authority.Entity, kind record.EdgeKind) ([]id.ID, error) {
	edges, err := loader.From(ctx).EdgesFrom.Load(ctx, e.OrganizationID, loader.EdgeKey{Kind: kind, Entity: e.ID})
	return distinct(edges, func(edge *authority.Edge) id.ID { return edge.ToID }), err
}

func distinct(edges []*authority.Edge, end func(*authority.Edge) id.ID) []id.ID {
	seen, ids := map[id.ID]bool{}, make([]id.ID, 0, len(edges))
	for _, edge := range edges {
		if !seen[end(edge)] {
			seen[end(edge)] = true
			ids = append(ids, end(edge))
		}
	}
	return ids
}

func (r workloadResolver) IdentityBindings(ctx context.Context, w *model.Workload) ([]*model.IdentityBinding, error) {
	return identityBindings(ctx, w.OrganizationID, w.Entity.ID)
}

func identityBindings(ctx context.Context, organization, workload id.ID) ([]*model.IdentityBinding, error) {
	list := []*model.IdentityBinding{}
	for _, kind := range []record.EdgeKind{record.RunsAs, record.Authenticates} {
		edges, err := loader.From(ctx).EdgesFrom.Load(ctx, organization, loader.EdgeKey{Kind: kind, Entity: workload})
		if err != nil {
			return nil, err
		}
		for _, edge := range edges {
			list = append(list, &model.IdentityBinding{
				OrganizationID: organization, IdentityID: edge.ToID, Type: kind,
				Protocol: unlessEmpty(edge.Protocol), TargetSystem: unlessEmpty(edge.TargetSystem),
			})
		}
	}
	return list, nil
}

func unlessEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (r identityBindingResolver) Identity(ctx context.Context, b *model.IdentityBinding) (*model.Identity, error) {
	return identity(ctx, b.OrganizationID, b.IdentityID)
}

func (r workloadResolver) Rotations(ctx context.Context, w *model.Workload) ([]*model.IdentityRotation, error) {
	list, err := loader.From(ctx).Rotations.Load(ctx, w.OrganizationID, w.Entity.ID)
	return collect(list, func(x *authority.Rotation) *model.IdentityRotation { return &model.IdentityRotation{Rotation: *x} }), err
}

func (r workloadResolver) AuthorityPaths(ctx context.Context, w *model.Workload, first *int32, after *string, last *int32, before *string,
	filter *generated.AuthorityPathFilter, orderBy *generated.AuthorityPathOrder, includeRemoved *bool,
) (*model.AuthorityPathConnection, error) {
	return r.pathsUnder(ctx, authority.UnderWorkload, w.OrganizationID, w.Entity.ID, pageRequest(first, after, last, before), filter, orderBy, includeRemoved)
}

func (r identityResolver) AuthorityPaths(ctx context.Context, i *model.Identity, first *int32, after *string, last *int32, before *string,
	filter *generated.AuthorityPathFilter, orderBy *generated.AuthorityPathOrder, includeRemoved *bool,
) (*model.AuthorityPathConnection, error) {
	return r.pathsUnder(ctx, authority.UnderIdentity, i.OrganizationID, i.Entity.ID, pageRequest(first, after, last, before), filter, orderBy, includeRemoved)
}

func (r resourceResolver) AuthorityPaths(ctx context.Context, d *model.Resource, first *int32, after *string, last *int32, before *string,
	filter *generated.AuthorityPathFilter, orderBy *generated.AuthorityPathOrder, includeRemoved *bool,
) (*model.AuthorityPathConnection, error) {
	return r.pathsUnder(ctx, authority.UnderResource, d.OrganizationID, d.Entity.ID, pageRequest(first, after, last, before), filter, orderBy, includeRemoved)
}

func (r identityResolver) RoleBindings(ctx context.Context, i *model.Identity) ([]*model.RoleBinding, error) {
	edges, err := loader.From(ctx).EdgesFrom.Load(ctx, i.OrganizationID, loader.EdgeKey{Kind: record.HasRole, Entity: i.Entity.ID})
	return collect(edges, func(edge *authority.Edge) *model.RoleBinding {
		return &model.RoleBinding{OrganizationID: i.OrganizationID, RoleID: edge.ToID, Scope: edge.Scope}
	}), err
}

func (r roleBindingResolver) Role(ctx context.Context, b *model.RoleBinding) (*model.AccessRole, error) {
	return entityOf(ctx, b.OrganizationID, b.RoleID, model.NewAccessRole)
}

func (r identityResolver) Workloads(ctx context.Context, i *model.Identity) ([]*model.Workload, error) {
	var ties []*authority.Edge
	for _, kind := range []record.EdgeKind{record.RunsAs, record.Authenticates} {
		edges, err := loader.From(ctx).EdgesTo.Load(ctx, i.OrganizationID, loader.EdgeKey{Kind: kind, Entity: i.Entity.ID})
		if err != nil {
			return nil, err
		}
		ties = append(ties, edges...)
	}
	rows, err := loader.From(ctx).Entities.LoadAll(ctx, i.OrganizationID, distinct(ties, func(edge *authority.Edge) id.ID { return edge.FromID }))
	list := []*model.Workload{}
	for _, row := range rows {
		if row != nil && row.Kind == record.Workload { // an identity may authenticate as another
			list = append(list, model.NewWorkload(row))
		}
	}
	return list, err
}

func (r workloadResolver) Attributes(ctx context.Context, e *model.Workload) ([]*model.Attribute, error) {
	return attributes(ctx, e)
}

func (r identityResolver) Attributes(ctx context.Context, e *model.Identity) ([]*model.Attribute, error) {
	return attributes(ctx, e)
}

func (r resourceResolver) Attributes(ctx context.Context, e *model.Resource) ([]*model.Attribute, error) {
	return attributes(ctx, e)
}

func (r accessRoleResolver) Attributes(ctx context.Context, e *model.AccessRole) ([]*model.Attribute, error) {
	return attributes(ctx, e)
}

func (r ownerResolver) Attributes(ctx context.Context, e *model.Owner) ([]*model.Attribute, error) {
	return attributes(ctx, e)
}

func attributes(ctx context.Context, e model.Entity) ([]*model.Attribute, error) {
	voices, err := loader.From(ctx).Assertions.Load(ctx, e.Domain().OrganizationID, e.Domain().ID)
	return collect(authority.Standings(voices), func(s authority.Standing) *model.Attribute {
		return &model.Attribute{
			OrganizationID: e.Domain().OrganizationID, SourceID: s.Voice.SourceID, Name: s.Name, Value: s.Value, Basis: s.Voice.Basis,
		}
	}), err
}

func (r attributeResolver) Source(ctx context.Context, a *model.Attribute) (*model.Source, error) {
	return source(ctx, a.OrganizationID, a.SourceID)
}
