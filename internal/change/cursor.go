package change

import (
	"errors"
	"strconv"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// A cursor of the feed is a place in it: behind the event of that number. There is
// one kind, for lists, subscriptions and whoever follows the feed otherwise. It is
// bound to the organization, and not to a filter or an order, so that what a list
// showed last is where a stream goes on.

// binding is what cursors of a feed belong to.
func binding(organization id.ID) page.Binding { return id.New("feed/1").ID(organization).Short() }

// EncodeCursor makes the cursor behind an event, or before all of them with 0.
func EncodeCursor(organization id.ID, seq int64) string {
	return page.Cursor(binding(organization), strconv.FormatInt(seq, 10))
}

// DecodeCursor gives the number behind which a cursor stands. Whether the feed goes
// that far, Within says.
func DecodeCursor(field string, organization id.ID, text string) (int64, error) {
	p, err := page.Request{After: &text}.Resolve(binding(organization), 1)
	if err != nil {
		return 0, ofFeed(field, err)
	}
	return place(field, p.After[0])
}

// Within refuses a place that the feed has not reached.
func Within(field string, seq, head int64) error {
	if seq > head {
		return problem.New(problem.Conflict, "CURSOR_BEYOND_HEAD",
			"%s stands behind change %d, and the feed ends with %d: it was set back since; start without a cursor", field, seq, head).On(field)
	}
	return nil
}

// ResolvePage checks a request for a page of the feed, whose one key is the number,
// and opens its cursors.
func ResolvePage(r page.Request, organization id.ID) (page.Page, error) {
	p, err := r.Resolve(binding(organization), 1)
	if err != nil {
		return page.Page{}, ofFeed("", err)
	}
	for field, keys := range map[string][]string{"after": p.After, "before": p.Before} {
		if keys == nil {
			continue
		}
		if _, err := place(field, keys[0]); err != nil {
			return page.Page{}, err
		}
	}
	return p, nil
}

func place(field, text string) (int64, error) {
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 0 || strconv.FormatInt(seq, 10) != text {
		return 0, problem.New(problem.Invalid, "CURSOR_INVALID", "%s is not a cursor of this server; start without one", field).On(field)
	}
	return seq, nil
}

// ofFeed says of a cursor what is wrong with it in the words of a feed.
func ofFeed(field string, err error) error {
	var typed *problem.Error
	if !errors.As(err, &typed) {
		return err
	}
	if field == "" {
		field = typed.Field
	}
	switch typed.Code {
	case "CURSOR_INVALID":
		return problem.New(problem.Invalid, typed.Code, "%s is not a cursor of this server; start without one", field).Because(err).On(field)
	case "CURSOR_OF_ANOTHER_LIST":
		return problem.New(problem.Invalid, "CURSOR_OF_ANOTHER_FEED",
			"%s is no cursor of the changes of this organization; start without one", field).Because(err).On(field)
	}
	return err
}
