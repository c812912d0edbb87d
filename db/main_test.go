package db_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// column reads one column of a query of the catalog.
func column[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) []T {
	t.Helper()
	rows, err := conn.Query(context.Background(), sql, args...)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return list
}

func exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	_, err := conn.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

// tables of the schema, whatever the migrations made.
func tables(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	return column[string](t, conn, `
		SELECT relname::text FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`)
}

// queueTables of the job queue's own schema, under their whole names.
func queueTables(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	return column[string](t, conn, `SELECT oid::regclass::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p') ORDER BY 1`, db.RiverSchema)
}

func tenantTables(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	list := slices.DeleteFunc(tables(t, conn), func(table string) bool { return db.Untenanted[table] != "" })
	require.GreaterOrEqual(t, len(list), 15, "the catalog query finds the tables")
	return list
}

func codeOf(t testing.TB, err error) string {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	return typed.Code
}

func sqlState(t testing.TB, err error) string {
	t.Helper()
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	return pgErr.Code
}

// facts is a small world: n workloads that share an identity and its roles.
func facts(n int) []record.Fact {
	ref := func(kind record.EntityKind, name string) record.Ref {
		return record.Ref{Kind: kind, SourceID: name}
	}
	list := []record.Fact{
		record.Entity{Ref: ref(record.Identity, "sa")}, record.Entity{Ref: ref(record.Role, "reader")},
		record.Entity{Ref: ref(record.Resource, "ledger"), Sensitivity: "restricted", DataDomain: "finance"},
		record.Edge{Kind: record.HasRole, From: ref(record.Identity, "sa"), To: ref(record.Role, "reader"), Scope: "*"},
		record.Edge{Kind: record.Grants, From: ref(record.Role, "reader"), To: ref(record.Resource, "ledger"), Scope: "*", Actions: []string{"get"}},
	}
	for i := range n {
		w := ref(record.Workload, fmt.Sprintf("w%03d", i))
		list = append(list, record.Entity{Ref: w}, record.Edge{Kind: record.RunsAs, From: w, To: ref(record.Identity, "sa")})
	}
	return list
}

var root = access.Actor{Subject: "test", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}

func sync1(t testing.TB, database *db.DB, organization string, list []record.Fact) *authority.SyncReport {
	t.Helper()
	service := authority.New(database, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), func() time.Time { return epoch }, slog.New(slog.DiscardHandler))
	report, err := service.Sync(access.With(context.Background(), root),
		authority.SyncRequest{Organization: organization, CreateOrganization: true, Format: "snapshot"},
		func(out record.Emitter) error {
			for i, fact := range list {
				if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
					return err
				}
			}
			return nil
		})
	require.NoError(t, err)
	return report
}
