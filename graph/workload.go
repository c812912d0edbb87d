package graph

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func showRow(w *posture.WorkloadExposure) *model.WorkloadExposure {
	return &model.WorkloadExposure{WorkloadExposure: w}
}

func (r organizationResolver) WorkloadExposures(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string,
	input *generated.WorkloadExposureFilter, orderBy *generated.WorkloadExposureOrder, asOf *time.Time,
) (*model.WorkloadExposureConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	organization, scope := o.Organization.ID, loader.From(ctx)
	filter, err := workloadFilter(input)
	if err != nil {
		return nil, err
	}
	list, err := r.posture.WorkloadExposures(ctx, scope.Snapshot, organization, filter, workloadOrder(orderBy), pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	if err := prefetch(ctx, organization, func(p *prefetcher) error {
		return p.workloadExposures(list.Rows, p.nodes("WorkloadExposure"))
	}); err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, showRow, list.Cursor, func(ctx context.Context) (int, error) {
		if !filter.Empty() {
			return r.posture.CountWorkloadExposures(ctx, scope.Snapshot, organization, filter)
		}
		counted, err := scope.Postures.Load(ctx, organization, loader.Since{})
		if err != nil || counted == nil {
			return 0, err
		}
		return int(counted.Listed), nil
	}), nil
}

// workloadFilter decodes a filter of filters; how large it may be is the domain's
// affair.
func workloadFilter(input *generated.WorkloadExposureFilter) (posture.WorkloadFilter, error) {
	if input == nil {
		return posture.WorkloadFilter{}, nil
	}
	filter := posture.WorkloadFilter{
		Severities: input.Severity, Egress: input.EgressCategory, EgressCategories: input.EgressCategories, Ownership: input.OwnershipStatus,
		Modes: input.ExecutionMode, ModeKnown: input.ExecutionModeKnown, DataDomains: input.DataDomain, Bindings: input.IdentityBinding, Rules: input.FindingType,
	}
	var err error
	if filter.Clusters, err = posture.Numbers(input.Cluster); err != nil {
		return filter, err
	}
	if filter.And, err = workloadFilters(input.And); err != nil {
		return filter, err
	}
	if filter.Or, err = workloadFilters(input.Or); err != nil {
		return filter, err
	}
	if input.Not != nil {
		not, err := workloadFilter(input.Not)
		filter.Not = &not
		return filter, err
	}
	return filter, nil
}

func workloadFilters(inputs []*generated.WorkloadExposureFilter) (filters []posture.WorkloadFilter, err error) {
	for _, input := range inputs {
		filter, err := workloadFilter(input)
		if err != nil {
			return nil, err
		}
		filters = append(filters, filter)
	}
	return filters, nil
}

func workloadOrder(input *generated.WorkloadExposureOrder) posture.WorkloadOrder {
	if input == nil {
		return posture.WorkloadOrder{Field: posture.BySeverity, Descending: true}
	}
	return posture.WorkloadOrder{Field: input.Field, Descending: input.Direction == generated.OrderDirectionDesc}
}

func (r organizationResolver) WorkloadExposure(ctx context.Context, o *model.Organization, text string, asOf *time.Time) (*model.WorkloadExposure, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	organization, scope := o.Organization.ID, loader.From(ctx)
	code, workload, ok := rowKey(organization, text)
	if !ok {
		return nil, nil
	}
	found, err := r.posture.WorkloadExposure(ctx, scope.Snapshot, organization, code, workload)
	if err != nil || found == nil {
		return nil, err
	}
	scope.LastSeen.Prime(ctx, organization, found.WorkloadID, found.LastSeenAt)
	if found.ClockAt != nil {
		scope.Clocks.Prime(ctx, organization, struct{}{}, &exposure.Clock{At: *found.ClockAt, EvaluatedAt: found.EvaluatedAt})
	}
	row := &found.WorkloadExposure
	return showRow(row), prefetch(ctx, organization, func(p *prefetcher) error {
		return p.workloadExposures([]*posture.WorkloadExposure{row}, p.own("WorkloadExposure"))
	})
}

// rowKey reads the id of a row, or the global id of its workload; ok is false for
// what is neither.
func rowKey(organization id.ID, text string) (code string, workload id.ID, ok bool) {
	if code, ok := posture.Code(text); ok {
		return code, id.Nil, true
	}
	opened, ok := model.ParseID(text)
	return "", opened.Parts[0], ok && opened.Type == model.TypeWorkload && opened.Organization == organization
}

func (r workloadResolver) WorkloadExposure(ctx context.Context, w *model.Workload) (*model.WorkloadExposure, error) {
	row, err := loader.From(ctx).WorkloadRows.Load(ctx, w.OrganizationID, w.Entity.ID)
	if err != nil || row == nil {
		return nil, err
	}
	return showRow(row), nil
}

func (r workloadExposureResolver) Workload(ctx context.Context, w *model.WorkloadExposure) (*model.Workload, error) {
	return workload(ctx, w.OrganizationID, w.WorkloadID)
}

func (r workloadExposureResolver) SourceSystem(ctx context.Context, w *model.WorkloadExposure) (string, error) {
	found, err := workload(ctx, w.OrganizationID, w.WorkloadID)
	if err != nil || found == nil {
		return "", err
	}
	return found.System, nil
}

func (r workloadExposureResolver) Identities(ctx context.Context, w *model.WorkloadExposure) ([]*model.Identity, error) {
	return entitiesOf(ctx, w.OrganizationID, w.IdentityIDs, model.NewIdentity)
}

