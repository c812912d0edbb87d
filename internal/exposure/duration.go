package exposure

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Interval is one in which a path was exposed.
type Interval struct {
	PathID        id.ID
	Type          rule.Type
	EffectiveFrom time.Time
	ToAt          *time.Time // nil: it still is
}

// Duration is how long something was exposed in one way: overlapping and touching
// intervals are one.
type Duration struct {
	Type      rule.Type
	Total     time.Duration
	Intervals int
	Since     time.Time  // the first interval's beginning
	OpenSince *time.Time // the current interval's beginning; nil where it is over
}

// Days are whole days.
func (d Duration) Days() int { return int(d.Total / Day) }

// Current says whether it still is.
func (d Duration) Current() bool { return d.OpenSince != nil }

// Durations add up intervals, up to an instant, type by type.
func Durations(intervals []Interval, now time.Time) []Duration {
	intervals = slices.Clone(intervals)
	slices.SortFunc(intervals, func(a, b Interval) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), a.EffectiveFrom.Compare(b.EffectiveFrom))
	})
	durations := []Duration{}
	var begin, end time.Time // of the interval that is being joined
	for _, x := range intervals {
		to := now
		if x.ToAt != nil {
			to = *x.ToAt
		}
		last := len(durations) - 1
		switch {
		case last < 0 || durations[last].Type != x.Type:
			durations = append(durations, Duration{Type: x.Type, Since: x.EffectiveFrom})
			last++
			fallthrough
		case x.EffectiveFrom.After(end):
			durations[last].Intervals++
			begin, end = x.EffectiveFrom, x.EffectiveFrom
		}
		if to.After(end) {
			durations[last].Total += to.Sub(end)
			end = to
		}
		if x.ToAt == nil {
			since := begin
			durations[last].OpenSince = &since
		}
	}
	return durations
}

// IntervalsOf gives the intervals of each path.
func (*Reader) IntervalsOf(ctx context.Context, snapshot *db.Snapshot, organization id.ID, paths []id.ID) ([]*Interval, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	return db.Select[Interval](ctx, q, readQueries.Get("intervals_by_paths"), pgx.StrictNamedArgs{"paths": paths})
}
