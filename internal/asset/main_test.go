package asset_test

import (
	"context"
	"flag"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// histories are the checks of a property unless -rapid.checks says otherwise: a
// history is a dozen transactions.
const histories = 20

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", strconv.Itoa(histories)); err != nil {
		panic(err)
	}
	dbtest.Main(m)
}

// epoch is when the tests' clocks begin.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// bench is a service on a database of its own, with a clock that the test moves.
type bench struct {
	*dbtest.Database
	service *authority.Service
	ctx     context.Context
	super   *pgx.Conn
	clock   atomic.Int64
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{Database: dbtest.New(t)}
	b.clock.Store(epoch.UnixMicro())
	b.super = b.Super(t)
	b.service = authority.New(b.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), b.now, slog.New(slog.DiscardHandler)).
		WithSurface(asset.NewSurface(asset.DefaultThresholds()))
	b.ctx = access.With(context.Background(), access.Actor{Subject: "test", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	return b
}

func (b *bench) now() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }

func (b *bench) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

// scan delivers what a scanner shows, an hour after what was before.
func (b *bench) scan(t testing.TB, request authority.SyncRequest, sightings ...record.Sighting) *authority.SyncReport {
	t.Helper()
	b.advance(time.Hour)
	report, err := b.tryScan(b.service, request, sightings...)
	require.NoError(t, err)
	return report
}

func (b *bench) tryScan(service *authority.Service, request authority.SyncRequest, sightings ...record.Sighting) (*authority.SyncReport, error) {
	if request.Organization == "" {
		request.Organization = "acme"
	}
	request.Format, request.Scan, request.CreateOrganization = "nmap", true, true
	return service.Sync(b.ctx, request, func(out record.Emitter) error {
		for i, sighting := range sightings {
			if err := out.Record(record.Record{Position: record.Position{File: "scan", Line: i + 1}, Fact: sighting}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bench) evaluate(t testing.TB, cause authority.Cause) *authority.Evaluation {
	t.Helper()
	evaluation, err := b.service.Reevaluate(b.ctx, id.Organization("acme"), cause, nil)
	require.NoError(t, err)
	return evaluation
}

// rows reads as the superuser, about acme.
func rows[T any](t require.TestingT, conn *pgx.Conn, sql string, args ...any) []T {
	found, err := conn.Query(context.Background(), sql, append([]any{id.Organization("acme")}, args...)...)
	require.NoError(t, err)
	list, err := pgx.CollectRows(found, pgx.RowTo[T])
	require.NoError(t, err, sql)
	return list
}

// standing is every asset: kind value status state.
func (b *bench) standing(t testing.TB) []string {
	t.Helper()
	return rows[string](t, b.super, `SELECT concat_ws(' ', kind, value, status, state) FROM asset WHERE organization_id = $1 ORDER BY kind, value`)
}
