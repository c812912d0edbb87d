package progress_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/progress"
)

// TestFollows has a delivery on one replica, and looks at it on that and on another.
func TestFollows(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b, other := h.board(), h.board()
	h.run(b)
	h.run(other)
	delivery := fresh()
	early := h.follow(other, delivery) // before it began
	d := h.begin(b, delivery)
	near := h.follow(b, delivery)
	all := []*progress.Following{early, near}
	expect := func(phase authority.Phase, records int64) {
		t.Helper()
		for _, f := range all {
			row := h.next(f)
			require.Equal(t, phase, row.Phase)
			require.Equal(t, records, row.Records)
			require.Equal(t, delivery, row.ID)
			require.Equal(t, epoch, row.StartedAt.UTC())
			require.Equal(t, h.now(), row.UpdatedAt.UTC())
			require.Equal(t, row.Ended(), row.SyncID != nil)
			require.Nil(t, row.Code)
		}
	}
	expect(authority.PhaseWaiting, 0)
	for i, phase := range authority.Phases[1:8] {
		h.advance(time.Second)
		d.Phase(phase)
		d.Records(10 * (i + 1))
		b.tick()
		expect(phase, int64(10*(i+1)))
	}
	h.advance(6 * time.Second)
	b.tick()
	expect(authority.PhaseCommitting, 70) // a sign of life
	require.Equal(t, 1, b.Watched())
	d.End(read(77), nil)
	expect(authority.PhaseDone, 77)
	for _, f := range append(all, h.follow(other, delivery)) { // and one who comes after the end
		if f != early && f != near {
			require.Equal(t, authority.PhaseDone, h.next(f).Phase)
		}
		for range 2 {
			row, err := f.Next(h.ctx)
			require.NoError(t, err)
			require.Nil(t, row, "nothing comes behind the end")
		}
		f.Close()
		f.Close()
	}
	require.Zero(t, b.Watched())
	require.Zero(t, other.Watched())
}

func TestFollowsFailures(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b := h.board()
	h.run(b)
	delivery := fresh()
	d := h.begin(b, delivery)
	f := h.follow(b, delivery)
	require.Equal(t, authority.PhaseWaiting, h.next(f).Phase)
	d.End(nil, problem.New(problem.Invalid, "MANIFEST_BAD", "bad"))
	row := h.next(f)
	require.Equal(t, authority.PhaseFailed, row.Phase)
	require.Equal(t, "MANIFEST_BAD", *row.Code)
	require.Nil(t, row.SyncID)

	// One that never begins, and one of which nothing more is heard.
	none, silent := fresh(), fresh()
	h.begin(b, silent)
	lost, unborn := h.follow(b, silent), h.follow(b, none)
	require.Equal(t, authority.PhaseWaiting, h.next(lost).Phase)
	h.advance(9 * time.Second)
	h.begin(b, none).End(read(1), nil)
	for row := h.next(unborn); row.Phase != authority.PhaseDone; row = h.next(unborn) { // it has begun just in time
		require.Equal(t, authority.PhaseWaiting, row.Phase)
	}
	unborn = h.follow(b, fresh())
	h.advance(10 * time.Second)
	_, err := unborn.Next(h.ctx)
	requireCode(t, err, problem.NotFound, "DELIVERY_NOT_FOUND")
	h.advance(42 * time.Second)
	_, err = lost.Next(h.ctx)
	requireCode(t, err, problem.Unavailable, "DELIVERY_LOST")
	late := h.follow(b, silent)
	require.Equal(t, authority.PhaseWaiting, h.next(late).Phase, "how far it had come is shown first")
	_, err = late.Next(h.ctx)
	requireCode(t, err, problem.Unavailable, "DELIVERY_LOST")
}

func TestFollowsSyncs(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b := h.board() // which does not even run
	sync := fresh()
	h.exec(`INSERT INTO organization VALUES ($1, 'acme', 'acme', now()), ($2, 'rival', 'rival', now())`, acme, rival)
	h.exec(`SET session_replication_role = replica`)
	for _, organization := range []id.ID{acme, rival} {
		h.exec(`INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, content_digest, outcome, complete, records_read, records_rejected, paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings)
			SELECT $1, $2, $2, 1, $3, $3, $3, 'importer', $2, 'applied', true, 12, 0, 0, 0, 0, 0, '[]', '[]'`, organization, sync, epoch)
		sync = id.Organization("of rival")
	}
	of := column[id.ID](t, h.super, `SELECT id FROM sync WHERE organization_id = $1`, acme)[0]
	f, err := b.Follow(h.ctx, acme, progress.Subject{Sync: of})
	require.NoError(t, err)
	row := h.next(f)
	require.Equal(t, []any{authority.PhaseDone, int64(12), of}, []any{row.Phase, row.Records, *row.SyncID})
	row, err = f.Next(h.ctx)
	require.NoError(t, err)
	require.Nil(t, row)
	f.Close()
	for _, none := range []id.ID{sync, fresh()} { // of rival, and of nobody
		_, err = b.Follow(h.ctx, acme, progress.Subject{Sync: none})
		requireCode(t, err, problem.NotFound, "DELIVERY_NOT_FOUND")
	}
}

