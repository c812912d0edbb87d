package app_test

import (
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
)

// refused is an entry of a log that the issuer refused something.
type refused struct {
	Log, Subject, Outcome, Door, RequestID string
	Account, Endpoint                      *string
	Refusals                               int
	Codes                                  []string
}

func refusals(t *testing.T, database *dbtest.Database) []refused {
	t.Helper()
	const columns = ` subject, outcome, door, request_id, property_values[array_position(property_names, 'delegation.service_account')] AS account,
		property_values[array_position(property_names, 'endpoint')] AS endpoint, coalesce(property_values[array_position(property_names, 'refusals')]::int, 1) AS refusals, property_names AS codes `
	rows, err := database.Super(t).Query(t.Context(), `SELECT o.slug AS log,`+columns+`FROM audit_entry e JOIN organization o ON o.id = e.organization_id WHERE action = 'token.refused'
		UNION ALL SELECT 'server',`+columns+`FROM audit_shared_entry WHERE action = 'token.refused'`)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[refused])
	require.NoError(t, err)
	return list
}

// requireNowhere searches every table for texts.
func requireNowhere(t *testing.T, database *dbtest.Database, texts []string) {
	t.Helper()
	super := database.Super(t)
	rows, err := super.Query(t.Context(), `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname IN ('public', 'river')`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, tables, "public.audit_entry")
	for _, table := range tables {
		for _, text := range texts {
			var found int
			require.NoError(t, super.QueryRow(t.Context(), `SELECT count(*) FROM `+table+` AS r WHERE position($1 IN r::text) > 0`, text).Scan(&found))
			require.Zero(t, found, "%s has %q", table, text)
		}
	}
}

