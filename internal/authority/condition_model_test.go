package authority_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Workloads --------------------------------------------------------------------

// known is a claim of presence or absence: what is seen decides alone.
func known(seen bool, c rule.Coverage) rule.Outcome {
	if seen {
		return rule.True
	}
	if c == rule.Complete {
		return rule.False
	}
	return rule.Unknown
}

func (w *world) judgeWorkload(r record.Ref, at time.Time) {
	facts := w.workloadFacts(r)
	words := func(of rule.Rule) func() rule.Verdict {
		return func() rule.Verdict {
			open := map[rule.Rule]rule.Open{}
			for _, before := range []rule.Rule{rule.OrphanedOwnership, rule.OwnershipDegraded, rule.OwnershipAmbiguous} {
				if w.condition(seat{r, before}) != nil {
					open[before] = rule.Open{}
				}
			}
			return spoken(rule.JudgeWorkload(facts, w.settings, w.windowAt, open), of)
		}
	}
	remembered := func(of rule.Rule) memory {
		if c := w.condition(seat{r, of}); c != nil {
			return c.memory
		}
		return memory{}
	}

	now := memory{owners: map[record.Ref]bool{}}
	var active, people, inactive int
	for o := range w.targets(record.OwnedBy, r) {
		e := w.entities[o].now()
		now.owners[o] = e.Status == record.Active
		switch {
		case e.Status != record.Active:
			inactive++
		case e.OwnerType == record.Group:
			active++
		default:
			active++
			people++
		}
	}
	back := func(before memory) bool {
		for o, isActive := range now.owners {
			if wasActive, was := before.owners[o]; isActive && was && !wasActive {
				return true
			}
		}
		return false
	}
	owned, individual, former := known(active > 0, facts.Ownership), known(people > 0, facts.Ownership), known(inactive > 0, facts.Ownership)

	orphaned := finding{rule: rule.OrphanedOwnership, outcome: rule.Unknown, reason: rule.OwnerAssigned, memory: now}
	switch owned {
	case rule.True:
		orphaned.outcome = rule.False
		if back(remembered(rule.OrphanedOwnership)) {
			orphaned.reason = rule.OwnerReactivated
		}
	case rule.False:
		orphaned.outcome = rule.True
	default:
	}
	w.decide(r, orphaned, words(rule.OrphanedOwnership), at)

	degraded := finding{rule: rule.OwnershipDegraded, outcome: rule.Unknown, reason: rule.OwnerRecordCleaned, memory: now}
	switch {
	case individual == rule.False:
		degraded.outcome, degraded.reason = rule.False, rule.OwnershipChanged
	case former == rule.False:
		degraded.outcome = rule.False
		if back(remembered(rule.OwnershipDegraded)) {
			degraded.reason = rule.OwnerReactivated
		}
	case individual == rule.True && former == rule.True:
		degraded.outcome = rule.True
	}
	w.decide(r, degraded, words(rule.OwnershipDegraded), at)

	ambiguous := finding{rule: rule.OwnershipAmbiguous, outcome: rule.Unknown, memory: now}
	switch {
	case individual == rule.True:
		ambiguous.outcome, ambiguous.reason = rule.False, rule.IndividualOwnerAssigned
	case owned == rule.False:
		ambiguous.outcome, ambiguous.reason = rule.False, rule.OwnershipChanged
	case owned == rule.True && individual == rule.False:
		ambiguous.outcome = rule.True
	}
	w.decide(r, ambiguous, words(rule.OwnershipAmbiguous), at)

	answered := false
	for _, before := range []rule.Rule{rule.OrphanedOwnership, rule.OwnershipDegraded, rule.OwnershipAmbiguous} {
		answered = answered || w.condition(seat{r, before}) != nil
	}
	unclear := finding{rule: rule.OwnershipUnknown, outcome: rule.False, reason: rule.OwnershipReceived}
	if facts.Ownership != rule.Complete && active == 0 {
		unclear.reason = rule.OwnershipChanged
		if !answered {
			unclear.outcome = rule.True
		}
	}
	w.decide(r, unclear, words(rule.OwnershipUnknown), at)

	unbound := finding{rule: rule.UnknownBinding, outcome: known(false, facts.Binding), reason: rule.IdentityBound}
	switch {
	case facts.Bound > 0:
		unbound.outcome = rule.False
	case facts.Unresolved > 0 || facts.Binding == rule.Complete:
		unbound.outcome = rule.True
	}
	w.decide(r, unbound, words(rule.UnknownBinding), at)

	unproven := finding{rule: rule.UnprovenExecution, outcome: rule.Unknown, from: facts.FirstSeen, basis: rule.PathFirstSeen}
	switch {
	case !facts.LastExecuted.IsZero():
		unproven.outcome, unproven.reason = rule.False, rule.EvidenceAppeared
	case w.windowAt.Before(facts.FirstSeen.Add(w.settings.ProofGrace)):
		unproven.outcome, unproven.reason = rule.False, rule.SettingChanged
	case facts.Execution == rule.Complete:
		unproven.outcome = rule.True
	}
	w.decide(r, unproven, words(rule.UnprovenExecution), at)

	for _, exit := range []struct {
		rule     rule.Rule
		category record.EgressCategory
	}{{rule.ExternalEgress, record.EgressExternal}, {rule.LLMEgress, record.EgressLLM}} {
		there, elsewhere := map[string]bool{}, map[string]bool{}
		all(w, func(_ *voice, k egressKey, category record.EgressCategory) {
			switch {
			case k.Workload != r:
			case category == exit.category:
				there[k.Host] = true
			default:
				elsewhere[k.Host] = true
			}
		})
		f := finding{rule: exit.rule, outcome: known(len(there) > 0, facts.Egress), reason: rule.EgressRemoved, memory: memory{hosts: there}}
		for host := range remembered(exit.rule).hosts {
			if elsewhere[host] {
				f.reason = rule.HostReclassified
			}
		}
		w.decide(r, f, words(exit.rule), at)
	}

	w.decide(r, w.judgeFacing(r, remembered(rule.InternetFacing)), words(rule.InternetFacing), at)
}

