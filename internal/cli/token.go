package cli

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/access/account"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

func newToken(p Process) *cobra.Command {
	return newGroup("token", "Make, list and revoke access tokens", newTokenCreate(p), newTokenList(p), newTokenRevoke(p), newTokenHashSecret(p))
}

// registered adds the flags of a command that works on the registry of tokens, and
// opens it as the role that owns the tables.
func registered(cmd *cobra.Command, p Process) func(use func(*access.Registry) error) error {
	database := addDatabase(cmd)
	return func(use func(*access.Registry) error) error {
		if database.URL != "" && database.OwnerURL == "" {
			return usagef("%s reads what only the owner role may: give --owner-database-url", cmd.CommandPath())
		}
		database.Migrate = true
		return withDatabase(cmd.Context(), *database, p, func(d *app.Database) error {
			// Either role may write the audit log.
			pool, err := db.Open(cmd.Context(), cmp.Or(d.RuntimeURL, d.OwnerURL), db.Options{MaxConns: 1})
			if err != nil {
				return err
			}
			defer pool.Close()
			registry, err := app.OpenRegistry(cmd.Context(), d, tokensConfig(cmd), audit.New(pool, p.Now, logger(p.Stderr, slog.LevelWarn)), audit.CLI, p.Now)
			if err != nil {
				return err
			}
			defer registry.Close()
			return use(registry)
		})
	}
}

// addMint adds the flags that say how tokens are written.
func addMint(cmd *cobra.Command) {
	cmd.Flags().String("claim-prefix", access.DefaultPrefix, "what the claims with attributes begin with: `PREFIX`vuln_env and so on")
	cmd.Flags().String("issuer-url", "", "`URL` that tokens made here call their issuer, and at which others find its keys (default: they call it exposuregraph)")
}

// tokensConfig reads the flags of addMint, where the command has them.
func tokensConfig(cmd *cobra.Command) (config app.TokensConfig) {
	for name, field := range map[string]*string{"claim-prefix": &config.ClaimPrefix, "issuer-url": &config.IssuerURL} {
		if flag := cmd.Flags().Lookup(name); flag != nil {
			*field = flag.Value.String()
		}
	}
	return config
}

func newTokenCreate(p Process) *cobra.Command {
	var (
		actor      access.Actor
		role       string
		scopes     []string
		attributes []string
		ttl        time.Duration
	)
	cmd := &cobra.Command{
		Use:   "create --org SLUG|--all-orgs",
		Short: "Make an access token and print it",
		Long: "Make an access token and print it. This works on the database itself, as the role that owns its tables.\n" +
			"Without --scope an admin gets every scope and a client vuln:view.",
		Args: usageArgs(cobra.NoArgs),
	}
	open := registered(cmd, p)
	output := addOutput(cmd, asTable, asJSON)
	flags := cmd.Flags()
	flags.StringSliceVar(&actor.Organizations, "org", nil, "`slug` of an organization; may be repeated")
	flags.BoolVar(&actor.AllOrganizations, "all-orgs", false, "for every organization, also those to come")
	flags.StringVar(&role, "role", string(access.Client), "client, or admin, who may create organizations")
	flags.StringSliceVar(&scopes, "scope", nil, "`scope`: vuln:view, vuln:investigate, vuln:operate, vuln:audit, vuln:approve; may be repeated")
	flags.StringArrayVar(&attributes, "attribute", nil, "limit the bearer to rows with a value, as `name=value` of env, owner or business_tier; may be repeated")
	flags.StringArrayVar(&actor.Delegates, "delegate", nil, "`name` of who acts on behalf of the bearer: who asks first; may be repeated")
	flags.DurationVar(&ttl, "ttl", time.Hour, "how long the token lives")
	flags.StringVar(&actor.Subject, "subject", "cli", "`name` of the bearer, in logs and in the history")
	addMint(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if actor.AllOrganizations == (len(actor.Organizations) > 0) {
			return usagef("give --org SLUG or --all-orgs, one of the two")
		}
		for _, slug := range actor.Organizations {
			if err := org.CheckSlug(slug); err != nil {
				return usageError{err}
			}
		}
		if actor.Attributes, err = attributesOf(attributes); err != nil {
			return err
		}
		actor.Role, actor.Scopes = access.Role(role), scopesOf(scopes, access.Role(role))
		return open(func(registry *access.Registry) error {
			token, err := registry.Issue(cmd.Context(), access.Order{Actor: actor, TTL: ttl})
			if err != nil {
				return err
			}
			if form == asJSON {
				organizations := append([]string{}, actor.Organizations...) // [] and not null
				return printJSON(p.Stdout, map[string]any{
					"token": token.Text, "id": token.ID, "subject": actor.Subject, "role": actor.Role, "scopes": actor.Scopes,
					"organizations": organizations, "allOrganizations": actor.AllOrganizations, "attributes": shownAttributes(actor.Attributes),
					"expiresAt": token.ExpiresAt,
				})
			}
			_, err = fmt.Fprintln(p.Stdout, token.Text)
			return err
		})
	}
	return cmd
}

