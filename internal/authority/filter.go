package authority

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// PathFilter narrows a list of paths. Conditions join with AND, the values of
// one condition with OR; an empty condition narrows nothing.
type PathFilter struct {
	Statuses        []PathStatus
	DataDomains     []string
	Sensitivities   []Sensitivity
	Ownership       []OwnershipStatus
	Egress          []EgressCategory
	WorkloadIDs     []id.ID
	IdentityIDs     []id.ID
	ResourceIDs     []id.ID
	Effective       *bool
	Bound           *bool // through an identity that is known
	System          string
	FirstSeenAfter  *time.Time
	FirstSeenBefore *time.Time
}

// EntityFilter narrows a list of entities.
type EntityFilter struct {
	Statuses     []record.Status
	Systems      []string
	Environments []string
	SourceIDs    []string
	NamePrefix   string
}

// SyncFilter narrows a list of deliveries.
type SyncFilter struct {
	SourceIDs []id.ID
	Outcomes  []Outcome
}

// maxValues bounds the values of one condition.
const maxValues = 100

func (f PathFilter) check() error {
	for field, length := range map[string]int{
		"dataDomain": len(f.DataDomains), "workload": len(f.WorkloadIDs), "identity": len(f.IdentityIDs), "destination": len(f.ResourceIDs),
	} {
		if length > maxValues {
			return tooMany(field, length)
		}
	}
	return textsReadable("dataDomain", append([]string{f.System}, f.DataDomains...)...)
}

// indexed says whether the filter has an index of its own to read from.
func (f PathFilter) indexed() bool {
	return len(f.DataDomains)+len(f.WorkloadIDs)+len(f.IdentityIDs)+len(f.ResourceIDs) > 0
}

func (f PathFilter) where() (w db.Where) {
	oneOf(&w, "p.status = ANY (@statuses)", "statuses", f.Statuses)
	oneOf(&w, "p.data_domain = ANY (@domains)", "domains", f.DataDomains)
	oneOf(&w, "p.sensitivity = ANY (@sensitivities)", "sensitivities", f.Sensitivities)
	oneOf(&w, "p.ownership_status = ANY (@ownership)", "ownership", f.Ownership)
	oneOf(&w, "p.egress_category = ANY (@egress)", "egress", f.Egress)
	oneOf(&w, "p.workload_id = ANY (@workloads)", "workloads", f.WorkloadIDs)
	oneOf(&w, "p.identity_id = ANY (@identities)", "identities", f.IdentityIDs)
	oneOf(&w, "p.resource_id = ANY (@resources)", "resources", f.ResourceIDs)
	if f.Effective != nil {
		w.And("p.effective = @effective", "effective", *f.Effective)
	}
	if f.Bound != nil {
		w.And("(p.identity_id IS NOT NULL) = @bound", "bound", *f.Bound)
	}
	if f.System != "" {
		w.And("EXISTS (SELECT FROM entity s WHERE s.organization_id = p.organization_id AND s.id = p.workload_id AND s.system = @system)", "system", f.System)
	}
	if f.FirstSeenAfter != nil {
		w.And("p.first_seen_at >= @first_seen_after", "first_seen_after", *f.FirstSeenAfter)
	}
	if f.FirstSeenBefore != nil {
		w.And("p.first_seen_at < @first_seen_before", "first_seen_before", *f.FirstSeenBefore)
	}
	return w
}

func (f PathFilter) digest(list string, organization id.ID) *id.Digest {
	return digestOf(list, organization, f)
}

func (f EntityFilter) check() error {
	for field, length := range map[string]int{
		"sourceId": len(f.SourceIDs), "sourceSystem": len(f.Systems), "environment": len(f.Environments),
	} {
		if length > maxValues {
			return tooMany(field, length)
		}
	}
	texts := append([]string{f.NamePrefix}, f.SourceIDs...)
	return textsReadable("filter", append(append(texts, f.Systems...), f.Environments...)...)
}

func (f EntityFilter) where() (w db.Where) {
	oneOf(&w, "e.status = ANY (@statuses)", "statuses", f.Statuses)
	oneOf(&w, "e.system = ANY (@systems)", "systems", f.Systems)
	oneOf(&w, "e.environment = ANY (@environments)", "environments", f.Environments)
	oneOf(&w, "e.external_id = ANY (@source_ids)", "source_ids", f.SourceIDs)
	if f.NamePrefix != "" {
		// A range on the index; a pattern would be no index condition behind
		// row level security. No text sorts between the prefix and its end.
		w.And("e.name >= @name_from AND e.name < @name_to", "name_from", f.NamePrefix)
		w.Arg("name_to", f.NamePrefix+"\U0010FFFF")
	}
	return w
}

func (f EntityFilter) digest(list string, organization id.ID) *id.Digest {
	return digestOf(list, organization, f)
}

func (f SyncFilter) where() (w db.Where) {
	oneOf(&w, "s.source_id = ANY (@sources)", "sources", f.SourceIDs)
	oneOf(&w, "s.outcome = ANY (@outcomes)", "outcomes", f.Outcomes)
	return w
}

func (f SyncFilter) digest(list string, organization id.ID) *id.Digest {
	return digestOf(list, organization, f)
}

