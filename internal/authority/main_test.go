package authority_test

import (
	"context"
	"flag"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
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

// bench is a service on a database of its own, with a clock that the test moves.
type bench struct {
	*dbtest.Database
	service *authority.Service
	ctx     context.Context
	clock   atomic.Int64
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{Database: dbtest.New(t)}
	b.clock.Store(epoch.UnixMicro())
	b.service = authority.New(b.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), func() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }, slog.New(slog.DiscardHandler)).
		WithSurface(asset.NewSurface(asset.DefaultThresholds()))
	b.ctx = access.With(context.Background(), access.Actor{
		Subject: "test", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	return b
}

func (b *bench) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

// sync delivers facts and expects them to be taken.
func (b *bench) sync(t testing.TB, request authority.SyncRequest, facts ...record.Fact) *authority.SyncReport {
	t.Helper()
	report, err := b.trySync(request, facts...)
	require.NoError(t, err)
	return report
}

func (b *bench) trySync(request authority.SyncRequest, facts ...record.Fact) (*authority.SyncReport, error) {
	if request.Organization == "" {
		request.Organization = "acme"
	}
	if request.Format == "" {
		request.Format = "snapshot"
	}
	request.CreateOrganization = true
	return b.service.Sync(b.ctx, request, func(out record.Emitter) error {
		for i, fact := range facts {
			if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
				return err
			}
		}
		return nil
	})
}

func ref(kind record.EntityKind, name string) record.Ref {
	return record.Ref{Kind: kind, SourceID: name}
}

func workload(name string) record.Entity { return record.Entity{Ref: ref(record.Workload, name)} }
func identity(name string) record.Entity { return record.Entity{Ref: ref(record.Identity, name)} }
func role(name string) record.Entity     { return record.Entity{Ref: ref(record.Role, name)} }
func owner(name string) record.Entity {
	return record.Entity{Ref: ref(record.Owner, name), OwnerType: record.Individual}
}

func resource(name, sensitivity string) record.Entity {
	return record.Entity{Ref: ref(record.Resource, name), Sensitivity: sensitivity, DataDomain: "finance"}
}

func runsAs(workload, identity string) record.Edge {
	return record.Edge{Kind: record.RunsAs, From: ref(record.Workload, workload), To: ref(record.Identity, identity)}
}

func hasRole(identity, role, scope string) record.Edge {
	return record.Edge{Kind: record.HasRole, From: ref(record.Identity, identity), To: ref(record.Role, role), Scope: scope}
}

func grants(role, scope, resource string, actions ...string) record.Edge {
	return record.Edge{Kind: record.Grants, From: ref(record.Role, role), To: ref(record.Resource, resource), Scope: scope, Actions: actions}
}

func ownedBy(workload, owner string) record.Edge {
	return record.Edge{Kind: record.OwnedBy, From: ref(record.Workload, workload), To: ref(record.Owner, owner)}
}

func declares(workload, resource string, actions ...string) record.Edge {
	return record.Edge{Kind: record.Declares, From: ref(record.Workload, workload), To: ref(record.Resource, resource), Actions: actions}
}
