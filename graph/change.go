package graph

import (
	"context"
	"math"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

func (r organizationResolver) ExposureChanges(ctx context.Context, o *model.Organization, first *int32, after *string, last *int32, before *string,
	input *generated.ExposureChangeFilter, orderBy *generated.ExposureChangeOrder, asOf *time.Time,
) (*model.ExposureChangeConnection, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	organization, snapshot := o.Organization.ID, loader.From(ctx).Snapshot
	filter := changeFilter(organization, input)
	descending := orderBy == nil || orderBy.Direction == generated.OrderDirectionDesc
	list, err := r.changes.Changes(ctx, snapshot, organization, filter, descending, pageRequest(first, after, last, before))
	if err != nil {
		return nil, err
	}
	if err := prefetch(ctx, organization, func(p *prefetcher) error {
		return p.changes(list.Rows, p.nodes("ExposureChange"))
	}); err != nil {
		return nil, err
	}
	return model.Connect(list.Slice, model.NewExposureChange, list.Cursor, func(ctx context.Context) (int, error) {
		return r.changes.Count(ctx, snapshot, organization, filter)
	}), nil
}

// changeFilter is a filter of the feed, of a list or of the live one.
func changeFilter(organization id.ID, input *generated.ExposureChangeFilter) change.Filter {
	if input == nil {
		return change.Filter{}
	}
	filter := change.Filter{
		Types: input.Type, EntityTypes: input.EntityType, Severities: input.Severity,
		Scans:     openIDs(model.TypeSync, organization, input.Scan),
		Assets:    openIDs(model.TypeAsset, organization, input.Asset),
		Paths:     openIDs(model.TypeAuthorityPath, organization, input.Path),
		Workloads: openIDs(model.TypeWorkload, organization, input.Workload),
		After:     input.OccurredAfter, Before: input.OccurredBefore,
	}
	for _, text := range input.Lineage {
		filter.Lineages = append(filter.Lineages, lineageID(organization, text))
	}
	for _, text := range input.Exposure {
		filter.Exposures = append(filter.Exposures, exposureKey(organization, text))
	}
	return filter
}

// lineageID is the lineage that an id names; the id of nothing, which matches no
// row, for an id of anything else or of another organization.
func lineageID(organization id.ID, text string) id.ID {
	opened, ok := model.ParseID(text)
	if !ok || opened.Type != model.TypeLineage || opened.Organization != organization {
		return id.Nil
	}
	return id.Lineage(organization, opened.Parts[0], opened.Parts[1])
}

// exposureKey is the exposure that an id names, likewise.
func exposureKey(organization id.ID, text string) exposure.Key {
	opened, _ := model.ParseID(text)
	key, ok := opened.ExposureKey()
	if !ok || opened.Organization != organization {
		return exposure.Key{}
	}
	return key
}

func (r organizationResolver) ExposureChange(ctx context.Context, o *model.Organization, text string) (*model.ExposureChange, error) {
	opened, ok := model.ParseID(text)
	if !ok || opened.Organization != o.Organization.ID {
		return nil, nil
	}
	return changeOf(ctx, opened)
}

// changeOf is the event of a global id; nil if it names none.
func changeOf(ctx context.Context, i model.ID) (*model.ExposureChange, error) {
	key, ok := i.ChangeKey()
	if !ok {
		return nil, nil
	}
	e, err := loader.From(ctx).Changes.Load(ctx, i.Organization, key)
	if err != nil || e == nil {
		return nil, err
	}
	return model.NewExposureChange(e), nil
}

func (r organizationResolver) ExposureChangeFeed(ctx context.Context, o *model.Organization) (*generated.ExposureChangeFeed, error) {
	feed, err := r.changes.Feed(ctx, loader.From(ctx).Snapshot, o.Organization.ID)
	if err != nil {
		return nil, err
	}
	return &generated.ExposureChangeFeed{
		Seq: feed.Seq, Cursor: change.EncodeCursor(o.Organization.ID, feed.Seq), Pending: narrow(feed.Pending), Failures: narrow(feed.Failures)}, nil
}

func (r organizationResolver) ExposureChangeSummary(ctx context.Context, o *model.Organization, days *int32, asOf *time.Time) (*generated.ExposureChangeSummary, error) {
	if err := reaches(ctx, o, asOf); err != nil {
		return nil, err
	}
	s, err := r.changes.Summary(ctx, loader.From(ctx).Snapshot, o.Organization.ID, int(deref(days)))
	if err != nil || s == nil {
		return nil, err
	}
	return &generated.ExposureChangeSummary{
		From: s.From, To: s.To, Days: narrow(s.Days), Total: s.Total, PreviousTotal: s.Previous,
		ByType: collect(s.ByType, func(c change.TypeCount) *generated.ExposureChangeTypeCount {
			return &generated.ExposureChangeTypeCount{Type: c.Type, Count: c.Count, Previous: c.Previous}
		}),
		BySeverity: collect(s.BySeverity, func(c change.SeverityCount) *generated.ExposureChangeSeverityCount {
			return &generated.ExposureChangeSeverityCount{Severity: unlessNone(c.Severity), Count: c.Count, Previous: c.Previous}
		}),
		ByDay: collect(s.ByDay, func(d change.DayCount) *generated.ExposureChangeDay {
			return &generated.ExposureChangeDay{
				Date: d.Day.Format("2006-01-02"), Count: d.Count,
				BySeverity: collect(d.BySeverity, func(c change.SeverityCount) *generated.ExposureChangeDayCount {
					return &generated.ExposureChangeDayCount{Severity: unlessNone(c.Severity), Count: c.Count}
				}),
			}
		}),
	}, nil
}

func unlessNone(s rule.Severity) *rule.Severity {
	if s == 0 {
		return nil
	}
	return &s
}

// The events of a path, of a lineage and of an exposure.

func (r authorityPathResolver) Changes(ctx context.Context, p *model.AuthorityPath, first *int32, after *string, last *int32, before *string,
	input *generated.ExposureChangeFilter,
) (*model.ExposureChangeConnection, error) {
	return changesOf(ctx, p.OrganizationID, historyOfPath(p.OrganizationID, &p.Path), pageRequest(first, after, last, before), input)
}

func (r lineageResolver) Changes(ctx context.Context, l *model.Lineage, first *int32, after *string, last *int32, before *string,
	input *generated.ExposureChangeFilter,
) (*model.ExposureChangeConnection, error) {
	return changesOf(ctx, l.OrganizationID, historyOfLineage(l.OrganizationID, l.LineageKey), pageRequest(first, after, last, before), input)
}

func (r exposureResolver) Changes(ctx context.Context, x *model.Exposure, first *int32, after *string, last *int32, before *string,
	input *generated.ExposureChangeFilter,
) (*model.ExposureChangeConnection, error) {
	p, err := loader.From(ctx).Paths.Load(ctx, x.OrganizationID, x.PathID)
	if err != nil || p == nil {
		return nil, err
	}
	return changesOf(ctx, x.OrganizationID, historyOfExposure(x.OrganizationID, p, x.Key), pageRequest(first, after, last, before), input)
}

func changesOf(ctx context.Context, organization id.ID, of change.History, request page.Request, input *generated.ExposureChangeFilter) (*model.ExposureChangeConnection, error) {
	scope := loader.From(ctx)
	field := graphql.GetFieldContext(ctx).Field.Field
	list := &change.List{Filter: changeFilter(organization, input), Request: request}
	key := loader.ChangeListKey{Of: of, List: loader.Shared(scope, field, organization, "changes", list)}
	found, err := scope.ChangeLists.Load(ctx, organization, key)
	if err != nil {
		return nil, err
	}
	return model.Connect(found.Slice, model.NewExposureChange, found.Cursor, func(ctx context.Context) (int, error) {
		return scope.ChangeCounts.Load(ctx, organization, key)
	}), nil
}

// What an event names.

func (r exposureChangeResolver) CausedBy(ctx context.Context, c *model.ExposureChange) (*model.ExposureChange, error) {
	found, err := loader.From(ctx).Changes.LoadAll(ctx, c.OrganizationID, c.Causes())
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		if e != nil {
			return model.NewExposureChange(e), nil
		}
	}
	return nil, nil
}

