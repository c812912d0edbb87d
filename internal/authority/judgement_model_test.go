package authority_test

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// The model of a judgement: the rules as the catalogue states them, of every
// workload, identity and path, from scratch each time. Only what was open before
// is remembered, with what its rule knew then. Outcomes, reasons, beginnings,
// severities and who is affected are worked out here; the package of the rules is
// asked for nothing but the words and the digest of what was found true here.

// seat is where a condition stands.
type seat struct {
	Subject record.Ref
	Rule    rule.Rule
}

// condition is one interval.
type condition struct {
	From, To  time.Time // zero: open
	Reason    rule.Reason
	Effective time.Time
	Basis     rule.Basis
	Versions  []version[conditionState]
	memory    memory
}

type conditionState struct {
	RuleVersion                            int
	Class                                  class
	Explanation, PathExplanation, Evidence string
	Digest                                 id.ID
	Since                                  time.Time // zero: not in doubt
}

// memory is what a rule knows of when it last held.
type memory struct {
	owners                 map[record.Ref]bool // whether each was active
	hosts                  map[string]bool
	lastActive, baselineAt time.Time
	workloads, ownerSets   int
}

// place is where an exposure stands.
type place struct {
	Path pathKey
	Type rule.Type
}

// exposed is one interval of an exposure.
type exposed struct {
	From, To  time.Time
	Reason    rule.Reason
	Effective time.Time
	Basis     rule.Basis
	Lineage   time.Time
	Versions  []version[exposedState]
}

type exposedState struct {
	Class       class
	Severity    int
	Factors     int
	Explanation string
	Digest      id.ID
	Disposition int
	Since       time.Time
}

// baseline is an instant whose scope an identity is compared with.
type baseline struct {
	At          time.Time
	Attested    bool
	Actor, Note string
}

// justification is one interval in which somebody justified actions of a path.
type justification struct {
	From, To               time.Time
	Actor, Text, Withdrawn string
	Actions                string
}

// judge is which version of a rule judges.
type judge struct {
	Version int
	Enabled bool
}

func latest[T any](list []T) *T { return &list[len(list)-1] }

func (c *condition) now() conditionState { return latest(c.Versions).State }
func (x *exposed) now() exposedState     { return latest(x.Versions).State }

func (w *world) id(r record.Ref) id.ID {
	return id.Entity(w.organization, string(r.Kind), r.System, r.SourceID)
}

// condition is the open one, if there is one.
func (w *world) condition(s seat) *condition {
	if list := w.conditions[s]; len(list) > 0 && latest(list).To.IsZero() {
		return latest(list)
	}
	return nil
}

func (w *world) exposure(p place) *exposed {
	if list := w.exposures[p]; len(list) > 0 && latest(list).To.IsZero() {
		return latest(list)
	}
	return nil
}

func (w *world) retired(r rule.Rule) bool { return slices.Contains(w.settings.DisabledRules, r) }

// appoint lets the current versions of the rules judge from now on.
func (w *world) appoint(at time.Time) {
	w.renamed = map[rule.Rule]bool{}
	for r, number := range w.versions {
		next := judge{number, !w.retired(r)}
		c := w.judges[r]
		if c == nil {
			c = &chronicle[judge]{}
			w.judges[r] = c
		} else if c.now() != next {
			w.renamed[r] = true
		}
		c.write(at, 0, next)
	}
}

// judge judges everything. Resettled says that nothing but the settings is new.
func (w *world) judge(result *outcome, at time.Time, resettled bool) {
	for r, history := range w.entities {
		if r.Kind != record.Workload && r.Kind != record.Identity {
			continue
		}
		e := history.now()
		switch {
		case !e.alive() && r.Kind == record.Workload:
			w.closeAll(r, at, rule.WorkloadRemoved)
		case !e.alive():
			w.closeAll(r, at, rule.IdentityRemoved)
		case r.Kind == record.Workload:
			w.judgeWorkload(r, at)
		default:
			w.judgeIdentity(r, at)
		}
	}
	for _, r := range w.living(record.Identity) {
		if len(w.baselines[r]) == 0 && w.coverage(r, record.Roles, w.windowAt) == rule.Complete && len(w.held(r, at)) > 0 {
			w.baselines[r] = []baseline{{At: at}}
		}
	}
	for key := range w.paths {
		w.expose(result, key, at, resettled)
	}
}

// finding is what a rule says of a subject.
type finding struct {
	rule    rule.Rule
	outcome rule.Outcome
	reason  rule.Reason // of False
	from    time.Time   // of True; zero: now
	basis   rule.Basis
	memory  memory
}

func (w *world) closeAll(subject record.Ref, at time.Time, reason rule.Reason) {
	for s := range w.conditions {
		if c := w.condition(s); s.Subject == subject && c != nil {
			c.To, c.Reason = at, reason
		}
	}
}

