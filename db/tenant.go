package db

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Tx is a read-write transaction of one organization. It begins with the first
// statement, where that is sent in a pipeline on the same way.
type Tx struct {
	conn         *pgx.Conn
	organization id.ID
	tx           pgx.Tx // null until it has begun
	ended        bool   // it is committed
	tracer       pgx.CopyFromTracer
}

const setOrganization = `SELECT set_config('app.organization', $1, true)`

// Tenant runs fn in a transaction of the organization: committed when fn
// returns nil, unless a pipeline did so, and rolled back otherwise.
func (d *DB) Tenant(ctx context.Context, organization id.ID, fn func(*Tx) error) error {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return mapError(err)
	}
	defer conn.Release()
	t := &Tx{conn: conn.Conn(), organization: organization, tracer: d.copyTracer}
	// A cancelled caller must not keep the transaction from being rolled back.
	defer func() { t.rollback(context.WithoutCancel(ctx)) }()

	if err := fn(t); err != nil {
		return err
	}
	if t.ended {
		return nil
	}
	tx, err := t.begun(ctx) // a caller whose time is over learns so, whatever it did
	if err != nil {
		return err
	}
	return mapError(because(ctx, tx.Commit(ctx)))
}

func (t *Tx) rollback(ctx context.Context) {
	if t.tx != nil && !t.ended {
		_ = t.tx.Rollback(ctx)
	}
}

// begun gives the transaction, which begins where it has not.
func (t *Tx) begun(ctx context.Context) (pgx.Tx, error) {
	if t.ended {
		return nil, pgx.ErrTxClosed
	}
	if t.tx != nil {
		return t.tx, nil
	}
	batch := &pgx.Batch{}
	t.queueOpening(batch)
	results := t.conn.SendBatch(ctx, batch)
	err := errors.Join(t.opened(results), results.Close())
	return t.tx, mapError(because(ctx, err))
}

// queueOpening has a batch start with what begins the transaction and sets the
// organization.
func (t *Tx) queueOpening(batch *pgx.Batch) {
	batch.BeginTx(pgx.TxOptions{})
	batch.Queue(setOrganization, t.organization.String())
}

// opened reads what came of the opening.
func (t *Tx) opened(results pgx.BatchResults) error {
	_, beginErr := results.Exec()
	_, settingErr := results.Exec()
	t.tx = results.Tx()
	return errors.Join(beginErr, settingErr)
}

func (t *Tx) query(ctx context.Context, query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) error {
	return t.Local().query(ctx, query, withOrganization(args, t.organization), read)
}

// Script runs statements that take no arguments, such as the creation of
// temporary tables.
func (t *Tx) Script(ctx context.Context, script Query) error {
	tx, err := t.begun(ctx)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, script.SQL)
	return mapQueryError(script, because(ctx, err))
}

// Local gives the transaction as a Querier for statements on its own temporary
// tables and settings, which know no organization.
func (t *Tx) Local() Querier { return local{t} }

type local struct{ t *Tx }

func (l local) query(ctx context.Context, query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) error {
	sql, bound, err := query.bind(args)
	if err != nil {
		return err
	}
	tx, err := l.t.begun(ctx)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, sql, bound...)
	if err != nil {
		return err
	}
	return read(rows)
}
