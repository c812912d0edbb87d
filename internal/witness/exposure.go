package witness

import (
	"fmt"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

var everything = page.MaxSize

// exposureFilters are lists of every kind.
var exposureFilters = []exposure.Filter{
	{},
	{Statuses: exposure.Unresolved()},
	{Statuses: []exposure.Status{exposure.StatusResolved}},
	{Statuses: []exposure.Status{exposure.StatusFalsePositive, exposure.StatusResolved}},
	{Statuses: []exposure.Status{exposure.StatusActive}, Severities: []rule.Severity{rule.Critical, rule.Medium}, Sensitivities: []authority.Sensitivity{3, 4}},
	{Clusters: []int16{1, 4, 8, 12}},
	{Ownership: []authority.OwnershipStatus{authority.OwnershipOrphaned, authority.OwnershipDegraded}, Types: []rule.Type{rule.OrphanedPath, rule.SensitiveReach, rule.DormantPath}},
}

func (w *asking) exposures() error {
	var reader exposure.Reader
	all, err := w.exposuresIn(everything, exposure.Filter{}, exposure.Order{Field: exposure.ByDetectedAt})
	if err != nil {
		return err
	}
	for _, part := range all {
		for _, x := range part.Rows {
			w.keys.Add(Keys{Exposures: []exposure.Key{x.Key}, Workloads: []id.ID{x.WorkloadID}})
		}
	}
	if err := w.say(all, "all exposures"); err != nil {
		return err
	}
	for _, filter := range exposureFilters {
		fields := []exposure.OrderField{exposure.BySeverity}
		if len(filter.Statuses) == 1 && filter.Statuses[0] == exposure.StatusResolved {
			fields = append(fields, exposure.ByResolvedAt, exposure.ByDetectedAt)
		}
		for _, field := range fields {
			order := exposure.Order{Field: field, Descending: true}
			found, err := reader.Exposures(w.ctx, w.snapshot, w.organization, filter, order, page.Request{First: &everything})
			if err != nil {
				return fmt.Errorf("exposures %+v: %w", filter, err)
			}
			answer := without(found.Slice)
			if answer.Count, err = reader.CountExposures(w.ctx, w.snapshot, w.organization, filter); err != nil {
				return err
			}
			if err := w.say(answer, "exposures", filter, order); err != nil {
				return err
			}
		}
	}
	filter, order := exposureFilters[1], exposure.Order{Field: exposure.BySeverity}
	pages, err := w.exposuresIn(7, filter, order)
	if err != nil {
		return err
	}
	five := 5
	last, err := reader.Exposures(w.ctx, w.snapshot, w.organization, filter, order, page.Request{Last: &five})
	if err != nil {
		return err
	}
	return w.say([]any{pages, without(last.Slice)}, "exposures page by page")
}

func (w *asking) exposuresIn(pieces int, filter exposure.Filter, order exposure.Order) ([]listed[*exposure.Exposure], error) {
	var reader exposure.Reader
	return walk(pieces, func(request page.Request) (page.Slice[*exposure.Exposure], func(*exposure.Exposure) string, error) {
		found, err := reader.Exposures(w.ctx, w.snapshot, w.organization, filter, order, request)
		return found.Slice, found.Cursor, err
	})
}

// details are what is asked for by keys.
func (w *asking) details() error {
	var reader exposure.Reader
	keys, paths := w.keys.Exposures, w.keys.paths()
	for name, ask := range map[string]func() (any, error){
		"exposures by keys": func() (any, error) {
			rows, err := reader.ExposuresByKeys(w.ctx, w.snapshot, w.organization, keys)
			return byKey(rows, func(x *exposure.Exposure) exposure.Key { return x.Key }), err
		},
		"versions": func() (any, error) {
			rows, err := reader.VersionsByExposures(w.ctx, w.snapshot, w.organization, exposure.VersionWindow{Before: exposure.AllVersions, Limit: 3}, keys)
			return byKeys(rows, func(v *exposure.Version) exposure.Key { return v.Key }), err
		},
		"former versions": func() (any, error) {
			rows, err := reader.VersionsByExposures(w.ctx, w.snapshot, w.organization, exposure.VersionWindow{Before: 3, Limit: 1}, keys)
			return byKeys(rows, func(v *exposure.Version) exposure.Key { return v.Key }), err
		},
		"standings": func() (any, error) {
			rows, err := reader.StandingsByExposures(w.ctx, w.snapshot, w.organization, keys)
			return byKey(rows, func(s *exposure.Standing) exposure.Key { return s.Key }), err
		},
		"neighbours": func() (any, error) {
			rows, err := reader.NeighboursOfExposures(w.ctx, w.snapshot, w.organization, keys)
			return named(rows), err
		},
		"exposures under paths": func() (any, error) {
			one := 1
			list := &exposure.List{Order: exposure.Order{Field: exposure.BySeverity, Descending: true}, Request: page.Request{First: &one}}
			pages, err := reader.ExposuresUnder(w.ctx, w.snapshot, w.organization, list, paths)
			if err != nil {
				return nil, err
			}
			counts, err := reader.CountExposuresUnder(w.ctx, w.snapshot, w.organization, list, paths)
			answer := map[string]any{}
			for path, found := range pages {
				if len(found.Rows) > 0 {
					answer[path.String()] = []any{without(found.Slice), counts[path]}
				}
			}
			return answer, err
		},
		"justifications": func() (any, error) {
			rows, err := reader.Justifications(w.ctx, w.snapshot, w.organization, paths)
			return named(rows), err
		},
		"baselines": func() (any, error) {
			rows, err := reader.Baselines(w.ctx, w.snapshot, w.organization, w.keys.Identities)
			return named(rows), err
		},
		"clock": func() (any, error) { return reader.Clock(w.ctx, w.snapshot, w.organization) },
	} {
		answer, err := ask()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := w.say(answer, name); err != nil {
			return err
		}
	}
	return nil
}

func (w *asking) decisions() error {
	var reader triage.Reader
	current, err := reader.CurrentDecisions(w.ctx, w.snapshot, w.organization, w.keys.Exposures)
	if err != nil {
		return err
	}
	if err := w.say(named(current), "current decisions"); err != nil {
		return err
	}
	keys, err := reader.Keys(w.ctx, w.snapshot, w.organization, "")
	if err != nil {
		return err
	}
	if err := w.say(keys, "signing keys"); err != nil {
		return err
	}
	all, err := reader.Decisions(w.ctx, w.snapshot, w.organization, w.keys.Exposures, 3)
	if err != nil {
		return err
	}
	return w.say(named(all), "decisions")
}

func byKey[T any](rows []*T, keyOf func(*T) exposure.Key) map[string]*T {
	found := map[string]*T{}
	for _, row := range rows {
		found[fmt.Sprint(keyOf(row))] = row
	}
	return found
}

func byKeys[T any](rows []*T, keyOf func(*T) exposure.Key) map[string][]*T {
	found := map[string][]*T{}
	for _, row := range rows {
		key := fmt.Sprint(keyOf(row))
		found[key] = append(found[key], row)
	}
	return found
}

// named are rows by what their keys read as. What is empty was not found.
func named[K comparable, V any](rows map[K]V) map[string]V {
	found := make(map[string]V, len(rows))
	for key, row := range rows {
		found[fmt.Sprint(key)] = row
	}
	return found
}
