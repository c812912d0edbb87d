package posture

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed queries.sql
var readSQL string

var readQueries = db.Parse("posture.read", readSQL)

// Reader reads risk clusters, workload exposures and posture.
type Reader struct{}

// Totals are what the members of a cluster up to a level come to.
type Totals struct {
	Paths, Identities, Workloads int64
	Executions                   int64 // within the window, each counted once
	Executed                     int64 // paths with an execution
	ExecutedSensitive            int64 // of these, paths to confidential or restricted data
	Unwatched                    int64 // paths of which nobody knows whether they executed
	OwnershipValid               int64
	OwnershipDegraded            int64
	OwnershipAmbiguous           int64
	OwnershipOrphaned            int64
	OwnershipUnknown             int64
	SensitivityUnknown           int64
	SensitivityPublic            int64
	SensitivityInternal          int64
	SensitivityConfidential      int64
	SensitivityRestricted        int64
}

// Cluster is a risk cluster of an organization, up to a level.
type Cluster struct {
	Definition
	OrganizationID id.ID
	Level          Level
	Totals
	Levels            map[Level]Totals // at each level, whatever was asked
	AcknowledgedPaths int64            // members only because acknowledged exposures count
	AcceptedPaths     int64            // members only if accepted exposures counted
	SensitiveDomains  []string
	NewPaths          int64 // first seen within the 30 days before the organization's window
	OldestDays        *int  // whole days since the first exposure that counts here; nil where none does
	DormantAfter      time.Duration
}

// Find is the definition of a key, which may be written with underscores.
func Find(key string) (Definition, bool) {
	key = strings.ReplaceAll(key, "_", "-")
	for _, d := range Definitions {
		if d.Key == key {
			return d, true
		}
	}
	return Definition{}, false
}

// Numbers are the clusters of the keys in a filter.
func Numbers(keys []string) ([]int16, error) {
	if keys == nil {
		return nil, nil
	}
	numbers := make([]int16, 0, len(keys))
	for _, key := range keys {
		d, ok := Find(key)
		if !ok {
			return nil, unknownCluster(key)
		}
		numbers = append(numbers, d.Cluster)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), nil
}

func unknownCluster(key string) error {
	known := make([]string, len(Definitions))
	for i, d := range Definitions {
		known[i] = d.Key
	}
	return problem.New(problem.Invalid, "UNKNOWN_CLUSTER", "%.60q is no risk cluster; there are %s", key, strings.Join(known, ", ")).On("cluster")
}

// Overview gives every cluster of the organization up to a level, in the order
// in which to look at them. An organization that was never judged has them all,
// empty.
func (*Reader) Overview(ctx context.Context, snapshot *db.Snapshot, organization id.ID, level Level) ([]*Cluster, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	totals, err := totalsOf(ctx, q)
	if err != nil {
		return nil, err
	}
	type tally struct {
		At               *time.Time
		DormantAfterDays *int
		Cluster          *int16
		Domains          []string
		NewPaths         int64
		ExposedSince     *time.Time
	}
	tallies, err := db.Select[tally](ctx, q, readQueries.Get("tallies"), pgx.StrictNamedArgs{"level": level})
	if err != nil {
		return nil, err
	}
	var clusters []*Cluster
	for _, d := range Definitions {
		at, current := totals[d.Cluster]
		if !current && len(totals) > 0 {
			continue // not yet judged by, or no longer
		}
		c := &Cluster{
			Definition: d, OrganizationID: organization, Level: level, Totals: at[level], Levels: at, SensitiveDomains: []string{},
			AcknowledgedPaths: at[Acknowledged].Paths - at[Open].Paths, AcceptedPaths: at[Accepted].Paths - at[Acknowledged].Paths,
			DormantAfter: rule.Defaults().DormantAfter,
		}
		for _, t := range tallies {
			if t.DormantAfterDays != nil {
				c.DormantAfter = time.Duration(*t.DormantAfterDays) * 24 * time.Hour
			}
			if t.Cluster == nil || *t.Cluster != d.Cluster {
				continue
			}
			c.NewPaths = t.NewPaths
			if t.Domains != nil {
				c.SensitiveDomains = t.Domains
			}
			if t.ExposedSince != nil && t.At != nil {
				days := max(0, int(t.At.Sub(*t.ExposedSince)/(24*time.Hour)))
				c.OldestDays = &days
			}
		}
		clusters = append(clusters, c)
	}
	slices.SortFunc(clusters, func(a, b *Cluster) int { return strings.Compare(a.rank(), b.rank()) })
	return clusters, nil
}

// totalsOf are the counters of every current cluster, by level.
func totalsOf(ctx context.Context, q db.Querier) (map[int16]map[Level]Totals, error) {
	type row struct {
		Cluster int16
		Level   Level
		Totals
	}
	rows, err := db.Select[row](ctx, q, readQueries.Get("overview"), nil)
	totals := map[int16]map[Level]Totals{}
	for _, r := range rows {
		if totals[r.Cluster] == nil {
			totals[r.Cluster] = map[Level]Totals{}
		}
		totals[r.Cluster][r.Level] = r.Totals
	}
	return totals, err
}

// rank sorts clusters as text: by priority, the greater first, by key.
func (c *Cluster) rank() string {
	priority := "P9" // an empty one
	if p := c.Priority(); p != nil {
		priority = string(*p)
	}
	return fmt.Sprintf("%s %020d %s", priority, math.MaxInt64-c.Paths, c.Key)
}

