package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

func (p *prefetcher) paths(paths []*authority.Path, fields []selected) error {
	for _, path := range paths {
		p.known[path.ID] = path
	}
	return eachField(paths, fields, p.path)
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
	case "riskClusters", "primaryCluster", "explainPrimaryCluster":
		return p.memberships(paths, field)
	case "whyNot":
		return p.whyNot(paths, field)
	case "changes":
		return p.changesUnder(collect(paths, func(path *authority.Path) change.History { return historyOfPath(p.organization, path) }), field)
	case "justifications":
		_, err := p.scope.Justifications.Prefetch(p.ctx, p.organization, idsOf(paths))
		return err
	}
	return nil
}

func idsOf(paths []*authority.Path) []id.ID {
	return collect(paths, func(path *authority.Path) id.ID { return path.ID })
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
		case "changes":
			if err := p.changesUnder(collect(paths, func(path *authority.Path) change.History {
				return historyOfLineage(p.organization, authority.LineageKey{WorkloadID: path.WorkloadID, ResourceID: path.ResourceID})
			}), child); err != nil {
				return err
			}
		}
	}
	if !read {
		return nil
	}
	lineages, err := p.scope.Lineages.Prefetch(p.ctx, p.organization, collect(paths, func(path *authority.Path) authority.LineageKey {
		return authority.LineageKey{WorkloadID: path.WorkloadID, ResourceID: path.ResourceID}
	}))
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
	versions, err := p.scope.Versions.Prefetch(p.ctx, p.organization, collect(paths, func(path *authority.Path) loader.VersionKey {
		return loader.VersionKey{Path: path.ID, Window: window}
	}))
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
	return eachField(entities, fields, func(entities []id.ID, field selected) error {
		if field.Name != "authorityPaths" {
			return nil
		}
		return p.pathListUnder(parent, entities, field)
	})
}

func (p *prefetcher) pathListUnder(parent authority.Parent, entities []id.ID, field selected) error {
	opened, asked, ok := p.request(field)
	if !ok {
		return nil
	}
	list, err := pathList(p.organization, parent, asked, argument[*generated.AuthorityPathFilter](opened, "filter"),
		argument[*generated.AuthorityPathOrder](opened, "orderBy"), argument[*bool](opened, "includeRemoved"))
	if err != nil {
		return unlessRefused(err)
	}
	list = loader.Shared(p.scope, field.Field, p.organization, string(parent), list)
	keys := collect(entities, func(e id.ID) loader.PathListKey { return loader.PathListKey{Parent: e, List: list} })
	pages, err := p.scope.PathLists.Prefetch(p.ctx, p.organization, keys)
	if err == nil && p.counts(opened, "AuthorityPath") && !countedByRow(opened) {
		_, err = p.scope.PathCounts.Prefetch(p.ctx, p.organization, keys)
	}
	if err != nil {
		return unlessRefused(err)
	}
	return p.paths(pathsOn(pages), p.nodesOf(opened, "AuthorityPath"))
}

// pathsOn are the paths of all pages.
func pathsOn[K comparable](pages map[K]authority.PathPage) (paths []*authority.Path) {
	for _, found := range pages {
		paths = append(paths, found.Rows...)
	}
	return paths
}

// countedByRow says whether the row that a list of paths hangs under knows how
// many there are: of a workload exposure, those that stand.
func countedByRow(list *graphql.FieldContext) bool {
	return list.Field.ObjectDefinition.Name == "WorkloadExposure" &&
		argument[*generated.AuthorityPathFilter](list, "filter") == nil && !deref(argument[*bool](list, "includeRemoved"))
}
