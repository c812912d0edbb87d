package outbox

import (
	"context"
	_ "embed"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed outbox.sql
var outboxSQL string

var queries = db.Parse("outbox", outboxSQL)

// Cause is what kind of transaction something happened in.
type Cause string

// The causes.
const (
	Sync       Cause = "sync"
	Evaluation Cause = "evaluation"
	Decision   Cause = "decision"
)

// Occurrence is a transaction in which something happened: with its cause, its
// instant on the organization's clock says which.
type Occurrence struct {
	At     time.Time
	Cause  Cause
	Urgent bool // a person did it: it is published before everything else
	Size   int  // how many events it gives at most
}

// Box takes notes.
type Box struct {
	now      func() time.Time
	log      *slog.Logger
	failures atomic.Int64
	listener atomic.Pointer[func(organization id.ID)]
}

// New makes a box. The clock is the caller's.
func New(now func() time.Time, log *slog.Logger) *Box { return &Box{now: now, log: log} }

// Note has the pipeline note what the transaction does. It never fails: what the
// outbox does not take becomes a gap, which is counted.
func (b *Box) Note(ctx context.Context, p *db.Pipeline, o Occurrence) {
	now := b.now().UTC().Truncate(time.Microsecond)
	p.Attempt(func(p *db.Pipeline) {
		p.Exec(queries.Get("note"), pgx.StrictNamedArgs{
			"at": o.At, "cause": string(o.Cause), "urgent": o.Urgent, "size": min(o.Size, math.MaxInt32), "recorded_at": now})
	}, func(err error) {
		if ctx.Err() != nil { // with the context, the transaction ends too
			return
		}
		b.failures.Add(1)
		b.log.ErrorContext(ctx, "outbox", "at", o.At, "cause", o.Cause, "error", err)
		p.Attempt(func(p *db.Pipeline) {
			p.Exec(queries.Get("note_gap"), pgx.StrictNamedArgs{"at": o.At, "cause": string(o.Cause), "reason": err.Error(), "recorded_at": now})
		}, func(err error) { // the audit finds it by its history
			b.log.ErrorContext(ctx, "outbox gap", "at", o.At, "cause", o.Cause, "error", err)
		})
	})
}

// Failures is how many notes the outbox did not take.
func (b *Box) Failures() int64 { return b.failures.Load() }

// OnCommit names who is told that something was noted and is committed. There is
// one listener; what nobody is told, the sweep finds.
func (b *Box) OnCommit(listener func(organization id.ID)) { b.listener.Store(&listener) }

// Committed tells the listener.
func (b *Box) Committed(organization id.ID) {
	if listener := b.listener.Load(); listener != nil {
		(*listener)(organization)
	}
}
