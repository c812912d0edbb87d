package change_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// read calls the reader as a response does.
func read[T any](t require.TestingT, r *newsroom, call func(*change.Reader, *db.Snapshot) (T, error)) T {
	snapshot := r.Snapshot()
	defer snapshot.Close(r.ctx)
	found, err := call(&change.Reader{}, snapshot)
	require.NoError(t, err)
	return found
}

// scattered is a feed of random events, over twenty days and counted day by day.
func scattered(t *testing.T) (*newsroom, *deck, []*change.Event) {
	t.Helper()
	r := newRoom(t)
	r.say(world(runs("w1", "i1"), runs("w2", "i2"), grants("ledger", "restricted", "get"), grants("vault", "internal", "get"))...)
	d := r.scatter(400)
	r.exec(`SET session_replication_role = replica`)
	r.exec(`UPDATE exposure_changes SET at = at - (seq * 7 % 20) * interval '1 day'`)
	r.exec(`INSERT INTO exposure_change_day SELECT organization_id, (at AT TIME ZONE 'UTC')::date, change_type, coalesce(severity, 0)::smallint, class, count(*)
		FROM exposure_changes GROUP BY 1, 2, 3, 4, 5`)
	all, _ := r.replay(0, 0, change.Filter{}, 1000)
	require.Len(t, all, 400)
	return r, d, all
}

// walk reads a list page by page, from either end.
func walk(t require.TestingT, size int, backward bool, load func(page.Request) change.Page) (rows []*change.Event) {
	request := page.Request{First: &size}
	if backward {
		request = page.Request{Last: &size}
	}
	for {
		found := load(request)
		require.LessOrEqual(t, len(found.Rows), size)
		if len(found.Rows) == 0 {
			return rows
		}
		if backward {
			rows = append(slices.Clone(found.Rows), rows...)
			if !found.HasPrevious {
				return rows
			}
			cursor := found.Cursor(found.Rows[0])
			request.Before = &cursor
			continue
		}
		rows = append(rows, found.Rows...)
		if !found.HasNext {
			return rows
		}
		cursor := found.Cursor(found.Rows[len(found.Rows)-1])
		request.After = &cursor
	}
}

// passing are the events that a filter lets pass.
func passing(all []*change.Event, f change.Filter) (rows []*change.Event) {
	for _, e := range all {
		if f.Matches(e) {
			rows = append(rows, e)
		}
	}
	return rows
}

// Lists of any filter, order, page size and end are what a loop over the whole feed
// gives, and so are their counts.
func TestListsOfTheFeed(t *testing.T) {
	t.Parallel()
	r, d, all := scattered(t)
	passed, counted := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		f := d.filter(rt)
		want := passing(all, f)
		descending, backward := rapid.Bool().Draw(rt, "descending"), rapid.Bool().Draw(rt, "backward")
		if descending {
			slices.Reverse(want)
		}
		found := walk(rt, rapid.IntRange(20, 100).Draw(rt, "size"), backward, func(request page.Request) change.Page {
			return read(rt, r, func(reader *change.Reader, snapshot *db.Snapshot) (change.Page, error) {
				return reader.Changes(r.ctx, snapshot, organization, f, descending, request)
			})
		})
		require.Equal(rt, seqsOf(want), seqsOf(found), "%+v", f)
		r.Statements.Reset()
		count := read(rt, r, func(reader *change.Reader, snapshot *db.Snapshot) (int, error) {
			return reader.Count(r.ctx, snapshot, organization, f)
		})
		require.Equal(rt, len(want), count, "%+v", f)
		passed += min(len(want), 1)
		if slices.ContainsFunc(r.Statements.Sent(), func(s string) bool { return s == "change.read.count_by_day" }) {
			counted++
		}
	})
	require.Positive(t, passed, "no filter let anything pass")
	require.Positive(t, counted, "nothing was counted by days")
}

