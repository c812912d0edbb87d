package benchmark

import (
	"context"
	"fmt"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
)

// Sync is one measured sync, or the median of several.
type Sync struct {
	Name       string
	Took       time.Duration
	Rows       int64 // written to tables, versions and assertions included
	WAL        int64 // bytes
	Peak       int64 // resident bytes of this process
	Report     *authority.SyncReport
	Statements []statement
}

// Floor is a limit of syncs: what was measured, and of what it consists.
type Floor struct {
	Name  string
	Took  time.Duration
	Rows  int64 // that were written, of what writes
	Parts []statement
}

// counters of the database.
type counters struct{ rows, wal int64 }

// counters closes the pool, because a session adds what it did to the counters
// when it ends, waits for the sessions to be gone, and opens another.
func (s *stand) counters(ctx context.Context) (c counters, err error) {
	s.db.Close()
	for open := true; open; {
		err := s.super.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = $1)", devpg.RuntimeRole).Scan(&open)
		if err != nil {
			return c, fmt.Errorf("sessions: %w", err)
		}
	}
	err = s.super.QueryRow(ctx, `
		SELECT (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = 'public'),
		       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`).Scan(&c.rows, &c.wal)
	if err != nil {
		return c, fmt.Errorf("counters: %w", err)
	}
	return c, s.open(ctx)
}

// measureSync delivers a snapshot and expects an outcome.
func (s *stand) measureSync(ctx context.Context, name string, d Delivery, observedAt time.Time, outcome authority.Outcome) (Sync, error) {
	result := Sync{Name: name}
	before, err := s.counters(ctx)
	if err != nil {
		return result, err
	}
	peakMemory()
	s.tracer.start()
	since := now()
	result.Report, err = s.deliver(ctx, d, observedAt)
	result.Took = now().Sub(since)
	result.Statements = breakdown(s.tracer.stop())
	result.Peak = peakMemory()
	if err != nil {
		return result, fmt.Errorf("%s: %w", name, err)
	}
	if result.Report.Outcome != outcome {
		return result, fmt.Errorf("%s: the sync was %s, not %s", name, result.Report.Outcome, outcome)
	}
	after, err := s.counters(ctx)
	result.Rows, result.WAL = after.rows-before.rows, after.wal-before.wal
	return result, err
}

// repetitions of a sync or limit that can be repeated: of syncs the median
// counts, of limits the fastest.
const repetitions = 3

func (s *stand) measureUnchanged(ctx context.Context, d Delivery) (Sync, error) {
	var all []Sync
	for range repetitions {
		s.advance(time.Hour)
		one, err := s.measureSync(ctx, "unchanged", d, s.now(), authority.Unchanged)
		if err != nil {
			return one, err
		}
		all = append(all, one)
	}
	return median(all, func(one Sync) time.Duration { return one.Took }), nil
}
