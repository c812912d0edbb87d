package change

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// MostDays bounds the days of a summary.
const MostDays = 366

// Summary is how many events there were in whole days, in UTC, and in as many days
// before.
type Summary struct {
	From, To        time.Time // the first day's beginning and the last one's end
	Days            int
	Total, Previous int64
	ByType          []TypeCount
	BySeverity      []SeverityCount
	ByDay           []DayCount
}

// TypeCount is the events of a kind.
type TypeCount struct {
	Type            Kind
	Count, Previous int64
}

// SeverityCount is the events of a severity; of none, if it is 0.
type SeverityCount struct {
	Severity        rule.Severity
	Count, Previous int64
}

// DayCount is the events of a day.
type DayCount struct {
	Day        time.Time
	Count      int64
	BySeverity []SeverityCount // without Previous
}

// dayRow is a count of exposure_change_day.
type dayRow struct {
	Day        time.Time
	ChangeType Kind
	Severity   int16
	Events     int64
}

const day = 24 * time.Hour

// Summary counts the events of the last days, the day of the organization's clock
// being the last of them; nil before anything has happened.
func (*Reader) Summary(ctx context.Context, snapshot *db.Snapshot, organization id.ID, days int) (*Summary, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	if days < 1 || days > MostDays {
		return nil, problem.New(problem.Invalid, "DAYS", "days is %d; it can be 1 to %d", days, MostDays).On("days")
	}
	at, err := clock(ctx, q)
	if err != nil || at == nil {
		return nil, err
	}
	last := at.UTC().Truncate(day)
	first := last.Add(-time.Duration(2*days-1) * day)
	rows, err := db.Select[dayRow](ctx, q, readQueries.Get("summary"), pgx.StrictNamedArgs{"first": first, "last": last})
	if err != nil {
		return nil, err
	}
	return summarize(rows, last, days), nil
}

// summarize adds up counts of the days up to last.
func summarize(rows []*dayRow, last time.Time, days int) *Summary {
	s := &Summary{From: last.Add(-time.Duration(days-1) * day), To: last.Add(day), Days: days, ByDay: make([]DayCount, days)}
	types, severities, daily := map[Kind]*TypeCount{}, map[rule.Severity]*SeverityCount{}, make([]map[rule.Severity]*SeverityCount, days)
	for i := range s.ByDay {
		s.ByDay[i].Day, daily[i] = s.From.Add(time.Duration(i)*day), map[rule.Severity]*SeverityCount{}
	}
	for _, row := range rows {
		severity := rule.Severity(row.Severity)
		byType, bySeverity := entry(types, row.ChangeType), entry(severities, severity)
		byType.Type, bySeverity.Severity = row.ChangeType, severity
		i := int(row.Day.Sub(s.From) / day)
		if row.Day.Before(s.From) {
			s.Previous, byType.Previous, bySeverity.Previous = s.Previous+row.Events, byType.Previous+row.Events, bySeverity.Previous+row.Events
			continue
		}
		s.Total, byType.Count, bySeverity.Count = s.Total+row.Events, byType.Count+row.Events, bySeverity.Count+row.Events
		s.ByDay[i].Count += row.Events
		cell := entry(daily[i], severity)
		cell.Severity, cell.Count = severity, cell.Count+row.Events
	}
	for _, t := range types {
		s.ByType = append(s.ByType, *t)
	}
	slices.SortFunc(s.ByType, func(a, b TypeCount) int { return cmp.Compare(rank(a.Type), rank(b.Type)) })
	s.BySeverity = gravestFirst(severities)
	for i := range s.ByDay {
		s.ByDay[i].BySeverity = gravestFirst(daily[i])
	}
	return s
}

// entry is what a map has under a key, which it has from now on.
func entry[K comparable, V any](m map[K]*V, k K) *V {
	if m[k] == nil {
		m[k] = new(V)
	}
	return m[k]
}

func gravestFirst(counts map[rule.Severity]*SeverityCount) []SeverityCount {
	list := []SeverityCount{}
	for _, severity := range slices.Backward(slices.Sorted(maps.Keys(counts))) {
		list = append(list, *counts[severity])
	}
	return list
}
