package asset_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

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

// TestWhatAnUpsertSaysOfADiscovery shows why nobody asks the statement that writes an
// asset whether it is new: xmax is 0 of a row that the statement has inserted, and
// RETURNING gives the rows that it has written. Neither says what stands in the end.
// What is new here is read off the rows that stand: it was first seen in this delivery.
func TestWhatAnUpsertSaysOfADiscovery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.super.Exec(b.ctx, `CREATE TABLE naive (value text PRIMARY KEY, seen integer NOT NULL DEFAULT 1)`)
	require.NoError(t, err)
	const upsert = `INSERT INTO naive (value) SELECT unnest($1::text[]) ON CONFLICT (value) DO UPDATE SET seen = naive.seen + 1 RETURNING xmax = 0`
	found := func(conn pgx.Tx, values ...string) bool {
		var inserted bool
		require.NoError(t, conn.QueryRow(b.ctx, upsert, values).Scan(&inserted))
		return inserted
	}
	shown := func(address string) record.Sighting { return surfacetest.Up(address).Sighting }

	t.Run("seen twice by one scan", func(t *testing.T) {
		require.NoError(t, pgx.BeginFunc(b.ctx, b.super, func(tx pgx.Tx) error {
			require.True(t, found(tx, "10.0.0.1"))
			require.False(t, found(tx, "10.0.0.1"), "it says known, of what nobody but this scan has ever seen")
			return nil
		}))
		_, err := b.super.Exec(b.ctx, upsert, []string{"10.0.0.2", "10.0.0.2"})
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "21000", refused.Code, "and in one statement it is not taken at all")

		report := b.scan(t, authority.SyncRequest{Source: "twice"}, shown("10.0.0.1"), shown("10.0.0.2"), shown("10.0.0.1"))
		require.Equal(t, authority.SurfaceCounts{Added: 2}, report.Assets)
	})

	t.Run("seen by a scan that is cut", func(t *testing.T) {
		cut := errors.New("the file ends too early")
		times := 0
		for _, ends := range []error{cut, nil} {
			err := pgx.BeginFunc(b.ctx, b.super, func(tx pgx.Tx) error {
				if found(tx, "10.0.0.3") {
					times++
				}
				return ends
			})
			require.ErrorIs(t, err, ends)
		}
		require.Equal(t, 2, times, "it says new, and is taken back, and says new again")

		b.advance(day)
		_, err := b.service.Sync(b.ctx, authority.SyncRequest{Organization: "acme", Source: "cut", Format: "nmap", Scan: true}, func(out record.Emitter) error {
			return errors.Join(out.Record(record.Record{Fact: shown("10.0.0.3")}), cut)
		})
		require.ErrorIs(t, err, cut)
		report := b.scan(t, authority.SyncRequest{Source: "cut"}, shown("10.0.0.3"))
		require.Equal(t, authority.SurfaceCounts{Added: 1}, report.Assets)
		require.Equal(t, []bool{true}, rows[bool](t, b.super, `SELECT first_seen_at = $2 FROM asset WHERE organization_id = $1 AND value = '10.0.0.3'`, report.At))
	})

	t.Run("seen by two scans at once", func(t *testing.T) {
		const identify = `WITH added AS (INSERT INTO naive (value) VALUES ('10.0.0.4') ON CONFLICT DO NOTHING RETURNING value)
			SELECT value FROM added UNION ALL SELECT value FROM naive WHERE value = '10.0.0.4'`
		first, err := b.Super(t).Begin(b.ctx)
		require.NoError(t, err)
		require.True(t, found(first, "10.0.0.4"))
		second, known := b.Super(t), make(chan int64, 1)
		go func() {
			tag, err := second.Exec(b.ctx, identify)
			if err != nil {
				known <- -1
				return
			}
			known <- tag.RowsAffected()
		}()
		require.Eventually(t, func() bool {
			return len(rows[int](t, b.super, `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'WITH added%' AND $1::uuid IS NOT NULL AND datname = current_database()`)) == 1
		}, 30*time.Second, 10*time.Millisecond, "the second waits for the key of the first")
		require.NoError(t, first.Commit(b.ctx))
		require.Zero(t, <-known, "neither added nor there: the statement looked before it waited")

		added, failed := make([]int, 2), make([]error, 2)
		var both sync.WaitGroup
		b.advance(day)
		for i, source := range []string{"one", "other"} {
			both.Go(func() {
				report, err := b.tryScan(b.service, authority.SyncRequest{Source: source}, shown("10.0.0.4"))
				if failed[i] = err; err == nil {
					added[i] = report.Assets.Added
				}
			})
		}
		both.Wait()
		require.NoError(t, errors.Join(failed...))
		require.ElementsMatch(t, []int{0, 1}, added)
		require.Equal(t, []int{2}, rows[int](t, b.super, `SELECT count(*)::int FROM asset_sighting g JOIN asset a ON a.organization_id = g.organization_id AND a.id = g.asset_id
			WHERE a.organization_id = $1 AND a.value = '10.0.0.4'`), "whoever came second knows it by then")
	})
}
