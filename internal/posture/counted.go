package posture

import (
	"context"
	_ "embed"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

//go:embed counted.sql
var countedSQL string

var countedQueries = db.Parse("posture.counted", countedSQL)

// Count names one of the numbers of a posture.
type Count string

// The counts.
const (
	CountActivePaths       Count = "active_paths"
	CountDormantPaths      Count = "dormant_paths"
	CountSensitivePaths    Count = "sensitive_paths"
	CountExecutedPaths     Count = "executed_paths"
	CountUnwatchedPaths    Count = "unwatched_paths"
	CountExecutions        Count = "total_executions_30d"
	CountInvalid           Count = "ownership_invalid"
	CountExecutedInvalid   Count = "executed_invalid_ownership"
	CountIdentities        Count = "identities"
	CountActiveIdentities  Count = "active_identities"
	CountActiveAutonomous  Count = "active_autonomous_identities"
	CountDormantIdentities Count = "dormant_identities"
	CountWorkloads         Count = "workloads"
	CountAutonomous        Count = "autonomous_workloads"
	CountOperatorAssisted  Count = "operator_assisted_workloads"
	CountHumanTriggered    Count = "human_triggered_workloads"
	CountUnclassified      Count = "unclassified_workloads"
	CountListed            Count = "workload_exposures"
	CountCritical          Count = "critical_workload_exposures"
	CountHigh              Count = "high_workload_exposures"
	CountMedium            Count = "medium_workload_exposures"
	CountLow               Count = "low_workload_exposures"
	CountHarmless          Count = "workload_exposures_without_severity"
	CountNewPaths          Count = "new_paths"
	CountRemovedPaths      Count = "removed_paths"
	CountNewOrphaned       Count = "new_orphaned"
	CountInvalidations     Count = "ownership_invalidations"
	CountNewAutonomous     Count = "new_autonomous_identities"
)

// List is a list that gives the rows of a count by a filter of its own.
type List string

// The lists.
const (
	ListPaths             List = "authority_paths"
	ListWorkloadExposures List = "workload_exposures"
)

// CountFilter is a list, and a filter of it that gives exactly the rows of a count.
type CountFilter struct {
	List          List
	Sensitivities []authority.Sensitivity
	Ownership     []authority.OwnershipStatus
	Severities    []rule.Severity
	Harmless      bool // and none of any severity
}

// Counting says what a number of a posture counts.
type Counting struct {
	Count      Count
	Definition string // where docs/posture.md defines it: the field
	Event      bool   // it counts what happened since a snapshot, and not what is
	Filter     *CountFilter
	value      func(*Posture) *int64
	rows       string // a statement of counted.sql
	condition  string
}

// Countings are the numbers of a posture, in the order of the schema.
var Countings = []Counting{
	path(CountActivePaths, "activePaths", "true", &CountFilter{List: ListPaths}, func(p *Posture) int64 { return p.Paths }),
	path(CountDormantPaths, "dormantPaths", "p.accepted_mask & @dormant::integer <> 0", nil, func(p *Posture) int64 { return p.DormantPaths }),
	path(CountSensitivePaths, "sensitivePaths", "p.sensitivity >= 3",
		&CountFilter{List: ListPaths, Sensitivities: []authority.Sensitivity{authority.Confidential, authority.Restricted}}, func(p *Posture) int64 { return p.SensitivePaths }),
	path(CountExecutedPaths, "executedPaths", "p.execution_30d > 0", nil, func(p *Posture) int64 { return p.ExecutedPaths }),
	path(CountUnwatchedPaths, "unwatchedPaths", "p.execution_30d IS NULL", nil, func(p *Posture) int64 { return p.UnwatchedPaths }),
	{Count: CountExecutions, Definition: "totalExecutions30d", rows: "executions", value: stated(func(p *Posture) int64 { return p.Executions })},
	path(CountInvalid, "ownershipInvalidCount", "p.ownership_status IN ('orphaned', 'degraded')",
		&CountFilter{List: ListPaths, Ownership: []authority.OwnershipStatus{authority.OwnershipOrphaned, authority.OwnershipDegraded}}, func(p *Posture) int64 { return p.InvalidPaths }),
	path(CountExecutedInvalid, "executedInvalidOwnershipCount", "p.ownership_status IN ('orphaned', 'degraded') AND p.execution_30d > 0", nil,
		func(p *Posture) int64 { return p.ExecutedInvalidPaths }),

	identity(CountActiveAutonomous, "identityCounts.activeAutonomous", "i.autonomous", func(p *Posture) int64 { return p.ActiveAutonomous }),
	identity(CountDormantIdentities, "identityCounts.dormantAuthority", "i.effective_paths > 0 AND i.dormant_paths = i.effective_paths",
		func(p *Posture) int64 { return p.DormantIdentities }),
	identity(CountActiveIdentities, "identityCounts.active", "i.executed_paths > 0", func(p *Posture) int64 { return p.ActiveIdentities }),
	identity(CountIdentities, "identityCounts.total", "true", func(p *Posture) int64 { return p.Identities }),

	workload(CountAutonomous, "workloadCounts.autonomous", "w.execution_mode = 'autonomous'", nil, func(p *Posture) int64 { return p.Autonomous }),
	workload(CountOperatorAssisted, "workloadCounts.operatorAssisted", "w.execution_mode = 'operator_assisted'", nil, func(p *Posture) int64 { return p.OperatorAssisted }),
	workload(CountHumanTriggered, "workloadCounts.humanTriggered", "w.execution_mode = 'human_triggered'", nil, func(p *Posture) int64 { return p.HumanTriggered }),
	workload(CountUnclassified, "workloadCounts.unclassified", "coalesce(w.execution_mode, '') NOT IN ('autonomous', 'operator_assisted', 'human_triggered')", nil,
		func(p *Posture) int64 { return p.Unclassified }),
	workload(CountWorkloads, "workloadCounts.total", "true", nil, func(p *Posture) int64 { return p.Workloads }),

	listed(CountCritical, "workloadExposureCounts.critical", "w.max_severity = 4", &CountFilter{Severities: []rule.Severity{rule.Critical}}, func(p *Posture) int64 { return p.Critical }),
	listed(CountHigh, "workloadExposureCounts.high", "w.max_severity = 3", &CountFilter{Severities: []rule.Severity{rule.High}}, func(p *Posture) int64 { return p.High }),
	listed(CountMedium, "workloadExposureCounts.medium", "w.max_severity = 2", &CountFilter{Severities: []rule.Severity{rule.Medium}}, func(p *Posture) int64 { return p.Medium }),
	listed(CountLow, "workloadExposureCounts.low", "w.max_severity = 1", &CountFilter{Severities: []rule.Severity{rule.Low}}, func(p *Posture) int64 { return p.Low }),
	listed(CountHarmless, "workloadExposureCounts.none", "w.max_severity = 0", &CountFilter{Harmless: true},
		func(p *Posture) int64 { return p.Listed - p.Critical - p.High - p.Medium - p.Low }),
	listed(CountListed, "workloadExposureCounts.total", "true", &CountFilter{}, func(p *Posture) int64 { return p.Listed }),

	pathEvent(CountNewPaths, "newPaths", "n.status = 'active' AND (o.id IS NULL OR o.status = 'removed')", func(d *Delta) *int64 { return d.NewPaths }),
	pathEvent(CountRemovedPaths, "removedPaths", "n.status = 'removed' AND o.status = 'active'", func(d *Delta) *int64 { return d.RemovedPaths }),
	pathEvent(CountNewOrphaned, "newOrphaned",
		"n.status = 'active' AND n.ownership_status = 'orphaned' AND (o.id IS NULL OR o.status = 'removed' OR o.ownership_status <> 'orphaned')",
		func(d *Delta) *int64 { return d.NewOrphaned }),
	pathEvent(CountInvalidations, "ownershipInvalidations",
		"n.status = 'active' AND n.ownership_status IN ('orphaned', 'degraded') AND (o.id IS NULL OR o.status = 'removed' OR o.ownership_status NOT IN ('orphaned', 'degraded'))",
		func(d *Delta) *int64 { return d.OwnershipInvalidations }),
	{Count: CountNewAutonomous, Definition: "newAutonomousIdentities", Event: true, rows: "identity_events",
		value: since(func(d *Delta) *int64 { return d.NewAutonomousIdentities })},
}

func stated(value func(*Posture) int64) func(*Posture) *int64 {
	return func(p *Posture) *int64 {
		n := value(p)
		return &n
	}
}

func since(value func(*Delta) *int64) func(*Posture) *int64 {
	return func(p *Posture) *int64 {
		d := p.Delta()
		if d == nil {
			return nil
		}
		return value(d)
	}
}

func path(count Count, definition, condition string, filter *CountFilter, value func(*Posture) int64) Counting {
	return Counting{Count: count, Definition: definition, Filter: filter, value: stated(value), rows: "paths", condition: condition}
}

func identity(count Count, definition, condition string, value func(*Posture) int64) Counting {
	return Counting{Count: count, Definition: definition, value: stated(value), rows: "identities", condition: condition}
}

func workload(count Count, definition, condition string, filter *CountFilter, value func(*Posture) int64) Counting {
	return Counting{Count: count, Definition: definition, Filter: filter, value: stated(value), rows: "workloads", condition: condition}
}

func listed(count Count, definition, condition string, filter *CountFilter, value func(*Posture) int64) Counting {
	filter.List = ListWorkloadExposures
	return workload(count, definition, "w.listed AND "+condition, filter, value)
}

func pathEvent(count Count, definition, condition string, value func(*Delta) *int64) Counting {
	return Counting{Count: count, Definition: definition, Event: true, value: since(value), rows: "path_events", condition: condition}
}

// Explain finds what a count counts.
func Explain(count Count) (Counting, bool) {
	for _, c := range Countings {
		if c.Count == count {
			return c, true
		}
	}
	return Counting{}, false
}

// Value is the number as a posture has it; nil where it was not measured, or there
// is no snapshot to count from.
func (c Counting) Value(p *Posture) *int64 { return c.value(p) }

// CountedKind is what a row of a count is.
type CountedKind string

// The kinds.
const (
	CountedPath     CountedKind = "path"
	CountedWorkload CountedKind = "workload"
	CountedIdentity CountedKind = "identity"
)

// Counted is a row of a count.
type Counted struct {
	ID     id.ID
	Kind   CountedKind
	Amount int64      // how much of the number it is
	At     *time.Time // when it happened; of counts of events
}

// CountedPage is a page of the rows of a count with their cursors.
type CountedPage struct {
	page.Slice[*Counted]
	Cursor func(*Counted) string
}

// query is the statement of the rows, with its arguments. From is the snapshot
// that events are counted from.
func (c Counting) query(name string, from *Snapshot) (db.Query, pgx.StrictNamedArgs) {
	args := pgx.StrictNamedArgs{}
	if c.Event {
		args["since"] = from.At
	}
	if c.Count == CountDormantPaths {
		args["dormant"] = bit(rule.DormantPath)
	}
	return countedQueries.Get(name).With("rows", countedQueries.Get(c.rows).With("condition", c.condition).SQL), args
}

func (c Counting) keys() []page.Key {
	tie := page.Key{Column: "r.id", Parse: page.IDKey}
	if c.Event {
		return []page.Key{{Column: "r.at", Parse: page.TimeKey}, tie}
	}
	return []page.Key{tie}
}

func (c Counting) values(row *Counted) []string {
	if c.Event {
		return []string{page.Stamp(*row.At), row.ID.String()}
	}
	return []string{row.ID.String()}
}

// Counted lists the rows that a posture counts in a number: by id or, where it
// counts what happened, by when it did. The posture is one that was read from the
// same snapshot of the database.
func (*Reader) Counted(ctx context.Context, snapshot *db.Snapshot, p *Posture, c Counting, request page.Request) (CountedPage, error) {
	q, err := access.Reader(ctx, snapshot, p.OrganizationID, access.View)
	if err != nil {
		return CountedPage{}, err
	}
	bound := page.BindingOf("counted in "+string(c.Count), p.OrganizationID, nil)
	if c.Event && p.From != nil {
		bound = bound.Text(page.Stamp(p.From.At))
	}
	binding := bound.Short()
	asked, err := request.Resolve(binding, len(c.keys()))
	if err != nil || c.Event && p.From == nil {
		return CountedPage{}, err
	}
	base, args := c.query("page", p.From)
	var where db.Where
	for name, value := range args {
		where.Arg(name, value)
	}
	query, args, err := page.Listing{Page: asked, Keys: c.keys()}.Query(base, where)
	if err != nil {
		return CountedPage{}, err
	}
	rows, err := db.Select[Counted](ctx, q, query, args)
	return CountedPage{Slice: page.Cut(asked, rows), Cursor: func(r *Counted) string { return page.Cursor(binding, c.values(r)...) }}, err
}

// CountCounted counts the rows, and adds up what they are of the number.
func (*Reader) CountCounted(ctx context.Context, snapshot *db.Snapshot, p *Posture, c Counting) (rows, amount int64, err error) {
	q, err := access.Reader(ctx, snapshot, p.OrganizationID, access.View)
	if err != nil || c.Event && p.From == nil {
		return 0, 0, err
	}
	type total struct{ Rows, Amount int64 }
	query, args := c.query("total", p.From)
	found, err := db.First[total](ctx, q, query, args)
	if err != nil {
		return 0, 0, err
	}
	return found.Rows, found.Amount, nil
}
