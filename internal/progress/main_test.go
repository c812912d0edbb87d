package progress_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/progress"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var (
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	acme  = id.Organization("acme")
	rival = id.Organization("rival")
)

// hall is a database with boards on it, with a clock and ticks that the test gives.
type hall struct {
	*dbtest.Database
	t     *testing.T
	ctx   context.Context
	clock atomic.Int64 // nanoseconds after epoch
	asked atomic.Int64 // how often
	super *pgx.Conn
}

func newHall(t *testing.T) *hall {
	h := &hall{Database: dbtest.New(t), t: t, ctx: as("ann", access.Operate, access.View)}
	h.super = h.Super(t)
	return h
}

// as is somebody who sees acme.
func as(subject string, scopes ...access.Scope) context.Context {
	return access.With(context.Background(), access.Actor{Subject: subject, Role: access.Client, Organizations: []string{"acme"}, Scopes: scopes})
}

func (h *hall) now() time.Time {
	h.asked.Add(1)
	return epoch.Add(time.Duration(h.clock.Load()))
}

func (h *hall) advance(d time.Duration) { h.clock.Add(int64(d)) }

// board is one with ticks that the test gives. Each that is taken was acted on when
// the next is taken.
type board struct {
	*progress.Board
	statements *dbtest.Counter
	ticks      chan time.Time
	log        *journal
}

// journal is what was logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) lines() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Count(j.text.Bytes(), []byte("\n"))
}

// board opens one with connections of its own, as a replica does.
func (h *hall) board() *board {
	h.t.Helper()
	b := &board{statements: &dbtest.Counter{}, ticks: make(chan time.Time), log: &journal{}}
	pool, err := db.Open(context.Background(), h.RuntimeURL, db.Options{MaxConns: progress.Connections, Tracer: b.statements})
	require.NoError(h.t, err)
	h.t.Cleanup(pool.Close)
	b.Board = progress.New(progress.Config{
		DB: pool, Readers: h.DB, Now: h.now, Log: slog.New(slog.NewTextHandler(b.log, nil)), Poll: time.Millisecond,
		Ticks: func() (<-chan time.Time, func()) { return b.ticks, func() {} },
	})
	return b
}

// run runs a board until the test ends.
func (h *hall) run(b *board) (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(h.t, <-ended)
	})
	h.t.Cleanup(stop)
	return stop
}

// tick has the one delivery of the board act on a tick: two are taken, and the second
// only after the first was acted on.
func (b *board) tick() {
	b.ticks <- time.Time{}
	b.ticks <- time.Time{}
}

func (h *hall) begin(b *board, delivery id.ID) *progress.Delivery {
	h.t.Helper()
	d, err := b.Begin(h.ctx, acme, delivery)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { d.End(nil, context.Canceled) })
	return d
}

func (h *hall) follow(b *board, delivery id.ID) *progress.Following {
	h.t.Helper()
	f, err := b.Follow(h.ctx, acme, progress.Subject{Delivery: delivery})
	require.NoError(h.t, err)
	h.t.Cleanup(f.Close)
	return f
}

// next is the next row, which must come.
func (h *hall) next(f *progress.Following) *progress.Row {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, time.Minute)
	defer cancel()
	row, err := f.Next(ctx)
	require.NoError(h.t, err)
	require.NotNil(h.t, row)
	return row
}

func fresh() id.ID { return uuid.New() }

func column[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) []T {
	t.Helper()
	rows, err := conn.Query(context.Background(), sql, args...)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err, sql)
	return list
}

func (h *hall) exec(sql string, args ...any) {
	h.t.Helper()
	_, err := h.super.Exec(context.Background(), sql, args...)
	require.NoError(h.t, err, sql)
}

// row is what stands of a delivery.
func (h *hall) row(delivery id.ID) string {
	h.t.Helper()
	rows := column[string](h.t, h.super, `SELECT concat_ws(' ', phase, records, sync_id, code) FROM sync_progress WHERE id = $1`, delivery)
	if len(rows) == 0 {
		return ""
	}
	return rows[0]
}
