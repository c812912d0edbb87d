package db

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Pipeline collects statements of a transaction that are sent together. They run
// in their order, each seeing what those before it did; what any of them finds is
// known when all have run. Where a statement takes no longer than the way to the
// server and back, fifty of them so take as long as five.
type Pipeline struct {
	tx    *Tx
	steps *[]step
	local bool
}

type step struct {
	query Query
	args  pgx.StrictNamedArgs
	read  func(pgx.Rows) error
	finds bool     // rows, which are read here
	part  *attempt // of which it is one; null for most
}

// attempt is a part of a pipeline that may fail.
type attempt struct{ failed func(err error) }

// The statements around an attempt, and the one that ends the transaction.
var (
	savepoint = framing("savepoint", "SAVEPOINT attempt")
	release   = framing("release", "RELEASE SAVEPOINT attempt")
	commit    = framing("commit", "commit")
)

func framing(name, sql string) Query {
	return Query{Name: "db." + name, SQL: sql, numbered: number(sql)}
}

// Attempt runs what collect adds to a pipeline, in one round trip. Where a statement
// fails, nothing of it has happened and the transaction goes on: it is for what is
// worth doing and not worth failing for. A connection that is lost, or a context
// that has ended, is an error of the next statement as ever.
func (t *Tx) Attempt(ctx context.Context, collect func(p *Pipeline)) error {
	var failure error
	p := t.Pipeline()
	p.Attempt(collect, func(err error) { failure = err })
	if err := p.Send(ctx); err != nil {
		return err
	}
	return failure
}

// Attempt is Tx.Attempt on the way with the rest of the pipeline. Failed is called
// where a statement of it fails, in a transaction that stands as before the attempt,
// and may add to the pipeline what is to be done in its place. That, and what the
// pipeline holds behind the attempt, takes a trip of its own then.
func (p *Pipeline) Attempt(collect func(p *Pipeline), failed func(err error)) {
	part, before := &attempt{failed}, len(*p.steps)
	p.Local().Exec(savepoint, nil)
	collect(p)
	p.Local().Exec(release, nil)
	for i := range (*p.steps)[before:] {
		(*p.steps)[before+i].part = part
	}
}

// Pipeline begins to collect.
func (t *Tx) Pipeline() *Pipeline { return &Pipeline{tx: t, steps: &[]step{}} }

// Local gives the pipeline for statements on the transaction's own temporary
// tables and settings, which know no organization.
func (p *Pipeline) Local() *Pipeline { return &Pipeline{tx: p.tx, steps: p.steps, local: true} }

// Exec adds a statement, and counts the rows it will have touched.
func (p *Pipeline) Exec(query Query, args pgx.StrictNamedArgs) (touched *int64) {
	touched = new(int64)
	p.add(step{query: query, args: args, read: func(rows pgx.Rows) error {
		rows.Close()
		*touched = rows.CommandTag().RowsAffected()
		return rows.Err()
	}})
	return touched
}

// Queue adds a query, and gives the rows it will have found, read by column name.
func Queue[T any](p *Pipeline, query Query, args pgx.StrictNamedArgs) (found *[]*T) {
	found = new([]*T)
	p.add(step{query: query, args: args, finds: true, read: func(rows pgx.Rows) (err error) {
		*found, err = pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[T])
		return err
	}})
	return found
}

func (p *Pipeline) add(s step) {
	if !p.local {
		s.args = withOrganization(s.args, p.tx.organization)
	}
	*p.steps = append(*p.steps, s)
}

// Send runs what was collected. The error is that of the first statement that
// failed; none behind it has run. What fails in an attempt is none.
func (p *Pipeline) Send(ctx context.Context) error {
	left := *p.steps
	*p.steps = nil
	for len(left) > 0 {
		ran, err := p.tx.send(ctx, left)
		if err == nil {
			return nil
		}
		if ran == len(left) || left[ran].part == nil {
			return err
		}
		part := left[ran].part
		_, _ = p.tx.tx.Exec(ctx, "ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")
		for left = left[ran:]; len(left) > 0 && left[0].part == part; {
			left = left[1:]
		}
		part.failed(err)
		left = append(*p.steps, left...)
		*p.steps = nil
	}
	return nil
}

// Commit is Send, and ends the transaction on the same way: nothing can be done in
// it afterwards. Like a transaction that failed, one of which the commit fails has
// done nothing.
//
// The server knows of no row that cannot be read here. What finds rows is therefore
// sent before, and what touches them alone goes with the commit.
func (p *Pipeline) Commit(ctx context.Context) error {
	if slices.ContainsFunc(*p.steps, func(s step) bool { return s.finds }) {
		if err := p.Send(ctx); err != nil {
			return err
		}
	}
	p.Local().add(step{query: commit, read: func(rows pgx.Rows) error {
		rows.Close()
		if rows.Err() == nil && rows.CommandTag().String() != "COMMIT" { // one that is broken is rolled back instead
			return pgx.ErrTxCommitRollback
		}
		return rows.Err()
	}})
	err := p.Send(ctx)
	p.tx.ended = p.tx.ended || err == nil
	return err
}

// send runs the steps, and says how many have run before one failed.
func (t *Tx) send(ctx context.Context, steps []step) (ran int, err error) {
	if t.ended {
		return len(steps), pgx.ErrTxClosed
	}
	batch := &pgx.Batch{}
	opening := t.tx == nil
	if opening {
		t.queueOpening(batch)
	}
	for _, s := range steps {
		sql, bound, err := s.query.bind(s.args)
		if err != nil {
			return len(steps), mapQueryError(s.query, because(ctx, err))
		}
		batch.Queue(sql, bound...)
	}
	results := t.conn.SendBatch(ctx, batch)
	if opening {
		if err := t.opened(results); err != nil {
			return len(steps), mapError(because(ctx, errors.Join(err, results.Close())))
		}
	}
	for ran, s := range steps {
		rows, err := results.Query()
		if err == nil {
			err = s.read(rows)
		}
		if err != nil {
			_ = results.Close() // says the same
			return ran, mapQueryError(s.query, because(ctx, err))
		}
	}
	return len(steps), mapError(because(ctx, results.Close()))
}