func attributesOf(given []string) (attributes access.Attributes, err error) {
	for _, pair := range given {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			return attributes, usagef("--attribute %q: write it as name=value, such as env=prod", pair)
		}
		if err := access.CheckAttribute(name, value); err != nil {
			return attributes, usageError{err}
		}
		values := attributes.Of(name)
		if !slices.Contains(*values, value) {
			*values = append(*values, value)
		}
	}
	return attributes, nil
}

func shownAttributes(attributes access.Attributes) map[string][]string {
	shown := map[string][]string{}
	for _, name := range access.AttributeNames {
		if values := *attributes.Of(name); len(values) > 0 {
			shown[name] = values
		}
	}
	return shown
}

func scopesOf(given []string, role access.Role) []access.Scope {
	if len(given) == 0 && role == access.Admin {
		return access.Scopes
	}
	if len(given) == 0 {
		return []access.Scope{access.View}
	}
	scopes := make([]access.Scope, 0, len(given))
	for _, scope := range given {
		scopes = append(scopes, access.Scope(strings.TrimSpace(scope)))
	}
	return scopes
}

// shownToken is a token as -o json shows it.
type shownToken struct {
	ID               string              `json:"id"`
	Subject          string              `json:"subject"`
	ServiceAccount   string              `json:"serviceAccount,omitempty"`
	Delegates        []string            `json:"delegates"`
	Role             access.Role         `json:"role"`
	Scopes           []access.Scope      `json:"scopes"`
	Organizations    []string            `json:"organizations"`
	AllOrganizations bool                `json:"allOrganizations"`
	Attributes       map[string][]string `json:"attributes"`
	IssuedAt         time.Time           `json:"issuedAt"`
	ExpiresAt        time.Time           `json:"expiresAt"`
	RevokedAt        *time.Time          `json:"revokedAt,omitempty"`
	RevokedBy        string              `json:"revokedBy,omitempty"`
}

func showToken(r *access.Record) shownToken {
	shown := shownToken{
		ID: r.ID, Subject: r.Subject, ServiceAccount: r.ServiceAccount, Delegates: r.Delegates, Role: r.Role, Scopes: r.Scopes, Organizations: r.Organizations,
		AllOrganizations: r.AllOrganizations, Attributes: shownAttributes(r.Attributes()), IssuedAt: r.IssuedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), RevokedBy: r.RevokedBy,
	}
	if r.RevokedAt != nil {
		at := r.RevokedAt.UTC()
		shown.RevokedAt = &at
	}
	return shown
}

func newTokenList(p Process) *cobra.Command {
	var filter access.TokenFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the access tokens that were made here, the newest first, without the tokens",
		Args:  usageArgs(cobra.NoArgs),
	}
	open := registered(cmd, p)
	output := addOutput(cmd, asTable, asJSON, asNDJSON)
	cmd.Flags().BoolVar(&filter.All, "all", false, "also tokens that have expired or were revoked")
	cmd.Flags().StringVar(&filter.Subject, "subject", "", "only tokens of a `name`")
	cmd.Flags().IntVar(&filter.Limit, "limit", 100, "at most this `number`, up to 1000")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		return open(func(registry *access.Registry) error {
			list, err := registry.List(cmd.Context(), filter)
			if err != nil {
				return err
			}
			return p.printTokens(form, list)
		})
	}
	return cmd
}

