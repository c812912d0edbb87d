package schedule_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/schedule"
)

// sign runs a schedule that looks at the ledgers often.
func (b *bench) sign(t *testing.T, checkpointer schedule.Checkpointer) (stop func()) {
	t.Helper()
	return b.start(t, schedule.Config{Evaluator: b.service, Checkpointer: checkpointer, Now: time.Now, Sign: 200 * time.Millisecond})
}

// organizations makes some without a sync.
func (b *bench) organizations(t *testing.T, slugs ...string) {
	t.Helper()
	for _, slug := range slugs {
		_, err := b.super.Exec(t.Context(), `INSERT INTO organization (id, slug, name, created_at) VALUES ($1, $2, $2, now())`, id.Organization(slug), slug)
		require.NoError(t, err)
	}
}

// TestLedgersAreSigned has two replicas look at two ledgers, which grow.
func TestLedgersAreSigned(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.organizations(t, "acme", "rival", "empty")
	ledgers := book.New(b.now)
	appendTo := func(slug string, seconds int) {
		ctx := access.With(t.Context(), access.Actor{Subject: "ann"})
		identity := id.Organization("some identity")
		require.NoError(t, b.Tenant(ctx, id.Organization(slug), func(tx *db.Tx) error {
			_, err := ledgers.Append(ctx, tx, book.Draft{Kind: ledger.BaselineAttested, Payload: ledger.Baseline{Note: "x"}, OccurredAt: epoch.Add(time.Duration(seconds) * time.Second),
				Subject: ledger.Subject{Kind: ledger.SubjectIdentity, ID: &identity}})
			return err
		}))
	}
	appendTo("acme", 1)
	appendTo("rival", 1)
	appendTo("rival", 2)
	key, _, err := book.MakeKey(filepath.Join(t.TempDir(), "ledger.key"))
	require.NoError(t, err)
	checkpointer := book.NewCheckpointer(book.CheckpointerConfig{DB: b.DB, Key: key, Folder: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Now: time.Now, Entries: 1})
	b.sign(t, checkpointer)
	b.sign(t, checkpointer)
	signed := func(slug string) []int64 {
		return column[int64](t, b.super, `SELECT size FROM ledger_checkpoint WHERE organization_id = $1 ORDER BY size`, id.Organization(slug))
	}
	eventually(t, "both are signed", func() bool { return len(signed("acme")) == 1 && len(signed("rival")) == 1 })
	appendTo("acme", 2)
	eventually(t, "and again as they grow", func() bool { return len(signed("acme")) == 2 })
	require.Equal(t, []int64{1, 2}, signed("acme"))
	require.Equal(t, []int64{2}, signed("rival"))
	require.Empty(t, signed("empty"))
	require.Empty(t, column[string](t, b.super, `SELECT errors::text FROM river.river_job WHERE errors IS NOT NULL`))
}

// looks counts the looks at each organization, and fails for one.
type looks struct {
	mu   sync.Mutex
	seen map[string]int
}

func (l *looks) Look(ctx context.Context, organization *org.Organization) (int64, error) {
	if err := access.Require(ctx, organization.ID, access.Audit); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[organization.Slug]++
	if organization.Slug == "acme" {
		return 0, errors.Join(problem.New(problem.Conflict, "LEDGER_REWRITTEN", "the secret of acme"))
	}
	return 1, nil
}

func (l *looks) of(slug string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[slug]
}

// TestOneLedgerStopsNoOther: what cannot be signed is told of by a code, and
// looked at again.
func TestOneLedgerStopsNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.organizations(t, "acme", "rival")
	l := &looks{seen: map[string]int{}}
	stop := b.sign(t, l)
	eventually(t, "both are looked at again and again", func() bool { return l.of("acme") >= 3 && l.of("rival") >= 3 })
	stop()
	failures := column[string](t, b.super, `SELECT errors::text FROM river.river_job WHERE kind = 'ledger_checkpoints' AND errors IS NOT NULL`)
	require.NotEmpty(t, failures)
	for _, failure := range failures {
		require.Contains(t, failure, "LEDGER_REWRITTEN")
		require.NotContains(t, failure, "secret", "the queue keeps no payload")
	}
	for _, job := range b.jobs(t, "ledger_checkpoints") {
		require.False(t, strings.HasPrefix(job, "retryable "), "the next look is no attempt of this one: %s", job)
	}
}

// TestNobodySigns: without a key there is no such job.
func TestNobodySigns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.organizations(t, "acme")
	b.sign(t, nil)
	eventually(t, "it works", func() bool { return len(b.jobs(t, "daily_round")) > 0 })
	require.Empty(t, b.jobs(t, "ledger_checkpoints"))
}
