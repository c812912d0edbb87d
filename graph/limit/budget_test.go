package limit

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type callerKey struct{}

func as(name string) context.Context {
	return context.WithValue(context.Background(), callerKey{}, name)
}

func named(ctx context.Context) string { name, _ := ctx.Value(callerKey{}).(string); return name }

// TestBudgetIsSpentAndComesBack: whoever has spent theirs waits as long as the refusal
// says, and nobody else does.
func TestBudgetIsSpentAndComesBack(t *testing.T) {
	t.Parallel()
	now := time.Now()
	e := New(Limits{Budget: 100, BudgetPerSecond: 10}, nil).For(named, func() time.Time { return now })
	spend := func(who string, cost int64) (Budget, map[string]any) {
		left, err := e.budgets.spend(as(who), cost)
		if err == nil {
			return left, nil
		}
		return left, err.Extensions
	}
	left, refused := spend("ann", 60)
	require.Nil(t, refused)
	require.Equal(t, Budget{Size: 100, Left: 40, PerSecond: 10}, left)
	left, refused = spend("ann", 95)
	require.Equal(t, map[string]any{"code": CodeBudget, "measured": int64(95), "limit": int64(40), "retryAfter": int64(6)}, refused)
	require.EqualValues(t, 40, left.Left, "a refusal costs nothing")
	_, refused = spend("bob", 100)
	require.Nil(t, refused)

	now = now.Add(5 * time.Second)
	_, refused = spend("ann", 95)
	require.Equal(t, int64(1), refused["retryAfter"])
	now = now.Add(time.Second)
	left, refused = spend("ann", 95)
	require.Nil(t, refused)
	require.EqualValues(t, 5, left.Left)

	now = now.Add(time.Hour)
	left, refused = spend("ann", 500)
	require.Nil(t, refused, "what costs more than there ever is takes all there is")
	require.Zero(t, left.Left)
}

// TestBudgetsAreBounded: as many callers as there are tokens do not fill the memory,
// and nobody gains by being forgotten.
func TestBudgetsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	e := New(Limits{Budget: 100, BudgetPerSecond: 10}, nil).For(named, func() time.Time { return now })
	_, err := e.budgets.spend(as("spender"), 100)
	require.Nil(t, err)
	for i := range 3 * maxBudgets {
		now = now.Add(time.Millisecond)
		_, err := e.budgets.spend(as(fmt.Sprint("caller ", i)), 1)
		require.Nil(t, err)
		require.LessOrEqual(t, len(e.budgets.held), maxBudgets)
		if i < 9_000 { // after which its budget is whole
			_, err = e.budgets.spend(as("spender"), 100)
			require.NotNil(t, err)
		}
	}
}

// TestBudgetInAnswers: it is spoken of when less than half is left.
func TestBudgetInAnswers(t *testing.T) {
	t.Parallel()
	now := time.Now()
	srv := serverWith(New(Limits{Budget: 100, BudgetPerSecond: 10}, nil).For(named, func() time.Time { return now }))
	const twentyNine = "{ findings(first: 14) { nodes { title } } }"
	for _, left := range []int64{0, 42, 13} { // 0: it is not spoken of
		_, got, _ := post(t, srv, twentyNine, nil)
		require.Empty(t, got.Errors)
		require.EqualValues(t, 29, got.Extensions.Cost.Requested)
		if left == 0 {
			require.Nil(t, got.Extensions.Budget)
			continue
		}
		require.Equal(t, &Budget{Size: 100, Left: left, PerSecond: 10}, got.Extensions.Budget)
	}
	_, refused, _ := post(t, srv, twentyNine, nil)
	require.Equal(t, CodeBudget, refused.Errors[0].Extensions.Code)
	require.EqualValues(t, 13, refused.Extensions.Budget.Left)
	now = now.Add(time.Minute)
	_, third, _ := post(t, srv, twentyNine, nil)
	require.Empty(t, third.Errors)
}
