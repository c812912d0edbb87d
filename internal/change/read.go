package change

import (
	"context"
	_ "embed"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

//go:embed queries.sql
var readSQL string

var readQueries = db.Parse("change.read", readSQL)

// Page is a page of events with the cursors of its rows.
type Page struct {
	page.Slice[*Event]
	Cursor func(*Event) string
}

// as is the filter under which a snapshot is read: one of the past shows what had
// happened by then.
func (f Filter) as(snapshot *db.Snapshot) Filter {
	if at := snapshot.Instant(); at != nil && (f.AsOf == nil || f.AsOf.After(*at)) {
		f.AsOf = at
	}
	return f
}

// feedKeys is the order of the feed.
var feedKeys = []page.Key{{Column: "e.seq", Parse: page.NumberKey}}

// Changes lists the events of an organization by their places in the feed. A cursor
// is such a place, whatever the filter and the order.
func (r *Reader) Changes(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter Filter, descending bool, request page.Request) (Page, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return Page{}, err
	}
	where, err := filter.as(snapshot).Where()
	if err != nil {
		return Page{}, err
	}
	asked, err := ResolvePage(request, organization)
	if err != nil {
		return Page{}, err
	}
	if err := r.reached(ctx, q, organization, asked); err != nil {
		return Page{}, err
	}
	query, args, err := page.Listing{Page: asked, Keys: feedKeys, Descending: descending}.Query(readQueries.Get("changes_page"), where)
	if err != nil {
		return Page{}, err
	}
	rows, err := db.Select[Event](ctx, q, query, args)
	return Page{Slice: page.Cut(asked, rows), Cursor: func(e *Event) string { return EncodeCursor(organization, e.Seq) }}, err
}

// reached refuses a page that begins or ends at a place that the feed has not come to.
func (r *Reader) reached(ctx context.Context, q db.Querier, organization id.ID, asked page.Page) error {
	if asked.After == nil && asked.Before == nil {
		return nil
	}
	head, err := r.Head(ctx, q, organization)
	if err != nil {
		return err
	}
	for _, bound := range []struct {
		field string
		keys  []string
	}{{"after", asked.After}, {"before", asked.Before}} {
		if bound.keys == nil {
			continue
		}
		seq, err := strconv.ParseInt(bound.keys[0], 10, 64)
		if err != nil {
			return err // ResolvePage has read it
		}
		if err := Within(bound.field, seq, head); err != nil {
			return err
		}
	}
	return nil
}

// Count counts what Changes lists.
func (*Reader) Count(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter Filter) (int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return 0, err
	}
	filter = filter.as(snapshot)
	query := readQueries.Get("count_by_day")
	where, counted := filter.counted()
	if !counted {
		if where, err = filter.Where(); err != nil {
			return 0, err
		}
		query = readQueries.Get("count_changes")
	}
	counts, err := db.Column[int64](ctx, q, query.Where(where), where.Args())
	if err != nil {
		return 0, err
	}
	return int(counts[0]), nil
}

// counted are the conditions on what is counted day by day, if the filter has no others.
func (f Filter) counted() (w db.Where, ok bool) {
	others := f
	others.Types, others.Severities, others.Classes = nil, nil, nil
	if where := others.where(); where.Args() != nil {
		return w, false
	}
	page.OneOf(&w, "d.change_type = ANY (@types)", "types", f.Types)
	page.OneOf(&w, "d.severity = ANY (@severities)", "severities", f.Severities)
	if f.Classes != nil {
		w.And("d.class = ANY (@classes)", "classes", f.Classes)
	}
	return w, true
}

// History is whose events are asked: those of a lineage, of one path of it, or of
// one exposure of a path, and perhaps those of its workload besides.
type History struct {
	LineageID  id.ID
	PathID     id.ID     // Nil: of all paths of the lineage
	Type       rule.Type // with Ordinal, an exposure of the path; 0: of all, and of the path itself
	Ordinal    int
	WorkloadID id.ID // whose own events are among them; Nil: of none
}

// List is a list of events that many histories of one request share, such as
// `authorityPaths { nodes { changes(first: 10) } }`: all are read at once.
type List struct {
	Filter  Filter
	Request page.Request
}

func (l *List) binding(organization id.ID, of History) page.Binding {
	return page.BindingOf("changes under", organization, l.Filter).ID(of.LineageID).ID(of.PathID).
		Text(strconv.Itoa(int(of.Type))).Text(strconv.Itoa(of.Ordinal)).ID(of.WorkloadID).Short()
}

// historyKeys is the order of a history: when it happened. What was published late,
// by a repair, stands where it belongs.
var historyKeys = []page.Key{{Column: "e.at", Parse: page.TimeKey}, {Column: "e.seq", Parse: page.NumberKey}}

// Under gives each history its page, what happened last first.
func (*Reader) Under(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *List, of []History) (map[History]Page, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	list = &List{Filter: list.Filter.as(snapshot), Request: list.Request}
	pages := make(map[History]Page, len(of))
	err = page.Under(list.Request, of, func(batch []History) error {
		return under(ctx, q, organization, list, batch, pages)
	})
	return pages, err
}

