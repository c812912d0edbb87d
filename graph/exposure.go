package graph

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func showExposure(x *exposure.Exposure) *model.Exposure { return &model.Exposure{Exposure: *x} }

func (r organizationResolver) Exposures(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string,
	input *generated.ExposureFilter, orderBy *generated.ExposureOrder, asOf *time.Time,
) (*model.ExposureConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	organization, snapshot := o.Organization.ID, loader.From(ctx).Snapshot
	filter, err := exposureFilter(organization, input, nil)
	if err != nil {
		return nil, err
	}
	list, err := r.exposures.Exposures(ctx, snapshot, organization, filter, exposureOrder(orderBy), pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	if err := prefetch(ctx, organization, func(p *prefetcher) error {
		return p.exposures(list.Rows, p.nodes("Exposure"))
	}); err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, showExposure, list.Cursor, func(ctx context.Context) (int, error) {
		return r.exposures.CountExposures(ctx, snapshot, organization, filter)
	}), nil
}

func (r organizationResolver) Exposure(ctx context.Context, o *model.Organization, text string, asOf *time.Time) (*model.Exposure, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	opened, ok := model.ParseID(text)
	if !ok || opened.Organization != o.Organization.ID {
		return nil, nil
	}
	return exposureOf(ctx, opened)
}

// exposureOf is the exposure of a global id; nil if it names none.
func exposureOf(ctx context.Context, i model.ID) (*model.Exposure, error) {
	key, ok := i.ExposureKey()
	if !ok {
		return nil, nil
	}
	x, err := loader.From(ctx).Exposures.Load(ctx, i.Organization, key)
	if err != nil || x == nil {
		return nil, err
	}
	return showExposure(x), nil
}

func (r authorityPathResolver) Exposures(ctx context.Context, p *model.AuthorityPath, first *int32, after *string, last *int32, before *string,
	input *generated.ExposureFilter, orderBy *generated.ExposureOrder, includeResolved *bool,
) (*model.ExposureConnection, error) {
	list, err := exposureList(p.OrganizationID, pageRequest(first, after, last, before), input, orderBy, includeResolved)
	if err != nil {
		return nil, err
	}
	scope := loader.From(ctx)
	field := graphql.GetFieldContext(ctx).Field.Field
	key := loader.ExposureListKey{Path: p.Path.ID, List: loader.Shared(scope, field, p.OrganizationID, "path", list)}
	found, err := scope.ExposureLists.Load(ctx, p.OrganizationID, key)
	if err != nil {
		return nil, err
	}
	return model.Connect(found.Slice, showExposure, found.Cursor, func(ctx context.Context) (int, error) {
		return scope.ExposureCounts.Load(ctx, p.OrganizationID, key)
	}), nil
}

func exposureList(organization id.ID, request page.Request, input *generated.ExposureFilter, orderBy *generated.ExposureOrder, includeResolved *bool) (*exposure.List, error) {
	filter, err := exposureFilter(organization, input, includeResolved)
	return &exposure.List{Filter: filter, Order: exposureOrder(orderBy), Request: request}, err
}

func exposureFilter(organization id.ID, input *generated.ExposureFilter, includeResolved *bool) (exposure.Filter, error) {
	if input == nil {
		input = &generated.ExposureFilter{}
	}
	filter := exposure.Filter{
		Types: input.Type, Severities: input.Severity, Statuses: input.Status, DataDomains: input.DataDomain,
		Sensitivities: input.Sensitivity, Ownership: input.OwnershipStatus,
		WorkloadIDs:    openIDs(model.TypeWorkload, organization, input.Workload),
		PathIDs:        openIDs(model.TypeAuthorityPath, organization, input.Path),
		EffectiveAfter: input.EffectiveFromAfter, EffectiveBefore: input.EffectiveFromBefore,
		DetectedAfter: input.DetectedAfter, DetectedBefore: input.DetectedBefore,
	}
	if filter.Statuses == nil {
		filter.Statuses = exposure.Unresolved()
		if deref(includeResolved) {
			filter.Statuses = append(filter.Statuses, exposure.StatusResolved)
		}
	}
	var err error
	filter.Clusters, err = posture.Numbers(input.Cluster)
	return filter, err
}

func exposureOrder(input *generated.ExposureOrder) exposure.Order {
	if input == nil {
		return exposure.Order{Field: exposure.BySeverity, Descending: true}
	}
	return exposure.Order{Field: input.Field, Descending: input.Direction == generated.OrderDirectionDesc}
}

func (r exposureResolver) Path(ctx context.Context, x *model.Exposure) (*model.AuthorityPath, error) {
	p, err := loader.From(ctx).Paths.Load(ctx, x.OrganizationID, x.PathID)
	if err != nil || p == nil {
		return nil, err
	}
	return showPath(p), nil
}

