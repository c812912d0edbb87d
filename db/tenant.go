package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Tx is a read-write transaction of one organization.
type Tx struct {
	tx           pgx.Tx
	organization id.ID
}

const setOrganization = `SELECT set_config('app.organization', $1, true)`

// Tenant runs fn in a transaction of the organization: committed when fn
// returns nil, rolled back otherwise.
func (d *DB) Tenant(ctx context.Context, organization id.ID, fn func(*Tx) error) error {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return mapError(err)
	}
	defer conn.Release()

	batch := &pgx.Batch{}
	batch.BeginTx(pgx.TxOptions{})
	batch.Queue(setOrganization, organization.String())
	tx, err := begin(ctx, conn.Conn(), batch)
	if err != nil {
		return mapError(err)
	}
	// A cancelled caller must not keep the transaction from being rolled back.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()

	if err := fn(&Tx{tx: tx, organization: organization}); err != nil {
		return err
	}
	return mapError(tx.Commit(ctx))
}

// begin sends a batch that starts a transaction and then sets the organization.
func begin(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) (pgx.Tx, error) {
	results := conn.SendBatch(ctx, batch)
	_, beginErr := results.Exec()
	_, settingErr := results.Exec()
	tx := results.Tx()
	err := errors.Join(beginErr, settingErr, results.Close())
	if err != nil && tx != nil {
		_ = tx.Rollback(context.WithoutCancel(ctx))
	}
	return tx, err
}

func (t *Tx) query(ctx context.Context, query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) error {
	return t.Local().query(ctx, query, withOrganization(args, t.organization), read)
}

// Script runs statements that take no arguments, such as the creation of
// temporary tables.
func (t *Tx) Script(ctx context.Context, script Query) error {
	_, err := t.tx.Exec(ctx, script.SQL)
	return mapQueryError(script, err)
}

// Local gives the transaction as a Querier for statements on its own temporary
// tables and settings, which know no organization.
func (t *Tx) Local() Querier { return local{t.tx} }

// CopyFrom loads rows into one of the transaction's temporary tables.
func (t *Tx) CopyFrom(ctx context.Context, table string, columns []string, rows pgx.CopyFromSource) (int64, error) {
	count, err := t.tx.CopyFrom(ctx, pgx.Identifier{table}, columns, rows)
	if err != nil {
		return count, fmt.Errorf("copy into %s: %w", table, mapError(err))
	}
	return count, nil
}

type local struct{ tx pgx.Tx }

func (l local) query(ctx context.Context, query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) error {
	sql, bound, err := query.bind(args)
	if err != nil {
		return err
	}
	rows, err := l.tx.Query(ctx, sql, bound...)
	if err != nil {
		return err
	}
	return read(rows)
}
