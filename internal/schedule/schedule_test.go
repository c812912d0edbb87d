package schedule_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/schedule"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// epoch is a noon, so that the evaluation of its day was due ten hours ago.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bench is a service on a database of its own, with a clock that the test moves.
type bench struct {
	*dbtest.Database
	service *authority.Service
	super   *pgx.Conn
	clock   atomic.Int64
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{Database: dbtest.New(t)}
	b.super = b.Super(t)
	b.clock.Store(epoch.UnixMicro())
	b.service = authority.New(b.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), b.now, slog.New(slog.DiscardHandler))
	return b
}

func (b *bench) now() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }

func (b *bench) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

// sync makes the organization with a path.
func (b *bench) sync(t *testing.T, organization string) {
	t.Helper()
	ctx := access.With(t.Context(), access.Actor{Subject: "test", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true})
	workload, resource := record.Ref{Kind: record.Workload, SourceID: "w"}, record.Ref{Kind: record.Resource, SourceID: "r"}
	_, err := b.service.Sync(ctx, authority.SyncRequest{Organization: organization, Format: "snapshot", CreateOrganization: true}, func(out record.Emitter) error {
		for i, fact := range []record.Fact{record.Entity{Ref: workload}, record.Entity{Ref: resource, Sensitivity: "restricted"},
			record.Edge{Kind: record.Declares, From: workload, To: resource, Actions: []string{"read"}}} {
			if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
}

// run runs a schedule by the bench's clock until the test stops it.
func (b *bench) run(t *testing.T, evaluator schedule.Evaluator) (stop func()) {
	t.Helper()
	return b.start(t, schedule.Config{Evaluator: evaluator, Now: b.now})
}

// start runs a schedule on the bench's database until the test stops it.
func (b *bench) start(t *testing.T, config schedule.Config) (stop func()) {
	t.Helper()
	config.URL, config.DB, config.Organizations = b.RuntimeURL, b.DB, &org.Store{}
	config.Logger, config.Poll = slog.New(slog.DiscardHandler), 100*time.Millisecond
	s := schedule.New(config)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

func column[T any](t require.TestingT, conn *pgx.Conn, sql string, args ...any) []T {
	rows, err := conn.Query(context.Background(), sql, args...)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return list
}

// eventually polls, within bounds.
func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	require.Eventually(t, reached, 10*time.Second, 20*time.Millisecond, what)
}

// jobs lists the jobs of a kind as their state and their arguments.
func (b *bench) jobs(t *testing.T, kind string) []string {
	t.Helper()
	return column[string](t, b.super, `SELECT concat_ws(' ', state, args) FROM river.river_job WHERE kind = $1 ORDER BY 1`, kind)
}

func (b *bench) done(t *testing.T, count int) {
	t.Helper()
	eventually(t, "the jobs are done", func() bool {
		done := 0
		for _, job := range b.jobs(t, "daily_evaluation") {
			if strings.HasPrefix(job, "completed ") {
				done++
			}
		}
		return done == count
	})
}

func (b *bench) evaluations(t *testing.T, organization string) []time.Time {
	t.Helper()
	return column[time.Time](t, b.super, `SELECT at FROM evaluation WHERE organization_id = $1 AND cause = 'time' AND actor = 'system:schedule' ORDER BY at`, id.Organization(organization))
}

func (b *bench) window(t *testing.T, organization string) time.Time {
	t.Helper()
	list := column[time.Time](t, b.super, `SELECT window_at FROM organization_window WHERE organization_id = $1`, id.Organization(organization))
	require.Len(t, list, 1)
	return list[0]
}

// TestOncePerOrganizationAndDay runs two replicas at once, on two days.
func TestOncePerOrganizationAndDay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme")
	b.sync(t, "rival")
	b.advance(24 * time.Hour)

	stopOne, stopTwo := b.run(t, b.service), b.run(t, b.service)
	b.done(t, 2)
	for _, organization := range []string{"acme", "rival"} {
		at := b.evaluations(t, organization)
		require.Len(t, at, 1)
		require.True(t, at[0].Equal(b.now()), "%s is not %s", at[0], b.now())
		require.True(t, b.window(t, organization).Equal(b.now()))
	}
	stopOne()
	stopTwo()

	// A start later that day finds the round done, and one of the next day does not.
	stop := b.run(t, b.service)
	eventually(t, "it leads", func() bool { return len(column[string](t, b.super, `SELECT leader_id FROM river.river_leader`)) == 1 })
	stop()
	require.Equal(t, []string{`completed {"day": "2026-03-02"}`}, b.jobs(t, "daily_round"))
	b.advance(24 * time.Hour)
	b.run(t, b.service)
	b.done(t, 4)
	for _, organization := range []string{"acme", "rival"} {
		require.Len(t, b.evaluations(t, organization), 2)
		require.True(t, b.window(t, organization).Equal(b.now()))
	}
	require.Len(t, b.jobs(t, "daily_round"), 2)
}

// TestWhatIsNotDue has an organization that nothing reached, and one whose first
// sync came after the instant of the day.
func TestWhatIsNotDue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "fresh")
	_, err := b.super.Exec(t.Context(), `INSERT INTO organization (id, slug, name, created_at) VALUES ($1, 'empty', 'Empty', now())`, id.Organization("empty"))
	require.NoError(t, err)
	b.run(t, b.service)
	b.done(t, 2)
	require.Empty(t, column[time.Time](t, b.super, `SELECT at FROM evaluation`))
	require.True(t, b.window(t, "fresh").Equal(epoch))
}

