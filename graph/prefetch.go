package graph

import (
	"context"
	"maps"
	"slices"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// prefetch reads what the selected fields of a page of paths will load: one
// statement for each kind of row, however many paths and however busy the
// machine. It is called by the resolver of a connection of paths.
func prefetch(ctx context.Context, organization id.ID, paths []*authority.Path) error {
	if len(paths) == 0 {
		return nil
	}
	p := &prefetcher{
		ctx: ctx, scope: loader.From(ctx), operation: graphql.GetOperationContext(ctx), organization: organization,
		entities: map[id.ID]bool{}, seen: map[id.ID]bool{}, linked: map[id.ID]bool{},
	}
	if err := p.paths(paths, p.nodeFields(graphql.CollectFieldsCtx(ctx, nil), "AuthorityPath")); err != nil {
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
	seen         map[id.ID]bool // workloads of which the last sync is asked
	linked       map[id.ID]bool // paths of which predecessor or successor is asked
}

// nodeFields are the fields that a connection selects of its nodes.
func (p *prefetcher) nodeFields(connection []graphql.CollectedField, node string) (fields []graphql.CollectedField) {
	for _, field := range connection {
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

func (p *prefetcher) children(field graphql.CollectedField, types ...string) []graphql.CollectedField {
	return graphql.CollectFields(p.operation, field.Selections, append(types, "Node", "Entity"))
}

func (p *prefetcher) paths(paths []*authority.Path, fields []graphql.CollectedField) error {
	for _, field := range fields {
		switch field.Name {
		case "workload", "sourceSystem":
			p.wantEach(paths, func(path *authority.Path) { p.entities[path.WorkloadID] = true })
		case "identity":
			p.wantEach(paths, func(path *authority.Path) {
				if path.IdentityID != nil {
					p.entities[*path.IdentityID] = true
				}
			})
		case "destination":
			p.wantEach(paths, func(path *authority.Path) { p.entities[path.ResourceID] = true })
		case "roles", "viaRoles":
			p.wantEach(paths, func(path *authority.Path) { p.want(path.RoleIDs) })
		case "lastSeenAt":
			p.wantEach(paths, func(path *authority.Path) { p.seen[path.WorkloadID] = true })
		case "predecessor", "successor":
			p.wantEach(paths, func(path *authority.Path) { p.linked[path.ID] = true })
		case "lineage":
			if err := p.lineages(paths, field); err != nil {
				return err
			}
		case "versions":
			if err := p.versions(paths, field); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *prefetcher) wantEach(paths []*authority.Path, want func(*authority.Path)) {
	for _, path := range paths {
		want(path)
	}
}

func (p *prefetcher) want(ids []id.ID) {
	for _, entity := range ids {
		p.entities[entity] = true
	}
}

func (p *prefetcher) lineages(paths []*authority.Path, field graphql.CollectedField) error {
	var routes []graphql.CollectedField
	read := false
	for _, child := range p.children(field, "Lineage") {
		switch child.Name {
		case "firstSeenAt":
			read = true
		case "routes", "paths":
			read = true
			routes = append(routes, p.children(child, "AuthorityPath")...)
		case "workload":
			p.wantEach(paths, func(path *authority.Path) { p.entities[path.WorkloadID] = true })
		case "destination":
			p.wantEach(paths, func(path *authority.Path) { p.entities[path.ResourceID] = true })
		}
	}
	if !read {
		return nil
	}
	keys := map[authority.LineageKey]bool{}
	for _, path := range paths {
		keys[authority.LineageKey{WorkloadID: path.WorkloadID, ResourceID: path.ResourceID}] = true
	}
	lineages, err := p.scope.Lineages.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(keys)))
	if err != nil {
		return err
	}
	var all []*authority.Path
	for _, lineage := range lineages {
		all = append(all, lineage...)
	}
	return p.paths(all, routes)
}

func (p *prefetcher) versions(paths []*authority.Path, field graphql.CollectedField) error {
	arguments := field.ArgumentMap(p.operation.Variables)
	if arguments["after"] != nil {
		return nil // a cursor belongs to one path: the loader reads it
	}
	var asked *int32
	if arguments["first"] != nil {
		first, err := graphql.UnmarshalInt32(arguments["first"])
		if err != nil {
			return nil //nolint:nilerr // the field's own arguments are refused before its resolver
		}
		asked = &first
	}
	window, _, err := versionWindow(asked, nil, id.Nil)
	if err != nil {
		return nil //nolint:nilerr // the resolver of the field says so
	}
	keys := make([]loader.VersionKey, len(paths))
	for i, path := range paths {
		keys[i] = loader.VersionKey{Path: path.ID, Window: window}
	}
	versions, err := p.scope.Versions.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return err
	}
	for _, child := range p.nodeFields(p.children(field, "AuthorityPathVersionConnection"), "AuthorityPathVersion") {
		if child.Name == "viaRoles" {
			for _, list := range versions {
				for _, version := range list {
					p.want(version.RoleIDs)
				}
			}
		}
	}
	return nil
}

// finish reads what was found to be wanted.
func (p *prefetcher) finish() error {
	if _, err := p.scope.Entities.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(p.entities))); err != nil {
		return err
	}
	if _, err := p.scope.LastSeen.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(p.seen))); err != nil {
		return err
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