func TestWhoMayLook(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b := h.board()
	h.run(b)
	delivery := fresh()
	h.begin(b, delivery)
	for _, subject := range []progress.Subject{{Delivery: delivery}, {Delivery: fresh()}, {Sync: fresh()}} {
		_, err := b.Follow(as("bob", access.Operate), acme, subject)
		requireCode(t, err, problem.Denied, "SCOPE_MISSING")
		_, err = b.Follow(h.ctx, rival, subject)
		requireCode(t, err, problem.NotFound, "ORGANIZATION_NOT_FOUND")
		_, err = b.Follow(context.Background(), acme, subject)
		requireCode(t, err, problem.Unauthentic, "TOKEN_MISSING")
	}
	require.Zero(t, b.Watched())

	// A delivery of this id to another organization is another delivery.
	both := access.With(context.Background(), access.Actor{Subject: "eve", Organizations: []string{"acme", "rival"}, Scopes: []access.Scope{access.View}})
	f, err := b.Follow(both, rival, progress.Subject{Delivery: delivery})
	require.NoError(t, err)
	defer f.Close()
	h.advance(11 * time.Second)
	_, err = f.Next(both)
	requireCode(t, err, problem.NotFound, "DELIVERY_NOT_FOUND")
}

// TestManyLook: however many look, a round of looking is a statement for each
// organization; and nobody looking is none.
func TestManyLook(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b := h.board()
	deliveries := []id.ID{fresh(), fresh(), fresh()}
	begun := make([]*progress.Delivery, len(deliveries))
	for i, delivery := range deliveries {
		begun[i] = h.begin(b, delivery)
	}
	var looking []*progress.Following
	for i := range 60 {
		looking = append(looking, h.follow(b, deliveries[i%3]))
	}
	require.Equal(t, 3, b.Watched())
	h.Statements.Reset()
	asked := h.asked.Load()
	stop := h.run(b)
	require.Eventually(t, func() bool { return h.asked.Load() > asked+5 }, time.Minute, time.Millisecond) // once a round
	stop()
	require.LessOrEqual(t, int64(len(h.Statements.Sent())), h.asked.Load()-asked+1)

	b = h.board()
	h.run(b)
	for i := range looking {
		looking[i].Close()
		looking[i] = h.follow(b, deliveries[i%3])
	}
	var ended sync.WaitGroup
	for _, f := range looking {
		ended.Go(func() {
			for {
				row, err := f.Next(h.ctx)
				if err != nil || row == nil {
					return
				}
			}
		})
	}
	for _, d := range begun {
		h.advance(time.Millisecond)
		d.End(read(1), nil)
	}
	ended.Wait()
	for _, f := range looking {
		f.Close()
	}
	require.Eventually(t, func() bool { // once the round that was under way has ended
		h.Statements.Reset()
		time.Sleep(20 * time.Millisecond) // as long as twenty rounds
		return len(h.Statements.Sent()) == 0
	}, time.Minute, time.Millisecond)
}

// Those who look wait while the database does not answer, and that is told of once.
func TestLooksAgain(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	b := h.board()
	h.run(b)
	delivery := fresh()
	d := h.begin(b, delivery)
	f := h.follow(b, delivery)
	h.next(f)
	h.exec(`ALTER TABLE sync_progress RENAME TO hidden`)
	require.Eventually(t, func() bool { return b.log.lines() == 1 }, time.Minute, time.Millisecond)
	h.advance(2 * time.Hour) // in which nothing can be said of the delivery
	_, err := b.Follow(h.ctx, acme, progress.Subject{Delivery: delivery})
	require.Error(t, err)
	require.Equal(t, 1, b.Watched())
	h.exec(`ALTER TABLE hidden RENAME TO sync_progress`)
	d.End(read(5), nil)
	for {
		row, err := f.Next(h.ctx)
		if err != nil { // a look came between the two
			requireCode(t, err, problem.Unavailable, "DELIVERY_LOST")
			break
		}
		if row.Phase == authority.PhaseDone {
			break
		}
	}
	require.Equal(t, 1, b.log.lines())
}
