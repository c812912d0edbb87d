// Package feedtest makes things happen for tests and measurements of the feed, as
// fast and as crosswise as no organization would: transactions that overlap, commit
// in another order than that of their instants, or roll back.
package feedtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Source names a source of an organization.
func Source(organization id.ID, name string) id.ID { return id.Source(organization, name, "made-up") }

// Prepare makes an organization and its sources, if they are not there.
func Prepare(ctx context.Context, conn *pgx.Conn, slug string, sources ...string) (id.ID, error) {
	organization := id.Organization(slug)
	return organization, within(ctx, conn, organization, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO organization (id, slug, name, created_at) VALUES ($1, $2, $2, now()) ON CONFLICT DO NOTHING`, organization, slug); err != nil {
			return err
		}
		for _, name := range sources {
			if _, err := tx.Exec(ctx, `INSERT INTO source (organization_id, id, name, system, format, created_at) VALUES ($1, $2, $3, 'made-up', 'snapshot', now())
				ON CONFLICT DO NOTHING`, organization, Source(organization, name), name); err != nil {
				return err
			}
		}
		return nil
	})
}

// Deliveries are what happens in one transaction: so many deliveries of a source, each
// of which is one event, at random instants within a span.
type Deliveries struct {
	Organization, Source id.ID
	Count                int
	Urgent               bool
	From                 time.Time
	Span                 time.Duration
	Before               func() error // called before the commit, which it prevents with an error; or nil
}

// Write writes them, with their notes, and gives their ids.
func (d Deliveries) Write(ctx context.Context, conn *pgx.Conn, dice *rand.Rand) ([]id.ID, error) {
	ids, ats, versions := make([]id.ID, d.Count), make([]time.Time, d.Count), make([]int64, d.Count)
	for i := range ids {
		binary.LittleEndian.PutUint64(ids[i][:8], dice.Uint64())
		binary.LittleEndian.PutUint64(ids[i][8:], dice.Uint64())
		ats[i], versions[i] = d.From.Add(time.Duration(dice.Int64N(d.Span.Microseconds()))*time.Microsecond), dice.Int64N(1<<62)
	}
	return ids, within(ctx, conn, d.Organization, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, outcome, complete, content_digest,
				records_read, records_rejected, paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings)
			SELECT $1, n.id, $2, n.version, n.at, n.at, now(), 'test', 'unchanged', true, n.id, 0, 0, 0, 0, 0, 0, '[]', '[]'
			FROM unnest($3::uuid[], $4::timestamptz[], $5::bigint[]) AS n(id, at, version)`, d.Organization, d.Source, ids, ats, versions); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at)
			SELECT $1, n.at, 'sync', $2, 1, now() FROM unnest($3::timestamptz[]) AS n(at)`, d.Organization, d.Urgent, ats); err != nil {
			return err
		}
		if d.Before != nil {
			return d.Before()
		}
		return nil
	})
}

// within runs statements in a transaction of an organization.
func within(ctx context.Context, conn *pgx.Conn, organization id.ID, run func(pgx.Tx) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SELECT set_config('app.organization', $1, true)`, organization.String()); err != nil {
		return fmt.Errorf("set organization: %w", err)
	}
	if err := run(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
