package authority_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// shop is a small world: two workloads, one identity, two roles.
func shop() []record.Fact {
	return []record.Fact{
		workload("checkout"), workload("reports"), identity("sa-shop"), role("reader"), role("writer"),
		resource("ledger", "high"), resource("mail", "internal"),
		runsAs("checkout", "sa-shop"), runsAs("reports", "sa-shop"),
		hasRole("sa-shop", "reader", "*"), hasRole("sa-shop", "writer", "eu"),
		grants("reader", "*", "ledger", "get", "list"), grants("reader", "*", "mail", "get"),
		grants("writer", "eu", "ledger", "update"), grants("writer", "*", "mail", "delete"),
	}
}

type pathRow struct {
	Workload, Identity, Resource, Status string
	Actions                              []string
	Version                              int
}

func (b *bench) paths(t testing.TB, organization string) []pathRow {
	t.Helper()
	rows, err := b.Super(t).Query(context.Background(), `
		SELECT w.external_id, coalesce(i.external_id, ''), r.external_id, p.status, p.actions, p.version
		FROM authority_path p
		JOIN organization o ON o.id = p.organization_id AND o.slug = $1
		JOIN entity w ON w.organization_id = o.id AND w.id = p.workload_id
		JOIN entity r ON r.organization_id = o.id AND r.id = p.resource_id
		LEFT JOIN entity i ON i.organization_id = o.id AND i.id = p.identity_id
		ORDER BY 1, 2, 3`, organization)
	require.NoError(t, err)
	defer rows.Close()
	var list []pathRow
	for rows.Next() {
		var p pathRow
		require.NoError(t, rows.Scan(&p.Workload, &p.Identity, &p.Resource, &p.Status, &p.Actions, &p.Version))
		list = append(list, p)
	}
	require.NoError(t, rows.Err())
	return list
}

func TestSyncMakesPathsWhereScopesAgree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	report := b.sync(t, authority.SyncRequest{}, shop()...)
	require.Equal(t, authority.Applied, report.Outcome)
	require.Equal(t, authority.PathCounts{Added: 4}, report.Paths)
	require.Equal(t, []pathRow{
		{"checkout", "sa-shop", "ledger", "active", []string{"get", "list", "update"}, 1},
		{"checkout", "sa-shop", "mail", "active", []string{"get"}, 1}, // the writer is bound in eu only
		{"reports", "sa-shop", "ledger", "active", []string{"get", "list", "update"}, 1},
		{"reports", "sa-shop", "mail", "active", []string{"get"}, 1},
	}, b.paths(t, "acme"))
}

func TestSyncTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.sync(t, authority.SyncRequest{ObservedAt: epoch}, shop()...)
	again := b.sync(t, authority.SyncRequest{ObservedAt: epoch}, shop()...)
	require.Equal(t, authority.Repeated, again.Outcome)
	require.Equal(t, first.SyncID, again.SyncID)
	b.advance(time.Hour)
	later := b.sync(t, authority.SyncRequest{}, shop()...)
	require.Equal(t, authority.Unchanged, later.Outcome)
	require.NotEqual(t, first.SyncID, later.SyncID)
	require.Equal(t, authority.PathCounts{Kept: 4}, later.Paths)
	late := b.sync(t, authority.SyncRequest{ObservedAt: epoch.Add(-time.Hour)}, shop()[1:]...)
	require.Equal(t, authority.Late, late.Outcome)
	require.Len(t, b.paths(t, "acme"), 4)
}

// Strictness asks about the records, not about whether they came before.
func TestStrictRefusesWhatWasTakenInPart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	facts := append(shop(), workload("checkout")) // said twice
	taken := b.sync(t, authority.SyncRequest{ObservedAt: epoch}, facts...)
	require.Equal(t, 1, taken.Records.Rejected)
	_, err := b.trySync(authority.SyncRequest{ObservedAt: epoch, Strict: true}, facts...)
	var refused *problem.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "DUPLICATE_RECORD", refused.Code)
	require.Equal(t, authority.Repeated, b.sync(t, authority.SyncRequest{ObservedAt: epoch}, facts...).Outcome)
}