// The history of a path, of a lineage and of an exposure, each with what belongs to
// it and in the order in which it happened.
func TestHistories(t *testing.T) {
	t.Parallel()
	r, d, all := scattered(t)
	// Each path, its lineage and its exposures; a workload's own events besides.
	of := []change.History{}
	for i, path := range d.paths {
		of = append(of, change.History{LineageID: d.lineages[i], PathID: path, WorkloadID: d.others[0]}, change.History{LineageID: d.lineages[i], WorkloadID: d.others[1]},
			change.History{LineageID: d.lineages[i], PathID: path, Type: 2, Ordinal: 1},
			change.History{LineageID: d.lineages[i], PathID: d.paths[(i+1)%len(d.paths)]}) // a path that is none of the lineage
	}
	naive := func(h change.History, f change.Filter) (rows []*change.Event) {
		for _, e := range passing(all, f) {
			own := e.SubjectID == h.WorkloadID && h.WorkloadID != id.Nil
			of := e.SubjectID == h.LineageID && (h.PathID == id.Nil || e.EntityID == h.PathID) &&
				(h.Type == 0 || e.ExposureType != nil && *e.ExposureType == h.Type && *e.ExposureOrdinal == h.Ordinal)
			if own || of {
				rows = append(rows, e)
			}
		}
		slices.SortFunc(rows, func(a, b *change.Event) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Seq, a.Seq)) })
		return rows
	}
	most := 0
	for _, f := range []change.Filter{{}, {Types: []change.Kind{change.ExposureOpened, change.IdentityRotated, change.PathRemoved}}, {Paths: d.paths[:2]}, {Severities: []rule.Severity{rule.High}, Classes: []int{0, 1}}} {
		first := 3
		list := &change.List{Filter: f, Request: page.Request{First: &first}}
		r.Statements.Reset()
		pages := read(t, r, func(reader *change.Reader, snapshot *db.Snapshot) (map[change.History]change.Page, error) {
			return reader.Under(r.ctx, snapshot, organization, list, of)
		})
		require.Len(t, r.Statements.Sent(), 1, "all at once")
		counts := read(t, r, func(reader *change.Reader, snapshot *db.Snapshot) (map[change.History]int, error) {
			return reader.CountUnder(r.ctx, snapshot, organization, list, of)
		})
		for _, h := range of {
			want := naive(h, f)
			most = max(most, len(want))
			require.Equal(t, len(want), counts[h], "%+v", h)
			require.Equal(t, seqsOf(want[:min(3, len(want))]), seqsOf(pages[h].Rows), "%+v", h)
			for _, backward := range []bool{false, true} {
				found := walk(t, 7, backward, func(request page.Request) change.Page {
					return read(t, r, func(reader *change.Reader, snapshot *db.Snapshot) (change.Page, error) {
						pages, err := reader.Under(r.ctx, snapshot, organization, &change.List{Filter: f, Request: request}, []change.History{h})
						return pages[h], err
					})
				})
				require.Equal(t, seqsOf(want), seqsOf(found), "%+v", h)
			}
		}
	}
	require.Greater(t, most, 20)
}

func TestEventsByKeys(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"))...)
	r.say(world(runs("w1", "i2"), grants("ledger", "internal", "delete", "get"))...)
	r.drain()
	all, _ := r.replay(0, 0, change.Filter{}, 1000)
	byKeys := func(keys ...change.Key) []*change.Event {
		return read(t, r, func(reader *change.Reader, snapshot *db.Snapshot) ([]*change.Event, error) {
			return reader.ByKeys(r.ctx, snapshot, organization, keys)
		})
	}
	caused := 0
	for _, e := range all {
		require.Equal(t, []*change.Event{e}, byKeys(e.Key(), change.Key{ID: e.ID, SubjectID: organization}))
		causes := byKeys(e.Causes()...)
		if e.CausedBy == nil {
			require.Empty(t, causes)
			continue
		}
		caused++
		require.Len(t, causes, 1, "%s follows from what is found", e.Title)
		require.Equal(t, *e.CausedBy, causes[0].ID)
	}
	require.Greater(t, caused, 4)
}

