package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/exposuregraph/exposuregraph/internal/access/account"
	"github.com/exposuregraph/exposuregraph/internal/audit"
)

// byAccountsFile is who revokes the tokens of accounts that the file does not have any
// more, on record.
const byAccountsFile = "service-accounts"

// serviceAccounts are those in force.
type serviceAccounts struct {
	desk *account.Desk

	mu    sync.Mutex          // one reading at a time
	stale map[string]struct{} // accounts that are gone or have less, whose tokens are not revoked yet
}

// ReloadAccounts reads the file of service accounts again. One with a mistake leaves the
// accounts of before in force. Tokens of accounts that are gone, or have less than
// before, are revoked; where that fails the next call does so. Without such a file it
// does nothing.
func (a *App) ReloadAccounts(ctx context.Context) error {
	if a.accounts == nil {
		return nil
	}
	a.accounts.mu.Lock()
	defer a.accounts.mu.Unlock()
	accounts, err := account.Load(a.config.Tokens.ServiceAccounts)
	if err != nil {
		a.tellMistakes(ctx, err)
		a.recordAccounts(ctx, err, account.Change{}, 0)
		return err
	}
	change := a.accounts.desk.Replace(accounts)
	for _, id := range slices.Concat(change.Gone, change.Less) {
		if a.accounts.stale == nil {
			a.accounts.stale = map[string]struct{}{}
		}
		a.accounts.stale[id] = struct{}{}
	}
	revoked, err := a.revokeStale(ctx)
	a.config.Logger.InfoContext(ctx, "service accounts", "accounts", a.accounts.desk.Len(), "added", change.Added, "changed", change.Changed,
		"gone", change.Gone, "tokens_revoked", revoked)
	a.recordAccounts(ctx, err, change, revoked)
	return err
}

// tellMistakes has a line in the log for each.
func (a *App) tellMistakes(ctx context.Context, err error) {
	var mistakes account.Mistakes
	if !errors.As(err, &mistakes) {
		a.config.Logger.ErrorContext(ctx, "the service accounts were not read", "error", err)
	}
	for _, mistake := range mistakes {
		a.config.Logger.ErrorContext(ctx, "a mistake in the service accounts", "file", mistake.File, "line", mistake.Line, "field", mistake.Field, "error", mistake.Message)
	}
	a.config.Logger.WarnContext(ctx, "the service accounts of before stay in force", "accounts", a.accounts.desk.Len())
}

// revokeStale revokes the tokens of accounts that could not be given them any more.
func (a *App) revokeStale(ctx context.Context) (revoked int, err error) {
	stale := slices.Sorted(maps.Keys(a.accounts.stale))
	if len(stale) == 0 {
		return 0, nil
	}
	if revoked, err = a.registry.RevokeAccounts(ctx, stale, byAccountsFile); err != nil {
		a.config.Logger.ErrorContext(ctx, "the tokens of service accounts could not be revoked; have the file read again", "service_accounts", stale, "error", err)
		return 0, err
	}
	a.accounts.stale = nil
	return revoked, nil
}

// recordAccounts has it in the server's audit log that the file was read.
func (a *App) recordAccounts(ctx context.Context, err error, change account.Change, revoked int) {
	event := audit.TokenEvent{Subject: byAccountsFile, Action: audit.AccountsRead, Outcome: audit.OutcomeOf(err), Door: audit.Issuer,
		Properties: []audit.Property{{Name: "accounts", Value: strconv.Itoa(a.accounts.desk.Len())}}}
	for _, part := range []struct {
		name string
		ids  []string
	}{{"added", change.Added}, {"changed", change.Changed}, {"gone", change.Gone}} {
		if len(part.ids) > 0 {
			event.Properties = append(event.Properties, audit.Property{Name: part.name, Value: strings.Join(part.ids, " ")})
		}
	}
	if revoked > 0 {
		event.Properties = append(event.Properties, audit.Property{Name: "tokensRevoked", Value: strconv.Itoa(revoked)})
	}
	a.audit.Token(ctx, event)
}
