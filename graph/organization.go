package graph

import (
	"context"
	"slices"
	"time"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

func (r queryResolver) Organization(ctx context.Context, slug string) (*model.Organization, error) {
	o, err := r.organizations.BySlug(ctx, loader.From(ctx).Snapshot, slug)
	if err != nil || o == nil {
		return nil, err
	}
	return &model.Organization{Organization: *o}, nil
}

func (r queryResolver) Organizations(ctx context.Context, first *int32, after *string, last *int32, before *string) (*model.OrganizationConnection, error) {
	all, err := r.organizations.List(ctx, loader.From(ctx).Snapshot)
	if err != nil {
		return nil, err
	}
	binding := id.New("list/1").Text("organizations").Short()
	p, err := pageRequest(first, after, last, before).Resolve(binding, 1)
	if err != nil {
		return nil, err
	}
	slug := func(o *org.Organization) string { return o.Slug }
	show := func(o *org.Organization) *model.Organization { return &model.Organization{Organization: *o} }
	return model.Connect(page.Cut(p, page.Window(p, all, slug)), show,
		func(o *org.Organization) string { return page.Cursor(binding, o.Slug) },
		func(context.Context) (int, error) { return len(all), nil }), nil
}

func (r organizationResolver) AuthorityPath(ctx context.Context, o *model.Organization, text string, asOf *time.Time) (*model.AuthorityPath, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	opened, ok := model.ParseID(text)
	if !ok || opened.Type != model.TypeAuthorityPath || opened.Organization != o.Organization.ID {
		return nil, nil
	}
	p, err := loader.From(ctx).Paths.Load(ctx, opened.Organization, opened.Parts[0])
	if err != nil || p == nil {
		return nil, err
	}
	return showPath(p), nil
}

func (r organizationResolver) Workload(ctx context.Context, o *model.Organization, sourceID, sourceSystem string, asOf *time.Time) (*model.Workload, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	organization := o.Organization.ID
	return workload(ctx, organization, id.Entity(organization, string(record.Workload), sourceSystem, sourceID))
}

func (r organizationResolver) Workloads(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string, filter *generated.EntityFilter, asOf *time.Time) (*model.WorkloadConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	return entities(ctx, r.Resolver, o, record.Workload, pageRequest(first, after, last, before), filter, model.NewWorkload)
}

func (r organizationResolver) Identities(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string, filter *generated.EntityFilter, asOf *time.Time) (*model.IdentityConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	return entities(ctx, r.Resolver, o, record.Identity, pageRequest(first, after, last, before), filter, model.NewIdentity)
}

func (r organizationResolver) Resources(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string, filter *generated.EntityFilter, asOf *time.Time) (*model.ResourceConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	return entities(ctx, r.Resolver, o, record.Resource, pageRequest(first, after, last, before), filter, model.NewResource)
}

func (r organizationResolver) Owners(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string, filter *generated.EntityFilter, asOf *time.Time) (*model.OwnerConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	return entities(ctx, r.Resolver, o, record.Owner, pageRequest(first, after, last, before), filter, model.NewOwner)
}

func entities[T any](ctx context.Context, r *Resolver, o *model.Organization, kind record.EntityKind, request page.Request, input *generated.EntityFilter, show func(*authority.Entity) T) (*model.Connection[T], error) {
	filter := entityFilter(input)
	snapshot, organization := loader.From(ctx).Snapshot, o.Organization.ID
	list, err := r.paths.Entities(ctx, snapshot, organization, kind, filter, request)
	if err != nil {
		return nil, err
	}
	if nested, ok := parents[kind]; ok {
		if err := prefetch(ctx, organization, func(p *prefetcher) error {
			ids, fields := collect(list.Rows, func(e *authority.Entity) id.ID { return e.ID }), p.nodes(nested.object)
			if kind == record.Workload {
				return p.workloads(ids, fields)
			}
			return p.pathsUnder(nested.parent, ids, fields)
		}); err != nil {
			return nil, err
		}
	}
	return model.Connect(list.Slice, show, list.Cursor, func(ctx context.Context) (int, error) {
		return r.paths.CountEntities(ctx, snapshot, organization, kind, filter)
	}), nil
}

// parents are the kinds of entities that lists of paths hang under.
var parents = map[record.EntityKind]struct {
	parent authority.Parent
	object string
}{
	record.Workload: {authority.UnderWorkload, "Workload"},
	record.Identity: {authority.UnderIdentity, "Identity"},
	record.Resource: {authority.UnderResource, "Resource"},
}

func entityFilter(input *generated.EntityFilter) authority.EntityFilter {
	if input == nil {
		input = &generated.EntityFilter{}
	}
	filter := authority.EntityFilter{
		Statuses: input.Status, Systems: input.SourceSystem, Environments: input.Environment, SourceIDs: input.SourceID,
		NamePrefix: deref(input.NamePrefix),
	}
	if filter.Statuses == nil {
		filter.Statuses = []record.Status{record.Active, record.Disabled}
	}
	return filter
}

func (r organizationResolver) Sources(ctx context.Context, o *model.Organization, asOf *time.Time) ([]*model.Source, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	list, err := r.paths.Sources(ctx, loader.From(ctx).Snapshot, o.Organization.ID)
	return collect(list, func(s *authority.Source) *model.Source { return &model.Source{Source: *s} }), err
}

func (r organizationResolver) Syncs(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string, input *generated.SyncFilter, asOf *time.Time) (*model.SyncConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	filter := authority.SyncFilter{}
	if input != nil {
		filter.Outcomes = input.Outcome
		filter.SourceIDs = openIDs(model.TypeSource, o.Organization.ID, input.Source)
	}
	snapshot := loader.From(ctx).Snapshot
	list, err := r.paths.Syncs(ctx, snapshot, o.Organization.ID, filter, pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, func(s *authority.SyncRow) *model.Sync { return &model.Sync{SyncRow: *s} }, list.Cursor,
		func(ctx context.Context) (int, error) {
			return r.paths.CountSyncs(ctx, snapshot, o.Organization.ID, filter)
		}), nil
}

func (r syncResolver) Source(ctx context.Context, s *model.Sync) (*model.Source, error) {
	return source(ctx, s.OrganizationID, s.SourceID)
}

func source(ctx context.Context, organization, sourceID id.ID) (*model.Source, error) {
	s, err := loader.From(ctx).Sources.Load(ctx, organization, sourceID)
	if err != nil || s == nil {
		return nil, err
	}
	return &model.Source{Source: *s}, nil
}

// openIDs opens the global ids of a filter. An id of another type or another
// organization stays in the filter as the id of nothing, so that it matches no
// row and tells nothing.
func openIDs(t model.Type, organization id.ID, texts []string) []id.ID {
	if texts == nil {
		return nil
	}
	ids := make([]id.ID, len(texts))
	for i, text := range texts {
		if opened, ok := model.ParseID(text); ok && opened.Type == t && opened.Organization == organization {
			ids[i] = opened.Parts[0]
		}
	}
	slices.SortFunc(ids, func(a, b id.ID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

func pageRequest(first *int32, after *string, last *int32, before *string) page.Request {
	return page.Request{First: widen(first), After: after, Last: widen(last), Before: before}
}

func widen(n *int32) *int {
	if n == nil {
		return nil
	}
	wide := int(*n)
	return &wide
}

func deref[T any](p *T) (zero T) {
	if p == nil {
		return zero
	}
	return *p
}

func collect[R, T any](rows []R, show func(R) T) []T {
	list := make([]T, len(rows))
	for i, row := range rows {
		list[i] = show(row)
	}
	return list
}
