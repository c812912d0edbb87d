package posture

import (
	"context"
	_ "embed"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed diff.sql
var diffSQL string

var diffQueries = db.Parse("posture.diff", diffSQL)

// Diff is what moved an organization from one instant to another.
type Diff struct {
	OrganizationID id.ID
	From, To       time.Time
	Changes        []Moved
	Causes         []*CauseCount
	Opened         []*TypeCount
	Resolved       []*ReasonCount
}

// Moved is a number of a posture that is another than it was. Of what happened in
// between, Before is 0.
type Moved struct {
	Count         Count
	Before, After int64
}

// Delta is by how much it moved.
func (m Moved) Delta() int64 { return m.After - m.Before }

// CauseKind is what moves an organization.
type CauseKind int

// The kinds of causes.
const (
	CauseSync       CauseKind = iota + 1 // the deliveries of a source
	CauseEvaluation                      // what was judged anew, for one reason
	CauseDecision                        // what people decided of exposures, in one way
)

// CauseCount is what came by one cause.
type CauseCount struct {
	Kind              CauseKind
	SourceID          *id.ID  // of deliveries
	Word              *string // why was judged, or the kind of the entries in the ledger
	Times             int64
	PathsAdded        int64
	PathsChanged      int64
	PathsRemoved      int64
	ExposuresOpened   int64
	ExposuresResolved int64
	FirstAt, LastAt   time.Time
}

// TypeCount is how many exposures of a type were opened.
type TypeCount struct {
	Type  rule.Type
	Count int64
}

// ReasonCount is how many exposures resolved for a reason.
type ReasonCount struct {
	Reason rule.Reason
	Count  int64
}

// Diff says what is other at an instant than it was at an earlier one, and by what;
// nil before anything has happened. Without a later instant it is the organization's
// clock, as it is for one that the clock has not reached.
func (*Reader) Diff(ctx context.Context, snapshot *db.Snapshot, organization id.ID, from time.Time, to *time.Time) (*Diff, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	type bounds struct{ First, Last *time.Time }
	known, err := db.First[bounds](ctx, q, diffQueries.Get("beginning"), nil)
	if err != nil || known.First == nil || known.Last == nil {
		return nil, err
	}
	end, err := within(from, to, *known.Last)
	if err != nil {
		return nil, err
	}
	if from.Before(*known.First) {
		return nil, problem.New(problem.Invalid, "ASOF_BEFORE_BEGINNING", "from is before anything happened; the first instant is %s", known.First.UTC().Format(time.RFC3339Nano)).On("from")
	}
	d := &Diff{OrganizationID: organization, From: from, To: end}
	if d.Changes, err = moved(ctx, q, from, end); err != nil {
		return nil, err
	}
	between := pgx.StrictNamedArgs{"from_at": from, "to_at": end}
	if d.Causes, err = db.Select[CauseCount](ctx, q, diffQueries.Get("causes"), pgx.StrictNamedArgs{"from_at": from, "to_at": end, "resolved": string(ledger.Resolved)}); err != nil {
		return nil, err
	}
	if d.Opened, err = db.Select[TypeCount](ctx, q, diffQueries.Get("opened_between"), between); err != nil {
		return nil, err
	}
	d.Resolved, err = db.Select[ReasonCount](ctx, q, diffQueries.Get("resolved_between"), between)
	return d, err
}

// within is the end of an interval that the clock has reached, if it is one.
func within(from time.Time, to *time.Time, clock time.Time) (time.Time, error) {
	end := clock
	if to != nil && to.Before(clock) {
		end = *to
	}
	if !from.Before(end) {
		return end, problem.New(problem.Invalid, "INTERVAL_EMPTY", "nothing lies between from and to; the organization's clock is at %s", clock.UTC().Format(time.RFC3339Nano)).On("from")
	}
	return end, nil
}

// sumUp is what an organization comes to at an instant.
type sumUp struct {
	Place int64
	Sums
	Events // until then; nothing for who sees a part
}

// sumsAt is what it comes to at each instant, whatever the querier's own.
func sumsAt(ctx context.Context, q db.Querier, ats ...time.Time) ([]*sumUp, error) {
	return db.Select[sumUp](ctx, q, diffQueries.Get("sums_at"), pgx.StrictNamedArgs{"ats": ats, "all_classes": AllClasses})
}

// sumsNow is what it comes to now, for who sees a part.
func sumsNow(ctx context.Context, q db.Querier) (*Sums, error) {
	return db.First[Sums](ctx, q, diffQueries.Get("sums_now"), pgx.StrictNamedArgs{"all_classes": AllClasses})
}

// moved are the numbers that are other at the second instant, in the order of
// Countings.
func moved(ctx context.Context, q db.Querier, from, to time.Time) ([]Moved, error) {
	at, err := sumsAt(ctx, q, from, to)
	if err != nil {
		return nil, err
	}
	then, now := at[0], at[1]
	if access.Limited(ctx) { // what has happened so far is not counted by class
		if now.Events, err = happened(ctx, q, from, to); err != nil {
			return nil, err
		}
	}
	before := &Posture{Sums: then.Sums}
	after := &Posture{Sums: now.Sums, Events: now.Events, From: &Snapshot{
		PathsAdded: &then.PathsAdded, PathsRemoved: &then.PathsRemoved, PathsOrphaned: &then.PathsOrphaned,
		PathsInvalidated: &then.PathsInvalidated, AutonomousGained: &then.AutonomousGained,
	}}
	changes := []Moved{}
	for _, c := range Countings {
		m := Moved{Count: c.Count}
		if value := c.value(after); value != nil {
			m.After = *value
		}
		if value := c.value(before); value != nil && !c.Event {
			m.Before = *value
		}
		if m.Delta() != 0 {
			changes = append(changes, m)
		}
	}
	return changes, nil
}

// MostBuckets bounds the points of a history.
const MostBuckets = 366

// Window is an interval that is divided evenly.
type Window struct {
	From, To int64 // in microseconds
	Buckets  int
}

// NewWindow checks an interval against the organization's clock.
func NewWindow(from time.Time, to *time.Time, buckets int, clock time.Time) (Window, error) {
	if buckets < 1 || buckets > MostBuckets {
		return Window{}, problem.New(problem.Invalid, "BUCKETS", "buckets is %d; it can be 1 to %d", buckets, MostBuckets).On("buckets")
	}
	end, err := within(from, to, clock)
	return Window{From: from.UnixMicro(), To: end.UnixMicro(), Buckets: buckets}, err
}

// ats are the beginning and the end of each part.
func (w Window) ats() []time.Time {
	ats := make([]time.Time, w.Buckets+1)
	for i := range ats {
		// Whole parts and the rest apart: the product of both may pass 64 bits.
		span, n, k := w.To-w.From, int64(w.Buckets), int64(i)
		ats[i] = time.UnixMicro(w.From + span/n*k + span%n*k/n).UTC()
	}
	return ats
}

// ClusterKey is a cluster, up to a level, in a window.
type ClusterKey struct {
	Cluster int16
	Level   Level
	Window  Window
}

// Point is what a cluster came to at the end of a part of a window.
type Point struct {
	At                                       time.Time
	Paths, Identities, Workloads, Executions int64
	Delta                                    int64 // of Paths, against the part before
}

// Histories give each cluster what it came to at the end of each part of its window.
func (*Reader) Histories(ctx context.Context, snapshot *db.Snapshot, organization id.ID, keys []ClusterKey) (map[ClusterKey][]Point, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	byWindow := map[Window][]ClusterKey{}
	for _, k := range keys {
		byWindow[k.Window] = append(byWindow[k.Window], k)
	}
	all := make(map[ClusterKey][]Point, len(keys))
	for window, keys := range byWindow {
		if err := histories(ctx, q, window, keys, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// clusterAt is what a cluster came to, up to a level, at one of several instants.
type clusterAt struct {
	Cluster                                         int16
	Level                                           Level
	Place, Paths, Identities, Workloads, Executions int64
}

// clustersAt is what each cluster up to its level came to at each instant, whatever the
// querier's own.
func clustersAt(ctx context.Context, q db.Querier, clusters, levels []int16, ats []time.Time) ([]*clusterAt, error) {
	return db.Select[clusterAt](ctx, q, diffQueries.Get("history"), pgx.StrictNamedArgs{"clusters": clusters, "levels": levels, "ats": ats, "all_classes": AllClasses})
}

func histories(ctx context.Context, q db.Querier, window Window, keys []ClusterKey, all map[ClusterKey][]Point) error {
	clusters, levels, ats := make([]int16, len(keys)), make([]int16, len(keys)), window.ats()
	for i, k := range keys {
		clusters[i], levels[i] = k.Cluster, int16(k.Level)
	}
	rows, err := clustersAt(ctx, q, clusters, levels, ats)
	if err != nil {
		return err
	}
	before := int64(0)
	for _, r := range rows { // of each cluster by place
		if r.Place > 1 {
			k := ClusterKey{Cluster: r.Cluster, Level: r.Level, Window: window}
			all[k] = append(all[k], Point{At: ats[r.Place-1], Paths: r.Paths, Identities: r.Identities, Workloads: r.Workloads, Executions: r.Executions, Delta: r.Paths - before})
		}
		before = r.Paths
	}
	return nil
}
