package authority_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// The model of a sync: what model.md says, in maps and loops. It remembers what
// every source says and, after each delivery, derives everything anew; it knows
// nothing of touched sets, diffs or digests, so that it errs differently from
// sync.sql.

// What a source says is a key (what would be the same record said again) and a
// value. Keys and values are comparable structs whose refs name their system.
type (
	entityKey struct {
		Ref   record.Ref
		Basis record.Basis
	}
	entityValue struct {
		Name, Environment, OwnerTeam, BusinessTier, DataDomain, Sensitivity string
		Status                                                              record.Status
		Mode                                                                record.ExecutionMode
		OwnerType                                                           record.OwnerType
		LastActiveAt                                                        time.Time
	}
	edgeKey struct {
		Kind  record.EdgeKind
		From  record.Ref
		Scope string
		To    record.Ref
	}
	edgeValue struct {
		Actions     string // sorted, distinct, joined by blanks
		Ineffective bool
		Protocol    string
	}
	egressKey struct {
		Workload record.Ref
		Host     string
	}
	evidenceKey struct {
		Workload, Identity, Resource record.Ref // zero: not named
		Action                       string
		Day                          time.Time
		Related                      bool
	}
	evidenceValue struct {
		Count  int
		LastAt time.Time
	}
	coverageKey struct {
		Kind   record.EvidenceKind
		Entity record.Ref // zero: every entity of the source's system
	}
	coverageValue struct {
		Partial  bool
		From, To time.Time
		MaxAge   time.Duration
	}
)

var unnamed record.Ref

// world is one organization.
type world struct {
	organization id.ID

	clock    time.Time // at of the last sync or judgement; zero before the first
	version  int64
	windowAt time.Time // zero until a sync changed something
	voices   []*voice
	heard    map[string]authority.Outcome // outcomes by what was delivered, when and how

	entities    map[record.Ref]*chronicle[entityState]
	paths       map[pathKey]*chronicle[pathState]
	rotations   []rotation
	successions []succession

	// Who judges now: see judgement_model_test.go.
	settings rule.Settings
	versions map[rule.Rule]int
	judges   map[rule.Rule]*chronicle[judge]
	renamed  map[rule.Rule]bool // rules that another version judges by from this instant on

	conditions map[seat][]condition
	exposures  map[place][]exposed
	baselines  map[record.Ref][]baseline

	justifications map[pathKey][]justification

	// See cluster_model_test.go.
	definitions []posture.Definition
	defined     []posture.Definition // as the organization has them
	members     map[stand][]member
	counters    map[cell]*chronicle[counts]
	tallies     map[tallied]int64
	references  map[reference]referred

	// See posture_model_test.go.
	workers  map[record.Ref]worker
	usages   map[account]usage
	totals   map[circle]*chronicle[totals]
	pictures []photograph
}

// voice is one source.
type voice struct {
	name, system string
	spoke        bool
	observedAt   time.Time   // of the last applied or unchanged delivery
	content      string      // of the last delivery if it was complete, else empty
	completeAt   time.Time   // at of the last complete delivery
	said         map[any]any // keys to values
	saidAt       map[coverageKey]time.Time
}

// chronicle is the history of one thing: each version holds until the next one begins.
type chronicle[S comparable] struct{ versions []version[S] }

type version[S comparable] struct {
	From  time.Time
	Sync  int64
	State S
}

func (c *chronicle[S]) now() S { return c.versions[len(c.versions)-1].State }

type pathKey struct{ Workload, Identity, Resource record.Ref } // identity zero: unbound

type pathState struct {
	Removed           bool
	Effective         bool
	Roles, Actions    string
	Depth             int
	Class             class
	DataDomain        string
	Sensitivity       authority.Sensitivity
	Ownership, Egress string
	Execution         int64 // -1: unknown
	Basis             string
}

// class is the combination of attributes that access filters look at.
type class struct{ Environment, OwnerTeam, BusinessTier string }

