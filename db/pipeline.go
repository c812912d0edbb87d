package db

import (
	"context"

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
}

// The statements around an attempt.
var (
	savepoint = Query{Name: "db.savepoint", SQL: "SAVEPOINT attempt", numbered: number("SAVEPOINT attempt")}
	release   = Query{Name: "db.release", SQL: "RELEASE SAVEPOINT attempt", numbered: number("RELEASE SAVEPOINT attempt")}
)

// Attempt runs what collect adds to a pipeline, in one round trip. Where a statement
// fails, nothing of it has happened and the transaction goes on: it is for what is
// worth doing and not worth failing for. A connection that is lost, or a context
// that has ended, is an error of the next statement as ever.
func (t *Tx) Attempt(ctx context.Context, collect func(p *Pipeline)) error {
	p := t.Pipeline()
	p.Local().Exec(savepoint, nil)
	collect(p)
	p.Local().Exec(release, nil)
	err := p.Send(ctx)
	if err != nil {
		_, _ = t.tx.Exec(ctx, "ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")
	}
	return err
}

// Pipeline begins to collect.
func (t *Tx) Pipeline() *Pipeline { return &Pipeline{tx: t, steps: &[]step{}} }

// Local gives the pipeline for statements on the transaction's own temporary
// tables and settings, which know no organization.
func (p *Pipeline) Local() *Pipeline { return &Pipeline{tx: p.tx, steps: p.steps, local: true} }

// Exec adds a statement, and counts the rows it will have touched.
func (p *Pipeline) Exec(query Query, args pgx.StrictNamedArgs) (touched *int64) {
	touched = new(int64)
	p.add(query, args, func(rows pgx.Rows) error {
		rows.Close()
		*touched = rows.CommandTag().RowsAffected()
		return rows.Err()
	})
	return touched
}

// Queue adds a query, and gives the rows it will have found, read by column name.
func Queue[T any](p *Pipeline, query Query, args pgx.StrictNamedArgs) (found *[]*T) {
	found = new([]*T)
	p.add(query, args, func(rows pgx.Rows) (err error) {
		*found, err = pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[T])
		return err
	})
	return found
}

func (p *Pipeline) add(query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) {
	if !p.local {
		args = withOrganization(args, p.tx.organization)
	}
	*p.steps = append(*p.steps, step{query, args, read})
}

// Send runs what was collected. The error is that of the first statement that
// failed; none behind it has run.
func (p *Pipeline) Send(ctx context.Context) error {
	steps := *p.steps
	*p.steps = nil
	if len(steps) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, s := range steps {
		sql, bound, err := s.query.bind(s.args)
		if err != nil {
			return mapQueryError(s.query, err)
		}
		batch.Queue(sql, bound...)
	}
	results := p.tx.tx.SendBatch(ctx, batch)
	for _, s := range steps {
		rows, err := results.Query()
		if err == nil {
			err = s.read(rows)
		}
		if err != nil {
			_ = results.Close() // says the same
			return mapQueryError(s.query, err)
		}
	}
	return mapError(results.Close())
}
