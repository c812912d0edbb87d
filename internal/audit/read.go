package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Reader reads the audit logs.
type Reader struct{}

// stored is an entry as a table keeps it.
type stored struct {
	ID             id.ID
	At             time.Time
	Subject        string
	Action         string
	Outcome        string
	Door           Door
	RequestID      string
	PropertyNames  []string
	PropertyValues []string
	Touched        []string
}

func (r *stored) entry() *Entry {
	e := &Entry{
		ID: r.ID, At: r.At.UTC(), Subject: r.Subject, Action: r.Action, Outcome: r.Outcome, Door: r.Door, RequestID: r.RequestID, Touched: r.Touched,
	}
	for i, name := range r.PropertyNames {
		e.Properties = append(e.Properties, Property{name, r.PropertyValues[i]})
	}
	return e
}

// owned is an entry of an organization.
type owned struct {
	OrganizationID id.ID
	stored
}

func (r *owned) entry() *Entry {
	e := r.stored.entry()
	e.OrganizationID = r.OrganizationID
	return e
}

// Filter narrows a log. Conditions join with AND, the values of one with OR; an empty
// condition narrows nothing.
type Filter struct {
	Actions  []string // prefixes: mutation. has all mutations
	Subjects []string
	Outcomes []string
	Since    *time.Time // then or later
	Until    *time.Time // before
}

// check names conditions as the API does.
func (f Filter) check() error {
	for _, condition := range []struct {
		field  string
		values []string
	}{{"action", f.Actions}, {"subject", f.Subjects}, {"outcome", f.Outcomes}} {
		if err := page.Bounded(condition.field, len(condition.values)); err != nil {
			return err
		}
		for _, value := range condition.values {
			if _, err := page.TextKey(value); err != nil {
				return problem.New(problem.Invalid, "INVALID_TEXT", "a value of the filter is not readable text").On(condition.field)
			}
		}
	}
	if f.Since != nil && f.Until != nil && f.Until.Before(*f.Since) {
		return problem.New(problem.Invalid, "INTERVAL_EMPTY", "the interval ends before it begins; swap since and until").On("since")
	}
	return nil
}

func (f Filter) where() (w db.Where) {
	page.OneOf(&w, "e.subject = ANY (@subjects)", "subjects", f.Subjects)
	page.OneOf(&w, "e.outcome = ANY (@outcomes)", "outcomes", f.Outcomes)
	if len(f.Actions) > 0 {
		w.And("EXISTS (SELECT FROM unnest(@actions::text[]) a WHERE starts_with(e.action, a))", "actions", f.Actions)
	}
	if f.Since != nil {
		w.And("e.at >= @since", "since", *f.Since)
	}
	if f.Until != nil {
		w.And("e.at < @until", "until", *f.Until)
	}
	return w
}

// Page is a page of entries with the cursors of its rows.
type Page struct {
	page.Slice[*Entry]
	Cursor func(*Entry) string
}

var keys = []page.Key{{Column: "e.at", Parse: page.TimeKey}, {Column: "e.id", Parse: page.IDKey}}

// view is the log of an organization for whoever may read it.
func view(ctx context.Context, snapshot *db.Snapshot, organization id.ID) (db.Querier, error) {
	if err := access.Require(ctx, organization, access.Audit); err != nil {
		return nil, err
	}
	return snapshot.Of(organization), nil
}

// viewShared is the log of no organization, which administrators read.
func viewShared(ctx context.Context, snapshot *db.Snapshot) (db.Querier, error) {
	if err := access.RequireAdmin(ctx); err != nil {
		return nil, err
	}
	if _, err := access.RequireScope(ctx, access.Audit); err != nil {
		return nil, err
	}
	return snapshot.Shared(), nil
}

// Entries lists the log of an organization, the latest first.
func (*Reader) Entries(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter Filter, request page.Request) (Page, error) {
	q, err := view(ctx, snapshot, organization)
	if err != nil {
		return Page{}, err
	}
	return list(ctx, q, queries.Get("entries_page"), page.BindingOf("audit log", organization, filter).Short(), filter, request, (*owned).entry)
}

// Shared lists what belongs to no organization, the latest first.
func (*Reader) Shared(ctx context.Context, snapshot *db.Snapshot, filter Filter, request page.Request) (Page, error) {
	q, err := viewShared(ctx, snapshot)
	if err != nil {
		return Page{}, err
	}
	return list(ctx, q, queries.Get("shared_page"), page.BindingOf("shared audit log", id.Nil, filter).Short(), filter, request, (*stored).entry)
}

func list[T any](ctx context.Context, q db.Querier, query db.Query, binding page.Binding, filter Filter, request page.Request, entry func(*T) *Entry) (Page, error) {
	if err := filter.check(); err != nil {
		return Page{}, err
	}
	p, err := request.Resolve(binding, len(keys))
	if err != nil {
		return Page{}, err
	}
	query, args, err := page.Listing{Page: p, Keys: keys, Descending: true}.Query(query, filter.where())
	if err != nil {
		return Page{}, err
	}
	rows, err := db.Select[T](ctx, q, query, args)
	return Page{Slice: page.Cut(p, entriesOf(rows, entry)), Cursor: func(e *Entry) string {
		return page.Cursor(binding, page.Stamp(e.At), e.ID.String())
	}}, err
}

func entriesOf[T any](rows []*T, entry func(*T) *Entry) []*Entry {
	entries := make([]*Entry, len(rows))
	for i, r := range rows {
		entries[i] = entry(r)
	}
	return entries
}

// Count counts what Entries lists.
func (*Reader) Count(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter Filter) (int, error) {
	q, err := view(ctx, snapshot, organization)
	if err != nil {
		return 0, err
	}
	return count(ctx, q, queries.Get("count_entries"), filter)
}

// CountShared counts what Shared lists.
func (*Reader) CountShared(ctx context.Context, snapshot *db.Snapshot, filter Filter) (int, error) {
	q, err := viewShared(ctx, snapshot)
	if err != nil {
		return 0, err
	}
	return count(ctx, q, queries.Get("count_shared"), filter)
}

func count(ctx context.Context, q db.Querier, query db.Query, filter Filter) (int, error) {
	if err := filter.check(); err != nil {
		return 0, err
	}
	where := filter.where()
	args := where.Args()
	if args == nil {
		args = pgx.StrictNamedArgs{}
	}
	counts, err := db.Column[int64](ctx, q, query.Where(where), args)
	if err != nil {
		return 0, err
	}
	return int(counts[0]), nil
}

// ByID is one entry of an organization; nil if there is none of this id.
func (*Reader) ByID(ctx context.Context, snapshot *db.Snapshot, organization, entry id.ID) (*Entry, error) {
	q, err := view(ctx, snapshot, organization)
	if err != nil {
		return nil, err
	}
	r, err := db.First[owned](ctx, q, queries.Get("entry_by_id"), pgx.StrictNamedArgs{"id": entry})
	if err != nil || r == nil {
		return nil, err
	}
	return r.entry(), nil
}

// SharedByID is one entry of no organization; nil if there is none of this id.
func (*Reader) SharedByID(ctx context.Context, snapshot *db.Snapshot, entry id.ID) (*Entry, error) {
	q, err := viewShared(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	r, err := db.First[stored](ctx, q, queries.Get("shared_by_id"), pgx.StrictNamedArgs{"id": entry})
	if err != nil || r == nil {
		return nil, err
	}
	return r.entry(), nil
}
