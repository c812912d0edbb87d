package stream

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/change/feedtest"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// studio is a database with what happens in it, and the streams on it.
type studio struct {
	*dbtest.Database
	t    testing.TB
	ctx  context.Context
	conn *pgx.Conn
	dice *rand.Rand
	day  time.Time // at which things happen, one after the other
}

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func newStudio(t testing.TB) *studio {
	t.Helper()
	s := &studio{Database: dbtest.New(t), t: t, dice: rand.New(rand.NewPCG(6, 2026)), day: start}
	s.conn = s.Runtime(t)
	s.ctx = access.With(context.Background(), access.Actor{Subject: "ann", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	return s
}

// open makes a stream with connections of its own.
func (s *studio) open(change func(*Config)) *Stream {
	s.t.Helper()
	pool, err := db.Open(context.Background(), s.RuntimeURL, db.Options{MaxConns: Connections})
	require.NoError(s.t, err)
	s.t.Cleanup(pool.Close)
	config := Config{DB: pool, Readers: s.DB, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	config.Sequencer = newSequencer(pool)
	if change != nil {
		change(&config)
	}
	return New(config)
}

func newSequencer(pool *db.DB) *change.Sequencer {
	return change.NewSequencer(pool, time.Now, slog.New(slog.DiscardHandler))
}

// run runs a stream, and gives what ends it.
func (s *studio) run(x *Stream) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			require.NoError(s.t, <-ended)
		}
	}
	s.t.Cleanup(stop)
	return stop
}

func (s *studio) prepare(slug string) id.ID {
	s.t.Helper()
	organization, err := feedtest.Prepare(s.ctx, s.conn, slug, "one")
	require.NoError(s.t, err)
	return organization
}

// deliver has so much happen.
func (s *studio) deliver(organization id.ID, count int, urgent bool) []id.ID {
	s.t.Helper()
	s.day = s.day.Add(24 * time.Hour)
	ids, err := feedtest.Deliveries{
		Organization: organization, Source: feedtest.Source(organization, "one"), Count: count, Urgent: urgent, From: s.day, Span: 24 * time.Hour,
	}.Write(s.ctx, s.conn, s.dice)
	require.NoError(s.t, err)
	return ids
}

func (s *studio) subscribe(x *Stream, organization id.ID, after *string) *Subscription {
	s.t.Helper()
	subscription, err := x.Subscribe(s.ctx, organization, after, change.Filter{})
	require.NoError(s.t, err)
	s.t.Cleanup(subscription.Close)
	return subscription
}

// patience is how long a test waits for what does come.
const patience = time.Minute

// take reads so many events, which must be the next.
func (s *studio) take(x *Subscription, after int64, count int) []*change.Event {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	var list []*change.Event
	for len(list) < count {
		b, err := x.Next(ctx)
		require.NoError(s.t, err)
		require.Equal(s.t, b.Heartbeat, len(b.Events) == 0)
		for _, e := range b.Events {
			require.Equal(s.t, after+int64(len(list))+1, e.Seq)
			list = append(list, e)
		}
	}
	require.Len(s.t, list, count)
	return list
}

// about are what events are about.
func about(events []*change.Event) []id.ID {
	ids := make([]id.ID, len(events))
	for i, e := range events {
		ids[i] = e.EntityID
	}
	return ids
}
