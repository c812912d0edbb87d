package graph

import (
	"context"
	"maps"
	"slices"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// prefetch reads what the selected fields of a page will load, lists nested in
// lists included: one statement for each kind of row, however many rows and
// however busy the machine. It is called by the resolver of the page; begin says
// what stands on it.
func prefetch(ctx context.Context, organization id.ID, begin func(*prefetcher) error) error {
	p := &prefetcher{
		// What is wrong with the arguments of a nested field is said by its own
		// resolver, not twice.
		ctx:   graphql.WithResponseContext(ctx, graphql.DefaultErrorPresenter, graphql.DefaultRecover),
		scope: loader.From(ctx), operation: graphql.GetOperationContext(ctx), organization: organization,
		entities: map[id.ID]bool{}, ties: map[loader.EdgeKey]bool{}, seen: map[id.ID]bool{}, linked: map[id.ID]bool{}, known: map[id.ID]*authority.Path{},
	}
	if err := begin(p); err != nil {
		return err
	}
	return p.finish()
}

type prefetcher struct {
	ctx          context.Context // of the resolver: it lives as long as the prefetch
	scope        *loader.Scope
	operation    *graphql.OperationContext
	organization id.ID
	entities     map[id.ID]bool
	ties         map[loader.EdgeKey]bool   // whose other ends are wanted, too
	seen         map[id.ID]bool            // workloads of which the last sync is asked
	linked       map[id.ID]bool            // paths of which predecessor or successor is asked
	clock        bool                      // whether the organization's time is asked
	known        map[id.ID]*authority.Path // paths that were read already
}

// selected is a field of a selection set and the field around it, which knows
// how to decode its arguments.
type selected struct {
	graphql.CollectedField
	around *graphql.FieldContext
}

// own are the selected fields of the object that is being resolved.
func (p *prefetcher) own(object string) []selected {
	return p.fields(graphql.GetFieldContext(p.ctx), object)
}

// nodes are the selected fields of the nodes of the connection that is being
// resolved.
func (p *prefetcher) nodes(node string) []selected {
	return p.nodesOf(graphql.GetFieldContext(p.ctx), node)
}

func (p *prefetcher) fields(around *graphql.FieldContext, object string) []selected {
	if around == nil {
		return nil
	}
	var fields []selected
	for _, field := range graphql.CollectFields(p.operation, around.Field.Selections, []string{object, "Node", "Entity"}) {
		fields = append(fields, selected{field, around})
	}
	return fields
}

// open is the field in its place; nil if its arguments do not decode.
func (p *prefetcher) open(field selected) *graphql.FieldContext {
	opened, err := field.around.Child(p.ctx, field.CollectedField)
	if err != nil {
		return nil
	}
	return opened
}

// children are the selected fields of the object that a field gives.
func (p *prefetcher) children(field selected, object string) []selected {
	return p.fields(p.open(field), object)
}

func (p *prefetcher) nodesOf(connection *graphql.FieldContext, node string) (fields []selected) {
	for _, field := range p.fields(connection, node+"Connection") {
		switch field.Name {
		case "nodes":
			fields = append(fields, p.children(field, node)...)
		case "edges":
			for _, edge := range p.children(field, node+"Edge") {
				if edge.Name == "node" {
					fields = append(fields, p.children(edge, node)...)
				}
			}
		}
	}
	return fields
}

// counts says whether a connection's totalCount is asked.
func (p *prefetcher) counts(connection *graphql.FieldContext, node string) bool {
	return slices.ContainsFunc(p.fields(connection, node+"Connection"), func(f selected) bool { return f.Name == "totalCount" })
}

// argument is an argument of an opened field; the zero value where it was left out.
func argument[T any](field *graphql.FieldContext, name string) (zero T) {
	value, ok := field.Args[name].(T)
	if !ok {
		return zero
	}
	return value
}

// request is the page that an opened field asks for; ok is false for one with a
// cursor, which belongs to one parent and is read by its loader.
func request(field *graphql.FieldContext) (r page.Request, ok bool) {
	r = pageRequest(argument[*int32](field, "first"), argument[*string](field, "after"), argument[*int32](field, "last"), argument[*string](field, "before"))
	return r, r.After == nil && r.Before == nil
}

// unlessRefused leaves what is wrong with a nested list to its own resolver.
func unlessRefused(err error) error {
	if err != nil && problem.KindOf(err) == problem.Invalid {
		return nil
	}
	return err
}

func (p *prefetcher) paths(paths []*authority.Path, fields []selected) error {
	for _, path := range paths {
		p.known[path.ID] = path
	}
	if len(paths) == 0 {
		return nil
	}
	for _, field := range fields {
		if err := p.path(paths, field); err != nil {
			return err
		}
	}
	return nil
}

func (p *prefetcher) path(paths []*authority.Path, field selected) error {
	switch field.Name {
	case "workload", "sourceSystem":
		each(paths, func(path *authority.Path) { p.entities[path.WorkloadID] = true })
	case "identity":
		each(paths, func(path *authority.Path) {
			if path.IdentityID != nil {
				p.entities[*path.IdentityID] = true
			}
		})
	case "destination":
		each(paths, func(path *authority.Path) { p.entities[path.ResourceID] = true })
	case "roles", "viaRoles":
		each(paths, func(path *authority.Path) { p.want(path.RoleIDs) })
	case "lastSeenAt":
		each(paths, func(path *authority.Path) { p.seen[path.WorkloadID] = true })
	case "predecessor", "successor":
		each(paths, func(path *authority.Path) { p.linked[path.ID] = true })
	case "lineage":
		return p.lineages(paths, field)
	case "versions":
		return p.versions(paths, field)
	case "exposures":
		return p.exposuresUnder(paths, field)
	case "riskClusters", "primaryCluster":
		return p.memberships(paths, field)
	case "justifications":
		_, err := p.scope.Justifications.Prefetch(p.ctx, p.organization, collect(paths, func(path *authority.Path) id.ID { return path.ID }))
		return err
	}
	return nil
}

func each[T any](list []T, want func(T)) {
	for _, row := range list {
		want(row)
	}
}

func (p *prefetcher) want(ids []id.ID) {
	for _, entity := range ids {
		p.entities[entity] = true
	}
}

func (p *prefetcher) lineages(paths []*authority.Path, field selected) error {
	var routes []selected
	read := false
	for _, child := range p.children(field, "Lineage") {
		switch child.Name {
		case "firstSeenAt":
			read = true
		case "routes", "paths":
			read = true
			routes = append(routes, p.children(child, "AuthorityPath")...)
		case "workload":
			each(paths, func(path *authority.Path) { p.entities[path.WorkloadID] = true })
		case "destination":
			each(paths, func(path *authority.Path) { p.entities[path.ResourceID] = true })
		}
	}
	if !read {
		return nil
	}
	keys := make([]authority.LineageKey, len(paths))
	for i, path := range paths {
		keys[i] = authority.LineageKey{WorkloadID: path.WorkloadID, ResourceID: path.ResourceID}
	}
	lineages, err := p.scope.Lineages.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return err
	}
	var all []*authority.Path
	for _, lineage := range lineages {
		all = append(all, lineage...)
	}
	return p.paths(all, routes)
}

