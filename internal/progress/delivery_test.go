package progress_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func requireCode(t *testing.T, err error, kind problem.Kind, code string) {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	require.Equal(t, code, typed.Code)
	require.Equal(t, kind, typed.Kind)
}

// read is the report of a sync that has read so many records.
func read(records int) *authority.SyncReport {
	return &authority.SyncReport{SyncID: id.Organization("sync"), Records: authority.RecordCounts{Read: records}}
}

// A tick writes once at most, however much is told between two of them, and nothing
// where nothing is new, but for a sign of life.
func TestWritesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b := h.board()
	b.statements.Reset() // of opening
	delivery := fresh()
	d := h.begin(b, delivery)
	require.Equal(t, []string{"progress.sweep", "progress.begin"}, b.statements.Sent())
	require.Equal(t, "waiting 0", h.row(delivery))
	b.statements.Reset()
	for round := range 5 {
		for _, phase := range authority.Phases[:8] {
			d.Phase(phase)
			for i := range 1000 {
				d.Records(1000*round + i)
			}
		}
		b.tick()
		require.Len(t, b.statements.Sent(), round+1, "one for each tick")
		require.Equal(t, fmt.Sprintf("committing %d", 1000*round+999), h.row(delivery))
	}
	for range 5 {
		b.tick()
	}
	require.Len(t, b.statements.Sent(), 5, "nothing is new")
	h.advance(4 * time.Second)
	b.tick()
	require.Len(t, b.statements.Sent(), 5)
	h.advance(time.Second)
	b.tick()
	require.Len(t, b.statements.Sent(), 6, "it is still there")
	b.tick()
	require.Len(t, b.statements.Sent(), 6)
	d.End(read(4999), nil) // at once
	require.Len(t, b.statements.Sent(), 7)
	require.Equal(t, "done 4999 "+id.Organization("sync").String(), h.row(delivery))
	d.End(nil, errors.New("again"))
	require.Len(t, b.statements.Sent(), 7)
	require.Zero(t, b.log.lines())
}

func TestEndings(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b := h.board()
	for _, test := range []struct {
		report *authority.SyncReport
		err    error
		want   string
	}{
		{read(7), nil, "done 7 " + id.Organization("sync").String()},
		{nil, fmt.Errorf("import: %w", problem.New(problem.Invalid, "MANIFEST_BAD", "the secret")), "failed 5 MANIFEST_BAD"},
		{nil, fmt.Errorf("query x: %w", context.Canceled), "failed 5 INTERRUPTED"},
		{nil, context.DeadlineExceeded, "failed 5 INTERRUPTED"},
		{nil, errors.New("the secret"), "failed 5 INTERNAL"},
		{nil, problem.New(problem.Internal, "SECRET", "the secret"), "failed 5 INTERNAL"},
		{nil, nil, "failed 5 INTERNAL"},
	} {
		ctx, cancel := context.WithCancel(h.ctx)
		delivery := fresh()
		d, err := b.Begin(ctx, acme, delivery)
		require.NoError(t, err)
		d.Records(5)
		cancel() // as when the client is gone
		d.End(test.report, test.err)
		require.Equal(t, test.want, h.row(delivery))
	}
}

