package graph

import (
	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Whose events hang under a path, a lineage and an exposure. Those of a path and of
// a lineage have the rotations of the workload among them.

func historyOfPath(organization id.ID, p *authority.Path) change.History {
	return change.History{LineageID: id.Lineage(organization, p.WorkloadID, p.ResourceID), PathID: p.ID, WorkloadID: p.WorkloadID}
}

func historyOfLineage(organization id.ID, l authority.LineageKey) change.History {
	return change.History{LineageID: id.Lineage(organization, l.WorkloadID, l.ResourceID), WorkloadID: l.WorkloadID}
}

// Events of an asset stand under the asset itself.
func historyOfAsset(a *asset.Asset) change.History { return change.History{LineageID: a.ID} }

func historyOfExposure(organization id.ID, p *authority.Path, key exposure.Key) change.History {
	return change.History{LineageID: id.Lineage(organization, p.WorkloadID, p.ResourceID), PathID: p.ID, Type: key.Type, Ordinal: key.Ordinal}
}

// changesUnder reads the lists of events that hang under a page of something.
func (p *prefetcher) changesUnder(of []change.History, field selected) error {
	opened, asked, ok := p.request(field)
	if !ok {
		return nil
	}
	list := &change.List{Filter: changeFilter(p.organization, argument[*generated.ExposureChangeFilter](opened, "filter")), Request: asked}
	list = loader.Shared(p.scope, field.Field, p.organization, "changes", list)
	keys := collect(of, func(h change.History) loader.ChangeListKey { return loader.ChangeListKey{Of: h, List: list} })
	pages, err := p.scope.ChangeLists.Prefetch(p.ctx, p.organization, keys)
	if err == nil && p.counts(opened, "ExposureChange") {
		_, err = p.scope.ChangeCounts.Prefetch(p.ctx, p.organization, keys)
	}
	if err != nil {
		return unlessRefused(err)
	}
	var events []*change.Event
	for _, found := range pages {
		events = append(events, found.Rows...)
	}
	return p.changes(events, p.nodesOf(opened, "ExposureChange"))
}

// exposureChangesUnder reads the events that hang under a page of exposures.
func (p *prefetcher) exposureChangesUnder(exposures []*exposure.Exposure, field selected) error {
	paths, err := p.scope.Paths.Prefetch(p.ctx, p.organization, collect(exposures, func(x *exposure.Exposure) id.ID { return x.PathID }))
	if err != nil {
		return err
	}
	var of []change.History
	for _, x := range exposures {
		if path := paths[x.PathID]; path != nil {
			of = append(of, historyOfExposure(p.organization, path, x.Key))
		}
	}
	return p.changesUnder(of, field)
}

func (p *prefetcher) changes(events []*change.Event, fields []selected) error {
	each(events, func(e *change.Event) { p.scope.Changes.Prime(p.ctx, p.organization, e.Key(), e) })
	return eachField(events, fields, p.change)
}

func (p *prefetcher) change(events []*change.Event, field selected) error {
	switch field.Name {
	case "workload":
		each(events, func(e *change.Event) {
			if e.WorkloadID != nil {
				p.entities[*e.WorkloadID] = true
			}
		})
	case "actors":
		seqs := make([]*int64, len(events))
		for i, e := range events {
			seqs[i] = e.LedgerSeq
		}
		return p.decision(seqs)
	case "path", "lineageId":
		return p.pathsOfChanges(events, field)
	case "exposure":
		return p.exposuresOfChanges(events, field)
	case "sync":
		return p.syncsOfChanges(events, field)
	case "asset":
		return p.assetsNamed(namedBy(events, func(e *change.Event) *id.ID { return e.AssetID }), field)
	case "source":
		_, err := p.scope.Sources.Prefetch(p.ctx, p.organization, namedBy(events, func(e *change.Event) *id.ID { return e.ScanJobID }))
		return err
	case "causedBy":
		return p.causes(events, field)
	}
	return nil
}

func (p *prefetcher) pathsOfChanges(events []*change.Event, field selected) error {
	found, err := p.scope.Paths.Prefetch(p.ctx, p.organization, namedBy(events, func(e *change.Event) *id.ID { return model.NewExposureChange(e).PathID() }))
	if err != nil || field.Name == "lineageId" {
		return err
	}
	return p.paths(rowsThere(found), p.children(field, "AuthorityPath"))
}

func (p *prefetcher) exposuresOfChanges(events []*change.Event, field selected) error {
	var keys []exposure.Key
	for _, e := range events {
		if key, ok := model.NewExposureChange(e).ExposureKey(); ok {
			keys = append(keys, key)
		}
	}
	found, err := p.scope.Exposures.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return err
	}
	return p.exposures(rowsThere(found), p.children(field, "Exposure"))
}

func (p *prefetcher) syncsOfChanges(events []*change.Event, field selected) error {
	return p.syncs(namedBy(events, func(e *change.Event) *id.ID { return e.ScanID }), field)
}

// syncs reads the syncs that a field gives, and what is asked of them.
func (p *prefetcher) syncs(ids []id.ID, field selected) error {
	found, err := p.scope.Syncs.Prefetch(p.ctx, p.organization, ids)
	if err != nil {
		return err
	}
	for _, child := range p.children(field, "Sync") {
		if child.Name == "source" {
			_, err := p.scope.Sources.Prefetch(p.ctx, p.organization, collect(rowsThere(found), func(s *authority.SyncRow) id.ID { return s.SourceID }))
			return err
		}
	}
	return nil
}

func (p *prefetcher) causes(events []*change.Event, field selected) error {
	var keys []change.Key
	each(events, func(e *change.Event) { keys = append(keys, e.Causes()...) })
	found, err := p.scope.Changes.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return err
	}
	return eachField(rowsThere(found), p.children(field, "ExposureChange"), p.change)
}