// oneOf adds a condition on a list of values, if there are any. One value is put
// as a scalar would be: PostgreSQL reads = ANY of one element off the index in
// order.
func oneOf[T any](w *db.Where, condition, name string, values []T) {
	switch len(values) {
	case 0:
	case 1:
		w.And(strings.Replace(condition, "ANY (@"+name+")", "@"+name, 1), name, values[0])
	default:
		w.And(condition, name, values)
	}
}

// digestOf binds a cursor to a list of an organization under a filter.
func digestOf(list string, organization id.ID, filter any) *id.Digest {
	bytes, err := json.Marshal(filter)
	if err != nil {
		panic(err) // filters are plain values
	}
	return id.New("list/1").Text(list).ID(organization).Bytes(bytes)
}

func tooMany(field string, length int) error {
	return problem.New(problem.Invalid, "FILTER_TOO_LARGE", "the filter names %d values for %s; it can name %d", length, field, maxValues).On(field)
}

func textsReadable(field string, texts ...string) error {
	if bad := badKey(texts...); bad != "" {
		return problem.New(problem.Invalid, "BAD_USER_INPUT", "the filter has text that %s", bad).On(field)
	}
	return nil
}

// PathOrder is how a list of paths is sorted. The id breaks ties, in the same
// direction, so that a cursor is one row comparison.
type PathOrder struct {
	Field      PathOrderField
	Descending bool
}

// PathOrderField is what a list of paths can be sorted by.
type PathOrderField string

// The sort fields.
const (
	BySensitivity PathOrderField = "sensitivity"
	ByFirstSeen   PathOrderField = "first_seen"
)

func (o PathOrder) direction() string {
	if o.Descending {
		return "descending"
	}
	return "ascending"
}

func (o PathOrder) keys() []sortKey {
	if o.Field == ByFirstSeen {
		return []sortKey{{"p.first_seen_at", timeKey}, {"p.id", idKey}}
	}
	return []sortKey{{"p.sensitivity", numberKey}, {"p.id", idKey}}
}

func (o PathOrder) values(path *Path) []string {
	if o.Field == ByFirstSeen {
		return []string{path.FirstSeenAt.UTC().Format(time.RFC3339Nano), path.ID.String()}
	}
	return []string{strconv.Itoa(int(path.Sensitivity)), path.ID.String()}
}

// sortKey is a column of a list's order and how its cursor value is read.
type sortKey struct {
	column string
	parse  func(string) (any, error)
}

func textKey(text string) (any, error) {
	if badText(text) != "" {
		return nil, fmt.Errorf("no readable text")
	}
	return text, nil
}
func idKey(text string) (any, error)     { return uuidOf(text) }
func numberKey(text string) (any, error) { return strconv.ParseInt(text, 10, 64) }
func timeKey(text string) (any, error)   { return time.Parse(time.RFC3339Nano, text) }

// listing is a page of a sorted list.
type listing struct {
	page       page.Page
	keys       []sortKey
	descending bool
}

// query puts filter, order and cursors into a list's statement.
func (l listing) query(query db.Query, where db.Where) (db.Query, pgx.StrictNamedArgs, error) {
	if err := l.bound(&where, "after", l.page.After, !l.descending); err != nil {
		return query, nil, err
	}
	if err := l.bound(&where, "before", l.page.Before, l.descending); err != nil {
		return query, nil, err
	}
	where.Arg("limit", l.page.Size+1)
	return query.Where(where).With("order", l.order()), where.Args(), nil
}

// everyStatus puts a list of paths of both statuses together from the page of
// each: the index that gives the order begins with the status.
func (l listing) everyStatus(query db.Query, where db.Where) (db.Query, pgx.StrictNamedArgs, error) {
	var parts []string
	var args pgx.StrictNamedArgs
	for _, status := range []PathStatus{PathActive, PathRemoved} {
		one := where.Clone()
		one.Plain("p.status = '" + string(status) + "'")
		part, partArgs, err := l.query(query, one)
		if err != nil {
			return query, nil, err
		}
		parts, args = append(parts, "("+part.SQL+")"), partArgs
	}
	query.SQL = "/* " + query.Name + " */ SELECT p.* FROM (" + strings.Join(parts, " UNION ALL ") + ") p " + l.order() + " LIMIT @limit"
	return query, args, nil
}

// order is the list's ORDER BY, turned round for a page that is read backwards.
func (l listing) order() string {
	direction := " ASC"
	if l.descending != l.page.Backward {
		direction = " DESC"
	}
	columns := make([]string, len(l.keys))
	for i, key := range l.keys {
		columns[i] = key.column + direction
	}
	return "ORDER BY " + strings.Join(columns, ", ")
}

// bound adds the comparison of the sort keys with a cursor.
func (l listing) bound(where *db.Where, name string, values []string, greater bool) error {
	if values == nil {
		return nil
	}
	operator := "<"
	if greater {
		operator = ">"
	}
	columns, names := make([]string, len(l.keys)), make([]string, len(l.keys))
	for i, key := range l.keys {
		value, err := key.parse(values[i])
		if err != nil {
			return cursorOfAnotherList()
		}
		names[i] = fmt.Sprintf("@%s_%d", name, i)
		columns[i] = key.column
		where.Arg(names[i][1:], value)
	}
	where.Plain(fmt.Sprintf("(%s) %s (%s)", strings.Join(columns, ", "), operator, strings.Join(names, ", ")))
	return nil
}

func uuidOf(text string) (any, error) { return id.Parse(text) }