func TestSummary(t *testing.T) {
	t.Parallel()
	r, _, all := scattered(t)
	last := r.now().Truncate(24 * time.Hour)
	summary := func(days int) *change.Summary {
		return read(t, r, func(reader *change.Reader, snapshot *db.Snapshot) (*change.Summary, error) {
			return reader.Summary(r.ctx, snapshot, organization, days)
		})
	}
	for _, days := range []int{1, 2, 7, 19, 366} {
		s := summary(days)
		require.Equal(t, days, s.Days)
		require.Equal(t, last.AddDate(0, 0, 1), s.To)
		require.Equal(t, last.AddDate(0, 0, 1-days), s.From)
		count := func(from time.Time, to time.Time, passes func(*change.Event) bool) (n int64) {
			for _, e := range all {
				if !e.At.Before(from) && e.At.Before(to) && passes(e) {
					n++
				}
			}
			return n
		}
		any := func(*change.Event) bool { return true }
		before := s.From.AddDate(0, 0, -days)
		require.Equal(t, count(s.From, s.To, any), s.Total)
		require.Equal(t, count(before, s.From, any), s.Previous)
		var total, previous int64
		for _, c := range s.ByType {
			is := func(e *change.Event) bool { return e.ChangeType == c.Type }
			require.Equal(t, change.TypeCount{Type: c.Type, Count: count(s.From, s.To, is), Previous: count(before, s.From, is)}, c)
			total, previous = total+c.Count, previous+c.Previous
		}
		require.Equal(t, []int64{s.Total, s.Previous}, []int64{total, previous})
		total, previous = 0, 0
		for i, c := range s.BySeverity {
			require.True(t, i == 0 || c.Severity < s.BySeverity[i-1].Severity)
			is := func(e *change.Event) bool {
				return e.Severity == nil && c.Severity == 0 || e.Severity != nil && *e.Severity == c.Severity
			}
			require.Equal(t, change.SeverityCount{Severity: c.Severity, Count: count(s.From, s.To, is), Previous: count(before, s.From, is)}, c)
			total, previous = total+c.Count, previous+c.Previous
		}
		require.Equal(t, []int64{s.Total, s.Previous}, []int64{total, previous})
		require.Len(t, s.ByDay, days)
		for i, d := range s.ByDay {
			require.Equal(t, s.From.AddDate(0, 0, i), d.Day)
			require.Equal(t, count(d.Day, d.Day.AddDate(0, 0, 1), any), d.Count)
			var sum int64
			for _, c := range d.BySeverity {
				sum += c.Count
			}
			require.Equal(t, d.Count, sum)
		}
	}
	require.Positive(t, summary(7).Previous)

	snapshot := r.Snapshot()
	defer snapshot.Close(r.ctx)
	for _, days := range []int{-1, 0, 367} {
		_, err := (&change.Reader{}).Summary(r.ctx, snapshot, organization, days)
		require.Equal(t, problem.Invalid, problem.KindOf(err))
	}
	nothing, err := (&change.Reader{}).Summary(r.ctx, snapshot, id.Organization("empty"), 7)
	require.NoError(t, err)
	require.Nil(t, nothing)
}

func TestHowFarTheFeedIs(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	feed := func() change.Feed {
		return read(t, r, func(reader *change.Reader, snapshot *db.Snapshot) (change.Feed, error) {
			return reader.Feed(r.ctx, snapshot, organization)
		})
	}
	require.Equal(t, change.Feed{}, feed())
	r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"))...)
	require.Equal(t, change.Feed{Pending: 1}, feed())
	all := r.drain()
	require.Equal(t, change.Feed{Seq: int64(len(all))}, feed())
	r.exec(`INSERT INTO change_gap (organization_id, at, cause, reason, recorded_at) VALUES ($1, now(), 'sync', 'lost', now())`, organization)
	require.Equal(t, 1, feed().Failures)
	r.exec(`UPDATE change_gap SET filled_at = now()`)
	require.Zero(t, feed().Failures)
}

func TestEveryReadStatementCanBeSeen(t *testing.T) {
	t.Parallel()
	dbtest.EveryReadStatementCanBeSeen(t, slices.DeleteFunc(change.ReadQueries.All(), func(q db.Query) bool { return q.Name == "change.read.feed" })) // of the whole
	dbtest.EveryReadStatementCanBeSeen(t, []db.Query{change.ReplayQueries.Get("replay")})
}
