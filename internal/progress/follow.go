package progress

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Subject is what somebody looks at: a delivery by the id that its caller gave it, or
// the sync that one has become.
type Subject struct {
	Delivery id.ID
	Sync     id.ID // if not nil
}

// watch is a row that somebody looks at.
type watch struct {
	followers int
	row       *Row          // as it was found last; nil if it was not
	looked    time.Time     // when it was looked for last
	changed   chan struct{} // closed when it is looked for again
}

// Following is somebody's look at a delivery. It has no goroutine.
type Following struct {
	board *Board
	key   key
	watch *watch // nil: there is no more to come than told
	since time.Time
	told  *Row // last
	next  *Row // of what ended long ago
}

// Follow looks at a delivery of an organization. Whoever follows closes the following.
// The delivery may begin a little later, and the organization with it.
func (b *Board) Follow(ctx context.Context, organization id.ID, subject Subject) (*Following, error) {
	if err := access.Require(ctx, organization, access.View); err != nil {
		return nil, err
	}
	if subject.Sync != id.Nil {
		row, err := b.ofSync(ctx, organization, subject.Sync)
		if err == nil && row == nil {
			err = notFound()
		}
		return &Following{next: row}, err
	}
	f := &Following{board: b, key: key{organization, subject.Delivery}, since: b.now()}
	f.watch = b.join(f.key)
	rows, err := b.read(ctx, organization, []id.ID{subject.Delivery})
	if err != nil {
		f.Close()
		return nil, err
	}
	b.found([]key{f.key}, map[key]*Row{f.key: only(rows)}, b.now())
	return f, nil
}

func only(rows []*Row) *Row {
	if len(rows) == 0 {
		return nil
	}
	return rows[0]
}

// Next waits for the row to be another than before. After the end of the delivery
// there is none. One caller at a time.
func (f *Following) Next(ctx context.Context) (*Row, error) {
	if f.watch == nil || f.told != nil && f.told.Ended() {
		row := f.next
		f.next = nil
		return row, nil
	}
	for {
		row, looked, changed := f.board.view(f.watch)
		switch {
		case row != nil && (f.told == nil || row.differs(f.told)):
			f.told = row
			return row, nil
		case row == nil && looked.Sub(f.since) >= patience:
			return nil, notFound()
		case row != nil && looked.Sub(row.UpdatedAt) > lost:
			return nil, problem.New(problem.Unavailable, "DELIVERY_LOST",
				"nothing was heard of this delivery since %s: its server has ended, or lost its database; send it again, which writes nothing twice",
				row.UpdatedAt.UTC().Format(time.RFC3339)).On("id")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.board.ended:
			return nil, problem.New(problem.Unavailable, "STREAM_ENDED", "the server stops; subscribe again")
		}
	}
}

func notFound() error {
	return problem.New(problem.NotFound, "DELIVERY_NOT_FOUND",
		"no delivery of this id is under way or ended within a day; give an import the parameter progress with a UUID, and subscribe with the same").On("id")
}

// Close ends the look.
func (f *Following) Close() {
	if f.watch == nil {
		return
	}
	b := f.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.watch.followers--; f.watch.followers == 0 {
		delete(b.watched, f.key)
	}
	f.watch = nil
}

func (b *Board) join(k key) *watch {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.watched[k]
	if w == nil {
		w = &watch{changed: make(chan struct{})}
		b.watched[k] = w
	}
	w.followers++
	select {
	case b.arrived <- struct{}{}:
	default:
	}
	return w
}

func (b *Board) view(w *watch) (row *Row, looked time.Time, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return w.row, w.looked, w.changed
}

func (b *Board) keys() []key {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]key, 0, len(b.watched))
	for k := range b.watched {
		list = append(list, k)
	}
	return list
}

// look finds the rows that somebody looks at, with one statement for each
// organization.
func (b *Board) look(ctx context.Context, watched []key) error {
	by := map[id.ID][]id.ID{}
	for _, k := range watched {
		by[k.organization] = append(by[k.organization], k.delivery)
	}
	found := map[key]*Row{}
	for organization, deliveries := range by {
		rows, err := b.read(ctx, organization, deliveries)
		if err != nil {
			return err
		}
		for _, row := range rows {
			found[key{organization, row.ID}] = row
		}
	}
	b.found(watched, found, b.now())
	return nil
}

func (b *Board) read(ctx context.Context, organization id.ID, deliveries []id.ID) ([]*Row, error) {
	snapshot := b.config.Readers.Snapshot()
	defer snapshot.Close(ctx)
	return db.Select[Row](ctx, snapshot.Of(organization), queries.Get("rows"), pgx.StrictNamedArgs{"ids": deliveries})
}

func (b *Board) ofSync(ctx context.Context, organization, sync id.ID) (*Row, error) {
	snapshot := b.config.Readers.Snapshot()
	defer snapshot.Close(ctx)
	return db.First[Row](ctx, snapshot.Of(organization), queries.Get("of_sync"), pgx.StrictNamedArgs{"sync": sync})
}

// found has those who look see it. Two looks may overlap: what is older than what is
// known is not taken.
func (b *Board) found(looked []key, rows map[key]*Row, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range looked {
		w := b.watched[k]
		if w == nil {
			continue
		}
		if row := rows[k]; row != nil && (w.row == nil || row.after(w.row)) {
			w.row = row
		}
		w.looked = at
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

func (r *Row) after(known *Row) bool {
	return r.StartedAt.After(known.StartedAt) || r.StartedAt.Equal(known.StartedAt) && !r.UpdatedAt.Before(known.UpdatedAt)
}

func (r *Row) differs(known *Row) bool {
	return r.Phase != known.Phase || r.Records != known.Records || !r.UpdatedAt.Equal(known.UpdatedAt) || !r.StartedAt.Equal(known.StartedAt)
}
