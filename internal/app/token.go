package app

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/access/account"
	"github.com/exposuregraph/exposuregraph/internal/access/oidc"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

// TokensConfig says whose tokens are accepted, and who gets tokens here.
type TokensConfig struct {
	ClaimPrefix     string // of the claims with attributes; empty: access.DefaultPrefix
	IssuerURL       string // what tokens made here call their issuer, and where it is reached; empty: exposuregraph, at the server's address
	ServiceAccounts string // file of those who get tokens; empty: nobody does

	OIDCIssuer             string // another issuer whose tokens are accepted; empty: none
	OIDCAudience           string
	OIDCRoleClaim          string
	OIDCOrganizationsClaim string
}

// check refuses what does not go together.
func (c TokensConfig) check() error {
	if (c.OIDCIssuer == "") != (c.OIDCAudience == "") {
		return problem.New(problem.Invalid, "OIDC_INCOMPLETE", "--oidc-issuer and --oidc-audience go together: a token that is not for us must not let in here").On("oidc-audience")
	}
	if c.IssuerURL == "" {
		return nil
	}
	return oidc.Check("issuer-url", c.IssuerURL)
}

func (c TokensConfig) mint() access.Mint {
	return access.Mint{Issuer: c.IssuerURL, Prefix: c.ClaimPrefix}
}

// loadAccounts looks at all that is configured of tokens, before anything is started.
func (a *App) loadAccounts() (accounts []*account.Account, err error) {
	config := a.config.Tokens
	if err := config.check(); err != nil || config.ServiceAccounts == "" {
		return nil, err
	}
	if a.config.DatabaseURL != "" && a.config.OwnerDatabaseURL == "" {
		return nil, problem.New(problem.Invalid, "OWNER_ROLE_NEEDED", "--service-accounts makes access tokens, which takes the owner role: give --owner-database-url")
	}
	return account.Load(config.ServiceAccounts)
}

// openVerifier makes what lets callers in. No issuer is asked yet.
func (a *App) openVerifier() error {
	config := a.config.Tokens
	a.verifier = access.NewVerifier(access.Stored(a.db), a.config.Now).Revoking(access.StoredRevocations(a.db, a.config.Now)).Called(config.IssuerURL)
	if config.ClaimPrefix != "" {
		a.verifier.Prefixed(config.ClaimPrefix)
	}
	if config.OIDCIssuer == "" {
		return nil
	}
	issuer, err := oidc.New(config.OIDCIssuer)
	if err != nil {
		return err
	}
	a.verifier.Trusting(access.Trust{
		Issuer: config.OIDCIssuer, Audience: config.OIDCAudience, RoleClaim: config.OIDCRoleClaim,
		OrganizationsClaim: config.OIDCOrganizationsClaim, Keys: issuer.Keys,
	})
	return nil
}

// openIssuer makes what service accounts get tokens from, if there are any.
func (a *App) openIssuer(ctx context.Context, accounts []*account.Account) (tokens *server.Tokens, err error) {
	config := a.config.Tokens
	if len(accounts) == 0 {
		return nil, nil
	}
	if a.registry, err = OpenRegistry(ctx, a.database, config, a.audit, audit.Issuer, a.config.Now); err != nil {
		return nil, err
	}
	a.refusals = a.audit.Refusals()
	a.accounts = &serviceAccounts{desk: account.NewDesk(accounts, a.config.Now)}
	a.config.Logger.InfoContext(ctx, "service accounts", "accounts", a.accounts.desk.Len())
	tokens = &server.Tokens{
		Desk: a.accounts.desk, Registry: a.registry, Refusals: a.refusals, Keys: access.Stored(a.db),
		Issuer: config.IssuerURL, Address: config.IssuerURL,
	}
	if config.IssuerURL == "" {
		tokens.Issuer, tokens.Address = access.TokenParty, a.URL()
	}
	return tokens, nil
}

// OpenRegistry makes the registry of tokens, as the owner role. The audit log is told
// of what happens to them. Whoever opens it closes it.
func OpenRegistry(ctx context.Context, d *Database, config TokensConfig, trail *audit.Log, door audit.Door, now func() time.Time) (*access.Registry, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	return access.OpenRegistry(ctx, access.RegistryConfig{OwnerURL: d.OwnerURL, Mint: config.mint(), Hook: auditTokens(trail, door), Now: now})
}

// auditTokens has each token that is issued or revoked on record, without the token.
func auditTokens(trail *audit.Log, door audit.Door) access.Hook {
	return func(ctx context.Context, event access.Issued) error {
		told := audit.TokenEvent{
			Subject: event.By, Action: string(event.Event), Outcome: audit.Done, Door: door, RequestID: server.RequestID(ctx),
			Organizations: event.Token.Organizations,
		}
		for _, property := range event.Properties() {
			told.Properties = append(told.Properties, audit.Property(property))
		}
		trail.Token(ctx, told)
		return nil
	}
}
