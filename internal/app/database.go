package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// folderPatience is how long a server waits for a command that has the embedded
// database open at this moment.
const folderPatience = 5 * time.Second

// DatabaseConfig says which database: the one of the URLs or, without them, the
// embedded one.
type DatabaseConfig struct {
	URL      string // of the runtime role
	OwnerURL string // of the role that owns the tables
	DataDir  string // of the embedded database; empty: devpg.DefaultDataDir
	Logger   *slog.Logger

	// Exclusive refuses an embedded database that another program runs.
	Exclusive bool

	// Migrate brings an embedded database that is started here to the newest
	// schema. One that another program runs is left to that program.
	Migrate bool
}

// Database is the database of an installation.
type Database struct {
	RuntimeURL string // empty if only the owner is known
	OwnerURL   string // empty if only the runtime role is known

	embedded *devpg.Server
}

// OpenDatabase finds the database. The embedded one is attached to or started;
// Close stops it if it was started here.
func OpenDatabase(ctx context.Context, config DatabaseConfig) (*Database, error) {
	if config.URL != "" || config.OwnerURL != "" {
		return &Database{RuntimeURL: config.URL, OwnerURL: config.OwnerURL}, nil
	}
	if config.DataDir == "" {
		folder, err := devpg.DefaultDataDir()
		if err != nil {
			return nil, err
		}
		config.DataDir = folder
	}
	server, err := openEmbedded(ctx, config)
	if err != nil {
		return nil, err
	}
	d := &Database{RuntimeURL: server.RuntimeURL(""), OwnerURL: server.OwnerURL(""), embedded: server}
	if config.Migrate && !server.Attached() {
		if _, err := d.Migrate(ctx); err != nil {
			_ = d.Close() // the first error is the one to tell
			return nil, err
		}
	}
	return d, nil
}

func openEmbedded(ctx context.Context, config DatabaseConfig) (*devpg.Server, error) {
	patience, cancel := context.WithTimeout(ctx, folderPatience)
	defer cancel()
	for {
		server, err := devpg.Open(ctx, devpg.Config{DataDir: config.DataDir, Logger: config.Logger, Durable: true})
		if err != nil || !server.Attached() || !config.Exclusive {
			return server, err
		}
		// A server on another's database would die with it, unlike replicas
		// before a database of its own.
		select {
		case <-patience.Done():
			return nil, problem.New(problem.Conflict, "DATA_FOLDER_IN_USE",
				"another exposuregraph runs the database of %s; stop it, or choose another folder with --data-dir", config.DataDir)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Embedded says whether this is a database of our own.
func (d *Database) Embedded() bool { return d.embedded != nil }

// Lost is closed when an embedded database that was started here has ended.
func (d *Database) Lost() <-chan struct{} {
	if d.embedded == nil {
		return nil
	}
	return d.embedded.Done()
}

// Close stops an embedded database that was started here.
func (d *Database) Close() error {
	if d.embedded == nil {
		return nil
	}
	return d.embedded.Close()
}

// Migrate applies what is missing and gives the runtime role its rights.
func (d *Database) Migrate(ctx context.Context) (applied int, err error) {
	if d.OwnerURL == "" || d.RuntimeURL == "" {
		return 0, problem.New(problem.Invalid, "BOTH_ROLES_NEEDED",
			"migrating takes both roles: the owner's --owner-database-url, and --database-url to know who gets the rights")
	}
	runtime, err := pgx.ParseConfig(d.RuntimeURL)
	if err != nil {
		return 0, problem.New(problem.Invalid, "DATABASE_URL_INVALID", "the database URL cannot be read; expected postgres://user@host/database").Because(err)
	}
	err = d.migrator(ctx, d.OwnerURL, func(m *db.Migrator) (err error) {
		applied, err = m.Up(ctx, runtime.User)
		return err
	})
	return applied, err
}

// MigrateDown takes the last migration back.
func (d *Database) MigrateDown(ctx context.Context) (version int64, err error) {
	if d.OwnerURL == "" {
		return 0, problem.New(problem.Invalid, "OWNER_ROLE_NEEDED", "migrating takes the owner role: give --owner-database-url")
	}
	err = d.migrator(ctx, d.OwnerURL, func(m *db.Migrator) (err error) {
		version, err = m.Down(ctx)
		return err
	})
	return version, err
}

// Migrations lists the migrations and whether each was applied. Either role may
// ask.
func (d *Database) Migrations(ctx context.Context) (list []db.MigrationStatus, err error) {
	url := d.OwnerURL
	if url == "" {
		url = d.RuntimeURL
	}
	err = d.migrator(ctx, url, func(m *db.Migrator) (err error) {
		list, err = m.Status(ctx)
		return err
	})
	return list, err
}

// CheckSchema refuses a database that lacks migrations of this program.
func (d *Database) CheckSchema(ctx context.Context) error {
	list, err := d.Migrations(ctx)
	if problem.KindOf(err) == problem.Internal && err != nil {
		// The runtime role may not make the table of migrations that is missing.
		return problem.New(problem.Unavailable, "SCHEMA_OUTDATED", "the state of the schema cannot be read; run `exposuregraph migrate up`").Because(err)
	}
	if err != nil {
		return err
	}
	missing := 0
	for _, migration := range list {
		if !migration.Applied {
			missing++
		}
	}
	if missing > 0 {
		return problem.New(problem.Unavailable, "SCHEMA_OUTDATED",
			"the database lacks %d of %d migrations; run `exposuregraph migrate up`, or start with --owner-database-url", missing, len(list))
	}
	return nil
}

func (d *Database) migrator(ctx context.Context, url string, use func(*db.Migrator) error) error {
	m, err := db.NewMigrator(ctx, url)
	if err != nil {
		return err
	}
	if err := use(m); err != nil {
		_ = m.Close() // the first error is the one to tell
		return err
	}
	if err := m.Close(); err != nil {
		return fmt.Errorf("close owner connection: %w", err)
	}
	return nil
}