// TestMissedDay starts in the night, before the instant of the new day: what was
// due the day before and missed is done at once.
func TestMissedDay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sync(t, "acme")
	b.advance(48*time.Hour - 11*time.Hour) // one o'clock
	b.run(t, b.service)
	b.done(t, 1)
	require.Equal(t, []string{`completed {"day": "2026-03-02"}`}, b.jobs(t, "daily_round"))
	require.Len(t, b.evaluations(t, "acme"), 1)
}

// faulty fails for one organization, as often as it is told to.
type faulty struct {
	schedule.Evaluator

	organization id.ID
	failures     atomic.Int64
}

func (f *faulty) Reevaluate(ctx context.Context, organization id.ID, cause authority.Cause, prepare func(*db.Tx, time.Time) error) (*authority.Evaluation, error) {
	if organization == f.organization && f.failures.Add(-1) >= 0 {
		return nil, errors.New("the secret name of a workload")
	}
	return f.Evaluator.Reevaluate(ctx, organization, cause, prepare)
}

// TestFailureStopsNobodyElse has one organization fail once, and then succeed
// by itself.
func TestFailureStopsNobodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, organization := range []string{"acme", "rival", "third"} {
		b.sync(t, organization)
	}
	b.advance(24 * time.Hour)
	evaluator := &faulty{Evaluator: b.service, organization: id.Organization("rival")}
	evaluator.failures.Store(1)
	b.run(t, evaluator)
	b.done(t, 3)
	for _, organization := range []string{"acme", "rival", "third"} {
		require.Len(t, b.evaluations(t, organization), 1, organization)
	}
	failures := column[string](t, b.super, `SELECT errors::text FROM river.river_job WHERE errors IS NOT NULL`)
	require.Len(t, failures, 1)
	require.NotContains(t, failures[0], "secret", "the queue keeps no payload")
}

// busy blocks until it is cancelled.
type busy struct{ begun, ended chan struct{} }

func (b busy) Reevaluate(ctx context.Context, _ id.ID, _ authority.Cause, _ func(*db.Tx, time.Time) error) (*authority.Evaluation, error) {
	close(b.begun)
	<-ctx.Done()
	close(b.ended)
	return nil, ctx.Err()
}

// TestStop is not parallel: it looks at every goroutine of the process.
func TestStop(t *testing.T) {
	b := setup(t)
	b.sync(t, "acme")
	b.advance(24 * time.Hour)
	evaluator := busy{make(chan struct{}), make(chan struct{})}
	stop := b.run(t, evaluator)
	select {
	case <-evaluator.begun:
	case <-time.After(10 * time.Second):
		t.Fatal("the job does not begin")
	}
	begin := time.Now()
	stop()
	require.Less(t, time.Since(begin), 3*time.Second)
	<-evaluator.ended
	for _, job := range b.jobs(t, "daily_evaluation") {
		require.NotContains(t, job, "running", "another replica may take it")
	}
	require.Empty(t, column[string](t, b.super, `SELECT leader_id FROM river.river_leader`), "another replica may lead")
	eventually(t, "nothing is left running", func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "riverqueue")
	})
	eventually(t, "no connection is left open", func() bool {
		return len(column[int32](t, b.super, `SELECT pid FROM pg_stat_activity WHERE application_name = 'exposuregraph-schedule' AND datname = current_database()`)) == 0
	})

	// What was interrupted is done by who comes next.
	b.run(t, b.service)
	b.done(t, 1)
	require.Len(t, b.evaluations(t, "acme"), 1)
}

// TestDatabaseGone: a schedule whose database does not answer tries on, and
// still ends at once.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	tried := make(chan struct{}, 100)
	s := schedule.New(schedule.Config{URL: "postgres://x@127.0.0.1:1/x", Logger: slog.New(note{slog.DiscardHandler, tried}), Now: time.Now, Poll: 100 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for range 2 {
		select {
		case <-tried:
		case <-time.After(10 * time.Second):
			t.Fatal("it does not try")
		}
	}
	cancel()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(time.Second):
		t.Fatal("it does not end")
	}
}

// note tells of each line.
type note struct {
	slog.Handler

	lines chan struct{}
}

func (n note) Enabled(context.Context, slog.Level) bool { return true }

func (n note) Handle(context.Context, slog.Record) error {
	n.lines <- struct{}{}
	return nil
}
