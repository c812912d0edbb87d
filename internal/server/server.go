package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/server/guard"
)

// Importer runs an import.
type Importer interface {
	Run(context.Context, importer.Request) (*authority.SyncReport, error)
}

// Show has an import looked at under the id that its caller gave it, or refuses the
// id.
type Show func(ctx context.Context, organization, delivery id.ID) (Shown, error)

// Ledger hands out what people judged.
type Ledger interface {
	// Export writes the ledger of an organization. It writes nothing before it
	// knows that the actor may have it.
	Export(ctx context.Context, slug string, w io.Writer) error

	// Checkpoint is the newest signed statement of what the ledger was; empty
	// without one.
	Checkpoint(ctx context.Context, slug string) (string, error)

	// PublicKey checks new checkpoints; empty where none are signed.
	PublicKey(ctx context.Context) (string, error)
}

// Shown is an import that may be looked at while it is under way.
type Shown interface {
	authority.Progress

	// End is called once, with what came of it.
	End(report *authority.SyncReport, err error)
}

// Verifier turns a token into an actor.
type Verifier interface {
	Verify(ctx context.Context, token string) (access.Actor, error)
}

// Config is what the server stands on. The limits have defaults.
type Config struct {
	GraphQL  http.Handler
	GraphiQL http.Handler
	Importer Importer
	Show     Show // nil: imports are not looked at
	Ledger   Ledger
	AuditLog AuditLog
	Audit    Recorder // nil: nothing is recorded
	Files    Files    // nil: there is no store for them
	Verifier Verifier
	Tokens   *Tokens   // nil: none are made here
	Checks   []Check   // of /readyz
	Measures []Measure // of /metrics
	Logger   *slog.Logger
	Now      func() time.Time

	Limits Limits
}

// Limits bound what one client can take. A zero field takes its default.
type Limits struct {
	BodyTime    time.Duration // for a whole body that is no upload; 15 s
	AnswerTime  time.Duration // for the client to take each part of an answer; 60 s
	UploadPace  time.Duration // for each 32 KiB of an upload; 30 s
	UploadBytes int64         // of one upload; 2 GiB
	SideBytes   int64         // of a policy or an owners file; 32 MiB
	UploadFiles int           // in one upload; 10,000
	Imports     int           // at a time: each holds a connection to the database; 4
	ImportWait  time.Duration // for a turn, of a file too; 60 s
	Exports     int           // of ledgers and audit logs at a time: each holds a connection to the database; 2
	Uploads     int           // of files at a time; 4
	Downloads   int           // of files at a time: each may hold a copy on the disk; 16
	Grace       time.Duration // for requests to end when the server stops; 15 s
}

func (l Limits) orDefault() Limits {
	fill(&l.BodyTime, 15*time.Second)
	fill(&l.AnswerTime, time.Minute)
	fill(&l.UploadPace, 30*time.Second)
	fill(&l.UploadBytes, 2<<30)
	fill(&l.SideBytes, 32<<20)
	fill(&l.UploadFiles, 10_000)
	fill(&l.Imports, 4)
	fill(&l.ImportWait, time.Minute)
	fill(&l.Exports, 2)
	fill(&l.Uploads, 4)
	fill(&l.Downloads, 16)
	fill(&l.Grace, 15*time.Second)
	return l
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Server answers HTTP.
type Server struct {
	Config

	handler   http.Handler
	turns     chan struct{} // one for each import that runs
	exports   chan struct{} // one for each ledger or audit log that is handed out
	uploads   chan struct{} // one for each file that comes in
	downloads chan struct{} // one for each file that is handed out
}

// New makes a server. It listens when Serve is called.
func New(config Config) *Server {
	config.Limits = config.Limits.orDefault()
	s := &Server{Config: config, turns: make(chan struct{}, config.Limits.Imports), exports: make(chan struct{}, config.Limits.Exports),
		uploads: make(chan struct{}, config.Limits.Uploads), downloads: make(chan struct{}, config.Limits.Downloads)}

	mux := http.NewServeMux()
	// guard.Wrap reads whole bodies, so what it hands on comes at once.
	mux.Handle("/graphql", s.authenticate(guard.Wrap(guard.Status(config.GraphQL), guard.Limits{})))
	mux.Handle("/graphiql", config.GraphiQL)
	mux.Handle("/graphiql/", config.GraphiQL)
	mux.Handle("/imports/{format}", s.authenticate(methods(s.imports, http.MethodPost)))
	mux.Handle("/files", s.authenticate(methods(s.collectFile, http.MethodPost)))
	mux.Handle("/files/{sha256}", s.authenticate(methods(s.sendFile, http.MethodGet, http.MethodHead)))
	mux.Handle("/api/v1/organizations/{slug}/changes", s.authenticate(methods(s.alias(changes), http.MethodGet)))
	mux.Handle("/api/v1/organizations/{slug}/assets/{asset}/changes", s.authenticate(methods(s.alias(assetChanges), http.MethodGet)))
	mux.Handle("/api/v1/organizations/{slug}/changes/summary", s.authenticate(methods(s.alias(changeSummary), http.MethodGet)))
	mux.Handle("/ledgers/{slug}", s.authenticate(methods(s.ledger, http.MethodGet)))
	mux.Handle("/ledgers/{slug}/checkpoint", s.authenticate(methods(s.checkpoint, http.MethodGet)))
	mux.Handle("/organizations/{slug}/audit.jsonl", s.authenticate(methods(s.auditLog, http.MethodGet)))
	mux.Handle("/ledger-key", s.authenticate(methods(s.ledgerKey, http.MethodGet)))
	mux.Handle("/oauth/token", methods(s.issuing(s.token), http.MethodPost))
	mux.Handle("/oauth/revoke", methods(s.issuing(s.revoke), http.MethodPost))
	mux.Handle("/oauth/jwks", methods(s.issuing(s.keys), http.MethodGet, http.MethodHead))
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		mux.Handle(path, methods(s.issuing(s.metadata), http.MethodGet, http.MethodHead))
	}
	mux.Handle("/healthz", methods(s.healthz, http.MethodGet, http.MethodHead))
	mux.Handle("/readyz", methods(s.readyz, http.MethodGet, http.MethodHead))
	mux.Handle("/metrics", methods(s.metrics, http.MethodGet, http.MethodHead))
	mux.Handle("/{$}", methods(toGraphiQL, http.MethodGet, http.MethodHead))
	mux.HandleFunc("/", unknownPath)
	s.handler = s.identify(s.log(s.recover(s.limitBody(mux))))
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers on the listener until the context ends. Requests that run then
// have Limits.Grace to end; after that their contexts are cancelled and their
// connections closed. Ending in this way is no error.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	// Requests outlive ctx by the grace.
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.Logger.InfoContext(ctx, "stopping", "grace", s.Limits.Grace)
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), s.Limits.Grace)
	defer stop()
	if err := server.Shutdown(grace); err != nil {
		s.Logger.WarnContext(ctx, "requests were still running", "error", err)
		cancel()
		_ = server.Close() // there is nobody left to tell
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func toGraphiQL(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/graphiql", http.StatusFound)
}
