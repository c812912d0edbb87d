package live

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Config is what streams stand on.
type Config struct {
	// Verify gives the actor of a token: of one that comes inside a WebSocket, and
	// of each token again while its stream lasts. Without it neither happens.
	Verify func(ctx context.Context, token string) (access.Actor, error)

	// Holds says whether the token of an actor was revoked, at next to no cost. Without
	// it that is found by Verify.
	Holds func(ctx context.Context, actor access.Actor) error

	// Check refuses a message of a WebSocket whose JSON is unfit, as the guard of
	// plain requests does; its error is for the caller. Without it there is none.
	Check func(message []byte) error

	Now    func() time.Time // without it nothing expires, and messages have no rate
	Log    *slog.Logger
	Limits Limits
}

// Limits bound what clients hold. A zero field takes its default.
type Limits struct {
	Connections int           // streams of the process; 5,000
	Subject     int           // streams of one subject, and WebSockets that have not said yet whose they are; 500
	Operations  int           // on one WebSocket at a time; 50
	Message     int64         // bytes of one message from a client; 64 KiB
	Rate        int           // messages from a client in a second, after the burst; 20
	Burst       int           // messages from a client at once; 100
	InitTime    time.Duration // for connection_init to come; 5 s
	PingTime    time.Duration // between pings, and for their answer; 12 s
	WriteTime   time.Duration // for the client to take a message; 15 s
	RevokeTime  time.Duration // between looks whether a token was revoked; 1.5 s
	VerifyTime  time.Duration // between verifications of a token; 1 min
}

func (l Limits) orDefault() Limits {
	fill(&l.Connections, 5_000)
	fill(&l.Subject, 500)
	fill(&l.Operations, 50)
	fill(&l.Message, 64<<10)
	fill(&l.Rate, 20)
	fill(&l.Burst, 100)
	fill(&l.InitTime, 5*time.Second)
	fill(&l.PingTime, 12*time.Second)
	fill(&l.WriteTime, 15*time.Second)
	fill(&l.RevokeTime, 1500*time.Millisecond)
	fill(&l.VerifyTime, time.Minute)
	return l
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Streams are the connections of a process that stay open.
type Streams struct {
	Config

	stopping chan struct{}
	stop     sync.Once
	cut      atomic.Int64

	mu        sync.Mutex
	total     int
	bySubject map[string]int
}

// New makes the transports of streams, with none open.
func New(config Config) *Streams {
	config.Limits = config.Limits.orDefault()
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Streams{Config: config, stopping: make(chan struct{}), bySubject: map[string]int{}}
}

// Transports are those of streams, and around the ones that answer once.
func (s *Streams) Transports() []graphql.Transport {
	return []graphql.Transport{socket{s}, events{s}, Whole{transport.GET{}}, Whole{transport.POST{}}}
}

// Stop ends all streams, and each that begins later.
func (s *Streams) Stop() { s.stop.Do(func() { close(s.stopping) }) }

// Stats is how many streams are open, and how many were cut because their clients
// did not read or answer.
type Stats struct {
	Open int
	Cut  int64
}

// Stats counts the streams of the process.
func (s *Streams) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Open: s.total, Cut: s.cut.Load()}
}

// seat is the place of one stream among those that may be open.
type seat struct {
	streams *Streams
	subject string
}

// enter takes a seat, if one is free.
func (s *Streams) enter(subject string) (*seat, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= s.Limits.Connections {
		return nil, problem.New(problem.Limit, "LIMIT_STREAMS", "the server has as many streams open as it may; try again later, or on another server")
	}
	if err := s.room(subject); err != nil {
		return nil, err
	}
	s.total++
	s.bySubject[subject]++
	return &seat{s, subject}, nil
}

func (s *Streams) room(subject string) error {
	if s.bySubject[subject] >= s.Limits.Subject {
		return problem.New(problem.Limit, "LIMIT_STREAMS_OF_SUBJECT", "a caller has at most %d streams open at a time; close some", s.Limits.Subject)
	}
	return nil
}

// give makes the seat another subject's, if it has room.
func (t *seat) give(subject string) error {
	t.streams.mu.Lock()
	defer t.streams.mu.Unlock()
	if subject == t.subject {
		return nil
	}
	if err := t.streams.room(subject); err != nil {
		return err
	}
	t.drop()
	t.subject = subject
	t.streams.bySubject[subject]++
	return nil
}

func (t *seat) leave() {
	t.streams.mu.Lock()
	defer t.streams.mu.Unlock()
	t.drop()
	t.streams.total--
}

func (t *seat) drop() {
	if t.streams.bySubject[t.subject]--; t.streams.bySubject[t.subject] == 0 {
		delete(t.streams.bySubject, t.subject)
	}
}

// refuse answers a request for a stream that does not begin.
func refuse(w http.ResponseWriter, status int, err error) {
	if w.Header().Get("Content-Type") == "" { // what the transport has found the client to read
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(errorBody(err)) // the client may be gone
}
