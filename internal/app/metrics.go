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

// AuditFailures is the measure of entries of audit logs that were lost.
const AuditFailures = "audit_failures_total"

// measures of /metrics.
func (a *App) measures() []server.Measure {
	gauge := change.NewGauge(a.db, a.config.Now, measuredFor)
	total := func(of func(change.Totals) int64) func(context.Context) (int64, error) {
		return func(ctx context.Context) (int64, error) {
			totals, err := gauge.Totals(ctx)
			return of(totals), err
		}
	}
	list := []server.Measure{
		{Name: "audit_entries_total", Counter: true, Help: "Entries of audit logs that this process wrote.",
			Read: func(context.Context) (int64, error) { return a.audit.Written(), nil }},
		{Name: AuditFailures, Counter: true, Help: "Entries of audit logs that this process could not write; its log has them.",
			Read: func(context.Context) (int64, error) { return a.audit.Failures(), nil }},
		{Name: "change_outbox_failures_total", Counter: true, Help: "Notes of changes that the outbox did not take, of this process.",
			Read: func(context.Context) (int64, error) { return a.authority.Feed().Failures(), nil }},
		{Name: "changes_published_total", Counter: true, Help: "Events in the feeds of all organizations, by every process.",
			Read: total(func(t change.Totals) int64 { return t.Published })},
		{Name: "change_backlog", Help: "Notes of changes that wait to be published, in all organizations.",
			Read: total(func(t change.Totals) int64 { return t.Backlog })},
		{Name: "change_gaps", Help: "Changes that could not be noted or published and are not repaired, in all organizations.",
			Read: total(func(t change.Totals) int64 { return t.Gaps })},
		{Name: "subscribers", Help: "Subscribers to feeds that are connected to this process.",
			Read: func(context.Context) (int64, error) { return int64(a.stream.Stats().Subscribers), nil }},
		{Name: "subscriptions_cut_total", Counter: true, Help: "Streams that this process ended because their clients did not read.",
			Read: func(context.Context) (int64, error) { return a.streams.Stats().Cut, nil }},
	}
	if a.accounts == nil {
		return list
	}
	return append(list,
		server.Measure{Name: "service_accounts", Help: "Service accounts that are in force in this process.",
			Read: func(context.Context) (int64, error) { return int64(a.accounts.desk.Len()), nil }},
		server.Measure{Name: "token_refusals_total", Counter: true, Help: "Requests for tokens, or to revoke them, that this process refused.",
			Read: func(context.Context) (int64, error) { return a.refusals.Total(), nil }})
}