// An id is one delivery's until that is over, and its caller's for good.
func TestIDsAreTaken(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b, other := h.board(), h.board()
	delivery := fresh()
	again := func(ctx context.Context, b *board) error {
		h.advance(time.Millisecond)
		_, err := b.Begin(ctx, acme, delivery)
		return err
	}
	first := h.begin(b, delivery)
	first.Records(3)
	requireCode(t, again(h.ctx, b), problem.Conflict, "PROGRESS_TAKEN")
	requireCode(t, again(h.ctx, other), problem.Conflict, "PROGRESS_TAKEN")
	first.End(nil, problem.New(problem.Invalid, "MANIFEST_BAD", "bad"))
	requireCode(t, again(as("bob", access.Operate), b), problem.Conflict, "PROGRESS_TAKEN")
	require.Equal(t, "failed 3 MANIFEST_BAD", h.row(delivery))

	h.advance(time.Millisecond)
	second := h.begin(other, delivery) // the same upload once more
	require.Equal(t, "waiting 0", h.row(delivery))
	second.End(read(9), nil)
	require.Equal(t, "done 9 "+id.Organization("sync").String(), h.row(delivery))

	// What is lost is over, and does not write over what came after it.
	h.advance(time.Millisecond)
	lost := h.begin(b, delivery)
	h.advance(59 * time.Second)
	requireCode(t, again(h.ctx, other), problem.Conflict, "PROGRESS_TAKEN")
	h.advance(2 * time.Second)
	third := h.begin(other, delivery)
	lost.Phase(authority.PhaseMerging)
	lost.End(read(1), nil)
	require.Equal(t, "waiting 0", h.row(delivery))
	third.End(read(2), nil)
	require.Equal(t, "done 2 "+id.Organization("sync").String(), h.row(delivery))

	// Another organization has ids of its own.
	ctx := access.With(context.Background(), access.Actor{Subject: "eve", Organizations: []string{"rival"}, Scopes: []access.Scope{access.Operate}})
	foreign, err := b.Begin(ctx, rival, delivery)
	require.NoError(t, err)
	foreign.End(read(4), nil)
	require.Equal(t, int64(2), column[int64](t, h.super, `SELECT count(*) FROM sync_progress WHERE id = $1`, delivery)[0])

	_, err = b.Begin(as("ann", access.View), acme, fresh())
	requireCode(t, err, problem.Denied, "SCOPE_MISSING")
	_, err = b.Begin(ctx, acme, fresh())
	requireCode(t, err, problem.NotFound, "ORGANIZATION_NOT_FOUND")
}

// What ended a day ago is swept by what begins.
func TestSwept(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b := h.board()
	old, recent := fresh(), fresh()
	h.begin(b, old).End(read(1), nil)
	h.advance(23 * time.Hour)
	h.begin(b, recent).End(read(1), nil)
	require.NotEmpty(t, h.row(old))
	h.advance(2 * time.Hour)
	h.begin(b, fresh()).End(read(1), nil)
	require.Empty(t, h.row(old))
	require.NotEmpty(t, h.row(recent))
}

// A database that does not take rows fails no delivery, and is told of once.
func TestFailingDatabase(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b := h.board()
	h.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'`)
	h.exec(`CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON sync_progress FOR EACH ROW EXECUTE FUNCTION refuse()`)
	delivery := fresh()
	d := h.begin(b, delivery)
	for i := range 5 {
		d.Records(i + 1)
		b.tick()
	}
	require.Equal(t, 1, b.log.lines())
	require.Empty(t, h.row(delivery))
	h.exec(`DROP TRIGGER refuse ON sync_progress`)
	b.tick()
	require.Equal(t, "waiting 5", h.row(delivery), "it is written once it can be")
	h.exec(`CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON sync_progress FOR EACH ROW EXECUTE FUNCTION refuse()`)
	ended := make(chan struct{})
	go func() { d.End(read(6), nil); close(ended) }()
	require.Eventually(t, func() bool { return b.log.lines() == 2 }, time.Minute, time.Millisecond)
	h.exec(`DROP TRIGGER refuse ON sync_progress`)
	b.ticks <- time.Time{}
	<-ended
	require.Equal(t, "done 6 "+id.Organization("sync").String(), h.row(delivery))
}

// What a delivery has to say at its end is written before a server stops.
func TestStopsAfterTheLastWord(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b := h.board()
	stop := h.run(b)
	delivery := fresh()
	d := h.begin(b, delivery)
	f := h.follow(b, delivery)
	h.next(f)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	_, err := f.Next(h.ctx)
	requireCode(t, err, problem.Unavailable, "STREAM_ENDED")
	select {
	case <-stopped:
		t.Fatal("it has not waited")
	default:
	}
	d.End(nil, context.Canceled)
	<-stopped
	require.Equal(t, "failed 0 INTERRUPTED", h.row(delivery))

	// It does not wait forever.
	b = h.board()
	stop = h.run(b)
	h.begin(b, fresh())
	stop()
}
