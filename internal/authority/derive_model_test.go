package authority_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// deriveEntities merges what the voices say of each entity.
func (w *world) deriveEntities(at time.Time) {
	type statement struct {
		basis  record.Basis
		source string
		value  entityValue
	}
	said := map[record.Ref][]statement{}
	all(w, func(v *voice, k entityKey, value entityValue) {
		said[k.Ref] = append(said[k.Ref], statement{k.Basis, v.name, value})
	})

	next := map[record.Ref]entityState{}
	for r, history := range w.entities { // those that nobody speaks of any more stay as they were
		gone := history.now()
		gone.Status = record.Removed
		next[r] = gone
	}
	for r, statements := range said {
		slices.SortFunc(statements, func(a, b statement) int {
			return cmp.Or(cmp.Compare(a.basis, b.basis), cmp.Compare(a.source, b.source))
		})
		var e entityValue
		for _, s := range statements {
			e = entityValue{
				Name: cmp.Or(e.Name, s.value.Name), Environment: cmp.Or(e.Environment, s.value.Environment),
				OwnerTeam: cmp.Or(e.OwnerTeam, s.value.OwnerTeam), BusinessTier: cmp.Or(e.BusinessTier, s.value.BusinessTier),
				DataDomain: cmp.Or(e.DataDomain, s.value.DataDomain), Sensitivity: cmp.Or(e.Sensitivity, s.value.Sensitivity),
				Status: cmp.Or(e.Status, s.value.Status), Mode: cmp.Or(e.Mode, s.value.Mode), OwnerType: cmp.Or(e.OwnerType, s.value.OwnerType), LastActiveAt: cmp.Or(e.LastActiveAt, s.value.LastActiveAt),
			}
		}
		e.Name, e.Status = cmp.Or(e.Name, r.SourceID), cmp.Or(e.Status, record.Active)
		state := entityState{
			entityValue: e, Domain: authority.CanonicalDomain(e.DataDomain), Level: authority.ParseSensitivity(e.Sensitivity),
			Ownership: "unknown", Egress: "unknown",
		}
		if before, known := next[r]; known {
			state.Ownership, state.Egress = before.Ownership, before.Egress
		}
		if r.Kind == record.Workload {
			state.Class = class{e.Environment, e.OwnerTeam, e.BusinessTier}
		}
		next[r] = state
	}
	for r, state := range next {
		if r.Kind == record.Workload && state.alive() {
			state.Ownership, state.Egress = w.ownership(r, next), w.egress(r)
		}
		if w.entities[r] == nil {
			w.entities[r] = &chronicle[entityState]{}
		}
		w.entities[r].write(at, 0, state) // an entity does not say which sync wrote it
	}
}

func (w *world) ownership(workload record.Ref, entities map[record.Ref]entityState) string {
	var people, groups, inactive int
	for o := range w.targets(record.OwnedBy, workload) {
		switch {
		case entities[o].Status != record.Active:
			inactive++
		case entities[o].OwnerType == record.Group:
			groups++
		default:
			people++
		}
	}
	switch {
	case people > 0 && inactive > 0:
		return "degraded"
	case people > 0:
		return "valid"
	case w.coverage(workload, record.Ownership, w.windowAt) != rule.Complete:
		return "unknown"
	case groups > 0:
		return "ambiguous"
	}
	return "orphaned"
}

func (w *world) egress(workload record.Ref) string {
	found := map[record.EgressCategory]bool{}
	all(w, func(_ *voice, k egressKey, category record.EgressCategory) {
		if k.Workload == workload {
			found[category] = true
		}
	})
	for _, category := range []record.EgressCategory{record.EgressLLM, record.EgressExternal, record.EgressInternal} {
		if found[category] {
			return string(category)
		}
	}
	if w.coverage(workload, record.EgressObs, w.windowAt) == rule.Complete {
		return "none"
	}
	return "unknown"
}

// coverage says how well a kind of evidence is known of an entity; of execution,
// from an instant to the end of the window. What a source says of the entity goes
// before what it says of its system; of several sources the best counts.
func (w *world) coverage(entity record.Ref, kind record.EvidenceKind, from time.Time) rule.Coverage {
	best := rule.NotCollected
	for _, v := range w.voices {
		key := coverageKey{kind, entity}
		value, said := v.said[key]
		if !said && v.system == entity.System {
			key.Entity = unnamed
			value, said = v.said[key]
		}
		if !said {
			continue
		}
		c, state := value.(coverageValue), rule.Complete
		late := !c.From.IsZero() && c.From.After(from) || !c.To.IsZero() && c.To.Before(w.windowAt.Add(-24*time.Hour))
		switch {
		case c.Partial || kind == record.Execution && late:
			state = rule.Incomplete
		case v.stale(key, w.windowAt):
			state = rule.Expired
		}
		best = max(best, state)
	}
	return best
}

// bindings are the identities that a workload ends up with, and over how many
// systems.
func (w *world) bindings(workload record.Ref) map[record.Ref]int {
	depths := map[record.Ref]int{}
	layer := w.targets(record.RunsAs, workload)
	for depth := 0; depth <= 8; depth++ {
		next := map[record.Ref]bool{}
		if depth == 0 {
			next = w.targets(record.Authenticates, workload)
		}
		for i := range layer {
			if _, nearer := depths[i]; nearer || !w.alive(i) {
				continue
			}
			depths[i] = depth
			maps.Copy(next, w.targets(record.Authenticates, i))
		}
		layer = next
	}
	return depths
}

// reached is what an identity may do to a resource.
type reached struct {
	roles, actions map[string]bool
	effective      bool
}

