package invariant

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

//go:embed feed.sql
var feedSQL string

var feedQueries = db.Parse("invariant.feed", feedSQL)

// dayKey is what events are counted by.
type dayKey struct {
	Day        time.Time
	ChangeType string
	Severity   int16
	Class      int32
}

func (k dayKey) String() string {
	return fmt.Sprintf("%s on %s, severity %d, class %d", k.ChangeType, k.Day.Format(time.DateOnly), k.Severity, k.Class)
}

// checkFeed holds the feed against itself, and against what happened. It comes after
// everything that history is checked by: what it says is taken to be so.
func (w *world) checkFeed(ctx context.Context) error {
	days, err := w.readFeed(ctx)
	if err != nil {
		return err
	}
	if err := w.checkDays(ctx, days); err != nil {
		return err
	}
	if _, err := db.Column[string](ctx, w.reader.shared, feedQueries.Get("plan_by_sets"), pgx.StrictNamedArgs{}); err != nil {
		return err
	}
	if err := w.checkTold(ctx); err != nil {
		return err
	}
	return w.checkCauses(ctx)
}

func eventName(seq int64, changeType string) string {
	return fmt.Sprintf("event %d, %s", seq, changeType)
}

// readFeed holds the numbers against the head and the ids against what they digest,
// and counts the days.
func (w *world) readFeed(ctx context.Context) (map[dayKey]int64, error) {
	type row struct {
		Seq             int64
		ID              id.ID
		ChangeType      string
		EntityID        id.ID
		SubjectID       id.ID
		ExposureType    *int16
		ExposureOrdinal *int32
		Class           int32
		Severity        *int16
		At              time.Time
	}
	result, days, last := w.report.of(Feed), map[dayKey]int64{}, int64(0)
	err := walk(ctx, w.reader, "events", nil,
		func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"seq": r.Seq} },
		func(r *row) {
			result.Compared++
			subject := eventName(r.Seq, r.ChangeType)
			if r.Seq != last+1 {
				result.found(subject, "there is a gap before it", strconv.FormatInt(last+1, 10), strconv.FormatInt(r.Seq, 10))
			}
			last = r.Seq
			word, ordinal, key := "", "", dayKey{r.At.UTC().Truncate(24 * time.Hour), r.ChangeType, 0, r.Class}
			if r.ExposureType != nil && r.ExposureOrdinal != nil {
				word, ordinal = ledger.TypeWord(*r.ExposureType), strconv.Itoa(int(*r.ExposureOrdinal))
			}
			differ(result, subject, "its id", id.New("change/1").ID(w.organization).Text(r.ChangeType).ID(r.SubjectID).ID(r.EntityID).
				Text(word).Text(ordinal).Text(r.At.UTC().Format("2006-01-02T15:04:05.000000Z")).Short(), r.ID)
			if r.Severity != nil {
				key.Severity = *r.Severity
			}
			days[key]++
		})
	if err != nil {
		return nil, err
	}
	heads, err := db.Column[int64](ctx, w.reader.querier, feedQueries.Get("head"), pgx.StrictNamedArgs{})
	if err != nil {
		return nil, err
	}
	differ(result, "head of the feed", "its number", last, heads[0])
	return days, nil
}

func (w *world) checkDays(ctx context.Context, days map[dayKey]int64) error {
	type row struct {
		dayKey
		Events int64
	}
	result := w.report.of(Feed)
	err := walk(ctx, w.reader, "days", nil,
		func(r *row) pgx.StrictNamedArgs {
			severity := r.Severity
			if r.ChangeType == "" { // before the first there is no severity
				severity = -1
			}
			return pgx.StrictNamedArgs{"day": r.Day, "change_type": r.ChangeType, "severity": severity, "class": r.Class}
		},
		func(r *row) {
			result.Compared++
			r.Day = r.Day.UTC()
			differ(result, r.String(), "its number of events", days[r.dayKey], r.Events)
			delete(days, r.dayKey)
		})
	if err != nil {
		return err
	}
	left := slices.SortedFunc(maps.Keys(days), func(a, b dayKey) int { return cmp.Compare(a.String(), b.String()) })
	for _, key := range left {
		result.found(key.String(), "it is not counted", strconv.FormatInt(days[key], 10), "0")
	}
	return nil
}

// told is a difference between history and feed.
type told struct {
	Total           int64
	Seq             *int64
	ChangeType      string
	EntityID        id.ID
	ExposureType    *int16
	ExposureOrdinal *int32
	At              time.Time
	Known           bool // by history
	Want, Have      string
}

func (d *told) subject() string {
	about := fmt.Sprintf("%s of %s", d.ChangeType, d.EntityID)
	if d.ExposureType != nil && d.ExposureOrdinal != nil {
		about += fmt.Sprintf(", exposure %d of type %d", *d.ExposureOrdinal, *d.ExposureType)
	}
	about += " at " + instant(d.At.UnixMicro())
	if d.Seq != nil {
		about = fmt.Sprintf("event %d, %s", *d.Seq, about)
	}
	return about
}

// checkTold holds what happened, by versions and intervals, against what was told.
func (w *world) checkTold(ctx context.Context) error {
	result := w.report.of(Feed)
	rows, err := db.Select[told](ctx, w.reader.querier, feedQueries.Get("differences"), pgx.StrictNamedArgs{"rows": shown})
	if err != nil || len(rows) == 0 {
		return err
	}
	for _, d := range rows {
		switch {
		case d.Seq == nil:
			result.found(d.subject(), "it happened and was not told", "", "")
		case !d.Known:
			result.found(d.subject(), "it was told and did not happen", "", "")
		default:
			result.found(d.subject(), "it was told otherwise than it happened", d.Want, d.Have)
		}
	}
	result.Findings += rows[0].Total - int64(len(rows))
	return nil
}

// checkCauses holds that what an event follows from is another one that happened at
// the same instant.
func (w *world) checkCauses(ctx context.Context) error {
	type row struct {
		Total      int64
		Seq        int64
		ChangeType string
		CausedBy   id.ID
	}
	result := w.report.of(Feed)
	rows, err := db.Select[row](ctx, w.reader.querier, feedQueries.Get("causeless"), pgx.StrictNamedArgs{"rows": shown})
	if err != nil || len(rows) == 0 {
		return err
	}
	for _, r := range rows {
		result.found(eventName(r.Seq, r.ChangeType), "what it follows from is not there", "", r.CausedBy.String())
	}
	result.Findings += rows[0].Total - int64(len(rows))
	return nil
}
