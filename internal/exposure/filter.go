package exposure

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Filter narrows a list of exposures. Conditions join with AND, the values of
// one condition with OR; an empty condition narrows nothing.
type Filter struct {
	Types           []rule.Type
	Severities      []rule.Severity
	Statuses        []Status
	DataDomains     []string
	Sensitivities   []authority.Sensitivity
	Ownership       []authority.OwnershipStatus
	Clusters        []int16 // of which the path is a member, by their numbers
	WorkloadIDs     []id.ID
	PathIDs         []id.ID
	EffectiveAfter  *time.Time
	EffectiveBefore *time.Time
	DetectedAfter   *time.Time
	DetectedBefore  *time.Time
}

// Unresolved are the statuses of what somebody still has to look at.
func Unresolved() []Status { return []Status{StatusActive, StatusAcknowledged} }

func (f Filter) check() error {
	for field, length := range map[string]int{
		"dataDomain": len(f.DataDomains), "workload": len(f.WorkloadIDs), "path": len(f.PathIDs), "cluster": len(f.Clusters),
	} {
		if err := page.Bounded(field, length); err != nil {
			return err
		}
	}
	return authority.ReadableFilter("dataDomain", f.DataDomains...)
}

// Where are the conditions for a statement that reads the rows x of exposure.
func (f Filter) Where() (db.Where, error) {
	if err := f.check(); err != nil {
		return db.Where{}, err
	}
	return f.where(), nil
}

func (f Filter) where() (w db.Where) {
	page.OneOf(&w, "x.type = ANY (@types)", "types", f.Types)
	page.OneOf(&w, "x.severity = ANY (@severities)", "severities", f.Severities)
	f.status(&w)
	page.OneOf(&w, "x.path_id = ANY (@path_ids)", "path_ids", f.PathIDs)
	f.path(&w)
	if len(f.Clusters) > 0 {
		// Up to the level at which exposures count that somebody acknowledged.
		w.And(`EXISTS (SELECT FROM /* bare */ cluster_member m WHERE m.organization_id = @organization AND m.cluster = ANY (@clusters)
			AND m.path_id = x.path_id AND /* open */ m.to_at IS NULL AND m.level <= 2)`, "clusters", f.Clusters)
	}
	for _, bound := range []struct {
		condition, name string
		at              *time.Time
	}{
		{"x.effective_from >= @effective_after", "effective_after", f.EffectiveAfter},
		{"x.effective_from < @effective_before", "effective_before", f.EffectiveBefore},
		{"x.from_at >= @detected_after", "detected_after", f.DetectedAfter},
		{"x.from_at < @detected_before", "detected_before", f.DetectedBefore},
	} {
		if bound.at != nil {
			w.And(bound.condition, bound.name, *bound.at)
		}
	}
	return w
}

// parts keeps a list's past from reading parts in which the filter has nothing.
func (f Filter) parts(list db.Query) db.Query {
	none := " AND false"
	switch {
	case len(f.Statuses) == 0:
	case !slices.Contains(f.Statuses, StatusResolved):
		return list.With("resolved", none)
	case len(f.Statuses) == 1:
		return list.With("standing", none)
	}
	return list
}

// status says which intervals and dispositions the statuses stand for. That an
// interval is open is said apart, because the index of the list is of those.
func (f Filter) status(w *db.Where) {
	var dispositions []Disposition
	resolved := false
	for _, status := range f.Statuses {
		switch status {
		case StatusActive:
			dispositions = append(dispositions, DispositionOpen)
		case StatusAcknowledged:
			dispositions = append(dispositions, DispositionAcknowledged, DispositionRiskAccepted)
		case StatusFalsePositive:
			dispositions = append(dispositions, DispositionFalsePositive)
		case StatusResolved:
			resolved = true
		}
	}
	switch {
	case len(f.Statuses) == 0:
	case resolved && len(dispositions) == 0:
		w.Plain("x.to_at IS NOT NULL")
	case resolved:
		w.And("x.to_at IS NOT NULL OR x.disposition = ANY (@dispositions)", "dispositions", dispositions)
	default:
		w.Plain("x.to_at IS NULL")
		w.And("x.disposition = ANY (@dispositions)", "dispositions", dispositions)
	}
}

