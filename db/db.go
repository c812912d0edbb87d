package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// DB is the pool of connections of the runtime role.
type DB struct {
	pool       *pgxpool.Pool
	copyTracer pgx.CopyFromTracer // null where nobody traces copies
}

// cancelTime is how long a statement may take to end that was cancelled.
const cancelTime = 5 * time.Second

// Options of a pool.
type Options struct {
	MaxConns int32           // 0: the driver's choice
	Tracer   pgx.QueryTracer // sees every statement; nil for none
}

// Open connects as the role that the URL names.
func Open(ctx context.Context, url string, options Options) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, problem.New(problem.Invalid, "DATABASE_URL_INVALID", "the database URL cannot be read; expected postgres://user@host/database").Because(err)
	}
	if options.MaxConns > 0 {
		config.MaxConns = options.MaxConns
	}
	config.ConnConfig.Tracer = options.Tracer
	config.ConnConfig.RuntimeParams["application_name"] = "exposuregraph"
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	config.ConnConfig.RuntimeParams["jit"] = "off"                     // compiling costs more than any query of ours saves
	config.ConnConfig.RuntimeParams["client_min_messages"] = "warning" // that a work table is there already is no news
	config.AfterConnect = plainUUIDs
	// Whoever goes away has the statement cancelled, and the connection stays. The driver
	// would else close it, and a server in the middle of a batch does not listen to that:
	// the place in the pool would be taken for as long as the driver waits.
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelTime}
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, problem.New(problem.Unavailable, "DATABASE_UNREACHABLE", "the database does not answer").Because(err)
	}
	copyTracer, _ := options.Tracer.(pgx.CopyFromTracer)
	return &DB{pool: pool, copyTracer: copyTracer}, nil
}

// Close closes every connection.
func (d *DB) Close() { d.pool.Close() }

// Ping answers whether the database does.
func (d *DB) Ping(ctx context.Context) error { return mapError(d.pool.Ping(ctx)) }

// Querier runs named queries on behalf of one organization, or of none for the
// few tables that stand outside.
type Querier interface {
	query(ctx context.Context, query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) error
}

// Select runs a query and reads its rows by column name.
func Select[T any](ctx context.Context, q Querier, query Query, args pgx.StrictNamedArgs) ([]*T, error) {
	var list []*T
	err := q.query(ctx, query, args, func(rows pgx.Rows) (err error) {
		list, err = pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[T])
		return err
	})
	return list, mapQueryError(query, because(ctx, err))
}

// Column runs a query of one column.
func Column[T any](ctx context.Context, q Querier, query Query, args pgx.StrictNamedArgs) ([]T, error) {
	var list []T
	err := q.query(ctx, query, args, func(rows pgx.Rows) (err error) {
		list, err = pgx.CollectRows(rows, pgx.RowTo[T])
		return err
	})
	return list, mapQueryError(query, because(ctx, err))
}

// First runs a query and gives its first row, or nil.
func First[T any](ctx context.Context, q Querier, query Query, args pgx.StrictNamedArgs) (*T, error) {
	list, err := Select[T](ctx, q, query, args)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

// Exec runs a statement and counts the rows it touched.
func Exec(ctx context.Context, q Querier, query Query, args pgx.StrictNamedArgs) (int64, error) {
	var count int64
	err := q.query(ctx, query, args, func(rows pgx.Rows) error {
		rows.Close()
		count = rows.CommandTag().RowsAffected()
		return rows.Err()
	})
	return count, mapQueryError(query, because(ctx, err))
}

// organizationArg is the argument that a tenant's Querier adds.
const organizationArg = "organization"

func withOrganization(args pgx.StrictNamedArgs, organization id.ID) pgx.StrictNamedArgs {
	all := make(pgx.StrictNamedArgs, len(args)+1)
	for name, value := range args {
		all[name] = value
	}
	all[organizationArg] = organization
	return all
}

func mapQueryError(query Query, err error) error {
	if err == nil {
		return nil
	}
	var typed *problem.Error
	if mapped := mapError(err); errors.As(mapped, &typed) {
		return mapped
	}
	return fmt.Errorf("query %s: %w", query.Name, err)
}

// because says of an error whose context is over that this is why: the server says that
// somebody cancelled the statement, and not who.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// mapError gives the errors that a caller can act on their type. Anything else
// stays what it is and becomes an internal error at the edge.
func mapError(err error) error {
	var pgErr *pgconn.PgError
	var connectErr *pgconn.ConnectError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded): // which ends connections, too
		return err
	case errors.As(err, &pgErr) && len(pgErr.Code) == 5 && (pgErr.Code[:2] == "08" || pgErr.Code[:2] == "57" || pgErr.Code == "53300"), lost(err):
		return problem.New(problem.Unavailable, "DATABASE_UNAVAILABLE", "the database is not available; try again").Because(err)
	case errors.As(err, &connectErr):
		return problem.New(problem.Unavailable, "DATABASE_UNREACHABLE", "the database does not answer; try again").Because(err)
	}
	return err
}

// lost says whether the connection has gone: what a server that is killed cannot say.
func lost(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}
