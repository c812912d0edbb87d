package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/file"
)

func newServe(p Process) *cobra.Command {
	config := app.Config{Now: p.Now}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: "Serve the API and GraphiQL. Without --database-url the program runs a PostgreSQL of its own.\n" +
			"When it serves it prints its addresses and the line \"ready\" on stdout.",
		Args: usageArgs(cobra.NoArgs),
	}
	database := addDatabase(cmd)
	cmd.Flags().StringVar(&config.Listen, "listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes any that is free")
	cmd.Flags().BoolVar(&config.Demo, "demo", false, "make the organizations demo and demo-kubernetes, and print tokens for them")
	demoDate := cmd.Flags().String("demo-date", "", "the `day` up to which the history of demo goes, such as 2026-03-01; default today (UTC). Counts when demo is made")
	addLedgerKey(cmd, &config.LedgerKey)
	cmd.Flags().StringVar(&config.CheckpointDir, "checkpoint-dir", "", "`folder` that signed checkpoints of the ledger are exported to (default: checkpoints in the data folder)")
	files := addFileStore(cmd)
	cmd.Flags().Int64Var(&files.MaxBytes, "file-max-bytes", file.MaxBytes, "most `bytes` that a collected file may have")
	addTokens(cmd, &config.Tokens)
	introspection := addGraphQL(cmd, &config.GraphQL)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if files.MaxBytes < 1 || files.MaxBytes > maxFileBytes {
			return usagef("--file-max-bytes is from 1 to %d", int64(maxFileBytes))
		}
		config.Files = files.with(p)
		if *demoDate != "" {
			if config.DemoDate, err = time.Parse(time.DateOnly, *demoDate); err != nil {
				return usagef("--demo-date %q is no day; write it as 2026-03-01", *demoDate)
			}
		}
		config.GraphQL.OwnDocuments = Documents()
		config.GraphQL.Introspection = graph.Introspection(*introspection)
		if !slices.Contains(graph.Introspections, config.GraphQL.Introspection) {
			return usagef("--introspection %q is nobody: give authenticated, admin or nobody", *introspection)
		}
		mint := tokensConfig(cmd)
		config.Tokens.ClaimPrefix, config.Tokens.IssuerURL = mint.ClaimPrefix, mint.IssuerURL
		config.DatabaseURL, config.OwnerDatabaseURL, config.DataDir = database.URL, database.OwnerURL, database.DataDir
		config.Logger = logger(p.Stderr, slog.LevelInfo)
		signals, ignore := hangups(config.Tokens)
		defer ignore()
		a, err := app.New(cmd.Context(), config)
		if err != nil {
			return err
		}
		defer func() {
			if closeErr := a.Close(); err == nil {
				err = closeErr
			}
		}()
		if err := errors.Join(invite(p.Stdout, a.URL(), a.Tokens()), announce(p.Stdout, a.URL(), a.Tokens())); err != nil {
			return fmt.Errorf("write to stdout: %w", err)
		}
		defer onHangup(cmd.Context(), signals, a.ReloadAccounts)()
		return a.Run(cmd.Context())
	}
	return cmd
}

// hangups has the signal that asks a server to read its service accounts again. Without
// such it ends the server, as it does any program whose terminal is closed.
func hangups(config app.TokensConfig) (signals chan os.Signal, ignore func()) {
	signals = make(chan os.Signal, 1) // one that comes while another is dealt with is enough
	if config.ServiceAccounts != "" {
		signal.Notify(signals, syscall.SIGHUP)
	}
	return signals, func() { signal.Stop(signals) }
}

// onHangup does something at each signal, until it is stopped or the context ends.
func onHangup(ctx context.Context, signals <-chan os.Signal, do func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-signals:
				_ = do(ctx) // the log has it
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// addTokens adds the flags that say whose tokens are accepted, and who gets tokens.
func addTokens(cmd *cobra.Command, config *app.TokensConfig) {
	flags := cmd.Flags()
	flags.StringVar(&config.OIDCIssuer, "oidc-issuer", "", "`URL` of another issuer whose access tokens are accepted, as the claim iss has it; its keys are found by OpenID Connect Discovery")
	flags.StringVar(&config.OIDCAudience, "oidc-audience", "", "`audience` that its tokens must be for")
	flags.StringVar(&config.OIDCRoleClaim, "oidc-role-claim", "role", "`claim` of its tokens that has admin for an admin, in a text or a list; within others by a path, such as realm_access.roles")
	flags.StringVar(&config.OIDCOrganizationsClaim, "oidc-organizations-claim", "organizations", "`claim` of its tokens that lists slugs of organizations, or * for all")
	flags.StringVar(&config.ServiceAccounts, "service-accounts", "", "YAML `file` of the service accounts that get tokens at /oauth/token, read again at SIGHUP; without it nobody does")
	addMint(cmd)
}

// addGraphQL adds the flags that say what may be asked of the API.
func addGraphQL(cmd *cobra.Command, config *app.GraphQLConfig) (introspection *string) {
	cmd.Flags().StringVar(&config.TrustedDocuments, "trusted-documents", "",
		"JSON `file` of documents by their SHA-256, or folder of such files and of .graphql files: the server runs these and no others")
	return cmd.Flags().String("introspection", string(graph.IntrospectionAuthenticated),
		"`who` may read the schema by __schema and __type: authenticated, who has a token; admin, whose token has that role; or nobody")
}

// invite prints a first query for the demo, ready to be pasted into a shell.
func invite(w io.Writer, url string, tokens *app.Tokens) error {
	if tokens == nil {
		return nil
	}
	_, err := fmt.Fprintf(w, `A first query: what should be looked at first, on which paths, and what is wrong with them?

curl -s %s/graphql -H 'Content-Type: application/json' -H 'Authorization: Bearer %s' \
  -d '{"query":"{ organization(slug: \"demo-kubernetes\") { riskClusters(filter: {nonEmpty: true}) { nodes { key priority verdict authorityPaths(first: 2) { nodes { workload { sourceId } destination { name } exposures(first: 3) { nodes { type severity explanation } } } } } } } }"}'

`, url, tokens.Viewer)
	return err
}

// announce prints where the server is. Scripts read it, up to the line "ready".
func announce(w io.Writer, url string, tokens *app.Tokens) error {
	fragment, lines := "", ""
	if tokens != nil {
		// A fragment stays in the browser: neither a log nor a proxy sees it.
		fragment = "#token=" + tokens.Analyst
		lines = fmt.Sprintf("token.admin=%s\ntoken.analyst=%s\ntoken.viewer=%s\n", tokens.Admin, tokens.Analyst, tokens.Viewer)
	}
	_, err := fmt.Fprintf(w, "console=%s/\ngraphiql=%s/graphiql%s\ngraphql=%s/graphql\n%sready\n", url, url, fragment, url, lines)
	return err
}
