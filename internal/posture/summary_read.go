package posture

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// DeltaBack is how far before the organization's clock a delta begins if nothing
// else is asked.
const DeltaBack = 7 * 24 * time.Hour

// Sums are what an organization comes to, over all classes.
type Sums struct {
	Paths                int64
	SensitivePaths       int64
	DormantPaths         int64
	ExecutedPaths        int64
	UnwatchedPaths       int64
	InvalidPaths         int64 // of workloads whose ownership is orphaned or degraded
	ExecutedInvalidPaths int64
	Executions           int64 // within the window, each counted once
	Workloads            int64
	Autonomous           int64
	OperatorAssisted     int64
	HumanTriggered       int64
	Unclassified         int64
	Listed               int64 // workload exposures in lists
	Critical             int64
	High                 int64
	Medium               int64
	Low                  int64
	Identities           int64
	ActiveIdentities     int64
	ActiveAutonomous     int64
	DormantIdentities    int64
}

// Events are how often something has happened so far.
type Events struct {
	PathsAdded       int64
	PathsRemoved     int64
	PathsOrphaned    int64
	PathsInvalidated int64
	AutonomousGained int64
}

// Posture is what an organization comes to now.
type Posture struct {
	OrganizationID id.ID
	At             time.Time // the organization's clock
	Sums
	Events
	Sources []authority.Source
	From    *Snapshot // what the delta begins with; nil if there is none so old
}

// Delta is what has happened since a snapshot. A number is nil where the
// snapshot does not have what it is counted from.
type Delta struct {
	Since                   *Snapshot
	NewPaths                *int64
	RemovedPaths            *int64
	NewOrphaned             *int64
	OwnershipInvalidations  *int64
	NewAutonomousIdentities *int64
}

// Delta is what has happened since From; nil without it.
func (p *Posture) Delta() *Delta {
	if p.From == nil {
		return nil
	}
	less := func(now int64, then *int64) *int64 {
		if then == nil {
			return nil
		}
		since := now - *then
		return &since
	}
	return &Delta{
		Since: p.From, NewPaths: less(p.PathsAdded, p.From.PathsAdded), RemovedPaths: less(p.PathsRemoved, p.From.PathsRemoved),
		NewOrphaned: less(p.PathsOrphaned, p.From.PathsOrphaned), OwnershipInvalidations: less(p.PathsInvalidated, p.From.PathsInvalidated),
		NewAutonomousIdentities: less(p.AutonomousGained, p.From.AutonomousGained),
	}
}

// LastRefresh is the newest complete delivery of any source; nil without one.
func (p *Posture) LastRefresh() (newest *time.Time) {
	for _, source := range p.Sources {
		if at := source.LastCompleteAt; at != nil && (newest == nil || at.After(*newest)) {
			newest = at
		}
	}
	return newest
}

// Snapshot is what an organization came to at an instant. What was not measured
// then is nil. It is read as a row and, beside a posture, as a JSON object.
type Snapshot struct {
	OrganizationID       id.ID                     `json:"organization_id"`
	At                   time.Time                 `json:"at"`
	SyncID               *id.ID                    `json:"sync_id"`
	Paths                int64                     `json:"paths"`
	DormantPaths         int64                     `json:"dormant_paths"`
	Executions           int64                     `json:"executions"`
	InvalidPaths         int64                     `json:"invalid_paths"`
	ExecutedInvalidPaths int64                     `json:"executed_invalid_paths"`
	SensitivePaths       *int64                    `json:"sensitive_paths"`
	Workloads            *int64                    `json:"workloads"`
	Autonomous           *int64                    `json:"autonomous"`
	OperatorAssisted     *int64                    `json:"operator_assisted"`
	HumanTriggered       *int64                    `json:"human_triggered"`
	Unclassified         *int64                    `json:"unclassified"`
	Identities           *int64                    `json:"identities"`
	ActiveIdentities     *int64                    `json:"active_identities"`
	ActiveAutonomous     *int64                    `json:"active_autonomous"`
	DormantIdentities    *int64                    `json:"dormant_identities"`
	PathsAdded           *int64                    `json:"paths_added"`
	PathsRemoved         *int64                    `json:"paths_removed"`
	PathsOrphaned        *int64                    `json:"paths_orphaned"`
	PathsInvalidated     *int64                    `json:"paths_invalidated"`
	AutonomousGained     *int64                    `json:"autonomous_gained"`
	Clusters             map[string]ClusterSummary `json:"clusters"` // by key
}