// window is the page of versions that a field asks for, if it can be read ahead.
func (p *prefetcher) window(field selected) (opened *graphql.FieldContext, window authority.VersionWindow, ok bool) {
	opened = p.open(field)
	if opened == nil || argument[*string](opened, "after") != nil {
		return nil, window, false
	}
	window, _, err := versionWindow(argument[*int32](opened, "first"), nil, id.Nil)
	return opened, window, err == nil
}

func (p *prefetcher) versions(paths []*authority.Path, field selected) error {
	opened, window, ok := p.window(field)
	if !ok {
		return nil
	}
	keys := make([]loader.VersionKey, len(paths))
	for i, path := range paths {
		keys[i] = loader.VersionKey{Path: path.ID, Window: window}
	}
	versions, err := p.scope.Versions.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return err
	}
	for _, child := range p.nodesOf(opened, "AuthorityPathVersion") {
		if child.Name == "viaRoles" {
			for _, list := range versions {
				each(list, func(version *authority.PathVersion) { p.want(version.RoleIDs) })
			}
		}
	}
	return nil
}

// pathsUnder reads the lists of paths nested under a page of entities.
func (p *prefetcher) pathsUnder(parent authority.Parent, entities []id.ID, fields []selected) error {
	for _, field := range fields {
		if field.Name != "authorityPaths" || len(entities) == 0 {
			continue
		}
		opened := p.open(field)
		if opened == nil {
			continue
		}
		asked, ok := request(opened)
		if !ok {
			continue
		}
		list, err := pathList(p.organization, parent, asked, argument[*generated.AuthorityPathFilter](opened, "filter"),
			argument[*generated.AuthorityPathOrder](opened, "orderBy"), argument[*bool](opened, "includeRemoved"))
		if err != nil {
			continue
		}
		list = loader.Shared(p.scope, field.Field, p.organization, string(parent), list)
		keys := make([]loader.PathListKey, len(entities))
		for i, e := range entities {
			keys[i] = loader.PathListKey{Parent: e, List: list}
		}
		pages, err := p.scope.PathLists.Prefetch(p.ctx, p.organization, keys)
		if err == nil && p.counts(opened, "AuthorityPath") && !countedByRow(opened) {
			_, err = p.scope.PathCounts.Prefetch(p.ctx, p.organization, keys)
		}
		if err != nil {
			if err := unlessRefused(err); err != nil {
				return err
			}
			continue
		}
		var paths []*authority.Path
		for _, found := range pages {
			paths = append(paths, found.Rows...)
		}
		if err := p.paths(paths, p.nodesOf(opened, "AuthorityPath")); err != nil {
			return err
		}
	}
	return nil
}

