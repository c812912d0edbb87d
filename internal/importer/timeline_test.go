package importer_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// timelineStep is what lies between two dated states of a project, as the ground
// truth says it.
type timelineStep struct {
	Older, Newer      string
	IdentityRotations []struct {
		Workload, Old, New string
		LineagesKept       int
	}
	LineagesAdded, LineagesRemoved [][]string
	VerbsChanged                   []struct{ Lineage, Gained, Lost []string }
}

// lineageOf is a lineage of the ground truth, as workload and destination.
func lineageOf(parts []string) [2]string {
	return [2]string{parts[0], destination(parts[1], parts[2], parts[3], parts[4])}
}

func lineagesOf(list [][]string) map[[2]string]bool {
	lineages := map[[2]string]bool{}
	for _, parts := range list {
		lineages[lineageOf(parts)] = true
	}
	return lineages
}

// published is an event with the names by which the source knows what it is about.
type published struct {
	Seq        int64
	ChangeType change.Kind
	At         time.Time
	Workload   *string
	Resource   *string
	OldValue   map[string]any
	NewValue   map[string]any
	Metadata   map[string]any
}

func (e published) lineage() [2]string { return [2]string{*e.Workload, *e.Resource} }

// texts is a list of words as an event has it.
func texts(list any) (words []string) {
	for _, word := range list.([]any) {
		words = append(words, word.(string))
	}
	return words
}

// feed publishes what waits, and reads the whole feed.
func (c *cluster) feed(t testing.TB, organization string) []published {
	t.Helper()
	head, err := change.NewSequencer(c.DB, func() time.Time { return now }, slog.New(slog.DiscardHandler)).Drain(c.ctx, id.Organization(organization))
	require.NoError(t, err)
	rows, err := c.Super(t).Query(context.Background(), `
		SELECT e.seq, e.change_type, e.at, w.external_id AS workload, r.external_id AS resource, e.old_value, e.new_value, e.metadata
		FROM exposure_changes e
		LEFT JOIN authority_path p ON p.organization_id = e.organization_id AND p.id = e.entity_id
		LEFT JOIN entity w ON w.organization_id = e.organization_id AND w.id = e.workload_id
		LEFT JOIN entity r ON r.organization_id = e.organization_id AND r.id = p.resource_id
		WHERE e.organization_id = $1 ORDER BY e.seq`, id.Organization(organization))
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[published])
	require.NoError(t, err)
	require.Len(t, list, int(head), "the feed has no gap")
	return list
}

// count is how many events of a kind there are.
func count(list []published, kind change.Kind) (n int) {
	for _, e := range list {
		if e.ChangeType == kind {
			n++
		}
	}
	return n
}

// TestTimelinesAsEvents delivers the dated states of a project one after the other,
// and finds each step of the ground truth in the feed.
func TestTimelinesAsEvents(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, project := range []string{"flannel", "ingress-nginx", "kiali"} {
		t.Run(project, func(t *testing.T) {
			t.Parallel()
			steps := readJSON[[]timelineStep](t, "kubernetes-timeline", project, "_steps.json")
			require.NotEmpty(t, steps)
			first := c.dated(t, project, steps[0].Older)
			list := c.feed(t, project)
			require.Equal(t, first.Paths.Added, count(list, change.PathDiscovered))
			require.Equal(t, first.Exposures.Opened, count(list, change.ExposureOpened))
			require.Len(t, list, 1+first.Paths.Added+first.Exposures.Opened)
			for _, s := range steps {
				before := len(list)
				report := c.dated(t, project, s.Newer)
				list = c.feed(t, project)
				requireStep(t, s, report, list[before:])
			}
			before := c.rest(t, project)

			// The last date again, and one that lies behind it.
			last := steps[len(steps)-1]
			require.Equal(t, authority.Repeated, c.dated(t, project, last.Newer).Outcome)
			require.Len(t, c.feed(t, project), len(list), "what was delivered before gives no event")
			partial := c.observed(t, project, last.Older, func(observed time.Time) time.Time { return observed.Add(time.Hour) })
			require.Equal(t, authority.Late, partial.Outcome)
			more := c.feed(t, project)[len(list):]
			require.Len(t, more, 1)
			require.Equal(t, change.SyncLate, more[0].ChangeType)
			require.Equal(t, before, c.rest(t, project), "nothing comes back")
		})
	}
}