type entityState struct {
	entityValue
	Domain            string
	Level             authority.Sensitivity
	Class             class
	Ownership, Egress string
}

func (e entityState) alive() bool { return e.Status != record.Removed }

type rotation struct {
	Workload, From, To record.Ref
	At                 time.Time
}

type succession struct {
	Predecessor, Successor pathKey
	At                     time.Time
}

// told is one delivery.
type told struct {
	voice      int
	observedAt time.Time
	partial    bool
	lines      []line
}

// line is a record or what the parser rejected.
type line struct {
	number int
	fact   record.Fact // nil: rejected
	reject record.Rejection
}

// outcome is what the model expects a delivery to do.
type outcome struct {
	Outcome        authority.Outcome
	Silent         bool // not even a sync row
	Version        int64
	At             time.Time
	Complete       bool
	Read, Rejected int
	Renewed        bool // coverage that had expired
	Paths          authority.PathCounts
	Exposures      authority.ExposureCounts
	Rotations      int
	Revived        int
}

func newWorld(organization id.ID, voices ...*voice) *world {
	w := &world{
		organization: organization, voices: voices, heard: map[string]authority.Outcome{},
		entities: map[record.Ref]*chronicle[entityState]{}, paths: map[pathKey]*chronicle[pathState]{},
		settings: rule.Defaults(), judges: map[rule.Rule]*chronicle[judge]{}, conditions: map[seat][]condition{}, exposures: map[place][]exposed{},
		baselines: map[record.Ref][]baseline{}, justifications: map[pathKey][]justification{}, members: map[stand][]member{}, counters: map[cell]*chronicle[counts]{},
		tallies: map[tallied]int64{}, references: map[reference]referred{},
		workers: map[record.Ref]worker{}, usages: map[account]usage{}, totals: map[circle]*chronicle[totals]{},
	}
	for _, v := range voices {
		v.said, v.saidAt = map[any]any{}, map[coverageKey]time.Time{}
	}
	return w
}

// deliver makes a delivery part of the world and says what it did.
func (w *world) deliver(d told) outcome {
	v := w.voices[d.voice]
	content, refused := v.hear(d)
	whole := fmt.Sprint(d.voice, d.observedAt.UnixMicro(), d.partial, content)
	if earlier, known := w.heard[whole]; known {
		result := authority.Repeated
		if earlier == authority.Late {
			result = authority.Late
		}
		return outcome{Outcome: result, Silent: true, Paths: authority.PathCounts{Kept: w.activePaths()}}
	}

	at := d.observedAt
	if earliest := w.clock.Add(time.Second); !w.clock.IsZero() && at.Before(earliest) {
		at = earliest
	}
	w.clock = at
	w.version++
	result := outcome{Version: w.version, At: at, Read: len(d.lines), Rejected: refused, Complete: !d.partial && refused == 0}
	defer func() { w.heard[whole] = result.Outcome }()

	if v.spoke && d.observedAt.Before(v.observedAt) {
		result.Outcome = authority.Late
		return result
	}
	renewing := v.expired(w.windowAt)
	v.spoke, v.observedAt = true, d.observedAt
	if result.Complete && v.content == content && !renewing {
		v.completeAt = at
		result.Outcome, result.Paths.Kept = authority.Unchanged, w.activePaths()
		w.picture(at, w.version)
		return result
	}

	staged, rejected := w.accept(v, d)
	result.Rejected = rejected
	result.Complete = !d.partial && rejected == 0
	v.content = ""
	if result.Complete {
		v.content, v.completeAt = content, at
	}
	bound := w.boundIdentities()
	changed := v.merge(staged, result.Complete, at)
	result.Outcome = authority.Unchanged
	if changed || renewing {
		if changed {
			result.Outcome = authority.Applied
		}
		if w.windowAt.IsZero() {
			w.windowAt = at
		}
		w.derive(&result, bound, at, false)
		if result.Paths != (authority.PathCounts{}) || result.Exposures != (authority.ExposureCounts{}) {
			result.Outcome = authority.Applied
		}
	}
	result.Renewed = renewing
	result.Paths.Kept = w.activePaths() - result.Paths.Added - result.Paths.Changed
	w.picture(at, w.version)
	return result
}

