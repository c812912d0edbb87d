package importer_test

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// The ground truth comes from a reader that nobody here wrote, checked against
// the authorizer of Kubernetes. The tests of this file take real manifests the
// whole way, through parser, sync and database, and read the paths back.

func TestMain(m *testing.M) { dbtest.Main(m) }

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// truth is the part of an expectation that the database must say again.
type truth struct {
	Files           []string
	ApplyNamespace  string
	Workloads       []struct{ ID string }
	ServiceAccounts []struct{ ID string }
	Paths           []struct {
		Workload, ServiceAccount, Scope, APIGroup, Resource, ResourceName string
		Verbs, ViaRoles                                                   []string
		Effective                                                         bool
	}
}

// route names a path as the model does.
type route struct{ Workload, Identity, Resource string }

type authorized struct {
	Verbs, Roles []string
	Effective    bool
}

// world is all that stands: the paths by their route.
type world map[route]authorized

func destination(scope, group, resource, name string) string {
	if group == "(nonResourceURL)" {
		return scope + "||url:" + resource + "|*"
	}
	return strings.Join([]string{scope, group, resource, name}, "|")
}

func union(lists ...[]string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(lists...))))
}

func (t truth) world() world {
	w := world{}
	for _, p := range t.Paths {
		w[route{p.Workload, p.ServiceAccount, destination(p.Scope, p.APIGroup, p.Resource, p.ResourceName)}] =
			authorized{union(p.Verbs), union(p.ViaRoles), p.Effective}
	}
	return w
}

func (w world) and(other world) world {
	both := world{}
	for _, one := range []world{w, other} {
		for r, a := range one {
			both[r] = authorized{union(both[r].Verbs, a.Verbs), union(both[r].Roles, a.Roles), both[r].Effective || a.Effective}
		}
	}
	return both
}

func readJSON[T any](t testing.TB, elements ...string) (value T) {
	t.Helper()
	content, err := os.ReadFile(recordtest.SharedData(t, append([]string{"expected"}, elements...)...))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &value))
	return value
}

// cluster is the importer over an authority service over a database of its own.
type cluster struct {
	*dbtest.Database
	paths    *authority.Service
	importer *importer.Service
	ctx      context.Context
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	return newClusterAt(t, func() time.Time { return now })
}

