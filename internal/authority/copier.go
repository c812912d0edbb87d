package authority

import (
	"context"
	"errors"

	"github.com/exposuregraph/exposuregraph/db"
)

// stageBatch bounds the bytes of rows that a table holds in memory before a COPY, by
// as much as one row.
const stageBatch = 1 << 20

// Buffer holds the rows of a temporary table until they are many enough to copy.
type Buffer struct {
	Table   string
	Columns []string

	rows *db.Rows
}

// Add holds a row.
func (b *Buffer) Add(copies *Copier, values ...any) error {
	b.begin(copies).Put(values...)
	return b.end(copies)
}

// begin begins a row, whose values are put before it ends.
func (b *Buffer) begin(copies *Copier) *db.Rows {
	if b.rows == nil {
		b.rows = copies.empty()
	}
	b.rows.Begin(len(b.Columns))
	return b.rows
}

func (b *Buffer) end(copies *Copier) error {
	if b.rows.Size() < stageBatch {
		return nil
	}
	return b.Flush(copies)
}

// Flush copies what is held.
func (b *Buffer) Flush(copies *Copier) error {
	if b.rows == nil {
		return nil
	}
	rows := b.rows
	b.rows = nil
	return copies.add(copyBatch{b.Table, b.Columns, rows})
}

// Copier copies batches of rows while the next ones are being parsed.
type Copier struct {
	batches chan copyBatch
	copied  chan *db.Rows // empty again, for the next batches
	failed  chan struct{} // closed when a batch failed
	ended   chan error
}

type copyBatch struct {
	table   string
	columns []string
	rows    *db.Rows
}

func newCopier(ctx context.Context, tx *db.Tx) *Copier {
	c := &Copier{batches: make(chan copyBatch), copied: make(chan *db.Rows, 1), failed: make(chan struct{}), ended: make(chan error, 1)}
	go func() {
		var err error
		for batch := range c.batches {
			if err != nil {
				continue
			}
			if _, err = tx.CopyRows(ctx, batch.table, batch.columns, batch.rows); err != nil {
				close(c.failed)
				continue
			}
			select {
			case c.copied <- batch.rows:
			default:
			}
		}
		c.ended <- err
	}()
	return c
}

// empty gives the room of rows that were copied, or new room.
func (c *Copier) empty() *db.Rows {
	select {
	case rows := <-c.copied:
		return rows
	default:
		return &db.Rows{}
	}
}

// errCopyFailed ends the parser; close says why.
var errCopyFailed = errors.New("a batch of the delivery could not be staged")

// add copies rows, sooner or later.
func (c *Copier) add(batch copyBatch) error {
	select {
	case c.batches <- batch:
		return nil
	case <-c.failed:
		return errCopyFailed
	}
}

// close waits for the batches on their way and says what failed.
func (c *Copier) close() error {
	close(c.batches)
	return <-c.ended
}