// derive works everything out anew.
func (w *world) derive(result *outcome, bound map[record.Ref]map[record.Ref]bool, at time.Time, resettled bool) {
	w.appoint(at)
	w.defined = w.definitions
	w.deriveEntities(at)
	w.derivePaths(result, at)
	w.findRotations(result, bound, at)
	w.judge(result, at, resettled)
	w.count(at)
	w.sum(at)
}

// reevaluate judges everything at its own place on the clock, now or a little
// later. Unless only the settings are new, the window moves there.
func (w *world) reevaluate(now time.Time, cause authority.Cause) outcome {
	var result outcome
	if w.windowAt.IsZero() {
		return result
	}
	at := now
	if earliest := w.clock.Add(time.Second); at.Before(earliest) {
		at = earliest
	}
	w.clock, result.At = at, at
	if cause != authority.BySettings {
		w.windowAt = at
	}
	w.derive(&result, w.boundIdentities(), at, cause == authority.BySettings)
	w.picture(at, 0)
	return result
}

// rejudge judges what somebody has put on record, at its own place on the clock.
// The window stays.
func (w *world) rejudge(now time.Time, say func(at time.Time)) outcome {
	at := now
	if earliest := w.clock.Add(time.Second); at.Before(earliest) {
		at = earliest
	}
	w.clock = at
	result := outcome{At: at}
	say(at)
	w.derive(&result, w.boundIdentities(), at, false)
	w.picture(at, 0)
	return result
}

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

// all walks over what all voices say under keys of one type.
func all[K comparable, V any](w *world, visit func(v *voice, key K, value V)) {
	for _, v := range w.voices {
		for key, value := range v.said {
			if k, is := key.(K); is {
				visit(v, k, value.(V))
			}
		}
	}
}

// targets is where the edges of a kind lead from one entity.
func (w *world) targets(kind record.EdgeKind, from record.Ref) map[record.Ref]bool {
	found := map[record.Ref]bool{}
	all(w, func(_ *voice, e edgeKey, _ edgeValue) {
		if e.Kind == kind && e.From == from {
			found[e.To] = true
		}
	})
	return found
}

func (w *world) alive(r record.Ref) bool {
	history := w.entities[r]
	return history != nil && history.now().alive()
}

func (w *world) pathID(key pathKey) id.ID {
	var identity *id.ID
	if key.Identity != unnamed {
		named := w.id(key.Identity)
		identity = &named
	}
	return id.AuthorityPath(w.organization, w.id(key.Workload), identity, w.id(key.Resource))
}

func (w *world) living(kind record.EntityKind) []record.Ref {
	var list []record.Ref
	for r := range w.entities {
		if r.Kind == kind && w.alive(r) {
			list = append(list, r)
		}
	}
	return list
}

func (c *chronicle[S]) write(at time.Time, sync int64, state S) {
	if len(c.versions) == 0 || c.now() != state {
		c.versions = append(c.versions, version[S]{at, sync, state})
	}
}

// begun says that this very instant brought the current state about.
func (c *chronicle[S]) begun(at time.Time) bool { return c.versions[len(c.versions)-1].From.Equal(at) }

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

func (w *world) activePaths() int {
	count := 0
	for _, history := range w.paths {
		if !history.now().Removed {
			count++
		}
	}
	return count
}

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

// union is a list of words as a set, in one text.
func union(words []string) string {
	set := map[string]bool{}
	for _, word := range words {
		set[word] = true
	}
	return joined(set)
}

func joined(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), " ") }
