package authority

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
)

// stageBatch bounds the rows that are held in memory before a COPY.
const stageBatch = 8192

// Buffer holds the rows of a temporary table until they are many enough to copy.
type Buffer struct {
	Table   string
	Columns []string

	rows [][]any
}

// Add holds a row.
func (b *Buffer) Add(copies *Copier, row ...any) error {
	b.rows = append(b.rows, row)
	if len(b.rows) < stageBatch {
		return nil
	}
	return b.Flush(copies)
}

// Flush copies what is held.
func (b *Buffer) Flush(copies *Copier) error {
	if len(b.rows) == 0 {
		return nil
	}
	rows := b.rows
	b.rows = make([][]any, 0, len(rows))
	return copies.add(copyBatch{b.Table, b.Columns, rows})
}

// Copier copies batches of rows while the next ones are being parsed.
type Copier struct {
	batches chan copyBatch
	failed  chan struct{} // closed when a batch failed
	ended   chan error
}

type copyBatch struct {
	table   string
	columns []string
	rows    [][]any
}

func newCopier(ctx context.Context, tx *db.Tx) *Copier {
	c := &Copier{batches: make(chan copyBatch), failed: make(chan struct{}), ended: make(chan error, 1)}
	go func() {
		var err error
		for batch := range c.batches {
			if err != nil {
				continue
			}
			if _, err = tx.CopyFrom(ctx, batch.table, batch.columns, pgx.CopyFromRows(batch.rows)); err != nil {
				close(c.failed)
			}
		}
		c.ended <- err
	}()
	return c
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
