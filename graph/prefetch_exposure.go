package graph

import (
	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// exposuresUnder reads the lists of exposures nested in a page of paths.
func (p *prefetcher) exposuresUnder(paths []*authority.Path, field selected) error {
	opened, asked, ok := p.request(field)
	if !ok {
		return nil
	}
	list, err := exposureList(p.organization, asked, argument[*generated.ExposureFilter](opened, "filter"),
		argument[*generated.ExposureOrder](opened, "orderBy"), argument[*bool](opened, "includeResolved"))
	if err != nil {
		return unlessRefused(err)
	}
	list = loader.Shared(p.scope, field.Field, p.organization, "path", list)
	keys := collect(paths, func(path *authority.Path) loader.ExposureListKey {
		return loader.ExposureListKey{Path: path.ID, List: list}
	})
	pages, err := p.scope.ExposureLists.Prefetch(p.ctx, p.organization, keys)
	if err != nil {
		return unlessRefused(err)
	}
	if p.counts(opened, "Exposure") {
		if _, err := p.scope.ExposureCounts.Prefetch(p.ctx, p.organization, keys); err != nil {
			return err
		}
	}
	return p.exposures(rowsOf(pages), p.nodesOf(opened, "Exposure"))
}

func (p *prefetcher) exposures(exposures []*exposure.Exposure, fields []selected) error {
	return eachField(exposures, fields, p.exposure)
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
	case "decision":
		return p.decision(collect(exposures, func(x *exposure.Exposure) *int64 { return x.DecidedSeq }))
	case "decisions":
		return p.decided(exposures, field)
	case "changes":
		return p.exposureChangesUnder(exposures, field)
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
	switch {
	case err != nil || field.Name == "indeterminateSince":
		return err
	case field.Name == "explain":
		return p.explanations(exposures, field)
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
	opened, window, ok := p.window(field)
	if !ok {
		return nil
	}
	lists, err := p.scope.ExposureVersions.Prefetch(p.ctx, p.organization, collect(exposures, func(x *exposure.Exposure) loader.ExposureVersionKey {
		return loader.ExposureVersionKey{Exposure: x.Key, Window: exposure.VersionWindow(window)}
	}))
	if err != nil {
		return err
	}
	for _, child := range p.nodesOf(opened, "ExposureVersion") {
		if child.Name != "decision" {
			continue
		}
		var seqs []*int64
		for _, list := range lists {
			each(list, func(v *exposure.Version) { seqs = append(seqs, v.DecidedSeq) })
		}
		return p.decision(seqs)
	}
	return nil
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

// rowsOf are the exposures of all pages.
func rowsOf[K comparable](pages map[K]exposure.Page) (rows []*exposure.Exposure) {
	for _, found := range pages {
		rows = append(rows, found.Rows...)
	}
	return rows
}
