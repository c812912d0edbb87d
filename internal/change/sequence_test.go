package change

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The size of a step comes down where full steps are slow, whatever little ones are
// between them: people decide while a first sync is published.
func TestBudgetFollowsFullSteps(t *testing.T) {
	t.Parallel()
	budget := mostBudget
	for range 50 {
		budget = budgetAfter(budget, budget, slow+time.Millisecond)
		budget = budgetAfter(budget, 1, time.Millisecond)
	}
	require.Equal(t, leastBudget, budget)
	for range 50 {
		budget = budgetAfter(budget, budget, quick-time.Millisecond)
	}
	require.Equal(t, mostBudget, budget)
	require.Equal(t, 400, budgetAfter(400, 400, slow), "neither slow nor quick")
}
