package posture

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// What a caller sees a part of is counted anew for it: what is kept counts everything.

// countPart has a posture count what the caller sees. What the snapshot that it is
// compared with comes to is left to CountSnapshot.
func countPart(ctx context.Context, snapshot *db.Snapshot, p *Posture) error {
	q, err := access.Reader(ctx, snapshot.Present(), p.OrganizationID, access.View)
	if err != nil {
		return err
	}
	sums, err := sumsOf(ctx, q, snapshot.Instant())
	if err != nil {
		return err
	}
	p.Sums = *sums
	if p.From == nil {
		return nil
	}
	p.Events, err = happened(ctx, q, p.From.At, p.At)
	p.From.countFrom(Events{})
	return err
}

// CountSnapshot gives a snapshot that a posture is compared with as the caller sees it.
// To who sees a part it is counted from the paths as they were, which takes its time.
func (*Reader) CountSnapshot(ctx context.Context, snapshot *db.Snapshot, organization id.ID, of *Snapshot) (*Snapshot, error) {
	if !access.Limited(ctx) {
		return of, nil
	}
	counted := *of
	return &counted, countThen(ctx, snapshot, organization, []*Snapshot{&counted})
}

// countThen has snapshots count what the caller sees. What had happened until then is
// not counted: nobody kept it by class.
func countThen(ctx context.Context, snapshot *db.Snapshot, organization id.ID, snapshots []*Snapshot) error {
	if len(snapshots) == 0 {
		return nil
	}
	q, err := access.Reader(ctx, snapshot.Present(), organization, access.View)
	if err != nil {
		return err
	}
	ats := make([]time.Time, len(snapshots))
	for i, s := range snapshots {
		ats[i] = s.At
	}
	sums, err := sumsAt(ctx, q, ats...)
	if err != nil {
		return err
	}
	for i, s := range snapshots {
		s.count(sums[i].Sums)
	}
	clusters, levels := make([]int16, len(Definitions)), make([]int16, len(Definitions))
	keys := make(map[int16]string, len(Definitions))
	for i, d := range Definitions {
		clusters[i], levels[i], keys[d.Cluster] = d.Cluster, int16(Acknowledged), d.Key
	}
	rows, err := clustersAt(ctx, q, clusters, levels, ats)
	for _, r := range rows {
		if r.Paths > 0 { // as in those that are kept
			snapshots[r.Place-1].Clusters[keys[r.Cluster]] = ClusterSummary{Paths: r.Paths, Executions: r.Executions}
		}
	}
	return err
}

// sumsOf are those of an instant, or without one of now. Later than the last sync and
// the last evaluation people may have decided something.
func sumsOf(ctx context.Context, q db.Querier, at *time.Time) (*Sums, error) {
	if at == nil {
		return sumsNow(ctx, q)
	}
	found, err := sumsAt(ctx, q, *at)
	if err != nil {
		return nil, err
	}
	return &found[0].Sums, nil
}

// count puts sums in place of what everything came to.
func (s *Snapshot) count(n Sums) {
	s.Paths, s.DormantPaths, s.Executions, s.InvalidPaths, s.ExecutedInvalidPaths = n.Paths, n.DormantPaths, n.Executions, n.InvalidPaths, n.ExecutedInvalidPaths
	s.SensitivePaths, s.Workloads = &n.SensitivePaths, &n.Workloads
	s.Autonomous, s.OperatorAssisted, s.HumanTriggered, s.Unclassified = &n.Autonomous, &n.OperatorAssisted, &n.HumanTriggered, &n.Unclassified
	s.Identities, s.ActiveIdentities, s.ActiveAutonomous, s.DormantIdentities = &n.Identities, &n.ActiveIdentities, &n.ActiveAutonomous, &n.DormantIdentities
	s.Clusters = map[string]ClusterSummary{}
}

// countFrom puts what had happened until then.
func (s *Snapshot) countFrom(n Events) {
	s.PathsAdded, s.PathsRemoved, s.PathsOrphaned, s.PathsInvalidated, s.AutonomousGained =
		&n.PathsAdded, &n.PathsRemoved, &n.PathsOrphaned, &n.PathsInvalidated, &n.AutonomousGained
}

// happened counts what happened in (from, to], by the rows that Counted lists.
func happened(ctx context.Context, q db.Querier, from, to time.Time) (n Events, err error) {
	for count, into := range map[Count]*int64{
		CountNewPaths: &n.PathsAdded, CountRemovedPaths: &n.PathsRemoved, CountNewOrphaned: &n.PathsOrphaned,
		CountInvalidations: &n.PathsInvalidated, CountNewAutonomous: &n.AutonomousGained,
	} {
		c, _ := Explain(count)
		query, args := c.query("total", &Snapshot{At: from})
		var until db.Where
		until.And("r.at <= @until", "until", to)
		for name, value := range args {
			until.Arg(name, value)
		}
		type total struct{ Rows, Amount int64 }
		found, err := db.First[total](ctx, q, query.Where(until), until.Args())
		if err != nil {
			return n, err
		}
		*into = found.Amount
	}
	return n, nil
}
