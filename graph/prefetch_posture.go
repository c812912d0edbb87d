package graph

import (
	"maps"
	"slices"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// workloadRows reads the workload exposures of a page of workloads.
func (p *prefetcher) workloadRows(workloads []id.ID, fields []selected) error {
	return eachField(workloads, fields, func(workloads []id.ID, field selected) error {
		if field.Name != "workloadExposure" {
			return nil
		}
		found, err := p.scope.WorkloadRows.Prefetch(p.ctx, p.organization, workloads)
		if err != nil {
			return err
		}
		rows := slices.DeleteFunc(slices.Collect(maps.Values(found)), func(w *posture.WorkloadExposure) bool { return w == nil })
		return p.workloadExposures(rows, p.children(field, "WorkloadExposure"))
	})
}

func (p *prefetcher) workloadExposures(rows []*posture.WorkloadExposure, fields []selected) error {
	return eachField(rows, fields, p.workloadExposure)
}

func (p *prefetcher) workloadExposure(rows []*posture.WorkloadExposure, field selected) error {
	workloads := collect(rows, func(w *posture.WorkloadExposure) id.ID { return w.WorkloadID })
	tied := func(kinds ...record.EdgeKind) {
		for _, kind := range kinds {
			each(workloads, func(w id.ID) { p.ties[loader.EdgeKey{Kind: kind, Entity: w}] = true })
		}
	}
	switch field.Name {
	case "workload", "sourceSystem":
		p.want(workloads)
	case "workloadMetadata":
		p.want(workloads)
		each(workloads, func(w id.ID) { p.seen[w] = true })
	case "lastEvaluatedAt":
		p.want(workloads)
		each(workloads, func(w id.ID) { p.seen[w] = true })
		p.clock = true
	case "identities":
		each(rows, func(w *posture.WorkloadExposure) { p.want(w.IdentityIDs) })
	case "identityBindings":
		tied(record.RunsAs, record.Authenticates)
	case "ownershipBreakdown":
		tied(record.OwnedBy, record.CreatedBy)
	case "executionEvidenceSummary", "evidenceCompleteness":
		_, err := p.scope.Dossiers.Prefetch(p.ctx, p.organization, workloads)
		return err
	case "riskClusters":
		return p.clustersOfRows(rows, field)
	case "authorityPaths":
		return p.pathListUnder(authority.UnderWorkload, workloads, field)
	case "exposures":
		return p.exposuresOf(workloads, field)
	}
	return nil
}

// clustersOfRows reads the clusters that rows are in, and what is asked of these.
func (p *prefetcher) clustersOfRows(rows []*posture.WorkloadExposure, field selected) error {
	overview, err := p.scope.Overviews.Load(p.ctx, p.organization, posture.Acknowledged)
	if err != nil {
		return err
	}
	in := slices.DeleteFunc(slices.Clone(overview), func(c *posture.Cluster) bool {
		return !slices.ContainsFunc(rows, func(w *posture.WorkloadExposure) bool { return w.In(c.Cluster) })
	})
	return p.clusters(in, p.children(field, "RiskCluster"))
}

// exposuresOf reads the lists of exposures nested under a page of workload
// exposures.
func (p *prefetcher) exposuresOf(workloads []id.ID, field selected) error {
	opened, asked, ok := p.request(field)
	if !ok {
		return nil
	}
	list := loader.Shared(p.scope, field.Field, p.organization, "workload", &posture.ExposureList{Request: asked})
	pages, err := p.scope.WorkloadLists.Prefetch(p.ctx, p.organization, collect(workloads, func(w id.ID) loader.WorkloadListKey {
		return loader.WorkloadListKey{Workload: w, List: list}
	}))
	if err != nil {
		return unlessRefused(err)
	}
	if p.counts(opened, "Exposure") {
		if _, err := p.scope.WorkloadCounts.Prefetch(p.ctx, p.organization, workloads); err != nil {
			return err
		}
	}
	return p.exposures(rowsOf(pages), p.nodesOf(opened, "Exposure"))
}

func (p *prefetcher) snapshots(snapshots []*posture.Snapshot, fields []selected) error {
	return eachField(snapshots, fields, p.snapshot)
}

// snapshot reads the syncs that snapshots follow.
func (p *prefetcher) snapshot(snapshots []*posture.Snapshot, field selected) error {
	if field.Name != "sync" {
		return nil
	}
	var ids []id.ID
	for _, s := range snapshots {
		if s.SyncID != nil {
			ids = append(ids, *s.SyncID)
		}
	}
	syncs, err := p.scope.Syncs.Prefetch(p.ctx, p.organization, ids)
	if err != nil {
		return err
	}
	for _, child := range p.children(field, "Sync") {
		if child.Name == "source" {
			sources := map[id.ID]bool{}
			for _, s := range syncs {
				sources[s.SourceID] = true
			}
			if _, err := p.scope.Sources.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(sources))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *prefetcher) clusters(clusters []*posture.Cluster, fields []selected) error {
	return eachField(clusters, fields, p.cluster)
}

func (p *prefetcher) cluster(clusters []*posture.Cluster, field selected) error {
	switch field.Name {
	case "authorityPaths":
		return p.clusterPaths(clusters, field)
	case "workloads":
		return p.clusterParts(clusters, posture.Workloads, field)
	case "identities":
		return p.clusterParts(clusters, posture.Identities, field)
	case "history":
		return p.historiesOf(clusters, field)
	}
	return nil
}

// clusterPaths reads the lists of paths of a page of clusters, which are all of
// one level.
func (p *prefetcher) clusterPaths(clusters []*posture.Cluster, field selected) error {
	opened, asked, ok := p.request(field)
	if !ok {
		return nil
	}
	list, err := clusterList(clusters[0], asked, argument[*generated.AuthorityPathFilter](opened, "filter"), argument[*generated.AuthorityPathOrder](opened, "orderBy"))
	if err != nil {
		return unlessRefused(err)
	}
	list = loader.Shared(p.scope, field.Field, p.organization, underCluster(clusters[0]), list)
	keys := collect(clusters, func(c *posture.Cluster) loader.ClusterListKey {
		return loader.ClusterListKey{Cluster: c.Cluster, List: list}
	})
	pages, err := p.scope.ClusterLists.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return unlessRefused(err)
	}
	if !list.Filter.Empty() && p.counts(opened, "AuthorityPath") {
		if _, err := p.scope.ClusterCounts.Prefetch(p.ctx, p.organization, keys); err != nil {
			return err
		}
	}
	return p.paths(pathsOn(pages), p.nodesOf(opened, "AuthorityPath"))
}

func (p *prefetcher) clusterParts(clusters []*posture.Cluster, part posture.Part, field selected) error {
	_, asked, ok := p.request(field)
	if !ok {
		return nil
	}
	list := loader.Shared(p.scope, field.Field, p.organization, underCluster(clusters[0]),
		&posture.PartList{Part: part, Level: clusters[0].Level, Request: asked})
	pages, err := p.scope.ClusterParts.Prefetch(p.ctx, p.organization, collect(clusters, func(c *posture.Cluster) loader.ClusterPartKey {
		return loader.ClusterPartKey{Cluster: c.Cluster, List: list}
	}))
	if err != nil {
		return unlessRefused(err)
	}
	for _, found := range pages {
		p.want(found.Rows)
	}
	return nil
}

// memberships reads the clusters that paths are members of, and what is asked of
// these.
func (p *prefetcher) memberships(paths []*authority.Path, field selected) error {
	memberships, err := p.scope.Memberships.Prefetch(p.ctx, p.organization, idsOf(paths))
	if err != nil {
		return err
	}
	numbers := map[int16]bool{}
	for _, of := range memberships {
		each(of, func(cluster int16) { numbers[cluster] = true })
	}
	if len(numbers) == 0 {
		return nil
	}
	overview, err := p.scope.Overviews.Load(p.ctx, p.organization, posture.Acknowledged)
	if err != nil {
		return err
	}
	members := slices.DeleteFunc(slices.Clone(overview), func(c *posture.Cluster) bool { return !numbers[c.Cluster] })
	return p.clusters(members, p.children(field, "RiskCluster"))
}
