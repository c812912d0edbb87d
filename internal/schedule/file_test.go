package schedule_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/schedule"
)

// settle runs a schedule that looks at uploads often.
func (b *bench) settle(t *testing.T, settler schedule.Settler) (stop func()) {
	t.Helper()
	return b.start(t, schedule.Config{Evaluator: b.service, Settler: settler, Now: time.Now, Settle: 200 * time.Millisecond})
}

// settles counts the looks at each organization, and fails for one.
type settles struct {
	mu    sync.Mutex
	seen  map[id.ID]int
	swept int
}

func (s *settles) Settle(ctx context.Context, organization id.ID) (file.Settled, error) {
	if err := access.Require(ctx, organization, access.Investigate); err != nil {
		return file.Settled{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[organization]++
	if organization == id.Organization("acme") {
		return file.Settled{Completed: 1}, problem.New(problem.Unavailable, "OBJECT_STORE_UNAVAILABLE", "the secret of acme")
	}
	return file.Settled{}, nil
}

func (s *settles) Sweep(context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept++
	return 1, problem.New(problem.Unavailable, "OBJECT_STORE_FAILED", "the disk is gone")
}

func (s *settles) of(slug string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[id.Organization(slug)]
}

// TestUploadsAreSettled: what cannot be settled is told of by a code, looked at again,
// and keeps no other organization from it.
func TestUploadsAreSettled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.organizations(t, "acme", "rival")
	s := &settles{seen: map[id.ID]int{}}
	stop := b.settle(t, s)
	eventually(t, "both are looked at again and again", func() bool { return s.of("acme") >= 3 && s.of("rival") >= 3 })
	stop()
	require.GreaterOrEqual(t, s.swept, 3)
	failures := column[string](t, b.super, `SELECT errors::text FROM river.river_job WHERE kind = 'file_settle' AND errors IS NOT NULL`)
	require.NotEmpty(t, failures)
	for _, failure := range failures {
		require.Contains(t, failure, "OBJECT_STORE_UNAVAILABLE")
		require.NotContains(t, failure, "secret", "the queue keeps no payload")
	}
	for _, job := range b.jobs(t, "file_settle") {
		require.False(t, strings.HasPrefix(job, "retryable "), "the next look is no attempt of this one: %s", job)
	}
}

// TestNobodySettles: without a store there is no such job.
func TestNobodySettles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.organizations(t, "acme")
	b.settle(t, nil)
	eventually(t, "it works", func() bool { return len(b.jobs(t, "daily_round")) > 0 })
	require.Empty(t, b.jobs(t, "file_settle"))
}