func under(ctx context.Context, q db.Querier, organization id.ID, list *List, of []History, pages map[History]Page) error {
	where, err := list.Filter.Where()
	if err != nil {
		return err
	}
	asked, err := list.Request.Resolve(list.binding(organization, of[0]), len(historyKeys))
	if err != nil {
		return err
	}
	query, args, err := page.Listing{Page: asked, Keys: historyKeys, Descending: true}.Query(readQueries.Get("changes_under"), where)
	if err != nil {
		return err
	}
	type row struct {
		Place int64
		Event
	}
	histories(args, of)
	rows, err := db.Select[row](ctx, q, query, args)
	if err != nil {
		return err
	}
	found := make([][]*Event, len(of))
	for _, r := range rows {
		found[r.Place-1] = append(found[r.Place-1], &r.Event)
	}
	for i, history := range of {
		bound := list.binding(organization, history)
		pages[history] = Page{
			Slice: page.Cut(asked, found[i]),
			Cursor: func(e *Event) string {
				return page.Cursor(bound, page.Stamp(e.At), strconv.FormatInt(e.Seq, 10))
			},
		}
	}
	return nil
}

// histories puts histories into the arguments of a statement, column by column.
func histories(args pgx.StrictNamedArgs, of []History) {
	args["of_lineages"] = listed(of, func(h History) id.ID { return h.LineageID })
	args["of_workloads"] = listed(of, func(h History) *id.ID { return unless(h.WorkloadID) })
	args["of_paths"] = listed(of, func(h History) *id.ID { return unless(h.PathID) })
	args["of_types"] = listed(of, func(h History) *int16 { return unless(int16(h.Type)) })
	args["of_ordinals"] = listed(of, func(h History) *int { return unless(h.Ordinal) })
}

func listed[T any](of []History, value func(History) T) []T {
	list := make([]T, len(of))
	for i, history := range of {
		list[i] = value(history)
	}
	return list
}

// unless is a value, or nothing if it is the zero value.
func unless[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// CountUnder counts each history's list.
func (*Reader) CountUnder(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *List, of []History) (map[History]int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	where, err := list.Filter.as(snapshot).Where()
	if err != nil {
		return nil, err
	}
	type row struct{ Place, Count int64 }
	args := pgx.StrictNamedArgs{}
	for name, value := range where.Args() {
		args[name] = value
	}
	histories(args, of)
	rows, err := db.Select[row](ctx, q, readQueries.Get("count_changes_under").Where(where), args)
	counts := make(map[History]int, len(rows))
	for _, r := range rows {
		counts[of[r.Place-1]] = int(r.Count)
	}
	return counts, err
}

// Key is an event and the history that it stands in, by which it is found.
type Key struct{ ID, SubjectID id.ID }

// Key is where the event is found.
func (e *Event) Key() Key { return Key{ID: e.ID, SubjectID: e.SubjectID} }

// Causes are where the event that this one follows from may stand: in the same
// history, in its workload's or in its sync's, or in that of another asset, which the
// event then says. None where it follows from nothing.
func (e *Event) Causes() []Key {
	if e.CausedBy == nil {
		return nil
	}
	keys := []Key{{ID: *e.CausedBy, SubjectID: e.SubjectID}}
	for _, subject := range []*id.ID{e.WorkloadID, e.ScanID, e.causedIn()} {
		if subject != nil && *subject != e.SubjectID {
			keys = append(keys, Key{ID: *e.CausedBy, SubjectID: *subject})
		}
	}
	return keys
}

// causedIn is the asset in whose history the cause stands, if it is said.
func (e *Event) causedIn() *id.ID {
	var said struct{ CausedIn *id.ID }
	if e.AssetID == nil || json.Unmarshal(e.Metadata, &said) != nil {
		return nil
	}
	return said.CausedIn
}

// ByKeys gives those of the events that there are.
func (*Reader) ByKeys(ctx context.Context, snapshot *db.Snapshot, organization id.ID, keys []Key) ([]*Event, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	subjects, ids := make([]id.ID, len(keys)), make([]id.ID, len(keys))
	for i, k := range keys {
		subjects[i], ids[i] = k.SubjectID, k.ID
	}
	return db.Select[Event](ctx, q, readQueries.Get("changes_by_keys"), pgx.StrictNamedArgs{"subjects": subjects, "ids": ids})
}

// Feed is how far a feed has come.
type Feed struct {
	Seq      int64 // of the last event; 0 before the first
	Pending  int   // occurrences that wait to be published
	Failures int   // occurrences that could not be noted or read, and wait to be repaired
}

// Feed says how far the feed has come.
func (*Reader) Feed(ctx context.Context, snapshot *db.Snapshot, organization id.ID) (Feed, error) {
	if err := access.Require(ctx, organization, access.View); err != nil {
		return Feed{}, err
	}
	type row struct{ Seq, Pending, Failures int64 }
	found, err := db.First[row](ctx, snapshot.Of(organization), readQueries.Get("feed"), nil)
	if err != nil {
		return Feed{}, err
	}
	return Feed{Seq: found.Seq, Pending: int(found.Pending), Failures: int(found.Failures)}, nil
}

// clock is how far the organization's time has come; nil where nothing has happened.
func clock(ctx context.Context, q db.Querier) (*time.Time, error) {
	type row struct{ At *time.Time }
	found, err := db.First[row](ctx, q, readQueries.Get("clock"), nil)
	if err != nil {
		return nil, err
	}
	return found.At, nil
}

// rank is where a kind stands among all that are known.
func rank(kind Kind) int {
	if i := slices.Index(Emitted, kind); i >= 0 {
		return i
	}
	return len(Emitted) + slices.Index(Reserved, kind)
}
