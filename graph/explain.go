package graph

import (
	"context"

	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

func (r exposureExplanationResolver) Predicates(ctx context.Context, e *model.ExposureExplanation) ([]*model.RulePredicate, error) {
	asked, err := loader.From(ctx).Explanations.Load(ctx, e.OrganizationID, e.Of)
	return pointers(model.NewRulePredicates(e.OrganizationID, asked)), err
}

func pointers[T any](values []T) []*T {
	list := make([]*T, len(values))
	for i := range values {
		list[i] = &values[i]
	}
	return list
}

func (r missingExposureResolver) Verdict(ctx context.Context, m *model.MissingExposure) (*model.RuleVerdict, error) {
	verdicts, err := loader.From(ctx).Verdicts.Load(ctx, m.OrganizationID, m.PathID)
	for _, v := range verdicts {
		if v.Rule == rule.Rule(m.Type) {
			return model.NewRuleVerdict(m.OrganizationID, v), err
		}
	}
	return nil, err
}

func (r authorityPathResolver) WhyNot(ctx context.Context, p *model.AuthorityPath, text string, level *posture.Level) (*model.ClusterMembership, error) {
	d, upTo, known := clusterNamed(p.OrganizationID, text, level)
	if !known {
		return nil, nil
	}
	cluster, err := clusterOf(ctx, p.OrganizationID, d.Cluster, upTo)
	if err != nil || cluster == nil {
		return nil, err
	}
	scope := loader.From(ctx)
	standing := posture.Standing{Path: &p.Path}
	if standing.Latest, err = scope.LatestExposures.Load(ctx, p.OrganizationID, p.Path.ID); err != nil {
		return nil, err
	}
	keys := carrierKeys(d, p.WorkloadID)
	carriers, err := scope.Carriers.LoadAll(ctx, p.OrganizationID, keys)
	if err != nil {
		return nil, err
	}
	standing.Carriers = map[rule.Type]*exposure.Carriers{}
	for i, k := range keys {
		standing.Carriers[k.Type] = carriers[i]
	}
	return model.NewClusterMembership(&p.Path, cluster, d.WhyNot(standing, upTo)), nil
}

// clusterNamed is the cluster of a key or of a global id, and the level that is
// asked; known is false for one that there is not, or of another organization.
func clusterNamed(organization id.ID, text string, asked *posture.Level) (d posture.Definition, level posture.Level, known bool) {
	if d, known := posture.Find(text); known {
		return d, clusterLevel(asked), true
	}
	opened, ok := model.ParseID(text)
	if !ok || opened.Organization != organization {
		return d, level, false
	}
	number, level, ok := opened.ClusterLevel()
	if !ok {
		return d, level, false
	}
	if asked != nil {
		level = *asked
	}
	for _, d := range posture.Definitions {
		if d.Cluster == number {
			return d, level, true
		}
	}
	return d, level, false
}

// carrierKeys are what has to be known of the paths of a workload: nothing for a
// cluster that looks at paths one by one.
func carrierKeys(d posture.Definition, workload id.ID) (keys []exposure.CarrierKey) {
	if d.Grain != posture.OfWorkload {
		return nil
	}
	for _, t := range d.Types() {
		keys = append(keys, exposure.CarrierKey{Workload: workload, Type: t})
	}
	return keys
}

func (r authorityPathResolver) ExplainPrimaryCluster(ctx context.Context, p *model.AuthorityPath) (*model.PrimaryClusterExplanation, error) {
	clusters, err := clustersOf(ctx, p.OrganizationID, p.Path.ID)
	if err != nil || len(clusters) == 0 {
		return nil, err
	}
	ranked, decided := posture.Ranked(clusters)
	return &model.PrimaryClusterExplanation{DecidedBy: decided, Ranking: collect(ranked, func(c *posture.Cluster) model.RankedCluster {
		return model.RankedCluster{Cluster: showCluster(c), Severity: c.Severity, Terms: c.Terms(), Key: c.Key}
	})}, nil
}

func (r postureCountExplanationResolver) Since(ctx context.Context, e *model.PostureCountExplanation) (*model.PostureSnapshot, error) {
	if e.From == nil {
		return nil, nil
	}
	return r.snapshotThen(ctx, e.Posture.OrganizationID, e.From)
}

func (r postureCountExplanationResolver) Counted(ctx context.Context, e *model.PostureCountExplanation) (int64, error) {
	_, amount, err := r.posture.CountCounted(ctx, loader.From(ctx).Snapshot, e.Posture, e.Counting)
	return amount, err
}

func (r postureCountExplanationResolver) Rows(ctx context.Context, e *model.PostureCountExplanation, first *int32, after *string) (*model.PostureRowConnection, error) {
	organization, snapshot := e.Posture.OrganizationID, loader.From(ctx).Snapshot
	list, err := r.posture.Counted(ctx, snapshot, e.Posture, e.Counting, pageRequest(first, after, nil, nil))
	if err != nil {
		return nil, err
	}
	if err := prefetch(ctx, organization, func(p *prefetcher) error { return p.counted(list.Rows, p.nodes("PostureRow")) }); err != nil {
		return nil, err
	}
	show := func(row *posture.Counted) *model.PostureRow {
		return &model.PostureRow{OrganizationID: organization, Of: *row}
	}
	return model.Connect(list.Slice, show, list.Cursor, func(ctx context.Context) (int, error) {
		rows, _, err := r.posture.CountCounted(ctx, snapshot, e.Posture, e.Counting)
		return int(rows), err
	}), nil
}

func (r postureRowResolver) Node(ctx context.Context, row *model.PostureRow) (model.Node, error) {
	scope := loader.From(ctx)
	if row.Of.Kind == posture.CountedPath {
		p, err := scope.Paths.Load(ctx, row.OrganizationID, row.Of.ID)
		if err != nil || p == nil {
			return nil, err
		}
		return showPath(p), nil
	}
	e, err := scope.Entities.Load(ctx, row.OrganizationID, row.Of.ID)
	if err != nil || e == nil {
		return nil, err
	}
	return model.NewEntity(e), nil
}

// counted reads the nodes of rows that a posture counts, and what is asked of the
// paths among them.
func (p *prefetcher) counted(rows []*posture.Counted, fields []selected) error {
	var paths []id.ID
	for _, field := range fields {
		if field.Name != "node" {
			continue
		}
		for _, row := range rows {
			if row.Kind == posture.CountedPath {
				paths = append(paths, row.ID)
			} else {
				p.entities[row.ID] = true
			}
		}
		found, err := p.scope.Paths.Prefetch(p.ctx, p.organization, paths)
		if err != nil {
			return err
		}
		var list []*authority.Path
		for _, path := range found {
			if path != nil {
				list = append(list, path)
			}
		}
		if err := p.paths(list, p.children(field, "AuthorityPath")); err != nil {
			return err
		}
	}
	return nil
}

// explanations reads what is asked of explanations of exposures.
func (p *prefetcher) explanations(exposures []*exposure.Exposure, field selected) error {
	for _, child := range p.children(field, "ExposureExplanation") {
		if child.Name == "predicates" {
			_, err := p.scope.Explanations.Prefetch(p.ctx, p.organization, keysOf(exposures))
			return err
		}
	}
	return nil
}

// whyNot reads what membership follows from, and what is asked of the exposures
// that it names.
func (p *prefetcher) whyNot(paths []*authority.Path, field selected) error {
	opened := p.open(field)
	if opened == nil {
		return nil
	}
	d, level, known := clusterNamed(p.organization, argument[string](opened, "cluster"), argument[*posture.Level](opened, "level"))
	if !known {
		return nil
	}
	overview, err := p.scope.Overviews.Load(p.ctx, p.organization, level)
	if err != nil {
		return err
	}
	latest, err := p.scope.LatestExposures.Prefetch(p.ctx, p.organization, collect(paths, func(path *authority.Path) id.ID { return path.ID }))
	if err != nil {
		return err
	}
	var keys []exposure.CarrierKey
	each(paths, func(path *authority.Path) { keys = append(keys, carrierKeys(d, path.WorkloadID)...) })
	carriers, err := p.scope.Carriers.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return err
	}
	var states []posture.TermState
	var open []id.ID // paths with a term that is not satisfied
	for _, path := range paths {
		standing := posture.Standing{Path: path, Latest: latest[path.ID], Carriers: map[rule.Type]*exposure.Carriers{}}
		for _, k := range carrierKeys(d, path.WorkloadID) {
			standing.Carriers[k.Type] = carriers[k]
		}
		for _, state := range d.WhyNot(standing, level).States {
			states = append(states, state)
			if !state.Satisfied {
				open = append(open, path.ID)
			}
		}
	}
	for _, child := range p.children(field, "ClusterMembership") {
		switch child.Name {
		case "terms":
			err = p.termStates(states, open, p.children(child, "ClusterTermState"))
		case "cluster":
			for _, c := range overview {
				if c.Cluster == d.Cluster {
					err = p.clusters([]*posture.Cluster{c}, p.children(child, "RiskCluster"))
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *prefetcher) termStates(states []posture.TermState, open []id.ID, fields []selected) (err error) {
	for _, field := range fields {
		switch field.Name {
		case "exposure":
			err = p.exposures(present(states, func(s posture.TermState) []*exposure.Exposure { return []*exposure.Exposure{s.By} }), p.children(field, "Exposure"))
		case "carriers":
			err = p.exposures(present(states, func(s posture.TermState) []*exposure.Exposure { return s.Carriers }), p.children(field, "Exposure"))
		case "missing":
			err = p.missing(states, open, p.children(field, "MissingExposure"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *prefetcher) missing(states []posture.TermState, open []id.ID, fields []selected) (err error) {
	for _, field := range fields {
		switch field.Name {
		case "verdict":
			_, err = p.scope.Verdicts.Prefetch(p.ctx, p.organization, open)
		case "exposure":
			err = p.exposures(present(states, func(s posture.TermState) (list []*exposure.Exposure) {
				for _, m := range s.Missing {
					list = append(list, m.Exposure)
				}
				return list
			}), p.children(field, "Exposure"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// present are the exposures that states name, each once.
func present(states []posture.TermState, named func(posture.TermState) []*exposure.Exposure) (list []*exposure.Exposure) {
	seen := map[exposure.Key]bool{}
	for _, s := range states {
		for _, x := range named(s) {
			if x != nil && !seen[x.Key] {
				seen[x.Key] = true
				list = append(list, x)
			}
		}
	}
	return list
}