func newClusterAt(t testing.TB, clock func() time.Time) *cluster {
	t.Helper()
	c := &cluster{Database: dbtest.New(t)}
	c.paths = authority.New(c.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), clock, slog.New(slog.DiscardHandler)).
		WithSurface(asset.NewSurface(asset.DefaultThresholds()))
	c.importer = importer.New(c.paths, clock)
	c.ctx = access.With(context.Background(), access.Actor{Subject: "test", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	return c
}

// manifests opens files of the shared data one after the other.
func manifests(folder string, names []string) iter.Seq2[importer.File, error] {
	return func(yield func(importer.File, error) bool) {
		for _, name := range names {
			content, err := os.Open(filepath.Join(folder, name))
			if err != nil {
				yield(importer.File{}, err)
				return
			}
			more := yield(importer.File{Name: name, Content: io.Reader(content)}, nil)
			_ = content.Close()
			if !more {
				return
			}
		}
	}
}

func (c *cluster) imports(t testing.TB, request authority.SyncRequest, expected truth, elements ...string) *authority.SyncReport {
	t.Helper()
	request.Format, request.CreateOrganization = "kubernetes", true
	report, err := c.importer.Run(c.ctx, importer.Request{
		SyncRequest: request, Files: manifests(recordtest.SharedData(t, elements...), expected.Files), Namespace: expected.ApplyNamespace})
	require.NoError(t, err)
	require.Empty(t, report.Rejections)
	require.True(t, report.Complete)
	return report
}

// group is a set of manifests; a name group@ns is applied to that namespace.
func (c *cluster) group(t testing.TB, request authority.SyncRequest, name string) (*authority.SyncReport, truth) {
	t.Helper()
	expected := readJSON[truth](t, "kubernetes", name+".json")
	folder, _, _ := strings.Cut(name, "@")
	return c.imports(t, request, expected, "kubernetes", folder), expected
}

// all reads a list to its end, page by page.
func all[T any](t testing.TB, read func(page.Request) (page.Slice[T], func(T) string, error)) (rows []T) {
	t.Helper()
	size := 50
	request := page.Request{First: &size}
	for {
		got, cursor, err := read(request)
		require.NoError(t, err)
		rows = append(rows, got.Rows...)
		if !got.HasNext {
			return rows
		}
		after := cursor(got.Rows[len(got.Rows)-1])
		request.After = &after
	}
}

func (c *cluster) entities(t testing.TB, snapshot *db.Snapshot, organization string, kind record.EntityKind) (list []*authority.Entity) {
	t.Helper()
	return all(t, func(request page.Request) (page.Slice[*authority.Entity], func(*authority.Entity) string, error) {
		got, err := c.paths.Entities(c.ctx, snapshot, id.Organization(organization), kind,
			authority.EntityFilter{Statuses: []record.Status{record.Active, record.Disabled}}, request)
		return got.Slice, got.Cursor, err
	})
}

func names(list []*authority.Entity) (ids []string) {
	for _, entity := range list {
		ids = append(ids, entity.ExternalID)
	}
	return ids
}

// read gives what stands in the organization, in one system or in all.
func (c *cluster) read(t testing.TB, organization, system string) (world, map[route]*authority.Path) {
	t.Helper()
	snapshot := c.Snapshot()
	defer snapshot.Close(c.ctx)
	filter := authority.PathFilter{Statuses: []authority.PathStatus{authority.PathActive}, System: system}
	list := all(t, func(request page.Request) (page.Slice[*authority.Path], func(*authority.Path) string, error) {
		got, err := c.paths.Paths(c.ctx, snapshot, id.Organization(organization), filter, authority.PathOrder{Field: authority.BySensitivity, Descending: true}, request)
		return got.Slice, got.Cursor, err
	})
	count, err := c.paths.CountPaths(c.ctx, snapshot, id.Organization(organization), filter)
	require.NoError(t, err)
	require.Equal(t, count, len(list))

	wanted := map[id.ID]bool{}
	for _, p := range list {
		require.NotNil(t, p.IdentityID, "a manifest leaves no path without identity")
		for _, one := range append([]id.ID{p.WorkloadID, *p.IdentityID, p.ResourceID}, p.RoleIDs...) {
			wanted[one] = true
		}
	}
	var ids []id.ID
	for one := range wanted {
		ids = append(ids, one)
	}
	entities, err := c.paths.EntitiesByIDs(c.ctx, snapshot, id.Organization(organization), ids)
	require.NoError(t, err)
	require.Len(t, entities, len(ids), "everything that a path names can be read")
	name := map[id.ID]string{}
	for _, entity := range entities {
		name[entity.ID] = entity.ExternalID
	}
	w, paths := world{}, map[route]*authority.Path{}
	for _, p := range list {
		var roles []string
		for _, role := range p.RoleIDs {
			roles = append(roles, name[role])
		}
		r := route{name[p.WorkloadID], name[*p.IdentityID], name[p.ResourceID]}
		if system != "" {
			require.NotContains(t, w, r, "a route is there once")
		}
		w[r], paths[r] = authorized{p.Actions, union(roles), p.Effective}, p
	}
	return w, paths
}

// requireWorld says which route differs before it shows whole worlds.
func requireWorld(t testing.TB, want, got world) {
	t.Helper()
	for r, a := range want {
		require.Contains(t, got, r, "missing")
		require.Equal(t, a, got[r], "%v", r)
	}
	for r := range got {
		require.Contains(t, want, r, "not in the ground truth")
	}
}

// rowVersions are the places and writers of all rows: a row that is written
// again, even with the same values, has others.
func rowVersions(t testing.TB, super *pgx.Conn) map[string]map[string]bool {
	t.Helper()
	column := func(sql string) []string {
		rows, err := super.Query(context.Background(), sql)
		require.NoError(t, err)
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return list
	}
	versions := map[string]map[string]bool{}
	for _, table := range column(`SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')`) {
		versions[table] = map[string]bool{}
		for _, version := range column(`SELECT concat_ws(' ', ctid, xmin) FROM ` + table) {
			versions[table][version] = true
		}
	}
	return versions
}

// written counts the row versions that came and went, by table.
func written(before, after map[string]map[string]bool) (came, went map[string]int) {
	came, went = map[string]int{}, map[string]int{}
	for table := range after {
		for version := range after[table] {
			if !before[table][version] {
				came[table]++
			}
		}
		for version := range before[table] {
			if !after[table][version] {
				went[table]++
			}
		}
	}
	return came, went
}

func organizationOf(name string) string {
	return strings.NewReplacer("@", "-in-", ".", "-").Replace(name)
}

// TestGroundTruth imports every group into an organization of its own, all in
// one database, and each of them three times. The subtests run one after the
// other, because they count the rows of the whole database.
func TestGroundTruth(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(recordtest.SharedData(t, "expected", "kubernetes"), "[a-z]*.json"))
	require.NoError(t, err)
	require.Len(t, files, 23)
	c := newCluster(t)
	super := c.Super(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			organization := organizationOf(name)
			request := authority.SyncRequest{Organization: organization, ObservedAt: now.Add(-time.Hour)}
			first, expected := c.group(t, request, name)
			require.Equal(t, authority.Applied, first.Outcome)
			require.Equal(t, authority.PathCounts{Added: len(expected.Paths)}, first.Paths)
			got, _ := c.read(t, organization, "kubernetes")
			requireWorld(t, expected.world(), got)
			require.Len(t, expected.world(), len(expected.Paths), "the ground truth says each path once")

			snapshot := c.Snapshot()
			defer snapshot.Close(c.ctx)
			var workloads, identities []string
			for _, w := range expected.Workloads {
				workloads = append(workloads, w.ID)
			}
			for _, a := range expected.ServiceAccounts {
				identities = append(identities, a.ID)
			}
			require.ElementsMatch(t, workloads, names(c.entities(t, snapshot, organization, record.Workload)))
			require.ElementsMatch(t, identities, names(c.entities(t, snapshot, organization, record.Identity)))
			for _, w := range c.entities(t, snapshot, organization, record.Workload) { // a manifest proves none of it
				require.Equal(t, authority.OwnershipUnknown, w.OwnershipStatus)
				require.Equal(t, authority.EgressUnknown, w.EgressCategory)
			}

			before := rowVersions(t, super)
			again, _ := c.group(t, request, name)
			require.Equal(t, authority.Repeated, again.Outcome)
			require.Equal(t, first.SyncID, again.SyncID)
			require.Equal(t, authority.PathCounts{Kept: len(expected.Paths)}, again.Paths)
			require.Equal(t, before, rowVersions(t, super), "the same import twice writes nothing")

			request.ObservedAt = now
			later, _ := c.group(t, request, name)
			require.Equal(t, authority.Unchanged, later.Outcome)
			require.NotEqual(t, first.SyncID, later.SyncID)
			require.Equal(t, authority.PathCounts{Kept: len(expected.Paths)}, later.Paths)
			came, went := written(before, rowVersions(t, super))
			require.Equal(t, map[string]int{"sync": 1, "source": 1, "posture_snapshot": 1, "ledger_entry": 1, "ledger_head": 1, "change_outbox": 1}, came, "an unchanged import writes its own rows and no other")
			require.Equal(t, map[string]int{"source": 1, "ledger_head": 1}, went)
		})
	}
}

