package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

func newToken(p Process) *cobra.Command {
	return newGroup("token", "Make access tokens", newTokenCreate(p))
}

func newTokenCreate(p Process) *cobra.Command {
	var (
		actor  access.Actor
		role   string
		scopes []string
		ttl    time.Duration
	)
	cmd := &cobra.Command{
		Use:   "create --org SLUG|--all-orgs",
		Short: "Make an access token and print it",
		Long: "Make an access token and print it. This works on the database itself, as the role that owns its tables.\n" +
			"Without --scope an admin gets every scope and a client vuln:view.",
		Args: usageArgs(cobra.NoArgs),
	}
	database := addDatabase(cmd)
	output := addOutput(cmd, asTable, asJSON)
	flags := cmd.Flags()
	flags.StringSliceVar(&actor.Organizations, "org", nil, "`slug` of an organization; may be repeated")
	flags.BoolVar(&actor.AllOrganizations, "all-orgs", false, "for every organization, also those to come")
	flags.StringVar(&role, "role", string(access.Client), "client, or admin, who may create organizations")
	flags.StringSliceVar(&scopes, "scope", nil, "`scope`: vuln:view, vuln:investigate, vuln:operate, vuln:audit, vuln:approve; may be repeated")
	flags.DurationVar(&ttl, "ttl", time.Hour, "how long the token lives")
	flags.StringVar(&actor.Subject, "subject", "cli", "`name` of the bearer, in logs and in the history")
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
		if database.URL != "" && database.OwnerURL == "" {
			return usagef("token create reads the signing key, which takes the owner role: give --owner-database-url")
		}
		actor.Role, actor.Scopes = access.Role(role), scopesOf(scopes, access.Role(role))
		database.Migrate = true
		return withDatabase(cmd.Context(), *database, p, func(d *app.Database) error {
			now := p.Now()
			key, err := access.EnsureKey(cmd.Context(), d.OwnerURL, now)
			if err != nil {
				return err
			}
			token, err := access.Issue(key, actor, ttl, now)
			if err != nil {
				return err
			}
			if form == asJSON {
				organizations := append([]string{}, actor.Organizations...) // [] and not null
				return printJSON(p.Stdout, map[string]any{
					"token": token, "subject": actor.Subject, "role": actor.Role, "scopes": actor.Scopes,
					"organizations": organizations, "allOrganizations": actor.AllOrganizations,
					"expiresAt": now.Add(ttl).UTC().Truncate(time.Second),
				})
			}
			_, err = fmt.Fprintln(p.Stdout, token)
			return err
		})
	}
	return cmd
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
