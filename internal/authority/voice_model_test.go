package authority_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// hear makes one text of what a delivery says, whatever its order, and counts
// what is refused before anything is compared.
func (v *voice) hear(d told) (content string, refused int) {
	var texts []string
	for _, l := range d.lines {
		key, value, bad := v.read(l)
		if bad == nil {
			texts = append(texts, fmt.Sprintf("%T %+v %+v", key, key, value))
			continue
		}
		refused++
		texts = append(texts, fmt.Sprintf("refused %d %T %+v %+v %s %+v", l.number, key, key, value, l.reject.Reason, bad.about))
	}
	slices.Sort(texts)
	return "said:\n" + strings.Join(texts, "\n"), refused
}

// fault is a refused record: whom it was about, unnamed where that is not known.
type fault struct{ about record.Ref }

// read makes a line comparable, or finds fault with it.
func (v *voice) read(l line) (key, value any, bad *fault) {
	whole := func(r *record.Ref) record.Ref {
		if r == nil {
			return unnamed
		}
		return record.Ref{Kind: r.Kind, System: cmp.Or(r.System, v.system), SourceID: r.SourceID}
	}
	switch f := l.fact.(type) {
	case record.Entity:
		key = entityKey{whole(&f.Ref), cmp.Or(f.Basis, record.Inventory)}
		value = entityValue{
			Name: f.Name, Environment: f.Environment, OwnerTeam: f.OwnerTeam, BusinessTier: f.BusinessTier, DataDomain: f.DataDomain,
			Sensitivity: f.Sensitivity, Status: f.Status, Mode: f.ExecutionMode, OwnerType: f.OwnerType, LastActiveAt: f.LastActiveAt,
		}
	case record.Edge:
		k := edgeKey{f.Kind, whole(&f.From), f.Scope, whole(&f.To)}
		key, value = k, edgeValue{union(f.Actions), f.Ineffective, f.Protocol}
		scoped := f.Kind == record.Grants || f.Kind == record.HasRole
		if f.Kind == record.Grants && len(f.Actions) == 0 || scoped == (f.Scope == "") {
			bad = &fault{k.From}
		}
	case record.Egress:
		key, value = egressKey{whole(&f.Workload), f.Host}, f.Category
	case record.Endpoint:
		key, value = endpointKey{whole(&f.Workload), f.Kind, f.Value, f.Port}, true
	case record.Sighting:
		key, value = sightingKey(text(f)), true
	case record.Evidence:
		k := evidenceKey{whole(f.Workload), whole(f.Identity), whole(f.Resource), f.Action, f.Day, f.Related}
		key, value = k, evidenceValue{f.Count, f.LastAt}
		if f.Count <= 0 {
			bad = &fault{cmp.Or(k.Workload, k.Identity, k.Resource)}
		}
	case record.Coverage:
		key, value = coverageKey{f.Kind, whole(f.Entity)}, coverageValue{f.Partial, f.From, f.To, f.MaxAge}
	default:
		bad = &fault{whole(l.reject.Entity)}
	}
	return key, value, bad
}

// names lists the entities that a statement needs, and whom it is about.
func names(key any) (needs []record.Ref, about record.Ref) {
	switch k := key.(type) {
	case entityKey:
		about = k.Ref
	case edgeKey:
		needs, about = []record.Ref{k.From, k.To}, k.From
	case egressKey:
		needs, about = []record.Ref{k.Workload}, k.Workload
	case endpointKey:
		needs, about = []record.Ref{k.Workload}, k.Workload
	case evidenceKey:
		needs, about = []record.Ref{k.Workload, k.Identity, k.Resource}, k.Workload
	case coverageKey:
		needs, about = []record.Ref{k.Entity}, k.Entity
	}
	return slices.DeleteFunc(needs, func(r record.Ref) bool { return r == unnamed }), about
}

// accept takes what a delivery says except what it says twice or about nobody.
func (w *world) accept(v *voice, d told) (staged map[any]any, rejected int) {
	staged = map[any]any{}
	asserts := func(said map[any]any, r record.Ref) bool {
		for key := range said {
			if e, is := key.(entityKey); is && e.Ref == r {
				return true
			}
		}
		return false
	}
	var faults []fault
	for _, l := range d.lines {
		key, value, bad := v.read(l)
		if bad != nil {
			faults = append(faults, *bad)
			continue
		}
		if _, twice := staged[key]; twice {
			_, about := names(key)
			faults = append(faults, fault{about})
			continue
		}
		staged[key] = value
	}
	incomplete := d.partial || len(faults) > 0
	known := func(r record.Ref) bool {
		for _, other := range w.voices {
			if (other != v || incomplete) && asserts(other.said, r) {
				return true
			}
		}
		return asserts(staged, r)
	}
	for key := range maps.Clone(staged) {
		needs, about := names(key)
		if !slices.ContainsFunc(needs, func(r record.Ref) bool { return !known(r) }) {
			continue
		}
		delete(staged, key)
		faults = append(faults, fault{about})
	}
	if len(faults) > 0 { // what the voice claimed before is in doubt as well
		for key, value := range v.said {
			if _, said := staged[key]; !said {
				if _, is := key.(coverageKey); is {
					staged[key] = value
				}
			}
		}
	}
	doubt(staged, faults)
	return staged, len(faults)
}

// doubt makes the coverage of what the faults touched partial: of everything
// when one of them does not say whom it was about.
func doubt(staged map[any]any, faults []fault) {
	blind := slices.Contains(faults, fault{unnamed})
	for key, value := range maps.Clone(staged) {
		k, is := key.(coverageKey)
		if !is {
			continue
		}
		lowered := value.(coverageValue)
		lowered.Partial = true
		if blind || slices.Contains(faults, fault{k.Entity}) {
			staged[key] = lowered
		}
		if blind || k.Entity != unnamed {
			continue
		}
		for _, f := range faults {
			particular := coverageKey{k.Kind, f.about}
			if _, said := staged[particular]; !said {
				staged[particular] = lowered
			}
		}
	}
}

// merge makes what was accepted the voice's word.
func (v *voice) merge(staged map[any]any, complete bool, at time.Time) (changed bool) {
	next := maps.Clone(v.said)
	if complete { // it replaces all but what was observed
		maps.DeleteFunc(next, func(key, _ any) bool { _, observed := key.(evidenceKey); return !observed })
	}
	maps.Copy(next, staged)
	for key, value := range staged { // nothing observed is taken back
		was, observed := v.said[key].(evidenceValue)
		if is, also := value.(evidenceValue); observed && also {
			if was.LastAt.After(is.LastAt) {
				is.LastAt = was.LastAt
			}
			is.Count = max(is.Count, was.Count)
			next[key] = is
		}
	}
	for key, value := range next {
		if k, is := key.(coverageKey); is && v.said[key] != value {
			v.saidAt[k] = at
		}
	}
	changed = !maps.Equal(v.said, next)
	v.said = next
	return changed
}

// stale says whether a coverage is older than it may be at the end of a window.
func (v *voice) stale(key coverageKey, windowAt time.Time) bool {
	said, is := v.said[key].(coverageValue)
	if !is || said.MaxAge == 0 {
		return false
	}
	known := v.saidAt[key]
	if v.completeAt.After(known) {
		known = v.completeAt
	}
	return known.Add(said.MaxAge).Before(windowAt)
}

// expired says whether a source has a coverage to renew.
func (v *voice) expired(windowAt time.Time) bool {
	for key := range v.said {
		if k, is := key.(coverageKey); is && v.stale(k, windowAt) {
			return true
		}
	}
	return false
}
