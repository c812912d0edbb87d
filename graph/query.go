package graph

import (
	"context"
	"slices"

	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func (r queryResolver) Viewer(ctx context.Context) (*model.Viewer, error) {
	return viewer(ctx)
}

func viewer(ctx context.Context) (*model.Viewer, error) {
	actor, err := access.Current(ctx)
	if err != nil {
		return nil, err
	}
	v := &model.Viewer{Subject: actor.Subject, Role: actor.Role, AllOrganizations: actor.AllOrganizations, Scopes: []string{}}
	for _, scope := range actor.Scopes {
		v.Scopes = append(v.Scopes, string(scope))
	}
	for _, name := range access.AttributeNames {
		if values := *actor.Attributes.Of(name); len(values) > 0 {
			v.AttributeFilters = append(v.AttributeFilters, &model.AttributeFilter{Attribute: name, Values: slices.Sorted(slices.Values(values))})
		}
	}
	if !actor.ExpiresAt.IsZero() {
		v.ExpiresAt = &actor.ExpiresAt
	}
	return v, nil
}

// maxNodes bounds nodes(ids).
const maxNodes = 100

func (r queryResolver) Node(ctx context.Context, text string) (model.Node, error) {
	opened, ok := model.ParseID(text)
	if !ok {
		return nil, nil
	}
	node, err := r.load(ctx, opened)
	if problem.KindOf(err) == problem.NotFound {
		return nil, nil // of another organization: the same as none
	}
	return node, err
}

func (r queryResolver) Nodes(ctx context.Context, texts []string) ([]model.Node, error) {
	if len(texts) > maxNodes {
		return nil, problem.New(problem.Invalid, "TOO_MANY_IDS", "%d ids are asked for; it can be %d", len(texts), maxNodes).On("ids")
	}
	nodes := make([]model.Node, len(texts))
	errs := make([]error, len(texts))
	done := make(chan int)
	for i, text := range texts { // together, so that the loaders batch them
		go func() {
			nodes[i], errs[i] = r.Node(ctx, text)
			done <- i
		}()
	}
	for range texts {
		<-done
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

var entityTypes = map[model.Type]record.EntityKind{
	model.TypeWorkload: record.Workload, model.TypeIdentity: record.Identity, model.TypeResource: record.Resource,
	model.TypeAccessRole: record.Role, model.TypeOwner: record.Owner,
}

func (r queryResolver) load(ctx context.Context, i model.ID) (model.Node, error) {
	scope := loader.From(ctx)
	if kind, ok := entityTypes[i.Type]; ok {
		e, err := scope.Entities.Load(ctx, i.Organization, i.Parts[0])
		if err != nil || e == nil || e.Kind != kind {
			return nil, err
		}
		return model.NewEntity(e), nil
	}
	switch i.Type {
	case model.TypeOrganization:
		list, err := r.organizations.ByIDs(ctx, scope.Snapshot, []id.ID{i.Organization})
		if err != nil || len(list) == 0 {
			return nil, err
		}
		return &model.Organization{Organization: *list[0]}, nil
	case model.TypeAuthorityPath:
		p, err := scope.Paths.Load(ctx, i.Organization, i.Parts[0])
		if err != nil || p == nil {
			return nil, err
		}
		return showPath(p), nil
	case model.TypeLineage:
		key := authority.LineageKey{WorkloadID: i.Parts[0], ResourceID: i.Parts[1]}
		list, err := scope.Lineages.Load(ctx, i.Organization, key)
		if err != nil || len(list) == 0 {
			return nil, err
		}
		return &model.Lineage{OrganizationID: i.Organization, LineageKey: key}, nil
	case model.TypeExposure:
		x, err := exposureOf(ctx, i)
		if err != nil || x == nil {
			return nil, err
		}
		return x, nil
	case model.TypeRiskCluster:
		number, level, ok := i.ClusterLevel()
		if !ok {
			return nil, nil
		}
		c, err := clusterOf(ctx, i.Organization, number, level)
		if err != nil || c == nil {
			return nil, err
		}
		return c, nil
	case model.TypeExposureChange:
		c, err := changeOf(ctx, i)
		if err != nil || c == nil {
			return nil, err
		}
		return c, nil
	case model.TypeSource:
		s, err := scope.Sources.Load(ctx, i.Organization, i.Parts[0])
		if err != nil || s == nil {
			return nil, err
		}
		return &model.Source{Source: *s}, nil
	case model.TypeSync:
		s, err := scope.Syncs.Load(ctx, i.Organization, i.Parts[0])
		if err != nil || s == nil {
			return nil, err
		}
		return &model.Sync{SyncRow: *s}, nil
	case model.TypeAuditEntry:
		return r.auditEntry(ctx, i)
	case model.TypeAsset:
		a, err := assetOf(ctx, i.Organization, &i.Parts[0])
		if err != nil || a == nil {
			return nil, err
		}
		return a, nil
	}
	return nil, nil
}