func spoken(verdicts []rule.Verdict, of rule.Rule) rule.Verdict {
	for _, v := range verdicts {
		if v.Rule == of {
			return v
		}
	}
	return rule.Verdict{}
}

func (w *world) workloadFacts(r record.Ref) rule.Workload {
	history := w.entities[r]
	f := rule.Workload{
		ID: w.id(r), Name: history.now().Name, FirstSeen: history.versions[0].From,
		Ownership: w.coverage(r, record.Ownership, w.windowAt), Binding: w.coverage(r, record.Binding, w.windowAt),
		Execution: w.coverage(r, record.Execution, history.versions[0].From), Egress: w.coverage(r, record.EgressObs, w.windowAt),
	}
	for o := range w.targets(record.OwnedBy, r) {
		e := w.entities[o].now()
		f.Owners = append(f.Owners, rule.Owner{ID: w.id(o), Name: e.Name, Group: e.OwnerType == record.Group,
			Active: e.Status == record.Active, LastActive: e.LastActiveAt})
	}
	slices.SortFunc(f.Owners, func(a, b rule.Owner) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.ID[:], b.ID[:]))
	})
	for identity := range w.boundTo(r) {
		if w.alive(identity) {
			f.Bound++
		} else {
			f.Unresolved++
		}
	}
	for key, history := range w.paths {
		if p := history.now(); key.Workload == r && key.Identity == unnamed && p.Effective && !p.Removed {
			f.Unbound++
		}
	}
	f.LastExecuted = w.lastProof(r)
	hosts := map[rule.Host]bool{}
	all(w, func(_ *voice, k egressKey, category record.EgressCategory) {
		if k.Workload == r {
			hosts[rule.Host{Name: k.Host, Category: authority.EgressCategory(category)}] = true
		}
	})
	f.Hosts = slices.SortedFunc(maps.Keys(hosts), func(a, b rule.Host) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Category, b.Category))
	})
	for ref := range w.facing(r) {
		f.Assets = append(f.Assets, ref.Value)
	}
	slices.Sort(f.Assets)
	return f
}

// lastProof is the day of the last evidence that can only be of a workload: it
// names it or, since it was first seen, an identity that it alone acts as.
func (w *world) lastProof(r record.Ref) (last time.Time) {
	alone := w.targets(record.RunsAs, r)
	maps.DeleteFunc(alone, func(i record.Ref, _ bool) bool {
		shared := false
		all(w, func(_ *voice, e edgeKey, _ edgeValue) {
			leads := e.Kind == record.RunsAs || e.Kind == record.Authenticates
			shared = shared || leads && e.To == i && e.From != r && w.alive(e.From)
		})
		return shared || !w.alive(i)
	})
	since := w.entities[r].versions[0].From.Truncate(day24)
	all(w, func(_ *voice, k evidenceKey, _ evidenceValue) {
		its := k.Workload == r || k.Workload == unnamed && alone[k.Identity] && !k.Related && !k.Day.Before(since)
		if its && k.Day.After(last) {
			last = k.Day
		}
	})
	return last
}

