package progress

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Delivery is one that may be looked at while it is under way. What it is told costs
// next to nothing and never fails; it is written beside.
type Delivery struct {
	board        *Board
	organization id.ID
	id           id.ID
	actor        string
	startedAt    time.Time

	phase   atomic.Pointer[authority.Phase]
	records atomic.Int64
	once    sync.Once
	last    state         // with which it ended, once over is closed
	over    chan struct{} // nothing more is told
	written chan struct{} // and nothing more is written
}

// state is what is written of a delivery.
type state struct {
	phase   authority.Phase
	records int64
	syncID  id.ID
	code    string
}

var _ authority.Progress = (*Delivery)(nil)

// Begin shows a delivery under the id that its caller gave it. An id is refused that
// is taken; that a database does not answer refuses nothing. Whoever begins a delivery
// ends it.
func (b *Board) Begin(ctx context.Context, organization, delivery id.ID) (*Delivery, error) {
	if err := access.Require(ctx, organization, access.Operate); err != nil {
		return nil, err
	}
	actor, _ := access.From(ctx)
	d := &Delivery{
		board: b, organization: organization, id: delivery, actor: actor.Subject, startedAt: b.now(),
		over: make(chan struct{}), written: make(chan struct{}),
	}
	d.Phase(authority.PhaseWaiting)
	begun, err := d.begin(ctx)
	b.told(ctx, writing, err)
	if err == nil && !begun {
		return nil, problem.New(problem.Conflict, "PROGRESS_TAKEN",
			"a delivery of this id is under way, or was another caller's; give each delivery an id of its own, such as a random UUID").On("progress")
	}
	b.open.Add(1)
	go d.run(context.WithoutCancel(ctx), d.state())
	return d, nil
}

func (d *Delivery) begin(ctx context.Context) (begun bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err = d.board.config.DB.Tenant(ctx, d.organization, func(tx *db.Tx) error {
		p := tx.Pipeline()
		p.Exec(queries.Get("sweep"), pgx.StrictNamedArgs{"before": d.startedAt.Add(-kept)})
		rows := p.Exec(queries.Get("begin"), pgx.StrictNamedArgs{
			"id": d.id, "actor": d.actor, "phase": string(authority.PhaseWaiting), "started_at": d.startedAt, "lost": d.startedAt.Add(-lost)})
		err := p.Send(ctx)
		begun = *rows > 0
		return err
	})
	return begun, err
}

// Phase notes that one begins.
func (d *Delivery) Phase(phase authority.Phase) { d.phase.Store(&phase) }

// Records notes how many were read so far.
func (d *Delivery) Records(read int) { d.records.Store(int64(read)) }

// End notes how it ended, and waits a moment for that to be written. Only the first
// end counts.
func (d *Delivery) End(report *authority.SyncReport, err error) {
	d.once.Do(func() {
		d.last = state{phase: authority.PhaseFailed, records: d.records.Load(), code: codeOf(err)}
		if err == nil && report != nil {
			d.last = state{phase: authority.PhaseDone, records: int64(report.Records.Read), syncID: report.SyncID}
		}
		close(d.over)
		wait(d.written, within)
	})
}

// codeOf is what is shown of an error. The words of one may name what whoever looks
// is not told by the answer either.
func codeOf(err error) string {
	var typed *problem.Error
	switch {
	case errors.As(err, &typed) && typed.Kind != problem.Internal:
		return typed.Code
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "INTERRUPTED"
	}
	return "INTERNAL"
}

func (d *Delivery) state() state { return state{phase: *d.phase.Load(), records: d.records.Load()} }

// run writes what is new, at the ticks, and what became of the delivery at once.
func (d *Delivery) run(ctx context.Context, known state) {
	defer d.board.open.Add(-1)
	defer close(d.written)
	ticks, stop := d.board.config.Ticks()
	defer stop()
	at := d.startedAt
	for {
		select {
		case <-d.over:
			for range endings {
				if d.write(ctx, d.last, d.board.now()) {
					return
				}
				<-ticks
			}
			return
		case <-ticks:
		}
		now := d.board.now()
		if next := d.state(); (next != known || now.Sub(at) >= alive) && d.write(ctx, next, now) {
			known, at = next, now
		}
	}
}

// write says whether it did.
func (d *Delivery) write(ctx context.Context, s state, now time.Time) bool {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := d.board.config.DB.Tenant(bounded, d.organization, func(tx *db.Tx) error {
		_, err := db.Exec(bounded, tx, queries.Get("write"), pgx.StrictNamedArgs{
			"id": d.id, "actor": d.actor, "phase": string(s.phase), "records": s.records, "sync": optional(s.syncID), "code": optional(s.code),
			"started_at": d.startedAt, "updated_at": now})
		return err
	})
	d.board.told(ctx, writing, err)
	return err == nil
}

// optional is nil for nothing.
func optional[T comparable](value T) *T {
	var none T
	if value == none {
		return nil
	}
	return &value
}
