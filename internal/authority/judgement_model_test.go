package authority_test

import (
	"fmt"
	"slices"
	"time"

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
	assets                 map[record.AssetRef]bool // which were there
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