// countedByRow says whether the row that a list of paths hangs under knows how
// many there are: of a workload exposure, those that stand.
func countedByRow(list *graphql.FieldContext) bool {
	return list.Field.ObjectDefinition.Name == "WorkloadExposure" &&
		argument[*generated.AuthorityPathFilter](list, "filter") == nil && !deref(argument[*bool](list, "includeRemoved"))
}

// workloadRows reads the workload exposures of a page of workloads.
func (p *prefetcher) workloadRows(kind record.EntityKind, workloads []id.ID, fields []selected) error {
	for _, field := range fields {
		if kind != record.Workload || field.Name != "workloadExposure" || len(workloads) == 0 {
			continue
		}
		found, err := p.scope.WorkloadRows.Prefetch(p.ctx, p.organization, workloads)
		if err != nil {
			return err
		}
		rows := slices.DeleteFunc(slices.Collect(maps.Values(found)), func(w *posture.WorkloadExposure) bool { return w == nil })
		if err := p.workloadExposures(rows, p.children(field, "WorkloadExposure")); err != nil {
			return err
		}
	}
	return nil
}

func (p *prefetcher) workloadExposures(rows []*posture.WorkloadExposure, fields []selected) error {
	if len(rows) == 0 {
		return nil
	}
	for _, field := range fields {
		if err := p.workloadExposure(rows, field); err != nil {
			return err
		}
	}
	return nil
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
		return p.pathsUnder(authority.UnderWorkload, workloads, []selected{field})
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
	opened := p.open(field)
	if opened == nil {
		return nil
	}
	asked, ok := request(opened)
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
	var exposures []*exposure.Exposure
	for _, found := range pages {
		exposures = append(exposures, found.Rows...)
	}
	return p.exposures(exposures, p.nodesOf(opened, "Exposure"))
}

