package triage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// Every state with every action.
func TestMoves(t *testing.T) {
	t.Parallel()
	const never = triage.State("")
	table := map[triage.State]map[triage.Action]triage.State{
		triage.Open: {
			triage.Acknowledge: triage.Acknowledged, triage.Unacknowledge: never,
			triage.MarkFalsePositive: triage.FalsePositive, triage.UnmarkFalsePositive: never, triage.Resolve: triage.Resolved,
		},
		triage.Acknowledged: {
			triage.Acknowledge: never, triage.Unacknowledge: triage.Open,
			triage.MarkFalsePositive: triage.FalsePositive, triage.UnmarkFalsePositive: never, triage.Resolve: triage.Resolved,
		},
		triage.FalsePositive: {
			triage.Acknowledge: never, triage.Unacknowledge: never,
			triage.MarkFalsePositive: never, triage.UnmarkFalsePositive: triage.Open, triage.Resolve: never,
		},
		triage.RiskAccepted: {
			triage.Acknowledge: never, triage.Unacknowledge: never,
			triage.MarkFalsePositive: never, triage.UnmarkFalsePositive: never, triage.Resolve: never,
		},
		triage.Resolved: {
			triage.Acknowledge: never, triage.Unacknowledge: never,
			triage.MarkFalsePositive: never, triage.UnmarkFalsePositive: never, triage.Resolve: never,
		},
	}
	require.Len(t, table, len(triage.States))
	moves := 0
	for _, state := range triage.States {
		require.Len(t, table[state], len(triage.Actions), state)
		var legal []triage.Action
		for _, action := range triage.Actions {
			to, found := state.Next(action)
			require.Equal(t, table[state][action], to, "%s, %s", state, action)
			require.Equal(t, to != never, found)
			if found {
				moves++
				legal = append(legal, action)
			}
		}
		require.ElementsMatch(t, legal, state.Legal(), state)
	}
	require.Len(t, triage.Moves, moves)
	for _, action := range triage.Actions {
		scope := access.Investigate
		if action == triage.Resolve {
			scope = access.Operate
		}
		require.Equal(t, scope, action.Scope(), action)
	}
}

func TestStateOf(t *testing.T) {
	t.Parallel()
	for state, disposition := range map[triage.State]exposure.Disposition{
		triage.Open: exposure.DispositionOpen, triage.Acknowledged: exposure.DispositionAcknowledged,
		triage.RiskAccepted: exposure.DispositionRiskAccepted, triage.FalsePositive: exposure.DispositionFalsePositive,
	} {
		require.Equal(t, state, triage.StateOf(disposition, false))
		require.Equal(t, triage.Resolved, triage.StateOf(disposition, true))
	}
}
