package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/graph/live"
	"github.com/exposuregraph/exposuregraph/graph/persisted"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/progress"
	"github.com/exposuregraph/exposuregraph/internal/schedule"
	"github.com/exposuregraph/exposuregraph/internal/server"
	"github.com/exposuregraph/exposuregraph/internal/stream"
	"github.com/exposuregraph/exposuregraph/internal/web"
)

// maxConns of the pool: a response holds one, and so does each import that runs.
const maxConns = 16

// Config is what a server is started with.
type Config struct {
	Listen           string // host:port; port 0 for any
	DatabaseURL      string // empty: the embedded database
	OwnerDatabaseURL string // empty with a DatabaseURL: somebody else migrates
	DataDir          string // of the embedded database
	Demo             bool
	DemoDate         time.Time // the day up to which the demo's history goes; zero: today
	LedgerKey        string    // file of the key that signs ledgers; empty: see LedgerKeyFile
	CheckpointDir    string    // folder of exported checkpoints; empty: checkpoints in the data folder
	Files            FilesConfig
	Tokens           TokensConfig
	GraphQL          GraphQLConfig
	Logger           *slog.Logger
	Now              func() time.Time

	passed func(file.Step) // of tests, which end the process at a step of an upload
}

// App is the program, ready to serve.
type App struct {
	config        Config
	listener      net.Listener
	database      *Database
	db            *db.DB
	verifier      *access.Verifier
	registry      *access.Registry // null where no tokens are made
	organizations *org.Store
	authority     *authority.Service
	importer      *importer.Service
	ledger        *book.Library
	accounts      *serviceAccounts // null where no tokens are made
	refusals      *audit.Refusals  // likewise
	audit         *audit.Log
	files         *file.Service // null where there is no store for them
	server        *server.Server
	schedule      *schedule.Schedule
	streamDB      *db.DB
	boardDB       *db.DB
	board         *progress.Board
	sequencer     *change.Sequencer
	stream        *stream.Stream
	streams       *live.Streams
	documents     *persisted.Documents // null: all are run
	demo          *Tokens
}

// New starts what serving needs. Whoever calls it closes the App.
func New(ctx context.Context, config Config) (*App, error) {
	a := &App{config: config}
	if err := a.start(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *App) start(ctx context.Context) (err error) {
	if a.config.OwnerDatabaseURL != "" && a.config.DatabaseURL == "" {
		return problem.New(problem.Invalid, "BOTH_ROLES_NEEDED", "serving takes a role that does not own the tables: give --database-url besides --owner-database-url")
	}
	accounts, err := a.loadAccounts()
	if err != nil {
		return err
	}
	if err := a.loadDocuments(ctx); err != nil {
		return err
	}
	// The port first: finding it taken costs nothing yet.
	if a.listener, err = listen(ctx, a.config.Listen); err != nil {
		return err
	}
	if err := a.openDatabase(ctx); err != nil {
		return err
	}
	if err := a.openVerifier(); err != nil {
		return err
	}
	a.audit = audit.New(a.db, a.config.Now, a.config.Logger)
	tokens, err := a.openIssuer(ctx, accounts)
	if err != nil {
		return err
	}
	a.organizations = &org.Store{}
	a.authority = authority.New(a.db, assessor(), a.config.Now, a.config.Logger).WithSurface(surface())
	a.importer = importer.New(a.authority, a.config.Now)
	if err := a.openStream(ctx); err != nil {
		return err
	}
	checkpointer, err := a.openLedger(ctx)
	if err != nil {
		return err
	}
	if err := a.openFiles(ctx); err != nil {
		return err
	}
	a.server = server.New(server.Config{
		GraphQL:  a.graphQL(),
		GraphiQL: web.GraphiQL(examples(a.demoDate())),
		Importer: a.importer,
		Show:     a.show,
		Ledger:   a.ledger,
		AuditLog: &audit.Library{DB: a.db},
		Audit:    a.audit,
		Files:    a.served(),
		Verifier: a.verifier,
		Tokens:   tokens,
		Checks:   a.checks(),
		Measures: a.measures(),
		Logger:   a.config.Logger,
		Now:      a.config.Now,
	})
	plan := schedule.Config{
		URL:           a.database.RuntimeURL,
		DB:            a.db,
		Organizations: a.organizations,
		Evaluator:     a.authority,
		Checkpointer:  checkpointer,
		Repairer:      change.NewRepairer(a.db, a.config.Now, a.config.Logger),
		Logger:        a.config.Logger,
		Now:           a.config.Now,
	}
	if a.files != nil {
		plan.Settler = a.files
	}
	a.schedule = schedule.New(plan)
	if a.config.Demo {
		if a.demo, err = a.Demo(ctx); err != nil {
			return err
		}
		return a.publishDemo(ctx)
	}
	return nil
}

// openDatabase gives the pool of a database that is migrated and whose walls
// stand.
func (a *App) openDatabase(ctx context.Context) (err error) {
	a.database, err = OpenDatabase(ctx, DatabaseConfig{
		URL: a.config.DatabaseURL, OwnerURL: a.config.OwnerDatabaseURL, DataDir: a.config.DataDir,
		Logger: a.config.Logger, Exclusive: true, Migrate: true,
	})
	if err != nil {
		return err
	}
	// Before anything else the role that serves, which may fail in its own ways.
	if a.db, err = db.Open(ctx, a.database.RuntimeURL, db.Options{MaxConns: maxConns}); err != nil {
		return err
	}
	switch {
	case a.database.Embedded(): // migrated on opening
	case a.database.OwnerURL != "":
		applied, err := a.database.Migrate(ctx)
		if err != nil {
			return err
		}
		a.config.Logger.InfoContext(ctx, "migrated", "applied", applied)
	default:
		if err := a.database.CheckSchema(ctx); err != nil {
			return err
		}
	}
	return a.db.SelfTest(ctx)
}

// assessor judges every change of authority.
func assessor() authority.Assessor {
	return exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions))
}

