// Package page reads a list in pieces: the arguments of a Relay connection,
// and cursors that are opaque, versioned and bound to the list, its filter, its
// order and its organization.
package page

import (
	"encoding/base64"
	"encoding/json"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Bounds of a page.
const (
	DefaultSize = 20
	MaxSize     = 100
)

// Request is what a caller asks of a list.
type Request struct {
	First, Last   *int
	After, Before *string
}

// Under reads the pages that many parents of one request share: all in one
// batch, or, because a cursor belongs to one parent, one by one with a cursor.
func Under[K any](request Request, parents []K, read func(batch []K) error) error {
	size := len(parents)
	if request.After != nil || request.Before != nil {
		size = 1
	}
	for len(parents) > 0 {
		if err := read(parents[:size]); err != nil {
			return err
		}
		parents = parents[size:]
	}
	return nil
}

// Binding is what a cursor belongs to: a digest of everything that decides
// which rows a list has, and in which order.
type Binding = id.ID

// Page is a request that was understood.
type Page struct {
	Size     int
	Backward bool     // read from the end
	After    []string // the sort keys of the row to begin after; nil: from the start
	Before   []string // the sort keys of the row to end before; nil: to the end
}

// Resolve checks a request and opens its cursors.
func (r Request) Resolve(binding Binding, keys int) (Page, error) {
	size, backward, err := r.size()
	if err != nil {
		return Page{}, err
	}
	after, err := open("after", r.After, binding, keys)
	if err != nil {
		return Page{}, err
	}
	before, err := open("before", r.Before, binding, keys)
	if err != nil {
		return Page{}, err
	}
	return Page{Size: size, Backward: backward, After: after, Before: before}, nil
}

func (r Request) size() (size int, backward bool, err error) {
	switch {
	case r.First != nil && r.Last != nil:
		return 0, false, problem.New(problem.Invalid, "PAGE_BOTH_ENDS", "ask for first or for last, not for both").On("first")
	case r.First != nil:
		return bounded("first", *r.First, false)
	case r.Last != nil:
		return bounded("last", *r.Last, true)
	}
	return DefaultSize, false, nil
}

func bounded(field string, size int, backward bool) (int, bool, error) {
	if size < 1 || size > MaxSize {
		return 0, false, problem.New(problem.Invalid, "PAGE_SIZE", "%s is %d; it can be 1 to %d", field, size, MaxSize).On(field)
	}
	return size, backward, nil
}

type cursor struct {
	Version int      `json:"v"`
	Binding Binding  `json:"b"`
	Keys    []string `json:"k"`
}

const (
	cursorVersion = 1
	maxCursor     = 2048
)

// Cursor makes the cursor of a row from its sort keys.
func Cursor(binding Binding, keys ...string) string {
	bytes, err := json.Marshal(cursor{Version: cursorVersion, Binding: binding, Keys: keys})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return base64.RawURLEncoding.EncodeToString(bytes)
}

func open(field string, text *string, binding Binding, keys int) ([]string, error) {
	if text == nil {
		return nil, nil
	}
	invalid := problem.New(problem.Invalid, "CURSOR_INVALID", "%s is not a cursor of this server; start without one", field).On(field)
	if len(*text) > maxCursor {
		return nil, invalid
	}
	bytes, err := base64.RawURLEncoding.DecodeString(*text)
	if err != nil {
		return nil, invalid.Because(err)
	}
	var c cursor
	if err := json.Unmarshal(bytes, &c); err != nil {
		return nil, invalid.Because(err)
	}
	if c.Version != cursorVersion || len(c.Keys) != keys || c.Binding != binding {
		return nil, problem.New(problem.Invalid, "CURSOR_OF_ANOTHER_LIST",
			"%s belongs to another list, filter, order or organization; start without one", field).On(field)
	}
	return c.Keys, nil
}

// Slice is a page of rows.
type Slice[T any] struct {
	Rows        []T
	HasNext     bool
	HasPrevious bool
}

// Window takes a page, and one row more if there is one, out of a list that is
// held whole and sorted ascending by one key.
func Window[T any](p Page, all []T, key func(T) string) []T {
	var rows []T
	for i := range all {
		row := all[i]
		if p.Backward {
			row = all[len(all)-1-i]
		}
		if p.After != nil && key(row) <= p.After[0] || p.Before != nil && key(row) >= p.Before[0] {
			continue
		}
		if rows = append(rows, row); len(rows) > p.Size {
			break
		}
	}
	return rows
}

// Cut makes a slice of rows that were read with one more than the page holds.
func Cut[T any](p Page, rows []T) Slice[T] {
	more := len(rows) > p.Size
	if more {
		rows = rows[:p.Size]
	}
	slice := Slice[T]{Rows: rows, HasNext: more, HasPrevious: p.After != nil}
	if p.Backward {
		for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
			rows[i], rows[j] = rows[j], rows[i]
		}
		slice.HasNext, slice.HasPrevious = p.Before != nil, more
	}
	return slice
}