func (p Process) printTokens(form string, list []*access.Record) error {
	shown := make([]shownToken, len(list))
	for i, record := range list {
		shown[i] = showToken(record)
	}
	switch form {
	case asJSON:
		return printJSON(p.Stdout, shown)
	case asNDJSON:
		for _, token := range shown {
			if err := printJSON(p.Stdout, token); err != nil {
				return err
			}
		}
		return nil
	}
	table := p.table()
	_, _ = fmt.Fprintln(table, "ID\tSUBJECT\tROLE\tSCOPES\tORGANIZATIONS\tEXPIRES\tREVOKED") // Flush tells its error
	for _, token := range shown {
		organizations, revoked := strings.Join(token.Organizations, ","), ""
		if token.AllOrganizations {
			organizations = "*"
		}
		if token.RevokedAt != nil {
			revoked = token.RevokedAt.Format(time.RFC3339) + " by " + token.RevokedBy
		}
		scopes := make([]string, len(token.Scopes))
		for i, scope := range token.Scopes {
			scopes[i] = string(scope)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", token.ID, oneLine(token.Subject), token.Role, strings.Join(scopes, ","), organizations,
			token.ExpiresAt.Format(time.RFC3339), oneLine(revoked)) // as above
	}
	return table.Flush()
}

func newTokenRevoke(p Process) *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use:   "revoke ID|-",
		Short: "Have an access token not work any more, within seconds on every server",
		Long: "Have an access token not work any more, within seconds on every server. It is given by its id, which `token list` shows,\n" +
			"or, with -, as it is on the input. Revoking it once more changes nothing.",
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	open := registered(cmd, p)
	output := addOutput(cmd, asTable, asJSON)
	cmd.Flags().StringVar(&by, "by", "cli", "`name` of who revokes it, for the record")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		token := args[0]
		if token == "-" {
			if token, err = p.readSecret(); err != nil {
				return err
			}
		}
		return open(func(registry *access.Registry) error {
			record, err := registry.Revoke(cmd.Context(), token, by)
			if err != nil {
				return err
			}
			if form == asJSON {
				return printJSON(p.Stdout, showToken(record))
			}
			_, err = fmt.Fprintf(p.Stdout, "revoked %s of %s\n", record.ID, oneLine(record.Subject))
			return err
		})
	}
	return cmd
}

// maxSecretInput bounds what is read as a secret; a token has at most 8 KiB.
const maxSecretInput = 16 << 10

// readSecret reads the first line of the input: what is an argument is seen by
// everybody on the machine.
func (p Process) readSecret() (string, error) {
	content, err := io.ReadAll(io.LimitReader(p.Stdin, maxSecretInput))
	if err != nil {
		return "", fmt.Errorf("read the input: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

func newTokenHashSecret(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash-secret [-]",
		Short: "Make the secret of a service account, and its hash for --service-accounts",
		Long: "Make the secret of a service account, and its hash for the file of --service-accounts. With - the secret is the first line\n" +
			"of the input, and only its hash is printed.",
		Args: usageArgs(cobra.MatchAll(cobra.MaximumNArgs(1), func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] != "-" {
				return fmt.Errorf("a secret is given on the input, with -, as arguments are seen by everybody on the machine")
			}
			return nil
		})),
	}
	cmd.RunE = func(_ *cobra.Command, args []string) (err error) {
		secret, made := account.NewSecret(), true
		if len(args) == 1 {
			if secret, err = p.readSecret(); err != nil {
				return err
			}
			made = false
		}
		hash, err := account.Hash(secret)
		if err != nil {
			return err
		}
		if made {
			_, err = fmt.Fprintf(p.Stdout, "secret: %s\nhash: %s\n", secret, hash)
			return err
		}
		_, err = fmt.Fprintln(p.Stdout, hash)
		return err
	}
	return cmd
}
