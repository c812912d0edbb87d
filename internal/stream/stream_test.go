package stream

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/change/feedtest"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// TestEndsLeaveNothing comes first and alone, because it counts goroutines.
func TestEndsLeaveNothing(t *testing.T) {
	s := newStudio(t)
	organization := s.prepare("acme")
	s.deliver(organization, 700, false)
	x := s.open(nil)
	before := runtime.NumGoroutine()
	stop := s.run(x)
	var reading sync.WaitGroup
	var subscriptions []*Subscription
	caught := make(chan struct{}, 300)
	for range 300 {
		subscription, err := x.Subscribe(s.ctx, organization, nil, change.Filter{})
		require.NoError(t, err)
		subscriptions = append(subscriptions, subscription)
		reading.Go(func() {
			seen, told := 0, false
			for {
				b, err := subscription.Next(s.ctx)
				if err != nil {
					return
				}
				if seen += len(b.Events); seen == 700 && !told {
					told = true
					caught <- struct{}{}
				}
			}
		})
	}
	for range subscriptions {
		<-caught
	}
	require.Equal(t, 300, x.Stats().Subscribers)
	for i, subscription := range subscriptions {
		if i%2 == 0 {
			subscription.Close()
			subscription.Close()
		}
	}
	require.Equal(t, 150, x.Stats().Subscribers)
	stop()
	reading.Wait() // the others were told that it has ended
	_, err := subscriptions[1].Next(s.ctx)
	require.Equal(t, problem.Unavailable, problem.KindOf(err))
	_, err = subscriptions[0].Next(s.ctx)
	require.ErrorIs(t, err, ErrClosed)
	for _, subscription := range subscriptions {
		subscription.Close()
	}
	require.Equal(t, Stats{Published: 700, Replayed: x.Stats().Replayed, Pending: x.Stats().Pending}, x.Stats())
	// The pools make connections beside, which takes them a moment.
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, patience, 10*time.Millisecond)
}

// What is committed is seen, by those who were there before and by those who come.
func TestFollows(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	organization := s.prepare("acme")
	first := s.deliver(organization, 3, false)
	x := s.open(nil)
	s.run(x)
	early := s.subscribe(x, organization, nil)
	x.Wake(organization)
	require.ElementsMatch(t, first, about(s.take(early, 0, 3)))
	second := s.deliver(organization, 2, true)
	x.Wake(organization)
	require.ElementsMatch(t, second, about(s.take(early, 3, 2)))

	late := s.subscribe(x, organization, nil)
	require.ElementsMatch(t, slices.Concat(first, second), about(s.take(late, 0, 5)))
	cursor := change.EncodeCursor(organization, 4)
	resumed := s.subscribe(x, organization, &cursor)
	s.take(resumed, 4, 1)
}

// TestSweeps: nobody is woken for what another program noted, or what a replica that
// was killed left.
func TestSweeps(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	one, two := s.prepare("one"), s.prepare("two")
	x := s.open(func(c *Config) { c.Sweep = 20 * time.Millisecond })
	s.run(x)
	for _, organization := range []id.ID{one, two} {
		subscription := s.subscribe(x, organization, nil)
		s.deliver(organization, 4, false)
		s.take(subscription, 0, 4)
	}
}

// What a person did is published before everything that waited longer.
func TestUrgentFirst(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	organization := s.prepare("acme")
	s.deliver(organization, 1500, false)
	urgent := s.deliver(organization, 2, true)
	x := s.open(nil)
	s.run(x)
	events := s.take(s.subscribe(x, organization, nil), 0, 1502)
	require.ElementsMatch(t, urgent, about(events[:2]))
}

// TestTwoReplicas: one numbers at a time, and both show the same.
func TestTwoReplicas(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	organizations := []id.ID{s.prepare("one"), s.prepare("two"), s.prepare("three")}
	replicas := []*Stream{s.open(nil), s.open(nil)}
	for _, x := range replicas {
		s.run(x)
	}
	const writers, each, size = 6, 20, 5
	var mu sync.Mutex
	written := map[id.ID][]id.ID{}
	var writing sync.WaitGroup
	for n := range writers {
		conn := s.Runtime(t)
		writing.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(n), 1))
			for range each {
				organization := organizations[dice.IntN(len(organizations))]
				kept := dice.IntN(5) > 0
				ids, err := feedtest.Deliveries{
					Organization: organization, Source: feedtest.Source(organization, "one"), Count: size, Urgent: dice.IntN(3) == 0,
					From: start, Span: 1000 * time.Hour,
					Before: func() error {
						time.Sleep(time.Duration(dice.IntN(4000)) * time.Microsecond)
						if !kept {
							return errors.New("rolled back")
						}
						return nil
					},
				}.Write(s.ctx, conn, dice)
				if kept != (err == nil) {
					t.Error(err)
				}
				if kept {
					mu.Lock()
					written[organization] = append(written[organization], ids...)
					mu.Unlock()
					replicas[dice.IntN(len(replicas))].Wake(organization)
				}
			}
		})
	}
	writing.Wait()
	total := 0
	for _, organization := range organizations {
		total += len(written[organization])
		shown := s.take(s.subscribe(replicas[0], organization, nil), 0, len(written[organization]))
		require.ElementsMatch(t, written[organization], about(shown))
		again := s.take(s.subscribe(replicas[1], organization, nil), 0, len(written[organization]))
		require.Equal(t, about(shown), about(again))
	}
	require.EqualValues(t, total, replicas[0].Stats().Published+replicas[1].Stats().Published, "nothing is numbered twice")
	require.Positive(t, replicas[0].Stats().Published)
	require.Positive(t, replicas[1].Stats().Published)
}

