package db

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Snapshot is what one response reads from: one connection in one repeatable
// read transaction, so that its counts and its lists agree. It opens with the
// first query, in the same round trip, and queries queue behind each other. It
// shows what is, or, with an instant, what was then.
type Snapshot struct {
	*session
	instant *time.Time
}

type session struct {
	db *DB

	mu           sync.Mutex
	conn         *pgxpool.Conn
	tx           pgx.Tx
	organization id.ID
	closed       bool

	sightMu sync.Mutex
	sight   map[string][]int // classes, by organization and attributes
}

// Snapshot makes a snapshot. Whoever makes it closes it.
func (d *DB) Snapshot() *Snapshot { return &Snapshot{session: &session{db: d}} }

// At is the same snapshot as of an instant. It is closed with the other.
func (s *Snapshot) At(instant time.Time) *Snapshot {
	instant = instant.UTC().Truncate(time.Microsecond)
	return &Snapshot{session: s.session, instant: &instant}
}

// Present is the same snapshot of what is. It is closed with the other.
func (s *Snapshot) Present() *Snapshot { return &Snapshot{session: s.session} }

// Instant is what the snapshot is as of; none if it shows what is.
func (s *Snapshot) Instant() *time.Time { return s.instant }

// Of is the snapshot seen by one organization.
func (s *Snapshot) Of(organization id.ID) Querier { return tenantView{s, organization} }

// Shared is the snapshot of the tables that belong to no organization.
func (s *Snapshot) Shared() Querier { return sharedView{s} }

// Close ends the transaction and gives the connection back.
func (s *session) Close(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.tx != nil {
		_ = s.tx.Rollback(context.WithoutCancel(ctx)) // nothing was written
		s.tx = nil
	}
	if s.conn != nil {
		s.conn.Release()
		s.conn = nil
	}
}

type tenantView struct {
	snapshot     *Snapshot
	organization id.ID
}

func (v tenantView) query(ctx context.Context, query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) error {
	return v.snapshot.read(ctx, v.organization, query, withOrganization(args, v.organization), read)
}

type sharedView struct{ snapshot *Snapshot }

func (v sharedView) query(ctx context.Context, query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) error {
	return v.snapshot.read(ctx, id.Nil, query, args, read)
}

// read runs the query, or its past where the snapshot has an instant.
func (s *Snapshot) read(ctx context.Context, organization id.ID, query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) error {
	if s.instant == nil {
		return s.query(ctx, organization, query, args, read)
	}
	past, err := query.AsOf()
	if err != nil {
		return err
	}
	return s.query(ctx, organization, past, past.argsAt(args, *s.instant), read)
}

var errSnapshotClosed = errors.New("the snapshot of this response is closed")

func (s *session) query(ctx context.Context, organization id.ID, query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errSnapshotClosed
	}
	if s.conn == nil {
		conn, err := s.db.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		s.conn = conn
	}

	sql, bound, err := query.bind(args)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	opening := s.tx == nil
	if opening {
		batch.BeginTx(pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	}
	switching := organization != id.Nil && organization != s.organization
	if switching {
		batch.Queue(setOrganization, organization.String())
	}
	batch.Queue(sql, bound...)
	results := s.conn.Conn().SendBatch(ctx, batch)

	err = func() error {
		for range count(opening) + count(switching) {
			if _, err := results.Exec(); err != nil {
				return err
			}
		}
		rows, err := results.Query()
		if err != nil {
			return err
		}
		return read(rows)
	}()
	if opening {
		s.tx = results.Tx()
	}
	err = errors.Join(err, results.Close())
	if err == nil && switching {
		s.organization = organization
	}
	return err
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