// boundTo is whom a workload runs as or authenticates as itself.
func (w *world) boundTo(workload record.Ref) map[record.Ref]bool {
	identities := w.targets(record.RunsAs, workload)
	maps.Copy(identities, w.targets(record.Authenticates, workload))
	return identities
}

// Identities ---------------------------------------------------------------------

// grant is what an identity holds of one resource.
type grant struct{ roles, actions map[string]bool }

// held is what an identity's paths led to at an instant.
func (w *world) held(identity record.Ref, at time.Time) map[record.Ref]grant {
	found := map[record.Ref]grant{}
	for key, history := range w.paths {
		p, was := history.asOf(at)
		if key.Identity == identity && was && !p.Removed && p.Effective {
			found[key.Resource] = grant{set(p.Roles), set(p.Actions)}
		}
	}
	return found
}

func set(words string) map[string]bool {
	found := map[string]bool{}
	for _, word := range strings.Fields(words) {
		found[word] = true
	}
	return found
}

func (c *chronicle[S]) asOf(at time.Time) (state S, was bool) {
	for _, v := range c.versions {
		if !v.From.After(at) {
			state, was = v.State, true
		}
	}
	return state, was
}

// growth is what an identity gained on one resource since its baseline.
type growth struct {
	roles, actions map[string]bool
	newly          bool
}

func (w *world) growth(identity record.Ref, at time.Time) map[record.Ref]growth {
	found := map[record.Ref]growth{}
	if len(w.baselines[identity]) == 0 {
		return found
	}
	past := w.held(identity, latest(w.baselines[identity]).At)
	without := func(these, those map[string]bool) map[string]bool {
		rest := maps.Clone(these)
		maps.DeleteFunc(rest, func(word string, _ bool) bool { return those[word] })
		return rest
	}
	held := map[string]bool{} // whatever for
	for _, then := range past {
		maps.Copy(held, then.roles)
	}
	for resource, now := range w.held(identity, at) {
		then, was := past[resource]
		g := growth{without(now.roles, held), without(now.actions, then.actions), !was}
		if g.newly || len(g.roles)+len(g.actions) > 0 {
			found[resource] = g
		}
	}
	return found
}

func (w *world) judgeIdentity(r record.Ref, at time.Time) {
	e := w.entities[r]
	firstSeen := e.versions[0].From
	facts := rule.Identity{
		ID: w.id(r), Name: e.now().Name, Disabled: e.now().Status == record.Disabled, FirstSeen: firstSeen,
		Execution: w.coverage(r, record.Execution, w.dormantBefore()), Roles: w.coverage(r, record.Roles, w.windowAt),
		Binding: w.coverage(r, record.Binding, w.windowAt), LastActive: e.now().LastActiveAt,
	}
	all(w, func(_ *voice, k evidenceKey, value evidenceValue) {
		acted := value.LastAt
		if acted.IsZero() {
			acted = k.Day
		}
		if k.Identity == r && acted.After(facts.LastActive) {
			facts.LastActive = acted
		}
	})
	grown := w.describeScope(r, &facts, at)
	sharers := w.describeSharers(r, &facts)
	words := func(of rule.Rule) func() rule.Verdict {
		return func() rule.Verdict { return spoken(rule.JudgeIdentity(facts, w.settings, w.windowAt, nil), of) }
	}
	before := func(of rule.Rule) (m memory, open bool) {
		if c := w.condition(seat{r, of}); c != nil {
			return c.memory, true
		}
		return m, false
	}

	dormant := finding{rule: rule.DormantAuthority, outcome: rule.Unknown, memory: memory{lastActive: facts.LastActive}}
	expiry := facts.LastActive.Add(w.settings.DormantAfter)
	if !facts.LastActive.IsZero() {
		dormant.from, dormant.basis = expiry, rule.EntityEvent
	}
	switch m, _ := before(rule.DormantAuthority); {
	case facts.Disabled:
		dormant.outcome, dormant.reason = rule.False, rule.IdentityDisabled
	case !facts.LastActive.IsZero() && expiry.After(w.windowAt):
		dormant.outcome, dormant.reason = rule.False, rule.ActivityResumed
		if !m.lastActive.IsZero() && !facts.LastActive.After(m.lastActive) {
			dormant.reason = rule.SettingChanged
		}
	case firstSeen.Add(w.settings.DormantAfter).After(w.windowAt):
		dormant.outcome, dormant.reason = rule.False, rule.SettingChanged
	case facts.Execution == rule.Complete:
		dormant.outcome = rule.True
	}
	w.decide(r, dormant, words(rule.DormantAuthority), at)

	drift := finding{rule: rule.ScopeDrift, outcome: known(grown, facts.Roles), reason: rule.ScopeReduced}
	if list := w.baselines[r]; len(list) > 0 {
		drift.memory.baselineAt = latest(list).At
		if m, open := before(rule.ScopeDrift); open && latest(list).Attested && latest(list).At.After(m.baselineAt) {
			drift.reason = rule.BaselineAttested
			if !grown { // however well it is known: what had grown was vouched for
				drift.outcome = rule.False
			}
		}
	}
	w.decide(r, drift, words(rule.ScopeDrift), at)

	reuse := finding{rule: rule.IdentityReuse, outcome: rule.False, reason: rule.IdentityDedicated, memory: memory{workloads: sharers, ownerSets: facts.OwnerSets}}
	switch m, open := before(rule.IdentityReuse); {
	case sharers >= w.settings.SharedWorkloads, sharers >= 2 && facts.OwnerSets >= 2 && facts.Ownership == rule.Complete:
		reuse.outcome = rule.True
	case sharers >= 2 && facts.Ownership != rule.Complete, facts.Binding != rule.Complete:
		reuse.outcome = rule.Unknown
	case open && sharers >= m.workloads && facts.OwnerSets >= m.ownerSets:
		reuse.reason = rule.SettingChanged
	}
	w.decide(r, reuse, words(rule.IdentityReuse), at)
}

