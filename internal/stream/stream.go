package stream

import (
	"context"
	_ "embed"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed queries.sql
var sql string

var queries = db.Parse("stream", sql)

// Connections is how many the pool of a Stream wants: one for each worker, and one
// for the sweep and the tailer together.
const Connections = workers + 1

const (
	workers = 2
	batch   = 500     // events at most, of one batch
	parcel  = 1 << 20 // bytes of events, after which a batch from the database is cut
)

// Config is what a stream stands on. What is left out has a default.
type Config struct {
	DB        *db.DB // of its own, with so many Connections: numbering waits for nobody's response
	Readers   *db.DB // what replays are read through
	Sequencer *change.Sequencer
	Log       *slog.Logger
	Now       func() time.Time

	Poll      time.Duration // between looks at what other replicas published; 25 ms
	Sweep     time.Duration // between looks for what nobody numbered; 1 s
	Heartbeat time.Duration // of silence, after which a subscriber is told where it stands; 10 s
	Ring      int           // events kept of an organization; 4,096
	RingBytes int64         // of all rings; 64 MB
	Replays   int           // read from the database at a time; 4
}

// Stream is the live side of the feeds.
type Stream struct {
	config   Config
	reader   change.Reader
	queue    *queue
	hub      *hub
	replays  chan struct{}
	ended    chan struct{} // closed when Run has ended
	nudge    chan struct{} // has the tailer look now
	replayed atomic.Int64
	numbered atomic.Int64
	pending  atomic.Int64
}

// New makes a stream. Nothing is live until Run is called.
func New(config Config) *Stream {
	defaultTo(&config.Poll, 25*time.Millisecond)
	defaultTo(&config.Sweep, time.Second)
	defaultTo(&config.Heartbeat, 10*time.Second)
	defaultTo(&config.Ring, 4096)
	defaultTo(&config.RingBytes, 64<<20)
	defaultTo(&config.Replays, 4)
	return &Stream{
		config: config, queue: newQueue(), hub: newHub(config.Ring, config.RingBytes),
		replays: make(chan struct{}, config.Replays), ended: make(chan struct{}), nudge: make(chan struct{}, 1),
	}
}

func defaultTo[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Run numbers what happens, and has subscribers see it, until the context ends,
// which is no error. It is called once.
func (s *Stream) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { s.work(ctx) })
	}
	running.Go(func() { s.sweep(ctx) })
	running.Go(func() { s.tail(ctx) })
	s.config.Log.InfoContext(ctx, "stream started")
	<-ctx.Done()
	s.queue.close()
	running.Wait()
	close(s.ended)
	s.config.Log.InfoContext(ctx, "stream stopped")
	return nil
}

// Wake has an organization's feed looked at now: something was committed there.
func (s *Stream) Wake(organization id.ID) { s.queue.wake(organization) }

// Stats are what a stream holds and did since it began.
type Stats struct {
	Subscribers int   // of this replica
	Feeds       int   // with subscribers
	RingEvents  int   // held for them
	RingBytes   int64 // about
	Published   int64 // events that this replica numbered
	Replayed    int64 // events that were read from the database for subscribers
	Queued      int   // organizations whose turn is to come
	Pending     int64 // organizations with something to number, at the last sweep
}

// Stats gives them.
func (s *Stream) Stats() Stats {
	stats := s.hub.stats()
	stats.Published, stats.Replayed, stats.Pending = s.numbered.Load(), s.replayed.Load(), s.pending.Load()
	stats.Queued = s.queue.length()
	return stats
}

// pause waits, and says whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
