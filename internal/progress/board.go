package progress

import (
	"context"
	_ "embed"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed queries.sql
var sql string

var queries = db.Parse("progress", sql)

// Connections is how many the pool of a Board wants.
const Connections = 1

const (
	every    = 500 * time.Millisecond // at most one statement of a delivery in so long
	alive    = 5 * time.Second        // without news, after which a delivery still says that it is there
	lost     = time.Minute            // without a word, after which it is not
	patience = 10 * time.Second       // for a delivery to begin that somebody looks for
	kept     = 24 * time.Hour         // how long what ended is shown
	within   = 2 * time.Second        // for a statement of a delivery, and for what a delivery waits for at its end
	soon     = 10 * time.Millisecond
	endings  = 10 // how often the end of a delivery is tried to be written
)

// Config is what a board stands on. What is left out has a default.
type Config struct {
	DB      *db.DB // of its own, with so many Connections: what is written waits for nobody's response
	Readers *db.DB // what is read, it is read through
	Now     func() time.Time
	Log     *slog.Logger

	Poll  time.Duration                                // between looks, while anybody looks; 250 ms
	Ticks func() (ticks <-chan time.Time, stop func()) // at which a delivery may write; one each 500 ms
}

// Board shows how far deliveries have come.
type Board struct {
	config  Config
	failing [2]atomic.Bool // to write, and to read: it is told once
	open    atomic.Int64   // deliveries that have something to write
	ended   chan struct{}  // closed when Run has ended
	arrived chan struct{}  // has room for one: somebody looks

	mu      sync.Mutex
	watched map[key]*watch
}

// key is whose row it is.
type key struct{ organization, delivery id.ID }

// Row is how far a delivery has come.
type Row struct {
	ID        id.ID
	Phase     authority.Phase
	Records   int64  // read so far
	SyncID    *id.ID // that it became, once it has
	Code      *string
	StartedAt time.Time
	UpdatedAt time.Time
}

// Ended says whether nothing more comes.
func (r *Row) Ended() bool {
	return r.Phase == authority.PhaseDone || r.Phase == authority.PhaseFailed
}

// Parse reads the id that a caller gave a delivery: a UUID that is not nil, in its one
// usual form.
func Parse(text string) (id.ID, error) {
	delivery, err := id.Parse(text)
	if err != nil || len(text) != len(id.Nil.String()) || delivery == id.Nil {
		return id.Nil, problem.New(problem.Invalid, "DELIVERY_ID_INVALID",
			"this is neither the id that an import was given as its progress, which is a UUID, nor that of a sync").On("id")
	}
	return delivery, nil
}

// New makes a board. Nobody is shown anything new until Run is called.
func New(config Config) *Board {
	if config.Poll == 0 {
		config.Poll = 250 * time.Millisecond
	}
	if config.Ticks == nil {
		config.Ticks = func() (<-chan time.Time, func()) {
			ticker := time.NewTicker(every)
			return ticker.C, ticker.Stop
		}
	}
	return &Board{config: config, ended: make(chan struct{}), arrived: make(chan struct{}, 1), watched: map[key]*watch{}}
}

// Run looks for those who look, until the context ends, which is no error. Then it
// waits for what deliveries of this process have to say at their end. It is called
// once.
func (b *Board) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		watched := b.keys()
		if len(watched) == 0 {
			select {
			case <-b.arrived:
			case <-ctx.Done():
			}
			continue
		}
		b.told(ctx, reading, b.look(ctx, watched))
		pause(ctx, b.config.Poll)
	}
	close(b.ended)
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	for b.open.Load() > 0 && bound.Err() == nil {
		pause(bound, soon)
	}
	return nil
}

const (
	writing = iota
	reading
)

// told logs that the database does not do what is asked of it, when that begins.
func (b *Board) told(ctx context.Context, what int, err error) {
	switch {
	case err == nil:
		b.failing[what].Store(false)
	case ctx.Err() == nil && !b.failing[what].Swap(true):
		b.config.Log.WarnContext(ctx, "the progress of deliveries is not shown; it is tried again", "error", err)
	}
}

func (b *Board) now() time.Time { return b.config.Now().UTC().Truncate(time.Microsecond) }

// pause waits unless the context ends.
func pause(ctx context.Context, d time.Duration) { wait(ctx.Done(), d) }

// wait waits for something, but no longer than so.
func wait(done <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	}
}