// rest is what stands in an organization.
func (c *cluster) rest(t testing.TB, project string) world {
	t.Helper()
	stands, _ := c.read(t, project, "kubernetes")
	return stands
}

// dated delivers a dated state as of its date.
func (c *cluster) dated(t testing.TB, project, file string) *authority.SyncReport {
	t.Helper()
	return c.observed(t, project, file, func(observed time.Time) time.Time { return observed })
}

func (c *cluster) observed(t testing.TB, project, file string, when func(time.Time) time.Time) *authority.SyncReport {
	t.Helper()
	day, _, _ := strings.Cut(file, "_")
	date, err := time.Parse(time.DateOnly, day)
	require.NoError(t, err)
	expected := readJSON[truth](t, "kubernetes-timeline", project, strings.TrimSuffix(file, ".yaml")+".json")
	expected.ApplyNamespace = ""
	return c.imports(t, authority.SyncRequest{Organization: project, ObservedAt: when(date)}, expected, "kubernetes-timeline", project)
}

// requireStep compares the events of one delivery with the ground truth.
func requireStep(t testing.TB, s timelineStep, report *authority.SyncReport, list []published) {
	t.Helper()
	came, went := map[[2]string]bool{}, map[[2]string]bool{}
	gained, lost := map[[2]string][]string{}, map[[2]string][]string{}
	rotations := map[[3]string]int{}
	for i, e := range list {
		require.True(t, report.At.Equal(e.At), s.Newer)
		require.Equal(t, i == 0, e.ChangeType == change.SyncApplied, s.Newer)
		switch e.ChangeType {
		case change.PathDiscovered, change.PathReappeared:
			came[e.lineage()] = true
		case change.PathRemoved:
			went[e.lineage()] = true
		case change.PathScopeChanged:
			if more := texts(e.Metadata["actionsGained"]); more != nil {
				gained[e.lineage()] = union(gained[e.lineage()], more)
			}
			if less := texts(e.Metadata["actionsLost"]); less != nil {
				lost[e.lineage()] = union(lost[e.lineage()], less)
			}
		case change.IdentityRotated:
			rotations[[3]string{*e.Workload, e.OldValue["sourceId"].(string), e.NewValue["sourceId"].(string)}] = int(e.Metadata["lineagesKept"].(float64))
		}
	}
	for lineage := range came { // a lineage that another identity took over has neither come nor gone
		if went[lineage] {
			delete(came, lineage)
			delete(went, lineage)
		}
	}
	require.Equal(t, lineagesOf(s.LineagesAdded), came, s.Newer)
	require.Equal(t, lineagesOf(s.LineagesRemoved), went, s.Newer)
	wantGained, wantLost := map[[2]string][]string{}, map[[2]string][]string{}
	for _, verbs := range s.VerbsChanged {
		if len(verbs.Gained) > 0 {
			wantGained[lineageOf(verbs.Lineage)] = union(verbs.Gained)
		}
		if len(verbs.Lost) > 0 {
			wantLost[lineageOf(verbs.Lineage)] = union(verbs.Lost)
		}
	}
	require.Equal(t, wantGained, gained, s.Newer)
	require.Equal(t, wantLost, lost, s.Newer)
	want := map[[3]string]int{}
	for _, r := range s.IdentityRotations {
		want[[3]string{r.Workload, r.Old, r.New}] = r.LineagesKept
	}
	require.Equal(t, want, rotations, s.Newer)
	require.Equal(t, report.Paths.Added, count(list, change.PathDiscovered)+count(list, change.PathReappeared), s.Newer)
	require.Equal(t, report.Paths.Removed, count(list, change.PathRemoved), s.Newer)
	require.Equal(t, report.Exposures.Opened, count(list, change.ExposureOpened), s.Newer)
	require.Equal(t, report.Exposures.Resolved, count(list, change.ExposureResolved), s.Newer)
}
