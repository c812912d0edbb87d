package importer_test

import (
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// reading is a workload with authority over the secrets of its namespace.
const reading = deployment + "---\n" + account + `---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
`

const (
	nobodysShop = "workloads: [{workload: Deployment/shop/web, owners: []}]\n"
	adasShop    = "owners: [{id: ada@example.com}]\nworkloads: [{workload: Deployment/shop/web, owners: [ada@example.com]}]\n"
)

// upload imports a file that was observed some hours ago.
func (c *cluster) upload(t testing.TB, format, system string, hours int, content string) *authority.SyncReport {
	t.Helper()
	request := importer.Request{Files: files(content), SyncRequest: authority.SyncRequest{
		Organization: "acme", CreateOrganization: true, Format: format, System: system, ObservedAt: now.Add(-time.Duration(hours) * time.Hour)}}
	report, err := c.importer.Run(c.ctx, request)
	require.NoError(t, err)
	return report
}

// TestOwnersAlone: who owns what another source brought is said, taken back, and
// said of somebody who is not there.
func TestOwnersAlone(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	super := c.Super(t)
	type interval struct {
		Ordinal int
		Open    bool
		Reason  string
	}
	intervals := func(kind rule.Type) []interval {
		rows, err := super.Query(t.Context(), `SELECT ordinal::int, to_at IS NULL AS open, coalesce(resolution_reason, '') AS reason
			FROM exposure WHERE type = $1 ORDER BY ordinal`, kind)
		require.NoError(t, err)
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[interval])
		require.NoError(t, err)
		return list
	}
	owned := func() authority.OwnershipStatus {
		snapshot := c.Snapshot()
		defer snapshot.Close(c.ctx)
		workloads := c.entities(t, snapshot, "acme", record.Workload)
		require.Len(t, workloads, 1, "an owners file brings no workload")
		require.Equal(t, "web", workloads[0].Name)
		return workloads[0].OwnershipStatus
	}
	open, resolved := []interval{{1, true, ""}}, []interval{{1, false, "owner_assigned"}}

	c.upload(t, "kubernetes", "", 9, reading)
	require.Equal(t, open, intervals(rule.UnknownOwnership))
	require.Empty(t, intervals(rule.OrphanedPath), "nobody has looked yet")

	report := c.upload(t, "owners", "", 8, nobodysShop)
	require.Equal(t, authority.Applied, report.Outcome)
	require.True(t, report.Complete)
	require.Equal(t, "owners", report.Source)
	require.Equal(t, "kubernetes", report.System)
	require.Equal(t, authority.OwnershipOrphaned, owned())
	require.Equal(t, open, intervals(rule.OrphanedPath))
	require.Equal(t, []interval{{1, false, "ownership_metadata_received"}}, intervals(rule.UnknownOwnership))

	report = c.upload(t, "auto", "", 7, adasShop)
	require.Equal(t, "owners", report.Format)
	require.Equal(t, authority.OwnershipValid, owned())
	require.Equal(t, resolved, intervals(rule.OrphanedPath))

	require.Equal(t, authority.Unchanged, c.upload(t, "owners", "", 6, adasShop).Outcome)

	// The manifests again: they say nothing of owners, and take nothing back.
	require.Equal(t, authority.Unchanged, c.upload(t, "kubernetes", "", 5, reading).Outcome)
	require.Equal(t, authority.OwnershipValid, owned())

	// A workload that nobody brought is rejected and none of it is made up. The
	// file is then no word on what it leaves out: the owner stays.
	report = c.upload(t, "owners", "", 4, "workloads:\n- {workload: Deployment/shop/web, owners: []}\n- {workload: Deployment/shop/wbe, owners: []}\n")
	require.False(t, report.Complete)
	require.NotEmpty(t, report.Rejections)
	for _, rejection := range report.Rejections {
		require.Equal(t, "DANGLING_REFERENCE", rejection.Code)
		require.Equal(t, record.Position{File: "in", Line: 3}, rejection.Position)
	}
	require.Equal(t, authority.OwnershipValid, owned())
	require.Equal(t, resolved, intervals(rule.OrphanedPath))

	c.upload(t, "owners", "", 3, nobodysShop)
	require.Equal(t, authority.OwnershipOrphaned, owned())
	require.Equal(t, []interval{{1, false, "owner_assigned"}, {2, true, ""}}, intervals(rule.OrphanedPath))

	// An empty complete file: everybody was looked at, nobody found.
	c.upload(t, "owners", "", 2, "complete: true\n")
	require.Equal(t, authority.OwnershipOrphaned, owned())
	require.Equal(t, []interval{{1, false, "owner_assigned"}, {2, true, ""}}, intervals(rule.OrphanedPath))

	// The workload goes with its manifests, not with the file that knows its owner.
	c.upload(t, "owners", "", 1, adasShop)
	report = c.upload(t, "kubernetes", "", 0, account)
	require.Equal(t, 1, report.Paths.Removed)
	snapshot := c.Snapshot()
	defer snapshot.Close(c.ctx)
	require.Empty(t, c.entities(t, snapshot, "acme", record.Workload))
}

// TestOwnersOfAnotherSystem: a file is about one cluster and says nothing of a
// workload of the same name in another.
func TestOwnersOfAnotherSystem(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for i, system := range []string{"a", "b"} {
		c.upload(t, "kubernetes", system, 9-i, reading)
	}
	report := c.upload(t, "owners", "b", 1, adasShop)
	require.Empty(t, report.Rejections)
	snapshot := c.Snapshot()
	defer snapshot.Close(c.ctx)
	status := map[string]authority.OwnershipStatus{}
	for _, workload := range c.entities(t, snapshot, "acme", record.Workload) {
		status[workload.System] = workload.OwnershipStatus
	}
	require.Equal(t, map[string]authority.OwnershipStatus{"a": authority.OwnershipUnknown, "b": authority.OwnershipValid}, status)
	require.NotEmpty(t, c.upload(t, "owners", "c", 0, adasShop).Rejections)
}

func TestRunOwnersRefuses(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut off")
	for name, test := range map[string]struct {
		code  string
		files iter.Seq2[importer.File, error]
	}{
		"two files": {"ONE_FILE_ONLY", files(adasShop, adasShop)},
		"no file":   {"FILE_MISSING", files()},
		"nonsense":  {"OWNERS_NOT_YAML", files("owners: [")},
		"a pattern": {"OWNER_PATTERN", files("owners: [{id: a}]\nworkloads: [{workload: '*', owners: [a]}]\n")},
	} {
		request := importer.Request{Files: test.files}
		request.Format = "owners"
		got, err := run(t, request)
		require.Equal(t, test.code, code(t, err), name)
		require.Empty(t, got.Records, name)
	}
	for name, content := range map[string]iter.Seq2[importer.File, error]{
		"a file that breaks off": func(yield func(importer.File, error) bool) {
			yield(importer.File{Name: "in", Content: iotest.ErrReader(cut)}, nil)
		},
		"an upload that breaks off": func(yield func(importer.File, error) bool) {
			if yield(importer.File{Name: "in", Content: strings.NewReader(adasShop)}, nil) {
				yield(importer.File{}, cut)
			}
		},
	} {
		request := importer.Request{Files: content}
		request.Format = "owners"
		got, err := run(t, request)
		require.ErrorIs(t, err, cut, name)
		require.False(t, got.called, name)
	}
}
