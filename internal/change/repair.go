package change

import (
	"context"
	_ "embed"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/change/outbox"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed repair.sql
var repairSQL string

var repairQueries = db.Parse("change.repair", repairSQL)

// batch is how many notes a repair writes in one transaction.
const batch = 1000

// Repairer notes again what the outbox did not take. It publishes nothing itself.
type Repairer struct {
	db  *db.DB
	now func() time.Time
	log *slog.Logger
}

// NewRepairer makes a repairer. The clock is the caller's.
func NewRepairer(pool *db.DB, now func() time.Time, log *slog.Logger) *Repairer {
	return &Repairer{db: pool, now: now, log: log}
}

// Filled is how many occurrences a repair noted again, by their causes.
type Filled map[outbox.Cause]int

// Fill notes again what is known to be a gap.
func (r *Repairer) Fill(ctx context.Context, organization id.ID) (Filled, error) {
	return r.fill(ctx, organization, "gaps")
}

// Audit goes through the whole history for what the feed does not tell, or not
// wholly, and what does not wait either, and notes it.
func (r *Repairer) Audit(ctx context.Context, organization id.ID) (Filled, error) {
	return r.fill(ctx, organization, "missing")
}

type gapRow struct {
	At    time.Time
	Cause outbox.Cause
}

func (r *Repairer) fill(ctx context.Context, organization id.ID, from string) (Filled, error) {
	filled, last := Filled{}, gapRow{At: epoch}
	for {
		var found []*gapRow
		err := r.db.Tenant(ctx, organization, func(tx *db.Tx) (err error) {
			found, err = db.Select[gapRow](ctx, tx, repairQueries.Get(from), pgx.StrictNamedArgs{"limit": batch, "at": last.At, "cause": string(last.Cause)})
			if err != nil || len(found) == 0 {
				return err
			}
			now := r.now().UTC().Truncate(time.Microsecond)
			ats, causes := make([]time.Time, len(found)), make([]string, len(found))
			for i, row := range found {
				ats[i], causes[i] = row.At, string(row.Cause)
			}
			p := tx.Pipeline()
			p.Exec(repairQueries.Get("refill"), pgx.StrictNamedArgs{"ats": ats, "causes": causes, "size": math.MaxInt32, "recorded_at": now})
			p.Exec(repairQueries.Get("mark_filled"), pgx.StrictNamedArgs{"ats": ats, "causes": causes, "recorded_at": now})
			return p.Send(ctx)
		})
		if err != nil {
			return nil, err
		}
		for _, row := range found {
			filled[row.Cause]++
			r.log.WarnContext(ctx, "feed repaired", "organization", organization, "at", row.At, "cause", row.Cause)
		}
		if len(found) < batch {
			return filled, nil
		}
		last = *found[len(found)-1] // behind it: what comes back meanwhile is for the next time
	}
}
