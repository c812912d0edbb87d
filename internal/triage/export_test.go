package triage

import (
	"maps"
	"slices"

	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// ReadQueries are the statements that read.
var ReadQueries = readQueries

// DecideQueries are the statements of a decision.
var DecideQueries = decideQueries

// SetMaxMatching lowers how many exposures a filter may match.
func (s *Service) SetMaxMatching(n int) { s.maxMatching = n }

// DecisionKinds are the kinds of entries that decide.
func DecisionKinds() []ledger.Kind { return slices.Sorted(maps.Values(kinds)) }
