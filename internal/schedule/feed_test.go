package schedule_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/schedule"
)

// mend runs a schedule that looks for gaps often.
func (b *bench) mend(t *testing.T, repairer schedule.Repairer) (stop func()) {
	t.Helper()
	return b.start(t, schedule.Config{Evaluator: b.service, Repairer: repairer, Now: time.Now, Repair: 200 * time.Millisecond})
}

// waiting is what the outboxes hold, by the organization and the cause.
func (b *bench) waiting(t *testing.T) []string {
	t.Helper()
	return column[string](t, b.super, `SELECT o.slug || ' ' || b.cause FROM change_outbox b JOIN organization o ON o.id = b.organization_id ORDER BY 1`)
}

// TestFeedsAreRepaired has two replicas at two organizations. What one outbox lost is
// known as a gap, what the other lost is known to its history alone.
func TestFeedsAreRepaired(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme")
	b.sync(t, "rival")
	exec := func(sql string) {
		_, err := b.super.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	exec(`DELETE FROM change_outbox`)
	exec(`INSERT INTO change_gap (organization_id, at, cause, reason, recorded_at)
		SELECT y.organization_id, y.at, 'sync', 'no', now() FROM sync y JOIN organization o ON o.id = y.organization_id WHERE o.slug = 'acme'`)
	repairer := change.NewRepairer(b.DB, time.Now, slog.New(slog.DiscardHandler))
	b.mend(t, repairer)
	b.mend(t, repairer)
	eventually(t, "both wait to be told", func() bool {
		waiting := b.waiting(t)
		return slices.Contains(waiting, "acme sync") && slices.Contains(waiting, "rival sync")
	})
	eventually(t, "the gap is filled", func() bool {
		return len(column[bool](t, b.super, `SELECT true FROM change_gap WHERE filled_at IS NOT NULL`)) == 1
	})
	eventually(t, "each is audited once a day", func() bool {
		done := 0
		for _, job := range b.jobs(t, "feed_audit") {
			if strings.HasPrefix(job, "completed ") {
				done++
			}
		}
		return done == 2
	})
	eventually(t, "it looks again and again", func() bool { return len(b.jobs(t, "feed_repair")) >= 3 })
	at := column[string](t, b.super, `SELECT args->>'at' FROM river.river_job WHERE kind = 'feed_repair' ORDER BY 1`)
	seen := map[string]bool{}
	for _, interval := range at {
		require.False(t, seen[interval], "two replicas look at %s once", interval)
		seen[interval] = true
	}
	require.Empty(t, column[string](t, b.super, `SELECT errors::text FROM river.river_job WHERE errors IS NOT NULL`))
}

// fills counts the looks for gaps, and fails for one organization.
type fills struct {
	mu   sync.Mutex
	seen map[id.ID]int
}

func (f *fills) Fill(_ context.Context, organization id.ID) (change.Filled, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[organization]++
	if organization == id.Organization("acme") {
		return nil, problem.New(problem.Conflict, "FEED_BROKEN", "the secret of acme")
	}
	return change.Filled{}, nil
}

func (*fills) Audit(context.Context, id.ID) (change.Filled, error) {
	return nil, errors.New("the secret of everybody")
}

func (f *fills) of(slug string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[id.Organization(slug)]
}

// TestOneFeedStopsNoOther: what cannot be repaired is told of by a code, and looked
// at again.
func TestOneFeedStopsNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.organizations(t, "acme", "rival")
	f := &fills{seen: map[id.ID]int{}}
	stop := b.mend(t, f)
	eventually(t, "both are looked at again and again", func() bool { return f.of("acme") >= 3 && f.of("rival") >= 3 })
	failures := func(kind string) []string {
		return column[string](t, b.super, `SELECT errors::text FROM river.river_job WHERE kind = $1 AND errors IS NOT NULL`, kind)
	}
	eventually(t, "the audit fails, too", func() bool { return len(failures("feed_audit")) == 2 })
	stop()
	require.NotEmpty(t, failures("feed_repair"))
	for _, failure := range failures("feed_repair") {
		require.Contains(t, failure, "FEED_BROKEN")
		require.NotContains(t, failure, "secret", "the queue keeps no payload")
	}
	for _, failure := range failures("feed_audit") {
		require.NotContains(t, failure, "secret")
	}
	for _, job := range b.jobs(t, "feed_repair") {
		require.False(t, strings.HasPrefix(job, "retryable "), "the next look is no attempt of this one: %s", job)
	}
	for _, job := range b.jobs(t, "feed_audit") {
		require.NotRegexp(t, "^(completed|discarded) ", job, "it is tried again")
	}
}

// TestNobodyRepairs: without a repairer there are no such jobs.
func TestNobodyRepairs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.organizations(t, "acme")
	b.mend(t, nil)
	eventually(t, "it works", func() bool {
		return len(b.jobs(t, "daily_evaluation")) > 0
	})
	require.Empty(t, b.jobs(t, "feed_repair"))
	require.Empty(t, b.jobs(t, "feed_audit"))
}