// ClusterSummary is what a cluster came to.
type ClusterSummary struct {
	Paths      int64 `json:"paths"`
	Executions int64 `json:"executions"`
}

// Posture gives what the organization comes to, with the last snapshot at since
// or before; nil for one that was never judged.
func (*Reader) Posture(ctx context.Context, snapshot *db.Snapshot, organization id.ID, since *time.Time) (*Posture, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	type row struct {
		At *time.Time
		Sums
		Events
		Sources []authority.Source
		From    *Snapshot
		Judged  bool
	}
	found, err := db.First[row](ctx, q, readQueries.Get("posture"), pgx.StrictNamedArgs{"since": since, "back": DeltaBack, "all_classes": AllClasses})
	if err != nil || !found.Judged || found.At == nil {
		return nil, err
	}
	p := &Posture{OrganizationID: organization, At: *found.At, Sums: found.Sums, Events: found.Events, Sources: found.Sources, From: found.From}
	if access.Limited(ctx) {
		err = countPart(ctx, snapshot, p)
	}
	return p, err
}

// SnapshotFilter narrows a list of snapshots.
type SnapshotFilter struct {
	From *time.Time // then or later
	To   *time.Time // before
}

func (f SnapshotFilter) where() (w db.Where) {
	if f.From != nil {
		w.And("s.at >= @from_at", "from_at", *f.From)
	}
	if f.To != nil {
		w.And("s.at < @to_at", "to_at", *f.To)
	}
	return w
}

func (f SnapshotFilter) check() error {
	if f.From != nil && f.To != nil && f.To.Before(*f.From) {
		return problem.New(problem.Invalid, "INTERVAL_EMPTY", "the interval ends before it begins; swap from and to").On("filter")
	}
	return nil
}

// SnapshotPage is a page of snapshots with the cursors of its rows.
type SnapshotPage struct {
	page.Slice[*Snapshot]
	Cursor func(*Snapshot) string
}

// Snapshots lists snapshots by their instants.
func (*Reader) Snapshots(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter SnapshotFilter, descending bool, request page.Request) (SnapshotPage, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return SnapshotPage{}, err
	}
	if err := filter.check(); err != nil {
		return SnapshotPage{}, err
	}
	bound := page.BindingAt(snapshot.Instant(), "posture snapshots", organization, filter)
	if descending {
		bound = bound.Text("descending")
	}
	binding := bound.Short()
	p, err := request.Resolve(binding, 1)
	if err != nil {
		return SnapshotPage{}, err
	}
	list := page.Listing{Page: p, Keys: []page.Key{{Column: "s.at", Parse: page.TimeKey}}, Descending: descending}
	query, args, err := list.Query(readQueries.Get("snapshots_page"), filter.where())
	if err != nil {
		return SnapshotPage{}, err
	}
	rows, err := db.Select[Snapshot](ctx, q, query, args)
	if err == nil && access.Limited(ctx) {
		err = countThen(ctx, snapshot, organization, rows)
	}
	return SnapshotPage{Slice: page.Cut(p, rows), Cursor: func(s *Snapshot) string { return page.Cursor(binding, page.Stamp(s.At)) }}, err
}

// CountSnapshots counts what Snapshots lists.
func (*Reader) CountSnapshots(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter SnapshotFilter) (int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return 0, err
	}
	where := filter.where()
	counts, err := db.Column[int64](ctx, q, readQueries.Get("count_snapshots").Where(where), where.Args())
	if err != nil {
		return 0, err
	}
	return int(counts[0]), nil
}