// Actors of an event are those of the entry of the ledger that says why.
func (r exposureChangeResolver) Actors(ctx context.Context, c *model.ExposureChange) ([]string, error) {
	if c.LedgerSeq == nil {
		return []string{}, nil
	}
	entry, err := loader.From(ctx).LedgerEntries.Load(ctx, c.OrganizationID, *c.LedgerSeq)
	if err != nil || entry == nil {
		return []string{}, err
	}
	return model.Subjects(entry.Actors), nil
}

func (r exposureChangeResolver) LineageID(ctx context.Context, c *model.ExposureChange) (*string, error) {
	p, err := r.Path(ctx, c)
	if err != nil || p == nil {
		return nil, err
	}
	lineage := p.LineageID()
	return &lineage, nil
}

func (r exposureChangeResolver) Path(ctx context.Context, c *model.ExposureChange) (*model.AuthorityPath, error) {
	if c.PathID() == nil {
		return nil, nil
	}
	p, err := loader.From(ctx).Paths.Load(ctx, c.OrganizationID, *c.PathID())
	if err != nil || p == nil {
		return nil, err
	}
	return showPath(p), nil
}

func (r exposureChangeResolver) Exposure(ctx context.Context, c *model.ExposureChange) (*model.Exposure, error) {
	key, ok := c.ExposureKey()
	if !ok {
		return nil, nil
	}
	x, err := loader.From(ctx).Exposures.Load(ctx, c.OrganizationID, key)
	if err != nil || x == nil {
		return nil, err
	}
	return showExposure(x), nil
}

func (r exposureChangeResolver) Workload(ctx context.Context, c *model.ExposureChange) (*model.Workload, error) {
	if c.WorkloadID == nil {
		return nil, nil
	}
	return workload(ctx, c.OrganizationID, *c.WorkloadID)
}

func (r exposureChangeResolver) Asset(ctx context.Context, c *model.ExposureChange) (*model.Asset, error) {
	return assetOf(ctx, c.OrganizationID, c.AssetID)
}

func (r exposureChangeResolver) Sync(ctx context.Context, c *model.ExposureChange) (*model.Sync, error) {
	if c.Event.ScanID == nil {
		return nil, nil
	}
	s, err := loader.From(ctx).Syncs.Load(ctx, c.OrganizationID, *c.Event.ScanID)
	if err != nil || s == nil {
		return nil, err
	}
	return &model.Sync{SyncRow: *s}, nil
}

func (r exposureChangeResolver) Source(ctx context.Context, c *model.ExposureChange) (*model.Source, error) {
	if c.Event.ScanJobID == nil {
		return nil, nil
	}
	return source(ctx, c.OrganizationID, *c.Event.ScanJobID)
}

// narrow is a number as Int has it.
func narrow(n int) int32 { return int32(min(n, math.MaxInt32)) } //nolint:gosec // bounded