// decide brings the condition of a rule up to what was found.
func (w *world) decide(subject record.Ref, f finding, words func() rule.Verdict, at time.Time) {
	s := seat{subject, f.rule}
	open := w.condition(s)
	number := w.versions[f.rule]
	switch {
	case w.retired(f.rule):
		if open != nil {
			open.To, open.Reason = at, rule.RuleRetired
		}
	case f.outcome == rule.True:
		v := words()
		if v.Outcome != rule.True {
			panic(fmt.Sprintf("rule %d has no words for %v, where the model finds it true", f.rule, subject))
		}
		state := conditionState{RuleVersion: number, Explanation: v.Explanation, PathExplanation: v.PathExplanation,
			Evidence: string(v.Evidence.JSON()), Digest: v.EvidenceDigest}
		if subject.Kind == record.Workload {
			state.Class = w.entities[subject].now().Class
		}
		if open == nil {
			w.conditions[s] = append(w.conditions[s], condition{From: at, Effective: f.from, Basis: f.basis})
			open = latest(w.conditions[s])
			if f.from.IsZero() {
				open.Effective, open.Basis = at, rule.Detected
			}
		}
		open.memory = f.memory
		if len(open.Versions) == 0 || open.now() != state {
			open.Versions = append(open.Versions, version[conditionState]{From: at, State: state})
		}
	case open == nil:
	case f.outcome == rule.False:
		open.To, open.Reason = at, f.reason
		if open.now().RuleVersion != number {
			open.Reason = rule.RuleChanged
		}
	default:
		doubted := open.now()
		if doubted.Since.IsZero() {
			doubted.Since = at
		}
		if subject.Kind == record.Workload { // who may see it follows the workload, whatever is known
			doubted.Class = w.entities[subject].now().Class
		}
		if doubted != open.now() {
			open.Versions = append(open.Versions, version[conditionState]{From: at, State: doubted})
		}
	}
}

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

// Paths ----------------------------------------------------------------------------

// wanted is an exposure that a path should have.
type wanted struct {
	firm     bool // false: it keeps what is open and opens nothing
	doubted  bool // of a rule of path grain: what is open is in doubt from now on
	frozen   bool // what is open keeps its words and its weight
	severity int
	factors  int
	text     string
	digest   id.ID
	from     time.Time
	basis    rule.Basis
}

// powerful are the actions of the tests that change something.
var powerful = map[string]bool{"delete": true, "update": true, "*": true}

func (w *world) standing(key pathKey) (since time.Time) {
	removed := true
	for _, v := range w.paths[key].versions {
		if removed && !v.State.Removed {
			since = v.From
		}
		removed = v.State.Removed
	}
	return since
}

// expose brings the exposures of a path up to what was judged.
func (w *world) expose(result *outcome, key pathKey, at time.Time, resettled bool) {
	p := w.paths[key].now()
	wants, gap := map[rule.Type]wanted{}, rule.Reason("")
	if !p.Removed && p.Effective {
		w.wantConditions(wants, key, at)
		w.wantReach(wants, key, at)
		gap = w.wantPrivilege(wants, key, at)
	}
	for r := range w.versions {
		t := rule.Type(r)
		open := w.exposure(place{key, t})
		want, is := wants[t]
		switch {
		case open == nil && is && want.firm:
			w.open(key, t, want, at)
			result.Exposures.Opened++
		case open == nil:
		case !is:
			open.To, open.Reason = at, w.why(key, t, gap, at, resettled)
			result.Exposures.Resolved++
		default:
			state := open.now()
			state.Class = p.Class
			switch {
			case want.doubted && state.Since.IsZero():
				state.Since = at
			case !want.doubted:
				state.Since = time.Time{}
			}
			if !want.doubted && !want.frozen {
				state.Severity, state.Factors, state.Explanation, state.Digest = want.severity, want.factors, want.text, want.digest
			}
			if state != open.now() {
				open.Versions = append(open.Versions, version[exposedState]{From: at, State: state})
			}
		}
	}
}

func (w *world) open(key pathKey, t rule.Type, want wanted, at time.Time) {
	spot := place{key, t}
	x := exposed{From: at, Effective: want.from, Basis: want.basis, Lineage: want.from, Versions: []version[exposedState]{{From: at, State: exposedState{
		Class: w.paths[key].now().Class, Severity: want.severity, Factors: want.factors, Explanation: want.text, Digest: want.digest, Disposition: 1}}}}
	if before := w.exposures[spot]; len(before) > 0 && latest(before).now().Disposition == 4 && latest(before).now().Digest == want.digest {
		x.Versions[0].State.Disposition = 4
	}
	for _, s := range w.successions {
		if s.Successor != key || !s.At.Equal(at) {
			continue
		}
		if before := w.exposures[place{s.Predecessor, t}]; len(before) > 0 {
			last := latest(before)
			ends := last.To.Equal(at) || last.To.IsZero() // or is about to: paths come in any order
			if ends && last.Lineage.Before(x.Lineage) {
				x.Lineage = last.Lineage
			}
		}
	}
	w.exposures[spot] = append(w.exposures[spot], x)
}

// why says why an exposure resolved.
func (w *world) why(key pathKey, t rule.Type, gap rule.Reason, at time.Time, resettled bool) rule.Reason {
	p := w.paths[key].now()
	r := rule.Rule(t)
	if p.Removed {
		for _, s := range w.successions {
			if s.Predecessor == key && s.At.Equal(at) {
				return rule.RotatedToSuccessor
			}
		}
		if !w.alive(key.Workload) {
			return rule.WorkloadRemoved
		}
		return rule.PathRemoved
	}
	switch {
	case !p.Effective:
		return rule.PathIneffective
	case w.retired(r):
		return rule.RuleRetired
	case r == rule.SensitiveDomain || r == rule.PrivilegeGap:
		switch {
		case w.renamed[r]:
			return rule.RuleChanged
		case r == rule.SensitiveDomain:
			return rule.SensitivityReclassified
		case resettled:
			return rule.SettingChanged
		}
		return gap
	}
	for _, subject := range []record.Ref{key.Workload, key.Identity} {
		if list := w.conditions[seat{subject, r}]; len(list) > 0 && latest(list).To.Equal(at) {
			return latest(list).Reason
		}
	}
	switch { // the condition holds, and says nothing of this path any more
	case resettled:
		return rule.SettingChanged
	case r == rule.DormantAuthority:
		return rule.ActivityResumed
	}
	return rule.ScopeReduced
}

