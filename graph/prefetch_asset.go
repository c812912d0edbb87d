package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

func (p *prefetcher) assets(assets []*asset.Asset, fields []selected) error {
	each(assets, func(a *asset.Asset) { p.scope.Assets.Prime(p.ctx, p.organization, a.ID, a) })
	return eachField(assets, fields, p.asset)
}

func (p *prefetcher) asset(assets []*asset.Asset, field selected) error {
	ids := collect(assets, func(a *asset.Asset) id.ID { return a.ID })
	var err error
	switch field.Name {
	case "lastSeenAt":
		_, err = p.scope.AssetSeen.Prefetch(p.ctx, p.organization, ids)
	case "parent":
		return p.assetsNamed(namedBy(assets, func(a *asset.Asset) *id.ID { return a.ParentID }), field)
	case "host":
		return p.assetsNamed(namedBy(assets, func(a *asset.Asset) *id.ID { return model.NewAsset(a).HostID() }), field)
	case "parts":
		return p.partsUnder(ids, field)
	case "certificates", "services", "hosts", "names":
		return p.tiedTo(ids, field)
	case "discoveredBy":
		return p.discoveries(ids, field)
	case "sightings":
		return p.sightings(ids, field)
	case "versions":
		if most, ok := p.most(field); ok {
			_, err = p.scope.AssetStates.Prefetch(p.ctx, p.organization, mostKeys(ids, most))
		}
	case "file":
		_, err = p.scope.Files.Prefetch(p.ctx, p.organization, filesAmong(assets))
	case "workloads":
		return p.workloadsBehind(ids, field)
	case "changes":
		return p.changesUnder(collect(assets, func(a *asset.Asset) change.History { return historyOfAsset(a) }), field)
	}
	return err
}

func filesAmong(assets []*asset.Asset) (ids []id.ID) {
	for _, a := range assets {
		if a.Kind == record.FileAsset {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// assetsNamed reads assets that a field gives one by one.
func (p *prefetcher) assetsNamed(ids []id.ID, field selected) error {
	found, err := p.scope.Assets.Prefetch(p.ctx, p.organization, ids)
	if err != nil {
		return err
	}
	return p.assets(rowsThere(found), p.children(field, "Asset"))
}

func (p *prefetcher) partsUnder(parents []id.ID, field selected) error {
	opened, asked, ok := p.request(field)
	if !ok {
		return nil
	}
	keys := p.assetLists(parents, field, opened, asset.List{Request: asked})
	pages, err := p.scope.Parts.Prefetch(p.ctx, p.organization, keys)
	if err == nil && p.counts(opened, "Asset") {
		_, err = p.scope.PartCounts.Prefetch(p.ctx, p.organization, keys)
	}
	if err != nil {
		return unlessRefused(err)
	}
	var parts []*asset.Asset
	for _, found := range pages {
		parts = append(parts, found.Rows...)
	}
	return p.assets(parts, p.nodesOf(opened, "Asset"))
}

// assetLists are the lists of a field under several parents.
func (p *prefetcher) assetLists(parents []id.ID, field selected, opened *graphql.FieldContext, list asset.List) []loader.AssetListKey {
	list.Filter = assetFilter(p.organization, argument[*generated.AssetFilter](opened, "filter"))
	of := loader.Shared(p.scope, field.Field, p.organization, "assets", &list)
	return collect(parents, func(parent id.ID) loader.AssetListKey { return loader.AssetListKey{Parent: parent, List: of} })
}

func (p *prefetcher) tiedTo(ids []id.ID, field selected) error {
	keys := collect(ids, func(of id.ID) loader.AssetTieKey {
		key := assetTies[field.Name]
		key.Asset = of
		return key
	})
	found, err := p.scope.AssetTies.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return err
	}
	var ends []*asset.Asset
	for _, list := range found {
		ends = append(ends, list...)
	}
	return p.assets(ends, p.children(field, "Asset"))
}

func (p *prefetcher) discoveries(ids []id.ID, field selected) error {
	found, err := p.scope.Discoveries.Prefetch(p.ctx, p.organization, ids)
	if err != nil {
		return err
	}
	var syncs []id.ID
	each(rowsThere(found), func(sync *id.ID) { syncs = append(syncs, *sync) })
	return p.syncs(syncs, field)
}

// most is how many rows a list without cursors is asked for.
func (p *prefetcher) most(field selected) (int, bool) {
	opened := p.open(field)
	if opened == nil {
		return 0, false
	}
	most, err := listSize(argument[*int32](opened, "first"))
	return most, err == nil
}

func mostKeys(ids []id.ID, most int) []loader.AssetMostKey {
	return collect(ids, func(of id.ID) loader.AssetMostKey { return loader.AssetMostKey{Asset: of, Most: most} })
}

func (p *prefetcher) sightings(ids []id.ID, field selected) error {
	most, ok := p.most(field)
	if !ok {
		return nil
	}
	found, err := p.scope.Sightings.Prefetch(p.ctx, p.organization, mostKeys(ids, most))
	if err != nil {
		return err
	}
	for _, child := range p.children(field, "AssetSighting") {
		if child.Name != "source" {
			continue
		}
		var sources []id.ID
		for _, list := range found {
			each(list, func(g *asset.Sighting) { sources = append(sources, g.SourceID) })
		}
		_, err := p.scope.Sources.Prefetch(p.ctx, p.organization, sources)
		return err
	}
	return nil
}

func (p *prefetcher) workloadsBehind(ids []id.ID, field selected) error {
	opened, asked, ok := p.request(field)
	if !ok {
		return nil
	}
	keys := p.assetLists(ids, field, opened, asset.List{Request: asked})
	pages, err := p.scope.WorkloadsBehind.Prefetch(p.ctx, p.organization, keys)
	if err == nil && p.counts(opened, "AssetWorkload") {
		_, err = p.scope.WorkloadBehindCounts.Prefetch(p.ctx, p.organization, ids)
	}
	if err != nil {
		return unlessRefused(err)
	}
	var links []*asset.LinkedWorkload
	for _, found := range pages {
		links = append(links, found.Rows...)
	}
	workloads := namedBy(links, func(w *asset.LinkedWorkload) *id.ID { return &w.WorkloadID })
	p.want(workloads)
	return p.workloads(workloads, p.nodesIn(opened, "AssetWorkload", "Workload"))
}

// workloads reads what hangs under workloads.
func (p *prefetcher) workloads(workloads []id.ID, fields []selected) error {
	if err := p.workloadRows(workloads, fields); err != nil {
		return err
	}
	if err := p.pathsUnder(authority.UnderWorkload, workloads, fields); err != nil {
		return err
	}
	return eachField(workloads, fields, p.assetsOfWorkloads)
}

func (p *prefetcher) assetsOfWorkloads(workloads []id.ID, field selected) error {
	if field.Name != "assets" {
		return nil
	}
	opened, asked, ok := p.request(field)
	if !ok {
		return nil
	}
	keys := p.assetLists(workloads, field, opened, asset.List{Request: asked})
	pages, err := p.scope.WorkloadAssets.Prefetch(p.ctx, p.organization, keys)
	if err == nil && p.counts(opened, "WorkloadAsset") {
		_, err = p.scope.WorkloadAssetCounts.Prefetch(p.ctx, p.organization, keys)
	}
	if err != nil {
		return unlessRefused(err)
	}
	var assets []*asset.Asset
	for _, found := range pages {
		each(found.Rows, func(a *asset.LinkedAsset) { assets = append(assets, &a.Asset) })
	}
	return p.assets(assets, p.nodesIn(opened, "WorkloadAsset", "Asset"))
}
