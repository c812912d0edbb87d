package limit

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"
	"golang.org/x/time/rate"
)

// maxBudgets bounds the budgets that are kept. Those that are whole go first: a
// caller without one begins with a whole one.
const maxBudgets = 10_000

// Budget is what a caller may still spend, as in extensions.budget.
type Budget struct {
	Size      int64 `json:"size"`
	Left      int64 `json:"left"`
	PerSecond int64 `json:"perSecond"`
}

// budgets are what each caller may spend on this server. Limits bound one operation,
// a budget what one caller has run in a stretch of time, so that a client in a loop
// slows itself down and nobody else.
type budgets struct {
	caller    func(context.Context) string
	now       func() time.Time
	size      int64
	perSecond int64

	mu   sync.Mutex
	held map[string]*rate.Limiter
}

// spend takes the cost out of the caller's budget, or refuses and takes nothing.
func (b *budgets) spend(ctx context.Context, cost int64) (Budget, *gqlerror.Error) {
	if cost > b.size { // which would never do
		cost = b.size
	}
	now := b.now()
	held := b.of(b.caller(ctx), now)
	done := held.AllowN(now, int(cost))
	left := Budget{Size: b.size, Left: int64(max(0, held.TokensAt(now))), PerSecond: b.perSecond}
	if done {
		return left, nil
	}
	wait := int64(math.Ceil(float64(cost-left.Left) / float64(b.perSecond)))
	err := gqlerror.Errorf("this caller has %d of its budget of %d left and the operation costs %d: send it again in %d s, or ask for less; %d come back each second",
		left.Left, b.size, cost, wait, b.perSecond)
	err.Extensions = map[string]any{"code": CodeBudget, "measured": cost, "limit": left.Left, "retryAfter": wait}
	return left, err
}

func (b *budgets) of(caller string, now time.Time) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if held, known := b.held[caller]; known {
		return held
	}
	if len(b.held) >= maxBudgets {
		b.forget(now)
	}
	held := rate.NewLimiter(rate.Limit(b.perSecond), int(b.size))
	b.held[caller] = held
	return held
}

// forget leaves out the budgets that are whole, and any one if none is.
func (b *budgets) forget(now time.Time) {
	for caller, held := range b.held {
		if held.TokensAt(now) >= float64(b.size) {
			delete(b.held, caller)
		}
	}
	for caller := range b.held {
		if len(b.held) < maxBudgets {
			return
		}
		delete(b.held, caller)
	}
}
