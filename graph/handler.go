package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/graph/audience"
	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/limit"
	"github.com/exposuregraph/exposuregraph/graph/live"
	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/graph/persisted"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/evidencepack"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/progress"
	"github.com/exposuregraph/exposuregraph/internal/stream"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// Config is what the GraphQL surface is made of.
type Config struct {
	DB            *db.DB
	Organizations *org.Store
	Paths         *authority.Service
	Exposures     *exposure.Reader
	Clusters      *posture.Reader
	Triage        *triage.Service
	Stream        *stream.Stream               // the live side of the feeds; nil: nothing is followed
	Board         *progress.Board              // how far imports have come; nil: it is not shown
	Streams       *live.Streams                // the connections that stay open; nil: with the defaults
	Audit         Recorder                     // of mutations and what is handed out; nil: nothing is recorded
	LedgerKey     string                       // that verifies checkpoints; empty: nothing is signed
	Limits        limit.Limits                 // the zero value: the defaults
	Introspection Introspection                // empty: IntrospectionAuthenticated
	Documents     *persisted.Documents         // the only ones that are run; nil: all
	LoaderWait    time.Duration                // 0: loader.Wait
	RequestID     func(context.Context) string // for internal errors
	Log           *slog.Logger
}

// NewHandler makes the GraphQL handler. It expects the actor in the request's
// context and a guard before it that has bounded the body.
func NewHandler(config Config) http.Handler {
	if config.LoaderWait == 0 {
		config.LoaderWait = loader.Wait
	}
	if config.RequestID == nil {
		config.RequestID = func(context.Context) string { return "" }
	}
	schema := generated.NewExecutableSchema(generated.Config{
		Resolvers: &Resolver{
			organizations: config.Organizations, paths: config.Paths, exposures: config.Exposures, posture: config.Clusters,
			tuner: exposure.NewTuner(config.Paths), recorder: exposure.NewRecorder(config.Paths),
			packs: &evidencepack.Reader{}, sealer: evidencepack.NewSealer(config.Paths, &evidencepack.Reader{}),
			triage: config.Triage, decisions: &triage.Reader{}, book: config.Paths.Ledger(), ledgerKey: config.LedgerKey,
			changes: &change.Reader{}, assets: &asset.Reader{}, entries: &audit.Reader{}, stream: config.Stream, board: config.Board, readers: config.DB,
		},
	})
	server := handler.New(schema)
	if config.Streams == nil {
		config.Streams = live.New(live.Config{Log: config.Log})
	}
	for _, transport := range config.Streams.Transports() {
		server.AddTransport(transport)
	}

	cache := newDocumentCache()
	server.SetQueryCache(cache)
	server.SetParserTokenLimit(tokens(config.Limits))
	server.SetDisableSuggestion(true) // of gqlgen, for the two rules that it sets itself
	server.SetValidationRulesFn(withoutHints)
	server.Use(persisted.New(config.Documents, rights))
	server.Use(introspection{config.Introspection})
	server.Use(limit.New(config.Limits, cache).For(caller, graphql.Now))

	server.SetErrorPresenter(presenter(config.Log, config.RequestID))
	server.SetRecoverFunc(func(ctx context.Context, fault any) error {
		config.Log.ErrorContext(ctx, "panic in a resolver", "request_id", config.RequestID(ctx), "fault", fault, "stack", string(debug.Stack()))
		return fmt.Errorf("panic: %v", fault)
	})
	stores := loader.Stores{
		Paths: config.Paths, Exposures: config.Exposures, Clusters: config.Clusters, Ledger: config.Paths.Ledger(), Decisions: &triage.Reader{},
		Changes: &change.Reader{}, Assets: &asset.Reader{}}
	within := func(ctx context.Context, run func(context.Context)) {
		response := loader.NewResponse(config.DB, stores, config.LoaderWait)
		defer response.Close(ctx)
		run(loader.With(ctx, response))
	}
	witness := witness{config.Audit, config.RequestID}
	server.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) (answer *graphql.Response) {
		given := &handedOut{}
		warnOfToken(ctx)
		// A subscription waits for what happens; what is refused has no operation.
		if asked := graphql.GetOperationContext(ctx).Operation; asked != nil && asked.Operation != ast.Subscription {
			var cancel context.CancelFunc
			ctx, cancel = config.Limits.Bound(ctx)
			defer cancel()
		}
		within(given.in(ctx), func(ctx context.Context) { answer = next(ctx) })
		witness.handedOut(ctx, given)
		return answer
	})
	server.AroundOperations(together(audience.NewHouse(graphql.Now)))
	// What a mutation answers with is read after it, and not as it was for the one
	// before it.
	server.AroundRootFields(func(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
		if graphql.GetOperationContext(ctx).Operation.Operation != ast.Mutation {
			return next(ctx)
		}
		return witness.mutation(ctx, func(ctx context.Context) (answer graphql.Marshaler) {
			within(ctx, func(ctx context.Context) { answer = next(ctx) })
			return answer
		})
	})
	server.AroundFields(witness.field)
	return forCallers(persisted.Named(server))
}

// caller is who pays for an operation.
func caller(ctx context.Context) string {
	actor, _ := access.From(ctx)
	return actor.Subject
}

// warnOfToken has the response say that the caller's token asks by a name that will
// go. Nothing else tells of that name.
func warnOfToken(ctx context.Context) {
	if actor, _ := access.From(ctx); actor.Deprecated {
		graphql.RegisterExtension(ctx, "deprecations", []map[string]string{{
			"code": "SCOPE_DEPRECATED", "message": "the access token has the scope vuln:read, which is called vuln:view now; have its issuer give that one",
		}})
	}
}

// forCallers turns callers without a token away before anything is parsed: no
// field of the schema is for them, not even the schema itself. A WebSocket may say
// inside who it is, and runs nothing before.
func forCallers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if live.IsSocket(r) {
			next.ServeHTTP(w, r)
			return
		}
		if _, err := access.Current(r.Context()); err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			answer := graphql.Response{Errors: gqlerror.List{{Message: err.Error(), Extensions: map[string]any{"code": "TOKEN_MISSING", "kind": string(problem.Unauthentic)}}}}
			_ = json.NewEncoder(w).Encode(answer) // the caller may be gone
			return
		}
		next.ServeHTTP(w, r)
	})
}

func tokens(limits limit.Limits) int {
	if limits.Tokens > 0 {
		return limits.Tokens
	}
	return 1000
}