// TestWhoNeverReads: it holds nothing, others see everything, and when it reads at
// last it sees everything too.
func TestWhoNeverReads(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	organization := s.prepare("acme")
	x := s.open(func(c *Config) { c.Ring = 200 })
	s.run(x)
	stalled, reader := s.subscribe(x, organization, nil), s.subscribe(x, organization, nil)
	for n := range 12 {
		s.deliver(organization, 250, false)
		x.Wake(organization)
		s.take(reader, int64(250*n), 250)
		require.LessOrEqual(t, x.Stats().RingEvents, 250)
		require.LessOrEqual(t, x.Stats().RingBytes, int64(250*2000))
	}
	require.Zero(t, stalled.position)
	s.take(stalled, 0, 3000)
}

// TestHeartbeats: one when the head is reached, and one after each silence, whose
// cursor stands behind what was left out.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	organization := s.prepare("acme")
	s.deliver(organization, 3, false)
	x := s.open(func(c *Config) { c.Heartbeat = 30 * time.Millisecond })
	_, err := x.config.Sequencer.Drain(s.ctx, organization)
	require.NoError(t, err)
	nothing, err := x.Subscribe(s.ctx, organization, nil, change.Filter{Types: []change.Kind{change.PathRemoved}})
	require.NoError(t, err)
	defer nothing.Close()
	for range 3 {
		b, err := nothing.Next(s.ctx)
		require.NoError(t, err)
		require.Equal(t, Batch{Cursor: change.EncodeCursor(organization, 3), Heartbeat: true}, b)
	}
	everything := s.subscribe(x, organization, nil)
	b, err := everything.Next(s.ctx)
	require.NoError(t, err)
	require.Len(t, b.Events, 3)
	require.Equal(t, change.EncodeCursor(organization, 3), b.Cursor)
	b, err = everything.Next(s.ctx)
	require.NoError(t, err)
	require.True(t, b.Heartbeat)
}

func TestSubscribeRefuses(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	organization := s.prepare("acme")
	s.deliver(organization, 3, false)
	x := s.open(nil)
	_, err := x.config.Sequencer.Drain(s.ctx, organization)
	require.NoError(t, err)
	for code, cursor := range map[string]string{
		"CURSOR_INVALID": "what?", "CURSOR_OF_ANOTHER_FEED": change.EncodeCursor(id.Organization("rival"), 1), "CURSOR_BEYOND_HEAD": change.EncodeCursor(organization, 4),
	} {
		_, err := x.Subscribe(s.ctx, organization, &cursor, change.Filter{})
		requireCode(t, code, err)
	}
	_, err = x.Subscribe(s.ctx, organization, nil, change.Filter{Paths: make([]id.ID, 101)})
	requireCode(t, "FILTER_TOO_LARGE", err)
	_, err = x.Subscribe(context.Background(), organization, nil, change.Filter{})
	require.Equal(t, problem.Unauthentic, problem.KindOf(err))
	stranger := access.With(context.Background(), access.Actor{Subject: "eve", Role: access.Client, Organizations: []string{"rival"}, Scopes: access.Scopes})
	_, err = x.Subscribe(stranger, organization, nil, change.Filter{})
	require.Equal(t, problem.NotFound, problem.KindOf(err))
	require.Zero(t, x.Stats())
}

func requireCode(t testing.TB, code string, err error) {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	require.Equal(t, code, typed.Code)
}

// TestSetBack: a database that was restored gives its numbers a second time. Whoever
// follows is told, and does not see the others as if they were the next.
func TestSetBack(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	organization := s.prepare("acme")
	s.deliver(organization, 5, false)
	x := s.open(nil)
	stop := s.run(x)
	subscription := s.subscribe(x, organization, nil)
	s.take(subscription, 0, 5)
	stop()
	super := s.Super(t)
	for _, statement := range []string{`SET session_replication_role = replica`, `DELETE FROM exposure_changes WHERE seq > 3`, `UPDATE change_head SET seq = 3`} {
		_, err := super.Exec(s.ctx, statement)
		require.NoError(t, err)
	}
	ctx := access.With(s.ctx, access.Actor{Subject: subject, Scopes: []access.Scope{access.View}, AllOrganizations: true})
	require.NoError(t, x.catchUp(ctx, x.hub.known()))
	require.EqualValues(t, 3, x.hub.known()[organization])
	x.ended = make(chan struct{})
	_, err := subscription.Next(s.ctx)
	requireCode(t, "CURSOR_BEYOND_HEAD", err)
}
