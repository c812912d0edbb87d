package db

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // goose speaks database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed grants.sql
var grants string

// Migrator moves the schema, as the owner role.
type Migrator struct {
	conn     *sql.DB
	provider *goose.Provider
}

// NewMigrator connects as the owner. A session lock keeps replicas that start
// together from migrating at once.
func NewMigrator(ctx context.Context, ownerURL string) (*Migrator, error) {
	conn, err := sql.Open("pgx", ownerURL)
	if err != nil {
		return nil, fmt.Errorf("open owner connection: %w", err)
	}
	if err := conn.PingContext(ctx); err != nil {
		return nil, problem.New(problem.Unavailable, "DATABASE_UNREACHABLE", "the database does not answer to its owner role; see --owner-database-url").Because(err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("session locker: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("migration files: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, files, goose.WithSessionLocker(locker), riverMigrations(ownerURL))
	if err != nil {
		return nil, fmt.Errorf("migration provider: %w", err)
	}
	return &Migrator{conn: conn, provider: provider}, nil
}

// Close closes the owner's connection.
func (m *Migrator) Close() error { return m.conn.Close() }

// Up applies what is missing, and gives the runtime role its rights.
func (m *Migrator) Up(ctx context.Context, runtimeRole string) (applied int, err error) {
	results, err := m.provider.Up(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrate up: %w", err)
	}
	role := pgx.Identifier{runtimeRole}.Sanitize()
	if _, err := m.conn.ExecContext(ctx, fmt.Sprintf(grants, role)); err != nil {
		return 0, fmt.Errorf("grant rights to %s: %w", role, err)
	}
	return len(results), nil
}

// Down takes the last migration back.
func (m *Migrator) Down(ctx context.Context) (version int64, err error) {
	result, err := m.provider.Down(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrate down: %w", err)
	}
	return result.Source.Version, nil
}

// MigrationStatus is one migration and whether it was applied.
type MigrationStatus struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
}

// Status lists the migrations.
func (m *Migrator) Status(ctx context.Context) ([]MigrationStatus, error) {
	list, err := m.provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	out := make([]MigrationStatus, 0, len(list))
	for _, status := range list {
		name := status.Source.Path
		if status.Source.Version == riverMigration {
			name = riverName
		}
		out = append(out, MigrationStatus{
			Version: status.Source.Version,
			Name:    name,
			Applied: status.State == goose.StateApplied,
		})
	}
	return out, nil
}
