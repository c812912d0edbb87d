package posture

import (
	"slices"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

// Expression is what a cluster asks: each of the terms, and of a term any of its
// types.
func (d Definition) Expression() [][]rule.Type {
	terms := make([][]rule.Type, 0, d.Terms())
	for _, t := range d.All {
		terms = append(terms, []rule.Type{t})
	}
	if len(d.Any) > 0 {
		terms = append(terms, d.Any)
	}
	return terms
}

// Gap says why an exposure that a cluster asks for does not count.
type Gap string

// The gaps.
const (
	GapNone          Gap = "no_such_exposure" // the path never had one
	GapResolved      Gap = "resolved"
	GapFalsePositive Gap = "false_positive"
	GapAcknowledged  Gap = "acknowledged"  // and the level asks for open ones alone
	GapAccepted      Gap = "risk_accepted" // and the level does not count accepted risks
	GapIneffective   Gap = "ineffective"   // the target system ignores the path
	GapRemoved       Gap = "path_removed"
)

// Missing is an exposure that a term asks for and that does not count.
type Missing struct {
	Type     rule.Type
	Gap      Gap
	Exposure *exposure.Exposure // which it was, or is; nil of GapNone
}

// TermState is how far a term of a cluster is satisfied.
type TermState struct {
	Types     []rule.Type
	Satisfied bool
	Here      bool                 // by the path itself
	By        *exposure.Exposure   // the gravest that satisfies it, the path's own first
	Carriers  []*exposure.Exposure // of a cluster of workloads: on which paths, the first of them
	Paths     int                  // on how many
	Missing   []Missing            // of a term that is not satisfied: each of its types
}

// Obstacle says what keeps a path out of a cluster.
type Obstacle string

// The obstacles.
const (
	ObstacleRemoved     Obstacle = "path_removed"
	ObstacleIneffective Obstacle = "ineffective" // and it carries none of the terms for that
	ObstacleTerm        Obstacle = "term_missing"
	ObstacleNotHere     Obstacle = "carries_no_term" // the workload satisfies the expression without this path
)

// Standing is what membership follows from.
type Standing struct {
	Path     *authority.Path
	Latest   []*exposure.Exposure             // the last interval of each type on the path
	Carriers map[rule.Type]*exposure.Carriers // on all paths of the workload; of clusters at workload grain
}

// WhyNot is why a path is a member of a cluster, or is not, up to a level.
type WhyNot struct {
	Definition
	Level    Level
	Member   bool
	From     *Level    // the first level at which it is one; nil: at none
	Obstacle *Obstacle // nil of a member
	States   []TermState
}

// WhyNot explains the membership of a path.
func (d Definition) WhyNot(s Standing, level Level) *WhyNot {
	w := &WhyNot{Definition: d, Level: level, From: d.from(s)}
	w.Member = w.From != nil && *w.From <= level
	satisfied, here := true, false
	for _, types := range d.Expression() {
		state := d.state(s, types, level)
		satisfied, here = satisfied && state.Satisfied, here || state.Here
		w.States = append(w.States, state)
	}
	obstacle := ObstacleTerm
	switch {
	case w.Member:
		return w
	case s.Path.Status == authority.PathRemoved:
		obstacle = ObstacleRemoved
	case !s.Path.Effective:
		obstacle = ObstacleIneffective
	case satisfied && !here:
		obstacle = ObstacleNotHere
	}
	w.Obstacle = &obstacle
	return w
}

// levels are the levels, each including those before it.
var levels = []Level{Open, Acknowledged, Accepted}

// counts says whether an exposure counts up to a level.
func counts(x *exposure.Exposure, level Level) bool {
	return x != nil && x.ToAt == nil && int16(x.Disposition) <= int16(level)
}

// latest is the last interval of a type on the path.
func (s Standing) latest(t rule.Type) *exposure.Exposure {
	for _, x := range s.Latest {
		if x.Type == t {
			return x
		}
	}
	return nil
}

// own are the types that the path itself carries up to a level.
func (s Standing) own(level Level) (bits int32) {
	if s.Path.Status != authority.PathActive {
		return 0
	}
	for _, x := range s.Latest {
		if counts(x, level) {
			bits |= x.Type.Bit()
		}
	}
	return bits
}

// together are the types that the paths of the workload carry up to a level.
func (s Standing) together(level Level) (bits int32) {
	for t, c := range s.Carriers {
		if at(c, level) > 0 {
			bits |= t.Bit()
		}
	}
	return bits
}

// from is the first level at which the path is a member; nil: at none. At the
// grain of workloads the paths satisfy the expression together, and a member
// carries a term itself.
func (d Definition) from(s Standing) *Level {
	for _, level := range levels {
		own := s.own(level)
		held := d.Holds(own)
		if d.Grain == OfWorkload {
			held = own&(d.AllMask()|d.AnyMask()) != 0 && d.Holds(s.together(level))
		}
		if held {
			return &level
		}
	}
	return nil
}

func (d Definition) state(s Standing, types []rule.Type, level Level) TermState {
	state := TermState{Types: types, Carriers: []*exposure.Exposure{}, Missing: []Missing{}}
	gravest := func(x *exposure.Exposure) {
		if state.By == nil || x.Severity > state.By.Severity {
			state.By = x
		}
	}
	for _, t := range types {
		if own := s.latest(t); counts(own, level) && s.Path.Status == authority.PathActive {
			state.Here = true
			gravest(own)
		}
	}
	state.Satisfied = state.Here
	if d.Grain == OfWorkload {
		for _, t := range types {
			state.Paths += at(s.Carriers[t], level)
			for _, x := range carried(s.Carriers[t]) {
				if !counts(x, level) {
					continue
				}
				state.Carriers = append(state.Carriers, x)
				if !state.Here {
					gravest(x)
				}
			}
		}
		state.Satisfied = state.Paths > 0
	} else if state.Here {
		state.Paths, state.Carriers = 1, []*exposure.Exposure{state.By}
	}
	if !state.Satisfied {
		for _, t := range types {
			state.Missing = append(state.Missing, d.missing(s, t))
		}
	}
	return state
}

// missing says why a type does not count. At the grain of workloads one that is
// open on another path says more than one that ended on this.
func (d Definition) missing(s Standing, t rule.Type) Missing {
	x := s.latest(t)
	if others := carried(s.Carriers[t]); d.Grain == OfWorkload && len(others) > 0 {
		x = others[0]
	}
	m := Missing{Type: t, Gap: GapNone, Exposure: x}
	switch {
	case s.Path.Status == authority.PathRemoved:
		m.Gap = GapRemoved
	case x != nil && x.ToAt == nil && x.Disposition == exposure.DispositionFalsePositive:
		m.Gap = GapFalsePositive
	case x != nil && x.ToAt == nil && x.Disposition == exposure.DispositionRiskAccepted:
		m.Gap = GapAccepted
	case x != nil && x.ToAt == nil:
		m.Gap = GapAcknowledged
	case !s.Path.Effective:
		m.Gap = GapIneffective
	case x != nil:
		m.Gap = GapResolved
	}
	return m
}

// at is how many paths carry one that counts up to a level.
func at(c *exposure.Carriers, level Level) int {
	if c == nil {
		return 0
	}
	return map[Level]int{Open: c.Open, Acknowledged: c.Acknowledged, Accepted: c.Accepted}[level]
}

// carried are the exposures that are named; nil has none.
func carried(c *exposure.Carriers) []*exposure.Exposure {
	if c == nil {
		return nil
	}
	return c.Exposures
}

// Deciding is what tells the primary cluster of a path from the others.
type Deciding string

// What decides.
const (
	DecidedAlone      Deciding = "only" // it is the only one
	DecidedBySeverity Deciding = "severity"
	DecidedByTerms    Deciding = "terms" // as grave as the next, and of more terms
	DecidedByKey      Deciding = "key"   // and of as many: by name
)

// Ranked sorts the clusters of a path, the primary one first, and says what put
// it before the next; empty of none.
func Ranked(clusters []*Cluster) ([]*Cluster, Deciding) {
	ranked := slices.SortedFunc(slices.Values(clusters), before)
	switch {
	case len(ranked) == 0:
		return ranked, ""
	case len(ranked) == 1:
		return ranked, DecidedAlone
	case ranked[0].Severity != ranked[1].Severity:
		return ranked, DecidedBySeverity
	case ranked[0].Terms() != ranked[1].Terms():
		return ranked, DecidedByTerms
	}
	return ranked, DecidedByKey
}

// Fact is one of the things that an urgency follows from.
type Fact string

// The facts, in the order in which they are asked.
const (
	FactExecutedSensitive Fact = "executed_sensitive_paths" // members that lead to sensitive data and were executed in the window
	FactExecutions        Fact = "executions"               // of members in the window, each counted once
	FactUnwatched         Fact = "unwatched_paths"          // members of which nobody knows whether they were executed
	FactGovernance        Fact = "governance_terms"         // types of the expression that say that governance failed
)

// Because is a fact with its count.
type Because struct {
	Fact    Fact
	Count   int64
	Decides bool // it was asked before the urgency was found
}

// Governance are the types of the expression that say that nobody answers for the
// authority, or that it outgrew what somebody approved.
func (d Definition) Governance() []rule.Type {
	failed := []rule.Type{}
	for _, t := range d.Types() {
		if t.Bit()&ungoverned != 0 {
			failed = append(failed, t)
		}
	}
	return failed
}

// WhyUrgent are the facts that the urgency of a cluster with these totals follows
// from.
func (d Definition) WhyUrgent(t Totals) []Because {
	facts := []Because{
		{Fact: FactExecutedSensitive, Count: t.ExecutedSensitive}, {Fact: FactExecutions, Count: t.Executions},
		{Fact: FactUnwatched, Count: t.Unwatched}, {Fact: FactGovernance, Count: int64(len(d.Governance()))},
	}
	urgency := d.Urgency(t)
	if urgency == nil {
		return facts
	}
	asked := []Fact{FactExecutedSensitive, FactGovernance}
	switch *urgency {
	case UrgencyUnknown:
		asked = []Fact{FactExecutedSensitive, FactExecutions, FactUnwatched}
	case UrgencyModerate, UrgencyLow:
		asked = append(asked, FactExecutions, FactUnwatched) // what is known to be none
	}
	for i := range facts {
		facts[i].Decides = slices.Contains(asked, facts[i].Fact)
	}
	return facts
}