// words fills the places of a text on a path.
func (w *world) words(template string, key pathKey) string {
	p := w.paths[key].now()
	name := func(r record.Ref, otherwise string) string {
		if r == unnamed {
			return otherwise
		}
		return w.entities[r].now().Name
	}
	actions, roles := "reach", "no known role"
	if p.Actions != "" {
		actions = rule.List(strings.Fields(p.Actions))
	}
	if list := w.roles(p.Roles); len(list) > 0 {
		var names []string
		for _, role := range list {
			names = append(names, role.name)
		}
		roles = rule.List(names)
	}
	return rule.Format(template, name(key.Resource, ""), []string{"unknown", "public", "internal", "confidential", "restricted"}[p.Sensitivity],
		cmp.Or(p.DataDomain, "an unnamed domain"), actions, roles, name(key.Workload, ""), name(key.Identity, "an unknown identity"))
}

// The factors of a severity, as they are stored.
const (
	baseLow, baseMedium, baseHigh                         = 1, 2, 4
	sensitive, restricted, leaves, writing, grew, reaches = 16, 32, 64, 128, 256, 512
)

// weigh is the severity of an exposure and what it is made of: each factor that
// holds raises the base by one.
func (w *world) weigh(r rule.Rule, p pathState, g growth) (severity, factors int) {
	isSensitive, isRestricted := p.Sensitivity >= 3, p.Sensitivity == 4
	isPowerful := func(actions map[string]bool) bool {
		for action := range actions {
			if powerful[action] {
				return true
			}
		}
		return false
	}
	severity = map[rule.Rule]int{1: 3, 2: 2, 3: 1, 4: 2, 5: 2, 6: 2, 7: 3, 8: 2, 9: 2, 10: 2, 11: 2, 12: 3, 13: 2}[r]
	factors = []int{0, baseLow, baseMedium, baseHigh}[severity]
	raise := func(holds bool, factor int) bool {
		if holds {
			severity++
			factors |= factor
		}
		return holds
	}
	switch r {
	case rule.OrphanedOwnership, rule.UnprovenExecution, rule.ExternalEgress:
		raise(isSensitive, sensitive)
	case rule.OwnershipAmbiguous, rule.PrivilegeGap, rule.LLMEgress:
		raise(isRestricted, restricted)
	case rule.DormantAuthority: // either of the two
		_ = raise(isSensitive, sensitive) || raise(p.Egress == "external" || p.Egress == "llm", leaves)
	case rule.SensitiveDomain:
		raise(isRestricted, restricted)
		raise(isPowerful(set(p.Actions)), writing)
	case rule.ScopeDrift: // either of the two
		_ = raise(isPowerful(g.actions), grew) || raise(g.newly && isSensitive, reaches)
	default:
	}
	return severity, factors
}

// wantConditions fans the conditions of a path's workload and identity out.
func (w *world) wantConditions(wants map[rule.Type]wanted, key pathKey, at time.Time) {
	p, since := w.paths[key].now(), w.standing(key)
	for s := range w.conditions {
		c := w.condition(s)
		if c == nil || s.Subject != key.Workload && s.Subject != key.Identity {
			continue
		}
		state := c.now()
		var g growth
		want := wanted{firm: state.Since.IsZero(), digest: state.Digest, text: state.Explanation, from: c.Effective, basis: c.Basis}
		switch s.Rule {
		case rule.UnknownBinding:
			if key.Identity != unnamed {
				continue
			}
		case rule.DormantAuthority:
			if since.After(w.dormantBefore()) || w.travelled(key) {
				continue
			}
		case rule.ScopeDrift:
			var gained bool
			if g, gained = w.growth(key.Identity, at)[key.Resource]; !gained {
				if want.firm {
					continue
				}
				want.frozen = true // nobody knows whether it was taken away
			}
		default:
		}
		if state.PathExplanation != "" {
			want.text = w.words(state.PathExplanation, key)
		}
		if c.Effective.Before(since) {
			want.from, want.basis = since, rule.PathFirstSeen
		}
		want.severity, want.factors = w.weigh(s.Rule, p, g)
		wants[rule.Type(s.Rule)] = want
	}
}

// travelled says whether the workload was seen to use the route of a path
// within the threshold of dormancy, under whatever identity.
func (w *world) travelled(key pathKey) (is bool) {
	all(w, func(_ *voice, k evidenceKey, _ evidenceValue) {
		is = is || k.Identity == unnamed && k.Workload == key.Workload && (k.Resource == unnamed || k.Resource == key.Resource) && k.Day.After(w.dormantBefore())
	})
	return is
}

