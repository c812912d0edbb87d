package app

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

// measuredFor is how long totals of the database count as new: whoever asks for
// /metrics more often costs the database nothing.
const measuredFor = 5 * time.Second

// subscriptions is who serves subscribers.
type subscriptions interface {
	Subscribers() int64 // that are connected now
	Cut() int64         // that were ended because they did not keep up, or were not allowed any more
}

// measures of /metrics.
func (a *App) measures() []server.Measure {
	gauge := change.NewGauge(a.db, a.config.Now, measuredFor)
	total := func(of func(change.Totals) int64) func(context.Context) (int64, error) {
		return func(ctx context.Context) (int64, error) {
			totals, err := gauge.Totals(ctx)
			return of(totals), err
		}
	}
	served := func(of func(subscriptions) int64) func(context.Context) (int64, error) {
		return func(context.Context) (int64, error) {
			if a.subscriptions == nil {
				return 0, nil
			}
			return of(a.subscriptions), nil
		}
	}
	return []server.Measure{
		{Name: "change_outbox_failures_total", Counter: true, Help: "Notes of changes that the outbox did not take, of this process.",
			Read: func(context.Context) (int64, error) { return a.authority.Feed().Failures(), nil }},
		{Name: "changes_published_total", Counter: true, Help: "Events in the feeds of all organizations, by every process.",
			Read: total(func(t change.Totals) int64 { return t.Published })},
		{Name: "change_backlog", Help: "Notes of changes that wait to be published, in all organizations.",
			Read: total(func(t change.Totals) int64 { return t.Backlog })},
		{Name: "change_gaps", Help: "Changes that could not be noted or published and are not repaired, in all organizations.",
			Read: total(func(t change.Totals) int64 { return t.Gaps })},
		{Name: "subscribers", Help: "Subscribers that are connected to this process.", Read: served(subscriptions.Subscribers)},
		{Name: "subscriptions_cut_total", Counter: true, Help: "Subscriptions that this process ended by itself.", Read: served(subscriptions.Cut)},
	}
}
