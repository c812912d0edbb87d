package graph

import (
	"context"
	"slices"
	"time"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func (r organizationResolver) PostureDiff(ctx context.Context, o *model.Organization, from time.Time, to *time.Time) (*model.PostureDiff, error) {
	scope := loader.From(ctx)
	d, err := r.posture.Diff(ctx, scope.Snapshot, o.Organization.ID, from, to)
	if err != nil || d == nil {
		return nil, err
	}
	var sources []id.ID
	for _, c := range d.Causes {
		if c.SourceID != nil {
			sources = append(sources, *c.SourceID)
		}
	}
	if _, err := scope.Sources.Prefetch(ctx, o.Organization.ID, sources); err != nil {
		return nil, err
	}
	return &model.PostureDiff{Diff: d}, nil
}

func (r postureCauseResolver) Source(ctx context.Context, c *model.PostureCause) (*model.Source, error) {
	if c.SourceID == nil {
		return nil, nil
	}
	return source(ctx, c.OrganizationID, *c.SourceID)
}

func (r riskClusterResolver) History(ctx context.Context, c *model.RiskCluster, from time.Time, to *time.Time, buckets *int32) ([]*model.RiskClusterPoint, error) {
	now, err := clock(ctx, c.OrganizationID)
	if err != nil {
		return nil, err
	}
	window, err := posture.NewWindow(from, to, int(deref(buckets)), now.At)
	if err != nil {
		return nil, err
	}
	points, err := loader.From(ctx).Histories.Load(ctx, c.OrganizationID, posture.ClusterKey{Cluster: c.Definition.Cluster, Level: c.Level, Window: window})
	return collect(points, func(p posture.Point) *model.RiskClusterPoint {
		return &model.RiskClusterPoint{Point: p, Priority: c.Definition.Priority(p.Paths)}
	}), err
}

// historiesOf reads what a page of clusters came to over time.
func (p *prefetcher) historiesOf(clusters []*posture.Cluster, field selected) error {
	opened := p.open(field)
	if opened == nil {
		return nil
	}
	now, err := clock(p.ctx, p.organization)
	if err != nil {
		return err
	}
	window, err := posture.NewWindow(argument[time.Time](opened, "from"), argument[*time.Time](opened, "to"), int(deref(argument[*int32](opened, "buckets"))), now.At)
	if err != nil {
		return unlessRefused(err)
	}
	_, err = p.scope.Histories.Prefetch(p.ctx, p.organization, collect(clusters, func(c *posture.Cluster) posture.ClusterKey {
		return posture.ClusterKey{Cluster: c.Cluster, Level: c.Level, Window: window}
	}))
	return err
}

func (r authorityPathResolver) Durations(ctx context.Context, p *model.AuthorityPath) ([]*exposure.Duration, error) {
	return durations(ctx, p.OrganizationID, []id.ID{p.Path.ID})
}

func (r lineageResolver) Durations(ctx context.Context, l *model.Lineage) ([]*exposure.Duration, error) {
	paths, err := loader.From(ctx).Lineages.Load(ctx, l.OrganizationID, l.LineageKey)
	if err != nil {
		return nil, err
	}
	return durations(ctx, l.OrganizationID, idsOf(paths))
}

// durations is how long any of the paths was exposed.
func durations(ctx context.Context, organization id.ID, paths []id.ID) ([]*exposure.Duration, error) {
	found, err := loader.From(ctx).Intervals.LoadAll(ctx, organization, paths)
	if err != nil {
		return nil, err
	}
	now, err := clock(ctx, organization)
	if err != nil {
		return nil, err
	}
	var intervals []exposure.Interval
	for _, x := range slices.Concat(found...) {
		intervals = append(intervals, *x)
	}
	return collect(exposure.Durations(intervals, now.At), func(d exposure.Duration) *exposure.Duration { return &d }), nil
}

// intervals reads what durations are made of.
func (p *prefetcher) intervals(paths []*authority.Path) error {
	p.clock = true
	_, err := p.scope.Intervals.Prefetch(p.ctx, p.organization, idsOf(paths))
	return err
}

var _ generated.PostureCauseResolver = postureCauseResolver{}