func (r workloadExposureResolver) LastEvaluatedAt(ctx context.Context, w *model.WorkloadExposure) (*time.Time, error) {
	found, err := workload(ctx, w.OrganizationID, w.WorkloadID)
	if err != nil || found == nil {
		return nil, err
	}
	last := &found.FromAt
	if !w.Live { // its removal was the last verdict
		return last, nil
	}
	synced, err := loader.From(ctx).LastSeen.Load(ctx, w.OrganizationID, w.WorkloadID)
	if err != nil {
		return nil, err
	}
	now, err := clock(ctx, w.OrganizationID)
	for _, at := range []*time.Time{synced, now.EvaluatedAt} {
		if at != nil && at.After(*last) {
			last = at
		}
	}
	return last, err
}

func (r workloadExposureResolver) RiskClusters(ctx context.Context, w *model.WorkloadExposure) ([]*model.RiskCluster, error) {
	overview, err := loader.From(ctx).Overviews.Load(ctx, w.OrganizationID, posture.Acknowledged)
	in := slices.DeleteFunc(slices.Clone(overview), func(c *posture.Cluster) bool { return !w.In(c.Cluster) })
	return collect(in, showCluster), err
}

func (r workloadExposureResolver) AuthorityPaths(ctx context.Context, w *model.WorkloadExposure, first *int32, after *string, last *int32, before *string,
	filter *generated.AuthorityPathFilter, orderBy *generated.AuthorityPathOrder, includeRemoved *bool,
) (*model.AuthorityPathConnection, error) {
	list, err := r.pathsUnder(ctx, authority.UnderWorkload, w.OrganizationID, w.WorkloadID, pageRequest(first, after, last, before), filter, orderBy, includeRemoved)
	if err == nil && countedByRow(graphql.GetFieldContext(ctx)) {
		list.CountedAs(w.Paths)
	}
	return list, err
}

func (r workloadExposureResolver) Exposures(ctx context.Context, w *model.WorkloadExposure, first *int32, after *string, last *int32, before *string) (*model.ExposureConnection, error) {
	scope := loader.From(ctx)
	list := loader.Shared(scope, graphql.GetFieldContext(ctx).Field.Field, w.OrganizationID, "workload",
		&posture.ExposureList{Request: pageRequest(first, after, last, before)})
	found, err := scope.WorkloadLists.Load(ctx, w.OrganizationID, loader.WorkloadListKey{Workload: w.WorkloadID, List: list})
	if err != nil {
		return nil, err
	}
	return model.Connect(found.Slice, showExposure, found.Cursor, func(ctx context.Context) (int, error) {
		return scope.WorkloadCounts.Load(ctx, w.OrganizationID, w.WorkloadID)
	}), nil
}

func (r workloadExposureResolver) OwnershipBreakdown(ctx context.Context, w *model.WorkloadExposure) (*model.WorkloadOwnership, error) {
	shown := &model.WorkloadOwnership{Owners: []*model.WorkloadOwner{}, EffectiveStatus: w.OwnershipStatus}
	for _, kind := range []record.EdgeKind{record.OwnedBy, record.CreatedBy} {
		edges, err := loader.From(ctx).EdgesFrom.Load(ctx, w.OrganizationID, loader.EdgeKey{Kind: kind, Entity: w.WorkloadID})
		if err != nil {
			return nil, err
		}
		owners, err := entitiesOf(ctx, w.OrganizationID, distinct(edges, func(edge *authority.Edge) id.ID { return edge.ToID }), model.NewOwner)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(owners, func(a, b *model.Owner) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID(), b.ID())) })
		for _, owner := range owners {
			if owner.Kind == record.Owner { // an identity may have created it
				shown.Owners = append(shown.Owners, &model.WorkloadOwner{WorkloadID: w.WorkloadID, Owner: owner, RelationshipType: kind})
			}
		}
	}
	return shown, nil
}

func (r workloadExposureResolver) WorkloadMetadata(ctx context.Context, w *model.WorkloadExposure) (*model.WorkloadMetadata, error) {
	found, err := workload(ctx, w.OrganizationID, w.WorkloadID)
	if err != nil || found == nil {
		return nil, err
	}
	synced, err := loader.From(ctx).LastSeen.Load(ctx, w.OrganizationID, w.WorkloadID)
	return model.NewWorkloadMetadata(found.Domain(), synced), err
}

func (r workloadExposureResolver) IdentityBindings(ctx context.Context, w *model.WorkloadExposure) ([]*model.IdentityBinding, error) {
	return identityBindings(ctx, w.OrganizationID, w.WorkloadID)
}

func (r workloadExposureResolver) ExecutionEvidenceSummary(ctx context.Context, w *model.WorkloadExposure) (*model.ExecutionEvidenceSummary, error) {
	dossier, err := loader.From(ctx).Dossiers.Load(ctx, w.OrganizationID, w.WorkloadID)
	if err != nil || dossier == nil {
		return nil, err
	}
	return model.NewExecutionEvidenceSummary(w.WorkloadExposure, dossier), nil
}

func (r workloadExposureResolver) EvidenceCompleteness(ctx context.Context, w *model.WorkloadExposure) ([]*model.EvidenceCompleteness, error) {
	dossier, err := loader.From(ctx).Dossiers.Load(ctx, w.OrganizationID, w.WorkloadID)
	if err != nil || dossier == nil {
		return nil, err
	}
	return model.NewCompleteness(dossier.Coverage), nil
}
