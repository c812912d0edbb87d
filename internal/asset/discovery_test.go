package asset_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// TestTwoScannersOneDiscovery has two scanners deliver the same fifty hosts at once,
// again and again with others: each asset is one row, first seen by one of them.
func TestTwoScannersOneDiscovery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const rounds, hosts = 20, 50
	for round := range rounds {
		var sightings []record.Sighting
		for n := range hosts {
			sightings = append(sightings, surfacetest.Up(fmt.Sprintf("10.%d.0.%d", round, n), 80).Sighting)
		}
		barrier := make(chan struct{})
		added, failed := make([]int, 2), make([]error, 2)
		var both sync.WaitGroup
		for i, source := range []string{"nmap", "masscan"} {
			both.Go(func() {
				<-barrier
				report, err := b.tryScan(b.service, authority.SyncRequest{Source: source}, sightings...)
				if failed[i] = err; err == nil {
					added[i] = report.Assets.Added
				}
			})
		}
		b.advance(day)
		close(barrier)
		both.Wait()
		require.NoError(t, errors.Join(failed...))
		require.ElementsMatch(t, []int{0, 2 * hosts}, added, "one of them found all of it")
	}
	type discovery struct {
		Value  string
		Syncs  int // with its instant of discovery
		Voices int
	}
	found, err := b.super.Query(b.ctx, `SELECT a.value,
			(SELECT count(*) FROM sync y WHERE y.organization_id = a.organization_id AND y.at = a.first_seen_at AND y.source_id IS NOT NULL)::int AS syncs,
			(SELECT count(*) FROM asset_sighting g WHERE g.organization_id = a.organization_id AND g.asset_id = a.id)::int AS voices
		FROM asset a WHERE a.organization_id = $1`, id.Organization("acme"))
	require.NoError(t, err)
	list, err := pgx.CollectRows(found, pgx.RowToStructByName[discovery])
	require.NoError(t, err)
	require.Len(t, list, rounds*hosts*2)
	values := map[string]bool{}
	for _, d := range list {
		require.False(t, values[d.Value], d.Value)
		values[d.Value] = true
		require.Equal(t, 1, d.Syncs, "%s was discovered by one scan, which has a job", d.Value)
		require.Equal(t, 2, d.Voices, "%s is seen by both", d.Value)
	}
	require.Empty(t, rows[int](t, b.super, `SELECT 1 FROM asset_version WHERE organization_id = $1`), "who sees it second changes nothing")
}

// TestWithoutTheLockADiscoveryFails shows that it is the lock which makes a discovery
// one: two transactions that look before either has it both find the asset new, and
// the key refuses the second.
func TestWithoutTheLockADiscoveryFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	b.scan(t, authority.SyncRequest{Source: "nmap"}, surfacetest.Up("10.0.0.1").Sighting)
	const discover = `INSERT INTO asset (organization_id, id, kind, value, first_seen_at, status, attributes, from_at)
		SELECT $1, $2, 'domain', 'example.com', now(), 'active', '{}', now()
		WHERE NOT EXISTS (SELECT FROM asset a WHERE a.organization_id = $1 AND a.id = $2)`
	organization := id.Organization("acme")
	asset := id.Asset(organization, "domain", "example.com")
	first, second := b.Super(t), b.Super(t)
	one, err := first.Begin(ctx)
	require.NoError(t, err)
	_, err = one.Exec(ctx, discover, organization, asset)
	require.NoError(t, err)
	refused := make(chan error, 1)
	go func() {
		_, err := second.Exec(ctx, discover, organization, asset)
		refused <- err
	}()
	require.Eventually(t, func() bool {
		return len(rows[int](t, b.super, `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO asset%' AND $1::uuid IS NOT NULL AND datname = current_database()`)) == 1
	}, 30e9, 10e6, "the second waits for the key of the first")
	require.NoError(t, one.Commit(ctx))
	var conflict *pgconn.PgError
	require.ErrorAs(t, <-refused, &conflict)
	require.Equal(t, "23505", conflict.Code)
}
