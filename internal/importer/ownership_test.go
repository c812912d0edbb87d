package importer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// TestTwoSourcesOfOwnership: what came with the manifests and what came apart add
// up, and each takes back its own word only.
func TestTwoSourcesOfOwnership(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	super := c.Super(t)
	hours := 20
	send := func(format, content, owners string) {
		hours--
		request := importer.Request{Files: files(content), SyncRequest: authority.SyncRequest{
			Organization: "acme", CreateOrganization: true, Format: format, ObservedAt: now.Add(-time.Duration(hours) * time.Hour)}}
		if owners != "" {
			request.Owners = &importer.File{Name: "owners.yaml", Content: strings.NewReader(owners)}
		}
		report, err := c.importer.Run(c.ctx, request)
		require.NoError(t, err)
		require.Empty(t, report.Rejections)
		require.True(t, report.Complete)
	}
	owned := func() (status authority.OwnershipStatus, ties []string) {
		snapshot := c.Snapshot()
		defer snapshot.Close(c.ctx)
		workloads := c.entities(t, snapshot, "acme", record.Workload)
		require.Len(t, workloads, 1)
		return workloads[0].OwnershipStatus, c.selects(t, super, `SELECT concat(s.name, ': ', o.external_id) FROM edge e
			JOIN entity o ON o.organization_id = e.organization_id AND o.id = e.to_id
			JOIN source s ON s.organization_id = e.organization_id AND s.id = e.source_id WHERE e.kind = 'owned_by' ORDER BY 1`)
	}
	orphaned := func() []string {
		return c.selects(t, super, `SELECT concat_ws(' ', x.ordinal, x.resolution_reason) FROM exposure x WHERE x.type = 1 ORDER BY x.ordinal`)
	}
	const (
		nobodys = "workloads: [{workload: Deployment/shop/web, owners: []}]\n"
		adas    = "owners: [{id: ada}]\nworkloads: [{workload: Deployment/shop/web, owners: [ada]}]\n"
		bobs    = "owners: [{id: bob}]\nworkloads: [{workload: Deployment/shop/web, owners: [bob]}]\n"
	)
	send("kubernetes", shop, nobodys)
	status, ties := owned()
	require.Equal(t, authority.OwnershipOrphaned, status)
	require.Empty(t, ties)
	require.Equal(t, []string{"1"}, orphaned())

	// One who found nobody does not outweigh one who did.
	send("owners", adas, "")
	status, ties = owned()
	require.Equal(t, authority.OwnershipValid, status)
	require.Equal(t, []string{"owners: ada"}, ties)
	require.Equal(t, []string{"1 owner_assigned"}, orphaned())

	send("kubernetes", shop, bobs)
	_, ties = owned()
	require.Equal(t, []string{"kubernetes: bob", "owners: ada"}, ties)

	send("owners", nobodys, "") // takes its own word back
	status, ties = owned()
	require.Equal(t, authority.OwnershipValid, status, "bob is the manifests' word")
	require.Equal(t, []string{"kubernetes: bob"}, ties)
	require.Equal(t, []string{"1 owner_assigned"}, orphaned())

	// Without the file the manifests take bob back; that there is nobody is still
	// the word of the other.
	send("kubernetes", shop, "")
	status, ties = owned()
	require.Equal(t, authority.OwnershipOrphaned, status)
	require.Empty(t, ties)
	require.Equal(t, []string{"1 owner_assigned", "2"}, orphaned())
}
