package change

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Status is how a feed stands.
type Status struct {
	Head         int64      `json:"head"`         // the last number: so many events are published
	PublishedAt  *time.Time `json:"publishedAt"`  // when the last one was
	Pending      int64      `json:"pending"`      // notes that wait to be published
	PendingSince *time.Time `json:"pendingSince"` // since when the oldest does
	Gaps         int64      `json:"gaps"`         // what could not be noted or published, and is not repaired
	GapsSince    *time.Time `json:"gapsSince"`
}

// Status says how a feed stands. It asks nobody for scopes: it is the operator's.
func (r *Repairer) Status(ctx context.Context, organization id.ID) (*Status, error) {
	snapshot := r.db.Snapshot()
	defer snapshot.Close(ctx)
	return db.First[Status](ctx, snapshot.Of(organization), repairQueries.Get("status"), pgx.StrictNamedArgs{})
}
