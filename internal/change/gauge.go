package change

import (
	"context"
	_ "embed"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed gauge.sql
var gaugeSQL string

var gaugeQueries = db.Parse("change.gauge", gaugeSQL)

// Totals are the feeds of all organizations together.
type Totals struct {
	Published int64 // events
	Backlog   int64 // notes that wait to be published
	Gaps      int64 // that are not repaired
}

// Gauge reads totals for whoever asks often: they are as old as it is told, at most.
type Gauge struct {
	db  *db.DB
	now func() time.Time
	age time.Duration

	mu     sync.Mutex
	read   time.Time
	totals Totals
}

// NewGauge makes a gauge. The clock is the caller's.
func NewGauge(pool *db.DB, now func() time.Time, age time.Duration) *Gauge {
	return &Gauge{db: pool, now: now, age: age}
}

// Totals reads them, or gives those that were read a short while ago. Feeds in which
// nothing waits cost it nothing but a probe.
func (g *Gauge) Totals(ctx context.Context) (Totals, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if !g.read.IsZero() && now.Sub(g.read) < g.age {
		return g.totals, nil
	}
	totals, err := g.measure(ctx)
	if err != nil {
		return Totals{}, err
	}
	g.read, g.totals = now, totals
	return totals, nil
}

func (g *Gauge) measure(ctx context.Context) (totals Totals, err error) {
	if totals.Backlog, err = g.sum(ctx, "pending_feeds", "backlog"); err != nil {
		return Totals{}, err
	}
	if totals.Gaps, err = g.sum(ctx, "gapped_feeds", "open_gaps"); err != nil {
		return Totals{}, err
	}
	snapshot := g.db.Snapshot()
	defer snapshot.Close(ctx)
	published, err := db.Column[int64](ctx, snapshot.Shared(), gaugeQueries.Get("published"), pgx.StrictNamedArgs{})
	if err != nil {
		return Totals{}, err
	}
	totals.Published = published[0]
	return totals, nil
}

// sum counts in those organizations in which there may be something to count. They
// are asked for in a transaction of its own, which then belongs to none of them.
func (g *Gauge) sum(ctx context.Context, which, count string) (sum int64, err error) {
	asked := g.db.Snapshot()
	list, err := db.Column[id.ID](ctx, asked.Shared(), gaugeQueries.Get(which), pgx.StrictNamedArgs{})
	asked.Close(ctx)
	if err != nil {
		return 0, err
	}
	snapshot := g.db.Snapshot()
	defer snapshot.Close(ctx)
	for _, organization := range list {
		found, err := db.Column[int64](ctx, snapshot.Of(organization), repairQueries.Get(count), pgx.StrictNamedArgs{})
		if err != nil {
			return 0, err
		}
		sum += found[0]
	}
	return sum, nil
}
