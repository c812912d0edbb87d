package authority_test

import (
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

	outside *outside // see surface_model_test.go

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
	scans        bool
	spoke        bool
	observedAt   time.Time   // of the last applied or unchanged delivery
	content      string      // of the last delivery if it was complete, else empty
	completeAt   time.Time   // at of the last complete delivery
	said         map[any]any // keys to values
	saidAt       map[coverageKey]time.Time
	looked       string // where, if it scans
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
	Stale          int // assets
}

func newWorld(organization id.ID, voices ...*voice) *world {
	w := &world{
		organization: organization, voices: voices, heard: map[string]authority.Outcome{},
		entities: map[record.Ref]*chronicle[entityState]{}, paths: map[pathKey]*chronicle[pathState]{},
		settings: rule.Defaults(), judges: map[rule.Rule]*chronicle[judge]{}, conditions: map[seat][]condition{}, exposures: map[place][]exposed{},
		baselines: map[record.Ref][]baseline{}, justifications: map[pathKey][]justification{}, members: map[stand][]member{}, counters: map[cell]*chronicle[counts]{},
		tallies: map[tallied]int64{}, references: map[reference]referred{},
		workers: map[record.Ref]worker{}, usages: map[account]usage{}, totals: map[circle]*chronicle[totals]{},
		outside: newOutside(),
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

	at := w.tick(d.observedAt)
	w.version++
	result := outcome{Version: w.version, At: at, Read: len(d.lines), Rejected: refused, Complete: !d.partial && refused == 0}
	defer func() { w.heard[whole] = result.Outcome }()

	if v.spoke && d.observedAt.Before(v.observedAt) {
		result.Outcome = authority.Late
		return result
	}
	renewing := v.expired(w.windowAt)
	v.spoke, v.observedAt = true, d.observedAt
	if result.Complete && v.content == content && !renewing && !v.scans {
		v.completeAt = at
		result.Outcome, result.Paths.Kept = authority.Unchanged, w.activePaths()
		w.picture(at, w.version)
		return result
	}

	bound := w.boundIdentities()
	var changed bool
	if v.scans {
		changed = w.scan(v, d, at)
	} else {
		staged, rejected := w.accept(v, d)
		result.Rejected = rejected
		result.Complete = !d.partial && rejected == 0
		v.content = ""
		if result.Complete {
			v.content, v.completeAt = content, at
		}
		changed = v.merge(staged, result.Complete, at)
	}
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

// tick takes a place on the clock, now or a little later.
func (w *world) tick(now time.Time) time.Time {
	if earliest := w.clock.Add(time.Second); now.Before(earliest) {
		now = earliest
	}
	w.clock = now
	return now
}

// derive works everything out anew.
func (w *world) derive(result *outcome, bound map[record.Ref]map[record.Ref]bool, at time.Time, resettled bool) {
	w.appoint(at)
	w.defined = w.definitions
	w.deriveEntities(at)
	w.link(at)
	w.derivePaths(result, at)
	w.findRotations(result, bound, at)
	w.judge(result, at, resettled)
	w.count(at)
	w.sum(at)
}

// reevaluate judges everything at its own place on the clock. Unless only the
// settings are new, the window moves there.
func (w *world) reevaluate(now time.Time, cause authority.Cause) outcome {
	var result outcome
	if w.windowAt.IsZero() {
		return result
	}
	at := w.tick(now)
	result.At = at
	if cause != authority.BySettings {
		w.windowAt = at
		result.Stale = w.outside.age(at)
	}
	w.derive(&result, w.boundIdentities(), at, cause == authority.BySettings)
	w.picture(at, 0)
	return result
}

// rejudge judges what somebody has put on record, at its own place on the clock.
// The window stays.
func (w *world) rejudge(now time.Time, say func(at time.Time)) outcome {
	at := w.tick(now)
	result := outcome{At: at}
	say(at)
	w.derive(&result, w.boundIdentities(), at, false)
	w.picture(at, 0)
	return result
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

func (w *world) activePaths() int {
	count := 0
	for _, history := range w.paths {
		if !history.now().Removed {
			count++
		}
	}
	return count
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