// TestRefusedGrants: each is an entry of the account's organizations or of the server's,
// nothing that a caller sent is kept, and whoever guesses on fills no log.
func TestRefusedGrants(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c, log := issuing(t, database)
	a, stop := start(t, c)
	deliver(t, a, tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}), time.Now().Add(-time.Hour), "first")
	const grant = "/oauth/token"
	sent := []string{clientSecret, url.QueryEscape(clientSecret), clientHash()}
	form := func(pairs ...string) url.Values {
		values := url.Values{"grant_type": {"client_credentials"}}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		return values
	}
	type row struct {
		path, user, password string
		form                 url.Values
		code, account, log   string // account: empty for none that there is
	}
	told := map[string]row{}
	for name, r := range map[string]row{
		"nobody":                     {grant, "a-pasted-SECRET-1", "guess-SECRET-2", form(), "CLIENT_CREDENTIALS", "", "server"},
		"nobody in the body":         {grant, "", "", form("client_id", "a-pasted-SECRET-3", "client_secret", "guess-SECRET-4"), "CLIENT_CREDENTIALS", "", "server"},
		"a wrong secret":             {grant, "scanner", "guess-SECRET-5", form(), "CLIENT_CREDENTIALS", "scanner", "acme"},
		"a wrong secret in the body": {grant, "", "", form("client_id", "scanner", "client_secret", "guess-SECRET-6"), "CLIENT_CREDENTIALS", "scanner", "acme"},
		"for all organizations":      {grant, "root", "guess-SECRET-7", form(), "CLIENT_CREDENTIALS", "root", "server"},
		"for one that is not":        {grant, "other", "guess-SECRET-8", form(), "CLIENT_CREDENTIALS", "other", "server"},
		"another's scope":            {grant, "scanner", clientSecret, form("scope", "scope-SECRET-9"), "SCOPE_NOT_ALLOWED", "scanner", "acme"},
		"another's value":            {grant, "limited", clientSecret, form("vuln_env", "value-SECRET-10"), "ATTRIBUTE_NOT_ALLOWED", "limited", "acme"},
		"an unknown attribute":       {grant, "limited", clientSecret, form("vuln_SECRET-11", "value-SECRET-12"), "ATTRIBUTE_UNKNOWN", "limited", "acme"},
		"another's delegate":         {grant, "auditor", clientSecret, form("delegation_actor", "delegate-SECRET-13"), "DELEGATE_NOT_ALLOWED", "auditor", "acme"},
		"another grant":              {grant, "auditor", clientSecret, url.Values{"grant_type": {"password"}, "password": {"guess-SECRET-14"}}, "GRANT_TYPE_UNSUPPORTED", "auditor", "acme"},
		"in the address":             {grant + "?client_secret=guess-SECRET-15", "", "", form(), "OAUTH_REQUEST", "", "server"},
		"no secret":                  {grant, "", "", form("client_id", "limited"), "CLIENT_CREDENTIALS", "limited", "acme"},
		"to revoke":                  {"/oauth/revoke", "auditor", "guess-SECRET-16", url.Values{"token": {"token-SECRET-17"}}, "CLIENT_CREDENTIALS", "auditor", "acme"},
	} {
		for _, values := range r.form {
			for _, value := range values {
				if strings.Contains(value, "SECRET") {
					sent = append(sent, value)
				}
			}
		}
		if r.password != "" {
			sent = append(sent, r.password)
		}
		g := sendForm(t, a.URL()+r.path, r.user, r.password, r.form)
		require.Equal(t, r.code, g.Code, "%s: %s", name, g.text)
		require.NotEmpty(t, g.header.Get("X-Request-Id"))
		told[g.header.Get("X-Request-Id")] = r
	}
	sent = append(sent, "a-pasted-SECRET-1", "vuln_SECRET-11", "guess-SECRET-15", "SECRET")

	// Whoever is granted or meets a fault of ours is none of these.
	require.Equal(t, 200, grantOf(t, a, "scanner").status)
	const guesses = 40
	var attempts atomic.Int64
	var guessing sync.WaitGroup
	for range guesses { // at once, of which the server looks at five of each
		guessing.Go(func() {
			if g := sendForm(t, a.URL()+grant, "scanner", "flood-SECRET-18", form()); g.Code == "LIMIT_CLIENT_ATTEMPTS" {
				attempts.Add(1)
			}
			sendForm(t, a.URL()+grant, "flood-SECRET-19", "flood-SECRET-20", form())
		})
	}
	guessing.Wait()
	require.Positive(t, attempts.Load())
	sent = append(sent, "flood-SECRET-18")
	_, metrics := plain(t, a, "", "/metrics")
	require.Contains(t, string(metrics), "exposuregraph_token_refusals_total 94\n")
	require.NoError(t, stop())

	list := refusals(t, database)
	total, limited := 0, false
	for _, e := range list {
		total += e.Refusals
		require.Equal(t, "issuer", e.Door)
		for _, code := range append(e.Codes, e.Outcome) {
			limited = limited || code == "LIMIT_CLIENT_ATTEMPTS"
		}
		r, single := told[e.RequestID]
		if !single {
			continue
		}
		delete(told, e.RequestID)
		subject, account := "unknown", ""
		if e.Account != nil {
			account = *e.Account
		}
		if r.account != "" {
			subject = r.account
		}
		require.Equal(t, []string{r.code, subject, r.account, r.log}, []string{e.Outcome, e.Subject, account, e.Log})
		require.Equal(t, strings.TrimPrefix(strings.TrimSuffix(r.path, "?client_secret=guess-SECRET-15"), "/oauth/"), *e.Endpoint)
	}
	require.Empty(t, told, "each is told once")
	require.Equal(t, 14+2*guesses, total, "the count outlasts an orderly end")
	require.True(t, limited)
	// Five one by one and a sum for each of six, in the minutes that this took.
	require.Less(t, len(list), 14+2*guesses/2)
	requireNowhere(t, database, sent)
	for _, text := range sent {
		require.NotContains(t, log.String(), text)
	}
}