func (w *world) wantReach(wants map[rule.Type]wanted, key pathKey, at time.Time) {
	p := w.paths[key].now()
	if w.retired(rule.SensitiveDomain) || p.Sensitivity == 1 || p.Sensitivity == 2 {
		return
	}
	want := wanted{firm: p.Sensitivity >= 3, doubted: p.Sensitivity == 0, from: at, basis: rule.Detected}
	if len(w.paths[key].versions) == 1 && w.paths[key].begun(at) {
		want.basis = rule.PathFirstSeen
	}
	if want.firm {
		want.severity, want.factors = w.weigh(rule.SensitiveDomain, p, growth{})
		want.text = w.words(rule.JudgeReach(rule.Trait{Sensitivity: p.Sensitivity}).PathExplanation, key)
		want.digest = w.fingerprint(key, "\x00"+string(rune(p.Sensitivity)))
	}
	wants[rule.SensitiveReach] = want
}

// fingerprint identifies what a path is made of, and something more.
func (w *world) fingerprint(key pathKey, more string) id.ID {
	p := w.paths[key].now()
	var identity *id.ID
	if key.Identity != unnamed {
		named := w.id(key.Identity)
		identity = &named
	}
	roles := []id.ID{}
	for _, role := range w.roles(p.Roles) {
		roles = append(roles, role.id)
	}
	slices.SortFunc(roles, func(a, b id.ID) int { return slices.Compare(a[:], b[:]) })
	composition := id.Composition(w.id(key.Workload), identity, w.id(key.Resource), roles, strings.Fields(p.Actions))
	whole := sha256.Sum256(append(composition[:], more...))
	return id.ID(whole[:16])
}

// wantPrivilege judges power that is not used. It says why an exposure would
// resolve.
func (w *world) wantPrivilege(wants map[rule.Type]wanted, key pathKey, at time.Time) rule.Reason {
	const r = rule.PrivilegeGap
	if w.retired(r) {
		return ""
	}
	p := w.paths[key].now()
	used, proven, opaque := w.used(key)
	unused := leftOver(p.Actions, used)
	excused := map[string]bool{} // of those left over
	j := w.justification(key)
	if j != nil {
		for action := range set(j.Actions) {
			if slices.Contains(unused, action) {
				excused[action] = true
			}
		}
	}
	unjustified := slices.DeleteFunc(slices.Clone(unused), func(action string) bool { return excused[action] })
	start := w.windowAt.Add(-w.settings.PrivilegeWindow)
	watched := w.coverage(key.Workload, record.Execution, start)
	switch {
	case len(unused) > 0 && len(unjustified) == 0 && j.From.Equal(at):
		return rule.JustificationRecorded
	case len(unjustified) == 0: // what an older justification covers was in no question
		for action := range w.grantedBefore(key, at) {
			if !set(p.Actions)[action] {
				return rule.PrivilegeReduced
			}
		}
		return rule.PrivilegeExercised
	case !proven && watched == rule.Complete:
		return rule.ExecutionCeased
	case !proven || opaque || len(used) == 0 || watched != rule.Complete:
		wants[rule.ExcessPrivilege] = wanted{doubted: true}
		return ""
	}
	made := joined(used)
	if len(excused) > 0 {
		made += "\x00" + joined(excused)
	}
	want := wanted{firm: true, from: at, basis: rule.Detected, digest: w.fingerprint(key, made)}
	want.severity, want.factors = w.weigh(r, p, growth{})
	v := rule.JudgePrivilege(rule.Privilege{Granted: strings.Fields(p.Actions), Used: slices.Sorted(maps.Keys(used)),
		Justified: slices.Sorted(maps.Keys(excused)), Proven: proven, Execution: watched}, w.settings)
	want.text = w.words(v.PathExplanation, key)
	wants[rule.ExcessPrivilege] = want
	return ""
}

// used are the actions that evidence in the window names on a path; opaque where
// some of it names none.
func (w *world) used(key pathKey) (used map[string]bool, proven, opaque bool) {
	used = map[string]bool{}
	start := w.windowAt.Add(-w.settings.PrivilegeWindow)
	all(w, func(_ *voice, k evidenceKey, _ evidenceValue) {
		fits := func(named, subject record.Ref) bool { return named == unnamed || named == subject }
		if k.Resource != key.Resource || !fits(k.Workload, key.Workload) || !fits(k.Identity, key.Identity) || !k.Day.After(start) {
			return
		}
		proven = true
		if k.Action == "" {
			opaque = true
		} else {
			used[k.Action] = true
		}
	})
	return used, proven, opaque
}

// leftOver are the granted actions that change something and were not used.
func leftOver(granted string, used map[string]bool) (unused []string) {
	for _, action := range strings.Fields(granted) {
		exercised := used[action]
		for u := range used {
			exercised = exercised || action == "*" && powerful[u]
		}
		if powerful[action] && !exercised {
			unused = append(unused, action)
		}
	}
	return unused
}

// justification is the one of a path that is in force, if there is one.
func (w *world) justification(key pathKey) *justification {
	if list := w.justifications[key]; len(list) > 0 && latest(list).To.IsZero() {
		return latest(list)
	}
	return nil
}

// grantedBefore is what a path allowed until this instant.
func (w *world) grantedBefore(key pathKey, at time.Time) map[string]bool {
	versions := w.paths[key].versions
	if last := len(versions) - 1; last > 0 && versions[last].From.Equal(at) {
		return set(versions[last-1].State.Actions)
	}
	return set(latest(versions).State.Actions)
}

// Masks ------------------------------------------------------------------------------

// mask is what the row of a path says of its exposures.
type mask struct {
	Open, Acknowledged, Accepted int
	Count, Severity              int
}

