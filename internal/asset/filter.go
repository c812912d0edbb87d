package asset

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Filter narrows a list of assets. Conditions join with AND, the values of one
// condition with OR; an empty condition narrows nothing.
type Filter struct {
	Kinds           []record.AssetKind
	Statuses        []Status
	Value           string
	ValuePrefix     string
	Roots           []id.ID // the hosts and domains that they are on, and these themselves
	Workloads       []id.ID // that stand behind them
	Sources         []id.ID // that saw them, now or before
	Ports           []int
	Technology      string // by name, in either case
	Linked          *bool  // whether any workload stands behind them
	FirstSeenAfter  *time.Time
	FirstSeenBefore *time.Time
}

// maxText bounds the texts of a filter: no asset has a longer value.
const maxText = 2400

func (f Filter) check() error {
	for _, condition := range []struct {
		field  string
		length int
	}{{"host", len(f.Roots)}, {"workload", len(f.Workloads)}, {"source", len(f.Sources)}, {"port", len(f.Ports)}} {
		if err := page.Bounded(condition.field, condition.length); err != nil {
			return err
		}
	}
	for field, text := range map[string]string{"value": f.Value, "valuePrefix": f.ValuePrefix, "technology": f.Technology} {
		if err := readable(field, text); err != nil {
			return err
		}
	}
	return nil
}

// readable refuses what the database could not take, and what is longer than
// anything that it could be compared with.
func readable(field, text string) error {
	if len(text) > maxText || !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return problem.New(problem.Invalid, "BAD_USER_INPUT", "it is not text of up to %d bytes; name what is looked for", maxText).On(field)
	}
	return nil
}

// where are the conditions for a statement that reads the rows a of asset.
func (f Filter) where() (w db.Where) {
	page.OneOf(&w, "a.kind = ANY (@kinds)", "kinds", f.Kinds)
	page.OneOf(&w, "a.status = ANY (@statuses)", "statuses", f.Statuses)
	page.OneOf(&w, "a.root_id = ANY (@roots)", "roots", f.Roots)
	page.OneOf(&w, "a.port = ANY (@ports)", "ports", f.Ports)
	if f.Value != "" {
		w.And("a.value = @value", "value", f.Value)
	}
	if f.ValuePrefix != "" {
		// Values are compared byte by byte, so what begins so lies together.
		w.And("a.value >= @value_from AND a.value < @value_to", "value_from", f.ValuePrefix)
		w.Arg("value_to", f.ValuePrefix+"\U0010FFFF")
	}
	if len(f.Workloads) > 0 {
		w.And(`EXISTS (SELECT FROM /* at */ asset_link l WHERE l.organization_id = @organization AND l.asset_id = a.id AND l.workload_id = ANY (@workloads)
			AND l.to_at IS NULL)`, "workloads", f.Workloads)
	}
	if len(f.Sources) > 0 {
		w.And(`EXISTS (SELECT FROM /* at */ asset_sighting g WHERE g.organization_id = @organization AND g.asset_id = a.id AND g.source_id = ANY (@sources))`,
			"sources", f.Sources)
	}
	if f.Technology != "" {
		w.And(`jsonb_typeof(a.technology) = 'array' AND EXISTS (SELECT FROM jsonb_array_elements(a.technology) i WHERE lower(i ->> 'name') = lower(@technology))`,
			"technology", f.Technology)
	}
	if f.Linked != nil {
		w.And(`@linked = EXISTS (SELECT FROM /* at */ asset_link l WHERE l.organization_id = @organization AND l.asset_id = a.id AND l.to_at IS NULL)`,
			"linked", *f.Linked)
	}
	if f.FirstSeenAfter != nil {
		w.And("a.first_seen_at >= @first_seen_after", "first_seen_after", *f.FirstSeenAfter)
	}
	if f.FirstSeenBefore != nil {
		w.And("a.first_seen_at < @first_seen_before", "first_seen_before", *f.FirstSeenBefore)
	}
	return w
}

// Order is how a list of assets is sorted.
type Order struct {
	Field      OrderField
	Descending bool
}

// OrderField is what a list of assets can be sorted by.
type OrderField string

// The sort fields.
const (
	ByValue       OrderField = "value" // within their kind
	ByFirstSeenAt OrderField = "first_seen_at"
)

func (o Order) keys() []page.Key {
	if o.Field == ByFirstSeenAt {
		return []page.Key{{Column: "a.first_seen_at", Parse: page.TimeKey}, {Column: "a.id", Parse: page.IDKey}}
	}
	return []page.Key{{Column: "a.kind", Parse: page.TextKey}, {Column: "a.value", Parse: page.TextKey}}
}

// cursor is the cursor of an asset. In the list by value it names the asset alone: a
// value can be longer than a cursor.
func (o Order) cursor(bound page.Binding, a *Asset) string {
	if o.Field == ByFirstSeenAt {
		return page.Cursor(bound, page.Stamp(a.FirstSeenAt), a.ID.String())
	}
	return page.Cursor(bound, a.ID.String())
}

// resolve understands a request; see cursor.
func (o Order) resolve(ctx context.Context, q db.Querier, request page.Request, bound page.Binding) (page.Page, error) {
	if o.Field == ByFirstSeenAt {
		return request.Resolve(bound, 2)
	}
	p, err := request.Resolve(bound, 1)
	if err != nil {
		return p, err
	}
	for _, end := range []struct {
		field string
		keys  *[]string
	}{{"after", &p.After}, {"before", &p.Before}} {
		if *end.keys == nil {
			continue
		}
		if *end.keys, err = placeOf(ctx, q, end.field, (*end.keys)[0]); err != nil {
			return p, err
		}
	}
	return p, nil
}

// placeOf is where the asset of a cursor stands.
func placeOf(ctx context.Context, q db.Querier, field, text string) ([]string, error) {
	invalid := problem.New(problem.Invalid, "CURSOR_INVALID", "%s is not a cursor of this server; start without one", field).On(field)
	named, err := id.Parse(text)
	if err != nil {
		return nil, invalid.Because(err)
	}
	type row struct{ Kind, Value string }
	found, err := db.Select[row](ctx, q, readQueries.Get("place_of_asset"), pgx.StrictNamedArgs{"id": named})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, invalid
	}
	return []string{found[0].Kind, found[0].Value}, nil
}

// binding binds a cursor to a list under a filter and an order.
func (o Order) binding(at *time.Time, list string, organization id.ID, f Filter) *id.Digest {
	direction := "ascending"
	if o.Descending {
		direction = "descending"
	}
	return page.BindingAt(at, list, organization, f.normal()).Text(string(o.Field)).Text(direction)
}

// normal is the filter in one form, whatever order its values came in.
func (f Filter) normal() Filter {
	f.Kinds, f.Statuses, f.Ports = slices.Clone(f.Kinds), slices.Clone(f.Statuses), slices.Clone(f.Ports)
	slices.Sort(f.Kinds)
	slices.Sort(f.Statuses)
	slices.Sort(f.Ports)
	return f
}
