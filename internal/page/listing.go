package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Key is a column of a list's order and how its cursor value is read. The last
// keys of an order tell its rows apart, and all keys sort in one direction, so
// that a cursor is one row comparison.
type Key struct {
	Column string
	Parse  func(string) (any, error)
}

// TextKey reads a text.
func TextKey(text string) (any, error) {
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return nil, errors.New("no readable text")
	}
	return text, nil
}

// IDKey reads an identifier.
func IDKey(text string) (any, error) { return id.Parse(text) }

// NumberKey reads a whole number.
func NumberKey(text string) (any, error) { return strconv.ParseInt(text, 10, 64) }

// SmallKey reads a whole number of a column of 16 bits. Cursors are not signed:
// a larger number would fail in the database.
func SmallKey(text string) (any, error) { return strconv.ParseInt(text, 10, 16) }

// WholeKey reads a whole number of a column of 32 bits.
func WholeKey(text string) (any, error) { return strconv.ParseInt(text, 10, 32) }

// TimeKey reads an instant, as Stamp writes it.
func TimeKey(text string) (any, error) { return time.Parse(time.RFC3339Nano, text) }

// Stamp is an instant in a cursor.
func Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Listing is a page of a sorted list, about to be read.
type Listing struct {
	Page       Page
	Keys       []Key
	Descending bool
}

// Query puts filter, order and cursors into a list's statement.
func (l Listing) Query(query db.Query, where db.Where) (db.Query, pgx.StrictNamedArgs, error) {
	if err := l.bound(&where, "after", l.Page.After, !l.Descending); err != nil {
		return query, nil, err
	}
	if err := l.bound(&where, "before", l.Page.Before, l.Descending); err != nil {
		return query, nil, err
	}
	where.Arg("limit", l.Page.Size+1)
	return query.Where(where).With("order", l.Order()).Merged(l.Order()), where.Args(), nil
}

// Order is the list's ORDER BY, turned round for a page that is read backwards.
func (l Listing) Order() string {
	direction := " ASC"
	if l.Descending != l.Page.Backward {
		direction = " DESC"
	}
	columns := make([]string, len(l.Keys))
	for i, key := range l.Keys {
		columns[i] = key.Column + direction
	}
	return "ORDER BY " + strings.Join(columns, ", ")
}

// bound adds the comparison of the sort keys with a cursor.
func (l Listing) bound(where *db.Where, name string, values []string, greater bool) error {
	if values == nil {
		return nil
	}
	operator := "<"
	if greater {
		operator = ">"
	}
	columns, names := make([]string, len(l.Keys)), make([]string, len(l.Keys))
	for i, key := range l.Keys {
		value, err := key.Parse(values[i])
		if err != nil {
			return problem.New(problem.Invalid, "CURSOR_INVALID", "the cursor is not one of this server; start without one")
		}
		names[i] = fmt.Sprintf("@%s_%d", name, i)
		columns[i] = key.Column
		where.Arg(names[i][1:], value)
	}
	where.Plain(fmt.Sprintf("(%s) %s (%s)", strings.Join(columns, ", "), operator, strings.Join(names, ", ")))
	return nil
}

// OneOf adds a condition on a list of values, if there are any. One value is put
// as a scalar would be: PostgreSQL reads = ANY of one element off the index in
// order.
func OneOf[T any](w *db.Where, condition, name string, values []T) {
	switch len(values) {
	case 0:
	case 1:
		w.And(strings.Replace(condition, "ANY (@"+name+")", "@"+name, 1), name, values[0])
	default:
		w.And(condition, name, values)
	}
}

// BindingOf binds a cursor to a list of an organization under a filter.
func BindingOf(list string, organization id.ID, filter any) *id.Digest {
	bytes, err := json.Marshal(filter)
	if err != nil {
		panic(err) // filters are plain values
	}
	return id.New("list/1").Text(list).ID(organization).Bytes(bytes)
}

// BindingAt is BindingOf for a list as of an instant, if there is one: a cursor
// into the past is none into another.
func BindingAt(at *time.Time, list string, organization id.ID, filter any) *id.Digest {
	binding := BindingOf(list, organization, filter)
	if at == nil {
		return binding
	}
	return binding.Text("as of").Text(Stamp(*at))
}

// MaxValues bounds the values of one condition of a filter.
const MaxValues = 100

// Bounded refuses a condition with too many values.
func Bounded(field string, length int) error {
	if length > MaxValues {
		return problem.New(problem.Invalid, "FILTER_TOO_LARGE", "the filter names %d values for %s; it can name %d", length, field, MaxValues).On(field)
	}
	return nil
}