// Priority says in which order to look at the cluster; nil where it is empty.
func (c *Cluster) Priority() *Priority { return c.Definition.Priority(c.Paths) }

// Urgency says how much of the cluster is known to happen; nil where it is empty.
func (c *Cluster) Urgency() *Urgency { return c.Definition.Urgency(c.Totals) }

// Sentence is the verdict.
func (c *Cluster) Sentence() string { return c.Definition.Sentence(c.Totals, c.DormantAfter) }

// Filter narrows a list of clusters.
type Filter struct {
	Severities []rule.Severity
	Priorities []Priority
	Numbers    []int16
	NonEmpty   bool
}

// Page is a page of clusters with the cursors of its rows.
type Page struct {
	page.Slice[*Cluster]
	Cursor func(*Cluster) string
	Total  int
}

// Select takes a page out of an overview, of what is or as of an instant.
func Select(at *time.Time, organization id.ID, level Level, overview []*Cluster, filter Filter, request page.Request) (Page, error) {
	binding := page.BindingAt(at, "risk clusters", organization, filter).Text(fmt.Sprint(level)).Short()
	p, err := request.Resolve(binding, 1)
	if err != nil {
		return Page{}, err
	}
	rows := slices.DeleteFunc(slices.Clone(overview), func(c *Cluster) bool {
		priority := c.Priority()
		return filter.NonEmpty && c.Paths == 0 ||
			len(filter.Severities) > 0 && !slices.Contains(filter.Severities, c.Severity) ||
			len(filter.Numbers) > 0 && !slices.Contains(filter.Numbers, c.Cluster) ||
			len(filter.Priorities) > 0 && (priority == nil || !slices.Contains(filter.Priorities, *priority))
	})
	return Page{
		Slice:  page.Cut(p, page.Window(p, rows, (*Cluster).rank)),
		Cursor: func(c *Cluster) string { return page.Cursor(binding, c.rank()) },
		Total:  len(rows),
	}, nil
}

// Memberships gives the clusters, by number, of those of the paths that are
// members of any, counting exposures that somebody acknowledged.
func (*Reader) Memberships(ctx context.Context, snapshot *db.Snapshot, organization id.ID, paths []id.ID) (map[id.ID][]int16, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	numbers := make([]int16, len(Definitions)) // the key of the table begins with the cluster
	for i, d := range Definitions {
		numbers[i] = d.Cluster
	}
	type row struct {
		PathID  id.ID
		Cluster int16
	}
	rows, err := db.Select[row](ctx, q, readQueries.Get("memberships"), pgx.StrictNamedArgs{"clusters": numbers, "ids": paths, "level": Acknowledged})
	memberships := make(map[id.ID][]int16, len(rows))
	for _, r := range rows {
		memberships[r.PathID] = append(memberships[r.PathID], r.Cluster)
	}
	return memberships, err
}

// Part is what a cluster has besides paths.
type Part string

// The parts.
const (
	Workloads  Part = "workloads"
	Identities Part = "identities"
)

// PartList is a nested list of the workloads or identities of a cluster, by id,
// that many clusters of one request share.
type PartList struct {
	Part    Part
	Level   Level
	Request page.Request
}

// PartPage is a page of ids with their cursors.
type PartPage struct {
	page.Slice[id.ID]
	Cursor func(id.ID) string
}

func (l *PartList) binding(at *time.Time, organization id.ID, cluster int16) page.Binding {
	return page.BindingAt(at, string(l.Part)+" in cluster", organization, nil).Text(fmt.Sprint(cluster)).Text(fmt.Sprint(l.Level)).Short()
}

// PartsOf gives each cluster its page.
func (*Reader) PartsOf(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *PartList, clusters []int16) (map[int16]PartPage, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	pages := make(map[int16]PartPage, len(clusters))
	err = page.Under(list.Request, clusters, func(batch []int16) error {
		return partsOf(ctx, q, snapshot.Instant(), organization, list, batch, pages)
	})
	return pages, err
}

func partsOf(ctx context.Context, q db.Querier, at *time.Time, organization id.ID, list *PartList, clusters []int16, pages map[int16]PartPage) error {
	p, err := list.Request.Resolve(list.binding(at, organization, clusters[0]), 1)
	if err != nil {
		return err
	}
	after := id.Nil
	if p.After != nil {
		if after, err = id.Parse(p.After[0]); err != nil {
			return problem.New(problem.Invalid, "CURSOR_INVALID", "after is not a cursor of this server; start without one").On("after")
		}
	}
	type row struct {
		Cluster int16
		ID      id.ID
	}
	rows, err := db.Select[row](ctx, q, readQueries.Get(string(list.Part)+"_in_clusters"),
		pgx.StrictNamedArgs{"clusters": clusters, "level": list.Level, "after": after, "limit": p.Size + 1})
	if err != nil {
		return err
	}
	byCluster := map[int16][]id.ID{}
	for _, r := range rows {
		byCluster[r.Cluster] = append(byCluster[r.Cluster], r.ID)
	}
	for _, cluster := range clusters {
		binding := list.binding(at, organization, cluster)
		pages[cluster] = PartPage{
			Slice:  page.Cut(p, byCluster[cluster]),
			Cursor: func(part id.ID) string { return page.Cursor(binding, part.String()) },
		}
	}
	return nil
}