// describeScope compares what an identity holds with its baseline.
func (w *world) describeScope(r record.Ref, facts *rule.Identity, at time.Time) (grown bool) {
	if len(w.baselines[r]) == 0 {
		return false
	}
	base := *latest(w.baselines[r])
	roles, actions, count := map[string]bool{}, map[string]bool{}, map[bool]int{}
	for _, g := range w.growth(r, at) {
		maps.Copy(actions, g.actions)
		for _, role := range w.roles(joined(g.roles)) {
			roles[role.name] = true
		}
		count[g.newly]++
	}
	distinct := func(at time.Time) int {
		held := map[string]bool{}
		for _, g := range w.held(r, at) {
			maps.Copy(held, g.roles)
		}
		return len(held)
	}
	facts.Scope = &rule.Scope{BaselineAt: base.At, Attested: base.Attested, RolesThen: distinct(base.At), RolesNow: distinct(at),
		RolesAdded: slices.Sorted(maps.Keys(roles)), ActionsAdded: slices.Sorted(maps.Keys(actions)), Newly: count[true]}
	return len(count) > 0
}

// describeSharers finds who runs as an identity, and who answers for them.
func (w *world) describeSharers(r record.Ref, facts *rule.Identity) int {
	sets, owners := map[string]bool{}, map[string]bool{}
	facts.Ownership = rule.Complete
	for _, workload := range w.living(record.Workload) {
		if !w.boundTo(workload)[r] {
			continue
		}
		facts.Workloads++
		facts.Ownership = min(facts.Ownership, w.coverage(workload, record.Ownership, w.windowAt))
		answering := map[string]bool{}
		for o := range w.targets(record.OwnedBy, workload) {
			if w.entities[o].now().Status == record.Active {
				answering[short(o)] = true
			}
		}
		maps.Copy(owners, answering)
		sets[joined(answering)] = true
	}
	if facts.Workloads == 0 {
		facts.Ownership = rule.NotCollected
	}
	facts.OwnerSets, facts.Owners = len(sets), len(owners)
	return facts.Workloads
}

func (w *world) dormantBefore() time.Time { return w.windowAt.Add(-w.settings.DormantAfter) }

type named struct {
	id   id.ID
	name string
}

// roles are the roles of a text, by name.
func (w *world) roles(text string) []named {
	var list []named
	for role := range set(text) {
		system, name, _ := strings.Cut(role, "/")
		r := record.Ref{Kind: record.Role, System: system, SourceID: name}
		list = append(list, named{w.id(r), w.entities[r].now().Name})
	}
	slices.SortFunc(list, func(a, b named) int { return cmp.Or(cmp.Compare(a.name, b.name), slices.Compare(a.id[:], b.id[:])) })
	return list
}