func (w *world) mask(key pathKey) (m mask) {
	for r := range w.versions {
		x := w.exposure(place{key, rule.Type(r)})
		if x == nil {
			continue
		}
		bit := 1 << (r - 1)
		switch state := x.now(); state.Disposition {
		case 1:
			m.Open |= bit
			fallthrough
		case 2:
			m.Acknowledged |= bit
			m.Count++
			m.Severity = max(m.Severity, state.Severity)
			fallthrough
		case 3:
			m.Accepted |= bit
		}
	}
	return m
}

// Comparison ---------------------------------------------------------------------------

// interval is a condition or an exposure as both sides tell it.
type interval[S comparable] struct {
	From, To  time.Time
	Reason    rule.Reason
	Effective time.Time
	Basis     rule.Basis
	Lineage   time.Time
	Versions  []version[S]
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// compareJudgement holds conditions, exposures and masks against the model.
func (h *theatre) compareJudgement(t checker, refs map[id.ID]record.Ref, keys map[id.ID]pathKey, classes map[int]class) {
	t.Helper()
	h.compareJudges(t, refs)
	h.compareJustifications(t, keys)
	h.compareConditions(t, refs, classes)
	h.compareExposures(t, refs, keys, classes)
	type row struct {
		ID id.ID
		mask
	}
	for _, r := range rowsOf[row](t, h, `SELECT id, open_mask, acknowledged_mask, accepted_mask, active_exposure_count, coalesce(max_exposure_severity, 0)
		FROM authority_path WHERE organization_id = $1`) {
		require.Equal(t, h.world.mask(keys[r.ID]), r.mask, "masks of %v", keys[r.ID])
	}
	h.checkInvariants(t)
}

// checkInvariants states on the server's side what no history may break.
func (h *theatre) checkInvariants(t checker) {
	t.Helper()
	type row struct {
		What string
		Key  string
	}
	broken := rowsOf[row](t, h, `
		SELECT 'several ownership conditions of one workload', subject_id::text FROM condition
		WHERE organization_id = $1 AND to_at IS NULL AND rule <= 4 GROUP BY subject_id HAVING count(*) > 1
		UNION ALL
		SELECT 'several open exposures', path_id::text || ' ' || type FROM exposure
		WHERE organization_id = $1 AND to_at IS NULL GROUP BY path_id, type HAVING count(*) > 1
		UNION ALL
		SELECT 'several ownership exposures of one path', path_id::text FROM exposure
		WHERE organization_id = $1 AND to_at IS NULL AND type <= 4 GROUP BY path_id HAVING count(*) > 1
		UNION ALL
		SELECT 'resolved without a reason', path_id::text FROM exposure WHERE organization_id = $1 AND to_at IS NOT NULL AND coalesce(resolution_reason, '') = ''
		UNION ALL
		SELECT 'resolved without a reason', subject_id::text FROM condition WHERE organization_id = $1 AND to_at IS NOT NULL AND coalesce(resolution_reason, '') = ''
		UNION ALL
		SELECT 'open on a path that does not stand', p.id::text FROM exposure x JOIN authority_path p ON p.organization_id = $1 AND p.id = x.path_id
		WHERE x.organization_id = $1 AND x.to_at IS NULL AND (p.status <> 'active' OR NOT p.effective)`)
	require.Empty(t, broken)
}

func (h *theatre) compareJudges(t checker, refs map[id.ID]record.Ref) {
	t.Helper()
	type row struct {
		Rule     rule.Rule
		From     time.Time
		To       *time.Time
		Version  int
		Enabled  bool
		Baseline bool
	}
	found := map[rule.Rule][]version[judge]{}
	ends := map[rule.Rule]*time.Time{}
	for _, r := range rowsOf[row](t, h, `SELECT rule, from_at, to_at, version, enabled, false FROM rule_version WHERE organization_id = $1 ORDER BY rule, from_at`) {
		checkInterval(t, r.Rule, len(found[r.Rule])+1, len(found[r.Rule])+1, r.From, ends[r.Rule])
		found[r.Rule], ends[r.Rule] = append(found[r.Rule], version[judge]{From: r.From.UTC(), State: judge{r.Version, r.Enabled}}), r.To
	}
	equalChronicles(t, h.world.judges, found)
	checkEnds(t, ends)

	type compared struct {
		Identity id.ID
		At       time.Time
		Attested bool
		Actor    string
		Note     string
	}
	baselines := map[record.Ref][]baseline{}
	for _, r := range rowsOf[compared](t, h, `SELECT identity_id, at, basis = 'attested', coalesce(actor, ''), coalesce(note, '')
		FROM scope_baseline WHERE organization_id = $1 ORDER BY at`) {
		baselines[refs[r.Identity]] = append(baselines[refs[r.Identity]], baseline{r.At.UTC(), r.Attested, r.Actor, r.Note})
	}
	require.Equal(t, h.world.baselines, baselines, "baselines")
}

func (h *theatre) compareJustifications(t checker, keys map[id.ID]pathKey) {
	t.Helper()
	type row struct {
		Path        id.ID
		From        time.Time
		To          *time.Time
		Actor, Text string
		Withdrawn   string
		Actions     []string
	}
	found := map[pathKey][]justification{}
	for _, r := range rowsOf[row](t, h, `SELECT path_id, from_at, to_at, actor, justification, coalesce(withdrawn_by, ''), actions
		FROM privilege_justification WHERE organization_id = $1 ORDER BY from_at`) {
		key := keys[r.Path]
		found[key] = append(found[key], justification{r.From.UTC(), utc(r.To), r.Actor, r.Text, r.Withdrawn, strings.Join(r.Actions, " ")})
	}
	require.Equal(t, h.world.justifications, found, "justifications")
}

func (h *theatre) compareConditions(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		Subject                      id.ID
		Rule                         rule.Rule
		Ordinal                      int
		Version                      int
		Current                      bool
		From                         time.Time
		To, Effective                *time.Time
		Basis                        string
		Opened, Ended                *time.Time
		Reason                       string
		RuleVersion, Class           int
		Explanation, PathExplanation string
		Evidence                     rule.Evidence
		Digest                       id.ID
		Since                        *time.Time
	}
	rows := rowsOf[row](t, h, `
		SELECT subject_id, rule, ordinal, version, true, version_from, NULL::timestamptz, effective_from, effective_basis, from_at, to_at, coalesce(resolution_reason, ''),
		  rule_version, class, explanation, coalesce(path_explanation, ''), evidence, evidence_digest, indeterminate_since
		FROM condition WHERE organization_id = $1
		UNION ALL
		SELECT subject_id, rule, ordinal, version, false, from_at, to_at, NULL, '', NULL, NULL, '',
		  rule_version, class, explanation, coalesce(path_explanation, ''), evidence, evidence_digest, indeterminate_since
		FROM condition_version WHERE organization_id = $1
		ORDER BY 1, 2, 3, 4`)
	found := map[seat][]interval[conditionState]{}
	versions, end := []version[conditionState](nil), (*time.Time)(nil)
	for _, r := range rows {
		s := seat{refs[r.Subject], r.Rule}
		checkInterval(t, s, r.Version, len(versions)+1, r.From, end)
		state := conditionState{RuleVersion: r.RuleVersion, Class: classes[r.Class], Explanation: r.Explanation, PathExplanation: r.PathExplanation,
			Evidence: string(r.Evidence.JSON()), Digest: r.Digest, Since: utc(r.Since)}
		versions, end = append(versions, version[conditionState]{From: r.From.UTC(), State: state}), r.To
		if !r.Current {
			continue
		}
		require.Equal(t, len(found[s])+1, r.Ordinal, "intervals of %v", s)
		require.Equal(t, versions[0].From, utc(r.Opened), "%v opened with its first version", s)
		found[s] = append(found[s], interval[conditionState]{utc(r.Opened), utc(r.Ended), rule.Reason(r.Reason), utc(r.Effective), rule.Basis(r.Basis), time.Time{}, versions})
		versions, end = nil, nil
	}
	require.Empty(t, versions, "versions of conditions that there are not")
	expected := map[seat][]interval[conditionState]{}
	for s, list := range h.world.conditions {
		for _, c := range list {
			expected[s] = append(expected[s], interval[conditionState]{c.From, c.To, c.Reason, c.Effective, c.Basis, time.Time{}, c.Versions})
		}
	}
	equalIntervals(t, "conditions", expected, found)
}

