// Package dbtest gives a test a migrated database of its own: a clone of a
// template on an embedded PostgreSQL that the test process starts once.
package dbtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
)

// Main runs the tests of a package and stops the PostgreSQL that they started.
// A package whose tests use New calls it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if cluster.server != nil {
		if err := cluster.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
			code = 1
		}
		_ = os.RemoveAll(cluster.folder)
	}
	os.Exit(code)
}

const template = "exposuregraph_template"

var cluster struct {
	once   sync.Once
	err    error
	server *devpg.Server
	folder string
	count  atomic.Int64
}

func start(ctx context.Context) error {
	folder, err := devpg.TempDir()
	if err != nil {
		return err
	}
	cluster.folder = folder
	cluster.server, err = devpg.Start(ctx, devpg.Config{
		DataDir:  folder,
		Logger:   slog.New(slog.DiscardHandler),
		Settings: map[string]string{"max_connections": "300", "shared_buffers": "256MB"},
	})
	if err != nil {
		return err
	}
	if err := execute(ctx, cluster.server.OwnerURL("postgres"), "CREATE DATABASE "+template); err != nil {
		return err
	}
	return Migrate(ctx, cluster.server.OwnerURL(template))
}

// Migrate brings a database to the newest schema.
func Migrate(ctx context.Context, ownerURL string) error {
	migrator, err := db.NewMigrator(ctx, ownerURL)
	if err != nil {
		return err
	}
	_, err = migrator.Up(ctx, devpg.RuntimeRole)
	if closeErr := migrator.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Database is a test's own database.
type Database struct {
	*db.DB              // as the runtime role
	Statements *Counter // what was sent through DB
	RuntimeURL string
	OwnerURL   string
	SuperURL   string
	Folder     string // for what stands beside it; empty, and gone with the test
}

// New clones the template for this test.
func New(t testing.TB) *Database { return create(t, " TEMPLATE "+template) }

// Empty makes a database without a schema.
func Empty(t testing.TB) *Database { return create(t, " TEMPLATE template0") }

func create(t testing.TB, from string) *Database {
	t.Helper()
	ctx := context.Background()
	cluster.once.Do(func() { cluster.err = start(ctx) })
	require.NoError(t, cluster.err)

	name := fmt.Sprintf("test_%d", cluster.count.Add(1))
	maintenance := cluster.server.OwnerURL("postgres")
	require.NoError(t, execute(ctx, maintenance, "CREATE DATABASE "+name+from))
	database := &Database{
		Statements: &Counter{},
		RuntimeURL: cluster.server.RuntimeURL(name),
		OwnerURL:   cluster.server.OwnerURL(name),
		SuperURL:   cluster.server.SuperuserURL(name),
		Folder:     t.TempDir(),
	}
	var err error
	database.DB, err = db.Open(ctx, database.RuntimeURL, db.Options{MaxConns: 8, Tracer: database.Statements})
	require.NoError(t, err)
	t.Cleanup(func() {
		database.Close()
		// As the superuser: a test may have left a superuser connection open.
		require.NoError(t, execute(ctx, cluster.server.SuperuserURL("postgres"), "DROP DATABASE "+name+" WITH (FORCE)"))
	})
	return database
}

// Super connects as the superuser, for looking behind the walls.
func (d *Database) Super(t testing.TB) *pgx.Conn { return connect(t, d.SuperURL) }

// Runtime connects as the runtime role, for raw statements.
func (d *Database) Runtime(t testing.TB) *pgx.Conn { return connect(t, d.RuntimeURL) }

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(ctx context.Context, url, statement string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
