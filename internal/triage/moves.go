package triage

import (
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// State is what people say of an exposure, or that it has resolved.
type State string

// The states.
const (
	Open          State = "open"
	Acknowledged  State = "acknowledged"
	RiskAccepted  State = "risk_accepted"
	FalsePositive State = "false_positive"
	Resolved      State = "resolved"
)

// States are all states.
var States = []State{Open, Acknowledged, RiskAccepted, FalsePositive, Resolved}

var dispositions = map[State]exposure.Disposition{
	Open: exposure.DispositionOpen, Acknowledged: exposure.DispositionAcknowledged,
	RiskAccepted: exposure.DispositionRiskAccepted, FalsePositive: exposure.DispositionFalsePositive,
}

// StateOf is the state of an exposure of this disposition.
func StateOf(d exposure.Disposition, resolved bool) State {
	if resolved {
		return Resolved
	}
	for state, disposition := range dispositions {
		if disposition == d {
			return state
		}
	}
	return Open
}

// Action is what a person does about an exposure.
type Action string

// The actions.
const (
	Acknowledge         Action = "acknowledge"
	Unacknowledge       Action = "unacknowledge"
	MarkFalsePositive   Action = "mark_false_positive"
	UnmarkFalsePositive Action = "unmark_false_positive"
	Resolve             Action = "resolve"
)

// Actions are all actions.
var Actions = []Action{Acknowledge, Unacknowledge, MarkFalsePositive, UnmarkFalsePositive, Resolve}

// Move is one way from a state to another.
type Move struct {
	From   State
	Action Action
	To     State
}

// Moves are all there are. A resolution by hand says that the condition is gone;
// of a false positive it never was there, and of an accepted risk it is what was
// accepted, so that neither resolves by hand. Nothing leads out of Resolved: the
// exposure opens anew, with the next ordinal.
var Moves = []Move{
	{Open, Acknowledge, Acknowledged},
	{Open, MarkFalsePositive, FalsePositive},
	{Open, Resolve, Resolved},
	{Acknowledged, Unacknowledge, Open},
	{Acknowledged, MarkFalsePositive, FalsePositive},
	{Acknowledged, Resolve, Resolved},
	{FalsePositive, UnmarkFalsePositive, Open},
}

// Next is where an action leads from a state, if it leads anywhere.
func (s State) Next(action Action) (State, bool) {
	for _, m := range Moves {
		if m.From == s && m.Action == action {
			return m.To, true
		}
	}
	return "", false
}

// Legal are the actions that lead somewhere from a state.
func (s State) Legal() []Action {
	legal := []Action{}
	for _, m := range Moves {
		if m.From == s {
			legal = append(legal, m.Action)
		}
	}
	return legal
}

// Scope is what it takes to do this.
func (a Action) Scope() access.Scope {
	if a == Resolve {
		return access.Operate
	}
	return access.Investigate
}

// kinds are what an action is called in the ledger, where it has happened.
var kinds = map[Action]ledger.Kind{
	Acknowledge:         ledger.Acknowledged,
	Unacknowledge:       ledger.Unacknowledged,
	MarkFalsePositive:   ledger.MarkedFalsePositive,
	UnmarkFalsePositive: ledger.UnmarkedFalsePositive,
	Resolve:             ledger.Resolved,
}

// actionOf is the action of an entry; empty for an entry about something else.
func actionOf(kind ledger.Kind) Action {
	for action, k := range kinds {
		if k == kind {
			return action
		}
	}
	return ""
}

// back is the action that takes this one back; empty for one that nothing does.
func (a Action) back() Action {
	switch a {
	case Acknowledge:
		return Unacknowledge
	case Unacknowledge:
		return Acknowledge
	case MarkFalsePositive:
		return UnmarkFalsePositive
	case UnmarkFalsePositive:
		return MarkFalsePositive
	}
	return ""
}

// FalsePositiveReason says why an exposure is none.
type FalsePositiveReason string

// The reasons.
const (
	NotReachable        FalsePositiveReason = "not_reachable"        // nobody gets there in the first place
	CompensatingControl FalsePositiveReason = "compensating_control" // something that no source knows keeps it safe
	TestEnvironment     FalsePositiveReason = "test_environment"
	WrongData           FalsePositiveReason = "wrong_data" // a source says what is not so
	Duplicate           FalsePositiveReason = "duplicate"
	Other               FalsePositiveReason = "other" // the justification says which
)

// FalsePositiveReasons are all reasons.
var FalsePositiveReasons = []FalsePositiveReason{NotReachable, CompensatingControl, TestEnvironment, WrongData, Duplicate, Other}

// named lists words in a message.
func named[W ~string](words []W) string {
	if len(words) == 0 {
		return "nothing"
	}
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = string(word)
	}
	return strings.Join(list, ", ")
}

func known[W ~string](words []W, word W) bool { return slices.Contains(words, word) }