// equalIntervals compares one by one: what differs is easier to read so.
func equalIntervals[K comparable, S comparable](t checker, what string, expected, found map[K][]interval[S]) {
	t.Helper()
	for key, list := range expected {
		require.Equal(t, list, found[key], "%s of %v", what, key)
	}
	for key, list := range found {
		_, both := expected[key]
		require.True(t, both, "the model has no %s of %v, the server %v", what, key, list)
	}
}

func (h *theatre) compareExposures(t checker, refs map[id.ID]record.Ref, keys map[id.ID]pathKey, classes map[int]class) {
	t.Helper()
	type row struct {
		Path                       id.ID
		Type                       rule.Type
		Ordinal                    int
		Version                    int
		Current                    bool
		From                       time.Time
		To                         *time.Time
		Workload                   *id.ID
		Effective                  *time.Time
		Basis                      string
		Lineage, Opened, Ended     *time.Time
		Reason                     string
		Class                      int
		Severity, Factors, Dispose int
		Explanation                string
		Digest                     id.ID
		Since                      *time.Time
	}
	rows := rowsOf[row](t, h, `
		SELECT path_id, type, ordinal, version, true, version_from, NULL::timestamptz, workload_id, effective_from, effective_basis, lineage_from, from_at, to_at,
		  coalesce(resolution_reason, ''), class, severity, factors, disposition, explanation, evidence_digest, indeterminate_since
		FROM exposure WHERE organization_id = $1
		UNION ALL
		SELECT path_id, type, ordinal, version, false, from_at, to_at, NULL, NULL, '', NULL, NULL, NULL,
		  '', class, severity, factors, disposition, explanation, evidence_digest, indeterminate_since
		FROM exposure_version WHERE organization_id = $1
		ORDER BY 1, 2, 3, 4`)
	found := map[place][]interval[exposedState]{}
	versions, end := []version[exposedState](nil), (*time.Time)(nil)
	for _, r := range rows {
		require.Contains(t, keys, r.Path, "an exposure of a path that there is not")
		p := place{keys[r.Path], r.Type}
		checkInterval(t, p, r.Version, len(versions)+1, r.From, end)
		state := exposedState{Class: classes[r.Class], Severity: r.Severity, Factors: r.Factors, Explanation: r.Explanation, Digest: r.Digest,
			Disposition: r.Dispose, Since: utc(r.Since)}
		versions, end = append(versions, version[exposedState]{From: r.From.UTC(), State: state}), r.To
		if !r.Current {
			continue
		}
		require.Equal(t, p.Path.Workload, refs[*r.Workload])
		require.Equal(t, len(found[p])+1, r.Ordinal, "intervals of %v", p)
		require.Equal(t, versions[0].From, utc(r.Opened), "%v opened with its first version", p)
		found[p] = append(found[p], interval[exposedState]{utc(r.Opened), utc(r.Ended), rule.Reason(r.Reason), utc(r.Effective), rule.Basis(r.Basis), utc(r.Lineage), versions})
		versions, end = nil, nil
	}
	require.Empty(t, versions, "versions of exposures that there are not")
	expected := map[place][]interval[exposedState]{}
	for p, list := range h.world.exposures {
		for _, x := range list {
			expected[p] = append(expected[p], interval[exposedState](x))
		}
	}
	equalIntervals(t, "exposures", expected, found)
}

