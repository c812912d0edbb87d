package owners

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func alone(t *testing.T, text string) (*recordtest.Collector, error) {
	t.Helper()
	file, err := Read("owners.yaml", strings.NewReader(text))
	require.NoError(t, err)
	var got recordtest.Collector
	return &got, file.EmitAlone(&got)
}

// TestEmitAlone holds that a file by itself says who owns what and asserts no
// workload: not the ones that it names, nor what it knows of them.
func TestEmitAlone(t *testing.T) {
	t.Parallel()
	got, err := alone(t, `owners:
  - {id: ada@example.com, role: platform lead}
  - {id: team-platform, type: group}
workloads:
  - {workload: Deployment/shop/web, owners: [ada@example.com, team-platform]}
  - {workload: Job/shop/batch, owners: [], environment: production}
  - {workload: Job/shop/other, owners: [ada@example.com], ownerTeam: platform, businessTier: tier-1}
maxAgeDays: 30
`)
	require.NoError(t, err)
	require.Empty(t, got.Entities(record.Workload))
	owners := got.Entities(record.Owner)
	require.Len(t, owners, 2)
	require.Equal(t, record.Mapping, owners["ada@example.com"].Basis)
	require.Equal(t, record.Group, owners["team-platform"].OwnerType)
	var ties []string
	for _, edge := range got.Edges(record.OwnedBy) {
		ties = append(ties, edge.From.SourceID+" "+edge.To.SourceID)
	}
	require.Equal(t, []string{
		"Deployment/shop/web ada@example.com", "Deployment/shop/web team-platform", "Job/shop/other ada@example.com",
	}, ties)
	age := 30 * 24 * time.Hour
	require.Equal(t, []record.Coverage{
		{Kind: record.Ownership, Entity: workload("Deployment/shop/web"), MaxAge: age},
		{Kind: record.Ownership, Entity: workload("Job/shop/batch"), MaxAge: age},
		{Kind: record.Ownership, Entity: workload("Job/shop/other"), MaxAge: age},
	}, got.Coverage())
	require.Equal(t, []record.Warning{{Position: record.Position{File: "owners.yaml", Line: 6}, Code: "ATTRIBUTES_NOT_APPLIED",
		Message: "Environment, team and tier of 2 entries are not applied from a file that comes alone; send it with the manifests (--owners)."}}, got.Warnings)
	require.Empty(t, got.Rejections)
}

func TestEmitAloneComplete(t *testing.T) {
	t.Parallel()
	got, err := alone(t, "owners: [{id: ada}]\nworkloads: [{workload: w, owners: [ada]}]\ncomplete: true\n")
	require.NoError(t, err)
	require.Equal(t, []record.Coverage{{Kind: record.Ownership}}, got.Coverage(), "of every workload of the system, and so of each")
	require.Len(t, got.Edges(record.OwnedBy), 1)
	require.Empty(t, got.Warnings)
}

func TestEmitAloneRefusesPatterns(t *testing.T) {
	t.Parallel()
	got, err := alone(t, "owners: [{id: ada}]\nworkloads:\n- {workload: w, owners: [ada]}\n- {workload: 'Job/*', owners: [ada]}\n")
	var fault *problem.Error
	require.ErrorAs(t, err, &fault)
	require.Equal(t, "OWNER_PATTERN", fault.Code)
	require.Equal(t, 4, fault.Line)
	require.Contains(t, fault.Message, `"Job/*"`)
	require.Empty(t, got.Records, "nothing of it was said")
}

func TestEmitterEndsItAlone(t *testing.T) {
	t.Parallel()
	file, err := Read("owners.yaml", strings.NewReader("owners: [{id: a}]\nworkloads: [{workload: w, owners: [a], ownerTeam: b}]\ncomplete: true\n"))
	require.NoError(t, err)
	calls := 0
	for ; ; calls++ {
		if err := file.EmitAlone(&refusing{left: calls}); err == nil {
			break
		} else {
			require.ErrorIs(t, err, errRefused)
		}
	}
	require.Equal(t, 4, calls)
}