// snapshots reads the syncs that snapshots follow.
func (p *prefetcher) snapshots(snapshots []*posture.Snapshot, fields []selected) error {
	for _, field := range fields {
		if field.Name != "sync" {
			continue
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
	}
	return nil
}

func (p *prefetcher) clusters(clusters []*posture.Cluster, fields []selected) error {
	if len(clusters) == 0 {
		return nil
	}
	for _, field := range fields {
		var err error
		switch field.Name {
		case "authorityPaths":
			err = p.clusterPaths(clusters, field)
		case "workloads":
			err = p.clusterParts(clusters, posture.Workloads, field)
		case "identities":
			err = p.clusterParts(clusters, posture.Identities, field)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// clusterPaths reads the lists of paths of a page of clusters, which are all of
// one level.
func (p *prefetcher) clusterPaths(clusters []*posture.Cluster, field selected) error {
	opened := p.open(field)
	if opened == nil {
		return nil
	}
	asked, ok := request(opened)
	if !ok {
		return nil
	}
	list, err := clusterList(clusters[0], asked, argument[*generated.AuthorityPathFilter](opened, "filter"), argument[*generated.AuthorityPathOrder](opened, "orderBy"))
	if err != nil {
		return unlessRefused(err)
	}
	list = loader.Shared(p.scope, field.Field, p.organization, underCluster(clusters[0]), list)
	keys := make([]loader.ClusterListKey, len(clusters))
	for i, c := range clusters {
		keys[i] = loader.ClusterListKey{Cluster: c.Cluster, List: list}
	}
	pages, err := p.scope.ClusterLists.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return unlessRefused(err)
	}
	if !list.Filter.Empty() && p.counts(opened, "AuthorityPath") {
		if _, err := p.scope.ClusterCounts.Prefetch(p.ctx, p.organization, keys); err != nil {
			return err
		}
	}
	var paths []*authority.Path
	for _, found := range pages {
		paths = append(paths, found.Rows...)
	}
	return p.paths(paths, p.nodesOf(opened, "AuthorityPath"))
}

func (p *prefetcher) clusterParts(clusters []*posture.Cluster, part posture.Part, field selected) error {
	opened := p.open(field)
	if opened == nil {
		return nil
	}
	asked, ok := request(opened)
	if !ok {
		return nil
	}
	list := loader.Shared(p.scope, field.Field, p.organization, underCluster(clusters[0]),
		&posture.PartList{Part: part, Level: clusters[0].Level, Request: asked})
	keys := make([]loader.ClusterPartKey, len(clusters))
	for i, c := range clusters {
		keys[i] = loader.ClusterPartKey{Cluster: c.Cluster, List: list}
	}
	pages, err := p.scope.ClusterParts.Prefetch(p.ctx, p.organization, keys)
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
	ids := make([]id.ID, len(paths))
	for i, path := range paths {
		ids[i] = path.ID
	}
	memberships, err := p.scope.Memberships.Prefetch(p.ctx, p.organization, ids)
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

// exposuresUnder reads the lists of exposures nested in a page of paths.
func (p *prefetcher) exposuresUnder(paths []*authority.Path, field selected) error {
	opened := p.open(field)
	if opened == nil {
		return nil
	}
	asked, ok := request(opened)
	if !ok {
		return nil
	}
	list, err := exposureList(p.organization, asked, argument[*generated.ExposureFilter](opened, "filter"),
		argument[*generated.ExposureOrder](opened, "orderBy"), argument[*bool](opened, "includeResolved"))
	if err != nil {
		return unlessRefused(err)
	}
	list = loader.Shared(p.scope, field.Field, p.organization, "path", list)
	keys := make([]loader.ExposureListKey, len(paths))
	for i, path := range paths {
		keys[i] = loader.ExposureListKey{Path: path.ID, List: list}
	}
	pages, err := p.scope.ExposureLists.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return unlessRefused(err)
	}
	if p.counts(opened, "Exposure") {
		if _, err := p.scope.ExposureCounts.Prefetch(p.ctx, p.organization, keys); err != nil {
			return err
		}
	}
	var exposures []*exposure.Exposure
	for _, found := range pages {
		exposures = append(exposures, found.Rows...)
	}
	return p.exposures(exposures, p.nodesOf(opened, "Exposure"))
}

func (p *prefetcher) exposures(exposures []*exposure.Exposure, fields []selected) error {
	if len(exposures) == 0 {
		return nil
	}
	for _, field := range fields {
		if err := p.exposure(exposures, field); err != nil {
			return err
		}
	}
	return nil
}

func (p *prefetcher) exposure(exposures []*exposure.Exposure, field selected) error {
	switch field.Name {
	case "workload":
		each(exposures, func(x *exposure.Exposure) { p.entities[x.WorkloadID] = true })
	case "durationDays":
		p.clock = true
	case "lastEvaluatedAt":
		p.clock = true
		each(exposures, func(x *exposure.Exposure) {
			if x.ToAt == nil {
				p.seen[x.WorkloadID] = true
			}
		})
	case "path":
		return p.pathsOf(exposures, p.children(field, "AuthorityPath"))
	case "indeterminateSince", "evidence", "explain":
		return p.standings(exposures, field)
	case "versions":
		return p.exposureVersions(exposures, field)
	case "predecessor", "successor":
		return p.exposuresBeside(exposures, field)
	}
	return nil
}

// keysOf are the keys of exposures.
func keysOf(exposures []*exposure.Exposure) []exposure.Key {
	return collect(exposures, func(x *exposure.Exposure) exposure.Key { return x.Key })
}

// pathsOf reads the paths of exposures, but for those that these were read for.
func (p *prefetcher) pathsOf(exposures []*exposure.Exposure, fields []selected) error {
	var paths []*authority.Path
	var missing []id.ID
	for _, x := range exposures {
		if path := p.known[x.PathID]; path != nil {
			p.scope.Paths.Prime(p.ctx, p.organization, path.ID, path)
			paths = append(paths, path)
		} else {
			missing = append(missing, x.PathID)
		}
	}
	found, err := p.scope.Paths.Prefetch(p.ctx, p.organization, missing)
	if err != nil {
		return err
	}
	for _, path := range found {
		paths = append(paths, path)
	}
	return p.paths(paths, fields)
}

func (p *prefetcher) standings(exposures []*exposure.Exposure, field selected) error {
	keys := keysOf(exposures)
	if field.Name == "indeterminateSince" { // an exposure may know itself
		keys = nil
		each(exposures, func(x *exposure.Exposure) {
			if x.IndeterminateSince == nil {
				keys = append(keys, x.Key)
			}
		})
	}
	standings, err := p.scope.Standings.Prefetch(p.ctx, p.organization, keys)
	if err != nil || field.Name != "evidence" {
		return err
	}
	for _, child := range p.children(field, "ExposureEvidence") {
		for _, s := range standings {
			switch {
			case s == nil:
			case child.Name == "viaRoles":
				p.want(s.RoleIDs)
			case child.Name == "owners" && s.Evidence != nil:
				for _, owner := range s.Evidence.Owners {
					p.entities[owner.ID] = true
				}
			}
		}
	}
	return nil
}

func (p *prefetcher) exposureVersions(exposures []*exposure.Exposure, field selected) error {
	_, window, ok := p.window(field)
	if !ok {
		return nil
	}
	_, err := p.scope.ExposureVersions.Prefetch(p.ctx, p.organization, collect(exposures, func(x *exposure.Exposure) loader.ExposureVersionKey {
		return loader.ExposureVersionKey{Exposure: x.Key, Window: exposure.VersionWindow(window)}
	}))
	return err
}

func (p *prefetcher) exposuresBeside(exposures []*exposure.Exposure, field selected) error {
	neighbours, err := p.scope.ExposureNeighbours.Prefetch(p.ctx, p.organization, keysOf(exposures))
	if err != nil {
		return err
	}
	var others []*exposure.Exposure
	for _, n := range neighbours {
		for _, other := range []*exposure.Exposure{n.Predecessor, n.Successor} {
			if other != nil {
				others = append(others, other)
			}
		}
	}
	return p.exposures(others, p.children(field, "Exposure"))
}

// finish reads what was found to be wanted.
func (p *prefetcher) finish() error {
	if len(p.ties) > 0 {
		ends, err := p.scope.EdgesFrom.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(p.ties)))
		if err != nil {
			return err
		}
		for _, edges := range ends {
			each(edges, func(edge *authority.Edge) { p.entities[edge.ToID] = true })
		}
	}
	if _, err := p.scope.Entities.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(p.entities))); err != nil {
		return err
	}
	if _, err := p.scope.LastSeen.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(p.seen))); err != nil {
		return err
	}
	if p.clock {
		if _, err := p.scope.Clocks.Load(p.ctx, p.organization, struct{}{}); err != nil {
			return err
		}
	}
	return p.links()
}

// links reads the successions of the paths, and the paths on their other side.
func (p *prefetcher) links() error {
	neighbours, err := p.scope.Neighbours.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(p.linked)))
	if err != nil {
		return err
	}
	others := map[id.ID]bool{}
	for _, n := range neighbours {
		for _, other := range []*id.ID{n.Predecessor, n.Successor} {
			if other != nil {
				others[*other] = true
			}
		}
	}
	_, err = p.scope.Paths.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(others)))
	return err
}