// Examples of what histories seldom come to ------------------------------------

// reason is why the last exposure of a type on w1, i1, d1 resolved; "" while it is
// open, "none" if there never was one.
func (h *theatre) reason(t rule.Type) string {
	key := pathKey{record.Ref{Kind: record.Workload, System: "s1", SourceID: "w1"}, record.Ref{Kind: record.Identity, System: "s1", SourceID: "i1"},
		record.Ref{Kind: record.Resource, System: "s1", SourceID: "d1"}}
	if list := h.world.exposures[place{key, t}]; len(list) > 0 {
		return string(latest(list).Reason)
	}
	return "none"
}

func estate(sensitivity string, actions ...string) []record.Fact {
	return []record.Fact{workload("w1"), identity("i1"), role("r1"), resource("d1", sensitivity), runsAs("w1", "i1"), hasRole("i1", "r1", "*"),
		grants("r1", "*", "d1", actions...), record.Coverage{Kind: record.Execution}, record.Coverage{Kind: record.Roles}, record.Coverage{Kind: record.Ownership}}
}

func use(action string, on time.Time) record.Evidence {
	w, i, d := ref(record.Workload, "w1"), ref(record.Identity, "i1"), ref(record.Resource, "d1")
	return record.Evidence{Workload: &w, Identity: &i, Resource: &d, Action: action, Day: on, Count: 1}
}

func TestHistoryPrivilege(t *testing.T) {
	h := example(t)
	h.say(t, scan, 0, append(estate("restricted", "get", "delete", "update"), use("get", day(-80)))...)
	require.Empty(t, h.reason(rule.ExcessPrivilege))
	h.say(t, scan, time.Hour, append(estate("restricted", "get", "list"), use("get", day(-80)))...)
	require.Equal(t, "privilege_reduced", h.reason(rule.ExcessPrivilege))
	h.say(t, scan, 2*time.Hour, estate("restricted", "get", "delete")...)
	require.Empty(t, h.reason(rule.ExcessPrivilege))
	// A further action is granted while the power is used: nothing was taken away.
	h.say(t, scan, 3*time.Hour, append(estate("restricted", "get", "list", "delete"), use("delete", day(0)))...)
	require.Equal(t, "privilege_exercised", h.reason(rule.ExcessPrivilege))
	h.say(t, scan, 4*time.Hour, estate("restricted", "get", "delete", "*", "update")...)
	require.Empty(t, h.reason(rule.ExcessPrivilege))
	h.now = epoch.AddDate(0, 0, 91)
	h.reevaluate(t, authority.ByTime, nil)
	require.Equal(t, "execution_ceased", h.reason(rule.ExcessPrivilege))
}

// What somebody justified is in no question, until it is withdrawn or grows.
func TestHistoryPrivilegeJustified(t *testing.T) {
	h := example(t)
	const withdraw, byName, unused = 0, 1, 2
	used := use("get", day(-1))
	h.say(t, scan, 0, append(estate("restricted", "get", "delete", "update"), used)...)
	require.Empty(t, h.reason(rule.ExcessPrivilege))
	h.justify(t, 0, byName)
	require.Empty(t, h.reason(rule.ExcessPrivilege), "one of two")
	h.justify(t, 0, unused)
	require.Equal(t, "justification_recorded", h.reason(rule.ExcessPrivilege))
	h.justify(t, 0, withdraw)
	require.Empty(t, h.reason(rule.ExcessPrivilege))
	h.justify(t, 0, unused)
	h.now = epoch.Add(time.Hour)
	h.say(t, scan, time.Hour, append(estate("restricted", "get", "delete", "update", "*"), used)...)
	require.Empty(t, h.reason(rule.ExcessPrivilege), "what came later needs its own")
	h.say(t, scan, 2*time.Hour, append(estate("restricted", "get", "delete", "update"), used)...)
	require.Equal(t, "privilege_reduced", h.reason(rule.ExcessPrivilege), "nobody recorded anything now")
	require.Equal(t, []int{3, 1}, []int{len(latestOf(h.world.justifications)), len(h.world.justifications)})
}

// latestOf is the only list of a map.
func latestOf[K comparable, V any](lists map[K][]V) (only []V) {
	for _, list := range lists {
		only = list
	}
	return only
}