// surface keeps what scans show.
func surface() authority.Surface { return asset.NewSurface(asset.DefaultThresholds()) }

// checks of /readyz. That the schema is current and the walls stand was found
// at the start, and a later migration may add but not take away.
func (a *App) checks() []server.Check {
	return []server.Check{
		{Name: "database", Run: a.db.Ping},
		{Name: "self_test", Run: a.db.SelfTest},
	}
}

// Tokens of the demo, if this is one.
func (a *App) Tokens() *Tokens { return a.demo }

// URL is the address of the server.
func (a *App) URL() string {
	address, ok := a.listener.Addr().(*net.TCPAddr)
	if !ok {
		return "http://" + a.listener.Addr().String()
	}
	// What listens everywhere is reached here as well.
	if address.IP.IsUnspecified() {
		local := *address
		local.IP = net.IPv4(127, 0, 0, 1)
		address = &local
	}
	return "http://" + address.String()
}

// Run serves until the context ends, which is no error, or the embedded
// database does, which is.
func (a *App) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-a.database.Lost():
			stop(problem.New(problem.Unavailable, "POSTGRES_ENDED",
				"the embedded PostgreSQL ended; its log is postgres.log in the data folder. Start again.").Because(a.database.embedded.Err()))
		case <-ctx.Done():
		}
	}()
	err := a.serve(ctx, stop)
	// That the database ended explains what else failed then.
	var lost *problem.Error
	if errors.As(context.Cause(ctx), &lost) {
		return lost
	}
	return err
}

// serve runs the server, the schedule, the stream, the board and what writes refusals
// until all have ended. The end of one ends the others. The stream and the board last
// until the server has ended, so that what is open to clients ends by closing, after
// which they come again, and not by an error; and what writes refusals, so that none is
// forgotten.
func (a *App) serve(ctx context.Context, stop context.CancelCauseFunc) error {
	defer context.AfterFunc(ctx, a.streams.Stop)()
	streaming, stopStream := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStream()
	beside := []func(context.Context) error{
		a.schedule.Run,
		func(context.Context) error { return a.stream.Run(streaming) },
		func(context.Context) error { return a.board.Run(streaming) },
	}
	if a.refusals != nil {
		beside = append(beside, func(context.Context) error { a.refusals.Run(streaming); return nil })
	}
	ended := make(chan error, len(beside))
	for _, run := range beside {
		go func() {
			err := run(ctx)
			stop(err)
			ended <- err
		}()
	}
	err := a.server.Serve(ctx, a.listener)
	stop(err)
	stopStream()
	for range beside {
		err = errors.Join(err, <-ended)
	}
	return err
}

// Close stops what New started.
func (a *App) Close() error {
	if a.listener != nil {
		if err := a.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			a.config.Logger.Warn("close listener", "error", err)
		}
	}
	for _, pool := range []*db.DB{a.boardDB, a.streamDB, a.db} {
		if pool != nil {
			pool.Close()
		}
	}
	if a.registry != nil {
		a.registry.Close()
	}
	if a.database != nil {
		return a.database.Close()
	}
	return nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, problem.New(problem.Unavailable, "ADDRESS_TAKEN",
			"another program listens on %s; stop it, or choose another address with --listen (port 0 takes any that is free)", address).Because(err)
	}
	return nil, problem.New(problem.Unavailable, "ADDRESS_UNUSABLE", "cannot listen on %q: %s", address, err).Because(err).On("listen")
}
