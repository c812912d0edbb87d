package authority_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// decide makes a decision that leaves nothing but an entry in the ledger, and
// gives its place on the clock.
func (b *bench) decide(t testing.TB, during func()) (at time.Time) {
	t.Helper()
	require.NoError(t, b.service.Decide(b.ctx, id.Organization("acme"), nil, func(tx *db.Tx, d *authority.Decision) error {
		at = d.At
		if during != nil {
			during()
		}
		return b.note(tx, d)
	}))
	return at
}

func (b *bench) note(tx *db.Tx, d *authority.Decision) error {
	_, err := b.service.Ledger().Append(b.ctx, tx, book.Draft{Kind: ledger.SigningKeyRevoked, OccurredAt: d.At,
		Subject: ledger.Subject{Kind: ledger.SubjectKey, Name: "k"}, Payload: struct{}{}})
	return err
}

// hold takes an advisory lock of the organization until the end of the test or
// the call of release.
func (b *bench) hold(t testing.TB, lock string) (release func()) {
	t.Helper()
	tx, err := b.Super(t).Begin(b.ctx)
	require.NoError(t, err)
	_, err = tx.Exec(b.ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1 || $2::uuid::text, 0))`, lock, id.Organization("acme"))
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback(b.ctx)) }
}

func TestDecisionHasItsPlaceOnTheClock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.sync(t, authority.SyncRequest{ObservedAt: epoch.Add(time.Minute)}, twins()...)
	require.Equal(t, first.At.Add(time.Microsecond), b.decide(t, nil), "the server's clock is behind the organization's")
	require.Equal(t, first.At.Add(2*time.Microsecond), b.decide(t, nil))
	b.advance(time.Hour)
	require.Equal(t, epoch.Add(time.Hour), b.decide(t, nil), "by the server's clock")

	// The lock of a sync that merges. It has taken its place, which nobody sees.
	b.advance(time.Hour)
	release := b.hold(t, "sync/")
	require.Equal(t, epoch.Add(time.Hour+time.Microsecond), b.decide(t, nil), "below whatever comes of the sync")
	require.Equal(t, epoch.Add(time.Hour+2*time.Microsecond), b.decide(t, nil))
	release()
	require.Equal(t, epoch.Add(2*time.Hour), b.decide(t, nil))

	second := b.sync(t, authority.SyncRequest{ObservedAt: epoch.Add(90 * time.Minute)}, twins()[1:]...)
	require.Equal(t, epoch.Add(2*time.Hour+time.Second), second.At, "the decision moved the clock")
}

// No sync begins while a decision is made that took the clock's word for it.
func TestSyncWaitsForTheDecision(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, authority.SyncRequest{}, twins()...)
	b.advance(time.Hour)
	synced := make(chan error, 1)
	var report *authority.SyncReport
	at := b.decide(t, func() {
		go func() {
			var err error
			report, err = b.trySync(authority.SyncRequest{ObservedAt: epoch.Add(time.Minute)}, twins()[1:]...)
			synced <- err
		}()
		require.Eventually(t, func() bool { return b.waiting(t) }, 30*time.Second, 5*time.Millisecond, "the sync waits")
	})
	require.NoError(t, <-synced)
	require.Equal(t, epoch.Add(time.Hour), at)
	require.Equal(t, at.Add(time.Second), report.At)
}

func (b *bench) waiting(t testing.TB) (waiting bool) {
	t.Helper()
	require.NoError(t, b.Super(t).QueryRow(b.ctx, `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted)`).Scan(&waiting))
	return waiting
}

// slow is an assessor that stops before it judges.
type slow struct {
	authority.Assessor

	judging, judge chan struct{}
}

// Assess waits until it may.
func (s *slow) Assess(ctx context.Context, tx *db.Tx, assessment *authority.Assessment) (authority.ExposureCounts, error) {
	close(s.judging)
	<-s.judge
	return s.Assessor.Assess(ctx, tx, assessment)
}

// Nobody decides on what is just being judged, and what was decided before is
// judged by.
func TestDecisionWaitsForTheJudgement(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, authority.SyncRequest{}, twins()...)
	stopped := &slow{exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), make(chan struct{}), make(chan struct{})}
	syncing := &bench{Database: b.Database, ctx: b.ctx}
	syncing.service = authority.New(b.DB, stopped, func() time.Time { return epoch.Add(time.Hour) }, slog.New(slog.DiscardHandler))
	synced := make(chan error, 1)
	var report *authority.SyncReport
	go func() {
		var err error
		report, err = syncing.trySync(authority.SyncRequest{ObservedAt: epoch.Add(time.Hour)}, append(twins(), workload("w3"), runsAs("w3", "i1"))...)
		synced <- err
	}()
	select {
	case <-stopped.judging:
	case err := <-synced:
		t.Fatalf("the sync ended before it judged: %v", err)
	}
	decided := make(chan time.Time, 1)
	go func() { decided <- b.decide(t, nil) }()
	require.Eventually(t, func() bool { return b.waiting(t) }, 30*time.Second, 5*time.Millisecond, "the decision waits")
	close(stopped.judge)
	require.NoError(t, <-synced)
	require.Equal(t, report.At.Add(time.Microsecond), <-decided)
}

// Another version of the program judges anew before anybody decides.
func TestDecisionIsMadeOnWhatThisVersionJudges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, authority.SyncRequest{}, twins()...)
	next := slices.Clone(rule.Definitions)
	next[0].Version++
	var window time.Time
	super := b.Super(t)
	require.NoError(t, super.QueryRow(b.ctx, `SELECT window_at FROM organization_window`).Scan(&window))
	b.advance(time.Hour)
	old := b.service
	b.decide(t, nil)
	b.Statements.Reset()
	b.decide(t, nil)
	require.NotContains(t, b.Statements.Sent(), "exposure.rule_versions_current", "nobody has judged since it looked")
	b.service = authority.New(b.DB, exposure.NewAssessor(next, posture.New(posture.Definitions)), func() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }, slog.New(slog.DiscardHandler))
	at := b.decide(t, nil)
	var cause string
	var judgedAt, windowAt time.Time
	require.NoError(t, super.QueryRow(b.ctx, `SELECT e.cause, e.at, w.window_at FROM evaluation e, organization_window w`).Scan(&cause, &judgedAt, &windowAt))
	require.Equal(t, "version", cause)
	require.True(t, at.After(judgedAt))
	require.Equal(t, window, windowAt, "time does not pass by it")

	b.service, old = old, b.service
	for evaluations := 2; evaluations < 4; evaluations++ {
		b.advance(time.Hour)
		b.decide(t, nil)
		b.decide(t, nil)
		var count int
		require.NoError(t, super.QueryRow(b.ctx, `SELECT count(*) FROM evaluation`).Scan(&count))
		require.Equal(t, evaluations, count, "each finds that the other has judged, once")
		b.service, old = old, b.service
	}
}

func TestDecisionRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	err := b.service.Decide(b.ctx, id.Organization("nowhere"), nil, func(*db.Tx, *authority.Decision) error { panic("not reached") })
	require.Equal(t, access.OrganizationNotFound(), err)

	b.sync(t, authority.SyncRequest{}, twins()...)
	entries := func() (n int) {
		require.NoError(t, b.Super(t).QueryRow(b.ctx, `SELECT count(*) FROM ledger_entry`).Scan(&n))
		return n
	}
	before, broken := entries(), errors.New("broken")
	err = b.service.Decide(b.ctx, id.Organization("acme"), nil, func(tx *db.Tx, d *authority.Decision) error {
		return errors.Join(b.note(tx, d), broken)
	})
	require.ErrorIs(t, err, broken)
	require.Equal(t, before, entries(), "nothing of it is left")

	release := b.hold(t, "judge/")
	defer release()
	impatient, cancel := context.WithTimeout(b.ctx, 200*time.Millisecond)
	defer cancel()
	err = b.service.Decide(impatient, id.Organization("acme"), nil, func(*db.Tx, *authority.Decision) error { panic("not reached") })
	require.Error(t, err)
}

// Everything that counts exposures follows a decision, and whoever comes after in
// the same session finds the work tables empty.
func TestDecisionFollows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, authority.SyncRequest{}, twins()...)
	super := b.Super(t)
	rows, err := super.Query(b.ctx, `UPDATE exposure SET disposition = 4 WHERE to_at IS NULL RETURNING path_id`)
	require.NoError(t, err)
	paths, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	slices.SortFunc(paths, func(a, b id.ID) int { return bytes.Compare(a[:], b[:]) })
	paths = slices.Compact(paths)
	require.NoError(t, b.service.Decide(b.ctx, id.Organization("acme"), nil, func(tx *db.Tx, d *authority.Decision) error {
		return errors.Join(d.Follow(b.ctx, tx.Pipeline(), nil), d.Follow(b.ctx, tx.Pipeline(), paths[:1]), d.Follow(b.ctx, tx.Pipeline(), paths))
	}))
	for what, sql := range map[string]string{
		"masks":       `SELECT coalesce(sum(open_mask + acknowledged_mask + accepted_mask + active_exposure_count), 0)::int FROM authority_path`,
		"members":     `SELECT count(*)::int FROM cluster_member WHERE to_at IS NULL`,
		"counters":    `SELECT coalesce(sum(paths), 0)::int FROM cluster_counter`,
		"path grains": `SELECT coalesce(sum(critical + high), 0)::int FROM posture_counter`,
	} {
		var n int
		require.NoError(t, super.QueryRow(b.ctx, sql).Scan(&n), what)
		require.Zero(t, n, what)
	}
}