// Evidence of an identity alone proves the one workload that acts as it.
func TestHistoryIdentityProvesItsOnlyWorkload(t *testing.T) {
	h := example(t)
	i1 := ref(record.Identity, "i1")
	h.say(t, scan, 0, estate("restricted", "get")...)
	h.now = epoch.AddDate(0, 0, 30)
	h.reevaluate(t, authority.ByTime, nil)
	require.Empty(t, h.reason(rule.UnprovenPath))
	proof := record.Evidence{Identity: &i1, Day: day(29), Count: 1}
	h.say(t, scan, 31*day24, append(estate("restricted", "get"), proof)...)
	require.Equal(t, "evidence_appeared", h.reason(rule.UnprovenPath))
	h.say(t, scan, 32*day24, append(estate("restricted", "get"), workload("w2"), runsAs("w2", "i1"))...)
	require.Empty(t, h.reason(rule.UnprovenPath), "it may have been the other one")
	// Before it was there, somebody else was the one.
	h.say(t, inventory, 33*day24, workload("w3"), identity("i3"), runsAs("w3", "i3"), record.Evidence{Identity: pointer(ref(record.Identity, "i3")), Day: day(32), Count: 1})
	require.True(t, h.world.lastProof(in1(record.Workload, "w3")).IsZero())
	h.say(t, inventory, 34*day24, workload("w3"), identity("i3"), runsAs("w3", "i3"), record.Evidence{Identity: pointer(ref(record.Identity, "i3")), Day: day(33), Count: 1})
	require.False(t, h.world.lastProof(in1(record.Workload, "w3")).IsZero())
}

// The same evidence found again is known to be a false alarm; other evidence is
// not.
func TestHistoryFalsePositiveInherited(t *testing.T) {
	h := example(t)
	h.say(t, scan, 0, estate("restricted", "get")...)
	for which := range 20 {
		h.dispose(t, which, 4)
	}
	h.reevaluate(t, authority.ByRequest, nil)
	h.say(t, scan, time.Hour, estate("public", "get")...)
	require.Equal(t, "sensitivity_reclassified", h.reason(rule.SensitiveReach))
	h.say(t, scan, 2*time.Hour, estate("", "get")...)
	require.Equal(t, "sensitivity_reclassified", h.reason(rule.SensitiveReach), "nobody knows, so nothing opens")
	h.say(t, scan, 3*time.Hour, estate("restricted", "get")...)
	require.Empty(t, h.openAt(1), "of the same evidence")
	h.say(t, scan, 4*time.Hour, estate("public", "get")...)
	h.say(t, scan, 5*time.Hour, estate("restricted", "get", "delete")...)
	require.ElementsMatch(t, []rule.Type{rule.SensitiveReach, rule.ScopeExpansion}, h.openAt(1))
}

// openAt are the types of the open exposures with a disposition.
func (h *theatre) openAt(disposition int) (types []rule.Type) {
	for p := range h.world.exposures {
		if x := h.world.exposure(p); x != nil && x.now().Disposition == disposition {
			types = append(types, p.Type)
		}
	}
	return types
}

func TestHistoryOwnersComeAndGo(t *testing.T) {
	h := example(t)
	former := owner("o2")
	former.Status = record.Disabled
	h.say(t, scan, 0, append(estate("", "get"), owner("o1"), former, ownedBy("w1", "o1"), ownedBy("w1", "o2"))...)
	require.Empty(t, h.reason(rule.DegradedOwnership))
	h.say(t, scan, time.Hour, append(estate("", "get"), owner("o1"), ownedBy("w1", "o1"))...)
	require.Equal(t, "owner_record_cleaned", h.reason(rule.DegradedOwnership))
	h.say(t, scan, 2*time.Hour, append(estate("", "get"), owner("o1"), former, ownedBy("w1", "o1"), ownedBy("w1", "o2"))...)
	h.say(t, scan, 3*time.Hour, append(estate("", "get"), owner("o1"), owner("o2"), ownedBy("w1", "o1"), ownedBy("w1", "o2"))...)
	require.Equal(t, "owner_reactivated", h.reason(rule.DegradedOwnership))
}

// What an identity reaches also depends on who leads to it over other systems:
// who begins or ceases to do so lets it be judged, too.
func TestHistoryScopeBehindAnotherIdentity(t *testing.T) {
	h := example(t)
	behind := append(estate("restricted", "get"), identity("i2"), role("r2"), resource("d2", "public"), hasRole("i2", "r2", "*"), grants("r2", "*", "d2", "get"),
		record.Edge{Kind: record.Authenticates, From: ref(record.Identity, "i1"), To: ref(record.Identity, "i2"), Protocol: "oauth2"}, workload("w2"))
	without := func(list []record.Fact) []record.Fact {
		return slices.DeleteFunc(slices.Clone(list), func(f record.Fact) bool { return f == nil || fmt.Sprint(f) == fmt.Sprint(runsAs("w1", "i1")) })
	}
	h.say(t, scan, 0, without(behind)...)
	h.say(t, scan, time.Hour, behind...)
	require.Len(t, h.world.baselines, 2)
	h.say(t, scan, 2*time.Hour, append(behind, resource("d3", "restricted"), grants("r2", "*", "d3", "delete"))...)
	h.say(t, scan, 3*time.Hour, append(without(behind), resource("d3", "restricted"), grants("r2", "*", "d3", "delete"))...)
	h.say(t, scan, 4*time.Hour, append(behind, resource("d3", "restricted"), grants("r2", "*", "d3", "delete"))...)
}