// difference is what a delivery changed, by route.
type difference struct {
	added, removed []route
	gained, lost   map[route][]string
	unchanged      int
}

func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return slices.Contains(other, one) })
}

func (w world) difference(newer world) difference {
	d := difference{gained: map[route][]string{}, lost: map[route][]string{}}
	for r, a := range newer {
		old, stood := w[r]
		if !stood {
			d.added = append(d.added, r)
			continue
		}
		gained, lost := without(a.Verbs, old.Verbs), without(old.Verbs, a.Verbs)
		if len(gained) > 0 {
			d.gained[r] = gained
		}
		if len(lost) > 0 {
			d.lost[r] = lost
		}
		if len(gained)+len(lost) == 0 {
			d.unchanged++
		}
	}
	for r := range w {
		if _, stands := newer[r]; !stands {
			d.removed = append(d.removed, r)
		}
	}
	return d
}

// routeOf reads workload, service account, scope, group, resource, name.
func routeOf(parts []string) route {
	return route{parts[0], parts[1], destination(parts[2], parts[3], parts[4], parts[5])}
}

// TestGroundTruthPairs delivers a release and then the next one.
func TestGroundTruthPairs(t *testing.T) {
	t.Parallel()
	type pair struct {
		Older, Newer             string
		PathsAdded, PathsRemoved [][]string
		VerbsGained              []struct {
			Path         []string
			Gained, Lost []string
		}
		RolesChanged                     []any
		WorkloadsAdded, WorkloadsRemoved []string
		Unchanged                        int
	}
	pairs := readJSON[[]pair](t, "kubernetes", "_pairs.json")
	require.NotEmpty(t, pairs)
	c := newCluster(t)
	for _, p := range pairs {
		t.Run(p.Older+" to "+p.Newer, func(t *testing.T) {
			t.Parallel()
			organization := organizationOf(p.Newer)
			c.group(t, authority.SyncRequest{Organization: organization, ObservedAt: now.Add(-24 * time.Hour)}, p.Older)
			older, _ := c.read(t, organization, "kubernetes")
			report, expected := c.group(t, authority.SyncRequest{Organization: organization, ObservedAt: now}, p.Newer)
			newer, paths := c.read(t, organization, "kubernetes")
			requireWorld(t, expected.world(), newer)

			var added, removed []route
			for _, parts := range p.PathsAdded {
				added = append(added, routeOf(parts))
			}
			for _, parts := range p.PathsRemoved {
				removed = append(removed, routeOf(parts))
			}
			gained, lost := map[route][]string{}, map[route][]string{}
			for _, change := range p.VerbsGained {
				if len(change.Gained) > 0 {
					gained[routeOf(change.Path)] = union(change.Gained)
				}
				if len(change.Lost) > 0 {
					lost[routeOf(change.Path)] = union(change.Lost)
				}
			}
			d := older.difference(newer)
			require.ElementsMatch(t, added, d.added)
			require.ElementsMatch(t, removed, d.removed)
			require.Equal(t, gained, d.gained)
			require.Equal(t, lost, d.lost)
			require.Equal(t, p.Unchanged, d.unchanged)
			require.Empty(t, p.RolesChanged)
			require.Equal(t, authority.PathCounts{Added: len(added), Removed: len(removed), Changed: len(p.VerbsGained), Kept: p.Unchanged}, report.Paths)

			// What a path could do before is its former version.
			snapshot := c.Snapshot()
			defer snapshot.Close(c.ctx)
			for r, path := range paths {
				_, grew := gained[r]
				_, shrank := lost[r]
				versions, err := c.paths.VersionsByPaths(c.ctx, snapshot, id.Organization(organization), authority.VersionWindow{Before: authority.AllVersions, Limit: 10}, []id.ID{path.ID})
				require.NoError(t, err)
				if !grew && !shrank {
					require.Len(t, versions, 1, "%v", r)
					continue
				}
				require.Len(t, versions, 2, "%v", r)
				require.Equal(t, newer[r].Verbs, versions[0].Actions)
				require.Equal(t, older[r].Verbs, versions[1].Actions)
				require.Equal(t, versions[0].FromAt, *versions[1].ToAt)
			}
		})
	}
}