func (w *world) reach(identity record.Ref) map[record.Ref]*reached {
	found := map[record.Ref]*reached{}
	all(w, func(_ *voice, has edgeKey, _ edgeValue) {
		if has.Kind != record.HasRole || has.From != identity || !w.alive(has.To) {
			return
		}
		all(w, func(_ *voice, grant edgeKey, value edgeValue) {
			if grant.Kind != record.Grants || grant.From != has.To || grant.Scope != has.Scope || !w.alive(grant.To) {
				return
			}
			r := found[grant.To]
			if r == nil {
				r = &reached{roles: map[string]bool{}, actions: map[string]bool{}}
				found[grant.To] = r
			}
			r.roles[short(has.To)] = true
			for _, action := range strings.Fields(value.Actions) {
				r.actions[action] = true
			}
			r.effective = r.effective || !value.Ineffective
		})
	})
	return found
}

// derivePaths works out the paths that are now and chronicles what differs.
func (w *world) derivePaths(result *outcome, at time.Time) {
	next := map[pathKey]pathState{}
	for _, workload := range w.living(record.Workload) {
		bound := map[record.Ref]bool{}
		for identity, depth := range w.bindings(workload) {
			for resource, r := range w.reach(identity) {
				bound[resource] = true
				next[pathKey{workload, identity, resource}] = pathState{
					Effective: r.effective, Roles: joined(r.roles), Actions: joined(r.actions), Depth: depth}
			}
		}
		declared := map[record.Ref]map[string]bool{}
		all(w, func(_ *voice, e edgeKey, value edgeValue) {
			if e.Kind != record.Declares || e.From != workload || bound[e.To] || !w.alive(e.To) {
				return
			}
			if declared[e.To] == nil {
				declared[e.To] = map[string]bool{}
			}
			for _, action := range strings.Fields(value.Actions) {
				declared[e.To][action] = true
			}
		})
		for resource, actions := range declared {
			next[pathKey{workload, unnamed, resource}] = pathState{Effective: true, Actions: joined(actions)}
		}
	}
	for key, state := range next {
		workload, resource := w.entities[key.Workload].now(), w.entities[key.Resource].now()
		state.Class, state.Ownership, state.Egress = workload.Class, workload.Ownership, workload.Egress
		state.DataDomain, state.Sensitivity = resource.Domain, resource.Level
		state.Execution, state.Basis = w.executions(key)
		history := w.paths[key]
		switch {
		case history == nil:
			history = &chronicle[pathState]{}
			w.paths[key] = history
			result.Paths.Added++
		case history.now().Removed:
			result.Paths.Added++
			result.Revived++
		case history.now() != state:
			result.Paths.Changed++
		}
		history.write(at, w.version, state)
	}
	for key, history := range w.paths {
		if _, still := next[key]; !still && !history.now().Removed {
			gone := history.now()
			gone.Removed = true
			history.write(at, w.version, gone)
			result.Paths.Removed++
		}
	}
}

// executions counts the most specific evidence that names a path.
func (w *world) executions(path pathKey) (count int64, basis string) {
	counts := map[string]int64{}
	fits := func(named, subject record.Ref) bool { return named == unnamed || named == subject }
	all(w, func(_ *voice, k evidenceKey, value evidenceValue) {
		if !k.Day.After(w.windowAt.Add(-authority.Window)) ||
			!fits(k.Workload, path.Workload) || !fits(k.Identity, path.Identity) || !fits(k.Resource, path.Resource) {
			return
		}
		switch {
		case k.Resource != unnamed:
			counts["path"] += int64(value.Count)
		case k.Workload != unnamed:
			counts["workload"] += int64(value.Count)
		default:
			counts["identity"] += int64(value.Count)
		}
	})
	for _, basis := range []string{"path", "workload", "identity"} {
		if counts[basis] > 0 {
			return counts[basis], basis
		}
	}
	if w.coverage(path.Workload, record.Execution, w.windowAt.Add(-authority.Window)) == rule.Complete {
		return 0, ""
	}
	return unknownExecutions, ""
}

// unknownExecutions stands for null.
const unknownExecutions = -1

// boundIdentities is what every workload runs as.
func (w *world) boundIdentities() map[record.Ref]map[record.Ref]bool {
	bound := map[record.Ref]map[record.Ref]bool{}
	all(w, func(_ *voice, e edgeKey, _ edgeValue) {
		if e.Kind == record.RunsAs {
			bound[e.From] = w.targets(record.RunsAs, e.From)
		}
	})
	return bound
}

// findRotations finds the workloads that exchanged one identity for one other,
// and the paths that took over.
func (w *world) findRotations(result *outcome, before map[record.Ref]map[record.Ref]bool, at time.Time) {
	without := func(these, those map[record.Ref]bool) []record.Ref {
		var rest []record.Ref
		for r := range these {
			if !those[r] {
				rest = append(rest, r)
			}
		}
		return rest
	}
	after := w.boundIdentities()
	for workload := range before {
		lost, gained := without(before[workload], after[workload]), without(after[workload], before[workload])
		if len(lost) != 1 || len(gained) != 1 {
			continue
		}
		result.Rotations++
		w.rotations = append(w.rotations, rotation{workload, lost[0], gained[0], at})
		for key, old := range w.paths {
			heir := pathKey{workload, gained[0], key.Resource}
			if key.Workload != workload || key.Identity != lost[0] || !old.begun(at) || !old.now().Removed || w.paths[heir] == nil {
				continue
			}
			versions := w.paths[heir].versions
			last := len(versions) - 1
			if w.paths[heir].begun(at) && !versions[last].State.Removed && (last == 0 || versions[last-1].State.Removed) {
				w.successions = append(w.successions, succession{key, heir, at})
			}
		}
	}
}