func (r exposureResolver) Workload(ctx context.Context, x *model.Exposure) (*model.Workload, error) {
	return workload(ctx, x.OrganizationID, x.WorkloadID)
}

// clock says how far the organization's time has come.
func clock(ctx context.Context, organization id.ID) (exposure.Clock, error) {
	found, err := loader.From(ctx).Clocks.Load(ctx, organization, struct{}{})
	return deref(found), err
}

func (r exposureResolver) DurationDays(ctx context.Context, x *model.Exposure) (int32, error) {
	now, err := clock(ctx, x.OrganizationID)
	return int32(min(x.Days(now.At), math.MaxInt32)), err //nolint:gosec // bounded
}

func (r exposureResolver) LastEvaluatedAt(ctx context.Context, x *model.Exposure) (*time.Time, error) {
	if x.ToAt != nil {
		return x.ToAt, nil
	}
	synced, err := loader.From(ctx).LastSeen.Load(ctx, x.OrganizationID, x.WorkloadID)
	if err != nil {
		return nil, err
	}
	now, err := clock(ctx, x.OrganizationID)
	last := x.LastEvaluated(synced, now.EvaluatedAt)
	return &last, err
}

func (r exposureResolver) IndeterminateSince(ctx context.Context, x *model.Exposure) (*time.Time, error) {
	if x.IndeterminateSince != nil {
		return x.IndeterminateSince, nil
	}
	s, err := loader.From(ctx).Standings.Load(ctx, x.OrganizationID, x.Key)
	if err != nil || s == nil {
		return nil, err
	}
	return s.IndeterminateSince, nil
}

func (r exposureResolver) Evidence(ctx context.Context, x *model.Exposure) (*model.ExposureEvidence, error) {
	s, err := loader.From(ctx).Standings.Load(ctx, x.OrganizationID, x.Key)
	if err != nil || s == nil {
		return nil, err
	}
	return model.NewExposureEvidence(x.OrganizationID, s), nil
}

func (r exposureEvidenceResolver) ViaRoles(ctx context.Context, e *model.ExposureEvidence) ([]string, error) {
	return roleNames(ctx, e.OrganizationID, e.RoleIDs)
}

func (r ownerEvidenceResolver) Owner(ctx context.Context, o *model.OwnerEvidence) (*model.Owner, error) {
	return entityOf(ctx, o.OrganizationID, o.OwnerID, model.NewOwner)
}

func (r exposureResolver) Explain(ctx context.Context, x *model.Exposure) (*model.ExposureExplanation, error) {
	s, err := loader.From(ctx).Standings.Load(ctx, x.OrganizationID, x.Key)
	if err != nil || s == nil {
		return nil, err
	}
	return model.NewExposureExplanation(&x.Exposure, s), nil
}

func (r exposureResolver) Versions(ctx context.Context, x *model.Exposure, first *int32, after *string) (*model.ExposureVersionConnection, error) {
	binding := page.BindingAt(loader.From(ctx).Snapshot.Instant(), "exposure versions", x.OrganizationID, nil).ID(x.PathID).
		Text(strconv.Itoa(int(x.Key.Type))).Text(strconv.Itoa(x.Key.Ordinal)).Short()
	window, asked, err := versionWindow(first, after, binding)
	if err != nil {
		return nil, err
	}
	list, err := loader.From(ctx).ExposureVersions.Load(ctx, x.OrganizationID,
		loader.ExposureVersionKey{Exposure: x.Key, Window: exposure.VersionWindow(window)})
	if err != nil {
		return nil, err
	}
	cursor := func(v *exposure.Version) string { return page.Cursor(binding, strconv.Itoa(v.Version)) }
	show := func(v *exposure.Version) *model.ExposureVersion { return model.NewExposureVersion(x.OrganizationID, v) }
	return model.Connect(page.Cut(asked, slices.Clone(list)), show, cursor,
		func(context.Context) (int, error) { return x.Version, nil }), nil
}

func (r exposureResolver) Predecessor(ctx context.Context, x *model.Exposure) (*model.Exposure, error) {
	return exposureBeside(ctx, x, func(n exposure.Neighbours) *exposure.Exposure { return n.Predecessor })
}

func (r exposureResolver) Successor(ctx context.Context, x *model.Exposure) (*model.Exposure, error) {
	return exposureBeside(ctx, x, func(n exposure.Neighbours) *exposure.Exposure { return n.Successor })
}

func exposureBeside(ctx context.Context, x *model.Exposure, side func(exposure.Neighbours) *exposure.Exposure) (*model.Exposure, error) {
	neighbours, err := loader.From(ctx).ExposureNeighbours.Load(ctx, x.OrganizationID, x.Key)
	if err != nil || side(neighbours) == nil {
		return nil, err
	}
	return showExposure(side(neighbours)), nil
}
