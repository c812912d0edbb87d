package authority

import (
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
	Exposures       int32   // bits of exposure types, one of which is active
	MaxSeverities   []int16 // of the highest active exposure; see package rule
	Clusters        []int16 // by their numbers
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

func (f PathFilter) check() error {
	for field, length := range map[string]int{
		"dataDomain": len(f.DataDomains), "workload": len(f.WorkloadIDs), "identity": len(f.IdentityIDs), "destination": len(f.ResourceIDs),
		"cluster": len(f.Clusters),
	} {
		if err := page.Bounded(field, length); err != nil {
			return err
		}
	}
	return ReadableFilter("dataDomain", append([]string{f.System}, f.DataDomains...)...)
}

// Empty says whether the filter narrows nothing.
func (f PathFilter) Empty() bool {
	where := f.where()
	return where.Args() == nil
}

// indexed says whether the filter has an index of its own to read from.
func (f PathFilter) indexed() bool {
	return len(f.DataDomains)+len(f.WorkloadIDs)+len(f.IdentityIDs)+len(f.ResourceIDs) > 0
}

func (f PathFilter) where() (w db.Where) {
	page.OneOf(&w, "p.status = ANY (@statuses)", "statuses", f.Statuses)
	page.OneOf(&w, "p.data_domain = ANY (@domains)", "domains", f.DataDomains)
	page.OneOf(&w, "p.sensitivity = ANY (@sensitivities)", "sensitivities", f.Sensitivities)
	page.OneOf(&w, "p.ownership_status = ANY (@ownership)", "ownership", f.Ownership)
	page.OneOf(&w, "p.egress_category = ANY (@egress)", "egress", f.Egress)
	page.OneOf(&w, "p.workload_id = ANY (@workloads)", "workloads", f.WorkloadIDs)
	page.OneOf(&w, "p.identity_id = ANY (@identities)", "identities", f.IdentityIDs)
	page.OneOf(&w, "p.resource_id = ANY (@resources)", "resources", f.ResourceIDs)
	if f.Effective != nil {
		w.And("p.effective = @effective", "effective", *f.Effective)
	}
	if f.Bound != nil {
		w.And("(p.identity_id IS NOT NULL) = @bound", "bound", *f.Bound)
	}
	if f.System != "" {
		// Whose system it is never changes.
		w.And("EXISTS (SELECT FROM /* bare any */ entity s WHERE s.organization_id = p.organization_id AND s.id = p.workload_id AND s.system = @system)", "system", f.System)
	}
	if f.Exposures != 0 {
		w.And("p.acknowledged_mask & @exposures <> 0", "exposures", f.Exposures)
	}
	page.OneOf(&w, "p.max_exposure_severity = ANY (@max_severities)", "max_severities", f.MaxSeverities)
	if len(f.Clusters) > 0 {
		// Up to the level at which exposures count that somebody acknowledged.
		w.And(`EXISTS (SELECT FROM cluster_member m WHERE m.organization_id = @organization AND m.cluster = ANY (@in_clusters)
			AND m.path_id = p.id AND /* open */ m.to_at IS NULL AND m.level <= 2)`, "in_clusters", f.Clusters)
	}
	if f.FirstSeenAfter != nil {
		w.And("p.first_seen_at >= @first_seen_after", "first_seen_after", *f.FirstSeenAfter)
	}
	if f.FirstSeenBefore != nil {
		w.And("p.first_seen_at < @first_seen_before", "first_seen_before", *f.FirstSeenBefore)
	}
	return w
}

func (f PathFilter) digest(list string, organization id.ID, at *time.Time) *id.Digest {
	return page.BindingAt(at, list, organization, f)
}

func (f EntityFilter) check() error {
	for field, length := range map[string]int{
		"sourceId": len(f.SourceIDs), "sourceSystem": len(f.Systems), "environment": len(f.Environments),
	} {
		if err := page.Bounded(field, length); err != nil {
			return err
		}
	}
	texts := append([]string{f.NamePrefix}, f.SourceIDs...)
	return ReadableFilter("filter", append(append(texts, f.Systems...), f.Environments...)...)
}

func (f EntityFilter) where() (w db.Where) {
	page.OneOf(&w, "e.status = ANY (@statuses)", "statuses", f.Statuses)
	page.OneOf(&w, "e.system = ANY (@systems)", "systems", f.Systems)
	page.OneOf(&w, "e.environment = ANY (@environments)", "environments", f.Environments)
	page.OneOf(&w, "e.external_id = ANY (@source_ids)", "source_ids", f.SourceIDs)
	if f.NamePrefix != "" {
		// A range on the index; a pattern would be no index condition behind
		// row level security. No text sorts between the prefix and its end.
		w.And("e.name >= @name_from AND e.name < @name_to", "name_from", f.NamePrefix)
		w.Arg("name_to", f.NamePrefix+"\U0010FFFF")
	}
	return w
}

func (f EntityFilter) digest(list string, organization id.ID, at *time.Time) *id.Digest {
	return page.BindingAt(at, list, organization, f)
}

func (f SyncFilter) where() (w db.Where) {
	page.OneOf(&w, "s.source_id = ANY (@sources)", "sources", f.SourceIDs)
	page.OneOf(&w, "s.outcome = ANY (@outcomes)", "outcomes", f.Outcomes)
	return w
}

func (f SyncFilter) digest(list string, organization id.ID, at *time.Time) *id.Digest {
	return page.BindingAt(at, list, organization, f)
}

// ReadableFilter refuses texts of a filter that no column can hold.
func ReadableFilter(field string, texts ...string) error {
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
	ByRank        PathOrderField = "rank" // of lists of a cluster alone: the gravest exposure, then sensitivity
)

func (o PathOrder) direction() string {
	if o.Descending {
		return "descending"
	}
	return "ascending"
}

func (o PathOrder) keys() []page.Key {
	if o.Field == ByFirstSeen {
		return []page.Key{{Column: "p.first_seen_at", Parse: page.TimeKey}, {Column: "p.id", Parse: page.IDKey}}
	}
	return []page.Key{{Column: "p.sensitivity", Parse: page.SmallKey}, {Column: "p.id", Parse: page.IDKey}}
}

func (o PathOrder) values(path *Path) []string {
	if o.Field == ByFirstSeen {
		return []string{page.Stamp(path.FirstSeenAt), path.ID.String()}
	}
	return []string{strconv.Itoa(int(path.Sensitivity)), path.ID.String()}
}

// everyStatus puts a list of paths of both statuses together from the page of
// each: the index that gives the order begins with the status.
func everyStatus(l page.Listing, query db.Query, where db.Where) (db.Query, pgx.StrictNamedArgs, error) {
	var parts, pasts []string
	var args pgx.StrictNamedArgs
	for _, status := range []PathStatus{PathActive, PathRemoved} {
		one := where.Clone()
		one.Plain("p.status = '" + string(status) + "'")
		part, partArgs, err := l.Query(query, one)
		if err != nil {
			return query, nil, err
		}
		parts, pasts, args = append(parts, "("+part.SQL+")"), append(pasts, "("+part.Past+")"), partArgs
	}
	together := func(parts []string) string {
		return "/* " + query.Name + " */ SELECT p.* FROM (" + strings.Join(parts, " UNION ALL ") + ") p " + l.Order() + " LIMIT @limit"
	}
	return db.Query{Name: query.Name, SQL: together(parts), Past: together(pasts)}, args, nil
}