// path narrows by what stands in the path's row. The exposure's own workload is
// not in an index; the path's is.
func (f Filter) path(w *db.Where) {
	var p db.Where
	page.OneOf(&p, "p.workload_id = ANY (@workloads)", "workloads", f.WorkloadIDs)
	page.OneOf(&p, "p.data_domain = ANY (@domains)", "domains", f.DataDomains)
	page.OneOf(&p, "p.sensitivity = ANY (@sensitivities)", "sensitivities", f.Sensitivities)
	page.OneOf(&p, "p.ownership_status = ANY (@ownership)", "ownership", f.Ownership)
	if p.Args() == nil {
		return
	}
	exists := db.Query{SQL: "EXISTS (SELECT FROM /* at */ authority_path p WHERE p.organization_id = @organization AND p.id = x.path_id /* where */)"}
	if len(f.DataDomains)+len(f.Sensitivities)+len(f.Ownership) == 0 {
		exists.SQL = strings.Replace(exists.SQL, "/* at */", "/* bare any */", 1) // whose a path is never changes
	}
	w.Plain(exists.Where(p).SQL)
	for name, value := range p.Args() {
		w.Arg(name, value)
	}
}

// Order is how a list of exposures is sorted. The key breaks ties.
type Order struct {
	Field      OrderField
	Descending bool
}

// OrderField is what a list of exposures can be sorted by.
type OrderField string

// The sort fields.
const (
	BySeverity   OrderField = "severity"
	ByDetectedAt OrderField = "detected_at"
	ByResolvedAt OrderField = "resolved_at" // of lists of resolved exposures alone
)

func (o Order) check(f Filter) error {
	if o.Field == ByResolvedAt && !slices.Equal(f.Statuses, []Status{StatusResolved}) {
		return problem.New(problem.Invalid, "ORDER_NEEDS_STATUS",
			"a list sorted by RESOLVED_AT needs the filter status: [RESOLVED]; sort by SEVERITY or DETECTED_AT").On("orderBy")
	}
	return nil
}

func (o Order) direction() string {
	if o.Descending {
		return "descending"
	}
	return "ascending"
}

func (o Order) keys() []page.Key {
	ties := []page.Key{
		{Column: "x.path_id", Parse: page.IDKey}, {Column: "x.type", Parse: page.SmallKey}, {Column: "x.ordinal", Parse: page.WholeKey}}
	from := page.Key{Column: "x.from_at", Parse: page.TimeKey}
	switch o.Field {
	case ByResolvedAt:
		return append([]page.Key{{Column: "x.to_at", Parse: page.TimeKey}}, ties...)
	case ByDetectedAt:
		return append([]page.Key{from}, ties...)
	}
	return append([]page.Key{{Column: "x.severity", Parse: page.SmallKey}, from}, ties...)
}

func (o Order) values(x *Exposure) []string {
	ties := []string{x.PathID.String(), strconv.Itoa(int(x.Type)), strconv.Itoa(x.Ordinal)}
	from := page.Stamp(x.FromAt)
	switch o.Field {
	case ByResolvedAt:
		return append([]string{page.Stamp(*x.ToAt)}, ties...)
	case ByDetectedAt:
		return append([]string{from}, ties...)
	}
	return append([]string{strconv.Itoa(int(x.Severity)), from}, ties...)
}

// binding binds a cursor to a list under a filter and an order.
func binding(at *time.Time, list string, organization id.ID, f Filter, o Order) *id.Digest {
	return page.BindingAt(at, list, organization, f).Text(string(o.Field)).Text(o.direction())
}