// TestGroundTruthTimelines delivers the dated states of a project one after
// the other into one organization.
func TestGroundTruthTimelines(t *testing.T) {
	t.Parallel()
	type step struct {
		Older, Newer                     string
		WorkloadsAdded, WorkloadsRemoved []string
		IdentityRotations                []struct {
			Workload, Old, New                           string
			LineagesKept, LineagesAdded, LineagesRemoved int
		}
		LineagesAdded, LineagesRemoved [][]string
		VerbsChanged                   []struct{ Lineage, Gained, Lost []string }
		Unchanged                      int
	}
	lineage := func(parts []string) route {
		return route{Workload: parts[0], Resource: destination(parts[1], parts[2], parts[3], parts[4])}
	}
	lineages := func(list [][]string) (routes []route) {
		for _, parts := range list {
			routes = append(routes, lineage(parts))
		}
		return routes
	}
	// By lineage: what a workload may do at a destination, through whatever identity.
	byLineage := func(w world) world {
		joined := world{}
		for r, a := range w {
			joined = joined.and(world{route{Workload: r.Workload, Resource: r.Resource}: a})
		}
		return joined
	}
	c := newCluster(t)
	for _, project := range []string{"flannel", "ingress-nginx", "kiali"} {
		t.Run(project, func(t *testing.T) {
			t.Parallel()
			steps := readJSON[[]step](t, "kubernetes-timeline", project, "_steps.json")
			require.NotEmpty(t, steps)
			deliver := func(file string) (*authority.SyncReport, truth) {
				day, _, _ := strings.Cut(file, "_")
				observed, err := time.Parse(time.DateOnly, day)
				require.NoError(t, err)
				expected := readJSON[truth](t, "kubernetes-timeline", project, strings.TrimSuffix(file, ".yaml")+".json")
				expected.ApplyNamespace = ""
				return c.imports(t, authority.SyncRequest{Organization: project, ObservedAt: observed}, expected, "kubernetes-timeline", project), expected
			}
			workloads := func() []string {
				snapshot := c.Snapshot()
				defer snapshot.Close(c.ctx)
				return names(c.entities(t, snapshot, project, record.Workload))
			}
			report, expected := deliver(steps[0].Older)
			older, _ := c.read(t, project, "kubernetes")
			requireWorld(t, expected.world(), older)
			before := workloads()
			last := steps[0].Older
			for _, s := range steps {
				require.Equal(t, last, s.Older, "the steps follow each other")
				last = s.Newer
				at := report.At
				report, expected = deliver(s.Newer)
				require.True(t, report.At.After(at))
				require.Equal(t, report.ObservedAt, report.At, "the deliveries are years apart, so the clock says when they were observed")
				newer, _ := c.read(t, project, "kubernetes")
				requireWorld(t, expected.world(), newer)

				after := workloads()
				require.ElementsMatch(t, s.WorkloadsAdded, without(after, before), s.Newer)
				require.ElementsMatch(t, s.WorkloadsRemoved, without(before, after), s.Newer)
				d := byLineage(older).difference(byLineage(newer))
				require.ElementsMatch(t, lineages(s.LineagesAdded), d.added, s.Newer)
				require.ElementsMatch(t, lineages(s.LineagesRemoved), d.removed, s.Newer)
				gained, lost := map[route][]string{}, map[route][]string{}
				for _, change := range s.VerbsChanged {
					if len(change.Gained) > 0 {
						gained[lineage(change.Lineage)] = union(change.Gained)
					}
					if len(change.Lost) > 0 {
						lost[lineage(change.Lineage)] = union(change.Lost)
					}
				}
				require.Equal(t, gained, d.gained, s.Newer)
				require.Equal(t, lost, d.lost, s.Newer)
				require.Equal(t, s.Unchanged, d.unchanged, s.Newer)

				rotations, kept := c.rotations(t, project, report.At)
				require.Len(t, rotations, len(s.IdentityRotations), s.Newer)
				require.Equal(t, len(s.IdentityRotations), report.Rotations)
				wantKept := 0
				for _, r := range s.IdentityRotations {
					require.Contains(t, rotations, [3]string{r.Workload, r.Old, r.New})
					wantKept += r.LineagesKept
				}
				require.Equal(t, wantKept, kept, "a lineage that survives a rotation has a predecessor and a successor")
				older, before = newer, after
			}
		})
	}
}

