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

// A step now and then that the machine held up takes its size away for a while only.
func TestBudgetComesBack(t *testing.T) {
	t.Parallel()
	const bare, each = 2 * time.Millisecond, 30 * time.Microsecond
	budget, published := firstBudget, 0
	for step := range 1000 {
		published += budget
		took := bare + time.Duration(budget)*each
		require.LessOrEqual(t, took, slow+slow/8, "somebody waits for it")
		if step%20 == 0 {
			took = 10 * slow
		}
		budget = budgetAfter(budget, budget, took)
	}
	require.Greater(t, published, 1000*3/2*leastBudget)
}