// rotations reads the rows themselves: workload, old and new identity, and how
// many paths were handed over at that instant.
func (c *cluster) rotations(t testing.TB, organization string, at time.Time) (list [][3]string, successions int) {
	t.Helper()
	super := c.Super(t)
	rows, err := super.Query(context.Background(), `
		SELECT ARRAY[w.external_id, a.external_id, b.external_id]::text[] FROM identity_rotation r
		JOIN entity w ON (w.organization_id, w.id) = (r.organization_id, r.workload_id)
		JOIN entity a ON (a.organization_id, a.id) = (r.organization_id, r.from_identity)
		JOIN entity b ON (b.organization_id, b.id) = (r.organization_id, r.to_identity)
		WHERE r.organization_id = $1 AND r.at = $2`, id.Organization(organization), at)
	require.NoError(t, err)
	list, err = pgx.CollectRows(rows, pgx.RowTo[[3]string])
	require.NoError(t, err)
	require.NoError(t, super.QueryRow(context.Background(), `SELECT count(*) FROM path_succession WHERE organization_id = $1 AND at = $2`,
		id.Organization(organization), at).Scan(&successions))
	return list, successions
}

// TestTwoSystemsDoNotMerge: the same manifest applied to two clusters is two
// deployments, two service accounts, and twice the authority.
func TestTwoSystemsDoNotMerge(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	_, expected := c.group(t, authority.SyncRequest{Organization: "acme", System: "a"}, "ingress-nginx")
	report, _ := c.group(t, authority.SyncRequest{Organization: "acme", System: "b"}, "ingress-nginx")
	require.Equal(t, authority.PathCounts{Added: len(expected.Paths), Kept: len(expected.Paths)}, report.Paths)
	inA, pathsA := c.read(t, "acme", "a")
	inB, pathsB := c.read(t, "acme", "b")
	requireWorld(t, expected.world(), inA)
	requireWorld(t, expected.world(), inB)
	for r := range inA {
		require.NotEqual(t, pathsA[r].ID, pathsB[r].ID)
		require.NotEqual(t, pathsA[r].LineageID, pathsB[r].LineageID)
		require.NotEqual(t, pathsA[r].ResourceID, pathsB[r].ResourceID)
	}
	snapshot := c.Snapshot()
	defer snapshot.Close(c.ctx)
	count, err := c.paths.CountPaths(c.ctx, snapshot, id.Organization("acme"), authority.PathFilter{})
	require.NoError(t, err)
	require.Equal(t, 2*len(expected.Paths), count)

	// What one cluster loses the other keeps.
	report, flannel := c.group(t, authority.SyncRequest{Organization: "acme", System: "a"}, "flannel")
	require.Equal(t, authority.PathCounts{Added: len(flannel.Paths), Removed: len(expected.Paths), Kept: len(expected.Paths)}, report.Paths)
	inA, _ = c.read(t, "acme", "a")
	inB, _ = c.read(t, "acme", "b")
	requireWorld(t, flannel.world(), inA)
	requireWorld(t, expected.world(), inB)
}

// TestTwoSourcesOfOneSystemMerge: what either of them says stands until neither
// says it, verb by verb.
func TestTwoSourcesOfOneSystemMerge(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	deliver := func(source, group string) (truth, *authority.SyncReport) {
		report, expected := c.group(t, authority.SyncRequest{Organization: "acme", System: "prod", Source: source}, group)
		return expected, report
	}
	older, _ := deliver("audit", "cloudnative-pg-1.17.0")
	newer, _ := deliver("deploy", "cloudnative-pg-1.21.0")
	both, _ := c.read(t, "acme", "prod")
	requireWorld(t, older.world().and(newer.world()), both)
	require.NotEqual(t, older.world(), both, "the two say different things")

	flannel, report := deliver("deploy", "flannel")
	left, paths := c.read(t, "acme", "prod")
	requireWorld(t, older.world().and(flannel.world()), left)
	require.Positive(t, report.Paths.Changed, "a path that both asserted loses the verbs that only one of them said")
	require.Less(t, report.Paths.Removed, len(newer.Paths))

	// What both said all along was not touched by the withdrawal of one.
	same := 0
	for r, a := range older.world() {
		if n, ok := newer.world()[r]; ok && slices.Equal(n.Verbs, a.Verbs) {
			require.Equal(t, 1, paths[r].Version, "%v", r)
			same++
		}
	}
	require.Positive(t, same)

	_, report = deliver("audit", "online-boutique")
	left, _ = c.read(t, "acme", "prod")
	requireWorld(t, flannel.world(), left)
	require.Equal(t, len(older.Paths), report.Paths.Removed)
}
